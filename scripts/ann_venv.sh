#!/usr/bin/env bash
# ann_venv.sh - print the path of a Python that has what bench-index compares Elanus with.
#
#   scripts/ann_venv.sh            numpy, matplotlib, hnswlib, faiss-cpu, scann
#   scripts/ann_venv.sh diskannpy  diskannpy, which wants an older numpy
#
# From PyPI, in certain versions, so that numbers of two days compare.  Made once, in
# the cache directory of deps.sh; later calls only look.  A library that cannot be had
# here is a notice, and is tried again the next time: the bench leaves it out.
set -euo pipefail

NUMPY=numpy==2.4.6
CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
PYTHON=$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')

# NAME OF THE IMPORT=PACKAGE
case ${1:-peers} in
    peers) LIBRARIES=(numpy=$NUMPY matplotlib=matplotlib==3.11.2 faiss=faiss-cpu==1.15.1
                      scann=scann==1.4.2 hnswlib=hnswlib==0.8.0) ;;
    diskannpy) LIBRARIES=(diskannpy=diskannpy==0.7.0); NUMPY=numpy==1.25.0 ;;
    *) echo "usage: ann_venv.sh [diskannpy]" >&2; exit 2 ;;
esac
DIR=$CACHE/venv/ann-${1:-peers}-$PYTHON
LOG=$CACHE/log/ann-${1:-peers}.log

say() { printf 'ann_venv: %s\n' "$*" >&2; }

pip_install() {
    "$DIR/bin/pip" install -q --disable-pip-version-check "$@" >>"$LOG" 2>&1
}

# Why the end of the log says that a package is not there.
reason() {
    case $(tail -n 30 "$LOG") in
        *"No matching distribution"*|*"not a supported wheel"*)
            echo "PyPI has no wheel of it for this Python and processor" ;;
        *g++*|*x86_64-linux-gnu-gcc*|*Python.h*|*"Failed building wheel"*)
            echo "it is compiled here: apt-get install g++ python3-dev" ;;
        *) grep -v '^ *$' "$LOG" | tail -n 1 ;;
    esac
}

# Import it: a wheel may hold instructions that this processor has not.
works() {
    (ulimit -c 0; "$DIR/bin/python" -c "import $1") >>"$LOG" 2>&1 && return
    local code=$?
    if [ $code -eq 132 ]; then
        echo "its wheel uses instructions that this processor does not have (AVX?)" >>"$LOG"
    fi
    return 1
}

get() {
    local name=${1%%=*} package=${1#*=}
    [ ! -e "$DIR/has-$name-${package##*=}" ] || return 0
    say "installing $package (log: $LOG)"
    if pip_install "$NUMPY" "$package" && works "$name"; then
        touch "$DIR/has-$name-${package##*=}"
    else
        say "$name is left out: $(reason)"
        return 1
    fi
}

mkdir -p "$CACHE/venv" "$CACHE/log"
exec 9>"$DIR.lock"
flock 9
if [ ! -x "$DIR/bin/pip" ]; then
    rm -rf "$DIR"
    python3 -m venv "$DIR" 2>"$LOG" || { say "no venv: $(tail -n 1 "$LOG")"; exit 1; }
fi
for library in "${LIBRARIES[@]}"; do
    get "$library" || [ "${library%%=*}" != numpy ] || exit 1
done
printf '%s\n' "$DIR/bin/python"

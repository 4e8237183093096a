#!/usr/bin/env bash
# peer.sh - print the directory of a real Milvus that tests compare Elanus with.
#
#   scripts/peer.sh
#
# PyPI's package `milvus` holds the server's binary and libraries, compressed.
# They are fetched and unpacked once, into the cache directory of deps.sh; later
# calls only look.  2.3.5 is the newest with a Linux wheel.  What is printed has
# bin/milvus, its libraries beside it, and config.yaml.template; tests start it
# with tests/support/peer.py.  Messages go to stderr.
set -euo pipefail

VERSION=2.3.5
CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
DIR=$CACHE/peer/milvus-$VERSION
LOG=$CACHE/log/peer.log

unpack() {
    rm -rf "$DIR"
    mkdir -p "$DIR/bin"
    python3 -m venv --without-pip "$DIR/venv"
    python3 -m pip --python "$DIR/venv/bin/python" install -q --no-deps \
        --disable-pip-version-check "milvus==$VERSION"
    "$DIR/venv/bin/python" - "$DIR" <<'PY'
import lzma, os, shutil, sys
from concurrent.futures import ThreadPoolExecutor
import milvus
data, into = os.path.join(os.path.dirname(milvus.__file__), "data"), sys.argv[1]

def unpack(name):
    path = os.path.join(into, "bin", name.removesuffix(".lzma"))
    with lzma.open(os.path.join(data, "bin", name)) as packed, open(path, "wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    os.chmod(path, 0o755)

with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(unpack, os.listdir(os.path.join(data, "bin"))))
for name in ("config.yaml.template", "glog.conf"):
    shutil.copy(os.path.join(data, name), into)
PY
    rm -rf "$DIR/venv"
    touch "$DIR/complete"
}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "peer: Milvus $VERSION is packaged for Linux on x86_64 only" >&2
    exit 1
fi
if [ ! -e "$DIR/complete" ]; then
    mkdir -p "$CACHE/peer" "$CACHE/log"
    exec 9>"$DIR.lock"
    flock 9
fi
if [ ! -e "$DIR/complete" ]; then
    echo "peer: installing Milvus $VERSION (log: $LOG)" >&2
    if ! unpack >"$LOG" 2>&1; then
        echo "peer: Milvus $VERSION cannot be installed: $(tail -n 1 "$LOG")" >&2
        exit 1
    fi
fi
printf '%s\n' "$DIR"

#!/usr/bin/env bash
# faiss.sh - print the path of a Python that has faiss-cpu and numpy.
#
# Made once, in the cache directory of deps.sh; later calls only look.
set -euo pipefail

CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
PYTHON=$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
DIR=$CACHE/venv/faiss-$PYTHON
LOG=$CACHE/log/faiss.log

if [ ! -e "$DIR/complete" ]; then
    mkdir -p "$CACHE/venv" "$CACHE/log"
    exec 9>"$DIR.lock"
    flock 9
fi
if [ ! -e "$DIR/complete" ]; then
    printf 'faiss: installing faiss-cpu (log: %s)\n' "$LOG" >&2
    rm -rf "$DIR"
    if ! { python3 -m venv "$DIR" &&
           "$DIR/bin/pip" install -q --disable-pip-version-check faiss-cpu numpy; } \
           >"$LOG" 2>&1; then
        printf 'faiss: it cannot be installed: %s\n' "$(tail -n 1 "$LOG")" >&2
        exit 1
    fi
    touch "$DIR/complete"
fi
printf '%s\n' "$DIR/bin/python"

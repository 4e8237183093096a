#!/usr/bin/env bash
# venv.sh - print the path of a Python that has one version of pymilvus.
#
#   scripts/venv.sh 2.6.17
#
# The environment is made once, in the cache directory of deps.sh, under the
# version's name and Python's; later calls only look.  Messages go to stderr.
set -euo pipefail

VERSION=${1:?usage: venv.sh PYMILVUS_VERSION}
CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
PYTHON=$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
DIR=$CACHE/venv/pymilvus-$VERSION-$PYTHON
LOG=$CACHE/log/pymilvus-$VERSION.log

if [ ! -e "$DIR/complete" ]; then
    mkdir -p "$CACHE/venv" "$CACHE/log"
    exec 9>"$DIR.lock"
    flock 9
fi
if [ ! -e "$DIR/complete" ]; then
    printf 'venv: installing pymilvus %s (log: %s)\n' "$VERSION" "$LOG" >&2
    rm -rf "$DIR"
    # pymilvus 2.4 imports pkg_resources, which setuptools 81 dropped.
    if ! { python3 -m venv "$DIR" &&
           "$DIR/bin/pip" install -q --disable-pip-version-check \
               "pymilvus==$VERSION" 'setuptools<81'; } >"$LOG" 2>&1; then
        printf 'venv: pymilvus %s cannot be installed: %s\n' "$VERSION" "$(tail -n 1 "$LOG")" >&2
        exit 1
    fi
    touch "$DIR/complete"
fi
printf '%s\n' "$DIR/bin/python"

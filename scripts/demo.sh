#!/usr/bin/env bash
# demo.sh - build Elanus, start it in a temporary directory, and let a real
# Milvus client say what it sees.  `make demo` calls it; it leaves nothing
# running and nothing behind but build/ and the cache with pymilvus and MiniLM in it.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/deps.sh
echo "building (the first time takes a minute or two) ..."
make -s -j"$(nproc)" all
PYTHON=$(scripts/venv.sh 2.6.17)
MODEL=$(scripts/minilm.sh "$PYTHON")
exec "$PYTHON" scripts/demo.py "$MODEL"

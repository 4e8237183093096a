#!/usr/bin/env bash
# run.sh - lab 12 with a Python that has pymilvus and MiniLM; every flag goes to rag.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../setup.sh")
model=$("$here/../../scripts/minilm.sh" "$python")
MODEL=$model exec "$python" "$here/rag.py" "$@"

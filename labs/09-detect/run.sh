#!/usr/bin/env bash
# run.sh - lab 09 with a Python that has pymilvus; every flag goes to detect.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../setup.sh")
exec "$python" "$here/detect.py" "$@"

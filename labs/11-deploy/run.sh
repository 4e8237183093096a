#!/usr/bin/env bash
# run.sh - lab 11 with a Python that has pymilvus; every flag goes to deploy.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../setup.sh")
exec "$python" "$here/deploy.py" "$@"

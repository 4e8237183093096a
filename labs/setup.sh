#!/usr/bin/env bash
# setup.sh - print the path of a Python that has what the labs need: pymilvus.
#
# Made once, in the cache directory of scripts/deps.sh; later calls only look.
# PYMILVUS=3.0.2 (or 2.4.15) takes another version.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh" "${PYMILVUS:-2.6.17}"

#!/usr/bin/env bash
# Every test, from a fresh machine; arguments go to pytest:
#   bash scripts/test.sh [tests/test_store.py -k resume ...]
# WORKERS=N runs N tests side by side (0: in one process).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

prepare_venv test
cd "$root"
# A file stays on one worker, so that what its tests share is made once.
exec "$python" -m pytest -n "${WORKERS:-2}" --dist loadfile "$@"

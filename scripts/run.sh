#!/usr/bin/env bash
# The first study, from a fresh machine to a report:
#   bash scripts/run.sh [WORKDIR] [--smoke] [--config.data.source=FILE] ...
# WORKDIR is runs/deaths_transfer of this clone unless given. Works from any folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

workdir="$root/runs/deaths_transfer"
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  workdir=$1
  shift
fi
prepare_venv
# -P: packages come from the install, whatever lies in the current folder.
exec "$python" -P -m experiments.deaths_transfer --workdir="$workdir" "$@"

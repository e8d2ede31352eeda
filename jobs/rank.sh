#!/usr/bin/env bash
# Starts one rank: sets its node up and becomes the program, the site's or FILE. Called by the launchers:
# jobs/rank.sh SITE [--program FILE] COMMAND OPTIONS...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOVETAIL_SITE=$1
shift
dry_run=false # whatever the environment has
# shellcheck source=jobs/launch.sh
source jobs/launch.sh
read_site
if [[ "${1:-}" == --program ]]; then
  program=("$2")
  shift 2
fi
prepare_node
command -v "${program[0]}" >/dev/null ||
  die "no program at ${program[0]} on $(uname -n). Build it (jobs/quickstart.sh), or see program in $site"
exec "${program[@]}" "$@"

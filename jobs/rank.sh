#!/usr/bin/env bash
# Starts one rank: sets its node up and becomes the program. Called by the launchers: jobs/rank.sh SITE COMMAND OPTIONS...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOVETAIL_SITE=$1
shift
# shellcheck source=jobs/launch.sh
source jobs/launch.sh
read_site
prepare_node
command -v "${program[0]}" >/dev/null ||
  die "no program at ${program[0]} on $(uname -n). Build it (jobs/quickstart.sh), or see program in $site"
exec "${program[@]}" "$@"

#!/usr/bin/env bash
# Trains over the hosts of a host file with plain mpirun: jobs/mpirun/train.sh [HOSTS] [MORE_OPTIONS...]
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<END
Usage: jobs/mpirun/train.sh [--dry-run] [HOSTS] [MORE_OPTIONS...]

Trains \`cnn\` on Fashion-MNIST over the hosts of a host file. jobs/site.env, or the file that DOVETAIL_SITE names, says
how many nodes and devices there are, and the options of mpirun. Build and make the shards first (jobs/quickstart.sh
does both). Every host sees this folder at the same path (NFS, Lustre …), or has a copy of it there.

  --dry-run       print the command, for a shell
  HOSTS           a host file of Open MPI (default: jobs/mpirun/hosts)
  MORE_OPTIONS    go to \`dovetail train\`
END
}

dry_run=false
if [[ "${1:-}" == --dry-run ]]; then
  dry_run=true
  shift
fi
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  -*) usage >&2; exit 2 ;;
esac
hosts=${1:-jobs/mpirun/hosts}
if (($# > 0)); then shift; fi
if [[ "$hosts" != /* && -e "$caller/$hosts" ]]; then hosts=$caller/$hosts; fi

# shellcheck source=jobs/launch.sh
source jobs/launch.sh
read_site
[[ -f "$hosts" && -r "$hosts" ]] || die "cannot read the host file $hosts"
count_ranks "$gpu_nodes" "$fpga_nodes"
set_training runs/hosts "$@"
set_mpirun_options
if ((emulated_cards > 0)); then mpirun_options+=(--oversubscribe); fi
ranks=$((gpu_ranks + fpga_ranks))
if has_ranks_of "$hosts" "$ranks"; then ranks_here=true; fi
command=(mpirun --hostfile "$hosts" -n "$ranks" "${mpirun_options[@]}" "${training[@]}")
run cd "$PWD"
prepare_node
if $dry_run; then run "${command[@]}"; else run_job "${command[@]}"; fi

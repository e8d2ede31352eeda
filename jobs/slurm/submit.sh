#!/usr/bin/env bash
# Submits a job with the nodes, partitions and account of jobs/site.env: jobs/slurm/submit.sh KIND [SBATCH_OPTIONS...] [-- MORE_OPTIONS...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<END
Usage: jobs/slurm/submit.sh [--dry-run] train|hetjob [SBATCH_OPTIONS...] [-- MORE_OPTIONS...]

Submits jobs/slurm/train.sbatch (one partition, kinds of nodes told apart by feature) or jobs/slurm/hetjob.sbatch (a
partition of GPU nodes and one of FPGA nodes) with what jobs/site.env says, or the file that DOVETAIL_SITE names.

  --dry-run         print the sbatch command, for a shell
  SBATCH_OPTIONS    such as --time=08:00:00 or --wait
  MORE_OPTIONS      go to \`dovetail train\`
END
}

dry_run=false
if [[ "${1:-}" == --dry-run ]]; then
  dry_run=true
  shift
fi
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  train | hetjob) kind=$1; shift ;;
  *) usage >&2; exit 2 ;;
esac
options=()
while (($# > 0)); do
  if [[ "$1" == -- ]]; then shift; break; fi
  options+=("$1")
  shift
done

# shellcheck source=jobs/launch.sh
source jobs/launch.sh
read_site
[[ -z "$account" ]] || sbatch_options+=(--account="$account")

if [[ "$kind" == hetjob ]]; then
  ((fpga_nodes > 0)) || die "$site has fpga_nodes=0: submit train"
  command=(sbatch "${sbatch_options[@]}" --partition="$gpu_partition" --nodes="$gpu_nodes" "${gpu_request[@]}" "${options[@]}" :
    "${sbatch_options[@]}" --partition="$fpga_partition" --nodes="$fpga_nodes" "${fpga_request[@]}" jobs/slurm/hetjob.sbatch "$@")
else
  [[ -z "$partition" ]] || sbatch_options+=(--partition="$partition")
  if ((fpga_nodes > 0)); then
    [[ -n "$gpu_feature" && -n "$fpga_feature" ]] ||
      die "$site: FPGA nodes on one partition are told apart by gpu_feature and fpga_feature, of which one is empty"
    sbatch_options+=(--constraint="[$gpu_feature*$gpu_nodes&$fpga_feature*$fpga_nodes]")
  else
    sbatch_options+=("${gpu_request[@]}") # with FPGA nodes it would be asked of them too
    [[ -z "$gpu_feature" ]] || sbatch_options+=(--constraint="$gpu_feature")
  fi
  command=(sbatch "${sbatch_options[@]}" --nodes=$((gpu_nodes + fpga_nodes)) "${options[@]}" jobs/slurm/train.sbatch "$@")
fi
run cd "$PWD"
[[ -z "${DOVETAIL_SITE:-}" ]] || run export DOVETAIL_SITE="$DOVETAIL_SITE" # the job reads it again
$dry_run || exec "${command[@]}"
run "${command[@]}"

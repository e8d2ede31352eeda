#!/usr/bin/env bash
# Runs a command on a node of a heterogeneous Slurm job, as ssh would: on_node.sh NODE COMMAND...
set -euo pipefail
node=$1
shift
for ((group = 0; group < SLURM_HET_SIZE; group++)); do
  nodes=SLURM_JOB_NODELIST_HET_GROUP_$group
  if scontrol show hostnames "${!nodes}" | grep -xF "$node" >/dev/null; then
    # Slurm's notice is for Open MPI's daemon and its ranks, which have handlers, not for the shell that starts it.
    exec srun --het-group="$group" --nodelist="$node" --nodes=1 --ntasks=1 --overlap --kill-on-bad-exit=1 \
      sh -c "trap '' USR1; $*"
  fi
done
echo "on_node.sh: $node is in no component of job $SLURM_JOB_ID" >&2
exit 1

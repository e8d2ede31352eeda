#!/usr/bin/env bash
# Trains over the hosts of a host file with plain mpirun: jobs/mpirun/train.sh [HOSTS] [MORE_OPTIONS...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<END
Usage: jobs/mpirun/train.sh [HOSTS] [MORE_OPTIONS...]

Trains \`cnn\` on Fashion-MNIST over the hosts of a host file, 8 GPU ranks and 2 FPGA ranks; edit it for your cluster.
Build and make the shards first (jobs/quickstart.sh does both).

  HOSTS           a host file of Open MPI (default: jobs/mpirun/hosts)
  MORE_OPTIONS    go to \`dovetail train\`
END
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  -*) usage >&2; exit 2 ;;
esac
hosts=${1:-jobs/mpirun/hosts}
if (($# > 0)); then shift; fi

# Every host sees this folder at the same path (NFS, Lustre …), or has a copy of it there.
# Ranks of a host are not bound to cores: a rank drives a device and reads ahead in threads.
exec mpirun --hostfile "$hosts" --map-by slot --bind-to none build/release/dovetail train \
  --data data/fashion-mnist --model cnn --batch 1024 --epochs 3 --gpu-ranks 8 --fpga-ranks 2 \
  --out runs/hosts "$@"

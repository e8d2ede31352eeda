#!/usr/bin/env bash
# Trains over the hosts of a host file with plain mpirun: jobs/mpirun/train.sh [HOSTS] [MORE_OPTIONS...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

hosts=${1:-jobs/mpirun/hosts}
if (($# > 0)); then shift; fi

# Every host sees this folder at the same path (NFS, Lustre …), or has a copy of it there.
# Ranks of a host are not bound to cores: a rank drives a device and reads ahead in threads.
exec mpirun --hostfile "$hosts" --map-by slot --bind-to none build/release/dovetail train \
  --data data/fashion-mnist --model cnn --batch 1024 --epochs 3 --gpu-ranks 8 --fpga-ranks 2 \
  --out runs/hosts "$@"

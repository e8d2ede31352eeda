#!/usr/bin/env bash
# Takes a fresh Debian 12 or Ubuntu 24.04 to the summary of a first job: packages, build, shards, training.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<END
Usage: jobs/quickstart.sh [--dry-run]

Installs the missing packages, builds, makes shards of Fashion-MNIST and trains a small CNN on two GPU ranks while
one FPGA rank evaluates it in int8. What is done already is not done again; each call trains into a folder of its own
below runs/.

  --dry-run   print what would be done, as commands for a shell, and do nothing

DOVETAIL_FASHION_MNIST=FOLDER   where the four IDX files are, plain or .gz (default: Debian's dataset-fashion-mnist)
END
}

dry_run=false
case "${1:-}" in
  "") ;;
  --dry-run) dry_run=true ;;
  --help | -h) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

cd "$root"
# shellcheck source=jobs/steps.sh
source jobs/steps.sh

dovetail=build/release/dovetail
shards=data/fashion-mnist
images=${DOVETAIL_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}

# The shards are made aside and renamed, so that a call that was broken off leaves nothing half made.
make_shards() {
  if [[ -d "$shards" ]]; then
    say "Shards: $shards is there."
    return
  fi
  run rm -rf "$shards.part"
  make_split train train "$shards.part"
  make_split test t10k "$shards.part"
  run mv "$shards.part" "$shards"
}

# The first of runs/quickstart, runs/quickstart-2, … that is free: no earlier result is overwritten.
free_run_folder() {
  local folder=runs/quickstart number=2
  while [[ -e "$folder" ]]; do folder=runs/quickstart-$((number++)); done
  echo "$folder"
}

# Without XRT the build has no FPGA ranks to offer. Says so by its exit code.
has_fpga_side() {
  local cache=build/release/CMakeCache.txt
  [[ -e "$cache" ]] || return 0 # a dry run, before the first build
  grep -q '^DOVETAIL_HAS_EMULATED_CARD:INTERNAL=ON' "$cache" ||
    { [[ -n "${XILINX_XRT:-}" ]] && grep -q '^DOVETAIL_HAS_XRT:INTERNAL=ON' "$cache"; }
}

# train RUN_FOLDER
train() {
  local fpga_ranks=1
  need mpirun "Install or load an MPI, such as Open MPI."
  if ! has_fpga_side; then
    say "No XRT with an emulated card in this build: training on the GPU ranks alone."
    fpga_ranks=0
  fi
  allow_mpi_as_root
  run mpirun -n $((2 + fpga_ranks)) --oversubscribe --bind-to none "$dovetail" train --data "$shards" --model cnn \
    --epochs 3 --batch 128 --gpu-ranks 2 --fpga-ranks "$fpga_ranks" --out "$1"
}

say "== Packages"
if [[ -n "${DOVETAIL_FASHION_MNIST:-}" ]]; then data_packages=(); fi
ensure_packages "${build_packages[@]}" -- "${fpga_packages[@]}" "${data_packages[@]}"
if [[ ! -d "$shards" ]]; then
  # A dry run has not installed the package with the images.
  if ! $dry_run || [[ -n "${DOVETAIL_FASHION_MNIST:-}" ]]; then check_images; fi
fi

say "== Build"
# Tests need more packages and time: a first build leaves them to jobs/test.sh.
if [[ -e build/release/CMakeCache.txt ]]; then build; else build -DDOVETAIL_TESTS=OFF; fi

say "== Shards"
make_shards

say "== Training"
out=$(free_run_folder)
train "$out"

if $dry_run; then exit 0; fi
say "== Done. All paths are in $root; '$dovetail --help' says what else it can do."

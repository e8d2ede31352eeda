#!/usr/bin/env bash
# Installs the missing packages, builds, and runs all tests.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<END
Usage: jobs/test.sh [--dry-run] [-- CTEST_OPTIONS...]

Installs the missing packages, builds the release preset and runs all tests through ctest, whose closing lines and
exit code are this script's. In CI (CI=true) a warning of the compiler is an error.

  --dry-run   say what would be done, and do nothing
  --          what follows goes to ctest: jobs/test.sh -- -R shards
END
}

dry_run=false
while (($# > 0)); do
  case "$1" in
    --dry-run) dry_run=true ;;
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

cd "$root"
# shellcheck source=jobs/steps.sh
source jobs/steps.sh

say "== Packages"
more_packages=()
# Daemons of a cluster are nothing to install unasked on anyone's machine.
if [[ "${CI:-}" == true ]]; then more_packages+=("${cluster_packages[@]}"); fi
ensure_packages "${build_packages[@]}" "${test_packages[@]}" -- "${oracle_packages[@]}" "${fpga_packages[@]}" "${data_packages[@]}" \
  "${more_packages[@]}"

say "== Build"
options=(-DDOVETAIL_TESTS=ON)
if [[ "${CI:-}" == true ]]; then options+=(-DDOVETAIL_WERROR=ON); fi
build "${options[@]}"

say "== Tests"
allow_mpi_as_root
run ctest --preset release --no-tests=error --parallel "$(nproc)" "$@"

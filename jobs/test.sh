#!/usr/bin/env bash
# Installs the missing packages, builds, and runs all tests.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<END
Usage: jobs/test.sh [--dry-run] [--sanitizers] [-- CTEST_OPTIONS...]

Installs the missing packages, builds the release preset and runs all tests through ctest, whose closing lines and
exit code are this script's. In CI (CI=true) a warning of the compiler is an error, and --sanitizers is on.

  --dry-run      print what would be done, as commands for a shell, and do nothing
  --sanitizers   before that, the presets asan-quick and tsan-quick: a part of the tests under the address,
                 undefined-behaviour and thread sanitizers. What they find ends the script at once
  --             what follows goes to ctest: jobs/test.sh -- -R shards
END
}

# Thread sanitizers of before 2024 end where addresses are as random as on newer kernels.
at_fixed_addresses() {
  if setarch "$(uname -m)" -R true 2>/dev/null; then run setarch "$(uname -m)" -R "$@"; else run "$@"; fi
}

dry_run=false
sanitizers=${CI:-false}
while (($# > 0)); do
  case "$1" in
    --dry-run) dry_run=true ;;
    --sanitizers) sanitizers=true ;;
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

options=()
if [[ "${CI:-}" == true ]]; then options+=(-DDOVETAIL_WERROR=ON); fi
allow_mpi_as_root

if [[ "$sanitizers" == true ]]; then
  for preset in asan-quick tsan-quick; do
    say "== Sanitizers: $preset"
    run cmake --preset "$preset" "${options[@]}"
    # The build starts the tests too, to list them.
    at_fixed_addresses cmake --build --preset "$preset" --parallel "$(nproc)"
    at_fixed_addresses ctest --preset "$preset" --no-tests=error --parallel "$(nproc)"
  done
fi

say "== Build"
build -DDOVETAIL_TESTS=ON "${options[@]}"

say "== Tests"
run ctest --preset release --no-tests=error --parallel "$(nproc)" "$@"

# The steps that the scripts in this folder share. Sourced, not run; the caller sets `root` and stands in it.
# shellcheck shell=bash
# shellcheck source=jobs/packages.sh
source "$root/jobs/packages.sh"

dry_run=${dry_run:-false}

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# run COMMAND...: runs it, or in a dry run prints it.
run() {
  if $dry_run; then say "+ $*"; else "$@"; fi
}

# need COMMAND HINT: ends with one line where the command is missing.
need() {
  command -v "$1" >/dev/null || $dry_run || die "$1 is missing. $2"
}

# build CMAKE_OPTIONS...: configures and builds the release preset; quick where nothing changed.
build() {
  need cmake "Install or load CMake 3.23 or newer."
  need ninja "Install or load Ninja."
  run cmake --preset release "$@"
  run cmake --build --preset release --parallel "$(nproc)"
}

# Open MPI runs as root only when told twice; in a container root is the usual user.
allow_mpi_as_root() {
  if ((EUID == 0)); then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
}

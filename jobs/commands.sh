# How the scripts here run commands, or print them in a dry run, and how they end with one line. Sourced, not run.
# shellcheck shell=bash

[[ "${dry_run:-}" == true ]] || dry_run=false

# say WORDS...: for who reads along; in a dry run a comment, so that all that is printed can go to a shell.
say() {
  if $dry_run; then printf '# %s\n' "$*"; else printf '%s\n' "$*"; fi
}

die() {
  printf '%s: %s\n' "${job_script:-${0##*/}}" "$*" >&2
  exit 1
}

# run COMMAND...: runs it, or in a dry run prints it as a line for a shell.
run() {
  local line
  if ! $dry_run; then
    "$@"
    return
  fi
  printf -v line '%q ' "$@"
  printf '%s\n' "${line% }"
}

# Open MPI runs as root only when told twice; in a container root is the usual user.
allow_mpi_as_root() {
  ((EUID != 0)) || run export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}

# The Debian and Ubuntu packages that Dovetail needs, and how the missing ones get installed. Sourced, not run.
# shellcheck shell=bash

build_packages=(
  g++ cmake ninja-build pkg-config
  libopenmpi-dev openmpi-bin                               # MPI
  ocl-icd-opencl-dev opencl-headers pocl-opencl-icd        # OpenCL, and PoCL: OpenCL on the CPU
  libhdf5-dev zlib1g-dev                                   # shards and checkpoints
  libboost-program-options-dev nlohmann-json3-dev libfmt-dev libspdlog-dev libssl-dev
)
fpga_packages=(libxrt-dev libxrt1 uuid-dev)                # Xilinx XRT; not in every release
data_packages=(dataset-fashion-mnist)
test_packages=(libgtest-dev libgmock-dev python3-h5py)
oracle_packages=(verilator libsystemc-dev)               # Verilog units and fixed point against tools not of our making
cluster_packages=(slurmctld slurmd slurm-client munge iproute2 procps)   # clusters on one machine, for CI as root

is_installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

is_offered() {
  local policy
  policy=$(apt-cache policy "$1" 2>/dev/null)
  [[ "$policy" == *"Candidate: "[!\(]* ]]
}

missing_of() {
  local package
  for package in "$@"; do
    is_installed "$package" || echo "$package"
  done
}

offered_of() {
  local package
  for package in "$@"; do
    if is_offered "$package"; then echo "$package"; fi
  done
}

# as_root COMMAND...: runs it as root, through sudo where needed, or in a dry run prints it.
as_root() {
  if ((EUID == 0)); then run "$@"; else run sudo "$@"; fi
}

# can_be_root: whether as_root may succeed. On a cluster's login node sudo is often there, and refuses.
can_be_root() {
  ((EUID != 0)) || return 0
  command -v sudo >/dev/null || return 1
  $dry_run || sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }
}

# ensure_packages REQUIRED... [-- OPTIONAL...]: installs what is missing, and says so first. Without apt, or without
# a way to become root, it says what is needed and leaves it to the tools that are there.
ensure_packages() {
  local required=() optional=() missing=() absent=()
  while (($# > 0)) && [[ "$1" != -- ]]; do required+=("$1"); shift; done
  if (($# > 0)); then shift; optional=("$@"); fi

  if ! command -v apt-get >/dev/null; then
    say "No apt here: going on with the tools and modules that are loaded. Needed are what Debian calls ${required[*]}."
    return
  fi
  mapfile -t missing < <(missing_of "${required[@]}" "${optional[@]}")
  if ((${#missing[@]} == 0)); then
    say "Packages: all there."
    return
  fi
  if ! can_be_root; then
    say "Missing packages: ${missing[*]}. Neither root nor sudo here: going on with what is there."
    return
  fi

  say "Missing packages: ${missing[*]}"
  as_root apt-get -o DPkg::Lock::Timeout=120 update -qq
  # Only after the update is it known what this release offers.
  mapfile -t absent < <(comm -23 <(missing_of "${optional[@]}" | sort) <(offered_of "${optional[@]}" | sort))
  if ((${#absent[@]} > 0)); then
    say "Not in this release, going on without: ${absent[*]}"
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vxF "$(printf '%s\n' "${absent[@]}")")
  fi
  ((${#missing[@]} > 0)) || return 0
  say "Installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "${missing[@]}"
}

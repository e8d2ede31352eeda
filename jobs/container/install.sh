#!/usr/bin/env bash
# Builds and installs the program into /opt/dovetail, for an image that other machines run: jobs/container/install.sh
# As root, in a fresh Debian 12 with this repository; called by jobs/container/dovetail.def.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
case "${1:-}" in
  "") ;;
  --help | -h) sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) echo "install.sh: it takes no options" >&2; exit 2 ;;
esac
cd "$root"
# shellcheck source=jobs/steps.sh
source jobs/steps.sh

ensure_packages "${build_packages[@]}" -- "${fpga_packages[@]}"
# The emulated card's kernels must run on other processors than this one.
build -DDOVETAIL_TESTS=OFF -DDOVETAIL_EMULATED_NATIVE=OFF

cmake --install build/release --prefix /opt/dovetail

# NVIDIA's OpenCL comes from the host (apptainer --nv) and needs only to be announced; without it, nothing is found there.
mkdir -p /etc/OpenCL/vendors
echo libnvidia-opencl.so.1 >/etc/OpenCL/vendors/nvidia.icd
/opt/dovetail/bin/dovetail devices

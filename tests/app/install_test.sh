#!/bin/sh
# Installs the build into a folder of its own, whose program lists the devices, the emulated card among them:
# install_test.sh CMAKE BUILD_FOLDER HAS_EMULATED_CARD
set -eu
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
"$1" --install "$2" --prefix "$prefix" >/dev/null
devices=$(env -u DOVETAIL_CARD_FOLDER "$prefix/bin/dovetail" devices)
echo "$devices"
[ "$3" = 0 ] || echo "$devices" | grep -q "^emulated FPGA .* yes"
[ -z "$(find "$prefix" -name 'card_fixture*')" ]

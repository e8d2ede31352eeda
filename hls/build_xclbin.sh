#!/bin/sh
# Builds one kernel family of the inference engine for a real card with v++:
#   hls/build_xclbin.sh w1|w2|w4|w8 u280|u55c [OUTPUT FOLDER]
# Needs Vitis 2022.1 or newer on the PATH (source settings64.sh) and the card's platform in PLATFORM. Takes hours.
# Not yet run through Vitis: options after UG1393.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
refuse() {
  echo "build_xclbin: $2" >&2
  exit "$1"
}

[ $# -ge 2 ] || refuse 2 "usage: hls/build_xclbin.sh w1|w2|w4|w8 u280|u55c [OUTPUT FOLDER]"
family=$1 card=$2 out=${3:-card/xclbin}
case $family in w1 | w2 | w4 | w8) ;; *) refuse 2 "unknown kernel family '$family'; known: w1, w2, w4, w8" ;; esac
case $card in u280 | u55c) ;; *) refuse 2 "unknown card '$card'; known: u280, u55c" ;; esac
command -v v++ > /dev/null ||
  refuse 3 "v++ was not found: install AMD Vitis 2022.1 or newer and source its settings64.sh"
[ -n "${PLATFORM:-}" ] ||
  refuse 3 "PLATFORM is not set: give the $card's platform, such as xilinx_u280_gen3x16_xdma_1_202211_1"

bits=${family#w}
work=$out/$family.$card.build
mkdir -p "$work"
sed "s/@WEIGHT_BITS@/$bits/g" "$here/engine/layers.cpp.in" > "$work/$family.cpp"
sed "s/@WEIGHT_BITS@/$bits/g" "$here/engine/$card.cfg.in" > "$work/$card.cfg"

# compile KERNEL SOURCE: one kernel to one .xo file.
compile() {
  v++ -c -t hw --platform "$PLATFORM" -k "$1" -I "$here" -I "$here/vitis" -I "$here/../src" \
    --temp_dir "$work/$1.tmp" "$2" -o "$work/$1.xo"
}
compile "conv2d_$family" "$work/$family.cpp"
compile "dense_$family" "$work/$family.cpp"
compile max_pool "$here/engine/max_pool.cpp"
compile quantise_input "$here/engine/quantise_input.cpp"
v++ -l -t hw --platform "$PLATFORM" --config "$work/$card.cfg" --temp_dir "$work/link.tmp" \
  "$work/conv2d_$family.xo" "$work/dense_$family.xo" "$work/max_pool.xo" "$work/quantise_input.xo" \
  -o "$out/$family.xclbin"

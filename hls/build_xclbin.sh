#!/bin/sh
# Builds one kernel family for a real card with v++:
#   hls/build_xclbin.sh FAMILY u280|u55c [OUTPUT FOLDER]
# FAMILY: w1, w2, w4, w8 (the inference engine, by the bits of its weights) or training_int8, training_fixed16, training_bfp (contributed
# gradients, and inference in these formats). Needs Vitis 2022.1 or newer on the PATH (source settings64.sh) and the card's platform
# in PLATFORM. Takes hours. Not yet run through Vitis: options after UG1393.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
families="w1 w2 w4 w8 training_int8 training_fixed16 training_bfp"
refuse() {
  echo "build_xclbin: $2" >&2
  exit "$1"
}

[ $# -ge 2 ] || refuse 2 "usage: hls/build_xclbin.sh FAMILY u280|u55c [OUTPUT FOLDER], with FAMILY one of $families"
family=$1 card=$2 out=${3:-card/xclbin}
case " $families " in *" $family "*) ;; *) refuse 2 "unknown kernel family '$family'; known: $families" ;; esac
case $card in u280 | u55c) ;; *) refuse 2 "unknown card '$card'; known: u280, u55c" ;; esac
command -v v++ > /dev/null ||
  refuse 3 "v++ was not found: install AMD Vitis 2022.1 or newer and source its settings64.sh"
[ -n "${PLATFORM:-}" ] ||
  refuse 3 "PLATFORM is not set: give the $card's platform, such as xilinx_u280_gen3x16_xdma_1_202211_1"

work=$out/$family.$card.build
mkdir -p "$work"
objects=

# compile KERNEL SOURCE [FOLDER]: one kernel to one .xo file; FOLDER's headers come before all others.
compile() {
  v++ -c -t hw --platform "$PLATFORM" -k "$1" ${3:+-I "$3"} -I "$here" -I "$here/vitis" -I "$here/../src" \
    --temp_dir "$work/$1.tmp" "$2" -o "$work/$1.xo"
  objects="$objects $1.xo"
}

case $family in
  w*)
    sed "s/@WEIGHT_BITS@/${family#w}/g" "$here/engine/layers.cpp.in" > "$work/$family.cpp"
    sed "s/@WEIGHT_BITS@/${family#w}/g; s/@CARD@/$card/" "$here/engine/link.cfg.in" > "$work/$card.cfg"
    compile "conv2d_$family" "$work/$family.cpp"
    compile "dense_$family" "$work/$family.cpp"
    compile max_pool "$here/engine/max_pool.cpp"
    compile quantise_input "$here/engine/quantise_input.cpp"
    ;;
  training_*)
    sed "s/@CARD@/$card/" "$here/training/link.cfg.in" > "$work/$card.cfg"
    for source in "$here"/training/train_*.cpp; do
      kernel=${source##*/}
      compile "${kernel%.cpp}" "$source" "$here/training/${family#training_}"
    done
    ;;
esac
config=$(cd "$work" && pwd)/$card.cfg
xclbin=$(cd "$out" && pwd)/$family.xclbin
cd "$work"
# shellcheck disable=SC2086  # names without spaces
v++ -l -t hw --platform "$PLATFORM" --config "$config" --temp_dir link.tmp $objects -o "$xclbin"

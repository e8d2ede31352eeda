#!/bin/sh
# hls/build_xclbin.sh refuses what it cannot do with one line and a non-zero exit code, and hands v++ each kernel of a
# family and the link configuration of the card: here v++ only writes down what it was asked.
set -u
root=$1
script=$root/hls/build_xclbin.sh
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# expect CODE TEXT command...: the exit code, and one line on standard error that holds TEXT.
expect() {
  code=$1 text=$2
  shift 2
  said=$("$@" 2>&1 >/dev/null)
  got=$?
  lines=$(printf '%s\n' "$said" | wc -l)
  if [ "$got" -ne "$code" ] || [ "$lines" -ne 1 ] || ! printf '%s' "$said" | grep -q -- "$text"; then
    fail "$*: exit $got, said: $said"
  fi
}

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
for tool in sh sed mkdir dirname pwd cat; do
  ln -s "$(command -v $tool)" "$empty/$tool" 2>/dev/null || true
done

expect 2 "unknown kernel family" "$script" w3 u280
expect 2 "unknown card" "$script" w1 u50
expect 2 "usage" "$script" w1
expect 3 "v++ was not found" env PATH="$empty" XILINX_VITIS= "$script" w1 u280
cat > "$empty/v++" <<'END'
#!/bin/sh
# Writes "compile KERNEL" or "link" beside itself, and checks what it is given: sources define their kernel, objects and the
# configuration are there and agree.
here=$(dirname "$0") kernel='' output='' source='' config='' objects='' mode=''
set -e
while [ $# -gt 0 ]; do
  case $1 in
    -c) mode=compile ;;
    -l) mode=link ;;
    -k) kernel=$2; shift ;;
    -o) output=$2; shift ;;
    --config) config=$2; shift ;;
    -I) [ -d "$2" ]; includes="${includes:-} -I$2"; shift ;;
    -t | --platform | --temp_dir) shift ;;
    *.cpp) source=$1 ;;
    *.xo) objects="$objects $1" ;;
    *) echo "v++: unknown argument $1" >&2; exit 1 ;;
  esac
  shift
done
if [ $mode = compile ]; then
  grep -q "extern \"C\" void $kernel(" "$source"
  case "$source" in *train_*) echo "$includes" | grep -q "^ -I[^ ]*/hls/training/" ;; esac
  echo "$kernel" > "$output"
else
  for object in $objects; do grep -q "^nk=$(cat "$object"):" "$config"; done
  [ "$(grep -c ^nk= "$config")" -eq "$(echo $objects | wc -w)" ]
  # Ports of HBM; and each unit has its ports and its place.
  [ "$(grep -c ^sp= "$config")" -le 31 ]
  for unit in $(sed -n 's/^nk=[^:]*:[0-9]*://p' "$config" | tr . ' '); do
    grep -q "^sp=$unit\\." "$config"
    grep -q "^slr=$unit:SLR[0-2]$" "$config"
  done
  for unit in $(sed -n 's/^\(sp\|slr\)=\([a-z0-9_]*\)[.:].*/\2/p' "$config"); do grep -q "^nk=.*[:.]$unit\(\.\|$\)" "$config"; done
  echo "$objects" > "$output"
fi
echo "$mode $kernel" >> "$here/calls"
END
chmod +x "$empty/v++"
expect 3 "PLATFORM" env PATH="$empty" PLATFORM= "$script" w8 u55c

# builds FAMILY KERNELS: both cards, each kernel compiled once, one link.
builds() {
  for card in u280 u55c; do
    : > "$empty/calls"
    if ! PATH="$empty:$PATH" PLATFORM=a_platform "$script" "$1" $card "$empty/out/$card" ||
      [ ! -s "$empty/out/$card/$1.xclbin" ] || [ "$(grep -c compile "$empty/calls")" -ne "$2" ] ||
      [ "$(grep -c link "$empty/calls")" -ne 1 ]; then
      fail "$1 for $card: $(cat "$empty/calls")"
    fi
  done
}
for family in w1 w2 w4 w8; do builds $family 4; done
for family in training_int8 training_fixed16 training_bfp; do builds $family 5; done
exit "$failures"

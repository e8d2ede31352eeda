#!/bin/sh
# hls/build_xclbin.sh refuses what it cannot do with one line and a non-zero exit code.
set -u
script=$1/hls/build_xclbin.sh
failures=0

# expect CODE TEXT command...: the exit code, and one line on standard error that holds TEXT.
expect() {
  code=$1 text=$2
  shift 2
  said=$("$@" 2>&1 >/dev/null)
  got=$?
  lines=$(printf '%s\n' "$said" | wc -l)
  if [ "$got" -ne "$code" ] || [ "$lines" -ne 1 ] || ! printf '%s' "$said" | grep -q -- "$text"; then
    echo "FAILED: $*: exit $got, said: $said"
    failures=$((failures + 1))
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
printf '#!/bin/sh\nexit 0\n' > "$empty/v++"
chmod +x "$empty/v++"
expect 3 "PLATFORM" env PATH="$empty" PLATFORM= "$script" w8 u55c
exit "$failures"

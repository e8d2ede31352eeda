# Makes a data set of noise for tests of how jobs end. Sourced, not run.
# shellcheck shell=bash

octal_bytes() {
  local value
  for value; do printf %b "\\0$(printf %03o "$value")"; done
}

# noise_shards PROGRAM FOLDER TRAIN_SAMPLES TEST_SAMPLES: 28x28 noise with the classes 0 to 9 in turn; whether it can be
# learnt does not matter.
noise_shards() {
  local split samples=$3 i
  for split in train test; do
    { octal_bytes 0 0 8 3 0 0 $((samples / 256)) $((samples % 256)) 0 0 0 28 0 0 0 28 &&
      head -c $((samples * 784)) /dev/urandom; } >"$2.images"
    { octal_bytes 0 0 8 1 0 0 $((samples / 256)) $((samples % 256)) &&
      for ((i = 0; i < samples; i++)); do octal_bytes $((i % 10)); done; } >"$2.labels"
    "$1" shard --format idx --images "$2.images" --labels "$2.labels" --split "$split" --out "$2" >/dev/null
    samples=$4
  done
  rm "$2.images" "$2.labels"
}

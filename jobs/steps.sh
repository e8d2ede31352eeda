# The steps that the scripts in this folder share. Sourced, not run; the caller sets `root` and stands in it, and for
# Fashion-MNIST sets `images` and `dovetail`.
# shellcheck shell=bash
# shellcheck source=jobs/commands.sh
source "$root/jobs/commands.sh"
# shellcheck source=jobs/packages.sh
source "$root/jobs/packages.sh"

run cd "$root"

# need COMMAND HINT: ends with one line where the command is missing.
need() {
  command -v "$1" >/dev/null || $dry_run || die "$1 is missing. $2"
}

# build CMAKE_OPTIONS...: configures and builds the release preset; quick where nothing changed. A new tree is compiled
# eight files at a time, which takes less time in all; one that was configured by hand stays as it is.
build() {
  need cmake "Install or load CMake 3.23 or newer."
  need ninja "Install or load Ninja."
  if [[ ! -e build/release/CMakeCache.txt ]]; then set -- "$@" -DDOVETAIL_UNITY=ON; fi
  run cmake --preset release "$@"
  run cmake --build --preset release --parallel "$(nproc)"
}

# idx_file NAME: the file of that name among the images, plain or compressed.
idx_file() {
  if [[ -r "$images/$1" ]]; then echo "$images/$1"; else echo "$images/$1.gz"; fi
}

# Before the build, so that nobody waits for it in vain.
check_images() {
  local name
  for name in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do
    [[ -r "$(idx_file "$name")" ]] || die "no $name or $name.gz in $images. Get the four IDX files of Fashion-MNIST \
(https://github.com/zalandoresearch/fashion-mnist) and set DOVETAIL_FASHION_MNIST to their folder."
  done
}

# make_split SPLIT PREFIX FOLDER OPTIONS...: one split of the shards.
make_split() {
  run "$dovetail" shard --format idx --images "$(idx_file "$2-images-idx3-ubyte")" \
    --labels "$(idx_file "$2-labels-idx1-ubyte")" --split "$1" --out "$3" --name fashion-mnist "${@:4}"
}

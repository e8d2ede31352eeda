#!/usr/bin/env bash
# Checks the scripts in jobs/ without installing or building anything: jobs_test.sh CHECK
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset DOVETAIL_FASHION_MNIST CI DOVETAIL_SITE
cd /

# A copy of jobs/ in a folder whose name has a space, where nothing is built yet.
checkout="$scratch/my checkout"
mkdir "$checkout"
cp -r "$repository/jobs" "$checkout/jobs"

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

expect_text() {
  [[ "$output" == *"$1"* ]] || fail "no '$1' in:"$'\n'"$output"
}

expect_no_text() {
  [[ "$output" != *"$1"* ]] || fail "'$1' in:"$'\n'"$output"
}

# expect_exit CODE COMMAND...: runs it, keeps all that it prints in `output`.
expect_exit() {
  local expected=$1 code=0
  shift
  output=$("$@" 2>&1) || code=$?
  ((code == expected)) || fail "'$*' ended with $code, not $expected:"$'\n'"$output"
}

# Puts commands in front of the real ones that answer as on a system where libfmt-dev and libssl-dev are missing, XRT
# is not offered and all else is installed.
pretend_packages_missing() {
  mkdir "$scratch/bin"
  cat >"$scratch/bin/dpkg-query" <<'END'
#!/bin/sh
for package; do :; done
case $package in libfmt-dev | libssl-dev | libxrt*) exit 1 ;; *) echo installed ;; esac
END
  cat >"$scratch/bin/apt-cache" <<'END'
#!/bin/sh
case $2 in libxrt*) echo "  Candidate: (none)" ;; *) echo "  Candidate: 1.0" ;; esac
END
  printf '#!/bin/sh\nexit 1\n' | tee "$scratch/bin/apt-get" >"$scratch/bin/sudo"
  chmod +x "$scratch"/bin/*
  PATH="$scratch/bin:$PATH"
}

# in_steps CODE COMMANDS: runs them in a shell that has sourced steps.sh; bash itself is all that is in its PATH.
in_steps() {
  expect_exit "$1" "$BASH" -c "set -euo pipefail; root='$checkout'; source '$checkout/jobs/steps.sh'; PATH=/none; $2"
}

all_scripts() {
  find "$repository/jobs" "$repository/tests/jobs" -name '*.sh' -o -name '*.sbatch'
  echo "$repository/.ci/run"
}

check_syntax() {
  local script opening
  mapfile -t scripts < <(all_scripts)
  ((${#scripts[@]} >= 7)) || fail "only ${#scripts[@]} scripts found"
  for script in "${scripts[@]}"; do
    bash -n "$script" || fail "$script"
    opening=$(sed -n '/^#!/!{p;q}' "$script")
    [[ "$opening" == "# "* ]] || fail "$script does not open with a sentence"
  done
  for script in jobs/quickstart.sh jobs/test.sh jobs/boost-ablation.sh jobs/mpirun/train.sh jobs/rank.sh \
    jobs/slurm/submit.sh jobs/slurm/on_node.sh .ci/run; do
    [[ -x "$repository/$script" ]] || fail "$script is not executable"
  done
}

check_lint() {
  if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not installed"
    exit 77
  fi
  mapfile -t scripts < <(all_scripts)
  cd "$repository"
  # The sourced files are read along with those that source them.
  mapfile -t scripts < <(printf '%s\n' "${scripts[@]}" | grep -v -e /commands.sh -e /packages.sh -e /steps.sh)
  shellcheck --external-sources "${scripts[@]}" jobs/site.env jobs/sites/*.env
}

# The definition of the image, and what it copies and calls; `apptainer build` needs a registry and half an hour.
check_container() {
  local file="$repository/jobs/container/dovetail.def" section from to script
  [[ "$(grep -c '^%' "$file")" == 6 ]] || fail "other sections than files, post, environment, runscript, test and labels"
  # section NAME: its lines.
  section() { awk -v wanted="%$1" '/^%/ { inside = $1 == wanted; next } inside' "$file"; }
  while read -r from to; do
    [[ -n "$to" ]] || continue
    [[ -e "$repository/$from" ]] || fail "%files copies $from, which is not there"
    [[ "$to" == "/opt/dovetail/source/$from" ]] || fail "%files copies $from to $to"
  done < <(section files)
  # What the build reads without tests must be among them.
  for from in $(cd "$repository" && git ls-files 2>/dev/null | cut -d / -f 1 | sort -u | grep -xE 'src|kernels|hls|jobs|CMake.*'); do
    section files | grep -q "^ *$from " || fail "%files lacks $from"
  done
  for section in post environment runscript test; do
    script="$scratch/$section.sh"
    { echo "#!/bin/sh"; section "$section"; } >"$script"
    [[ $(wc -l <"$script") -gt 1 ]] || fail "%$section is empty"
    sh -n "$script" || fail "%$section"
    if command -v shellcheck >/dev/null; then shellcheck "$script"; fi
  done
  from=$(section post | awk '{ print $1; exit }')
  [[ -x "$repository/${from#/opt/dovetail/source/}" ]] || fail "%post calls $from, which is not there"
  expect_exit 0 "$checkout/jobs/container/install.sh" --help
  expect_text "jobs/container/install.sh"
  expect_exit 2 "$checkout/jobs/container/install.sh" --no-such-option
}

check_help_and_refusal() {
  local script
  for script in quickstart test boost-ablation scaling mpirun/train slurm/submit; do
    expect_exit 0 "$checkout/jobs/$script.sh" --help
    expect_text "Usage: jobs/$script.sh"
    expect_exit 2 "$checkout/jobs/$script.sh" --no-such-option
    expect_text "Usage: jobs/$script.sh"
  done
}

check_quickstart_from_another_folder() {
  expect_exit 0 "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "cmake --preset release -DDOVETAIL_TESTS=OFF"
  expect_text "--split train --out data/fashion-mnist.part"
  expect_text "--split test --out data/fashion-mnist.part"
  expect_text "mpirun -n 3"
  expect_text "--out runs/quickstart"
  [[ "$(ls "$checkout")" == jobs ]] || fail "the dry run left something behind: $(ls "$checkout")"

  # What is done already is found in the checkout, wherever the caller stands, and not done again.
  mkdir -p "$checkout"/{build/release,data/fashion-mnist,runs/quickstart}
  echo DOVETAIL_HAS_EMULATED_CARD:INTERNAL=ON >"$checkout/build/release/CMakeCache.txt"
  expect_exit 0 "$checkout/jobs/quickstart.sh" --dry-run
  expect_no_text DOVETAIL_TESTS=OFF
  expect_text "Shards: data/fashion-mnist is there."
  expect_no_text "dovetail shard"
  expect_text "--gpu-ranks 2 --fpga-ranks 1 --out runs/quickstart-2"
}

check_quickstart_without_xrt() {
  mkdir -p "$checkout/build/release"
  printf 'DOVETAIL_HAS_XRT:INTERNAL=ON\nDOVETAIL_HAS_EMULATED_CARD:INTERNAL=OFF\n' \
    >"$checkout/build/release/CMakeCache.txt"
  expect_exit 0 env -u XILINX_XRT "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "training on the GPU ranks alone"
  expect_text "mpirun -n 2"
  expect_text "--gpu-ranks 2 --fpga-ranks 0"

  # With a real XRT chosen, the card is the user's.
  expect_exit 0 env XILINX_XRT=/opt/xilinx/xrt "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "mpirun -n 3"
}

check_test_from_another_folder() {
  expect_exit 0 "$checkout/jobs/test.sh" --dry-run -- -R shards
  expect_text "cmake --preset release -DDOVETAIL_TESTS=ON"
  expect_no_text WERROR
  expect_no_text asan-quick
  expect_text "ctest --preset release"
  expect_text "-R shards"
  expect_exit 0 "$checkout/jobs/test.sh" --dry-run --sanitizers
  expect_text "ctest --preset tsan-quick"
  expect_no_text WERROR
  expect_exit 0 env CI=true "$checkout/jobs/test.sh" --dry-run
  expect_text "-DDOVETAIL_WERROR=ON"
  expect_text "ctest --preset asan-quick"
  expect_text "ctest --preset tsan-quick"
}

check_sites() {
  # submitted OPTIONS...: the sbatch command, from another folder.
  submitted() { expect_exit 0 "$checkout/jobs/slurm/submit.sh" --dry-run "$@"; }
  submitted train --time=5 -- --epochs 7
  expect_text "sbatch --constraint=gpu --nodes=2 --time=5 jobs/slurm/train.sbatch --epochs 7"
  expect_exit 1 "$checkout/jobs/slurm/submit.sh" --dry-run hetjob
  expect_text "fpga_nodes=0: submit train"

  export DOVETAIL_SITE=jobs/sites/alveo.env
  submitted train
  expect_text '--account=project_4711 --constraint=\[gpu\*2\&fpga\*1\] --nodes=3'
  submitted hetjob --time=5 -- --epochs 7
  expect_text "--partition=accelerated --nodes=2 --gpus-per-node=4 --time=5 : "
  expect_text " : --account=project_4711 --partition=fpga --nodes=1 --gres=fpga:2 jobs/slurm/hetjob.sbatch --epochs 7"

  export DOVETAIL_SITE=jobs/sites/without-cards.env
  expect_exit 0 "$checkout/jobs/mpirun/train.sh" --dry-run jobs/mpirun/hosts --epochs 7 --batch=64
  expect_text "--hostfile jobs/mpirun/hosts -n 9 "
  expect_text "train --gpu-ranks 8 --fpga-ranks 1 --fpga-backend emulated"
  expect_text "--model cnn --out runs/hosts --epochs 7 --batch=64" # and no second --epochs or --batch
  expect_exit 0 "$checkout/jobs/mpirun/train.sh" --dry-run jobs/mpirun/hosts --steps 100
  expect_no_text "--epochs"
  expect_exit 0 "$checkout/jobs/mpirun/train.sh" --dry-run jobs/mpirun/hosts --fpga-backend card
  expect_text "--out runs/hosts --fpga-backend card"
  expect_no_text "emulated"
  expect_exit 1 "$checkout/jobs/mpirun/train.sh" --dry-run jobs/mpirun/hosts --fpga-ranks=2
  expect_text "--fpga-ranks: what ranks there are is said in jobs/sites/without-cards.env"
  DOVETAIL_SITE=missing.env expect_exit 1 "$checkout/jobs/mpirun/train.sh" --dry-run
  expect_text "cannot read missing.env"
}

# What a dry run prints is given to a shell, in another folder, whose commands write down the words that they get.
check_dry_runs_are_commands() {
  mkdir -p "$scratch/bin" "$scratch/my images" "$checkout/build/release"
  touch "$scratch/my images/"{train,t10k}-{images-idx3,labels-idx1}-ubyte "$scratch/my hosts"
  cat >"$scratch/bin/cmake" <<END
#!/bin/bash
printf '<%s>' "\${0##*/}" "\$@" >>"$scratch/words"
echo " in \$PWD, site \${DOVETAIL_SITE:-none}" >>"$scratch/words"
[[ "\${0##*/} \$1" != "dovetail shard" ]] || mkdir -p data/fashion-mnist.part
END
  chmod +x "$scratch/bin/cmake"
  local name
  for name in ctest mpirun sbatch apt-get sudo; do cp "$scratch/bin/cmake" "$scratch/bin/$name"; done
  cp "$scratch/bin/cmake" "$checkout/build/release/dovetail"
  mkdir "$checkout/data"
  # pasted COMMAND...: its dry run as a script; the words are then in `output`.
  pasted() {
    expect_exit 0 "$@"
    echo "$output" >"$scratch/script"
    : >"$scratch/words"
    PATH="$scratch/bin:$PATH" expect_exit 0 "$BASH" -eu "$scratch/script"
    output=$(<"$scratch/words")
  }
  export DOVETAIL_FASHION_MNIST="$scratch/my images"
  pasted "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "<cmake><--preset><release><-DDOVETAIL_TESTS=OFF><-DDOVETAIL_UNITY=ON> in $checkout,"
  expect_text "<--images><$scratch/my images/train-images-idx3-ubyte>"
  expect_text "<mpirun><-n><3>"
  [[ -d "$checkout/data/fashion-mnist" ]] || fail "the shards were not given their name"
  pasted "$checkout/jobs/test.sh" --dry-run -- -R 'shards|a model'
  expect_text "<-R><shards|a model> in $checkout,"
  pasted "$checkout/jobs/mpirun/train.sh" --dry-run "$scratch/my hosts" --out "a 'quoted' & \$more"
  expect_text "<mpirun><--hostfile><$scratch/my hosts><-n><8>"
  expect_text "<--out><a 'quoted' & \$more> in $checkout,"
  export DOVETAIL_SITE=jobs/sites/alveo.env
  pasted "$checkout/jobs/slurm/submit.sh" --dry-run hetjob --comment="two words" -- --model mlp
  expect_text "<--comment=two words><:>"
  expect_text "<--model><mlp> in $checkout, site jobs/sites/alveo.env"
  pasted "$checkout/jobs/slurm/submit.sh" --dry-run train
  expect_text "<--constraint=[gpu*2&fpga*1]><--nodes=3>"
}

check_wrong_sites() {
  export DOVETAIL_SITE="$scratch/my site.env"
  # refused LINE WORDS COMMAND...: with a site of that line behind the defaults, each command says why in one line.
  refused() {
    printf 'source "%s/jobs/site.env"\n%s\n' "$checkout" "$1" >"$DOVETAIL_SITE"
    expect_exit 1 "${@:3}"
    [[ "$output" == *"$2"* && $(wc -l <<<"$output") == 1 ]] || fail "not one line with '$2':"$'\n'"$output"
  }
  local train=("$checkout/jobs/mpirun/train.sh" --dry-run) submit=("$checkout/jobs/slurm/submit.sh" --dry-run train)
  refused "unset launcher" "my site.env does not set launcher" "${train[@]}"
  refused "unset mpi_options" "my site.env does not set mpi_options" "${submit[@]}"
  refused "emulated_cards=1 fpga_nodes=1" "emulated_cards is for sites without FPGA nodes" "${train[@]}"
  refused "unset gpu_nodes" "my site.env does not set gpu_nodes" "$checkout/jobs/rank.sh" "$DOVETAIL_SITE" train
  refused "program=(/none/dovetail)" "rank.sh: no program at /none/dovetail on" "$checkout/jobs/rank.sh" "$DOVETAIL_SITE" train
  refused "gpu_nodes=two" "my site.env: gpu_nodes=two is no whole number" "${submit[@]}"
  refused "cards_per_node=" "my site.env: cards_per_node= is no whole number" "${train[@]}"
  refused "start_timeout_s=1.5" "my site.env: start_timeout_s=1.5 is no whole number" "${train[@]}"
  refused "launcher=mpiexec" "launcher=mpiexec; known are" "${train[@]}"
  refused "gpu_nodes=0" "no GPU node" "${train[@]}"
  refused "fpga_nodes=1 gpu_feature=" "gpu_feature and fpga_feature, of which one is empty" "${submit[@]}"
  echo "gpu_nodes=2" >"$DOVETAIL_SITE"
  expect_exit 1 "${train[@]}"
  expect_text "Begin it with \`source jobs/site.env\`"
  export DOVETAIL_SITE=$scratch # a folder
  expect_exit 1 "${train[@]}"
  expect_text "cannot read $scratch"
}

check_host_files() {
  local hosts="$scratch/my hosts" script="$checkout/jobs/mpirun/train.sh"
  expect_exit 1 "$script" --dry-run "$hosts"
  expect_text "train.sh: cannot read the host file $hosts"
  echo "gpu1 slots=8" >"$hosts"
  cd "$scratch"
  expect_exit 0 "$script" --dry-run "my hosts" # of the caller's folder
  expect_text "--hostfile ${hosts/my hosts/my\\ hosts} -n 8 "

  # starts_here CODE "RANKS [EACH]" LINES...: whether some of the ranks are on this host.
  starts_here() {
    printf '%s\n' "${@:3}" >"$hosts"
    expect_exit "$1" "$BASH" -c "source '$checkout/jobs/launch.sh'; has_ranks_of '$hosts' $2"
  }
  local me
  me=$(uname -n)
  starts_here 0 4 "$me slots=4"
  starts_here 0 4 "other slots=2" "user@$me slots = 2"
  starts_here 0 1 "localhost"
  starts_here 1 4 "other slots=4" "$me slots=4"
  starts_here 1 4 "other" "$me"
  starts_here 1 4 "# not $me" "other slots=8 # nor $me"
  starts_here 1 4 "$me-2 slots=4"
  starts_here 0 "4 2" "other slots=4" "$me slots=4"
  starts_here 1 "2 2" "other slots=1" "$me slots=1"
}

check_scaling_refusals() {
  mkdir "$scratch/data"
  echo "{}" >"$scratch/data/manifest.json"
  local scaling=(env DOVETAIL=/bin/false "$checkout/jobs/scaling.sh" --data "$scratch/data" --out "$scratch/runs" --ranks "1,3")
  expect_exit 1 "${scaling[@]}" --hosts 1,3
  expect_text "scaling.sh: 3 hosts: give a --hostfile"
  expect_exit 1 "${scaling[@]}" --hosts 1,2
  expect_text "scaling.sh: 3 ranks cannot be spread evenly over 2 hosts"
  expect_exit 1 "${scaling[@]}" --hosts 1,3 --hostfile "$scratch/missing"
  expect_text "scaling.sh: cannot read the host file $scratch/missing"
  expect_exit 1 "${scaling[@]}" --hosts 1,2,3
  expect_text "--hosts has 3 entries, --ranks 2"
  [[ ! -e "$scratch/runs" ]] || fail "something has begun to run"
}

# Under what is to be called mpirun, which starts nothing.
check_scaling_ranks() {
  mkdir "$scratch/bin" "$scratch/data"
  echo "{}" >"$scratch/data/manifest.json"
  cat >"$scratch/bin/mpirun" <<END
#!/bin/bash
trap 'touch "$scratch/told"; exit 1' TERM
printf '<%s>' "\$@" >"$scratch/words"
[[ ! -e "$scratch/fifo" ]] || read -rt 60 <>"$scratch/fifo" # no child
exit 1
END
  chmod +x "$scratch/bin/mpirun"
  printf '%s\n' "source '$checkout/jobs/site.env'" "program=(/bin/true) start_timeout_s=2" >"$scratch/site.env"
  uname -n >"$scratch/hosts"
  local scaling=(env DOVETAIL_SITE="$scratch/site.env" PATH="$scratch/bin:$PATH" "$checkout/jobs/scaling.sh"
    --data "$scratch/data" --out "$scratch/runs" --ranks 2 --hostfile "$scratch/hosts") log="$scratch/runs/weak/2-on-1/1/log.txt"
  expect_exit 1 "${scaling[@]}"
  expect_text "failed, see $log"
  output=$(<"$scratch/words")
  expect_text "<-n><2>"
  expect_text "<bash><jobs/rank.sh><$scratch/site.env><train>"
  expect_exit 1 env DOVETAIL=/bin/bash "${scaling[@]}"
  output=$(<"$scratch/words")
  expect_text "<bash><jobs/rank.sh><$scratch/site.env><--program><$(realpath /bin/bash)><train>"
  expect_exit 0 "$checkout/jobs/rank.sh" "$scratch/site.env" --program /bin/echo train --steps 5
  [[ "$output" == "train --steps 5" ]] || fail "the rank was given: $output"

  # A daemon that does not report, and a signal to the script.
  mkfifo "$scratch/fifo"
  expect_exit 1 "${scaling[@]}"
  grep -q "mpirun has started no rank in 2 s" "$log" || fail "no line says that nothing has started: $(<"$log")"
  rm "$scratch/words"
  "${scaling[@]}" >"$scratch/output" 2>&1 &
  local job=$! code=0
  until [[ -e "$scratch/words" ]]; do sleep 0.05; done
  kill -TERM "$job"
  wait "$job" || code=$?
  ((code == 1)) || fail "after SIGTERM the script ended with $code: $(<"$scratch/output")"
  [[ -e "$scratch/told" ]] || fail "SIGTERM has not reached mpirun"
}

# Set-ups that others wrote use variables that are not set; shells that ssh starts have no modules.
check_node_setup() {
  cat >"$scratch/setup.sh" <<'END'
export XILINX_XRT=/opt/xilinx/xrt
export LD_LIBRARY_PATH=$XILINX_XRT/lib:$LD_LIBRARY_PATH
export PYTHONPATH=$XILINX_XRT/python:$PYTHONPATH
false | cat
false
echo "a greeting"
END
  cat >"$scratch/site.env" <<END
source "$checkout/jobs/site.env"
xrt_setup="$scratch/setup.sh"
modules=(\${test_modules:-})
program=(bash -c 'echo "XRT in \$XILINX_XRT, options \$-, arguments \$*"' bash)
END
  local rank=(env -u LD_LIBRARY_PATH -u PYTHONPATH "$checkout/jobs/rank.sh" "$scratch/site.env" train)
  expect_exit 0 "${rank[@]}"
  expect_text "XRT in /opt/xilinx/xrt"
  expect_text "arguments train"
  expect_no_text "greeting"
  export test_modules=gcc/12
  if ! compgen -G '/etc/profile.d/*mod*.sh' >/dev/null; then
    expect_exit 1 "${rank[@]}"
    expect_text "there is no command module on"
  fi
  # shellcheck disable=SC2317
  module() { echo "loaded $2 beside $UNSET_VARIABLE"; }
  export -f module
  expect_exit 0 "${rank[@]}"
  expect_text "loaded gcc/12"
  expect_text "XRT in /opt/xilinx/xrt"
  # shellcheck disable=SC2317
  module() { false; }
  export -f module
  expect_exit 1 "${rank[@]}"
  expect_text "module load gcc/12 failed on"
  echo "return 3" >"$scratch/setup.sh"
  unset test_modules
  expect_exit 1 env -u XILINX_XRT "${rank[@]}"
  expect_text "$scratch/setup.sh did not set XILINX_XRT on"
}

# A script in ssh's place starts a daemon for two seconds; what is to be called mpirun goes on for four more.
check_agents_are_no_ranks() {
  cat >"$scratch/mpirun" <<'END'
#!/bin/bash
if [[ $1 == agent ]]; then sleep 2; exit; fi
bash "$0" agent /usr/bin/orted -mca ess env &
wait
[[ $1 == alone ]] || "$BASH" -c 'sleep 2; true' rank.sh train
read -rt 4 <>"$0.fifo" || true # no child
END
  # job RANKS CODE: by its own patience it is ended at the second look that finds its ranks gone.
  job() {
    expect_exit "$2" "$BASH" -c "source '$checkout/jobs/launch.sh'; ranks_here=true sigkill_timeout_s=-2 start_timeout_s=60
      run_job '$scratch/mpirun' $1"
  }
  mkfifo "$scratch/mpirun.fifo"
  chmod +x "$scratch/mpirun"
  job alone 0
  expect_no_text "still waits"
  job with_rank 137
  expect_text "mpirun still waits although its ranks here have ended"
}

check_missing_images() {
  mkdir "$scratch/images"
  touch "$scratch/images/"{train-images-idx3,train-labels-idx1,t10k-images-idx3}-ubyte.gz
  export DOVETAIL_FASHION_MNIST="$scratch/images"
  expect_exit 1 "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "quickstart.sh: no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz in $scratch/images"
  expect_text "set DOVETAIL_FASHION_MNIST"
  expect_no_text "== Build"

  touch "$scratch/images/t10k-labels-idx1-ubyte"
  expect_exit 0 "$checkout/jobs/quickstart.sh" --dry-run
  expect_text "--labels $scratch/images/t10k-labels-idx1-ubyte --split test"
  expect_text "--labels $scratch/images/train-labels-idx1-ubyte.gz --split train"
}

check_installs_what_is_missing() {
  pretend_packages_missing
  expect_exit 0 "$checkout/jobs/test.sh" --dry-run
  expect_text "Missing packages: libfmt-dev libssl-dev libxrt-dev libxrt1"
  expect_text "update -qq"
  expect_text "Not in this release, going on without: libxrt-dev libxrt1"
  expect_text "Installing libfmt-dev libssl-dev"
  expect_text "install -y -qq --no-install-recommends libfmt-dev libssl-dev"
  expect_no_text "recommends libfmt-dev libssl-dev libxrt"
}

check_goes_on_without_apt() {
  in_steps 0 'ensure_packages g++ cmake -- libxrt-dev; say "went on"'
  expect_text "No apt here"
  expect_text "g++ cmake"
  expect_text "went on"
}

check_goes_on_without_root() {
  if ((EUID == 0)) && ! command -v setpriv >/dev/null; then
    echo "skipped: no setpriv to drop root with"
    exit 77
  fi
  pretend_packages_missing
  # A login node's sudo refuses its users.
  if ((EUID == 0)); then
    chmod -R a+rX "$scratch"
    expect_exit 0 setpriv --reuid 65534 --regid 65534 --clear-groups \
      "$BASH" -c "set -euo pipefail; root='$checkout'; source '$checkout/jobs/steps.sh'; ensure_packages libfmt-dev; echo went on" </dev/null
    expect_text "Neither root nor sudo here"
    expect_text "went on"
  fi
  rm "$scratch/bin/sudo"
  if PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v sudo >/dev/null; then
    echo "skipped: sudo is installed"
    exit 77
  fi
  local drop=()
  if ((EUID == 0)); then drop=(setpriv --reuid 65534 --regid 65534 --clear-groups); fi
  chmod -R a+rX "$scratch"
  expect_exit 0 "${drop[@]}" "$checkout/jobs/test.sh" --dry-run
  expect_text "Neither root nor sudo here"
  expect_no_text "apt-get"
  expect_text "ctest --preset release"
}

check_missing_tool() {
  in_steps 1 'need mpirun "Install or load an MPI, such as Open MPI."'
  expect_text "mpirun is missing. Install or load an MPI"
}

"check_${1:?which check?}"

# How the scripts in jobs/mpirun and jobs/slurm start a job at this site. Sourced from the repository's root, not run.
# shellcheck shell=bash
# shellcheck source=jobs/commands.sh
source "${BASH_SOURCE[0]%/*}/commands.sh"

# What a site's file must set; of it, what are whole numbers.
site_settings=(modules xrt_setup program data partition gpu_feature fpga_feature gpu_partition fpga_partition account
  gpu_request fpga_request sbatch_options launcher srun_options network_interface mpi_options)
site_numbers=(gpu_nodes gpus_per_node fpga_nodes cards_per_node emulated_cards sigkill_timeout_s start_timeout_s)

# read_site: the settings of DOVETAIL_SITE, or of jobs/site.env. In `rank`: what the words of the program's command go behind,
# for a launcher to start a rank.
read_site() {
  local name
  site=${DOVETAIL_SITE:-jobs/site.env}
  [[ -f "$site" && -r "$site" ]] || die "cannot read $site in $PWD. Set DOVETAIL_SITE to a file like jobs/site.env"
  # shellcheck source=jobs/site.env
  source "$site"
  for name in "${site_settings[@]}" "${site_numbers[@]}"; do
    declare -p "$name" &>/dev/null || die "$site does not set $name. Begin it with \`source jobs/site.env\`, which sets all"
  done
  for name in "${site_numbers[@]}"; do
    [[ "${!name}" =~ ^(0|[1-9][0-9]*)$ ]] || die "$site: $name=${!name} is no whole number"
  done
  [[ "$launcher" == mpirun || "$launcher" == srun ]] || die "$site: launcher=$launcher; known are mpirun and srun"
  rank=(bash jobs/rank.sh "$site")
}

# lenient COMMAND...: runs what others wrote for shells that pass over unset variables and failures.
lenient() {
  local options
  options=$(set +o)
  set +eu +o pipefail
  "$@"
  local code=$?
  eval "$options"
  [[ "$code" == 0 ]]
}

# load_modules: the site's modules; shells that ssh starts do not have the command yet.
load_modules() {
  local start
  for start in /etc/profile.d/{z00_lmod,lmod,modules}.sh; do
    [[ "$(type -t module)" != function && -r "$start" ]] || continue
    # shellcheck source=/dev/null
    lenient source "$start" || true
  done
  [[ -n "$(type -t module)" ]] || die "$site wants modules (${modules[*]}), and there is no command module on $(uname -n)"
  lenient module load "${modules[@]}" || die "module load ${modules[*]} failed on $(uname -n). See modules in $site"
}

# prepare_node: what a shell on a node needs before MPI and the program run.
prepare_node() {
  ((${#modules[@]} == 0)) || load_modules
  if [[ -n "$xrt_setup" && -r "$xrt_setup" ]]; then
    lenient source "$xrt_setup" >/dev/null || true  # its last test may be false
    [[ -n "${XILINX_XRT:-}" ]] || die "$xrt_setup did not set XILINX_XRT on $(uname -n). See xrt_setup in $site"
  fi
  allow_mpi_as_root
}

# count_ranks GPU_NODES FPGA_NODES: how many ranks of each role they run, in gpu_ranks and fpga_ranks.
count_ranks() {
  gpu_ranks=$(($1 * gpus_per_node))
  fpga_ranks=$(($2 * cards_per_node + emulated_cards))
  ((gpu_ranks > 0)) || die "no GPU node, so no rank would train. See gpu_nodes and gpu_feature in $site"
  ((emulated_cards == 0 || $2 == 0)) || die "emulated_cards is for sites without FPGA nodes. Set one of the two to 0 in $site"
}

# spread GPU_NODES FPGA_NODES: "HOST RANKS" a line, from two lists of names that a space separates.
spread() {
  local node extra=$emulated_cards
  for node in $1; do
    echo "$node $((gpus_per_node + extra))"
    extra=0
  done
  for node in $2; do echo "$node $cards_per_node"; done
}

# The options of mpirun at this site, in mpirun_options.
set_mpirun_options() {
  mpirun_options=("${mpi_options[@]}" --mca odls_base_sigkill_timeout "$sigkill_timeout_s")
  if [[ -n "$network_interface" ]]; then
    mpirun_options+=(--mca btl_tcp_if_include "$network_interface" --mca oob_tcp_if_include "$network_interface")
  fi
}

# set_srun_environment: what mpirun gets as options at this site, for ranks that srun starts.
set_srun_environment() {
  local i
  for ((i = 0; i + 2 < ${#mpi_options[@]}; i++)); do
    if [[ "${mpi_options[i]}" == --mca ]]; then export "OMPI_MCA_${mpi_options[i + 1]}=${mpi_options[i + 2]}"; fi
  done
  [[ -z "$network_interface" ]] || export OMPI_MCA_btl_tcp_if_include="$network_interface"
}

# set_training OUT MORE_OPTIONS...: the command of one rank, in training. What MORE_OPTIONS says goes before what stands here.
set_training() {
  local out=$1 option value
  shift
  training=("${rank[@]}" train --gpu-ranks "$gpu_ranks" --fpga-ranks "$fpga_ranks")
  for option in --gpu-ranks --fpga-ranks; do
    [[ " $* " != *" $option"[\ =]* ]] || die "$option: what ranks there are is said in $site"
  done
  while read -r option value; do
    [[ "$option" == --fpga-backend ]] && ((emulated_cards == 0)) && continue # the devices decide
    [[ "$option" == --epochs && " $* " == *" --steps"[\ =]* ]] && continue # either says when training ends
    [[ " $* " == *" $option"[\ =]* ]] || training+=("$option" "$value")
  done <<<"--fpga-backend emulated
--data $data
--model cnn
--batch 1024
--epochs 3
--out $out"
  training+=("$@")
}

# Slurm's notice (#SBATCH --signal=B:USR1@120) comes to the script alone. srun passes it on to its tasks; mpirun passes on
# none, but its children do: ranks of this node, and the srun that started its daemons, which tell their ranks. One rank
# that gets it is enough.
pass_on_notice() {
  again=true noticed=true
  echo "SIGUSR1: the ranks are asked for a checkpoint"
  pkill -USR1 --parent "$job" || true
  kill -USR1 "$job" || true
}

# has_ranks: whether mpirun has ranks on this host. Its other children start its daemons, by ssh, srun or a script, and have
# orted among their words; a child that has only been forked still has mpirun's own words.
# grep reads all: were it to end first, pgrep's failure to write on would be the answer.
has_ranks() { pgrep --parent "$job" --list-full | grep -vE '^[0-9]+ ([^ ]*/)?(srun|mpirun) |[ /]orted( |$)' >/dev/null; }

# mpirun waits for ever for a daemon that ended before it reported, and a quarter of an hour for the one of a host that is cut
# off. Ends it where no rank of this host has started in time, and once they all are gone. `ranks_here` says whether it has any.
end_with_ranks() {
  local seen=false gone=0 waited=0
  while kill -0 "$job" 2>/dev/null; do
    sleep 1
    if has_ranks; then
      seen=true gone=0
    elif $seen && ((++gone > 2 * sigkill_timeout_s + 5)); then
      echo "mpirun still waits although its ranks here have ended: a host is cut off, and is left alone" >&2
      kill -KILL "$job"
    elif ! $seen && $ranks_here && ((++waited > start_timeout_s)); then
      echo "mpirun has started no rank in $start_timeout_s s: the daemon of some host does not report. See that orted runs on\
 every host (ssh HOST orted --version) and reaches this one over ${network_interface:-the network}" >&2
      kill -KILL "$job"
    fi
  done
}

ranks_here=false

# has_ranks_of HOSTS RANKS [EACH]: whether mpirun starts any of so many ranks on this host. It fills the hosts of the file in
# their order, with EACH ranks or as many as the file says; where it does not, that may be all.
has_ranks_of() {
  awk -v ranks="$2" -v each="${3:-0}" -v names="localhost 127.0.0.1 $(uname -n) $(uname -n | cut -d. -f1)" '
    BEGIN { count = split(names, list, " "); for (i = 1; i <= count; ++i) mine[list[i]] = 1 }
    { sub(/#.*/, ""); sub(/^ *[^ ]*@/, "") }
    NF == 0 { next }
    ranks <= 0 { exit }
    $1 in mine { found = 1; exit }
    each > 0 { ranks -= each; next }
    match($0, /slots *= *[0-9]+/) { slots = substr($0, RSTART, RLENGTH); sub(/[^0-9]*/, "", slots); ranks -= slots; next }
    { exit }
    END { exit !found }' <"$1"
}

need_pgrep() {
  command -v pgrep >/dev/null || die "pgrep and pkill are missing, which see to the ranks. Install procps"
}

# run_job COMMAND...: runs a launcher and waits for it; SIGUSR1, SIGTERM and SIGINT reach it. Its exit code is the launcher's.
# In `stopped`: whether SIGTERM or SIGINT came, whatever that code says.
run_job() {
  local code=0 watcher
  need_pgrep
  # shellcheck disable=SC2034 # scaling.sh asks for `stopped`
  again=false noticed=false stopped=false
  "$@" &
  job=$!
  trap pass_on_notice USR1
  trap 'again=true stopped=true; kill -TERM "$job"' TERM
  trap 'again=true stopped=true' INT # the launcher has it too, from the terminal
  end_with_ranks &
  watcher=$!
  wait "$job" || code=$?
  while $again; do # a signal has broken off the wait
    again=false code=0
    wait "$job" || code=$?
  done
  kill "$watcher" 2>/dev/null || true
  return "$code"
}

# run_and_requeue COMMAND...: the same in a batch job of Slurm. Where the ranks have stopped for its notice, which their exit
# code 75 says, the job is queued again; Slurm then ends this script. Not left to the ranks: a container may lack scontrol.
run_and_requeue() {
  local code=0
  run_job "$@" || code=$?
  if $noticed && ((code == 75)); then
    trap '' TERM
    if scontrol requeue "$SLURM_JOB_ID"; then
      echo "job $SLURM_JOB_ID is queued again"
    else
      echo "scontrol requeue $SLURM_JOB_ID failed: queue the job again by hand; it resumes" >&2
    fi
  fi
  return "$code"
}

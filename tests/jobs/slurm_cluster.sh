# A Slurm cluster of two nodes, gpu1 and fpga1, on this machine. Sourced, not run; needs root, slurmctld, slurmd and munge.
# shellcheck shell=bash

# why_no_cluster: the reason why there can be none here, or nothing.
why_no_cluster() {
  local tool
  if ((EUID != 0)); then
    echo "not root"
    return
  fi
  for tool in slurmctld slurmd munged sbatch srun unshare; do
    if ! command -v "$tool" >/dev/null; then
      echo "$tool is not installed (Debian: slurmctld slurmd slurm-client munge)"
      return
    fi
  done
  unshare --uts true 2>/dev/null || echo "no name spaces for host names here"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_cluster FOLDER: both nodes have the names that Slurm knows them by, as on a real cluster, in UTS name spaces of
# their own. Partitions: all (the default), gpu, fpga. Sets SLURM_CONF.
start_cluster() {
  cluster=$1
  local host node
  host=$(hostname -s)
  mkdir -p "$cluster"/{state,munge,{spool,tmp}.{gpu1,fpga1}}
  chmod 700 "$cluster/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge/key")
  cat >"$cluster/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
# A job that is queued again waits for its credential to expire.
AuthInfo=socket=$cluster/munge/socket,cred_expire=5
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool.%n
# Slurm's PMIx makes a folder of the same name there on every node.
TmpFS=$cluster/tmp.%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.%n.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.%n.log
SlurmctldDebug=verbose
SlurmdDebug=debug
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
KillWait=10
NodeName=gpu1 NodeHostname=gpu1 NodeAddr=127.0.0.1 Port=$(free_port) CPUs=$(nproc) Feature=gpu State=UNKNOWN
NodeName=fpga1 NodeHostname=fpga1 NodeAddr=127.0.0.1 Port=$(free_port) CPUs=$(nproc) Feature=fpga State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=60 State=UP
PartitionName=fpga Nodes=fpga1 MaxTime=60 State=UP
END
  export SLURM_CONF="$cluster/slurm.conf"
  munged --force --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" --pid-file="$cluster/munge/pid" \
    --log-file="$cluster/munge/log" --seed-file="$cluster/munge/seed"
  slurmctld -f "$SLURM_CONF"
  for node in gpu1 fpga1; do
    # shellcheck disable=SC2016
    unshare --uts sh -c 'hostname "$0" && exec slurmd -N "$0" -f "$1"' "$node" "$SLURM_CONF"
  done
  for _ in {1..100}; do
    [[ $(sinfo --noheader --Node --partition=all --format=%t 2>/dev/null | xargs) != "idle idle" ]] || return 0
    sleep 0.1
  done
  tail -n 20 "$cluster"/*.log >&2
  return 1
}

# show_cluster JOB: what the daemons and processes of a job have come to, for whoever must find out why it hangs.
show_cluster() {
  local pid
  echo "== scontrol show job $1"
  scontrol show job "$1"
  echo "== scontrol show step $1"
  scontrol show step "$1"
  echo "== sinfo"
  sinfo --Node --long
  echo "== processes of the nodes, and what their threads wait in"
  for pid in $(pgrep -f "slurmd -N (gpu1|fpga1) -f $SLURM_CONF|slurmstepd: \\[|^srun |slurm_script"); do
    ps -o pid,ppid,stat,etime,args --no-headers -p "$pid"
    ps -o pid,ppid,stat,etime,args --no-headers --ppid "$pid" | sed 's/^/    /'
    sort "/proc/$pid"/task/*/wchan 2>/dev/null | uniq -c | sed 's/^/        /; s/$/ /'
  done
  tail -n 200 "$cluster"/slurmctld.log "$cluster"/slurmd.*.log
}

# stop_cluster: ends the jobs, then the daemons, and waits for them.
stop_cluster() {
  local file pid
  [[ -n "${cluster:-}" && -e "$cluster/slurm.conf" ]] || return 0
  scancel --user=root 2>/dev/null || true
  for _ in {1..150}; do
    [[ -n $(squeue --noheader 2>/dev/null) ]] || break
    sleep 0.1
  done
  for file in "$cluster"/slurmd.*.pid "$cluster/slurmctld.pid" "$cluster/munge/pid"; do
    [[ -s "$file" ]] || continue
    pid=$(<"$file")
    kill "$pid" 2>/dev/null || true
    for _ in {1..100}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
  done
}

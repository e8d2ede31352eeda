# Four hosts, host1 to host4, made of network and UTS name spaces on this machine, on one switch. Sourced, not run; needs
# root. The file system is that of this machine, as if they shared it.
# shellcheck shell=bash

# why_no_hosts: the reason why there can be none here, or nothing.
why_no_hosts() {
  if ((EUID != 0)); then
    echo "not root"
  elif ! command -v ip >/dev/null; then
    echo "ip is not installed (Debian: iproute2)"
  elif ! unshare --uts --net ip link add type bridge 2>/dev/null; then
    echo "no name spaces or no bridges here"
  fi
}

# start_hosts FOLDER: the hosts, with an agent in FOLDER/on_host that runs a command on one of them, as ssh would.
start_hosts() {
  spaces=dovetail-$$
  local switch=$spaces-switch number
  ip netns add "$switch"
  ip -n "$switch" link add switch type bridge
  ip -n "$switch" link set switch up
  for number in 1 2 3 4; do
    ip netns add "$spaces-host$number"
    ip -n "$switch" link add "port$number" type veth peer name eth0 netns "$spaces-host$number"
    ip -n "$switch" link set "port$number" master switch up
    ip -n "$spaces-host$number" address add "10.77.0.$number/24" dev eth0
    ip -n "$spaces-host$number" link set eth0 up
    ip -n "$spaces-host$number" link set lo up
  done
  cat >"$1/on_host" <<END
#!/usr/bin/env bash
# Runs a command on a host: on_host HOST COMMAND...
host=\$1
shift
exec ip netns exec "$spaces-\$host" unshare --uts bash -c 'hostname "\$0" && eval "\$*"' "\$host" "\$@"
END
  chmod +x "$1/on_host"
}

# cut_off NUMBER and connect NUMBER: the cable between a host and the switch.
cut_off() { ip -n "$spaces-switch" link set "port$1" down; }
connect() { ip -n "$spaces-switch" link set "port$1" up; }

processes_of() { ip netns pids "$spaces-host$1"; }

# stop_hosts: ends what runs on them, then the hosts.
stop_hosts() {
  local number
  [[ -n "${spaces:-}" ]] || return 0
  for number in 1 2 3 4; do
    processes_of "$number" | xargs -r kill -KILL 2>/dev/null || true
    ip netns delete "$spaces-host$number" || true
  done
  ip netns delete "$spaces-switch" || true
}

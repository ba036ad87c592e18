#!/usr/bin/env bash
# A single-node Slurm on this machine, to test the workflow on: Debian, root, no systemd, no slurmdbd.
#   scripts/slurm_local.sh up     installs what is missing, starts it, waits until a job has run
#   scripts/slurm_local.sh down   stops the daemons that `up` started
# An /etc/slurm/slurm.conf that this script did not write is never touched.
set -euo pipefail

MARK="# written by esr1call's scripts/slurm_local.sh"
CONF=/etc/slurm/slurm.conf
STATE=/var/lib/slurm/esr1call
RUN=/run/slurm

fail() { echo "slurm_local: $1" >&2; exit 1; }

install_packages() {
  command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munged > /dev/null && command -v pgrep > /dev/null && return
  command -v apt-get > /dev/null || fail "Slurm is not installed, and there is no apt-get to install it with"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge procps
}

configure() {
  [ ! -e "$CONF" ] || grep -qxF "$MARK" "$CONF" || fail "$CONF is of another installation"
  local host
  host="$(hostname -s)"
  mkdir -p /etc/slurm "$STATE"/{controller,node} "$RUN"
  # The node is this machine; memory is left for what is not Slurm's. Jobs are started at once, one core each.
  # With accounting off, who asks squeue must find finished jobs there: hence MinJobAge.
  cat > "$CONF" << END
$MARK
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
MinJobAge=600
ReturnToService=2
StateSaveLocation=$STATE/controller
SlurmdSpoolDir=$STATE/node
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
PartitionName=local Nodes=$host Default=YES MaxTime=UNLIMITED State=UP
END
  # slurmd must load a cgroup plugin although nothing here uses one; version 1's loads everywhere.
  echo "CgroupPlugin=cgroup/v1" > /etc/slurm/cgroup.conf
}

runs() { pgrep --runstates R,S,D --exact "$1" > /dev/null; } # a zombie does not
as_munge() { setpriv --reuid=munge --regid=munge --clear-groups "$@"; }

start() {
  [ -s /etc/munge/munge.key ] || as_munge /usr/sbin/mungekey
  install -d -o munge -g munge -m 755 /run/munge
  runs munged || as_munge /usr/sbin/munged
  munge -n | unmunge > /dev/null || fail "munge does not work"
  runs slurmctld || /usr/sbin/slurmctld
  runs slurmd || /usr/sbin/slurmd
  for _ in $(seq 120); do
    if [ "$(timeout 2 sinfo --noheader --format %t 2> /dev/null)" = idle ]; then
      timeout 60 srun true || fail "no job runs; see $STATE/*.log"
      return
    fi
    sleep 0.5
  done
  tail -n 30 "$STATE"/*.log >&2 || true
  fail "the node did not come up"
}

stop() {
  local file pid
  for file in "$RUN/slurmd.pid" "$RUN/slurmctld.pid" /run/munge/munged.pid; do
    [ -s "$file" ] || continue
    pid="$(cat "$file")"
    kill "$pid" 2> /dev/null || continue
    for _ in $(seq 20); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2> /dev/null || true # slurmd may not hear while it registers
  done
}

case "${1:-}" in
  up)
    [ "$(id -u)" = 0 ] || fail "needs root"
    install_packages
    configure
    start
    ;;
  down) stop ;;
  *) echo "usage: $0 up|down" >&2; exit 2 ;;
esac

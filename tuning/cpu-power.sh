#!/usr/bin/env bash
# Full clock speed and no deep sleep, for even latency; costs power. Never changes anything without --apply.
#
#   cpu-power.sh [--apply | --undo] [--latency-us N]
#
# Sets each CPU's frequency governor to performance and disables idle states that take longer than N microseconds
# (default 10) to leave. In virtual machines the host decides both, and there is mostly nothing to set.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
limit=10
while (($#)); do
  case $1 in
    --apply) mode=apply ;;
    --undo) mode=undo ;;
    --latency-us) limit=${2:?--latency-us needs a number}; shift ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
if [[ ! $limit =~ ^[0-9]+$ ]]; then echo "$0: not a number: $limit" >&2; exit 2; fi
need_root
state=$(state_file cpu-power)
if [[ $mode == undo ]]; then undo "$state"; exit 0; fi
shopt -s nullglob
cpus=/sys/devices/system/cpu
governors=("$cpus"/cpu[0-9]*/cpufreq/scaling_governor)
if ((${#governors[@]} == 0)); then echo "no frequency scaling here (a virtual machine?): skipped"; fi
for governor in "${governors[@]}"; do
  if grep -qw performance "$(dirname "$governor")/scaling_available_governors"; then put "$state" "$governor" performance
  else echo "skip    $governor: there is no governor named performance"; fi
done
states=("$cpus"/cpu[0-9]*/cpuidle/state*)
if ((${#states[@]} == 0)); then echo "no idle states to choose from: skipped"; fi
for idle in "${states[@]}"; do
  if (($(cat "$idle/latency") > limit)); then
    echo "state   $(cat "$idle/name"), $(cat "$idle/latency") us to leave"
    put "$state" "$idle/disable" 1
  fi
done
done_message

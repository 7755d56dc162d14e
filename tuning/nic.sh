#!/usr/bin/env bash
# Spreads a network card's interrupts and packets over CPUs. Never changes anything without --apply.
#
#   nic.sh [--apply | --undo] [--cpus LIST] [INTERFACE]
#
# With as many queues as CPUs: interrupt N goes to CPU N. With fewer: RPS spreads the packets in software, and RFS takes
# each to the CPU whose thread reads that connection, which is its shard's. irqbalance would move interrupts back: stop
# it or ban them there.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cpus=$(cat /sys/devices/system/cpu/online)
interface=
while (($#)); do
  case $1 in
    --apply) mode=apply ;;
    --undo) mode=undo ;;
    --cpus) cpus=${2:?--cpus needs a list}; shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "$0: unknown option $1" >&2; exit 2 ;;
    *) interface=$1 ;;
  esac
  shift
done
need_root
state=$(state_file nic)
if [[ $mode == undo ]]; then undo "$state"; exit 0; fi

if [[ -z $interface ]]; then
  interface=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route 2>/dev/null || true)
fi
if [[ -z $interface || ! -e /sys/class/net/$interface/device ]]; then
  echo "no network card found${interface:+ behind $interface}: nothing to do"
  exit 0
fi
list=$(cpu_list "$cpus")
mapfile -t cpu <<<"$list"
shopt -s nullglob
queues=("/sys/class/net/$interface/queues/rx-"*)
echo "$interface: ${#queues[@]} receive queues, ${#cpu[@]} CPUs"
if command -v ethtool >/dev/null; then ethtool -l "$interface" 2>/dev/null || true; fi
if pid=$(pidof irqbalance 2>/dev/null); then echo "irqbalance runs (pid $pid) and will undo the affinities: stop it"; fi

# The card's own MSI vectors; for virtio they belong to the parent PCI device.
device=$(readlink -f "/sys/class/net/$interface/device")
vectors=("$device"/msi_irqs/*)
names="$interface|mlx5_comp[0-9]+@|$(basename "$device")-(input|output)"
if ((${#vectors[@]} == 0)); then vectors=("$(dirname "$device")"/msi_irqs/*); fi
declare -A turn=([in]=0 [out]=0)
for vector in "${vectors[@]}"; do
  irq=$(basename "$vector")
  line=$(awk -v irq="$irq:" '$1 == irq { print $NF }' /proc/interrupts)
  if [[ ! $line =~ $names ]]; then continue; fi
  kind=in
  if [[ $line == *output* || $line == *-tx-* ]]; then kind=out; fi
  put "$state" "/proc/irq/$irq/smp_affinity_list" "${cpu[turn[$kind] % ${#cpu[@]}]}"
  turn[$kind]=$((turn[$kind] + 1))
done
if ((turn[in] + turn[out] == 0)); then echo "no interrupts of $interface found by name: set them by hand"; fi

if ((${#queues[@]} < ${#cpu[@]})); then
  mask=$(cpu_mask "${cpu[@]}")
  # RFS: the table is for all queues together, a power of two; each queue has its part.
  put "$state" /proc/sys/net/core/rps_sock_flow_entries 32768
  for queue in "${queues[@]}"; do
    old=$(cat "$queue/rps_cpus")
    # The kernel prints as many digits as it has CPUs: compare numbers, not text.
    if [[ $(sed 's/^[0,]*//' <<<"$old") == "$(sed 's/^[0,]*//' <<<"$mask")" ]]; then
      echo "same    $queue/rps_cpus = $old"
    else
      put "$state" "$queue/rps_cpus" "$mask"
    fi
    put "$state" "$queue/rps_flow_cnt" "$((32768 / ${#queues[@]}))"
  done
else
  echo "a queue per CPU: RPS would only add work, left alone"
fi
done_message

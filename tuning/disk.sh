#!/usr/bin/env bash
# Ends a disk's writes on the CPU that began them. Never changes anything without --apply.
#
#   disk.sh [--apply | --undo] [FOLDER]
#
# FOLDER is where the logs are (default: here). Matters under appendfsync always where a durable write is a write and a
# flush of the disk's cache (the script says whether it is): a kernel worker on the CPU that took the interrupt waits for
# the flush, and then for whatever else runs there.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
folder=.
while (($#)); do
  case $1 in
    --apply) mode=apply ;;
    --undo) mode=undo ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "$0: unknown option $1" >&2; exit 2 ;;
    *) folder=$1 ;;
  esac
  shift
done
need_root
state=$(state_file disk)
if [[ $mode == undo ]]; then undo "$state"; exit 0; fi
shopt -s nullglob

# disks DEVICE: the disks below a device of sysfs: itself, the whole of a partition, the parts of a RAID or volume.
disks() {
  local below
  if [[ -e $1/partition ]]; then disks "$(dirname "$1")"; return; fi
  for below in "$1"/slaves/*; do disks "$(readlink -f "$below")"; done
  below=("$1"/slaves/*)
  if ((${#below[@]} == 0)) && [[ -e $1/queue/rq_affinity ]]; then echo "$1"; fi
}

number=$(stat -c %Hd:%Ld -- "$folder")
device=/sys/dev/block/$number
if [[ ! -e $device ]]; then
  echo "$folder is on no disk of its own (device $number): nothing to do"
  exit 0
fi
list=$(disks "$(readlink -f "$device")")
for disk in $list; do
  if [[ $(cat "$disk/queue/write_cache") == 'write through' ]]; then how='a write, nothing to flush: this changes little'
  elif [[ $(cat "$disk/queue/fua" 2>/dev/null) == 1 ]]; then how='a write past the cache: this changes little'
  else how='a write and a flush'; fi
  echo "$(basename "$disk"): a durable write is $how"
  put "$state" "$disk/queue/rq_affinity" 2
done
done_message

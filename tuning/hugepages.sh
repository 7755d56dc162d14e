#!/usr/bin/env bash
# Transparent huge pages only for who asks for them. Never reserves memory; nothing changes without --apply.
#
#   hugepages.sh [--apply | --undo]
#
# enabled=madvise  `always` gives every process 2 MB where it touched 4 KB; Pinion asks through its allocator
# defrag=madvise   who asked waits for compaction on a page fault, nobody else does
# khugepaged       joins small pages later, in the background; slower rounds, since it takes the mmap lock
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
case ${1:-} in
  '') ;;
  --apply) mode=apply ;;
  --undo) mode=undo ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
need_root
state=$(state_file hugepages)
if [[ $mode == undo ]]; then undo "$state"; exit 0; fi
thp=/sys/kernel/mm/transparent_hugepage
if [[ ! -d $thp ]]; then
  echo "this kernel has no transparent huge pages: nothing to do"
  exit 0
fi
put "$state" $thp/enabled madvise
put "$state" $thp/defrag madvise
put "$state" $thp/khugepaged/defrag 1
put "$state" $thp/khugepaged/scan_sleep_millisecs 10000
done_message

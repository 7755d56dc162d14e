# shellcheck shell=bash
# Sourced by the scripts beside it: reads arguments, writes kernel files, remembers what was there. Dry run by default.

mode=dry
STATE_DIR=${STATE_DIR:-/var/lib/pinion-tuning}

# state_file NAME: where the first values seen are kept, one "path<TAB>value" per line.
state_file() { printf '%s/%s.state' "$STATE_DIR" "$1"; }

# need_root: writing needs root; a dry run does not.
need_root() {
  if [[ $mode != dry && $EUID -ne 0 ]]; then
    echo "$0: --$mode needs root" >&2
    exit 1
  fi
}

# put STATE PATH VALUE: shows the change; with --apply keeps the old value (only the first time) and writes the new one.
put() {
  local state=$1 path=$2 value=$3 old
  if ! old=$(cat "$path" 2>/dev/null); then
    echo "skip    $path (not readable here)"
    return 0
  fi
  # Of a list of choices the chosen one stands in brackets.
  if [[ $old == *\[*\]* ]]; then old=${old#*\[}; old=${old%%\]*}; fi
  if [[ $old == "$value" ]]; then
    echo "same    $path = $value"
    return 0
  fi
  echo "change  $path: $old -> $value"
  if [[ $mode == apply ]]; then
    mkdir -p "$(dirname "$state")"
    if ! grep -qsF "$path"$'\t' "$state"; then printf '%s\t%s\n' "$path" "$old" >>"$state"; fi
    if ! { printf '%s\n' "$value" >"$path"; } 2>/dev/null; then echo "        the kernel refused it; left as it was"; fi
  fi
}

# undo STATE: writes back what was kept, and forgets it once everything is back.
undo() {
  local state=$1 path value failed=0
  if [[ ! -s $state ]]; then
    echo "nothing to undo: $state is not there"
    return 0
  fi
  while IFS=$'\t' read -r path value; do
    echo "restore $path = $value"
    if ! { printf '%s\n' "$value" >"$path"; } 2>/dev/null; then
      echo "        the kernel refused it"
      failed=1
    fi
  done <"$state"
  if [[ $failed == 0 ]]; then rm -f "$state"; else echo "kept $state for another try"; fi
}

# done_message: last line of every script.
done_message() {
  if [[ $mode == dry ]]; then echo "dry run: nothing was changed; --apply does it, --undo takes it back"; fi
}

# cpu_list LIST: "0-2,5" becomes one number per line.
cpu_list() {
  local part
  for part in ${1//,/ }; do
    if [[ $part =~ ^([0-9]+)-([0-9]+)$ ]]; then seq "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    elif [[ $part =~ ^[0-9]+$ ]]; then echo "$part"
    else echo "$0: not a CPU list: $1" >&2; return 1; fi
  done
}

# cpu_mask CPU...: the mask as /sys and /proc write it, 32 bits per group.
cpu_mask() {
  local -a words=()
  local cpu i top=0 text=''
  for cpu in "$@"; do
    i=$((cpu / 32))
    words[i]=$((${words[i]:-0} | 1 << cpu % 32))
    if ((i > top)); then top=$i; fi
  done
  for ((i = top; i >= 0; i--)); do text+=$(printf '%08x' "${words[i]:-0}"); if ((i > 0)); then text+=,; fi; done
  printf '%s' "$text"
}

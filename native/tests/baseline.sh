#!/bin/sh
# Nothing above baseline x86-64 may run before dispatch. Two things are looked at in object files
# (arguments, or one list with semicolons): objects outside isa/avx* and isa/amx* use no vector
# register wider than xmm and no VEX or EVEX instruction, and those inside define no symbol that a
# linker could merge into others and leave nothing to run at start-up.
set -eu
failed=0
for object in $(printf '%s\n' "$@" | tr ';' '\n'); do
  case $object in
    */isa/avx* | */isa/amx*)
      if $NM -C "$object" | grep -E ' [WVu] '; then
        echo "$object: symbols above would be shared with baseline code"
        failed=1
      fi
      if $OBJDUMP -h "$object" | grep -E '\.(init_array|ctors)'; then
        echo "$object: code would run before dispatch"
        failed=1
      fi ;;
    *)
      if $OBJDUMP -d --no-show-raw-insn "$object" |
          grep -E '%[yz]mm|%k[0-7]|[[:space:]]v[a-z0-9]+[[:space:]]' | head -5 | grep .; then
        echo "$object: instructions above are beyond the baseline"
        failed=1
      fi ;;
  esac
done
exit $failed

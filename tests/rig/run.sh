#!/bin/bash
# Boots the simulated AP once and judges what happened there.
#
#   run.sh MODE OUTDIR BINARY
#
# MODE 2: hostapd 2.10 of this machine, macaddr_acl=2 and wpa_psk_radius=2. MODE 3: hostapd 2.11, wpa_psk_radius=3. MODE file:
# hostapd 2.11 with latchkey's key file and SAE passwords. MODE eap: hostapd 2.11 with WPA2- and WPA3-Enterprise. MODE maker: the
# same, with devices that their maker's server authenticates.
# BINARY is the latchkey to test. OUTDIR receives devices.tsv and results.tsv (one line per expectation: what, expected, got,
# pass or FAIL), latchkey's own outputs, every program's log, and the guest's console. Status 0: all rows there and as expected.
set -euo pipefail

[ $# = 3 ] || { echo "usage: run.sh 2|3|file|eap|maker OUTDIR BINARY" >&2; exit 2; }
mode=$1
here=$(cd "$(dirname "$0")" && pwd)
rig=${LATCHKEY_RIG:-$here/../../.cache/rig}
mkdir -p "$2"
out=$(cd "$2" && pwd)
binary=$(realpath "$3")

say() { echo "rig: $*" >&2; }
die() { say "$*"; exit 1; }

[ -e "$rig/installed" ] || die "the simulated Wi-Fi is not installed: run make rig"
rig=$(cd "$rig" && pwd)
[ -x "$binary" ] || die "no latchkey at $binary"
[ "${binary##*/}" = latchkey ] || die "the binary must be called latchkey, not ${binary##*/}"
case $mode in
    2) root=/ ;;
    3 | file | eap | maker) root=$rig/forky ;;
    *) die "mode must be 2, 3, file, eap or maker, not $mode" ;;
esac
# A path in a QEMU option ends at a comma.
case $here$out$binary$rig in *,*) die "QEMU cannot share a folder with a comma in its path" ;; esac

# Seconds. The scenario gives up by itself first (and then still saves its logs); the second limit is for a guest that hangs.
guest_limit=${LATCHKEY_RIG_LIMIT:-400}
hard_limit=$((guest_limit + 30))

rm -rf "$out/guest" "$out/console.log"
mkdir -p "$out/guest"

# One guest at a time: two emulated machines on two cores are slower than one after the other, and their timing suffers.
exec 9>"$rig/run.lock"
flock 9

radios=$(($(grep -c '^[a-z]' "$here/scenario.txt") + 2))
[ "$mode" != file ] || radios=13
if [ "$mode" = eap ] || [ "$mode" = maker ]; then
    radios=8
    "$here/certificates.sh" "$out/guest/certificates" >"$out/certificates.log" 2>&1 \
        || die "the certificates cannot be made: $(tail -n 1 "$out/certificates.log")"
fi
started=$SECONDS
shares=()
share() { shares+=(-virtfs "local,path=$1,mount_tag=$2,security_model=none,multidevs=remap$3"); }
share "$root" root ,readonly=on
share "$here" rig ,readonly=on
share "${binary%/*}" bin ,readonly=on
share "$out/guest" out ""
status=0
# In the foreground, so that Ctrl-C and a test runner that gives up reach the emulator, too.
timeout --foreground --kill-after=5 "$hard_limit" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 768 -nodefaults -no-user-config -no-reboot -display none -monitor none \
    -serial "file:$out/console.log" \
    -kernel "$rig/kernel/vmlinuz" -initrd "$rig/initramfs.gz" \
    -append "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no5lvl rig.mode=$mode rig.radios=$radios rig.limit=$guest_limit" \
    "${shares[@]}" \
    </dev/null >"$out/qemu.log" 2>&1 || status=$?
flock -u 9

problems=()
[ $status != 124 ] && [ $status != 137 ] || problems+=("the guest was still running after $hard_limit s and was stopped")
[ $status = 0 ] || [ $status = 124 ] || [ $status = 137 ] || problems+=("QEMU ended with status $status: $(tail -n 1 "$out/qemu.log")")

panic=$(grep -s -a -m 1 'Kernel panic' "$out/console.log") && problems+=("the guest crashed: $panic")

results=$out/guest/results.tsv
touch "$results"
# The guest's last line counts the lines before it: a scenario cut short cannot pass for a complete one.
rows=$(grep -vc '^complete	' "$results" || true)
[ "$(tail -n 1 "$results")" = "complete	$rows" ] || problems+=("the scenario did not reach its end ($rows rows)")
while IFS='|' read -r name modes _; do
    name=${name// /}
    [[ $name == [a-z]* && $modes == *$mode* ]] || continue
    grep -q "^$name joins	\|^$name is refused	" "$results" || problems+=("no row for device $name")
done <"$here/scenario.txt"
while IFS=$'\t' read -r what expected got verdict; do
    [ "$verdict" = pass ] || [ "$what" = complete ] || problems+=("$what: expected $expected, got $got")
done <"$results"

say "mode $mode: $rows rows in $((SECONDS - started)) s, ${#problems[@]} not as expected"
[ ${#problems[@]} -gt 0 ] || exit 0

# First, and after the logs again: whoever reads this may have only one end of it.
for problem in "${problems[@]}"; do say "FAIL $problem"; done
for log in "$out/console.log" "$out"/guest/log/*; do
    [ -s "$log" ] || continue
    echo "--- ${log#"$out/"} (last lines)"
    tail -n 25 "$log"
done >&2
for problem in "${problems[@]}"; do say "FAIL $problem"; done
say "all logs are in $out"
exit 1

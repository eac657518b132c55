#!/bin/bash
# Runs both modes and prints their tables.
#
#   demo.sh BINARY
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$here/../../target/demo")
status=0
for mode in 3 2; do
    echo "A simulated access point with wpa_psk_radius=$mode boots, and devices arrive (about a minute) ..."
    "$here/run.sh" $mode "$out/mode$mode" "$1" || status=1
done
for mode in 3 2; do
    "$here/report.sh" "$out/mode$mode" || status=1
done
echo
echo "What latchkey, hostapd and the devices wrote is in ${out#"$PWD/"}/mode*/guest"
exit $status

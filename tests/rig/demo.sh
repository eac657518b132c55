#!/bin/bash
# Runs both modes and prints their tables.
#
#   demo.sh BINARY
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../target/rig/demo
status=0
for mode in 3 2; do
    echo "A simulated AP with wpa_psk_radius=$mode boots; devices arrive (about a minute) ..." >&2
    "$here/run.sh" $mode "$out/mode$mode" "$1" || status=1
done
for mode in 3 2; do
    "$here/report.sh" "$out/mode$mode" || status=1
done
exit $status

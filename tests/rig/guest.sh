#!/bin/bash
# The scenario, run inside the guest as root: latchkey as RADIUS server, hostapd on two radios (networks Home and Onboard), and
# for each line of scenario.txt a wpa_supplicant with a radio and a network namespace of its own. Then traffic.
#
#   guest.sh 2|3      (the value of wpa_psk_radius; other modes have a file of their own)
#
# Leaves results in /mnt/out: results.tsv (what, expected, got, verdict), devices.tsv (for the table), latchkey's outputs, log/.
set -uo pipefail
mode=$1
rig=/mnt/rig
out=/mnt/out
run=/run/rig
socket=/run/latchkey/latchkey.sock
# While the scenario runs, files are written to memory: each line through 9p would cost hostapd's event loop a round trip.
mkdir -p $run/log $run/lib /run/latchkey
limit=$(sed -n 's/.*\brig\.limit=\([0-9]*\).*/\1/p' /proc/cmdline)

# shellcheck source-path=SCRIPTDIR source=guest-net.sh
. $rig/guest-net.sh
# shellcheck source-path=SCRIPTDIR source=guest-traffic.sh
. $rig/guest-traffic.sh
# shellcheck source-path=SCRIPTDIR source=guest-revoke.sh
. $rig/guest-revoke.sh

lk() { /mnt/bin/latchkey --socket $socket "$@"; }
log() { echo "rig: [$SECONDS s] $*"; }

save() {
    ip -d -o link show >$run/log/links.txt 2>&1
    cp -r $run/log $out/
    cp $run/*.tsv $run/*.txt $run/*.json $out/ 2>/dev/null
}
abandon() {
    log "gave up: $*"
    save
    exit 1
}
# The way out when something waits for ever: save the logs and end. SECONDS counts from the start of this script.
trap 'abandon "time limit of $limit s"' TERM
(sleep "$limit" && kill -TERM $$) &

# A pause without starting a program: reading from a pipe into which nobody writes.
mkfifo $run/pause
exec 7<>$run/pause
pause() { read -r -t "$1" -u 7 || true; }

# wait_for SECONDS COMMAND...: polls until it succeeds; false when the time is up.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ $SECONDS -lt $until ] || return 1
        pause 0.2
    done
}

# result WHAT EXPECTED GOT: one row, judged.
result() {
    local verdict=FAIL
    [ "$2" = "$3" ] && verdict=pass
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" $verdict >>$out/results.tsv
}

# Another scenario altogether.
title=
case $mode in
    file) title="without RADIUS: it reads a key file" ;;
    eap) title="with IEEE 802.1X: devices authenticate with EAP" ;;
    maker) title="with IEEE 802.1X: makers vouch for their devices" ;;
esac
if [ -n "$title" ]; then
    echo "hostapd $(hostapd -v 2>&1 | sed -n 's/^hostapd v//p') $title" >$run/title.txt
    . "$rig/guest-$mode.sh"
    save
    printf 'complete\t%s\n' "$(wc -l <$out/results.tsv)" >>$out/results.tsv
    log "done"
    exit 0
fi

# ---- the cast, from scenario.txt ----
names=()
declare -A when mac network profile registered key vlan reason radio passphrase
trim() { local text=${1#"${1%%[! ]*}"}; echo "${text%"${text##*[! ]}"}"; }
while IFS='|' read -r -a field; do
    for i in "${!field[@]}"; do field[i]=$(trim "${field[i]}"); done
    name=${field[0]-}
    [[ $name == [a-z]* && ${field[1]} == *$mode* ]] || continue
    names+=("$name")
    when[$name]=${field[2]} mac[$name]=${field[3]} network[$name]=${field[4]} profile[$name]=${field[5]}
    registered[$name]=${field[6]} key[$name]=${field[7]} vlan[$name]=${field[8]} reason[$name]=${field[9]}
    radio[$name]=$((${#names[@]} + 1))   # 0 and 1 are the access points'
done <$rig/scenario.txt
asked="at association"
[ "$mode" = 2 ] || asked="during the handshake"
echo "hostapd $(hostapd -v 2>&1 | sed -n 's/^hostapd v//p'), wpa_psk_radius=$mode: latchkey is asked $asked" >$run/title.txt
log "$(<$run/title.txt); ${#names[@]} devices"

# ---- latchkey ----
secret=$(head -c 18 /dev/urandom | base64)
onboarding_key=heron-lantern-quiet-47
cat >$run/latchkey.conf <<CONF
config latchkey 'main'
	option state_dir '$run/lib'
	option control_socket '$socket'
	option auth_listen '127.0.0.1:1812'
	option acct_listen '127.0.0.1:1813'
	option log_level 'debug'
	option firewall 'off'

config client 'local'
	option address '127.0.0.1'
	option secret '$secret'

config profile 'iot'
	option vlan '20'
	option access 'internet'

config profile 'media'
	option vlan '30'
	option access 'full'

config profile 'guest'
	option vlan '40'
	option access 'isolated'

config ssid 'home'
	option ssid 'Home'
	option security 'wpa2'
	option unknown 'reject'

config ssid 'onboard'
	option ssid 'Onboard'
	option security 'wpa2'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key '$onboarding_key'
CONF
chmod 600 $run/latchkey.conf
ip link set lo up
/mnt/bin/latchkey serve --config $run/latchkey.conf >$run/log/latchkey 2>&1 &
daemon=$!
answers() { lk status >/dev/null 2>&1; }
wait_for 60 answers || abandon "latchkey does not answer on its control socket"

expiry=0
for name in "${names[@]}"; do
    [ "${registered[$name]}" != no ] || continue
    options=(--profile "${profile[$name]}" --generate)
    [ "${registered[$name]}" = waiting ] && options+=(--bind first) || options+=(--mac "${mac[$name]}")
    if [ "${registered[$name]}" = expired ]; then
        # Soon, as latchkey takes no date that is past. It arrives in the second turn, when it is.
        expiry=$((EPOCHSECONDS + 8))
        options+=(--expires "$(date -u -d "@$expiry" +%FT%TZ)")
    fi
    added=$(lk --json device add "$name" "${options[@]}" 2>&1) || abandon "device add $name: $added"
    echo "$added" >>$run/added
    [ "${registered[$name]}" != blocked ] || lk device block "$name" >/dev/null || abandon "device block $name"
done
while read -r name shown; do passphrase[$name]=$shown; done < <(jq -r '"\(.device.name) \(.key)"' $run/added)
log "devices registered"

# ---- the air ----
silence
wired_host lan20 20
wired_host lan30 30
wired_host lan40 40
start_access_points "$secret"
wait_for 60 access_points_up || abandon "hostapd does not come up"

arrive() {
    local typed
    case ${key[$1]} in
        own) typed=${passphrase[$1]} ;;
        wrong) typed=not-the-key-of-$1 ;;
        onboarding) typed=$onboarding_key ;;
        *) typed=${passphrase[${key[$1]}]} ;;
    esac
    start_station "$1" "${radio[$1]}" "${mac[$1]}" "${network[$1]}" "$typed"
}

connected() { [[ $(<"$run/log/station-$1") == *CTRL-EVENT-CONNECTED* ]]; }
# What latchkey's log says about an address, in its own words.
said_of() { lk log --mac "${mac[$1]}" 2>/dev/null; }
refused_for() { [[ $(said_of "$1") == *"${reason[$1]}"* ]]; }
settled() { if [ "${vlan[$1]}" = - ]; then refused_for "$1"; else connected "$1"; fi; }

for turn in 1 2; do
    while [ $turn = 2 ] && [ $EPOCHSECONDS -le $expiry ]; do pause 0.2; done
    for name in "${names[@]}"; do
        [ "${when[$name]}" != $turn ] || arrive "$name"
    done
    for name in "${names[@]}"; do
        [ "${when[$name]}" = $turn ] || continue
        if wait_for 75 settled "$name"; then log "$name: as expected"; else log "$name: not what was expected"; fi
    done
done

# ---- what the kernel, latchkey and the supplicants say ----
# On which VLAN interface (wlan0.20) the kernel has an authorised station of that address, and in which bridge that is.
declare -A interface_of
declare -A bridge_of
for interface in /sys/class/net/wlan[01]*; do
    interface=${interface##*/}
    while read -r first second _; do
        case $first in
            Station) station=$second ;;
            authorized:) [ "$second" != yes ] || interface_of[$station]=$interface ;;
        esac
    done < <(iw dev "$interface" station dump | tee -a $run/log/stations)
done
while read -r _ interface _ rest; do
    [[ $rest != *" master "* ]] || bridge_of[${interface%%[:@]*}]=${rest##* master }
done < <(bridge -o link show | tee $run/log/bridges)

proved_by() {
    lk --json device show "$1" | jq -r --arg mac "${mac[$1]}" '.device.macs[]? | select(.mac == $mac) | .proved'
}
pending() { lk --json pending list | jq -e --arg mac "${mac[$1]}" 'any(.pending[]; .mac == $mac)' >/dev/null; }

# latchkey's last word on each address: whose key it was, and why. That a key was sent to the access point is not the last word.
declare -A key_of
declare -A said
lk --json log >$run/log.json || abandon "latchkey log: $(<$run/log.json)"
while IFS='|' read -r station proved text; do
    key_of[$station]=$proved
    said[$station]=$text
done < <(jq -r '.events[] | select(.reason | IN("known_address", "offered", "onboarding_offered") | not)
    | "\(.mac)|\(if .reason == "quarantined" then "the onboarding key"
                  elif .reason == "key_of_other" then "the key of \(.owner)"
                  elif .outcome != "refused" and .device then "the key of \(.device)"
                  else "none" end)|\(.text)"' $run/log.json)

# What hostapd's control interface said of each station, with the name latchkey knows it by.
declare -A on_air
lk --json stations >$run/on-air.json || abandon "latchkey stations: $(<$run/on-air.json)"
while IFS='|' read -r station text; do
    on_air[$station]=$text
done < <(jq -r '.stations[] | "\(.mac)|\(.device // "unknown") on \(.bss) in VLAN \(.vlan), \(.akm)"' $run/on-air.json)

for name in "${names[@]}"; do
    interface=${interface_of[${mac[$name]}]-}
    bridge=${bridge_of[${interface:-none}]-}
    bridge=${bridge%% *}
    if [ "${vlan[$name]}" != - ]; then
        access_point=wlan0
        [ "${network[$name]}" = Home ] || access_point=wlan1
        result "$name joins" "$access_point.${vlan[$name]} in brvlan${vlan[$name]}" "${interface:-nothing} in ${bridge:-no bridge}"
        known=$name
        [ "${registered[$name]}" != no ] || known=unknown
        result "$name among the stations" "$known on $access_point in VLAN ${vlan[$name]}, WPA2-PSK" "${on_air[${mac[$name]}]-nothing}"
        outcome=joined
    else
        # Also that it never got in meanwhile: the reason may be logged, and the device let in all the same.
        got="no reason given"
        [[ ${said[${mac[$name]}]-} != *"${reason[$name]}"* ]] || got=${reason[$name]}
        connected "$name" && got=connected
        [ -z "$interface" ] || got="in $interface"
        result "$name is refused" "${reason[$name]}" "$got"
        outcome=refused
    fi
    [ "${registered[$name]}" != waiting ] || result "$name is bound to the address that proved its key" true "$(proved_by "$name")"
    if [ "${key[$name]}" = onboarding ]; then
        pending "$name" && got=yes || got=no
        result "$name is in the pending list" yes "$got"
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "${mac[$name]}" "${key_of[${mac[$name]}]-}" $outcome \
        "${interface#*.}" "$bridge" "${said[${mac[$name]}]-}" >>$run/devices.tsv
done

# ---- traffic ----
save   # should the guest crash now
members=(lan20 lan30 lan40)
declare -A vlan_of=([lan20]=20 [lan30]=30 [lan40]=40)
for name in "${names[@]}"; do
    if [ "${vlan[$name]}" = - ] || ! connected "$name"; then continue; fi
    members+=("$name")
    vlan_of[$name]=${vlan[$name]}
done
log "traffic among ${members[*]}"
probe_traffic

# ---- taken off the air ----
save
probe_revocation

# ---- latchkey's view, for the reader ----
lk device list >$run/device-list.txt 2>&1
lk log >$run/log.txt 2>&1
lk sessions >$run/sessions.txt 2>&1
lk stations >$run/stations.txt 2>&1
lk status >$run/status.txt 2>&1
lk pending list >$run/pending-list.txt 2>&1
kill -0 $daemon 2>/dev/null && got=running || got=gone
result "latchkey at the end" running "$got"
save
printf 'complete\t%s\n' "$(wc -l <$out/results.tsv)" >>$out/results.tsv
log "done"

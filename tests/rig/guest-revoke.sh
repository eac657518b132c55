# shellcheck shell=bash
# Devices are blocked, given another key and another VLAN while others ping; read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$mode" "$run" "${address[*]-}" "${mac[*]-}" "${registered[*]-}"

# Microseconds since 1970, as a number: both the shell's clock and the times in the supplicants' logs.
clock() { now=${EPOCHREALTIME/[.,]/}; }

# last_event NAME EVENT: when a supplicant last logged it, in microseconds; 0 for never. Leaves it in $at, how often in $times.
last_event() {
    local time rest
    at=0 times=0
    while read -r time rest; do
        [[ $rest == *"$2"* ]] || continue
        time=${time%:}
        at=${time/./}
        times=$((times + 1))
    done <"$run/log/station-$1"
}
happened_since() { last_event "$1" "$2"; [ "$at" -ge "$3" ]; }

last_off() { last_event "$1" CTRL-EVENT-DISCONNECTED; }
off_since() { last_off "$1"; [ "$at" -ge "$2" ]; }

# goes NAME WHAT COMMAND...: runs a command that takes NAME off the air, and measures.
declare -A gone_at
goes() {
    local name=$1 what=$2 start took got=no
    shift 2
    clock
    start=$now
    lk "$@" >/dev/null || abandon "latchkey $*"
    if wait_for 10 off_since "$name" "$start"; then
        took=$(((at - start) / 1000))
        got="after $took ms"
        # A tenth of a second where nothing else runs; how long it took is printed. A busy machine may take longer, the
        # hours and expiry of the daemon and the station's own patience do not act so soon.
        [ $took -gt 5000 ] || got=yes
        echo "$name: $what: off the air $took ms after the command was given" | tee -a $run/times.txt
    fi
    result "$name is off the air at once: $what" yes "$got"
    gone_at[$name]=$start
}

# Whose interface is it on, as hostapd tells?
vlan_now() { lk --json stations | jq -r --arg mac "${mac[$1]}" '.stations[] | select(.mac == $mac) | .vlan'; }

is_in_vlan() { [ "$(vlan_now "$1")" = "$2" ]; }

# comes_to NAME VLAN WHAT: waits until it is back, after goes.
comes_to() {
    if wait_for 60 happened_since "$1" CTRL-EVENT-CONNECTED "${gone_at[$1]}"; then
        echo "$1: $3: back $(((at - gone_at[$1]) / 1000)) ms after the command was given" | tee -a $run/times.txt
    fi
    # In the emulator a station sometimes repeats its association request, and hostapd begins the handshake anew.
    wait_for 40 is_in_vlan "$1" "$2"
    result "$1 is back: $3" "VLAN $2" "VLAN $(vlan_now "$1")"
}

# Nobody came back with what was taken from it.
stays_off() {
    happened_since "$1" CTRL-EVENT-CONNECTED "${gone_at[$1]}" && got=connected || got=off
    result "$1 stays off the air: $2" off "$got"
}

probe_revocation() {
    local pinger sent received seconds
    # Not in_ns: the signal at the end is for ping, not for a shell around it.
    ip netns exec sensor ping -n -q -i 0.1 "${address[lan20]}" >$run/log/ping-sensor 2>&1 &
    pinger=$!
    goes lamp "blocked" device block lamp
    goes tv "new key" device rotate tv
    goes speaker "other profile" device set speaker profile=iot
    comes_to speaker 20 "other profile"
    if [ "$mode" = 3 ]; then
        # It has just joined, but in this mode hostapd remembers no answer.
        goes speaker "other profile, again" device set speaker profile=media
        comes_to speaker 30 "other profile, again"
        seconds=10
    else
        # By then hostapd has forgotten every answer of before, and every ban is over.
        seconds=37
    fi
    clock
    while [ "$now" -lt $((gone_at[lamp] + seconds * 1000000)) ]; do pause 0.5; clock; done
    stays_off lamp "blocked"
    stays_off tv "new key"
    result "bans left in hostapd" none "$(bans)"
    kill -INT $pinger
    wait $pinger
    read -r sent _ _ received _ < <(grep 'packets transmitted' $run/log/ping-sensor)
    # The last one may have been on its way.
    [ $((sent - received)) != 1 ] || received=$sent
    echo "sensor: $sent pings meanwhile, $((sent - received)) lost" | tee -a $run/times.txt
    result "pings of sensor that were lost meanwhile" 0 $((sent - received))
}

# What is on the deny lists.
bans() {
    local interface list=""
    for interface in wlan0 wlan1; do
        list+=$(hostapd_cli -p /run/hostapd -i $interface deny_acl SHOW)
    done
    echo "${list:-none}"
}

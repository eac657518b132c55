# shellcheck shell=bash
# Who can reach whom; read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$run" "${members[*]-}" "${vlan_of[*]-}"

# Everybody listens with tcpdump; then everybody sends broadcasts, and unicasts to each of the others. What counts is what the
# other side's interface received, not what the sender believes. Each member has an address of its own in one subnet, so a
# frame's source tells who sent it, and that a listener hears its own VLAN is the proof that it would have heard the others.
# Broadcasts and the unicasts that want a reply are echo requests, the other unicasts UDP datagrams to this port:
port=4242

device_of() { [[ $1 == lan* ]] && echo eth0 || echo wlan; }

listening() { [ "$(grep -l 'listening on' "$run"/capture-*.err 2>/dev/null | wc -l)" = ${#members[@]} ]; }

# A VLAN's bridge sends a frame for an address it has not learnt to every port, and mac80211 hands a unicast frame on wlan0.20 to
# the station of that address even if it belongs to wlan0.30 (its look-up covers the whole BSS). A machine on the cable that
# knows a station's MAC could so reach it from the wrong VLAN, one way. Ports towards the air are therefore told not to flood
# unknown addresses; a station's own is learnt with its first frame.
close_floods() {
    local port
    for port in /sys/class/net/wlan[01].*; do
        bridge link set dev "${port##*/}" flood off
    done
}

probe_traffic() {
    local sender listener expected source target what got member listeners=() senders=()
    declare -A member_at heard answered
    close_floods
    for member in "${members[@]}"; do member_at[${address[$member]}]=$member; done
    for listener in "${members[@]}"; do
        # Incoming frames only: what an interface sends itself is no proof of anything.
        in_ns "$listener" tcpdump -Z root -n -l -Q in -i "$(device_of "$listener")" "icmp or udp port $port" \
            >"$run/capture-$listener" 2>"$run/capture-$listener.err" &
        listeners+=($!)
    done
    wait_for 60 listening || abandon "tcpdump does not start"

    for sender in "${members[@]}"; do
        probes_of "$sender" >"$run/probes-$sender"
        in_ns "$sender" bash "$run/probes-$sender" >/dev/null 2>&1 &
        senders+=($!)
    done
    wait "${senders[@]}"
    sleep 1   # for what is still on the way
    kill "${listeners[@]}"
    wait "${listeners[@]}" 2>/dev/null
    cp "$run"/capture-* "$run/log/"

    # heard: "listener sender all" or "listener sender me"; answered: "listener replier". A line of tcpdump is
    # "TIME IP 10.77.0.13 > 10.77.0.255: ICMP echo request, ..." or "TIME IP 10.77.0.13.40000 > 10.77.0.10.4242: UDP, ...".
    for listener in "${members[@]}"; do
        while read -r _ _ source _ target what; do
            [[ $what != UDP* ]] || source=${source%.*}
            sender=${member_at[$source]-nobody}
            case "$what ${target%:}" in
                "ICMP echo request"*" 10.77.0.255") heard["$listener $sender all"]=yes ;;
                UDP*" ${address[$listener]}.$port") heard["$listener $sender me"]=yes ;;
                "ICMP echo reply"*" ${address[$listener]}") answered["$listener $sender"]=yes ;;
            esac
        done <"$run/capture-$listener"
    done
    for sender in "${members[@]}"; do
        for listener in "${members[@]}"; do
            [ "$sender" != "$listener" ] || continue
            expected=no
            [ "${vlan_of[$sender]}" != "${vlan_of[$listener]}" ] || expected=yes
            result "broadcast $sender > $listener" $expected "${heard["$listener $sender all"]-no}"
            got=${heard["$listener $sender me"]-no}
            # In its own VLAN the reply must come back, too.
            [ "$got $expected" != "yes yes" ] || [ "${answered["$sender $listener"]-no}" = yes ] || got="no reply"
            result "unicast $sender > $listener" $expected "$got"
        done
    done
}

# The commands one member runs in its namespace. Broadcasts are not acknowledged on the air and may get lost: of five, one that
# arrives is enough, and one too many for another VLAN.
probes_of() {
    local listener neighbours="" datagrams="" device
    device=$(device_of "$1")
    echo "ping -n -q -b -c 5 -i 0.3 -W 1 10.77.0.255 &"
    for listener in "${members[@]}"; do
        [ "$1" != "$listener" ] || continue
        if [ "${vlan_of[$1]}" = "${vlan_of[$listener]}" ]; then
            # Here the address is resolved by ARP on the air.
            echo "ping -n -q -c 3 -i 0.3 -W 2 ${address[$listener]} &"
        else
            # Here it is given: else ARP, unanswered, would keep the frame from ever being sent, and nothing would be tested.
            neighbours+="neigh replace ${address[$listener]} lladdr ${hardware[$listener]} nud permanent dev $device"$'\n'
        fi
        datagrams+="echo probe >/dev/udp/${address[$listener]}/$port"$'\n'
    done
    printf 'ip -batch - <<BATCH\n%sBATCH\n' "$neighbours"
    # Twice: the first may be the one for which ARP is still under way.
    printf '%ssleep 1\n%swait\n' "$datagrams" "$datagrams"
}

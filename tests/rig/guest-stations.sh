# shellcheck shell=bash
# What the scenarios of guest-file.sh and guest-eap.sh have in common; they set these:
# shellcheck disable=SC2154
: "$run" "${mac[*]-}" "${radio[*]-}" "${address[*]-}"

# Their radios move into namespaces of their own, so that traffic can only take the air.
place() {
    local name=$1 interface=wlan${radio[$1]}
    give_address "$name"
    hardware[$name]=${mac[$name]}
    ip netns add "$name"
    iw phy "$(<"/sys/class/net/$interface/phy80211/name")" set netns name "$name"
    ip -n "$name" -batch - <<BATCH
link set $interface address ${mac[$name]} name wlan
address add ${address[$name]}/24 brd + dev wlan
BATCH
}
# eventually WHAT SECONDS EXPECTED COMMAND...: a row, when the command says what is expected or the time is over.
eventually() {
    local what=$1 seconds=$2 expected=$3 got
    shift 3
    is_expected() {
        got=$("$@")
        [ "$got" = "$expected" ]
    }
    wait_for "$seconds" is_expected "$@"
    result "$what" "$expected" "$got"
}

# What latchkey says of a station: "lamp on wlan0 in VLAN 20, WPA2-PSK".
on_air() {
    lk --json stations | jq -r --arg mac "${mac[$1]}" \
        '[.stations[] | select(.mac == $mac) | "\(.device // "unknown") on \(.bss) in VLAN \(.vlan), \(.akm)"] | join("; ") | if . == "" then "nothing" else . end'
}
# Which bridge the kernel has the station's interface in.
bridge_of() {
    local interface
    for interface in /sys/class/net/wlan[012].*; do
        iw dev "${interface##*/}" station dump | grep -q "^Station ${mac[$1]} " || continue
        basename "$(readlink -f "$interface/master")"
        return
    done
    echo none
}

# shellcheck shell=bash
# What the administrator and fate do to the networks of guest-file.sh, which reads this.
# shellcheck disable=SC2154
: "$run" "${mac[*]-}" "${passphrase[*]-}" "${supplicant[*]-}"

# The one nobody touches: pings all the time, and loses nothing but what an AP that is down loses.
ping_begin() {
    ip netns exec meter ping -n -q -i 0.05 10.77.0.1 >$run/log/ping-meter 2>&1 &
    pinger=$!
}
ping_end() {
    local sent received
    kill -INT $pinger
    wait $pinger
    read -r sent _ _ received _ < <(grep 'packets transmitted' $run/log/ping-meter)
    [ $((sent - received)) != 1 ] || received=$sent   # the last one may have been on its way
    echo "meter: $sent pings while $1, $((sent - received)) lost" | tee -a $run/times.txt
    result "pings of meter that were lost while $1" 0 $((sent - received))
}
# leave NAME: its supplicant ends, as if switched off.
leave() {
    kill "${supplicant[$1]}" 2>/dev/null
    wait "${supplicant[$1]}" 2>/dev/null
    ip -n "$1" link set wlan down
}
# A supplicant that was refused waits longer after each attempt, a minute after the fourth: this is how people help it.
off_and_on() {
    leave "$1"
    arrive "$1"
}
# With protected management frames a station first asks whether it is really no longer known, which takes it a second; hostapd and
# the kernel have no key of it any more from the moment on that hostapd tells.
last_off() {
    case ${network_of[$1]} in
        Home) last_event "$1" CTRL-EVENT-DISCONNECTED ;;
        *)
            local log=$run/log/station-$1-ap
            grep -a "AP-STA-DISCONNECTED ${mac[$1]}" $run/log/hostapd >"$log"
            last_event "$1-ap" AP-STA-DISCONNECTED
            ;;
    esac
}
off_since() { last_off "$1"; [ "$at" -ge "$2" ]; }
bridged() { [ "$(bridge_of "$1")" = "$2" ]; }
on_air_as() { [ "$(on_air "$1")" = "$2" ]; }

registered_with() { lk --json device list | jq -r --arg mac "$1" '[.devices[] | select(any(.macs[]?; .mac == $mac))] | length'; }
reload_daemon() {
    kill -HUP $daemon
    pause 2
    if lk --json status | jq -e '.config.error == null' >/dev/null; then echo running; else lk --json status | jq -r .config.error; fi
}

# ---- who reaches whom within a VLAN: counted where it arrives, without ARP ----
echoes_at() { ip netns exec "$1" awk '$1 == "Icmp:" && ++line == 2 { print $10 }' /proc/net/snmp; }
reaches() {
    local before
    ip -n "$1" neigh replace "${address[$2]}" lladdr "${mac[$2]}" dev wlan nud permanent
    before=$(echoes_at "$2")
    ip netns exec "$1" ping -n -q -c 3 -i 0.2 -W 1 "${address[$2]}" >/dev/null 2>&1
    ip -n "$1" neigh del "${address[$2]}" dev wlan
    [ "$(echoes_at "$2")" -gt "$before" ] && echo yes || echo no
}
answers_to() { ip netns exec "$1" ping -n -q -c 3 -i 0.2 -W 1 "$2" >/dev/null 2>&1 && echo yes || echo no; }
eventually "tv reaches phone: same VLAN, isolate is off" 10 yes reaches tv phone
result "lamp reaches safecam: same VLAN on another BSS, isolate is on" no "$(reaches lamp safecam)"
result "safecam reaches lamp: same VLAN on another BSS, isolate is on" no "$(reaches safecam lamp)"
result "safecam reaches aircam: same VLAN, isolate is on" no "$(reaches safecam aircam)"
eventually "safecam reaches the gateway" 10 yes answers_to safecam 10.77.0.1
result "lamp reaches tv: another VLAN" no "$(reaches lamp tv)"

# ---- taken off the air: WPA2 by the key file, WPA3 by SAE passwords, WPA3 by RADIUS ----
ping_begin
goes lamp "blocked" device block lamp
goes tv "new key" device rotate tv
goes phone "other profile" device set phone profile=iot
comes_to phone 20 "other profile"
goes safetv "other profile" device set safetv profile=iot
comes_to safetv 20 "other profile"
result "safecam reaches safetv: same VLAN on the same BSS, isolate is on" no "$(reaches safecam safetv)"
eventually "safetv reaches the gateway" 10 yes answers_to safetv 10.77.0.1
goes safecam "blocked" device block safecam
goes safetv "new key" device rotate safetv
goes aircam "blocked" device block aircam
expires=$((EPOCHSECONDS + 3))
lk device set sensor expires="$(date -u -d "@$expires" +%FT%TZ)" >/dev/null || abandon "device set expires"
wait_for 10 happened_since sensor CTRL-EVENT-DISCONNECTED $((expires * 1000000 - 500000)) && got=yes || got=no
last_event sensor CTRL-EVENT-DISCONNECTED
echo "sensor: off the air $((at / 1000 - expires * 1000)) ms after it expired" | tee -a $run/times.txt
[ $((at - expires * 1000000)) -le 2000000 ] || got="after $(((at - expires * 1000000) / 1000)) ms"
result "sensor is off the air when it expires" yes "$got"
gone_at[sensor]=$((expires * 1000000 + 2000000))
pause 12
stays_off lamp "blocked"
stays_off tv "new key"
stays_off safecam "blocked"
stays_off safetv "new key"
stays_off aircam "blocked"
stays_off sensor "expired"
ping_end "others were taken off the air"

# Let in again: unblocked, or the new key typed in.
lk device unblock lamp >/dev/null
lk device unblock safecam >/dev/null
lk device set sensor expires=never >/dev/null
passphrase[tv]=$(lk --json device show tv --secret | jq -r .key)
for name in lamp safecam sensor tv; do off_and_on $name; done
eventually "lamp is back: unblocked" 75 "lamp on wlan0 in VLAN 20, WPA2-PSK" on_air lamp
eventually "safecam is back: unblocked" 75 "safecam on wlan1 in VLAN 20, SAE" on_air safecam
eventually "sensor is back: not expired any more" 75 "sensor on wlan0 in VLAN 20, WPA2-PSK" on_air sensor
eventually "tv is back: new key typed in" 75 "tv on wlan0 in VLAN 30, WPA2-PSK" on_air tv

# ---- from quarantine into a profile; and a pairing window ----
goes newcomer "approved" pending approve "${mac[newcomer]}" guestphone --profile media
eventually "newcomer is in its own VLAN: approved" 40 "guestphone on wlan0 in VLAN 30, WPA2-PSK" on_air newcomer
lk pair --profile iot --minutes 2 --ssid Home >$run/pair.txt 2>&1 || log "pair: $(<$run/pair.txt)"
passphrase[copycat]=$onboarding_key
off_and_on copycat
eventually "paired: the next one with the onboarding key is registered" 40 "1" registered_with "${mac[copycat]}"
eventually "paired: it is in the VLAN of the window's profile" 40 "20" vlan_now copycat

# ---- schedule ----
configure "	list hours 'mon 00:00-00:01'"   # the last option of profile guest; nobody there
result "a reload with a schedule is accepted" running "$(reload_daemon)"

# ---- somebody else's hands ----
bridge_flag() { cat "/sys/class/net/$1/brport/$2" 2>/dev/null || echo none; }
eventually "wlan0.20 does not flood unknown addresses to the air" 5 0 bridge_flag wlan0.20 unicast_flood
eventually "wlan0.20 is an isolated port" 5 1 bridge_flag wlan0.20 isolated
eventually "wlan0.30 is not, as its profile says" 5 0 bridge_flag wlan0.30 isolated
master_of() { basename "$(readlink -f "/sys/class/net/$1/master")" 2>/dev/null; }
ip link set wlan0.20 nomaster
eventually "wlan0.20 is put back into its bridge" 15 brvlan20 master_of wlan0.20
bridge link set dev wlan0.20 flood on
eventually "wlan0.20's flooding is put back" 15 0 bridge_flag wlan0.20 unicast_flood
address_of() { ip -4 -o addr show dev "$1" | awk '{ print $4 }'; }
ip addr del 10.77.0.1/24 dev brvlan20
eventually "the bridge's address is put back" 15 10.77.0.1/24 address_of brvlan20

# ---- kill -9 in the middle, and a change while it is down is not lost ----
ping_begin
clock
kill -9 $daemon
wait $daemon 2>/dev/null
pause 1
serve
wait_for 60 answers || abandon "latchkey does not answer after kill -9"
all_known() { lk --json stations | jq -e '[.stations[] | select(.device != null)] | length >= 6' >/dev/null; }
wait_for 20 all_known
eventually "after kill -9: lamp is known" 20 "lamp on wlan0 in VLAN 20, WPA2-PSK" on_air lamp
goes lamp "blocked, after kill -9" device block lamp
pause 3
stays_off lamp "blocked, after kill -9"
goes safecam "other profile, after kill -9" device set safecam profile=media
comes_to safecam 30 "other profile, after kill -9"
ping_end "latchkey was killed and started again"
lk device unblock lamp >/dev/null
off_and_on lamp
eventually "after kill -9: lamp is back: unblocked" 60 "lamp on wlan0 in VLAN 20, WPA2-PSK" on_air lamp

# ---- the interface goes down and up; then a new hostapd ----
ip link set wlan0 down
pause 1
ip link set wlan0 up
eventually "interface down and up: lamp is back" 60 "lamp on wlan0 in VLAN 20, WPA2-PSK" on_air lamp
kill -9 $hostapd
wait $hostapd 2>/dev/null
pause 1
start_hostapd
eventually "new hostapd: lamp is back" 60 "lamp on wlan0 in VLAN 20, WPA2-PSK" on_air lamp
eventually "new hostapd: tv is back" 60 "tv on wlan0 in VLAN 30, WPA2-PSK" on_air tv
eventually "new hostapd: safecam is back, its SAE password is set anew" 60 "safecam on wlan1 in VLAN 30, SAE" on_air safecam
eventually "new hostapd: lamp's bridge" 10 brvlan20 bridge_of lamp
goes tv "blocked, new hostapd" device block tv
result "bans left in hostapd" none "$(bans)"

. $rig/guest-file-many.sh

# ---- the end ----
lk device list >$run/device-list.txt 2>&1
lk log >$run/log.txt 2>&1
lk stations >$run/stations.txt 2>&1
lk status >$run/status.txt 2>&1
kill -0 $daemon 2>/dev/null && got=running || got=gone
result "latchkey at the end" running "$got"
kill -TERM $daemon
wait $daemon 2>/dev/null
left=$(ip -o link show type bridge | grep -c latchkey)
result "bridges of ours that are left after the end" 0 "$left"
result "sockets left in hostapd's directory" none "$(find /run/hostapd -mindepth 2 2>/dev/null | head -n 3 | grep . || echo none)"

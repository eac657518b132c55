# shellcheck shell=bash
# WPA2-Enterprise on one radio (network Office), WPA3-Enterprise on another (Safe), and stations with EAP; read by guest-eap.sh and
# guest-maker.sh, which set these:
# shellcheck disable=SC2154
: "$run" "$socket" "${settings[*]-}" "${address[*]-}"

# start_latchkey SECTIONS: with two profiles, both networks, and these sections. Leaves its process number in $daemon.
start_latchkey() {
    secret=$(head -c 18 /dev/urandom | base64)
    cat >$run/latchkey.conf <<CONF
config latchkey 'main'
	option state_dir '$run/lib'
	option control_socket '$socket'
	option log_level 'debug'
	option firewall 'off'
	option bridges 'manage'

config client 'local'
	option address '127.0.0.1'
	option secret '$secret'

config profile 'iot'
	option vlan '20'
	option access 'internet'
	list address '10.77.0.1/24'

config profile 'media'
	option vlan '30'
	option access 'full'
	list address '10.78.0.1/24'

config ssid 'office'
	option ssid 'Office'
	option security 'enterprise'

config ssid 'safe'
	option ssid 'Safe'
	option security 'enterprise'
$1
CONF
    chmod 600 $run/latchkey.conf
    ip link set lo up
    /mnt/bin/latchkey serve --config $run/latchkey.conf >>$run/log/latchkey 2>&1 &
    daemon=$!
    wait_for 60 answers || abandon "latchkey does not answer on its control socket"
}
answers() { lk status >/dev/null 2>&1; }

# NAME RADIO MORE...: what both have in common. PMKs are not cached, so that each association is an authentication.
network() {
    local ssid=$1 radio=$2
    shift 2
    cat <<CONF
interface=wlan$radio
driver=nl80211
ctrl_interface=/run/hostapd
ssid=$ssid
hw_mode=g
channel=$((radio * 5 + 1))
wpa=2
rsn_pairwise=CCMP
ieee8021x=1
disable_pmksa_caching=1
dynamic_vlan=1
vlan_bridge=brvlan
own_ip_addr=127.0.0.1
nas_identifier=ap-${ssid,,}
auth_server_addr=127.0.0.1
auth_server_port=1812
auth_server_shared_secret=$secret
acct_server_addr=127.0.0.1
acct_server_port=1813
acct_server_shared_secret=$secret
CONF
    printf '%s\n' "$@"
}
# Both of them, with latchkey as RADIUS server.
start_networks() {
    network Office 0 wpa_key_mgmt=WPA-EAP >$run/office.conf
    network Safe 1 wpa_key_mgmt=WPA-EAP-SHA256 ieee80211w=2 >$run/safe.conf
    hostapd -t $run/office.conf $run/safe.conf >>$run/log/hostapd 2>&1 &
    enabled() { [ "$(grep -c 'AP-ENABLED' $run/log/hostapd)" = 2 ]; }
    wait_for 60 enabled || abandon "hostapd does not come up"
}

# The cast: names, and what each is.
names=()
declare -A mac radio network_of settings
# cast NAME RADIO NETWORK: a station, with the address 00:00:5e:00:53:RADIO.
cast() {
    names+=("$1")
    radio[$1]=$2 network_of[$1]=$3 mac[$1]=00:00:5e:00:53:0$2
}
# All of them, each with an address in the subnet of each VLAN: who is in which VLAN shows by the gateway that answers.
place_all() {
    local name
    for name in "${names[@]}"; do
        place "$name"
        ip -n "$name" address add "10.78.0.${address[$name]##*.}/24" dev wlan
        : >"$run/log/station-$name"
    done
}
# with_psk NAME PROFILE: registers it with an EAP-PSK key, which is fed into it.
with_psk() {
    local added
    added=$(lk --json device add "$1" --profile "$2" --eap-psk 2>&1) || abandon "device add $1: $added"
    settings[$1]="eap=PSK identity=\"$(jq -r .eap_psk.identity <<<"$added")\" password=$(jq -r .eap_psk.key <<<"$added")"
}

# arrive NAME: starts its supplicant.
arrive() {
    local name=$1 frequency=2412 management=WPA-EAP
    [ "${network_of[$name]}" = Office ] || { frequency=2437 management="WPA-EAP-SHA256 ieee80211w=2"; }
    {
        printf '%s\n' p2p_disabled=1 ctrl_interface=/run/wpa-$name "network={" "ssid=\"${network_of[$name]}\""
        # shellcheck disable=SC2086,SC2090 # several settings, quoted for wpa_supplicant
        printf '%s\n' proto=RSN pairwise=CCMP scan_freq=$frequency freq_list=$frequency key_mgmt=$management ${settings[$name]} "}"
    } >"$run/station-$name.conf"

    ip netns exec "$name" wpa_supplicant -t -D nl80211 -i wlan -c "$run/station-$name.conf" >>"$run/log/station-$name" 2>&1 &
}
connected() { [[ $(<"$run/log/station-$1") == *CTRL-EVENT-CONNECTED* ]]; }

# What is asserted of a station that is in: VLAN, bridge, traffic.
where() { on_air "$1" | sed 's/,.*//'; }
answers_to() { ip netns exec "$1" ping -n -q -c 3 -i 0.2 -W 1 "$2" >/dev/null 2>&1 && echo yes || echo no; }
is_in() {
    local name=$1 bss=$2 vlan=$3
    eventually "$name among the stations" 30 "$name on $bss in VLAN $vlan" where "$name"
    eventually "$name is in bridge" 10 "brvlan$vlan" bridge_of "$name"
    eventually "$name reaches the gateway of VLAN 20" 10 "$([ "$vlan" = 20 ] && echo yes || echo no)" answers_to "$name" 10.77.0.1
    eventually "$name reaches the gateway of VLAN 30" 10 "$([ "$vlan" = 30 ] && echo yes || echo no)" answers_to "$name" 10.78.0.1
}
of_supplicant() { wpa_cli -p "/run/wpa-$1" -i wlan status | sed -n "s/^$2=//p"; }
# With protected management frames a station first asks whether it is really no longer known: what counts is what hostapd says.
last_off() {
    if [ "${network_of[$1]}" = Office ]; then
        last_event "$1" CTRL-EVENT-DISCONNECTED
        return
    fi
    grep -a "AP-STA-DISCONNECTED ${mac[$1]}" $run/log/hostapd >"$run/log/station-$1-ap"
    last_event "$1-ap" AP-STA-DISCONNECTED
}
said_of() { lk log --mac "${mac[$1]}" 2>/dev/null; }

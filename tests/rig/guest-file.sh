# shellcheck shell=bash
# hostapd without RADIUS: it reads its keys from latchkey's key file (WPA2), and is told SAE passwords (WPA3) over its control
# socket. A third network has WPA3 with RADIUS. Read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$run" "$out" "$rig" "$socket"
# shellcheck source-path=SCRIPTDIR source=guest-stations.sh
. $rig/guest-stations.sh

# ---- latchkey ----
secret=$(head -c 18 /dev/urandom | base64)
onboarding_key=heron-lantern-quiet-47
psk_dir=/run/latchkey/psk
configure() {
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
	option isolate '0'

config profile 'guest'
	option vlan '40'
	option access 'isolated'
$1
config ssid 'home'
	option ssid 'Home'
	option security 'wpa2'
	option backend 'psk-file'
	option psk_file '$psk_dir/home'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key '$onboarding_key'

config ssid 'safe'
	option ssid 'Safe'
	option security 'wpa3'
	option backend 'psk-file'
	option psk_file '$psk_dir/safe'

config ssid 'air'
	option ssid 'Air'
	option security 'wpa3'
CONF
    chmod 600 $run/latchkey.conf
}
configure ""

serve() {
    /mnt/bin/latchkey serve --config $run/latchkey.conf >>$run/log/latchkey 2>&1 &
    daemon=$!
}
answers() { lk status >/dev/null 2>&1; }
ip link set lo up
/mnt/bin/latchkey prepare --config $run/latchkey.conf >>$run/log/latchkey 2>&1
[ -e $psk_dir/home ] && got=yes || got=no
result "the key file is there before hostapd and latchkey start" yes $got

# ---- the air ----
silence
# NAME RADIO KEY_MGMT MORE...: what all have in common.
network() {
    local ssid=$1 radio=$2 management=$3
    shift 3
    cat <<CONF
interface=wlan$radio
driver=nl80211
ctrl_interface=/run/hostapd
ssid=$ssid
hw_mode=g
channel=$((radio * 5 + 1))
wpa=2
wpa_key_mgmt=$management
rsn_pairwise=CCMP
dynamic_vlan=1
vlan_bridge=brvlan
CONF
    printf '%s\n' "$@"
}
network Home 0 WPA-PSK wpa_psk_file=$psk_dir/home >$run/home.conf
# An interface for each station: only so does the kernel keep the stations of a VLAN from each other.
network Safe 1 SAE ieee80211w=2 sae_pwe=1 disable_pmksa_caching=1 per_sta_vif=1 >$run/safe.conf
network Air 2 SAE ieee80211w=2 sae_pwe=0 macaddr_acl=2 wpa_psk_radius=2 own_ip_addr=127.0.0.1 nas_identifier=ap-air \
    auth_server_addr=127.0.0.1 auth_server_port=1812 auth_server_shared_secret="$secret" \
    acct_server_addr=127.0.0.1 acct_server_port=1813 acct_server_shared_secret="$secret" >$run/air.conf
start_hostapd() {
    hostapd -t $run/home.conf $run/safe.conf $run/air.conf >>$run/log/hostapd 2>&1 &
    hostapd=$!
}
enabled() { [ "$(grep -c 'AP-ENABLED' $run/log/hostapd)" -ge "$1" ]; }

# Before latchkey, as on a router that boots.
start_hostapd
wait_for 60 enabled 3 || abandon "hostapd does not come up"
serve
wait_for 60 answers || abandon "latchkey does not answer on its control socket"
names=() # device names of this scenario; guest-revoke.sh knows them by these
declare -A mac radio passphrase network_of

# device NAME RADIO MAC NETWORK PROFILE OPTION...: registers it, and notes its key.
device() {
    local name=$1 added
    names+=("$name")
    radio[$name]=$2 mac[$name]=$3 network_of[$name]=$4
    shift 4
    added=$(lk --json device add "$name" --profile "$1" --generate "${@:2}" 2>&1) || abandon "device add $name: $added"
    passphrase[$name]=$(jq -r .key <<<"$added")
}
device lamp 3 00:00:5e:00:53:01 Home iot --mac 00:00:5e:00:53:01
device sensor 4 7e:3a:11:00:00:02 Home iot --bind first
device tv 5 00:00:5e:00:53:03 Home media --bind first
device meter 6 00:00:5e:00:53:04 Home iot --mac 00:00:5e:00:53:04
device phone 7 da:a1:19:00:00:05 Home media --bind any
device safecam 8 00:00:5e:00:53:06 Safe iot --mac 00:00:5e:00:53:06
device safetv 9 00:00:5e:00:53:07 Safe media --mac 00:00:5e:00:53:07
device aircam 10 00:00:5e:00:53:08 Air iot --mac 00:00:5e:00:53:08
mac[newcomer]=da:a1:19:00:00:09 radio[newcomer]=11 network_of[newcomer]=Home passphrase[newcomer]=$onboarding_key
mac[copycat]=00:00:5e:00:53:0a radio[copycat]=12 network_of[copycat]=Home passphrase[copycat]=${passphrase[lamp]}

# arrive NAME: starts its supplicant with the key that was typed into it.
arrive() {
    local name=$1 channel key=${passphrase[$1]} method
    case ${network_of[$name]} in
        Home) channel=2412 method="key_mgmt=WPA-PSK psk=\"$key\"" ;;
        # H2E and nothing else: hunting-and-pecking would not do on 6 GHz.
        Safe) channel=2437 method="key_mgmt=SAE ieee80211w=2 sae_password=\"$key\"" ;;
        Air) channel=2462 method="key_mgmt=SAE ieee80211w=2 sae_password=\"$key\"" ;;
    esac
    {
        echo p2p_disabled=1
        [ "${network_of[$name]}" != Safe ] || echo sae_pwe=1
        echo "network={"
        echo "ssid=\"${network_of[$name]}\""
        printf '%s\n' proto=RSN pairwise=CCMP scan_freq=$channel freq_list=$channel
        # shellcheck disable=SC2086 # several settings
        printf '%s\n' $method
        echo "}"
    } >"$run/station-$name.conf"
    # Not in_ns: what is killed later is the supplicant, not a shell around it.
    ip netns exec "$name" wpa_supplicant -t -D nl80211 -i wlan -c "$run/station-$name.conf" >>"$run/log/station-$name" 2>&1 &
    supplicant[$name]=$!
}
declare -A supplicant
connected() { [[ $(<"$run/log/station-$1") == *CTRL-EVENT-CONNECTED* ]]; }
for name in "${names[@]}" newcomer copycat; do
    place "$name"
    : >"$run/log/station-$name"
done
# All keys have to be computed first: 30 ms each in the emulator.
keys_ready() { lk --json status | jq -e 'all(.keys[]; .ready == .total)' >/dev/null; }
wait_for 60 keys_ready || abandon "the keys are not computed"
# One after the other: when an association response takes so long that the station repeats its request, hostapd begins the
# handshake again, and a station with protected management frames is then lost for ten seconds. That is the emulator's doing.
for name in "${names[@]}" newcomer; do
    arrive "$name"
    if wait_for 60 connected "$name"; then log "$name joined"; else log "$name did not join"; fi
done
arrive copycat

expect_air() {
    eventually "$1 among the stations" 30 "$2" on_air "$1"
    eventually "$1 is in bridge" 10 "$3" bridge_of "$1"
}
expect_air lamp "lamp on wlan0 in VLAN 20, WPA2-PSK" brvlan20
expect_air sensor "sensor on wlan0 in VLAN 20, WPA2-PSK" brvlan20
expect_air tv "tv on wlan0 in VLAN 30, WPA2-PSK" brvlan30
expect_air meter "meter on wlan0 in VLAN 20, WPA2-PSK" brvlan20
expect_air phone "phone on wlan0 in VLAN 30, WPA2-PSK" brvlan30
expect_air safecam "safecam on wlan1 in VLAN 20, SAE" brvlan20
expect_air safetv "safetv on wlan1 in VLAN 30, SAE" brvlan30
expect_air aircam "aircam on wlan2 in VLAN 20, SAE" brvlan20
expect_air newcomer "unknown on wlan0 in VLAN 40, WPA2-PSK" brvlan40
expect_air copycat nothing none

bound() { lk --json device show "$1" | jq -r --arg mac "${mac[$1]}" '[.device.macs[]? | select(.mac == $mac) | .proved] | tostring'; }
for name in sensor tv; do eventually "$name is bound to the address that proved its key" 10 "[true]" bound $name; done
pending() { lk --json pending list | jq -r --arg mac "${mac[$1]}" 'any(.pending[]; .mac == $mac and .quarantined)'; }
eventually "newcomer is in the pending list, quarantined" 10 true pending newcomer

save
. $rig/guest-file-changes.sh

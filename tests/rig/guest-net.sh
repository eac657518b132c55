# shellcheck shell=bash
# Radios, access points and stations of the scenario; read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$mode" "$run"

# In the emulator the start of a program costs more than what it does (50 ms and more on a busy machine): hence ip's batches and
# bash's own means wherever there is a choice.

# Everybody is in one subnet, whatever the VLAN: only so does a leak between VLANs become a reply.
declare -A address
declare -A hardware # used by guest-traffic.sh
next_address=10
give_address() {
    address[$1]=10.77.0.$next_address
    next_address=$((next_address + 1))
}

in_ns() { ip netns exec "$@"; }

# Only what the scenario sends shall be on the air: no IPv6 chatter, here and in the namespaces to come.
silence() {
    echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
    echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
    echo 1 >/proc/sys/net/core/devconf_inherit_init_net
}

# wired_host NAME VLAN: a machine on the cable side of a VLAN, as the router's bridge of that VLAN would have it.
wired_host() {
    give_address "$1"
    hardware[$1]=00:00:5e:00:53:$2
    ip -batch - <<BATCH
netns add $1
link add brvlan$2 type bridge forward_delay 0 mcast_snooping 0
link set brvlan$2 up
link add $1 type veth peer name eth0 address ${hardware[$1]} netns $1
link set $1 up master brvlan$2
BATCH
    ip -n "$1" -batch - <<BATCH
address add ${address[$1]}/24 brd + dev eth0
link set eth0 up
BATCH
}

# access_point RADIO SSID SECRET: the configuration an administrator would write, as far as it concerns latchkey.
access_point() {
    cat <<CONF
interface=wlan$1
driver=nl80211
ctrl_interface=/run/hostapd
ssid=$2
hw_mode=g
channel=$(($1 * 5 + 1))
wpa=2
wpa_key_mgmt=WPA-PSK
rsn_pairwise=CCMP
wpa_psk_radius=$mode
macaddr_acl=$((mode == 2 ? 2 : 0))
dynamic_vlan=2
vlan_bridge=brvlan
own_ip_addr=127.0.0.1
nas_identifier=ap-${2,,}
auth_server_addr=127.0.0.1
auth_server_port=1812
auth_server_shared_secret=$3
acct_server_addr=127.0.0.1
acct_server_port=1813
acct_server_shared_secret=$3
CONF
}

start_access_points() {
    access_point 0 Home "$1" >"$run/home.conf"
    access_point 1 Onboard "$1" >"$run/onboard.conf"
    hostapd -t -d "$run/home.conf" "$run/onboard.conf" >"$run/log/hostapd" 2>&1 &
}
access_points_up() { [ "$(grep -c 'AP-ENABLED' "$run/log/hostapd")" = 2 ]; }

# start_station NAME RADIO MAC SSID PASSPHRASE: its radio moves into a namespace of its own, so that its traffic can only take
# the air. It listens on the one channel of its network: a scan of all takes long on emulated radios.
start_station() {
    local interface=wlan$2 channel=2412
    [ "$4" = Home ] || channel=2437
    give_address "$1"
    hardware[$1]=$3
    ip netns add "$1"
    iw phy "$(<"/sys/class/net/$interface/phy80211/name")" set netns name "$1"
    ip -n "$1" -batch - <<BATCH
link set $interface address $3 name wlan
address add ${address[$1]}/24 brd + dev wlan
BATCH
    cat >"$run/station-$1.conf" <<CONF
p2p_disabled=1
network={
	ssid="$4"
	psk="$5"
	key_mgmt=WPA-PSK
	proto=RSN
	pairwise=CCMP
	scan_freq=$channel
	freq_list=$channel
}
CONF
    in_ns "$1" wpa_supplicant -t -D nl80211 -i wlan -c "$run/station-$1.conf" >"$run/log/station-$1" 2>&1 &
}

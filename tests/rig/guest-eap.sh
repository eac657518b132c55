# shellcheck shell=bash
# IEEE 802.1X: WPA2-Enterprise on one radio, WPA3-Enterprise on another, latchkey ends EAP. Read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$run" "$out" "$rig" "$socket"
# shellcheck source-path=SCRIPTDIR source=guest-stations.sh
. $rig/guest-stations.sh

# ---- latchkey ----
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

config eap
	option server_name 'ap.example.net'
CONF
chmod 600 $run/latchkey.conf
answers() { lk status >/dev/null 2>&1; }
ip link set lo up
/mnt/bin/latchkey serve --config $run/latchkey.conf >>$run/log/latchkey 2>&1 &
daemon=$!
wait_for 60 answers || abandon "latchkey does not answer on its control socket"

# ---- the air ----
silence
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
network Office 0 wpa_key_mgmt=WPA-EAP >$run/office.conf
network Safe 1 wpa_key_mgmt=WPA-EAP-SHA256 ieee80211w=2 >$run/safe.conf
hostapd -t $run/office.conf $run/safe.conf >>$run/log/hostapd 2>&1 &
enabled() { [ "$(grep -c 'AP-ENABLED' $run/log/hostapd)" = 2 ]; }
wait_for 60 enabled || abandon "hostapd does not come up"

# ---- the devices ----
names=()
declare -A mac radio network_of settings
# cast NAME RADIO NETWORK: a station, with the address 00:00:5e:00:53:RADIO.
cast() {
    names+=("$1")
    radio[$1]=$2 network_of[$1]=$3 mac[$1]=00:00:5e:00:53:0$2
}
cast plug 2 Office   # EAP-PSK
cast cam 3 Office    # EAP-TLS 1.2, a certificate of ours
cast lamp 4 Safe     # EAP-PSK
cast phone 5 Safe    # EAP-TLS 1.3, a certificate of ours
cast kettle 6 Office # EAP-TLS 1.3, a certificate of its maker
cast rogue 7 Office  # EAP-TLS 1.2, a certificate of somebody else

# with_psk NAME PROFILE: registers it with an EAP-PSK key, which is fed into it.
with_psk() {
    local added
    added=$(lk --json device add "$1" --profile "$2" --eap-psk 2>&1) || abandon "device add $1: $added"
    settings[$1]="eap=PSK identity=\"$(jq -r .eap_psk.identity <<<"$added")\" password=$(jq -r .eap_psk.key <<<"$added")"
}
# tls NAME VERSION CERTIFICATE KEY
tls() {
    local phase1=tls_disable_tlsv1_3=1
    [ "$2" = 1.2 ] || phase1=tls_disable_tlsv1_3=0
    settings[$1]="eap=TLS identity=\"$1@example.net\" ca_cert=\"$run/lib/pki/ca.crt\" domain_match=\"ap.example.net\""
    # shellcheck disable=SC2089
    settings[$1]+=" client_cert=\"$3\" private_key=\"$4\" phase1=\"$phase1\""
}
# with_certificate NAME PROFILE VERSION: registers it with a certificate of ours.
with_certificate() {
    local added
    added=$(lk device add "$1" --profile "$2" --certificate --out $run 2>&1) || abandon "device add $1: $added"
    tls "$1" "$3" "$run/$1.crt" "$run/$1.key"
}
with_psk plug media
with_psk lamp iot
with_certificate cam iot 1.2
with_certificate phone media 1.3
lk maker add acme --ca $out/certificates/acme.pem --profile iot --admit all >$run/maker.txt 2>&1 || abandon "maker add: $(<$run/maker.txt)"
tls kettle 1.3 $out/certificates/kettle.pem $out/certificates/kettle.key
tls rogue 1.2 $out/certificates/rogue.pem $out/certificates/rogue.key

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
for name in "${names[@]}"; do
    place "$name"
    # A second subnet, that of VLAN 30: who is in which VLAN shows by the gateway that answers.
    ip -n "$name" address add "10.78.0.${address[$name]##*.}/24" dev wlan
    : >"$run/log/station-$name"
done
for name in plug cam lamp phone kettle; do
    arrive "$name"
    if wait_for 40 connected "$name"; then log "$name joined"; else log "$name did not join"; fi
done
arrive rogue

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
is_in plug wlan0 30
is_in cam wlan0 20
is_in lamp wlan1 20
is_in phone wlan1 30
is_in kettle wlan0 20

# ---- which method, which version of TLS ----
of_supplicant() { wpa_cli -p "/run/wpa-$1" -i wlan status | sed -n "s/^$2=//p"; }
result "plug's method" "47 (EAP-PSK)" "$(of_supplicant plug selectedMethod)"
result "lamp's method" "47 (EAP-PSK)" "$(of_supplicant lamp selectedMethod)"
result "cam's method" "13 (EAP-TLS)" "$(of_supplicant cam selectedMethod)"
result "cam's TLS" TLSv1.2 "$(of_supplicant cam eap_tls_version)"
result "phone's TLS" TLSv1.3 "$(of_supplicant phone eap_tls_version)"
result "kettle's TLS" TLSv1.3 "$(of_supplicant kettle eap_tls_version)"
result "lamp's key management" WPA2-EAP-SHA256 "$(of_supplicant lamp key_mgmt)"
result "plug's key management" WPA2/IEEE\ 802.1X/EAP "$(of_supplicant plug key_mgmt)"

# ---- the maker's device registered itself; the stranger is refused ----
registered() { lk --json device show "$1" | jq -r '.device | "\(.profile) \(.eap.certificates | length)"'; }
eventually "kettle registered itself" 10 "iot 1" registered kettle
said_of() { lk log --mac "${mac[$1]}" 2>/dev/null; }
refusal() { if [[ $(said_of rogue) == *"a CA nobody registered"* ]]; then echo "a CA nobody registered"; else said_of rogue; fi; }
eventually "rogue is refused" 40 "a CA nobody registered" refusal
connected rogue && got=connected || got=never
result "rogue is in" never $got

# ---- resumed ----
# again NAME: leaves and comes back, which is a new authentication.
again() {
    clock
    wpa_cli -p "/run/wpa-$1" -i wlan reassociate >/dev/null
    wait_for 40 happened_since "$1" CTRL-EVENT-CONNECTED "$now"
    of_supplicant "$1" tls_session_reused
}
result "cam's session is a new one" 0 "$(of_supplicant cam tls_session_reused)"
result "phone's session is a new one" 0 "$(of_supplicant phone tls_session_reused)"
result "cam's session is resumed when it comes again" 1 "$(again cam)"
result "phone's session is resumed when it comes again" 1 "$(again phone)"
eventually "cam, resumed, is in the same VLAN" 20 "cam on wlan0 in VLAN 20" where cam
eventually "phone, resumed, is in the same VLAN" 20 "phone on wlan1 in VLAN 30" where phone
eventually "cam, resumed, reaches the gateway" 10 yes answers_to cam 10.77.0.1
eventually "phone, resumed, reaches the gateway" 10 yes answers_to phone 10.78.0.1

# ---- off the air ----
# With protected management frames a station first asks whether it is really no longer known: what counts is what hostapd says.
last_off() {
    if [ "${network_of[$1]}" = Office ]; then
        last_event "$1" CTRL-EVENT-DISCONNECTED
        return
    fi
    grep -a "AP-STA-DISCONNECTED ${mac[$1]}" $run/log/hostapd >"$run/log/station-$1-ap"
    last_event "$1-ap" AP-STA-DISCONNECTED
}
goes plug "blocked" device block plug
goes cam "blocked" device block cam
goes lamp "blocked" device block lamp
goes phone "removed" device remove phone
goes kettle "other profile" device set kettle profile=media
comes_to kettle 30 "other profile"
eventually "kettle reaches the gateway of its new VLAN" 10 yes answers_to kettle 10.78.0.1
pause 8
stays_off plug "blocked"
stays_off cam "blocked"
stays_off lamp "blocked"
stays_off phone "removed"
lk device unblock cam >/dev/null
# The supplicant waits ever longer after refusals.
wpa_cli -p /run/wpa-cam -i wlan enable_network 0 >/dev/null
wpa_cli -p /run/wpa-cam -i wlan reassociate >/dev/null
eventually "cam is back: unblocked" 60 "cam on wlan0 in VLAN 20" where cam

# ---- the end ----
lk device list >$run/device-list.txt 2>&1
lk log >$run/log.txt 2>&1
lk stations >$run/stations.txt 2>&1
lk status >$run/status.txt 2>&1
kill -0 $daemon 2>/dev/null && got=running || got=gone
result "latchkey at the end" running "$got"

# shellcheck shell=bash
# IEEE 802.1X: WPA2-Enterprise on one radio, WPA3-Enterprise on another, latchkey ends EAP. Read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$run" "$out" "$rig" "$socket"
# shellcheck source-path=SCRIPTDIR source=guest-stations.sh
. $rig/guest-stations.sh
# shellcheck source-path=SCRIPTDIR source=guest-enterprise.sh
. $rig/guest-enterprise.sh

# ---- latchkey ----
start_latchkey "
config eap
	option server_name 'ap.example.net'"

# ---- the air ----
silence
start_networks

# ---- the devices ----
cast plug 2 Office   # EAP-PSK
cast cam 3 Office    # EAP-TLS 1.2, a certificate of ours
cast lamp 4 Safe     # EAP-PSK
cast phone 5 Safe    # EAP-TLS 1.3, a certificate of ours
cast kettle 6 Office # EAP-TLS 1.3, a certificate of its maker
cast rogue 7 Office  # EAP-TLS 1.2, a certificate of somebody else

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

place_all
for name in plug cam lamp phone kettle; do
    arrive "$name"
    if wait_for 40 connected "$name"; then log "$name joined"; else log "$name did not join"; fi
done
arrive rogue

is_in plug wlan0 30
is_in cam wlan0 20
is_in lamp wlan1 20
is_in phone wlan1 30
is_in kettle wlan0 20

# ---- which method, which version of TLS ----
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

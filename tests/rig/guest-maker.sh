# shellcheck shell=bash
# Devices that their maker vouches for: FreeRADIUS is acme's server, reached through radsecproxy over RADIUS/TLS, and umbrella's,
# reached over UDP. Read by guest.sh, which sets these:
# shellcheck disable=SC2154
: "$run" "$out" "$rig" "${daemon-}"
# shellcheck source-path=SCRIPTDIR source=guest-stations.sh
. $rig/guest-stations.sh
# shellcheck source-path=SCRIPTDIR source=guest-enterprise.sh
. $rig/guest-enterprise.sh

certificates=$out/certificates
shared=the-maker-and-the-access-point
password=inner-secret
server_name=radius.acme.example

# ---- the makers' server ----
# freeradius_conf DIR PORT: ends EAP-TLS and EAP-TTLS, and says of each device what is not for it to say.
freeradius_conf() {
    mkdir -p "$1"
    echo "DEFAULT Cleartext-Password := \"$password\"" >"$1/users"
    : >"$1/dictionary"
    cat >"$1/radiusd.conf" <<CONF
prefix = /usr
name = maker
raddbdir = $1
logdir = $1
run_dir = $1
libdir = /usr/lib/freeradius
pidfile = $1/pid
proxy_requests = no
log {
	destination = files
	file = $run/log/freeradius-$2
	auth = yes
}
security {
	allow_core_dumps = no
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
thread pool {
	start_servers = 2
	max_servers = 4
	min_spare_servers = 1
	max_spare_servers = 2
	max_requests_per_server = 0
	auto_limit_acct = no
}
client us {
	ipaddr = 127.0.0.1
	secret = $shared
	require_message_authenticator = yes
}
modules {
	eap {
		default_eap_type = tls
		timer_expire = 60
		max_sessions = 1024
		tls-config common {
			private_key_file = $certificates/$server_name.key
			certificate_file = $certificates/$server_name.pem
			ca_file = $certificates/acme.pem
			cipher_list = "DEFAULT"
			tls_min_version = "1.2"
			tls_max_version = "1.3"
			ecdh_curve = ""
			cache {
				enable = no
			}
		}
		tls {
			tls = common
		}
		ttls {
			tls = common
			default_eap_type = tls
			virtual_server = inner
		}
	}
	pap {
	}
	files {
		filename = $1/users
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = $2
	}
	authorize {
		eap
	}
	authenticate {
		eap
	}
	post-auth {
		update reply {
			Tunnel-Type := VLAN
			Tunnel-Medium-Type := IEEE-802
			Tunnel-Private-Group-Id := "30"
			Filter-Id := "everything"
		}
	}
}
server inner {
	authorize {
		files
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
CONF
}
# start_freeradius PORT: leaves its process number in $freeradius.
start_freeradius() {
    freeradius_conf "$run/freeradius-$1" "$1"
    freeradius -f -d "$run/freeradius-$1" -n radiusd >>"$run/log/freeradius-$1" 2>&1 &
    freeradius=$!
    ready() { grep -qs 'Ready to process requests' "$run/log/freeradius-$1"; }
    wait_for 60 ready "$1" || abandon "FreeRADIUS does not come up"
}
ip link set lo up
start_freeradius 18120

cat >$run/radsecproxy.conf <<CONF
ListenTLS 127.0.0.1:2083
LogLevel 3
LogDestination file://$run/log/radsecproxy
tls default {
	CACertificateFile $certificates/acme.pem
	CertificateFile $certificates/hub.example.net.pem
	CertificateKeyFile $certificates/hub.example.net.key
}
client ap {
	host 127.0.0.1
	type TLS
	secret radsec
	CertificateNameCheck off
	MatchCertificateAttribute SubjectAltName:DNS:/^ap\\.example\\.net\$/
}
server maker {
	host 127.0.0.1:18120
	type UDP
	secret $shared
}
realm acme.example {
	server maker
}
CONF
radsecproxy -f -c $run/radsecproxy.conf >>$run/log/radsecproxy-output 2>&1 &
listening() { ss -Hltn 'sport = :2083' | grep -q .; }
wait_for 30 listening || abandon "radsecproxy does not come up"

# ---- latchkey ----
start_latchkey "
config eap

config radsec
	list coa_listen '127.0.0.1:3799'

config realm 'acme'
	list realm 'acme.example'
	list server 'radsec://127.0.0.1:2083'
	option server_name 'hub.example.net'
	option ca '$certificates/acme.pem'
	option certificate '$certificates/ap.example.net.pem'
	option private_key '$certificates/ap.example.net.key'
	option profile 'iot'
	option admit 'all'

config realm 'umbrella'
	list realm 'umbrella.example'
	list server 'udp://127.0.0.1:18120'
	option secret '$shared'
	option profile 'iot'
	option admit 'all'"

# ---- the air, the devices ----
silence
start_networks
cast kettle 2 Office # acme's, EAP-TLS 1.3, a certificate of its maker
cast cam 3 Safe      # umbrella's, a password within EAP-TTLS
cast scale 4 Office  # the same
cast lamp 5 Safe     # ours, EAP-PSK
cast stray 6 Office  # of a realm that nobody knows
with_psk lamp media
checks="ca_cert=\"$certificates/acme.pem\" domain_match=\"$server_name\""
settings[kettle]="eap=TLS identity=\"kettle@acme.example\" $checks client_cert=\"$certificates/kettle.pem\""
settings[kettle]+=" private_key=\"$certificates/kettle.key\" phase1=\"tls_disable_tlsv1_3=0\""
# with_password NAME IDENTITY
with_password() {
    settings[$1]="eap=TTLS anonymous_identity=\"$2\" identity=\"$1\" password=\"$password\" phase2=\"auth=PAP\" $checks"
}
with_password cam cam@umbrella.example
with_password scale scale@umbrella.example
with_password stray stray@elsewhere.example
place_all
for name in kettle cam scale lamp; do
    arrive "$name"
    if wait_for 40 connected "$name"; then log "$name joined"; else log "$name did not join"; fi
done
arrive stray

# ---- each where we want it, and not where its maker wants it ----
# The name it was given when it registered itself.
name_of() { lk --json stations | jq -r --arg mac "${mac[$1]}" '.stations[] | select(.mac == $mac) | .device'; }
registered() { [ -n "$(name_of "$1")" ] && [ "$(name_of "$1")" != null ]; }
for name in kettle cam scale; do
    wait_for 30 registered "$name" && got=yes || got=no
    result "$name registered itself" yes "$got"
    lk device set "$(name_of "$name")" "name=$name" >/dev/null || abandon "$name cannot be named"
done
is_in kettle wlan0 20
is_in cam wlan1 20
is_in scale wlan0 20
is_in lamp wlan1 30
result "kettle's TLS" TLSv1.3 "$(of_supplicant kettle eap_tls_version)"
result "cam's method" "21 (EAP-TTLS)" "$(of_supplicant cam selectedMethod)"
result "cam's key management" WPA2-EAP-SHA256 "$(of_supplicant cam key_mgmt)"
known() { lk device show "$1" | grep -o -m 1 -E "$2@$3\.example"; }
result "kettle is known by its identity" kettle@acme.example "$(known kettle kettle acme)"
result "cam is known by its identity" cam@umbrella.example "$(known cam cam umbrella)"
refusal() { if [[ $(said_of stray) == *elsewhere.example* ]]; then echo "named"; else said_of stray; fi; }
eventually "stray is refused, and its realm" 40 "named" refusal
connected stray && got=connected || got=never
result "stray is in" never $got

# ---- off the air: blocked here, and by the word of its maker ----
goes kettle "blocked" device block kettle
# A Disconnect-Request (RFC 5176) of umbrella's server.
disconnect() {
    printf '%s\n' "Calling-Station-Id = \"${mac[$1]//:/-}\"" "Event-Timestamp = $EPOCHSECONDS" "Message-Authenticator = 0x00" \
        | radclient -x -r 1 -t 10 127.0.0.1:3799 disconnect "$shared" >>$run/log/disconnect 2>&1
}
clock
start=$now
disconnect scale && got=acknowledged || got="$(tail -n 3 $run/log/disconnect)"
result "umbrella's Disconnect-Request" acknowledged "$got"
got=no
if wait_for 10 off_since scale "$start"; then
    took=$(((at - start) / 1000))
    [ $took -gt 5000 ] || got=yes
    echo "scale: its maker's Disconnect-Request: off the air $took ms after radclient was started" | tee -a $run/times.txt
fi
result "scale is off the air at once: its maker's word" yes "$got"
eventually "scale is back: its maker lets it in again" 60 "scale on wlan0 in VLAN 20" where scale
pause 6
stays_off kettle "blocked"

# ---- the maker dies ----
# returns NAME: asks its supplicant to come again at once; it waits ever longer after refusals.
returns() {
    wpa_cli -p "/run/wpa-$1" -i wlan enable_network 0 >/dev/null
    wpa_cli -p "/run/wpa-$1" -i wlan reassociate >/dev/null
}
kill "$freeradius"
wait "$freeradius" 2>/dev/null
returns cam
blamed() { if [[ $(said_of cam) == *"umbrella's server"* ]]; then echo "umbrella's server"; else said_of cam; fi; }
eventually "cam is refused, and whose fault it is" 40 "umbrella's server" blamed
eventually "lamp is where it was" 10 "lamp on wlan1 in VLAN 30" where lamp
start_freeradius 18121
lk realm repoint umbrella --to udp://127.0.0.1:18121 >$run/repoint.txt 2>&1 || abandon "realm repoint: $(<$run/repoint.txt)"
returns cam
eventually "cam is back: its realm was moved to another service" 60 "cam on wlan1 in VLAN 20" where cam
eventually "cam reaches the gateway" 20 yes answers_to cam 10.77.0.1
count() { lk --json device list | jq -r .total; }
result "devices at the end" 4 "$(count)"

# ---- the end ----
lk realm list >$run/realm-list.txt 2>&1
lk device list >$run/device-list.txt 2>&1
lk log >$run/log.txt 2>&1
lk stations >$run/stations.txt 2>&1
lk status >$run/status.txt 2>&1
kill -0 $daemon 2>/dev/null && got=running || got=gone
result "latchkey at the end" running "$got"

# shellcheck shell=bash
# What 500 keys in the key file cost; read by guest-file-changes.sh.
# shellcheck disable=SC2154
: "$run" "$hostapd" "${mac[*]-}"

resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }
few_rss=$(resident $hostapd)
# reload_ms: how long hostapd's own RELOAD_WPA_PSK takes, mean of 10.
reload_ms() {
    local n start
    clock
    start=$now
    for n in 1 2 3 4 5 6 7 8 9 10; do hostapd_cli -p /run/hostapd -i wlan0 raw RELOAD_WPA_PSK >/dev/null; done
    clock
    echo $(((now - start) / 10000))
}
# rejoin_ms NAME: from association to the end of the handshake, by its supplicant's clock.
rejoin_ms() {
    local start
    clock
    start=$now
    leave "$1"
    arrive "$1"
    wait_for 30 happened_since "$1" CTRL-EVENT-CONNECTED "$start" || { echo never; return; }
    last_event "$1" "Trying to associate"
    start=$at
    last_event "$1" CTRL-EVENT-CONNECTED
    echo $(((at - start) / 1000))
}
few_reload=$(reload_ms)
few_join=$(rejoin_ms lamp)
{
    echo "name,profile,bind"
    for n in $(seq 500); do echo "many-$n,iot,first"; done
} >$run/many.csv
clock
start=$now
lk device import $run/many.csv >$run/log/import 2>&1 || abandon "import: $(tail -n 3 $run/log/import)"
wait_for 120 keys_ready
lines() { grep -c vlanid= $psk_dir/home; }
file_complete() { [ "$(lines)" -ge 505 ]; }
wait_for 30 file_complete
clock
echo "500 keys: registered, computed and in the key file after $(((now - start) / 1000)) ms" | tee -a $run/times.txt
result "500 more keys are in the key file" yes "$(file_complete && echo yes || lines)"
many_reload=$(reload_ms)
# Of the newest, which hostapd tries first or last, and of an old one.
many_join=$(rejoin_ms lamp)
network_of[many]=Home radio[many]=${radio[copycat]} mac[many]=${mac[copycat]}
echo "hostapd's memory: $few_rss kB with few keys, $(resident $hostapd) kB with 500 more" | tee -a $run/times.txt
echo "reload of the key file (and a start of hostapd_cli): $few_reload ms with few keys, $many_reload ms with 500 more" | tee -a $run/times.txt
echo "handshake and association of lamp: $few_join ms with few keys, $many_join ms with 500 more" | tee -a $run/times.txt

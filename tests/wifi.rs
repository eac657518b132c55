//! Real hostapd and real wpa_supplicants on simulated radios, with latchkey as their RADIUS server.
//!
//! `tests/rig/run.sh` boots the simulated access point, acts out `tests/rig/scenario.txt` there and judges every row. What is
//! asserted here on top of its verdict is the list of what must be among those rows, so that a scenario cannot lose a case
//! unnoticed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the kernel, latchkey and the sniffers in the guest said: row name to (expected, got, verdict).
type Rows = HashMap<String, (String, String, String)>;

/// Boots the guest once and returns its rows; fails with the logs' ends when any row is not as it should be.
fn run(mode: &str) -> Rows {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rig");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wifi-mode{mode}"));
    let run = Command::new(rig.join("run.sh"))
        .arg(mode)
        .arg(&out)
        .arg(env!("CARGO_BIN_EXE_latchkey"))
        .output()
        .expect("tests/rig/run.sh starts");
    // How long it took to take devices off the air, for the reader.
    println!("{}", std::fs::read_to_string(out.join("guest/times.txt")).unwrap_or_default());
    let report = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{report}");

    let results = std::fs::read_to_string(out.join("guest/results.tsv")).expect("a successful run has results");
    results
        .lines()
        .filter_map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [what, expected, got, verdict] => Some((what.into(), (expected.into(), got.into(), verdict.into()))),
            _ => None,
        })
        .collect()
}

/// Asserts that each row is there, and says exactly this.
fn assert_rows(rows: &Rows, wanted: &[(&str, &str)]) {
    for (what, value) in wanted {
        let Some((expected, got, verdict)) = rows.get(*what) else { panic!("no row \"{what}\"") };
        assert_eq!((expected.as_str(), got.as_str(), verdict.as_str()), (*value, *value, "pass"), "{what}");
    }
}

/// What both modes have in common.
const BOTH: &[(&str, &str)] = &[
    // Known by MAC; and by nothing but the key.
    ("lamp joins", "wlan0.20 in brvlan20"),
    ("tv joins", "wlan0.30 in brvlan30"),
    ("sensor joins", "wlan0.20 in brvlan20"),
    ("sensor is bound to the address that proved its key", "true"),
    // Another key that waited at the same time, for a device of another profile.
    ("speaker joins", "wlan0.30 in brvlan30"),
    ("speaker is bound to the address that proved its key", "true"),
    // Quarantine by the onboarding key.
    ("newcomer joins", "wlan1.40 in brvlan40"),
    ("newcomer is in the pending list", "yes"),
    // Refused, and why.
    ("camera is refused", "wrong key"),
    ("oldphone is refused", "blocked by the administrator"),
    ("rental is refused", "expired on"),
    ("stranger is refused", "unknown device"),
    // The same as hostapd tells it over its control interface, also of stations on VLAN interfaces.
    ("lamp among the stations", "lamp on wlan0 in VLAN 20, WPA2-PSK"),
    ("tv among the stations", "tv on wlan0 in VLAN 30, WPA2-PSK"),
    ("sensor among the stations", "sensor on wlan0 in VLAN 20, WPA2-PSK"),
    ("speaker among the stations", "speaker on wlan0 in VLAN 30, WPA2-PSK"),
    ("newcomer among the stations", "unknown on wlan1 in VLAN 40, WPA2-PSK"),
    // Traffic in the VLAN, over the air and to the cable, both ways.
    ("unicast lamp > lan20", "yes"),
    ("unicast lan20 > lamp", "yes"),
    ("unicast lamp > sensor", "yes"),
    ("broadcast lamp > lan20", "yes"),
    ("broadcast lan20 > lamp", "yes"),
    ("broadcast lamp > sensor", "yes"),
    ("broadcast lan30 > tv", "yes"),
    ("broadcast tv > lan30", "yes"),
    // None across.
    ("unicast lamp > tv", "no"),
    ("unicast tv > lamp", "no"),
    ("broadcast lamp > tv", "no"),
    ("broadcast tv > lamp", "no"),
    ("unicast newcomer > lamp", "no"),
    ("broadcast newcomer > lamp", "no"),
    ("unicast lan30 > lamp", "no"),
    ("broadcast lan30 > lamp", "no"),
    // Taken off the air while another device pings.
    ("lamp is off the air at once: blocked", "yes"),
    ("tv is off the air at once: new key", "yes"),
    ("speaker is off the air at once: other profile", "yes"),
    ("speaker is back: other profile", "VLAN 20"),
    ("lamp stays off the air: blocked", "off"),
    ("tv stays off the air: new key", "off"),
    ("bans left in hostapd", "none"),
    ("pings of sensor that were lost meanwhile", "0"),
    ("latchkey at the end", "running"),
];

#[test]
fn devices_join_with_keys_asked_for_at_association() {
    let rows = run("2");
    assert_rows(&rows, BOTH);
}

#[test]
fn devices_join_with_keys_asked_for_during_the_handshake() {
    let rows = run("3");
    assert_rows(&rows, BOTH);
    assert_rows(
        &rows,
        &[
            ("speaker joins", "wlan0.30 in brvlan30"),
            ("speaker is bound to the address that proved its key", "true"),
            ("copycat is refused", "key belongs to another device"),
            ("speaker is off the air at once: other profile, again", "yes"),
            ("speaker is back: other profile, again", "VLAN 30"),
        ],
    );
}

/// hostapd without RADIUS: a key file and SAE passwords; and WPA3 with RADIUS.
#[test]
fn devices_join_with_keys_that_hostapd_reads_and_is_told() {
    let rows = run("file");
    assert_rows(
        &rows,
        &[
            ("the key file is there before hostapd and latchkey start", "yes"),
            ("lamp among the stations", "lamp on wlan0 in VLAN 20, WPA2-PSK"),
            ("sensor is bound to the address that proved its key", "[true]"),
            ("phone is in bridge", "brvlan30"),
            ("safecam among the stations", "safecam on wlan1 in VLAN 20, SAE"),
            ("safetv among the stations", "safetv on wlan1 in VLAN 30, SAE"),
            ("aircam among the stations", "aircam on wlan2 in VLAN 20, SAE"),
            ("newcomer is in bridge", "brvlan40"),
            ("copycat is in bridge", "none"),
            // Within a VLAN.
            ("tv reaches phone: same VLAN, isolate is off", "yes"),
            ("safecam reaches safetv: same VLAN on the same BSS, isolate is on", "no"),
            ("safecam reaches lamp: same VLAN on another BSS, isolate is on", "no"),
            ("safetv reaches the gateway", "yes"),
            // Off the air, and back.
            ("lamp is off the air at once: blocked", "yes"),
            ("safecam is off the air at once: blocked", "yes"),
            ("aircam is off the air at once: blocked", "yes"),
            ("phone is back: other profile", "VLAN 20"),
            ("safetv is back: other profile", "VLAN 20"),
            ("sensor is off the air when it expires", "yes"),
            ("tv stays off the air: new key", "off"),
            ("safetv stays off the air: new key", "off"),
            ("pings of meter that were lost while others were taken off the air", "0"),
            ("newcomer is in its own VLAN: approved", "guestphone on wlan0 in VLAN 30, WPA2-PSK"),
            ("paired: it is in the VLAN of the window's profile", "20"),
            // What others do.
            ("wlan0.20 is put back into its bridge", "brvlan20"),
            ("wlan0.20's flooding is put back", "0"),
            ("the bridge's address is put back", "10.77.0.1/24"),
            ("pings of meter that were lost while latchkey was killed and started again", "0"),
            ("interface down and up: lamp is back", "lamp on wlan0 in VLAN 20, WPA2-PSK"),
            ("new hostapd: tv is back", "tv on wlan0 in VLAN 30, WPA2-PSK"),
            ("new hostapd: safecam is back, its SAE password is set anew", "safecam on wlan1 in VLAN 30, SAE"),
            ("500 more keys are in the key file", "yes"),
            ("bans left in hostapd", "none"),
            ("bridges of ours that are left after the end", "0"),
            ("sockets left in hostapd's directory", "none"),
        ],
    );
}

/// hostapd with IEEE 802.1X, WPA2- and WPA3-Enterprise: latchkey ends EAP.
#[test]
fn devices_join_with_eap() {
    let rows = run("eap");
    assert_rows(
        &rows,
        &[
            ("plug among the stations", "plug on wlan0 in VLAN 30"),
            ("cam among the stations", "cam on wlan0 in VLAN 20"),
            ("lamp among the stations", "lamp on wlan1 in VLAN 20"),
            ("phone among the stations", "phone on wlan1 in VLAN 30"),
            ("plug's method", "47 (EAP-PSK)"),
            ("cam's TLS", "TLSv1.2"),
            ("phone's TLS", "TLSv1.3"),
            ("lamp's key management", "WPA2-EAP-SHA256"),
            // Traffic in the VLAN, and in no other.
            ("plug is in bridge", "brvlan30"),
            ("plug reaches the gateway of VLAN 30", "yes"),
            ("plug reaches the gateway of VLAN 20", "no"),
            ("cam reaches the gateway of VLAN 20", "yes"),
            ("cam reaches the gateway of VLAN 30", "no"),
            ("lamp reaches the gateway of VLAN 20", "yes"),
            ("phone reaches the gateway of VLAN 30", "yes"),
            // By its maker's certificate, without anybody doing anything; and one whose maker nobody knows.
            ("kettle registered itself", "iot 1"),
            ("kettle reaches the gateway of VLAN 20", "yes"),
            ("rogue is refused", "a CA nobody registered"),
            ("rogue is in", "never"),
            ("cam's session is resumed when it comes again", "1"),
            ("phone's session is resumed when it comes again", "1"),
            ("cam, resumed, is in the same VLAN", "cam on wlan0 in VLAN 20"),
            ("phone, resumed, is in the same VLAN", "phone on wlan1 in VLAN 30"),
            // Off the air.
            ("plug is off the air at once: blocked", "yes"),
            ("cam is off the air at once: blocked", "yes"),
            ("lamp is off the air at once: blocked", "yes"),
            ("phone is off the air at once: removed", "yes"),
            ("kettle is back: other profile", "VLAN 30"),
            ("plug stays off the air: blocked", "off"),
            ("cam stays off the air: blocked", "off"),
            ("lamp stays off the air: blocked", "off"),
            ("phone stays off the air: removed", "off"),
            ("cam is back: unblocked", "cam on wlan0 in VLAN 20"),
            ("latchkey at the end", "running"),
        ],
    );
}

/// The same, with devices whose makers vouch for them: FreeRADIUS over UDP, and over RADIUS/TLS through radsecproxy.
#[test]
fn devices_join_by_the_word_of_their_maker() {
    let rows = run("maker");
    assert_rows(
        &rows,
        &[
            ("kettle registered itself", "yes"),
            ("cam registered itself", "yes"),
            ("kettle is known by its identity", "kettle@acme.example"),
            ("kettle's TLS", "TLSv1.3"),
            ("cam's method", "21 (EAP-TTLS)"),
            ("cam's key management", "WPA2-EAP-SHA256"),
            // In the realm's VLAN, with traffic; the maker said another.
            ("kettle among the stations", "kettle on wlan0 in VLAN 20"),
            ("cam among the stations", "cam on wlan1 in VLAN 20"),
            ("kettle is in bridge", "brvlan20"),
            ("kettle reaches the gateway of VLAN 20", "yes"),
            ("kettle reaches the gateway of VLAN 30", "no"),
            ("cam reaches the gateway of VLAN 20", "yes"),
            ("cam reaches the gateway of VLAN 30", "no"),
            ("lamp reaches the gateway of VLAN 30", "yes"),
            ("stray is refused, and its realm", "named"),
            ("stray is in", "never"),
            // Off the air.
            ("kettle is off the air at once: blocked", "yes"),
            ("kettle stays off the air: blocked", "off"),
            ("umbrella's Disconnect-Request", "acknowledged"),
            ("scale is off the air at once: its maker's word", "yes"),
            ("scale is back: its maker lets it in again", "scale on wlan0 in VLAN 20"),
            // The maker dies.
            ("cam is refused, and whose fault it is", "umbrella's server"),
            ("lamp is where it was", "lamp on wlan1 in VLAN 30"),
            ("cam is back: its realm was moved to another service", "cam on wlan1 in VLAN 20"),
            ("cam reaches the gateway", "yes"),
            ("devices at the end", "4"),
            ("latchkey at the end", "running"),
        ],
    );
}

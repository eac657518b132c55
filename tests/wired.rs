//! IEEE 802.1X on a cable: hostapd (`driver=wired`) and wpa_supplicant (`-Dwired`) on the two ends of a veth pair.

mod support;

use serde_json::json;
use std::fs;
use support::cable::{Cable, DEVICE, authenticator, authorized, comes_in, port_is_open, supplicant};
use support::eap::{Ca, Issued, Kind, Wanted, psk, tls};
use support::{Home, eventually};

/// The daemon's configuration: a network on a cable.
fn home() -> Home {
    let home = Home::new();
    home.configure("\toption security 'wpa2'\nconfig ssid 'cable'\n\toption security 'wired'\n");
    home
}

#[test]
fn devices_on_a_cable() {
    let Some(cable) = Cable::new() else { return };
    let home = home();
    let _daemon = home.start();
    let _hostapd = authenticator(&home);
    let added = home.call("device_add", json!({ "name": "printer", "profile": "iot", "eap_psk": true })).unwrap();
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
    let (nai, key) = (field("identity"), field("key"));

    comes_in(&home, &cable, &psk(&nai, &key));
    eventually("its session is there", || {
        let sessions = home.call("sessions", json!({})).unwrap().to_string();
        (sessions.contains(DEVICE) && sessions.contains("printer")).then_some(())
    });

    // The same port, another device with a certificate of its maker, and TLS of both versions.
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P256);
    let device: Issued = ca.issue(&Wanted::idevid("/serialNumber=AC-5/CN=Scanner", Kind::P256));
    let pem = fs::read_to_string(ca.certificate()).unwrap();
    let maker = json!({ "name": "acme", "ca": pem, "profile": "media", "admit": "all" });
    home.call("maker_add", maker).unwrap();
    let own_ca = home.path("state/pki/ca.crt");
    for version in ["1.2", "1.3"] {
        comes_in(&home, &cable, &tls(&own_ca, &device, version));
    }
    let devices = home.call("device_list", json!({})).unwrap();
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(2), "{devices}");

    // Another key: refused, and the port is shut. At the end, as hostapd then waits for a minute.
    let _wrong = supplicant(&home, &cable, &psk(&nai, "00112233445566778899aabbccddee01"));
    eventually("it is refused", || home.log().contains("another EAP-PSK key").then_some(()));
    eventually("the port is shut", || (!port_is_open(&home)).then_some(()));
    assert!(!authorized(&home));
}

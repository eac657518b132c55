//! What pages ask for every few seconds: little, and only when something is new.

use super::*;
use crate::service::sessions::{Session, SessionKey};
use crate::wire::hostapd::Station;
use serde_json::json;
use std::net::IpAddr;

const LAMP: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn session(core: &mut Core, last: u8, bytes: u64) {
    let key = SessionKey { client: "ap".into(), id: [last].into(), mac: MacAddr([2, 0, 0, 0, 0, last]) };
    let device = core.registry.by_mac(key.mac).map(|device| device.id);
    let report = Session {
        device,
        bssid: None,
        ssid: (*b"Home;1").into(),
        nas: "ap".into(),
        multi_id: [].into(),
        nas_identifier: [].into(),
        from: IpAddr::from([192, 0, 2, 1]),
        vlan: Some(20),
        profile: None,
        vouched: None,
        proved: true,
        since: NOW,
        updated: NOW,
        bytes_in: bytes,
        bytes_out: 0,
        address: None,
    };
    core.sessions.update(key, report);
}

/// The numbers of `status`, which are those of the lists.
fn revisions(core: &mut Core) -> (Value, Value) {
    let status = call(core, "status", json!({}));
    for (method, revision) in [("stations", "stations_revision"), ("sessions", "sessions_revision")] {
        for brief in [true, false] {
            assert_eq!(call(core, method, json!({ "brief": brief }))["revision"], status[revision], "{method}");
        }
    }
    (status["stations_revision"].clone(), status["sessions_revision"].clone())
}

fn found(core: &mut Core, signal: i32, vlan: Option<u16>) {
    let station = Station { authorized: true, signal: Some(signal), vlan, connected: Some(9), ..Station::new(LAMP) };
    core.stations.begin_walk("wlan0");
    core.stations.found("wlan0", station);
    core.stations.end_walk("wlan0");
}

#[test]
fn little_of_each_and_many_at_a_time() {
    let mut core = core();
    call(&mut core, "device_add", json!({ "name": "lamp", "macs": [LAMP.to_string()] }));
    core.stations.up(&"wlan0".into(), b"Home;1", None);
    found(&mut core, -51, Some(20));
    session(&mut core, 1, 5);
    core.network.neighbours.insert(LAMP, vec![[192, 168, 20, 7].into(), [0xfd00u16, 0, 0, 0, 0, 0, 0, 7].into()]);
    let lamp = json!({
        "device": "lamp", "mac": "02:00:00:00:00:01", "ssid": "Home;1", "vlan": 20, "signal_dbm": -51,
        "addresses": ["192.168.20.7", "fd00::7"],
    });
    let reply = call(&mut core, "stations", json!({ "brief": true }));
    assert_eq!((&reply["stations"], &reply["total"], &reply["bsses"]), (&json!([lamp]), &json!(1), &json!(1)));
    let lamp = json!({
        "device": "lamp", "mac": "02:00:00:00:00:01", "ssid": "Home;1", "vlan": 20, "address": "192.168.20.7",
    });
    let reply = call(&mut core, "sessions", json!({ "brief": true }));
    assert_eq!((&reply["sessions"], &reply["total"]), (&json!([lamp]), &json!(1)));

    for bss in ["wlan1", "wlan2"] {
        core.stations.up(&bss.into(), b"Home;1", None);
        (0..=255).for_each(|last| core.stations.connected(bss, MacAddr([2, 0, 0, 0, 1, last])));
    }
    for (params, expected) in [
        (json!({ "brief": true }), 500),
        (json!({ "brief": true, "offset": 500 }), 13),
        (json!({ "brief": true, "limit": 3 }), 3),
        (json!({}), 100),
        (json!({ "brief": false, "limit": 500 }), 100),
    ] {
        let reply = call(&mut core, "stations", params.clone());
        let stations = reply["stations"].as_array().expect("a list");
        assert_eq!((stations.len(), &reply["total"]), (expected, &json!(513)), "{params}");
    }
}

#[test]
fn numbers_that_change_with_who_is_there() {
    let mut core = core();
    call(&mut core, "device_add", json!({ "name": "lamp", "bind": "any" }));
    core.stations.up(&"wlan0".into(), b"Home;1", None);
    let mut last = revisions(&mut core);
    let mut seen = vec![last.clone()];
    type Step = fn(&mut Core);
    let steps: [(&str, Step, (bool, bool)); 11] = [
        ("a station comes", |core| found(core, -50, None), (true, false)),
        ("its signal", |core| found(core, -60, None), (false, false)),
        ("its VLAN", |core| found(core, -60, Some(20)), (true, false)),
        ("a session of nobody we know", |core| session(core, 1, 5), (false, true)),
        ("its octets", |core| session(core, 1, 500), (false, false)),
        ("a second session", |core| session(core, 2, 5), (false, true)),
        (
            "whose the station is",
            |core| drop(call(core, "device_set", json!({ "name": "lamp", "set": { "mac+": LAMP.to_string() } }))),
            (true, false),
        ),
        (
            "what that one is called",
            |core| drop(call(core, "device_set", json!({ "name": "lamp", "set": { "name": "light" } }))),
            (true, false),
        ),
        ("where it is", |core| drop(core.network.neighbours.insert(LAMP, vec![[192, 0, 2, 9].into()])), (true, true)),
        (
            "where others are",
            |core| drop(core.network.neighbours.insert(MacAddr([2; 6]), vec![[192, 0, 2, 8].into()])),
            (false, false),
        ),
        ("the station leaves", |core| core.stations.disconnected("wlan0", LAMP), (true, false)),
    ];
    for (what, step, (stations, sessions)) in steps {
        step(&mut core);
        let now = revisions(&mut core);
        assert_eq!((now.0 != last.0, now.1 != last.1), (stations, sessions), "{what}");
        seen.push(now.clone());
        last = now;
    }
    assert_eq!(last.0, seen[0].0, "nobody is there again");
}

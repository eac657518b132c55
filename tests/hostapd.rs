//! The daemon beside a hostapd: a stand-in, which can do what a real one does rarely.

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};
use support::hostapd::{Hostapd, Station};
use support::{Home, eventually};

const TV: &str = "00:00:5e:00:53:03";
const LAMP: &str = "00:00:5e:00:53:01";

/// The stations as latchkey tells of them: address and the field.
fn stations(home: &Home, field: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    loop {
        let reply = home.call("stations", json!({ "offset": all.len() })).unwrap();
        let page = reply["stations"].as_array().unwrap();
        all.extend(page.iter().map(|station| (station["mac"].as_str().unwrap().to_owned(), station[field].clone())));
        if page.is_empty() || all.len() as u64 >= reply["total"].as_u64().unwrap() {
            return all;
        }
    }
}

fn bsses(home: &Home) -> usize {
    home.call("status", json!({})).unwrap()["bsses"].as_array().unwrap().len()
}

#[test]
fn stations_come_and_go() {
    let home = Home::new();
    let dir = home.path("hostapd");
    let daemon = home.start();
    // Registered before: a station that becomes a device's while it is there is taken off, to come back as that.
    home.call("device_add", json!({ "name": "tv", "profile": "media", "macs": [TV] })).unwrap();
    let hostapd = Hostapd::start(&dir, "wlan0");
    let _global = Hostapd::start(&dir, "global");
    hostapd.with(|state| state.put(TV, Station::in_vlan(30)));
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    eventually("who was there before", || (stations(&home, "vlan") == [(TV.into(), json!(30))]).then_some(()));
    hostapd.joins(LAMP, Station::in_vlan(20));
    assert_eq!(stations(&home, "device"), [(LAMP.into(), Value::Null), (TV.into(), json!("tv"))]);
    hostapd.leaves(TV);
    assert_eq!(stations(&home, "akm"), [(LAMP.into(), json!("WPA2-PSK"))]);
    let shown = String::from_utf8(home.latchkey(&["stations"]).stdout).unwrap();
    assert!(shown.contains("-40 dBm") && shown.ends_with("1 station on 1 BSS.\n"), "{shown}");

    // Our sockets have names and no files, so that hostapd reaches them from wherever it is jailed.
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "hostapd's own and nothing else: {files:?}");
    let names = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(names.contains(" @latchkey-"), "{names}");
    daemon.terminate();
}

#[test]
fn a_hostapd_that_starts_again() {
    let home = Home::new();
    let dir = home.path("hostapd");
    let _daemon = home.start();
    eventually("the daemon says that there is none", || home.log().contains("no hostapd on this box").then_some(()));
    let first = Hostapd::start(&dir, "wlan0");
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    first.joins(TV, Station::in_vlan(30));
    first.terminates();
    eventually("its stations are forgotten", || (bsses(&home) == 0).then_some(()));
    let second = Hostapd::start(&dir, "wlan0");
    second.with(|state| state.put(LAMP, Station::in_vlan(20)));
    eventually("the new one is followed", || (stations(&home, "vlan") == [(LAMP.into(), json!(20))]).then_some(()));
}

#[test]
fn a_hostapd_that_is_killed() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    hostapd.joins(TV, Station::in_vlan(30));
    drop(hostapd);
    eventually("its stations are forgotten", || (bsses(&home) == 0).then_some(()));
}

#[test]
fn a_hostapd_that_stops_telling_of_events() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    // Without a word. The attachment is renewed, once, and the list walked.
    let walks = hostapd.with(|state| {
        state.detach_all();
        state.walks()
    });
    eventually("attached again", || hostapd.with(|state| state.attached() == 1 && state.walks() > walks).then_some(()));
    hostapd.joins(LAMP, Station::in_vlan(20));
    assert_eq!(stations(&home, "vlan"), [(LAMP.into(), json!(20))]);
}

#[test]
fn a_hostapd_that_hangs() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    hostapd.joins(LAMP, Station::in_vlan(20));
    hostapd.with(|state| state.deaf = true);
    // Whoever asks is told what is known, and nothing is known of its stations any more, until it answers again.
    assert_eq!(stations(&home, "mac").len(), 1);
    eventually("the silence is noticed", || (bsses(&home) == 0).then_some(()));
    hostapd.with(|state| state.deaf = false);
    eventually("followed again", || (stations(&home, "vlan").len() == 1).then_some(()));
    assert_eq!(home.log().matches("no answer within").count(), 1, "said once: {}", home.log());
}

#[test]
fn a_station_that_leaves_under_a_walk_takes_nobody_with_it() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let there = ["00:00:5e:00:53:11", "00:00:5e:00:53:12", "00:00:5e:00:53:13"];
    hostapd.with(|state| there.iter().for_each(|mac| state.put(mac, Station::in_vlan(20))));
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    assert_eq!(stations(&home, "vlan").len(), 3);
    // hostapd cannot say who is next to one that is gone.
    hostapd.with(|state| state.fleeting = Some(there[1].into()));
    assert_eq!(stations(&home, "vlan"), [(there[0].into(), json!(20)), (there[2].into(), json!(20))]);
}

#[test]
fn a_flood_of_events_loses_nobody() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    for n in 0..500 {
        let mac = format!("02:00:00:00:{:02x}:{:02x}", n / 256, n % 256);
        hostapd.joins(&mac, Station::in_vlan(20));
        if n % 2 == 0 {
            hostapd.leaves(&mac);
        }
    }
    assert_eq!(stations(&home, "vlan").len(), 250);
}

#[test]
fn hostapd_is_left_alone_when_asked_to() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let config = fs::read_to_string(home.path("config")).unwrap();
    let dir = home.path("hostapd").display().to_string();
    fs::write(home.path("config"), config.replace(&format!("'{dir}'"), "''")).unwrap();
    let _daemon = home.start();
    eventually("it says so", || home.log().contains("hostapd is left alone").then_some(()));
    assert_eq!((bsses(&home), hostapd.with(|state| state.asked.len())), (0, 0));
    let shown = String::from_utf8(home.latchkey(&["stations"]).stdout).unwrap();
    assert!(shown.starts_with("No hostapd is found"), "{shown}");
}

/// Set up in the other order: hostapd was there first, and then its SSID came into the configuration.
#[test]
fn an_ssid_that_is_configured_while_it_is_on_the_air() {
    let home = Home::new();
    let _hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let written = fs::read_to_string(home.path("config")).unwrap();
    fs::write(home.path("config"), written.replace("option ssid 'Home'", "option ssid 'Elsewhere'")).unwrap();
    let daemon = home.start();
    let says = |what: &str| {
        eventually(what, || {
            let status = home.call("status", json!({})).unwrap();
            status["bsses"][0]["keys"].as_str().is_some_and(|keys| keys.starts_with(what)).then_some(())
        });
    };
    says("not in the configuration");
    fs::write(home.path("config"), &written).unwrap();
    daemon.signal(Signal::SIGHUP);
    says("hostapd has no RADIUS server");
    let file = format!("{written}\toption backend 'psk-file'\n\toption psk_file '{}'\n", home.path("keys").display());
    fs::write(home.path("config"), file).unwrap();
    daemon.signal(Signal::SIGHUP);
    says("hostapd does not read");
    // Back before anybody was asked whether hostapd is still there.
    fs::write(home.path("config"), written).unwrap();
    daemon.signal(Signal::SIGHUP);
    says("hostapd has no RADIUS server");
}

#[test]
fn a_blocked_device_is_taken_off_the_air() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    // The administrator's own entry, and one that an earlier life of latchkey left.
    hostapd.with(|state| state.denied.extend([("00:00:5e:00:53:77".into(), 0), ("00:00:5e:00:53:78".into(), 4095)]));
    let daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    home.call("device_add", json!({ "name": "tv", "profile": "media", "macs": [TV] })).unwrap();
    home.call("device_add", json!({ "name": "lamp", "macs": [LAMP] })).unwrap();
    hostapd.joins(TV, Station::in_vlan(30));
    hostapd.joins(LAMP, Station::in_vlan(20));
    assert_eq!(stations(&home, "device"), [(LAMP.into(), json!("lamp")), (TV.into(), json!("tv"))]);
    let start = Instant::now();
    home.call("device_block", json!({ "name": "tv" })).unwrap();
    eventually("it is off", || hostapd.with(|state| (state.deauthenticated == [TV]).then_some(())));
    println!("off the air {} ms after the command", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(stations(&home, "device"), [(LAMP.into(), json!("lamp"))], "the other one stays");
    // What hostapd remembers from before the daemon's start is not known: so it is banned, too.
    assert_eq!(hostapd.with(|state| state.denied.get(TV).copied()), Some(4095));
    home.call("device_unblock", json!({ "name": "tv" })).unwrap();
    eventually("it may come back", || hostapd.with(|state| (!state.denied.contains_key(TV)).then_some(())));
    home.call("device_rotate", json!({ "name": "lamp" })).unwrap();
    eventually("the old key is off", || hostapd.with(|state| (state.deauthenticated == [TV, LAMP]).then_some(())));

    // A daemon that is killed leaves its ban, and the next one finds it by its mark.
    assert_eq!(hostapd.with(|state| state.denied.get(LAMP).copied()), Some(4095));
    daemon.kill();
    let daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    stations(&home, "mac");
    assert_eq!(hostapd.with(|state| state.denied.get(LAMP).copied()), Some(4095), "not before its time is over");

    // A daemon that ends leaves hostapd as the administrator had it.
    daemon.terminate();
    assert_eq!(hostapd.with(|state| state.denied.clone()), BTreeMap::from([("00:00:5e:00:53:77".into(), 0)]));
}

/// hostapd's event does not say where a station is: it is asked at once, not with the next walk.
#[test]
fn a_station_in_the_wrong_vlan_is_taken_off_at_once() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    home.call("device_add", json!({ "name": "tv", "profile": "media", "macs": [TV] })).unwrap();
    home.call("device_add", json!({ "name": "lamp", "profile": "iot", "macs": [LAMP] })).unwrap();
    let start = Instant::now();
    hostapd.joins(TV, Station::in_vlan(30));
    hostapd.joins(LAMP, Station::in_vlan(30));
    eventually("it is off", || hostapd.with(|state| (state.deauthenticated == [LAMP]).then_some(())));
    println!("off the air {} ms after it came", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(3), "with a walk it would have been a minute");
}

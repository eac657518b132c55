//! The daemon beside a hostapd: a double at first, which can do what a real one does rarely.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::{Home, eventually};

const TV: &str = "00:00:5e:00:53:03";
const LAMP: &str = "00:00:5e:00:53:01";

/// What the double knows, shared with the test.
#[derive(Default)]
struct State {
    /// Address and VLAN of each station.
    stations: BTreeMap<String, u16>,
    /// Who is attached, as often as they attached.
    attached: Vec<PathBuf>,
    walks: usize,
    /// The deny list, and the marks in it.
    denied: BTreeMap<String, u32>,
    /// Everything that was to go.
    deauthenticated: Vec<String>,
    /// Takes requests and does not answer.
    deaf: bool,
    ended: bool,
}

/// A control socket of one BSS, played by a thread. Ends, and removes its socket, when it is dropped.
struct Hostapd {
    state: Arc<Mutex<State>>,
    socket: UnixDatagram,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Hostapd {
    fn start(dir: &Path, interface: &str) -> Hostapd {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join(interface);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (theirs, known, interface) = (socket.try_clone().unwrap(), state.clone(), interface.to_owned());
        let thread = std::thread::spawn(move || {
            let mut request = [0; 4096];
            while !known.lock().unwrap().ended {
                let Ok((length, from)) = theirs.recv_from(&mut request) else { continue };
                let mut state = known.lock().unwrap();
                let reply = state.answer(&interface, std::str::from_utf8(&request[..length]).unwrap(), &from);
                if !state.deaf {
                    let _ = theirs.send_to_addr(reply.as_bytes(), &from);
                }
            }
        });
        Hostapd { state, socket, path, thread: Some(thread) }
    }

    fn joins(&self, mac: &str, vlan: u16) {
        self.state.lock().unwrap().stations.insert(mac.into(), vlan);
        self.tell(&format!("<3>AP-STA-CONNECTED {mac}"));
    }

    fn leaves(&self, mac: &str) {
        self.state.lock().unwrap().stations.remove(mac);
        self.tell(&format!("<3>AP-STA-DISCONNECTED {mac}"));
    }

    fn tell(&self, event: &str) {
        for client in &self.state.lock().unwrap().attached {
            let _ = self.socket.send_to(event.as_bytes(), client);
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.path);
    }
}

impl State {
    fn answer(&mut self, interface: &str, request: &str, from: &SocketAddr) -> String {
        let client = from.as_pathname().unwrap().to_owned();
        let sta = |entry: Option<(&String, &u16)>| match entry {
            Some((mac, vlan)) => format!(
                "{mac}\nflags=[AUTH][ASSOC][AUTHORIZED]\nAKMSuiteSelector=00-0f-ac-2\nsignal=-40\nrx_bytes=100\n\
                 tx_bytes=200\nconnected_time=7\nvlan_id={vlan}\nsomething_new=1\n"
            ),
            None => String::new(),
        };
        match request.split_once(' ').unwrap_or((request, "")) {
            ("PING", _) => "PONG\n".into(),
            ("STATUS", _) => format!(
                "state=ENABLED\nbss[0]=other\nbssid[0]=02:00:00:00:00:01\nssid[0]=Other\nbss[1]={interface}\n\
                 bssid[1]=02:00:00:00:00:02\nssid[1]=Home\n"
            ),
            ("STA-FIRST", _) => {
                self.walks += 1;
                sta(self.stations.iter().next())
            }
            ("STA-NEXT", mac) => sta(self.stations.range(mac.to_owned()..).find(|(other, _)| *other != mac)),
            ("ATTACH", _) => {
                self.attached.push(client);
                "OK\n".into()
            }
            ("DETACH", _) => match self.attached.iter().position(|other| *other == client) {
                Some(at) => {
                    self.attached.remove(at);
                    "OK\n".into()
                }
                None => "FAIL\n".into(),
            },
            ("DENY_ACL", rest) => match rest.split(' ').collect::<Vec<_>>()[..] {
                ["SHOW"] => self.denied.iter().map(|(mac, vlan)| format!("{mac} VLAN_ID={vlan}\n")).collect(),
                ["ADD_MAC", mac, vlan] => {
                    let vlan = vlan.strip_prefix("VLAN_ID=").unwrap().parse().unwrap();
                    self.denied.entry(mac.into()).or_insert(vlan);
                    "OK\n".into()
                }
                ["DEL_MAC", mac] => {
                    self.denied.remove(mac);
                    "OK\n".into()
                }
                _ => "FAIL\n".into(),
            },
            ("DEAUTHENTICATE", mac) => {
                self.deauthenticated.push(mac.into());
                self.stations.remove(mac);
                "OK\n".into()
            }
            ("PMKSA_FLUSH", _) => "OK\n".into(),
            ("MIB", _) => "radiusAuthServerAddress=127.0.0.1\nradiusAuthClientServerPortNumber=1812\n".into(),
            ("GET_CONFIG", _) => "ssid=Home\nkey_mgmt=WPA-PSK\n".into(),
            _ => panic!("latchkey asks hostapd to {request}"),
        }
    }
}

/// The stations as latchkey tells of them: address and the field.
fn stations(home: &Home, field: &str) -> Vec<(String, Value)> {
    let reply = home.call("stations", json!({})).unwrap();
    let list = reply["stations"].as_array().unwrap().iter();
    list.map(|station| (station["mac"].as_str().unwrap().to_owned(), station[field].clone())).collect()
}

fn bsses(home: &Home) -> usize {
    home.call("status", json!({})).unwrap()["bsses"].as_array().unwrap().len()
}

#[test]
fn stations_come_and_go() {
    let home = Home::new();
    let dir = home.path("hostapd");
    let hostapd = Hostapd::start(&dir, "wlan0");
    let _global = Hostapd::start(&dir, "global");
    hostapd.with(|state| state.stations.insert(TV.into(), 30));
    let daemon = home.start();
    home.call("device_add", json!({ "name": "tv", "macs": [TV] })).unwrap();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    assert_eq!(stations(&home, "vlan"), [(TV.into(), json!(30))], "who was there before");
    hostapd.joins(LAMP, 20);
    assert_eq!(stations(&home, "device"), [(LAMP.into(), Value::Null), (TV.into(), json!("tv"))]);
    hostapd.leaves(TV);
    assert_eq!(stations(&home, "akm"), [(LAMP.into(), json!("WPA2-PSK"))]);
    let shown = String::from_utf8(home.latchkey(&["stations"]).stdout).unwrap();
    assert!(shown.contains("-40 dBm") && shown.ends_with("1 station on 1 BSS.\n"), "{shown}");

    // Our sockets: in a directory others may pass through only, and for hostapd's user alone.
    let own = dir.join(".latchkey");
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o711);
    for entry in fs::read_dir(&own).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert!(metadata.file_type().is_socket() && metadata.permissions().mode() & 0o777 == 0o600);
    }
    daemon.terminate();
    assert!(!own.exists(), "left behind");
}

#[test]
fn a_hostapd_that_starts_again_or_falls_silent() {
    let home = Home::new();
    let dir = home.path("hostapd");
    let _daemon = home.start();
    eventually("the daemon says that there is none", || home.log().contains("no hostapd on this box").then_some(()));
    let first = Hostapd::start(&dir, "wlan0");
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    first.joins(TV, 30);
    drop(first);
    eventually("its stations are forgotten", || (bsses(&home) == 0).then_some(()));
    let second = Hostapd::start(&dir, "wlan0");
    second.with(|state| state.stations.insert(LAMP.into(), 20));
    eventually("the new one is followed", || (stations(&home, "vlan") == [(LAMP.into(), json!(20))]).then_some(()));

    // It stops telling of events, without a word: the attachment is renewed, once, and the list walked.
    let walks = second.with(|state| {
        state.attached.clear();
        state.walks
    });
    eventually("attached again", || {
        second.with(|state| state.attached.len() == 1 && state.walks > walks).then_some(())
    });

    // It hangs: nothing is known of its stations, until it answers again.
    second.with(|state| state.deaf = true);
    eventually("the silence is noticed", || (bsses(&home) == 0).then_some(()));
    second.with(|state| state.deaf = false);
    eventually("followed again", || (stations(&home, "vlan").len() == 1).then_some(()));
    assert_eq!(home.log().matches("no answer within").count(), 1, "said once: {}", home.log());
}

#[test]
fn a_flood_of_events_loses_nobody() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    let _daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    for n in 0..500 {
        let mac = format!("02:00:00:00:{:02x}:{:02x}", n / 256, n % 256);
        hostapd.joins(&mac, 20);
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
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!((bsses(&home), hostapd.with(|state| state.attached.len())), (0, 0));
    let shown = String::from_utf8(home.latchkey(&["stations"]).stdout).unwrap();
    assert!(shown.starts_with("No hostapd is found"), "{shown}");
}

#[test]
fn a_blocked_device_is_taken_off_the_air() {
    let home = Home::new();
    let hostapd = Hostapd::start(&home.path("hostapd"), "wlan0");
    // The administrator's own entry, and one that an earlier life of latchkey left.
    hostapd.with(|state| state.denied.extend([("00:00:5e:00:53:77".into(), 0), ("00:00:5e:00:53:78".into(), 4095)]));
    let daemon = home.start();
    eventually("the BSS is found", || (bsses(&home) == 1).then_some(()));
    home.call("device_add", json!({ "name": "tv", "macs": [TV] })).unwrap();
    home.call("device_add", json!({ "name": "lamp", "macs": [LAMP] })).unwrap();
    hostapd.joins(TV, 30);
    hostapd.joins(LAMP, 20);
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

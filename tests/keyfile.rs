//! The daemon with the backend psk-file, beside a double of hostapd that reads the key file as the real one does.

mod support;

use serde_json::json;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::{Home, eventually};

const LAMP: &str = "00:00:5e:00:53:01";
const TV: &str = "00:00:5e:00:53:03";
const STRANGER: &str = "00:00:5e:00:53:09";

#[derive(Default)]
struct State {
    /// Address and keyid.
    stations: Vec<(String, String)>,
    attached: Vec<SocketAddr>,
    /// What it was asked to do, in order; with what it read.
    asked: Vec<String>,
    /// Its hostapd.conf names another file.
    reads_nothing: bool,
    ended: bool,
}

struct Hostapd {
    state: Arc<Mutex<State>>,
    socket: UnixDatagram,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Hostapd {
    fn start(dir: &Path, psk_file: PathBuf) -> Hostapd {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join("wlan0");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (theirs, known) = (socket.try_clone().unwrap(), state.clone());
        let thread = std::thread::spawn(move || {
            let mut request = [0; 4096];
            while !known.lock().unwrap().ended {
                let Ok((length, from)) = theirs.recv_from(&mut request) else { continue };
                let request = std::str::from_utf8(&request[..length]).unwrap();
                let reply = known.lock().unwrap().answer(request, &from, &psk_file);
                let _ = theirs.send_to_addr(reply.as_bytes(), &from);
            }
        });
        Hostapd { state, socket, path, thread: Some(thread) }
    }

    fn joins(&self, mac: &str, keyid: &str) {
        let mut state = self.state.lock().unwrap();
        state.stations.push((mac.into(), keyid.into()));
        for client in &state.attached {
            let _ = self.socket.send_to_addr(format!("<3>AP-STA-CONNECTED {mac} keyid={keyid}").as_bytes(), client);
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
    fn answer(&mut self, request: &str, client: &SocketAddr, psk_file: &Path) -> String {
        match request.split_once(' ').unwrap_or((request, "")) {
            ("PING", _) => "PONG\n".into(),
            ("STATUS", _) => "state=ENABLED\nbss[0]=wlan0\nbssid[0]=02:00:00:00:00:02\nssid[0]=Home\n".into(),
            ("GET_CONFIG", _) => "ssid=Home\nkey_mgmt=WPA-PSK SAE\n".into(),
            ("STA-FIRST" | "STA-NEXT", last) => {
                let next = match self.stations.iter().position(|(mac, _)| mac == last) {
                    Some(at) => self.stations.get(at + 1),
                    None => self.stations.first(),
                };
                next.map(|(mac, keyid)| format!("{mac}\nflags=[AUTHORIZED]\nkeyid={keyid}\n")).unwrap_or_default()
            }
            ("STA", wanted) => {
                let station = self.stations.iter().find(|(mac, _)| mac == wanted);
                let text = |(mac, keyid): &(String, String)| {
                    format!(
                        "{mac}\nflags=[AUTHORIZED]\nAKMSuiteSelector=00-0f-ac-2\nconnected_time=1\nvlan_id=20\nkeyid={keyid}\n"
                    )
                };
                station.map_or("FAIL\n".into(), text)
            }
            ("ATTACH", _) => {
                self.attached.push(client.clone());
                "OK\n".into()
            }
            ("DETACH", _) => {
                self.attached.retain(|other| other.as_abstract_name() != client.as_abstract_name());
                "OK\n".into()
            }
            ("DENY_ACL", "SHOW") => String::new(),
            ("RELOAD_WPA_PSK", _) => {
                let keys = if self.reads_nothing { String::new() } else { fs::read_to_string(psk_file).unwrap() };
                let keyids = keys.lines().filter_map(|line| line.strip_prefix("keyid=")?.split_once(' '));
                let keyids: Vec<&str> = keyids.map(|(keyid, _)| keyid).collect();
                self.asked.push(format!("RELOAD_WPA_PSK {}", keyids.join(" ")));
                "OK\n".into()
            }
            ("SET" | "DENY_ACL" | "PMKSA_FLUSH", _) => {
                self.asked.push(request.into());
                "OK\n".into()
            }
            ("DEAUTHENTICATE", rest) => {
                let mac = rest.split(' ').next().unwrap();
                self.stations.retain(|(other, _)| other != mac);
                self.asked.push(format!("DEAUTHENTICATE {mac}"));
                "OK\n".into()
            }
            _ => panic!("latchkey asks hostapd to {request}"),
        }
    }

    fn asked_at(&self, what: &str) -> Option<usize> {
        self.asked.iter().rposition(|asked| asked == what)
    }
}

#[test]
fn keys_come_by_a_file_and_go_with_their_devices() {
    let home = Home::new();
    let file = home.path("run/psk/home");
    home.configure(&format!(
        "\toption backend 'psk-file'\n\toption security 'mixed'\n\toption psk_file '{}'\n\toption unknown 'quarantine'\n\
         \toption quarantine_profile 'media'\n\toption onboarding_key 'welcome to this house'\n",
        file.display()
    ));
    let prepared = home.latchkey(&["prepare", "--config", home.path("config").to_str().unwrap()]);
    assert!(prepared.status.success(), "{prepared:?}");
    assert!(fs::read_to_string(&file).unwrap().starts_with('#'));

    let hostapd = Hostapd::start(&home.path("hostapd"), file.clone());
    let daemon = home.start();
    eventually("hostapd reads the file", || home.log().contains("read by hostapd").then_some(()));
    home.call("device_add", json!({ "name": "lamp", "macs": [LAMP] })).unwrap();
    home.call("device_add", json!({ "name": "tv" })).unwrap();
    eventually("hostapd has both keys", || {
        hostapd.with(|state| state.asked_at("RELOAD_WPA_PSK lk-onboarding lk2.1 lk1.1")).map(|_| ())
    });
    eventually("and the lamp's WPA3 password", || {
        let ends = format!("|mac={LAMP}|vlanid=20");
        hostapd.with(|state| state.asked.iter().any(|asked| asked.ends_with(&ends)).then_some(()))
    });
    assert!(home.log().contains("not with WPA3: tv: hostapd has to know"), "{}", home.log());

    // The first proof binds: from then on the key is for one address.
    hostapd.joins(TV, "lk2.1");
    eventually("the key is bound", || fs::read_to_string(&file).unwrap().contains(TV).then_some(()));
    hostapd.joins(STRANGER, "lk2.1");
    eventually("another one is kept off", || {
        let ban = format!("DENY_ACL ADD_MAC {STRANGER} VLAN_ID=4095");
        hostapd.with(|state| state.asked_at(&ban)).map(|_| ())
    });

    // A blocked device: its key goes before it does, so that it does not come back; it needs no ban.
    hostapd.with(|state| state.asked.clear());
    let start = Instant::now();
    home.call("device_block", json!({ "name": "tv" })).unwrap();
    let off = format!("DEAUTHENTICATE {TV}");
    let at = eventually("it is off", || hostapd.with(|state| state.asked_at(&off)));
    println!("off the air {} ms after the command", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(1));
    let reload = hostapd.with(|state| state.asked_at("RELOAD_WPA_PSK lk-onboarding lk1.1")).expect("without its key");
    assert!(reload < at, "{:?}", hostapd.with(|state| state.asked.clone()));
    assert!(hostapd.with(|state| state.asked.iter().all(|asked| !asked.starts_with("DENY_ACL ADD"))));

    // Killed and started again: the file stays as it is, and who is there with a key of the past is taken off.
    let before = fs::read_to_string(&file).unwrap();
    daemon.kill();
    hostapd.with(|state| {
        state.asked.clear();
        state.attached.clear();
        state.stations = vec![(LAMP.into(), "lk1.1".into()), (TV.into(), "lk2.0".into())];
    });
    let _daemon = home.start();
    eventually("the old key is off", || hostapd.with(|state| state.asked_at(&off)));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let status = home.call("status", json!({})).unwrap();
    assert_eq!(status["bsses"][0]["backend"], "psk-file");

    // Its hostapd.conf names another file.
    hostapd.with(|state| state.reads_nothing = true);
    home.call("device_rotate", json!({ "name": "lamp" })).unwrap();
    let line = format!("wpa_psk_file={}", file.display());
    eventually("it is said what to write", || home.log().contains(&line).then_some(()));
}

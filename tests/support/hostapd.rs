//! A stand-in for hostapd: the control interface of one BSS, played by a thread, for the tests and the benchmark. What
//! it says are the texts of hostapd 2.10 (`ctrl_iface.c`, `ctrl_iface_ap.c`, `ctrl_iface_common.c`, `sta_info.c`);
//! beyond that it can do what a real one does rarely: hang, lose who is attached, forget to end.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixAddr, sendto};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// A client that this many events in a row did not reach is detached, and not told
/// (`hostapd_ctrl_iface_send_internal`).
const UNREACHABLE: u32 = 10;

/// A station in hostapd's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Station {
    /// Its dynamic VLAN.
    pub vlan: Option<u16>,
    /// The name of its key in `wpa_psk_file`.
    pub keyid: Option<String>,
    /// It is in its handshake still.
    pub unauthorized: bool,
}

impl Station {
    /// A connected station in a VLAN.
    pub fn in_vlan(vlan: u16) -> Station {
        Station { vlan: Some(vlan), ..Station::default() }
    }

    /// The reply to `STA`: `hostapd_ctrl_iface_sta_mib`, without counters that mean nothing here.
    fn mib(&self, mac: &str) -> String {
        let flags = if self.unauthorized { "" } else { "[AUTHORIZED]" };
        let mut text = format!(
            "{mac}\nflags=[AUTH][ASSOC]{flags}[SHORT_PREAMBLE][WMM][HT]\naid=1\ncapability=0x431\nlisten_interval=5\n\
             supported_rates=02 04 0b 16 0c 12 18 24 30 48 60 6c\ntimeout_next=NULLFUNC POLL\n\
             dot11RSNAStatsSTAAddress={mac}\ndot11RSNAStatsVersion=1\n\
             dot11RSNAStatsSelectedPairwiseCipher=00-0f-ac-4\ndot11RSNAStatsTKIPLocalMICFailures=0\n\
             dot11RSNAStatsTKIPRemoteMICFailures=0\nwpa=2\nAKMSuiteSelector=00-0f-ac-2\nhostapdWPAPTKState=11\n\
             hostapdWPAPTKGroupState=0\nrx_packets=27\ntx_packets=19\nrx_bytes=2310\ntx_bytes=1893\n\
             inactive_msec=140\nsignal=-40\nrx_rate_info=540\ntx_rate_info=650 mcs 7 shortGI\nconnected_time=7\n"
        );
        if let Some(vlan) = self.vlan {
            let _ = writeln!(text, "vlan_id={vlan}");
        }
        text.push_str("ht_mcs_bitmask=ff000000000000000000\nht_caps_info=0x000c\next_capab=0400000000000140\n");
        if let Some(keyid) = &self.keyid {
            let _ = writeln!(text, "keyid={keyid}");
        }
        text
    }
}

/// Who is attached.
#[derive(Debug)]
struct Attached {
    /// The abstract name of its socket.
    name: Vec<u8>,
    /// Events in a row that did not reach it.
    errors: u32,
}

/// What the stand-in knows, and what it was asked; shared with whoever started it.
#[derive(Debug, Default)]
pub struct State {
    /// The newest last; hostapd's list has it first.
    stations: Vec<(String, Station)>,
    attached: Vec<Attached>,
    /// Every command, and how often it came.
    pub asked: BTreeMap<String, usize>,
    /// The deny list, with the VLAN id of each entry.
    pub denied: BTreeMap<String, u32>,
    /// Everyone who was to go.
    pub deauthenticated: Vec<String>,
    /// What was `SET`, in order.
    pub settings: Vec<(String, String)>,
    /// Takes requests and does not answer.
    pub deaf: bool,
    /// Goes as soon as a walk has come to it.
    pub fleeting: Option<String>,
    interface: String,
    ssid: String,
    bssid: String,
    /// Events on their way.
    events: Vec<String>,
    ended: bool,
}

impl State {
    /// Puts a station into the list, without an event.
    pub fn put(&mut self, mac: &str, station: Station) {
        self.stations.retain(|(other, _)| other != mac);
        self.stations.push((mac.into(), station));
    }

    /// Forgets who is attached, as if its events could not have been delivered.
    pub fn detach_all(&mut self) {
        self.attached.clear();
    }

    /// How many are attached.
    pub fn attached(&self) -> usize {
        self.attached.len()
    }

    /// How often the list was walked.
    pub fn walks(&self) -> usize {
        self.asked.get("STA-FIRST").copied().unwrap_or(0)
    }

    fn remove(&mut self, mac: &str) {
        let before = self.stations.len();
        self.stations.retain(|(other, _)| other != mac);
        if self.stations.len() < before {
            self.events.push(format!("<3>AP-STA-DISCONNECTED {mac}"));
        }
    }

    fn position(&self, mac: &str) -> Option<usize> {
        self.stations.iter().rposition(|(other, _)| other == mac)
    }

    fn answer(&mut self, request: &str, client: Vec<u8>) -> String {
        let (command, rest) = request.split_once(' ').unwrap_or((request, ""));
        *self.asked.entry(command.into()).or_default() += 1;
        let done = |done: bool| if done { "OK\n".to_owned() } else { "FAIL\n".to_owned() };
        let mib = |(mac, station): &(String, Station)| station.mib(mac);
        match command {
            "PING" => "PONG\n".into(),
            "STATUS" => self.status(),
            "GET_CONFIG" => format!(
                "bssid={}\nssid={}\nwps_state=disabled\nwpa=2\nkey_mgmt=WPA-PSK\ngroup_cipher=CCMP\n\
                 rsn_pairwise_cipher=CCMP\n",
                self.bssid, self.ssid
            ),
            "MIB" => "dot11RSNAOptionImplemented=TRUE\ndot11RSNAPreauthenticationImplemented=TRUE\n\
                      dot11RSNAEnabled=TRUE\nhostapdWPAGroupState=2\n"
                .into(),
            "STA-FIRST" => self.stations.last().map(mib).unwrap_or_default(),
            // Nothing after the last; FAIL for one that is not there any more.
            "STA-NEXT" => match self.position(rest) {
                Some(at) => at.checked_sub(1).and_then(|next| self.stations.get(next)).map(mib).unwrap_or_default(),
                None => done(false),
            },
            "STA" => self.position(rest).map_or_else(|| done(false), |at| mib(&self.stations[at])),
            // Attaching twice changes nothing (since hostapd 2.8).
            "ATTACH" => {
                if !self.attached.iter().any(|other| other.name == client) {
                    self.attached.push(Attached { name: client, errors: 0 });
                }
                done(true)
            }
            "DETACH" => {
                let at = self.attached.iter().position(|other| other.name == client);
                at.iter().for_each(|at| drop(self.attached.remove(*at)));
                done(at.is_some())
            }
            "DENY_ACL" => self.deny(&rest.split(' ').collect::<Vec<_>>()),
            "DEAUTHENTICATE" => {
                let mac = rest.split(' ').next().unwrap_or_default();
                self.deauthenticated.push(mac.into());
                self.remove(mac);
                done(true)
            }
            "PMKSA_FLUSH" | "RELOAD_WPA_PSK" => done(true),
            "SET" => match rest.split_once(' ') {
                Some((key, value)) => {
                    self.settings.push((key.into(), value.into()));
                    done(true)
                }
                None => done(false),
            },
            _ => "UNKNOWN COMMAND\n".into(),
        }
    }

    /// The BSS is the second one of its radio.
    fn status(&self) -> String {
        format!(
            "state=ENABLED\nphy=phy0\nfreq=2412\nnum_sta_non_erp=0\nnum_sta_no_short_slot_time=0\n\
             num_sta_no_short_preamble=0\nolbc=0\nnum_sta_ht_no_gf=0\nnum_sta_no_ht=0\nnum_sta_ht_20_mhz=0\n\
             num_sta_ht40_intolerant=0\nolbc_ht=0\nht_op_mode=0x0\ncac_time_seconds=0\ncac_time_left_seconds=N/A\n\
             channel=1\nedmg_enable=0\nedmg_channel=0\nsecondary_channel=0\nieee80211n=1\nieee80211ac=0\nieee80211ax=0\n\
             beacon_int=100\ndtim_period=2\nbss[0]=other\nbssid[0]=02:00:00:00:00:01\nssid[0]=Other\nnum_sta[0]=0\n\
             bss[1]={}\nbssid[1]={}\nssid[1]={}\nnum_sta[1]={}\n",
            self.interface,
            self.bssid,
            self.ssid,
            self.stations.len(),
        )
    }

    /// `DENY_ACL`: an entry takes a station off whose VLAN it has, or with VLAN id 0 in any. What it does not know it
    /// takes for done.
    fn deny(&mut self, words: &[&str]) -> String {
        match words {
            ["SHOW"] => return self.denied.iter().map(|(mac, vlan)| format!("{mac} VLAN_ID={vlan}\n")).collect(),
            ["CLEAR"] => self.denied.clear(),
            ["ADD_MAC", mac, rest @ ..] => {
                let vlan = rest.iter().find_map(|word| word.strip_prefix("VLAN_ID=")?.parse().ok()).unwrap_or(0);
                self.denied.entry((*mac).into()).or_insert(vlan);
                let station = self.position(mac).map(|at| self.stations[at].1.vlan.map_or(0, u32::from));
                if station.is_some_and(|of_station| vlan == 0 || vlan == of_station) {
                    self.remove(mac);
                }
            }
            ["DEL_MAC", mac] => drop(self.denied.remove(*mac)),
            _ => {}
        }
        "OK\n".into()
    }

    /// Sends the events to all who are attached, without waiting for anyone.
    fn tell(&mut self, socket: &UnixDatagram) {
        for event in std::mem::take(&mut self.events) {
            self.attached.retain_mut(|client| {
                let address = UnixAddr::new_abstract(&client.name).expect("a name that it could be bound to");
                match sendto(socket.as_raw_fd(), event.as_bytes(), &address, MsgFlags::MSG_DONTWAIT) {
                    Ok(_) => client.errors = 0,
                    Err(Errno::ENOENT) => return false,
                    Err(_) => client.errors += 1,
                }
                client.errors <= UNREACHABLE
            });
        }
    }
}

/// A BSS. Its thread ends, and its socket is removed, when it is dropped; whoever is attached is not told.
pub struct Hostapd {
    state: Arc<Mutex<State>>,
    socket: UnixDatagram,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Hostapd {
    /// A BSS with this interface in a control directory, which is made if need be. Its SSID is `Home`.
    pub fn start(dir: &Path, interface: &str) -> Hostapd {
        Hostapd::with_bssid(dir, interface, "02:00:00:00:00:02")
    }

    /// A BSS with a BSSID of its own.
    pub fn with_bssid(dir: &Path, interface: &str, bssid: &str) -> Hostapd {
        fs::create_dir_all(dir).expect("the control directory");
        let path = dir.join(interface);
        let socket = UnixDatagram::bind(&path).expect("the control socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let (interface, ssid, bssid) = (interface.into(), "Home".into(), bssid.into());
        let state = Arc::new(Mutex::new(State { interface, ssid, bssid, ..State::default() }));
        let (theirs, known) = (socket.try_clone().expect("another handle"), state.clone());
        let thread = std::thread::spawn(move || serve(&theirs, &known));
        Hostapd { state, socket, path, thread: Some(thread) }
    }

    /// A station's handshake is done.
    pub fn joins(&self, mac: &str, station: Station) {
        let mut state = self.state();
        let keyid = station.keyid.as_ref().map(|keyid| format!(" keyid={keyid}")).unwrap_or_default();
        state.put(mac, station);
        state.events.push(format!("<3>AP-STA-CONNECTED {mac}{keyid}"));
        state.tell(&self.socket);
    }

    /// A station goes.
    pub fn leaves(&self, mac: &str) {
        let mut state = self.state();
        state.remove(mac);
        state.tell(&self.socket);
    }

    /// hostapd ends in good order.
    pub fn terminates(self) {
        let mut state = self.state();
        state.events.extend(["<3>AP-DISABLED ".into(), "<3>CTRL-EVENT-TERMINATING ".into()]);
        state.tell(&self.socket);
    }

    /// Looks at its state, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("its thread has not panicked")
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        let _ = self.state.lock().map(|mut state| state.ended = true);
        // Wakes it up.
        let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"", &self.path));
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.path);
    }
}

fn serve(socket: &UnixDatagram, known: &Mutex<State>) {
    let mut request = [0; 4096];
    loop {
        let received = socket.recv_from(&mut request);
        let mut state = known.lock().expect("whoever started it has not panicked");
        if state.ended {
            return;
        }
        let Ok((length, from)) = received else { continue };
        let Some(client) = from.as_abstract_name().map(<[u8]>::to_vec) else { continue };
        let reply = state.answer(&String::from_utf8_lossy(&request[..length]), client);
        if !state.deaf {
            state.tell(socket);
            let _ = socket.send_to_addr(reply.as_bytes(), &from);
        }
        if let Some(mac) = state.fleeting.take_if(|mac| reply.starts_with(&**mac)) {
            state.remove(&mac);
            state.tell(socket);
        }
    }
}

//! What it costs that stations come and go: 1,000 of them on two BSSes join and leave within a minute of real time,
//! each with its Access-Request, its accounting and hostapd's events. hostapd is played by the stand-in of the tests.

use crate::fleet::{Device, Random, colons, plain};
use crate::hostapd::{Hostapd, Station};
use crate::latchkey::{self, Home, Latchkey};
use crate::process;
use crate::radius::{
    Answer, Report, Secret, Template, accounting, hostapd_attributes, uncover, verify, verify_accounting,
};
use crate::table::Table;
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How many come, and how many go.
const STATIONS: usize = 1000;
/// In this time: real time, because what the daemon does every second and every minute counts, too.
const TIME: Duration = Duration::from_secs(60);
/// How long the daemon is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(20);
/// How often the list of all stations is asked for.
const LISTS: usize = 10;
/// Of one core.
const MOST_PERCENT: f64 = 5.0;

const INTERFACES: [(&str, [u8; 6]); 2] = [("wlan0", [2, 0, 0, 0, 0xa0, 0]), ("wlan1", [2, 0, 0, 0, 0xa1, 0])];

/// The access point: two BSSes, each with every other station.
struct AccessPoint<'a> {
    bsses: Vec<(Hostapd, [u8; 6])>,
    devices: &'a [Device],
    secret: Secret,
    authentication: UdpSocket,
    accounting: UdpSocket,
    random: Random,
    identifier: u8,
}

impl<'a> AccessPoint<'a> {
    fn start(home: &Home, devices: &'a [Device], latchkey: &Latchkey) -> Result<AccessPoint<'a>, String> {
        let dir = home.hostapd_dir();
        let bsses = INTERFACES.map(|(name, bssid)| (Hostapd::with_bssid(&dir, name, &colons(&bssid)), bssid));
        let mut acct = latchkey.address;
        acct.set_port(acct.port() + 1);
        let client = |address: SocketAddr| {
            let socket = process::udp_client(address)?;
            socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(|e| format!("SO_RCVTIMEO: {e}"))?;
            Ok::<_, String>(socket)
        };
        Ok(AccessPoint {
            bsses: bsses.into(),
            devices: devices.get(..STATIONS).ok_or("too few devices")?,
            secret: Secret::new(latchkey::SECRET.as_bytes()),
            authentication: client(latchkey.address)?,
            accounting: client(acct)?,
            random: Random(u64::from(std::process::id())),
            identifier: 0,
        })
    }

    /// A station joins with the key that latchkey answers.
    fn join(&mut self, n: usize) -> Result<(), String> {
        let (device, bss) = (&self.devices[n], n % self.bsses.len());
        let bssid = self.bsses[bss].1;
        let user = plain(&device.mac);
        let template = Template::new(&user, Some(&user), &hostapd_attributes(&bssid, &device.mac));
        let mut authenticator = [0; 16];
        self.random.fill(&mut authenticator);
        self.identifier = self.identifier.wrapping_add(1);
        let (mut request, mut reply) = ([0; 512], [0; 4096]);
        let length = template.write(&self.secret, self.identifier, &authenticator, &mut request);
        let received = exchange(&self.authentication, &request[..length], &mut reply)?;
        match verify(&self.secret, &mut reply[..received], self.identifier, &authenticator)? {
            Answer::Accept { vlan, tunnel_password } if vlan == device.vlan => {
                if uncover(&self.secret, &tunnel_password, &authenticator)? != crate::fleet::hex(&device.pmk).as_bytes()
                {
                    return Err(format!("{} got a key that is not its own", device.name));
                }
            }
            other => return Err(format!("{} got {other:?} instead of VLAN {}", device.name, device.vlan)),
        }
        self.bsses[bss].0.joins(&colons(&device.mac), Station::in_vlan(device.vlan));
        self.account(Report::Start, n)
    }

    fn leave(&mut self, n: usize) -> Result<(), String> {
        self.bsses[n % self.bsses.len()].0.leaves(&colons(&self.devices[n].mac));
        self.account(Report::Stop, n)
    }

    fn account(&mut self, report: Report, n: usize) -> Result<(), String> {
        let bssid = self.bsses[n % self.bsses.len()].1;
        self.identifier = self.identifier.wrapping_add(1);
        let mac = &self.devices[n].mac;
        let request = accounting(&self.secret, self.identifier, report, &bssid, mac, n as u64);
        let mut reply = [0; 4096];
        let received = exchange(&self.accounting, &request, &mut reply)?;
        verify_accounting(&self.secret, &request, &mut reply[..received])
    }

    /// How often the lists were walked, and requests in all.
    fn asked(&self) -> (usize, usize) {
        let counts = self.bsses.iter().map(|(bss, _)| bss.with(|state| (state.walks(), state.asked.values().sum())));
        counts.fold((0, 0), |sum, count: (usize, usize)| (sum.0 + count.0, sum.1 + count.1))
    }
}

fn exchange(socket: &UdpSocket, request: &[u8], reply: &mut [u8]) -> Result<usize, String> {
    let received = socket.send(request).and_then(|_| socket.recv(reply));
    received.map_err(|e| format!("a request stays unanswered: {e}"))
}

/// Joins and leaves, then silence, then lists.
pub fn run(devices: &[Device], home: &Home, latchkey: &Latchkey, table: &mut Table) -> Result<(), String> {
    let mut ap = AccessPoint::start(home, devices, latchkey)?;
    let bsses = || home.call("status", &json!({})).map(|status| status["bsses"].as_array().map_or(0, Vec::len));
    let start = Instant::now();
    while bsses()? < INTERFACES.len() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("latchkey does not find the BSSes".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Half of them are there: from now on one leaves whenever one joins.
    (STATIONS / 2..STATIONS).try_for_each(|n| ap.join(n))?;

    eprintln!("{STATIONS} stations join and leave within {} s ...", TIME.as_secs());
    let (cpu, asked, start) = (latchkey.server.cpu()?, ap.asked(), Instant::now());
    for n in 0..STATIONS {
        std::thread::sleep((start + TIME * n as u32 / STATIONS as u32).saturating_duration_since(Instant::now()));
        ap.join(n)?;
        ap.leave((n + STATIONS / 2) % STATIONS)?;
    }
    std::thread::sleep((start + TIME).saturating_duration_since(Instant::now()));
    let (busy, elapsed) = (latchkey.server.cpu()? - cpu, start.elapsed());
    let (walks, requests) = (ap.asked().0 - asked.0, ap.asked().1 - asked.1);
    let percent = busy.as_secs_f64() * 100.0 / elapsed.as_secs_f64();
    let there = listed(home)?;
    if there != STATIONS / 2 {
        return Err(format!("latchkey lists {there} stations of {}", STATIONS / 2));
    }
    table.bound(
        &format!("{STATIONS} stations join and leave in a minute, % of a core"),
        format!("{percent:.2}"),
        String::new(),
        &format!("< {MOST_PERCENT} %"),
        percent < MOST_PERCENT,
    );
    table.figure("  CPU s in that minute", format!("{:.2}", busy.as_secs_f64()), String::new());
    table.figure("  requests to hostapd (walks through its list)", format!("{requests} ({walks})"), String::new());

    (0..STATIONS / 2).try_for_each(|n| ap.join(n))?;
    eprintln!("{STATIONS} stations, and nothing happens for {} s ...", IDLE.as_secs());
    let (cpu, start) = (latchkey.server.cpu()?, Instant::now());
    std::thread::sleep(IDLE);
    let idle = (latchkey.server.cpu()? - cpu).as_secs_f64() * 100.0 / start.elapsed().as_secs_f64();
    table.figure("  while nothing happens, all connected, % of a core", format!("{idle:.2}"), String::new());
    let cpu = latchkey.server.cpu()?;
    for _ in 0..LISTS {
        let there = listed(home)?;
        if there != STATIONS {
            return Err(format!("latchkey lists {there} stations of {STATIONS}"));
        }
    }
    let list = (latchkey.server.cpu()? - cpu).as_secs_f64() * 1e3 / LISTS as f64;
    table.figure("  the list of all, walked anew, CPU ms", format!("{list:.1}"), String::new());
    Ok(())
}

fn listed(home: &Home) -> Result<usize, String> {
    let mut seen = 0;
    loop {
        let list = home.call("stations", &json!({ "offset": seen }))?;
        let page = list["stations"].as_array().map_or(0, Vec::len);
        seen += page;
        if page == 0 || list["total"].as_u64().is_none_or(|total| seen as u64 >= total) {
            return Ok(seen);
        }
    }
}

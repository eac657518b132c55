//! EAP-PSK and EAP-TLS: latchkey beside hostapd as a RADIUS server and FreeRADIUS, with the same certificates.

pub mod certificates;
pub mod load;
pub mod peer;
mod psk;
pub mod radius;
mod servers;
mod tls;

use crate::fleet::{self, Device, Random, colons, hex};
use crate::latchkey::{self, Home};
use crate::process::Server;
use crate::table::{Table, median, thousands};
use certificates::{Certificates, SERVER_NAME};
use load::{IN_FLIGHT, Load, Until};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The secret of hostapd and FreeRADIUS.
pub const SECRET: &str = "eap-on-loopback-with-these";

/// Devices with an EAP-PSK key, and as many with a certificate: one for each place in the load, as one device does not
/// authenticate twice at a time.
const DEVICES: usize = IN_FLIGHT;

/// Authentications per CPU second, as many times as hostapd's: EAP-PSK; and as the better of the two: EAP-TLS.
const LEAST_PSK: f64 = 5.0;
const LEAST_TLS: f64 = 1.3;

/// Half-open conversations to measure one by, within what all servers have room for; and far more.
const HALF_OPEN: usize = 200;
const FLOOD: usize = 10_000;

/// Resident memory with as many half-open conversations as it takes, in MB.
const MOST_MEMORY: f64 = 24.0;

/// Rounds of load of each method on each server.
const ROUNDS: usize = 3;

/// Length of one round.
const ROUND: Duration = Duration::from_secs(2);

/// hostapd has room for 1000 sessions and keeps each for 5 s after its end, so it gets so many at a time, and a pause after
/// them.
const HOSTAPD_ROUND: usize = 900;
const HOSTAPD_PAUSE: Duration = Duration::from_millis(5500);

/// The load that hostapd can bear for ever, as it keeps sessions for so long, and for how long it is put on it.
const PACE: u32 = 180;
const STEADY: Duration = Duration::from_secs(12);

/// An EAP-PSK key, and whose.
pub struct Key {
    pub nai: String,
    pub key: [u8; 16],
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Psk,
    Full(&'static SupportedProtocolVersion),
    Resumed(&'static SupportedProtocolVersion),
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Psk => "EAP-PSK",
            Work::Full(version) if *version == TLS12 => "EAP-TLS 1.2, full",
            Work::Full(_) => "EAP-TLS 1.3, full",
            Work::Resumed(version) if *version == TLS12 => "EAP-TLS 1.2, resumed",
            Work::Resumed(_) => "EAP-TLS 1.3, resumed",
        }
    }
}

/// What the devices have.
struct Devices {
    keys: Vec<Key>,
    certificates: Certificates,
}

type Maker<'a> = Box<dyn FnMut(usize, &mut Random) -> Result<peer::Peer, String> + 'a>;

impl Devices {
    /// The device of each place.
    fn maker(&self, work: Work) -> Result<Maker<'_>, String> {
        let server = ServerName::try_from(SERVER_NAME).map_err(|e| format!("{SERVER_NAME}: {e}"))?;
        let (version, resuming) = match work {
            Work::Psk => {
                return Ok(Box::new(move |slot, random| {
                    let Key { nai, key } = &self.keys[slot];
                    Ok(peer::Peer::new(nai, station(0, slot), psk::Psk::new(nai, key, random)))
                }));
            }
            Work::Full(version) => (version, false),
            Work::Resumed(version) => (version, true),
        };
        let Certificates { authority, devices, .. } = &self.certificates;
        let settings = devices.iter().map(|device| tls::settings(device, authority, version, resuming));
        let settings: Vec<_> = settings.collect::<Result<_, _>>()?;
        Ok(Box::new(move |slot, _| {
            let method = tls::Tls::new(&settings[slot], &server)?;
            Ok(peer::Peer::new(&devices[slot].name, station(1, slot), method))
        }))
    }
}

/// The address of a device.
fn station(kind: u8, slot: usize) -> [u8; 6] {
    [0x00, 0x00, 0x5e, 0x00, 0x53 + kind, u8::try_from(slot).expect("fewer than 256 places")]
}

/// A server under load.
struct Target<'a> {
    server: &'a Server,
    load: Load,
    maker: Maker<'a>,
    /// The most it can take in a round, and until when it has to rest after the last.
    most: Option<usize>,
    rested: Instant,
}

/// Medians of the rounds on one server.
struct Figures {
    /// Authentications per second.
    rate: f64,
    /// Server CPU time of each, in microseconds.
    cost: f64,
}

impl<'a> Target<'a> {
    fn new(
        server: &'a Server,
        address: std::net::SocketAddr,
        secret: &str,
        maker: Maker<'a>,
        most: Option<usize>,
    ) -> Result<Target<'a>, String> {
        // It may still keep the sessions of other work.
        let rested = Instant::now() + if most.is_some() { HOSTAPD_PAUSE } else { Duration::ZERO };
        Ok(Target { server, load: Load::new(address, secret)?, maker, most, rested })
    }

    fn round(&mut self, work: Work, time: Duration, warm: bool, pace: Option<u32>) -> Result<Figures, String> {
        std::thread::sleep(self.rested.saturating_duration_since(Instant::now()));
        let most = if warm { IN_FLIGHT } else { self.most.filter(|_| pace.is_none()).unwrap_or(usize::MAX) };
        let cpu = self.server.cpu()?;
        let through = self.load.run(Until::Through { most, time, pace }, &mut self.maker);
        let outcome = through.map_err(|e| format!("{} with {}: {e}", work.name(), self.server.name()))?;
        let cpu = self.server.cpu()? - cpu;
        if self.most.is_some() {
            self.rested = Instant::now() + HOSTAPD_PAUSE;
        }
        let expected = if matches!(work, Work::Resumed(_)) && !warm { outcome.done } else { 0 };
        if !warm && outcome.resumed != expected {
            return Err(format!("{}: {} of {} are resumed", work.name(), outcome.resumed, outcome.done));
        }
        let done = outcome.done as f64;
        Ok(Figures { rate: done / outcome.elapsed.as_secs_f64(), cost: cpu.as_secs_f64() * 1e6 / done })
    }
}

/// Rounds on all servers in turn, after a warm-up that does not count.
fn measure(work: Work, targets: &mut [Option<Target<'_>>; 3]) -> Result<[Option<Figures>; 3], String> {
    let mut rounds: [Vec<Figures>; 3] = Default::default();
    for round in 0..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {}, {IN_FLIGHT} in flight ...", work.name());
        for (target, rounds) in targets.iter_mut().zip(&mut rounds) {
            let Some(target) = target else { continue };
            let figures = target.round(work, ROUND, round == 0, None)?;
            if round > 0 {
                rounds.push(figures);
            }
        }
    }
    let middle = |of: fn(&Figures) -> f64, rounds: &[Figures]| median(rounds.iter().map(of).collect());
    Ok(rounds.map(|rounds| {
        let rounds = &rounds[..];
        (!rounds.is_empty()).then(|| Figures { rate: middle(|r| r.rate, rounds), cost: middle(|r| r.cost, rounds) })
    }))
}

fn devices(dir: &Path) -> Result<Devices, String> {
    let mut random = Random(7);
    let keys = (0..DEVICES).map(|n| {
        let mut key = [0; 16];
        random.fill(&mut key);
        Key { nai: format!("psk-{n:02}@latchkey.home.arpa"), key }
    });
    Ok(Devices { keys: keys.collect(), certificates: Certificates::make(dir, DEVICES)? })
}

/// A latchkey with these devices beside those of the fleet, and the certificate all servers have.
fn home(dir: &Path, fleet: &[Device], devices: &Devices) -> Result<Home, String> {
    let Certificates { server, server_key, device_pems, .. } = &devices.certificates;
    let home = Home::with(
        &dir.join("latchkey-eap"),
        &format!(
            "\toption security 'enterprise'\n\nconfig eap\n\toption server_name '{SERVER_NAME}'\n\
             \toption certificate '{}'\n\toption private_key '{}'\n",
            server.display(),
            server_key.display()
        ),
    )?;
    let latchkey = home.start()?;
    home.register(&fleet::csv(fleet))?;
    let profiles = || fleet::PROFILES.iter().map(|(profile, _)| profile).cycle();
    for (n, (key, profile)) in devices.keys.iter().zip(profiles()).enumerate() {
        let (name, mac) = (format!("psk-{n}"), colons(&station(0, n)));
        let credential = json!({ "eap_psk_key": hex(&key.key), "nai": key.nai });
        add(&home, &name, profile, &mac, credential)?;
    }
    for (n, (pem, profile)) in device_pems.iter().zip(profiles()).enumerate() {
        let (name, mac) = (format!("cert-{n}"), colons(&station(1, n)));
        add(&home, &name, profile, &mac, json!({ "certificates": [pem] }))?;
    }
    latchkey.server.stop()?;
    Ok(home)
}

fn add(home: &Home, name: &str, profile: &str, mac: &str, mut params: Value) -> Result<(), String> {
    params["name"] = name.into();
    params["profile"] = profile.into();
    params["macs"] = json!([mac]);
    home.call("device_add", &params).map(drop)
}

/// All of it: what the three servers do with the same load, then what half-open conversations cost.
pub fn run(dir: &Path, fleet: &[Device], table: &mut Table) -> Result<(), String> {
    let devices = devices(dir)?;
    eprintln!("registering the devices with EAP credentials ...");
    let home = home(dir, fleet, &devices)?;
    let hostapd = servers::hostapd(dir, &devices.keys, &devices.certificates, false)?;
    let hostapd_resuming = servers::hostapd(dir, &devices.keys, &devices.certificates, true)?;
    let freeradius = servers::freeradius(dir, &devices.certificates)?;
    let ours = home.start()?;
    for work in [Work::Psk, Work::Full(&TLS12), Work::Full(&TLS13), Work::Resumed(&TLS12), Work::Resumed(&TLS13)] {
        let resuming = matches!(work, Work::Resumed(_));
        // FreeRADIUS has no EAP-PSK in its releases, and resumes nothing without a cache on disk.
        let theirs = if work == Work::Psk || resuming {
            None
        } else {
            let server = &freeradius;
            Some(Target::new(&server.server, server.address, SECRET, devices.maker(work)?, None)?)
        };
        let server = if resuming { &hostapd_resuming } else { &hostapd };
        let maker = devices.maker(work)?;
        // With TLS 1.3 hostapd refuses to resume what rustls offers.
        let hostapd = if work == Work::Resumed(&TLS13) {
            None
        } else {
            Some(Target::new(&server.server, server.address, SECRET, maker, Some(HOSTAPD_ROUND))?)
        };
        let ours = Target::new(&ours.server, ours.address, latchkey::SECRET, devices.maker(work)?, None)?;
        let mut targets = [Some(ours), theirs, hostapd];
        rows(work, measure(work, &mut targets)?, table);
        if work == Work::Psk {
            steady(work, &mut targets, table)?;
        }
    }
    ours.server.stop()?;
    half_open(dir, &home, fleet, &devices, Work::Psk, table)?;
    half_open(dir, &home, fleet, &devices, Work::Full(&TLS12), table)?;
    eprintln!("hostapd {}, FreeRADIUS {}", hostapd.version, freeradius.version);
    Ok(())
}

/// What each costs when they come one by one, as many as hostapd can take for ever.
fn steady(work: Work, targets: &mut [Option<Target<'_>>; 3], table: &mut Table) -> Result<(), String> {
    eprintln!("{} a second, {}, for {} s each ...", PACE, work.name(), STEADY.as_secs());
    let mut costs: [Option<f64>; 3] = [None; 3];
    for (target, cost) in targets.iter_mut().zip(&mut costs) {
        let Some(target) = target else { continue };
        *cost = Some(target.round(work, STEADY, false, Some(PACE))?.cost);
    }
    let [a, b, c] = costs.map(|cost| cost.map_or(String::new(), |cost| format!("{cost:.0}")));
    table.compare(&format!("{}, {PACE} a second, server CPU of each, us", work.name()), a, b, c, None);
    Ok(())
}

/// The rows of one method.
fn rows(work: Work, [ours, theirs, hostapd]: [Option<Figures>; 3], table: &mut Table) {
    let of = |figures: &Option<Figures>, field: fn(&Figures) -> f64| figures.as_ref().map(field);
    let text = |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    let name = work.name();
    let rates = [&ours, &theirs, &hostapd].map(|f| of(f, |f| f.rate).map_or(String::new(), thousands));
    let costs = [&ours, &theirs, &hostapd].map(|f| of(f, |f| f.cost));
    let [a, b, c] = rates;
    // Its sessions stay for 5 s, so hostapd's clock tells nothing.
    let _ = c;
    table.compare(&format!("{name}, 64 in flight, authentications/s"), a, b, String::new(), None);
    let [a, b, c] = costs.map(|cost| text(cost, 0));
    table.compare("  server CPU of each, us", a, b, c, None);
    let [a, b, c] = costs.map(|cost| cost.map_or(String::new(), |cost| thousands(1e6 / cost)));
    table.compare("  authentications per CPU second", a, b, c, None);
    let Some(own) = costs[0] else { return };
    let [b, c] = [costs[1], costs[2]].map(|cost| cost.map(|cost| cost / own));
    let ratio = b.unwrap_or(f64::INFINITY).min(c.unwrap_or(f64::INFINITY));
    let least = match work {
        Work::Psk => Some(LEAST_PSK),
        Work::Full(_) => Some(LEAST_TLS),
        Work::Resumed(_) => None,
    };
    let bound = least.map(|least| (format!(">= {least} x"), ratio >= least));
    let bound = bound.as_ref().map(|(bound, kept)| (&**bound, *kept));
    let times = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("1/{ratio:.1}"));
    if ratio.is_finite() {
        table.compare("  beside the better of the others", format!("{ratio:.1} x"), times(b), times(c), bound);
    }
}

/// Conversations that are begun and left after one response: what one costs, and that many stay bounded. Those are of
/// registered addresses: of others latchkey takes 20 a second. All servers are new ones, which have no memory to use again.
fn half_open(
    dir: &Path,
    home: &Home,
    fleet: &[Device],
    devices: &Devices,
    work: Work,
    table: &mut Table,
) -> Result<(), String> {
    let dir = &dir.join(if work == Work::Psk { "half-open-psk" } else { "half-open-tls" });
    let open = |server: &Server, address, secret: &str, most| -> Result<(f64, load::Outcome), String> {
        let before = server.rss()?;
        let mut load = Load::new(address, secret)?;
        let (mut make, mut stations) = (devices.maker(work)?, fleet.iter().map(|device| device.mac).cycle());
        let mut elsewhere = |slot: usize, random: &mut Random| {
            Ok(make(slot % DEVICES, random)?.at(stations.next().expect("they go round")))
        };
        let outcome = load.run(Until::HalfOpen { most, answers: 1 }, &mut elsewhere);
        let outcome = outcome.map_err(|e| format!("half-open {} with {}: {e}", work.name(), server.name()))?;
        Ok(((server.rss()? as f64 - before as f64).max(0.0), outcome))
    };
    let each = |(octets, outcome): (f64, load::Outcome)| format!("{:.1}", octets / outcome.done as f64 / 1024.0);
    let ours = home.start()?;
    let first = open(&ours.server, ours.address, latchkey::SECRET, HALF_OPEN)?;
    let theirs = match work {
        Work::Psk => None,
        _ => {
            let freeradius = servers::freeradius(dir, &devices.certificates)?;
            Some(open(&freeradius.server, freeradius.address, SECRET, HALF_OPEN)?)
        }
    };
    let hostapd = servers::hostapd(dir, &devices.keys, &devices.certificates, false)?;
    let hostapd = open(&hostapd.server, hostapd.address, SECRET, HALF_OPEN)?;
    let name = work.name();
    table.compare(
        &format!("{name}: memory of a half-open conversation, of {HALF_OPEN}, KiB"),
        each(first),
        theirs.map_or(String::new(), each),
        each(hostapd),
        None,
    );
    let (_, many) = open(&ours.server, ours.address, latchkey::SECRET, FLOOD)?;
    let size = ours.server.rss()? as f64 / 1e6;
    table.bound(
        &format!("  {} more of them, memory in all, MB", thousands(FLOOD as f64)),
        format!("{size:.1}"),
        String::new(),
        &format!("<= {MOST_MEMORY} MB"),
        size <= MOST_MEMORY,
    );
    // And somebody who means it comes in at once.
    let mut load = Load::new(ours.address, latchkey::SECRET)?;
    let until = Until::Through { most: DEVICES, time: ROUND, pace: None };
    let outcome = load.run(until, &mut devices.maker(Work::Psk)?).map_err(|e| format!("after the flood: {e}"))?;
    table.figure(
        "  taken, refused; and then let in",
        format!("{}, {}; {}", many.done, many.refused, outcome.done),
        String::new(),
    );
    ours.server.stop()
}

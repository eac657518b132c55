//! EAP-PSK and EAP-TLS: latchkey beside hostapd as a RADIUS server and FreeRADIUS, with the same certificates.

mod certificates;
mod load;
mod peer;
mod psk;
mod radius;
mod servers;
mod tls;

use crate::fleet::{self, Device, Random, hex};
use crate::latchkey::{self, Home};
use crate::process::Server;
use crate::table::{Table, median, thousands};
use certificates::{Certificates, SERVER_NAME};
use load::{IN_FLIGHT, Load, Until};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use servers::Peer;
use std::path::Path;
use std::time::{Duration, Instant};

/// The secret of hostapd and FreeRADIUS.
pub const SECRET: &str = "eap-on-loopback-with-these";

/// Devices with an EAP-PSK key, and with a certificate.
const KEYS: usize = 64;
const CERTIFICATES: usize = 16;

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
pub struct Devices {
    pub keys: Vec<Key>,
    pub certificates: Certificates,
}

type Maker<'a> = Box<dyn FnMut(usize, &mut Random) -> Result<peer::Peer, String> + 'a>;

impl Devices {
    /// A device for each authentication: one after the other, but for resumption, where each place has a device to itself.
    fn maker(&self, work: Work) -> Result<Maker<'_>, String> {
        let server = ServerName::try_from(SERVER_NAME).map_err(|e| format!("{SERVER_NAME}: {e}"))?;
        let Certificates { authority, devices, .. } = &self.certificates;
        let mut turn = 0;
        let settings = |version, count: usize, resuming| -> Result<Vec<_>, String> {
            (0..count).map(|n| tls::settings(&devices[n % CERTIFICATES], authority, version, resuming)).collect()
        };
        Ok(match work {
            Work::Psk => Box::new(move |_, random| {
                turn += 1;
                let Key { nai, key } = &self.keys[turn % KEYS];
                Ok(peer::Peer::new(nai, psk::Psk::new(nai, key, random)))
            }),
            Work::Full(version) => {
                let settings = settings(version, CERTIFICATES, false)?;
                Box::new(move |_, _| {
                    turn += 1;
                    let n = turn % CERTIFICATES;
                    Ok(peer::Peer::new(&devices[n].name, tls::Tls::new(&settings[n], &server)?))
                })
            }
            Work::Resumed(version) => {
                let settings = settings(version, IN_FLIGHT, true)?;
                Box::new(move |slot, _| {
                    let name = &devices[slot % CERTIFICATES].name;
                    Ok(peer::Peer::new(name, tls::Tls::new(&settings[slot], &server)?))
                })
            }
        })
    }
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

    fn round(&mut self, work: Work, time: Duration, warm: bool) -> Result<Figures, String> {
        std::thread::sleep(self.rested.saturating_duration_since(Instant::now()));
        let most = if warm { IN_FLIGHT } else { self.most.unwrap_or(usize::MAX) };
        let cpu = self.server.cpu()?;
        let through = self.load.run(Until::Through { most, time }, &mut self.maker);
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
            let figures = target.round(work, ROUND, round == 0)?;
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
    let keys = (0..KEYS).map(|n| {
        let mut key = [0; 16];
        random.fill(&mut key);
        Key { nai: format!("psk-{n:02}@latchkey.home.arpa"), key }
    });
    Ok(Devices { keys: keys.collect(), certificates: Certificates::make(dir, CERTIFICATES)? })
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
        let params =
            json!({ "name": format!("psk-{n}"), "profile": profile, "eap_psk_key": hex(&key.key), "nai": key.nai });
        home.call("device_add", &params)?;
    }
    for (n, (pem, profile)) in device_pems.iter().zip(profiles()).enumerate() {
        home.call("device_add", &json!({ "name": format!("cert-{n}"), "profile": profile, "certificates": [pem] }))?;
    }
    latchkey.server.stop()?;
    Ok(home)
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
        let hostapd = Target::new(&server.server, server.address, SECRET, maker, Some(HOSTAPD_ROUND))?;
        let ours = Target::new(&ours.server, ours.address, latchkey::SECRET, devices.maker(work)?, None)?;
        rows(work, measure(work, &mut [Some(ours), theirs, Some(hostapd)])?, table);
    }
    ours.server.stop()?;
    half_open(&home, &devices, Work::Psk, 1, &hostapd, None, table)?;
    half_open(&home, &devices, Work::Full(&TLS12), 1, &hostapd, Some(&freeradius), table)?;
    eprintln!("hostapd {}, FreeRADIUS {}", hostapd.version, freeradius.version);
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
    table.compare("  beside the better of the others", format!("{ratio:.1} x"), times(b), times(c), bound);
}

/// Conversations that are begun and left, each after so many answers: what one costs, and that many stay bounded.
fn half_open(
    home: &Home,
    devices: &Devices,
    work: Work,
    answers: usize,
    hostapd: &Peer,
    freeradius: Option<&Peer>,
    table: &mut Table,
) -> Result<(), String> {
    let open = |server: &Server, address, secret: &str, most| -> Result<(f64, load::Outcome), String> {
        let before = server.rss()?;
        let mut load = Load::new(address, secret)?;
        let outcome = load.run(Until::HalfOpen { most, answers }, &mut devices.maker(work)?);
        let outcome = outcome.map_err(|e| format!("half-open {} with {}: {e}", work.name(), server.name()))?;
        Ok(((server.rss()? as f64 - before as f64).max(0.0), outcome))
    };
    let each = |(octets, outcome): (f64, load::Outcome)| format!("{:.1}", octets / outcome.done as f64 / 1024.0);
    let ours = home.start()?;
    let first = open(&ours.server, ours.address, latchkey::SECRET, HALF_OPEN)?;
    let theirs = freeradius.map(|peer| open(&peer.server, peer.address, SECRET, HALF_OPEN)).transpose()?;
    std::thread::sleep(HOSTAPD_PAUSE);
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
    let until = Until::Through { most: KEYS, time: ROUND };
    let outcome = load.run(until, &mut devices.maker(Work::Psk)?).map_err(|e| format!("after the flood: {e}"))?;
    table.figure(
        "  taken, refused; and then let in",
        format!("{}, {}; {}", many.done, many.refused, outcome.done),
        String::new(),
    );
    ours.server.stop()
}

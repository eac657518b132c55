//! EAP-PSK and EAP-TLS: latchkey beside hostapd as a RADIUS server and FreeRADIUS, with the same certificates.

mod certificates;
mod load;
mod peer;
mod psk;
mod radius;
mod servers;
mod tls;

use crate::fleet::Random;
use crate::process::Server;
use crate::table::{Table, median, thousands};
use certificates::{Certificates, SERVER_NAME};
use load::{IN_FLIGHT, Load, Until};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use std::path::Path;
use std::time::{Duration, Instant};

/// The secret of hostapd and FreeRADIUS.
pub const SECRET: &str = "eap-on-loopback-with-these";

/// Devices with an EAP-PSK key, and with a certificate.
const KEYS: usize = 64;
const CERTIFICATES: usize = 16;

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
fn measure(work: Work, targets: &mut [Option<Target<'_>>]) -> Result<Vec<Option<Figures>>, String> {
    let mut rounds: Vec<Vec<Figures>> = targets.iter().map(|_| Vec::new()).collect();
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
    Ok(rounds
        .iter()
        .map(|rounds| {
            (!rounds.is_empty())
                .then(|| Figures { rate: middle(|r| r.rate, rounds), cost: middle(|r| r.cost, rounds) })
        })
        .collect())
}

pub fn devices(dir: &Path) -> Result<Devices, String> {
    let mut random = Random(7);
    let keys = (0..KEYS).map(|n| {
        let mut key = [0; 16];
        random.fill(&mut key);
        Key { nai: format!("psk-{n:02}@latchkey.home.arpa"), key }
    });
    Ok(Devices { keys: keys.collect(), certificates: Certificates::make(dir, CERTIFICATES)? })
}

/// All of it.
pub fn run(dir: &Path, table: &mut Table) -> Result<(), String> {
    let devices = devices(dir)?;
    let hostapd = [false, true].map(|resuming| servers::hostapd(dir, &devices.keys, &devices.certificates, resuming));
    let [hostapd, hostapd_resuming] = hostapd;
    let (hostapd, hostapd_resuming) = (hostapd?, hostapd_resuming?);
    let freeradius = servers::freeradius(dir, &devices.certificates, false)?;
    let freeradius_resuming = servers::freeradius(dir, &devices.certificates, true)?;
    for work in [Work::Psk, Work::Full(&TLS12), Work::Full(&TLS13), Work::Resumed(&TLS12), Work::Resumed(&TLS13)] {
        let resuming = matches!(work, Work::Resumed(_));
        let a = if resuming { &freeradius_resuming } else { &freeradius };
        let b = if resuming { &hostapd_resuming } else { &hostapd };
        let a = Target::new(&a.server, a.address, SECRET, devices.maker(work)?, None)?;
        let b = Target::new(&b.server, b.address, SECRET, devices.maker(work)?, Some(HOSTAPD_ROUND))?;
        let mut targets = [(work != Work::Psk && !resuming).then_some(a), Some(b)];
        for figures in measure(work, &mut targets)? {
            eprintln!("{} {:?}", work.name(), figures.map(|f| (f.rate, f.cost)));
        }
    }
    let _ = (table, thousands(0.0));
    Ok(())
}

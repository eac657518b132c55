//! latchkey beside FreeRADIUS, with EAP beside hostapd's RADIUS server too, and as a proxy beside radsecproxy: `make bench`
//! starts them with the same devices, puts the same load on them in turn, and prints two tables. It fails when a bound is
//! missed.
//!
//! CPU time is compared, not the clock. A busy machine still shifts it: run this with nothing else going on.
//!
//! `cargo bench --bench compare -- search`, `-- mac`, `-- stations`, `-- eap` and `-- proxy` do a part of it.

mod eap;
mod fleet;
mod freeradius;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/hostapd.rs"]
mod hostapd;
mod latchkey;
mod load;
mod process;
mod proxy;
mod radius;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/freeradius.rs"]
mod radiusd;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/radsecproxy.rs"]
mod radsecproxy;
mod search;
mod stations;
mod supplicant;
mod table;

use crate::fleet::Device;
use crate::freeradius::FreeRadius;
use crate::latchkey::{Home, Latchkey};
use crate::load::{IN_FLIGHT, Load};
use crate::process::Server;
use crate::table::{Table, median, thousands};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The fleet is the same in every run.
const SEED: u64 = 1;

/// Rounds of load, each on one server and then on the other.
const ROUNDS: usize = 5;

/// Length of one round on one server: 300 clock ticks, so that CPU time is known to a few per mille.
const ROUND: Duration = Duration::from_secs(3);

/// latchkey answers so many times as many requests per CPU second.
const LEAST_RATIO: f64 = 3.0;

/// From the start of the process to the first answer on the control socket.
const MOST_START: Duration = Duration::from_millis(300);

/// Resident memory.
const MOST_MEMORY: f64 = 12.0;

/// The program file in MB before realms, RADIUS/TLS and bundles came, and what they may add.
const BINARY_WITHOUT_PEERS: f64 = 3.86;
const MOST_GROWTH: f64 = 1.1;

/// The comparison of a new key with all others, with the way to the daemon and back.
const MOST_CHECK: Duration = Duration::from_millis(50);

const MB: f64 = 1e6;

fn main() -> ExitCode {
    // What asks a harness for its tests gets none.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("{missed} bounds missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, String> {
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|name| name == part);
    let dir = tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
    let mut table = Table::beside(["FreeRADIUS", "hostapd"]);

    let proxies = if wanted("proxy") { Some(proxy::run(dir.path())?) } else { None };
    let missed = proxies.as_ref().map_or(0, Table::missed);
    if parts.iter().all(|part| part == "proxy") && !parts.is_empty() {
        println!("\n{}", proxies.iter().map(ToString::to_string).collect::<String>());
        return Ok(missed);
    }

    eprintln!("deriving the PMKs of {} devices ...", fleet::DEVICES);
    let devices = fleet::make(SEED);

    if wanted("eap") {
        eap::run(dir.path(), &devices, &mut table)?;
    }
    if parts.iter().all(|part| part == "eap") && !parts.is_empty() {
        binary(&mut table)?;
        println!("\n{table}");
        return Ok(table.missed());
    }
    if wanted("search") {
        eprintln!("searching ...");
        search::library(&devices, &mut table)?;
    }

    eprintln!("registering the devices with latchkey ...");
    let home = Home::new(dir.path())?;
    register(&home, &devices, &mut table)?;

    eprintln!("starting latchkey and FreeRADIUS ...");
    let latchkey = restart(&home, &mut table)?;
    let raddb = dir.path().join("raddb");
    let peer = FreeRadius::start(&raddb, freeradius::of_macs(&raddb, &devices))?;
    let peer_idle = peer.server.rss()?;

    if wanted("mac") {
        authenticate(&devices, &latchkey, &peer, &mut table)?;
    }
    if wanted("search") {
        search::daemon(&devices, &latchkey, &mut table)?;
    }
    add(&home, &devices, &mut table)?;
    memory("after the load", &latchkey.server, Some(&peer.server), &mut table)?;
    if wanted("stations") {
        stations::run(&devices, &home, &latchkey, &mut table)?;
        // Besides the devices, sessions, answers and stations: what nobody set a bound for is shown.
        let size = latchkey.server.rss()? as f64 / MB;
        table.figure("memory with 1,000 stations besides, MB", format!("{size:.1}"), String::new());
    }
    binary(&mut table)?;

    println!("\nlatchkey {} and FreeRADIUS {}, {} devices", env!("CARGO_PKG_VERSION"), peer.version, fleet::DEVICES);
    println!("FreeRADIUS before the load: {:.1} MB\n", peer_idle as f64 / MB);
    println!("{table}");
    proxies.iter().for_each(|table| println!("{table}"));
    latchkey.server.stop()?;
    Ok(table.missed() + missed)
}

/// Imports the fleet into an empty registry; the PMKs are derived before the daemon ends.
fn register(home: &Home, devices: &[Device], table: &mut Table) -> Result<(), String> {
    let mut latchkey = home.start()?;
    let (imported, derived) = home.import(&fleet::csv(devices), &mut latchkey.server)?;
    table.figure("import of the devices, s", format!("{:.2}", imported.as_secs_f64()), String::new());
    table.figure("  then derivation of their PMKs, s", format!("{:.2}", derived.as_secs_f64()), String::new());
    latchkey.server.stop()
}

/// Starts the daemon several times with the full registry; the last one stays.
fn restart(home: &Home, table: &mut Table) -> Result<Latchkey, String> {
    let mut times = Vec::new();
    loop {
        let latchkey = home.start()?;
        let (ready, total) = home.keys()?;
        if ready != total || total < fleet::DEVICES as u64 {
            return Err(format!("{ready} of {total} PMKs after a restart: they were not stored"));
        }
        times.push(latchkey.started_in.as_secs_f64() * 1e3);
        if times.len() < 5 {
            latchkey.server.stop()?;
            continue;
        }
        let time = median(times);
        let bound = format!("<= {} ms", MOST_START.as_millis());
        let kept = time <= MOST_START.as_secs_f64() * 1e3;
        table.bound("start with all devices, ms", format!("{time:.0}"), String::new(), &bound, kept);
        memory("after the start", &latchkey.server, None, table)?;
        return Ok(latchkey);
    }
}

/// What the rounds on one server came to: medians of answers per second, CPU time per answer in microseconds, and
/// the share of a core that the generator needed.
struct Figures {
    rate: f64,
    cost: f64,
    generator: f64,
}

/// Rounds on both servers in turn, after one second each that does not count.
fn authenticate(devices: &[Device], latchkey: &Latchkey, peer: &FreeRadius, table: &mut Table) -> Result<(), String> {
    let mut ours = Load::new(latchkey.address, latchkey::SECRET, devices)?;
    let mut theirs = Load::new(peer.address, freeradius::SECRET, devices)?;
    let mut rounds = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let time = if round == 0 { Duration::from_secs(1) } else { ROUND };
        eprintln!("round {round} of {ROUNDS}: {IN_FLIGHT} MAC authentications in flight ...");
        let (a, b) = (one(&mut ours, &latchkey.server, time)?, one(&mut theirs, &peer.server, time)?);
        if round > 0 {
            rounds.0.push(a);
            rounds.1.push(b);
        }
    }
    let (ours, theirs) = (middle(&rounds.0), middle(&rounds.1));
    let ratio = theirs.cost / ours.cost;
    table.figure("MAC authentication, 64 in flight, answers/s", thousands(ours.rate), thousands(theirs.rate));
    table.figure("  load generator, % of a core", format!("{:.0}", ours.generator), format!("{:.0}", theirs.generator));
    table.figure("  server CPU per answer, us", format!("{:.1}", ours.cost), format!("{:.1}", theirs.cost));
    let (a, b) = (thousands(1e6 / ours.cost), thousands(1e6 / theirs.cost));
    table.figure("  answers per CPU second", a, b);
    let bound = format!(">= {LEAST_RATIO:.0} x");
    table.bound("  ratio of the two", format!("{ratio:.1} x"), "1".into(), &bound, ratio >= LEAST_RATIO);
    Ok(())
}

fn one(load: &mut Load<'_>, server: &Server, time: Duration) -> Result<Figures, String> {
    let cpu = server.cpu()?;
    let outcome = load.run(time)?;
    let cpu = server.cpu()? - cpu;
    let answers = outcome.answers as f64;
    let elapsed = outcome.elapsed.as_secs_f64();
    Ok(Figures {
        rate: answers / elapsed,
        cost: cpu.as_secs_f64() * 1e6 / answers,
        generator: outcome.generator.as_secs_f64() * 100.0 / elapsed,
    })
}

fn middle(rounds: &[Figures]) -> Figures {
    let of = |field: fn(&Figures) -> f64| median(rounds.iter().map(field).collect());
    Figures { rate: of(|r| r.rate), cost: of(|r| r.cost), generator: of(|r| r.generator) }
}

/// Adding devices to the full registry, and the refusal of a key that is nearly another's: that is the check alone,
/// without derivation and without a write.
fn add(home: &Home, devices: &[Device], table: &mut Table) -> Result<(), String> {
    let mut times = Vec::new();
    for n in 0..20 {
        let name = format!("added-{n}");
        let start = Instant::now();
        home.command(&["device", "add", &name, "--profile", "iot", "--generate"])?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    table.figure("device add, whole command, ms", format!("{:.1}", median(times)), String::new());
    let mut times = Vec::new();
    for device in devices.iter().rev().take(20) {
        let params = json!({ "name": "nearly-another", "profile": "iot", "key": device.key.to_uppercase() + "x" });
        let start = Instant::now();
        let refusal = home.call("device_add", &params);
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if !refusal.as_ref().is_err_and(|text| text.contains(&device.name)) {
            return Err(format!("a key like that of {} is not refused with its name: {refusal:?}", device.name));
        }
    }
    let time = median(times);
    let bound = format!("<= {} ms", MOST_CHECK.as_millis());
    let kept = time <= MOST_CHECK.as_secs_f64() * 1e3;
    table.bound("  refusal of a similar key, round trip, ms", format!("{time:.2}"), String::new(), &bound, kept);
    Ok(())
}

fn memory(when: &str, server: &Server, peer: Option<&Server>, table: &mut Table) -> Result<(), String> {
    let size = server.rss()? as f64 / MB;
    let other =
        peer.map(Server::rss).transpose()?.map_or_else(String::new, |octets| format!("{:.1}", octets as f64 / MB));
    let bound = format!("<= {MOST_MEMORY} MB");
    table.bound(&format!("memory {when}, MB"), format!("{size:.1}"), other, &bound, size <= MOST_MEMORY);
    Ok(())
}

fn binary(table: &mut Table) -> Result<(), String> {
    let program = latchkey::program();
    let size = std::fs::metadata(&program).map_err(|e| format!("{}: {e}", program.display()))?.len() as f64 / MB;
    table.figure("program file, MB", format!("{size:.2}"), String::new());
    let growth = size - BINARY_WITHOUT_PEERS;
    let bound = format!("<= {MOST_GROWTH} MB");
    table.bound(
        "  what realms and their peers added, MB",
        format!("{growth:.2}"),
        String::new(),
        &bound,
        growth <= MOST_GROWTH,
    );
    Ok(())
}

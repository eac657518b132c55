//! Proxies in front of the same home server: latchkey beside FreeRADIUS and radsecproxy. What they forward is EAP; what is
//! counted is their own CPU time.

mod certificates;
mod clients;
mod home;
mod latency;
mod script;
mod servers;

use crate::eap::load::{IN_FLIGHT, Load, Until};
use crate::eap::peer::Peer;
use crate::fleet::Random;
use crate::table::{Table, median, thousands};
use certificates::Site;
use script::Script;
use servers::{Behind, Proxy, REALM};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Round trips per CPU second, as many times as FreeRADIUS and radsecproxy do.
const LEAST_FREERADIUS: f64 = 2.0;
const LEAST_RADSECPROXY: f64 = 1.0;

/// Rounds of load on each proxy, after a short one that does not count.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
const WARM: Duration = Duration::from_millis(300);

/// Access points that are connected over TLS at the same time.
const ACCESS_POINTS: usize = 200;

/// The device of each place in the load.
fn device(slot: usize) -> Peer {
    let station = [0x00, 0x00, 0x5e, 0x00, 0x53, u8::try_from(slot).expect("fewer than 256 places")];
    Peer::new(&format!("cam-{slot:02}@{REALM}"), station, Script::default())
}

/// Round trips per second, and CPU time of the proxy for each, in microseconds.
struct Figures {
    rate: f64,
    cost: f64,
}

fn round(proxy: &Proxy, load: &mut Load, time: Duration) -> Result<Figures, String> {
    let until = Until::Through { most: usize::MAX, time, pace: None };
    let cpu = proxy.server.cpu()?;
    let mut make = |slot: usize, _: &mut Random| Ok(device(slot));
    let outcome = load.run(until, &mut make).map_err(|e| format!("through {}: {e}", proxy.server.name()))?;
    let cpu = proxy.server.cpu()? - cpu;
    let trips = outcome.requests as f64;
    Ok(Figures { rate: trips / outcome.elapsed.as_secs_f64(), cost: cpu.as_secs_f64() * 1e6 / trips })
}

/// All of it, into a table of its own.
pub fn run(dir: &Path) -> Result<Table, String> {
    let dir = &dir.join("proxies");
    let site = Site::make(&dir.join("pki"), ACCESS_POINTS)?;
    let (udp, radsec) = (home::udp()?, home::radsec(&site)?);
    let mut table = Table::beside(["FreeRADIUS", "radsecproxy"]);
    // Over TLS FreeRADIUS 3.2 reads one packet each time its socket is readable: of those that came together the last are read
    // when more comes, and when nobody asks any more, never.
    for (name, behind, freeradius) in
        [("UDP to UDP", Behind::Udp(udp), IN_FLIGHT), ("UDP to RadSec", Behind::Radsec(radsec), 1)]
    {
        let dir = |proxy: &str| dir.join(format!("{proxy}-{}", name.replace(' ', "-")));
        let proxies = [
            servers::latchkey(&dir("latchkey"), behind, &site)?,
            servers::freeradius(&dir("freeradius"), behind, &site)?,
            servers::radsecproxy(&dir("radsecproxy"), behind, &site)?,
        ];
        let [_, theirs, others] = &proxies;
        eprintln!("FreeRADIUS {}, radsecproxy {}", theirs.version, others.version);
        throughput(name, &proxies, freeradius, &mut table)?;
        added_latency(name, udp, &proxies, &mut table)?;
        let sizes = proxies.iter().map(|proxy| proxy.server.rss().map(|octets| format!("{:.1}", octets as f64 / 1e6)));
        let [a, b, c] = three(sizes.collect::<Result<Vec<_>, _>>()?);
        table.compare("  memory after that, MB", a, b, c, None);
    }
    clients::run(dir, &site, udp, &mut table)?;
    Ok(table)
}

fn three<T>(of: Vec<T>) -> [T; 3] {
    of.try_into().unwrap_or_else(|_| unreachable!("there are three proxies"))
}

/// A proxy under load.
struct Target<'a> {
    proxy: &'a Proxy,
    load: Load,
    rounds: Vec<Figures>,
}

impl<'a> Target<'a> {
    fn new(proxy: &'a Proxy, in_flight: usize) -> Result<Target<'a>, String> {
        let load = Load::new(proxy.address, proxy.secret)?.at_most(in_flight);
        Ok(Target { proxy, load, rounds: Vec::new() })
    }

    fn middle(&self, of: fn(&Figures) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }
}

/// FreeRADIUS gets so many at a time, and is compared with what latchkey does with as many.
fn throughput(name: &str, proxies: &[Proxy; 3], freeradius: usize, table: &mut Table) -> Result<(), String> {
    let [ours, theirs, others] = proxies;
    let mut targets =
        vec![Target::new(ours, IN_FLIGHT)?, Target::new(theirs, freeradius)?, Target::new(others, IN_FLIGHT)?];
    if freeradius < IN_FLIGHT {
        targets.push(Target::new(ours, freeradius)?);
    }
    for n in 0..=ROUNDS {
        eprintln!("round {n} of {ROUNDS}: EAP through proxies, {name} ...");
        for target in &mut targets {
            let figures = round(target.proxy, &mut target.load, if n == 0 { WARM } else { ROUND })?;
            if n > 0 {
                target.rounds.push(figures);
            }
        }
    }
    let costs: Vec<f64> = targets.iter().map(|target| target.middle(|figures| figures.cost)).collect();
    let [a, b, c] = [0, 1, 2].map(|n| thousands(targets[n].middle(|figures| figures.rate)));
    let few = if freeradius < IN_FLIGHT { format!(" (FreeRADIUS: {freeradius})") } else { String::new() };
    table.compare(&format!("{name}: EAP round trips/s, {IN_FLIGHT} in flight{few}"), a, b, c, None);
    // A round trip is two packets for a proxy: the request and its answer.
    let [a, b, c] = [0, 1, 2].map(|n| format!("{:.1}", costs[n] / 2.0));
    table.compare("  proxy CPU per packet, us", a, b, c, None);
    let [a, b, c] = [0, 1, 2].map(|n| thousands(1e6 / costs[n]));
    table.compare("  round trips per CPU second", a, b, c, None);
    let alike = costs.get(3).copied().unwrap_or(costs[0]);
    let (with, others) = (costs[1] / alike, costs[2] / costs[0]);
    let bound = |table: &mut Table, what: String, ratio: f64, least: f64, peers: [&str; 2]| {
        let bound = format!(">= {least} x");
        let [b, c] = peers.map(str::to_owned);
        table.compare(&what, format!("{ratio:.1} x"), b, c, Some((&bound, ratio >= least)));
    };
    let few = if freeradius < IN_FLIGHT {
        format!(", {freeradius} in flight: {:.1} us per packet", alike / 2.0)
    } else {
        String::new()
    };
    bound(table, format!("  beside FreeRADIUS{few}"), with, LEAST_FREERADIUS, ["1", ""]);
    bound(table, "  beside radsecproxy".into(), others, LEAST_RADSECPROXY, ["", "1"]);
    Ok(())
}

/// What a proxy adds to a round trip when nothing else is going on.
fn added_latency(name: &str, home: SocketAddr, proxies: &[Proxy; 3], table: &mut Table) -> Result<(), String> {
    eprintln!("EAP through proxies, {name}, one at a time ...");
    let direct = latency::measure(home, home::SECRET)?;
    let through = proxies.iter().map(|proxy| latency::measure(proxy.address, proxy.secret));
    let through = three(through.collect::<Result<Vec<_>, _>>()?);
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let without = latency::percentile(&direct, share);
        let [a, b, c] = through.each_ref().map(|all| format!("{:.0}", latency::percentile(all, share) - without));
        table.compare(&format!("  added latency {what}, us (direct: {without:.0})"), a, b, c, None);
    }
    Ok(())
}

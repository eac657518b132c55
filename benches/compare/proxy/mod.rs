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
    for (name, behind) in [("UDP to UDP", Behind::Udp(udp)), ("UDP to RadSec", Behind::Radsec(radsec))] {
        let dir = |proxy: &str| dir.join(format!("{proxy}-{}", name.replace(' ', "-")));
        let proxies = [
            servers::latchkey(&dir("latchkey"), behind, &site)?,
            servers::freeradius(&dir("freeradius"), behind, &site)?,
            servers::radsecproxy(&dir("radsecproxy"), behind, &site)?,
        ];
        let [_, theirs, others] = &proxies;
        eprintln!("FreeRADIUS {}, radsecproxy {}", theirs.version, others.version);
        throughput(name, &proxies, &mut table)?;
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

fn throughput(name: &str, proxies: &[Proxy; 3], table: &mut Table) -> Result<(), String> {
    let loads: Result<Vec<Load>, String> = proxies.iter().map(|proxy| Load::new(proxy.address, proxy.secret)).collect();
    let mut loads = three(loads?);
    let mut rounds: [Vec<Figures>; 3] = Default::default();
    for n in 0..=ROUNDS {
        eprintln!("round {n} of {ROUNDS}: EAP through proxies, {name}, {IN_FLIGHT} in flight ...");
        for ((proxy, load), rounds) in proxies.iter().zip(&mut loads).zip(&mut rounds) {
            let figures = round(proxy, load, if n == 0 { WARM } else { ROUND })?;
            if n > 0 {
                rounds.push(figures);
            }
        }
    }
    let middle = |of: fn(&Figures) -> f64| rounds.each_ref().map(|rounds| median(rounds.iter().map(of).collect()));
    let (rates, costs) = (middle(|figures| figures.rate), middle(|figures| figures.cost));
    let [a, b, c] = rates.map(thousands);
    table.compare(&format!("{name}: EAP round trips/s, {IN_FLIGHT} in flight"), a, b, c, None);
    // A round trip is two packets for a proxy: the request and its answer.
    let [a, b, c] = costs.map(|cost| format!("{:.1}", cost / 2.0));
    table.compare("  proxy CPU per packet, us", a, b, c, None);
    let [a, b, c] = costs.map(|cost| thousands(1e6 / cost));
    table.compare("  round trips per CPU second", a, b, c, None);
    let [ours, theirs, others] = costs;
    for (peer, ratio, least) in
        [("FreeRADIUS", theirs / ours, LEAST_FREERADIUS), ("radsecproxy", others / ours, LEAST_RADSECPROXY)]
    {
        let bound = format!(">= {least} x");
        let ratio_text = format!("{ratio:.1} x");
        let (b, c) = if peer == "FreeRADIUS" { ("1", "") } else { ("", "1") };
        table.compare(&format!("  beside {peer}"), ratio_text, b.into(), c.into(), Some((&bound, ratio >= least)));
    }
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

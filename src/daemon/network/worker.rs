//! The thread that asks the kernel and has it change the network. The kernel serves one such request at a time, of whomever,
//! and some take long: the event loop must not wait for them.

use super::fights::{Fights, Wait};
use super::socket::{Refused, Socket};
use crate::config::{Config, Isolate};
use crate::mac::MacAddr;
use crate::network::message as rtnl;
use crate::network::nl80211::{self, ApVlan};
use crate::network::plan::{Done, Op, UNFINISHED, plan};
use crate::network::wanted::{Wanted, vlan_of};
use crate::network::{Link, Seen};
use crate::sorted::{SortedMap, SortedSet};
use neli::consts::socket::NlFamily;
use nix::errno::Errno;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Neighbours that are kept.
const NEIGHBOURS: usize = 4096;
/// Addresses of one neighbour that are kept.
const ADDRESSES: usize = 8;

/// After a step that failed, the next look tells when to try again.
const PACE: Duration = Duration::from_secs(1);

/// What the thread can be asked.
pub enum Job {
    /// Look, and do what is to be done.
    Look(Task, oneshot::Sender<Report>),
    /// Say who is a neighbour.
    Neighbours(oneshot::Sender<HashMap<MacAddr, Vec<IpAddr>>>),
    /// Undo what was done.
    Undo(oneshot::Sender<()>),
}

/// What is to be seen to.
#[derive(Debug, Clone)]
pub struct Task {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The BSSes whose SSIDs are in it: their interfaces and BSSIDs.
    pub served: Vec<(Arc<str>, MacAddr)>,
    /// Default routes may have changed.
    pub routes: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The interfaces of the default routes, if they were asked for.
    pub default_routes: Option<SortedSet<Arc<str>>>,
    /// What is not as it is wanted.
    pub troubles: SortedMap<Arc<str>, String>,
    /// When to look again though nothing happens.
    pub again: Option<Duration>,
    /// hostapd's VLAN interfaces, and the bridges they are in.
    pub ports: SortedMap<Arc<str>, Arc<str>>,
}

/// Serves until nobody can ask any more.
pub fn serve(jobs: Receiver<Job>) {
    let mut worker = None;
    for job in jobs {
        let worker = match &mut worker {
            Some(worker) => worker,
            None => match Worker::open() {
                Ok(opened) => worker.insert(opened),
                Err(why) => {
                    if let Job::Look(_, reply) = job {
                        let why = format!("there is no netlink socket to be had: {why}");
                        let _ = reply.send(Report { troubles: [("network".into(), why)].into(), ..Report::default() });
                    }
                    continue;
                }
            },
        };
        // Whoever asked may have run out of patience.
        match job {
            Job::Look(task, reply) => drop(reply.send(worker.look(&task))),
            Job::Neighbours(reply) => drop(reply.send(worker.neighbours())),
            Job::Undo(reply) => {
                worker.undo();
                let _ = reply.send(());
            }
        }
    }
}

/// What the thread has.
pub struct Worker {
    route: Socket,
    air: Option<Air>,
    done: Done,
    fights: Fights,
    /// The kernel isolates no VLANs of a BSS: asking again is of no use.
    no_isolation: bool,
    /// The VLAN interfaces that were last seen are shared by their stations.
    shared: bool,
    /// BSSes whose own stations are kept from each other by us.
    isolated: SortedSet<Arc<str>>,
}

/// nl80211, which not every kernel has.
struct Air {
    socket: Socket,
    family: u16,
}

impl Worker {
    /// Opens the sockets.
    pub fn open() -> io::Result<Worker> {
        let route = Socket::open(NlFamily::Route)?;
        let (done, fights, isolated) = (Done::default(), Fights::default(), SortedSet::new());
        Ok(Worker { route, air: None, done, fights, no_isolation: false, shared: false, isolated })
    }

    /// Looks at everything, and does what is to be done.
    pub fn look(&mut self, task: &Task) -> Report {
        let is_served = |vlan: &ApVlan| task.served.iter().any(|(_, bssid)| *bssid == vlan.bssid);
        let vlans: Vec<Arc<str>> = if task.served.is_empty() {
            Vec::new()
        } else {
            self.ap_vlans().into_iter().filter(is_served).map(|vlan| vlan.name.into()).collect()
        };
        let mut report = self.converge(|seen| Wanted::new(&task.config, vlans.iter().cloned(), seen));
        let Some((seen, wanted)) = report.1.take() else { return report.0 };
        let port = |name: &Arc<str>| Some((name.clone(), seen.links.get(&seen.link(name)?.1.master?)?.name.clone()));
        report.0.ports = vlans.iter().filter_map(port).collect();
        self.isolate(task, &seen, &wanted, &mut report.0.troubles);
        if task.routes {
            report.0.default_routes = self.default_routes(&seen);
        }
        report.0
    }

    /// Undoes what was done.
    pub fn undo(&mut self) {
        if let (_, Some((seen, _))) = self.converge(|_| Wanted::default()) {
            self.isolate_plain(&seen, SortedSet::new());
        }
    }

    /// Makes what there is what is wanted. Says what was seen before, and what was wanted then.
    pub fn converge(&mut self, want: impl FnOnce(&Seen) -> Wanted) -> (Report, Option<(Seen, Wanted)>) {
        let mut report = Report::default();
        let seen = match self.observe() {
            Ok(seen) => seen,
            Err(why) => {
                let why = format!("the kernel does not tell of its interfaces: {why}");
                report.troubles.insert("network".into(), why);
                return (report, None);
            }
        };
        self.done.forget(&seen);
        let wanted = want(&seen);
        let plan = plan(&wanted, &seen, &self.done);
        report.troubles = plan.troubles;
        self.execute(plan.ops, &seen, &mut report);
        (report, Some((seen, wanted)))
    }

    fn observe(&mut self) -> Result<Seen, Refused> {
        let mut seen = Seen::default();
        self.route.dump(&rtnl::get_links(), |body| match body {
            Some(body) => seen.links.extend(rtnl::link(body)),
            None => seen.links.clear(),
        })?;
        self.route.dump(&rtnl::get_addresses(), |body| match body {
            Some(body) => seen.addresses.extend(rtnl::address(body)),
            None => seen.addresses.clear(),
        })?;
        Ok(seen)
    }

    fn execute(&mut self, ops: Vec<Op>, seen: &Seen, report: &mut Report) {
        let mut fresh = Vec::new();
        let mut failed: Vec<Arc<str>> = Vec::new();
        let now = Instant::now();
        for op in ops {
            let involved = match &op {
                Op::Join { port, bridge } => [port, bridge],
                other => [other.subject(), other.subject()],
            };
            if involved.iter().any(|name| failed.contains(*name)) {
                continue;
            }
            let known = seen.link(op.subject()).map_or(0, |(index, _)| index);
            if let Some(Wait { more, failure }) = self.fights.wait(&op, known, now) {
                let why = failure.unwrap_or_else(|| fought_over(&op));
                report.troubles.insert(about(&op, &why), why);
                report.again = Some(report.again.map_or(more, |again| again.min(more)));
                failed.push(op.subject().clone());
                continue;
            }
            match self.carry_out(&op, seen, &mut fresh) {
                Ok(()) => crate::log::info!("network: {op}"),
                // It went away meanwhile, or somebody was quicker: the next look tells.
                Err(why) if why.code == Errno::ENODEV as i32 || why.code == Errno::EEXIST as i32 => {
                    crate::log::debug!("network: {op}: {why}");
                    failed.push(op.subject().clone());
                }
                Err(why) => {
                    let why = not_done(&op, &why);
                    self.fights.failed(&op, known, why.clone());
                    report.troubles.insert(about(&op, &why), why);
                    report.again = Some(PACE);
                    failed.push(op.subject().clone());
                }
            }
        }
    }

    fn carry_out(&mut self, op: &Op, seen: &Seen, fresh: &mut Vec<(Arc<str>, u32)>) -> Result<(), Refused> {
        let gone = || Refused { code: Errno::ENODEV as i32, words: None };
        let index = |name: &Arc<str>, fresh: &[(Arc<str>, u32)]| {
            fresh
                .iter()
                .find(|(made, _)| made == name)
                .map(|(_, index)| *index)
                .or_else(|| seen.link(name).map(|(index, _)| index))
                .ok_or_else(gone)
        };
        match op {
            Op::MakeBridge(name) => {
                fresh.push((name.clone(), self.make(&rtnl::new_bridge(UNFINISHED), name)?));
                Ok(())
            }
            Op::MakeVlan { name, parent, vlan } => {
                let request = rtnl::new_vlan(UNFINISHED, index(parent, fresh)?, *vlan);
                fresh.push((name.clone(), self.make(&request, name)?));
                Ok(())
            }
            Op::SetUp(name) => self.act(&rtnl::set_up(index(name, fresh)?)),
            Op::RemoveLink(name) => self.act(&rtnl::delete_link(index(name, fresh)?)),
            Op::AddAddress(name, address) => {
                let index = index(name, fresh)?;
                self.act(&rtnl::new_address(index, *address))?;
                self.done.addresses.push((index, *address));
                Ok(())
            }
            Op::RemoveAddress(name, address) => {
                let index = index(name, fresh)?;
                self.act(&rtnl::delete_address(index, *address))?;
                self.done.addresses.retain(|set| *set != (index, *address));
                Ok(())
            }
            Op::Join { port, bridge } => {
                let (port, bridge) = (index(port, fresh)?, index(bridge, fresh)?);
                self.act(&rtnl::set_master(port, bridge))?;
                self.done.isolated.retain(|isolated| *isolated != port);
                self.done.joined.retain(|(joined, _)| *joined != port);
                self.done.joined.push((port, bridge));
                Ok(())
            }
            Op::Release(port) => {
                let port = index(port, fresh)?;
                self.act(&rtnl::set_master(port, 0))?;
                self.done.joined.retain(|(joined, _)| *joined != port);
                Ok(())
            }
            Op::SetPort { port, flood, isolated } => {
                let port = index(port, fresh)?;
                self.act(&rtnl::set_port(port, *flood, *isolated))?;
                match isolated {
                    Some(true) => self.done.isolated.push(port),
                    Some(false) => self.done.isolated.retain(|isolated| *isolated != port),
                    None => {}
                }
                Ok(())
            }
        }
    }

    fn act(&mut self, request: &rtnl::Request) -> Result<(), Refused> {
        self.route.ask(request, |_| ())
    }

    /// Makes an interface, and then gives it its name and our mark: however short its life, we know it again.
    fn make(&mut self, request: &rtnl::Request, name: &Arc<str>) -> Result<u32, Refused> {
        self.act(request)?;
        let mut made: Option<(u32, Link)> = None;
        self.route.ask(&rtnl::get_link(UNFINISHED), |body| made = rtnl::link(body))?;
        let (index, _) = made.ok_or(Refused { code: Errno::ENODEV as i32, words: None })?;
        let named = self.act(&rtnl::name_and_mark(index, name));
        if named.is_err() {
            let _ = self.act(&rtnl::delete_link(index));
        }
        named.map(|()| index)
    }

    fn ap_vlans(&mut self) -> Vec<ApVlan> {
        let mut vlans = Vec::new();
        let Some(air) = self.air() else { return vlans };
        let Some(request) = nl80211::get_interfaces(air.family) else { return vlans };
        let told = air.socket.dump(&request, |body| match body {
            Some(body) => vlans.extend(nl80211::ap_vlan(body)),
            None => vlans.clear(),
        });
        if let Err(why) = told {
            crate::log::debug!("nl80211 does not tell of its interfaces: {why}");
            self.air = None;
        }
        vlans
    }

    /// nl80211, as soon as the kernel has it.
    fn air(&mut self) -> Option<&mut Air> {
        if self.air.is_none() {
            let mut socket = Socket::open(NlFamily::Generic).ok()?;
            let mut family = None;
            socket.ask(&nl80211::get_family("nl80211")?, |body| family = nl80211::family(body)).ok()?;
            self.air = Some(Air { socket, family: family? });
        }
        self.air.as_mut()
    }

    /// Keeps stations of one and the same interface from each other: frames among them never come to a bridge.
    fn isolate(&mut self, task: &Task, seen: &Seen, wanted: &Wanted, troubles: &mut SortedMap<Arc<str>, String>) {
        let plain = task.served.iter().map(|(name, _)| name.clone()).filter(|_| wanted.isolate_plain);
        self.isolate_plain(seen, plain.collect());
        for (name, _) in wanted.ports.iter().filter(|(_, port)| port.isolated) {
            // An interface of one station only (`per_sta_vif`) needs no more than to be an isolated port.
            self.shared = vlan_of(name).is_some();
            if self.no_isolation || !self.shared {
                continue;
            }
            match self.ap_isolate(seen, name, true) {
                Err(why) if why.code == Errno::EOPNOTSUPP as i32 => self.no_isolation = true,
                Err(why) => crate::log::debug!("{name} is not isolated: {why}"),
                Ok(()) => {}
            }
        }
        // Whether or not somebody is there at the moment.
        let wishes =
            task.config.profiles.iter().any(|profile| profile.vlan.is_some() && profile.isolate == Isolate::Yes);
        if self.no_isolation && self.shared && wishes {
            let why = "the kernel passes frames among the stations of one VLAN on one BSS itself, and cannot be told not \
                       to: write per_sta_vif=1 into hostapd.conf (not on OpenWrt: there hostapd would then refuse them \
                       all), or option isolate '0' where devices of a profile may reach each other";
            troubles.insert("isolation".into(), why.into());
        }
    }

    /// hostapd sets this anew, from its own configuration, with each new beacon: so do we with each look.
    fn isolate_plain(&mut self, seen: &Seen, wanted: SortedSet<Arc<str>>) {
        let before = std::mem::replace(&mut self.isolated, wanted.clone());
        let ended = before.difference(&wanted).map(|name| (name, false));
        for (name, isolate) in ended.chain(wanted.iter().map(|name| (name, true))) {
            if let Err(why) = self.ap_isolate(seen, name, isolate) {
                crate::log::debug!("{name} does not become {}isolated: {why}", if isolate { "" } else { "un" });
            }
        }
    }

    fn ap_isolate(&mut self, seen: &Seen, name: &str, isolate: bool) -> Result<(), Refused> {
        let gone = || Refused { code: Errno::ENODEV as i32, words: None };
        let (index, _) = seen.link(name).ok_or_else(gone)?;
        let air = self.air().ok_or_else(gone)?;
        let request = nl80211::set_ap_isolate(air.family, index, isolate).ok_or_else(gone)?;
        air.socket.ask(&request, |_| ())
    }

    fn default_routes(&mut self, seen: &Seen) -> Option<SortedSet<Arc<str>>> {
        let mut routes = SortedSet::new();
        let told = self.route.dump(&rtnl::get_routes(), |body| match body {
            Some(body) => {
                let links = rtnl::default_route(body).into_iter().filter_map(|index| seen.links.get(&index));
                routes.extend(links.map(|link| link.name.clone()));
            }
            None => routes.clear(),
        });
        told.ok().map(|()| routes)
    }

    /// The neighbours' addresses, those that are good on one link only last.
    pub fn neighbours(&mut self) -> HashMap<MacAddr, Vec<IpAddr>> {
        let mut neighbours: HashMap<MacAddr, Vec<IpAddr>> = HashMap::new();
        let mut count = 0;
        let told = self.route.dump(&rtnl::get_neighbours(), |body| match body.map(rtnl::neighbour) {
            Some(Some((mac, address))) if count < NEIGHBOURS => {
                let addresses = neighbours.entry(mac).or_default();
                if addresses.len() < ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                    count += 1;
                }
            }
            Some(_) => {}
            None => (neighbours, count) = (HashMap::new(), 0),
        });
        if let Err(why) = told {
            crate::log::debug!("the kernel does not tell of its neighbours: {why}");
        }
        let order = |address: &IpAddr| match address {
            IpAddr::V4(_) => (0, *address),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => (2, *address),
            IpAddr::V6(_) => (1, *address),
        };
        neighbours.values_mut().for_each(|addresses| addresses.sort_by_key(order));
        neighbours
    }
}

/// Said once, not for each step.
const NOT_ALLOWED: &str =
    "latchkey may not change the network of this box: run it as root, or give it the capability CAP_NET_ADMIN";

fn about(op: &Op, why: &str) -> Arc<str> {
    if why == NOT_ALLOWED { "privileges".into() } else { op.about() }
}

fn fought_over(op: &Op) -> String {
    let how = "latchkey does it again at longer and longer intervals";
    match op {
        Op::Join { port, bridge } => format!("somebody takes {port} out of {bridge} again and again: {how}"),
        Op::SetUp(name) => format!("somebody switches {name} off again and again: {how}"),
        Op::MakeBridge(name) | Op::MakeVlan { name, .. } => format!("somebody removes {name} again and again: {how}"),
        op => format!("latchkey had to {op}, and somebody undoes it again and again: {how}"),
    }
}

fn not_done(op: &Op, why: &Refused) -> String {
    if why.code == Errno::EPERM as i32 {
        return NOT_ALLOWED.into();
    }
    let mend = match op {
        Op::MakeVlan { .. } if why.code == Errno::EOPNOTSUPP as i32 => ": the kernel needs 8021q",
        Op::MakeBridge(_) if why.code == Errno::EOPNOTSUPP as i32 => ": the kernel needs bridge",
        Op::AddAddress(_, host) if host.address.is_ipv6() => ": is IPv6 disabled?",
        _ => "",
    };
    format!("cannot {op}: {why}{mend}")
}

#[cfg(test)]
mod tests;

//! What has to be done so that the kernel has what is wanted, and nothing else that was made for it.
//!
//! Only what carries our mark, or was done in this life of the daemon, is ever undone.

use super::wanted::{Bridge, Uplink, Wanted};
use super::{Kind, Link, Seen};
use crate::config::HostAddress;
use crate::sorted::SortedMap;
use std::fmt;
use std::sync::Arc;

/// The name of an interface that is being made: it gets its own together with our mark, so that one that was left by a
/// daemon killed in between is known, too.
pub const UNFINISHED: &str = "latchkey.new";

/// What this life of the daemon did to what is not its own, by the indices of interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Addresses that were set.
    pub addresses: Vec<(u32, HostAddress)>,
    /// Ports that were put into bridges.
    pub joined: Vec<(u32, u32)>,
    /// Ports that were isolated.
    pub isolated: Vec<u32>,
}

impl Done {
    /// Forgets interfaces that are gone: their indices are not used again, but their places are.
    pub fn forget(&mut self, seen: &Seen) {
        self.addresses.retain(|(link, _)| seen.links.contains_key(link));
        self.joined.retain(|(port, _)| seen.links.contains_key(port));
        self.isolated.retain(|port| seen.links.contains_key(port));
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Take a port out of its bridge.
    Release(Arc<str>),
    /// Remove an address.
    RemoveAddress(Arc<str>, HostAddress),
    /// Remove an interface that is ours.
    RemoveLink(Arc<str>),
    /// Make a bridge.
    MakeBridge(Arc<str>),
    /// Make a VLAN of another interface.
    MakeVlan {
        /// Its name.
        name: Arc<str>,
        /// The other interface.
        parent: Arc<str>,
        /// The VLAN's number.
        vlan: u16,
    },
    /// Switch an interface on.
    SetUp(Arc<str>),
    /// Set an address.
    AddAddress(Arc<str>, HostAddress),
    /// Put a port into a bridge, from wherever it is.
    Join {
        /// The port.
        port: Arc<str>,
        /// The bridge.
        bridge: Arc<str>,
    },
    /// Change how a port behaves; `None` is left as it is.
    SetPort {
        /// The port.
        port: Arc<str>,
        /// See [`super::Port::flood`].
        flood: Option<bool>,
        /// See [`super::Port::isolated`].
        isolated: Option<bool>,
    },
}

impl Op {
    /// What it is about, for those who are told of troubles.
    pub fn about(&self) -> Arc<str> {
        let what = match self {
            Op::MakeBridge(_) | Op::AddAddress(..) | Op::RemoveAddress(..) => "bridge",
            Op::MakeVlan { .. } => "uplink",
            _ => "interface",
        };
        format!("{what} {}", self.subject()).into()
    }

    /// The interface it changes.
    pub fn subject(&self) -> &Arc<str> {
        match self {
            Op::Release(name) | Op::RemoveLink(name) | Op::MakeBridge(name) | Op::SetUp(name) => name,
            Op::RemoveAddress(name, _) | Op::AddAddress(name, _) => name,
            Op::MakeVlan { name, .. } => name,
            Op::Join { port, .. } | Op::SetPort { port, .. } => port,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Release(name) => write!(f, "take {name} out of its bridge"),
            Op::RemoveAddress(name, address) => write!(f, "remove address {address} from {name}"),
            Op::RemoveLink(name) => write!(f, "remove {name}"),
            Op::MakeBridge(name) => write!(f, "make bridge {name}"),
            Op::MakeVlan { name, .. } => write!(f, "make VLAN interface {name}"),
            Op::SetUp(name) => write!(f, "switch on {name}"),
            Op::AddAddress(name, address) => write!(f, "give {name} the address {address}"),
            Op::Join { port, bridge } => write!(f, "put {port} into {bridge}"),
            Op::SetPort { port, flood, isolated } => {
                let said = [
                    flood.map(|on| if on { "flood" } else { "not flood" }),
                    isolated.map(|on| if on { "be isolated" } else { "not be isolated" }),
                ];
                let said: Vec<&str> = said.into_iter().flatten().collect();
                write!(f, "have {port} {}", said.join(" and "))
            }
        }
    }
}

/// What to do, in order, and what cannot be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub ops: Vec<Op>,
    /// What is not as it is wanted, in words with the mend, by what it is about.
    pub troubles: SortedMap<Arc<str>, String>,
}

/// Makes a plan. When it has been carried out, the plan for what is seen then is empty.
pub fn plan(wanted: &Wanted, seen: &Seen, done: &Done) -> Plan {
    let mut planner = Planner { wanted, seen, done, plan: Plan::default() };
    planner.plan.troubles = wanted.troubles.clone();
    planner.undo();
    wanted.bridges.iter().for_each(|(name, bridge)| planner.bridge(name, bridge));
    planner.ports();
    planner.plan
}

struct Planner<'a> {
    wanted: &'a Wanted,
    seen: &'a Seen,
    done: &'a Done,
    plan: Plan,
}

impl Planner<'_> {
    fn add(&mut self, op: Op) {
        if !self.plan.ops.contains(&op) {
            self.plan.ops.push(op);
        }
    }

    fn trouble(&mut self, about: String, why: String) {
        self.plan.troubles.insert(about.into(), why);
    }

    /// Whether an interface is ours and not wanted any more.
    fn is_left_over(&self, link: &Link) -> bool {
        if *link.name == *UNFINISHED {
            return true;
        }
        let uplinks = || self.wanted.bridges.values().filter_map(|bridge| bridge.uplink.as_ref());
        link.ours
            && match link.kind {
                Kind::Bridge => !self.wanted.bridges.contains_key(&link.name),
                Kind::Vlan { id, parent } => !uplinks().any(|uplink| {
                    let on = self.seen.links.get(&parent).is_some_and(|link| link.name == uplink.parent);
                    uplink.name == link.name && uplink.vlan == id && on
                }),
                // Somebody put our mark on his own.
                Kind::Other => false,
            }
    }

    /// The interface of this name, unless it is on its way out.
    fn link(&self, name: &str) -> Option<(u32, &Link)> {
        self.seen.link(name).filter(|(_, link)| !self.is_left_over(link))
    }

    /// In the reverse order of making.
    fn undo(&mut self) {
        let (seen, done) = (self.seen, self.done);
        for (port, bridge) in &done.joined {
            let Some(link) = seen.links.get(port).filter(|link| link.master == Some(*bridge)) else { continue };
            let uplinks = self.wanted.bridges.values().filter_map(|bridge| bridge.uplink.as_ref());
            let wanted = self.wanted.ports.get(&link.name).is_some_and(|port| port.bridge.is_some())
                || uplinks.into_iter().any(|uplink| uplink.name == link.name);
            // A bridge that goes lets its ports go.
            let goes = self.is_left_over(link) || seen.links.get(bridge).is_none_or(|bridge| self.is_left_over(bridge));
            if !wanted && !goes {
                self.add(Op::Release(link.name.clone()));
            }
        }
        for address in &seen.addresses {
            let ours = address.ours || done.addresses.contains(&(address.link, address.address));
            let Some(link) = seen.links.get(&address.link).filter(|_| ours) else { continue };
            let bridge = self.wanted.bridges.get(&link.name);
            if bridge.is_none_or(|bridge| !bridge.addresses.contains(&address.address)) && !self.is_left_over(link) {
                self.add(Op::RemoveAddress(link.name.clone(), address.address));
            }
        }
        let is_vlan = |link: &Link| matches!(link.kind, Kind::Vlan { .. });
        for vlans in [true, false] {
            for link in seen.links.values().filter(|link| is_vlan(link) == vlans) {
                if self.is_left_over(link) {
                    self.add(Op::RemoveLink(link.name.clone()));
                }
            }
        }
    }

    fn bridge(&mut self, name: &Arc<str>, bridge: &Bridge) {
        let mut index = None;
        match self.link(name).map(|(at, link)| (at, link.kind, link.up)) {
            Some((at, Kind::Bridge, up)) => {
                index = Some(at);
                if !up {
                    self.add(Op::SetUp(name.clone()));
                }
            }
            Some(_) => {
                let why = "there is an interface of this name that is no bridge: name another in option bridge".into();
                return self.trouble(format!("bridge {name}"), why);
            }
            None => {
                self.add(Op::MakeBridge(name.clone()));
                self.add(Op::SetUp(name.clone()));
            }
        }
        for wanted in &bridge.addresses {
            if !self.seen.addresses.iter().any(|a| Some(a.link) == index && a.address == *wanted) {
                self.add(Op::AddAddress(name.clone(), *wanted));
            }
        }
        if let Some(uplink) = &bridge.uplink {
            self.uplink(uplink, name, index);
        }
    }

    fn uplink(&mut self, uplink: &Uplink, bridge: &Arc<str>, bridge_index: Option<u32>) {
        let Some((parent, parent_up)) = self.link(&uplink.parent).map(|(at, link)| (at, link.up)) else {
            let why = "there is no such interface: the VLANs of the profiles end on this box (option uplink)".into();
            return self.trouble(format!("uplink {}", uplink.parent), why);
        };
        if !parent_up {
            self.add(Op::SetUp(uplink.parent.clone()));
        }
        let join = Op::Join { port: uplink.name.clone(), bridge: bridge.clone() };
        let seen = self.seen;
        match seen.link(&uplink.name).map(|(_, link)| link).filter(|link| !self.is_left_over(link)) {
            None => self.make_uplink(uplink, join),
            Some(link) if link.kind != (Kind::Vlan { id: uplink.vlan, parent }) => {
                let (vlan, parent) = (uplink.vlan, &uplink.parent);
                let why = format!("there is an interface of this name that is not VLAN {vlan} of {parent}: rename it");
                self.trouble(format!("uplink {}", uplink.name), why);
            }
            Some(link) => {
                if !link.up {
                    self.add(Op::SetUp(uplink.name.clone()));
                }
                match link.master.filter(|master| Some(*master) != bridge_index) {
                    // Somebody else made it, and uses it.
                    Some(_) if !link.ours => {
                        let why = format!("it belongs to another bridge: take it out, or leave {bridge} without it");
                        self.trouble(format!("uplink {}", uplink.name), why);
                    }
                    _ if link.master.is_some() && link.master == bridge_index => {}
                    _ => self.add(join),
                }
            }
        }
    }

    fn make_uplink(&mut self, uplink: &Uplink, join: Op) {
        let (name, parent) = (uplink.name.clone(), uplink.parent.clone());
        self.add(Op::MakeVlan { name, parent, vlan: uplink.vlan });
        self.add(join);
        self.add(Op::SetUp(uplink.name.clone()));
    }

    fn ports(&mut self) {
        for (name, wanted) in &self.wanted.ports {
            let seen = self.seen;
            let Some((index, link)) = seen.link(name).filter(|(_, link)| !self.is_left_over(link)) else { continue };
            // A bridge that goes lets its ports go.
            let goes = |master| seen.links.get(&master).is_some_and(|master| self.is_left_over(master));
            let mut port = link.port.filter(|_| !link.master.is_some_and(goes));
            let there = |bridge: &Arc<str>| self.link(bridge).map(|(index, link)| (index, link.kind));
            // Something else may have the bridge's name.
            let bridge = wanted.bridge.as_ref().map(|bridge| (bridge, there(bridge)));
            if let Some((bridge, there)) = bridge.filter(|(_, link)| link.is_none_or(|(_, kind)| kind == Kind::Bridge))
            {
                if there.is_none_or(|(index, _)| link.master != Some(index)) {
                    self.add(Op::Join { port: name.clone(), bridge: bridge.clone() });
                    // Whoever joins begins anew.
                    port = Some(super::Port { flood: true, isolated: false });
                }
                if !link.up {
                    self.add(Op::SetUp(name.clone()));
                }
            } else if self.plan.ops.contains(&Op::Release(name.clone())) {
                continue;
            }
            let Some(port) = port else { continue };
            // Isolation that somebody else ordered stays.
            let isolated = match (wanted.isolated, port.isolated) {
                (true, false) => Some(true),
                (false, true) if self.done.isolated.contains(&index) => Some(false),
                _ => None,
            };
            let flood = port.flood.then_some(false);
            if flood.is_some() || isolated.is_some() {
                self.add(Op::SetPort { port: name.clone(), flood, isolated });
            }
        }
    }
}

#[cfg(test)]
mod tests;

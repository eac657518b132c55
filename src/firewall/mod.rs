//! What the profiles may reach, as an nftables table of our own: no I/O. [`Plan`] says what is to hold and why,
//! [`ruleset`] writes it for `nft -f -`, [`listing`] reads what the kernel says it has, [`notice`] the kernel's
//! notifications.
//!
//! The table only restricts. A packet has to pass every base chain of a hook, so one that our table lets through is
//! still subject to those of others (fw4's), and nothing they accept gets past ours.

pub mod listing;
pub mod notice;
mod ruleset;

pub use ruleset::{remove, without_source_check, write};

use crate::config::{Access, Allow, Config, Firewall, Isolate, Profile};
use crate::sorted::{SortedMap, SortedSet};
use std::sync::Arc;

/// The table's name, in the family `inet`.
pub const TABLE: &str = "latchkey";

/// What is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The way to the Internet.
    pub wan: Wan,
    /// Each bridge of the profiles once, in the order of the configuration.
    pub zones: Vec<Zone>,
}

/// The way to the Internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wan {
    /// The interfaces that lead there. Empty: nothing does, and nobody gets there.
    pub interfaces: Vec<Arc<str>>,
    /// Where they come from.
    pub source: Source,
    /// Interfaces of default routes that are not used, because they are the bridge of a profile: what is behind it is
    /// another profile's network first.
    pub passed_over: Vec<Arc<str>>,
}

/// Where the way to the Internet is known from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// `list wan`.
    Option,
    /// The default routes of the kernel.
    #[default]
    Routes,
}

/// A bridge and what its devices may reach. Profiles that share a bridge cannot be told apart: the strictest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The bridge.
    pub bridge: Arc<str>,
    /// The profiles whose devices are on it.
    pub profiles: Vec<Arc<str>>,
    /// What they reach.
    pub access: Access,
    /// What they reach besides. Empty with [`Access::Full`].
    pub allow: Vec<Allow>,
    /// Whether they are kept from each other, also by way of this box's routing.
    pub isolate: bool,
    /// This box is a bridge for them and nothing more: it has no address there, and an uplink that the frames leave
    /// over. Then a router elsewhere is their gateway.
    pub bridged: bool,
}

/// Packets and octets that were dropped or refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub bytes: u64,
}

/// What the shell knows of the table in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The ruleset that was loaded last. `None`: no table is wanted, or none could be loaded.
    pub loaded: Option<Arc<str>>,
    /// Whether the kernel had exactly that when it was looked at last.
    pub in_kernel: bool,
    /// What was dropped, by bridge, since the ruleset was loaded.
    pub dropped: SortedMap<Arc<str>, Dropped>,
    /// How often somebody else changed or removed the table and it was put back.
    pub repaired: u32,
}

impl Plan {
    /// What a configuration asks for in a network with these default routes.
    pub fn new(config: &Config, default_routes: &SortedSet<Arc<str>>) -> Plan {
        let mut zones: Vec<Zone> = Vec::new();
        for profile in &config.profiles {
            let Some(bridge) = &profile.bridge else { continue };
            let bridged = profile.addresses.is_empty() && config.main.uplink.is_some();
            match zones.iter_mut().find(|zone| zone.bridge == *bridge) {
                Some(zone) => zone.share(profile, bridged),
                None => zones.push(Zone {
                    bridge: bridge.clone(),
                    profiles: vec![profile.name.clone()],
                    access: profile.access,
                    allow: if profile.access == Access::Full { Vec::new() } else { profile.allow.clone() },
                    isolate: profile.isolate == Isolate::Yes,
                    bridged,
                }),
            }
        }
        let wan = if config.main.wan.is_empty() {
            let (passed_over, interfaces): (Vec<_>, Vec<_>) =
                default_routes.iter().cloned().partition(|name| zones.iter().any(|zone| zone.bridge == *name));
            let interfaces = interfaces.into_iter().filter(|name| ruleset::can_be_written(name)).collect();
            Wan { interfaces, source: Source::Routes, passed_over }
        } else {
            Wan { interfaces: config.main.wan.clone(), source: Source::Option, passed_over: Vec::new() }
        };
        Plan { wan, zones }
    }

    /// The bridge of the zone with this number, which is part of its chains' names.
    pub fn bridge(&self, number: usize) -> Option<&Arc<str>> {
        self.zones.get(number).map(|zone| &zone.bridge)
    }

    /// The zone of a profile.
    pub fn zone_of(&self, profile: &Profile) -> Option<&Zone> {
        let bridge = profile.bridge.as_ref()?;
        self.zones.iter().find(|zone| zone.bridge == *bridge)
    }
}

/// The ruleset a configuration asks for; `None` when there is nothing to enforce or somebody else does.
pub fn wanted(config: &Config, default_routes: &SortedSet<Arc<str>>) -> Option<String> {
    if config.main.firewall == Firewall::Off {
        return None;
    }
    let plan = Plan::new(config, default_routes);
    plan.zones.iter().any(Zone::has_limits).then(|| write(&plan))
}

impl Zone {
    /// Another profile is on the same bridge.
    fn share(&mut self, profile: &Profile, bridged: bool) {
        self.profiles.push(profile.name.clone());
        match (self.access, profile.access) {
            (_, Access::Full) => {}
            (Access::Full, _) => self.allow = profile.allow.clone(),
            _ => self.allow.retain(|entry| profile.allow.contains(entry)),
        }
        self.access = stricter(self.access, profile.access);
        self.isolate |= profile.isolate == Isolate::Yes;
        self.bridged &= bridged;
    }

    /// True when its devices do not reach everything.
    pub fn is_restricted(&self) -> bool {
        self.access != Access::Full
    }

    /// True when what they send to each other through this box's routing is dropped: a device that is kept from its
    /// neighbours by the bridge could otherwise send to them by way of the gateway. Where this box routes nothing for
    /// them it would only hit bridged frames, should br_netfilter show us those.
    pub fn keeps_apart(&self) -> bool {
        self.isolate && !self.bridged
    }

    /// True when there is anything to enforce.
    fn has_limits(&self) -> bool {
        self.is_restricted() || self.keeps_apart()
    }

    /// What its devices may reach besides [`Zone::allow`], in words.
    pub fn may_reach(&self, wan: &Wan) -> String {
        match self.access {
            Access::Full if self.keeps_apart() => "everything but each other".to_owned(),
            Access::Full => "everything".to_owned(),
            Access::Internet if wan.interfaces.is_empty() => {
                "DHCP and DNS here; not the Internet, to which no way is known".to_owned()
            }
            Access::Internet => format!("DHCP and DNS here, public addresses over {}", wan.interfaces.join(", ")),
            Access::Isolated => "DHCP and DNS here".to_owned(),
        }
    }

    /// What else one should know about it, in whole sentences without a full stop.
    pub fn notes(&self, uplink: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if self.profiles.len() > 1 {
            let names = self.profiles.join(", ");
            notes
                .push(format!("the profiles {names} share {}: the strictest of each limit holds for all", self.bridge));
        }
        if let Some(uplink) = uplink.filter(|_| self.bridged) {
            notes.push(format!(
                "this box has no address on {}: its frames leave over {uplink}, and the router there has to enforce \
                 access; the rules here hold for what this box itself would route",
                self.bridge
            ));
        }
        notes
    }
}

fn stricter(one: Access, other: Access) -> Access {
    match (one, other) {
        (Access::Isolated, _) | (_, Access::Isolated) => Access::Isolated,
        (Access::Internet, _) | (_, Access::Internet) => Access::Internet,
        (Access::Full, Access::Full) => Access::Full,
    }
}

#[cfg(test)]
mod tests;

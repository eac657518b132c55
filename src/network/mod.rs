//! The network of this box as the kernel has it and as the configuration wants it: pure. Netlink messages are read and
//! written here as octets, and [`plan::plan`] says what has to be done; sockets are the shell's.
//!
//! Interfaces, addresses, routes and neighbours come over rtnetlink (rtnetlink(7)), which interfaces hostapd made for
//! its VLANs over nl80211 (linux/nl80211.h).

pub mod message;
pub mod nl80211;
pub mod plan;
pub mod wanted;

use crate::config::HostAddress;
use crate::sorted::SortedMap;
use std::sync::Arc;

/// An interface's name has at most 15 octets (`IFNAMSIZ` less its zero).
pub const NAME: usize = 15;

/// What an interface is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bridge.
    Bridge,
    /// A VLAN (IEEE 802.1Q) of another interface.
    Vlan {
        /// Its number, 1 to 4094.
        id: u16,
        /// The index of the interface it is on.
        parent: u32,
    },
    /// Anything else.
    Other,
}

/// The settings of a bridge port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Unicast frames to addresses the bridge has not learnt go out here (`IFLA_BRPORT_UNICAST_FLOOD`).
    pub flood: bool,
    /// Isolated ports do not reach each other (`IFLA_BRPORT_ISOLATED`, Linux 4.18).
    pub isolated: bool,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// It is switched on (`IFF_UP`).
    pub up: bool,
    /// It carries our mark: this daemon made it, now or in an earlier life.
    pub ours: bool,
    /// The index of the bridge, or whatever else, it belongs to.
    pub master: Option<u32>,
    /// How it is a port of a bridge, if it is one.
    pub port: Option<Port>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The interface's index.
    pub link: u32,
    /// The address.
    pub address: HostAddress,
    /// It carries our mark (`IFA_PROTO`, which kernels have since 5.18).
    pub ours: bool,
}

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The interfaces by their indices.
    pub links: SortedMap<u32, Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
}

impl Seen {
    /// The interface of this name.
    pub fn link(&self, name: &str) -> Option<(u32, &Link)> {
        self.links.iter().find(|(_, link)| &*link.name == name).map(|(index, link)| (*index, link))
    }
}

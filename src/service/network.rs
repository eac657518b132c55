//! What the shell has found out about the network of this box, for those who ask.

use crate::mac::MacAddr;
use crate::sorted::{SortedMap, SortedSet};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The network around, as the kernel tells of it. All of it is empty while nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The interfaces of the default routes, IPv4 and IPv6.
    pub default_routes: SortedSet<Arc<str>>,
    /// The IP addresses of neighbours, by their MAC addresses.
    pub neighbours: HashMap<MacAddr, Vec<IpAddr>>,
    /// hostapd's VLAN interfaces, and the bridges they are in.
    pub ports: SortedMap<Arc<str>, Arc<str>>,
    /// What is not as the configuration wants it, in words with the mend, by what it is about (`bridge brvlan20`,
    /// `firewall`).
    pub troubles: SortedMap<Arc<str>, String>,
}

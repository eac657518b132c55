//! What the configuration wants of the network.

use super::{NAME, Seen};
use crate::config::{Bridges, Config, HostAddress, Isolate, Profile};
use crate::sorted::SortedMap;
use std::sync::Arc;

/// All that is wanted. Nothing is wanted by default: a plan for that undoes what was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The bridges by their names; none when they are somebody else's.
    pub bridges: SortedMap<Arc<str>, Bridge>,
    /// The interfaces of hostapd's VLANs by their names.
    pub ports: SortedMap<Arc<str>, Port>,
    /// Stations on the BSSes' own interfaces are kept from each other: a profile without VLAN wants that.
    pub isolate_plain: bool,
    /// What the configuration wants and cannot have, by what it is about.
    pub troubles: SortedMap<Arc<str>, String>,
}

/// A bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bridge {
    /// This box's addresses on it.
    pub addresses: Vec<HostAddress>,
    /// The VLAN of the uplink that belongs to it.
    pub uplink: Option<Uplink>,
    vlan: Option<u16>,
}

/// The tagged side of a VLAN on the uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// The interface's name: the uplink's, a dot and the number.
    pub name: Arc<str>,
    /// The uplink.
    pub parent: Arc<str>,
    /// The VLAN's number.
    pub vlan: u16,
}

/// An interface of one of hostapd's VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The bridge it has to be in; `None` when that is somebody else's business.
    pub bridge: Option<Arc<str>>,
    /// It is kept from the other ports that are.
    pub isolated: bool,
}

impl Wanted {
    /// What a configuration wants when hostapd has these VLAN interfaces on the BSSes that it serves.
    pub fn new(config: &Config, ap_vlans: impl IntoIterator<Item = Arc<str>>, seen: &Seen) -> Wanted {
        let mut wanted = Wanted::default();
        let manage = config.main.bridges == Bridges::Manage;
        if manage {
            config.profiles.iter().for_each(|profile| wanted.bridge_of(profile, config.main.uplink.as_ref()));
        }
        let isolating = |vlan| config.profiles.iter().any(|p| p.vlan == vlan && p.isolate == Isolate::Yes);
        wanted.isolate_plain = isolating(None);
        for name in ap_vlans {
            let vlan = vlan_of(&name).or_else(|| vlan_by_bridge(&name, config, seen));
            let of_vlan = wanted.bridges.iter().find(|(_, bridge)| vlan.is_some() && bridge.vlan == vlan);
            let bridge = of_vlan.map(|(bridge, _)| bridge.clone());
            wanted.ports.insert(name, Port { bridge, isolated: vlan.is_some() && isolating(vlan) });
        }
        wanted
    }

    fn bridge_of(&mut self, profile: &Profile, parent: Option<&Arc<str>>) {
        let Some(name) = &profile.bridge else { return };
        let of_vlan = self.bridges.iter().find(|(_, bridge)| profile.vlan.is_some() && bridge.vlan == profile.vlan);
        if let Some((other, _)) = of_vlan.filter(|(other, _)| *other != name) {
            let why = format!("profile {} has the VLAN of bridge {other}: give both the same bridge", profile.name);
            self.troubles.insert(format!("bridge {name}").into(), why);
            return;
        }
        let bridge = self.bridges.or_insert_with(name.clone(), || Bridge { vlan: profile.vlan, ..Bridge::default() });
        if bridge.vlan != profile.vlan {
            let why =
                format!("it is that of another VLAN than profile {} has: give each a bridge of its own", profile.name);
            self.troubles.insert(format!("bridge {name}").into(), why);
            return;
        }
        for address in &profile.addresses {
            if !bridge.addresses.contains(address) {
                bridge.addresses.push(*address);
            }
        }
        let (Some(parent), Some(vlan)) = (parent, profile.vlan) else { return };
        let uplink: Arc<str> = format!("{parent}.{vlan}").into();
        if uplink.len() > NAME {
            let why =
                format!("{uplink} is too long for an interface's name: rename {parent} to {} octets or less", NAME - 5);
            self.troubles.insert(format!("uplink {parent}").into(), why);
            return;
        }
        bridge.uplink = Some(Uplink { name: uplink, parent: parent.clone(), vlan });
    }
}

/// The VLAN in the name of an interface of hostapd's: `wlan0.20`, as the implicit wildcard in its `vlan_file` makes it, or
/// `phy0-ap0-20`, as OpenWrt does of a wifi-vlan that is called by its number. `None` for other names, and for interfaces of
/// single stations (`per_sta_vif=1`), which have numbers above all VLANs.
pub fn vlan_of(name: &str) -> Option<u16> {
    let of_openwrt = || name.rsplit_once('-').filter(|(ap, _)| ap.contains("-ap"));
    let digits = of_openwrt().or_else(|| name.rsplit_once('.'))?.1;
    digits.parse().ok().filter(|vlan| (1..=4094).contains(vlan) && !digits.starts_with(['+', '0']))
}

/// The interface has a name of the administrator's; that of the bridge it is in tells as well.
fn vlan_by_bridge(name: &str, config: &Config, seen: &Seen) -> Option<u16> {
    let master = seen.links.get(&seen.link(name)?.1.master?)?;
    config.profiles.iter().find(|profile| profile.bridge.as_deref() == Some(&*master.name))?.vlan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_in_names() {
        for (name, vlan) in [
            ("wlan0.20", Some(20)),
            ("phy0-ap0-20", Some(20)),
            ("phy0.1-ap0-4094", Some(4094)),
            ("phy0-ap0.20", Some(20)),
            ("phy0-ap0", None),
            ("phy0-ap0-iot", None),
            ("phy0-ap0-4095", None),
            ("phy0-ap0-020", None),
            ("wlan0-20", None),
            ("wlan0.4096", None),
            ("br-lan", None),
        ] {
            assert_eq!(vlan_of(name), vlan, "{name}");
        }
    }
}

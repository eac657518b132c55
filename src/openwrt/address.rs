//! Addresses for networks that have none yet.

use super::view::{View, of_kind};
use crate::config::{Config, HostAddress};
use crate::wire::uci::Document;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks in use: address, and bits of the prefix.
#[derive(Debug, Clone, Default)]
pub struct Taken(Vec<(Ipv4Addr, u8)>);

impl Taken {
    /// What interfaces, routes and profiles of the configurations have, and what the kernel has.
    pub fn new(network: &Document<'_>, config: &Config, routes: &[(Ipv4Addr, u8)]) -> Taken {
        let mut taken = Taken(routes.to_vec());
        for interface in of_kind(network, "interface") {
            taken.0.extend(addresses(interface));
            // WireGuard has its own name for the option.
            taken.0.extend(interface.list("addresses").iter().filter_map(|text| with_length(text, None)));
        }
        for route in of_kind(network, "route") {
            taken.0.extend(with_length(route.text("target"), route.get("netmask")));
        }
        for address in config.profiles.iter().flat_map(|profile| &profile.addresses) {
            taken.0.extend(v4(address));
        }
        taken
    }

    /// True when a network has an address in common with one of these.
    pub fn overlaps(&self, address: Ipv4Addr, length: u8) -> bool {
        self.0.iter().any(|(other, bits)| {
            let mask = mask(length.min(*bits));
            address.to_bits() & mask == other.to_bits() & mask
        })
    }

    /// A free network for a VLAN, and takes it: 192.168.VLAN.0/24 if that can be, else one in 10.0.0.0/8. `None`: all are taken.
    pub fn take(&mut self, vlan: u16) -> Option<HostAddress> {
        let [high, low] = vlan.to_be_bytes();
        let first = (high == 0 && low != 0 && low != 255).then_some([192, 168, low]);
        let others = (0..=u16::MAX).map(|step| {
            let [a, b] = vlan.wrapping_add(step).to_be_bytes();
            [10, a, b]
        });
        let network = first.into_iter().chain(others);
        let mut hosts = network.map(|[a, b, c]| Ipv4Addr::new(a, b, c, 1));
        let host = hosts.find(|host| !self.overlaps(*host, 24))?;
        self.0.push((host, 24));
        Some(HostAddress { address: host.into(), length: 24 })
    }
}

/// The IPv4 addresses of an interface, with the bits of their prefixes.
pub fn addresses(interface: View<'_>) -> Vec<(Ipv4Addr, u8)> {
    let netmask = interface.get("netmask");
    interface.list("ipaddr").iter().filter_map(|text| with_length(text, netmask)).collect()
}

/// The addresses of an interface, IPv6 too.
pub fn hosts(interface: View<'_>) -> Vec<HostAddress> {
    let v4 = addresses(interface).into_iter().map(|(address, length)| HostAddress { address: address.into(), length });
    let mut all: Vec<HostAddress> = v4.collect();
    for text in interface.list("ip6addr") {
        // netifd takes one without a length for a single address.
        let (address, length) = text.split_once('/').unwrap_or((text, "128"));
        if let (Ok(address), Ok(length)) = (address.parse::<Ipv6Addr>(), length.parse()) {
            all.push(HostAddress { address: address.into(), length });
        }
    }
    all
}

/// Whether the networks of two addresses have an address in common.
pub fn meet(one: &HostAddress, other: &HostAddress) -> bool {
    let (width, a, b) = match (one.address, other.address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (32, a.to_bits().into(), b.to_bits().into()),
        (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits(), b.to_bits()),
        _ => return false,
    };
    let shift = 128u32.min(width - width.min(one.length.min(other.length).into()));
    u128::checked_shr(a, shift) == u128::checked_shr(b, shift)
}

/// The IPv4 address and its prefix, of an address that is one.
fn v4(address: &HostAddress) -> Option<(Ipv4Addr, u8)> {
    match address.address {
        IpAddr::V4(v4) => Some((v4, address.length)),
        IpAddr::V6(_) => None,
    }
}

/// `192.168.1.1/24`, or without a length and with a netmask.
fn with_length(text: &str, netmask: Option<&str>) -> Option<(Ipv4Addr, u8)> {
    if let Some((address, length)) = text.split_once('/') {
        return Some((address.parse().ok()?, length.parse().ok().filter(|length| *length <= 32)?));
    }
    let length = match netmask {
        None => 32,
        Some(mask) => mask.parse::<Ipv4Addr>().ok()?.to_bits().leading_ones() as u8,
    };
    Some((text.parse().ok()?, length))
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

/// What dnsmasq hands out in a network of so many bits: `start` and `limit`. `None`: there is no room.
pub fn pool(length: u8) -> Option<(u32, u32)> {
    match length {
        0..=24 => Some((100, 150)),
        25..=29 => Some((2, (1 << (32 - length)) - 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::uci::parse;

    #[test]
    fn a_free_network() {
        let text = "config interface 'lan'\n\toption ipaddr '192.168.20.1'\n\toption netmask '255.255.255.0'\n\
                    config interface 'mgmt'\n\tlist ipaddr '192.168.64.1/19'\n\
                    config interface 'wg'\n\tlist addresses '10.1.44.5/16'\n\
                    config route\n\toption target '192.168.30.0/24'\n";
        let config =
            Config::parse("config profile 'a'\n\toption vlan 50\n\toption address 192.168.50.1/24\n").expect("valid");
        let mut taken = Taken::new(&parse(text.as_bytes()), &config, &[(Ipv4Addr::new(192, 168, 40, 0), 24)]);
        for (vlan, expected) in [
            (10, "192.168.10.1/24"),
            (10, "10.0.10.1/24"),
            (20, "10.0.20.1/24"),
            (30, "10.0.30.1/24"),
            (40, "10.0.40.1/24"),
            (50, "10.0.50.1/24"),
            (64, "10.0.64.1/24"),
            (70, "10.0.70.1/24"),
            (254, "192.168.254.1/24"),
            (255, "10.0.255.1/24"),
            (300, "10.2.0.1/24"),
            (4094, "10.15.254.1/24"),
        ] {
            assert_eq!(taken.take(vlan).expect("free").to_string(), expected, "VLAN {vlan}");
        }
        let mut full = Taken(vec![(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(192, 168, 0, 0), 16)]);
        assert_eq!(full.take(20), None);
    }

    #[test]
    fn networks_that_meet() {
        for (one, other, expected) in [
            ("192.168.1.1/24", "192.168.1.200/28", true),
            ("192.168.1.1/24", "192.168.2.1/24", false),
            ("192.168.2.1/23", "192.168.3.9/24", true),
            ("fd00:20::1/64", "fd00:20::ffff:1/128", true),
            ("fd00:20::1/64", "fd00:20:0:1::1/64", false),
            ("fd00:20::1/48", "fd00:20:0:1::1/64", true),
            ("::1.2.3.4/96", "1.2.3.4/8", false),
        ] {
            let host = |text: &str| text.parse::<HostAddress>().expect(text);
            assert_eq!(meet(&host(one), &host(other)), expected, "{one} {other}");
        }
        let text = b"config interface 'a'\n\toption ipaddr 10.0.0.1\n\toption netmask 255.0.0.0\n\tlist ip6addr 'fd00::1/64'\n\
                     \tlist ip6addr 'fd00::2'\n\tlist ip6addr 'x/64'\n";
        let document = parse(text);
        let shown: Vec<String> = of_kind(&document, "interface").flat_map(hosts).map(|host| host.to_string()).collect();
        assert_eq!(shown, ["10.0.0.1/8", "fd00::1/64", "fd00::2/128"]);
    }

    #[test]
    fn pools() {
        assert_eq!(
            [16, 24, 25, 28, 29, 30, 32].map(pool),
            [Some((100, 150)), Some((100, 150)), Some((2, 125)), Some((2, 13)), Some((2, 5)), None, None]
        );
    }
}

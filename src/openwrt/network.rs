//! Profiles: bridge or VLAN, interface, DHCP and firewall zone.

use super::address::{Taken, addresses, hosts, meet, pool};
use super::draft::{Opt, ours};
use super::plan::{Planner, short};
use super::record::{Place, While};
use super::view::{PREFIX, View, named, of_kind};
use super::{BridgeRequest, Refused, Request};
use crate::config::{Access, Allow, Config, HostAddress, Protocol};
use crate::firewall;
use crate::network::NAME;
use crate::wire::uci::{Document, parse};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Zone names are cut at 11 characters by firewall tools before fw4: what follows `lk_`.
const MAX_ID: usize = 8;

/// The profiles of one VLAN, which share its network.
pub(super) struct Group {
    pub vlan: u16,
    pub profiles: Vec<Arc<str>>,
    /// What its sections' names have after `lk_`.
    pub id: String,
    /// The interface section; somebody else's, if `ours` is false.
    pub interface: String,
    pub ours: bool,
    /// The interface it is on: `br-lk-iot`, `br-lan.20`.
    pub device: String,
    /// `--bridge` is about it.
    asked: bool,
    /// Its interface has IPv6 addresses.
    v6: bool,
}

impl Planner<'_> {
    /// The profiles that have a network of ours, or one of somebody else's that our SSIDs use.
    pub fn managed_groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for vlan in self.config.profiles.iter().filter_map(|profile| profile.vlan) {
            if groups.iter().any(|group| group.vlan == vlan) {
                continue;
            }
            let group = self.group(vlan);
            let text = self.draft.shared(if group.ours { "network" } else { "wireless" });
            let document = parse(&text);
            let kind = if group.ours { "interface" } else { "wifi-vlan" };
            if named(&document, kind, &ours(&[&group.id])).is_some() {
                groups.push(group);
            }
        }
        groups
    }

    /// Adds those that are asked for.
    pub fn add_groups(&self, groups: &mut Vec<Group>, request: &Request) -> Result<(), Refused> {
        let with_vlan = || self.config.profiles.iter().filter_map(|profile| profile.vlan);
        let mut vlans: Vec<u16> = Vec::new();
        for name in &request.profiles {
            let Some(profile) = self.config.profile(name) else {
                let known: Vec<&str> = self.config.profiles.iter().map(|profile| &*profile.name).collect();
                let message = format!("there is no profile {}: there are {}", short(name), known.join(", "));
                return Err(Refused::new("argument", "profile", message));
            };
            let Some(vlan) = profile.vlan else {
                let message = format!("profile {name} has no VLAN: its devices are in the network of the SSID itself");
                return Err(Refused::new("argument", "profile", message));
            };
            vlans.push(vlan);
        }
        if request.profiles.is_empty() && request.ssid.is_some() {
            vlans.extend(with_vlan());
        }
        if request.bridge.is_some() && vlans.is_empty() {
            let message = "a bridge is for the networks of profiles: say which, with --profile";
            return Err(Refused::new("argument", "bridge", message));
        }
        for vlan in vlans {
            let at = groups.iter().position(|group| group.vlan == vlan);
            let at = at.unwrap_or_else(|| {
                groups.push(self.group(vlan));
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.asked = true;
            }
        }
        // Names that were chosen for new ones must not meet.
        let mut names = BTreeSet::new();
        if let Some(twice) = groups.iter().find(|group| !names.insert(group.id.clone())) {
            let message =
                format!("two networks would be called lk_{}: rename profile {}", twice.id, twice.profiles.join(", "));
            return Err(Refused::new("argument", "profile", message));
        }
        Ok(())
    }

    /// What there is for a VLAN, or would be.
    fn group(&self, vlan: u16) -> Group {
        let of_vlan = || self.config.profiles.iter().filter(|profile| profile.vlan == Some(vlan));
        let text = self.draft.shared("network");
        let document = parse(&text);
        let bridges: Vec<&str> = of_vlan().filter_map(|profile| profile.bridge.as_deref()).collect();
        let mut interfaces = of_kind(&document, "interface");
        let used = interfaces.find(|interface| bridges.contains(&interface.text("device")));
        let profiles: Vec<Arc<str>> = of_vlan().map(|profile| profile.name.clone()).collect();
        let new = self.id(vlan, profiles.first().map(|name| &**name).unwrap_or_default());
        let section = |used: View<'_>| (used.name().to_owned(), used.text("device").to_owned());
        let (id, (interface, device), ours) = match used {
            Some(used) if self.made("network", used) => {
                (used.name().strip_prefix(PREFIX).unwrap_or_default().to_owned(), section(used), true)
            }
            Some(used) if !used.name().is_empty() => (new, section(used), false),
            _ => {
                let found = named(&document, "interface", &ours(&[&new]));
                let device = found.map(|found| found.text("device").to_owned()).unwrap_or_default();
                let device = if device.is_empty() { own_bridge(&new) } else { device };
                (new.clone(), (ours(&[&new]), device), true)
            }
        };
        Group { vlan, profiles, id, interface, ours, device, asked: false, v6: false }
    }

    /// Short names of profiles as they are, so that people find them again; else the number of the VLAN.
    fn id(&self, vlan: u16, profile: &str) -> String {
        let number = format!("v{vlan}");
        let like_a_number =
            |name: &str| name.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let usable = (1..=MAX_ID).contains(&profile.len()) && (!like_a_number(profile) || profile == number);
        // The names of the other sections of a network are made of its own and these: no name of a network may be one.
        let end = profile.rsplit_once('_').map_or("", |(_, end)| end);
        let usable = usable
            && !matches!(end, "dev" | "bv" | "dns" | "dhcp" | "dhcp6" | "icmp6" | "wan")
            && !end.starts_with("allow");
        let text = self.draft.shared("network");
        let document = parse(&text);
        let taken = |id: &str| {
            let found = named(&document, "interface", &ours(&[id]));
            // Somebody's own, or another profile's, whose VLAN was changed, say.
            found.is_some_and(|interface| {
                if !self.made("network", interface) {
                    return true;
                }
                let device = interface.text("device");
                let mut profiles = self.config.profiles.iter();
                profiles.any(|profile| profile.vlan != Some(vlan) && profile.bridge.as_deref() == Some(device))
            })
        };
        if usable && !taken(profile) { profile.to_owned() } else { number }
    }

    /// Bridge, interface, DHCP, and which bridge latchkey takes the profile's devices to be on.
    pub fn layer2(&mut self, group: &mut Group, request: &Request) -> Result<(), Refused> {
        let names = group.profiles.join(", ");
        let asked = request.bridge.as_ref().filter(|_| group.asked);
        if !group.ours {
            if asked.is_some() {
                let message = format!(
                    "profile {names} has option bridge '{}', which is network {}: remove the option first",
                    group.device, group.interface
                );
                return Err(Refused::new("taken", "bridge", message));
            }
            if group.asked {
                self.summary.push(format!("profile {names} uses network {}, which is there already", group.interface));
            }
            return Ok(());
        }
        let mut changed = self.device(group, asked, request)?;
        let is_new = named(&self.draft.document("network"), "interface", &group.interface).is_none();
        let address = self.address(group)?;
        let mut options = vec![Opt::is("device", &group.device), Opt::is("proto", "static")];
        options.extend(address.options);
        changed |= self.ensure("network", "interface", &group.interface, &options)?;
        let Some((start, limit)) = pool(address.length) else {
            let message = format!(
                "the network {} of profile {names} has no room for devices: choose a larger one",
                address.shown
            );
            return Err(Refused::new("argument", "profile", message));
        };
        let mut options = vec![
            Opt::is("interface", &group.interface),
            Opt::is("start", start.to_string()).at_first(),
            Opt::is("limit", limit.to_string()).at_first(),
            Opt::is("leasetime", "12h").at_first(),
        ];
        // odhcpd advertises the prefixes of the addresses the interface has, as in OpenWrt's own lan.
        if group.v6 {
            options.push(Opt::is("ra", "server").at_first());
            options.push(Opt::list("ra_flags", ["managed-config", "other-config"]).at_first());
            options.push(Opt::is("dhcpv6", "server").at_first());
        } else if address.lost_v6 {
            options.extend(["ra", "ra_flags", "dhcpv6"].map(Opt::none));
        }
        changed |= self.ensure("dhcp", "dhcp", &group.interface, &options)?;
        if !self.draft.has("dhcp") {
            self.warnings.push(format!(
                "there is no /etc/config/dhcp: somebody else has to give the devices of {names} addresses"
            ));
        }
        for profile in group.profiles.clone() {
            let place = Place::Named("profile".into(), profile.to_string());
            let needed = While::Network(group.interface.clone());
            changed |= self.draft.borrow("latchkey", &place, "bridge", &group.device, needed)?;
        }
        if is_new {
            self.summary.push(format!(
                "network {} ({}) for profile {names}: {}, DHCP, firewall zone {}",
                group.interface,
                address.shown,
                if own_bridge(&group.id) == group.device {
                    format!("bridge {}", group.device)
                } else {
                    format!("VLAN {} of bridge {}", group.vlan, bridge_of(&group.device))
                },
                group.interface
            ));
        } else if changed {
            self.summary.push(format!("network {} ({}) for profile {names} changes", group.interface, address.shown));
        }
        Ok(())
    }

    /// The bridge, or the VLAN of one.
    fn device(&mut self, group: &mut Group, asked: Option<&BridgeRequest>, request: &Request) -> Result<bool, Refused> {
        if let Some(asked) = asked {
            group.device = format!("{}.{}", asked.name, group.vlan);
            if group.device.len() > NAME {
                let message = format!("{} is too long for the name of an interface (15 characters)", group.device);
                return Err(Refused::new("argument", "bridge", message));
            }
            self.check_bridge(asked, group, request)?;
        }
        let own = own_bridge(&group.id);
        if group.device == own {
            let name = ours(&[&group.id, "dev"]);
            let options = [Opt::is("name", &own), Opt::is("type", "bridge"), Opt::is("bridge_empty", "1")];
            return self.ensure("network", "device", &name, &options);
        }
        let bridge = bridge_of(&group.device).to_owned();
        let name = ours(&[&group.id, "bv"]);
        let text = self.draft.shared("network");
        let document = parse(&text);
        let vlan = group.vlan.to_string();
        let of_others = of_kind(&document, "bridge-vlan")
            .any(|view| !view.is_ours() && view.text("device") == bridge && view.text("vlan") == vlan);
        if of_others {
            return Ok(false);
        }
        let mut options = vec![Opt::is("device", &bridge), Opt::is("vlan", &vlan)];
        if let Some(asked) = asked.filter(|asked| !asked.ports.is_empty()) {
            let ports = asked.ports.iter().map(|(port, tagged)| format!("{port}:{}", if *tagged { "t" } else { "u*" }));
            options.push(Opt::list("ports", ports));
        }
        self.ensure("network", "bridge-vlan", &name, &options)
    }

    /// Whether a bridge can take a VLAN without cutting anybody off.
    fn check_bridge(&self, asked: &BridgeRequest, group: &Group, request: &Request) -> Result<(), Refused> {
        let text = self.draft.shared("network");
        let document = parse(&text);
        let bridges = || of_kind(&document, "device").filter(|device| device.text("type") == "bridge");
        let refuse = |code, field, message: String| Err(Refused::new(code, field, message));
        let bridge = &asked.name;
        let Some(device) = bridges().find(|device| device.text("name") == bridge) else {
            let known: Vec<&str> = bridges().map(|device| device.text("name")).collect();
            return refuse(
                "argument",
                "bridge",
                format!("there is no bridge {}: there are {}", short(bridge), known.join(", ")),
            );
        };
        let vlans = || of_kind(&document, "bridge-vlan").filter(|vlan| vlan.text("device") == bridge);
        let filters = vlans().any(|vlan| !vlan.is_ours())
            && device.get("vlan_filtering").is_none_or(|_| device.flag("vlan_filtering"));
        if !filters {
            let message = format!(
                "{bridge} does not filter VLANs (it has no sections config bridge-vlan): turning that on would cut off everybody \
                 behind it, you perhaps included. Leave --bridge out for a bridge of its own, or set up VLANs on {bridge} first"
            );
            return refuse("lockout", "bridge", message);
        }
        let members = device.list("ports");
        let untagged = |vlan: View<'_>, port: &str| {
            vlan.list("ports").iter().any(|entry| match entry.split_once(':') {
                None => *entry == port,
                Some((name, flags)) => name == port && !flags.contains('t'),
            })
        };
        let number = group.vlan.to_string();
        for (port, tagged) in &asked.ports {
            if !members.contains(&port.as_str()) {
                let message = format!("{} is no port of {bridge}: its ports are {}", short(port), members.join(", "));
                return refuse("argument", "port", message);
            }
            if *tagged {
                continue;
            }
            let other = vlans().find(|vlan| vlan.text("vlan") != number && untagged(*vlan, port));
            if let Some(other) = other {
                let message = format!(
                    "{port} is an untagged port of VLAN {} of {bridge}, and it can be that of one VLAN only: take it out there \
                     first, or give {port}:t",
                    other.text("vlan")
                );
                return refuse("taken", "port", message);
            }
            if request.profiles.len() > 1 {
                let message =
                    format!("{port} can be an untagged port of one VLAN only: name one profile, or give {port}:t");
                return refuse("argument", "port", message);
            }
        }
        let of_others = vlans().find(|vlan| !vlan.is_ours() && vlan.text("vlan") == number);
        if of_others.is_some() && !asked.ports.is_empty() {
            let message =
                format!("VLAN {number} of {bridge} is there already: its ports are yours to change, leave --port out");
            return refuse("taken", "port", message);
        }
        Ok(())
    }

    /// The addresses: the profile's; of IPv4, which every network has, else the one there is, else a free one.
    fn address(&mut self, group: &mut Group) -> Result<Address, Refused> {
        let text = self.draft.shared("network");
        let document = parse(&text);
        let of_group = || self.config.profiles.iter().filter(|profile| group.profiles.contains(&profile.name));
        let given = of_group().find(|profile| !profile.addresses.is_empty());
        let given = given.map(|profile| profile.addresses.as_slice()).unwrap_or_default();
        let mut options = Vec::new();
        for address in given {
            overlaps(&document, group, address)?;
        }
        let mut shown = Vec::new();
        let mut write = |v4: bool, option: &'static str| {
            let texts = given.iter().filter(|address| address.address.is_ipv4() == v4).map(ToString::to_string);
            let texts: Vec<String> = texts.collect();
            match &texts[..] {
                [] => {}
                [one] => options.push(Opt::is(option, one)),
                more => options.push(Opt::list(option, more)),
            }
            shown.extend(texts);
            shown.len()
        };
        let v4 = write(true, "ipaddr");
        group.v6 = write(false, "ip6addr") > v4;
        // The addresses that a profile has lost go; those that somebody put there himself have no such rule.
        let document6 = self.draft.document("firewall");
        let lost_v6 = !group.v6 && named(&document6, "rule", &ours(&[&group.id, "icmp6"])).is_some();
        if lost_v6 {
            options.push(Opt::none("ip6addr"));
        }
        let first = given.iter().find(|address| address.address.is_ipv4());
        let present = named(&document, "interface", &group.interface).map(addresses).unwrap_or_default();
        let length = if let Some(first) = first {
            // As LuCI may have written it.
            options.push(Opt::none("netmask"));
            first.length
        } else if let Some((address, length)) = present.first() {
            shown.insert(0, format!("{address}/{length}"));
            *length
        } else {
            let mut taken = Taken::new(&document, &self.config, &self.facts.routes);
            let Some(free) = taken.take(group.vlan) else {
                let message =
                    format!("no free network was found for VLAN {}: give the profile an option address", group.vlan);
                return Err(Refused::new("argument", "profile", message));
            };
            shown.insert(0, free.to_string());
            options.push(Opt::is("ipaddr", free.to_string()).at_first());
            free.length
        };
        Ok(Address { options, shown: shown.join(", "), length, lost_v6 })
    }

    /// Zone, forwarding and rules, as latchkey's own firewall sees the profile.
    pub fn firewall(&mut self, group: &Group, config: &Config) -> Result<(), Refused> {
        if !group.ours {
            return Ok(());
        }
        let names = group.profiles.join(", ");
        if !self.draft.has("firewall") {
            self.warnings.push(format!(
                "there is no /etc/config/firewall: only latchkey's own rules limit the devices of {names}"
            ));
            return Ok(());
        }
        let plan = firewall::Plan::new(config, &Default::default());
        let zone = plan.zones.iter().find(|zone| *zone.bridge == *group.device);
        let (access, allow) = zone.map_or((Access::Isolated, &[][..]), |zone| (zone.access, zone.allow.as_slice()));
        let name = group.interface.as_str();
        let mut changed = self.ensure(
            "firewall",
            "zone",
            name,
            &[
                Opt::is("name", name),
                Opt::list("network", [name]),
                Opt::is("input", "REJECT").at_first(),
                Opt::is("output", "ACCEPT").at_first(),
                Opt::is("forward", "REJECT").at_first(),
            ],
        )?;
        let text = self.draft.shared("firewall");
        let document = parse(&text);
        let zones = || of_kind(&document, "zone");
        let wan = zones().find(|zone| zone.text("name") == "wan").or_else(|| zones().find(|zone| zone.flag("masq")));
        let wan = wan.map(|wan| wan.text("name").to_owned());
        let own = own_addresses(&self.draft.document("network"));
        match (access, wan) {
            (Access::Isolated, _) => {}
            (_, Some(wan)) => {
                let options = [Opt::is("src", name), Opt::is("dest", &wan)];
                changed |= self.ensure("firewall", "forwarding", &ours(&[&group.id, "wan"]), &options)?;
                let new = format!("firewall zone {name}");
                if let Some(line) = self.summary.iter_mut().find(|line| line.ends_with(&new)) {
                    line.push_str(&format!(" with forwarding to {wan}"));
                }
            }
            (_, None) => self.warnings.push(format!(
                "this box has no firewall zone wan: the devices of {names} do not get to the Internet through it"
            )),
        }
        if access == Access::Full {
            self.warnings.push(format!(
                "access 'full': the devices of {names} get to the Internet; to let them into lan, too, add a forwarding from {name} \
                 to lan"
            ));
        }
        let rule = |about: &str| [Opt::is("name", format!("latchkey: {about} from {name}")), Opt::is("src", name)];
        let accept = || Opt::is("target", "ACCEPT");
        let dhcp = [Opt::is("proto", "udp"), Opt::is("dest_port", "67"), Opt::is("family", "ipv4"), accept()];
        let dns = [Opt::list("proto", ["tcp", "udp"]), Opt::is("dest_port", "53"), accept()];
        let mut services = vec![("DHCP", "dhcp", Vec::from(dhcp)), ("DNS", "dns", dns.into())];
        if group.v6 {
            // Of these fw4 lets in from wan only what it has rules for, and from other zones nothing.
            let types = ["router-solicitation", "neighbour-solicitation", "neighbour-advertisement", "echo-request"];
            let v6 = || Opt::is("family", "ipv6");
            let icmp = vec![Opt::is("proto", "icmp"), Opt::list("icmp_type", types), v6(), accept()];
            let dhcp = vec![Opt::is("proto", "udp"), Opt::is("dest_port", "547"), v6(), accept()];
            services.extend([("ICMPv6", "icmp6", icmp), ("DHCPv6", "dhcp6", dhcp)]);
        }
        for (about, end, options) in services {
            let options: Vec<Opt> = rule(about).into_iter().chain(options).collect();
            changed |= self.ensure("firewall", "rule", &ours(&[&group.id, end]), &options)?;
        }
        for (index, entry) in allow.iter().enumerate() {
            let number = (index + 1).to_string();
            let options = rule(&format!("allow {number}")).into_iter().chain(allowed(entry, &own));
            let options: Vec<Opt> = options.chain([accept()]).collect();
            changed |= self.ensure("firewall", "rule", &ours(&[&group.id, &format!("allow{number}")]), &options)?;
        }
        if changed && !self.summary.iter().any(|line| line.contains(name)) {
            self.summary.push(format!("firewall zone {name} of profile {names} changes (access {access})"));
        }
        Ok(())
    }
}

/// An interface's address.
struct Address {
    options: Vec<Opt>,
    /// All of them, for people.
    shown: String,
    /// Of the IPv4 network that devices get addresses of.
    length: u8,
    /// It had IPv6 addresses of ours, and is to have none.
    lost_v6: bool,
}

/// The bridge that a network gets for itself.
fn own_bridge(id: &str) -> String {
    format!("br-lk-{id}")
}

/// The bridge of a VLAN interface on one.
fn bridge_of(device: &str) -> &str {
    device.rsplit_once('.').map_or(device, |(bridge, _)| bridge)
}

/// The addresses of this box.
fn own_addresses(network: &Document<'_>) -> Vec<IpAddr> {
    of_kind(network, "interface").flat_map(hosts).map(|host| host.address).collect()
}

fn overlaps(network: &Document<'_>, group: &Group, address: &HostAddress) -> Result<(), Refused> {
    for other in of_kind(network, "interface").filter(|other| other.name() != group.interface) {
        if let Some(theirs) = hosts(other).into_iter().find(|theirs| meet(theirs, address)) {
            let message = format!(
                "the address {address} of profile {} overlaps network {} ({theirs}): choose another",
                group.profiles.join(", "),
                other.name()
            );
            return Err(Refused::new("taken", "profile", message));
        }
    }
    Ok(())
}

/// An entry of a profile's allow list as options of a rule. What is for this box itself is input, all else is forwarded.
fn allowed(entry: &Allow, own: &[IpAddr]) -> Vec<Opt> {
    let bits = if entry.to.is_ipv4() { 32 } else { 128 };
    let here = entry.to.length() == bits && own.iter().any(|address| entry.to.contains(*address));
    let mut options = Vec::new();
    if !here {
        options.push(Opt::is("dest", "*"));
    }
    options.push(Opt::is("dest_ip", entry.to.to_string()));
    options.push(Opt::is(
        "proto",
        match entry.protocol {
            None => "all",
            Some(Protocol::Tcp) => "tcp",
            Some(Protocol::Udp) => "udp",
            Some(Protocol::Icmp) => "icmp",
        },
    ));
    options.push(match entry.ports {
        None => Opt::none("dest_port"),
        Some((first, last)) if first == last => Opt::is("dest_port", first.to_string()),
        Some((first, last)) => Opt::is("dest_port", format!("{first}-{last}")),
    });
    options
}

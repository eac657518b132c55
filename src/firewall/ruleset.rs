//! The ruleset as text for `nft -f -` (nftables 1.0 or later, which OpenWrt has since 22.03).

use super::{Plan, TABLE, Zone};
use crate::config::{Access, Allow, Protocol};
use std::fmt::Write;
use std::sync::Arc;

/// IPv4 destinations that are not on the Internet (RFC 6890 and the IANA registry of special-purpose addresses): whoever
/// may reach the Internet must not reach the network of another router in front of this one.
const SPECIAL_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
];

/// The same for IPv6, with the forms of private IPv4 addresses in it: mapped (RFC 4291), translated by NAT64 (RFC 6052)
/// and 6to4 (RFC 3056, out of use by RFC 7526).
const SPECIAL_V6: &[&str] = &[
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::a00:0/104",
    "64:ff9b::6440:0/106",
    "64:ff9b::7f00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b::ac10:0/108",
    "64:ff9b::c0a8:0/112",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// What every device may ask of this box. A router solicitation gets its prefix, an advertisement of a router is not
/// taken from a device; multicast listener reports are as little a danger as they are needed by all of IPv6.
const SERVICES: &str = "\t# DHCP, DNS, IPv6 neighbour discovery and multicast listeners
\tchain services {
\t\tmeta nfproto ipv4 udp dport 67 accept
\t\tmeta nfproto ipv6 udp dport 547 accept
\t\tmeta l4proto { tcp, udp } th dport 53 accept
\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
\t\ticmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
\t}
";

/// Answers, and errors about them. What a device itself opened is looked at with every packet, so that a limit that is
/// tightened holds for connections that are open already.
const ANSWERS: &str = "\t\tct state related accept\n\t\tct state established ct direction reply accept\n";

/// A refusal that the device hears of, so that it does not wait. Noise that was not for this box alone is not counted.
const REFUSE: &str = "\t\tmeta pkttype { broadcast, multicast } drop
\t\tcounter reject with icmpx admin-prohibited
";

/// The ruleset that removes the table, whether it is there or not.
pub fn remove() -> String {
    format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\n")
}

/// Whether an interface's name can be quoted in a ruleset and means nothing but itself there.
pub(super) fn can_be_written(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'*');
    (1..=15).contains(&name.len()) && name.bytes().all(plain)
}

/// The ruleset of a plan: one transaction that puts the new table in the place of the old one.
///
/// Chains are named for what they judge and the zone's number: `from_N` what its devices send on, `to_N` what comes for
/// them from the Internet, `in_N` what is for this box, `source_N` source addresses that are not of their network.
pub fn write(plan: &Plan) -> String {
    let zones: Vec<(usize, &Zone)> =
        plan.zones.iter().enumerate().filter(|(_, zone)| can_be_written(&zone.bridge)).collect();
    let restricted = || zones.iter().copied().filter(|(_, zone)| zone.is_restricted());
    let mut text = remove();
    let _ = writeln!(text, "table inet {TABLE} {{");
    let wan = plan.wan.interfaces.iter().filter(|name| can_be_written(name));
    set(&mut text, "wan", "ifname", "", wan.map(|name| format!("\"{name}\"")));
    set(&mut text, "special4", "ipv4_addr", "flags interval; ", SPECIAL_V4.iter().map(|net| net.to_string()));
    set(&mut text, "special6", "ipv6_addr", "flags interval; ", SPECIAL_V6.iter().map(|net| net.to_string()));

    base(&mut text, "prerouting", "prerouting", "", |text| {
        dispatch(text, "iifname", "jump source", restricted().filter(|(_, zone)| !zone.bridged));
    });
    base(&mut text, "forward", "forward", ANSWERS, |text| {
        let limited = zones.iter().copied().filter(|(_, zone)| zone.has_limits());
        dispatch(text, "iifname", "goto from", limited);
        // A profile that may do everything goes first, should its bridge lead to the Internet as well.
        dispatch(text, "iifname @wan oifname", "goto to", restricted());
    });
    base(&mut text, "input", "input", "", |text| dispatch(text, "iifname", "goto in", restricted()));
    text.push_str(SERVICES);
    for (number, zone) in &zones {
        chains(&mut text, *number, zone);
    }
    text.push_str("}\n");
    text
}

/// The same without the check of source addresses, for a kernel that has no `nft_fib_inet`: the other limits are worth
/// having without it.
pub fn without_source_check(ruleset: &str) -> String {
    ruleset.split_inclusive('\n').filter(|line| !line.contains(" fib saddr ")).collect()
}

fn set(text: &mut String, name: &str, kind: &str, flags: &str, elements: impl Iterator<Item = String>) {
    let elements = elements.collect::<Vec<_>>().join(", ");
    let elements = if elements.is_empty() { String::new() } else { format!("elements = {{ {elements} }} ") };
    let _ = writeln!(text, "\tset {name} {{ type {kind}; {flags}{elements}}}");
}

fn base(text: &mut String, name: &str, hook: &str, first: &str, rules: impl FnOnce(&mut String)) {
    let _ = writeln!(text, "\tchain {name} {{\n\t\ttype filter hook {hook} priority filter - 10; policy accept;");
    text.push_str(first);
    rules(text);
    text.push_str("\t}\n");
}

/// A rule that sends each zone's packets to a chain of its own.
fn dispatch<'a>(text: &mut String, key: &str, verdict: &str, zones: impl Iterator<Item = (usize, &'a Zone)>) {
    let branches: Vec<String> =
        zones.map(|(number, zone)| format!("\"{}\" : {verdict}_{number}", zone.bridge)).collect();
    if !branches.is_empty() {
        let _ = writeln!(text, "\t\t{key} vmap {{ {} }}", branches.join(", "));
    }
}

fn chains(text: &mut String, number: usize, zone: &Zone) {
    if !zone.has_limits() {
        return;
    }
    let bridge = &zone.bridge;
    let _ = writeln!(text, "\n\t# {bridge}: {}, access {}", title(&zone.profiles), zone.access);
    let _ = writeln!(text, "\tchain from_{number} {{");
    if zone.keeps_apart() {
        let _ = writeln!(text, "\t\toifname \"{bridge}\" counter reject with icmpx admin-prohibited");
    } else {
        let _ = writeln!(text, "\t\toifname \"{bridge}\" accept");
    }
    if !zone.is_restricted() {
        text.push_str("\t\taccept\n\t}\n");
        return;
    }
    if zone.access == Access::Internet {
        text.push_str(
            "\t\toifname @wan ip daddr != @special4 accept\n\t\toifname @wan ip6 daddr != @special6 accept\n",
        );
    }
    for entry in &zone.allow {
        allow(text, entry);
    }
    text.push_str(REFUSE);
    text.push_str("\t}\n");

    // Port forwards that the administrator made. To refuse loudly would answer the whole Internet.
    let _ = writeln!(text, "\tchain to_{number} {{\n\t\tct status dnat accept\n\t\tcounter drop\n\t}}");

    let _ = writeln!(text, "\tchain in_{number} {{");
    text.push_str(ANSWERS);
    text.push_str("\t\tjump services\n");
    for entry in zone.allow.iter().filter(|entry| is_host(entry)) {
        allow(text, entry);
    }
    text.push_str(REFUSE);
    text.push_str("\t}\n");

    // A device that has no address yet sends from the unspecified one. The reverse path is looked up here and not in
    // forward because kernels before 6.2 know the expression in this hook only.
    if !zone.bridged {
        let _ = writeln!(text, "\tchain source_{number} {{");
        for unspecified in ["ip saddr != 0.0.0.0", "ip6 saddr != ::"] {
            let _ = writeln!(text, "\t\t{unspecified} fib saddr . iif oif missing counter drop");
        }
        text.push_str("\t}\n");
    }
}

/// Only an entry for a single address opens this box: a block is meant for what is behind it, and would open the SSH
/// server of the gateway along the way.
fn is_host(entry: &Allow) -> bool {
    entry.to.length() == if entry.to.is_ipv4() { 32 } else { 128 }
}

fn allow(text: &mut String, entry: &Allow) {
    let v4 = entry.to.is_ipv4();
    text.push_str("\t\t");
    let _ = match (entry.to.length(), v4) {
        (0, true) => write!(text, "meta nfproto ipv4"),
        (0, false) => write!(text, "meta nfproto ipv6"),
        (_, true) => write!(text, "ip daddr {}", entry.to),
        (_, false) => write!(text, "ip6 daddr {}", entry.to),
    };
    let protocol = match entry.protocol {
        None => "",
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Icmp) if v4 => "icmp",
        Some(Protocol::Icmp) => "icmpv6",
    };
    let _ = match (protocol, entry.ports) {
        ("", _) => Ok(()),
        (protocol, Some((first, last))) if first == last => write!(text, " {protocol} dport {first}"),
        (protocol, Some((first, last))) => write!(text, " {protocol} dport {first}-{last}"),
        (protocol, None) => write!(text, " meta l4proto {protocol}"),
    };
    text.push_str(" accept\n");
}

/// The names for a comment, which ends at the end of the line.
fn title(profiles: &[Arc<str>]) -> String {
    profiles.join(", ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

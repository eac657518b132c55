//! Plans and rulesets as text; what they do to packets is in `tests/firewall.rs`.

use super::*;

fn plan(config: &str, routes: &[&str]) -> Plan {
    let config = Config::parse(config).unwrap_or_else(|errors| panic!("{errors:?}"));
    Plan::new(&config, &routes.iter().map(|name| Arc::from(*name)).collect())
}

fn rules(config: &str, routes: &[&str]) -> String {
    write(&plan(config, routes))
}

/// The lines of a chain.
fn chain<'a>(rules: &'a str, name: &str) -> Vec<&'a str> {
    let from = rules.lines().skip_while(|line| line.trim() != format!("chain {name} {{"));
    from.skip(1).map(str::trim).take_while(|line| *line != "}").collect()
}

const ISOLATED: &str = "config profile 'iot'\n\toption vlan '20'\n";

#[test]
fn the_whole_ruleset() {
    let config = "config profile 'iot'\n\toption vlan '20'\n\toption access 'internet'\n\tlist allow '192.168.1.10 tcp 443'\n\
                  config profile 'family'\n\toption vlan '30'\n\toption access 'full'\n\toption isolate '0'\n";
    let expected = r#"table inet latchkey {}
delete table inet latchkey
table inet latchkey {
	set wan { type ifname; elements = { "wan" } }
	set special4 { type ipv4_addr; flags interval; elements = { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 } }
	set special6 { type ipv6_addr; flags interval; elements = { ::/96, ::ffff:0:0/96, 64:ff9b::a00:0/104, 64:ff9b::6440:0/106, 64:ff9b::7f00:0/104, 64:ff9b::a9fe:0/112, 64:ff9b::ac10:0/108, 64:ff9b::c0a8:0/112, 2002::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8 } }
	chain prerouting {
		type filter hook prerouting priority filter - 10; policy accept;
		iifname vmap { "brvlan20" : jump source_0 }
	}
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		ct state related accept
		ct state established ct direction reply accept
		iifname vmap { "brvlan20" : goto from_0 }
		iifname @wan oifname vmap { "brvlan20" : goto to_0 }
	}
	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname vmap { "brvlan20" : goto in_0 }
	}
	# DHCP, DNS, IPv6 neighbour discovery and multicast listeners
	chain services {
		meta nfproto ipv4 udp dport 67 accept
		meta nfproto ipv6 udp dport 547 accept
		meta l4proto { tcp, udp } th dport 53 accept
		icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
		icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
	}

	# brvlan20: iot, access internet
	chain from_0 {
		oifname "brvlan20" counter reject with icmpx admin-prohibited
		oifname @wan ip daddr != @special4 accept
		oifname @wan ip6 daddr != @special6 accept
		ip daddr 192.168.1.10 tcp dport 443 accept
		meta pkttype { broadcast, multicast } drop
		counter reject with icmpx admin-prohibited
	}
	chain to_0 {
		ct status dnat accept
		counter drop
	}
	chain in_0 {
		ct state related accept
		ct state established ct direction reply accept
		jump services
		ip daddr 192.168.1.10 tcp dport 443 accept
		meta pkttype { broadcast, multicast } drop
		counter reject with icmpx admin-prohibited
	}
	chain source_0 {
		ip saddr != 0.0.0.0 fib saddr . iif oif missing counter drop
		ip6 saddr != :: fib saddr . iif oif missing counter drop
	}
}
"#;
    assert_eq!(rules(config, &["wan"]), expected);
}

#[test]
fn access_decides_where_to() {
    let isolated = rules(ISOLATED, &["wan"]);
    assert!(chain(&isolated, "from_0").iter().all(|rule| !rule.ends_with("accept")), "{isolated}");
    // What needs no rules gets none.
    let full = "config profile 'family'\n\toption vlan '30'\n\toption access 'full'\n\toption isolate '0'\n";
    let config = Config::parse(full).unwrap();
    assert_eq!(wanted(&config, &SortedSet::new()), None);
    // The devices of a full profile are kept from each other, and from nothing else.
    let apart = rules(&full.replace("isolate '0'", "isolate '1'"), &[]);
    assert_eq!(
        chain(&apart, "from_0"),
        ["oifname \"brvlan30\" counter reject with icmpx admin-prohibited", "accept"],
        "{apart}"
    );
    assert!(chain(&apart, "in_0").is_empty() && chain(&apart, "to_0").is_empty(), "{apart}");
    let off = Config::parse(format!("config latchkey\n\toption firewall 'off'\n{ISOLATED}")).unwrap();
    assert_eq!(wanted(&off, &SortedSet::new()), None);
    assert_eq!(wanted(&Config::parse("config profile 'plain'\n").unwrap(), &SortedSet::new()), None, "no bridge");
}

#[test]
fn the_way_to_the_internet() {
    let wan = |config: &str, routes: &[&str]| {
        let wan = plan(config, routes).wan;
        (wan.interfaces.join(" "), wan.source, wan.passed_over.join(" "))
    };
    let text = |s: &str| s.to_owned();
    assert_eq!(wan(ISOLATED, &["wan", "wwan0"]), (text("wan wwan0"), Source::Routes, text("")));
    assert_eq!(wan(ISOLATED, &[]), (text(""), Source::Routes, text("")));
    let written = format!("config latchkey\n\tlist wan 'pppoe-wan'\n{ISOLATED}");
    assert_eq!(wan(&written, &["eth0"]), (text("pppoe-wan"), Source::Option, text("")));
    // Another profile's network is not the Internet, even when the gateway of this box is there; unless it is said.
    assert_eq!(wan(ISOLATED, &["brvlan20", "eth0"]), (text("eth0"), Source::Routes, text("brvlan20")));
    let written = format!("config latchkey\n\tlist wan 'brvlan20'\n{ISOLATED}");
    assert_eq!(wan(&written, &[]), (text("brvlan20"), Source::Option, text("")));
    // The kernel takes names that would mean something else in a ruleset.
    assert_eq!(wan(ISOLATED, &["a\"b", "eth*", "a\\", "ä", ""]), (text(""), Source::Routes, text("")));
    assert!(rules(ISOLATED, &[]).contains("\tset wan { type ifname; }\n"), "nothing known, nobody let out");
}

#[test]
fn allow_lists_as_rules() {
    let entries = [
        ("192.168.1.10", "ip daddr 192.168.1.10 accept", true),
        ("192.168.1.0/24 tcp 443", "ip daddr 192.168.1.0/24 tcp dport 443 accept", false),
        ("192.168.1.10 udp 5000-5010", "ip daddr 192.168.1.10 udp dport 5000-5010 accept", true),
        ("192.168.1.10 tcp", "ip daddr 192.168.1.10 meta l4proto tcp accept", true),
        ("192.168.1.10 icmp", "ip daddr 192.168.1.10 meta l4proto icmp accept", true),
        ("fd00::7 icmp", "ip6 daddr fd00::7 meta l4proto icmpv6 accept", true),
        ("fd00::/8 tcp 1-65535", "ip6 daddr fd00::/8 tcp dport 1-65535 accept", false),
        ("0.0.0.0/0 udp 123", "meta nfproto ipv4 udp dport 123 accept", false),
        ("::/0", "meta nfproto ipv6 accept", false),
    ];
    let list: String = entries.iter().map(|(entry, ..)| format!("\tlist allow '{entry}'\n")).collect();
    let rules = rules(&format!("{ISOLATED}{list}"), &["wan"]);
    let (from, input) = (chain(&rules, "from_0"), chain(&rules, "in_0"));
    for (entry, rule, opens_this_box) in entries {
        assert!(from.contains(&rule), "{entry}: {rules}");
        assert_eq!(input.contains(&rule), opens_this_box, "{entry}: a block is not meant for this box itself");
    }
}

#[test]
fn of_profiles_on_one_bridge_the_strictest_holds() {
    let one = "config profile 'one'\n\toption vlan '20'\n\toption access 'internet'\n\toption isolate '0'\n\
               \tlist allow '10.0.0.1'\n\tlist allow '10.0.0.2'\n";
    let shared = |other: &str| plan(&format!("{one}config profile 'two'\n\toption vlan '20'\n{other}"), &[]).zones;
    let zone = |access, allow: &[&str], isolate| Zone {
        bridge: "brvlan20".into(),
        profiles: vec!["one".into(), "two".into()],
        access,
        allow: allow.iter().map(|entry| entry.parse().unwrap()).collect(),
        isolate,
        bridged: false,
    };
    let both = ["10.0.0.1", "10.0.0.2"];
    assert_eq!(
        shared("\toption access 'isolated'\n\tlist allow '10.0.0.2'\n"),
        [zone(Access::Isolated, &both[1..], true)]
    );
    assert_eq!(shared("\toption access 'full'\n\toption isolate '0'\n"), [zone(Access::Internet, &both, false)]);
    let reversed = "config profile 'two'\n\toption vlan '20'\n\toption access 'full'\n";
    let zones = plan(&format!("{reversed}{one}"), &[]).zones;
    assert_eq!((zones[0].access, zones[0].allow.len(), zones[0].isolate), (Access::Internet, 2, true));
    // A bridge named by hand is the same bridge.
    let named = plan(&format!("{one}config profile 'two'\n\toption bridge 'brvlan20'\n"), &[]).zones;
    assert_eq!((named.len(), named[0].access), (1, Access::Isolated));
    assert!(named[0].notes(None)[0].contains("one, two share brvlan20"));
}

#[test]
fn a_bridged_access_point_judges_only_what_it_routes() {
    let uplink = "config latchkey\n\toption uplink 'eth0'\n";
    let bridged = plan(&format!("{uplink}{ISOLATED}"), &["br-lan"]);
    let rules = write(&bridged);
    assert_eq!(chain(&rules, "from_0")[0], "oifname \"brvlan20\" accept");
    assert!(!rules.contains("source_0") && rules.contains("goto in_0"), "{rules}");
    assert!(bridged.zones[0].notes(Some("eth0"))[0].contains("leave over eth0"));
    let gateway = plan(&format!("{uplink}{ISOLATED}\tlist address '192.168.20.1/24'\n"), &[]);
    assert!(write(&gateway).contains("jump source_0") && gateway.zones[0].notes(Some("eth0")).is_empty());
}

#[test]
fn in_words() {
    let config = "config profile 'iot'\n\toption vlan '20'\n\toption access 'internet'\n\n\
                  config profile 'cam'\n\toption vlan '30'\nconfig profile 'family'\n\toption vlan '40'\n\toption access 'full'\n";
    let words = |routes: &[&str]| {
        let plan = plan(config, routes);
        plan.zones.iter().map(|zone| zone.may_reach(&plan.wan)).collect::<Vec<_>>()
    };
    assert_eq!(
        words(&["wan"]),
        ["DHCP and DNS here, public addresses over wan", "DHCP and DNS here", "everything but each other"]
    );
    assert!(words(&[])[0].contains("not the Internet"));
}

#[test]
fn what_nft_lists() {
    let listing = "\
table inet latchkey {
	chain from_0 {
		oifname \"brvlan20\" counter packets 2 bytes 120 reject with icmpx admin-prohibited
		counter packets 40 bytes 4000 reject with icmpx admin-prohibited
	}
	chain to_1 {
		ct status dnat accept
		counter packets 7 bytes 420 drop
	}
	chain source_0 {
		counter packets 1 bytes 60
		counter packets nonsense
	}
	chain from_9 {
		counter packets 99 bytes 99 drop
	}
}
";
    let plan = plan("config profile 'a'\n\toption vlan '20'\nconfig profile 'b'\n\toption vlan '30'\n", &[]);
    let dropped = listing::dropped(listing, &plan);
    let of = |bridge: &str| dropped.get(bridge).map(|d| (d.packets, d.bytes));
    assert_eq!((of("brvlan20"), of("brvlan30"), dropped.len()), (Some((43, 4180)), Some((7, 420)), 2));
    let bare = listing::without_counters(listing);
    assert!(bare.contains("\t\toifname \"brvlan20\" counter reject with icmpx admin-prohibited\n"), "{bare}");
    assert!(bare.contains("\t\tcounter drop\n") && bare.contains("\t\tcounter\n") && !bare.contains("bytes"), "{bare}");
    assert_eq!(listing::without_counters(&listing.replace("40 bytes 4000", "41 bytes 4100")), bare);
    assert_ne!(listing::without_counters(&listing.replace("\t\tct status dnat accept\n", "")), bare);
    assert_eq!(listing::without_counters(&bare), bare);
}

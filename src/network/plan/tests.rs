use super::super::{Address, Port};
use super::*;
use crate::config::Config;
use proptest::prelude::*;
use proptest::sample::subsequence;

const MANAGE: &str = "config latchkey 'main'\n\toption bridges 'manage'\n\toption uplink 'eth0'\n";
const PROFILES: &str = "config profile 'iot'\n\toption vlan '20'\n\tlist address '192.168.20.1/24'\n\
                        config profile 'media'\n\toption vlan '30'\n\toption isolate '0'\n\
                        config ssid 'home'\n\toption ssid 'Home'\n";

fn config(text: &str) -> Config {
    Config::parse(text).unwrap()
}

/// Interfaces by numbers and short descriptions: `eth0 up`, `brvlan20 bridge up ours`, `wlan0.20 up in 7`,
/// `eth0.20 vlan 20 on 3`, `isolated`, `quiet` for ports that do not flood.
fn seen(links: &[(u32, &str)]) -> Seen {
    let link = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let has = |word| words.contains(&word);
        let after = |word| words.iter().position(|w| *w == word).map(|at| words[at + 1].parse::<u32>().unwrap());
        let kind = match after("vlan") {
            Some(id) => Kind::Vlan { id: id as u16, parent: after("on").unwrap() },
            None if has("bridge") => Kind::Bridge,
            None => Kind::Other,
        };
        let port = after("in").map(|_| Port { flood: !has("quiet"), isolated: has("isolated") });
        Link { name: words[0].into(), kind, up: has("up"), ours: has("ours"), master: after("in"), port }
    };
    Seen { links: links.iter().map(|(index, text)| (*index, link(text))).collect(), addresses: Vec::new() }
}

fn address(link: u32, text: &str, ours: bool) -> Address {
    Address { link, address: text.parse().unwrap(), ours }
}

fn planned(config: &Config, vlans: &[&str], seen: &Seen, done: &Done) -> (Vec<String>, Vec<String>) {
    let wanted = Wanted::new(config, vlans.iter().map(|name| (*name).into()), seen);
    let plan = plan(&wanted, seen, done);
    let troubles = plan.troubles.iter().map(|(about, why)| format!("{about}: {why}"));
    (plan.ops.iter().map(Op::to_string).collect(), troubles.collect())
}

#[track_caller]
fn assert_plan(config: &Config, vlans: &[&str], seen: &Seen, expected: &[&str]) {
    let (ops, troubles) = planned(config, vlans, seen, &Done::default());
    assert_eq!(ops, expected);
    assert_eq!(troubles, <[String; 0]>::default());
}

#[test]
fn from_nothing() {
    assert_plan(
        &config(&format!("{MANAGE}{PROFILES}")),
        &["wlan0.20", "wlan1.30"],
        &seen(&[(1, "lo up"), (2, "eth0"), (5, "wlan0 up"), (6, "wlan0.20 up"), (7, "wlan1.30")]),
        &[
            "make bridge brvlan20",
            "switch on brvlan20",
            "give brvlan20 the address 192.168.20.1/24",
            "switch on eth0",
            "make VLAN interface eth0.20",
            "put eth0.20 into brvlan20",
            "switch on eth0.20",
            "make bridge brvlan30",
            "switch on brvlan30",
            "make VLAN interface eth0.30",
            "put eth0.30 into brvlan30",
            "switch on eth0.30",
            "put wlan0.20 into brvlan20",
            "have wlan0.20 not flood and be isolated",
            "put wlan1.30 into brvlan30",
            "switch on wlan1.30",
            "have wlan1.30 not flood",
        ],
    );
}

#[test]
fn what_is_right_is_left_alone() {
    let mut seen = seen(&[
        (2, "eth0 up"),
        (3, "brvlan20 bridge up ours"),
        (4, "eth0.20 vlan 20 on 2 up ours in 3"),
        (5, "brvlan30 bridge up"),
        (6, "eth0.30 vlan 30 on 2 up in 5"),
        (7, "wlan0.20 up in 3 quiet isolated"),
        // Isolated by somebody else: that stays.
        (8, "wlan1.30 up in 5 quiet isolated"),
        (9, "docker0 bridge up"),
    ]);
    seen.addresses =
        vec![address(3, "192.168.20.1/24", true), address(3, "10.9.9.9/32", false), address(2, "10.0.0.2/8", false)];
    assert_plan(&config(&format!("{MANAGE}{PROFILES}")), &["wlan0.20", "wlan1.30"], &seen, &[]);
}

#[test]
fn what_others_changed_is_mended() {
    let mut seen = seen(&[
        (2, "eth0 up"),
        (3, "brvlan20 bridge ours"),
        (4, "eth0.20 vlan 20 on 2 ours"),
        (5, "brvlan30 bridge up"),
        (6, "eth0.30 vlan 30 on 2 up in 5"),
        (7, "wlan0.20 up in 5 quiet isolated"),
        (8, "wlan1.20 up in 3 quiet"),
    ]);
    seen.addresses = vec![address(3, "192.168.20.1/25", true)];
    assert_plan(
        &config(&format!("{MANAGE}{PROFILES}")),
        &["wlan0.20", "wlan1.20"],
        &seen,
        &[
            "remove address 192.168.20.1/25 from brvlan20",
            "switch on brvlan20",
            "give brvlan20 the address 192.168.20.1/24",
            "switch on eth0.20",
            "put eth0.20 into brvlan20",
            "put wlan0.20 into brvlan20",
            "have wlan0.20 not flood and be isolated",
            "have wlan1.20 be isolated",
        ],
    );
}

#[test]
fn bridges_of_others_are_left_but_their_ports_do_not_leak() {
    assert_plan(
        &config(PROFILES),
        &["wlan0.20", "wlan0.30", "wlan0-tv", "wlan0-iot", "wlan1.20"],
        &seen(&[
            (3, "brvlan20 bridge"),
            (5, "br-lan bridge"),
            (6, "wlan0.20 up in 3"),
            (7, "wlan0.30 up in 5"),
            (8, "wlan0-tv in 5 quiet"),
            // No number in its name, but the bridge of a profile.
            (9, "wlan0-iot in 3 quiet"),
            (10, "wlan1.20 up"),
        ]),
        &["have wlan0-iot be isolated", "have wlan0.20 not flood and be isolated", "have wlan0.30 not flood"],
    );
}

#[test]
fn what_is_not_wanted_any_more_goes_and_nothing_else() {
    let mut seen = seen(&[
        (2, "eth0 up"),
        (3, "brvlan20 bridge up ours"),
        (4, "eth0.20 vlan 20 on 2 up ours in 3"),
        (5, "br-lan bridge up"),
        (6, "eth0.30 vlan 30 on 2 up in 5"),
        (7, "wlan0.20 up in 3 quiet"),
        (8, "wlan0.30 up in 5 quiet"),
        (9, "latchkey.new bridge"),
        (10, "tap0 up ours in 5"),
    ]);
    // The first goes with its bridge.
    seen.addresses =
        vec![address(3, "192.168.20.1/24", true), address(5, "192.168.30.1/24", true), address(5, "10.0.0.1/8", false)];
    let done = Done { joined: [(7, 3), (8, 5)].into(), ..Done::default() };
    let plan = plan(&Wanted::default(), &seen, &done);
    let ops: Vec<String> = plan.ops.iter().map(Op::to_string).collect();
    let expected = [
        "take wlan0.30 out of its bridge",
        "remove address 192.168.30.1/24 from br-lan",
        "remove eth0.20",
        "remove brvlan20",
        "remove latchkey.new",
    ];
    assert_eq!(ops, expected);
}

#[test]
fn a_vlan_of_another_uplink_is_made_anew() {
    let text = format!("{MANAGE}{PROFILES}").replace("eth0", "eth1");
    let here =
        [(2, "eth0 up"), (3, "brvlan20 bridge up ours"), (4, "eth0.20 vlan 20 on 2 up ours in 3"), (5, "eth1 up")];
    let (ops, _) = planned(&config(&text), &[], &seen(&here), &Done::default());
    assert_eq!(ops[..2], ["remove eth0.20", "give brvlan20 the address 192.168.20.1/24"]);
    assert_eq!(ops[2..4], ["make VLAN interface eth1.20", "put eth1.20 into brvlan20"]);
    // Somebody gave the right name to the wrong one, and it is ours: as if it were not there.
    let here = [(2, "eth1 up"), (4, "eth1.20 vlan 7 on 2 up ours")];
    let (ops, troubles) = planned(&config(&text), &[], &seen(&here), &Done::default());
    assert_eq!(ops.iter().filter(|op| op.contains("eth1.20")).count(), 4, "{ops:?}");
    assert!(troubles.is_empty());
}

#[test]
fn what_cannot_be_is_said() {
    let text = format!("{MANAGE}{PROFILES}").replace("eth0", "trunk");
    let here = seen(&[(3, "brvlan20 up"), (7, "wlan0.20 up in 9"), (9, "br-lan bridge")]);
    let (ops, troubles) = planned(&config(&text), &["wlan0.20"], &here, &Done::default());
    assert_eq!(ops, ["make bridge brvlan30", "switch on brvlan30", "have wlan0.20 not flood and be isolated"]);
    let expected = [
        "bridge brvlan20: there is an interface of this name that is no bridge: name another in option bridge",
        "uplink trunk: there is no such interface: the VLANs of the profiles end on this box (option uplink)",
    ];
    assert_eq!(troubles, expected);

    let both = format!(
        "{MANAGE}{PROFILES}config profile 'tv'\n\toption vlan '20'\n\toption bridge 'br-tv'\n\
                        config profile 'pc'\n\toption vlan '40'\n\toption bridge 'brvlan30'\n"
    );
    let (ops, troubles) = planned(&config(&both), &[], &seen(&[(2, "eth0 up")]), &Done::default());
    assert!(!ops.iter().any(|op| op.contains("br-tv") || op.contains("40")), "{ops:?}");
    let expected = [
        "bridge br-tv: profile tv has the VLAN of bridge brvlan20: give both the same bridge",
        "bridge brvlan30: it is that of another VLAN than profile pc has: give each a bridge of its own",
    ];
    assert_eq!(troubles, expected);

    let here = seen(&[(2, "eth0 up"), (4, "eth0.20 vlan 20 on 2 up in 9"), (5, "eth0.30 up"), (9, "br-x bridge")]);
    let (ops, troubles) = planned(&config(&format!("{MANAGE}{PROFILES}")), &[], &here, &Done::default());
    assert!(!ops.iter().any(|op| op.contains("eth0")), "{ops:?}");
    assert!(troubles[0].starts_with("uplink eth0.20: it belongs to another bridge"), "{troubles:?}");
    assert!(troubles[1].starts_with("uplink eth0.30: there is an interface of this name that is not VLAN 30 of eth0"));

    let long = format!("{MANAGE}{PROFILES}").replace("eth0", "enp0s20f0u12c2");
    let (_, troubles) = planned(&config(&long), &[], &seen(&[(2, "enp0s20f0u12c2 up")]), &Done::default());
    assert!(troubles[0].contains("rename enp0s20f0u12c2 to 10 octets or less"), "{troubles:?}");
}

#[test]
fn isolation_of_ours_ends_with_the_option() {
    let here = seen(&[(3, "brvlan30 bridge up"), (7, "wlan0.30 up in 3 quiet isolated")]);
    let done = Done { isolated: [7].into(), ..Done::default() };
    let (ops, _) = planned(&config(PROFILES), &["wlan0.30"], &here, &done);
    assert_eq!(ops, ["have wlan0.30 not be isolated"]);
}

/// What the kernel makes of a step.
fn carry_out(op: &Op, seen: &mut Seen, done: &mut Done) {
    let index = |seen: &Seen, name: &str| seen.link(name).expect("an interface that is there").0;
    let next = seen.links.keys().max().map_or(1, |last| last + 1);
    let made =
        |name: &Arc<str>, kind| Link { name: name.clone(), kind, up: false, ours: true, master: None, port: None };
    match op {
        Op::MakeBridge(name) | Op::MakeVlan { name, .. } => {
            assert!(seen.link(name).is_none(), "{name} is there");
            let kind = match op {
                Op::MakeVlan { parent, vlan, .. } => Kind::Vlan { id: *vlan, parent: index(seen, parent) },
                _ => Kind::Bridge,
            };
            seen.links.insert(next, made(name, kind));
        }
        Op::RemoveLink(name) => {
            let gone = index(seen, name);
            let on_it = |link: &Link| matches!(link.kind, Kind::Vlan { parent, .. } if parent == gone);
            seen.links.retain(|at, link| *at != gone && !on_it(link));
            for link in seen.links.values_mut().filter(|link| link.master == Some(gone)) {
                (link.master, link.port) = (None, None);
            }
            let links = &seen.links;
            seen.addresses.retain(|address| links.contains_key(&address.link));
        }
        Op::SetUp(name) => {
            let at = index(seen, name);
            if let Kind::Vlan { parent, .. } = seen.links[&at].kind
                && name.starts_with("eth0.")
            {
                assert!(seen.links[&parent].up, "ENETDOWN");
            }
            seen.links.get_mut(&at).unwrap().up = true;
        }
        Op::Join { port, bridge } => {
            let (port, bridge) = (index(seen, port), index(seen, bridge));
            assert_eq!(seen.links[&bridge].kind, Kind::Bridge);
            let link = seen.links.get_mut(&port).unwrap();
            (link.master, link.port) = (Some(bridge), Some(Port { flood: true, isolated: false }));
            done.joined.retain(|(joined, _)| *joined != port);
            done.joined.push((port, bridge));
        }
        Op::Release(port) => {
            let at = index(seen, port);
            let link = seen.links.get_mut(&at).unwrap();
            (link.master, link.port) = (None, None);
            done.joined.retain(|(joined, _)| *joined != at);
        }
        Op::SetPort { port, flood, isolated } => {
            let at = index(seen, port);
            let port = seen.links.get_mut(&at).unwrap().port.as_mut().expect("a port");
            port.flood = flood.unwrap_or(port.flood);
            port.isolated = isolated.unwrap_or(port.isolated);
            if *isolated == Some(true) {
                done.isolated.push(at);
            }
        }
        Op::AddAddress(name, address) => {
            let link = index(seen, name);
            seen.addresses.push(Address { link, address: *address, ours: true });
        }
        Op::RemoveAddress(name, address) => {
            let link = index(seen, name);
            seen.addresses.retain(|a| (a.link, a.address) != (link, *address));
        }
    }
}

fn any_link() -> impl Strategy<Value = (Kind, bool, bool, Option<usize>, bool, bool)> {
    let kind = prop_oneof![
        Just(Kind::Other),
        Just(Kind::Bridge),
        (prop_oneof![Just(20u16), Just(30)], 0u32..8).prop_map(|(id, parent)| Kind::Vlan { id, parent })
    ];
    (kind, any::<bool>(), any::<bool>(), proptest::option::of(0usize..8), any::<bool>(), any::<bool>())
}

proptest! {
    /// Whatever there is and whatever is wanted: after the plan there is nothing left to do, nothing of others is removed
    /// on the way, and afterwards all can be undone in the same manner.
    #[test]
    fn a_plan_is_enough_and_touches_nothing_of_others(
        there in subsequence(vec!["eth0", "eth1", "brvlan20", "brvlan30", "eth0.20", "eth0.30", "wlan0.20", "wlan0.30"], 0..=8),
        links in proptest::collection::vec(any_link(), 8),
        addresses in proptest::collection::vec((0u32..8, 0u8..4, any::<bool>()), 0..6),
        wants in subsequence(vec!["20", "30"], 0..=2),
        manage: bool,
        leave_later: bool,
    ) {
        let mut here = Seen::default();
        for (at, name) in there.iter().enumerate() {
            let (kind, up, ours, master, flood, isolated) = links[at];
            // Masters are bridges. What is removed takes no VLANs of its own with it.
            let plain = |index: &u32| here.links.get(index).is_some_and(|link: &Link| link.kind == Kind::Other);
            let kind = match kind {
                Kind::Vlan { parent, .. } if !plain(&parent) => Kind::Other,
                other => other,
            };
            let master = master.filter(|m| *m < at && here.links[&(*m as u32)].kind == Kind::Bridge).map(|m| m as u32);
            let port = master.map(|_| Port { flood, isolated });
            here.links.insert(at as u32, Link { name: (*name).into(), kind, up, ours, master, port });
        }
        for (link, last, ours) in addresses {
            let address: HostAddress = format!("192.168.20.{}/24", last + 1).parse().unwrap();
            if here.links.contains_key(&link) && !here.addresses.iter().any(|a| (a.link, a.address) == (link, address)) {
                here.addresses.push(Address { link, address, ours });
            }
        }
        let mut text = if manage { MANAGE.to_owned() } else { String::new() };
        for vlan in &wants {
            text += &format!("config profile 'p{vlan}'\n\toption vlan '{vlan}'\n\tlist address '192.168.20.1/24'\n");
        }
        let config = config(&text);
        let before = here.clone();
        let mut done = Done::default();
        let vlans = || ["wlan0.20", "wlan0.30"].map(Arc::from);
        let first = plan(&Wanted::new(&config, vlans(), &here), &here, &done);
        for op in &first.ops {
            carry_out(op, &mut here, &mut done);
        }
        done.forget(&here);
        let again = plan(&Wanted::new(&config, vlans(), &here), &here, &done);
        prop_assert_eq!(again.ops, vec![], "after {:?}", first.ops);

        let end = if leave_later { Wanted::new(&Config::parse("").unwrap(), vlans(), &here) } else { Wanted::default() };
        let last = plan(&end, &here, &done);
        for op in &last.ops {
            carry_out(op, &mut here, &mut done);
        }
        done.forget(&here);
        prop_assert_eq!(plan(&end, &here, &done).ops, vec![], "after {:?}", last.ops);
        let ours = |link: &Link| link.ours && link.kind != Kind::Other;
        prop_assert_eq!(here.links.values().filter(|link| ours(link)).count(), 0);
        prop_assert_eq!(here.addresses.iter().filter(|address| address.ours).count(), 0);
        for (index, link) in before.links.iter().filter(|(_, link)| !ours(link)) {
            // With an interface of ours go the VLANs that others made on it.
            let on_ours = matches!(link.kind, Kind::Vlan { parent, .. } if !here.links.contains_key(&parent));
            prop_assert!(here.links.contains_key(index) || on_ours, "{} is gone", link.name);
        }
        for address in before.addresses.iter().filter(|address| !address.ours && here.links.contains_key(&address.link)) {
            prop_assert!(here.addresses.contains(address), "{address:?} is gone");
        }
    }
}

//! What the firewall does to real packets: the daemon and nft on this kernel, with stations, a LAN and the Internet in
//! network namespaces of their own. As root.

mod netns;
mod support;

use netns::{Network, inside, ip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Daemon, Home, eventually};

/// The profiles of the matrix, and the number in their VLAN and addresses.
const PROFILES: [(&str, u16); 5] =
    [("internet", 20), ("isolated", 30), ("full", 40), ("isolated + list", 50), ("internet + list", 55)];

/// What both lists allow: each line opens one destination below and nothing beside it.
const ALLOW: &str = "\tlist allow '192.168.1.20 tcp 443'\n\tlist allow '192.168.1.20 udp 443'\n\
                     \tlist allow '2001:db8:1::20 tcp 443'\n\tlist allow '2001:db8:1::20 udp 443'\n\
                     \tlist allow '192.168.100.0/24 udp 5000-5010'\n\tlist allow 'fd99::/64 udp 5000-5010'\n\
                     \tlist allow '192.168.1.1 tcp 8080'\n\tlist allow '2001:db8:1::1 tcp 8080'\n";

fn profiles() -> String {
    let vlan = |name: &str, vlan: u16, access: &str, more: &str| {
        format!("config profile '{name}'\n\toption vlan '{vlan}'\n\toption access '{access}'\n{more}")
    };
    [
        vlan("internet", 20, "internet", ""),
        vlan("isolated", 30, "isolated", ""),
        vlan("full", 40, "full", ""),
        vlan("list", 50, "isolated", ALLOW),
        vlan("internetlist", 55, "internet", ALLOW),
        vlan("other", 60, "isolated", ""),
    ]
    .concat()
}

/// A home whose daemon enforces these profiles.
fn home(profiles: &str, main: &str) -> Home {
    let home = Home::new();
    configure(&home, profiles, main);
    home
}

fn configure(home: &Home, profiles: &str, main: &str) {
    let dir = home.path("");
    let dir = dir.display();
    let text = format!(
        "config latchkey 'main'\n\toption state_dir '{dir}/state'\n\toption control_socket '{dir}/control.sock'\n\
         \toption auth_listen '127.0.0.1:1812'\n\toption acct_listen '127.0.0.1:1813'\n\toption hostapd_dir '{dir}/hostapd'\n\
         {main}{profiles}"
    );
    fs::write(home.path("config"), text).unwrap();
}

const WAN: &str = "\tlist wan 'wan0'\n";

/// Starts the daemon on the gateway and waits until its limits are in force.
fn enforce(network: &Network, home: &Home) -> Daemon {
    let daemon = inside(&network.gateway, || home.spawn());
    eventually("the limits are in force", || {
        home.call("firewall_show", json!({})).ok()?["in_kernel"].as_bool()?.then_some(())
    });
    daemon
}

/// Runs nft on the gateway with a ruleset.
fn nft(network: &Network, ruleset: &str) {
    let output = inside(&network.gateway, || {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nft (package nftables) is installed by make test");
        child.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{}\n{ruleset}", String::from_utf8_lossy(&output.stderr));
}

/// The table as the gateway's kernel has it, without counters; empty when it has none.
fn table(network: &Network) -> String {
    let output = inside(&network.gateway, || {
        Command::new("nft").args(["-s", "list", "table", "inet", "latchkey"]).output().unwrap()
    });
    String::from_utf8(output.stdout).unwrap()
}

/// Where stations try to get to. `V` stands for the number of their own VLAN.
struct Column {
    name: &'static str,
    v4: &'static str,
    v6: &'static str,
    protocol: Protocol,
    port: u16,
    /// Who gets there, in the order of [`PROFILES`]: `+` or `.`.
    expected: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Udp,
    Tcp,
}
use Protocol::{Tcp, Udp};

const fn column(
    name: &'static str,
    v4: &'static str,
    v6: &'static str,
    protocol: Protocol,
    port: u16,
    expected: &'static str,
) -> Column {
    Column { name, v4, v6, protocol, port, expected }
}

/// The matrix. Rows of `expected`: internet, isolated, full, isolated + list, internet + list.
const COLUMNS: &[Column] = &[
    column("other VLAN", "10.0.60.12", "2001:db8:60::12", Udp, 9000, "..+.."),
    column("other VLAN", "10.0.60.12", "2001:db8:60::12", Tcp, 9000, "..+.."),
    // Routed back by the gateway: the way around the isolation of the bridge's ports.
    column("same VLAN", "10.0.V.12", "2001:db8:V::12", Udp, 9000, "....."),
    column("same VLAN", "10.0.V.12", "2001:db8:V::12", Tcp, 9000, "....."),
    column("gateway DNS", "10.0.V.1", "2001:db8:V::1", Udp, 53, "+++++"),
    column("gateway DNS", "10.0.V.1", "2001:db8:V::1", Tcp, 53, "+++++"),
    column("gateway DHCP", "255.255.255.255", "ff02::1:2", Udp, 67, "+++++"),
    column("gateway SSH", "10.0.V.1", "2001:db8:V::1", Tcp, 22, "..+.."),
    column("gateway SNMP", "10.0.V.1", "2001:db8:V::1", Udp, 161, "..+.."),
    column("gateway's LAN address, HTTP", "192.168.1.1", "2001:db8:1::1", Tcp, 80, "..+.."),
    column("gateway's LAN address, DNS", "192.168.1.1", "2001:db8:1::1", Udp, 53, "+++++"),
    column("gateway's LAN address, allowed", "192.168.1.1", "2001:db8:1::1", Tcp, 8080, "..+++"),
    column("gateway's WAN address, HTTP", "203.0.113.2", "2001:db8:ffff::2", Tcp, 80, "..+.."),
    column("LAN host", "192.168.1.20", "2001:db8:1::20", Udp, 9000, "..+.."),
    column("LAN host", "192.168.1.20", "2001:db8:1::20", Tcp, 9000, "..+.."),
    column("LAN host, allowed", "192.168.1.20", "2001:db8:1::20", Udp, 443, "..+++"),
    column("LAN host, allowed", "192.168.1.20", "2001:db8:1::20", Tcp, 443, "..+++"),
    column("outside, private address", "192.168.100.10", "fd99::10", Udp, 9000, "..+.."),
    column("outside, private address", "192.168.100.10", "fd99::10", Tcp, 9000, "..+.."),
    column("outside, private, allowed", "192.168.100.10", "fd99::10", Udp, 5005, "..+++"),
    column("outside, public address", "203.0.113.10", "2001:db8:ffff::10", Udp, 9000, "+.+.+"),
    column("outside, public address", "203.0.113.10", "2001:db8:ffff::10", Tcp, 9000, "+.+.+"),
];

/// What comes in: new connections to the stations.
const INBOUND: &[(&str, bool, &str)] =
    &[("from outside, public address", true, "..+.."), ("from the LAN", false, "+++++")];

#[test]
fn the_matrix_from_real_packets() {
    let network = Network::new(&[20, 30, 40, 50, 55, 60]);
    let home = home(&profiles(), WAN);
    // Without the limits everything arrives: what does not later is their doing.
    let before = measure(&network);
    let closed: Vec<_> = before.iter().filter(|(_, arrived)| !arrived.is_all()).collect();
    assert!(closed.is_empty(), "the network itself is broken: {closed:?}");
    let _daemon = enforce(&network, &home);
    let after = measure(&network);

    let mut text = String::from(
        "What arrived, of real packets (+ both IPv4 and IPv6, 4 or 6 only that, . neither), and what was expected.\n\
         The ports of one VLAN are isolated by hand (bridge link ... isolated on), as the plumbing does it.\n\n",
    );
    let _ = write!(text, "{:<42}", "to");
    for (name, _) in PROFILES {
        let _ = write!(text, "{name:<18}");
    }
    text.push('\n');
    let mut wrong = 0;
    let mut line = |text: &mut String, title: String, expected: &str, arrived: &dyn Fn(usize) -> Arrived| {
        let _ = write!(text, "{title:<42}");
        for (row, wanted) in expected.chars().enumerate() {
            let arrived = arrived(row);
            let mark = if arrived.word() == wanted.to_string() { "" } else { " WRONG" };
            wrong += usize::from(!mark.is_empty());
            let _ = write!(text, "{:<18}", format!("{}{mark}", arrived.word()));
        }
        text.push('\n');
    };
    for (index, column) in COLUMNS.iter().enumerate() {
        let title = format!("{} ({:?} {})", column.name, column.protocol, column.port).to_lowercase();
        line(&mut text, title, column.expected, &|row| after[&(row, index, false)]);
    }
    for (index, (name, _, expected)) in INBOUND.iter().enumerate() {
        line(&mut text, format!("{name} (udp 9000)"), expected, &|row| after[&(row, index, true)]);
    }
    let shown = String::from_utf8(home.latchkey(&["firewall", "show"]).stdout).unwrap();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("firewall-matrix.txt");
    fs::write(&file, format!("{text}\n{shown}")).unwrap();
    println!("{text}\n{shown}");
    assert_eq!(wrong, 0, "see {}:\n{text}", file.display());

    // What was dropped is counted, in the right place.
    let show = home.call("firewall_show", json!({})).unwrap();
    let dropped = |name: &str| {
        let profile = show["profiles"].as_array().unwrap().iter().find(|profile| profile["profile"] == name).unwrap();
        profile["dropped"]["packets"].as_u64().unwrap_or(0)
    };
    assert!(dropped("isolated") > dropped("list") && dropped("list") > dropped("internetlist"), "{show}");
    assert!(dropped("other") == 0, "{show}");
}

/// What arrived of the tries of one cell.
#[derive(Clone, Copy, Default, Debug)]
struct Arrived {
    v4: bool,
    v6: bool,
}

impl Arrived {
    fn is_all(self) -> bool {
        self.v4 && self.v6
    }

    fn word(self) -> String {
        match (self.v4, self.v6) {
            (true, true) => "+",
            (true, false) => "4",
            (false, true) => "6",
            (false, false) => ".",
        }
        .into()
    }
}

/// Sends everything of the matrix, from every profile, and counts what arrives at the receivers. By profile and column,
/// and whether it is one of [`INBOUND`].
fn measure(network: &Network) -> BTreeMap<(usize, usize, bool), Arrived> {
    let receivers = netns::Receivers::start(network);
    let mut tries = Vec::new();
    for (row, (_, vlan)) in PROFILES.iter().enumerate() {
        for (index, column) in COLUMNS.iter().enumerate() {
            for v6 in [false, true] {
                let to = if v6 { column.v6 } else { column.v4 };
                // DHCPv6 has a port of its own.
                let port = if v6 && column.port == 67 { 547 } else { column.port };
                let to = to.replace('V', &vlan.to_string());
                tries.push(((row, index, false, v6), network.station(*vlan).to_owned(), to, column.protocol, port));
            }
        }
        for (index, (_, outside, _)) in INBOUND.iter().enumerate() {
            for v6 in [false, true] {
                let from = if *outside { &network.outside } else { &network.lan };
                let to = if v6 { format!("2001:db8:{vlan}::11") } else { format!("10.0.{vlan}.11") };
                tries.push(((row, index, true, v6), from.clone(), to, Udp, 9000));
            }
        }
    }
    let mut result: BTreeMap<(usize, usize, bool), Arrived> = BTreeMap::new();
    let mut tcp = Vec::new();
    for (number, (_, from, to, protocol, port)) in tries.iter().enumerate() {
        let token = format!("try {number}");
        match protocol {
            Udp => netns::send(from, to, *port, &token),
            Tcp => tcp.push((from.clone(), to.clone(), *port, token)),
        }
    }
    netns::connect_all(&tcp);
    // What was on its way is there by now.
    std::thread::sleep(Duration::from_millis(500));
    for (number, ((row, index, inbound, v6), ..)) in tries.iter().enumerate() {
        let cell = result.entry((*row, *index, *inbound)).or_default();
        let arrived = receivers.count(&format!("try {number}")) > 0;
        *(if *v6 { &mut cell.v6 } else { &mut cell.v4 }) = arrived;
    }
    result
}

/// Whether a datagram from one namespace arrives at an address on port 9000.
fn passes(network: &Network, from: &str, to: &str) -> bool {
    let receivers = netns::Receivers::start(network);
    netns::send(from, to, 9000, "one");
    netns::send(from, to, 9000, "two");
    let until = Instant::now() + Duration::from_millis(400);
    while Instant::now() < until {
        if receivers.count("one") > 0 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

const PUBLIC: &str = "203.0.113.10";
const LAN_HOST: &str = "192.168.1.20";

#[test]
fn a_device_cannot_send_in_the_name_of_another_network() {
    let network = Network::new(&[20, 40]);
    let home = home(&profiles(), WAN);
    let _daemon = enforce(&network, &home);
    let station = network.station(20);
    assert!(passes(&network, station, PUBLIC), "with its own address");
    for address in ["192.168.1.99/32", "10.0.40.99/32", "198.51.100.9/32", "2001:db8:40::99/128"] {
        netns::ip(station, &format!("address add {address} dev eth0 nodad"));
    }
    for (from, to) in [
        ("192.168.1.99", PUBLIC),
        ("10.0.40.99", PUBLIC),
        ("198.51.100.9", PUBLIC),
        ("2001:db8:40::99", "2001:db8:ffff::10"),
    ] {
        let receivers = netns::Receivers::start(&network);
        netns::send_from(station, from, to, 9000, "spoofed");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(receivers.count("spoofed"), 0, "{from}");
    }
}

#[test]
fn devices_are_told_why_nothing_comes_back() {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, PermissionDenied};
    let network = Network::new(&[20]);
    let home = home(&profiles(), WAN);
    let _daemon = enforce(&network, &home);
    let station = network.station(20);
    // Errors about what they may send come from where it went to, which path MTU discovery depends on.
    for outside in [PUBLIC, "2001:db8:ffff::10"] {
        assert_eq!(netns::error_for(station, outside, 7), Some(ConnectionRefused), "{outside}");
    }
    // What they may not send is refused, so that they do not wait for it.
    for (to, expected) in [
        (LAN_HOST, HostUnreachable),
        ("10.0.20.1", HostUnreachable),
        ("2001:db8:1::20", PermissionDenied),
        ("2001:db8:20::1", PermissionDenied),
    ] {
        assert_eq!(netns::error_for(station, to, 7), Some(expected), "{to}");
    }
    // The outside world is told nothing.
    assert_eq!(netns::error_for(&network.outside, "10.0.20.11", 7), None);
}

#[test]
fn other_tables_keep_their_say() {
    let network = Network::new(&[20, 40]);
    let home = home(&profiles(), WAN);
    let _daemon = enforce(&network, &home);
    let (station, full) = (network.station(20), network.station(40));
    // As fw4: a forward chain that drops, but for what its zones let through.
    let fw4 = |verdict: &str| {
        format!(
            "table inet fw4 {{}}\nflush table inet fw4\ntable inet fw4 {{\n chain forward {{ type filter hook forward \
             priority filter; policy drop;\n ct state established,related accept\n {verdict}\n }}\n }}\n"
        )
    };
    nft(&network, &fw4(""));
    assert!(!passes(&network, station, PUBLIC), "what ours lets through, fw4 may drop");
    let before = table(&network);
    nft(&network, &fw4("accept"));
    assert!(passes(&network, station, PUBLIC));
    assert!(!passes(&network, station, LAN_HOST), "what fw4 accepts, ours drops");
    assert!(passes(&network, full, LAN_HOST));
    nft(&network, "flush table inet fw4");
    nft(&network, &fw4("accept"));
    assert_eq!(table(&network), before, "fw4's reload does not touch it");
    assert!(passes(&network, station, PUBLIC) && !passes(&network, station, LAN_HOST));
    // Port forwards are the administrator's word.
    nft(
        &network,
        "table ip nat { chain pre { type nat hook prerouting priority dstnat; iifname \"wan0\" udp dport 9100 dnat to \
         10.0.20.11:9000\n }\n }\n",
    );
    let receivers = netns::Receivers::start(&network);
    netns::send(&network.outside, "203.0.113.2", 9100, "forwarded");
    eventually("a port forward reaches the station", || (receivers.count("forwarded") > 0).then_some(()));
}

#[test]
fn a_table_that_others_remove_or_change_is_put_back() {
    let network = Network::new(&[20]);
    let home = home(&profiles(), WAN);
    let _daemon = enforce(&network, &home);
    let station = network.station(20).to_owned();
    let sound = table(&network);
    for (number, damage) in [
        "delete table inet latchkey",
        "flush table inet latchkey",
        "flush ruleset",
        "insert rule inet latchkey forward accept",
        "add element inet latchkey wan { \"lan0\" }",
        "delete chain inet latchkey prerouting",
    ]
    .iter()
    .enumerate()
    {
        nft(&network, damage);
        let hurt = Instant::now();
        eventually(damage, || (table(&network) == sound).then_some(()));
        let took = hurt.elapsed();
        println!("{damage}: put back after {} ms", took.as_millis());
        assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 }), "{damage}: {took:?}");
        eventually("it is counted", || {
            (home.call("firewall_show", json!({})).unwrap()["repaired"] == number + 1).then_some(())
        });
    }
    assert!(!passes(&network, &station, LAN_HOST) && passes(&network, &station, PUBLIC));
    assert!(home.log().contains("it is put back"), "{}", home.log());
    // Busy neighbours are not worth a look.
    for _ in 0..20 {
        nft(
            &network,
            "table inet fw4 {\n chain forward {\n type filter hook forward priority filter\n }\n }\ndelete table inet fw4",
        );
    }
    assert_eq!(home.call("firewall_show", json!({})).unwrap()["repaired"], 6);
}

#[test]
fn limits_change_without_a_gap_and_outlive_the_daemon() {
    let network = Network::new(&[20]);
    let home = home(&profiles(), WAN);
    let daemon = enforce(&network, &home);
    let station = network.station(20).to_owned();
    // A flood that must never get through, and one that must always, while the table is replaced again and again.
    let receivers = netns::Receivers::start(&network);
    let flood = netns::Flood::start(&station, &[(LAN_HOST, "never"), (PUBLIC, "always")]);
    for round in 0..10 {
        let more = format!("config profile 'extra'\n\toption vlan '{}'\n", 100 + round);
        configure(&home, &format!("{}{more}", profiles()), WAN);
        daemon.signal(Signal::SIGHUP);
        let bridge = format!("brvlan{}", 100 + round);
        eventually("the new table is in force", || table(&network).contains(&bridge).then_some(()));
    }
    daemon.kill();
    assert!(!table(&network).is_empty(), "limits outlive a daemon that is killed");
    let daemon = enforce(&network, &home);
    assert!(daemon.terminate().success());
    assert!(!table(&network).is_empty(), "and one that stops");
    let sent = flood.stop();
    std::thread::sleep(Duration::from_millis(500));
    println!("{sent} datagrams each; {} arrived outside", receivers.count("always"));
    assert!(sent > 100, "{sent}");
    assert_eq!(receivers.count("never"), 0, "of {sent}");
    assert_eq!(receivers.count("always"), sent, "none is lost");
    drop(receivers);

    let removed = inside(&network.gateway, || home.latchkey(&["firewall", "remove"]));
    assert!(removed.status.success(), "{removed:?}");
    assert!(table(&network).is_empty() && passes(&network, &station, LAN_HOST));
}

fn firewall_shows(home: &Home, words: &str) -> bool {
    String::from_utf8(home.latchkey(&["firewall", "show"]).stdout).unwrap().contains(words)
}

#[test]
fn tightened_limits_hold_for_connections_that_are_open() {
    let network = Network::new(&[20]);
    let home = home(&profiles(), WAN);
    let daemon = enforce(&network, &home);
    let station = network.station(20).to_owned();
    let talk = netns::Talk::open(&station, &network.outside, PUBLIC);
    assert!(talk.answers("before"));
    configure(&home, &profiles().replace("'20'\n\toption access 'internet'", "'20'\n\toption access 'isolated'"), WAN);
    daemon.signal(Signal::SIGHUP);
    eventually("the connection is cut", || (!talk.answers("after")).then_some(()));
    configure(&home, &profiles(), WAN);
    daemon.signal(Signal::SIGHUP);
    eventually("and goes on", || talk.answers("again").then_some(()));
    // Where the way out is not in the configuration, the default routes tell; without any, nobody gets out.
    configure(&home, &profiles(), "");
    daemon.signal(Signal::SIGHUP);
    eventually("the default route tells", || firewall_shows(&home, "default routes").then_some(()));
    assert!(talk.answers("by the default route"));
    ip(&network.gateway, "route del default");
    ip(&network.gateway, "-6 route del default");
    eventually("no way is known", || (!talk.answers("nowhere")).then_some(()));
    let shown = String::from_utf8(home.latchkey(&["firewall", "show"]).stdout).unwrap();
    assert!(shown.contains("no way is known"), "{shown}");
    // Switched off, the table goes; the daemon that does not enforce lets it be removed, and says so.
    let refused = inside(&network.gateway, || home.latchkey(&["firewall", "remove"]));
    assert_eq!(refused.status.code(), Some(1));
    configure(&home, &profiles(), "\toption firewall 'off'\n");
    daemon.signal(Signal::SIGHUP);
    eventually("the table is gone", || table(&network).is_empty().then_some(()));
    let shown = String::from_utf8(home.latchkey(&["firewall", "show"]).stdout).unwrap();
    assert!(shown.starts_with("Off") && shown.contains("not enforced"), "{shown}");
    let removed = inside(&network.gateway, || home.latchkey(&["--json", "firewall", "remove"]));
    assert_eq!(serde_json::from_slice::<Value>(&removed.stdout).unwrap(), json!({ "removed": false }));
    // Bridges of our own go with the daemon, and so does the table that is about them.
    configure(&home, &profiles(), &format!("{WAN}\toption bridges 'manage'\n"));
    daemon.signal(Signal::SIGHUP);
    eventually("the table is back", || (!table(&network).is_empty()).then_some(()));
    assert!(daemon.terminate().success());
    assert!(table(&network).is_empty());
}

#[test]
fn what_cannot_be_enforced_is_said() {
    let network = Network::new(&[]);
    let home = home(&profiles(), WAN);
    let _daemon = inside(&network.gateway, || home.spawn_through(&["setpriv", "--bounding-set", "-net_admin"]));
    let trouble = eventually("the trouble shows", || {
        home.call("firewall_show", json!({})).ok()?["trouble"].as_str().map(str::to_owned)
    });
    assert!(trouble.contains("CAP_NET_ADMIN"), "{trouble}");
    let shown = String::from_utf8(home.latchkey(&["firewall", "show"]).stdout).unwrap();
    assert!(shown.contains("Not enforced as configured") && shown.contains("isolated, not enforced"), "{shown}");
    let status = String::from_utf8(home.latchkey(&["status"]).stdout).unwrap();
    assert!(status.contains("CAP_NET_ADMIN"), "{status}");
    assert_eq!(home.log().matches("is not enforced as configured").count(), 1, "{}", home.log());
}

mod rulesets {
    use super::*;
    use latchkey::config::Config;
    use latchkey::firewall::{Plan, without_source_check, write};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn address() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).to_string()),
            (any::<u32>(), 0..=32u32).prop_map(|(bits, length)| {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                format!("{}/{length}", std::net::Ipv4Addr::from_bits(bits & mask))
            }),
            (any::<u128>(), 0..=128u32).prop_map(|(bits, length)| {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                format!("{}/{length}", std::net::Ipv6Addr::from_bits(bits & mask))
            }),
        ]
    }

    fn entry() -> impl Strategy<Value = String> {
        let how = prop_oneof![
            Just(String::new()),
            Just(" icmp".to_owned()),
            prop_oneof![Just(" tcp"), Just(" udp")].prop_map(str::to_owned),
            (prop_oneof![Just("tcp"), Just("udp")], 1..=65535u16, 0..1000u16)
                .prop_map(|(protocol, first, more)| format!(" {protocol} {first}-{}", first.saturating_add(more))),
        ];
        (address(), how).prop_map(|(address, how)| address + &how)
    }

    fn profile() -> impl Strategy<Value = String> {
        (
            prop_oneof![Just("internet"), Just("isolated"), Just("full")],
            proptest::collection::vec(entry(), 0..8),
            any::<bool>(),
            // Few numbers, so that some are shared.
            proptest::option::of(1..6u16),
            proptest::option::of("[!-~]{1,15}"),
        )
            .prop_map(|(access, allow, isolate, vlan, bridge)| {
                let mut text = format!("\toption access '{access}'\n\toption isolate '{}'\n", u8::from(isolate));
                allow.iter().for_each(|entry| writeln!(text, "\tlist allow '{entry}'").unwrap());
                vlan.iter().for_each(|vlan| writeln!(text, "\toption vlan '{vlan}'").unwrap());
                let bridge = bridge.filter(|name| !name.contains('\''));
                bridge.iter().for_each(|bridge| writeln!(text, "\toption bridge '{bridge}'").unwrap());
                text
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever can be configured, nft takes it, and the kernel too.
        #[test]
        fn nft_takes_every_ruleset(
            profiles in proptest::collection::vec(profile(), 0..8),
            uplink: bool,
            without_fib: bool,
            wan in proptest::collection::vec("[!-~]{1,15}", 0..3),
            routes in proptest::collection::btree_set("\\PC{0,8}|brvlan[1-5]|[!-~]{1,15}", 0..4),
        ) {
            let mut text = String::from("config latchkey\n");
            if uplink {
                text.push_str("\toption uplink 'eth0'\n");
            }
            wan.iter().filter(|name| !name.contains('\'')).for_each(|name| writeln!(text, "\tlist wan '{name}'").unwrap());
            for (number, profile) in profiles.iter().enumerate() {
                write!(text, "config profile 'p{number}'\n{profile}").unwrap();
            }
            // Names that no interface has are refused.
            let config = Config::parse(&text);
            prop_assume!(config.is_ok());
            let routes = routes.iter().map(|name| Arc::from(name.as_str())).collect();
            let mut ruleset = write(&Plan::new(&config.unwrap(), &routes));
            if without_fib {
                ruleset = without_source_check(&ruleset);
                prop_assert!(!ruleset.contains("fib"));
            }
            let mut child = Command::new("unshare")
                .args(["-n", "nft", "-c", "-f", "-"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            prop_assert!(output.status.success(), "{}\n{ruleset}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

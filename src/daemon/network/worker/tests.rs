//! Against the kernel, each test in a network namespace of its own. Interfaces of hostapd's VLANs are played by veth pairs.

use super::*;
use nix::sched::{CloneFlags, unshare};
use std::process::Command;

/// False when the test cannot be run: making a namespace is root's business.
fn in_a_namespace() -> bool {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => true,
        Err(Errno::EPERM) => {
            eprintln!("SKIPPED: making a network namespace needs root");
            false
        }
        Err(why) => panic!("no network namespace: {why}"),
    }
}

#[track_caller]
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn config(manage: bool) -> Config {
    let manage = if manage { "\toption bridges 'manage'\n" } else { "" };
    let text = format!(
        "config latchkey 'main'\n{manage}config profile 'iot'\n\toption vlan '20'\n\tlist address '192.168.20.1/24'\n\
         \tlist address 'fd00:20::1/64'\nconfig profile 'media'\n\toption vlan '30'\n\toption isolate '0'\n\
         config ssid 'home'\n\toption ssid 'Home'\n"
    );
    Config::parse(text).unwrap()
}

impl Worker {
    /// Converges on what a configuration wants with these VLANs of hostapd's; the troubles.
    fn want(&mut self, config: &Config, vlans: &[&str]) -> Report {
        self.converge(|seen| Wanted::new(config, vlans.iter().map(|name| (*name).into()), seen)).0
    }

    /// The steps that are left.
    fn left(&mut self, config: &Config, vlans: &[&str]) -> Vec<Op> {
        let seen = self.observe().unwrap();
        plan(&Wanted::new(config, vlans.iter().map(|name| (*name).into()), &seen), &seen, &self.done).ops
    }

    /// An interface: its bridge, whether it floods, whether it is isolated.
    fn port(&mut self, name: &str) -> Option<(Arc<str>, bool, bool)> {
        let seen = self.observe().unwrap();
        let (_, link) = seen.link(name)?;
        Some((seen.links.get(&link.master?)?.name.clone(), link.port?.flood, link.port?.isolated))
    }

    fn names(&mut self) -> Vec<String> {
        let seen = self.observe().unwrap();
        let mut names: Vec<String> = seen.links.values().map(|link| link.name.to_string()).collect();
        names.sort();
        names
    }

    fn addresses(&mut self, name: &str) -> Vec<String> {
        let seen = self.observe().unwrap();
        let (index, _) = seen.link(name).unwrap();
        let mut addresses: Vec<String> =
            seen.addresses.iter().filter(|a| a.link == index).map(|a| a.address.to_string()).collect();
        addresses.retain(|address| !address.starts_with("fe80"));
        addresses.sort();
        addresses
    }
}

#[test]
fn bridges_are_made_filled_mended_and_removed() {
    if !in_a_namespace() {
        return;
    }
    ip("link add wlan0.20 type veth peer name sta0");
    ip("link add wlan0.30 type veth peer name sta1");
    let (config, vlans) = (config(true), ["wlan0.20", "wlan0.30"]);
    let mut worker = Worker::open().unwrap();
    assert_eq!(worker.want(&config, &vlans).troubles, SortedMap::new());
    assert_eq!(worker.left(&config, &vlans), []);
    assert_eq!(worker.port("wlan0.20"), Some(("brvlan20".into(), false, true)));
    assert_eq!(worker.port("wlan0.30"), Some(("brvlan30".into(), false, false)));
    assert_eq!(worker.addresses("brvlan20"), ["192.168.20.1/24", "fd00:20::1/64"]);

    // Somebody changes everything that can be changed.
    ip("link set wlan0.20 master brvlan30");
    ip("link set wlan0.30 type bridge_slave flood on");
    ip("address del 192.168.20.1/24 dev brvlan20");
    ip("address add 10.1.1.1/32 dev brvlan20");
    ip("link set brvlan30 down");
    worker.want(&config, &vlans);
    assert_eq!(worker.left(&config, &vlans), []);
    assert_eq!(worker.port("wlan0.20"), Some(("brvlan20".into(), false, true)));
    assert_eq!(worker.addresses("brvlan20"), ["10.1.1.1/32", "192.168.20.1/24", "fd00:20::1/64"]);

    // A daemon that was killed is followed by one that knows what was made, and wants something else.
    ip("link add latchkey.new type bridge");
    let mut worker = Worker::open().unwrap();
    assert_eq!(worker.want(&config, &vlans).troubles, SortedMap::new());
    assert!(!worker.names().contains(&"latchkey.new".into()));
    ip("link del brvlan20");
    worker.want(&config, &vlans);
    assert_eq!(worker.port("wlan0.20"), Some(("brvlan20".into(), false, true)));
    let mut worker = Worker::open().unwrap();
    worker.undo();
    assert_eq!(worker.names(), ["lo", "sta0", "sta1", "wlan0.20", "wlan0.30"]);
}

#[test]
fn bridges_of_others_are_used_and_stay() {
    if !in_a_namespace() {
        return;
    }
    ip("link add brvlan20 type bridge");
    ip("link set brvlan20 up");
    ip("address add 192.168.20.9/24 dev brvlan20");
    ip("link add wlan0.20 type veth peer name sta0");
    ip("link add wlan1.20 type veth peer name sta1");
    ip("link set wlan1.20 master brvlan20");
    let (config, vlans) = (config(true), ["wlan0.20", "wlan1.20"]);
    let mut worker = Worker::open().unwrap();
    assert_eq!(worker.want(&config, &vlans).troubles, SortedMap::new());
    assert_eq!(worker.port("wlan0.20"), Some(("brvlan20".into(), false, true)));
    assert_eq!(worker.addresses("brvlan20"), ["192.168.20.1/24", "192.168.20.9/24", "fd00:20::1/64"]);
    worker.undo();
    assert_eq!(worker.names(), ["brvlan20", "lo", "sta0", "sta1", "wlan0.20", "wlan1.20"]);
    assert_eq!(worker.addresses("brvlan20"), ["192.168.20.9/24"]);
    assert_eq!(worker.port("wlan0.20"), None, "we had put it there");
    assert_eq!(worker.port("wlan1.20").map(|port| port.0), Some("brvlan20".into()));
}

#[test]
fn without_managing_ports_only_stop_leaking() {
    if !in_a_namespace() {
        return;
    }
    ip("link add br-iot type bridge");
    ip("link add wlan0.20 type veth peer name sta0");
    let (config, vlans) = (config(false), ["wlan0.20"]);
    let mut worker = Worker::open().unwrap();
    worker.want(&config, &vlans);
    assert_eq!(worker.port("wlan0.20"), None);
    ip("link set wlan0.20 master br-iot");
    assert_eq!(worker.port("wlan0.20"), Some(("br-iot".into(), true, false)));
    worker.want(&config, &vlans);
    assert_eq!(worker.port("wlan0.20"), Some(("br-iot".into(), false, true)));
    let report = String::from_utf8(Command::new("bridge").args(["-d", "link"]).output().unwrap().stdout).unwrap();
    for setting in [" flood off", " mcast_flood on", " bcast_flood on", " isolated on"] {
        assert!(report.contains(setting), "{report}");
    }
    assert_eq!(worker.names(), ["br-iot", "lo", "sta0", "wlan0.20"]);
}

#[test]
fn who_undoes_it_again_and_again_is_named_and_waited_for() {
    if !in_a_namespace() {
        return;
    }
    ip("link add wlan0.20 type veth peer name sta0");
    let (config, vlans) = (config(true), ["wlan0.20"]);
    let mut worker = Worker::open().unwrap();
    for _ in 0..3 {
        let report = worker.want(&config, &vlans);
        assert_eq!((report.troubles, report.again), (SortedMap::new(), None));
        ip("link set wlan0.20 nomaster");
    }
    let report = worker.want(&config, &vlans);
    let said = report.troubles.get("interface wlan0.20").unwrap();
    assert!(said.starts_with("somebody takes wlan0.20 out of brvlan20 again and again"), "{said}");
    assert!(report.again.is_some_and(|again| again <= Duration::from_secs(2)));
    assert_eq!(worker.port("wlan0.20"), None);
}

#[test]
fn what_the_kernel_refuses_is_said() {
    if !in_a_namespace() {
        return;
    }
    ip("link add brvlan30 type veth peer name other");
    let mut worker = Worker::open().unwrap();
    let text = "config latchkey 'main'\n\toption bridges 'manage'\n\toption uplink 'gone0'\nconfig profile 'iot'\n\
                \toption vlan '30'\nconfig profile 'tv'\n\toption vlan '40'\n";
    let report = worker.want(&Config::parse(text).unwrap(), &[]);
    let about: Vec<&str> = report.troubles.keys().map(|about| &**about).collect();
    assert_eq!(about, ["bridge brvlan30", "uplink gone0"]);
    assert!(worker.names().contains(&"brvlan40".into()));
    // A bridge is no port of a bridge.
    ip("link add wlan0.40 type bridge");
    let report = worker.want(&Config::parse(text).unwrap(), &["wlan0.40"]);
    let said = report.troubles.get("interface wlan0.40").unwrap();
    assert!(said.starts_with("cannot put wlan0.40 into brvlan40: "), "{said}");
    let again = worker.want(&Config::parse(text).unwrap(), &["wlan0.40"]);
    assert_eq!(again.troubles.get("interface wlan0.40"), Some(said), "the reason, not that somebody undoes it");
}

#[test]
fn neighbours_and_default_routes() {
    if !in_a_namespace() {
        return;
    }
    ip("link add eth0 type veth peer name other");
    ip("link add ppp0 type veth peer name more");
    for name in ["other", "eth0", "more", "ppp0"] {
        ip(&format!("link set {name} up"));
    }
    ip("address add 192.0.2.1/24 dev eth0");
    ip("address add 198.51.100.1/24 dev ppp0");
    let mut worker = Worker::open().unwrap();
    let routes = |worker: &mut Worker| {
        let seen = worker.observe().unwrap();
        let routes = worker.default_routes(&seen).unwrap();
        routes.iter().map(|name| name.to_string()).collect::<Vec<String>>().join(" ")
    };
    assert_eq!(routes(&mut worker), "");
    ip("route add default via 198.51.100.9 dev ppp0 table 77");
    assert_eq!(routes(&mut worker), "");
    ip("route add default via 192.0.2.9");
    assert_eq!(routes(&mut worker), "eth0");
    ip("route replace default nexthop via 192.0.2.9 dev eth0 nexthop via 198.51.100.9 dev ppp0");
    assert_eq!(routes(&mut worker), "eth0 ppp0");
    ip("route del default");
    ip("-6 route add default via fe80::9 dev ppp0");
    assert_eq!(routes(&mut worker), "ppp0");

    ip("neigh add fe80::5 lladdr 02:00:00:00:00:05 dev eth0 nud reachable");
    ip("neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev eth0 nud stale");
    ip("neigh add fd00::5 lladdr 02:00:00:00:00:05 dev eth0 nud permanent");
    ip("neigh add 192.0.2.6 lladdr 02:00:00:00:00:06 dev eth0 nud failed");
    for n in 1..=12 {
        ip(&format!("neigh add 192.0.2.{} lladdr 02:00:00:00:00:07 dev eth0 nud reachable", 100 + n));
    }
    let neighbours = worker.neighbours();
    let of = |last: u8| neighbours.get(&MacAddr([2, 0, 0, 0, 0, last]));
    let expected: Vec<IpAddr> = ["192.0.2.5", "fd00::5", "fe80::5"].map(|text| text.parse().unwrap()).into();
    assert_eq!(of(5), Some(&expected));
    assert_eq!(of(6), None);
    assert_eq!(of(7).map(Vec::len), Some(ADDRESSES));
}

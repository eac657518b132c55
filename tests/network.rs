//! The daemon and the bridges of its profiles, in a network namespace of the test's own.

mod support;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Home, eventually};

/// This thread, and what it starts, in a namespace of its own. False when the test cannot be run.
fn in_a_namespace() -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: making a network namespace needs root");
        return false;
    }
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
    true
}

#[track_caller]
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The configuration of the tests with more in its first section and its first profile.
fn configure(home: &Home, main: &str, iot: &str) {
    home.configure("");
    let path = home.path("config");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\toption firewall 'off'\n", &format!("\toption firewall 'off'\n{main}"));
    let text = text.replace("\toption vlan '20'\n", &format!("\toption vlan '20'\n{iot}"));
    fs::write(path, text).unwrap();
}

fn bridges() -> String {
    let links = ip("-o link show type bridge");
    let mut names: Vec<&str> = links.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    names.sort_unstable();
    names.join(" ")
}

fn bridges_become(expected: &str) {
    eventually(&format!("the bridges are {expected:?}"), || (bridges() == expected).then_some(()));
}

fn has_address(bridge: &str, address: &str) -> bool {
    ip(&format!("-o address show dev {bridge}")).contains(address)
}

const MANAGE: &str = "\toption bridges 'manage'\n";
const ADDRESS: &str = "\tlist address '192.168.20.1/24'\n";

#[test]
fn bridges_come_and_go_with_the_daemon() {
    if !in_a_namespace() {
        return;
    }
    ip("link add docker0 type bridge");
    let home = Home::new();
    configure(&home, MANAGE, ADDRESS);
    let daemon = home.start();
    bridges_become("brvlan20 brvlan30 docker0");
    eventually("it has its address", || has_address("brvlan20", "192.168.20.1/24").then_some(()));

    // Somebody interferes.
    ip("link del brvlan20");
    bridges_become("brvlan20 brvlan30 docker0");
    eventually("it has its address", || has_address("brvlan20", "192.168.20.1/24").then_some(()));
    ip("address flush dev brvlan20");
    eventually("it has its address again", || has_address("brvlan20", "192.168.20.1/24").then_some(()));

    // Killed, it leaves everything; the next life takes it over, with another idea of what is wanted.
    daemon.kill();
    assert_eq!(bridges(), "brvlan20 brvlan30 docker0");
    let index = |name: &str| ip(&format!("-o link show {name}")).split(':').next().unwrap().to_owned();
    let before = index("brvlan20");
    configure(&home, MANAGE, "\tlist address '192.168.21.1/24'\n");
    let daemon = home.start();
    eventually("it has the other address", || has_address("brvlan20", "192.168.21.1/24").then_some(()));
    eventually("the old one is gone", || (!has_address("brvlan20", "192.168.20.1/24")).then_some(()));
    assert_eq!(index("brvlan20"), before, "it was taken over, not made anew");

    // A new configuration, without stopping.
    configure(&home, MANAGE, "\toption bridge 'br-iot'\n");
    daemon.signal(Signal::SIGHUP);
    bridges_become("br-iot brvlan30 docker0");
    configure(&home, "", "");
    daemon.signal(Signal::SIGHUP);
    bridges_become("docker0");
    configure(&home, MANAGE, ADDRESS);
    daemon.signal(Signal::SIGHUP);
    bridges_become("brvlan20 brvlan30 docker0");

    assert!(daemon.terminate().success());
    assert_eq!(bridges(), "docker0");
}

#[test]
fn by_default_nothing_is_made() {
    if !in_a_namespace() {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    ip("link add br0 type bridge");
    home.call("sessions", serde_json::json!({})).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(bridges(), "br0");
    assert!(daemon.terminate().success());
    assert!(!home.log().contains("WARN network"), "{}", home.log());
}

#[test]
fn what_is_not_possible_is_said_once() {
    if !in_a_namespace() {
        return;
    }
    let home = Home::new();
    configure(&home, &format!("{MANAGE}\toption uplink 'trunk0'\n"), "");
    let daemon = home.start();
    bridges_become("brvlan20 brvlan30");
    let said = "WARN network: uplink trunk0: there is no such interface";
    eventually("it is said", || home.log().contains(said).then_some(()));
    ip("link del brvlan20");
    bridges_become("brvlan20 brvlan30");
    assert_eq!(home.log().matches(said).count(), 1);
    // Without 802.1Q in the kernel there is another trouble then.
    ip("link add trunk0 type veth peer name other0");
    eventually("it is better", || home.log().contains("uplink trunk0 is as it should be").then_some(()));
    if Path::new("/proc/net/vlan").exists() {
        eventually("the VLAN is there", || ip("-o link").contains("trunk0.20@trunk0").then_some(()));
    }
    assert!(daemon.terminate().success());
    assert!(!ip("-o link").contains("trunk0.20"));
}

#[test]
fn without_the_capability_it_is_said_once() {
    if !in_a_namespace() {
        return;
    }
    let home = Home::new();
    configure(&home, MANAGE, ADDRESS);
    let log = fs::File::create(home.path("log")).unwrap();
    let mut daemon = Command::new("setpriv")
        .args([
            "--bounding-set",
            "-net_admin",
            "--inh-caps",
            "-net_admin",
            env!("CARGO_BIN_EXE_latchkey"),
            "serve",
            "--config",
        ])
        .arg(home.path("config"))
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .unwrap();
    let said = "WARN network: privileges: latchkey may not change the network of this box: run it as root";
    eventually("it is said", || home.log().contains(said).then_some(()));
    // It goes on serving, and tries again meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(3));
    home.call("status", serde_json::json!({})).unwrap();
    let pid = nix::unistd::Pid::from_raw(daemon.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    let log = home.log();
    assert_eq!((log.matches(said).count(), bridges()), (1, String::new()), "{log}");
}

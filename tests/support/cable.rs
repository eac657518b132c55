//! IEEE 802.1X on a cable: hostapd (`driver=wired`) and wpa_supplicant (`-Dwired`) on the two ends of a veth pair.

use super::eap::network;
use super::program::{Program, run};
use super::{Home, PATIENCE, SECRET, eventually};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::process::Command;

/// The device's address.
pub const DEVICE: &str = "02:00:00:00:03:01";

/// The device's end of the cable, in a namespace of its own; the other end is in that of this thread.
pub struct Cable(String);

impl Cable {
    /// None when the test cannot be run.
    pub fn new() -> Option<Cable> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: making a network namespace needs root");
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let cable = Cable(format!("lkwired{}", std::process::id()));
        let device = &cable.0;
        run(&format!("ip netns add {device}"));
        for line in [
            "link set lo up".to_owned(),
            format!("link add ap0 type veth peer name eth0 address {DEVICE} netns {device}"),
            "link set ap0 up".into(),
            "address add 192.0.2.1/24 dev ap0".into(),
            format!("-n {device} link set eth0 up"),
            format!("-n {device} address add 192.0.2.2/24 dev eth0"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Some(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// hostapd at the port.
pub fn authenticator(home: &Home) -> Program {
    authenticator_with(home, "")
}

/// The same with more lines in its configuration.
pub fn authenticator_with(home: &Home, more: &str) -> Program {
    let config = format!(
        "driver=wired\ninterface=ap0\nctrl_interface={}\nieee8021x=1\neapol_version=2\nuse_pae_group_addr=1\n\
         own_ip_addr=127.0.0.1\nnas_identifier=switch\n\
         auth_server_addr=127.0.0.1\nauth_server_port={}\nauth_server_shared_secret={SECRET}\n\
         acct_server_addr=127.0.0.1\nacct_server_port={}\nacct_server_shared_secret={SECRET}\n{more}",
        home.path("hostapd").display(),
        home.auth_port,
        home.acct_port
    );
    fs::create_dir_all(home.path("hostapd")).unwrap();
    fs::write(home.path("hostapd.conf"), config).unwrap();
    let hostapd = Program::line(&home.path("hostapd.log"), &format!("hostapd {}", home.path("hostapd.conf").display()));
    eventually("hostapd is up", || read(home, "hostapd.log").contains("AP-ENABLED").then_some(()));
    hostapd
}

/// A log, or another file.
pub fn read(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path(name)).unwrap_or_default()
}

/// wpa_supplicant at the other end; ended with what is returned.
pub fn supplicant(home: &Home, cable: &Cable, settings: &[String]) -> Program {
    let config =
        format!("ctrl_interface={}\nap_scan=0\neapol_version=2\n{}", home.path("wpa").display(), network(settings));
    fs::write(home.path("wpa.conf"), config).unwrap();
    let _ = fs::remove_file(home.path("wpa.log"));
    let path = home.path("wpa.conf");
    let line = format!("ip netns exec {} wpa_supplicant -Dwired -ieth0 -c {}", cable.0, path.display());
    Program::line(&home.path("wpa.log"), &line)
}

/// Whether the supplicant takes its port for authorised.
pub fn authorized(home: &Home) -> bool {
    let status = run(&format!("wpa_cli -p {} -i eth0 status", home.path("wpa").display()));
    status.contains("suppPortStatus=Authorized") && status.contains("EAP state=SUCCESS")
}

/// Whether hostapd has authorised the port.
pub fn port_is_open(home: &Home) -> bool {
    run(&format!("hostapd_cli -p {} -i ap0 sta {DEVICE}", home.path("hostapd").display())).contains("[AUTHORIZED]")
}

/// A device comes in, and goes again with its supplicant.
#[track_caller]
pub fn comes_in(home: &Home, cable: &Cable, settings: &[String]) {
    let _supplicant = supplicant(home, cable, settings);
    is_in(home);
    let ping = run(&format!("ip netns exec {} ping -n -c 1 -W 5 192.0.2.1", cable.0));
    assert!(ping.contains("1 received"), "{ping}");
}

/// Waits until the device is in, for supplicant and hostapd alike.
#[track_caller]
pub fn is_in(home: &Home) {
    let why = || format!("{}\n{}\n{}", read(home, "wpa.log"), read(home, "hostapd.log"), home.log());
    let start = std::time::Instant::now();
    while !(authorized(home) && port_is_open(home)) {
        assert!(start.elapsed() < PATIENCE, "it does not come in: {}", why());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

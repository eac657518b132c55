//! IEEE 802.1X on a cable: hostapd (`driver=wired`) and wpa_supplicant (`-Dwired`) on the two ends of a veth pair.

mod support;

use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use std::fs;
use std::process::Command;
use support::eap::{Ca, Issued, Kind, Wanted, network, psk, tls};
use support::program::{Program, run};
use support::{Home, SECRET, eventually};

const DEVICE: &str = "02:00:00:00:03:01";

/// The device's end of the cable, in a namespace of its own; the other end is in that of this thread.
struct Cable(String);

impl Cable {
    /// None when the test cannot be run.
    fn new() -> Option<Cable> {
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

/// The daemon's configuration: a network on a cable.
fn home() -> Home {
    let home = Home::new();
    home.configure("\toption security 'wpa2'\nconfig ssid 'cable'\n\toption security 'wired'\n");
    home
}

/// hostapd at the port.
fn authenticator(home: &Home) -> Program {
    let config = format!(
        "driver=wired\ninterface=ap0\nctrl_interface={}\nieee8021x=1\neapol_version=2\nuse_pae_group_addr=1\n\
         own_ip_addr=127.0.0.1\nnas_identifier=switch\n\
         auth_server_addr=127.0.0.1\nauth_server_port={}\nauth_server_shared_secret={SECRET}\n\
         acct_server_addr=127.0.0.1\nacct_server_port={}\nacct_server_shared_secret={SECRET}\n",
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

fn read(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path(name)).unwrap_or_default()
}

/// wpa_supplicant at the other end; ended with what is returned.
fn supplicant(home: &Home, cable: &Cable, settings: &[String]) -> Program {
    let config =
        format!("ctrl_interface={}\nap_scan=0\neapol_version=2\n{}", home.path("wpa").display(), network(settings));
    fs::write(home.path("wpa.conf"), config).unwrap();
    let _ = fs::remove_file(home.path("wpa.log"));
    let path = home.path("wpa.conf");
    let line = format!("ip netns exec {} wpa_supplicant -Dwired -ieth0 -c {}", cable.0, path.display());
    Program::line(&home.path("wpa.log"), &line)
}

/// Whether the supplicant takes its port for authorised.
fn authorized(home: &Home) -> bool {
    let status = run(&format!("wpa_cli -p {} -i eth0 status", home.path("wpa").display()));
    status.contains("suppPortStatus=Authorized") && status.contains("EAP state=SUCCESS")
}

/// Whether hostapd has authorised the port.
fn port_is_open(home: &Home) -> bool {
    run(&format!("hostapd_cli -p {} -i ap0 sta {DEVICE}", home.path("hostapd").display())).contains("[AUTHORIZED]")
}

#[track_caller]
fn comes_in(home: &Home, cable: &Cable, settings: &[String]) {
    let _supplicant = supplicant(home, cable, settings);
    let why = || format!("{}\n{}\n{}", read(home, "wpa.log"), read(home, "hostapd.log"), home.log());
    let start = std::time::Instant::now();
    while !(authorized(home) && port_is_open(home)) {
        assert!(start.elapsed() < support::PATIENCE, "it does not come in: {}", why());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ping = run(&format!("ip netns exec {} ping -n -c 1 -W 5 192.0.2.1", cable.0));
    assert!(ping.contains("1 received"), "{ping}");
}

#[test]
fn devices_on_a_cable() {
    let Some(cable) = Cable::new() else { return };
    let home = home();
    let _daemon = home.start();
    let _hostapd = authenticator(&home);
    let added = home.call("device_add", json!({ "name": "printer", "profile": "iot", "eap_psk": true })).unwrap();
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
    let (nai, key) = (field("identity"), field("key"));

    comes_in(&home, &cable, &psk(&nai, &key));
    eventually("its session is there", || {
        let sessions = home.call("sessions", json!({})).unwrap().to_string();
        (sessions.contains(DEVICE) && sessions.contains("printer")).then_some(())
    });

    // The same port, another device with a certificate of its maker, and TLS of both versions.
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P256);
    let device: Issued = ca.issue(&Wanted::idevid("/serialNumber=AC-5/CN=Scanner", Kind::P256));
    let pem = fs::read_to_string(ca.certificate()).unwrap();
    let maker = json!({ "name": "acme", "ca": pem, "profile": "media", "admit": "all" });
    home.call("maker_add", maker).unwrap();
    let own_ca = home.path("state/pki/ca.crt");
    for version in ["1.2", "1.3"] {
        comes_in(&home, &cable, &tls(&own_ca, &device, version));
    }
    let devices = home.call("device_list", json!({})).unwrap();
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(2), "{devices}");

    // Another key: refused, and the port is shut. At the end, as hostapd then waits for a minute.
    let _wrong = supplicant(&home, &cable, &psk(&nai, "00112233445566778899aabbccddee01"));
    eventually("it is refused", || home.log().contains("another EAP-PSK key").then_some(()));
    eventually("the port is shut", || (!port_is_open(&home)).then_some(()));
    assert!(!authorized(&home));
}

//! The Entware package with the real program, on a router without UCI, ubus and nft.

use super::ipk::Ipk;
use super::shell::{Router, Shell};
use super::support::radius::wifi_key;
use super::support::{eventually, free_port};
use super::{Packed, source};
use std::path::Path;

const CONFIG: &str = "opt/etc/latchkey/latchkey.conf";

struct Installed {
    router: Router,
    shell: Shell,
    ipk: Ipk,
}

fn installed() -> Installed {
    let packed = Packed::new(&["x64-3.2"]);
    let ipk = Ipk::read(&packed.file("entware/x64-3.2/latchkey_0.1.0-1_x64-3.2.ipk"));
    let router = Router::new();
    router.write("opt/etc/init.d/rc.func", include_str!("router/rc.func"), 0o644);
    let mut shell = router.shell();
    shell.done("syslogd -O /tmp/log");
    let mut installed = Installed { router, shell, ipk };
    installed.install("install");
    installed
}

impl Installed {
    /// As opkg does it: preinst, files but not the changed conffile, postinst. What they said.
    fn install(&mut self, how: &str) -> String {
        for name in ["preinst", "postinst", "prerm", "postrm"] {
            self.router.write(&format!("control/{name}"), self.ipk.script(name), 0o755);
        }
        let mut said = self.shell.done(&format!("/control/preinst {how}"));
        self.router.unpack(&self.ipk.data, &[CONFIG]);
        self.router.install(Path::new(env!("CARGO_BIN_EXE_latchkey")), "opt/sbin/latchkey");
        said += &self.shell.done("/control/postinst configure");
        said
    }
}

#[test]
fn from_installation_to_the_first_device() {
    let mut at = installed();
    let config = at.router.read(CONFIG);
    let (_, rest) = config.split_once("config client 'local'\n\toption secret '").expect("a secret");
    let secret = rest.split_once('\'').unwrap().0.to_owned();
    assert_eq!(secret.len(), 48);
    assert_eq!(
        at.shell.run("/opt/etc/init.d/S80latchkey check"),
        ("latchkey dead".into(), 1),
        "nothing is started yet"
    );
    let said = at.install("install");
    assert!(said.contains("Next: add your SSID"), "{said}");

    let (auth, acct) = (free_port(), free_port());
    let ports =
        format!("option firewall 'off'\n\tlist auth_listen '127.0.0.1:{auth}'\n\tlist acct_listen '127.0.0.1:{acct}'");
    let config = config.replace("option firewall 'off'", &ports)
        + "\nconfig ssid 'home'\n\toption ssid 'Home'\n\nconfig ssid 'old'\n\toption ssid 'Old'\n\toption backend 'psk-file'\n";
    at.router.write(CONFIG, &config, 0o600);
    at.shell.done("latchkey check --config /opt/etc/latchkey/latchkey.conf");
    assert_eq!(at.shell.done("/opt/etc/init.d/S80latchkey start"), "latchkey started");
    at.shell.done("/opt/etc/init.d/S80latchkey check");
    assert!(at.router.path("var/run/latchkey/psk/old").exists(), "the key file is there before hostapd needs it");
    let registry = at.router.path("opt/etc/latchkey");
    eventually("the daemon answers", || Some(at.shell.run("latchkey status").1).filter(|status| *status == 0));
    assert!(
        registry.join("registry.db").exists() || std::fs::read_dir(&registry).unwrap().count() > 1,
        "its data is in /opt"
    );

    at.shell.done("latchkey device add lamp --mac 02:00:00:00:01:01");
    let accepted = |answer: &str| {
        answer.contains("Received Access-Accept") && answer.contains("Tunnel-Private-Group-Id:0 = \"20\"")
    };
    eventually("its key is ready", || {
        Some(wifi_key(auth, &secret, "02:00:00:00:01:01")).filter(|answer| accepted(answer))
    });
    assert!(wifi_key(auth, &secret, "02:00:00:00:01:02").contains("Received Access-Reject"));
    eventually("the log is in syslog", || Some(at.router.read("tmp/log")).filter(|log| log.contains("unknown device")));

    // What hostapd has to be told has this secret.
    let lines = at.shell.done("latchkey-lines radius");
    assert!(
        lines.contains(&format!("auth_server_shared_secret={secret}\n")) && lines.contains("\nwpa_psk_radius=3\n"),
        "{lines}"
    );

    // Another configuration is read without a restart.
    let before = at.shell.done("pidof latchkey");
    at.router.write(CONFIG, &config.replace("option vlan '20'", "option vlan '21'"), 0o600);
    at.shell.done("/opt/etc/init.d/S80latchkey reconfigure");
    eventually("the new VLAN", || {
        Some(wifi_key(auth, &secret, "02:00:00:00:01:01")).filter(|answer| answer.contains("= \"21\""))
    });
    assert_eq!(at.shell.done("pidof latchkey"), before);

    // An upgrade: the same devices, the same configuration, another process.
    let config = at.router.read(CONFIG);
    at.install("upgrade");
    assert_eq!(at.router.read(CONFIG), config);
    assert_ne!(at.shell.done("pidof latchkey"), before);
    eventually("it knows its devices", || {
        Some(wifi_key(auth, &secret, "02:00:00:00:01:01")).filter(|answer| answer.contains("= \"21\""))
    });

    // Removal: it ends, and only what is the administrator's stays.
    at.shell.done("/control/prerm remove");
    assert_eq!(at.shell.run("pidof latchkey").1, 1);
    at.shell.done("/control/postrm remove");
    assert!(!at.router.path("var/run/latchkey").exists());
    assert!(at.router.path(CONFIG).exists());
}

#[test]
fn the_lines_for_hostapd() {
    let mut at = installed();
    let config = at.router.read(CONFIG);
    let secret = config.split("option secret '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a secret");
    let servers = format!(
        "auth_server_addr=127.0.0.1\nauth_server_port=1812\nauth_server_shared_secret={secret}\n\
         acct_server_addr=127.0.0.1\nacct_server_port=1813\nacct_server_shared_secret={secret}\n"
    );
    let vlans = "ctrl_interface=/var/run/hostapd\ndynamic_vlan=1\nvlan_bridge=brvlan";
    assert_eq!(at.shell.done("latchkey-lines radius"), format!("{servers}wpa_psk_radius=3\n{vlans}"));
    assert_eq!(
        at.shell.done("latchkey-lines radius-mac"),
        format!("{servers}macaddr_acl=2\nwpa_psk_radius=2\n{vlans}")
    );
    assert_eq!(
        at.shell.done("latchkey-lines key-file home"),
        format!("wpa_psk_file=/var/run/latchkey/psk/home\n{vlans}")
    );

    let with = config.clone() + "\nconfig ssid 'home'\n\toption ssid 'Home'\n\toption psk_file '/tmp/keys'\n";
    at.router.write(CONFIG, &with, 0o600);
    assert_eq!(at.shell.done("latchkey-lines key-file home"), format!("wpa_psk_file=/tmp/keys\n{vlans}"));

    at.router.write(CONFIG, &String::from_utf8(source("entware/latchkey/files/latchkey.conf")).unwrap(), 0o600);
    let (said, status) = at.shell.run("latchkey-lines radius");
    assert_eq!(
        (said.as_str(), status),
        ("There is no secret in config client 'local' of /opt/etc/latchkey/latchkey.conf.", 1)
    );
    for line in ["latchkey-lines", "latchkey-lines key-file", "latchkey-lines wps"] {
        let (said, status) = at.shell.run(line);
        assert!(status == 2 && said.starts_with("usage: latchkey-lines radius "), "{line}: {said}");
    }
    assert_eq!(at.shell.run("latchkey-lines --help").1, 0);
}

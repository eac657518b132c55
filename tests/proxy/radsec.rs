//! RADIUS over TLS (RFC 6614) with radsecproxy: as our server, as our client, with the wrong certificates, and with new ones.

use super::support::eap::{self, Ca, Kind, Wanted};
use super::support::program::Program;
use super::support::radsecproxy::{self, Config};
use super::support::{free_port, free_tcp_port};
use super::*;

/// Who peers with whom: an authority, and the certificates of a hub and of us.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub ca: Ca,
    pub hub: Issued,
    pub us: Issued,
}

/// The names in the certificates.
pub const HUB: &str = "hub.example.net";
pub const US: &str = "ap.example.net";

/// A certificate for client and server.
pub fn issue(ca: &Ca, name: &str) -> Issued {
    let extensions = format!("extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:{name}");
    ca.issue(&Wanted { extensions: &extensions, ..Wanted::device(&format!("/CN={name}")) })
}

impl Site {
    pub fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::new(dir.path(), "peers-ca", Kind::P256);
        Site { hub: issue(&ca, HUB), us: issue(&ca, US), dir, ca }
    }

    /// radsecproxy with the hub's certificate.
    pub fn radsecproxy(&self, name: &str, versions: &str, more: impl FnOnce(Config) -> Config) -> Program {
        let config = Config::new(5).tls(&self.ca.certificate(), &self.hub.certificate, &self.hub.key, versions);
        let (log, file) = (self.dir.path().join(format!("{name}.log")), self.dir.path().join(format!("{name}.conf")));
        let arguments = more(config).write(&file).unwrap();
        let program = radsecproxy::program().expect("radsecproxy is installed by make test");
        let mut program = Program::start(&log, program, &arguments);
        program.wait(|| radsecproxy::is_ready(&std::fs::read_to_string(&log).unwrap_or_default()));
        program
    }

    /// A realm whose server is the hub on this port.
    pub fn realm(&self, name: &str, port: u16, own: &Issued, more: &str) -> String {
        format!(
            "config realm '{name}'\n\tlist realm '{name}.example'\n\tlist server 'radsec://127.0.0.1:{port}'\n\
             \toption server_name '{HUB}'\n\toption profile 'media'\n\toption admit 'all'\n{}{more}",
            files(&self.ca.certificate(), own)
        )
    }
}

#[test]
fn radsecproxy_between_us_and_the_manufacturer() {
    let site = Site::new();
    let maker = Maker::new(site.dir.path());
    for (name, versions, n) in [("old", "TLS1_2", 1), ("new", "TLS1_3", 2)] {
        let port = free_tcp_port();
        let hub = site.radsecproxy(name, versions, |config| {
            config.tls_clients(port, &[US]).udp_server("acme.example", maker.port, SHARED)
        });
        let home = configured(&site.realm("acme", port, &site.us, ""));
        let _daemon = home.start();
        let cam = maker.device(&format!("AC-{n}"));
        join(&home, &maker.tls("cam@acme.example", &cam, "1.3"), &mac(1)).is_let_in(1, "30");
        join(&home, &with_password(&maker, "cam-2"), &mac(2)).is_let_in(1, "30");
        join(&home, &maker.tunnel("cam-3@acme.example", "cam-3", "PEAP", "MSCHAPV2"), &mac(3)).is_let_in(1, "30");
        // Over one connection.
        let connections = hub.said().matches("TLS connection from 127.0.0.1, client").count();
        assert_eq!(connections, 1, "{}", hub.said());
        // One that is gone is made anew.
        hub.end();
        let hub = site.radsecproxy(&format!("{name}-again"), versions, |config| {
            config.tls_clients(port, &[US]).udp_server("acme.example", maker.port, SHARED)
        });
        eventually("it is let in again", || {
            join(&home, &with_password(&maker, "cam-2"), &mac(2)).accepted.then_some(())
        });
        drop(hub);
    }
}

#[test]
fn radsecproxy_as_our_client() {
    let site = Site::new();
    let maker = Maker::new(site.dir.path());
    let listen = free_tcp_port();
    let home = configured(&format!(
        "config eap\nconfig client 'hub'\n\toption radsec '{HUB}'\nconfig radsec\n\tlist listen '127.0.0.1:{listen}'\n{}{}",
        files(&site.ca.certificate(), &site.us),
        realm("acme", maker.port, "all", "")
    ));
    let _daemon = home.start();
    let lamp = add_psk(&home, "lamp", "iot");
    for versions in ["TLS1_2", "TLS1_3"] {
        let port = free_port();
        let hub = site.radsecproxy(&format!("hub-{versions}"), versions, |config| {
            config.udp_client(port, "access-point").tls_server("*", listen, US)
        });
        let arrive = |settings: &[String], n: u8| {
            eap::at(port, "access-point", site.dir.path(), settings, "Home", &mac(n), &["-t", "20"])
        };
        eventually("it is connected", || hub.said().contains("TLS connection to").then_some(()));
        for (settings, vlan, n) in [(&lamp, "20", 1), (&with_password(&maker, "cam-2"), "30", 2)] {
            let output = arrive(settings, n);
            let run = Run::of(&output, &home);
            run.is_let_in(1, vlan);
        }
        // The watchdog of radsecproxy is answered.
        assert!(!hub.said().contains("lost connection"), "{}", hub.said());
    }
}

#[test]
fn clients_with_the_wrong_certificate() {
    let site = Site::new();
    let listen = free_tcp_port();
    let home = configured(&format!(
        "config eap\nconfig client 'hub'\n\toption radsec '{HUB}'\nconfig radsec\n\tlist listen '127.0.0.1:{listen}'\n{}",
        files(&site.ca.certificate(), &site.us)
    ));
    let daemon = home.start();
    let strangers = Ca::new(site.dir.path(), "strangers-ca", Kind::P256);
    let old = Wanted { to: "20210101000000Z", ..Wanted::device("/CN=hub.example.net") };
    let (other_name, other_ca, expired) =
        (issue(&site.ca, "other.example.net"), issue(&strangers, HUB), site.ca.issue(&old));
    let connect = |own: Option<&Issued>| {
        let mut words = vec!["2", "openssl", "s_client", "-connect"];
        let (address, ca) = (format!("127.0.0.1:{listen}"), site.ca.certificate());
        words.extend([&address, "-CAfile", ca.to_str().unwrap(), "-alpn", "radius/1.0", "-verify_return_error"]);
        if let Some(own) = own {
            words.extend(["-cert", own.certificate.to_str().unwrap(), "-key", own.key.to_str().unwrap()]);
        }
        let mut child = std::process::Command::new("timeout")
            .args(&words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // At the end of its input it goes; whoever goes before the handshake is seen to be over was never there.
        std::thread::sleep(Duration::from_millis(700));
        drop(child.stdin.take());
        shown(&child.wait_with_output().unwrap())
    };
    let refused = |words: &str, own: Option<&Issued>| {
        connect(own);
        eventually(words, || home.log().contains(words).then_some(()));
    };
    let known = connect(Some(&site.hub));
    assert!(known.contains("ALPN protocol: radius/1.0"), "{known}");
    eventually("who is known may connect", || home.log().contains("hub").then_some(()));
    refused("other.example.net", Some(&other_name));
    let before = home.log().len();
    for own in [Some(&other_ca), Some(&expired), None] {
        connect(own);
    }
    // Each is told in the log with the reason; who floods is not told for ever.
    eventually("why", || (home.log().len() > before).then_some(()));
    println!("{}", &home.log()[before..]);
    // And nobody who has nothing to say holds it up.
    let garbage = std::net::TcpStream::connect(("127.0.0.1", listen)).unwrap();
    std::io::Write::write_all(&mut &garbage, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let silent: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(("127.0.0.1", listen)).unwrap()).collect();
    let lamp = add_psk(&home, "lamp", "iot");
    join(&home, &lamp, &mac(1)).is_let_in(1, "20");
    drop((silent, garbage));
    assert!(daemon.terminate().success());
}

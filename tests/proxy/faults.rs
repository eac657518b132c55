//! A manufacturer's server that is gone, slow, or lies; and that the devices of others do not notice.

use super::radsec::{HUB, Site, US, issue};
use super::support::eap::{Ca, Kind, Wanted};
use super::support::radius::{self, ACCESS_ACCEPT, ACCESS_REJECT, Manner, Reply, Scripted};
use super::support::{SECRET, free_port, free_tcp_port};
use super::*;

/// Longer than a proxy waits for its servers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A device comes with this identity, and gets an answer.
#[track_caller]
fn ask(home: &Home, identity: &str, mac: &str) -> Reply {
    let reply = radius::join(home.auth_port, SECRET, identity, mac, PATIENCE);
    reply.unwrap_or_else(|| panic!("no answer for {identity} in {PATIENCE:?}\n{}", home.log()))
}

/// A manufacturer that is well, and a device of each kind that has nothing to do with the others.
struct Well {
    maker: Maker,
    home: Home,
}

impl Well {
    /// With these sections besides.
    fn new(dir: &Path, sections: &[String]) -> Well {
        let maker = Maker::new(dir);
        let home = configured(&format!("config eap\n{}{}", realm("acme", maker.port, "all", ""), joined(sections)));
        Well { maker, home }
    }

    /// A local EAP-PSK device, and one of the manufacturer that is well.
    fn others(&self) -> Vec<(Vec<String>, &'static str)> {
        vec![(add_psk(&self.home, "lamp", "iot"), "20"), (with_password(&self.maker, "cam-2"), "30")]
    }
}

#[test]
fn a_server_that_is_killed_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let ill = tempfile::tempdir().unwrap();
    let mut dying = Maker::new(ill.path());
    let well = Well::new(dir.path(), &[realm("umbrella", dying.port, "all", "")]);
    let _daemon = well.home.start();
    let others = well.others();
    let cam = dying.tunnel("cam-1@umbrella.example", "cam-1", "TTLS", "PAP");
    join(&well.home, &cam, &mac(1)).is_let_in(1, "30");
    dying.stop();
    let after = beside_others(&well.home, &others, "a server that is killed", || {
        let start = Instant::now();
        join(&well.home, &cam, &mac(1)).is_refused();
        start.elapsed()
    });
    println!("refused after {after:.1?}: {}", said(&well.home, &mac(1)));
    assert_said(&well.home, &mac(1), "umbrella's server");
    dying.start();
    let start = Instant::now();
    eventually("its devices are let in again", || join(&well.home, &cam, &mac(1)).accepted.then_some(()));
    println!("let in again {:.1?} after it came back", start.elapsed());
}

#[test]
fn a_server_that_stops_in_the_middle_and_one_that_is_late() {
    let dir = tempfile::tempdir().unwrap();
    let ill = tempfile::tempdir().unwrap();
    let frozen = Maker::new(ill.path());
    let late = Scripted::start(SHARED, Manner::Late(30));
    let well =
        Well::new(dir.path(), &[realm("umbrella", frozen.port, "all", ""), realm("tyrell", late.port, "all", "")]);
    let _daemon = well.home.start();
    let others = well.others();
    let cam = frozen.tunnel("cam-1@umbrella.example", "cam-1", "TTLS", "PAP");
    join(&well.home, &cam, &mac(1)).is_let_in(1, "30");
    frozen.freeze();
    let (first, second) = beside_others(&well.home, &others, "a server that stopped, one that is 30 s late", || {
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let start = Instant::now();
                join(&well.home, &cam, &mac(1)).is_refused();
                start.elapsed()
            });
            let reply = ask(&well.home, "robot@tyrell.example", &mac(2));
            assert_eq!(reply.code, ACCESS_REJECT);
            (first.join().unwrap(), reply.after)
        })
    });
    println!("refused after {first:.1?} and {second:.1?}");
    // Before the answer comes, and while a NAS still waits.
    assert!(second < Duration::from_secs(15), "{second:?}");
    assert_said(&well.home, &mac(1), "umbrella's server did not answer in");
    assert_said(&well.home, &mac(2), "tyrell's server did not answer in");
    // It was asked more than once, with the same words.
    let requests = late.requests();
    assert!(requests.len() > 1, "asked once over UDP");
    assert!(requests.iter().all(|request| *request == requests[0]), "a retransmission is another request");
    frozen.thaw();
    eventually("its devices are let in again", || join(&well.home, &cam, &mac(1)).accepted.then_some(()));
}

#[test]
fn servers_that_lie() {
    let lies = [
        ("forger", Manner::OtherSecret),
        ("sloppy", Manner::Unsigned),
        ("keyless", Manner::Keyless),
        ("windbag", Manner::Oversized),
        ("torn", Manner::Torn),
        ("confused", Manner::OtherIdentifier),
        ("elsewhere", Manner::Elsewhere),
        ("mute", Manner::Mute),
    ];
    let servers: Vec<(&str, Scripted)> = lies.map(|(name, manner)| (name, Scripted::start(SHARED, manner))).into();
    let sections: Vec<String> = servers.iter().map(|(name, server)| realm(name, server.port, "all", "")).collect();
    let dir = tempfile::tempdir().unwrap();
    let well = Well::new(dir.path(), &sections);
    let daemon = well.home.start();
    let others = well.others();
    beside_others(&well.home, &others, "servers that lie", || {
        std::thread::scope(|scope| {
            for (n, (name, server)) in servers.iter().enumerate() {
                let home = &well.home;
                scope.spawn(move || {
                    let reply = ask(home, &format!("cam@{name}.example"), &mac(10 + n as u8));
                    assert_eq!(reply.code, ACCESS_REJECT, "{name} let a device in");
                    assert!(!server.requests().is_empty(), "{name} was not asked");
                });
            }
        });
    });
    for (n, (name, _)) in servers.iter().enumerate() {
        let said = said(&well.home, &mac(10 + n as u8));
        assert!(said.contains(name), "{name} is not named: {said}");
        println!("{name}: {}", said.lines().last().unwrap_or_default());
    }
    assert!(devices(&well.home).iter().all(|name| !name.contains("forger")), "{:?}", devices(&well.home));
    // Honest again, they are asked again.
    for (n, (name, server)) in servers.iter().enumerate() {
        server.behaves(Manner::Accept);
        let reply = ask(&well.home, &format!("cam@{name}.example"), &mac(10 + n as u8));
        assert_eq!(reply.code, ACCESS_ACCEPT, "{name}");
        let vlan = radius::value(&reply.attributes, 81);
        assert!(vlan.ends_with(b"30"), "VLAN {vlan:02x?}");
    }
    assert!(daemon.terminate().success());
}

#[test]
fn a_second_server_when_the_first_is_silent() {
    let (first, second) = (Scripted::start(SHARED, Manner::Silent), Scripted::start(SHARED, Manner::Accept));
    let more = format!("\tlist server 'udp://127.0.0.1:{}'\n", second.port);
    let home = configured(&realm("acme", first.port, "all", &more));
    let _daemon = home.start();
    let reply = ask(&home, "cam-1@acme.example", &mac(1));
    assert_eq!(reply.code, ACCESS_ACCEPT, "{}", home.log());
    println!("the first device is let in after {:.1?}", reply.after);
    // The first is avoided from then on.
    for n in 2..6 {
        let reply = ask(&home, &format!("cam-{n}@acme.example"), &mac(n));
        assert_eq!(reply.code, ACCESS_ACCEPT);
        assert!(reply.after < Duration::from_secs(2), "{:?}", reply.after);
    }
    // Both silent: refused, and how many were tried.
    second.behaves(Manner::Silent);
    assert_eq!(ask(&home, "cam-9@acme.example", &mac(9)).code, ACCESS_REJECT);
    assert_said(&home, &mac(9), "(tried 2 servers)");
    // The first answers: it is asked again, without a device that has to wait for the second.
    first.behaves(Manner::Accept);
    eventually("the first is used", || (ask(&home, "cam-9@acme.example", &mac(9)).code == ACCESS_ACCEPT).then_some(()));
    println!("{}", shown(&home.latchkey(&["realm", "list"])));
}

#[test]
fn secrets_that_differ() {
    let dir = tempfile::tempdir().unwrap();
    let well = Well::new(dir.path(), &[]);
    let wrong = realm("umbrella", well.maker.port, "all", "").replace(SHARED, "not-what-was-agreed-upon");
    well.home.configure(&format!(
        "\toption security 'enterprise'\nconfig eap\n{}{wrong}",
        realm("acme", well.maker.port, "all", "")
    ));
    let _daemon = well.home.start();
    let others = well.others();
    let reply =
        beside_others(&well.home, &others, "secrets that differ", || ask(&well.home, "cam@umbrella.example", &mac(1)));
    assert_eq!(reply.code, ACCESS_REJECT);
    println!("refused after {:.1?}: {}", reply.after, said(&well.home, &mac(1)));
    assert_said(&well.home, &mac(1), "umbrella");
}

#[test]
fn servers_with_the_wrong_certificate() {
    let site = Site::new();
    let strangers = Ca::new(site.dir.path(), "strangers-ca", Kind::P256);
    let names = format!("subjectAltName=DNS:{HUB}");
    let expired = Wanted { to: "20210101000000Z", extensions: &names, ..Wanted::device("/CN=hub") };
    let hubs = [
        ("named", issue(&site.ca, "another.example.net"), "another.example.net"),
        ("stranger", issue(&strangers, HUB), ""),
        ("expired", site.ca.issue(&expired), "expired"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let mut sections = Vec::new();
    let mut programs = Vec::new();
    for (name, certificate, _) in &hubs {
        let port = free_tcp_port();
        let hub = Site {
            hub: certificate.clone(),
            us: site.us.clone(),
            ca: site.ca.clone(),
            dir: tempfile::tempdir().unwrap(),
        };
        programs.push(hub.radsecproxy(name, "TLS1_2:", |config| {
            config.tls_clients(port, &[US]).udp_server(&format!("{name}.example"), maker.port, SHARED)
        }));
        sections.push(site.realm(name, port, &site.us, ""));
    }
    // Nobody at all there; and somebody who speaks no TLS.
    sections.push(site.realm("nobody", free_tcp_port(), &site.us, ""));
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    sections.push(site.realm("plain", plain.local_addr().unwrap().port(), &site.us, ""));
    let well = Well::new(site.dir.path(), &sections);
    let _daemon = well.home.start();
    let others = well.others();
    let all = ["named", "stranger", "expired", "nobody", "plain"];
    beside_others(&well.home, &others, "servers with the wrong certificate", || {
        std::thread::scope(|scope| {
            for (n, name) in all.iter().enumerate() {
                let home = &well.home;
                scope.spawn(move || {
                    let reply = ask(home, &format!("cam@{name}.example"), &mac(10 + n as u8));
                    assert_eq!(reply.code, ACCESS_REJECT, "{name}");
                });
            }
        });
    });
    for (n, name) in all.iter().enumerate() {
        let said = said(&well.home, &mac(10 + n as u8));
        println!("{name}: {}", said.lines().last().unwrap_or_default());
        let named = [format!("{name}'s server"), format!("{name} cannot be reached")];
        assert!(named.iter().any(|words| said.contains(words)), "{name} is not named: {said}");
    }
    for (name, _, words) in &hubs {
        let test = shown(&well.home.latchkey(&["realm", "test", name]));
        assert!(test.contains(words), "not {words:?} in {test}");
    }
    drop(programs);
}

#[test]
fn names_that_cannot_be_resolved() {
    let dir = tempfile::tempdir().unwrap();
    // A name server that never answers, and names that only it could know.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let section = realm("umbrella", free_port(), "all", "").replace("127.0.0.1", "radius.umbrella.example");
    let well = Well::new(dir.path(), &[section]);
    let resolv = dir.path().join("resolv.conf");
    std::fs::write(&resolv, "nameserver 192.0.2.53\noptions timeout:5 attempts:2\n").unwrap();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: a name server of its own needs root");
        return;
    }
    let mount = format!("mount --make-rprivate / && mount --bind {} /etc/resolv.conf && exec \"$@\"", resolv.display());
    let _daemon = well.home.spawn_through(&["unshare", "--mount", "sh", "-c", &mount, "sh"]);
    drop(well.home.connect());
    let others = well.others();
    let reply = beside_others(&well.home, &others, "a name server that does not answer", || {
        let reply = ask(&well.home, "cam@umbrella.example", &mac(1));
        // And again at once: others do not wait for it either.
        ask(&well.home, "cam@umbrella.example", &mac(2));
        reply
    });
    assert_eq!(reply.code, ACCESS_REJECT);
    println!("refused after {:.1?}: {}", reply.after, said(&well.home, &mac(1)));
    assert_said(&well.home, &mac(1), "radius.umbrella.example");
    drop(silent);
}

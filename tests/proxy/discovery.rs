//! Servers that DNS tells (RFC 7585), in a network of its own with a name server of its own.

use super::radsec::{HUB, Site, US};
use super::support::eap::Wanted;
use super::support::free_tcp_port;
use super::support::program::run;
use super::*;
use nix::sched::{CloneFlags, unshare};
use std::net::UdpSocket;

const NAPTR: u16 = 35;
const SRV: u16 = 33;
const A: u16 = 1;

/// A name in the form of DNS (RFC 1035, 3.1).
fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

/// The data of the record that answers a question, if there is one.
fn record(asked: &str, kind: u16, port: u16) -> Option<Vec<u8>> {
    let realm = asked.strip_prefix("_radiustls._tcp.");
    match (asked, kind) {
        ("acme.example" | "umbrella.example", NAPTR) => {
            let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let service = [text("s"), text("aaa+auth:radius.tls.tcp"), text("")].concat();
            Some([&[0, 50, 0, 50][..], &service, &name(&format!("_radiustls._tcp.{asked}"))].concat())
        }
        (_, SRV) if matches!(realm, Some("acme.example" | "umbrella.example")) => {
            Some([&[0, 0, 0, 0][..], &port.to_be_bytes(), &name(HUB)].concat())
        }
        (HUB, A) => Some(vec![127, 0, 0, 1]),
        _ => None,
    }
}

/// Answers what it knows, and that there is no such name to everything else.
fn name_server(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let (mut at, mut labels) = (12, Vec::new());
            while buffer[at] != 0 {
                let end = at + 1 + usize::from(buffer[at]);
                labels.push(String::from_utf8_lossy(&buffer[at + 1..end]).to_lowercase());
                at = end;
            }
            let kind = u16::from_be_bytes([buffer[at + 1], buffer[at + 2]]);
            let question = &buffer[12..at + 5];
            let found = record(&labels.join("."), kind, port);
            let (code, count) = if found.is_some() { (0x80, 1) } else { (0x83, 0) };
            let mut answer = [&buffer[..2], &[0x81, code, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
            if let Some(data) = found {
                answer.extend([0xc0, 0x0c]);
                answer.extend(kind.to_be_bytes());
                answer.extend([0, 1, 0, 0, 0x0e, 0x10]);
                answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                answer.extend(data);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

#[test]
fn servers_that_dns_tells() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: making a network namespace needs root");
        return;
    }
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
    let mut site = Site::new();
    let names = format!(
        "extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=otherName:1.3.6.1.5.5.7.8.8;UTF8:acme.example,DNS:{HUB}"
    );
    site.hub = site.ca.issue(&Wanted { extensions: &names, ..Wanted::device("/CN=hub.example.net") });
    let maker = Maker::new(site.dir.path());
    let port = free_tcp_port();
    let _hub = site
        .radsecproxy("hub", "TLS1_2:", |config| config.tls_clients(port, &[US]).udp_server("*", maker.port, SHARED));
    name_server(port);
    let home = configured(&format!(
        "config realm 'found'\n\tlist realm 'acme.example'\n\tlist realm 'umbrella.example'\n\tlist realm 'nobody.example'\n\
         \toption discover '1'\n\toption profile 'media'\n\toption admit 'all'\n{}",
        files(&site.ca.certificate(), &site.us)
    ));
    let resolv = home.path("resolv.conf");
    std::fs::write(&resolv, "nameserver 127.0.0.1\n").unwrap();
    let mount = format!("mount --make-rprivate / && mount --bind {} /etc/resolv.conf && exec \"$@\"", resolv.display());
    let _daemon = home.spawn_through(&["unshare", "--mount", "sh", "-c", &mount, "sh"]);
    drop(home.connect());
    let start = Instant::now();
    join(&home, &with_password(&maker, "cam-1"), &mac(1)).is_let_in(1, "30");
    println!("let in after {:.1?}, look-up and connection included", start.elapsed());
    let start = Instant::now();
    join(&home, &with_password(&maker, "cam-2"), &mac(2)).is_let_in(1, "30");
    println!("and the next after {:.1?}", start.elapsed());
    // DNS leads to the same server, whose certificate is not for this realm.
    join(&home, &maker.tunnel("cam-3@umbrella.example", "cam-3", "TTLS", "PAP"), &mac(3)).is_refused();
    assert_said(&home, &mac(3), "umbrella.example");
    // DNS knows nobody.
    let start = Instant::now();
    join(&home, &maker.tunnel("cam-4@nobody.example", "cam-4", "TTLS", "PAP"), &mac(4)).is_refused();
    println!("refused after {:.1?}: {}", start.elapsed(), said(&home, &mac(4)));
    assert_said(&home, &mac(4), "nobody.example");
    println!("{}", said(&home, &mac(3)));
}

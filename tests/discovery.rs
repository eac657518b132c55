//! A realm whose server DNS tells (RFC 7585), with a name server that this test is, a manufacturer that is another latchkey behind
//! RADIUS/TLS, and eapol_test as its device. In a network and with a resolv.conf of its own; as root.

mod support;

use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::eap::{Ca, Issued, Kind, Wanted, eapol_test_as, psk};
use support::{Home, PATIENCE, eventually, free_tcp_port};

const STATION: &str = "02:00:00:00:07:01";
const A: u16 = 1;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

fn run(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// This thread, and what it starts, in a network without a way out, where the name server is at 127.0.0.1.
fn enclosed(dir: &std::path::Path) -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: making a network namespace needs root");
        return false;
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    run("ip link set lo up");
    run("mount --make-rprivate /");
    fs::write(dir.join("resolv.conf"), "# the test\nnameserver 127.0.0.1\n").unwrap();
    let file = fs::canonicalize("/etc/resolv.conf").unwrap();
    run(&format!("mount --bind {} {}", dir.join("resolv.conf").display(), file.display()));
    true
}

/// What was asked: name, type, and over what.
type Asked = Vec<(String, u16, &'static str)>;

/// A name server with these records: name, type, data. What it knows of NAPTR it tells over TCP only.
struct Dns {
    asked: Arc<Mutex<Asked>>,
}

type Records = Vec<(&'static str, u16, Vec<u8>)>;

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn text(value: &str) -> Vec<u8> {
    [&[value.len() as u8], value.as_bytes()].concat()
}

impl Dns {
    fn start(records: Records) -> Dns {
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:53").unwrap());
        let (records, log) = (Arc::new(records), asked.clone());
        std::thread::spawn({
            let (records, log) = (records.clone(), log.clone());
            move || {
                let mut datagram = [0; 512];
                while let Ok((length, from)) = udp.recv_from(&mut datagram) {
                    let answer = answer(&datagram[..length], &records, &log, "udp");
                    // First what somebody might make up.
                    let mut forged = answer.clone();
                    forged[0] ^= 0x55;
                    for packet in [&forged, &answer] {
                        let _ = udp.send_to(packet, from);
                    }
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let (mut stream, mut length) = (stream.unwrap(), [0; 2]);
                if stream.read_exact(&mut length).is_ok() {
                    let mut query = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut query).unwrap();
                    let answer = answer(&query, &records, &log, "tcp");
                    let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat());
                }
            }
        });
        Dns { asked }
    }

    /// How often it was asked for this.
    fn asked(&self, of: &str, kind: u16, over: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(name, number, way)| name == of && *number == kind && *way == over).count()
    }
}

fn answer(query: &[u8], records: &Records, log: &Mutex<Asked>, over: &'static str) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap().to_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let asked = labels.join(".");
    log.lock().unwrap().push((asked.clone(), kind, over));
    let known = records.iter().any(|(about, ..)| *about == asked);
    let found: Vec<&Vec<u8>> =
        records.iter().filter(|(about, of, _)| *about == asked && *of == kind).map(|(.., data)| data).collect();
    let truncated = kind == NAPTR && over == "udp" && !found.is_empty();
    let found = if truncated { Vec::new() } else { found };
    let mut out = query[..2].to_vec();
    out.extend([if truncated { 0x83 } else { 0x81 }, if known { 0x80 } else { 0x83 }, 0, 1]);
    out.extend((found.len() as u16).to_be_bytes());
    out.extend([0; 4]);
    out.extend(&query[12..at + 5]);
    for data in found {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

fn issue(ca: &Ca, names: &str) -> Issued {
    let extensions = format!("extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName={names}");
    ca.issue(&Wanted { extensions: &extensions, ..Wanted::device("/CN=peer") })
}

fn files(ca: &Ca, own: &Issued) -> String {
    let (ca, certificate, key) = (ca.certificate(), own.certificate.display(), own.key.display());
    format!("\toption ca '{}'\n\toption certificate '{certificate}'\n\toption private_key '{key}'\n", ca.display())
}

#[test]
fn dns_tells_who_the_manufacturer_is() {
    let dir = tempfile::tempdir().unwrap();
    if !enclosed(dir.path()) {
        return;
    }
    let ca = Ca::new(dir.path(), "peers-ca", Kind::P256);
    let theirs = issue(&ca, "DNS:aaa.acme.example,otherName:1.3.6.1.5.5.7.8.8;UTF8:acme.example");
    let ours = issue(&ca, "DNS:ap.example.net");
    let port = free_tcp_port();
    let maker = Home::new();
    maker.configure(&format!(
        "\toption security 'enterprise'\nconfig eap\n\toption realm 'acme.example'\n\
         config client 'ap'\n\toption radsec 'ap.example.net'\n\
         config radsec\n\tlist listen '127.0.0.1:{port}'\n{}",
        files(&ca, &theirs)
    ));
    let _maker = maker.start();
    let added = maker.latchkey(&["--json", "device", "add", "lamp", "--profile", "iot", "--eap-psk"]);
    let added: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
    assert!(field("identity").ends_with("@acme.example"), "{added}");
    let lamp = psk(&field("identity"), &field("key"));
    let other = psk("lamp@other.example", &field("key"));

    let ap = Home::new();
    let realm = |name: &str| {
        format!(
            "config realm '{name}'\n\tlist realm '{name}.example'\n\toption discover '1'\n\toption profile 'media'\n\
             \toption admit 'all'\n\toption share 'all'\n{}",
            files(&ca, &ours)
        )
    };
    ap.configure(&format!("\toption security 'enterprise'\nconfig eap\n{}{}", realm("acme"), realm("other")));
    let _ap = ap.start();

    // Nobody is there to ask: that is said, and at once from then on.
    let said = || {
        let output = ap.latchkey(&["log", "--mac", STATION]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eapol_test_as(&ap, &lamp, "Home", STATION).is_refused();
    assert!(said().contains("acme cannot be reached: DNS did not answer"), "{}\n{}", said(), ap.log());
    let start = std::time::Instant::now();
    eapol_test_as(&ap, &lamp, "Home", STATION).is_refused();
    println!("refused while DNS is away in {:.0?}", start.elapsed());

    // DNS is back, and tells of both; the second one's server is not meant for it.
    let srv = |port: u16, host: &str| [&[0, 10, 0, 5][..], &port.to_be_bytes(), &name(host)].concat();
    let naptr =
        [&[0, 50, 0, 50][..], &text("s"), &text("aaa+auth:radius.tls.tcp"), &text(""), &name("tls.acme.example")];
    let dns = Dns::start(vec![
        ("acme.example", NAPTR, naptr.concat()),
        ("tls.acme.example", SRV, srv(port, "aaa.acme.example")),
        ("_radiustls._tcp.other.example", SRV, srv(port, "aaa.acme.example")),
        ("aaa.acme.example", A, vec![127, 0, 0, 1]),
    ]);
    let start = std::time::Instant::now();
    while !eapol_test_as(&ap, &lamp, "Home", STATION).accepted {
        assert!(start.elapsed() < PATIENCE, "{}\n{:?}\n{}", ap.log(), dns.asked.lock().unwrap(), maker.log());
        std::thread::sleep(Duration::from_millis(500));
    }
    eapol_test_as(&ap, &lamp, "Home", STATION).is_let_in(1, "30");
    let told = format!("acme's servers for 'acme.example', as DNS tells: radsec://aaa.acme.example:{port}");
    assert!(ap.log().contains(&told), "{}", ap.log());
    assert_eq!(dns.asked("acme.example", NAPTR, "tcp"), 1, "it does not fit into a datagram, and is kept");
    assert_eq!(dns.asked("tls.acme.example", SRV, "udp"), 1);

    eapol_test_as(&ap, &other, "Home", STATION).is_refused();
    assert_eq!(dns.asked("_radiustls._tcp.other.example", SRV, "udp"), 1);
    eventually("why is said", || said().contains("not for the realm other.example (NAIRealm)").then_some(()));
    assert_eq!(dns.asked("nobody.example", NAPTR, "udp"), 0);
    eapol_test_as(&ap, &psk("lamp@nobody.example", &field("key")), "Home", STATION).is_refused();
    assert_eq!(dns.asked("nobody.example", NAPTR, "udp"), 0, "a realm that is in no section is not looked up");
}

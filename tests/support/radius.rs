//! RADIUS once more, written apart from the library so that neither can hide the other's mistakes: a NAS that says little,
//! and a home server that says what it should not (RFC 2865, 3579, 5176, 5997).

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const ACCESS_REQUEST: u8 = 1;
pub const ACCESS_ACCEPT: u8 = 2;
pub const ACCESS_REJECT: u8 = 3;
pub const ACCESS_CHALLENGE: u8 = 11;
pub const STATUS_SERVER: u8 = 12;

const USER_NAME: u8 = 1;
const STATE: u8 = 24;
const CALLED_STATION_ID: u8 = 30;
const CALLING_STATION_ID: u8 = 31;
const PROXY_STATE: u8 = 33;
const EAP_MESSAGE: u8 = 79;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// Type and value of each attribute.
pub type Attributes = Vec<(u8, Vec<u8>)>;

fn mac(secret: &str, packet: &[u8]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(packet);
    mac.finalize().into_bytes().into()
}

fn write(head: [u8; 20], attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut packet = head.to_vec();
    for (kind, value) in attributes {
        packet.extend([*kind, u8::try_from(value.len() + 2).unwrap()]);
        packet.extend(value);
    }
    let length = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// A request with its Message-Authenticator, the first attribute.
pub fn request(code: u8, identifier: u8, attributes: &[(u8, Vec<u8>)], secret: &str) -> Vec<u8> {
    let mut head = [0; 20];
    head[..2].copy_from_slice(&[code, identifier]);
    head[4..].copy_from_slice(&fresh());
    let mut packet = write(head, &[&[(MESSAGE_AUTHENTICATOR, vec![0; 16])], attributes].concat());
    let ma = mac(secret, &packet);
    packet[22..38].copy_from_slice(&ma);
    packet
}

/// The answer to a request, with its Message-Authenticator, the Proxy-States of the request, and a Response Authenticator.
pub fn reply(code: u8, request: &[u8], attributes: &[(u8, Vec<u8>)], secret: &str) -> Vec<u8> {
    let mut head: [u8; 20] = request[..20].try_into().unwrap();
    head[0] = code;
    let mut all = vec![(MESSAGE_AUTHENTICATOR, vec![0; 16])];
    all.extend_from_slice(attributes);
    all.extend(read(request).into_iter().filter(|(kind, _)| *kind == PROXY_STATE));
    let mut packet = write(head, &all);
    let ma = mac(secret, &packet);
    packet[22..38].copy_from_slice(&ma);
    let authenticator = Md5::new().chain_update(&packet).chain_update(secret).finalize();
    packet[4..20].copy_from_slice(&authenticator);
    packet
}

/// The attributes of a packet.
pub fn read(packet: &[u8]) -> Attributes {
    let (mut rest, mut attributes) = (&packet[20..], Vec::new());
    while let [kind, length, ..] = *rest {
        let (attribute, after) = rest.split_at(length.into());
        attributes.push((kind, attribute[2..].to_vec()));
        rest = after;
    }
    attributes
}

/// The values of one kind of attribute, joined.
pub fn value(attributes: &[(u8, Vec<u8>)], kind: u8) -> Vec<u8> {
    attributes.iter().filter(|(other, _)| *other == kind).flat_map(|(_, value)| value.clone()).collect()
}

/// Sixteen octets that do not come twice.
fn fresh() -> [u8; 16] {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let seed = (std::process::id(), count, std::time::SystemTime::now());
    Md5::digest(format!("{seed:?}")).into()
}

/// What a NAS got.
#[derive(Debug, Clone)]
pub struct Reply {
    pub code: u8,
    pub attributes: Attributes,
    /// From the request to the answer.
    pub after: Duration,
}

/// Asks as a NAS does when a station has said who it is, and gives the answer; `None` when there is none in time. It asks
/// once: whoever is asked over a path that loses nothing has no reason to be asked again.
pub fn join(port: u16, secret: &str, identity: &str, station: &str, patience: Duration) -> Option<Reply> {
    let eap = [&[2, 1, 0, u8::try_from(identity.len() + 5).unwrap(), 1][..], identity.as_bytes()].concat();
    let attributes = [
        (USER_NAME, identity.as_bytes().to_vec()),
        (CALLED_STATION_ID, b"02-00-00-00-00-01:Home".to_vec()),
        (CALLING_STATION_ID, station.replace(':', "-").into_bytes()),
        (4, vec![127, 0, 0, 1]),
        (EAP_MESSAGE, eap),
    ];
    ask(port, secret, &request(ACCESS_REQUEST, 7, &attributes, secret), patience)
}

/// Sends a request and gives the answer, whose authenticators have to be right.
pub fn ask(port: u16, secret: &str, request: &[u8], patience: Duration) -> Option<Reply> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    let start = Instant::now();
    socket.send(request).unwrap();
    let mut buffer = [0; 8192];
    let length = match socket.recv(&mut buffer) {
        Ok(length) => length,
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return None,
        Err(e) => panic!("the server on port {port}: {e}"),
    };
    let packet = &buffer[..length];
    let mut expected = packet.to_vec();
    expected[4..20].copy_from_slice(&request[4..20]);
    let signed = Md5::new().chain_update(&expected).chain_update(secret).finalize();
    assert_eq!(packet[4..20], signed[..], "a wrong Response Authenticator");
    assert_eq!(packet[1], request[1], "a wrong identifier");
    Some(Reply { code: packet[0], attributes: read(packet), after: start.elapsed() })
}

/// Runs radclient with a request, once, and gives all it says; it waits so many seconds. `kind` is `auth`, `disconnect` or
/// `coa`.
pub fn radclient(port: u16, kind: &str, secret: &str, seconds: u8, request: &str) -> String {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "1", "-t", &seconds.to_string(), &format!("127.0.0.1:{port}"), kind, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("radclient (package freeradius-utils) is installed by make test");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Asks for the Wi-Fi key of an address as hostapd does with `wpa_psk_radius`, and gives all that radclient says.
pub fn wifi_key(port: u16, secret: &str, station: &str) -> String {
    let bare = station.replace(':', "");
    let request = format!(
        "User-Name = \"{bare}\"\nUser-Password = \"{bare}\"\nCalled-Station-Id = \"02-00-00-00-00-01:Home\"\n\
         Calling-Station-Id = \"{station}\"\nNAS-Identifier = \"ap-1\"\nMessage-Authenticator = 0x00\n"
    );
    radclient(port, "auth", secret, 12, &request)
}

/// How a home server behaves towards Access-Requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Lets everybody in, with attributes that are not for it to say.
    Accept,
    /// Refuses everybody.
    Reject,
    /// Says nothing at all, not even to Status-Server.
    Silent,
    /// Does not answer them, but Status-Server.
    Mute,
    /// Answers so many seconds late.
    Late(u64),
    /// Lets everybody in, and signs it with another secret.
    OtherSecret,
    /// Leaves out the Message-Authenticator.
    Unsigned,
    /// Lets everybody in without the keys that the NAS needs.
    Keyless,
    /// Answers something that is longer than RADIUS allows.
    Oversized,
    /// Answers with an attribute that is longer than the packet.
    Torn,
    /// Answers another request than was asked.
    OtherIdentifier,
    /// Answers from another port.
    Elsewhere,
}

/// A home server on a port of 127.0.0.1, until it is dropped.
pub struct Scripted {
    pub port: u16,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub fn start(secret: &'static str, manner: Manner) -> Scripted {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (manner, requests, stop) = (Arc::new(Mutex::new(manner)), Arc::<Mutex<_>>::default(), Arc::default());
        let mut server = Scripted { port, manner, requests, stop, thread: None };
        let (manner, requests, stop) = (server.manner.clone(), server.requests.clone(), server.stop.clone());
        server.thread = Some(std::thread::spawn(move || {
            let mut late: Vec<(Instant, Vec<u8>, std::net::SocketAddr)> = Vec::new();
            let mut buffer = [0; 4096];
            while !stop.load(Ordering::Relaxed) {
                late.retain(|(when, packet, to)| {
                    let waits = *when > Instant::now();
                    if !waits {
                        let _ = socket.send_to(packet, to);
                    }
                    waits
                });
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let request = &buffer[..length];
                let manner = *manner.lock().unwrap();
                if request[0] == STATUS_SERVER && manner != Manner::Silent {
                    let _ = socket.send_to(&reply(ACCESS_ACCEPT, request, &[], secret), from);
                }
                if request[0] != ACCESS_REQUEST {
                    continue;
                }
                requests.lock().unwrap().push(request.to_vec());
                match manner {
                    Manner::Late(seconds) => {
                        late.push((Instant::now() + Duration::from_secs(seconds), accept(request, secret), from));
                    }
                    Manner::Elsewhere => {
                        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
                        let _ = other.send_to(&accept(request, secret), from);
                    }
                    manner => {
                        if let Some(packet) = answer(manner, request, secret) {
                            let _ = socket.send_to(&packet, from);
                        }
                    }
                }
            }
        }));
        server
    }

    /// From now on.
    pub fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// The Access-Requests it received, retransmissions too.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// EAP-Success with keys, and what a manufacturer has no say in: VLAN 666 and a filter, for a hundred days.
fn accept(request: &[u8], secret: &str) -> Vec<u8> {
    accept_with(request, secret, &[mppe_key(16, request, secret), mppe_key(17, request, secret)])
}

/// MS-MPPE-Send-Key (16) or MS-MPPE-Recv-Key (17), hidden (RFC 2548, 2.4.2).
fn mppe_key(kind: u8, request: &[u8], secret: &str) -> (u8, Vec<u8>) {
    let (salt, mut clear) = ([0x80, kind], [0x5a; 48]);
    clear[0] = 32;
    let mut value = vec![0, 0, 1, 0x37, kind, 52, salt[0], salt[1]];
    let mut mask = Md5::new().chain_update(secret).chain_update(&request[4..20]).chain_update(salt).finalize();
    for block in clear.chunks(16) {
        let covered: Vec<u8> = block.iter().zip(mask).map(|(c, m)| c ^ m).collect();
        mask = Md5::new().chain_update(secret).chain_update(&covered).finalize();
        value.extend(covered);
    }
    (26, value)
}

fn accept_with(request: &[u8], secret: &str, keys: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let attributes = [
        (EAP_MESSAGE, vec![3, 1, 0, 4]),
        (USER_NAME, value(&read(request), USER_NAME)),
        (64, vec![0, 0, 0, 13]),
        (65, vec![0, 0, 0, 6]),
        (81, b"666".to_vec()),
        (11, b"everything".to_vec()),
        (27, 8_640_000_u32.to_be_bytes().to_vec()),
    ];
    reply(ACCESS_ACCEPT, request, &[&attributes, keys].concat(), secret)
}

fn answer(manner: Manner, request: &[u8], secret: &str) -> Option<Vec<u8>> {
    let resigned = |mut packet: Vec<u8>| {
        packet[4..20].copy_from_slice(&request[4..20]);
        let authenticator = Md5::new().chain_update(&packet).chain_update(secret).finalize();
        packet[4..20].copy_from_slice(&authenticator);
        packet
    };
    Some(match manner {
        Manner::Accept => accept(request, secret),
        Manner::Reject => reply(ACCESS_REJECT, request, &[(EAP_MESSAGE, vec![4, 1, 0, 4])], secret),
        Manner::Keyless => accept_with(request, secret, &[]),
        Manner::OtherSecret => accept(request, "another secret than agreed upon"),
        Manner::Unsigned => {
            let mut packet = accept(request, secret);
            packet.drain(20..38);
            let length = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            resigned(packet)
        }
        Manner::Oversized => {
            let filler = (18, vec![b'x'; 253]);
            reply(ACCESS_ACCEPT, request, &[vec![(EAP_MESSAGE, vec![3, 1, 0, 4])], vec![filler; 20]].concat(), secret)
        }
        Manner::Torn => {
            let mut packet = accept(request, secret);
            packet.extend([18, 200, b'!']);
            let length = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            resigned(packet)
        }
        Manner::OtherIdentifier => {
            let mut other = request.to_vec();
            other[1] = other[1].wrapping_add(77);
            accept(&other, secret)
        }
        Manner::Silent | Manner::Mute | Manner::Late(_) | Manner::Elsewhere => return None,
    })
}

/// State of a reply, for the next request of a conversation.
pub fn state(reply: &Reply) -> Vec<u8> {
    value(&reply.attributes, STATE)
}

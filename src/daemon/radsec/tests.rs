//! Our client against our server over the loopback interface, and strangers against our server.

mod follow;

use super::super::testing::{Files, Started, port, run, until};
use super::super::upstream::test as realm;
use crate::config::Server;
use crate::mac::MacAddr;
use crate::pki::testing::Ca;
use crate::secret::RadiusSecret;
use crate::wire::radius::{
    AttributeType, Builder, Code, MAX_PACKET_OCTETS, MessageAuthenticator, Packet, Stream, error_cause,
    verify_message_authenticator, verify_response_authenticator,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const SERVER: &str = "aaa.acme.example";
const CLIENT: &str = "ap1.acme.example";

/// A CA, a server and what it takes to be its client.
struct World {
    files: Files,
    ca: Ca,
    port: u16,
}

impl World {
    fn new() -> World {
        let world = World { files: Files::new(), ca: Ca::root("Acme CA"), port: port() };
        world.files.ca("ca.pem", &[&world.ca]);
        world.files.certificate("server", &world.ca, SERVER, |_| ());
        world.files.certificate("client", &world.ca, CLIENT, |_| ());
        world
    }

    fn serve(&self) -> Started {
        let tls = self.files.tls("ca.pem", "server");
        self.files.daemon(
            &format!(
                "\tlist auth_listen '127.0.0.1:{}'\nconfig profile 'iot'\n\toption vlan '20'\nconfig ssid\n\toption ssid 'Home'\n\
                 config client 'ap1'\n\toption radsec '{CLIENT}'\nconfig radsec\n\tlist listen '127.0.0.1:{}'\n{tls}",
                port(),
                self.port
            ),
        )
    }

    /// A daemon whose default realm is that server. `more` goes into the realm's section.
    fn ask(&self, tls: &str, more: &str) -> (Started, u16) {
        self.ask_at(&self.server().to_string(), tls, more)
    }

    fn ask_at(&self, server: &str, tls: &str, more: &str) -> (Started, u16) {
        let nas = port();
        let config = format!(
            "\tlist auth_listen '127.0.0.1:{nas}'\nconfig profile 'iot'\n\toption vlan '20'\nconfig ssid\n\toption ssid 'Home'\n\
             config client 'nas'\n\toption address '127.0.0.1'\n\toption secret 'secret of the tests'\n\
             config realm 'acme'\n\tlist realm 'default'\n\tlist server '{server}'\n\toption profile 'iot'\n{tls}{more}",
        );
        (self.files.daemon(&config), nas)
    }

    fn server(&self) -> Server {
        format!("radsec://127.0.0.1:{}", self.port).parse().expect("a server")
    }

    fn tls(&self) -> String {
        self.files.tls("ca.pem", "client")
    }

    /// What a test of the realm's server comes to, the last step in words.
    async fn test(&self, asking: &Started) -> (bool, String) {
        let steps = realm::run(asking, "acme", &self.server()).await;
        let told: Vec<String> = steps.iter().map(|step| format!("{}: {}", step.stage.as_str(), step.text)).collect();
        (steps.last().is_some_and(|step| step.ok), told.join("\n"))
    }
}

fn named() -> String {
    format!("\toption server_name '{SERVER}'\n")
}

#[test]
fn a_server_is_tried_out_step_by_step() {
    run(async {
        let world = World::new();
        let _serving = world.serve();
        let (asking, _) = world.ask(&world.tls(), &named());
        let (ok, told) = world.test(&asking).await;
        assert!(ok, "{told}");
        for part in [
            "resolve: 127.0.0.1\n",
            "\nconnect: 127.0.0.1:",
            "\ntls: TLS 1.3, TLS13_AES_256_GCM_SHA384, ALPN radius/1.0\n",
            "\ncertificate: CN=aaa.acme.example, signed by CN=Acme CA, for aaa.acme.example, until 2040-01-01T00:00:00Z\n",
            "\nstatus-server: answered in ",
        ] {
            assert!(told.contains(part), "{part} is missing: {told}");
        }
    });
}

#[test]
fn what_keeps_us_from_a_server_is_said_in_words() {
    run(async {
        let world = World::new();
        let other = Ca::root("Other CA");
        world.files.ca("other.pem", &[&other]);
        world.files.certificate("stranger", &other, CLIENT, |_| ());
        world.files.certificate("unknown", &world.ca, "ap9.acme.example", |_| ());
        world.files.certificate("expired", &world.ca, CLIENT, |params| params.not_after = date_time_ymd(2025, 1, 1));
        world.files.certificate("mixed", &world.ca, CLIENT, |_| ());
        fs::copy(world.files.path("client.key"), world.files.path("mixed.key")).unwrap();
        let serving = world.serve();
        for (tls, more, expected) in [
            (
                world.files.tls("other.pem", "client"),
                named(),
                "tls: its certificate is signed by a CA that option ca (",
            ),
            (
                world.tls(),
                "\toption server_name 'radius.acme.example'\n".into(),
                "tls: its certificate is for aaa.acme.example, not for radius.acme.example",
            ),
            (world.tls(), String::new(), "tls: its certificate is for aaa.acme.example, not for 127.0.0.1"),
            (
                world.files.tls("ca.pem", "stranger"),
                named(),
                "tls: it does not know the CA of our certificate: have it added there (alert unknown_ca)",
            ),
            (
                world.files.tls("ca.pem", "unknown"),
                named(),
                "tls: it does not let us in: our certificate's name is not among its clients",
            ),
            (
                world.files.tls("ca.pem", "expired"),
                named(),
                "tls: it finds our certificate expired: renew it, or set the clock there",
            ),
            (
                world.files.tls("ca.pem", "mixed"),
                named(),
                "mixed.crt: the private key is not the one of the certificate CN=ap1.acme.example: put a good one there",
            ),
            (world.files.tls("nowhere.pem", "client"), named(), "nowhere.pem: it cannot be read (No such file"),
        ] {
            let (asking, _) = world.ask(&tls, &more);
            let (ok, told) = world.test(&asking).await;
            assert!(!ok && told.lines().last().unwrap().contains(expected), "{expected} is missing: {told}");
        }
        assert_eq!(serving.radsec.connections(), 0);
    });
}

#[test]
fn a_server_whose_certificate_is_expired_or_a_clients_is_not_asked() {
    run(async {
        for (edit, expected) in [
            (
                (|params| params.not_after = date_time_ymd(2026, 1, 1)) as fn(&mut CertificateParams),
                "tls: its certificate expired on 2026-01-01T00:00:00Z",
            ),
            (
                |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
                "tls: its certificate is not made for servers (extended key usage serverAuth)",
            ),
            (
                |params| params.subject_alt_names = vec![SanType::IpAddress("127.0.0.9".parse().unwrap())],
                "tls: its certificate is for 127.0.0.9, not for aaa.acme.example",
            ),
        ] {
            let world = World::new();
            world.files.certificate("server", &world.ca, SERVER, edit);
            let _serving = world.serve();
            let (asking, _) = world.ask(&world.tls(), &named());
            let (ok, told) = world.test(&asking).await;
            assert!(!ok && told.ends_with(expected), "{expected} is missing: {told}");
        }
    });
}

#[test]
fn a_server_that_is_not_there_or_does_not_speak_tls_is_told_from_one_that_does() {
    run(async {
        let world = World::new();
        let (asking, _) = world.ask(&world.tls(), &named());
        let (_, told) = world.test(&asking).await;
        assert!(told.ends_with("connect: connection refused: nobody listens on that port"), "{told}");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", world.port)).await.unwrap();
        tokio::task::spawn_local(async move {
            for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x15\x03\x01\x00\x02\x02\x46", b""] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
                let mut hello = [0; 1024];
                let _ = stream.read(&mut hello).await;
            }
        });
        for expected in [
            "tls: it does not speak TLS (is this the port of RadSec, 2083?)",
            "tls: it has no TLS version in common with us: 1.2 and 1.3 are spoken here",
            "tls: it ended the connection",
        ] {
            let (_, told) = world.test(&asking).await;
            assert!(told.ends_with(expected), "{expected} is missing: {told}");
        }
    });
}

/// A NAS with a UDP socket.
struct Nas {
    socket: UdpSocket,
    identifier: u8,
}

impl Nas {
    async fn new(port: u16) -> Nas {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        Nas { socket, identifier: 0 }
    }

    /// Asks about an address nobody knows; returns the code of the answer.
    async fn ask(&mut self, last: u8) -> Option<Code> {
        let secret = RadiusSecret::new(b"secret of the tests");
        self.identifier += 1;
        let (mut out, authenticator) = (Vec::new(), [self.identifier; 16]);
        request(self.identifier, last, &secret, &mut out);
        self.socket.send(&out).await.unwrap();
        let mut datagram = [0; MAX_PACKET_OCTETS];
        let length = timeout(Duration::from_secs(5), self.socket.recv(&mut datagram)).await.ok()?.unwrap();
        let packet = Packet::parse(&datagram[..length]).unwrap();
        assert_eq!(packet.identifier(), self.identifier);
        assert!(verify_response_authenticator(&packet, &secret, &authenticator));
        let signed = verify_message_authenticator(&packet, &secret, Some(&authenticator));
        assert_eq!(signed, MessageAuthenticator::Valid);
        Some(packet.code())
    }
}

/// An Access-Request as hostapd sends it for MAC-ACL; its authenticator is the identifier 16 times.
fn request(identifier: u8, last: u8, secret: &RadiusSecret, out: &mut Vec<u8>) {
    let mac = MacAddr([0, 0x1a, 0x11, 0, 0, last]);
    let plain = mac.to_string().replace(':', "");
    let mut builder = Builder::access_request(identifier, [identifier; 16], secret, out);
    builder.push(AttributeType::USER_NAME, plain.as_bytes()).unwrap();
    builder.push_user_password(plain.as_bytes()).unwrap();
    builder.push(AttributeType::CALLED_STATION_ID, b"02-00-00-00-00-AA:Home").unwrap();
    builder
        .push(AttributeType::CALLING_STATION_ID, mac.to_string().to_uppercase().replace(':', "-").as_bytes())
        .unwrap();
    builder.finish();
}

#[test]
fn a_request_goes_over_udp_and_tls_and_its_answer_comes_back() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        assert_eq!(serving.core.borrow().radius.stats.rejects, 1, "it was the server that said no");
        for last in 2..20 {
            assert_eq!(nas.ask(last).await, Some(Code::ACCESS_REJECT));
        }
        assert_eq!(serving.core.borrow().radius.stats.rejects, 19);
        assert_eq!(serving.radsec.connections(), 1, "all over one connection");
        assert_eq!(asking.core.borrow().proxy.waiting(), 0);
    });
}

#[test]
fn another_connection_is_made_when_one_is_lost_and_sessions_are_resumed() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (_asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        let resumed = || serving.radsec.open.borrow().values().map(|open| open.pipe.is_resumed()).collect::<Vec<_>>();
        assert_eq!(resumed(), [false]);
        serving.radsec.open.borrow().values().for_each(|open| open.pipe.close("for a test"));
        until("the connection is gone", || serving.radsec.connections() == 0).await;
        assert_eq!(nas.ask(2).await, Some(Code::ACCESS_REJECT));
        assert_eq!(resumed(), [true]);
    });
}

#[test]
fn certificates_are_read_again_and_only_good_connections_stay() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        // A new server certificate, and a second CA: whoever is connected stays.
        let other = Ca::root("Other CA");
        world.files.certificate("server", &world.ca, SERVER, |_| ());
        world.files.ca("ca.pem", &[&world.ca, &other]);
        serving.follow_files();
        asking.follow_files();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(serving.radsec.connections(), 1);
        // Half a file changes nothing.
        fs::write(world.files.path("server.crt"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
        fs::write(world.files.path("ca.pem"), "").unwrap();
        serving.follow_files();
        asking.follow_files();
        assert_eq!(nas.ask(2).await, Some(Code::ACCESS_REJECT));
        assert_eq!(serving.radsec.connections(), 1);
        let (ok, told) = world.test(&asking).await;
        assert!(ok, "the last good ones are used: {told}");
        until("the test is over", || serving.radsec.connections() == 1).await;
        // Now the CA of the client does not count any more.
        world.files.certificate("server", &world.ca, SERVER, |_| ());
        world.files.ca("ca.pem", &[&other]);
        serving.follow_files();
        until("the connection is closed", || serving.radsec.connections() == 0).await;
        let (_, told) = world.test(&asking).await;
        assert!(!told.contains("status-server"), "{told}");
    });
}

#[test]
fn a_client_that_is_not_in_the_configuration_any_more_is_disconnected() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (_asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        serving.reconfigure(|config| config.clients[0].radsec = Some("ap2.acme.example".into()));
        until("the connection is closed", || serving.radsec.connections() == 0).await;
        assert!(serving.core.borrow().radius.connections.is_empty());
    });
}

/// A client that can do anything after its handshake.
async fn stranger(world: &World) -> tokio_rustls::client::TlsStream<TcpStream> {
    let read = |name: &str| fs::read(world.files.path(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(world.ca.der.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(&read("client.crt")).unwrap()],
            PrivateKeyDer::from_pem_slice(&read("client.key")).unwrap(),
        )
        .unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from(SERVER).unwrap(), tcp).await.unwrap()
}

/// Everything that comes until the connection ends, 5 s at most.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await.expect("it is closed");
    all
}

#[test]
fn what_is_no_radius_ends_the_connection() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let secret = RadiusSecret::new(crate::radsec::SECRET);
        let (mut good, mut forged, mut malformed) = (Vec::new(), Vec::new(), Vec::new());
        request(1, 1, &secret, &mut good);
        request(2, 2, &RadiusSecret::new(b"another secret"), &mut forged);
        request(3, 3, &secret, &mut malformed);
        malformed[21] = 1;
        for (what, octets) in [
            ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            ("a length below 20", vec![1, 1, 0, 19]),
            ("a length above 4096", vec![1, 1, 0x10, 1]),
            ("an attribute of length 1", malformed),
            ("another secret", forged),
        ] {
            let mut stream = stranger(&world).await;
            stream.write_all(&[&good[..], &octets].concat()).await.unwrap();
            let answers = rest(stream).await;
            let packet = Packet::parse(&answers).expect("the good one was answered");
            assert_eq!((packet.identifier(), answers.len()), (1, packet.octets().len()), "{what}");
            until("it is closed", || serving.radsec.connections() == 0).await;
        }
    });
}

#[test]
fn requests_that_are_not_wanted_are_answered_by_protocol_error() {
    run(async {
        let world = World::new();
        let _serving = world.serve();
        let secret = RadiusSecret::new(crate::radsec::SECRET);
        let mut stream = stranger(&world).await;
        let (mut unwanted, mut answer, mut status) = (Vec::new(), Vec::new(), Vec::new());
        Builder::disconnect_request(9, &secret, &mut unwanted).finish();
        Builder::status_server(0, [5; 16], &secret, &mut status).finish();
        // An answer to nothing is passed over: it would never end.
        Builder::reply(Code::DISCONNECT_ACK, &Packet::parse(&unwanted).unwrap(), &secret, &mut answer).finish();
        stream.write_all(&[&answer[..], &unwanted, &status].concat()).await.unwrap();
        let (mut octets, mut packets) = ([0; 4096], Stream::default());
        let mut codes = Vec::new();
        while codes.len() < 2 {
            let length = timeout(Duration::from_secs(5), stream.read(&mut octets)).await.unwrap().unwrap();
            let mut input = &octets[..length];
            while let Some(packet) = packets.next(&mut input).unwrap() {
                let packet = Packet::parse(packet).unwrap();
                if packet.code() == Code::PROTOCOL_ERROR {
                    let cause = packet.find_u32(AttributeType::ERROR_CAUSE);
                    assert_eq!(cause, Some(error_cause::UNSUPPORTED_EXTENSION));
                    assert_eq!(packet.find(AttributeType::EXTENDED_1), Some(&[4, 0, 0, 0, 40][..]));
                    let request = *Packet::parse(&unwanted).unwrap().authenticator();
                    assert!(verify_response_authenticator(&packet, &secret, &request));
                }
                codes.push((packet.code(), packet.identifier()));
            }
        }
        assert_eq!(codes, [(Code::PROTOCOL_ERROR, 9), (Code::ACCESS_ACCEPT, 0)]);
    });
}

#[test]
fn accounting_comes_over_the_same_connection() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let secret = RadiusSecret::new(crate::radsec::SECRET);
        let mut stream = stranger(&world).await;
        let mut start = Vec::new();
        let mut builder = Builder::accounting_request(7, &secret, &mut start);
        builder.push_u32(AttributeType::ACCT_STATUS_TYPE, 1).unwrap();
        builder.push(AttributeType::ACCT_SESSION_ID, b"0011").unwrap();
        builder.push(AttributeType::CALLING_STATION_ID, b"00-1A-11-00-00-07").unwrap();
        builder.finish();
        stream.write_all(&start).await.unwrap();
        let mut octets = [0; 4096];
        let length = stream.read(&mut octets).await.unwrap();
        let answer = Packet::parse(&octets[..length]).unwrap();
        assert_eq!((answer.code(), answer.identifier()), (Code::ACCOUNTING_RESPONSE, 7));
        let core = serving.core.borrow();
        assert!(core.sessions.iter().any(|(key, _)| &*key.client == "ap1"));
    });
}

#[test]
fn who_does_not_finish_a_handshake_does_not_stay() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let connect = async || TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
        // TLS 1.1 at most: a ClientHello with one old cipher suite.
        let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
        let hello = [&[0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8][..], &body].concat();
        for (what, octets) in [("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec()), ("TLS 1.1", hello)] {
            let mut stream = connect().await;
            stream.write_all(&octets).await.unwrap();
            let alert = rest(stream).await;
            assert_eq!(alert.first(), Some(&0x15), "{what} is answered by an alert");
        }
        // Slowly, and not at all.
        let mut slow = connect().await;
        let silent = connect().await;
        slow.write_all(&[0x16, 3, 1, 0, 200, 1]).await.unwrap();
        until("both wait", || serving.radsec.door.len() == 2).await;
        rest(slow).await;
        rest(silent).await;
        assert!(serving.radsec.door.len() == 0 && serving.radsec.connections() == 0);
    });
}

#[test]
fn handshakes_and_connections_are_limited() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let mut waiting = Vec::new();
        for _ in 0..super::door::OF_ONE {
            waiting.push(TcpStream::connect(("127.0.0.1", world.port)).await.unwrap());
        }
        until("all wait", || serving.radsec.door.len() == super::door::OF_ONE).await;
        let one_more = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
        assert_eq!(rest(one_more).await, b"");
        drop(waiting);
        until("all have gone", || serving.radsec.door.len() == 0).await;
        let mut open = Vec::new();
        for _ in 0..super::OF_ONE + 2 {
            open.push(stranger(&world).await);
            let newest = serving.radsec.next.get();
            until("it is open", || serving.radsec.next.get() > newest || serving.radsec.connections() > 0).await;
        }
        until("there are as many as there may be", || serving.radsec.connections() == super::OF_ONE).await;
        // The oldest had to go.
        assert_eq!(rest(open.remove(0)).await, b"");
    });
}

#[test]
fn a_client_that_does_not_read_is_disconnected_before_its_answers_fill_the_memory() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let secret = RadiusSecret::new(crate::radsec::SECRET);
        let mut stream = stranger(&world).await;
        let mut flood = Vec::new();
        for n in 0..=255u8 {
            let mut status = Vec::new();
            Builder::status_server(n, [n; 16], &secret, &mut status).finish();
            flood.extend(status);
        }
        // It writes and never reads, until it cannot write either.
        let written = async { while stream.write_all(&flood).await.is_ok() {} };
        timeout(Duration::from_secs(25), written).await.expect("it is disconnected");
        until("it is gone", || serving.radsec.connections() == 0).await;
    });
}

#[test]
fn a_request_of_ours_goes_to_the_client_over_its_connection() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let secret = RadiusSecret::new(crate::radsec::SECRET);
        let mut out = Vec::new();
        Builder::disconnect_request(3, &secret, &mut out).finish();
        assert!(!serving.send_to_client("ap1", &out), "it is not connected");
        let mut stream = stranger(&world).await;
        until("it is connected", || serving.radsec.connections() == 1).await;
        assert!(serving.send_to_client("ap1", &out));
        let mut octets = [0; 4096];
        let length = timeout(Duration::from_secs(5), stream.read(&mut octets)).await.unwrap().unwrap();
        assert_eq!(octets[..length], out);
    });
}

/// Opens and closes sockets as the configuration has them.
fn rebind(serving: &Started) {
    let config = serving.core.borrow().config.clone();
    let opened = serving.radsec.bind(&config).unwrap();
    serving.radsec.put(serving, &config, opened);
}

#[test]
fn a_server_that_does_not_take_its_tickets_back_is_connected_to_with_full_handshakes() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (_asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        // The next connection is ended as soon as it has begun, as if for its ticket.
        let listen = world.port;
        serving.reconfigure(|config| config.radsec.listen.clear());
        rebind(&serving);
        tokio::task::yield_now().await;
        let listener = loop {
            match tokio::net::TcpListener::bind(("127.0.0.1", listen)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        serving.radsec.open.borrow().values().for_each(|open| open.pipe.close("for a test"));
        until("the connection is gone", || serving.radsec.connections() == 0).await;
        let refuse = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            let length = stream.read(&mut hello).await.unwrap();
            // pre_shared_key is the last extension (RFC 8446, 4.2.11): with a ticket the ClientHello is long.
            assert!(length > 500, "it has a ticket: {length} octets");
            stream.write_all(b"\x15\x03\x03\x00\x02\x02\x50").await.unwrap();
            drop(listener);
            serving.reconfigure(|config| config.radsec.listen = vec![format!("127.0.0.1:{listen}").parse().unwrap()]);
            rebind(&serving);
        };
        let (answer, ()) = tokio::join!(nas.ask(2), refuse);
        assert_eq!(answer, Some(Code::ACCESS_REJECT));
        let resumed: Vec<bool> = serving.radsec.open.borrow().values().map(|open| open.pipe.is_resumed()).collect();
        assert_eq!(resumed, [false]);
    });
}

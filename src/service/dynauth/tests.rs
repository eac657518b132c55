//! Requests of servers, from datagram to datagram.

use super::*;
use crate::discovery::message::tests::octets;
use crate::registry::Registry;
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::{BoundMac, Device, DeviceId};
use crate::registry::tests::device;
use crate::secret::PseudonymKey;
use crate::service::disconnect::To;
use crate::service::grants::{Credential, Grant, Onboarding, Vouched};
use crate::service::revocation::Order;
use crate::service::sessions::Session;
use crate::time::UnixTime;
use crate::wire::radius::{Builder, verify_response_authenticator};
use proptest::prelude::*;

mod changes;

const CONFIG: &str = "
config client 'local'
	option address '127.0.0.1'
	option secret 'the long secret of the tests'
config client 'ap2'
	option address '192.0.2.7'
	option secret 'the long secret of the tests'
	option disconnect_port '3799'
config client 'deaf'
	option address '192.0.2.8'
	option secret 'the long secret of the tests'
config profile 'iot'
	option vlan '20'
config ssid
	option ssid 'Home'
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://192.0.2.1'
	list server 'udp://radius.acme.example'
	option secret 'the long secret of acme'
	option profile 'iot'
	option session_timeout '7200'
config realm 'beta'
	list realm 'beta.example'
	list server 'udp://192.0.2.2'
	option secret 'the long secret of beta'
	option profile 'iot'
	option mac 'pseudonym'
config realm 'gamma'
	list realm 'gamma.example'
	list server 'udp://192.0.2.1'
	option secret 'the long secret of gamma'
	option profile 'iot'
config realm 'online'
	list realm 'default'
	list server 'udp://192.0.2.9'
	option secret 'the long secret of online'
	option profile 'iot'
	option placement 'server'
";

const ACME: &str = "192.0.2.1:40000";
const BETA: &str = "192.0.2.2:40000";
const ONLINE: &str = "192.0.2.9:40000";
const BSS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);
const AP2: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xbb]);

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

fn secret(of: &str) -> RadiusSecret {
    RadiusSecret::new(format!("the long secret of {of}").as_bytes())
}

struct Scene {
    core: Core,
    now: Now,
    identifier: u8,
}

/// Attributes of a request.
type Attributes<'a> = &'a [(AttributeType, &'a [u8])];

const CALLING: AttributeType = AttributeType::CALLING_STATION_ID;
const LAMP: (AttributeType, &[u8]) = (CALLING, b"00-1A-11-00-00-01");

impl Scene {
    /// On this box: 1 (lamp, registered) and 2 (of acme, not registered), 3 (of beta), 4 (ours). At ap2: 5 (of acme). At a deaf
    /// access point: 6 (of acme). 7 (of the online server) is here. 8 is a device of acme of which no answer is remembered.
    fn new() -> Scene {
        let config = Config::parse(CONFIG).expect("the configuration of the tests");
        let of_acme = |id: u32, name: &str, station| {
            let mut device: Device = device(id, name, "iot", &format!("key number {id}"));
            let known_by = KnownBy::Peer { realm: "acme".into(), identity: format!("{name}@acme.example").into() };
            let certificate = Certificate {
                known_by,
                subject: "".into(),
                not_after: None,
                mud_url: None,
                issued: false,
                since: UnixTime(1),
            };
            device.eap = Some(Box::new(EapCredentials { psk: None, certificates: vec![certificate], serial: 1 }));
            device.macs = vec![BoundMac { mac: mac(station), proved: true, since: UnixTime(1) }];
            device
        };
        let registry = Registry::load(vec![of_acme(1, "lamp", 1), of_acme(2, "cam", 8)], vec![], vec![], DeviceId(3));
        let now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
        let mut core = Core::new(config.into(), registry, now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
        core.proxy.pseudonyms = Some(PseudonymKey::new([7; 32]));
        core.stations.up(&"wlan0".into(), b"Home", Some(BSS));
        let mut scene = Scene { core, now, identifier: 0 };
        for (station, realm, bssid, client) in [
            (1, Some("acme"), BSS, "local"),
            (2, Some("acme"), BSS, "local"),
            (3, Some("beta"), BSS, "local"),
            (4, None, BSS, "local"),
            (5, Some("acme"), AP2, "ap2"),
            (6, Some("acme"), MacAddr([2, 0, 0, 0, 0, 0xcc]), "deaf"),
            (7, Some("online"), BSS, "local"),
        ] {
            scene.joins(station, realm, bssid, client);
        }
        scene.core.stations.connected("wlan0", mac(8));
        scene
    }

    fn joins(&mut self, station: u8, realm: Option<&str>, bssid: MacAddr, client: &str) {
        let vouched = realm.map(|realm| {
            Arc::new(Vouched {
                realm: realm.into(),
                user_name: format!("@{realm}.example").into_bytes().into(),
                accepted_name: Some(format!("d{station}@{realm}.example").into_bytes().into()),
                cui: Some([b'c', station].into()),
                class: Some([b'k', station].into()),
            })
        });
        let grant = Grant {
            devices: if station == 1 { vec![(DeviceId(1), 1)] } else { vec![] },
            credential: Credential::Eap,
            voucher: None,
            vouched: vouched.clone(),
            vlan: Some(20),
            profile: "iot".into(),
            client: client.into(),
            nas: client.into(),
            ssid: b"Home"[..].into(),
            at: self.now.mono,
            proved: true,
            reported: false,
            attempt: 0,
            onboarding: Onboarding::No,
        };
        self.core.grants.insert((mac(station), bssid), grant);
        let session = Session {
            device: (station == 1).then_some(DeviceId(1)),
            bssid: Some(bssid),
            ssid: b"Home"[..].into(),
            nas: client.into(),
            multi_id: [b'm', station].into(),
            nas_identifier: client.as_bytes().into(),
            from: IpAddr::from(match client {
                "local" => [127, 0, 0, 1],
                "ap2" => [192, 0, 2, 7],
                _ => [192, 0, 2, 8],
            }),
            vlan: Some(20),
            profile: Some("iot".into()),
            vouched,
            proved: true,
            since: self.now.wall,
            updated: self.now.wall,
            bytes_in: 0,
            bytes_out: 0,
            address: None,
        };
        let key = SessionKey { client: client.into(), id: [b's', station].into(), mac: mac(station) };
        self.core.sessions.update(key, session);
        if bssid == BSS {
            self.core.stations.connected("wlan0", mac(station));
        }
    }

    fn request(&mut self, change: bool, of: &str, attributes: Attributes<'_>) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        let (secret, mut out) = (secret(of), Vec::new());
        let mut builder = match change {
            false => Builder::disconnect_request(self.identifier, &secret, &mut out),
            true => Builder::coa_request(self.identifier, &secret, &mut out),
        };
        for (kind, value) in attributes {
            builder.push(*kind, value).expect("fits");
        }
        builder.finish();
        out
    }

    fn receive(&mut self, from: &str, datagram: &[u8]) -> Option<Vec<u8>> {
        let (from, mut out) = (from.parse::<SocketAddr>().expect("an address"), vec![9; 9]);
        receive_udp(&mut self.core, from.into(), datagram, self.now, &mut out).then_some(out)
    }

    /// A request and the answer: its code and Error-Cause; nothing when there is none yet.
    fn ask(&mut self, change: bool, of: &str, from: &str, attributes: Attributes<'_>) -> Option<(Code, Option<u32>)> {
        let request = self.request(change, of, attributes);
        let answer = self.receive(from, &request)?;
        Some(check(&request, &answer, of))
    }

    fn disconnect(&mut self, attributes: Attributes<'_>) -> Option<(Code, Option<u32>)> {
        self.ask(false, "acme", ACME, attributes)
    }

    fn change(&mut self, attributes: Attributes<'_>) -> Option<(Code, Option<u32>)> {
        self.ask(true, "acme", ACME, attributes)
    }

    /// Time passes, and nothing else.
    fn pass(&mut self, ms: u64) {
        self.now.mono += Duration::from_millis(ms);
        self.now.wall.0 += (ms / 1000) as i64;
        self.core.step_dynauth(self.now);
    }

    /// hostapd does as it is told. Returns whom it took off.
    fn carry_out(&mut self) -> Vec<MacAddr> {
        let mut off = Vec::new();
        for order in self.core.revocation.take_orders() {
            if let Order::Off { mac, why, .. } = order {
                assert_eq!(why, Why::Upstream);
                self.core.stations.disconnected("wlan0", mac);
                off.push(mac);
            }
        }
        off
    }

    /// What goes to other boxes.
    fn sent(&mut self) -> Vec<(To, Vec<u8>)> {
        let mut sent = Vec::new();
        self.now.mono = self.now.mono.max(Instant::now());
        self.core.send_disconnects(self.now, |to, packet| {
            sent.push((to.clone(), packet.to_vec()));
            true
        });
        sent
    }

    fn answer(&mut self) -> Option<(Reply, Vec<u8>)> {
        self.core.dynauth.take_answer()
    }

    /// The latest event: whose, its code and the words.
    fn last(&self) -> (Option<String>, &'static str, String) {
        let event = self.core.events.iter().next_back().expect("an event");
        (event.device.as_ref().map(|name| name.to_string()), event.reason.code(), event.to_string())
    }
}

/// Checks an answer, and says what it is.
fn check(request: &[u8], answer: &[u8], of: &str) -> (Code, Option<u32>) {
    let (request, answer) = (Packet::parse(request).expect("a packet"), Packet::parse(answer).expect("a packet"));
    assert_eq!(request.identifier(), answer.identifier());
    assert!(verify_response_authenticator(&answer, &secret(of), request.authenticator()));
    let signed = verify_message_authenticator(&answer, &secret(of), Some(request.authenticator()));
    assert_eq!(signed, MessageAuthenticator::Valid);
    let first = answer.attributes().next().map(|attribute| attribute.kind);
    assert_eq!(first, Some(AttributeType::MESSAGE_AUTHENTICATOR));
    let states = |packet: &Packet<'_>| {
        packet.find_all(AttributeType::PROXY_STATE).map(|state| state.value.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(states(&request), states(&answer));
    (answer.code(), answer.find_u32(AttributeType::ERROR_CAUSE))
}

fn nak(cause: u32) -> Option<(Code, Option<u32>)> {
    Some((Code::DISCONNECT_NAK, Some(cause)))
}

fn coa_nak(cause: u32) -> Option<(Code, Option<u32>)> {
    Some((Code::COA_NAK, Some(cause)))
}

#[test]
fn literal_packets() {
    let mut scene = Scene::new();
    let request = octets(
        "28070043e23aa47255d44f2cf618fb47c72ae727 501205ab289b784af60ae695c9e8164e45fe \
         1f1330302d31412d31312d30302d30302d3031 37066b49d200 21047078",
    );
    assert_eq!(scene.receive(ACME, &request), None, "not before it is done");
    assert_eq!(scene.answer(), None);
    scene.pass(5);
    assert_eq!(scene.answer(), None, "hostapd was not told yet");
    assert_eq!(scene.carry_out(), [mac(1)]);
    scene.pass(7);
    let ack = octets("2907002a955c686479bc81eb794dd550a7db7444 5012d70c55350555fa53049dd9c318d17fb0 21047078");
    let reply = Reply::Udp(ACME.parse::<SocketAddr>().expect("an address").into());
    assert_eq!(scene.answer(), Some((reply, ack.clone())));
    let words = "acme asked to disconnect it: done in 12 ms".to_owned();
    assert_eq!(scene.last(), (Some("lamp".into()), "asked_to_disconnect", words));
    assert_eq!(scene.receive(ACME, &request), Some(ack), "asked again, the answer is the same to the octet");
    assert_eq!((scene.carry_out(), scene.core.events.iter().count()), (vec![], 1), "and nothing is done");

    let request = octets(
        "2b080045f45831088630a864cc5a9acf20bcff7e 50124d6a5b87004acc8fe6e87d217456f19c \
         1f1330302d31412d31312d30302d30302d3039 0b0c71756172616e74696e65",
    );
    let nak = octets("2d08002cc8bfc9d62dde84c8b73405a809afeada 5012af11099604371b50dca31a04ab250235 650600000191");
    assert_eq!(scene.receive(ACME, &request), Some(nak));
    let (_, code, words) = scene.last();
    assert_eq!(code, "asked_in_vain");
    assert!(words.contains("it would change what is ours (VLAN, filter)"), "{words}");
}

#[test]
fn what_is_asked_for_by_others() {
    for (station, realms_with_it) in [
        (b'1', &["acme"][..]),
        (b'2', &["acme"]),
        (b'3', &[]),
        (b'4', &[]),
        (b'7', &["online"]),
        (b'8', &["acme"]),
        (b'9', &[]),
    ] {
        for (realm, from) in [("acme", ACME), ("beta", BETA), ("gamma", ACME), ("online", ONLINE)] {
            let mut scene = Scene::new();
            let address = [b"00-1A-11-00-00-0", &[station][..]].concat();
            let answer = scene.ask(false, realm, from, &[(CALLING, &address)]);
            let expected = if realms_with_it.contains(&realm) { None } else { nak(503) };
            assert_eq!(answer, expected, "{realm} asks for {}", char::from(station));
            assert_eq!(scene.carry_out().len(), usize::from(expected.is_none()));
        }
    }
}

#[test]
fn all_that_is_named_must_fit() {
    let name = AttributeType::USER_NAME;
    let session = AttributeType::ACCT_SESSION_ID;
    let multi = AttributeType::ACCT_MULTI_SESSION_ID;
    let (class, cui) = (AttributeType::CLASS, AttributeType::CHARGEABLE_USER_IDENTITY);
    let (nas, nas_ip) = (AttributeType::NAS_IDENTIFIER, AttributeType::NAS_IP_ADDRESS);
    for (attributes, expected) in [
        (
            &[LAMP, (name, b"d1@acme.example"), (session, b"s1"), (multi, b"m1"), (class, b"k\x01"), (cui, b"c\x01")][..],
            None,
        ),
        (&[(name, b"d1@acme.example")], None),
        (&[(session, b"s\x01")], None),
        (&[(multi, b"m\x01")], None),
        (&[(class, b"k\x01")], None),
        (&[(cui, b"c\x01")], None),
        (&[LAMP, (name, b"d2@acme.example")], nak(503)),
        (&[LAMP, (session, b"s\x02")], nak(503)),
        (&[LAMP, (multi, b"m\x02")], nak(503)),
        (&[LAMP, (class, b"k\x02")], nak(503)),
        (&[LAMP, (cui, b"c\x02")], nak(503)),
        (&[(name, b"nobody@acme.example")], nak(503)),
        // The NAS: the one of the session, or what they know us as.
        (&[LAMP, (nas, b"local")], None),
        (&[LAMP, (nas_ip, &[127, 0, 0, 1])], None),
        (&[LAMP, (nas_ip, &[198, 51, 100, 1])], None),
        (&[LAMP, (nas, b"ap2")], nak(403)),
        (&[LAMP, (nas_ip, &[192, 0, 2, 7])], nak(403)),
        (&[(CALLING, b"00-1A-11-00-00-09"), (nas, b"elsewhere")], nak(403)),
        (&[(CALLING, b"00-1A-11-00-00-09"), (nas, b"own name")], nak(503)),
        // What it cannot mean.
        (&[], nak(402)),
        (&[(nas, b"local")], nak(402)),
        (&[(CALLING, b"not an address")], nak(407)),
        (&[LAMP, (nas_ip, &[1, 2, 3])], nak(407)),
        (&[LAMP, (AttributeType::EVENT_TIMESTAMP, &[1])], nak(407)),
        (&[LAMP, LAMP], nak(404)),
        (&[(name, b"a"), (name, b"a")], nak(404)),
        // What a Disconnect-Request cannot have.
        (&[LAMP, (AttributeType::SESSION_TIMEOUT, &[0, 0, 0, 60])], nak(401)),
        (&[LAMP, (AttributeType::SERVICE_TYPE, &[0, 0, 0, 17])], nak(401)),
        (&[LAMP, (AttributeType::STATE, b"x")], nak(401)),
        (&[LAMP, (AttributeType::VENDOR_SPECIFIC, b"\0\0\x2c\x50x")], nak(401)),
        (&[LAMP, (AttributeType::FRAMED_IP_ADDRESS, &[192, 0, 2, 1])], nak(401)),
        // What makes no difference.
        (&[LAMP, (AttributeType::REPLY_MESSAGE, b"bye"), (AttributeType::ACCT_TERMINATE_CAUSE, &[0, 0, 0, 6])], None),
    ] {
        let mut scene = Scene::new();
        scene.core.dynauth.set_own(vec![IpAddr::from([198, 51, 100, 1])]);
        let mut config = (*scene.core.config).clone();
        config.eap.server_name = "own name".into();
        scene.core.config = config.into();
        // The first row has the names as they are: octets, not digits.
        let attributes: Vec<(AttributeType, &[u8])> = attributes
            .iter()
            .map(|(kind, value)| match (*kind, *value) {
                (kind, b"s1") if kind == session => (kind, &b"s\x01"[..]),
                (kind, b"m1") if kind == multi => (kind, &b"m\x01"[..]),
                other => other,
            })
            .collect();
        assert_eq!(scene.disconnect(&attributes), expected, "{attributes:?}");
        assert_eq!(scene.carry_out().len(), usize::from(expected.is_none()), "{attributes:?}");
        if expected.is_some() {
            let (_, code, words) = scene.last();
            assert!(code == "asked_in_vain" && words.starts_with("acme asked to disconnect it: "), "{words}");
        }
    }
}

#[test]
fn a_device_without_a_remembered_answer_is_known_by_its_identity() {
    let name = AttributeType::USER_NAME;
    let eight: (AttributeType, &[u8]) = (CALLING, b"00-1A-11-00-00-08");
    for (attributes, expected) in [
        (&[eight][..], None),
        (&[eight, (name, b"cam@acme.example")], None),
        (&[eight, (name, b"lamp@acme.example")], nak(503)),
        (&[eight, (AttributeType::CLASS, b"x")], nak(503)),
        (&[eight, (AttributeType::ACCT_SESSION_ID, b"x")], nak(503)),
    ] {
        let mut scene = Scene::new();
        assert_eq!(scene.disconnect(attributes), expected, "{attributes:?}");
    }
}

#[test]
fn a_pseudonym_is_what_its_servers_know_a_device_by() {
    let mut scene = Scene::new();
    let told = scene.core.pseudonym("beta", mac(3));
    assert_eq!(scene.ask(false, "beta", BETA, &[(CALLING, mac(3).to_string().as_bytes())]), nak(503));
    assert_eq!(scene.ask(false, "beta", BETA, &[(CALLING, told.to_string().as_bytes())]), None);
    assert_eq!(scene.carry_out(), [mac(3)]);
    assert_eq!(scene.ask(false, "acme", ACME, &[(CALLING, told.to_string().as_bytes())]), nak(503));
}

#[test]
fn a_shorter_stay_ends_where_the_address_is_a_pseudonym() {
    let mut scene = Scene::new();
    let told = scene.core.pseudonym("beta", mac(3)).to_string();
    let attributes: Attributes<'_> = &[(CALLING, told.as_bytes()), (AttributeType::SESSION_TIMEOUT, &[0, 0, 0, 60])];
    assert_eq!(scene.ask(true, "beta", BETA, attributes), Some((Code::COA_ACK, None)));
    scene.pass(60_000);
    scene.core.tick_stays(scene.now);
    assert_eq!(scene.carry_out(), [mac(3)]);
}

#[test]
fn what_is_dropped() {
    let mut scene = Scene::new();
    let good = scene.request(false, "acme", &[LAMP]);
    let mut bare = Vec::new();
    let acme = secret("acme");
    // As an Accounting-Request is signed, but with another code: the request authenticator only.
    let mut builder = Builder::accounting_request(1, &acme, &mut bare);
    builder.push(CALLING, LAMP.1).expect("fits");
    builder.finish();
    let unsigned = {
        use md5::{Digest, Md5};
        let mut packet = bare.clone();
        packet[0] = Code::DISCONNECT_REQUEST.0;
        packet[4..20].fill(0);
        let digest = Md5::new().chain_update(&packet).chain_update(acme.expose()).finalize();
        packet[4..20].copy_from_slice(&digest);
        assert!(verify_request_authenticator(&Packet::parse(&packet).expect("a packet"), &acme));
        packet
    };
    let mut flipped = good.clone();
    flipped[50] ^= 1;
    for (what, from, datagram) in [
        ("from nobody", "192.0.2.3:40000", good.clone()),
        ("from another realm's server", BETA, good.clone()),
        ("another secret", ACME, scene.request(false, "beta", &[LAMP])),
        ("no Message-Authenticator", ACME, unsigned),
        ("another code", ACME, bare),
        ("garbled", ACME, flipped),
        ("cut off", ACME, good[..30].to_vec()),
        ("empty", ACME, vec![]),
    ] {
        assert_eq!(scene.receive(from, &datagram), None, "{what}");
    }
    let stats = scene.core.dynauth.stats;
    assert_eq!((stats.unknown, stats.forged, stats.requests), (1, 7, 0));
    assert!(scene.carry_out().is_empty() && scene.core.events.iter().next().is_none() && !scene.core.dynauth.is_busy());
    assert_eq!(scene.receive("[::ffff:192.0.2.1]:40000", &good), None);
    assert_eq!(scene.carry_out(), [mac(1)], "the same host");
}

#[test]
fn resolved_names_count_until_they_leave_the_configuration() {
    let (mut scene, there) = (Scene::new(), "198.51.100.7:1");
    assert_eq!(scene.ask(false, "acme", there, &[LAMP]), None);
    assert_eq!(scene.core.dynauth.stats.unknown, 1);
    scene.core.dynauth.resolved("radius.acme.example", &[IpAddr::from([198, 51, 100, 7])]);
    assert_eq!(scene.ask(false, "acme", there, &[LAMP]), None);
    assert_eq!(scene.carry_out(), [mac(1)]);
    for n in 0..200 {
        scene.core.dynauth.resolved(&format!("n{n}.example"), &[IpAddr::from([198, 51, 100, 8])]);
    }
    assert_eq!(scene.core.dynauth.resolved.len(), RESOLVED);
    let config = scene.core.config.clone();
    scene.core.dynauth.configure(&config);
    assert_eq!(scene.core.dynauth.resolved.len(), 1);
}

#[test]
fn recorded_requests_are_stale() {
    for (seconds, fresh) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
        let mut scene = Scene::new();
        let at = (1_800_000_000i64 + seconds) as u32;
        scene.disconnect(&[LAMP, (AttributeType::EVENT_TIMESTAMP, &at.to_be_bytes())]);
        assert_eq!(scene.carry_out().len(), usize::from(fresh), "{seconds}");
        assert_eq!(scene.core.dynauth.stats.stale, u64::from(!fresh));
    }
    // Whoever does not know the time cannot judge it.
    let mut scene = Scene::new();
    let before = Now { wall: UnixTime(1000), ..scene.now };
    scene.core.time = crate::service::clock::Clock::new(&Registry::default(), before);
    scene.now = before;
    scene.disconnect(&[LAMP, (AttributeType::EVENT_TIMESTAMP, &1_800_000_000u32.to_be_bytes())]);
    assert_eq!(scene.carry_out(), [mac(1)]);
}

#[test]
fn too_many_at_once_are_dropped_and_memory_is_bounded() {
    let mut scene = Scene::new();
    for _ in 0..150 {
        scene.disconnect(&[(CALLING, b"00-1A-11-00-00-09")]);
    }
    let stats = scene.core.dynauth.stats;
    assert_eq!((stats.naks, stats.limited), (100, 50));
    assert_eq!(scene.core.events.iter().map(|event| event.count).collect::<Vec<_>>(), [100], "one event for all");
    assert_eq!(scene.ask(false, "beta", BETA, &[LAMP]), nak(503), "another one's has not suffered");
    let mut scene = Scene::new();
    let answers: Vec<_> = (0..WORK + 5).map(|_| scene.disconnect(&[LAMP])).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), WORK);
    assert_eq!(answers.last(), Some(&nak(506)));
    assert_eq!(scene.core.dynauth.work.len(), WORK);
}

#[test]
fn a_station_that_stays_is_told_so_within_a_second() {
    let mut scene = Scene::new();
    let request = scene.request(false, "acme", &[LAMP]);
    assert_eq!(scene.receive(ACME, &request), None);
    assert_eq!(scene.receive(ACME, &request), None, "it is in work");
    assert_eq!(scene.core.dynauth.stats.duplicates, 1);
    scene.core.revocation.take_orders();
    scene.pass(900);
    assert_eq!(scene.answer(), None);
    scene.pass(60);
    let (_, answer) = scene.answer().expect("an answer");
    assert_eq!(Some(check(&request, &answer, "acme")), nak(506));
    assert!(!scene.core.dynauth.is_busy());
    let (_, _, words) = scene.last();
    assert!(words.ends_with("its access point did not do it within a second (Error-Cause 506)"), "{words}");
}

#[test]
fn another_access_point_is_asked_in_its_turn() {
    let five: (AttributeType, &[u8]) = (CALLING, b"00-1A-11-00-00-05");
    for (answer, expected) in [
        (Some((Code::DISCONNECT_ACK, None)), (Code::DISCONNECT_ACK, None)),
        (Some((Code::DISCONNECT_NAK, Some(503))), (Code::DISCONNECT_NAK, Some(503))),
        (Some((Code::DISCONNECT_NAK, Some(403))), (Code::DISCONNECT_NAK, Some(403))),
        (Some((Code::DISCONNECT_NAK, None)), (Code::DISCONNECT_NAK, Some(506))),
        (None, (Code::DISCONNECT_NAK, Some(506))),
    ] {
        let mut scene = Scene::new();
        let request = scene.request(false, "acme", &[five, (AttributeType::PROXY_STATE, b"theirs")]);
        assert_eq!(scene.receive(ACME, &request), None);
        let sent = scene.sent();
        let [(to, packet)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(*to, To::Udp("192.0.2.7:3799".parse().expect("an address")));
        let parsed = Packet::parse(packet).expect("a packet");
        assert_eq!(parsed.find(AttributeType::PROXY_STATE), None, "hostapd takes none");
        scene.pass(10);
        assert_eq!(scene.answer(), None);
        if let Some((code, cause)) = answer {
            let mut out = Vec::new();
            let tests = secret("the tests");
            let mut builder = Builder::reply(code, &parsed, &tests, &mut out);
            if let Some(cause) = cause {
                builder.push_u32(AttributeType::ERROR_CAUSE, cause).expect("fits");
            }
            builder.finish();
            scene.core.receive_disconnect(to, &out, scene.now);
            scene.pass(1);
        } else {
            scene.pass(1000);
        }
        let (_, answer) = scene.answer().expect("an answer");
        assert_eq!(check(&request, &answer, "acme"), expected);
        assert!(scene.carry_out().is_empty());
    }
    let mut scene = Scene::new();
    assert_eq!(scene.disconnect(&[(CALLING, b"00-1A-11-00-00-06")]), nak(502));
    let (_, _, words) = scene.last();
    assert!(words.contains("set option disconnect_port"), "{words}");
}

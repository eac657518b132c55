//! Requests under way, and what NASes answer.

use super::*;
use crate::config::Config;
use crate::registry::Registry;
use crate::registry::device::{Change, Device, DeviceId};
use crate::registry::tests::device;
use crate::service::grants::Vouched;
use crate::wire::radius::verify_request_authenticator;
use proptest::prelude::*;
use std::net::IpAddr;

const CONFIG: &str = "
config client 'ap2'
	option address '192.0.2.0/24'
	option secret 'secret of the tests'
	option disconnect_port '3799'
config client 'deaf'
	option address '198.51.100.1'
	option secret 'secret of the tests'
config client 'old'
	option address '203.0.113.1'
	option secret 'secret of the tests'
	option message_authenticator 'optional'
	option disconnect_port '1700'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config ssid
	option ssid 'Home'
";

fn secret() -> RadiusSecret {
    RadiusSecret::new(b"secret of the tests")
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

struct Scene {
    core: Core,
    now: Now,
}

/// What was sent: where to, and the octets.
type Sent = Vec<(SocketAddr, Vec<u8>)>;

impl Scene {
    /// lamp (1) has address 1 and a session at ap2.
    fn new() -> Scene {
        let config = Config::parse(CONFIG).expect("the configuration of the tests");
        let mut lamp = device(1, "lamp", "iot", "qx-key-of-its-own");
        lamp.macs = vec![crate::registry::device::BoundMac { mac: mac(1), proved: true, since: UnixTime(1) }];
        let registry = Registry::load(vec![lamp], vec![], vec![], DeviceId(2));
        let now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
        let core = Core::new(config.into(), registry, now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
        let mut scene = Scene { core, now };
        scene.joins("ap2", [192, 0, 2, 7], 1, b"s1");
        scene
    }

    fn joins(&mut self, client: &str, from: [u8; 4], station: u8, id: &[u8]) {
        let session = Session {
            device: Some(DeviceId(1)),
            bssid: Some(MacAddr([2, 0, 0, 0, 0, 0xbb])),
            ssid: b"Home"[..].into(),
            nas: client.into(),
            multi_id: Box::default(),
            nas_identifier: b"attic"[..].into(),
            from: IpAddr::from(from),
            vlan: Some(20),
            profile: Some("iot".into()),
            vouched: None,
            proved: true,
            since: self.now.wall,
            updated: self.now.wall,
            bytes_in: 0,
            bytes_out: 0,
            address: None,
        };
        self.core.sessions.update(SessionKey { client: client.into(), id: id.into(), mac: mac(station) }, session);
    }

    fn change(&mut self, edit: impl FnOnce(&mut Device)) {
        let mut lamp = self.core.registry.get(DeviceId(1)).expect("registered").clone();
        edit(&mut lamp);
        self.core.apply(&[Change::Put(vec![lamp])]);
    }

    fn block(&mut self) {
        self.change(|lamp| lamp.blocked = true);
    }

    fn send(&mut self) -> Sent {
        // The orders carry the time of the real clock.
        self.now.mono = self.now.mono.max(Instant::now());
        let mut sent = Vec::new();
        self.core.send_disconnects(self.now, |to, packet| match to {
            To::Udp(to) => {
                sent.push((*to, packet.to_vec()));
                true
            }
            To::Client(_) => false,
        });
        sent
    }

    fn pass(&mut self, seconds: u64) {
        self.now.wall.0 += seconds as i64;
        self.now.mono += Duration::from_secs(seconds);
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.core.receive_disconnect(&To::Udp(from), datagram, self.now);
    }

    /// The latest event: code of the reason, and the words.
    fn last(&self) -> Option<(&'static str, String)> {
        self.core.events.iter().next_back().map(|event| (event.reason.code(), event.to_string()))
    }
}

fn reply(code: Code, request: &[u8], secret: &RadiusSecret, cause: Option<u32>) -> Vec<u8> {
    let request = Packet::parse(request).expect("a packet");
    let mut out = Vec::new();
    let mut builder = Builder::reply(code, &request, secret, &mut out);
    if let Some(cause) = cause {
        builder.push_u32(AttributeType::ERROR_CAUSE, cause).expect("fits");
    }
    builder.finish();
    out
}

#[test]
fn a_request_has_what_hostapd_takes_and_nothing_else() {
    let mut scene = Scene::new();
    scene.block();
    let sent = scene.send();
    let [(to, packet)] = &sent[..] else { panic!("one request: {sent:?}") };
    assert_eq!(to.to_string(), "192.0.2.7:3799");
    let packet = Packet::parse(packet).expect("a packet");
    assert_eq!(packet.code(), Code::DISCONNECT_REQUEST);
    assert!(verify_request_authenticator(&packet, &secret()));
    assert_eq!(verify_message_authenticator(&packet, &secret(), None), MessageAuthenticator::Valid);
    let kinds: Vec<AttributeType> = packet.attributes().map(|attribute| attribute.kind).collect();
    let expected = [
        AttributeType::MESSAGE_AUTHENTICATOR,
        AttributeType::CALLING_STATION_ID,
        AttributeType::ACCT_SESSION_ID,
        AttributeType::NAS_IDENTIFIER,
        AttributeType::EVENT_TIMESTAMP,
    ];
    assert_eq!(kinds, expected);
    let calling = packet.find(AttributeType::CALLING_STATION_ID).map(<[u8]>::to_ascii_lowercase);
    assert_eq!(calling.as_deref(), Some(&b"00-1a-11-00-00-01"[..]));
    assert_eq!(packet.find(AttributeType::ACCT_SESSION_ID), Some(&b"s1"[..]));
    assert_eq!(packet.find(AttributeType::NAS_IDENTIFIER), Some(&b"attic"[..]));
    assert_eq!(packet.find_u32(AttributeType::EVENT_TIMESTAMP), Some(1_800_000_000));
}

#[test]
fn without_a_clock_there_is_no_timestamp() {
    let mut scene = Scene::new();
    scene.now.wall = UnixTime(100);
    scene.block();
    let sent = scene.send();
    assert_eq!(Packet::parse(&sent[0].1).expect("a packet").find(AttributeType::EVENT_TIMESTAMP), None);
}

#[test]
fn it_is_sent_three_times_to_the_octet_and_given_up() {
    let mut scene = Scene::new();
    scene.block();
    let first = scene.send();
    assert_eq!(first.len(), 1);
    assert_eq!(scene.send(), [], "not before its time");
    for wait in [1, 2] {
        scene.pass(wait);
        assert_eq!(scene.send(), first, "the same identifier, authenticator and time");
    }
    scene.pass(3);
    assert_eq!((scene.send(), scene.core.disconnects.len()), (vec![], 1));
    scene.pass(1);
    assert_eq!((scene.send(), scene.core.disconnects.len()), (vec![], 0));
    let (code, words) = scene.last().expect("an event");
    assert_eq!(code, "disconnect_unanswered");
    assert!(words.contains("did not answer the Disconnect-Request in 7 s (blocked by the administrator)"), "{words}");
    assert_eq!(scene.core.sessions.len(), 1, "it may be there still");
    // Not again and again.
    scene.core.tick_disconnects(scene.now);
    assert!(scene.core.disconnects.is_empty());
    scene.pass(600);
    scene.core.tick_disconnects(scene.now);
    assert_eq!(scene.core.disconnects.len(), 1);
}

#[test]
fn answers_in_words() {
    for (code, cause, expected, words, sessions) in [
        (Code::DISCONNECT_ACK, None, "disconnected", "disconnected in 12 ms: blocked by the administrator", 0),
        (Code::DISCONNECT_NAK, Some(503), "disconnect_gone", "does not know the session any more", 0),
        (Code::DISCONNECT_NAK, Some(403), "disconnect_refused", "each BSS needs a radius_das_port of its own", 1),
        (Code::DISCONNECT_NAK, Some(499), "disconnect_refused", "Error-Cause 499", 1),
        (Code::DISCONNECT_NAK, None, "disconnect_refused", "it does not say why", 1),
    ] {
        let mut scene = Scene::new();
        scene.block();
        let (to, request) = scene.send().remove(0);
        scene.now.mono += Duration::from_millis(12);
        scene.receive(to, &reply(code, &request, &secret(), cause));
        let (got, text) = scene.last().expect("an event");
        assert_eq!((got, scene.core.sessions.len()), (expected, sessions));
        assert!(text.contains(words), "{text}");
        assert!(scene.core.disconnects.is_empty());
        let event = scene.core.events.iter().next_back().expect("an event");
        assert_eq!((event.device.as_deref(), &*event.nas, event.outcome), (Some("lamp"), "ap2", Outcome::Disconnect));
    }
}

#[test]
fn what_is_no_answer_is_dropped() {
    let mut scene = Scene::new();
    scene.block();
    let (to, request) = scene.send().remove(0);
    let good = reply(Code::DISCONNECT_ACK, &request, &secret(), None);
    let mut other_id = good.clone();
    other_id[1] ^= 1;
    let elsewhere = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let parsed = Packet::parse(&request).expect("a packet");
    let mut bare = Vec::new();
    Builder::reply_without_message_authenticator(Code::DISCONNECT_ACK, &parsed, &secret(), &mut bare).finish();
    for (from, datagram) in [
        (to, reply(Code::DISCONNECT_ACK, &request, &RadiusSecret::new(b"another secret"), None)),
        (to, reply(Code::COA_ACK, &request, &secret(), None)),
        (to, reply(Code::ACCESS_ACCEPT, &request, &secret(), None)),
        (to, bare.clone()),
        (to, other_id),
        (to, request.clone()),
        (to, good[..19].to_vec()),
        (to, vec![]),
        (elsewhere("192.0.2.8:3799"), good.clone()),
        (elsewhere("192.0.2.7:3798"), good.clone()),
    ] {
        scene.receive(from, &datagram);
        assert_eq!((scene.core.disconnects.len(), scene.core.events.iter().count()), (1, 0), "{datagram:x?}");
    }
    scene.receive(elsewhere("[::ffff:192.0.2.7]:3799"), &good);
    assert!(scene.core.disconnects.is_empty(), "the same host");

    // A client that need not send Message-Authenticator need not send it here.
    let mut scene = Scene::new();
    scene.core.sessions.close(&SessionKey { client: "ap2".into(), id: b"s1"[..].into(), mac: mac(1) });
    scene.joins("old", [203, 0, 113, 1], 1, b"s1");
    scene.block();
    let (to, request) = scene.send().remove(0);
    assert_eq!(to.port(), 1700);
    let parsed = Packet::parse(&request).expect("a packet");
    Builder::reply_without_message_authenticator(Code::DISCONNECT_ACK, &parsed, &secret(), &mut bare).finish();
    scene.receive(to, &bare);
    assert_eq!(scene.last().map(|(code, _)| code), Some("disconnected"));
}

#[test]
fn only_stations_of_other_boxes_at_clients_that_take_it() {
    let mut scene = Scene::new();
    scene.core.stations.up(&"wlan0".into(), b"Home", Some(MacAddr([2, 0, 0, 0, 0, 0xbb])));
    scene.block();
    assert_eq!(scene.send(), [], "this box's own hostapd is told by its control socket");
    let mut scene = Scene::new();
    scene.core.sessions.close(&SessionKey { client: "ap2".into(), id: b"s1"[..].into(), mac: mac(1) });
    scene.joins("deaf", [198, 51, 100, 1], 1, b"s1");
    scene.block();
    assert_eq!(scene.send(), []);
    assert!(scene.core.disconnects.deaf.contains("deaf"));
}

#[test]
fn what_makes_a_session_wrong() {
    for (edit, why) in [
        ((|lamp: &mut Device| lamp.profile = "media".into()) as fn(&mut Device), "its profile or VLAN changed"),
        (|lamp| lamp.key_serial += 1, "it has a new key"),
        (|lamp| lamp.macs.clear(), "this address is no longer one of its"),
    ] {
        let mut scene = Scene::new();
        scene.change(edit);
        assert_eq!(scene.core.disconnects.asked.iter().map(|asked| &*asked.why).collect::<Vec<_>>(), [why]);
    }
    let mut scene = Scene::new();
    scene.change(|lamp| lamp.name = "light".into());
    scene.change(|lamp| lamp.expires = Some(UnixTime(1_800_000_004)));
    scene.core.tick_disconnects(scene.now);
    assert!(scene.core.disconnects.is_empty());
    scene.pass(5);
    scene.core.tick_disconnects(scene.now);
    assert_eq!(scene.core.disconnects.len(), 1, "expired since");
    // It comes back with what the other box remembers: a new session, which has to go, too.
    let mut scene = Scene::new();
    scene.block();
    let (to, request) = scene.send().remove(0);
    scene.receive(to, &reply(Code::DISCONNECT_ACK, &request, &secret(), None));
    scene.joins("ap2", [192, 0, 2, 7], 1, b"s2");
    scene.pass(5);
    scene.core.tick_disconnects(scene.now);
    assert_eq!(scene.core.disconnects.asked.iter().map(|asked| &*asked.key.id).collect::<Vec<_>>(), [b"s2"]);
}

#[test]
fn where_a_server_places_a_device_it_stays() {
    for (placement, expected) in [(Placement::Ours, 1), (Placement::Server, 0)] {
        let mut scene = Scene::new();
        let mut config = (*scene.core.config).clone();
        let mut acme = crate::service::proxy::tests::realm("acme", &["acme.example"], Some("192.0.2.1"));
        acme.placement = placement;
        config.realms.push(acme);
        scene.core.config = config.into();
        let (key, mut session) = scene.core.sessions.iter().map(|(k, s)| (k.clone(), s.clone())).next().expect("one");
        let (user_name, realm) = (b"lamp@acme.example"[..].into(), "acme".into());
        let vouched = Vouched { realm, user_name, accepted_name: None, cui: None, class: None };
        (session.vouched, session.vlan) = (Some(vouched.into()), Some(77));
        scene.core.sessions.close(&key);
        scene.core.sessions.update(key, session);
        scene.core.tick_disconnects(scene.now);
        assert_eq!(scene.core.disconnects.len(), expected, "{placement:?}");
    }
}

#[test]
fn a_removed_device_goes_and_the_table_is_bounded() {
    let mut scene = Scene::new();
    for n in 0..=IN_FLIGHT as u32 + 10 {
        scene.joins("ap2", [192, 0, 2, 7], 1, &n.to_be_bytes());
    }
    scene.core.apply(&[Change::Remove(DeviceId(1))]);
    let sent = scene.send();
    assert_eq!(sent.len(), IN_FLIGHT);
    let mut identifiers: Vec<u8> = sent.iter().map(|(_, packet)| packet[1]).collect();
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), IN_FLIGHT, "each its own");
}

proptest! {
    /// No octets panic, and none but the NAS's end a request.
    #[test]
    fn no_answer_is_made_up(code in 0u8.., tail in prop::collection::vec(any::<u8>(), 0..80), whole in any::<bool>()) {
        let mut scene = Scene::new();
        scene.block();
        let (to, request) = scene.send().remove(0);
        let datagram = if whole {
            let length = u16::try_from(20 + tail.len()).expect("short").to_be_bytes();
            [&[code, request[1], length[0], length[1]], &[0; 16][..], &tail].concat()
        } else {
            tail
        };
        scene.receive(to, &datagram);
        prop_assert_eq!(scene.core.disconnects.len(), 1);
    }

    /// One flipped bit anywhere makes an answer none.
    #[test]
    fn a_flipped_bit_is_seen(bit in 0usize..(20 + 18 + 6) * 8) {
        let mut scene = Scene::new();
        scene.block();
        let (to, request) = scene.send().remove(0);
        let mut datagram = reply(Code::DISCONNECT_NAK, &request, &secret(), Some(503));
        datagram[bit / 8] ^= 1 << (bit % 8);
        scene.receive(to, &datagram);
        prop_assert_eq!(scene.core.disconnects.len(), 1);
    }
}

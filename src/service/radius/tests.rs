//! The server from datagram to datagram, with a NAS that checks every answer. No sockets, and the clock stands.

use super::*;
use crate::decision::event::Outcome;
use crate::registry::Registry;
use crate::registry::device::{Change, DeviceId};
use crate::registry::tests::device;
use crate::secret::{Passphrase, RadiusSecret};
use crate::service::Now;
use crate::time::UnixTime;
use crate::wire::radius::{
    Builder, acct_status_type, reveal_tunnel_password, verify_message_authenticator, verify_response_authenticator,
};
use crate::wpa;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::time::Duration;

const SECRET: &[u8] = b"secret of the tests";
const AP: &str = "02-00-00-00-00-AA";

const CONFIG: &str = "
config client 'ap'
	option address '127.0.0.1'
	option secret 'secret of the tests'
config client 'old'
	option address '127.0.0.2'
	option secret 'secret of the tests'
	option message_authenticator 'optional'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config profile 'guest'
	option vlan '40'
config ssid
	option ssid 'Home'
config ssid
	option ssid 'Home3'
	option security 'wpa3'
config ssid
	option ssid 'Welcome'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'come in and find out'
";

/// A NAS, the server it asks, and the time.
struct Rig {
    core: Core,
    from: SocketAddr,
    now: Now,
    identifier: u8,
    out: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Code,
    vlan: Option<String>,
    keys: Vec<String>,
}

fn key(n: u32) -> String {
    format!("{}-key-of-its-own", ["qx", "wm", "hj", "zv"][n as usize % 4])
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

impl Rig {
    /// lamp (1) is known by address 1; cam (2) waits in iot, tv (3) in media.
    fn new() -> Rig {
        let mut devices = vec![
            device(1, "lamp", "iot", &key(1)),
            device(2, "cam", "iot", &key(2)),
            device(3, "tv", "media", &key(3)),
        ];
        devices[0].macs = vec![crate::registry::device::BoundMac { mac: mac(1), proved: false, since: UnixTime(1) }];
        Rig::with(Registry::load(devices, vec![], vec![], DeviceId(4)))
    }

    fn with(registry: Registry) -> Rig {
        let now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
        let config = Arc::new(Config::parse(CONFIG).expect("the configuration of the tests"));
        let mut core =
            Core::new(config, registry, now, Box::new(|octets| octets.fill(7)), Instant::now, Box::new(|_| ()));
        while core.keyring.is_busy() {
            for job in core.keyring.jobs(64, &core.registry) {
                core.keyring.insert(job.run(), &core.registry);
            }
        }
        Rig { core, from: "127.0.0.1:40000".parse().expect("an address"), now, identifier: 0, out: Vec::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.wall.0 += seconds as i64;
        self.now.mono += Duration::from_secs(seconds);
        self.core.tick(self.now);
    }

    /// An Access-Request with these attributes after Message-Authenticator.
    fn request(&mut self, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = Builder::access_request(self.identifier, [self.identifier; 16], &secret, &mut packet);
        fill(&mut builder);
        builder.finish();
        packet
    }

    fn by_address(&mut self, from: MacAddr, ssid: &str) -> Vec<u8> {
        self.by_address_at(from, &format!("{AP}:{ssid}"))
    }

    fn by_address_at(&mut self, from: MacAddr, called: &str) -> Vec<u8> {
        let calling = from.to_string();
        self.request(|builder| {
            let user = calling.replace(':', "");
            builder.push(AttributeType::USER_NAME, user.as_bytes()).expect("fits");
            builder.push_user_password(user.as_bytes()).expect("fits");
            builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
        })
    }

    /// What hostapd sends in the handshake of a supplicant with this key.
    fn by_handshake(&mut self, from: MacAddr, ssid: &str, key: &str) -> Vec<u8> {
        let (calling, called) = (from.to_string(), format!("{AP}:{ssid}"));
        let (anonce, frame) = message_2(from, ssid, key);
        self.request(|builder| {
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
            builder.push_u32(AttributeType::WLAN_AKM_SUITE, 0x000f_ac02).expect("fits");
            for (kind, value) in [(1, &anonce[..]), (2, &frame)] {
                builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 11344, kind, value).expect("fits");
            }
        })
    }

    fn receive(&mut self, packet: &[u8]) -> Next {
        receive_auth(&mut self.core, self.from, packet, self.now, &mut self.out)
    }

    /// Sends a request, does what the shell does, and checks the answer.
    fn ask(&mut self, packet: &[u8]) -> Answer {
        let mut next = self.receive(packet);
        loop {
            next = match next {
                Next::Send => return self.answer(packet),
                Next::Search(exchange, keys, handshake) => {
                    let proof = keys.search(&handshake);
                    resume(&mut self.core, &exchange, proof, self.now, &mut self.out)
                }
                Next::Commit(exchange) => {
                    self.commit(exchange, true);
                    return self.answer(packet);
                }
                Next::Nothing => panic!("dropped"),
            };
        }
    }

    fn commit(&mut self, exchange: Exchange, stored: bool) {
        match settle(&mut self.core, exchange, self.now, &mut self.out) {
            Verdict::Store(changes, finish) => {
                if stored {
                    self.core.apply(&changes);
                }
                finish(&mut self.core, stored, self.now, &mut self.out);
            }
            Verdict::Send => {}
            Verdict::Nothing => panic!("nothing to do"),
        }
    }

    fn answer(&self, request: &[u8]) -> Answer {
        let secret = RadiusSecret::new(SECRET);
        let request = Packet::parse(request).expect("a packet");
        let reply = Packet::parse(&self.out).expect("a packet");
        assert_eq!(reply.identifier(), request.identifier());
        assert!(verify_response_authenticator(&reply, &secret, request.authenticator()));
        let checked = verify_message_authenticator(&reply, &secret, Some(request.authenticator()));
        assert_eq!(checked, MessageAuthenticator::Valid);
        let first = reply.attributes().next().map(|attribute| attribute.kind);
        assert_eq!(first, Some(AttributeType::MESSAGE_AUTHENTICATOR), "it comes first");
        let mut salts: Vec<&[u8]> = Vec::new();
        let keys = reply
            .find_all(AttributeType::TUNNEL_PASSWORD)
            .map(|attribute| {
                salts.push(&attribute.value[1..3]);
                let revealed = reveal_tunnel_password(attribute.value, &secret, request.authenticator());
                String::from_utf8(revealed.expect("hidden well").1.expose().to_vec()).expect("text")
            })
            .collect();
        let count = salts.len();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), count, "every salt once");
        let vlan = reply.find(AttributeType::TUNNEL_PRIVATE_GROUP_ID);
        Answer { code: reply.code(), vlan: vlan.map(|v| String::from_utf8_lossy(v).into_owned()), keys }
    }

    fn account(&mut self, status: u32, from: MacAddr, session: &[u8], stored: bool) -> Option<Code> {
        self.account_at(status, from, session, &format!("{AP}:Home"), stored)
    }

    fn account_at(&mut self, status: u32, from: MacAddr, session: &[u8], at: &str, stored: bool) -> Option<Code> {
        self.identifier = self.identifier.wrapping_add(1);
        let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = Builder::accounting_request(self.identifier, &secret, &mut packet);
        builder.push_u32(AttributeType::ACCT_STATUS_TYPE, status).expect("fits");
        builder.push(AttributeType::ACCT_SESSION_ID, session).expect("fits");
        builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
        builder.push(AttributeType::CALLED_STATION_ID, at.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, from.to_string().as_bytes()).expect("fits");
        builder.push_u32(AttributeType::ACCT_INPUT_OCTETS, 5).expect("fits");
        builder.push_u32(AttributeType::ACCT_INPUT_GIGAWORDS, 1).expect("fits");
        builder.finish();
        self.out.clear();
        let next = receive_accounting(&mut self.core, self.from, &packet, self.now, &mut self.out);
        if let Next::Commit(exchange) = next {
            self.commit(exchange, stored);
        }
        let request = Packet::parse(&packet).expect("a packet");
        let reply = Packet::parse(&self.out).ok()?;
        assert!(verify_response_authenticator(&reply, &secret, request.authenticator()));
        Some(reply.code())
    }

    /// The latest event: device, outcome, reason.
    fn last(&self) -> (Option<String>, Outcome, &'static str) {
        let event = self.core.events.iter().next_back().expect("an event");
        (event.device.as_deref().map(str::to_owned), event.outcome, event.reason.code())
    }
}

fn pmk(key: &str, ssid: &str) -> String {
    let pmk = wpa::pmk::derive(&Passphrase::new(key).expect("valid"), ssid.as_bytes());
    pmk.expose().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// ANonce and message 2 of a WPA2 handshake (IEEE 802.11-2020, 12.7.6.3), made independently of the search.
fn message_2(sta: MacAddr, ssid: &str, key: &str) -> ([u8; 32], Vec<u8>) {
    let ap = MacAddr::parse_bytes(AP.as_bytes()).expect("an address");
    let (anonce, snonce) = ([0x5a; 32], [0xa5; 32]);
    let mut seed = b"Pairwise key expansion\0".to_vec();
    seed.extend([ap.0.min(sta.0), ap.0.max(sta.0)].concat());
    seed.extend([anonce, snonce].concat());
    seed.push(0);
    let pmk = wpa::pmk::derive(&Passphrase::new(key).expect("valid"), ssid.as_bytes());
    let mac = |key: &[u8], text: &[u8]| -> Vec<u8> {
        let hmac = Hmac::<Sha1>::new_from_slice(key).expect("any length").chain_update(text);
        hmac.finalize().into_bytes().to_vec()
    };
    let ptk = mac(pmk.expose(), &seed);
    let rsne = [0x30, 0x14, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 2, 0, 0];
    let mut frame = vec![1, 3, 0, 95 + rsne.len() as u8, 2, 0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    frame.extend(snonce);
    frame.extend([0; 32 + 16]);
    frame.extend([0, rsne.len() as u8]);
    frame.extend(rsne);
    let mic = mac(&ptk[..16], &frame);
    frame[81..97].copy_from_slice(&mic[..16]);
    (anonce, frame)
}

fn accepted(vlan: &str, keys: &[String]) -> Answer {
    Answer { code: Code::ACCESS_ACCEPT, vlan: Some(vlan.into()), keys: keys.to_vec() }
}

fn rejected() -> Answer {
    Answer { code: Code::ACCESS_REJECT, vlan: None, keys: vec![] }
}

#[test]
fn a_known_address_gets_its_key_as_the_ssid_needs_it() {
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(1), "Home");
    assert_eq!(rig.ask(&packet), accepted("20", &[pmk(&key(1), "Home")]));
    let packet = rig.by_address(mac(1), "Home3");
    assert_eq!(rig.ask(&packet), accepted("20", &[key(1)]), "SAE needs the passphrase");
    assert_eq!(rig.last(), (Some("lamp".into()), Outcome::Accepted, "known_address"));
}

#[test]
fn before_its_pmk_is_computed_the_passphrase_has_to_do() {
    let mut rig = Rig::new();
    let mut lamp = rig.core.registry.get(DeviceId(1)).cloned().expect("lamp");
    lamp.key = Passphrase::new("an altogether new one").ok();
    lamp.key_serial += 1;
    rig.core.apply(&[Change::Put(vec![lamp])]);
    let packet = rig.by_address(mac(1), "Home");
    assert_eq!(rig.ask(&packet), accepted("20", &["an altogether new one".to_owned()]));
    let packet = rig.by_handshake(mac(1), "Home", "an altogether new one");
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!(rig.last().2, "key_not_ready");
}

#[test]
fn a_key_is_bound_to_the_first_address_that_proves_it() {
    let mut rig = Rig::new();
    let packet = rig.by_handshake(mac(9), "Home", &key(3));
    assert!(matches!(rig.receive(&packet), Next::Commit(_)), "nothing is answered before it is stored");
    assert!(matches!(rig.receive(&packet), Next::Nothing), "a retransmission in the meantime");
    let packet = rig.by_handshake(mac(9), "Home", &key(3));
    assert_eq!(rig.ask(&packet), accepted("30", &[pmk(&key(3), "Home")]));
    assert_eq!(rig.last(), (Some("tv".into()), Outcome::Accepted, "first_proof"));
    assert_eq!(rig.core.registry.by_mac(mac(9)).map(|d| d.macs[0].proved), Some(true));

    let packet = rig.by_handshake(mac(9), "Home", &key(3));
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    assert_eq!(rig.last().2, "proved_key");
    let packet = rig.by_handshake(mac(10), "Home", &key(3));
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!(rig.last().2, "key_of_other");
}

#[test]
fn two_at_once_with_one_key() {
    let mut rig = Rig::new();
    let first = rig.by_handshake(mac(9), "Home", &key(3));
    let second = rig.by_handshake(mac(10), "Home", &key(3));
    let (Next::Commit(one), Next::Commit(other)) = (rig.receive(&first), rig.receive(&second)) else {
        panic!("both may be the first")
    };
    rig.commit(one, true);
    assert_eq!(rig.answer(&first).code, Code::ACCESS_ACCEPT);
    rig.commit(other, true);
    assert_eq!(rig.answer(&second), rejected());
    assert_eq!(rig.last().2, "key_of_other");
}

#[test]
fn a_binding_that_is_not_stored_admits_nobody() {
    let mut rig = Rig::new();
    let packet = rig.by_handshake(mac(9), "Home", &key(3));
    let Next::Commit(exchange) = rig.receive(&packet) else { panic!("to be bound") };
    rig.commit(exchange, false);
    assert_eq!(rig.answer(&packet), rejected());
    assert_eq!(rig.last().2, "not_stored");
    assert!(rig.core.registry.by_mac(mac(9)).is_none());
}

#[test]
fn wrong_keys_and_strangers() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let packet = rig.by_handshake(mac(1), "Home", "not the right one");
        assert_eq!(rig.ask(&packet), rejected());
    }
    assert_eq!(rig.last(), (Some("lamp".into()), Outcome::Refused, "wrong_key"));
    assert_eq!(rig.core.events.iter().next_back().map(|e| e.count), Some(3));
    let packet = rig.by_handshake(mac(9), "Home", "nobody has this one");
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!(rig.last(), (None, Outcome::Refused, "unknown_device"));
    assert_eq!(rig.core.pending.list().iter().map(|p| p.mac).collect::<Vec<_>>(), [mac(9)]);

    rig.core.apply(&[Change::Ignore(mac(9), true)]);
    let packet = rig.by_handshake(mac(9), "Home", "nobody has this one");
    rig.ask(&packet);
    assert!(rig.core.pending.is_empty(), "the administrator does not want to hear of it");
}

#[test]
fn the_onboarding_key_leads_into_quarantine() {
    let mut rig = Rig::new();
    let packet = rig.by_handshake(mac(9), "Welcome", "come in and find out");
    assert_eq!(rig.ask(&packet), accepted("40", &[pmk("come in and find out", "Welcome")]));
    assert!(rig.core.pending.get(mac(9)).is_some_and(|pending| pending.quarantined));
    let packet = rig.by_handshake(mac(9), "Home", "come in and find out");
    assert_eq!(rig.ask(&packet), rejected(), "only where the SSID has one");
}

#[test]
fn thousands_of_keys_are_not_searched_in_the_event_loop() {
    let devices = (1..=300).map(|id| device(id, &format!("d{id}"), "iot", &format!("key number {id}"))).collect();
    let mut rig = Rig::with(Registry::load(devices, vec![], vec![], DeviceId(301)));
    let packet = rig.by_handshake(mac(9), "Home", "key number 300");
    assert!(matches!(rig.receive(&packet), Next::Search(..)));
    let packet = rig.by_handshake(mac(9), "Home", "key number 300");
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    let packet = rig.by_handshake(mac(9), "Home", "key number 300");
    assert!(matches!(rig.receive(&packet), Next::Send), "a key used lately is found at once");
}

#[test]
fn an_unknown_address_is_offered_the_waiting_keys_and_proves_one_by_connecting() {
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(9), "Home");
    assert_eq!(rig.ask(&packet), accepted("30", &[pmk(&key(3), "Home")]), "the newest first");
    assert_eq!(rig.last(), (None, Outcome::Accepted, "offered"));
    assert_eq!(rig.account(acct_status_type::START, mac(9), b"s1", true), Some(Code::ACCOUNTING_RESPONSE));
    assert_eq!(rig.last(), (Some("tv".into()), Outcome::Joined, "first_proof"));
    assert_eq!(rig.core.registry.by_mac(mac(9)).map(|d| &*d.name), Some("tv"));
    let (_, session) = rig.core.sessions.iter().next().expect("a session");
    assert_eq!((session.device, session.vlan, session.proved), (Some(DeviceId(3)), Some(30), true));
    assert_eq!(session.bytes_in, (1 << 32) + 5);

    let packet = rig.by_address(mac(10), "Home");
    assert_eq!(rig.ask(&packet), accepted("20", &[pmk(&key(2), "Home")]), "bound keys are not offered");
    assert_eq!(rig.account(acct_status_type::START, mac(10), b"s2", false), None, "not stored: not answered");
    assert!(rig.core.registry.by_mac(mac(10)).is_none());
    assert_eq!(rig.account(acct_status_type::START, mac(10), b"s2", true), Some(Code::ACCOUNTING_RESPONSE));
    assert_eq!(rig.core.registry.by_mac(mac(10)).map(|d| &*d.name), Some("cam"));
}

#[test]
fn with_several_keys_offered_nothing_is_guessed() {
    let mut rig = Rig::new();
    rig.core.apply(&[Change::Put(vec![device(7, "tv2", "media", "rr-key-of-its-own")])]);
    for job in rig.core.keyring.jobs(64, &rig.core.registry) {
        rig.core.keyring.insert(job.run(), &rig.core.registry);
    }
    let packet = rig.by_address(mac(9), "Home");
    let newest_last = [pmk(&key(3), "Home"), pmk("rr-key-of-its-own", "Home")];
    assert_eq!(rig.ask(&packet), accepted("30", &newest_last), "hostapd tries the last one first");
    rig.account(acct_status_type::START, mac(9), b"s1", true);
    assert_eq!(rig.last(), (None, Outcome::Joined, "one_of_several"));
    assert!(rig.core.registry.by_mac(mac(9)).is_none());
    let packet = rig.by_address(mac(9), "Home");
    assert_eq!(rig.ask(&packet), accepted("30", &newest_last), "what worked is offered again");
}

#[test]
fn a_session_of_another_network_bss_or_access_point_proves_nothing() {
    let elsewhere = [
        ("127.0.0.1", "02-00-00-00-00-AA:Welcome"),
        ("127.0.0.1", "02-00-00-00-00-BB:Home"),
        ("127.0.0.2", "02-00-00-00-00-AA:Home"),
    ];
    for (client, at) in elsewhere {
        let mut rig = Rig::new();
        let packet = rig.by_address(mac(9), "Home");
        assert_eq!(rig.ask(&packet), accepted("30", &[pmk(&key(3), "Home")]));
        rig.from = format!("{client}:40000").parse().expect("an address");
        let answered = rig.account_at(acct_status_type::START, mac(9), b"s1", at, true);
        assert_eq!(answered, Some(Code::ACCOUNTING_RESPONSE));
        assert!(rig.core.registry.by_mac(mac(9)).is_none(), "bound by a session at {at} of {client}");
        let (_, session) = rig.core.sessions.iter().next().expect("a session");
        assert_eq!((session.device, session.vlan, session.proved), (None, None, false));
    }
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(9), "Home");
    rig.ask(&packet);
    rig.pass(60);
    rig.account(acct_status_type::START, mac(9), b"s1", true);
    assert!(rig.core.registry.by_mac(mac(9)).is_none(), "hostapd forgot the answer long ago");
}

#[test]
fn each_bss_keeps_the_keys_it_was_sent() {
    let mut rig = Rig::new();
    let (two, five) = ("02-00-00-00-00-AA:Home", "02-00-00-00-00-BB:Home");
    for at in [two, five, two] {
        let packet = rig.by_address_at(mac(9), at);
        assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    }
    // The first BSS was asked twice and has the keys of iot now, the other those of media.
    rig.account_at(acct_status_type::START, mac(9), b"s1", five, true);
    assert_eq!(rig.last(), (Some("tv".into()), Outcome::Joined, "first_proof"));
    let mut rig = Rig::new();
    for at in [two, five, two] {
        let packet = rig.by_address_at(mac(9), at);
        rig.ask(&packet);
    }
    rig.account_at(acct_status_type::START, mac(9), b"s1", two, true);
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Joined, "first_proof"));
}

#[test]
fn a_key_that_was_rotated_or_registered_after_the_answer_is_not_proved() {
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(9), "Home");
    rig.ask(&packet);
    let mut tv = rig.core.registry.get(DeviceId(3)).cloned().expect("tv");
    tv.key = Passphrase::new("an altogether new one").ok();
    tv.key_serial += 1;
    rig.core.apply(&[Change::Put(vec![tv])]);
    rig.account(acct_status_type::START, mac(9), b"s1", true);
    assert!(rig.core.registry.by_mac(mac(9)).is_none(), "it had the old key");

    let mut rig = Rig::new();
    let packet = rig.by_address(mac(9), "Home");
    rig.ask(&packet);
    let bound = crate::registry::device::BoundMac { mac: mac(9), proved: false, since: rig.now.wall };
    rig.core.apply(&[Change::Bind(DeviceId(2), bound)]);
    rig.account(acct_status_type::START, mac(9), b"s1", true);
    assert_eq!(rig.core.registry.seen(DeviceId(2)).accepted, 0, "cam's key was not sent");
}

#[test]
fn a_clock_that_is_set_is_no_reason_to_report_a_wrong_key() {
    let mut rig = Rig::new();
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    let packet = rig.by_address(mac(1), "Home");
    rig.ask(&packet);
    rig.now.wall.0 += 1_000_000;
    rig.core.tick(rig.now);
    assert_eq!(rig.last().1, Outcome::Accepted);
}

#[test]
fn a_key_that_is_rotated_during_the_search_is_not_proved() {
    let devices = (1..=300).map(|id| device(id, &format!("d{id}"), "iot", &format!("key number {id}"))).collect();
    let mut rig = Rig::with(Registry::load(devices, vec![], vec![], DeviceId(301)));
    let rotate = |rig: &mut Rig, id: u32| {
        let mut device = rig.core.registry.get(DeviceId(id)).cloned().expect("there");
        device.key = Passphrase::new("an altogether new one").ok();
        device.key_serial += 1;
        rig.core.apply(&[Change::Put(vec![device])]);
    };
    let packet = rig.by_handshake(mac(9), "Home", "key number 300");
    let Next::Search(exchange, keys, handshake) = rig.receive(&packet) else { panic!("a long search") };
    let proof = keys.search(&handshake);
    rotate(&mut rig, 300);
    let next = resume(&mut rig.core, &exchange, proof, rig.now, &mut rig.out);
    assert!(matches!(next, Next::Send), "nothing to bind");
    assert_eq!(rig.answer(&packet), rejected());

    let packet = rig.by_handshake(mac(9), "Home", "key number 299");
    let Next::Search(exchange, keys, handshake) = rig.receive(&packet) else { panic!("a long search") };
    let next = resume(&mut rig.core, &exchange, keys.search(&handshake), rig.now, &mut rig.out);
    let Next::Commit(exchange) = next else { panic!("to be bound") };
    rotate(&mut rig, 299);
    rig.commit(exchange, true);
    assert_eq!(rig.answer(&packet), rejected());
    assert!(rig.core.registry.by_mac(mac(9)).is_none());
}

#[test]
fn a_key_that_is_never_proved_was_the_wrong_one() {
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(1), "Home");
    rig.ask(&packet);
    rig.pass(11);
    assert_eq!(rig.last().1, Outcome::Accepted, "a NAS that does not account cannot tell");
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    for expected in ["not_proved", "none_proved"] {
        let from = if expected == "not_proved" { mac(1) } else { mac(9) };
        let packet = rig.by_address(from, "Home");
        assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
        rig.pass(11);
        assert_eq!((rig.last().1, rig.last().2), (Outcome::Refused, expected));
    }
    assert!(rig.core.pending.get(mac(9)).is_some());
    let packet = rig.by_address(mac(9), "Home");
    assert_eq!(rig.ask(&packet), accepted("20", &[pmk(&key(2), "Home")]), "the next profile has its turn");
}

#[test]
fn sessions_begin_and_end() {
    let mut rig = Rig::new();
    rig.account(acct_status_type::START, mac(1), b"s1", true);
    rig.account(acct_status_type::START, mac(5), b"s2", true);
    assert_eq!(rig.core.sessions.len(), 2);
    rig.account(acct_status_type::STOP, mac(1), b"s1", true);
    assert_eq!(rig.core.sessions.len(), 1);
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    assert!(rig.core.sessions.is_empty());
}

#[test]
fn what_is_dropped_is_counted() {
    let mut rig = Rig::new();
    let good = rig.by_address(mac(1), "Home");
    rig.from = "192.0.2.1:1000".parse().expect("an address");
    assert!(matches!(rig.receive(&good), Next::Nothing));
    rig.from = "127.0.0.1:40000".parse().expect("an address");
    assert!(matches!(rig.receive(&good[..30]), Next::Nothing));
    let mut forged = good.clone();
    forged[25] ^= 1;
    assert!(matches!(rig.receive(&forged), Next::Nothing));
    let secret = RadiusSecret::new(SECRET);
    let mut bare = Vec::new();
    let builder = Builder::access_request_without_message_authenticator(9, [9; 16], &secret, &mut bare);
    builder.finish();
    assert!(matches!(rig.receive(&bare), Next::Nothing));
    let stats = &rig.core.radius.stats;
    let dropped = [stats.unknown_client, stats.malformed, stats.bad_authenticator];
    assert_eq!((dropped, stats.missing_message_authenticator), ([1, 1, 1], 1));
    assert_eq!(rig.core.radius.client_counters().next(), Some((0, 3)));
    assert_eq!(rig.core.events.iter().count(), 0);

    rig.from = "127.0.0.2:40000".parse().expect("an address");
    assert_eq!(rig.ask(&bare), rejected(), "an old NAS is heard, but this one says nothing");
}

#[test]
fn a_retransmission_gets_the_same_octets_and_is_no_second_event() {
    let mut rig = Rig::new();
    let packet = rig.by_address(mac(1), "Home");
    rig.ask(&packet);
    let first = rig.out.clone();
    rig.ask(&packet);
    assert_eq!(rig.out, first);
    assert_eq!((rig.core.radius.stats.duplicates, rig.core.events.iter().count()), (1, 1));
}

#[test]
fn status_server_is_answered_on_both_ports() {
    let mut rig = Rig::new();
    let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
    Builder::status_server(3, [3; 16], &secret, &mut packet).finish();
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    let next = receive_accounting(&mut rig.core, rig.from, &packet, rig.now, &mut rig.out);
    assert!(matches!(next, Next::Send));
    assert_eq!(rig.answer(&packet).code, Code::ACCOUNTING_RESPONSE);
    assert_eq!(rig.core.radius.stats.status_server, 2);
}

#[test]
fn eap_is_refused_with_eap_failure_and_proxy_states_come_back() {
    let mut rig = Rig::new();
    let called = format!("{AP}:Home");
    let packet = rig.request(|builder| {
        builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, mac(1).to_string().as_bytes()).expect("fits");
        builder.push_eap_message(&[2, 77, 0, 5, 1]).expect("fits");
        builder.push(AttributeType::PROXY_STATE, b"one").expect("fits");
        builder.push(AttributeType::PROXY_STATE, b"two").expect("fits");
    });
    assert_eq!(rig.ask(&packet), rejected());
    let reply = Packet::parse(&rig.out).expect("a packet");
    assert_eq!(reply.find(AttributeType::EAP_MESSAGE), Some(&[4, 77, 0, 4][..]));
    let states: Vec<&[u8]> = reply.find_all(AttributeType::PROXY_STATE).map(|a| a.value).collect();
    assert_eq!(states, [b"one", b"two"]);
    assert_eq!(rig.last().2, "unsupported");
}

#[test]
fn requests_that_make_no_sense() {
    let mut rig = Rig::new();
    let nothing = rig.request(|_| ());
    assert_eq!(rig.ask(&nothing), rejected());
    let elsewhere = rig.by_address(mac(1), "Elsewhere");
    assert_eq!(rig.ask(&elsewhere), rejected());
    assert_eq!(rig.last().2, "ssid_missing");
    let called = format!("{AP}:Home");
    let half = rig.request(|builder| {
        builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, mac(1).to_string().as_bytes()).expect("fits");
        builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 11344, 1, &[1; 32]).expect("fits");
    });
    assert_eq!(rig.ask(&half), rejected());
    assert_eq!(rig.last().2, "bad_request");
}

#[test]
fn a_flood_of_strangers_costs_little() {
    let mut rig = Rig::new();
    for n in 0..1000u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let packet = rig.by_handshake(MacAddr([2, 0, 0, 9, a, b]), "Home", "nobody has this one");
        // 256 identifiers only: another port now and then makes them different requests.
        rig.from.set_port(40000 + (n / 200) as u16);
        assert_eq!(rig.ask(&packet), rejected(), "each is answered all the same: hostapd waits for it");
    }
    assert_eq!(rig.core.radius.stats.rate_limited, 900);
    assert!(rig.core.events.iter().count() <= 101);
    let packet = rig.by_address(mac(1), "Home");
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT, "devices we know are not limited");
}

//! EAP from datagram to datagram, with supplicants of our own: EAP-PSK and EAP-TLS.

mod chain;
mod maker;

use super::*;
use crate::decision::event::Event;
use crate::eap::psk::peer::{Answer as PskAnswer, Peer as PskPeer};
use crate::eap::tls::peer::{Expected, Identity, Peer as TlsPeer, Supplicant, Versions};
use crate::pki::authority::{Authority, Issued, Key, certificate_pem};
use crate::pki::server::ServerCertificate;
use crate::registry::credential::{EapCredentials, EapPsk, KnownBy, Place};
use crate::registry::device::{Bind, Device};
use crate::registry::maker::{Admit, Maker};
use crate::secret::{EapKeys, EapPskKey};
use crate::service::control::{Call, Done};
use crate::service::eap::{CONVERSATIONS, MEMORY};
use crate::service::pending::Proved;
use crate::service::pki::Files;
use crate::wire::eap;
use crate::wire::radius::{MS_MPPE_RECV_KEY, reveal_mppe_key};
use rustls::pki_types::CertificateDer;

const EAP_CONFIG: &str = "
config client 'ap'
	option address '127.0.0.1'
	option secret 'secret of the tests'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config ssid
	option ssid 'Home'
	option unknown 'pairing'
	option onboarding_key 'knock three times'
config ssid
	option ssid 'Office'
	option security 'enterprise'
config ssid
	option security 'wired'
";

const NAI: &str = "cam.k7q2@latchkey.home.arpa";
const OFFICE: &str = "02-00-00-00-00-AA:Office";

fn psk_key(n: u8) -> EapPskKey {
    EapPskKey::new(std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8)))
}

/// cam (1) has an EAP-PSK key and nothing else.
fn cam() -> Device {
    let psk = EapPsk { nai: NAI.into(), key: psk_key(1) };
    let eap = EapCredentials { psk: Some(psk), certificates: Vec::new(), serial: 1 };
    Device { key: None, eap: Some(Box::new(eap)), ..device(1, "cam", "iot", "not used at all") }
}

fn numbers() -> impl FnMut(&mut [u8]) {
    let mut n = 0u64;
    move |octets: &mut [u8]| {
        for octet in octets {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (n >> 56) as u8;
        }
    }
}

/// How a conversation ended.
#[derive(Debug)]
struct End {
    code: Code,
    vlan: Option<String>,
    /// What the NAS decrypts and encrypts with.
    keys: Option<(Vec<u8>, Vec<u8>)>,
    user_name: Option<String>,
    key_name: Option<Vec<u8>>,
    /// The last EAP packet.
    eap: Vec<u8>,
}

impl Rig {
    fn eap(devices: Vec<Device>) -> Rig {
        Rig::eap_with(devices, EAP_CONFIG)
    }

    fn eap_with(devices: Vec<Device>, config: &str) -> Rig {
        let mut rig = Rig::with(Registry::load(devices, vec![], vec![], DeviceId(100)));
        rig.core.random = Box::new(numbers());
        rig.core.reconfigure(Arc::new(Config::parse(config).expect("a configuration")), rig.now);
        rig
    }

    fn eap_request(&mut self, from: MacAddr, called: &str, state: Option<&[u8]>, eap: &[u8]) -> Vec<u8> {
        let calling = from.to_string().replace(':', "-");
        self.request(|builder| {
            builder.push(AttributeType::USER_NAME, b"whatever it calls itself").expect("fits");
            builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
            builder.push_u32(AttributeType::FRAMED_MTU, 1400).expect("fits");
            builder.push(AttributeType::EAP_KEY_NAME, &[0]).expect("fits");
            if eap.is_empty() {
                // EAP-Start (RFC 3579, 3.1).
                builder.push(AttributeType::EAP_MESSAGE, b"").expect("fits");
            }
            builder.push_eap_message(eap).expect("fits");
            if let Some(state) = state {
                builder.push(AttributeType::STATE, state).expect("fits");
            }
        })
    }

    /// State and EAP packet of the challenge that was just answered with.
    fn challenge(&self) -> (Vec<u8>, Vec<u8>) {
        let reply = Packet::parse(&self.out).expect("a packet");
        assert_eq!(reply.code(), Code::ACCESS_CHALLENGE);
        let state = reply.find(AttributeType::STATE).expect("every challenge has a State");
        (state.to_vec(), reply.eap_message().expect("every challenge has an EAP packet").into_owned())
    }

    /// A NAS and a supplicant until the end.
    fn converse(
        &mut self,
        from: MacAddr,
        called: &str,
        first: Vec<u8>,
        mut respond: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> End {
        let (mut response, mut state) = (first, None);
        for _ in 0..60 {
            let packet = self.eap_request(from, called, state.as_deref(), &response);
            let answer = self.ask(&packet);
            if answer.code == Code::ACCESS_CHALLENGE {
                let (of_it, request) = self.challenge();
                state = Some(of_it);
                response = respond(&request).expect("a response to every request");
                continue;
            }
            let request = Packet::parse(&packet).expect("a packet");
            let reply = Packet::parse(&self.out).expect("a packet");
            let eap = reply.eap_message().expect("an EAP packet at the end").into_owned();
            respond(&eap);
            let secret = RadiusSecret::new(SECRET);
            let mut found: Vec<(u8, Vec<u8>)> = reply
                .find_all(AttributeType::VENDOR_SPECIFIC)
                .filter_map(|vsa| reveal_mppe_key(vsa.value, &secret, request.authenticator()))
                .map(|revealed| revealed.map(|(kind, key)| (kind, key.expose().to_vec())).expect("hidden well"))
                .collect();
            found.sort_by_key(|(kind, _)| *kind != MS_MPPE_RECV_KEY);
            let keys = (found.len() == 2).then(|| (found[0].1.clone(), found[1].1.clone()));
            let text = |kind| reply.find(kind).map(|text| String::from_utf8_lossy(text).into_owned());
            let (vlan, user_name) = (answer.vlan, text(AttributeType::USER_NAME));
            let key_name = reply.find(AttributeType::EAP_KEY_NAME).map(<[u8]>::to_vec);
            return End { code: answer.code, vlan, keys, user_name, key_name, eap };
        }
        panic!("no end")
    }

    /// EAP-PSK; what the supplicant comes to with it.
    fn psk(&mut self, from: MacAddr, called: &str, peer: &mut PskPeer) -> (End, Option<EapKeys>) {
        let (mut keys, mut random) = (None, numbers());
        let first = peer.begin(9);
        let end = self.converse(from, called, first, |request| match peer.receive(request, &mut random) {
            PskAnswer::Respond(response) => Some(response),
            PskAnswer::Success(msk) => {
                keys = Some(msk);
                None
            }
            PskAnswer::Failure | PskAnswer::Ignore => None,
        });
        (end, keys)
    }

    fn tls(&mut self, from: MacAddr, called: &str, supplicant: &Supplicant) -> (End, TlsPeer) {
        let mut peer = TlsPeer::new(supplicant).expect("a supplicant");
        let first = eap::response(1, 1, b"@latchkey.home.arpa");
        let end = self.converse(from, called, first, |request| peer.packet(request, b"@latchkey.home.arpa"));
        (end, peer)
    }

    fn last_event(&self) -> &Event {
        self.core.events.iter().next_back().expect("an event")
    }
}

fn halves(keys: &EapKeys) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((keys.msk()[..32].to_vec(), keys.msk()[32..].to_vec()))
}

#[test]
fn an_eap_psk_device_joins() {
    let mut rig = Rig::eap(vec![cam()]);
    let mut peer = PskPeer::new(NAI.as_bytes(), &psk_key(1));
    let (end, keys) = rig.psk(mac(9), OFFICE, &mut peer);
    let keys = keys.expect("the supplicant has succeeded");
    assert_eq!((end.code, end.vlan.as_deref()), (Code::ACCESS_ACCEPT, Some("20")));
    assert_eq!(end.keys, halves(&keys), "both sides have the same keys");
    assert_eq!((end.user_name.as_deref(), end.key_name.as_deref()), (Some(NAI), Some(keys.session_id())));
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Accepted, "first_proof"));
    assert_eq!(rig.last_event().method.to_string(), "eap-psk");
    assert_eq!(rig.core.registry.by_mac(mac(9)).map(|device| device.macs[0].proved), Some(true), "it is bound");
    assert_eq!((rig.core.eap.len(), rig.core.eap.octets()), (0, 0));

    let (end, _) = rig.psk(mac(9), OFFICE, &mut peer);
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "proved_key"));
    let (end, keys) = rig.psk(mac(10), OFFICE, &mut peer);
    assert_eq!((end.code, keys), (Code::ACCESS_REJECT, None));
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "other_address"));
    // The session that follows is this device's.
    rig.account_at(acct_status_type::START, mac(9), b"s1", OFFICE, true);
    let (_, session) = rig.core.sessions.iter().next().expect("a session");
    assert_eq!((session.device, session.vlan, session.proved), (Some(DeviceId(1)), Some(20), true));
}

#[test]
fn a_binding_that_is_not_stored_lets_nobody_in() {
    let mut rig = Rig::eap(vec![cam()]);
    let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
    let packet = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
    rig.ask(&packet);
    let (state, request) = rig.challenge();
    let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("message 2") };
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    let Next::Commit(exchange) = rig.receive(&packet) else { panic!("to be stored before it is told") };
    assert!(matches!(rig.receive(&packet), Next::Nothing), "a retransmission in the meantime");
    let again = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    let Next::Commit(second) = rig.receive(&again) else { panic!("and a new packet asks for the same") };
    rig.commit(exchange, false);
    let (_, request) = rig.challenge();
    let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("message 4") };
    assert!(matches!(settle(&mut rig.core, second, rig.now, &mut rig.out), Verdict::Nothing));
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!(rig.last().2, "not_stored");
    assert!(rig.core.registry.by_mac(mac(9)).is_none());
}

#[test]
fn a_key_that_is_replaced_while_the_store_is_busy_binds_nobody() {
    for rotated in [false, true] {
        let mut rig = Rig::eap(vec![cam()]);
        let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
        let packet = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
        rig.ask(&packet);
        let (state, request) = rig.challenge();
        let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("message 2") };
        let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
        let Next::Commit(exchange) = rig.receive(&packet) else { panic!("to be stored before it is told") };
        let eap = EapCredentials {
            psk: Some(EapPsk { nai: NAI.into(), key: psk_key(if rotated { 2 } else { 1 }) }),
            certificates: Vec::new(),
            serial: if rotated { 2 } else { 1 },
        };
        rig.core.apply(&[Change::Put(vec![Device { eap: Some(Box::new(eap)), ..cam() }])]);
        rig.commit(exchange, true);
        assert_eq!(rig.core.registry.knows(mac(9)), !rotated, "an address is bound to the present key only");
        if rotated {
            assert_eq!(rig.answer(&packet), rejected());
            assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "eap_conversation_gone"));
            assert_eq!((rig.core.eap.len(), rig.core.eap.octets()), (0, 0));
        } else {
            assert_eq!(rig.answer(&packet).code, Code::ACCESS_CHALLENGE);
        }
    }
}

#[test]
fn who_is_blocked_is_told_within_the_method() {
    let mut rig = Rig::eap(vec![Device { blocked: true, ..cam() }]);
    let mut peer = PskPeer::new(NAI.as_bytes(), &psk_key(1));
    let (end, keys) = rig.psk(mac(9), OFFICE, &mut peer);
    assert_eq!((end.code, keys), (Code::ACCESS_REJECT, None));
    assert_eq!(end.eap[0], 4, "EAP-Failure");
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "blocked"));
    // Identity, message 2 and message 4: the device has heard DONE_FAILURE, and acknowledged it.
    assert_eq!(rig.core.radius.stats.challenges, 2);
}

#[test]
fn who_leaves_at_once_when_he_hears_that_he_is_refused() {
    let mut rig = Rig::eap(vec![Device { blocked: true, ..cam() }]);
    let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
    let packet = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
    rig.ask(&packet);
    let (state, request) = rig.challenge();
    let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("message 2") };
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_CHALLENGE, "DONE_FAILURE");
    assert!(rig.core.events.iter().next().is_none());
    let packet = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
    rig.ask(&packet);
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "blocked"));
    // Who has heard nothing of the kind was only hasty.
    let packet = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
    rig.ask(&packet);
    assert_eq!((rig.core.events.iter().count(), rig.last_event().count, rig.core.eap.stats.abandoned), (1, 1, 1));
}

#[test]
fn blocked_in_the_moment_before_the_accept() {
    let mut rig = Rig::eap(vec![Device { bind: Bind::Any, ..cam() }]);
    let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
    let (mut state, mut response) = (None, peer.begin(9));
    for round in 0..2 {
        let packet = rig.eap_request(mac(9), OFFICE, state.as_deref(), &response);
        rig.ask(&packet);
        let (of_it, request) = rig.challenge();
        state = Some(of_it);
        let PskAnswer::Respond(next) = peer.receive(&request, &mut random) else { panic!("round {round}") };
        response = next;
    }
    rig.core.apply(&[Change::Put(vec![Device { bind: Bind::Any, blocked: true, ..cam() }])]);
    let packet = rig.eap_request(mac(9), OFFICE, state.as_deref(), &response);
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!(rig.last().2, "blocked");
}

#[test]
fn what_goes_wrong_is_said_in_words() {
    for (nai, key, reason, words) in [
        (NAI, 2, "eap_wrong_key", "another EAP-PSK key"),
        (
            "nobody@latchkey.home.arpa",
            1,
            "eap_unknown_identity",
            "no device has the identity 'nobody@latchkey.home.arpa'",
        ),
    ] {
        let mut rig = Rig::eap_with(vec![cam()], &format!("{EAP_CONFIG}config eap\n\tlist methods 'psk'\n"));
        let mut peer = PskPeer::new(nai.as_bytes(), &psk_key(key));
        let (end, keys) = rig.psk(mac(9), OFFICE, &mut peer);
        assert_eq!((end.code, keys, rig.last().2), (Code::ACCESS_REJECT, None, reason));
        assert!(rig.last_event().to_string().contains(words), "{}", rig.last_event());
        assert_eq!(rig.core.eap.len(), 0);
    }
    let mut rig = Rig::eap(vec![cam()]);
    let first = eap::response(1, 1, b"bob@example.org");
    let end =
        rig.converse(mac(9), OFFICE, first, |request| (request[0] == 1).then(|| eap::response(request[1], 3, &[26])));
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_REJECT, "eap_no_method"));
    let text = rig.last_event().to_string();
    assert!(text.contains("offers only EAP-MSCHAPv2, latchkey offers EAP-PSK"), "{text}");
}

#[test]
fn eap_that_cannot_succeed_says_so() {
    let mut rig = Rig::eap_with(vec![cam()], &format!("{EAP_CONFIG}config eap\n\tlist methods 'tls'\n"));
    let packet = rig.eap_request(mac(9), OFFICE, None, &eap::response(1, 1, b"x"));
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!((rig.last().2, rig.last_event().reason.fault().as_str()), ("eap_off", "configuration"));
    assert!(rig.last_event().to_string().contains("list methods 'psk'"), "{}", rig.last_event());
}

#[test]
fn silence_is_an_end() {
    let mut rig = Rig::eap(vec![cam()]);
    for _ in 0..3 {
        let packet = rig.eap_request(mac(9), OFFICE, None, &eap::response(1, 1, NAI.as_bytes()));
        assert_eq!(rig.ask(&packet).code, Code::ACCESS_CHALLENGE);
        assert_eq!(rig.core.eap.len(), 1);
        rig.pass(29);
        assert_eq!(rig.core.eap.len(), 1);
        rig.pass(1);
        assert_eq!((rig.core.eap.len(), rig.core.eap.octets()), (0, 0));
    }
    assert_eq!((rig.last().2, rig.last_event().count), ("eap_abandoned", 3));
    assert_eq!(rig.last_event().method.to_string(), "eap-psk");
    assert_eq!(rig.core.eap.stats.abandoned, 3);
}

#[test]
fn lost_and_repeated_packets() {
    let mut rig = Rig::eap(vec![cam()]);
    let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
    let first = rig.eap_request(mac(9), OFFICE, None, &peer.begin(9));
    rig.ask(&first);
    let (answer, (state, request)) = (rig.out.clone(), rig.challenge());
    assert!(matches!(rig.receive(&first), Next::Send));
    assert_eq!(rig.out, answer, "the same datagram gets the same answer");
    let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("message 2") };
    // Another station's State is nobody's.
    let packet = rig.eap_request(mac(10), OFFICE, Some(&state), &response);
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "eap_conversation_gone"));
    // What makes no sense gets the request once more, and takes nothing from the conversation.
    let mut damaged = response.clone();
    damaged.truncate(30);
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &damaged);
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_CHALLENGE);
    assert_eq!(rig.challenge(), (state.clone(), request));
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    rig.ask(&packet);
    let (_, third) = rig.challenge();
    // The answer was lost, and the supplicant's response comes in a new RADIUS packet.
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    rig.ask(&packet);
    assert_eq!(rig.challenge().1, third);
    let PskAnswer::Respond(response) = peer.receive(&third, &mut random) else { panic!("message 4") };
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    // After the end the State is of no use.
    let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "eap_conversation_gone"));
}

#[test]
fn who_begins_anew_is_let_whatever_state_the_nas_sends() {
    // What hostapd makes of EAPOL-Start: Identity again, with the State of the challenge that was not answered.
    for anew in [eap::response(77, 1, NAI.as_bytes()), Vec::new()] {
        let mut rig = Rig::eap(vec![cam()]);
        let (mut peer, mut random) = (PskPeer::new(NAI.as_bytes(), &psk_key(1)), numbers());
        let first = peer.begin(9);
        let packet = rig.eap_request(mac(9), OFFICE, None, &first);
        rig.ask(&packet);
        let (old, request) = rig.challenge();
        // The identity that was answered already is only a repetition.
        let packet = rig.eap_request(mac(9), OFFICE, Some(&old), &first);
        rig.ask(&packet);
        assert_eq!(rig.challenge(), (old.clone(), request));
        let packet = rig.eap_request(mac(9), OFFICE, Some(&old), &anew);
        rig.ask(&packet);
        let (state, mut request) = rig.challenge();
        assert_ne!(state, old);
        assert_eq!((rig.core.eap.len(), rig.core.eap.stats.begun), (1, 2));
        let mut peer = PskPeer::new(NAI.as_bytes(), &psk_key(1));
        let end = loop {
            let PskAnswer::Respond(response) = peer.receive(&request, &mut random) else { panic!("a response") };
            let packet = rig.eap_request(mac(9), OFFICE, Some(&state), &response);
            let answer = rig.ask(&packet);
            if answer.code != Code::ACCESS_CHALLENGE {
                break answer;
            }
            request = rig.challenge().1;
        };
        assert_eq!(end.code, Code::ACCESS_ACCEPT);
    }
}

#[test]
fn a_flood_stays_within_its_bounds() {
    let clients: String = (1..=20)
        .map(|n| {
            format!("config client 'c{n}'\n\toption address '127.0.1.{n}'\n\toption secret 'secret of the tests'\n")
        })
        .collect();
    let known = Device { macs: vec![bound(9)], ..cam() };
    let mut rig = Rig::eap_with(vec![known], &format!("{EAP_CONFIG}{clients}"));
    let home = rig.from;
    let (mut begun, mut most) = (0u32, (0, 0));
    for second in 0..200u32 {
        for n in 0..60u32 {
            rig.from = format!("127.0.1.{}:40000", n % 20 + 1).parse().expect("an address");
            let [_, a, b, c] = (second * 60 + n).to_be_bytes();
            let packet =
                rig.eap_request(MacAddr([2, 1, 1, a, b, c]), OFFICE, None, &eap::response(1, 1, NAI.as_bytes()));
            begun += u32::from(rig.ask(&packet).code == Code::ACCESS_CHALLENGE);
            most = (most.0.max(rig.core.eap.len()), most.1.max(rig.core.eap.octets()));
        }
        assert!(rig.core.eap.len() <= CONVERSATIONS && rig.core.eap.octets() <= MEMORY);
        if second % 10 == 9 {
            rig.from = home;
            let (end, keys) = rig.psk(mac(9), OFFICE, &mut PskPeer::new(NAI.as_bytes(), &psk_key(1)));
            assert!(end.code == Code::ACCESS_ACCEPT && keys.is_some(), "a known device gets in meanwhile");
        }
        rig.pass(u64::from(second % 4 == 3));
    }
    assert!(begun >= 10_000, "{begun}");
    assert_eq!(most.0, CONVERSATIONS);
    assert!(rig.core.eap.stats.evicted > 0);
    println!("{begun} half-open conversations: {} at most, {} octets at most", most.0, most.1);
    rig.pass(30);
    assert_eq!((rig.core.eap.len(), rig.core.eap.octets()), (0, 0));
}

#[test]
fn one_client_cannot_make_strangers_fill_the_table() {
    let mut rig = Rig::eap(vec![cam()]);
    for n in 0..1000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let packet = rig.eap_request(MacAddr([2, 1, 1, a, b, c]), OFFICE, None, &eap::response(1, 1, b"x"));
        rig.ask(&packet);
    }
    assert_eq!(rig.core.eap.len(), 100);
    assert_eq!(rig.last().2, "rate_limited");
}

#[test]
fn a_known_address_that_is_made_up_is_limited() {
    let mut rig = Rig::eap(vec![Device { macs: vec![bound(9)], ..cam() }]);
    // Who gets in may come as often as he likes.
    let mut peer = PskPeer::new(NAI.as_bytes(), &psk_key(1));
    for n in 0..80 {
        assert_eq!(rig.psk(mac(9), OFFICE, &mut peer).0.code, Code::ACCESS_ACCEPT, "{n}");
    }
    rig.pass(30);
    let begun = |rig: &mut Rig| {
        let mut begun = 0;
        for n in 0..200u8 {
            let identity = format!("{n}@latchkey.home.arpa");
            let packet = rig.eap_request(mac(9), OFFICE, None, &eap::response(1, 1, identity.as_bytes()));
            begun += u32::from(rig.ask(&packet).code == Code::ACCESS_CHALLENGE);
        }
        begun
    };
    assert_eq!(begun(&mut rig), 110, "ten of its own, then what strangers have");
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "rate_limited"));
    rig.pass(10);
    assert_eq!(rig.psk(mac(9), OFFICE, &mut peer).0.code, Code::ACCESS_ACCEPT);
}

fn bound(last: u8) -> crate::registry::device::BoundMac {
    crate::registry::device::BoundMac { mac: mac(last), proved: true, since: UnixTime(1) }
}

#[test]
fn a_port_has_no_ssid() {
    let known = || vec![Device { macs: vec![bound(9)], ..cam() }];
    for called in ["02-00-00-00-00-AA:", "02-00-00-00-00-AA", "02:00:00:00:00:aa"] {
        let mut rig = Rig::eap(known());
        let (end, keys) = rig.psk(mac(9), called, &mut PskPeer::new(NAI.as_bytes(), &psk_key(1)));
        assert!(end.code == Code::ACCESS_ACCEPT && keys.is_some(), "{called}");
        assert_eq!(&*rig.last_event().ssid, b"");
    }
    let mut rig = Rig::eap_with(known(), &EAP_CONFIG.replace("config ssid\n\toption security 'wired'\n", ""));
    let packet = rig.eap_request(mac(9), "02-00-00-00-00-AA:", None, &eap::response(1, 1, NAI.as_bytes()));
    assert_eq!(rig.ask(&packet), rejected());
}

#[test]
fn a_device_without_wifi_key_gets_none() {
    let mut rig = Rig::eap(vec![Device { macs: vec![bound(9)], ..cam() }]);
    let packet = rig.by_address(mac(9), "Home");
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "no_wifi_key"));
    let packet = rig.by_handshake(mac(9), "Home", "knock three times");
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "no_wifi_key"));
    let packet = rig.by_address(mac(9), "Office");
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "eap_only"));
}

#[test]
fn only_where_it_may_be() {
    let ssid = |name: &str| Place::Ssid(name.as_bytes().into());
    let ap = |last| Place::Ap(MacAddr([2, 0, 0, 0, 0, last]));
    for (places, expected) in [
        (vec![ssid("Office")], Code::ACCESS_ACCEPT),
        (vec![ssid("Home")], Code::ACCESS_REJECT),
        (vec![ap(0xaa)], Code::ACCESS_ACCEPT),
        (vec![ssid("Office"), ap(0xbb)], Code::ACCESS_REJECT),
    ] {
        let mut rig = Rig::eap(vec![Device { places: places.clone(), ..cam() }]);
        let (end, _) = rig.psk(mac(9), OFFICE, &mut PskPeer::new(NAI.as_bytes(), &psk_key(1)));
        assert_eq!(end.code, expected, "{places:?}");
        assert_eq!(rig.last().2 == "wrong_place", expected == Code::ACCESS_REJECT, "{places:?}");
        assert_eq!(rig.core.registry.knows(mac(9)), expected == Code::ACCESS_ACCEPT, "nothing is bound on the way");
    }
    // Wi-Fi keys alike.
    let lamp = Device { places: vec![ssid("Elsewhere")], ..device(2, "lamp", "iot", &key(2)) };
    let mut rig = Rig::eap(vec![lamp]);
    while rig.core.keyring.is_busy() {
        for job in rig.core.keyring.jobs(64, &rig.core.registry) {
            rig.core.keyring.insert(job.run(), &rig.core.registry);
        }
    }
    let packet = rig.by_handshake(mac(9), "Home", &key(2));
    assert_eq!((rig.ask(&packet), rig.last().2), (rejected(), "wrong_place"));
    let packet = rig.by_address(mac(8), "Home");
    assert_eq!(rig.ask(&packet), rejected(), "its key is not offered");
}

#[test]
fn a_device_that_may_not_stay_is_taken_off_the_air() {
    use crate::service::revocation::{Order, Why};
    // Any address may be its: only what it proved says whose this one is.
    let before = Device { bind: Bind::Any, ..cam() };
    let with_other_key = {
        let psk = EapPsk { nai: NAI.into(), key: psk_key(2) };
        let eap = EapCredentials { psk: Some(psk), certificates: Vec::new(), serial: 2 };
        Device { eap: Some(Box::new(eap)), ..before.clone() }
    };
    let elsewhere = Device { places: vec![Place::Ssid(b"Home"[..].into())], ..before.clone() };
    for (change, expected) in [
        (Change::Put(vec![before.clone()]), None),
        (Change::Put(vec![Device { blocked: true, ..before.clone() }]), Some(Why::Blocked)),
        (Change::Put(vec![with_other_key]), Some(Why::NewCredential)),
        (Change::Put(vec![elsewhere]), Some(Why::WrongPlace)),
        (Change::Put(vec![Device { profile: "media".into(), ..before.clone() }]), Some(Why::NewProfile)),
        (Change::Put(vec![Device { expires: Some(UnixTime(1_800_000_001)), ..before.clone() }]), Some(Why::Expired)),
        (Change::Remove(DeviceId(1)), Some(Why::Removed)),
    ] {
        let mut rig = Rig::eap(vec![before.clone()]);
        let bssid = MacAddr::parse_bytes(AP.as_bytes()).ok();
        rig.core.stations.up(&"wlan0".into(), b"Office", bssid);
        let (end, _) = rig.psk(mac(9), OFFICE, &mut PskPeer::new(NAI.as_bytes(), &psk_key(1)));
        assert_eq!(end.code, Code::ACCESS_ACCEPT);
        rig.core.stations.connected("wlan0", mac(9));
        // So long that it is not only because it was just let in.
        rig.pass(60);
        assert!(rig.core.revocation.take_orders().is_empty());
        rig.core.apply(std::slice::from_ref(&change));
        rig.pass(1);
        let orders = rig.core.revocation.take_orders();
        let off = orders.iter().find_map(|order| match order {
            Order::Off { mac: whom, why, ban, .. } if *whom == mac(9) => Some((*why, *ban)),
            _ => None,
        });
        assert_eq!(off, expected.map(|why| (why, false)), "{change:?}");
    }
}

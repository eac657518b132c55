//! What goes over a hop and back.

use super::*;
use crate::proxy::{ServerId, Ticket};
use crate::wire::radius::vectors;
use crate::wire::radius::{
    MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, MessageAuthenticator, reveal_mppe_key, reveal_tunnel_password,
    verify_message_authenticator, verify_request_authenticator, verify_response_authenticator,
};
use proptest::prelude::*;

const STATE: [u8; 16] = *b"markermaticket01";

fn nas() -> RadiusSecret {
    vectors::secret()
}

fn upstream() -> RadiusSecret {
    RadiusSecret::new(b"another secret")
}

fn order<'a>(request: &'a [u8], secret: &'a RadiusSecret) -> Order<'a> {
    Order {
        realm: "acme",
        nai_realm: "acme.example",
        request: Packet::parse(request).unwrap(),
        secret,
        share: Share::All,
        pseudonym: None,
        nas_identifier: "ap-7",
    }
}

fn forwarded(order: &Order<'_>) -> Vec<u8> {
    let (secret, mut out) = (upstream(), Vec::new());
    let next = Next { identifier: 200, authenticator: [8; 16], secret: &secret, proxy_state: STATE };
    request(order, &next, &mut out).unwrap();
    out
}

/// Type and value of every attribute but these.
fn without<'a>(packet: &Packet<'a>, kinds: &[u8]) -> Vec<(u8, &'a [u8])> {
    packet.attributes().map(|a| (a.kind.0, a.value)).filter(|(kind, _)| !kinds.contains(kind)).collect()
}

fn built(attributes: &[(AttributeType, &[u8])]) -> Vec<u8> {
    let (secret, mut out) = (nas(), Vec::new());
    let mut builder = Builder::access_request(1, [5; 16], &secret, &mut out);
    attributes.iter().for_each(|(kind, value)| builder.push(*kind, value).unwrap());
    builder.finish();
    out
}

#[test]
fn real_requests_keep_what_they_say() {
    let nas = nas();
    for octets in [vectors::RADCLIENT_ACCESS, vectors::EAPOL_TEST, vectors::RADCLIENT_EVS, vectors::HOSTAPD_2_11] {
        let order = order(octets, &nas);
        let out = forwarded(&order);
        let sent = Packet::parse(&out).unwrap();
        assert_eq!((sent.code(), sent.identifier(), sent.authenticator()), (Code::ACCESS_REQUEST, 200, &[8; 16]));
        assert_eq!(verify_message_authenticator(&sent, &upstream(), None), MessageAuthenticator::Valid);
        assert_eq!(sent.attributes().next().map(|a| a.kind), Some(AttributeType::MESSAGE_AUTHENTICATOR));
        let expected = without(&order.request, &[2, 80]);
        let mut found = without(&sent, &[2, 80]);
        assert_eq!(found.pop(), Some((33, &STATE[..])), "our Proxy-State is the last");
        assert_eq!(found, expected);
    }
    // Nothing stray goes on: what hostapd 2.11 leaves between fragments is not there any more.
    let out = forwarded(&order(vectors::HOSTAPD_2_11, &nas));
    let octets: usize = Packet::parse(&out).unwrap().attributes().map(|a| 2 + a.value.len()).sum();
    assert_eq!(20 + octets, out.len());
}

#[test]
fn passwords_are_hidden_anew() {
    let nas = nas();
    let out = forwarded(&order(vectors::RADCLIENT_ACCESS, &nas));
    let sent = Packet::parse(&out).unwrap();
    let value = sent.find(AttributeType::USER_PASSWORD).unwrap();
    assert_ne!(Some(value), Packet::parse(vectors::RADCLIENT_ACCESS).unwrap().find(AttributeType::USER_PASSWORD));
    let password = reveal_user_password(value, &upstream(), sent.authenticator()).unwrap();
    assert_eq!(password.expose(), b"02aabbccddee");
    // RFC 2865, 7.1.
    let secret = RadiusSecret::new(b"xyzzy5461");
    let out = forwarded(&order(vectors::RFC_2865_7_1.0, &secret));
    let sent = Packet::parse(&out).unwrap();
    let value = sent.find(AttributeType::USER_PASSWORD).unwrap();
    assert_eq!(reveal_user_password(value, &upstream(), sent.authenticator()).unwrap().expose(), b"arctangent");
    // One that cannot be read stays behind.
    let out = forwarded(&order(&built(&[(AttributeType::USER_PASSWORD, &[1; 15])]), &nas));
    assert_eq!(Packet::parse(&out).unwrap().find(AttributeType::USER_PASSWORD), None);
}

#[test]
fn the_challenge_of_chap_goes_along() {
    // RFC 2865, 7.2: the challenge is the Request Authenticator, which does not go on.
    let secret = RadiusSecret::new(b"xyzzy5461");
    let (came, out) = (vectors::RFC_2865_7_2.0, forwarded(&order(vectors::RFC_2865_7_2.0, &secret)));
    let (came, sent) = (Packet::parse(came).unwrap(), Packet::parse(&out).unwrap());
    assert_eq!(sent.find(AttributeType::CHAP_CHALLENGE), Some(&came.authenticator()[..]));
    assert_eq!(sent.find(AttributeType::CHAP_PASSWORD), came.find(AttributeType::CHAP_PASSWORD));
    let nas = nas();
    let own = built(&[(AttributeType::CHAP_PASSWORD, &[1; 17]), (AttributeType::CHAP_CHALLENGE, b"own")]);
    let out = forwarded(&order(&own, &nas));
    let challenges: Vec<&[u8]> =
        Packet::parse(&out).unwrap().find_all(AttributeType::CHAP_CHALLENGE).map(|a| a.value).collect();
    assert_eq!(challenges, [b"own"]);
}

#[test]
fn accounting() {
    let nas = nas();
    let order = order(vectors::RADCLIENT_ACCOUNTING, &nas);
    let out = forwarded(&order);
    let sent = Packet::parse(&out).unwrap();
    assert!(verify_request_authenticator(&sent, &upstream()));
    let mut found = without(&sent, &[]);
    assert_eq!(found.pop(), Some((33, &STATE[..])));
    assert_eq!(found, without(&order.request, &[]));
}

#[test]
fn proxy_states_keep_their_order() {
    let nas = nas();
    let octets = built(&[
        (AttributeType::PROXY_STATE, b"first"),
        (AttributeType::USER_NAME, b"x@acme.example"),
        (AttributeType::PROXY_STATE, b""),
        (AttributeType::PROXY_STATE, b"third"),
    ]);
    let out = forwarded(&order(&octets, &nas));
    let states: Vec<&[u8]> =
        Packet::parse(&out).unwrap().find_all(AttributeType::PROXY_STATE).map(|a| a.value).collect();
    assert_eq!(states, [&b"first"[..], b"", b"third", &STATE]);
}

#[test]
fn what_a_manufacturer_is_told() {
    let nas = nas();
    let octets = built(&[
        (AttributeType::USER_NAME, b"anonymous@acme.example"),
        (AttributeType::NAS_IDENTIFIER, b"kitchen"),
        (AttributeType::NAS_IP_ADDRESS, &[192, 0, 2, 1]),
        (AttributeType::CALLED_STATION_ID, b"02-00-00-00-01-00:Home"),
        (AttributeType::CALLING_STATION_ID, b"02aabbccddee"),
        (AttributeType::SERVICE_TYPE, &[0, 0, 0, 2]),
        (AttributeType::CONNECT_INFO, b"CONNECT 11Mbps 802.11b"),
        (AttributeType::EAP_MESSAGE, &[2, 1, 0, 4]),
        (AttributeType::STATE, b"state"),
        (AttributeType::FRAMED_MTU, &[0, 0, 5, 120]),
        (AttributeType(200), b"unknown"),
        (AttributeType::PROXY_STATE, b"nas"),
    ]);
    let told = |pseudonym| {
        let out = forwarded(&Order { share: Share::Needed, pseudonym, ..order(&octets, &nas) });
        let sent = Packet::parse(&out).unwrap();
        without(&sent, &[80]).iter().map(|(kind, value)| (*kind, value.to_vec())).collect::<Vec<_>>()
    };
    let expected = |mac: &[u8]| {
        [
            (32, &b"ap-7"[..]),
            (1, b"anonymous@acme.example"),
            (31, mac),
            (6, &[0, 0, 0, 2]),
            (79, &[2, 1, 0, 4]),
            (24, b"state"),
            (12, &[0, 0, 5, 120]),
            (33, b"nas"),
            (33, &STATE),
        ]
        .map(|(kind, value)| (kind, value.to_vec()))
    };
    assert_eq!(told(None), expected(b"02-AA-BB-CC-DD-EE"));
    assert_eq!(told(Some(MacAddr([6, 0x1b, 2, 3, 4, 5]))), expected(b"06-1B-02-03-04-05"));
}

#[test]
fn a_pseudonym_is_told_wherever_the_address_was() {
    let nas = nas();
    let (secret, mut octets) = (nas.clone(), Vec::new());
    for (name, password, hidden) in [
        (&b"02aabbccddee"[..], &b"02aabbccddee"[..], true),
        (b"02-AA-BB-CC-DD-EE", b"hostapd's", true),
        (b"x@acme.example", b"02aabbccddee", false),
        (b"02aabbccddef", b"x", false),
    ] {
        let mut builder = Builder::access_request(1, [5; 16], &secret, &mut octets);
        builder.push(AttributeType::USER_NAME, name).unwrap();
        builder.push_user_password(password).unwrap();
        builder.push(AttributeType::CALLING_STATION_ID, b"02-AA-BB-CC-DD-EE").unwrap();
        builder.finish();
        let out = forwarded(&Order { pseudonym: Some(MacAddr([6, 1, 2, 3, 4, 5])), ..order(&octets, &nas) });
        let sent = Packet::parse(&out).unwrap();
        assert_eq!(sent.find(AttributeType::CALLING_STATION_ID), Some(&b"06-01-02-03-04-05"[..]));
        let told = sent.find(AttributeType::USER_NAME).unwrap();
        assert_eq!(told, if hidden { b"060102030405" } else { name });
        let value = sent.find(AttributeType::USER_PASSWORD).unwrap();
        let revealed = reveal_user_password(value, &upstream(), sent.authenticator()).unwrap();
        let same = hidden && password == b"02aabbccddee";
        assert_eq!(revealed.expose(), if same { b"060102030405" } else { password });
    }
}

#[test]
fn a_handshake_is_needed_for_a_wifi_key() {
    let nas = nas();
    for octets in [vectors::RADCLIENT_EVS, vectors::HOSTAPD_2_11] {
        let out = forwarded(&Order { share: Share::Needed, ..order(octets, &nas) });
        let (came, sent) = (Packet::parse(octets).unwrap(), Packet::parse(&out).unwrap());
        let kept = |packet: &Packet<'_>| -> Vec<Vec<u8>> {
            packet.find_all(AttributeType::EXTENDED_5).map(|a| a.value.to_vec()).collect()
        };
        assert!(!kept(&came).is_empty());
        assert_eq!(kept(&sent), kept(&came));
    }
    // Another vendor's goes nowhere, nor do its fragments that look like it.
    let (secret, mut out) = (nas.clone(), Vec::new());
    let mut builder = Builder::access_request(1, [5; 16], &secret, &mut out);
    let data: Vec<u8> = [0, 0, 0x2c, 0x50, 1].repeat(100);
    builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 9, 1, &data).unwrap();
    builder.finish();
    let out = forwarded(&Order { share: Share::Needed, ..order(&out, &nas) });
    assert_eq!(Packet::parse(&out).unwrap().find(AttributeType::EXTENDED_5), None);
}

/// A device begins anew, and its NAS sends the State of what it was asked last.
#[test]
fn the_state_of_another_conversation_stays_here() {
    let nas = nas();
    let of = |eap: &[u8]| {
        let came = built(&[(AttributeType::STATE, b"of somebody else"), (AttributeType::EAP_MESSAGE, eap)]);
        let out = forwarded(&order(&came, &nas));
        Packet::parse(&out).unwrap().find(AttributeType::STATE).map(<[u8]>::to_vec)
    };
    assert_eq!(of(b"\x02\x01\x00\x0a\x01a@b.c"), None, "EAP-Response/Identity");
    assert_eq!(of(b"\x02\x01\x00\x06\x03\x0d"), Some(b"of somebody else".to_vec()), "a Nak goes on");
    assert_eq!(of(b""), Some(b"of somebody else".to_vec()));
}

/// A server's answer to a request that we sent.
fn answered(
    code: Code,
    sent: &[u8],
    secret: &RadiusSecret,
    fill: impl FnOnce(&mut Builder<'_>, &mut SaltSequence),
) -> Vec<u8> {
    let (request, mut out) = (Packet::parse(sent).unwrap(), Vec::new());
    let mut builder = Builder::reply(code, &request, secret, &mut out);
    fill(&mut builder, &mut SaltSequence::new(77));
    builder.copy_proxy_states(&request).unwrap();
    builder.finish();
    out
}

fn back(octets: &[u8], sent: &[u8], came: &[u8], terms: &Terms<'_>) -> Result<Vec<u8>, BuildError> {
    let (upstream, nas, mut out) = (upstream(), nas(), Vec::new());
    let packet = Packet::parse(octets).unwrap();
    let authenticator = *Packet::parse(sent).unwrap().authenticator();
    let answer = Answer { ticket: Ticket(1), packet, server: ServerId(1), authenticator };
    let request = Packet::parse(came).unwrap();
    reply(&answer, &upstream, &request, &nas, terms, SaltSequence::new(0x1234), &mut out)?;
    let written = Packet::parse(&out).unwrap();
    assert!(verify_response_authenticator(&written, &nas, request.authenticator()));
    let signed = verify_message_authenticator(&written, &nas, Some(request.authenticator()));
    assert_eq!(signed, MessageAuthenticator::Valid);
    assert_eq!(written.attributes().next().map(|a| a.kind), Some(AttributeType::MESSAGE_AUTHENTICATOR));
    assert_eq!(written.identifier(), request.identifier());
    Ok(out)
}

fn keys(packet: &Packet<'_>, secret: &RadiusSecret, authenticator: &Authenticator) -> Vec<(u8, Vec<u8>)> {
    let values = packet.find_all(AttributeType::VENDOR_SPECIFIC);
    let keys = values.filter_map(|a| reveal_mppe_key(a.value, secret, authenticator));
    keys.map(|key| key.map(|(kind, key)| (kind, key.expose().to_vec())).unwrap()).collect()
}

/// All that a server may say, and what a manufacturer may not.
fn everything(builder: &mut Builder<'_>, salts: &mut SaltSequence) {
    let msk: [u8; 64] = std::array::from_fn(|n| n as u8);
    builder.push(AttributeType::USER_NAME, b"serial-17").unwrap();
    builder.push_vlan(666).unwrap();
    builder.push_u32(AttributeType::EGRESS_VLANID, 0x3100_029a).unwrap();
    builder.push(AttributeType::FILTER_ID, b"open").unwrap();
    builder.push_u32(AttributeType::SESSION_TIMEOUT, 999_999).unwrap();
    builder.push_u32(AttributeType::IDLE_TIMEOUT, 1).unwrap();
    builder.push_tunnel_password(1, b"correct horse", salts).unwrap();
    builder.push_tunnel_password(2, b"battery staple, longer than a block", salts).unwrap();
    builder.push_mppe_keys(&msk, salts).unwrap();
    builder.push(AttributeType::VENDOR_SPECIFIC, &[0, 0, 0, 9, 1, 6, b'a', b'v', b'-', b'p']).unwrap();
    builder.push(AttributeType::VENDOR_SPECIFIC, &[0, 0, 1, 55, 7, 6, 0, 0, 0, 1]).unwrap();
    builder.push(AttributeType::CLASS, b"class \0\xff").unwrap();
    builder.push(AttributeType::STATE, b"state").unwrap();
    builder.push(AttributeType::CHARGEABLE_USER_IDENTITY, b"cui").unwrap();
    builder.push(AttributeType::EAP_KEY_NAME, b"name").unwrap();
    builder.push(AttributeType::REPLY_MESSAGE, b"hello").unwrap();
    builder.push_extended_vendor_specific(AttributeType::EXTENDED_6, 9, 1, &[3; 400]).unwrap();
    builder.push(AttributeType(200), b"unknown").unwrap();
    builder.push_eap_message(&[3, 1, 0, 4]).unwrap();
}

fn came() -> Vec<u8> {
    built(&[
        (AttributeType::PROXY_STATE, b"one"),
        (AttributeType::EAP_MESSAGE, &[2, 1, 0, 4]),
        (AttributeType::PROXY_STATE, b"two"),
    ])
}

const OURS: Terms<'_> =
    Terms::Ours { vlan: Some(20), session_timeout: Some(3600), user_name: Some("lamp"), wifi_keys: false };

#[test]
fn an_accept_of_our_own_server_goes_back_whole() {
    let (nas, came) = (nas(), came());
    let sent = forwarded(&order(&came, &nas));
    let answer = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), everything);
    let out = back(&answer, &sent, &came, &Terms::Pass).unwrap();
    let (answer, written, request) =
        (Packet::parse(&answer).unwrap(), Packet::parse(&out).unwrap(), Packet::parse(&came).unwrap());
    let hidden = |(kind, value): &(u8, &[u8])| {
        *kind == 69 || (*kind == 26 && value.starts_with(&[0, 0, 1, 55]) && matches!(value[4], 16 | 17))
    };
    let plain = |packet: &Packet<'_>| -> Vec<(u8, Vec<u8>)> {
        let all = without(packet, &[80, 33]).into_iter().filter(|attribute| !hidden(attribute));
        all.map(|(kind, value)| (kind, value.to_vec())).collect()
    };
    assert_eq!(plain(&written), plain(&answer));
    let msk: [u8; 64] = std::array::from_fn(|n| n as u8);
    let expected = [(MS_MPPE_RECV_KEY, msk[..32].to_vec()), (MS_MPPE_SEND_KEY, msk[32..].to_vec())];
    assert_eq!(keys(&written, &nas, request.authenticator()), expected);
    let passwords: Vec<(u8, Vec<u8>)> = written
        .find_all(AttributeType::TUNNEL_PASSWORD)
        .map(|a| reveal_tunnel_password(a.value, &nas, request.authenticator()).unwrap())
        .map(|(tag, password)| (tag, password.expose().to_vec()))
        .collect();
    assert_eq!(passwords, [(1, b"correct horse".to_vec()), (2, b"battery staple, longer than a block".to_vec())]);
    let states: Vec<&[u8]> = written.find_all(AttributeType::PROXY_STATE).map(|a| a.value).collect();
    assert_eq!(states, [b"one", b"two"]);
}

#[test]
fn a_manufacturer_says_who_it_is_and_no_more() {
    let (nas, came) = (nas(), came());
    let sent = forwarded(&order(&came, &nas));
    let answer = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), everything);
    let out = back(&answer, &sent, &came, &OURS).unwrap();
    let (written, request) = (Packet::parse(&out).unwrap(), Packet::parse(&came).unwrap());
    let expected: Vec<(u8, &[u8])> = vec![
        (1, b"lamp"),
        (64, &[0, 0, 0, 13]),
        (65, &[0, 0, 0, 6]),
        (81, b"20"),
        (27, &[0, 0, 14, 16]),
        (29, &[0, 0, 0, 1]),
        (25, b"class \0\xff"),
        (24, b"state"),
        (89, b"cui"),
        (102, b"name"),
        (18, b"hello"),
        (79, &[3, 1, 0, 4]),
        (33, b"one"),
        (33, b"two"),
    ];
    assert_eq!(without(&written, &[80, 26]), expected);
    assert_eq!(written.find_all(AttributeType::VENDOR_SPECIFIC).count(), 2);
    let found = keys(&written, &nas, request.authenticator());
    assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY]);
    // Theirs where we have no name, Wi-Fi keys from a server of our own, nothing of ours where there is nothing.
    let terms = Terms::Ours { vlan: None, session_timeout: None, user_name: None, wifi_keys: true };
    let out = back(&answer, &sent, &came, &terms).unwrap();
    let written = Packet::parse(&out).unwrap();
    assert_eq!(written.find(AttributeType::USER_NAME), Some(&b"serial-17"[..]));
    assert_eq!(written.find_all(AttributeType::TUNNEL_PASSWORD).count(), 2);
    for kind in [AttributeType::TUNNEL_TYPE, AttributeType::SESSION_TIMEOUT, AttributeType::TERMINATION_ACTION] {
        assert_eq!(written.find(kind), None);
    }
}

#[test]
fn neither_does_it_with_a_challenge_or_a_reject() {
    let (nas, came) = (nas(), came());
    let sent = forwarded(&order(&came, &nas));
    for code in [Code::ACCESS_CHALLENGE, Code::ACCESS_REJECT] {
        let answer = answered(code, &sent, &upstream(), everything);
        let out = back(&answer, &sent, &came, &OURS).unwrap();
        let kinds: Vec<u8> = Packet::parse(&out).unwrap().attributes().map(|a| a.kind.0).collect();
        assert_eq!(kinds, [80, 24, 18, 79, 33, 33]);
        let out = back(&answer, &sent, &came, &Terms::Pass).unwrap();
        assert_eq!(Packet::parse(&out).unwrap().find_u32(AttributeType::SESSION_TIMEOUT), Some(999_999));
    }
}

#[test]
fn several_keys_in_one_attribute() {
    let (nas, came) = (nas(), came());
    let sent = forwarded(&order(&came, &nas));
    // Both keys, and something else between them, in one Vendor-Specific (RFC 2865, 5.26).
    let one = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), |builder, salts| {
        builder.push_mppe_keys(&[7; 64], salts).unwrap();
    });
    let values: Vec<Vec<u8>> =
        Packet::parse(&one).unwrap().find_all(AttributeType::VENDOR_SPECIFIC).map(|a| a.value.to_vec()).collect();
    let joined = [&values[0][..], &[7, 6, 0, 0, 0, 1], &values[1][4..]].concat();
    let answer = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), |builder, _| {
        builder.push(AttributeType::VENDOR_SPECIFIC, &joined).unwrap();
    });
    let request = Packet::parse(&came).unwrap();
    let ours = back(&answer, &sent, &came, &OURS).unwrap();
    let found = keys(&Packet::parse(&ours).unwrap(), &nas, request.authenticator());
    assert_eq!(found, [(MS_MPPE_RECV_KEY, vec![7; 32]), (MS_MPPE_SEND_KEY, vec![7; 32])]);
    let whole = back(&answer, &sent, &came, &Terms::Pass).unwrap();
    let value = Packet::parse(&whole).unwrap().find(AttributeType::VENDOR_SPECIFIC).unwrap().to_vec();
    assert_eq!((value.len(), &value[56..62]), (joined.len(), &joined[56..62]));
    for sub in [&value[..56], &[&value[..4], &value[62..]].concat()] {
        let (_, key) = reveal_mppe_key(sub, &nas, request.authenticator()).unwrap().unwrap();
        assert_eq!(key.expose(), [7; 32]);
    }
}

#[test]
fn keys_that_make_no_sense_are_no_keys() {
    let (nas, came) = (nas(), came());
    let sent = forwarded(&order(&came, &nas));
    for value in [&[0, 0, 1, 55, 16, 4, 0x80, 0][..], &[0, 0, 1, 55, 17, 5, 0x80, 0, 1], &[0, 0, 1, 55, 17, 2]] {
        let answer = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), |builder, _| {
            builder.push(AttributeType::VENDOR_SPECIFIC, value).unwrap();
        });
        for terms in [Terms::Pass, OURS] {
            assert!(matches!(back(&answer, &sent, &came, &terms), Err(BuildError::Hidden(_))), "{value:?}");
        }
    }
    // Hidden with another secret than the one that signs: noise, found out by its length in 4 of 5 cases.
    let wrong = answered(Code::ACCESS_ACCEPT, &sent, &nas, |builder, salts| {
        builder.push_tunnel_password(0, b"x", salts).unwrap();
    });
    let result = back(&wrong, &sent, &came, &Terms::Pass);
    assert!(matches!(result, Err(BuildError::Hidden(_))), "{result:?}");
    // Garbled vendor attributes have no keys; they are the business of whoever gets them.
    for value in [&[0, 0, 1][..], &[0, 0, 1, 55, 16], &[0, 0, 1, 55, 16, 40, 1], &[0, 0, 1, 55, 1, 0, 16, 2]] {
        let answer = answered(Code::ACCESS_ACCEPT, &sent, &upstream(), |builder, _| {
            builder.push(AttributeType::VENDOR_SPECIFIC, value).unwrap();
        });
        let out = back(&answer, &sent, &came, &Terms::Pass).unwrap();
        assert_eq!(Packet::parse(&out).unwrap().find(AttributeType::VENDOR_SPECIFIC), Some(value));
        let out = back(&answer, &sent, &came, &OURS).unwrap();
        assert_eq!(Packet::parse(&out).unwrap().find(AttributeType::VENDOR_SPECIFIC), None);
    }
}

#[test]
fn the_accept_of_freeradius() {
    // Signed without Message-Authenticator: the engine does not take it over UDP, over TLS it does.
    let (request, secret) = (Packet::parse(vectors::RADCLIENT_ACCESS).unwrap(), nas());
    let answer = Answer {
        ticket: Ticket(1),
        packet: Packet::parse(vectors::FREERADIUS_ACCEPT).unwrap(),
        server: ServerId(1),
        authenticator: *request.authenticator(),
    };
    let (other, came, mut out) = (upstream(), came(), Vec::new());
    let came = Packet::parse(&came).unwrap();
    reply(&answer, &secret, &came, &other, &Terms::Pass, SaltSequence::new(1), &mut out).unwrap();
    let written = Packet::parse(&out).unwrap();
    let passwords: Vec<(u8, Vec<u8>)> = written
        .find_all(AttributeType::TUNNEL_PASSWORD)
        .map(|a| reveal_tunnel_password(a.value, &other, came.authenticator()).unwrap())
        .map(|(tag, password)| (tag, password.expose().to_vec()))
        .collect();
    assert_eq!(passwords, [(1, b"correct horse battery".to_vec()), (2, b"0123456789abcdef".repeat(4))]);
    assert_eq!(without(&written, &[69, 80, 33]), without(&answer.packet, &[69, 80, 33]));
}

#[test]
fn an_accounting_response_is_signed_as_it_was_asked() {
    let nas = nas();
    let sent = forwarded(&order(vectors::RADCLIENT_ACCOUNTING, &nas));
    let octets = answered(Code::ACCOUNTING_RESPONSE, &sent, &upstream(), |_, _| {});
    let answer = Answer {
        ticket: Ticket(1),
        packet: Packet::parse(&octets).unwrap(),
        server: ServerId(1),
        authenticator: *Packet::parse(&sent).unwrap().authenticator(),
    };
    let (request, mut out) = (Packet::parse(vectors::RADCLIENT_ACCOUNTING).unwrap(), Vec::new());
    reply(&answer, &upstream(), &request, &nas, &Terms::Pass, SaltSequence::new(1), &mut out).unwrap();
    let written = Packet::parse(&out).unwrap();
    assert!(verify_response_authenticator(&written, &nas, request.authenticator()));
    assert_eq!(written.attributes().count(), 0);
}

#[test]
fn readdressed_is_as_written_for_it() {
    let (nas, upstream, third) = (nas(), upstream(), RadiusSecret::new(b"third"));
    for octets in [vectors::RADCLIENT_ACCESS, vectors::EAPOL_TEST, vectors::HOSTAPD_2_11, vectors::RADCLIENT_ACCOUNTING]
    {
        let order = order(octets, &nas);
        let mut moved = forwarded(&order);
        let written = crate::wire::radius::readdress(&mut moved, 3, [4; 16], &upstream, &third).unwrap();
        let next = Next { identifier: 3, authenticator: [4; 16], secret: &third, proxy_state: STATE };
        let mut expected = Vec::new();
        request(&order, &next, &mut expected).unwrap();
        assert_eq!(moved, expected);
        assert_eq!(written, expected[4..20]);
    }
}

/// Attributes as a NAS might send, well-formed but arbitrary.
fn attributes() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = prop_oneof![
        4 => 1u8..=240,
        1 => prop::sample::select(vec![1u8, 6, 24, 25, 26, 30, 31, 33, 79, 89, 241, 242, 243, 244]),
        1 => 241u8..=255,
    ];
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 1..60)), 0..30)
}

/// A packet with these attributes; those that need more form are left out.
fn well_formed(code: u8, attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut octets = vec![code, 9, 0, 0];
    octets.extend([6; 16]);
    for (kind, value) in attributes {
        if !matches!(kind, 2 | 3 | 60 | 69 | 80 | 245 | 246) {
            octets.extend([*kind, 2 + value.len() as u8]);
            octets.extend(value);
        }
    }
    let length = (octets.len() as u16).to_be_bytes();
    octets[2..4].copy_from_slice(&length);
    octets
}

proptest! {
    /// What a server sees is what the NAS said, what the NAS sees is what the server said, over two proxies; and keys survive.
    #[test]
    fn two_hops_and_back(
        asked in attributes(), said in attributes(), password in "[^\0]{1,40}", msk: [u8; 32], key in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (nas, upstream, third) = (nas(), upstream(), RadiusSecret::new(b"third"));
        let mut came = well_formed(1, &asked);
        let hidden = {
            let (mut out, authenticator) = (Vec::new(), [6; 16]);
            let mut builder = Builder::access_request(9, authenticator, &nas, &mut out);
            builder.push_user_password(password.as_bytes()).unwrap();
            builder.finish();
            out[38..].to_vec()
        };
        came.extend(hidden);
        let length = (came.len() as u16).to_be_bytes();
        came[2..4].copy_from_slice(&length);
        let first = forwarded(&order(&came, &nas));
        let mut second = Vec::new();
        let next = Next { identifier: 77, authenticator: [3; 16], secret: &third, proxy_state: [2; 16] };
        request(&order(&first, &upstream), &next, &mut second).unwrap();
        let (asked, seen) = (Packet::parse(&came).unwrap(), Packet::parse(&second).unwrap());
        let mut found = without(&seen, &[80, 2]);
        prop_assert_eq!(found.pop(), Some((33, &[2; 16][..])));
        prop_assert_eq!(found.pop(), Some((33, &STATE[..])));
        prop_assert_eq!(found, without(&asked, &[80, 2]));
        let value = seen.find(AttributeType::USER_PASSWORD).unwrap();
        let revealed = reveal_user_password(value, &third, seen.authenticator()).unwrap();
        prop_assert_eq!(revealed.expose(), password.as_bytes());

        let said: Vec<(u8, Vec<u8>)> = said.into_iter().filter(|(kind, value)| {
            *kind != 33 && (*kind != 26 || !value.starts_with(&[0, 0, 1, 55]))
        }).collect();
        let said = well_formed(2, &said);
        let said = Packet::parse(&said).unwrap();
        let msk: [u8; 64] = std::array::from_fn(|n| msk[n / 2]);
        let answer = answered(Code::ACCESS_ACCEPT, &second, &third, |builder, salts| {
            said.attributes().for_each(|attribute| builder.copy(&attribute).unwrap());
            builder.push_mppe_keys(&msk, salts).unwrap();
            builder.push_tunnel_password(5, &key, salts).unwrap();
        });
        let answer = Answer {
            ticket: Ticket(1), packet: Packet::parse(&answer).unwrap(), server: ServerId(1), authenticator: [3; 16],
        };
        let mut between = Vec::new();
        let first_packet = Packet::parse(&first).unwrap();
        let salts = SaltSequence::new(5);
        reply(&answer, &third, &first_packet, &upstream, &Terms::Pass, salts, &mut between).unwrap();
        let out = back(&between, &first, &came, &Terms::Pass).unwrap();
        let got = Packet::parse(&out).unwrap();
        let plain = |packet: &Packet<'_>| -> Vec<(u8, Vec<u8>)> {
            let all = without(packet, &[80, 33, 69]).into_iter();
            let all = all.filter(|(kind, value)| *kind != 26 || !value.starts_with(&[0, 0, 1, 55]));
            all.map(|(kind, value)| (kind, value.to_vec())).collect()
        };
        prop_assert_eq!(plain(&got), plain(&said));
        let states = |packet: &Packet<'_>| -> Vec<Vec<u8>> {
            packet.find_all(AttributeType::PROXY_STATE).map(|a| a.value.to_vec()).collect()
        };
        prop_assert_eq!(states(&got), states(&asked));
        let expected = [(MS_MPPE_RECV_KEY, msk[..32].to_vec()), (MS_MPPE_SEND_KEY, msk[32..].to_vec())];
        prop_assert_eq!(keys(&got, &nas, asked.authenticator()), expected);
        let value = got.find(AttributeType::TUNNEL_PASSWORD).unwrap();
        let (tag, revealed) = reveal_tunnel_password(value, &nas, asked.authenticator()).unwrap();
        prop_assert_eq!((tag, revealed.expose()), (5, &key[..]));
    }
}

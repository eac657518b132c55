//! What the builder writes, read back by the parser and compared with what other programs write.

use super::vectors::{self, secret};
use super::*;
use proptest::prelude::*;

/// The attributes of a packet, copied.
fn attributes(packet: &Packet<'_>) -> Vec<(u8, Vec<u8>)> {
    packet.attributes().map(|a| (a.kind.0, a.value.to_vec())).collect()
}

#[test]
fn the_octets_of_radclient() {
    let real = Packet::parse(vectors::RADCLIENT_ACCESS).unwrap();
    let (secret, mut out) = (secret(), Vec::new());
    let mut builder = Builder::access_request(real.identifier(), *real.authenticator(), &secret, &mut out);
    builder.push(AttributeType::USER_NAME, b"02aabbccddee").unwrap();
    builder.push_user_password(b"02aabbccddee").unwrap();
    builder.push(AttributeType::NAS_IP_ADDRESS, &[192, 0, 2, 1]).unwrap();
    builder.push(AttributeType::NAS_IDENTIFIER, b"ap1").unwrap();
    builder.push(AttributeType::CALLED_STATION_ID, b"02-00-00-00-01-00:Home: 2.4").unwrap();
    builder.push_u32(AttributeType::NAS_PORT_TYPE, NAS_PORT_TYPE_IEEE_802_11).unwrap();
    builder.push(AttributeType::CALLING_STATION_ID, b"02-AA-BB-CC-DD-EE").unwrap();
    builder.push(AttributeType::CONNECT_INFO, b"CONNECT 11Mbps 802.11b").unwrap();
    assert_eq!(builder.finish(), vectors::RADCLIENT_ACCESS);

    let real = Packet::parse(vectors::RADCLIENT_ACCOUNTING).unwrap();
    let mut builder = Builder::accounting_request(real.identifier(), &secret, &mut out);
    builder.push_u32(AttributeType::ACCT_STATUS_TYPE, acct_status_type::START).unwrap();
    builder.push(AttributeType::USER_NAME, b"02aabbccddee").unwrap();
    builder.push(AttributeType::ACCT_SESSION_ID, b"0123456789ABCDEF").unwrap();
    builder.push(AttributeType::CALLING_STATION_ID, b"02-AA-BB-CC-DD-EE").unwrap();
    builder.push_u32(AttributeType::EVENT_TIMESTAMP, 1_700_000_000).unwrap();
    assert_eq!(builder.finish(), vectors::RADCLIENT_ACCOUNTING);

    let real = Packet::parse(vectors::RADCLIENT_STATUS).unwrap();
    let builder = Builder::status_server(real.identifier(), *real.authenticator(), &secret, &mut out);
    assert_eq!(builder.finish(), vectors::RADCLIENT_STATUS);

    let real = Packet::parse(vectors::RADCLIENT_EVS).unwrap();
    let parts = freeradius_802_1x(&real);
    let mut builder = Builder::access_request(real.identifier(), *real.authenticator(), &secret, &mut out);
    builder.push(AttributeType::USER_NAME, b"evs").unwrap();
    for (vendor_type, data) in [
        (FREERADIUS_802_1X_ANONCE, &parts.anonce.unwrap()[..]),
        (FREERADIUS_802_1X_EAPOL_KEY_MSG, parts.eapol.as_deref().unwrap()),
    ] {
        let kind = AttributeType::EXTENDED_5;
        builder.push_extended_vendor_specific(kind, VENDOR_FREERADIUS, vendor_type, data).unwrap();
    }
    assert_eq!(attributes(&Packet::parse(builder.finish()).unwrap())[1..], attributes(&real)[1..]);
}

#[test]
fn the_octets_of_freeradius() {
    let request = Packet::parse(vectors::RADCLIENT_ACCESS).unwrap();
    let real = Packet::parse(vectors::FREERADIUS_ACCEPT).unwrap();
    let (secret, mut out) = (secret(), Vec::new());
    let mut builder = Builder::reply_without_message_authenticator(Code::ACCESS_ACCEPT, &request, &secret, &mut out);
    builder.push_tagged_u32(AttributeType::TUNNEL_TYPE, 1, TUNNEL_TYPE_VLAN).unwrap();
    builder.push_tagged_u32(AttributeType::TUNNEL_MEDIUM_TYPE, 1, TUNNEL_MEDIUM_TYPE_IEEE_802).unwrap();
    builder.push_tagged_text(AttributeType::TUNNEL_PRIVATE_GROUP_ID, 1, b"20").unwrap();
    let passwords: [(u8, &[u8]); 2] = [(1, b"correct horse battery"), (2, &b"0123456789abcdef".repeat(4))];
    for ((tag, password), theirs) in passwords.into_iter().zip(real.find_all(AttributeType::TUNNEL_PASSWORD)) {
        let mut salts = SaltSequence::new(u16::from_be_bytes([theirs.value[1], theirs.value[2]]));
        builder.push_tunnel_password(tag, password, &mut salts).unwrap();
    }
    builder.push_u32(AttributeType::SESSION_TIMEOUT, 3600).unwrap();
    assert_eq!(builder.finish(), vectors::FREERADIUS_ACCEPT);
}

#[test]
fn a_reply_has_the_message_authenticator_first_and_the_proxy_states_in_order() {
    let (secret, mut ask, mut out) = (secret(), Vec::new(), vec![9; 5000]);
    let mut builder = Builder::access_request(200, [3; 16], &secret, &mut ask);
    for state in [&b"one"[..], b"", b"three"] {
        builder.push(AttributeType::PROXY_STATE, state).unwrap();
        builder.push(AttributeType::NAS_PORT_ID, state).unwrap();
    }
    let request = Packet::parse(builder.finish()).unwrap();
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, &request, &secret, &mut out);
    builder.push_vlan(4094).unwrap();
    builder.copy_proxy_states(&request).unwrap();
    let reply = Packet::parse(builder.finish()).unwrap();
    assert_eq!((reply.code(), reply.identifier()), (Code::ACCESS_ACCEPT, 200));
    let found = attributes(&reply);
    assert_eq!(found[0].0, 80);
    assert_eq!(
        found[1..],
        [
            (64, vec![0, 0, 0, 13]),
            (65, vec![0, 0, 0, 6]),
            (81, b"4094".to_vec()),
            (33, b"one".to_vec()),
            (33, vec![]),
            (33, b"three".to_vec())
        ]
    );
    let asked = Some(request.authenticator());
    assert_eq!(verify_message_authenticator(&reply, &secret, asked), MessageAuthenticator::Valid);
    assert_eq!(verify_message_authenticator(&reply, &secret, None), MessageAuthenticator::Invalid);
    assert_eq!(verify_message_authenticator(&reply, &secret, Some(&[4; 16])), MessageAuthenticator::Invalid);
    assert!(verify_response_authenticator(&reply, &secret, request.authenticator()));
    for bit in 0..reply.octets().len() * 8 {
        let mut flipped = reply.octets().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(flipped) = Packet::parse(&flipped) else { continue };
        assert!(!verify_response_authenticator(&flipped, &secret, request.authenticator()), "bit {bit}");
        // The Response Authenticator itself is not under the Message-Authenticator, and a reply of another kind of
        // the same request is: both are seen by one of the two.
        if !(4..20).contains(&(bit / 8)) {
            assert_ne!(verify_message_authenticator(&flipped, &secret, asked), MessageAuthenticator::Valid);
        }
    }
}

#[test]
fn requests_with_a_computed_authenticator() {
    let (secret, mut out) = (secret(), Vec::new());
    let mut builder = Builder::disconnect_request(1, &secret, &mut out);
    builder.push(AttributeType::CALLING_STATION_ID, b"02-AA-BB-CC-DD-EE").unwrap();
    let kind = AttributeType::USER_PASSWORD;
    assert_eq!(builder.push_user_password(b"x"), Err(BuildError::NotHideable(kind)));
    let kind = AttributeType::TUNNEL_PASSWORD;
    let hidden = builder.push_tunnel_password(0, b"x", &mut SaltSequence::new(0));
    assert_eq!(hidden, Err(BuildError::NotHideable(kind)));
    let request = Packet::parse(builder.finish()).unwrap();
    assert!(verify_request_authenticator(&request, &secret));
    assert_eq!(verify_message_authenticator(&request, &secret, None), MessageAuthenticator::Valid);
}

#[test]
fn what_does_not_fit_leaves_the_packet_as_it_was() {
    let (secret, mut out) = (secret(), Vec::new());
    let request = Packet::parse(vectors::RADCLIENT_ACCESS).unwrap();
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, &request, &secret, &mut out);
    let mut salts = SaltSequence::new(1);
    let before = builder.octets();
    let (name, tunnel, extended) =
        (AttributeType::USER_NAME, AttributeType::TUNNEL_PASSWORD, AttributeType::EXTENDED_1);
    let too_long = |kind, octets, most| Err(BuildError::ValueTooLong { kind, octets, most });
    assert_eq!(builder.push(name, &[0; 254]), too_long(name, 254, 253));
    assert_eq!(builder.push(name, &[0; 70_000]), too_long(name, 70_000, 253));
    assert_eq!(builder.push_tagged_text(name, 1, &[0; 253]), too_long(name, 253, 252));
    assert_eq!(builder.push_tunnel_password(1, &[b'x'; 240], &mut salts), too_long(tunnel, 240, 239));
    assert_eq!(builder.push_tunnel_password(32, b"x", &mut salts), Err(BuildError::Tag(32)));
    let vendor = builder.push_extended_vendor_specific(extended, 1, 1, &[0; 248]);
    assert_eq!(vendor, too_long(extended, 253, 252));
    let integer = Err(BuildError::Integer { kind: name, value: 1 << 24 });
    assert_eq!(builder.push_tagged_u32(name, 0, 1 << 24), integer);
    for kind in [AttributeType::MESSAGE_AUTHENTICATOR, AttributeType::EXTENDED_1, AttributeType::EXTENDED_6] {
        assert_eq!(builder.push(kind, &[0; 16]), Err(BuildError::Reserved(kind)));
    }
    assert_eq!(builder.push_extended_vendor_specific(name, 1, 1, &[]), Err(BuildError::Reserved(name)));
    assert_eq!(builder.octets(), before);

    while builder.push_tunnel_password(1, &[b'k'; 64], &mut salts).is_ok() {}
    let full = builder.octets();
    assert!(full > 4096 - 85);
    assert!(matches!(builder.push_eap_message(&[0; 300]), Err(BuildError::PacketFull { .. })));
    assert!(matches!(
        builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 1, 1, &[0; 300]),
        Err(BuildError::PacketFull { .. })
    ));
    assert_eq!(builder.octets(), full);
    let reply = Packet::parse(builder.finish()).unwrap();
    let salts: std::collections::HashSet<&[u8]> =
        reply.find_all(AttributeType::TUNNEL_PASSWORD).map(|a| &a.value[1..3]).collect();
    assert_eq!(salts.len(), 47);
}

#[test]
fn tagged_text_without_a_tag() {
    let (secret, mut out) = (secret(), Vec::new());
    let kind = AttributeType::TUNNEL_PRIVATE_GROUP_ID;
    let mut builder = Builder::accounting_request(1, &secret, &mut out);
    let texts = [(0, &b"20"[..]), (0, b"\x01x"), (0, b""), (31, b""), (5, b"guests")];
    for (tag, text) in texts {
        builder.push_tagged_text(kind, tag, text).unwrap();
    }
    for vlan in [0, 1, 4094, 65_535] {
        builder.push_vlan(vlan).unwrap();
    }
    let packet = Packet::parse(builder.finish()).unwrap();
    let found: Vec<(u8, &[u8])> = packet.find_all(kind).map(|a| a.as_tagged_text()).collect();
    assert_eq!(found[..5], texts);
    assert_eq!(found[5..], [(0, &b"0"[..]), (0, b"1"), (0, b"4094"), (0, b"65535")]);
}

/// Every file of the corpus, as the fuzz target gets it.
#[test]
fn the_corpus_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/radius");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 15);
    for file in files {
        let octets = std::fs::read(&file).unwrap();
        fuzz(&octets);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(Packet::parse(&octets).is_err(), name.starts_with("bad-"), "{name}");
        for end in 0..octets.len() {
            fuzz(&octets[..end]);
        }
    }
}

fn plain_attribute() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let kind = any::<u8>().prop_filter("has a method of its own", |k| *k != 80 && !(241..=246).contains(k));
    (kind, prop::collection::vec(any::<u8>(), 0..=253))
}

proptest! {
    #[test]
    fn no_octets_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&data);
    }

    #[test]
    fn no_attributes_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&vectors::request(&[&data]));
    }

    /// Attributes that are mostly well-formed and mostly extended: random octets hardly ever get that far.
    #[test]
    fn no_fragments_panic(
        parts in prop::collection::vec((prop::sample::select(vec![1u8, 33, 80, 241, 245, 245, 246]), 0u8..=1,
            prop_oneof![Just(251usize), 0..=251usize], any::<u8>(), any::<bool>()), 0..14)
    ) {
        let attributes: Vec<u8> = parts.iter().flat_map(|(kind, extended_type, octets, fill, more)| {
            let mut value = vec![25 + extended_type, if *more { 0x80 } else { 0 }];
            value.resize(2 + octets, *fill);
            [&[*kind, 4 + *octets as u8], &value[..]].concat()
        }).collect();
        fuzz(&vectors::request(&[&attributes]));
    }

    /// Real packets with a few octets changed, removed or doubled, and a Length field that is right again.
    #[test]
    fn no_change_of_a_real_packet_panics(
        packet in prop::sample::select(vec![vectors::RADCLIENT_EVS, vectors::RADCLIENT_ACCESS, vectors::EAPOL_TEST,
            vectors::FREERADIUS_ACCEPT, vectors::HOSTAPD_2_11]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..260usize, 0..4u8, any::<u8>()), 1..5),
    ) {
        let mut octets = packet.to_vec();
        for (at, count, change, octet) in changes {
            let at = at.index(octets.len());
            let end = octets.len().min(at + count);
            match change {
                0 => octets[at] = octet,
                1 => octets[at] ^= 1 << (octet % 8),
                2 => octets.extend_from_within(at..end),
                _ if octets.len() - (end - at) >= 20 => drop(octets.drain(at..end)),
                _ => octets.truncate(20),
            }
        }
        octets.resize(octets.len().max(20), 0);
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        octets[2..4].copy_from_slice(&length);
        fuzz(&octets);
    }

    #[test]
    fn what_is_built_is_parsed(attributes_in in prop::collection::vec(plain_attribute(), 0..15), authenticator: [u8; 16], identifier: u8) {
        let (secret, mut out) = (secret(), Vec::new());
        let mut builder = Builder::access_request(identifier, authenticator, &secret, &mut out);
        for (kind, value) in &attributes_in {
            builder.push(AttributeType(*kind), value).unwrap();
        }
        let packet = Packet::parse(builder.finish()).unwrap();
        prop_assert_eq!(packet.identifier(), identifier);
        prop_assert_eq!(packet.authenticator(), &authenticator);
        prop_assert_eq!(&attributes(&packet)[1..], &attributes_in[..]);
        prop_assert_eq!(verify_message_authenticator(&packet, &secret, None), MessageAuthenticator::Valid);
    }

    #[test]
    fn extended_vendor_specific_comes_back(
        data in prop::collection::vec(any::<u8>(), 0..1500), vendor: u32, vendor_type: u8, kind in 245u8..=246,
    ) {
        let (secret, mut out) = (secret(), Vec::new());
        let kind = AttributeType(kind);
        let mut builder = Builder::accounting_request(0, &secret, &mut out);
        builder.push_extended_vendor_specific(kind, vendor, vendor_type, &data).unwrap();
        builder.push_u32(AttributeType::NAS_PORT, 7).unwrap();
        let packet = Packet::parse(builder.finish()).unwrap();
        let found: Vec<_> = extended_attributes(&packet).filter_map(|e| e.vendor_specific()).collect();
        prop_assert_eq!(found, vec![ExtendedVendorSpecific { kind, vendor, vendor_type, data: data.into() }]);
        prop_assert_eq!(packet.find_u32(AttributeType::NAS_PORT), Some(7));
    }

    #[test]
    fn the_mistake_of_hostapd_is_read(frame in prop::collection::vec(any::<u8>(), 0..1200)) {
        let value = [&[0, 0, 0x2c, 0x50, 2], &frame[..]].concat();
        // One in 65,536 of them looks like the proper next fragment as well, and is refused: the station tries again.
        prop_assume!(!value.chunks(251).skip(1).any(|stray| matches!(stray, [245, 5..=255, 26, ..])));
        let octets = vectors::request(&[&vectors::hostapd_2_11(&value), &[61, 6, 0, 0, 0, 19]]);
        let packet = Packet::parse(&octets).unwrap();
        let found = freeradius_802_1x(&packet).eapol;
        prop_assert_eq!(found.as_deref(), Some(&frame[..]));
        prop_assert_eq!(packet.find_u32(AttributeType::NAS_PORT_TYPE), Some(19));
    }
}

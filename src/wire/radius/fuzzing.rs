//! The entry of the fuzz target: every parser of this folder on arbitrary octets, and what must hold between them.

use super::{
    AttributeType, Builder, CalledStationId, Code, HEADER_OCTETS, MessageAuthenticator, Packet, SaltSequence,
    extended_attributes, freeradius_802_1x, reveal_tunnel_password, reveal_user_password, unescape,
    verify_message_authenticator, verify_request_authenticator, verify_response_authenticator,
};
use crate::secret::RadiusSecret;

/// Reads `data` as a datagram and everything in it, writes it out again and compares.
///
/// # Panics
/// If the codec contradicts itself: that is what the fuzzer looks for.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let secret = RadiusSecret::new(b"testing123");
    assert!(unescape(data).len() <= data.len());
    let _ = CalledStationId::parse(data);
    let _ = reveal_user_password(data, &secret, &[0; 16]);
    let _ = reveal_tunnel_password(data, &secret, &[0; 16]);
    let Ok(packet) = Packet::parse(data) else { return };
    assert!(data.starts_with(packet.octets()));
    let _ = verify_message_authenticator(&packet, &secret, None);
    let _ = verify_message_authenticator(&packet, &secret, Some(&[0; 16]));
    let _ = verify_request_authenticator(&packet, &secret);
    let _ = verify_response_authenticator(&packet, &secret, &[0; 16]);
    for attribute in packet.attributes() {
        let _ = (attribute.as_u32(), attribute.as_tagged_u32(), attribute.as_tagged_text());
        let _ = reveal_user_password(attribute.value, &secret, packet.authenticator());
        let _ = reveal_tunnel_password(attribute.value, &secret, packet.authenticator());
        let _ = CalledStationId::parse(attribute.value);
    }
    let _ = (packet.eap_message(), freeradius_802_1x(&packet));
    same_without_stray_octets(&packet);
    same_vendor_specific(&packet, &secret);
    reply(&packet, &secret);
}

/// The attributes written one after the other are the packet again, but for stray octets between fragments.
fn same_without_stray_octets(packet: &Packet<'_>) {
    let mut clean = packet.octets().iter().copied().take(HEADER_OCTETS).collect::<Vec<u8>>();
    for attribute in packet.attributes() {
        clean.extend([attribute.kind.0, 2 + attribute.value.len() as u8]);
        clean.extend(attribute.value);
    }
    let stray = packet.octets().len() - clean.len();
    if stray == 0 {
        assert_eq!(clean, packet.octets());
    } else {
        assert!(packet.find(AttributeType::EXTENDED_5).is_some());
        for (to, from) in clean.iter_mut().skip(2).zip(((packet.octets().len() - stray) as u16).to_be_bytes()) {
            *to = from;
        }
    }
    // Stray octets can hide a second reading only until they are gone.
    if let Ok(again) = Packet::parse(&clean) {
        let value = |p: &Packet<'_>| p.attributes().map(|a| (a.kind, a.value.to_vec())).collect::<Vec<_>>();
        assert_eq!(value(&again), value(packet));
        assert_eq!(freeradius_802_1x(&again), freeradius_802_1x(packet));
    }
}

/// Every Extended-Vendor-Specific attribute comes back from the builder's fragments.
fn same_vendor_specific(packet: &Packet<'_>, secret: &RadiusSecret) {
    let mut out = Vec::new();
    for specific in extended_attributes(packet).filter_map(|e| e.vendor_specific()) {
        let mut builder = Builder::accounting_request(0, secret, &mut out);
        let pushed =
            builder.push_extended_vendor_specific(specific.kind, specific.vendor, specific.vendor_type, &specific.data);
        assert_eq!(pushed, Ok(()));
        let again = Packet::parse(builder.finish());
        // Refused only where the data itself imitates fragments; never for data that needs none.
        match again.map(|again| {
            extended_attributes(&again).filter_map(|e| e.vendor_specific()).next() == Some(specific.clone())
        }) {
            Ok(same) => assert!(same),
            Err(error) => assert!(specific.data.len() > 246, "{error}"),
        }
    }
}

/// A reply to the packet that repeats what it can is valid for who asked.
fn reply(packet: &Packet<'_>, secret: &RadiusSecret) {
    let mut out = Vec::new();
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, packet, secret, &mut out);
    let mut salts = SaltSequence::new(0xffff);
    let copied = builder.copy_proxy_states(packet);
    let mut pushed = 0;
    for attribute in packet.attributes().filter(|a| a.kind != AttributeType::PROXY_STATE) {
        pushed += usize::from(builder.push(attribute.kind, attribute.value).is_ok());
        let _ = builder.push_tunnel_password(1, attribute.value, &mut salts).map(|()| pushed += 1);
    }
    let Ok(reply) = Packet::parse(builder.finish()) else { panic!("the builder wrote what the parser refuses") };
    assert_eq!(reply.identifier(), packet.identifier());
    let asked = Some(packet.authenticator());
    assert_eq!(verify_message_authenticator(&reply, secret, asked), MessageAuthenticator::Valid);
    assert!(verify_response_authenticator(&reply, secret, packet.authenticator()));
    let states = |p: &Packet<'_>| p.find_all(AttributeType::PROXY_STATE).map(|a| a.value.to_vec()).collect::<Vec<_>>();
    if copied.is_ok() {
        assert_eq!(states(&reply), states(packet));
    }
    assert_eq!(reply.attributes().count(), 1 + states(&reply).len() + pushed);
}

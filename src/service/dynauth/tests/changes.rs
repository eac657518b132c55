//! Several sessions at once, changes of a stay, and requests over our own connections.

use super::*;

#[test]
fn one_name_can_mean_several_sessions() {
    let mut scene = Scene::new();
    let request = scene.request(false, "acme", &[(AttributeType::USER_NAME, b"@acme.example")]);
    assert_eq!(scene.receive(ACME, &request), None);
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    let mut off = scene.carry_out();
    off.sort();
    assert_eq!(off, [mac(1), mac(2)]);
    scene.pass(10);
    assert_eq!(scene.answer(), None, "the other box has not answered");
    let (parsed, mut out) = (Packet::parse(&sent[0].1).expect("a packet"), Vec::new());
    Builder::reply(Code::DISCONNECT_ACK, &parsed, &secret("the tests"), &mut out).finish();
    scene.core.receive_disconnect(&sent[0].0, &out, scene.now);
    scene.pass(1);
    let (_, answer) = scene.answer().expect("an answer");
    // The third one is where nobody can be told.
    assert_eq!(Some(check(&request, &answer, "acme")), nak(502));
    let mut scene = Scene::new();
    (10..30).for_each(|station| scene.joins(station, Some("acme"), BSS, "local"));
    assert_eq!(scene.disconnect(&[(AttributeType::USER_NAME, b"@acme.example")]), nak(508));
    assert!(scene.carry_out().is_empty());
}

#[test]
fn what_can_be_changed() {
    let service = |number: u8| (AttributeType::SERVICE_TYPE, [0, 0, 0, number]);
    let (only, framed) = (service(17), service(2));
    let (only, framed) = ((only.0, &only.1[..]), (framed.0, &framed.1[..]));
    let state: (AttributeType, &[u8]) = (AttributeType::STATE, b"state");
    let timeout: (AttributeType, &[u8]) = (AttributeType::SESSION_TIMEOUT, &[0, 0, 0, 60]);
    let long: (AttributeType, &[u8]) = (AttributeType::SESSION_TIMEOUT, &[0, 0, 0x1c, 0x21]);
    let after = |value: &'static [u8]| (AttributeType::TERMINATION_ACTION, value);
    for (attributes, expected, gone) in [
        (&[LAMP, timeout][..], Some((Code::COA_ACK, None)), 0),
        (&[LAMP, timeout, after(&[0, 0, 0, 1])], Some((Code::COA_ACK, None)), 0),
        (&[LAMP, long], coa_nak(501), 0),
        (&[LAMP, after(&[0, 0, 0, 2]), timeout], coa_nak(407), 0),
        (&[LAMP, after(&[0, 0, 0, 1])], coa_nak(402), 0),
        (&[LAMP, only, state], coa_nak(507), 1),
        (&[LAMP, only], coa_nak(402), 0),
        (&[LAMP, only, state, timeout], coa_nak(401), 0),
        (&[LAMP, framed, state], coa_nak(405), 0),
        (&[LAMP, state], coa_nak(401), 0),
        (&[LAMP], coa_nak(402), 0),
        (&[LAMP, (AttributeType::FILTER_ID, b"quarantine")], coa_nak(401), 0),
        (&[LAMP, timeout, (AttributeType::FILTER_ID, b"quarantine")], coa_nak(401), 0),
        (&[LAMP, (AttributeType::TUNNEL_PRIVATE_GROUP_ID, b"30")], coa_nak(401), 0),
        (&[LAMP, (AttributeType::ACCT_TERMINATE_CAUSE, &[0, 0, 0, 6])], coa_nak(401), 0),
        (&[(CALLING, b"00-1A-11-00-00-03"), timeout], coa_nak(503), 0),
        (&[timeout], coa_nak(402), 0),
    ] {
        let mut scene = Scene::new();
        assert_eq!(scene.change(attributes), expected, "{attributes:?}");
        assert_eq!(scene.carry_out().len(), gone, "{attributes:?}");
    }
    let mut scene = Scene::new();
    let request = scene.request(true, "acme", &[LAMP, only, state]);
    let answer = scene.receive(ACME, &request).expect("an answer");
    let answer = Packet::parse(&answer).expect("a packet");
    assert_eq!(answer.find_u32(AttributeType::SERVICE_TYPE), Some(17), "RFC 5176, 3.2");
    assert!(scene.last().2.ends_with("it is authenticated anew (Error-Cause 507)"));
    // Whoever says where its devices are placed can have changed its mind.
    let mut scene = Scene::new();
    let request = scene.request(true, "online", &[(CALLING, b"00-1A-11-00-00-07")]);
    assert_eq!(scene.receive(ONLINE, &request), None);
    assert_eq!(scene.carry_out(), [mac(7)]);
    scene.pass(1);
    let (_, answer) = scene.answer().expect("an answer");
    assert_eq!(check(&request, &answer, "online"), (Code::COA_ACK, None));
    assert_eq!(scene.last().1, "asked_to_change");
}

#[test]
fn a_shorter_stay_ends_unless_the_device_was_let_in_anew() {
    let timeout: (AttributeType, &[u8]) = (AttributeType::SESSION_TIMEOUT, &[0, 0, 0, 60]);
    for (station, anew, expected) in [(1, false, 1), (1, true, 0), (5, false, 1)] {
        let mut scene = Scene::new();
        let address = mac(station).to_string();
        assert_eq!(scene.change(&[(CALLING, address.as_bytes()), timeout]), Some((Code::COA_ACK, None)));
        scene.pass(59_000);
        scene.core.tick_stays(scene.now);
        assert!(scene.carry_out().is_empty() && scene.core.disconnects.is_empty());
        if anew {
            scene.joins(station, Some("acme"), BSS, "local");
        }
        scene.pass(1000);
        scene.core.tick_stays(scene.now);
        assert_eq!(scene.carry_out().len() + scene.core.disconnects.len(), expected, "{station}, anew: {anew}");
        assert!(scene.core.dynauth.stays.is_empty());
    }
    let mut scene = Scene::new();
    scene.change(&[LAMP, timeout]);
    let mut config = (*scene.core.config).clone();
    config.realms.retain(|realm| &*realm.name != "acme");
    scene.core.dynauth.configure(&config);
    assert!(scene.core.dynauth.stays.is_empty(), "its realm is gone");
}

#[test]
fn over_our_own_connection() {
    let mut scene = Scene::new();
    let who = Upstream { realm: "acme".into(), nai_realm: None, reply: Reply::Link(LinkId(4)) };
    let radsec = RadiusSecret::new(b"radsec");
    let (mut request, mut out) = (Vec::new(), Vec::new());
    let mut builder = Builder::disconnect_request(7, &radsec, &mut request);
    builder.push(CALLING, LAMP.1).expect("fits");
    builder.finish();
    assert!(!receive(&mut scene.core, &who, &radsec, &request, scene.now, &mut out));
    scene.carry_out();
    scene.pass(1);
    let (reply, answer) = scene.answer().expect("an answer");
    assert_eq!((reply, answer.first()), (Reply::Link(LinkId(4)), Some(&Code::DISCONNECT_ACK.0)));
    assert!(receive(&mut scene.core, &who, &radsec, &request, scene.now, &mut out) && out == answer);
    // The same octets over another connection are another request.
    let other = Upstream { realm: "acme".into(), nai_realm: None, reply: Reply::Link(LinkId(5)) };
    assert!(!receive(&mut scene.core, &other, &radsec, &request, scene.now, &mut out) || out != answer);
    let beta = Upstream { realm: "beta".into(), nai_realm: None, reply: Reply::Link(LinkId(6)) };
    assert!(receive(&mut scene.core, &beta, &radsec, &request, scene.now, &mut out));
    assert_eq!(out.first(), Some(&Code::DISCONNECT_NAK.0), "it is none of beta's");
    assert!(!receive(&mut scene.core, &who, &radsec, &[0; 30], scene.now, &mut out));
    // A server that DNS told for a domain reaches the devices of that, not those of others in the same section.
    for (domain, expected) in [("evil.example", Code::DISCONNECT_NAK), ("ACME.example", Code::DISCONNECT_ACK)] {
        let who = Upstream {
            realm: "acme".into(),
            nai_realm: Some(domain.into()),
            reply: Reply::Link(LinkId(if expected == Code::DISCONNECT_ACK { 7 } else { 8 })),
        };
        let mut builder = Builder::disconnect_request(9, &radsec, &mut request);
        builder.push(AttributeType::USER_NAME, b"d2@acme.example").expect("fits");
        builder.finish();
        let at_once = receive(&mut scene.core, &who, &radsec, &request, scene.now, &mut out);
        assert_eq!(at_once, expected == Code::DISCONNECT_NAK, "{domain}");
        if at_once {
            assert_eq!(out.first(), Some(&expected.0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No octets panic or stay in work for ever, and no flipped bit goes unnoticed.
    #[test]
    fn hostile_octets(data in prop::collection::vec(any::<u8>(), 0..300), bit in 20usize * 8..(20 + 18 + 19) * 8) {
        prop_assert!(Config::parse(fuzzing::CONFIG).is_ok());
        fuzz(&data);
        let mut scene = Scene::new();
        let mut request = scene.request(false, "acme", &[LAMP]);
        request[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(scene.receive(ACME, &request), None);
        prop_assert!(scene.carry_out().is_empty());
    }
}

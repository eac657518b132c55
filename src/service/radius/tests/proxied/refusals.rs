//! What goes wrong, and whose fault it is.

use super::*;
use crate::registry::credential::Place;
use crate::registry::device::BoundMac;

#[test]
fn they_said_no() {
    let mut rig = Rig::proxy(vec![], &with(""));
    for (message, eap, words) in [
        (None, true, "refused: acme said no"),
        (Some(&b"not\x07today"[..]), true, "refused: acme said no: not today"),
        (None, false, "refused: acme said no"),
    ] {
        let request = rig.identity_of(CAM, mac(9));
        let end = rig.through(&request, Code::ACCESS_REJECT, |builder| {
            if let Some(message) = message {
                builder.push(AttributeType::REPLY_MESSAGE, message).expect("fits");
            }
            if eap {
                builder.push_eap_message(&eap::failure(1)).expect("fits");
            }
        });
        assert_eq!((end, rig.event().to_string().as_str()), (rejected(), words));
        assert_eq!(rig.reply().eap_message().as_deref(), Some(&eap::failure(1)[..]));
        assert_eq!((rig.last().2, rig.event().reason.fault().as_str()), ("peer_refused", "manufacturer"));
    }
    assert_eq!(rig.core.proxy.stats.refused, 3);
    assert!(rig.core.pending.is_empty());
}

#[test]
fn an_accept_that_is_of_no_use() {
    for (fill, words) in [
        ((|builder| builder.push_eap_message(&eap::success(1)).expect("fits")) as fn(&mut Builder<'_>), "without keys"),
        (
            |builder| {
                let mut salts = SaltSequence::new(1);
                builder.push_mppe_keys(&[7; 64], &mut salts).expect("fits");
            },
            "without EAP-Success",
        ),
        (
            |builder| {
                accept(builder);
                // A Tunnel-Password is not looked at; a key that cannot be read is.
                builder.push(AttributeType::VENDOR_SPECIFIC, &[0, 0, 1, 0x37, 17, 4, 0x80, 0]).expect("fits");
            },
            "of no use",
        ),
    ] {
        let mut rig = Rig::proxy(vec![], &with("\toption register '0'\n"));
        let request = rig.identity_of(CAM, mac(9));
        assert_eq!(rig.through(&request, Code::ACCESS_ACCEPT, fill), rejected());
        let text = rig.event().to_string();
        assert!(text.contains("acme") && text.contains(words), "{text}");
        assert_eq!((rig.last().2, rig.event().reason.fault().as_str()), ("peer_faulty", "manufacturer"));
    }
    // On a cable there is nothing to encrypt.
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.request(|builder| {
        builder.push(AttributeType::USER_NAME, CAM).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, b"00-1A-11-00-00-09").expect("fits");
        builder.push_eap_message(&eap::response(1, 1, CAM)).expect("fits");
    });
    let end = rig.through(&request, Code::ACCESS_ACCEPT, |builder| {
        builder.push_eap_message(&eap::success(1)).expect("fits");
    });
    assert_eq!(end.code, Code::ACCESS_ACCEPT, "{}", rig.event());
}

#[test]
fn nobody_answers() {
    let mut rig = Rig::proxy(vec![], &with("\tlist server 'udp://192.0.2.2'\n"));
    let request = rig.identity_of(CAM, mac(9));
    rig.forwarded(&request);
    assert_eq!(rig.wait(8, &request), None);
    assert_eq!(rig.wait(2, &request), Some(rejected()));
    assert_eq!(rig.event().to_string(), "refused: acme's server did not answer in 9 s (tried 2 servers)");
    assert_eq!((rig.last().2, rig.event().reason.fault().as_str()), ("peer_silent", "manufacturer"));
    assert_eq!((rig.core.proxy.waiting(), rig.core.proxy.stats.failed), (0, 1));
    assert!(matches!(rig.receive(&request), Next::Send), "the NAS asks again, and is told the same");
}

#[test]
fn no_server_can_be_reached() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(CAM, mac(9));
    assert!(matches!(rig.receive(&request), Next::Nothing));
    let mut answered = false;
    while let Some(errand) = errand(&mut rig.core, rig.now, &mut rig.out) {
        match errand {
            Errand::Open(server) => {
                rig.core.proxy.engine.unreachable(server, "no route to host".into(), rig.now.mono);
            }
            Errand::Answer(origin, Next::Send) => {
                assert_eq!(origin, rig.from.into());
                answered = true;
            }
            other => panic!("{other:?}"),
        }
    }
    if !answered {
        assert_eq!(rig.wait(10, &request), Some(rejected()));
    }
    assert_eq!(rig.answer(&request), rejected());
    let text = rig.event().to_string();
    assert!(text.starts_with("refused: acme's server cannot be reached: no route to host"), "{text}");
    assert_eq!(rig.last().2, "peer_unreachable");
}

#[test]
fn a_realm_that_nobody_serves_is_refused_at_once() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(b"cam@other.example", mac(9));
    assert_eq!((rig.ask(&request), rig.last().2), (rejected(), "no_such_realm"));
    assert!(rig.event().to_string().contains("add a config realm"), "{}", rig.event());
    assert!(rig.asked().is_empty());
}

#[test]
fn nobody_is_asked_about_those_who_are_refused_anyway() {
    let bound = |last| vec![BoundMac { mac: mac(last), proved: true, since: UnixTime(1) }];
    let lamp = device(1, "lamp", "media", "key of the lamp");
    let devices = vec![
        Device { blocked: true, macs: bound(1), ..lamp.clone() },
        Device { id: DeviceId(2), name: "b".into(), expires: Some(UnixTime(5)), macs: bound(2), ..lamp.clone() },
        Device {
            id: DeviceId(3),
            name: "c".into(),
            places: vec![Place::Ssid(b"Home"[..].into())],
            macs: bound(3),
            ..lamp
        },
    ];
    let mut rig = Rig::proxy(devices, &with(""));
    rig.core.apply(&[Change::Ignore(mac(4), true)]);
    for (last, reason) in [(1, "blocked"), (2, "expired"), (3, "wrong_place"), (4, "ignored")] {
        let request = rig.identity_of(CAM, mac(last));
        assert_eq!((rig.ask(&request), rig.last().2), (rejected(), reason));
        assert!(rig.asked().is_empty());
    }
}

#[test]
fn what_is_routed_is_what_is_forwarded() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.eap_of(b"other@acme.example", mac(9), None, &eap::response(1, 1, CAM));
    assert_eq!((rig.ask(&request), rig.last().2), (rejected(), "bad_request"));
}

#[test]
fn strangers_are_limited_before_anybody_is_asked() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let mut refused = 0;
    for n in 0..120 {
        let request = rig.identity_of(CAM, MacAddr([2, 1, 0, 0, 0, n]));
        refused += usize::from(matches!(rig.receive(&request), Next::Send));
    }
    assert_eq!((refused, rig.last().2), (20, "rate_limited"));
    // Those who are known have their own limit, and what goes on is not limited.
    let request = rig.eap_of(CAM, mac(9), Some(b"state"), &eap::response(2, 21, b"x"));
    assert!(matches!(rig.receive(&request), Next::Nothing));
}

#[test]
fn a_request_does_not_go_back_where_it_comes_from() {
    let client = "config client 'proxy'\n\toption address '192.0.2.1'\n\toption secret 'secret of the tests'\n";
    let mut rig = Rig::proxy(vec![], &format!("{client}{}", with("")));
    rig.from = "192.0.2.1:40000".parse().expect("an address");
    let request = rig.identity_of(CAM, mac(9));
    assert_eq!((rig.ask(&request), rig.last().2), (rejected(), "proxy_loop"));
    assert_eq!(rig.event().reason.fault().as_str(), "configuration");
    // And one that has been here before carries our mark.
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(CAM, mac(9));
    let asked = rig.forwarded(&request);
    let mark = asked.packet().find_all(AttributeType::PROXY_STATE).last().expect("ours").value.to_vec();
    let calling = mac(10).to_string();
    let request = rig.request(|builder| {
        builder.push(AttributeType::USER_NAME, CAM).expect("fits");
        builder.push(AttributeType::CALLED_STATION_ID, OFFICE.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
        builder.push_eap_message(&eap::response(1, 1, CAM)).expect("fits");
        builder.push(AttributeType::PROXY_STATE, &mark).expect("fits");
    });
    assert_eq!((rig.ask(&request), rig.last().2), (rejected(), "proxy_loop"));
    // On one host, where the other proxy has the NAS's address: what went in a circle is refused, and so what it comes from.
    let mut rig = Rig::proxy(vec![], &with(""));
    let first = rig.identity_of(CAM, mac(9));
    let asked = rig.forwarded(&first);
    let mark = asked.packet().find_all(AttributeType::PROXY_STATE).last().expect("ours").value.to_vec();
    let round = rig.request(|builder| {
        for attribute in Packet::parse(&first).expect("a packet").attributes().skip(1) {
            builder.push(attribute.kind, attribute.value).expect("fits");
        }
        builder.push(AttributeType::PROXY_STATE, &mark).expect("fits");
    });
    assert_eq!((rig.ask(&round), rig.last().2), (rejected(), "proxy_loop"));
    let answer = asked.answer(Code::ACCESS_REJECT, |_| ());
    assert_eq!((rig.back(asked.link, &answer, &first), rig.last().2), (rejected(), "peer_refused"));
}

#[test]
fn the_configuration_changes_while_it_waits() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(CAM, mac(9));
    let asked = rig.forwarded(&request);
    let local = "config realm 'acme'\n\tlist realm 'acme.example'\n\tlist server 'local'\n";
    rig.core.reconfigure(Arc::new(Config::parse(format!("{BASE}{local}")).expect("valid")), rig.now);
    let answer = asked.answer(Code::ACCESS_ACCEPT, accept);
    let returned = receive_answer(&mut rig.core, asked.link, &answer, rig.now, &mut rig.out);
    if matches!(returned, Returned::Nothing) {
        assert_eq!(rig.wait(10, &request), Some(rejected()));
    }
    assert_eq!(rig.answer(&request), rejected());
    assert!(rig.core.registry.is_empty() && rig.core.proxy.waiting() == 0);
}

//! Access-Requests: by address, by handshake, and what is no good.

use super::*;
use crate::service::pending::Proved;

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
    assert!(rig.core.pending.get(mac(9)).is_some_and(|pending| pending.proved == Proved::Onboarding));
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
fn an_accept_that_does_not_fit_is_a_refusal() {
    let mut rig = Rig::new();
    let called = format!("{AP}:Home");
    let packet = rig.request(|builder| {
        builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, mac(1).to_string().as_bytes()).expect("fits");
        for size in [200, 20, 1] {
            while builder.push(AttributeType::PROXY_STATE, &vec![7; size]).is_ok() {}
        }
    });
    assert_eq!(rig.ask(&packet), rejected());
    assert_eq!((rig.last().1, rig.last().2), (Outcome::Refused, "bad_request"));
    assert_eq!((rig.core.radius.stats.accepts, rig.core.radius.stats.rejects), (0, 1));
}

#[test]
fn long_searches_for_a_known_address_are_limited_too() {
    let devices = (1..=300)
        .map(|id| {
            let mut device = device(id, &format!("d{id}"), "iot", &format!("key number {id}"));
            if id == 1 {
                device.macs = vec![crate::registry::device::BoundMac { mac: mac(1), proved: true, since: UnixTime(1) }];
            }
            device
        })
        .collect();
    let mut rig = Rig::with(Registry::load(devices, vec![], vec![], DeviceId(301)));
    let mut searches = 0;
    for n in 0..150 {
        let packet = rig.by_handshake(mac(1), "Home", "nobody has this one");
        rig.from.set_port(40000 + n);
        searches += u32::from(matches!(rig.receive(&packet), Next::Search(..)));
    }
    assert_eq!(searches, 100);
    let packet = rig.by_handshake(mac(1), "Home", "key number 1");
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT, "its own key needs no long search");
}

#[test]
fn a_reload_computes_only_other_onboarding_keys() {
    let mut rig = Rig::new();
    let packet = rig.by_handshake(mac(9), "Welcome", "come in and find out");
    rig.core.reconfigure(Arc::new(Config::parse(CONFIG).expect("valid")), rig.now);
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    let other = CONFIG.replace("come in and find out", "the tide is coming in");
    rig.core.reconfigure(Arc::new(Config::parse(other).expect("valid")), rig.now);
    let packet = rig.by_handshake(mac(9), "Welcome", "come in and find out");
    assert_eq!(rig.ask(&packet), rejected());
    let packet = rig.by_handshake(mac(9), "Welcome", "the tide is coming in");
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
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
        builder.push_eap_message(&[2, 77, 0, 6, 13, 0]).expect("fits");
        builder.push(AttributeType::PROXY_STATE, b"one").expect("fits");
        builder.push(AttributeType::PROXY_STATE, b"two").expect("fits");
    });
    assert_eq!(rig.ask(&packet), rejected());
    let reply = Packet::parse(&rig.out).expect("a packet");
    assert_eq!(reply.find(AttributeType::EAP_MESSAGE), Some(&[4, 77, 0, 4][..]));
    let states: Vec<&[u8]> = reply.find_all(AttributeType::PROXY_STATE).map(|a| a.value).collect();
    assert_eq!(states, [b"one", b"two"]);
    assert_eq!(rig.last().2, "eap_protocol");
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

//! On whose terms a device is let in.

use super::*;
use crate::registry::device::Bind;

fn their_vlan(builder: &mut Builder<'_>, vlan: u16) {
    builder.push_vlan(vlan).expect("fits");
}

#[test]
fn the_manufacturer_places_nobody_and_extends_no_time() {
    for (theirs, ours) in [(None, 86_400), (Some(7200), 7200), (Some(999_999), 86_400), (Some(0), 1)] {
        let mut rig = Rig::proxy(vec![], &with(""));
        let end = rig.joins(CAM, mac(9), |builder| {
            their_vlan(builder, 20);
            builder.push(AttributeType::FILTER_ID, b"open").expect("fits");
            builder.push(AttributeType::CLASS, b"class \x00").expect("fits");
            if let Some(seconds) = theirs {
                builder.push_u32(AttributeType::SESSION_TIMEOUT, seconds).expect("fits");
            }
            let mut salts = SaltSequence::new(3);
            builder.push_tunnel_password(0, b"a key of theirs", &mut salts).expect("fits");
        });
        assert_eq!(end, accepted("30", &[]), "our VLAN, and no Wi-Fi key");
        let reply = rig.reply();
        assert_eq!(reply.find_u32(AttributeType::SESSION_TIMEOUT), Some(ours));
        assert_eq!(reply.find_u32(AttributeType::TERMINATION_ACTION), Some(1));
        assert_eq!(reply.find(AttributeType::CLASS), Some(&b"class \x00"[..]));
        assert_eq!(reply.find(AttributeType::USER_NAME), Some(&b"cam-7"[..]));
        assert_eq!(reply.find_all(AttributeType::TUNNEL_PRIVATE_GROUP_ID).count(), 1);
        assert!(!kinds(&reply).contains(&AttributeType::FILTER_ID));
    }
    let mut rig = Rig::proxy(vec![], &with("\toption session_timeout '600'\n"));
    rig.joins(CAM, mac(9), |_| ());
    assert_eq!(rig.reply().find_u32(AttributeType::SESSION_TIMEOUT), Some(600));
}

#[test]
fn a_registered_device_keeps_its_name_profile_and_limits() {
    let mut rig = Rig::proxy(vec![registered(1, &[])], ACME);
    let told = |builder: &mut Builder<'_>| builder.push(AttributeType::USER_NAME, CAM).expect("fits");
    let outer = b"anonymous@acme.example";
    let end = rig.joins(outer, mac(9), told);
    assert_eq!(
        (end, rig.last()),
        (accepted("20", &[]), (Some("cam".into()), Outcome::Accepted, "first_proof_to_peer"))
    );
    assert!(rig.core.registry.knows(mac(9)), "this address is bound");
    assert_eq!(rig.joins(CAM, mac(9), |_| ()).code, Code::ACCESS_ACCEPT);
    assert_eq!(rig.joins(outer, mac(10), told), rejected());
    assert_eq!(rig.last(), (Some("cam".into()), Outcome::Refused, "other_address"));
    // Another device's address gets it nowhere, nor that device's VLAN.
    let lamp = Device {
        macs: vec![crate::registry::device::BoundMac { mac: mac(1), proved: true, since: UnixTime(1) }],
        ..device(2, "lamp", "media", "key of the lamp")
    };
    rig.core.apply(&[Change::Put(vec![lamp])]);
    assert_eq!(rig.joins(outer, mac(1), told), rejected());
    assert_eq!(rig.last().2, "other_address");
    let mut rig = Rig::proxy(vec![device(2, "lamp", "media", "key of the lamp")], &with(""));
    rig.core.apply(&[Change::Bind(
        DeviceId(2),
        crate::registry::device::BoundMac { mac: mac(1), proved: true, since: UnixTime(1) },
    )]);
    assert_eq!((rig.joins(CAM, mac(1), |_| ()), rig.last().2), (rejected(), "address_of_other"));
}

#[test]
fn what_they_call_it() {
    let name = |name: &'static [u8]| (AttributeType::USER_NAME, name);
    let cui = |cui: &'static [u8]| (AttributeType::CHARGEABLE_USER_IDENTITY, cui);
    for (outer, said, expected) in [
        (CAM, vec![], "cam-7@acme.example"),
        (b"Cam-7@ACME.example", vec![], "Cam-7@acme.example"),
        (b"anonymous@acme.example", vec![name(b"cam-8@acme.example")], "cam-8@acme.example"),
        (CAM, vec![name(b"cam-8"), cui(b"serial 12")], "serial 12"),
        (CAM, vec![name(b"cam-8"), cui(b"\0")], "cam-8"),
        (CAM, vec![cui(b"\xff\x00\x01")], "ff0001"),
        (b"@acme.example", vec![], "00:1a:11:00:00:09"),
        (b"anonymous@acme.example", vec![name(b"anonymous@acme.example")], "00:1a:11:00:00:09"),
    ] as [(&[u8], Vec<(AttributeType, &[u8])>, &str); 8]
    {
        let mut rig = Rig::proxy(vec![], &with(""));
        let end = rig.joins(outer, mac(9), |builder| {
            for (kind, value) in said {
                builder.push(kind, value).expect("fits");
            }
        });
        assert_eq!(end.code, Code::ACCESS_ACCEPT);
        let known_by = KnownBy::Peer { realm: "acme".into(), identity: expected.into() };
        assert!(rig.core.registry.holder(&known_by, None).is_some(), "{expected}");
    }
}

#[test]
fn admission_is_ours() {
    for (admit, reason, waiting) in [("listed", "peer_not_listed", false), ("pending", "peer_not_approved", true)] {
        let mut rig = Rig::proxy(vec![], &format!("{ACME}\toption admit '{admit}'\n"));
        assert_eq!((rig.joins(CAM, mac(9), |_| ()), rig.last().2), (rejected(), reason));
        assert_eq!(rig.event().reason.fault().as_str(), "none");
        assert!(rig.event().to_string().starts_with("refused: we said no"), "{}", rig.event());
        assert!(rig.core.registry.is_empty());
        assert_eq!(rig.core.pending.get(mac(9)).is_some(), waiting);
        if waiting {
            let mark = rig.core.pending.get(mac(9)).and_then(|pending| pending.proved.mark());
            assert_eq!(mark.as_deref(), Some("cam-7@acme.example"));
            let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"door"}}}}"#, mac(9));
            let changes = rig.call(&line);
            rig.core.apply(&changes);
            assert_eq!(rig.joins(CAM, mac(9), |_| ()), accepted("30", &[]));
            assert_eq!(rig.last(), (Some("door".into()), Outcome::Accepted, "proved_to_peer"));
            assert!(rig.core.pending.is_empty());
        }
    }
}

#[test]
fn an_identity_that_waits_is_not_swapped() {
    let mut rig = Rig::proxy(vec![], &format!("{ACME}\toption admit 'pending'\n"));
    rig.joins(CAM, mac(9), |_| ());
    rig.joins(CAM, mac(9), |_| ());
    assert!(rig.core.pending.get(mac(9)).is_some_and(|pending| pending.other.is_none()), "the same twice is one");
    rig.joins(b"thief@acme.example", mac(9), |_| ());
    let pending = rig.core.pending.get(mac(9)).expect("it waits");
    let marks = [Some(&pending.proved), pending.other.as_ref()].map(|proved| proved.and_then(|proved| proved.mark()));
    assert_eq!(marks.map(Option::unwrap), ["cam-7@acme.example", "thief@acme.example"]);
    let approve = |rig: &mut Rig, more: &str| {
        let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"cam"{more}}}}}"#, mac(9));
        Call::parse(line.as_bytes())
            .and_then(|call| call.run(&mut rig.core, rig.now))
            .map(|_| ())
            .map_err(|why| why.code)
    };
    assert_eq!(approve(&mut rig, ""), Err("ambiguous"));
    assert_eq!(approve(&mut rig, r#","certificate":"nobody""#), Err("not_found"));
    assert_eq!(approve(&mut rig, r#","certificate":"thief""#), Ok(()));
}

#[test]
fn a_manufacturer_fills_no_registry() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let of = |n: u32, realm: &str| {
        let identity = n.to_string().into();
        let certificate = crate::decision::peer::registered(&realm.into(), &identity, UnixTime(1));
        let eap = EapCredentials { psk: None, certificates: vec![certificate], serial: 1 };
        let id = n + if realm == "acme" { 1000 } else { 2000 };
        Device { eap: Some(Box::new(eap)), key: None, ..device(id, &format!("{realm}-{n}"), "iot", "not used at all") }
    };
    let others = (1..=256).map(|n| of(n, "other")).chain((1..256).map(|n| of(n, "acme")));
    rig.core.apply(&[Change::Put(others.collect())]);
    assert_eq!(
        (rig.joins(b"a@acme.example", mac(9), |_| ()).code, rig.last().2),
        (Code::ACCESS_ACCEPT, "peer_admitted")
    );
    assert_eq!((rig.joins(b"b@acme.example", mac(10), |_| ()), rig.last().2), (rejected(), "peer_full"));
    assert!(rig.core.pending.get(mac(10)).is_some() && !rig.core.registry.knows(mac(10)));
}

#[test]
fn without_registration_it_is_let_in_as_nobody() {
    let mut rig = Rig::proxy(vec![], &with("\toption register '0'\n"));
    assert_eq!(rig.joins(CAM, mac(9), |_| ()), accepted("30", &[]));
    assert_eq!(rig.last(), (None, Outcome::Accepted, "proved_to_peer"));
    assert!(rig.core.registry.is_empty());
    let grant = rig.core.grants.last_of(mac(9)).expect("remembered");
    let vouched = grant.vouched.as_deref().expect("by whom");
    assert_eq!((&*vouched.realm, &*vouched.user_name), ("acme", CAM));
}

#[test]
fn an_online_server_may_place_where_a_profile_is() {
    let online = format!("{ONLINE}\toption placement 'server'\n");
    for (named, expected, reason) in [
        (Some(30), accepted("30", &[]), "proved_to_peer"),
        (None, accepted("20", &[]), "proved_to_peer"),
        (Some(99), rejected(), "foreign_vlan"),
    ] {
        let mut rig = Rig::proxy(vec![], &online);
        let end = rig.joins(b"alice@example.net", mac(9), |builder| {
            if let Some(vlan) = named {
                their_vlan(builder, vlan);
            }
        });
        assert_eq!((end, rig.last().2), (expected, reason), "{named:?}");
        assert_eq!(rig.event().reason.fault().as_str() == "configuration", reason == "foreign_vlan");
    }
}

#[test]
fn pseudonyms_are_told_to_those_who_are_to_have_them() {
    let mut rig = Rig::proxy(vec![], &with("\toption mac 'pseudonym'\n"));
    assert!(rig.core.proxy.pseudonyms.is_none(), "the shell has brought none, and one is made");
    let request = rig.identity_of(CAM, mac(9));
    let asked = rig.forwarded(&request);
    let told = asked.packet().find(AttributeType::CALLING_STATION_ID).and_then(|mac| MacAddr::parse_bytes(mac).ok());
    let told = told.expect("an address");
    assert!(told == rig.core.pseudonym("acme", mac(9)) && told != mac(9));
    assert_eq!(rig.core.unmask("acme", told), None, "not let in yet");
    let answer = asked.answer(Code::ACCESS_ACCEPT, accept);
    rig.back(asked.link, &answer, &request);
    assert_eq!(rig.core.unmask("acme", told), Some(mac(9)));
    assert_eq!(rig.core.unmask("other", told), None);
}

#[test]
fn a_realm_that_goes_takes_its_devices_along() {
    use crate::service::revocation::{Order, Why};
    let profile = ACME.replace("'media'", "'iot'");
    let repointed = ACME.replace("192.0.2.1", "192.0.2.77");
    let local = "config realm 'acme'\n\tlist realm 'acme.example'\n\tlist server 'local'\n";
    let all = |realm: &str| format!("{realm}\toption admit 'all'\n");
    for (register, after, expected) in [
        ("", all(&repointed), None),
        ("", String::new(), Some(Why::RealmGone)),
        ("", local.to_owned(), Some(Why::RealmGone)),
        ("", all(&profile), None),
        ("\toption register '0'\n", all(&profile), Some(Why::NewProfile)),
        ("\toption register '0'\n", ACME.to_owned(), Some(Why::NewProfile)),
        ("\toption register '0'\n", all(&repointed) + "\toption register '0'\n", None),
    ] {
        let mut rig = Rig::proxy(vec![], &with(register));
        assert_eq!(rig.joins(CAM, mac(9), |_| ()).code, Code::ACCESS_ACCEPT);
        rig.core.revocation.take_orders();
        let config = Config::parse(format!("{BASE}{after}")).expect("a configuration");
        rig.core.reconfigure(Arc::new(config), rig.now);
        let why = match rig.core.revocation.take_orders().front() {
            Some(Order::Off { mac: whom, why, .. }) if *whom == mac(9) => Some(*why),
            None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(why, expected, "{register}{after}");
    }
}

#[test]
fn sessions_are_told_to_the_server_that_is_to_know_all() {
    let mut rig = Rig::proxy(vec![], ONLINE);
    assert_eq!(rig.joins(b"alice@example.net", mac(9), |_| ()), accepted("20", &[]));
    for status in [acct_status_type::START, acct_status_type::INTERIM_UPDATE, acct_status_type::STOP] {
        let answered = rig.account_at(status, mac(9), b"s1", OFFICE, true);
        assert_eq!(answered, Some(Code::ACCOUNTING_RESPONSE), "acknowledged at once");
        let asked = rig.asked();
        assert_eq!(asked.len(), 1, "{status}");
        let packet = Packet::parse(&asked[0].packet).expect("a packet");
        assert_eq!(
            (packet.code(), packet.find_u32(AttributeType::ACCT_STATUS_TYPE)),
            (Code::ACCOUNTING_REQUEST, Some(status))
        );
    }
    rig.account_at(acct_status_type::START, mac(10), b"s2", OFFICE, true);
    assert!(rig.asked().is_empty(), "not what somebody else let in");
}

/// What servers that do not say who is within the tunnel answer: nothing, or what they were told, more or less.
const ECHOES: [Option<&[u8]>; 5] = [None, Some(CAM), Some(b"CAM-7@acme.example"), Some(b"cam-7"), Some(b"anonymous")];

fn echo(said: Option<&'static [u8]>) -> impl Fn(&mut Builder<'_>) {
    move |builder| said.into_iter().for_each(|name| builder.push(AttributeType::USER_NAME, name).expect("fits"))
}

#[test]
fn an_outer_identity_is_nobodys_without_the_address() {
    for said in ECHOES {
        for (macs, bind) in [(&[mac(1)][..], Bind::First), (&[], Bind::First), (&[], Bind::Any)] {
            let victim = Device { bind, max_devices: 8, ..registered(1, macs) };
            let mut rig = Rig::proxy(vec![victim.clone()], ACME);
            assert_eq!(rig.joins(CAM, mac(9), echo(said)), rejected(), "{said:?} {bind:?}");
            assert_eq!(rig.last().2, "peer_identity_unsaid");
            let words = rig.event().to_string();
            assert!(
                words.contains("acme's server does not say who it is; it calls itself cam-7@acme.example"),
                "{words}"
            );
            assert_eq!(rig.core.registry.get(DeviceId(1)), Some(&victim), "nothing of it changed");
            if !macs.is_empty() {
                assert_eq!(
                    rig.joins(CAM, mac(1), echo(said)),
                    accepted("20", &[]),
                    "with its address it is who it says"
                );
                assert_eq!(rig.last(), (Some("cam".into()), Outcome::Accepted, "proved_to_peer"));
            }
        }
    }
}

#[test]
fn who_only_calls_itself_like_another_is_known_by_its_address() {
    let by_address = KnownBy::Peer { realm: "acme".into(), identity: mac(9).to_string().into() };
    for said in ECHOES {
        let mut rig = Rig::proxy(vec![registered(1, &[mac(1)])], &with(""));
        for reason in ["peer_admitted", "proved_to_peer"] {
            assert_eq!(rig.joins(CAM, mac(9), echo(said)), accepted("30", &[]), "in the realm's profile, not in cam's");
            assert_eq!(rig.last(), (Some("cam-7".into()), Outcome::Accepted, reason));
        }
        assert_eq!(rig.core.registry.holder(&by_address, None).map(|device| &*device.name), Some("cam-7"));
        assert_eq!(rig.joins(CAM, mac(1), echo(said)), accepted("20", &[]));

        let mut rig = Rig::proxy(vec![registered(1, &[mac(1)])], &format!("{ACME}\toption admit 'pending'\n"));
        assert_eq!((rig.joins(CAM, mac(9), echo(said)), rig.last().2), (rejected(), "peer_not_approved"));
        let mark = rig.core.pending.get(mac(9)).and_then(|pending| pending.proved.mark());
        assert_eq!(mark, Some(mac(9).to_string()));
        let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"door"}}}}"#, mac(9));
        let changes = rig.call(&line);
        rig.core.apply(&changes);
        assert_eq!(rig.joins(CAM, mac(9), echo(said)), accepted("30", &[]));
        assert_eq!(rig.last(), (Some("door".into()), Outcome::Accepted, "proved_to_peer"));
    }
    // A manufacturer whose devices all call themselves the same: each is one of its own.
    let mut rig = Rig::proxy(vec![], &with(""));
    for n in 9..12 {
        assert_eq!(rig.joins(b"device@acme.example", mac(n), |_| ()), accepted("30", &[]));
    }
    assert_eq!(rig.core.registry.len(), 3);
    for n in 9..12 {
        assert_eq!(
            (rig.joins(b"device@acme.example", mac(n), |_| ()).code, rig.last().2),
            (Code::ACCESS_ACCEPT, "proved_to_peer")
        );
    }
    // And nobody is known by an address that it only calls itself by.
    let online = format!("{ONLINE}\toption admit 'all'\n");
    let mut rig = Rig::proxy(vec![], &online);
    rig.joins(mac(9).to_string().as_bytes(), mac(10), |_| ());
    let by_address = KnownBy::Peer { realm: "online".into(), identity: mac(9).to_string().into() };
    assert!(rig.core.registry.holder(&by_address, None).is_none());
}

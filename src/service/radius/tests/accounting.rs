//! Offers and their proof, and sessions.

use super::*;

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
fn of_two_strangers_with_the_same_offer_the_first_one_gets_the_key() {
    let mut rig = Rig::new();
    for last in [9, 10] {
        let packet = rig.by_address(mac(last), "Home");
        assert_eq!(rig.ask(&packet), accepted("30", &[pmk(&key(3), "Home")]));
    }
    rig.account(acct_status_type::START, mac(9), b"s1", true);
    rig.account(acct_status_type::START, mac(10), b"s2", true);
    assert_eq!(rig.last(), (None, Outcome::Joined, "key_of_other"));
    let unknown = rig.core.sessions.iter().find(|(key, _)| key.mac == mac(10)).expect("a session").1;
    assert_eq!((unknown.device, rig.core.registry.seen(DeviceId(3)).accepted), (None, 1));
}

#[test]
fn a_station_that_connected_at_the_other_band_has_no_wrong_key() {
    let mut rig = Rig::new();
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    for called in ["02-00-00-00-00-BB:Home", "02-00-00-00-00-AA:Home"] {
        let packet = rig.by_address_at(mac(1), called);
        assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT);
    }
    rig.account(acct_status_type::START, mac(1), b"s1", true);
    rig.pass(11);
    assert_eq!(rig.last().1, Outcome::Joined);
    assert_eq!(rig.core.registry.seen(DeviceId(1)).refused, 0);
}

#[test]
fn a_new_session_of_a_station_ends_the_one_whose_stop_was_lost() {
    let mut rig = Rig::new();
    for session in [b"s1", b"s2"] {
        rig.account(acct_status_type::START, mac(1), session, true);
    }
    assert_eq!(rig.core.sessions.len(), 1);
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

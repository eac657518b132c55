//! Pairing windows: who is registered, and who is not.

use super::*;
use crate::decision::Window;
use crate::service::grants::Onboarding;
use crate::service::pairing::{How, OnboardingTerms};
use crate::service::pending::Proved;
use crate::service::revocation::{Order, Why};

const KNOCK: &str = "knock three times";
const WELCOME: &str = "come in and find out";

impl Rig {
    fn open(&mut self, profile: &str) {
        let window = Window { profile: profile.into(), ssid: None, name: None };
        assert!(self.core.pairing.open(window, Duration::from_secs(300), self.now));
    }

    fn is_open(&self) -> bool {
        self.core.pairing.current(self.now.mono).is_some()
    }

    fn name_of(&self, last: u8) -> Option<String> {
        self.core.registry.by_mac(mac(last)).map(|device| device.name.to_string())
    }

    fn starts(&mut self, last: u8, ssid: &str) {
        let session = [b's', last];
        let answered = self.account_at(acct_status_type::START, mac(last), &session, &format!("{AP}:{ssid}"), true);
        assert_eq!(answered, Some(Code::ACCOUNTING_RESPONSE));
    }

    fn off(&mut self) -> Vec<(MacAddr, Why)> {
        let orders = self.core.revocation.take_orders().into_iter();
        orders
            .filter_map(|order| if let Order::Off { mac, why, .. } = order { Some((mac, why)) } else { None })
            .collect()
    }
}

#[test]
fn by_handshake_the_next_device_is_registered_and_the_window_closes() {
    let mut rig = Rig::new();
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), rejected(), "no window");
    assert_eq!(rig.last(), (None, Outcome::Refused, "no_pairing"));
    assert_eq!(rig.core.pending.get(mac(9)).map(|pending| &pending.proved), Some(&Proved::Onboarding));
    rig.open("media");
    let packet = rig.by_handshake(mac(1), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), rejected(), "registered, with a key of its own");
    let packet = rig.by_handshake(mac(8), "Pair", "not the onboarding key");
    assert_eq!(rig.ask(&packet), rejected());
    assert!(rig.is_open());

    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    let Next::Commit(exchange) = rig.receive(&packet) else { panic!("nothing is answered before it is stored") };
    rig.commit(exchange, true);
    assert_eq!(rig.answer(&packet), accepted("30", &[pmk(KNOCK, "Pair")]));
    assert_eq!(rig.last(), (Some("device-0009".into()), Outcome::Accepted, "paired"));
    let text = rig.core.events.iter().next_back().map(ToString::to_string);
    assert_eq!(text.as_deref(), Some("paired: registered as device-0009 in profile media (VLAN 30)"));
    assert!(!rig.is_open() && rig.core.pending.get(mac(9)).is_none());
    let Some(How::Paired(paired)) = rig.core.pairing.last().map(|ended| &ended.how) else { panic!("paired") };
    assert_eq!(
        (paired.mac, &*paired.name, &*paired.ssid, paired.vlan),
        (mac(9), "device-0009", &b"Pair"[..], Some(30))
    );
    assert_eq!(rig.off(), [], "it is in its handshake");

    // It goes on with the onboarding key, and nobody else does.
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), accepted("30", &[pmk(KNOCK, "Pair")]));
    assert_eq!(rig.last().2, "proved_key");
    let packet = rig.by_handshake(mac(10), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), rejected());
}

#[test]
fn of_two_at_once_the_first_that_is_stored_is_registered() {
    for (ssid, key, second) in
        [("Pair", KNOCK, rejected()), ("Welcome", WELCOME, accepted("40", &[pmk(WELCOME, "Welcome")]))]
    {
        let mut rig = Rig::new();
        rig.open("iot");
        let packets = [rig.by_handshake(mac(9), ssid, key), rig.by_handshake(mac(10), ssid, key)];
        let (Next::Commit(one), Next::Commit(other)) = (rig.receive(&packets[0]), rig.receive(&packets[1])) else {
            panic!("both may be the first")
        };
        rig.commit(other, true);
        assert_eq!(rig.answer(&packets[1]), accepted("20", &[pmk(key, ssid)]));
        rig.commit(one, true);
        assert_eq!(rig.answer(&packets[0]), second, "it stays where unknown devices stay");
        assert_eq!((rig.name_of(9), rig.name_of(10).as_deref()), (None, Some("device-000a")));
        assert!(rig.core.pending.get(mac(9)).is_some());
    }
}

#[test]
fn a_registration_that_is_not_stored_registers_nobody_and_the_window_stays() {
    let mut rig = Rig::new();
    rig.open("iot");
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    let Next::Commit(exchange) = rig.receive(&packet) else { panic!("to be stored") };
    rig.commit(exchange, false);
    assert_eq!(rig.answer(&packet), rejected());
    assert_eq!((rig.last().2, rig.name_of(9), rig.is_open()), ("not_stored", None, true));
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet).code, Code::ACCESS_ACCEPT, "and the next one may");
}

#[test]
fn a_window_is_over_in_its_time() {
    let mut rig = Rig::new();
    rig.open("iot");
    rig.now.wall.0 += 1_000_000;
    rig.pass(299);
    assert!(rig.is_open(), "whatever the clock on the wall says");
    rig.pass(1);
    assert_eq!(rig.core.pairing.last().map(|ended| &ended.how), Some(&How::Over));
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), rejected());
}

#[test]
fn by_address_the_session_is_the_proof() {
    let mut rig = Rig::new();
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    // It has tried before, and comes to its turn at once all the same.
    let packet = rig.by_address(mac(9), "Pair");
    assert_eq!(rig.ask(&packet), accepted("30", &[pmk(&key(3), "Pair")]), "nothing but the keys that wait");
    rig.pass(11);
    rig.open("iot");
    for last in [9, 10] {
        let packet = rig.by_address(mac(last), "Pair");
        assert_eq!(rig.ask(&packet), accepted("20", &[pmk(KNOCK, "Pair")]));
        assert_eq!(rig.last(), (None, Outcome::Accepted, "pairing_offered"));
    }
    assert_eq!(rig.name_of(9), None, "an offer is no proof");
    rig.starts(9, "Pair");
    assert_eq!(rig.last(), (Some("device-0009".into()), Outcome::Joined, "paired"));
    assert_eq!((rig.name_of(9).as_deref(), rig.is_open()), (Some("device-0009"), false));
    let (_, session) = rig.core.sessions.iter().next().expect("a session");
    assert_eq!((session.device, session.vlan, session.proved), (Some(DeviceId(4)), Some(20), true));
    assert_eq!(rig.off(), [], "it is where it belongs");

    // The second one is in the VLAN of the window, where it may not stay.
    rig.starts(10, "Pair");
    assert_eq!(rig.last(), (None, Outcome::Refused, "no_pairing"));
    assert_eq!((rig.name_of(10), rig.off()), (None, vec![(mac(10), Why::NoPairing)]));
    assert_eq!(rig.core.pending.get(mac(10)).map(|pending| &pending.proved), Some(&Proved::Onboarding));
    // hostapd remembers the answer for a while, and it comes back with that: it has to go again.
    rig.starts(10, "Pair");
    assert_eq!(rig.off(), [(mac(10), Why::NoPairing)]);
    rig.pass(11);
    assert_eq!(
        rig.core.events.iter().filter(|event| event.mac == mac(10) && event.outcome == Outcome::Refused).count(),
        1
    );

    let packet = rig.by_address(mac(9), "Pair");
    assert_eq!(rig.ask(&packet), accepted("20", &[pmk(KNOCK, "Pair")]), "known by its address");
}

#[test]
fn at_another_box_the_second_one_is_disconnected() {
    let mut rig = Rig::new();
    rig.from = "127.0.0.2:40000".parse().expect("an address");
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    rig.open("iot");
    for last in [9, 10] {
        let packet = rig.by_address(mac(last), "Pair");
        assert_eq!(rig.ask(&packet), accepted("20", &[pmk(KNOCK, "Pair")]));
    }
    rig.starts(9, "Pair");
    assert_eq!(rig.core.disconnects.len(), 0);
    rig.starts(10, "Pair");
    assert_eq!((rig.name_of(10), rig.core.disconnects.len()), (None, 1));
}

#[test]
fn a_registration_by_session_that_is_not_stored_is_asked_for_again() {
    let mut rig = Rig::new();
    rig.open("iot");
    let packet = rig.by_address(mac(9), "Pair");
    rig.ask(&packet);
    let at = format!("{AP}:Pair");
    assert_eq!(rig.account_at(acct_status_type::START, mac(9), b"s1", &at, false), None, "not answered");
    assert_eq!((rig.name_of(9), rig.is_open()), (None, true));
    assert_eq!(rig.account_at(acct_status_type::START, mac(9), b"s1", &at, true), Some(Code::ACCOUNTING_RESPONSE));
    assert_eq!((rig.name_of(9).as_deref(), rig.is_open()), (Some("device-0009"), false));
}

#[test]
fn one_that_was_sent_into_quarantine_before_the_window_is_moved() {
    let mut rig = Rig::new();
    for id in [2, 3] {
        rig.core.apply(&[Change::Remove(DeviceId(id))]);
    }
    let packet = rig.by_address(mac(9), "Welcome");
    assert_eq!(rig.ask(&packet), accepted("40", &[pmk(WELCOME, "Welcome")]));
    rig.open("iot");
    rig.starts(9, "Welcome");
    assert_eq!((rig.last().2, rig.name_of(9).as_deref()), ("paired", Some("device-0009")));
    assert_eq!(rig.off(), [(mac(9), Why::Registered)], "it comes back in its VLAN");
}

#[test]
fn a_session_from_before_the_window_proves_nothing_in_it() {
    let mut rig = Rig::new();
    for id in [2, 3] {
        rig.core.apply(&[Change::Remove(DeviceId(id))]);
    }
    let packet = rig.by_address(mac(9), "Welcome");
    rig.ask(&packet);
    rig.open("iot");
    rig.pass(5);
    // The report says that it has been under way for 20 s.
    rig.identifier += 1;
    let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
    let mut builder = Builder::accounting_request(rig.identifier, &secret, &mut packet);
    builder.push_u32(AttributeType::ACCT_STATUS_TYPE, acct_status_type::START).expect("fits");
    builder.push(AttributeType::ACCT_SESSION_ID, b"s1").expect("fits");
    builder.push(AttributeType::CALLED_STATION_ID, format!("{AP}:Welcome").as_bytes()).expect("fits");
    builder.push(AttributeType::CALLING_STATION_ID, mac(9).to_string().as_bytes()).expect("fits");
    builder.push_u32(AttributeType::ACCT_DELAY_TIME, 20).expect("fits");
    builder.finish();
    let next = receive_accounting(&mut rig.core, rig.from, &packet, rig.now, &mut rig.out);
    assert!(matches!(next, Next::Send), "nothing to store");
    assert_eq!((rig.last().2, rig.is_open()), ("quarantined", true));
}

#[test]
fn an_access_point_that_may_not_account_is_told_of_one_device_only() {
    let mut rig = Rig::new();
    rig.open("iot");
    let offer = accepted("20", &[pmk(KNOCK, "Pair")]);
    let packet = rig.by_address(mac(9), "Pair");
    assert_eq!(rig.ask(&packet), offer);
    let packet = rig.by_address(mac(10), "Pair");
    assert_ne!(rig.ask(&packet), offer, "it might be in for good, and nobody would know");
    rig.account(acct_status_type::ACCOUNTING_ON, mac(1), b"", true);
    let packet = rig.by_address(mac(11), "Pair");
    assert_eq!(rig.ask(&packet), offer);
}

#[test]
fn ignored_devices_and_other_networks_do_not_count() {
    let mut rig = Rig::new();
    rig.core.apply(&[Change::Ignore(mac(9), true)]);
    let window = Window { profile: "iot".into(), ssid: Some(b"Pair"[..].into()), name: Some("radio".into()) };
    rig.core.pairing.open(window, Duration::from_secs(60), rig.now);
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet), rejected());
    let packet = rig.by_handshake(mac(10), "Welcome", WELCOME);
    assert_eq!(rig.ask(&packet).vlan.as_deref(), Some("40"));
    let packet = rig.by_address(mac(11), "Welcome");
    assert_ne!(rig.ask(&packet).vlan.as_deref(), Some("20"));
    assert!(rig.is_open());
    let packet = rig.by_handshake(mac(11), "Pair", KNOCK);
    assert_eq!(rig.ask(&packet).vlan.as_deref(), Some("20"));
    assert_eq!(rig.name_of(11).as_deref(), Some("radio"));
}

#[test]
fn the_terms_of_the_onboarding_key_follow_the_window() {
    let mut rig = Rig::new();
    let terms = |rig: &Rig, ssid: &str| rig.core.onboarding_terms(ssid.as_bytes(), rig.now.mono);
    let quarantine = Some(OnboardingTerms { profile: "guest".into(), vlan: Some(40), pairing: false });
    assert_eq!((terms(&rig, "Home"), terms(&rig, "Pair"), terms(&rig, "Welcome")), (None, None, quarantine.clone()));
    let before = rig.core.pairing.changes();
    rig.open("iot");
    let open = Some(OnboardingTerms { profile: "iot".into(), vlan: Some(20), pairing: true });
    assert_eq!((terms(&rig, "Home"), terms(&rig, "Pair"), terms(&rig, "Welcome")), (None, open.clone(), open));
    let packet = rig.by_handshake(mac(9), "Pair", KNOCK);
    rig.ask(&packet);
    assert_eq!((terms(&rig, "Pair"), terms(&rig, "Welcome")), (None, quarantine));
    assert_eq!(rig.core.pairing.changes(), before + 2);
    // The configuration takes the network away.
    rig.open("iot");
    let config =
        CONFIG.replace("option unknown", "#").replace("option onboarding_key", "#").replace("option quarantine", "#");
    rig.core.reconfigure(Config::parse(config).expect("valid").into(), rig.now);
    assert_eq!(rig.core.pairing.last().map(|ended| &ended.how), Some(&How::Reconfigured));
}

#[test]
fn an_approved_device_leaves_quarantine() {
    let mut rig = Rig::new();
    let approve = |rig: &mut Rig, profile: &str| {
        let device = crate::registry::device::Device {
            key: None,
            macs: vec![crate::registry::device::BoundMac { mac: mac(9), proved: true, since: UnixTime(1) }],
            ..device(9, "radio", profile, &key(2))
        };
        rig.core.apply(&[Change::Put(vec![device])]);
        rig.off()
    };
    // In the handshake.
    let packet = rig.by_handshake(mac(9), "Welcome", WELCOME);
    assert_eq!(rig.ask(&packet).vlan.as_deref(), Some("40"));
    rig.starts(9, "Welcome");
    assert_eq!(approve(&mut rig, "media"), [(mac(9), Why::Registered)]);
    let packet = rig.by_handshake(mac(9), "Welcome", WELCOME);
    assert_eq!(rig.ask(&packet), accepted("30", &[pmk(WELCOME, "Welcome")]));
    // Before it.
    let mut rig = Rig::new();
    for id in [2, 3] {
        rig.core.apply(&[Change::Remove(DeviceId(id))]);
    }
    let packet = rig.by_address(mac(9), "Welcome");
    rig.ask(&packet);
    rig.starts(9, "Welcome");
    assert_eq!(rig.core.pending.get(mac(9)).map(|pending| &pending.proved), Some(&Proved::Onboarding));
    let asked = (mac(9), MacAddr::parse_bytes(AP.as_bytes()).expect("an address"));
    assert_eq!(rig.core.grants.get(asked).map(|grant| grant.onboarding), Some(Onboarding::Quarantine));
    assert_eq!(approve(&mut rig, "guest"), [], "in the profile where it is it may stay");
    assert_eq!(approve(&mut rig, "media"), [(mac(9), Why::NewProfile)]);
}

//! The table of conversations: its limits, and who makes room for whom.

use super::*;
use crate::eap::Context;
use crate::eap::conversation::Hint;
use crate::time::UnixTime;

fn open(n: u16, known: bool, at: Instant) -> Open {
    let registry = Registry::default();
    let credentials = Known { registry: &registry, methods: &[EapMethod::Psk], realm: "r" };
    let mut random = |octets: &mut [u8]| octets.fill(7);
    let mut context = Context {
        credentials: &credentials,
        random: &mut random,
        wall: UnixTime(1),
        mtu: 1400,
        server_id: b"s",
        tls: None,
    };
    let response = crate::wire::eap::response(1, 1, b"somebody");
    let (conversation, _) = Conversation::begin(&response, Hint::default(), &mut context);
    let [high, low] = n.to_be_bytes();
    let station =
        Station { client: "ap".into(), mac: MacAddr([2, 0, 0, 0, high, low]), bssid: MacAddr([2, 0, 0, 0, 0, 0xaa]) };
    let (ssid, nas) = (b"Office"[..].into(), "ap".into());
    Open { conversation, phase: Phase::Going, station, ssid, nas, known, at }
}

fn id(eap: &mut Eap) -> StateId {
    eap.new_state(&mut |octets| octets.fill(7))
}

#[test]
fn the_oldest_of_the_unknown_make_room() {
    let (mut eap, start) = (Eap::default(), Instant::now());
    let known = id(&mut eap);
    assert!(eap.put(known, open(0, true, start)).is_empty());
    for n in 1..CONVERSATIONS as u16 {
        let id = id(&mut eap);
        assert!(eap.put(id, open(n, false, start + Duration::from_millis(n.into()))).is_empty());
    }
    assert_eq!(eap.len(), CONVERSATIONS);
    for n in 1..=5 {
        let id = id(&mut eap);
        let gone = eap.put(id, open(5000 + n, false, start + Duration::from_secs(10)));
        let gone: Vec<u16> =
            gone.iter().map(|open| u16::from_be_bytes([open.station.mac.0[4], open.station.mac.0[5]])).collect();
        assert_eq!(gone, [n], "the known one stays although it is older");
    }
    assert_eq!((eap.len(), eap.stats.evicted), (CONVERSATIONS, 5));
    assert!(eap.take(&known, &open(0, true, start).station).is_some());
}

#[test]
fn a_busy_client_does_not_put_out_those_of_another() {
    let (mut eap, start) = (Eap::default(), Instant::now());
    let busy = |eap: &mut Eap, n: u16| {
        let id = id(eap);
        let open = open(n, true, start + Duration::from_millis(n.into()));
        eap.put(id, Open { station: Station { client: "busy".into(), ..open.station }, ..open })
    };
    // As long as it is alone, it may have everything.
    assert!((0..CONVERSATIONS as u16).all(|n| busy(&mut eap, n).is_empty()));
    let mut quiet = Vec::new();
    for n in 0..10 {
        quiet.push(id(&mut eap));
        let gone = eap.put(quiet[usize::from(n)], open(5000 + n, false, start));
        assert!(gone.iter().all(|open| &*open.station.client == "busy") && gone.len() == 1, "{n}");
    }
    for n in 0..2 * CONVERSATIONS as u16 {
        let gone = busy(&mut eap, 6000 + n);
        assert!(gone.iter().all(|open| &*open.station.client == "busy") && gone.len() == 1, "{n}");
    }
    assert_eq!(eap.len(), CONVERSATIONS);
    let station = |n| open(n, false, start).station;
    assert!(quiet.iter().zip(5000..).all(|(id, n)| eap.take(id, &station(n)).is_some()), "all are still there");
}

#[test]
fn a_state_is_good_for_its_station_only() {
    let (mut eap, start) = (Eap::default(), Instant::now());
    let first = id(&mut eap);
    eap.put(first, open(1, false, start));
    for wrong in [
        Station { mac: MacAddr([2, 0, 0, 0, 0, 2]), ..open(1, false, start).station },
        Station { bssid: MacAddr([2, 0, 0, 0, 0, 0xbb]), ..open(1, false, start).station },
        Station { client: "other".into(), ..open(1, false, start).station },
    ] {
        assert!(eap.take(&first, &wrong).is_none());
    }
    let second = id(&mut eap);
    assert_ne!(first, second);
    let gone = eap.put(second, open(1, false, start));
    assert_eq!((gone.len(), eap.len()), (1, 1), "a station has one conversation at a BSS");
    assert!(eap.take(&second, &open(1, false, start).station).is_some());
    assert_eq!((eap.len(), eap.octets(), eap.shares.len(), eap.by_station.len()), (0, 0, 0, 0));
}

#[test]
fn what_is_proposed_first_does_not_tell_who_is_registered() {
    use crate::registry::credential::{EapCredentials, EapPsk};
    use crate::registry::device::Device;
    let with = |id, nai: &str| {
        let psk = EapPsk { nai: nai.into(), key: EapPskKey::new([7; 16]) };
        let eap = EapCredentials { psk: Some(psk), certificates: Vec::new(), serial: 1 };
        let name = format!("d{id}");
        Device { eap: Some(Box::new(eap)), ..crate::registry::tests::device(id, &name, "iot", "not used at all") }
    };
    let devices = vec![with(1, "cam.k7q2@home.arpa"), with(2, "cam@elsewhere"), with(3, "bare")];
    let registry = Registry::load(devices, vec![], vec![], DeviceId(4));
    let (tls, psk) = (Some(tls::ENTRY.kind), Some(psk::ENTRY.kind));
    let both = [EapMethod::Tls, EapMethod::Psk];
    let known = Known { registry: &registry, methods: &both, realm: "home.arpa" };
    for (identity, expected) in [
        ("cam.k7q2@home.arpa", psk),
        ("nobody@home.arpa", psk),
        ("nobody@HOME.arpa", psk),
        ("a@b@home.arpa", psk),
        ("@home.arpa", tls),
        ("cam@elsewhere", tls),
        ("nobody@elsewhere", tls),
        ("bare", tls),
        ("", tls),
    ] {
        assert_eq!(known.first_method(identity.as_bytes()), expected, "{identity}");
    }
    let known = Known { methods: &[EapMethod::Tls], ..known };
    assert_eq!(known.first_method(b"cam.k7q2@home.arpa"), tls, "not offered");
    let known = Known { methods: &[EapMethod::Psk], ..known };
    assert_eq!(known.first_method(b"nobody@elsewhere"), psk);
}

#[test]
fn who_begins_anew_at_once_was_only_hasty() {
    let (mut eap, start) = (Eap::default(), Instant::now());
    for (seconds, reported) in [(1, false), (3, true)] {
        let id = id(&mut eap);
        eap.put(id, open(1, false, start));
        let before = eap.begin_anew(&open(1, false, start).station, start + Duration::from_secs(seconds));
        assert_eq!((before.is_some(), eap.len()), (reported, 0));
    }
}

#[test]
fn the_silent_are_over_known_or_not() {
    let (mut eap, start) = (Eap::default(), Instant::now());
    for (n, known, at) in [(1, true, 0), (2, true, 5), (3, false, 0), (4, false, 5)] {
        let id = id(&mut eap);
        eap.put(id, open(n, known, start + Duration::from_secs(at)));
    }
    assert_eq!(eap.expire(start + SILENCE - Duration::from_secs(1)).len(), 0);
    let over = eap.expire(start + SILENCE);
    let mut over: Vec<u8> = over.iter().map(|open| open.station.mac.0[5]).collect();
    over.sort_unstable();
    assert_eq!(over, [1, 3]);
    assert_eq!(eap.len(), 2);
}

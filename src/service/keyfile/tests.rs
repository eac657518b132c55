//! Key files and SAE passwords, read as hostapd reads them.

use super::*;
use crate::registry::Registry;
use crate::registry::device::{BoundMac, Change, Device, DeviceId};
use crate::service::keyring::Derived;
use crate::time::UnixTime;
use proptest::prelude::*;
use std::time::Instant;

const CONFIG: &str = "config profile 'iot'\n\toption vlan '20'\nconfig profile 'plain'\n\
                      config profile 'guests'\n\toption vlan '99'\n";
const ONBOARDING: &str = "welcome to this house";
const NOW: i64 = 1000;

fn mac(n: u32) -> MacAddr {
    let [a, b, c, d] = n.to_be_bytes();
    MacAddr([2, 0, a, b, c, d])
}

fn now() -> Now {
    Now { wall: UnixTime(NOW), mono: Instant::now() }
}

fn core(quarantine: bool) -> Core {
    let quarantine = if quarantine {
        format!(
            "\toption unknown 'quarantine'\n\toption quarantine_profile 'guests'\n\toption onboarding_key '{ONBOARDING}'\n"
        )
    } else {
        String::new()
    };
    let text = format!(
        "{CONFIG}config ssid 'home'\n\toption ssid 'Home'\n\toption backend 'psk-file'\n\toption security 'mixed'\n{quarantine}"
    );
    let config = Config::parse(text).expect("valid");
    let mut count = 0u8;
    let random = move |buffer: &mut [u8]| {
        count = count.wrapping_add(1);
        buffer.fill(count);
    };
    Core::new(config.into(), Registry::default(), now(), Box::new(random), Instant::now, Box::new(|_| ()))
}

/// What a device can be.
#[derive(Debug, Clone)]
struct Kind {
    bind: Bind,
    macs: u32,
    max: u16,
    has_key: bool,
    ready: bool,
    blocked: bool,
    expires: Option<i64>,
    profile: &'static str,
}

prop_compose! {
    fn kind()(
        bind in prop_oneof![Just(Bind::First), Just(Bind::Mac), Just(Bind::Any)],
        (macs, max) in (0u32..3, 0u16..3),
        (has_key, ready, blocked) in (prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::bool::weighted(0.2)),
        expires in prop::option::of(NOW - 1..NOW + 2),
        profile in prop_oneof![Just("iot"), Just("plain"), Just("gone")],
    ) -> Kind {
        Kind { bind, macs, max, has_key, ready, blocked, expires, profile }
    }
}

fn pmk(id: u32) -> Pmk {
    let mut octets = [7; 32];
    octets[..4].copy_from_slice(&id.to_be_bytes());
    Pmk::new(octets)
}

fn register(core: &mut Core, kinds: &[Kind]) {
    for (n, kind) in (1u32..).zip(kinds) {
        let bound = |i| BoundMac { mac: mac(n * 10 + i), proved: true, since: UnixTime(1) };
        let device = Device {
            id: DeviceId(n),
            name: format!("d{n}").into(),
            profile: kind.profile.into(),
            key: kind.has_key.then(|| Passphrase::new(&format!("the key of number {n}")).expect("a key")),
            key_serial: 3,
            bind: kind.bind,
            max_devices: kind.max,
            macs: (0..kind.macs).map(bound).collect(),
            expires: kind.expires.map(UnixTime),
            blocked: kind.blocked,
            created: UnixTime(1),
            eap: None,
            places: Vec::new(),
        };
        core.apply(&[Change::Put(vec![device])]);
        if kind.has_key && kind.ready {
            let derived = Derived { ssid: b"Home"[..].into(), device: DeviceId(n), key_serial: 3, pmk: pmk(n) };
            assert!(core.keyring.insert(derived, &core.registry));
        }
    }
}

/// The lines as hostapd tries them for a station: keyid, VLAN (0 for none), key. As `hostapd_config_read_wpa_psk` and
/// `hostapd_get_psk` do it.
fn tried(text: &str, station: MacAddr) -> Vec<(String, u16, String)> {
    let mut list = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.len() < MAX_LINE);
        let (mut keyid, mut vlan, mut rest) = (String::new(), 0, line);
        while let Some((token, after)) = rest.split_once(' ').filter(|(token, _)| token.contains('=')) {
            match token.split_once('=') {
                Some(("keyid", value)) => value.clone_into(&mut keyid),
                Some(("vlanid", value)) => vlan = value.parse().expect("a number"),
                _ => panic!("hostapd refuses {line}"),
            }
            rest = after;
        }
        let (address, key) = rest.split_once(' ').expect("address and key");
        assert_eq!(key.len(), 64);
        let address = MacAddr::parse_bytes(address.as_bytes()).expect("an address");
        if address == MacAddr([0; 6]) || address == station {
            list.insert(0, (keyid, vlan, key.to_owned()));
        }
    }
    list
}

fn hex(pmk: &Pmk) -> String {
    pmk.expose().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What somebody with this key gets.
fn joins(text: &str, station: MacAddr, key: &str) -> Option<(String, u16)> {
    tried(text, station).into_iter().find(|(.., known)| known == key).map(|(keyid, vlan, _)| (keyid, vlan))
}

proptest! {
    /// For any registry: who may in gets in with his key and gets his VLAN, from the addresses that may use it, and nobody
    /// else does; who has no key of his own does so with the onboarding key.
    #[test]
    fn everybody_gets_what_is_his(kinds in prop::collection::vec(kind(), 0..8), quarantine: bool) {
        let mut core = core(quarantine);
        register(&mut core, &kinds);
        let config = core.config.clone();
        let ssid = &config.ssids[0];
        let text = core.key_file(ssid, now());
        prop_assert_eq!(&*text, &*core.key_file(ssid, now()), "equal state, equal octets");
        let onboarding = core.keyring.pmk(b"Home", KeyRef::Onboarding).map(hex);
        for (n, kind) in (1u32..).zip(&kinds) {
            let vlan = if kind.profile == "iot" { 20 } else { 0 };
            let may_in = !kind.blocked && kind.profile != "gone" && kind.expires.is_none_or(|at| at > NOW);
            let full = kind.bind == Bind::Mac || (kind.bind == Bind::First && kind.max > 0 && kind.macs >= u32::from(kind.max));
            let stranger = joins(&text, mac(n * 10 + 9), &hex(&pmk(n)));
            let open = may_in && kind.has_key && kind.ready && !full;
            prop_assert_eq!(stranger, open.then(|| (format!("lk{n}.3"), vlan)), "{:?}", kind);
            for i in 0..kind.macs {
                let station = mac(n * 10 + i);
                let with_own = joins(&text, station, &hex(&pmk(n)));
                let expected = (may_in && kind.has_key && kind.ready).then(|| (format!("lk{n}.3"), vlan));
                prop_assert_eq!(with_own, expected, "{:?}", kind);
                if let Some(onboarding) = &onboarding {
                    let vlan = if may_in && !kind.has_key { vlan } else { 99 };
                    let expected = Some(("lk-onboarding".to_owned(), vlan));
                    prop_assert_eq!(joins(&text, station, onboarding), expected, "{:?}", kind);
                }
            }
        }
        let lines = text.lines().count() - 1;
        prop_assert!(lines <= kinds.iter().map(|kind| kind.macs.max(1) as usize).sum::<usize>() + 1);
    }

    /// Whatever was wanted before: after each plan, the password hostapd uses for an address is the one that is wanted now.
    #[test]
    fn hostapd_has_the_passwords_that_are_wanted(
        steps in prop::collection::vec(
            (prop::option::of(0u8..3), prop::collection::btree_map(0u32..5, prop::option::of((0u8..3, 1u16..4)), 0..5)), 1..8),
        before in prop::collection::vec((prop::option::of(0u32..5), 0u8..3), 0..4),
    ) {
        let key = |n: u8| Passphrase::new(&format!("passphrase {n}")).expect("a key");
        // As in hostapd: the last one set first.
        let mut list: Vec<(Option<MacAddr>, String)> = Vec::new();
        let mut hostapd = |request: &str| {
            let entry = request.strip_prefix("SET sae_password ").expect("one");
            let mut parts = entry.split('|');
            let password = parts.next().expect("a password").to_owned();
            let (mut address, mut vlan) = (None, String::new());
            for part in parts {
                match part.split_once('=') {
                    Some(("mac", value)) => address = Some(MacAddr::parse_bytes(value.as_bytes()).expect("an address")),
                    Some(("vlanid", value)) => vlan = format!(" in {value}"),
                    _ => panic!("{part}"),
                }
            }
            list.insert(0, (address, password + &vlan));
            list.clone()
        };
        for (address, n) in before {
            let request = set_sae_password(&key(n), address.map(mac), None).expect("plain");
            hostapd(&request);
        }
        let (mut given, mut random, mut has) = (SaeGiven::default(), 0, Vec::new());
        for (every, single) in steps {
            let mut wanted: Vec<SaeEntry> = single
                .iter()
                .map(|(n, k)| SaeEntry { mac: Some(mac(*n)), key: k.map(|(k, vlan)| (key(k), Some(vlan))) })
                .collect();
            wanted.extend(every.map(|n| SaeEntry { mac: None, key: Some((key(n), Some(99))) }));
            let plan = given.plan(&wanted, || {
                random += 1;
                Passphrase::new(&format!("random number {random}")).expect("a key")
            });
            for request in &plan {
                has = hostapd(request);
            }
            prop_assert!(given.plan(&wanted, || unreachable!()).is_empty(), "nothing more to do");
            for n in 0..6 {
                let used = has.iter().find(|(address, _)| address.is_none_or(|a| a == mac(n))).map(|(_, used)| used.as_str());
                let used = used.filter(|used| !used.starts_with("random"));
                let expected = match (single.get(&n), every) {
                    (Some(Some((k, vlan))), _) => Some(format!("passphrase {k} in {vlan}")),
                    (Some(None), _) | (None, None) => None,
                    (None, Some(k)) => Some(format!("passphrase {k} in 99")),
                };
                prop_assert_eq!(used, expected.as_deref(), "address {}", n);
            }
        }
    }
}

const LAMP: Kind = Kind {
    bind: Bind::First,
    macs: 1,
    max: 1,
    has_key: true,
    ready: true,
    blocked: false,
    expires: None,
    profile: "iot",
};

#[test]
fn a_file_of_everything() {
    let mut core = core(true);
    let any = Kind { bind: Bind::Any, macs: 0, profile: "plain", ..LAMP };
    let approved = Kind { has_key: false, ..LAMP };
    register(&mut core, &[LAMP, any, approved, Kind { blocked: true, ..LAMP }]);
    let config = core.config.clone();
    let text = core.key_file(&config.ssids[0], now());
    let onboarding = hex(core.keyring.pmk(b"Home", KeyRef::Onboarding).expect("computed"));
    let expected = format!(
        "{HEADER}keyid=lk-onboarding vlanid=99 00:00:00:00:00:00 {onboarding}\nkeyid=lk2.3 00:00:00:00:00:00 {}\n\
         keyid=lk-onboarding vlanid=20 02:00:00:00:00:1e {onboarding}\nkeyid=lk1.3 vlanid=20 02:00:00:00:00:0a {}\n",
        hex(&pmk(2)),
        hex(&pmk(1)),
    );
    assert_eq!(&*text, &expected);
}

#[test]
fn five_hundred_keys_are_one_allocation() {
    let mut core = core(true);
    register(&mut core, &vec![LAMP; 500]);
    let config = core.config.clone();
    let text = core.key_file(&config.ssids[0], now());
    assert_eq!(text.lines().count(), 502);
    assert!(text.capacity() <= HEADER.len() + 501 * MAX_LINE, "it did not grow, and leave a copy behind");
}

#[test]
fn time_alone_changes_who_is_admissible() {
    let mut core = core(false);
    register(&mut core, &[Kind { expires: Some(NOW + 5), ..LAMP }]);
    let at = |seconds| Now { wall: UnixTime(NOW + seconds), mono: Instant::now() };
    assert_eq!(core.admission(at(0)), core.admission(at(4)));
    assert_ne!(core.admission(at(0)), core.admission(at(5)));
    let config = core.config.clone();
    assert_eq!(core.key_file(&config.ssids[0], at(4)).lines().count(), 2);
    assert_eq!(&*core.key_file(&config.ssids[0], at(5)), HEADER);
}

#[test]
fn who_cannot_join_with_wpa3_is_said() {
    let mut core = core(true);
    register(&mut core, &[LAMP, Kind { macs: 0, ..LAMP }, Kind { blocked: true, macs: 0, ..LAMP }]);
    let mut odd = core.registry.get(DeviceId(1)).cloned().expect("there");
    odd.key = Passphrase::new("a key|vlanid=30").ok();
    let config = core.config.clone();
    let ssid = &config.ssids[0];
    assert_eq!(core.sae_passwords(ssid, now()).entries.len(), 2, "the onboarding key, and the lamp's");
    core.apply(&[Change::Put(vec![odd])]);
    let wanted = core.sae_passwords(ssid, now());
    assert_eq!(wanted.entries.last(), Some(&SaeEntry { mac: Some(mac(10)), key: None }), "not even in quarantine");
    let said = core.without_wpa3(ssid, now());
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("SSID \"Home\": not with WPA3: d2: hostapd has to know"), "{said:?}");
    assert!(said[1].starts_with("SSID \"Home\": not with WPA3: d1: the passphrase contains |mac="), "{said:?}");
}

#[test]
fn hostapd_is_not_given_more_passwords_than_it_can_bear() {
    let mut core = core(false);
    register(&mut core, &vec![LAMP; SAE_ADDRESSES + 3]);
    let config = core.config.clone();
    let wanted = core.sae_passwords(&config.ssids[0], now());
    assert_eq!((wanted.entries.len(), wanted.too_many.len()), (SAE_ADDRESSES, 3));
    assert!(core.without_wpa3(&config.ssids[0], now()).contains("d129, d130, d131: hostapd is given"));
}

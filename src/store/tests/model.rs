//! Random changes against a plain map, with the registry reopened in between.

use super::*;
use crate::registry::credential::{Certificate, EapCredentials, EapPsk, KnownBy, Place};
use crate::registry::device::Seen;
use crate::registry::last_good::{LastGood, WifiKey};
use crate::registry::maker::{Admit, Maker};
use crate::secret::EapPskKey;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    Pmks(Vec<(u32, u32, u8)>),
    Seen(Vec<(u32, Seen)>),
    GoodCopy,
    Reopen,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    devices: BTreeMap<u32, Device>,
    pmks: BTreeMap<(u32, Vec<u8>), StoredPmk>,
    seen: BTreeMap<u32, Seen>,
    ignored: BTreeSet<[u8; 6]>,
    makers: BTreeMap<Arc<str>, Maker>,
    last_good: BTreeMap<(MacAddr, Vec<u8>), LastGood>,
    next_id: u32,
}

impl Model {
    /// `None` when the change contradicts the registry.
    fn commit(&self, changes: &[Change]) -> Option<Model> {
        let mut next = self.clone();
        for change in changes {
            match change {
                Change::Put(devices) => {
                    for device in devices {
                        let old = next.devices.insert(device.id.0, device.clone());
                        if old.is_some_and(|old| (old.key_serial, &old.key) != (device.key_serial, &device.key)) {
                            next.pmks.retain(|(id, _), _| *id != device.id.0);
                        }
                        next.next_id = next.next_id.max(device.id.0 + 1);
                    }
                    let names: BTreeSet<String> = next.devices.values().map(|d| d.name.to_lowercase()).collect();
                    if names.len() != next.devices.len() {
                        return None;
                    }
                }
                Change::PutMaker(maker) => {
                    next.makers.insert(maker.name.clone(), (**maker).clone());
                }
                Change::RemoveMaker(name) => {
                    next.makers.remove(name);
                }
                Change::Remove(id) => {
                    next.devices.remove(&id.0);
                    next.seen.remove(&id.0);
                    next.pmks.retain(|(owner, _), _| *owner != id.0);
                }
                Change::Bind(id, bound) => {
                    let device = next.devices.get_mut(&id.0)?;
                    match device.macs.iter_mut().find(|m| m.mac == bound.mac) {
                        Some(known) => *known = *bound,
                        None => device.macs.push(*bound),
                    }
                }
                Change::PutLastGood(kept) => {
                    next.last_good.insert((kept.mac, kept.ssid.to_vec()), (**kept).clone());
                }
                Change::RemoveLastGood { mac, ssid } => {
                    next.last_good.remove(&(*mac, ssid.to_vec()));
                }
                Change::Ignore(mac, true) => {
                    next.ignored.insert(mac.0);
                }
                Change::Ignore(mac, false) => {
                    next.ignored.remove(&mac.0);
                }
            }
        }
        Some(next)
    }

    fn put_pmks(&mut self, pmks: &[StoredPmk]) {
        for pmk in pmks {
            if self.devices.get(&pmk.0.0).is_some_and(|device| device.key_serial == pmk.1) {
                self.pmks.insert((pmk.0.0, pmk.2.to_vec()), pmk.clone());
            }
        }
    }

    fn of(loaded: Loaded) -> Model {
        Model {
            devices: loaded.devices.into_iter().map(|d| (d.id.0, d)).collect(),
            pmks: loaded.pmks.into_iter().map(|p| ((p.0.0, p.2.to_vec()), p)).collect(),
            seen: loaded.seen.into_iter().map(|(id, seen)| (id.0, seen)).collect(),
            ignored: loaded.ignored.into_iter().map(|mac| mac.0).collect(),
            makers: loaded.makers.into_iter().map(|maker| (maker.name.clone(), maker)).collect(),
            last_good: loaded.last_good.into_iter().map(|kept| ((kept.mac, kept.ssid.to_vec()), kept)).collect(),
            next_id: loaded.next_id,
        }
    }
}

fn any_bound() -> impl Strategy<Value = BoundMac> {
    (0u32..6, any::<bool>(), 0i64..3).prop_map(|(n, proved, since)| BoundMac {
        mac: mac(n),
        proved,
        since: UnixTime(since),
    })
}

fn any_device() -> impl Strategy<Value = Device> {
    let macs = prop::collection::btree_map(0u32..6, any_bound(), 0..4);
    let name = prop::sample::select(vec!["a", "A", "b", "B", "c", "lamp.1", "tv_2", "x-3"]);
    let bind = prop::sample::select(vec![Bind::First, Bind::Mac, Bind::Any]);
    let rest = (prop::option::of(0i64..9), any::<bool>(), 0i64..9, any::<u16>(), any_eap(), any_places());
    (1u32..8, name, prop::option::of(0u32..4), 0u32..3, bind, macs, rest).prop_map(
        |(id, name, key, key_serial, bind, macs, (expires, blocked, created, max_devices, eap, places))| Device {
            id: DeviceId(id),
            name: name.into(),
            profile: if id % 2 == 0 { "iot" } else { "guest" }.into(),
            key: key.map(|n| Passphrase::new(&format!("key number {n}")).unwrap()),
            key_serial,
            bind,
            max_devices,
            macs: macs.into_iter().map(|(n, bound)| BoundMac { mac: mac(n), ..bound }).rev().collect(),
            expires: expires.map(UnixTime),
            blocked,
            created: UnixTime(created),
            eap,
            places,
        },
    )
}

fn any_eap() -> impl Strategy<Value = Option<Box<EapCredentials>>> {
    let psk = prop::option::of((0u8..3, 0u8..3)).prop_map(|psk| {
        psk.map(|(name, key)| EapPsk { nai: format!("n{name}@x").into(), key: EapPskKey::new([key; 16]) })
    });
    let certificates = prop::collection::vec(any_certificate(), 0..3);
    let eap = (psk, certificates, 0u32..3)
        .prop_map(|(psk, certificates, serial)| Box::new(EapCredentials { psk, certificates, serial }));
    prop::option::of(eap)
}

fn any_certificate() -> impl Strategy<Value = Certificate> {
    let known_by = (0u8..6, 0u8..2, "[0-9a-z]{0,2}").prop_map(|(kind, n, text)| {
        let (maker, text) = (Arc::<str>::from(format!("m{n}")), Arc::<str>::from(text));
        match kind {
            0 => KnownBy::Fingerprint([n; 32]),
            1 => KnownBy::PublicKey([n; 32]),
            2 => KnownBy::Serial {
                maker: ["", "acme"][usize::from(n % 2)].into(),
                issuer: [n; 32],
                serial: text.as_bytes().into(),
            },
            3 => KnownBy::SubjectSerial { maker, serial: text },
            4 => KnownBy::Peer { realm: maker, identity: text },
            _ => KnownBy::AltName { maker, name: text },
        }
    });
    (known_by, "[a-z]{0,1}", prop::option::of(0i64..3), prop::option::of("[a-z]{0,1}"), any::<bool>()).prop_map(
        |(known_by, subject, not_after, mud_url, issued)| Certificate {
            known_by,
            subject: subject.into(),
            not_after: not_after.map(UnixTime),
            mud_url: mud_url.map(Arc::from),
            issued,
            since: UnixTime(7),
        },
    )
}

fn any_places() -> impl Strategy<Value = Vec<Place>> {
    let place = (any::<bool>(), 0u32..3)
        .prop_map(|(ssid, n)| if ssid { Place::Ssid(vec![n as u8; n as usize].into()) } else { Place::Ap(mac(n)) });
    prop::collection::vec(place, 0..3)
}

fn any_maker() -> impl Strategy<Value = Maker> {
    let admit = prop::sample::select(vec![Admit::Listed, Admit::Pending, Admit::All]);
    let octets = prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..4);
    let paths = prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/c d"]), 0..3);
    let bundle = (prop::option::of(0i64..3), octets.clone());
    (prop::sample::select(vec!["acme", "Acme", "globex"]), any::<bool>(), admit, octets, paths, bundle).prop_map(
        |(name, iot, admit, authorities, crls, (issued, lists))| Maker {
            name: name.into(),
            authorities: authorities.into_iter().map(Vec::into_boxed_slice).collect(),
            profile: if iot { "iot" } else { "guest" }.into(),
            admit,
            crls: crls.into_iter().map(Into::into).collect(),
            lists: lists.into_iter().map(Into::into).collect(),
            bundle_issued: issued.map(UnixTime),
        },
    )
}

fn any_last_good() -> impl Strategy<Value = LastGood> {
    let key = prop::sample::select(vec!["key number 1", "key number 2", "~~~~~~~~"]).prop_map(str::to_owned);
    let key = prop_oneof![key, (0u8..3).prop_map(|n| format!("{n:02x}").repeat(32))];
    let keys = prop::collection::vec(key, 1..4);
    (0u32..3, 0u8..3, keys, prop::option::of(0u16..3), 0i64..5, any::<bool>()).prop_map(
        |(n, name, keys, vlan, at, iot)| LastGood {
            mac: mac(n),
            ssid: ssid(["Home", "Guest", ""][usize::from(name)]),
            realm: if iot { "acme" } else { "online" }.into(),
            keys: keys.iter().map(|key| WifiKey::from_tunnel_password(key.as_bytes()).unwrap()).collect(),
            vlan,
            profile: if iot { "iot" } else { "guest" }.into(),
            at: UnixTime(at),
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    // One id once in a list: what a list with the same id twice means is nobody's business.
    let devices = prop::collection::vec(any_device(), 1..4).prop_map(|devices| {
        let by_id: BTreeMap<u32, Device> = devices.into_iter().map(|d| (d.id.0, d)).collect();
        Change::Put(by_id.into_values().collect())
    });
    prop_oneof![
        4 => devices,
        1 => (1u32..9).prop_map(|id| Change::Remove(DeviceId(id))),
        2 => (1u32..9, any_bound()).prop_map(|(id, bound)| Change::Bind(DeviceId(id), bound)),
        1 => (0u32..4, any::<bool>()).prop_map(|(n, hide)| Change::Ignore(mac(n), hide)),
        2 => any_maker().prop_map(|maker| Change::PutMaker(Box::new(maker))),
        1 => prop::sample::select(vec!["acme", "Acme", "globex", "other"])
            .prop_map(|name| Change::RemoveMaker(name.into())),
        2 => any_last_good().prop_map(|kept| Change::PutLastGood(Box::new(kept))),
        1 => (0u32..3, prop::sample::select(vec!["Home", "Guest", ""]))
            .prop_map(|(n, name)| Change::RemoveLastGood { mac: mac(n), ssid: ssid(name) }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let seen =
        (0i64..5, prop::option::of(0u32..4), any::<u32>(), any::<u32>()).prop_map(|(at, n, accepted, refused)| Seen {
            last_seen: UnixTime(at),
            last_mac: n.map(mac),
            accepted,
            refused,
        });
    prop_oneof![
        6 => prop::collection::vec(any_change(), 0..4).prop_map(Step::Commit),
        3 => prop::collection::vec((1u32..9, 0u32..3, 0u8..3), 0..6).prop_map(Step::Pmks),
        2 => prop::collection::vec((1u32..9, seen), 0..4).prop_map(Step::Seen),
        1 => Just(Step::GoodCopy),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(any_step(), 1..24)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ..) = open(dir.path());
        let mut model = Model { next_id: 1, ..Model::default() };
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Commit(changes) => {
                    let stored = store.commit(&changes);
                    let expected = model.commit(&changes);
                    prop_assert_eq!(stored.is_ok(), expected.is_some(), "{:?} {:?}", changes, stored);
                    model = expected.unwrap_or(model);
                }
                Step::Pmks(rows) => {
                    let names = ["Home", "Guest", ""].map(ssid);
                    let rows: Vec<StoredPmk> =
                        rows.into_iter().map(|(id, serial, name)| pmk(id, serial, &names[usize::from(name)])).collect();
                    store.put_pmks(&rows).unwrap();
                    model.put_pmks(&rows);
                }
                Step::Seen(rows) => {
                    let rows: Vec<_> = rows.into_iter().map(|(id, seen)| (DeviceId(id), seen)).collect();
                    store.put_seen(&rows).unwrap();
                    for (id, seen) in rows.into_iter().filter(|(id, _)| model.devices.contains_key(&id.0)) {
                        model.seen.insert(id.0, seen);
                    }
                }
                Step::GoodCopy => store.save_good_copy().unwrap(),
                Step::Reopen => {
                    drop(store);
                    let (reopened, loaded, report) = open(dir.path());
                    prop_assert_eq!(report, OpenReport::default());
                    prop_assert_eq!(Model::of(loaded), model.clone());
                    store = reopened;
                }
            }
        }
    }
}

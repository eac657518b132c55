//! Stations that hostapd let in by itself.

use super::*;
use crate::config::Config;
use crate::registry::Registry;
use crate::registry::device::{Bind, BoundMac};
use crate::secret::Passphrase;
use crate::service::revocation::Order;
use crate::time::UnixTime;
use crate::wire::hostapd::Connected;

const CONFIG: &str = "config profile 'iot'\n\toption vlan '20'\nconfig profile 'guests'\n\toption vlan '99'\n\
                      config ssid 'home'\n\toption ssid 'Home'\n\toption backend 'psk-file'\n\
                      \toption unknown 'quarantine'\n\toption quarantine_profile 'guests'\n\
                      \toption onboarding_key 'welcome to this house'\n";
const LAMP: Option<KeyId> = Some(KeyId::Device { id: 1, serial: 1 });
const PHONE: Option<KeyId> = Some(KeyId::Device { id: 2, serial: 1 });

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0, 0x5e, 0, 0x53, last])
}

fn device(id: u32, name: &str, bind: Bind, macs: &[MacAddr]) -> Device {
    Device {
        id: DeviceId(id),
        name: name.into(),
        profile: "iot".into(),
        key: Some(Passphrase::new(&format!("the key of number {id}")).expect("a key")),
        key_serial: 1,
        bind,
        max_devices: 1,
        macs: macs.iter().map(|mac| BoundMac { mac: *mac, proved: true, since: UnixTime(1) }).collect(),
        expires: None,
        blocked: false,
        created: UnixTime(1),
        eap: None,
        places: Vec::new(),
    }
}

struct Scene {
    core: Core,
    start: Instant,
}

impl Scene {
    /// A lamp whose key waits for it, and a phone that makes up its addresses, one at a time.
    fn new(config: &str) -> Scene {
        let start = Instant::now();
        let now = Now { wall: UnixTime(1000), mono: start };
        let config = Config::parse(config).expect("valid");
        let mut core =
            Core::new(config.into(), Registry::default(), now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
        core.apply(&[Change::Put(vec![device(1, "lamp", Bind::First, &[]), device(2, "phone", Bind::Any, &[])])]);
        core.stations.up(&"wlan0".into(), b"Home", None);
        Scene { core, start }
    }

    fn now(&self, seconds: u64) -> Now {
        Now { wall: UnixTime(1000 + seconds as i64), mono: self.start + Duration::from_secs(seconds) }
    }

    fn arrival(&self, last: u8, keyid: Option<KeyId>) -> Arrival {
        Arrival { bss: "wlan0".into(), mac: mac(last), keyid, akm: None, fresh: true, at: self.start }
    }

    /// A station comes, and what is to be stored is stored.
    fn comes(&mut self, last: u8, keyid: Option<KeyId>) -> Vec<Change> {
        let arrival = self.arrival(last, keyid);
        self.core.stations.connected("wlan0", mac(last));
        self.core.stations.described("wlan0", &Connected { mac: mac(last), keyid, vlan: None });
        let changes = self.core.arrived(&arrival, true, self.now(0));
        if !changes.is_empty() {
            self.core.apply(&changes);
            self.core.arrival_stored(&arrival, &changes, true, self.now(0));
        }
        changes
    }

    fn events(&self) -> Vec<(Outcome, &'static str)> {
        self.core.events.iter().map(|event| (event.outcome, event.reason.code())).collect()
    }

    /// The orders given since: address, and what to do.
    fn orders(&mut self) -> Vec<(u8, &'static str)> {
        let word = |order: Order| match order {
            Order::Off { mac, ban: true, why: Why::Refused, .. } => (mac.0[5], "keep off"),
            Order::Off { mac, ban: false, .. } => (mac.0[5], "off"),
            Order::Off { .. } => panic!("hostapd remembers nothing here: {order:?}"),
            Order::Lift(mac) => (mac.0[5], "lift"),
        };
        self.core.revocation.take_orders().into_iter().map(word).collect()
    }

    fn change(&mut self, id: u32, edit: impl FnOnce(&mut Device)) {
        let mut device = self.core.registry.get(DeviceId(id)).expect("registered").clone();
        edit(&mut device);
        self.core.apply(&[Change::Put(vec![device])]);
    }
}

#[test]
fn the_first_proof_binds_and_the_second_is_refused() {
    let mut scene = Scene::new(CONFIG);
    assert!(
        matches!(scene.comes(1, LAMP)[..], [Change::Bind(DeviceId(1), bound)] if bound.mac == mac(1) && bound.proved)
    );
    assert_eq!(scene.events(), [(Outcome::Joined, "first_proof")]);
    assert_eq!(scene.core.registry.seen(DeviceId(1)).accepted, 1);
    // hostapd read its file a moment too late.
    assert!(scene.comes(2, LAMP).is_empty());
    assert_eq!(scene.events()[1], (Outcome::Refused, "key_of_other"));
    assert_eq!(scene.orders(), [(2, "keep off")]);
    assert!(scene.comes(1, LAMP).is_empty());
    assert_eq!(scene.events()[2], (Outcome::Joined, "proved_key"));
    // It may have another key in the meantime.
    scene.core.tick_arrivals(scene.now(29));
    assert_eq!(scene.orders(), []);
    scene.core.tick_arrivals(scene.now(30));
    assert_eq!(scene.orders(), [(2, "lift")]);
}

#[test]
fn a_key_that_cannot_be_bound_lets_nobody_in() {
    let mut scene = Scene::new(CONFIG);
    let arrival = scene.arrival(1, LAMP);
    let changes = scene.core.arrived(&arrival, true, scene.now(0));
    assert!(scene.events().is_empty() && !changes.is_empty());
    scene.core.arrival_stored(&arrival, &changes, false, scene.now(0));
    assert_eq!(scene.events(), [(Outcome::Refused, "not_stored")]);
    assert_eq!(scene.orders(), [(1, "off")], "it may come back at once");
}

#[test]
fn keys_of_the_past_and_of_nobody_are_refused() {
    let mut scene = Scene::new(CONFIG);
    scene.comes(1, Some(KeyId::Device { id: 1, serial: 0 }));
    scene.comes(2, Some(KeyId::Device { id: 77, serial: 1 }));
    scene.comes(3, None);
    assert_eq!(scene.events(), [(Outcome::Refused, "unknown_device"); 3]);
    assert_eq!(scene.orders(), [(1, "off"), (2, "off"), (3, "off")]);
    assert_eq!(scene.core.pending.len(), 3);
}

#[test]
fn a_blocked_device_with_the_onboarding_key_is_kept_off_until_it_is_unblocked() {
    let mut scene = Scene::new(CONFIG);
    scene.change(1, |lamp| lamp.macs = device(1, "", Bind::First, &[mac(1)]).macs);
    scene.change(1, |lamp| lamp.blocked = true);
    scene.orders();
    scene.comes(1, Some(KeyId::Onboarding));
    assert_eq!(scene.events(), [(Outcome::Refused, "blocked")]);
    assert_eq!(scene.orders(), [(1, "keep off")]);
    scene.core.tick_arrivals(scene.now(3600));
    assert_eq!(scene.orders(), [], "while that stays so");
    assert_eq!(scene.core.arrivals.held().collect::<Vec<_>>(), [mac(1)]);
    scene.change(1, |lamp| lamp.blocked = false);
    scene.core.tick_arrivals(scene.now(3601));
    assert_eq!(scene.orders(), [(1, "lift")]);
}

#[test]
fn strangers_with_the_onboarding_key_are_in_quarantine_and_on_the_list() {
    let mut scene = Scene::new(CONFIG);
    scene.comes(9, Some(KeyId::Onboarding));
    let event = scene.core.events.iter().next().expect("an event");
    assert_eq!((event.outcome, event.vlan, event.reason.code()), (Outcome::Joined, Some(99), "quarantined"));
    assert!(scene.core.pending.get(mac(9)).is_some());
    assert_eq!(scene.orders(), []);
}

#[test]
fn no_more_addresses_than_allowed_use_a_key() {
    let mut scene = Scene::new(CONFIG);
    scene.comes(1, PHONE);
    scene.comes(2, PHONE);
    assert_eq!(scene.events(), [(Outcome::Joined, "proved_key"), (Outcome::Refused, "too_many")]);
    assert_eq!(scene.orders(), [(2, "keep off")]);
    scene.core.stations.disconnected("wlan0", mac(2));
    scene.core.tick_arrivals(scene.now(1));
    assert_eq!(scene.orders(), []);
    scene.core.stations.disconnected("wlan0", mac(1));
    scene.core.tick_arrivals(scene.now(2));
    assert_eq!(scene.orders(), [(2, "lift")], "there is room");
}

#[test]
fn the_key_says_which_device_it_is() {
    let mut scene = Scene::new(CONFIG);
    scene.comes(7, PHONE);
    let bss = scene.core.stations.bsses().next().map(|(_, bss)| bss.clone()).expect("there");
    assert_eq!(scene.core.device_of(mac(7), &bss), Some(DeviceId(2)));
    scene.change(2, |phone| phone.profile = "guests".into());
    assert_eq!(scene.orders(), [(7, "off")], "its VLAN is another, and it is back at once");
}

#[test]
fn who_was_there_before_makes_no_event_if_all_is_well() {
    let mut scene = Scene::new(CONFIG);
    let there = |scene: &Scene, last, keyid| Arrival { fresh: false, ..scene.arrival(last, keyid) };
    let first = there(&scene, 1, PHONE);
    scene.comes(1, PHONE);
    assert!(scene.core.arrived(&first, true, scene.now(0)).is_empty());
    assert_eq!(scene.events().len(), 1);
    let wrong = there(&scene, 3, Some(KeyId::Device { id: 1, serial: 0 }));
    scene.core.arrived(&wrong, true, scene.now(0));
    assert_eq!(scene.events()[1], (Outcome::Refused, "unknown_device"));
}

#[test]
fn with_sae_the_address_says_which_device_it_is() {
    let mut scene = Scene::new(&CONFIG.replace("'psk-file'\n", "'psk-file'\n\toption security 'mixed'\n"));
    scene.change(1, |lamp| lamp.macs = device(1, "", Bind::First, &[mac(1)]).macs);
    let came = |last, akm| Arrival { akm: Some(akm), ..scene.arrival(last, None) };
    let (lamp, stranger, other_key) = (came(1, 0x000f_ac08), came(2, 0x000f_ac08), came(3, 0x000f_ac02));
    for arrival in [lamp, stranger, other_key] {
        scene.core.arrived(&arrival, true, scene.now(0));
    }
    let expected =
        [(Outcome::Joined, "proved_key"), (Outcome::Joined, "quarantined"), (Outcome::Refused, "unknown_device")];
    assert_eq!(scene.events(), expected);
}

#[test]
fn other_networks_are_left_alone() {
    let mut scene = Scene::new(&CONFIG.replace("\toption backend 'psk-file'\n", ""));
    scene.comes(1, LAMP);
    assert!(scene.events().is_empty() && scene.orders().is_empty());
}

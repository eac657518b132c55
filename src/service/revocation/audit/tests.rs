//! What the audit finds, when, and how often.

use crate::config::Config;
use crate::decision::reason::Reason;
use crate::decision::{Evidence, Proof, Request};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::device::{Bind, BoundMac, Change, Device, DeviceId};
use crate::registry::tests::device;
use crate::service::revocation::{Order, REMEMBERED, Why};
use crate::service::{Core, Now, grants};
use crate::time::UnixTime;
use crate::time::zone::Zone;
use crate::wire::hostapd::Station;
use std::time::{Duration, Instant};

const CONFIG: &str = "
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config profile 'kids'
	option vlan '40'
	list hours 'mon-fri 07:00-21:00'
config profile 'guest'
	option vlan '50'
	list hours 'daily 06:00-22:00'
config profile 'flat'
config ssid 'home'
	option ssid 'Home'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'come in and find out'
config ssid 'file'
	option ssid 'File'
	option backend 'psk-file'
";

/// A Friday afternoon.
const NOON: &str = "2027-01-15T12:00:00Z";
const BSS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);

fn at(text: &str) -> i64 {
    text.parse::<UnixTime>().expect("a point in time").0
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0, 0x5e, 0, 0x53, last])
}

/// lamp (1) and tv (2) with their addresses 1 and 2, tablet (3) with hours, phone (4) for any address, flat (5) without VLAN.
fn devices() -> Vec<Device> {
    let all = [(1, "lamp", "iot"), (2, "tv", "media"), (3, "tablet", "kids"), (4, "phone", "iot"), (5, "box", "flat")];
    let mut devices: Vec<Device> = all
        .map(|(id, name, profile)| {
            let macs = vec![BoundMac { mac: mac(id as u8), proved: true, since: UnixTime(at(NOON) - 9000) }];
            let created = UnixTime(at(NOON) - 10_000);
            Device { macs, created, ..device(id, name, profile, &format!("{name}-key-of-its-own")) }
        })
        .into();
    devices[3].bind = Bind::Any;
    devices[3].max_devices = 1;
    devices[3].macs.clear();
    devices
}

struct Scene {
    core: Core,
    start: Instant,
}

impl Scene {
    fn with(wall: i64, devices: Vec<Device>) -> Scene {
        let config = Config::parse(CONFIG).expect("the configuration of the tests");
        // The daemon is up for long: what hostapd remembers, latchkey knows.
        let start = Instant::now().checked_sub(REMEMBERED * 2).unwrap_or_else(Instant::now);
        let now = Now { wall: UnixTime(wall), mono: start };
        let registry = Registry::load(devices, vec![], vec![], DeviceId(100));
        let core = Core::new(config.into(), registry, now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
        let mut scene = Scene { core, start: Instant::now() };
        scene.up();
        scene
    }

    fn new() -> Scene {
        Scene::with(at(NOON) - 70, devices())
    }

    fn up(&mut self) {
        self.core.stations.up(&"wlan0".into(), b"Home", Some(BSS));
        self.core.stations.up(&"wlan1".into(), b"File", Some(mac(0xbb)));
    }

    /// hostapd tells of a station.
    fn found(&mut self, n: u8, vlan: Option<u16>) {
        let connected = Some(9);
        self.core.stations.connected("wlan0", mac(n));
        self.core.stations.found("wlan0", Station { authorized: true, connected, vlan, ..Station::new(mac(n)) });
    }

    /// An answer by which a station was let in.
    fn granted(&mut self, n: u8, devices: &[(u32, u32)], profile: &str) {
        let grant = grants::Grant {
            credential: grants::Credential::WifiKey,
            voucher: None,
            vouched: None,
            devices: devices.iter().map(|(id, serial)| (DeviceId(*id), *serial)).collect(),
            vlan: None,
            profile: profile.into(),
            client: "ap".into(),
            nas: "ap".into(),
            ssid: b"Home"[..].into(),
            at: self.start,
            proved: true,
            reported: false,
            attempt: 0,
            onboarding: grants::Onboarding::No,
        };
        self.core.grants.insert((mac(n), BSS), grant);
    }

    fn tick(&mut self, wall: i64, seconds: u64) -> Vec<(u8, Why)> {
        self.core.tick(Now { wall: UnixTime(wall), mono: self.start + Duration::from_secs(seconds) });
        self.off()
    }

    fn off(&mut self) -> Vec<(u8, Why)> {
        let orders = self.core.revocation.take_orders().into_iter();
        let off = orders.filter_map(|order| match order {
            Order::Off { mac, why, .. } => Some((mac.0[5], why)),
            Order::Lift(_) => None,
        });
        off.collect()
    }

    fn edit(&mut self, id: u32, edit: impl FnOnce(&mut Device)) {
        let mut device = self.core.registry.get(DeviceId(id)).expect("registered").clone();
        edit(&mut device);
        self.core.apply(&[Change::Put(vec![device])]);
    }
}

#[test]
fn hours_end_to_the_second_in_local_time() {
    let mut scene = Scene::new();
    scene.core.zone = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    scene.found(1, Some(20));
    scene.found(3, Some(40));
    assert_eq!(scene.tick(at("2027-01-15T19:59:59Z"), 0), []);
    assert_eq!(scene.tick(at("2027-01-15T20:00:00Z"), 1), [(3, Why::Hours)]);
    assert_eq!(scene.tick(at("2027-01-15T20:00:01Z"), 2), [], "it is given the time to go");
    scene.core.stations.disconnected("wlan0", mac(3));
    assert_eq!(scene.tick(at("2027-01-15T20:00:02Z"), 3), []);
    scene.found(3, Some(40));
    assert_eq!(scene.tick(at("2027-01-15T20:00:03Z"), 4), [(3, Why::Hours)], "it came back");
    assert_eq!(scene.tick(at("2027-01-18T06:00:00Z"), 200_000), [], "Monday, seven o'clock");
    // In summer, nine in the evening is an hour earlier.
    assert_eq!(scene.tick(at("2027-07-16T18:59:59Z"), 300_000), []);
    assert_eq!(scene.tick(at("2027-07-16T19:00:00Z"), 300_001), [(3, Why::Hours)]);
}

#[test]
fn a_quarantine_closes_too() {
    let mut scene = Scene::new();
    scene.found(9, Some(50));
    scene.granted(9, &[], "guest");
    assert_eq!(scene.tick(at("2027-01-15T21:59:59Z"), 0), []);
    assert_eq!(scene.tick(at("2027-01-15T22:00:00Z"), 1), [(9, Why::Hours)]);
}

#[test]
fn a_router_that_boots_in_1970_keeps_out_whom_it_must() {
    let mut devices = devices();
    // Their time is over by what the registry knows; and will be when the clock is right.
    devices[0].expires = Some(UnixTime(at(NOON) - 9500));
    devices[1].expires = Some(UnixTime(at(NOON)));
    let mut scene = Scene::with(17, devices);
    for (n, vlan) in [(1, Some(20)), (2, Some(30)), (3, Some(40)), (5, None)] {
        scene.found(n, vlan);
    }
    assert_eq!(scene.tick(90, 0), [(1, Why::Expired), (3, Why::ClockNotSet)]);
    for n in [1, 3] {
        scene.core.stations.disconnected("wlan0", mac(n));
    }
    let ask = |scene: &Scene, n: u8, id: u32, wall: i64| {
        let now = Now { wall: UnixTime(wall), mono: scene.start + Duration::from_secs(1) };
        let now = scene.core.time.effective(now);
        let proof = Evidence::Handshake(Proof::Device(DeviceId(id)));
        scene.core.decide(&Request::new(mac(n), b"Home", None, proof), now).map_err(|refusal| refusal.reason.code())
    };
    assert_eq!(ask(&scene, 1, 1, 91).err(), Some("expired"));
    assert_eq!(ask(&scene, 3, 3, 91).err(), Some("clock_not_set"));
    assert!(ask(&scene, 2, 2, 91).is_ok());
    // NTP sets the clock: all is judged anew.
    assert_eq!(scene.tick(at(NOON) + 5, 2), [(2, Why::Expired)]);
    assert!(ask(&scene, 3, 3, at(NOON) + 5).is_ok());
    assert_eq!(ask(&scene, 1, 1, at(NOON) + 5).err(), Some("expired"));
}

#[test]
fn whom_a_wrong_clock_expired_is_let_in_when_it_is_corrected() {
    let mut devices = devices();
    devices[0].expires = Some(UnixTime(at(NOON) + 3600));
    let mut scene = Scene::with(at(NOON), devices);
    scene.found(1, Some(20));
    assert_eq!(scene.tick(at(NOON) + 10, 0), []);
    assert_eq!(scene.tick(at(NOON) + 40_000, 1), [(1, Why::Expired)]);
    scene.core.registry.count(DeviceId(2), true, mac(2), UnixTime(at(NOON) + 40_000));
    assert_eq!(scene.tick(at(NOON) + 12, 2), []);
    let lamp = scene.core.registry.get(DeviceId(1)).expect("registered").clone();
    assert_eq!(scene.core.admissible(&lamp, UnixTime(at(NOON) + 12)), Ok(()));
    assert_eq!(scene.core.registry.seen(DeviceId(2)).last_seen, UnixTime(at(NOON) + 12), "not in the future");
}

#[test]
fn one_predicate_for_all() {
    let mut scene = Scene::new();
    let noon = UnixTime(at(NOON));
    let mut check = |id: u32, edit: fn(&mut Device)| {
        scene.edit(id, edit);
        let device = scene.core.registry.get(DeviceId(id)).expect("registered");
        scene.core.admissible(device, noon)
    };
    assert_eq!(check(1, |_| ()), Ok(()));
    assert_eq!(check(3, |_| ()), Ok(()));
    assert_eq!(check(1, |d| d.expires = Some(UnixTime(at(NOON)))), Err(Reason::Expired(noon)));
    assert_eq!(check(1, |d| d.blocked = true), Err(Reason::Blocked));
    assert_eq!(check(2, |d| d.profile = "gone".into()), Err(Reason::ProfileMissing { profile: "gone".into() }));
}

#[test]
fn what_is_wrong_with_a_station_is_found() {
    let at_once = |prepare: fn(&mut Scene)| {
        let mut scene = Scene::new();
        prepare(&mut scene);
        scene.core.revocation.take_orders();
        scene.tick(at(NOON), 100)
    };
    // As it should be, by address and by answer.
    assert_eq!(at_once(|scene| scene.found(1, Some(20))), []);
    assert_eq!(at_once(|scene| scene.found(5, None)), []);
    assert_eq!(at_once(|scene| (scene.found(1, Some(20)), scene.granted(1, &[(1, 1)], "iot")).0), []);
    // In the wrong VLAN, or none, or one too many; and one of which hostapd has not told.
    assert_eq!(at_once(|scene| scene.found(1, Some(50))), [(1, Why::NewProfile)]);
    assert_eq!(at_once(|scene| scene.found(1, None)), [(1, Why::NewProfile)]);
    assert_eq!(at_once(|scene| scene.found(5, Some(20))), [(5, Why::NewProfile)]);
    assert_eq!(at_once(|scene| scene.core.stations.connected("wlan0", mac(1))), []);
    // On an interface of its own: of which no bridge is known, where others are; just made, or not looked at.
    fn own(scene: &mut Scene, n: u8, seconds: u64) {
        let station = Station { authorized: true, connected: Some(seconds), ..Station::new(mac(n)) };
        scene.core.stations.found("wlan0", Station { own_interface: Some(4097), ..station });
        scene.core.network.ports.insert("wlan0.4096".into(), "brvlan20".into());
    }
    assert_eq!(at_once(|scene| own(scene, 1, 9)), [(1, Why::NewProfile)]);
    assert_eq!(at_once(|scene| own(scene, 5, 9)), []);
    assert_eq!(at_once(|scene| own(scene, 1, 1)), []);
    assert_eq!(at_once(|scene| (own(scene, 1, 9), scene.core.network.ports.clear()).1), []);
    // With an older key; unbound; of a device that is gone; with one of several keys.
    assert_eq!(at_once(|scene| (scene.found(1, Some(20)), scene.granted(1, &[(1, 0)], "iot")).0), [(1, Why::NewKey)]);
    assert_eq!(at_once(|scene| (scene.found(9, Some(20)), scene.granted(9, &[(1, 1)], "iot")).0), [(9, Why::Unbound)]);
    assert_eq!(at_once(|scene| (scene.found(9, Some(20)), scene.granted(9, &[(4, 1)], "iot")).0), []);
    assert_eq!(at_once(|scene| (scene.found(9, Some(20)), scene.granted(9, &[(77, 1)], "iot")).0), [(9, Why::Removed)]);
    assert_eq!(at_once(|scene| (scene.found(9, Some(20)), scene.granted(9, &[(77, 1), (78, 1)], "iot")).0), []);
    // Nobody's: strangers on the network are hostapd's business.
    assert_eq!(at_once(|scene| scene.found(9, Some(20))), []);
    // Where hostapd does not ask, an answer is one of before.
    let of_file = |scene: &mut Scene| {
        let station = Station { authorized: true, connected: Some(1), vlan: Some(20), ..Station::new(mac(1)) };
        scene.core.stations.found("wlan1", station);
        scene.granted(1, &[(1, 0)], "iot");
    };
    assert_eq!(at_once(of_file), []);
}

/// A change of the first device, and why it then has to go.
type Case = (fn(&mut Scene), Option<Why>);

/// Whatever happens while hostapd is away is made up for when it is back.
#[test]
fn orders_that_were_lost_are_given_again() {
    let cases: [Case; 9] = [
        (|scene| scene.edit(1, |d| d.key_serial = 2), Some(Why::NewKey)),
        (|scene| scene.core.apply(&[Change::Remove(DeviceId(1))]), Some(Why::Removed)),
        (|scene| scene.edit(1, |d| d.profile = "media".into()), Some(Why::NewProfile)),
        (|scene| scene.edit(1, |d| d.macs.clear()), Some(Why::Unbound)),
        (|scene| scene.edit(1, |d| d.expires = Some(UnixTime(at(NOON) - 1))), Some(Why::Expired)),
        (|scene| scene.edit(1, |d| d.blocked = true), Some(Why::Blocked)),
        (|scene| scene.edit(1, |d| d.profile = "gone".into()), Some(Why::NewProfile)),
        (
            |scene| {
                let moved = Config::parse(CONFIG.replace("'20'", "'21'")).expect("a configuration");
                let now = Now { wall: UnixTime(at(NOON)), mono: scene.start };
                scene.core.reconfigure(moved.into(), now);
            },
            Some(Why::NewProfile),
        ),
        (|scene| scene.edit(1, |d| d.name = "light".into()), None),
    ];
    for (n, (change, why)) in cases.into_iter().enumerate() {
        let mut scene = Scene::new();
        scene.granted(1, &[(1, 1)], "iot");
        scene.found(1, Some(20));
        assert_eq!(scene.tick(at(NOON), 0), [], "case {n}");
        // The socket is gone, the station is not.
        scene.core.stations.down("wlan0");
        scene.core.stations.down("wlan1");
        change(&mut scene);
        // Nobody there to carry it out.
        scene.core.revocation.take_orders();
        scene.up();
        scene.found(1, Some(20));
        assert_eq!(scene.tick(at(NOON) + 60, 60), Vec::from_iter(why.map(|why| (1, why))), "case {n}");
    }
}

/// An order that no BSS carried out, or that came to nothing: the station is still there.
#[test]
fn an_order_is_given_again_when_the_station_stays() {
    let mut scene = Scene::new();
    scene.granted(1, &[(1, 1)], "iot");
    scene.found(1, Some(20));
    scene.edit(1, |d| d.key_serial = 2);
    assert_eq!(scene.off(), [(1, Why::NewKey)]);
    let orders: Vec<u64> = (1..60).filter(|second| !scene.tick(at(NOON), *second).is_empty()).collect();
    assert!(matches!(orders[..], [5 | 6]), "{orders:?}");
}

/// hostapd does not have the VLAN: the station is disturbed twice, and then rarely.
#[test]
fn a_vlan_that_cannot_be_had_does_not_keep_a_station_off() {
    let mut scene = Scene::new();
    let mut taken = Vec::new();
    for second in 0..12_000 {
        scene.found(1, None);
        if !scene.tick(at(NOON), second).is_empty() {
            taken.push(second);
            // It goes and is back at once, and hostapd tells of it a second later.
            scene.core.stations.disconnected("wlan0", mac(1));
            scene.core.stations.connected("wlan0", mac(1));
        }
    }
    assert_eq!(taken, [0, 5, 305, 905, 2105, 4505, 8105, 11_705]);
    // Where it belongs, all is forgotten.
    scene.found(1, Some(20));
    assert_eq!(scene.tick(at(NOON), 12_001), []);
    scene.found(1, None);
    assert_eq!(scene.tick(at(NOON), 12_002), [(1, Why::NewProfile)]);
    assert_eq!(scene.core.revocation.taken.len(), 1);
    scene.core.stations.disconnected("wlan0", mac(1));
    scene.tick(at(NOON), 12_002 + 7300);
    assert!(scene.core.revocation.taken.is_empty());
}

#[test]
fn stations_without_a_session_use_their_key() {
    let mut scene = Scene::new();
    let join = |scene: &Scene, n: u8| {
        let proof = Evidence::Handshake(Proof::Device(DeviceId(4)));
        let now = Now { wall: UnixTime(at(NOON)), mono: scene.start };
        scene.core.decide(&Request::new(mac(n), b"File", None, proof), now).map_err(|refusal| refusal.reason)
    };
    assert!(join(&scene, 11).is_ok());
    let station = Station { authorized: true, ..Station::new(mac(11)) };
    scene.core.stations.found("wlan1", station);
    scene.core.present.insert(DeviceId(4), mac(11));
    assert_eq!(join(&scene, 12).err(), Some(Reason::TooMany { max: 1 }));
    assert!(join(&scene, 11).is_ok(), "itself");
    scene.core.stations.disconnected("wlan1", mac(11));
    assert!(join(&scene, 12).is_ok(), "at once");
}

/// Says what a second costs; the machine decides whether that is much.
#[test]
fn the_cost_of_a_second_with_1000_stations() {
    let all = (1..=1000u32).map(|id| {
        let [_, _, high, low] = id.to_be_bytes();
        let macs = vec![BoundMac { mac: MacAddr([2, 0, 0, 1, high, low]), proved: true, since: UnixTime(1) }];
        let profile = if id % 2 == 0 { "kids" } else { "iot" };
        Device { macs, ..device(id, &format!("d{id}"), profile, &format!("key-{id}-of-its-own")) }
    });
    let mut scene = Scene::with(at(NOON), all.collect());
    scene.core.zone = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    for id in 1..=1000u32 {
        let [_, _, high, low] = id.to_be_bytes();
        let bss = format!("wlan{}", id % 4 + 2);
        scene.core.stations.up(&bss.as_str().into(), b"Home", Some(BSS));
        let vlan = Some(if id % 2 == 0 { 40 } else { 20 });
        let station =
            Station { authorized: true, connected: Some(9), vlan, ..Station::new(MacAddr([2, 0, 0, 1, high, low])) };
        scene.core.stations.found(&bss, station);
    }
    scene.tick(at(NOON), 0);
    let before = Instant::now();
    for second in 1..=100 {
        assert_eq!(scene.tick(at(NOON) + second, second as u64), []);
    }
    println!("a tick of 1000 stations takes {} us", before.elapsed().as_micros() / 100);
    assert_eq!(scene.core.present.of(DeviceId(7)).count(), 1);
}

//! Which stations have to go after a change, and how long they are kept away.

use super::*;
use crate::config::Config;
use crate::registry::Registry;
use crate::registry::device::{Bind, BoundMac, Change};
use crate::secret::Passphrase;
use crate::service::{Now, grants};
use crate::wire::hostapd::Station;

const CONFIG: &str = "config profile 'iot'\n\toption vlan '20'\nconfig profile 'media'\n\toption vlan '30'\n\
                      config ssid 'home'\n\toption ssid 'Home'\n";

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0, 0x5e, 0, 0x53, last])
}

fn device(id: u32, name: &str, macs: &[MacAddr]) -> Device {
    let bound = |mac: &MacAddr| BoundMac { mac: *mac, proved: true, since: UnixTime(1) };
    Device {
        id: DeviceId(id),
        name: name.into(),
        profile: "iot".into(),
        key: Some(Passphrase::new("correct horse battery").expect("a key")),
        key_serial: 1,
        bind: Bind::First,
        max_devices: 4,
        macs: macs.iter().map(bound).collect(),
        expires: None,
        blocked: false,
        created: UnixTime(1),
        eap: None,
        places: Vec::new(),
    }
}

/// A lamp on addresses 1 and 2, and a tv on 3: on the air of a network that is served. On another network, 4.
struct Scene {
    core: Core,
    start: Instant,
}

impl Scene {
    fn new() -> Scene {
        let config = Config::parse(CONFIG).expect("the configuration of the tests");
        // The daemon is up for long: what hostapd remembers, latchkey knows.
        let start = Instant::now().checked_sub(REMEMBERED * 2).unwrap_or_else(Instant::now);
        let now = Now { wall: UnixTime(1000), mono: start };
        let mut core =
            Core::new(config.into(), Registry::default(), now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
        core.apply(&[Change::Put(vec![device(1, "lamp", &[mac(1), mac(2)]), device(2, "tv", &[mac(3)])])]);
        core.stations.up(&"wlan0".into(), b"Home", None);
        core.stations.up(&"wlan1".into(), b"Other", None);
        (1..=3).for_each(|n| core.stations.connected("wlan0", mac(n)));
        core.stations.connected("wlan1", mac(4));
        Scene { core, start: Instant::now() }
    }

    fn change(&mut self, id: u32, edit: impl FnOnce(&mut Device)) -> Vec<(MacAddr, Why, bool)> {
        let mut device = self.core.registry.get(DeviceId(id)).expect("registered").clone();
        edit(&mut device);
        self.core.apply(&[Change::Put(vec![device])]);
        self.off()
    }

    fn tick(&mut self, wall: i64, seconds: u64) {
        let now = Now { wall: UnixTime(wall), mono: self.start + Duration::from_secs(seconds) };
        self.core.tick(now);
    }

    fn off(&mut self) -> Vec<(MacAddr, Why, bool)> {
        let orders = self.core.revocation.take_orders().into_iter();
        orders
            .map(|order| match order {
                Order::Off { mac, why, ban, .. } => (mac, why, ban),
                Order::Lift(mac) => panic!("{mac} is let in again"),
            })
            .collect()
    }

    fn orders(&mut self) -> Vec<Order> {
        self.core.revocation.take_orders().into()
    }
}

#[test]
fn which_changes_mean_what() {
    let before = device(1, "lamp", &[mac(1), mac(2)]);
    let after = |edit: fn(&mut Device)| {
        let mut after = before.clone();
        edit(&mut after);
        lost(&before, Some(&after))
    };
    assert_eq!(lost(&before, None), Lost::All(Why::Removed));
    assert_eq!(after(|d| d.blocked = true), Lost::All(Why::Blocked));
    assert_eq!(after(|d| d.key_serial = 2), Lost::All(Why::NewKey));
    assert_eq!(after(|d| d.key = None), Lost::All(Why::NewKey));
    assert_eq!(after(|d| d.profile = "media".into()), Lost::All(Why::NewProfile));
    assert_eq!(after(|d| d.macs.truncate(1)), Lost::Some(vec![mac(2)]));
    for harmless in [
        (|_| ()) as fn(&mut Device),
        |d| d.name = "light".into(),
        |d| d.max_devices = 1,
        |d| d.expires = Some(UnixTime(1)),
        |d| d.macs.push(BoundMac { mac: mac(9), proved: false, since: UnixTime(1) }),
    ] {
        assert_eq!(after(harmless), Lost::Some(vec![]));
    }
}

#[test]
fn only_stations_of_the_changed_device_go() {
    let mut scene = Scene::new();
    assert_eq!(scene.change(1, |d| d.blocked = true), [(mac(1), Why::Blocked, false), (mac(2), Why::Blocked, false)]);
    assert_eq!(scene.change(2, |d| d.name = "telly".into()), []);
    assert_eq!(scene.change(2, |d| d.profile = "media".into()), [(mac(3), Why::NewProfile, false)]);
    scene.core.apply(&[Change::Remove(DeviceId(2))]);
    assert_eq!(scene.off(), [(mac(3), Why::Removed, false)]);
    scene.core.apply(&[Change::Put(vec![device(3, "elsewhere", &[mac(4)])])]);
    assert_eq!(scene.change(3, |d| d.blocked = true), [], "on a network of somebody else");
}

#[test]
fn a_remembered_answer_is_outlasted() {
    let mut scene = Scene::new();
    let start = scene.start;
    // Let in before its handshake; in it; and before it, long ago.
    scene.core.revocation.accepted(mac(1), true, start);
    scene.core.revocation.accepted(mac(2), false, start);
    assert_eq!(scene.change(1, |d| d.key_serial = 2), [(mac(1), Why::NewKey, true), (mac(2), Why::NewKey, false)]);
    assert_eq!(scene.change(2, |d| d.key_serial = 2), [(mac(3), Why::NewKey, false)]);
    scene.tick(1000, 34);
    assert_eq!(scene.orders(), []);
    scene.tick(1000, 36);
    assert_eq!(scene.orders(), [Order::Lift(mac(1))]);
    assert_eq!(scene.core.revocation.banned().count(), 0);
}

#[test]
fn an_unblocked_device_is_back_at_once_unless_its_key_changed() {
    let mut scene = Scene::new();
    let start = scene.start;
    scene.core.revocation.accepted(mac(1), true, start);
    scene.core.revocation.accepted(mac(3), true, start);
    assert_eq!(scene.change(1, |d| d.blocked = true).len(), 2);
    scene.core.apply(&[Change::Put(vec![device(1, "lamp", &[mac(1), mac(2)])])]);
    assert_eq!(scene.orders(), [Order::Lift(mac(1))]);
    scene.change(2, |d| d.key_serial = 2);
    scene.change(2, |d| d.blocked = true);
    scene.change(2, |d| d.blocked = false);
    assert_eq!(scene.core.revocation.banned().collect::<Vec<_>>(), [mac(3)]);
}

#[test]
fn expiry_acts_by_itself_also_when_the_clock_jumps() {
    let mut scene = Scene::new();
    assert_eq!(scene.change(2, |d| d.expires = Some(UnixTime(2_000_000_000))), []);
    scene.tick(1_999_999_999, 1);
    assert_eq!(scene.off(), []);
    scene.tick(2_000_000_000, 2);
    assert_eq!(scene.off(), [(mac(3), Why::Expired, false)]);
    scene.tick(2_000_000_001, 3);
    assert_eq!(scene.off(), [], "it is given the time to go");
    scene.tick(2_000_000_009, 9);
    assert_eq!(scene.off().len(), 1, "but not to stay");
    scene.core.stations.disconnected("wlan0", mac(3));
    scene.tick(5, 20);
    assert_eq!(scene.off(), [], "back to 1970");
}

#[test]
fn a_blocked_device_that_came_unnoticed_goes() {
    let mut scene = Scene::new();
    scene.change(1, |d| d.blocked = true);
    scene.core.stations.down("wlan0");
    scene.core.stations.up(&"wlan0".into(), b"Home", None);
    scene.core.stations.found("wlan0", Station::new(mac(2)));
    scene.tick(1000, 1);
    assert_eq!(scene.off(), [], "refused, and still in hostapd's list");
    scene.core.stations.connected("wlan0", mac(2));
    scene.tick(1000, 2);
    assert_eq!(scene.off(), [(mac(2), Why::Blocked, false)]);
}

#[test]
fn an_address_in_its_handshake_goes() {
    let mut scene = Scene::new();
    let grant = grants::Grant {
        credential: grants::Credential::WifiKey,
        voucher: None,
        vouched: None,
        devices: vec![(DeviceId(1), 1), (DeviceId(2), 1)],
        vlan: Some(20),
        profile: "iot".into(),
        client: "ap".into(),
        nas: "ap".into(),
        ssid: b"Home"[..].into(),
        at: scene.start,
        proved: false,
        reported: false,
        attempt: 0,
        onboarding: grants::Onboarding::No,
    };
    scene.core.grants.insert((mac(7), mac(0xaa)), grant);
    scene.core.revocation.accepted(mac(7), true, scene.start);
    assert_eq!(scene.change(2, |d| d.blocked = true), [(mac(3), Why::Blocked, false), (mac(7), Why::Blocked, true)]);
}

#[test]
fn a_profile_that_moves_takes_its_stations_along() {
    let mut scene = Scene::new();
    scene.change(2, |d| d.profile = "media".into());
    let now = Now { wall: UnixTime(1000), mono: scene.start };
    let moved = Config::parse(CONFIG.replace("'30'", "'31'")).expect("a configuration");
    scene.core.reconfigure(moved.into(), now);
    assert_eq!(scene.off(), [(mac(3), Why::NewProfile, false)]);
}

#[test]
fn bans_of_an_earlier_life_run_out() {
    let mut scene = Scene::new();
    scene.core.revocation.adopt(mac(1), scene.start);
    scene.tick(1000, 30);
    assert_eq!(scene.orders(), []);
    scene.tick(1000, 40);
    assert_eq!(scene.orders(), [Order::Lift(mac(1))]);
}

#[test]
fn who_was_there_before_the_daemon_is_banned_while_hostapd_may_remember() {
    let mut scene = Scene::new();
    scene.core.started = scene.start;
    scene.core.stations.found("wlan0", Station { authorized: true, ..Station::new(mac(3)) });
    assert_eq!(scene.change(2, |d| d.key_serial = 2), [(mac(3), Why::NewKey, true)]);
}

#[test]
fn memory_is_bounded() {
    let mut revocation = Revocation::default();
    let now = Instant::now();
    for n in 0..2 * ACCEPTED.max(ORDERS) as u32 {
        let [a, b, c, d] = n.to_be_bytes();
        revocation.accepted(MacAddr([2, 0, a, b, c, d]), true, now);
        revocation.order(Order::Lift(mac(1)));
    }
    assert_eq!(
        (revocation.accepted.len(), revocation.by_age.len(), revocation.orders.len()),
        (ACCEPTED, ACCEPTED, ORDERS)
    );
    revocation.forget(now + REMEMBERED);
    assert!(revocation.accepted.is_empty() && revocation.by_age.is_empty());
}

/// Whose certificate it was is known by the answer: the lamp's has a maker's, the tv's was issued here.
#[test]
fn what_a_certificate_rests_upon_takes_its_stations_along() {
    use crate::pki::Voucher;
    use crate::pki::testing::{Ca, World};
    let (root, other) = (Ca::root("Acme Root"), Ca::root("Other Root"));
    let (cam, lost) = (root.device("cam", |_| ()), root.device("lost", |_| ()));
    let acme = World::default().maker_with("acme", &[&root.der], &["/acme"]).makers.remove(0);
    let mut scene = Scene::new();
    for (n, id, voucher) in [(1, 1, Voucher::Maker("acme".into())), (3, 2, Voucher::Ourselves)] {
        let grant = grants::Grant {
            credential: grants::Credential::Eap,
            voucher: Some(voucher),
            vouched: None,
            devices: vec![(DeviceId(id), 0)],
            vlan: Some(20),
            profile: "iot".into(),
            client: "ap".into(),
            nas: "ap".into(),
            ssid: b"Home"[..].into(),
            at: scene.start,
            proved: true,
            reported: false,
            attempt: 0,
            onboarding: grants::Onboarding::No,
        };
        scene.core.grants.insert((mac(n), mac(0xaa)), grant);
    }
    let list = |scene: &mut Scene, revoked: &[&[u8]], month| {
        scene.core.pki.crls.put("/acme".as_ref(), &root.crl(revoked, (2027, month, 1), (2027, 12, 1))).expect("a list");
        scene.core.refresh_pki();
        scene.off()
    };
    let goes = || vec![(mac(1), Why::NewTrust, false)];
    let put = |scene: &mut Scene, edit: &dyn Fn(&mut crate::registry::maker::Maker)| {
        let mut maker = acme.clone();
        edit(&mut maker);
        scene.core.apply(&[Change::PutMaker(Box::new(maker))]);
        scene.off()
    };
    assert_eq!(put(&mut scene, &|_| ()), [], "it vouches for more than before");
    assert_eq!(list(&mut scene, &[&lost], 1), goes(), "the first list");
    assert_eq!(list(&mut scene, &[&lost], 1), [], "read anew");
    assert_eq!(list(&mut scene, &[&lost], 2), [], "renewed, and it says the same");
    assert_eq!(list(&mut scene, &[&lost, &cam], 3), goes());
    assert_eq!(put(&mut scene, &|maker| maker.profile = "media".into()), [], "for new devices");
    assert_eq!(put(&mut scene, &|maker| maker.authorities.push(other.der.clone().into())), []);
    assert_eq!(put(&mut scene, &|maker| maker.authorities = vec![other.der.clone().into()]), goes());
    assert_eq!(put(&mut scene, &|_| ()), goes(), "it is the other CA that does not count now");
    scene.core.pki.crls.required = true;
    scene.core.refresh_pki();
    assert_eq!(scene.off(), goes(), "lists are needed now");
    assert_eq!(put(&mut scene, &|maker| maker.crls.clear()), goes(), "and there is none");
    scene.core.apply(&[Change::RemoveMaker("acme".into())]);
    assert_eq!(scene.off(), goes());
}

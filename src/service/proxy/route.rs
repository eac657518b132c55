//! Who authenticates a device that comes with EAP: we, somebody else, or nobody. A pure function of what it calls itself, its
//! address, the configuration and the registry.

use crate::config::{Config, Pattern, Realm, Target};
use crate::mac::MacAddr;
use crate::proxy;
use crate::registry::Registry;
use crate::registry::credential::KnownBy;
use crate::registry::device::Device;
use crate::wire::nai;

/// Who authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// We do.
    Local,
    /// The servers of this realm.
    Servers(&'a Realm),
    /// Nobody: there is a realm, and it is none of those that are configured.
    Nowhere,
}

impl<'a> Route<'a> {
    fn to(realm: &'a Realm) -> Route<'a> {
        match realm.target {
            Target::Local => Route::Local,
            Target::Servers(_) | Target::Discover => Route::Servers(realm),
        }
    }
}

/// Finds who authenticates whoever calls himself `identity` (RFC 7542, 3) at this address. `certificates`: there are certificates
/// by which devices are let in here, whatever they call themselves.
pub fn route<'a>(
    identity: &[u8],
    mac: MacAddr,
    config: &'a Config,
    registry: &Registry,
    certificates: bool,
) -> Route<'a> {
    let realm = nai::realm(identity);
    // They are for devices that belong to nobody yet (RFC 9965, 3.1), and leave no local network.
    if realm.is_some_and(nai::is_reserved) {
        return Route::Local;
    }
    if config.realms.is_empty() {
        return Route::Local;
    }
    if std::str::from_utf8(identity).is_ok_and(|identity| registry.by_nai(identity).is_some()) {
        return Route::Local;
    }
    let known = registry.by_mac(mac);
    let valid = realm.filter(|realm| nai::is_realm(realm));
    let Some(realm) = valid else {
        return match default_of(config) {
            Some(default) if known.is_none_or(|device| is_known_by(device, &default.name)) => Route::to(default),
            _ => Route::Local,
        };
    };
    if let Some(found) = proxy::best(&config.realms, realm).and_then(|index| config.realms.get(index)) {
        return Route::to(found);
    }
    if known.is_some_and(has_own_credentials)
        || (nai::same(realm, config.eap.realm.as_bytes()) && is_ours(identity, config, registry))
    {
        return Route::Local;
    }
    match default_of(config) {
        Some(default) => Route::to(default),
        // Their identities are what their makers made them.
        None if certificates => Route::Local,
        None => Route::Nowhere,
    }
}

/// Of identities in our own realm: it is one we gave, or may be. An online server may give them in a realm of the same name.
fn is_ours(identity: &[u8], config: &Config, registry: &Registry) -> bool {
    let named = |user: &[u8]| std::str::from_utf8(user).is_ok_and(|user| registry.by_name(user).is_some());
    // With our certificates devices say nothing but the realm.
    default_of(config).is_none() || nai::is_anonymous(identity) || named(nai::user(identity))
}

/// The section for what is in no other.
pub fn default_of(config: &Config) -> Option<&Realm> {
    config.realms.iter().find(|realm| realm.patterns.contains(&Pattern::Default))
}

/// It proves itself here: not by what others say of it.
fn has_own_credentials(device: &Device) -> bool {
    device.eap.as_ref().is_some_and(|eap| {
        let own = |known_by: &KnownBy| !matches!(known_by, KnownBy::Peer { .. });
        eap.psk.is_some() || eap.certificates.iter().any(|certificate| own(&certificate.known_by))
    })
}

/// It proves itself there, and nowhere else.
fn is_known_by(device: &Device, name: &str) -> bool {
    let there = |known_by: &KnownBy| matches!(known_by, KnownBy::Peer { realm, .. } if **realm == *name);
    !has_own_credentials(device)
        && device.eap.as_ref().is_some_and(|eap| eap.certificates.iter().any(|one| there(&one.known_by)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::credential::{Certificate, EapCredentials, EapPsk};
    use crate::registry::device::{BoundMac, DeviceId};
    use crate::registry::tests::device;
    use crate::secret::EapPskKey;
    use crate::service::proxy::tests::realm;
    use crate::time::UnixTime;

    fn mac(last: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, last])
    }

    /// Address 1: EAP-PSK. 2: a Wi-Fi key only. 3: what acme says of it. 4: a certificate of its own.
    fn registry() -> Registry {
        let with = |id: u32, eap: Option<EapCredentials>| {
            let mut device = device(id, &format!("d{id}"), "iot", &format!("key number {id}"));
            device.macs = vec![BoundMac { mac: mac(id as u8), proved: true, since: UnixTime(1) }];
            device.eap = eap.map(Box::new);
            device
        };
        let certificate = |known_by| Certificate {
            known_by,
            subject: "".into(),
            not_after: None,
            mud_url: None,
            issued: false,
            since: UnixTime(1),
        };
        let psk = EapPsk { nai: "odd@acme.example".into(), key: EapPskKey::new([1; 16]) };
        let peer = KnownBy::Peer { realm: "acme".into(), identity: "cam".into() };
        let known = |known_by| EapCredentials { psk: None, certificates: vec![certificate(known_by)], serial: 1 };
        let devices = vec![
            with(1, Some(EapCredentials { psk: Some(psk), certificates: vec![], serial: 1 })),
            with(2, None),
            with(3, Some(known(peer))),
            with(4, Some(known(KnownBy::Fingerprint([4; 32])))),
            with(5, Some(known(KnownBy::Peer { realm: "online".into(), identity: "tv".into() }))),
        ];
        Registry::load(devices, vec![], vec![], DeviceId(6))
    }

    #[test]
    fn whom_to_ask() {
        let acme = realm("acme", &["acme.example"], Some("192.0.2.1"));
        let below = realm("acme-eu", &["*.acme.example"], Some("192.0.2.2"));
        let deeper = realm("acme-de", &["*.de.acme.example"], Some("192.0.2.3"));
        let dead = realm("dead", &["dead.example", "x.acme.example"], None);
        let online = realm("online", &["default"], Some("192.0.2.9"));
        let makers = vec![acme, below, deeper, dead];
        let mut all = makers.clone();
        all.push(online);
        let mut only_local = makers.clone();
        only_local.retain(|realm| &*realm.name == "dead");
        let with = |realms: &[Realm]| Config { realms: realms.to_vec(), ..Config::parse("").expect("valid") };
        let (makers, all, only_local, none) = (with(&makers), with(&all), with(&only_local), with(&[]));
        let registry = registry();
        for (identity, at, config, certificates, expected) in [
            // No realm: the default one, also at the second time; not for whom another one speaks.
            ("tv", 5, &all, false, "online"),
            ("tv", 5, &makers, false, "local"),
            ("cam", 3, &all, false, "local"),
            ("odd", 1, &all, false, "local"),
            // What never leaves.
            ("noob@eap-noob.arpa", 9, &all, false, "local"),
            ("x@y.eap.arpa", 9, &all, false, "local"),
            ("x@eap.arpa", 9, &none, false, "local"),
            // EAP-PSK here, although its realm is acme's.
            ("odd@acme.example", 9, &all, false, "local"),
            // Sections: exact, the nearest parent, letters of any case, the last @.
            ("cam@acme.example", 9, &all, false, "acme"),
            ("cam@ACME.Example", 9, &makers, false, "acme"),
            ("@acme.example", 9, &makers, true, "acme"),
            ("b@c@acme.example", 9, &all, false, "acme"),
            ("acme.example!cam@other.example", 9, &makers, false, "nowhere"),
            ("cam@fr.acme.example", 9, &all, false, "acme-eu"),
            ("cam@a.de.acme.example", 9, &all, false, "acme-de"),
            ("cam@de.acme.example", 9, &all, false, "acme-eu"),
            ("cam@xacme.example", 9, &makers, false, "nowhere"),
            // Taken over.
            ("cam@dead.example", 9, &all, false, "local"),
            ("cam@x.acme.example", 9, &all, false, "local"),
            // An explicit section comes before what is known of the address.
            ("cam@acme.example", 4, &all, false, "acme"),
            // Ours.
            ("@latchkey.home.arpa", 9, &all, false, "local"),
            ("d2@latchkey.home.arpa", 9, &all, false, "local"),
            ("cam@latchkey.home.arpa", 4, &all, false, "local"),
            ("cam@latchkey.home.arpa", 9, &all, false, "online"),
            ("cam@latchkey.home.arpa", 9, &makers, false, "local"),
            ("", 9, &makers, false, "local"),
            ("cam", 9, &makers, false, "local"),
            ("cam@acme", 9, &makers, false, "local"),
            // Without a realm that could be one.
            ("cam", 9, &all, false, "online"),
            ("cam@-acme.example", 9, &all, false, "online"),
            ("cam", 2, &all, false, "local"),
            // Realms that nobody here knows.
            ("cam@other.example", 9, &all, false, "online"),
            ("cam@other.example", 1, &all, false, "local"),
            ("cam@other.example", 4, &all, false, "local"),
            ("cam@other.example", 2, &all, false, "online"),
            ("cam@other.example", 3, &all, false, "online"),
            ("cam@other.example", 9, &all, true, "online"),
            ("cam@other.example", 9, &makers, false, "nowhere"),
            ("cam@other.example", 2, &makers, false, "nowhere"),
            ("cam@other.example", 9, &makers, true, "local"),
            ("cam@other.example", 9, &only_local, false, "nowhere"),
            ("cam@other.example", 9, &none, false, "local"),
        ] {
            let route = route(identity.as_bytes(), mac(at), config, &registry, certificates);
            let found = match route {
                Route::Local => "local",
                Route::Servers(realm) => &realm.name,
                Route::Nowhere => "nowhere",
            };
            assert_eq!(found, expected, "{identity} at {at}, certificates {certificates}");
        }
    }
}

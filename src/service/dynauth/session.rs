//! Which sessions a server let in, and which of them it means.

use super::request::Selected;
use crate::config::MacShare;
use crate::mac::MacAddr;
use crate::registry::credential::KnownBy;
use crate::registry::device::{Device, DeviceId};
use crate::service::Core;
use crate::service::grants::Vouched;
use crate::service::sessions::{Session, SessionKey};
use crate::wire::nai;
use crate::wire::radius::error_cause;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Where the station of a session asked from when the NAS does not say at which BSS.
const NO_BSSID: MacAddr = MacAddr([0; 6]);

/// A session of a device that a server let in.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device's address.
    pub mac: MacAddr,
    /// The realm whose server let it in.
    pub realm: Arc<str>,
    /// It is on the air of this box, or about to be.
    pub here: bool,
    /// Its session, if a NAS accounts for it.
    pub session: Option<SessionKey>,
    /// The device's name, if it is registered.
    pub device: Option<Arc<str>>,
    /// The network.
    pub ssid: Arc<[u8]>,
    /// The NAS in words.
    pub nas: Arc<str>,
    /// When it was let in, if that is remembered.
    pub since: Option<Instant>,
}

/// What its server knows a session by.
enum Known<'a> {
    /// By what it said when it let the device in.
    Vouched(&'a Vouched),
    /// Only that: the daemon was started anew since, or the answer is not remembered any more.
    Identity(&'a [u8]),
}

impl Known<'_> {
    fn fits(&self, selected: &Selected<'_>) -> bool {
        let same =
            |given: Option<&[u8]>, known: &[Option<&[u8]>]| given.is_none_or(|given| known.contains(&Some(given)));
        // A server that DNS told reaches what the servers of that domain let in.
        let within = |name: &[u8]| {
            selected.nai_realm.is_none_or(|of| nai::realm(name).is_some_and(|realm| nai::same(realm, of.as_bytes())))
        };
        match self {
            Known::Vouched(vouched) => {
                within(&vouched.user_name)
                    && same(selected.user_name, &[Some(&vouched.user_name), vouched.accepted_name.as_deref()])
                    && same(selected.cui, &[vouched.cui.as_deref()])
                    && same(selected.class, &[vouched.class.as_deref()])
            }
            Known::Identity(identity) => {
                // Without the domain it is as that server calls it.
                let user = selected.nai_realm.map(|_| nai::user(identity));
                within(identity)
                    && same(selected.user_name, &[Some(identity), user])
                    && same(selected.cui, &[Some(identity), user])
                    && selected.class.is_none()
            }
        }
    }
}

impl Core {
    /// The sessions that one of these realms let in and that are meant; at least one.
    ///
    /// # Errors
    /// The Error-Cause: there is none (503), or it is at another NAS (403).
    pub(super) fn places(&self, realms: &[Arc<str>], selected: &Selected<'_>) -> Result<Vec<Place>, u32> {
        // By the address it was told the device has, each realm its own.
        let macs: Vec<Option<MacAddr>> = match selected.mac {
            None => vec![None],
            Some(mac) => realms.iter().filter_map(|realm| self.address_told(realm, mac)).map(Some).collect(),
        };
        let mut found = Vec::new();
        let mut elsewhere = false;
        for mac in macs {
            self.sessions_of(realms, mac, selected, &mut found, &mut elsewhere);
        }
        let named = selected.nas_identifier.is_some() || selected.nas_address.is_some();
        match found.is_empty() {
            false => Ok(found),
            true if elsewhere || named && !self.is_own_name(selected) => Err(error_cause::NAS_IDENTIFICATION_MISMATCH),
            true => Err(error_cause::SESSION_CONTEXT_NOT_FOUND),
        }
    }

    /// The address of a device, by the one that the servers of a realm were told.
    fn address_told(&self, realm: &str, told: MacAddr) -> Option<MacAddr> {
        let realm = self.config.realms.iter().find(|known| *known.name == *realm)?;
        match realm.mac {
            MacShare::Real => Some(told),
            MacShare::Pseudonym => self.unmask(&realm.name, told),
        }
    }

    /// Adds the sessions that one of these realms let in and that are meant, of the real address `mac` if there is one.
    pub(super) fn sessions_of(
        &self,
        realms: &[Arc<str>],
        mac: Option<MacAddr>,
        selected: &Selected<'_>,
        found: &mut Vec<Place>,
        elsewhere: &mut bool,
    ) {
        let of_realm = |known: Option<(Arc<str>, Known<'_>)>| {
            known.filter(|(realm, known)| realms.contains(realm) && known.fits(selected)).map(|(realm, _)| realm)
        };
        let fits = |key: &SessionKey, session: &Session| {
            mac.is_none_or(|mac| mac == key.mac)
                && selected.session_id.is_none_or(|id| *id == *key.id)
                && selected.multi_id.is_none_or(|id| *id == *session.multi_id)
        };
        let sessions: Box<dyn Iterator<Item = (&SessionKey, &Session)>> = match mac {
            Some(mac) => Box::new(self.sessions.of(mac)),
            None => Box::new(self.sessions.iter()),
        };
        for (key, session) in sessions.filter(|(key, session)| fits(key, session)) {
            let asked = (key.mac, session.bssid.unwrap_or(NO_BSSID));
            let Some(realm) = of_realm(self.let_in_by(asked, Some(session), session.device)) else { continue };
            if !self.is_named(selected, Some(session)) {
                *elsewhere = true;
                continue;
            }
            found.push(Place {
                mac: key.mac,
                realm,
                here: self.is_here(session),
                session: Some(key.clone()),
                device: self.name_of(key.mac, session.device),
                ssid: session.ssid.clone(),
                nas: session.nas.clone(),
                since: self.grants.get(asked).map(|grant| grant.at),
            });
        }
        if selected.session_id.is_some() || selected.multi_id.is_some() {
            return;
        }
        // Stations that nobody accounts for.
        let on_air = self.stations.iter().filter(|(_, bss, station)| {
            mac.is_none_or(|mac| mac == station.mac) && self.config.ssid(&bss.ssid).is_some()
        });
        for (_, bss, station) in on_air {
            let asked = (station.mac, bss.bssid.unwrap_or(NO_BSSID));
            if found.iter().any(|place| place.mac == station.mac && place.here) {
                continue;
            }
            let Some(realm) = of_realm(self.let_in_by(asked, None, self.device_of(station.mac, bss))) else { continue };
            if !self.is_named(selected, None) {
                *elsewhere = true;
                continue;
            }
            let grant = self.grants.get(asked);
            found.push(Place {
                mac: station.mac,
                realm,
                here: true,
                session: None,
                device: self.name_of(station.mac, self.device_of(station.mac, bss)),
                ssid: bss.ssid.clone(),
                nas: grant.map_or_else(|| "this box".into(), |grant| grant.nas.clone()),
                since: grant.map(|grant| grant.at),
            });
        }
    }

    /// The realm whose server let a station in, and what it knows the session by. `None`: we did.
    fn let_in_by<'a>(
        &'a self,
        asked: (MacAddr, MacAddr),
        session: Option<&'a Session>,
        device: Option<DeviceId>,
    ) -> Option<(Arc<str>, Known<'a>)> {
        let by = |vouched: &'a Arc<Vouched>| (vouched.realm.clone(), Known::Vouched(vouched));
        if let Some(grant) = self.grants.get(asked) {
            return grant.vouched.as_ref().map(by);
        }
        if let Some(vouched) = session.and_then(|session| session.vouched.as_ref()) {
            return Some(by(vouched));
        }
        let device = device.and_then(|id| self.registry.get(id)).or_else(|| self.registry.by_mac(asked.0))?;
        peer(device)
    }

    fn name_of(&self, mac: MacAddr, device: Option<DeviceId>) -> Option<Arc<str>> {
        let device = device.and_then(|id| self.registry.get(id)).or_else(|| self.registry.by_mac(mac));
        device.map(|device| device.name.clone())
    }

    /// True when the NAS of a session is the one that is named, or we are.
    fn is_named(&self, selected: &Selected<'_>, session: Option<&Session>) -> bool {
        let identifier = selected.nas_identifier.is_none_or(|given| {
            session.is_some_and(|session| *session.nas_identifier == *given) || self.is_own_identifier(given)
        });
        let address = selected
            .nas_address
            .is_none_or(|given| session.is_some_and(|session| session.from == given) || self.is_own_address(given));
        identifier && address
    }

    fn is_own_name(&self, selected: &Selected<'_>) -> bool {
        selected.nas_identifier.is_none_or(|given| self.is_own_identifier(given))
            && selected.nas_address.is_none_or(|given| self.is_own_address(given))
    }

    fn is_own_identifier(&self, given: &[u8]) -> bool {
        *given == *self.config.eap.server_name.as_bytes()
    }

    fn is_own_address(&self, given: IpAddr) -> bool {
        self.dynauth.own.contains(&given)
    }
}

fn peer(device: &Device) -> Option<(Arc<str>, Known<'_>)> {
    let mut known_by = device.eap.as_ref()?.certificates.iter();
    known_by.find_map(|one| match &one.known_by {
        KnownBy::Peer { realm, identity } => Some((realm.clone(), Known::Identity(identity.as_bytes()))),
        _ => None,
    })
}

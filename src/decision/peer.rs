//! Devices that somebody else vouches for: a manufacturer, or an online server of our own. They say who it is; what it may do
//! is said here.

use super::maker::{BY_THEMSELVES, slug};
use super::pairing::free_or_numbered;
use super::reason::{PeerReason, Reason};
use super::{Case, Grant, Keys, Refusal, Request, View, refuse};
use crate::config::{Config, Placement, Profile, Realm, Register};
use crate::decision::hours::Moment;
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::{Bind, BoundMac, Device};
use crate::registry::maker::Admit;
use crate::time::UnixTime;
use std::sync::Arc;

/// What the server of a realm says of a device.
#[derive(Debug, Clone)]
pub struct Peer<'a> {
    /// The realm.
    pub realm: &'a Realm,
    /// What they call it: 1 to 253 octets.
    pub identity: Arc<str>,
    /// What it calls itself, when that is the name of another device, which they do not say that it is.
    pub claimed: Option<Arc<str>>,
    /// The VLAN they name.
    pub vlan: Option<u16>,
    /// How long it may stay, in seconds, if they say.
    pub session_timeout: Option<u32>,
    /// They sent a Wi-Fi key for its address, and it has not proved anything to them.
    pub wifi_key: bool,
}

impl Peer<'_> {
    /// How the registry remembers it.
    pub fn known_by(&self) -> KnownBy {
        KnownBy::Peer { realm: self.realm.name.clone(), identity: self.identity.clone() }
    }

    /// Why it is let in: once it is known at this address, and for the first time.
    pub(super) fn reasons(&self) -> (Reason, Reason) {
        let party = self.realm.name.clone();
        (Reason::Peer(PeerReason::Proved { party: party.clone() }), Reason::Peer(PeerReason::First { party }))
    }

    /// How long it may stay, in seconds: they can make it shorter than the realm has it, not longer.
    pub(super) fn stay(&self) -> i64 {
        let ours = self.realm.session_timeout;
        // RFC 2865, 5.27, knows no 0: it would end what it begins, and be asked for again at once.
        self.session_timeout.map_or(ours, |theirs| theirs.clamp(1, ours)).into()
    }

    /// The profile they chose, where they may: the one that has the VLAN.
    pub(super) fn placed<'c>(&self, config: &'c Config) -> Option<Result<&'c Profile, Reason>> {
        let vlan = self.vlan.filter(|_| self.realm.placement == Placement::Server)?;
        let found = config.profiles.iter().find(|profile| profile.vlan == Some(vlan));
        let party = self.realm.name.clone();
        Some(found.ok_or(Reason::Peer(PeerReason::ForeignVlan { party, vlan })))
    }
}

/// The credential of a device that is known by what a realm's servers call it.
pub fn registered(realm: &Arc<str>, identity: &Arc<str>, now: UnixTime) -> Certificate {
    Certificate {
        known_by: KnownBy::Peer { realm: realm.clone(), identity: identity.clone() },
        subject: "".into(),
        not_after: None,
        mud_url: None,
        issued: false,
        since: now,
    }
}

/// May a realm's servers be asked about a device at this address, before it has proved anything?
///
/// # Errors
/// What is certain already: it will be refused whatever they say.
pub fn may_ask(request: &Request<'_>, realm: &Realm, view: &View<'_>, now: UnixTime) -> Result<(), Refusal> {
    let Some(ssid) = view.config.ssid(request.ssid) else {
        return Err(Refusal { device: None, reason: Reason::SsidMissing });
    };
    match view.registry.by_mac(request.mac) {
        Some(device) => {
            let case = Case { request, view, ssid, now, moment: Moment::new(now, view.zone, view.clock_set) };
            case.check_standing(device)?;
            case.check_place(device)
        }
        None if view.registry.is_ignored(request.mac) => {
            refuse(None, Reason::Peer(PeerReason::Ignored { party: realm.name.clone() }))
        }
        None => Ok(()),
    }
}

impl Case<'_> {
    /// They say who it is, and it is not registered.
    pub(super) fn of_peer(&self, peer: &Peer<'_>, known: Option<&Device>) -> Result<Grant, Refusal> {
        let realm = peer.realm;
        let (party, identity) = (realm.name.clone(), peer.identity.clone());
        let Some(profile) = &realm.profile else {
            return refuse(known, Reason::Peer(PeerReason::RealmGone { party }));
        };
        let proved = peer.reasons().0;
        match (realm.admit, known) {
            (Admit::Listed, _) if peer.claimed.is_some() => {
                let claimed = peer.claimed.clone().unwrap_or_default();
                refuse(known, Reason::Peer(PeerReason::Unsaid { party, claimed }))
            }
            (Admit::Listed, _) => refuse(known, Reason::Peer(PeerReason::NotListed { party, identity })),
            (Admit::Pending, _) => refuse(known, Reason::Peer(PeerReason::NotApproved { party, identity })),
            // Whoever makes up a device's address is not let in as that device.
            (Admit::All, Some(other)) => refuse(Some(other), Reason::AddressOfOther { key_of: identity }),
            (Admit::All, None) if realm.register == Register::No || peer.wifi_key => {
                self.grant(None, profile, proved, Keys::None, None, None)
            }
            (Admit::All, None) if self.is_full_of_peer(realm) => {
                refuse(None, Reason::Peer(PeerReason::Full { party, identity, max: BY_THEMSELVES }))
            }
            (Admit::All, None) => {
                let device = self.register_peer(peer, profile);
                let reason = Reason::Peer(PeerReason::Admitted { name: device.name.clone(), party });
                let mut grant = self.grant(None, profile, reason, Keys::None, None, None)?;
                grant.register = Some(Box::new(device));
                Ok(grant)
            }
        }
    }

    /// As many devices of this realm are registered as may register themselves.
    fn is_full_of_peer(&self, realm: &Realm) -> bool {
        let is_its = |one: &Certificate| matches!(&one.known_by, KnownBy::Peer { realm: of, .. } if *of == realm.name);
        let devices = self.view.registry.devices().filter_map(|device| device.eap.as_ref());
        let its = devices.filter(|eap| eap.certificates.iter().any(is_its));
        its.take(BY_THEMSELVES.into()).count() == usize::from(BY_THEMSELVES)
    }

    fn register_peer(&self, peer: &Peer<'_>, profile: &Arc<str>) -> Device {
        let registry = self.view.registry;
        let certificates = vec![registered(&peer.realm.name, &peer.identity, self.now)];
        Device {
            id: registry.next_id(),
            name: free_or_numbered(
                &name_of(&peer.realm.name, peer.claimed.as_ref().unwrap_or(&peer.identity)),
                registry,
            ),
            profile: profile.clone(),
            key: None,
            key_serial: 1,
            bind: Bind::First,
            max_devices: 1,
            macs: vec![BoundMac { mac: self.request.mac, proved: true, since: self.now }],
            expires: None,
            blocked: false,
            created: self.now,
            eap: Some(Box::new(EapCredentials { psk: None, certificates, serial: 1 })),
            places: Vec::new(),
        }
    }
}

/// A name made of what they call it: the user part, else the whole after the name of the realm.
fn name_of(realm: &str, identity: &str) -> String {
    let user = identity.rsplit_once('@').map_or(identity, |(user, _)| user);
    match slug(user) {
        // An address or a number says more with its maker.
        name if !name.is_empty() && name.chars().any(|c| c.is_ascii_alphabetic()) && !is_address(user) => name,
        name if !name.is_empty() => slug(&format!("{realm}-{name}")),
        _ => slug(&format!("{realm}-device")),
    }
}

fn is_address(text: &str) -> bool {
    crate::mac::MacAddr::parse_bytes(text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_identities() {
        for (identity, expected) in [
            ("Cam-0042@acme.example", "cam-0042"),
            ("0042@acme.example", "acme-0042"),
            ("00:1a:11:00:00:01", "acme-00-1a-11-00-00-01"),
            ("\u{4e2d}@acme.example", "acme-device"),
            ("front door!@acme.example", "front-door"),
        ] {
            assert_eq!(name_of("acme", identity), expected, "{identity}");
            assert!(crate::registry::generate::valid_name(expected).is_ok(), "{expected}");
        }
    }
}

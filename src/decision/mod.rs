//! May this device in, and on what terms: one pure function of the request, the registry and the time.
//!
//! What a request has *proved* is found out before (see [`crate::wpa`]); here it is only weighed.

pub mod event;
pub mod hours;
pub mod maker;
mod pairing;
pub mod peer;
mod place;
pub mod reason;

use crate::config::{Config, Security, Ssid, Unknown};
use crate::mac::MacAddr;
use crate::pki::{CertificateInfo, Voucher};
use crate::registry::Registry;
use crate::registry::device::{Bind, BoundMac, Device, DeviceId};
use crate::time::UnixTime;
use crate::time::zone::Zone;
use hours::{Moment, check_hours, check_standing, next_change};
pub use pairing::Window;
pub use peer::{Peer, may_ask};
pub use place::{fits, may_be_on};
use reason::Reason;
use std::sync::Arc;

/// How many keys one answer offers to an address nobody knows. A 64-digit PMK takes 85 octets of the
/// 4096 of a RADIUS packet (RFC 2868, 3.5), so 40 leave room for everything else.
pub const KEYS_PER_OFFER: usize = 40;

/// How many turns the waiting keys of one profile get. Bounds the work for an unknown address, and the patience
/// of its owner: hostapd caches each answer for 30 s.
const TURNS_PER_PROFILE: usize = 64;

/// How long a device whose certificate a maker vouches for stays without being asked anew, in seconds: a list that was not renewed
/// in time, or a change whose order was lost, reaches it by then.
const OF_MAKER: i64 = 24 * 60 * 60;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The supplicant's address (Calling-Station-Id).
    pub mac: MacAddr,
    /// The network it wants to join, in octets.
    pub ssid: &'a [u8],
    /// The access point, as its BSSID. `None`: not known, and a place that names an access point is not judged.
    pub ap: Option<MacAddr>,
    /// What it has proved.
    pub evidence: Evidence,
    /// The certificate it proved to have the key of, and who vouches for that.
    pub certificate: Option<(&'a CertificateInfo, &'a Voucher)>,
    /// Who else says who it is, and what they say.
    pub peer: Option<&'a Peer<'a>>,
}

impl<'a> Request<'a> {
    /// Without a certificate, and nobody else was asked.
    pub fn new(mac: MacAddr, ssid: &'a [u8], ap: Option<MacAddr>, evidence: Evidence) -> Request<'a> {
        Request { mac, ssid, ap, evidence, certificate: None, peer: None }
    }
}

/// What the supplicant has proved when it is decided upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing: its address is all there is (`wpa_psk_radius=1|2`). `attempt` counts the earlier requests of an
    /// unknown address: each gets the next set of keys to try, since an answer has one VLAN only.
    Address {
        /// Earlier requests of this address that came to nothing.
        attempt: u32,
    },
    /// The handshake was verified against every key (`wpa_psk_radius=3`).
    Handshake(Proof),
    /// It proved who it is by an EAP method.
    Eap(Identified),
}

/// Whom an EAP method has identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identified {
    /// This device.
    Device(DeviceId),
    /// Nobody who is registered: [`Request::certificate`] is good, or [`Request::peer`] is asked, and says who it is.
    Newcomer,
}

/// Which key the handshake proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The key of this device.
    Device(DeviceId),
    /// The SSID's onboarding key.
    Onboarding,
    /// None that we know.
    Nothing,
}

/// The state a decision is made on.
pub struct View<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The registered devices.
    pub registry: &'a Registry,
    /// The pairing window, while one is open.
    pub pairing: Option<&'a Window>,
    /// Somebody else is asked about addresses that nobody knows here: that has its turn among the keys that wait.
    pub elsewhere: bool,
    /// How many addresses other than this one use a device's key at present.
    pub in_use: &'a dyn Fn(DeviceId, MacAddr) -> u32,
    /// Where the hours of profiles are local time.
    pub zone: &'a Zone,
    /// The clock is set. If not, expiry is judged by the time given, and profiles with hours are closed.
    pub clock_set: bool,
}

/// A key to put into the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRef {
    /// A device's own key.
    Device(DeviceId),
    /// The onboarding key of the SSID.
    Onboarding,
}

/// The keys of an answer: nearly always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// None: EAP makes keys of its own.
    None,
    /// The key that was proved, or that belongs to the address.
    One(KeyRef),
    /// Keys that wait for their device, the most likely one first.
    Offered(Vec<DeviceId>),
}

/// The terms on which a device is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The device, when it is certain which one it is.
    pub device: Option<DeviceId>,
    /// Why.
    pub reason: Reason,
    /// The profile it gets.
    pub profile: Arc<str>,
    /// The VLAN of that profile.
    pub vlan: Option<u16>,
    /// The keys for the NAS.
    pub keys: Keys,
    /// Seconds until it has to ask again (RFC 2865, 5.27), when it or its certificate expires or the hours of its profile are
    /// over; with a maker's certificate a day at most.
    pub session_timeout: Option<u32>,
    /// A binding to make durable before the answer leaves.
    pub bind: Option<(DeviceId, BoundMac)>,
    /// Who vouches for the certificate it has proved to have.
    pub voucher: Option<Voucher>,
    /// A device to register before the answer leaves: it came in a pairing window. Its number is the registry's next
    /// one, so it holds only as long as the registry is locked.
    pub register: Option<Box<Device>>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The device, when it is certain which one it is.
    pub device: Option<DeviceId>,
    /// Why.
    pub reason: Reason,
}

/// Decides.
///
/// # Errors
/// The refusal, with its reason.
pub fn decide(request: &Request<'_>, view: &View<'_>, now: UnixTime) -> Result<Grant, Refusal> {
    let Some(ssid) = view.config.ssid(request.ssid) else {
        return Err(Refusal { device: None, reason: Reason::SsidMissing });
    };
    let case = Case { request, view, ssid, now, moment: Moment::new(now, view.zone, view.clock_set) };
    let known = view.registry.by_mac(request.mac);
    if let Some(device) = known {
        case.check_standing(device)?;
    }
    if !ssid.security.has_keys() && !matches!(request.evidence, Evidence::Eap(_)) {
        return refuse(known, Reason::EapOnly);
    }
    match (request.evidence, known) {
        (Evidence::Eap(Identified::Device(id)), known) => case.proved(id, known),
        (Evidence::Eap(Identified::Newcomer), known) => match request.peer {
            Some(peer) => case.of_peer(peer, known),
            None => case.of_maker(known),
        },
        (Evidence::Address { .. }, Some(device)) => case.known_address(device),
        (Evidence::Address { attempt }, None) => case.offer(attempt),
        (Evidence::Handshake(Proof::Device(id)), known) => case.proved(id, known),
        (Evidence::Handshake(Proof::Onboarding), Some(device)) if device.uses_onboarding_key() => {
            case.admit(device, Reason::ProvedKey, Keys::One(KeyRef::Onboarding), None)
        }
        (Evidence::Handshake(Proof::Onboarding), Some(device)) if device.key.is_none() => {
            refuse(Some(device), Reason::NoWifiKey)
        }
        (Evidence::Handshake(Proof::Onboarding), Some(device)) => refuse(Some(device), Reason::OnboardingKeyInstead),
        (Evidence::Handshake(Proof::Onboarding), None) => case.newcomer(),
        (Evidence::Handshake(Proof::Nothing), Some(device)) => refuse(Some(device), Reason::WrongKey),
        (Evidence::Handshake(Proof::Nothing), None) => refuse(None, Reason::UnknownDevice),
    }
}

struct Case<'a> {
    request: &'a Request<'a>,
    view: &'a View<'a>,
    ssid: &'a Ssid,
    now: UnixTime,
    moment: Moment<'a>,
}

impl Case<'_> {
    /// What the administrator said of the device comes before all that it may prove.
    fn check_standing(&self, device: &Device) -> Result<(), Refusal> {
        check_standing(device, self.view.config, &self.moment).or_else(|reason| refuse(Some(device), reason))
    }

    fn known_address(&self, device: &Device) -> Result<Grant, Refusal> {
        let key = match (&device.key, self.ssid.unknown.onboarding_key()) {
            (Some(_), _) => KeyRef::Device(device.id),
            (None, _) if !device.uses_onboarding_key() => return refuse(Some(device), Reason::NoWifiKey),
            (None, Some(_)) => KeyRef::Onboarding,
            (None, None) => return refuse(Some(device), Reason::NoOwnKey),
        };
        self.admit(device, Reason::KnownAddress, Keys::One(key), None)
    }

    /// Somebody proved to be this device: by its Wi-Fi key, or by EAP.
    fn proved(&self, id: DeviceId, known: Option<&Device>) -> Result<Grant, Refusal> {
        let eap = matches!(self.request.evidence, Evidence::Eap(_));
        let Some(owner) = self.view.registry.get(id) else {
            // Removed while the search was running.
            let reason = if known.is_some() { Reason::WrongKey } else { Reason::UnknownDevice };
            return refuse(known, reason);
        };
        self.check_standing(owner)?;
        let (proved, first) = match (self.request.certificate, self.request.peer) {
            (_, Some(peer)) => peer.reasons(),
            (Some(_), None) => (Reason::ProvedCertificate, Reason::FirstCertificate),
            (None, None) => (Reason::ProvedKey, Reason::FirstProof),
        };
        let keys = if eap { Keys::None } else { Keys::One(KeyRef::Device(id)) };
        if owner.has_mac(self.request.mac) {
            return self.admit(owner, proved, keys, None);
        }
        match (owner.bind, known) {
            (Bind::Any, _) => {
                if self.is_full(owner) {
                    return refuse(Some(owner), Reason::TooMany { max: owner.max_devices });
                }
                self.admit(owner, proved, keys, None)
            }
            (Bind::First, None) if owner.has_room() => {
                let bind = owner.binding(self.request.mac, self.now).map(|bound| (id, bound));
                self.admit(owner, first, keys, bind)
            }
            (Bind::First, Some(other)) if owner.has_room() => {
                refuse(Some(other), Reason::AddressOfOther { key_of: owner.name.clone() })
            }
            // EAP leaves no doubt who it is, only at another address.
            _ if eap => refuse(Some(owner), Reason::OtherAddress { device: owner.name.clone() }),
            _ => refuse(known, Reason::KeyOfOther { owner: owner.name.clone() }),
        }
    }

    /// An address nobody knows, before it proved anything: it is offered the keys that wait for their device.
    /// An answer has room for one VLAN, so the keys of one profile go together and the profiles take turns;
    /// the shared onboarding key comes last, but in a pairing window first: the administrator waits for this device.
    /// SAE can try one key only (`sae_get_password` takes the first).
    fn offer(&self, attempt: u32) -> Result<Grant, Refusal> {
        let per_offer = if self.ssid.security == Security::Wpa2 { KEYS_PER_OFFER } else { 1 };
        let waiting: Vec<(&Arc<str>, Vec<&Device>)> = self
            .view
            .registry
            .open_profiles()
            .map(|(profile, _)| (profile, self.valid(profile).take(TURNS_PER_PROFILE * per_offer).collect()))
            .collect();
        let mut turns: Vec<(DeviceId, &Arc<str>, &[&Device])> = Vec::new();
        for (profile, devices) in &waiting {
            let Some(newest) = devices.first() else { continue };
            turns.extend(devices.chunks(per_offer).map(|turn| (newest.id, *profile, turn)));
        }
        // The profile with the newest device first; its own turns stay in order.
        turns.sort_by_key(|(newest, ..)| std::cmp::Reverse(*newest));
        let pairing = self.window();
        // It has the same key as the quarantine, which therefore has no turn of its own meanwhile.
        let first = usize::from(pairing.is_some());
        let quarantine = pairing.is_none() && matches!(self.ssid.unknown, Unknown::Quarantine { .. });
        // Whoever is kept in quarantine is not unknown, and nobody else is asked about it.
        let choices = first + turns.len() + usize::from(quarantine || self.view.elsewhere);
        // A turn whose keys are all in use falls to the next one.
        for turn in 0..choices {
            let turn = (attempt as usize).wrapping_add(turn) % choices;
            if let (0, Some(window)) = (turn, pairing) {
                let keys = Keys::One(KeyRef::Onboarding);
                return self.grant(None, &window.profile, Reason::PairingOffered, keys, None, None);
            }
            match turns.get(turn - first) {
                Some((_, profile, devices)) => {
                    let keys: Vec<&Device> = devices.iter().copied().filter(|device| !self.is_full(device)).collect();
                    if !keys.is_empty() {
                        return self.grant_offer(profile, &keys);
                    }
                }
                None => return self.quarantine(Reason::OnboardingOffered),
            }
        }
        refuse(None, Reason::UnknownDevice)
    }

    fn grant_offer(&self, profile: &Arc<str>, keys: &[&Device]) -> Result<Grant, Refusal> {
        let reason = Reason::Offered { keys: u16::try_from(keys.len()).unwrap_or(u16::MAX) };
        let expires = keys.iter().filter_map(|device| device.expires).min();
        let keys = Keys::Offered(keys.iter().map(|device| device.id).collect());
        self.grant(None, profile, reason, keys, None, expires)
    }

    /// The devices of a profile whose key an unknown address may use at this time.
    fn valid(&self, profile: &str) -> impl Iterator<Item = &Device> {
        let open = self.view.config.profile(profile).is_some_and(|profile| check_hours(profile, &self.moment).is_ok());
        let fits = move |device: &&Device| open && !device.is_expired(self.now) && self.fits(device);
        self.view.registry.open_devices(profile).filter(fits)
    }

    fn is_full(&self, device: &Device) -> bool {
        let max = u32::from(device.max_devices);
        device.bind == Bind::Any && max > 0 && (self.view.in_use)(device.id, self.request.mac) >= max
    }

    fn quarantine(&self, reason: Reason) -> Result<Grant, Refusal> {
        let Unknown::Quarantine { profile, .. } = &self.ssid.unknown else {
            return refuse(None, Reason::UnknownDevice);
        };
        self.grant(None, profile, reason, Keys::One(KeyRef::Onboarding), None, None)
    }

    fn admit(
        &self,
        device: &Device,
        reason: Reason,
        keys: Keys,
        bind: Option<(DeviceId, BoundMac)>,
    ) -> Result<Grant, Refusal> {
        self.check_place(device)?;
        self.grant(Some(device), &device.profile, reason, keys, bind, device.expires)
    }

    fn grant(
        &self,
        device: Option<&Device>,
        profile: &Arc<str>,
        reason: Reason,
        keys: Keys,
        bind: Option<(DeviceId, BoundMac)>,
        expires: Option<UnixTime>,
    ) -> Result<Grant, Refusal> {
        let settings = match self.request.peer.and_then(|peer| peer.placed(self.view.config)) {
            Some(placed) => placed.or_else(|reason| refuse(device, reason))?,
            None => self
                .view
                .config
                .profile(profile)
                .map_or_else(|| refuse(device, Reason::ProfileMissing { profile: profile.clone() }), Ok)?,
        };
        check_hours(settings, &self.moment).or_else(|reason| refuse(device, reason))?;
        let closes = next_change(&settings.hours, self.view.zone, self.now);
        let certificate = self.request.certificate;
        let invalid = certificate.and_then(|(info, _)| info.not_after);
        let again = certificate.and_then(|(_, voucher)| match voucher {
            Voucher::Maker(_) => Some(UnixTime(self.now.0.saturating_add(OF_MAKER))),
            Voucher::Ourselves | Voucher::Registered => None,
        });
        let of_peer = self.request.peer.map(|peer| UnixTime(self.now.0.saturating_add(peer.stay())));
        let ends = expires.into_iter().chain(closes).chain(invalid).chain(again).chain(of_peer).min();
        Ok(Grant {
            device: device.map(|device| device.id),
            reason,
            profile: settings.name.clone(),
            vlan: settings.vlan,
            keys,
            session_timeout: self.session_timeout(ends),
            bind,
            voucher: certificate.map(|(_, voucher)| voucher.clone()),
            register: None,
        })
    }

    fn session_timeout(&self, ends: Option<UnixTime>) -> Option<u32> {
        ends.map(|ends| u32::try_from(ends.0.saturating_sub(self.now.0).max(1)).unwrap_or(u32::MAX))
    }
}

fn refuse<T>(device: Option<&Device>, reason: Reason) -> Result<T, Refusal> {
    Err(Refusal { device: device.map(|device| device.id), reason })
}

#[cfg(test)]
mod tests;

//! Devices that come in a pairing window: trust on first use.

use super::{Case, Grant, KeyRef, Keys, Refusal, refuse};
use crate::config::Unknown;
use crate::decision::reason::Reason;
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::device::{Bind, BoundMac, Device};
use std::sync::Arc;

/// An open pairing window: the next unknown device that proves the onboarding key is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The profile it gets.
    pub profile: Arc<str>,
    /// The network it has to come to; any that has an onboarding key if absent.
    pub ssid: Option<Arc<[u8]>>,
    /// The name it gets; one made of its address if absent, or if it was given away meanwhile.
    pub name: Option<Arc<str>>,
}

impl Case<'_> {
    /// The pairing window, if it is open for this device: one that is not registered, and not hidden.
    pub(super) fn window(&self) -> Option<&Window> {
        let window = self.view.pairing?;
        let open = window.ssid.as_ref().is_none_or(|ssid| *ssid == self.ssid.ssid)
            && self.ssid.unknown.onboarding_key().is_some()
            && self.view.config.profile(&window.profile).is_some()
            && !self.view.registry.knows(self.request.mac)
            && !self.view.registry.is_ignored(self.request.mac);
        open.then_some(window)
    }

    /// An unknown device that proved the onboarding key.
    pub(super) fn newcomer(&self) -> Result<Grant, Refusal> {
        let Some(window) = self.window() else {
            return match &self.ssid.unknown {
                Unknown::Pairing { .. } => refuse(None, Reason::NoPairing),
                Unknown::Quarantine { .. } | Unknown::Reject => self.quarantine(Reason::Quarantined),
            };
        };
        let device = self.register(window);
        let reason = Reason::Paired { name: device.name.clone(), profile: device.profile.clone() };
        let mut grant = self.grant(None, &window.profile, reason, Keys::One(KeyRef::Onboarding), None, None)?;
        grant.register = Some(Box::new(device));
        Ok(grant)
    }

    /// The device as it is to be registered: known by the address that proved the onboarding key, which it keeps using.
    fn register(&self, window: &Window) -> Device {
        let (mac, registry) = (self.request.mac, self.view.registry);
        Device {
            id: registry.next_id(),
            name: free_name(window.name.as_deref(), mac, registry),
            profile: window.profile.clone(),
            key: None,
            key_serial: 1,
            bind: Bind::Mac,
            max_devices: 1,
            macs: vec![BoundMac { mac, proved: true, since: self.now }],
            expires: None,
            blocked: false,
            created: self.now,
            eap: None,
            places: Vec::new(),
        }
    }
}

/// The wanted name, or `device-` and the last octets of the address, as many as it takes; and numbered, if even that
/// is taken.
fn free_name(wanted: Option<&str>, mac: MacAddr, registry: &Registry) -> Arc<str> {
    let digits: String = mac.0.iter().map(|octet| format!("{octet:02x}")).collect();
    let base = wanted.map_or_else(|| format!("device-{digits}"), str::to_owned);
    // Two octets, then three, and so on to all six.
    let ends = [8, 6, 4, 2].into_iter().filter(|_| wanted.is_none());
    let made = ends.filter_map(|skipped| Some(format!("device-{}", digits.get(skipped..)?)));
    let numbered = (2u32..).map(|n| numbered(&base, n));
    let mut names = made.chain(std::iter::once(base.clone())).chain(numbered);
    names.find(|name| registry.by_name(name).is_none()).unwrap_or(base).into()
}

/// The wanted name, or the same with a number, if it is taken.
pub(super) fn free_or_numbered(wanted: &str, registry: &Registry) -> Arc<str> {
    let mut names = std::iter::once(wanted.to_owned()).chain((2u32..).map(|n| numbered(wanted, n)));
    names.find(|name| registry.by_name(name).is_none()).unwrap_or_default().into()
}

/// A name with a number, within the 32 octets that a name has at most.
fn numbered(base: &str, n: u32) -> String {
    let end = format!("-{n}");
    let room = 32usize.saturating_sub(end.len()).min(base.len());
    format!("{}{end}", base.get(..room).unwrap_or_default())
}

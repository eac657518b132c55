//! Devices that nobody registered, with a certificate that a maker vouches for.

use super::pairing::free_or_numbered;
use super::{Case, Grant, Keys, Refusal, refuse};
use crate::decision::reason::Reason;
use crate::pki::{CertificateInfo, Voucher};
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::{Bind, BoundMac, Device};
use crate::registry::maker::{Admit, Maker};
use crate::time::UnixTime;
use std::sync::Arc;

/// How many devices of one maker register themselves. Each takes flash and memory for good and one more flash write, and
/// whoever has got hold of a maker's CA, or of a box of its devices, could go on for ever: this is more than stand in a
/// house, and those beyond it wait for the administrator. Devices that he approved count, too.
pub const BY_THEMSELVES: u16 = 256;

/// The longest name of a device, in octets.
const MAX_NAME: usize = 32;

/// A certificate of a maker as it is registered: known by its issuer and serial number.
pub fn registered(maker: &Arc<str>, info: &CertificateInfo, now: UnixTime) -> Certificate {
    Certificate {
        known_by: KnownBy::Serial { maker: maker.clone(), issuer: info.issuer_hash, serial: info.serial.clone() },
        subject: info.subject.clone(),
        not_after: info.not_after,
        mud_url: info.mud_url.clone(),
        issued: false,
        since: now,
    }
}

impl Case<'_> {
    /// It has a good certificate, and is not registered.
    pub(super) fn of_maker(&self, known: Option<&Device>) -> Result<Grant, Refusal> {
        // A certificate that somebody else vouches for belongs to a device, or to one that was removed meanwhile.
        let Some((info, Voucher::Maker(maker))) = self.request.certificate else {
            return refuse(known, Reason::UnknownDevice);
        };
        let Some(maker) = self.view.registry.maker(maker) else {
            return refuse(known, Reason::UnknownDevice);
        };
        let (name, subject) = (maker.name.clone(), info.subject.clone());
        let ignored = self.view.registry.is_ignored(self.request.mac);
        match (maker.admit, known) {
            (Admit::Listed, _) => refuse(known, Reason::NotListed { maker: name, subject }),
            (Admit::All, Some(other)) => refuse(Some(other), Reason::AddressOfOther { key_of: subject }),
            (Admit::All, None) if !ignored && self.is_full_of(maker) => {
                refuse(None, Reason::MakerFull { maker: name, subject, max: BY_THEMSELVES })
            }
            (Admit::All, None) if !ignored => {
                let device = self.register_of(maker, info);
                let reason = Reason::MakerAdmitted { name: device.name.clone(), maker: name };
                let mut grant = self.grant(None, &maker.profile, reason, Keys::None, None, None)?;
                grant.register = Some(Box::new(device));
                Ok(grant)
            }
            _ => refuse(known, Reason::NotApproved { maker: name, subject }),
        }
    }

    /// As many devices of this maker are registered as may register themselves.
    fn is_full_of(&self, maker: &Maker) -> bool {
        let is_its = |certificate: &Certificate| match &certificate.known_by {
            KnownBy::Serial { maker: of, .. } => *of == maker.name && !certificate.issued,
            _ => false,
        };
        let devices = self.view.registry.devices().filter_map(|device| device.eap.as_ref());
        let its = devices.filter(|eap| eap.certificates.iter().any(is_its));
        its.take(BY_THEMSELVES.into()).count() == usize::from(BY_THEMSELVES)
    }

    fn register_of(&self, maker: &Maker, info: &CertificateInfo) -> Device {
        let registry = self.view.registry;
        let eap = EapCredentials { psk: None, certificates: vec![registered(&maker.name, info, self.now)], serial: 1 };
        Device {
            id: registry.next_id(),
            name: free_or_numbered(&name_of(maker, info), registry),
            profile: maker.profile.clone(),
            key: None,
            key_serial: 1,
            bind: Bind::First,
            max_devices: 1,
            macs: vec![BoundMac { mac: self.request.mac, proved: true, since: self.now }],
            expires: None,
            blocked: false,
            created: self.now,
            eap: Some(Box::new(eap)),
            places: Vec::new(),
        }
    }
}

/// A name made of what the certificate says: its common name, else its serial number after the maker's name.
fn name_of(maker: &Maker, info: &CertificateInfo) -> Arc<str> {
    let from_name = info.common_name.as_deref().map(slug).filter(|name| !name.is_empty());
    let from_serial = || slug(&format!("{}-{}", maker.name, info.subject_serial.as_deref().unwrap_or("device")));
    from_name.unwrap_or_else(from_serial).into()
}

/// Small letters, digits and hyphens; at most as many as a name has.
pub(super) fn slug(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() || (matches!(c, '.' | '_') && !name.is_empty()) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == MAX_NAME {
            break;
        }
    }
    name.trim_end_matches(['-', '.', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        for (text, expected) in [
            ("Kitchen Cam", "kitchen-cam"),
            ("  SN: 00-1A ", "sn-00-1a"),
            ("\u{fc}ber", "ber"),
            ("cam.local.", "cam.local"),
            ("\u{4e2d}\u{6587}", ""),
            ("A very long common name that goes on and on", "a-very-long-common-name-that-goe"),
        ] {
            assert_eq!(slug(text), expected, "{text}");
            assert!(expected.is_empty() || crate::registry::generate::valid_name(expected).is_ok(), "{expected}");
        }
    }
}

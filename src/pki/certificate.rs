//! What a certificate says of its device.

pub use super::file::certificates as read_pem_or_der;

use super::der::{IA5_STRING, SEQUENCE, only};
use super::words::{self, shown};
use super::x509::{COMMON_NAME, Certificate, MUD_URL, Name, SERIAL_NUMBER, SUBJECT_ALT_NAME};
use super::{CertificateInfo, CertificateProblem};
use crate::time::UnixTime;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The greatest certificate that is read, in octets. IDevIDs have 500 to 1500.
pub const LARGEST: usize = 8192;
/// Octets of a serial number at most: RFC 5280 (4.1.2.2) allows 20, and a leading zero may be missing.
const LONGEST_SERIAL: usize = 21;
/// Characters of commonName (ub-common-name) and of the attribute serialNumber (ub-serial-number), RFC 5280, A.1.
const LONGEST_ATTRIBUTE: usize = 64;
/// How many names of subjectAltName are read, and octets of each.
const ALT_NAMES: usize = 16;
const LONGEST_ALT_NAME: usize = 255;
/// Octets of a MUD URL.
const LONGEST_MUD_URL: usize = 512;
/// 99991231235959Z: there is no end (RFC 5280, 4.1.2.5).
pub(super) const NO_END: UnixTime = UnixTime(253_402_300_799);

impl CertificateInfo {
    /// Reads a certificate (DER, at most [`LARGEST`] octets). Neither signature nor dates are judged.
    ///
    /// # Errors
    /// [`CertificateProblem::Form`].
    pub fn parse(der: &[u8]) -> Result<CertificateInfo, CertificateProblem> {
        if der.len() > LARGEST {
            let what = format!("it has {} octets, at most {LARGEST} are read", der.len());
            return Err(CertificateProblem::Form(what.into()));
        }
        let form = |field: &str| {
            let whole = field.starts_with("it ");
            CertificateProblem::Form(if whole { field.into() } else { format!("{field} cannot be read").into() })
        };
        let certificate = Certificate::parse(der).map_err(form)?;
        let serial = significant(certificate.serial);
        if serial.len() > LONGEST_SERIAL {
            return Err(CertificateProblem::Form("its serial number has more than 20 octets".into()));
        }
        let alt_names = match certificate.extension(SUBJECT_ALT_NAME).map_err(form)? {
            Some(value) => alt_names(value).ok_or_else(|| form("subjectAltName"))?,
            None => Vec::new(),
        };
        let mud_url = certificate.extension(MUD_URL).map_err(form)?.and_then(mud_url);
        let subject = &certificate.subject;
        Ok(CertificateInfo {
            fingerprint: sha256(der),
            issuer_hash: sha256(certificate.issuer.der),
            issuer: words::of(&certificate.issuer),
            subject: words::of(subject),
            common_name: first(subject, COMMON_NAME).map(|name| shown(&name, LONGEST_ATTRIBUTE)),
            serial: serial.into(),
            subject_serial: first(subject, SERIAL_NUMBER).filter(|serial| comparable(serial, LONGEST_ATTRIBUTE)),
            alt_names,
            public_key: sha256(certificate.public_key),
            not_before: certificate.not_before,
            not_after: Some(certificate.not_after).filter(|end| *end < NO_END),
            mud_url,
        })
    }

    /// Whether it is in time.
    ///
    /// # Errors
    /// [`CertificateProblem::Expired`] or [`CertificateProblem::NotYetValid`].
    pub fn check_dates(&self, wall: UnixTime) -> Result<(), CertificateProblem> {
        match self.not_after {
            // The last second still counts (RFC 5280, 4.1.2.5).
            Some(since) if since < wall => Err(CertificateProblem::Expired { since }),
            _ if wall < self.not_before => Err(CertificateProblem::NotYetValid { from: self.not_before }),
            _ => Ok(()),
        }
    }
}

/// SHA-256, as certificates, names and keys are kept by.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// An INTEGER without leading zeros; one octet at least.
pub(super) fn significant(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|octet| **octet == 0).count();
    integer.get(zeros.min(integer.len().saturating_sub(1))..).unwrap_or(integer)
}

/// The one attribute of this type. Of several nobody could say which is meant, so there is none.
fn first(name: &Name<'_>, kind: &[u8]) -> Option<Arc<str>> {
    let attributes = name.attributes()?;
    let mut fitting = attributes.iter().filter(|attribute| attribute.kind == kind);
    let only = fitting.next()?.value.text()?;
    if fitting.next().is_some() { None } else { Some(only.into()) }
}

/// A text that identifies: it has to be the same wherever it is read, so nothing of it is escaped or cut off.
fn comparable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x20..=0x7e)) && text.trim() == text
}

/// E-mail addresses, DNS names and URIs. Others (hardwareModuleName of RFC 4108, IP addresses, directory names) are passed over, and so
/// is what is empty, too long, or not ASCII, as IA5String has to be. `None` when it is no list of names.
fn alt_names(value: &[u8]) -> Option<Vec<Arc<str>>> {
    let mut names = only(value, SEQUENCE)?.members();
    let mut found = Vec::new();
    while !names.is_empty() {
        let name = names.value()?;
        let text = matches!(name.tag, 0x81 | 0x82 | 0x86).then(|| std::str::from_utf8(name.content).ok()).flatten();
        if let Some(text) = text.filter(|text| comparable(text, LONGEST_ALT_NAME))
            && found.len() < ALT_NAMES
        {
            found.push(text.into());
        }
    }
    Some(found)
}

/// An `https` URL (RFC 8520, 11). Anything else is as if it were not there: a description of what a device needs is no reason to
/// refuse the device.
fn mud_url(value: &[u8]) -> Option<Arc<str>> {
    let url = std::str::from_utf8(only(value, IA5_STRING)?.content).ok()?;
    is_mud_url(url).then(|| url.into())
}

/// True for an `https` URL of at most 512 printable octets.
pub fn is_mud_url(url: &str) -> bool {
    let scheme = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    let plain =
        url.len() <= LONGEST_MUD_URL && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>'));
    scheme && url.len() > 8 && plain
}

#[cfg(test)]
mod tests;

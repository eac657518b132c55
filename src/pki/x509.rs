//! The fields of certificates and revocation lists (RFC 5280, 4.1 and 5.1), as they lie in the file.
//!
//! Signatures, chains and purposes are `webpki`'s business. This is for what it does not tell: names in words, dates, attributes.

use super::der::{BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, Value, only};
use crate::time::UnixTime;

/// id-at-commonName.
pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// id-at-serialNumber.
pub const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
/// id-ce-subjectKeyIdentifier.
pub const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
/// id-ce-subjectAltName.
pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
/// id-ce-authorityKeyIdentifier.
pub const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
/// id-pe-mud-url (RFC 8520, 11).
pub const MUD_URL: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 25];

/// A certificate.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// Its serial number: the octets of the INTEGER.
    pub serial: &'a [u8],
    /// The issuer's name.
    pub issuer: Name<'a>,
    /// Its beginning.
    pub not_before: UnixTime,
    /// Its end.
    pub not_after: UnixTime,
    /// The subject's name.
    pub subject: Name<'a>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: &'a [u8],
    extensions: Reader<'a>,
}

impl<'a> Certificate<'a> {
    /// Finds the fields.
    ///
    /// # Errors
    /// The name of the field that is not as it has to be, or a sentence that begins with "it".
    pub fn parse(der: &'a [u8]) -> Result<Certificate<'a>, &'static str> {
        let outer = only(der, SEQUENCE).ok_or("it is no certificate")?;
        let mut outer = outer.members();
        let mut tbs = outer.take(SEQUENCE).ok_or("it is no certificate")?.members();
        outer.take(SEQUENCE).ok_or("signatureAlgorithm")?;
        outer.take(BIT_STRING).filter(|_| outer.is_empty()).ok_or("signature")?;
        // The version: [0] EXPLICIT.
        tbs.take(0xa0);
        let serial = tbs.take(INTEGER).ok_or("serialNumber")?.content;
        tbs.take(SEQUENCE).ok_or("signature")?;
        let issuer = Name::parse(tbs.take(SEQUENCE)).ok_or("issuer")?;
        let mut validity = tbs.take(SEQUENCE).ok_or("validity")?.members();
        let not_before = validity.value().and_then(|value| value.time()).ok_or("notBefore")?;
        let not_after = validity.value().and_then(|value| value.time()).ok_or("notAfter")?;
        let subject = Name::parse(tbs.take(SEQUENCE)).ok_or("subject")?;
        let key = tbs.take(SEQUENCE).ok_or("subjectPublicKeyInfo")?;
        let mut members = key.members();
        let algorithm = members.take(SEQUENCE).and_then(|_| members.take(BIT_STRING));
        // With anything else in it, others would take it for another key than we do.
        let public_key = algorithm.filter(|_| members.is_empty()).map(|_| key.whole).ok_or("subjectPublicKeyInfo")?;
        // issuerUniqueID and subjectUniqueID, which nobody uses.
        tbs.take(0x81);
        tbs.take(0x82);
        let extensions = match tbs.take(0xa3) {
            Some(tagged) => only(tagged.content, SEQUENCE).ok_or("extensions")?.members(),
            None => Reader::new(&[]),
        };
        if !tbs.is_empty() {
            return Err("what follows the extensions");
        }
        Ok(Certificate { serial, issuer, not_before, not_after, subject, public_key, extensions })
    }

    /// The value of an extension, DER.
    ///
    /// # Errors
    /// When the extensions are damaged, or this one is there twice (RFC 5280, 4.2).
    pub fn extension(&self, oid: &[u8]) -> Result<Option<&'a [u8]>, &'static str> {
        extension(self.extensions, oid)
    }

    /// keyIdentifier of authorityKeyIdentifier: which key of its issuer signed it (RFC 5280, 4.2.1.1).
    pub fn authority_key_id(&self) -> Option<&'a [u8]> {
        authority_key_id(self.extensions)
    }

    /// subjectKeyIdentifier: the name its key has in what it signed (RFC 5280, 4.2.1.2).
    pub fn subject_key_id(&self) -> Option<&'a [u8]> {
        Some(only(self.extension(SUBJECT_KEY_ID).ok()??, OCTET_STRING)?.content)
    }
}

fn extension<'a>(mut extensions: Reader<'a>, oid: &[u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let mut found = None;
    while !extensions.is_empty() {
        let mut extension = extensions.take(SEQUENCE).ok_or("extensions")?.members();
        let id = extension.take(OID).ok_or("extensions")?;
        extension.take(BOOLEAN);
        let value = extension.take(OCTET_STRING).filter(|_| extension.is_empty()).ok_or("extensions")?;
        if id.content == oid && found.replace(value.content).is_some() {
            return Err("it has an extension twice");
        }
    }
    Ok(found)
}

fn authority_key_id(extensions: Reader<'_>) -> Option<&[u8]> {
    let value = extension(extensions, AUTHORITY_KEY_ID).ok()??;
    Some(only(value, SEQUENCE)?.members().take(0x80)?.content)
}

/// A distinguished name.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// All of it, DER.
    pub der: &'a [u8],
    rdns: Reader<'a>,
}

/// A part of a distinguished name.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its type: the content of an OBJECT IDENTIFIER.
    pub kind: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
    /// It belongs to the same relative distinguished name as the one before.
    pub joined: bool,
}

impl<'a> Name<'a> {
    fn parse(value: Option<Value<'a>>) -> Option<Name<'a>> {
        let value = value?;
        let name = Name { der: value.whole, rdns: value.members() };
        name.attributes()?;
        Some(name)
    }

    /// Its parts in the order of the file, which is from the greatest to the smallest.
    pub fn attributes(&self) -> Option<Vec<Attribute<'a>>> {
        let mut rdns = self.rdns;
        let mut attributes = Vec::new();
        while !rdns.is_empty() {
            let mut set = rdns.take(SET)?.members();
            let mut joined = false;
            while !set.is_empty() {
                let mut attribute = set.take(SEQUENCE)?.members();
                let kind = attribute.take(OID)?.content;
                let value = attribute.value().filter(|_| attribute.is_empty())?;
                attributes.push(Attribute { kind, value, joined });
                joined = true;
            }
        }
        Some(attributes)
    }
}

/// The head of a certificate revocation list.
#[derive(Debug, Clone, Copy)]
pub struct RevocationList<'a> {
    /// Whose it is: the name, DER.
    pub issuer: &'a [u8],
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one is to come.
    pub next_update: Option<UnixTime>,
    /// What it revokes: the entries, DER; nothing when there is none.
    pub revoked: &'a [u8],
    /// keyIdentifier of authorityKeyIdentifier: which key of its issuer signed it (RFC 5280, 5.2.1).
    pub key_id: Option<&'a [u8]>,
}

impl<'a> RevocationList<'a> {
    /// Finds the fields.
    pub fn parse(der: &'a [u8]) -> Option<RevocationList<'a>> {
        let mut tbs = only(der, SEQUENCE)?.members().take(SEQUENCE)?.members();
        tbs.take(INTEGER);
        tbs.take(SEQUENCE)?;
        let issuer = tbs.take(SEQUENCE)?.whole;
        let this_update = tbs.value()?.time()?;
        let next_update = tbs.value().and_then(|value| value.time());
        let revoked = tbs.take(SEQUENCE).map_or(&[][..], |entries| entries.whole);
        let extensions = tbs.take(0xa0).and_then(|tagged| only(tagged.content, SEQUENCE));
        let key_id = extensions.and_then(|extensions| authority_key_id(extensions.members()));
        Some(RevocationList { issuer, this_update, next_update, revoked, key_id })
    }
}

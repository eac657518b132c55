//! Whom we trust: a snapshot, replaced as a whole when makers, devices or revocation lists change.

use super::blame::{in_group, more_precise, problem, unknown};
use super::certificate::{LARGEST, sha256};
use super::crl::{Crl, Crls};
use super::x509::Certificate;
use super::{CertificateInfo, CertificateProblem, Voucher};
use crate::registry::Registry;
use crate::registry::credential::KnownBy;
use crate::time::UnixTime;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator,
    KeyPurposeId, KeyPurposeIdIter, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, ring,
};

/// How many certificates a device may show, its own one included. A chain has three or four; each more multiplies the ways that
/// have to be tried.
pub const LONGEST_CHAIN: usize = 6;

/// What certificates may be signed with. No SHA-1, no RSA below 2048 bits.
pub(crate) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::ED25519,
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA512,
    ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// The authorities, the registered certificates and keys, and the revocation lists.
#[derive(Debug, Default)]
pub struct Trust {
    /// Our own CA first, then the makers by name.
    groups: Vec<Group>,
    /// Registered by fingerprint.
    certificates: HashSet<[u8; 32]>,
    /// Registered by key.
    public_keys: HashSet<[u8; 32]>,
    /// Issued here, and some device's: issuer and serial number.
    issued: HashSet<([u8; 32], Box<[u8]>)>,
    crl_required: bool,
}

/// Those who vouch for the same.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) voucher: Voucher,
    pub(super) authorities: Vec<Authority>,
    anchors: Vec<TrustAnchor<'static>>,
    /// The newest first.
    lists: Vec<Arc<Crl>>,
    /// A file of the maker that could not be used.
    unread: Option<Arc<str>>,
}

/// What tells two authorities of one name apart.
#[derive(Debug)]
pub(super) struct Authority {
    /// SHA-256 of its certificate (DER).
    fingerprint: [u8; 32],
    /// SHA-256 of its name (DER).
    pub(super) name: [u8; 32],
    /// The name of its key, if it says one.
    pub(super) key_id: Option<Box<[u8]>>,
}

impl Trust {
    /// Puts a snapshot together. What cannot be parsed (an authority, which was parsed when it was registered) is left out.
    /// `own_ca`: the certificate of our own CA (DER).
    pub fn new(own_ca: Option<&[u8]>, registry: &Registry, crls: &Crls) -> Trust {
        let mut trust = Trust { crl_required: crls.required, ..Trust::default() };
        if let Some(der) = own_ca {
            let mut group = Group::new(Voucher::Ourselves);
            group.add(der);
            trust.groups.push(group);
        }
        // One without a CA, whose devices have other credentials, vouches for no certificate.
        for maker in registry.makers().filter(|maker| !maker.authorities.is_empty()) {
            let mut group = Group::new(Voucher::Maker(maker.name.clone()));
            for der in &maker.authorities {
                group.add(der);
            }
            for path in &maker.crls {
                group.lists.extend(crls.lists(path).iter().cloned());
                if let Some(why) = crls.trouble(path) {
                    group.unread = Some(format!("{}: {why}", path.display()).into());
                }
            }
            group.lists.extend(crls.held(&maker.name).iter().cloned());
            // Of several lists of one CA the newest says what is revoked, in whatever order the files are named.
            group.lists.sort_by_key(|crl| Reverse((crl.this_update, crl.next_update)));
            trust.groups.push(group);
        }
        let credentials = registry.devices().filter_map(|device| device.eap.as_ref());
        for certificate in credentials.flat_map(|eap| &eap.certificates) {
            match &certificate.known_by {
                KnownBy::Fingerprint(fingerprint) => drop(trust.certificates.insert(*fingerprint)),
                KnownBy::PublicKey(key) => drop(trust.public_keys.insert(*key)),
                KnownBy::Serial { issuer, serial, .. } if certificate.issued => {
                    trust.issued.insert((*issuer, serial.clone()));
                }
                KnownBy::Serial { .. }
                | KnownBy::SubjectSerial { .. }
                | KnownBy::AltName { .. }
                | KnownBy::Peer { .. } => {}
            }
        }
        trust
    }

    /// Checks a chain as a device shows it, its own certificate first.
    ///
    /// A certificate that is registered itself, or whose key is, counts whoever signed it and whatever purposes it names: the
    /// administrator has judged exactly this one. Its dates count all the same, as they are what `device show` tells.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        wall: UnixTime,
    ) -> Result<(CertificateInfo, Voucher), CertificateProblem> {
        let (own, others) = chain.split_first().ok_or_else(|| CertificateProblem::Form("there is none".into()))?;
        if chain.len() > LONGEST_CHAIN || chain.iter().any(|certificate| certificate.len() > LARGEST) {
            let what =
                format!("its chain is too long: at most {LONGEST_CHAIN} certificates of {LARGEST} octets are read");
            return Err(CertificateProblem::Form(what.into()));
        }
        let info = CertificateInfo::parse(own)?;
        // The same parser that checks the signatures of TLS, so what it does not take is refused here, and with better words.
        let parsed = EndEntityCert::try_from(own).map_err(|why| problem(&why, &info))?;
        if self.certificates.contains(&info.fingerprint) || self.public_keys.contains(&info.public_key) {
            info.check_dates(wall)?;
            return Ok((info, Voucher::Registered));
        }
        let names = issuers(own, others);
        let mut worst = None;
        for group in self.groups.iter().filter(|group| group.may_end(&names)) {
            match self.verify_in(group, &parsed, own, others, wall, &info) {
                Ok(()) => return self.accepted(group, &info).map(|()| (info, group.voucher.clone())),
                Err(why) => worst = more_precise(worst, why),
            }
        }
        Err(worst.unwrap_or_else(|| unknown(&info, others)))
    }

    /// True when a raw public key (SubjectPublicKeyInfo, DER) is registered.
    pub fn knows_public_key(&self, spki: &[u8]) -> bool {
        self.public_keys.contains(&sha256(spki))
    }

    /// True when any raw public key is registered.
    pub fn has_public_keys(&self) -> bool {
        !self.public_keys.is_empty()
    }

    /// True when nobody's certificate or key could be accepted, so that there is nothing to ask devices for.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.certificates.is_empty() && self.public_keys.is_empty()
    }

    /// True when certificates or keys count that were not issued here, in which identities are that we did not make.
    pub fn knows_strangers(&self) -> bool {
        let of_maker = |group: &Group| matches!(group.voucher, Voucher::Maker(_));
        self.groups.iter().any(of_maker) || !self.certificates.is_empty() || !self.public_keys.is_empty()
    }

    /// Who vouched for certificates that may not count any more, since an earlier snapshot: an authority is gone, or other
    /// certificates are revoked, or a list is needed that was not, or cannot be used. What only counts in addition, and lists that
    /// say the same with other dates, make nobody doubtful.
    pub fn doubtful_since(&self, before: &Trust) -> Vec<Voucher> {
        let doubtful = |old: &&Group| match self.groups.iter().find(|new| new.voucher == old.voucher) {
            Some(new) => new.is_stricter_than(old, (self.crl_required, before.crl_required)),
            None => true,
        };
        before.groups.iter().filter(doubtful).map(|group| group.voucher.clone()).collect()
    }

    fn verify_in(
        &self,
        group: &Group,
        parsed: &EndEntityCert<'_>,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        wall: UnixTime,
        info: &CertificateInfo,
    ) -> Result<(), CertificateProblem> {
        let lists: Vec<CertRevocationList<'_>> = group
            .lists_for(own, others)
            .into_iter()
            .filter_map(|crl| BorrowedCertRevocationList::from_der(&crl.der).ok())
            .map(CertRevocationList::from)
            .collect();
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let time = Duration::from_secs(u64::try_from(wall.0).unwrap_or_default());
        let time = rustls::pki_types::UnixTime::since_unix_epoch(time);
        let verify = |depth, unknown, expired| {
            let revocation = RevocationOptionsBuilder::new(&lists).ok();
            let revocation = revocation.map(|options| {
                options.with_depth(depth).with_status_policy(unknown).with_expiration_policy(expired).build()
            });
            let result =
                parsed.verify_for_usage(ALGORITHMS, &group.anchors, others, time, Purpose::Client, revocation, None);
            result.map(|_| ()).map_err(|why| in_group(&why, group, info, own, others))
        };
        // What is revoked stays revoked, however old the list: and the CAs on the way are looked for, too.
        verify(RevocationCheckDepth::Chain, UnknownStatusPolicy::Allow, ExpirationPolicy::Ignore)?;
        if !self.crl_required || group.voucher == Voucher::Ourselves {
            return Ok(());
        }
        match (&group.voucher, &group.unread) {
            (_, Some(why)) => Err(CertificateProblem::NoRevocationList(why.clone())),
            (Voucher::Maker(maker), None) if group.lists.is_empty() => Err(CertificateProblem::NoRevocationList(
                format!(
                    "{maker} has no revocation list: latchkey maker set {maker} --crl FILE, or option crl_required '0'"
                )
                .into(),
            )),
            // Without any list `webpki` would not ask for one.
            _ if lists.is_empty() => Err(in_group(&webpki::Error::UnknownRevocationStatus, group, info, own, others)),
            _ => verify(RevocationCheckDepth::EndEntity, UnknownStatusPolicy::Deny, ExpirationPolicy::Enforce),
        }
    }

    /// What is left to be said of a good chain.
    fn accepted(&self, group: &Group, info: &CertificateInfo) -> Result<(), CertificateProblem> {
        if group.voucher == Voucher::Ourselves {
            let issued = self.issued.contains(&(info.issuer_hash, info.serial.clone()));
            return if issued { Ok(()) } else { Err(CertificateProblem::Revoked) };
        }
        // A maker could name a CA of its own like that of another one, or like ours, and so give its certificates issuer and serial
        // number of somebody else's device.
        let named_so = |other: &&Group| other.voucher != group.voucher && other.has(&info.issuer_hash);
        if self.groups.iter().any(|other| named_so(&other)) && !group.has(&info.issuer_hash) {
            return Err(CertificateProblem::UnknownIssuer { issuer: info.issuer.clone() });
        }
        Ok(())
    }
}

impl Group {
    fn new(voucher: Voucher) -> Group {
        Group { voucher, authorities: Vec::new(), anchors: Vec::new(), lists: Vec::new(), unread: None }
    }

    fn add(&mut self, der: &[u8]) {
        let whole = CertificateDer::from(der);
        let Ok(anchor) = webpki::anchor_from_trusted_cert(&whole) else { return };
        let Ok(parsed) = Certificate::parse(der) else { return };
        let key_id = parsed.subject_key_id().map(Box::from);
        self.authorities.push(Authority { fingerprint: sha256(der), name: sha256(parsed.subject.der), key_id });
        self.anchors.push(anchor.to_owned());
    }

    /// True when a certificate that counted before may not count now. `required`: whether lists are needed, now and before.
    fn is_stricter_than(&self, before: &Group, required: (bool, bool)) -> bool {
        let kept = |old: &Authority| self.authorities.iter().any(|new| new.fingerprint == old.fingerprint);
        let says = |group: &Group, crl: &Crl| group.lists.iter().any(|other| other.says == crl.says);
        let other_list = self.lists.iter().any(|new| !says(before, new));
        let missing =
            || before.lists.iter().any(|old| !says(self, old)) || (self.unread.is_some() && before.unread.is_none());
        let needed = self.voucher != Voucher::Ourselves && required.0 && (!required.1 || missing());
        !before.authorities.iter().all(kept) || other_list || needed
    }

    /// The lists for a chain, in the order in which `webpki` is to take the first that has the name of a certificate's issuer: it
    /// does not look whether another one of that name has the right key. A CA that got a new key goes on under its name, with a list
    /// for each key: those of other keys than the chain names come last, and not at all when they are certainly another's.
    fn lists_for(&self, own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Vec<&Crl> {
        let chain = std::iter::once(own).chain(others).filter_map(|der| Certificate::parse(der).ok());
        let signed: Vec<([u8; 32], Option<&[u8]>)> =
            chain.map(|certificate| (sha256(certificate.issuer.der), certificate.authority_key_id())).collect();
        let of_another_key = |crl: &Crl| {
            let mut named = signed.iter().filter(|(issuer, _)| *issuer == crl.issuer).map(|(_, key)| *key).peekable();
            let differs = |key: Option<&[u8]>| key.is_some() && crl.key_id.is_some() && key != crl.key_id.as_deref();
            named.peek().is_some() && named.all(differs)
        };
        // A key that no authority has may be the right one by another name: its list is not left out.
        let is_anothers = |crl: &Crl| {
            let mut named = self.authorities.iter().filter(|authority| authority.name == crl.issuer);
            named.any(|authority| authority.key_id.is_some() && authority.key_id == crl.key_id)
        };
        let (last, mut lists): (Vec<&Crl>, Vec<&Crl>) =
            self.lists.iter().map(|crl| &**crl).partition(|crl| of_another_key(crl));
        lists.extend(last.into_iter().filter(|crl| !is_anothers(crl)));
        lists
    }

    fn has(&self, name: &[u8; 32]) -> bool {
        self.authorities.iter().any(|authority| authority.name == *name)
    }

    /// True when a chain with these issuers could end here: all that costs nothing to know.
    fn may_end(&self, issuers: &[[u8; 32]]) -> bool {
        issuers.iter().any(|issuer| self.has(issuer))
    }
}

/// What a certificate is to be made for, or anyExtendedKeyUsage, where there is such an extension at all (RFC 5216, 5.3). IDevIDs
/// have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// clientAuth.
    Client,
    /// serverAuth.
    Server,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const SERVER_AUTH: KeyPurposeId<'_> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        const CLIENT_AUTH: KeyPurposeId<'_> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[0x55, 0x1d, 37, 0]);
        let wanted = if *self == Purpose::Client { CLIENT_AUTH } else { SERVER_AUTH };
        let mut none = true;
        for purpose in purposes {
            let purpose = purpose?;
            if purpose == wanted || purpose == ANY {
                return Ok(());
            }
            none = false;
        }
        if none { Ok(()) } else { Err(webpki::Error::EmptyEkuExtension) }
    }
}

/// Who signed the certificates of a chain: SHA-256 of the names.
fn issuers(own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Vec<[u8; 32]> {
    let all = std::iter::once(own).chain(others);
    all.filter_map(|der| Certificate::parse(der).ok()).map(|certificate| sha256(certificate.issuer.der)).collect()
}

#[cfg(test)]
mod tests;

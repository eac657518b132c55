//! What `webpki` finds wrong with a chain, in the words of [`CertificateProblem`].

use super::certificate::sha256;
use super::trust::Group;
use super::x509::Certificate;
use super::{CertificateInfo, CertificateProblem, Voucher, words};
use crate::time::UnixTime;
use rustls::pki_types::{self, CertificateDer};
use std::sync::Arc;
use webpki::Error;

/// A problem of the certificate itself, or of nobody in particular.
pub fn problem(why: &Error, info: &CertificateInfo) -> CertificateProblem {
    let form = |what: &str| CertificateProblem::Form(what.into());
    match why {
        Error::CertRevoked => CertificateProblem::Revoked,
        Error::EmptyEkuExtension | Error::RequiredEkuNotFoundContext(_) => CertificateProblem::WrongPurpose,
        Error::UnknownIssuer => CertificateProblem::UnknownIssuer { issuer: info.issuer.clone() },
        Error::InvalidSignatureForPublicKey => CertificateProblem::BadSignature,
        Error::UnsupportedCertVersion => form("it is not of X.509 version 3"),
        Error::UnsupportedCriticalExtension => form("it has a critical extension that is not known here"),
        Error::SignatureAlgorithmMismatch => form("it names two different signature algorithms"),
        Error::UnsupportedSignatureAlgorithmContext(_) => form(
            "it, or a CA above it, is signed with an algorithm that is not taken: ECDSA with P-256 or P-384, Ed25519, and RSA from \
             2048 bits with SHA-256, SHA-384 or SHA-512 are",
        ),
        Error::InvalidCertValidity => form("it, or a CA above it, ends before it begins"),
        Error::CaUsedAsEndEntity => form("it is a CA's certificate, and not a device's"),
        Error::EndEntityUsedAsCa => form("it is signed with a certificate that is no CA's"),
        Error::PathLenConstraintViolated => form("its chain is longer than a CA in it allows"),
        Error::NameConstraintViolation => form("a CA in its chain may not sign for such names"),
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathDepthExceeded => form("its chain can be put together in too many ways"),
        _ => form("it, or a certificate of its chain, is damaged or of a form that is not read"),
    }
}

/// A problem of a chain that seemed to end at one of these authorities.
pub(in crate::pki) fn in_group(
    why: &Error,
    group: &Group,
    info: &CertificateInfo,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> CertificateProblem {
    match why {
        Error::CertExpired { not_after, .. } => {
            let since = moment(*not_after);
            if info.not_after == Some(since) {
                return CertificateProblem::Expired { since };
            }
            let ca = find(others, |other| other.not_after == since);
            CertificateProblem::Form(format!("its CA {ca} expired on {since}").into())
        }
        Error::CertNotValidYet { not_before, .. } => {
            let from = moment(*not_before);
            if info.not_before == from {
                return CertificateProblem::NotYetValid { from };
            }
            let ca = find(others, |other| other.not_before == from);
            CertificateProblem::Form(format!("its CA {ca} is not valid before {from}").into())
        }
        Error::InvalidSignatureForPublicKey | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            let other_kind_of_key = !matches!(why, Error::InvalidSignatureForPublicKey);
            match another_key(group, own, others, other_kind_of_key) {
                Some(issuer) => CertificateProblem::UnknownIssuer {
                    issuer: format!("{issuer}: registered, but with another key").into(),
                },
                None => CertificateProblem::BadSignature,
            }
        }
        Error::UnknownIssuer => unknown(info, others),
        Error::UnknownRevocationStatus => {
            let maker = match &group.voucher {
                Voucher::Maker(maker) => maker,
                Voucher::Ourselves | Voucher::Registered => "this box",
            };
            CertificateProblem::NoRevocationList(
                format!("none of the lists of {maker} is one of {}", info.issuer).into(),
            )
        }
        Error::CrlExpired { next_update, .. } => CertificateProblem::NoRevocationList(
            format!("the list of {} was to be renewed on {}: fetch the new one", info.issuer, moment(*next_update))
                .into(),
        ),
        Error::InvalidCrlSignatureForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
        | Error::IssuerNotCrlSigner => CertificateProblem::NoRevocationList(
            "a list with the name of its CA is not signed by that CA: fetch it again, or take it away".into(),
        ),
        Error::UnsupportedCrlSignatureAlgorithmContext(_) => CertificateProblem::NoRevocationList(
            "the list of its CA is signed with an algorithm that is not taken (such as SHA-1)".into(),
        ),
        why => problem(why, info),
    }
}

/// Nobody known is in the chain: says whom it leads to.
pub fn unknown(info: &CertificateInfo, others: &[CertificateDer<'_>]) -> CertificateProblem {
    if info.issuer == info.subject && others.is_empty() {
        let issuer = format!("{}, which is itself", info.issuer).into();
        return CertificateProblem::UnknownIssuer { issuer };
    }
    let others: Vec<Certificate<'_>> = others.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let above = |name: [u8; 32]| {
        others.iter().find(|other| sha256(other.subject.der) == name && other.subject.der != other.issuer.der)
    };
    let (mut name, mut top) = (info.issuer_hash, None);
    // A chain may be a circle.
    for _ in 0..others.len() {
        let Some(ca) = above(name) else { break };
        name = sha256(ca.issuer.der);
        top = Some(words::of(&ca.issuer));
    }
    let issuer: Arc<str> = match top {
        Some(top) => format!("{}, under {top}", info.issuer).into(),
        None => info.issuer.clone(),
    };
    CertificateProblem::UnknownIssuer { issuer }
}

/// Keeps what says most: that an issuer is unknown only when nothing else is known.
pub fn more_precise(before: Option<CertificateProblem>, now: CertificateProblem) -> Option<CertificateProblem> {
    match before {
        Some(before) if !matches!(before, CertificateProblem::UnknownIssuer { .. }) => Some(before),
        Some(before) if matches!(now, CertificateProblem::UnknownIssuer { .. }) => Some(before),
        _ => Some(now),
    }
}

/// The CA of this group that should have signed something in the chain, if that names another key than the CA has: a different CA
/// of the same name, or one that has a new key. Without key identifiers nobody can tell that from a forgery.
fn another_key(
    group: &Group,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    other_kind_of_key: bool,
) -> Option<Arc<str>> {
    for der in std::iter::once(own).chain(others) {
        let Ok(certificate) = Certificate::parse(der) else { continue };
        let name = sha256(certificate.issuer.der);
        let mut named = group.authorities.iter().filter(|authority| authority.name == name).peekable();
        if named.peek().is_none() {
            continue;
        }
        let differs = match certificate.authority_key_id() {
            Some(wanted) => named.all(|authority| authority.key_id.as_deref().is_some_and(|id| id != wanted)),
            None => false,
        };
        if differs || other_kind_of_key {
            return Some(words::of(&certificate.issuer));
        }
    }
    None
}

fn find(others: &[CertificateDer<'_>], which: impl Fn(&Certificate<'_>) -> bool) -> Arc<str> {
    let mut parsed = others.iter().filter_map(|der| Certificate::parse(der).ok());
    parsed.find(|other| which(other)).map_or_else(|| "(unknown)".into(), |other| words::of(&other.subject))
}

fn moment(time: pki_types::UnixTime) -> UnixTime {
    UnixTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

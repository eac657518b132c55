//! What goes wrong with TLS, in words: whose fault it is, and the mend.

use super::hello::ClientHello;
use super::verifier::Verdict;
use crate::eap::problem::Problem;
use rustls::{AlertDescription, Error, PeerIncompatible};
use std::sync::Arc;

/// The problem behind an error of rustls. `hello`: the device's ClientHello if that is what rustls did not like.
pub fn problem(error: &Error, verdict: Option<Verdict>, hello: Option<&ClientHello>, tls13_only: bool) -> Problem {
    match (error, verdict) {
        (_, Some(Verdict::Bad(problem))) => problem,
        (Error::AlertReceived(description), _) => Problem::Alert(alert(*description)),
        (Error::NoCertificatesPresented, _) => Problem::NoCertificate,
        // The certificate is good, so it was the signature made with it.
        (Error::InvalidCertificate(_), _) => Problem::Tls(
            "the device did not prove that it has the private key of its certificate: its key and certificate do not \
             belong together, or its TLS is broken"
                .into(),
        ),
        (Error::PeerIncompatible(why), _) => Problem::Tls(incompatible(why, hello, tls13_only)),
        (Error::DecryptError, _) => Problem::Tls(
            "a message of the device cannot be decrypted, or its Finished is wrong: it was changed on its way, or the \
             device's TLS is broken"
                .into(),
        ),
        (Error::InvalidMessage(what), _) => Problem::Tls(format!("the device sent what is no TLS ({what:?})").into()),
        (Error::PeerMisbehaved(what), _) => {
            Problem::Tls(format!("the device does not keep to the rules of TLS ({what:?})").into())
        }
        (Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. }, _) => {
            Problem::Tls("the device sent a TLS message where another belongs".into())
        }
        (error, _) => Problem::Tls(error.to_string().into()),
    }
}

fn incompatible(why: &PeerIncompatible, hello: Option<&ClientHello>, tls13_only: bool) -> Arc<str> {
    let too_old = |hello: &ClientHello| (1..if tls13_only { 0x0304 } else { 0x0303 }).contains(&hello.version);
    if hello.is_some_and(too_old) && !matches!(why, PeerIncompatible::Tls12NotOffered) {
        return incompatible(&PeerIncompatible::Tls12NotOffered, hello, tls13_only);
    }
    let only_rsa = hello.is_some_and(|hello| hello.only_rsa_key_exchange);
    let ours = if tls13_only { "TLS 1.3 only (tls_min)" } else { "TLS 1.2 and 1.3" };
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            let offered = match hello.map_or(0, |hello| hello.version) {
                0x0304 => "TLS 1.3",
                0x0303 => "TLS 1.2",
                0x0302 => "TLS 1.1",
                0x0301 => "TLS 1.0",
                _ => "an unknown version of TLS",
            };
            format!(
                "the device offers {offered} at most, latchkey takes {ours}: update the device, or give it an EAP-PSK key"
            )
            .into()
        }
        PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon if only_rsa => {
            "the device offers only cipher suites that exchange the key with RSA (TLS_RSA_WITH_...), latchkey needs \
             ECDHE: set or update the device to others, or give it an EAP-PSK key"
                .into()
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "no cipher suite in common: latchkey needs ECDHE with AES-GCM or ChaCha20-Poly1305, and one that fits its \
             certificate's kind of key (ECDSA or RSA): set or update the device"
                .into()
        }
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "no group for the key exchange in common: latchkey takes X25519, P-256 and P-384: set the device to one of \
             these"
                .into()
        }
        PeerIncompatible::NoSignatureSchemesInCommon | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "the device accepts no signature that latchkey's key can make: give latchkey a certificate with another \
             kind of key, or update the device"
                .into()
        }
        PeerIncompatible::IncorrectCertificateTypeExtension => {
            "the device takes raw public keys only (RFC 7250) where latchkey has none for it".into()
        }
        other => format!("the device's TLS and latchkey's do not fit together ({other:?})").into(),
    }
}

/// The name of an alert (RFC 8446, 6) and what it says about the device and us.
pub fn alert(description: AlertDescription) -> Arc<str> {
    use AlertDescription as A;
    const TRUST: &str =
        "the device does not trust latchkey's certificate: put the CA on it (and check the name it expects)";
    const OURS: &str =
        "the device does not like latchkey's certificate: check its name, its kind of key and its purpose";
    const NOTHING: &str = "nothing in common that the device would accept: check its TLS versions and cipher suites";
    const GARBLED: &str = "a message of latchkey did not come through whole, or the device's TLS is broken";
    let (name, words) = match description {
        A::CloseNotify => ("close_notify", "the device ended it by itself"),
        A::UserCanceled => ("user_canceled", "the device ended it by itself"),
        A::UnknownCA => ("unknown_ca", TRUST),
        A::BadCertificate => ("bad_certificate", TRUST),
        A::CertificateUnknown => ("certificate_unknown", TRUST),
        A::CertificateExpired => (
            "certificate_expired",
            "the device finds latchkey's certificate expired: check the device's clock, then the certificate's end",
        ),
        A::CertificateRevoked => ("certificate_revoked", "the device finds latchkey's certificate revoked"),
        A::UnsupportedCertificate => ("unsupported_certificate", OURS),
        A::UnrecognisedName => ("unrecognized_name", OURS),
        A::BadCertificateStatusResponse => (
            "bad_certificate_status_response",
            "the device wants an OCSP answer with latchkey's certificate, which has none: switch that off in the device",
        ),
        A::HandshakeFailure => ("handshake_failure", NOTHING),
        A::InsufficientSecurity => ("insufficient_security", NOTHING),
        A::ProtocolVersion => ("protocol_version", NOTHING),
        A::AccessDenied => ("access_denied", "the device refuses by a rule of its own"),
        A::InternalError => ("internal_error", "something within the device failed: see its own log"),
        A::DecryptError => ("decrypt_error", GARBLED),
        A::DecodeError => ("decode_error", GARBLED),
        A::BadRecordMac => ("bad_record_mac", GARBLED),
        A::RecordOverflow => ("record_overflow", GARBLED),
        A::UnexpectedMessage => ("unexpected_message", GARBLED),
        A::IllegalParameter => ("illegal_parameter", GARBLED),
        A::MissingExtension => ("missing_extension", GARBLED),
        A::UnsupportedExtension => ("unsupported_extension", GARBLED),
        A::CertificateRequired => ("certificate_required", "the device takes latchkey for a client"),
        other => return format!("alert {}", u8::from(other)).into(),
    };
    format!("{name}: {words}").into()
}

//! What goes wrong with a connection, in words that a person understands.

use rustls::{AlertDescription, Error, PeerIncompatible};
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// What an error of TLS means, as the end of "acme's server aaa.acme.example: ...". `said`: what was wrong with the certificate, if that
/// is what it was.
pub fn tls(error: &Error, said: Option<Arc<str>>) -> Arc<str> {
    if let (Error::InvalidCertificate(_), Some(said)) = (error, &said) {
        return said.clone();
    }
    match error {
        Error::AlertReceived(alert) => received(*alert),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::InvalidCertificate(_) => {
            "it did not prove that it has the private key of its certificate: key and certificate do not belong together".into()
        }
        Error::PeerIncompatible(why) => incompatible(why),
        Error::NoApplicationProtocol => "it speaks another protocol over TLS, not radius/1.0 (ALPN)".into(),
        Error::DecryptError => "what it sends cannot be decrypted: it was changed on its way, or its TLS is broken".into(),
        Error::InvalidMessage(_) => "it does not speak TLS (is this the port of RadSec, 2083?)".into(),
        error => format!("its TLS does not keep to the rules: {error}").into(),
    }
}

fn incompatible(why: &PeerIncompatible) -> Arc<str> {
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it has only TLS versions before 1.2, which are not safe: update it".into()
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common: it needs ECDHE with AES-GCM or \
                                                     ChaCha20-Poly1305, and one for the kind of key of both certificates"
            .into(),
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "no group for the key exchange in common: X25519, P-256 and P-384 are taken".into()
        }
        PeerIncompatible::NoSignatureSchemesInCommon => {
            "it takes no signature that the key of our certificate can make".into()
        }
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "it takes no signature that the key of our certificate can make".into()
        }
        why => format!("its TLS and ours do not fit together ({why:?})").into(),
    }
}

/// What the other side complains of.
fn received(alert: AlertDescription) -> Arc<str> {
    use AlertDescription as A;
    let what = match alert {
        A::UnknownCA => "it does not know the CA of our certificate: have it added there (alert unknown_ca)",
        A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => {
            "it does not take our certificate: see its log for why (name, CA, or purpose)"
        }
        A::CertificateExpired => "it finds our certificate expired: renew it, or set the clock there",
        A::CertificateRevoked => "it finds our certificate revoked",
        A::CertificateRequired | A::NoCertificate => "it wants a certificate of us: set option certificate",
        A::AccessDenied => "it does not let us in: our certificate's name is not among its clients",
        A::HandshakeFailure | A::InsufficientSecurity => {
            "it has no TLS settings in common with us (or wants no certificate such as ours): see its log"
        }
        A::ProtocolVersion => "it has no TLS version in common with us: 1.2 and 1.3 are spoken here",
        A::NoApplicationProtocol => "it does not speak radius/1.0 (ALPN)",
        A::UnrecognisedName => "it does not know the name we call it by: set option server_name as it is known there",
        A::InternalError => "something within it failed: see its log",
        alert => return format!("it ended TLS with the alert {alert:?}").into(),
    };
    what.into()
}

/// What an error of a socket means, as the end of "acme's server aaa.acme.example: ...".
pub fn socket(error: &io::Error) -> Arc<str> {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused: nobody listens on that port".into(),
        ErrorKind::ConnectionReset => "it reset the connection".into(),
        ErrorKind::ConnectionAborted => "the connection was cut".into(),
        ErrorKind::TimedOut => "it does not answer any more".into(),
        ErrorKind::HostUnreachable => "there is no way to that host (host unreachable)".into(),
        ErrorKind::PermissionDenied => "this box's own firewall does not let us send there".into(),
        ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            "there is no way to that network: is the uplink up?".into()
        }
        ErrorKind::UnexpectedEof => "it ended the connection".into(),
        _ => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    #[test]
    fn what_was_said_of_a_certificate_is_told() {
        let error = Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(&*tls(&error, Some("its certificate expired".into())), "its certificate expired");
        let unsaid = tls(&error, None);
        assert!(unsaid.contains("private key"), "{unsaid}");
        let other = tls(&Error::DecryptError, Some("its certificate expired".into()));
        assert!(!other.contains("expired"), "{other}");
    }

    #[test]
    fn nothing_is_told_in_the_words_of_a_programmer() {
        for (error, part) in [
            (Error::AlertReceived(AlertDescription::UnknownCA), "the CA of our certificate"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "option certificate"),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "1.2 and 1.3"),
            (Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered), "before 1.2"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "does not speak TLS"),
            (Error::NoCertificatesPresented, "no certificate"),
            (Error::NoApplicationProtocol, "radius/1.0"),
        ] {
            let words = tls(&error, None);
            assert!(words.contains(part), "{words}");
        }
        let refused = socket(&io::Error::from(ErrorKind::ConnectionRefused));
        assert!(refused.starts_with("connection refused"), "{refused}");
    }
}

//! What goes wrong with EAP, in words, and whose fault it is.

use crate::pki::CertificateProblem;
use std::fmt;
use std::sync::Arc;

/// Why a conversation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The decision was no; the reason is the decision's.
    Refused,
    /// The device wants none of the methods there are.
    NoMethod {
        /// What it offers, in words ("EAP-MSCHAPv2"); `None` when it offers nothing.
        offered: Option<Arc<str>>,
        /// What we offer.
        ours: Arc<str>,
    },
    /// Nobody has this NAI.
    UnknownIdentity {
        /// As far as it can be shown; at most 64 characters.
        nai: Arc<str>,
    },
    /// The device does not have the key that belongs to its NAI.
    WrongKey {
        /// The device whose NAI it is.
        nai: Arc<str>,
    },
    /// The device took our proof and then said DONE_FAILURE: it does not want this network, or found something wrong.
    RefusedUs,
    /// The device's certificate does not count.
    Certificate {
        /// Its subject in words.
        subject: Arc<str>,
        /// What is wrong.
        problem: CertificateProblem,
    },
    /// The device showed no certificate.
    NoCertificate,
    /// The device does not trust our certificate, or found something else wrong: the name of the TLS alert it sent.
    Alert(Arc<str>),
    /// TLS cannot be agreed upon, or is used wrongly; in words.
    Tls(Arc<str>),
    /// A message that makes no sense; in words.
    Protocol(&'static str),
    /// Too many rounds or octets.
    TooLong,
    /// It began and did not go on.
    Abandoned {
        /// What it was last sent ("our certificate"); in words.
        after: &'static str,
    },
    /// There is no room for another conversation.
    NoRoom,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Refused => f.write_str("refused"),
            Problem::NoMethod { offered: Some(offered), ours } => {
                write!(f, "the device offers only {offered}, latchkey offers {ours}: set the device to one of these")
            }
            Problem::NoMethod { offered: None, ours } => {
                write!(f, "the device wants none of the methods that latchkey offers ({ours})")
            }
            Problem::UnknownIdentity { nai } => write!(f, "no device has the identity '{nai}'"),
            Problem::WrongKey { nai } => write!(f, "it says it is '{nai}', and has another EAP-PSK key"),
            Problem::RefusedUs => f.write_str("the device proved its key and then refused this network (DONE_FAILURE)"),
            Problem::Certificate { subject, problem } => write!(f, "the certificate of {subject} {problem}"),
            Problem::NoCertificate => f.write_str("the device showed no certificate"),
            Problem::Alert(alert) => write!(f, "the device ended TLS with \"{alert}\""),
            Problem::Tls(what) => write!(f, "TLS failed: {what}"),
            Problem::Protocol(what) => write!(f, "the device does not keep to the protocol: {what}"),
            Problem::TooLong => f.write_str("the conversation took too many rounds or octets"),
            Problem::Abandoned { after } => write!(f, "the device did not go on after {after}"),
            Problem::NoRoom => f.write_str("too many devices authenticate at this moment"),
        }
    }
}

//! Manufacturers whose certificates devices may show.

use crate::time::UnixTime;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A manufacturer that vouches for its devices with certificates (IEEE 802.1AR IDevID).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Its unique name, of the same form as a device's.
    pub name: Arc<str>,
    /// The certificates its devices' chains end in (DER), at most 16, each at most 8192 octets. None: its devices have other
    /// credentials.
    pub authorities: Vec<Box<[u8]>>,
    /// The profile of devices that are registered by themselves or approved.
    pub profile: Arc<str>,
    /// Which of its devices may in.
    pub admit: Admit,
    /// Its certificate revocation lists (PEM or DER), absolute paths; read at the start, at a reload, and when they change.
    pub crls: Vec<PathBuf>,
    /// Certificate revocation lists that came in a bundle (DER), at most one of each CA; they count like those in files.
    pub lists: Vec<Arc<[u8]>>,
    /// When the last bundle was issued that was imported for it: an older one would bring back what was replaced or withdrawn.
    pub bundle_issued: Option<UnixTime>,
}

/// Which devices of a maker may in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Only those that are registered with their certificate.
    Listed,
    /// The same; others are put on the pending list.
    Pending,
    /// All: one that comes for the first time is registered.
    All,
}

impl Admit {
    /// The word used in the command line, the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Admit::Listed => "listed",
            Admit::Pending => "pending",
            Admit::All => "all",
        }
    }
}

/// A word that is no admission rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be listed, pending or all")]
pub struct AdmitError;

impl FromStr for Admit {
    type Err = AdmitError;

    fn from_str(text: &str) -> Result<Admit, AdmitError> {
        match text {
            "listed" => Ok(Admit::Listed),
            "pending" => Ok(Admit::Pending),
            "all" => Ok(Admit::All),
            _ => Err(AdmitError),
        }
    }
}

impl fmt::Display for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

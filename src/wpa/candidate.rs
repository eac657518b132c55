//! A stored PMK, made ready to be tried quickly.

use super::hmac::{Key, Sha1};
use crate::secret::Pmk;
use std::fmt;

/// A PMK and its HMAC-SHA1 states, 72 octets. Wiped on drop, redacted in `Debug`.
///
/// The states save two of eleven compressions per trial with WPA-PSK, the common AKM. With the SHA-256 AKMs the PMK
/// is used as it is.
#[derive(Clone)]
pub struct Candidate {
    pmk: Pmk,
    sha1_key: Key<Sha1>,
}

impl Candidate {
    /// Costs two SHA-1 compressions: under 1 ms for 10,000 keys on a PC.
    pub fn new(pmk: Pmk) -> Candidate {
        let sha1_key = Key::new(pmk.expose());
        Candidate { pmk, sha1_key }
    }

    /// The PMK, for the answer to the NAS.
    pub fn pmk(&self) -> &Pmk {
        &self.pmk
    }

    /// The PMK as a key of HMAC-SHA1.
    pub(super) fn sha1_key(&self) -> &Key<Sha1> {
        &self.sha1_key
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Candidate(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_silent() {
        assert_eq!(size_of::<Candidate>(), 72);
        let shown = format!("{:?}", Candidate::new(Pmk::new([7; 32])));
        assert_eq!(shown, "Candidate(redacted)");
    }
}

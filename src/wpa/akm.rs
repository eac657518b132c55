//! Which authentication and key management (AKM) suites can be searched, and why the others cannot.

use crate::wire::rsn::Suite;
use std::fmt;

/// The AKMs whose PMK is the PSK itself, so that stored keys can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Akm {
    /// PSK (00-0F-AC:2, and 00-50-F2:2 of WPA).
    Psk,
    /// FT-PSK (00-0F-AC:4): fast roaming.
    FtPsk,
    /// PSK-SHA256 (00-0F-AC:6).
    PskSha256,
}

/// An AKM whose keys cannot be tried one by one, or are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key search not possible with AKM {suite} ({name}): {why}")]
pub struct AkmError {
    /// The suite.
    pub suite: Suite,
    /// Its name.
    pub name: &'static str,
    /// The reason.
    pub why: &'static str,
}

impl Akm {
    /// The AKM of a suite selector.
    pub fn from_suite(suite: Suite) -> Result<Akm, AkmError> {
        const SAE: &str = "SAE proves the password without showing anything that could be tried afterwards; \
                           find the device by its MAC address";
        const EAP: &str = "its PMK comes from EAP, not from a passphrase; send these requests to an EAP server";
        const SHA384: &str = "SHA-384 is not supported; use WPA-PSK, FT-PSK or WPA-PSK-SHA256";
        const OPEN: &str = "its PMK comes from a key agreement, not from a passphrase";
        let (name, why) = match suite.0 {
            0x000f_ac02 | 0x0050_f202 => return Ok(Akm::Psk),
            0x000f_ac04 => return Ok(Akm::FtPsk),
            0x000f_ac06 => return Ok(Akm::PskSha256),
            0x000f_ac08 => ("SAE", SAE),
            0x000f_ac09 => ("FT-SAE", SAE),
            0x000f_ac18 => ("SAE-EXT-KEY", SAE),
            0x000f_ac19 => ("FT-SAE-EXT-KEY", SAE),
            0x000f_ac13 => ("FT-PSK-SHA384", SHA384),
            0x000f_ac14 => ("PSK-SHA384", SHA384),
            0x000f_ac01 | 0x0050_f201 => ("IEEE 802.1X", EAP),
            0x000f_ac03 | 0x000f_ac0d | 0x000f_ac16 => ("FT with IEEE 802.1X", EAP),
            0x000f_ac05 | 0x000f_ac0b | 0x000f_ac0c | 0x000f_ac17 => ("IEEE 802.1X", EAP),
            0x000f_ac0e..=0x000f_ac11 => ("FILS", EAP),
            0x000f_ac12 => ("OWE", OPEN),
            0x506f_9a02 => ("DPP", OPEN),
            _ => ("unknown", "it is not known here; use WPA-PSK, FT-PSK or WPA-PSK-SHA256"),
        };
        Err(AkmError { suite, name, why })
    }

    /// The suite selector in its RSN form.
    pub fn suite(self) -> Suite {
        match self {
            Akm::Psk => Suite(0x000f_ac02),
            Akm::FtPsk => Suite(0x000f_ac04),
            Akm::PskSha256 => Suite(0x000f_ac06),
        }
    }
}

impl fmt::Display for Akm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Akm::Psk => "WPA-PSK",
            Akm::FtPsk => "FT-PSK",
            Akm::PskSha256 => "WPA-PSK-SHA256",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_both_ways() {
        for akm in [Akm::Psk, Akm::FtPsk, Akm::PskSha256] {
            assert_eq!(Akm::from_suite(akm.suite()), Ok(akm));
        }
        assert_eq!(Akm::from_suite(Suite(0x0050_f202)), Ok(Akm::Psk));
    }

    #[test]
    fn others_say_why() {
        for (suite, words) in [
            (0x000f_ac08, "AKM 00-0F-AC:8 (SAE): SAE proves"),
            (0x000f_ac18, "AKM 00-0F-AC:24 (SAE-EXT-KEY)"),
            (0x000f_ac01, "EAP"),
            (0x000f_ac14, "AKM 00-0F-AC:20 (PSK-SHA384): SHA-384"),
            (0x000f_ac12, "OWE"),
            (0x506f_9a02, "AKM 50-6F-9A:2 (DPP)"),
            (0xffff_ffff, "AKM FF-FF-FF:255 (unknown)"),
        ] {
            let error = Akm::from_suite(Suite(suite)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

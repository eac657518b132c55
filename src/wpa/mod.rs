//! The key search: which of the stored PMKs was this 4-way handshake made with?
//!
//! ```text
//! pmk        passphrase and SSID to PMK, once per key and SSID
//! candidate  a PMK made ready to be tried
//! handshake  ANonce and message 2, checked and prepared for the search
//! akm        which AKMs can be searched, and why not the others
//! kck, hmac  the inner loop: PMK to KCK, HMAC over prepared blocks
//! ```
//!
//! What a trial costs, for a message 2 of 121 octets:
//!
//! | AKM | key | MIC |
//! |---|---|---|
//! | 2, WPA-PSK | 3 SHA-1 compressions | 6 SHA-1 compressions |
//! | 6, WPA-PSK-SHA256 | 5 SHA-256 compressions | AES-CMAC of 8 blocks |
//! | 4, FT-PSK | 14 SHA-256 compressions | AES-CMAC of 16 blocks |

mod akm;
mod candidate;
mod handshake;
mod hmac;
mod kck;
pub mod pmk;

pub use akm::{Akm, AkmError};
pub use candidate::Candidate;
pub use handshake::{Handshake, HandshakeError};

/// The position of the first candidate that verifies. Give the likely ones first.
pub fn search<'a>(handshake: &Handshake, candidates: impl IntoIterator<Item = &'a Candidate>) -> Option<usize> {
    candidates.into_iter().position(|candidate| handshake.verify(candidate))
}

/// Entry of the fuzz target `handshake`: AKM number, SSID length, SSID, two addresses, ANonce, message 2.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    use crate::mac::MacAddr;
    use crate::secret::Pmk;
    use crate::wire::{eapol::KeyFrame, rsn::KeyData};

    let _ = KeyData::parse(data);
    if let Ok(frame) = KeyFrame::parse(data) {
        let _ = (frame.check_message_2(), KeyData::parse(frame.key_data), frame.octets_without_mic());
    }
    let parts = || {
        let ([akm, ssid_len], rest) = data.split_first_chunk()?;
        let (ssid, rest) = rest.split_at_checked(usize::from(*ssid_len))?;
        let (ap, rest) = rest.split_first_chunk()?;
        let (sta, rest) = rest.split_first_chunk()?;
        let (anonce, eapol) = rest.split_first_chunk()?;
        let akm = (*akm != 0).then_some(0x000f_ac00 | u32::from(*akm));
        Some((MacAddr(*ap), MacAddr(*sta), ssid, akm, anonce, eapol))
    };
    let Some((ap, sta, ssid, akm, anonce, eapol)) = parts() else { return };
    match Handshake::parse(ap, sta, ssid, akm, anonce, eapol) {
        Ok(handshake) => {
            let _ = (search(&handshake, &[Candidate::new(Pmk::new([7; 32]))]), format!("{handshake:?}"));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests;

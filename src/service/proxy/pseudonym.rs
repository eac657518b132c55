//! The address a realm's servers are told in place of a device's own: always the same one, and another for each realm, so that
//! two manufacturers cannot tell that they speak of one device.

use crate::mac::MacAddr;
use crate::secret::PseudonymKey;
use crate::service::Core;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The pseudonym of an address for a realm: the beginning of HMAC-SHA256(key, realm name || address), made a locally
/// administered unicast address (IEEE 802, 8.4).
pub fn pseudonym(key: &PseudonymKey, realm: &str, mac: MacAddr) -> MacAddr {
    let Ok(hmac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return MacAddr([2, 0, 0, 0, 0, 0]) };
    let digest = hmac.chain_update(realm.as_bytes()).chain_update(mac.0).finalize().into_bytes();
    let mut octets = [0; 6];
    octets.iter_mut().zip(digest).for_each(|(octet, random)| *octet = random);
    let [first, ..] = &mut octets;
    *first = *first & 0xfc | 0x02;
    MacAddr(octets)
}

impl Core {
    /// Makes a key that is not kept if there is none: an address that is not to be told never is.
    pub(in crate::service) fn ensure_pseudonyms(&mut self) {
        if self.proxy.pseudonyms.is_none() {
            let mut octets = Zeroizing::new([0; 32]);
            self.fill_random(&mut *octets);
            self.proxy.pseudonyms = Some(PseudonymKey::new(*octets));
        }
    }

    /// The pseudonym of an address for a realm; its own as long as there is no key, which is as long as none was told.
    pub fn pseudonym(&self, realm: &str, mac: MacAddr) -> MacAddr {
        self.proxy.pseudonyms.as_ref().map_or(mac, |key| pseudonym(key, realm, mac))
    }

    /// The connected device that a realm's servers call by this pseudonym, if it is one that this realm let in.
    pub fn unmask(&self, realm: &str, told: MacAddr) -> Option<MacAddr> {
        let its = |of: Option<&Arc<str>>| of.is_some_and(|of| **of == *realm);
        let in_sessions = self.sessions.iter().filter(|(_, session)| its(session.realm())).map(|(key, _)| key.mac);
        let granted = self.grants.of_realms().filter(|(_, grant)| its(grant.realm())).map(|(mac, _)| mac);
        in_sessions.chain(granted).find(|mac| self.pseudonym(realm, *mac) == told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_the_same_and_another_for_each_realm() {
        let (key, other) = (PseudonymKey::new([7; 32]), PseudonymKey::new([8; 32]));
        let mac = MacAddr([0, 0x1a, 0x11, 0, 0, 1]);
        let one = pseudonym(&key, "acme", mac);
        // Computed with Python's hmac.
        assert_eq!(one.to_string(), "5a:cc:55:be:2f:98");
        assert!(one.is_locally_administered() && !one.is_group());
        for different in [
            pseudonym(&other, "acme", mac),
            pseudonym(&key, "acme2", mac),
            pseudonym(&key, "acme", MacAddr([0, 0x1a, 0x11, 0, 0, 2])),
        ] {
            assert_ne!(one, different);
        }
    }
}

//! The answers: Message-Authenticator first in every Access-Accept and -Reject, the keys as this SSID needs them.

use super::auth::onboarding_key;
use crate::config::Security;
use crate::decision::{self, Grant, KEYS_PER_OFFER, KeyRef};
use crate::secret::{EapKeys, Pmk, RadiusSecret};
use crate::service::Core;
use crate::wire::radius::{AttributeType, BuildError, Builder, Code, MAX_PACKET_OCTETS, Packet, SaltSequence};
use zeroize::Zeroizing;

/// How many salts one packet takes at most.
pub const SALTS_PER_PACKET: u16 = KEYS_PER_OFFER as u16;
/// Octets of a Tunnel-Password with 64 digits: header 2, tag 1, salt 2, and 65 octets padded to 80.
const PMK_ATTRIBUTE: usize = 85;
/// Termination-Action: ask again (RFC 2865, 5.29).
const RADIUS_REQUEST: u32 = 1;
/// EAP-Failure without its identifier (RFC 3748, 4.2).
const EAP_FAILURE: u8 = 4;

/// Where the keys of an answer come from.
pub struct Keys<'a> {
    /// The state.
    pub core: &'a Core,
    /// The network.
    pub ssid: &'a [u8],
    /// The handshake proved the key: it is WPA2, whatever else the SSID allows.
    pub proved: bool,
}

impl Keys<'_> {
    /// Appends a key. WPA2 gets the PMK as 64 digits: from a passphrase hostapd would compute it in its event loop.
    /// SAE needs the passphrase (and can do without Hash-to-Element only, RADIUS has no way to send a PT).
    fn push(&self, key: KeyRef, builder: &mut Builder<'_>, salts: &mut SaltSequence) -> Result<(), BuildError> {
        let passphrase = match key {
            KeyRef::Device(id) => self.core.registry.get(id).and_then(|device| device.key.as_ref()),
            KeyRef::Onboarding => onboarding_key(self.core, self.ssid),
        };
        let wants_pmk = self.proved || self.core.config.ssid(self.ssid).is_none_or(|s| s.security == Security::Wpa2);
        match (self.core.keyring.pmk(self.ssid, key).filter(|_| wants_pmk), passphrase) {
            (Some(pmk), _) => builder.push_tunnel_password(0, &*hex(pmk), salts),
            (None, Some(passphrase)) => builder.push_tunnel_password(0, passphrase.expose().as_bytes(), salts),
            (None, None) => Ok(()),
        }
    }
}

/// Writes an Access-Accept.
///
/// # Errors
/// When it does not fit, which only an extravagant number of Proxy-States can bring about.
pub fn accept(
    secret: &RadiusSecret,
    request: &Packet<'_>,
    grant: &Grant,
    keys: &Keys<'_>,
    mut salts: SaltSequence,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, request, secret, out);
    if let Some(vlan) = grant.vlan {
        builder.push_vlan(vlan)?;
    }
    if let Some(seconds) = grant.session_timeout {
        builder.push_u32(AttributeType::SESSION_TIMEOUT, seconds)?;
    }
    builder.copy_proxy_states(request)?;
    match &grant.keys {
        decision::Keys::None => {}
        decision::Keys::One(key) => keys.push(*key, &mut builder, &mut salts)?,
        decision::Keys::Offered(ids) => {
            // hostapd tries the last one first, and SAE only that: the most likely key goes last.
            let room = MAX_PACKET_OCTETS.saturating_sub(builder.octets()) / PMK_ATTRIBUTE;
            for id in ids.iter().take(room).rev() {
                keys.push(KeyRef::Device(*id), &mut builder, &mut salts)?;
            }
        }
    }
    builder.finish();
    Ok(())
}

/// Writes an Access-Accept with Wi-Fi keys that are not of the registry, as they go into Tunnel-Passwords.
///
/// # Errors
/// When it does not fit, which only an extravagant number of Proxy-States can bring about.
pub fn accept_with(
    secret: &RadiusSecret,
    request: &Packet<'_>,
    grant: &Grant,
    keys: impl Iterator<Item = Zeroizing<String>>,
    mut salts: SaltSequence,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, request, secret, out);
    if let Some(vlan) = grant.vlan {
        builder.push_vlan(vlan)?;
    }
    if let Some(seconds) = grant.session_timeout {
        builder.push_u32(AttributeType::SESSION_TIMEOUT, seconds)?;
        builder.push_u32(AttributeType::TERMINATION_ACTION, RADIUS_REQUEST)?;
    }
    builder.copy_proxy_states(request)?;
    for key in keys {
        builder.push_tunnel_password(0, key.as_bytes(), &mut salts)?;
    }
    builder.finish();
    Ok(())
}

/// What EAP puts into an Access-Accept.
pub struct Eap<'a> {
    /// EAP-Success.
    pub packet: &'a [u8],
    /// What the method exports.
    pub keys: &'a EapKeys,
    /// User-Name, which the NAS uses in accounting: the device's.
    pub name: Option<&'a str>,
}

/// Writes an Access-Accept at the end of EAP (RFC 3579, 2.6.3; RFC 3580).
///
/// # Errors
/// When it does not fit, which only an extravagant number of Proxy-States can bring about.
pub fn accept_eap(
    secret: &RadiusSecret,
    request: &Packet<'_>,
    grant: &Grant,
    eap: &Eap<'_>,
    mut salts: SaltSequence,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let mut builder = Builder::reply(Code::ACCESS_ACCEPT, request, secret, out);
    if let Some(name) = eap.name {
        builder.push(AttributeType::USER_NAME, name.as_bytes())?;
    }
    if let Some(vlan) = grant.vlan {
        builder.push_vlan(vlan)?;
    }
    if let Some(seconds) = grant.session_timeout {
        builder.push_u32(AttributeType::SESSION_TIMEOUT, seconds)?;
        // It is asked again then, and the answer is what is true by then (RFC 3580, 3.17).
        builder.push_u32(AttributeType::TERMINATION_ACTION, RADIUS_REQUEST)?;
    }
    builder.push_mppe_keys(eap.keys.msk(), &mut salts)?;
    // For whoever asks for it (MACsec; RFC 7268, 2.2).
    if request.find(AttributeType::EAP_KEY_NAME).is_some() {
        builder.push(AttributeType::EAP_KEY_NAME, eap.keys.session_id())?;
    }
    builder.push_eap_message(eap.packet)?;
    builder.copy_proxy_states(request)?;
    builder.finish();
    Ok(())
}

/// Writes an Access-Challenge: another round of EAP (RFC 3579, 2.1).
///
/// # Errors
/// When it does not fit, which only an extravagant number of Proxy-States can bring about.
pub fn challenge(
    secret: &RadiusSecret,
    request: &Packet<'_>,
    state: &[u8; 16],
    eap: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let mut builder = Builder::reply(Code::ACCESS_CHALLENGE, request, secret, out);
    builder.push(AttributeType::STATE, state)?;
    // No Session-Timeout: hostapd would wait so long before it repeats a request that got lost.
    builder.push_eap_message(eap)?;
    builder.copy_proxy_states(request)?;
    builder.finish();
    Ok(())
}

/// Writes an Access-Reject; with EAP-Failure when the request was EAP (RFC 3579, 2.6.3).
pub fn reject(secret: &RadiusSecret, request: &Packet<'_>, out: &mut Vec<u8>) {
    let mut builder = Builder::reply(Code::ACCESS_REJECT, request, secret, out);
    let eap = request.find(AttributeType::EAP_MESSAGE).and_then(|eap| eap.get(1).copied());
    // Neither can fail but for lack of room, and a Reject without them is better than none.
    let _ = eap.map(|identifier| builder.push_eap_message(&[EAP_FAILURE, identifier, 0, 4]));
    let _ = builder.copy_proxy_states(request);
    builder.finish();
}

/// Answers a Status-Server (RFC 5997, 4): `code` is what this port answers with.
pub fn status(secret: &RadiusSecret, request: &Packet<'_>, code: Code, out: &mut Vec<u8>) {
    let mut builder = Builder::reply(code, request, secret, out);
    let _ = builder.copy_proxy_states(request);
    builder.finish();
}

/// Writes an Accounting-Response; with Message-Authenticator when the request had one.
pub fn accounting(secret: &RadiusSecret, request: &Packet<'_>, out: &mut Vec<u8>) {
    let code = Code::ACCOUNTING_RESPONSE;
    let mut builder = match request.find(AttributeType::MESSAGE_AUTHENTICATOR) {
        Some(_) => Builder::reply(code, request, secret, out),
        None => Builder::reply_without_message_authenticator(code, request, secret, out),
    };
    let _ = builder.copy_proxy_states(request);
    builder.finish();
}

/// A PMK as hostapd reads it: 64 hexadecimal digits.
fn hex(pmk: &Pmk) -> Zeroizing<[u8; 64]> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new([0; 64]);
    for (pair, octet) in text.chunks_exact_mut(2).zip(pmk.expose()) {
        if let [high, low] = pair {
            *high = DIGITS[usize::from(octet >> 4)];
            *low = DIGITS[usize::from(octet & 15)];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pmk_in_digits() {
        let mut octets = [0; 32];
        octets[0] = 0x0f;
        octets[31] = 0xa5;
        let text = hex(&Pmk::new(octets));
        assert!(text.starts_with(b"0f00") && text.ends_with(b"00a5"));
    }
}

//! From a packet that came into one that goes out: attributes as they stand, and what is hidden from hop to hop
//! (RFC 2865, 2.3; RFC 2868, 3.5; RFC 2548, 2.4).

use super::authenticator::{digest, message_authenticator};
use super::builder::{BuildError, Builder, write};
use super::dictionary::AttributeType;
use super::hidden::{
    Hop, MS_CHAP_MPPE_KEYS, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, RevealError, SaltSequence, VENDOR_MICROSOFT,
    rehide_password, rehide_salted,
};
use super::packet::{Attribute, Authenticator, HEADER_OCTETS, MAX_TAG, Packet, PacketError};
use crate::secret::RadiusSecret;
use hmac::Mac;

/// Octets of the Vendor-Id.
const VENDOR_OCTETS: usize = 4;

impl Builder<'_> {
    /// Adds an attribute as it stands in another packet: extended ones and their fragments too, whose order is the
    /// caller's concern (RFC 6929, 2.2). Stray octets between fragments do not come along.
    ///
    /// # Errors
    /// When it does not fit, or is a Message-Authenticator.
    pub fn copy(&mut self, attribute: &Attribute<'_>) -> Result<(), BuildError> {
        if attribute.kind == AttributeType::MESSAGE_AUTHENTICATOR {
            return Err(BuildError::Reserved(attribute.kind));
        }
        self.header(attribute.kind, attribute.value.len())?;
        self.out.extend_from_slice(attribute.value);
        Ok(())
    }

    /// Adds the User-Password of a request that came, hidden anew (RFC 2865, 5.2).
    ///
    /// # Errors
    /// When it does not fit, or has an impossible length.
    pub fn copy_user_password(&mut self, value: &[u8], from: Hop<'_>) -> Result<(), BuildError> {
        let (secret, authenticator) = self.hidden_by(AttributeType::USER_PASSWORD)?;
        self.all_or_none(|builder| {
            builder.header(AttributeType::USER_PASSWORD, value.len())?;
            let hidden = builder.append(value);
            Ok(rehide_password(hidden, from, Hop { secret, authenticator: &authenticator })?)
        })
    }

    /// Adds a Tunnel-Password of a reply that came, tag and all, hidden anew (RFC 2868, 3.5). A tag octet beyond 0x1f is
    /// none and becomes 0.
    ///
    /// # Errors
    /// When it does not fit, or cannot be read.
    pub fn copy_tunnel_password(
        &mut self,
        value: &[u8],
        from: Hop<'_>,
        salts: &mut SaltSequence,
    ) -> Result<(), BuildError> {
        let (secret, authenticator) = self.hidden_by(AttributeType::TUNNEL_PASSWORD)?;
        self.all_or_none(|builder| {
            builder.header(AttributeType::TUNNEL_PASSWORD, value.len())?;
            let hidden = builder.append(value);
            let Some((tag, salted)) = hidden.split_first_mut() else {
                return Err(RevealError::TunnelPasswordLength(0).into());
            };
            *tag = if *tag <= MAX_TAG { *tag } else { 0 };
            Ok(rehide_salted(salted, from, Hop { secret, authenticator: &authenticator }, salts.take())?)
        })
    }

    /// Adds a Vendor-Specific attribute of a reply that came: Microsoft's with its keys hidden anew, wherever they stand in it,
    /// all others as they are.
    ///
    /// # Errors
    /// When it does not fit, or a key cannot be read.
    pub fn copy_vendor_specific(
        &mut self,
        value: &[u8],
        from: Hop<'_>,
        salts: &mut SaltSequence,
    ) -> Result<(), BuildError> {
        let kind = AttributeType::VENDOR_SPECIFIC;
        let (secret, authenticator) = self.hidden_by(kind)?;
        let to = Hop { secret, authenticator: &authenticator };
        self.all_or_none(|builder| {
            builder.header(kind, value.len())?;
            let copied = builder.append(value);
            let Some((vendor, mut rest)) = copied.split_first_chunk_mut::<VENDOR_OCTETS>() else { return Ok(()) };
            if u32::from_be_bytes(*vendor) != VENDOR_MICROSOFT {
                return Ok(());
            }
            while let [sub_kind, length, ..] = *rest {
                let Some((sub, after)) = std::mem::take(&mut rest).split_at_mut_checked(usize::from(length)) else {
                    break;
                };
                let Some(text) = sub.get_mut(2..) else { break };
                match sub_kind {
                    MS_MPPE_SEND_KEY | MS_MPPE_RECV_KEY => rehide_salted(text, from, to, salts.take())?,
                    MS_CHAP_MPPE_KEYS => rehide_password(text, from, to)?,
                    _ => {}
                }
                rest = after;
            }
            Ok(())
        })
    }

    /// Adds only MS-MPPE-Send-Key and MS-MPPE-Recv-Key of a Vendor-Specific attribute that came, hidden anew, each in an attribute
    /// of its own; nothing of any other.
    ///
    /// # Errors
    /// When they do not fit, or cannot be read.
    pub fn copy_mppe_keys(&mut self, value: &[u8], from: Hop<'_>, salts: &mut SaltSequence) -> Result<(), BuildError> {
        let kind = AttributeType::VENDOR_SPECIFIC;
        let (secret, authenticator) = self.hidden_by(kind)?;
        let to = Hop { secret, authenticator: &authenticator };
        let Some((vendor, mut rest)) = value.split_first_chunk::<VENDOR_OCTETS>() else { return Ok(()) };
        if u32::from_be_bytes(*vendor) != VENDOR_MICROSOFT {
            return Ok(());
        }
        self.all_or_none(|builder| {
            while let [sub_kind, length, ..] = *rest {
                let Some((sub, after)) = rest.split_at_checked(usize::from(length)).filter(|(sub, _)| sub.len() >= 2)
                else {
                    break;
                };
                if matches!(sub_kind, MS_MPPE_SEND_KEY | MS_MPPE_RECV_KEY) {
                    builder.header(kind, VENDOR_OCTETS + sub.len())?;
                    builder.out.extend_from_slice(vendor);
                    let copied = builder.append(sub);
                    rehide_salted(copied.get_mut(2..).unwrap_or_default(), from, to, salts.take())?;
                }
                rest = after;
            }
            Ok(())
        })
    }

    /// Appends octets for which [`Builder::header`] has made room, and lends them.
    fn append(&mut self, octets: &[u8]) -> &mut [u8] {
        let start = self.out.len();
        self.out.extend_from_slice(octets);
        self.out.get_mut(start..).unwrap_or_default()
    }
}

/// Makes a finished request one for another server or another try, in place: Identifier, Request Authenticator (not of
/// Accounting-Request, whose is computed), User-Password and Message-Authenticator. The attributes stay where they are. Gives the
/// Request Authenticator that answers will be made with.
///
/// # Errors
/// When these octets are no packet.
pub fn readdress(
    octets: &mut [u8],
    identifier: u8,
    authenticator: Authenticator,
    from: &RadiusSecret,
    to: &RadiusSecret,
) -> Result<Authenticator, PacketError> {
    let packet = Packet::parse(octets)?;
    let place = |kind| packet.find_all(kind).next().map(|found| (found.offset + 2, found.value.len()));
    let (computed, before) = (packet.code().has_computed_authenticator(), *packet.authenticator());
    let (password, mac_at) = (place(AttributeType::USER_PASSWORD), place(AttributeType::MESSAGE_AUTHENTICATOR));
    if let Some(octet) = octets.get_mut(1) {
        *octet = identifier;
    }
    let covered = if computed { [0; 16] } else { authenticator };
    if let Some((at, length)) = password
        && !computed
        && let Some(value) = octets.get_mut(at..at + length)
    {
        // One of an impossible length was not let in.
        let (from, to) = (Hop { secret: from, authenticator: &before }, Hop { secret: to, authenticator: &covered });
        let _ = rehide_password(value, from, to);
    }
    let at = HEADER_OCTETS - covered.len();
    write(octets, at, &covered);
    if let Some((value, 16)) = mac_at
        && let Some(mac) = message_authenticator(octets, value - 2, &covered, to)
    {
        write(octets, value, &mac.finalize().into_bytes());
    }
    if !computed {
        return Ok(covered);
    }
    let authenticator = digest(octets, &covered, to);
    write(octets, at, &authenticator);
    Ok(authenticator)
}

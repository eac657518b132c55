//! From one hop to the next: what a packet says, hidden anew and with what is to be said on the way (RFC 2865, 2.3).

use super::{Answer, Order};
use crate::config::Share;
use crate::mac::MacAddr;
use crate::secret::RadiusSecret;
use crate::wire::radius::{
    Attribute, AttributeType, Authenticator, BuildError, Builder, Code, Hop, MAX_VALUE_OCTETS, Packet, SaltSequence,
    VENDOR_FREERADIUS, reveal_user_password,
};

/// Termination-Action RADIUS-Request (RFC 2865, 5.29): the NAS asks anew at the end of the session.
const RADIUS_REQUEST: u32 = 1;
/// Extended-Type of Extended-Vendor-Specific (RFC 6929, 3.5).
const EXTENDED_VENDOR_SPECIFIC: u8 = 26;
/// More flag of a fragment (RFC 6929, 2.2).
const MORE: u8 = 0x80;

/// What a request is written with for its next hop.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// Identifier.
    pub identifier: u8,
    /// The Request Authenticator, random; Accounting-Request has a computed one.
    pub authenticator: Authenticator,
    /// The secret of that hop.
    pub secret: &'a RadiusSecret,
    /// What our Proxy-State says.
    pub proxy_state: [u8; 16],
}

/// Writes a request, Access-Request or Accounting-Request, for its next hop: Message-Authenticator first, then what came, as it came and
/// in order, and our Proxy-State at the end. User-Password is hidden anew, and what CHAP-Password refers to is said
/// (RFC 2865, 2.2). A User-Password of an impossible length is left out: it cannot be read.
///
/// # Errors
/// When it does not fit.
pub fn request(order: &Order<'_>, next: &Next<'_>, out: &mut Vec<u8>) -> Result<(), BuildError> {
    let request = &order.request;
    let accounting = request.code() == Code::ACCOUNTING_REQUEST;
    let mut builder = match request.find(AttributeType::MESSAGE_AUTHENTICATOR) {
        Some(_) if accounting => {
            Builder::accounting_request_with_message_authenticator(next.identifier, next.secret, out)
        }
        None if accounting => Builder::accounting_request(next.identifier, next.secret, out),
        _ => Builder::access_request(next.identifier, next.authenticator, next.secret, out),
    };
    let from = Hop { secret: order.secret, authenticator: request.authenticator() };
    let needed = order.share == Share::Needed;
    let eap = request.find(AttributeType::EAP_MESSAGE).is_some();
    let station = request.find(AttributeType::CALLING_STATION_ID).and_then(|value| MacAddr::parse_bytes(value).ok());
    // MAC-ACL: the name, and often the password too, is the address that is not to be told.
    let named_so = |name: &[u8]| order.pseudonym.filter(|_| MacAddr::parse_bytes(name).ok() == station);
    let named_so = |name: &[u8]| station.and_then(|_| named_so(name));
    if needed {
        let name = order.nas_identifier.as_bytes();
        if !name.is_empty() {
            builder.push(AttributeType::NAS_IDENTIFIER, name.get(..MAX_VALUE_OCTETS).unwrap_or(name))?;
        }
    }
    let begins = begins(request);
    let mut goes_on = None;
    for attribute in request.attributes() {
        // Only the first fragment says whose attribute it is (RFC 6929, 2.2).
        let told = goes_on.unwrap_or_else(|| !needed || is_needed(&attribute, accounting, eap));
        goes_on = is_unfinished(&attribute).then_some(told);
        match attribute.kind {
            AttributeType::MESSAGE_AUTHENTICATOR => {}
            AttributeType::STATE if begins => {}
            _ if !told => {}
            AttributeType::CALLING_STATION_ID => match (order.pseudonym, station) {
                (Some(mac), _) => builder.push(attribute.kind, &hyphens(mac))?,
                (None, Some(mac)) if needed => builder.push(attribute.kind, &hyphens(mac))?,
                (None, None) if needed => {}
                _ => builder.copy(&attribute)?,
            },
            AttributeType::USER_NAME => match named_so(attribute.value) {
                Some(mac) => builder.push(attribute.kind, &plain(mac))?,
                None => builder.copy(&attribute)?,
            },
            AttributeType::USER_PASSWORD => {
                let name = request.find(AttributeType::USER_NAME).and_then(named_so);
                match name.filter(|_| password_is_station(&attribute, from, station)) {
                    Some(mac) => builder.push_user_password(&plain(mac))?,
                    None => match builder.copy_user_password(attribute.value, from) {
                        Err(BuildError::Hidden(_)) => {}
                        result => result?,
                    },
                }
            }
            _ => builder.copy(&attribute)?,
        }
    }
    if request.find(AttributeType::CHAP_PASSWORD).is_some() && request.find(AttributeType::CHAP_CHALLENGE).is_none() {
        builder.push(AttributeType::CHAP_CHALLENGE, request.authenticator())?;
    }
    builder.push(AttributeType::PROXY_STATE, &next.proxy_state)?;
    builder.finish();
    Ok(())
}

/// True for the first round of EAP, an EAP-Response/Identity. When a device begins anew, its NAS sends the State of the last challenge all
/// the same: it is of another conversation, and may be another server's.
pub(super) fn begins(request: &Packet<'_>) -> bool {
    const RESPONSE: u8 = 2;
    const IDENTITY: u8 = 1;
    matches!(request.find(AttributeType::EAP_MESSAGE), Some([RESPONSE, _, _, _, IDENTITY, ..]))
}

/// Whether this is told where little is: what a server needs to say who it is ([`Share::Needed`]).
fn is_needed(attribute: &Attribute<'_>, accounting: bool, eap: bool) -> bool {
    match attribute.kind {
        AttributeType::USER_NAME
        | AttributeType::SERVICE_TYPE
        | AttributeType::STATE
        | AttributeType::CALLING_STATION_ID
        | AttributeType::PROXY_STATE
        | AttributeType::NAS_PORT_TYPE
        | AttributeType::CHARGEABLE_USER_IDENTITY => true,
        // That and when, but not how much and where.
        AttributeType::CLASS
        | AttributeType::ACCT_STATUS_TYPE
        | AttributeType::ACCT_DELAY_TIME
        | AttributeType::ACCT_SESSION_ID
        | AttributeType::ACCT_MULTI_SESSION_ID
        | AttributeType::ACCT_AUTHENTIC
        | AttributeType::ACCT_SESSION_TIME
        | AttributeType::ACCT_TERMINATE_CAUSE
        | AttributeType::EVENT_TIMESTAMP => accounting,
        AttributeType::FRAMED_MTU | AttributeType::EAP_MESSAGE | AttributeType::EAP_KEY_NAME => !accounting,
        // Who it is, without EAP; a Wi-Fi key is one for an SSID, and proved by the handshake.
        AttributeType::USER_PASSWORD
        | AttributeType::CHAP_PASSWORD
        | AttributeType::CHAP_CHALLENGE
        | AttributeType::CALLED_STATION_ID
        | AttributeType::WLAN_AKM_SUITE => !accounting && !eap,
        AttributeType::EXTENDED_5 => !accounting && !eap && is_handshake(attribute),
        _ => false,
    }
}

/// True for what hostapd tells of a 4-way handshake.
fn is_handshake(attribute: &Attribute<'_>) -> bool {
    let vendor = |octets: [u8; 4]| u32::from_be_bytes(octets) == VENDOR_FREERADIUS;
    matches!(*attribute.value, [EXTENDED_VENDOR_SPECIFIC, _, a, b, c, d, ..] if vendor([a, b, c, d]))
}

/// True if another fragment follows.
fn is_unfinished(attribute: &Attribute<'_>) -> bool {
    attribute.kind.is_long_extended() && attribute.value.get(1).is_some_and(|flags| flags & MORE != 0)
}

/// Whether the password of MAC-ACL is the address once more.
fn password_is_station(attribute: &Attribute<'_>, from: Hop<'_>, station: Option<MacAddr>) -> bool {
    let password = reveal_user_password(attribute.value, from.secret, from.authenticator);
    password.is_ok_and(|password| station.is_some() && MacAddr::parse_bytes(password.expose()).ok() == station)
}

/// `AA-BB-CC-DD-EE-FF` (RFC 3580, 3.21).
fn hyphens(mac: MacAddr) -> [u8; 17] {
    let mut text = [b'-'; 17];
    for (pair, octet) in text.chunks_mut(3).zip(mac.0) {
        digits(pair, octet, b"0123456789ABCDEF");
    }
    text
}

/// `aabbccddeeff`, as hostapd's MAC-ACL writes it.
fn plain(mac: MacAddr) -> [u8; 12] {
    let mut text = [0; 12];
    for (pair, octet) in text.chunks_mut(2).zip(mac.0) {
        digits(pair, octet, b"0123456789abcdef");
    }
    text
}

fn digits(to: &mut [u8], octet: u8, alphabet: &[u8; 16]) {
    let digits = [octet >> 4, octet & 15].map(|digit| alphabet[usize::from(digit)]);
    to.iter_mut().zip(digits).for_each(|(to, digit)| *to = digit);
}

/// What becomes of an answer on the way back.
#[derive(Debug, Clone, Copy)]
pub enum Terms<'a> {
    /// It goes back whole: from a server of our own.
    Pass,
    /// An Access-Accept, reduced to who it is and what keys there are; the rest is ours. Of Access-Challenge and Access-Reject
    /// what the conversation needs is left: EAP-Message, State, Reply-Message, Error-Cause.
    Ours {
        /// The VLAN.
        vlan: Option<u16>,
        /// Session-Timeout in seconds, with Termination-Action RADIUS-Request.
        session_timeout: Option<u32>,
        /// User-Name for accounting; without it the server's.
        user_name: Option<&'a str>,
        /// Whether Tunnel-Passwords (Wi-Fi keys) are let through: only from a server of our own.
        wifi_keys: bool,
    },
}

/// Writes the answer for the NAS: Message-Authenticator first (in an Accounting-Response, when the request had one), the attributes in
/// the order they came, and the Proxy-States of the NAS; none of those that came back. Tunnel-Passwords and Microsoft's keys are
/// hidden anew.
///
/// # Errors
/// When it does not fit, or its keys cannot be read.
pub fn reply(
    answer: &Answer<'_>,
    answer_secret: &RadiusSecret,
    request: &Packet<'_>,
    request_secret: &RadiusSecret,
    terms: &Terms<'_>,
    mut salts: SaltSequence,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let code = answer.packet.code();
    let from = Hop { secret: answer_secret, authenticator: &answer.authenticator };
    let mut builder = match request.find(AttributeType::MESSAGE_AUTHENTICATOR) {
        None if code == Code::ACCOUNTING_RESPONSE => {
            Builder::reply_without_message_authenticator(code, request, request_secret, out)
        }
        _ => Builder::reply(code, request, request_secret, out),
    };
    let accept = code == Code::ACCESS_ACCEPT;
    if let (Terms::Ours { vlan, session_timeout, user_name, .. }, true) = (terms, accept) {
        if let Some(name) = user_name {
            builder.push(AttributeType::USER_NAME, name.as_bytes())?;
        }
        if let Some(vlan) = vlan {
            builder.push_vlan(*vlan)?;
        }
        if let Some(seconds) = session_timeout {
            builder.push_u32(AttributeType::SESSION_TIMEOUT, *seconds)?;
            builder.push_u32(AttributeType::TERMINATION_ACTION, RADIUS_REQUEST)?;
        }
    }
    for attribute in answer.packet.attributes() {
        let value = attribute.value;
        match (attribute.kind, terms) {
            (AttributeType::MESSAGE_AUTHENTICATOR | AttributeType::PROXY_STATE, _) => {}
            (AttributeType::VENDOR_SPECIFIC, Terms::Ours { .. }) if accept => {
                builder.copy_mppe_keys(value, from, &mut salts)?;
            }
            (AttributeType::TUNNEL_PASSWORD, Terms::Ours { wifi_keys: true, .. }) if accept => {
                builder.copy_tunnel_password(value, from, &mut salts)?;
            }
            (kind, Terms::Ours { user_name, .. }) => {
                if is_theirs(kind, accept, user_name.is_some()) {
                    builder.copy(&attribute)?;
                }
            }
            (AttributeType::VENDOR_SPECIFIC, Terms::Pass) => {
                builder.copy_vendor_specific(value, from, &mut salts)?;
            }
            (AttributeType::TUNNEL_PASSWORD, Terms::Pass) => builder.copy_tunnel_password(value, from, &mut salts)?,
            (_, Terms::Pass) => builder.copy(&attribute)?,
        }
    }
    builder.copy_proxy_states(request)?;
    builder.finish();
    Ok(())
}

/// What somebody who says who a device is may say to the NAS as well.
fn is_theirs(kind: AttributeType, accept: bool, named: bool) -> bool {
    match kind {
        AttributeType::EAP_MESSAGE
        | AttributeType::STATE
        | AttributeType::REPLY_MESSAGE
        | AttributeType::ERROR_CAUSE => true,
        AttributeType::USER_NAME => accept && !named,
        AttributeType::CLASS | AttributeType::CHARGEABLE_USER_IDENTITY | AttributeType::EAP_KEY_NAME => accept,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

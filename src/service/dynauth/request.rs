//! What a Disconnect- or CoA-Request says (RFC 5176, 3 and 3.6): which session, and what is to become of it.

use crate::mac::MacAddr;
use crate::wire::radius::{AttributeType, Code, Packet, SERVICE_TYPE_AUTHORIZE_ONLY, error_cause};
use std::net::IpAddr;

/// Which sessions. All that is given must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selected<'a> {
    /// Calling-Station-Id: the device's address, or its pseudonym.
    pub mac: Option<MacAddr>,
    /// User-Name.
    pub user_name: Option<&'a [u8]>,
    /// Acct-Session-Id.
    pub session_id: Option<&'a [u8]>,
    /// Acct-Multi-Session-Id.
    pub multi_id: Option<&'a [u8]>,
    /// Class.
    pub class: Option<&'a [u8]>,
    /// Chargeable-User-Identity.
    pub cui: Option<&'a [u8]>,
    /// NAS-Identifier.
    pub nas_identifier: Option<&'a [u8]>,
    /// NAS-IP-Address or NAS-IPv6-Address.
    pub nas_address: Option<IpAddr>,
    /// Only sessions of devices of this domain: that for which DNS told the server that asks.
    pub nai_realm: Option<&'a str>,
}

/// What is to become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They are to end.
    End,
    /// They are to end after so many seconds from now (Session-Timeout).
    Stay(u32),
    /// They are to be authorized anew, and only that (RFC 5176, 3.2).
    AuthorizeOnly,
    /// Nothing is said: at most, that there is something new.
    Anew,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Which sessions.
    pub selected: Selected<'a>,
    /// What is to become of them.
    pub change: Change,
}

impl<'a> Wanted<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// The Error-Cause that says what is wrong with it.
    pub fn read(packet: &Packet<'a>) -> Result<Wanted<'a>, u32> {
        let mut selected = Selected::default();
        let (mut timeout, mut service, mut state, mut after) = (None, None, false, false);
        let is_change = packet.code() == Code::COA_REQUEST;
        for attribute in packet.attributes() {
            let value = attribute.value;
            match attribute.kind {
                AttributeType::CALLING_STATION_ID => {
                    let mac = MacAddr::parse_bytes(value).map_err(|_| error_cause::INVALID_ATTRIBUTE_VALUE)?;
                    once(&mut selected.mac, mac)?;
                }
                AttributeType::USER_NAME => once(&mut selected.user_name, value)?,
                AttributeType::ACCT_SESSION_ID => once(&mut selected.session_id, value)?,
                AttributeType::ACCT_MULTI_SESSION_ID => once(&mut selected.multi_id, value)?,
                AttributeType::CLASS => once(&mut selected.class, value)?,
                AttributeType::CHARGEABLE_USER_IDENTITY => once(&mut selected.cui, value)?,
                AttributeType::NAS_IDENTIFIER => once(&mut selected.nas_identifier, value)?,
                AttributeType::NAS_IP_ADDRESS | AttributeType::NAS_IPV6_ADDRESS => {
                    once(&mut selected.nas_address, address(value)?)?;
                }
                AttributeType::EVENT_TIMESTAMP if value.len() != 4 => return Err(error_cause::INVALID_ATTRIBUTE_VALUE),
                AttributeType::MESSAGE_AUTHENTICATOR
                | AttributeType::PROXY_STATE
                | AttributeType::EVENT_TIMESTAMP
                | AttributeType::REPLY_MESSAGE => {}
                AttributeType::ACCT_TERMINATE_CAUSE if !is_change => {}
                AttributeType::SERVICE_TYPE if is_change => once(&mut service, number(value)?)?,
                AttributeType::STATE if is_change => state = true,
                AttributeType::SESSION_TIMEOUT if is_change => once(&mut timeout, number(value)?)?,
                // At the end the device is asked to authenticate anew in any case.
                AttributeType::TERMINATION_ACTION if is_change => match number(value)? {
                    0 | 1 => after = true,
                    _ => return Err(error_cause::INVALID_ATTRIBUTE_VALUE),
                },
                // Above all what places or limits a device: that is ours.
                _ => return Err(error_cause::UNSUPPORTED_ATTRIBUTE),
            }
        }
        let Selected { mac, user_name, session_id, multi_id, class, cui, .. } = selected;
        let named = [user_name, session_id, multi_id, class, cui].iter().any(Option::is_some);
        if mac.is_none() && !named {
            return Err(error_cause::MISSING_ATTRIBUTE);
        }
        let change = match (is_change, service, timeout) {
            (false, ..) => Change::End,
            (true, Some(SERVICE_TYPE_AUTHORIZE_ONLY), None) if after => return Err(error_cause::UNSUPPORTED_ATTRIBUTE),
            (true, Some(SERVICE_TYPE_AUTHORIZE_ONLY), None) if state => Change::AuthorizeOnly,
            (true, Some(SERVICE_TYPE_AUTHORIZE_ONLY), None) => return Err(error_cause::MISSING_ATTRIBUTE),
            (true, Some(SERVICE_TYPE_AUTHORIZE_ONLY), Some(_)) => return Err(error_cause::UNSUPPORTED_ATTRIBUTE),
            (true, Some(_), _) => return Err(error_cause::UNSUPPORTED_SERVICE),
            (true, None, _) if state => return Err(error_cause::UNSUPPORTED_ATTRIBUTE),
            (true, None, Some(seconds)) => Change::Stay(seconds),
            (true, None, None) if after => return Err(error_cause::MISSING_ATTRIBUTE),
            (true, None, None) => Change::Anew,
        };
        Ok(Wanted { selected, change })
    }
}

/// An attribute that can be there once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), u32> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(error_cause::INVALID_REQUEST),
    }
}

fn number(value: &[u8]) -> Result<u32, u32> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| error_cause::INVALID_ATTRIBUTE_VALUE)
}

fn address(value: &[u8]) -> Result<IpAddr, u32> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    let either = four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from));
    either.map(|address| address.to_canonical()).map_err(|_| error_cause::INVALID_ATTRIBUTE_VALUE)
}

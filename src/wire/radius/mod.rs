//! RADIUS packets (RFC 2865, 2866, 2868, 2869, 3579, 5080, 5176, 5997, 6929): checked views of what came, and a
//! builder for what goes out. No I/O, no clock; what has to be random comes from the caller.
//!
//! The way of a request through a server:
//!
//! 1. [`Packet::parse`]: the form is right, or the datagram is dropped.
//! 2. [`verify_message_authenticator`], or [`verify_request_authenticator`] for accounting: it is from a client that
//!    has the secret, or it is dropped. Nothing in the packet means anything before.
//! 3. [`Packet::find`] and its like, [`freeradius_802_1x`], [`CalledStationId`]: what is asked.
//! 4. [`Builder::reply`], the attributes, [`Builder::copy_proxy_states`], [`Builder::finish`]: the answer.
//!
//! Reading allocates nothing, but for values that came in fragments; writing reuses the caller's buffer.

mod authenticator;
mod builder;
#[cfg(test)]
mod builder_tests;
mod copy;
mod dictionary;
mod extended;
mod fragments;
mod fuzzing;
mod hidden;
mod packet;
mod station_id;
mod stream;
#[cfg(test)]
pub(crate) mod vectors;

pub use authenticator::{
    MessageAuthenticator, verify_message_authenticator, verify_request_authenticator, verify_response_authenticator,
};
pub use builder::{BuildError, Builder};
pub use copy::readdress;
pub use dictionary::{
    AttributeType, Code, NAS_PORT_TYPE_IEEE_802_11, SERVICE_TYPE_AUTHORIZE_ONLY, SERVICE_TYPE_FRAMED,
    TUNNEL_MEDIUM_TYPE_IEEE_802, TUNNEL_TYPE_VLAN, acct_status_type, error_cause,
};
pub use extended::{
    ExtendedAttribute, ExtendedAttributes, ExtendedVendorSpecific, FREERADIUS_802_1X_ANONCE,
    FREERADIUS_802_1X_EAPOL_KEY_MSG, FreeRadius8021x, VENDOR_FREERADIUS, extended_attributes, freeradius_802_1x,
};
#[doc(hidden)]
pub use fuzzing::fuzz;
pub use hidden::{
    Hop, MAX_TUNNEL_PASSWORD_OCTETS, MAX_USER_PASSWORD_OCTETS, MPPE_KEY_OCTETS, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY,
    RevealError, Revealed, SaltSequence, reveal_mppe_key, reveal_tunnel_password, reveal_user_password,
};
pub use packet::{
    Attribute, Attributes, Authenticator, HEADER_OCTETS, MAX_PACKET_OCTETS, MAX_TAG, MAX_VALUE_OCTETS, Packet,
    PacketError,
};
pub use station_id::{CalledStationId, MAX_SSID_OCTETS, unescape};
#[doc(hidden)]
pub use stream::fuzz_stream;
pub use stream::{Stream, StreamError};

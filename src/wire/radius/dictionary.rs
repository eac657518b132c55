//! The numbers of RADIUS: packet codes, attribute types, and the values of the enumerated attributes that are used.

use std::fmt;

macro_rules! numbers {
    ($(#[$meta:meta])* $name:ident, $unknown:literal: $($(#[$doc:meta])* $constant:ident = $number:literal, $text:literal;)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $($(#[$doc])* pub const $constant: $name = $name($number);)*

            /// The registered name, where it is one of the constants here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!($unknown, " {}"), self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

numbers! {
    /// The Code field of a packet (RFC 2865, 3; RFC 5176, 2.3). Any octet can stand there.
    Code, "Code":
    /// From the NAS: may this user or device in (RFC 2865, 4.1).
    ACCESS_REQUEST = 1, "Access-Request";
    /// From the server: yes, on these terms (RFC 2865, 4.2).
    ACCESS_ACCEPT = 2, "Access-Accept";
    /// From the server: no (RFC 2865, 4.3).
    ACCESS_REJECT = 3, "Access-Reject";
    /// From the NAS: a session begins, goes on or ends (RFC 2866, 4.1).
    ACCOUNTING_REQUEST = 4, "Accounting-Request";
    /// From the server: recorded (RFC 2866, 4.2).
    ACCOUNTING_RESPONSE = 5, "Accounting-Response";
    /// From the server: another round, as in EAP (RFC 2865, 4.4).
    ACCESS_CHALLENGE = 11, "Access-Challenge";
    /// From the client: are you there (RFC 5997).
    STATUS_SERVER = 12, "Status-Server";
    /// To the NAS: end this session (RFC 5176, 2.1).
    DISCONNECT_REQUEST = 40, "Disconnect-Request";
    /// From the NAS: ended (RFC 5176, 2.1).
    DISCONNECT_ACK = 41, "Disconnect-ACK";
    /// From the NAS: not ended, see Error-Cause (RFC 5176, 2.1).
    DISCONNECT_NAK = 42, "Disconnect-NAK";
    /// To the NAS: change this session (RFC 5176, 2.2).
    COA_REQUEST = 43, "CoA-Request";
    /// From the NAS: changed (RFC 5176, 2.2).
    COA_ACK = 44, "CoA-ACK";
    /// From the NAS: not changed, see Error-Cause (RFC 5176, 2.2).
    COA_NAK = 45, "CoA-NAK";
    /// From the server: a request of a kind it does not take, see Error-Cause (RFC 7930, 4).
    PROTOCOL_ERROR = 52, "Protocol-Error";
}

numbers! {
    /// The Type field of an attribute. Any octet can stand there.
    AttributeType, "Attribute":
    /// Text (RFC 2865, 5.1). hostapd's MAC-ACL writes the station as `aabbccddeeff`.
    USER_NAME = 1, "User-Name";
    /// Hidden, 16 to 128 octets (RFC 2865, 5.2).
    USER_PASSWORD = 2, "User-Password";
    /// Identifier and response (RFC 2865, 5.3).
    CHAP_PASSWORD = 3, "CHAP-Password";
    /// 4 octets (RFC 2865, 5.4).
    NAS_IP_ADDRESS = 4, "NAS-IP-Address";
    /// Integer (RFC 2865, 5.5); hostapd writes the association identifier.
    NAS_PORT = 5, "NAS-Port";
    /// Integer (RFC 2865, 5.6).
    SERVICE_TYPE = 6, "Service-Type";
    /// Integer (RFC 2865, 5.7).
    FRAMED_PROTOCOL = 7, "Framed-Protocol";
    /// 4 octets (RFC 2865, 5.8).
    FRAMED_IP_ADDRESS = 8, "Framed-IP-Address";
    /// Text (RFC 2865, 5.11).
    FILTER_ID = 11, "Filter-Id";
    /// Integer, octets (RFC 2865, 5.12).
    FRAMED_MTU = 12, "Framed-MTU";
    /// Text for the user (RFC 2865, 5.18).
    REPLY_MESSAGE = 18, "Reply-Message";
    /// Opaque; echoed by the NAS in the next Access-Request (RFC 2865, 5.24).
    STATE = 24, "State";
    /// Opaque; echoed by the NAS in accounting (RFC 2865, 5.25).
    CLASS = 25, "Class";
    /// Vendor-Id and the vendor's own octets (RFC 2865, 5.26).
    VENDOR_SPECIFIC = 26, "Vendor-Specific";
    /// Integer, seconds (RFC 2865, 5.27).
    SESSION_TIMEOUT = 27, "Session-Timeout";
    /// Integer, seconds (RFC 2865, 5.28). hostapd does not read it.
    IDLE_TIMEOUT = 28, "Idle-Timeout";
    /// Integer (RFC 2865, 5.29).
    TERMINATION_ACTION = 29, "Termination-Action";
    /// `AA-BB-CC-DD-EE-FF:SSID` (RFC 3580, 3.20).
    CALLED_STATION_ID = 30, "Called-Station-Id";
    /// `AA-BB-CC-DD-EE-FF` (RFC 3580, 3.21).
    CALLING_STATION_ID = 31, "Calling-Station-Id";
    /// Text (RFC 2865, 5.32).
    NAS_IDENTIFIER = 32, "NAS-Identifier";
    /// Opaque; goes back in the reply unchanged and in order (RFC 2865, 5.33).
    PROXY_STATE = 33, "Proxy-State";
    /// Integer (RFC 2866, 5.1), see [`acct_status_type`].
    ACCT_STATUS_TYPE = 40, "Acct-Status-Type";
    /// Integer, seconds (RFC 2866, 5.2).
    ACCT_DELAY_TIME = 41, "Acct-Delay-Time";
    /// Integer, octets modulo 2^32 (RFC 2866, 5.3).
    ACCT_INPUT_OCTETS = 42, "Acct-Input-Octets";
    /// Integer, octets modulo 2^32 (RFC 2866, 5.4).
    ACCT_OUTPUT_OCTETS = 43, "Acct-Output-Octets";
    /// Text (RFC 2866, 5.5).
    ACCT_SESSION_ID = 44, "Acct-Session-Id";
    /// Integer (RFC 2866, 5.6).
    ACCT_AUTHENTIC = 45, "Acct-Authentic";
    /// Integer, seconds (RFC 2866, 5.7).
    ACCT_SESSION_TIME = 46, "Acct-Session-Time";
    /// Integer (RFC 2866, 5.8).
    ACCT_INPUT_PACKETS = 47, "Acct-Input-Packets";
    /// Integer (RFC 2866, 5.9).
    ACCT_OUTPUT_PACKETS = 48, "Acct-Output-Packets";
    /// Integer (RFC 2866, 5.10).
    ACCT_TERMINATE_CAUSE = 49, "Acct-Terminate-Cause";
    /// Text (RFC 2866, 5.11).
    ACCT_MULTI_SESSION_ID = 50, "Acct-Multi-Session-Id";
    /// Integer, 2^32 octets (RFC 2869, 5.1).
    ACCT_INPUT_GIGAWORDS = 52, "Acct-Input-Gigawords";
    /// Integer, 2^32 octets (RFC 2869, 5.2).
    ACCT_OUTPUT_GIGAWORDS = 53, "Acct-Output-Gigawords";
    /// Integer, seconds since 1970 (RFC 2869, 5.3).
    EVENT_TIMESTAMP = 55, "Event-Timestamp";
    /// 4 octets: 0x31 tagged or 0x32 untagged, 12 bits zero, VLAN in 12 bits (RFC 4675, 2.1).
    EGRESS_VLANID = 56, "Egress-VLANID";
    /// The challenge, where it is not the Request Authenticator (RFC 2865, 5.40).
    CHAP_CHALLENGE = 60, "CHAP-Challenge";
    /// Integer (RFC 2865, 5.41).
    NAS_PORT_TYPE = 61, "NAS-Port-Type";
    /// Tag and 3 octets (RFC 2868, 3.1).
    TUNNEL_TYPE = 64, "Tunnel-Type";
    /// Tag and 3 octets (RFC 2868, 3.2).
    TUNNEL_MEDIUM_TYPE = 65, "Tunnel-Medium-Type";
    /// Tag, salt and hidden text (RFC 2868, 3.5).
    TUNNEL_PASSWORD = 69, "Tunnel-Password";
    /// Text (RFC 2869, 5.11).
    CONNECT_INFO = 77, "Connect-Info";
    /// An EAP packet, in pieces of up to 253 octets (RFC 3579, 3.1).
    EAP_MESSAGE = 79, "EAP-Message";
    /// HMAC-MD5 over the packet, 16 octets (RFC 3579, 3.2).
    MESSAGE_AUTHENTICATOR = 80, "Message-Authenticator";
    /// Optional tag and text: the VLAN (RFC 2868, 3.6).
    TUNNEL_PRIVATE_GROUP_ID = 81, "Tunnel-Private-Group-Id";
    /// Integer, seconds, at least 60 (RFC 2869, 5.16).
    ACCT_INTERIM_INTERVAL = 85, "Acct-Interim-Interval";
    /// Text (RFC 2869, 5.17).
    NAS_PORT_ID = 87, "NAS-Port-Id";
    /// Opaque; one NUL octet asks for it (RFC 4372, 2.2).
    CHARGEABLE_USER_IDENTITY = 89, "Chargeable-User-Identity";
    /// 16 octets (RFC 3162, 2.1).
    NAS_IPV6_ADDRESS = 95, "NAS-IPv6-Address";
    /// Integer (RFC 5176, 3.5), see [`error_cause`].
    ERROR_CAUSE = 101, "Error-Cause";
    /// Opaque (RFC 4072, 2).
    EAP_KEY_NAME = 102, "EAP-Key-Name";
    /// Namespace octet and text (RFC 5580, 4.1).
    OPERATOR_NAME = 126, "Operator-Name";
    /// Integer (RFC 7268, 2.6).
    MOBILITY_DOMAIN_ID = 177, "Mobility-Domain-Id";
    /// `AA-BB-CC-DD-EE-FF` (RFC 7268, 2.11).
    WLAN_HESSID = 181, "WLAN-HESSID";
    /// Integer (RFC 7268, 2.14).
    WLAN_REASON_CODE = 185, "WLAN-Reason-Code";
    /// Integer, OUI and suite type (RFC 7268, 2.15).
    WLAN_PAIRWISE_CIPHER = 186, "WLAN-Pairwise-Cipher";
    /// Integer, OUI and suite type (RFC 7268, 2.16).
    WLAN_GROUP_CIPHER = 187, "WLAN-Group-Cipher";
    /// Integer, OUI and suite type, as 0x000fac02 (RFC 7268, 2.17).
    WLAN_AKM_SUITE = 188, "WLAN-AKM-Suite";
    /// Integer, OUI and suite type (RFC 7268, 2.18).
    WLAN_GROUP_MGMT_CIPHER = 189, "WLAN-Group-Mgmt-Cipher";
    /// Extended-Type and value (RFC 6929, 2.1).
    EXTENDED_1 = 241, "Extended-Attribute-1";
    /// Extended-Type and value (RFC 6929, 2.1).
    EXTENDED_2 = 242, "Extended-Attribute-2";
    /// Extended-Type and value (RFC 6929, 2.1).
    EXTENDED_3 = 243, "Extended-Attribute-3";
    /// Extended-Type and value (RFC 6929, 2.1).
    EXTENDED_4 = 244, "Extended-Attribute-4";
    /// Extended-Type, flags and value, in fragments (RFC 6929, 2.2).
    EXTENDED_5 = 245, "Extended-Attribute-5";
    /// Extended-Type, flags and value, in fragments (RFC 6929, 2.2).
    EXTENDED_6 = 246, "Extended-Attribute-6";
}

impl Code {
    /// True for the codes whose Request Authenticator is not random but computed from the packet and the secret
    /// (RFC 2866, 3; RFC 5176, 2.3).
    pub fn has_computed_authenticator(self) -> bool {
        matches!(self, Code::ACCOUNTING_REQUEST | Code::DISCONNECT_REQUEST | Code::COA_REQUEST)
    }

    /// True for the codes that answer a request.
    pub fn is_reply(self) -> bool {
        matches!(
            self,
            Code::ACCESS_ACCEPT
                | Code::ACCESS_REJECT
                | Code::ACCESS_CHALLENGE
                | Code::ACCOUNTING_RESPONSE
                | Code::DISCONNECT_ACK
                | Code::DISCONNECT_NAK
                | Code::COA_ACK
                | Code::COA_NAK
                | Code::PROTOCOL_ERROR
        )
    }
}

impl AttributeType {
    /// True for 241 to 244: value begins with the Extended-Type (RFC 6929, 2.1).
    pub fn is_extended(self) -> bool {
        (241..=244).contains(&self.0)
    }

    /// True for 245 and 246: value begins with the Extended-Type and the flags (RFC 6929, 2.2).
    pub fn is_long_extended(self) -> bool {
        matches!(self, AttributeType::EXTENDED_5 | AttributeType::EXTENDED_6)
    }
}

/// Values of Acct-Status-Type (RFC 2866, 5.1).
pub mod acct_status_type {
    /// A session begins.
    pub const START: u32 = 1;
    /// A session has ended.
    pub const STOP: u32 = 2;
    /// A session goes on.
    pub const INTERIM_UPDATE: u32 = 3;
    /// The NAS has started: none of its earlier sessions exists any more.
    pub const ACCOUNTING_ON: u32 = 7;
    /// The NAS is about to stop: all of its sessions end.
    pub const ACCOUNTING_OFF: u32 = 8;
}

/// Values of Error-Cause (RFC 5176, 3.5) that hostapd sends or this agent does.
pub mod error_cause {
    /// The session is gone, only its context was there to remove.
    pub const RESIDUAL_SESSION_CONTEXT_REMOVED: u32 = 201;
    /// An attribute the receiver does not take in this request.
    pub const UNSUPPORTED_ATTRIBUTE: u32 = 401;
    /// An attribute is missing.
    pub const MISSING_ATTRIBUTE: u32 = 402;
    /// The NAS addressed is another one.
    pub const NAS_IDENTIFICATION_MISMATCH: u32 = 403;
    /// A malformed request.
    pub const INVALID_REQUEST: u32 = 404;
    /// The Service-Type is not supported.
    pub const UNSUPPORTED_SERVICE: u32 = 405;
    /// The packet code is not supported.
    pub const UNSUPPORTED_EXTENSION: u32 = 406;
    /// An attribute has a value the receiver does not take.
    pub const INVALID_ATTRIBUTE_VALUE: u32 = 407;
    /// Administratively prohibited.
    pub const ADMINISTRATIVELY_PROHIBITED: u32 = 501;
    /// A proxy cannot route the request.
    pub const REQUEST_NOT_ROUTABLE: u32 = 502;
    /// There is no such session.
    pub const SESSION_CONTEXT_NOT_FOUND: u32 = 503;
    /// It could not be done now.
    pub const RESOURCES_UNAVAILABLE: u32 = 506;
    /// Not done by this request, but by an Access-Request that follows.
    pub const REQUEST_INITIATED: u32 = 507;
    /// More than one session matches, and the receiver ends only one at a time.
    pub const MULTIPLE_SESSION_SELECTION_UNSUPPORTED: u32 = 508;
}

/// NAS-Port-Type of Wi-Fi (RFC 2865, 5.41).
pub const NAS_PORT_TYPE_IEEE_802_11: u32 = 19;
/// Service-Type of 802.1X and hostapd's accounting (RFC 2865, 5.6).
pub const SERVICE_TYPE_FRAMED: u32 = 2;
/// Service-Type of a CoA-Request that has a session authorized anew (RFC 5176, 3.2).
pub const SERVICE_TYPE_AUTHORIZE_ONLY: u32 = 17;
/// Tunnel-Type of a VLAN (RFC 3580, 3.31).
pub const TUNNEL_TYPE_VLAN: u32 = 13;
/// Tunnel-Medium-Type of a VLAN (RFC 2868, 3.2: all 802 media).
pub const TUNNEL_MEDIUM_TYPE_IEEE_802: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_numbers_have_names() {
        assert_eq!(Code::ACCESS_REQUEST.to_string(), "Access-Request");
        assert_eq!(format!("{:?}", Code(99)), "Code 99");
        assert_eq!(AttributeType(188).to_string(), "WLAN-AKM-Suite");
        assert_eq!(AttributeType(99).to_string(), "Attribute 99");
    }

    #[test]
    fn a_code_is_a_request_or_a_reply() {
        for code in 0..=255 {
            let code = Code(code);
            assert!(!(code.is_reply() && code.has_computed_authenticator()), "{code}");
        }
        assert!(!Code::ACCESS_REQUEST.is_reply() && !Code::STATUS_SERVER.is_reply() && Code::COA_NAK.is_reply());
    }
}

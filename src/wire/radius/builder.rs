//! Packets to send, written into the caller's buffer: one allocation for the life of the buffer, none per packet.

use super::authenticator::{digest, message_authenticator};
use super::dictionary::{AttributeType, Code};
use super::fragments::{FRAGMENT_HEADER_OCTETS, FRAGMENT_OCTETS, MORE, VENDOR_SPECIFIC};
use super::hidden::{
    MAX_TUNNEL_PASSWORD_OCTETS, MAX_USER_PASSWORD_OCTETS, MPPE_KEY_OCTETS, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY,
    RevealError, SaltSequence, VENDOR_MICROSOFT, hide_blocks, tunnel_password_octets, user_password_octets,
};
use super::packet::{Authenticator, HEADER_OCTETS, MAX_PACKET_OCTETS, MAX_TAG, MAX_VALUE_OCTETS, Packet};
use crate::secret::RadiusSecret;
use hmac::Mac;

/// Why an attribute was not added. The packet is as it was before and can go on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A value that one attribute cannot hold.
    #[error("{kind} would have {octets} octets, it can have up to {most}: shorten the value")]
    ValueTooLong {
        /// The attribute.
        kind: AttributeType,
        /// Octets of the value.
        octets: usize,
        /// The most it can have.
        most: usize,
    },
    /// The packet would exceed 4096 octets.
    #[error(
        "{kind} does not fit: the packet would have {octets} octets, it can have up to 4096: send fewer attributes"
    )]
    PacketFull {
        /// The attribute.
        kind: AttributeType,
        /// Octets the packet would have.
        octets: usize,
    },
    /// A tag beyond 31.
    #[error("tag {0} of a tunnel attribute: it can be 0 (none) to 31")]
    Tag(u8),
    /// A tagged integer beyond 24 bits.
    #[error("{kind} would be {value}: a tagged integer can be up to 16777215")]
    Integer {
        /// The attribute.
        kind: AttributeType,
        /// The value.
        value: u32,
    },
    /// A hidden attribute in a packet that has no request authenticator yet.
    #[error("{0} can only be hidden in an Access-Request or in a reply")]
    NotHideable(AttributeType),
    /// An attribute with a method of its own.
    #[error("{0} cannot be added as it is: there is a method of its own for it, or it comes by itself")]
    Reserved(AttributeType),
    /// What has to be hidden anew cannot be read.
    #[error(transparent)]
    Hidden(#[from] RevealError),
}

/// Where the Authenticator field comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// Given by the caller, at random: Access-Request, Status-Server.
    Random(Authenticator),
    /// Computed over the packet with zeros: Accounting-, Disconnect-, CoA-Request.
    Computed,
    /// Computed over the packet with the authenticator of the request.
    Response(Authenticator),
}

/// A packet being written. Attributes are added in the order they shall stand; [`Builder::finish`] makes it valid.
#[derive(Debug)]
#[must_use = "the packet is not valid before finish()"]
pub struct Builder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    secret: &'a RadiusSecret,
    origin: Origin,
    /// Where the Message-Authenticator begins, if there is one.
    message_authenticator: Option<usize>,
}

impl<'a> Builder<'a> {
    /// The reply to a request. Message-Authenticator is its first attribute, so that none of the others can be used
    /// to forge the Response Authenticator. What `out` held is lost.
    pub fn reply(code: Code, request: &Packet<'_>, secret: &'a RadiusSecret, out: &'a mut Vec<u8>) -> Builder<'a> {
        let mut builder = Builder::reply_without_message_authenticator(code, request, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    /// The reply to a request without Message-Authenticator: for Accounting-Response to clients that know none there.
    pub fn reply_without_message_authenticator(
        code: Code,
        request: &Packet<'_>,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        let origin = Origin::Response(*request.authenticator());
        Builder::start(code, request.identifier(), origin, secret, out)
    }

    /// An Access-Request, Message-Authenticator first. The authenticator has to be random (RFC 2865, 3).
    pub fn access_request(
        identifier: u8,
        authenticator: Authenticator,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        let origin = Origin::Random(authenticator);
        let mut builder = Builder::start(Code::ACCESS_REQUEST, identifier, origin, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    /// An Access-Request as clients before 2024 send it, without Message-Authenticator.
    pub fn access_request_without_message_authenticator(
        identifier: u8,
        authenticator: Authenticator,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        Builder::start(Code::ACCESS_REQUEST, identifier, Origin::Random(authenticator), secret, out)
    }

    /// A Status-Server with Message-Authenticator (RFC 5997). The authenticator has to be random.
    pub fn status_server(
        identifier: u8,
        authenticator: Authenticator,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        let origin = Origin::Random(authenticator);
        let mut builder = Builder::start(Code::STATUS_SERVER, identifier, origin, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    /// An Accounting-Request (RFC 2866), as hostapd sends it: without Message-Authenticator.
    pub fn accounting_request(identifier: u8, secret: &'a RadiusSecret, out: &'a mut Vec<u8>) -> Builder<'a> {
        Builder::start(Code::ACCOUNTING_REQUEST, identifier, Origin::Computed, secret, out)
    }

    /// An Accounting-Request with Message-Authenticator (RFC 5080, 2.2.2).
    pub fn accounting_request_with_message_authenticator(
        identifier: u8,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        let mut builder = Builder::accounting_request(identifier, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    /// A Disconnect-Request with Message-Authenticator (RFC 5176).
    pub fn disconnect_request(identifier: u8, secret: &'a RadiusSecret, out: &'a mut Vec<u8>) -> Builder<'a> {
        let mut builder = Builder::start(Code::DISCONNECT_REQUEST, identifier, Origin::Computed, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    /// The secret and the authenticator by which text is hidden in this packet.
    pub(super) fn hidden_by(&self, kind: AttributeType) -> Result<(&'a RadiusSecret, Authenticator), BuildError> {
        match self.origin {
            Origin::Random(authenticator) | Origin::Response(authenticator) => Ok((self.secret, authenticator)),
            Origin::Computed => Err(BuildError::NotHideable(kind)),
        }
    }

    /// A CoA-Request with Message-Authenticator (RFC 5176).
    pub fn coa_request(identifier: u8, secret: &'a RadiusSecret, out: &'a mut Vec<u8>) -> Builder<'a> {
        let mut builder = Builder::start(Code::COA_REQUEST, identifier, Origin::Computed, secret, out);
        builder.begin_message_authenticator();
        builder
    }

    fn start(
        code: Code,
        identifier: u8,
        origin: Origin,
        secret: &'a RadiusSecret,
        out: &'a mut Vec<u8>,
    ) -> Builder<'a> {
        out.clear();
        // Length 0 for now: a packet nobody has finished is refused by everyone.
        out.extend([code.0, identifier, 0, 0]);
        out.extend(match origin {
            Origin::Random(authenticator) | Origin::Response(authenticator) => authenticator,
            Origin::Computed => [0; 16],
        });
        Builder { out, secret, origin, message_authenticator: None }
    }

    fn begin_message_authenticator(&mut self) {
        self.message_authenticator = Some(self.out.len());
        self.out.extend([AttributeType::MESSAGE_AUTHENTICATOR.0, 18]);
        self.out.extend([0; 16]);
    }

    /// Octets written so far, of at most 4096.
    pub fn octets(&self) -> usize {
        self.out.len()
    }

    /// Adds an attribute with this value, 0 to 253 octets: text, addresses, opaque octets.
    pub fn push(&mut self, kind: AttributeType, value: &[u8]) -> Result<(), BuildError> {
        if kind == AttributeType::MESSAGE_AUTHENTICATOR || kind.is_extended() || kind.is_long_extended() {
            return Err(BuildError::Reserved(kind));
        }
        self.header(kind, value.len())?;
        self.out.extend_from_slice(value);
        Ok(())
    }

    /// Adds an integer (RFC 2865, 5), such as Session-Timeout in seconds.
    pub fn push_u32(&mut self, kind: AttributeType, value: u32) -> Result<(), BuildError> {
        self.push(kind, &value.to_be_bytes())
    }

    /// Adds a tagged integer (RFC 2868, 3.1): Tunnel-Type, Tunnel-Medium-Type. Tag 0 to 31, value up to 24 bits.
    pub fn push_tagged_u32(&mut self, kind: AttributeType, tag: u8, value: u32) -> Result<(), BuildError> {
        check_tag(tag)?;
        match value.to_be_bytes() {
            [0, a, b, c] => self.push(kind, &[tag, a, b, c]),
            _ => Err(BuildError::Integer { kind, value }),
        }
    }

    /// Adds a tagged text of up to 252 octets (RFC 2868, 3.6): Tunnel-Private-Group-Id. With tag 0 the tag octet is
    /// left out, unless the text could be taken for one.
    pub fn push_tagged_text(&mut self, kind: AttributeType, tag: u8, text: &[u8]) -> Result<(), BuildError> {
        check_tag(tag)?;
        if tag == 0 && text.first().is_none_or(|first| *first > MAX_TAG) {
            return self.push(kind, text);
        }
        if text.len() >= MAX_VALUE_OCTETS {
            return Err(BuildError::ValueTooLong { kind, octets: text.len(), most: MAX_VALUE_OCTETS - 1 });
        }
        self.header(kind, 1 + text.len())?;
        self.out.push(tag);
        self.out.extend_from_slice(text);
        Ok(())
    }

    /// Adds the attributes that put the station into this VLAN, untagged (RFC 3580, 3.31): Tunnel-Type,
    /// Tunnel-Medium-Type and Tunnel-Private-Group-Id, without a tag. All three or none.
    pub fn push_vlan(&mut self, vlan: u16) -> Result<(), BuildError> {
        let mut digits = [0; 5];
        let text = decimal(vlan, &mut digits);
        self.all_or_none(|builder| {
            builder.push_tagged_u32(AttributeType::TUNNEL_TYPE, 0, super::TUNNEL_TYPE_VLAN)?;
            builder.push_tagged_u32(AttributeType::TUNNEL_MEDIUM_TYPE, 0, super::TUNNEL_MEDIUM_TYPE_IEEE_802)?;
            builder.push_tagged_text(AttributeType::TUNNEL_PRIVATE_GROUP_ID, 0, text)
        })
    }

    /// Adds User-Password, hidden (RFC 2865, 5.2): up to 128 octets, of which NUL octets at the end are lost.
    pub fn push_user_password(&mut self, password: &[u8]) -> Result<(), BuildError> {
        let kind = AttributeType::USER_PASSWORD;
        let Origin::Random(authenticator) = self.origin else {
            return Err(BuildError::NotHideable(kind));
        };
        let (octets, most) = (password.len(), MAX_USER_PASSWORD_OCTETS);
        if octets > most {
            return Err(BuildError::ValueTooLong { kind, octets, most });
        }
        self.header(kind, user_password_octets(password))?;
        self.hidden(&[password], user_password_octets(password), &[&authenticator]);
        Ok(())
    }

    /// Adds Tunnel-Password, hidden (RFC 2868, 3.5): tag 0 to 31, up to 239 octets. All of a packet take their salt
    /// from one sequence.
    pub fn push_tunnel_password(
        &mut self,
        tag: u8,
        password: &[u8],
        salts: &mut SaltSequence,
    ) -> Result<(), BuildError> {
        let kind = AttributeType::TUNNEL_PASSWORD;
        check_tag(tag)?;
        let (Origin::Random(authenticator) | Origin::Response(authenticator)) = self.origin else {
            return Err(BuildError::NotHideable(kind));
        };
        let (octets, most) = (password.len(), MAX_TUNNEL_PASSWORD_OCTETS);
        let length = match u8::try_from(octets) {
            Ok(length) if octets <= most => length,
            _ => return Err(BuildError::ValueTooLong { kind, octets, most }),
        };
        self.header(kind, 3 + tunnel_password_octets(password))?;
        let salt = salts.take();
        self.out.push(tag);
        self.out.extend(salt);
        self.hidden(&[&[length], password], tunnel_password_octets(password), &[&authenticator, &salt]);
        Ok(())
    }

    /// Adds MS-MPPE-Recv-Key and MS-MPPE-Send-Key, hidden (RFC 2548, 2.4.3 and 2.4.2): the two halves of a master session
    /// key (RFC 3748, 7.10; RFC 3580, 3.16). Both or none.
    pub fn push_mppe_keys(&mut self, msk: &[u8; 64], salts: &mut SaltSequence) -> Result<(), BuildError> {
        let (receive, send) = msk.split_at(MPPE_KEY_OCTETS);
        self.all_or_none(|builder| {
            builder.push_mppe_key(MS_MPPE_RECV_KEY, receive, salts)?;
            builder.push_mppe_key(MS_MPPE_SEND_KEY, send, salts)
        })
    }

    /// `key` has [`MPPE_KEY_OCTETS`] octets.
    fn push_mppe_key(&mut self, vendor_type: u8, key: &[u8], salts: &mut SaltSequence) -> Result<(), BuildError> {
        let kind = AttributeType::VENDOR_SPECIFIC;
        let (Origin::Random(authenticator) | Origin::Response(authenticator)) = self.origin else {
            return Err(BuildError::NotHideable(kind));
        };
        let hidden = tunnel_password_octets(key);
        // Vendor-Type, Vendor-Length and Salt.
        let sub_octets = 4 + hidden;
        self.header(kind, 4 + sub_octets)?;
        let salt = salts.take();
        self.out.extend(VENDOR_MICROSOFT.to_be_bytes());
        // Both lengths are constants that fit.
        self.out.extend([vendor_type, sub_octets as u8]);
        self.out.extend(salt);
        self.hidden(&[&[key.len() as u8], key], hidden, &[&authenticator, &salt]);
        Ok(())
    }

    /// Appends the parts, fills them up to `octets` and hides them. [`Builder::header`] has reserved the room: the
    /// text is never left behind in a buffer that was too small.
    fn hidden(&mut self, parts: &[&[u8]], octets: usize, first: &[&[u8]]) {
        let start = self.out.len();
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        self.out.resize(start + octets, 0);
        hide_blocks(self.out.get_mut(start..).unwrap_or_default(), self.secret, first);
    }

    /// Adds an EAP packet in as many EAP-Message attributes as it takes (RFC 3579, 3.1); all or none.
    pub fn push_eap_message(&mut self, eap: &[u8]) -> Result<(), BuildError> {
        self.all_or_none(|builder| {
            eap.chunks(MAX_VALUE_OCTETS).try_for_each(|piece| builder.push(AttributeType::EAP_MESSAGE, piece))
        })
    }

    /// Adds the Proxy-State attributes of a request, unchanged and in order, as every reply has to (RFC 2865, 5.33);
    /// all or none.
    pub fn copy_proxy_states(&mut self, request: &Packet<'_>) -> Result<(), BuildError> {
        self.all_or_none(|builder| {
            request.find_all(AttributeType::PROXY_STATE).try_for_each(|state| builder.push(state.kind, state.value))
        })
    }

    /// Adds an extended attribute of type 241 to 244 that fits into one (RFC 6929, 2.1): up to 252 octets.
    pub fn push_extended(&mut self, kind: AttributeType, extended_type: u8, value: &[u8]) -> Result<(), BuildError> {
        if !kind.is_extended() {
            return Err(BuildError::Reserved(kind));
        }
        self.header(kind, 1 + value.len())?;
        self.out.push(extended_type);
        self.out.extend_from_slice(value);
        Ok(())
    }

    /// Adds an Extended-Vendor-Specific attribute (RFC 6929, 2.4) of type 241 to 246; data that one attribute does
    /// not hold goes into fragments in 245 and 246.
    pub fn push_extended_vendor_specific(
        &mut self,
        kind: AttributeType,
        vendor: u32,
        vendor_type: u8,
        data: &[u8],
    ) -> Result<(), BuildError> {
        let [a, b, c, d] = vendor.to_be_bytes();
        let head = [a, b, c, d, vendor_type];
        let octets = head.len() + data.len();
        if kind.is_extended() {
            let most = MAX_VALUE_OCTETS - 1;
            if octets > most {
                return Err(BuildError::ValueTooLong { kind, octets, most });
            }
            self.header(kind, 1 + octets)?;
            self.out.push(VENDOR_SPECIFIC);
            self.out.extend(head);
            self.out.extend_from_slice(data);
            return Ok(());
        }
        if !kind.is_long_extended() {
            return Err(BuildError::Reserved(kind));
        }
        self.all_or_none(|builder| {
            let (first, rest) = data.split_at_checked(FRAGMENT_OCTETS - head.len()).unwrap_or((data, &[]));
            builder.fragment(kind, &[&head, first], !rest.is_empty())?;
            let mut fragments = rest.chunks(FRAGMENT_OCTETS).peekable();
            while let Some(fragment) = fragments.next() {
                builder.fragment(kind, &[fragment], fragments.peek().is_some())?;
            }
            Ok(())
        })
    }

    fn fragment(&mut self, kind: AttributeType, parts: &[&[u8]], more: bool) -> Result<(), BuildError> {
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        self.header(kind, FRAGMENT_HEADER_OCTETS - 2 + octets)?;
        self.out.extend([VENDOR_SPECIFIC, if more { MORE } else { 0 }]);
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        Ok(())
    }

    /// Checks the room and writes Type and Length of an attribute whose value has this many octets.
    pub(super) fn header(&mut self, kind: AttributeType, octets: usize) -> Result<(), BuildError> {
        let too_long = BuildError::ValueTooLong { kind, octets, most: MAX_VALUE_OCTETS };
        let length = octets.checked_add(2).and_then(|length| u8::try_from(length).ok()).ok_or(too_long)?;
        let total = self.out.len() + usize::from(length);
        if total > MAX_PACKET_OCTETS {
            return Err(BuildError::PacketFull { kind, octets: total });
        }
        self.out.reserve(usize::from(length));
        self.out.extend([kind.0, length]);
        Ok(())
    }

    pub(super) fn all_or_none(
        &mut self,
        add: impl FnOnce(&mut Self) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let before = self.out.len();
        let result = add(self);
        if result.is_err() {
            self.out.truncate(before);
        }
        result
    }

    /// Writes Length, Message-Authenticator and Authenticator. The octets to send; `out` holds the same.
    pub fn finish(self) -> &'a [u8] {
        let Builder { out, secret, origin, message_authenticator: at } = self;
        // header() keeps it below 4096, so the cast is exact.
        let length = (out.len() as u16).to_be_bytes();
        write(out, 2, &length);
        let covered = match origin {
            Origin::Random(authenticator) | Origin::Response(authenticator) => authenticator,
            Origin::Computed => [0; 16],
        };
        if let Some(at) = at
            && let Some(mac) = message_authenticator(out, at, &covered, secret)
        {
            write(out, at + 2, &mac.finalize().into_bytes());
        }
        if !matches!(origin, Origin::Random(_)) {
            let authenticator = digest(out, &covered, secret);
            write(out, HEADER_OCTETS - authenticator.len(), &authenticator);
        }
        out
    }
}

pub(super) fn write(out: &mut [u8], at: usize, octets: &[u8]) {
    out.iter_mut().skip(at).zip(octets).for_each(|(to, from)| *to = *from);
}

fn check_tag(tag: u8) -> Result<(), BuildError> {
    if tag > MAX_TAG { Err(BuildError::Tag(tag)) } else { Ok(()) }
}

/// The decimal digits of a number, without an allocation.
fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        // A remainder of 10 fits.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

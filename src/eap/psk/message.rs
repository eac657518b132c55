//! The messages of EAP-PSK (RFC 4764, 5): checked views of the type-data, and emit.
//!
//! The reserved bits of Flags and of the protected octet are sent as zero and not looked at: the tag covers them.

use super::crypto::{BLOCK, HEADER_OCTETS, Session};
use crate::wire::eap::Code;

/// The longest EXT_Payload, in octets (RFC 4764, 5).
pub const MAX_PAYLOAD: usize = 960;

/// Flags and RAND_S.
const CLEAR_OCTETS: usize = 1 + BLOCK;

/// Which of the messages, the upper two bits of Flags. The fourth is also every later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// RAND_S, ID_S.
    First = 0,
    /// RAND_S, RAND_P, MAC_P, ID_P.
    Second = 1,
    /// RAND_S, MAC_S, protected channel.
    Third = 2,
    /// RAND_S, protected channel.
    Fourth = 3,
}

/// Result indication: the upper two bits of the protected octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not at the end yet.
    Continue = 1,
    /// The end, and all is well.
    Success = 2,
    /// The end: the other one is not authorised, or something else went wrong.
    Failure = 3,
}

/// What the protected channel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indication {
    /// Flag R.
    pub outcome: Outcome,
    /// EXT_Type and EXT_Payload, if flag E is set.
    pub extension: Option<(u8, Vec<u8>)>,
}

/// RAND_S and ID_S, from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message1<'a> {
    /// The server's random number.
    pub rand_s: &'a [u8; BLOCK],
    /// The server's name.
    pub id_s: &'a [u8],
}

/// From the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message2<'a> {
    /// The server's random number again.
    pub rand_s: &'a [u8; BLOCK],
    /// The peer's random number.
    pub rand_p: &'a [u8; BLOCK],
    /// The peer's proof.
    pub mac_p: &'a [u8; BLOCK],
    /// The peer's NAI.
    pub id_p: &'a [u8],
}

/// The protected channel, encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    /// N: grows with each message of either side.
    pub n: u32,
    tag: &'a [u8; BLOCK],
    sealed: &'a [u8],
}

/// Message 3, from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message3<'a> {
    /// The server's random number.
    pub rand_s: &'a [u8; BLOCK],
    /// The server's proof.
    pub mac_s: &'a [u8; BLOCK],
    /// The protected channel.
    pub channel: Channel<'a>,
}

/// Message 4 and all later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message4<'a> {
    /// The server's random number.
    pub rand_s: &'a [u8; BLOCK],
    /// The protected channel.
    pub channel: Channel<'a>,
}

/// Which message this says it is.
pub fn step(data: &[u8]) -> Option<Step> {
    data.first().map(|flags| match flags >> 6 {
        0 => Step::First,
        1 => Step::Second,
        2 => Step::Third,
        _ => Step::Fourth,
    })
}

/// Flags that say `expected`, and RAND_S.
fn clear(data: &[u8], expected: Step) -> Option<(&[u8; BLOCK], &[u8])> {
    if step(data)? != expected {
        return None;
    }
    data.get(1..)?.split_first_chunk()
}

impl<'a> Message1<'a> {
    /// Nothing if it is another message or too short.
    pub fn parse(data: &'a [u8]) -> Option<Message1<'a>> {
        let (rand_s, id_s) = clear(data, Step::First)?;
        Some(Message1 { rand_s, id_s })
    }

    /// The type-data.
    pub fn emit(&self) -> Vec<u8> {
        [&[flags(Step::First)], &self.rand_s[..], self.id_s].concat()
    }
}

impl<'a> Message2<'a> {
    /// Nothing if it is another message or too short.
    pub fn parse(data: &'a [u8]) -> Option<Message2<'a>> {
        let (rand_s, rest) = clear(data, Step::Second)?;
        let (rand_p, rest) = rest.split_first_chunk()?;
        let (mac_p, id_p) = rest.split_first_chunk()?;
        Some(Message2 { rand_s, rand_p, mac_p, id_p })
    }

    /// The type-data.
    pub fn emit(&self) -> Vec<u8> {
        [&[flags(Step::Second)], &self.rand_s[..], self.rand_p, self.mac_p, self.id_p].concat()
    }
}

impl<'a> Message3<'a> {
    /// Nothing if it is another message, too short or too long.
    pub fn parse(data: &'a [u8]) -> Option<Message3<'a>> {
        let (rand_s, rest) = clear(data, Step::Third)?;
        let (mac_s, rest) = rest.split_first_chunk()?;
        Some(Message3 { rand_s, mac_s, channel: Channel::parse(rest)? })
    }
}

impl<'a> Message4<'a> {
    /// Nothing if it is another message, too short or too long.
    pub fn parse(data: &'a [u8]) -> Option<Message4<'a>> {
        let (rand_s, rest) = clear(data, Step::Fourth)?;
        Some(Message4 { rand_s, channel: Channel::parse(rest)? })
    }
}

impl<'a> Channel<'a> {
    fn parse(octets: &'a [u8]) -> Option<Channel<'a>> {
        let (n, rest) = octets.split_first_chunk()?;
        let (tag, sealed) = rest.split_first_chunk()?;
        if !(1..=2 + MAX_PAYLOAD).contains(&sealed.len()) {
            return None;
        }
        Some(Channel { n: u32::from_be_bytes(*n), tag, sealed })
    }

    /// Decrypts what came within this type-data. The error says what is wrong, in words.
    ///
    /// # Errors
    /// If the tag is wrong, or what it covers makes no sense.
    pub fn open(&self, session: &Session, about: &About<'_>, data: &[u8]) -> Result<Indication, &'static str> {
        let mut plain = self.sealed.to_vec();
        let flags = data.first().copied().unwrap_or_default();
        if !session.open(self.n, &about.header(flags, data.len()), self.tag, &mut plain) {
            return Err("its protected result has a wrong tag (the message was changed, or its keys are others)");
        }
        let (first, rest) = plain.split_first().ok_or("its protected result is empty")?;
        let outcome = match first >> 6 {
            1 => Outcome::Continue,
            2 => Outcome::Success,
            3 => Outcome::Failure,
            _ => return Err("its protected result is none (R = 0)"),
        };
        let extension = match (first & EXTENDED != 0, rest) {
            (false, []) => None,
            (true, [kind, payload @ ..]) => Some((*kind, payload.to_vec())),
            _ => return Err("its extension and flag E do not go together"),
        };
        Ok(Indication { outcome, extension })
    }
}

/// Flag E of the protected octet.
const EXTENDED: u8 = 0x20;

/// What the tag covers of the packet around the type-data.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Who sends it.
    pub code: Code,
    /// Identifier of the packet.
    pub identifier: u8,
    /// The server's random number.
    pub rand_s: &'a [u8; BLOCK],
}

impl About<'_> {
    /// The first 22 octets of a packet with so many octets of type-data.
    fn header(&self, flags: u8, data: usize) -> [u8; HEADER_OCTETS] {
        let [high, low] = ((data + 5) as u16).to_be_bytes();
        let clear = [self.code as u8, self.identifier, high, low, 47, flags];
        let mut header = [0; HEADER_OCTETS];
        for (to, from) in header.iter_mut().zip(clear.iter().chain(self.rand_s)) {
            *to = *from;
        }
        header
    }

    /// The type-data of message 3 (with MAC_S) or of a later one. Nothing if the payload is longer than 960 octets.
    pub fn seal(&self, session: &Session, mac_s: Option<&[u8; BLOCK]>, n: u32, say: &Indication) -> Option<Vec<u8>> {
        let flags = flags(if mac_s.is_some() { Step::Third } else { Step::Fourth });
        let (kind, payload) = match &say.extension {
            Some((kind, payload)) => (Some(kind), payload.as_slice()),
            None => (None, &[][..]),
        };
        if payload.len() > MAX_PAYLOAD {
            return None;
        }
        let mac_s = mac_s.map_or(&[][..], |mac| mac);
        let before = CLEAR_OCTETS + mac_s.len();
        let length = before + 4 + BLOCK + 1 + usize::from(kind.is_some()) + payload.len();
        let mut data = Vec::with_capacity(length);
        data.push(flags);
        data.extend(self.rand_s);
        data.extend(mac_s);
        data.extend(n.to_be_bytes());
        data.extend([0; BLOCK]);
        data.push((say.outcome as u8) << 6 | if kind.is_some() { EXTENDED } else { 0 });
        data.extend(kind);
        data.extend(payload);
        let (tag, plain) = data.get_mut(before + 4..)?.split_first_chunk_mut::<BLOCK>()?;
        *tag = session.seal(n, &self.header(flags, length), plain)?;
        Some(data)
    }
}

fn flags(step: Step) -> u8 {
    (step as u8) << 6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eap::psk::crypto::LongTerm;
    use crate::eap::psk::vectors::*;
    use proptest::prelude::*;

    const DONE: Indication = Indication { outcome: Outcome::Success, extension: None };

    /// The type-data of a packet.
    fn data(packet: &str) -> Vec<u8> {
        octets(packet)[5..].to_vec()
    }

    #[test]
    fn the_transcript_is_read_and_written_again() {
        let session = LongTerm::new(&PSK).session(&RAND_P);
        let message = data(MESSAGE_1);
        assert_eq!(Message1::parse(&message), Some(Message1 { rand_s: &RAND_S, id_s: ID_S }));
        assert_eq!(Message1 { rand_s: &RAND_S, id_s: ID_S }.emit(), message);

        let message = data(MESSAGE_2);
        let mac_p = hex("a2ea1743b3c5eefb85d40b713707b24c");
        let second = Message2 { rand_s: &RAND_S, rand_p: &RAND_P, mac_p: &mac_p, id_p: ID_P };
        assert_eq!(Message2::parse(&message), Some(second));
        assert_eq!(second.emit(), message);

        let message = data(MESSAGE_3);
        let third = Message3::parse(&message).unwrap();
        let mac_s = hex("1b2f497967015d527795764953bd96a7");
        assert_eq!((third.rand_s, third.mac_s, third.channel.n), (&*RAND_S, &mac_s, 0));
        let about = About { code: Code::Request, identifier: 0xc3, rand_s: &RAND_S };
        assert_eq!(third.channel.open(&session, &about, &message), Ok(DONE));
        assert_eq!(about.seal(&session, Some(&mac_s), 0, &DONE), Some(message));

        let message = data(MESSAGE_4);
        let fourth = Message4::parse(&message).unwrap();
        assert_eq!((fourth.rand_s, fourth.channel.n), (&*RAND_S, 1));
        let about = About { code: Code::Response, identifier: 0xc3, rand_s: &RAND_S };
        assert_eq!(fourth.channel.open(&session, &about, &message), Ok(DONE));
        assert_eq!(about.seal(&session, None, 1, &DONE), Some(message));
    }

    #[test]
    fn each_message_has_its_flags_and_its_length() {
        let whole = [data(MESSAGE_1), data(MESSAGE_2), data(MESSAGE_3), data(MESSAGE_4)];
        let shortest = [17, 49, 54, 38];
        let read = |which: usize, data: &[u8]| match which {
            0 => Message1::parse(data).is_some(),
            1 => Message2::parse(data).is_some(),
            2 => Message3::parse(data).is_some(),
            _ => Message4::parse(data).is_some(),
        };
        for (which, message) in whole.iter().enumerate() {
            for length in 0..=message.len() {
                assert_eq!(read(which, &message[..length]), length >= shortest[which], "{which} {length}");
            }
            for flags in 0..=255u8 {
                let mut other = message.clone();
                other[0] = flags;
                assert_eq!(read(which, &other), usize::from(flags >> 6) == which);
            }
        }
        let mut long = whole[3].clone();
        long.resize(37 + 962, 0);
        assert!(Message4::parse(&long).is_some());
        long.push(0);
        assert_eq!(Message4::parse(&long), None);
    }

    #[test]
    fn what_the_channel_must_say() {
        let session = LongTerm::new(&PSK).session(&RAND_P);
        let about = About { code: Code::Response, identifier: 1, rand_s: &RAND_S };
        // The plain octets are set before sealing.
        let open = |plain: &[u8]| {
            let mut data = [&[0xc0], &RAND_S[..], &7u32.to_be_bytes(), &[0; 16], plain].concat();
            let header = about.header(0xc0, data.len());
            let (tag, sealed) = data[21..].split_first_chunk_mut().unwrap();
            *tag = session.seal(7, &header, sealed).unwrap();
            Message4::parse(&data).unwrap().channel.open(&session, &about, &data)
        };
        let says = |outcome, extension| Ok(Indication { outcome, extension });
        assert_eq!(open(b"\x40"), says(Outcome::Continue, None));
        assert_eq!(open(b"\xc0"), says(Outcome::Failure, None));
        assert_eq!(open(b"\x9f"), says(Outcome::Success, None));
        assert_eq!(open(b"\xa0\x05"), says(Outcome::Success, Some((5, vec![]))));
        assert_eq!(open(b"\x60\xffabc"), says(Outcome::Continue, Some((255, b"abc".to_vec()))));
        for bad in [&b"\x00"[..], b"\x1f", b"\xa0", b"\x80\x01", b"\x20\x01"] {
            assert!(open(bad).is_err(), "{}", bad.escape_ascii());
        }
        let long = Indication { outcome: Outcome::Continue, extension: Some((1, vec![0; MAX_PAYLOAD + 1])) };
        assert_eq!(about.seal(&session, None, 2, &long), None);
    }

    proptest! {
        #[test]
        fn sealed_comes_back(
            id: u8, n: u32, third: bool, outcome in 1u8..=3, kind: Option<u8>,
            payload in prop::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD), flip: prop::sample::Index,
        ) {
            let session = LongTerm::new(&PSK).session(&RAND_P);
            let about = About { code: Code::Request, identifier: id, rand_s: &RAND_S };
            let outcome = [Outcome::Continue, Outcome::Success, Outcome::Failure][usize::from(outcome) - 1];
            let say = Indication { outcome, extension: kind.map(|kind| (kind, payload)) };
            let mut data = about.seal(&session, third.then_some(&RAND_P), n, &say).unwrap();
            let read = |data: &[u8]| match Message3::parse(data) {
                Some(message) => message.channel.open(&session, &about, data),
                None => Message4::parse(data).unwrap().channel.open(&session, &about, data),
            };
            prop_assert_eq!(read(&data), Ok(say));
            // The tag covers all but MAC_S (which is a proof itself); RAND_S is the one expected.
            let covered = (21 - 4 + if third { 16 } else { 0 })..data.len();
            let at = covered.start + flip.index(covered.len());
            data[at] ^= 1;
            prop_assert!(read(&data).is_err());
        }

        #[test]
        fn no_octets_panic(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Message1::parse(&data), Message2::parse(&data), Message3::parse(&data), Message4::parse(&data));
        }
    }
}

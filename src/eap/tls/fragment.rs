//! EAP-TLS framing (RFC 5216, 3.1; RFC 9190, 2.1.9): TLS messages in pieces that fit into EAP packets, and together
//! again.
//!
//! A packet's type-data is an octet of flags, a total length of four octets if the flag L says so, and a piece of the
//! message. L belongs into the first of several pieces only. A message in one piece does without (RFC 9190), or has it
//! all the same (RFC 5216): both are taken. Nothing is allocated because a peer announced it, only because it came.

use std::borrow::Cow;

/// The flag that says that a length follows.
const LENGTH: u8 = 0x80;
/// The flag of a piece that others follow.
const MORE: u8 = 0x40;
/// The flag of the server's first request.
const START: u8 = 0x20;

/// The longest TLS message taken, in octets: more than any chain of certificates a device has.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Type-data of the first request: it only says that TLS may begin.
pub fn start() -> Vec<u8> {
    vec![START]
}

/// Type-data without a piece: "got it, go on".
pub fn acknowledgement() -> Vec<u8> {
    vec![0]
}

/// One piece as it stands in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The total length that it announces.
    pub length: Option<u32>,
    /// Others follow.
    pub more: bool,
    /// The flag S: only in the server's first request.
    pub start: bool,
    /// The piece; empty in an acknowledgement.
    pub data: &'a [u8],
}

impl Fragment<'_> {
    /// Reads type-data. No octets at all are taken for an acknowledgement, as some supplicants send it.
    ///
    /// # Errors
    /// A flag L without the four octets it promises.
    pub fn parse(data: &[u8]) -> Result<Fragment<'_>, FragmentError> {
        let Some((&flags, rest)) = data.split_first() else {
            return Ok(Fragment { length: None, more: false, start: false, data });
        };
        let (length, data) = if flags & LENGTH == 0 {
            (None, rest)
        } else {
            let (length, data) = rest.split_first_chunk().ok_or(FragmentError::NoLength)?;
            (Some(u32::from_be_bytes(*length)), data)
        };
        Ok(Fragment { length, more: flags & MORE != 0, start: flags & START != 0, data })
    }
}

/// What is wrong with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The flag L, and no length.
    #[error("an EAP-TLS fragment has the flag L and no length after it")]
    NoLength,
    /// It announces or has more than [`MAX_MESSAGE`] octets.
    #[error("a TLS message longer than 65536 octets")]
    TooLong,
    /// It has more octets than it announced, or fewer, or announces another length in its midst.
    #[error("a TLS message does not have the length that it announced")]
    WrongLength,
    /// A piece that others follow, without an octet: so one could go on for ever.
    #[error("an empty EAP-TLS fragment that says more will follow")]
    Empty,
}

/// A message on its way in.
#[derive(Debug, Default)]
pub struct Incoming {
    pieces: Vec<u8>,
    announced: Option<usize>,
}

impl Incoming {
    /// Takes a piece. `None`: more are to come, each to be acknowledged. Else the message, which is empty for an
    /// acknowledgement; a message in one piece is not copied.
    ///
    /// # Errors
    /// See [`FragmentError`]; what came before is forgotten.
    pub fn add<'a>(&mut self, fragment: &Fragment<'a>) -> Result<Option<Cow<'a, [u8]>>, FragmentError> {
        let added = self.check(fragment);
        if added.is_err() {
            *self = Incoming::default();
        }
        added?;
        if fragment.more {
            self.pieces.extend_from_slice(fragment.data);
            return Ok(None);
        }
        let mut pieces = std::mem::take(self).pieces;
        if pieces.is_empty() {
            return Ok(Some(Cow::Borrowed(fragment.data)));
        }
        pieces.extend_from_slice(fragment.data);
        Ok(Some(Cow::Owned(pieces)))
    }

    fn check(&mut self, fragment: &Fragment<'_>) -> Result<(), FragmentError> {
        let length = fragment.length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if self.announced.is_some() && length.is_some() && length != self.announced {
            return Err(FragmentError::WrongLength);
        }
        self.announced = self.announced.or(length);
        let total = self.pieces.len() + fragment.data.len();
        if total > MAX_MESSAGE || self.announced.is_some_and(|announced| announced > MAX_MESSAGE) {
            return Err(FragmentError::TooLong);
        }
        if fragment.more && fragment.data.is_empty() {
            return Err(FragmentError::Empty);
        }
        match self.announced {
            Some(announced) if total > announced || (!fragment.more && total < announced) => {
                Err(FragmentError::WrongLength)
            }
            _ => Ok(()),
        }
    }

    /// True between the first piece and the last.
    pub fn is_begun(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Octets of memory it holds.
    pub fn octets(&self) -> usize {
        self.pieces.capacity()
    }
}

/// A message on its way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    message: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Begins with a message.
    pub fn new(message: Vec<u8>) -> Outgoing {
        Outgoing { message, sent: 0 }
    }

    /// Type-data with the next piece, of at most `room` octets, flags and length included (at least 6). The memory is
    /// given back with the last one.
    pub fn next(&mut self, room: usize) -> Vec<u8> {
        let left = self.message.get(self.sent..).unwrap_or_default();
        let first = self.sent == 0;
        let several = left.len() + 1 > room;
        let head = if first && several { 5 } else { 1 };
        let piece = left.get(..room.saturating_sub(head).max(1)).unwrap_or(left);
        let more = piece.len() < left.len();
        let mut data = Vec::with_capacity(head + piece.len());
        data.push(if more { MORE } else { 0 } | if head == 5 { LENGTH } else { 0 });
        if head == 5 {
            data.extend((self.message.len() as u32).to_be_bytes());
        }
        data.extend_from_slice(piece);
        if more {
            self.sent += piece.len();
        } else {
            *self = Outgoing::default();
        }
        data
    }

    /// True while there are pieces to be sent.
    pub fn is_pending(&self) -> bool {
        !self.message.is_empty()
    }

    /// Octets of memory it holds.
    pub fn octets(&self) -> usize {
        self.message.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add<'a>(incoming: &mut Incoming, data: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, FragmentError> {
        incoming.add(&Fragment::parse(data)?)
    }

    #[test]
    fn literal_fragments() {
        let mut out = Outgoing::new(b"abcdefghijkl".to_vec());
        let mut pieces = Vec::new();
        while out.is_pending() {
            pieces.push(out.next(9));
        }
        assert_eq!(pieces, [b"\xc0\0\0\0\x0cabcd".to_vec(), b"\x00efghijkl".to_vec()]);
        let mut out = Outgoing::new(b"abcdefghijklm".to_vec());
        let pieces = [out.next(9), out.next(9), out.next(9)];
        assert_eq!(pieces, [b"\xc0\0\0\0\x0dabcd".to_vec(), b"\x40efghijkl".to_vec(), b"\x00m".to_vec()]);
        assert_eq!(Outgoing::new(b"abcdefgh".to_vec()).next(9), b"\x00abcdefgh");
        assert_eq!((start(), acknowledgement()), (vec![0x20], vec![0]));
    }

    #[test]
    fn one_piece_with_and_without_a_length() {
        for data in [&b"\x00abc"[..], b"\x80\0\0\0\x03abc", b"\x07abc"] {
            assert_eq!(add(&mut Incoming::default(), data), Ok(Some(Cow::Borrowed(&b"abc"[..]))), "{data:?}");
        }
        for acknowledgement in [&b""[..], b"\x00", b"\x80\0\0\0\0"] {
            assert_eq!(add(&mut Incoming::default(), acknowledgement), Ok(Some(Cow::Borrowed(&b""[..]))));
        }
    }

    #[test]
    fn what_is_refused() {
        use FragmentError::*;
        let table: &[(&[&[u8]], FragmentError)] = &[
            (&[b"\x80\0\0\0"], NoLength),
            (&[b"\xc0\xff\xff\xff\xffabc"], TooLong),
            (&[b"\xc0\0\x01\0\x01abc"], TooLong),
            (&[b"\x80\0\0\0\x04abc"], WrongLength),
            (&[b"\x80\0\0\0\x02abc"], WrongLength),
            (&[b"\xc0\0\0\0\x02abc"], WrongLength),
            (&[b"\xc0\0\0\0\x05abc", b"\x40def"], WrongLength),
            (&[b"\xc0\0\0\0\x05abc", b"\x00def"], WrongLength),
            (&[b"\xc0\0\0\0\x05abc", b"\x00d"], WrongLength),
            (&[b"\xc0\0\0\0\x05abc", b"\x80\0\0\0\x06de"], WrongLength),
            (&[b"\x40abc", b"\x80\0\0\0\x06de"], WrongLength),
            (&[b"\xc0\0\0\0\x05abc", b"\x40"], Empty),
            (&[b"\x40"], Empty),
        ];
        for (pieces, error) in table {
            let mut incoming = Incoming::default();
            let (last, first) = pieces.split_last().unwrap();
            for piece in first {
                assert_eq!(add(&mut incoming, piece), Ok(None), "{pieces:?}");
            }
            assert_eq!(add(&mut incoming, last), Err(*error), "{pieces:?}");
            assert_eq!((incoming.is_begun(), incoming.octets()), (false, 0), "{pieces:?}");
        }
    }

    #[test]
    fn without_announcement_the_total_is_limited_all_the_same() {
        let piece = [&[MORE][..], &[7; 1000]].concat();
        let mut incoming = Incoming::default();
        let taken = (0..1000).take_while(|_| add(&mut incoming, &piece) == Ok(None)).count();
        assert_eq!(taken, 65);
        assert_eq!(incoming.octets(), 0);
    }

    #[test]
    fn an_announcement_allocates_nothing() {
        let mut incoming = Incoming::default();
        assert_eq!(add(&mut incoming, b"\xc0\0\x01\0\0abc"), Ok(None));
        assert!(incoming.octets() <= 16, "{}", incoming.octets());
    }

    proptest! {
        #[test]
        fn any_split_comes_together(message in prop::collection::vec(any::<u8>(), 1..5000), rooms in prop::collection::vec(6usize..1400, 1..200), announce in any::<bool>()) {
            let (mut out, mut incoming, mut sent) = (Outgoing::new(message.clone()), Incoming::default(), 0);
            for room in rooms.iter().cycle() {
                let mut data = out.next(*room);
                prop_assert!(data.len() <= *room);
                prop_assert_eq!(data[0] & LENGTH != 0, sent == 0 && out.is_pending());
                prop_assert_eq!(data[0] & MORE != 0, out.is_pending());
                if !announce && data[0] & LENGTH != 0 {
                    data.drain(1..5);
                    data[0] &= !LENGTH;
                } else if announce && data[0] & LENGTH == 0 {
                    data[0] |= LENGTH;
                    data.splice(1..1, (message.len() as u32).to_be_bytes());
                }
                sent += 1;
                match add(&mut incoming, &data).unwrap() {
                    None => prop_assert!(out.is_pending()),
                    Some(whole) => {
                        prop_assert!(!out.is_pending() && out.octets() == 0);
                        prop_assert_eq!(&*whole, &message[..]);
                        break;
                    }
                }
            }
            prop_assert_eq!(incoming.octets(), 0);
        }

        #[test]
        fn no_octets_break_it(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
            let (mut incoming, mut came) = (Incoming::default(), 0);
            for packet in &packets {
                came += packet.len();
                match add(&mut incoming, packet) {
                    Err(FragmentError::NoLength) => {}
                    Ok(Some(_)) | Err(_) => prop_assert!(!incoming.is_begun()),
                    Ok(None) => prop_assert!(incoming.is_begun()),
                }
                prop_assert!(incoming.octets() <= 2 * came + 16);
            }
        }
    }
}

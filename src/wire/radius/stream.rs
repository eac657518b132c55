//! RADIUS over a stream of octets (RFC 6613, RFC 6614): packets one behind the other, told apart by their Length fields.
//!
//! There is no way to find the next packet behind a length that cannot be, so the first such length ends the connection
//! (RFC 6613, 2.6.4). Packets that came whole are lent from the caller's buffer; only one that came in parts is copied.

use super::packet::{HEADER_OCTETS, MAX_PACKET_OCTETS};

/// Octets from which the length of a packet can be told.
const LENGTH_END: usize = 4;

/// Why a stream has no more packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The Length field has an impossible value.
    #[error("a packet has the length {0}, expected 20 to 4096: not RADIUS, or garbled")]
    Length(u16),
}

/// What has come of a packet that is not complete; at most 4095 octets.
#[derive(Debug, Default)]
pub struct Stream {
    partial: Vec<u8>,
    /// `partial` is a whole packet, which was lent out.
    lent: bool,
    failed: Option<StreamError>,
}

impl Stream {
    /// True when the beginning of a packet has come, and its end has not.
    pub fn is_within_packet(&self) -> bool {
        !self.lent && !self.partial.is_empty()
    }

    /// Takes octets from the front of `input` until a packet is complete. `None`: all were taken, and more are needed.
    /// To be called again with what is left until it is. The packet has the length its Length field says; nothing else
    /// of it has been looked at.
    ///
    /// # Errors
    /// A length that cannot be. It stays so: the connection is to be closed.
    pub fn next<'b, 'i: 'b>(&'b mut self, input: &mut &'i [u8]) -> Result<Option<&'b [u8]>, StreamError> {
        if let Some(why) = self.failed {
            return Err(why);
        }
        if self.lent {
            // It is rare that one comes in parts, and there may be hundreds of connections: no buffer is kept.
            (self.partial, self.lent) = (Vec::new(), false);
        }
        if self.partial.is_empty() {
            let Some(length) = self.length_of(input)? else { return Ok(self.keep(input)) };
            let Some((packet, rest)) = input.split_at_checked(length) else { return Ok(self.keep(input)) };
            *input = rest;
            return Ok(Some(packet));
        }
        if self.partial.len() < LENGTH_END {
            self.fill(LENGTH_END, input);
        }
        let head = std::mem::take(&mut self.partial);
        let length = self.length_of(&head);
        self.partial = head;
        let Some(length) = length? else { return Ok(None) };
        self.partial.reserve_exact(length.saturating_sub(self.partial.len()));
        self.fill(length, input);
        if self.partial.len() < length {
            return Ok(None);
        }
        self.lent = true;
        Ok(Some(&self.partial))
    }

    /// The length of the packet that begins here, if so much has come.
    fn length_of(&mut self, octets: &[u8]) -> Result<Option<usize>, StreamError> {
        let &[_, _, high, low, ..] = octets else { return Ok(None) };
        let length = u16::from_be_bytes([high, low]);
        if (HEADER_OCTETS..=MAX_PACKET_OCTETS).contains(&usize::from(length)) {
            return Ok(Some(usize::from(length)));
        }
        let why = StreamError::Length(length);
        self.failed = Some(why);
        Err(why)
    }

    /// Takes what is there of the octets that `partial` lacks to have so many.
    fn fill(&mut self, length: usize, input: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len());
        let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.partial.extend_from_slice(taken);
        *input = rest;
    }

    /// Keeps the beginning of a packet.
    fn keep(&mut self, input: &mut &[u8]) -> Option<&'static [u8]> {
        self.partial.extend_from_slice(input);
        *input = &[];
        None
    }
}

/// For the fuzzer: the first octet says into pieces of how many octets the rest is cut. However it is cut, the packets are the same,
/// and all memory together is bounded.
#[doc(hidden)]
pub fn fuzz_stream(data: &[u8]) {
    let Some((size, octets)) = data.split_first() else { return };
    let (whole, whole_end) = cut(octets, octets.len().max(1));
    let (pieces, pieces_end) = cut(octets, usize::from(*size).max(1));
    assert_eq!((whole, whole_end), (pieces, pieces_end));
}

/// The packets of a stream that comes in pieces of this size, and how it ends.
fn cut(octets: &[u8], size: usize) -> (Vec<Vec<u8>>, Option<StreamError>) {
    let (mut stream, mut packets) = (Stream::default(), Vec::new());
    for mut piece in octets.chunks(size) {
        loop {
            match stream.next(&mut piece) {
                Ok(Some(packet)) => packets.push(packet.to_vec()),
                Ok(None) => break,
                Err(why) => return (packets, Some(why)),
            }
        }
        assert!(piece.is_empty() && stream.partial.len() < MAX_PACKET_OCTETS);
    }
    (packets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet of this length, of which only the Length field makes sense.
    fn packet(length: u16, filling: u8) -> Vec<u8> {
        let mut octets = vec![filling; usize::from(length).max(4)];
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        octets
    }

    #[test]
    fn packets_are_told_apart_by_their_lengths() {
        let sent = [packet(20, 1), packet(4096, 2), packet(21, 3)];
        let octets = sent.concat();
        for size in [1, 2, 3, 4, 5, 19, 20, 21, 4095, 4096, 4097, octets.len()] {
            assert_eq!(cut(&octets, size), (sent.to_vec(), None), "in pieces of {size}");
        }
    }

    #[test]
    fn whole_packets_are_lent_and_parts_are_not_kept_longer_than_needed() {
        let octets = [packet(20, 1), packet(30, 2), packet(40, 3)[..39].to_vec()].concat();
        let (mut stream, mut input) = (Stream::default(), &octets[..]);
        let first = stream.next(&mut input).unwrap().unwrap();
        assert!(std::ptr::eq(first, &octets[..20]), "it is not copied");
        assert_eq!(stream.next(&mut input).unwrap().unwrap(), &octets[20..50]);
        assert_eq!(stream.next(&mut input), Ok(None));
        assert!(stream.is_within_packet() && input.is_empty() && stream.partial.len() == 39);
        let last = [3, 9];
        let mut input = &last[..];
        assert_eq!(stream.next(&mut input), Ok(Some(&packet(40, 3)[..])));
        assert!(!stream.is_within_packet());
        assert_eq!(stream.next(&mut input), Ok(None), "the 9 of the next packet");
        assert!(stream.partial.capacity() < 40 && stream.is_within_packet());
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_stream_for_good() {
        for length in [0, 1, 4, 19, 4097, 0x8000, u16::MAX] {
            let octets = [packet(20, 1), packet(length, 2), packet(20, 3)].concat();
            for size in [1, 3, 22, octets.len()] {
                let expected = (vec![packet(20, 1)], Some(StreamError::Length(length)));
                assert_eq!(cut(&octets, size), expected, "length {length} in pieces of {size}");
            }
            let (mut stream, wrong, good) = (Stream::default(), packet(length, 2), packet(20, 3));
            assert!(stream.next(&mut &wrong[..]).is_err());
            assert_eq!(stream.next(&mut &good[..]), Err(StreamError::Length(length)));
        }
    }

    #[test]
    fn a_packet_is_complete_with_its_last_octet_and_not_before() {
        let octets = packet(300, 7);
        for length in 0..octets.len() {
            let (mut stream, mut input) = (Stream::default(), &octets[..length]);
            assert_eq!(stream.next(&mut input), Ok(None), "{length} octets");
            assert_eq!(stream.is_within_packet(), length > 0);
            let mut rest = &octets[length..];
            assert_eq!(stream.next(&mut rest), Ok(Some(&octets[..])), "the rest after {length} octets");
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_packets_are_the_same(
            lengths in prop::collection::vec(20u16..=4096, 0..12),
            cuts in prop::collection::vec(1usize..6000, 1..12),
            wrong in prop::option::of(prop_oneof![0u16..20, 4097u16..]),
        ) {
            let mut sent: Vec<Vec<u8>> = lengths.iter().zip(0..).map(|(length, n)| packet(*length, n)).collect();
            let mut octets = sent.concat();
            octets.extend(wrong.iter().flat_map(|length| packet(*length, 99)));
            let (mut stream, mut got, mut end) = (Stream::default(), Vec::new(), None);
            let (mut rest, mut sizes) = (&octets[..], cuts.iter().cycle());
            'pieces: while !rest.is_empty() {
                let (mut piece, left) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                rest = left;
                loop {
                    match stream.next(&mut piece) {
                        Ok(Some(packet)) => got.push(packet.to_vec()),
                        Ok(None) => break,
                        Err(why) => {
                            end = Some(why);
                            break 'pieces;
                        }
                    }
                }
                prop_assert!(piece.is_empty());
                prop_assert!(stream.partial.capacity() <= MAX_PACKET_OCTETS.max(6000));
            }
            prop_assert_eq!(&got, &sent);
            prop_assert_eq!(end, wrong.map(StreamError::Length));
            sent.clear();
        }

        #[test]
        fn any_octets_are_cut_the_same(data in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_stream(&data);
        }
    }
}

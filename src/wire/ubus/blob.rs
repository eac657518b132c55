//! Attributes: `u32` of flag, type and length, the payload, and zeros up to the next multiple of 4 (libubox' `blob.h`).

use super::{MAX_MESSAGE, Malformed};

/// Set when the payload begins with a name: a blobmsg value.
const EXTENDED: u32 = 1 << 31;
/// Octets of an attribute's header.
pub const HEADER: usize = 4;
/// The length, header included, padding not.
const LENGTH: u32 = 0x00ff_ffff;

/// An attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type, 0 to 127: of a message's attribute or of a blobmsg value.
    pub id: u8,
    /// The payload begins with a name.
    pub extended: bool,
    /// What it holds, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// An unsigned number of 32 bits.
    ///
    /// # Errors
    /// [`Malformed::Number`].
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.payload.try_into().map(u32::from_be_bytes).map_err(|_| Malformed::Number)
    }

    /// A number of 8 bits.
    ///
    /// # Errors
    /// [`Malformed::Number`].
    pub fn u8(&self) -> Result<u8, Malformed> {
        match self.payload {
            [one] => Ok(*one),
            _ => Err(Malformed::Number),
        }
    }

    /// A string, without its NUL.
    ///
    /// # Errors
    /// [`Malformed::String`].
    pub fn string(&self) -> Result<&'a [u8], Malformed> {
        string(self.payload)
    }
}

/// What is before the NUL at the end, if there is no other.
pub(super) fn string(payload: &[u8]) -> Result<&[u8], Malformed> {
    match payload.split_last() {
        Some((0, text)) if !text.contains(&0) => Ok(text),
        _ => Err(Malformed::String),
    }
}

/// Attributes that stand one after the other. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    /// Those in a payload.
    pub fn new(payload: &'a [u8]) -> Attrs<'a> {
        Attrs(payload)
    }

    fn take(&mut self) -> Option<(Attr<'a>, &'a [u8])> {
        let (head, _) = self.0.split_first_chunk()?;
        let head = u32::from_be_bytes(*head);
        let length = (head & LENGTH) as usize;
        let payload = self.0.get(HEADER..length)?;
        let rest = self.0.get(length.next_multiple_of(4)..)?;
        let id = ((head & !EXTENDED) >> 24) as u8;
        Some((Attr { id, extended: head & EXTENDED != 0, payload }, rest))
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let taken = self.take();
        self.0 = taken.map_or(&[], |(_, rest)| rest);
        Some(taken.map(|(attr, _)| attr).ok_or(Malformed::Length))
    }
}

/// Writes attributes. Once there are more octets than a message may have, nothing is added any more, and
/// [`Writer::finish`] fails.
#[derive(Debug, Default)]
pub struct Writer {
    octets: Vec<u8>,
    too_long: bool,
}

/// An attribute that is being written: to be given to [`Writer::end`].
#[derive(Debug)]
#[must_use]
pub struct Open(usize);

impl Writer {
    /// Begins an attribute with this type; what is put from now on is in it.
    pub fn begin(&mut self, id: u8, extended: bool) -> Open {
        let open = Open(self.octets.len());
        let flag = if extended { EXTENDED } else { 0 };
        self.put(&(flag | u32::from(id & 0x7f) << 24).to_be_bytes());
        open
    }

    /// Adds octets to the attribute that is open.
    pub fn put(&mut self, octets: &[u8]) {
        if self.octets.len() + octets.len() > MAX_MESSAGE {
            self.too_long = true;
        }
        if !self.too_long {
            self.octets.extend_from_slice(octets);
        }
    }

    /// Zeros up to the next multiple of 4.
    pub fn pad(&mut self) {
        let missing = self.octets.len().next_multiple_of(4) - self.octets.len();
        self.put(&[0; 3][..missing.min(3)]);
    }

    /// Ends an attribute: its length is set, and it is padded.
    pub fn end(&mut self, open: Open) {
        let length = self.octets.len().saturating_sub(open.0);
        if let Some(head) = self.octets.get_mut(open.0..open.0 + HEADER).filter(|_| !self.too_long) {
            // Below 2^24: a message is not so long.
            for (octet, of_length) in head.iter_mut().zip((length as u32).to_be_bytes()) {
                *octet |= of_length;
            }
        }
        self.pad();
    }

    /// A whole attribute.
    pub fn attr(&mut self, id: u8, payload: &[u8]) {
        let open = self.begin(id, false);
        self.put(payload);
        self.end(open);
    }

    /// What was written.
    ///
    /// # Errors
    /// [`Malformed::TooLong`]: no message holds it.
    pub fn finish(self) -> Result<Vec<u8>, Malformed> {
        if self.too_long { Err(Malformed::TooLong(self.octets.len())) } else { Ok(self.octets) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        for (octets, expected) in [
            (&b""[..], vec![]),
            (b"\x01\0\0\x08\0\0\0\0", vec![Ok(4)]),
            (b"\x04\0\0\x06ab\0\0\x01\0\0\x04", vec![Ok(2), Ok(0)]),
            // Shorter than its own header, longer than what is there, without padding, an end of less than 4 octets.
            (b"\x01\0\0\x03\0\0\0\0", vec![Err(Malformed::Length)]),
            (b"\x01\0\0\0\x01\0\0\x04", vec![Err(Malformed::Length)]),
            (b"\x01\0\0\x09\0\0\0\0", vec![Err(Malformed::Length)]),
            (b"\x01\xff\xff\xff\0\0\0\0", vec![Err(Malformed::Length)]),
            (b"\x01\0\0\x05a", vec![Err(Malformed::Length)]),
            (b"\x01\0\0\x04\0\0", vec![Ok(0), Err(Malformed::Length)]),
        ] {
            let found: Vec<_> = Attrs::new(octets).map(|attr| attr.map(|attr| attr.payload.len())).collect();
            assert_eq!(found, expected, "{octets:02x?}");
        }
    }

    #[test]
    fn strings_and_numbers_are_whole() {
        let of = |payload| Attr { id: 0, extended: false, payload };
        assert_eq!(of(&b"a\0"[..]).string(), Ok(&b"a"[..]));
        assert_eq!(of(b"\0").string(), Ok(&b""[..]));
        for bad in [&b""[..], b"a", b"a\0b\0", b"\0\0"] {
            assert_eq!(of(bad).string(), Err(Malformed::String), "{bad:?}");
        }
        assert_eq!((of(b"\0\0\x01\0").u32(), of(b"\x07").u8()), (Ok(256), Ok(7)));
        for bad in [&b""[..], b"\0\0", b"\0\0\0\0\0"] {
            assert_eq!((of(bad).u32(), of(bad).u8()), (Err(Malformed::Number), Err(Malformed::Number)), "{bad:?}");
        }
    }

    #[test]
    fn what_no_message_holds_is_not_written() {
        let mut writer = Writer::default();
        let open = writer.begin(7, false);
        for _ in 0..300 {
            writer.put(&[1; 8192]);
        }
        writer.end(open);
        let Err(Malformed::TooLong(octets)) = writer.finish() else { panic!("it was written") };
        assert!(octets <= MAX_MESSAGE);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(attrs in proptest::collection::vec(
            (0u8..128, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..10)
        ) {
            let mut writer = Writer::default();
            for (id, extended, payload) in &attrs {
                let open = writer.begin(*id, *extended);
                writer.put(payload);
                writer.end(open);
            }
            let octets = writer.finish().unwrap();
            let read: Vec<_> = Attrs::new(&octets).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), attrs.len());
            for (read, (id, extended, payload)) in read.iter().zip(&attrs) {
                prop_assert_eq!((read.id, read.extended, read.payload), (*id, *extended, &payload[..]));
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>) {
            let _ = Attrs::new(&octets).count();
        }
    }
}

//! The wire format of ubus, OpenWrt's bus (`ubusmsg.h`, `ubusd_proto.c`; libubox' `blob.h`, `blobmsg.h`): [`blob`]
//! attributes, [`blobmsg`] values in them, and [`message`]s made of attributes on a stream.
//!
//! Everything is big-endian. What comes in is checked before it is used, nothing is copied to look at it, and no length
//! somebody states makes us allocate.

pub mod blob;
pub mod blobmsg;
pub mod message;

pub use blob::{Attr, Attrs, Writer};
pub use message::{Frame, Frames, Header, Message, MessageType, Status};

/// Octets of the longest message without its header: `UBUS_MAX_MSGLEN` of ubusd, which hangs up on longer ones.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Something is not as the format has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The length of an attribute does not fit into what holds it.
    #[error("the length of an attribute goes beyond what holds it")]
    Length,
    /// A string does not end with its only NUL.
    #[error("a string does not end with its only NUL")]
    String,
    /// Text is no UTF-8.
    #[error("text is no UTF-8")]
    Utf8,
    /// A number has the wrong number of octets.
    #[error("a number has the wrong number of octets")]
    Number,
    /// A number is infinite, or none at all.
    #[error("a number is not finite")]
    NotFinite,
    /// A value is of an unknown type.
    #[error("a value is of an unknown type")]
    Type,
    /// A table has two values of one name.
    #[error("a table has two values of one name")]
    Twice,
    /// Tables and arrays are nested too deeply.
    #[error("tables and arrays are nested more than {} deep", blobmsg::MAX_DEPTH)]
    Depth,
    /// A message is of another version.
    #[error("a message of version {0}, not 0")]
    Version(u8),
    /// A message is too long.
    #[error("a message of {0} octets, more than {MAX_MESSAGE}")]
    TooLong(usize),
}

/// For the fuzzer: whatever comes in is read or refused; what was read is written, and read again as the same.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let mut frames = Frames::default();
    for part in data.chunks(61) {
        frames.push(part);
        loop {
            match frames.next() {
                Ok(Some(frame)) => fuzz_frame(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn fuzz_frame(frame: &Frame<'_>) {
    let Ok(message) = frame.message() else { return };
    let Ok(written) = message.frame(frame.header) else { return };
    let mut again = Frames::default();
    again.push(&written);
    let second = again.next().expect("a frame").expect("whole");
    assert_eq!((second.header, second.message()), (frame.header, Ok(message)));
    for data in [message.data, message.signature].into_iter().flatten() {
        let Ok(table) = blobmsg::table(data) else { continue };
        let mut writer = Writer::default();
        blobmsg::put_fields(&mut writer, &table);
        // A 16-bit number is written as one of 32.
        if let Ok(written) = writer.finish() {
            assert_eq!(blobmsg::table(&written).as_ref(), Ok(&table));
        }
    }
}

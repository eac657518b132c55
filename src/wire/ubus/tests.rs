use super::*;
use crate::wire::ubus::blobmsg;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Frames in hexadecimal digits, as they stood on the sockets of a real ubusd.
const GOLDEN: &str = include_str!("golden.txt");

fn golden() -> impl Iterator<Item = (char, Vec<u8>)> {
    GOLDEN.lines().filter_map(|line| {
        let (direction, hex) = line.split_once(' ').filter(|(direction, _)| *direction != "#")?;
        let octets = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"));
        Some((direction.chars().next()?, octets.collect()))
    })
}

/// The only frame in these octets.
fn parse(octets: &[u8]) -> (Header, Vec<u8>) {
    let mut frames = Frames::default();
    frames.push(octets);
    let frame = frames.next().expect("a frame").expect("whole");
    let (header, payload) = (frame.header, frame.payload.to_vec());
    assert_eq!(frames.next(), Ok(None));
    (header, payload)
}

#[test]
fn the_golden_frames_are_read_and_written_as_they_were() {
    let mut seen = 0;
    for (_, octets) in golden() {
        let (header, payload) = parse(&octets);
        let message = Message::parse(&payload).expect("a message");
        assert_eq!(message.frame(header).expect("short"), octets);
        for fields in [message.data, message.signature].into_iter().flatten() {
            // JSON knows no order, so that values are compared one by one.
            for attr in Attrs::new(fields) {
                let attr = attr.expect("an attribute");
                let field = blobmsg::Field::parse(&attr).expect("a value");
                let mut own = Writer::default();
                own_order(&mut own, &field);
                let mut theirs = Writer::default();
                let open = theirs.begin(attr.id, attr.extended);
                theirs.put(attr.payload);
                theirs.end(open);
                assert_eq!(own.finish(), theirs.finish());
            }
        }
        seen += 1;
    }
    assert_eq!(seen, golden().count());
    assert!(seen >= 40, "{seen} frames");
}

/// Writes a value as we write it, its parts in the order they have.
fn own_order(writer: &mut Writer, field: &blobmsg::Field<'_>) {
    let name = std::str::from_utf8(field.name).expect("UTF-8");
    if matches!(field.kind, blobmsg::ARRAY | blobmsg::TABLE) {
        let open = blobmsg::begin(writer, field.kind, name);
        for attr in Attrs::new(field.value) {
            own_order(writer, &blobmsg::Field::parse(&attr.expect("an attribute")).expect("a value"));
        }
        return writer.end(open);
    }
    let mut one = Writer::default();
    blobmsg::put_raw(&mut one, field.kind, name, field.value);
    let table = blobmsg::table(&one.finish().expect("short")).expect("a value");
    blobmsg::put_fields(writer, &table);
}

#[test]
fn what_the_golden_frames_say() {
    let frames: Vec<(char, Vec<u8>)> = golden().collect();
    let read = |index: usize| parse(&frames[index].1);
    let (header, payload) = read(0);
    let message = Message::parse(&payload).expect("a message");
    assert_eq!((header, message.path), (Header::new(MessageType::ADD_OBJECT, 1, 0), Some(&b"onboardd"[..])));
    let signature = blobmsg::table(message.signature.expect("a signature")).map(Value::Object);
    assert_eq!(signature, Ok(json!({ "status": {}, "device_add": { "mac": 3, "vlan": 5 } })));

    let call = |method: &str| {
        let of =
            |payload: &[u8]| Message::parse(payload).is_ok_and(|message| message.method == Some(method.as_bytes()));
        frames.iter().map(|(_, octets)| parse(octets)).find(|(_, payload)| of(payload)).expect(method)
    };
    let (header, payload) = call("device_add");
    let message = Message::parse(&payload).expect("a message");
    assert_eq!((header.kind, header.seq), (MessageType::INVOKE, 2));
    assert_eq!((message.user, message.group), (Some(&b"root"[..]), Some(&b"root"[..])));
    let arguments = blobmsg::table(message.data.expect("arguments")).map(Value::Object);
    assert_eq!(arguments, Ok(json!({ "mac": "02:00:00:00:00:02", "vlan": 20 })));
}

#[test]
fn a_stream_is_cut_wherever_it_is_torn() {
    let whole: Vec<u8> = golden().flat_map(|(_, octets)| octets).collect();
    for size in [1, 3, 7, 64, whole.len()] {
        let (mut frames, mut count) = (Frames::default(), 0);
        for part in whole.chunks(size) {
            frames.push(part);
            while let Some(frame) = frames.next().expect("frames") {
                assert!(frame.message().is_ok());
                count += 1;
            }
        }
        assert_eq!(count, golden().count(), "in parts of {size}");
        frames.push(&[]);
        assert!(frames.octets.is_empty());
    }
}

#[test]
fn a_broken_stream_is_refused() {
    let long = (MAX_MESSAGE + ROOM + 1) as u32;
    let [_, a, b, c] = long.to_be_bytes();
    for (octets, expected) in [
        (&[1, 0, 0, 0, 0, 0, 0, 0][..], Err(Malformed::Version(1))),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], Err(Malformed::Length)),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c], Err(Malformed::TooLong(long as usize))),
        (&[0, 0, 0, 0, 0, 0, 0], Ok(None)),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Ok(None)),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0xff], Ok(None)),
    ] {
        let mut frames = Frames::default();
        frames.push(octets);
        assert_eq!(frames.next(), expected, "{octets:02x?}");
    }
}

#[test]
fn attributes_of_the_wrong_form_are_refused() {
    for (payload, expected) in [
        (&b"\x03\0\0\x06\0\0\0\0"[..], Malformed::Number),
        (b"\x0a\0\0\x08\0\0\0\x01", Malformed::Number),
        (b"\x04\0\0\x06ab\0\0", Malformed::String),
        (b"\x04\0\0\x04", Malformed::String),
        (b"\x07\0\0\x0cabcd", Malformed::Length),
    ] {
        assert_eq!(Message::parse(payload), Err(expected), "{payload:02x?}");
    }
    assert_eq!(Message::parse(b"\x7f\0\0\x08abcd"), Ok(Message::default()), "unknown attributes are skipped");
}

#[test]
fn a_message_that_ubusd_would_hang_up_on_is_not_made() {
    let data = vec![0; MAX_MESSAGE - 4 - 4];
    let header = Header::new(MessageType::DATA, 1, 2);
    let of = |data| Message { data: Some(data), ..Message::default() }.frame(header);
    assert_eq!(of(&data).map(|frame| frame.len()), Ok(MESSAGE_HEADER + MAX_MESSAGE));
    assert!(matches!(of(&[&data[..], &[0]].concat()), Err(Malformed::TooLong(_))));
}

fn text() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(1u8.., 0..12))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (kind, seq, peer) in any::<(u8, u16, u32)>(),
        (status, object, object_type, target) in any::<(Option<u32>, Option<u32>, Option<u32>, Option<u32>)>(),
        (active, no_reply) in any::<(Option<u8>, Option<u8>)>(),
        (path, method, user, group) in (text(), text(), text(), text()),
        (signature, data, subscribers) in any::<(Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>)>(),
    ) {
        let message = Message {
            status, object, object_type, target, active, no_reply,
            path: path.as_deref(), method: method.as_deref(), user: user.as_deref(), group: group.as_deref(),
            signature: signature.as_deref(), data: data.as_deref(), subscribers: subscribers.as_deref(),
        };
        let header = Header::new(MessageType(kind), seq, peer);
        let (read, payload) = parse(&message.frame(header).unwrap());
        prop_assert_eq!((read, Message::parse(&payload)), (header, Ok(message)));
    }

    #[test]
    fn any_stream_is_cut_or_refused(octets: Vec<u8>) {
        crate::wire::ubus::fuzz(&octets);
    }
}

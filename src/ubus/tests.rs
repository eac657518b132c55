use super::*;
use crate::wire::ubus::Attrs;
use serde_json::json;

/// What a client sent: headers and payloads.
fn sent(client: &mut Client) -> Vec<(Header, Vec<u8>)> {
    let mut frames = Frames::default();
    frames.push(client.output());
    client.sent(client.backlog());
    let mut all = Vec::new();
    while let Some(frame) = frames.next().expect("frames") {
        all.push((frame.header, frame.payload.to_vec()));
    }
    all
}

fn give(
    client: &mut Client,
    kind: MessageType,
    seq: u16,
    peer: u32,
    message: Message<'_>,
) -> Result<Option<Input>, Broken> {
    client.receive(&message.frame(Header::new(kind, seq, peer)).expect("short"));
    client.poll()
}

fn status(status: u32) -> Message<'static> {
    Message { status: Some(status), ..Message::default() }
}

fn greeted() -> Client {
    let mut client = Client::new("latchkey", b"\x82\0\0\x08\0\x01x\0".to_vec());
    assert!(client.output().is_empty(), "ubusd greets first");
    assert_eq!(give(&mut client, MessageType::HELLO, 0, 77, Message::default()), Ok(None));
    client
}

fn published() -> Client {
    let mut client = greeted();
    let (header, payload) = sent(&mut client).remove(0);
    assert_eq!(header, Header::new(MessageType::ADD_OBJECT, 1, 0));
    let message = Message::parse(&payload).expect("a message");
    assert_eq!((message.path, message.signature), (Some(&b"latchkey"[..]), Some(&b"\x82\0\0\x08\0\x01x\0"[..])));
    let data = Message { object: Some(0x1234), object_type: Some(5), ..Message::default() };
    assert_eq!(give(&mut client, MessageType::DATA, 1, 0, data), Ok(None));
    assert_eq!(give(&mut client, MessageType::STATUS, 1, 0, status(0)), Ok(Some(Input::Published)));
    client
}

fn invoke(client: &mut Client, seq: u16, peer: u32, method: &str, no_reply: Option<u8>) -> Option<Invocation> {
    let message = Message {
        object: Some(0x1234),
        method: Some(method.as_bytes()),
        user: Some(b"root"),
        group: Some(b"wheel"),
        data: Some(b""),
        no_reply,
        ..Message::default()
    };
    match give(client, MessageType::INVOKE, seq, peer, message).expect("fine") {
        Some(Input::Call(call)) => Some(call),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_are_answered_in_any_order() {
    let mut client = published();
    let first = invoke(&mut client, 7, 100, "status", None).expect("a call");
    let second = invoke(&mut client, 7, 200, "log", Some(0)).expect("a call");
    assert_eq!((&*first.method, &*first.caller, &*second.method), ("status", "root:wheel", "log"));
    client.answer(second.ticket, Some(b"\x87\0\0\x09\0\x01a\0\x01\0\0\0"), Status::OK);
    client.answer(first.ticket, None, Status::METHOD_NOT_FOUND);
    let sent = sent(&mut client);
    let told: Vec<_> = sent
        .iter()
        .map(|(header, payload)| {
            let message = Message::parse(payload).expect("a message");
            (header.kind, header.seq, header.peer, message.object, message.status, message.data.map(<[u8]>::len))
        })
        .collect();
    assert_eq!(
        told,
        [
            (MessageType::DATA, 7, 200, Some(0x1234), None, Some(12)),
            (MessageType::STATUS, 7, 200, Some(0x1234), Some(0), None),
            (MessageType::STATUS, 7, 100, Some(0x1234), Some(3), None),
        ]
    );
}

#[test]
fn the_answer_has_the_octets_of_the_golden_trace() {
    let mut client = Client::new("onboardd", Vec::new());
    client.state = State::Published { object: 0x7ef8_9906 };
    // "psk": ["correct horse battery"], "force_psk": true, to call 2 of client 9e6fb218.
    let mut result = Writer::default();
    blobmsg::put(&mut result, "psk", &json!(["correct horse battery"]));
    blobmsg::put(&mut result, "force_psk", &true.into());
    let ticket = Ticket { seq: 2, peer: 0x9e6f_b218, object: 0x7ef8_9906, no_reply: false };
    client.answer(ticket, Some(&result.finish().expect("short")), Status::OK);
    let hex: String = client.output().iter().map(|octet| format!("{octet:02x}")).collect();
    let golden: Vec<&str> = include_str!("../wire/ubus/golden.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("> ").filter(|hex| hex.get(4..16) == Some("00029e6fb218")))
        .collect();
    assert_eq!(golden.len(), 2);
    assert_eq!(hex, golden.concat());
}

/// Two conversations with a real ubusd, but for ADD_OBJECT: given what it said, the client says what it said then.
#[test]
fn the_conversations_with_a_real_ubusd() {
    let sections = include_str!("../wire/ubus/golden.txt").split("# latchkey").skip(1);
    let mut inputs = Vec::new();
    for section in sections {
        let mut client = Client::new("latchkey", Vec::new());
        let mut tickets = Vec::new();
        for line in section.lines().filter(|line| line.starts_with(['<', '>'])) {
            let (from_ubusd, hex) = (line.starts_with('<'), &line[2..]);
            let octets: Vec<u8> =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
            if from_ubusd {
                client.receive(&octets);
                match client.poll().expect("fine") {
                    Some(Input::Call(call)) => {
                        inputs.push(format!("{} by {}", call.method, call.caller));
                        tickets.push(call.ticket);
                    }
                    Some(other) => inputs.push(format!("{other:?}")),
                    None => {}
                }
                if client.state == (State::Adding { seq: 1, object: None }) {
                    client.sent(client.backlog());
                }
                continue;
            }
            let mut frames = Frames::default();
            frames.push(&octets);
            let frame = frames.next().expect("a frame").expect("whole");
            let message = frame.message().expect("a message");
            match frame.header.kind {
                // Answered with the result of then, which the status follows.
                MessageType::DATA => client.answer(tickets.remove(0), message.data, Status::OK),
                MessageType::STATUS if message.status == Some(3) => {
                    client.answer(tickets.remove(0), None, Status::METHOD_NOT_FOUND);
                }
                MessageType::INVOKE => {
                    let event = blobmsg::table(message.data.expect("data")).expect("a table");
                    assert!(client.event(event["id"].as_str().expect("a name"), &event["data"]));
                }
                _ => {}
            }
            assert!(client.output().starts_with(&octets), "{line}");
            client.sent(octets.len());
        }
        assert!(client.output().is_empty());
    }
    let expected = ["Refused(AclMissing)", "Published", "device_list by root:root", "nope by root:root"];
    assert_eq!(inputs, expected);
}

#[test]
fn who_wants_no_reply_gets_none() {
    let mut client = published();
    let call = invoke(&mut client, 3, 4, "status", Some(1)).expect("a call");
    client.answer(call.ticket, Some(b""), Status::OK);
    assert!(client.output().is_empty());
}

#[test]
fn why_it_was_not_published() {
    for (first, second, expected) in
        [(2, Some(4), Refusal::AclMissing), (2, Some(0), Refusal::NameTaken), (11, None, Refusal::Status(Status(11)))]
    {
        let mut client = greeted();
        let mut input = give(&mut client, MessageType::STATUS, 1, 0, status(first));
        if let Some(second) = second {
            assert_eq!(input, Ok(None));
            let (header, payload) = sent(&mut client).remove(1);
            assert_eq!(header, Header::new(MessageType::LOOKUP, 2, 0));
            assert_eq!(Message::parse(&payload).expect("a message").path, Some(&b"latchkey"[..]));
            input = give(&mut client, MessageType::STATUS, 2, 0, status(second));
        }
        assert_eq!(input, Ok(Some(Input::Refused(expected))));
        assert!(!client.event("latchkey.join", &json!({})));
    }
}

#[test]
fn nobody_speaks_in_the_name_of_ubusd() {
    let mut client = greeted();
    // Another process, by way of ubusd: its object's number is in the header. The second one is no message at all.
    let data = Message { object: Some(6), ..Message::default() };
    assert_eq!(give(&mut client, MessageType::DATA, 1, 0x5555, data), Ok(None));
    client.receive(b"\0\x01\0\x01\0\0\x55\x55\0\0\0\x08garb");
    assert_eq!(client.poll(), Ok(None));
    assert_eq!(give(&mut client, MessageType::STATUS, 1, 0x5555, status(0)), Ok(None));
    assert_eq!(client.state, State::Adding { seq: 1, object: None });
    // Nor does an answer to something else conclude it.
    assert_eq!(give(&mut client, MessageType::STATUS, 9, 0, status(0)), Ok(None));
    assert_eq!(give(&mut client, MessageType::STATUS, 1, 0, status(0)), Err(Broken::NoObject));
}

#[test]
fn calls_of_what_is_not_there() {
    let mut client = greeted();
    client.sent(client.backlog());
    assert_eq!(invoke(&mut client, 1, 2, "status", None), None, "it is not published yet");
    let mut other = published();
    let message = Message { object: Some(99), method: Some(b"status"), ..Message::default() };
    assert_eq!(give(&mut other, MessageType::INVOKE, 1, 2, message), Ok(None));
    let message = Message { object: Some(0x1234), method: Some(b"\xff"), ..Message::default() };
    assert_eq!(give(&mut other, MessageType::INVOKE, 1, 2, message), Ok(None));
    let told = |client: &mut Client| -> Vec<_> {
        let sent = sent(client);
        sent.iter().map(|(header, payload)| (header.kind, Message::parse(payload).unwrap().status)).collect()
    };
    assert_eq!(told(&mut client), [(MessageType::STATUS, Some(4))]);
    assert_eq!(told(&mut other), [(MessageType::STATUS, Some(4)), (MessageType::STATUS, Some(3))]);
}

#[test]
fn events_are_calls_of_object_1() {
    let mut client = published();
    assert!(client.event("latchkey.join", &json!({ "mac": "a" })));
    let (header, payload) = sent(&mut client).remove(0);
    assert_eq!(header, Header::new(MessageType::INVOKE, 2, 1));
    let message = Message::parse(&payload).expect("a message");
    assert_eq!((message.object, message.method), (Some(1), Some(&b"send"[..])));
    let data = message.data.expect("data");
    // As libubus does it: the name first.
    let first = blobmsg::Field::parse(&Attrs::new(data).next().expect("one").expect("whole")).expect("a value");
    assert_eq!(first.name, b"id");
    let table = blobmsg::table(data).map(Value::Object);
    assert_eq!(table, Ok(json!({ "id": "latchkey.join", "data": { "mac": "a" } })));
    assert_eq!(give(&mut client, MessageType::STATUS, 2, 1, status(0)), Ok(None));
    let refused = give(&mut client, MessageType::STATUS, 2, 1, status(6));
    assert_eq!(refused, Ok(Some(Input::EventRefused(Status::PERMISSION_DENIED))));
    // ubusd does not read: what waits is bounded.
    let text = "x".repeat(10_000);
    let taken = (0..1000).take_while(|_| client.event("latchkey.join", &json!({ "text": text }))).count();
    assert!((20..40).contains(&taken), "{taken}");
}

#[test]
fn ubusd_that_is_no_ubusd() {
    let mut client = Client::new("latchkey", Vec::new());
    assert_eq!(give(&mut client, MessageType::STATUS, 0, 0, status(0)), Err(Broken::NoHello(MessageType::STATUS)));
    let mut client = Client::new("latchkey", Vec::new());
    client.receive(b"HTTP/1.1 400 Bad Request");
    assert_eq!(client.poll(), Err(Broken::Malformed(Malformed::Version(b'H'))));
    // A call that ubusd did not put together as it does: where the rest would stand is unknown.
    let mut client = published();
    client.receive(b"\0\x05\0\x01\0\0\0\x05\0\0\0\x08\x04\0\0\x09");
    assert_eq!(client.poll(), Err(Broken::Malformed(Malformed::Length)));
}

#[test]
fn a_client_ends_on_no_input() {
    for seed in 0u32..2000 {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let octets: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Mostly small numbers, as headers have them.
            if state & 0x300 == 0 { state as u8 } else { (state as u8) & 7 }
        })
        .take(120)
        .collect();
        fuzz(&octets);
    }
}

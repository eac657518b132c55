//! Servers that lie, and others in their name.

use super::*;

#[test]
fn what_does_not_verify_is_no_answer() {
    for (manner, transport) in
        [(Manner::WrongSecret, Udp), (Manner::Garbage, Udp), (Manner::Oversized, Udp), (Manner::Unsigned, Udp)]
    {
        let mut world = World::new(&[(transport, manner)]);
        let server = world.ids()[0];
        let ticket = world.ask().unwrap();
        world.pass(10_000);
        assert_eq!(world.end(ticket).1, End::Failed(Failure::Silent { seconds: 9, servers: 1 }), "{manner:?}");
        let status = world.status(server);
        let counted = match manner {
            Manner::WrongSecret => status.dropped.forged,
            Manner::Unsigned => status.dropped.unsigned,
            _ => status.dropped.malformed,
        };
        assert!(counted >= 3, "{manner:?}: {status:?}");
        match manner {
            Manner::WrongSecret => assert!(status.trouble.unwrap().contains("same secret")),
            Manner::Unsigned => assert!(status.trouble.unwrap().contains("Message-Authenticator")),
            _ => {}
        }
        assert_ne!(status.health, Health::Up);
    }
}

#[test]
fn over_tls_that_is_the_end_of_the_connection() {
    for manner in [Manner::WrongSecret, Manner::Garbage, Manner::Oversized] {
        let mut world = World::new(&[(Radsec, manner), (Udp, Manner::Answers(1))]);
        let second = world.ids()[1];
        let ticket = world.ask().unwrap();
        world.pass(100);
        assert_eq!(world.broken.len(), 1, "{manner:?}");
        assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second), "{manner:?}");
    }
}

#[test]
fn a_message_authenticator_is_wanted() {
    // Over UDP always: Blast-RADIUS forges answers without one.
    let plain = [(AttributeType::CALLING_STATION_ID, &b"02-00-00-00-00-01"[..])];
    let mut world = World::new(&[(Udp, Manner::Unsigned), (Udp, Manner::Answers(1))]);
    let second = world.ids()[1];
    let ticket = world.ask_with(&plain).unwrap();
    world.pass(6000);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
    // Over TLS only with EAP, where RFC 3579 wants it.
    let mut world = World::new(&[(Radsec, Manner::Unsigned)]);
    let server = world.ids()[0];
    let ticket = world.ask_with(&plain).unwrap();
    let eap = world.ask().unwrap();
    world.pass(10_000);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, server));
    assert_eq!(world.end(eap).1, End::Failed(Failure::Silent { seconds: 9, servers: 1 }));
    assert!(world.broken.is_empty());
}

#[test]
fn the_genuine_answer_is_waited_for() {
    let mut world = World::new(&[(Udp, Manner::Answers(500))]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(100);
    let (link, request) = (*world.links.keys().next().unwrap(), world.sent[0].2.clone());
    let request = Packet::parse(&request).unwrap();
    // Somebody on the way answers faster, and knows everything but the secret.
    let (guess, mut forged) = (RadiusSecret::new(b"guess"), Vec::new());
    Builder::reply(Code::ACCESS_ACCEPT, &request, &guess, &mut forged).finish();
    world.deliver(link, &forged);
    // The genuine answer to another request, with the right identifier.
    let secret = RadiusSecret::new(b"testing123");
    let mut other = request.octets().to_vec();
    other[4] ^= 1;
    let mut replayed = Vec::new();
    Builder::reply(Code::ACCESS_ACCEPT, &Packet::parse(&other).unwrap(), &secret, &mut replayed).finish();
    world.deliver(link, &replayed);
    // A code that answers something else, and one that answers nothing at all.
    for code in [Code::ACCOUNTING_RESPONSE, Code::COA_ACK, Code::ACCESS_REQUEST, Code(99)] {
        let mut wrong = Vec::new();
        Builder::reply(code, &request, &secret, &mut wrong).finish();
        world.deliver(link, &wrong);
    }
    world.pass(1000);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, server));
    let dropped = world.status(server).dropped;
    assert_eq!((dropped.forged, dropped.malformed, dropped.late), (2, 3, 1), "{dropped:?}");
}

#[test]
fn twice_is_once_too_often() {
    let mut world = World::new(&[(Udp, Manner::Thrice)]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(1000);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, server));
    assert_eq!(world.status(server).dropped.late, 2);
}

#[test]
fn requests_of_a_server() {
    let mut world = World::new(&[(Radsec, Manner::Answers(1))]);
    let server = world.ids()[0];
    world.ask().unwrap();
    world.pass(100);
    let link = *world.links.keys().next().unwrap();
    let (radsec, mut octets) = (RadiusSecret::new(b"radsec"), Vec::new());
    Builder::disconnect_request(9, &radsec, &mut octets).finish();
    world.deliver(link, &octets);
    assert_eq!(world.requests, 1);
    // What we take from nobody is refused, so that it need not wait.
    let sent = world.sent.len();
    for status in [false, true] {
        let mut octets = Vec::new();
        let mut builder = match status {
            false => Builder::access_request(8, [4; 16], &radsec, &mut octets),
            true => Builder::status_server(8, [4; 16], &radsec, &mut octets),
        };
        builder.push(AttributeType::PROXY_STATE, b"theirs").unwrap();
        builder.finish();
        world.deliver(link, &octets);
        let answer = world.sent.last().unwrap().2.clone();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!((answer.code(), answer.identifier()), (Code::PROTOCOL_ERROR, 8));
        assert_eq!(answer.find_u32(AttributeType::ERROR_CAUSE), Some(406));
        assert_eq!(answer.find(AttributeType::EXTENDED_1), Some(&[4, 0, 0, 0, octets[0]][..]));
        assert_eq!(answer.find(AttributeType::PROXY_STATE), Some(&b"theirs"[..]));
        assert!(crate::wire::radius::verify_response_authenticator(&answer, &radsec, &[4; 16]));
    }
    assert_eq!(world.sent.len(), sent + 2);
    // Not verified: not from who is at the other end.
    let mut octets = Vec::new();
    Builder::disconnect_request(9, &RadiusSecret::new(b"x"), &mut octets).finish();
    world.deliver(link, &octets);
    assert_eq!(world.broken.len(), 1);
    assert_eq!((world.requests, world.status(server).dropped.forged), (1, 1));
}

#[test]
fn requests_over_udp_are_not_taken_from_servers() {
    let mut world = World::new(&[(Udp, Manner::Answers(1))]);
    let server = world.ids()[0];
    world.ask().unwrap();
    world.pass(100);
    let (link, sent) = (*world.links.keys().next().unwrap(), world.sent.len());
    let (secret, mut octets) = (RadiusSecret::new(b"testing123"), Vec::new());
    Builder::disconnect_request(9, &secret, &mut octets).finish();
    world.deliver(link, &octets);
    assert_eq!((world.requests, world.sent.len(), world.status(server).dropped.malformed), (0, sent, 1));
}

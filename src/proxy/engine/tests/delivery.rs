//! Requests on their way: retransmission, fail-over, conversations, connections.

use super::*;

#[test]
fn an_answer_comes_back() {
    let mut world = World::new(&[(Udp, Manner::Answers(20))]);
    let ticket = world.ask().unwrap();
    world.pass(1000);
    let server = world.ids()[0];
    assert_eq!(world.end(ticket), (21, End::Answer(Code::ACCESS_ACCEPT, server)));
    assert_eq!(world.times(server), [1]);
    let status = world.status(server);
    assert_eq!((status.health, status.round_trip, status.in_flight), (Health::Up, Some(20_000), 0));
    assert_eq!(world.changes, [(server, Health::Up)]);
}

#[test]
fn over_udp_it_is_sent_again_and_then_to_the_next() {
    let mut world = World::new(&[(Udp, Manner::Silent), (Udp, Manner::Answers(20))]);
    let [first, second] = world.ids()[..] else { panic!() };
    let ticket = world.ask().unwrap();
    world.pass(20_000);
    assert_eq!(world.times(first), [1, 2001]);
    assert_eq!(world.times(second), [5002]);
    assert_eq!(world.end(ticket), (5022, End::Answer(Code::ACCESS_ACCEPT, second)));
    let packets: Vec<&[u8]> =
        world.sent.iter().filter(|(_, _, packet)| packet[0] == 1).map(|(_, _, packet)| &packet[..]).collect();
    assert_eq!(packets[0], packets[1], "the same octets to the same server");
    assert_ne!(packets[0][4..20], packets[2][4..20], "another authenticator for another server");
    assert_eq!(Packet::parse(packets[2]).unwrap().attributes().count(), 4);
}

#[test]
fn the_only_server_is_asked_three_times() {
    let mut world = World::new(&[(Udp, Manner::Silent)]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(8_999);
    assert!(!world.ends.contains_key(&ticket));
    world.pass(1);
    assert_eq!(world.times(server), [1, 2001, 5001]);
    assert_eq!(world.end(ticket), (9000, End::Failed(Failure::Silent { seconds: 9, servers: 1 })));
    assert_eq!(world.status(server).in_flight, 0);
}

#[test]
fn all_servers_are_silent() {
    let mut world = World::new(&[(Udp, Manner::Silent), (Radsec, Manner::Silent), (Udp, Manner::Silent)]);
    let ticket = world.ask().unwrap();
    world.pass(10_000);
    assert_eq!(world.end(ticket), (9000, End::Failed(Failure::Silent { seconds: 9, servers: 2 })));
}

#[test]
fn loss_is_made_good() {
    let mut world = World::new(&[(Udp, Manner::Answers(20))]);
    world.loses = |n| n == 0;
    let ticket = world.ask().unwrap();
    world.pass(3000);
    assert_eq!(world.end(ticket).0, 2021);
    let server = world.ids()[0];
    assert_eq!(world.status(server).round_trip, None, "which of the two was answered is not known");
    assert_eq!(world.health(0), Health::Up);
}

#[test]
fn nothing_is_sent_twice_over_one_connection() {
    let mut world = World::new(&[(Radsec, Manner::Answers(8000))]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(9000);
    assert_eq!(world.times(server), [1]);
    assert_eq!(world.end(ticket), (8001, End::Answer(Code::ACCESS_ACCEPT, server)));
}

#[test]
fn a_conversation_stays_with_its_server() {
    let mut world = World::new(&[(Udp, Manner::Silent), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    let ticket = world.ask_with(&[(AttributeType::EAP_MESSAGE, &[9, 1, 0, 4])]).unwrap();
    world.pass(6000);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_CHALLENGE, second));
    let identifier = world.sent.iter().rfind(|(_, to, _)| *to == second).unwrap().2[1];
    // The first is preferred again; a new conversation goes there, the one under way does not.
    world.manners.insert(first, Manner::Answers(1));
    world.pass(50_000);
    assert_eq!(world.health(0), Health::Up);
    let fresh = world.ask().unwrap();
    world.pass(1000);
    assert_eq!(world.end(fresh).1, End::Answer(Code::ACCESS_ACCEPT, first));
    let eap = (AttributeType::EAP_MESSAGE, &[2, 2, 0, 4][..]);
    let next = world.ask_with(&[eap, (AttributeType::STATE, &[identifier, 1, 2, 3])]).unwrap();
    world.pass(1000);
    assert_eq!(world.end(next).1, End::Answer(Code::ACCESS_ACCEPT, second));
    // An unknown State is no conversation of ours.
    let other = world.ask_with(&[eap, (AttributeType::STATE, &[99])]).unwrap();
    world.pass(1000);
    assert_eq!(world.end(other).1, End::Answer(Code::ACCESS_ACCEPT, first));
}

#[test]
fn a_conversation_does_not_go_on_elsewhere() {
    let mut world = World::new(&[(Udp, Manner::Answers(1)), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    world.ask_with(&[(AttributeType::EAP_MESSAGE, &[9, 1, 0, 4])]).unwrap();
    world.pass(100);
    let identifier = world.sent[0].2[1];
    world.manners.insert(first, Manner::Silent);
    let eap = (AttributeType::EAP_MESSAGE, &[2, 2, 0, 4][..]);
    let next = world.ask_with(&[eap, (AttributeType::STATE, &[identifier, 1, 2, 3])]).unwrap();
    world.pass(10_000);
    assert_eq!(world.end(next).1, End::Failed(Failure::Silent { seconds: 9, servers: 1 }));
    assert!(world.times(second).is_empty());
    // After a minute it is forgotten.
    world.pass(60_000);
    let late = world.ask_with(&[eap, (AttributeType::STATE, &[identifier, 1, 2, 3])]).unwrap();
    world.pass(6000);
    assert_eq!(world.end(late).1, End::Answer(Code::ACCESS_ACCEPT, second));
}

#[test]
fn a_connection_that_breaks_is_opened_again() {
    let mut world = World::new(&[(Radsec, Manner::Silent)]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(20_000 / 10);
    world.manners.insert(server, Manner::Answers(1));
    world.hang_up(server);
    world.pass(3000);
    let (millis, end) = world.end(ticket);
    assert_eq!(end, End::Answer(Code::ACCESS_ACCEPT, server));
    // Half a second, and up to half of that more.
    assert!((2500..2800).contains(&millis), "{millis}");
    // It does not go round and round.
    world.manners.insert(server, Manner::Silent);
    let ticket = world.ask().unwrap();
    for _ in 0..3 {
        world.pass(1500);
        world.hang_up(server);
    }
    world.pass(3000);
    let why = "connection reset".into();
    assert_eq!(world.end(ticket).1, End::Failed(Failure::Unreachable { servers: 1, why }));
}

#[test]
fn another_server_takes_over_when_a_connection_breaks() {
    let mut world = World::new(&[(Radsec, Manner::Silent), (Radsec, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    let ticket = world.ask().unwrap();
    world.pass(100);
    world.hang_up(first);
    world.pass(100);
    assert_eq!(world.end(ticket), (102, End::Answer(Code::ACCESS_ACCEPT, second)));
}

#[test]
fn nobody_can_be_reached() {
    let mut world = World::new(&[(Radsec, Manner::Refuses), (Udp, Manner::Refuses)]);
    let ticket = world.ask().unwrap();
    world.pass(100);
    let why: std::sync::Arc<str> = "connection refused".into();
    assert_eq!(world.end(ticket).1, End::Failed(Failure::Unreachable { servers: 2, why: why.clone() }));
    assert_eq!((world.health(0), world.health(1)), (Health::Down, Health::Down));
    // The next request is reason enough to try it again.
    world.pass(60_000);
    let ticket = world.ask().unwrap();
    world.pass(3100);
    assert_eq!(world.end(ticket).1, End::Failed(Failure::Unreachable { servers: 2, why }));
    let server = world.ids()[1];
    world.manners.insert(server, Manner::Answers(1));
    world.probe(server);
    world.pass(100);
    assert!(matches!(world.probed[..], [Ok(1000)]), "{:?}", world.probed);
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, server));
}

#[test]
fn back_to_the_first_when_the_second_cannot_be_reached() {
    let mut world = World::new(&[(Udp, Manner::Answers(20)), (Radsec, Manner::Refuses)]);
    let first = world.ids()[0];
    world.loses = |n| n < 2;
    let ticket = world.ask().unwrap();
    world.pass(9000);
    let (millis, end) = world.end(ticket);
    assert_eq!(end, End::Answer(Code::ACCESS_ACCEPT, first));
    assert!((5000..5100).contains(&millis), "{millis}");
    // Once: it does not go to and fro.
    let mut world = World::new(&[(Udp, Manner::Silent), (Radsec, Manner::Refuses)]);
    let first = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(9000);
    assert_eq!(world.end(ticket), (9000, End::Failed(Failure::Silent { seconds: 9, servers: 2 })));
    assert_eq!(world.times(first), [1, 2001, 5002, 7002]);
}

#[test]
fn nobody_waits_for_a_long_back_off() {
    let mut world = World::new(&[(Radsec, Manner::Refuses)]);
    world.ask().unwrap();
    for _ in 0..60 {
        world.pass(1000);
        let wait = world.engine.peers[0].closed_for(world.now).as_millis() as u64;
        let ticket = world.ask();
        assert_eq!(ticket.is_err(), wait > 3000, "{wait}");
        let why = "connection refused".into();
        let failure = Failure::Unreachable { servers: 1, why };
        match ticket {
            Err(error) => assert_eq!(error, failure),
            Ok(ticket) => {
                world.pass(3010);
                assert_eq!(world.end(ticket).1, End::Failed(failure));
            }
        }
    }
}

#[test]
fn protocol_error_is_an_answer_to_try_elsewhere() {
    let mut world = World::new(&[(Radsec, Manner::ProtocolError), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
    assert_eq!(world.status(first).health, Health::Up);
    let mut world = World::new(&[(Udp, Manner::ProtocolError)]);
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert!(matches!(world.end(ticket).1, End::Failed(Failure::Unreachable { servers: 1, .. })));
}

#[test]
fn accounting_goes_the_same_way() {
    let nas = RadiusSecret::new(b"testing123");
    let mut octets = Vec::new();
    let mut builder = Builder::accounting_request(3, &nas, &mut octets);
    builder.push_u32(AttributeType::ACCT_STATUS_TYPE, 1).unwrap();
    builder.finish();
    for transport in [Udp, Radsec] {
        let mut world = World::new(&[(transport, Manner::Silent), (transport, Manner::Answers(1))]);
        let second = world.ids()[1];
        let ticket = world.submit("acme", &octets).unwrap();
        world.pass(6000);
        assert_eq!(world.end(ticket).1, End::Answer(Code::ACCOUNTING_RESPONSE, second));
        assert_eq!(world.health(0), if transport == Udp { Health::Unknown } else { Health::Up }, "no harm done");
    }
}

#[test]
fn cancelled_is_forgotten() {
    let mut world = World::new(&[(Udp, Manner::Answers(100)), (Radsec, Manner::Silent)]);
    let server = world.ids()[0];
    let (opening, sent) = (world.ask().unwrap(), world.ask().unwrap());
    world.engine.cancel(opening, world.now);
    world.pass(50);
    world.engine.cancel(sent, world.now);
    assert_eq!(world.status(server).in_flight, 0);
    world.pass(20_000);
    assert!(world.ends.is_empty());
    assert_eq!(world.times(server), [1]);
    assert_eq!(world.status(server).dropped.late, 1);
}

#[test]
fn whoever_asks_anew_again_and_again_learns_that_a_server_is_silent() {
    let mut world = World::new(&[(Udp, Manner::Silent), (Udp, Manner::Answers(1))]);
    let quick = world.ask().unwrap();
    world.pass(900);
    world.engine.cancel(quick, world.now);
    assert_eq!(world.health(0), Health::Unknown, "too soon to tell");
    let patient = world.ask().unwrap();
    world.pass(1500);
    world.engine.cancel(patient, world.now);
    assert_eq!(world.health(0), Health::Suspect);
    let next = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(next).1, End::Answer(Code::ACCESS_ACCEPT, world.ids()[1]));
}

#[test]
fn what_was_never_sent_takes_no_identifier() {
    let mut world = World::new(&[(Radsec, Manner::Answers(1))]);
    world.ask().unwrap();
    world.pass(100);
    let long = [1; 250];
    let attributes: Vec<(AttributeType, &[u8])> = (0..16).map(|_| (AttributeType::EAP_MESSAGE, &long[..])).collect();
    for _ in 0..300 {
        assert_eq!(world.ask_with(&attributes), Err(Failure::TooLong));
    }
    assert_eq!(world.status(world.ids()[0]).in_flight, 0);
    world.ask().unwrap();
    world.pass(100);
    assert_eq!((world.closed, world.links.len()), (0, 1), "the connection is as good as before");
}

//! Whether servers answer: watchdog, back-off, recovery.

use super::*;

#[test]
fn a_server_that_goes_away_and_comes_back() {
    let mut world = World::new(&[(Udp, Manner::Answers(1)), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    world.probe(first);
    world.pass(100);
    assert!(matches!(world.probed[..], [Ok(1000)]));
    assert_eq!(world.health(0), Health::Up);
    world.manners.insert(first, Manner::Silent);
    let ticket = world.ask().unwrap();
    world.pass(5100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
    assert_eq!(world.health(0), Health::Suspect);
    // The other is preferred at once.
    let ticket = world.ask().unwrap();
    world.pass(10);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
    let before = world.probes(first).len();
    world.pass(120_000);
    assert_eq!(world.health(0), Health::Down);
    assert!(world.status(first).trouble.is_some_and(|trouble| trouble.contains("Status-Server")));
    let gaps: Vec<u64> = world.probes(first)[before - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (10_000..=30_000).contains(gap)), "{gaps:?}");
    assert!(gaps.windows(2).any(|pair| pair[0] != pair[1]), "jitter: {gaps:?}");
    // Three answers, then it is as good as before.
    world.manners.insert(first, Manner::Answers(1));
    world.pass(80_000);
    assert_eq!(world.health(0), Health::Up);
    assert_eq!(world.status(first).trouble, None);
    let ours: Vec<Health> = world.changes.iter().filter(|(id, _)| *id == first).map(|(_, health)| *health).collect();
    assert_eq!(ours, [Health::Up, Health::Suspect, Health::Down, Health::Suspect, Health::Up]);
    let probes = world.probes(first).len();
    world.pass(300_000);
    assert_eq!(world.probes(first).len(), probes, "nobody asks a good one");
}

#[test]
fn one_answered_request_is_enough() {
    let mut world = World::new(&[(Udp, Manner::Silent)]);
    let server = world.ids()[0];
    world.ask().unwrap();
    world.pass(9000);
    assert_eq!(world.health(0), Health::Suspect);
    world.manners.insert(server, Manner::NoStatus);
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, server));
    assert_eq!(world.health(0), Health::Up);
}

#[test]
fn when_all_are_down_the_best_is_asked_still() {
    let mut world = World::new(&[(Udp, Manner::Answers(1)), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    world.probe(first);
    world.pass(100);
    world.probe(second);
    world.pass(100);
    for server in [first, second] {
        world.manners.insert(server, Manner::Silent);
    }
    world.ask().unwrap();
    world.pass(100_000);
    assert_eq!((world.health(0), world.health(1)), (Health::Down, Health::Down));
    // The second was heard last.
    world.manners.insert(second, Manner::NoStatus);
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
}

#[test]
fn a_server_without_status_server_is_no_worse_off() {
    // It does not answer one device, for whatever reason; it is not held against it for long.
    let mut world = World::new(&[(Udp, Manner::Silent), (Udp, Manner::NoStatus)]);
    let first = world.ids()[0];
    world.ask().unwrap();
    world.pass(6000);
    assert_eq!(world.health(0), Health::Suspect);
    world.manners.insert(first, Manner::NoStatus);
    world.pass(100_000);
    assert_eq!(world.health(0), Health::Unknown);
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, first));
    assert_eq!(world.health(0), Health::Up);
}

#[test]
fn one_unanswered_request_among_others_says_nothing() {
    let mut world = World::new(&[(Udp, Manner::NoStatus)]);
    let server = world.ids()[0];
    world.loses = |n| n < 3;
    // All three times it is sent.
    let lost = world.ask().unwrap();
    world.pass(8000);
    let other = world.ask().unwrap();
    world.pass(2000);
    assert_eq!(world.end(other).1, End::Answer(Code::ACCESS_ACCEPT, server));
    assert!(matches!(world.end(lost).1, End::Failed(Failure::Silent { .. })));
    assert_eq!(world.health(0), Health::Up, "it answers others");
}

#[test]
fn a_slow_server_is_there_but_of_no_use() {
    let mut world = World::new(&[(Udp, Manner::Answers(30_000))]);
    let server = world.ids()[0];
    let ticket = world.ask().unwrap();
    world.pass(9000);
    assert_eq!(world.end(ticket).1, End::Failed(Failure::Silent { seconds: 9, servers: 1 }));
    world.pass(60_000);
    let status = world.status(server);
    // All answers to the three copies, and those to Status-Server, came too late.
    assert!(status.dropped.late >= 5 && status.dropped.forged == 0, "{status:?}");
    assert_eq!(status.in_flight, 0);
    assert_eq!(world.ends.len(), 1);
}

#[test]
fn an_idle_connection_is_watched() {
    let mut world = World::new(&[(Radsec, Manner::Answers(1))]);
    let server = world.ids()[0];
    world.ask().unwrap();
    world.pass(100);
    world.pass(200_000);
    let probes = world.probes(server);
    assert!((5..=6).contains(&probes.len()), "{probes:?}");
    assert!(world.sent.iter().filter(|(_, _, packet)| packet[0] == 12).all(|(_, _, packet)| packet[1] == 0));
    // It dies without a word: seen within 30 and some seconds, and opened anew to see whether it is back.
    world.manners.insert(server, Manner::Silent);
    world.pass(45_000);
    assert_eq!(world.closed, 1);
    world.manners.insert(server, Manner::Answers(1));
    world.pass(10_000);
    assert_eq!(world.links.len(), 1);
    assert_eq!(world.health(0), Health::Up);
}

#[test]
fn silence_to_a_request_is_no_dead_connection() {
    let mut world = World::new(&[(Radsec, Manner::OnlyStatus)]);
    let ticket = world.ask().unwrap();
    world.pass(9000);
    assert_eq!(world.end(ticket).1, End::Failed(Failure::Silent { seconds: 9, servers: 1 }));
    assert_eq!(world.health(0), Health::Suspect);
    world.pass(40_000);
    assert_eq!((world.health(0), world.links.len(), world.closed), (Health::Up, 1, 0));
}

#[test]
fn over_tls_too_late_is_not_forged() {
    // More requests than identifiers while their answers are still to come: none is taken for that to another.
    let mut world = World::new(&[(Radsec, Manner::Slow(12_000))]);
    let server = world.ids()[0];
    let tickets: Vec<Ticket> = (0..400)
        .map(|_| {
            let ticket = world.ask().unwrap();
            world.pass(40);
            ticket
        })
        .collect();
    world.pass(20_000);
    let status = world.status(server);
    assert_eq!((status.dropped.forged, status.dropped.late), (0, 400), "{status:?}");
    assert!(world.broken.is_empty() && world.closed == 0);
    assert_eq!(world.links.len(), 2);
    assert!(tickets.iter().all(|ticket| matches!(world.end(*ticket).1, End::Failed(Failure::Silent { .. }))));
    // A connection on which hundreds of answers never came is replaced.
    world.manners.insert(server, Manner::OnlyStatus);
    for _ in 0..200 {
        world.ask().unwrap();
        world.pass(40);
    }
    world.pass(60_000);
    assert!(world.closed >= 1, "{:?}", world.status(server));
}

#[test]
fn no_connection_is_kept_without_use() {
    for transport in [Udp, Radsec] {
        let mut world = World::new(&[(transport, Manner::Answers(1))]);
        world.ask().unwrap();
        world.pass(14 * 60_000);
        assert_eq!((world.links.len(), world.closed), (1, 0));
        world.pass(2 * 60_000);
        assert_eq!((world.links.len(), world.closed), (0, 1));
        let sent = world.sent.len();
        world.pass(60 * 60_000);
        assert_eq!(world.sent.len(), sent);
        assert_eq!(world.engine.next_timeout(), None, "nothing to do, nothing to wake for");
        let ticket = world.ask().unwrap();
        world.pass(100);
        assert!(matches!(world.end(ticket).1, End::Answer(..)));
    }
}

#[test]
fn connecting_is_tried_less_and_less_often() {
    let mut world = World::new(&[(Radsec, Manner::Refuses)]);
    let server = world.ids()[0];
    world.ask().unwrap();
    world.pass(1);
    let mut tries = Vec::new();
    let mut before = world.status(server).trouble;
    assert!(before.take().is_some());
    // Each try is an event that makes it wait twice as long, and up to half as long again.
    for _ in 0..9 {
        let retry = world.engine.peers[0].retry.unwrap();
        tries.push((retry - world.now).as_millis() as u64);
        world.pass((retry - world.now).as_millis() as u64 + 2);
    }
    for (n, wait) in tries.iter().enumerate() {
        let base = (500u64 << n).min(60_000);
        assert!((base - 2..=base + base / 2).contains(wait), "{n}: {tries:?}");
    }
    world.manners.insert(server, Manner::Answers(1));
    world.pass(90_000);
    assert_eq!(world.health(0), Health::Up);
}

#[test]
fn probes_for_people() {
    let mut world = World::new(&[(Udp, Manner::Silent), (Radsec, Manner::Refuses), (Radsec, Manner::Answers(42))]);
    let [silent, refuses, answers] = world.ids()[..] else { panic!() };
    world.probe(silent);
    world.pass(6000);
    world.probe(refuses);
    world.pass(6000);
    world.probe(answers);
    world.pass(6000);
    let [Err(first), Err(second), Ok(42_000)] = &world.probed[..] else { panic!("{:?}", world.probed) };
    assert_eq!(**first, *"Status-Server was not answered in 5 s");
    assert_eq!(**second, *"connection refused");
    assert_eq!(world.health(0), Health::Unknown, "it may not know Status-Server");
    let seed = &mut 1;
    let mut random = |octets: &mut [u8]| super::super::fuzzing::fill(seed, octets);
    assert!(!world.engine.probe(ServerId(999), world.now, &mut random));
}

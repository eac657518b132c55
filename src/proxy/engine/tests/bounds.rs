//! How much there can be of everything, loops, and changes of the configuration.

use super::*;

#[test]
fn identifiers_run_out() {
    let mut world = World::new(&[(Udp, Manner::Silent)]);
    let server = world.ids()[0];
    for _ in 0..256 {
        world.ask().unwrap();
    }
    assert_eq!(world.ask(), Err(Failure::Busy));
    world.pass(100);
    assert_eq!(world.links.len(), 2, "the 256th has a socket of its own");
    assert_eq!((world.status(server).in_flight, world.times(server).len()), (256, 256));
    let mut seen: Vec<(u8, Vec<u8>)> =
        world.sent.iter().map(|(_, _, packet)| (packet[1], packet[4..20].to_vec())).collect();
    assert!(seen.iter().all(|(identifier, _)| *identifier != 0));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 256);
    world.pass(10_000);
    assert_eq!((world.ends.len(), world.status(server).in_flight), (256, 0));
    assert!(world.ask().is_ok());
}

#[test]
fn a_busy_server_is_helped_by_the_next() {
    let mut world = World::new(&[(Radsec, Manner::Silent), (Udp, Manner::Answers(1))]);
    let [first, second] = world.ids()[..] else { panic!() };
    for _ in 0..510 {
        world.ask().unwrap();
    }
    let ticket = world.ask().unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, second));
    assert_eq!(world.links.values().filter(|server| **server == first).count(), 2);
    assert_eq!(world.times(first).len(), 510);
}

#[test]
fn a_thousand_requests_and_no_more() {
    let servers: Vec<(Transport, Manner)> = (0..6).map(|_| (Udp, Manner::Silent)).collect();
    let mut world = World::new(&servers);
    for _ in 0..1024 {
        world.ask().unwrap();
    }
    assert_eq!(world.ask(), Err(Failure::Busy));
    world.pass(9_000);
    assert_eq!(world.ends.len(), 1024);
    for ticket in 1..=1024 {
        assert!(matches!(world.end(Ticket(ticket)).1, End::Failed(Failure::Silent { .. })));
    }
    assert!(world.ids().iter().all(|id| world.status(*id).in_flight == 0));
    assert!(world.engine.pool.len() <= super::super::POOL);
    // The buffers of so many are not kept.
    let kept = (0..1024u16).filter(|slot| world.engine.requests.kept(*slot) > 0).count();
    assert!(kept <= 256, "{kept}");
}

#[test]
fn identifiers_are_used_again_as_late_as_possible() {
    let mut world = World::new(&[(Udp, Manner::Answers(1))]);
    for _ in 0..600 {
        world.ask().unwrap();
        world.pass(5);
    }
    let identifiers: Vec<u8> = world.sent.iter().map(|(_, _, packet)| packet[1]).collect();
    for window in identifiers.windows(255) {
        let mut distinct = window.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 255);
    }
    assert_eq!(world.links.len(), 1);
}

#[test]
fn loops_are_seen() {
    let mut world = World::new(&[(Udp, Manner::Silent)]);
    world.ask().unwrap();
    world.pass(100);
    // What we sent comes back to us, through somebody who has added something.
    let sent = world.sent[0].2.clone();
    let state = Packet::parse(&sent).unwrap().find(AttributeType::PROXY_STATE).unwrap();
    assert_eq!(state.len(), 16);
    let round = [(AttributeType::PROXY_STATE, state), (AttributeType::PROXY_STATE, b"other")];
    assert_eq!(world.ask_with(&round), Err(Failure::Loop));
    let eight: Vec<(AttributeType, &[u8])> = (0..8).map(|_| (AttributeType::PROXY_STATE, &b"other"[..])).collect();
    assert!(world.ask_with(&eight).is_ok());
    let nine: Vec<(AttributeType, &[u8])> = (0..9).map(|_| (AttributeType::PROXY_STATE, &b"other"[..])).collect();
    assert_eq!(world.ask_with(&nine), Err(Failure::Loop));
    // As long as ours, but another's.
    assert!(world.ask_with(&[(AttributeType::PROXY_STATE, &[7; 16])]).is_ok());
}

#[test]
fn too_long_for_one_more_hop() {
    let mut world = World::new(&[(Udp, Manner::Answers(1)), (Radsec, Manner::Answers(1))]);
    let long: Vec<(AttributeType, &[u8])> = (0..15).map(|_| (AttributeType::EAP_MESSAGE, &[2; 253][..])).collect();
    let filled = |octets: usize| {
        let mut attributes = long.clone();
        attributes.push((AttributeType::STATE, &[1; 253][..octets]));
        attributes
    };
    // 20 + 18 + 16 + 15 * 255 and our 18 leave 199.
    assert_eq!(world.ask_with(&filled(198)), Err(Failure::TooLong));
    let ticket = world.ask_with(&filled(197)).unwrap();
    world.pass(100);
    assert_eq!(world.sent[0].2.len(), 4096);
    assert!(matches!(world.end(ticket).1, End::Answer(..)));
    assert!(world.ids().iter().all(|id| world.status(*id).in_flight == 0));
}

#[test]
fn nobody_is_known_for_the_realm() {
    let mut world = World::new(&[]);
    for name in ["acme", "other"] {
        assert!(matches!(world.ask_realm(name, &[]), Err(Failure::Unreachable { servers: 0, .. })), "{name}");
    }
    // RFC 5997, 4.4: it is from hop to hop.
    let (nas, mut octets) = (RadiusSecret::new(b"testing123"), Vec::new());
    Builder::status_server(0, [1; 16], &nas, &mut octets).finish();
    let mut world = World::new(&[(Udp, Manner::Answers(1))]);
    assert!(matches!(world.submit("acme", &octets), Err(Failure::Unreachable { servers: 0, .. })));
}

#[test]
fn a_new_configuration_with_requests_under_way() {
    let mut world = World::new(&[(Udp, Manner::Answers(1000)), (Radsec, Manner::Silent)]);
    let [stays, goes] = world.ids()[..] else { panic!() };
    let staying = world.ask().unwrap();
    world.pass(100);
    world.manners.insert(stays, Manner::Silent);
    let moving = {
        // The next goes to the other one.
        let busy: Vec<Ticket> = (0..255).map(|_| world.ask().unwrap()).collect();
        let ticket = world.ask().unwrap();
        busy.into_iter().for_each(|ticket| world.engine.cancel(ticket, world.now));
        ticket
    };
    world.pass(100);
    assert_eq!(world.times(goes).len(), 1);
    let kept = realm("acme", Target::Servers(vec![server(Udp, 3), server(Udp, 1)]));
    world.configure(std::slice::from_ref(&kept));
    assert_eq!(world.ids().len(), 2);
    assert_eq!(world.ids()[1], stays, "the same server, the same identity");
    assert_eq!(world.engine.server(goes), None);
    let new = world.ids()[0];
    assert!(new > goes);
    world.manners.insert(new, Manner::Answers(1));
    world.pass(5000);
    assert_eq!(world.end(staying).1, End::Answer(Code::ACCESS_ACCEPT, stays));
    assert_eq!(world.end(moving).1, End::Answer(Code::ACCESS_ACCEPT, new));
    assert!(!world.links.values().any(|server| *server == goes));
    // Another secret is another server; what is under way there goes to the new one, hidden anew.
    world.manners.insert(new, Manner::Silent);
    let ticket = world.ask().unwrap();
    world.pass(100);
    world.configure(&[Realm { secret: Some(RadiusSecret::new(b"changed")), ..kept }]);
    assert!(!world.ids().contains(&new) && !world.ids().contains(&stays));
    assert_eq!(world.engine.secret(world.ids()[0]), Some(&RadiusSecret::new(b"changed")));
    world.pass(100);
    let (_, to, packet) = world.sent.last().unwrap();
    assert_eq!(*to, world.ids()[0]);
    let packet = Packet::parse(packet).unwrap();
    let verified = |secret: &[u8]| {
        crate::wire::radius::verify_message_authenticator(&packet, &RadiusSecret::new(secret), None)
            == crate::wire::radius::MessageAuthenticator::Valid
    };
    assert!(verified(b"changed") && !verified(b"testing123"));
    world.configure(&[]);
    world.pass(100);
    let End::Failed(Failure::Unreachable { why, .. }) = world.end(ticket).1 else { panic!() };
    assert_eq!(*why, *"its server was taken out of the configuration");
    assert!(world.links.is_empty() && world.ids().is_empty());
}

#[test]
fn servers_that_dns_tells() {
    let mut world = World::new(&[]);
    let section = realm("found", Target::Discover);
    world.configure(std::slice::from_ref(&section));
    assert!(matches!(world.ask_realm("found", &[]), Err(Failure::Unreachable { servers: 0, .. })));
    world.engine.discovered("found", "ACME.example", vec![server(Radsec, 1), server(Radsec, 2)], world.now);
    let [first, second] = world.ids()[..] else { panic!() };
    assert_eq!(world.engine.nai_realm(first), Some("ACME.example"));
    world.manners = [(first, Manner::Answers(1)), (second, Manner::Answers(1))].into();
    let ticket = world.ask_realm("found", &[]).unwrap();
    world.pass(100);
    assert_eq!(world.end(ticket).1, End::Answer(Code::ACCESS_ACCEPT, first));
    // The same once more, in another order: nothing is opened anew.
    world.configure(std::slice::from_ref(&section));
    world.engine.discovered("found", "acme.example", vec![server(Radsec, 2), server(Radsec, 1)], world.now);
    assert_eq!(world.ids(), [second, first]);
    assert_eq!((world.links.len(), world.closed), (1, 0));
    // Not for a section that does not want it, nor for another's realm.
    world.engine.discovered("other", "acme.example", vec![server(Radsec, 3)], world.now);
    assert_eq!(world.ids().len(), 2);
    // The same server for another realm has another certificate to show.
    world.engine.discovered("found", "b.example", vec![server(Radsec, 1)], world.now);
    assert_eq!(world.ids().len(), 3);
    for n in 0..100 {
        world.engine.discovered("found", &format!("r{n}.example"), vec![server(Radsec, 9)], world.now);
    }
    assert_eq!(world.ids().len(), 32);
    world.engine.discovered("found", "r99.example", Vec::new(), world.now);
    assert_eq!(world.ids().len(), 31);
}

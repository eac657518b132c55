//! Conversations with a small method of their own beside EAP-PSK.

use super::conversation::{Conversation, Hint, MAX_OCTETS, MAX_ROUNDS, Step};
use super::problem::Problem;
use super::psk::peer::{Answer, Peer};
use super::testing::{Keys, Numbers, World};
use super::{Context, Entry, METHODS, Method, Progress, Proved, psk};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use crate::wire::eap;
use proptest::prelude::*;

/// Sends back what came, and does what the first octet says.
struct Tiny;

const TINY: u8 = 200;

impl Method for Tiny {
    fn begin(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        b"hello".to_vec()
    }

    fn receive(&mut self, data: &[u8], _: &mut Context<'_>) -> Progress {
        match data.first() {
            Some(b'p') => Progress::Proved(Proved::Psk(DeviceId(7))),
            Some(b'f') => Progress::Failure(Problem::NoCertificate),
            Some(b'd') => Progress::Discard("as told"),
            _ => Progress::Request(data.to_vec()),
        }
    }

    fn decided(&mut self, admitted: bool, _: &mut Context<'_>) -> Progress {
        if admitted {
            Progress::Success(EapKeys::new([7; 64], b"session"))
        } else {
            Progress::Failure(Problem::Refused)
        }
    }

    fn octets(&self) -> usize {
        1000
    }

    fn last_sent(&self) -> &'static str {
        "a greeting"
    }

    fn detail(&self) -> &'static str {
        "small"
    }
}

static TABLE: &[Entry] = &[
    Entry { kind: 201, name: "Absent", begin: |_| None },
    Entry { kind: TINY, name: "Tiny", begin: |_| Some(Box::new(Tiny)) },
    psk::ENTRY,
    Entry { kind: 202, name: "Other", begin: |_| Some(Box::new(Tiny)) },
];

const KNOWN: &[u8] = b"anna@x";

fn world() -> World {
    let psk = vec![(KNOWN, DeviceId(3), EapPskKey::new([1; 16]))];
    World::new(Keys { psk, ..Keys::default() }, 1)
}

fn begin(world: &mut World, first: Option<u8>, response: &[u8]) -> (Conversation, Step) {
    Conversation::begin_with(TABLE, response, Hint { first }, &mut world.context())
}

/// A conversation with the small method whose first request is out, with identifier 8.
fn tiny(world: &mut World) -> Conversation {
    let (conversation, step) = begin(world, Some(TINY), b"\x02\x07\x00\x08\x01who");
    assert_eq!(sent(step), eap::request(8, TINY, b"hello"));
    conversation
}

#[track_caller]
fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(packet) => packet,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rejected(step: Step) -> (Vec<u8>, Problem) {
    match step {
        Step::Reject { packet, problem } => (packet, problem),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn discarded(step: Step) -> &'static str {
    match step {
        Step::Discard(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn from_identity_to_success() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    assert_eq!((conversation.identity(), conversation.method().unwrap().name), (&b"who"[..], "Tiny"));
    assert!(conversation.octets() > 1000);
    let step = conversation.receive(&eap::response(8, TINY, b"go on"), &mut world.context());
    assert_eq!(sent(step), eap::request(9, TINY, b"go on"));
    let step = conversation.receive(&eap::response(9, TINY, b"p"), &mut world.context());
    assert!(matches!(step, Step::Decide(Proved::Psk(DeviceId(7)))));
    let step = conversation.receive(&eap::response(9, TINY, b"p"), &mut world.context());
    assert_eq!(discarded(step), "a decision is due");
    let Step::Accept { packet, keys } = conversation.decided(true, &mut world.context()) else { panic!() };
    // RFC 3748, 4.2: the identifier of the response it answers.
    assert_eq!((packet, keys.msk()), (vec![3, 9, 0, 4], &[7; 64]));
    assert!(conversation.is_over());
    assert_eq!((conversation.detail(), conversation.method().unwrap().kind), ("small", TINY));
    let step = conversation.receive(&eap::response(9, TINY, b"p"), &mut world.context());
    assert_eq!(discarded(step), "the conversation is over");
    assert_eq!(discarded(conversation.decided(true, &mut world.context())), "no decision is due");
}

#[test]
fn from_identity_to_failure() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    let step = conversation.receive(&eap::response(8, TINY, b"f"), &mut world.context());
    assert_eq!(rejected(step), (vec![4, 8, 0, 4], Problem::NoCertificate));
    let mut conversation = tiny(&mut world);
    conversation.receive(&eap::response(8, TINY, b"p"), &mut world.context());
    let step = conversation.decided(false, &mut world.context());
    assert_eq!(rejected(step), (vec![4, 8, 0, 4], Problem::Refused));
}

#[test]
fn which_method_first() {
    let mut world = world();
    let mut first = |hint, identity: &[u8]| {
        let (_, step) = begin(&mut world, hint, &eap::response(7, 1, identity));
        sent(step)[4]
    };
    // The first that is set up; what the identity has a key for; the hint, if it can be had.
    assert_eq!(first(None, b"who"), TINY);
    assert_eq!(first(None, KNOWN), 47);
    assert_eq!(first(Some(202), KNOWN), 202);
    assert_eq!(first(Some(47), b"who"), 47);
    assert_eq!(first(Some(201), KNOWN), TINY);
    assert_eq!(first(Some(99), b"who"), TINY);
    world.keys.unwanted = vec![TINY, 47];
    let (_, step) = begin(&mut world, Some(47), &eap::response(7, 1, KNOWN));
    assert_eq!(sent(step)[4], 202);
    world.keys.unwanted.push(202);
    let (conversation, step) = begin(&mut world, None, &eap::response(7, 1, KNOWN));
    let (packet, problem) = rejected(step);
    assert_eq!((packet, conversation.method().is_none()), (vec![4, 7, 0, 4], true));
    assert_eq!(problem, Problem::NoMethod { offered: None, ours: "nothing".into() });
}

#[test]
fn the_real_table_has_each_type_once() {
    let mut kinds: Vec<u8> = METHODS.iter().map(|entry| entry.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), METHODS.len());
    assert!(METHODS.len() <= 32 && kinds.contains(&47));
    for entry in METHODS {
        assert_eq!(entry.name, eap::Type::ietf(entry.kind).to_string());
    }
}

#[test]
fn eap_start() {
    let mut world = world();
    let (mut conversation, step) = begin(&mut world, None, b"");
    let question = sent(step);
    let id = question[1];
    assert_eq!(question, eap::request(id, 1, b""));
    assert_eq!(conversation.identity(), b"");
    for (other, why) in [
        (eap::response(id, TINY, b"p"), "not an answer to EAP-Request/Identity"),
        (eap::response(id, 3, &[47]), "not an answer to EAP-Request/Identity"),
        (eap::response(id.wrapping_add(1), 1, b"who"), "a response to another request"),
    ] {
        assert_eq!(discarded(conversation.receive(&other, &mut world.context())), why);
    }
    let step = conversation.receive(&eap::response(id, 1, KNOWN), &mut world.context());
    let proposal = sent(step);
    assert_eq!(proposal[..2], [1, id.wrapping_add(1)]);
    assert_eq!((proposal[4], conversation.identity()), (47, KNOWN));
}

#[test]
fn what_cannot_begin() {
    let mut world = world();
    for (octets, why) in [
        (&b"\x02"[..], "an EAP packet of less than 4 octets"),
        (b"\x02\x01\x00\x09\x01", "an EAP packet whose length is wrong"),
        (b"\x02\x01\x00\x04", "an EAP packet without a type"),
        (b"\x09\x01\x00\x05\x01", "an EAP packet with an unknown code"),
        (b"\x01\x01\x00\x05\x01", "not an EAP-Response"),
        (b"\x03\x01\x00\x04", "not an EAP-Response"),
        (b"\x04\x01\x00\x04", "not an EAP-Response"),
    ] {
        let (conversation, step) = begin(&mut world, None, octets);
        assert_eq!(discarded(step), why);
        assert!(conversation.is_over());
    }
    // In the middle of a conversation we know nothing of: told at once.
    let (conversation, step) = begin(&mut world, None, &eap::response(5, 47, b"x"));
    let (packet, problem) = rejected(step);
    assert!(conversation.is_over() && packet == [4, 5, 0, 4] && matches!(problem, Problem::Protocol(_)));
}

#[test]
fn the_longest_identity() {
    let mut world = world();
    let (conversation, step) = begin(&mut world, None, &eap::response(1, 1, &[b'a'; 253]));
    assert_eq!((sent(step)[4], conversation.identity().len()), (TINY, 253));
    let (conversation, step) = begin(&mut world, None, &eap::response(1, 1, &[b'a'; 254]));
    assert!(matches!(rejected(step).1, Problem::Protocol(_)));
    assert_eq!(conversation.identity(), b"");
}

#[test]
fn naks() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    // What the device wants counts in its order; what is not set up is passed over.
    let nak = eap::response(8, 3, &[25, 201, 47, 202]);
    let proposal = sent(conversation.receive(&nak, &mut world.context()));
    assert_eq!((proposal[1], proposal[4], conversation.method().unwrap().kind), (9, 47, 47));
    // Lost on its way: once more the same.
    assert_eq!(sent(conversation.receive(&nak, &mut world.context())), proposal);
    let nak = eap::response(9, 3, &[TINY, 202]);
    assert_eq!(sent(conversation.receive(&nak, &mut world.context())), eap::request(10, 202, b"hello"));
    // Everything was proposed once.
    let step = conversation.receive(&eap::response(10, 3, &[47, TINY]), &mut world.context());
    let (packet, problem) = rejected(step);
    assert_eq!(packet, [4, 10, 0, 4]);
    let (offered, ours) = (Some("EAP-PSK and EAP type 200".into()), "Tiny, EAP-PSK and Other".into());
    assert_eq!(problem, Problem::NoMethod { offered, ours });
    assert!(conversation.method().is_none());
}

#[test]
fn naks_that_leave_nothing() {
    let mut world = world();
    let vendors = b"\xfe\0\0\0\0\0\0\x19\xfe\0\x37\x2a\0\0\0\x01";
    let expanded = eap::response(8, 254, &[&b"\0\0\0\0\0\0\x03"[..], vendors].concat());
    for (nak, offered) in [
        (eap::response(8, 3, &[0]), None),
        (eap::response(8, 3, &[]), None),
        (eap::response(8, 3, &[26]), Some("EAP-MSCHAPv2")),
        (
            eap::response(8, 3, &[26, 29, 25, 21, 52, 55, 43, 18]),
            Some("EAP-MSCHAPv2, PEAP, EAP-TTLS, EAP-pwd, TEAP and EAP-FAST"),
        ),
        (eap::response(8, 3, &[TINY]), Some("EAP type 200")),
        (expanded, Some("PEAP and WPS")),
    ] {
        let step = tiny(&mut world).receive(&nak, &mut world.context());
        let (packet, problem) = rejected(step);
        assert_eq!(packet, [4, 8, 0, 4]);
        let Problem::NoMethod { offered: found, ours } = &problem else { panic!("{problem:?}") };
        assert_eq!((found.as_deref(), &**ours), (offered, "Tiny, EAP-PSK and Other"));
        let text = problem.to_string();
        assert!(text.contains(offered.unwrap_or("wants none")) && text.contains(&**ours), "{text}");
    }
    let expanded = eap::response(8, 254, b"\0\0\0\0\0\0\x03\xfe\0\0\0\0\0\0\x2f");
    assert_eq!(sent(tiny(&mut world).receive(&expanded, &mut world.context()))[4], 47);
}

#[test]
fn what_does_not_belong_is_discarded() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    let before = |conversation: &mut Conversation, world: &mut World, cases: &[(Vec<u8>, &str)]| {
        for (packet, why) in cases {
            assert_eq!(discarded(conversation.receive(packet, &mut world.context())), *why, "{packet:02x?}");
        }
    };
    let always = [
        (vec![], "an EAP packet of less than 4 octets"),
        (eap::request(8, TINY, b"p"), "not an EAP-Response"),
        (eap::success(8), "not an EAP-Response"),
        (eap::failure(8), "not an EAP-Response"),
        (eap::response(7, TINY, b"p"), "a response to another request"),
        (eap::response(10, TINY, b"p"), "a response to another request"),
    ];
    before(&mut conversation, &mut world, &always);
    before(
        &mut conversation,
        &mut world,
        &[
            (eap::response(8, 1, b"who"), "not an answer to the method's request"),
            (eap::response(8, 2, b""), "not an answer to the method's request"),
            (eap::response(8, 47, b"p"), "not an answer to the method's request"),
            (eap::response(8, TINY, b"d"), "as told"),
        ],
    );
    // A response the method has discarded has not chosen it: a Nak still may come.
    let nak = conversation.receive(&eap::response(8, 3, &[202]), &mut world.context());
    assert_eq!(sent(nak)[4], 202);

    let mut conversation = tiny(&mut world);
    sent(conversation.receive(&eap::response(8, TINY, b"go on"), &mut world.context()));
    before(
        &mut conversation,
        &mut world,
        &[
            (eap::response(9, 3, &[47]), "a Nak in the middle of a method"),
            (eap::response(9, 254, b"\0\0\0\0\0\0\x03\xfe\0\0\0\0\0\0\x2f"), "a Nak in the middle of a method"),
            (eap::response(9, 1, b"who"), "not an answer to the method's request"),
            (eap::response(8, TINY, b"something else"), "a response to another request"),
            (eap::response(9, TINY, b"d"), "as told"),
        ],
    );
    // None of it has left a trace.
    let step = conversation.receive(&eap::response(9, TINY, b"p"), &mut world.context());
    assert!(matches!(step, Step::Decide(_)));
}

#[test]
fn a_repeated_response_is_answered_by_the_same_request() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    let identity = b"\x02\x07\x00\x08\x01who";
    assert_eq!(sent(conversation.receive(identity, &mut world.context())), eap::request(8, TINY, b"hello"));
    let response = eap::response(8, TINY, b"go on");
    let request = sent(conversation.receive(&response, &mut world.context()));
    // With padding it is the same packet.
    let padded = [&response[..], b"\0\0"].concat();
    for again in [&response, &padded, &response] {
        assert_eq!(sent(conversation.receive(again, &mut world.context())), request);
    }
    assert_eq!(discarded(conversation.receive(identity, &mut world.context())), "a response to another request");
}

#[test]
fn identifiers_wrap_around() {
    let mut world = world();
    let (mut conversation, step) = begin(&mut world, Some(TINY), &eap::response(254, 1, b"who"));
    assert_eq!(sent(step)[1], 255);
    let step = conversation.receive(&eap::response(255, TINY, b"go on"), &mut world.context());
    assert_eq!(sent(step)[1], 0);
    assert_eq!(sent(conversation.receive(&eap::response(0, TINY, b"x"), &mut world.context()))[1], 1);
}

#[test]
fn endless_conversations_end() {
    let mut world = world();
    let mut conversation = tiny(&mut world);
    for round in 1..MAX_ROUNDS {
        let step = conversation.receive(&eap::response(7 + round as u8, TINY, b"x"), &mut world.context());
        assert_eq!(sent(step)[1], 8 + round as u8);
    }
    let step = conversation.receive(&eap::response(7 + MAX_ROUNDS as u8, TINY, b"x"), &mut world.context());
    assert_eq!(rejected(step), (vec![4, 7 + MAX_ROUNDS as u8, 0, 4], Problem::TooLong));
    assert!(conversation.is_over());
    assert_eq!(conversation.detail(), "small");

    // The same response again and again, and what is discarded, count as well.
    for packet in [eap::response(8, TINY, b"x"), eap::response(8, TINY, b"d"), eap::response(99, TINY, b"")] {
        let mut conversation = tiny(&mut world);
        let mut rounds = 1;
        while !conversation.is_over() {
            conversation.receive(&packet, &mut world.context());
            rounds += 1;
        }
        assert_eq!(rounds, MAX_ROUNDS + 1);
    }

    let mut conversation = tiny(&mut world);
    let mut taken = 8;
    for id in 8.. {
        let packet = eap::response(id, TINY, &[b'x'; 5000]);
        taken += packet.len();
        let step = conversation.receive(&packet, &mut world.context());
        if taken > MAX_OCTETS {
            assert_eq!(rejected(step).1, Problem::TooLong);
            break;
        }
        sent(step);
    }
}

#[test]
fn words_for_a_device_that_went_away() {
    let mut world = world();
    let (conversation, _) = begin(&mut world, None, b"");
    assert_eq!(conversation.problem_when_abandoned(), Problem::Abandoned { after: "the question who it is" });
    assert_eq!(tiny(&mut world).problem_when_abandoned(), Problem::Abandoned { after: "a greeting" });
    let (conversation, _) = begin(&mut world, None, &eap::response(1, 1, KNOWN));
    let problem = conversation.problem_when_abandoned();
    assert_eq!(problem.to_string(), "the device did not go on after the proposal of EAP-PSK");
}

#[test]
fn a_device_that_wants_eap_psk_gets_it() {
    let mut world = world();
    let mut peer = Peer::new(KNOWN, &EapPskKey::new([1; 16])).with_identity(b"@x");
    let mut numbers = Numbers(5);
    let (mut conversation, mut step) = begin(&mut world, Some(TINY), &peer.begin(0));
    let mut proposed = Vec::new();
    let keys = loop {
        match step {
            Step::Send(request) => {
                proposed.push(request[4]);
                let Answer::Respond(response) = peer.receive(&request, &mut |to| numbers.fill(to)) else { panic!() };
                step = conversation.receive(&response, &mut world.context());
            }
            Step::Decide(proved) => {
                assert_eq!(proved, Proved::Psk(DeviceId(3)));
                step = conversation.decided(true, &mut world.context());
            }
            Step::Accept { packet, keys } => {
                let Answer::Success(same) = peer.receive(&packet, &mut |_| ()) else { panic!() };
                assert!(same == keys);
                break keys;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(proposed, [TINY, 47, 47]);
    assert_eq!((keys.session_id().len(), keys.session_id()[0]), (33, 47));
    assert_eq!(conversation.identity(), b"@x");
}

proptest! {
    /// Well-formed or not, in step or not: nobody without a key gets in, and it comes to an end.
    #[test]
    fn arbitrary_responses(
        start in prop::collection::vec(any::<u8>(), 0..20),
        identified: bool,
        responses in prop::collection::vec((any::<bool>(), 0u8..60, prop::collection::vec(any::<u8>(), 0..70)), 1..100),
        seed: u64,
    ) {
        let mut world = world();
        world.random = { let mut numbers = Numbers(seed); Box::new(move |to| numbers.fill(to)) };
        let first = if identified { eap::response(0, 1, KNOWN) } else { start };
        let (mut conversation, mut step) = Conversation::begin(&first, Hint::default(), &mut world.context());
        let mut id = 0;
        for (matching, kind, data) in responses {
            match &step {
                Step::Send(request) => id = request[1],
                Step::Discard(_) => {}
                Step::Reject { packet, .. } => prop_assert_eq!(packet[0], 4),
                other => prop_assert!(false, "{:?}", other),
            }
            let packet = if matching { eap::response(id, kind, &data) } else { data };
            step = conversation.receive(&packet, &mut world.context());
            prop_assert!(conversation.octets() < 4096);
        }
    }
}

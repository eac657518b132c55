//! EAP-PSK between our server and our supplicant, and what must not work.

use super::message::{About, Message1, Message2};
use super::peer::{Answer, Indication, Outcome, Peer};
use super::vectors::*;
use crate::eap::Proved;
use crate::eap::conversation::{Conversation, Hint, Step};
use crate::eap::problem::Problem;
use crate::eap::testing::{Keys, Numbers, World};
use crate::registry::device::DeviceId;
use crate::secret::EapPskKey;
use crate::wire::eap;
use crate::wire::eap::{Code, Packet};

const OTHER: &[u8] = b"dev2@psk.example";

fn other_key() -> EapPskKey {
    EapPskKey::new([0x55; 16])
}

fn world(seed: u64) -> World {
    let psk = vec![(ID_P, DeviceId(1), PSK.clone()), (OTHER, DeviceId(2), other_key())];
    World::new(Keys { psk, ..Keys::default() }, seed)
}

/// One of the world, one peer, and what the last step was.
struct Pair {
    world: World,
    conversation: Conversation,
    peer: Peer,
    numbers: Numbers,
    request: Vec<u8>,
}

impl Pair {
    /// Message 1 is out.
    fn new(seed: u64, nai: &[u8], key: &EapPskKey) -> Pair {
        let mut world = world(seed);
        let mut peer = Peer::new(nai, key).with_identity(&nai[..nai.len().min(253)]);
        let hint = Hint { first: Some(47) };
        let (conversation, step) = Conversation::begin(&peer.begin(seed as u8), hint, &mut world.context());
        Pair { world, conversation, peer, numbers: Numbers(!seed), request: sent(step) }
    }

    fn good(seed: u64) -> Pair {
        Pair::new(seed, ID_P, &PSK)
    }

    /// What the supplicant answers to the last request.
    #[track_caller]
    fn response(&mut self) -> Vec<u8> {
        let numbers = &mut self.numbers;
        match self.peer.receive(&self.request, &mut |to| numbers.fill(to)) {
            Answer::Respond(response) => response,
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, response: &[u8]) -> Step {
        let step = self.conversation.receive(response, &mut self.world.context());
        if let Step::Send(request) = &step {
            self.request.clone_from(request);
        }
        step
    }

    fn decided(&mut self, admitted: bool) -> Step {
        let step = self.conversation.decided(admitted, &mut self.world.context());
        if let Step::Send(request) = &step {
            self.request.clone_from(request);
        }
        step
    }

    /// Up to message 3, which is out then.
    #[track_caller]
    fn proved(&mut self, admitted: bool) {
        let message = self.response();
        assert!(matches!(self.receive(&message), Step::Decide(Proved::Psk(DeviceId(1)))));
        sent(self.decided(admitted));
    }
}

#[track_caller]
fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(packet) => packet,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn problem(step: Step) -> Problem {
    match step {
        Step::Reject { packet, problem } => {
            assert_eq!((packet[0], packet.len()), (4, 4));
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn discarded(step: Step) {
    assert!(matches!(step, Step::Discard(_)), "{step:?}");
}

#[track_caller]
fn accepted(step: Step, peer: &mut Peer) {
    let Step::Accept { packet, keys } = step else { panic!("{step:?}") };
    let Answer::Success(same) = peer.receive(&packet, &mut |_| ()) else { panic!() };
    assert!(keys == same);
}

#[test]
fn the_server_of_the_transcript() {
    let mut world = world(1);
    world.server_id = ID_S;
    world.random = Box::new(|to| to.copy_from_slice(&*RAND_S));
    let hint = Hint { first: Some(47) };
    let (mut conversation, step) = Conversation::begin(&eap::response(0xc1, 1, ID_P), hint, &mut world.context());
    assert_eq!(sent(step), octets(MESSAGE_1));
    let step = conversation.receive(&octets(MESSAGE_2), &mut world.context());
    assert!(matches!(step, Step::Decide(Proved::Psk(DeviceId(1)))));
    // The name in message 1 counts, whatever a reload has made of it since.
    world.server_id = b"another name";
    assert_eq!(sent(conversation.decided(true, &mut world.context())), octets(MESSAGE_3));
    let Step::Accept { packet, keys } = conversation.receive(&octets(MESSAGE_4), &mut world.context()) else {
        panic!()
    };
    assert_eq!((packet, *keys.msk()), (vec![3, 0xc3, 0, 4], *MSK));
    assert_eq!(keys.session_id(), [&[47], &RAND_P[..], &*RAND_S].concat());
}

#[test]
fn the_supplicant_of_the_transcript() {
    let mut peer = Peer::new(ID_P, &PSK);
    let mut random = |to: &mut [u8]| to.copy_from_slice(&*RAND_P);
    let mut answer = |packet: &str| match peer.receive(&octets(packet), &mut random) {
        Answer::Respond(response) => response,
        other => panic!("{other:?}"),
    };
    assert_eq!(answer(MESSAGE_1), octets(MESSAGE_2));
    assert_eq!(answer(MESSAGE_3), octets(MESSAGE_4));
    assert_eq!(answer(MESSAGE_3), octets(MESSAGE_4));
    let Answer::Success(keys) = peer.receive(&eap::success(0xc3), &mut |_| ()) else { panic!() };
    assert_eq!(*keys.msk(), *MSK);
}

#[test]
fn both_agree() {
    for seed in 0..20 {
        let mut pair = Pair::good(seed);
        pair.proved(true);
        let abandoned = pair.conversation.problem_when_abandoned();
        assert_eq!(abandoned, Problem::Abandoned { after: "our proof of the EAP-PSK key" });
        let message = pair.response();
        let step = pair.receive(&message);
        accepted(step, &mut pair.peer);
    }
}

#[test]
fn a_half_open_conversation_is_small() {
    let mut pair = Pair::good(1);
    assert!((200..512).contains(&pair.conversation.octets()), "{}", pair.conversation.octets());
    pair.proved(true);
    assert!((200..640).contains(&pair.conversation.octets()), "{}", pair.conversation.octets());
}

#[test]
fn a_device_may_have_any_identity_outside() {
    let mut pair = Pair::good(1);
    pair.peer = Peer::new(ID_P, &PSK).with_identity(b"");
    pair.proved(true);
    let message = pair.response();
    let step = pair.receive(&message);
    accepted(step, &mut pair.peer);
}

#[test]
fn refusal_is_said_within_the_method() {
    // Whatever the device answers, protected or not.
    let forged = |pair: &mut Pair| {
        let mut message = pair.response();
        *message.last_mut().unwrap() ^= 0x80;
        message
    };
    let success = |pair: &mut Pair| {
        pair.peer.say = Some(Indication { outcome: Outcome::Success, extension: None });
        pair.response()
    };
    for answer in [&(|pair: &mut Pair| pair.response()) as &dyn Fn(&mut Pair) -> Vec<u8>, &forged, &success] {
        let mut pair = Pair::good(3);
        pair.proved(false);
        // Also if it never answers.
        assert_eq!(pair.conversation.problem_when_abandoned(), Problem::Refused);
        let message = answer(&mut pair);
        assert_eq!(problem(pair.receive(&message)), Problem::Refused);
        // The device knows that it was refused, and takes no EAP-Success for one.
        assert!(matches!(pair.peer.receive(&eap::success(pair.request[1]), &mut |_| ()), Answer::Ignore));
    }
}

#[test]
fn a_device_may_refuse_us() {
    let mut pair = Pair::good(4);
    pair.proved(true);
    pair.peer.say = Some(Indication { outcome: Outcome::Failure, extension: None });
    let message = pair.response();
    assert_eq!(problem(pair.receive(&message)), Problem::RefusedUs);
}

#[test]
fn extensions_are_answered_and_come_to_an_end() {
    let mut pair = Pair::good(5);
    pair.proved(true);
    for round in 0..4 {
        pair.peer.say = Some(Indication { outcome: Outcome::Continue, extension: Some((9, vec![round; 960])) });
        let message = pair.response();
        let request = sent(pair.receive(&message));
        // Flags of a later message, N, and an empty extension of the same type.
        assert_eq!((request[5], &request[22..26]), (0xc0, &[0, 0, 0, 2 * (round + 1)][..]));
        assert_eq!(request.len(), 22 + 4 + 16 + 2);
    }
    let mut other = Pair::good(5);
    other.proved(true);
    other.peer.say = Some(Indication { outcome: Outcome::Continue, extension: None });
    let message = other.response();
    assert_eq!(sent(other.receive(&message)).len(), 22 + 4 + 16 + 1);
    let message = other.response();
    let step = other.receive(&message);
    accepted(step, &mut other.peer);

    pair.peer.say = Some(Indication { outcome: Outcome::Continue, extension: None });
    let message = pair.response();
    assert!(matches!(problem(pair.receive(&message)), Problem::Protocol(why) if why.contains("CONT")));
    // A result together with an extension is a result.
    let mut pair = Pair::good(6);
    pair.proved(true);
    pair.peer.say = Some(Indication { outcome: Outcome::Success, extension: Some((1, b"x".to_vec())) });
    let message = pair.response();
    let step = pair.receive(&message);
    accepted(step, &mut pair.peer);
}

#[test]
fn a_wrong_key_and_an_unknown_identity_look_alike() {
    let cases: [(&[u8], EapPskKey, Problem); 5] = [
        (ID_P, other_key(), Problem::WrongKey { nai: "dev1@psk.example".into() }),
        (b"nobody@psk.example", PSK.clone(), Problem::UnknownIdentity { nai: "nobody@psk.example".into() }),
        // The key that stands in for none is nobody's.
        (b"nobody@x", EapPskKey::new([0; 16]), Problem::UnknownIdentity { nai: "nobody@x".into() }),
        (b"", PSK.clone(), Problem::UnknownIdentity { nai: "".into() }),
        (b"DEV1@psk.example", PSK.clone(), Problem::UnknownIdentity { nai: "DEV1@psk.example".into() }),
    ];
    for (nai, key, expected) in cases {
        let mut pair = Pair::new(7, nai, &key);
        let message = pair.response();
        let Step::Reject { packet, problem } = pair.receive(&message) else { panic!() };
        assert_eq!((packet, problem), (vec![4, 8, 0, 4], expected));
    }
    let long = [&b"\xff\n"[..], &[b'a'; 964]].concat();
    let mut pair = Pair::new(7, &long, &PSK);
    let message = pair.response();
    let Problem::UnknownIdentity { nai } = problem(pair.receive(&message)) else { panic!() };
    assert_eq!(&*nai, format!("\\xff\\x0a{}...", "a".repeat(53)));
}

#[test]
fn message_2_with_any_bit_changed() {
    let genuine = Pair::good(8).response();
    for bit in 0..8 * genuine.len() {
        let mut pair = Pair::good(8);
        assert_eq!(pair.response(), genuine);
        let mut changed = genuine.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let reserved_flags = bit / 8 == 5 && bit % 8 < 6;
        match pair.receive(&changed) {
            // RFC 4764, 5: reserved bits are not looked at.
            Step::Decide(Proved::Psk(DeviceId(1))) if reserved_flags => {}
            // EAP header, T and RAND_S: not for us. (Fewer octets than sent are another NAI.)
            Step::Discard(_) if bit / 8 < 22 => assert!(matches!(pair.receive(&genuine), Step::Decide(_)), "{bit}"),
            Step::Reject { .. } if bit / 8 >= 22 || bit / 8 == 3 => {}
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn message_2_of_somebody_else() {
    // Another device's NAI in place of one's own, with one's own proof.
    let mut pair = Pair::good(9);
    let message = pair.response();
    let packet = Packet::parse(&message).unwrap();
    let changed = Message2 { id_p: OTHER, ..Message2::parse(packet.data()).unwrap() }.emit();
    let step = pair.receive(&eap::response(packet.identifier(), 47, &changed));
    assert_eq!(problem(step), Problem::WrongKey { nai: "dev2@psk.example".into() });
    // The proof of an earlier conversation.
    let mut earlier = Pair::good(9);
    let old = earlier.response();
    let mut pair = Pair::good(10);
    let mut replayed = old.clone();
    replayed[1] = pair.request[1];
    discarded(pair.receive(&old));
    discarded(pair.receive(&replayed));
    // The same with our RAND_S put in.
    replayed[6..22].copy_from_slice(&pair.request[6..22]);
    assert!(matches!(problem(pair.receive(&replayed)), Problem::WrongKey { .. }));
}

#[test]
fn message_4_with_any_bit_changed() {
    let mut pair = Pair::good(11);
    pair.proved(true);
    let genuine = pair.response();
    for bit in 0..8 * genuine.len() {
        let mut pair = Pair::good(11);
        pair.proved(true);
        assert_eq!(pair.response(), genuine);
        let mut changed = genuine.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match pair.receive(&changed) {
            Step::Discard(_) => {
                let step = pair.receive(&genuine);
                accepted(step, &mut pair.peer);
            }
            Step::Reject { problem: Problem::Protocol(_), .. } => {}
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn message_4_replayed_or_out_of_step() {
    let mut earlier = Pair::good(12);
    earlier.proved(true);
    let old = earlier.response();
    let mut pair = Pair::good(13);
    // Before message 2, of another conversation; and message 2 comes after all.
    let mut early = old.clone();
    early[1] = pair.request[1];
    discarded(pair.receive(&early));
    let message_2 = pair.response();
    assert!(matches!(pair.receive(&message_2), Step::Decide(_)));
    discarded(pair.receive(&message_2));
    let message_3 = sent(pair.decided(true));
    // Message 2 again: message 3 again.
    assert_eq!(sent(pair.receive(&message_2)), message_3);
    let mut again = message_2.clone();
    again[1] = message_3[1];
    discarded(pair.receive(&again));
    let mut replayed = old;
    replayed[1] = message_3[1];
    discarded(pair.receive(&replayed));
    let message_4 = pair.response();
    // N that did not grow, with a good tag all the same.
    let about = About { code: Code::Response, identifier: message_3[1], rand_s: message_3[6..22].try_into().unwrap() };
    let rand_p = message_2[22..38].try_into().unwrap();
    let session = super::crypto::LongTerm::new(&PSK).session(rand_p);
    let say = Indication { outcome: Outcome::Success, extension: None };
    let stale = about.seal(&session, None, 0, &say).unwrap();
    discarded(pair.receive(&eap::response(message_3[1], 47, &stale)));
    let step = pair.receive(&message_4);
    accepted(step, &mut pair.peer);
    discarded(pair.receive(&message_4));

    // The last N there is: nothing can follow, so CONT ends it.
    let mut pair = Pair::good(13);
    pair.proved(true);
    let say = Indication { outcome: Outcome::Continue, extension: None };
    let last = about.seal(&session, None, u32::MAX, &say).unwrap();
    assert!(matches!(problem(pair.receive(&eap::response(message_3[1], 47, &last))), Problem::Protocol(_)));
}

#[test]
fn the_supplicant_takes_no_changed_message_3() {
    let mut pair = Pair::good(14);
    pair.proved(true);
    let genuine = pair.request.clone();
    for bit in 0..8 * genuine.len() {
        let mut changed = genuine.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match pair.peer.receive(&changed, &mut |_| ()) {
            Answer::Ignore => {}
            // A request with another type is answered by a Nak only before the method has begun.
            other => panic!("bit {bit}: {other:?}"),
        }
        assert!(matches!(pair.peer.receive(&eap::success(1), &mut |_| ()), Answer::Ignore));
    }
    let message = pair.response();
    let step = pair.receive(&message);
    accepted(step, &mut pair.peer);
}

#[test]
fn a_server_without_the_key() {
    let mut peer = Peer::new(ID_P, &PSK);
    let message_1 = eap::request(1, 47, &Message1 { rand_s: &RAND_S, id_s: b"evil" }.emit());
    let Answer::Respond(_) = peer.receive(&message_1, &mut |to| to.fill(9)) else { panic!() };
    let keys = super::crypto::LongTerm::new(&other_key());
    let about = About { code: Code::Request, identifier: 2, rand_s: &RAND_S };
    let say = Indication { outcome: Outcome::Success, extension: None };
    let mac_s = keys.mac_s(b"evil", &[9; 16]).octets();
    let message_3 = about.seal(&keys.session(&[9; 16]), Some(&mac_s), 0, &say).unwrap();
    assert!(matches!(peer.receive(&eap::request(2, 47, &message_3), &mut |_| ()), Answer::Ignore));
}

#[test]
fn oversized_and_endless() {
    // ID_P as long as a packet can be: one lookup, one MAC, refused.
    let mut pair = Pair::good(15);
    let message = Message2 {
        rand_s: pair.request[6..22].try_into().unwrap(),
        rand_p: &[0; 16],
        mac_p: &[0; 16],
        id_p: &[b'x'; 60_000],
    };
    let packet = eap::response(pair.request[1], 47, &message.emit());
    assert!(matches!(problem(pair.receive(&packet)), Problem::UnknownIdentity { nai } if nai.len() == 64));
    // A protected channel beyond 962 octets is discarded without decrypting.
    let mut pair = Pair::good(16);
    pair.proved(true);
    let id = pair.request[1];
    let message_4 = pair.response();
    let mut long = message_4[5..].to_vec();
    long.resize(5000, 0);
    discarded(pair.receive(&eap::response(id, 47, &long)));
    let step = pair.receive(&message_4);
    accepted(step, &mut pair.peer);
    // Nothing but what is discarded.
    let mut pair = Pair::good(17);
    let mut rounds = 0;
    let last = loop {
        rounds += 1;
        let step = pair.receive(&eap::response(pair.request[1], 47, &[0x40, rounds]));
        if pair.conversation.is_over() {
            break step;
        }
        discarded(step);
    };
    assert_eq!((problem(last), rounds), (Problem::TooLong, 64));
}

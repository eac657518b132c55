//! Two parties over a network that loses, doubles, delays, reorders and changes packets, in virtual time.

use super::conversation::{Conversation, Hint, Step};
use super::problem::Problem;
use super::psk::peer::{Answer, Peer};
use super::testing::{Keys, Numbers, World};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use proptest::prelude::*;

const NAI: &[u8] = b"cam@x";

/// How bad the network is, in percent of packets.
#[derive(Debug, Clone, Copy)]
struct Faults {
    lost: u64,
    doubled: u64,
    changed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Server,
    Peer,
}

/// Packets under way: when they arrive (ms), whereto, what.
struct Network {
    faults: Faults,
    numbers: Numbers,
    under_way: Vec<(u64, To, Vec<u8>)>,
}

impl Network {
    fn send(&mut self, now: u64, to: To, packet: &[u8]) {
        let copies = if self.numbers.chance(self.faults.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            if self.numbers.chance(self.faults.lost) {
                continue;
            }
            let mut packet = packet.to_vec();
            if self.numbers.chance(self.faults.changed) {
                let at = self.numbers.next() as usize % packet.len();
                packet[at] ^= 1 << (self.numbers.next() % 8);
            }
            // 1 to 1,500 ms: a retransmission may overtake.
            self.under_way.push((now + 1 + self.numbers.next() % 1500, to, packet));
        }
    }

    fn next(&mut self) -> Option<(u64, To, Vec<u8>)> {
        let (index, _) = self.under_way.iter().enumerate().min_by_key(|(_, (at, ..))| *at)?;
        Some(self.under_way.remove(index))
    }
}

/// How it ended on both sides.
#[derive(Debug, Default)]
struct Ends {
    server: Option<Result<EapKeys, Problem>>,
    peer: Option<Result<EapKeys, ()>>,
    packets: usize,
}

/// One authentication. The authenticator between sends a request again after a second, 20 times.
fn run(seed: u64, faults: Faults, peer_key: [u8; 16], admitted: bool) -> Ends {
    let psk = vec![(NAI, DeviceId(1), EapPskKey::new([3; 16]))];
    let mut world = World::new(Keys { psk, ..Keys::default() }, seed ^ 0x5555);
    let mut network = Network { faults, numbers: Numbers(seed), under_way: Vec::new() };
    let mut peer_numbers = Numbers(seed ^ 0xaaaa);
    let mut peer = Peer::new(NAI, &EapPskKey::new(peer_key));
    let mut ends = Ends::default();
    let (mut conversation, step) = Conversation::begin(&peer.begin(seed as u8), Hint::default(), &mut world.context());
    let Step::Send(request) = step else { panic!("{step:?}") };
    network.send(0, To::Peer, &request);
    let (mut request, mut again_at, mut tries) = (request, 1000, 0);
    loop {
        let due = network.under_way.iter().map(|(at, ..)| *at).min();
        if !conversation.is_over() && tries < 20 && due.is_none_or(|at| at >= again_at) {
            network.send(again_at, To::Peer, &request);
            (again_at, tries) = (again_at + 1000, tries + 1);
            continue;
        }
        let Some((now, to, packet)) = network.next() else { return ends };
        ends.packets += 1;
        match to {
            To::Peer => match peer.receive(&packet, &mut |to| peer_numbers.fill(to)) {
                Answer::Respond(response) => network.send(now, To::Server, &response),
                Answer::Success(keys) => ends.peer = Some(Ok(keys)),
                Answer::Failure => ends.peer = ends.peer.or(Some(Err(()))),
                Answer::Ignore => {}
            },
            To::Server => {
                let mut step = conversation.receive(&packet, &mut world.context());
                if let Step::Decide(_) = step {
                    step = conversation.decided(admitted, &mut world.context());
                }
                match step {
                    Step::Send(packet) => {
                        if packet != request {
                            (request, again_at, tries) = (packet.clone(), now + 1000, 0);
                        }
                        network.send(now, To::Peer, &packet);
                    }
                    Step::Accept { packet, keys } => {
                        network.send(now, To::Peer, &packet);
                        assert!(ends.server.replace(Ok(keys)).is_none());
                    }
                    Step::Reject { packet, problem } => {
                        network.send(now, To::Peer, &packet);
                        assert!(ends.server.replace(Err(problem)).is_none());
                    }
                    Step::Discard(_) => {}
                    Step::Decide(_) => panic!("decided twice"),
                }
            }
        }
    }
}

const PERFECT: Faults = Faults { lost: 0, doubled: 0, changed: 0 };

#[test]
fn a_perfect_network() {
    for seed in 0..50 {
        let ends = run(seed, PERFECT, [3; 16], true);
        let (Some(Ok(server)), Some(Ok(peer))) = (ends.server, ends.peer) else { panic!("seed {seed}") };
        assert!(server == peer);
        let ends = run(seed, PERFECT, [3; 16], false);
        assert!(matches!((ends.server, ends.peer), (Some(Err(Problem::Refused)), Some(Err(())))), "seed {seed}");
        let ends = run(seed, PERFECT, [4; 16], true);
        assert!(matches!((ends.server, ends.peer), (Some(Err(Problem::WrongKey { .. })), Some(Err(())))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Loss, doubles and any order only cost time: the server always ends well, and the keys are the same.
    #[test]
    fn lost_and_doubled_packets(seed: u64, lost in 0u64..40, doubled in 0u64..40) {
        let ends = run(seed, Faults { lost, doubled, changed: 0 }, [3; 16], true);
        let Some(Ok(server)) = ends.server else { panic!("{ends:?}") };
        // EAP-Success is not sent again (RFC 3748, 4.2): the only packet whose loss the peer sees.
        if let Some(peer) = ends.peer {
            prop_assert!(peer.is_ok_and(|peer| peer == server));
        } else {
            prop_assert!(lost > 0);
        }
    }

    /// Whatever else happens to packets: it ends, nobody is let in with other keys than it has itself.
    #[test]
    fn changed_packets(seed: u64, lost in 0u64..50, doubled in 0u64..50, changed in 0u64..60) {
        let ends = run(seed, Faults { lost, doubled, changed }, [3; 16], true);
        prop_assert!(ends.packets < 1000);
        if let (Some(Ok(server)), Some(Ok(peer))) = (&ends.server, &ends.peer) {
            prop_assert!(server == peer);
        }
    }

    /// The wrong key, or a refusal: never in, on neither side.
    #[test]
    fn never_in(seed: u64, lost in 0u64..50, changed in 0u64..60, wrong: bool) {
        let key = if wrong { [4; 16] } else { [3; 16] };
        let ends = run(seed, Faults { lost, doubled: 20, changed }, key, wrong);
        prop_assert!(!matches!(ends.server, Some(Ok(_))));
        prop_assert!(!matches!(ends.peer, Some(Ok(_))));
    }
}

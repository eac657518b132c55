//! Lost and repeated packets, and arbitrary octets.

use super::*;
use crate::eap::conversation::{Conversation, Hint, Step};
use proptest::prelude::*;

fn respond(rig: &Rig, conversation: &mut Conversation, response: &[u8]) -> Step {
    match rig.context(|cx| conversation.receive(response, cx)) {
        Step::Decide(_) => rig.context(|cx| conversation.decided(true, cx)),
        step => step,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Packets are lost and come twice; each side sends again what was not answered.
    #[test]
    fn lost_and_repeated_packets(chance in prop::collection::vec(0u8..4, 400), tls13 in any::<bool>()) {
        let mut rig = Rig::new();
        rig.mtu = 500;
        let mut chance = chance.into_iter().cycle();
        let supplicant = rig.supplicant(if tls13 { Versions::Tls13 } else { Versions::Tls12 });
        let mut peer = Peer::new(&supplicant).unwrap();
        peer.room = 400;
        let identity = crate::wire::eap::response(1, 1, b"camera@home");
        let (mut conversation, step) = rig.context(|cx| Conversation::begin(&identity, Hint { first: Some(13) }, cx));
        let Step::Send(mut request) = step else { panic!("{step:?}") };
        // A supplicant answers a request of the identifier it has answered by the same response (RFC 3748, 4.1).
        let mut answered: Option<(u8, Vec<u8>)> = None;
        let mut rounds = 0;
        let keys = loop {
            rounds += 1;
            prop_assert!(rounds < 1000);
            if chance.next() == Some(0) {
                continue; // The request was lost: hostapd sends it again.
            }
            let response = match &answered {
                Some((identifier, response)) if *identifier == request[1] => response.clone(),
                _ => peer.packet(&request, b"camera@home").unwrap(),
            };
            answered = Some((request[1], response.clone()));
            let times = match chance.next() {
                Some(0) => 0,
                Some(1) => 2,
                _ => 1,
            };
            let mut end = None;
            for _ in 0..times {
                match respond(&rig, &mut conversation, &response) {
                    Step::Send(packet) => request = packet,
                    Step::Accept { keys, .. } => end = Some(keys),
                    Step::Discard(_) => {}
                    step => panic!("{step:?}"),
                }
            }
            if let Some(keys) = end {
                break keys;
            }
        };
        prop_assert!(peer.is_done());
        prop_assert!(peer.keys().is_some_and(|theirs| theirs == keys));
    }

    /// Whatever octets come, nothing panics, memory is bounded, and nobody is proved.
    #[test]
    fn no_octets_break_it(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20)) {
        thread_local!(static RIG: Rig = Rig::new());
        RIG.with(|rig| {
            let mut method = Tls::new(&rig.server);
            rig.context(|cx| method.begin(cx));
            for packet in &packets {
                match rig.context(|cx| method.receive(packet, cx)) {
                    Progress::Request(_) => {}
                    Progress::Failure(_) => break,
                    progress => panic!("{progress:?}"),
                }
                assert!(method.octets() < 64 * 1024);
            }
        });
    }

    #[test]
    fn the_fuzz_target_holds(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        super::super::fuzz(&data);
    }
}

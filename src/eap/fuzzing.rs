//! The entries of the fuzz targets: conversations of somebody without a key, and of somebody with one on a hostile
//! network.

use super::conversation::{Conversation, Hint, MAX_OCTETS, Step};
use super::psk::peer::{Answer, Peer};
use super::{Context, Credentials};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use crate::time::UnixTime;
use crate::wire::eap::{self, Code, Packet};

const NAI: &[u8] = b"cam@x";
const KEY: [u8; 16] = *b"not to be found!";

/// One device.
struct One;

impl Credentials for One {
    fn eap_psk(&self, nai: &[u8]) -> Option<(DeviceId, EapPskKey)> {
        (nai == NAI).then(|| (DeviceId(1), EapPskKey::new(KEY)))
    }
}

/// Calls with a context whose random numbers count up.
fn with<R>(count: &mut u8, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let mut random = |to: &mut [u8]| {
        *count = count.wrapping_add(1);
        to.fill(*count);
    };
    f(&mut Context {
        credentials: &One,
        random: &mut random,
        wall: UnixTime(1_800_000_000),
        mtu: 1000,
        server_id: b"latchkey.test",
        tls: None,
    })
}

/// Reads pieces of `data` as what a supplicant sends, one after the other: a length, a mode, and octets, which are a
/// whole packet or the body of a response to the request that is out.
///
/// # Panics
/// If somebody without a key gets in, or the codec contradicts itself: that is what the fuzzer looks for.
#[doc(hidden)]
pub fn conversation(data: &[u8]) {
    codec(data);
    let mut count = 0;
    let (first, mut rest) = piece(data);
    let begun = if first.is_empty() { eap::response(0, 1, NAI) } else { first.to_vec() };
    let hint = Hint { first: begun.last().copied().filter(|kind| *kind > 3) };
    let (mut conversation, mut step) = with(&mut count, |cx| Conversation::begin(&begun, hint, cx));
    let mut request = Vec::new();
    while !rest.is_empty() {
        match step {
            Step::Send(packet) => request = packet,
            Step::Reject { packet, .. } => assert_eq!(packet.first(), Some(&4)),
            Step::Discard(_) => {}
            Step::Decide(_) | Step::Accept { .. } => panic!("somebody without a key was let in"),
        }
        let (next, after) = piece(rest);
        rest = after;
        let packet = match (next, &*request) {
            ([0, body @ ..], [_, identifier, _, _, kind, ..]) => eap::response(*identifier, *kind, body),
            ([1, kind, body @ ..], [_, identifier, ..]) => eap::response(*identifier, *kind, body),
            (other, _) => other.to_vec(),
        };
        step = with(&mut count, |cx| conversation.receive(&packet, cx));
        assert!(conversation.octets() <= MAX_OCTETS);
        let _ = (conversation.problem_when_abandoned(), conversation.detail());
    }
}

/// A length and as many octets.
fn piece(data: &[u8]) -> (&[u8], &[u8]) {
    match data {
        [length, rest @ ..] => rest.split_at(usize::from(*length).min(rest.len())),
        [] => (&[], &[]),
    }
}

/// What is read is a beginning of what came, and comes back when written.
fn codec(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else { return };
    assert!(data.starts_with(packet.octets()));
    assert!(packet.wanted().count() <= packet.octets().len());
    let (Some(kind), Code::Request | Code::Response) = (packet.kind(), packet.code()) else { return };
    if kind.vendor == 0
        && let Ok(number @ (0..=253 | 255)) = u8::try_from(kind.kind)
    {
        let written = eap::response(packet.identifier(), number, packet.data());
        let Ok(again) = Packet::parse(&written) else { panic!("written and not read") };
        assert_eq!((again.kind(), again.data()), (packet.kind(), packet.data()));
    }
}

/// A supplicant with the right key and our server; `data` says what happens to each packet between them: nothing, lost,
/// doubled, a bit changed, cut off, an older one in its place.
///
/// # Panics
/// If the server lets it in with other keys than it has itself.
#[doc(hidden)]
pub fn psk(data: &[u8]) {
    disturbed(data);
}

/// True when it was let in.
fn disturbed(data: &[u8]) -> bool {
    let mut count = 0;
    let mut peer = Peer::new(NAI, &EapPskKey::new(KEY));
    let identity = peer.begin(7);
    let (mut conversation, step) = with(&mut count, |cx| Conversation::begin(&identity, Hint::default(), cx));
    let Step::Send(mut packet) = step else { panic!("no message 1") };
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut to_peer = true;
    for what in data.chunks(3) {
        seen.push(packet.clone());
        let [kind, at, with_what] = [0, 1, 2].map(|index| what.get(index).copied().unwrap_or_default());
        match kind % 8 {
            0 => {
                let at = usize::from(at) % packet.len().max(1);
                if let Some(octet) = packet.get_mut(at) {
                    *octet ^= with_what;
                }
            }
            1 => packet.truncate(usize::from(at)),
            2 => packet = seen.get(usize::from(at) % seen.len()).cloned().unwrap_or_default(),
            3 => to_peer = !to_peer,
            4 => packet.push(with_what),
            _ => {}
        }
        let random = &mut |to: &mut [u8]| to.fill(with_what);
        let answer = if to_peer {
            match peer.receive(&packet, random) {
                Answer::Respond(response) => Some(response),
                Answer::Success(_) | Answer::Failure | Answer::Ignore => None,
            }
        } else {
            let step = with(&mut count, |cx| conversation.receive(&packet, cx));
            match step {
                Step::Send(request) => Some(request),
                Step::Decide(_) => match with(&mut count, |cx| conversation.decided(true, cx)) {
                    Step::Send(request) => Some(request),
                    _ => panic!("no message 3"),
                },
                Step::Accept { packet, keys } => {
                    assert!(has(&mut peer, &packet, &keys), "let in with other keys");
                    return true;
                }
                Step::Reject { .. } => return false,
                Step::Discard(_) => None,
            }
        };
        match answer {
            Some(answer) => (packet, to_peer) = (answer, !to_peer),
            None => packet = seen.last().cloned().unwrap_or_default(),
        }
    }
    false
}

/// The supplicant takes this EAP-Success and has these keys.
fn has(peer: &mut Peer, success: &[u8], keys: &EapKeys) -> bool {
    matches!(peer.receive(success, &mut |_| ()), Answer::Success(same) if same == *keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quiet_network_comes_to_the_end() {
        // Four messages: the fourth step lets it in.
        assert!(disturbed(&[7; 12]));
        assert!(!disturbed(&[7; 9]));
        // Message 4 goes to the server with its tag changed.
        assert!(!disturbed(&[&[7; 9][..], &[0, 40, 1], &[7; 9]].concat()));
        conversation(&[]);
    }

    proptest! {
        #[test]
        fn no_octets_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
            conversation(&data);
            psk(&data);
        }
    }
}

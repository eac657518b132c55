//! The duplicate cache (RFC 5080, 2.2.2): a retransmitted request gets the answer it got before, octet for octet,
//! and one that is still being worked on is not worked on twice.

use super::Origin;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// How many answers are kept; a busy server keeps the latest.
const SLOTS: usize = 1024;
/// How long an answer is good: hostapd sends again after 3, 6 and 12 s.
const KEEP: Duration = Duration::from_secs(25);

/// What makes two packets the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    /// Where it came from.
    pub from: Origin,
    /// Identifier.
    pub identifier: u8,
    /// Request Authenticator.
    pub authenticator: [u8; 16],
}

impl Hash for RequestKey {
    /// The authenticator is random for every request: the rest makes no difference to the hash.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.authenticator));
    }
}

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Never seen, or too long ago.
    New,
    /// Seen, and not answered yet: nothing is to be done.
    InWork,
    /// Seen, with the answer.
    Answered(&'a [u8]),
}

#[derive(Debug)]
struct Slot {
    key: RequestKey,
    since: Instant,
    /// Empty while in work. The buffer is used again by the next request in this slot.
    answer: Vec<u8>,
}

/// The cache: a ring of slots and an index.
#[derive(Debug, Default)]
pub struct DuplicateCache {
    slots: Vec<Slot>,
    next: usize,
    index: HashMap<RequestKey, usize>,
}

impl DuplicateCache {
    /// Looks a request up and, when it is new, notes that it is in work.
    pub fn begin(&mut self, key: RequestKey, now: Instant) -> Known<'_> {
        if let Some(at) = self.index.get(&key).copied()
            && self.slots.get(at).is_some_and(|slot| now.saturating_duration_since(slot.since) < KEEP)
        {
            return match self.slots.get(at) {
                Some(slot) if !slot.answer.is_empty() => Known::Answered(&slot.answer),
                _ => Known::InWork,
            };
        }
        match self.slots.get_mut(self.next) {
            Some(slot) => {
                if self.index.get(&slot.key) == Some(&self.next) {
                    self.index.remove(&slot.key);
                }
                slot.key = key;
                slot.since = now;
                slot.answer.clear();
            }
            None => self.slots.push(Slot { key, since: now, answer: Vec::new() }),
        }
        self.index.insert(key, self.next);
        self.next = (self.next + 1) % SLOTS;
        Known::New
    }

    /// Keeps the answer to a request that is in work.
    pub fn finish(&mut self, key: &RequestKey, answer: &[u8]) {
        if let Some(slot) = self.index.get(key).and_then(|at| self.slots.get_mut(*at)) {
            slot.answer.clear();
            slot.answer.extend_from_slice(answer);
        }
    }

    /// Forgets a request that will not be answered, so that its retransmission is worked on.
    pub fn forget(&mut self, key: &RequestKey) {
        self.index.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> RequestKey {
        let mut authenticator = [0; 16];
        authenticator[..4].copy_from_slice(&n.to_be_bytes());
        RequestKey {
            from: std::net::SocketAddr::from(([127, 0, 0, 1], 40000)).into(),
            identifier: n as u8,
            authenticator,
        }
    }

    #[test]
    fn a_retransmission_gets_the_same_answer() {
        let (mut cache, now) = (DuplicateCache::default(), Instant::now());
        assert_eq!(cache.begin(key(1), now), Known::New);
        assert_eq!(cache.begin(key(1), now), Known::InWork);
        cache.finish(&key(1), b"answer");
        assert_eq!(cache.begin(key(1), now), Known::Answered(b"answer"));
        assert_eq!(cache.begin(key(2), now), Known::New, "another authenticator is another request");
        assert_eq!(cache.begin(key(1), now + KEEP), Known::New, "the answer is too old");
        assert_eq!(cache.begin(key(1), now + KEEP), Known::InWork);
        cache.forget(&key(1));
        assert_eq!(cache.begin(key(1), now + KEEP), Known::New);
    }

    #[test]
    fn memory_is_bounded_and_the_index_follows() {
        let (mut cache, now) = (DuplicateCache::default(), Instant::now());
        for n in 0..5 * SLOTS as u32 {
            assert_eq!(cache.begin(key(n), now), Known::New);
            cache.finish(&key(n), &n.to_be_bytes());
        }
        assert!(cache.slots.len() == SLOTS && cache.index.len() == SLOTS);
        let last = 5 * SLOTS as u32 - 1;
        assert_eq!(cache.begin(key(last), now), Known::Answered(&last.to_be_bytes()));
    }
}

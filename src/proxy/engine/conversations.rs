//! Which server a conversation is with, by the State it gave (RFC 2865, 5.24): only that one can go on with it.

use super::super::ServerId;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::time::{Duration, Instant};

/// Sets of places; a State has its places in one of them.
const SETS: usize = 256;
/// Places in a set.
const WAYS: usize = 4;
/// How long the next round may take.
const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u64,
    server: ServerId,
    until: Instant,
}

/// A bounded table: 32 KB at the most, nothing before the first conversation. The one next to its end gives way.
#[derive(Debug, Default)]
pub struct Conversations {
    places: Vec<Option<Entry>>,
}

/// What a State is found by: `marker` is ours alone, so that nobody can make two States of others meet.
pub fn key(marker: &[u8; 8], group: u32, state: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(marker);
    hasher.write_u32(group);
    hasher.write(state);
    hasher.finish()
}

impl Conversations {
    /// Notes who gave this State.
    pub fn put(&mut self, key: u64, server: ServerId, now: Instant) {
        if self.places.is_empty() {
            self.places.resize(SETS * WAYS, None);
        }
        let Some(set) = self.places.get_mut(range(key)) else { return };
        let again = set.iter().position(|place| place.is_some_and(|entry| entry.key == key));
        let oldest = || (0..set.len()).min_by_key(|at| set.get(*at).copied().flatten().map(|entry| entry.until));
        if let Some(place) = again.or_else(oldest).and_then(|at| set.get_mut(at)) {
            *place = Some(Entry { key, server, until: now + KEEP });
        }
    }

    /// Who gave this State.
    pub fn get(&self, key: u64, now: Instant) -> Option<ServerId> {
        let set = self.places.get(range(key))?;
        set.iter().flatten().find(|entry| entry.key == key && entry.until > now).map(|entry| entry.server)
    }
}

fn range(key: u64) -> std::ops::Range<usize> {
    // A remainder below SETS.
    let first = (key % SETS as u64) as usize * WAYS;
    first..first + WAYS
}

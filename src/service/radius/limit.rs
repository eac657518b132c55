//! Limits of what can be caused from outside: whoever stands at the fence with a radio can make up addresses, and each
//! costs a search or a conversation. A token bucket for the unknown devices of one RADIUS client, and a count of what each
//! registered address began.

use crate::mac::MacAddr;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many may come at once: a hall full of bulbs after a power cut.
const BURST: f32 = 100.0;
/// How many a second after that.
const PER_SECOND: f32 = 20.0;

/// The bucket.
#[derive(Debug)]
pub struct Bucket {
    tokens: f32,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now: Instant) -> Bucket {
        Bucket { tokens: BURST, filled: now }
    }

    /// Takes a token; false when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f32();
        self.filled = now;
        self.tokens = (self.tokens + elapsed * PER_SECOND).min(BURST);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// How many conversations a registered address begins freely that come to nothing: a device that joins again needs one or
/// two, one with a wrong key tries every few seconds.
const ATTEMPTS: u8 = 10;
/// In which time.
const WITHIN: Duration = Duration::from_secs(10);
/// How many addresses are counted: each of those that can have sessions, so that no number of addresses that somebody else
/// knows uses up what the others need. It takes up to 0.3 MB, for as long as that lasts.
const ADDRESSES: usize = 16_384;

/// EAP conversations that registered addresses began and that have not ended well. A limit for the whole NAS would keep a
/// house full of devices from joining after a power cut, and could be used up by whoever makes up one address; so each
/// address has its own, and who succeeds has it anew: no number of devices that get in is too many. Beyond it an address
/// is worth no more than an unknown one.
#[derive(Debug, Default)]
pub struct Attempts {
    since: Option<Instant>,
    begun: HashMap<MacAddr, u8>,
}

impl Attempts {
    /// Counts a conversation that begins; false when it is one too many, or too many addresses are counted already.
    pub fn begin(&mut self, mac: MacAddr, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WITHIN) {
            self.begun = HashMap::new();
            self.since = Some(now);
        }
        if let Some(begun) = self.begun.get_mut(&mac) {
            *begun = begun.saturating_add(1);
            return *begun <= ATTEMPTS;
        }
        let room = self.begun.len() < ADDRESSES;
        if room {
            self.begun.insert(mac, 1);
        }
        room
    }

    /// A conversation of this address ended well.
    pub fn succeeded(&mut self, mac: MacAddr) {
        self.begun.remove(&mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: usize) -> MacAddr {
        let [.., high, low] = n.to_be_bytes();
        MacAddr([2, 0, 0, 0, high, low])
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let (start, mut attempts) = (Instant::now(), Attempts::default());
        assert_eq!((0..500).filter(|_| attempts.begin(mac(1), start)).count(), 10);
        assert_eq!((0..500).filter(|_| attempts.begin(mac(2), start)).count(), 10);
        attempts.succeeded(mac(1));
        assert!(attempts.begin(mac(1), start) && !attempts.begin(mac(2), start));
        assert!(!attempts.begin(mac(2), start + Duration::from_secs(9)));
        assert_eq!((0..500).filter(|_| attempts.begin(mac(2), start + Duration::from_secs(10))).count(), 10);
    }

    #[test]
    fn the_count_is_bounded() {
        let (start, mut attempts) = (Instant::now(), Attempts::default());
        assert_eq!((0..3 * ADDRESSES).filter(|n| attempts.begin(mac(*n), start)).count(), ADDRESSES);
        assert_eq!(attempts.begun.len(), ADDRESSES);
        attempts.succeeded(mac(0));
        assert!(attempts.begin(mac(ADDRESSES), start), "who succeeds makes room");
        assert!(attempts.begin(mac(2 * ADDRESSES), start + Duration::from_secs(10)));
    }

    #[test]
    fn a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert_eq!((0..500).filter(|_| bucket.take(start)).count(), 100);
        let taken = (0..500).filter(|_| bucket.take(start + Duration::from_secs(1))).count();
        assert!((19..=20).contains(&taken), "{taken}");
        assert_eq!((0..500).filter(|_| bucket.take(start + Duration::from_secs(3600))).count(), 100);
    }
}

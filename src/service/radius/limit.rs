//! A token bucket for the unknown devices of one RADIUS client: whoever stands at the fence with a radio can
//! make up addresses, and each costs a search.

use std::time::Instant;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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

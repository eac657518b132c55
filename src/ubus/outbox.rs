//! Events on their way to the bus: few at a time, so that a storm on the air does not become one on the bus, and the rest
//! counted.

use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Events a second, and at once after a quiet time.
pub const RATE: u32 = 20;
/// Events that may wait for the bus.
const QUEUE: usize = 64;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A device proved who it is, or is on the air.
    Join,
    /// A device was refused.
    Refused,
    /// An unknown device knocked for the first time.
    Pending,
    /// A device is sent off the air.
    Revoked,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Join, Kind::Refused, Kind::Pending, Kind::Revoked];

    /// The event's name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Join => "latchkey.join",
            Kind::Refused => "latchkey.refused",
            Kind::Pending => "latchkey.pending",
            Kind::Revoked => "latchkey.revoked",
        }
    }
}

/// The name of the event that says how many were left out.
pub const MISSED: &str = "latchkey.missed";

/// What is to be sent.
#[derive(Debug)]
pub struct Outbox {
    /// There is a bus.
    open: bool,
    queue: VecDeque<(Kind, Value)>,
    /// How many may be sent at once, as of then.
    tokens: u32,
    since: Option<Instant>,
    /// How many of each kind were left out and nobody was told of.
    missed: [u32; Kind::ALL.len()],
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { open: false, queue: VecDeque::new(), tokens: RATE, since: None, missed: [0; Kind::ALL.len()] }
    }
}

impl Outbox {
    /// There is a bus, or none any more. What happens while there is none is nobody's business.
    pub fn open(&mut self, open: bool) {
        *self = Outbox { open, ..Outbox::default() };
    }

    /// May an event be sent now? If so it is to be [put](Outbox::put); if not, it is counted.
    pub fn admits(&mut self, kind: Kind, now: Instant) -> bool {
        if !self.open {
            return false;
        }
        // While others are counted, the next place is for the word of that.
        if self.any_missed() || self.queue.len() >= QUEUE || !self.take_token(now) {
            let count = &mut self.missed[kind as usize];
            *count = count.saturating_add(1);
            return false;
        }
        true
    }

    /// Takes an event.
    pub fn put(&mut self, kind: Kind, value: Value) {
        self.queue.push_back((kind, value));
    }

    /// An event was taken out and could not be sent.
    pub fn lost(&mut self, kind: Kind) {
        let count = &mut self.missed[kind as usize];
        *count = count.saturating_add(1);
    }

    /// The next event.
    pub fn take(&mut self) -> Option<(Kind, Value)> {
        self.queue.pop_front()
    }

    /// How many were left out, by kind, for an event of its own: when there are any, and the rate has room for it.
    pub fn missed(&mut self, now: Instant) -> Option<Value> {
        if !self.any_missed() || !self.queue.is_empty() || !self.take_token(now) {
            return None;
        }
        let missed = std::mem::take(&mut self.missed);
        let word = |kind: Kind| kind.name().trim_start_matches("latchkey.").to_owned();
        let counts = Kind::ALL.into_iter().zip(missed).filter(|(_, count)| *count > 0);
        Some(Value::Object(counts.map(|(kind, count)| (word(kind), count.into())).collect::<Map<_, _>>()))
    }

    /// True when there is something to be said of events left out: in [`Outbox::PAUSE`] it may be.
    pub fn any_missed(&self) -> bool {
        self.missed != [0; Kind::ALL.len()]
    }

    /// The time after which one more may be sent.
    pub const PAUSE: Duration = Duration::from_millis(1000 / RATE as u64 + 1);

    fn take_token(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        // Whole tokens only; the rest of the time counts on.
        let step = Duration::from_secs(1) / RATE;
        let gained = u32::try_from(passed.as_nanos() / step.as_nanos()).unwrap_or(u32::MAX);
        if gained >= RATE {
            (self.tokens, self.since) = (RATE, Some(now));
        } else {
            self.tokens = (self.tokens + gained).min(RATE);
            self.since = Some(since + step * gained);
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offer(outbox: &mut Outbox, kind: Kind, now: Instant) -> bool {
        let admitted = outbox.admits(kind, now);
        if admitted {
            outbox.put(kind, json!({}));
        }
        admitted
    }

    fn drain(outbox: &mut Outbox) -> usize {
        std::iter::from_fn(|| outbox.take()).count()
    }

    #[test]
    fn a_storm_becomes_a_few_events_and_a_count() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.open(true);
        let sent = (0..1000).filter(|n| {
            let kind = if n % 10 == 0 { Kind::Pending } else { Kind::Refused };
            offer(&mut outbox, kind, start)
        });
        assert_eq!(sent.count(), RATE as usize);
        assert_eq!(drain(&mut outbox), RATE as usize);
        assert_eq!(outbox.missed(start), None, "the rate holds for the count, too");
        let later = start + Outbox::PAUSE;
        assert!(!offer(&mut outbox, Kind::Refused, later), "the count comes first");
        assert_eq!(outbox.missed(later), Some(json!({ "refused": 883, "pending": 98 })));
        assert!(!outbox.any_missed());
        let later = later + Outbox::PAUSE;
        assert!(offer(&mut outbox, Kind::Join, later));
        assert!(!offer(&mut outbox, Kind::Join, later));
    }

    #[test]
    fn twenty_a_second_for_ever() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.open(true);
        let (mut sent, mut told) = (0, 0);
        for tick in 0..10_000u64 {
            let now = start + Duration::from_millis(tick);
            if let Some(missed) = outbox.missed(now) {
                (sent, told) = (sent + 1, told + missed["join"].as_u64().unwrap());
            }
            sent += u64::from(offer(&mut outbox, Kind::Join, now));
            drain(&mut outbox);
        }
        // Ten seconds, and what may come at once after a quiet time.
        assert!((200..=220).contains(&sent), "{sent}");
        assert!(told > 9_700, "{told}");
    }

    #[test]
    fn without_a_bus_nothing_is_kept() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        assert!(!outbox.admits(Kind::Join, now) && !outbox.any_missed());
        outbox.open(true);
        assert!(offer(&mut outbox, Kind::Join, now));
        outbox.open(false);
        assert_eq!((outbox.take(), outbox.missed(now)), (None, None));
    }

    #[test]
    fn a_bus_that_does_not_take_events_fills_no_memory() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.open(true);
        for second in 0..100 {
            for _ in 0..RATE {
                offer(&mut outbox, Kind::Revoked, start + Duration::from_secs(second));
            }
        }
        assert_eq!(outbox.queue.len(), QUEUE);
        assert_eq!(outbox.missed, [0, 0, 0, 100 * RATE - QUEUE as u32]);
    }
}

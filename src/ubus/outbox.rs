//! Events on their way to the bus: few at a time, so that a storm on the air does not become one on the bus, and the rest
//! counted.

use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Events a second, and at once after a quiet time.
pub const RATE: u32 = 20;
/// Tokens that only events of devices of ours may take: anybody on the air can make the others, as many as he likes.
const RESERVE: u32 = 5;
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

    /// It takes a device of ours.
    fn is_ours(self) -> bool {
        matches!(self, Kind::Join | Kind::Revoked)
    }

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
        // While others are counted, the next place is for the word of that; of ours, only while some of ours are.
        let word_first = if kind.is_ours() { self.ours_missed() } else { self.any_missed() };
        let keep = if kind.is_ours() { 0 } else { RESERVE };
        if word_first || self.queue.len() >= QUEUE || !self.take_token(now, keep) {
            self.lost(kind);
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
        for (_, count) in Kind::ALL.iter().zip(&mut self.missed).filter(|(of, _)| **of == kind) {
            *count = count.saturating_add(1);
        }
    }

    /// The next event.
    pub fn take(&mut self) -> Option<(Kind, Value)> {
        self.queue.pop_front()
    }

    /// How many were left out, by kind, for an event of its own: when there are any, and the rate has room for it. They count
    /// until they are [told](Outbox::told).
    pub fn missed(&mut self, now: Instant) -> Option<Value> {
        let keep = if self.ours_missed() { 0 } else { RESERVE };
        if !self.any_missed() || !self.queue.is_empty() || !self.take_token(now, keep) {
            return None;
        }
        let missed = self.missed;
        let word = |kind: Kind| kind.name().trim_start_matches("latchkey.").to_owned();
        let counts = Kind::ALL.into_iter().zip(missed).filter(|(_, count)| *count > 0);
        Some(Value::Object(counts.map(|(kind, count)| (word(kind), count.into())).collect::<Map<_, _>>()))
    }

    /// What was left out so far is told.
    pub fn told(&mut self) {
        self.missed = [0; Kind::ALL.len()];
    }

    fn ours_missed(&self) -> bool {
        Kind::ALL.iter().zip(self.missed).any(|(kind, count)| kind.is_ours() && count > 0)
    }

    /// True when there is something to be said of events left out: in [`Outbox::PAUSE`] it may be.
    pub fn any_missed(&self) -> bool {
        self.missed != [0; Kind::ALL.len()]
    }

    /// The time after which one more may be sent.
    pub const PAUSE: Duration = Duration::from_millis(1000 / RATE as u64 + 1);

    /// Takes a token, if then as many as are to be kept are left.
    fn take_token(&mut self, now: Instant, keep: u32) -> bool {
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
        let enough = self.tokens > keep;
        self.tokens -= u32::from(enough);
        enough
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
        let all = (RATE - RESERVE) as usize;
        assert_eq!(sent.count(), all);
        assert_eq!(drain(&mut outbox), all);
        assert_eq!(outbox.missed(start), None, "the rate holds for the count, too");
        let later = start + Outbox::PAUSE;
        assert!(!offer(&mut outbox, Kind::Refused, later), "the count comes first");
        let counts = json!({ "refused": 888, "pending": 98 });
        assert_eq!(outbox.missed(later), Some(counts.clone()));
        assert!(outbox.any_missed(), "the bus did not take it");
        let later = later + Outbox::PAUSE;
        assert_eq!(outbox.missed(later), Some(counts));
        outbox.told();
        assert!(!outbox.any_missed());
        let later = later + Outbox::PAUSE;
        assert!(offer(&mut outbox, Kind::Refused, later));
        assert!(!offer(&mut outbox, Kind::Refused, later));
    }

    #[test]
    fn a_storm_of_others_leaves_room_for_devices_of_ours() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.open(true);
        let (mut ours, mut told) = (0, 0);
        for tick in 0..10_000u64 {
            let now = start + Duration::from_millis(tick);
            if let Some(missed) = outbox.missed(now) {
                outbox.told();
                told += missed["refused"].as_u64().unwrap();
                assert_eq!(missed.as_object().unwrap().len(), 1, "{missed}");
            }
            offer(&mut outbox, Kind::Refused, now);
            // Five at once each second.
            if tick % 1000 == 999 {
                for kind in [Kind::Join, Kind::Revoked, Kind::Join, Kind::Revoked, Kind::Join] {
                    ours += u32::from(offer(&mut outbox, kind, now));
                }
            }
            drain(&mut outbox);
        }
        assert_eq!(ours, 50);
        assert!(told > 9_700, "{told}");
        // More of ours than that are counted, and the word of it comes before the next of them.
        let now = start + Duration::from_secs(11);
        (0..RATE).for_each(|_| assert!(offer(&mut outbox, Kind::Join, now)));
        drain(&mut outbox);
        assert!(!offer(&mut outbox, Kind::Join, now));
        let now = now + Outbox::PAUSE;
        assert!(!offer(&mut outbox, Kind::Revoked, now));
        let missed = outbox.missed(now).expect("there is a token");
        assert_eq!((&missed["join"], &missed["revoked"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn twenty_a_second_for_ever() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.open(true);
        let (mut sent, mut told) = (0, 0);
        for tick in 0..10_000u64 {
            let now = start + Duration::from_millis(tick);
            if let Some(missed) = outbox.missed(now) {
                outbox.told();
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

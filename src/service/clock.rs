//! What time it is, on a box that may not know. Routers without a battery boot in 1970, or at the date of their firmware,
//! until NTP has set their clock. The registry knows better: it is not earlier than the last thing that happened to it.
//!
//! While the system's clock is behind that, it counts as *not set*. Expiry is then judged by the newest moment known
//! (an expired device stays out), and what needs the time of day (the hours of profiles) is refused, with the reason. A
//! clock that was set and is moved while the daemon runs is believed: somebody corrected it.

use super::Now;
use crate::registry::Registry;
use crate::time::UnixTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// 2025-01-01: no clock that shows an earlier time is set.
const EARLIEST: UnixTime = UnixTime(1_735_689_600);
/// So far may a clock that is set be behind what is known, seconds: NTP sets back small errors, too.
const TOLERANCE: i64 = 300;
/// A clock that goes so much faster or slower than the steady one was moved, seconds.
const MOVED: i64 = 5;

/// The state of the clock.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The newest moment known, and when it was that at the earliest.
    floor: UnixTime,
    held: Instant,
    /// Where it is known from, in words.
    source: Arc<str>,
    set: bool,
    /// The time shown at the last look.
    last: Now,
    /// It was said that the clock is not set.
    said: bool,
}

impl Clock {
    /// The clock of a daemon that starts, with what its registry knows.
    pub fn new(registry: &Registry, now: Now) -> Clock {
        let mut clock = Clock {
            floor: UnixTime::default(),
            held: now.mono,
            source: "nothing is known".into(),
            set: false,
            last: now,
            said: false,
        };
        if let Some((at, name)) = registry.newest_moment() {
            clock.floor = at;
            clock.source = format!("the registry has that time for device '{name}'").into();
        }
        clock.set = clock.seems_set(now);
        clock
    }

    /// Something else that is known: at `now` it is not earlier than `at`. `source` says why, in words.
    pub fn know(&mut self, at: UnixTime, source: &str, now: Now) {
        if at > self.floor_at(now.mono) {
            (self.floor, self.held, self.source) = (at, now.mono, source.into());
            self.set = self.seems_set(now);
        }
    }

    /// False while the system's clock shows a time that cannot be.
    pub fn is_set(&self) -> bool {
        self.set
    }

    /// The time to judge by: the system's, or the newest moment known when that is not set.
    pub fn effective(&self, now: Now) -> Now {
        if self.set { now } else { Now { wall: now.wall.max(self.floor_at(now.mono)), mono: now.mono } }
    }

    /// Where the time comes from that is judged by while the clock is not set, in words.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Looks at the system's clock; to be called every second. Returns by how many seconds the time to judge by was
    /// moved, if it was.
    pub fn observe(&mut self, now: Now) -> Option<i64> {
        let before = self.effective(self.last);
        let expected = before.wall.0.saturating_add(seconds(now.mono.saturating_duration_since(self.last.mono)));
        if self.set && now.wall < EARLIEST {
            // It was set, and lost it: what it showed before is what is known.
            (self.floor, self.held) = (before.wall, self.last.mono);
            self.source = "the clock was there before it was lost".into();
            self.set = false;
        } else if self.set && !self.seems_set(now) {
            (self.floor, self.held) = (now.wall, now.mono);
        } else {
            self.set = self.seems_set(now);
        }
        self.last = now;
        let moved = self.effective(now).wall.0.saturating_sub(expected);
        self.say();
        (moved.saturating_abs() > MOVED).then_some(moved)
    }

    fn say(&mut self) {
        if self.set == self.said {
            self.said = !self.set;
            match self.trouble() {
                Some(trouble) => crate::log::warn!("{trouble}"),
                None => crate::log::info!("the clock is set now: it is {}", self.last.wall),
            }
        }
    }

    /// That the clock is not set, what that means, and the mend; as of the last look.
    pub fn trouble(&self) -> Option<String> {
        if self.set {
            return None;
        }
        let (shown, known) = (self.last.wall, self.floor_at(self.last.mono));
        let known =
            if known > shown { format!(", but it is {known} or later ({})", self.source) } else { String::new() };
        Some(format!(
            "the clock of this box is not set: it shows {shown}{known}. Until it is, devices expire by the later time, \
             and profiles with hours let nobody in: see to it that NTP works, or set it with date"
        ))
    }

    fn floor_at(&self, mono: Instant) -> UnixTime {
        UnixTime(self.floor.0.saturating_add(seconds(mono.saturating_duration_since(self.held))))
    }

    fn seems_set(&self, now: Now) -> bool {
        now.wall >= EARLIEST && now.wall.0.saturating_add(TOLERANCE) >= self.floor_at(now.mono).0
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::device::{BoundMac, Device, DeviceId, Seen};
    use crate::registry::tests::device;
    use proptest::prelude::*;

    /// 2027-01-15.
    const THEN: i64 = 1_800_000_000;

    fn registry(created: i64, since: i64, seen: i64) -> Registry {
        let macs =
            vec![BoundMac { mac: crate::mac::MacAddr([2, 0, 0, 0, 0, 1]), proved: true, since: UnixTime(since) }];
        let lamp = Device { macs, created: UnixTime(created), ..device(1, "lamp", "iot", "k7m3p-xw9tq-rrdfg") };
        let seen = Seen { last_seen: UnixTime(seen), ..Seen::default() };
        Registry::load(vec![lamp], vec![], vec![(DeviceId(1), seen)], DeviceId(2))
    }

    struct Scene {
        start: Instant,
        clock: Clock,
    }

    impl Scene {
        fn new(registry: &Registry, wall: i64) -> Scene {
            let start = Instant::now();
            Scene { start, clock: Clock::new(registry, Now { wall: UnixTime(wall), mono: start }) }
        }

        fn now(&self, wall: i64, after: u64) -> Now {
            Now { wall: UnixTime(wall), mono: self.start + Duration::from_secs(after) }
        }

        /// The clock shows this so many seconds after the start: by how much was it moved, is it set, what is judged by.
        fn look(&mut self, wall: i64, after: u64) -> (Option<i64>, bool, i64) {
            let now = self.now(wall, after);
            let moved = self.clock.observe(now);
            (moved, self.clock.is_set(), self.clock.effective(now).wall.0)
        }
    }

    #[test]
    fn a_router_boots_in_1970_and_ntp_sets_its_clock() {
        for newest in [(THEN, 1, 2), (1, THEN, 2), (1, 2, THEN)] {
            let mut scene = Scene::new(&registry(newest.0, newest.1, newest.2), 17);
            assert_eq!(scene.look(17, 0), (None, false, THEN));
            assert_eq!(scene.look(77, 60), (None, false, THEN + 60), "time goes on");
            let trouble = scene.clock.trouble().expect("a trouble");
            assert!(trouble.contains("1970-01-01T00:01:17Z") && trouble.contains("'lamp'"), "{trouble}");
            // The date of the firmware is no better.
            assert_eq!(scene.look(1_750_000_000, 61), (None, false, THEN + 61));
            assert_eq!(scene.look(THEN + 5000, 62), (Some(4938), true, THEN + 5000));
            assert_eq!(scene.look(THEN + 5001, 63), (None, true, THEN + 5001));
            assert_eq!(scene.clock.trouble(), None);
        }
    }

    #[test]
    fn without_a_registry_only_the_year_tells() {
        let mut scene = Scene::new(&Registry::default(), 17);
        assert_eq!(scene.look(17, 0), (None, false, 17));
        assert!(!scene.look(EARLIEST.0 - 1, 1).1);
        assert!(scene.look(EARLIEST.0, 2).1);
    }

    #[test]
    fn what_the_shell_knows_counts() {
        let mut scene = Scene::new(&Registry::default(), 1_750_000_000);
        assert!(scene.clock.is_set());
        scene.clock.know(UnixTime(THEN), "this program is from then", scene.now(1_750_000_000, 0));
        assert_eq!(scene.look(1_750_000_000, 10), (None, false, THEN + 10));
        scene.clock.know(UnixTime(THEN - 5), "older", scene.now(1_750_000_000, 11));
        assert_eq!(scene.clock.source(), "this program is from then");
    }

    #[test]
    fn a_clock_that_was_wrong_by_hours_is_corrected() {
        let mut scene = Scene::new(&registry(THEN, 1, 1), THEN + 36_000);
        assert_eq!(scene.look(THEN + 36_010, 10), (None, true, THEN + 36_010));
        assert_eq!(scene.look(THEN + 20, 20), (Some(-36_000), true, THEN + 20));
        // Even behind what the registry has: it was written by the same wrong clock.
        assert_eq!(scene.look(THEN - 7_000, 30), (Some(-7_030), true, THEN - 7_000));
        assert_eq!(scene.look(THEN - 6_990, 40), (None, true, THEN - 6_990));
        // Small errors are no move.
        assert_eq!(scene.look(THEN - 6_983, 50), (None, true, THEN - 6_983));
    }

    #[test]
    fn a_clock_that_is_lost_leaves_time_running() {
        let mut scene = Scene::new(&registry(THEN, 1, 1), THEN + 500);
        scene.look(THEN + 510, 10);
        assert_eq!(scene.look(3, 13), (None, false, THEN + 513));
        assert_eq!(scene.look(THEN + 520, 20), (None, true, THEN + 520));
    }

    proptest! {
        /// While the clock is not set, time never goes back, nor behind what the registry knows.
        #[test]
        fn an_unset_clock_only_goes_forward(walls in proptest::collection::vec(0..THEN - 1000, 1..20)) {
            let mut scene = Scene::new(&registry(THEN, 1, 1), 0);
            let mut last = THEN;
            for (after, wall) in walls.into_iter().enumerate() {
                let (moved, set, effective) = scene.look(wall, after as u64);
                prop_assert!(!set && moved.is_none() && effective >= last);
                last = effective;
            }
        }
    }
}

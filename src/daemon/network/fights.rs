//! Somebody else may have other ideas of the network, and undo what is done here. Doing it again at once, for ever, would
//! keep two processors busy and help nobody: it is done again at longer and longer intervals.

use crate::network::plan::Op;
use std::time::{Duration, Instant};

/// So often it is done without waiting.
const PATIENCE: u32 = 3;
/// The first wait, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// What held for so long after a step was not undone because of it.
const PEACE: Duration = Duration::from_secs(60);
/// Steps that are remembered.
const STEPS: usize = 1024;

/// The steps of late, each with the index of the interface: one that was made anew is another.
#[derive(Debug, Default)]
pub struct Fights {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    op: Op,
    index: u32,
    count: u32,
    at: Instant,
    failure: Option<String>,
}

/// A step has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// So long.
    pub more: Duration,
    /// It was not undone, but failed, for this reason.
    pub failure: Option<String>,
}

impl Fights {
    /// Whether a step has to wait. Nothing: it may be taken, and counts.
    pub fn wait(&mut self, op: &Op, index: u32, now: Instant) -> Option<Wait> {
        self.steps.retain(|step| now.saturating_duration_since(step.at) < pause(step.count) + PEACE);
        if self.steps.len() >= STEPS {
            self.steps.clear();
        }
        let known = self.steps.iter().position(|step| step.op == *op && step.index == index);
        let place = known.unwrap_or(self.steps.len());
        if known.is_none() {
            self.steps.push(Step { op: op.clone(), index, count: 0, at: now, failure: None });
        }
        let step = self.steps.get_mut(place)?;
        let wait = pause(step.count).saturating_sub(now.saturating_duration_since(step.at));
        if step.count >= PATIENCE && !wait.is_zero() {
            return Some(Wait { more: wait, failure: step.failure.clone() });
        }
        (step.count, step.at, step.failure) = (step.count.saturating_add(1), now, None);
        None
    }

    /// A step that was taken just now failed: trying at once again is of no use.
    pub fn failed(&mut self, op: &Op, index: u32, why: String) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.op == *op && step.index == index) {
            step.count = step.count.max(PATIENCE);
            step.failure = Some(why);
        }
    }
}

/// What has to pass after so many times.
fn pause(count: u32) -> Duration {
    match count.checked_sub(PATIENCE) {
        None => Duration::ZERO,
        Some(more) => (WAIT.0 * 2u32.saturating_pow(more.min(16))).min(WAIT.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_get_longer_and_end() {
        let mut fights = Fights::default();
        let join = Op::Join { port: "wlan0.20".into(), bridge: "brvlan20".into() };
        let start = Instant::now();
        let mut tried =
            |index, seconds| fights.wait(&join, index, start + Duration::from_secs(seconds)).map(|wait| wait.more);
        assert_eq!([0, 1, 1].map(|at| tried(7, at)), [None; 3]);
        assert_eq!(tried(7, 1), Some(Duration::from_secs(2)));
        assert_eq!(tried(8, 1), None, "an interface that was made anew");
        assert_eq!(tried(7, 3), None);
        assert_eq!(tried(7, 4), Some(Duration::from_secs(3)));
        assert_eq!(tried(7, 7), None);
        assert_eq!(tried(7, 8), Some(Duration::from_secs(7)));
        // It held.
        assert_eq!([200, 200, 201].map(|at| tried(7, at)), [None; 3]);
    }

    #[test]
    fn what_fails_waits_at_once_and_says_why() {
        let (mut fights, start) = (Fights::default(), Instant::now());
        let op = Op::MakeBridge("brvlan20".into());
        assert_eq!(fights.wait(&op, 0, start), None);
        fights.failed(&op, 0, "no".into());
        assert_eq!(fights.wait(&op, 0, start), Some(Wait { more: WAIT.0, failure: Some("no".into()) }));
        assert_eq!(fights.wait(&op, 0, start + WAIT.0), None);
        assert_eq!(fights.wait(&op, 0, start + WAIT.0).unwrap().failure, None, "it went well, and was undone");
    }

    #[test]
    fn memory_is_bounded_and_so_is_the_wait() {
        let (mut fights, now) = (Fights::default(), Instant::now());
        for index in 0..5000 {
            assert_eq!(fights.wait(&Op::SetUp("wlan0".into()), index, now), None);
        }
        assert!(fights.steps.len() <= STEPS);
        assert_eq!(pause(u32::MAX), WAIT.1);
    }
}

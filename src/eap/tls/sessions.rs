//! Sessions that devices may resume.
//!
//! They are kept here, under 32 random octets that the device is given, and not within the ticket: a ticket that holds
//! the session holds the device's whole chain of certificates, one to three thousand octets, which go over the air twice
//! in fragments of their own, each a RADIUS exchange. Here a session costs its device's chain and some 150 octets of
//! memory for a day at most, the number is bounded, each TLS 1.3 ticket works once, and no ticket key is there to be
//! stolen. What is lost with a restart costs each device one full handshake.

use crate::time::UnixTime;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// How long a session can be resumed, in seconds: what rustls tells the device of a ticket that is kept here. RFC 8446
/// (4.6.1) allows seven days.
pub const LIFETIME: i64 = 24 * 60 * 60;
/// How old the full handshake behind a chain of resumptions may be, in seconds (RFC 8446, 4.6.1).
pub const MAX_AGE: i64 = 7 * 24 * 60 * 60;
/// How many octets all sessions may have together.
const MAX_OCTETS: usize = 512 * 1024;

/// What rustls needs to resume a session: opaque, and secret.
pub type Value = Zeroizing<Box<[u8]>>;

/// A session that the handshake has produced and nobody has approved.
pub type Fresh = (Box<[u8]>, Value);

/// The sessions, oldest first. A search goes through all of them: they are few, and the keys differ in their first octets.
#[derive(Default)]
pub struct Sessions {
    kept: VecDeque<Kept>,
    octets: usize,
    most: usize,
}

struct Kept {
    key: Box<[u8]>,
    value: Value,
    until: UnixTime,
}

impl Kept {
    fn octets(&self) -> usize {
        size_of::<Kept>() + self.key.len() + self.value.len()
    }
}

impl Sessions {
    /// Room for `most` sessions; none at all for 0.
    pub fn new(most: usize) -> Sessions {
        Sessions { most, ..Sessions::default() }
    }

    /// True if there is room for any.
    pub fn is_enabled(&self) -> bool {
        self.most > 0
    }

    /// Keeps one; the oldest go where there is no room.
    pub fn put(&mut self, (key, value): Fresh, now: UnixTime) {
        let kept = Kept { key, value, until: UnixTime(now.0.saturating_add(LIFETIME)) };
        if kept.octets() > MAX_OCTETS || self.most == 0 {
            return;
        }
        self.octets += kept.octets();
        self.kept.push_back(kept);
        while self.kept.len() > self.most
            || self.octets > MAX_OCTETS
            || self.kept.front().is_some_and(|oldest| oldest.is_over(now))
        {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.octets -= oldest.octets();
        }
    }

    /// The session under a key, unless its time is over.
    pub fn get(&self, key: &[u8], now: UnixTime) -> Option<&Value> {
        self.kept.iter().find(|kept| *kept.key == *key && !kept.is_over(now)).map(|kept| &kept.value)
    }

    /// The same, and it is gone.
    pub fn take(&mut self, key: &[u8], now: UnixTime) -> Option<Value> {
        let at = self.kept.iter().position(|kept| *kept.key == *key)?;
        let kept = self.kept.remove(at)?;
        self.octets -= kept.octets();
        (!kept.is_over(now)).then_some(kept.value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Octets of memory they hold.
    pub fn octets(&self) -> usize {
        self.octets
    }
}

impl Kept {
    /// Also when the clock was set back past its beginning: then its age is unknown.
    fn is_over(&self, now: UnixTime) -> bool {
        now >= self.until || now.0 < self.until.0.saturating_sub(LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(key: u8, octets: usize) -> Fresh {
        ([key; 32].into(), Zeroizing::new(vec![key; octets].into()))
    }

    #[test]
    fn a_session_is_found_until_its_end_and_taken_once() {
        let mut sessions = Sessions::new(4);
        sessions.put(session(1, 100), UnixTime(1000));
        let value = session(1, 100).1;
        for (now, there) in [(999, false), (1000, true), (1000 + LIFETIME - 1, true), (1000 + LIFETIME, false)] {
            assert_eq!(sessions.get(&[1; 32], UnixTime(now)).is_some(), there, "{now}");
        }
        assert_eq!(sessions.get(&[2; 32], UnixTime(1000)), None);
        assert_eq!(sessions.take(&[1; 32], UnixTime(1000)), Some(value));
        assert_eq!(sessions.take(&[1; 32], UnixTime(1000)), None);
        assert_eq!((sessions.len(), sessions.octets()), (0, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut sessions = Sessions::new(4);
        for key in 0..10 {
            sessions.put(session(key, 100), UnixTime(1000));
        }
        let there = (0..10).filter(|key| sessions.get(&[*key; 32], UnixTime(1000)).is_some()).collect::<Vec<_>>();
        assert_eq!(there, [6, 7, 8, 9]);
        for key in 0..10 {
            sessions.put(session(key, 200_000), UnixTime(1000));
            assert!(sessions.octets() <= MAX_OCTETS);
        }
        assert_eq!(sessions.len(), 2);
        sessions.put(session(77, MAX_OCTETS), UnixTime(1000));
        assert_eq!(sessions.len(), 2);
        sessions.put(session(78, 10), UnixTime(1000 + LIFETIME));
        assert_eq!(sessions.len(), 1);
        let mut none = Sessions::new(0);
        none.put(session(1, 1), UnixTime(1000));
        assert_eq!(none.len(), 0);
    }
}

//! One structured event for each decision, kept in a bounded ring: the log, the command line, ubus and
//! the web page all show this same event.

use super::reason::Reason;
use crate::mac::MacAddr;
use crate::time::UnixTime;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many events are kept.
pub const RING: usize = 512;
/// How far back a repeated failure is looked for. Bounds the work per event.
const COLLAPSE_WITHIN: usize = 64;

/// How the device was asked for its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// By its address, before association (hostapd's `wpa_psk_radius=1|2`).
    Address,
    /// By the handshake (hostapd's `wpa_psk_radius=3`); WLAN-AKM-Suite, when known (RFC 7268, 2.14).
    Handshake(Option<u32>),
    /// By EAP (RFC 3748).
    Eap {
        /// What people call the method; "EAP" as long as there is none.
        name: &'static str,
        /// What else is to be known of it ("1.3, resumed"); empty if nothing.
        detail: &'static str,
    },
    /// By EAP that somebody else carried on.
    Peer {
        /// What people call the method, as it was seen going by.
        name: &'static str,
        /// Who: the name of a `config realm`.
        party: Arc<str>,
    },
    /// Something latchkey does not answer yes to.
    Other,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Address => f.write_str("mac"),
            Method::Handshake(None) => f.write_str("handshake"),
            Method::Handshake(Some(akm)) => write!(f, "handshake/akm{}", akm & 0xff),
            Method::Eap { name, detail } => {
                let space = if detail.is_empty() { "" } else { " " };
                write!(f, "{}{space}{detail}", name.to_ascii_lowercase())
            }
            Method::Peer { name, party } => write!(f, "{} via {party}", name.to_ascii_lowercase()),
            Method::Other => f.write_str("other"),
        }
    }
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Access-Accept.
    Accepted,
    /// Access-Reject, or an Accept whose key was never proved.
    Refused,
    /// The NAS reported the device connected, which proves the key it had been sent.
    Joined,
    /// The NAS was asked to end a session; the reason says what came of it.
    Disconnect,
}

impl Outcome {
    /// The word in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Refused => "refused",
            Outcome::Joined => "joined",
            Outcome::Disconnect => "disconnect",
        }
    }
}

/// A decision and its circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number. A repeated failure keeps it and counts up.
    pub id: u64,
    /// Grows with each event and each repetition: what is greater is newer.
    pub seq: u64,
    /// When it last happened.
    pub at: UnixTime,
    /// When it first happened.
    pub first_at: UnixTime,
    /// How often it happened.
    pub count: u32,
    /// The device's name, when it is certain which one it is.
    pub device: Option<Arc<str>>,
    /// The supplicant's address.
    pub mac: MacAddr,
    /// The SSID, in octets.
    pub ssid: Arc<[u8]>,
    /// The client's name in the configuration, and the NAS-Identifier if it says more.
    pub nas: Arc<str>,
    /// How it was asked.
    pub method: Method,
    /// What came out.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The VLAN it was given.
    pub vlan: Option<u16>,
    /// The profile it was given.
    pub profile: Option<Arc<str>>,
    /// Microseconds from request to decision.
    pub micros: u32,
}

impl Event {
    /// Who else was asked: the name of a `config realm`.
    pub fn party(&self) -> Option<&str> {
        match &self.method {
            Method::Peer { party, .. } => Some(party),
            _ => self.reason.party(),
        }
    }
}

impl fmt::Display for Event {
    /// What happened, in plain words. Times and addresses are shown beside it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outcome, &self.reason) {
            (Outcome::Disconnect, reason) => return write!(f, "{reason}"),
            // Names the profile itself.
            (Outcome::Accepted | Outcome::Joined, reason @ Reason::Paired { .. }) => {
                return match self.vlan {
                    Some(vlan) => write!(f, "{reason} (VLAN {vlan})"),
                    None => write!(f, "{reason} (no VLAN)"),
                };
            }
            (Outcome::Refused, reason) => write!(f, "refused: {reason}"),
            (Outcome::Joined, Reason::KeyOfOther { owner }) => write!(
                f,
                "let in with the waiting key of '{owner}', which was bound to another address meanwhile: it will be \
                 refused the next time"
            ),
            // Said as a whole sentence already.
            (Outcome::Joined, reason @ Reason::OneOfSeveral { .. }) => write!(f, "{reason}"),
            (
                Outcome::Accepted,
                reason @ (Reason::KnownAddress
                | Reason::Offered { .. }
                | Reason::OnboardingOffered
                | Reason::PairingOffered),
            ) => write!(f, "{reason}"),
            (Outcome::Accepted | Outcome::Joined, reason) => write!(f, "let in: {reason}"),
        }?;
        match (&self.profile, self.vlan) {
            (Some(profile), Some(vlan)) => write!(f, " (profile {profile}, VLAN {vlan})"),
            (Some(profile), None) => write!(f, " (profile {profile}, no VLAN)"),
            _ => Ok(()),
        }
    }
}

/// The latest events.
#[derive(Debug, Default)]
pub struct EventRing {
    events: VecDeque<Event>,
    next_id: u64,
    /// Before the first, and the last one given.
    first: u64,
    last: u64,
    /// The last one that had to make room.
    gone: u64,
}

impl EventRing {
    /// Takes an event; its `id`, `seq`, `first_at` and `count` are set here. A refusal that repeats a recent one of
    /// the same device for the same reason is counted there, and moves to the end of the ring.
    pub fn record(&mut self, mut event: Event) -> &Event {
        event.first_at = event.at;
        event.count = 1;
        let recent = self.events.len().saturating_sub(COLLAPSE_WITHIN);
        let in_vain = matches!(event.reason, Reason::Asked { cause, .. } if cause != 0);
        let same = (event.outcome == Outcome::Refused || in_vain)
            .then(|| self.events.iter().enumerate().skip(recent).rev().find(|(_, old)| old.repeats(&event)))
            .flatten()
            .map(|(index, _)| index);
        match same.and_then(|index| self.events.remove(index)) {
            Some(old) => {
                event.id = old.id;
                event.first_at = old.first_at;
                event.count = old.count.saturating_add(1);
            }
            None => {
                self.next_id += 1;
                event.id = self.next_id;
            }
        }
        self.last += 1;
        event.seq = self.last;
        if self.events.len() >= RING
            && let Some(oldest) = self.events.pop_front()
        {
            self.gone = oldest.seq;
        }
        self.events.push_back(event);
        &self.events[self.events.len() - 1]
    }

    /// Has [`Event::seq`] begin after this. To be called before the first event.
    pub fn begin_at(&mut self, seq: u64) {
        (self.first, self.last, self.gone) = (seq, seq, seq);
    }

    /// The greatest [`Event::seq`] so far.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// True when the ring has all that happened since this [`Event::seq`] was the last.
    pub fn has_all_since(&self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq) && self.gone <= seq
    }

    /// The events, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }
}

impl Event {
    fn repeats(&self, other: &Event) -> bool {
        // A flood of unknown devices has a new address each time.
        let same_device = self.mac == other.mac || matches!(self.reason, Reason::RateLimited);
        self.outcome == other.outcome
            && same_device
            && self.reason.repeats(&other.reason)
            && self.ssid == other.ssid
            && self.nas == other.nas
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(mac: u8, outcome: Outcome, reason: Reason, at: i64) -> Event {
        Event {
            id: 0,
            seq: 0,
            at: UnixTime(at),
            first_at: UnixTime(0),
            count: 0,
            device: None,
            mac: MacAddr([0, 0, 0, 0, 0, mac]),
            ssid: b"Home"[..].into(),
            nas: "ap".into(),
            method: Method::Address,
            outcome,
            reason,
            vlan: None,
            profile: None,
            micros: 1,
        }
    }

    #[test]
    fn repeated_failures_collapse_into_a_count() {
        let mut ring = EventRing::default();
        ring.record(event(1, Outcome::Refused, Reason::WrongKey, 10));
        ring.record(event(2, Outcome::Refused, Reason::WrongKey, 11));
        let again = ring.record(event(1, Outcome::Refused, Reason::WrongKey, 12));
        assert_eq!((again.count, again.first_at, again.at, again.id), (2, UnixTime(10), UnixTime(12), 1));
        ring.record(event(1, Outcome::Refused, Reason::Blocked, 13));
        assert_eq!(ring.iter().map(|e| (e.mac.0[5], e.count)).collect::<Vec<_>>(), [(2, 1), (1, 2), (1, 1)]);
    }

    #[test]
    fn a_device_outside_its_hours_is_one_event_all_night() {
        let mut ring = EventRing::default();
        for minute in [1, 2] {
            let local = crate::time::zone::Local { day: 5, minute, second: 0 };
            let reason = Reason::OutsideHours { profile: "kids".into(), hours: "daily 07:00-21:00".into(), local };
            ring.record(event(1, Outcome::Refused, reason, minute.into()));
        }
        let shown: Vec<_> = ring.iter().map(|e| (e.count, e.to_string())).collect();
        let text = "refused: outside the hours of profile 'kids' (daily 07:00-21:00; it is Sat 00:02)";
        assert_eq!(shown, [(2, text.to_owned())]);
    }

    #[test]
    fn admissions_stand_alone_and_the_ring_is_bounded() {
        let mut ring = EventRing::default();
        for at in 0..2 * RING as i64 {
            ring.record(event(1, Outcome::Accepted, Reason::ProvedKey, at));
        }
        assert_eq!(ring.iter().count(), RING);
        assert_eq!(ring.iter().next().map(|e| e.at), Some(UnixTime(RING as i64)));
    }

    #[test]
    fn a_flood_of_strangers_is_one_event() {
        let mut ring = EventRing::default();
        for mac in 0..200 {
            ring.record(event(mac, Outcome::Refused, Reason::RateLimited, i64::from(mac)));
        }
        assert_eq!(ring.iter().map(|e| e.count).collect::<Vec<_>>(), [200]);
    }
}

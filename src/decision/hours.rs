//! The hours of a profile: is it open, and until when. The local time of each instant decides, so that hours which
//! daylight saving skips or repeats need no rule of their own: what is skipped never comes, what is repeated counts twice.

use crate::config::{Config, Hours, Profile};
use crate::decision::reason::Reason;
use crate::registry::device::Device;
use crate::time::UnixTime;
use crate::time::zone::{Local, Zone};

/// Hours repeat each week; a switch of daylight saving moves them by hours at most.
const HORIZON: i64 = 8 * 86_400;
const MINUTES_A_DAY: u16 = 1440;

/// A moment, as expiry and schedules see it.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The time, as far as it is known.
    pub now: UnixTime,
    /// Its local time.
    pub local: Local,
    /// Where that is.
    pub zone: &'a Zone,
    /// The clock is set: a schedule can be followed.
    pub set: bool,
}

impl<'a> Moment<'a> {
    /// A moment in a zone.
    pub fn new(now: UnixTime, zone: &'a Zone, set: bool) -> Moment<'a> {
        Moment { now, local: zone.local(now), zone, set }
    }
}

/// True when hours are open at a local time. No hours: always.
pub fn is_open(hours: &[Hours], local: Local) -> bool {
    hours.is_empty() || hours.iter().any(|hours| hours.includes(local.day, local.minute))
}

/// When hours that are open close, or closed ones open: the first second of the other state. `None` when they never do.
pub fn next_change(hours: &[Hours], zone: &Zone, from: UnixTime) -> Option<UnixTime> {
    if hours.is_empty() {
        return None;
    }
    let open = is_open(hours, zone.local(from));
    let mut at = from;
    while at.0.saturating_sub(from.0) < HORIZON {
        let local = zone.local(at);
        // Every hour begins or ends at one of these minutes of the day, so nothing happens before the next one.
        let ahead = |minute: u16| match (minute % MINUTES_A_DAY + MINUTES_A_DAY - local.minute) % MINUTES_A_DAY {
            0 => MINUTES_A_DAY,
            ahead => ahead,
        };
        // At midnight the day changes, which matters to hours of some days.
        let edges = hours.iter().flat_map(|hours| [hours.from, hours.to]).chain([0]);
        let ahead = edges.map(ahead).min()?;
        let next = UnixTime(at.0.saturating_add(i64::from(ahead) * 60 - i64::from(local.second)));
        at = switch_between(zone, at, next).unwrap_or(next);
        if is_open(hours, zone.local(at)) != open {
            return Some(at);
        }
    }
    None
}

/// The first second after `from`, up to `to`, at which local time jumps; it does so at most once in a day.
fn switch_between(zone: &Zone, from: UnixTime, to: UnixTime) -> Option<UnixTime> {
    let before = zone.offset(from);
    if zone.offset(to) == before {
        return None;
    }
    let (mut low, mut high) = (from.0, to.0);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if zone.offset(UnixTime(middle)) == before { low = middle } else { high = middle }
    }
    Some(UnixTime(high))
}

/// Whether a profile is open.
///
/// # Errors
/// Why nobody may be on the air with it now.
pub fn check_hours(profile: &Profile, moment: &Moment<'_>) -> Result<(), Reason> {
    if profile.hours.is_empty() {
        Ok(())
    } else if !moment.set {
        Err(Reason::ClockNotSet { profile: profile.name.clone() })
    } else if is_open(&profile.hours, moment.local) {
        Ok(())
    } else {
        let hours: Vec<String> = profile.hours.iter().map(Hours::to_string).collect();
        Err(Reason::OutsideHours { profile: profile.name.clone(), hours: hours.join("; ").into(), local: moment.local })
    }
}

/// What the administrator said of a device: is it blocked, is its time over, is it the hour of its profile.
///
/// # Errors
/// Why it may not be on the air now, whatever it proves.
pub fn check_standing(device: &Device, config: &Config, moment: &Moment<'_>) -> Result<(), Reason> {
    match device.expires {
        _ if device.blocked => return Err(Reason::Blocked),
        Some(expires) if device.is_expired(moment.now) => return Err(Reason::Expired(expires)),
        _ => {}
    }
    config.profile(&device.profile).map_or(Ok(()), |profile| check_hours(profile, moment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::zone::tests::{AUCKLAND, BERLIN, at};
    use proptest::prelude::*;

    fn hours(text: &str) -> Vec<Hours> {
        text.split(';').map(|text| text.parse().expect(text)).collect()
    }

    fn zone(text: &str) -> Zone {
        Zone::posix(text).expect(text)
    }

    /// Open or not at a moment, and when that changes.
    fn look(list: &str, place: &str, moment: &str) -> (bool, Option<String>) {
        let (hours, zone) = (hours(list), zone(place));
        let change = next_change(&hours, &zone, at(moment));
        (is_open(&hours, zone.local(at(moment))), change.map(|at| at.to_string()))
    }

    #[test]
    fn hours_at_the_very_switch() {
        for (list, place, moment, open, change) in [
            // 2026-03-29, 01:00 UTC: 02:00 becomes 03:00. Hours in the gap never come.
            ("sun 02:00-03:00", BERLIN, "2026-03-29T00:59:59Z", false, Some("2026-04-05T00:00:00Z")),
            ("sun 01:00-02:30", BERLIN, "2026-03-29T00:00:00Z", true, Some("2026-03-29T01:00:00Z")),
            ("sun 02:30-04:00", BERLIN, "2026-03-29T00:59:59Z", false, Some("2026-03-29T01:00:00Z")),
            ("sun 02:30-04:00", BERLIN, "2026-03-29T01:00:00Z", true, Some("2026-03-29T02:00:00Z")),
            // Across midnight and the gap: an hour shorter.
            ("sat 22:00-06:00", BERLIN, "2026-03-28T21:00:00Z", true, Some("2026-03-29T04:00:00Z")),
            // 2026-10-25, 01:00 UTC: 03:00 becomes 02:00. The hour comes twice.
            ("sun 02:00-03:00", BERLIN, "2026-10-25T00:00:00Z", true, Some("2026-10-25T02:00:00Z")),
            ("sun 02:15-02:45", BERLIN, "2026-10-25T00:44:59Z", true, Some("2026-10-25T00:45:00Z")),
            ("sun 02:15-02:45", BERLIN, "2026-10-25T00:45:00Z", false, Some("2026-10-25T01:15:00Z")),
            // Closed at 03:00 for no time at all: it is 02:00 again.
            ("sun 01:00-02:30", BERLIN, "2026-10-25T00:59:59Z", false, Some("2026-10-25T01:00:00Z")),
            ("sun 01:00-02:30", BERLIN, "2026-10-25T01:00:00Z", true, Some("2026-10-25T01:30:00Z")),
            ("sat 22:00-06:00", BERLIN, "2026-10-24T20:00:00Z", true, Some("2026-10-25T05:00:00Z")),
            // The south: summer ends in April, begins in September.
            ("sun 02:00-03:00", AUCKLAND, "2026-04-04T13:00:00Z", true, Some("2026-04-04T15:00:00Z")),
            ("sat 22:00-06:00", AUCKLAND, "2026-04-04T09:00:00Z", true, Some("2026-04-04T18:00:00Z")),
            ("sun 02:00-03:00", AUCKLAND, "2026-09-26T13:59:59Z", false, Some("2026-10-03T13:00:00Z")),
            ("sat 22:00-06:00", AUCKLAND, "2026-09-26T10:00:00Z", true, Some("2026-09-26T17:00:00Z")),
            // Far from any switch.
            ("mon-fri 07:00-21:00", BERLIN, "2026-11-20T19:59:59Z", true, Some("2026-11-20T20:00:00Z")),
            ("mon-fri 07:00-21:00", BERLIN, "2026-11-20T20:00:00Z", false, Some("2026-11-23T06:00:00Z")),
            ("sat 09:00-24:00;sun 00:00-12:00", "UTC", "2026-11-21T10:00:01Z", true, Some("2026-11-22T12:00:00Z")),
            ("fri 21:00-20:00", "UTC", "2026-11-21T10:00:00Z", true, Some("2026-11-21T20:00:00Z")),
            ("daily 00:00-24:00", BERLIN, "2026-03-29T00:30:00Z", true, None),
            ("daily 06:00-06:00", BERLIN, "2026-03-29T00:30:00Z", true, None),
        ] {
            assert_eq!(look(list, place, moment), (open, change.map(str::to_owned)), "{list} at {moment}");
        }
    }

    #[test]
    fn no_hours_are_always() {
        let berlin = zone(BERLIN);
        assert!(is_open(&[], berlin.local(UnixTime(0))));
        assert_eq!(next_change(&[], &berlin, UnixTime(0)), None);
    }

    prop_compose! {
        fn any_hours()(days in 1u8..128, from in 0u16..1440, to in 1u16..=1440) -> Hours {
            Hours { days, from, to }
        }
    }

    proptest! {
        /// Until the change, the state is the same at each quarter of a minute; with it, the other one.
        #[test]
        fn a_change_is_the_first_one(
            hours in proptest::collection::vec(any_hours(), 1..4),
            place in prop_oneof![Just(BERLIN), Just(AUCKLAND), Just("<+0545>-5:45"), Just("IST-2IDT,M3.4.4/26,M10.5.0")],
            // The days around the switches of 2026, and any time of that year.
            from in prop_oneof![1_774_600_000i64..1_775_400_000, 1_790_300_000i64..1_792_900_000, 1_767_200_000i64..1_798_700_000],
        ) {
            let zone = zone(place);
            let state = |at: i64| is_open(&hours, zone.local(UnixTime(at)));
            let open = state(from);
            let change = next_change(&hours, &zone, UnixTime(from));
            let end = change.map_or(from + HORIZON, |at| at.0);
            prop_assert!(end > from);
            for at in (from..end).step_by(15).chain([end - 1]) {
                prop_assert_eq!(state(at), open, "at {}", at);
            }
            if let Some(at) = change {
                prop_assert_ne!(state(at.0), open);
            }
        }
    }
}

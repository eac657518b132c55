//! The local time of a moment. No clock and no files here: the shell reads the zone and hands it in.

use super::UnixTime;
use std::fmt;
use std::sync::Arc;
use tz::TimeZone;

/// Octets of the longest POSIX `TZ` value: the longest one of the time zone database has 45.
const MAX_POSIX: usize = 128;
/// 1970-01-01 was a Thursday; days of the week count from Monday.
const THURSDAY: i64 = 3;
const DAY: i64 = 86_400;

/// A time zone. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    zone: Arc<TimeZone>,
}

/// A text or file is no time zone. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Not a POSIX `TZ` value.
    #[error(
        "is no time zone in the form of POSIX TZ: write for example CET-1CEST,M3.5.0,M10.5.0/3 or <-03>3 (on OpenWrt \
         the file /etc/TZ has yours; on other systems it is the last line of /etc/localtime)"
    )]
    Posix,
    /// Not a TZif file.
    #[error("is no time zone file (TZif, RFC 8536)")]
    File,
}

/// A local time of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// 0 for Monday to 6 for Sunday.
    pub day: u8,
    /// Minutes since midnight, 0 to 1439.
    pub minute: u16,
    /// Seconds of the minute, 0 to 59.
    pub second: u8,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), zone: TimeZone::utc().into() }
    }

    /// A POSIX `TZ` value (POSIX.1-2017, 8.3), with the hours beyond a day that RFC 8536, 3.3.1 allows: Greenland and
    /// Israel need them. `UTC` and `GMT` alone are understood, too.
    ///
    /// # Errors
    /// When it is none; file names are none.
    pub fn posix(text: &str) -> Result<Zone, ZoneError> {
        let text = text.trim();
        if matches!(text, "UTC" | "GMT") {
            return Ok(Zone::utc());
        }
        let plain = !text.is_empty() && text.len() <= MAX_POSIX && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            return Err(ZoneError::Posix);
        }
        // The value is the footer of a file without transitions: only there are all of its forms understood.
        let mut file = Vec::with_capacity(256);
        for _ in 0..2 {
            file.extend_from_slice(b"TZif3");
            file.extend_from_slice(&[0; 15]);
            // isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt.
            [0u32, 0, 0, 0, 1, 4].iter().for_each(|count| file.extend_from_slice(&count.to_be_bytes()));
            file.extend_from_slice(&[0; 6]);
            file.extend_from_slice(b"UTC\0");
        }
        file.push(b'\n');
        file.extend_from_slice(text.as_bytes());
        file.push(b'\n');
        Zone::tzif(text, &file).map_err(|_| ZoneError::Posix)
    }

    /// The contents of a time zone file (RFC 8536), such as `/etc/localtime`. `name` is what it is called.
    ///
    /// # Errors
    /// When it is none.
    pub fn tzif(name: &str, contents: &[u8]) -> Result<Zone, ZoneError> {
        let zone = TimeZone::from_tz_data(contents).map_err(|_| ZoneError::File)?;
        Ok(Zone { name: name.into(), zone: zone.into() })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds by which local time is ahead of UTC at a moment.
    pub fn offset(&self, at: UnixTime) -> i64 {
        let found = self.zone.find_local_time_type(at.0).ok().map(|kind| kind.ut_offset());
        // A file without a rule for the time after its last transition.
        let last = || {
            let zone = TimeZone::as_ref(&self.zone);
            let index = zone.transitions().last()?.local_time_type_index();
            Some(zone.local_time_types().get(index)?.ut_offset())
        };
        found.or_else(last).unwrap_or(0).into()
    }

    /// The local time of a moment.
    pub fn local(&self, at: UnixTime) -> Local {
        let local = at.0.saturating_add(self.offset(at));
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        // All three are within their bounds by the remainders.
        Local { day: (day + THURSDAY).rem_euclid(7) as u8, minute: (second / 60) as u16, second: (second % 60) as u8 }
    }
}

impl fmt::Display for Local {
    /// `Sat 23:10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = match self.day {
            0 => "Mon",
            1 => "Tue",
            2 => "Wed",
            3 => "Thu",
            4 => "Fri",
            5 => "Sat",
            _ => "Sun",
        };
        write!(f, "{day} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    pub(crate) const AUCKLAND: &str = "NZST-12NZDT,M9.5.0,M4.1.0/3";

    pub(crate) fn at(text: &str) -> UnixTime {
        text.parse().expect("a point in time")
    }

    fn shown(zone: &str, moment: &str) -> String {
        Zone::posix(zone).expect(zone).local(at(moment)).to_string()
    }

    #[test]
    fn local_times_around_the_switches() {
        for (zone, moment, local) in [
            ("UTC", "1970-01-01T00:00:00Z", "Thu 00:00"),
            // 02:00 CET becomes 03:00 CEST, and 03:00 CEST becomes 02:00 CET.
            (BERLIN, "2026-03-29T00:59:59Z", "Sun 01:59"),
            (BERLIN, "2026-03-29T01:00:00Z", "Sun 03:00"),
            (BERLIN, "2026-10-25T00:59:59Z", "Sun 02:59"),
            (BERLIN, "2026-10-25T01:00:00Z", "Sun 02:00"),
            // The southern year: summer ends in April and begins in September.
            (AUCKLAND, "2026-04-04T13:59:59Z", "Sun 02:59"),
            (AUCKLAND, "2026-04-04T14:00:00Z", "Sun 02:00"),
            (AUCKLAND, "2026-09-26T13:59:59Z", "Sun 01:59"),
            (AUCKLAND, "2026-09-26T14:00:00Z", "Sun 03:00"),
            // Hours beyond the day, as the time zone database has them for Israel and Greenland.
            ("IST-2IDT,M3.4.4/26,M10.5.0", "2026-03-26T23:59:59Z", "Fri 01:59"),
            ("IST-2IDT,M3.4.4/26,M10.5.0", "2026-03-27T00:00:00Z", "Fri 03:00"),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", "Sun 00:00"),
            ("<-03>3", "2026-01-01T00:00:00Z", "Wed 21:00"),
            ("<+0545>-5:45", "2026-01-01T00:00:00Z", "Thu 05:45"),
        ] {
            assert_eq!(shown(zone, moment), local, "{zone} at {moment}");
        }
    }

    #[test]
    fn texts_that_are_no_zone() {
        for text in [
            "",
            " ",
            "Europe/Berlin",
            ":Europe/Berlin",
            "CET",
            "CET-1CEST",
            "CET-25",
            "CET-1CEST,M13.5.0,M10.5.0/3",
            "CET-1\n",
        ] {
            let good = text == "CET-1\n";
            assert_eq!(Zone::posix(text).is_ok(), good, "{text:?}");
        }
        assert_eq!(Zone::tzif("x", b"TZif"), Err(ZoneError::File));
    }

    #[test]
    fn a_file_without_a_rule_keeps_its_last_offset() {
        // Version 1: one transition at 0, from UTC to UTC+1.
        let mut file = b"TZif\0".to_vec();
        file.extend_from_slice(&[0; 15]);
        [0u32, 0, 0, 1, 2, 4].iter().for_each(|count| file.extend_from_slice(&count.to_be_bytes()));
        file.extend_from_slice(&0u32.to_be_bytes());
        file.push(1);
        file.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&3600u32.to_be_bytes());
        file.extend_from_slice(&[0, 0]);
        file.extend_from_slice(b"XST\0");
        let zone = Zone::tzif("/etc/localtime", &file).expect("a zone");
        assert_eq!((zone.offset(UnixTime(-1)), zone.offset(UnixTime(1_800_000_000))), (0, 3600));
    }

    proptest! {
        /// Any text is read, and any moment has a local time.
        #[test]
        fn nothing_panics(
            text in "\\PC{0,60}|[A-Z]{3}[-+0-9:]{1,6}[A-Z]{3}(,[MJ0-9./-]{1,10}){0,2}",
            file in proptest::collection::vec(any::<u8>(), 0..200),
            moment in any::<i64>(),
        ) {
            if let Ok(zone) = Zone::posix(&text) {
                let local = zone.local(UnixTime(moment));
                prop_assert!(local.day < 7 && local.minute < 1440 && local.second < 60);
            }
            let _ = Zone::tzif("x", &[b"TZif2", &file[..]].concat());
        }
    }
}

//! Points in time as the registry keeps them: whole seconds, read and written as RFC 3339.

pub mod zone;

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub i64);

/// A text that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a point in time: write it as 2027-01-31T18:00:00Z or 2027-01-31T18:00:00+01:00 (or just 2027-01-31)")]
pub struct TimeError;

impl UnixTime {
    /// The system's clock. Only the shell calls this: everything below is told the time.
    pub fn now() -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

impl FromStr for UnixTime {
    type Err = TimeError;

    /// RFC 3339, or a date alone for the beginning of that day in UTC.
    fn from_str(text: &str) -> Result<UnixTime, TimeError> {
        let text = text.trim();
        let parsed = if text.len() == 10 {
            OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339)
        } else {
            OffsetDateTime::parse(text, &Rfc3339)
        };
        parsed.map(|t| UnixTime(t.unix_timestamp())).map_err(|_| TimeError)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp(self.0).ok().and_then(|t| t.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "@{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        assert_eq!("2027-01-31T18:00:00Z".parse(), Ok(UnixTime(1_801_418_400)));
        assert_eq!("2027-01-31T19:00:00+01:00".parse(), Ok(UnixTime(1_801_418_400)));
        assert_eq!("2027-01-31".parse(), Ok(UnixTime(1_801_353_600)));
        assert_eq!(UnixTime(1_801_418_400).to_string(), "2027-01-31T18:00:00Z");
        for bad in ["", "tomorrow", "2027-02-30", "2027-01-31 18:00", "1801418400"] {
            assert_eq!(bad.parse::<UnixTime>(), Err(TimeError), "{bad}");
        }
    }
}

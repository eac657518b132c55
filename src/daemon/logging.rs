//! The log: one line for each message, what is wrong on stderr anything else on stdout. procd and journald add the rest; procd
//! takes all that comes on stderr for errors (`service/instance.c`).
//!
//! A subscriber of its own: a message is a text, there are no spans, and the level is all that is chosen by.

use crate::config::LogLevel;
use crate::decision::event::{Event, Outcome};
use crate::decision::reason::Reason;
use crate::time::UnixTime;
use std::fmt::{self, Debug, Display, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// How many of [`LEVELS`] are logged.
static LOGGED: AtomicU8 = AtomicU8::new(0);

/// All levels, with their names in a line: the gravest first.
const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "ERROR"),
    (Level::WARN, " WARN"),
    (Level::INFO, " INFO"),
    (Level::DEBUG, "DEBUG"),
    (Level::TRACE, "TRACE"),
];

/// The log of this process, whose level can be changed.
pub struct Logging;

impl Logging {
    /// Starts the log. Called once.
    pub fn start(level: LogLevel) -> Logging {
        LOGGED.store(filter(level), Ordering::Relaxed);
        // A second subscriber in one process, which only tests can bring about, leaves the first in force.
        let _ = tracing::subscriber::set_global_default(Lines);
        Logging
    }

    /// Changes the level.
    pub fn set(&self, level: LogLevel) {
        LOGGED.store(filter(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

fn filter(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 1,
        LogLevel::Warn => 2,
        LogLevel::Info => 3,
        LogLevel::Debug => 4,
        LogLevel::Trace => 5,
    }
}

/// Writes messages, and knows nothing of spans.
struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        logged().any(|(level, _)| level == metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(logged().last().map_or(LevelFilter::OFF, |(level, _)| LevelFilter::from_level(*level)))
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let name = LEVELS.iter().find(|(level, _)| level == event.metadata().level()).map_or("?", |(_, name)| name);
        let mut line = Line::begin(SystemTime::now(), name);
        event.record(&mut line);
        let line = line.end();
        // If nobody reads it, the message is lost.
        let _ = if *event.metadata().level() <= Level::WARN {
            std::io::stderr().write_all(line.as_bytes())
        } else {
            std::io::stdout().write_all(line.as_bytes())
        };
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn logged() -> impl Iterator<Item = &'static (Level, &'static str)> {
    LEVELS.iter().take(LOGGED.load(Ordering::Relaxed).into())
}

/// A line in the making. What steers a terminal is only shown.
struct Line(String);

impl Line {
    fn begin(now: SystemTime, level: &str) -> Line {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)).to_string();
        let mut line = Line(String::with_capacity(128));
        line.add(format_args!("{}.{:06}Z {level}", at.trim_end_matches('Z'), since.subsec_micros()));
        line
    }

    /// Writing into a text cannot fail; a value that refuses to be shown leaves its line short.
    fn add(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.write_fmt(text);
    }

    fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for symbol in text.chars() {
            match symbol {
                '\n' | '\t' => self.0.push(symbol),
                _ if symbol.is_control() => self.0.extend(symbol.escape_default()),
                _ => self.0.push(symbol),
            }
        }
        Ok(())
    }
}

impl Visit for Line {
    /// As JSON has it: that way of writing numbers is in the program anyhow, the other would be 8 kB more.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record_debug(field, &format_args!("{}", serde_json::Value::from(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = Shown(value);
        match field.name() {
            "message" => self.add(format_args!(" {value}")),
            name => self.add(format_args!(" {name}={value}")),
        }
    }
}

/// A value as `Debug` shows it, also where the compiler was told to leave `{:?}` empty.
struct Shown<'a>(&'a dyn Debug);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Logs a decision: what people want to read at `info`, the steps on the way at `debug`. A failure that repeats
/// itself is logged at its 1st, 2nd, 4th, 8th ... time.
pub fn log_event(event: &Event) {
    let step = matches!(
        event.reason,
        Reason::KnownAddress | Reason::Offered { .. } | Reason::OnboardingOffered | Reason::PairingOffered
    );
    if event.outcome == Outcome::Accepted && step {
        crate::log::debug!("{}", line(event));
    } else if event.count.is_power_of_two() {
        crate::log::info!("{}", line(event));
    }
}

fn line(event: &Event) -> String {
    let ssid = String::from_utf8_lossy(&event.ssid);
    let who = event.device.as_deref().unwrap_or("?");
    let times = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
    format!("{who} [{}] on '{}' via {}: {event}{times}", event.mac, ssid.escape_debug(), event.nas.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::event::tests::event;
    use std::time::Duration;

    #[test]
    fn a_line_has_time_level_and_message() {
        let mut line = Line::begin(UNIX_EPOCH + Duration::new(1_801_418_400, 42_000), " WARN");
        line.add(format_args!(" {}", Shown(&format_args!("radio{}: gone", 1))));
        assert_eq!(line.end(), "2027-01-31T18:00:00.000042Z  WARN radio1: gone\n");
    }

    #[test]
    fn what_steers_a_terminal_is_only_shown() {
        let mut line = Line::begin(UNIX_EPOCH, "ERROR");
        line.add(format_args!(" {}", "a\x1b[2J\u{9b}b\x07\r\tc"));
        assert_eq!(line.end(), "1970-01-01T00:00:00.000000Z ERROR a\\u{1b}[2J\\u{9b}b\\u{7}\\r\tc\n");
    }

    #[test]
    fn a_level_takes_in_all_that_are_graver() {
        let by_level = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        for (level, (last, _)) in by_level.into_iter().zip(LEVELS) {
            let taken = LEVELS.iter().take(filter(level).into());
            assert_eq!(taken.clone().next_back().map(|(level, _)| *level), Some(last));
            assert!(taken.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn nothing_from_the_air_gets_into_the_log_unescaped() {
        let mut evil = event(1, Outcome::Refused, Reason::UnknownDevice, 5);
        evil.ssid = b"Home\n2027-01-01 ERROR \x1b[2J"[..].into();
        evil.nas = "ap\rx".into();
        evil.count = 3;
        let line = line(&evil);
        assert!(!line.contains(['\n', '\r', '\x1b']), "{line:?}");
        assert!(line.ends_with("(x3)"), "{line}");
    }
}

//! The log: one line on stderr for each message; procd and journald add the rest.
//!
//! A message is a text: no fields, no spans, and the level is all that is chosen by. So a place that logs costs its text and
//! one call.

use crate::config::LogLevel;
use crate::time::UnixTime;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many levels are logged, the gravest first: none before [`set`].
static LOGGED: AtomicU8 = AtomicU8::new(0);

/// Logs messages of this level and of all that are graver from now on.
pub fn set(level: LogLevel) {
    LOGGED.store(up_to(level), Ordering::Relaxed);
}

/// True when messages of this level are logged.
pub fn logs(level: LogLevel) -> bool {
    up_to(level) <= LOGGED.load(Ordering::Relaxed)
}

/// How many levels there are up to this one.
fn up_to(level: LogLevel) -> u8 {
    level as u8 + 1
}

/// Writes a message, whatever is logged: [`error`] and the others ask first.
pub fn write(level: LogLevel, message: fmt::Arguments<'_>) {
    let mut line = Line::begin(SystemTime::now(), level);
    line.add(message);
    // If nobody reads stderr, the message is lost.
    let _ = std::io::stderr().write_all(line.end().as_bytes());
}

/// Logs a message, given as to `format!`, at one level. What it is made of is evaluated only if it is logged.
macro_rules! message {
    ($level:ident, $($text:tt)+) => {
        if $crate::log::logs($crate::config::LogLevel::$level) {
            $crate::log::write($crate::config::LogLevel::$level, format_args!($($text)+));
        }
    };
}

/// What must be mended.
macro_rules! error {
    ($($text:tt)+) => { $crate::log::message!(Error, $($text)+) };
}

/// What should be looked at. The name `warn` alone is an attribute's.
macro_rules! warning {
    ($($text:tt)+) => { $crate::log::message!(Warn, $($text)+) };
}

/// What happens.
macro_rules! info {
    ($($text:tt)+) => { $crate::log::message!(Info, $($text)+) };
}

/// Why it happens.
macro_rules! debug {
    ($($text:tt)+) => { $crate::log::message!(Debug, $($text)+) };
}

pub(crate) use {debug, error, info, message, warning as warn};

/// A line in the making. What steers a terminal is only shown.
struct Line(String);

impl Line {
    fn begin(now: SystemTime, level: LogLevel) -> Line {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)).to_string();
        let name = match level {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => " WARN",
            LogLevel::Info => " INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        };
        let mut line = Line(String::with_capacity(128));
        line.add(format_args!("{}.{:06}Z {name} ", at.trim_end_matches('Z'), since.subsec_micros()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_has_time_level_and_message() {
        let mut line = Line::begin(UNIX_EPOCH + Duration::new(1_801_418_400, 42_000), LogLevel::Warn);
        line.add(format_args!("radio{}: gone", 1));
        assert_eq!(line.end(), "2027-01-31T18:00:00.000042Z  WARN radio1: gone\n");
    }

    #[test]
    fn what_steers_a_terminal_is_only_shown() {
        let mut line = Line::begin(UNIX_EPOCH, LogLevel::Error);
        line.add(format_args!("{}", "a\x1b[2J\u{9b}b\x07\r\tc"));
        assert_eq!(line.end(), "1970-01-01T00:00:00.000000Z ERROR a\\u{1b}[2J\\u{9b}b\\u{7}\\r\tc\n");
    }

    #[test]
    fn a_level_takes_in_all_that_are_graver() {
        let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        assert_eq!(levels.map(up_to), [1, 2, 3, 4, 5]);
        assert!(levels.is_sorted());
    }
}

//! Messages for the log: events of [`tracing`], by macros that are called as those of that crate.
//!
//! A message is a text, so all of one level come from one callsite here, and each place that logs costs its text and a call:
//! with a callsite of its own, of which there would be more than a hundred, it is 250 octets.

use std::fmt;
use tracing::Level;
use tracing::level_filters::LevelFilter;

/// True when messages of this level are logged.
pub fn logs(level: Level) -> bool {
    level <= LevelFilter::current()
}

/// Logs a message.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match level {
        Level::ERROR => tracing::error!("{message}"),
        Level::WARN => tracing::warn!("{message}"),
        Level::INFO => tracing::info!("{message}"),
        Level::DEBUG => tracing::debug!("{message}"),
        Level::TRACE => tracing::trace!("{message}"),
    }
}

/// Logs a message, given as to `format!`. What it is made of is evaluated only if it is logged.
macro_rules! message {
    ($level:ident, $($text:tt)+) => {
        if $crate::log::logs(::tracing::Level::$level) {
            $crate::log::write(::tracing::Level::$level, format_args!($($text)+));
        }
    };
}

/// What must be mended.
macro_rules! error {
    ($($text:tt)+) => { $crate::log::message!(ERROR, $($text)+) };
}

/// What should be looked at. The name `warn` alone is an attribute's.
macro_rules! warning {
    ($($text:tt)+) => { $crate::log::message!(WARN, $($text)+) };
}

/// What happens.
macro_rules! info {
    ($($text:tt)+) => { $crate::log::message!(INFO, $($text)+) };
}

/// Why it happens.
macro_rules! debug {
    ($($text:tt)+) => { $crate::log::message!(DEBUG, $($text)+) };
}

pub(crate) use {debug, error, info, message, warning as warn};

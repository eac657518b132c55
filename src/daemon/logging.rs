//! The log on stderr: procd and journald add the rest.

use crate::config::LogLevel;
use crate::decision::event::{Event, Outcome};
use crate::decision::reason::Reason;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{Registry, fmt, registry};

/// The log, whose level can be changed.
pub struct Logging {
    handle: Handle<LevelFilter, Registry>,
}

impl Logging {
    /// Starts the log. Called once.
    pub fn start(level: LogLevel) -> Logging {
        let (filter, handle) = reload::Layer::new(filter(level));
        let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
        // A second subscriber in one process, which only tests can bring about, leaves the first in force.
        let _ = tracing::subscriber::set_global_default(registry().with(filter).with(lines));
        Logging { handle }
    }

    /// Changes the level.
    pub fn set(&self, level: LogLevel) {
        let _ = self.handle.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
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
        tracing::debug!("{}", line(event));
    } else if event.count.is_power_of_two() {
        tracing::info!("{}", line(event));
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

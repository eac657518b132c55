//! Decisions in the log.

use crate::decision::event::{Event, Outcome};
use crate::decision::reason::Reason;

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

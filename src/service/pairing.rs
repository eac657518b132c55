//! Pairing windows: for some minutes the next unknown device that proves the onboarding key is registered (trust on
//! first use). One window at a time, one device for each; it closes with the device, with its time, or by command.
//!
//! The decision is `decide`'s, with the [`Window`] in its view. A grant that carries a device to register is made
//! durable under the registry's lock, after deciding once more, and then [`Core::paired`] closes the window. So of two
//! devices that come at once the second finds it closed.

use super::{Core, Now};
use crate::config::Unknown;
use crate::decision::Window;
use crate::mac::MacAddr;
use crate::registry::device::{Device, DeviceId};
use crate::time::UnixTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest window, in minutes: one that is forgotten must not be open for days.
pub const MAX_MINUTES: u32 = 60;

/// The pairing window, and how the last one ended.
#[derive(Debug, Default)]
pub struct Pairing {
    open: Option<Open>,
    last: Option<Ended>,
    changes: u64,
    admitting: Option<MacAddr>,
}

/// An open window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What becomes of the device.
    pub window: Window,
    /// When it was opened.
    pub at: UnixTime,
    /// No other window has this number.
    pub number: u64,
    since: Instant,
    until: Instant,
    /// Who was sent the onboarding key through a NAS of which it is not known yet whether it accounts.
    unaccounted: Option<MacAddr>,
}

/// A window of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it was for.
    pub window: Window,
    /// When it ended.
    pub at: UnixTime,
    /// Which one it was.
    pub number: u64,
    /// What ended it.
    pub how: How,
}

/// What ends a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The device came.
    Paired(Paired),
    /// Nobody came in its time.
    Over,
    /// The administrator closed it.
    Stopped,
    /// The configuration has its profile or its SSID no more.
    Reconfigured,
}

/// The device that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// Its number in the registry.
    pub device: DeviceId,
    /// The name it was given.
    pub name: Arc<str>,
    /// Its address.
    pub mac: MacAddr,
    /// The network it came to.
    pub ssid: Arc<[u8]>,
    /// The NAS it came through.
    pub nas: Arc<str>,
    /// The VLAN it was given.
    pub vlan: Option<u16>,
}

impl Open {
    /// How long it stays open.
    pub fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }
}

impl Pairing {
    /// Opens a window for this time. False when one is open.
    pub fn open(&mut self, window: Window, time: Duration, now: Now) -> bool {
        if self.current(now.mono).is_some() {
            return false;
        }
        self.changes += 1;
        let (since, until) = (now.mono, now.mono + time);
        self.open = Some(Open { window, at: now.wall, number: self.changes, since, until, unaccounted: None });
        true
    }

    /// The open window.
    pub fn current(&self, now: Instant) -> Option<&Open> {
        self.open.as_ref().filter(|open| open.until > now)
    }

    /// How the last window ended.
    pub fn last(&self) -> Option<&Ended> {
        self.last.as_ref()
    }

    /// Another number after every opening and closing: who writes down what the window allows compares it.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Ends the window. False when none is open.
    pub fn close(&mut self, how: How, at: UnixTime) -> bool {
        let Some(open) = self.open.take() else { return false };
        self.last = Some(Ended { window: open.window, at, number: open.number, how });
        self.changes += 1;
        true
    }

    /// A station that is about to be registered is given its VLAN at the same time, so that the change is no reason to
    /// take it off the air. Set before the change is stored, and taken back after it.
    pub fn admit(&mut self, mac: Option<MacAddr>) {
        self.admitting = mac;
    }

    /// True for the station that was last given to [`Pairing::admit`].
    pub(super) fn admits(&self, mac: MacAddr) -> bool {
        self.admitting == Some(mac)
    }

    /// True when something that began so long ago, in seconds, began in the open window.
    pub(super) fn covers(&self, seconds: u32, now: Instant) -> bool {
        let age = Duration::from_secs(seconds.into());
        self.current(now).is_some_and(|open| now.saturating_duration_since(open.since) >= age)
    }

    /// True when a window was opened after this moment and is open still.
    pub(super) fn opened_after(&self, at: Instant, now: Instant) -> bool {
        self.current(now).is_some_and(|open| open.since > at)
    }

    /// A NAS that does not account never tells who proved the key it was sent before the handshake. One that has not
    /// accounted so far is sent it for one address only; true when that is this one.
    pub(super) fn take_unaccounted(&mut self, mac: MacAddr) -> bool {
        self.open.as_mut().is_some_and(|open| *open.unaccounted.get_or_insert(mac) == mac)
    }
}

/// On what terms the onboarding key of a network lets unknown devices in at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnboardingTerms {
    /// The profile they get.
    pub profile: Arc<str>,
    /// Its VLAN.
    pub vlan: Option<u16>,
    /// A pairing window is open: the first one is registered, and then the terms are others.
    pub pairing: bool,
}

impl Core {
    /// The terms on which the onboarding key of a network lets unknown devices in now; `None` when it lets in none. For
    /// a backend that has to write them down beforehand: [`Pairing::changes`] tells when they may be others.
    pub fn onboarding_terms(&self, ssid: &[u8], now: Instant) -> Option<OnboardingTerms> {
        let ssid = self.config.ssid(ssid)?;
        ssid.unknown.onboarding_key()?;
        let window = self.pairing.current(now).map(|open| &open.window);
        let window = window.filter(|window| window.ssid.as_ref().is_none_or(|only| *only == ssid.ssid));
        let (name, pairing) = match (window, &ssid.unknown) {
            (Some(window), _) => (&window.profile, true),
            (None, Unknown::Quarantine { profile, .. }) => (profile, false),
            (None, Unknown::Pairing { .. } | Unknown::Reject) => return None,
        };
        let profile = self.config.profile(name)?;
        Some(OnboardingTerms { profile: profile.name.clone(), vlan: profile.vlan, pairing })
    }

    /// A device that came in the window is registered and durable: the window closes. Called under the registry's lock
    /// right after the change is applied.
    pub fn paired(&mut self, device: &Device, mac: MacAddr, ssid: &Arc<[u8]>, nas: &Arc<str>, now: UnixTime) {
        let vlan = self.config.profile(&device.profile).and_then(|profile| profile.vlan);
        let (name, ssid, nas) = (device.name.clone(), ssid.clone(), nas.clone());
        self.pairing.close(How::Paired(Paired { device: device.id, name, mac, ssid, nas, vlan }), now);
    }

    /// Closes the window whose time is over.
    pub(super) fn tick_pairing(&mut self, now: Now) {
        if self.pairing.open.is_some() && self.pairing.current(now.mono).is_none() {
            let profile = self.pairing.open.as_ref().map(|open| open.window.profile.clone()).unwrap_or_default();
            crate::log::info!("the pairing window of profile {profile} is over: no device came");
            self.pairing.close(How::Over, now.wall);
        }
    }

    /// Closes the window that the configuration no longer allows.
    pub(super) fn reconfigure_pairing(&mut self, now: Now) {
        let Some(window) = self.pairing.open.as_ref().map(|open| &open.window) else { return };
        let open = |ssid: &crate::config::Ssid| {
            ssid.unknown.onboarding_key().is_some() && window.ssid.as_ref().is_none_or(|only| *only == ssid.ssid)
        };
        if self.config.profile(&window.profile).is_none() || !self.config.ssids.iter().any(open) {
            crate::log::warn!("the pairing window is closed: the configuration has its profile or SSID no more");
            self.pairing.close(How::Reconfigured, now.wall);
        } else {
            // The profile may have another VLAN.
            self.pairing.changes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window { profile: "iot".into(), ssid: None, name: None }
    }

    fn now() -> Now {
        Now { wall: UnixTime(1000), mono: Instant::now() }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_window_at_a_time_for_its_time() {
        let (mut pairing, start) = (Pairing::default(), now());
        assert!(!pairing.close(How::Stopped, start.wall), "none is open");
        assert!(pairing.open(window(), MINUTE, start));
        assert!(!pairing.open(window(), MINUTE, start), "one is open");
        let later = |seconds| start.mono + Duration::from_secs(seconds);
        assert_eq!(pairing.current(later(59)).map(|open| open.left(later(59))), Some(Duration::from_secs(1)));
        assert_eq!(pairing.current(later(60)), None);
        // The next one may be opened before the tick has closed this one.
        assert!(pairing.open(window(), MINUTE, Now { wall: UnixTime(1060), mono: later(60) }));
        assert!(pairing.opened_after(later(59), later(61)) && !pairing.opened_after(later(61), later(62)));
        assert!(pairing.close(How::Stopped, UnixTime(1070)));
        assert_eq!(pairing.last().map(|ended| (ended.at, &ended.how)), Some((UnixTime(1070), &How::Stopped)));
        assert_eq!(pairing.changes(), 3);
    }

    #[test]
    fn the_clock_on_the_wall_does_not_matter() {
        let (mut pairing, start) = (Pairing::default(), now());
        let set = Now { wall: UnixTime(1_800_000_000), mono: start.mono + MINUTE / 2 };
        pairing.open(window(), MINUTE, start);
        assert!(pairing.current(set.mono).is_some());
    }

    #[test]
    fn a_nas_that_may_not_account_is_told_one_address() {
        let (mut pairing, start) = (Pairing::default(), now());
        let (one, other) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        assert!(!pairing.take_unaccounted(one), "no window");
        pairing.open(window(), MINUTE, start);
        assert!(pairing.take_unaccounted(one) && !pairing.take_unaccounted(other) && pairing.take_unaccounted(one));
    }
}

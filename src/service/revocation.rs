//! Taking stations off the air whose device may no longer be there, or not so: which changes mean that, for which
//! addresses, and how long hostapd has to be kept from letting them in again.
//!
//! hostapd remembers the answer to a request made *before* the handshake (`wpa_psk_radius=1|2`) for 30 s and forgets it on
//! no command. A station taken off the air in that time would be back at once, with its old key in its old VLAN. So
//! its address is put on hostapd's deny list until the answer is forgotten. An address whose last such answer is older, or
//! that was let in during the handshake (`=3`), needs no ban: when it comes back, hostapd asks, and the answer is the new one.
//! A device that gets another VLAN is so back within its own reconnect time, unless it joined in the last 30 s.

mod audit;

use super::grants::{Credential, Onboarding};
use super::stations::Bss;
use super::{Core, stations};
use crate::config::{Backend, Ssid};
use crate::mac::MacAddr;
use crate::pki::trust::Trust;
use crate::registry::device::{Change, Device, DeviceId};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::UnixTime;
use crate::wire::hostapd::Station;
use audit::Taken;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after an answer hostapd may still act on it: RADIUS_ACL_TIMEOUT of its `ieee802_11_auth.c`, and some
/// seconds for an answer that was repeated.
pub const REMEMBERED: Duration = Duration::from_secs(35);
/// How many answers are remembered. When there are more in 35 s, the oldest are forgotten.
const ACCEPTED: usize = 1024;
/// How many orders may wait for the shell; of more than this, the audit finds who is still there.
const ORDERS: usize = 4096;

/// Why stations of a device have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was blocked.
    Blocked,
    /// Its time is over.
    Expired,
    /// The hours of its profile are over.
    Hours,
    /// Its profile has hours, and nobody knows what time it is.
    ClockNotSet,
    /// It was removed.
    Removed,
    /// It has another key.
    NewKey,
    /// It has other credentials for EAP.
    NewCredential,
    /// Whose certificates count has changed: its own is looked at anew when it comes back.
    NewTrust,
    /// Who said who it is does not any more: its realm is not in the configuration, or is authenticated here.
    RealmGone,
    /// Who said who it is wants it to go (RFC 5176).
    Upstream,
    /// It may be elsewhere only.
    WrongPlace,
    /// It has another VLAN or profile.
    NewProfile,
    /// The address is no longer one of its.
    Unbound,
    /// It was let in as an unknown device, and is registered now.
    Registered,
    /// It is unknown, and was let in for a pairing window that is over.
    NoPairing,
    /// hostapd let it in, and the decision is another.
    Refused,
}

impl Why {
    /// What keeps the device off the air may end without a new answer to hostapd: the answer it has is right again.
    fn may_pass(self) -> bool {
        matches!(self, Why::Blocked | Why::Expired | Why::Hours | Why::ClockNotSet)
    }
}

impl Why {
    /// A stable word for programs. None for what is a refusal, which has an event of its own.
    pub fn code(self) -> Option<&'static str> {
        Some(match self {
            Why::Blocked => "blocked",
            Why::Expired => "expired",
            Why::Hours => "hours",
            Why::ClockNotSet => "clock_not_set",
            Why::Removed => "removed",
            Why::NewKey => "new_key",
            Why::NewCredential => "new_credential",
            Why::NewTrust => "new_trust",
            Why::RealmGone => "realm_gone",
            Why::Upstream => "upstream",
            Why::WrongPlace => "wrong_place",
            Why::NewProfile => "new_profile",
            Why::Unbound => "unbound",
            Why::Registered => "registered",
            Why::NoPairing => "no_pairing",
            Why::Refused => return None,
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Blocked => "blocked by the administrator",
            Why::Expired => "expired",
            Why::Hours => "the hours of its profile are over",
            Why::ClockNotSet => "its profile has hours, and the clock of this box is not set",
            Why::Removed => "removed",
            Why::NewKey => "it has a new key",
            Why::NewCredential => "its credentials for EAP changed",
            Why::NewTrust => "the CAs or revocation lists that its certificate is checked with changed",
            Why::RealmGone => "its realm is not in the configuration any more, or is authenticated here now",
            Why::Upstream => "the server that let it in says so",
            Why::WrongPlace => "it may not be at this SSID or access point",
            Why::NewProfile => "its profile or VLAN changed",
            Why::Unbound => "this address is no longer one of its",
            Why::Registered => "it is registered now, and comes back as that",
            Why::NoPairing => "it came too late for the pairing window",
            Why::Refused => "it is refused (latchkey log says why)",
        })
    }
}

/// What the shell has to do on every BSS whose SSID is in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Take a station off the air.
    Off {
        /// The station.
        mac: MacAddr,
        /// Its device, for the log.
        device: Arc<str>,
        /// The reason, for the log.
        why: Why,
        /// Put it on the deny list, too, until [`Order::Lift`]: where hostapd asks over RADIUS, because of what it remembers;
        /// with [`Why::Refused`], where it does not.
        ban: bool,
    },
    /// Take an address off the deny list.
    Lift(MacAddr),
}

#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Instant,
    /// The answer hostapd remembers is wrong in any case, not only as long as the device is blocked.
    firm: bool,
}

/// What is remembered for this.
#[derive(Debug, Default)]
pub struct Revocation {
    /// When an Access-Accept was last sent for an address, and whether hostapd remembers it.
    accepted: HashMap<MacAddr, (Instant, bool)>,
    by_age: VecDeque<(Instant, MacAddr)>,
    bans: SortedMap<MacAddr, Ban>,
    orders: VecDeque<Order>,
    /// When stations were last taken off.
    taken: HashMap<MacAddr, Taken>,
}

/// Which addresses of a device have to go after a change, and why: all of them, some, or (an empty list) none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// All that use its key.
    All(Why),
    /// These.
    Some(Vec<MacAddr>),
}

/// Compares a device before and after a change.
pub fn lost(before: &Device, after: Option<&Device>) -> Lost {
    let Some(after) = after else { return Lost::All(Why::Removed) };
    if after.blocked && !before.blocked {
        Lost::All(Why::Blocked)
    } else if (after.key_serial, &after.key) != (before.key_serial, &before.key) {
        Lost::All(Why::NewKey)
    } else if Credential::Eap.serial(after) != Credential::Eap.serial(before) && before.eap.is_some() {
        Lost::All(Why::NewCredential)
    } else if after.profile != before.profile {
        Lost::All(Why::NewProfile)
    } else {
        Lost::Some(before.macs.iter().map(|bound| bound.mac).filter(|mac| !after.has_mac(*mac)).collect())
    }
}

impl Revocation {
    /// An Access-Accept is sent for an address. hostapd remembers it when the address has not begun its handshake.
    pub fn accepted(&mut self, mac: MacAddr, remembered: bool, now: Instant) {
        self.forget(now);
        if self.by_age.len() >= ACCEPTED
            && let Some((at, oldest)) = self.by_age.pop_front()
            && self.accepted.get(&oldest).is_some_and(|(last, _)| *last == at)
        {
            self.accepted.remove(&oldest);
        }
        self.accepted.insert(mac, (now, remembered));
        self.by_age.push_back((now, mac));
    }

    /// hostapd has an address on its deny list with our mark: from an earlier life of the daemon. What it then
    /// remembered is unknown, so the ban stays as long as it could matter.
    pub fn adopt(&mut self, mac: MacAddr, now: Instant) {
        self.bans.or_insert_with(mac, || Ban { until: now + REMEMBERED, firm: true });
    }

    /// Addresses that are banned now.
    pub fn banned(&self) -> impl Iterator<Item = MacAddr> {
        self.bans.keys().copied()
    }

    /// The orders given since this was last called.
    pub fn take_orders(&mut self) -> VecDeque<Order> {
        std::mem::take(&mut self.orders)
    }

    /// The orders that the shell did not take yet.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter()
    }

    /// True when there are orders that the shell did not take yet.
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Takes off a station that hostapd let in by itself; with `hold` it is kept off until [`Revocation::let_back`].
    pub(super) fn refuse(&mut self, mac: MacAddr, device: &Arc<str>, why: Why, hold: bool) {
        self.order(Order::Off { mac, device: device.clone(), why, ban: hold });
    }

    /// Lets a station come back that was kept off.
    pub(super) fn let_back(&mut self, mac: MacAddr) {
        if !self.bans.contains_key(&mac) {
            self.order(Order::Lift(mac));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, mac)) = self.by_age.front().copied()
            && now.saturating_duration_since(at) >= REMEMBERED
        {
            self.by_age.pop_front();
            if self.accepted.get(&mac).is_some_and(|(last, _)| *last == at) {
                self.accepted.remove(&mac);
            }
        }
    }

    fn order(&mut self, order: Order) {
        if self.orders.len() < ORDERS {
            self.orders.push_back(order);
        }
    }

    fn off(&mut self, mac: MacAddr, device: &Arc<str>, why: Why, remembered_until: Option<Instant>) {
        if let Some(until) = remembered_until {
            let firm = !why.may_pass();
            let ban = self.bans.or_insert_with(mac, || Ban { until, firm });
            *ban = Ban { until: ban.until.max(until), firm: ban.firm || firm };
        }
        self.order(Order::Off { mac, device: device.clone(), why, ban: remembered_until.is_some() });
    }

    fn lift(&mut self, mut which: impl FnMut(MacAddr, &Ban) -> bool) {
        let over: Vec<MacAddr> = self.bans.iter().filter(|(mac, ban)| which(**mac, ban)).map(|(mac, _)| *mac).collect();
        for mac in over {
            self.bans.remove(&mac);
            self.order(Order::Lift(mac));
        }
    }
}

impl Core {
    /// Gives the orders that follow from a change, before it is applied.
    pub(super) fn revoke_for(&mut self, change: &Change) {
        match change {
            Change::Put(devices) => {
                for device in devices {
                    if let Some(before) = self.registry.get(device.id).cloned() {
                        self.revoke(&before, Some(device));
                    }
                    self.revoke_strangers(device);
                }
            }
            Change::Remove(id) => {
                if let Some(before) = self.registry.get(*id).cloned() {
                    self.revoke(&before, None);
                }
            }
            // What makers vouch for is seen when the trust is put together anew.
            Change::Bind(..)
            | Change::Ignore(..)
            | Change::PutMaker(_)
            | Change::RemoveMaker(_)
            | Change::PutLastGood(_)
            | Change::RemoveLastGood { .. } => {}
        }
    }

    fn revoke(&mut self, before: &Device, after: Option<&Device>) {
        let now = (self.clock)();
        let (addresses, why) = match lost(before, after) {
            Lost::All(why) => (self.addresses_of(before), why),
            Lost::Some(addresses) => (addresses.into_iter().collect(), Why::Unbound),
        };
        self.take_off(&addresses, &before.name, why, now);
        if after.is_some_and(|after| before.blocked && !after.blocked) {
            let macs = self.addresses_of(before);
            self.revocation.lift(|mac, ban| !ban.firm && macs.contains(&mac));
        }
    }

    /// Addresses that a device is given may be on the air as unknown ones, in quarantine: they have to come back as what
    /// they are now.
    fn revoke_strangers(&mut self, device: &Device) {
        let now = (self.clock)();
        for mac in device.macs.iter().map(|bound| bound.mac) {
            if self.registry.knows(mac) || self.pairing.admits(mac) {
                continue;
            }
            let granted = self.grants.last_of(mac).filter(|grant| grant.onboarding != Onboarding::No);
            // Whoever has no key of its own, and the right profile already, may stay.
            if device.uses_onboarding_key() && granted.is_some_and(|grant| grant.profile == device.profile) {
                continue;
            }
            let on_air = |(_, bss, station): (_, &Bss, &Station)| {
                station.mac == mac && station.authorized && self.device_of(mac, bss).is_none()
            };
            let session = self.sessions.of(mac).any(|(_, session)| session.device.is_none());
            if granted.is_some() || session || self.stations.iter().any(on_air) {
                self.take_off(&SortedSet::from([mac]), &device.name, Why::Registered, now);
            }
        }
    }

    /// Gives the orders that follow from other authorities and revocation lists: whoever has shown a certificate that they could
    /// refuse now comes back at once, and is judged by them. Resumption does not spare it that.
    pub(super) fn revoke_doubtful(&mut self, before: &Trust) {
        let doubtful = self.pki.trust().doubtful_since(before);
        if doubtful.is_empty() {
            return;
        }
        let now = (self.clock)();
        let stations: SortedSet<(DeviceId, MacAddr)> = self.grants.vouched_by(&doubtful).collect();
        for (id, mac) in stations {
            // That of a device which was removed has gone with it.
            if let Some(name) = self.registry.get(id).map(|device| device.name.clone()) {
                self.take_off(&SortedSet::from([mac]), &name, Why::NewTrust, now);
            }
        }
    }

    /// Takes an unknown device off the air.
    pub(super) fn take_off_stranger(&mut self, mac: MacAddr, why: Why, now: super::Now) {
        self.take_off(&SortedSet::from([mac]), &"unknown device".into(), why, now.mono);
    }

    /// Gives the orders that follow from other VLANs of the profiles.
    pub(super) fn revoke_moved(&mut self, moved: impl Fn(&str) -> bool) {
        let now = (self.clock)();
        let stations = self.stations.iter();
        let on_air = stations.filter_map(|(_, bss, station)| Some((self.device_of(station.mac, bss)?, station.mac)));
        let accepted = &self.revocation.accepted;
        let offered = self.grants.sent_keys().filter(|(_, mac)| accepted.contains_key(mac));
        let known = accepted.keys().filter_map(|mac| Some((self.registry.by_mac(*mac)?.id, *mac)));
        let all: SortedSet<(DeviceId, MacAddr)> = on_air.chain(offered).chain(known).collect();
        for (id, mac) in all {
            let device = self.registry.get(id).filter(|device| moved(&device.profile));
            if let Some(name) = device.map(|device| device.name.clone()) {
                self.take_off(&SortedSet::from([mac]), &name, Why::NewProfile, now);
            }
        }
    }

    /// Takes off whoever may not be on the air (any more), or is there otherwise than the registry says, and lifts the
    /// bans that are no longer needed.
    pub(super) fn tick_revocation(&mut self, wall: UnixTime, now: Instant) {
        self.revocation.forget(now);
        self.revocation.lift(|_, ban| ban.until <= now);
        self.revocation.taken.retain(|_, taken| !taken.is_over(now));
        self.audit(wall, now);
    }

    /// Takes addresses off the air that are there, or that hostapd would let in without asking.
    pub(super) fn take_off(&mut self, addresses: &SortedSet<MacAddr>, name: &Arc<str>, why: Why, now: Instant) {
        for mac in addresses {
            self.take_off_here(*mac, name, why, now);
            self.disconnect_all(*mac, name, why);
        }
    }

    /// Takes an address off the air of this box, and leaves its sessions at others alone.
    pub(super) fn take_off_here(&mut self, mac: MacAddr, name: &Arc<str>, why: Why, now: Instant) {
        let remembered = self.remembered_until(mac).filter(|until| *until > now);
        // One that was just let in may be in its handshake, and not in the list yet.
        let just_let_in = self.revocation.accepted.contains_key(&mac);
        if remembered.is_some() || just_let_in || self.on_air(mac) {
            self.revocation.off(mac, name, why, remembered);
            self.revocation.taken.insert(mac, Taken { at: now, why, times: 1, gone: false });
        }
    }

    /// Until when hostapd may act on an answer of before. Of the time before the daemon's start nothing is known.
    fn remembered_until(&self, mac: MacAddr) -> Option<Instant> {
        match self.revocation.accepted.get(&mac) {
            Some((at, remembered)) => remembered.then_some(*at + REMEMBERED),
            None => self.asked_for(mac).then_some(self.started + REMEMBERED),
        }
    }

    pub(super) fn on_air(&self, mac: MacAddr) -> bool {
        self.stations.bsses().any(|(_, bss)| bss.has(mac) && self.config.ssid(&bss.ssid).is_some())
    }

    /// It is where hostapd asks over RADIUS, and remembers the answers.
    fn asked_for(&self, mac: MacAddr) -> bool {
        // With EAP alone there is no answer before the handshake to remember.
        let remembers = |ssid: &Ssid| ssid.backend == Backend::Radius && ssid.security.has_keys();
        let asks = |bss: &stations::Bss| self.config.ssid(&bss.ssid).is_some_and(remembers);
        self.stations.bsses().any(|(_, bss)| bss.has(mac) && asks(bss))
    }

    /// The addresses that use a device's key, or were just sent it.
    fn addresses_of(&self, device: &Device) -> SortedSet<MacAddr> {
        let is = |id: Option<DeviceId>| id == Some(device.id);
        let bound = device.macs.iter().map(|bound| bound.mac);
        let on_air = self.stations.iter().filter(|(_, bss, station)| is(self.device_of(station.mac, bss)));
        let offered = self.grants.sent_key_of(device.id).filter(|mac| self.revocation.accepted.contains_key(mac));
        let elsewhere = self.sessions.iter().filter(|(_, session)| is(session.device)).map(|(key, _)| key.mac);
        bound.chain(on_air.map(|(.., station)| station.mac)).chain(offered).chain(elsewhere).collect()
    }
}

#[cfg(test)]
mod tests;

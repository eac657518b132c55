//! Every second: is whoever is on the air allowed to be there, and is it there as the registry says? That is how expiry and
//! hours act by themselves, and how orders that were lost (hostapd or its socket was away, a queue was full) are made up
//! for: what they should have brought about is seen to be missing.

use super::Why;
use crate::config::{Backend, Placement, Ssid};
use crate::decision::fits;
use crate::decision::hours::{Moment, check_hours};
use crate::decision::reason::Reason;
use crate::mac::MacAddr;
use crate::registry::device::{Bind, Device, DeviceId};
use crate::service::grants::{Credential, Grant};
use crate::service::stations::Bss;
use crate::service::{Core, proxy};
use crate::sorted::SortedSet;
use crate::time::UnixTime;
use crate::wire::hostapd::Station;
use crate::wire::pskfile::KeyId;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A station that stays although it was taken off the air is taken off again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// One that comes back as wrong as it was is disturbed again after this time, doubled each time ...
const RARELY: Duration = Duration::from_secs(300);
/// ... up to this.
const MOST_RARELY: Duration = Duration::from_secs(3600);

/// Seconds after which the interface that hostapd made for a station must be in a bridge.
const TO_BE_BRIDGED: u64 = 5;

/// That a station was taken off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) at: Instant,
    pub(super) why: Why,
    /// How often for this reason.
    pub(super) times: u32,
    /// It was seen to be off the air since.
    pub(super) gone: bool,
}

impl Taken {
    /// It is left alone for now: it is given the time to go. Who was gone and came back although it must not has had it.
    fn spares(&self, why: Why, now: Instant) -> bool {
        let came_back = self.gone && why.may_pass();
        self.why == why && !came_back && now.saturating_duration_since(self.at) < self.patience()
    }

    /// How long. Whoever is only in the wrong VLAN, say, because hostapd does not have the right one, keeps its connection
    /// in between.
    fn patience(&self) -> Duration {
        match self.times {
            _ if self.why.may_pass() => AGAIN,
            0 | 1 => AGAIN,
            times => RARELY.saturating_mul(1 << times.saturating_sub(2).min(10)).min(MOST_RARELY),
        }
    }

    /// It is so long ago that it means nothing for what comes.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > self.patience() + MOST_RARELY
    }
}

/// A station that has to go.
struct Finding {
    mac: MacAddr,
    device: Arc<str>,
    why: Why,
    /// In words what is wrong, and what else could be the matter when it does not help.
    wrong: Option<String>,
}

impl Core {
    /// Looks at every station, takes off those that have to go, and notes whose the others are.
    pub(super) fn audit(&mut self, wall: UnixTime, now: Instant) {
        let moment = self.moment(wall);
        let (mut findings, mut fine, mut present) = (Vec::new(), Vec::new(), Vec::new());
        let mut still_there = SortedSet::new();
        let mut served: Option<(&Bss, Option<&Ssid>)> = None;
        for (name, bss, station) in self.stations.iter() {
            let ssid = match served {
                Some((same, ssid)) if std::ptr::eq(same, bss) => ssid,
                _ => self.config.ssid(&bss.ssid),
            };
            served = Some((bss, ssid));
            // hostapd also lists those it refuses, for a while.
            let Some(ssid) = ssid.filter(|_| station.authorized) else { continue };
            let (mac, owner) = (station.mac, self.device_of(station.mac, bss));
            present.extend(owner.map(|id| (id, mac)));
            let taken = self.revocation.taken.get(&mac);
            still_there.extend(taken.map(|_| mac));
            match self.verdict(ssid, bss, (station, self.vlan_of(name, station)), owner, &moment, now) {
                Some(finding) if taken.is_some_and(|taken| taken.spares(finding.why, now)) => {}
                Some(finding) => findings.push(finding),
                None if taken.is_some() && is_reported(station) => fine.push(mac),
                None => {}
            }
        }
        self.present.replace(present.into_iter());
        for (mac, taken) in &mut self.revocation.taken {
            taken.gone |= !still_there.contains(mac);
        }
        for mac in fine {
            self.revocation.taken.remove(&mac);
        }
        for finding in findings {
            self.carry_out(&finding, now);
        }
    }

    fn carry_out(&mut self, finding: &Finding, now: Instant) {
        let before = self.revocation.taken.get(&finding.mac).filter(|taken| taken.why == finding.why);
        let times = before.map_or(1, |taken| taken.times.saturating_add(1));
        let taken = Taken { at: now, why: finding.why, times, gone: false };
        if let (2, Some(wrong)) = (taken.times, &finding.wrong) {
            let minutes = taken.patience().as_secs() / 60;
            crate::log::warn!(
                "{} ({}) came back as it was: {wrong}. It is taken off the air again, and then after {minutes} minutes \
                 and more",
                finding.device,
                finding.mac
            );
        }
        self.take_off(&SortedSet::from([finding.mac]), &finding.device, finding.why, now);
        self.revocation.taken.insert(finding.mac, taken);
    }

    /// What is wrong with a station, if anything certainly is.
    fn verdict(
        &self,
        ssid: &Ssid,
        bss: &Bss,
        (station, in_vlan): (&Station, Option<Option<u16>>),
        owner: Option<DeviceId>,
        moment: &Moment<'_>,
        now: Instant,
    ) -> Option<Finding> {
        let mac = station.mac;
        let finding = |device: &Arc<str>, why, wrong| Some(Finding { mac, device: device.clone(), why, wrong });
        // Without RADIUS there are no answers; what is left of them is from before.
        let asked = bss.bssid.filter(|_| ssid.backend == Backend::Radius).map(|bssid| (mac, bssid));
        let grant = asked.and_then(|asked| self.grants.get(asked)).filter(|grant| grant.ssid == bss.ssid);
        let Some(id) = owner else {
            if self.is_late_for_pairing(ssid, station, in_vlan, now) {
                return finding(&"a device that is not registered".into(), Why::NoPairing, None);
            }
            // In quarantine, or with one of several keys: its profile is certain.
            let closed = check_hours(self.config.profile(&grant?.profile)?, moment).err()?;
            return finding(&"a device that is not registered".into(), why_of(&closed), None);
        };
        let Some(device) = self.registry.get(id) else {
            return finding(&"a device of before".into(), Why::Removed, None);
        };
        if let Err(reason) = self.admissible_at(device, moment) {
            return finding(&device.name, why_of(&reason), None);
        }
        if !fits(&device.places, &bss.ssid, bss.bssid) {
            return finding(&device.name, Why::WrongPlace, None);
        }
        if let Some(KeyId::Device { id, serial }) = station.key().filter(|_| ssid.backend == Backend::PskFile)
            && id == device.id.0
            && serial != device.key_serial
        {
            return finding(&device.name, Why::NewKey, Some("hostapd let it in with a key of before".into()));
        }
        if let Some(why) = grant.and_then(|grant| outdated(device, mac, grant)) {
            return finding(&device.name, why, Some(format!("{why}, but hostapd let it in as before")));
        }
        // Where the server chooses, it has chosen for as long as it stays.
        let placed = grant.filter(|grant| self.is_placed(grant)).map_or(&device.profile, |grant| &grant.profile);
        let vlan = self.config.profile(placed)?.vlan;
        let in_vlan = in_vlan.or_else(|| self.is_nowhere(station).then_some(None));
        let in_vlan = in_vlan.filter(|in_vlan| *in_vlan != vlan)?;
        let words = |vlan: Option<u16>| vlan.map_or("no VLAN".to_owned(), |vlan| format!("VLAN {vlan}"));
        let wrong = format!(
            "it is in {}, and its profile '{}' says {}: does hostapd have dynamic_vlan=1 and that VLAN in its vlan_file?",
            words(in_vlan),
            placed,
            words(vlan)
        );
        finding(&device.name, Why::NewProfile, Some(wrong))
    }
}

impl Core {
    /// The server that let it in says in which VLAN it is.
    fn is_placed(&self, grant: &Grant) -> bool {
        let realm = grant.realm().and_then(|name| proxy::realm(&self.config, name));
        realm.is_some_and(|realm| realm.placement == Placement::Server)
    }

    /// A stranger is where the onboarding key led in a pairing window that is over; from hostapd's key file, without a question.
    fn is_late_for_pairing(&self, ssid: &Ssid, station: &Station, in_vlan: Option<Option<u16>>, now: Instant) -> bool {
        let by_file = ssid.backend == Backend::PskFile && station.key() == Some(KeyId::Onboarding);
        by_file
            && in_vlan.is_some_and(|in_vlan| match self.onboarding_terms(&ssid.ssid, now) {
                Some(terms) => !terms.pairing && terms.vlan != in_vlan,
                None => true,
            })
    }
}

impl Core {
    /// The interface that hostapd made for a station is in no bridge: with `per_sta_vif` that is where one is left that came
    /// back by a cached PMKSA, of which hostapd remembers no VLAN.
    fn is_nowhere(&self, station: &Station) -> bool {
        // No bridges at all: nobody looked.
        station.own_interface.is_some()
            && station.connected.is_some_and(|seconds| seconds >= TO_BE_BRIDGED)
            && !self.network.ports.is_empty()
    }
}

/// What became wrong about the answer by which a device was let in.
fn outdated(device: &Device, mac: MacAddr, grant: &Grant) -> Option<Why> {
    grant.devices.iter().find(|(id, _)| *id == device.id).filter(|_| grant.devices.len() == 1)?;
    if grant.has_older_credential_of(device) {
        return Some(match grant.credential {
            Credential::WifiKey => Why::NewKey,
            Credential::Eap => Why::NewCredential,
        });
    }
    // Whoever proves the key for the first time is bound before it counts as proved.
    let unbound = grant.proved && device.bind != Bind::Any && !device.has_mac(mac);
    unbound.then_some(Why::Unbound)
}

/// hostapd itself told of this station: what it did not mention is not there. Of a station that just connected nothing is
/// known yet.
fn is_reported(station: &Station) -> bool {
    station.connected.is_some() || station.akm.is_some()
}

fn why_of(reason: &Reason) -> Why {
    match reason {
        Reason::Expired(_) => Why::Expired,
        Reason::OutsideHours { .. } => Why::Hours,
        Reason::ClockNotSet { .. } => Why::ClockNotSet,
        Reason::ProfileMissing { .. } => Why::NewProfile,
        _ => Why::Blocked,
    }
}

#[cfg(test)]
mod tests;

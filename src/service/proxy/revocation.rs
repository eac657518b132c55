//! Devices whose realm is another one since the configuration was read anew: they come back at once, and are judged by it.

use super::realm;
use crate::config::{Config, Placement, Realm, Target};
use crate::mac::MacAddr;
use crate::registry::maker::Admit;
use crate::service::Core;
use crate::service::revocation::Why;
use crate::sorted::SortedMap;
use std::sync::Arc;

/// Why a device that a realm let in has to go when the realm is this one now; nothing if it may stay. Other servers are no
/// reason: that is what it means to point a realm elsewhere.
fn outdated(before: &Realm, after: Option<&Realm>, registered: bool, moved: bool) -> Option<Why> {
    let Some(after) = after else { return Some(Why::RealmGone) };
    let local = |realm: &Realm| realm.target == Target::Local;
    if local(after) && !local(before) {
        return Some(Why::RealmGone);
    }
    // Those that are registered have a profile of their own, and are listed.
    let other = (after.placement, &after.profile) != (before.placement, &before.profile);
    let profile = !registered && (other || moved);
    let unlisted = !registered && after.admit != Admit::All && before.admit == Admit::All;
    (profile || unlisted || after.placement != before.placement).then_some(Why::NewProfile)
}

impl Core {
    /// Gives the orders that follow from other realms.
    pub(in crate::service) fn revoke_realms(&mut self, old: &Config) {
        if old.realms.is_empty() {
            return;
        }
        let (new, now) = (self.config.clone(), (self.clock)());
        let vlan = |config: &Config, profile: &str| config.profile(profile).map(|profile| profile.vlan);
        let verdict = |name: &str, registered: bool, profile: Option<&Arc<str>>| {
            let before = realm(old, name)?;
            let moved = profile.is_some_and(|profile| vlan(old, profile) != vlan(&new, profile));
            let ours = before.placement == Placement::Ours;
            outdated(
                before,
                realm(&new, name),
                registered,
                moved && ours || profile.is_some_and(|p| new.profile(p).is_none()),
            )
        };
        let mut gone: SortedMap<MacAddr, (Why, Arc<str>)> = SortedMap::new();
        for (mac, grant) in self.grants.of_realms() {
            let Some(name) = grant.realm() else { continue };
            if let Some(why) = verdict(name, !grant.devices.is_empty(), Some(&grant.profile)) {
                gone.insert(mac, (why, name.clone()));
            }
        }
        for (key, session) in self.sessions.iter() {
            let Some(name) = session.realm() else { continue };
            if let Some(why) = verdict(name, session.device.is_some(), session.profile.as_ref()) {
                gone.insert(key.mac, (why, name.clone()));
            }
        }
        for (mac, (why, name)) in gone {
            let device = self.registry.by_mac(mac).map(|device| device.name.clone());
            let who = device.unwrap_or_else(|| format!("a device of {name}").into());
            self.take_off(&[mac].into(), &who, why, now);
        }
    }
}

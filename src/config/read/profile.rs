//! `config profile`.

use super::super::error::quoted;
use super::super::{Access, Config, Isolate, Profile};
use super::{Reader, Scope, title};
use crate::wire::uci::Section;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Values of one list.
const MAX_LIST: usize = 64;

impl Reader {
    /// Profiles whose devices cannot be told apart, and that are to reach different things.
    pub(super) fn shared_bridges(&mut self, config: &Config, sections: &[&Section<'_>]) {
        for (index, (profile, section)) in config.profiles.iter().zip(sections).enumerate() {
            let mut before = config.profiles.iter().take(index);
            let Some(first) = before.find(|first| first.bridge.is_some() && first.bridge == profile.bridge) else {
                continue;
            };
            let limits = |p: &Profile| (p.access, p.isolate, p.allow.clone());
            if limits(first) != limits(profile) {
                let message = format!(
                    "its devices are on one bridge with those of '{}' and cannot be told apart: the stricter limits hold \
                     for both; give one another VLAN",
                    first.name
                );
                self.warn(section.line, title(section), None, message);
            }
        }
    }
}

impl Scope<'_, '_> {
    pub(super) fn profile(&mut self) -> Option<Profile> {
        let vlan = self.entry("vlan").and_then(|entry| {
            let text = self.text(entry)?;
            let vlan = text.parse::<u16>().ok().filter(|v| (1..=4094).contains(v) && !text.starts_with('+'));
            if vlan.is_none() {
                let message = "is no VLAN: give a number from 1 to 4094, or leave the option out for no VLAN";
                self.error(entry.line, Some("vlan"), format!("{} {message}", quoted(text)));
            }
            vlan
        });
        let access = self.word("access", Access::WORDS, Access::Isolated);
        let Some(name) = &self.section.name else {
            let message = "a profile needs a name for devices to refer to: write config profile 'NAME'";
            self.error(self.section.line, None, message.into());
            return None;
        };
        let name: Arc<str> = (&**name).into();
        let allow = self.list("allow");
        let isolate = self.word("isolate", Isolate::WORDS, Isolate::Yes);
        let hours = self.list("hours");
        let bridge = self.interface("bridge").or_else(|| vlan.map(|vlan| format!("brvlan{vlan}").into()));
        let addresses = self.list("address");
        if bridge.is_none()
            && let Some(entry) = self.entry("address")
        {
            let message = "is set on the profile's bridge, and it has none: add option vlan";
            self.error(entry.line, Some("address"), message.into());
        }
        if bridge.is_none() {
            for option in ["access", "allow"] {
                let entry = self.entry(option).filter(|_| option == "allow" || access != Access::Full);
                if let Some(entry) = entry {
                    let message = "cannot be enforced, because the profile's devices have no VLAN to tell them by: add \
                                   option vlan, or option bridge with a bridge that only they are on";
                    self.warn(entry.line, option, message.into());
                }
            }
        }
        if access == Access::Full
            && let Some(entry) = self.entry("allow")
        {
            let message = "has no effect while access is 'full': remove it, or write option access 'isolated'";
            self.warn(entry.line, "allow", message.into());
        }
        Some(Profile { name, vlan, access, allow, isolate, hours, bridge, addresses })
    }

    /// A list of values that say themselves what is wrong with them.
    fn list<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Vec<T> {
        let mut values = Vec::new();
        for entry in self.entries(name) {
            let Some(text) = self.text(entry) else { continue };
            if values.len() == MAX_LIST {
                self.error(entry.line, Some(name), format!("more than {MAX_LIST} entries: remove some"));
                break;
            }
            match text.parse() {
                Ok(value) => values.push(value),
                Err(why) => self.error(entry.line, Some(name), format!("{} {why}", quoted(text))),
            }
        }
        values
    }
}

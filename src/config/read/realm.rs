//! `config realm`: a section by itself. What only shows beside the others is in `peers`.

use super::super::error::{quoted, suggest};
use super::super::realm::{
    LastGood, MacShare, Pattern, Placement, Realm, Register, Server, Share, Target, Tls, Transport,
};
use super::super::server;
use super::{MAX_PATH, Scope};
use crate::registry::generate::valid_name;
use crate::registry::maker::Admit;
use crate::secret::RadiusSecret;
use crate::wire::uci::Entry;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Realms of one section.
const MAX_PATTERNS: usize = 64;
/// Servers of one section.
const MAX_SERVERS: usize = 8;
/// The bounds of `session_timeout`, in seconds, and what holds without it.
const SESSION: (u32, u32, u32) = (60, 604_800, 86_400);
/// The bounds of `last_good`, in seconds.
const LAST_GOOD: (u32, u32) = (60, 2_592_000);

/// What makes sense with servers only.
const OF_SERVERS: [&str; 5] = ["secret", "ca", "certificate", "private_key", "server_name"];

impl<'d> Scope<'_, 'd> {
    pub(super) fn realm(&mut self) -> Option<Realm> {
        let name = self.realm_name();
        let patterns = self.patterns();
        let is_default = patterns.contains(&Pattern::Default);
        let target = self.target();
        let secret = self.realm_secret(target.as_ref());
        let tls = self.realm_tls(target.as_ref());
        let profile = self.entry("profile").map(|entry| self.text(entry).map(Arc::from));
        if profile.is_none() && target != Some(Target::Local) {
            self.missing("profile", "add option profile with the name of the profile its devices get");
        }
        let (admit, register, share) = match is_default {
            true => (Admit::All, Register::No, Share::All),
            false => (Admit::Listed, Register::Yes, Share::Needed),
        };
        let admit = self.word("admit", &[Admit::Listed, Admit::Pending, Admit::All].map(|a| (a.as_str(), a)), admit);
        let register = self.word("register", Register::WORDS, register);
        let share = self.word("share", Share::WORDS, share);
        let mac = self.word("mac", MacShare::WORDS, MacShare::Real);
        let placement = self.placement(is_default);
        let (shortest, longest, usual) = SESSION;
        let session_timeout = self.seconds("session_timeout", shortest, longest).unwrap_or(usual);
        let last_good = self.last_good();
        let profile = match profile {
            Some(profile) => Some(profile?),
            None => None,
        };
        Some(Realm {
            name: name?,
            patterns: (!patterns.is_empty()).then_some(patterns)?,
            target: target?,
            secret,
            tls,
            profile,
            admit,
            register,
            session_timeout,
            share,
            mac,
            placement,
            last_good,
        })
    }

    /// The section's name: devices that come through it belong to a maker of this name.
    fn realm_name(&mut self) -> Option<Arc<str>> {
        let Some(name) = self.section.name.as_deref() else {
            let message = "a realm needs a name, by which events and commands call it: write config realm 'acme'";
            self.error(self.section.line, None, message.into());
            return None;
        };
        if let Err(why) = valid_name(name) {
            self.error(self.section.line, None, why.to_string());
            return None;
        }
        Some(name.into())
    }

    fn patterns(&mut self) -> Vec<Pattern> {
        if self.entry("realm").is_none() {
            self.missing("realm", "add list realm 'acme.example', or list realm 'default' for everything else");
        }
        self.distinct("realm", MAX_PATTERNS)
    }

    /// The values of a list, each of which says what is wrong with it and comes once only.
    fn distinct<T: FromStr<Err: Display> + PartialEq>(&mut self, name: &'static str, most: usize) -> Vec<T> {
        let mut values = Vec::new();
        for entry in self.entries(name) {
            let Some(text) = self.text(entry) else { continue };
            match text.parse() {
                Err(why) => self.error(entry.line, Some(name), format!("{} {why}", quoted(text))),
                Ok(value) if values.contains(&value) => {
                    self.error(entry.line, Some(name), format!("{} is given twice: remove one", quoted(text)));
                }
                Ok(_) if values.len() == most => {
                    self.error(entry.line, Some(name), format!("more than {most} entries: remove some"));
                    break;
                }
                Ok(value) => values.push(value),
            }
        }
        values
    }

    /// Where its devices are authenticated: here, by servers, or by those that DNS tells.
    fn target(&mut self) -> Option<Target> {
        const WORDS: &[(&str, bool)] = &[("0", false), ("1", true)];
        let discover = self.word("discover", WORDS, false);
        let local = self.entries("server").find(|entry| entry.value.octets() == b"local");
        let Some(first) = self.entries("server").next() else {
            if !discover {
                let mend = "add list server 'radsec://radius.acme.example', or option discover '1' to have DNS tell it, or \
                            list server 'local' to authenticate its devices here";
                self.missing("server", mend);
                return None;
            }
            return Some(Target::Discover);
        };
        if discover {
            let message = "makes no sense with option discover '1', by which DNS tells the servers: remove one of them";
            self.error(first.line, Some("server"), message.into());
            return None;
        }
        if let Some(local) = local {
            if let Some(other) = self.entries("server").find(|entry| !std::ptr::eq(*entry, local)) {
                let message =
                    "is one server too many: 'local' means that nobody else is asked, remove it or the others";
                self.error(other.line.max(local.line), Some("server"), message.into());
                return None;
            }
            return Some(Target::Local);
        }
        let servers: Vec<Server> = self.distinct("server", MAX_SERVERS);
        (!servers.is_empty()).then_some(Target::Servers(servers))
    }

    fn realm_secret(&mut self, target: Option<&Target>) -> Option<RadiusSecret> {
        let udp: Vec<&Server> = match target {
            None => return self.radius_secret(true, false),
            Some(Target::Servers(servers)) => servers.iter().filter(|s| s.transport == Transport::Udp).collect(),
            Some(Target::Local | Target::Discover) => Vec::new(),
        };
        if udp.is_empty() {
            if let (Some(entry), Some(target)) = (self.entry("secret"), target) {
                let message = match target {
                    Target::Local => "makes no sense with server 'local', which nobody else is asked for: remove it",
                    _ => "makes no sense without a udp:// server (RadSec goes by certificates): remove it",
                };
                self.error(entry.line, Some("secret"), message.into());
            }
            return None;
        }
        self.radius_secret(udp.iter().all(|server| server.is_loopback()), true)
    }

    fn realm_tls(&mut self, target: Option<&Target>) -> Tls {
        let tls = Tls { name: self.server_name(), ..self.tls() };
        let why = match target {
            Some(Target::Local) => "server 'local', which nobody else is asked for",
            Some(Target::Servers(servers)) if servers.iter().all(|s| s.transport == Transport::Udp) => {
                "udp:// servers only, which have no certificates"
            }
            Some(Target::Discover) if tls.name.is_some() => {
                "discover, where the certificate has to name the realm (NAIRealm, RFC 7585)"
            }
            _ => return tls,
        };
        let only_name = target == Some(&Target::Discover);
        for option in OF_SERVERS.into_iter().filter(|o| *o != "secret" && (!only_name || *o == "server_name")) {
            if let Some(entry) = self.entry(option) {
                self.error(entry.line, Some(option), format!("makes no sense with {why}: remove it"));
            }
        }
        tls
    }

    /// `ca`, `certificate` and `private_key`.
    pub(super) fn tls(&mut self) -> Tls {
        let mut file = |name| self.entry(name).map(|_| self.path(name, PathBuf::new(), MAX_PATH));
        let (ca, certificate, key) = (file("ca"), file("certificate"), file("private_key"));
        match (&certificate, &key) {
            (Some(_), None) => {
                self.missing("private_key", "add option private_key with the file of the certificate's key");
            }
            (None, Some(_)) => {
                self.missing("certificate", "add option certificate with the file of the key's certificate");
            }
            _ => {}
        }
        Tls { ca, certificate: certificate.zip(key), name: None }
    }

    /// The name in a server's certificate: of a host, or an address; in lower case.
    fn server_name(&mut self) -> Option<Arc<str>> {
        let entry = self.entry("server_name")?;
        let text = self.text(entry)?;
        let name = server::host(text).map(|host| host.to_string());
        self.certificate_name(entry, text, name)
    }

    /// The name in a client's certificate: the same, or one that certificates issued here have, a device's.
    pub(super) fn client_name(&mut self) -> Option<Arc<str>> {
        let entry = self.entry("radsec")?;
        let text = self.text(entry)?;
        // A mistyped address is no name.
        let word = !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && valid_name(text).is_ok();
        let name = server::host(text).map(|host| host.to_string()).or_else(|| word.then(|| text.to_ascii_lowercase()));
        self.certificate_name(entry, text, name)
    }

    fn certificate_name(&mut self, entry: &Entry<'_>, text: &str, name: Option<String>) -> Option<Arc<str>> {
        if name.is_none() {
            let message = "is neither a host name nor an IP address: write the name in the other side's certificate, such \
                           as radius.acme.example";
            self.error(entry.line, Some(&entry.name), format!("{} {message}", quoted(text)));
        }
        name.map(Into::into)
    }

    fn placement(&mut self, is_default: bool) -> Placement {
        let placement = self.word("placement", Placement::WORDS, Placement::Ours);
        if placement == Placement::Server
            && !is_default
            && let Some(entry) = self.entry("placement")
        {
            let message = "can only be 'server' with list realm 'default', for an online server of your own: a manufacturer \
                           does not choose the VLAN; remove it";
            self.error(entry.line, Some("placement"), message.into());
        }
        placement
    }

    fn last_good(&mut self) -> Option<LastGood> {
        let (shortest, longest) = LAST_GOOD;
        // '0' is off, as people write it.
        let off = self.entry("last_good").is_none_or(|entry| entry.value.octets() == b"0");
        let seconds = if off { None } else { self.seconds("last_good", shortest, longest) };
        let mut profiles: Vec<Arc<str>> = Vec::new();
        for entry in self.entries("last_good_profile") {
            let Some(text) = self.text(entry) else { continue };
            if profiles.iter().any(|profile| **profile == *text) {
                self.error(
                    entry.line,
                    Some("last_good_profile"),
                    format!("{} is given twice: remove one", quoted(text)),
                );
            } else if off {
                let message = "has no effect without option last_good: add it, for example option last_good '7d'";
                self.warn(entry.line, "last_good_profile", message.into());
            }
            profiles.push(text.into());
        }
        seconds.map(|seconds| LastGood { seconds, profiles })
    }

    /// A length of time: `600`, `10m`, `12h`, `7d`.
    fn seconds(&mut self, name: &'static str, shortest: u32, longest: u32) -> Option<u32> {
        let entry = self.entry(name)?;
        let text = self.text(entry)?;
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let (digits, unit) = match units.into_iter().find(|(unit, _)| text.ends_with(*unit)) {
            Some((letter, unit)) => (text.trim_end_matches(letter), unit),
            None => (text, 1),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && text.len() <= digits.len() + 1;
        let seconds = digits.parse::<u32>().ok().filter(|_| plain).and_then(|n| n.checked_mul(unit));
        let seconds = seconds.filter(|seconds| (shortest..=longest).contains(seconds));
        if seconds.is_none() {
            let message = format!(
                "{} is no time from {shortest} seconds to {} days: write for example 3600, 12h or 7d",
                quoted(text),
                longest / 86_400
            );
            self.error(entry.line, Some(name), message);
        }
        seconds
    }
}

/// `there is no profile 'x': ...` with the mend.
pub(super) fn no_profile<'a>(profile: &str, profiles: impl Iterator<Item = &'a str> + Clone) -> String {
    let mend = match profiles.clone().next() {
        None => format!("add config profile {}", quoted(profile)),
        Some(_) => format!("add it{}", suggest(profile, profiles)),
    };
    format!("there is no profile {}: {mend}", quoted(profile))
}

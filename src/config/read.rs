//! From the words of a UCI file to the typed configuration.

use super::error::{ConfigError, quoted, suggest};
use super::{Backend, Config, Security, Ssid, Unknown};
use crate::sorted::SortedMap;
use crate::wire::uci::{Document, Entry, Section};
use std::path::PathBuf;
use std::sync::Arc;

/// Every section type with its options.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "latchkey",
        &[
            "state_dir",
            "control_socket",
            "auth_listen",
            "acct_listen",
            "hostapd_dir",
            "log_level",
            "bridges",
            "uplink",
            "firewall",
            "wan",
            "timezone",
            "psk_group",
            "enabled",
            "ubus",
        ],
    ),
    ("client", &["address", "secret", "message_authenticator", "disconnect_port", "radsec"]),
    ("profile", &["vlan", "access", "allow", "isolate", "hours", "bridge", "address"]),
    ("ssid", &["ssid", "security", "unknown", "quarantine_profile", "onboarding_key", "backend", "psk_file"]),
    ("eap", &["realm", "server_name", "certificate", "private_key", "tls_min", "crl_required", "methods"]),
    (
        "realm",
        &[
            "realm",
            "server",
            "discover",
            "secret",
            "ca",
            "certificate",
            "private_key",
            "server_name",
            "profile",
            "admit",
            "register",
            "session_timeout",
            "share",
            "mac",
            "placement",
            "last_good",
            "last_good_profile",
        ],
    ),
    ("radsec", &["listen", "ca", "certificate", "private_key", "coa_listen"]),
];

/// Options that may be given several times, as `list`, and in which sections.
const LISTS: &[(&str, &[&str])] = &[
    ("latchkey", &["auth_listen", "acct_listen", "wan"]),
    ("profile", &["allow", "hours", "address"]),
    ("eap", &["methods"]),
    ("realm", &["realm", "server", "last_good_profile"]),
    ("radsec", &["listen", "coa_listen"]),
];

/// IFNAMSIZ of Linux, less its NUL.
const MAX_INTERFACE: usize = 15;

/// PATH_MAX is 4096; so long a path is a mistake.
const MAX_PATH: usize = 1024;

/// After so many errors or warnings the rest is only counted.
const MAX_REPORTED: usize = 100;

mod client;
mod eap;
mod latchkey;
mod peers;
mod profile;
mod realm;
mod ssid;
mod unknown;

type Warnings = Vec<ConfigError>;

/// Types a document, whose syntax errors count among the errors.
pub(super) fn read(document: &Document<'_>) -> Result<(Config, Warnings), Vec<ConfigError>> {
    let mut reader = Reader { errors: Vec::new(), warnings: Vec::new(), unreported: 0, damaged: false };
    reader.syntax(document);
    if let Some(package) = document.package.as_deref().filter(|p| *p != "latchkey") {
        let mend = "remove the package line, or name the right file";
        reader.error(1, format!("this is the configuration of {}, not of latchkey: {mend}", quoted(package)));
    }
    reader.duplicate_names(document);
    let config = reader.config(document);
    let Reader { mut errors, mut warnings, unreported, .. } = reader;
    // A quote that swallowed lines makes nonsense of what follows it, and may have put a secret where none belongs.
    // The syntax errors come first, so the one that is kept of its line is about the quote.
    if let Some(first) = document.first_multiline {
        let mut about_quote = true;
        errors.retain(|e| e.line < first || (e.line == first && std::mem::take(&mut about_quote)));
    }
    errors.sort_by_key(|e| e.line);
    warnings.sort_by_key(|e| e.line);
    if let Some(last) = errors.last().filter(|_| unreported > 0) {
        let (section, message) = (String::new(), format!("and {unreported} more errors"));
        errors.push(ConfigError { line: last.line, section, option: None, message });
    }
    if errors.is_empty() { Ok((config, warnings)) } else { Err(errors) }
}

struct Reader {
    errors: Vec<ConfigError>,
    warnings: Warnings,
    /// Errors beyond [`MAX_REPORTED`].
    unreported: usize,
    /// Something could not be read, so that what is missing may not really be missing.
    damaged: bool,
}

/// A section being read.
struct Scope<'r, 'd> {
    reader: &'r mut Reader,
    section: &'d Section<'d>,
    title: String,
}

/// `config client 'local'`, or `config client` with the place among its kind when it has no name.
fn title(section: &Section<'_>) -> String {
    match &section.name {
        Some(name) => format!("config {} '{name}'", section.kind),
        None => format!("config {}", section.kind),
    }
}

impl Reader {
    fn push(&mut self, line: u32, section: String, option: Option<&str>, message: String) {
        if self.errors.len() < MAX_REPORTED {
            self.errors.push(ConfigError { line, section, option: option.map(str::to_string), message });
        } else {
            self.unreported += 1;
        }
    }

    fn error(&mut self, line: u32, message: String) {
        self.push(line, String::new(), None, message);
    }

    fn warn(&mut self, line: u32, section: String, option: Option<&str>, message: String) {
        if self.warnings.len() < MAX_REPORTED {
            self.warnings.push(ConfigError { line, section, option: option.map(str::to_string), message });
        }
    }

    fn syntax(&mut self, document: &Document<'_>) {
        self.damaged = !document.errors.is_empty() || document.first_multiline.is_some();
        for error in &document.errors {
            self.error(error.line, error.message.clone());
        }
        if let Some(line) = document.first_multiline {
            self.error(line, "a quoted value runs over several lines: close the quote that opens on this line".into());
        }
    }

    /// Two sections of one name are one section to UCI, also when their types differ.
    fn duplicate_names(&mut self, document: &Document<'_>) {
        let mut seen: SortedMap<&str, &Section<'_>> = SortedMap::new();
        for section in &document.sections {
            let Some(name) = section.name.as_deref() else { continue };
            if let Some(first) = seen.get(name) {
                let message = format!(
                    "the name is taken by config {} on line {}, and to UCI equal names are one section: choose another",
                    first.kind, first.line
                );
                self.push(section.line, title(section), None, message);
            } else {
                seen.insert(name, section);
            }
        }
    }

    fn config(&mut self, document: &Document<'_>) -> Config {
        let mut config = Config {
            main: latchkey::default_main(),
            clients: Vec::new(),
            profiles: Vec::new(),
            ssids: Vec::new(),
            eap: eap::default(),
            realms: Vec::new(),
            radsec: super::Radsec::default(),
            warnings: Vec::new(),
        };
        let (mut main_line, mut eap_line, mut radsec_line) = (None, None, None);
        let (mut realm_lines, mut radsec_section) = (Vec::new(), None);
        let mut places = SortedMap::new();
        let (mut client_lines, mut ssid_lines, mut profile_lines) = (Vec::new(), Vec::new(), Vec::new());
        for section in &document.sections {
            let Some((kind, options)) = SECTIONS.iter().find(|(kind, _)| *kind == &*section.kind) else {
                let kinds = SECTIONS.iter().map(|(kind, _)| *kind);
                let message =
                    format!("there is no section type {}{}", quoted(&section.kind), suggest(&section.kind, kinds));
                self.error(section.line, message);
                self.damaged = true;
                continue;
            };
            let count = places.or_insert_with(*kind, || 0usize);
            let place = std::mem::replace(count, *count + 1);
            let mut scope = Scope { title: title(section), reader: self, section };
            scope.check_names(options);
            match *kind {
                "latchkey" => {
                    if scope.only_one(&mut main_line) {
                        config.main = scope.main();
                    }
                }
                "eap" => {
                    if scope.only_one(&mut eap_line) {
                        config.eap = scope.eap();
                    }
                }
                "radsec" => {
                    if scope.only_one(&mut radsec_line) {
                        config.radsec = scope.radsec();
                        radsec_section = Some(section);
                    }
                }
                "realm" => {
                    if let Some(realm) = scope.realm() {
                        config.realms.push(realm);
                        realm_lines.push(section);
                    }
                }
                "client" => {
                    if let Some(client) = scope.client(place) {
                        config.clients.push(client);
                        client_lines.push((section.line, title(section)));
                    }
                }
                "profile" => {
                    if let Some(profile) = scope.profile() {
                        config.profiles.push(profile);
                        profile_lines.push(section);
                    }
                }
                _ => {
                    if let Some(ssid) = scope.ssid(place) {
                        config.ssids.push(ssid);
                        ssid_lines.push(section);
                    }
                }
            }
        }
        self.across(&config, &client_lines, &ssid_lines);
        self.shared_bridges(&config, &profile_lines);
        self.peers(&config, &realm_lines, radsec_section);
        self.useless(&config, main_line.unwrap_or(1), &client_lines);
        config
    }

    /// What only shows when all sections are read.
    fn across(&mut self, config: &Config, client_lines: &[(u32, String)], ssid_lines: &[&Section<'_>]) {
        let mut prefixes = SortedMap::new();
        for (client, (line, title)) in config.clients.iter().zip(client_lines) {
            let Some(first) = prefixes.insert((&client.radsec, client.address), *line) else { continue };
            let (option, message) = match &client.radsec {
                None => (
                    "address",
                    format!("{} is the address of the client on line {first} already: remove one", client.address),
                ),
                Some(name) => (
                    "radsec",
                    format!(
                        "'{name}' is the name of the client on line {first} already: remove one, or limit each to its address"
                    ),
                ),
            };
            self.push(*line, title.clone(), Some(option), message);
        }
        let damaged = self.damaged;
        let mut names = SortedMap::new();
        for (ssid, section) in config.ssids.iter().zip(ssid_lines) {
            let mut error = |option: &str, message| {
                let line = section.entries.iter().rfind(|e| &*e.name == option).map_or(section.line, |e| e.line);
                self.push(line, title(section), Some(option), message);
            };
            if let Some(first) = names.insert(&ssid.ssid, section.line) {
                match ssid.security {
                    Security::Wired => error(
                        "security",
                        format!(
                            "the section on line {first} is for the cable already: one is for all ports, remove one"
                        ),
                    ),
                    _ => error("ssid", format!("the section on line {first} has this SSID already: remove one")),
                }
            }
            if let Unknown::Quarantine { profile, .. } = &ssid.unknown
                && config.profile(profile).is_none()
                && !damaged
            {
                error("quarantine_profile", realm::no_profile(profile, config.profiles.iter().map(|p| &*p.name)));
            }
        }
    }

    /// What lets the daemon run without serving anybody.
    fn useless(&mut self, config: &Config, main_line: u32, client_lines: &[(u32, String)]) {
        if self.damaged {
            return;
        }
        let reads_files = |ssid: &Ssid| ssid.backend == Backend::PskFile;
        let all_files = !config.ssids.is_empty() && config.ssids.iter().all(reads_files);
        if all_files && !config.clients.is_empty() {
            let message = "has no effect: every SSID has option backend 'psk-file', so nobody asks over RADIUS";
            for (client, (line, title)) in config.clients.iter().zip(client_lines) {
                if client.disconnect_port.is_none() {
                    self.warn(*line, title.clone(), None, message.into());
                }
            }
        }
        for (empty, message) in [
            (
                config.clients.is_empty() && !all_files,
                "there is no client, so nobody may ask: add config client with the NAS's address and secret",
            ),
            (config.profiles.is_empty(), "there is no profile, so no device can be added: add config profile 'NAME'"),
            (
                config.ssids.is_empty(),
                "there is no SSID, so no key can be recognised: add config ssid with option ssid 'NAME'",
            ),
        ] {
            if empty {
                self.warn(1, String::new(), None, message.into());
            }
        }
        let listening = [("auth_listen", &config.main.auth_listen), ("acct_listen", &config.main.acct_listen)];
        for (option, addresses) in listening {
            let local_only = addresses.iter().all(|a| a.ip().to_canonical().is_loopback());
            let mut udp = config.clients.iter().filter(|c| c.radsec.is_none());
            let message = match udp.find(|c| !c.address.is_loopback()) {
                Some(client) if local_only => {
                    format!("only this host can reach it, but client '{}' is elsewhere: add an address", client.name)
                }
                None if !local_only && !config.clients.is_empty() => {
                    "other hosts can reach it, but every client is on this host: listen on 127.0.0.1".into()
                }
                _ => continue,
            };
            self.warn(main_line, "config latchkey".into(), Some(option), message);
        }
    }
}

impl<'d> Scope<'_, 'd> {
    fn error(&mut self, line: u32, option: Option<&str>, message: String) {
        self.reader.push(line, self.title.clone(), option, message);
    }

    fn warn(&mut self, line: u32, option: &str, message: String) {
        self.reader.warn(line, self.title.clone(), Some(option), message);
    }

    /// Notes the line of a section of which there can be one only; false, with an error, when there is one already.
    fn only_one(&mut self, line: &mut Option<u32>) -> bool {
        if let Some(first) = *line {
            let message = format!("there is such a section on line {first} already: put their options into one");
            self.error(self.section.line, None, message);
            return false;
        }
        *line = Some(self.section.line);
        true
    }

    /// Reports a missing option, unless it may be there in a line that could not be read.
    fn missing(&mut self, option: &str, mend: &str) {
        if !self.section.damaged {
            self.error(self.section.line, Some(option), format!("is missing: {mend}"));
        }
    }

    /// Unknown options, options given twice, and lists where there can be one value only.
    fn check_names(&mut self, options: &[&str]) {
        let mut seen: SortedMap<&str, u32> = SortedMap::new();
        let lists = LISTS.iter().find(|(kind, _)| *kind == &*self.section.kind).map_or(&[][..], |(_, lists)| lists);
        for entry in &self.section.entries {
            let name = &*entry.name;
            if !options.contains(&name) {
                let elsewhere = SECTIONS.iter().find(|(_, options)| options.contains(&name));
                let message = match elsewhere {
                    Some((kind, _)) => format!("belongs into config {kind}: move it there"),
                    None => format!("is unknown{}", suggest(name, options.iter().copied())),
                };
                self.error(entry.line, Some(name), message);
            } else if entry.list && !lists.contains(&name) {
                self.error(entry.line, Some(name), "has one value: write option, not list".into());
            } else if let Some(first) = seen.insert(name, entry.line).filter(|_| !entry.list) {
                let mend = if lists.contains(&name) { "write list for several values" } else { "remove one" };
                self.error(entry.line, Some(name), format!("is given on line {first} already: {mend}"));
            }
        }
    }

    /// The options of this name. An empty value is no value, as in UCI.
    fn entries(&self, name: &'static str) -> impl Iterator<Item = &'d Entry<'d>> + use<'d> {
        self.section.entries.iter().filter(move |e| &*e.name == name && !e.value.octets().is_empty())
    }

    fn entry(&self, name: &'static str) -> Option<&'d Entry<'d>> {
        self.entries(name).last()
    }

    /// A value as text without control characters.
    fn text(&mut self, entry: &'d Entry<'d>) -> Option<&'d str> {
        match std::str::from_utf8(entry.value.octets()) {
            Ok(text) if !text.chars().any(char::is_control) => Some(text),
            _ => {
                let message = "has control characters or is not UTF-8: write it anew in plain text";
                self.error(entry.line, Some(&entry.name), message.into());
                None
            }
        }
    }

    /// One of some words; the default when it is left out (or wrong, which is reported).
    fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)], default: T) -> T {
        let spelled: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let value = self.place_of(name, &spelled).and_then(|at| words.get(at));
        value.map_or(default, |(_, value)| *value)
    }

    /// Which of some words is there; nothing when it is left out (or wrong, which is reported).
    fn place_of(&mut self, name: &'static str, words: &[&str]) -> Option<usize> {
        let entry = self.entry(name)?;
        let text = self.text(entry)?;
        let place = words.iter().position(|word| *word == text);
        if place.is_none() {
            let hint = suggest(text, words.iter().copied());
            self.error(entry.line, Some(name), format!("cannot be {}{hint}", quoted(text)));
        }
        place
    }

    fn path(&mut self, name: &'static str, default: PathBuf, longest: usize) -> PathBuf {
        let Some(entry) = self.entry(name) else { return default };
        let Some(text) = self.text(entry) else { return default };
        if !text.starts_with('/') {
            self.error(entry.line, Some(name), format!("{} is no absolute path: begin it with /", quoted(text)));
        } else if text.len() > longest {
            let message = format!("has {} octets, the longest path is {longest}: choose a shorter one", text.len());
            self.error(entry.line, Some(name), message);
        }
        text.into()
    }

    /// The name of an interface.
    fn interface(&mut self, name: &'static str) -> Option<Arc<str>> {
        self.entry(name).and_then(|entry| self.interface_of(entry))
    }

    fn interface_of(&mut self, entry: &'d Entry<'d>) -> Option<Arc<str>> {
        let text = self.text(entry)?;
        // dev_valid_name of Linux; a quote would also end a name in a ruleset.
        let bad = |c: char| c.is_ascii_whitespace() || !c.is_ascii() || "/:\"*\\".contains(c);
        if text.len() > MAX_INTERFACE || text.contains(bad) || matches!(text, "." | "..") {
            let message = format!("{} is no name of an interface: it has 1 to 15 plain characters", quoted(text));
            self.error(entry.line, Some(&entry.name), message);
            return None;
        }
        Some(text.into())
    }

    /// The section's name, or the one `uci show` gives it.
    fn name(&self, place: usize) -> Arc<str> {
        match &self.section.name {
            Some(name) => (&**name).into(),
            None => format!("@{}[{place}]", self.section.kind).into(),
        }
    }
}

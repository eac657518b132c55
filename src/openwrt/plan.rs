//! From what there is and what is asked to the files as they are to be.

use super::diff::{Line, lines};
use super::draft::{Draft, FILES, Opt};
use super::facts::Facts;
use super::network::Group;
use super::record::{Edit, Place, Record, While};
use super::view::{View, named, of_kind};
use super::wireless::Network;
use super::{Action, Refused, Removal, Request, Tree};
use crate::config::{Bridges, Config, ConfigError};
use crate::wire::uci::{Document, parse};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use zeroize::Zeroizing;

/// A file that changes.
pub struct FileChange {
    /// Its name in `/etc/config`.
    pub file: &'static str,
    /// As it is.
    pub before: Zeroizing<Vec<u8>>,
    /// As it is to be.
    pub after: Zeroizing<Vec<u8>>,
    /// The difference, for people; without secrets.
    pub lines: Vec<Line>,
}

/// What has to be done.
pub struct Plan {
    /// The files that change; none when everything is as it is wanted.
    pub files: Vec<FileChange>,
    /// What that means, a sentence each.
    pub summary: Vec<String>,
    /// What one should know before.
    pub warnings: Vec<String>,
    /// What is to be remembered when it is done.
    pub record: Record,
    /// Tells this plan from others: 16 hexadecimal digits. Secrets that are made anew each time do not count.
    pub fingerprint: String,
}

/// The section types that may be ours, by file.
const KINDS: [(&str, &[&str]); 5] = [
    ("network", &["interface", "device", "bridge-vlan"]),
    ("dhcp", &["dhcp"]),
    ("firewall", &["zone", "forwarding", "rule"]),
    ("wireless", &["wifi-iface", "wifi-vlan"]),
    ("latchkey", &["ssid", "client"]),
];

/// What the names of a network's sections have after that of its interface; `_allow1` and so on beside them.
const PARTS: [&str; 8] = ["", "_dev", "_bv", "_wan", "_dhcp", "_dns", "_dhcp6", "_icmp6"];

/// Makes a plan. `random` fills buffers with unpredictable octets, for keys and secrets.
///
/// # Errors
/// Why it cannot be done, with the mend. Nothing is done halfway.
pub fn plan(tree: &Tree, action: &Action, random: &mut dyn FnMut(&mut [u8])) -> Result<Plan, Refused> {
    let mut planner = Planner::begin(tree, random)?;
    match action {
        Action::Have(request) => planner.have(request)?,
        Action::Remove(removal) => planner.remove(removal)?,
    }
    planner.finish(tree)
}

/// The work on a plan.
pub(super) struct Planner<'t> {
    pub draft: Draft,
    pub facts: &'t Facts,
    /// latchkey's configuration as it was at the beginning.
    pub config: Config,
    pub random: &'t mut dyn FnMut(&mut [u8]),
    pub summary: Vec<String>,
    pub warnings: Vec<String>,
    /// Something is to go: what stays may be as it is, right or not.
    pub removing: bool,
    /// No section is recorded as ours, so all are that have such names.
    begun_without: bool,
    /// Sections of ours that are wanted, by file.
    keep: BTreeSet<(&'static str, String)>,
}

impl<'t> Planner<'t> {
    pub fn begin(tree: &'t Tree, random: &'t mut dyn FnMut(&mut [u8])) -> Result<Planner<'t>, Refused> {
        let read = |name: &str| tree.file(name).map(|text| Zeroizing::new(text.to_vec()));
        let draft = Draft::new(read, tree.record.clone());
        for (file, mend) in [("network", "is this OpenWrt?"), ("latchkey", "install latchkey's package")] {
            if !draft.has(file) {
                return Err(Refused::new("not_openwrt", "", format!("there is no file /etc/config/{file}: {mend}")));
            }
        }
        for file in FILES {
            if let Some(error) = draft.document(file).errors.first() {
                let message = format!("/etc/config/{file} has to be mended first: {error}");
                return Err(Refused::new("config", "", message));
            }
        }
        let config = parse_config(draft.text("latchkey"), "has to be mended first")?;
        if config.main.bridges == Bridges::Manage {
            let message = "latchkey makes the networks itself (option bridges 'manage' in /etc/config/latchkey): set it to \
                           'leave' to have OpenWrt make them";
            return Err(Refused::new("config", "", message));
        }
        let begun_without = tree.record.sections.is_empty();
        Ok(Planner {
            draft,
            facts: &tree.facts,
            config,
            random,
            summary: Vec::new(),
            warnings: Vec::new(),
            removing: false,
            begun_without,
            keep: BTreeSet::new(),
        })
    }

    fn have(&mut self, request: &Request) -> Result<(), Refused> {
        let mut groups = self.managed_groups();
        self.add_groups(&mut groups, request)?;
        let mut networks = self.managed_ssids();
        if let Some(wanted) = &request.ssid {
            self.add_ssid(&mut networks, wanted)?;
        }
        self.realise(groups, networks, request)
    }

    fn remove(&mut self, removal: &Removal) -> Result<(), Refused> {
        self.removing = true;
        let mut groups = self.managed_groups();
        let mut networks = self.managed_ssids();
        if removal.profiles.is_empty() && removal.ssids.is_empty() {
            groups.clear();
            networks.clear();
        }
        for name in &removal.profiles {
            let vlan = self.config.profile(name).and_then(|profile| profile.vlan);
            let Some(at) = groups.iter().position(|group| Some(group.vlan) == vlan) else {
                let message = format!("profile {} has no network of ours, so nothing is to be removed", short(name));
                return Err(Refused::new("argument", "profile", message));
            };
            let group = groups.remove(at);
            if let [_, _, ..] = group.profiles[..] {
                let names = group.profiles.join(", ");
                self.warnings
                    .push(format!("the profiles {names} share VLAN {}: they lose their network together", group.vlan));
            }
        }
        for ssid in &removal.ssids {
            let Some(at) = networks.iter().position(|network| network.ssid == *ssid) else {
                let message = format!("there is no SSID {} of ours", short(ssid));
                return Err(Refused::new("argument", "ssid", message));
            };
            networks.remove(at);
        }
        self.realise(groups, networks, &Request::default())
    }

    /// Makes the files so that these are there, and nothing else of ours.
    fn realise(&mut self, mut groups: Vec<Group>, networks: Vec<Network>, request: &Request) -> Result<(), Refused> {
        for group in &mut groups {
            self.layer2(group, request)?;
        }
        if !groups.is_empty() || !networks.is_empty() {
            self.enable()?;
        }
        self.ssids(&networks)?;
        let config = parse_config(self.draft.text("latchkey"), "would be refused")?;
        // Of the rest, latchkey status tells.
        let about = |text: &&String| text.contains("config ssid '") || text.contains("config profile '");
        for text in config.warnings.iter().filter(about).filter(|text| !self.config.warnings.contains(text)) {
            let words =
                text.split_once(": ").filter(|(line, _)| line.starts_with("line ")).map_or(&**text, |(_, rest)| rest);
            self.warnings.push(words.to_owned());
        }
        for group in &groups {
            self.firewall(group, &config)?;
        }
        self.radios(&networks, &config, request)?;
        self.vlans(&groups, &networks, &config)?;
        self.drop_the_rest()?;
        let (done, left) = self.draft.put_back()?;
        self.summary.extend(done.iter().rev().filter_map(put_back));
        self.warnings.extend(left);
        // Whoever has a network with an SSID gets it from a section that is there, or it is said.
        parse_config(self.draft.text("latchkey"), "would be refused").map(|_| ())
    }

    /// Whether a section is ours: by its name, and by the record if there is one.
    pub fn made(&self, file: &str, section: View<'_>) -> bool {
        section.is_ours() && (self.begun_without || self.draft.record.made(file, section.name()))
    }

    /// Has a section of ours with these options. True when something changed.
    pub fn ensure(&mut self, file: &'static str, kind: &str, name: &str, options: &[Opt]) -> Result<bool, Refused> {
        self.keep.insert((file, name.to_owned()));
        self.draft.ensure(file, kind, name, options)
    }

    /// latchkey starts.
    fn enable(&mut self) -> Result<(), Refused> {
        let place = {
            let text = self.draft.shared("latchkey");
            let document = parse(&text);
            let main = of_kind(&document, "latchkey").next();
            main.filter(|main| main.get("enabled").is_some() && !main.flag("enabled")).map(Place::of)
        };
        if let Some(place) = place {
            self.draft.borrow("latchkey", &place, "enabled", "1", While::Any)?;
            self.summary.push("latchkey is switched on".into());
        }
        Ok(())
    }

    fn drop_the_rest(&mut self) -> Result<(), Refused> {
        // What goes with something that is named already: `lk_iot`, and `lk_iot_...`.
        let mut going: Vec<String> = Vec::new();
        for (file, kinds) in KINDS {
            let text = self.draft.shared(file);
            let document = parse(&text);
            let unwanted: Vec<View<'_>> = document
                .sections
                .iter()
                .map(View)
                .filter(|view| self.made(file, *view) && kinds.contains(&&*view.0.kind))
                .filter(|view| !self.keep.iter().any(|(f, name)| *f == file && name == view.name()))
                .collect();
            going
                .extend(unwanted.iter().filter(|view| &*view.0.kind == "interface").map(|view| view.name().to_owned()));
            for view in unwanted {
                let (kind, name) = (&*view.0.kind, view.name());
                let zone = view.text("src");
                let goes_along = |with: &String| {
                    name.strip_prefix(with.as_str()).is_some_and(|rest| {
                        rest.trim_end_matches(|c: char| c.is_ascii_digit()) == "_allow" || PARTS.contains(&rest)
                    })
                };
                let line = match kind {
                    "interface" => format!("network {name} goes, with its DHCP and firewall zone"),
                    "ssid" => format!("SSID {} goes", view.text("ssid")),
                    "wifi-iface" => format!("SSID {} goes from {}", view.text("ssid"), view.text("device")),
                    // It follows from the network or the SSIDs.
                    "wifi-vlan" => String::new(),
                    _ if going.iter().any(goes_along) => String::new(),
                    "forwarding" => format!("the devices of {zone} do not get to the Internet any more"),
                    "rule" => format!("firewall zone {zone} loses rule {name}"),
                    "client" => "hostapd of this box is no client of latchkey any more".into(),
                    _ => format!("{kind} {name} goes from /etc/config/{file}"),
                };
                if kind == "ssid" {
                    self.summary.retain(|of_radio| !of_radio.starts_with(&format!("{line} from ")));
                }
                if !line.is_empty() {
                    self.summary.push(line);
                }
                self.draft.drop(file, kind, name)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, tree: &Tree) -> Result<Plan, Refused> {
        self.restarts(tree);
        let mut files = Vec::new();
        let mut hash = Sha256::new();
        for file in FILES {
            let (Some(before), after) = (tree.file(file), self.draft.text(file)) else { continue };
            if before == after {
                continue;
            }
            let lines = lines(before, after);
            hash.update([0]);
            hash.update(file);
            for line in &lines {
                let mut sign = [0; 4];
                hash.update(line.sign.encode_utf8(&mut sign));
                hash.update(&line.text);
                hash.update([b'\n']);
            }
            let (before, after) = (Zeroizing::new(before.to_vec()), Zeroizing::new(after.to_vec()));
            files.push(FileChange { file, before, after, lines });
        }
        let fingerprint = hash.finalize().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        let mut seen = BTreeSet::new();
        self.warnings.retain(|text| seen.insert(text.clone()));
        if files.is_empty() {
            self.summary.clear();
        } else if self.summary.is_empty() {
            self.summary.push("what is ours is written as this release and latchkey's configuration want it".into());
        }
        let record = self.draft.record;
        Ok(Plan { files, summary: self.summary, warnings: self.warnings, record, fingerprint })
    }

    /// Says whose Wi-Fi is interrupted.
    fn restarts(&mut self, tree: &Tree) {
        let old = parse(tree.file("wireless").unwrap_or_default());
        let text = self.draft.shared("wireless");
        let new = parse(&text);
        let of_radio = |document: &Document<'_>, radio: &str| -> Vec<Vec<u8>> {
            let ifaces: Vec<&str> =
                of_kind(document, "wifi-iface").filter(|i| i.text("device") == radio).map(View::name).collect();
            let concerned = document.sections.iter().map(View).filter(|view| {
                let vlan = &*view.0.kind == "wifi-vlan";
                view.name() == radio
                    || view.text("device") == radio
                    || (vlan && view.list("iface").iter().any(|iface| ifaces.contains(iface)))
            });
            let entries = concerned.flat_map(|view| {
                let name = std::iter::once(view.name().as_bytes().to_vec());
                name.chain(view.0.entries.iter().map(|e| [e.name.as_bytes(), b"=", e.value.octets()].concat()))
            });
            entries.collect()
        };
        let radios: Vec<String> = of_kind(&new, "wifi-device")
            .filter(|radio| {
                let was_on = named(&old, "wifi-device", radio.name()).is_some_and(|radio| !radio.flag("disabled"));
                was_on && of_radio(&old, radio.name()) != of_radio(&new, radio.name())
            })
            .map(|radio| radio.name().to_owned())
            .collect();
        if !radios.is_empty() {
            self.warnings
                .insert(0, format!("Wi-Fi of {} restarts: its devices are away for some seconds", radios.join(", ")));
        }
    }

    /// Letters and digits that nobody guesses: 5 bits each.
    pub fn secret(&mut self, length: usize) -> Zeroizing<String> {
        const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut octets = Zeroizing::new(vec![0; length]);
        (self.random)(&mut octets);
        let digit = |octet: &u8| DIGITS.get(usize::from(*octet) % DIGITS.len()).copied().map_or('x', char::from);
        Zeroizing::new(octets.iter().map(digit).collect())
    }
}

/// What an option means that is put back; `None` where that is said already.
fn put_back(edit: &Edit) -> Option<String> {
    Some(match (&*edit.option, &edit.needed) {
        ("disabled", While::Ssid(radio, ssid)) => format!("the network '{ssid}' that {radio} had is switched on again"),
        ("disabled", While::Radio(radio)) if edit.new == "0" => format!("{radio} is switched off again"),
        ("enabled", _) => "latchkey is switched off again".into(),
        // It stayed off the air and does, or goes with its network.
        ("disabled" | "bridge", _) => return None,
        (option, _) => {
            let was = if edit.old.is_some() { "as it was" } else { "gone again" };
            format!("option {option} of {} is {was}", edit.place.shown())
        }
    })
}

/// An argument for a message, cut where it is very long.
pub(super) fn short(text: &str) -> String {
    format!("'{}'", text.chars().take(40).collect::<String>())
}

/// latchkey's configuration.
pub(super) fn parse_config(text: &[u8], what: &str) -> Result<Config, Refused> {
    Config::parse(text).map_err(|errors| {
        let path = Path::new("/etc/config/latchkey");
        let lines: Vec<String> = errors.iter().map(|error: &ConfigError| error.in_file(path)).collect();
        Refused::new("config", "", format!("latchkey's configuration {what}:\n{}", lines.join("\n")))
    })
}

impl Plan {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// As JSON, without secrets.
    pub fn to_json(&self) -> Value {
        let files = self.files.iter().map(|change| {
            let line = |line: &Line| json!({ "sign": line.sign.to_string(), "text": line.text });
            json!({ "file": change.file, "lines": change.lines.iter().map(line).collect::<Vec<_>>() })
        });
        json!({
            "empty": self.is_empty(),
            "summary": self.summary,
            "warnings": self.warnings,
            "files": files.collect::<Vec<_>>(),
            "fingerprint": self.fingerprint,
        })
    }
}

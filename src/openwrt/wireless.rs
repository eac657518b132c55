//! SSIDs: a wifi-iface on each radio, which asks over RADIUS or reads a key file, and a wifi-vlan for each VLAN.
//!
//! What hostapd gets of an option differs between releases; raw lines (`hostapd_bss_options`) come last in all of them, and
//! the last one counts. hostapd asks for Wi-Fi keys over RADIUS with WPA2 only: in WPA3 (SAE) it would have to do without
//! Hash-to-Element, so there it gets its passwords from latchkey over its control socket.

use super::draft::{Opt, ours};
use super::facts::Generator;
use super::network::Group;
use super::plan::{Planner, parse_config, short};
use super::radius::{asked_at, radius};
use super::record::{Place, While};
use super::view::{View, named, of_kind};
use super::{Refused, Request, SsidRequest};
use crate::config::{Backend, Config, Isolate, Security, Ssid};
use crate::wire::uci::parse;
use std::collections::BTreeSet;

/// Raw options that are ours; others in the list stay.
pub(super) const RAW: [&str; 5] =
    ["wpa_psk_radius=", "macaddr_acl=", "wpa_psk_file=", "disable_pmksa_caching=", "okc="];

/// An SSID of ours.
pub(super) struct Network {
    pub ssid: String,
    pub radios: Vec<String>,
    security: Option<Security>,
    take_over: bool,
    asked: bool,
}

impl Planner<'_> {
    /// The SSIDs that are there.
    pub fn managed_ssids(&self) -> Vec<Network> {
        let text = self.draft.shared("wireless");
        let document = parse(&text);
        let mut networks: Vec<Network> = Vec::new();
        for iface in of_kind(&document, "wifi-iface").filter(|iface| self.made("wireless", *iface)) {
            let (ssid, radio) = (iface.text("ssid"), iface.text("device").to_owned());
            match networks.iter_mut().find(|network| network.ssid == ssid) {
                Some(network) => network.radios.push(radio),
                None => networks.push(Network {
                    ssid: ssid.to_owned(),
                    radios: vec![radio],
                    security: None,
                    take_over: false,
                    asked: false,
                }),
            }
        }
        networks
    }

    /// Adds one that is asked for, or changes it.
    pub fn add_ssid(&self, networks: &mut Vec<Network>, wanted: &SsidRequest) -> Result<(), Refused> {
        let refuse = |field, message: String| Err(Refused::new("argument", field, message));
        if !(1..=32).contains(&wanted.ssid.len()) || wanted.ssid.chars().any(char::is_control) {
            return refuse("ssid", "an SSID has 1 to 32 octets, and no control characters".into());
        }
        let text = self.draft.shared("wireless");
        let document = parse(&text);
        let radios = || of_kind(&document, "wifi-device").filter(|radio| !radio.name().is_empty());
        let list =
            || radios().map(|radio| format!("{} ({})", radio.name(), band(radio))).collect::<Vec<_>>().join(", ");
        if radios().next().is_none() {
            return refuse(
                "radio",
                "this box has no radio: /etc/config/wireless has no section config wifi-device".into(),
            );
        }
        for radio in &wanted.radios {
            if !radios().any(|known| known.name() == radio) {
                return refuse("radio", format!("there is no radio {}: there are {}", short(radio), list()));
            }
        }
        let present = networks.iter().position(|network| network.ssid == wanted.ssid);
        let mut chosen: Vec<String> = Vec::new();
        for radio in &wanted.radios {
            if !chosen.contains(radio) {
                chosen.push(radio.clone());
            }
        }
        if chosen.is_empty() {
            chosen = match present.and_then(|at| networks.get(at)) {
                Some(network) => network.radios.clone(),
                None => radios().filter(|radio| !radio.flag("disabled")).map(|radio| radio.name().to_owned()).collect(),
            };
        }
        if chosen.is_empty() {
            return refuse("radio", format!("every radio is switched off: say which are to be used, of {}", list()));
        }
        let network = Network {
            ssid: wanted.ssid.clone(),
            radios: chosen,
            security: wanted.security,
            take_over: wanted.take_over,
            asked: true,
        };
        match present.and_then(|at| networks.get_mut(at)) {
            Some(present) => *present = network,
            None => networks.push(network),
        }
        Ok(())
    }

    /// latchkey's own configuration of the SSIDs: which backend, and the client that hostapd is.
    pub fn ssids(&mut self, networks: &[Network]) -> Result<(), Refused> {
        let mut over_radius = false;
        for network in networks {
            let known = self.config.ssid(network.ssid.as_bytes()).cloned();
            let security = network.security.or(known.as_ref().map(|ssid| ssid.security)).unwrap_or(Security::Wpa2);
            let backend = self.backend(security, known.as_ref())?;
            over_radius |= backend == Backend::Radius;
            match known {
                Some(known) if !known.section.starts_with("lk_") => self.borrow_ssid(&known, security, backend)?,
                known => {
                    let name = known.map_or_else(
                        || self.free("latchkey", &[&slug(&network.ssid)]),
                        |known| known.section.to_string(),
                    );
                    let backend = match backend {
                        Backend::Radius => Opt::none("backend"),
                        Backend::PskFile => Opt::is("backend", backend.as_str()),
                    };
                    let options = [Opt::is("ssid", &network.ssid), Opt::is("security", security.as_str()), backend];
                    self.ensure("latchkey", "ssid", &name, &options)?;
                }
            }
        }
        if over_radius {
            let config = parse_config(self.draft.text("latchkey"), "would be refused")?;
            let [auth, acct] = asked_at(&config)?;
            self.client(&config, auth.0)?;
            if acct.0 != auth.0 {
                self.client(&config, acct.0)?;
            }
        }
        Ok(())
    }

    fn backend(&self, security: Security, known: Option<&Ssid>) -> Result<Backend, Refused> {
        if let Some(known) = known.filter(|_| self.removing) {
            return Ok(known.backend);
        }
        let Some(wpad) = &self.facts.wpad else {
            let message = "no package with hostapd is installed: install wpad-mbedtls (or wpad-basic-mbedtls where flash is short)";
            return Err(Refused::new("wpad", "ssid", message));
        };
        if !security.has_keys() && !wpad.radius {
            let message = format!(
                "security '{security}' needs RADIUS, which {} is built without: install wpad-mbedtls in its place",
                wpad.package
            );
            return Err(Refused::new("wpad", "security", message));
        }
        let file = known.is_some_and(|known| !known.section.starts_with("lk_") && known.backend == Backend::PskFile);
        Ok(match security {
            Security::Wpa3 | Security::Mixed => Backend::PskFile,
            Security::Wpa2 if !wpad.radius || file => Backend::PskFile,
            _ => Backend::Radius,
        })
    }

    /// The administrator's own section for an SSID: only what has to be different.
    fn borrow_ssid(&mut self, known: &Ssid, security: Security, backend: Backend) -> Result<(), Refused> {
        if known.section.starts_with('@') {
            let message = format!(
                "the section of SSID '{}' in /etc/config/latchkey has no name: write config ssid 'NAME'",
                String::from_utf8_lossy(&known.ssid)
            );
            return Err(Refused::new("config", "ssid", message));
        }
        let place = Place::Named("ssid".into(), known.section.to_string());
        let ssid = String::from_utf8_lossy(&known.ssid).into_owned();
        let needed = || While::Ssid(String::new(), ssid.clone());
        if security != known.security {
            self.draft.borrow("latchkey", &place, "security", security.as_str(), needed())?;
        }
        if backend != known.backend {
            self.draft.borrow("latchkey", &place, "backend", backend.as_str(), needed())?;
        }
        Ok(())
    }

    /// The wifi-ifaces, and what has to be done for them to be on the air.
    pub fn radios(&mut self, networks: &[Network], config: &Config, request: &Request) -> Result<(), Refused> {
        for network in networks {
            let Some(ssid) = config.ssid(network.ssid.as_bytes()) else { continue };
            let carried = self.others(network)?;
            let mut changed = false;
            for radio in &network.radios {
                self.switch_on(radio)?;
                let name = self.iface_name(network, radio);
                let options = self.iface(network, radio, &name, ssid, config, &carried)?;
                changed |= self.ensure("wireless", "wifi-iface", &name, &options)?;
            }
            if changed {
                let how = match (ssid.backend, ssid.security) {
                    (Backend::PskFile, Security::Wpa2) => "hostapd reads a key file that latchkey writes",
                    (Backend::PskFile, Security::Wpa3) => "hostapd gets its passwords from latchkey",
                    (Backend::PskFile, _) => "hostapd gets keys and passwords from latchkey",
                    (Backend::Radius, _) => "hostapd asks latchkey over RADIUS",
                };
                let radios = network.radios.join(", ");
                self.summary.push(format!("SSID {} ({}) on {radios}: {how}", network.ssid, shown(ssid.security)));
            }
        }
        self.countries(networks, request)
    }

    /// Networks of the same name that are not ours: two sets of keys under one name, which devices cannot tell apart.
    /// Returns the networks (interfaces) they lead to.
    fn others(&mut self, network: &Network) -> Result<Vec<String>, Refused> {
        let text = self.draft.shared("wireless");
        let document = parse(&text);
        let on_air = |iface: &View<'_>| {
            let radio = named(&document, "wifi-device", iface.text("device"));
            !iface.flag("disabled") && radio.is_some_and(|radio| !radio.flag("disabled"))
        };
        let same = |iface: &View<'_>| {
            !self.made("wireless", *iface)
                && iface.text("ssid") == network.ssid
                && matches!(iface.text("mode"), "" | "ap")
        };
        let others: Vec<View<'_>> =
            of_kind(&document, "wifi-iface").filter(|iface| same(iface) && on_air(iface)).collect();
        let Some(first) = others.first().filter(|_| network.asked) else { return Ok(Vec::new()) };
        if !network.take_over {
            let message = format!(
                "{} has a network {} already, which is not ours: --take-over switches it off and puts this one in its place (remove \
                 switches it on again), or choose another SSID",
                first.text("device"),
                short(&network.ssid)
            );
            return Err(Refused::new("taken", "ssid", message));
        }
        let mut lost = BTreeSet::new();
        let mut carried = Vec::new();
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for other in &others {
            let radio = other.text("device").to_owned();
            if network.radios.contains(&radio) {
                here.push((Place::of(*other), radio));
                carried.extend(other.list("network").iter().map(|name| (*name).to_owned()));
                lost.extend(other.0.entries.iter().map(|entry| entry.name.to_string()).filter(|name| {
                    !matches!(&**name, "device" | "mode" | "ssid" | "network" | "encryption" | "key" | "disabled")
                }));
            } else {
                elsewhere.push(radio);
            }
        }
        let ssid = network.ssid.clone();
        for (place, radio) in here {
            self.draft.borrow("wireless", &place, "disabled", "1", While::Ssid(radio.clone(), ssid.clone()))?;
            self.summary.push(format!("the network '{ssid}' that {radio} has now is switched off, and kept for later"));
        }
        self.warnings.push(format!(
            "devices that use the present key of '{ssid}' do not get in until they are registered: this one perhaps included"
        ));
        if !lost.is_empty() {
            let lost = lost.into_iter().collect::<Vec<_>>().join(", ");
            self.warnings.push(format!("options of the network '{ssid}' that are not carried over: {lost}"));
        }
        for radio in elsewhere {
            self.warnings
                .push(format!("{radio} still has a network '{ssid}' with a key of its own: choose that radio, too"));
        }
        carried.dedup();
        Ok(carried)
    }

    /// Switches a radio on. What was not on the air because of it stays off.
    fn switch_on(&mut self, radio: &str) -> Result<(), Refused> {
        let (off, quiet) = {
            let text = self.draft.shared("wireless");
            let document = parse(&text);
            let off = named(&document, "wifi-device", radio).is_some_and(|radio| radio.flag("disabled"));
            let others = of_kind(&document, "wifi-iface").filter(|iface| {
                iface.text("device") == radio && !self.made("wireless", *iface) && !iface.flag("disabled")
            });
            let quiet: Vec<(Place, String)> =
                others.map(|iface| (Place::of(iface), iface.text("ssid").to_owned())).collect();
            (off, quiet)
        };
        if !off {
            return Ok(());
        }
        let needed = || While::Radio(radio.to_owned());
        for (place, ssid) in quiet {
            self.draft.borrow("wireless", &place, "disabled", "1", needed())?;
            self.summary.push(format!("the network '{ssid}' of {radio} stays off the air, as it was"));
        }
        let place = Place::Named("wifi-device".into(), radio.to_owned());
        self.draft.borrow("wireless", &place, "disabled", "0", needed())?;
        self.summary.push(format!("{radio} is switched on"));
        Ok(())
    }

    fn iface_name(&self, network: &Network, radio: &str) -> String {
        let text = self.draft.shared("wireless");
        let document = parse(&text);
        let mut of_ours = of_kind(&document, "wifi-iface").filter(|iface| self.made("wireless", *iface));
        let present = of_ours.find(|iface| iface.text("ssid") == network.ssid && iface.text("device") == radio);
        present.map_or_else(|| self.free("wireless", &[&slug(&network.ssid), radio]), |iface| iface.name().to_owned())
    }

    fn iface(
        &mut self,
        network: &Network,
        radio: &str,
        name: &str,
        ssid: &Ssid,
        config: &Config,
        carried: &[String],
    ) -> Result<Vec<Opt>, Refused> {
        let six =
            named(&self.draft.document("wireless"), "wifi-device", radio).is_some_and(|radio| band(radio) == "6g");
        if six && ssid.security == Security::Wpa2 {
            let message = format!(
                "{radio} is a 6 GHz radio, where there is no WPA2: take --security wpa3 or mixed, or leave it out"
            );
            return Err(Refused::new("argument", "radio", message));
        }
        let encryption = match ssid.security {
            Security::Wpa2 => "psk2",
            Security::Wpa3 => "sae",
            Security::Mixed if six => "sae",
            Security::Mixed => "sae-mixed",
            Security::Enterprise | Security::Wired if six => "wpa3",
            Security::Enterprise | Security::Wired => "wpa2",
        };
        let enterprise = !ssid.security.has_keys();
        if carried.is_empty() && self.plain_network().is_empty() {
            let message = format!(
                "there is no network lan, so devices without a VLAN join '{}' and get nowhere: give its section an option network",
                network.ssid
            );
            if !self.warnings.contains(&message) {
                self.warnings.push(message);
            }
        }
        let mut options = vec![
            Opt::is("device", radio),
            Opt::is("mode", "ap"),
            Opt::is("ssid", &network.ssid),
            Opt::list("network", if carried.is_empty() { self.plain_network() } else { carried.to_vec() }).at_first(),
            Opt::is("encryption", encryption),
            if enterprise && !six { Opt::is("ieee80211w", "1").at_first() } else { Opt::none("ieee80211w") },
        ];
        // hostapd keeps stations of its own interface apart only when told so.
        let apart = config.profiles.iter().any(|profile| profile.vlan.is_none() && profile.isolate == Isolate::Yes);
        if apart {
            options.push(Opt::is("isolate", "1").at_first());
            // And the bridge those of one radio from those of another.
            options.push(Opt::is("bridge_isolate", "1").at_first());
        }
        options.push(Opt::is("dynamic_vlan", "1"));
        let mut raw: Vec<String> = Vec::new();
        match ssid.backend {
            Backend::Radius => {
                options.push(if enterprise { Opt::none("ppsk") } else { Opt::is("ppsk", "1") });
                options.extend(radius(config)?);
                options.push(Opt::none("key"));
                if !enterprise && self.facts.asks_in_handshake() {
                    raw.extend(["wpa_psk_radius=3".into(), "macaddr_acl=0".into()]);
                }
            }
            Backend::PskFile => {
                for option in [
                    "ppsk",
                    "auth_server",
                    "auth_port",
                    "auth_secret",
                    "acct_server",
                    "acct_port",
                    "acct_secret",
                    "nasid",
                ] {
                    options.push(Opt::none(option));
                }
                // OpenWrt wants a key; nobody is ever told this one.
                let key = self.secret(40);
                options.push(Opt::is("key", key.as_str()).at_first());
                if encryption != "sae" {
                    raw.push(format!("wpa_psk_file={}", ssid.psk_file.display()));
                }
                if encryption != "psk2" {
                    // A station that hostapd remembers would come back without its VLAN.
                    raw.extend(["disable_pmksa_caching=1".into(), "okc=0".into()]);
                }
            }
        }
        let text = self.draft.shared("wireless");
        let document = parse(&text);
        let present = named(&document, "wifi-iface", name);
        let present = present.map(|iface| iface.list("hostapd_bss_options")).unwrap_or_default();
        let theirs = present.into_iter().filter(|line| !RAW.iter().any(|ours| line.starts_with(ours)));
        options.push(Opt::list("hostapd_bss_options", theirs.map(str::to_owned).chain(raw)));
        Ok(options)
    }

    /// Where devices are that no profile gives a VLAN.
    fn plain_network(&self) -> Vec<String> {
        let text = self.draft.shared("network");
        let document = parse(&text);
        let lan = named(&document, "interface", "lan");
        lan.map(|lan| lan.name().to_owned()).into_iter().collect()
    }

    /// Radios without a country: what the ucode generator makes of one (`00`) makes hostapd refuse all of them.
    fn countries(&mut self, networks: &[Network], request: &Request) -> Result<(), Refused> {
        let missing: Vec<String> = {
            let text = self.draft.shared("wireless");
            let document = parse(&text);
            let on = of_kind(&document, "wifi-device").filter(|radio| !radio.flag("disabled"));
            on.filter(|radio| radio.text("country").is_empty()).map(|radio| radio.name().to_owned()).collect()
        };
        if missing.is_empty() || networks.is_empty() {
            return Ok(());
        }
        if let Some(country) = &request.country {
            if country.len() != 2 || !country.bytes().all(|octet| octet.is_ascii_uppercase()) {
                let message = format!("{} is no country: write two capital letters, DE for example", short(country));
                return Err(Refused::new("argument", "country", message));
            }
            for radio in &missing {
                let place = Place::Named("wifi-device".into(), radio.clone());
                let changed = self.draft.borrow("wireless", &place, "country", country, While::Any)?;
                if changed {
                    self.summary.push(format!("{radio} gets the country {country}"));
                }
            }
            return Ok(());
        }
        let message = no_country(&missing);
        if self.facts.generator == Generator::Ucode && !self.removing {
            return Err(Refused::new(
                "country",
                "country",
                format!("{message}; without, hostapd refuses every radio on this release"),
            ));
        }
        self.warnings.push(message);
        Ok(())
    }

    /// A wifi-vlan for each VLAN that has a network. Its name is the number, so that the interface's name
    /// (`phy0-ap0-4094`) stays within 15 characters.
    pub fn vlans(&mut self, groups: &[Group], networks: &[Network], config: &Config) -> Result<(), Refused> {
        let (ifaces, for_all) = {
            let text = self.draft.shared("wireless");
            let document = parse(&text);
            let wanted = |iface: &View<'_>| {
                networks
                    .iter()
                    .any(|n| n.ssid == iface.text("ssid") && n.radios.iter().any(|r| r == iface.text("device")))
            };
            let ifaces: Vec<String> = of_kind(&document, "wifi-iface")
                .filter(|iface| self.made("wireless", *iface) && wanted(iface))
                .map(|iface| iface.name().to_owned())
                .collect();
            let for_all = of_kind(&document, "wifi-vlan")
                .filter(|vlan| !self.made("wireless", *vlan) && vlan.list("iface").is_empty());
            let for_all: Vec<(String, Vec<String>)> = for_all
                .map(|vlan| {
                    (vlan.text("vid").to_owned(), vlan.list("network").iter().map(|n| (*n).to_owned()).collect())
                })
                .collect();
            (ifaces, for_all)
        };
        if ifaces.is_empty() {
            return Ok(());
        }
        let mut together: Vec<&str> = Vec::new();
        for group in groups {
            let number = group.vlan.to_string();
            if let Some((_, networks)) = for_all.iter().find(|(vid, _)| *vid == number) {
                if !networks.contains(&group.interface) {
                    self.warnings.push(format!(
                        "a section config wifi-vlan for all SSIDs leads VLAN {number} to network {}, not to {}: remove it",
                        networks.join(", "),
                        group.interface
                    ));
                }
                continue;
            }
            let apart = config.profiles.iter().any(|p| p.vlan == Some(group.vlan) && p.isolate == Isolate::Yes);
            let options = [
                Opt::list("iface", &ifaces),
                Opt::is("name", &number),
                Opt::is("vid", &number),
                Opt::list("network", [&group.interface]),
                if apart { Opt::is("bridge_isolate", "1") } else { Opt::none("bridge_isolate") },
            ];
            if self.ensure("wireless", "wifi-vlan", &ours(&[&group.id]), &options)? && apart {
                together.extend(group.profiles.iter().map(|name| &**name));
            }
        }
        // mac80211 passes frames on among the stations of one AP_VLAN interface whatever `ap_isolate` says (that is of the
        // BSS's own interface only), and `isolate` of a wifi-vlan is about the bridge's hairpin: bridge_isolate has that, too.
        if !together.is_empty() {
            self.warnings.push(format!(
                "devices of one VLAN reach each other while they are on the same radio (profiles {}): OpenWrt can keep apart \
                 only those on different radios",
                together.join(", ")
            ));
        }
        for profile in &config.profiles {
            let Some(vlan) = profile.vlan else { continue };
            if !groups.iter().any(|group| group.vlan == vlan)
                && !for_all.iter().any(|(vid, _)| *vid == vlan.to_string())
            {
                self.warnings.push(format!(
                    "profile {} (VLAN {vlan}) has no network here, so its devices cannot join: add --profile {0}",
                    profile.name
                ));
            }
        }
        Ok(())
    }

    /// A name for a section that no other has.
    pub fn free(&self, file: &'static str, words: &[&str]) -> String {
        let text = self.draft.shared(file);
        let document = parse(&text);
        let taken = |name: &str| document.sections.iter().any(|section| section.name.as_deref() == Some(name));
        let name = ours(words);
        (1..)
            .map(|n| if n == 1 { name.clone() } else { format!("{name}_{n}") })
            .find(|name| !taken(name))
            .unwrap_or_default()
    }
}

/// The band of a radio: `2g`, `5g`, `6g`; what `hwmode` says where the option is not there yet.
pub(super) fn band(radio: View<'_>) -> &str {
    match (radio.get("band"), radio.text("hwmode")) {
        (Some(band), _) => band,
        (None, "11a" | "a") => "5g",
        (None, "") => "",
        (None, _) => "2g",
    }
}

/// That radios have no country, with the mend.
pub(super) fn no_country(radios: &[String]) -> String {
    let first = radios.first().map(String::as_str).unwrap_or_default();
    format!(
        "{} no option country: --country DE sets it, or uci set wireless.{first}.country=DE (in place of DE, your country)",
        match radios {
            [one] => format!("{one} has"),
            more => format!("{} have", more.join(", ")),
        }
    )
}

fn shown(security: Security) -> &'static str {
    match security {
        Security::Wpa2 => "WPA2",
        Security::Wpa3 => "WPA3",
        Security::Mixed => "WPA2 and WPA3",
        Security::Enterprise | Security::Wired => "802.1X",
    }
}

/// An SSID as part of a section's name.
fn slug(ssid: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let slug: String = ssid.chars().take(20).map(plain).collect();
    let slug = slug.trim_matches('_');
    match slug {
        "" => "ssid".into(),
        // That is the client's.
        "local" => "ssid_local".into(),
        slug => slug.to_owned(),
    }
}

/// latchkey's configuration, for those who want to know what is in it and not whether it is right.
pub(super) fn lenient(text: &[u8]) -> Option<Config> {
    parse_config(text, "").ok()
}

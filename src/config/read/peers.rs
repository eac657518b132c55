//! `config radsec`, and what realms, clients and listeners get wrong only together.

use super::super::Config;
use super::super::error::quoted;
use super::super::realm::{Host, Pattern, Radsec, Realm, Server, Target, Transport};
use super::latchkey::MAX_LISTEN;
use super::realm::no_profile;
use super::{Reader, Scope, title};
use crate::sorted::SortedMap;
use crate::wire::uci::{Entry, Section};
use std::net::{IpAddr, SocketAddr};

/// Sections of realms: each is looked at for every device that comes.
const MAX_REALMS: usize = 64;
/// Where RADIUS over TLS is (RFC 6614, 2.1), and dynamic authorization (RFC 5176, 2.1).
const RADSEC_PORT: u16 = 2083;
const COA_PORT: u16 = 3799;

impl Scope<'_, '_> {
    pub(super) fn radsec(&mut self) -> Radsec {
        let tls = self.tls();
        Radsec {
            listen: self.listen_with_port("listen", RADSEC_PORT),
            tls,
            coa_listen: self.listen_with_port("coa_listen", COA_PORT),
        }
    }

    /// IP addresses of this box, with or without port.
    fn listen_with_port(&mut self, name: &'static str, port: u16) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for entry in self.entries(name) {
            let Some(text) = self.text(entry) else { continue };
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            let address = match bare.parse::<IpAddr>() {
                Ok(address) => Ok(SocketAddr::new(address, port)),
                Err(_) => text.parse::<SocketAddr>(),
            };
            let Ok(address) = address else {
                let form = format!("write 0.0.0.0:{port}, 192.0.2.1 or [::]:{port}");
                self.error(entry.line, Some(name), format!("{} is no IP address of this box: {form}", quoted(text)));
                continue;
            };
            if addresses.contains(&address) && address.port() != 0 {
                self.error(entry.line, Some(name), format!("{address} is given twice: remove one"));
            } else if addresses.len() == MAX_LISTEN {
                self.error(entry.line, Some(name), format!("more than {MAX_LISTEN} addresses: remove some"));
                break;
            } else {
                addresses.push(address);
            }
        }
        addresses
    }
}

impl Server {
    /// True when it can only be on this host.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => matches!(&**name, "localhost") || name.ends_with(".localhost"),
        }
    }
}

/// The line of a value of a section, as it was read.
fn line_of(section: &Section<'_>, option: &str, meant: impl Fn(&str) -> bool) -> u32 {
    let is_it =
        |entry: &&Entry<'_>| &*entry.name == option && std::str::from_utf8(entry.value.octets()).is_ok_and(&meant);
    section.entries.iter().find(is_it).map_or(section.line, |entry| entry.line)
}

impl Reader {
    /// What only shows when all sections are read.
    pub(super) fn peers(&mut self, config: &Config, realms: &[&Section<'_>], radsec: Option<&Section<'_>>) {
        self.realms_apart(config, realms);
        for (realm, section) in config.realms.iter().zip(realms) {
            self.profiles_exist(config, realm, section);
            self.not_ourselves(config, realm, section);
            self.doubtful(config, realm, section);
        }
        self.radsec_fits(config, radsec);
    }

    /// Names and realms that two sections have.
    fn realms_apart(&mut self, config: &Config, sections: &[&Section<'_>]) {
        let mut taken: SortedMap<&Pattern, u32> = SortedMap::new();
        let mut names: SortedMap<String, u32> = SortedMap::new();
        for (index, (realm, section)) in config.realms.iter().zip(sections).enumerate() {
            if index == MAX_REALMS {
                let message =
                    format!("more than {MAX_REALMS} realms: put those with the same servers into one section");
                self.push(section.line, title(section), None, message);
            }
            if let Some(first) = names.insert(realm.name.to_ascii_lowercase(), section.line) {
                let message = format!("the section on line {first} has this name already: choose another");
                self.push(section.line, title(section), None, message);
            }
            for pattern in &realm.patterns {
                let line = line_of(section, "realm", |text| text.parse().as_ref() == Ok(pattern));
                if let Some(first) = taken.insert(pattern, line) {
                    let message = format!(
                        "{} is that of the section with line {first} already: remove one",
                        quoted(&pattern.to_string())
                    );
                    self.push(line, title(section), Some("realm"), message);
                }
            }
        }
    }

    fn profiles_exist(&mut self, config: &Config, realm: &Realm, section: &Section<'_>) {
        if self.damaged {
            return;
        }
        let of_realm = realm.profile.iter().map(|profile| ("profile", profile));
        let of_answers = realm.last_good.iter().flat_map(|last| &last.profiles).map(|p| ("last_good_profile", p));
        for (option, profile) in of_realm.chain(of_answers) {
            if config.profile(profile).is_none() {
                let message = no_profile(profile, config.profiles.iter().map(|p| &*p.name));
                let line = line_of(section, option, |text| text == &**profile);
                self.push(line, title(section), Some(option), message);
            }
        }
    }

    /// A server that is this daemon: what goes there would come back for ever.
    fn not_ourselves(&mut self, config: &Config, realm: &Realm, section: &Section<'_>) {
        let Target::Servers(servers) = &realm.target else { return };
        for server in servers {
            let (auth, acct) = (("auth_listen", &config.main.auth_listen), ("acct_listen", &config.main.acct_listen));
            let listen = match server.transport {
                Transport::Udp => vec![auth, acct, ("coa_listen", &config.radsec.coa_listen)],
                Transport::Radsec => vec![("listen", &config.radsec.listen)],
            };
            let here = |address: IpAddr| {
                let of_profiles = config.profiles.iter().flat_map(|profile| &profile.addresses);
                address.is_loopback() || of_profiles.map(|host| host.address).any(|own| own == address)
            };
            let is = |listen: &SocketAddr| {
                let at = listen.ip().to_canonical();
                listen.port() == server.port
                    && match &server.host {
                        Host::Address(address) => at == *address || (at.is_unspecified() && here(*address)),
                        Host::Name(_) => server.is_loopback() && (at.is_unspecified() || at.is_loopback()),
                    }
            };
            let Some((option, _)) = listen.iter().find(|(_, addresses)| addresses.iter().any(is)) else { continue };
            let line = line_of(section, "server", |text| text.parse().as_ref() == Ok(server));
            let message = format!(
                "{server} is this daemon itself ({option}), so that requests would go round in circles: name the other \
                 server, or write list server 'local'"
            );
            self.push(line, title(section), Some("server"), message);
        }
    }

    /// What works, but is probably not meant.
    fn doubtful(&mut self, config: &Config, realm: &Realm, section: &Section<'_>) {
        let title = title(section);
        if realm.target != Target::Local {
            let ours = realm.patterns.iter().find(|pattern| match pattern {
                Pattern::Exact(name) => *name == config.eap.realm,
                Pattern::Below(name) => config.eap.realm.strip_suffix(&**name).is_some_and(|rest| rest.ends_with('.')),
                Pattern::Default => false,
            });
            if let Some(pattern) = ours {
                let line = line_of(section, "realm", |text| text.parse().as_ref() == Ok(pattern));
                let message = format!(
                    "{} includes '{}', the realm of the identities that are made here: its devices are asked for at the \
                     servers, but for those registered with EAP-PSK; remove it unless that is meant",
                    quoted(&pattern.to_string()),
                    config.eap.realm
                );
                self.warn(line, title.clone(), Some("realm"), message);
            }
        }
        if realm.last_good.is_some() {
            let is_default = realm.patterns.contains(&Pattern::Default);
            let has_keys = config.ssids.is_empty() || config.ssids.iter().any(|ssid| ssid.security.has_keys());
            let why = match (is_default, has_keys) {
                (false, _) => Some("list realm 'default' only: devices of other realms come with EAP"),
                (true, false) => Some("Wi-Fi keys only, and every network has 802.1X"),
                (true, true) => None,
            };
            if let Some(why) = why {
                let message = format!(
                    "has an effect with {why}, and of EAP no answer can be kept, since only their server has the \
                     credentials; remove it"
                );
                self.warn(line_of(section, "last_good", |_| true), title.clone(), Some("last_good"), message);
            }
        }
        let Target::Servers(servers) = &realm.target else { return };
        for server in servers.iter().filter(|server| server.transport == Transport::Udp) {
            if let Host::Address(address) = &server.host
                && is_public(*address)
            {
                let line = line_of(section, "server", |text| text.parse().as_ref() == Ok(server));
                let message = format!(
                    "{server} is on the Internet, where everybody on the way sees who joins: use radsec:// if the \
                     server knows it, or a tunnel"
                );
                self.warn(line, title.clone(), Some("server"), message);
            }
        }
    }

    /// Clients and listeners of RadSec belong together.
    fn radsec_fits(&mut self, config: &Config, section: Option<&Section<'_>>) {
        let udp: Vec<&SocketAddr> = config.main.auth_listen.iter().chain(&config.main.acct_listen).collect();
        if let Some(section) = section {
            for address in &config.radsec.coa_listen {
                if address.port() != 0 && udp.contains(&address) {
                    let line = line_of(section, "coa_listen", |text| text.starts_with(&address.ip().to_string()));
                    let message =
                        format!("{address} is where requests are received (auth_listen, acct_listen): choose another");
                    self.push(line, title(section), Some("coa_listen"), message);
                }
            }
        }
        if self.damaged {
            return;
        }
        let by_certificate = config.clients.iter().find(|client| client.radsec.is_some());
        let line = section.map_or(1, |section| section.line);
        match by_certificate {
            Some(client) if config.radsec.listen.is_empty() => {
                let message = format!(
                    "is missing, so client '{}' cannot connect with its certificate: add list listen '0.0.0.0:{RADSEC_PORT}' to \
                     config radsec",
                    client.name
                );
                self.warn(line, "config radsec".into(), Some("listen"), message);
            }
            None if !config.radsec.listen.is_empty() => {
                let message =
                    "nobody may connect: add config client with option radsec and the name in its certificate";
                self.warn(line, "config radsec".into(), Some("listen"), message.into());
            }
            _ => {}
        }
        let has_udp = |realm: &Realm| matches!(&realm.target, Target::Servers(servers) if servers.iter().any(|s| s.transport == Transport::Udp));
        if !config.radsec.coa_listen.is_empty() && !config.realms.iter().any(has_udp) {
            let message = "has no effect: no realm has a udp:// server, and from RadSec servers requests come on our own \
                           connections; remove it";
            self.warn(line, "config radsec".into(), Some("coa_listen"), message.into());
        }
    }
}

/// True for an address that strangers route; not for those of documents (RFC 5737, RFC 3849).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            // 100.64.0.0/10: a provider's own network (RFC 6598).
            let shared = a.octets().first() == Some(&100) && a.octets().get(1).is_some_and(|b| b & 0xc0 == 64);
            !(a.is_private() || a.is_loopback() || a.is_link_local() || a.is_documentation() || shared)
        }
        IpAddr::V6(a) => {
            let [first, second, ..] = a.segments();
            first & 0xe000 == 0x2000 && (first, second) != (0x2001, 0x0db8)
        }
    }
}

//! The configuration: what the administrator wrote in `/etc/config/latchkey`, checked and typed.
//!
//! [`Config::parse`] reports everything wrong with a file at once, each with line, section, option and mend. What
//! works but is probably not meant becomes one of [`Config::warnings`]. Unknown sections and options are errors: a
//! misspelt option must not silently mean its default.

mod error;
mod file;
mod journal;
mod limits;
mod plan;
mod prefix;
mod profile;
mod read;
mod realm;
mod repoint;
mod server;

pub use error::{ConfigError, LoadError};
pub use file::{DiffLine, ReplaceError, read_text, recover, replace};
pub use limits::{Allow, AllowError, HostAddress, HostAddressError, Hours, HoursError, Protocol};
pub use plan::{Plan, PlanError};
pub use prefix::{Prefix, PrefixError};
pub use profile::{Action as ProfileAction, Options as ProfileOptions, ProfileEdit};
pub use realm::{
    Host, LastGood, MacShare, Pattern, Placement, Radsec, Realm, Register, Server, Share, Target, Tls, Transport,
};
pub(crate) use repoint::no_realm;
pub use repoint::{Repoint, To};
pub use server::{PatternError, ServerError};

use crate::secret::{Passphrase, RadiusSecret};
use crate::wire::uci;
use std::fs::Metadata;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the registry is kept unless the configuration says otherwise.
pub const STATE_DIR: &str = "/etc/latchkey";

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The daemon itself.
    pub main: Main,
    /// The NASes that may ask, in the order of the file.
    pub clients: Vec<Client>,
    /// What devices may have, in the order of the file.
    pub profiles: Vec<Profile>,
    /// The networks, in the order of the file.
    pub ssids: Vec<Ssid>,
    /// Authentication with EAP.
    pub eap: Eap,
    /// Who else says who a device is, in the order of the file.
    pub realms: Vec<Realm>,
    /// RADIUS over TLS.
    pub radsec: Radsec,
    /// What is allowed but doubtful, ready for the log: with line, and with the file's name after [`Config::load`].
    pub warnings: Vec<String>,
}

/// `config latchkey`: the daemon. The section may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// Whether the system is to start the daemon; it is by default. Whoever starts it by hand means it, so it runs then.
    pub enabled: Enabled,
    /// Where ubusd is found; `auto` by default.
    pub ubus: UbusAt,
    /// Where the registry database lives. An absolute path; `/etc/latchkey` by default.
    pub state_dir: PathBuf,
    /// The control socket: an absolute path of at most 107 octets (`sun_path`); `/var/run/latchkey/latchkey.sock` by
    /// default.
    pub control_socket: PathBuf,
    /// Where Access-Requests are received; `127.0.0.1:1812` by default. Never empty.
    pub auth_listen: Vec<SocketAddr>,
    /// Where Accounting-Requests are received; `127.0.0.1:1813` by default. Never empty.
    pub acct_listen: Vec<SocketAddr>,
    /// Where hostapd on this box has its control sockets: an absolute path of at most 80 octets; `/var/run/hostapd` by
    /// default. `None` when the option is empty: hostapd is left alone.
    pub hostapd_dir: Option<PathBuf>,
    /// How much is logged; `info` by default.
    pub log_level: LogLevel,
    /// Whether the bridges of the profiles are ours to make; `leave` by default.
    pub bridges: Bridges,
    /// An interface over which the VLANs of the profiles go on to other switches, tagged (IEEE 802.1Q).
    pub uplink: Option<Arc<str>>,
    /// Whether `access` is enforced on this box; `on` by default.
    pub firewall: Firewall,
    /// The interfaces that lead to the Internet. Empty: those of the default routes.
    pub wan: Vec<Arc<str>>,
    /// The time zone of schedules as in POSIX `TZ` (`CET-1CEST,M3.5.0,M10.5.0/3`). `None`: the system's.
    pub timezone: Option<Arc<str>>,
    /// The group that may read the key files, which is hostapd's. `None`: `network` if there is such a group (OpenWrt),
    /// else nobody but root.
    pub psk_group: Option<Arc<str>>,
}

/// Whether the system starts the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// It does: the default.
    Yes,
    /// It does not: what a package brings with it, until somebody has set it up.
    No,
}

/// Where ubusd is found (OpenWrt's message bus).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UbusAt {
    /// At its usual place, if it is there.
    Auto,
    /// It is left alone.
    Off,
    /// At this socket: an absolute path of at most 107 octets (`sun_path`).
    At(PathBuf),
}

/// Whether the bridges of the profiles are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridges {
    /// Somebody else makes them (netifd on OpenWrt, hostapd's `vlan_bridge`): the default.
    Leave,
    /// They are made, filled, given their addresses, repaired, and removed at the end.
    Manage,
}

/// Whether what a profile may reach is enforced on this box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// By an nftables table of our own: the default.
    On,
    /// By somebody else.
    Off,
}

/// How much is logged: each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What must be mended.
    Error,
    /// What should be looked at.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Every packet.
    Trace,
}

/// `config client`: a NAS that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The section's name, or `@client[N]` as `uci show` writes it.
    pub name: Arc<str>,
    /// The addresses it asks from; [`Prefix::ANY`] for one that comes over RadSec, unless the configuration limits it.
    pub address: Prefix,
    /// The secret shared with it. At least 16 octets unless it is on this host.
    pub secret: RadiusSecret,
    /// Whether its Access-Requests must carry a Message-Authenticator.
    pub message_authenticator: MessageAuthenticator,
    /// The UDP port on which it takes Disconnect-Requests (RFC 5176), `radius_das_port` of hostapd. `None`: it takes none.
    pub disconnect_port: Option<u16>,
    /// It comes over RadSec, with a certificate of this name (dNSName or iPAddress; of our own CA, the device's name), in lower
    /// case. Its secret is `radsec` then,
    /// and its address a limit from where.
    pub radsec: Option<Arc<str>>,
}

/// Whether Access-Requests without a Message-Authenticator (RFC 3579, 3.2) are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageAuthenticator {
    /// They are dropped: the default. Every hostapd sends it, and without it replies can be forged (Blast-RADIUS).
    Required,
    /// They are answered: for a NAS that cannot send it.
    Optional,
}

/// `config profile`: what a kind of device may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The section's name, which devices refer to.
    pub name: Arc<str>,
    /// The VLAN, 1 to 4094. `None`: the network the SSID itself is bridged to.
    pub vlan: Option<u16>,
    /// What it reaches.
    pub access: Access,
    /// What it reaches besides.
    pub allow: Vec<Allow>,
    /// Whether its devices are kept from each other: the default.
    pub isolate: Isolate,
    /// When its devices may be on the air, in local time. Empty: always.
    pub hours: Vec<Hours>,
    /// The bridge of its VLAN, 1 to 15 octets. `brvlan` with the number of the VLAN by default, which is what hostapd's
    /// `vlan_bridge=brvlan` makes; `None` only when there is neither VLAN nor option.
    pub bridge: Option<Arc<str>>,
    /// The addresses of this box in its network, set on the bridge.
    pub addresses: Vec<HostAddress>,
}

/// Whether the devices of a profile are kept from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolate {
    /// They do not reach each other.
    Yes,
    /// They do.
    No,
}

/// What the devices of a profile reach. The firewall enforces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The Internet, and nothing in the other VLANs.
    Internet,
    /// Neither the Internet nor the other VLANs: the default, since what was forgotten must not open anything.
    Isolated,
    /// Everything.
    Full,
}

/// `config eap`: authentication with EAP (IEEE 802.1X). The section may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eap {
    /// The realm of the network access identifiers that are made up for devices (RFC 7542): 1 to 200 octets;
    /// `latchkey.home.arpa` by default.
    pub realm: Arc<str>,
    /// Our name: the dNSName of our certificate, and ID_S of EAP-PSK. 1 to 253 octets; `latchkey.home.arpa` by default.
    pub server_name: Arc<str>,
    /// The files of our certificate with its chain, and of its private key (PEM); absolute paths. `None`: both are made,
    /// under a CA of our own.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The oldest TLS that is spoken; `1.2` by default.
    pub tls_min: TlsVersion,
    /// Whether a maker's certificate counts only while there is a revocation list for it; `0` by default.
    pub crl_required: CrlRequired,
    /// The methods that are offered, the first to be proposed first; never empty. All by default.
    pub methods: Vec<EapMethod>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Whether certificates need a revocation list to be checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlRequired {
    /// They are checked where there is one.
    No,
    /// Without one they do not count.
    Yes,
}

/// An EAP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EapMethod {
    /// EAP-TLS (RFC 5216, RFC 9190).
    Tls,
    /// EAP-PSK (RFC 4764).
    Psk,
}

/// `config ssid`: a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssid {
    /// The section's name, or `@ssid[N]` as `uci show` writes it.
    pub section: Arc<str>,
    /// The SSID: 1 to 32 octets (IEEE 802.11-2020, 9.4.2.2), by convention UTF-8. Empty for the security `wired`.
    pub ssid: Arc<[u8]>,
    /// Which security the network offers; decides between PMK and passphrase in the answer.
    pub security: Security,
    /// What becomes of devices that are not registered.
    pub unknown: Unknown,
    /// How hostapd learns the keys; over RADIUS by default.
    pub backend: Backend,
    /// hostapd's `wpa_psk_file` for this network, written with the backend `psk-file`. An absolute path, best on a tmpfs;
    /// `/var/run/latchkey/psk/` and the section's name by default.
    pub psk_file: PathBuf,
}

/// How hostapd learns the keys of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// It asks over RADIUS.
    Radius,
    /// It reads them from a file, and is told SAE passwords over its control socket.
    PskFile,
}

/// The security a network offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// WPA2 Personal (PSK): the default.
    Wpa2,
    /// WPA3 Personal (SAE).
    Wpa3,
    /// WPA2/WPA3 transition: PSK and SAE.
    Mixed,
    /// WPA2 or WPA3 Enterprise (802.1X): EAP, and no Wi-Fi keys.
    Enterprise,
    /// 802.1X on a cable: no SSID, EAP only.
    Wired,
}

impl Security {
    /// True when devices join with Wi-Fi keys; else only with EAP.
    pub fn has_keys(self) -> bool {
        matches!(self, Security::Wpa2 | Security::Wpa3 | Security::Mixed)
    }
}

/// What becomes of devices that are not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// They are refused: the default.
    Reject,
    /// They are let into a profile of their own by a key they share.
    Quarantine {
        /// The profile; it exists.
        profile: Arc<str>,
        /// The key that everybody may know.
        onboarding_key: Passphrase,
    },
    /// They are refused, but in a pairing window the next one with this key is registered.
    Pairing {
        /// The key that everybody may know. Outside a window it lets in nobody who is not registered.
        onboarding_key: Passphrase,
    },
}

impl Unknown {
    /// The key that devices without a key of their own use, if there is one.
    pub fn onboarding_key(&self) -> Option<&Passphrase> {
        match self {
            Unknown::Quarantine { onboarding_key, .. } | Unknown::Pairing { onboarding_key } => Some(onboarding_key),
            Unknown::Reject => None,
        }
    }
}

macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl $type {
            /// Every value with its word in the configuration.
            pub const WORDS: &'static [(&'static str, $type)] = &[$(($word, $type::$variant)),+];

            /// The word used in the configuration and in messages.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(LogLevel: Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace");
words!(MessageAuthenticator: Required = "required", Optional = "optional");
words!(Access: Internet = "internet", Isolated = "isolated", Full = "full");
words!(Enabled: Yes = "1", No = "0");
words!(Bridges: Leave = "leave", Manage = "manage");
words!(Firewall: On = "on", Off = "off");
words!(Isolate: Yes = "1", No = "0");
words!(TlsVersion: V1_2 = "1.2", V1_3 = "1.3");
words!(CrlRequired: No = "0", Yes = "1");
words!(EapMethod: Tls = "tls", Psk = "psk");
words!(Backend: Radius = "radius", PskFile = "psk-file");
words!(Transport: Udp = "udp", Radsec = "radsec");
words!(Register: Yes = "1", No = "0");
words!(Share: Needed = "needed", All = "all");
words!(MacShare: Real = "real", Pseudonym = "pseudonym");
words!(Placement: Ours = "ours", Server = "server");
words!(Security: Wpa2 = "wpa2", Wpa3 = "wpa3", Mixed = "mixed", Enterprise = "enterprise", Wired = "wired");

impl Config {
    /// Checks and types a configuration. UCI values are octets (an SSID need not be UTF-8), so text or octets do.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Config, Vec<ConfigError>> {
        let (mut config, warnings) = read::read(&uci::parse(text.as_ref()))?;
        config.warnings = warnings.iter().map(ConfigError::to_string).collect();
        Ok(config)
    }

    /// Reads a configuration file of at most [`uci::MAX_FILE`] octets. Warns when others than its owner can read or
    /// write it.
    ///
    /// # Errors
    /// Why it cannot be read, or everything that is wrong with it, each line beginning with the file's name.
    pub fn load(path: &Path) -> Result<Config, LoadError> {
        let (text, metadata) = file::read(path).map_err(|why| LoadError(vec![file::unreadable(path, &why)]))?;
        let (mut config, warnings) = read::read(&uci::parse(&text))
            .map_err(|errors| LoadError(errors.iter().map(|e| e.in_file(path)).collect()))?;
        config.warnings = warnings.iter().map(|w| w.in_file(path)).collect();
        config.warnings.extend(exposed(path, &metadata, &config));
        config.warnings.extend(files(&config));
        Ok(config)
    }

    /// The client that an address asks as over UDP: of several blocks, the smallest. Allocates nothing.
    pub fn client_for(&self, address: IpAddr) -> Option<&Client> {
        let udp = self.clients.iter().filter(|c| c.radsec.is_none());
        udp.filter(|c| c.address.contains(address)).max_by_key(|c| c.address.length())
    }

    /// What `config realm` has under this name, compared without case.
    pub fn realm(&self, name: &str) -> Option<&Realm> {
        self.realms.iter().find(|realm| realm.name.eq_ignore_ascii_case(name))
    }

    /// The profile of this name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|p| &*p.name == name)
    }

    /// The profile of devices for which none was named: the first in the file.
    pub fn default_profile(&self) -> Option<&Profile> {
        self.profiles.first()
    }

    /// The network of this SSID, compared octet for octet; of the empty one, what is on a cable.
    pub fn ssid(&self, ssid: &[u8]) -> Option<&Ssid> {
        self.ssids.iter().find(|s| *s.ssid == *ssid)
    }
}

/// A warning when others can read the secrets in a file, or write it.
fn exposed(path: &Path, metadata: &Metadata, config: &Config) -> Option<String> {
    let mode = metadata.mode() & 0o7777;
    let secrets = config.clients.iter().any(|c| c.radsec.is_none())
        || config.realms.iter().any(|realm| realm.secret.is_some())
        || config.ssids.iter().any(|s| s.unknown.onboarding_key().is_some());
    let what = match (mode & 0o022 != 0, mode & 0o044 != 0 && secrets) {
        (true, _) => "others than its owner can change it",
        (false, true) => "it holds secrets and others than its owner can read it",
        _ => return None,
    };
    Some(format!("{0}: {what} (mode {mode:04o}): chmod 600 {0}", path.display()))
}

/// Warnings about the files of TLS: those that are not there, and keys that others can read or change.
fn files(config: &Config) -> Vec<String> {
    let realms = config.realms.iter().map(|realm| (format!("config realm '{}'", realm.name), &realm.tls));
    let mut warnings = Vec::new();
    for (title, tls) in realms.chain([("config radsec".to_owned(), &config.radsec.tls)]) {
        let (certificate, key) = tls.certificate.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
        for (option, file) in [("ca", tls.ca.as_ref()), ("certificate", certificate), ("private_key", key)] {
            let Some(file) = file else { continue };
            let mode = match std::fs::metadata(file) {
                Ok(metadata) => metadata.mode() & 0o7777,
                Err(why) => {
                    let file = file.display();
                    warnings
                        .push(format!("{title}: option {option}: {file} cannot be read: {why}: put the file there"));
                    continue;
                }
            };
            let (others, what) = match option {
                "private_key" => (0o066, "it is a private key and others than its owner can get at it"),
                _ => (0o022, "others than its owner can change it"),
            };
            if mode & others != 0 {
                let mend = if others == 0o066 { "600" } else { "go-w" };
                let file = file.display();
                warnings
                    .push(format!("{title}: option {option}: {file}: {what} (mode {mode:04o}): chmod {mend} {file}"));
            }
        }
    }
    warnings
}

/// Everything an input of any octets can reach, for fuzzing: the parser, the typing, the messages and the lookups.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    match Config::parse(data) {
        Ok(config) => {
            let _ = config.client_for(IpAddr::from([127, 0, 0, 1])).map(|c| c.secret.expose().len());
            for realm in &config.realms {
                assert!(config.realm(&realm.name).is_some_and(|found| found == realm));
                assert!(
                    realm.profile.as_deref().map_or(realm.target == Target::Local, |p| config.profile(p).is_some())
                );
                for pattern in &realm.patterns {
                    assert_eq!(pattern.to_string().parse().as_ref(), Ok(pattern));
                }
                if let Target::Servers(servers) = &realm.target {
                    assert!(servers.iter().all(|server| server.to_string().parse().as_ref() == Ok(server)));
                }
            }
            let _ = config.default_profile().and_then(|p| config.profile(&p.name));
            for ssid in &config.ssids {
                assert!(config.ssid(&ssid.ssid).is_some());
                if let Unknown::Quarantine { profile, .. } = &ssid.unknown {
                    assert!(config.profile(profile).is_some());
                }
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|e| e.line > 0 && !e.to_string().contains('\n')));
        }
    }
}

/// True for a domain name: labels of letters, digits and hyphens between dots, 253 octets at most (RFC 1034,
/// 3.5).
pub fn is_host_name(text: &str) -> bool {
    server::is_domain(text, 253)
}

#[cfg(test)]
mod tests;

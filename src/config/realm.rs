//! `config realm` and `config radsec`, typed.

use crate::registry::maker::Admit;
use crate::secret::RadiusSecret;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// `config realm`: somebody who says who a device is. Only who: VLAN and limits are the profile's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// The section's name: what this party is called in events and refusals, and the maker its devices belong to.
    pub name: Arc<str>,
    /// Which realms of network access identifiers it is for (RFC 7542); never empty.
    pub patterns: Vec<Pattern>,
    /// Where they are authenticated.
    pub target: Target,
    /// The secret shared with servers that are reached over UDP. `None` only when there is none.
    pub secret: Option<RadiusSecret>,
    /// What RadSec needs.
    pub tls: Tls,
    /// The profile of its devices; it exists. `None` only for [`Target::Local`].
    pub profile: Option<Arc<str>>,
    /// Which of its devices may in; `listed` by default, `all` for [`Pattern::Default`].
    pub admit: Admit,
    /// Whether a device that is let in for the first time is registered; by default all are, but those of
    /// [`Pattern::Default`], whose server is the registry.
    pub register: Register,
    /// The longest time a device stays without being asked anew, in seconds: 60 to 604800; 86400 by default. A server can
    /// shorten it (Session-Timeout), not extend it.
    pub session_timeout: u32,
    /// What its servers are told; `needed` by default, `all` for [`Pattern::Default`].
    pub share: Share,
    /// Which address of a device its servers are told.
    pub mac: MacShare,
    /// Whose VLAN it is; `ours` by default.
    pub placement: Placement,
    /// How long a device that was let in before is let in when no server answers. `None`: not at all, the default.
    pub last_good: Option<LastGood>,
}

/// Which realms a section is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// This realm, in lower case.
    Exact(Arc<str>),
    /// All sub-domains of this realm, not itself; written `*.realm`; in lower case.
    Below(Arc<str>),
    /// Everything that is neither ours nor in another section; written `default`.
    Default,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(realm) => f.write_str(realm),
            Pattern::Below(realm) => write!(f, "*.{realm}"),
            Pattern::Default => f.write_str("default"),
        }
    }
}

/// Where the devices of a realm are authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Here; written `list server 'local'`.
    Local,
    /// By these servers, the first that answers; 1 to 8.
    Servers(Vec<Server>),
    /// By servers that DNS tells (RFC 7585); `option discover '1'`.
    Discover,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// How it is reached.
    pub transport: Transport,
    /// Where.
    pub host: Host,
    /// The port; 1812 or 2083 by default.
    pub port: u16,
}

impl fmt::Display for Server {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "{}://[{address}]:{}", self.transport, self.port),
            Host::Address(address) => write!(f, "{}://{address}:{}", self.transport, self.port),
            Host::Name(name) => write!(f, "{}://{name}:{}", self.transport, self.port),
        }
    }
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RADIUS over UDP (RFC 2865).
    Udp,
    /// RADIUS over TLS (RFC 6614).
    Radsec,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// At this address.
    Address(IpAddr),
    /// At the addresses of this name, in lower case.
    Name(Arc<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// What RadSec needs, towards servers or from clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The file of the authorities whose certificates count (PEM, one or several). `None`: our own CA's.
    pub ca: Option<PathBuf>,
    /// The files of the certificate we show and of its key. `None`: those of `config radsec`, or what we have made.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name the server's certificate has to have (dNSName, iPAddress). `None`: the host's.
    pub name: Option<Arc<str>>,
}

/// Whether devices that are let in for the first time are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// They are, and can be named, blocked and limited like any other.
    Yes,
    /// They are not.
    No,
}

/// What servers are told of a device and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// What is needed to authenticate it: outer identity, EAP, its address.
    Needed,
    /// All that the NAS says.
    All,
}

/// Which address of a device servers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacShare {
    /// Its own: the default.
    Real,
    /// Always the same other one, which another server is not told.
    Pseudonym,
}

/// Whose VLAN it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// That of the realm's profile, or the device's.
    Ours,
    /// The one the server names, if a profile has it; for an online server of our own only.
    Server,
}

/// Letting in without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastGood {
    /// For how long after its last answer, in seconds: 60 to 2592000.
    pub seconds: u32,
    /// In which profiles; all if empty.
    pub profiles: Vec<Arc<str>>,
}

/// `config radsec`: RADIUS over TLS (RFC 6614). The section may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Radsec {
    /// Where clients connect (2083 by default); empty: nobody can.
    pub listen: Vec<SocketAddr>,
    /// Our certificate in both directions, and the authorities of clients.
    pub tls: Tls,
    /// Where Disconnect- and CoA-Requests of the realms' servers are received over UDP (RFC 5176, 3799); empty: nowhere.
    /// Over RadSec they come on our own connections.
    pub coa_listen: Vec<SocketAddr>,
}

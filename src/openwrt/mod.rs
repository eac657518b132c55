//! latchkey's networks in OpenWrt's own configuration (UCI): files in, plan out, no I/O.
//!
//! Each profile's VLAN becomes a bridge, interface, DHCP pool and firewall zone that netifd and fw4 make, each SSID a
//! wifi-iface that hostapd is made of. Sections that are ours have names that begin with `lk_`, and are recorded, since
//! others may have such names, too; of others single options are changed where it has to be, and what stood there is
//! remembered ([`record`]). A plan is the difference between the
//! files and what is wanted: after it was carried out the next one is empty.
//!
//! By default a VLAN gets a bridge of its own, without ports: turning on VLAN filtering on a bridge that does not have it
//! would cut off everybody behind it, who administers the box included.

mod address;
mod diff;
pub mod draft;
pub mod facts;
mod network;
mod plan;
mod radius;
pub mod record;
mod status;
mod view;
mod wireless;

pub use diff::Line;
pub use plan::{FileChange, Plan, plan};
pub use status::status;

use crate::config::Security;
use crate::wire::uci::edit::EditError;
use facts::Facts;
use record::Record;
use zeroize::Zeroizing;

/// What the box has: the files in `/etc/config`, what is known of its system, and what was changed before.
pub struct Tree {
    /// Files of [`draft::FILES`] with their content; `None` for those that are not there.
    pub files: Vec<(&'static str, Option<Zeroizing<Vec<u8>>>)>,
    /// The system.
    pub facts: Facts,
    /// What was changed of others before.
    pub record: Record,
}

impl Tree {
    /// A file's content; `None` when it is not there.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        let (_, text) = self.files.iter().find(|(file, _)| *file == name)?;
        text.as_ref().map(|text| text.as_slice())
    }
}

/// What is asked for. What there is already stays, and is written as this release and latchkey's configuration want it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// An SSID to be served.
    pub ssid: Option<SsidRequest>,
    /// Profiles to get a network. With an SSID, none named means all that have a VLAN.
    pub profiles: Vec<String>,
    /// The bridge that their networks are to be VLANs of; without it each gets one of its own.
    pub bridge: Option<BridgeRequest>,
    /// The country for radios that have none, as in ISO 3166-1: two capital letters.
    pub country: Option<String>,
}

/// An SSID to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsidRequest {
    /// The SSID: 1 to 32 octets.
    pub ssid: String,
    /// The radios, by their sections' names. Empty: those it is on, else all that are switched on.
    pub radios: Vec<String>,
    /// `None`: that of latchkey's configuration, else WPA2.
    pub security: Option<Security>,
    /// Networks of this SSID that are not ours are switched off.
    pub take_over: bool,
}

/// A bridge that filters VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeRequest {
    /// Its name.
    pub name: String,
    /// Ports that carry the VLAN, and whether tagged (IEEE 802.1Q).
    pub ports: Vec<(String, bool)>,
}

/// What is to go. Nothing named: everything that is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Profiles whose networks go.
    pub profiles: Vec<String>,
    /// SSIDs that go.
    pub ssids: Vec<String>,
}

/// What to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Have this.
    Have(Request),
    /// Have it no more.
    Remove(Removal),
}

/// Why there is no plan. No text quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For programs: `argument`, `config`, `not_openwrt`, `lockout`, `taken`, `country`, `wpad`.
    pub code: &'static str,
    /// What was asked and cannot be, with the mend.
    pub message: String,
    /// The argument it is about; empty for none.
    pub field: &'static str,
}

impl Refused {
    fn new(code: &'static str, field: &'static str, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), field }
    }

    fn file(file: &str, why: &EditError) -> Refused {
        Refused::new("config", "", format!("/etc/config/{file}: {why}"))
    }
}

#[cfg(test)]
mod tests;

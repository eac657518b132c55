//! A device as the administrator registered it, and the changes that are made to devices.

use super::credential::{EapCredentials, Place};
use super::last_good::LastGood;
use super::maker::Maker;
use crate::mac::MacAddr;
use crate::secret::Passphrase;
use crate::time::UnixTime;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A device's number: given once, never given again, also after the device is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// Which MAC addresses may use a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// The first `max_devices` addresses that *prove* the key; from then on only those.
    First,
    /// Only the addresses the administrator listed.
    Mac,
    /// Any address (phones that randomise theirs), at most `max_devices` at a time.
    Any,
}

impl Bind {
    /// The word used in the command line, the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Bind::First => "first",
            Bind::Mac => "mac",
            Bind::Any => "any",
        }
    }
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Bind, BindError> {
        match text {
            "first" => Ok(Bind::First),
            "mac" => Ok(Bind::Mac),
            "any" => Ok(Bind::Any),
            _ => Err(BindError),
        }
    }
}

/// A word that is no binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be first, mac or any")]
pub struct BindError;

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address that may use a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundMac {
    /// The address.
    pub mac: MacAddr,
    /// True when the address proved the key, false when the administrator gave it.
    pub proved: bool,
    /// When it was bound.
    pub since: UnixTime,
}

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Its unique name: 1 to 32 of `a-z 0-9 . _ -`, case kept, compared without case.
    pub name: Arc<str>,
    /// The profile that gives VLAN and access; a name in the configuration.
    pub profile: Arc<str>,
    /// Its own Wi-Fi key. `None`: it has other credentials; or none, and still uses the SSID's onboarding key
    /// ([`Device::uses_onboarding_key`]).
    pub key: Option<Passphrase>,
    /// Counts the keys this device has had, so that a PMK of an older key is never taken for the present one.
    pub key_serial: u32,
    /// Which addresses may use the key.
    pub bind: Bind,
    /// How many addresses may use the key; 0 means no limit.
    pub max_devices: u16,
    /// The addresses bound so far.
    pub macs: Vec<BoundMac>,
    /// Refused from this moment on.
    pub expires: Option<UnixTime>,
    /// Refused until unblocked.
    pub blocked: bool,
    /// When it was registered.
    pub created: UnixTime,
    /// What it proves itself with over EAP; most devices have only a Wi-Fi key.
    pub eap: Option<Box<EapCredentials>>,
    /// Where it may be; anywhere if empty.
    pub places: Vec<Place>,
}

/// One durable change of the registry: all of it is stored, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Inserts these devices, or replaces those whose id exists.
    Put(Vec<Device>),
    /// Removes a device with its key, addresses and counters.
    Remove(DeviceId),
    /// Binds an address to a device.
    Bind(DeviceId, BoundMac),
    /// Hides an unknown address from the pending list (true), or shows it again (false).
    Ignore(MacAddr, bool),
    /// Inserts a maker, or replaces the one of that name.
    PutMaker(Box<Maker>),
    /// Removes the maker of this name; its devices stay, with the credentials they have.
    RemoveMaker(Arc<str>),
    /// Keeps an answer of a server, in the place of an older one for the same address and SSID; the oldest goes if there are
    /// too many.
    PutLastGood(Box<LastGood>),
    /// Removes what is kept for this address and SSID.
    RemoveLastGood {
        /// Whose it is.
        mac: MacAddr,
        /// The SSID.
        ssid: Arc<[u8]>,
    },
}

/// What is counted of a device. Kept in memory, written a few times a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Last time it was let in; 0 for never.
    pub last_seen: UnixTime,
    /// The address it then had.
    pub last_mac: Option<MacAddr>,
    /// How often it was let in.
    pub accepted: u32,
    /// How often it was refused.
    pub refused: u32,
}

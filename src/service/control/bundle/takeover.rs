//! The devices of a bundle, one after another: which ones they are here, and what they get.

use super::super::credential::{self, MAX_CERTIFICATES, default_bind};
use super::super::edit::{self, Other};
use super::super::{ApiError, Import, LineError, Then};
use crate::bundle::jws::Verified;
use crate::bundle::{Bundle, Entry, Way};
use crate::json::json;
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::{Bind, BoundMac, Change, Device, DeviceId};
use crate::registry::generate::valid_name;
use crate::registry::maker::Maker;
use crate::service::{Core, Now};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::UnixTime;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// How many entries are reported that cannot be taken.
const ERRORS: usize = 1000;
/// The longest name of a device, in octets.
const MAX_NAME: usize = 32;

/// The `config realm` whose devices these are.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: Arc<str>,
    /// It is authenticated here already.
    pub local: bool,
}

/// What comes of an entry.
#[derive(Debug)]
struct Row {
    identity: Arc<str>,
    name: Arc<str>,
    gains: Vec<&'static str>,
}

/// A bundle being worked off.
#[derive(Debug)]
pub struct Takeover {
    maker: Maker,
    old: Option<Maker>,
    section: Option<Section>,
    /// Under which name its servers' identities are known.
    realm: Arc<str>,
    issued: UnixTime,
    verified: Option<Verified>,
    register: bool,
    dry_run: bool,
    /// One of the same date was imported before: what was replaced or withdrawn since does not come back.
    repeated: bool,
    entries: std::iter::Enumerate<std::vec::IntoIter<Entry>>,
    next_id: u32,
    accepted: Vec<Other>,
    /// Devices, and which entry they are.
    taken: SortedMap<DeviceId, usize>,
    /// Names of new devices; and the next number for one that is taken.
    names: HashSet<String>,
    numbers: SortedMap<String, u32>,
    new: Vec<Row>,
    changed: Vec<Row>,
    unchanged: usize,
    left_out: Vec<Arc<str>>,
    /// Devices that have other keys or certificates than a bundle that was imported before.
    kept: Vec<Arc<str>>,
    errors: Vec<LineError>,
    /// Devices of this realm that have nothing to prove themselves with here; taken when all entries were seen.
    stranded: Vec<Arc<str>>,
}

impl Takeover {
    /// Begins with the first device.
    #[expect(clippy::too_many_arguments, reason = "what was found out of a bundle, once")]
    pub fn new(
        core: &Core,
        bundle: Bundle,
        maker: Maker,
        old: Option<Maker>,
        section: Option<Section>,
        verified: Option<Verified>,
        register: bool,
        dry_run: bool,
        repeated: bool,
    ) -> Takeover {
        Takeover {
            realm: section.as_ref().map_or_else(|| maker.name.clone(), |section| section.name.clone()),
            issued: bundle.issued,
            maker,
            old,
            section,
            verified,
            register,
            dry_run,
            repeated,
            entries: bundle.devices.into_iter().enumerate(),
            next_id: core.registry.next_id().0,
            accepted: Vec::new(),
            taken: SortedMap::new(),
            names: HashSet::new(),
            numbers: SortedMap::new(),
            new: Vec::new(),
            changed: Vec::new(),
            unchanged: 0,
            left_out: Vec::new(),
            kept: Vec::new(),
            errors: Vec::new(),
            stranded: Vec::new(),
        }
    }

    fn take(&mut self, core: &Core, number: usize, entry: &Entry, now: Now) -> Result<(), ApiError> {
        let Some((device, found)) = self.find(core, entry)? else {
            if !self.register {
                self.left_out.push(entry.identity.clone());
                return Ok(());
            }
            let device = self.create(core, entry, now)?;
            let row = Row { identity: entry.identity.clone(), name: device.name.clone(), gains: gains_of(entry) };
            self.next_id = self.next_id.saturating_add(1);
            self.names.insert(device.name.to_ascii_lowercase());
            self.new.push(row);
            self.accepted.push(Other::new(device));
            return Ok(());
        };
        if let Some(first) = self.taken.insert(device.id, number) {
            let message =
                format!("this is '{}', as devices[{first}] is: have the maker make one entry of them", device.name);
            return Err(ApiError::field("conflict", "identity", message));
        }
        let name = device.name.clone();
        let (device, gains, kept) = self.extend(core, device.clone(), found, entry, now)?;
        if kept {
            self.kept.push(name);
        }
        if gains.is_empty() {
            self.unchanged += 1;
        } else {
            self.changed.push(Row { identity: entry.identity.clone(), name: device.name.clone(), gains });
            self.accepted.push(Other::new(device));
        }
        Ok(())
    }

    /// Which device an entry is: by what its maker's servers called it; by a credential that it has here already; by its address,
    /// if those servers let that in.
    ///
    /// Fingerprints and public keys are no secrets: whoever writes a bundle can name those of anybody's device. So they, and addresses,
    /// count for devices for which this maker has vouched before.
    fn find<'c>(&self, core: &'c Core, entry: &Entry) -> Result<Option<(&'c Device, Found)>, ApiError> {
        let registry = &core.registry;
        if let Some(device) = registry.holder(&self.peer(&entry.identity), None) {
            return Ok(Some((device, Found::Identity)));
        }
        let by_psk = entry.psk.as_ref().and_then(|psk| {
            let device = registry.by_nai(&psk.nai)?;
            // Another key is another's: the NAI is refused then.
            let same = device.eap.as_ref().and_then(|eap| eap.psk.as_ref()).is_some_and(|own| own == psk);
            same.then_some(device)
        });
        let by_certificate = entry.certificates.iter();
        let by_certificate =
            by_certificate.filter_map(|known| registry.holder(&known.way.known_by(&self.maker.name), None));
        let by_certificate: Vec<&Device> = by_certificate.collect();
        let is_its = |device: &&Device| self.is_its(device);
        if let Some(other) = by_certificate.iter().find(|device| !is_its(device)) {
            let message = format!(
                "its certificate or public key is that of '{0}', for which {1} has not vouched here: latchkey device credential \
                 remove {0} --certificate ... frees it",
                other.name, self.maker.name
            );
            return Err(ApiError::field("certificate_taken", "certificates", message));
        }
        let found: Vec<&Device> = by_psk.into_iter().chain(by_certificate).collect();
        if let Some(first) = found.first() {
            return self.only(first, &found, "credentials");
        }
        let found: Vec<&Device> =
            entry.addresses.iter().filter_map(|mac| registry.by_mac(*mac)).filter(is_its).collect();
        match found.first() {
            Some(first) => self.only(first, &found, "addresses"),
            None => Ok(None),
        }
    }

    /// This maker has vouched for a device: its servers called it by a name, or it is known by what its certificates say.
    fn is_its(&self, device: &Device) -> bool {
        let of_maker = |known_by: &KnownBy| match known_by {
            KnownBy::Peer { realm, .. } => *realm == self.realm,
            KnownBy::SubjectSerial { maker, .. } | KnownBy::AltName { maker, .. } => *maker == self.maker.name,
            KnownBy::Fingerprint(_) | KnownBy::Serial { .. } | KnownBy::PublicKey(_) => false,
        };
        device.eap.iter().any(|eap| eap.certificates.iter().any(|one| of_maker(&one.known_by)))
    }

    fn only<'c>(
        &self,
        first: &'c Device,
        found: &[&'c Device],
        what: &str,
    ) -> Result<Option<(&'c Device, Found)>, ApiError> {
        match found.iter().find(|other| other.id != first.id) {
            None => Ok(Some((first, Found::Otherwise))),
            Some(other) => {
                let message = format!(
                    "its {what} are those of '{}' and of '{}': remove one of them first",
                    first.name, other.name
                );
                Err(ApiError::field("conflict", what, message))
            }
        }
    }

    fn peer(&self, identity: &Arc<str>) -> KnownBy {
        KnownBy::Peer { realm: self.realm.clone(), identity: identity.clone() }
    }

    /// Gives a device what the entry has and it has not, and says what that is; and true when it keeps something else instead.
    fn extend(
        &self,
        core: &Core,
        mut device: Device,
        found: Found,
        entry: &Entry,
        now: Now,
    ) -> Result<(Device, Vec<&'static str>, bool), ApiError> {
        let (mut gains, mut kept) = (Vec::new(), false);
        let mut eap = device.eap.take().unwrap_or_default();
        let mut replaced = false;
        let psk = entry.psk.as_ref().filter(|psk| eap.psk.as_ref() != Some(psk));
        if let Some(psk) = self.may_take(psk, eap.psk.is_some(), (&device, found, "psk"), &mut kept)? {
            if eap.psk.as_ref().is_none_or(|old| old.nai != psk.nai) {
                credential::check_nai(core, &psk.nai, Some(device.id), &[]).map_err(|bad| in_field(bad, "psk.nai"))?;
            }
            if eap.psk.as_ref().is_none_or(|old| old.key != psk.key) {
                let judged = credential::judge_psk_key(core, &psk.key, &device, &psk.nai, &self.accepted);
                judged.map_err(|bad| {
                    let message = format!("this key {}: have the maker give the device another", bad.message);
                    ApiError::field(bad.code, "psk.key", message)
                })?;
            }
            replaced = eap.psk.is_some();
            gains.push(if replaced { "another EAP-PSK key" } else { "an EAP-PSK key" });
            eap.psk = Some(psk.clone());
        }
        let has_some = eap.certificates.iter().any(is_proof);
        for known in &entry.certificates {
            let known_by = known.way.known_by(&self.maker.name);
            let field = if matches!(known.way, Way::PublicKey(_)) { "public_keys" } else { "certificates" };
            if eap.certificates.iter().any(|have| have.known_by == known_by) {
                continue;
            }
            if self.repeated && has_some {
                kept = true;
                continue;
            }
            if let Some(other) = core.registry.holder(&known_by, Some(device.id)) {
                let message = format!(
                    "it belongs to '{0}': latchkey device credential remove {0} --certificate ... frees it",
                    other.name
                );
                return Err(ApiError::field("certificate_taken", field, message));
            }
            eap.certificates.push(Certificate {
                known_by,
                subject: known.subject.clone(),
                not_after: known.not_after,
                mud_url: entry.mud_url.clone(),
                issued: false,
                since: now.wall,
            });
            gains.push(if field == "public_keys" { "a public key" } else { "a certificate" });
        }
        let peer = self.peer(&entry.identity);
        match eap.certificates.iter_mut().find(|have| have.known_by == peer) {
            Some(have) if entry.mud_url.is_some() && have.mud_url != entry.mud_url => {
                have.mud_url = entry.mud_url.clone();
                gains.push("a MUD URL");
            }
            Some(_) => {}
            None => {
                gains.push("the identity");
                eap.certificates.push(self.called(entry, now));
            }
        }
        let proofs = eap.certificates.iter().filter(|one| is_proof(one)).count();
        if proofs > MAX_CERTIFICATES {
            let message = format!(
                "'{}' would have {proofs} certificates and public keys, at most {MAX_CERTIFICATES} are possible: remove \
                                   some first",
                device.name
            );
            return Err(ApiError::field("too_many", "certificates", message));
        }
        // What was proved with the others counts as before: nobody is taken off the air for one credential more.
        eap.serial = if replaced { eap.serial.wrapping_add(1) } else { eap.serial.max(1) };
        device.eap = Some(eap);
        let key = entry.wifi_key.as_ref().filter(|key| device.key.as_ref() != Some(key));
        if let Some(key) = self.may_take(key, device.key.is_some(), (&device, found, "wifi_key"), &mut kept)? {
            gains.push(if device.key.is_some() { "another Wi-Fi key" } else { "a Wi-Fi key" });
            self.check_wifi_key(core, key.expose(), &device.name, Some(device.id))?;
            device.key = Some(key.clone());
            device.key_serial = device.key_serial.wrapping_add(1);
        }
        Ok((device, gains, kept))
    }

    /// A key of the entry, if the device is to have it. One takes another's place only if the maker's servers have called the device
    /// by the identity of the entry, and only the first time that the bundle is imported.
    fn may_take<'k, K>(
        &self,
        key: Option<&'k K>,
        has_another: bool,
        (device, found, field): (&Device, Found, &str),
        kept: &mut bool,
    ) -> Result<Option<&'k K>, ApiError> {
        match (key, found) {
            (Some(_), _) if has_another && self.repeated => {
                *kept = true;
                Ok(None)
            }
            (Some(_), Found::Otherwise) if has_another => {
                let message = format!(
                    "it seems to be '{0}', which has another key, and {1}'s servers have not called that by this identity: remove its \
                     key first if it is to have this one",
                    device.name, self.realm
                );
                Err(ApiError::field("conflict", field, message))
            }
            (key, _) => Ok(key),
        }
    }

    fn called(&self, entry: &Entry, now: Now) -> Certificate {
        Certificate {
            known_by: self.peer(&entry.identity),
            subject: "".into(),
            not_after: None,
            mud_url: entry.mud_url.clone(),
            issued: false,
            since: now.wall,
        }
    }

    fn check_wifi_key(&self, core: &Core, key: &str, name: &str, except: Option<DeviceId>) -> Result<(), ApiError> {
        edit::check_key(core, key, name, except, &self.accepted).map(drop).map_err(|bad| {
            // What is wrong, without the mend of a key that somebody has just typed.
            let why = bad.message.split(": every device").next().unwrap_or_default();
            ApiError::field(bad.code, "wifi_key", format!("{why}: have the maker give the device another"))
        })
    }

    /// A device that is not registered yet.
    fn create(&mut self, core: &Core, entry: &Entry, now: Now) -> Result<Device, ApiError> {
        let mut macs = Vec::with_capacity(entry.addresses.len());
        for mac in &entry.addresses {
            if let Some(other) = core.registry.by_mac(*mac) {
                let message =
                    format!("mac {mac} belongs to '{0}': latchkey device set {0} mac-={mac} frees it", other.name);
                return Err(ApiError::field("mac_taken", "addresses", message));
            }
            macs.push(BoundMac { mac: *mac, proved: false, since: now.wall });
        }
        // A certificate or key says which device it is; a Wi-Fi key may be in anybody's hands.
        let bind = if entry.wifi_key.is_some() { Bind::First } else { default_bind(false) };
        let max_devices = match bind {
            Bind::First => u16::try_from(macs.len()).unwrap_or(u16::MAX).max(1),
            Bind::Mac | Bind::Any => 0,
        };
        let device = Device {
            id: DeviceId(self.next_id),
            name: self.free_name(core, entry),
            profile: self.maker.profile.clone(),
            key: None,
            key_serial: 0,
            bind,
            max_devices,
            macs,
            expires: None,
            blocked: false,
            created: now.wall,
            eap: Some(Box::new(EapCredentials { psk: None, certificates: vec![self.called(entry, now)], serial: 1 })),
            places: Vec::new(),
        };
        let (mut device, ..) = self.extend(core, device, Found::Identity, entry, now)?;
        device.key_serial = 1;
        Ok(device)
    }

    /// The name of the entry, or one of its identity; with a number when it is taken.
    fn free_name(&mut self, core: &Core, entry: &Entry) -> Arc<str> {
        let base = match &entry.name {
            Some(name) => (**name).to_owned(),
            None => name_of(&entry.identity, &self.maker.name),
        };
        let taken = |names: &HashSet<String>, name: &str| {
            names.contains(&name.to_ascii_lowercase()) || core.registry.by_name(name).is_some()
        };
        if !taken(&self.names, &base) {
            return base.into();
        }
        let next = self.numbers.or_insert_with(base.to_ascii_lowercase(), || 2);
        loop {
            let end = format!("-{next}");
            let room = MAX_NAME.saturating_sub(end.len()).min(base.len());
            let name = format!("{}{end}", base.get(..room).unwrap_or_default());
            *next = next.saturating_add(1);
            if !taken(&self.names, &name) {
                return name.into();
            }
        }
    }

    /// Devices that this maker's servers vouched for until now, and that have nothing to prove themselves with here.
    fn find_stranded(&mut self, core: &Core) {
        if !self.maker.authorities.is_empty() {
            // Its certificates may say who they are.
            return;
        }
        let is_its = |certificate: &Certificate| matches!(&certificate.known_by, KnownBy::Peer { realm, .. } if *realm == self.realm);
        let given: SortedSet<DeviceId> =
            self.accepted.iter().filter(|other| proves(&other.device)).map(|other| other.device.id).collect();
        let its =
            core.registry.devices().filter(|device| device.eap.iter().any(|eap| eap.certificates.iter().any(is_its)));
        self.stranded = its
            .filter(|device| !proves(device) && !given.contains(&device.id))
            .map(|device| device.name.clone())
            .collect();
    }

    fn result(&mut self) -> Value {
        let row = |row: Row| json!({ "identity": &*row.identity, "name": &*row.name, "gains": row.gains });
        let rows = |rows: Vec<Row>| rows.into_iter().map(row).collect::<Value>();
        let names = |names: &[Arc<str>]| names.iter().map(|name| &**name).collect::<Value>();
        let old = self.old.as_ref();
        let added = self.maker.authorities.len() - old.map_or(0, |old| old.authorities.len());
        let lists = self.maker.lists.iter().filter(|list| !old.is_some_and(|old| old.lists.contains(list))).count();
        json!({
            "maker": &*self.maker.name,
            "new_maker": old.is_none(),
            "profile": &*self.maker.profile,
            "admit": self.maker.admit.as_str(),
            "realm": self.section.as_ref().map(|section| &*section.name),
            "local": self.section.as_ref().is_none_or(|section| section.local),
            "issued": self.issued.to_string(),
            "signed": self.verified.as_ref().map(|by| json!({ "by": by.who, "algorithm": by.algorithm.to_string() })),
            "dry_run": self.dry_run,
            "authorities": added,
            "lists": lists,
            "new": rows(std::mem::take(&mut self.new)),
            "changed": rows(std::mem::take(&mut self.changed)),
            "unchanged": self.unchanged,
            "repeated": self.repeated,
            "kept": names(&self.kept),
            "left_out": names(&self.left_out),
            "stranded": names(&self.stranded),
        })
    }
}

impl Import for Takeover {
    fn step(&mut self, core: &mut Core, now: Now, n: usize) -> bool {
        let now = core.time.effective(now);
        for _ in 0..n {
            let Some((number, entry)) = self.entries.next() else {
                self.find_stranded(core);
                return true;
            };
            if let Err(bad) = self.take(core, number, &entry, now) {
                let field = bad.field.as_ref().map(|field| format!(" {field}")).unwrap_or_default();
                let field = format!("devices[{number}] ({}){field}", entry.identity);
                self.errors.push(LineError { line: 0, field, message: bad.into_message() });
                if self.errors.len() >= ERRORS {
                    return true;
                }
            }
        }
        false
    }

    fn finish(mut self: Box<Self>) -> Result<(Vec<Change>, Then), ApiError> {
        if !self.errors.is_empty() {
            let n = self.errors.len();
            let devices = if n == 1 { "1 device is refused" } else { &format!("{n} devices are refused") };
            let mut error = ApiError::field("import", "bundle", format!("nothing was imported: {devices}"));
            error.lines = self.errors;
            return Err(error);
        }
        let mut changes = Vec::new();
        if !self.dry_run {
            if self.old.as_ref() != Some(&self.maker) {
                changes.push(Change::PutMaker(Box::new(self.maker.clone())));
            }
            let devices: Vec<Device> =
                std::mem::take(&mut self.accepted).into_iter().map(|other| other.device).collect();
            if !devices.is_empty() {
                changes.push(Change::Put(devices));
            }
        }
        let result = self.result();
        Ok((changes, Box::new(|_, _| result)))
    }
}

/// By what a device was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// By what its maker's servers called it, or it is new.
    Identity,
    /// By a credential that it has here, or by its address.
    Otherwise,
}

/// A certificate or public key, not what a server called it.
fn is_proof(certificate: &Certificate) -> bool {
    !matches!(certificate.known_by, KnownBy::Peer { .. })
}

/// True when a device has something of its own to prove itself with.
fn proves(device: &Device) -> bool {
    device.key.is_some()
        || device.eap.as_ref().is_some_and(|eap| eap.psk.is_some() || eap.certificates.iter().any(is_proof))
}

fn gains_of(entry: &Entry) -> Vec<&'static str> {
    let mut gains = Vec::new();
    gains.extend(entry.psk.as_ref().map(|_| "an EAP-PSK key"));
    gains.extend(entry.certificates.iter().map(|known| match known.way {
        Way::PublicKey(_) => "a public key",
        _ => "a certificate",
    }));
    gains.extend(entry.wifi_key.as_ref().map(|_| "a Wi-Fi key"));
    if gains.is_empty() {
        gains.push("the identity");
    }
    gains
}

/// A name of an identity: what precedes the realm, with what a name cannot have replaced.
fn name_of(identity: &str, maker: &str) -> String {
    let user = identity.rsplit_once('@').map_or(identity, |(user, _)| user);
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = user.chars().map(fits).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = name.get(..MAX_NAME.min(name.len())).unwrap_or_default();
    if valid_name(name).is_ok() {
        name.to_owned()
    } else {
        format!("{}-device", maker.get(..25.min(maker.len())).unwrap_or_default())
    }
}

fn in_field(bad: ApiError, field: &str) -> ApiError {
    bad.about(field)
}

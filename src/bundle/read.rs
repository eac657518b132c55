//! A bundle from JSON. Where the text stops being JSON, reading stops; what is wrong with a value is noted, and the rest is read.

use super::json::{Bad, Kind, Reader};
use super::values::{
    At, Faults, Once, WORD, dot, expect, hash, is_nai, list, moment, name_of, octets, prefix, realm_fault,
    serial_number, shown, string,
};
use super::{Bundle, Entry, Fault, Known, LARGEST, LARGEST_LISTS, MAX_DEVICES, MAX_PARTS, VERSION, Way};
use crate::mac::MacAddr;
use crate::pki::certificate::{LARGEST as LARGEST_CERTIFICATE, is_mud_url, sha256};
use crate::pki::crl::Crl;
use crate::pki::{CertificateInfo, file};
use crate::registry::credential::EapPsk;
use crate::registry::generate::valid_name;
use crate::secret::{EapPskKey, Passphrase};
use crate::time::UnixTime;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The longest PEM text of one certificate or key, in octets: lines, and something said before them.
const PEM: usize = 3 * LARGEST_CERTIFICATE;

/// Reads a bundle.
pub(super) fn bundle(text: &[u8]) -> Result<Bundle, Vec<Fault>> {
    let mut draft = Draft::default();
    if text.len() > LARGEST {
        let message = format!("it has {} octets, a bundle has at most {LARGEST}: split it", text.len());
        return Err(vec![Fault { field: String::new(), message }]);
    }
    let mut reader = Reader::new(text);
    let mut once = Once::default();
    let read = reader.object(&mut |reader, name| draft.member(reader, name, &mut once));
    if let Err(bad) = read.and_then(|()| reader.end()) {
        draft.faults.push(Fault { field: String::new(), message: bad.to_string() });
        return Err(draft.faults.into());
    }
    draft.finish()
}

#[derive(Debug, Default)]
struct Draft {
    version: bool,
    maker: Option<Arc<str>>,
    realms: Vec<Arc<str>>,
    issued: Option<UnixTime>,
    expires: Option<UnixTime>,
    authorities: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
    devices: Vec<Entry>,
    faults: Faults,
}

const MEMBERS: [&str; 8] =
    ["latchkey_bundle", "maker", "realms", "issued", "expires", "authorities", "revocation_lists", "devices"];

impl Draft {
    fn member(&mut self, reader: &mut Reader<'_>, name: &str, once: &mut Once) -> Result<(), Bad> {
        let at: At<'_> = &|field: &str| field.to_owned();
        let faults = &mut self.faults;
        match once.which(&MEMBERS, name, faults, at).and_then(|number| MEMBERS.get(number)).copied() {
            Some("latchkey_bundle") => {
                let version = reader.number()?;
                if version != VERSION {
                    return Err(reader.bad(format!(
                        "this is a bundle of version {version}, and {VERSION} can be read: install a newer latchkey, or have \
                         version {VERSION} made"
                    )));
                }
                self.version = true;
            }
            Some("maker") => {
                let Some(text) = string(reader, WORD, faults, at, "maker")? else { return Ok(()) };
                match valid_name(&text) {
                    Ok(()) => self.maker = Some(text.as_str().into()),
                    Err(why) => faults.add("maker".into(), why.to_string()),
                }
            }
            Some("realms") => {
                list(reader, MAX_PARTS, faults, at, "realms", &mut |reader, faults, at, realms: &mut Vec<_>| {
                    let Some(text) = string(reader, WORD, faults, at, "")? else { return Ok(()) };
                    let realm = text.to_ascii_lowercase();
                    match realm_fault(&realm) {
                        Some(why) => faults.add(at(""), why),
                        None if realms.iter().any(|other: &Arc<str>| **other == *realm) => {}
                        None => realms.push(realm.into()),
                    }
                    Ok(())
                })
                .map(|realms| self.realms = realms)?
            }
            Some("issued") => self.issued = moment(reader, faults, at, "issued")?,
            Some("expires") => self.expires = moment(reader, faults, at, "expires")?,
            Some("authorities") => {
                let read = |reader: &mut Reader<'_>, faults: &mut Faults, at: At<'_>, all: &mut Vec<Vec<u8>>| {
                    let Some(pem) = string(reader, MAX_PARTS * PEM, faults, at, "")? else { return Ok(()) };
                    match file::certificates(pem.as_bytes()) {
                        Ok(found) => found.into_iter().for_each(|der| {
                            if !all.contains(&der) {
                                all.push(der);
                            }
                        }),
                        Err(why) => faults.add(at(""), format!("the CA's certificate: {why}")),
                    }
                    Ok(())
                };
                self.authorities = list(reader, MAX_PARTS, faults, at, "authorities", &mut { read })?;
                if self.authorities.len() > MAX_PARTS {
                    faults.add("authorities".into(), format!("a bundle has at most {MAX_PARTS} of them"));
                }
            }
            Some("revocation_lists") => {
                let read = |reader: &mut Reader<'_>, faults: &mut Faults, at: At<'_>, all: &mut Vec<Vec<u8>>| {
                    let Some(pem) = string(reader, LARGEST, faults, at, "")? else { return Ok(()) };
                    let found = file::revocation_lists(pem.as_bytes()).map_err(|why| why.to_string());
                    let good = |lists: &Vec<Vec<u8>>| lists.iter().try_for_each(|der| Crl::new(der).map(drop));
                    match found.and_then(|lists| good(&lists).map(|()| lists)) {
                        Ok(lists) => all.extend(lists),
                        Err(why) => faults.add(at(""), format!("the revocation list: {why}")),
                    }
                    Ok(())
                };
                self.lists = list(reader, MAX_PARTS, faults, at, "revocation_lists", &mut { read })?;
                let size: usize = self.lists.iter().map(Vec::len).sum();
                if size > LARGEST_LISTS || self.lists.len() > MAX_PARTS {
                    let message = format!("they may be {MAX_PARTS}, and have {LARGEST_LISTS} octets together");
                    faults.add("revocation_lists".into(), message);
                }
            }
            Some("devices") => {
                let devices = &mut self.devices;
                reader.array(&mut |reader, number| {
                    if number >= MAX_DEVICES {
                        return Err(reader.bad(format!("more than {MAX_DEVICES} devices: make several bundles")));
                    }
                    let at: At<'_> = &|field: &str| match field {
                        "" => format!("devices[{number}]"),
                        field => format!("devices[{number}].{field}"),
                    };
                    devices.push(device(reader, faults, at).map_err(|bad| prefix(&at(""), bad))?);
                    Ok(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Bundle, Vec<Fault>> {
        if !self.version {
            let message = "this is no bundle: the member latchkey_bundle is missing".into();
            return Err(vec![Fault { field: "latchkey_bundle".into(), message }]);
        }
        let faults = &mut self.faults;
        let mut need = |there: bool, field: &str| {
            // What was there and wrong is said already.
            if !there && !faults.0.iter().any(|fault| fault.field == field) {
                faults.add(field.into(), "it is missing".into());
            }
        };
        need(self.maker.is_some(), "maker");
        need(self.issued.is_some(), "issued");
        if let (Some(issued), Some(expires)) = (self.issued, self.expires)
            && expires <= issued
        {
            faults.add("expires".into(), format!("{expires} is not after issued, {issued}"));
        }
        doubles(&self.devices, faults);
        let bundle = Bundle {
            maker: self.maker.unwrap_or_default(),
            realms: self.realms,
            issued: self.issued.unwrap_or_default(),
            expires: self.expires,
            authorities: self.authorities,
            lists: self.lists,
            devices: self.devices,
        };
        for (number, psk) in
            bundle.devices.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.psk.as_ref()?)))
        {
            if let Some((_, realm)) = psk.nai.rsplit_once('@')
                && !bundle.covers(realm)
            {
                let message = format!("its realm {} is none of the bundle's realms: add it there", shown(realm));
                faults.add(format!("devices[{number}].psk.nai"), message);
            }
        }
        let faults = self.faults;
        if faults.0.is_empty() { Ok(bundle) } else { Err(faults.into()) }
    }
}

/// What two devices of a bundle cannot have both.
fn doubles(devices: &[Entry], faults: &mut Faults) {
    let (mut identities, mut nais, mut addresses, mut ways) =
        (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
    fn note<K: Hash + Eq>(seen: &mut HashMap<K, usize>, key: K, number: usize, field: &str, faults: &mut Faults) {
        let first = *seen.entry(key).or_insert(number);
        if first != number {
            faults.add(format!("devices[{number}].{field}"), format!("it is that of devices[{first}] already"));
        }
    }
    for (number, entry) in devices.iter().enumerate() {
        if !entry.identity.is_empty() {
            note(&mut identities, &*entry.identity, number, "identity", faults);
        }
        if let Some(psk) = &entry.psk {
            note(&mut nais, &*psk.nai, number, "psk.nai", faults);
        }
        entry.addresses.iter().for_each(|mac| note(&mut addresses, *mac, number, "addresses", faults));
        for known in &entry.certificates {
            let field = if matches!(known.way, Way::PublicKey(_)) { "public_keys" } else { "certificates" };
            note(&mut ways, &known.way, number, field, faults);
        }
    }
}

const DEVICE: [&str; 8] =
    ["identity", "name", "addresses", "mud_url", "psk", "wifi_key", "certificates", "public_keys"];

fn device(reader: &mut Reader<'_>, faults: &mut Faults, at: At<'_>) -> Result<Entry, Bad> {
    let mut entry = Entry::default();
    if !expect(reader, Kind::Object, faults, at, "")? {
        return Ok(entry);
    }
    let mut once = Once::default();
    let mut from_certificate = None;
    reader.object(&mut |reader, name| {
        match once.which(&DEVICE, name, faults, at).and_then(|number| DEVICE.get(number)).copied() {
            Some("identity") => entry.identity = name_of(reader, faults, at, "identity")?.unwrap_or_default(),
            Some("name") => {
                let Some(text) = string(reader, WORD, faults, at, "name")? else { return Ok(()) };
                match valid_name(&text) {
                    Ok(()) => entry.name = Some(text.as_str().into()),
                    Err(why) => faults.add(at("name"), why.to_string()),
                }
            }
            Some("addresses") => {
                entry.addresses = list(reader, MAX_PARTS, faults, at, "addresses", &mut |reader, faults, at, all| {
                    let Some(text) = string(reader, WORD, faults, at, "")? else { return Ok(()) };
                    match text.parse::<MacAddr>() {
                        Ok(mac) if all.contains(&mac) => {}
                        Ok(mac) => all.push(mac),
                        Err(why) => faults.add(at(""), format!("'{}' is {why}", shown(&text))),
                    }
                    Ok(())
                })?;
            }
            Some("mud_url") => {
                let Some(text) = string(reader, WORD, faults, at, "mud_url")? else { return Ok(()) };
                match is_mud_url(&text) {
                    true => entry.mud_url = Some(text.as_str().into()),
                    false => faults.add(at("mud_url"), "it has to be a URL that begins with https://".into()),
                }
            }
            Some("psk") => entry.psk = psk(reader, faults, &|field| at(&format!("psk{}{field}", dot(field))))?,
            Some("wifi_key") => {
                let Some(text) = string(reader, WORD, faults, at, "wifi_key")? else { return Ok(()) };
                match Passphrase::new(&text) {
                    Ok(key) => entry.wifi_key = Some(key),
                    Err(why) => faults.add(at("wifi_key"), why.to_string()),
                }
            }
            Some("certificates") => {
                let found = list(reader, MAX_PARTS, faults, at, "certificates", &mut |reader, faults, at, all| {
                    let found = certificate(reader, faults, at, &mut from_certificate)?;
                    all.extend(found);
                    Ok(())
                })?;
                entry.certificates.splice(0..0, found);
            }
            Some("public_keys") => {
                let found = list(reader, MAX_PARTS, faults, at, "public_keys", &mut |reader, faults, at, all| {
                    all.extend(public_key(reader, faults, at)?);
                    Ok(())
                })?;
                entry.certificates.extend(found);
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    entry.mud_url = entry.mud_url.or(from_certificate);
    if entry.identity.is_empty() && once.0 & 1 == 0 {
        faults.add(at("identity"), "it is missing".into());
    }
    if entry.certificates.len() > MAX_PARTS {
        faults.add(at("certificates"), format!("a device has at most {MAX_PARTS} certificates and public keys"));
    }
    Ok(entry)
}

fn psk(reader: &mut Reader<'_>, faults: &mut Faults, at: At<'_>) -> Result<Option<EapPsk>, Bad> {
    const PSK: [&str; 2] = ["nai", "key"];
    if !expect(reader, Kind::Object, faults, at, "")? {
        return Ok(None);
    }
    let (mut once, mut nai, mut key) = (Once::default(), None, None);
    reader.object(&mut |reader, name| {
        match once.which(&PSK, name, faults, at) {
            Some(0) => {
                nai = name_of(reader, faults, at, "nai")?.filter(|nai| {
                    let good = is_nai(nai);
                    if !good {
                        let message =
                            format!("'{}' is no network access identifier, as lamp@acme.example is", shown(nai));
                        faults.add(at("nai"), message);
                    }
                    good
                });
            }
            Some(_) => {
                let Some(text) = string(reader, WORD, faults, at, "key")? else { return Ok(()) };
                key = octets::<16>(&text).map(|octets| EapPskKey::new(*octets));
                if key.is_none() {
                    faults.add(at("key"), "an EAP-PSK key has 32 hexadecimal digits".into());
                }
            }
            None => reader.skip()?,
        }
        Ok(())
    })?;
    for (number, name) in PSK.iter().enumerate() {
        if once.0 & (1 << number) == 0 {
            faults.add(at(name), "it is missing".into());
        }
    }
    Ok(nai.zip(key).map(|(nai, key)| EapPsk { nai, key }))
}

fn certificate(
    reader: &mut Reader<'_>,
    faults: &mut Faults,
    at: At<'_>,
    mud_url: &mut Option<Arc<str>>,
) -> Result<Option<Known>, Bad> {
    const CERTIFICATE: [&str; 8] =
        ["pem", "sha256", "subject_serial", "alt_name", "issuer_sha256", "serial", "subject", "not_after"];
    if !expect(reader, Kind::Object, faults, at, "")? {
        return Ok(None);
    }
    let (mut once, mut way, mut issuer, mut serial) = (Once::default(), None, None, None);
    let (mut subject, mut not_after): (Option<Arc<str>>, _) = (None, None);
    let before = faults.0.len();
    reader.object(&mut |reader, name| {
        match once.which(&CERTIFICATE, name, faults, at).and_then(|number| CERTIFICATE.get(number)).copied() {
            Some("pem") => {
                let Some(pem) = string(reader, MAX_PARTS * PEM, faults, at, "pem")? else { return Ok(()) };
                // A chain begins with the device's own.
                let own = file::certificates(pem.as_bytes()).map(|found| found.into_iter().next().unwrap_or_default());
                let own = own.map_err(|why| why.to_string());
                match own.and_then(|der| CertificateInfo::parse(&der).map_err(|why| format!("it {why}"))) {
                    Ok(info) => {
                        way = Some(Way::Fingerprint(info.fingerprint));
                        (subject, not_after) = (Some(info.subject), info.not_after);
                        *mud_url = mud_url.take().or(info.mud_url);
                    }
                    Err(why) => faults.add(at("pem"), format!("the certificate: {why}")),
                }
            }
            Some("sha256") => way = hash(reader, faults, at, "sha256")?.map(Way::Fingerprint),
            Some("subject_serial") => way = name_of(reader, faults, at, "subject_serial")?.map(Way::SubjectSerial),
            Some("alt_name") => {
                let name = name_of(reader, faults, at, "alt_name")?;
                way = name.map(|name| Way::AltName(name.to_ascii_lowercase().into()));
            }
            Some("issuer_sha256") => issuer = hash(reader, faults, at, "issuer_sha256")?,
            Some("serial") => {
                let Some(text) = string(reader, WORD, faults, at, "serial")? else { return Ok(()) };
                serial = serial_number(&text);
                if serial.is_none() {
                    faults.add(at("serial"), "it has 2 to 42 hexadecimal digits, two for each octet".into());
                }
            }
            Some("subject") => {
                subject = string(reader, 2 * WORD, faults, at, "subject")?.map(|text| text.as_str().into());
                if subject.as_deref().is_some_and(|text| text.contains(char::is_control)) {
                    faults.add(at("subject"), "it has control characters".into());
                }
            }
            Some(_) => not_after = moment(reader, faults, at, "not_after")?,
            None => reader.skip()?,
        }
        Ok(())
    })?;
    let given = |names: &[&str]| {
        CERTIFICATE.iter().enumerate().filter(|(n, name)| once.0 & (1 << n) != 0 && names.contains(name)).count()
    };
    let by_serial = given(&["issuer_sha256", "serial"]);
    if given(&["pem", "sha256", "subject_serial", "alt_name"]) + usize::from(by_serial > 0) != 1 || by_serial == 1 {
        faults.add(
            at(""),
            "it needs exactly one of pem, sha256, subject_serial, alt_name, or issuer_sha256 with serial".into(),
        );
    } else if given(&["pem"]) + given(&["subject", "not_after"]).min(1) > 1 {
        faults.add(at(""), "pem says what subject and not_after would: leave them out".into());
    }
    if faults.0.len() > before {
        return Ok(None);
    }
    let way = way.or_else(|| issuer.zip(serial).map(|(issuer, serial)| Way::Serial(issuer, serial)));
    Ok(way.map(|way| Known { way, subject: subject.unwrap_or_default(), not_after }))
}

fn public_key(reader: &mut Reader<'_>, faults: &mut Faults, at: At<'_>) -> Result<Option<Known>, Bad> {
    const KEY: [&str; 2] = ["pem", "sha256"];
    if !expect(reader, Kind::Object, faults, at, "")? {
        return Ok(None);
    }
    let (mut once, mut found) = (Once::default(), None);
    reader.object(&mut |reader, name| {
        match once.which(&KEY, name, faults, at) {
            Some(0) => {
                let Some(pem) = string(reader, PEM, faults, at, "pem")? else { return Ok(()) };
                match file::public_keys(pem.as_bytes()).as_deref() {
                    Ok([one]) => found = Some(sha256(one)),
                    Ok(_) => faults.add(at("pem"), "one public key is needed, and there are several".into()),
                    Err(why) => faults.add(at("pem"), format!("the public key: {why}")),
                }
            }
            Some(_) => found = hash(reader, faults, at, "sha256")?,
            None => reader.skip()?,
        }
        Ok(())
    })?;
    if once.0.count_ones() != 1 {
        faults.add(at(""), "it needs exactly one of pem and sha256".into());
        return Ok(None);
    }
    Ok(found.map(|hash| Known { way: Way::PublicKey(hash), subject: "".into(), not_after: None }))
}

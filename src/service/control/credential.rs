//! What devices prove themselves with over EAP, as administrators ask for it, checked; and `device_credential_add` and
//! `device_credential_remove`.

use super::edit::{self, Other};
use super::params::Params;
use super::{ApiError, Done, Then, device, maker, supplicant, view};
use crate::json::json;
use crate::pki::authority::Issued;
use crate::pki::certificate::sha256;
use crate::pki::{CertificateInfo, file};
use crate::registry::credential::{Certificate, EapCredentials, EapPsk, KnownBy};
use crate::registry::device::{Bind, Change, Device, DeviceId};
use crate::registry::generate::generate_key;
use crate::registry::similar_octets;
use crate::secret::EapPskKey;
use crate::service::{Core, Now};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How many certificates and public keys one device can have.
pub const MAX_CERTIFICATES: usize = 16;
/// The longest NAI, in octets (RFC 7542, 2.3).
const MAX_NAI: usize = 253;
/// The longest serial number or name of a device at its maker, in octets.
const MAX_NAME: usize = 253;
/// 32 characters that are hard to confuse in lower case.
const BASE32: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// EAP credentials as they are asked for; empty texts count as absent.
#[derive(Debug, Default)]
pub struct WantedEap<'a> {
    /// Make an EAP-PSK key.
    pub psk: bool,
    /// This EAP-PSK key, in hexadecimal digits.
    pub psk_key: Option<&'a str>,
    /// This NAI; without it one is made.
    pub nai: Option<&'a str>,
    /// Issue a certificate.
    pub issue: bool,
    /// Certificates, PEM.
    pub certificates: Vec<&'a str>,
    /// Public keys, PEM.
    pub public_keys: Vec<&'a str>,
    /// A maker that knows the device ...
    pub maker: Option<&'a str>,
    /// ... by this serial number ...
    pub serial_number: Option<&'a str>,
    /// ... or by this subjectAltName.
    pub alt_name: Option<&'a str>,
}

impl<'a> WantedEap<'a> {
    /// What the arguments of a method ask for.
    pub fn of(params: &'a Params) -> WantedEap<'a> {
        let text = |field| params.text(field).filter(|text| !text.is_empty());
        WantedEap {
            psk: params.flag("eap_psk"),
            psk_key: text("eap_psk_key"),
            nai: text("nai"),
            issue: params.flag("certificate"),
            certificates: params.texts("certificates").collect(),
            public_keys: params.texts("public_keys").collect(),
            maker: text("maker"),
            serial_number: text("serial_number"),
            alt_name: text("alt_name"),
        }
    }

    /// True when no credential is asked for.
    pub fn is_empty(&self) -> bool {
        !self.psk
            && self.psk_key.is_none()
            && !self.issue
            && self.certificates.is_empty()
            && self.public_keys.is_empty()
            && self.maker.is_none()
    }
}

/// What was made and is to be shown.
#[derive(Debug, Default)]
pub struct Given {
    /// The Wi-Fi key.
    pub key: bool,
    /// The EAP-PSK key.
    pub psk: bool,
    /// A certificate with its private key, which is shown this once.
    pub issued: Option<Box<Issued>>,
}

/// Adds credentials to a device and says which were made.
pub fn add_to(
    core: &mut Core,
    device: &mut Device,
    wanted: &WantedEap<'_>,
    others: &[Other],
    now: Now,
) -> Result<Given, ApiError> {
    let mut given = Given::default();
    check_combination(wanted)?;
    if wanted.is_empty() {
        return Ok(given);
    }
    let mut eap = device.eap.take().unwrap_or_default();
    if wanted.psk || wanted.psk_key.is_some() {
        if let Some(psk) = &eap.psk {
            let message = format!(
                "'{0}' has an EAP-PSK key already, as {1}: latchkey device rotate {0} --eap-psk replaces it",
                device.name, psk.nai
            );
            return Err(ApiError::field("conflict", "eap_psk", message));
        }
        let nai = match wanted.nai {
            Some(nai) => check_nai(core, nai, Some(device.id), others)?,
            None => make_nai(core, &device.name, others),
        };
        let key = psk_key(core, device, &nai, wanted.psk_key, others)?;
        given.psk = wanted.psk_key.is_none();
        eap.psk = Some(EapPsk { nai, key });
    }
    let known = Certificate {
        known_by: KnownBy::Fingerprint([0; 32]),
        subject: "".into(),
        not_after: None,
        mud_url: None,
        issued: false,
        since: now.wall,
    };
    for pem in &wanted.certificates {
        let found = file::certificates(pem.as_bytes());
        let found =
            found.map_err(|why| ApiError::field("certificate", "certificates", format!("the certificate: {why}")))?;
        // A chain begins with the device's own; the others are its CAs.
        let der = found.first().map(Vec::as_slice).unwrap_or_default();
        let info = CertificateInfo::parse(der)
            .map_err(|why| ApiError::field("certificate", "certificates", format!("the certificate {why}")))?;
        info.check_dates(now.wall).map_err(|why| {
            ApiError::field("certificate", "certificates", format!("the certificate of {} {why}", info.subject))
        })?;
        eap.certificates
            .push(Certificate { known_by: KnownBy::Fingerprint(info.fingerprint), ..described(&known, &info) });
    }
    for pem in &wanted.public_keys {
        let found = file::public_keys(pem.as_bytes());
        let found =
            found.map_err(|why| ApiError::field("public_key", "public_keys", format!("the public key: {why}")))?;
        for der in found {
            eap.certificates.push(Certificate { known_by: KnownBy::PublicKey(sha256(&der)), ..known.clone() });
        }
    }
    if let Some(name) = wanted.maker {
        let maker = maker::find_by(core, name, "maker")?.name.clone();
        let known_by = match (wanted.serial_number, wanted.alt_name) {
            (Some(serial), _) => KnownBy::SubjectSerial { maker, serial: at_maker(serial, "serial_number")? },
            (None, name) => KnownBy::AltName {
                maker,
                name: at_maker(name.unwrap_or_default(), "alt_name")?.to_ascii_lowercase().into(),
            },
        };
        eap.certificates.push(Certificate { known_by, ..known.clone() });
    }
    check_certificates(core, device, &eap, others)?;
    if wanted.issue {
        let issued = core.pki.issue(&device.name, now.wall, &mut core.random);
        let issued =
            issued.map_err(|why| ApiError::field("no_ca", "certificate", format!("no certificate was made: {why}")))?;
        let info = &issued.info;
        eap.certificates.push(Certificate { known_by: issued.known_by(), issued: true, ..described(&known, info) });
        given.issued = Some(Box::new(issued));
    }
    if eap.certificates.len() > MAX_CERTIFICATES {
        let message =
            format!("one device has at most {MAX_CERTIFICATES} certificates and public keys: remove some first");
        return Err(ApiError::field("too_many", "certificates", message));
    }
    // What was proved with the others counts as before: nobody is taken off the air for one credential more.
    eap.serial = eap.serial.max(1);
    device.eap = Some(eap);
    Ok(given)
}

fn described(known: &Certificate, info: &CertificateInfo) -> Certificate {
    let (subject, mud_url) = (info.subject.clone(), info.mud_url.clone());
    Certificate { subject, not_after: info.not_after, mud_url, ..known.clone() }
}

fn check_combination(wanted: &WantedEap<'_>) -> Result<(), ApiError> {
    let refuse = |field, message: &str| Err(ApiError::field("conflict", field, message));
    match wanted {
        WantedEap { psk: true, psk_key: Some(_), .. } => {
            refuse("eap_psk_key", "either give an EAP-PSK key or have one made, not both")
        }
        WantedEap { nai: Some(_), psk: false, psk_key: None, .. } => {
            refuse("nai", "a NAI is the name that goes with an EAP-PSK key: ask for that, too")
        }
        WantedEap { serial_number: Some(_), alt_name: Some(_), .. } => {
            refuse("alt_name", "either give the serial number or the name (subjectAltName) of the device, not both")
        }
        WantedEap { maker: None, serial_number: Some(_), .. } => {
            refuse("serial_number", "a serial number counts with its maker only: add --maker NAME")
        }
        WantedEap { maker: None, alt_name: Some(_), .. } => {
            refuse("alt_name", "such a name counts with its maker only: add --maker NAME")
        }
        WantedEap { maker: Some(_), serial_number: None, alt_name: None, .. } => {
            refuse("maker", "say which device of the maker it is: add --serial-number S, or --alt-name N")
        }
        _ => Ok(()),
    }
}

fn at_maker(text: &str, field: &'static str) -> Result<Arc<str>, ApiError> {
    if (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text.into());
    }
    let message =
        format!("{field} has 1 to {MAX_NAME} octets and no control characters: copy it from the device's label");
    Err(ApiError::field(field, field, message))
}

/// No certificate of these may be another device's, or be there twice.
fn check_certificates(core: &Core, device: &Device, eap: &EapCredentials, others: &[Other]) -> Result<(), ApiError> {
    let belongs = |whose: &str| {
        let message = format!(
            "this certificate belongs to '{whose}': latchkey device credential remove {whose} --certificate ... frees it"
        );
        Err(ApiError::field("certificate_taken", "certificates", message))
    };
    for (at, certificate) in eap.certificates.iter().enumerate() {
        if let Some(other) = core.registry.holder(&certificate.known_by, Some(device.id)) {
            return belongs(&other.name);
        }
        let has = |other: &&Other| {
            other.device.eap.iter().any(|e| e.certificates.iter().any(|c| c.known_by == certificate.known_by))
        };
        if let Some(other) = others.iter().find(has) {
            return belongs(&other.device.name);
        }
        if eap.certificates.iter().take(at).any(|before| before.known_by == certificate.known_by) {
            let message = format!("'{}' has this certificate already: leave it out", device.name);
            return Err(ApiError::field("certificate_taken", "certificates", message));
        }
    }
    Ok(())
}

/// An EAP-PSK key for a device: this one, checked, or one that is made.
pub fn psk_key(
    core: &mut Core,
    device: &Device,
    nai: &str,
    text: Option<&str>,
    others: &[Other],
) -> Result<EapPskKey, ApiError> {
    if let Some(text) = text {
        let key = parse_psk_key(text)?;
        check_psk_key(core, &key, device, nai, others)?;
        return Ok(key);
    }
    let mut last = None;
    for _ in 0..16 {
        let mut octets = Zeroizing::new([0; 16]);
        (core.random)(octets.as_mut_slice());
        let key = EapPskKey::new(*octets);
        match check_psk_key(core, &key, device, nai, others) {
            Ok(()) => return Ok(key),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ApiError::new("internal", "no EAP-PSK key could be made")))
}

/// 32 hexadecimal digits; blanks, colons and hyphens between them are passed over.
fn parse_psk_key(text: &str) -> Result<EapPskKey, ApiError> {
    let mut octets = Zeroizing::new([0u8; 16]);
    let mut count = 0usize;
    let field = |message: String| ApiError::field("key", "eap_psk_key", message);
    for character in text.trim().chars().filter(|character| !matches!(character, ' ' | ':' | '-')) {
        let Some(digit) = character.to_digit(16) else {
            let message =
                "an EAP-PSK key is 32 hexadecimal digits (0 to 9, a to f), and this text has other characters";
            return Err(field(message.into()));
        };
        if let Some(octet) = octets.get_mut(count / 2) {
            *octet = *octet << 4 | digit as u8;
        }
        count += 1;
    }
    if count != 32 {
        let message = format!("an EAP-PSK key is 32 hexadecimal digits (16 octets), this one has {count}");
        return Err(field(message));
    }
    Ok(EapPskKey::new(*octets))
}

fn check_psk_key(core: &Core, key: &EapPskKey, device: &Device, nai: &str, others: &[Other]) -> Result<(), ApiError> {
    judge_psk_key(core, key, device, nai, others).map_err(|bad| {
        let mend = match bad.code {
            "weak_secret" => "; have one made instead (--eap-psk)",
            _ => ": every device needs a key of its own (--eap-psk makes one)",
        };
        let message = format!("this key {}{mend}", bad.message);
        bad.saying(message)
    })
}

/// The same without the mend: the message goes on after "this key".
pub fn judge_psk_key(
    core: &Core,
    key: &EapPskKey,
    device: &Device,
    nai: &str,
    others: &[Other],
) -> Result<(), ApiError> {
    let ssids: Vec<&[u8]> = core.config.ssids.iter().map(|ssid| &*ssid.ssid).collect();
    similar_octets::check(key, &device.name, nai, &ssids)
        .map_err(|why| ApiError::field("weak_secret", "eap_psk_key", format!("is too weak: {why}")))?;
    let refuse = |how: similar_octets::Similarity, whose: &str| {
        Err(ApiError::field("similar_secret", "eap_psk_key", how.describe(whose)))
    };
    if let Some((other, how)) = core.registry.find_similar_octets(key, Some(device.id)) {
        return refuse(how, &other.name);
    }
    // Its own Wi-Fi key may be as new as this one.
    let own = similar_octets::Signature::of(device);
    if let Some(how) = similar_octets::derived(key, device, &own) {
        return refuse(how, &device.name);
    }
    for other in others {
        let how = similar_octets::similar(key, &other.device, &other.octets)
            .or_else(|| similar_octets::derived(key, &other.device, &other.octets));
        if let Some(how) = how {
            return refuse(how, &other.device.name);
        }
    }
    for ssid in &core.config.ssids {
        if let Some(passphrase) = ssid.unknown.onboarding_key()
            && let Some(how) = similar_octets::derived_from(key, passphrase)
        {
            return refuse(how, &format!("{} (onboarding)", view::ssid(&ssid.ssid)));
        }
    }
    Ok(())
}

/// A NAI that is well-formed (RFC 7542, 2.2) and no other device's.
pub fn check_nai(core: &Core, nai: &str, except: Option<DeviceId>, others: &[Other]) -> Result<Arc<str>, ApiError> {
    let shown: String = nai.chars().take(40).collect();
    let refuse = |code, why: String| Err(ApiError::field(code, "nai", format!("nai '{shown}' {why}")));
    let (user, realm) = nai.split_once('@').map_or((nai, None), |(user, realm)| (user, Some(realm)));
    let dots = |text: &str| text.split('.').any(str::is_empty);
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '@';
    if nai.len() > MAX_NAI {
        return refuse("nai", format!("has {} octets, at most {MAX_NAI} are allowed: choose a shorter one", nai.len()));
    }
    if dots(user) || realm.is_some_and(dots) || user.contains(odd) || realm.is_some_and(|realm| realm.contains(odd)) {
        return refuse(
            "nai",
            "is no network access identifier: write it like an e-mail address, lamp@home.arpa".into(),
        );
    }
    let has = |other: &&Other| other.device.eap.iter().flat_map(|eap| &eap.psk).any(|psk| *psk.nai == *nai);
    let holder = core.registry.by_nai(nai).filter(|other| Some(other.id) != except);
    match holder.or_else(|| others.iter().find(has).map(|other| &other.device)) {
        Some(other) => refuse("nai_taken", format!("belongs to '{}': choose another", other.name)),
        None => Ok(nai.into()),
    }
}

/// A NAI nobody has: the device's name, four random characters, and our realm.
fn make_nai(core: &mut Core, name: &str, others: &[Other]) -> Arc<str> {
    let parts: Vec<&str> = name.split('.').filter(|part| !part.is_empty()).collect();
    let slug = parts.join(".").to_ascii_lowercase();
    loop {
        let mut octets = [0u8; 4];
        (core.random)(&mut octets);
        let tag: String =
            octets.iter().filter_map(|o| BASE32.get(usize::from(o & 31))).map(|c| char::from(*c)).collect();
        let nai = format!("{slug}.{tag}@{}", core.config.eap.realm);
        let taken = others.iter().any(|o| o.device.eap.iter().flat_map(|eap| &eap.psk).any(|psk| *psk.nai == *nai));
        if !taken && core.registry.by_nai(&nai).is_none() {
            return nai.into();
        }
    }
}

/// `device_credential_add`: one more credential for a device.
pub fn add(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let mut device = device::find(core, params)?.clone();
    let id = Some(device.id);
    let wanted = WantedEap::of(params);
    let text = params.text("key").filter(|text| !text.is_empty());
    let wifi = text.is_some() || params.flag("generate");
    if !wifi && wanted.is_empty() {
        check_combination(&wanted)?;
        return Err(ApiError::new(
            "missing",
            format!("say which credential '{}' is to get: --eap-psk, for example", device.name),
        ));
    }
    if wifi {
        if device.key.is_some() {
            let message = format!("'{0}' has a Wi-Fi key already: latchkey device rotate {0} replaces it", device.name);
            return Err(ApiError::field("conflict", "key", message));
        }
        device.key = Some(match text {
            Some(text) => edit::check_key(core, text, &device.name, id, &[])?,
            None => edit::generate(core, &device.name, id, &[])?,
        });
        device.key_serial = device.key_serial.wrapping_add(1);
    }
    let mut given = add_to(core, &mut device, &wanted, &[], now)?;
    given.key = wifi && text.is_none();
    put(core, device, given, params)
}

/// `device_credential_remove`: takes one from a device, which proves nothing from then on.
pub fn remove(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let mut device = device::find(core, params)?.clone();
    let which = params.text("certificate").filter(|text| !text.is_empty());
    let (wifi, psk) = (params.flag("key"), params.flag("eap_psk"));
    if usize::from(wifi) + usize::from(psk) + usize::from(which.is_some()) != 1 {
        return Err(ApiError::new(
            "missing",
            "say which one goes: --psk-stdin's Wi-Fi key (key), eap_psk, or a certificate",
        ));
    }
    let name = device.name.clone();
    let none = |field, what: &str| {
        Err(ApiError::field("not_found", field, format!("'{name}' has no {what}: see latchkey device show {name}")))
    };
    if wifi {
        if device.key.take().is_none() {
            return none("key", "Wi-Fi key");
        }
        device.key_serial = device.key_serial.wrapping_add(1);
    } else {
        let Some(eap) = device.eap.as_deref_mut() else {
            return none(if psk { "eap_psk" } else { "certificate" }, if psk { "EAP-PSK key" } else { "certificate" });
        };
        eap.serial = eap.serial.wrapping_add(1);
        match which {
            None if eap.psk.take().is_none() => return none("eap_psk", "EAP-PSK key"),
            None => {}
            Some(text) => {
                let at = find_certificate(&name, &eap.certificates, text)?;
                eap.certificates.remove(at);
            }
        }
    }
    let eap_left = device.eap.as_ref().is_some_and(|eap| eap.psk.is_some() || !eap.certificates.is_empty());
    if device.key.is_none() && !eap_left {
        let message = format!(
            "this is the only credential of '{name}': add another first, or remove the device (latchkey device remove {name})"
        );
        return Err(ApiError::field("last_credential", "name", message));
    }
    Ok(device::put(device, false))
}

/// Which certificate is meant: by the beginning of its subject, its name, or its serial number or fingerprint.
fn find_certificate(name: &str, certificates: &[Certificate], text: &str) -> Result<usize, ApiError> {
    let text = text.to_ascii_lowercase();
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let fits = |certificate: &Certificate| {
        let subject = certificate.subject.to_ascii_lowercase();
        let (_, value) = view::known_by(&certificate.known_by);
        let value = value.to_ascii_lowercase();
        subject.starts_with(&text)
            || subject.strip_prefix("cn=").is_some_and(|name| name.starts_with(&text))
            || value.starts_with(&text)
            || value.starts_with(&digits)
    };
    let found: Vec<usize> =
        certificates.iter().enumerate().filter(|(_, certificate)| fits(certificate)).map(|(at, _)| at).collect();
    let shown: String = text.chars().take(40).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(ApiError::field(
            "not_found",
            "certificate",
            format!("no certificate of '{name}' begins with '{shown}': see latchkey device show {name}"),
        )),
        several => Err(ApiError::field(
            "ambiguous",
            "certificate",
            format!(
                "{} certificates of '{name}' begin with '{shown}': give more of the serial number or fingerprint, \
                 as latchkey device show {name} has it",
                several.len()
            ),
        )),
    }
}

/// A change of one device, and the reply that shows it with what was made; a PKCS#12 file is closed with the password of
/// the call, or with one that is made.
pub fn put(core: &mut Core, device: Device, given: Given, params: &Params) -> Result<Done, ApiError> {
    let id = device.id;
    let given_password = params.text("p12_password").filter(|text| !text.is_empty());
    let made = (given.issued.is_some() && given_password.is_none()).then(|| generate_key(&mut core.random));
    let issued = given.issued.as_ref().map(|issued| {
        let password = made.as_ref().map_or(given_password.unwrap_or_default(), |made| made.expose());
        view::issued(issued, password, made.is_some())
    });
    let then: Then = Box::new(move |core, now| {
        let device = core.registry.get(id);
        let mut result = json!({ "device": device.map(|device| view::device(core, device, now)) });
        if let Some(device) = device {
            if given.key {
                result["key"] = device.key.as_ref().map(|key| key.expose()).into();
            }
            if given.psk {
                result["eap_psk"] = view::eap_psk(core, device);
            }
        }
        if let Some(mut issued) = issued {
            issued["wpa_supplicant"] = device.map(|device| supplicant::tls(core, device, true)).into();
            result["issued"] = issued;
        }
        result
    });
    Ok(Done::Commit { changes: vec![Change::Put(vec![device])], then })
}

/// How a device that has EAP credentials only is bound when nothing else is said: the credential is the identity, and
/// its addresses are as many as it likes; listed ones are kept to.
pub fn default_bind(device_has_macs: bool) -> Bind {
    if device_has_macs { Bind::Mac } else { Bind::Any }
}

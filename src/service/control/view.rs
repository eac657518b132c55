//! The things of the registry as clients see them, in JSON.

use super::{brief, supplicant};
use crate::config::DiffLine;
use crate::decision::event::Event;
use crate::decision::reason::Reason;
use crate::json::json;
use crate::mac::MacAddr;
use crate::pki::authority::Issued;
use crate::registry::credential::{Certificate, EapCredentials, KnownBy, Place};
use crate::registry::device::{BoundMac, Device};
use crate::service::pending::{Pending, Proved};
use crate::service::sessions::{Session, SessionKey};
use crate::service::stations::Bss;
use crate::service::{Core, Now};
use crate::time::UnixTime;
use crate::wire::hostapd::{Station, akm_name};
use serde_json::Value;
use std::fmt::Write;
use std::net::IpAddr;

/// An SSID as text. Octets that are no UTF-8 are shown as U+FFFD.
pub fn ssid(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A point in time, null for never.
fn time(at: UnixTime) -> Value {
    if at == UnixTime::default() { Value::Null } else { at.to_string().into() }
}

fn mac(address: MacAddr) -> Value {
    address.to_string().into()
}

/// What a device is at the moment: `blocked`, `expired`, `waiting` (its key has not been proved) or `active`.
pub fn state(device: &Device, now: UnixTime) -> &'static str {
    if device.blocked {
        "blocked"
    } else if device.is_expired(now) {
        "expired"
    } else if device.macs.is_empty() && device.bind == crate::registry::device::Bind::First {
        "waiting"
    } else {
        "active"
    }
}

/// A device, without its key.
pub fn device(core: &Core, device: &Device, now: Now) -> Value {
    let seen = core.registry.seen(device.id);
    let bound = |bound: &BoundMac| {
        json!({
            "mac": mac(bound.mac),
            "proved": bound.proved,
            "randomised": bound.mac.is_locally_administered(),
            "since": time(bound.since),
        })
    };
    json!({
        "name": &*device.name,
        "profile": &*device.profile,
        "vlan": core.config.profile(&device.profile).and_then(|profile| profile.vlan),
        "state": match state(device, now.wall) {
            // Nothing tells that it was ever there but this.
            "active" if device.key.is_none() && device.eap.is_some() && seen.accepted == 0 => "waiting",
            state => state,
        },
        "bind": device.bind.as_str(),
        "max_devices": device.max_devices,
        "macs": device.macs.iter().map(bound).collect::<Value>(),
        "expires": device.expires.map(|at| at.to_string()),
        "created": time(device.created),
        "last_seen": time(seen.last_seen),
        "last_mac": seen.last_mac.map(mac),
        "accepted": seen.accepted,
        "refused": seen.refused,
        "has_key": device.key.is_some(),
        "eap": device.eap.as_deref().filter(|eap| eap.psk.is_some() || !eap.certificates.is_empty()).map(eap),
        "ssids": places(device, |place| match place {
            Place::Ssid(name) => Some(ssid(name)),
            Place::Ap(_) => None,
        }),
        "aps": places(device, |place| match place {
            Place::Ap(address) => Some(address.to_string()),
            Place::Ssid(_) => None,
        }),
    })
}

fn places(device: &Device, one: impl Fn(&Place) -> Option<String>) -> Value {
    device.places.iter().filter_map(one).collect()
}

/// EAP credentials, without keys.
fn eap(eap: &EapCredentials) -> Value {
    let certificate = |certificate: &Certificate| {
        let (kind, value) = known_by(&certificate.known_by);
        json!({
            "known_by": kind,
            "value": value,
            "maker": match &certificate.known_by {
                KnownBy::Serial { maker, .. } | KnownBy::SubjectSerial { maker, .. } | KnownBy::AltName { maker, .. } => {
                    Some(&**maker).filter(|maker| !maker.is_empty())
                }
                KnownBy::Peer { realm, .. } => Some(&**realm),
                KnownBy::Fingerprint(_) | KnownBy::PublicKey(_) => None,
            },
            "subject": Some(&*certificate.subject).filter(|subject| !subject.is_empty()),
            "not_after": certificate.not_after.map(|at| at.to_string()),
            "mud_url": certificate.mud_url.as_deref(),
            "issued": certificate.issued,
            "since": time(certificate.since),
        })
    };
    json!({
        "nai": eap.psk.as_ref().map(|psk| &*psk.nai),
        "certificates": eap.certificates.iter().map(certificate).collect::<Value>(),
    })
}

/// How a certificate is known: the word for it, and by which value.
pub fn known_by(known_by: &KnownBy) -> (&'static str, String) {
    match known_by {
        KnownBy::Fingerprint(hash) => ("fingerprint", hex(hash)),
        KnownBy::Serial { serial, .. } => ("serial", hex(serial)),
        KnownBy::SubjectSerial { serial, .. } => ("subject_serial", (**serial).to_owned()),
        KnownBy::AltName { name, .. } => ("alt_name", (**name).to_owned()),
        KnownBy::Peer { identity, .. } => ("peer", (**identity).to_owned()),
        KnownBy::PublicKey(hash) => ("public_key", hex(hash)),
    }
}

/// In lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// What is fed into a device for EAP-PSK: null if it has no such key. A secret.
pub fn eap_psk(core: &Core, device: &Device) -> Value {
    let Some(psk) = device.eap.as_ref().and_then(|eap| eap.psk.as_ref()) else { return Value::Null };
    let key = hex(psk.key.expose());
    json!({
        "identity": &*psk.nai,
        "key": key,
        "wpa_supplicant": supplicant::psk(core, device, &psk.nai, &key),
    })
}

/// A certificate that was just made, with its private key: shown this once.
pub fn issued(issued: &Issued, password: &str, show_password: bool) -> Value {
    json!({
        "subject": &*issued.info.subject,
        "serial": hex(&issued.info.serial),
        "not_after": issued.info.not_after.map(|at| at.to_string()),
        "certificate": issued.certificate_pem,
        "private_key": &**issued.key_pem,
        "ca": issued.ca_pem,
        "p12": hex(&issued.p12(password)),
        "p12_password": show_password.then_some(password),
    })
}

/// An event.
pub fn event(event: &Event) -> Value {
    json!({
        "id": event.id,
        "seq": event.seq,
        "at": time(event.at),
        "count": event.count,
        "first_at": time(event.first_at),
        "device": event.device.as_deref(),
        "mac": mac(event.mac),
        "ssid": ssid(&event.ssid),
        "nas": &*event.nas,
        "method": event.method.to_string(),
        "outcome": event.outcome.as_str(),
        "reason": event.reason.code(),
        "owner": event.reason.owner(),
        "party": event.party(),
        "fault": event.reason.fault().as_str(),
        "vlan": event.vlan,
        "profile": event.profile.as_deref(),
        "micros": event.micros,
        "text": event.to_string(),
    })
}

/// Lines that change in a file.
pub fn diff(lines: &[DiffLine]) -> Value {
    let line = |line: &DiffLine| json!({ "sign": line.sign.to_string(), "line": line.line, "text": line.text });
    lines.iter().map(line).collect()
}

/// The IP addresses of a neighbour, those that are good on one link only last.
fn addresses(core: &Core, mac: MacAddr) -> impl Iterator<Item = IpAddr> {
    core.network.neighbours.get(&mac).into_iter().flatten().copied()
}

/// A session.
pub fn session(core: &Core, key: &SessionKey, session: &Session, now: Now) -> Value {
    let device = session.device.and_then(|id| core.registry.get(id));
    json!({
        "device": device.map(|device| &*device.name),
        "mac": mac(key.mac),
        "ssid": ssid(&session.ssid),
        "nas": &*session.nas,
        "vlan": session.vlan,
        "profile": session.profile.as_deref(),
        "since": time(session.since),
        "seconds": (now.wall.0 - session.since.0).max(0),
        "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out,
        "address": brief::address(core, key, session).map(|address| address.to_string()),
        "proved": session.proved,
        "realm": session.realm().map(|realm| &**realm),
    })
}

/// A station.
pub fn station(core: &Core, name: &str, bss: &Bss, station: &Station) -> Value {
    let device = core.device_of(station.mac, bss).and_then(|id| core.registry.get(id));
    let kilobits = |rate: Option<u32>| rate.map(|rate| u64::from(rate) * 100);
    json!({
        "device": device.map(|device| &*device.name),
        "mac": mac(station.mac),
        "bss": name,
        "bssid": bss.bssid.map(mac),
        "ssid": ssid(&bss.ssid),
        "backend": core.config.ssid(&bss.ssid).map(|ssid| ssid.backend.as_str()),
        "vlan": core.vlan_of(name, station).flatten(),
        "akm": station.akm.map(|akm| match akm_name(akm) {
            Some(name) => name.to_owned(),
            None => format!("AKM {akm:08x}"),
        }),
        "keyid": station.keyid.as_deref(),
        "signal_dbm": station.signal,
        "rx_kbit_s": kilobits(station.rx_rate),
        "tx_kbit_s": kilobits(station.tx_rate),
        "rx_bytes": station.rx_bytes,
        "tx_bytes": station.tx_bytes,
        "connected_s": station.connected,
        "inactive_ms": station.inactive,
        "addresses": addresses(core, station.mac).map(|address| address.to_string()).collect::<Value>(),
    })
}

/// An unknown device.
pub fn pending(pending: &Pending) -> Value {
    json!({
        "mac": mac(pending.mac),
        "randomised": pending.mac.is_locally_administered(),
        "ssid": ssid(&pending.ssid),
        "nas": &*pending.nas,
        "first_seen": time(pending.first_seen),
        "last_seen": time(pending.last_seen),
        "attempts": pending.attempts,
        "reason": pending.reason.code(),
        "why": pending.reason.to_string(),
        "quarantined": pending.reason == Reason::Quarantined,
        "proved": match &pending.proved {
            Proved::Nothing => "nothing",
            Proved::KeyOf(_) => "other_key",
            Proved::Onboarding => "onboarding_key",
            Proved::Certificate { .. } => "certificate",
            Proved::Peer { .. } => "identity",
        },
        "key_of": match &pending.proved {
            Proved::KeyOf(owner) => Some(&**owner),
            Proved::Nothing | Proved::Onboarding | Proved::Certificate { .. } | Proved::Peer { .. } => None,
        },
        "identity": shown_identity(&pending.proved),
        "other_identity": pending.other.as_ref().and_then(shown_identity),
        "certificate": shown_certificate(&pending.proved),
        "other_certificate": pending.other.as_ref().and_then(shown_certificate),
    })
}

fn shown_identity(proved: &Proved) -> Option<Value> {
    let Proved::Peer { realm, identity } = proved else { return None };
    Some(json!({ "realm": &**realm, "identity": &**identity }))
}

fn shown_certificate(proved: &Proved) -> Option<Value> {
    let Proved::Certificate { info, maker } = proved else { return None };
    Some(json!({
        "maker": &**maker,
        "subject": &*info.subject,
        "issuer": &*info.issuer,
        "fingerprint": hex(&info.fingerprint),
        "serial_number": info.subject_serial.as_deref(),
        "not_after": info.not_after.map(|at| at.to_string()),
        "mud_url": info.mud_url.as_deref(),
    }))
}

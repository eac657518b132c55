//! What the answer of a realm's server says of a device.

use crate::config::{Realm, Target};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::credential::KnownBy;
use crate::registry::device::{Device, DeviceId};
use crate::wire::nai;
use crate::wire::radius::{AttributeType, Packet, TUNNEL_TYPE_VLAN};
use std::fmt::Write;
use std::sync::Arc;

/// Octets of Reply-Message that are shown.
const MESSAGE: usize = 160;

/// The longest identity, in octets: that of an attribute (RFC 2865, 5).
const LONGEST: usize = 253;

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// By what the registry knows it in this realm: 1 to 253 octets.
    pub identity: Arc<str>,
    /// Which device that is.
    pub device: Option<DeviceId>,
    /// What it calls itself, when that is the name of a device with other addresses and the server does not say that it is that.
    pub claimed: Option<Arc<str>>,
}

/// Who a device is, by the answer of its realm's server.
///
/// What the server says itself counts: Chargeable-User-Identity (RFC 4372), else User-Name of the Accept. The outer identity of
/// a tunnelled method is proved by nothing: whoever has an account at the server can write there what it wants, and some servers
/// send it back. So it names a device only that has this address; without one the device is known by its address.
pub fn who(registry: &Registry, realm: &Realm, accept: &Packet<'_>, request: &Packet<'_>, mac: MacAddr) -> Who {
    let outer = request.find(AttributeType::USER_NAME).unwrap_or_default();
    // Whoever owns a domain says in DNS whose word counts for it, and for that domain it counts only.
    let scope = nai::realm(outer).filter(|_| realm.target == Target::Discover);
    let holder = |identity: &Arc<str>| {
        registry.holder(&KnownBy::Peer { realm: realm.name.clone(), identity: identity.clone() }, None)
    };
    if let Some(identity) = told(accept, outer, scope) {
        let device = holder(&identity).map(|device| device.id);
        return Who { identity, device, claimed: None };
    }
    let has_it = |device: &&Device| device.has_mac(mac);
    let outer = Some(outer).filter(|name| !name.is_empty() && !nai::is_anonymous(name) && !is_address(name)).map(text);
    let by_address: Arc<str> = match scope {
        Some(scope) => format!("{mac}@{}", text(scope).to_ascii_lowercase()).into(),
        None => mac.to_string().into(),
    };
    let found = outer.as_ref().and_then(holder);
    match (outer, holder(&by_address)) {
        (Some(outer), _) if found.filter(has_it).is_some() => {
            Who { identity: outer, device: found.map(|device| device.id), claimed: None }
        }
        (_, Some(device)) => Who { identity: by_address, device: Some(device.id), claimed: None },
        (Some(outer), None) if found.is_none() => Who { identity: outer, device: None, claimed: None },
        (claimed, None) => Who { identity: by_address, device: None, claimed },
    }
}

/// What the server says of itself.
fn told(accept: &Packet<'_>, outer: &[u8], scope: Option<&[u8]>) -> Option<Arc<str>> {
    let own = |name: &[u8]| match (scope, nai::realm(name)) {
        (None, _) => Some(text(name)),
        (Some(scope), Some(realm)) if nai::same(realm, scope) => Some(text(name)),
        (Some(scope), _) => Some(text(&[text(name).as_bytes(), b"@", scope].concat())),
    };
    let fits = |name: &Arc<str>| name.len() <= LONGEST;
    let charged =
        accept.find(AttributeType::CHARGEABLE_USER_IDENTITY).filter(|cui| cui.iter().any(|octet| *octet != 0));
    if let Some(identity) = charged.and_then(own).filter(fits) {
        return Some(identity);
    }
    let name = accept.find(AttributeType::USER_NAME).filter(|name| !name.is_empty() && !nai::is_anonymous(name))?;
    let foreign = scope.is_some_and(|scope| nai::realm(name).is_some_and(|realm| !nai::same(realm, scope)));
    if foreign || is_echo(name, outer) { None } else { own(name).filter(fits) }
}

/// True when a server's name of a device is no more than what the device called itself, with its realm or without.
fn is_echo(name: &[u8], outer: &[u8]) -> bool {
    let realm = nai::realm(name).map(<[u8]>::trim_ascii);
    nai::user(name).trim_ascii().eq_ignore_ascii_case(nai::user(outer).trim_ascii())
        && realm.is_none_or(|realm| nai::realm(outer).is_some_and(|outer| nai::same(realm, outer.trim_ascii())))
}

/// The address of a device in its user part: only the device that has the address is known by it.
fn is_address(name: &[u8]) -> bool {
    MacAddr::parse_bytes(nai::user(name)).is_ok()
}

/// As text: what is not text in hexadecimal digits. The realm of a name is the same in letters of any case.
fn text(octets: &[u8]) -> Arc<str> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.chars().any(char::is_control) => match text.rsplit_once('@') {
            Some((user, realm)) if realm.chars().any(|c| c.is_ascii_uppercase()) => {
                format!("{user}@{}", realm.to_ascii_lowercase()).into()
            }
            _ => text.into(),
        },
        // 253 octets would take twice the room.
        _ => octets
            .iter()
            .take(126)
            .fold(String::new(), |mut digits, octet| {
                let _ = write!(digits, "{octet:02x}");
                digits
            })
            .into(),
    }
}

/// The VLAN they name (RFC 3580, 3.31), 1 to 4094.
pub fn vlan(accept: &Packet<'_>) -> Option<u16> {
    let first = accept.find_all(AttributeType::TUNNEL_TYPE).next()?;
    let (_, kind) = first.as_tagged_u32()?;
    let group = accept.find_all(AttributeType::TUNNEL_PRIVATE_GROUP_ID).next()?;
    let (_, digits) = group.as_tagged_text();
    let vlan: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (kind == TUNNEL_TYPE_VLAN && (1..=4094).contains(&vlan)).then_some(vlan)
}

/// What they say to it (RFC 2865, 5.18), fit to be shown.
pub fn message(reject: &Packet<'_>) -> Arc<str> {
    let mut said = String::new();
    for part in reject.find_all(AttributeType::REPLY_MESSAGE) {
        for c in String::from_utf8_lossy(part.value).chars() {
            if said.len() >= MESSAGE {
                break;
            }
            said.push(if c.is_control() { ' ' } else { c });
        }
    }
    said.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::registry::credential::EapCredentials;
    use crate::secret::RadiusSecret;
    use crate::time::UnixTime;
    use crate::wire::radius::{Builder, Code};

    const MAC: MacAddr = MacAddr([0, 0x1a, 0x11, 0, 0, 9]);

    #[test]
    fn the_word_of_a_server_that_dns_told_is_good_for_its_domain() {
        let config = "config profile 'iot'\n\toption vlan '20'\nconfig realm 'all'\n\tlist realm 'default'\n\t\
                      list server 'udp://192.0.2.1'\n\toption secret 'what they and we know'\n\toption profile 'iot'\n";
        let fixed = Config::parse(config).expect("a configuration").realms.remove(0);
        let discovered = Realm { target: Target::Discover, ..fixed.clone() };
        let cam = |id: u32, identity: &str| {
            let certificate = crate::decision::peer::registered(&"all".into(), &identity.into(), UnixTime(1));
            let eap = EapCredentials { psk: None, certificates: vec![certificate], serial: 1 };
            let device = crate::registry::tests::device(id, &format!("d{id}"), "iot", "not used at all");
            Device { eap: Some(Box::new(eap)), key: None, ..device }
        };
        let devices = vec![cam(1, "cam@good.example"), cam(2, "serial 12@good.example"), cam(3, "serial 12")];
        let registry = Registry::load(devices, vec![], vec![], DeviceId(9));
        let name = |name: &'static str| (AttributeType::USER_NAME, name);
        let cui = |cui: &'static str| (AttributeType::CHARGEABLE_USER_IDENTITY, cui);
        for (realm, outer, said, identity, device) in [
            (&discovered, "@good.example", name("cam@good.example"), "cam@good.example", Some(1)),
            (&discovered, "@good.example", name("cam"), "cam@good.example", Some(1)),
            (&discovered, "@GOOD.example", name("cam@Good.example"), "cam@good.example", Some(1)),
            (&discovered, "@good.example", cui("serial 12"), "serial 12@good.example", Some(2)),
            (&discovered, "@evil.example", name("cam@good.example"), "00:1a:11:00:00:09@evil.example", None),
            (&discovered, "x@evil.example", name("cam@good.example"), "x@evil.example", None),
            (&discovered, "@evil.example", name("cam"), "cam@evil.example", None),
            (&discovered, "@evil.example", cui("serial 12"), "serial 12@evil.example", None),
            (&discovered, "@evil.example", cui("cam@good.example"), "cam@good.example@evil.example", None),
            // Servers that the administrator named are one party.
            (&fixed, "@evil.example", name("cam@good.example"), "cam@good.example", Some(1)),
            (&fixed, "@evil.example", cui("serial 12"), "serial 12", Some(3)),
            (&fixed, "@evil.example", name("anonymous"), "00:1a:11:00:00:09", None),
        ] {
            let (secret, mut request, mut accept) = (RadiusSecret::new(b"secret"), Vec::new(), Vec::new());
            let mut builder = Builder::access_request(1, [7; 16], &secret, &mut request);
            builder.push(AttributeType::USER_NAME, outer.as_bytes()).expect("fits");
            builder.finish();
            let request = Packet::parse(&request).expect("a packet");
            let mut builder = Builder::reply(Code::ACCESS_ACCEPT, &request, &secret, &mut accept);
            builder.push(said.0, said.1.as_bytes()).expect("fits");
            builder.finish();
            let who = who(&registry, realm, &Packet::parse(&accept).expect("a packet"), &request, MAC);
            assert_eq!((&*who.identity, who.device), (identity, device.map(DeviceId)), "{outer} {said:?}");
        }
    }
}

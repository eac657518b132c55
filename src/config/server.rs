//! How servers and realms are written: `radsec://radius.acme.example:2083`, `*.acme.example`.

use super::realm::{Host, Pattern, Server, Transport};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// A domain name in text (RFC 1035, 2.3.4).
pub(super) const MAX_NAME: usize = 253;
/// A network access identifier has 253 octets at most (RFC 7542, 2.3), and there is at least one character before the @.
const MAX_REALM: usize = 251;
/// What EAP has for itself (RFC 9965; eap-noob.arpa: RFC 9140, 3.3.1): realms of methods, not of anybody's devices.
const NOT_FORWARDED: [&str; 2] = ["eap.arpa", "eap-noob.arpa"];

/// Why a text is no server. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Neither `udp://` nor `radsec://` before it.
    #[error("is no server: write udp://192.0.2.7 or radsec://radius.acme.example (a port may follow, such as :2083)")]
    Scheme,
    /// Something behind the host and port.
    #[error("has more than a host and a port: leave out what comes after them")]
    Surplus,
    /// An IPv6 address whose end cannot be told from a port.
    #[error("has an IPv6 address without brackets: write {0}://[2001:db8::7]")]
    Brackets(Transport),
    /// No name and no address.
    #[error("has no host name or IP address after {0}://: write for example {0}://radius.acme.example")]
    Host(Transport),
    /// An address that means no host.
    #[error("has an address that is no host's: write the server's own address")]
    NoHost,
    /// No port.
    #[error("has a port that is no number from 1 to 65535")]
    Port,
}

impl Transport {
    /// The port if none is written (RFC 2865, 3; RFC 6614, 2.1).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp => 1812,
            Transport::Radsec => 2083,
        }
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Server, ServerError> {
        let (scheme, rest) = text.split_once("://").ok_or(ServerError::Scheme)?;
        let words = Transport::WORDS.iter();
        let transport = words.clone().find(|(word, _)| *word == scheme).ok_or(ServerError::Scheme)?.1;
        if rest.contains(['/', '?', '#', '@']) {
            return Err(ServerError::Surplus);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or(ServerError::Brackets(transport))?;
                let address: Ipv6Addr = address.parse().map_err(|_| ServerError::Host(transport))?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err(ServerError::Surplus),
                };
                (Host::Address(IpAddr::V6(address).to_canonical()), port)
            }
            None if rest.matches(':').count() > 1 => return Err(ServerError::Brackets(transport)),
            None => {
                let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
                (self::host(host).ok_or(ServerError::Host(transport))?, port)
            }
        };
        if matches!(&host, Host::Address(address) if address.is_unspecified() || address.is_multicast()) {
            return Err(ServerError::NoHost);
        }
        let port = port.map_or(Some(transport.default_port()), self::port).ok_or(ServerError::Port)?;
        Ok(Server { transport, host, port })
    }
}

/// A number from 1 to 65535.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0 && !text.starts_with('+'))
}

/// A host's name or address, without brackets.
pub(super) fn host(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address.to_canonical()));
    }
    // A name whose last label is a number is a mistyped address: no top-level domain is one (RFC 3696, 2).
    let last = text.rsplit('.').next()?;
    let name = is_domain(text, MAX_NAME) && !last.bytes().all(|b| b.is_ascii_digit());
    name.then(|| Host::Name(text.to_ascii_lowercase().into()))
}

/// Letters, digits and hyphens between dots (RFC 1034, 3.5).
pub(super) fn is_domain(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.split('.').all(|label| is_label(label) && label.is_ascii())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

/// Why a text names no realms. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No realm of RFC 7542: labels of letters, digits and hyphens between dots, two at least.
    #[error(
        "is no realm: write what follows the @ in its devices' identities, such as acme.example, *.acme.example for all below it, or default for everything else"
    )]
    Form,
    /// With what comes before the realm.
    #[error("has an @: write only what follows it")]
    At,
    /// Everything.
    #[error("has no domain after the *: write default for every realm that nobody else has")]
    Star,
    /// A realm of EAP's own.
    #[error("is under {0}, which EAP has for itself and which never leaves this box: remove it")]
    NotForwarded(&'static str),
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        if text == "default" {
            return Ok(Pattern::Default);
        }
        if text.contains('@') {
            return Err(PatternError::At);
        }
        if matches!(text, "*" | "*.") {
            return Err(PatternError::Star);
        }
        let (below, realm) = text.strip_prefix("*.").map_or((false, text), |realm| (true, realm));
        // All below a top-level domain would be too much to be meant by anybody, and *.arpa would look as if it had EAP's realms.
        if realm.len() > MAX_REALM || !realm.contains('.') || !realm.split('.').all(is_label) {
            return Err(PatternError::Form);
        }
        // Compared without case in ASCII only (RFC 7542, 2.4 leaves it at that).
        let realm: Arc<str> = realm.to_ascii_lowercase().into();
        for name in NOT_FORWARDED {
            if realm.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
                return Err(PatternError::NotForwarded(name));
            }
        }
        Ok(if below { Pattern::Below(realm) } else { Pattern::Exact(realm) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers() {
        let name = |name: &str| Host::Name(name.into());
        let address = |text: &str| Host::Address(text.parse().unwrap());
        for (text, transport, host, port) in [
            ("udp://192.0.2.7", Transport::Udp, address("192.0.2.7"), 1812),
            ("udp://192.0.2.7:1645", Transport::Udp, address("192.0.2.7"), 1645),
            ("radsec://Radius.Acme.Example", Transport::Radsec, name("radius.acme.example"), 2083),
            ("radsec://radius:12083", Transport::Radsec, name("radius"), 12083),
            ("radsec://[2001:db8::7]", Transport::Radsec, address("2001:db8::7"), 2083),
            ("udp://[2001:db8::7]:18120", Transport::Udp, address("2001:db8::7"), 18120),
            ("udp://[::ffff:192.0.2.7]", Transport::Udp, address("192.0.2.7"), 1812),
        ] {
            assert_eq!(text.parse(), Ok(Server { transport, host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_server() {
        use ServerError::*;
        let (udp, radsec) = (Transport::Udp, Transport::Radsec);
        for (text, why) in [
            ("", Scheme),
            ("192.0.2.7", Scheme),
            ("local", Scheme),
            ("tls://a.example", Scheme),
            ("UDP://192.0.2.7", Scheme),
            ("radsec://a.example/", Surplus),
            ("radsec://user@a.example", Surplus),
            ("udp://[2001:db8::7]1812", Surplus),
            ("udp://2001:db8::7", Brackets(udp)),
            ("udp://[2001:db8::7", Brackets(udp)),
            ("radsec://", Host(radsec)),
            ("radsec://:2083", Host(radsec)),
            ("udp://10.0.0.300", Host(udp)),
            ("udp://a..example", Host(udp)),
            ("udp://a b", Host(udp)),
            ("udp://r\u{e4}dius.example", Host(udp)),
            ("udp://[192.0.2.7]", Host(udp)),
            ("udp://[fe80::1%eth0]", Host(udp)),
            ("udp://0.0.0.0", NoHost),
            ("radsec://[ff02::1]", NoHost),
            ("udp://192.0.2.7:", Port),
            ("udp://192.0.2.7:0", Port),
            ("udp://192.0.2.7:+1812", Port),
            ("udp://192.0.2.7:65536", Port),
        ] {
            assert_eq!(text.parse::<Server>(), Err(why), "{text}");
        }
    }

    #[test]
    fn realms() {
        for (text, expected) in [
            ("default", Pattern::Default),
            ("acme.example", Pattern::Exact("acme.example".into())),
            ("Acme.Example", Pattern::Exact("acme.example".into())),
            ("*.acme.example", Pattern::Below("acme.example".into())),
            ("b\u{fc}cher.example", Pattern::Exact("b\u{fc}cher.example".into())),
            ("xeap.arpa", Pattern::Exact("xeap.arpa".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        let long = format!("{}example", "a.".repeat(123));
        for (text, why) in [
            ("", PatternError::Form),
            ("acme", PatternError::Form),
            ("Default", PatternError::Form),
            ("*.example", PatternError::Form),
            ("a.*.example", PatternError::Form),
            ("acme.example.", PatternError::Form),
            ("-a.example", PatternError::Form),
            ("a b.example", PatternError::Form),
            (&long, PatternError::Form),
            ("@acme.example", PatternError::At),
            ("lamp@acme.example", PatternError::At),
            ("*", PatternError::Star),
            ("*.", PatternError::Star),
            ("eap.arpa", PatternError::NotForwarded("eap.arpa")),
            ("*.EAP.arpa", PatternError::NotForwarded("eap.arpa")),
            ("x.eap-noob.arpa", PatternError::NotForwarded("eap-noob.arpa")),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "(udp|radsec)://(\\[[0-9a-f:]{2,20}\\]|[a-z0-9.-]{1,20})(:[0-9]{1,5})?|\\PC{0,20}") {
            if let Ok(server) = text.parse::<Server>() {
                prop_assert_eq!(server.to_string().parse(), Ok(server));
            }
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}

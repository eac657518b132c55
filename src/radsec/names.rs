//! For whom a certificate is: the names of its subjectAltName (RFC 5280, 4.2.1.6), and nothing else. The common name has not
//! counted for long (RFC 9525, 1.4.1).

use crate::pki::der::{OID, Reader, SEQUENCE, only};
use crate::pki::x509::{Certificate, SUBJECT_ALT_NAME};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// id-on-naiRealm (RFC 7585, 2.2).
const NAI_REALM: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 8];
/// otherName, dNSName and iPAddress of GeneralName.
const OTHER_NAME: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// UTF8String, which a NAIRealm has to be.
const UTF8_STRING: u8 = 0x0c;
/// How many names of one certificate are told in a message.
const TOLD: usize = 4;
/// Octets of the longest name that is told: that of a DNS name.
const LONGEST: usize = 253;

/// A name of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// dNSName: ASCII, as it stands there.
    Dns(&'a str),
    /// iPAddress.
    Address(IpAddr),
    /// NAIRealm, as it stands there.
    Realm(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Dns(name) => f.write_str(name),
            Name::Address(address) => write!(f, "{address}"),
            Name::Realm(realm) => write!(f, "the realm {realm}"),
        }
    }
}

/// The names of a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    names: Reader<'a>,
}

impl<'a> Names<'a> {
    /// Finds them in a certificate (DER).
    ///
    /// # Errors
    /// What of the certificate cannot be read.
    pub fn of(certificate: &'a [u8]) -> Result<Names<'a>, &'static str> {
        let value = Certificate::parse(certificate)?.extension(SUBJECT_ALT_NAME)?;
        let names = match value {
            Some(value) => only(value, SEQUENCE).ok_or("subjectAltName")?.members(),
            None => Reader::new(&[]),
        };
        let mut all = names;
        while !all.is_empty() {
            all.value().ok_or("subjectAltName")?;
        }
        Ok(Names { names })
    }

    /// Those of them that can identify a RADIUS server or client, in their order. What is not well formed (a DNS name that has not
    /// only printable ASCII, an address of 5 octets) is passed over.
    pub fn iter(&self) -> impl Iterator<Item = Name<'a>> + use<'a> {
        let mut names = self.names;
        std::iter::from_fn(move || names.value()).filter_map(|name| match name.tag {
            DNS_NAME => printable(name.content).map(Name::Dns),
            IP_ADDRESS => match name.content {
                octets if octets.len() == 4 => {
                    octets.try_into().ok().map(|octets: [u8; 4]| Name::Address(Ipv4Addr::from(octets).into()))
                }
                octets => octets.try_into().ok().map(|octets: [u8; 16]| Name::Address(Ipv6Addr::from(octets).into())),
            },
            OTHER_NAME => {
                let mut members = name.members();
                members.take(OID).filter(|oid| oid.content == NAI_REALM)?;
                let value = members.take(0xa0).filter(|_| members.is_empty())?;
                printable(only(value.content, UTF8_STRING)?.content).map(Name::Realm)
            }
            _ => None,
        })
    }

    /// True when it is for this host: a DNS name, of which its left-most label may stand for any one (RFC 9525, 6.3), or an
    /// address in text.
    pub fn is_for_host(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.has_address(address),
            Err(_) => self.iter().any(|name| matches!(name, Name::Dns(pattern) if matches(pattern, host))),
        }
    }

    /// True when it has exactly this name: how a client is known. One certificate for any name (a wildcard) names nobody.
    pub fn has(&self, name: &str) -> bool {
        match name.parse::<IpAddr>() {
            Ok(address) => self.has_address(address),
            Err(_) => self.iter().any(|own| {
                matches!(own, Name::Dns(own) if !own.starts_with('*') && without_dot(own).eq_ignore_ascii_case(without_dot(name)))
            }),
        }
    }

    /// True when its owner may authenticate users of this realm (RFC 7585, 2.2). A wildcard is the whole left-most label, and
    /// stands for one.
    pub fn is_for_realm(&self, realm: &str) -> bool {
        self.iter().any(|name| matches!(name, Name::Realm(pattern) if matches(pattern, realm)))
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.iter().any(|name| matches!(name, Name::Address(own) if own.to_canonical() == address.to_canonical()))
    }
}

impl fmt::Display for Names<'_> {
    /// `aaa.acme.example and 192.0.2.7`; `nobody` when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.iter().peekable();
        if names.peek().is_none() {
            return f.write_str("nobody (no dNSName or iPAddress in its subjectAltName)");
        }
        for number in 0.. {
            let Some(name) = names.next() else { break };
            let between = match (number, names.peek()) {
                (0, _) => "",
                (_, None) => " and ",
                _ => ", ",
            };
            if number == TOLD {
                return write!(f, " and others");
            }
            write!(f, "{between}{name}")?;
        }
        Ok(())
    }
}

fn printable(octets: &[u8]) -> Option<&str> {
    let graphic = (1..=LONGEST).contains(&octets.len()) && octets.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(octets).ok().filter(|_| graphic)
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Compares a name of a certificate with the one that is expected, without case. `*.example.org` is for `a.example.org`, and neither
/// for `example.org` nor for `b.a.example.org`; `a*.example.org` and `*` are for nobody.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (without_dot(pattern), without_dot(name));
    let Some(parent) = pattern.strip_prefix("*.") else {
        return !pattern.contains('*') && pattern.eq_ignore_ascii_case(name);
    };
    // What would stand for a whole top-level domain is not taken.
    let several = parent.contains('.') && !parent.contains('*');
    let rest = name.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, rest)| rest);
    several && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::Ca;
    use proptest::prelude::*;
    use rcgen::{CustomExtension, SanType};

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        Ca::root("Acme CA").device("aaa.acme.example", |params| params.subject_alt_names = names)
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn realm(realm: &str) -> SanType {
        let oid = vec![1, 3, 6, 1, 5, 5, 7, 8, 8];
        SanType::OtherName((oid, rcgen::OtherNameValue::Utf8String(realm.into())))
    }

    #[test]
    fn a_server_is_known_by_its_subject_alt_names_only() {
        let der = certificate(vec![
            dns("aaa.acme.example"),
            dns("*.pool.acme.example"),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ]);
        let names = Names::of(&der).unwrap();
        for (host, is) in [
            ("aaa.acme.example", true),
            ("AAA.Acme.Example.", true),
            ("acme.example", false),
            ("b.aaa.acme.example", false),
            ("a.pool.acme.example", true),
            ("pool.acme.example", false),
            ("b.a.pool.acme.example", false),
            (".pool.acme.example", false),
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::7", true),
            ("2001:0db8:0::7", true),
            ("", false),
        ] {
            assert_eq!(names.is_for_host(host), is, "{host}");
        }
        assert_eq!(names.to_string(), "aaa.acme.example, *.pool.acme.example, 192.0.2.7 and 2001:db8::7");
        let der = certificate(vec![]);
        let names = Names::of(&der).unwrap();
        assert!(!names.is_for_host("aaa.acme.example"), "the common name does not count");
        assert!(names.to_string().starts_with("nobody"));
    }

    #[test]
    fn a_client_is_known_by_a_whole_name() {
        let der = certificate(vec![dns("ap7.acme.example"), dns("*.acme.example"), realm("ap9.acme.example")]);
        let names = Names::of(&der).unwrap();
        for (name, is) in [
            ("ap7.acme.example", true),
            ("AP7.acme.example.", true),
            ("ap8.acme.example", false),
            ("*.acme.example", false),
            ("ap9.acme.example", false),
        ] {
            assert_eq!(names.has(name), is, "{name}");
        }
    }

    #[test]
    fn realms_are_in_names_of_their_own() {
        let der = certificate(vec![realm("Acme.example"), realm("*.iot.acme.example"), dns("other.example")]);
        let names = Names::of(&der).unwrap();
        for (realm, is) in [
            ("acme.example", true),
            ("ACME.example", true),
            ("a.iot.acme.example", true),
            ("iot.acme.example", false),
            ("b.a.iot.acme.example", false),
            ("other.example", false),
            ("x.acme.example", false),
        ] {
            assert_eq!(names.is_for_realm(realm), is, "{realm}");
        }
        assert!(!names.is_for_host("acme.example"), "a realm is no host");
    }

    #[test]
    fn only_whole_labels_stand_for_others() {
        for (pattern, name, is) in [
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "*.example.org", true),
            ("a*.example.org", "ab.example.org", false),
            ("a*.example.org", "a*.example.org", false),
            ("*", "org", false),
            ("*.org", "example.org", false),
            ("*.*.org", "a.example.org", false),
            ("a.*.org", "a.example.org", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_not_well_formed_names_nobody() {
        // otherName with another type of string, dNSName with a NUL and with nothing, an address of 5 octets, a directory name.
        let other = [&[0xa0, 14, 6, 8][..], NAI_REALM, &[0xa0, 2, 0x16, 0]].concat();
        let value = [&other[..], &[0x82, 3, b'a', 0, b'b'], &[0x82, 0], &[0x87, 5, 1, 2, 3, 4, 5], &[0xa4, 0]].concat();
        let content = [&[0x30, value.len() as u8][..], &value].concat();
        let extension = |content: &[u8]| CustomExtension::from_oid_content(&[2, 5, 29, 17], content.to_vec());
        let with = |content: &[u8]| {
            Ca::root("Acme CA").device("aaa", |params| params.custom_extensions = vec![extension(content)])
        };
        let der = with(&content);
        assert_eq!(Names::of(&der).unwrap().iter().count(), 0);
        for bad in [&[0x30, 2, 0x82][..], &[0x30, 1, 0x82], &[0x31, 0], &[0x30, 3, 0x82, 5, b'a']] {
            assert!(Names::of(&with(bad)).is_err(), "{bad:?}");
        }
        assert!(Names::of(b"no certificate").is_err());
    }

    proptest! {
        #[test]
        fn anything_may_stand_in_the_extension(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let names = Names { names: Reader::new(&value) };
            prop_assert!(!names.is_for_host("aaa.acme.example") || value.len() >= 18);
            let _ = (names.to_string(), names.is_for_realm("acme.example"), names.has("192.0.2.7"));
        }
    }
}

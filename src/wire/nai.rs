//! Network access identifiers (RFC 7542): `user@realm`, as octets from the network.

/// The longest realm, in octets: that of a domain name (RFC 1035, 3.1; RFC 7542, 2.3).
pub const MAX_REALM_OCTETS: usize = 253;
/// The longest label of a realm, in octets (RFC 1035, 2.3.4).
pub const MAX_LABEL_OCTETS: usize = 63;

/// The realms of methods that make a device known in the first place: never sent on (RFC 9965, 3.1; RFC 9140, 3.3.1).
const RESERVED: [&[u8]; 2] = [b"eap.arpa", b"eap-noob.arpa"];

/// The realm of an identifier: what follows the last `@` (RFC 7542, 3). `None` when there is none. It may be invalid: see
/// [`is_realm`].
pub fn realm(nai: &[u8]) -> Option<&[u8]> {
    let at = nai.iter().rposition(|octet| *octet == b'@')?;
    nai.get(at + 1..)
}

/// The user part of an identifier: what is before the last `@`, all of it when there is none. Decoration such as
/// `realm!user` (RFC 7542, 3.3.1) is part of it: only who set it up may act on it.
pub fn user(nai: &[u8]) -> &[u8] {
    let at = nai.iter().rposition(|octet| *octet == b'@');
    at.and_then(|at| nai.get(..at)).unwrap_or(nai)
}

/// True if the user part tells nobody: empty (RFC 7542, 2.4) or `anonymous`, in letters of any case.
pub fn is_anonymous(nai: &[u8]) -> bool {
    let user = user(nai);
    user.is_empty() || user.eq_ignore_ascii_case(b"anonymous")
}

/// True for a valid realm (RFC 7542, 2.2): two or more labels of letters, digits and hyphens within, or of anything in UTF-8 beyond
/// ASCII; A-labels (`xn--`) are such. Up to 63 octets a label and 253 in all.
pub fn is_realm(realm: &[u8]) -> bool {
    realm.len() <= MAX_REALM_OCTETS
        && realm.contains(&b'.')
        && std::str::from_utf8(realm).is_ok()
        && realm.split(|octet| *octet == b'.').all(is_label)
}

/// One label; that it is UTF-8 was seen before.
fn is_label(label: &[u8]) -> bool {
    let inner = |octet: &u8| octet.is_ascii_alphanumeric() || !octet.is_ascii();
    match label {
        [only] => inner(only),
        [first, middle @ .., last] => {
            label.len() <= MAX_LABEL_OCTETS
                && inner(first)
                && inner(last)
                && middle.iter().all(|octet| inner(octet) || *octet == b'-')
        }
        [] => false,
    }
}

/// Whether two realms are the same: letters of ASCII in any case, everything else octet by octet.
pub fn same(realm: &[u8], other: &[u8]) -> bool {
    realm.eq_ignore_ascii_case(other)
}

/// Whether a realm is a sub-domain of another, not that itself.
pub fn is_below(realm: &[u8], parent: &[u8]) -> bool {
    let Some((before, tail)) = realm.len().checked_sub(parent.len()).and_then(|at| realm.split_at_checked(at)) else {
        return false;
    };
    matches!(before, [_, .., b'.']) && same(tail, parent)
}

/// True for `eap.arpa`, `eap-noob.arpa` and everything below them.
pub fn is_reserved(realm: &[u8]) -> bool {
    // A dot at the end is the same name to whoever looks it up.
    let realm = realm.strip_suffix(b".").unwrap_or(realm);
    RESERVED.iter().any(|reserved| same(realm, reserved) || is_below(realm, reserved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn user_and_realm() {
        for (nai, expected_user, expected_realm) in [
            // RFC 7542, 2.2 and 2.4.
            ("bob", "bob", None),
            ("joe@example.com", "joe", Some("example.com")),
            ("@example.com", "", Some("example.com")),
            (
                "homerealm.example.org!user@otherrealm.example.net",
                "homerealm.example.org!user",
                Some("otherrealm.example.net"),
            ),
            ("\"a@b\"@example.com", "\"a@b\"", Some("example.com")),
            ("a@b@c.d", "a@b", Some("c.d")),
            ("eng%nancy@example.net", "eng%nancy", Some("example.net")),
            ("user@", "user", Some("")),
            ("", "", None),
        ] {
            assert_eq!(user(nai.as_bytes()), expected_user.as_bytes(), "{nai}");
            assert_eq!(realm(nai.as_bytes()), expected_realm.map(str::as_bytes), "{nai}");
        }
    }

    #[test]
    fn who_is_nobody() {
        for nai in ["", "@example.com", "anonymous@example.com", "ANONYMOUS@example.com", "anonymous"] {
            assert!(is_anonymous(nai.as_bytes()), "{nai}");
        }
        for nai in ["a@example.com", "anonymous1@example.com", " @example.com"] {
            assert!(!is_anonymous(nai.as_bytes()), "{nai}");
        }
    }

    #[test]
    fn valid_realms() {
        let label = "a".repeat(63);
        let long = |octets: usize| {
            let mut realm = format!("{label}.{label}.{label}.{label}");
            realm.truncate(octets);
            realm
        };
        for realm in [
            "example.com",
            "a.b",
            "3com.example",
            "a-b.c--d.example",
            "xn--bcher-kva.example",
            "b\u{fc}cher.example",
            "\u{4f8b}.\u{5b50}",
            "EXAMPLE.COM",
            &format!("{label}.example"),
            &long(253),
        ] {
            assert!(is_realm(realm.as_bytes()), "{realm}");
        }
        for realm in [
            "",
            ".",
            "example",
            "example.com.",
            ".example.com",
            "a..b",
            "-a.example",
            "a-.example",
            "-.example",
            "a_b.example",
            "a b.example",
            "a.exam ple",
            "a.b@c",
            "a\0.example",
            "10.0.0.1/8",
            &format!("{label}a.example"),
            &long(254),
        ] {
            assert!(!is_realm(realm.as_bytes()), "{realm:?}");
        }
        assert!(!is_realm(b"b\xfccher.example"), "Latin-1 is not UTF-8");
    }

    #[test]
    fn below() {
        for (realm, parent, expected) in [
            ("a.example", "example", true),
            ("A.Example", "eXample", true),
            ("a.b.example", "example", true),
            ("example", "example", false),
            (".example", "example", false),
            ("notexample", "example", false),
            ("example", "a.example", false),
            ("", "", false),
        ] {
            assert_eq!(is_below(realm.as_bytes(), parent.as_bytes()), expected, "{realm} {parent}");
        }
        for realm in ["eap.arpa", "EAP.ARPA", "pnd.eap.arpa", "noob@eap.arpa".split_once('@').unwrap().1, "eap.arpa."] {
            assert!(is_reserved(realm.as_bytes()), "{realm}");
        }
        for realm in ["arpa", "xeap.arpa", "eap.arpa.example", "eap-noob.example"] {
            assert!(!is_reserved(realm.as_bytes()), "{realm}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(nai: Vec<u8>, other: Vec<u8>) {
            let (user, realm) = (user(&nai), realm(&nai));
            prop_assert_eq!(user.len() + realm.map_or(0, |realm| realm.len() + 1), nai.len());
            let _ = (is_anonymous(&nai), is_realm(&nai), is_reserved(&nai), is_below(&nai, &other));
        }

        #[test]
        fn a_realm_of_valid_labels_is_valid(labels in prop::collection::vec("[a-zA-Z0-9]([a-z0-9-]{0,20}[a-z0-9\u{e0}-\u{ff}])?", 2..8)) {
            let realm = labels.join(".");
            prop_assert!(is_realm(realm.as_bytes()));
            prop_assert!(is_below(realm.as_bytes(), labels[1..].join(".").as_bytes()));
        }
    }
}

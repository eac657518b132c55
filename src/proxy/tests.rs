//! Which section is for a realm.

use super::best;
use super::engine::testing::realm;
use crate::config::{Pattern, Realm, Target};
use proptest::prelude::*;

fn sections(patterns: &[&[&str]]) -> Vec<Realm> {
    let pattern = |text: &&str| match text.strip_prefix("*.") {
        Some(parent) => Pattern::Below(parent.into()),
        None if *text == "default" => Pattern::Default,
        None => Pattern::Exact((*text).into()),
    };
    let section =
        |patterns: &&[&str]| Realm { patterns: patterns.iter().map(pattern).collect(), ..realm("x", Target::Local) };
    patterns.iter().map(section).collect()
}

#[test]
fn the_nearest_section_is_the_one() {
    let sections = sections(&[
        &["default"],
        &["*.example"],
        &["*.acme.example", "acme.example"],
        &["lab.acme.example"],
        &["*.eu.acme.example"],
        &["acme.example", "other.example"],
        &["*.arpa"],
    ]);
    for (realm, expected) in [
        ("acme.example", Some(2)),
        ("ACME.Example", Some(2)),
        ("lab.acme.example", Some(3)),
        ("x.lab.acme.example", Some(2)),
        ("eu.acme.example", Some(2)),
        ("a.b.eu.acme.example", Some(4)),
        ("notacme.example", Some(1)),
        ("other.example", Some(5)),
        ("example", None),
        ("acme.test", None),
        ("", None),
        (".example", None),
        ("a..example", None),
        ("-a.example", None),
        ("in-addr.arpa", Some(6)),
        ("eap.arpa", None),
        ("pnd.eap.arpa", None),
        ("eap-noob.arpa", None),
        ("EAP-NOOB.ARPA", None),
        ("noteap.arpa", Some(6)),
    ] {
        assert_eq!(best(&sections, realm.as_bytes()), expected, "{realm}");
    }
}

proptest! {
    #[test]
    fn an_exact_section_is_never_passed_over(labels in prop::collection::vec("[a-z][a-z0-9]{0,5}", 2..6)) {
        let realm = labels.join(".");
        let (parent, mixed) = (labels[1..].join("."), realm.to_uppercase());
        let below = format!("*.{parent}");
        let sections = sections(&[&[&below], &["default"], &[&realm]]);
        prop_assert_eq!(best(&sections, mixed.as_bytes()), Some(2));
        prop_assert_eq!(best(&sections[..2], mixed.as_bytes()), Some(0));
        prop_assert_eq!(best(&sections, parent.as_bytes()), None);
    }

    #[test]
    fn no_octets_panic(realm: Vec<u8>) {
        let _ = best(&sections(&[&["*.example"], &["a.example"]]), &realm);
    }
}

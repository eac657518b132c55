//! Whose certificates count: what has to be accepted, and a table of those that must not be, with the words people read.

use super::super::testing::{Ca, NOW, World, params, pem};
use super::*;
use crate::pki::authority::{Authority as OwnAuthority, Key};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

const ACME_ROOT: &str = include_str!("../testdata/acme-root.pem");
const ACME_IDEVID: &str = include_str!("../testdata/acme-idevid.pem");

fn maker(name: &str) -> Result<Voucher, String> {
    Ok(Voucher::Maker(name.into()))
}

fn no(why: &str) -> Result<Voucher, String> {
    Err(why.into())
}

/// No EKU, no SAN, no end, a serialNumber in the subject: IEEE 802.1AR, 8.
fn idevid(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(9999, 12, 31) + std::time::Duration::from_secs(86_399);
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "0042A7");
}

#[test]
fn certificates_as_makers_make_them_are_accepted() {
    for (what, algorithm) in [
        ("ECDSA P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("ECDSA P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ("Ed25519", &rcgen::PKCS_ED25519),
    ] {
        let root = Ca::root_with("Acme Root", algorithm);
        let device = root.device("cam", idevid);
        let world = World::default().maker("acme", &[&root.der]);
        assert_eq!(world.judge(&[&device]), maker("acme"), "{what}");
        let chain = [CertificateDer::from(device.as_slice())];
        let (info, _) = world.trust().verify(&chain, NOW).unwrap();
        assert_eq!((info.not_after, info.subject_serial.as_deref()), (None, Some("0042A7")));
        // The end of all time.
        assert_eq!(world.judge_at(&[&device], UnixTime(253_402_300_799)), maker("acme"));
    }
}

/// Certificates of the openssl command, with RSA keys of 2048 bits, a hardwareModuleName (RFC 4108, 5), policies and a MUD URL.
#[test]
fn rsa_certificates_of_openssl_are_accepted() {
    let root = pem(ACME_ROOT).remove(0);
    let world = World::default().maker("acme", &[&root]);
    for (hash, text) in [
        ("SHA-256", ACME_IDEVID),
        ("SHA-384", include_str!("../testdata/acme-sha384.pem")),
        ("SHA-512", include_str!("../testdata/acme-sha512.pem")),
    ] {
        assert_eq!(world.judge(&[&pem(text)[0]]), maker("acme"), "{hash}");
    }
}

#[test]
fn chains_are_found_in_any_order() {
    let root = Ca::root("Root");
    let sub = root.sub("Sub", |_| ());
    let lowest = sub.sub("Lowest", |_| ());
    let device = lowest.device("cam", |_| ());
    let world = World::default().maker("other", &[&Ca::root("Other").der]).maker("acme", &[&root.der]);
    for chain in [
        &[&device, &lowest.der, &sub.der][..],
        &[&device, &sub.der, &lowest.der],
        &[&device, &lowest.der, &sub.der, &root.der],
        &[&device, &root.der, &sub.der, &lowest.der],
    ] {
        let chain: Vec<&[u8]> = chain.iter().map(|der| der.as_slice()).collect();
        assert_eq!(world.judge(&chain), maker("acme"), "{}", chain.len());
    }
    // A maker may have given the CA that signs, and keep its root to itself.
    let world = World::default().maker("acme", &[&lowest.der]);
    assert_eq!(world.judge(&[&device]), maker("acme"));
    assert_eq!(world.judge(&[&device, &lowest.der, &sub.der]), maker("acme"));
}

#[test]
fn purposes_for_clients_are_accepted() {
    let root = Ca::root("Root");
    let world = World::default().maker("acme", &[&root.der]);
    for purposes in [
        vec![ExtendedKeyUsagePurpose::ClientAuth],
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        vec![ExtendedKeyUsagePurpose::Any],
    ] {
        let device = root.device("cam", |params| params.extended_key_usages = purposes.clone());
        assert_eq!(world.judge(&[&device]), maker("acme"), "{purposes:?}");
    }
}

/// A certificate that signed itself, as cameras make one for their web pages: for servers, and without a CA.
fn self_signed(edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = params("cam");
    params.use_authority_key_identifier_extension = false;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    edit(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn what_is_registered_itself_counts_whoever_signed_it_while_it_is_in_time() {
    let cam = self_signed(|_| ());
    assert_eq!(World::default().judge(&[&cam]), no("is signed by a CA nobody registered (CN=cam, which is itself)"));
    let world = World::default().pinned(&cam);
    assert_eq!(world.judge(&[&cam]), Ok(Voucher::Registered));
    assert_eq!(world.judge_at(&[&cam], UnixTime(0)), no("is not valid before 2024-01-01T00:00:00Z"));
    assert_eq!(world.judge_at(&[&cam], UnixTime(2_208_988_800)), Ok(Voucher::Registered), "the last second");
    assert_eq!(world.judge_at(&[&cam], UnixTime(2_208_988_801)), no("expired on 2040-01-01T00:00:00Z"));
    // Self-signed certificates often say they are a CA's.
    let cam = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(World::default().pinned(&cam).judge(&[&cam]), Ok(Voucher::Registered));

    // Its key alone.
    let info = CertificateInfo::parse(&cam).unwrap();
    let world = World::default().knows(KnownBy::PublicKey(info.public_key), false);
    assert_eq!(world.judge(&[&cam]), Ok(Voucher::Registered));
    let spki = Certificate::parse(&cam).unwrap().public_key;
    assert!(world.trust().knows_public_key(spki));
    assert!(!world.trust().knows_public_key(&spki[1..]));
    assert!(world.trust().has_public_keys() && !World::default().pinned(&cam).trust().has_public_keys());
    assert!(!World::default().pinned(&cam).trust().knows_public_key(spki), "only the certificate is registered");
    // Nobody else's certificate counts because of it.
    assert_eq!(
        world.judge(&[&self_signed(|_| ())]),
        no("is signed by a CA nobody registered (CN=cam, which is itself)")
    );
}

#[test]
fn every_bad_certificate_has_its_words() {
    let root = Ca::root("Acme Root");
    let sub = root.sub("Acme Sub", |_| ());
    let world = World::default().maker("acme", &[&root.der]);
    let other = Ca::root("Other Root");
    let other_sub = other.sub("Other Sub", |_| ());
    let good = root.device("cam", |_| ());
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut changed = good.clone();
    let at = changed.windows(3).rposition(|window| window == b"cam").unwrap();
    changed[at] = b'C';
    // The certificate names the key that is wanted, and another one has signed.
    let stranger = Ca::root("Acme Root");
    let narrow = root.sub("Narrow", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let below = narrow.sub("Below", |_| ());
    let old = root.sub("Old Sub", |params| params.not_after = date_time_ymd(2026, 1, 1));
    let young = root.sub("Young Sub", |params| params.not_before = date_time_ymd(2030, 1, 1));
    let plain = root.sub("Plain", |params| params.is_ca = IsCa::ExplicitNoCa);
    let mut critical = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    critical.set_criticality(true);
    let ed25519 = Ca::root_with("Acme Root", &rcgen::PKCS_ED25519);

    let table: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        ("no certificate", vec![], "is not accepted: there is none"),
        ("garbage", vec![b"garbage".to_vec()], "is not accepted: it is no certificate"),
        ("half of one", vec![good[..200].to_vec()], "is not accepted: it is no certificate"),
        ("another maker's", vec![other.device("cam", |_| ())], "is signed by a CA nobody registered (CN=Other Root)"),
        (
            "another maker's, with its chain",
            vec![other_sub.device("cam", |_| ()), other_sub.der.clone(), other.der.clone()],
            "is signed by a CA nobody registered (CN=Other Sub, under CN=Other Root)",
        ),
        (
            "without the CA between",
            vec![sub.device("cam", |_| ())],
            "is signed by a CA nobody registered (CN=Acme Sub)",
        ),
        (
            "another CA of the same name",
            vec![stranger.device("cam", |_| ())],
            "is signed by a CA nobody registered (CN=Acme Root: registered, but with another key)",
        ),
        (
            "another CA of the same name, with another kind of key",
            vec![ed25519.device("cam", |params| params.use_authority_key_identifier_extension = false)],
            "is signed by a CA nobody registered (CN=Acme Root: registered, but with another key)",
        ),
        (
            "another CA of the same name that does not say which key",
            vec![stranger.device("cam", |params| params.use_authority_key_identifier_extension = false)],
            "has a wrong signature",
        ),
        ("a changed signature", vec![forged], "has a wrong signature"),
        ("a changed name", vec![changed], "has a wrong signature"),
        (
            "expired",
            vec![root.device("cam", |params| params.not_after = date_time_ymd(2026, 6, 1))],
            "expired on 2026-06-01T00:00:00Z",
        ),
        (
            "of tomorrow",
            vec![root.device("cam", |params| params.not_before = date_time_ymd(2027, 6, 1))],
            "is not valid before 2027-06-01T00:00:00Z",
        ),
        (
            "of an expired CA",
            vec![old.device("cam", |_| ()), old.der.clone()],
            "is not accepted: its CA CN=Old Sub expired on 2026-01-01T00:00:00Z",
        ),
        (
            "of a CA of tomorrow",
            vec![young.device("cam", |_| ()), young.der.clone()],
            "is not accepted: its CA CN=Young Sub is not valid before 2030-01-01T00:00:00Z",
        ),
        (
            "for servers",
            vec![root.device("cam", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])],
            "is not made for clients (extended key usage)",
        ),
        ("a CA's own", vec![sub.der.clone()], "is not accepted: it is a CA's certificate, and not a device's"),
        (
            "the registered CA itself",
            vec![root.der.clone()],
            "is not accepted: it is a CA's certificate, and not a device's",
        ),
        (
            "signed by a device",
            vec![plain.device("cam", |_| ()), plain.der.clone()],
            "is not accepted: it is signed with a certificate that is no CA's",
        ),
        (
            "too long a path",
            vec![below.device("cam", |_| ()), below.der.clone(), narrow.der.clone()],
            "is not accepted: its chain is longer than a CA in it allows",
        ),
        (
            "a critical extension",
            vec![root.device("cam", |params| params.custom_extensions.push(critical))],
            "is not accepted: it has a critical extension that is not known here",
        ),
        (
            "too long a chain",
            vec![good.clone(); LONGEST_CHAIN + 1],
            "is not accepted: its chain is too long: at most 6 certificates of 8192 octets are read",
        ),
        (
            "too large",
            vec![root.device("cam", |params| {
                params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0; 8192]));
            })],
            "is not accepted: its chain is too long: at most 6 certificates of 8192 octets are read",
        ),
    ];
    assert_eq!(world.judge(&[&good]), maker("acme"), "so it is none of the others' faults");
    for (what, chain, words) in table {
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        assert_eq!(world.judge(&chain), no(words), "{what}");
    }
}

#[test]
fn old_forms_are_refused() {
    let root = pem(ACME_ROOT).remove(0);
    let world = World::default().maker("acme", &[&root]);
    let algorithm = "is not accepted: it, or a CA above it, is signed with an algorithm that is not taken: ECDSA with P-256 or P-384, \
                     Ed25519, and RSA from 2048 bits with SHA-256, SHA-384 or SHA-512 are";
    assert_eq!(world.judge(&[&pem(include_str!("../testdata/acme-sha1.pem"))[0]]), no(algorithm));
    let v1 = &pem(include_str!("../testdata/acme-v1.pem"))[0];
    assert_eq!(world.judge(&[v1]), no("is not accepted: it is not of X.509 version 3"));
    assert_eq!(
        world.pinned(v1).judge(&[v1]),
        no("is not accepted: it is not of X.509 version 3"),
        "TLS could not use it"
    );
    let old = pem(include_str!("../testdata/rsa-1024.pem"));
    let world = World::default().maker("old", &[&old[1]]);
    assert_eq!(world.judge(&[&old[0]]), no("has a wrong signature"), "an RSA key of 1024 bits verifies nothing");
}

#[test]
fn our_own_certificates_count_while_a_device_has_them() {
    let mut counter = 0u8;
    let mut random = |buffer: &mut [u8]| {
        for octet in buffer {
            counter = counter.wrapping_add(1);
            *octet = counter;
        }
    };
    let own = OwnAuthority::new(Key::generate().unwrap(), NOW, &mut random).unwrap();
    let issued = own.issue("cam", None, &mut random).unwrap();
    let other = own.issue("cam", None, &mut random).unwrap();
    let key = Key::generate().unwrap();
    let server = own.server("latchkey.home.arpa", &key, NOW, &mut random).unwrap();
    let world = World { own: Some(own.certificate().to_vec()), ..World::default() }.knows(issued.known_by(), true);
    assert_eq!(world.judge(&[&issued.certificate]), Ok(Voucher::Ourselves));
    assert_eq!(world.judge(&[&issued.certificate, own.certificate()]), Ok(Voucher::Ourselves));
    assert_eq!(world.judge(&[&other.certificate]), no("is revoked"), "no device has it");
    assert_eq!(world.judge(&[&server]), no("is revoked"), "it is ours, and no device's");
    assert_eq!(
        world.judge_at(&[&issued.certificate], UnixTime(0)),
        Ok(Voucher::Ourselves),
        "a clock that was never set"
    );
    // Registered by serial number, as one of a maker.
    let world = World { own: Some(own.certificate().to_vec()), ..World::default() }.knows(issued.known_by(), false);
    assert_eq!(world.judge(&[&issued.certificate]), no("is revoked"));
    // A new CA: the old certificates are nobody's.
    let again = OwnAuthority::new(Key::generate().unwrap(), NOW, &mut random).unwrap();
    let world = World { own: Some(again.certificate().to_vec()), ..World::default() }.knows(issued.known_by(), true);
    let words = format!("is signed by a CA nobody registered ({})", own.info().subject);
    assert_eq!(world.judge(&[&issued.certificate]), no(&words));
}

/// A maker gives a CA of its own the name of somebody else's, and so issuer and serial number of somebody else's device.
#[test]
fn makers_cannot_take_each_others_names() {
    let mut random = |buffer: &mut [u8]| buffer.fill(7);
    let own = OwnAuthority::new(Key::generate().unwrap(), NOW, &mut random).unwrap();
    let issued = own.issue("cam", None, &mut random).unwrap();
    let (good, evil) = (Ca::root("Good"), Ca::root("Evil"));
    for name in [own.info().subject.strip_prefix("CN=").unwrap(), "Good"] {
        let false_ca = evil.sub(name, |_| ());
        let device = false_ca.device("cam", |_| ());
        let world = World { own: Some(own.certificate().to_vec()), ..World::default() }
            .maker("good", &[&good.der])
            .maker("evil", &[&evil.der])
            .knows(issued.known_by(), true);
        let said = world.judge(&[&device, &false_ca.der]).unwrap_err();
        assert!(said.starts_with(&format!("is signed by a CA nobody registered (CN={name}")), "{said}");
        // Alone it may call itself what it likes.
        assert_eq!(World::default().maker("evil", &[&evil.der]).judge(&[&device, &false_ca.der]), maker("evil"));
    }
}

#[test]
fn revocation_lists_are_used() {
    let root = Ca::root("Root");
    let sub = root.sub("Sub", |_| ());
    let (cam, lost) = (sub.device("cam", |_| ()), sub.device("lost", |_| ()));
    let good = sub.crl(&[&lost], (2027, 1, 1), (2027, 2, 1));
    let old = sub.crl(&[&lost], (2026, 1, 1), (2026, 2, 1));
    let of_root = root.crl(&[], (2027, 1, 1), (2027, 2, 1));
    let of_root_with_sub = root.crl(&[&sub.der], (2026, 1, 1), (2026, 2, 1));
    let forged = Ca::root("Sub").crl(&[], (2027, 1, 1), (2027, 2, 1));
    let ok = || maker("acme");
    let revoked = || no("is revoked");
    let because = |why: &str| no(&format!("cannot be checked for revocation: {why}"));
    type Row<'a> = (&'a str, Option<Vec<&'a [u8]>>, [Result<Voucher, String>; 4]);
    // The good and the lost one when no list is required, then when one is.
    let none =
        || because("acme has no revocation list: latchkey maker set acme --crl FILE, or option crl_required '0'");
    let not_read = || because("/lists/acme: it was not read yet");
    let others = || because("none of the lists of acme is one of CN=Sub");
    let too_old = || because("the list of CN=Sub was to be renewed on 2026-02-01T00:00:00Z: fetch the new one");
    let not_theirs =
        || because("a list with the name of its CA is not signed by that CA: fetch it again, or take it away");
    let table: Vec<Row<'_>> = vec![
        ("no list", Some(vec![]), [ok(), ok(), none(), none()]),
        ("not read", None, [ok(), ok(), not_read(), not_read()]),
        ("a good list", Some(vec![&good[..]]), [ok(), revoked(), ok(), revoked()]),
        ("both lists", Some(vec![&of_root[..], &good[..]]), [ok(), revoked(), ok(), revoked()]),
        ("a list that is too old", Some(vec![&old[..]]), [ok(), revoked(), too_old(), revoked()]),
        ("only the list of the root", Some(vec![&of_root[..]]), [ok(), ok(), others(), others()]),
        (
            "the CA between is revoked",
            Some(vec![&good[..], &of_root_with_sub[..]]),
            [revoked(), revoked(), revoked(), revoked()],
        ),
        ("a forged list", Some(vec![&forged[..]]), [not_theirs(), not_theirs(), not_theirs(), not_theirs()]),
    ];
    for (what, lists, expected) in table {
        let paths: &[&str] = if lists.as_ref().is_some_and(Vec::is_empty) { &[] } else { &["/lists/acme"] };
        let mut world = World::default().maker_with("acme", &[&root.der], paths);
        if let Some(lists) = lists.filter(|lists| !lists.is_empty()) {
            let pem: String = lists.iter().map(|der| super::super::pem::encode("X509 CRL", der).to_string()).collect();
            world.crls.put("/lists/acme".as_ref(), pem.as_bytes()).unwrap();
        }
        let mut came = Vec::new();
        for required in [false, true] {
            world.crls.required = required;
            came.extend([&cam, &lost].map(|device| world.judge(&[device, &sub.der])));
        }
        assert_eq!(came, expected, "{what}");
    }
}

/// A world with a maker whose lists are in files of their own, named in this order.
fn with_lists(authorities: &[&[u8]], lists: &[&[u8]], required: bool) -> World {
    let paths: Vec<String> = (0..lists.len()).map(|n| format!("/lists/{n}")).collect();
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut world = World::default().maker_with("acme", authorities, &names);
    world.crls.required = required;
    for (path, list) in paths.iter().zip(lists) {
        world.crls.put(path.as_ref(), list).unwrap();
    }
    world
}

#[test]
fn of_two_lists_the_newer_one_counts() {
    let root = Ca::root("Root");
    let (cam, lost) = (root.device("cam", |_| ()), root.device("lost", |_| ()));
    let expired = root.crl(&[], (2026, 1, 1), (2026, 2, 1));
    let valid = root.crl(&[], (2026, 12, 1), (2027, 2, 1));
    let newest = root.crl(&[&lost], (2027, 1, 1), (2027, 2, 1));
    for old in [&expired, &valid] {
        for lists in [[&old[..], &newest[..]], [&newest[..], &old[..]]] {
            for required in [false, true] {
                let world = with_lists(&[&root.der], &lists, required);
                assert_eq!(world.judge(&[&cam]), maker("acme"), "required: {required}");
                assert_eq!(world.judge(&[&lost]), no("is revoked"), "required: {required}");
            }
        }
    }
}

/// RFC 5280, 5.2.1: a CA that got a new key goes on under its name, and has a list for each key.
#[test]
fn each_key_of_a_ca_has_its_list() {
    let root = Ca::root("Root");
    let roots = [Ca::root("Acme"), Ca::root("Acme")];
    let subs = [root.sub("Acme", |_| ()), root.sub("Acme", |_| ())];
    let anchors = [&roots[0].der[..], &roots[1].der[..]];
    for (keys, authorities, between) in [(&roots, &anchors[..], false), (&subs, &[&root.der[..]][..], true)] {
        let devices = keys.each_ref().map(|ca| [ca.device("cam", |_| ()), ca.device("lost", |_| ())]);
        let list = |n: usize, month| keys[n].crl(&[&devices[n][1]], (2026, month, 1), (2027, 12, 1));
        let judge = |world: &World, n: usize| {
            let chain = |device| if between { vec![device, &keys[n].der[..]] } else { vec![device] };
            devices[n].each_ref().map(|device| world.judge(&chain(device)))
        };
        for (first, second) in [(1, 2), (2, 1)] {
            let lists = [list(0, first), list(1, second)];
            for required in [false, true] {
                let world = with_lists(authorities, &[&lists[0], &lists[1]], required);
                for n in [0, 1] {
                    assert_eq!(judge(&world, n), [maker("acme"), no("is revoked")], "{n}, CA between: {between}");
                }
            }
        }
    }
    // One key's list says nothing of the other's certificates.
    let cam = roots[1].device("cam", |_| ());
    let of_the_first = roots[0].crl(&[], (2027, 1, 1), (2027, 2, 1));
    assert_eq!(with_lists(&anchors, &[&of_the_first], false).judge(&[&cam]), maker("acme"));
    assert_eq!(
        with_lists(&anchors, &[&of_the_first], true).judge(&[&cam]),
        no("cannot be checked for revocation: none of the lists of acme is one of CN=Acme")
    );
    // A CA that names its key otherwise in lists than in certificates: its list is used.
    let odd = root.sub("Odd", |params| params.key_identifier_method = rcgen::KeyIdMethod::Sha512);
    let lost = odd.device("lost", |_| ());
    let list = odd.crl(&[&lost], (2027, 1, 1), (2027, 2, 1));
    assert_eq!(with_lists(&[&odd.der], &[&list], false).judge(&[&lost]), no("is revoked"));
}

#[test]
fn files_that_are_no_lists_are_named() {
    let root = Ca::root("Root");
    let crl = root.crl(&[], (2027, 1, 1), (2027, 2, 1));
    let mut cut = crl.clone();
    cut.truncate(crl.len() - 9);
    let mut large = crl.clone();
    large.resize(super::super::crl::LARGEST_FILE + 1, 0);
    for (what, content, words) in [
        ("empty", Vec::new(), "it is empty"),
        (
            "a certificate",
            root.der.clone(),
            "it has a certificate, and a certificate revocation list is needed: give another file",
        ),
        (
            "cut off",
            cut,
            "it has nothing that can be read as a certificate revocation list: give it as PEM (it begins with -----BEGIN) or DER",
        ),
        ("too large", large, "it has 1048577 octets, at most 1048576 are read"),
    ] {
        let mut crls = Crls::default();
        assert_eq!(crls.put("/x".as_ref(), &content).unwrap_err().as_ref(), words, "{what}");
        assert_eq!(crls.trouble("/x".as_ref()).as_deref(), Some(words), "{what}");
    }
    let mut crls = Crls::default();
    crls.put("/x".as_ref(), &crl).unwrap();
    assert_eq!(crls.lists("/x".as_ref())[0].next_update, "2027-02-01".parse().unwrap());
    assert_eq!(crls.trouble("/x".as_ref()), None);
    assert!(crls.put("/x".as_ref(), b"half").is_err());
    assert_eq!(crls.lists("/x".as_ref()).len(), 1, "the one before stays in force");
    crls.keep(|_| false);
    assert!(crls.lists("/x".as_ref()).is_empty() && crls.trouble("/x".as_ref()).is_some());
}

/// The path search of six certificates of one name must stay cheap, whoever sends them.
#[test]
fn a_chain_made_to_be_searched_long_is_not() {
    let root = Ca::root("X");
    let mut chain = vec![root.sub("X", |_| ()).device("cam", |_| ())];
    while chain.len() < LONGEST_CHAIN {
        chain.push(root.sub("X", |_| ()).der);
    }
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let world = World::default().maker("acme", &[&Ca::root("X").der]);
    let began = std::time::Instant::now();
    assert!(world.judge(&chain).is_err());
    // Far above what it takes (some ms), far below what all orders of twelve would.
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}

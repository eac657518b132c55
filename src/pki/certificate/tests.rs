//! Reading certificates: by hand-made ones, by one of the openssl command, and beside another parser.

use super::super::testing::{Ca, NOW, params, pem};
use super::*;
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType, SerialNumber, date_time_ymd};
use x509_parser::prelude::{FromDer, X509Certificate};

fn read(edit: impl FnOnce(&mut CertificateParams)) -> CertificateInfo {
    CertificateInfo::parse(&made(edit)).unwrap()
}

fn made(edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = params("cam");
    edit(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

/// Beside what `openssl x509 -text -fingerprint -sha256` says of it.
#[test]
fn an_idevid_of_openssl_is_read() {
    let der = pem(include_str!("../testdata/acme-idevid.pem")).remove(0);
    let info = CertificateInfo::parse(&der).unwrap();
    let root = CertificateInfo::parse(&pem(include_str!("../testdata/acme-root.pem"))[0]).unwrap();
    assert_eq!(&*info.subject, "serialNumber=PID:CAM-2 SN:0042A7,OU=Kamera Küche,O=Acme Devices\\, Inc.,C=DE");
    assert_eq!(&*info.issuer, "CN=Acme IDevID Root,O=Acme Devices\\, Inc.,C=DE");
    assert_eq!(info.issuer_hash, root.issuer_hash);
    assert_eq!(*info.serial, [0xa1, 0xb2, 0xc3, 0xd4], "without the octet that keeps it positive");
    assert_eq!((info.common_name, info.subject_serial.as_deref()), (None, Some("PID:CAM-2 SN:0042A7")));
    assert!(info.alt_names.is_empty(), "a hardwareModuleName is none of those");
    assert_eq!(info.mud_url.as_deref(), Some("https://acme.example/mud/cam-2"));
    assert_eq!((info.not_before, info.not_after), ("2024-01-01".parse().unwrap(), None));
}

#[test]
fn names_are_put_into_words() {
    let subject = |value: &str| read(|params| params.distinguished_name.push(DnType::CommonName, value)).subject;
    for (name, words) in [
        ("cam", "CN=cam"),
        ("Küche", "CN=Küche"),
        (" a, b+c ", "CN=\\ a\\, b\\+c\\ "),
        ("#1", "CN=\\#1"),
        ("a\"b<c>d;e\\f", "CN=a\\\"b\\<c\\>d\\;e\\\\f"),
        ("two\nlines\u{1b}[31m", "CN=two\\0Alines\\1B[31m"),
        ("gnp\u{202e}exe", "CN=gnp\\E2\\80\\AEexe"),
        ("", "CN="),
    ] {
        assert_eq!(&*subject(name), words);
    }
    let long = subject(&"x".repeat(500));
    assert_eq!((long.chars().count(), long.ends_with('…')), (words::LONGEST, true));
    let none = read(|params| {
        params.distinguished_name.remove(DnType::CommonName);
    });
    assert_eq!((&*none.subject, none.common_name), ("(no name)", None));
    let odd = read(|params| {
        let value = DnValue::BmpString(rcgen::string::BmpString::try_from("Küche").unwrap());
        params.distinguished_name.push(DnType::OrganizationName, value);
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 7]), "x");
    });
    assert_eq!(&*odd.subject, "1.3.6.1.4.1.99999.7=x,O=Küche,CN=cam");
    assert_eq!(odd.common_name.as_deref(), Some("cam"));
    let shouting = read(|params| params.distinguished_name.push(DnType::CommonName, "a\u{7}b".repeat(50)));
    assert_eq!(shouting.common_name.unwrap().chars().count(), 64);
}

#[test]
fn what_identifies_is_taken_as_it_is_or_not_at_all() {
    let serial = |value: &str| {
        read(|params| params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), value)).subject_serial
    };
    assert_eq!(serial("SN 1").as_deref(), Some("SN 1"));
    for bad in ["", " 1", "1\n", "ü", &"1".repeat(65)] {
        assert_eq!(serial(bad), None, "{bad:?}");
    }
    let names = read(|params| {
        let ia5 = |text: &str| text.try_into().unwrap();
        params.subject_alt_names = vec![
            SanType::DnsName(ia5("Cam.example")),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::Rfc822Name(ia5("cam@example")),
            SanType::URI(ia5("urn:dev:mac:020000fffe000001")),
            SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 4], "module".into())),
            SanType::DnsName(ia5("")),
            SanType::DnsName(ia5("a\0b")),
            SanType::DnsName(ia5(&"x".repeat(256))),
        ];
    });
    let names: Vec<&str> = names.alt_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["Cam.example", "cam@example", "urn:dev:mac:020000fffe000001"]);
    let many = read(|params| {
        params.subject_alt_names = (0..40).map(|n| SanType::DnsName(format!("n{n}").try_into().unwrap())).collect();
    });
    assert_eq!(many.alt_names.len(), ALT_NAMES);
}

#[test]
fn mud_urls_are_checked() {
    let url = |content: Vec<u8>| {
        read(|params| {
            let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 25], content);
            params.custom_extensions.push(extension);
        })
        .mud_url
    };
    let ia5 = |text: &str| super::super::der::write(IA5_STRING, &[text.as_bytes()]);
    assert_eq!(url(ia5("https://a.example/x")).as_deref(), Some("https://a.example/x"));
    assert_eq!(url(ia5("HTTPS://a.example/x")).as_deref(), Some("HTTPS://a.example/x"));
    let longest = format!("https://{}", "x".repeat(LONGEST_MUD_URL - 8));
    assert_eq!(url(ia5(&longest)).as_deref(), Some(&*longest));
    for bad in ["http://a.example/x", "https://", "https://a b", "https://a\n", "https://a\"", "", "javascript:1"] {
        assert_eq!(url(ia5(bad)), None, "{bad:?}");
    }
    assert_eq!(url(ia5(&format!("{longest}x"))), None);
    assert_eq!(url(super::super::der::utf8("https://a.example/x")), None, "not an IA5String");
    assert_eq!(url([ia5("https://a.example/x"), vec![0]].concat()), None, "something follows");
}

#[test]
fn bad_forms_are_named() {
    let problem = |der: &[u8]| CertificateInfo::parse(der).unwrap_err().to_string();
    let twice = made(|params| {
        for _ in 0..2 {
            let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 25], vec![5, 0]);
            params.custom_extensions.push(extension);
        }
    });
    assert_eq!(problem(&twice), "is not accepted: it has an extension twice");
    let san = made(|params| {
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![5, 0]));
    });
    assert_eq!(problem(&san), "is not accepted: subjectAltName cannot be read");
    let serial = made(|params| params.serial_number = Some(SerialNumber::from_slice(&[0x7f; 22])));
    assert_eq!(problem(&serial), "is not accepted: its serial number has more than 20 octets");
    assert_eq!(problem(&vec![0; LARGEST + 1]), "is not accepted: it has 8193 octets, at most 8192 are read");
    let good = made(|_| ());
    assert_eq!(problem(&[good.as_slice(), &[0]].concat()), "is not accepted: it is no certificate");
}

/// `x509-parser` is a parser of the whole standard, by others: what both read has to be the same.
fn compare(der: &[u8]) {
    let (rest, other) = X509Certificate::from_der(der).unwrap();
    let info = CertificateInfo::parse(der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(*info.serial, *significant(other.raw_serial()));
    assert_eq!(info.issuer_hash, sha256(other.issuer().as_raw()));
    assert_eq!(info.public_key, sha256(other.public_key().raw));
    assert_eq!(info.not_before.0, other.validity().not_before.timestamp());
    let end = other.validity().not_after.timestamp();
    assert_eq!(info.not_after.map_or(NO_END.0, |end| end.0), end);
    let name = other.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    assert_eq!(info.common_name.as_deref(), name);
}

#[test]
fn another_parser_reads_the_same() {
    for text in [
        include_str!("../testdata/acme-idevid.pem"),
        include_str!("../testdata/acme-root.pem"),
        include_str!("../testdata/acme-v1.pem"),
        include_str!("../testdata/rsa-1024.pem"),
    ] {
        pem(text).iter().for_each(|der| compare(der));
    }
    let root = Ca::root("Root");
    compare(&root.der);
    compare(&root.device("cam", |params| {
        params.not_before = date_time_ymd(1969, 12, 31);
        params.not_after = date_time_ymd(2050, 1, 1);
        params.serial_number = Some(SerialNumber::from_slice(&[0]));
    }));
}

proptest! {
    /// Whatever is changed in a certificate, it is read or refused, and where `x509-parser` reads it too, alike.
    #[test]
    fn damage_is_read_alike_or_refused(at in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<bool>()) {
        let mut der = pem(include_str!("../testdata/acme-idevid.pem")).remove(0);
        let at = at.index(der.len());
        der[at] = octet;
        if cut {
            der.truncate(at);
        }
        if let (Ok(info), Ok((_, other))) = (CertificateInfo::parse(&der), X509Certificate::from_der(&der)) {
            prop_assert_eq!(&*info.serial, significant(other.raw_serial()));
            prop_assert_eq!(info.public_key, sha256(other.public_key().raw));
            prop_assert_eq!(info.not_before.0, other.validity().not_before.timestamp());
        }
    }

    #[test]
    fn nothing_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        super::super::fuzz(&octets);
    }
}

#[test]
fn dates_are_judged_to_the_second() {
    let info = read(|_| ());
    let begin = info.not_before;
    assert_eq!(info.check_dates(NOW), Ok(()));
    assert_eq!(info.check_dates(begin), Ok(()));
    let before = UnixTime(begin.0 - 1);
    assert_eq!(info.check_dates(before), Err(CertificateProblem::NotYetValid { from: begin }));
}

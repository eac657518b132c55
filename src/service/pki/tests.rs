//! What is warned of, when, and in which words; and issuing.

use super::*;
use crate::pki::authority::Key;
use crate::pki::testing::{Ca, NOW, World};
use crate::pki::{CertificateProblem, Voucher};
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::Change;
use rcgen::date_time_ymd;
use rustls::pki_types::CertificateDer;

fn random() -> impl FnMut(&mut [u8]) {
    let mut counter = 0u8;
    move |buffer: &mut [u8]| {
        for octet in buffer {
            counter = counter.wrapping_mul(73).wrapping_add(41);
            *octet = counter;
        }
    }
}

/// A CA and its server certificate, made at this time.
fn pki(now: UnixTime) -> Pki {
    let authority = Authority::new(Key::generate().unwrap(), now, &mut random()).unwrap();
    let key = Key::generate().unwrap();
    let der = authority.server("latchkey.home.arpa", &key, now, &mut random()).unwrap();
    let chain = crate::pki::authority::certificate_pem(&der);
    let server = ServerCertificate::read(chain.as_bytes(), key.to_pem().as_bytes(), false).unwrap();
    let mut pki = Pki::default();
    pki.set_files(Files { own: OwnCa::Whole(Box::new(authority)), server: Some(server), troubles: Vec::new() });
    pki
}

fn at(date: &str) -> UnixTime {
    date.parse().unwrap()
}

#[test]
fn ends_are_told_in_time() {
    let root = Ca::root("Acme Root");
    let ends = root.sub("Acme Sub", |params| params.not_after = date_time_ymd(2028, 6, 1));
    let mut world = World::default().maker_with("acme", &[&root.der, &ends.der], &["/lists/acme"]);
    world.crls.put("/lists/acme".as_ref(), &root.crl(&[], (2028, 5, 1), (2028, 5, 31))).unwrap();
    let mut registry = world.registry();
    let mut device = crate::registry::tests::device(7, "cam", "iot", "a key for the Wi-Fi");
    let certificate = Certificate {
        known_by: KnownBy::Fingerprint([7; 32]),
        subject: "CN=cam".into(),
        not_after: Some(at("2028-05-20")),
        mud_url: None,
        issued: false,
        since: NOW,
    };
    device.eap = Some(Box::new(EapCredentials { psk: None, certificates: vec![certificate], serial: 1 }));
    registry.apply(&Change::Put(vec![device]));
    let mut pki = pki(NOW);
    pki.crls = std::mem::take(&mut world.crls);
    pki.refresh(&registry);

    let said = |now: &str| -> Vec<(i64, String)> {
        let warnings = pki.warnings(at(now)).into_iter();
        warnings.map(|warning| (warning.stage, warning.text.split(": ").next().unwrap().to_owned())).collect()
    };
    let cam = |stage, rest: &str| (stage, format!("the certificate of the device cam {rest}, on 2028-05-20T00:00:00Z"));
    let sub =
        |stage, rest: &str| (stage, format!("the CA CN=Acme Sub of the maker acme {rest}, on 2028-06-01T00:00:00Z"));
    let list = |stage, rest: &str| {
        (stage, format!("the revocation list /lists/acme of the maker acme {rest} 2028-05-31T00:00:00Z"))
    };
    assert_eq!(said("2027-01-15"), []);
    assert_eq!(said("2028-02-20"), [cam(90, "ends in 90 days")]);
    assert_eq!(said("2028-04-25"), [cam(30, "ends in 25 days"), sub(90, "ends in 37 days")]);
    assert_eq!(said("2028-05-19T12:00:00Z"), [cam(7, "ends within a day"), sub(30, "ends in 12 days")]);
    let told = said("2028-05-29");
    assert_eq!(told[0], (0, "the certificate of the device cam ended on 2028-05-20T00:00:00Z".to_owned()));
    assert_eq!(told[1..], [list(7, "ends in 2 days, on"), sub(7, "ends in 3 days")], "a tenth of its 30 days before");
    assert_eq!(said("2028-05-31T00:00:01Z")[1], list(0, "ended on"));

    // The server's, in ten years; the CA's two years before, as it has to be put on all devices.
    let only = |now: &str| said(now).into_iter().filter(|(_, text)| text.contains("latchkey")).collect::<Vec<_>>();
    assert_eq!(only("2036-09-01"), []);
    assert!(
        only("2036-12-01")[0]
            .1
            .starts_with("the server certificate CN=latchkey.home.arpa ends in 44 days, on 2037-01-1")
    );
    assert!(only("2045-06-01").iter().any(|(_, text)| text.starts_with("latchkey's CA CN=latchkey CA ")));
    let mend = &pki.warnings(at("2036-12-01")).pop().unwrap().text;
    assert!(mend.ends_with("start latchkey again, or reload it: it makes a new one"), "{mend}");
}

#[test]
fn a_certificate_is_issued_and_counts_while_it_is_registered() {
    let mut pki = pki(NOW);
    let mut world = World::default();
    pki.refresh(&world.registry());
    let issued = pki.issue("cam", NOW, &mut random()).unwrap();
    let chain = [CertificateDer::from(issued.certificate.clone())];
    assert_eq!(pki.trust().verify(&chain, NOW).unwrap_err(), CertificateProblem::Revoked);
    world = world.knows(issued.known_by(), true);
    pki.refresh(&world.registry());
    let (info, voucher) = pki.trust().verify(&chain, NOW).unwrap();
    assert_eq!((info, voucher), (issued.info.clone(), Voucher::Ourselves));
    let registry = world.registry();
    assert!(registry.by_certificate(&issued.info, &Voucher::Ourselves).is_some());
    pki.refresh(&World::default().registry());
    assert_eq!(pki.trust().verify(&chain, NOW).unwrap_err(), CertificateProblem::Revoked);
    let why = pki.issue("cam", at("2050-01-01"), &mut random()).unwrap_err();
    assert!(why.starts_with("the certificate of latchkey's CA expired on 2047-01-15"), "{why}");
}

#[test]
fn without_a_ca_it_is_said_why_nothing_is_issued() {
    let mut pki = Pki::default();
    assert_eq!(pki.issue("cam", NOW, &mut random()).unwrap_err(), "there is no CA to issue it yet");
    pki.set_files(Files { troubles: vec!["/x/ca.key: no space left".into()], ..Files::default() });
    let why = pki.issue("cam", NOW, &mut random()).unwrap_err();
    assert_eq!(why, "there is no CA to issue it: /x/ca.key: no space left");
    let root = Ca::root("latchkey CA");
    let info = CertificateInfo::parse(&root.der).unwrap();
    pki.set_files(Files { own: OwnCa::Certificate(root.der.into(), Box::new(info)), ..Files::default() });
    assert!(pki.issue("cam", NOW, &mut random()).unwrap_err().contains("ca.key) is missing"));
}

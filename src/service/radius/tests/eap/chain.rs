//! The chain of the server's certificate.

use super::*;
use crate::pki::testing::{Ca, params};
use rcgen::{KeyPair, SanType};

/// The administrator forgot the CA between, and adds it: devices that know the root only take the server then.
#[test]
fn a_corrected_chain_is_shown_after_a_reload() {
    let mut rig = Rig::eap(vec![]);
    let root = Ca::root("Root");
    let sub = root.sub("Sub", |_| ());
    let key = Key::generate().expect("a key");
    let pair = KeyPair::try_from(&key.to_rustls()).expect("a key");
    let name = "latchkey.home.arpa";
    let mut server = params(name);
    server.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("a name"))];
    let server = certificate_pem(server.signed_by(&pair, &sub.issuer()).expect("a certificate").der());
    let expected = Expected::Authorities(vec![CertificateDer::from(root.der.clone())]);
    let supplicant = Supplicant::new(Identity::None, expected, name, Versions::Tls13, 0, UnixTime(1_800_000_000))
        .expect("a supplicant");
    let whole = server.clone() + &certificate_pem(&sub.der);
    for (chain, taken) in [(&server, false), (&whole, true)] {
        let server = ServerCertificate::read(chain.as_bytes(), key.to_pem().as_bytes(), true).expect("a server");
        rig.core.pki.set_files(Files { server: Some(server), ..Files::default() });
        rig.core.refresh_pki();
        let (_, peer) = rig.tls(mac(9), OFFICE, &supplicant);
        let refused = matches!(peer.error(), Some(rustls::Error::InvalidCertificate(_)));
        assert_eq!(!refused, taken, "{:?}: {}", peer.error(), rig.last_event());
        rig.pass(31);
    }
    assert_eq!(rig.last().2, "eap_no_certificate", "which is the next thing that is looked at");
}

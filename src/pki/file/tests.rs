//! What people give in place of what is needed.

use super::super::testing::{Ca, pem};
use super::*;
use crate::pki::pem::encode;

const ROOT: &str = include_str!("../testdata/acme-root.pem");

#[test]
fn certificates_are_found_in_pem_and_der() {
    let der = pem(ROOT).remove(0);
    let key = encode("PRIVATE KEY", rcgen::KeyPair::generate().unwrap().serialized_der());
    for (what, file) in [
        ("PEM", ROOT.to_owned()),
        ("PEM with text around it, as openssl ca writes it", format!("Certificate:\n    Data:\n{ROOT}\nthe end\n")),
        ("PEM with the lines of Windows", ROOT.replace('\n', "\r\n")),
        ("PEM with a mark at the beginning", format!("\u{feff}\n{ROOT}")),
        ("PEM after its private key", format!("{}{ROOT}", *key)),
    ] {
        assert_eq!(certificates(file.as_bytes()), Ok(vec![der.clone()]), "{what}");
    }
    assert_eq!(certificates(&der), Ok(vec![der.clone()]), "DER");
    assert_eq!(certificates(ROOT.repeat(MOST).as_bytes()).map(|found| found.len()), Ok(MOST));
    assert_eq!(certificates(ROOT.repeat(MOST + 1).as_bytes()), Err(FileError::Many));
}

#[test]
fn what_is_given_instead_is_named() {
    let ca = Ca::root("Root");
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = pair.serialized_der().to_vec();
    let request = rcgen::CertificateParams::default().serialize_request(&pair).unwrap();
    let crl = ca.crl(&[], (2027, 1, 1), (2027, 2, 1));
    let p12 = [0x30, 0x05, 0x02, 0x01, 0x03, 0x30, 0x00];
    let p7b = [0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    let private = "it has a private key, and a certificate is needed: keep it secret, and give the file beside it (often .crt or .pub)";
    let unknown = "it has nothing that can be read as a certificate: give it as PEM (it begins with -----BEGIN) or DER";
    let list = "it has a certificate revocation list, and a certificate is needed: give another file";
    let asked = "it has a certificate request, and a certificate is needed: give what the CA made of it";
    let bundle = "it has a PKCS#7 bundle (.p7b), and a certificate is needed: take the certificates out: openssl pkcs7 -in FILE \
                  -print_certs -out FILE.pem";
    for (what, file, words) in [
        ("nothing", vec![], "it is empty"),
        ("spaces", b" \r\n".to_vec(), "it is empty"),
        ("a private key", key.clone(), private),
        ("a private key in PEM", encode("PRIVATE KEY", &key).as_bytes().to_vec(), private),
        ("an RSA key in PEM", encode("RSA PRIVATE KEY", &key).as_bytes().to_vec(), private),
        ("a key with a password", encode("ENCRYPTED PRIVATE KEY", &key).as_bytes().to_vec(), private),
        (
            "PKCS#12",
            p12.to_vec(),
            "it has a PKCS#12 store (.p12, .pfx), and a certificate is needed: take the certificate out: openssl pkcs12 -in FILE -nokeys \
             -out FILE.pem",
        ),
        ("PKCS#7", p7b.to_vec(), bundle),
        ("PKCS#7 in PEM", encode("PKCS7", &p7b).as_bytes().to_vec(), bundle),
        ("a request", request.der().to_vec(), asked),
        ("a request in PEM", encode("CERTIFICATE REQUEST", request.der()).as_bytes().to_vec(), asked),
        ("a revocation list", crl.clone(), list),
        ("a revocation list in PEM", encode("X509 CRL", &crl).as_bytes().to_vec(), list),
        ("a text", b"hello".to_vec(), unknown),
        ("other DER", vec![0x30, 0x02, 0x05, 0x00], unknown),
        (
            "cut off",
            ROOT.as_bytes()[..ROOT.len() - 30].to_vec(),
            "its PEM is damaged (the line -----END is missing): make the file anew, or copy it again whole",
        ),
        (
            "damaged",
            ROOT.replacen("MII", "M*I", 1).into_bytes(),
            "its PEM is damaged (there are characters that are not Base64): make the file anew, or copy it again whole",
        ),
        (
            "a good one and one that is none",
            format!("{ROOT}{}", *encode("CERTIFICATE", b"hello")).into_bytes(),
            "certificate 2 in it is not accepted: it is no certificate",
        ),
    ] {
        assert_eq!(certificates(&file).unwrap_err().to_string(), words, "{what}");
    }
}

#[test]
fn public_keys_are_found() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let text = pair.public_key_pem();
    let keys = public_keys(text.as_bytes()).unwrap();
    assert_eq!(public_keys(&keys[0]).as_ref(), Ok(&keys));
    assert_eq!(kind_of(&keys[0]), Some(Kind::PublicKey));
    let words = public_keys(ROOT.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        words,
        "it has a certificate, and a public key is needed: take it out: openssl x509 -in FILE -pubkey -noout"
    );
    assert!(public_keys(encode("PUBLIC KEY", b"hello").as_bytes()).is_err());
}

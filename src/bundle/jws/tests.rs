//! The examples of the RFCs, literally; what must not count; and our own signatures.

use super::*;
use crate::bundle::sign;
use crate::pki::der::{BIT_STRING as BITS, integer, oid, sequence, write};
use crate::pki::testing::{Ca, NOW};
use proptest::prelude::*;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use serde_json::{Value, json};

/// RFC 7515, A.1.1: the payload of all its examples.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7515, A.7: the flattened serialization, with ES256.
const A7: &str = r#"{
  "payload":
   "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
  "protected":"eyJhbGciOiJFUzI1NiJ9",
  "header":
   {"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"},
  "signature":
   "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
 }"#;

fn base64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// RFC 7515, A.3.1.
fn es256_key() -> Vec<u8> {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let kind = sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])]);
    sequence(&[&kind, &write(BITS, &[&[0, 4], &base64(x), &base64(y)])])
}

/// RFC 7515, A.2.1.
fn rs256_key() -> Vec<u8> {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_\
             YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD\
             Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let kind = sequence(&[&oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), &[5, 0]]);
    let key = sequence(&[&integer(&base64(n)), &integer(&base64("AQAB"))]);
    sequence(&[&kind, &write(BITS, &[&[0], &key])])
}

/// RFC 7515, A.2.
fn rs256() -> String {
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
                     Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOL\
                     n6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm\
                     tVrBp0igcN_IoypGlUPQGe77Rw";
    json!({ "protected": "eyJhbGciOiJSUzI1NiJ9", "payload": PAYLOAD, "signature": signature }).to_string()
}

/// RFC 8037, A.2.
fn ed25519_key() -> Vec<u8> {
    let x = base64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    sequence(&[&sequence(&[&oid(&[0x2b, 0x65, 0x70])]), &write(BITS, &[&[0], &x])])
}

/// RFC 8037, A.4.
fn ed25519() -> String {
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    json!({ "protected": "eyJhbGciOiJFZERTQSJ9", "payload": "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", "signature": signature })
        .to_string()
}

fn keys(keys: &[Vec<u8>]) -> Signers {
    Signers { public_keys: keys.to_vec(), ..Signers::default() }
}

fn verify(text: &str, signers: &Signers) -> Result<Verified, String> {
    Signed::read(text.as_bytes())?.verify(signers, NOW).map_err(|why| why.to_string())
}

#[test]
fn the_examples_of_the_rfcs() {
    let all = [es256_key(), rs256_key(), ed25519_key()];
    for (text, key, algorithm, payload) in [
        (
            A7.to_owned(),
            0,
            Algorithm::Es256,
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
        ),
        (
            rs256(),
            1,
            Algorithm::Rs256,
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
        ),
        (ed25519(), 2, Algorithm::EdDsa, "Example of Ed25519 signing"),
    ] {
        assert!(is_signed(text.as_bytes()));
        let signed = Signed::read(text.as_bytes()).unwrap();
        assert_eq!(str::from_utf8(signed.payload()), Ok(payload));
        let expected = Verified { algorithm, who: key_name(&all[key]) };
        assert_eq!(verify(&text, &keys(&all)), Ok(expected.clone()));
        assert_eq!(verify(&text, &keys(&all[key..=key])), Ok(expected));
        let others: Vec<Vec<u8>> = all.iter().filter(|other| **other != all[key]).cloned().collect();
        assert!(
            verify(&text, &keys(&others)).unwrap_err().contains("somebody else signed it than the key "),
            "{algorithm}"
        );
        assert_eq!(signed.verify(&Signers::default(), NOW), Err(SignatureError::Nobody));
    }
    // RFC 8037, A.3: the name of the key is not ours (it is that of the JWK), but the key is.
    assert_eq!(key_of(&ed25519_key()).map(|(algorithm, key)| (algorithm, key.len())), Some((Algorithm::EdDsa, 32)));
}

#[test]
fn every_changed_octet_breaks_it() {
    let signers = keys(&[es256_key(), rs256_key(), ed25519_key()]);
    for text in [A7.to_owned(), rs256(), ed25519()] {
        let whole: Value = serde_json::from_str(&text).unwrap();
        for part in ["payload", "signature"] {
            let octets = base64(whole[part].as_str().unwrap());
            for at in 0..octets.len() {
                let mut changed = octets.clone();
                changed[at] ^= 1;
                let mut other = whole.clone();
                other[part] = URL_SAFE_NO_PAD.encode(changed).into();
                assert!(verify(&other.to_string(), &signers).is_err(), "{part} {at}");
            }
            let mut shorter = whole.clone();
            shorter[part] = URL_SAFE_NO_PAD.encode(&octets[1..]).into();
            assert!(verify(&shorter.to_string(), &signers).is_err());
        }
        // The same header in other words.
        let mut other = whole.clone();
        let protected = base64(whole["protected"].as_str().unwrap());
        other["protected"] = URL_SAFE_NO_PAD.encode([&protected[..], b" "].concat()).into();
        assert!(verify(&other.to_string(), &signers).unwrap_err().contains("its signature is wrong"));
    }
}

#[test]
fn forms_that_do_not_count() {
    let with = |header: &str| {
        json!({ "protected": URL_SAFE_NO_PAD.encode(header), "payload": PAYLOAD, "signature": "AAAA" }).to_string()
    };
    let es256 = "eyJhbGciOiJFUzI1NiJ9";
    for (text, why) in [
        (with(r#"{"alg":"none"}"#), "alg none is no signature"),
        (with(r#"{"alg":"HS256"}"#), "alg 'HS256' is not known"),
        (with(r#"{"alg":"es256"}"#), "alg 'es256' is not known"),
        (with(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#), "'crit' asks for something that is not known"),
        (with(r#"{"alg":"ES256","b64":false}"#), "'b64' asks for"),
        (with(r#"{"alg":"ES256","alg":"EdDSA"}"#), "'alg' is there twice"),
        (with(r#"{"alg":"ES256","x5c":["%"]}"#), "'x5c' is no Base64"),
        (with(r#"{"alg":"ES256","x5c":["","","","","","",""]}"#), "more than 6 certificates"),
        (with(r#"{"kid":"x"}"#), "does not say the algorithm"),
        (with(r#"["ES256"]"#), "'{' is expected"),
        (with(r#"{"alg":"ES256"} "x""#), "follows the end"),
        (json!({ "protected": es256, "payload": "a b", "signature": "AAAA" }).to_string(), "'payload' is no Base64url"),
        (
            json!({ "protected": es256, "payload": "YQ==", "signature": "AAAA" }).to_string(),
            "'payload' is no Base64url",
        ),
        (json!({ "protected": es256, "signature": "AAAA" }).to_string(), "'payload' is missing"),
        (
            json!({ "header": { "alg": "ES256" }, "payload": "", "signature": "" }).to_string(),
            "'alg' has to be in the header that is signed",
        ),
        (json!({ "header": { "x5c": [] } }).to_string(), "'x5c' has to be"),
        (json!({ "payload": "", "signatures": [] }).to_string(), "several signatures"),
        (r#"{"payload":"","payload":""}"#.to_owned(), "'payload' is there twice"),
    ] {
        assert!(is_signed(text.as_bytes()) || text.contains("header"), "{text}");
        let error = Signed::read(text.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    // A header that may be anything, and the key of an attacker in it: it is nobody's whose signature counts.
    let mut jwk: Value = serde_json::from_str(&ed25519()).unwrap();
    jwk["header"] =
        json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } });
    assert!(verify(&jwk.to_string(), &keys(&[es256_key()])).is_err());
    assert!(!is_signed(br#"{"latchkey_bundle":1,"payload":2}"#) && !is_signed(b"payload") && !is_signed(b""));
}

/// A signer under a CA, as PEM with its key; and its certificate, DER.
fn signer(ca: &Ca, purposes: &[ExtendedKeyUsagePurpose]) -> (String, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = crate::pki::testing::params("Acme bundles");
    params.extended_key_usages = purposes.to_vec();
    let certificate = params.signed_by(&key, &ca.issuer()).unwrap();
    (format!("{}{}", key.serialize_pem(), certificate.pem()), certificate.der().to_vec())
}

/// id-kp-documentSigning.
fn documents() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36])
}

fn certificates(all: &[&[u8]]) -> Signers {
    Signers { certificates: all.iter().map(|der| der.to_vec()).collect(), ..Signers::default() }
}

#[test]
fn a_certificate_under_a_ca_signs_when_it_is_made_for_it() {
    let (acme, other) = (Ca::root("Acme Root"), Ca::root("Other Root"));
    let (file, der) = signer(&acme, &[documents()]);
    let text = sign("payload", file.as_bytes()).unwrap();
    let good = Ok(Verified { algorithm: Algorithm::Es256, who: "CN=Acme bundles".into() });
    assert_eq!(verify(&text, &certificates(&[&other.der, &acme.der])), good);
    assert_eq!(verify(&text, &certificates(&[&der])), good, "named itself");
    let spki = Certificate::parse(&der).unwrap().public_key.to_vec();
    assert_eq!(verify(&text, &keys(&[spki])), good, "its key named");
    assert!(
        verify(&text, &certificates(&[&other.der])).unwrap_err().contains("(CN=Acme bundles) is under none of the CAs")
    );
    // A device's certificate: no purpose, or the one of clients.
    for purposes in [&[][..], &[ExtendedKeyUsagePurpose::ClientAuth], &[ExtendedKeyUsagePurpose::Any]] {
        let (file, der) = signer(&acme, purposes);
        let text = sign("payload", file.as_bytes()).unwrap();
        let why = verify(&text, &certificates(&[&acme.der])).unwrap_err();
        assert!(why.contains("is not made for signing"), "{why}");
        assert_eq!(verify(&text, &certificates(&[&der])), good, "but whoever is named may");
    }
    // Revoked by its CA; too old.
    let revoked = Signers { lists: vec![acme.crl(&[&der], (2026, 1, 1), (2028, 1, 1))], ..certificates(&[&acme.der]) };
    assert!(verify(&text, &revoked).unwrap_err().contains("is revoked"));
    let late = Signed::read(text.as_bytes()).unwrap().verify(&certificates(&[&acme.der]), UnixTime(2_300_000_000));
    assert!(late.unwrap_err().to_string().contains("has expired"));
}

#[test]
fn somebody_elses_certificate_is_no_help() {
    let acme = Ca::root("Acme Root");
    let (file, _) = signer(&acme, &[documents()]);
    let text = sign("payload", file.as_bytes()).unwrap();
    // The signature of another key beside the certificate of the good one.
    let (mine, _) = signer(&Ca::root("Mallory"), &[documents()]);
    let forged = sign("other payload", mine.as_bytes()).unwrap();
    let (good, forged): (Value, Value) = (serde_json::from_str(&text).unwrap(), serde_json::from_str(&forged).unwrap());
    let mixed =
        json!({ "protected": good["protected"], "payload": forged["payload"], "signature": forged["signature"] });
    let why = verify(&mixed.to_string(), &certificates(&[&acme.der])).unwrap_err();
    assert!(why.contains("its signature is wrong"), "{why}");
    // A file with a key that is not that of its certificate is not signed with at all.
    let key = KeyPair::generate().unwrap().serialize_pem();
    let certificate = file.split_once("-----BEGIN CERTIFICATE").unwrap().1;
    let odd = format!("{key}-----BEGIN CERTIFICATE{certificate}");
    assert!(sign("x", odd.as_bytes()).unwrap_err().contains("not that of its private key"));
}

#[test]
fn keys_of_all_kinds_sign() {
    for (algorithm, kind) in
        [(&rcgen::PKCS_ED25519, Algorithm::EdDsa), (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::Es256)]
    {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let text = sign("{\"\u{fc}\"}", key.serialize_pem().as_bytes()).unwrap();
        let file = key.public_key_pem();
        let signers = Signers::read(file.as_bytes()).unwrap();
        assert_eq!(verify(&text, &signers).unwrap().algorithm, kind);
        assert_eq!(Signed::read(text.as_bytes()).unwrap().payload(), "{\"\u{fc}\"}".as_bytes());
        // The CA's own key, without any certificate in the signature.
        let ca = Ca::root_with("Acme Root", algorithm);
        assert!(verify(&text, &certificates(&[&ca.der])).is_err());
    }
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for (file, why) in [
        (p384.serialize_pem(), "neither Ed25519, ECDSA P-256 nor RSA"),
        (p384.public_key_pem(), "no private key"),
        (String::new(), "no private key"),
    ] {
        assert!(sign("x", file.as_bytes()).unwrap_err().contains(why));
    }
    let ca = Ca::root("x");
    assert!(Signers::read(crate::pki::authority::certificate_pem(&ca.der).as_bytes()).is_ok());
    assert!(Signers::read(p384.serialize_pem().as_bytes()).unwrap_err().contains("a private key"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_panics(mut octets in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..400, from_example: bool) {
        if from_example {
            let mut text = A7.as_bytes().to_vec();
            let place = at.min(text.len());
            let rest = text.split_off(place);
            octets.truncate(4);
            text.extend_from_slice(&octets);
            text.extend_from_slice(rest.get(octets.len()..).unwrap_or_default());
            octets = text;
        }
        crate::bundle::fuzz(&octets);
    }
}

//! What our own CA makes, read by ourselves and by the openssl command.

use super::super::testing::NOW;
use super::*;
use std::path::Path;
use std::process::Command;

fn random() -> impl FnMut(&mut [u8]) {
    let mut counter = 0u8;
    move |buffer: &mut [u8]| {
        for octet in buffer {
            counter = counter.wrapping_mul(73).wrapping_add(41);
            *octet = counter;
        }
    }
}

fn authority() -> Authority {
    Authority::new(Key::generate().unwrap(), NOW, &mut random()).unwrap()
}

/// Runs openssl in a directory. `None` when it is not installed.
fn openssl(dir: &Path, arguments: &str) -> Option<String> {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
    let Ok(done) = done else {
        eprintln!("openssl is not installed: not checked");
        return None;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "openssl {arguments}: {said}");
    Some(said)
}

#[test]
fn the_ca_is_read_back() {
    let made = authority();
    let (certificate, key) = (certificate_pem(made.certificate()), made.key().to_pem());
    let read = Authority::load(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(read.info(), made.info());
    let info = made.info();
    assert!(info.subject.starts_with("CN=latchkey CA ") && info.subject.len() == 23, "{}", info.subject);
    assert_eq!((info.not_before, info.not_after), (UnixTime(0), Some(UnixTime(NOW.0 + 20 * YEAR))));
    assert_eq!(info.serial.len(), 16);

    // From the key alone it comes out with the same name, so what it has signed stays good.
    let again = Authority::new(Key::from_pem(key.as_bytes()).unwrap(), UnixTime(0), &mut random()).unwrap();
    assert_eq!(again.subject_hash(), made.subject_hash());
    assert_eq!(again.info().not_after, Some(UnixTime(EARLIEST_NOW + 20 * YEAR)), "a clock that was never set");

    let other = authority();
    let mixed = Authority::load(certificate.as_bytes(), other.key().to_pem().as_bytes());
    assert_eq!(mixed.unwrap_err(), "certificate and key do not belong together");
    assert_ne!(other.subject_hash(), made.subject_hash());
    for (key, words) in [
        ("", "it has no private key (PKCS#8, PEM)"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "its private key is damaged, or not of the kind ECDSA P-256",
        ),
    ] {
        assert_eq!(Authority::load(certificate.as_bytes(), key.as_bytes()).unwrap_err(), words);
    }
}

#[test]
fn nothing_secret_is_shown() {
    let ca = authority();
    let issued = ca.issue("cam", None, &mut random()).unwrap();
    let shown = format!("{ca:?} {issued:?}");
    assert!(shown.contains("Key(redacted)") && !shown.contains("PRIVATE") && !shown.contains("pkcs8"), "{shown}");
}

#[test]
fn openssl_takes_the_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    let ca = authority();
    let key = Key::generate().unwrap();
    let server = ca.server("latchkey.home.arpa", &key, NOW, &mut random()).unwrap();
    let issued = ca.issue("kitchen-cam", None, &mut random()).unwrap();
    file("ca.pem", certificate_pem(ca.certificate()).as_bytes());
    file("server.pem", certificate_pem(&server).as_bytes());
    file("server.key", key.to_pem().as_bytes());
    file("cam.pem", issued.certificate_pem.as_bytes());
    file("cam.key", issued.key_pem.as_bytes());
    let openssl = |arguments: &str| openssl(dir.path(), arguments);
    let Some(said) =
        openssl("verify -x509_strict -purpose sslserver -verify_hostname latchkey.home.arpa -CAfile ca.pem server.pem")
    else {
        return;
    };
    assert_eq!(said, "server.pem: OK\n");
    // It is what RadSec servers are shown, too.
    let said = openssl("verify -x509_strict -purpose sslclient -CAfile ca.pem server.pem");
    assert_eq!(said.as_deref(), Some("server.pem: OK\n"));
    // Strictly by RFC 5280, and with a clock that was never set.
    for time in [1, NOW.0] {
        let said =
            openssl(&format!("verify -x509_strict -purpose sslclient -attime {time} -CAfile ca.pem cam.pem")).unwrap();
        assert_eq!(said, "cam.pem: OK\n");
    }
    let text = openssl("x509 -in cam.pem -noout -text").unwrap();
    for expected in [
        "Version: 3 (0x2)",
        "Issuer: CN = latchkey CA ",
        "Subject: CN = kitchen-cam\n",
        "Not Before: Jan  1 00:00:00 1970 GMT",
        "Not After : Dec 31 23:59:59 9999 GMT",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "Signature Algorithm: ecdsa-with-SHA256",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = openssl("x509 -in ca.pem -noout -text").unwrap();
    for expected in [
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = openssl("x509 -in server.pem -noout -text").unwrap();
    assert!(text.contains("DNS:latchkey.home.arpa") && text.contains("TLS Web Server Authentication"), "{text}");
    // The keys are those of the certificates.
    for name in ["server", "cam"] {
        let of_key = openssl(&format!("pkey -in {name}.key -pubout")).unwrap();
        assert_eq!(of_key, openssl(&format!("x509 -in {name}.pem -noout -pubkey")).unwrap());
    }
}

#[test]
fn openssl_reads_the_pkcs12() {
    let dir = tempfile::tempdir().unwrap();
    let ca = authority();
    let issued = ca.issue("Küchen-Kamera", None, &mut random()).unwrap();
    let openssl = |arguments: &str| openssl(dir.path(), arguments);
    for password in ["correct-horse", ""] {
        std::fs::write(dir.path().join("cam.p12"), issued.p12(password)).unwrap();
        let Some(certificates) = openssl(&format!("pkcs12 -in cam.p12 -nokeys -passin pass:{password}")) else {
            return;
        };
        let read = file::certificates(certificates.as_bytes()).unwrap();
        assert_eq!(read, [issued.certificate.clone(), ca.certificate().to_vec()]);
        assert!(certificates.contains("friendlyName: latchkey CA "), "{certificates}");
        // In the character set of the terminal.
        assert!(certificates.contains("friendlyName: K") && certificates.contains("chen-Kamera\n"), "{certificates}");
        let key = openssl(&format!("pkcs12 -in cam.p12 -nocerts -nodes -passin pass:{password}")).unwrap();
        assert_eq!(Key::from_pem(key.as_bytes()).unwrap().public_key(), issued.key.public_key());
        let info = openssl(&format!("pkcs12 -in cam.p12 -info -noout -passin pass:{password}")).unwrap();
        assert!(info.contains("MAC: sha256, Iteration 10000"), "{info}");
        assert_eq!(
            info.matches("PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256").count(),
            2,
            "{info}"
        );
    }
    std::fs::write(dir.path().join("cam.p12"), issued.p12("one")).unwrap();
    let wrong = Command::new("openssl")
        .args("pkcs12 -in cam.p12 -noout -passin pass:two".split(' '))
        .current_dir(dir.path())
        .output();
    assert!(!wrong.unwrap().status.success());
}

#[test]
fn server_certificates_are_renewed_in_time() {
    let ca = authority();
    let key = Key::generate().unwrap();
    let mut random = random();
    let mut info = |now: i64| {
        let der = ca.server("latchkey.home.arpa", &key, UnixTime(now), &mut random).unwrap();
        CertificateInfo::parse(&der).unwrap()
    };
    let years = |years: i64| NOW.0 + years * YEAR;
    let first = info(NOW.0);
    assert_eq!(first.not_after, Some(UnixTime(years(10))));
    assert!(!ca.renews(&first, NOW) && !ca.renews(&first, UnixTime(years(8))));
    assert!(ca.renews(&first, UnixTime(years(8) + 1)) && ca.renews(&first, UnixTime(years(11))));
    assert!(!ca.renews(&first, UnixTime(0)), "a clock that was never set");
    // It ends with its CA, and is not made anew again and again then.
    let last = info(years(19));
    assert_eq!(last.not_after, Some(UnixTime(years(20))));
    assert!(!ca.renews(&last, UnixTime(years(19) + 1)));
    assert!(!authority().renews(&first, UnixTime(years(9))), "it is another CA's");
}

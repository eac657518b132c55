//! Certificates as makers and administrators have them, and real supplicants: eapol_test, which speaks RADIUS itself.

use super::{Home, SECRET};
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The address that eapol_test says its device has.
pub const STATION: &str = "02:00:00:00:02:01";

/// What a private key is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    P256,
    P384,
    Rsa2048,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// As `/serialNumber=7/CN=cam`.
    pub subject: &'a str,
    pub kind: Kind,
    /// `20200101000000Z` and the like.
    pub from: &'a str,
    pub to: &'a str,
    /// Lines of an extension section of openssl(1ssl) beside basicConstraints and keyUsage.
    pub extensions: &'a str,
}

impl Wanted<'_> {
    /// A device's certificate of today.
    pub fn device(subject: &str) -> Wanted<'_> {
        Wanted {
            subject,
            kind: Kind::P256,
            from: "20200101000000Z",
            to: "20990101000000Z",
            extensions: "extendedKeyUsage=clientAuth",
        }
    }

    /// As in IEEE 802.1AR, 8: no end, no extended key usage.
    pub fn idevid(subject: &str, kind: Kind) -> Wanted<'_> {
        Wanted { subject, kind, from: "20200101000000Z", to: "99991231235959Z", extensions: "" }
    }
}

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A certification authority of openssl(1ssl).
#[derive(Clone)]
pub struct Ca {
    dir: PathBuf,
    issued: Rc<Cell<u32>>,
}

impl Ca {
    /// A new one in a directory of its own.
    pub fn new(dir: &Path, name: &str, kind: Kind) -> Ca {
        let ca = Ca { dir: dir.join(name), issued: Rc::default() };
        fs::create_dir_all(ca.dir.join("new")).unwrap();
        fs::write(ca.dir.join("index.txt"), "").unwrap();
        fs::write(ca.dir.join("serial"), "10F3\n").unwrap();
        fs::write(ca.dir.join("crlnumber"), "01\n").unwrap();
        let config = format!(
            "[ca]\ndefault_ca=this\n[this]\ndatabase={0}/index.txt\nserial={0}/serial\ncrlnumber={0}/crlnumber\n\
             new_certs_dir={0}/new\ncertificate={0}/ca.pem\nprivate_key={0}/ca.key\ndefault_md=sha256\npolicy=any\n\
             unique_subject=no\ndefault_crl_days=30\n[any]\nserialNumber=optional\norganizationName=optional\n\
             commonName=optional\n[req]\ndistinguished_name=dn\n[dn]\n\
             [authority]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier=hash\n",
            ca.dir.display()
        );
        fs::write(ca.dir.join("config"), config).unwrap();
        make_key(&ca.dir.join("ca.key"), kind);
        ca.openssl(&format!(
            "req -new -x509 -key ca.key -out ca.pem -days 3650 -extensions authority -subj /CN={name}"
        ));
        ca
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Makes a key, and a certificate for it.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        self.issued.set(self.issued.get() + 1);
        let name = format!("device-{}", self.issued.get());
        let file = |end: &str| self.dir.join(format!("{name}.{end}"));
        make_key(&file("key"), wanted.kind);
        let extensions =
            format!("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n{}\n", wanted.extensions);
        fs::write(file("ext"), extensions).unwrap();
        self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj {}", wanted.subject));
        self.openssl(&format!(
            "ca -batch -notext -in {name}.csr -out {name}.pem -extfile {name}.ext -startdate {} -enddate {}",
            wanted.from, wanted.to
        ));
        Issued { certificate: file("pem"), key: file("key") }
    }

    /// Revokes a certificate, if any, and writes the list.
    pub fn revocation_list(&self, revoked: Option<&Issued>) -> PathBuf {
        if let Some(revoked) = revoked {
            self.openssl(&format!("ca -revoke {}", revoked.certificate.display()));
        }
        self.openssl("ca -gencrl -out list.crl");
        self.dir.join("list.crl")
    }

    fn openssl(&self, line: &str) {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.splice(1..1, ["-config", "config"]);
        done(Command::new("openssl").current_dir(&self.dir).args(words).output(), line);
    }
}

fn make_key(path: &Path, kind: Kind) {
    let path = path.display();
    let line = match kind {
        Kind::P256 => format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {path}"),
        Kind::P384 => format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out {path}"),
        Kind::Rsa2048 => format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {path}"),
    };
    done(Command::new("openssl").args(line.split(' ')).output(), &line);
}

#[track_caller]
fn done(output: std::io::Result<Output>, line: &str) {
    let output = output.expect("openssl is installed by make test");
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A supplicant's network block: what any has, and what is added here.
pub fn network(settings: &[String]) -> String {
    let mut text = String::from("network={\n\tkey_mgmt=IEEE8021X\n\teapol_flags=0\n");
    for setting in settings {
        let _ = writeln!(text, "\t{setting}");
    }
    text + "}\n"
}

/// Settings for EAP-PSK.
pub fn psk(nai: &str, key: &str) -> Vec<String> {
    vec!["eap=PSK".into(), format!("identity=\"{nai}\""), format!("password={key}")]
}

/// Settings for EAP-TLS.
pub fn tls(ca: &Path, device: &Issued, version: &str) -> Vec<String> {
    vec![
        "eap=TLS".into(),
        "identity=\"device@latchkey.home.arpa\"".into(),
        format!("ca_cert=\"{}\"", ca.display()),
        format!("client_cert=\"{}\"", device.certificate.display()),
        format!("private_key=\"{}\"", device.key.display()),
        match version {
            "1.2" => "phase1=\"tls_disable_tlsv1_3=1\"".into(),
            "1.3" => "phase1=\"tls_disable_tlsv1_3=0\"".into(),
            _ => panic!("TLS {version}?"),
        },
    ]
}

/// What eapol_test said.
pub struct Run {
    pub text: String,
    pub accepted: bool,
    /// The daemon's log until then.
    log: String,
}

impl Run {
    /// What a run of eapol_test came to, beside this daemon.
    pub fn of(output: &Output, home: &Home) -> Run {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Run { accepted: output.status.success(), text, log: home.log() }
    }

    /// Asserts that it was let in, with keys on both sides each time, in this VLAN.
    #[track_caller]
    pub fn is_let_in(&self, times: usize, vlan: &str) {
        assert!(self.accepted, "{}\n{}", self.text, self.log);
        let keys = format!("MPPE keys OK: {times}  mismatch: 0");
        assert!(self.text.contains(&keys), "not \"{keys}\": {}", self.text);
        let group = format!("Attribute 81 (Tunnel-Private-Group-Id) length={}\n", vlan.len() + 2);
        let hex: String = vlan.bytes().map(|b| format!("{b:02x}")).collect();
        let value = format!("{group}      Value: {hex}\n");
        assert_eq!(self.text.matches(&value).count(), times, "not in VLAN {vlan}: {}", self.text);
    }

    /// Asserts that it was refused, with an EAP-Failure, not by silence.
    #[track_caller]
    pub fn is_refused(&self) {
        assert!(!self.accepted, "{}\n{}", self.text, self.log);
        assert!(self.text.contains("code=3 (Access-Reject)"), "no Access-Reject: {}", self.text);
        assert!(self.text.contains("EAP: Received EAP-Failure"), "no EAP-Failure: {}", self.text);
    }

    /// The attributes of the last Access-Accept, as the NAS got it: type and value.
    pub fn accept(&self) -> Vec<(u8, Vec<u8>)> {
        let text =
            self.text.rsplit_once("code=2 (Access-Accept)").unwrap_or_else(|| panic!("no Accept: {}", self.text)).1;
        let mut attributes = Vec::new();
        for line in text.lines().skip(1).map_while(|line| line.strip_prefix("   ")) {
            if let Some(rest) = line.strip_prefix("Attribute ") {
                attributes.push((rest.split(' ').next().unwrap().parse().unwrap(), Vec::new()));
            } else if let (Some(value), Some((_, octets))) =
                (line.trim().strip_prefix("Value: "), attributes.last_mut())
            {
                *octets = parsed(value);
            }
        }
        attributes
    }

    /// How many of its TLS handshakes were new ones, and how many were resumed. With TLS 1.3 OpenSSL comes to the end of
    /// each a second time, for the ticket.
    pub fn handshakes(&self) -> (usize, usize) {
        let count = |words: &str| self.text.matches(words).count();
        let times = if self.text.contains("SSL: Using TLS version TLSv1.3") { 2 } else { 1 };
        let of = |kind| count(&format!("OpenSSL: Handshake finished - resumed={kind}")) / times;
        (of(0), of(1))
    }
}

/// A value as eapol_test prints it: hexadecimal digits, a number, a text in quotes, or an address.
fn parsed(value: &str) -> Vec<u8> {
    if let Some(text) = value.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return text.into();
    }
    if let Ok(number) = value.parse::<u32>()
        && !value.starts_with('0')
    {
        return number.to_be_bytes().into();
    }
    let pairs = value.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<_>>().unwrap_or_else(|| value.into())
}

/// Runs eapol_test against the daemon, as a station of the SSID `Home`; with `more` arguments.
pub fn eapol_test(home: &Home, settings: &[String], more: &[&str]) -> Run {
    Run::of(&station(home, settings, "Home", STATION, more), home)
}

/// The same as another station, or at another SSID; it waits longer than a proxy does for its servers.
pub fn eapol_test_as(home: &Home, settings: &[String], ssid: &str, mac: &str) -> Run {
    Run::of(&station(home, settings, ssid, mac, &["-t", "20"]), home)
}

fn station(home: &Home, settings: &[String], ssid: &str, mac: &str, more: &[&str]) -> Output {
    at(home.auth_port, SECRET, &home.path(""), settings, ssid, mac, more)
}

/// Runs eapol_test against any server; its configuration is written to a file of its own in `dir`.
pub fn at(port: u16, secret: &str, dir: &Path, settings: &[String], ssid: &str, mac: &str, more: &[&str]) -> Output {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let config = dir.join(format!("eapol_test-{}.conf", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&config, network(settings)).unwrap();
    Command::new("eapol_test")
        .arg("-c")
        .arg(&config)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-s", secret, "-t", "10", "-M", mac])
        .args(["-N", &format!("30:s:02-00-00-00-00-01:{ssid}")])
        .args(more)
        .output()
        .expect("eapol_test (package eapoltest) is installed by make test")
}

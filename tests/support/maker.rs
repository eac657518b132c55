//! A manufacturer with a real AAA server: FreeRADIUS, its devices' certificates and passwords.

use super::eap::{Ca, Issued, Kind, Wanted};
use super::freeradius::{self, Config, INNER, PASSWORDS, TUNNELS, Tls};
use super::program::Program;
use super::{eventually, free_port};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};

/// What the manufacturer shares with us.
pub const SHARED: &str = "acme-and-us-since-2026";

/// The name in the certificate of its server.
pub const SERVER: &str = "radius.acme.example";

/// The password of every device that has one, and who it says it is within TLS.
pub const PASSWORD: &str = "inner secret";

/// What the manufacturer says of each device that it lets in: what it should, and what is not for it to say.
const POST_AUTH: &str = "\
\tpost-auth {
\t\tupdate reply {
\t\t\tTunnel-Type := VLAN
\t\t\tTunnel-Medium-Type := IEEE-802
\t\t\tTunnel-Private-Group-Id := \"666\"
\t\t\tFilter-Id := \"everything\"
\t\t\tSession-Timeout := 999999
\t\t\tTermination-Action := RADIUS-Request
\t\t\tCisco-AVPair := \"shell:priv-lvl=15\"
\t\t\tClass := 0x6d616b65
\t\t\tReply-Message := \"Welcome to Acme\"
\t\t}
\t}
";

/// The manufacturer.
pub struct Maker {
    pub ca: Ca,
    /// The certificate of its server, by which also EAP ends there.
    pub server: Issued,
    pub port: u16,
    dir: PathBuf,
    program: Option<Program>,
}

impl Maker {
    /// Its CA and its server, which is started.
    pub fn new(dir: &Path) -> Maker {
        let ca = Ca::new(dir, "acme-ca", Kind::P256);
        let mut maker = Maker::with(dir, "acme", ca, POST_AUTH);
        maker.start();
        maker
    }

    /// Another server for the same devices, as somebody has who has taken the service over: it knows the same passwords
    /// and authority. It has a port of its own.
    pub fn successor(&self, dir: &Path) -> Maker {
        let mut maker = Maker::with(dir, "successor", self.ca.clone(), POST_AUTH);
        maker.start();
        maker
    }

    fn with(dir: &Path, name: &str, ca: Ca, post_auth: &str) -> Maker {
        let names = format!("subjectAltName=DNS:{SERVER}");
        let wanted = Wanted { extensions: &names, ..Wanted::device("/CN=radius.acme.example") };
        let server = ca.issue(&wanted);
        let (dir, port) = (dir.join(name), free_port());
        let certificate = ca.certificate();
        let tls = Tls { certificate: &server.certificate, key: &server.key, ca: &certificate };
        let config = Config {
            port,
            secret: SHARED.into(),
            log_auth: true,
            status_server: true,
            modules: format!("{}{PASSWORDS}{}", tls.eap(TUNNELS), Config::files(&dir)),
            policy: format!("\tauthorize {{\n\t\teap\n\t}}\n\tauthenticate {{\n\t\teap\n\t}}\n{post_auth}"),
            servers: INNER.into(),
            users: format!("DEFAULT Cleartext-Password := \"{PASSWORD}\"\n"),
            ..Config::default()
        };
        config.write(&dir).unwrap();
        Maker { ca, server, port, dir, program: None }
    }

    /// Starts its server, and waits until it answers.
    pub fn start(&mut self) {
        let arguments = ["-f", "-d", &self.dir.to_string_lossy(), "-n", "radiusd"].map(str::to_owned);
        let _ = std::fs::remove_file(self.dir.join("radius.log"));
        let program = freeradius::program().expect("FreeRADIUS is installed by make test");
        let mut program = Program::start(&self.dir.join("output"), program, &arguments);
        program.wait(|| freeradius::is_ready(&self.dir));
        self.program = Some(program);
    }

    /// Kills its server.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Its server does nothing any more, until it is thawed.
    pub fn freeze(&self) {
        self.program.as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.program.as_ref().unwrap().signal(Signal::SIGCONT);
    }

    /// What its server wrote of those who came.
    pub fn log(&self) -> String {
        freeradius::log(&self.dir)
    }

    /// A device with a certificate of the manufacturer.
    pub fn device(&self, serial: &str) -> Issued {
        self.ca.issue(&Wanted::idevid(&format!("/serialNumber={serial}/O=Acme/CN=Cam"), Kind::P256))
    }

    /// Settings of a supplicant with that certificate: it checks the manufacturer's server, and knows nothing of us.
    pub fn tls(&self, identity: &str, device: &Issued, version: &str) -> Vec<String> {
        let mut settings = super::eap::tls(&self.ca.certificate(), device, version);
        settings.retain(|line| !line.starts_with("identity="));
        settings.push(format!("identity=\"{identity}\""));
        settings.push(format!("domain_match=\"{SERVER}\""));
        settings
    }

    /// Settings of a supplicant with a password, which it tells within TLS: `method` is `TTLS` or `PEAP`.
    pub fn tunnel(&self, outer: &str, inner: &str, method: &str, phase2: &str) -> Vec<String> {
        vec![
            format!("eap={method}"),
            format!("anonymous_identity=\"{outer}\""),
            format!("identity=\"{inner}\""),
            format!("password=\"{PASSWORD}\""),
            format!("ca_cert=\"{}\"", self.ca.certificate().display()),
            format!("domain_match=\"{SERVER}\""),
            format!("phase2=\"auth={phase2}\""),
        ]
    }

    /// Waits until its server has written something.
    pub fn says(&self, words: &str) {
        eventually(&format!("{words:?} in the manufacturer's log"), || self.log().contains(words).then_some(()));
    }
}

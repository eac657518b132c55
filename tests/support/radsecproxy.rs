//! radsecproxy from a configuration of its own: between us and a manufacturer in the tests, beside us in the benchmark.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The program.
pub fn program() -> Option<PathBuf> {
    ["/usr/sbin/radsecproxy", "/usr/local/sbin/radsecproxy"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// What it says its version is.
pub fn version(program: &Path) -> std::io::Result<String> {
    let output = std::process::Command::new(program).arg("-v").output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok(text.split_whitespace().skip_while(|word| *word != "revision").nth(1).unwrap_or("?").to_owned())
}

/// A configuration, on 127.0.0.1. With `-f` it says on standard error what it does.
#[derive(Debug, Clone, Default)]
pub struct Config {
    text: String,
}

impl Config {
    /// One that says so much: 1 only errors, 5 everything.
    pub fn new(log_level: u8) -> Config {
        // A client and a server that have the same name are no loop here.
        Config { text: format!("LogLevel {log_level}\nLoopPrevention off\n") }
    }

    /// Our certificate, and the authority of those we talk to. Before clients and servers of TLS.
    pub fn tls(mut self, ca: &Path, certificate: &Path, key: &Path, versions: &str) -> Config {
        let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
        let _ = writeln!(
            self.text,
            "tls default {{\n\tCACertificateFile {ca}\n\tCertificateFile {certificate}\n\tCertificateKeyFile {key}\n\
             \tTlsVersion {versions}\n}}"
        );
        self
    }

    /// Takes requests over UDP.
    pub fn udp_client(mut self, port: u16, secret: &str) -> Config {
        let _ = writeln!(
            self.text,
            "ListenUDP 127.0.0.1:{port}\nclient nas {{\n\thost 127.0.0.1\n\ttype UDP\n\tsecret {secret}\n}}"
        );
        self
    }

    /// Takes requests over TLS, of clients with a certificate of one of these dNSNames.
    pub fn tls_clients(mut self, port: u16, names: &[&str]) -> Config {
        let _ = writeln!(self.text, "ListenTLS 127.0.0.1:{port}");
        for (n, name) in names.iter().enumerate() {
            let _ = writeln!(
                self.text,
                "client ap{n} {{\n\thost 127.0.0.1\n\ttype TLS\n\tsecret radsec\n\tCertificateNameCheck off\n{}}}",
                certificate_of(name)
            );
        }
        self
    }

    /// Forwards requests of a realm (`*`: all) over UDP.
    pub fn udp_server(mut self, realm: &str, port: u16, secret: &str) -> Config {
        let _ = writeln!(
            self.text,
            "server s{port} {{\n\thost 127.0.0.1:{port}\n\ttype UDP\n\tsecret {secret}\n}}\nrealm {realm} {{\n\tserver s{port}\n}}"
        );
        self
    }

    /// Forwards requests of a realm over TLS, to whoever has a certificate of this dNSName.
    pub fn tls_server(mut self, realm: &str, port: u16, name: &str) -> Config {
        let _ = writeln!(
            self.text,
            "server s{port} {{\n\thost 127.0.0.1:{port}\n\ttype TLS\n\tsecret radsec\n\tStatusServer on\n\
             \tCertificateNameCheck off\n{}}}\nrealm {realm} {{\n\tserver s{port}\n}}",
            certificate_of(name)
        );
        self
    }

    /// Writes it to a file, and gives the arguments that the program is to be started with. It is ready when its ports are
    /// taken: [`is_ready`].
    pub fn write(&self, path: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(path, &self.text)?;
        Ok(["-f", "-c", &path.to_string_lossy()].map(str::to_owned).into())
    }
}

/// A line that asks for a certificate of this dNSName.
fn certificate_of(name: &str) -> String {
    format!("\tMatchCertificateAttribute SubjectAltName:DNS:/^{}$/\n", name.replace('.', "\\."))
}

/// Whether what it said shows that it has come up: it listens last of all.
pub fn is_ready(log: &str) -> bool {
    log.contains("createlistener: listening for")
}

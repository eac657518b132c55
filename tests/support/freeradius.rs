//! FreeRADIUS from a configuration of its own, with nothing but what it is wanted for: the manufacturer's server of the
//! tests, and the peer of the benchmark.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, under Debian's and everybody else's name.
pub fn program() -> Option<PathBuf> {
    let names = ["/usr/sbin/freeradius", "/usr/sbin/radiusd", "/usr/local/sbin/radiusd"];
    names.map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// What it says its version is.
pub fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().skip_while(|word| *word != "Version").nth(1);
    Ok(word.unwrap_or("?").trim_end_matches(',').to_owned())
}

/// Where its modules are.
fn library_dir() -> &'static str {
    let libraries = ["/usr/lib/freeradius", "/usr/lib64/freeradius", "/usr/local/lib"];
    libraries.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/usr/lib/freeradius")
}

/// A configuration. Where it leaves something out, the default of FreeRADIUS is the fast choice.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What its client on 127.0.0.1 shares with it.
    pub secret: String,
    /// Whether it writes who was let in.
    pub log_auth: bool,
    /// Whether it answers Status-Server.
    pub status_server: bool,
    /// Where it forwards requests: the sections of a proxy. Without any it does not.
    pub proxy: String,
    /// The modules.
    pub modules: String,
    /// What the server does with a request: `authorize` and so on.
    pub policy: String,
    /// Further virtual servers.
    pub servers: String,
    /// The file `users`, which the module [`Config::files`] reads.
    pub users: String,
}

/// The files that EAP with TLS needs.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// The server's certificate.
    pub certificate: &'a Path,
    /// Its private key.
    pub key: &'a Path,
    /// The authority of the devices.
    pub ca: &'a Path,
}

impl Tls<'_> {
    /// A section of this name, with one more line. Sessions are not resumed.
    pub fn section(&self, name: &str, more: &str) -> String {
        format!(
            "tls{name} {{\n\tprivate_key_file = {}\n\tcertificate_file = {}\n\tca_file = {}\n\tcipher_list = \"DEFAULT\"\n\
             \ttls_min_version = \"1.2\"\n\ttls_max_version = \"1.3\"\n\tecdh_curve = \"\"\n\t{more}\n\tcache {{\n\t\tenable = no\n\t}}\n}}\n",
            self.key.display(),
            self.certificate.display(),
            self.ca.display()
        )
    }

    /// The module `eap` with EAP-TLS, and with the methods of the arguments.
    pub fn eap(&self, methods: &str) -> String {
        format!(
            "eap {{\n\tdefault_eap_type = tls\n\ttimer_expire = 60\n\tignore_unknown_eap_types = no\n\tmax_sessions = 16384\n\
             {}\ttls {{\n\t\ttls = common\n\t}}\n{methods}}}\n",
            self.section("-config common", "")
        )
    }
}

/// The methods in which a device proves a password within TLS: EAP-TTLS with PAP and MSCHAPv2, and PEAP. They need
/// [`INNER`].
pub const TUNNELS: &str = "\
\tttls {
\t\ttls = common
\t\tdefault_eap_type = mschapv2
\t\tcopy_request_to_tunnel = no
\t\tuse_tunneled_reply = no
\t\tvirtual_server = inner
\t}
\tpeap {
\t\ttls = common
\t\tdefault_eap_type = mschapv2
\t\tuse_tunneled_reply = no
\t\tvirtual_server = inner
\t}
\tmschapv2 {
\t}
";

/// The modules that [`INNER`] needs beside `eap` and `files`.
pub const PASSWORDS: &str = "pap {\n}\nmschap {\n}\n";

/// The virtual server for what is said within TLS.
pub const INNER: &str = "\
server inner {
\tauthorize {
\t\tfiles
\t\tpap
\t\tmschap
\t\teap
\t}
\tauthenticate {
\t\tAuth-Type PAP {
\t\t\tpap
\t\t}
\t\tAuth-Type MS-CHAP {
\t\t\tmschap
\t\t}
\t\teap
\t}
}
";

impl Config {
    /// The module that reads `users`.
    pub fn files(dir: &Path) -> String {
        format!("files {{\n\tfilename = {}/users\n}}\n", dir.display())
    }

    /// Writes it to a directory, which is made, and gives the arguments that the program is to be started with. It is ready
    /// when [`is_ready`] says so.
    pub fn write(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("radiusd.conf"), self.radiusd_conf(dir))?;
        fs::write(dir.join("dictionary"), "")?;
        fs::write(dir.join("users"), &self.users)?;
        let _ = fs::remove_file(dir.join("radius.log"));
        Ok(["-f", "-d", &dir.to_string_lossy(), "-n", "radiusd"].map(str::to_owned).into())
    }

    /// No logging of requests unless it is wanted, no SQL, no policies; the thread pool as Debian ships it.
    fn radiusd_conf(&self, dir: &Path) -> String {
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let mut text = format!(
            r#"prefix = /usr
name = latchkey-peer
raddbdir = {dir}
logdir = {dir}
run_dir = {dir}
libdir = {libdir}
pidfile = {dir}/pid
max_requests = 16384
cleanup_delay = 5
hostname_lookups = no
proxy_requests = {proxy}
log {{
	destination = files
	file = {dir}/radius.log
	auth = {log_auth}
}}
security {{
	allow_core_dumps = no
	max_attributes = 200
	reject_delay = 0
	status_server = {status_server}
}}
thread pool {{
	start_servers = 5
	max_servers = 32
	min_spare_servers = 3
	max_spare_servers = 10
	max_requests_per_server = 0
	auto_limit_acct = no
}}
client nas {{
	ipaddr = 127.0.0.1
	secret = {secret}
	require_message_authenticator = yes
}}
"#,
            dir = dir.display(),
            libdir = library_dir(),
            proxy = yes(!self.proxy.is_empty()),
            log_auth = yes(self.log_auth),
            status_server = yes(self.status_server),
            secret = self.secret,
        );
        let _ = write!(
            text,
            "{}modules {{\n{}}}\nserver default {{\n\tlisten {{\n\t\ttype = auth\n\t\tipaddr = 127.0.0.1\n\t\tport = {}\n\t}}\n{}}}\n{}",
            self.proxy, self.modules, self.port, self.policy, self.servers
        );
        text
    }
}

/// Whether a server whose configuration is in this directory has come up.
pub fn is_ready(dir: &Path) -> bool {
    log(dir).contains("Ready to process requests")
}

/// What it said.
pub fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("radius.log")).unwrap_or_default()
}

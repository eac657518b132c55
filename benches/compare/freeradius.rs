//! FreeRADIUS from a configuration of its own: nothing but what answers a MAC authentication with key and VLAN.

use crate::fleet::{Device, hex, plain};
use crate::process::{self, Server};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The shared secret.
pub const SECRET: &str = "free-radius-on-loopback";

/// A running FreeRADIUS.
pub struct FreeRadius {
    pub server: Server,
    pub address: SocketAddr,
    pub version: String,
}

/// The program, under Debian's and everybody else's name.
pub fn program() -> Result<PathBuf, String> {
    ["/usr/sbin/freeradius", "/usr/sbin/radiusd", "/usr/local/sbin/radiusd"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| "FreeRADIUS is not installed: apt-get install freeradius (make bench does)".into())
}

/// What it says its version is.
pub fn version(program: &Path) -> Result<String, String> {
    let output = Command::new(program).arg("-v").output().map_err(|e| format!("{}: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().skip_while(|word| *word != "Version").nth(1);
    Ok(word.unwrap_or("?").trim_end_matches(',').to_owned())
}

/// Where its modules are.
pub fn library_dir() -> &'static str {
    let libraries = ["/usr/lib/freeradius", "/usr/lib64/freeradius", "/usr/local/lib"];
    libraries.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/usr/lib/freeradius")
}

/// As lean as FreeRADIUS gets for this job: two modules, no logging of requests, no proxying, no SQL, no policies,
/// the thread pool as Debian ships it. Where the file leaves something out, the default is the fast choice.
fn radiusd_conf(raddb: &Path, port: u16) -> String {
    let (dir, libdir) = (raddb.display(), library_dir());
    format!(
        r#"prefix = /usr
name = latchkey-bench
raddbdir = {dir}
logdir = {dir}
run_dir = {dir}
libdir = {libdir}
pidfile = {dir}/pid
max_requests = 16384
cleanup_delay = 5
hostname_lookups = no
proxy_requests = no
log {{
	destination = files
	file = {dir}/radius.log
	auth = no
}}
security {{
	allow_core_dumps = no
	max_attributes = 200
	reject_delay = 0
	status_server = no
}}
thread pool {{
	start_servers = 5
	max_servers = 32
	min_spare_servers = 3
	max_spare_servers = 10
	max_requests_per_server = 0
	auto_limit_acct = no
}}
client hostapd {{
	ipaddr = 127.0.0.1
	secret = {SECRET}
	require_message_authenticator = yes
}}
modules {{
	files {{
		filename = {dir}/users
	}}
	pap {{
		normalise = no
	}}
}}
server default {{
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = {port}
	}}
	authorize {{
		files
		pap
	}}
	authenticate {{
		Auth-Type PAP {{
			pap
		}}
	}}
}}
"#
    )
}

/// The devices. Message-Authenticator is asked for because hostapd from 2.11 on takes no answer without it.
fn users(devices: &[Device]) -> String {
    let mut text = String::new();
    for device in devices {
        let (mac, pmk, vlan) = (plain(&device.mac), hex(&device.pmk), device.vlan);
        let _ = writeln!(
            text,
            "{mac} Cleartext-Password := \"{mac}\"\n\tTunnel-Type = VLAN,\n\tTunnel-Medium-Type = IEEE-802,\n\
             \tTunnel-Private-Group-Id = \"{vlan}\",\n\tTunnel-Password = \"{pmk}\",\n\tMessage-Authenticator = 0x00\n"
        );
    }
    text
}

impl FreeRadius {
    /// Writes the configuration to `dir` and starts the server; it is ready when it says so in its log.
    pub fn start(dir: &Path, devices: &[Device]) -> Result<FreeRadius, String> {
        let program = program()?;
        let raddb = dir.join("raddb");
        let (port, _) = process::free_ports()?;
        let write = |name: &str, text: &str| {
            let path = raddb.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
        };
        fs::create_dir_all(&raddb).map_err(|e| format!("{}: {e}", raddb.display()))?;
        write("radiusd.conf", &radiusd_conf(&raddb, port))?;
        write("dictionary", "")?;
        write("users", &users(devices))?;
        let text = raddb.to_string_lossy().into_owned();
        let output = dir.join("freeradius.out");
        let mut server = Server::start("FreeRADIUS", &program, &["-f", "-d", &text, "-n", "radiusd"], &output)?;
        let log = raddb.join("radius.log");
        let ready = || fs::read_to_string(&log).is_ok_and(|text| text.contains("Ready to process requests"));
        server
            .wait(Duration::from_secs(30), Duration::from_millis(20), ready)
            .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(FreeRadius { server, address: (Ipv4Addr::LOCALHOST, port).into(), version: version(&program)? })
    }
}

//! hostapd as a RADIUS server, and FreeRADIUS, each with nothing but EAP.

use super::certificates::Certificates;
use super::{Key, SECRET};
use crate::fleet::hex;
use crate::freeradius::{library_dir, program, version};
use crate::process::{self, Server};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running server.
pub struct Peer {
    pub server: Server,
    pub address: SocketAddr,
    pub version: String,
}

fn file(dir: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

fn directory(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// hostapd's own server, which ends EAP with its code for an AP without RADIUS. `resuming`: it keeps TLS sessions.
pub fn hostapd(dir: &Path, keys: &[Key], certificates: &Certificates, resuming: bool) -> Result<Peer, String> {
    let program = Path::new("/usr/sbin/hostapd");
    let dir = directory(dir, if resuming { "hostapd-resuming" } else { "hostapd-server" })?;
    let mut users = String::new();
    for key in keys {
        let _ = writeln!(users, "\"{}\" PSK {}", key.nai, hex(&key.key));
    }
    users.push_str("* TLS\n");
    let users = file(&dir, "users", &users)?;
    let clients = file(&dir, "clients", &format!("127.0.0.1 {SECRET}\n"))?;
    let (port, _) = process::free_ports()?;
    let config = format!(
        "driver=none\nlogger_syslog=0\nlogger_stdout=0\nradius_server_clients={}\nradius_server_auth_port={port}\n\
         eap_server=1\neap_user_file={}\nserver_id=hostapd\nca_cert={}\nserver_cert={}\nprivate_key={}\n\
         tls_flags=[ENABLE-TLSv1.3]\ntls_session_lifetime={}\n",
        clients.display(),
        users.display(),
        certificates.ca.display(),
        certificates.server.display(),
        certificates.server_key.display(),
        if resuming { 3600 } else { 0 },
    );
    let config = file(&dir, "hostapd.conf", &config)?;
    let log = dir.join("log");
    let mut server = Server::start("hostapd", program, &[&config.to_string_lossy()], &log)?;
    let ready = || fs::read_to_string(&log).is_ok_and(|text| text.contains("AP-ENABLED"));
    server.wait(Duration::from_secs(10), Duration::from_millis(20), ready)?;
    let output = Command::new(program).arg("-v").output().map_err(|e| format!("hostapd: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split_whitespace().nth(1).unwrap_or("?").trim_start_matches('v').to_owned();
    Ok(Peer { server, address: (Ipv4Addr::LOCALHOST, port).into(), version })
}

/// FreeRADIUS with two modules, the thread pool as Debian ships it, and neither log nor proxy. Its releases have no EAP-PSK.
pub fn freeradius(dir: &Path, certificates: &Certificates) -> Result<Peer, String> {
    let program = program()?;
    let dir = directory(dir, "freeradius-eap")?;
    let (port, _) = process::free_ports()?;
    file(&dir, "radiusd.conf", &radiusd_conf(&dir, port, certificates))?;
    file(&dir, "dictionary", "")?;
    let text = dir.to_string_lossy().into_owned();
    let mut server = Server::start("FreeRADIUS", &program, &["-f", "-d", &text, "-n", "radiusd"], &dir.join("output"))?;
    let log = dir.join("radius.log");
    let ready = || fs::read_to_string(&log).is_ok_and(|text| text.contains("Ready to process requests"));
    server
        .wait(Duration::from_secs(30), Duration::from_millis(20), ready)
        .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
    Ok(Peer { server, address: (Ipv4Addr::LOCALHOST, port).into(), version: version(&program)? })
}

fn radiusd_conf(dir: &Path, port: u16, certificates: &Certificates) -> String {
    format!(
        r#"prefix = /usr
name = latchkey-bench-eap
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
	eap {{
		default_eap_type = tls
		timer_expire = 60
		ignore_unknown_eap_types = no
		max_sessions = 16384
		tls-config common {{
			private_key_file = {key}
			certificate_file = {certificate}
			ca_file = {ca}
			cipher_list = "DEFAULT"
			tls_min_version = "1.2"
			tls_max_version = "1.3"
			ecdh_curve = ""
			cache {{
				enable = no
			}}
		}}
		tls {{
			tls = common
		}}
	}}
}}
server default {{
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = {port}
	}}
	authorize {{
		eap
	}}
	authenticate {{
		eap
	}}
}}
"#,
        dir = dir.display(),
        libdir = library_dir(),
        key = certificates.server_key.display(),
        certificate = certificates.server.display(),
        ca = certificates.ca.display(),
    )
}

//! hostapd as a RADIUS server, and FreeRADIUS, each with nothing but EAP.

use super::certificates::Certificates;
use super::{Key, SECRET};
use crate::fleet::hex;
use crate::freeradius::FreeRadius;
use crate::process::{self, Server};
use crate::radiusd::{Config, Tls};
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

/// FreeRADIUS with nothing but EAP-TLS. Its releases have no EAP-PSK.
pub fn freeradius(dir: &Path, certificates: &Certificates) -> Result<FreeRadius, String> {
    let Certificates { server, server_key, ca, .. } = certificates;
    let config = Config {
        secret: SECRET.into(),
        modules: Tls { certificate: server, key: server_key, ca }.eap(""),
        policy: "\tauthorize {\n\t\teap\n\t}\n\tauthenticate {\n\t\teap\n\t}\n".into(),
        ..Config::default()
    };
    FreeRadius::start(&dir.join("freeradius-eap"), config)
}

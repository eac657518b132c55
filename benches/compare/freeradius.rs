//! FreeRADIUS as a server under load.

use crate::fleet::{Device, hex, plain};
use crate::process::{self, Server};
use crate::radiusd::{self, Config};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The shared secret.
pub const SECRET: &str = "free-radius-on-loopback";

/// A running FreeRADIUS.
pub struct FreeRadius {
    pub server: Server,
    pub address: SocketAddr,
    pub version: String,
}

impl FreeRadius {
    /// Writes a configuration to `dir` and starts the server, on a port of its own; it is ready when it says so in its log.
    pub fn start(dir: &Path, config: Config) -> Result<FreeRadius, String> {
        let program = radiusd::program();
        let program = program.ok_or("FreeRADIUS is not installed: apt-get install freeradius (make bench does)")?;
        let (port, _) = process::free_ports()?;
        let config = Config { port, ..config };
        let arguments = config.write(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut server = Server::start("FreeRADIUS", &program, &arguments, &dir.join("output"))?;
        server
            .wait(Duration::from_secs(30), Duration::from_millis(20), || radiusd::is_ready(dir))
            .map_err(|e| format!("{e}\n{}", radiusd::log(dir)))?;
        let version = radiusd::version(&program).map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(FreeRadius { server, address: (Ipv4Addr::LOCALHOST, port).into(), version })
    }
}

/// Nothing but what answers a MAC authentication with key and VLAN: two modules.
pub fn of_macs(dir: &Path, devices: &[Device]) -> Config {
    Config {
        secret: SECRET.into(),
        modules: format!("{}pap {{\n\tnormalise = no\n}}\n", Config::files(dir)),
        policy:
            "\tauthorize {\n\t\tfiles\n\t\tpap\n\t}\n\tauthenticate {\n\t\tAuth-Type PAP {\n\t\t\tpap\n\t\t}\n\t}\n"
                .into(),
        users: users(devices),
        ..Config::default()
    }
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

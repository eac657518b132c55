//! The three proxies, each with one realm whose home server is behind it, over UDP or TLS.

use super::certificates::{HOME, Site};
use super::home;
use crate::freeradius::{self, FreeRadius};
use crate::latchkey::{self, Home, Latchkey};
use crate::process::{self, Server};
use crate::radiusd;
use crate::radsecproxy;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

/// The realm behind the proxies.
pub const REALM: &str = "acme.example";

/// What access points share with radsecproxy.
pub const SECRET: &str = "radsecproxy-on-loopback";

/// How a proxy reaches the home server.
#[derive(Clone, Copy)]
pub enum Behind {
    Udp(SocketAddr),
    Radsec(SocketAddr),
}

impl Behind {
    fn port(self) -> u16 {
        match self {
            Behind::Udp(address) | Behind::Radsec(address) => address.port(),
        }
    }
}

/// A running proxy.
pub struct Proxy {
    pub server: Server,
    pub address: SocketAddr,
    pub secret: &'static str,
    pub version: String,
}

/// latchkey, which registers each device when it first comes.
pub fn latchkey(dir: &Path, behind: Behind, site: &Site) -> Result<Proxy, String> {
    let mut text = "\toption security 'enterprise'\n\nconfig eap\n\nconfig realm 'acme'\n\toption profile 'iot'\n\toption admit 'all'\n".to_owned();
    let _ = writeln!(text, "\tlist realm '{REALM}'");
    let port = behind.port();
    let _ = match behind {
        Behind::Udp(_) => {
            write!(text, "\tlist server 'udp://127.0.0.1:{port}'\n\toption secret '{}'\n", home::SECRET)
        }
        Behind::Radsec(_) => write!(
            text,
            "\tlist server 'radsec://127.0.0.1:{port}'\n\toption server_name '{HOME}'\n\toption ca '{}'\n\
             \toption certificate '{}'\n\toption private_key '{}'\n",
            site.ca.display(),
            site.proxy.certificate.display(),
            site.proxy.key.display()
        ),
    };
    let Latchkey { server, address, .. } = Home::with(dir, &text)?.start()?;
    Ok(Proxy { server, address, secret: latchkey::SECRET, version: env!("CARGO_PKG_VERSION").into() })
}

/// latchkey as a RadSec server for all access points of the site, each a client of its own.
pub fn latchkey_for_access_points(dir: &Path, site: &Site) -> Result<(Server, SocketAddr), String> {
    let port = free_tcp_port()?;
    let mut text = format!(
        "\toption security 'enterprise'\n\nconfig eap\n\nconfig radsec\n\tlist listen '127.0.0.1:{port}'\n\toption ca '{}'\n\
         \toption certificate '{}'\n\toption private_key '{}'\n",
        site.ca.display(),
        site.proxy.certificate.display(),
        site.proxy.key.display()
    );
    for (n, (name, _)) in site.access_points.iter().enumerate() {
        let _ = write!(text, "\nconfig client 'ap{n}'\n\toption radsec '{name}'\n");
    }
    Ok((Home::with(dir, &text)?.start()?.server, (Ipv4Addr::LOCALHOST, port).into()))
}

/// Starts radsecproxy with a configuration.
fn start_radsecproxy(dir: &Path, config: &radsecproxy::Config) -> Result<(Server, String), String> {
    let failed = |e: std::io::Error| format!("radsecproxy: {e}");
    let program = radsecproxy::program();
    let program = program.ok_or("radsecproxy is not installed: apt-get install radsecproxy (make bench does)")?;
    fs::create_dir_all(dir).map_err(failed)?;
    let arguments = config.write(&dir.join("radsecproxy.conf")).map_err(failed)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = dir.join("output");
    let mut server = Server::start("radsecproxy", &program, &arguments, &log)?;
    let ready = || fs::read_to_string(&log).is_ok_and(|text| radsecproxy::is_ready(&text));
    server.wait(Duration::from_secs(10), Duration::from_millis(20), ready)?;
    Ok((server, radsecproxy::version(&program).map_err(failed)?))
}

/// radsecproxy, which says only what must be known.
pub fn radsecproxy(dir: &Path, behind: Behind, site: &Site) -> Result<Proxy, String> {
    let (port, _) = process::free_ports()?;
    let config = radsecproxy::Config::new(LOG_LEVEL)
        .tls(&site.ca, &site.proxy.certificate, &site.proxy.key, "TLS1_2:")
        .udp_client(port, SECRET);
    let config = match behind {
        Behind::Udp(home) => config.udp_server(REALM, home.port(), home::SECRET),
        Behind::Radsec(home) => config.tls_server(REALM, home.port(), HOME),
    };
    let (server, version) = start_radsecproxy(dir, &config)?;
    Ok(Proxy { server, address: (Ipv4Addr::LOCALHOST, port).into(), secret: SECRET, version })
}

/// radsecproxy for all access points of the site, each a client of its own.
pub fn radsecproxy_for_access_points(
    dir: &Path,
    site: &Site,
    behind: SocketAddr,
) -> Result<(Server, SocketAddr), String> {
    let port = free_tcp_port()?;
    let names: Vec<&str> = site.access_points.iter().map(|(name, _)| &**name).collect();
    let config = radsecproxy::Config::new(LOG_LEVEL)
        .tls(&site.ca, &site.proxy.certificate, &site.proxy.key, "TLS1_2:")
        .tls_clients(port, &names)
        .udp_server(REALM, behind.port(), home::SECRET);
    Ok((start_radsecproxy(dir, &config)?.0, (Ipv4Addr::LOCALHOST, port).into()))
}

/// At this one it says that it is up, and nothing of requests that are answered.
const LOG_LEVEL: u8 = 2;

/// FreeRADIUS with nothing but the module that knows realms, and a home server that it does not probe.
pub fn freeradius(dir: &Path, behind: Behind, site: &Site) -> Result<Proxy, String> {
    let port = behind.port();
    let tls = radiusd::Tls { certificate: &site.proxy.certificate, key: &site.proxy.key, ca: &site.ca };
    let how = match behind {
        Behind::Udp(_) => format!("\ttype = auth\n\tsecret = {}\n", home::SECRET),
        // With the usual 1 KiB it reads packets of a burst only when more comes.
        Behind::Radsec(_) => {
            format!("\ttype = auth\n\tproto = tcp\n\tsecret = radsec\n{}", tls.section("", "fragment_size = 8192"))
        }
    };
    let config = radiusd::Config {
        secret: freeradius::SECRET.into(),
        proxy: format!(
            "proxy server {{\n\tdefault_fallback = no\n}}\n\
             home_server home {{\n\tipaddr = 127.0.0.1\n\tport = {port}\n{how}\tresponse_window = 20\n\tzombie_period = 40\n\
             \tstatus_check = none\n\tmax_outstanding = 65536\n}}\n\
             home_server_pool homes {{\n\ttype = fail-over\n\thome_server = home\n}}\n\
             realm {REALM} {{\n\tauth_pool = homes\n\tnostrip\n}}\n"
        ),
        modules: "realm suffix {\n\tformat = suffix\n\tdelimiter = \"@\"\n}\n".into(),
        policy: "\tauthorize {\n\t\tsuffix\n\t}\n".into(),
        ..radiusd::Config::default()
    };
    let FreeRadius { server, address, version } = FreeRadius::start(dir, config)?;
    Ok(Proxy { server, address, secret: freeradius::SECRET, version })
}

fn free_tcp_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|e| format!("a port on loopback: {e}"))
}

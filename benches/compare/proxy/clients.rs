//! Access points that come over TLS: what it costs to have many of them connected.

use super::certificates::{PROXY, Site};
use super::{ACCESS_POINTS, servers};
use crate::process::Server;
use crate::radius::{Secret, attribute};
use crate::table::Table;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// Connects as all access points, each of which asks whether the server is there, and keeps the connections open.
fn connect(server: SocketAddr, site: &Site) -> Result<Vec<Connection>, String> {
    let name = ServerName::try_from(PROXY).map_err(|e| format!("{PROXY}: {e}"))?;
    let secret = Secret::new(b"radsec");
    let connect = |(access_point, identity): &(String, _)| {
        let failed = |e: std::io::Error| format!("{access_point} at {server}: {e}");
        let stream = TcpStream::connect(server).map_err(failed)?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(Duration::from_secs(10))))
            .map_err(failed)?;
        let connection =
            ClientConnection::new(site.client(identity)?, name.clone()).map_err(|e| format!("TLS: {e}"))?;
        let mut stream = StreamOwned::new(connection, stream);
        // Status-Server (RFC 5997).
        let mut request = vec![12, 0, 0, 38];
        request.extend_from_slice(&[0x5a; 16]);
        attribute(&mut request, 80, &[0; 16]);
        let ma = secret.message_authenticator(&request);
        request[22..38].copy_from_slice(&ma);
        stream.write_all(&request).and_then(|()| stream.flush()).map_err(failed)?;
        let mut head = [0; 20];
        stream.read_exact(&mut head).map_err(failed)?;
        let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]])).saturating_sub(20)];
        stream.read_exact(&mut rest).map_err(failed)?;
        if head[..2] == [2, 0] {
            Ok(stream)
        } else {
            Err(format!("{access_point}: code {} for Status-Server", head[0]))
        }
    };
    site.access_points.iter().map(connect).collect()
}

/// Resident memory before and with the connections in MB, and how long it took to make them.
fn measure(server: &Server, address: SocketAddr, site: &Site) -> Result<(f64, f64, Duration), String> {
    let before = server.rss()? as f64 / 1e6;
    let start = Instant::now();
    let connections = connect(address, site)?;
    let took = start.elapsed();
    let with = server.rss()? as f64 / 1e6;
    drop(connections);
    Ok((before, with, took))
}

pub fn run(dir: &Path, site: &Site, behind: SocketAddr, table: &mut Table) -> Result<(), String> {
    eprintln!("{ACCESS_POINTS} access points connect over TLS ...");
    let (server, address) = servers::latchkey_for_access_points(&dir.join("latchkey-radsec"), site)?;
    let ours = measure(&server, address, site)?;
    server.stop()?;
    let (server, address) = servers::radsecproxy_for_access_points(&dir.join("radsecproxy-radsec"), site, behind)?;
    let others = measure(&server, address, site)?;
    drop(server);
    let mb = |size: f64| format!("{size:.1}");
    let what = format!("memory with {ACCESS_POINTS} RadSec clients, MB");
    table.compare(&what, mb(ours.1), String::new(), mb(others.1), None);
    table.compare("  before they came, MB", mb(ours.0), String::new(), mb(others.0), None);
    let each = |(before, with, _): (f64, f64, Duration)| {
        format!("{:.1}", (with - before) * 1e6 / 1024.0 / ACCESS_POINTS as f64)
    };
    table.compare("  each, KiB", each(ours), String::new(), each(others), None);
    let ms = |(_, _, took): (f64, f64, Duration)| format!("{:.2}", took.as_secs_f64() * 1e3 / ACCESS_POINTS as f64);
    table.compare("  time to connect one, handshakes of both sides, ms", ms(ours), String::new(), ms(others), None);
    Ok(())
}

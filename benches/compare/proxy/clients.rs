//! Access points that come over TLS: what it costs to have many of them connected.

use super::certificates::{PROXY, Site};
use super::{ACCESS_POINTS, servers};
use crate::process::Server;
use crate::radius::{Secret, attribute};
use crate::table::{Table, median};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// Tries of one access point, and the pause after each: latchkey takes no more than 32 handshakes a second.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Connects as all access points, each of which asks whether the server is there, and keeps the connections open. And how long
/// each took, in milliseconds.
fn connect(server: SocketAddr, site: &Site) -> Result<(Vec<Connection>, Vec<f64>), String> {
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
    let (mut connections, mut times) = (Vec::new(), Vec::new());
    for access_point in &site.access_points {
        for n in 1.. {
            let start = Instant::now();
            match connect(access_point) {
                Err(why) if n == TRIES => return Err(why),
                Err(_) => std::thread::sleep(PAUSE),
                Ok(connection) => {
                    times.push(start.elapsed().as_secs_f64() * 1e3);
                    connections.push(connection);
                    break;
                }
            }
        }
    }
    Ok((connections, times))
}

/// Resident memory before and with the connections in MB, and how long it took to make one of them in milliseconds.
fn measure(server: &Server, address: SocketAddr, site: &Site) -> Result<[f64; 3], String> {
    let before = server.rss()? as f64 / 1e6;
    let (connections, times) = connect(address, site)?;
    let with = server.rss()? as f64 / 1e6;
    drop(connections);
    Ok([before, with, median(times)])
}

pub fn run(dir: &Path, site: &Site, behind: SocketAddr, table: &mut Table) -> Result<(), String> {
    eprintln!("{ACCESS_POINTS} access points connect over TLS ...");
    let (server, address) = servers::latchkey_for_access_points(&dir.join("latchkey-radsec"), site)?;
    let ours = measure(&server, address, site)?;
    server.stop()?;
    let (server, address) = servers::radsecproxy_for_access_points(&dir.join("radsecproxy-radsec"), site, behind)?;
    let others = measure(&server, address, site)?;
    drop(server);
    let mut row = |what: &str, digits: usize, of: &dyn Fn([f64; 3]) -> f64| {
        let [ours, others] = [ours, others].map(|figures| format!("{:.digits$}", of(figures)));
        table.compare(what, ours, String::new(), others, None);
    };
    row(&format!("memory with {ACCESS_POINTS} RadSec clients, MB"), 1, &|[_, with, _]| with);
    row("  before they came, MB", 1, &|[before, ..]| before);
    row("  each, KiB", 1, &|[before, with, _]| (with - before) * 1e6 / 1024.0 / ACCESS_POINTS as f64);
    row("  until one is connected and has an answer, ms", 2, &|[.., took]| took);
    Ok(())
}

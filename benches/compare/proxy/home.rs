//! The home server behind the proxies: threads of this process, so that its CPU time is nobody else's.

use super::certificates::Site;
use super::script;
use crate::radius::Secret;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

/// The secret over UDP.
pub const SECRET: &str = "home-server-on-loopback";

/// Takes requests over UDP for ever.
pub fn udp() -> Result<SocketAddr, String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("a port on loopback: {e}"))?;
    let address = socket.local_addr().map_err(|e| e.to_string())?;
    std::thread::spawn(move || {
        let secret = Secret::new(SECRET.as_bytes());
        let mut packet = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            match script::answer(&secret, &packet[..length]) {
                Ok(reply) => drop(socket.send_to(&reply, from)),
                Err(why) => eprintln!("the home server was sent {why}"),
            }
        }
    });
    Ok(address)
}

/// Takes connections for ever, with TLS of the version that the proxy likes best.
pub fn radsec(site: &Site) -> Result<SocketAddr, String> {
    let settings = site.server()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("a port on loopback: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let settings = settings.clone();
            std::thread::spawn(move || serve(stream, settings));
        }
    });
    Ok(address)
}

/// One connection. Whoever probes the port says nothing on it.
fn serve(stream: TcpStream, settings: Arc<rustls::ServerConfig>) {
    let Ok(connection) = rustls::ServerConnection::new(settings) else { return };
    let _ = stream.set_nodelay(true);
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let secret = Secret::new(b"radsec");
    let (mut buffer, mut filled) = (vec![0; 65536], 0);
    while let Ok(length @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += length;
        let mut at = 0;
        while let Some(packet) = whole(&buffer[at..filled]) {
            at += packet.len();
            match script::answer(&secret, packet) {
                // Each in a record of its own, as most servers do.
                Ok(reply) if stream.write_all(&reply).is_err() => return,
                Ok(_) => {}
                Err(why) => eprintln!("the home server was sent {why}"),
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if stream.flush().is_err() {
            return;
        }
    }
}

/// The first packet of a stream, if it is there to its end.
pub fn whole(stream: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*stream.get(2)?, *stream.get(3)?]);
    stream.get(..usize::from(length))
}

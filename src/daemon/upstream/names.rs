//! Addresses of names by our own questions to name servers, for where the C library does not know them: in the jail of OpenWrt.

use crate::daemon::dns;
use crate::discovery::message::{Data, Kind, Name, Question, parse_reply, write_query};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long a server is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Octets of an answer without EDNS.
const DATAGRAM: usize = 512;
/// What is to be asked of nobody.
const HOSTS: &str = "/etc/hosts";

/// The addresses of a name, IPv4 first, when the C library would not ask the right servers: see [`dns::beyond`]. `None` when it
/// would, when they do not know the name, or when the answer does not fit into a datagram: then the C library is to be asked.
/// Waits up to two seconds a server.
pub fn addresses(name: &str) -> Option<Vec<IpAddr>> {
    let servers = dns::beyond()?;
    let hosts = std::fs::read_to_string(HOSTS).unwrap_or_default();
    if hosts.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name)) {
        return None;
    }
    ask_all(&Name::new(name.trim_end_matches('.'))?, &servers)
}

fn ask_all(name: &Name, servers: &[SocketAddr]) -> Option<Vec<IpAddr>> {
    servers.iter().find_map(|server| {
        let both = [Kind::A, Kind::Aaaa].map(|kind| ask(*server, &Question { name: name.clone(), kind }));
        let found: Vec<IpAddr> = both.into_iter().flatten().flatten().collect();
        (!found.is_empty()).then_some(found)
    })
}

fn ask(server: SocketAddr, question: &Question) -> io::Result<Vec<IpAddr>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of its own for each question: the kernel draws it.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let id = u16::from_be_bytes(id);
    let mut query = Vec::new();
    write_query(id, question, &mut query);
    socket.send(&query)?;
    let until = Instant::now() + PATIENCE;
    let mut datagram = [0; DATAGRAM];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut datagram)?;
        // Anything else than the answer may be somebody's guess.
        let Ok(reply) = parse_reply(datagram.get(..length).unwrap_or_default(), id, question) else { continue };
        let found = reply.resolve(question).map(|found| found.records).unwrap_or_default();
        return Ok(found.into_iter().filter_map(address).collect());
    }
}

fn address(data: &Data) -> Option<IpAddr> {
    match data {
        Data::A(address) => Some((*address).into()),
        Data::Aaaa(address) => Some((*address).into()),
        Data::Cname(_) | Data::Srv { .. } | Data::Naptr { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name server that knows `aaa.example` by its IPv4 address, and sends something else first.
    fn server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            for _ in 0..2 {
                let (length, from) = socket.recv_from(&mut query).unwrap();
                let mut answer = query[..length].to_vec();
                answer[2] = 0x81;
                socket.send_to(b"guess", from).unwrap();
                let mut forged = answer.clone();
                forged[0] ^= 1;
                socket.send_to(&forged, from).unwrap();
                // QTYPE A: one record, about the name at octet 12.
                if answer[length - 3] == 1 {
                    answer[7] = 1;
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
                }
                socket.send_to(&answer, from).unwrap();
            }
        });
        at
    }

    #[test]
    fn the_first_server_that_knows_is_believed() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let name = Name::new("aaa.example").unwrap();
        let started = Instant::now();
        assert_eq!(ask_all(&name, &[closed, server()]), Some(vec![IpAddr::from([192, 0, 2, 7])]));
        assert!(started.elapsed() < PATIENCE, "nobody listens there: the next one at once");
        assert_eq!(ask_all(&name, &[closed]), None);
    }
}

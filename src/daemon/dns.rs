//! Asking name servers: those of /etc/resolv.conf, as they are when a question goes out; where that one names only this box, also
//! those that OpenWrt's netifd was told of. Each question has sockets of its own, on
//! ports that the kernel draws; what does not fit into a datagram is asked for over TCP.

use super::{Daemon, now};
use crate::discovery::{Ask, Own, Taken};
use std::fs::Metadata;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where netifd of OpenWrt writes the name servers that DHCP, PPP and the administrator gave it. On a router,
/// /etc/resolv.conf leads to dnsmasq on this box, which asks them. On a plain access point there is no dnsmasq, and
/// /etc/resolv.conf is a link to this file; but not in the jail: procd mounts what the link led to when the daemon started, which
/// is before netifd had written it, and netifd replaces it by another file. The folder of this one is mounted, too, so
/// what is read here is always of now.
const NETIFD: &str = "resolv.conf.auto";
/// The folder.
const NETIFD_FOLDER: &str = "/tmp/resolv.conf.d";
/// How much of it is read, octets.
const FILE: usize = 64 * 1024;
/// How many name servers are asked (resolv.conf(5): MAXNS).
const SERVERS: usize = 3;
/// How often one is asked: each time the next.
const TURNS: usize = 3;
/// How long one is waited for before the next is asked, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// Octets of a datagram: without EDNS, 512 is the most.
const DATAGRAM: usize = 4096;
const PORT: u16 = 53;

/// Asks what is to be asked, for ever.
pub async fn run(daemon: Rc<Daemon>) {
    let work = Rc::new(Notify::new());
    let waker = work.clone();
    daemon.core.borrow_mut().discovery.wake.by(move || waker.notify_one());
    // What was wanted before somebody listened.
    work.notify_one();
    loop {
        let next = daemon.core.borrow().discovery.next_timeout();
        match next {
            Some(next) => {
                tokio::select! {
                    () = work.notified() => {}
                    () = sleep_until(next.into()) => {}
                }
            }
            None => work.notified().await,
        }
        let asks: Vec<Ask> = {
            let core = &mut *daemon.core.borrow_mut();
            core.discovery_timeout(now());
            std::iter::from_fn(|| core.discovery_poll(now())).collect()
        };
        if !asks.is_empty() {
            let listen = daemon.core.borrow().config.radsec.listen.clone();
            let own = Own { addresses: own_addresses(), listen };
            daemon.core.borrow_mut().discovery.set_own(own);
            let servers = name_servers(&read(Path::new(RESOLV_CONF)), || netifd(Path::new(NETIFD_FOLDER)));
            for ask in asks {
                crate::daemon::task::spawn(answer(daemon.clone(), ask, servers.clone()));
            }
        }
        daemon.upstream.pump(&daemon);
    }
}

/// The addresses of this box.
pub fn own_addresses() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    all.filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    })
    .collect()
}

/// What netifd wrote into a folder of root. On another system anybody may make one in /tmp: that is not followed.
fn netifd(folder: &Path) -> String {
    let is_roots = |folder: Metadata| folder.is_dir() && folder.uid() == 0 && folder.mode() & 0o022 == 0;
    if std::fs::symlink_metadata(folder).is_ok_and(is_roots) { read(&folder.join(NETIFD)) } else { String::new() }
}

fn read(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(mut octets) => {
            octets.truncate(FILE);
            String::from_utf8_lossy(&octets).into_owned()
        }
        Err(why) => {
            crate::log::debug!("{}: {why}: it names no name server", path.display());
            String::new()
        }
    }
}

/// The name servers to ask when they are others than the C library's resolver would ask: it reads /etc/resolv.conf only.
pub fn beyond() -> Option<Vec<SocketAddr>> {
    let text = read(Path::new(RESOLV_CONF));
    let all = || name_servers(&text, || netifd(Path::new(NETIFD_FOLDER)));
    is_this_box(&named(&text)).then(all).filter(|servers| !is_this_box(servers))
}

fn is_this_box(servers: &[SocketAddr]) -> bool {
    servers.iter().all(|server| server.ip().is_loopback())
}

/// The name servers that a resolv.conf(5) names. When that is this box at most, it comes first, and then those that `netifd`
/// names: a port on which nobody listens says so at once.
fn name_servers(text: &str, netifd: impl FnOnce() -> String) -> Vec<SocketAddr> {
    let mut servers = named(text);
    if is_this_box(&servers) {
        let others = named(&netifd());
        if !others.is_empty() {
            servers.truncate(1);
        }
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        servers.extend(others);
        servers.truncate(SERVERS);
    }
    servers
}

fn named(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    lines.filter_map(server).take(SERVERS).collect()
}

fn server(text: &str) -> Option<SocketAddr> {
    let Some((address, interface)) = text.split_once('%') else {
        return text.parse().ok().map(|address: IpAddr| SocketAddr::new(address, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = interface.parse().ok().or_else(|| nix::net::if_::if_nametoindex(interface).ok())?;
    Some(SocketAddrV6::new(address, PORT, 0, scope).into())
}

/// Asks name servers one after the other, and takes the first answer of any of them.
async fn answer(daemon: Rc<Daemon>, ask: Ask, servers: Vec<SocketAddr>) {
    let until = Instant::from_std(ask.until);
    let mut sockets: [Option<UdpSocket>; SERVERS] = Default::default();
    let mut datagram = vec![0; DATAGRAM];
    for turn in 0..TURNS {
        let at = turn % servers.len().max(1);
        let Some((server, socket)) = servers.get(at).zip(sockets.get_mut(at)) else { break };
        if let Err(why) = send(socket, *server, &ask.octets).await {
            // Not there: the next one.
            crate::log::debug!("the name server {server} was not asked: {why}");
            *socket = None;
            continue;
        }
        let turn_ends = if turn + 1 == TURNS { until } else { until.min(Instant::now() + PATIENCE) };
        while let Some((at, received)) = receive(&sockets, &mut datagram, turn_ends).await {
            let Ok(length) = received else {
                if let Some(socket) = sockets.get_mut(at) {
                    *socket = None;
                }
                break;
            };
            let octets = datagram.get(..length).unwrap_or_default();
            let taken = daemon.core.borrow_mut().discovery_answered(ask.serial, octets, false, now());
            match taken {
                Taken::Answer => return,
                Taken::No => {}
                Taken::Truncated => {
                    let Some(server) = servers.get(at) else { break };
                    let whole = timeout_at(until, over_tcp(*server, &ask.octets)).await;
                    let taken = whole
                        .ok()
                        .and_then(Result::ok)
                        .map(|octets| daemon.core.borrow_mut().discovery_answered(ask.serial, &octets, true, now()));
                    if taken == Some(Taken::Answer) {
                        return;
                    }
                    break;
                }
            }
        }
    }
    daemon.core.borrow_mut().discovery_silent(ask.serial, now());
}

/// Asks, over a socket that takes datagrams of this server only.
async fn send(socket: &mut Option<UdpSocket>, server: SocketAddr, query: &[u8]) -> io::Result<()> {
    let socket = match socket {
        Some(socket) => socket,
        None => {
            let any: SocketAddr = match server {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let opened = UdpSocket::bind(any).await?;
            opened.connect(server).await?;
            socket.insert(opened)
        }
    };
    socket.send(query).await.map(|_| ())
}

/// The next datagram: on which socket, and how long it is, or that its server is not there. `None` when time is up.
async fn receive(
    sockets: &[Option<UdpSocket>; SERVERS],
    datagram: &mut [u8],
    until: Instant,
) -> Option<(usize, io::Result<usize>)> {
    let [first, second, third] = sockets;
    loop {
        let at = tokio::select! {
            () = sleep_until(until) => return None,
            () = came(first.as_ref()) => 0,
            () = came(second.as_ref()) => 1,
            () = came(third.as_ref()) => 2,
        };
        let socket = sockets.get(at)?.as_ref()?;
        match socket.try_recv(datagram) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
            received => return Some((at, received)),
        }
        // An ICMP error makes a socket not readable, but faulty.
        if let Ok(Some(why)) = socket.take_error() {
            return Some((at, Err(why)));
        }
        let _ = socket.try_io(Interest::ERROR, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
    }
}

async fn came(socket: Option<&UdpSocket>) {
    match socket {
        Some(socket) if socket.ready(Interest::READABLE | Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// The same question over TCP (RFC 7766): each message after its length.
async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_a_file() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (text, expected) in [
            ("", vec![at("127.0.0.1:53")]),
            ("search lan\nnameserver 127.0.0.1\nnameserver ::1\n", vec![at("127.0.0.1:53"), at("[::1]:53")]),
            (
                "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n nameserver\t192.0.2.3 # ours\n",
                vec![at("192.0.2.3:53")],
            ),
            ("nameserver\nnameserver x\nnameserverx 192.0.2.1\n", vec![at("127.0.0.1:53")]),
            ("nameserver fe80::1%1\nnameserver fe80::1%lo\n", vec![at("[fe80::1%1]:53"), at("[fe80::1%1]:53")]),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
                vec![at("192.0.2.1:53"), at("192.0.2.2:53"), at("192.0.2.3:53")],
            ),
        ] {
            assert_eq!(name_servers(text, String::new), expected, "{text}");
        }
    }

    #[test]
    fn where_this_box_may_have_no_name_server_those_of_netifd_come_next() {
        let netifd = "# Interface lan\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch lan\n";
        for (text, expected) in [
            ("", &["127.0.0.1:53", "192.0.2.1:53", "[2001:db8::1]:53"][..]),
            (
                "search lan\nnameserver 127.0.0.1\nnameserver ::1\n",
                &["127.0.0.1:53", "192.0.2.1:53", "[2001:db8::1]:53"],
            ),
            ("nameserver ::1\n", &["[::1]:53", "192.0.2.1:53", "[2001:db8::1]:53"]),
            ("nameserver 198.51.100.1\n", &["198.51.100.1:53"]),
            ("nameserver 127.0.0.1\nnameserver 198.51.100.1\n", &["127.0.0.1:53", "198.51.100.1:53"]),
        ] {
            let servers = name_servers(text, || netifd.into());
            assert_eq!(servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn only_roots_folder_is_followed() {
        use std::os::unix::fs::{PermissionsExt, chown};
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NETIFD), "nameserver 192.0.2.1\n").unwrap();
        let mode = |mode| std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(netifd(dir.path()), "nameserver 192.0.2.1\n");
        mode(0o777);
        assert_eq!(netifd(dir.path()), "");
        mode(0o755);
        chown(dir.path(), Some(54_321), None).unwrap();
        assert_eq!(netifd(dir.path()), "");
        assert_eq!(netifd(&dir.path().join("none")), "");
    }

    #[test]
    fn own_addresses_are_those_of_the_interfaces() {
        assert!(own_addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}

//! Opening links, and taking what comes over them.

use super::super::batch::{BATCH, Incoming};
use super::super::radsec::pipe::Pipe;
use super::super::{Daemon, now};
use super::{Link, Party, Way, connect};
use crate::config::{Host, Server, Transport};
use crate::proxy::{Health, LinkId, ServerId};
use crate::radsec::settings::{Connecting, Judged};
use crate::radsec::words;
use crate::service::dynauth;
use crate::service::radius::{self, Next, Returned};
use crate::wire::radius::{Code, Packet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UdpSocket;

/// Datagrams taken from one socket before the other tasks have their turn.
const TURN: usize = 64;

/// Opens a way to a server: at once where that needs no waiting.
pub fn open(daemon: &Rc<Daemon>, id: ServerId) {
    let Some((realm, server)) = find(daemon, id) else { return };
    let known = match &server.host {
        Host::Address(address) => Some(vec![*address]),
        Host::Name(name) => daemon.upstream.names.known(name),
    };
    match (server.transport, known) {
        (Transport::Udp, Some(addresses)) => open_udp(daemon, id, &server, addresses),
        (transport, _) => {
            let daemon = daemon.clone();
            crate::daemon::task::spawn(async move {
                match transport {
                    Transport::Udp => match connect::addresses(&daemon, &server).await {
                        Ok(found) => {
                            let addresses = found.into_iter().map(|address| address.ip()).collect();
                            open_udp(&daemon, id, &server, addresses);
                        }
                        Err(why) => unreachable(&daemon, id, why),
                    },
                    Transport::Radsec => match open_tls(&daemon, id, &realm, &server).await {
                        Ok((pipe, party, by)) => opened_tls(&daemon, id, pipe, party, &by),
                        Err(why) => unreachable(&daemon, id, why),
                    },
                }
                daemon.upstream.pump(&daemon);
            });
        }
    }
}

fn find(daemon: &Daemon, id: ServerId) -> Option<(Arc<str>, Server)> {
    let core = daemon.core.borrow();
    core.proxy.engine.server(id).map(|(realm, server)| (realm.clone(), server.clone()))
}

fn unreachable(daemon: &Daemon, id: ServerId, why: Arc<str>) {
    if let Some((realm, server)) = find(daemon, id) {
        crate::log::debug!("{realm}'s server {server} cannot be reached: {why}");
    }
    daemon.core.borrow_mut().proxy.engine.unreachable(id, why, Instant::now());
}

/// Opens a UDP socket of its own, with a port that nobody can foretell, which takes nothing from anybody else.
fn open_udp(daemon: &Rc<Daemon>, id: ServerId, server: &Server, mut addresses: Vec<IpAddr>) {
    let turn = daemon.upstream.turns.borrow().get(&id).copied().unwrap_or_default();
    let count = addresses.len().max(1);
    addresses.rotate_left(turn % count);
    let mut last: Arc<str> = "it has no address".into();
    for address in addresses {
        let to = SocketAddr::new(address, server.port);
        match connected(to) {
            Ok(socket) => {
                let socket = Rc::new(socket);
                let link = daemon.core.borrow_mut().proxy.engine.opened(id, Instant::now());
                let task = crate::daemon::task::spawn(receive_udp(daemon.clone(), link, socket.clone()));
                let way = Way::Udp { socket, to, pending: Vec::new() };
                daemon.upstream.links.borrow_mut().insert(link, Link { server: id, way, task });
                return;
            }
            Err(why) => last = words::socket(&why),
        }
    }
    unreachable(daemon, id, last);
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Takes answers until the link is closed.
async fn receive_udp(daemon: Rc<Daemon>, link: LinkId, socket: Rc<UdpSocket>) {
    loop {
        if socket.readable().await.is_err() {
            return closed(&daemon, link, "its socket failed".into());
        }
        for _ in 0..TURN / BATCH {
            let mut incoming = daemon.upstream.incoming.borrow_mut();
            let incoming = incoming.get_or_insert_with(Incoming::new);
            match incoming.receive(&socket) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return closed(&daemon, link, words::socket(&why)),
            }
            for (_, packet) in incoming.iter() {
                if let Err(why) = take(&daemon, link, packet) {
                    return closed(&daemon, link, why);
                }
            }
            daemon.flush_answers();
            daemon.upstream.pump(&daemon);
        }
        tokio::task::yield_now().await;
    }
}

/// A link is not open any more: the engine is told, unless it has closed it itself.
fn closed(daemon: &Rc<Daemon>, id: LinkId, why: Arc<str>) {
    if daemon.upstream.links.borrow_mut().remove(&id).is_some() {
        crate::log::debug!("a connection to a server is closed: {why}");
        daemon.core.borrow_mut().proxy.engine.closed(id, why, Instant::now());
    }
    daemon.flush_answers();
    daemon.upstream.pump(daemon);
}

/// Takes a packet that came over a link.
fn take(daemon: &Rc<Daemon>, link: LinkId, packet: &[u8]) -> Result<(), Arc<str>> {
    let mut out = daemon.answer.take();
    let returned = radius::receive_answer(&mut daemon.core.borrow_mut(), link, packet, now(), &mut out);
    let result = match returned {
        Returned::Nothing | Returned::Answer(_, Next::Nothing) => Ok(()),
        Returned::Answer(to, Next::Send) => {
            daemon.answer(to, &mut out);
            Ok(())
        }
        Returned::Answer(_, next) => {
            daemon.exchanges.go_on(daemon, next);
            Ok(())
        }
        Returned::Request(server) => {
            reverse_request(daemon, link, server, packet, &mut out);
            Ok(())
        }
        Returned::Broken(why) => Err(why.into()),
    };
    daemon.answer.set(out);
    result
}

/// A request of a server on our own connection (RFC 5176 in reverse direction); it is verified.
fn reverse_request(daemon: &Rc<Daemon>, link: LinkId, server: ServerId, packet: &[u8], out: &mut Vec<u8>) {
    let answered = {
        let core = &mut *daemon.core.borrow_mut();
        let realm = core.proxy.engine.server(server).map(|(realm, _)| realm.clone());
        let secret = core.proxy.engine.secret(server).cloned();
        let Some((realm, secret)) = realm.zip(secret) else { return };
        match Packet::parse(packet) {
            Ok(packet) if !matches!(packet.code(), Code::DISCONNECT_REQUEST | Code::COA_REQUEST) => {
                super::super::radsec::protocol_error(&secret, &packet, out);
                true
            }
            _ => {
                let nai_realm = core.proxy.engine.nai_realm(server).map(Arc::from);
                let who = dynauth::Upstream { realm, nai_realm, reply: dynauth::Reply::Link(link) };
                dynauth::receive(core, &who, &secret, packet, now(), out)
            }
        }
    };
    // What takes longer is answered when it is done (daemon/dynauth.rs).
    if answered {
        daemon.upstream.send(link, out);
    }
}

async fn open_tls(
    daemon: &Daemon,
    id: ServerId,
    realm: &Arc<str>,
    server: &Server,
) -> Result<(Rc<Pipe>, Party, Connecting), Arc<str>> {
    let addresses = addresses(daemon, Some(id), realm, server).await?;
    let (settings, party) = settings(daemon, Some(id), realm, server)?;
    let pipe = connect::connect(daemon, &settings, server, &addresses).await?;
    Ok((pipe, party, settings))
}

/// The addresses of a server: of one that DNS told, those that it told with it, which were looked at; nobody is asked again.
///
/// # Errors
/// Why there are none, in words.
pub async fn addresses(
    daemon: &Daemon,
    id: Option<ServerId>,
    realm: &Arc<str>,
    server: &Server,
) -> Result<Vec<SocketAddr>, Arc<str>> {
    let told = {
        let core = daemon.core.borrow();
        id.and_then(|id| core.proxy.engine.nai_realm(id)).map(|nai_realm| {
            let told = core.discovery.addresses(realm, nai_realm, server);
            told.iter().map(|address| SocketAddr::new(*address, server.port)).collect::<Vec<_>>()
        })
    };
    match told {
        Some(told) if told.is_empty() => Err("what DNS told of it is not good any more".into()),
        Some(told) => Ok(told),
        None => connect::addresses(daemon, server).await,
    }
}

/// The TLS settings for a server.
pub fn settings(
    daemon: &Daemon,
    id: Option<ServerId>,
    realm: &Arc<str>,
    server: &Server,
) -> Result<(Connecting, Party), Arc<str>> {
    let core = daemon.core.borrow();
    let section = core.config.realms.iter().find(|section| section.name == *realm);
    let section = section.ok_or_else(|| -> Arc<str> { format!("there is no config realm '{realm}'").into() })?;
    let nai_realm = id.and_then(|id| core.proxy.engine.nai_realm(id));
    let party = (realm.clone(), connect::expected(section, server, nai_realm));
    let settings = daemon.upstream.settings(&core, &party, &daemon.radsec.clock)?;
    Ok((settings, party))
}

/// A connection is there. Its certificate is judged once more, in case the files or the configuration changed during the handshake.
fn opened_tls(daemon: &Rc<Daemon>, id: ServerId, pipe: Rc<Pipe>, party: Party, by: &Connecting) {
    let clock = &daemon.radsec.clock;
    let current = daemon.upstream.settings(&daemon.core.borrow(), &party, clock);
    let judged = current.and_then(|current| match Arc::ptr_eq(&current.judge, &by.judge) {
        true => Ok(Judged::new(&by.judge, &pipe.peer_chain(), clock.get())),
        false => super::judge(&current, &pipe, clock),
    });
    let judged = match judged {
        Ok(judged) => judged,
        Err(why) => {
            pipe.close(&why);
            return unreachable(daemon, id, why);
        }
    };
    if let Some((realm, server)) = find(daemon, id) {
        crate::log::info!("connected to {realm}'s server {server}: {}", pipe.negotiated());
    }
    let link = daemon.core.borrow_mut().proxy.engine.opened(id, Instant::now());
    let task = crate::daemon::task::spawn(receive_tls(daemon.clone(), link, pipe.clone()));
    daemon.upstream.links.borrow_mut().insert(link, Link { server: id, way: Way::Tls { pipe, party, judged }, task });
}

/// Takes what comes until the connection is over. How long it may be idle is the engine's business.
async fn receive_tls(daemon: Rc<Daemon>, link: LinkId, pipe: Rc<Pipe>) {
    let mut take = |packet: &[u8]| take(&daemon, link, packet);
    let turn = || {
        daemon.flush_answers();
        daemon.upstream.pump(&daemon);
    };
    let why = pipe.run(&daemon, None, &mut take, &turn).await;
    closed(&daemon, link, why);
}

/// Closes UDP links whose server's name has other addresses now, or another one that may be better: that of a server that is down.
pub async fn follow_names(daemon: &Rc<Daemon>) {
    let mut named: Vec<(LinkId, ServerId, SocketAddr, Arc<str>)> = Vec::new();
    {
        let core = daemon.core.borrow();
        for (id, link) in daemon.upstream.links.borrow().iter() {
            if let Way::Udp { to, .. } = &link.way
                && let Some((_, Server { host: Host::Name(name), .. })) = core.proxy.engine.server(link.server)
            {
                named.push((*id, link.server, *to, name.clone()));
            }
        }
    }
    for (link, server, to, name) in named {
        let until = tokio::time::Instant::now() + connect::STEP;
        let Ok(addresses) = daemon.upstream.names.resolve(&name, until).await else { continue };
        let is_down = || {
            let status = daemon.core.borrow().proxy.engine.status();
            status.iter().any(|(_, id, status)| *id == server && status.health == Health::Down)
        };
        if !addresses.contains(&to.ip().to_canonical()) {
            closed(daemon, link, format!("{name} has other addresses now").into());
        } else if addresses.len() > 1 && is_down() {
            *daemon.upstream.turns.borrow_mut().or_default(server) += 1;
            closed(daemon, link, format!("another address of {name} is tried").into());
        }
    }
}

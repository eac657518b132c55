//! The RadSec server (RFC 6614, draft-ietf-radext-radiusdtls-bis): clients with certificates, and the connections that are open.
//!
//! Who connects is a stranger until TLS has proved who it is, and only addresses from which a client may come get so far. There are
//! limits to handshakes, connections, time and what waits for a client that does not read.

mod connection;
mod files;
pub mod pipe;

pub use connection::protocol_error;
pub use files::{Kept, follow_realm};

use super::{Daemon, now};
use crate::config::{Client, Config};
use crate::radsec::settings::{Accepting, Clock};
use crate::service::Core;
use pipe::Pipe;
use rustls::ServerConnection;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Connections of all clients.
const CONNECTIONS: usize = 256;
/// Connections of one client: the oldest makes room, since whoever comes again has lost it.
const OF_ONE: usize = 8;
/// Handshakes at the same time: each takes some 16 KiB.
const HANDSHAKES: usize = 64;
/// Of them from one address.
const HANDSHAKES_OF_ONE: usize = 16;
/// Handshakes that may begin in a second, and in one go: a stranger must not have the time that devices at the door need.
const RATE: (u32, u32) = (32, 64);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// A client that sends nothing for so long is disconnected.
const IDLE: Duration = Duration::from_secs(900);

/// An open connection of a client.
struct Open {
    client: Arc<str>,
    address: SocketAddr,
    pipe: Rc<Pipe>,
}

/// The server.
#[derive(Default)]
pub struct Radsec {
    /// By which certificates are judged, also towards servers.
    pub clock: Arc<Clock>,
    listeners: RefCell<Vec<(SocketAddr, JoinHandle<()>)>>,
    accepting: RefCell<Kept<Accepting>>,
    /// In the order in which they were made.
    open: RefCell<BTreeMap<u32, Open>>,
    next: Cell<u32>,
    /// Connections with something to be sent.
    dirty: RefCell<Vec<Rc<Pipe>>>,
    /// From where there are handshakes under way.
    shaking: RefCell<Vec<IpAddr>>,
    /// Handshakes that may begin now, and since when.
    allowed: Cell<Option<(u32, Instant)>>,
    /// Those that came to nothing, since the start.
    failed: Cell<u64>,
}

impl Radsec {
    /// Opens the sockets that the configuration has and that are not open yet. Nobody is served by that.
    ///
    /// # Errors
    /// Which one cannot be opened, and why.
    pub fn bind(&self, config: &Config) -> Result<Vec<(SocketAddr, TcpListener)>, String> {
        let listeners = self.listeners.borrow();
        let mut opened = Vec::new();
        for address in &config.radsec.listen {
            if listeners.iter().any(|(open, _)| open == address) {
                continue;
            }
            let bad = |why: std::io::Error| format!("config radsec: option listen: cannot listen on {address}: {why}");
            let socket = std::net::TcpListener::bind(address).map_err(bad)?;
            socket.set_nonblocking(true).map_err(bad)?;
            opened.push((*address, TcpListener::from_std(socket).map_err(bad)?));
        }
        Ok(opened)
    }

    /// Serves these sockets, and closes those that the configuration does not have.
    pub fn put(&self, daemon: &Rc<Daemon>, config: &Config, opened: Vec<(SocketAddr, TcpListener)>) {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|(address, task)| {
            let keep = config.radsec.listen.contains(address);
            if !keep {
                task.abort();
            }
            keep
        });
        for (address, socket) in opened {
            listeners.push((address, tokio::task::spawn_local(accept(daemon.clone(), socket))));
        }
    }

    /// Follows the files and the configuration. Connections whose clients do not count any more are closed, the others stay.
    pub fn follow(&self, core: &Core) {
        if core.config.radsec.listen.is_empty() && self.open.borrow().is_empty() {
            return;
        }
        self.clock.set(core.time.effective(now()).wall);
        if files::follow_clients(&mut self.accepting.borrow_mut(), core, &self.clock) {
            tracing::info!("the certificates of RadSec clients are judged anew");
        }
        let Ok(accepting) = self.accepting.borrow().get() else { return };
        for open in self.open.borrow().values() {
            match identify(core, &accepting, &open.pipe, open.address.ip()) {
                Ok(client) if *client.name == *open.client => {}
                Ok(_) => open.pipe.close("it is another client now"),
                Err(why) => open.pipe.close(&why),
            }
        }
    }

    /// Puts a packet to what is sent to a client next. False when the connection is closed.
    pub fn send(&self, connection: u32, packet: &[u8]) -> bool {
        let open = self.open.borrow();
        let Some(Open { pipe, .. }) = open.get(&connection) else { return false };
        let mut dirty = self.dirty.borrow_mut();
        if !dirty.iter().any(|known| Rc::ptr_eq(known, pipe)) {
            dirty.push(pipe.clone());
        }
        pipe.send(packet)
    }

    /// Sends what waits.
    pub fn flush(&self) {
        for pipe in self.dirty.borrow_mut().drain(..) {
            pipe.flush();
        }
    }

    /// Whether one more handshake may begin now.
    fn allow(&self, now: Instant) -> bool {
        let (rate, most) = RATE;
        let (left, since) = self.allowed.get().unwrap_or((most, now));
        let fresh = u32::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u32::MAX);
        let fresh = fresh.saturating_mul(rate) / 1000;
        // What is less than one goes on counting.
        let since = if fresh > 0 { now } else { since };
        let left = left.saturating_add(fresh).min(most);
        self.allowed.set(Some((left.saturating_sub(1), since)));
        left > 0
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.open.borrow().len()
    }
}

impl Daemon {
    /// Sends a request of ours (RFC 5176) to a client over its newest connection. False when it has none.
    pub fn send_to_client(&self, client: &str, packet: &[u8]) -> bool {
        let connection = self.core.borrow().radius.connections.of(client);
        let sent = connection.is_some_and(|connection| self.radsec.send(connection, packet));
        self.radsec.flush();
        sent
    }
}

/// Which client is at the other end: by its certificate, and from where it may come.
fn identify<'a>(core: &'a Core, accepting: &Accepting, pipe: &Pipe, from: IpAddr) -> Result<&'a Client, Arc<str>> {
    let wall = core.time.effective(now()).wall;
    let names = accepting.judge.asked.check(&pipe.peer_chain(), wall).map_err(|why| why.words)?;
    let named = |client: &&Client| client.radsec.as_ref().is_some_and(|name| names.contains(name));
    let here = core.config.clients.iter().filter(|client| client.address.contains(from)).filter(named);
    here.max_by_key(|client| client.address.length()).ok_or_else(|| {
        let name = names.first().map(|name| &**name).unwrap_or_default();
        format!("it is {name}, which option address of its config client does not let come from {from}").into()
    })
}

/// Takes connections for ever.
async fn accept(daemon: Rc<Daemon>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((tcp, from)) => begin(&daemon, tcp, from),
            Err(why) => {
                // Out of descriptors, most likely: some will be free in a moment.
                tracing::warn!("a RadSec client was not accepted: {why}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Begins with a connection, if there is room for it and a client may come from there.
fn begin(daemon: &Rc<Daemon>, tcp: TcpStream, from: SocketAddr) {
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    let radsec = &daemon.radsec;
    {
        let core = daemon.core.borrow();
        let may = |client: &Client| client.radsec.is_some() && client.address.contains(from.ip());
        if !core.config.clients.iter().any(may) {
            drop(core);
            return failed(daemon, from, "no config client with option radsec may come from there");
        }
    }
    let (all, here) = {
        let shaking = radsec.shaking.borrow();
        (shaking.len(), shaking.iter().filter(|other| **other == from.ip()).count())
    };
    if all >= HANDSHAKES || here >= HANDSHAKES_OF_ONE || radsec.connections() + all >= CONNECTIONS + HANDSHAKES {
        return failed(daemon, from, "too many handshakes are under way");
    }
    if !radsec.allow(Instant::now()) {
        return failed(daemon, from, "too many handshakes began in the last second");
    }
    let accepting = match radsec.accepting.borrow().get() {
        Ok(accepting) => accepting,
        Err(why) => return failed(daemon, from, &why),
    };
    let Ok(tls) = ServerConnection::new(accepting.config.clone()) else { return };
    radsec.shaking.borrow_mut().push(from.ip());
    let pipe = Pipe::new(tcp, tls);
    tokio::task::spawn_local(serve(daemon.clone(), accepting, pipe, from));
}

/// Says that somebody did not get in; when their count is a power of two.
fn failed(daemon: &Daemon, from: SocketAddr, why: &str) {
    let count = daemon.radsec.failed.get() + 1;
    daemon.radsec.failed.set(count);
    if count.is_power_of_two() {
        tracing::warn!("a RadSec connection from {from} came to nothing: {why} ({count} so far)");
    } else {
        tracing::debug!("a RadSec connection from {from} came to nothing: {why}");
    }
}

/// A connection from its handshake to its end.
async fn serve(daemon: Rc<Daemon>, accepting: Accepting, pipe: Rc<Pipe>, from: SocketAddr) {
    let opened = open(&daemon, &accepting, &pipe, from).await;
    {
        let mut shaking = daemon.radsec.shaking.borrow_mut();
        if let Some(at) = shaking.iter().position(|other| *other == from.ip()) {
            shaking.swap_remove(at);
        }
    }
    let (id, client) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            pipe.close(&why);
            return failed(&daemon, from, &why);
        }
    };
    drop(accepting);
    tracing::info!("client '{client}' is connected over RadSec from {from}");
    let why = connection::run(&daemon, id, &client, from, &pipe).await;
    daemon.radsec.open.borrow_mut().remove(&id);
    {
        let core = &mut *daemon.core.borrow_mut();
        core.radius.connections.disconnected(id);
        core.disconnect_closed(&client);
    }
    tracing::info!("the RadSec connection of client '{client}' from {from} is over: {why}");
}

/// Goes through the handshake, and puts the connection where answers find it.
async fn open(
    daemon: &Daemon,
    accepting: &Accepting,
    pipe: &Rc<Pipe>,
    from: SocketAddr,
) -> Result<(u32, Arc<str>), Arc<str>> {
    let radsec = &daemon.radsec;
    radsec.clock.set(daemon.core.borrow().time.effective(now()).wall);
    pipe.handshake(Instant::now() + HANDSHAKE, &|| accepting.judge.take_words()).await?;
    let core = &mut *daemon.core.borrow_mut();
    // Also when the session was resumed, or when the configuration has changed meanwhile.
    let client = identify(core, accepting, pipe, from.ip())?.name.clone();
    let mut open = radsec.open.borrow_mut();
    if open.values().filter(|other| other.client == client).count() >= OF_ONE
        && let Some(oldest) = open.values().find(|other| other.client == client)
    {
        oldest.pipe.close("there are newer ones");
    } else if open.len() >= CONNECTIONS {
        return Err(format!("there are {CONNECTIONS} connections already").into());
    }
    let id = radsec.next.get();
    radsec.next.set(id.wrapping_add(1));
    open.insert(id, Open { client: client.clone(), address: from, pipe: pipe.clone() });
    core.radius.connections.connected(id, client.clone());
    Ok((id, client))
}

#[cfg(test)]
mod tests;

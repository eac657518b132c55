//! The RadSec server (RFC 6614, draft-ietf-radext-radiusdtls-bis): clients with certificates, and the connections that are open.
//!
//! Who connects is a stranger until TLS has proved who it is, and only addresses from which a client may come get so far. There are
//! limits to handshakes, connections, time and what waits for a client that does not read.

mod connection;
mod door;
mod files;
pub mod pipe;

pub use connection::protocol_error;
pub use files::{Kept, follow_realm};

use super::{Daemon, now};
use crate::config::{Client, Config};
use crate::radsec::settings::{Accepting, Clock, Judged};
use crate::radsec::trust::OfClient;
use crate::service::Core;
use crate::sorted::SortedMap;
use door::Door;
use pipe::Pipe;
use rustls::ServerConnection;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

/// Connections of all clients.
const CONNECTIONS: usize = 256;
/// Connections of one client: the oldest makes room, since whoever comes again has lost it.
const OF_ONE: usize = 8;
/// Certificates that are judged anew in one go, when others count now: each takes some milliseconds of a slow processor.
const JUDGED: usize = 4;
/// After this time it goes on with the others.
pub const SOON: Duration = Duration::from_millis(100);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// A client that sends nothing for so long is disconnected.
const IDLE: Duration = Duration::from_secs(900);

/// An open connection of a client.
struct Open {
    client: Arc<str>,
    address: SocketAddr,
    /// Where it came in.
    listener: SocketAddr,
    pipe: Rc<Pipe>,
    /// The names of clients that its certificate has.
    names: Vec<Arc<str>>,
    judged: Judged<OfClient>,
}

/// The server.
#[derive(Default)]
pub struct Radsec {
    /// By which certificates are judged, also towards servers.
    pub clock: Arc<Clock>,
    listeners: RefCell<Vec<(SocketAddr, JoinHandle<()>)>>,
    accepting: RefCell<Kept<Accepting>>,
    /// In the order in which they were made.
    open: RefCell<SortedMap<u32, Open>>,
    next: Cell<u32>,
    /// Connections with something to be sent.
    dirty: RefCell<Vec<Rc<Pipe>>>,
    door: Door<(Rc<Pipe>, AbortHandle)>,
    /// There are certificates that are still to be judged anew.
    pub more: Notify,
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
        for open in self.open.borrow().values().filter(|open| !config.radsec.listen.contains(&open.listener)) {
            open.pipe.close("it came in where no clients are taken any more");
        }
        for (address, socket) in opened {
            listeners.push((address, crate::daemon::task::spawn(accept(daemon.clone(), socket, address))));
        }
    }

    /// Follows the files and the configuration. Connections whose clients do not count any more are closed, the others stay.
    pub fn follow(&self, core: &Core) {
        if core.config.radsec.listen.is_empty() && self.open.borrow().is_empty() {
            return;
        }
        self.clock.set(core.time.effective(now()).wall);
        if files::follow_clients(&mut self.accepting.borrow_mut(), core, &self.clock) {
            crate::log::info!("the certificates of RadSec clients are judged anew");
        }
        self.judge(core);
    }

    /// Closes connections of clients that the configuration does not have any more, and judges those certificates anew that have to be: a
    /// few of them. [`Radsec::more`] tells when there are others.
    pub fn judge(&self, core: &Core) {
        let Ok(accepting) = self.accepting.borrow().get() else { return };
        let wall = core.time.effective(now()).wall;
        let mut judged = 0;
        for open in self.open.borrow_mut().values_mut() {
            if open.judged.is_due(&accepting.judge, wall) {
                if judged == JUDGED {
                    self.more.notify_one();
                    break;
                }
                judged += 1;
                let chain = open.pipe.peer_chain();
                match accepting.judge.asked.check(&chain, wall) {
                    Ok(names) => open.names = names,
                    Err(why) => {
                        open.pipe.close(&why.words);
                        continue;
                    }
                }
                open.judged = Judged::new(&accepting.judge, &chain, wall);
            }
            match named(core, &open.names, open.address.ip()) {
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

    /// How many connections there are.
    #[cfg(test)]
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

/// Which client that is: it has one of these names, and has to be one that may come from there.
fn named<'a>(core: &'a Core, names: &[Arc<str>], from: IpAddr) -> Result<&'a Client, Arc<str>> {
    let named = |client: &&Client| client.radsec.as_ref().is_some_and(|name| names.contains(name));
    let here = core.config.clients.iter().filter(|client| client.address.contains(from)).filter(named);
    here.max_by_key(|client| client.address.length()).ok_or_else(|| {
        let name = names.first().map(|name| &**name).unwrap_or_default();
        format!("it is {name}, which option address of its config client does not let come from {from}").into()
    })
}

/// Takes connections for ever.
async fn accept(daemon: Rc<Daemon>, socket: TcpListener, address: SocketAddr) {
    loop {
        match socket.accept().await {
            Ok((tcp, from)) => begin(&daemon, tcp, from, address),
            Err(why) => {
                // Out of descriptors, most likely: some will be free in a moment.
                crate::log::warn!("a RadSec client was not accepted: {why}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Begins with a connection, if there is room for it and a client may come from there.
fn begin(daemon: &Rc<Daemon>, tcp: TcpStream, from: SocketAddr, listener: SocketAddr) {
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
    let accepting = match radsec.accepting.borrow().get() {
        Ok(accepting) => accepting,
        Err(why) => return failed(daemon, from, &why),
    };
    let Ok(tls) = ServerConnection::new(accepting.config.clone()) else { return };
    match radsec.door.admit(from.ip(), Instant::now(), |(pipe, _)| !pipe.has_sent()) {
        Ok(None) => {}
        // Its connection is closed with its task.
        Ok(Some((_, task))) => task.abort(),
        Err(why) => return failed(daemon, from, why),
    }
    let pipe = Pipe::new(tcp, tls);
    let id = radsec.door.number();
    let task = crate::daemon::task::spawn(serve(daemon.clone(), accepting, pipe.clone(), from, listener, id));
    radsec.door.begin(id, from.ip(), Instant::now(), (pipe, task.abort_handle()));
}

/// Says that somebody did not get in; when their count is a power of two.
fn failed(daemon: &Daemon, from: SocketAddr, why: &str) {
    let count = daemon.radsec.failed.get() + 1;
    daemon.radsec.failed.set(count);
    if count.is_power_of_two() {
        crate::log::warn!("a RadSec connection from {from} came to nothing: {why} ({count} so far)");
    } else {
        crate::log::debug!("a RadSec connection from {from} came to nothing: {why}");
    }
}

/// A connection from its handshake to its end.
async fn serve(
    daemon: Rc<Daemon>,
    accepting: Accepting,
    pipe: Rc<Pipe>,
    from: SocketAddr,
    listener: SocketAddr,
    handshake: u32,
) {
    let opened = open(&daemon, &accepting, &pipe, from, listener).await;
    let door = &daemon.radsec.door;
    door.over(handshake);
    let (id, client) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            pipe.close(&why);
            return failed(&daemon, from, &why);
        }
    };
    drop(accepting);
    door.came_from(from.ip(), Instant::now());
    crate::log::info!("client '{client}' is connected over RadSec from {from}");
    let why = connection::run(&daemon, id, &client, from, &pipe).await;
    door.came_from(from.ip(), Instant::now());
    daemon.radsec.open.borrow_mut().remove(&id);
    {
        let core = &mut *daemon.core.borrow_mut();
        core.radius.connections.disconnected(id);
        core.disconnect_closed(&client);
    }
    crate::log::info!("the RadSec connection of client '{client}' from {from} is over: {why}");
}

/// Goes through the handshake, and puts the connection where answers find it.
async fn open(
    daemon: &Daemon,
    accepting: &Accepting,
    pipe: &Rc<Pipe>,
    from: SocketAddr,
    listener: SocketAddr,
) -> Result<(u32, Arc<str>), Arc<str>> {
    let radsec = &daemon.radsec;
    radsec.clock.set(daemon.core.borrow().time.effective(now()).wall);
    pipe.handshake(Instant::now() + HANDSHAKE, &|| accepting.judge.take_words()).await?;
    let core = &mut *daemon.core.borrow_mut();
    if !radsec.listeners.borrow().iter().any(|(address, _)| *address == listener) {
        return Err("no clients are taken any more where it came in".into());
    }
    let (chain, wall) = (pipe.peer_chain(), core.time.effective(now()).wall);
    let current = radsec.accepting.borrow().get()?;
    // It was judged in the handshake, unless the session was resumed; but by others if the configuration has changed meanwhile.
    let is_judged = !pipe.is_resumed() && Arc::ptr_eq(&current.judge, &accepting.judge);
    let asked = &current.judge.asked;
    let names = if is_judged { asked.named(&chain) } else { asked.check(&chain, wall) }.map_err(|why| why.words)?;
    let client = named(core, &names, from.ip())?.name.clone();
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
    let judged = Judged::new(&current.judge, &chain, wall);
    let made = Open { client: client.clone(), address: from, listener, pipe: pipe.clone(), names, judged };
    open.insert(id, made);
    core.radius.connections.connected(id, client.clone());
    Ok((id, client))
}

#[cfg(test)]
mod tests;

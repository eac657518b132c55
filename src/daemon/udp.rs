//! The RADIUS sockets.

use super::batch::{BATCH, DATAGRAM, Incoming, Outgoing};
use super::{Daemon, now};
use crate::config::Config;
use crate::service::Core;
use crate::service::Now;
use crate::service::radius::{self, Next, Origin, Via};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Datagrams taken from one socket before the other tasks have their turn.
const TURN: usize = 64;

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Authentication,
    Accounting,
}

impl Port {
    fn receive(self, core: &mut Core, from: Origin, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> Next {
        match self {
            Port::Authentication => radius::receive_auth(core, from, datagram, now, out),
            Port::Accounting => radius::receive_accounting(core, from, datagram, now, out),
        }
    }
}

/// Sockets that are open and not served yet, and all that are wanted.
pub struct Bound {
    wanted: Vec<(Port, SocketAddr)>,
    opened: Vec<(Port, SocketAddr, UdpSocket)>,
}

/// The sockets being served.
#[derive(Default)]
pub struct Listeners {
    open: Vec<(Port, SocketAddr, u32, JoinHandle<()>)>,
}

impl Listeners {
    /// Opens the sockets that the configuration has and that are not open yet. Nothing is served by that.
    ///
    /// # Errors
    /// Which one cannot be opened, and why.
    pub fn bind(&self, config: &Config) -> Result<Bound, String> {
        let auth = config.main.auth_listen.iter().map(|address| (Port::Authentication, *address));
        let acct = config.main.acct_listen.iter().map(|address| (Port::Accounting, *address));
        let wanted: Vec<(Port, SocketAddr)> = auth.chain(acct).collect();
        let mut opened = Vec::new();
        for (port, address) in &wanted {
            if self.open.iter().any(|(p, a, ..)| (p, a) == (port, address)) {
                continue;
            }
            let option = if *port == Port::Authentication { "auth_listen" } else { "acct_listen" };
            let bad = |why: std::io::Error| {
                // A port of our own on another address is taken, too, as long as it is open.
                let ours = self.open.iter().any(|(_, open, ..)| open.port() == address.port());
                let mend = if ours { " (this daemon has the port on another address: restart it)" } else { "" };
                format!("option {option}: cannot listen on {address}: {why}{mend}")
            };
            let socket = std::net::UdpSocket::bind(address).map_err(bad)?;
            socket.set_nonblocking(true).map_err(bad)?;
            opened.push((*port, *address, UdpSocket::from_std(socket).map_err(bad)?));
        }
        Ok(Bound { wanted, opened })
    }

    /// Serves these sockets, and closes those that are not wanted any more.
    pub fn put(&mut self, daemon: &Rc<Daemon>, bound: Bound) {
        let Bound { wanted, opened } = bound;
        self.open.retain(|(port, address, number, task)| {
            let keep = wanted.contains(&(*port, *address));
            if !keep {
                task.abort();
                daemon.sockets.open.borrow_mut().retain(|socket| socket.number != *number);
            }
            keep
        });
        for (port, address, socket) in opened {
            let socket = daemon.sockets.add(socket);
            let number = socket.number;
            let task = crate::daemon::task::spawn(serve(daemon.clone(), port, socket));
            self.open.push((port, address, number, task));
        }
    }
}

/// A socket with the answers that wait to go out of it.
struct Socket {
    number: u32,
    socket: UdpSocket,
    outgoing: RefCell<Outgoing>,
}

/// The sockets that answers go out of, by their numbers.
#[derive(Default)]
pub struct Sockets {
    open: RefCell<Vec<Rc<Socket>>>,
    next: Cell<u32>,
}

impl Sockets {
    fn add(&self, socket: UdpSocket) -> Rc<Socket> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let socket = Rc::new(Socket { number, socket, outgoing: RefCell::new(Outgoing::new()) });
        self.open.borrow_mut().push(socket.clone());
        socket
    }

    /// Puts an answer to what goes out of a socket next, if that is still open. The buffer is another one afterwards.
    pub fn answer(&self, number: u32, to: SocketAddr, packet: &mut Vec<u8>) {
        let open = self.open.borrow();
        let Some(socket) = open.iter().find(|socket| socket.number == number) else { return };
        let mut outgoing = socket.outgoing.borrow_mut();
        if outgoing.next().is_none() {
            outgoing.send(&socket.socket);
        }
        if let Some(next) = outgoing.next() {
            std::mem::swap(next, packet);
            outgoing.push(to);
        }
    }

    /// Sends all that waits.
    pub fn flush(&self) {
        for socket in self.open.borrow().iter() {
            socket.outgoing.borrow_mut().send(&socket.socket);
        }
    }
}

async fn serve(daemon: Rc<Daemon>, port: Port, socket: Rc<Socket>) {
    let mut incoming = Incoming::<DATAGRAM>::new();
    loop {
        if let Err(why) = socket.socket.readable().await {
            crate::log::error!("a RADIUS socket failed: {why}");
            return;
        }
        for _ in 0..TURN / BATCH {
            match incoming.receive(&socket.socket) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier answer: of no concern.
                Err(_) => continue,
            }
            for (from, received) in incoming.iter() {
                let origin = Origin { address: from, via: Via::Udp(socket.number) };
                let mut outgoing = socket.outgoing.borrow_mut();
                let Some(out) = outgoing.next() else { break };
                // The core is free again before anything else is done: what goes on borrows it, too.
                let next = port.receive(&mut daemon.core.borrow_mut(), origin, received, now(), out);
                match next {
                    Next::Nothing => {}
                    Next::Send => outgoing.push(from),
                    next => daemon.exchanges.go_on(&daemon, next),
                }
            }
            socket.outgoing.borrow_mut().send(&socket.socket);
            daemon.upstream.pump(&daemon);
        }
        tokio::task::yield_now().await;
    }
}

//! The RADIUS sockets.

use super::batch::{BATCH, Incoming, Outgoing};
use super::{Daemon, now};
use crate::config::Config;
use crate::service::Core;
use crate::service::Now;
use crate::service::radius::{self, Exchange, Next, Origin, Verdict};
use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Octets of the largest RADIUS packet (RFC 2865, 3), and one more to notice a larger one.
const DATAGRAM: usize = 4097;
/// Datagrams taken from one socket before the other tasks have their turn.
const TURN: usize = 64;
/// Requests that may wait for a search or for flash at the same time.
const IN_WORK: usize = 128;

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

/// The sockets being served.
#[derive(Default)]
pub struct Listeners {
    open: Vec<(Port, SocketAddr, JoinHandle<()>)>,
}

impl Listeners {
    /// Opens and closes sockets as the configuration has them. When one cannot be opened, nothing changes.
    pub fn follow(&mut self, daemon: &Rc<Daemon>, config: &Config) -> Result<(), Box<dyn Error>> {
        let auth = config.main.auth_listen.iter().map(|address| (Port::Authentication, *address));
        let acct = config.main.acct_listen.iter().map(|address| (Port::Accounting, *address));
        let wanted: Vec<(Port, SocketAddr)> = auth.chain(acct).collect();
        let mut opened = Vec::new();
        for (port, address) in &wanted {
            if self.open.iter().any(|(p, a, _)| (p, a) == (port, address)) {
                continue;
            }
            let option = if *port == Port::Authentication { "auth_listen" } else { "acct_listen" };
            let bad = |why: std::io::Error| {
                // A port of our own on another address is taken, too, as long as it is open.
                let ours = self.open.iter().any(|(_, open, _)| open.port() == address.port());
                let mend = if ours { " (this daemon has the port on another address: restart it)" } else { "" };
                format!("option {option}: cannot listen on {address}: {why}{mend}")
            };
            let socket = std::net::UdpSocket::bind(address).map_err(bad)?;
            socket.set_nonblocking(true).map_err(bad)?;
            opened.push((*port, *address, UdpSocket::from_std(socket).map_err(bad)?));
        }
        self.open.retain(|(port, address, task)| {
            let keep = wanted.contains(&(*port, *address));
            if !keep {
                task.abort();
            }
            keep
        });
        for (port, address, socket) in opened {
            let task = tokio::task::spawn_local(serve(daemon.clone(), port, Rc::new(socket)));
            self.open.push((port, address, task));
        }
        Ok(())
    }
}

async fn serve(daemon: Rc<Daemon>, port: Port, socket: Rc<UdpSocket>) {
    let mut incoming = Incoming::<DATAGRAM>::new();
    let mut outgoing = Outgoing::new();
    let in_work = Rc::new(Cell::new(0));
    loop {
        if let Err(why) = socket.readable().await {
            tracing::error!("a RADIUS socket failed: {why}");
            return;
        }
        for _ in 0..TURN / BATCH {
            match incoming.receive(&socket) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier answer: of no concern.
                Err(_) => continue,
            }
            for (from, received) in incoming.iter() {
                let Some(out) = outgoing.next() else { break };
                let next = port.receive(&mut daemon.core.borrow_mut(), from.into(), received, now(), out);
                match next {
                    Next::Nothing => {}
                    Next::Send => outgoing.push(from),
                    Next::Search(exchange, ..) | Next::Commit(exchange) if in_work.get() >= IN_WORK => {
                        exchange.abandon(&mut daemon.core.borrow_mut());
                    }
                    next => {
                        let guard = InWork::enter(in_work.clone());
                        tokio::task::spawn_local(finish(daemon.clone(), socket.clone(), next, guard));
                    }
                }
            }
            outgoing.send(&socket);
        }
        tokio::task::yield_now().await;
    }
}

/// Counts a request while it waits for a search or for flash.
struct InWork(Rc<Cell<usize>>);

impl InWork {
    fn enter(count: Rc<Cell<usize>>) -> InWork {
        count.set(count.get() + 1);
        InWork(count)
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

async fn finish(daemon: Rc<Daemon>, socket: Rc<UdpSocket>, next: Next, _guard: InWork) {
    let mut out = Vec::new();
    let mut next = next;
    loop {
        next = match next {
            Next::Nothing => return,
            Next::Send => return,
            Next::Search(exchange, keys, handshake) => {
                let from = exchange.from.address;
                let Some(proof) = daemon.searcher.search(keys, handshake) else {
                    return exchange.abandon(&mut daemon.core.borrow_mut());
                };
                let Ok(proof) = proof.await else {
                    return exchange.abandon(&mut daemon.core.borrow_mut());
                };
                let next = radius::resume(&mut daemon.core.borrow_mut(), &exchange, proof, now(), &mut out);
                if matches!(next, Next::Send) {
                    send(&socket, from, &out);
                }
                next
            }
            Next::Commit(exchange) => return commit(&daemon, &socket, exchange, &mut out).await,
        };
    }
}

async fn commit(daemon: &Daemon, socket: &UdpSocket, exchange: Exchange, out: &mut Vec<u8>) {
    let from = exchange.from.address;
    let _writer = daemon.writer.lock().await;
    let verdict = radius::settle(&mut daemon.core.borrow_mut(), exchange, now(), out);
    match verdict {
        Verdict::Nothing => {}
        Verdict::Send => send(socket, from, out),
        Verdict::Store(changes, finish) => {
            let stored = daemon.commit(changes).await;
            if let Err(why) = &stored {
                tracing::error!("a binding was not stored: {why}");
            }
            finish(&mut daemon.core.borrow_mut(), stored.is_ok(), now(), out);
            send(socket, from, out);
        }
    }
}

/// Sends an answer. One that the network does not take now is lost, as any datagram may be: the NAS asks again, and
/// gets it from the duplicate cache.
fn send(socket: &UdpSocket, to: SocketAddr, answer: &[u8]) {
    if !answer.is_empty()
        && let Err(why) = socket.try_send_to(answer, to)
    {
        tracing::debug!("an answer to {to} was not sent: {why}");
    }
}

//! Dynamic authorization: the sockets that Disconnect- and CoA-Requests come to over UDP, and the task that sees to it that what
//! they ask for is done, and answers.

use super::{Daemon, dns, now, upstream};
use crate::config::{Config, Host, Server, Target, Transport};
use crate::service::dynauth::{self, Reply};
use crate::service::radius::{Origin, Via};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Octets of the largest RADIUS packet (RFC 2865, 3), and one more to notice a larger one.
const DATAGRAM: usize = 4097;
/// Datagrams taken before the other tasks have their turn.
const TURN: usize = 16;
/// How often it is looked whether what was asked for is done.
const LOOK: Duration = Duration::from_millis(20);
/// How often the addresses of this box are looked at, by which it may be named.
const OWN: Duration = Duration::from_secs(30);

/// The sockets, with their numbers.
#[derive(Default)]
pub struct Sockets {
    open: RefCell<Vec<Open>>,
    last: Cell<u32>,
}

struct Open {
    number: u32,
    address: SocketAddr,
    socket: Rc<UdpSocket>,
    task: JoinHandle<()>,
}

impl Sockets {
    /// Opens the sockets that the configuration has and that are not open yet. Nothing is served by that.
    ///
    /// # Errors
    /// Which one cannot be opened, and why.
    pub fn bind(&self, config: &Config) -> Result<Vec<(SocketAddr, UdpSocket)>, String> {
        let mut opened = Vec::new();
        for address in &config.radsec.coa_listen {
            if self.open.borrow().iter().any(|open| open.address == *address) {
                continue;
            }
            let bad = |why: std::io::Error| format!("option coa_listen: cannot listen on {address}: {why}");
            let socket = std::net::UdpSocket::bind(address).map_err(bad)?;
            socket.set_nonblocking(true).map_err(bad)?;
            opened.push((*address, UdpSocket::from_std(socket).map_err(bad)?));
        }
        Ok(opened)
    }

    /// Serves these sockets, and closes those that the configuration does not have.
    pub fn put(&self, daemon: &Rc<Daemon>, config: &Config, opened: Vec<(SocketAddr, UdpSocket)>) {
        let mut open = self.open.borrow_mut();
        open.retain(|open| {
            let keep = config.radsec.coa_listen.contains(&open.address);
            if !keep {
                open.task.abort();
            }
            keep
        });
        for (address, socket) in opened {
            let number = self.last.get().wrapping_add(1);
            self.last.set(number);
            let socket = Rc::new(socket);
            let task = crate::daemon::task::spawn(serve(daemon.clone(), number, socket.clone()));
            open.push(Open { number, address, socket, task });
        }
    }

    /// Sends an answer. One that is lost is given again when the request is.
    fn send(&self, number: u32, to: SocketAddr, answer: &[u8]) {
        let open = self.open.borrow();
        let socket = open.iter().find(|open| open.number == number).map(|open| &open.socket);
        if let Some(Err(why)) = socket.map(|socket| socket.try_send_to(answer, to)) {
            crate::log::debug!("an answer to {to} was not sent: {why}");
        }
    }
}

async fn serve(daemon: Rc<Daemon>, number: u32, socket: Rc<UdpSocket>) {
    let (mut datagram, mut out) = (vec![0; DATAGRAM], Vec::new());
    loop {
        if let Err(why) = socket.readable().await {
            crate::log::error!("a socket for dynamic authorization failed: {why}");
            return;
        }
        for _ in 0..TURN {
            let (length, from) = match socket.try_recv_from(&mut datagram) {
                Ok(received) => received,
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier answer: of no concern.
                Err(_) => continue,
            };
            let origin = Origin { address: from, via: Via::Udp(number) };
            let received = datagram.get(..length).unwrap_or_default();
            if dynauth::receive_udp(&mut daemon.core.borrow_mut(), origin, received, now(), &mut out)
                && let Err(why) = socket.try_send_to(&out, from)
            {
                crate::log::debug!("an answer to {from} was not sent: {why}");
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Has done what was asked for, and answers, for ever.
pub async fn run(daemon: Rc<Daemon>) {
    let work = Rc::new(Notify::new());
    let waker = work.clone();
    daemon.core.borrow_mut().dynauth.wake.by(move || waker.notify_one());
    let mut own = tokio::time::interval(OWN);
    own.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let busy = step(&daemon);
        tokio::select! {
            () = work.notified() => {}
            () = tokio::time::sleep(LOOK), if busy => {}
            _ = own.tick() => know(&daemon),
        }
    }
}

/// Learns by which addresses this box may be named, and where the servers of realms are that may ask over UDP.
fn know(daemon: &Rc<Daemon>) {
    let core = &mut *daemon.core.borrow_mut();
    if core.config.realms.is_empty() {
        return;
    }
    core.dynauth.set_own(dns::own_addresses());
    if core.config.radsec.coa_listen.is_empty() {
        return;
    }
    for realm in &core.config.realms {
        let Target::Servers(servers) = &realm.target else { continue };
        for server in servers {
            if let (Transport::Udp, Host::Name(name)) = (server.transport, &server.host) {
                crate::daemon::task::spawn(resolve(daemon.clone(), name.clone(), server.clone()));
            }
        }
    }
}

async fn resolve(daemon: Rc<Daemon>, name: Arc<str>, server: Server) {
    // Those of before are still good if there are none.
    if let Ok(addresses) = upstream::addresses(&daemon, &server).await {
        let addresses: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        daemon.core.borrow_mut().dynauth.resolved(&name, &addresses);
    }
}

/// Has orders carried out, and sends the answers to what is done. True while something is under way.
fn step(daemon: &Daemon) -> bool {
    let (busy, answers) = {
        let core = &mut *daemon.core.borrow_mut();
        daemon.carry_out(core);
        core.step_dynauth(now());
        let answers: Vec<(Reply, Vec<u8>)> = std::iter::from_fn(|| core.dynauth.take_answer()).collect();
        (core.dynauth.is_busy(), answers)
    };
    for (reply, answer) in answers {
        match reply {
            Reply::Udp(Origin { address, via: Via::Udp(number) }) => daemon.dynauth.send(number, address, &answer),
            // Nothing else comes to those sockets.
            Reply::Udp(Origin { via: Via::Tls(_), .. }) => {}
            Reply::Link(link) => drop(daemon.upstream.send(link, &answer)),
        }
    }
    busy
}

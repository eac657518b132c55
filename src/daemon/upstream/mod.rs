//! The ways to the servers of realms: UDP sockets and TLS connections, opened, used and closed as [`crate::proxy::Engine`] says.
//!
//! What it wants to be sent is collected while a batch of datagrams is worked on, and leaves with one system call per socket.

mod connect;
mod links;
mod names;
mod resolve;
pub mod test;

use super::batch::{Courier, DATAGRAM, Incoming};
use super::radsec::Kept;
use super::radsec::pipe::Pipe;
use super::{Daemon, now};
use crate::config::{Realm, Server};
use crate::proxy::{LinkId, ServerId};
use crate::radsec::settings::{Clock, Connecting, Judged};
use crate::radsec::trust::{Expected, OfServer};
use crate::radsec::words;
use crate::service::Core;
use crate::service::radius::{self, Errand, Next};
use crate::sorted::SortedMap;
use resolve::Names;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How often files and names are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// For how many parties TLS settings are kept.
const PARTIES: usize = 64;

/// A way to a server.
struct Link {
    server: ServerId,
    way: Way,
    /// Takes what comes.
    task: JoinHandle<()>,
}

enum Way {
    Udp { socket: Rc<UdpSocket>, to: SocketAddr, pending: Vec<Vec<u8>> },
    Tls { pipe: Rc<Pipe>, party: Party, judged: Judged<OfServer> },
}

/// What TLS settings are kept for: a `config realm`, and for whom the server's certificate has to be.
type Party = (Arc<str>, Expected);

/// The ways that are open.
#[derive(Default)]
pub struct Upstream {
    links: RefCell<SortedMap<LinkId, Link>>,
    /// Links with something to be sent.
    dirty: RefCell<Vec<LinkId>>,
    courier: RefCell<Option<Courier>>,
    /// One for all UDP sockets: what came is done with before anything else is.
    incoming: RefCell<Option<Incoming<DATAGRAM>>>,
    /// When the engine is to be told that time has passed.
    armed: Cell<Option<Instant>>,
    /// That is earlier now.
    wake: Notify,
    names: Rc<Names>,
    /// Which address of a server's name is used.
    turns: RefCell<SortedMap<ServerId, usize>>,
    settings: RefCell<SortedMap<Party, Kept<Connecting>>>,
}

/// Where a server is, and at which port; or why nobody knows, in words.
pub async fn addresses(daemon: &Daemon, server: &Server) -> Result<Vec<SocketAddr>, Arc<str>> {
    connect::addresses(daemon, server).await
}

impl Upstream {
    /// Does what the engine wants done, and sends what waits. To be called after anything that the engine was told.
    pub fn pump(&self, daemon: &Rc<Daemon>) {
        let now = now();
        let mut out = daemon.answer.take();
        let mut answered = false;
        loop {
            let errand = radius::errand(&mut daemon.core.borrow_mut(), now, &mut out);
            match errand {
                None if self.flush(&mut daemon.core.borrow_mut()) => {}
                None => break,
                Some(Errand::Send(link, packet)) => self.queue(daemon, link, packet),
                Some(Errand::Open(server)) => links::open(daemon, server),
                Some(Errand::Close(link)) => self.close(link),
                Some(Errand::Answer(_, Next::Nothing)) => {}
                Some(Errand::Answer(to, Next::Send)) => {
                    daemon.answer(to, &mut out);
                    answered = true;
                }
                Some(Errand::Answer(_, next)) => daemon.exchanges.go_on(daemon, next),
                // The tests of servers have connections of their own.
                Some(Errand::Probed(..)) => {}
            }
        }
        daemon.answer.set(out);
        if answered {
            daemon.flush_answers();
        }
        let next = daemon.core.borrow().proxy.engine.next_timeout();
        if next.is_some_and(|next| self.armed.get().is_none_or(|armed| next < armed)) {
            self.wake.notify_one();
        }
    }

    fn queue(&self, daemon: &Daemon, id: LinkId, packet: Vec<u8>) {
        let mut links = self.links.borrow_mut();
        let dirty = || {
            let mut dirty = self.dirty.borrow_mut();
            if !dirty.contains(&id) {
                dirty.push(id);
            }
        };
        match links.get_mut(&id).map(|link| &mut link.way) {
            Some(Way::Udp { pending, .. }) => {
                dirty();
                pending.push(packet);
            }
            way => {
                if let Some(Way::Tls { pipe, .. }) = way {
                    dirty();
                    pipe.send(&packet);
                }
                daemon.core.borrow_mut().proxy.engine.reuse(packet);
            }
        }
    }

    /// Sends what waits. True when a link turned out to lead nowhere: then there is something to be done about it.
    fn flush(&self, core: &mut Core) -> bool {
        let mut dirty = self.dirty.borrow_mut();
        if dirty.is_empty() {
            return false;
        }
        let mut links = self.links.borrow_mut();
        let mut lost = false;
        for id in dirty.drain(..) {
            match links.get_mut(&id).map(|link| &mut link.way) {
                Some(Way::Udp { socket, pending, .. }) => {
                    let sent = self.courier.borrow_mut().get_or_insert_with(Courier::new).send(socket, pending);
                    pending.drain(..).for_each(|packet| core.proxy.engine.reuse(packet));
                    if let Err(why) = sent
                        && let Some(link) = links.remove(&id)
                    {
                        link.task.abort();
                        core.proxy.engine.closed(id, words::socket(&why), Instant::now());
                        lost = true;
                    }
                }
                Some(Way::Tls { pipe, .. }) => pipe.flush(),
                None => {}
            }
        }
        lost
    }

    /// The engine has done with a link.
    fn close(&self, id: LinkId) {
        let Some(link) = self.links.borrow_mut().remove(&id) else { return };
        match link.way {
            Way::Udp { .. } => link.task.abort(),
            // Its task ends by itself.
            Way::Tls { pipe, .. } => pipe.close("it was not needed any more"),
        }
    }

    /// Sends a packet over a link now; false when it is closed.
    pub fn send(&self, link: LinkId, packet: &[u8]) -> bool {
        match self.links.borrow().get(&link).map(|link| &link.way) {
            Some(Way::Tls { pipe, .. }) => {
                let sent = pipe.send(packet);
                pipe.flush();
                sent
            }
            Some(Way::Udp { socket, .. }) => socket.try_send(packet).is_ok(),
            None => false,
        }
    }

    /// The TLS settings for a server of a realm, with their files as they are now.
    fn settings(&self, core: &Core, party: &Party, clock: &Arc<Clock>) -> Result<Connecting, Arc<str>> {
        let realm = core.config.realms.iter().find(|realm| realm.name == party.0);
        let realm = realm.ok_or_else(|| -> Arc<str> { "it is not in the configuration any more".into() })?;
        let mut settings = self.settings.borrow_mut();
        if settings.len() >= PARTIES {
            // DNS may tell of ever more realms: those that nobody is connected to are read again when they are wanted.
            let links = self.links.borrow();
            let used = |party: &Party| {
                links.values().any(|link| matches!(&link.way, Way::Tls { party: of, .. } if of == party))
            };
            settings.retain(|party, _| used(party));
        }
        let kept = settings.or_default(party.clone());
        if super::radsec::follow_realm(kept, core, realm, &party.1, clock) {
            read_again(realm);
        }
        kept.get()
    }

    /// Follows the files of TLS, and the configuration. Connections to servers whose certificates do not count any more are closed, the
    /// others stay.
    pub fn follow(&self, core: &Core, clock: &Arc<Clock>) {
        let mut settings = self.settings.borrow_mut();
        settings.retain(|(realm, _), _| core.config.realms.iter().any(|other| other.name == *realm));
        if settings.is_empty() {
            return;
        }
        clock.set(core.time.effective(now()).wall);
        for (party, kept) in settings.iter_mut() {
            let Some(realm) = core.config.realms.iter().find(|realm| realm.name == party.0) else { continue };
            if super::radsec::follow_realm(kept, core, realm, &party.1, clock) {
                read_again(realm);
            }
        }
        // The files may have been read for another connection meanwhile: it counts what each was judged by.
        for link in self.links.borrow_mut().values_mut() {
            let Way::Tls { pipe, party, judged } = &mut link.way else { continue };
            let Some(Ok(current)) = settings.get(party).map(Kept::get) else { continue };
            if judged.is_due(&current.judge, clock.get()) {
                match judge(&current, pipe, clock) {
                    Ok(anew) => *judged = anew,
                    Err(why) => pipe.close(&why),
                }
            }
        }
    }
}

/// Judges the certificate at the other end of a connection.
fn judge(current: &Connecting, pipe: &Pipe, clock: &Clock) -> Result<Judged<OfServer>, Arc<str>> {
    let chain = pipe.peer_chain();
    current.judge.asked.check(&chain, clock.get()).map_err(|why| why.words)?;
    Ok(Judged::new(&current.judge, &chain, clock.get()))
}

fn read_again(realm: &Realm) {
    crate::log::info!("the certificates for RadSec to {}'s servers were read again", realm.name);
}

/// Tells the engine that time has passed, for ever.
pub async fn run(daemon: Rc<Daemon>) {
    let upstream = &daemon.upstream;
    // What the configuration brought about at the start.
    upstream.pump(&daemon);
    loop {
        let next = daemon.core.borrow().proxy.engine.next_timeout();
        upstream.armed.set(next);
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = upstream.wake.notified() => {}
        }
        if next.is_some_and(|next| next <= Instant::now()) || upstream.is_overdue(&daemon) {
            daemon.core.borrow_mut().proxy_timeout(Instant::now());
            upstream.pump(&daemon);
        }
    }
}

impl Upstream {
    fn is_overdue(&self, daemon: &Daemon) -> bool {
        daemon.core.borrow().proxy.engine.next_timeout().is_some_and(|next| next <= Instant::now())
    }
}

/// Looks after certificates, for ever.
pub async fn watch_files(daemon: Rc<Daemon>) {
    let mut look = every_look();
    loop {
        tokio::select! {
            _ = look.tick() => {
                let core = daemon.core.borrow();
                daemon.radsec.follow(&core);
                daemon.upstream.follow(&core, &daemon.radsec.clock);
            }
            () = daemon.radsec.more.notified() => {
                tokio::time::sleep(super::radsec::SOON).await;
                daemon.radsec.judge(&daemon.core.borrow());
            }
        }
    }
}

/// Looks after the addresses of names, for ever. DNS may be slow, and certificates do not wait for it.
pub async fn watch_names(daemon: Rc<Daemon>) {
    let mut look = every_look();
    loop {
        look.tick().await;
        links::follow_names(&daemon).await;
    }
}

fn every_look() -> tokio::time::Interval {
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    look
}

//! ubus, OpenWrt's bus: the connection to ubusd, calls of the object `latchkey`, and events. All of it is [`crate::ubus`]
//! and [`crate::service::ubus`] but the socket and the time.
//!
//! Without a bus the daemon is whole. It is looked for every few seconds, quietly, and when ubusd was started anew the
//! object is back as quickly.

use super::Daemon;
use super::call::{self, Reply};
use crate::config::UbusAt;
use crate::service::News;
use crate::service::control::{ApiError, Class};
use crate::service::revocation::Order;
use crate::service::ubus as service;
use crate::ubus::outbox::{Kind, MISSED, Outbox};
use crate::ubus::state::State;
use crate::ubus::{Client, Input, Invocation, Ticket};
use crate::wire::ubus::Status;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep, timeout};

/// Where ubusd listens on OpenWrt since 21.02.
const SOCKET: &str = "/var/run/ubus/ubus.sock";
/// Calls in work at the same time.
const CALLS: usize = 16;
/// A call with more octets than this waits for no other such: its JSON takes several times as many.
const SMALL: usize = 64 << 10;
/// When ubusd has not taken so many octets, no further call is read.
const BACKLOG: usize = 256 << 10;
/// Octets of results that may wait for ubusd to take them. One has up to 1 MiB.
const RESULTS: usize = 4 << 20;
/// ubusd answers at once, or is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until the next try: twice as long each time ...
const FIRST: Duration = Duration::from_millis(250);
/// ... up to this.
const LAST: Duration = Duration::from_secs(4);

/// What the shell shares with the bus.
pub struct Ubus {
    outbox: RefCell<Outbox>,
    /// There are events.
    ready: Notify,
    /// The configuration is another.
    pub changed: Notify,
    calls: Arc<Semaphore>,
    long_calls: Arc<Semaphore>,
    /// Octets of results that wait.
    results: Rc<Cell<usize>>,
}

/// Octets of a result that waits.
struct Waiting {
    octets: usize,
    of: Rc<Cell<usize>>,
}

impl Waiting {
    /// `None` when there is no room for so many. What a call changed is changed: the answer to that goes ahead.
    fn begin(of: &Rc<Cell<usize>>, octets: usize, changed: bool) -> Option<Waiting> {
        let all = of.get() + octets;
        (all <= RESULTS || changed || octets <= SMALL).then(|| {
            of.set(all);
            Waiting { octets, of: of.clone() }
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of.set(self.of.get() - self.octets);
    }
}

impl Ubus {
    /// Nothing is connected yet.
    pub fn new() -> Ubus {
        let (calls, long_calls) = (Arc::new(Semaphore::new(CALLS)), Arc::new(Semaphore::new(1)));
        let (outbox, results) = (RefCell::default(), Rc::default());
        Ubus { outbox, ready: Notify::new(), changed: Notify::new(), calls, long_calls, results }
    }

    /// Tells the bus of something that happened.
    pub fn tell(&self, news: News<'_>) {
        match news {
            News::Event(event) => {
                if let Some(kind) = service::kind(event) {
                    self.offer(kind, || Some(service::event(event)));
                }
            }
            News::Pending(pending) => self.offer(Kind::Pending, || Some(service::pending(pending))),
        }
    }

    /// Tells the bus who is sent off the air.
    pub fn tell_orders<'a>(&self, orders: impl Iterator<Item = &'a Order>) {
        for order in orders.filter(|order| service::is_revocation(order)) {
            self.offer(Kind::Revoked, || service::revoked(order));
        }
    }

    /// What an event says is put together only if it is sent.
    fn offer(&self, kind: Kind, value: impl FnOnce() -> Option<Value>) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.admits(kind, Instant::now())
            && let Some(value) = value()
        {
            outbox.put(kind, value);
        }
        // Also when it was only counted: that is to be told, too.
        self.ready.notify_one();
    }
}

/// An answer, with the places its call had.
struct Answer {
    ticket: Ticket,
    result: Vec<u8>,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    _waiting: Option<Waiting>,
}

fn busy(what: String) -> ApiError {
    ApiError::new("busy", format!("{what}: try again later"))
}

/// Keeps the object on the bus for ever.
pub async fn run(daemon: Rc<Daemon>) {
    let mut pause = FIRST;
    loop {
        let place = place(&daemon.core.borrow().config.main.ubus);
        let Some(path) = place else {
            note(&daemon, State::Off, Path::new(""));
            daemon.ubus.changed.notified().await;
            continue;
        };
        let ended = tokio::select! {
            ended = session(&daemon, &path) => Some(ended),
            () = daemon.ubus.changed.notified() => None,
        };
        daemon.ubus.outbox.borrow_mut().open(false);
        let was_published = daemon.core.borrow().ubus.state == State::Published;
        match ended {
            Some(state) => note(&daemon, state, &path),
            None => note(&daemon, State::Absent, &path),
        }
        pause = if was_published || ended_by_configuration(&daemon, &path) { FIRST } else { (2 * pause).min(LAST) };
        tokio::select! {
            () = sleep(pause) => {}
            () = daemon.ubus.changed.notified() => {}
        }
    }
}

fn ended_by_configuration(daemon: &Daemon, path: &Path) -> bool {
    place(&daemon.core.borrow().config.main.ubus).as_deref() != Some(path)
}

fn place(option: &UbusAt) -> Option<PathBuf> {
    match option {
        UbusAt::Off => None,
        UbusAt::Auto => Some(SOCKET.into()),
        UbusAt::At(path) => Some(path.clone()),
    }
}

/// Notes how it stands, and says so once.
fn note(daemon: &Daemon, state: State, path: &Path) {
    let health = &mut daemon.core.borrow_mut().ubus;
    if health.state == state {
        return;
    }
    let path = path.display();
    match (&state, &health.state) {
        (State::Published, _) => crate::log::info!("ubus: published as '{}' ({path})", service::OBJECT),
        (State::Absent, State::Published) => crate::log::warn!("ubus: ubusd is gone ({path})"),
        (State::Off | State::Absent, _) => crate::log::debug!("ubus: {state}"),
        _ => crate::log::warn!("ubus: {state} ({path})"),
    }
    health.state = state;
}

/// One connection, until it ends: how it stands then.
async fn session(daemon: &Rc<Daemon>, path: &Path) -> State {
    let stream = match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => stream,
        // What a dead ubusd left behind counts as none.
        Ok(Err(why)) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return State::Absent;
        }
        Ok(Err(why)) => return State::Failed(format!("cannot connect to ubusd: {why}")),
        Err(_) => return State::Failed(format!("ubusd took no connection in {} s", PATIENCE.as_secs())),
    };
    let mut bus = Bus { daemon, client: Client::new(service::OBJECT, service::signature()), path, published: false };
    match bus.serve(stream).await {
        Ok(()) => State::Absent,
        Err(state) => state,
    }
}

struct Bus<'d> {
    daemon: &'d Rc<Daemon>,
    client: Client,
    path: &'d Path,
    published: bool,
}

impl Bus<'_> {
    /// Serves until ubusd hangs up.
    async fn serve(&mut self, mut stream: UnixStream) -> Result<(), State> {
        let (mut reader, mut writer) = stream.split();
        let (tell, mut answers) = mpsc::channel::<Answer>(CALLS);
        let mut greeting = std::pin::pin!(sleep(PATIENCE));
        let mut pause: std::pin::Pin<Box<Sleep>> = Box::pin(sleep(Outbox::PAUSE));
        let mut buffer = vec![0; 8192];
        loop {
            self.understand(&tell)?;
            let counted = self.post();
            let room = self.client.backlog() < BACKLOG;
            tokio::select! {
                read = reader.read(&mut buffer), if room => match read {
                    Ok(0) | Err(_) => return self.hung_up(),
                    Ok(octets) => self.client.receive(buffer.get(..octets).unwrap_or_default()),
                },
                written = writer.write(self.client.output()), if self.client.backlog() > 0 => match written {
                    Ok(0) | Err(_) => return self.hung_up(),
                    Ok(octets) => self.client.sent(octets),
                },
                Some(answer) = answers.recv(), if room => {
                    self.client.answer(answer.ticket, Some(&answer.result), Status::OK);
                }
                () = self.daemon.ubus.ready.notified() => {}
                () = &mut pause, if counted => pause.as_mut().reset(tokio::time::Instant::now() + Outbox::PAUSE),
                () = &mut greeting, if !self.published => {
                    return Err(State::Failed(format!("ubusd said nothing for {} s", PATIENCE.as_secs())));
                }
            }
        }
    }

    fn hung_up(&self) -> Result<(), State> {
        if self.published {
            return Ok(());
        }
        let mend = "is the user that this daemon runs as in /etc/passwd, and its group in /etc/group?";
        Err(State::Failed(format!("ubusd hung up before anything was published: {mend}")))
    }

    /// Does what ubusd's messages ask for.
    fn understand(&mut self, tell: &mpsc::Sender<Answer>) -> Result<(), State> {
        while self.client.backlog() < BACKLOG {
            match self.client.poll().map_err(|why| State::Failed(why.to_string()))? {
                None => return Ok(()),
                Some(Input::Published) => {
                    self.published = true;
                    note(self.daemon, State::Published, self.path);
                    self.daemon.core.borrow_mut().ubus.events_refused = None;
                    self.daemon.ubus.outbox.borrow_mut().open(true);
                }
                Some(Input::Refused(refusal)) => return Err(refusal.into()),
                Some(Input::EventRefused(status)) => self.event_refused(status),
                Some(Input::Call(call)) => self.call(call, tell),
            }
        }
        Ok(())
    }

    fn event_refused(&mut self, status: Status) {
        let health = &mut self.daemon.core.borrow_mut().ubus;
        health.events = health.events.saturating_sub(1);
        health.missed += 1;
        if health.events_refused.replace(status) != Some(status) {
            let mend = "does /usr/share/acl.d/latchkey_acl.json have \"send\": [ \"latchkey.*\" ]?";
            crate::log::warn!("ubus: ubusd does not take our events: {status}: {mend}");
        }
    }

    /// Begins a call.
    fn call(&mut self, call: Invocation, tell: &mpsc::Sender<Answer>) {
        let Invocation { ticket, method, arguments, caller } = call;
        if !service::has(&method) {
            return self.client.answer(ticket, None, Status::METHOD_NOT_FOUND);
        }
        self.daemon.core.borrow_mut().ubus.calls += 1;
        let refused = match (self.places(arguments.len()), service::call(&method, &arguments)) {
            (Ok(places), Ok(call)) => {
                crate::log::debug!("ubus: {caller} calls {method}");
                let (daemon, tell) = (self.daemon.clone(), tell.clone());
                let changes = call.class() == Class::Write;
                drop(arguments);
                crate::daemon::task::spawn(async move {
                    let done = match call::run(&daemon, call).await {
                        Ok(Reply::Value(value) | Reply::Follow(value, _)) => Ok(value),
                        Err(error) => Err(error),
                    };
                    let mut result = service::result(done);
                    let waiting = Waiting::begin(&daemon.ubus.results, result.len(), changes);
                    if waiting.is_none() {
                        daemon.core.borrow_mut().ubus.busy += 1;
                        result = service::result(Err(busy("other long results wait for ubusd".into())));
                    }
                    // Nobody takes it if ubusd is gone.
                    let _ = tell.send(Answer { ticket, result, _places: places, _waiting: waiting }).await;
                });
                return;
            }
            (Err(busy), _) => {
                self.daemon.core.borrow_mut().ubus.busy += 1;
                busy
            }
            (_, Err(error)) => error,
        };
        self.client.answer(ticket, Some(&service::result(Err(refused))), Status::OK);
    }

    /// Room for one more call with so many octets of arguments.
    fn places(&self, octets: usize) -> Result<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>), ApiError> {
        let ubus = &self.daemon.ubus;
        let Ok(place) = ubus.calls.clone().try_acquire_owned() else {
            return Err(busy(format!("{CALLS} calls are in work already")));
        };
        if octets <= SMALL {
            return Ok((place, None));
        }
        match ubus.long_calls.clone().try_acquire_owned() {
            Ok(long) => Ok((place, Some(long))),
            Err(_) => Err(busy("another long call is being worked on".into())),
        }
    }

    /// Gives ubusd the events that wait. True when some were only counted: the count is to be told a moment later.
    fn post(&mut self) -> bool {
        if !self.published {
            return false;
        }
        let mut outbox = self.daemon.ubus.outbox.borrow_mut();
        let health = &mut self.daemon.core.borrow_mut().ubus;
        while let Some((kind, value)) = outbox.take() {
            if self.client.event(kind.name(), &value) {
                health.events += 1;
            } else {
                outbox.lost(kind);
            }
        }
        if let Some(counts) = outbox.missed(Instant::now()) {
            // If ubusd has no room for it, they count on.
            if self.client.event(MISSED, &counts) {
                health.missed += counts.as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum::<u64>();
                outbox.told();
            }
        }
        outbox.any_missed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_wait_are_limited_by_octets() {
        const LONG: usize = 1 << 20;
        let results = Rc::default();
        let waiting: Vec<_> = (0..6).filter_map(|_| Waiting::begin(&results, LONG, false)).collect();
        assert_eq!((waiting.len(), results.get()), (4, RESULTS));
        // Sixteen of these are not much; and nobody is told that what he changed was not done.
        let others = [Waiting::begin(&results, SMALL, false), Waiting::begin(&results, LONG, true)];
        assert!(others.iter().all(Option::is_some));
        drop(others);
        drop(waiting);
        assert_eq!(results.get(), 0);
        assert!(Waiting::begin(&results, LONG, false).is_some());
    }
}

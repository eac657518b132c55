//! The network of this box: follows the kernel's events, and has the worker thread look and mend.

mod fights;
mod socket;
mod worker;

use super::{Daemon, work};
use crate::config::Config;
use crate::mac::MacAddr;
use crate::sorted::SortedSet;
use socket::Events;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use worker::{Job, Report, Task};

/// Jobs that may wait for the thread.
const JOBS: usize = 8;
/// The thread's stack, in octets.
const STACK: usize = 128 * 1024;
/// Who changes one thing often changes more: they are waited for, but not long. A station waits for its bridge.
const SETTLE: Duration = Duration::from_millis(50);
/// From look to look, however much happens.
const PACE: Duration = Duration::from_millis(200);
/// How often the configuration and hostapd's BSSes are compared with those of the last look.
const COMPARE: Duration = Duration::from_secs(1);
/// How often a look is taken though nothing happens.
const ROUTINE: Duration = Duration::from_secs(120);
/// The table of neighbours is brought up to date in this time, or shown as it is; and not more often.
const NEIGHBOURS: Duration = Duration::from_secs(1);
/// The end waits so long.
const FAREWELL: Duration = Duration::from_secs(5);

/// The thread's queue, and what it told.
pub struct Network {
    jobs: SyncSender<Job>,
    /// When the neighbours were asked for last.
    asked: Cell<Option<Instant>>,
    /// The troubles that are told of.
    told: RefCell<SortedSet<Arc<str>>>,
}

impl Network {
    /// Starts the thread.
    pub fn start() -> io::Result<Network> {
        let (jobs, receiver) = sync_channel(JOBS);
        let body = move || worker::serve(receiver);
        work::spawn_with(STACK, "network", body)?;
        Ok(Network { jobs, asked: Cell::new(None), told: RefCell::default() })
    }

    /// Has the thread do something, and waits for it a while.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job, patience: Duration) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(job(reply)).ok()?;
        timeout(patience, answer).await.ok()?.ok()
    }

    /// Brings the table of neighbours up to date, unless it was just now.
    pub async fn refresh_neighbours(&self, daemon: &Daemon) {
        if self.asked.get().is_some_and(|at| at.elapsed() < NEIGHBOURS) {
            return;
        }
        self.asked.set(Some(Instant::now()));
        if let Some(neighbours) = self.ask(Job::Neighbours, NEIGHBOURS).await {
            daemon.core.borrow_mut().network.neighbours = neighbours;
        }
    }

    /// Takes over what came of a look.
    fn take(&self, daemon: &Daemon, report: Report) {
        let network = &mut daemon.core.borrow_mut().network;
        if let Some(routes) = report.default_routes.filter(|routes| *routes != network.default_routes) {
            network.default_routes = routes;
            daemon.network_changed.notify_one();
        }
        network.ports = report.ports;
        let told = &mut *self.told.borrow_mut();
        told.retain(|about| {
            let still = report.troubles.contains_key(about);
            if !still {
                network.troubles.remove(about);
                crate::log::info!("network: {about} is as it should be");
            }
            still
        });
        for (about, why) in report.troubles {
            told.insert(about.clone());
            if network.troubles.get(&about) != Some(&why) {
                crate::log::warn!("network: {about}: {why}");
                network.troubles.insert(about, why);
            }
        }
    }
}

/// What a look depends on besides the kernel.
#[derive(Clone)]
struct Inputs {
    config: Arc<Config>,
    served: Vec<(Arc<str>, MacAddr)>,
}

impl Inputs {
    fn of(daemon: &Daemon) -> Inputs {
        let core = daemon.core.borrow();
        let served = core.stations.bsses().filter(|(_, bss)| core.config.ssid(&bss.ssid).is_some());
        let served = served.filter_map(|(name, bss)| Some((name.clone(), bss.bssid?))).collect();
        Inputs { config: core.config.clone(), served }
    }

    fn differ(&self, other: &Inputs) -> bool {
        !Arc::ptr_eq(&self.config, &other.config) || self.served != other.served
    }
}

/// Follows the network for ever.
pub async fn watch(daemon: Rc<Daemon>) {
    let mut events = match Events::open() {
        Ok(events) => Some(events),
        Err(why) => {
            crate::log::warn!(
                "the kernel tells of no changes of the network: {why}; it is looked at every {ROUTINE:?}"
            );
            None
        }
    };
    let mut compare = interval(COMPARE);
    compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut inputs = Inputs::of(&daemon);
    let (mut due, mut last, mut routes) = (Instant::now(), None::<Instant>, true);
    loop {
        let no_sooner = last.map_or(due, |last| last + PACE);
        tokio::select! {
            changed = next(&mut events) => match changed {
                Ok(changed) => {
                    routes |= changed.routes;
                    if changed.links || changed.routes {
                        due = due.min(Instant::now() + SETTLE);
                    }
                }
                Err(why) => {
                    crate::log::warn!("the kernel tells of no more changes of the network: {why}");
                    events = None;
                }
            },
            _ = compare.tick() => {
                if Inputs::of(&daemon).differ(&inputs) {
                    due = Instant::now();
                }
            }
            () = sleep_until(due.max(no_sooner)) => {
                inputs = Inputs::of(&daemon);
                let Inputs { config, served } = inputs.clone();
                let task = Task { config, served, routes };
                last = Some(Instant::now());
                due = Instant::now() + ROUTINE;
                // However long the kernel takes: a second look meanwhile would tell nothing new.
                match daemon.network.ask(|reply| Job::Look(task, reply), Duration::MAX).await {
                    Some(report) => {
                        routes = false;
                        due = report.again.map_or(due, |again| due.min(Instant::now() + again));
                        daemon.network.take(&daemon, report);
                    }
                    None => due = Instant::now() + COMPARE,
                }
            }
        }
    }
}

async fn next(events: &mut Option<Events>) -> io::Result<socket::Changed> {
    match events {
        Some(events) => events.wait().await,
        None => std::future::pending().await,
    }
}

/// Undoes what was done.
pub async fn leave(daemon: &Daemon) {
    if daemon.network.ask(Job::Undo, FAREWELL).await.is_none() {
        crate::log::warn!("what was made of the network was not undone in {FAREWELL:?}: the next start finds it");
    }
}

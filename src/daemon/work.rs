//! What takes longer than the event loop may wait: computing PMKs and searching among thousands. Each has a thread,
//! so that a device at the door never waits for the keys of an import.

use super::Daemon;
use crate::decision::Proof;
use crate::service::keyring::{Derived, Job, SsidKeys};
use crate::store::StoredPmk;
use crate::thread;
use crate::wpa::Handshake;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Searches that may wait. At 100 ms each on a slow router, more would be answered too late for the station.
const SEARCHES: usize = 16;
/// PMKs computed in one go: 0.2 s on a slow router, after which an urgent one can come first.
const BATCH: usize = 16;
/// PMKs written to flash in one go.
const STORE_BATCH: usize = 512;
/// How often key files are written while PMKs are being computed.
const WRITE_KEYS: Duration = Duration::from_secs(1);
/// The threads' stacks, in octets: neither does more than hashing.
const STACK: usize = 128 * 1024;

type Search = (Arc<SsidKeys>, Box<Handshake>, oneshot::Sender<Proof>);

/// The thread that searches.
pub struct Searcher {
    queue: SyncSender<Search>,
}

impl Searcher {
    /// Starts the thread.
    pub fn start() -> io::Result<Searcher> {
        let (queue, searches) = sync_channel::<Search>(SEARCHES);
        spawn("key-search", move || {
            for (keys, handshake, reply) in searches {
                let _ = reply.send(keys.search(&handshake));
            }
        })?;
        Ok(Searcher { queue })
    }

    /// Queues a search; nothing when too many wait.
    pub fn search(&self, keys: Arc<SsidKeys>, handshake: Box<Handshake>) -> Option<oneshot::Receiver<Proof>> {
        let (reply, proof) = oneshot::channel();
        match self.queue.try_send((keys, handshake, reply)) {
            Ok(()) => Some(proof),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

/// Starts a thread with a small stack.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_with(STACK, name, body)
}

/// Starts a thread with a stack of so many octets.
pub fn spawn_with(stack: usize, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::spawn(name, stack, Box::new(body))
}

type Batch = (Vec<Job>, oneshot::Sender<Vec<Derived>>);

/// Computes missing PMKs as long as there are any, puts them into the keyring and, in larger portions, on flash.
pub async fn derive_keys(daemon: Rc<Daemon>) {
    let (queue, batches): (SyncSender<Batch>, Receiver<Batch>) = sync_channel(1);
    let started = spawn("key-derivation", move || {
        for (jobs, reply) in batches {
            let _ = reply.send(jobs.into_iter().map(Job::run).collect());
        }
    });
    if let Err(why) = started {
        crate::log::error!("no thread to compute keys with: {why}");
        return;
    }
    let mut unstored: Vec<StoredPmk> = Vec::new();
    let mut written = Instant::now();
    loop {
        let jobs = {
            let core = &mut *daemon.core.borrow_mut();
            core.keyring.jobs(BATCH, &core.registry)
        };
        if unstored.len() >= STORE_BATCH || (jobs.is_empty() && !unstored.is_empty()) {
            // A PMK that is lost is computed again after the next start.
            if let Err(why) = daemon.store.put_pmks(std::mem::take(&mut unstored)).await {
                crate::log::warn!("computed keys were not stored: {why}");
            }
            continue;
        }
        if jobs.is_empty() {
            daemon.keys_missing.notified().await;
            continue;
        }
        let (reply, derived) = oneshot::channel();
        if queue.send((jobs, reply)).is_err() {
            return;
        }
        let Ok(derived) = derived.await else { return };
        let core = &mut *daemon.core.borrow_mut();
        for one in derived {
            let row = (one.device, one.key_serial, one.ssid.clone(), one.pmk.clone());
            if core.keyring.insert(one, &core.registry) {
                unstored.push(row);
            }
        }
        // Those of an import are not written with each batch: hostapd reads the whole file each time.
        if !core.keyring.is_busy() || written.elapsed() >= WRITE_KEYS {
            written = Instant::now();
            daemon.keyfiles.changed.notify_one();
        }
    }
}

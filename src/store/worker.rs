//! The thread that owns the [`Store`], so that waiting for flash never stops the event loop.
//!
//! What has queued up while the flash was busy shares one transaction and one sync (group commit); if
//! that fails, each part is tried by itself, so that one refused change fails alone.

use super::{Store, StoreError, StoredPmk, Write};
use crate::registry::device::{Change, DeviceId, Seen};
use crate::thread;
use crate::time::UnixTime;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Commands that may wait at a time; whoever comes next waits for a place.
const QUEUE: usize = 64;
/// Commands that share a transaction at most.
const GROUP: usize = 64;
/// How long after the last change the good copy is made.
const COPY_DELAY: Duration = Duration::from_secs(10);
/// How much flash good copies may cost in the long run, in octets a second: a copy of 30 KB is made at most
/// every half minute, one of 2 MB at most every half hour.
const COPY_RATE: u64 = 1024;
/// How long to wait after a good copy failed.
const COPY_RETRY: Duration = Duration::from_secs(300);

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Something to be stored, owned by the queue.
#[derive(Debug)]
enum Owned {
    Changes(Vec<Change>),
    Pmks(Vec<StoredPmk>),
    Seen(Vec<(DeviceId, Seen)>),
}

impl Owned {
    fn borrow(&self) -> Write<'_> {
        match self {
            Owned::Changes(changes) => Write::Changes(changes),
            Owned::Pmks(pmks) => Write::Pmks(pmks),
            Owned::Seen(seen) => Write::Seen(seen),
        }
    }
}

#[derive(Debug)]
enum Command {
    Write(Owned),
    KeepSsids(Vec<Arc<[u8]>>),
    GoodCopy,
    Shutdown,
}

/// A command on its way: its place in the queue is given back when it is done.
#[derive(Debug)]
struct Job {
    command: Command,
    reply: Reply,
    _place: Option<OwnedSemaphorePermit>,
}

/// How the store is doing, for `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// When the last good copy was made by this process.
    pub copied: Option<UnixTime>,
    /// The last failure of flash or file system since the last success, in plain words. A refused change is none.
    pub failure: Option<String>,
}

/// The way to the store's thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    queue: Sender<Job>,
    places: Arc<Semaphore>,
    health: Arc<Mutex<StoreHealth>>,
}

impl StoreHandle {
    /// Starts the thread. It ends at [`StoreHandle::shutdown`], or when the last handle is dropped.
    pub fn start(store: Store) -> Result<StoreHandle, StoreError> {
        StoreHandle::start_with(store, COPY_DELAY)
    }

    /// Like [`StoreHandle::start`], with another delay before the good copy.
    pub(super) fn start_with(store: Store, copy_delay: Duration) -> Result<StoreHandle, StoreError> {
        let (queue, jobs) = channel();
        let health = Arc::new(Mutex::new(StoreHealth::default()));
        let dir = store.files.dir.clone();
        let mut worker =
            Worker { store, waiting: VecDeque::new(), health: health.clone(), schedule: Schedule::new(copy_delay) };
        let body = move || {
            let reply = worker.run(&jobs);
            let closed = worker.store.close();
            if let Some(reply) = reply {
                let _ = reply.send(closed);
            }
            // Commands behind the shutdown learn by their dropped reply that the registry is closed.
        };
        thread::spawn("store", 512 * 1024, Box::new(body))
            .map_err(|e| StoreError::file(&dir, "start the store's thread", e))?;
        Ok(StoreHandle { queue, places: Arc::new(Semaphore::new(QUEUE)), health })
    }

    /// Like [`Store::commit`]. The changes are on flash when this returns. Once it was polled, they will be
    /// stored also if nobody waits for the answer.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.send(Command::Write(Owned::Changes(changes))).await
    }

    /// Like [`Store::put_pmks`].
    pub async fn put_pmks(&self, pmks: Vec<StoredPmk>) -> Result<(), StoreError> {
        self.send(Command::Write(Owned::Pmks(pmks))).await
    }

    /// Like [`Store::put_seen`].
    pub async fn put_seen(&self, seen: Vec<(DeviceId, Seen)>) -> Result<(), StoreError> {
        self.send(Command::Write(Owned::Seen(seen))).await
    }

    /// Like [`Store::keep_ssids`].
    pub async fn keep_ssids(&self, ssids: Vec<Arc<[u8]>>) -> Result<(), StoreError> {
        self.send(Command::KeepSsids(ssids)).await
    }

    /// Makes the good copy now, if anything changed since the last one.
    pub async fn save_good_copy(&self) -> Result<(), StoreError> {
        self.send(Command::GoodCopy).await
    }

    /// Stores what is queued, makes the good copy, closes the registry and waits for all that. Commands that
    /// come later fail with [`StoreError::Stopped`].
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        self.send(Command::Shutdown).await
    }

    /// How the store is doing.
    pub fn health(&self) -> StoreHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&self, command: Command) -> Result<(), StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Job { command, reply, _place: Some(place) }).map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

/// When the next good copy is due.
#[derive(Debug)]
struct Schedule {
    delay: Duration,
    last_change: Option<Instant>,
    not_before: Option<Instant>,
}

impl Schedule {
    fn new(delay: Duration) -> Schedule {
        Schedule { delay, last_change: None, not_before: None }
    }

    fn due(&self) -> Option<Instant> {
        let due = self.last_change? + self.delay;
        Some(self.not_before.map_or(due, |limit| limit.max(due)))
    }

    fn changed(&mut self, now: Instant) {
        self.last_change = Some(now);
    }

    fn copied(&mut self, now: Instant, size: u64) {
        self.last_change = None;
        self.not_before = Some(now + Duration::from_secs(size / COPY_RATE));
    }

    fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + COPY_RETRY);
    }
}

struct Worker {
    store: Store,
    waiting: VecDeque<Job>,
    health: Arc<Mutex<StoreHealth>>,
    schedule: Schedule,
}

impl Worker {
    /// Works until told to stop; returns who wants to know when the store is closed.
    fn run(&mut self, jobs: &Receiver<Job>) -> Option<Reply> {
        self.schedule_copy();
        loop {
            if !self.wait(jobs) {
                return None;
            }
            while let Some(job) = self.waiting.pop_front() {
                match job.command {
                    Command::Write(write) => self.group(write, job.reply, job._place),
                    Command::KeepSsids(ssids) => {
                        let result = self.store.keep_ssids(&ssids);
                        self.answer(job.reply, result);
                    }
                    Command::GoodCopy => {
                        let result = self.copy();
                        self.answer(job.reply, result);
                    }
                    Command::Shutdown => return Some(job.reply),
                }
            }
        }
    }

    /// Takes whatever has come; sleeps while there is nothing, and makes the good copy when it is due.
    /// False when nobody can send anything any more.
    fn wait(&mut self, jobs: &Receiver<Job>) -> bool {
        let first = match self.schedule.due() {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => jobs.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match first {
            Ok(job) => {
                self.waiting.push_back(job);
                self.waiting.extend(jobs.try_iter().take(GROUP));
                true
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = self.copy() {
                    crate::log::warn!("{error}");
                    self.note(Some(error.to_string()));
                }
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Stores this and all writes that directly follow in the queue.
    fn group(&mut self, write: Owned, reply: Reply, place: Option<OwnedSemaphorePermit>) {
        let mut group = vec![(write, reply, place)];
        while group.len() < GROUP && self.waiting.front().is_some_and(|job| matches!(job.command, Command::Write(_))) {
            if let Some(Job { command: Command::Write(write), reply, _place }) = self.waiting.pop_front() {
                group.push((write, reply, _place));
            }
        }
        let writes: Vec<Write<'_>> = group.iter().map(|(write, ..)| write.borrow()).collect();
        let together = self.store.write(&writes);
        if together.is_err() && group.len() > 1 {
            for (write, reply, _place) in group {
                let alone = self.store.write(&[write.borrow()]);
                self.answer(reply, alone);
            }
            self.schedule_copy();
            return;
        }
        self.schedule_copy();
        let mut result = Some(together);
        for (_, reply, _place) in group {
            // A group of several only gets here when it succeeded.
            self.answer(reply, result.take().unwrap_or(Ok(())));
        }
    }

    fn schedule_copy(&mut self) {
        if self.store.copy_is_stale() {
            self.schedule.changed(Instant::now());
        }
    }

    fn copy(&mut self) -> Result<(), StoreError> {
        let stale = self.store.copy_is_stale();
        let result = self.store.save_good_copy();
        let now = Instant::now();
        match &result {
            Ok(()) => {
                self.schedule.copied(now, self.store.copy_size());
                if stale {
                    self.lock_health().copied = Some(UnixTime::now());
                }
                self.note(None);
            }
            Err(_) => self.schedule.failed(now),
        }
        result
    }

    fn answer(&mut self, reply: Reply, result: Result<(), StoreError>) {
        match &result {
            Ok(()) => self.note(None),
            Err(StoreError::Refused(_)) => {}
            Err(error) => self.note(Some(error.to_string())),
        }
        // Nobody may be waiting any more; the change is stored all the same.
        let _ = reply.send(result);
    }

    fn note(&self, failure: Option<String>) {
        let mut health = self.lock_health();
        if health.failure != failure {
            health.failure = failure;
        }
    }

    fn lock_health(&self) -> std::sync::MutexGuard<'_, StoreHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_wait_for_quiet_and_spare_the_flash() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::new(COPY_DELAY);
        assert_eq!(schedule.due(), None);
        schedule.changed(at(0));
        schedule.changed(at(5));
        assert_eq!(schedule.due(), Some(at(15)));
        // 60 KiB: the next one not within a minute, and only if something changes.
        schedule.copied(at(15), 60 * 1024);
        assert_eq!(schedule.due(), None);
        schedule.changed(at(16));
        assert_eq!(schedule.due(), Some(at(75)));
        schedule.changed(at(70));
        assert_eq!(schedule.due(), Some(at(80)));
        // A failed one is not tried again at once, whatever changes.
        schedule.failed(at(80));
        schedule.changed(at(81));
        assert_eq!(schedule.due(), Some(at(380)));
    }
}

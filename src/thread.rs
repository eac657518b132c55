//! Threads beside the event loop, and queues to them.
//!
//! A thread is handed its work through a queue of its own. `std::sync::mpsc` would do, too, with three kinds of channels in the
//! program for each type of job; jobs here are few and long, so one lock is enough.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Instant;

/// Starts a thread with a stack of so many octets. Nobody waits for its end.
///
/// What it does comes in a box: starting a thread is in the program once, and not for each of them.
///
/// # Errors
/// When the system gives none.
pub fn spawn(name: &str, stack: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(body).map(drop)
}

/// A queue for jobs, of which at most so many wait.
pub fn queue<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { waiting: VecDeque::new(), most, senders: 1, receivers: 1 };
    let queue = Arc::new(Queue { state: Mutex::new(state), news: Condvar::new() });
    (Sender(queue.clone()), Receiver(queue))
}

#[derive(Debug)]
struct Queue<T> {
    state: Mutex<State<T>>,
    /// A job was queued, or the last sender is gone.
    news: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    most: usize,
    senders: usize,
    receivers: usize,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a queue that jobs are put in at. When the last one is dropped, receivers learn it after the jobs that wait.
#[derive(Debug)]
pub struct Sender<T>(Arc<Queue<T>>);

impl<T> Sender<T> {
    /// Queues a job. False, and the job is dropped, when too many wait or nobody takes any.
    #[must_use]
    pub fn send(&self, job: T) -> bool {
        let mut state = self.0.lock();
        if state.receivers == 0 || state.waiting.len() >= state.most {
            return false;
        }
        state.waiting.push_back(job);
        self.0.news.notify_one();
        true
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.news.notify_all();
    }
}

/// The end of a queue that jobs are taken from. When the last one is dropped, so are the jobs that wait.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Queue<T>>);

/// What came of waiting for a job.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// This one.
    Job(T),
    /// None, until then.
    Late,
    /// None, and none will come: nobody can send any.
    Closed,
}

impl<T> Receiver<T> {
    /// Waits for a job; nothing when none can come any more.
    pub fn receive(&self) -> Option<T> {
        match self.receive_until(None) {
            Received::Job(job) => Some(job),
            Received::Late | Received::Closed => None,
        }
    }

    /// Waits for a job, until this moment if there is one.
    pub fn receive_until(&self, until: Option<Instant>) -> Received<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Received::Job(job);
            }
            if state.senders == 0 {
                return Received::Closed;
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Received::Late,
                Some(left) => self.0.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Moves at most so many of the jobs that wait to the end of these.
    pub fn take(&self, most: usize, jobs: &mut VecDeque<T>) {
        let mut state = self.0.lock();
        let most = most.min(state.waiting.len());
        jobs.extend(state.waiting.drain(..most));
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.0.lock().receivers += 1;
        Receiver(self.0.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receivers -= 1;
        let left = if state.receivers == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        // What hangs on a job may want the lock.
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn jobs_come_in_their_order_and_no_more_than_fit() {
        let (sender, receiver) = queue(2);
        assert!(sender.send(1) && sender.send(2));
        assert!(!sender.send(3));
        assert_eq!(receiver.receive(), Some(1));
        assert!(sender.send(4));
        let mut jobs = VecDeque::from([0]);
        receiver.take(1, &mut jobs);
        assert_eq!(jobs, [0, 2]);
        receiver.take(9, &mut jobs);
        assert_eq!(jobs, [0, 2, 4]);
        assert_eq!(receiver.receive_until(Some(Instant::now() + Duration::from_millis(5))), Received::Late);
    }

    #[test]
    fn who_is_left_alone_learns_it() {
        let (sender, receiver) = queue(2);
        let other = sender.clone();
        drop(sender);
        assert!(other.send(7));
        drop(other);
        assert_eq!(receiver.receive(), Some(7));
        assert_eq!(receiver.receive(), None);
        assert_eq!(receiver.receive_until(Some(Instant::now())), Received::Closed);

        let (sender, receiver) = queue(2);
        let other = receiver.clone();
        drop(receiver);
        let job = Arc::new(());
        assert!(sender.send(job.clone()));
        drop(other);
        assert_eq!(Arc::strong_count(&job), 1, "dropped with the last receiver");
        assert!(!sender.send(job));
    }

    #[test]
    fn a_thread_is_woken() {
        let ((jobs, todo), (results, done)) = (queue::<u32>(8), queue::<u32>(8));
        let body = move || {
            while let Some(job) = todo.receive() {
                assert!(results.send(job * 2));
            }
        };
        spawn("test", 64 * 1024, Box::new(body)).expect("a thread");
        for job in [3, 4] {
            assert!(jobs.send(job));
            assert_eq!(done.receive(), Some(job * 2));
        }
        drop(jobs);
        assert_eq!(done.receive(), None, "the thread has ended");
    }
}

//! Addresses of names, by the system's resolver, which may take half a minute when DNS is gone: so it has threads of its own, and
//! nobody waits for it longer than he likes.

use super::super::work;
use crate::sorted::SortedMap;
use std::cell::{OnceCell, RefCell};
use std::net::{IpAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long an answer is good.
const GOOD: Duration = Duration::from_secs(60);
/// How long it is believed that there is none.
const BAD: Duration = Duration::from_secs(5);
/// How long addresses are remembered for when DNS is gone.
const STALE: Duration = Duration::from_secs(86_400);
/// Threads: one that waits for a name server which does not answer must not keep other names waiting.
const THREADS: usize = 2;
/// Names that may wait for a thread.
const QUEUE: usize = 16;
/// Names that are remembered.
const NAMES: usize = 256;
/// Addresses taken of one name.
const ADDRESSES: usize = 8;

/// The addresses of a name, or why there are none, in words.
pub type Resolved = Result<Vec<IpAddr>, Arc<str>>;
type Question = (Arc<str>, oneshot::Sender<Resolved>);

#[derive(Debug, Clone)]
struct Known {
    last: Resolved,
    until: Instant,
    /// The last good answer, and when it came.
    good: Option<(Vec<IpAddr>, Instant)>,
}

/// What is known of names.
#[derive(Default)]
pub struct Names {
    known: RefCell<SortedMap<Arc<str>, Known>>,
    /// Those that are being asked for.
    asked: RefCell<SortedMap<Arc<str>, Rc<Notify>>>,
    queue: OnceCell<Option<SyncSender<Question>>>,
}

impl Names {
    /// The addresses of a name if they are known, without waiting.
    pub fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.borrow();
        let fresh = known.get(name).filter(|known| known.until > Instant::now())?;
        fresh.last.clone().ok()
    }

    /// The addresses of a name. When nobody has an answer until then, those of before; or why there are none.
    pub async fn resolve(self: &Rc<Self>, name: &Arc<str>, until: Instant) -> Resolved {
        loop {
            if let Some(known) = self.known.borrow().get(name)
                && known.until > Instant::now()
            {
                return self.answer(name, known.last.clone());
            }
            let over = self.ask(name);
            let notified = over.notified();
            if timeout_at(until, notified).await.is_err() {
                return self
                    .answer(name, Err(format!("the name {name} cannot be resolved: DNS does not answer").into()));
            }
        }
    }

    /// What was true lately is better than nothing.
    fn answer(&self, name: &str, resolved: Resolved) -> Resolved {
        let known = self.known.borrow();
        let good = known.get(name).and_then(|known| known.good.as_ref());
        match (resolved, good) {
            (Err(_), Some((addresses, at))) if at.elapsed() < STALE => Ok(addresses.clone()),
            (resolved, _) => resolved,
        }
    }

    /// Asks, unless somebody has already.
    fn ask(self: &Rc<Self>, name: &Arc<str>) -> Rc<Notify> {
        if let Some(asked) = self.asked.borrow().get(name) {
            return asked.clone();
        }
        let over = Rc::new(Notify::new());
        self.asked.borrow_mut().insert(name.clone(), over.clone());
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.get_or_init(start).as_ref();
        // A full queue drops the question with its sender: then there is no answer at once.
        let _ = queue.map(|queue| queue.try_send((name.clone(), reply)));
        let (names, name, notify) = (self.clone(), name.clone(), over.clone());
        crate::daemon::task::spawn(async move {
            let resolved = answer.await.unwrap_or_else(|_| {
                Err(format!("the name {name} cannot be resolved: too many other names wait for DNS").into())
            });
            names.learn(&name, resolved);
            names.asked.borrow_mut().remove(&name);
            notify.notify_waiters();
        });
        over
    }

    fn learn(&self, name: &Arc<str>, resolved: Resolved) {
        let mut known = self.known.borrow_mut();
        let now = Instant::now();
        if known.len() >= NAMES {
            known.retain(|_, known| known.until > now);
        }
        let before = known.remove(name).and_then(|known| known.good);
        let (until, good) = match &resolved {
            Ok(addresses) => (now + GOOD, Some((addresses.clone(), now))),
            Err(_) => (now + BAD, before),
        };
        if known.len() < NAMES {
            known.insert(name.clone(), Known { last: resolved, until, good });
        }
    }
}

/// Starts the threads; nothing when there can be none.
fn start() -> Option<SyncSender<Question>> {
    let (queue, questions) = sync_channel::<Question>(QUEUE);
    let questions = Arc::new(Mutex::new(questions));
    for _ in 0..THREADS {
        let questions = questions.clone();
        if let Err(why) = work::spawn_with(RESOLVER_STACK, "names", move || answer_questions(&questions)) {
            crate::log::error!("no thread to resolve names with: {why}");
            return None;
        }
    }
    Some(queue)
}

/// Octets of a thread's stack: the C library's resolver keeps answers of 64 KiB there.
const RESOLVER_STACK: usize = 256 * 1024;

fn answer_questions(questions: &Mutex<Receiver<Question>>) {
    loop {
        let question = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((name, reply)) = question else { return };
        // In OpenWrt's jail, and where no dnsmasq runs, the C library asks nobody who answers.
        let found = match super::names::addresses(&name) {
            Some(found) => Ok(found),
            None => (&*name, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect()),
        };
        let found = found.map(|found: Vec<IpAddr>| {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.into_iter().map(|address| address.to_canonical()) {
                if !addresses.contains(&address) && addresses.len() < ADDRESSES {
                    addresses.push(address);
                }
            }
            addresses
        });
        let _ = reply.send(match found {
            Ok(addresses) if addresses.is_empty() => Err(format!("the name {name} has no address").into()),
            Ok(addresses) => Ok(addresses),
            Err(why) => {
                let why = why.to_string();
                let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
                Err(format!("the name {name} cannot be resolved: {why}").into())
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::LocalSet;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(LocalSet::new().run_until(test));
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn names_are_resolved_and_remembered() {
        run(async {
            let names = Rc::new(Names::default());
            let localhost: Arc<str> = "localhost".into();
            assert_eq!(names.known("localhost"), None);
            let both = tokio::join!(names.resolve(&localhost, soon()), names.resolve(&localhost, soon()));
            let found = both.0.clone().unwrap();
            assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
            assert_eq!(both.0, both.1);
            assert_eq!(names.known("localhost"), Some(found));
            assert!(names.asked.borrow().is_empty());
        });
    }

    #[test]
    fn why_a_name_cannot_be_resolved_is_said_and_what_was_known_is_used() {
        run(async {
            let names = Rc::new(Names::default());
            // Not a name of DNS at all: nobody is asked.
            let bad: Arc<str> = "no name".into();
            let why = names.resolve(&bad, soon()).await.unwrap_err();
            assert!(why.starts_with("the name no name cannot be resolved: "), "{why}");
            assert!(!why.contains("failed to lookup"), "{why}");
            let known = vec![IpAddr::from([192, 0, 2, 7])];
            names.learn(&bad, Ok(known.clone()));
            names.learn(&bad, Err("DNS is gone".into()));
            assert_eq!(names.known("no name"), None);
            assert_eq!(names.resolve(&bad, soon()).await, Ok(known));
        });
    }

    #[test]
    fn nobody_waits_longer_than_he_likes() {
        run(async {
            let names = Rc::new(Names::default());
            // Somebody asks already, and gets no answer.
            names.asked.borrow_mut().insert("slow.example".into(), Rc::new(Notify::new()));
            let until = Instant::now() + Duration::from_millis(20);
            let why = names.resolve(&"slow.example".into(), until).await.unwrap_err();
            assert_eq!(&*why, "the name slow.example cannot be resolved: DNS does not answer");
        });
    }

    #[test]
    fn memory_is_bounded() {
        run(async {
            let names = Names::default();
            for n in 0..2 * NAMES {
                names.learn(&format!("{n}.example").into(), Err("no".into()));
            }
            assert_eq!(names.known.borrow().len(), NAMES);
        });
    }
}

//! Requests that cannot be answered at once: they wait for a key search or for flash. Their answers go back where they came from.

use super::{Daemon, now};
use crate::service::radius::{self, Exchange, Next, Origin, Verdict, Via};
use std::cell::Cell;
use std::rc::Rc;

/// Requests that may wait for a search or for flash at the same time.
const IN_WORK: usize = 256;

/// How many there are.
#[derive(Default)]
pub struct Exchanges {
    in_work: Rc<Cell<usize>>,
}

/// Counts a request while it waits.
struct InWork(Rc<Cell<usize>>);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Exchanges {
    /// Does what there is to be done for a request before it can be answered; when there is too much of that, it is abandoned.
    pub fn go_on(&self, daemon: &Rc<Daemon>, next: Next) {
        match next {
            Next::Nothing | Next::Send => {}
            Next::Search(exchange, ..) | Next::Commit(exchange) if self.in_work.get() >= IN_WORK => {
                exchange.abandon(&mut daemon.core.borrow_mut());
            }
            next => {
                self.in_work.set(self.in_work.get() + 1);
                let guard = InWork(self.in_work.clone());
                tokio::task::spawn_local(finish(daemon.clone(), next, guard));
            }
        }
    }
}

impl Daemon {
    /// Puts an answer to what goes out next where its request came from; it is lost when that is not open any more, as any answer may be:
    /// the NAS asks again, and gets it from the duplicate cache. Nothing is sent when it is empty. The buffer is another one afterwards.
    pub fn answer(&self, to: Origin, packet: &mut Vec<u8>) {
        match to.via {
            _ if packet.is_empty() => {}
            Via::Udp(number) => self.sockets.answer(number, to.address, packet),
            Via::Tls(connection) => drop(self.radsec.send(connection, packet)),
        }
    }

    /// Sends the answers that wait.
    pub fn flush_answers(&self) {
        self.sockets.flush();
        self.radsec.flush();
    }
}

async fn finish(daemon: Rc<Daemon>, mut next: Next, _guard: InWork) {
    let mut out = Vec::new();
    loop {
        next = match next {
            Next::Nothing | Next::Send => break,
            Next::Search(exchange, keys, handshake) => {
                let Some(proof) = daemon.searcher.search(keys, handshake) else {
                    return exchange.abandon(&mut daemon.core.borrow_mut());
                };
                let Ok(proof) = proof.await else {
                    return exchange.abandon(&mut daemon.core.borrow_mut());
                };
                let next = radius::resume(&mut daemon.core.borrow_mut(), &exchange, proof, now(), &mut out);
                if matches!(next, Next::Send) {
                    daemon.answer(exchange.from, &mut out);
                }
                next
            }
            Next::Commit(exchange) => {
                commit(&daemon, exchange, &mut out).await;
                Next::Nothing
            }
        };
    }
    daemon.flush_answers();
    daemon.upstream.pump(&daemon);
}

async fn commit(daemon: &Daemon, exchange: Exchange, out: &mut Vec<u8>) {
    let from = exchange.from;
    let _writer = daemon.writer.lock().await;
    let verdict = radius::settle(&mut daemon.core.borrow_mut(), exchange, now(), out);
    match verdict {
        Verdict::Nothing => {}
        Verdict::Send => daemon.answer(from, out),
        Verdict::Store(changes, finish) => {
            let stored = daemon.commit(changes).await;
            if let Err(why) = &stored {
                tracing::error!("a binding was not stored: {why}");
            }
            finish(&mut daemon.core.borrow_mut(), stored.is_ok(), now(), out);
            daemon.answer(from, out);
        }
    }
}

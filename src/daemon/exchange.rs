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
                crate::daemon::task::spawn(finish(daemon.clone(), next, guard));
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
                crate::log::error!("a binding was not stored: {why}");
            }
            finish(&mut daemon.core.borrow_mut(), stored.is_ok(), now(), out);
            daemon.answer(from, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Files, port, run};
    use super::*;
    use crate::registry::device::Change;
    use crate::registry::tests::device;
    use crate::secret::RadiusSecret;
    use crate::wire::radius::{AttributeType, Builder, Code, Packet};
    use std::time::Duration;
    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    /// What hostapd asks in the handshake of a stranger: its key takes long to search for.
    fn request(identifier: u8) -> Vec<u8> {
        let (secret, mut packet) = (RadiusSecret::new(b"secret of the tests"), Vec::new());
        let mut builder = Builder::access_request(identifier, [identifier; 16], &secret, &mut packet);
        builder.push(AttributeType::CALLED_STATION_ID, b"02-00-00-00-00-AA:Home").unwrap();
        let calling = format!("00-1A-11-00-00-{identifier:02X}");
        builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).unwrap();
        builder.push_u32(AttributeType::WLAN_AKM_SUITE, 0x000f_ac02).unwrap();
        let rsne = [0x30, 0x14, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 2, 0, 0];
        let mut frame = vec![1, 3, 0, 95 + rsne.len() as u8, 2, 0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        frame.extend([0xa5; 32]);
        frame.extend([0; 32]);
        frame.extend([0x77; 16]);
        frame.extend([0, rsne.len() as u8]);
        frame.extend(rsne);
        for (kind, value) in [(1, &[0x5a; 32][..]), (2, &frame)] {
            builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 11344, kind, value).unwrap();
        }
        builder.finish();
        packet
    }

    #[test]
    fn when_too_many_wait_the_next_is_abandoned_and_the_daemon_serves_on() {
        run(async {
            let (files, port) = (Files::new(), port());
            let daemon = files.daemon(&format!(
                "\tlist auth_listen '127.0.0.1:{port}'\nconfig profile 'iot'\n\toption vlan '20'\nconfig ssid\n\toption ssid 'Home'\n\
                 config client 'nas'\n\toption address '127.0.0.1'\n\toption secret 'secret of the tests'\n"
            ));
            let devices = (1..=300).map(|id| device(id, &format!("d{id}"), "iot", &format!("key number {id}")));
            {
                let core = &mut *daemon.core.borrow_mut();
                core.apply(&[Change::Put(devices.collect())]);
                while core.keyring.is_busy() {
                    for job in core.keyring.jobs(64, &core.registry) {
                        core.keyring.insert(job.run(), &core.registry);
                    }
                }
            }
            let nas = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            nas.connect(("127.0.0.1", port)).await.unwrap();
            let mut answer = [0; 4096];

            daemon.exchanges.in_work.set(IN_WORK);
            for identifier in 1..=3 {
                nas.send(&request(identifier)).await.unwrap();
            }
            assert!(timeout(Duration::from_millis(300), nas.recv(&mut answer)).await.is_err(), "nobody is answered");
            assert_eq!((daemon.core.borrow().radius.stats.overload, daemon.exchanges.in_work.get()), (3, IN_WORK));

            // What is sent again when there is room is worked on: nothing of it was kept.
            daemon.exchanges.in_work.set(IN_WORK - 1);
            nas.send(&request(1)).await.unwrap();
            let length = timeout(Duration::from_secs(10), nas.recv(&mut answer)).await.unwrap().unwrap();
            assert_eq!(Packet::parse(&answer[..length]).unwrap().code(), Code::ACCESS_REJECT);
            assert_eq!(daemon.exchanges.in_work.get(), IN_WORK - 1);
        });
    }
}

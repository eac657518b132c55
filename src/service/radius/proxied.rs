//! Requests that others answer.

use super::{Next, Origin};
use crate::proxy::{LinkId, Output, Received, ServerId};
use crate::service::{Core, Now};
use std::time::Instant;

/// What came of a packet that a link brought.
#[derive(Debug)]
pub enum Returned {
    /// There is something to be done for this client, as after a datagram of its own.
    Answer(Origin, Next),
    /// It is a request of this server (RFC 5176), verified.
    Request(ServerId),
    /// Nothing to do.
    Nothing,
    /// The link cannot be used any more: close it; why, in words.
    Broken(&'static str),
}

/// What the shell has to do for the proxy.
#[derive(Debug)]
pub enum Errand {
    /// Send this packet. The buffer goes back with [`crate::proxy::Engine::reuse`].
    Send(LinkId, Vec<u8>),
    /// Open a way to this server.
    Open(ServerId),
    /// Close this one.
    Close(LinkId),
    /// Nobody has answered this client's request: what is to be done for it, as after a datagram of its own.
    Answer(Origin, Next),
}

/// Takes a packet that came over a link. The answer for the client, if there is one at once, is left in `out`.
pub fn receive_answer(core: &mut Core, link: LinkId, packet: &[u8], now: Now, out: &mut Vec<u8>) -> Returned {
    let _ = out;
    match core.proxy.engine.receive(link, packet, now.mono) {
        Received::Answer(_) | Received::Nothing => Returned::Nothing,
        Received::Request(server, _) => Returned::Request(server),
        Received::Broken(why) => Returned::Broken(why),
    }
}

/// What the shell has to do next.
pub fn errand(core: &mut Core, now: Now, out: &mut Vec<u8>) -> Option<Errand> {
    let _ = (now, out);
    loop {
        match core.proxy.engine.poll()? {
            Output::Send(link, packet) => return Some(Errand::Send(link, packet)),
            Output::Open(server) => return Some(Errand::Open(server)),
            Output::Close(link) => return Some(Errand::Close(link)),
            _ => {}
        }
    }
}

impl Core {
    /// Time has passed for the proxy.
    pub fn proxy_timeout(&mut self, now: Instant) {
        self.proxy.engine.timeout(now, &mut *self.random);
    }
}

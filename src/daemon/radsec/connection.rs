//! What comes over the connection of a RadSec client: authentication and accounting over one port (RFC 6614, 2.2), and the
//! answers to what it was asked (RFC 5176).

use super::super::{Daemon, now};
use super::IDLE;
use super::pipe::Pipe;
use crate::config::Client;
use crate::service::Core;
use crate::service::disconnect::To;
use crate::service::radius::{self, Next, Origin, Via};
use crate::wire::radius::{AttributeType, Builder, Code, Packet, error_cause};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Extended-Type of Original-Packet-Code (RFC 7930, 4).
const ORIGINAL_PACKET_CODE: u8 = 4;

/// Carries packets until the connection is over; returns why it is.
pub async fn run(daemon: &Rc<Daemon>, id: u32, client: &Arc<str>, from: SocketAddr, pipe: &Pipe) -> Arc<str> {
    let origin = Origin { address: from, via: Via::Tls(id) };
    let mut take = |packet: &[u8]| take(daemon, origin, client, packet);
    let turn = || {
        daemon.flush_answers();
        daemon.upstream.pump(daemon);
    };
    pipe.run(daemon, Some(IDLE), &mut take, &turn).await
}

/// Takes a packet. What no honest client sends ends the connection (RFC 6614, 2.6.4).
fn take(daemon: &Rc<Daemon>, origin: Origin, client: &Arc<str>, octets: &[u8]) -> Result<(), Arc<str>> {
    let packet = Packet::parse(octets).map_err(|why| format!("it sent a malformed packet: {why}"))?;
    let code = packet.code();
    if code.is_reply() {
        answered(daemon, origin, client, &packet);
        return Ok(());
    }
    let mut out = daemon.answer.take();
    let next = {
        let core = &mut *daemon.core.borrow_mut();
        let before = core.radius.stats.bad_authenticator;
        let next = match code {
            Code::ACCESS_REQUEST | Code::STATUS_SERVER => radius::receive_auth(core, origin, octets, now(), &mut out),
            Code::ACCOUNTING_REQUEST => radius::receive_accounting(core, origin, octets, now(), &mut out),
            _ => unwanted(core, client, &packet, &mut out),
        };
        if core.radius.stats.bad_authenticator != before {
            return Err("an authenticator of it is wrong: the secret of RadSec is always 'radsec'".into());
        }
        next
    };
    match next {
        Next::Nothing => {}
        Next::Send => daemon.answer(origin, &mut out),
        next => daemon.exchanges.go_on(daemon, next),
    }
    daemon.answer.set(out);
    Ok(())
}

/// Answers a request of a kind that is not taken here (RFC 7930, 4; draft-ietf-radext-radiusdtls-bis).
fn unwanted(core: &Core, client: &str, request: &Packet<'_>, out: &mut Vec<u8>) -> Next {
    let known = |known: &&Client| *known.name == *client;
    let Some(client) = core.config.clients.iter().find(known) else { return Next::Nothing };
    protocol_error(&client.secret, request, out);
    Next::Send
}

/// Writes a Protocol-Error: this kind of request is not supported.
pub fn protocol_error(secret: &crate::secret::RadiusSecret, request: &Packet<'_>, out: &mut Vec<u8>) {
    let mut builder = Builder::reply(Code::PROTOCOL_ERROR, request, secret, out);
    // None can fail but for lack of room, and it is answered rather without them.
    let _ = builder.push_u32(AttributeType::ERROR_CAUSE, error_cause::UNSUPPORTED_EXTENSION);
    let _ = builder.push_extended(AttributeType::EXTENDED_1, ORIGINAL_PACKET_CODE, &[0, 0, 0, request.code().0]);
    let _ = builder.copy_proxy_states(request);
    builder.finish();
}

/// Takes the answer to a request of ours.
fn answered(daemon: &Rc<Daemon>, origin: Origin, client: &Arc<str>, packet: &Packet<'_>) {
    crate::log::debug!("client '{client}' at {} answers with {}", origin.address, packet.code());
    let from = To::Client(client.clone());
    daemon.core.borrow_mut().receive_disconnect(&from, packet.octets(), now());
    daemon.disconnect.notify_one();
}

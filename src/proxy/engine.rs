//! Which server, when, and how often.

use super::{Failure, Health, LinkId, Order, Output, Received, ServerId, Status, Ticket};
use crate::config::{Realm, Server};
use crate::secret::RadiusSecret;
use std::sync::Arc;
use std::time::Instant;

/// Where octets that nobody can foretell come from.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// The state of all servers, and the requests under way.
#[derive(Debug, Default)]
pub struct Engine {}

impl Engine {
    /// Follows the configuration. What is under way to servers that stay goes on.
    pub fn configure(&mut self, realms: &[Realm], now: Instant) {
        let _ = (realms, now);
    }

    /// The servers that DNS tells for a realm of `config realm` with this name, in place of those before (RFC 7585). Empty: none.
    pub fn discovered(&mut self, realm: &str, nai_realm: &str, servers: Vec<Server>, now: Instant) {
        let _ = (realm, nai_realm, servers, now);
    }

    /// Sends a request on.
    ///
    /// # Errors
    /// Why it cannot be, at once; else the answer comes from [`Engine::receive`], or [`Output::Failed`].
    pub fn submit(
        &mut self,
        ticket: Ticket,
        order: &Order<'_>,
        now: Instant,
        random: Random<'_>,
    ) -> Result<(), Failure> {
        let _ = (ticket, order, now, random);
        Err(Failure::Busy)
    }

    /// Nobody wants the answer any more.
    pub fn cancel(&mut self, ticket: Ticket) {
        let _ = ticket;
    }

    /// Takes a packet that came over a link.
    pub fn receive<'a>(&mut self, link: LinkId, packet: &'a [u8], now: Instant) -> Received<'a> {
        let _ = (link, packet, now);
        Received::Nothing
    }

    /// What the shell has to do next.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// Gives a buffer back.
    pub fn reuse(&mut self, buffer: Vec<u8>) {
        let _ = buffer;
    }

    /// When [`Engine::timeout`] is to be called at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant, random: Random<'_>) {
        let _ = (now, random);
    }

    /// A way to a server is open.
    pub fn opened(&mut self, server: ServerId, now: Instant) -> LinkId {
        let _ = (server, now);
        LinkId(0)
    }

    /// A way that was open is not any more.
    pub fn closed(&mut self, link: LinkId, why: Arc<str>, now: Instant) {
        let _ = (link, why, now);
    }

    /// No way could be opened.
    pub fn unreachable(&mut self, server: ServerId, why: Arc<str>, now: Instant) {
        let _ = (server, why, now);
    }

    /// The name of its `config realm`, and the server.
    pub fn server(&self, server: ServerId) -> Option<(&Arc<str>, &Server)> {
        let _ = server;
        None
    }

    /// The secret shared with a server: that of the realm, or `radsec`.
    pub fn secret(&self, server: ServerId) -> Option<&RadiusSecret> {
        let _ = server;
        None
    }

    /// Every server with the name of its `config realm`.
    pub fn status(&self) -> Vec<(Arc<str>, ServerId, Status)> {
        let _ = Health::Unknown;
        Vec::new()
    }
}

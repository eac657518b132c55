//! The server's side, states as types.

use crate::eap::{Context, Method, Progress};

/// One exchange.
pub struct Server {}

impl Server {
    /// Before its first message.
    pub fn new() -> Server {
        Server {}
    }
}

impl Method for Server {
    fn begin(&mut self, _context: &mut Context<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn receive(&mut self, _data: &[u8], _context: &mut Context<'_>) -> Progress {
        Progress::Discard("not there yet")
    }

    fn decided(&mut self, _admitted: bool, _context: &mut Context<'_>) -> Progress {
        Progress::Discard("not there yet")
    }

    fn octets(&self) -> usize {
        size_of::<Server>()
    }
}

//! EAP-PSK (RFC 4764): four messages, mutual proof of a 16-octet key, AES-128 for everything.

mod crypto;
mod message;
#[doc(hidden)]
pub mod peer;
mod server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use super::{Context, Entry, Method};

/// EAP-PSK in the method table.
pub const ENTRY: Entry = Entry { kind: 47, name: "EAP-PSK", begin };

fn begin(_: &mut Context<'_>) -> Option<Box<dyn Method + Send>> {
    Some(Box::new(server::Server::new()))
}

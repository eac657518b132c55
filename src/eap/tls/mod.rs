//! EAP-TLS (RFC 5216, RFC 9190).
//!
//! rustls does TLS; here are the framing ([`fragment`]), the order of messages in EAP with its keys and its protected
//! success indication (`method`), whom we trust and what of it is asked when (`verifier`, `server`), the sessions that
//! devices may resume (`sessions`), and words for what goes wrong (`words`).

pub mod fragment;
mod fuzzing;
mod hello;
mod method;
#[doc(hidden)]
pub mod peer;
mod server;
mod sessions;
#[cfg(test)]
mod tests;
mod verifier;
mod words;

#[doc(hidden)]
pub use fuzzing::fuzz;
pub use server::{Server, Settings};
pub use verifier::Judge;

use super::{Context, Entry, Method};

/// EAP-TLS in the method table.
pub const ENTRY: Entry = Entry { kind: 13, name: "EAP-TLS", begin };

fn begin(context: &mut Context<'_>) -> Option<Box<dyn Method + Send>> {
    context.tls.map(|server| Box::new(method::Tls::new(server)) as Box<dyn Method + Send>)
}

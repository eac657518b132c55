//! EAP-TLS (RFC 5216, RFC 9190).
//!
//! rustls does TLS; here are the framing ([`fragment`]), the order of messages in EAP with its keys and its protected
//! success indication (`method`), whom we trust and what of it is asked when (`verifier`, `server`), the sessions that
//! devices may resume (`sessions`), and words for what goes wrong (`words`).

pub mod fragment;
mod server;
mod sessions;
mod verifier;

pub use server::{Server, Settings};
pub use verifier::Judge;

//! Devices that others vouch for.

use crate::proxy::Engine;

/// The state of all that is asked of others.
#[derive(Default)]
pub struct Proxy {
    /// Servers, and the requests under way.
    pub engine: Engine,
}

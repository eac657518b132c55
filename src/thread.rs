//! Threads beside the event loop.

use std::io;
use std::thread::Builder;

/// Starts a thread with a stack of so many octets. Nobody waits for its end.
///
/// What it does comes in a box: starting a thread is in the program once, and not for each of them.
///
/// # Errors
/// When the system gives none.
pub fn spawn(name: &str, stack: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(body).map(drop)
}

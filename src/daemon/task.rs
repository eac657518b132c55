//! Tasks of the event loop.

use std::future::Future;
use std::pin::Pin;
use tokio::task::JoinHandle;

/// Has the event loop run a task beside the others.
///
/// Behind one type: what tokio needs for a task is in the program once, not for each kind of task (1.3 kB).
pub fn spawn(task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    spawn_boxed(Box::pin(task))
}

fn spawn_boxed(task: Pin<Box<dyn Future<Output = ()>>>) -> JoinHandle<()> {
    tokio::task::spawn_local(task)
}

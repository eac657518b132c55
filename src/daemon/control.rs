//! The control socket: one JSON request and reply a line, mode 0600.

use super::Daemon;
use super::call::Reply;
use crate::json::json;
use crate::service::control::{ApiError, Call, Filter, event_view};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Clients served at the same time.
const CLIENTS: usize = 16;
/// Clients that may follow the log: they stay, and the others need places too.
const FOLLOWERS: usize = 8;
/// Octets of the longest request: an import of 20,000 devices, or a bundle of 4 MiB with its quotes escaped.
const REQUEST: usize = 6 << 20;
/// A request longer than this waits until no other such is being read, so that memory stays bounded.
const SMALL: usize = 64 << 10;
/// A client has to send its request, and to take its reply, in this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// A client that asks nothing is disconnected.
const IDLE: Duration = Duration::from_secs(300);

/// The socket.
pub struct Listener {
    listener: UnixListener,
}

impl Listener {
    /// Makes the socket. A socket that a dead daemon left behind is replaced.
    pub fn bind(path: &Path) -> Result<Listener, Box<dyn Error>> {
        let bad = |why: io::Error| {
            let mend = match why.kind() {
                io::ErrorKind::PermissionDenied => {
                    let folder = path.parent().unwrap_or(path).display();
                    format!(": make the folder {folder} and give it to {} (chown)", super::rights::me())
                }
                _ => String::new(),
            };
            format!("option control_socket: cannot listen on {}: {why}{mend}", path.display())
        };
        if let Some(folder) = path.parent() {
            super::keyfile::make_dir(folder).map_err(bad)?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(bad(io::Error::new(io::ErrorKind::AddrInUse, "another daemon serves it")).into());
        }
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(bad(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of another kind")).into());
        }
        remove(path);
        let listener = UnixListener::bind(path).map_err(bad)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(bad)?;
        Ok(Listener { listener })
    }

    /// Serves clients for ever.
    pub async fn serve(self, daemon: Rc<Daemon>) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        let (long_requests, followers) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(FOLLOWERS)));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    // Out of descriptors, most likely: some will be free in a moment.
                    crate::log::warn!("a control client was not accepted: {why}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                refuse_client(stream);
                continue;
            };
            let (daemon, long_requests, followers) = (daemon.clone(), long_requests.clone(), followers.clone());
            crate::daemon::task::spawn(async move {
                let (reader, writer) = stream.into_split();
                let mut client = Client { daemon, long_requests, followers, reader, writer, read: Vec::new() };
                while client.serve_one().await.is_some() {}
                drop(place);
            });
        }
    }
}

/// Removes the socket, if it is there.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn refuse_client(stream: UnixStream) {
    let error = ApiError::new("busy", format!("{CLIENTS} clients are connected already: try again later"));
    // A fresh socket has room for so short a line.
    let _ = stream.try_write(format!("{}\n", error.to_json()).as_bytes());
}

struct Client {
    daemon: Rc<Daemon>,
    long_requests: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    read: Vec<u8>,
}

impl Client {
    /// Reads, runs and answers one request. Nothing when the client is done or misbehaves.
    async fn serve_one(&mut self) -> Option<()> {
        // Held until the request is done: as many octets again go into its JSON and its result.
        let mut long = None;
        let line = match self.line(&mut long).await {
            Ok(line) => line?,
            Err(error) => {
                let _ = self.write(&error.to_json()).await;
                return None;
            }
        };
        let done = match Call::parse(&line) {
            Ok(call) => super::call::run(&self.daemon, call).await,
            Err(error) => Err(error),
        };
        drop((line, long));
        match done {
            Ok(Reply::Value(value)) => self.write(&json!({ "result": value })).await,
            Ok(Reply::Follow(value, filter)) => self.follow(value, filter).await,
            Err(error) => self.write(&error.to_json()).await,
        }
    }

    /// The next line, without its end; nothing at the end of the stream. A long one takes the place for long ones.
    async fn line(&mut self, long: &mut Option<OwnedSemaphorePermit>) -> Result<Option<Vec<u8>>, ApiError> {
        let mut searched = 0;
        // From the first octet on, so that a client that sends one now and then does not hold its place for ever.
        let mut deadline = None;
        loop {
            let fresh = self.read.get(searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|b| *b == b'\n').map(|at| at + searched) {
                let rest = self.read.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.read.len();
            if searched > REQUEST {
                return Err(ApiError::new("too_long", format!("a request has at most {REQUEST} octets")));
            }
            if searched > SMALL && long.is_none() {
                let waiting = timeout(PATIENCE, self.long_requests.clone().acquire_owned()).await;
                let Ok(Ok(place)) = waiting else {
                    return Err(ApiError::new("busy", "another long request is being worked on: try again later"));
                };
                *long = Some(place);
                deadline = Some(Instant::now() + PATIENCE);
            }
            let until = match deadline {
                _ if self.read.is_empty() => Instant::now() + IDLE,
                Some(deadline) => deadline,
                None => *deadline.insert(Instant::now() + PATIENCE),
            };
            match timeout_at(until, self.reader.read_buf(&mut self.read)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
                Err(_) if self.read.is_empty() => return Ok(None),
                Err(_) => return Err(ApiError::new("timeout", "the request did not end with a line feed in 30 s")),
            }
        }
    }

    /// The events so far, and then each as it comes.
    async fn follow(&mut self, value: Value, filter: Filter) -> Option<()> {
        let Ok(_place) = self.followers.clone().try_acquire_owned() else {
            let error = ApiError::new("busy", format!("{FOLLOWERS} clients follow the log already"));
            return self.write(&error.to_json()).await;
        };
        let mut events = self.daemon.events.subscribe();
        self.write(&json!({ "result": value })).await?;
        let mut ignored = [0; 64];
        loop {
            let line = tokio::select! {
                event = events.recv() => match event {
                    Ok(event) if !filter.fits(&event, &self.daemon.core.borrow().registry) => continue,
                    Ok(event) => json!({ "event": event_view(&event) }),
                    Err(RecvError::Lagged(missed)) => json!({ "missed": missed }),
                    Err(RecvError::Closed) => return None,
                },
                read = self.reader.read(&mut ignored) => match read {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => continue,
                },
            };
            self.write(&line).await?;
        }
    }

    async fn write(&mut self, value: &Value) -> Option<()> {
        let mut line = value.to_string();
        line.push('\n');
        timeout(PATIENCE, self.writer.write_all(line.as_bytes())).await.ok()?.ok()
    }
}

//! A client socket of one BSS's control interface.

use crate::wire::hostapd::{MAX_REPLY, is_event};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// hostapd answers a request in this time, or there is something wrong with it. It has one thread, which scans,
/// derives keys and writes logs.
const ANSWER: Duration = Duration::from_secs(3);

/// A bound and connected socket, removed from the file system when it is dropped.
pub struct Socket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Socket {
    /// Makes a socket at `path` that talks to hostapd's at `target`.
    pub fn open(target: &Path, path: PathBuf) -> io::Result<Socket> {
        let _ = fs::remove_file(&path);
        let socket = net::UnixDatagram::bind(&path)?;
        let made = Socket { socket: connect(socket, target, &path)?, path };
        Ok(made)
    }

    /// Sends a request.
    pub async fn send(&self, request: &str) -> io::Result<()> {
        let sent = timeout(ANSWER, self.socket.send(request.as_bytes())).await.map_err(|_| silent())?;
        sent.map(|_| ())
    }

    /// Sends a request and waits for its reply. After an error the socket is of no more use: the reply may still come,
    /// and would be taken for that of the next request.
    pub async fn ask(&self, request: &str, reply: &mut Vec<u8>) -> io::Result<()> {
        let exchange = async {
            self.socket.send(request.as_bytes()).await?;
            loop {
                self.receive(reply).await?;
                if !is_event(reply) {
                    return Ok(());
                }
            }
        };
        timeout(ANSWER, exchange).await.map_err(|_| silent())?
    }

    /// The next datagram. The buffer is used again as it is: to wipe 8 KiB for each event would cost more than to read it.
    pub async fn receive(&self, datagram: &mut Vec<u8>) -> io::Result<()> {
        datagram.clear();
        datagram.reserve(MAX_REPLY);
        self.socket.recv_buf(datagram).await?;
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives the socket to hostapd's user, and connects it.
fn connect(socket: net::UnixDatagram, target: &Path, path: &Path) -> io::Result<UnixDatagram> {
    let theirs = fs::metadata(target)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if fs::metadata(path)?.uid() != theirs.uid() {
        chown(path, Some(theirs.uid()), None)?;
    }
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", ANSWER.as_secs()))
}

//! A client socket of one BSS's control interface.
//!
//! It has an abstract name (`unix(7)`) and no file: hostapd answers to a name wherever its own file system ends, which is not
//! ours when one of the two is jailed, and whoever it runs as. Only hostapd can write to it, as it is connected.

use crate::wire::hostapd::{MAX_REPLY, is_event};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// hostapd answers a request in this time, or there is something wrong with it. It has one thread, which scans,
/// derives keys and writes logs.
const ANSWER: Duration = Duration::from_secs(3);

/// A bound and connected socket.
pub struct Socket {
    socket: UnixDatagram,
}

impl Socket {
    /// Makes a socket that talks to hostapd's at `target`.
    pub fn open(target: &Path) -> io::Result<Socket> {
        // A name that nobody can take before us.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("latchkey-{:016x}", u64::from_be_bytes(random));
        let socket = net::UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        socket.connect(target)?;
        socket.set_nonblocking(true)?;
        // What came before it was connected is from anybody.
        while socket.recv(&mut random).is_ok() {}
        Ok(Socket { socket: UnixDatagram::from_std(socket)? })
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

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", ANSWER.as_secs()))
}

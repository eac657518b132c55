//! Hears of changes to rulesets from the kernel.

use crate::firewall::notice;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// The bit of `NFNLGRP_NFTABLES` among the groups.
const GROUP: u32 = 1 << (7 - 1);
/// Octets of a datagram that are read. One that is longer is cut off and counts as being about us.
const DATAGRAM: usize = 16 * 1024;

/// A subscription.
pub struct Notices {
    socket: Option<AsyncFd<OwnedFd>>,
    buffer: Vec<u8>,
}

impl Notices {
    /// Subscribes. Without the privilege to, nothing is ever heard; nor could anything be put back then.
    pub fn open() -> Notices {
        let socket = subscribe().inspect_err(|why| {
            crate::log::debug!("changes of the firewall by others go unnoticed: {why}");
        });
        Notices { socket: socket.ok(), buffer: vec![0; DATAGRAM] }
    }

    /// Waits until something happened to our table, or may have.
    pub async fn about_us(&mut self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = socket.readable().await else { return std::future::pending().await };
            match receive(socket.get_ref(), &mut self.buffer) {
                Ok(true) => return,
                Ok(false) => {}
                Err(Errno::EAGAIN) => ready.clear_ready(),
                // ENOBUFS: some were lost.
                Err(_) => return,
            }
        }
    }

    /// Forgets what came since: the look that follows is later.
    pub fn drain(&mut self) {
        let Some(socket) = &self.socket else { return };
        // Others may go on without end.
        for _ in 0..1000 {
            if receive(socket.get_ref(), &mut self.buffer) == Err(Errno::EAGAIN) {
                return;
            }
        }
    }
}

#[expect(deprecated, reason = "what replaces it is unsafe, for types that keep no hold of their descriptor")]
fn subscribe() -> std::io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUP))?;
    AsyncFd::new(fd)
}

/// Reads a datagram. True when it is about our table.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<bool> {
    let room = buffer.len();
    let length = recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)?;
    Ok(length > room || notice::concerns_us(buffer.get(..length).unwrap_or_default()))
}

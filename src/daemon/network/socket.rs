//! Netlink sockets: one request and its answer at a time, and the events of others.

use crate::network::message::{DONE, ERROR, Message, Messages, Request};
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket, sockopt::RcvBuf,
};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram as Datagrams;
use tokio::net::UnixDatagram;

/// Octets of the longest datagram: the kernel fills a dump's by the buffer it is read into, up to this.
const DATAGRAM: usize = 32 << 10;
/// Octets of events that may wait for us.
const BACKLOG: usize = 256 << 10;
/// A dump of what changes meanwhile is begun anew, so many times.
const ATTEMPTS: usize = 5;
/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Why the kernel did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The error number.
    pub code: i32,
    /// The kernel's own words.
    pub words: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.code))?;
        self.words.iter().try_for_each(|words| write!(f, ": {words}"))
    }
}

impl From<io::Error> for Refused {
    fn from(why: io::Error) -> Refused {
        Refused { code: why.raw_os_error().unwrap_or(nix::errno::Errno::EIO as i32), words: None }
    }
}

/// A socket for requests. It blocks: the kernel answers at once, but may have to wait for its own locks first.
pub struct Socket {
    socket: NlSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket of a family.
    pub fn open(family: NlFamily) -> io::Result<Socket> {
        let socket = NlSocket::connect(family, None, Groups::empty())?;
        // Linux before 4.12 has no words.
        let _ = socket.enable_ext_ack(true);
        Ok(Socket { socket, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Sends a request, and hands over each message of the answer. A dump of a table that changed meanwhile starts from
    /// the beginning: `begin` is called before each attempt.
    pub fn dump(&mut self, request: &Request, mut begin: impl FnMut(Option<&[u8]>)) -> Result<(), Refused> {
        for _ in 0..ATTEMPTS {
            begin(None);
            if !self.once(request, |message| begin(Some(message.body)))? {
                break;
            }
        }
        Ok(())
    }

    /// Sends a request, and hands over what comes before its acknowledgement.
    pub fn ask(&mut self, request: &Request, mut each: impl FnMut(&[u8])) -> Result<(), Refused> {
        self.once(request, |message| each(message.body)).map(drop)
    }

    /// True when what was told of changed meanwhile.
    fn once(&mut self, request: &Request, mut each: impl FnMut(&Message<'_>)) -> Result<bool, Refused> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.socket.send(request.to_octets(self.sequence), Msg::empty())?;
        let mut interrupted = false;
        loop {
            let (length, _) = self.socket.recv(&mut self.buffer[..], Msg::TRUNC)?;
            let Some(datagram) = self.buffer.get(..length) else {
                return Err(io::Error::from_raw_os_error(nix::errno::Errno::EMSGSIZE as i32).into());
            };
            for message in Messages(datagram).filter(|message| message.sequence == self.sequence) {
                interrupted |= message.is_interrupted();
                match message.kind {
                    ERROR | DONE => {
                        return match message.error() {
                            (0, _) => Ok(interrupted),
                            (code, words) => Err(Refused { code, words }),
                        };
                    }
                    _ => each(&message),
                }
            }
        }
    }
}

/// What events were about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Interfaces or addresses.
    pub links: bool,
    /// Default routes, or what they depend on.
    pub routes: bool,
}

/// The kernel's events.
pub struct Events {
    /// A netlink socket. Tokio has no type of its own for it; receiving from it is like from any socket of datagrams.
    socket: UnixDatagram,
    buffer: Vec<u8>,
}

impl Events {
    /// Subscribes to them.
    pub fn open() -> io::Result<Events> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        // Less is enough most of the time; and what is lost is noticed.
        let _ = setsockopt(&socket, RcvBuf, &BACKLOG);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Events { socket: UnixDatagram::from_std(Datagrams::from(socket))?, buffer: vec![0; DATAGRAM / 4] })
    }

    /// Waits for events, and takes all there are.
    pub async fn wait(&mut self) -> io::Result<Changed> {
        let mut changed = Changed::default();
        self.socket.readable().await?;
        loop {
            match self.socket.try_recv(&mut self.buffer) {
                Ok(length) => match self.buffer.get(..length).filter(|datagram| datagram.len() < self.buffer.len()) {
                    Some(datagram) => Messages(datagram).for_each(|message| look_at(&message, &mut changed)),
                    // The rest of it may be missing.
                    None => changed = Changed { links: true, routes: true },
                },
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(changed),
                // The kernel had more to say than fits.
                Err(why) if why.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => {
                    crate::log::debug!("events of the network were lost: everything is looked at again");
                    changed = Changed { links: true, routes: true };
                }
                Err(why) => return Err(why),
            }
        }
    }
}

fn look_at(message: &Message<'_>, changed: &mut Changed) {
    use crate::network::message::{DEL_LINK, DEL_ROUTE, NEW_LINK, NEW_ROUTE, is_default_route};
    match message.kind {
        // An IPv4 route that goes with its interface is not mentioned.
        NEW_LINK | DEL_LINK => *changed = Changed { links: true, routes: true },
        NEW_ROUTE | DEL_ROUTE => changed.routes |= is_default_route(message.body),
        _ => changed.links = true,
    }
}

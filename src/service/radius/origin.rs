//! Where a request came from, and so where its answer goes.

use std::net::SocketAddr;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Address and port of the client.
    pub address: SocketAddr,
    /// What it came through.
    pub via: Via,
}

/// What a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// The UDP socket with this number, which the shell gave it.
    Udp(u32),
    /// The TLS connection with this number; never given twice.
    Tls(u32),
}

impl From<SocketAddr> for Origin {
    /// Through the first UDP socket.
    fn from(address: SocketAddr) -> Origin {
        Origin { address, via: Via::Udp(0) }
    }
}

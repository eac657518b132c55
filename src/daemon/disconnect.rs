//! The sockets that Disconnect-Requests go out of: one for each address family, open while there is something to ask. To clients
//! that come over RadSec they go over the connections those have made.

use super::{Daemon, now};
use crate::service::disconnect::To;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::UdpSocket;

/// Octets of the largest RADIUS packet (RFC 2865, 3), and one more to notice a larger one.
const DATAGRAM: usize = 4097;

#[derive(Default)]
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    /// Sends a request; true when the network took it. One that it does not take is sent again in its time.
    fn send(&mut self, to: SocketAddr, packet: &[u8]) -> bool {
        let (socket, any): (_, SocketAddr) = match to {
            SocketAddr::V4(_) => (&mut self.v4, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (&mut self.v6, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        let sent = match socket {
            Some(socket) => socket.try_send_to(packet, to),
            None => open(any).and_then(|opened| socket.insert(opened).try_send_to(packet, to)),
        };
        if let Err(why) = &sent {
            crate::log::debug!("a Disconnect-Request to {to} was not sent: {why}");
        }
        sent.is_ok()
    }
}

fn open(any: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Waits until something came; for ever if the socket is not open.
async fn came(socket: Option<&UdpSocket>) {
    match socket {
        Some(socket) if socket.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// Asks and takes answers for ever.
pub async fn run(daemon: Rc<Daemon>) {
    let mut sockets = Sockets::default();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let mut to_clients: Vec<(Arc<str>, Vec<u8>)> = Vec::new();
        let next = daemon.core.borrow_mut().send_disconnects(now(), |to, packet| match to {
            To::Udp(to) => sockets.send(*to, packet),
            To::Client(name) => {
                to_clients.push((name.clone(), packet.to_vec()));
                true
            }
        });
        for (client, packet) in to_clients {
            if !daemon.send_to_client(&client, &packet) {
                crate::log::debug!("client '{client}' has no connection for a Disconnect-Request");
                daemon.core.borrow_mut().disconnect_closed(&client);
            }
        }
        let Some(next) = next else {
            sockets = Sockets::default();
            daemon.disconnect.notified().await;
            continue;
        };
        tokio::select! {
            () = daemon.disconnect.notified() => {}
            () = tokio::time::sleep_until(next.into()) => {}
            () = came(sockets.v4.as_ref()) => take(&daemon, sockets.v4.as_ref(), &mut datagram),
            () = came(sockets.v6.as_ref()) => take(&daemon, sockets.v6.as_ref(), &mut datagram),
        }
    }
}

/// Takes what came. One at a time is enough: there are never more answers than requests.
fn take(daemon: &Daemon, socket: Option<&UdpSocket>, datagram: &mut [u8]) {
    if let Some(Ok((length, from))) = socket.map(|socket| socket.try_recv_from(datagram))
        && let Some(received) = datagram.get(..length)
    {
        daemon.core.borrow_mut().receive_disconnect(&To::Udp(from), received, now());
    }
}

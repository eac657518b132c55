//! One TLS connection with RADIUS in it, in either direction: rustls between a socket and packets.
//!
//! Packets that are sent are collected and encrypted together; how much waits for a peer that does not read is bounded, and
//! so is how much is read before others have their turn. An idle connection keeps nothing but what TLS needs.

use super::super::Daemon;
use crate::radsec::words;
use crate::wire::radius::Stream;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::CertificateDer;
use rustls::{Connection, HandshakeKind, ProtocolVersion};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Octets that may wait for a peer that does not read them: some 200 packets. With more it is closed.
const WAITING: usize = 64 << 10;
/// Octets encrypted together: one record of TLS (RFC 8446, 5.1).
const RECORD: usize = 16 << 10;
/// Octets of plaintext taken before others have their turn.
const TURN: usize = 16 << 10;
/// A packet that has begun has to end in this time.
const PACKET: Duration = Duration::from_secs(30);
/// The kernel looks whether a silent peer is there after so many seconds, so often, and so many times.
const KEEPALIVE: (u32, u32, u32) = (60, 10, 3);
/// Milliseconds after which a peer that does not acknowledge what it was sent is gone.
const USER_TIMEOUT: u32 = 30_000;
/// Octets of a buffer that is kept for packets to be sent.
const KEPT: usize = 2048;

/// Takes a packet; an error, in words, ends the connection.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Arc<str>>;

/// A connection.
pub struct Pipe {
    tcp: TcpStream,
    state: RefCell<State>,
    /// Something is to be looked at: it ended, or what was sent did not go out at once.
    wake: Notify,
}

struct State {
    tls: Connection,
    /// Packets that are not encrypted yet.
    waiting: Vec<u8>,
    /// Octets of TLS were sent.
    sent: bool,
    /// Why it is over.
    ended: Option<Arc<str>>,
}

/// The socket as rustls reads and writes it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    /// Takes a socket that is connected, and TLS that is to begin.
    pub fn new(tcp: TcpStream, tls: impl Into<Connection>) -> Rc<Pipe> {
        let (idle, interval, count) = KEEPALIVE;
        let set = || -> io::Result<()> {
            tcp.set_nodelay(true)?;
            setsockopt(&tcp, sockopt::KeepAlive, &true)?;
            setsockopt(&tcp, sockopt::TcpKeepIdle, &idle)?;
            setsockopt(&tcp, sockopt::TcpKeepInterval, &interval)?;
            setsockopt(&tcp, sockopt::TcpKeepCount, &count)?;
            Ok(setsockopt(&tcp, sockopt::TcpUserTimeout, &USER_TIMEOUT)?)
        };
        if let Err(why) = set() {
            crate::log::debug!("a RadSec connection goes without keep-alive: {why}");
        }
        let mut tls = tls.into();
        tls.set_buffer_limit(Some(WAITING));
        let state = State { tls, waiting: Vec::new(), sent: false, ended: None };
        Rc::new(Pipe { tcp, state: RefCell::new(state), wake: Notify::new() })
    }

    /// Goes through the handshake, which has to be over at this time.
    ///
    /// # Errors
    /// Why it failed, in words. `said`: what was wrong with the certificate, if that was it.
    pub async fn handshake(&self, until: Instant, said: &dyn Fn() -> Option<Arc<str>>) -> Result<(), Arc<str>> {
        let shake = async {
            loop {
                self.write_out(&mut self.state.borrow_mut());
                let (over, wants_read, wants_write) = {
                    let state = self.state.borrow();
                    if let Some(why) = &state.ended {
                        return Err(why.clone());
                    }
                    (!state.tls.is_handshaking(), state.tls.wants_read(), state.tls.wants_write())
                };
                if over {
                    return Ok(());
                }
                tokio::select! {
                    ready = self.tcp.readable(), if wants_read => ready.map_err(|why| words::socket(&why))?,
                    ready = self.tcp.writable(), if wants_write => ready.map_err(|why| words::socket(&why))?,
                }
                self.fill(said)?;
            }
        };
        timeout_at(until, shake).await.unwrap_or_else(|_| Err("its part of the TLS handshake does not come".into()))
    }

    /// In TLS 1.3 a server judges our certificate only when for us the handshake is over. So the client waits a moment for what comes of
    /// that: the tickets most servers send, or an alert.
    ///
    /// # Errors
    /// Why we were not let in, in words.
    pub async fn settled(&self, wait: Duration) -> Result<(), Arc<str>> {
        let alert_may_come = self.state.borrow().tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if alert_may_come && timeout_at(Instant::now() + wait, self.tcp.readable()).await.is_ok() {
            self.fill(&|| None)?;
        }
        Ok(())
    }

    /// The certificates of the other side, its own first.
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        let state = self.state.borrow();
        state.tls.peer_certificates().unwrap_or_default().to_vec()
    }

    /// True when something was sent: of a server's connection, that a whole ClientHello has come.
    pub fn has_sent(&self) -> bool {
        self.state.borrow().sent
    }

    /// True when a session was resumed: then nobody was asked whether its certificate still counts.
    pub fn is_resumed(&self) -> bool {
        self.state.borrow().tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Version of TLS, cipher suite and what was negotiated with ALPN, in words.
    pub fn negotiated(&self) -> String {
        let state = self.state.borrow();
        let version = match state.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let suite = state.tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("?");
        match state.tls.alpn_protocol() {
            Some(protocol) => format!("{version}, {suite}, ALPN {}", String::from_utf8_lossy(protocol)),
            None => format!("{version}, {suite}, no ALPN"),
        }
    }

    /// Puts a packet to what is sent with the next [`Pipe::flush`]. False when the connection is over.
    pub fn send(&self, packet: &[u8]) -> bool {
        let state = &mut *self.state.borrow_mut();
        if state.ended.is_some() {
            return false;
        }
        if state.waiting.len() + packet.len() > RECORD {
            self.encrypt(state);
        }
        state.waiting.extend_from_slice(packet);
        true
    }

    /// Sends what waits, as far as the peer takes it.
    pub fn flush(&self) {
        let state = &mut *self.state.borrow_mut();
        self.encrypt(state);
        self.write_out(state);
    }

    /// Ends it: the peer is told that nothing more comes, and [`Pipe::run`] returns this.
    pub fn close(&self, why: &str) {
        let state = &mut *self.state.borrow_mut();
        if state.ended.is_none() {
            state.tls.send_close_notify();
            self.write_out(state);
            self.end(state, why.into());
        }
    }

    fn end(&self, state: &mut State, why: Arc<str>) {
        if state.ended.is_none() {
            state.ended = Some(why);
            state.waiting = Vec::new();
            self.wake.notify_one();
        }
    }

    fn encrypt(&self, state: &mut State) {
        if state.waiting.is_empty() || state.ended.is_some() {
            return;
        }
        match state.tls.writer().write(&state.waiting) {
            Ok(taken) if taken == state.waiting.len() => {}
            Ok(_) => self.end(state, "it does not read what it is sent".into()),
            Err(why) => self.end(state, words::socket(&why)),
        }
        state.waiting.clear();
        state.waiting.shrink_to(KEPT);
    }

    fn write_out(&self, state: &mut State) {
        while state.tls.wants_write() {
            match state.tls.write_tls(&mut Socket(&self.tcp)) {
                Ok(1..) => state.sent = true,
                Ok(0) => return self.end(state, "it ended the connection".into()),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return self.wake.notify_one(),
                Err(why) => return self.end(state, words::socket(&why)),
            }
        }
    }

    /// Reads from the socket what is there, or enough of it.
    fn fill(&self, said: &dyn Fn() -> Option<Arc<str>>) -> Result<(), Arc<str>> {
        let state = &mut *self.state.borrow_mut();
        loop {
            match state.tls.read_tls(&mut Socket(&self.tcp)) {
                Ok(0) => return Err("it ended the connection".into()),
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return Err(words::socket(&why)),
            }
            match state.tls.process_new_packets() {
                Ok(found) if found.peer_has_closed() && found.plaintext_bytes_to_read() == 0 => {
                    return Err("it ended the connection".into());
                }
                Ok(found) if found.plaintext_bytes_to_read() >= TURN => return Ok(()),
                Ok(_) => {}
                Err(why) => {
                    let why = words::tls(&why, said());
                    // The alert that says what we do not like.
                    self.write_out(state);
                    return Err(why);
                }
            }
        }
    }

    /// Moves what was decrypted into a buffer, in place of what was there.
    fn take_plaintext(&self, buffer: &mut Vec<u8>) -> Result<(), Arc<str>> {
        let state = &mut *self.state.borrow_mut();
        buffer.clear();
        let found = state.tls.process_new_packets().map_err(|why| words::tls(&why, None))?;
        let octets = u64::try_from(found.plaintext_bytes_to_read()).unwrap_or(0);
        let result = state.tls.reader().take(octets).read_to_end(buffer);
        result.map(drop).map_err(|why| words::socket(&why))
    }

    /// Carries packets until the connection is over, and returns why that is. `take` is given each packet that comes; it may send on this
    /// connection. `turn` is called when some have come. `idle`: how long no packet may come.
    pub async fn run(&self, daemon: &Daemon, idle: Option<Duration>, take: Take<'_>, turn: &dyn Fn()) -> Arc<str> {
        let mut stream = Stream::default();
        let mut since = Instant::now();
        loop {
            if let Some(why) = &self.state.borrow().ended {
                return why.clone();
            }
            let buffer = daemon.plaintext.take();
            let result = self.carry(&mut stream, buffer, take, &mut since, daemon);
            turn();
            match result {
                Err(why) => {
                    self.close(&why);
                    return why;
                }
                // There may be more.
                Ok(true) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(false) => {}
            }
            let limit = if stream.is_within_packet() { Some(PACKET) } else { idle };
            let wants_write = self.state.borrow().tls.wants_write();
            tokio::select! {
                _ = self.tcp.readable() => {}
                _ = self.tcp.writable(), if wants_write => self.write_out(&mut self.state.borrow_mut()),
                () = self.wake.notified() => {}
                () = sleep_until(since + limit.unwrap_or_default()), if limit.is_some() => {
                    let why = if stream.is_within_packet() { "a packet of it did not end" } else { "nothing came over it" };
                    self.close(why);
                    return why.into();
                }
            }
        }
    }

    /// Takes what has come. True when there may be more.
    fn carry(
        &self,
        stream: &mut Stream,
        mut buffer: Vec<u8>,
        take: Take<'_>,
        since: &mut Instant,
        daemon: &Daemon,
    ) -> Result<bool, Arc<str>> {
        // What came before the end is not lost.
        let filled = self.fill(&|| None);
        let taken = self.take_plaintext(&mut buffer);
        let mut input = &buffer[..];
        let was_within = stream.is_within_packet();
        let result = loop {
            match stream.next(&mut input) {
                Ok(Some(packet)) => {
                    *since = Instant::now();
                    if let Err(why) = take(packet) {
                        break Err(why);
                    }
                }
                Ok(None) => break Ok(()),
                Err(why) => break Err(format!("what it sends cannot be read: {why}").into()),
            }
        };
        if stream.is_within_packet() && !was_within {
            *since = Instant::now();
        }
        let more = buffer.len() >= TURN;
        daemon.plaintext.set(buffer);
        result?;
        filled?;
        taken.map(|()| more)
    }
}

//! Connecting to a RadSec server: its addresses, one of them over TCP, then TLS.

use super::super::radsec::pipe::Pipe;
use super::super::{Daemon, now};
use crate::config::{Host, Realm, Server, Target};
use crate::radsec::settings::Connecting;
use crate::radsec::trust::Expected;
use crate::radsec::words;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// How long each of the three steps may take.
pub const STEP: Duration = Duration::from_secs(5);
/// After so long the next address is tried as well (RFC 8305, 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// How long a server that has finished its handshake may take to say that it does not like our certificate: several round trips.
const SETTLE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The addresses of a server.
///
/// # Errors
/// Why there are none, in words.
pub async fn addresses(daemon: &Daemon, server: &Server) -> Result<Vec<SocketAddr>, Arc<str>> {
    let at = |address: IpAddr| SocketAddr::new(address, server.port);
    match &server.host {
        Host::Address(address) => Ok(vec![at(*address)]),
        Host::Name(name) => {
            let found = daemon.upstream.names.resolve(name, Instant::now() + STEP).await?;
            Ok(found.into_iter().map(at).collect())
        }
    }
}

/// Connects to the first of these addresses that answers.
///
/// # Errors
/// Why none does, in words.
pub async fn tcp(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Arc<str>> {
    let mut trying = JoinSet::new();
    let mut next = addresses.iter().copied();
    let mut last: Arc<str> = "it has no address".into();
    let race = async {
        loop {
            if let Some(address) = next.next() {
                trying.spawn_local(async move { (address, TcpStream::connect(address).await) });
            } else if trying.is_empty() {
                return Err(last.clone());
            }
            let wait = async {
                // With none left to begin with there is nothing to wait for but an answer.
                if next.len() == 0 { std::future::pending().await } else { sleep(NEXT_ADDRESS).await }
            };
            tokio::select! {
                joined = trying.join_next() => match joined {
                    Some(Ok((address, Ok(stream)))) => return Ok((stream, address)),
                    Some(Ok((_, Err(why)))) => last = words::socket(&why),
                    Some(Err(_)) | None => {}
                },
                () = wait => {}
            }
        }
    };
    let silent = || format!("it does not answer: no TCP connection in {} s (a firewall, or it is off)", STEP.as_secs());
    let result = timeout_at(Instant::now() + STEP, race).await;
    result.unwrap_or_else(|_| Err(silent().into()))
}

/// For whom a server's certificate has to be.
pub fn expected(realm: &Realm, server: &Server, nai_realm: Option<&str>) -> Expected {
    if realm.target == Target::Discover
        && let Some(nai_realm) = nai_realm
    {
        return Expected::Realm(nai_realm.into());
    }
    Expected::Host(realm.tls.name.clone().unwrap_or_else(|| host(server)))
}

/// The host of a server in text.
pub fn host(server: &Server) -> Arc<str> {
    match &server.host {
        Host::Address(address) => address.to_string().into(),
        Host::Name(name) => name.clone(),
    }
}

/// Connects to a server, over one of these addresses; resumes a session if there is one, and if that is what keeps it from letting us in,
/// does without from then on.
///
/// # Errors
/// Why it failed, in words.
pub async fn connect(
    daemon: &Daemon,
    settings: &Connecting,
    server: &Server,
    addresses: &[SocketAddr],
) -> Result<Rc<Pipe>, Arc<str>> {
    let mut retried = false;
    if let Some(resuming) = settings.resuming() {
        let began = Instant::now();
        let (stream, _) = tcp(addresses).await?;
        match tls(daemon, settings, resuming, server, stream, began.elapsed()).await {
            Ok(pipe) => return Ok(pipe),
            Err(why) => crate::log::debug!("{server} is connected to once more, with a full handshake: {why}"),
        }
        retried = true;
    }
    let began = Instant::now();
    let (stream, _) = tcp(addresses).await?;
    let pipe = tls(daemon, settings, settings.first(), server, stream, began.elapsed()).await?;
    settings.succeeded(retried);
    Ok(pipe)
}

/// Goes through the TLS handshake. `round_trip`: what TCP took.
///
/// # Errors
/// Why it failed, in words.
pub async fn tls(
    daemon: &Daemon,
    settings: &Connecting,
    config: &Arc<ClientConfig>,
    server: &Server,
    tcp: TcpStream,
    round_trip: Duration,
) -> Result<Rc<Pipe>, Arc<str>> {
    let name = match &settings.judge.asked.expected {
        Expected::Host(name) => name.clone(),
        Expected::Realm(_) => host(server),
    };
    let name = ServerName::try_from(name.to_string()).map_err(|_| format!("{name} is no name of a host"))?;
    daemon.radsec.clock.set(daemon.core.borrow().time.effective(now()).wall);
    let tls = ClientConnection::new(config.clone(), name).map_err(|why| words::tls(&why, None))?;
    let pipe = Pipe::new(tcp, tls);
    pipe.handshake(Instant::now() + STEP, &|| settings.judge.take_words()).await?;
    if pipe.is_resumed() {
        // It was judged when the session began, and that may be long ago.
        let judged = settings.judge.asked.check(&pipe.peer_chain(), daemon.radsec.clock.get());
        if let Err(why) = judged {
            pipe.close(&why.words);
            return Err(why.words);
        }
    }
    pipe.settled((3 * round_trip).clamp(SETTLE.0, SETTLE.1)).await?;
    Ok(pipe)
}

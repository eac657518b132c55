//! Trying a server out, step by step, for the administrator: on a connection of its own, which nothing else uses.

use super::super::Daemon;
use super::{connect, links};
use crate::config::{Server, Transport};
use crate::pki::CertificateInfo;
use crate::proxy::ServerId;
use crate::radsec::names::Names;
use crate::radsec::words;
use crate::secret::RadiusSecret;
use crate::wire::radius::{
    Authenticator, Builder, Code, MessageAuthenticator, Packet, verify_message_authenticator,
    verify_response_authenticator,
};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer to Status-Server is waited for, and after which time it is sent again over UDP.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));

/// A step on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The addresses of its name.
    Resolve,
    /// TCP.
    Connect,
    /// The TLS handshake, with both certificates.
    Tls,
    /// What its certificate says.
    Certificate,
    /// An answer to Status-Server (RFC 5997).
    StatusServer,
}

impl Stage {
    /// The word for it in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Tls => "tls",
            Stage::Certificate => "certificate",
            Stage::StatusServer => "status-server",
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// It went well; else it was the last.
    pub ok: bool,
    /// What was found, or why it went wrong, in words.
    pub text: String,
    /// How long it took, in microseconds, where that says something.
    pub micros: Option<u64>,
}

/// Tries a server of a realm (`config realm`, by its name); takes 18 s at most. The last step says why no more were possible, if it did
/// not go well.
pub async fn run(daemon: &Rc<Daemon>, realm: &str, server: &Server) -> Vec<Step> {
    let mut steps = Vec::new();
    match server.transport {
        Transport::Udp => drop(udp(daemon, realm, server, &mut steps).await),
        Transport::Radsec => drop(radsec(daemon, realm, server, &mut steps).await),
    }
    steps
}

/// Adds a step, and goes on if it went well.
fn step<T>(
    steps: &mut Vec<Step>,
    stage: Stage,
    began: Instant,
    result: Result<T, Arc<str>>,
    tell: impl FnOnce(&T) -> String,
) -> Option<T> {
    let micros = u64::try_from(began.elapsed().as_micros()).ok();
    let (ok, text) = match &result {
        Ok(found) => (true, tell(found)),
        Err(why) => (false, why.to_string()),
    };
    steps.push(Step { stage, ok, text, micros });
    result.ok()
}

async fn resolve(
    daemon: &Daemon,
    id: Option<ServerId>,
    realm: &str,
    server: &Server,
    steps: &mut Vec<Step>,
) -> Option<Vec<SocketAddr>> {
    let began = Instant::now();
    let found = links::addresses(daemon, id, &realm.into(), server).await;
    step(steps, Stage::Resolve, began, found, |addresses| {
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
    })
}

async fn udp(daemon: &Rc<Daemon>, realm: &str, server: &Server, steps: &mut Vec<Step>) -> Option<()> {
    let addresses = resolve(daemon, None, realm, server, steps).await?;
    let secret = {
        let core = daemon.core.borrow();
        let section = core.config.realms.iter().find(|section| *section.name == *realm);
        section.and_then(|section| section.secret.clone())
    };
    let began = Instant::now();
    let result = match (secret, addresses.first()) {
        (Some(secret), Some(to)) => ask_udp(daemon, &secret, *to).await,
        _ => Err(format!("config realm '{realm}' has no secret").into()),
    };
    step(steps, Stage::StatusServer, began, result, |round_trip| format!("answered in {} us", round_trip.as_micros()))
        .map(drop)
}

async fn ask_udp(daemon: &Daemon, secret: &RadiusSecret, to: SocketAddr) -> Result<Duration, Arc<str>> {
    let (packet, authenticator) = status_server(daemon, secret);
    let failed = |why: std::io::Error| words::socket(&why);
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(to).await.map_err(failed)?;
    let mut forged = false;
    let mut datagram = vec![0; super::DATAGRAM];
    let ask = async {
        loop {
            let sent = Instant::now();
            socket.send(&packet).await.map_err(failed)?;
            let again = sent + PATIENCE.1;
            loop {
                let left = again.saturating_duration_since(Instant::now());
                let Ok(received) = timeout(left, socket.recv(&mut datagram)).await else { break };
                let length = received.map_err(failed)?;
                let octets = datagram.get(..length).unwrap_or_default();
                match answers(octets, secret, &authenticator) {
                    Some(true) => return Ok(sent.elapsed()),
                    Some(false) => forged = true,
                    None => {}
                }
            }
        }
    };
    match timeout(PATIENCE.0, ask).await {
        Ok(result) => result,
        Err(_) if forged => Err("it answers with a wrong authenticator: the secret is another there".into()),
        Err(_) => Err(format!(
            "no answer to Status-Server in {} s: it is off, or does not have our address among its clients, or has another secret \
             for us, or does not know Status-Server (RFC 5997)",
            PATIENCE.0.as_secs()
        )
        .into()),
    }
}

async fn radsec(daemon: &Rc<Daemon>, realm: &str, server: &Server, steps: &mut Vec<Step>) -> Option<()> {
    let id = {
        let status = daemon.core.borrow().proxy.engine.status();
        status.into_iter().find(|(name, _, status)| **name == *realm && status.server == *server).map(|(_, id, _)| id)
    };
    let addresses = resolve(daemon, id, realm, server, steps).await?;
    let began = Instant::now();
    let settings = match links::settings(daemon, id, &realm.into(), server) {
        Ok((settings, _)) => settings,
        Err(why) => return step(steps, Stage::Tls, began, Err(why), |()| String::new()),
    };
    let began = Instant::now();
    let connected = connect::tcp(&addresses).await;
    let round_trip = began.elapsed();
    let (tcp, _) = step(steps, Stage::Connect, began, connected, |(_, address)| {
        format!("{address} in {} ms", round_trip.as_millis())
    })?;
    let began = Instant::now();
    let pipe = connect::tls(daemon, &settings, &settings.full, server, tcp, round_trip).await;
    let pipe = step(steps, Stage::Tls, began, pipe, |pipe| pipe.negotiated())?;
    steps.push(Step { stage: Stage::Certificate, ok: true, text: certificate(&pipe.peer_chain()), micros: None });
    let secret = RadiusSecret::new(crate::radsec::SECRET);
    let (packet, authenticator) = status_server(daemon, &secret);
    let began = Instant::now();
    pipe.send(&packet);
    pipe.flush();
    let mut answered = None;
    let mut take = |packet: &[u8]| -> Result<(), Arc<str>> {
        answered = answers(packet, &secret, &authenticator);
        if answered.is_some() { Err("that was all".into()) } else { Ok(()) }
    };
    let ended = pipe.run(daemon, Some(PATIENCE.0), &mut take, &|| ()).await;
    let result = match answered {
        Some(true) => Ok(began.elapsed()),
        Some(false) => {
            Err("it answers Status-Server with a wrong authenticator: the secret of RadSec is 'radsec'".into())
        }
        None if began.elapsed() >= PATIENCE.0 => Err(format!(
            "no answer to Status-Server in {} s: it does not know it (RFC 5997), or does not have us among its clients",
            PATIENCE.0.as_secs()
        )
        .into()),
        None => Err(format!("no answer to Status-Server: {ended}").into()),
    };
    step(steps, Stage::StatusServer, began, result, |round_trip| format!("answered in {} us", round_trip.as_micros()))
        .map(drop)
}

/// What a certificate says, in a line.
fn certificate(chain: &[rustls::pki_types::CertificateDer<'_>]) -> String {
    let info = chain.first().and_then(|own| Some((own, CertificateInfo::parse(own).ok()?)));
    let Some((own, info)) = info else { return "it cannot be read".into() };
    let names = Names::of(own).map_or_else(|_| "nobody".into(), |names| names.to_string());
    let until = info.not_after.map_or_else(|| "without end".into(), |end| format!("until {end}"));
    format!("{}, signed by {}, for {names}, {until}", info.subject, info.issuer)
}

fn status_server(daemon: &Daemon, secret: &RadiusSecret) -> (Vec<u8>, Authenticator) {
    let mut authenticator = Authenticator::default();
    daemon.core.borrow_mut().fill_random(&mut authenticator);
    let mut packet = Vec::new();
    Builder::status_server(0, authenticator, secret, &mut packet).finish();
    (packet, authenticator)
}

/// Whether a packet answers our Status-Server: `None` when it is something else, false when it is not signed with our secret.
fn answers(octets: &[u8], secret: &RadiusSecret, authenticator: &Authenticator) -> Option<bool> {
    let packet = Packet::parse(octets).ok().filter(|packet| packet.identifier() == 0)?;
    let fits = matches!(packet.code(), Code::ACCESS_ACCEPT | Code::ACCESS_REJECT | Code::ACCOUNTING_RESPONSE);
    let signed = verify_response_authenticator(&packet, secret, authenticator)
        && verify_message_authenticator(&packet, secret, Some(authenticator)) != MessageAuthenticator::Invalid;
    fits.then_some(signed)
}

//! The order of messages in EAP-TLS (RFC 5216, 2.1; RFC 9190, 2.1), one device's exchange.
//!
//! What the device proves, it has proved with its Finished; our own last messages (Finished in TLS 1.2, ticket and
//! protected success indication in TLS 1.3) wait in rustls until the decision is made, and are never sent when it is no.

use super::fragment::{self, Fragment, FragmentError, Incoming, Outgoing};
use super::hello::{self, ClientHello};
use super::server::{Kind, Server, Shared, Turn};
use super::sessions::{Fresh, MAX_AGE};
use super::verifier::Verdict;
use super::words;
use crate::eap::problem::Problem;
use crate::eap::{Context, Method, Progress, Proved};
use crate::secret::EapKeys;
use crate::time::UnixTime;
use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConnection};
use std::io::Write;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The EAP type: the first octet of the Session-Id, and the context of the keys in TLS 1.3 (RFC 9190, 2.3).
const TYPE: u8 = 13;
/// Code, identifier, length and type of an EAP packet, in front of the type-data.
const EAP_HEADER: usize = 5;
/// Octets of memory of a connection between two messages, measured: rustls keeps a buffer of 4096 for each.
const CONNECTION_OCTETS: usize = 10 * 1024;

/// One device's exchange.
pub struct Tls {
    shared: Arc<Shared>,
    incoming: Incoming,
    outgoing: Outgoing,
    state: State,
    detail: &'static str,
}

/// Where the exchange is. Each state owns what only it needs.
enum State {
    /// The flag S is out.
    Started,
    /// Hellos were exchanged.
    Handshake(Box<Handshake>),
    /// It has proved who it is: a decision is due.
    Proving(Box<Proving>),
    /// Our last messages are out: an acknowledgement is due.
    Finishing(Box<Finishing>),
    /// An alert of ours is out: an acknowledgement is due, and then it is over.
    Alerting(Problem),
    /// It is over.
    Over,
}

struct Handshake {
    connection: ServerConnection,
    kind: Kind,
    /// The random values of both sides, for TLS 1.2.
    randoms: Option<Zeroizing<[u8; 64]>>,
    /// Who resumes, and by which generation of the trust it was found good.
    resumed: Option<(Verdict, u64)>,
}

struct Proving {
    connection: ServerConnection,
    keys: EapKeys,
    fresh: Option<Fresh>,
    judged: Judged,
}

struct Finishing {
    connection: ServerConnection,
    keys: EapKeys,
    judged: Judged,
}

/// What the decision rests upon: it may take a while, and so may the device's last message.
struct Judged {
    kind: Kind,
    verdict: Verdict,
    generation: u64,
}

/// Where an exchange goes.
type Next = (State, Progress);

impl Tls {
    /// An exchange over what all of them share.
    pub fn new(server: &Server) -> Tls {
        Tls {
            shared: server.0.clone(),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            state: State::Started,
            detail: "",
        }
    }

    /// Goes on with a whole message of the device, or with its acknowledgement, which is empty.
    fn message(&mut self, message: &[u8], wall: UnixTime) -> Next {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Started => self.hello(message, wall),
            State::Handshake(handshake) => self.handshake(handshake, message, wall),
            State::Finishing(finishing) => self.finish(*finishing, message, wall),
            State::Alerting(problem) => over(problem),
            state @ State::Proving(_) => (state, Progress::Discard("a decision is due")),
            State::Over => over(Problem::Protocol("a message after the end of EAP-TLS")),
        }
    }

    /// The ClientHello.
    fn hello(&mut self, message: &[u8], wall: UnixTime) -> Next {
        if message.is_empty() {
            return over(Problem::Protocol("an empty EAP-TLS message where TLS begins"));
        }
        let hello = ClientHello::read(message);
        match self.accept(message, &hello, wall, true) {
            Ok(Some(next)) => next,
            // Nothing was sent yet: so the handshake is done in full, and says what is wrong with the certificate, or is
            // shown a newer one.
            Ok(None) => match self.accept(message, &hello, wall, false) {
                Ok(Some(next)) => next,
                Ok(None) => over(Problem::Protocol("a session resumed that nobody offered")),
                Err(error) => over(words::problem(&error, None, None, false)),
            },
            Err(error) => over(words::problem(&error, None, None, false)),
        }
    }

    /// Takes a ClientHello. `None`: it resumes a session that does not count any more.
    fn accept(
        &mut self,
        message: &[u8],
        hello: &ClientHello,
        wall: UnixTime,
        may_resume: bool,
    ) -> Result<Option<Next>, Error> {
        let kind = self.shared.kind(hello);
        let mut connection = self.shared.connect(kind)?;
        connection.set_resumption_data(&wall.0.to_be_bytes());
        let turn = self.shared.turn(wall, may_resume, || feed(&mut connection, message));
        let mut resumed = None;
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            let (verdict, generation) = self.judge(&connection, kind, wall);
            if matches!(verdict, Verdict::Bad(_)) || !self.is_young(&mut connection, wall) {
                return Ok(None);
            }
            resumed = Some((verdict, generation));
        }
        let mut handshake = Box::new(Handshake { connection, kind, randoms: None, resumed });
        if let Err(error) = turn.result {
            return Ok(Some(self.failed(handshake.connection, &error, turn.verdict, Some(hello))));
        }
        let flight = take(&mut handshake.connection);
        if handshake.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2)
            && let (Some(client), Some(server)) = (hello.random, hello::server_random(&flight))
        {
            let mut randoms = Zeroizing::new([0; 64]);
            for (to, from) in randoms.iter_mut().zip(client.iter().chain(&server)) {
                *to = *from;
            }
            handshake.randoms = Some(randoms);
        }
        self.detail = detail(&handshake.connection);
        Ok(Some(match flight.is_empty() {
            true => over(Problem::Tls("the device's ClientHello is incomplete".into())),
            false => (State::Handshake(handshake), self.send(flight)),
        }))
    }

    /// True when the full handshake behind a resumed session was made in the last seven days. Its time goes on with the
    /// session's successor.
    fn is_young(&self, connection: &mut ServerConnection, wall: UnixTime) -> bool {
        let begun = connection.received_resumption_data().map(<[u8]>::to_vec);
        // TLS 1.2 hands nothing over, and has no successors: its session is as young as the store keeps it.
        let Some(begun) = begun else { return connection.protocol_version() == Some(ProtocolVersion::TLSv1_2) };
        let Ok(octets) = <[u8; 8]>::try_from(begun) else { return false };
        connection.set_resumption_data(&octets);
        let age = wall.0.saturating_sub(i64::from_be_bytes(octets));
        (0..MAX_AGE).contains(&age)
    }

    fn judge(&self, connection: &ServerConnection, kind: Kind, wall: UnixTime) -> (Verdict, u64) {
        self.shared.judge(kind.device_raw, connection.peer_certificates().unwrap_or_default(), wall)
    }

    /// What follows the hellos.
    fn handshake(&mut self, mut handshake: Box<Handshake>, message: &[u8], wall: UnixTime) -> Next {
        if message.is_empty() {
            return over(Problem::Protocol("an empty EAP-TLS message in the midst of the handshake"));
        }
        // After a HelloRetryRequest nothing is resumed: the first hello is over, a refusal could not be taken back.
        let turn = self.shared.turn(wall, false, || feed(&mut handshake.connection, message));
        if let Err(error) = &turn.result {
            return self.failed(handshake.connection, error, turn.verdict, None);
        }
        self.detail = detail(&handshake.connection);
        if !handshake.connection.is_handshaking() {
            return self.prove(*handshake, turn, wall);
        }
        let flight = take(&mut handshake.connection);
        if flight.is_empty() {
            return over(Problem::Protocol("an incomplete TLS message in the midst of the handshake"));
        }
        (State::Handshake(handshake), self.send(flight))
    }

    /// The device's Finished was good.
    fn prove(&mut self, handshake: Handshake, turn: Turn<Result<(), Error>>, wall: UnixTime) -> Next {
        let Handshake { connection, kind, randoms, resumed } = handshake;
        let (verdict, generation) = match (resumed, turn.verdict) {
            (Some((verdict, generation)), _) if generation == self.shared.generation() => (verdict, generation),
            (Some(_), _) => self.judge(&connection, kind, wall),
            (None, Some(verdict)) => (verdict, turn.generation),
            (None, None) => return over(Problem::NoCertificate),
        };
        let proved = match &verdict {
            Verdict::Certificate(info, voucher) => Proved::Certificate(info.clone(), voucher.clone()),
            Verdict::PublicKey(hash) => Proved::PublicKey(*hash),
            Verdict::Bad(problem) => return over(problem.clone()),
        };
        let judged = Judged { kind, verdict, generation };
        match keys(&connection, randoms.as_deref()) {
            Ok(keys) => {
                let proving = Proving { connection, keys, fresh: turn.fresh, judged };
                (State::Proving(Box::new(proving)), Progress::Proved(proved))
            }
            Err(error) => over(words::problem(&error, None, None, false)),
        }
    }

    /// rustls found something wrong: what it has to say about it goes out before the failure.
    fn failed(
        &mut self,
        mut connection: ServerConnection,
        error: &Error,
        verdict: Option<Verdict>,
        hello: Option<&ClientHello>,
    ) -> Next {
        let problem = words::problem(error, verdict, hello, self.shared.tls13_only());
        let alert = take(&mut connection);
        if alert.is_empty() || matches!(error, Error::AlertReceived(_)) {
            return over(problem);
        }
        (State::Alerting(problem), self.send(alert))
    }

    /// Begins to send a flight; [`Tls::request`] gives its first piece.
    fn send(&mut self, flight: Vec<u8>) -> Progress {
        self.outgoing = Outgoing::new(flight);
        Progress::Request(Vec::new())
    }

    /// Fills requests with the next piece of the flight.
    fn request(&mut self, (state, progress): Next, mtu: usize) -> Progress {
        self.state = state;
        match progress {
            Progress::Request(_) => Progress::Request(self.outgoing.next(room(mtu))),
            other => other,
        }
    }
}

impl Method for Tls {
    fn begin(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        fragment::start()
    }

    fn receive(&mut self, data: &[u8], context: &mut Context<'_>) -> Progress {
        let message = Fragment::parse(data).and_then(|piece| self.incoming.add(&piece));
        let next = match message {
            Err(error) => over(match error {
                FragmentError::TooLong => Problem::TooLong,
                FragmentError::NoLength => Problem::Protocol("an EAP-TLS fragment without the length it promises"),
                FragmentError::WrongLength => Problem::Protocol("a TLS message not as long as it announced"),
                FragmentError::Empty => Problem::Protocol("an empty EAP-TLS fragment that says more will follow"),
            }),
            Ok(Some(message)) if self.outgoing.is_pending() && message.is_empty() => {
                return Progress::Request(self.outgoing.next(room(context.mtu)));
            }
            Ok(_) if self.outgoing.is_pending() => {
                over(Problem::Protocol("a TLS message where an acknowledgement was due"))
            }
            Ok(None) => return Progress::Request(fragment::acknowledgement()),
            Ok(Some(message)) => self.message(&message, context.wall),
        };
        self.request(next, context.mtu)
    }

    fn decided(&mut self, admitted: bool, context: &mut Context<'_>) -> Progress {
        let next = match std::mem::replace(&mut self.state, State::Over) {
            State::Proving(proving) if admitted => self.admit(*proving, context.wall),
            State::Proving(_) => over(Problem::Refused),
            state => (state, Progress::Discard("no decision is due")),
        };
        self.request(next, context.mtu)
    }

    fn octets(&self) -> usize {
        let held = match &self.state {
            State::Handshake(_) => CONNECTION_OCTETS + size_of::<Handshake>() - size_of::<ServerConnection>(),
            State::Proving(proving) => {
                let fresh = proving.fresh.as_ref().map_or(0, |(key, value)| key.len() + value.len());
                CONNECTION_OCTETS + size_of::<Proving>() - size_of::<ServerConnection>() + fresh
            }
            State::Finishing(_) => CONNECTION_OCTETS + size_of::<Finishing>() - size_of::<ServerConnection>(),
            State::Started | State::Alerting(_) | State::Over => 0,
        };
        size_of::<Tls>() + self.incoming.octets() + self.outgoing.octets() + held
    }

    fn last_sent(&self) -> &'static str {
        match self.state {
            State::Started => "the start of EAP-TLS",
            State::Handshake(_) => "our certificate (it does not trust it, or lost the connection)",
            State::Proving(_) | State::Finishing(_) => "the end of the handshake",
            State::Alerting(_) | State::Over => "our last message",
        }
    }

    fn failed(&self) -> Option<Problem> {
        match &self.state {
            State::Alerting(problem) => Some(problem.clone()),
            _ => None,
        }
    }

    fn detail(&self) -> &'static str {
        self.detail
    }
}

impl Tls {
    /// The decision is yes.
    fn admit(&mut self, proving: Proving, wall: UnixTime) -> Next {
        let Proving { mut connection, keys, fresh, mut judged } = proving;
        if let Err(problem) = self.confirm(&connection, &mut judged, wall) {
            return over(problem);
        }
        if let Some(session) = fresh {
            self.shared.keep(session, wall);
        }
        // The protected success indication (RFC 9190, 2.1.1).
        if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && connection.writer().write_all(&[0]).is_err()
        {
            return over(Problem::Tls("the protected success indication cannot be encrypted".into()));
        }
        let flight = take(&mut connection);
        if flight.is_empty() {
            // TLS 1.2, resumed: the device's Finished was the last one.
            return (State::Over, Progress::Success(keys));
        }
        let request = self.send(flight);
        (State::Finishing(Box::new(Finishing { connection, keys, judged })), request)
    }

    /// The device's answer to our last messages: an acknowledgement, or an alert.
    fn finish(&self, finishing: Finishing, message: &[u8], wall: UnixTime) -> Next {
        let Finishing { mut connection, keys, mut judged } = finishing;
        if message.is_empty() {
            return match self.confirm(&connection, &mut judged, wall) {
                Ok(()) => (State::Over, Progress::Success(keys)),
                Err(problem) => over(problem),
            };
        }
        over(match feed(&mut connection, message) {
            Err(error) => words::problem(&error, None, None, false),
            Ok(()) => Problem::Protocol("a TLS message after the end of the handshake"),
        })
    }

    /// Judges again if whom we trust has changed since: a maker that was removed, or a list that was read, in between counts.
    fn confirm(&self, connection: &ServerConnection, judged: &mut Judged, wall: UnixTime) -> Result<(), Problem> {
        if judged.generation == self.shared.generation() {
            return Ok(());
        }
        let (verdict, generation) = self.judge(connection, judged.kind, wall);
        match verdict {
            Verdict::Bad(problem) => Err(problem),
            verdict if verdict == judged.verdict => {
                judged.generation = generation;
                Ok(())
            }
            _ => Err(Problem::Tls(
                "somebody else vouches for its certificate than a moment ago: it can try again".into(),
            )),
        }
    }
}

fn over(problem: Problem) -> Next {
    (State::Over, Progress::Failure(problem))
}

/// How many octets of type-data fit into a packet.
fn room(mtu: usize) -> usize {
    mtu.saturating_sub(EAP_HEADER).max(64)
}

/// Hands a whole message to rustls.
fn feed(connection: &mut ServerConnection, mut message: &[u8]) -> Result<(), Error> {
    while !message.is_empty() {
        match connection.read_tls(&mut message) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return Err(Error::General("more octets than a handshake has".into())),
        }
        let state = connection.process_new_packets()?;
        if state.plaintext_bytes_to_read() > 0 {
            return Err(Error::General("the device sent data of an application, which has no place in EAP-TLS".into()));
        }
        if state.peer_has_closed() {
            return Err(Error::AlertReceived(rustls::AlertDescription::CloseNotify));
        }
    }
    Ok(())
}

/// What rustls wants sent.
fn take(connection: &mut ServerConnection) -> Vec<u8> {
    let mut flight = Vec::new();
    while connection.wants_write() {
        // Writing to a Vec cannot fail.
        if !matches!(connection.write_tls(&mut flight), Ok(1..)) {
            break;
        }
    }
    flight
}

/// MSK and Session-Id (RFC 5216, 2.3; RFC 9190, 2.3).
fn keys(connection: &ServerConnection, randoms: Option<&[u8; 64]>) -> Result<EapKeys, Error> {
    let mut session_id = Vec::with_capacity(65);
    session_id.push(TYPE);
    let mut both = Zeroizing::new([0; 128]);
    if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        connection.export_keying_material(&mut both[..], b"EXPORTER_EAP_TLS_Key_Material", Some(&[TYPE]))?;
        let id = connection.export_keying_material([0; 64], b"EXPORTER_EAP_TLS_Method-Id", Some(&[TYPE]))?;
        session_id.extend(id);
    } else {
        connection.export_keying_material(&mut both[..], b"client EAP encryption", None)?;
        let randoms = randoms.ok_or_else(|| Error::General("the hellos of TLS 1.2 cannot be read".into()))?;
        session_id.extend(randoms);
    }
    let mut msk = Zeroizing::new([0; 64]);
    for (to, from) in msk.iter_mut().zip(both.iter()) {
        *to = *from;
    }
    Ok(EapKeys::new(*msk, &session_id))
}

fn detail(connection: &ServerConnection) -> &'static str {
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    match (connection.protocol_version(), resumed) {
        (Some(ProtocolVersion::TLSv1_3), false) => "1.3",
        (Some(ProtocolVersion::TLSv1_3), true) => "1.3, resumed",
        (Some(ProtocolVersion::TLSv1_2), false) => "1.2",
        (Some(ProtocolVersion::TLSv1_2), true) => "1.2, resumed",
        _ => "",
    }
}

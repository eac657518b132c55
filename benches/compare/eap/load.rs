//! The load generator for EAP: one thread, one socket, many authentications in flight. What a device checks is checked
//! here, and that the NAS got the keys that the device has.

use super::peer::{self, Peer};
use super::radius::{self, Code};
use crate::fleet::Random;
use crate::process;
use crate::radius::Secret;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Authentications under way at any moment.
pub const IN_FLIGHT: usize = 64;

/// A server that has not answered for this long has lost a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for answers, as in the load of MAC authentications.
const NAP: Duration = Duration::from_micros(50);

/// More requests than this no method needs.
const MOST_ROUNDS: usize = 40;

/// How far to go.
#[derive(Clone, Copy)]
pub enum Until {
    /// So many authentications, or for so long; those that have begun are finished. Not more of them a second than `pace`.
    Through { most: usize, time: Duration, pace: Option<u32> },
    /// So many conversations, each left for good after so many answers to it.
    HalfOpen { most: usize, answers: usize },
}

/// What a time of load came to.
#[derive(Default)]
pub struct Outcome {
    /// Authentications that are through, or conversations left half open.
    pub done: usize,
    /// Authentications that were resumed.
    pub resumed: usize,
    /// Conversations the server took no more.
    pub refused: usize,
    /// Requests in all.
    pub requests: usize,
    pub elapsed: Duration,
    /// CPU time of this process.
    pub generator: Duration,
}

/// An authentication under way, with the request that is unanswered.
struct Session {
    peer: Peer,
    authenticator: [u8; 16],
    identifier: u8,
    answers: usize,
    slot: usize,
}

/// What is to be sent next: the EAP packet, and the State it goes with.
type Following = (Session, Vec<u8>, Vec<u8>);

/// A NAS.
pub struct Load {
    socket: UdpSocket,
    secret: Secret,
    random: Random,
    identifier: u8,
    in_flight: usize,
}

impl Load {
    pub fn new(server: SocketAddr, secret: &str) -> Result<Load, String> {
        let socket = process::udp_client(server)?;
        socket.set_nonblocking(true).map_err(|e| format!("O_NONBLOCK: {e}"))?;
        let random = Random(u64::from(std::process::id()) ^ u64::from(server.port()) << 32);
        Ok(Load { socket, secret: Secret::new(secret.as_bytes()), random, identifier: 0, in_flight: IN_FLIGHT })
    }

    /// The same with fewer authentications under way.
    pub fn at_most(self, in_flight: usize) -> Load {
        Load { in_flight: in_flight.min(IN_FLIGHT), ..self }
    }

    /// Keeps [`IN_FLIGHT`] authentications on their way, or as many as it was told. `make` gives the device for one of that many places.
    pub fn run(
        &mut self,
        until: Until,
        make: &mut dyn FnMut(usize, &mut Random) -> Result<Peer, String>,
    ) -> Result<Outcome, String> {
        let mut sessions: Vec<Option<Session>> = (0..256).map(|_| None).collect();
        let mut free: Vec<usize> = (0..self.in_flight).rev().collect();
        let mut outcome = Outcome::default();
        let (start, cpu) = (Instant::now(), process::own_cpu()?);
        let (mut begun, mut progress) = (0, start);
        let mut packet = [0; 4096];
        loop {
            while begun < most(until, start) && !time_is_up(until, start) {
                let Some(slot) = free.pop() else { break };
                let peer = make(slot, &mut self.random)?;
                let eap = peer.identity();
                let session = Session { peer, authenticator: [0; 16], identifier: 0, answers: 0, slot };
                self.send(session, &eap, b"", &mut sessions)?;
                begun += 1;
                outcome.requests += 1;
            }
            if free.len() == self.in_flight && (begun == limit(until) || time_is_up(until, start)) {
                break;
            }
            std::thread::sleep(NAP);
            loop {
                let length = match self.socket.recv(&mut packet) {
                    Ok(length) => length,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => return Err(format!("no answer: {e}")),
                };
                progress = Instant::now();
                let identifier = usize::from(*packet[..length].get(1).ok_or("an answer of one octet")?);
                let Some(session) = sessions[identifier].take() else {
                    return Err(format!("an answer to request {identifier}, which is not open"));
                };
                let slot = session.slot;
                match self.answered(session, &mut packet[..length], until, &mut outcome)? {
                    Some((session, eap, state)) => {
                        self.send(session, &eap, &state, &mut sessions)?;
                        outcome.requests += 1;
                    }
                    None => free.push(slot),
                }
            }
            if free.len() < self.in_flight && progress.elapsed() > PATIENCE {
                return Err(format!("{} requests unanswered for {PATIENCE:?}", self.in_flight - free.len()));
            }
        }
        outcome.elapsed = start.elapsed();
        outcome.generator = process::own_cpu()?.saturating_sub(cpu);
        Ok(outcome)
    }

    fn send(
        &mut self,
        mut session: Session,
        eap: &[u8],
        state: &[u8],
        sessions: &mut [Option<Session>],
    ) -> Result<(), String> {
        while sessions[usize::from(self.identifier)].is_some() {
            self.identifier = self.identifier.wrapping_add(1);
        }
        session.identifier = self.identifier;
        self.identifier = self.identifier.wrapping_add(1);
        self.random.fill(&mut session.authenticator);
        let Session { peer, authenticator, identifier, .. } = &session;
        let packet = radius::request(&self.secret, *identifier, authenticator, peer, eap, state);
        self.socket.send(&packet).map_err(|e| format!("a request cannot be sent: {e}"))?;
        let place = usize::from(*identifier);
        sessions[place] = Some(session);
        Ok(())
    }

    /// What follows from a reply: the next EAP packet with the State it goes with, or the end.
    fn answered(
        &self,
        mut session: Session,
        packet: &mut [u8],
        until: Until,
        outcome: &mut Outcome,
    ) -> Result<Option<Following>, String> {
        let failed = |session: &Session, what: &str| format!("{}: {what}", session.peer.name());
        let reply = radius::read(&self.secret, packet, session.identifier, &session.authenticator)
            .map_err(|e| failed(&session, &e))?;
        match (reply.code, reply.eap.first()) {
            (Code::Challenge, Some(&peer::REQUEST)) => {
                if let Until::HalfOpen { answers, .. } = until
                    && session.answers == answers
                {
                    outcome.done += 1;
                    return Ok(None);
                }
                session.answers += 1;
                if session.answers > MOST_ROUNDS {
                    return Err(failed(&session, "it does not come to an end"));
                }
                let response = session.peer.respond(&reply.eap).map_err(|e| failed(&session, &e))?;
                Ok(Some((session, response, reply.state)))
            }
            (Code::Accept, Some(&peer::SUCCESS)) => {
                let msk = session.peer.msk().map_err(|e| failed(&session, &e))?;
                let [receive, send] = reply.keys;
                if receive.as_deref() != Some(&msk[..32]) || send.as_deref() != Some(&msk[32..]) {
                    return Err(failed(&session, "the NAS got other keys than the device has"));
                }
                outcome.done += 1;
                outcome.resumed += usize::from(session.peer.resumed());
                Ok(None)
            }
            (Code::Reject, _) if matches!(until, Until::HalfOpen { .. }) => {
                outcome.refused += 1;
                Ok(None)
            }
            (code, first) => {
                Err(failed(&session, &format!("{code:?} with EAP code {first:?} after {} answers", session.answers)))
            }
        }
    }
}

/// How many are to be begun in all.
fn limit(until: Until) -> usize {
    match until {
        Until::Through { most, .. } | Until::HalfOpen { most, .. } => most,
    }
}

/// How many may have begun by now.
fn most(until: Until, start: Instant) -> usize {
    match until {
        Until::Through { most, pace: Some(pace), .. } => {
            most.min((start.elapsed().as_secs_f64() * f64::from(pace)) as usize)
        }
        until => limit(until),
    }
}

fn time_is_up(until: Until, start: Instant) -> bool {
    matches!(until, Until::Through { time, .. } if start.elapsed() >= time)
}

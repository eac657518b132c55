//! One conversation with one supplicant (RFC 3748, 2 and 4): identity, which method, requests and responses in step.
//!
//! The methods do the proving. This is what they have in common, as a pass-through authenticator sees it (RFC 3579): a
//! packet comes, a [`Step`] follows.

use super::problem::Problem;
use super::{Context, Entry, METHODS, Method, Progress, Proved};
use crate::secret::EapKeys;
use crate::wire::eap::{self, Code, Packet, Type};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// Responses taken in one conversation, repeated ones among them.
pub const MAX_ROUNDS: u32 = 64;

/// Octets of EAP packets taken in one conversation.
pub const MAX_OCTETS: usize = 64 * 1024;

/// The longest identity, in octets: what one RADIUS attribute holds (RFC 7542, 2.3).
pub const MAX_IDENTITY_OCTETS: usize = 253;

/// How many of the methods a device asks for are named in the log.
const MAX_NAMED: usize = 6;

const NO_RESPONSE: &str = "not an EAP-Response";

/// What is known before the device has said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// The EAP type to propose first, if it is set up; `None`: by what the identity is known for, else the first of
    /// [`METHODS`].
    pub first: Option<u8>,
}

/// What to do with a packet that came.
#[derive(Debug)]
pub enum Step {
    /// Send this EAP-Request (Access-Challenge).
    Send(Vec<u8>),
    /// The device has proved who it is: decide, then call [`Conversation::decided`].
    Decide(Proved),
    /// It is over: Access-Accept with this EAP-Success and the keys.
    Accept {
        /// EAP-Success.
        packet: Vec<u8>,
        /// MSK and Session-Id.
        keys: EapKeys,
    },
    /// It is over: Access-Reject with this EAP-Failure.
    Reject {
        /// EAP-Failure.
        packet: Vec<u8>,
        /// Why.
        problem: Problem,
    },
    /// The packet counts as if it had never come (RFC 3748, 2.1): no answer; why, in words.
    Discard(&'static str),
}

/// A method that was chosen and what it does.
struct Exchange {
    entry: &'static Entry,
    method: Box<dyn Method + Send>,
}

/// A request that waits for its response.
struct Sent {
    /// The whole packet, to be sent again.
    packet: Vec<u8>,
    /// Its identifier.
    identifier: u8,
}

/// Where the conversation is. Each state owns what only it needs.
enum State {
    /// EAP-Request/Identity is out.
    Asked(Sent),
    /// The first request of a method is out: a Nak may come back.
    Proposed(Exchange, Sent),
    /// The device took to the method: no Nak any more (RFC 3748, 5.3.1).
    Running(Exchange, Sent),
    /// It has proved who it is, with the response of this identifier: a decision is due.
    Deciding(Exchange, u8),
    /// Success or failure were said.
    Over,
}

/// The response that was answered last, as far as needed to know it again. A digest that is not proof against
/// collisions will do: all it can bring about is that the same request is sent once more.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint(u64);

impl Fingerprint {
    fn of(octets: &[u8]) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        hasher.write(octets);
        Fingerprint(hasher.finish())
    }
}

/// One conversation. Dropped by its owner when it is over, or has been silent for too long.
pub struct Conversation {
    state: State,
    /// What there is to choose from.
    table: &'static [Entry],
    /// Which methods of the table were proposed, by bits.
    tried: u32,
    hint: Hint,
    identity: Box<[u8]>,
    answered: Option<Fingerprint>,
    rounds: u32,
    octets: usize,
    /// What was agreed upon, kept beyond the end.
    agreed: Option<&'static Entry>,
    detail: &'static str,
}

impl Conversation {
    /// Begins with what the NAS has sent without a State: an EAP-Response/Identity, or nothing at all (EAP-Start,
    /// RFC 3579, 2.1), which is answered by an EAP-Request/Identity. After [`Step::Discard`] and [`Step::Reject`] there
    /// is nothing to go on with.
    ///
    /// An answer to anything else is refused and not discarded: so a device in the middle of a conversation that went
    /// with a restart begins anew at once.
    pub fn begin(response: &[u8], hint: Hint, context: &mut Context<'_>) -> (Conversation, Step) {
        Conversation::begin_with(METHODS, response, hint, context)
    }

    /// The same with another method table (at most 32 lines are used).
    pub(crate) fn begin_with(
        table: &'static [Entry],
        response: &[u8],
        hint: Hint,
        context: &mut Context<'_>,
    ) -> (Conversation, Step) {
        let mut conversation = Conversation {
            state: State::Over,
            table,
            tried: 0,
            hint,
            identity: Box::default(),
            answered: None,
            rounds: 0,
            octets: 0,
            agreed: None,
            detail: "",
        };
        let step = conversation.first(response, context);
        (conversation, step)
    }

    fn first(&mut self, response: &[u8], context: &mut Context<'_>) -> Step {
        if response.is_empty() {
            let mut identifier = [0];
            (context.random)(&mut identifier);
            let [identifier] = identifier;
            return self.send(identifier, 1, &[], State::Asked);
        }
        let packet = match Packet::parse(response) {
            Ok(packet) => packet,
            Err(error) => return Step::Discard(error.words()),
        };
        match (packet.code(), packet.kind()) {
            (Code::Response, Some(Type::IDENTITY)) => {
                if let Some(step) = self.count(&packet) {
                    return step;
                }
                self.identified(&packet, context)
            }
            (Code::Response, _) => self.reject(
                packet.identifier(),
                Problem::Protocol("it answers what was not asked in this conversation (was latchkey started anew?)"),
            ),
            _ => Step::Discard(NO_RESPONSE),
        }
    }

    /// Takes an EAP packet of the supplicant.
    pub fn receive(&mut self, response: &[u8], context: &mut Context<'_>) -> Step {
        let packet = match Packet::parse(response) {
            Ok(packet) => packet,
            Err(error) => return Step::Discard(error.words()),
        };
        let (Code::Response, Some(kind)) = (packet.code(), packet.kind()) else { return Step::Discard(NO_RESPONSE) };
        if let Some(step) = self.count(&packet) {
            return step;
        }
        let fingerprint = Fingerprint::of(packet.octets());
        if let Some(sent) = self.sent().filter(|_| self.answered == Some(fingerprint)) {
            return Step::Send(sent.packet.clone());
        }
        if self.sent().is_some_and(|sent| sent.identifier != packet.identifier()) {
            return Step::Discard("a response to another request");
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asked(_) if kind == Type::IDENTITY => self.identified(&packet, context),
            State::Proposed(exchange, _) if kind == Type::NAK => {
                drop(exchange);
                self.answered = Some(fingerprint);
                self.other_method(&packet, context)
            }
            State::Proposed(exchange, sent) if kind == Type::ietf(exchange.entry.kind) => {
                self.go_on(exchange, sent, &packet, State::Proposed, context)
            }
            State::Running(exchange, sent) if kind == Type::ietf(exchange.entry.kind) => {
                self.go_on(exchange, sent, &packet, State::Running, context)
            }
            state => {
                let why = match &state {
                    State::Asked(_) => "not an answer to EAP-Request/Identity",
                    State::Running(..) if kind == Type::NAK => "a Nak in the middle of a method",
                    State::Proposed(..) | State::Running(..) => "not an answer to the method's request",
                    State::Deciding(..) => "a decision is due",
                    State::Over => "the conversation is over",
                };
                self.state = state;
                Step::Discard(why)
            }
        }
    }

    /// Goes on after [`Step::Decide`].
    pub fn decided(&mut self, admitted: bool, context: &mut Context<'_>) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Deciding(mut exchange, identifier) => {
                let progress = exchange.method.decided(admitted, context);
                match self.follow(exchange, identifier, progress) {
                    Ok(step) => step,
                    // Nothing came that could be discarded: the method cannot go on.
                    Err((_, why)) => self.reject(identifier, Problem::Protocol(why)),
                }
            }
            state => {
                self.state = state;
                Step::Discard("no decision is due")
            }
        }
    }

    /// What the device calls itself outside of the method (RFC 3748, 5.1), which proves nothing; empty as long as it
    /// has not said.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// The request that waits for its response, as it was sent.
    pub fn last_request(&self) -> Option<&[u8]> {
        self.sent().map(|sent| &*sent.packet)
    }

    /// The method that is proposed or was agreed upon.
    pub fn method(&self) -> Option<&'static Entry> {
        self.agreed
    }

    /// What is to be known of the method beside its name; see [`Method::detail`].
    pub fn detail(&self) -> &'static str {
        match &self.state {
            State::Proposed(exchange, _) | State::Running(exchange, _) | State::Deciding(exchange, _) => {
                exchange.method.detail()
            }
            State::Asked(_) | State::Over => self.detail,
        }
    }

    /// True after [`Step::Accept`] and [`Step::Reject`].
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Octets of memory it holds at present, about.
    pub fn octets(&self) -> usize {
        let held = match &self.state {
            State::Asked(sent) => sent.packet.capacity(),
            State::Proposed(exchange, sent) | State::Running(exchange, sent) => {
                sent.packet.capacity() + exchange.method.octets()
            }
            State::Deciding(exchange, _) => exchange.method.octets(),
            State::Over => 0,
        };
        size_of::<Conversation>() + self.identity.len() + held
    }

    /// What is to be said if the device does not go on.
    pub fn problem_when_abandoned(&self) -> Problem {
        let after = match &self.state {
            State::Asked(_) => "the question who it is",
            State::Proposed(exchange, _) | State::Running(exchange, _) | State::Deciding(exchange, _) => {
                match exchange.method.failed() {
                    Some(problem) => return problem,
                    None => exchange.method.last_sent(),
                }
            }
            State::Over => "the end of the conversation",
        };
        Problem::Abandoned { after }
    }

    /// Counts a packet; something comes back when it was one too many.
    fn count(&mut self, packet: &Packet<'_>) -> Option<Step> {
        self.rounds += 1;
        self.octets += packet.octets().len();
        if self.rounds <= MAX_ROUNDS && self.octets <= MAX_OCTETS {
            return None;
        }
        if self.is_over() {
            return Some(Step::Discard("the conversation is over"));
        }
        self.keep_detail();
        Some(self.reject(packet.identifier(), Problem::TooLong))
    }

    /// The identity is here: the first method.
    fn identified(&mut self, packet: &Packet<'_>, context: &mut Context<'_>) -> Step {
        self.answered = Some(Fingerprint::of(packet.octets()));
        let identity = packet.data();
        if identity.len() > MAX_IDENTITY_OCTETS {
            return self.reject(packet.identifier(), Problem::Protocol("its identity is longer than 253 octets"));
        }
        self.identity = identity.into();
        let first = self.hint.first.or_else(|| context.credentials.first_method(identity));
        let hinted = self.table.iter().position(|entry| Some(entry.kind) == first);
        for index in hinted.into_iter().chain(0..self.table.len()) {
            if let Some(step) = self.propose(index, packet.identifier(), context) {
                return step;
            }
        }
        self.no_method(packet, context)
    }

    /// A Nak is here: the first method of those it asks for that is ours and was not proposed yet.
    fn other_method(&mut self, nak: &Packet<'_>, context: &mut Context<'_>) -> Step {
        self.agreed = None;
        for wanted in nak.wanted() {
            let index = self.table.iter().position(|entry| Type::ietf(entry.kind) == wanted);
            if let Some(step) = index.and_then(|index| self.propose(index, nak.identifier(), context)) {
                return step;
            }
        }
        self.no_method(nak, context)
    }

    /// Proposes a method of the table, if it is set up and was not proposed yet.
    fn propose(&mut self, index: usize, identifier: u8, context: &mut Context<'_>) -> Option<Step> {
        let entry = self.table.get(index)?;
        let bit = 1u32.checked_shl(index as u32).filter(|bit| self.tried & bit == 0)?;
        self.tried |= bit;
        let mut method = start(entry, context)?;
        let data = method.begin(context);
        self.agreed = Some(entry);
        let exchange = Exchange { entry, method };
        Some(self.send(identifier.wrapping_add(1), entry.kind, &data, |sent| State::Proposed(exchange, sent)))
    }

    /// The end: the device and we have no method in common.
    fn no_method(&mut self, nak: &Packet<'_>, context: &mut Context<'_>) -> Step {
        let mut offered = Vec::new();
        for kind in nak.wanted() {
            let name = kind.to_string();
            if offered.len() < MAX_NAMED && !offered.contains(&name) {
                offered.push(name);
            }
        }
        let ours: Vec<String> = self
            .table
            .iter()
            .filter(|entry| start(entry, context).is_some())
            .map(|entry| entry.name.to_owned())
            .collect();
        let offered = (!offered.is_empty()).then(|| listed(&offered));
        self.reject(nak.identifier(), Problem::NoMethod { offered, ours: listed(&ours) })
    }

    /// Hands a response to the method. What it discards leaves everything as it was.
    fn go_on(
        &mut self,
        mut exchange: Exchange,
        sent: Sent,
        packet: &Packet<'_>,
        same: fn(Exchange, Sent) -> State,
        context: &mut Context<'_>,
    ) -> Step {
        exchange.method.identifiers(packet.identifier(), packet.identifier().wrapping_add(1));
        let progress = exchange.method.receive(packet.data(), context);
        match self.follow(exchange, packet.identifier(), progress) {
            Ok(step) => {
                self.answered = Some(Fingerprint::of(packet.octets()));
                step
            }
            Err((exchange, why)) => {
                self.state = same(exchange, sent);
                Step::Discard(why)
            }
        }
    }

    /// Does what the method says. A discarded response gives the exchange back.
    fn follow(
        &mut self,
        exchange: Exchange,
        identifier: u8,
        progress: Progress,
    ) -> Result<Step, (Exchange, &'static str)> {
        self.detail = exchange.method.detail();
        Ok(match progress {
            Progress::Request(data) => {
                let kind = exchange.entry.kind;
                self.send(identifier.wrapping_add(1), kind, &data, |sent| State::Running(exchange, sent))
            }
            Progress::Proved(proved) => {
                self.state = State::Deciding(exchange, identifier);
                Step::Decide(proved)
            }
            Progress::Success(keys) => Step::Accept { packet: eap::success(identifier), keys },
            Progress::Failure(problem) => self.reject(identifier, problem),
            Progress::Discard(why) => return Err((exchange, why)),
        })
    }

    fn send(&mut self, identifier: u8, kind: u8, data: &[u8], state: impl FnOnce(Sent) -> State) -> Step {
        let packet = eap::request(identifier, kind, data);
        self.state = state(Sent { packet: packet.clone(), identifier });
        Step::Send(packet)
    }

    fn reject(&mut self, identifier: u8, problem: Problem) -> Step {
        self.state = State::Over;
        Step::Reject { packet: eap::failure(identifier), problem }
    }

    /// The request that waits for its response.
    fn sent(&self) -> Option<&Sent> {
        match &self.state {
            State::Asked(sent) | State::Proposed(_, sent) | State::Running(_, sent) => Some(sent),
            State::Deciding(..) | State::Over => None,
        }
    }

    fn keep_detail(&mut self) {
        self.detail = self.detail();
    }
}

/// A method, if it is wanted and set up.
fn start(entry: &Entry, context: &mut Context<'_>) -> Option<Box<dyn Method + Send>> {
    if context.credentials.offers(entry.kind) { (entry.begin)(context) } else { None }
}

/// "A", "A and B", "A, B and C"; "nothing".
fn listed(names: &[String]) -> Arc<str> {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{before}{name}");
    }
    if text.is_empty() { "nothing".into() } else { text.into() }
}

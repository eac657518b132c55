//! ubusd, played by threads: what its `ubusd_proto.c`, `ubusd_obj.c`, `ubusd_event.c` and `ubusd_acl.c` do with the messages
//! of clients, as far as anybody here sends them. With UBUSD in the environment the tests run against that program.
//!
//! And a client of it, for the part of the command `ubus`.

use super::{PATIENCE, eventually};
use latchkey::wire::ubus::{Frames, Header, Message, MessageType, Writer, blobmsg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

const REMOVE_OBJECT: MessageType = MessageType(7);

/// What somebody who is not root may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acl {
    /// Names he may publish.
    pub publish: &'static [&'static str],
    /// Names of events he may send; `*` at the end stands for anything.
    pub send: &'static [&'static str],
}

fn allowed(names: &[&str], name: &str) -> bool {
    names.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *allowed,
    })
}

/// ubusd.
pub enum Ubusd {
    Played(Played),
    Real(Child, PathBuf),
}

impl Ubusd {
    /// Starts it, and waits until clients can connect.
    pub fn start(socket: &Path) -> Ubusd {
        let Some(program) = std::env::var_os("UBUSD") else { return Ubusd::Played(Played::start(socket)) };
        let child = Command::new(program).arg("-s").arg(socket).stdin(Stdio::null()).spawn().unwrap();
        eventually("ubusd listens", || UnixStream::connect(socket).ok());
        Ubusd::Real(child, socket.to_owned())
    }

    pub fn client(&self) -> Caller {
        match self {
            Ubusd::Played(played) => Caller::connect(&played.socket),
            Ubusd::Real(_, socket) => Caller::connect(socket),
        }
    }
}

impl Drop for Ubusd {
    fn drop(&mut self) {
        if let Ubusd::Real(child, _) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Connection {
    stream: UnixStream,
    /// Nobody asks what it may do.
    root: bool,
}

struct Object {
    path: Option<String>,
    signature: Option<Vec<u8>>,
    client: u32,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<u32, Connection>,
    objects: BTreeMap<u32, Object>,
    /// Who listens for which events.
    patterns: Vec<(u32, String)>,
    last_id: u32,
    event_seq: u16,
    /// When set, everybody counts as this user.
    acl: Option<Acl>,
    closed: bool,
}

impl State {
    fn new_id(&mut self) -> u32 {
        // Numbers are random in the real one; the first 1024 are reserved.
        self.last_id = self.last_id.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 0x8000_0000;
        self.last_id
    }

    fn send(&self, client: u32, kind: MessageType, seq: u16, peer: u32, message: &Message<'_>) {
        let frame = message.frame(Header::new(kind, seq, peer)).unwrap();
        if let Some(connection) = self.clients.get(&client) {
            let _ = (&connection.stream).write_all(&frame);
        }
    }

    fn object_at(&self, path: &str) -> Option<(u32, &Object)> {
        self.objects.iter().find(|(_, object)| object.path.as_deref() == Some(path)).map(|(id, object)| (*id, object))
    }

    fn may(&self, client: u32, what: fn(&Acl) -> &'static [&'static str], name: &str) -> bool {
        let Some(acl) = self.acl.filter(|_| !self.clients[&client].root) else { return true };
        allowed(what(&acl), name)
    }

    /// One message of a client. Gives the status that it is told, if any.
    fn handle(&mut self, client: u32, header: Header, payload: &[u8]) -> Option<u32> {
        let Ok(message) = Message::parse(payload) else { return Some(2) };
        let Header { kind, seq, peer } = header;
        match kind {
            MessageType::ADD_OBJECT => Some(self.add_object(client, header, message)),
            MessageType::LOOKUP => Some(self.lookup(client, header, message)),
            REMOVE_OBJECT => {
                let Some(object) = message.object else { return Some(2) };
                match self.objects.get(&object) {
                    None => Some(4),
                    Some(found) if found.client != client => Some(6),
                    Some(_) => {
                        self.remove(object);
                        self.send(
                            client,
                            MessageType::DATA,
                            seq,
                            peer,
                            &Message { object: Some(object), ..Message::default() },
                        );
                        Some(0)
                    }
                }
            }
            MessageType::INVOKE => self.invoke(client, seq, message),
            MessageType::DATA | MessageType::STATUS => {
                self.respond(client, header, message);
                None
            }
            _ => Some(1),
        }
    }

    fn add_object(&mut self, client: u32, header: Header, message: Message<'_>) -> u32 {
        let path = message.path.map(|path| String::from_utf8_lossy(path).into_owned());
        if let Some(path) = &path
            && (!self.may(client, |acl| acl.publish, path) || self.object_at(path).is_some())
        {
            return 2;
        }
        let id = self.new_id();
        if let Some(path) = &path {
            self.event(0, "ubus.object.add", &json!({ "id": id as i32, "path": path }));
        }
        let signature = message.signature.filter(|signature| blobmsg::table(signature).is_ok()).map(<[u8]>::to_vec);
        let object_type = signature.is_some().then_some(id ^ 1);
        self.objects.insert(id, Object { path, signature, client });
        let data = Message { object: Some(id), object_type, ..Message::default() };
        self.send(client, MessageType::DATA, header.seq, header.peer, &data);
        0
    }

    fn lookup(&self, client: u32, header: Header, message: Message<'_>) -> u32 {
        let wanted = String::from_utf8_lossy(message.path.unwrap_or(b"*")).into_owned();
        let mut found = false;
        for (id, object) in &self.objects {
            let Some(path) = object.path.as_deref().filter(|path| allowed(&[&wanted], path)) else { continue };
            found = true;
            // Without a signature it is invisible.
            let Some(signature) = object.signature.as_deref() else { continue };
            let data = Message {
                path: Some(path.as_bytes()),
                object: Some(*id),
                object_type: Some(id ^ 1),
                signature: Some(signature),
                ..Message::default()
            };
            self.send(client, MessageType::DATA, header.seq, header.peer, &data);
        }
        if found || message.path.is_none() { 0 } else { 4 }
    }

    fn invoke(&mut self, client: u32, seq: u16, message: Message<'_>) -> Option<u32> {
        let (Some(object), Some(method)) = (message.object, message.method) else { return Some(2) };
        if object == 1 {
            let arguments = blobmsg::table(message.data.unwrap_or_default()).unwrap_or_default();
            return Some(self.event_object(client, method, &arguments));
        }
        let Some(found) = self.objects.get(&object) else { return Some(4) };
        let forwarded = Message {
            object: Some(object),
            method: Some(method),
            user: Some(b"root"),
            group: Some(b"root"),
            data: message.data,
            ..Message::default()
        };
        self.send(found.client, MessageType::INVOKE, seq, client, &forwarded);
        None
    }

    fn event_object(&mut self, client: u32, method: &[u8], arguments: &Map<String, Value>) -> u32 {
        match method {
            b"register" => {
                let object = arguments.get("object").and_then(Value::as_i64).unwrap_or_default() as i32 as u32;
                let Some(pattern) = arguments.get("pattern").and_then(Value::as_str) else { return 2 };
                match self.objects.get(&object) {
                    None => 4,
                    Some(found) if found.client != client => 6,
                    Some(_) => {
                        self.patterns.push((object, pattern.to_owned()));
                        0
                    }
                }
            }
            b"send" => {
                let (id, data) = (arguments.get("id").and_then(Value::as_str), arguments.get("data"));
                let (Some(id), Some(data @ Value::Object(_))) = (id, data) else { return 2 };
                if id.starts_with("ubus.") || !self.may(client, |acl| acl.send, id) {
                    return 6;
                }
                self.event(client, id, data);
                0
            }
            _ => 1,
        }
    }

    /// To everybody who listens but who sent it.
    fn event(&mut self, from: u32, name: &str, data: &Value) {
        let mut writer = Writer::default();
        blobmsg::put_fields(&mut writer, data.as_object().unwrap());
        let data = writer.finish().unwrap();
        for (object, pattern) in &self.patterns {
            let Some(listener) = self.objects.get(object).filter(|listener| listener.client != from) else { continue };
            if allowed(&[pattern], name) {
                self.event_seq = self.event_seq.wrapping_add(1);
                let message = Message {
                    object: Some(*object),
                    method: Some(name.as_bytes()),
                    data: Some(&data),
                    ..Message::default()
                };
                self.send(listener.client, MessageType::INVOKE, self.event_seq, 0, &message);
            }
        }
    }

    /// An answer goes on to the caller, with the object's number in place of his.
    fn respond(&self, client: u32, header: Header, message: Message<'_>) {
        let missing = match header.kind {
            MessageType::DATA => message.data.is_none(),
            _ => message.status.is_none(),
        };
        let Some(object) = message.object.filter(|_| !missing) else { return };
        if self.objects.get(&object).is_some_and(|found| found.client == client) {
            self.send(header.peer, header.kind, header.seq, object, &message);
        }
    }

    fn remove(&mut self, object: u32) {
        self.patterns.retain(|(listener, _)| *listener != object);
        if let Some(path) = self.objects.remove(&object).and_then(|object| object.path) {
            self.event(0, "ubus.object.remove", &json!({ "id": object as i32, "path": path }));
        }
    }

    fn leave(&mut self, client: u32) {
        self.clients.remove(&client);
        let gone: Vec<u32> =
            self.objects.iter().filter(|(_, object)| object.client == client).map(|(id, _)| *id).collect();
        for object in gone {
            self.remove(object);
        }
    }
}

/// The double.
pub struct Played {
    pub socket: PathBuf,
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

impl Played {
    pub fn start(socket: &Path) -> Played {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().closed {
                    return;
                }
                let (stream, shared) = (stream.unwrap(), shared.clone());
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Played { socket: socket.to_owned(), state, accepting: Some(accepting) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on nobody is root, and everybody may do only this. Who is connected stays so.
    pub fn nobody_is_root(&self, acl: Acl) {
        let mut state = self.state();
        state.acl = Some(acl);
        state.clients.values_mut().for_each(|client| client.root = false);
    }

    pub fn client(&self) -> Caller {
        Caller::connect(&self.socket)
    }
}

impl Drop for Played {
    /// Everybody is hung up on, and the socket is gone.
    fn drop(&mut self) {
        {
            let mut state = self.state();
            state.closed = true;
            state.clients.values().for_each(|client| drop(client.stream.shutdown(Shutdown::Both)));
        }
        let _ = UnixStream::connect(&self.socket);
        self.accepting.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.socket);
    }
}

/// One client, until it or ubusd hangs up.
fn serve(shared: &Mutex<State>, stream: UnixStream) {
    let root = getsockopt(&stream, PeerCredentials).is_ok_and(|who| who.uid() == 0);
    let mut reader = stream.try_clone().unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let id = {
        let mut state = shared.lock().unwrap();
        let (id, root) = (state.new_id(), root && state.acl.is_none());
        state.clients.insert(id, Connection { stream, root });
        state.send(id, MessageType::HELLO, 0, id, &Message::default());
        id
    };
    let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
    while let Ok(octets @ 1..) = reader.read(&mut buffer) {
        frames.push(&buffer[..octets]);
        loop {
            let Ok(next) = frames.next() else {
                shared.lock().unwrap().leave(id);
                return drop(reader.shutdown(Shutdown::Both));
            };
            let Some(frame) = next else { break };
            let mut state = shared.lock().unwrap();
            if let Some(status) = state.handle(id, frame.header, frame.payload) {
                let message = Message { status: Some(status), ..Message::default() };
                state.send(id, MessageType::STATUS, frame.header.seq, frame.header.peer, &message);
            }
        }
    }
    shared.lock().unwrap().leave(id);
}

/// A message as it came.
pub struct Received {
    pub header: Header,
    payload: Vec<u8>,
}

impl Received {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.payload).unwrap()
    }

    /// Its DATA.
    pub fn table(&self) -> Value {
        Value::Object(blobmsg::table(self.message().data.unwrap()).unwrap())
    }
}

/// What the command `ubus` does.
pub struct Caller {
    stream: UnixStream,
    frames: Frames,
    seq: u16,
    /// What came while something else was waited for.
    kept: Vec<Received>,
}

impl Caller {
    pub fn connect(socket: &Path) -> Caller {
        let stream = eventually("ubusd listens", || UnixStream::connect(socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut caller = Caller { stream, frames: Frames::default(), seq: 0, kept: Vec::new() };
        assert_eq!(caller.receive().unwrap().header.kind, MessageType::HELLO);
        caller
    }

    /// Sends a message, and gives its number.
    pub fn send(&mut self, kind: MessageType, peer: u32, message: &Message<'_>) -> u16 {
        self.seq += 1;
        let frame = message.frame(Header::new(kind, self.seq, peer)).unwrap();
        self.stream.write_all(&frame).unwrap();
        self.seq
    }

    fn receive(&mut self) -> io::Result<Received> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.frames.next().expect("messages") {
                return Ok(Received { header: frame.header, payload: frame.payload.to_vec() });
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                octets => self.frames.push(&buffer[..octets]),
            }
        }
    }

    /// The next message of this number and these types.
    fn next(&mut self, seq: Option<u16>, kinds: &[MessageType]) -> Received {
        let fits = |received: &Received| {
            seq.is_none_or(|seq| seq == received.header.seq) && kinds.contains(&received.header.kind)
        };
        if let Some(at) = self.kept.iter().position(fits) {
            return self.kept.remove(at);
        }
        loop {
            let received = self.receive().expect("an answer");
            if fits(&received) {
                return received;
            }
            self.kept.push(received);
        }
    }

    /// What came of a message: its DATA, or its status if that is not 0.
    pub fn answer(&mut self, seq: u16) -> Result<Option<Received>, u32> {
        let mut data = None;
        loop {
            let received = self.next(Some(seq), &[MessageType::DATA, MessageType::STATUS]);
            if received.header.kind == MessageType::DATA {
                data = Some(received);
                continue;
            }
            return match received.message().status {
                Some(0) => Ok(data),
                status => Err(status.expect("a status")),
            };
        }
    }

    /// An object's number and signature.
    pub fn lookup(&mut self, path: &str) -> Option<(u32, Value)> {
        let message = Message { path: Some(path.as_bytes()), ..Message::default() };
        let seq = self.send(MessageType::LOOKUP, 0, &message);
        let received = self.answer(seq).ok()??;
        let message = received.message();
        let signature = blobmsg::table(message.signature.unwrap()).unwrap();
        Some((message.object.unwrap(), Value::Object(signature)))
    }

    /// Waits for an object.
    pub fn wait_for(&mut self, path: &str) -> u32 {
        eventually(path, || self.lookup(path)).0
    }

    /// Begins a call; [`Caller::result`] has what comes of it.
    pub fn begin(&mut self, object: u32, method: &str, arguments: &Value) -> u16 {
        let mut writer = Writer::default();
        blobmsg::put_fields(&mut writer, arguments.as_object().unwrap());
        self.begin_raw(object, method, &writer.finish().unwrap())
    }

    pub fn begin_raw(&mut self, object: u32, method: &str, arguments: &[u8]) -> u16 {
        let message = Message {
            object: Some(object),
            method: Some(method.as_bytes()),
            data: Some(arguments),
            ..Message::default()
        };
        self.send(MessageType::INVOKE, object, &message)
    }

    pub fn result(&mut self, seq: u16) -> Result<Value, u32> {
        let data = self.answer(seq)?;
        Ok(data.map_or(Value::Null, |data| data.table()))
    }

    /// Calls a method of the object `latchkey`.
    pub fn call(&mut self, method: &str, arguments: &Value) -> Result<Value, u32> {
        let object = self.wait_for("latchkey");
        let seq = self.begin(object, method, arguments);
        self.result(seq)
    }

    /// Listens for events from now on.
    pub fn listen(&mut self, pattern: &str) {
        let seq = self.send(MessageType::ADD_OBJECT, 0, &Message::default());
        let object = self.answer(seq).unwrap().unwrap().message().object.unwrap();
        let seq = self.begin(1, "register", &json!({ "object": object as i32, "pattern": pattern }));
        self.answer(seq).unwrap();
    }

    /// The next event: its name and what it says.
    pub fn event(&mut self) -> (String, Value) {
        let received = self.next(None, &[MessageType::INVOKE]);
        let name = String::from_utf8(received.message().method.unwrap().to_vec()).unwrap();
        (name, received.table())
    }
}

//! The client's end of the control socket: one JSON object a line, each way.

use crate::json::json;
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest line the daemon may answer with, in octets.
pub const LINE: usize = 16 << 20;
/// How long a request may take, sending included.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a request may take that makes the daemon compute for thousands of devices.
pub const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// Refused, by the daemon or before it was asked: an object with `code`, `message`, `field` and perhaps `lines`.
    Refused(Value),
    /// No daemon, or none that answers as it should. Names the socket and the mend.
    Unreachable(String),
    /// Nobody takes the output.
    Output(io::Error),
    /// The answer is no, and it has been printed.
    Told,
}

impl Failure {
    /// A refusal of our own, of the daemon's shape.
    pub fn refused(code: &str, field: &str, message: impl Into<String>) -> Failure {
        Failure::Refused(json!({ "code": code, "message": message.into(), "field": field }))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    stream: UnixStream,
    /// What was read after the end of a line.
    buffer: Vec<u8>,
}

/// What went wrong on the way.
enum Trouble {
    Closed,
    Late,
    TooLong,
    NotJson,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Trouble::Late,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Trouble::Closed,
            _ => Trouble::Io(error),
        }
    }
}

impl Client {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(socket: &Path) -> Result<Client, Failure> {
        match connect(socket, PATIENCE) {
            Ok(stream) => Ok(Client { socket: socket.to_owned(), stream, buffer: Vec::new() }),
            Err(error) => Err(Failure::Unreachable(unreachable(socket, &error))),
        }
    }

    /// Asks, and waits at most `patience` for the result.
    ///
    /// # Errors
    /// The daemon's refusal, or that there was no answer one can understand.
    pub fn call(&mut self, method: &str, params: Value, patience: Duration) -> Result<Value, Failure> {
        let mut request = json!({ "method": method, "params": params }).to_string();
        request.push('\n');
        let deadline = Instant::now() + patience;
        let mut reply = match self.exchange(request.as_bytes(), deadline) {
            Ok(reply) => reply,
            Err(trouble) => return Err(self.failure(&trouble)),
        };
        match reply.as_object_mut() {
            Some(members) => match (members.remove("result"), members.remove("error")) {
                (_, Some(error @ Value::Object(_))) => Err(Failure::Refused(error)),
                (Some(result), None) => Ok(result),
                _ => Err(self.failure(&Trouble::NotJson)),
            },
            None => Err(self.failure(&Trouble::NotJson)),
        }
    }

    /// Waits for the next event, for as long as it takes.
    ///
    /// # Errors
    /// When the daemon hangs up or says something else.
    pub fn event(&mut self) -> Result<Value, Failure> {
        let line = self.read_line(None).map_err(|trouble| match trouble {
            Trouble::Closed => {
                Failure::Unreachable(format!("the daemon at {} stopped: no more events", self.socket.display()))
            }
            other => self.failure(&other),
        })?;
        match line.get("event") {
            Some(event) => Ok(event.clone()),
            None => Err(self.failure(&Trouble::NotJson)),
        }
    }

    fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<Value, Trouble> {
        match self.send(request, deadline) {
            // It may have refused the request before it was through, and then hung up.
            Ok(()) | Err(Trouble::Closed) => self.read_line(Some(deadline)),
            Err(trouble) => Err(trouble),
        }
    }

    fn send(&mut self, mut request: &[u8], deadline: Instant) -> Result<(), Trouble> {
        while !request.is_empty() {
            self.stream.set_write_timeout(Some(left(deadline)?))?;
            match self.stream.write(request) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(n) => request = request.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_line(&mut self, deadline: Option<Instant>) -> Result<Value, Trouble> {
        let mut chunk = vec![0; 64 << 10];
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return serde_json::from_slice(&line).map_err(|_| Trouble::NotJson);
            }
            searched = self.buffer.len();
            if searched > LINE {
                return Err(Trouble::TooLong);
            }
            self.stream.set_read_timeout(deadline.map(left).transpose()?)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(n) => self.buffer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn failure(&self, trouble: &Trouble) -> Failure {
        let socket = self.socket.display();
        Failure::Unreachable(match trouble {
            Trouble::Closed => format!(
                "the daemon at {socket} hung up before it had answered; whether it did what you asked is unknown: \
                 look with latchkey device list"
            ),
            Trouble::Late => format!(
                "the daemon at {socket} did not answer in time; whether it does what you asked is unknown: \
                 look with latchkey device list"
            ),
            Trouble::TooLong => format!("the daemon at {socket} answered with a line of more than {} MiB", LINE >> 20),
            Trouble::NotJson => format!(
                "what listens at {socket} does not answer like latchkey: is it another program, or another version?"
            ),
            Trouble::Io(error) => format!("the connection to the daemon at {socket} broke: {error}"),
        })
    }
}

/// How long until `deadline`; zero would mean for ever to the socket.
fn left(deadline: Instant) -> Result<Duration, Trouble> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Trouble::Late) } else { Ok(left) }
}

/// Connects within a time: the standard library waits for ever when the daemon's queue is full.
fn connect(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, sockopt};
    use nix::sys::time::{TimeVal, TimeValLike};
    use std::os::fd::AsRawFd;
    let address = UnixAddr::new(socket)?;
    let fd = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::seconds(seconds))?;
    nix::sys::socket::connect(fd.as_raw_fd(), &address)?;
    Ok(fd.into())
}

fn unreachable(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    let start = "start it with /etc/init.d/latchkey start, or latchkey serve --config /etc/config/latchkey \
                 (another socket: --socket PATH)";
    match error.kind() {
        ErrorKind::NotFound => format!("no daemon: there is no socket {socket}; {start}"),
        ErrorKind::ConnectionRefused => format!("no daemon listens at {socket}; {start}"),
        ErrorKind::PermissionDenied => format!("the daemon's socket {socket} is closed to you: run this as root"),
        ErrorKind::WouldBlock => format!("the daemon at {socket} is too busy to answer: try again in a minute"),
        _ => format!("no daemon at {socket}: {error}; {start}"),
    }
}

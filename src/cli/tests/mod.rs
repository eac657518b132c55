//! The whole command line, against a thread that plays the daemon.

mod arguments;
mod talk;

use super::text::Look;
use super::{Context, run};
use crate::time::UnixTime;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::JoinHandle;
use tempfile::TempDir;

/// 2027-01-31T18:00:00Z, no terminal.
pub const PLAIN: Look = Look { terminal: false, colour: false, now: UnixTime(1_801_418_400) };
/// The same on a terminal.
pub const COLOUR: Look = Look { terminal: true, colour: true, ..PLAIN };

/// What came of a command.
pub struct Done {
    pub code: ExitCode,
    pub out: String,
    pub err: String,
}

pub fn latchkey(line: &str, socket: PathBuf, input: &str) -> Done {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut context = Context {
        socket: PathBuf::new(),
        json: false,
        look: PLAIN,
        prompt: false,
        input: &mut input.as_bytes(),
        out: &mut out,
        err: &mut err,
    };
    let code = run(line.split_whitespace().map(OsString::from), Some(socket.into()), &mut context);
    Done { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// Plays the daemon for one connection: answers one request with each of `replies` and hangs up. Ends with the
/// requests.
pub struct Daemon {
    dir: TempDir,
    thread: JoinHandle<Vec<Value>>,
}

impl Daemon {
    pub fn new(replies: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let replies: Vec<Vec<u8>> = replies.into_iter().map(Into::into).collect();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut requests = Vec::new();
            for reply in replies {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                requests.push(serde_json::from_str(&line).unwrap());
                // The client may have hung up over what it has read.
                let _ = reader.get_mut().write_all(&reply);
            }
            requests
        });
        Daemon { dir, thread }
    }

    pub fn ok(result: Value) -> Daemon {
        Daemon::new([format!("{}\n", json!({ "result": result }))])
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub fn requests(self) -> Vec<Value> {
        self.thread.join().unwrap()
    }

    /// Gives a command to it; the result and the one request.
    fn take(self, line: &str, input: &str) -> (Done, Value) {
        let done = latchkey(line, self.socket(), input);
        let [request] = <[Value; 1]>::try_from(self.requests()).unwrap();
        (done, request)
    }
}

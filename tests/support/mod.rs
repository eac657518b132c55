//! The real daemon in a directory of its own, for the integration tests.
#![allow(dead_code, reason = "every test binary uses a part of it")]

pub mod cable;
pub mod eap;
pub mod freeradius;
pub mod hostapd;
pub mod maker;
pub mod program;
pub mod radius;
pub mod radsecproxy;
pub mod ubusd;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The secret of the client in the configuration.
pub const SECRET: &str = "a-secret-for-these-tests";

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with configuration, registry, socket and log.
pub struct Home {
    dir: tempfile::TempDir,
    pub auth_port: u16,
    pub acct_port: u16,
}

/// What the daemon said when a test fails.
impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(40);
            log.lines().skip(from).for_each(|line| println!("{line}"));
        }
    }
}

impl Home {
    pub fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap(), auth_port: free_port(), acct_port: free_port() };
        home.configure("");
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// Writes the configuration: two profiles, an SSID, and what is added here.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "config latchkey 'main'\n\toption state_dir '{0}/state'\n\toption control_socket '{0}/control.sock'\n\
             \toption auth_listen '127.0.0.1:{1}'\n\toption acct_listen '127.0.0.1:{2}'\n\toption hostapd_dir '{0}/hostapd'\n\
             \toption firewall 'off'\n\toption ubus 'off'\n\
             config client 'local'\n\toption address '127.0.0.1'\n\toption secret '{SECRET}'\n\
             config profile 'iot'\n\toption vlan '20'\nconfig profile 'media'\n\toption vlan '30'\n\
             config ssid 'home'\n\toption ssid 'Home'\n{more}",
            self.dir.path().display(),
            self.auth_port,
            self.acct_port,
        );
        fs::write(self.path("config"), text).unwrap();
    }

    /// Starts the daemon, which may still be on its way when this returns.
    pub fn spawn(&self) -> Daemon {
        self.spawn_through(&[])
    }

    /// Starts the daemon by way of a program that becomes it.
    pub fn spawn_through(&self, wrapper: &[&str]) -> Daemon {
        self.spawn_program(wrapper, env!("CARGO_BIN_EXE_latchkey"))
    }

    /// The same with the program elsewhere.
    pub fn spawn_program(&self, wrapper: &[&str], program: &str) -> Daemon {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let words = [wrapper, &[program]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--config"])
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon(child)
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&self) -> Daemon {
        let daemon = self.spawn();
        drop(self.connect());
        daemon
    }

    /// Connects to the daemon, which may be starting: the socket of an earlier life answers nobody.
    pub fn connect(&self) -> Control {
        eventually("the daemon answers", || Control::connect(&self.socket()).ok())
    }

    /// One call on a connection of its own: the result, or the error.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.connect().call(method, params)
    }

    /// Runs the command line.
    pub fn latchkey(&self, args: &[&str]) -> Output {
        self.latchkey_with(args, "")
    }

    /// Runs the command line with something on its standard input.
    pub fn latchkey_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .arg("--socket")
            .arg(self.socket())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read its input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// What the daemon said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// The daemon, killed at the latest when the test ends.
pub struct Daemon(Child);

impl Daemon {
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "the daemon ended by itself: {status}");
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the daemon ends", || self.0.try_wait().unwrap())
    }

    /// Ends it with SIGTERM.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One connection to the control socket.
pub struct Control {
    reader: BufReader<UnixStream>,
}

impl Control {
    pub fn connect(socket: &Path) -> std::io::Result<Control> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Control { reader: BufReader::new(stream) })
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(octets)
    }

    /// The next line; an error when the connection is gone.
    pub fn line(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if let Err(e) = self.reader.read_line(&mut line) {
            assert_ne!(e.kind(), std::io::ErrorKind::WouldBlock, "no answer within {PATIENCE:?}");
            return Err(e);
        }
        if !line.ends_with('\n') {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line).expect("an answer is JSON"))
    }

    /// One request and its answer; an error when the connection is gone.
    pub fn try_call(&mut self, method: &str, params: Value) -> std::io::Result<Result<Value, Value>> {
        self.send(format!("{}\n", json!({ "method": method, "params": params })).as_bytes())?;
        let mut reply = self.line()?;
        if reply.get("error").is_some() { Ok(Err(reply["error"].take())) } else { Ok(Ok(reply["result"].take())) }
    }

    /// One request and its answer, on a connection that lasts.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.try_call(method, params).expect("an answer")
    }
}

/// A port nobody uses; the same in every life of the daemon.
pub fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A TCP port nobody uses.
pub fn free_tcp_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for something that is to happen soon.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

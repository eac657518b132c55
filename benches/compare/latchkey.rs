//! latchkey as users run it: the release binary with a configuration file, reached over its control socket.

use crate::fleet::{PROFILES, SSID};
use crate::process::{self, Server};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The shared secret.
pub const SECRET: &str = "latchkey-on-loopback-1812";

/// The program: the one in the variable LATCHKEY, as `make bench` has it, or the one that cargo built for the benchmark.
/// The latter differs a little from the one that is installed: the benchmark's own dependencies turn on features of
/// crates that both use.
pub fn program() -> PathBuf {
    std::env::var_os("LATCHKEY").map_or_else(|| env!("CARGO_BIN_EXE_latchkey").into(), PathBuf::from)
}

/// A directory with configuration and state, which outlives the daemon's runs.
pub struct Home {
    dir: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    address: SocketAddr,
}

/// A running daemon.
pub struct Latchkey {
    pub server: Server,
    pub address: SocketAddr,
    /// From the start of the process to the first answer on the control socket.
    pub started_in: Duration,
}

impl Home {
    /// Writes the configuration. Warnings only: the load shall measure answers, not log lines, as with FreeRADIUS.
    pub fn new(dir: &Path) -> Result<Home, String> {
        Home::with(&dir.join("latchkey"), "\toption security 'wpa2'\n\toption unknown 'reject'\n")
    }

    /// The same in a directory, with other settings of the network, and more sections.
    pub fn with(dir: &Path, network: &str) -> Result<Home, String> {
        let dir = dir.to_owned();
        let (config, socket) = (dir.join("config"), dir.join("latchkey.sock"));
        let (auth, acct) = process::free_ports()?;
        let mut text = format!(
            "config latchkey 'main'\n\toption state_dir '{}'\n\toption control_socket '{}'\n\
             \toption auth_listen '127.0.0.1:{auth}'\n\toption acct_listen '127.0.0.1:{acct}'\n\
             \toption hostapd_dir '{}'\n\toption log_level 'warn'\n\toption firewall 'off'\n\n\
             config client 'local'\n\toption address '127.0.0.1'\n\toption secret '{SECRET}'\n\n\
             config ssid 'home'\n\toption ssid '{SSID}'\n{network}",
            dir.join("state").display(),
            socket.display(),
            dir.join("hostapd").display(),
        );
        for (name, vlan) in PROFILES {
            let _ = write!(text, "\nconfig profile '{name}'\n\toption vlan '{vlan}'\n\toption access 'internet'\n");
        }
        fs::create_dir_all(dir.join("state")).map_err(|e| format!("{}: {e}", dir.display()))?;
        let owner_only = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&config);
        let written = owner_only.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| format!("{}: {e}", config.display()))?;
        Ok(Home { dir, config, socket, address: (Ipv4Addr::LOCALHOST, auth).into() })
    }

    /// Where the daemon looks for hostapd's control sockets; nobody makes it but the benchmark.
    pub fn hostapd_dir(&self) -> PathBuf {
        self.dir.join("hostapd")
    }

    /// Starts the daemon and waits for its first answer on the control socket.
    pub fn start(&self) -> Result<Latchkey, String> {
        let (config, log) = (self.config.to_string_lossy(), self.dir.join("log"));
        let start = Instant::now();
        let mut server = Server::start("latchkey", &program(), &["serve", "--config", &config], &log)?;
        server.wait(Duration::from_secs(10), Duration::from_millis(1), || self.call("status", &json!({})).is_ok())?;
        Ok(Latchkey { server, address: self.address, started_in: start.elapsed() })
    }

    /// One request on a connection of its own.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.socket.display());
        let mut stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
        stream.write_all(format!("{}\n", json!({ "method": method, "params": params })).as_bytes()).map_err(failed)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map_err(failed)?;
        let mut reply: Value =
            serde_json::from_str(&line).map_err(|e| format!("{method}: {line:?} is not JSON: {e}"))?;
        match reply.get("error") {
            Some(error) => Err(format!("{method} is refused: {error}")),
            None => Ok(reply.get_mut("result").map_or(Value::Null, Value::take)),
        }
    }

    /// The command line, as an administrator uses it; returns what it prints.
    pub fn command(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(program())
            .arg("--socket")
            .arg(&self.socket)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{}: {e}", program().display()))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("latchkey {}: {}:\n{errors}", args.join(" "), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How many PMKs are ready, and how many there will be.
    pub fn keys(&self) -> Result<(u64, u64), String> {
        let status = self.call("status", &json!({}))?;
        let keys = status["keys"].as_array().ok_or_else(|| format!("status has no keys: {status}"))?;
        let sum = |field: &str| keys.iter().map(|ssid| ssid[field].as_u64().unwrap_or(0)).sum();
        Ok((sum("ready"), sum("total")))
    }

    /// Registers the devices of a CSV file.
    pub fn register(&self, csv: &str) -> Result<(), String> {
        let path = self.dir.join("devices.csv");
        fs::write(&path, csv).map_err(|e| format!("{}: {e}", path.display()))?;
        self.command(&["device", "import", &path.to_string_lossy()]).map(drop)
    }

    /// Registers the devices of a CSV file and waits until their PMKs are derived; returns how long both took.
    pub fn import(&self, csv: &str, server: &mut Server) -> Result<(Duration, Duration), String> {
        let start = Instant::now();
        self.register(csv)?;
        let imported = start.elapsed();
        let expected = csv.lines().count() as u64 - 1;
        let ready = || self.keys().is_ok_and(|(ready, total)| ready == total && total >= expected);
        server.wait(Duration::from_secs(120), Duration::from_millis(100), ready)?;
        Ok((imported, start.elapsed() - imported))
    }
}

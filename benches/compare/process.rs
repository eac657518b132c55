//! Servers as child processes: started with a leash, measured through /proc, ended with the benchmark.

use nix::unistd::{SysconfVar, sysconf};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    name: &'static str,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts `program`; what it says goes to `log`. `setpriv` has it killed when this process dies, however that
    /// happens, and becomes the server itself: the process number stays.
    pub fn start(name: &'static str, program: &Path, args: &[&str], log: &Path) -> Result<Server, String> {
        let output =
            File::options().create(true).append(true).open(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("{name} does not start: setpriv (package util-linux): {e}"))?;
        Ok(Server { child, name, log: log.to_path_buf() })
    }

    /// Calls `ready` until it is true, every `step`.
    pub fn wait(&mut self, most: Duration, step: Duration, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended ({status}):\n{}", self.name, self.last_words()));
            }
            if start.elapsed() > most {
                return Err(format!("{} is not ready after {most:?}:\n{}", self.name, self.last_words()));
            }
            std::thread::sleep(step);
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// CPU time of all its threads so far, user and system.
    pub fn cpu(&self) -> Result<Duration, String> {
        cpu_of(&self.child.id().to_string()).map_err(|e| format!("{} is gone: {e}\n{}", self.name, self.last_words()))
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Resident memory, in bytes.
    pub fn rss(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(|e| format!("{} is gone: {path}: {e}", self.name))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|text| text.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("{path} has no VmRSS"))
    }

    /// Ends it as an administrator would, so that it writes what it has to.
    pub fn stop(mut self) -> Result<(), String> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).map_err(|e| e.to_string())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).map_err(|e| format!("SIGTERM: {e}"))?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{} ended with {status}:\n{}", self.name, self.last_words())),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("{} does not end on SIGTERM", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process so far.
pub fn own_cpu() -> Result<Duration, String> {
    cpu_of("self")
}

/// utime and stime of /proc/`process`/stat (proc(5)); the kernel counts both in clock ticks of 10 ms.
fn cpu_of(process: &str) -> Result<Duration, String> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // Fields 14 and 15, counted from after the command name, which may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<u32>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or_else(|| format!("{path} reads {stat:?}"))?;
    let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Ok(Duration::from_secs_f64(f64::from(user + system) / hertz as f64))
}

/// Two neighbouring UDP ports on loopback that nobody uses at the moment.
pub fn free_ports() -> Result<(u16, u16), String> {
    for _ in 0..100 {
        let first = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("a port on loopback: {e}"))?;
        let port = first.local_addr().map_err(|e| e.to_string())?.port();
        let Some(next) = port.checked_add(1) else { continue };
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, next)).is_ok() {
            return Ok((port, next));
        }
    }
    Err("no two neighbouring UDP ports are free".into())
}

/// A socket that talks to `server` only.
pub fn udp_client(server: SocketAddr) -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("a port on loopback: {e}"))?;
    socket.connect(server).map_err(|e| format!("{server}: {e}"))?;
    Ok(socket)
}

//! Other people's programs.

use super::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that is killed when the test ends, however it ends.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says goes to the end of `log`. `setpriv` becomes the program, so the process number stays.
    pub fn start(log: &Path, program: impl AsRef<OsStr>, args: &[impl AsRef<OsStr>]) -> Program {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program.as_ref())
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}: it is installed by make test", program.as_ref().display()));
        Program { child, log: log.to_owned() }
    }

    /// Starts what a line says, words separated by single spaces.
    pub fn line(log: &Path, line: &str) -> Program {
        let words: Vec<&str> = line.split(' ').collect();
        Program::start(log, words[0], &words[1..])
    }

    /// What it and those before it with the same log said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it is ready; fails when it ends before.
    #[track_caller]
    pub fn wait(&mut self, ready: impl Fn() -> bool) {
        eventually("it is ready", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}):\n{}", fs::read_to_string(&self.log).unwrap_or_default());
            ready().then_some(())
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it with SIGTERM, and at once if it is stopped.
    pub fn end(mut self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
        eventually("it ends", || self.child.try_wait().unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a line and gives what it printed.
pub fn run(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|e| panic!("{line}: {e}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

//! A router to run scripts on: a folder with busybox as its root, with processes of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Entries;

/// What ends the output of a command.
const END: &str = "-- ended with ";

pub struct Router {
    dir: tempfile::TempDir,
}

impl Router {
    /// With users root, network and latchkey (1001).
    pub fn new() -> Router {
        let dir = tempfile::tempdir().unwrap();
        let router = Router { dir };
        // Everything is visible to user latchkey.
        fs::set_permissions(router.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["bin", "sbin", "usr/sbin", "lib", "etc/config", "proc", "dev", "tmp", "var/run", "var/lock"] {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(router.path(folder)).unwrap();
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("busybox-static is installed by make test"), router.path("bin/busybox")).unwrap();
        let list = Command::new(router.path("bin/busybox")).arg("--list").output().unwrap();
        for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", router.path("bin").join(applet)).unwrap();
        }
        router.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnetwork:*:101:101:network:/var:/bin/false\nlatchkey:x:1001:1001::/:/bin/false\n", 0o644);
        router.write("etc/group", "root:x:0:\nnetwork:x:101:\nlatchkey:x:1001:latchkey\n", 0o644);
        let node = |name: &str, minor: &str| {
            let made =
                Command::new("mknod").args(["-m", "666"]).arg(router.path(name)).args(["c", "1", minor]).status();
            assert!(made.unwrap().success(), "mknod {name}: run the tests as root");
        };
        node("dev/null", "3");
        node("dev/urandom", "9");
        router
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name.trim_start_matches('/'))
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Puts the files of a package there as a package manager does; what is kept stays as it is.
    pub fn unpack(&self, data: &Entries, kept: &[&str]) {
        for (path, entry) in data {
            let target = self.path(path);
            match &entry.content {
                None => fs::create_dir_all(&target).unwrap(),
                Some(_) if kept.contains(&path.as_str()) && target.exists() => continue,
                Some(content) => {
                    // Not into the file that may be running.
                    let _ = fs::remove_file(&target);
                    fs::write(&target, content).unwrap();
                }
            }
            fs::set_permissions(&target, fs::Permissions::from_mode(entry.mode)).unwrap();
        }
    }

    /// A program of this machine with the libraries it needs.
    pub fn install(&self, program: &Path, name: &str) {
        let target = self.path(name);
        let _ = fs::remove_file(&target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(program, target).unwrap();
        let output = Command::new("ldd").arg(program).output().unwrap();
        let needed = String::from_utf8_lossy(&output.stdout).into_owned();
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            let target = self.path(library);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(library, target).unwrap();
        }
    }

    /// Switches it on.
    pub fn shell(&self) -> Shell {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child"])
            .arg(format!("--mount-proc={}", self.path("proc").display()))
            .arg("chroot")
            .arg(self.dir.path())
            .args(["/bin/busybox", "sh"])
            .env_clear()
            .env("PATH", "/opt/sbin:/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Shell { child, input, output }
    }
}

/// The router while it is on: its processes end with this.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Runs a line: what it said, and its exit status.
    pub fn run(&mut self, line: &str) -> (String, i32) {
        writeln!(self.input, "( {line}\n) 2>&1 </dev/null; status=$?; echo; echo '{END}'$status").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the router is gone; it said: {said}");
            if let Some(status) = line.strip_prefix(END) {
                return (said.trim_end().to_owned(), status.trim().parse().unwrap());
            }
            said.push_str(&line);
        }
    }

    /// Runs a line that has to succeed.
    #[track_caller]
    pub fn done(&mut self, line: &str) -> String {
        let (said, status) = self.run(line);
        assert_eq!(status, 0, "{line}: {said}");
        said
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The programs that are in the packages, as `openwrt/build` makes them for four kinds of processor, each run by QEMU's user
//! emulation: what a cross compiler, another C library or leaving things out could have broken.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use support::eap::{Issued, eapol_test, tls};
use support::radius::{Manner, Scripted, wifi_key};
use support::{Home, SECRET, eventually};

const LAMP: &str = "02:00:00:00:01:01";
const HOME_SERVER: &str = "between-home-and-acme";

/// A router of some kind: its program, and what plays its processor.
struct Router {
    home: Home,
    emulator: &'static str,
    /// The least of these processors that routers have, where the emulator would take a better one.
    processor: Option<&'static str>,
    program: PathBuf,
}

/// The daemon in emulation, killed at the latest when the test ends.
struct Served(Child);

impl Router {
    fn new(triple: &str, emulator: &'static str, processor: Option<&'static str>) -> Router {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages/bin").join(triple).join("latchkey");
        assert!(program.exists(), "{} is not there: openwrt/build makes it (as make test does)", program.display());
        Router { home: Home::new(), emulator, processor, program }
    }

    /// The program in emulation.
    fn program(&self) -> Command {
        let mut command = Command::new(self.emulator);
        command.arg(&self.program).envs(self.processor.map(|name| ("QEMU_CPU", name)));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.program();
        command.arg("--socket").arg(self.home.socket()).args(args);
        command.output().unwrap_or_else(|e| panic!("{} (package qemu-user-static): {e}", self.emulator))
    }

    /// Runs a command that has to succeed; what it printed.
    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}\n{}", self.home.log());
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[&["--json"], args].concat())).unwrap()
    }

    /// Starts the daemon and waits until it answers.
    fn serve(&self, timezone: &str) -> Served {
        let log = File::options().create(true).append(true).open(self.home.path("log")).unwrap();
        let child = self
            .program()
            .args(["serve", "--config"])
            .arg(self.home.path("config"))
            .env("TZ", timezone)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{} (package qemu-user-static): {e}", self.emulator));
        let served = Served(child);
        drop(self.home.connect());
        served
    }

    /// Waits until the key of the one device is ready to be tried.
    fn key_is_ready(&self) {
        let ready = || self.home.call("status", json!({})).unwrap()["keys"][0]["ready"] != 0;
        eventually("the PMK is computed", || ready().then_some(()));
    }

    /// Asks for the key of the lamp, which has to be this.
    #[track_caller]
    fn lamp_joins(&self, key: &str) {
        let answer = wifi_key(self.home.auth_port, SECRET, LAMP);
        let pmk = latchkey::wpa::pmk::derive(&latchkey::secret::Passphrase::new(key).unwrap(), b"Home");
        let digits: String = pmk.expose().iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(answer.contains("Received Access-Accept") && answer.contains(&digits), "{answer}\n{}", self.home.log());
        assert!(answer.contains("Tunnel-Private-Group-Id:0 = \"20\""), "{answer}");
    }
}

impl Served {
    /// Ends it as procd does, which has to succeed.
    #[track_caller]
    fn stop(mut self) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = eventually("the daemon ends", || self.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// From an empty flash to devices that join with a key and with a certificate, and once more after a restart.
fn a_routers_day(triple: &str, emulator: &'static str, processor: Option<&'static str>) {
    let router = Router::new(triple, emulator, processor);
    let home = &router.home;
    // A home server whose name the C library has to find out.
    let acme = Scripted::start(HOME_SERVER, Manner::Accept);
    home.configure(&format!(
        "config ssid 'office'\n\toption ssid 'Office'\n\toption security 'enterprise'\nconfig eap\n\
         config realm 'acme'\n\tlist realm 'acme.example'\n\tlist server 'udp://localhost:{}'\n\
         \toption secret '{HOME_SERVER}'\n\toption profile 'iot'\n",
        acme.port
    ));
    assert_eq!(router.done(&["--version"]).trim(), format!("latchkey {}", env!("CARGO_PKG_VERSION")));
    let config = home.path("config");
    router.done(&["check", "--config", config.to_str().unwrap()]);

    let served = router.serve("Europe/Berlin");
    assert_eq!(router.json(&["status"])["clock"]["zone"], "Europe/Berlin", "{}", home.log());
    let added = router.json(&["device", "add", "lamp", "--profile", "iot", "--mac", LAMP]);
    let key = added["key"].as_str().unwrap().to_owned();
    router.key_is_ready();
    router.lamp_joins(&key);
    assert!(wifi_key(home.auth_port, SECRET, "02:00:00:00:01:02").contains("Received Access-Reject"));
    assert!(router.done(&["qr", "lamp", "--ssid", "Home"]).contains(&key));
    let tested = router.done(&["realm", "test", "acme"]);
    // The address is nowhere but in what was found out.
    assert!(tested.contains("127.0.0.1") || tested.contains("::1"), "{tested}");

    // Certificates: what our own CA signs, openssl checks, and the other way round.
    let out = home.path("");
    router.done(&["device", "add", "cam", "--profile", "media", "--certificate", "--out", out.to_str().unwrap()]);
    let cam = Issued { certificate: home.path("cam.crt"), key: home.path("cam.key") };
    let ca = home.path("cam.ca.crt");
    let verified =
        openssl(&["verify", "-check_ss_sig", "-CAfile", ca.to_str().unwrap(), cam.certificate.to_str().unwrap()]);
    assert!(verified.contains("cam.crt: OK"), "{verified}");
    for version in ["1.2", "1.3"] {
        eapol_test(home, &tls(&ca, &cam, version), &[]).is_let_in(1, "30");
    }

    served.stop();
    assert!(!home.socket().exists(), "nothing is left behind");
    let served = router.serve("");
    let listed = router.done(&["device", "list"]);
    assert!(listed.contains("lamp") && listed.contains("cam"), "{listed}");
    router.key_is_ready();
    router.lamp_joins(&key);
    served.stop();
    let log = fs::read_to_string(home.path("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains(&key), "{log}");
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed by make test");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn aarch64() {
    a_routers_day("aarch64-unknown-linux-musl", "qemu-aarch64-static", Some("cortex-a53"));
}

/// Some have no floating point unit and no NEON (bcm53xx).
#[test]
fn armv7() {
    a_routers_day("armv7-unknown-linux-musleabi", "qemu-arm-static", Some("cortex-a9,vfp=off,neon=off"));
}

/// None has a floating point unit.
#[test]
fn mipsel() {
    a_routers_day("mipsel-unknown-linux-musl", "qemu-mipsel-static", Some("24Kc"));
}

#[test]
fn x86_64() {
    a_routers_day("x86_64-unknown-linux-musl", "qemu-x86_64-static", None);
}

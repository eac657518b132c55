//! Daemons for tests, several in one process, with certificates in files.

use super::*;
use crate::pki::testing::{Ca, params};
use rcgen::{CertificateParams, KeyPair, SanType};
use std::fs;
use tempfile::TempDir;

/// Where a test keeps its files.
pub struct Files {
    dir: TempDir,
    daemons: Cell<u32>,
}

impl Files {
    pub fn new() -> Files {
        Files { dir: tempfile::tempdir().unwrap(), daemons: Cell::new(0) }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes a file of certificates.
    pub fn ca(&self, name: &str, authorities: &[&Ca]) {
        let text: String = authorities.iter().map(|ca| crate::pki::authority::certificate_pem(&ca.der)).collect();
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes `name.crt` and `name.key`: signed by this CA, with the name as its dNSName.
    pub fn certificate(&self, file: &str, ca: &Ca, name: &str, edit: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        edit(&mut params);
        let certificate = params.signed_by(&key, &ca.issuer()).unwrap();
        fs::write(self.path(&format!("{file}.crt")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// The options that name files written here.
    pub fn tls(&self, ca: &str, certificate: &str) -> String {
        let (ca, crt, key) =
            (self.path(ca), self.path(&format!("{certificate}.crt")), self.path(&format!("{certificate}.key")));
        format!("\toption ca '{ca}'\n\toption certificate '{crt}'\n\toption private_key '{key}'\n")
    }

    /// A daemon with a directory of its own and this configuration, which serves RADIUS and nothing else.
    pub(super) fn daemon(&self, config: &str) -> Started {
        self.daemons.set(self.daemons.get() + 1);
        let state = self.dir.path().join(self.daemons.get().to_string());
        fs::create_dir_all(&state).unwrap();
        let text = format!(
            "config latchkey\n\toption state_dir '{}'\n\tlist acct_listen '127.0.0.1:{}'\n",
            state.display(),
            port()
        );
        let config = Arc::new(Config::parse(text + config).expect("a configuration"));
        let (store, loaded, report) = Store::open(&config.main.state_dir, UnixTime::now()).unwrap();
        let (events, _) = broadcast::channel(8);
        let ubus = Rc::new(ubus::Ubus::new());
        let core = build_core(Path::new("/config"), config.clone(), loaded, &report, events.clone(), ubus.clone());
        let logging = Logging::start(config.main.log_level);
        let (config_file, reloads) = edit::ConfigFile::new();
        let daemon = Daemon::new(core, store, events, Path::new("/config"), config_file, logging, ubus).unwrap();
        let daemon = Rc::new(daemon);
        daemon.pki.load(&mut daemon.core.borrow_mut());
        let mut listeners = udp::Listeners::default();
        daemon.radsec.follow(&daemon.core.borrow());
        reload::listen(&daemon, &mut listeners, &config).unwrap();
        crate::daemon::task::spawn(upstream::run(daemon.clone()));
        Started { daemon, listeners, _reloads: Box::new(reloads) }
    }
}

/// A daemon that serves as long as this is there.
pub(super) struct Started {
    pub(super) daemon: Rc<Daemon>,
    pub(super) listeners: udp::Listeners,
    _reloads: Box<dyn std::any::Any>,
}

impl std::ops::Deref for Started {
    type Target = Rc<Daemon>;

    fn deref(&self) -> &Rc<Daemon> {
        &self.daemon
    }
}

impl Started {
    /// Puts another configuration into force, as SIGHUP does.
    pub fn reconfigure(&self, edit: impl FnOnce(&mut Config)) {
        let mut config = (*self.core.borrow().config).clone();
        edit(&mut config);
        self.core.borrow_mut().reconfigure(config.into(), now());
        self.follow_files();
        self.upstream.pump(&self.daemon);
    }

    /// Looks whether files have changed.
    pub fn follow_files(&self) {
        let core = self.core.borrow();
        self.radsec.follow(&core);
        self.upstream.follow(&core, &self.radsec.clock);
    }
}

/// A port that was free just now, for UDP and TCP.
pub fn port() -> u16 {
    loop {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        if std::net::TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// Runs a test of daemons, 30 s at most.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test ends in time");
    }));
}

/// Waits until something is true, 10 s at most.
pub async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to it that {what}");
}

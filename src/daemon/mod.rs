//! The daemon's shell: it opens files and sockets, and carries datagrams, commands and results between them and
//! [`Core`], which it alone changes. One thread runs it all; computing PMKs, long key searches and the database
//! have threads of their own.

mod batch;
mod call;
mod control;
mod disconnect;
mod dns;
mod dynauth;
mod edit;
mod exchange;
mod firewall;
mod hostapd;
mod keyfile;
mod logging;
mod network;
mod pki;
mod pseudonym;
mod radsec;
mod random;
mod realm;
mod reload;
mod rights;
mod task;
#[cfg(test)]
mod testing;
mod ubus;
mod udp;
mod upstream;
mod work;
mod zone;

pub use firewall::nft::remove as remove_firewall;

use crate::config::{self, Config, Enabled};
use crate::decision::event::Event;
use crate::registry::Registry;
use crate::registry::device::{Change, DeviceId};
use crate::service::keyring::Derived;
use crate::service::{self, Core, News, Now};
use crate::store::{Loaded, OpenReport, Store, StoreHandle};
use crate::time::UnixTime;
use logging::Logging;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, Notify, broadcast, mpsc};
use tokio::task::LocalSet;

/// How often counters are written to flash.
const FLUSH_SEEN: Duration = Duration::from_secs(6 * 3600);
/// Events a slow follower may be behind before it misses some.
const FOLLOW_BACKLOG: usize = 128;

/// What the tasks of the daemon share. All run on one thread.
struct Daemon {
    core: RefCell<Core>,
    store: StoreHandle,
    /// Held from the check of a change until it is stored and applied: the registry changes one step at a time.
    writer: Mutex<()>,
    /// There are PMKs to compute.
    keys_missing: Notify,
    events: broadcast::Sender<Arc<Event>>,
    searcher: work::Searcher,
    hostapd: hostapd::Hostapd,
    /// Other boxes are to be asked to end sessions.
    disconnect: Notify,
    /// Where the servers of realms ask us to.
    dynauth: dynauth::Sockets,
    ubus: Rc<ubus::Ubus>,
    /// The default routes have changed.
    network_changed: Notify,
    firewall: firewall::Firewall,
    network: network::Network,
    keyfiles: keyfile::KeyFiles,
    pki: pki::Files,
    /// Where answers go out over UDP.
    sockets: udp::Sockets,
    /// Requests that wait for something.
    exchanges: exchange::Exchanges,
    /// RADIUS over TLS: the server.
    radsec: radsec::Radsec,
    /// The ways to servers.
    upstream: upstream::Upstream,
    /// The buffer that answers are written into.
    answer: Cell<Vec<u8>>,
    /// The buffer for what comes out of TLS.
    plaintext: Cell<Vec<u8>>,
    config_path: PathBuf,
    config_file: edit::ConfigFile,
    logging: Logging,
}

impl Daemon {
    /// A daemon that has opened nothing yet but its store.
    fn new(
        core: Core,
        store: Store,
        events: broadcast::Sender<Arc<Event>>,
        path: &Path,
        config_file: edit::ConfigFile,
        logging: Logging,
        ubus: Rc<ubus::Ubus>,
    ) -> Result<Daemon, Box<dyn Error>> {
        Ok(Daemon {
            core: RefCell::new(core),
            store: StoreHandle::start(store)?,
            writer: Mutex::new(()),
            keys_missing: Notify::new(),
            events,
            searcher: work::Searcher::start()?,
            hostapd: hostapd::Hostapd::default(),
            disconnect: Notify::new(),
            dynauth: dynauth::Sockets::default(),
            ubus,
            network_changed: Notify::new(),
            firewall: firewall::Firewall::default(),
            network: network::Network::start()?,
            keyfiles: keyfile::KeyFiles::default(),
            pki: pki::Files::default(),
            sockets: udp::Sockets::default(),
            exchanges: exchange::Exchanges::default(),
            radsec: radsec::Radsec::default(),
            upstream: upstream::Upstream::default(),
            answer: Cell::default(),
            plaintext: Cell::default(),
            config_path: path.to_owned(),
            config_file,
            logging,
        })
    }

    /// Makes a change durable, and applies it. Only with `writer` held.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), crate::store::StoreError> {
        self.store.commit(changes.clone()).await?;
        let core = &mut *self.core.borrow_mut();
        core.apply(&changes);
        if changes.iter().any(|change| matches!(change, Change::PutMaker(_))) {
            self.pki.follow_lists(core);
        }
        self.keyfiles.changed.notify_one();
        self.carry_out(core);
        self.keys_missing.notify_one();
        Ok(())
    }

    /// Has the orders carried out that came of a change, or of time: here, after hostapd has the keys that hold now (nobody is to
    /// come back with an old one), and at other boxes.
    fn carry_out(&self, core: &mut Core) {
        if core.revocation.has_orders() {
            self.ubus.tell_orders(core.revocation.orders());
            self.keyfiles.write(self, core);
            self.hostapd.execute(core);
        }
        if !core.disconnects.is_empty() {
            self.disconnect.notify_one();
        }
    }

    /// Writes the counters that changed to flash.
    async fn save_counters(&self) {
        let counters = self.core.borrow_mut().registry.take_unsaved();
        if counters.is_empty() {
            return;
        }
        if let Err(why) = self.store.put_seen(counters.clone()).await {
            crate::log::error!("the counters were not stored: {why}");
            self.core.borrow_mut().registry.not_saved(&counters);
        }
    }
}

fn now() -> Now {
    Now { wall: UnixTime::now(), mono: Instant::now() }
}

/// Checks a configuration file and says what is wrong with it, or that nothing is.
pub fn check(path: &Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            for warning in &config.warnings {
                println!("warning: {warning}");
            }
            println!("{}: the configuration is fine", path.display());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what hostapd has to find when it starts: the directories of the key files, and files without keys where there are
/// none. For scripts that run before it; needs neither database nor daemon.
pub fn prepare(path: &Path) -> ExitCode {
    config::recover(path, &[]).iter().for_each(|said| eprintln!("{said}"));
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    match keyfile::prepare(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the daemon in the foreground until it is told to stop.
pub fn serve(path: &Path) -> ExitCode {
    // Whatever is made from here on (registry, sockets) is the owner's business only.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let recovered = config::recover(path, &[]);
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            recovered.iter().for_each(|said| eprintln!("{said}"));
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    let logging = Logging::start(config.main.log_level);
    recovered.iter().for_each(|said| crate::log::warn!("{said}"));
    match run(path, config, logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            crate::log::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path, config: Config, logging: Logging) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    for warning in &config.warnings {
        crate::log::warn!("{warning}");
    }
    if config.main.enabled == Enabled::No {
        crate::log::warn!(
            "option enabled is '0', so the system does not start the daemon; it was started by hand and runs"
        );
    }
    let config = Arc::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Before anything that takes time: a SIGHUP that nobody listens for ends the process.
    let signals = {
        let _runtime = runtime.enter();
        Signals::listen()?
    };
    let (store, loaded, report) = Store::open(&config.main.state_dir, UnixTime::now())?;
    let (events, _) = broadcast::channel(FOLLOW_BACKLOG);
    let ubus = Rc::new(ubus::Ubus::new());
    let mut core = build_core(path, config.clone(), loaded, &report, events.clone(), ubus.clone());
    for conflict in core.conflicts() {
        crate::log::warn!("{conflict}");
    }
    rights::look(&mut core);
    let devices = core.registry.len();
    let busy = core.keyring.is_busy();
    let ssids = config.ssids.iter().map(|ssid| ssid.ssid.clone()).collect();

    runtime.block_on(LocalSet::new().run_until(async move {
        let (config_file, reloads) = edit::ConfigFile::new();
        let daemon = Rc::new(Daemon::new(core, store, events, path, config_file, logging, ubus)?);
        daemon.pki.load(&mut daemon.core.borrow_mut());
        // Before anybody is told that the daemon is there: hostapd may be started next.
        daemon.keyfiles.write(&daemon, &mut daemon.core.borrow_mut());
        crate::daemon::task::spawn(keyfile::keep(daemon.clone()));
        // The limits come before the devices.
        firewall::start(&daemon).await;
        let mut listeners = udp::Listeners::default();
        daemon.radsec.follow(&daemon.core.borrow());
        reload::listen(&daemon, &mut listeners, &config)?;
        let control = control::Listener::bind(&config.main.control_socket)?;
        crate::daemon::task::spawn(control.serve(daemon.clone()));
        crate::daemon::task::spawn(work::derive_keys(daemon.clone()));
        crate::daemon::task::spawn(disconnect::run(daemon.clone()));
        crate::daemon::task::spawn(dynauth::run(daemon.clone()));
        crate::daemon::task::spawn(dns::run(daemon.clone()));
        crate::daemon::task::spawn(ubus::run(daemon.clone()));
        crate::daemon::task::spawn(pki::watch(daemon.clone()));
        crate::daemon::task::spawn(upstream::run(daemon.clone()));
        crate::daemon::task::spawn(upstream::watch_files(daemon.clone()));
        crate::daemon::task::spawn(upstream::watch_names(daemon.clone()));
        let firewall = crate::daemon::task::spawn(firewall::watch(daemon.clone()));
        let hostapd = crate::daemon::task::spawn(hostapd::watch(daemon.clone()));
        let network = crate::daemon::task::spawn(network::watch(daemon.clone()));
        if let Err(why) = daemon.store.keep_ssids(ssids).await {
            crate::log::warn!("keys of SSIDs of the past stay in the registry: {why}");
        }
        crate::log::info!(
            "latchkey {} serves {devices} devices on {} SSIDs{}, started in {} ms",
            env!("CARGO_PKG_VERSION"),
            config.ssids.len(),
            if busy { ", keys are being computed" } else { "" },
            started.elapsed().as_millis()
        );
        until_stopped(&daemon, &mut listeners, signals, reloads).await;
        hostapd.abort();
        network.abort();
        hostapd::leave(&daemon).await;
        // Limits end after that which they limit.
        network::leave(&daemon).await;
        firewall::leave(&daemon, firewall).await;
        daemon.save_counters().await;
        daemon.store.shutdown().await?;
        control::remove(&config.main.control_socket);
        crate::log::info!("stopped");
        Ok(())
    }))
}

fn build_core(
    path: &Path,
    config: Arc<Config>,
    loaded: Loaded,
    report: &OpenReport,
    events: broadcast::Sender<Arc<Event>>,
    ubus: Rc<ubus::Ubus>,
) -> Core {
    let registry = Registry::load(loaded.devices, loaded.ignored, loaded.seen, DeviceId(loaded.next_id))
        .with_makers(loaded.makers)
        .with_last_good(loaded.last_good);
    let mut random = random::Random::new();
    let random = Box::new(move |buffer: &mut [u8]| random.fill(buffer));
    let sink = Box::new(move |news: News<'_>| {
        ubus.tell(news);
        let News::Event(event) = news else { return };
        logging::log_event(event);
        if events.receiver_count() > 0 {
            let _ = events.send(Arc::new(event.clone()));
        }
    });
    let mut core = Core::new(config.clone(), registry, now(), random, Instant::now, sink);
    core.begin_numbers();
    zone::know(&mut core);
    zone::follow(&mut core, &config);
    pseudonym::follow(&mut core, &config);
    core.config_state.file = path.to_owned();
    for (device, key_serial, ssid, pmk) in loaded.pmks {
        core.keyring.insert(Derived { ssid, device, key_serial, pmk }, &core.registry);
    }
    if let Some(damage) = &report.damaged {
        if report.found_now {
            crate::log::error!("{damage}");
        }
        core.damage = Some(service::Damage {
            file: damage.file.clone().unwrap_or_default(),
            reason: damage.reason.clone(),
            restored_from: damage.restored_from.to_string(),
            at: damage.at,
        });
    }
    core
}

/// The signals the daemon knows.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The main task: signals and the passing of time.
async fn until_stopped(
    daemon: &Rc<Daemon>,
    listeners: &mut udp::Listeners,
    mut signals: Signals,
    mut reloads: mpsc::Receiver<edit::Order>,
) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut flush = tokio::time::interval_at(tokio::time::Instant::now() + FLUSH_SEEN, FLUSH_SEEN);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hangup.recv() => drop(reload::reload(daemon, listeners).await),
            Some(told) = reloads.recv() => drop(told.send(reload::reload(daemon, listeners).await)),
            _ = second.tick() => {
                let core = &mut *daemon.core.borrow_mut();
                core.tick(now());
                daemon.keyfiles.tick(core);
                daemon.carry_out(core);
            }
            _ = flush.tick() => daemon.save_counters().await,
        }
    }
}

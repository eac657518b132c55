//! Keeps the nftables table in force: puts in what the configuration and the routes ask for, and puts it back when
//! somebody else changes it. nft runs in threads of their own and never holds up the event loop.

pub mod nft;
mod notices;

use super::{Daemon, work};
use crate::config::Bridges;
use crate::firewall::{self, Plan, listing};
use notices::Notices;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What this is called among the troubles of the network.
const TROUBLE: &str = "firewall";
/// Changes come in bursts: this long after the first, the table is looked at.
const BURST: Duration = Duration::from_millis(200);
/// After a failure it is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How long the routes may take to become known while the table of an earlier life is still in force.
const ROUTES: Duration = Duration::from_secs(1);

/// The table's keeper.
#[derive(Default)]
pub struct Firewall {
    /// The configuration has changed.
    pub changed: Notify,
    /// What nft lists when all is as it was put in.
    reference: RefCell<Option<String>>,
    /// Something was put in or removed by this daemon: before, what is there may be of an earlier life.
    settled: Cell<bool>,
    /// One at a time looks at the table or changes it.
    turn: Mutex<()>,
}

/// Runs something that takes time in a thread.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (reply, result) = oneshot::channel();
    work::spawn("firewall", move || {
        let _ = reply.send(work());
    })
    .map_err(|why| format!("no thread for nft: {why}"))?;
    result.await.unwrap_or_else(|_| Err("nft's thread is gone".into()))
}

/// Puts the table in before anybody is let in. One that is there is left for now: it is of an earlier life and knows the
/// routes, which this one is yet to learn.
pub async fn start(daemon: &Daemon) {
    let there = aside(nft::list).await;
    if !matches!(there, Ok(Some(_))) {
        settle(daemon).await;
    }
}

/// Keeps the table for ever.
pub async fn watch(daemon: Rc<Daemon>) {
    let mut notices = Notices::open();
    let keeper = &daemon.firewall;
    if !keeper.settled.get() && daemon.core.borrow().network.default_routes.is_empty() {
        let _ = timeout(ROUTES, daemon.network_changed.notified()).await;
    }
    loop {
        let mut routes = pin!(daemon.network_changed.notified());
        let mut configuration = pin!(keeper.changed.notified());
        // From here on nothing is missed, also while nft runs.
        routes.as_mut().enable();
        configuration.as_mut().enable();
        let well = settle(&daemon).await;
        tokio::select! {
            () = routes => {}
            () = configuration => {}
            () = notices.about_us() => {
                sleep(BURST).await;
                notices.drain();
                verify(&daemon).await;
            }
            () = sleep(RETRY), if !well => {}
        }
    }
}

/// Brings the kernel to what is wanted, if that is not what was put in last. True when all is well.
async fn settle(daemon: &Daemon) -> bool {
    let _turn = daemon.firewall.turn.lock().await;
    let wanted = {
        let core = daemon.core.borrow();
        firewall::wanted(&core.config, &core.network.default_routes)
    };
    let loaded = daemon.core.borrow().firewall.loaded.clone();
    if daemon.firewall.settled.get() && loaded.as_deref() == wanted.as_deref() {
        return true;
    }
    let done = match &wanted {
        Some(ruleset) => put(daemon, ruleset.clone()).await,
        None => aside(nft::remove).await.map(|removed| {
            if removed {
                crate::log::info!("the firewall's table is removed: there is nothing to enforce here");
            }
            forget(daemon);
        }),
    };
    let well = daemon.core.borrow().firewall.loaded.as_deref() == wanted.as_deref();
    daemon.firewall.settled.set(well);
    // Where nothing is wanted, nothing is missed when there is no nft.
    tell(daemon, if wanted.is_some() { done } else { Ok(()) });
    well
}

/// Puts a ruleset in and remembers how nft lists it. What of it this kernel cannot do is an error, too.
async fn put(daemon: &Daemon, ruleset: String) -> Result<(), String> {
    let text = ruleset.clone();
    let put = aside(move || {
        let mut short = Ok(());
        if let Err(why) = nft::load(&text) {
            // Only what this kernel does not have is left out; whatever else went wrong is tried again.
            if !["No such file", "not supported", "fib"].iter().any(|word| why.contains(word)) {
                return Err(why);
            }
            nft::load(&firewall::without_source_check(&text)).map_err(|_| why)?;
            let missing = "devices can send in the name of other networks, because the kernel lacks nft_fib_inet";
            short = Err(format!("{missing}: install kmod-nft-fib"));
        }
        nft::list().map(|listed| (listed, short))
    });
    let (listed, short) = put.await?;
    let listed = listed.ok_or("the table was gone as soon as it was there: see what else removes it")?;
    *daemon.firewall.reference.borrow_mut() = Some(listing::without_counters(&listed));
    let mut core = daemon.core.borrow_mut();
    core.firewall.loaded = Some(ruleset.into());
    core.firewall.in_kernel = true;
    core.firewall.dropped.clear();
    crate::log::info!("the firewall limits what profiles reach (latchkey firewall show)");
    short
}

fn forget(daemon: &Daemon) {
    *daemon.firewall.reference.borrow_mut() = None;
    let mut core = daemon.core.borrow_mut();
    core.firewall.loaded = None;
    core.firewall.in_kernel = false;
    core.firewall.dropped.clear();
}

/// Says what is wrong, once, or that it no longer is.
fn tell(daemon: &Daemon, done: Result<(), String>) {
    let troubles = &mut daemon.core.borrow_mut().network.troubles;
    match done {
        Ok(()) => {
            if troubles.remove(TROUBLE).is_some() {
                crate::log::info!("the firewall is in order again");
            }
        }
        Err(why) => {
            if troubles.get(TROUBLE) != Some(&why) {
                crate::log::error!("what profiles may reach is not enforced as configured: {why}");
                troubles.insert(TROUBLE.into(), why);
            }
        }
    }
}

/// Compares the kernel's table with what was put in and takes its counters. True when it is as it should be.
pub async fn look(daemon: &Daemon) -> bool {
    let _turn = daemon.firewall.turn.lock().await;
    if daemon.core.borrow().firewall.loaded.is_none() {
        return true;
    }
    let listed = aside(nft::list).await;
    let mut core = daemon.core.borrow_mut();
    // What cannot be seen may be gone.
    let Ok(listed) = listed else { return false };
    let as_it_was = listed.as_deref().map(listing::without_counters) == *daemon.firewall.reference.borrow();
    core.firewall.in_kernel = as_it_was;
    if as_it_was {
        let plan = Plan::new(&core.config, &core.network.default_routes);
        core.firewall.dropped = listing::dropped(listed.as_deref().unwrap_or_default(), &plan);
    }
    as_it_was
}

/// Puts the table back if somebody changed it.
async fn verify(daemon: &Daemon) {
    if look(daemon).await {
        return;
    }
    crate::log::warn!("somebody else changed or removed the firewall's table: it is put back");
    daemon.core.borrow_mut().firewall.repaired += 1;
    daemon.firewall.settled.set(false);
    // Until it is there again, it counts as missing: so it is tried again if that does not work now.
    forget(daemon);
    settle(daemon).await;
}

/// The end of `watch`. The limits outlive the daemon, unless the bridges they are for do not.
pub async fn leave(daemon: &Daemon, watch: JoinHandle<()>) {
    // What nft is about to do is waited for, and nothing comes after it.
    let _turn = daemon.firewall.turn.lock().await;
    watch.abort();
    let gone = {
        let core = daemon.core.borrow();
        // One that was there before us stays, with all that is in it; and so do its limits.
        let there = |bridge: &std::sync::Arc<str>| std::path::Path::new("/sys/class/net").join(&**bridge).exists();
        core.config.main.bridges == Bridges::Manage
            && !core.config.profiles.iter().filter_map(|p| p.bridge.as_ref()).any(there)
    };
    if gone && let Err(why) = aside(nft::remove).await {
        crate::log::warn!("the firewall's table stays: {why}");
    }
}

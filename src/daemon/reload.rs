//! SIGHUP: the configuration is read again. A bad file keeps the running configuration, and says so.

use super::udp::Listeners;
use super::{Daemon, now};
use crate::config::Config;
use std::rc::Rc;
use std::sync::Arc;

/// Reads the configuration again and puts it into force.
///
/// # Errors
/// Why the running one stays; it is in the log, too.
pub async fn reload(daemon: &Rc<Daemon>, listeners: &mut Listeners) -> Result<(), String> {
    let done = try_reload(daemon, listeners).await;
    if let Err(why) = &done {
        tracing::error!("the running configuration stays: {why}");
        daemon.core.borrow_mut().config_state.error = Some(why.clone());
    }
    done
}

async fn try_reload(daemon: &Rc<Daemon>, listeners: &mut Listeners) -> Result<(), String> {
    // No change of the registry may be half way, with a profile that is about to go.
    let _writer = daemon.writer.lock().await;
    let config = Arc::new(Config::load(&daemon.config_path).map_err(|errors| errors.to_string())?);
    listeners.follow(daemon, &config).map_err(|why| why.to_string())?;
    daemon.dynauth.follow(daemon, &config)?;
    daemon.radsec.listen(daemon, &config).map_err(|why| why.to_string())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let old = daemon.core.borrow().config.clone();
    if (&old.main.state_dir, &old.main.control_socket) != (&config.main.state_dir, &config.main.control_socket) {
        tracing::warn!("state_dir and control_socket change with the next start only");
    }
    daemon.logging.set(config.main.log_level);
    super::zone::follow(&mut daemon.core.borrow_mut(), &config);
    super::pseudonym::follow(&mut daemon.core.borrow_mut(), &config);
    daemon.core.borrow_mut().reconfigure(config.clone(), now());
    daemon.pki.load(&mut daemon.core.borrow_mut());
    daemon.radsec.follow(&daemon.core.borrow());
    daemon.upstream.follow(&daemon.core.borrow(), &daemon.radsec.clock);
    daemon.upstream.pump(daemon);
    for conflict in daemon.core.borrow().conflicts() {
        tracing::warn!("{conflict}");
    }
    daemon.keyfiles.changed.notify_one();
    daemon.carry_out(&mut daemon.core.borrow_mut());
    daemon.keys_missing.notify_one();
    daemon.firewall.changed.notify_one();
    let ssids = config.ssids.iter().map(|ssid| ssid.ssid.clone()).collect();
    if let Err(why) = daemon.store.keep_ssids(ssids).await {
        tracing::warn!("keys of SSIDs of the past stay in the registry: {why}");
    }
    tracing::info!("configuration reloaded from {}", daemon.config_path.display());
    Ok(())
}

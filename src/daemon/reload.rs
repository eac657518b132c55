//! SIGHUP: the configuration is read again. A bad file keeps the running configuration, and says so.

use super::udp::Listeners;
use super::{Daemon, now};
use crate::config::{self, Config};
use crate::service::control::ApiError;
use std::rc::Rc;
use std::sync::Arc;

/// Reads the configuration again and puts it into force.
///
/// # Errors
/// Why the running one stays; it is in the log, too.
pub async fn reload(daemon: &Rc<Daemon>, listeners: &mut Listeners) -> Result<(), String> {
    let done = try_reload(daemon, listeners).await;
    if let Err(why) = &done {
        crate::log::error!("the running configuration stays: {why}");
        daemon.core.borrow_mut().config_state.error = Some(why.clone());
    }
    done
}

/// Opens and closes the sockets of all services as the configuration has them.
///
/// # Errors
/// Which one cannot be opened; nothing has changed then.
pub fn listen(daemon: &Rc<Daemon>, listeners: &mut Listeners, config: &Config) -> Result<(), String> {
    let radius = listeners.bind(config)?;
    let dynauth = daemon.dynauth.bind(config)?;
    let radsec = daemon.radsec.bind(config)?;
    // From here on nothing can fail.
    listeners.put(daemon, radius);
    daemon.dynauth.put(daemon, config, dynauth);
    daemon.radsec.put(daemon, config, radsec);
    Ok(())
}

async fn try_reload(daemon: &Rc<Daemon>, listeners: &mut Listeners) -> Result<(), String> {
    // No change of the registry may be half way, with a profile that is about to go.
    let _writer = daemon.writer.lock().await;
    daemon.config_file.check_removed(&daemon.core.borrow()).map_err(ApiError::into_message)?;
    // An edit of ours that failed half way and could not be undone at once. One that is under way holds no reload up.
    if let Ok(_editing) = daemon.config_file.try_begin() {
        let state = daemon.core.borrow().config.main.state_dir.clone();
        config::recover(&daemon.config_path, &[&state]).iter().for_each(|said| crate::log::warn!("{said}"));
    }
    let config = Arc::new(Config::load(&daemon.config_path).map_err(|errors| errors.to_string())?);
    listen(daemon, listeners, &config)?;
    for warning in &config.warnings {
        crate::log::warn!("{warning}");
    }
    let old = daemon.core.borrow().config.clone();
    if (&old.main.state_dir, &old.main.control_socket) != (&config.main.state_dir, &config.main.control_socket) {
        crate::log::warn!("state_dir and control_socket change with the next start only");
    }
    daemon.logging.set(config.main.log_level);
    super::zone::follow(&mut daemon.core.borrow_mut(), &config);
    super::pseudonym::follow(&mut daemon.core.borrow_mut(), &config);
    daemon.core.borrow_mut().reconfigure(config.clone(), now());
    super::rights::look(&mut daemon.core.borrow_mut());
    daemon.pki.load(&mut daemon.core.borrow_mut());
    daemon.radsec.follow(&daemon.core.borrow());
    daemon.upstream.follow(&daemon.core.borrow(), &daemon.radsec.clock);
    daemon.upstream.pump(daemon);
    for conflict in daemon.core.borrow().conflicts() {
        crate::log::warn!("{conflict}");
    }
    daemon.keyfiles.changed.notify_one();
    daemon.carry_out(&mut daemon.core.borrow_mut());
    daemon.keys_missing.notify_one();
    daemon.firewall.changed.notify_one();
    if old.main.ubus != config.main.ubus {
        daemon.ubus.changed.notify_one();
    }
    let ssids = config.ssids.iter().map(|ssid| ssid.ssid.clone()).collect();
    if let Err(why) = daemon.store.keep_ssids(ssids).await {
        crate::log::warn!("keys of SSIDs of the past stay in the registry: {why}");
    }
    crate::log::info!("configuration reloaded from {}", daemon.config_path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Files, port, run};
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_configuration_whose_sockets_cannot_all_be_opened_changes_none() {
        run(async {
            let (old, new, coa, taken) = (port(), port(), port(), TcpListener::bind("127.0.0.1:0").unwrap());
            let files = Files::new();
            let mut started = files.daemon(&format!("\tlist auth_listen '127.0.0.1:{old}'\n"));
            let daemon = started.daemon.clone();
            let mut config = (*daemon.core.borrow().config).clone();
            let address = |port: u16| format!("127.0.0.1:{port}").parse().unwrap();
            config.main.auth_listen = vec![address(new)];
            config.radsec.coa_listen = vec![address(coa)];
            config.radsec.listen = vec![taken.local_addr().unwrap()];
            let why = listen(&daemon, &mut started.listeners, &config).unwrap_err();
            assert!(why.starts_with("config radsec: option listen: cannot listen on 127.0.0.1:"), "{why}");
            let is_free = |port: u16| UdpSocket::bind(("127.0.0.1", port)).is_ok();
            assert_eq!([old, new, coa].map(is_free), [false, true, true], "all is as it was");
            drop(taken);
            listen(&daemon, &mut started.listeners, &config).unwrap();
            // The task that had the old socket has to end first.
            tokio::task::yield_now().await;
            assert_eq!([old, new, coa].map(is_free), [true, false, false]);
        });
    }
}

//! Running a call of the method table, for the control socket and for ubus alike: what has to be looked at before, the
//! registry's lock, the flash, and the result.

use super::{Daemon, now};
use crate::service::control::{ApiError, Call, Done, Filter, Import};
use crate::store::StoreError;
use serde_json::Value;
use std::rc::Rc;

/// Lines of an import checked before others have their turn.
const IMPORT_STEP: usize = 64;

/// What a call came to.
pub enum Reply {
    /// The result.
    Value(Value),
    /// The result, and after it every event that fits.
    Follow(Value, Filter),
}

/// Runs a call. Takes as long as it takes: others go on meanwhile.
///
/// # Errors
/// The refusal, for the client.
pub async fn run(daemon: &Rc<Daemon>, call: Call) -> Result<Reply, ApiError> {
    // From here on the registry stays as it is, but for what this call does.
    let writer = if call.writes() { Some(daemon.writer.lock().await) } else { None };
    if call.tells_of_stations() {
        daemon.hostapd.refresh().await;
    }
    if call.tells_of_firewall() {
        super::firewall::look(daemon).await;
    }
    if call.tells_of_addresses() {
        daemon.network.refresh_neighbours(daemon).await;
    }
    if call.watches_addresses() {
        let daemon = daemon.clone();
        super::task::spawn(async move { daemon.network.refresh_neighbours(&daemon).await });
    }
    if call.needs_ca() {
        daemon.pki.need_ca(&mut daemon.core.borrow_mut());
    }
    let done = {
        let core = &mut *daemon.core.borrow_mut();
        let health = daemon.store.health();
        core.store.copied = health.copied;
        core.store.failure = health.failure;
        call.run(core, now())?
    };
    let (changes, then) = match done {
        Done::Value(value) => return Ok(Reply::Value(value)),
        Done::Follow { value, filter } => return Ok(Reply::Follow(value, filter)),
        Done::Commit { changes, then } => (changes, then),
        Done::Import(work) => return import(daemon, call, work).await,
        Done::RealmTest(realm) => return Ok(Reply::Value(super::realm::test(daemon, realm).await)),
        Done::Repoint { repoint, dry_run } => {
            return super::realm::repoint(daemon, repoint, dry_run).await.map(Reply::Value);
        }
        Done::Profile { edit, dry_run } => {
            return super::edit::profile(daemon, &edit, dry_run).await.map(Reply::Value);
        }
        Done::Reload => return super::edit::reload(daemon).await.map(Reply::Value),
    };
    daemon.commit(changes).await.map_err(not_stored)?;
    drop(writer);
    let core = daemon.core.borrow();
    Ok(Reply::Value(then(&core, core.time.effective(now()))))
}

/// Checks an import while others go on changing the registry: the seconds that takes are too long for a device
/// at the door. If somebody did, it is checked once more, with the registry locked.
async fn import(daemon: &Daemon, call: Call, mut import: Box<dyn Import>) -> Result<Reply, ApiError> {
    let before = daemon.core.borrow().registry.version();
    check(daemon, &mut *import).await;
    let _writer = daemon.writer.lock().await;
    if daemon.core.borrow().registry.version() != before {
        let Done::Import(again) = call.run(&mut daemon.core.borrow_mut(), now())? else {
            return Err(ApiError::new("internal", "an import became something else"));
        };
        import = again;
        check(daemon, &mut *import).await;
    }
    let (changes, then) = import.finish()?;
    if !changes.is_empty() {
        daemon.commit(changes).await.map_err(not_stored)?;
    }
    let core = daemon.core.borrow();
    Ok(Reply::Value(then(&core, core.time.effective(now()))))
}

async fn check(daemon: &Daemon, import: &mut dyn Import) {
    while !import.step(&mut daemon.core.borrow_mut(), now(), IMPORT_STEP) {
        tokio::task::yield_now().await;
    }
}

fn not_stored(why: StoreError) -> ApiError {
    crate::log::error!("a change was not stored: {why}");
    ApiError::new("not_stored", format!("nothing was changed: {why}"))
}

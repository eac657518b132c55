//! Changing the configuration file while it is in force.

use super::Daemon;
use crate::config::{self, Config, ProfileAction, ProfileEdit};
use crate::service::Core;
use crate::service::control::ApiError;
use crate::service::control::profile::{check_unused, edited, not_planned};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, TryLockError, mpsc, oneshot};
use zeroize::Zeroizing;

/// What is said when an edit puts more into force than itself.
pub const OTHER_CHANGES: &str = "the file had other changes that were not in force yet: now they are";

/// An order to read the configuration again, and whom to tell whether it is in force.
pub type Order = oneshot::Sender<Result<(), String>>;

/// The text of a file.
type Text = Zeroizing<Vec<u8>>;

/// The configuration file, for those who change it.
pub struct ConfigFile {
    /// Held from reading the file until what it says is in force.
    editing: Mutex<()>,
    /// The profile that the edit under way takes out.
    removed: RefCell<Option<Arc<str>>>,
    orders: mpsc::Sender<Order>,
}

impl ConfigFile {
    /// The file, and where the orders arrive.
    pub fn new() -> (ConfigFile, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(1);
        (ConfigFile { editing: Mutex::new(()), removed: RefCell::default(), orders }, receiver)
    }

    /// Waits until nobody else changes it, and keeps others waiting.
    pub async fn begin(&self) -> MutexGuard<'_, ()> {
        self.editing.lock().await
    }

    /// The same if nobody changes it now.
    ///
    /// # Errors
    /// When somebody does.
    pub fn try_begin(&self) -> Result<MutexGuard<'_, ()>, TryLockError> {
        self.editing.try_lock()
    }

    /// Looks once more, with the registry locked, whether the profile that is being taken out is in use: while the file was
    /// written to flash somebody may have put a device into it.
    ///
    /// # Errors
    /// What uses it.
    pub fn check_removed(&self, core: &Core) -> Result<(), ApiError> {
        match &*self.removed.borrow() {
            Some(name) => check_unused(core, name),
            None => Ok(()),
        }
    }

    /// Has the file read again.
    ///
    /// # Errors
    /// Why the running configuration stays.
    async fn reload(&self) -> Result<(), String> {
        let (tell, told) = oneshot::channel();
        self.orders.send(tell).await.map_err(|_| "the daemon is stopping".to_owned())?;
        told.await.map_err(|_| "the daemon is stopping".to_owned())?
    }
}

/// `config_reload`.
pub async fn reload(daemon: &Rc<Daemon>) -> Result<Value, ApiError> {
    let _editing = daemon.config_file.begin().await;
    daemon.config_file.reload().await.map_err(|why| ApiError::new("config", why))?;
    Ok(json!({}))
}

/// `profile_add`, `profile_set` and `profile_remove`: like [`super::realm::repoint`].
pub async fn profile(daemon: &Rc<Daemon>, edit: &ProfileEdit, dry_run: bool) -> Result<Value, ApiError> {
    let _editing = daemon.config_file.begin().await;
    let path = daemon.config_path.clone();
    let old = read(daemon)?;
    let mut plan = edit.plan(&path, &old).map_err(not_planned)?;
    if edit.action == ProfileAction::Remove {
        // Somebody may have begun to use it while others edited.
        check_unused(&daemon.core.borrow(), &edit.name)?;
    }
    if !dry_run && differs(&old, &daemon.core.borrow().config) {
        plan.notes.push(OTHER_CHANGES.into());
    }
    if !dry_run && !plan.diff.is_empty() {
        let removed = (edit.action == ProfileAction::Remove).then(|| Removed::begin(daemon, &edit.name));
        put(daemon, old, std::mem::take(&mut plan.text)).await.map_err(|why| match why {
            PutError::NotWritten(why) => ApiError::new("not_written", why),
            // It tells of the file, too.
            PutError::Refused(why) => match daemon.config_file.check_removed(&daemon.core.borrow()) {
                Err(used) => used.saying(why.into_message()),
                Ok(()) => why,
            },
        })?;
        drop(removed);
        crate::log::info!("profile {}: {} changed", edit.name, path.display());
    }
    Ok(edited(&daemon.core.borrow(), edit, &plan, dry_run))
}

/// A profile is being taken out, until this goes.
struct Removed<'d>(&'d Daemon);

impl Removed<'_> {
    fn begin<'d>(daemon: &'d Daemon, name: &str) -> Removed<'d> {
        *daemon.config_file.removed.borrow_mut() = Some(name.into());
        Removed(daemon)
    }
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        *self.0.config_file.removed.borrow_mut() = None;
    }
}

/// What the file says.
///
/// # Errors
/// Why it cannot be read.
pub fn read(daemon: &Daemon) -> Result<Text, ApiError> {
    config::read_text(&daemon.config_path).map_err(|why| ApiError::new("file", why))
}

/// True when a file says something else than the configuration in force.
pub fn differs(text: &[u8], running: &Config) -> bool {
    let same =
        |file: Config| Config { warnings: Vec::new(), ..file } == Config { warnings: Vec::new(), ..running.clone() };
    Config::parse(text).is_ok_and(|file| !same(file))
}

/// Why a new file is not in force.
pub enum PutError {
    /// It could not be written: it is as it was.
    NotWritten(String),
    /// It was written, but cannot be put into force: it is as it was again, unless the error says otherwise.
    Refused(ApiError),
}

/// Writes a file and puts it into force; if that cannot be, it is written back as it was.
pub async fn put(daemon: &Rc<Daemon>, old: Text, new: Text) -> Result<(), PutError> {
    let (old, new) = (Arc::new(old), Arc::new(new));
    replace(daemon, &old, &new).await.map_err(PutError::NotWritten)?;
    let Err(why) = daemon.config_file.reload().await else { return Ok(()) };
    let stays = match replace(daemon, &new, &old).await {
        Ok(()) => {
            daemon.core.borrow_mut().config_state.error = None;
            "the file is as it was".to_owned()
        }
        Err(trouble) => format!("and the file could not be restored: {trouble}"),
    };
    let message = format!("{why}\nthe running configuration stays, {stays}");
    Err(PutError::Refused(ApiError::new("config", message)))
}

/// On another thread, since flash takes its time.
async fn replace(daemon: &Daemon, old: &Arc<Text>, new: &Arc<Text>) -> Result<(), String> {
    let (path, old, new) = (daemon.config_path.clone(), old.clone(), new.clone());
    let state = daemon.core.borrow().config.main.state_dir.clone();
    let done = tokio::task::spawn_blocking(move || config::replace(&path, &old, &new, Some(&state)));
    done.await.map_err(|why| why.to_string())?.map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Files, run};
    use super::super::{call, reload};
    use super::*;
    use crate::service::control::Call;

    #[test]
    fn a_profile_that_came_into_use_while_the_file_was_written_stays() {
        run(async {
            let files = Files::new();
            let mut started = files.daemon("config profile 'iot'\nconfig profile 'guest'\n");
            let daemon = started.daemon.clone();
            let removed = Removed::begin(&daemon, "guest");
            let params = json!({ "name": "lamp", "profile": "guest" });
            let Ok(add) = Call::new("device_add", params.as_object().cloned().unwrap()) else { panic!("refused") };
            assert!(call::run(&daemon, add).await.is_ok());
            let why = reload::reload(&daemon, &mut started.listeners).await.unwrap_err();
            assert!(why.starts_with("profile 'guest' is in use, change that first: 1 device is in it: lamp"), "{why}");
            assert_eq!(daemon.core.borrow().config.profiles.len(), 2);
            drop(removed);
            // The file of this daemon is nowhere: so far it comes now.
            let why = reload::reload(&daemon, &mut started.listeners).await.unwrap_err();
            assert!(why.contains("/config: "), "{why}");
        });
    }
}

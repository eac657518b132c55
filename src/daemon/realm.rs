//! What methods on realms need of the world: the configuration file, the order to read it again, and the servers.

use super::{Daemon, now};
use crate::config::{self, Config, Plan, Repoint, Server};
use crate::discovery::Want;
use crate::service::control::ApiError;
use crate::service::control::realm::{self, Lookup, Moved, Step, moved, not_planned};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};

/// How long a test waits for DNS, and how often it looks.
const LOOKUP: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(50);

/// An order to read the configuration again, and whom to tell whether it is in force.
pub type Order = oneshot::Sender<Result<(), String>>;

/// The configuration file, for those who change it.
pub struct ConfigFile {
    /// Held from reading the file until what it says is in force.
    editing: Mutex<()>,
    orders: mpsc::Sender<Order>,
}

impl ConfigFile {
    /// The file, and where the orders arrive.
    pub fn new() -> (ConfigFile, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(1);
        (ConfigFile { editing: Mutex::new(()), orders }, receiver)
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
    let _editing = daemon.config_file.editing.lock().await;
    daemon.config_file.reload().await.map_err(|why| ApiError::new("config", why))?;
    Ok(json!({}))
}

/// `realm_repoint`: nothing is written unless the configuration would be taken, and what is written is in force when
/// this returns. If it cannot be put into force, the file is as it was.
pub async fn repoint(daemon: &Rc<Daemon>, repoint: Box<Repoint>, dry_run: bool) -> Result<Value, ApiError> {
    let _editing = daemon.config_file.editing.lock().await;
    let path = daemon.config_path.clone();
    let old = config::read_text(&path).map_err(|why| ApiError::new("file", why))?;
    let mut plan = repoint.plan(&path, &old).map_err(not_planned)?;
    if !dry_run && differs(&old, &daemon.core.borrow().config) {
        plan.notes.push("the file had other changes that were not in force yet: now they are".into());
    }
    let plan = Arc::new(plan);
    let how = if dry_run {
        Moved::DryRun
    } else if plan.diff.is_empty() {
        Moved::Already
    } else {
        let old = Arc::new(old);
        if let Err(why) = write(&path, &old, &plan, false).await {
            return Ok(moved(&daemon.core.borrow(), &plan, Moved::NotWritten(&why)));
        }
        if let Err(why) = daemon.config_file.reload().await {
            let stays = match write(&path, &old, &plan, true).await {
                Ok(()) => {
                    daemon.core.borrow_mut().config_state.error = None;
                    "the file is as it was".to_owned()
                }
                Err(trouble) => format!("and the file could not be restored: {trouble}"),
            };
            return Err(ApiError::new("config", format!("{why}\nthe running configuration stays, {stays}")));
        }
        let Plan { before, .. } = &*plan;
        tracing::info!("realm {} was moved: {} changed", before.name, path.display());
        Moved::InForce
    };
    Ok(moved(&daemon.core.borrow(), &plan, how))
}

/// True when a file says something else than the configuration in force.
fn differs(text: &[u8], running: &Config) -> bool {
    let same =
        |file: Config| Config { warnings: Vec::new(), ..file } == Config { warnings: Vec::new(), ..running.clone() };
    Config::parse(text).is_ok_and(|file| !same(file))
}

/// Writes the new file in place of the old one, or (`back`) the old one in place of the new one: on another thread, since flash
/// takes its time.
async fn write(
    path: &std::path::Path,
    old: &Arc<zeroize::Zeroizing<Vec<u8>>>,
    plan: &Arc<Plan>,
    back: bool,
) -> Result<(), String> {
    let (path, old, plan) = (path.to_owned(), old.clone(), plan.clone());
    let done = tokio::task::spawn_blocking(move || match back {
        false => config::replace(&path, &old, &plan.text),
        true => config::replace(&path, &plan.text, &old),
    });
    done.await.map_err(|why| why.to_string())?.map_err(|why| why.to_string())
}

/// `realm_test`: asks DNS where it has to be asked, then tries all servers at the same time.
pub async fn test(daemon: &Rc<Daemon>, realm: Arc<str>) -> Value {
    let lookups = look_up(daemon, &realm).await;
    let servers = realm::servers(&daemon.core.borrow(), &realm);
    let tries = servers.into_iter().map(|server| {
        let (daemon, realm) = (daemon.clone(), realm.clone());
        tokio::task::spawn_local(async move {
            let steps = steps(&daemon, &realm, &server).await;
            (server, steps)
        })
    });
    let mut results = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        results.extend(one.await.ok());
    }
    realm::tested(&daemon.core.borrow(), &realm, &lookups, &results)
}

async fn steps(daemon: &Rc<Daemon>, realm: &str, server: &Server) -> Vec<Step> {
    let steps = super::upstream::test::run(daemon, realm, server).await.into_iter();
    steps.map(|step| Step { stage: step.stage.as_str(), ok: step.ok, text: step.text, micros: step.micros }).collect()
}

/// Has the servers of a realm looked up, and waits until they are.
async fn look_up(daemon: &Rc<Daemon>, section: &Arc<str>) -> Vec<Lookup> {
    let realms = realm::discoverable(&daemon.core.borrow(), section);
    let deadline = Instant::now() + LOOKUP;
    let mut lookups = Vec::new();
    for name in realms {
        let result = loop {
            let want = daemon.core.borrow_mut().discovery.look_up(section, &name, now().mono);
            match want {
                Want::Ready => break Ok(()),
                Want::Failed(why) => break Err(why),
                Want::Wait if Instant::now() >= deadline => break Err("the name servers do not answer".into()),
                Want::Wait => tokio::time::sleep(LOOK).await,
            }
        };
        lookups.push((name, result));
    }
    lookups
}

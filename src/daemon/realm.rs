//! What methods on realms need of the world: the configuration file, and the servers.

use super::Daemon;
use super::edit::{self, PutError};
use super::now;
use crate::config::{Repoint, Server};
use crate::discovery::Want;
use crate::service::control::ApiError;
use crate::service::control::profile::not_planned;
use crate::service::control::realm::{self, Lookup, Moved, Step, moved};
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a test waits for DNS, and how often it looks.
const LOOKUP: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(50);

/// `realm_repoint`: nothing is written unless the configuration would be taken, and what is written is in force when
/// this returns. If it cannot be put into force, the file is as it was.
pub async fn repoint(daemon: &Rc<Daemon>, repoint: Box<Repoint>, dry_run: bool) -> Result<Value, ApiError> {
    let _editing = daemon.config_file.begin().await;
    let path = daemon.config_path.clone();
    let old = edit::read(daemon)?;
    let mut plan = repoint.plan(&path, &old).map_err(not_planned)?;
    if !dry_run && edit::differs(&old, &daemon.core.borrow().config) {
        plan.notes.push(edit::OTHER_CHANGES.into());
    }
    let how = if dry_run {
        Moved::DryRun
    } else if plan.diff.is_empty() {
        Moved::Already
    } else {
        let new = std::mem::take(&mut plan.text);
        match edit::put(daemon, old, new).await {
            Ok(()) => {}
            Err(PutError::NotWritten(why)) => {
                return Ok(moved(&daemon.core.borrow(), &plan, Moved::NotWritten(&why)));
            }
            Err(PutError::Refused(why)) => return Err(why),
        }
        crate::log::info!("realm {} was moved: {} changed", plan.before.name, path.display());
        Moved::InForce
    };
    Ok(moved(&daemon.core.borrow(), &plan, how))
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

//! The thread around the store.

use super::*;
use crate::store::{StoreError, StoreHandle};
use std::fs;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[test]
fn stores_answers_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let handle = StoreHandle::start(store).unwrap();
    block_on(async {
        handle.commit(vec![Change::Put(vec![device(1, "a"), device(2, "b")])]).await.unwrap();
        handle.put_pmks(vec![pmk(1, 1, &ssid("Home")), pmk(2, 1, &ssid("Guest"))]).await.unwrap();
        handle.put_seen(vec![(DeviceId(2), Default::default())]).await.unwrap();
        handle.keep_ssids(vec![ssid("Home")]).await.unwrap();
        assert_eq!(handle.health().copied, None);
        handle.save_good_copy().await.unwrap();
        assert!(handle.health().copied.is_some() && dir.path().join("registry.db.good").exists());
        handle.commit(vec![Change::Remove(DeviceId(2))]).await.unwrap();
        handle.shutdown().await.unwrap();
        let late = handle.commit(vec![Change::Remove(DeviceId(1))]).await;
        assert!(matches!(late, Err(StoreError::Stopped)), "{late:?}");
    });
    // Closed: the directory is free, the log empty, the copy as new as the registry.
    assert!(!dir.path().join("registry.db-wal").exists());
    let (store, loaded, _) = open(dir.path());
    assert_eq!((loaded.devices, loaded.pmks.len(), store.copy_is_stale()), (vec![device(1, "a")], 1, false));
}

#[test]
fn one_refused_change_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let handle = StoreHandle::start(store).unwrap();
    let results = block_on(async {
        let tasks: Vec<_> = (1..=200u32)
            .map(|id| {
                let handle = handle.clone();
                // Every tenth has the name of its neighbour.
                let name = if id % 10 == 0 { "taken".to_owned() } else { format!("n{id}") };
                async move { handle.commit(vec![Change::Put(vec![device(id, &name)])]).await }
            })
            .collect();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let tasks: Vec<_> = tasks.into_iter().map(tokio::task::spawn_local).collect();
                let mut results = Vec::new();
                for task in tasks {
                    results.push(task.await.unwrap());
                }
                results
            })
            .await
    });
    for (result, id) in results.iter().zip(1..) {
        match result {
            Ok(()) => assert!(id % 10 != 0 || id == 10, "{id}"),
            Err(StoreError::Refused(why)) => {
                assert!(id % 10 == 0 && id > 10 && why.contains("device 10"), "{id}: {why}")
            }
            Err(other) => panic!("{id}: {other}"),
        }
    }
    assert_eq!(handle.health().failure, None);
    block_on(handle.shutdown()).unwrap();
    assert_eq!(open(dir.path()).1.devices.len(), 181);
}

#[test]
fn an_unattended_change_is_stored_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let handle = StoreHandle::start(store).unwrap();
    block_on(async {
        let change = vec![Change::Put(vec![device(1, "a")])];
        let gone = tokio::time::timeout(std::time::Duration::ZERO, handle.commit(change));
        let _ = gone.await;
        handle.shutdown().await.unwrap();
    });
    assert_eq!(open(dir.path()).1.devices.len(), 1);
}

#[test]
fn the_good_copy_is_made_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let handle = StoreHandle::start_with(store, std::time::Duration::from_millis(20)).unwrap();
    block_on(handle.commit(vec![Change::Put(vec![device(1, "a")])])).unwrap();
    let at = std::time::Instant::now();
    while handle.health().copied.is_none() {
        assert!(at.elapsed().as_secs() < 20, "never made");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let copy = tempfile::tempdir().unwrap();
    fs::copy(dir.path().join("registry.db.good"), copy.path().join("registry.db")).unwrap();
    assert_eq!(open(copy.path()).1.devices, vec![device(1, "a")]);
    block_on(handle.shutdown()).unwrap();
}

#[test]
fn dropping_the_last_handle_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let handle = StoreHandle::start(store).unwrap();
    block_on(handle.commit(vec![Change::Put(vec![device(1, "a")])])).unwrap();
    drop(handle);
    let at = std::time::Instant::now();
    while let Err(StoreError::Locked { .. }) = Store::open(dir.path(), NOW) {
        assert!(at.elapsed().as_secs() < 20, "never closed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(dir.path().join("registry.db.good").exists());
}

#[test]
fn a_failing_flash_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let pages: i64 = store.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.conn.pragma_update(None, "max_page_count", pages).unwrap();
    let handle = StoreHandle::start(store).unwrap();
    block_on(async {
        let many = (1..300).map(|id| device(id, &format!("n{id}"))).collect();
        let full = handle.commit(vec![Change::Put(many)]).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        assert!(handle.health().failure.is_some_and(|text| text.contains("no space left")));
        handle.commit(vec![Change::Put(vec![device(1, "small")])]).await.unwrap();
        assert_eq!(handle.health().failure, None);
        handle.shutdown().await.unwrap();
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "database, copy, lock");
}

//! The daemon is killed at random moments while devices are registered, changed and removed, hundreds of times.
//! Whatever it had acknowledged is there afterwards; what it was killed over is there as a whole or not at all.
//!
//! `LATCHKEY_CRASH_SEED` repeats a run's choices (not its timing), `LATCHKEY_CRASH_KILLS` sets how often it dies.

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{Control, Home};

/// How often the daemon is killed.
const KILLS: usize = 300;

/// Clients at the same time, each with its own devices.
const CLIENTS: usize = 4;

/// A client with more devices than this rather removes some.
const DEVICES_PER_CLIENT: usize = 24;

/// What a client knows of its devices: the name, and the key that the daemon acknowledged.
type Known = BTreeMap<String, String>;

/// The request that was on its way when the daemon died: done or not done, but nothing else.
#[derive(Debug, Clone)]
enum Open {
    Add(String),
    Rotate(String),
    Remove(String),
}

#[test]
fn acknowledged_changes_survive_sigkill() {
    let seed = std::env::var("LATCHKEY_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    let kills = std::env::var("LATCHKEY_CRASH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    println!("LATCHKEY_CRASH_SEED={seed} repeats these choices");

    let mut random = Random(seed);
    let home = Home::new();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, random.next())).collect();
    let (mut killed, mut early, mut acknowledged, mut cut_off) = (0, 0, 0, 0);
    while killed < kills {
        let daemon = home.spawn();
        // Every fifth time it dies while it starts, over the recovery from the death before.
        if random.below(5) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(25_000)));
            daemon.kill();
            (killed, early) = (killed + 1, early + 1);
            continue;
        }
        verify(&home, &mut clients);
        let time = Duration::from_micros(1_000 + random.below(150_000));
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.work(&home));
            }
            std::thread::sleep(time);
            daemon.kill();
        });
        killed += 1;
        acknowledged += clients.iter().map(|client| client.acknowledged).sum::<usize>();
        cut_off += clients.iter().filter(|client| client.open.is_some()).count();
    }
    println!(
        "{killed} kills, {early} of them during the start; {acknowledged} changes acknowledged, {cut_off} cut off"
    );
    assert!(acknowledged > killed, "too little load to mean anything: {acknowledged} changes in {killed} lives");
    assert!(cut_off > killed / 10, "the daemon hardly ever died over a change: {cut_off} of {killed} times");

    let daemon = home.start();
    verify(&home, &mut clients);
    let status = daemon.terminate();
    assert!(status.success(), "the end after SIGTERM: {status}\n{}", home.log());
    check_database(&home);
    let daemon = home.start();
    verify(&home, &mut clients);
    daemon.kill();
}

/// One control-socket client and what it may count on.
struct Client {
    number: usize,
    random: Random,
    made: usize,
    known: Known,
    open: Option<Open>,
    acknowledged: usize,
}

impl Client {
    fn new(number: usize, seed: u64) -> Client {
        Client { number, random: Random(seed), made: 0, known: Known::new(), open: None, acknowledged: 0 }
    }

    /// Adds, rotates and removes until the daemon is gone.
    fn work(&mut self, home: &Home) {
        self.acknowledged = 0;
        let Ok(mut control) = Control::connect(&home.socket()) else { return };
        loop {
            let request = self.choose();
            self.open = Some(request.clone());
            let Ok(result) = request.send(&mut control) else { return };
            match request {
                Open::Add(name) | Open::Rotate(name) => {
                    let key = key_in(&result);
                    self.known.insert(name, key);
                }
                Open::Remove(name) => {
                    self.known.remove(&name);
                }
            }
            self.open = None;
            self.acknowledged += 1;
        }
    }

    fn choose(&mut self) -> Open {
        let full = self.known.len() >= DEVICES_PER_CLIENT;
        let dice = self.random.below(10);
        let place = self.random.below(self.known.len().max(1) as u64) as usize;
        let some = self.known.keys().nth(place).cloned();
        match (some, dice) {
            (Some(name), 0..3) => Open::Rotate(name),
            (Some(name), 3..4) => Open::Remove(name),
            (Some(name), 4..8) if full => Open::Remove(name),
            _ => {
                self.made += 1;
                Open::Add(format!("c{}-{}", self.number, self.made))
            }
        }
    }

    /// Compares what the registry has under this client's names with what it acknowledged.
    fn verify(&mut self, found: &Known) {
        let mut expected = std::mem::take(&mut self.known);
        match self.open.take() {
            // Both is right; which of the two is what we go on with.
            Some(Open::Add(name)) => {
                if let Some(key) = found.get(&name) {
                    expected.insert(name, key.clone());
                }
            }
            Some(Open::Rotate(name)) => {
                let key = found.get(&name).unwrap_or_else(|| panic!("{name} is lost: it was only to get a new key"));
                expected.insert(name, key.clone());
            }
            Some(Open::Remove(name)) => {
                expected.retain(|known, _| *known != name || found.contains_key(known));
            }
            None => {}
        }
        for (name, key) in &expected {
            match found.get(name) {
                Some(now) if now == key => {}
                Some(_) => panic!("{name} has another key than the one that was acknowledged"),
                None => panic!("{name} is lost: its registration was acknowledged"),
            }
        }
        if let Some(name) = found.keys().find(|name| !expected.contains_key(*name)) {
            panic!("{name} is there, though its removal was acknowledged or it was never asked for");
        }
        self.known = expected;
    }
}

impl Open {
    /// Asks for it: the result, or an error when the daemon is gone. A refusal is a failure.
    fn send(&self, control: &mut Control) -> std::io::Result<Value> {
        let (method, params) = match self {
            Open::Add(name) if has_eap(name) => {
                ("device_add", json!({ "name": name, "eap_psk": true, "ssids": ["Home"] }))
            }
            Open::Add(name) => ("device_add", json!({ "name": name, "generate": true })),
            Open::Rotate(name) => ("device_rotate", json!({ "name": name, "eap_psk": has_eap(name) })),
            Open::Remove(name) => ("device_remove", json!({ "name": name })),
        };
        let reply = control.try_call(method, params)?;
        Ok(reply.unwrap_or_else(|error| panic!("{self:?} is refused: {error}")))
    }
}

/// Every third device proves itself with EAP-PSK, in one place only.
fn has_eap(name: &str) -> bool {
    name.split('-').nth(1).and_then(|number| number.parse().ok()).is_some_and(|number: u32| number.is_multiple_of(3))
}

/// The key of a device in an answer, with the name that goes with it.
fn key_in(result: &Value) -> String {
    let psk = &result["eap_psk"];
    if let (Some(identity), Some(key)) = (psk["identity"].as_str(), psk["key"].as_str()) {
        assert_eq!(result["device"]["ssids"], json!(["Home"]), "the place is lost");
        return format!("{identity} {key}");
    }
    result["key"].as_str().unwrap_or_else(|| panic!("no key in the answer")).to_owned()
}

/// Reads the whole registry and lets every client compare.
fn verify(home: &Home, clients: &mut [Client]) {
    let mut control = home.connect();
    let status = control.call("status", json!({})).unwrap();
    let healthy = status["registry"]["damaged"].is_null();
    assert!(healthy, "a killed daemon must not leave a damaged registry: {status}\n{}", home.log());
    let list = control.call("device_list", json!({})).unwrap();
    let devices = list["devices"].as_array().expect("device_list answers a list");
    assert_eq!(list["total"], devices.len(), "the clients keep their devices to one page");
    let names: BTreeSet<&str> = devices.iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), devices.len(), "a name appears twice");
    let mut found = vec![Known::new(); clients.len()];
    for name in names {
        let shown = control.call("device_secret", json!({ "name": name })).unwrap();
        let number: usize = name[1..].split('-').next().and_then(|digits| digits.parse().ok()).unwrap();
        found[number].insert(name.into(), key_in(&shown));
    }
    for (client, found) in clients.iter_mut().zip(&found) {
        client.verify(found);
    }
}

/// SQLite's own opinion of the files.
fn check_database(home: &Home) {
    let mut databases = 0;
    for entry in fs::read_dir(home.path("state")).unwrap() {
        let path = entry.unwrap().path();
        let head = fs::read(&path).unwrap_or_default();
        if head.starts_with(b"SQLite format 3\0") {
            databases += 1;
            let database = rusqlite::Connection::open(&path).unwrap();
            let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(verdict, "ok", "{}", path.display());
        }
    }
    assert!(databases > 0, "no database in {}", home.path("state").display());
}

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is small against 2^64.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

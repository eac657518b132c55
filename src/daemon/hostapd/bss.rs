//! One BSS: who comes and goes there.
//!
//! Two sockets, each with a loop of its own: one for requests, one for events. hostapd drops an attached client
//! without a word when it cannot deliver ten events, and the kernel keeps no more than ten datagrams for us: so events
//! are taken as they come, whatever else is under way.

use super::super::{now, rights};
use super::socket::Socket;
use super::{Daemon, Stale};
use crate::config::Ssid;
use crate::mac::MacAddr;
use crate::service::arrivals::Arrival;
use crate::service::keyfile::SaeGiven;
use crate::service::revocation::{Order, Why};
use crate::service::stations::STATIONS;
use crate::wire::hostapd::{Connected, Event, Station, Status, deny_list, is_event, is_ok, is_sae};
use crate::wire::pskfile::KeyId;
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// How often hostapd is asked whether it is there, and the attachment renewed.
const PING: Duration = Duration::from_secs(5);
/// How often the list is walked though nobody asks.
const WALK: Duration = Duration::from_secs(60);
/// Stations that may wait to be asked for one by one.
const FRESH: usize = 64;
/// Marks our entries of hostapd's deny list, which has a VLAN id for each and looks at it only when it takes stations
/// off itself. No VLAN has this one (IEEE 802.1Q reserves it), so the administrator's entries are never touched, and
/// ours are found again by the next life of a daemon that was killed.
const MARK: u32 = 4095;
/// Asks for the station at the head of hostapd's list.
const FIRST: &str = "STA-FIRST";

/// What can be asked of a BSS.
#[derive(Debug)]
pub enum Command {
    /// Bring the table of stations up to date, and say when that is done.
    Refresh(oneshot::Sender<()>),
    /// Carry out an order.
    Carry(Order),
    /// Give hostapd the keys that hold now.
    Keys,
}

/// Where a BSS is to be found.
pub struct Place {
    /// Its interface, and the name of hostapd's socket.
    pub name: Arc<str>,
    /// hostapd's control directory.
    pub dir: PathBuf,
    /// What hostapd has to be given.
    pub stale: Rc<Stale>,
    /// The SAE passwords it was given before.
    pub given: Rc<RefCell<SaeGiven>>,
}

/// Follows a BSS until its hostapd ends or falls silent.
pub async fn follow(daemon: Rc<Daemon>, place: Place, commands: mpsc::Receiver<Command>) {
    let name = place.name.clone();
    let result = async {
        let (requests, events) = open(&place)?;
        let bss = Bss {
            daemon: daemon.clone(),
            name: name.clone(),
            stale: place.stale.clone(),
            walk: Notify::new(),
            fresh: Fresh::default(),
            anew: Cell::new(false),
            unclear: RefCell::default(),
            given: place.given.clone(),
            said: RefCell::default(),
            greeted_as: RefCell::default(),
        };
        // Attached before the list is walked, so that nobody is missed in between.
        let mut reply = Vec::new();
        events.ask("ATTACH", &mut reply).await?;
        if !is_ok(&reply) {
            return Err(io::Error::other("hostapd refuses ATTACH"));
        }
        tokio::select! {
            result = bss.take_events(&events) => result,
            result = bss.serve(&requests, commands) => result,
        }
    };
    match result.await {
        Ok(()) => crate::log::info!("hostapd ends on {name}"),
        Err(why) => daemon.hostapd.trouble(&daemon, &name, &why),
    }
    daemon.core.borrow_mut().stations.down(&name);
}

fn open(place: &Place) -> io::Result<(Socket, Socket)> {
    let target = place.dir.join(&*place.name);
    let explain = |why: io::Error| io::Error::new(why.kind(), rights::no_access(&target, &why));
    Ok((Socket::open(&target).map_err(explain)?, Socket::open(&target).map_err(explain)?))
}

pub(super) struct Bss {
    pub(super) daemon: Rc<Daemon>,
    pub(super) name: Arc<str>,
    pub(super) stale: Rc<Stale>,
    /// Something happened after which only a walk tells who is there.
    walk: Notify,
    fresh: Fresh,
    /// hostapd may have forgotten the SAE passwords.
    anew: Cell<bool>,
    /// Stations of which only hostapd's list tells what they proved.
    unclear: RefCell<Vec<MacAddr>>,
    /// The SAE passwords that hostapd has.
    pub(super) given: Rc<RefCell<SaeGiven>>,
    /// How the keys come to hostapd, as it was said last.
    pub(super) said: RefCell<String>,
    /// The section of the configuration that this was said by, if there was one; `None` before anything was said.
    pub(super) greeted_as: RefCell<Option<Option<Ssid>>>,
}

/// Stations that have just connected: hostapd's event says little of them, so it is asked. When too many wait, a walk does.
#[derive(Default)]
struct Fresh {
    macs: RefCell<Vec<MacAddr>>,
    notify: Notify,
}

impl Bss {
    /// Takes events for ever; ends well when hostapd says that it ends.
    async fn take_events(&self, events: &Socket) -> io::Result<()> {
        let mut renew = interval_at(Instant::now() + PING, PING);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut datagram = Vec::new();
        loop {
            tokio::select! {
                received = events.receive(&mut datagram) => received?,
                _ = renew.tick() => {
                    // There is no asking whether one is attached, and what a second ATTACH does depends on the version. But
                    // DETACH fails when one is not. What happens in between shows in the next walk.
                    events.send("DETACH").await?;
                    events.send("ATTACH").await?;
                    continue;
                }
            }
            if !is_event(&datagram) {
                if !is_ok(&datagram) {
                    crate::log::debug!("hostapd had stopped telling of {}", self.name);
                    self.walk.notify_one();
                }
                continue;
            }
            let event = Event::parse(&datagram);
            if let Some(Event::Connected(connected)) = event {
                self.came(&connected);
                continue;
            }
            let core = &mut *self.daemon.core.borrow_mut();
            let (stations, ports) = (&mut core.stations, &mut core.network.ports);
            match event {
                Some(Event::Disconnected(mac)) => {
                    // The next station may be given the number of its interface, in another VLAN.
                    if let Some(number) = stations.station(&self.name, mac).and_then(|station| station.own_interface) {
                        ports.remove(format!("{}.{number}", self.name).as_str());
                    }
                    stations.disconnected(&self.name, mac);
                    self.unclear.borrow_mut().retain(|other| *other != mac);
                }
                Some(Event::Enabled) => {
                    self.anew.set(true);
                    self.walk.notify_one();
                }
                Some(Event::Disabled) => stations.clear(&self.name),
                Some(Event::Terminating) => return Ok(()),
                // latchkey's own log has the reason.
                Some(Event::PskMismatch(_) | Event::Connected(_)) | None => {}
            }
        }
    }

    /// A station's handshake is done.
    fn came(&self, connected: &Connected) {
        let mac = connected.mac;
        let arrival = {
            let core = &mut *self.daemon.core.borrow_mut();
            core.stations.connected(&self.name, mac);
            core.stations.described(&self.name, connected);
            let reads_keys = core.stations.ssid(&self.name).is_some_and(|ssid| core.reads_keys(ssid));
            let arrival =
                Arrival { bss: self.name.clone(), mac, keyid: connected.keyid, akm: None, fresh: true, at: now().mono };
            // With SAE, no key is named; and with the onboarding key it matters in which VLAN it let the station in.
            let clear = match connected.keyid {
                Some(KeyId::Onboarding) => connected.vlan.is_some(),
                Some(KeyId::Device { .. }) => true,
                None => false,
            };
            if reads_keys && !clear {
                self.unclear.borrow_mut().push(mac);
            }
            (reads_keys && clear).then_some(arrival)
        };
        if let Some(arrival) = arrival {
            self.daemon.arrived(arrival);
        }
        self.note_fresh(mac);
    }

    fn note_fresh(&self, mac: MacAddr) {
        let mut macs = self.fresh.macs.borrow_mut();
        if macs.len() < FRESH {
            macs.push(mac);
            self.fresh.notify.notify_one();
        } else {
            self.walk.notify_one();
        }
    }

    /// Asks hostapd what is to be asked.
    async fn serve(&self, requests: &Socket, mut commands: mpsc::Receiver<Command>) -> io::Result<()> {
        let mut reply = Vec::new();
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut walk = interval(WALK);
        walk.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = true;
        loop {
            tokio::select! {
                _ = walk.tick() => {
                    self.walk(requests, &mut reply, !first).await?;
                    if std::mem::take(&mut first) {
                        self.adopt(requests, &mut reply).await?;
                        self.daemon.hostapd.well(&self.daemon, &self.name);
                        self.give_keys(requests, &mut reply).await?;
                    }
                }
                () = self.walk.notified() => self.look_again(requests, &mut reply).await?,
                () = self.fresh.notify.notified() => self.ask_for_fresh(requests, &mut reply).await?,
                // What is on the air is known from the first walk on.
                _ = ping.tick(), if !first => {
                    requests.ask("PING", &mut reply).await?;
                    // What hostapd could not take last time.
                    self.give_keys(requests, &mut reply).await?;
                }
                command = commands.recv() => match command {
                    Some(Command::Refresh(done)) => {
                        self.walk(requests, &mut reply, true).await?;
                        // Whoever asked may have run out of patience.
                        let _ = done.send(());
                    }
                    Some(Command::Carry(order)) => {
                        // Or it would be back with the key it had.
                        self.give_keys(requests, &mut reply).await?;
                        self.carry(requests, &order, &mut reply).await?;
                    }
                    Some(Command::Keys) => self.give_keys(requests, &mut reply).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Asks for the stations that have just connected: VLAN, AKM, key, signal.
    async fn ask_for_fresh(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
        let macs = self.fresh.macs.take();
        let mut agreed = false;
        for mac in macs {
            requests.ask(&format!("STA {mac}"), reply).await?;
            match Station::parse(reply) {
                Some(station) => {
                    agreed |= station.akm.is_some_and(is_sae);
                    self.found(station, true);
                }
                // It has left already, and its event is on the way.
                None => self.unclear.borrow_mut().retain(|other| *other != mac),
            }
        }
        if agreed && self.reads_keys() {
            // A station that comes back by what it agreed on before is put into the network of the BSS itself: hostapd keeps
            // the VLAN of an SAE password with the password only (2.10 and 2.11). So it has to use the password again.
            requests.ask("PMKSA_FLUSH", reply).await?;
        }
        Ok(())
    }

    /// Takes a station off the air, or lets it come back.
    async fn carry(&self, requests: &Socket, order: &Order, reply: &mut Vec<u8>) -> io::Result<()> {
        match order {
            Order::Off { mac, ban, why, .. } => {
                if *ban && self.reads_keys() == (*why == Why::Refused) {
                    requests.ask(&format!("DENY_ACL ADD_MAC {mac} VLAN_ID={MARK}"), reply).await?;
                }
                // Does no harm where the station is not. The reason: mac80211 sends this unprotected to a station on a VLAN
                // interface, and one with protected management frames (WPA3) ignores it then, unless the reason makes it ask
                // whether it is still known (IEEE 802.11-2020, 11.13): 6, a frame from a station that is not authenticated.
                requests.ask(&format!("DEAUTHENTICATE {mac} reason=6"), reply).await?;
                // A station with SAE would come back with what was agreed on under the old key. For the others this
                // means a full handshake when they next connect; they stay connected.
                requests.ask("PMKSA_FLUSH", reply).await
            }
            Order::Lift(mac) => {
                requests.ask("DENY_ACL SHOW", reply).await?;
                if deny_list(reply).any(|entry| entry == (*mac, MARK)) {
                    requests.ask(&format!("DENY_ACL DEL_MAC {mac}"), reply).await?;
                }
                Ok(())
            }
        }
    }

    /// Takes over the bans of an earlier life of the daemon.
    async fn adopt(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
        requests.ask("DENY_ACL SHOW", reply).await?;
        let core = &mut *self.daemon.core.borrow_mut();
        for (mac, _) in deny_list(reply).filter(|(_, vlan)| *vlan == MARK) {
            core.revocation.adopt(mac, now().mono);
        }
        Ok(())
    }

    /// Walks through hostapd's list of stations. Those that events did not tell of are decided upon; as `fresh` ones, if they
    /// came since the last walk.
    async fn walk(&self, requests: &Socket, reply: &mut Vec<u8>, fresh: bool) -> io::Result<()> {
        requests.ask("STATUS", reply).await?;
        let Some(status) = Status::parse(reply, &self.name) else {
            return Err(io::Error::other("hostapd's STATUS does not mention this BSS"));
        };
        if !self.daemon.core.borrow_mut().stations.up(&self.name, &status.ssid, status.bssid) {
            return Err(io::Error::other("too many BSSes"));
        }
        self.daemon.core.borrow_mut().stations.begin_walk(&self.name);
        let mut request = FIRST.to_owned();
        for _ in 0..2 * STATIONS {
            requests.ask(&request, reply).await?;
            if let Some(station) = Station::parse(reply) {
                request.clear();
                let _ = write!(request, "STA-NEXT {}", station.mac);
                self.found(station, fresh);
            } else if reply.is_empty() || request == FIRST {
                self.daemon.core.borrow_mut().stations.end_walk(&self.name);
                return Ok(());
            } else {
                // The station we had come to left meanwhile, and nobody is next to it. Who was seen so far has to be seen again.
                self.daemon.core.borrow_mut().stations.begin_walk(&self.name);
                FIRST.clone_into(&mut request);
            }
        }
        // Too much coming and going to say who is not there: the next walk will.
        Ok(())
    }

    /// The walk came by a station.
    fn found(&self, station: Station, fresh: bool) {
        let arrival = {
            let core = &mut *self.daemon.core.borrow_mut();
            let missed = core.stations.station(&self.name, station.mac).is_none_or(|known| !known.authorized);
            let reads_keys = core.stations.ssid(&self.name).is_some_and(|ssid| core.reads_keys(ssid));
            let unclear = &mut *self.unclear.borrow_mut();
            let waits = unclear.iter().position(|mac| *mac == station.mac);
            if station.authorized
                && let Some(at) = waits
            {
                unclear.swap_remove(at);
            }
            let news = reads_keys && station.authorized && (missed || waits.is_some());
            let fresh = fresh || waits.is_some();
            let arrival = news.then(|| Arrival::found(&self.name, &station, fresh, now().mono));
            core.stations.found(&self.name, station);
            arrival
        };
        if let Some(arrival) = arrival {
            self.daemon.arrived(arrival);
        }
    }

    /// Something happened of which events do not say enough.
    async fn look_again(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
        if self.anew.take() {
            self.given.borrow_mut().forget();
            self.stale.passwords.set(true);
            self.stale.file.set(true);
            self.walk(requests, reply, true).await?;
            return self.give_keys(requests, reply).await;
        }
        self.walk(requests, reply, true).await
    }

    fn reads_keys(&self) -> bool {
        let core = self.daemon.core.borrow();
        core.stations.ssid(&self.name).is_some_and(|ssid| core.reads_keys(ssid))
    }
}

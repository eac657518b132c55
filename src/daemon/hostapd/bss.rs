//! One BSS: who comes and goes there.
//!
//! Two sockets, each with a loop of its own: one for requests, one for events. hostapd drops an attached client
//! without a word when it cannot deliver ten events, and the kernel keeps no more than ten datagrams for us: so events
//! are taken as they come, whatever else is under way.

use super::super::now;
use super::socket::Socket;
use super::{Daemon, own_dir};
use crate::mac::MacAddr;
use crate::service::revocation::Order;
use crate::service::stations::STATIONS;
use crate::wire::hostapd::{Event, Station, Status, deny_list, is_event, is_ok};
use std::cell::RefCell;
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
}

/// Where a BSS is to be found.
pub struct Place {
    /// Its interface, and the name of hostapd's socket.
    pub name: Arc<str>,
    /// hostapd's control directory.
    pub dir: PathBuf,
    /// Makes the names of our sockets unique: those of a task that ended may be about to be removed.
    pub serial: u32,
}

/// Follows a BSS until its hostapd ends or falls silent.
pub async fn follow(daemon: Rc<Daemon>, place: Place, commands: mpsc::Receiver<Command>) {
    let name = place.name.clone();
    let result = async {
        let (requests, events) = open(&place)?;
        let bss = Bss { daemon: daemon.clone(), name: name.clone(), walk: Notify::new(), fresh: Fresh::default() };
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
        Ok(()) => tracing::info!("hostapd ends on {name}"),
        Err(why) => daemon.hostapd.trouble(&name, why.to_string()),
    }
    daemon.core.borrow_mut().stations.down(&name);
}

fn open(place: &Place) -> io::Result<(Socket, Socket)> {
    let (target, own) = (place.dir.join(&*place.name), own_dir(&place.dir)?);
    let requests = Socket::open(&target, own.join(format!("{}.{}", place.name, place.serial)))?;
    let events = Socket::open(&target, own.join(format!("{}.{}e", place.name, place.serial)))?;
    Ok((requests, events))
}

struct Bss {
    daemon: Rc<Daemon>,
    name: Arc<str>,
    /// Something happened after which only a walk tells who is there.
    walk: Notify,
    fresh: Fresh,
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
                    // There is no asking whether one is attached, and attaching twice means every event twice. But
                    // DETACH fails when one is not. What happens in between shows in the next walk.
                    events.send("DETACH").await?;
                    events.send("ATTACH").await?;
                    continue;
                }
            }
            if !is_event(&datagram) {
                if !is_ok(&datagram) {
                    tracing::debug!("hostapd had stopped telling of {}", self.name);
                    self.walk.notify_one();
                }
                continue;
            }
            let stations = &mut self.daemon.core.borrow_mut().stations;
            match Event::parse(&datagram) {
                Some(Event::Connected(mac)) => {
                    stations.connected(&self.name, mac);
                    self.note_fresh(mac);
                }
                Some(Event::Disconnected(mac)) => stations.disconnected(&self.name, mac),
                Some(Event::Enabled) => self.walk.notify_one(),
                Some(Event::Disabled) => stations.clear(&self.name),
                Some(Event::Terminating) => return Ok(()),
                // latchkey's own log has the reason.
                Some(Event::PskMismatch(_)) | None => {}
            }
        }
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
                    self.walk(requests, &mut reply).await?;
                    if std::mem::take(&mut first) {
                        self.adopt(requests, &mut reply).await?;
                        self.say_hello();
                    }
                }
                () = self.walk.notified() => self.walk(requests, &mut reply).await?,
                () = self.fresh.notify.notified() => self.ask_for_fresh(requests, &mut reply).await?,
                _ = ping.tick() => requests.ask("PING", &mut reply).await?,
                command = commands.recv() => match command {
                    Some(Command::Refresh(done)) => {
                        self.walk(requests, &mut reply).await?;
                        // Whoever asked may have run out of patience.
                        let _ = done.send(());
                    }
                    Some(Command::Carry(order)) => self.carry(requests, &order, &mut reply).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Asks for the stations that have just connected: VLAN, AKM, key, signal.
    async fn ask_for_fresh(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
        let macs = self.fresh.macs.take();
        for mac in macs {
            requests.ask(&format!("STA {mac}"), reply).await?;
            // One that is not there has left already, and its event is on the way.
            if let Some(station) = Station::parse(reply) {
                self.daemon.core.borrow_mut().stations.found(&self.name, station);
            }
        }
        Ok(())
    }

    /// Takes a station off the air, or lets it come back.
    async fn carry(&self, requests: &Socket, order: &Order, reply: &mut Vec<u8>) -> io::Result<()> {
        match order {
            Order::Off { mac, ban, .. } => {
                if *ban {
                    requests.ask(&format!("DENY_ACL ADD_MAC {mac} VLAN_ID={MARK}"), reply).await?;
                }
                // Does no harm where the station is not.
                requests.ask(&format!("DEAUTHENTICATE {mac}"), reply).await?;
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

    /// Walks through hostapd's list of stations.
    async fn walk(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
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
                self.daemon.core.borrow_mut().stations.found(&self.name, station);
            } else if reply.is_empty() || request == FIRST {
                self.daemon.core.borrow_mut().stations.end_walk(&self.name);
                return Ok(());
            } else {
                // The station we had come to left meanwhile, and nobody is next to it.
                FIRST.clone_into(&mut request);
            }
        }
        // Too much coming and going to say who is not there: the next walk will.
        Ok(())
    }

    fn say_hello(&self) {
        self.daemon.hostapd.well(&self.name);
        let core = self.daemon.core.borrow();
        let there = core.stations.iter().filter(|(name, ..)| **name == self.name).count();
        if let Some((_, bss)) = core.stations.bsses().find(|(name, _)| **name == self.name) {
            let ssid = String::from_utf8_lossy(&bss.ssid).into_owned();
            let served = if core.config.ssid(&bss.ssid).is_some() { "" } else { ", which is not in the configuration" };
            tracing::info!("follows hostapd on {}: SSID {ssid:?}{served}, {there} stations", self.name);
        }
    }
}

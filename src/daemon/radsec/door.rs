//! Who may begin a handshake: strangers must not take the time and the memory that devices at the door need, nor the room of clients
//! that are known. What a stranger can have is counted per IPv4 address or IPv6 /64, which is what one host can have at will.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// Handshakes at the same time: each takes some 16 KiB.
pub const HANDSHAKES: usize = 64;
/// Of them from one site.
pub const OF_ONE: usize = 16;
/// Of them only for sites from which a client came lately.
const RESERVED: usize = HANDSHAKES / 4;
/// Handshakes that may begin in a second, and in one go; a quarter of the latter is reserved, too.
const RATE: (u32, u32) = (32, 64);
/// Who has sent no ClientHello after this time makes room when it is needed: a client sends it at once.
const SILENT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 2000 });
/// Sites that are remembered: as many as there can be connections.
const SITES: usize = 256;
/// How long they are.
const LATELY: Duration = Duration::from_secs(86_400);

/// The handshakes under way; `T` is what is kept of each.
pub struct Door<T> {
    shaking: RefCell<Vec<Shaking<T>>>,
    next: Cell<u32>,
    /// Handshakes that may begin now, and since when.
    allowed: Cell<Option<(u32, Instant)>>,
    /// From where clients came, and when the last one did; the latest at the end.
    lately: RefCell<VecDeque<(IpAddr, Instant)>>,
}

struct Shaking<T> {
    id: u32,
    site: IpAddr,
    known: bool,
    since: Instant,
    kept: T,
}

impl<T> Default for Door<T> {
    fn default() -> Door<T> {
        let (shaking, lately) = (RefCell::new(Vec::new()), RefCell::new(VecDeque::new()));
        Door { shaking, next: Cell::new(0), allowed: Cell::new(None), lately }
    }
}

/// What one host can have at will: an IPv4 address, or the first 64 bits of an IPv6 address.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl<T> Door<T> {
    /// Whether one more handshake may begin now; perhaps in place of another one, which is over then. `is_silent`: no ClientHello has come.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn admit(&self, from: IpAddr, now: Instant, is_silent: impl Fn(&T) -> bool) -> Result<Option<T>, &'static str> {
        let site = site(from);
        let known = self.is_known(site, now);
        let mut shaking = self.shaking.borrow_mut();
        let of_site = shaking.iter().filter(|other| other.site == site).count();
        let strangers = shaking.iter().filter(|other| !other.known).count();
        let is_full = shaking.len() >= HANDSHAKES || (!known && strangers >= HANDSHAKES - RESERVED);
        let mut gives_way = None;
        if of_site >= OF_ONE || is_full {
            // Those of the same site first, if they are what is too many; then strangers; a stranger never takes the place of a client.
            let others = shaking.iter().enumerate().filter(|(_, other)| match of_site >= OF_ONE {
                true => other.site == site,
                false => known || !other.known,
            });
            let silent =
                others.filter(|(_, other)| now.duration_since(other.since) >= SILENT && is_silent(&other.kept));
            let oldest = silent.min_by_key(|(_, other)| (other.known, other.since)).map(|(at, _)| at);
            gives_way = Some(oldest.ok_or("too many handshakes are under way")?);
        }
        if !self.allow(known, now) {
            return Err("too many handshakes began in the last second");
        }
        Ok(gives_way.map(|at| shaking.swap_remove(at).kept))
    }

    /// The number of the next handshake.
    pub fn number(&self) -> u32 {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        id
    }

    /// A handshake begins that was admitted.
    pub fn begin(&self, id: u32, from: IpAddr, now: Instant, kept: T) {
        let site = site(from);
        let known = self.is_known(site, now);
        self.shaking.borrow_mut().push(Shaking { id, site, known, since: now, kept });
    }

    /// It is over.
    pub fn over(&self, id: u32) {
        self.shaking.borrow_mut().retain(|other| other.id != id);
    }

    /// A client has proved who it is, or its connection, which it may make again, has ended.
    pub fn came_from(&self, address: IpAddr, now: Instant) {
        let site = site(address);
        let mut lately = self.lately.borrow_mut();
        lately.retain(|(other, _)| *other != site);
        if lately.len() >= SITES {
            lately.pop_front();
        }
        lately.push_back((site, now));
    }

    fn is_known(&self, site: IpAddr, now: Instant) -> bool {
        let lately = self.lately.borrow();
        lately.iter().any(|(other, at)| *other == site && now.duration_since(*at) < LATELY)
    }

    fn allow(&self, known: bool, now: Instant) -> bool {
        let (rate, most) = RATE;
        let (left, since) = self.allowed.get().unwrap_or((most, now));
        let fresh = u32::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u32::MAX);
        let fresh = fresh.saturating_mul(rate) / 1000;
        // What is less than one goes on counting.
        let since = if fresh > 0 { now } else { since };
        let left = left.saturating_add(fresh).min(most);
        let may = left > if known { 0 } else { most / 4 };
        self.allowed.set(Some((left - u32::from(may), since)));
        may
    }

    /// How many handshakes are under way.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shaking.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn stranger(number: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, number as u8])
    }

    /// A door in front of which this many strangers stand, `silent` or not.
    fn crowded(count: usize, silent: bool, now: Instant) -> Door<(usize, bool)> {
        let door = Door::default();
        for number in 0..count {
            assert!(matches!(door.admit(stranger(number), now, |(_, silent)| *silent), Ok(None)), "{number}");
            door.begin(door.number(), stranger(number), now, (number, silent));
        }
        door
    }

    #[test]
    fn clients_get_in_while_strangers_crowd_the_door() {
        let start = Instant::now();
        let door = crowded(HANDSHAKES - RESERVED, false, start);
        let later = start + Duration::from_secs(5);
        let admit = |from: IpAddr| door.admit(from, later, |(_, silent)| *silent);
        let client = ip("198.51.100.1");
        assert_eq!(admit(client).unwrap_err(), "too many handshakes are under way");
        door.came_from(client, later);
        for number in 0..OF_ONE {
            assert_eq!(admit(client), Ok(None), "{number}");
            door.begin(door.number(), client, later, (number, false));
        }
        assert!(admit(client).is_err(), "not even clients without end");
        assert_eq!(door.len(), HANDSHAKES);
        let tomorrow = start + Duration::from_secs(5) + LATELY;
        assert!(!door.is_known(client, tomorrow), "that was too long ago");
    }

    #[test]
    fn who_says_nothing_makes_room() {
        let start = Instant::now();
        let door = crowded(HANDSHAKES - RESERVED, true, start);
        let admit = |after| door.admit(ip("198.51.100.1"), start + after, |(_, silent)| *silent);
        assert!(admit(SILENT / 2).is_err(), "it may still come");
        let (first, _) = admit(SILENT).unwrap().expect("one goes");
        assert_eq!((first, door.len()), (0, HANDSHAKES - RESERVED - 1), "the oldest");
    }

    #[test]
    fn a_site_is_counted_as_one() {
        let now = Instant::now();
        let door = Door::default();
        for number in 0..OF_ONE {
            let from = ip(&format!("2001:db8::{number:x}:1"));
            assert_eq!(door.admit(from, now, |()| true), Ok(None));
            door.begin(door.number(), from, now, ());
        }
        assert!(door.admit(ip("2001:db8::ffff:ffff:ffff:ffff"), now, |()| true).is_err());
        assert_eq!(door.admit(ip("2001:db8:0:1::1"), now, |()| true), Ok(None));
        assert_eq!(site(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(door.admit(ip("2001:db8::9"), now + SILENT, |()| true), Ok(Some(())), "one of its own goes");
    }

    #[test]
    fn sites_are_remembered_without_end_of_memory() {
        let (door, now) = (Door::<()>::default(), Instant::now());
        for number in 0..=SITES as u32 {
            door.came_from(IpAddr::from(number.to_be_bytes()), now);
            door.came_from(ip("192.0.2.1"), now);
        }
        assert_eq!(door.lately.borrow().len(), SITES);
        assert!(door.is_known(ip("192.0.2.1"), now) && !door.is_known(ip("0.0.0.0"), now));
    }

    #[test]
    fn handshakes_begin_at_a_limited_rate() {
        let (door, start) = (Door::<()>::default(), Instant::now());
        let (rate, most) = RATE;
        let begun = |known: bool, at: Duration| (0..1000).filter(|_| door.allow(known, start + at)).count();
        assert_eq!(begun(false, Duration::ZERO), most as usize * 3 / 4, "strangers leave something");
        assert_eq!(begun(true, Duration::ZERO), most as usize / 4);
        assert_eq!(begun(true, Duration::from_millis(1)), 0);
        assert_eq!(begun(true, Duration::from_millis(500)), rate as usize / 2);
        assert_eq!(begun(true, Duration::from_secs(3600)), most as usize);
        let in_two_seconds: usize = (0..2000).map(|ms| begun(true, Duration::from_millis(3_600_001 + ms))).sum();
        assert!((2 * rate as usize - 4..=2 * rate as usize).contains(&in_two_seconds), "{in_two_seconds}");
    }
}

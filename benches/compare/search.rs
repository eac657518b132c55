//! The key search with 10,000 keys of which the last is the right one: as a library call, and through the daemon.

use crate::fleet::{Device, ROAMING, Random, plain};
use crate::latchkey::{self, Latchkey};
use crate::process;
use crate::radius::{Answer, Secret, Template, uncover, verify};
use crate::supplicant::{Akm, BSSID, Handshake};
use crate::table::{Table, median, thousands};
use ::latchkey::mac::MacAddr;
use ::latchkey::secret::Pmk;
use ::latchkey::wpa;
use std::time::{Duration, Instant};

/// Candidates tried in a second of one core, at least, with AKM 2.
const LEAST_RATE: f64 = 1e6;

/// How long each AKM is searched for.
const TIME: Duration = Duration::from_secs(2);

fn handshake(random: &mut Random, akm: Akm, pmk: &[u8; 32]) -> Handshake {
    let (mut station, mut anonce, mut snonce) = ([0; 6], [0; 32], [0; 32]);
    random.fill(&mut station);
    random.fill(&mut anonce);
    random.fill(&mut snonce);
    station[0] = station[0] & 0xfc | 0x02;
    Handshake::new(akm, station, anonce, snonce, pmk)
}

/// Candidates per second of CPU time of this thread.
pub fn library(devices: &[Device], table: &mut Table) -> Result<(), String> {
    let candidates: Vec<_> = devices.iter().map(|device| wpa::Candidate::new(Pmk::new(device.pmk))).collect();
    let last = devices.last().ok_or("no devices")?;
    let mut random = Random(2);
    for akm in [Akm::Psk, Akm::PskSha256, Akm::FtPsk] {
        let sent = handshake(&mut random, akm, &last.pmk);
        let suite = 0x000f_ac00 | u32::from(akm.number());
        let (start, cpu) = (Instant::now(), process::own_cpu()?);
        let mut searches = 0;
        while start.elapsed() < TIME {
            let parsed = wpa::Handshake::parse(
                MacAddr(BSSID),
                MacAddr(sent.station),
                crate::fleet::SSID.as_bytes(),
                Some(suite),
                &sent.anonce,
                &sent.eapol,
            );
            let parsed = parsed.map_err(|e| format!("message 2 with AKM {}: {e}", akm.number()))?;
            let found = wpa::search(&parsed, &candidates);
            if found != Some(candidates.len() - 1) {
                return Err(format!("the search with AKM {} found {found:?} instead of the last key", akm.number()));
            }
            searches += candidates.len();
        }
        let rate = searches as f64 / (process::own_cpu()? - cpu).as_secs_f64();
        let what = format!("key search, library, AKM {}, candidates/s of one core", akm.number());
        match akm {
            Akm::Psk => {
                table.bound(&what, thousands(rate), String::new(), ">= 1,000,000", rate >= LEAST_RATE);
            }
            _ => table.figure(&what, thousands(rate), String::new()),
        }
    }
    Ok(())
}

/// Stations nobody knows, each with the key of one of the last devices, then some with a key nobody has.
pub fn daemon(devices: &[Device], latchkey: &Latchkey, table: &mut Table) -> Result<(), String> {
    let secret = Secret::new(latchkey::SECRET.as_bytes());
    let mut random = Random(u64::from(std::process::id()));
    let known = &devices[devices.len() - ROAMING..];
    let (latency, cpu) = ask_all(known.iter().rev().map(Some), &secret, &mut random, latchkey)?;
    table.figure("key search, daemon, one of the last keys right, ms", format!("{latency:.1}"), String::new());
    table.figure("  server CPU, ms", format!("{cpu:.1}"), String::new());
    let (latency, cpu) = ask_all((0..ROAMING).map(|_| None), &secret, &mut random, latchkey)?;
    table.figure("key search, daemon, no key right, ms", format!("{latency:.1}"), String::new());
    table.figure("  server CPU, ms", format!("{cpu:.1}"), String::new());
    Ok(())
}

/// One request after the other: median time to the answer and server CPU per answer, in milliseconds.
fn ask_all<'a>(
    provers: impl Iterator<Item = Option<&'a Device>>,
    secret: &Secret,
    random: &mut Random,
    latchkey: &Latchkey,
) -> Result<(f64, f64), String> {
    let cpu = latchkey.server.cpu()?;
    let times = provers.map(|device| ask(device, secret, random, latchkey)).collect::<Result<Vec<_>, _>>()?;
    let cpu = (latchkey.server.cpu()? - cpu).as_secs_f64() * 1e3 / times.len() as f64;
    Ok((median(times), cpu))
}

/// Sends one handshake and checks the answer: the device's own key and VLAN, or a Reject if it is nobody's key.
fn ask(device: Option<&Device>, secret: &Secret, random: &mut Random, latchkey: &Latchkey) -> Result<f64, String> {
    let pmk = device.map_or_else(
        || {
            let mut nobodys = [0; 32];
            random.fill(&mut nobodys);
            nobodys
        },
        |device| device.pmk,
    );
    let handshake = handshake(random, Akm::Psk, &pmk);
    let user = plain(&handshake.station);
    let template = Template::new(&user, Some(&user), &handshake.attributes());
    let socket = process::udp_client(latchkey.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(|e| format!("SO_RCVTIMEO: {e}"))?;
    let (mut request, mut reply, mut authenticator) = ([0; 4096], [0; 4096], [0; 16]);
    random.fill(&mut authenticator);
    let length = template.write(secret, 7, &authenticator, &mut request);
    let start = Instant::now();
    let received = socket.send(&request[..length]).and_then(|_| socket.recv(&mut reply));
    let time = start.elapsed().as_secs_f64() * 1e3;
    let received = received.map_err(|e| format!("a handshake stays unanswered: {e}"))?;
    match (device, verify(secret, &mut reply[..received], 7, &authenticator)?) {
        (None, Answer::Reject) => Ok(time),
        (Some(device), Answer::Accept { vlan, tunnel_password }) if vlan == device.vlan => {
            let key = uncover(secret, &tunnel_password, &authenticator)?;
            if key == crate::fleet::hex(&device.pmk).as_bytes() {
                Ok(time)
            } else {
                Err(format!("a station that proved the key of {} got another", device.name))
            }
        }
        (device, answer) => {
            Err(format!("a station with the key of {:?} got {answer:?}", device.map(|device| &device.name)))
        }
    }
}

//! The load generator: one thread, one socket, a fixed number of requests in flight, batched system calls.
//! Every answer is verified; every sixteenth key is uncovered and compared.
//!
//! It looks for answers every [`NAP`] instead of being woken by each: the wake-ups would be charged to the server's
//! CPU time. By then a small part of the requests in flight is answered, so no server runs out of work meanwhile.

use crate::fleet::{Device, Random, hex};
use crate::process;
use crate::radius::{Answer, Secret, Template, hostapd_attributes, uncover, verify};
use crate::supplicant::BSSID;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Requests unanswered at any moment, as from an access point whose stations all come back at once.
pub const IN_FLIGHT: usize = 64;

/// A server that has not answered for this long has lost a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks for answers; the kernel adds its timer slack of 50 us.
const NAP: Duration = Duration::from_micros(50);

/// Requests for every device, and the socket they go out from.
pub struct Load<'a> {
    devices: &'a [Device],
    templates: Vec<Template>,
    secret: Secret,
    socket: UdpSocket,
    random: Random,
    /// The device asked about last; the next one is a fixed step away, so that all have their turn.
    turn: usize,
    /// Identifiers are taken round robin, so that one is reused only 256 requests later.
    identifier: u8,
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Pending {
    device: usize,
    authenticator: [u8; 16],
}

/// What a time of load came to.
pub struct Outcome {
    pub answers: u64,
    pub elapsed: Duration,
    /// CPU time of this process: near `elapsed` it would be the generator that limits.
    pub generator: Duration,
}

impl<'a> Load<'a> {
    pub fn new(server: SocketAddr, secret: &str, devices: &'a [Device]) -> Result<Load<'a>, String> {
        let socket = process::udp_client(server)?;
        let templates = devices
            .iter()
            .map(|device| {
                let user = crate::fleet::plain(&device.mac);
                Template::new(&user, Some(&user), &hostapd_attributes(&BSSID, &device.mac))
            })
            .collect();
        let seed = u64::from(std::process::id());
        let secret = Secret::new(secret.as_bytes());
        Ok(Load { devices, templates, secret, socket, random: Random(seed), turn: 0, identifier: 0 })
    }

    /// Keeps [`IN_FLIGHT`] requests on their way for `time`, then waits for the last answers.
    pub fn run(&mut self, time: Duration) -> Result<Outcome, String> {
        let mut pending: [Option<Pending>; 256] = [None; 256];
        let mut requests = vec![[0_u8; 512]; IN_FLIGHT];
        let mut replies = vec![[0_u8; 4096]; IN_FLIGHT];
        let mut send_headers = MultiHeaders::<SockaddrIn>::preallocate(IN_FLIGHT, None);
        let mut receive_headers = MultiHeaders::<SockaddrIn>::preallocate(IN_FLIGHT, None);
        let mut answers = 0;
        let mut missing = 0;
        let (start, cpu) = (Instant::now(), process::own_cpu()?);
        let mut progress = start;
        loop {
            if start.elapsed() < time {
                let lengths = self.prepare(&mut requests[..IN_FLIGHT - missing], &mut pending);
                self.send(&mut send_headers, &requests, &lengths)?;
                missing += lengths.len();
            }
            if missing == 0 {
                break;
            }
            std::thread::sleep(NAP);
            let arrived = self.receive(&mut receive_headers, &mut replies)?;
            if !arrived.is_empty() {
                progress = Instant::now();
            } else if progress.elapsed() > PATIENCE {
                return Err(format!("{missing} requests unanswered for {PATIENCE:?}"));
            }
            for (reply, length) in arrived {
                self.check(&mut reply[..length], &mut pending, answers % 16 == 0)?;
                answers += 1;
                missing -= 1;
            }
        }
        Ok(Outcome { answers, elapsed: start.elapsed(), generator: process::own_cpu()?.saturating_sub(cpu) })
    }

    /// Writes the next requests, one into each buffer, and returns their lengths.
    fn prepare(&mut self, buffers: &mut [[u8; 512]], pending: &mut [Option<Pending>; 256]) -> Vec<usize> {
        let mut lengths = Vec::with_capacity(buffers.len());
        for buffer in buffers {
            while pending[usize::from(self.identifier)].is_some() {
                self.identifier = self.identifier.wrapping_add(1);
            }
            self.turn = (self.turn + 7919) % self.devices.len();
            let mut authenticator = [0; 16];
            self.random.fill(&mut authenticator);
            lengths.push(self.templates[self.turn].write(&self.secret, self.identifier, &authenticator, buffer));
            pending[usize::from(self.identifier)] = Some(Pending { device: self.turn, authenticator });
            self.identifier = self.identifier.wrapping_add(1);
        }
        lengths
    }

    fn send(
        &self,
        headers: &mut MultiHeaders<SockaddrIn>,
        requests: &[[u8; 512]],
        lengths: &[usize],
    ) -> Result<(), String> {
        let slices: Vec<_> = requests.iter().zip(lengths).map(|(buffer, n)| [IoSlice::new(&buffer[..*n])]).collect();
        let mut sent = 0;
        while sent < slices.len() {
            let rest = &slices[sent..];
            let to = vec![None::<SockaddrIn>; rest.len()];
            let done = sendmmsg(self.socket.as_raw_fd(), headers, rest, to, [], MsgFlags::empty());
            sent += done.map_err(|e| format!("sendmmsg: {e}"))?.count();
        }
        Ok(())
    }

    /// Takes the answers that are there.
    fn receive<'b>(
        &self,
        headers: &mut MultiHeaders<SockaddrIn>,
        replies: &'b mut [[u8; 4096]],
    ) -> Result<Vec<(&'b mut [u8; 4096], usize)>, String> {
        let lengths: Vec<usize> = {
            let mut slices: Vec<_> = replies.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            match recvmmsg(self.socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_DONTWAIT, None) {
                Ok(received) => received.map(|message| message.bytes).collect(),
                Err(Errno::EAGAIN) => return Ok(Vec::new()),
                Err(e) => return Err(format!("recvmmsg: {e}")),
            }
        };
        Ok(replies.iter_mut().zip(lengths).collect())
    }

    /// Every answer must be an Access-Accept with the VLAN of the device, and be signed for our request.
    fn check(&self, reply: &mut [u8], pending: &mut [Option<Pending>; 256], uncovering: bool) -> Result<(), String> {
        let identifier = *reply.get(1).ok_or("an answer of one octet")?;
        let Some(Pending { device, authenticator }) = pending[usize::from(identifier)].take() else {
            return Err(format!("an answer to request {identifier}, which is not open"));
        };
        let device = &self.devices[device];
        let answer = verify(&self.secret, reply, identifier, &authenticator);
        match answer.map_err(|e| format!("the answer for {}: {e}", device.name))? {
            Answer::Accept { vlan, tunnel_password } if vlan == device.vlan => {
                if uncovering && uncover(&self.secret, &tunnel_password, &authenticator)? != hex(&device.pmk).as_bytes()
                {
                    return Err(format!("{} got a key that is not its own", device.name));
                }
                Ok(())
            }
            other => Err(format!("{} got {other:?} instead of VLAN {}", device.name, device.vlan)),
        }
    }
}

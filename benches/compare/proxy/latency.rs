//! Round trips one after the other, each with its time.

use super::device;
use crate::eap::peer::Peer;
use crate::eap::radius::{self, Code};
use crate::fleet::Random;
use crate::process;
use crate::radius::Secret;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Authentications, and those before them that do not count.
const AUTHENTICATIONS: usize = 600;
const WARM: usize = 60;

/// A server that has not answered for this long has lost a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The times of all round trips in microseconds, in ascending order.
pub fn measure(server: SocketAddr, secret: &str) -> Result<Vec<f64>, String> {
    let socket = process::udp_client(server)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|e| format!("a timeout: {e}"))?;
    let (secret, mut random, mut identifier) = (Secret::new(secret.as_bytes()), Random(3), 0_u8);
    let (mut times, mut buffer) = (Vec::new(), [0; 4096]);
    for n in 0..AUTHENTICATIONS + WARM {
        let mut peer: Peer = device(n % 32);
        let (mut eap, mut state) = (peer.identity(), Vec::new());
        loop {
            let mut authenticator = [0; 16];
            random.fill(&mut authenticator);
            identifier = identifier.wrapping_add(1);
            let request = radius::request(&secret, identifier, &authenticator, &peer, &eap, &state);
            let start = Instant::now();
            socket.send(&request).map_err(|e| format!("a request cannot be sent: {e}"))?;
            let length = socket.recv(&mut buffer).map_err(|e| format!("{server} does not answer: {e}"))?;
            if n >= WARM {
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            let reply = radius::read(&secret, &mut buffer[..length], identifier, &authenticator)?;
            match reply.code {
                Code::Challenge => (eap, state) = (peer.respond(&reply.eap)?, reply.state),
                Code::Accept => break,
                Code::Reject => return Err(format!("{server} refuses {}", peer.name())),
            }
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// What so large a share of the sorted times is not above.
pub fn percentile(times: &[f64], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share) as usize]
}

//! What is answered, and said of it.

use super::About;
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::Reason;
use crate::secret::RadiusSecret;
use crate::service::{Core, Now};
use crate::wire::radius::{AttributeType, Builder, Code, Packet, SERVICE_TYPE_AUTHORIZE_ONLY, error_cause};
use std::time::Instant;

impl Core {
    /// Writes the answer, and the event.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn conclude(
        &mut self,
        about: &About,
        request: &Packet<'_>,
        secret: &RadiusSecret,
        cause: Option<u32>,
        started: Instant,
        now: Now,
        out: &mut Vec<u8>,
    ) {
        write_answer(request, secret, cause, out);
        match cause {
            None => self.dynauth.stats.acks += 1,
            Some(_) => self.dynauth.stats.naks += 1,
        }
        let ms = now.mono.saturating_duration_since(started).as_millis();
        self.record(Event {
            id: 0,
            seq: 0,
            at: now.wall,
            first_at: now.wall,
            count: 1,
            device: about.device.clone(),
            mac: about.mac,
            ssid: about.ssid.clone(),
            nas: about.nas.clone(),
            method: Method::Other,
            outcome: Outcome::Disconnect,
            reason: Reason::Asked {
                party: about.party.clone(),
                change: about.change,
                cause: cause.unwrap_or(0),
                ms: u32::try_from(ms).unwrap_or(u32::MAX),
            },
            vlan: None,
            profile: None,
            micros: 0,
        });
    }
}

/// ACK, or NAK with its Error-Cause; Message-Authenticator first, Proxy-State as it came (RFC 5176, 3.1).
fn write_answer(request: &Packet<'_>, secret: &RadiusSecret, cause: Option<u32>, out: &mut Vec<u8>) {
    let code = match (request.code(), cause) {
        (Code::COA_REQUEST, None) => Code::COA_ACK,
        (Code::COA_REQUEST, Some(_)) => Code::COA_NAK,
        (_, None) => Code::DISCONNECT_ACK,
        (_, Some(_)) => Code::DISCONNECT_NAK,
    };
    let mut builder = Builder::reply(code, request, secret, out);
    if let Some(cause) = cause {
        // There is room: the packet is empty so far.
        if cause == error_cause::REQUEST_INITIATED {
            let _ = builder.push_u32(AttributeType::SERVICE_TYPE, SERVICE_TYPE_AUTHORIZE_ONLY);
        }
        let _ = builder.push_u32(AttributeType::ERROR_CAUSE, cause);
    }
    // Only a request that is nearly full of Proxy-State has no room for its answer.
    let _ = builder.copy_proxy_states(request);
    builder.finish();
}

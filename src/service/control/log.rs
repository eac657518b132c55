//! `log`: who was let in, who was refused, and why.

use super::params::Params;
use super::{ApiError, Done, view};
use crate::decision::event::{Event, Outcome, RING};
use crate::json::json;
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::service::{Core, Now};
use serde_json::Value;

/// The outcomes that can be asked for.
const OUTCOMES: [Outcome; 4] = [Outcome::Accepted, Outcome::Joined, Outcome::Refused, Outcome::Disconnect];

/// Which events somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this address.
    pub mac: Option<MacAddr>,
    /// Only what has to do with the device of this name.
    pub device: Option<Box<str>>,
    /// Only with these outcomes; all if empty.
    pub outcomes: Vec<Outcome>,
}

impl Filter {
    fn of(params: &Params) -> Result<Filter, ApiError> {
        let given = |field| params.text(field).filter(|text: &&str| !text.is_empty());
        let mac = given("mac").map(|_| params.mac("mac")).transpose()?;
        let outcomes = params.texts("outcome").map(|word| {
            OUTCOMES.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| {
                let shown: String = word.chars().take(40).collect();
                let message = format!("outcome '{shown}' is none of accepted, joined, refused and disconnect");
                ApiError::field("outcome", "outcome", message)
            })
        });
        let outcomes = outcomes.collect::<Result<_, _>>()?;
        Ok(Filter { mac, device: given("device").map(Into::into), outcomes })
    }

    /// True for an event that is wanted. What has to do with a device: what it did itself, under this name; what happened
    /// at an address that is bound to it; and what others did with its key.
    pub fn fits(&self, event: &Event, registry: &Registry) -> bool {
        let of_device = |name: &str| {
            let named = |text: &str| text.eq_ignore_ascii_case(name);
            event.device.as_deref().is_some_and(named)
                || event.reason.owner().is_some_and(named)
                || registry.by_mac(event.mac).is_some_and(|device| named(&device.name))
        };
        self.mac.is_none_or(|mac| mac == event.mac)
            && (self.outcomes.is_empty() || self.outcomes.contains(&event.outcome))
            && self.device.as_deref().is_none_or(of_device)
    }
}

/// `log`: the latest decisions, oldest first. With `since` only what is newer than that, or was repeated later; `last` is
/// the `since` of the next time, and `gap` says that there may have been more than what is told.
pub fn log(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let filter = Filter::of(params)?;
    let limit = params.number("limit", 1, RING as u32)?.unwrap_or(RING as u32) as usize;
    let since = params.number("since", 0, u32::MAX)?.map(u64::from);
    let known = since.is_none_or(|since| core.events.has_all_since(since));
    // Of another life of the daemon: nothing that is here was told then.
    let since = since.filter(|since| *since <= core.events.last()).unwrap_or(0);
    let newer = core.events.iter().rev().take_while(|event| event.seq > since);
    let mut fitting = newer.filter(|event| filter.fits(event, &core.registry));
    let mut events: Vec<Value> = fitting.by_ref().take(limit).map(view::event).collect();
    let gap = !known || (since > 0 && fitting.next().is_some());
    events.reverse();
    let value = json!({ "events": events, "last": core.events.last(), "gap": gap });
    Ok(if params.flag("follow") { Done::Follow { value, filter } } else { Done::Value(value) })
}

#[cfg(test)]
mod tests;

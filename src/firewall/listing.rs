//! What `nft list table` prints: compared as a whole, and searched for counters.

use super::{Dropped, Plan};
use crate::sorted::SortedMap;
use std::sync::Arc;

/// A listing without the state of its counters: two listings of one ruleset are equal after this.
pub fn without_counters(listing: &str) -> String {
    let mut text = String::with_capacity(listing.len());
    for line in listing.lines() {
        match line.split_once("counter packets ") {
            Some((before, after)) => {
                text.push_str(before);
                text.push_str("counter");
                // "N bytes M", and then the verdict.
                let verdict = after.splitn(4, ' ').nth(3);
                verdict.into_iter().for_each(|verdict| {
                    text.push(' ');
                    text.push_str(verdict);
                });
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// What was dropped, by bridge. Lines that are not understood count nothing.
pub fn dropped(listing: &str, plan: &Plan) -> SortedMap<Arc<str>, Dropped> {
    let mut all: SortedMap<Arc<str>, Dropped> = SortedMap::new();
    let mut bridge = None;
    for line in listing.lines().map(str::trim) {
        if let Some(chain) = line.strip_prefix("chain ") {
            let number =
                chain.trim_end_matches([' ', '{']).rsplit_once('_').and_then(|(_, number)| number.parse().ok());
            bridge = number.and_then(|number| plan.bridge(number));
        } else if let (Some(bridge), Some((_, counter))) = (bridge, line.split_once("counter packets ")) {
            let mut words = counter.split(' ');
            let packets = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let bytes = words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
            let sum = all.or_default(bridge.clone());
            sum.packets = sum.packets.saturating_add(packets);
            sum.bytes = sum.bytes.saturating_add(bytes);
        }
    }
    all
}

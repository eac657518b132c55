//! The method that tells what profiles may reach.

use super::params::Params;
use super::{ApiError, Done};
use crate::config::{Firewall, Profile};
use crate::firewall::{Plan, Source, Zone};
use crate::json::json;
use crate::service::{Core, Now};
use serde_json::Value;

/// `firewall_show`: each profile's limits, whether the kernel has them, and why they are what they are.
pub fn show(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let config = &core.config;
    let plan = Plan::new(config, &core.network.default_routes);
    let status = &core.firewall;
    let profile = |profile: &Profile| match plan.zone_of(profile) {
        Some(zone) => in_zone(core, &plan, profile, zone),
        None => json!({
            "profile": &*profile.name,
            "vlan": profile.vlan,
            "bridge": null,
            "access": profile.access.as_str(),
            "enforced": false,
            "may_reach": "what the network of the SSID reaches",
            "dropped": null,
            "notes": [format!(
                "{} has neither VLAN nor bridge, so its devices cannot be told from others of that network and nothing \
                 is enforced: add option vlan",
                profile.name
            )],
        }),
    };
    Ok(Done::Value(json!({
        "enabled": config.main.firewall == Firewall::On,
        "loaded": status.loaded.is_some(),
        "in_kernel": status.in_kernel,
        "repaired": status.repaired,
        "trouble": core.network.troubles.get("firewall"),
        "wan": {
            "interfaces": plan.wan.interfaces.iter().map(|name| &**name).collect::<Vec<_>>(),
            "source": match plan.wan.source {
                Source::Option => "list wan",
                Source::Routes => "default routes",
            },
            "passed_over": plan.wan.passed_over.iter().map(|name| &**name).collect::<Vec<_>>(),
        },
        "profiles": config.profiles.iter().map(profile).collect::<Value>(),
        "rules": status.loaded.as_deref(),
    })))
}

fn in_zone(core: &Core, plan: &Plan, profile: &Profile, zone: &Zone) -> Value {
    let enforced = core.firewall.in_kernel;
    let dropped = core.firewall.dropped.get(&zone.bridge);
    json!({
        "profile": &*profile.name,
        "vlan": profile.vlan,
        "bridge": &*zone.bridge,
        "access": zone.access.as_str(),
        "enforced": enforced,
        "may_reach": zone.may_reach(&plan.wan),
        "allow": zone.allow.iter().map(|entry| json!(entry.to_string())).collect::<Value>(),
        "keeps_apart": zone.keeps_apart(),
        "dropped": dropped.filter(|_| enforced).map(|d| json!({ "packets": d.packets, "bytes": d.bytes })),
        "notes": zone.notes(core.config.main.uplink.as_deref()),
    })
}

//! What the daemon may do. It needs no root: the capability NET_ADMIN for firewall and bridges, hostapd's group for its
//! sockets and key files, and a state directory of its own. What is lacking is said, with the mend, where `latchkey status`
//! tells of troubles.

use crate::config::{Bridges, Config, Firewall};
use crate::service::Core;
use nix::unistd::{Gid, Group, Uid, User, geteuid, getgroups};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bit of CAP_NET_ADMIN (`linux/capability.h`).
const NET_ADMIN: u32 = 12;
/// What it is called among the troubles.
const CAPABILITY: &str = "capabilities";

/// Looks whether the daemon may do what a configuration asks for.
pub fn look(core: &mut Core) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match lacking(&status, geteuid().is_root(), &core.config) {
        Some(why) => trouble(core, CAPABILITY, why),
        None => well(core, CAPABILITY),
    }
}

/// Tells of something that is not as it should be, once.
pub fn trouble(core: &mut Core, about: &str, why: String) {
    let troubles = &mut core.network.troubles;
    if troubles.get(about) != Some(&why) {
        crate::log::warn!("{about}: {why}");
        troubles.insert(about.into(), why);
    }
}

/// The trouble is over.
pub fn well(core: &mut Core, about: &str) {
    core.network.troubles.remove(about);
}

/// Which capability is missing, by `/proc/self/status`. Where that cannot be read, nothing is known and nothing said.
fn lacking(status: &str, root: bool, config: &Config) -> Option<String> {
    let has = |set: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
        line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_none_or(|bits| bits >> NET_ADMIN & 1 == 1)
    };
    let what = match (config.main.firewall, config.main.bridges) {
        (Firewall::On, Bridges::Manage) => "what profiles may reach cannot be enforced, and bridges cannot be made",
        (Firewall::On, Bridges::Leave) => "what profiles may reach cannot be enforced",
        (Firewall::Off, Bridges::Manage) => "bridges cannot be made",
        (Firewall::Off, Bridges::Leave) => return None,
    };
    let how = "start it by its init script, which does that (/etc/init.d/latchkey; without procd: AmbientCapabilities= of \
               systemd, or setpriv --ambient-caps), or as root";
    if !has("CapEff") {
        return Some(format!("{what}, as the daemon has no capability NET_ADMIN: {how}"));
    }
    // nft is a program of its own, and inherits what is ambient only. That of root has all that may be had.
    (config.main.firewall == Firewall::On && !root && !has("CapAmb")).then(|| {
        format!("what profiles may reach cannot be enforced: nft does not get the capability NET_ADMIN, as it is not ambient: {how}")
    })
}

/// Why hostapd's sockets in a directory cannot be used, with the mend.
pub fn no_access(path: &Path, why: &io::Error) -> String {
    if why.kind() != io::ErrorKind::PermissionDenied {
        return why.to_string();
    }
    let group = |metadata: fs::Metadata| metadata.gid();
    let gid = fs::metadata(path).or_else(|_| path.parent().map_or_else(|| fs::metadata("/"), fs::metadata)).map(group);
    let member = match gid {
        Ok(gid) if !is_member(gid) => {
            format!(
                "its group is {}, and {} is not in it: add it (on OpenWrt the package does), and start latchkey again",
                group_name(gid),
                me()
            )
        }
        _ => "let hostapd give its group access (ctrl_interface_group in hostapd.conf)".into(),
    };
    format!("{}: {why}: {member}", path.display())
}

/// Why the daemon cannot give a file to a group, with the mend.
pub fn not_in_group(gid: Gid) -> Option<String> {
    let gid = gid.as_raw();
    (!geteuid().is_root() && !is_member(gid)).then(|| {
        let (group, me) = (group_name(gid), me());
        format!("hostapd could not read it: {me} is not in the group {group}: add it, and start latchkey again")
    })
}

fn is_member(gid: u32) -> bool {
    nix::unistd::getegid().as_raw() == gid || getgroups().is_ok_and(|groups| groups.contains(&Gid::from_raw(gid)))
}

fn group_name(gid: u32) -> String {
    let found = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    found.map_or_else(|| gid.to_string(), |group| format!("'{}'", group.name))
}

/// The user we are.
pub fn me() -> String {
    let uid = geteuid();
    let found = User::from_uid(Uid::from_raw(uid.as_raw())).ok().flatten();
    found.map_or_else(|| format!("user {uid}"), |user| format!("user '{}'", user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(options: &str) -> Config {
        Config::parse(format!("config latchkey\n{options}")).expect("valid")
    }

    #[test]
    fn what_is_lacking_and_what_is_not_needed() {
        let status = |effective: &str, ambient: &str| format!("Name:\tx\nCapEff:\t{effective}\nCapAmb:\t{ambient}\n");
        let (all, admin, none) = ("000001ffffffffff", "0000000000001000", "0000000000000000");
        let (on, bridges) = (config(""), config("\toption firewall 'off'\n\toption bridges 'manage'\n"));
        let neither = config("\toption firewall 'off'\n");
        for (status, root, config, expected) in [
            (status(all, none), true, &on, None),
            (status(admin, admin), false, &on, None),
            (status(admin, none), false, &bridges, None),
            (status(none, none), false, &neither, None),
            (status(none, none), true, &on, Some("no capability NET_ADMIN")),
            (status("0000000000000fff", none), false, &bridges, Some("bridges cannot be made, as the daemon has no")),
            (status(admin, none), false, &on, Some("it is not ambient")),
            (String::new(), false, &on, None),
            ("CapEff:\tx\n".into(), false, &on, None),
        ] {
            let said = lacking(&status, root, config);
            assert_eq!(said.is_some(), expected.is_some(), "{status} {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{status}");
        }
    }

    #[test]
    fn closed_sockets_name_the_mend() {
        let dir = tempfile::tempdir().expect("a directory");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        // We are in the group of what we make.
        assert!(no_access(dir.path(), &denied).contains("ctrl_interface_group"));
        assert!(no_access(&dir.path().join("wlan0"), &denied).contains("ctrl_interface_group"));
        let other = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(no_access(dir.path(), &other), other.to_string());
    }
}

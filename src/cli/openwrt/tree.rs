//! Reading the box.

use super::super::client::Failure;
use super::state;
use crate::openwrt::Tree;
use crate::openwrt::draft::FILES;
use crate::openwrt::facts::{Facts, Generator, wpad_of_apk, wpad_of_opkg};
use crate::wire::uci::MAX_FILE;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// The largest package database that is read, in octets.
const MAX_DATABASE: u64 = 8 << 20;

/// Reads configuration files, release and packages.
pub fn load(root: &Path) -> Result<Tree, Failure> {
    let mut files = Vec::new();
    for name in FILES {
        files.push((name, config(root, name)?));
    }
    let release = text(&root.join("etc/openwrt_release"));
    let Some(mut facts) = release.as_deref().and_then(Facts::of_release) else {
        let message =
            format!("{} does not name a release: this is for OpenWrt", root.join("etc/openwrt_release").display());
        return Err(Failure::refused("not_openwrt", "", message));
    };
    let opkg = || text(&root.join("usr/lib/opkg/status")).as_deref().and_then(wpad_of_opkg);
    facts.wpad = text(&root.join("lib/apk/db/installed")).as_deref().and_then(wpad_of_apk).or_else(opkg);
    // What is there counts more than the release's name: builds of one's own may have either.
    if root.join("usr/share/ucode/wifi/ap.uc").exists() {
        facts.generator = Generator::Ucode;
    } else if root.join("lib/netifd/hostapd.sh").exists() {
        facts.generator = Generator::Shell;
    }
    if let Some(routes) = text(&root.join("proc/net/route")) {
        facts.read_routes(&routes);
    }
    let record = state::record(root)?;
    Ok(Tree { files, facts, record })
}

/// A configuration file; `None` when there is none.
pub fn config(root: &Path, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let path = root.join("etc/config").join(name);
    let broken = |why: io::Error| {
        let mend = if why.kind() == io::ErrorKind::PermissionDenied { ": run this as root" } else { "" };
        Failure::refused("config", "", format!("{} cannot be read: {why}{mend}", path.display()))
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(broken(why)),
    };
    let length = file.metadata().map_err(broken)?.len().min(MAX_FILE as u64);
    // Room at once, so that no copies of secrets stay.
    let mut text = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut text).map_err(broken)?;
    Ok(Some(text))
}

fn text(path: &Path) -> Option<String> {
    let mut octets = Vec::new();
    File::open(path).ok()?.take(MAX_DATABASE).read_to_end(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets).into_owned())
}

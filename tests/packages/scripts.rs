//! Every script that ends up on a router is for its shell.

use super::apk::Apk;
use super::ipk::Ipk;
use super::{Packed, repository};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What `find` of OpenWrt's busybox does not have, while Debian's does (package/utils/busybox/Config-defaults.in).
const NOT_FOUND: [&str; 3] = ["{} +", " -delete", " -quit"];

#[track_caller]
fn shellcheck(file: &Path) {
    // dash stands for ash: POSIX and `local`. 1091: OpenWrt's own files are not here.
    let output = Command::new("shellcheck")
        .args(["--shell", "dash", "--exclude", "SC1091"])
        .arg(file)
        .output()
        .expect("shellcheck is installed by make test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let output =
        Command::new("busybox").args(["ash", "-n"]).arg(file).output().expect("busybox is installed by make test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(file).unwrap();
    for line in text.lines().filter(|line| line.contains("find ")) {
        assert!(!NOT_FOUND.iter().any(|option| line.contains(option)), "OpenWrt's find has no such option: {line}");
    }
}

#[test]
fn sources() {
    for file in [
        "init.d/latchkey",
        "openwrt/latchkey/files/latchkey.defaults",
        "init.d/entware/latchkey/files/S80latchkey",
        "init.d/entware/latchkey/files/latchkey-lines",
    ] {
        shellcheck(&repository().join(file));
    }
}

#[test]
fn as_packed() {
    let packed = Packed::new(&["x86_64", "x64-3.2"]);
    let mut seen = 0;
    let mut check = |name: String, text: &str| {
        assert!(text.starts_with("#!/bin/sh\n"), "{name}");
        fs::write(packed.path("script"), text).unwrap();
        shellcheck(&packed.path("script"));
        seen += 1;
    };
    for file in ["x86_64/latchkey-0.1.0-r1.apk", "all/luci-app-latchkey-0.1.0-r1.apk"] {
        for (name, text) in Apk::read(&packed.file(&format!("openwrt/{file}"))).scripts {
            check(format!("{file}: {name}"), &text);
        }
    }
    let openwrt = ["x86_64/latchkey_0.1.0-r1_x86_64.ipk", "all/luci-app-latchkey_0.1.0-r1_all.ipk"]
        .map(|f| format!("openwrt/{f}"));
    for file in [&openwrt[0], &openwrt[1], "entware/x64-3.2/latchkey_0.1.0-1_x64-3.2.ipk"] {
        let ipk = Ipk::read(&packed.file(file));
        for name in ipk.others.keys().filter(|name| *name != "conffiles") {
            check(format!("{file}: {name}"), ipk.script(name));
        }
    }
    // 6 and 4 of apk, 5 and 4 of opkg, 4 of Entware.
    assert_eq!(seen, 23);
}

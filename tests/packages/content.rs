//! What is in the packages, field by field.

use super::apk::{self, Apk};
use super::ipk::Ipk;
use super::{AARCH64, EPOCH, Entries, Packed, repository, source, stand_in};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const DAEMON_IPK: &str = "openwrt/aarch64_cortex-a53/latchkey_0.1.0-r1_aarch64_cortex-a53.ipk";
const DAEMON_APK: &str = "openwrt/aarch64_cortex-a53/latchkey-0.1.0-r1.apk";
const APP_IPK: &str = "openwrt/all/luci-app-latchkey_0.1.0-r1_all.ipk";
const APP_APK: &str = "openwrt/all/luci-app-latchkey-0.1.0-r1.apk";
const ENTWARE: &str = "entware/aarch64-3.10/latchkey_0.1.0-1_aarch64-3.10.ipk";

const DESCRIPTION: [&str; 3] = [
    "A Wi-Fi key of its own for every device.",
    "RADIUS server and key manager for hostapd on this router: every device gets its own Wi-Fi key,",
    "and with it its VLAN and limits. Works with wpad-basic (key files) and with full wpad (RADIUS, 802.1X).",
];

/// Path, mode, and where the content comes from; none for a folder.
type Expected = (&'static str, u32, Option<&'static str>);

const DAEMON: &[Expected] = &[
    ("etc", 0o755, None),
    ("etc/capabilities", 0o755, None),
    ("etc/capabilities/latchkey.json", 0o644, Some("openwrt/latchkey/files/latchkey.capabilities")),
    ("etc/config", 0o755, None),
    ("etc/config/latchkey", 0o600, Some("openwrt/latchkey/files/latchkey.config")),
    ("etc/init.d", 0o755, None),
    ("etc/init.d/latchkey", 0o755, Some("init.d/latchkey")),
    ("etc/latchkey", 0o700, None),
    ("etc/uci-defaults", 0o755, None),
    ("etc/uci-defaults/80-latchkey", 0o755, Some("openwrt/latchkey/files/latchkey.defaults")),
    ("lib", 0o755, None),
    ("lib/upgrade", 0o755, None),
    ("lib/upgrade/keep.d", 0o755, None),
    ("lib/upgrade/keep.d/latchkey", 0o644, Some("/etc/latchkey/\n/etc/latchkey-openwrt/\n")),
    ("usr", 0o755, None),
    ("usr/sbin", 0o755, None),
    ("usr/sbin/latchkey", 0o755, Some("BINARY")),
    ("usr/share", 0o755, None),
    ("usr/share/acl.d", 0o755, None),
    ("usr/share/acl.d/latchkey_acl.json", 0o644, Some("openwrt/latchkey/files/latchkey_acl.json")),
];

const FOR_ENTWARE: &[Expected] = &[
    ("opt", 0o755, None),
    ("opt/etc", 0o755, None),
    ("opt/etc/init.d", 0o755, None),
    ("opt/etc/init.d/S80latchkey", 0o755, Some("init.d/entware/latchkey/files/S80latchkey")),
    ("opt/etc/latchkey", 0o700, None),
    ("opt/etc/latchkey/latchkey.conf", 0o600, Some("init.d/entware/latchkey/files/latchkey.conf")),
    ("opt/sbin", 0o755, None),
    ("opt/sbin/latchkey", 0o755, Some("BINARY")),
    ("opt/sbin/latchkey-lines", 0o755, Some("init.d/entware/latchkey/files/latchkey-lines")),
    ("opt/share", 0o755, None),
    ("opt/share/latchkey", 0o755, None),
    ("opt/share/latchkey/defaults", 0o644, Some("openwrt/latchkey/files/latchkey.defaults")),
];

fn all_architectures() -> Packed {
    let packed = Packed::binaries();
    let output = packed.pack(&[], |_| {});
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    packed
}

#[track_caller]
fn holds(data: &Entries, expected: &[Expected], owner: &str, times_of_folders: bool) {
    let paths: Vec<&str> = data.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = expected.iter().map(|(path, ..)| *path).collect();
    assert_eq!(paths, wanted.into_iter().collect::<Vec<_>>());
    for (path, mode, from) in expected {
        let entry = &data[*path];
        assert_eq!(entry.mode, *mode, "mode of {path}");
        assert_eq!(entry.owner, (owner.to_owned(), owner.to_owned()), "owner of {path}");
        if from.is_some() || times_of_folders {
            assert_eq!(entry.mtime, EPOCH, "time of {path}");
        }
        let content = from.map(|from| match from {
            "BINARY" => stand_in(AARCH64),
            text if text.ends_with('\n') => text.as_bytes().to_vec(),
            file => source(file),
        });
        assert!(entry.content == content, "content of {path}");
    }
}

#[test]
fn the_daemon_for_opkg() {
    let packed = Packed::new(&["aarch64_cortex-a53", "x86_64"]);
    let ipk = Ipk::read(&packed.file(DAEMON_IPK));
    holds(&ipk.data, DAEMON, "0", true);
    assert_eq!(ipk.order[0], "./");
    assert!(ipk.order.is_sorted_by_key(|path| path.split('/').collect::<Vec<_>>()), "sorted: {:?}", ipk.order);
    assert!(ipk.order.contains(&"./etc/config/".to_owned()), "folders end in a slash: {:?}", ipk.order);
    let expected: Vec<(String, String)> = [
        ("Package", "latchkey"),
        ("Version", "0.1.0-r1"),
        ("SourceName", "latchkey"),
        ("License", "MIT OR Apache-2.0"),
        ("Section", "net"),
        ("Require-User", "latchkey:latchkey"),
        ("SourceDateEpoch", "1767225600"),
        ("Maintainer", "The latchkey authors"),
        ("Architecture", "aarch64_cortex-a53"),
        ("Installed-Size", &ipk.data_size.to_string()),
        ("Description", &DESCRIPTION.join("\n")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    assert_eq!(ipk.control, expected);

    let names: Vec<&str> = ipk.others.keys().map(String::as_str).collect();
    assert_eq!(names, ["conffiles", "postinst", "postrm", "preinst", "prerm", "prerm-pkg"]);
    assert_eq!(ipk.others["conffiles"].content.as_deref(), Some(&b"/etc/config/latchkey\n"[..]));
    assert!(ipk.script("postinst").ends_with("\ndefault_postinst \"$0\" \"$@\"\n"));
    assert!(ipk.script("prerm").ends_with("\ndefault_prerm \"$0\" \"$@\"\n"));
    assert!(ipk.script("preinst").contains("/etc/init.d/latchkey stop"));
    assert!(ipk.script("prerm-pkg").contains("[ \"${PKG_UPGRADE}\" = 1 ]"), "one dollar sign is left of make's two");

    // The other architecture: its own name, its own binary, all else alike.
    let other = Ipk::read(&packed.file("openwrt/x86_64/latchkey_0.1.0-r1_x86_64.ipk"));
    assert_eq!(other.field("Architecture"), Some("x86_64"));
    let mut data = other.data.clone();
    data.insert("usr/sbin/latchkey".into(), ipk.data["usr/sbin/latchkey"].clone());
    assert_eq!(other.data["usr/sbin/latchkey"].content, Some(stand_in("x86_64-unknown-linux-musl")));
    assert!(data == ipk.data);
}

#[test]
fn the_daemon_for_apk() {
    let packed = Packed::new(&["aarch64_cortex-a53"]);
    let apk = Apk::read(&packed.file(DAEMON_APK));
    let notes = "lib/apk/packages/latchkey";
    let text = |kind: &str| apk.text(&format!("{notes}.{kind}"));
    assert_eq!(text("rusers"), "latchkey:latchkey\n");
    assert_eq!(text("conffiles"), "/etc/config/latchkey\n/etc/latchkey/\n/etc/latchkey-openwrt/\n");
    let digest: String =
        Sha256::digest(source("openwrt/latchkey/files/latchkey.config")).iter().map(|o| format!("{o:02x}")).collect();
    assert_eq!(text("conffiles_static"), format!("/etc/config/latchkey {digest}\n"));
    let listed: Vec<&str> = text("list").lines().collect();
    let files = DAEMON.iter().filter(|(_, _, from)| from.is_some()).map(|(path, ..)| format!("/{path}"));
    let files: BTreeSet<String> = files.chain([format!("/{notes}.rusers")]).collect();
    assert_eq!(listed, files.iter().map(String::as_str).collect::<Vec<_>>());

    let mut data = apk.data.clone();
    data.retain(|path, entry| {
        assert!(!path.starts_with(notes) || (entry.mode, entry.owner.0.as_str()) == (0o644, "root"), "{path}");
        !path.starts_with("lib/apk")
    });
    holds(&data, DAEMON, "root", false);

    let field = |number: usize| apk.info.field(number).text().to_owned();
    assert_eq!(
        [1, 2, 5, 6, 7, 8, 9].map(field),
        ["latchkey", "0.1.0-r1", "aarch64_cortex-a53", "MIT OR Apache-2.0", "latchkey", "The latchkey authors", ""]
    );
    assert_eq!(apk.info.field(4).text(), DESCRIPTION.join(" "));
    assert_eq!(apk.info.field(11).number(), EPOCH);
    assert_eq!(apk.info.elements().len(), 12, "nothing else, and no dependencies: the binary is static");

    let names: Vec<&str> = apk.scripts.keys().copied().collect();
    assert_eq!(
        names,
        ["post-deinstall", "post-install", "post-upgrade", "pre-deinstall", "pre-install", "pre-upgrade"]
    );
    let install = &apk.scripts["post-install"];
    for line in ["export pkgname=\"latchkey\"\n", "\nadd_group_and_user\n", "\ndefault_postinst\n"] {
        assert!(install.contains(line), "{line:?} in {install}");
    }
    let body = install.strip_prefix("#!/bin/sh\n").expect("a shell script");
    assert_eq!(apk.scripts["post-upgrade"], format!("#!/bin/sh\nexport PKG_UPGRADE=1\n{body}"));
    assert!(apk.scripts["pre-upgrade"].starts_with("#!/bin/sh\nexport PKG_UPGRADE=1\n"));
    assert!(apk.scripts["pre-upgrade"].contains("/etc/init.d/latchkey stop"));
    assert!(apk.scripts["pre-deinstall"].contains("\ndefault_prerm\n"));
    assert!(apk.scripts["pre-deinstall"].contains("latchkey firewall remove"));
    assert_eq!(apk.scripts["post-deinstall"], Ipk::read(&packed.file(DAEMON_IPK)).script("postrm"));
    for (name, script) in &apk.scripts {
        assert_eq!(script.matches("#!").count(), 1, "{name} has one first line");
    }
}

/// The reader above is worth something only if it refuses what is wrong.
#[test]
fn a_damaged_apk_is_found_out() {
    let packed = Packed::new(&["aarch64_cortex-a53"]);
    let plain = apk::plain(&packed.file(DAEMON_APK));
    drop(Apk::of_plain(&plain));
    let content = plain.windows(8).position(|octets| octets == b"latchkey").expect("a name");
    for place in [16, content, plain.len() / 2, plain.len() - 20] {
        let mut damaged = plain.clone();
        damaged[place] ^= 1;
        assert!(std::panic::catch_unwind(|| Apk::of_plain(&damaged)).is_err(), "octet {place} of {}", plain.len());
    }
}

#[test]
fn the_app_for_opkg_and_apk() {
    let packed = Packed::new(&["aarch64_cortex-a53"]);
    let (ipk, apk) = (Ipk::read(&packed.file(APP_IPK)), Apk::read(&packed.file(APP_APK)));
    let mut expected = Vec::new();
    for (folder, target) in [("htdocs", "www/"), ("root", "")] {
        walk(&repository().join("luci-app").join(folder), &mut |path, content| {
            expected.push((format!("{target}{path}"), content));
        });
    }
    expected.sort();
    let files = |data: &Entries| -> Vec<(String, Vec<u8>)> {
        let files = data.iter().filter(|(path, _)| !path.starts_with("lib/apk"));
        files.filter_map(|(path, entry)| Some((path.clone(), entry.content.clone()?))).collect()
    };
    assert!(files(&ipk.data) == expected && files(&apk.data) == expected, "all of luci-app, and nothing else");
    for entry in ipk.data.values().filter(|entry| entry.content.is_some()) {
        assert_eq!((entry.mode & 0o777, entry.owner.0.as_str()), (0o644, "0"));
    }
    assert_eq!(ipk.field("Architecture"), Some("all"));
    assert_eq!(apk.info.field(5).text(), "noarch");
    assert_eq!(ipk.field("Depends"), Some("luci-base, latchkey"));
    assert_eq!(apk.depends(), ["latchkey", "luci-base"], "sorted");
    assert_eq!(ipk.field("Section"), Some("luci"));
    assert!(!ipk.others.contains_key("conffiles"));
    for script in
        [ipk.script("postinst-pkg"), ipk.script("postrm"), &apk.scripts["post-install"], &apk.scripts["post-deinstall"]]
    {
        assert!(script.contains("rm -rf /tmp/luci-indexcache.* /tmp/luci-modulecache\n"), "{script}");
        assert!(script.contains("/etc/init.d/rpcd reload"), "{script}");
    }
}

fn walk(folder: &Path, found: &mut impl FnMut(String, Vec<u8>)) {
    fn below(top: &Path, folder: &Path, found: &mut impl FnMut(String, Vec<u8>)) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                below(top, &path, found);
            } else {
                found(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    below(folder, folder, found);
}

#[test]
fn the_daemon_for_entware() {
    let packed = Packed::new(&["aarch64-3.10"]);
    let ipk = Ipk::read(&packed.file(ENTWARE));
    holds(&ipk.data, FOR_ENTWARE, "0", true);
    assert_eq!((ipk.field("Version"), ipk.field("Architecture")), (Some("0.1.0-1"), Some("aarch64-3.10")));
    assert_eq!((ipk.field("Depends"), ipk.field("Require-User")), (None, None));
    assert_eq!(ipk.field("Installed-Size"), Some(ipk.data_size.to_string().as_str()));
    assert_eq!(ipk.others["conffiles"].content.as_deref(), Some(&b"/opt/etc/latchkey/latchkey.conf\n"[..]));
    let names: Vec<&str> = ipk.others.keys().map(String::as_str).collect();
    assert_eq!(names, ["conffiles", "postinst", "postrm", "preinst", "prerm"]);
}

#[test]
fn every_architecture_has_its_binary() {
    let packed = all_architectures();
    let triple = |name: &str| match name.split(['_', '-', '3']).next().unwrap() {
        "aarch64" => "aarch64-unknown-linux-musl",
        "arm" | "armv7" => "armv7-unknown-linux-musleabi",
        "mipsel" => "mipsel-unknown-linux-musl",
        _ => "x86_64-unknown-linux-musl",
    };
    let mut names = BTreeSet::new();
    for kind in ["openwrt", "entware"] {
        for entry in fs::read_dir(packed.path("out").join(kind)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "all" {
                continue;
            }
            let (version, prefix) = if kind == "openwrt" { ("0.1.0-r1", "usr/sbin") } else { ("0.1.0-1", "opt/sbin") };
            let ipk = Ipk::read(&packed.file(&format!("{kind}/{name}/latchkey_{version}_{name}.ipk")));
            assert_eq!(ipk.field("Architecture"), Some(name.as_str()));
            assert!(ipk.data[&format!("{prefix}/latchkey")].content == Some(stand_in(triple(&name))), "{name}");
            if kind == "openwrt" {
                let apk = Apk::read(&packed.file(&format!("openwrt/{name}/latchkey-{version}.apk")));
                assert_eq!(apk.info.field(5).text(), name);
                assert!(apk.data["usr/sbin/latchkey"].content == Some(stand_in(triple(&name))), "{name}");
            }
            names.insert(name);
        }
    }
    for name in
        ["aarch64_cortex-a53", "aarch64_generic", "arm_cortex-a7_neon-vfpv4", "arm_cortex-a9", "mipsel_24kc", "x86_64"]
    {
        assert!(names.contains(name), "OpenWrt's {name} is in {names:?}");
    }
    for name in ["aarch64-3.10", "armv7-3.2", "mipsel-3.4", "x64-3.2"] {
        assert!(names.contains(name), "Entware's {name} is in {names:?}");
    }
}

#[test]
fn the_same_input_gives_the_same_octets() {
    let first = Packed::new(&["aarch64_cortex-a53", "aarch64-3.10"]);
    let second = Packed::binaries();
    let arguments = ["--arch", "aarch64-3.10", "--arch", "aarch64_cortex-a53"];
    let output = second.pack(&arguments, |command| {
        command.current_dir("/").env("TZ", "Pacific/Auckland").env("PYTHONHASHSEED", "7").env("LC_ALL", "C");
        command.env("HOME", "/nonexistent");
    });
    assert!(output.status.success());
    for file in [DAEMON_IPK, DAEMON_APK, APP_IPK, APP_APK, ENTWARE] {
        assert!(first.file(file) == second.file(file), "{file}");
        let place = repository().to_str().unwrap().as_bytes();
        let octets =
            if file.ends_with("apk") { apk::plain(&first.file(file)) } else { super::inflate::gzip(&first.file(file)) };
        assert!(!octets.windows(place.len()).any(|octets| octets == place), "{file} knows where it was made");
    }
    let later = second.pack(&arguments, |command| {
        command.env("SOURCE_DATE_EPOCH", "1767225601");
    });
    assert!(later.status.success() && first.file(DAEMON_APK) != second.file(DAEMON_APK), "the time is in it");
}

/// As releases are made: smaller, and the same inside.
#[test]
fn zopfli_changes_nothing_but_the_size() {
    let (quick, packed) = (Packed::new(&["aarch64_cortex-a53", "aarch64-3.10"]), Packed::binaries());
    let arguments = ["--zopfli", "--arch", "aarch64-3.10", "--arch", "aarch64_cortex-a53"];
    assert!(packed.pack(&arguments, |_| {}).status.success());
    for file in [DAEMON_IPK, APP_IPK, ENTWARE] {
        let (ours, theirs) = (Ipk::read(&packed.file(file)), Ipk::read(&quick.file(file)));
        assert!(ours.data == theirs.data && ours.others == theirs.others && ours.control == theirs.control, "{file}");
    }
    let plain = [&quick, &packed].map(|packed| apk::plain(&packed.file(DAEMON_APK)));
    assert!(plain[0] == plain[1]);
    for file in [DAEMON_IPK, DAEMON_APK, ENTWARE] {
        assert!(packed.file(file).len() < quick.file(file).len(), "{file}");
    }
    let without = packed.pack(&arguments, |command| {
        let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        let python = String::from_utf8(python.stdout).unwrap();
        fs::create_dir(packed.path("path")).unwrap();
        std::os::unix::fs::symlink(python.trim(), packed.path("path/python3")).unwrap();
        command.env("PATH", packed.path("path"));
    });
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success() && said.contains("pack: there is no program zopfli: install it"), "{said}");
}

#[test]
fn what_cannot_be_packed_is_an_error() {
    let packed = Packed::binaries();
    let fails = |arguments: &[&str], change: &dyn Fn(&mut Command)| -> String {
        let output = packed.pack(arguments, change);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nothing = |_: &mut Command| {};
    let said = fails(&["--arch", "x86_64", "--limit", "50000"], &nothing);
    assert!(
        said.contains("pack: larger than 50000 octets: ") && said.contains("latchkey_0.1.0-r1_x86_64.ipk"),
        "{said}"
    );
    assert!(packed.pack(&["--arch", "x86_64", "--limit", "200000"], |_| {}).status.success());
    assert!(
        fails(&["--arch", "sparc"], &nothing).contains("pack: unknown architecture sparc: one of aarch64_cortex-a53")
    );
    let said = fails(&[], &|command| {
        command.env("SOURCE_DATE_EPOCH", "yesterday");
    });
    assert!(said.contains("SOURCE_DATE_EPOCH"), "{said}");
    fs::remove_file(packed.path("bin/mipsel-unknown-linux-musl/latchkey")).unwrap();
    let said = fails(&[], &nothing);
    assert!(said.contains("mipsel-unknown-linux-musl/latchkey: run openwrt/build first"), "{said}");

    // A recipe that would be lost without anybody noticing.
    let copy = packed.path("copy/openwrt");
    fs::create_dir(packed.path("copy")).unwrap();
    for folder in ["openwrt", "init.d"] {
        let to = packed.path("copy").join(folder);
        assert!(Command::new("cp").arg("-a").arg(repository().join(folder)).arg(to).status().unwrap().success());
    }
    let makefile = copy.join("latchkey/Makefile");
    let text = fs::read_to_string(&makefile).unwrap();
    fs::write(&makefile, text.replace("\t$(INSTALL_DIR) -m0700", "\t$(LN) a $(1)/b\n\t$(INSTALL_DIR) -m0700")).unwrap();
    let output = Command::new(copy.join("pack"))
        .args(["--arch", "x86_64", "--bin"])
        .args([packed.path("bin"), "--out".into(), packed.path("out")])
        .env("SOURCE_DATE_EPOCH", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("this recipe is not understood: $(LN) a $(1)/b"), "{said}");
}

/// One version everywhere.
#[test]
fn versions_agree() {
    let version = format!("PKG_VERSION:={}\n", env!("CARGO_PKG_VERSION"));
    for makefile in ["openwrt/latchkey", "openwrt/luci-app-latchkey", "init.d/entware/latchkey"] {
        let text = String::from_utf8(source(&format!("{makefile}/Makefile"))).unwrap();
        assert!(text.contains(&version), "{makefile} has {version}");
    }
}

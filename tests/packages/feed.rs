//! The feed Makefiles, by make itself: what the SDK would install is what openwrt/pack packs.

use super::ipk::Ipk;
use super::{Packed, repository, stand_in};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// In place of OpenWrt's rules.mk.
const RULES: &str = "\
INCLUDE_DIR:=$(TOPDIR)/include
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_CONF:=install -m0600
INSTALL_DATA:=install -m0644
";

/// In place of package.mk and rust-package.mk: one target that installs, and the scripts as files.
const PACKAGE: &str = "\
RUST_ARCH_DEPENDS:=@(aarch64||arm||mipsel||x86_64)
define BuildPackage
all:
$(call Package/$(1)/install,$(DEST))
prepare:
$(Build/Prepare)
$(foreach part,preinst postinst prerm postrm conffiles,$(file >$(DEST).$(part),$(Package/$(1)/$(part))))
$(file >$(DEST).fields,$(Package/$(1)))
endef
";

/// In place of luci.mk: the app is what lies beside the Makefile.
const LUCI: &str = "\
LUCI_NAME:=$(notdir $(CURDIR))
include $(INCLUDE_DIR)/package.mk
define Package/$(LUCI_NAME)
  TITLE:=$(LUCI_TITLE)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=$(LUCI_PKGARCH)
endef
define Package/$(LUCI_NAME)/install
	mkdir -p $(1)/www
	cp -pR htdocs/* $(1)/www
	cp -pR root/* $(1)
endef
$(eval $(call BuildPackage,$(LUCI_NAME)))
";

fn check(makefile: &str, package: &str, architecture: &str) -> String {
    let packed = Packed::new(&[architecture]);
    let ipk = Ipk::read(&packed.file(package));
    let sdk = packed.path("sdk");
    let write = |name: &str, text: &[u8]| {
        let path = sdk.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("rules.mk", RULES.as_bytes());
    write("include/package.mk", PACKAGE.as_bytes());
    write("feeds/packages/lang/rust/rust-package.mk", b"");
    write("feeds/luci/luci.mk", LUCI.as_bytes());
    write("built/bin/latchkey", &stand_in("x86_64-unknown-linux-musl"));
    let dest = sdk.join("dest");
    let output = Command::new("make")
        .arg("-C")
        .arg(repository().join(makefile))
        .arg(format!("TOPDIR={}", sdk.display()))
        .arg(format!("PKG_INSTALL_DIR={}", sdk.join("built").display()))
        .arg(format!("DEST={}", dest.display()))
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut installed = Vec::new();
    walk(&dest, &dest, &mut installed);
    installed.sort();
    let in_package: Vec<_> = ipk
        .data
        .iter()
        // What package-pack.mk makes of a conffile that is a folder.
        .filter(|(path, _)| !format!("{path}/").starts_with("lib/"))
        .map(|(path, entry)| (path.clone(), entry.mode, entry.content.clone()))
        .collect();
    assert!(installed == in_package, "{:?}", installed.iter().map(|(path, ..)| path).collect::<Vec<_>>());
    let read = |part: &str| fs::read_to_string(sdk.join(format!("dest.{part}"))).unwrap();
    for part in ["preinst", "postinst", "prerm", "postrm"] {
        let ours = [part.to_owned(), format!("{part}-pkg")]
            .into_iter()
            .filter(|name| ipk.others.contains_key(name))
            .map(|name| ipk.script(&name).to_owned())
            .find(|text| !text.contains("default_"));
        assert_eq!(read(part).trim_end(), ours.unwrap_or_default().trim_end(), "{part}");
    }
    read("fields") + &read("conffiles")
}

fn walk(top: &Path, folder: &Path, found: &mut Vec<(String, u32, Option<Vec<u8>>)>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.push((name, mode, None));
            walk(top, &path, found);
        } else {
            found.push((name, mode, Some(fs::read(&path).unwrap())));
        }
    }
}

#[test]
fn openwrt() {
    let said = check("openwrt/latchkey", "openwrt/x86_64/latchkey_0.1.0-r1_x86_64.ipk", "x86_64");
    for line in [
        "USERID:=latchkey:latchkey",
        "DEPENDS:=@(aarch64||arm||mipsel||x86_64)",
        "/etc/config/latchkey\n/etc/latchkey/\n/etc/latchkey-openwrt/",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

#[test]
fn entware() {
    let said = check("init.d/entware/latchkey", "entware/x64-3.2/latchkey_0.1.0-1_x64-3.2.ipk", "x64-3.2");
    assert!(said.ends_with("/opt/etc/latchkey/latchkey.conf\n"), "{said}");
}

#[test]
fn luci_app() {
    let said = check("openwrt/luci-app-latchkey", "openwrt/all/luci-app-latchkey_0.1.0-r1_all.ipk", "x86_64");
    for line in ["DEPENDS:=+luci-base +latchkey", "PKGARCH:=all", "TITLE:=LuCI app for latchkey"] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

#[test]
fn what_lies_about_in_the_checkout_is_not_built() {
    for makefile in ["openwrt/latchkey", "init.d/entware/latchkey"] {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let needed = [".cargo/config.toml", "Cargo.toml", "src/main.rs", "tests/daemon.rs"];
        let others = [
            ".cache/cross/zig",
            ".git/HEAD",
            "fuzz/Cargo.toml",
            "openwrt/packing/__pycache__/ipk.pyc",
            "target/debug/latchkey",
            "tests/luci/node_modules/a/index.js",
        ];
        needed.iter().chain(&others).for_each(|name| write(&format!("source/{name}"), ""));
        for (name, text) in [("rules.mk", RULES), ("include/package.mk", PACKAGE)] {
            write(&format!("sdk/{name}"), text);
        }
        write("sdk/feeds/packages/lang/rust/rust-package.mk", "");
        let place = |name: &str| dir.path().join(name).display().to_string();
        let output = Command::new("make")
            .arg("-C")
            .arg(repository().join(makefile))
            .args(["prepare", "TAR=tar"])
            .arg(format!("TOPDIR={}", place("sdk")))
            .arg(format!("DEST={}", place("dest")))
            .arg(format!("PKG_SOURCE_DIR={}", place("source")))
            .arg(format!("PKG_BUILD_DIR={}", place("build")))
            .env_remove("MAKEFLAGS")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut copied = Vec::new();
        walk(&dir.path().join("build"), &dir.path().join("build"), &mut copied);
        let mut files: Vec<_> = copied.into_iter().filter(|(.., text)| text.is_some()).map(|(name, ..)| name).collect();
        files.sort();
        assert_eq!(files, needed, "{makefile}");
    }
}

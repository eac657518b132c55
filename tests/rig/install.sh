#!/bin/bash
# Installs what the simulated Wi-Fi needs: Debian packages, a kernel with mac80211_hwsim, an initramfs that boots it, and a
# folder with a newer Debian whose hostapd (2.11) knows wpa_psk_radius=3.
#
#   install.sh [packages|all]
#
# Everything but the packages lands in .cache/rig (or $LATCHKEY_RIG). Nothing is downloaded twice; when all is there this
# takes a moment. To start afresh, remove the folder. Needs Debian 12 on amd64, and root or sudo for packages and debootstrap.
set -euo pipefail

# Where depmod and debootstrap are; not in everybody's path.
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "$0")" && pwd)
rig=${LATCHKEY_RIG:-$here/../../.cache/rig}

# Host side: emulator, initramfs parts, debootstrap, a C compiler for the bundled SQLite. Guest side: hostapd, wpa_supplicant, the
# maker's RADIUS servers and the tools of the scenario; the hostapd 2.10 mode has this machine's root.
host_packages=(gcc libc6-dev qemu-system-x86 busybox-static kmod cpio debootstrap wireless-regdb)
guest_packages=(hostapd wpasupplicant iw iproute2 iputils-ping tcpdump jq freeradius freeradius-utils radsecproxy)

# The newer Debian, and its packages beyond the base system.
suite=forky
# Its modules in the guest; ccm and ctr because hostapd's CCMP keys fail without them ("key addition failed").
modules=(virtio_pci 9p 9pnet_virtio bridge 8021q veth aesni_intel ccm gcm cmac ctr mac80211_hwsim)

say() { echo "rig: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $* (become root, or install sudo)"
    fi
}

# Package lists are fetched at most once, and only if something has to be downloaded at all.
apt_lists_fresh=
apt_update() {
    [ -n "$apt_lists_fresh" ] || as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
    apt_lists_fresh=yes
}

install_packages() {
    "$here/../../.ci/setup" install "${host_packages[@]}" "${guest_packages[@]}" >&2 || die "not all packages could be installed"
}

# The kernel is unpacked, never installed: the machine's own boot is not touched.
fetch_kernel() {
    [ -e "$rig/kernel/complete" ] && return 0
    apt_update
    local package work
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || die "apt knows no kernel: is linux-image-amd64 in the package lists?"
    say "downloading $package"
    work=$rig/kernel.new
    rm -rf "$work"
    mkdir -p "$work"
    (cd "$work" && apt-get -qq download "$package" 2>&1) | grep -v unsandboxed >&2 || true
    dpkg-deb -x "$work"/linux-image-*.deb "$work" || die "$package could not be downloaded or unpacked"
    rm "$work"/linux-image-*.deb
    echo "${package#linux-image-}" >"$work/version"
    ln -s "boot/vmlinuz-${package#linux-image-}" "$work/vmlinuz"
    # Debug symbols of modules and the kernel's map are never read; modules.dep is made here because the package leaves it to
    # its installation script.
    rm -rf "$work"/boot/System.map-*
    depmod -b "$work" "${package#linux-image-}"
    touch "$work/complete"
    rm -rf "$rig/kernel"
    mv "$work" "$rig/kernel"
}

# busybox, the modules in the order in which they load, and the regulatory database (without it only world channels work).
build_initramfs() {
    local stamp tree kernel order module path
    kernel=$(cat "$rig/kernel/version")
    stamp=$(cat "$0" "$here/init" "$rig/kernel/version" | sha256sum)
    [ -e "$rig/initramfs.gz" ] && [ "$(cat "$rig/initramfs.stamp" 2>/dev/null)" = "$stamp" ] && return 0
    say "building the initramfs"
    tree=$rig/initramfs.new
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,sys,newroot,modules,lib/firmware}
    cp /bin/busybox "$tree/bin/busybox"
    cp "$here/init" "$tree/init"
    chmod 755 "$tree/init"
    cp /lib/firmware/regulatory.db-debian "$tree/lib/firmware/regulatory.db"
    cp /lib/firmware/regulatory.db.p7s-debian "$tree/lib/firmware/regulatory.db.p7s"
    order=$tree/modules/order
    for module in "${modules[@]}"; do
        modprobe --show-depends -d "$rig/kernel" -S "$kernel" "$module" || die "the kernel has no module $module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$order.paths"
    while read -r path; do
        cp "$path" "$tree/modules/"
        basename "$path"
    done <"$order.paths" >"$order"
    rm "$order.paths"
    (cd "$tree" && find . | cpio --quiet -o -H newc --owner=0:0) | gzip -1 >"$rig/initramfs.gz"
    rm -rf "$tree"
    echo "$stamp" >"$rig/initramfs.stamp"
}

# The mirror this machine already uses for Debian itself (not for security updates, not other vendors' archives).
debian_mirror() {
    # shellcheck disable=SC2016 # apt's own placeholders
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' \
        | awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

build_newer_root() {
    local root=$rig/$suite packages mirror version mounted
    packages=$(IFS=,; echo "${guest_packages[*]}"),kmod
    if [ "$(cat "$root/complete" 2>/dev/null)" != "$packages" ]; then
        apt_update
        mirror=$(debian_mirror)
        [ -n "$mirror" ] || die "found no Debian mirror in apt's sources"
        say "building a $suite root from $mirror (about a minute, 300 MB)"
        # An interrupted debootstrap leaves these mounted.
        for mounted in "$root/proc" "$root/sys"; do
            if mountpoint -q "$mounted"; then as_root umount "$mounted"; fi
        done
        as_root rm -rf --one-file-system "$root"
        # Debian 12's debootstrap has no script of that name; sid's is the same.
        as_root debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" \
            /usr/share/debootstrap/scripts/sid >"$rig/debootstrap.log" 2>&1 \
            || { tail -n 20 "$rig/debootstrap.log" >&2; die "debootstrap failed, see $rig/debootstrap.log"; }
        as_root rm -rf "$root"/var/cache/apt/archives "$root"/var/lib/apt/lists
        echo "$packages" | as_root tee "$root/complete" >/dev/null
    fi
    version=$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Version}' hostapd)
    dpkg --compare-versions "$version" ge 2:2.11 || die "$suite has hostapd $version; wpa_psk_radius=3 needs 2.11"
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "needs Debian on amd64"
install_packages
[ "${1:-all}" = packages ] && exit 0
mkdir -p "$rig"
# Two builds at once (two terminals, make -j) must not tread on each other.
exec 9>"$rig/install.lock"
flock 9
fetch_kernel
build_initramfs
build_newer_root
touch "$rig/installed"

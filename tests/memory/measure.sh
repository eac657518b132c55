#!/bin/bash
# How much memory the daemon takes on a 64-bit ARM router with 128 MB: the program of the packages under Debian's kernel in
# QEMU, with so many devices. What /proc says there is what a router would say: user emulation would count the emulator.
#
#   tests/memory/measure.sh [DEVICES...]     (1000)
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/memory
program=$PWD/target/packages/bin/aarch64-unknown-linux-musl/latchkey
counts=("${@:-1000}")

openwrt/build aarch64-unknown-linux-musl
.ci/setup install qemu-system-arm cpio

# The other architecture's packages are fetched with a configuration of apt's own: nothing on this machine changes.
fetch() {
	local apt=(apt-get -qq -o "Dir::State=$cache/apt/state" -o "Dir::Cache=$cache/apt/cache"
		-o "Dir::State::status=$cache/apt/status" -o APT::Architecture=arm64 -o APT::Architectures=arm64
		-o Acquire::Languages=none -o APT::Sandbox::User=root)
	mkdir -p "$cache"/apt/{state/lists/partial,cache/archives/partial} "$cache/root"
	: >"$cache/apt/status"
	"${apt[@]}" update
	local kernel
	kernel=$("${apt[@]/apt-get/apt-cache}" depends linux-image-arm64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	(cd "$cache" && "${apt[@]}" download "$kernel" busybox-static)
	local package
	for package in "$cache"/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$cache/root" --wildcards './boot/vmlinuz-*' './bin/busybox' 2>/dev/null || true
	done
	rm -f "$cache"/*.deb
	ls "$cache"/root/boot/vmlinuz-* "$cache/root/bin/busybox" >/dev/null
}
if [ ! -x "$cache/root/bin/busybox" ]; then
	fetch
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for count in "${counts[@]}"; do
	guest=$scratch/guest
	rm -rf "$guest"
	mkdir -p "$guest"/{bin,dev,proc,sys,tmp,etc,run}
	cp "$cache/root/bin/busybox" "$guest/bin/busybox"
	cp "$program" "$guest/bin/latchkey"
	cp tests/memory/init "$guest/init"
	cat >"$guest/etc/latchkey" <<-END
		config latchkey 'main'
			option state_dir '/tmp/state'
			option control_socket '/run/latchkey.sock'
			option firewall 'off'
		config client 'local'
			option address '127.0.0.1'
			option secret 'a-secret-for-measuring'
		config profile 'iot'
			option vlan '20'
		config ssid 'home'
			option ssid 'Home'
	END
	printf '%s\n' "$count" >"$guest/etc/devices"
	(cd "$guest" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$scratch/initramfs"
	timeout 1200 qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 2 -m 128 -accel tcg,thread=multi -nographic -no-reboot \
		-nic none -kernel "$cache"/root/boot/vmlinuz-* -initrd "$scratch/initramfs" \
		-append 'console=ttyAMA0 quiet panic=-1 cma=0' </dev/null | tr -d '\r' | tee "$scratch/said" | grep --line-buffered '^latchkey: ' |
		sed 's/^latchkey: //' || true
	if ! grep -q '^latchkey: end' "$scratch/said"; then
		tail -n 40 "$scratch/said" >&2
		echo "The guest came to no end" >&2
		exit 1
	fi
	peak=$(sed -n 's/^latchkey: .*VmHWM \([0-9]*\) kB.*/\1/p' "$scratch/said" | tail -n 1)
	# What a router with 128 MB was promised, at a thousand devices.
	if [ "$count" -le 1000 ] && [ "$peak" -gt 10240 ]; then
		echo "$peak kB with $count devices: more than 10240" >&2
		exit 1
	fi
done

// The files of a router: a fresh OpenWrt with two radios, as the program finds them below its --root.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const WIRELESS = `
config wifi-device 'radio0'
	option type 'mac80211'
	option path 'platform/soc/18000000.wifi'
	option band '2g'
	option channel '1'
	option htmode 'HT20'
	option disabled '1'

config wifi-iface 'default_radio0'
	option device 'radio0'
	option network 'lan'
	option mode 'ap'
	option ssid 'OpenWrt'
	option encryption 'none'

config wifi-device 'radio1'
	option type 'mac80211'
	option path 'platform/soc/18000000.wifi+1'
	option band '5g'
	option channel '36'
	option htmode 'HE80'
	option country 'DE'

config wifi-iface 'default_radio1'
	option device 'radio1'
	option network 'lan'
	option mode 'ap'
	option ssid 'Family'
	option encryption 'psk2'
	option key 'everybody knows it'
`;

const NETWORK = `
config interface 'loopback'
	option device 'lo'
	option proto 'static'
	option ipaddr '127.0.0.1'
	option netmask '255.0.0.0'

config device
	option name 'br-lan'
	option type 'bridge'
	list ports 'lan1'
	list ports 'lan2'

config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	option ipaddr '192.168.1.1'
	option netmask '255.255.255.0'

config interface 'wan'
	option device 'wan'
	option proto 'dhcp'
`;

const DHCP = `
config dnsmasq
	option domainneeded '1'
	option domain 'lan'

config dhcp 'lan'
	option interface 'lan'
	option start '100'
	option limit '150'
	option leasetime '12h'
`;

const FIREWALL = `
config defaults
	option input 'REJECT'
	option output 'ACCEPT'
	option forward 'REJECT'

config zone
	option name 'lan'
	list network 'lan'
	option input 'ACCEPT'
	option output 'ACCEPT'
	option forward 'ACCEPT'

config zone
	option name 'wan'
	list network 'wan'
	option input 'REJECT'
	option output 'ACCEPT'
	option forward 'REJECT'
	option masq '1'

config forwarding
	option src 'lan'
	option dest 'wan'
`;

/** What a fresh package brings: switched off, no network of its own. */
export const SHIPPED = `config latchkey 'main'
	option enabled '0'

config client 'local'
	option address '127.0.0.1'
	option secret 'made by uci-defaults'

config profile 'iot'
	option vlan '20'
	option access 'internet'
`;

export class Router {
	/** Lays out the files. `wpad` is the package that is installed; `wireless` its settings; `latchkey` ours. */
	static make({ wpad = 'wpad-mbedtls', wireless = WIRELESS, latchkey = SHIPPED } = {}) {
		const router = new Router();
		router.root = mkdtempSync(join(tmpdir(), 'latchkey-router-'));
		router.write('etc/openwrt_release', 'DISTRIB_ID=\'OpenWrt\'\nDISTRIB_RELEASE=\'24.10.4\'\n');
		router.write('usr/lib/opkg/status', `Package: hostapd-common\nStatus: install ok installed\n\nPackage: ${wpad}\nStatus: install user installed\n`);
		router.write('etc/config/wireless', wireless);
		router.write('etc/config/network', NETWORK);
		router.write('etc/config/dhcp', DHCP);
		router.write('etc/config/firewall', FIREWALL);
		router.write('etc/config/latchkey', latchkey);
		chmodSync(join(router.root, 'etc/config/latchkey'), 0o600);
		/* As procd does on an OpenWrt: who reads a file that has changed is told. */
		router.write('sbin/reload_config', '#!/bin/sh\necho reload >> "${0%/sbin/*}/reloads"\n[ -f "${0%/sbin/*}/pid" ] && kill -HUP "$(cat "${0%/sbin/*}/pid")"\nexit 0\n');
		chmodSync(join(router.root, 'sbin/reload_config'), 0o755);
		return router;
	}

	write(path, text) {
		const file = join(this.root, path);
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(file, text);
	}

	read(path) {
		return readFileSync(join(this.root, path), 'utf8');
	}

	/** How often changed files were put into force. */
	get reloads() {
		return existsSync(join(this.root, 'reloads')) ? this.read('reloads').trim().split('\n').length : 0;
	}

	/** The settings, by file: to compare them octet by octet. */
	settings() {
		const folder = join(this.root, 'etc/config');
		return Object.fromEntries(readdirSync(folder).sort().map(name => [ name, readFileSync(join(folder, name), 'latin1') ]));
	}

	/** The daemon that is told when its file has changed. */
	tell(daemon) {
		this.write('pid', String(daemon.child.pid));
	}

	close() {
		rmSync(this.root, { recursive: true, force: true });
	}
}

// An access point as the daemon sees it: the requests of hostapd with wpa_psk_radius=2 and its accounting (RFC 2865, 2866).

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { SECRET } from './daemon.mjs';

const ACCESS_REQUEST = 1, ACCESS_ACCEPT = 2, ACCOUNTING_REQUEST = 4;
const USER_NAME = 1, USER_PASSWORD = 2, FRAMED_IP_ADDRESS = 8, CALLED_STATION_ID = 30, CALLING_STATION_ID = 31, NAS_IDENTIFIER = 32;
const ACCT_STATUS_TYPE = 40, ACCT_SESSION_ID = 44, NAS_PORT_TYPE = 61, MESSAGE_AUTHENTICATOR = 80;

const START = 1, STOP = 2;

const md5 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest();
const number = value => {
	const octets = Buffer.alloc(4);
	octets.writeUInt32BE(value);
	return octets;
};

function packet(code, identifier, authenticator, attributes) {
	const body = Buffer.concat(attributes.map(([ kind, value ]) => {
		const octets = Buffer.isBuffer(value) ? value : Buffer.from(value);
		return Buffer.concat([ Buffer.from([ kind, octets.length + 2 ]), octets ]);
	}));
	const head = Buffer.alloc(4);
	head.writeUInt8(code, 0);
	head.writeUInt8(identifier, 1);
	head.writeUInt16BE(20 + body.length, 2);
	return Buffer.concat([ head, authenticator, body ]);
}

/** User-Password of at most 16 octets (RFC 2865, 5.2). */
function hidden(password, authenticator) {
	const padded = Buffer.alloc(Math.max(16, Math.ceil(password.length / 16) * 16));
	padded.write(password);
	let before = authenticator;
	for (let at = 0; at < padded.length; at += 16) {
		const pad = md5(SECRET, before);
		for (let i = 0; i < 16; i++)
			padded[at + i] ^= pad[i];
		before = padded.subarray(at, at + 16);
	}
	return padded;
}

function exchange(port, request) {
	return new Promise((done, failed) => {
		const socket = createSocket('udp4');
		const late = setTimeout(() => {
			socket.close();
			failed(new Error('no answer over RADIUS'));
		}, 3000);
		socket.once('message', reply => {
			clearTimeout(late);
			socket.close();
			done(reply);
		});
		socket.send(request, port, '127.0.0.1');
	});
}

export class AccessPoint {
	constructor(daemon, { ssid = 'Home', name = 'ap-hall', bssid = '02-00-00-00-01-00' } = {}) {
		Object.assign(this, { daemon, ssid, name, bssid, identifier: 0 });
	}

	about(mac) {
		return [
			[ CALLED_STATION_ID, `${this.bssid}:${this.ssid}` ],
			[ CALLING_STATION_ID, mac.toUpperCase().replace(/:/g, '-') ],
			[ NAS_IDENTIFIER, this.name ],
			[ NAS_PORT_TYPE, number(19) ]
		];
	}

	/** A station wants in; resolves to whether it is let try. */
	async ask(mac) {
		const user = mac.toLowerCase().replace(/:/g, '');
		const authenticator = randomBytes(16);
		const make = check => packet(ACCESS_REQUEST, this.identifier, authenticator,
			[ [ MESSAGE_AUTHENTICATOR, check ], [ USER_NAME, user ], [ USER_PASSWORD, hidden(user, authenticator) ], ...this.about(mac) ]);
		const check = createHmac('md5', SECRET).update(make(Buffer.alloc(16))).digest();
		const reply = await exchange(this.daemon.authPort, make(check));
		this.identifier = (this.identifier + 1) & 255;
		return reply[0] == ACCESS_ACCEPT;
	}

	async account(mac, status, more = []) {
		const attributes = [ [ ACCT_STATUS_TYPE, number(status) ], [ ACCT_SESSION_ID, mac.replace(/:/g, '') ], [ USER_NAME, mac.replace(/:/g, '') ], ...this.about(mac), ...more ];
		const bare = packet(ACCOUNTING_REQUEST, this.identifier, Buffer.alloc(16), attributes);
		const authenticator = md5(bare, SECRET);
		await exchange(this.daemon.acctPort, packet(ACCOUNTING_REQUEST, this.identifier, authenticator, attributes));
		this.identifier = (this.identifier + 1) & 255;
	}

	/** A station that knows its key: it is let try, and then it is there. */
	async join(mac, address) {
		const tried = await this.ask(mac);
		if (tried)
			await this.account(mac, START, address ? [ [ FRAMED_IP_ADDRESS, Buffer.from(address.split('.').map(Number)) ] ] : []);
		return tried;
	}

	/** It goes. */
	leave(mac) {
		return this.account(mac, STOP);
	}
}

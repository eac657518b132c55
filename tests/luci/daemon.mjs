// The real daemon with a configuration of its own in a scratch directory, and its control socket.

import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { connect } from 'node:net';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;

/** The binary under test: LATCHKEY, or what cargo has built. */
export const BINARY = resolve(process.env.LATCHKEY ?? join(here, '../../target/debug/latchkey'));

/** The secret between the daemon and the pretended access point. */
export const SECRET = 'between the test and the daemon';

/** Two networks, three profiles; the daemon's own directories are added. */
export const CONFIG = `
config client 'ap'
	option address '127.0.0.1'
	option secret '${SECRET}'

config profile 'iot'
	option vlan '20'
	option access 'internet'

config profile 'family'
	option vlan '10'
	option access 'full'

config profile 'waiting'
	option vlan '66'
	option access 'isolated'

config ssid 'home'
	option ssid 'Home'
	option unknown 'pairing'
	option onboarding_key 'come in and find out'

config ssid 'garden'
	option ssid 'Garden; "and" shed'
`;

/** A UDP port that nobody has at the moment. */
async function freePort() {
	const socket = createSocket('udp4');
	await new Promise(done => socket.bind(0, '127.0.0.1', done));
	const { port } = socket.address();
	await new Promise(done => socket.close(done));
	return port;
}

export class Daemon {
	/** Starts a daemon with `config` in `file`, which is its own if none is named, and waits until it answers. */
	static async start(config = CONFIG, { file } = {}) {
		const daemon = new Daemon();
		daemon.dir = mkdtempSync(join(tmpdir(), 'latchkey-luci-'));
		daemon.file = file ?? join(daemon.dir, 'latchkey.conf');
		daemon.socket = join(daemon.dir, 'run', 'latchkey.sock');
		mkdirSync(join(daemon.dir, 'hostapd'));
		mkdirSync(join(daemon.dir, 'state'), { mode: 0o700 });
		daemon.authPort = await freePort();
		daemon.acctPort = await freePort();
		daemon.configure(config);
		await daemon.run();
		return daemon;
	}

	/** Writes the configuration. */
	configure(config) {
		writeFileSync(this.file, `config latchkey 'main'
	option state_dir '${this.dir}/state'
	option control_socket '${this.socket}'
	option hostapd_dir '${this.dir}/hostapd'
	list auth_listen '127.0.0.1:${this.authPort}'
	list acct_listen '127.0.0.1:${this.acctPort}'
	option firewall 'off'
${config}`, { mode: 0o600 });
	}

	/** Starts the program. */
	async run() {
		this.log = '';
		this.child = spawn(BINARY, [ 'serve', '--config', this.file ], { stdio: [ 'ignore', 'pipe', 'pipe' ] });
		this.exited = new Promise(done => this.child.once('exit', done));
		this.child.once('error', why => { this.log += String(why); });
		for (const stream of [ this.child.stdout, this.child.stderr ])
			stream.on('data', data => { this.log += data; });

		for (let tries = 0; tries < 400; tries++) {
			if (existsSync(this.socket) && await this.call('status').then(() => true, () => false))
				return;
			if (this.child.exitCode != null)
				break;
			await sleep(25);
		}

		throw new Error(`${BINARY} did not come up:\n${this.log}`);
	}

	/** One call over the control socket; resolves to the daemon's line, result or error. */
	ask(method, params = {}) {
		return new Promise((done, failed) => {
			const socket = connect(this.socket);
			let text = '';
			socket.once('error', failed);
			socket.once('close', () => failed(new Error('the daemon hung up')));
			socket.on('data', data => {
				text += data;
				if (text.endsWith('\n')) {
					done(JSON.parse(text));
					socket.destroy();
				}
			});
			socket.write(JSON.stringify({ method, params }) + '\n');
		});
	}

	/** One call that has to succeed. */
	async call(method, params) {
		const reply = await this.ask(method, params);
		if (reply.error)
			throw new Error(`${method}: ${reply.error.message}`);
		return reply.result;
	}

	/** Ends the program, and keeps its files. */
	async stop() {
		this.child.kill('SIGTERM');
		await this.exited;
	}

	/** Ends the program and removes its files. */
	async close() {
		await this.stop();
		rmSync(this.dir, { recursive: true, force: true });
	}
}

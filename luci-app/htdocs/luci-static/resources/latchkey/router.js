'use strict';
'require baseclass';
'require fs';
'require latchkey.api as api';
'require latchkey.widgets as widgets';

/*
 * The router's own settings (network, dhcp, firewall, wireless), as `latchkey openwrt` changes them: what would change is
 * shown, then put into force, and undone by itself unless it is kept: by somebody who says so, or by this page once it has seen
 * that the daemon runs and that the networks are on the air.
 */

const PROGRAM = '/usr/sbin/latchkey';

/* How long an attempt to reach the router may take, and how long it pauses between two, in milliseconds. */
const REACH = 5000, PAUSE = 2000;

/* The router is left alone for so long after a change: it has not begun to restart anything before. */
const GRACE = 4000;

/* For so long what was asked for has to be there before a change is kept without being asked. */
const HOLD = 10000;

/* rpcd permits no longer command lines: it compares the first 1,023 octets of one, and refuses what is longer. */
const LINE = 1000;

/* What went wrong on the way, so that nobody knows whether the change was made. */
const LOST = [ 'slow', 'broken', 'gone' ];

function refusal(kind, message, more) {
	return Object.assign(new Error(message), { name: 'LatchkeyError', kind, code: kind, field: null, lines: [] }, more);
}

function pause(time) {
	return new Promise(resolve => window.setTimeout(resolve, time));
}

/* Fails when a promise takes longer than so many milliseconds. */
function within(promise, time) {
	return Promise.race([ promise, pause(time).then(() => { throw refusal('slow', _('The router does not answer.')); }) ]);
}

return baseclass.extend({
	/* Runs `latchkey openwrt VERB --json ...`. Resolves to what it prints, rejects with its reason. */
	run(verb, args) {
		const words = [ 'openwrt', verb, '--json' ].concat(args || []);
		const octets = new Blob([ [ PROGRAM ].concat(words).join(' ') ]).size;

		if (octets > LINE)
			return Promise.reject(refusal('refused', _('These are too many choices for one step (%d octets of at most %d). Choose all profiles, or fewer of them, and the others later on the page Profiles.').format(octets, LINE)));

		return fs.exec(PROGRAM, words).then(result => {
			let reply = null;

			try { reply = JSON.parse(result.stdout); }
			catch (e) { /* It said it in words. */ }

			if (L.isObject(reply) && L.isObject(reply.error))
				throw refusal('refused', reply.error.message, { code: reply.error.code, field: reply.error.field || null });

			if (result.code || !L.isObject(reply))
				throw refusal('failed', (result.stderr || '').trim() || _('The program ended without an answer (code %d).').format(result.code));

			return reply;
		}, why => {
			if (why.name == 'PermissionError')
				throw refusal('denied', _('You are not permitted to do this: log in with an account that may change the settings.'));

			if (why.name == 'NotFoundError')
				throw refusal('missing', _('The program %s is not there. Install the package latchkey.').format(PROGRAM));

			throw api.translate(why);
		});
	},

	/* What the router has. */
	status() {
		return this.run('status');
	},

	/* The arguments that describe a wish: { ssid, radios, security, takeOver, country, profiles, bridge, ports }. */
	wish(of) {
		const args = [];

		if (of.ssid) {
			args.push('--ssid', of.ssid);
			L.toArray(of.radios).forEach(radio => args.push('--radio', radio));

			if (of.security)
				args.push('--security', of.security);
			if (of.takeOver)
				args.push('--take-over');
		}

		if (of.country)
			args.push('--country', of.country);

		L.toArray(of.profiles).forEach(profile => args.push('--profile', profile));

		if (of.bridge) {
			args.push('--bridge', of.bridge);
			L.toArray(of.ports).forEach(port => args.push('--port', port));
		}

		return args;
	},

	/* What would change: in words, and line by line. */
	showPlan(plan) {
		const lines = file => L.toArray(file.lines).map(line => E('span', {
			'class': 'lk-line ' + (line.sign == '+' ? 'lk-added' : line.sign == '-' ? 'lk-removed' : 'lk-same')
		}, [ (line.sign || ' ') + ' ' + line.text + '\n' ]));
		const files = L.toArray(plan.files);

		return E('div', { 'class': 'lk-plan' }, [
			E('ul', { 'class': 'lk-summary' }, L.toArray(plan.summary).map(text => E('li', {}, [ text ])))
		].concat(L.toArray(plan.warnings).map(text => E('div', { 'class': 'alert-message warning' }, [ text ])), [
			files.length ? E('details', {}, [
				E('summary', {}, [ N_(files.length, 'The exact changes (%d file)', 'The exact changes (%d files)').format(files.length) ])
			].concat([].concat.apply([], files.map(file => [
				E('h5', {}, [ '/etc/config/' + file.file ]),
				E('pre', { 'class': 'lk-diff' }, lines(file))
			])))) : ''
		]));
	},

	/*
	 * The way of every change: what it is, yes, and whether it stays. `change`: title, verb (apply or remove), args, label (of
	 * the button), nothing (what is said when there is nothing to do), refused(error) (true when it has shown by itself why
	 * there is no plan), done() (called when it is over, whichever way), kept(seen) (called in place of closing the dialog when the
	 * change stays), air ({ ssid: number of radios }: what has to be on the air then, 0 for what has to be gone).
	 */
	review(change) {
		const waiting = _('Working out what will change…');
		const first = change.verb == 'remove' ? this.run('remove', [ '--dry-run' ].concat(change.args)) : this.run('plan', change.args);

		widgets.dialog(change.title, [ E('p', { 'class': 'spinning' }, [ waiting ]) ], [ widgets.closer() ]);

		return first.then(plan => {
			if (plan.empty) {
				widgets.dialog(change.title, [ E('p', {}, [ change.nothing || _('There is nothing to change: the router is as you want it.') ]) ]
					.concat(L.toArray(plan.warnings).map(text => E('div', { 'class': 'alert-message warning' }, [ text ]))),
				[ widgets.closer(_('Close'), change.done) ]);
				return;
			}

			const trouble = widgets.trouble();

			widgets.dialog(change.title, [
				E('p', {}, [ _('This will change:') ]),
				this.showPlan(plan),
				E('p', { 'class': 'lk-hint' }, [ _('If you can no longer reach the router afterwards, it takes everything back by itself after 90 seconds.') ]),
				trouble
			], [
				widgets.closer(),
				widgets.button(change.label || _('Apply'), { write: true, kind: 'positive important', click: () => {
					trouble.say('');

					return this.onAir().then(before => {
						/* What is on the air has to be there again, but for what changes. */
						const air = Object.assign(before, change.air);

						return this.run(change.verb, [ '--fingerprint', plan.fingerprint ].concat(change.args)).then(result => {
							this.countdown(change, air, result.id, result.undo_in_s);
						}, why => {
							/* A network that restarts can swallow the answer, and the change is in force all the same. */
							if (LOST.indexOf(why.kind) >= 0)
								this.countdown(change, air);
							else
								trouble.say(why.message);
						});
					});
				} })
			], true);
		}, why => {
			if (change.refused && change.refused(why))
				return;

			widgets.dialog(change.title, [ E('div', { 'class': 'alert-message danger', 'role': 'alert' }, [ why.message ]) ], [ widgets.closer(_('Close')) ]);
		});
	},

	/* How many access points the daemon sees on the air, by SSID; nothing when it does not run. */
	onAir() {
		return L.resolveDefault(within(api.call('status'), REACH), {}).then(status => {
			const found = {};

			L.toArray(status.bsses).forEach(bss => { found[bss.ssid] = (found[bss.ssid] || 0) + 1; });
			return found;
		});
	},

	/* What is missing of `air` at this moment, in words; '' when all of it was seen. */
	missing(air) {
		return within(api.call('status'), REACH).then(status => {
			const bsses = L.toArray(status.bsses);
			const count = ssid => bsses.filter(bss => bss.ssid == ssid).length;

			for (const ssid in air) {
				if (!air[ssid] && count(ssid))
					return _('“%s” is still on the air.').format(ssid);

				if (count(ssid) < air[ssid])
					return _('“%s” has not been seen on the air yet.').format(ssid);
			}

			/* A key file that is missing, or a hostapd that cannot be asked. */
			return L.toArray(status.troubles).filter(t => /^(hostapd|key file)/.test(t.about)).map(t => '%s: %s'.format(t.about, t.why))[0] || '';
		}).catch(why => (why.kind == 'slow' ? _('latchkey does not answer yet.') : api.translate(why).message));
	},

	/*
	 * The time in which a change is tried out: it is kept when somebody says so, or by itself when what has to be on the `air` was
	 * seen there for a while. That the router answers is no proof: by cable it always does. `id` is the number of the change.
	 */
	countdown(change, air, id, seconds) {
		const began = Date.now(), end = began + (seconds || 90) * 1000;
		const clock = E('div', { 'class': 'lk-clock', 'role': 'timer' });
		const state = E('p', { 'role': 'status' }, [ _('The change is in force. Waiting for the router to answer…') ]);
		const trouble = widgets.trouble();
		let over = false, since = null, seen = false;

		const finish = (text, kind) => {
			over = true;
			widgets.close();
			widgets.notify(kind, [ text ]);

			if (change.done)
				change.done();
		};

		const undone = () => finish(_('The change was taken back: everything is as it was before.'), 'warning');

		const kept = () => {
			over = true;

			if (change.kept)
				change.kept(seen);
			else
				widgets.close();

			widgets.notify('info', [ _('The change stays.') ]);

			if (change.done)
				change.done();
		};

		/* It does not wait any more: kept in another tab, or here by an answer that was lost; or taken back. */
		const ended = status => {
			const last = status.last && id && status.last.id == id ? status.last.ended : null;

			if (last == 'kept')
				kept();
			else if (last == 'undone')
				undone();
			else
				finish(_('The change is no longer waiting. Whether it was kept or taken back is not known here: the page shows what the router has now.'), 'warning');
		};

		const ask = () => this.status().then(status => {
			if (!over && !status.pending)
				ended(status);
		}, why => trouble.say(why.message));

		const keep = () => this.run('confirm').then(kept, why => {
			if (over)
				return;

			if (why.code == 'not_pending')
				return ask();

			trouble.say(why.message);
		});

		const undo = () => {
			over = true;
			return this.run('undo').then(undone, why => {
				over = false;

				if (why.code == 'not_pending')
					return ask();

				trouble.say(why.message);
				watch();
			});
		};

		const node = widgets.dialog(change.title, [
			E('p', {}, [ _('It is taken back by itself unless it is kept within:') ]),
			clock, state, trouble
		], [
			widgets.button(_('Take it back'), { kind: 'negative', click: undo }),
			widgets.button(_('Keep it now'), { kind: 'positive important', click: keep })
		]);

		const draw = () => {
			const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
			clock.textContent = _('%d s').format(left);
		};

		const tick = () => {
			if (over || !node.contains(clock))
				return;

			draw();
			window.setTimeout(tick, 500);
		};

		const watch = () => {
			if (over || !node.contains(clock))
				return Promise.resolve();

			return within(this.status(), REACH).then(status => {
				if (over)
					return;

				if (!status.pending)
					return ended(status);

				id = id || status.pending.id;

				return this.missing(air).then(missing => {
					if (over)
						return;

					trouble.say('');
					seen = !missing;
					since = seen ? since || Date.now() : null;

					if (!seen) {
						state.textContent = _('The router answers. %s Keep the change yourself if it is as you want it.').format(missing);
						return;
					}

					const left = Math.max(0, Math.ceil((since + HOLD - Date.now()) / 1000));

					if (!left)
						return keep();

					state.textContent = _('The router answers. Everything that was asked for is there: the change is kept in %d s unless you take it back.').format(left);
				});
			}, () => {
				since = null;
				seen = false;

				if (!over)
					state.textContent = Date.now() < end
						? _('The router does not answer at the moment. If that stays so, it takes the change back by itself.')
						: _('The router does not answer. By now it has taken the change back: connect to it as before, and this page goes on.');
			}).then(() => pause(PAUSE)).then(watch);
		};

		draw();
		tick();
		pause(GRACE).then(watch);
	},

	/* What is shown while a change waits to be kept that this page did not begin. Empty when there is none. */
	pending(status, done) {
		const pending = status && status.pending;

		if (!pending)
			return E('div');

		const act = (verb, text) => ({ write: true, click: () => widgets.report(this.run(verb), text).then(done) });

		return E('div', { 'class': 'alert-message warning lk-pending', 'role': 'status' }, [
			E('p', {}, [ pending.undo_in_s
				? _('A change of the router’s settings waits to be kept. It is taken back by itself in %d s.').format(pending.undo_in_s)
				: _('A change of the router’s settings waits to be kept, or to be taken back.') ]),
			E('ul', {}, L.toArray(pending.what).map(text => E('li', {}, [ text ]))),
			E('div', { 'class': 'lk-bar' }, [
				widgets.button(_('Take it back'), Object.assign({ kind: 'negative' }, act('undo', _('The change was taken back: everything is as it was before.')))),
				widgets.button(_('Keep it'), Object.assign({ kind: 'positive' }, act('confirm', _('The change stays.'))))
			])
		]);
	}
});

'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';
'require latchkey.credential as credential';
'require latchkey.device as dialogs';

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	/* The list is asked for when somebody knocked, and the window each time. */
	refresh() {
		return Promise.all([ api.call('status'), api.call('pair_show') ]).then(([ status, pair ]) => {
			const jobs = [];

			if (!this.pending || status.pending_revision === undefined || status.pending_revision !== this.revision)
				jobs.push(api.call('pending_list').then(list => { this.pending = L.toArray(list.pending); }));

			if (!this.choices || status.registry.revision !== this.registry)
				jobs.push(
					api.choices().then(choices => { this.choices = choices; }),
					api.call('pending_list', { ignored: true }).then(list => { this.ignored = L.toArray(list.ignored); })
				);

			return Promise.all(jobs).then(() => {
				this.now = show.seconds(status.clock && status.clock.now) || Math.floor(Date.now() / 1000);
				this.revision = status.pending_revision;
				this.registry = status.registry.revision;
				this.pair = pair;
				this.asked = Date.now();
			});
		});
	},

	columns() {
		const quiet = text => E('span', { 'class': 'lk-second' }, [ text ]);

		return [ {
			title: _('Device'), class: 'lk-head', sort: p => p.mac,
			cell: p => show.mac(p.mac, p.randomised)
		}, {
			title: _('Tried to join'), sort: p => p.ssid,
			cell: p => E('div', {}, [ p.ssid ? _('“%s”').format(p.ssid) : _('a network without a name'), E('div', {}, [ quiet(_('at %s').format(p.nas)) ]) ])
		}, {
			title: _('Last try'), down: true, sort: p => show.seconds(p.last_seen),
			cell: p => E('div', { 'title': show.moment(p.last_seen) }, [
				show.ago(p.last_seen, this.now),
				E('div', {}, [ quiet(N_(p.attempts, '%d try', '%d tries').format(p.attempts)) ])
			])
		}, {
			title: _('What it has proved'), class: 'lk-wide',
			cell: p => E('div', {}, [
				E('div', {}, [ show.proved(p) ]),
				p.certificate ? E('div', {}, [ quiet(p.certificate.subject) ]) : '',
				p.identity ? E('div', {}, [ quiet(p.identity.identity) ]) : '',
				p.other_certificate || p.other_identity ? E('div', {}, [ show.badge(_('two shown'), 'lk-warn', _('Two different certificates or identities came from this address: one of them may be a stranger’s.')) ]) : ''
			])
		}, {
			title: _('Why it waits'), class: 'lk-wide',
			cell: p => E('div', {}, [ show.why(p) ])
		}, {
			title: _('Actions'), quiet: true, class: 'lk-actions',
			cell: p => [
				widgets.button(_('Approve'), { write: true, kind: 'positive', label: _('Approve %s').format(p.mac), click: () => this.approve(p) }),
				widgets.button(_('Ignore'), { write: true, label: _('Ignore %s').format(p.mac), click: () => this.ignore(p) })
			]
		} ];
	},

	build() {
		this.window = E('div');
		this.table = widgets.table(this.columns(), {
			label: _('Unknown devices'), sort: 2, down: true,
			key: p => p.mac,
			print: p => JSON.stringify([ p, show.ago(p.last_seen, this.now) ]),
			empty: () => widgets.empty(_('Nobody is waiting'), [
				E('p', {}, [ _('A device that is not registered appears here as soon as it tries to join.') ]),
				E('p', {}, widgets.sentence(_('Let the device connect with any key, or add it beforehand: %s.'), [ E('a', { 'href': widgets.link('devices') }, [ _('Devices') ]) ]))
			])
		});
		this.ignoredList = widgets.table([ {
			title: _('Ignored device'), class: 'lk-head', cell: p => show.mac(p.mac, p.randomised)
		}, {
			title: _('Actions'), quiet: true, class: 'lk-actions',
			cell: p => [ widgets.button(_('Stop ignoring'), { write: true, label: _('Stop ignoring %s').format(p.mac), click: () => this.unignore(p) }) ]
		} ], { label: _('Ignored devices'), key: p => p.mac, print: p => p.mac });
		this.ignoredTitle = E('summary');
		this.ignoredBox = E('details', {}, [ this.ignoredTitle, this.ignoredList ]);

		return E('div', {}, [ this.window, E('h3', {}, [ _('Unknown devices') ]), this.table, this.ignoredBox ]);
	},

	update() {
		this.table.update(this.pending);
		this.ignoredList.update(this.ignored);
		this.ignoredTitle.textContent = N_(this.ignored.length, '%d ignored device', '%d ignored devices').format(this.ignored.length);
		this.ignoredBox.classList.toggle('hidden', !this.ignored.length);
		this.drawWindow();
	},

	/* The networks in which a pairing window works. */
	pairable() {
		return this.choices.ssids.filter(s => s.has_onboarding_key);
	},

	drawWindow() {
		const open = this.pair.window;
		const print = JSON.stringify([ open && open.number, this.pair.last, this.choices ]);

		/* A half-filled form stays as it is. */
		if (this.window.print != print) {
			this.window.print = print;

			while (this.window.firstChild)
				this.window.removeChild(this.window.firstChild);

			this.window.appendChild(open ? this.openWindow(open) : this.closedWindow());
		}

		this.tick();
	},

	tick() {
		const open = this.pair && this.pair.window;
		const clock = this.window && this.window.querySelector('.lk-clock');

		if (!open || !clock)
			return;

		const left = open.seconds_left - (Date.now() - this.asked) / 1000;
		clock.textContent = show.countdown(left);

		if (left <= 0 && !this.over) {
			this.over = true;
			this.page.refresh().finally(() => { this.over = false; });
		}
	},

	openWindow(open) {
		return E('div', { 'class': 'lk-panel lk-open' }, [
			E('h3', {}, [ _('The next device is let in') ]),
			E('div', { 'class': 'lk-clock', 'role': 'timer', 'aria-label': _('Time left') }, [ '' ]),
			E('p', {}, [ open.name
				? _('The next unknown device with the onboarding key is registered as %s (%s).').format(open.name, show.place(open))
				: _('The next unknown device with the onboarding key is registered (%s).').format(show.place(open)) ]),
			E('p', {}, [ _('Let it join now: %s, with the onboarding key.').format(L.toArray(open.ssids).map(s => '“' + s + '”').join(', ')) ]),
			widgets.button(_('Stop'), { write: true, kind: 'negative', click: () => widgets.report(api.call('pair_stop'), _('The pairing window is closed.')).then(() => this.again()) })
		]);
	},

	closedWindow() {
		const last = this.pair.last;
		const nodes = [ E('h3', {}, [ _('Let the next device in') ]) ];

		if (last)
			nodes.push(E('p', { 'role': 'status' }, [ this.ended(last) ]));

		if (!this.pairable().length) {
			nodes.push(E('p', {}, [ _('With a pairing window the next device that joins with the onboarding key is registered by itself. No network has an onboarding key yet.') ]),
				E('p', {}, [ E('a', { 'href': widgets.link('setup') }, [ _('Set up a network') ]) ]));
			return E('div', { 'class': 'lk-panel' }, nodes);
		}

		nodes.push(
			E('p', {}, [ _('For some minutes, the next unknown device that joins with the onboarding key is registered by itself.') ]),
			widgets.button(_('Open a pairing window'), { write: true, kind: 'action', click: () => this.pairing() })
		);

		return E('div', { 'class': 'lk-panel' }, nodes);
	},

	/* How the last window ended. */
	ended(last) {
		const when = show.ago(last.at, this.now);

		switch (last.outcome) {
		case 'paired':
			return _('%s came in (%s, %s).').format(last.device.name, last.device.mac, when);
		case 'over':
			return _('The last window ended %s, and nobody came.').format(when);
		case 'stopped':
			return _('The last window was closed %s.').format(when);
		default:
			return _('The last window was closed by a change of the settings %s.').format(when);
		}
	},

	pairing() {
		const pairable = this.pairable();
		const chosen = this.choices.profiles.filter(p => p.default)[0] || this.choices.profiles[0];

		widgets.ask(_('Open a pairing window'), [
			widgets.field({ name: 'profile', label: _('Profile of the device'), value: chosen && chosen.name, choices: dialogs.profileChoices(this.choices.profiles) }),
			widgets.field({ name: 'minutes', label: _('Open for'), value: '5', choices: [ 2, 5, 10, 30, 60 ].map(m => [ String(m), N_(m, '%d minute', '%d minutes').format(m) ]) }),
			widgets.nameField('', _('May be left empty: a name is made then.')),
			widgets.field({ name: 'ssid', label: _('Network'), value: '', choices: (pairable.length > 1 ? [ [ '', _('any') ] ] : []).concat(pairable.map(s => [ s.ssid, s.ssid ])) })
		], _('Open'), values => api.call('pair_open', {
			profile: values.profile, minutes: parseInt(values.minutes, 10), name: values.name || null, ssid: values.ssid || null
		}).then(() => {
			widgets.close();
			return this.again();
		}));
	},

	approve(p) {
		const shown = [ [ p.certificate, p.identity ], [ p.other_certificate, p.other_identity ] ].map(([ certificate, identity ]) =>
			certificate ? [ certificate.fingerprint, '%s (%s)'.format(certificate.subject, certificate.maker) ] : (identity ? [ identity.identity, '%s (%s)'.format(identity.identity, identity.realm) ] : null)
		).filter(c => c);
		const vouched = shown.length > 0;
		const chosen = this.choices.profiles.filter(q => q.default)[0] || this.choices.profiles[0];
		const profiles = dialogs.profileChoices(this.choices.profiles);

		if (vouched)
			profiles.unshift([ '', _('The one of its manufacturer') ]);

		const explain = p.proved == 'onboarding_key'
			? _('It goes on using the onboarding key, and is known by its address.')
			: vouched
				? _('From now on it is let in with what it has shown.')
				: _('It gets a Wi-Fi key of its own, which you type into it or let it scan.');

		widgets.ask(_('Approve %s').format(p.mac), [
			E('p', {}, [ explain ]),
			widgets.nameField(),
			widgets.field({ name: 'profile', label: _('Profile'), value: vouched ? '' : (chosen && chosen.name), choices: profiles })
		].concat(shown.length > 1 ? [
			widgets.field({ name: 'certificate', label: _('Which one is it'), choices: shown, hint: _('Two were shown from this address, and one may be a stranger’s.') })
		] : []), _('Approve'), values => api.call('pending_approve', {
			mac: p.mac, name: values.name, profile: values.profile || null, certificate: values.certificate || null
		}).then(result => {
			this.again();

			if (result.key)
				return credential.dialog(_('%s is approved').format(values.name), _('Give it this key: it is let in with nothing else.'), result, this.choices.ssids);

			widgets.close();
			widgets.notify('info', [ _('%s is approved, and let in at its next try.').format(values.name) ]);
		}));
	},

	ignore(p) {
		widgets.confirm(_('Ignore %s?').format(p.mac), [
			E('p', {}, [ _('It is still refused, but not listed here any more, until you stop ignoring it.') ])
		], _('Ignore'), () => api.call('pending_ignore', { mac: p.mac }).then(() => {
			widgets.notify('info', [ _('%s is ignored.').format(p.mac) ]);
			return this.again();
		}), 'neutral important');
	},

	unignore(p) {
		return widgets.report(api.call('pending_unignore', { mac: p.mac }), _('%s is listed again at its next try.').format(p.mac)).then(() => this.again());
	},

	/* Asks again at once, after a change of our own. */
	again() {
		this.revision = null;
		this.registry = null;
		return this.page.refresh();
	},

	render() {
		return widgets.live({
			title: _('Waiting'),
			intro: _('Devices that tried to join and are not registered. Approve those that are yours.'),
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update(),
			interval: 3
		}).then(page => {
			this.page = page;
			/* The clock of the window goes on between two answers. */
			window.setInterval(() => this.tick(), 1000);
			return page;
		});
	}
});

'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';
'require latchkey.credential as credential';
'require latchkey.device as dialogs';

/* More devices than this in one turn are asked for as a list. */
const SINGLY = 5;

/* A list of more devices than this is asked for at most every SLOWLY milliseconds, after changes that are not our own; and
 * any list so after decisions on many devices. */
const MANY = 100, SLOWLY = 30000;

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	/*
	 * What is asked every few seconds is small: the state. Who is on the air, and the list of devices, are asked for when they
	 * changed, and single devices when there was something about them.
	 */
	refresh() {
		return api.call('status').then(status => Promise.all([
			this.connected('stations', status.stations_revision, SLOWLY),
			this.connected('sessions', status.sessions_revision, Infinity),
			this.registered(status)
		]).then(() => {
			this.status = status;
			this.now = show.seconds(status.clock && status.clock.now) || Math.floor(Date.now() / 1000);
			this.online = {};

			this.sessions.list.forEach((s, at) => {
				if (s.device)
					this.online[s.device] = { session: s, sessionAt: at };
			});
			this.stations.list.forEach((s, at) => {
				if (s.device)
					this.online[s.device] = Object.assign(this.online[s.device] || {}, { station: s, stationAt: at });
			});
		}));
	},

	/* Who is connected, by the table `what`: asked for when it has another revision, or is so old (signals change without one). */
	connected(what, revision, age) {
		const known = this[what];

		if (known && revision !== undefined && known.revision === revision && Date.now() - known.asked < age)
			return Promise.resolve();

		return api.all(what, what, revision === undefined ? null : { brief: true, limit: 500 }).then(result => {
			this[what] = { list: result[what], revision: result.revision, asked: Date.now() };
		});
	},

	/* The devices: all, those that something happened to, or none, as much as has changed. */
	registered(status) {
		const revision = status.registry && status.registry.revision;

		if (!this.devices || this.anew || revision === undefined)
			return this.everything(status);

		const changed = revision !== this.revision;

		if (changed || this.behind) {
			const now = Date.now() - this.listed >= SLOWLY || (changed && Object.keys(this.devices).length <= MANY);
			return now ? this.everything(status) : Promise.resolve();
		}

		return status.last_event !== this.last ? this.touched(status) : Promise.resolve();
	},

	/* All devices, and what can be chosen for them. */
	everything(status) {
		this.anew = false;

		return Promise.all([ api.all('device_list', 'devices'), api.choices() ]).then(([ list, choices ]) => {
			this.devices = {};
			list.devices.forEach(device => { this.devices[device.name] = device; });
			this.choices = choices;
			this.revision = list.revision;
			this.last = status.last_event;
			this.listed = Date.now();
			this.behind = false;
		}, why => {
			this.anew = true;
			throw why;
		});
	},

	/* The devices that something was decided about since the last turn. When there were many, the list is asked for in its time. */
	touched(status) {
		return api.call('log', { since: this.last, limit: 100 }).then(log => {
			const names = L.toArray(log.events).map(e => e.device).filter((name, i, all) => name && this.devices[name] && all.indexOf(name) == i);

			this.last = status.last_event;

			if (log.gap || names.length > SINGLY) {
				this.behind = true;
				return this.registered(status);
			}

			return Promise.all(names.map(name => L.resolveDefault(api.call('device_show', { name }), null).then(found => {
				if (found && found.device)
					this.devices[name] = found.device;
			})));
		});
	},

	rows() {
		const words = this.search.value.toLowerCase().split(/\s+/).filter(w => w);
		const state = this.filter.value;

		return Object.keys(this.devices).map(name => {
			const device = this.devices[name];
			const online = this.online[name];
			const station = online && online.station, session = online && online.session;
			const blocked = device.state == 'blocked' || device.state == 'expired';

			return {
				name, device, online: online && !blocked ? online : null, station, session,
				mac: (station && station.mac) || (session && session.mac) || device.last_mac || (device.macs[0] && device.macs[0].mac) || '',
				address: (station && L.toArray(station.addresses)[0]) || (session && session.address) || '',
				state: blocked ? device.state : (online ? 'online' : (device.state == 'waiting' || !device.last_seen ? 'waiting' : 'offline')),
				seen: online && !blocked ? _('now') : show.ago(device.last_seen, this.now)
			};
		}).filter(row => {
			if (state && row.state != state)
				return false;

			if (!words.length)
				return true;

			const text = [ row.name, row.device.profile, row.device.vlan, row.mac, row.address, show.methods(row.device).join(' ') ]
				.concat(row.device.macs.map(m => m.mac)).join(' ').toLowerCase();

			return words.every(word => text.indexOf(word) >= 0);
		});
	},

	columns() {
		return [ {
			title: _('Device'), class: 'lk-head', sort: row => row.name,
			cell: row => E('button', { 'type': 'button', 'class': 'lk-name', 'title': _('Everything about it'), 'click': () => this.details(row.name) }, [ row.name ])
		}, {
			title: _('State'), sort: row => [ 'online', 'offline', 'waiting', 'expired', 'blocked' ].indexOf(row.state),
			cell: row => show.badge.apply(show, show.state(row.device, row.online))
		}, {
			title: _('Proves itself by'), sort: row => show.methods(row.device).join(), class: 'hide-sm-lk',
			cell: row => show.methods(row.device).join(', ')
		}, {
			title: _('Profile'), sort: row => row.device.profile,
			cell: row => show.place(row.device)
		}, {
			title: _('Address'), sort: row => row.address || row.mac,
			cell: row => row.mac || row.address ? E('div', {}, [
				row.mac ? E('div', { 'class': 'lk-mac' }, [ row.mac ]) : '',
				row.address ? E('div', { 'class': 'lk-second' }, [ row.address ]) : ''
			]) : []
		}, {
			title: _('Signal'), down: true, sort: row => (row.station ? row.station.signal_dbm : null),
			cell: row => (row.station && row.station.signal_dbm != null) ? show.signal(row.station.signal_dbm) : []
		}, {
			title: _('Last seen'), down: true, sort: row => (row.online ? this.now + 1 : show.seconds(row.device.last_seen)),
			cell: row => E('span', { 'title': show.moment(row.device.last_seen) }, [ row.seen ])
		}, {
			title: _('Actions'), quiet: true, class: 'lk-actions',
			cell: row => [
				row.device.has_key ? widgets.button(_('QR code'), {
					write: true, label: _('QR code of %s').format(row.name),
					click: () => credential.reveal(row.name, this.choices.ssids)
				}) : '',
				widgets.button(_('Details'), { label: _('Details of %s').format(row.name), click: () => this.details(row.name) })
			]
		} ];
	},

	build() {
		this.search = E('input', {
			'type': 'search', 'placeholder': _('Search name, profile, address …'), 'aria-label': _('Search the devices'),
			'autocomplete': 'off', 'input': () => this.update()
		});
		this.filter = E('select', { 'class': 'cbi-input-select', 'aria-label': _('Show only'), 'change': () => this.update() }, [
			[ '', _('All devices') ], [ 'online', _('Online') ], [ 'offline', _('Offline') ], [ 'waiting', _('Not seen yet') ],
			[ 'blocked', _('Blocked') ], [ 'expired', _('Expired') ]
		].map(([ value, text ]) => E('option', { 'value': value }, [ text ])));
		this.summary = E('p', { 'role': 'status' });
		this.troubles = E('div');
		this.table = widgets.table(this.columns(), {
			label: _('Devices'),
			key: row => row.name,
			print: row => JSON.stringify([ row.device, row.mac, row.address, row.state, row.seen, row.station && row.station.signal_dbm ]),
			empty: () => this.empty()
		});

		return E('div', {}, [
			this.troubles,
			this.summary,
			E('div', { 'class': 'lk-bar' }, [
				widgets.button(_('Add device'), { kind: 'positive important', write: true, click: () => this.add() }),
				E('span', { 'class': 'lk-grow' }, [ this.search ]),
				E('span', {}, [ this.filter ]),
				widgets.button(_('Import'), { write: true, title: _('Register many devices from a CSV file'), click: () => dialogs.importFile(this.choices, () => this.again()) }),
				widgets.button(_('Export'), { title: _('Download all devices as a CSV file'), click: () => dialogs.exportFile() })
			]),
			this.table
		]);
	},

	empty() {
		if (Object.keys(this.devices).length)
			return widgets.empty(_('No device fits'), [
				E('p', {}, [ _('Nothing was found for what you search.') ]),
				E('p', {}, [ widgets.button(_('Show all devices'), { click: () => {
					this.search.value = '';
					this.filter.value = '';
					this.update();
				} }) ])
			]);

		return widgets.empty(_('No device is registered yet'), this.choices.profiles.length && !this.choices.ssids.length ? [
			E('p', {}, [ _('First choose the Wi-Fi network that devices join. Then add the first device and scan its QR code.') ]),
			E('p', {}, [ E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': widgets.link('setup') }, [ _('Set up a network') ]) ])
		] : [
			E('p', {}, [ _('Each device gets a Wi-Fi key of its own. Give the first one a name; you see its QR code right away.') ]),
			E('p', {}, [ widgets.button(_('Add the first device'), { kind: 'positive important', write: true, click: () => this.add() }) ]),
			E('p', {}, widgets.sentence(_('Is the device in your hands, but you cannot scan anything with it? %s and approve it.'), [ E('a', { 'href': widgets.link('waiting') }, [ _('Let it knock') ]) ]))
		]);
	},

	update() {
		const all = Object.keys(this.devices).length;
		const online = Object.keys(this.online).filter(name => this.devices[name]).length;

		this.table.update(this.rows());

		this.summary.classList.toggle('hidden', !all && !this.status.pending);

		const words = [ N_(all, '%d device, %d online.', '%d devices, %d online.').format(all, online) ];

		if (this.status.pending)
			words.push(' ', E('a', { 'href': widgets.link('waiting') }, [ N_(this.status.pending, '%d unknown device is waiting.', '%d unknown devices are waiting.').format(this.status.pending) ]));

		const print = words.map(w => w.textContent || w).join('');

		if (this.summary.textContent != print) {
			this.summary.textContent = '';
			words.forEach(w => this.summary.appendChild(w.nodeType ? w : document.createTextNode(w)));
		}

		widgets.troubles(this.troubles, this.status);
	},

	/* Asks again at once, after a change of our own. */
	again() {
		this.anew = true;
		return this.page.refresh();
	},

	add() {
		dialogs.add(this.choices, () => this.again());
	},

	/* All that is known of a connection, in place of the little that the list has. It stands where it stood in the list, unless
	 * somebody has come or gone since. */
	whole(what, brief, at) {
		if (!brief)
			return Promise.resolve();

		return L.resolveDefault(api.call(what, { offset: at, limit: 1 }).then(result => {
			const found = L.toArray(result[what])[0];
			return found && found.mac == brief.mac ? found : api.all(what, what).then(all => all[what].filter(s => s.mac == brief.mac)[0]);
		}), null).then(found => found || brief);
	},

	details(name) {
		const online = this.online[name] || {};

		return Promise.all([
			this.whole('stations', online.station, online.stationAt),
			this.whole('sessions', online.session, online.sessionAt)
		]).then(([ station, session ]) => dialogs.details(name, {
			choices: this.choices,
			now: this.now,
			online: station || session ? { station, session } : undefined,
			changed: () => this.again()
		}));
	},

	render() {
		return widgets.live({
			title: _('Devices'),
			intro: _('Every device has a key of its own: it decides who the device is and what it may reach, and it can be changed or taken back without touching the others.'),
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update()
		}).then(page => {
			this.page = page;
			return page;
		});
	}
});

'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.widgets as widgets';
'require latchkey.router as router';

/* Profiles: into which network devices come, what they may reach there, and when. */

/* The router's own settings change seldom, and asking for them starts a program. */
const STATUS_EVERY = 30000;

const ACCESS = {
	isolated: _('Only what is allowed below: nothing else, not even the internet'),
	internet: _('The internet, but not your other networks'),
	full: _('Everything, your other networks too')
};

const ACCESS_SHORT = {
	isolated: _('Nothing but what is allowed'),
	internet: _('Internet only'),
	full: _('Everything')
};

const USERS = {
	realm: _('manufacturer %s'),
	maker: _('manufacturer %s'),
	ssid: _('network %s')
};

function textarea(value, rows, placeholder) {
	return E('textarea', { 'rows': rows, 'placeholder': placeholder, 'autocomplete': 'off', 'spellcheck': 'false' }, [ value ]);
}

function lines(text) {
	return text.split('\n').map(line => line.trim()).filter(line => line);
}

function listed(list) {
	return E('div', {}, L.toArray(list).map(text => E('div', {}, [ text ])));
}

return view.extend({
	load() {
		this.profiles = [];
		this.router = null;
		this.asked = 0;

		return this.page();
	},

	page() {
		return widgets.live({
			title: _('Profiles'),
			intro: [ _('A profile says into which network a device comes, what it may reach there, and when. Every device has one.') ],
			interval: 5,
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update()
		}).then(page => {
			this.live = page;
			return page;
		});
	},

	refresh() {
		/* A router that is not OpenWrt, or a program that is older, has profiles as well. */
		const anew = Date.now() - this.asked >= STATUS_EVERY || (this.router && this.router.pending);

		if (anew)
			this.asked = Date.now();

		return Promise.all([
			api.call('profile_list'),
			anew ? router.status().catch(() => null) : null
		]).then(([ result, status ]) => {
			this.profiles = L.toArray(result.profiles);

			/* What was known before may be older than what another turn has found meanwhile. */
			if (anew)
				this.router = status;
		});
	},

	/* After a change: everything is asked anew. */
	again() {
		this.asked = 0;
		return this.live.refresh();
	},

	build() {
		this.pending = E('div');
		this.table = widgets.table([
			{ title: _('Name'), class: 'lk-head', sort: p => p.name, cell: p => this.nameCell(p) },
			{ title: _('VLAN'), sort: p => p.vlan, cell: p => (p.vlan == null ? _('none') : '%d'.format(p.vlan)) },
			{ title: _('May reach'), class: 'lk-wide', sort: p => p.access, cell: p => this.accessCell(p) },
			{ title: _('When'), cell: p => (L.toArray(p.hours).length ? listed(p.hours) : _('always')) },
			{ title: _('Devices'), sort: p => p.devices, down: true, cell: p => this.devicesCell(p) },
			{ title: _('Network on this router'), class: 'lk-wide', cell: p => this.networkCell(p) },
			{ title: _('Actions'), quiet: true, class: 'lk-actions', cell: p => this.actionsCell(p) }
		], {
			label: _('Profiles'),
			key: p => p.name,
			print: p => JSON.stringify([ p, this.network(p), !!this.router ]),
			empty: () => widgets.empty(_('There is no profile yet'), [
				E('p', {}, [ _('Devices need at least one. A good first one is “iot” with VLAN 20 and access to the internet only: what belongs to the house, apart from your computers.') ]),
				E('p', {}, [ widgets.button(_('Add the first profile'), { write: true, kind: 'positive important', click: () => this.edit(null) }) ])
			])
		});

		return E('div', {}, [
			this.pending,
			this.bar = E('div', { 'class': 'lk-bar' }, [
				widgets.button(_('Add a profile'), { write: true, kind: 'positive important', click: () => this.edit(null) })
			]),
			this.table
		]);
	},

	update() {
		this.table.update(this.profiles);
		this.bar.classList.toggle('hidden', !this.profiles.length);

		while (this.pending.firstChild)
			this.pending.removeChild(this.pending.firstChild);

		this.pending.appendChild(router.pending(this.router, () => this.again()));
	},

	/* The networks on this router that latchkey has made. */
	managed() {
		return this.router && this.router.managed ? L.toArray(this.router.managed.profiles) : [];
	},

	network(profile) {
		return this.managed().filter(network => network.name == profile.name)[0] || null;
	},

	nameCell(profile) {
		const about = [];

		if (profile.default)
			about.push(_('taken when none is chosen'));

		L.toArray(profile.used_by).forEach(user => about.push((USERS[user.kind] || '%s').format(user.name)));

		return E('div', {}, [
			E('span', { 'class': 'lk-name' }, [ profile.name ]),
			about.length ? E('div', { 'class': 'lk-second' }, [ about.join(' · ') ]) : ''
		]);
	},

	accessCell(profile) {
		const rules = L.toArray(profile.allow);

		return E('div', {}, [
			E('div', {}, [ ACCESS_SHORT[profile.access] || profile.access ]),
			rules.length ? E('div', { 'class': 'lk-second' }, [ _('and'), ' ' ].concat(rules.join(', '))) : '',
			E('div', { 'class': 'lk-second' }, [ profile.isolate ? _('not each other') : _('each other as well') ])
		]);
	},

	devicesCell(profile) {
		return profile.devices
			? E('a', { 'href': widgets.link('devices') }, [ '%d'.format(profile.devices) ])
			: E('span', {}, [ '0' ]);
	},

	networkCell(profile) {
		const network = this.network(profile);

		if (profile.vlan == null)
			return E('span', { 'class': 'lk-second' }, [ _('the one of the Wi-Fi network itself') ]);

		if (!this.router)
			return E('span', { 'class': 'lk-second' }, [ _('not known') ]);

		if (!network)
			return E('span', {}, [ E('span', { 'class': 'lk-badge lk-warn', 'title': _('Its devices get no address until there is one.') }, [ _('none yet') ]) ]);

		return E('div', {}, [
			E('span', { 'class': 'lk-badge lk-good' }, [ network.network ]), ' ',
			E('span', { 'class': 'lk-mac' }, [ network.address || '' ])
		]);
	},

	actionsCell(profile) {
		const network = this.network(profile);
		const buttons = [ widgets.button(_('Edit'), { write: true, label: _('Edit %s').format(profile.name), click: () => this.edit(profile) }) ];

		if (this.router && profile.vlan != null && !network)
			buttons.push(widgets.button(_('Make its network'), {
				write: true, kind: 'action important', label: _('Make the network of %s').format(profile.name), click: () => this.make(profile.name)
			}));
		else if (network)
			buttons.push(widgets.button(_('Remove its network'), {
				write: true, label: _('Remove the network of %s').format(profile.name), click: () => this.unmake(profile.name)
			}));

		buttons.push(widgets.button(_('Remove'), {
			write: true, kind: 'negative', label: _('Remove %s').format(profile.name), click: () => this.remove(profile)
		}));

		return buttons;
	},

	edit(profile) {
		const at = profile || { vlan: this.freeVlan(), access: 'internet', allow: [], hours: [], isolate: true };
		const vlan = widgets.field({
			name: 'vlan', label: _('VLAN'), type: 'number', min: 0, max: 4094, value: at.vlan == null ? '' : '%d'.format(at.vlan),
			hint: _('The number of its network, 1 to 4094. Empty: devices stay in the network of the Wi-Fi itself.')
		});
		const allow = widgets.field({
			name: 'allow', label: _('Also allowed'), input: textarea(L.toArray(at.allow).join('\n'), 3, '192.168.1.10 tcp 443'),
			hint: _('Single destinations, one a line: address or network, then protocol and port if you like.')
		});
		const hours = widgets.field({
			name: 'hours', label: _('When'), input: textarea(L.toArray(at.hours).join('\n'), 2, 'mon-fri 07:00-21:00'),
			hint: _('When its devices may be connected, one a line. Empty: always. For example: mon-fri 07:00-21:00, sat,sun 09:00-24:00, daily 22:00-06:00.')
		});
		const children = [
			widgets.field({
				name: 'access', label: _('Devices may reach'), value: at.access,
				choices: [ 'internet', 'isolated', 'full' ].map(word => [ word, ACCESS[word] ])
			}),
			vlan, allow, hours,
			widgets.field({
				name: 'isolate', label: _('Keep its devices apart'), type: 'checkbox', value: at.isolate,
				hint: _('They do not reach each other, only what is said above.')
			})
		];

		if (!profile)
			children.unshift(widgets.field({
				name: 'name', label: _('Name'), maxlength: 32, placeholder: 'iot',
				hint: _('Short, of letters, digits, “-” and “_”: guests, iot, kids.')
			}));

		widgets.ask(profile ? _('Profile %s').format(profile.name) : _('Add a profile'), children, profile ? _('Save') : _('Add'), values => {
			const wanted = {
				name: profile ? profile.name : values.name,
				vlan: values.vlan === '' ? 0 : +values.vlan,
				access: values.access,
				allow: lines(values.allow),
				hours: lines(values.hours),
				isolate: values.isolate
			};

			if (!/^\d*$/.test(values.vlan)) {
				vlan.say(_('A VLAN is a whole number from 1 to 4094.'));
				return null;
			}

			/* Only what changes is said, so that what somebody else changes meanwhile stays. */
			if (profile) {
				const before = { vlan: profile.vlan || 0, access: profile.access, allow: L.toArray(profile.allow), hours: L.toArray(profile.hours), isolate: profile.isolate };
				let changes = 0;

				for (const key in before)
					if (JSON.stringify(before[key]) == JSON.stringify(wanted[key]))
						delete wanted[key];
					else
						changes++;

				if (!changes) {
					widgets.close();
					widgets.notify('info', [ _('Nothing was changed.') ]);
					return null;
				}
			}

			return api.call(profile ? 'profile_set' : 'profile_add', wanted).then(result => {
				widgets.close();
				widgets.notify('info', [ (profile ? _('%s was changed. Devices that it no longer lets in are taken off now.') : _('%s was added.')).format(wanted.name) ]);
				L.toArray(result.warnings).forEach(text => widgets.notify('warning', [ text ]));

				return this.again().then(() => this.follow(result.profile));
			});
		});
	},

	/* A number for a new profile: 20, 30, ... that no other has. */
	freeVlan() {
		const taken = this.profiles.map(p => p.vlan);
		let vlan = 20;

		while (taken.indexOf(vlan) >= 0 && vlan < 4090)
			vlan += 10;

		return vlan;
	},

	/* A profile alone gives nobody an address, and one that has changed may want another network: that is the next step. */
	follow(profile) {
		if (!profile || profile.vlan == null || !this.router)
			return null;

		return router.run('plan', router.wish({ profiles: [ profile.name ] })).then(plan => {
			if (!plan.empty)
				this.offer(profile, this.network(profile));
		}, why => { widgets.notify('warning', [ why.message ]); });
	},

	offer(profile, network) {
		widgets.dialog(_('One step is left'), network ? [
			E('p', {}, [ _('The network %s on this router was made for what the profile %s said before.').format(network.network, profile.name) ]),
			E('p', {}, [ _('latchkey can bring it up to date. You see everything before it is done.') ])
		] : [
			E('p', {}, [ _('Devices of %s come into VLAN %d. This router has no network for it yet, so they would get no address.').format(profile.name, profile.vlan) ]),
			E('p', {}, [ _('latchkey can make it: a network with addresses of its own and firewall rules. You see everything before it is done.') ])
		], [
			widgets.closer(_('Later')),
			widgets.button(_('Show what will change'), { write: true, kind: 'positive important', click: () => this.make(profile.name) })
		]);
	},

	make(name) {
		return router.review({
			title: _('The network of %s').format(name),
			verb: 'apply',
			args: router.wish({ profiles: [ name ] }),
			nothing: _('This router has the network of %s already.').format(name),
			done: () => this.again()
		});
	},

	unmake(name) {
		return router.review({
			title: _('Remove the network of %s').format(name),
			verb: 'remove',
			args: [ '--profile', name ],
			label: _('Remove'),
			nothing: _('There is no network of %s that latchkey has made.').format(name),
			done: () => this.again()
		});
	},

	remove(profile) {
		const network = this.network(profile);
		const alone = this.profiles.every(other => other.name == profile.name || other.vlan != profile.vlan);

		/* Nobody would find the network again without its profile. */
		if (network && alone) {
			widgets.dialog(_('Remove %s').format(profile.name), [
				E('p', {}, [ _('The profile %s has the network %s on this router. Remove the network first, then the profile.').format(profile.name, network.network) ])
			], [
				widgets.closer(),
				widgets.button(_('Show what will change'), { write: true, kind: 'positive important', click: () => this.unmake(profile.name) })
			]);
			return;
		}

		const children = [ E('p', {}, [ _('Remove the profile %s? No device has to have it any more.').format(profile.name) ]) ];

		widgets.confirm(_('Remove %s').format(profile.name), children, _('Remove'), () => api.call('profile_remove', { name: profile.name }).then(result => {
			widgets.notify('info', [ _('%s was removed.').format(profile.name) ]);
			L.toArray(result.warnings).forEach(text => widgets.notify('warning', [ text ]));
			return this.again();
		}));
	},

	render(page) {
		return page;
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});

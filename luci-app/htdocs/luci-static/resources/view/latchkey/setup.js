'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.widgets as widgets';
'require latchkey.router as router';

/* Setup: what this router is and has, and how a Wi-Fi network becomes one in which every device has a key of its own. */

const BANDS = { '2g': _('2.4 GHz'), '5g': _('5 GHz'), '6g': _('6 GHz'), '60g': _('60 GHz') };

const SECURITY = {
	wpa2: _('WPA2: every device can do it'),
	mixed: _('WPA2 and WPA3: older devices get in, newer ones better protected'),
	wpa3: _('WPA3 only: devices of the last years'),
	enterprise: _('Enterprise (802.1X): certificates, and devices that manufacturers vouch for')
};

/* As they are written in the wireless settings. */
const ENCRYPTIONS = {
	none: _('open'),
	owe: _('open, encrypted'),
	psk: _('WPA'),
	psk2: _('WPA2'),
	'psk-mixed': _('WPA and WPA2'),
	sae: _('WPA3'),
	'sae-mixed': _('WPA2 and WPA3'),
	wpa2: _('WPA2 Enterprise'),
	wpa3: _('WPA3 Enterprise')
};

function empty(node) {
	while (node.firstChild)
		node.removeChild(node.firstChild);

	return node;
}

function band(radio) {
	return BANDS[radio.band] || radio.band || radio.name;
}

/* A box to tick, with its label behind it. */
function tick(value, checked, text, disabled) {
	const input = E('input', { 'type': 'checkbox', 'value': value, 'checked': checked ? 'checked' : null, 'disabled': disabled ? 'disabled' : null });

	return Object.assign(E('label', { 'class': 'lk-tick' }, [ input, ' ', E('span', {}, Array.isArray(text) ? text : [ text ]) ]), { input });
}

function ticked(boxes) {
	return boxes.filter(box => box.input.checked && !box.input.disabled).map(box => box.input.value);
}

/* Several boxes under one title. */
function group(title, boxes, hint) {
	return E('fieldset', { 'class': 'lk-group' }, [ E('legend', {}, [ title ]) ].concat(boxes, hint ? [ E('div', { 'class': 'lk-hint' }, [ hint ]) ] : []));
}

return view.extend({
	load() {
		this.status = null;
		this.running = null;

		return widgets.live({
			title: _('Setup'),
			intro: [ _('Here a Wi-Fi network of this router becomes one in which every device has a key of its own. Nothing changes before you have seen what will.') ],
			interval: 15,
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update()
		}).then(page => {
			this.live = page;
			return page;
		});
	},

	refresh() {
		return Promise.all([
			router.status(),
			api.call('status').then(status => status, why => (why.kind == 'gone' ? false : null))
		]).then(([ status, running ]) => {
			this.status = status;
			this.running = running;
		});
	},

	build() {
		this.pending = E('div');
		this.troubles = E('div');
		this.facts = E('div');
		this.form = E('div');
		this.drawn = null;
		this.radios = widgets.table([
			{ title: _('Radio'), class: 'lk-head', cell: r => E('div', {}, [ E('span', { 'class': 'lk-name' }, [ band(r) ]), ' ', E('span', { 'class': 'lk-second' }, [ r.name ]) ]) },
			{ title: _('Channel'), cell: r => (r.channel == 'auto' || !r.channel ? _('automatic') : r.channel) },
			{ title: _('Country'), cell: r => r.country || E('span', { 'class': 'lk-badge lk-warn' }, [ _('not set') ]) },
			{ title: _('State'), cell: r => (r.disabled ? E('span', { 'class': 'lk-badge' }, [ _('off') ]) : E('span', { 'class': 'lk-badge lk-good' }, [ _('on') ])) },
			{ title: _('Networks on it now'), class: 'lk-wide', cell: r => this.ssidsCell(r) }
		], {
			label: _('Radios'),
			key: r => r.name,
			print: r => JSON.stringify(r),
			empty: () => widgets.empty(_('This router has no Wi-Fi radio'), [
				E('p', {}, [ _('latchkey can still hand out keys here: let other access points ask this router over RADIUS (config client in /etc/config/latchkey).') ])
			])
		});
		this.managed = widgets.table([
			{ title: _('Network'), class: 'lk-head', cell: s => E('span', { 'class': 'lk-name' }, [ s.ssid ]) },
			{ title: _('Security'), cell: s => SECURITY[s.security] || s.security || '' },
			{ title: _('Radios'), cell: s => L.toArray(s.radios).map(name => this.radioName(name)).join(', ') },
			{ title: _('Actions'), quiet: true, class: 'lk-actions', cell: s => [
				widgets.button(_('Remove'), { write: true, kind: 'negative', label: _('Remove %s').format(s.ssid), click: () => this.remove(s) })
			] }
		], {
			label: _('Networks with a key for every device'),
			key: s => s.ssid,
			print: s => JSON.stringify(s),
			empty: () => widgets.empty(_('There is none yet'), [
				E('p', {}, [ _('Choose its name below. Your present networks go on as they are.') ])
			])
		});

		return E('div', {}, [
			this.pending,
			E('h3', {}, [ _('This router') ]),
			this.troubles,
			this.facts,
			this.radios,
			E('h3', {}, [ _('Networks with a key for every device') ]),
			this.managed,
			this.form
		]);
	},

	update() {
		const status = this.status;

		empty(this.pending).appendChild(router.pending(status, () => this.again()));
		empty(this.troubles);
		L.toArray(status.troubles).forEach(text => this.troubles.appendChild(E('div', { 'class': 'alert-message warning' }, [ text ])));
		empty(this.facts).appendChild(widgets.facts([
			[ _('OpenWrt'), status.release ],
			[ _('Wi-Fi program'), this.wpad(status.wpad) ],
			[ _('latchkey'), this.service() ]
		]));
		this.radios.update(L.toArray(status.radios));
		this.managed.update(L.toArray(status.managed && status.managed.ssids));

		/* What somebody has begun to fill in stays, unless the router itself has changed. */
		const print = JSON.stringify([ status.radios, status.bridges, status.managed, status.latchkey && status.latchkey.profiles, status.wpad ]);

		if (print != this.drawn) {
			this.drawn = print;
			empty(this.form);

			if (L.toArray(status.radios).length)
				this.form.appendChild(this.wizard());
		}
	},

	again() {
		return this.live.refresh();
	},

	radioName(name) {
		const radio = L.toArray(this.status.radios).filter(r => r.name == name)[0];
		return radio ? band(radio) : name;
	},

	/* What hostapd is there, and what it can do. */
	wpad(wpad) {
		if (!wpad || !wpad.package)
			return [ E('span', { 'class': 'lk-badge lk-bad' }, [ _('none') ]), ' ', _('Install wpad-mbedtls: without it this router has no Wi-Fi of its own.') ];

		return [
			E('div', {}, [ wpad.package ]),
			E('div', { 'class': 'lk-second' }, [ wpad.radius
				? _('It asks latchkey about every device: keys, certificates, VLANs.')
				: _('It reads the keys from a file. That is enough for a key and a VLAN for every device. For certificates and manufacturers’ servers install wpad-mbedtls in its place.') ])
		];
	},

	/* Whether the daemon runs. */
	service() {
		const enabled = this.status.latchkey && this.status.latchkey.enabled;

		if (this.running)
			return [ E('span', { 'class': 'lk-badge lk-good' }, [ _('running') ]), ' ', _('version %s').format(this.running.version) ]
				.concat(this.running.config && this.running.config.error ? [ E('div', { 'class': 'lk-error' }, [ this.running.config.error ]) ] : []);

		if (this.running === null)
			return [ E('span', { 'class': 'lk-badge' }, [ _('not known') ]) ];

		return enabled
			? [ E('span', { 'class': 'lk-badge lk-bad' }, [ _('not running') ]), E('div', { 'class': 'lk-second' }, [ _('The system log says why: logread -e latchkey. To start it: /etc/init.d/latchkey start') ]) ]
			: [ E('span', { 'class': 'lk-badge' }, [ _('switched off') ]), E('div', { 'class': 'lk-second' }, [ _('It is switched on when you set up a network below.') ]) ];
	},

	ssidsCell(radio) {
		const list = L.toArray(radio.ssids);

		if (!list.length)
			return E('span', { 'class': 'lk-second' }, [ _('none') ]);

		return E('div', {}, list.map(ssid => E('div', {}, [
			E('span', {}, [ ssid.ssid ]), ' ',
			E('span', { 'class': 'lk-second' }, [
				[ ENCRYPTIONS[ssid.encryption] || ssid.encryption, L.toArray(ssid.networks).join(', ') ].filter(text => text).join(' · ')
					+ (ssid.disabled ? ' · ' + _('off') : '')
			]), ' ',
			ssid.managed ? E('span', { 'class': 'lk-badge lk-good' }, [ _('a key for every device') ]) : ''
		])));
	},

	/* The form: the network, the profiles, and what will change. */
	wizard() {
		const status = this.status;
		const radios = L.toArray(status.radios);
		const profiles = L.toArray(status.latchkey && status.latchkey.profiles);
		const bridges = L.toArray(status.bridges).filter(bridge => !bridge.managed && L.toArray(bridge.ports).length);
		const first = !L.toArray(status.managed && status.managed.ssids).length;
		const foreign = [].concat.apply([], radios.map(radio => L.toArray(radio.ssids))).filter(ssid => !ssid.managed).map(ssid => ssid.ssid);
		const enterprise = !!(status.wpad && status.wpad.radius);
		const trouble = widgets.trouble();

		const ssid = widgets.field({
			name: 'ssid', label: _('Name of the network'), maxlength: 32, placeholder: 'Home',
			hint: _('A new name, or that of one of your networks.')
		});
		const security = widgets.field({
			name: 'security', label: _('Security'), value: 'wpa2',
			choices: [ 'wpa2', 'mixed', 'wpa3', 'enterprise' ].filter(word => word != 'enterprise' || enterprise).map(word => [ word, SECURITY[word] ]),
			hint: enterprise ? null : _('Enterprise (802.1X) needs wpad-mbedtls in place of %s.').format(status.wpad ? status.wpad.package : _('what is installed'))
		});
		const unset = radios.filter(radio => !radio.country);
		const country = unset.length ? widgets.field({
			name: 'country', label: _('Country'), maxlength: 2, placeholder: 'DE', value: radios.map(radio => radio.country).filter(code => code)[0],
			hint: _('Two letters. Which channels may be used, and how loud, is decided by law; without it some radios stay silent.')
		}) : null;
		const fields = [ ssid, security ].concat(country || []);
		const radioBoxes = radios.map(radio => tick(radio.name, radio.band != '6g', [
			band(radio), ' ', E('span', { 'class': 'lk-second' }, [ radio.name + (radio.disabled ? ' · ' + _('is switched on then') : '') ])
		]));
		const takeOver = tick('1', false, '');
		const takeOverRow = E('div', { 'class': 'hidden' }, [ takeOver, E('div', { 'class': 'lk-hint' }, [ _('Devices that use its present key have to be added here first, or they stay out.') ]) ]);
		const made = L.toArray(status.managed && status.managed.profiles).map(network => network.name);
		const profileBoxes = profiles.filter(profile => profile.vlan != null).map(profile => tick(profile.name, true, [
			profile.name, ' ', E('span', { 'class': 'lk-second' }, [
				_('VLAN %d').format(profile.vlan) + (made.indexOf(profile.name) >= 0 ? ' · ' + _('its network is there') : '')
			])
		]));
		const bridge = widgets.field({
			name: 'bridge', label: _('Also on wired ports of'), value: '', choices: [ [ '', _('none: Wi-Fi only') ] ].concat(bridges.map(b => [ b.name, b.name ]))
		});
		const portBoxes = E('div');
		let ports = [];

		const choosePorts = () => {
			const chosen = bridges.filter(b => b.name == bridge.get())[0];

			empty(portBoxes);
			ports = chosen ? L.toArray(chosen.ports).map(port => tick(port + ':t', false, port)) : [];

			if (ports.length)
				portBoxes.appendChild(group(_('Ports that carry the VLANs, tagged'), ports, _('To a switch or another access point. Ports that are not ticked stay as they are.')));
		};

		const nameChanged = () => {
			const known = foreign.indexOf(ssid.get()) >= 0;

			takeOverRow.classList.toggle('hidden', !known);
			takeOver.lastElementChild.textContent = _('Turn my present network “%s” into it').format(ssid.get());

			if (!known)
				takeOver.input.checked = false;
		};

		bridge.input.addEventListener('change', choosePorts);
		ssid.input.addEventListener('input', nameChanged);

		/* What the program refuses stands at the field that it is about. */
		const refused = why => {
			const field = fields.concat(bridge).filter(f => f.name == why.field && f.offsetParent)[0];

			if (!field && why.field != 'radio')
				return false;

			widgets.close();

			if (!field)
				trouble.say(why.message);
			else if (why.code == 'taken' && field == ssid)
				field.say(_('This router has a network of that name already. Choose another name, or tick the box below.'));
			else
				field.say(why.message);

			if (field)
				field.input.focus();

			return true;
		};

		const submit = () => {
			const chosen = ticked(radioBoxes);
			const profileNames = ticked(profileBoxes);

			fields.concat(bridge).forEach(field => field.say(''));
			trouble.say('');

			if (!ssid.get()) {
				ssid.say(_('Give the network a name.'));
				ssid.input.focus();
				return null;
			}

			if (!chosen.length) {
				trouble.say(_('Choose at least one radio.'));
				return null;
			}

			if (profileBoxes.length && !profileNames.length) {
				trouble.say(_('Choose at least one profile: devices have to come somewhere.'));
				return null;
			}

			return router.review({
				title: _('Set up %s').format(ssid.get()),
				verb: 'apply',
				args: router.wish({
					ssid: ssid.get(), radios: chosen, security: security.get(), takeOver: takeOver.input.checked,
					country: country ? country.get().toUpperCase() : null,
					/* Without any named, all are meant. */
					profiles: profileNames.length < profileBoxes.length ? profileNames : [],
					bridge: bridge.get(), ports: ticked(ports)
				}),
				nothing: _('The network %s is set up like that already.').format(ssid.get()),
				refused,
				air: { [ssid.get()]: chosen.length },
				kept: seen => this.next(ssid.get(), seen),
				done: () => this.again()
			});
		};

		const form = E('form', { 'class': 'lk-form lk-panel', 'novalidate': 'novalidate', 'submit': ev => {
			ev.preventDefault();
			form.querySelector('.lk-go').click();
		} }, [
			E('h4', {}, [ _('1. The network') ]),
			ssid, takeOverRow, security,
			group(_('Radios'), radioBoxes),
			country || '',
			E('h4', {}, [ _('2. Where devices come to') ]),
			profileBoxes.length
				? group(_('Make the networks of these profiles'), profileBoxes, _('Each one with addresses of its own and firewall rules. You can do that later, too, on the page Profiles.'))
				: E('p', {}, [ _('No profile has a VLAN: all devices come into the network lan. On the page Profiles you can keep them apart.') ]),
			bridges.length && profileBoxes.length ? E('details', {}, [ E('summary', {}, [ _('Wired ports') ]), bridge, portBoxes ]) : '',
			E('h4', {}, [ _('3. What will change') ]),
			trouble,
			E('div', { 'class': 'lk-bar' }, [
				widgets.button(_('Show what will change'), { kind: 'positive important', click: submit })
			])
		]);

		form.querySelector('.lk-bar:last-child button').classList.add('lk-go');

		return E('div', {}, [ E('h3', {}, [ first ? _('Set up a network') : _('Set up another network, or change one') ]), form ]);
	},

	/* What comes next when the network is configured; `seen` when it was seen on the air. */
	next(ssid, seen) {
		widgets.dialog((seen ? _('%s is ready') : _('%s is configured')).format(ssid), [
			E('p', {}, [ seen
				? _('The network is on the air. Devices get in as soon as they have a key of their own.')
				: _('The network is configured. Whether it is on the air has not been seen yet: a radio may take a minute. Devices get in as soon as they have a key of their own.') ]),
			E('p', {}, [ _('Add your first device: you get a key and a QR code that a phone can scan.') ])
		], [
			widgets.closer(_('Later')),
			E('a', { 'class': 'btn cbi-button cbi-button-positive important', 'href': widgets.link('devices') }, [ _('Add the first device') ])
		]);
	},

	remove(network) {
		return router.review({
			title: _('Remove %s').format(network.ssid),
			verb: 'remove',
			args: [ '--ssid', network.ssid ],
			air: { [network.ssid]: 0 },
			label: _('Remove'),
			nothing: _('There is no network %s that latchkey has made.').format(network.ssid),
			done: () => this.again()
		});
	},

	render(page) {
		return page;
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});

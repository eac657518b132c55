'use strict';
'require baseclass';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';
'require latchkey.credential as credential';

/* The dialogs about one device, and those that bring many in and out. */

/* What a profile lets its devices reach, in words. */
function access(profile) {
	switch (profile.access) {
	case 'internet':
		return _('the internet only');
	case 'isolated':
		return L.toArray(profile.allow).length ? _('only what is listed') : _('nothing');
	default:
		return _('everything');
	}
}

/* The profiles to choose from. */
function profileChoices(profiles) {
	return profiles.map(p => [ p.name, _('%s – reaches %s').format(show.place({ profile: p.name, vlan: p.vlan }), access(p)) ]);
}

/* The last moment of a day on the clock of whoever chose it, as the daemon takes it. */
function endOf(day) {
	return day ? new Date(day + 'T23:59:59').toISOString().replace(/\.\d+Z$/, 'Z') : null;
}

/* The day of a time of the daemon, as an input of type date has it. */
function dayOf(time) {
	const at = show.seconds(time);

	if (at == null)
		return '';

	const day = new Date(at * 1000);
	return '%04d-%02d-%02d'.format(day.getFullYear(), day.getMonth() + 1, day.getDate());
}

/* The words of a list: separated by commas, blanks or lines. */
function list(text) {
	return text.split(/[\s,;]+/).filter(word => word);
}

/* So many keys are shown at once after an import. */
const SHOWN = 20;

return baseclass.extend({
	profileChoices,

	/* Asks for a new device; `changed` is called once it is there. */
	add(choices, changed) {
		if (!choices.profiles.length) {
			widgets.dialog(_('Add device'), [
				E('p', {}, [ _('A device belongs to a profile, which says what it may reach, and there is none yet.') ]),
				E('p', {}, [ E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': widgets.link('profiles') }, [ _('Add a profile') ]) ])
			], [ widgets.closer() ]);
			return;
		}

		const chosen = choices.profiles.filter(p => p.default)[0] || choices.profiles[0];
		const key = widgets.field({ name: 'key', label: _('Its Wi-Fi key'), maxlength: 63, hint: _('8 to 63 characters, and hard to guess.') });
		const method = widgets.field({ name: 'method', label: _('How it proves itself'), value: 'generate', choices: [
			[ 'generate', _('Wi-Fi key, made now (for nearly every device)') ],
			[ 'key', _('Wi-Fi key that I choose') ],
			[ 'eap_psk', _('EAP-PSK (small devices without certificates)') ],
			[ 'certificate', _('Certificate, issued now (EAP-TLS)') ]
		] });
		const several = widgets.field({ name: 'bind', label: _('Which addresses may use it'), value: '', choices: [
			[ '', _('As usual for this kind') ],
			[ 'first', _('The first ones that prove it') ],
			[ 'any', _('Any (phones that change their address)') ],
			[ 'mac', _('Only those that I list') ]
		] });
		const fields = [
			widgets.nameField(),
			widgets.field({ name: 'profile', label: _('Profile'), value: chosen.name, choices: profileChoices(choices.profiles) }),
			method,
			key
		];
		const more = [
			several,
			widgets.field({ name: 'macs', also: 'mac', label: _('MAC addresses'), placeholder: '02:00:00:00:00:01', hint: _('Only if you want it bound to addresses from the start.') }),
			widgets.field({ name: 'max_devices', label: _('Addresses at a time'), type: 'number', min: 0, max: 65535, hint: _('How many may use this credential; 0 for any number.') }),
			widgets.field({ name: 'expires', label: _('Until the end of'), type: 'date', hint: _('Empty: for ever.') })
		];
		const options = E('details', {}, [ E('summary', {}, [ _('More options') ]) ].concat(more));
		const toggle = () => key.classList.toggle('hidden', method.get() != 'key');

		method.input.addEventListener('change', toggle);
		toggle();

		/* ask() looks for fields among the nodes it is given: those inside of the options are named here. */
		widgets.ask(_('Add device'), fields.concat([ options ]), _('Add'), values => {
			const how = values.method;
			const params = {
				name: values.name,
				profile: values.profile,
				key: how == 'key' ? values.key : null,
				generate: how == 'generate' ? true : null,
				eap_psk: how == 'eap_psk' ? true : null,
				certificate: how == 'certificate' ? true : null,
				bind: values.bind || null,
				macs: values.macs ? list(values.macs) : null,
				max_devices: values.max_devices === '' ? null : parseInt(values.max_devices, 10),
				expires: endOf(values.expires)
			};

			return api.call('device_add', params).then(result => {
				changed();

				if (how == 'key')
					result.key = values.key;

				return credential.dialog(_('%s is registered').format(result.device.name), null, result, choices.ssids);
			});
		}, { fields: more, failed: (error, at) => {
			if (more.indexOf(at) >= 0)
				options.open = true;
		} });
	},

	/* Everything about a device. `context`: choices, now, online, changed(). */
	details(name, context) {
		return Promise.all([
			api.call('device_show', { name }),
			L.resolveDefault(api.call('log', { device: name, limit: 30 }), { events: [] })
		]).then(([ found, log ]) => {
			const device = found.device;
			const online = context.online || {};
			const station = online.station, session = online.session;
			const state = show.state(device, context.online);
			const eap = device.eap || {};
			const done = text => () => {
				widgets.notify('info', [ text ]);
				return context.changed();
			};
			const blocked = device.state == 'blocked';
			const change = (method, text) => api.call(method, { name }).then(done(text));
			const trouble = widgets.trouble();

			const actions = [
				widgets.button(_('Edit'), { write: true, click: () => this.edit(device, context) }),
				device.has_key || eap.nai ? widgets.button(_('Show key'), { write: true, kind: 'action', click: () => credential.reveal(name, context.choices.ssids, trouble) }) : '',
				device.has_key || eap.nai || show.methods(device)[0] == _('shared onboarding key') ? widgets.button(_('New key'), { write: true, click: () => this.rotate(device, context) }) : '',
				blocked
					? widgets.button(_('Unblock'), { write: true, kind: 'positive', click: () => change('device_unblock', _('%s may join again.').format(name)).then(() => widgets.close(), why => trouble.say(api.translate(why).message)) })
					: widgets.button(_('Block'), { write: true, kind: 'negative', click: () => widgets.confirm(_('Block %s?').format(name),
						[ E('p', {}, [ _('It is disconnected at once, and refused until you unblock it. Its key stays as it is.') ]) ],
						_('Block'), () => change('device_block', _('%s is blocked.').format(name))) }),
				widgets.button(_('Remove'), { write: true, kind: 'negative', click: () => widgets.confirm(_('Remove %s?').format(name),
					[ E('p', {}, [ _('It is disconnected at once, and its key, its addresses and its settings are forgotten. This cannot be undone.') ]) ],
					_('Remove'), () => change('device_remove', _('%s is removed.').format(name))) })
			];

			widgets.dialog(name, [
				E('div', { 'class': 'lk-bar' }, actions),
				trouble,
				widgets.facts([
					[ _('State'), [ show.badge.apply(show, state), ' ', state[2] ] ],
					[ _('Profile'), show.place(device) ],
					[ _('Proves itself by'), show.methods(device).join(', ') ],
					[ _('Identity (EAP-PSK)'), eap.nai ],
					[ _('Certificates'), L.toArray(eap.certificates).length ? L.toArray(eap.certificates).map(c => this.certificate(c)) : null ],
					[ _('Connected'), station || session ? this.connection(station, session) : null ],
					[ _('IP address'), (station && L.toArray(station.addresses).join(', ')) || (session && session.address) ],
					[ _('Signal'), station && station.signal_dbm != null ? show.signal(station.signal_dbm) : null ],
					[ _('Data rate'), station && station.tx_kbit_s ? _('%s down, %s up').format(show.rate(station.tx_kbit_s), show.rate(station.rx_kbit_s || 0)) : null ],
					[ _('Data so far'), station && station.rx_bytes != null ? _('%s down, %s up').format(show.bytes(station.tx_bytes), show.bytes(station.rx_bytes)) : null ],
					[ _('MAC addresses'), device.macs.length ? device.macs.map(m => E('div', {}, [
						show.mac(m.mac, m.randomised), ' ',
						E('span', { 'class': 'lk-second' }, [ m.proved ? _('proved, bound %s').format(show.ago(m.since, context.now)) : _('listed') ])
					])) : _('none bound yet') ],
					[ _('Who may use it'), this.binding(device) ],
					[ _('Only in'), device.ssids.concat(device.aps).join(', ') ],
					[ _('Valid until'), device.expires ? show.moment(device.expires) : _('for ever') ],
					[ _('Last seen'), device.last_seen ? '%s (%s)'.format(show.ago(device.last_seen, context.now), show.moment(device.last_seen)) : _('never') ],
					[ _('So far'), '%s, %s'.format(N_(device.accepted, 'let in once', 'let in %d times').format(device.accepted), N_(device.refused, 'refused once', 'refused %d times').format(device.refused)) ],
					[ _('Registered'), show.moment(device.created) ]
				]),
				E('h5', {}, [ _('What happened lately') ]),
				this.history(L.toArray(log.events), context.now)
			], [ widgets.closer(_('Close')) ], true);
		}).catch(why => { widgets.notify('error', [ api.translate(why).message ]); });
	},

	connection(station, session) {
		const since = station ? station.connected_s : (session ? session.seconds : null);
		const where = [];

		if (station && station.bss)
			where.push(_('“%s” on %s').format(station.ssid, station.bss));
		else if (session && session.nas)
			where.push(_('“%s” at %s').format(session.ssid, session.nas));
		else
			where.push(_('“%s”').format((station || session).ssid));

		if (since != null)
			where.push(_('for %s').format(show.duration(since)));

		return where.join(', ');
	},

	certificate(c) {
		return E('div', {}, [
			E('div', {}, [ c.subject || c.value ]),
			E('div', { 'class': 'lk-second' }, [ [
				c.maker ? _('vouched for by %s').format(c.maker) : (c.issued ? _('issued here') : null),
				c.not_after ? _('valid until %s').format(show.moment(c.not_after)) : null
			].filter(t => t).join(', ') ])
		]);
	},

	binding(device) {
		const many = device.max_devices ? N_(device.max_devices, '%d address at a time', '%d addresses at a time').format(device.max_devices) : _('any number of addresses');

		switch (device.bind) {
		case 'first':
			return device.max_devices == 1 ? _('the first address that proves it') : _('the first addresses that prove it: %s').format(many);
		case 'mac':
			return _('the listed addresses only');
		default:
			return _('any address, %s').format(many);
		}
	},

	/* Events in plain words, the latest first. */
	history(events, now) {
		if (!events.length)
			return E('p', { 'class': 'lk-hint' }, [ _('Nothing yet, since the daemon was started.') ]);

		return E('ul', { 'class': 'lk-history' }, events.slice().reverse().map(event => E('li', {}, [
			show.badge.apply(show, show.outcome(event)), ' ',
			E('span', { 'class': 'lk-second', 'title': show.moment(event.at) }, [ show.ago(event.at, now), event.count > 1 ? ' · ' + _('%d times').format(event.count) : '' ]),
			E('div', { 'title': event.text }, [ show.sentence(event) ])
		])));
	},

	edit(device, context) {
		const name = device.name;
		const original = {
			name,
			profile: device.profile,
			bind: device.bind,
			max_devices: String(device.max_devices),
			mac: device.macs.map(m => m.mac).join(', '),
			expires: dayOf(device.expires)
		};
		const profiles = profileChoices(context.choices.profiles);

		/* One that is gone from the settings is still the one of this device. */
		if (!profiles.some(([ value ]) => value == device.profile))
			profiles.unshift([ device.profile, _('%s (no longer there)').format(device.profile) ]);

		widgets.ask(_('Edit %s').format(name), [
			widgets.nameField(name),
			widgets.field({ name: 'profile', label: _('Profile'), value: device.profile, choices: profiles, hint: _('It moves as soon as this is saved.') }),
			widgets.field({ name: 'expires', label: _('Until the end of'), type: 'date', value: original.expires, hint: _('Empty: for ever.') }),
			widgets.field({ name: 'bind', label: _('Which addresses may use it'), value: device.bind, choices: [
				[ 'first', _('The first ones that prove it') ],
				[ 'any', _('Any (phones that change their address)') ],
				[ 'mac', _('Only those that are listed') ]
			] }),
			widgets.field({ name: 'max_devices', label: _('Addresses at a time'), type: 'number', min: 0, max: 65535, value: original.max_devices, hint: _('0 for any number.') }),
			widgets.field({ name: 'mac', label: _('MAC addresses'), value: original.mac, hint: _('Separated by commas. Take one out to let go of it.') })
		], _('Save'), values => {
			const set = {};

			for (const key in original)
				if (values[key] !== original[key])
					set[key] = key == 'expires' ? (endOf(values.expires) || 'never') : values[key];

			if (!Object.keys(set).length) {
				widgets.close();
				return;
			}

			return api.call('device_set', { name, set }).then(() => {
				widgets.close();
				widgets.notify('info', [ _('%s is saved.').format(values.name) ]);
				return context.changed();
			});
		});
	},

	rotate(device, context) {
		const name = device.name;
		const psk = !device.has_key && device.eap && device.eap.nai;

		widgets.confirm(_('New key for %s?').format(name), [
			E('p', {}, [ _('A new key is made. The old one is refused from then on: the device is disconnected, and has to be given the new one.') ])
		], _('Make a new key'), () => api.call('device_rotate', psk ? { name, eap_psk: true } : { name }).then(result => {
			context.changed();
			/* The dialog of the question closes first. */
			window.setTimeout(() => credential.dialog(_('The new key of %s').format(name), null, result, context.choices.ssids), 0);
		}));
	},

	/* Many devices at once, from a file or a text. */
	importFile(choices, changed) {
		const text = E('textarea', { 'rows': 8, 'spellcheck': 'false', 'placeholder': 'name,profile,mac,key\nkitchen-lamp,iot,,\nporch-camera,iot,02:00:00:00:00:01,' });
		const lines = E('ul', { 'class': 'lk-history hidden' });
		const known = choices.profiles.map(p => p.name).join(', ');

		widgets.ask(_('Import devices'), [
			E('p', {}, [ _('One line for each device, after a line with the titles. Only the name is needed; a device without a key gets one. Either all are registered, or none.') ]),
			E('p', {}, [ widgets.button(_('Choose a file'), { click: () => widgets.pickFile('.csv,text/csv,text/plain').then(file => {
				if (file)
					text.value = file.text;
			}) }) ]),
			widgets.field({ name: 'csv', label: _('Devices as CSV'), input: text, hint: _('Titles: name, profile, mac, key, bind, max_devices, expires, nai, eap_psk. Profiles: %s.').format(known) }),
			lines
		], _('Import'), values => {
			lines.classList.add('hidden');

			return api.call('device_import', { csv: values.csv + '\n' }).then(result => {
				changed();
				this.imported(result);
			});
		}, { wide: true, failed: error => {
			while (lines.firstChild)
				lines.removeChild(lines.firstChild);

			error.lines.slice(0, 50).forEach(e => lines.appendChild(E('li', {}, [ E('b', {}, [ _('Line %d, %s').format(e.line, e.field) ]), ': ', e.message ])));
			lines.classList.toggle('hidden', !error.lines.length);
		} });
	},

	/* The keys that an import made. */
	imported(result) {
		const made = L.toArray(result.devices).filter(d => d.key || d.eap_psk);
		const quote = value => '"' + String(value).replace(/"/g, '""') + '"';
		const csv = () => 'name,key,nai,eap_psk\n' + made.map(d =>
			[ d.name, d.key || '', d.eap_psk ? d.eap_psk.identity : '', d.eap_psk ? d.eap_psk.key : '' ].map(quote).join(',') + '\n').join('');

		widgets.dialog(N_(result.imported, '%d device is registered', '%d devices are registered').format(result.imported), made.length ? [
			E('p', {}, [ N_(made.length, '%d of them was given a key.', '%d of them were given a key.').format(made.length), ' ', _('Each is in the list of devices, with its QR code.') ]),
			E('p', {}, [ widgets.button(_('Download the new keys'), { kind: 'action important', click: () => widgets.download('new-keys.csv', csv(), 'text/csv') }) ]),
			widgets.facts(made.slice(0, SHOWN).map(d => [ d.name, E('code', {}, [ d.key || d.eap_psk.identity ]) ])),
			made.length > SHOWN ? E('p', {}, [ _('… and %d more in the file.').format(made.length - SHOWN) ]) : ''
		] : [ E('p', {}, [ _('They have the keys of the file.') ]) ], [ widgets.closer(_('Done')) ]);
	},

	/* All devices as a file: without keys, or with them for whoever may see them. */
	exportFile() {
		const secrets = widgets.field({ name: 'secrets', label: _('With their keys'), type: 'checkbox', hint: _('Whoever has that file can join as any of the devices.') });

		if (!api.mayWrite())
			secrets.input.disabled = true;

		widgets.ask(_('Export devices'), [ E('p', {}, [ _('All devices as a CSV file that can be imported again.') ]), secrets ], _('Download'), values =>
			api.call(values.secrets ? 'device_export_secrets' : 'device_export').then(result => {
				widgets.download('latchkey-devices.csv', result.csv, 'text/csv');
				widgets.close();

				if (result.left_out)
					widgets.notify('warning', [ N_(result.left_out, 'The certificates of %d device are not in the file: such a table cannot hold them.', 'The certificates of %d devices are not in the file: such a table cannot hold them.').format(result.left_out) ]);
			}));
	}
});

'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';

/* Manufacturers: whose servers say who devices are (realms), whose certificates count (makers), and our own CA. */

/* Certificates change seldom. */
const CA_EVERY = 60000;

const HEALTH = {
	up: [ _('answers'), 'lk-good' ],
	suspect: [ _('did not answer lately'), 'lk-warn' ],
	down: [ _('does not answer'), 'lk-bad' ],
	unknown: [ _('not asked yet'), '' ]
};

const STAGES = {
	resolve: _('Find its address'),
	connect: _('Connect'),
	tls: _('Encrypt (TLS)'),
	certificate: _('Check its certificate'),
	'status-server': _('Ask it (Status-Server)')
};

const ADMIT = {
	listed: _('Only devices that are registered here'),
	pending: _('Registered ones; others wait for approval'),
	all: _('Every device that it vouches for')
};

const REALM_EXAMPLE = 'config realm \'acme\'\n\tlist realm \'acme.example\'\n\tlist server \'radsec://radius.acme.example\'\n\toption ca \'/etc/latchkey/acme-ca.pem\'\n\toption profile \'iot\'';

function textarea(rows, placeholder, value) {
	return E('textarea', { 'rows': rows, 'placeholder': placeholder || null, 'autocomplete': 'off', 'spellcheck': 'false' }, [ value || '' ]);
}

function words(text) {
	return text.split(/\s+/).filter(word => word);
}

function millis(micros) {
	return micros == null ? '' : (micros < 10000 ? _('%.1f ms') : _('%.0f ms')).format(micros / 1000);
}

function warnings(list) {
	return L.toArray(list).map(text => E('div', { 'class': 'alert-message warning' }, [ text ]));
}

function diff(lines) {
	return E('pre', { 'class': 'lk-diff' }, L.toArray(lines).map(line => E('span', {
		'class': 'lk-line ' + (line.sign == '+' ? 'lk-added' : line.sign == '-' ? 'lk-removed' : 'lk-same')
	}, [ line.sign + ' ' + line.text + '\n' ])));
}

return view.extend({
	load() {
		this.realms = [];
		this.makers = [];
		this.ca = {};
		this.now = 0;
		this.asked = 0;

		return widgets.live({
			title: _('Manufacturers'),
			intro: [ _('Devices can bring proof of who made them: a manufacturer’s server that knows them, or a certificate from the factory. Here you say whom you trust for that.') ],
			interval: 10,
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update()
		}).then(page => {
			this.live = page;
			return page;
		});
	},

	refresh() {
		const anew = Date.now() - this.asked >= CA_EVERY;

		if (anew)
			this.asked = Date.now();

		return Promise.all([
			api.call('realm_list'), api.call('maker_list'), api.call('status'),
			anew ? api.call('ca_show') : null
		]).then(([ realms, makers, status, ca ]) => {
			this.realms = L.toArray(realms.realms);
			this.makers = L.toArray(makers.makers);
			this.now = show.seconds(status.clock && status.clock.now);

			if (anew)
				this.ca = ca;
		});
	},

	again() {
		this.asked = 0;
		return this.live.refresh();
	},

	build() {
		this.troubles = E('div');
		this.own = E('div');
		this.realmTable = widgets.table([
			{ title: _('Name'), class: 'lk-head', sort: r => r.name, cell: r => E('div', {}, [
				E('span', { 'class': 'lk-name' }, [ r.name ]),
				E('div', { 'class': 'lk-second' }, [ L.toArray(r.realms).join(', ') ])
			]) },
			{ title: _('Servers'), class: 'lk-wide', cell: r => this.serversCell(r) },
			{ title: _('Its devices'), class: 'lk-wide', cell: r => this.placeCell(r) },
			{ title: _('Devices'), sort: r => r.devices, down: true, cell: r => '%d'.format(r.devices) },
			{ title: _('Actions'), quiet: true, class: 'lk-actions', cell: r => [
				widgets.button(_('Test'), { write: true, label: _('Test %s').format(r.name), click: () => this.test(r) }),
				widgets.button(_('Move'), { write: true, label: _('Move %s').format(r.name), click: () => this.move(r) })
			] }
		], {
			label: _('Manufacturers’ servers'),
			key: r => r.name,
			print: r => JSON.stringify([ r, L.toArray(r.servers).map(server => show.ago(server.answered, this.now)) ]),
			empty: () => widgets.empty(_('No manufacturer’s server is asked'), [
				E('p', {}, [ _('A manufacturer that runs a RADIUS server for its devices tells you its address. Add it to /etc/config/latchkey, then press “Read the settings again”:') ]),
				E('pre', { 'class': 'lk-value' }, [ REALM_EXAMPLE ]),
				E('p', {}, [ widgets.button(_('Read the settings again'), { write: true, click: () => this.reload() }) ])
			])
		});
		this.makerTable = widgets.table([
			{ title: _('Name'), class: 'lk-head', sort: m => m.name, cell: m => E('span', { 'class': 'lk-name' }, [ m.name ]) },
			{ title: _('Certificates of'), class: 'lk-wide', cell: m => this.authoritiesCell(m) },
			{ title: _('Its devices'), class: 'lk-wide', cell: m => this.placeCell(m) },
			{ title: _('Devices'), sort: m => m.devices, down: true, cell: m => '%d'.format(m.devices) },
			{ title: _('Actions'), quiet: true, class: 'lk-actions', cell: m => [
				widgets.button(_('Edit'), { write: true, label: _('Edit %s').format(m.name), click: () => this.editMaker(m) }),
				widgets.button(_('Remove'), { write: true, kind: 'negative', label: _('Remove %s').format(m.name), click: () => this.removeMaker(m) })
			] }
		], {
			label: _('Manufacturers’ certificates'),
			key: m => m.name,
			print: m => JSON.stringify(m),
			empty: () => widgets.empty(_('No manufacturer’s certificates count yet'), [
				E('p', {}, [ _('Some devices carry a certificate from the factory. Add the CA of their manufacturer, and they prove by it who they are.') ]),
				E('p', {}, [ widgets.button(_('Add the first manufacturer'), { write: true, kind: 'positive important', click: () => this.addMaker() }) ])
			])
		});

		return E('div', {}, [
			this.troubles,
			E('h3', {}, [ _('Servers that know their devices') ]),
			this.realmTable,
			E('h3', {}, [ _('Certificates from the factory') ]),
			this.bar = E('div', { 'class': 'lk-bar' }, [
				widgets.button(_('Add a manufacturer'), { write: true, kind: 'positive important', click: () => this.addMaker() })
			]),
			this.makerTable,
			E('h3', {}, [ _('Certificates of this router') ]),
			this.own
		]);
	},

	update() {
		this.realmTable.update(this.realms);
		this.makerTable.update(this.makers);
		this.bar.classList.toggle('hidden', !this.makers.length);

		const put = (place, nodes) => {
			while (place.firstChild)
				place.removeChild(place.firstChild);

			nodes.forEach(node => place.appendChild(node));
		};

		put(this.troubles, L.toArray(this.ca.troubles).map(text => E('div', { 'class': 'alert-message danger' }, [ text ]))
			.concat(warnings(this.ca.warnings)));

		const print = JSON.stringify(this.ca);

		if (print != this.drawn) {
			this.drawn = print;
			put(this.own, [ this.ownCa() ]);
		}
	},

	/* Of a realm: its servers and how they are. */
	serversCell(realm) {
		if (realm.target == 'local')
			return E('span', {}, [ _('none: its devices are known here') ]);

		const servers = L.toArray(realm.servers);

		if (!servers.length)
			return E('span', { 'class': 'lk-second' }, [ _('DNS is asked for them when a device comes') ]);

		return E('div', {}, servers.map(server => {
			const [ word, kind ] = HEALTH[server.health] || [ server.health, '' ];
			const more = [];

			if (server.answered)
				more.push(_('last answer %s').format(show.ago(server.answered, this.now)));
			if (server.round_trip_us != null)
				more.push(millis(server.round_trip_us));
			if (server.trouble)
				more.push(server.trouble);

			return E('div', { 'class': 'lk-server' }, [
				show.badge(word, kind), ' ', E('span', { 'class': 'lk-mac' }, [ server.server ]),
				more.length ? E('div', { 'class': 'lk-second' }, [ more.join(' · ') ]) : ''
			]);
		}));
	},

	/* Where devices of a realm or maker come to, and which of them. */
	placeCell(of) {
		return E('div', {}, [
			of.profile_missing
				? E('span', { 'class': 'lk-badge lk-bad' }, [ _('profile %s is missing').format(of.profile) ])
				: E('span', {}, [ show.place(of) || _('the profile that is taken when none is chosen') ]),
			E('div', { 'class': 'lk-second' }, [ ADMIT[of.admit] || of.admit ])
		]);
	},

	authoritiesCell(maker) {
		return E('div', {}, L.toArray(maker.authorities).map(ca => E('div', {}, [
			E('span', {}, [ ca.subject || _('a certificate that cannot be read') ]),
			ca.not_after ? E('div', { 'class': 'lk-second' }, [ _('until %s').format(show.moment(ca.not_after)) ]) : ''
		])).concat(L.toArray(maker.crls).length
			? [ E('div', { 'class': 'lk-second' }, [ N_(maker.crls.length, '%d revocation list', '%d revocation lists').format(maker.crls.length) ]) ] : []));
	},

	reload() {
		return widgets.report(api.call('config_reload'), _('The settings were read again and are in force.')).then(() => this.again());
	},

	/* One step after the other on the way to each server, and what to do where it ends. */
	test(realm) {
		widgets.dialog(_('Test %s').format(realm.name), [
			E('p', { 'class': 'spinning' }, [ _('Asking its servers. This can take some seconds…') ])
		], [ widgets.closer() ]);

		return api.call('realm_test', { name: realm.name }).then(result => {
			const step = (ok, title, text, time) => E('li', { 'class': ok ? 'lk-step lk-ok' : 'lk-step lk-failed' }, [
				E('span', { 'class': 'lk-badge ' + (ok ? 'lk-good' : 'lk-bad') }, [ ok ? _('OK') : _('failed') ]), ' ',
				E('strong', {}, [ title ]), time ? ' ' + time : '',
				text ? E('div', { 'class': 'lk-second' }, [ text ]) : ''
			]);

			widgets.dialog(_('Test %s').format(realm.name), [
				E('div', { 'class': 'alert-message ' + (result.ok ? 'success' : 'warning'), 'role': 'status' }, [ _('%s: %s').format(realm.name, result.verdict) ]),
				E('ul', { 'class': 'lk-steps' }, L.toArray(result.lookups).map(lookup =>
					step(lookup.ok, _('Ask DNS for the servers of %s').format(lookup.realm), lookup.text)))
			].concat([].concat.apply([], L.toArray(result.servers).map(server => [
				E('h5', {}, [ server.server ]),
				E('ul', { 'class': 'lk-steps' }, L.toArray(server.steps).map(s =>
					step(s.ok, STAGES[s.stage] || s.stage, s.text, millis(s.micros)))),
				server.mend ? E('p', { 'class': 'lk-mend' }, [ E('strong', {}, [ _('What to do:') ]), ' ', server.mend ]) : ''
			]))), [
				widgets.closer(_('Close')),
				widgets.button(_('Test again'), { write: true, click: () => this.test(realm) })
			], true);

			return this.again();
		}, why => {
			widgets.dialog(_('Test %s').format(realm.name), [ E('div', { 'class': 'alert-message danger', 'role': 'alert' }, [ why.message ]) ], [ widgets.closer(_('Close')) ]);
		});
	},

	/* To other servers, to DNS, or to this router. Nothing is written before the exact change was shown. */
	move(realm, given) {
		const at = given || {
			where: realm.target,
			to: realm.target == 'servers' ? L.toArray(realm.servers).map(server => server.server).join('\n') : ''
		};
		const where = widgets.field({
			name: 'where', label: _('Who says who its devices are'), value: at.where, choices: [
				[ 'servers', _('these servers') ],
				[ 'discover', _('the servers that DNS names') ],
				[ 'local', _('this router: devices need credentials of their own here') ]
			]
		});
		const to = widgets.field({
			name: 'to', label: _('Servers'), input: textarea(3, 'radsec://radius.example.org', at.to),
			hint: _('One a line, asked in this order: radsec://HOST over the internet, udp://ADDRESS in your own network.')
		});
		const secret = widgets.field({
			name: 'secret', label: _('Shared secret'), type: 'password', value: at.secret, hint: _('For udp:// servers only. Empty: as it is.')
		});
		const ca = widgets.field({
			name: 'ca', label: _('CA of the servers'), value: at.ca, placeholder: '/etc/latchkey/acme-ca.pem',
			hint: _('For radsec:// servers: the file on this router. Empty: as it is.')
		});
		const name = widgets.field({ name: 'server_name', label: _('Name in their certificate'), value: at.server_name, hint: _('If it is not the name in the address. Empty: as it is.') });
		const servers = [ to, secret ], tls = [ ca, name ];
		const choose = () => {
			servers.forEach(field => field.classList.toggle('hidden', where.get() != 'servers'));
			tls.forEach(field => field.classList.toggle('hidden', where.get() == 'local'));
		};

		where.input.addEventListener('change', choose);
		choose();

		return widgets.ask(_('Move %s').format(realm.name), [
			E('p', {}, [ N_(realm.devices, '%d device is known by this manufacturer. It stays registered, and proves itself to whom you choose here.', '%d devices are known by this manufacturer. They stay registered, and prove themselves to whom you choose here.').format(realm.devices) ]),
			where, to, secret, ca, name
		], _('Show what will change'), values => {
			const wanted = { name: realm.name, to: values.where == 'servers' ? words(values.to) : [ values.where ] };

			if (values.where == 'servers')
				wanted.secret = values.secret;

			if (values.where != 'local')
				Object.assign(wanted, { ca: values.ca, server_name: values.server_name });

			return api.call('realm_repoint', Object.assign({ dry_run: true }, wanted)).then(plan => this.reviewMove(realm, values, wanted, plan));
		});
	},

	reviewMove(realm, values, wanted, plan) {
		const trouble = widgets.trouble();
		const nothing = !L.toArray(plan.diff).length;
		const children = [
			widgets.facts([
				[ _('From'), L.toArray(plan.from).join(', ') ],
				[ _('To'), L.toArray(plan.to).join(', ') ],
				[ _('Devices'), '%d'.format(plan.devices) ]
			]),
			plan.without_credentials ? E('div', { 'class': 'alert-message warning' }, [
				N_(plan.without_credentials, '%d device has no credential of its own here and will not get in until it has one.', '%d devices have no credential of their own here and will not get in until they have one.').format(plan.without_credentials)
			]) : ''
		].concat(warnings(plan.warnings), L.toArray(plan.notes).map(text => E('p', {}, [ text ])), [
			nothing ? E('p', {}, [ _('The settings say so already: there is nothing to change.') ]) : E('h5', {}, [ plan.file ]),
			nothing ? '' : diff(plan.diff),
			trouble
		]);

		widgets.dialog(_('Move %s').format(realm.name), children, [
			widgets.button(_('Back'), { click: () => { this.move(realm, values); } })
		].concat(nothing ? [ widgets.closer(_('Close')) ] : [
			widgets.button(_('Move'), { write: true, kind: 'positive important', click: () => api.call('realm_repoint', wanted).then(result => {
				if (!result.in_force)
					throw new Error(result.why || _('The file could not be written.'));

				widgets.close();
				widgets.notify('info', [ _('%s was moved: the new settings are in force.').format(realm.name) ]);
				L.toArray(result.warnings).forEach(text => widgets.notify('warning', [ text ]));

				return this.again();
			}).catch(why => trouble.say(api.translate(why).message)) })
		]), true);
	},

	/* The fields that a maker has, apart from its name. */
	makerFields(maker, profiles) {
		const pem = textarea(7, '-----BEGIN CERTIFICATE-----');
		const file = widgets.button(_('Choose a file…'), { click: () => widgets.pickFile('.pem,.crt,.cer').then(picked => {
			if (picked)
				pem.value = picked.text;
		}) });
		const ca = widgets.field({
			name: 'ca', label: _('CA certificate'), input: pem,
			hint: maker ? _('Only to replace it. PEM text; several one after the other are all trusted.') : _('PEM text, as the manufacturer publishes it; several one after the other are all trusted.')
		});

		ca.lastElementChild.appendChild(E('div', {}, [ file ]));

		return [
			ca,
			widgets.field({
				name: 'profile', label: _('Profile of its devices'), value: maker ? maker.profile : undefined,
				choices: profiles.map(profile => [ profile.name, show.place({ profile: profile.name, vlan: profile.vlan }) ]),
				hint: profiles.length ? null : _('There is no profile yet: add one on the page Profiles first.')
			}),
			widgets.field({
				name: 'admit', label: _('Which devices get in'), value: maker ? maker.admit : 'pending',
				choices: [ 'pending', 'listed', 'all' ].map(word => [ word, ADMIT[word] ])
			}),
			widgets.field({
				name: 'crls', label: _('Revocation lists'), input: textarea(2, '/etc/latchkey/acme.crl', maker ? L.toArray(maker.crls).join('\n') : ''),
				hint: _('Files on this router, one a line, if the manufacturer publishes any.')
			})
		];
	},

	addMaker() {
		return api.choices().then(({ profiles }) => {
			widgets.ask(_('Add a manufacturer'), [
				widgets.field({ name: 'name', label: _('Name'), maxlength: 64, placeholder: 'acme', hint: _('As you want to see it here.') })
			].concat(this.makerFields(null, profiles)), _('Add'), values => api.call('maker_add', Object.assign({}, values, { crls: words(values.crls) })).then(() => {
				widgets.close();
				widgets.notify('info', [ _('%s was added: its certificates count from now on.').format(values.name) ]);
				return this.again();
			}), { wide: true });
		});
	},

	editMaker(maker) {
		return api.choices().then(({ profiles }) => {
			/* What its profile was may be gone: then it has to be chosen anew. */
			const known = profiles.some(profile => profile.name == maker.profile) ? profiles : [ { name: maker.profile, vlan: null } ].concat(profiles);

			widgets.ask(_('Manufacturer %s').format(maker.name), this.makerFields(maker, known), _('Save'), values => {
				const wanted = Object.assign({ name: maker.name }, values, { crls: words(values.crls) });

				/* Only what changes is said: the rest stays as it is. */
				[ 'profile', 'admit', 'crls' ].forEach(key => {
					if (JSON.stringify(wanted[key]) == JSON.stringify(key == 'crls' ? L.toArray(maker.crls) : maker[key]))
						delete wanted[key];
				});

				if (!wanted.ca && Object.keys(wanted).length == 2) {
					widgets.close();
					widgets.notify('info', [ _('Nothing was changed.') ]);
					return null;
				}

				return api.call('maker_set', wanted).then(() => {
					widgets.close();
					widgets.notify('info', [ _('%s was changed.').format(maker.name) ]);
					return this.again();
				});
			}, { wide: true });
		});
	},

	removeMaker(maker) {
		widgets.confirm(_('Remove %s').format(maker.name), [
			E('p', {}, [ _('Certificates of %s no longer count then.').format(maker.name) ]),
			maker.devices ? E('p', {}, [ N_(maker.devices, '%d device is known by it and does not get in any more.', '%d devices are known by it and do not get in any more.').format(maker.devices) ]) : ''
		], _('Remove'), () => api.call('maker_remove', { name: maker.name }).then(result => {
			widgets.notify('info', [ _('%s was removed.').format(maker.name) ]);

			if (result.note)
				widgets.notify('warning', [ result.note ]);

			return this.again();
		}));
	},

	/* The CA that issues devices their certificates here, and the certificate that devices see. */
	ownCa() {
		const { ca, server } = this.ca;
		const facts = [];

		if (ca)
			facts.push(
				[ _('Own CA'), ca.subject ],
				[ _('Certificates issued'), '%d'.format(ca.issued) ],
				[ _('Fingerprint'), E('span', { 'class': 'lk-mac lk-break' }, [ ca.fingerprint ]) ],
				[ _('Can issue more'), ca.can_issue ? _('yes') : _('no: its key is not here') ]
			);

		if (server)
			facts.push(
				[ _('Devices see'), server.subject ],
				[ _('Issued by'), server.issuer ],
				[ _('Valid until'), server.ends ? show.moment(server.ends) : _('no end') ]
			);

		const button = widgets.button(ca ? _('Show the CA’s certificate') : _('Make the CA'), {
			write: true, click: () => api.call('ca_export').then(exported => {
				widgets.dialog(_('The CA of this router'), [
					E('p', {}, [ _('Devices check by it that they talk to your Wi-Fi. It is no secret.') ]),
					widgets.copyable(exported.pem, _('the certificate'), true)
				], [
					widgets.closer(_('Close')),
					widgets.button(_('Save as a file'), { kind: 'action', click: () => widgets.download('latchkey-ca.pem', exported.pem, 'application/x-pem-file') })
				], true);

				return this.again();
			}, why => { widgets.notify('error', [ why.message ]); })
		});

		if (!facts.length)
			return widgets.empty(_('There is no CA of this router yet'), [
				E('p', {}, [ _('It is made when the first device is given a certificate, or now.') ]),
				E('p', {}, [ button ])
			]);

		return E('div', {}, [ widgets.facts(facts), E('div', { 'class': 'lk-bar' }, [ button ]) ]);
	},

	render(page) {
		return page;
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});

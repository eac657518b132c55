'use strict';
'require baseclass';

/* How things are written: times, signal, credentials, states and decisions in words. Nothing here asks the router. */

const MINUTE = 60, HOUR = 3600, DAY = 86400;

/* What can be done about a decision: the page that helps, by the code of the daemon's reason. */
const MENDS = {
	unknown_device: [ 'waiting', _('Let it in') ],
	no_pairing: [ 'waiting', _('Let it in') ],
	not_approved: [ 'waiting', _('Let it in') ],
	not_listed: [ 'waiting', _('Let it in') ],
	quarantined: [ 'waiting', _('Choose its profile') ],
	none_proved: [ 'waiting', _('Let it in') ],
	wrong_key: [ 'devices', _('Show its key') ],
	not_proved: [ 'devices', _('Show its key') ],
	onboarding_key_instead: [ 'devices', _('Show its key') ],
	no_own_key: [ 'devices', _('Give it a key') ],
	no_wifi_key: [ 'devices', _('Give it a key') ],
	blocked: [ 'devices', _('Unblock it') ],
	expired: [ 'devices', _('Extend its time') ],
	too_many: [ 'devices', _('Allow it more addresses') ],
	other_address: [ 'devices', _('Change its addresses') ],
	address_of_other: [ 'devices', _('Change its addresses') ],
	key_of_other: [ 'devices', _('Show the devices') ],
	maker_full: [ 'manufacturers', _('Show the manufacturer') ],
	outside_hours: [ 'profiles', _('Change its hours') ],
	profile_missing: [ 'profiles', _('Add the profile') ],
	ssid_missing: [ 'setup', _('Set up the network') ]
};

return baseclass.extend({
	/* The seconds since the epoch of a time as the daemon writes it; null for none. */
	seconds(time) {
		const at = time ? Date.parse(time) : NaN;
		return isNaN(at) ? null : Math.floor(at / 1000);
	},

	/* How long: 45 s, 12 min, 3 h, 5 days. */
	duration(seconds) {
		const s = Math.max(0, Math.floor(seconds));

		if (s < MINUTE)
			return _('%d s').format(s);
		if (s < HOUR)
			return _('%d min').format(s / MINUTE);
		if (s < DAY)
			return _('%d h').format(s / HOUR);

		const days = Math.floor(s / DAY);
		return N_(days, '%d day', '%d days').format(days);
	},

	/* How long ago a time of the daemon is, by its own clock `now` (seconds since the epoch). */
	ago(time, now) {
		const at = this.seconds(time);

		if (at == null)
			return _('never');

		const past = now - at;

		return past < 10 ? _('just now') : _('%s ago').format(this.duration(past));
	},

	/* A time of the daemon on the clock of whoever reads. */
	moment(time) {
		const at = this.seconds(time);
		return at == null ? '' : new Date(at * 1000).toLocaleString();
	},

	/* The countdown of a window: 4:07. */
	countdown(seconds) {
		const s = Math.max(0, Math.floor(seconds));
		return '%d:%02d'.format(s / MINUTE, s % MINUTE);
	},

	/* An amount of data. */
	bytes(count) {
		const units = [ _('B'), _('KiB'), _('MiB'), _('GiB'), _('TiB') ];
		let value = +count || 0;
		let unit = 0;

		while (value >= 1024 && unit < units.length - 1) {
			value /= 1024;
			unit++;
		}

		return (unit ? '%.1f %s' : '%d %s').format(value, units[unit]);
	},

	/* A data rate given in kbit/s. */
	rate(kbits) {
		return kbits >= 1000 ? _('%.1f Mbit/s').format(kbits / 1000) : _('%d kbit/s').format(kbits);
	},

	/* How good a signal of so many dBm is: 0 to 4. */
	bars(dbm) {
		return dbm >= -55 ? 4 : dbm >= -65 ? 3 : dbm >= -75 ? 2 : dbm >= -85 ? 1 : 0;
	},

	/* A signal as bars and number. */
	signal(dbm) {
		if (dbm == null)
			return '';

		const words = [ _('very weak'), _('weak'), _('fair'), _('good'), _('very good') ];
		const level = this.bars(dbm);
		const bars = [ 1, 2, 3, 4 ].map(n => E('i', { 'class': n <= level ? 'lk-on' : null }));

		return E('span', { 'class': 'lk-signal', 'title': words[level] }, [
			E('span', { 'class': 'lk-bars', 'role': 'img', 'aria-label': words[level] }, bars),
			_('%d dBm').format(dbm)
		]);
	},

	/* What a device proves itself with, in words. */
	methods(device) {
		const found = [];

		if (device.has_key)
			found.push(_('Wi-Fi key'));
		if (device.eap && device.eap.nai)
			found.push(_('EAP-PSK'));
		if (device.eap && L.toArray(device.eap.certificates).length)
			found.push(L.toArray(device.eap.certificates).some(c => c.known_by == 'peer') ? _('manufacturer') : _('certificate'));

		return found.length ? found : [ _('shared onboarding key') ];
	},

	/* The profile and VLAN of something, in words. */
	place(thing) {
		if (!thing.profile)
			return thing.vlan == null ? '' : _('VLAN %d').format(thing.vlan);

		return thing.vlan == null ? thing.profile : _('%s · VLAN %d').format(thing.profile, thing.vlan);
	},

	/* The state of a device: [ word, class of its badge, what it means ]. */
	state(device, online) {
		switch (device.state) {
		case 'blocked':
			return [ _('blocked'), 'lk-bad', _('It is refused until somebody unblocks it.') ];
		case 'expired':
			return [ _('expired'), 'lk-warn', _('Its time is over, and it is refused.') ];
		}

		if (online)
			return [ _('online'), 'lk-good', _('It is connected at the moment.') ];

		if (device.state == 'waiting' || !device.last_seen)
			return [ _('not seen yet'), 'lk-warn', _('It has not been here yet.') ];

		return [ _('offline'), 'lk-quiet', _('It is registered, and not connected at the moment.') ];
	},

	/* True when the access point was sent a key, and the device has yet to prove that it has it. */
	isAttempt(event) {
		return event.outcome == 'accepted' && [ 'known_address', 'offered', 'onboarding_offered', 'pairing_offered' ].indexOf(event.reason) >= 0;
	},

	/* The outcome of a decision: [ word, class of its badge ]. */
	outcome(event) {
		if (this.isAttempt(event))
			return [ _('trying'), 'lk-quiet', _('The access point was sent a key; whether the device has it shows next.') ];

		switch (event.outcome) {
		case 'accepted':
			return [ _('let in'), 'lk-good' ];
		case 'joined':
			return [ _('connected'), 'lk-good' ];
		case 'disconnect':
			return [ _('disconnected'), 'lk-warn' ];
		default:
			return [ _('refused'), 'lk-bad' ];
		}
	},

	/* Whose fault a refusal is, in words; empty when it is nobody's. */
	fault(event) {
		switch (event.fault) {
		case 'device':
			return _('the device');
		case 'manufacturer':
			return event.party ? _('the manufacturer’s server (%s)').format(event.party) : _('the manufacturer’s server');
		case 'configuration':
			return _('the settings');
		case 'nas':
			return _('the access point');
		case 'latchkey':
			return _('latchkey itself');
		default:
			return '';
		}
	},

	/* What can be done about it: [ page, words of the link ], or null. */
	mend(event) {
		return event.outcome == 'refused' || event.reason == 'quarantined' ? (MENDS[event.reason] || null) : null;
	},

	/* What happened, as the daemon says it. Where a link of ours leads to the mend, the command for a terminal is left out. */
	sentence(event) {
		let text = String(event.text);

		if (this.mend(event))
			text = text.replace(/ \([^()]*\blatchkey [a-z]+ [^()]*\)/g, '').replace(/: [^:]*\blatchkey (?:device|pending|pair|maker|realm) .*$/, '');

		text = text.charAt(0).toUpperCase() + text.slice(1);
		return /[.!?]$/.test(text) ? text : text + '.';
	},

	/* What an unknown device has proved, in words. */
	proved(pending) {
		switch (pending.proved) {
		case 'onboarding_key':
			return _('It knows the onboarding key.');
		case 'other_key':
			return _('It used the key of “%s”.').format(pending.key_of);
		case 'certificate':
			return _('It has a certificate of %s.').format(pending.certificate ? pending.certificate.maker : '?');
		case 'identity':
			return _('%s vouches for it.').format(pending.identity ? pending.identity.realm : '?');
		default:
			return _('Nothing yet.');
		}
	},

	/* Why an unknown device waits, in words; those of the daemon where they say more. */
	why(pending) {
		switch (pending.reason) {
		case 'unknown_device':
			return _('It is not registered, and used a key that nobody has.');
		case 'no_pairing':
			return _('It is not registered, and no pairing window was open for it.');
		case 'quarantined':
			return _('It is not registered; it is connected, but kept in quarantine.');
		case 'not_proved':
		case 'none_proved':
			return _('It is not registered, and used none of the keys that wait for their device.');
		case 'not_approved':
		case 'not_listed':
			return _('Its manufacturer is known, but nobody has approved this device.');
		default:
			return pending.why;
		}
	},

	/* A badge. */
	badge(text, kind, title) {
		return E('span', { 'class': 'lk-badge ' + (kind || ''), 'title': title || null }, [ text ]);
	},

	/* An address of a device; one that the device makes up itself is marked. */
	mac(mac, randomised) {
		return randomised
			? E('span', { 'class': 'lk-mac', 'title': _('The device makes up this address itself and may change it.') }, [ mac, ' ', E('span', { 'class': 'lk-badge' }, [ _('random') ]) ])
			: E('span', { 'class': 'lk-mac' }, [ mac ]);
	}
});

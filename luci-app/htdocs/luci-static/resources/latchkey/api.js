'use strict';
'require baseclass';
'require rpc';
'require fs';

/*
 * The daemon, as its ubus object offers it. Every call of a page goes through here, so that there is one place that tells
 * a refusal of the daemon, which says what is wrong and what to do, from a daemon that is not there.
 */

/* The method table: the arguments of each method. */
const METHODS = {
	status: [],
	device_list: [ 'offset', 'limit' ],
	device_show: [ 'name' ],
	device_secret: [ 'name' ],
	device_add: [ 'name', 'profile', 'macs', 'key', 'generate', 'bind', 'max_devices', 'expires', 'eap_psk', 'eap_psk_key', 'nai',
		'certificate', 'p12_password', 'certificates', 'public_keys', 'maker', 'serial_number', 'alt_name', 'ssids', 'aps' ],
	device_credential_add: [ 'name', 'key', 'generate', 'eap_psk', 'eap_psk_key', 'nai', 'certificate', 'p12_password',
		'certificates', 'public_keys', 'maker', 'serial_number', 'alt_name' ],
	device_credential_remove: [ 'name', 'key', 'eap_psk', 'certificate' ],
	device_set: [ 'name', 'set' ],
	device_rotate: [ 'name', 'key', 'eap_psk', 'eap_psk_key' ],
	device_block: [ 'name' ],
	device_unblock: [ 'name' ],
	device_remove: [ 'name' ],
	device_import: [ 'csv' ],
	device_export: [],
	device_export_secrets: [],
	maker_add: [ 'name', 'ca', 'profile', 'admit', 'crls' ],
	maker_list: [],
	maker_show: [ 'name' ],
	maker_set: [ 'name', 'ca', 'profile', 'admit', 'crls' ],
	maker_remove: [ 'name' ],
	maker_import: [ 'bundle', 'signed_by', 'unsigned', 'force', 'profile', 'admit', 'register', 'dry_run' ],
	maker_export: [ 'name', 'realms', 'all' ],
	realm_list: [],
	realm_show: [ 'name' ],
	realm_test: [ 'name' ],
	realm_repoint: [ 'name', 'to', 'secret', 'ca', 'certificate', 'private_key', 'server_name', 'dry_run' ],
	config_reload: [],
	profile_list: [],
	profile_add: [ 'name', 'vlan', 'access', 'allow', 'hours', 'isolate', 'bridge', 'addresses', 'dry_run' ],
	profile_set: [ 'name', 'vlan', 'access', 'allow', 'hours', 'isolate', 'bridge', 'addresses', 'dry_run' ],
	profile_remove: [ 'name', 'dry_run' ],
	ssid_list: [],
	pair_open: [ 'profile', 'minutes', 'ssid', 'name' ],
	pair_stop: [],
	pair_show: [],
	pending_list: [ 'ignored' ],
	pending_approve: [ 'mac', 'name', 'profile', 'certificate' ],
	pending_ignore: [ 'mac' ],
	pending_unignore: [ 'mac' ],
	log: [ 'mac', 'device', 'outcome', 'since', 'limit' ],
	sessions: [ 'offset', 'limit', 'brief' ],
	stations: [ 'offset', 'limit', 'brief' ],
	firewall_show: [],
	ca_show: [],
	ca_export: [],
	ca_issue: [ 'name' ],
	qr: [ 'name', 'ssid' ]
};

/* The pages of a list are asked for one after the other, and never more than this many. */
const MAX_PAGES = 100;

const declared = {};

/* What went wrong. `kind` says who is to act:
 *   refused  the daemon says no, and `code`, `field` and `lines` are its own
 *   gone     there is no daemon
 *   old      the daemon does not know the method: package and pages differ in version
 *   denied   this session may not
 *   slow     there was no answer in time
 *   broken   anything else
 */
function problem(kind, message, more) {
	const error = new Error(message);
	error.name = 'LatchkeyError';
	error.kind = kind;
	return Object.assign(error, { code: kind, field: null, lines: [] }, more);
}

/* Makes of a failed call of LuCI's what it means here. LuCI puts the number into a sentence, and only there. */
function translate(why) {
	if (why && why.name == 'LatchkeyError')
		return why;

	/* LuCI puts the way through its scripts behind the message. */
	const text = ((why && why.message) ? why.message : String(why)).split(/\n\s*at /)[0];
	const ubus = text.match(/ubus code (\d+)/);
	const rpcd = text.match(/error (-\d+)/);

	if ((rpcd && rpcd[1] == '-32002') || (ubus && ubus[1] == '6'))
		return problem('denied', _('You are not permitted to do this: log in with an account that may change the settings.'));

	if (ubus && ubus[1] == '3')
		return problem('old', _('The daemon does not know this request. Update the packages latchkey and luci-app-latchkey together.'));

	if ((rpcd && rpcd[1] == '-32000') || (ubus && (ubus[1] == '4' || ubus[1] == '10')))
		return problem('gone', _('latchkey is not running on this router.'));

	if ((ubus && ubus[1] == '7') || /timed? ?out/i.test(text))
		return problem('slow', _('latchkey did not answer in time. The router may be busy: try again in a moment.'));

	return problem('broken', text);
}

return baseclass.extend({
	/* Calls a method with a table of arguments; those that are null are left out. Rejects with what problem() makes. */
	call(method, params) {
		const names = METHODS[method];

		if (!names)
			return Promise.reject(problem('broken', 'no such method: ' + method));

		for (const name in params)
			if (names.indexOf(name) < 0)
				return Promise.reject(problem('broken', method + ' has no argument ' + name));

		if (!declared[method])
			declared[method] = rpc.declare({ object: 'latchkey', method: method, params: names, reject: true });

		const values = names.map(name => (params && params[name] !== null) ? params[name] : undefined);

		return declared[method].apply(null, values).then(result => {
			if (!L.isObject(result))
				return {};

			const error = result.error;

			if (L.isObject(error) && error.message)
				throw problem('refused', error.message, { code: error.code, field: error.field || null, lines: L.toArray(error.lines) });

			return result;
		}).catch(why => { throw translate(why); });
	},

	/* All pages of a list: `key` names the list in the results. The revision is that of the first page: when there was a change
	 * between two of them, it is not the present one any more. */
	all(method, key, params) {
		const found = [];
		let revision;

		const next = pages => this.call(method, Object.assign({ offset: found.length }, params)).then(result => {
			const page = L.toArray(result[key]);

			if (pages == 1)
				revision = result.revision;

			found.push.apply(found, page);

			if (page.length && found.length < (result.total || 0) && pages < MAX_PAGES)
				return next(pages + 1);

			return Object.assign({}, result, { [key]: found, revision });
		});

		return next(1);
	},

	/* True when this session may change something. */
	mayWrite() {
		return L.hasViewPermission() === true;
	},

	/* What can be chosen from: the profiles, and the networks. A reader who may not ask gets empty lists. */
	choices() {
		return Promise.all([
			L.resolveDefault(this.call('profile_list'), {}),
			L.resolveDefault(this.call('ssid_list'), {})
		]).then(([ profiles, ssids ]) => ({
			profiles: L.toArray(profiles.profiles),
			ssids: L.toArray(ssids.ssids)
		}));
	},

	/* What the program says of this router, for as long as no daemon runs; null when that cannot be asked. */
	openwrtStatus() {
		return fs.exec('/usr/sbin/latchkey', [ 'openwrt', 'status', '--json' ]).then(result => {
			if (!result || result.code)
				return null;

			return JSON.parse(result.stdout);
		}).catch(() => null);
	},

	translate
});

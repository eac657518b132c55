'use strict';
'require baseclass';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';

/* Credentials on the screen: keys with their QR codes, and what is fed into a device by other ways. Secrets come here by a
 * person's click only, and are nowhere kept. */

/* The networks that a key can be used in: not those for EAP only, and not where the device may not be. */
function networks(ssids, device) {
	const allowed = L.toArray(device && device.ssids);

	return ssids.filter(s => s.ssid && s.security != 'enterprise' && s.security != 'wired' && (!allowed.length || allowed.indexOf(s.ssid) >= 0));
}

/* The light margin around a QR code, in modules (ISO/IEC 18004). */
const QUIET = 4;

/* Octets of a text of hexadecimal digits. */
function octets(hex) {
	const found = new Uint8Array(hex.length >> 1);

	for (let i = 0; i < found.length; i++)
		found[i] = parseInt(hex.substr(2 * i, 2), 16);

	return found;
}

return baseclass.extend({
	/* A QR code, from the rows of its modules as the daemon gives them. */
	code(matrix, label) {
		const size = String(matrix.length + 2 * QUIET);
		const node = (name, attributes) => {
			const made = document.createElementNS('http://www.w3.org/2000/svg', name);

			for (const key in attributes)
				made.setAttribute(key, attributes[key]);

			return made;
		};
		let dark = '';

		/* One rectangle for each run of dark modules. */
		matrix.forEach((row, y) => {
			for (const run of row.matchAll(/1+/g))
				dark += 'M%d %dh%dv1h-%dz'.format(run.index + QUIET, y + QUIET, run[0].length, run[0].length);
		});

		const svg = node('svg', { 'viewBox': '0 0 ' + size + ' ' + size, 'width': size, 'height': size, 'shape-rendering': 'crispEdges' });

		svg.appendChild(node('rect', { 'width': size, 'height': size, 'fill': '#fff' }));
		svg.appendChild(node('path', { 'd': dark, 'fill': '#000' }));

		return E('div', { 'class': 'lk-qr' }, [ E('span', { 'role': 'img', 'aria-label': label }, [ svg ]) ]);
	},

	/* A Wi-Fi key: the network to choose, the QR code, the key. Resolves to nodes. */
	wifi(device, key, ssids) {
		const fitting = networks(ssids, device);
		const place = E('div', { 'aria-live': 'polite' });
		const choice = fitting.length > 1
			? E('p', {}, [ E('label', { 'class': 'lk-choice' }, [ _('Network'), E('select', { 'class': 'cbi-input-select', 'change': ev => draw(ev.target.value) },
				fitting.map(s => E('option', { 'value': s.ssid }, [ s.ssid ]))) ]) ])
			: '';

		const draw = ssid => api.call('qr', { name: device.name, ssid }).then(answer => [
			this.code(L.toArray(answer.matrix), _('QR code for %s').format(ssid)),
			E('p', { 'class': 'center' }, [ _('Scan this with the device to join “%s”.').format(ssid) ])
		], why => [ E('p', { 'class': 'lk-error', 'role': 'alert' }, [ api.translate(why).message ]) ]).then(nodes => {
			while (place.firstChild)
				place.removeChild(place.firstChild);

			nodes.forEach(node => place.appendChild(node));
		});

		const nodes = [ choice, place, E('p', {}, [ fitting.length ? _('Or type this key in:') : _('The key of the device:') ]), widgets.copyable(key, _('the key')) ];

		if (!fitting.length)
			nodes.unshift(E('div', { 'class': 'alert-message warning' }, [
				E('p', {}, [ _('No Wi-Fi network uses these keys yet, so there is nothing to scan.') ]),
				E('p', {}, [ E('a', { 'href': widgets.link('setup') }, [ _('Set up a network') ]) ])
			]));

		return (fitting.length ? draw(fitting[0].ssid) : Promise.resolve()).then(() => nodes);
	},

	/* An EAP-PSK key. */
	psk(psk) {
		return [
			E('h5', {}, [ _('EAP-PSK') ]),
			E('p', {}, [ _('Feed these into the device:') ]),
			widgets.facts([
				[ _('Identity'), widgets.copyable(psk.identity, _('the identity')) ],
				[ _('Key (16 octets)'), widgets.copyable(psk.key, _('the key')) ]
			]),
			E('details', {}, [ E('summary', {}, [ _('For a device with Linux (wpa_supplicant)') ]), widgets.copyable(psk.wpa_supplicant, _('the configuration'), true) ])
		];
	},

	/* A certificate that was just issued, with its private key. */
	issued(device, issued) {
		const file = (name, content, type, label) => E('p', {}, [ widgets.button(label, { kind: 'download', click: () => widgets.download(name, content, type) }) ]);

		return [
			E('h5', {}, [ _('Certificate') ]),
			E('div', { 'class': 'alert-message warning' }, [ E('p', {}, [ _('The private key is shown this once, and kept nowhere. Download it before you close this.') ]) ]),
			file(device.name + '.p12', octets(issued.p12), 'application/x-pkcs12', _('Download %s').format(device.name + '.p12')),
			issued.p12_password ? widgets.facts([ [ _('Password of the file'), widgets.copyable(issued.p12_password, _('the password')) ] ]) : '',
			E('details', {}, [
				E('summary', {}, [ _('As single files, and for a device with Linux') ]),
				file(device.name + '.pem', issued.certificate, null, _('Certificate')),
				file(device.name + '.key', issued.private_key, null, _('Private key')),
				file('ca.pem', issued.ca, null, _('CA of the network')),
				issued.wpa_supplicant ? widgets.copyable(issued.wpa_supplicant, _('the configuration'), true) : ''
			])
		];
	},

	/* Shows everything a result holds: `key`, `eap_psk`, `issued`, `eap_tls`. */
	dialog(title, intro, result, ssids, after) {
		const device = result.device || {};
		const close = [ widgets.closer(_('Done'), after) ];

		return (result.key ? this.wifi(device, result.key, ssids) : Promise.resolve([])).then(wifi => {
			const nodes = [ intro ? E('p', {}, [ intro ]) : '' ].concat(
				wifi,
				result.eap_psk ? this.psk(result.eap_psk) : [],
				result.issued ? this.issued(device, result.issued) : [],
				result.eap_tls ? [ E('details', {}, [ E('summary', {}, [ _('Certificate: for a device with Linux (wpa_supplicant)') ]), widgets.copyable(result.eap_tls, _('the configuration'), true) ]) ] : []);

			widgets.dialog(title, nodes, close);
		});
	},

	/* Fetches the secrets of a device and shows them. What keeps it from that is said in `trouble`, the place for it in the dialog
	 * that this was asked for in; without one, in the page. */
	reveal(name, ssids, trouble) {
		const say = (kind, text) => { trouble ? trouble.say(text) : widgets.notify(kind, [ text ]); };

		return api.call('device_secret', { name }).then(result => {
			if (!result.key && !result.eap_psk && !result.eap_tls)
				return say('warning', _('“%s” has no key of its own to be shown.').format(name));

			return this.dialog(_('Key of %s').format(name), null, result, ssids);
		}).catch(why => { say('error', api.translate(why).message); });
	},

	networks
});

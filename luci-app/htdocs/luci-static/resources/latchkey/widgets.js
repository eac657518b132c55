'use strict';
'require baseclass';
'require ui';
'require poll';
'require latchkey.api as api';
'require latchkey.table as tables';

/*
 * What the pages are built from: notices, buttons, dialogs with fields, tables that change in place, and the frame of a
 * page that goes on by itself when the daemon comes back.
 *
 * Texts from the air (names, SSIDs, subjects of certificates) are somebody else's: they go into the page as lists of text
 * only, [ text ], never as a bare string, which LuCI takes for HTML.
 */

let ids = 0;

function newId(what) {
	return 'lk-%s-%d'.format(what, ++ids);
}

return baseclass.extend({
	/* Loads the style sheet once; resolves when it is there, or when it will not come. */
	style() {
		if (!this.styled)
			this.styled = new Promise(resolve => {
				document.head.appendChild(E('link', {
					'rel': 'stylesheet',
					'href': L.resource('latchkey/latchkey.css'),
					'load': resolve,
					'error': resolve
				}));
			});

		return this.styled;
	},

	/* The address of another of our pages. */
	link(page) {
		return L.url('admin/services/latchkey', page);
	},

	/* A sentence with nodes in it, each in the place of a %s: links, whose place in the sentence a translation chooses. */
	sentence(text, nodes) {
		return [].concat.apply([], text.split('%s').map((part, i) => (i ? [ nodes[i - 1], part ] : [ part ])));
	},

	/* A notice at the top: `kind` is info, warning or error. What went well goes away by itself. */
	notify(kind, children) {
		const text = E('p', {}, L.toArray(children));
		const notice = (kind == 'info' && ui.addTimeLimitedNotification)
			? ui.addTimeLimitedNotification(null, [ text ], 6000, 'info')
			: ui.addNotification(null, [ text ], kind == 'error' ? 'danger' : kind);

		notice.classList.add('lk-notice');
		notice.setAttribute('role', kind == 'error' ? 'alert' : 'status');
		return notice;
	},

	/* Says how a change ended: `done` on success, the reason otherwise. Resolves to the result, or to nothing. */
	report(promise, done) {
		return promise.then(result => {
			if (done)
				this.notify('info', [ typeof(done) == 'function' ? done(result) : done ]);
			return result;
		}, why => {
			this.notify('error', [ api.translate(why).message ]);
		});
	},

	/* A button. With `write` it is off for those who may only look, and says why. `click` may return a promise: the button
	 * waits for it. `kind` is one of LuCI's: action, positive, negative, neutral, apply; with ' important'. */
	button(label, options) {
		const locked = options.write && !api.mayWrite();
		const attributes = {
			'type': options.type || 'button',
			'class': 'btn cbi-button cbi-button-' + (options.kind || 'neutral'),
			'title': locked ? _('You are logged in with an account that may only look.') : (options.title || null),
			'aria-label': options.label || null,
			'disabled': (locked || options.disabled) ? 'disabled' : null
		};

		if (options.click)
			attributes.click = ui.createHandlerFn(options.self || this, options.click);

		return E('button', attributes, [ label ]);
	},

	/* An id that no other element has. */
	newId,

	/* Opens a dialog. `buttons` are shown at the bottom, the one that closes it first. The keyboard stays inside. */
	dialog(title, children, buttons, wide) {
		const before = this.opener || document.activeElement;
		const body = E('div', { 'class': 'lk-dialog' }, children);
		const node = ui.showModal([ title ], [ body, E('div', { 'class': 'right lk-buttons' }, buttons) ], wide ? 'lk-wide' : 'lk-modal');

		this.opener = before;
		this.modal = node;
		node.setAttribute('aria-label', title);

		if (!node.hasAttribute('data-lk')) {
			node.setAttribute('data-lk', '');
			node.addEventListener('keydown', ev => {
				const all = ev.key == 'Tab' ? tables.focusable(node) : [];
				const last = all[all.length - 1];

				if (all.length && ev.target == (ev.shiftKey ? all[0] : last)) {
					ev.preventDefault();
					(ev.shiftKey ? last : all[0]).focus();
				}
			});
		}

		const first = tables.focusable(body)[0] || tables.focusable(node)[0];

		if (first)
			first.focus();

		return node;
	},

	/* Closes the dialog, and puts the keyboard back where it was. LuCI only hides it: what was in it, keys among it, goes. */
	close() {
		ui.hideModal();

		while (this.modal && this.modal.firstChild)
			this.modal.removeChild(this.modal.firstChild);

		const before = this.opener;
		this.opener = null;

		if (before && before.isConnected && before.focus)
			before.focus();
	},

	/* The button that closes a dialog. */
	closer(label, after) {
		return this.button(label || _('Cancel'), { click: () => {
			this.close();

			if (after)
				after();
		} });
	},

	/* Asks before something is done that cannot be undone. `act` returns a promise; a refusal is shown in the dialog. */
	confirm(title, children, label, act, kind) {
		const trouble = this.trouble();

		this.dialog(title, [ E('div', {}, children), trouble ], [
			this.closer(),
			this.button(label, { kind: kind || 'negative important', click: () => act().then(() => this.close(), why => {
				trouble.say(api.translate(why).message);
			}) })
		]);
	},

	/* A place for what went wrong: say(text), or say('') to empty it. */
	trouble() {
		const node = E('div', { 'class': 'alert-message danger lk-trouble hidden', 'role': 'alert' });

		node.say = text => {
			node.textContent = text;
			node.classList.toggle('hidden', !text);
		};

		return node;
	},

	/* One field of a form. `options`: name (the daemon's argument; `also` is another name it goes by in refusals), label, hint, and either input (a node), or
	 * choices ([ value, text ] each), or the type, value, placeholder, maxlength and so on of an input. */
	field(options) {
		const id = newId('field');
		let input = options.input;

		if (!input && options.choices)
			input = E('select', { 'class': 'cbi-input-select' }, options.choices.map(([ value, text ]) =>
				E('option', { 'value': value, 'selected': value === options.value ? 'selected' : null }, [ text ])));
		else if (!input)
			input = E('input', {
				'type': options.type || 'text',
				'class': options.type == 'checkbox' ? 'cbi-input-checkbox' : 'cbi-input-text',
				'value': options.type == 'checkbox' ? null : options.value,
				'checked': (options.type == 'checkbox' && options.value) ? 'checked' : null,
				'placeholder': options.placeholder || null,
				'maxlength': options.maxlength || null,
				'min': options.min,
				'max': options.max,
				'autocomplete': 'off',
				'autocapitalize': 'off',
				'spellcheck': 'false'
			});

		input.id = id;
		input.name = options.name;
		input.setAttribute('aria-describedby', id + '-hint ' + id + '-error');

		const error = E('div', { 'class': 'lk-error hidden', 'id': id + '-error', 'role': 'alert' });
		const row = E('div', { 'class': 'cbi-value lk-field' }, [
			E('label', { 'class': 'cbi-value-title', 'for': id }, [ options.label ]),
			E('div', { 'class': 'cbi-value-field' }, [
				input,
				options.hint ? E('div', { 'class': 'lk-hint', 'id': id + '-hint' }, [ options.hint ]) : '',
				error
			])
		]);

		return Object.assign(row, {
			name: options.name,
			also: options.also,
			input,
			get: () => (input.type == 'checkbox' ? input.checked : input.value.trim()),
			say: text => {
				error.textContent = text;
				error.classList.toggle('hidden', !text);
				input.classList.toggle('cbi-input-invalid', !!text);
				input.setAttribute('aria-invalid', text ? 'true' : 'false');
			}
		});
	},

	/* The field for the name of a device. What a person writes with blanks gets hyphens. */
	nameField(value, hint) {
		const field = this.field({ name: 'name', label: _('Name'), value: value, maxlength: 32, placeholder: _('for example: kitchen-lamp'),
			hint: hint || _('Letters, digits, dots, hyphens and underscores.') });

		field.input.addEventListener('change', () => { field.input.value = field.get().replace(/\s+/g, '-'); });
		field.get = () => field.input.value.trim().replace(/\s+/g, '-');
		return field;
	},

	/* A dialog that asks: `children` are made by field(), other nodes may stand between them; fields inside of those are listed in
	 * `options.fields`. `submit(values)` returns a promise; when
	 * the daemon refuses, what it says stands at the field that it names. */
	ask(title, children, label, submit, options) {
		const fields = children.filter(c => c.say && c.name).concat((options && options.fields) || []);
		const trouble = this.trouble();
		const form = E('form', { 'class': 'lk-form', 'novalidate': 'novalidate' }, children.concat([ trouble ]));
		const go = this.button(label, { kind: 'positive important', click: () => {
			const values = {};

			trouble.say('');
			fields.forEach(field => {
				field.say('');
				values[field.name] = field.get();
			});

			return Promise.resolve().then(() => submit(values)).catch(why => {
				const error = api.translate(why);
				const at = fields.filter(field => field.name == error.field || field.also == error.field)[0];

				if (options && options.failed)
					options.failed(error, at);

				if (at && at.offsetParent) {
					at.say(error.message);
					at.input.focus();
				}
				else {
					trouble.say(error.message);
				}
			});
		} });

		/* Enter in a field does what the button does. */
		form.addEventListener('submit', ev => {
			ev.preventDefault();

			if (!go.disabled)
				go.click();
		});
		form.appendChild(E('button', { 'type': 'submit', 'class': 'hidden', 'tabindex': '-1', 'aria-hidden': 'true' }, [ label ]));

		return this.dialog(title, [ form ], [ this.closer(), go ], options && options.wide);
	},

	/* A value that can be copied: a key, an address, a file. */
	copyable(text, label, block) {
		const value = E(block ? 'pre' : 'code', { 'class': 'lk-value' }, [ text ]);
		const button = this.button(_('Copy'), { label: _('Copy %s').format(label), click: () => this.copy(text, value).then(copied => {
			button.textContent = copied ? _('Copied') : _('Press Ctrl+C');
			window.setTimeout(() => { button.textContent = _('Copy'); }, 2500);
		}) });

		return E('div', { 'class': block ? 'lk-copy lk-block' : 'lk-copy' }, [ value, button ]);
	},

	/* Puts a text into the clipboard. Without TLS a browser keeps it from us: then the text is selected at least. */
	copy(text, node) {
		const select = () => {
			const selection = window.getSelection();
			selection.removeAllRanges();

			const range = document.createRange();
			range.selectNodeContents(node);
			selection.addRange(range);

			try { return document.execCommand('copy'); }
			catch (e) { return false; }
		};

		if (window.navigator.clipboard && window.isSecureContext)
			return window.navigator.clipboard.writeText(text).then(() => true, select);

		return Promise.resolve(select());
	},

	/* Hands a file to whoever reads: `content` is text or octets. */
	download(name, content, type) {
		const url = URL.createObjectURL(new Blob([ content ], { type: type || 'text/plain' }));
		const link = E('a', { 'href': url, 'download': name });

		document.body.appendChild(link);
		link.click();
		link.remove();
		window.setTimeout(() => URL.revokeObjectURL(url), 60000);
	},

	/* The files that a person picks, as text, through a hidden input. */
	pickFile(accept) {
		return new Promise(resolve => {
			const input = E('input', { 'type': 'file', 'accept': accept, 'class': 'hidden', 'change': () => {
				const file = input.files[0];
				input.remove();
				resolve(file ? file.text().then(text => ({ name: file.name, text })) : null);
			} });

			document.body.appendChild(input);
			input.click();
		});
	},

	/* A list of terms and what they are: [ term, node or text ], those without a value left out. */
	facts(list) {
		return E('dl', { 'class': 'lk-facts' }, list.filter(([ , value ]) => value != null && value !== '').map(([ term, value ]) =>
			E('div', {}, [ E('dt', {}, [ term ]), E('dd', {}, Array.isArray(value) ? value : [ value ]) ])));
	},

	/* What is shown in place of an empty list: what there is not, and what to do next. */
	empty(title, children) {
		return E('div', { 'class': 'lk-empty' }, [ E('h4', {}, [ title ]) ].concat(children));
	},

	/*
	 * A table that changes in place. `columns`: { title, cell(row), sort(row), class }; `options`: key(row), print(row) (a text
	 * that changes when the row has to be drawn anew), label, sort (the column it begins with) and down, empty().
	 *
	 * update(rows) draws what changed and leaves the rest, so that the keyboard stays where it is.
	 */
	table(columns, options) {
		return tables.make(this, columns, options);
	},

	/* Shows in `place` what is not as it should be, of the daemon's status. */
	troubles(place, status) {
		const config = status.config || {}, registry = status.registry || {}, clock = status.clock || {};
		const found = [];

		if (config.error)
			found.push(_('The settings could not be read, and those from before are in force: %s').format(config.error));
		if (registry.damaged)
			found.push(_('The list of devices was damaged (%s) and was restored from %s.').format(registry.damaged.reason, registry.damaged.restored_from || _('nothing')));
		if (registry.failure)
			found.push(_('Changes cannot be stored: %s').format(registry.failure));
		if (clock.trouble)
			found.push(clock.trouble);

		L.toArray(status.troubles).forEach(t => found.push('%s: %s'.format(t.about, t.why)));

		const print = found.join('\n');

		if (place.print == print)
			return;

		place.print = print;

		while (place.firstChild)
			place.removeChild(place.firstChild);

		if (found.length)
			place.appendChild(E('div', { 'class': 'alert-message warning', 'role': 'status' }, [
				E('h4', {}, [ N_(found.length, 'Something needs your attention', 'Some things need your attention') ]),
				E('ul', {}, found.map(text => E('li', {}, [ text ])))
			]));
	},

	/* What a page shows when the daemon cannot be asked. */
	unavailable(error) {
		const box = children => E('div', { 'class': 'cbi-section lk-empty lk-unavailable', 'role': 'alert' }, children);
		const command = text => E('pre', { 'class': 'lk-value' }, [ text ]);

		switch (error.kind) {
		case 'denied':
			return Promise.resolve(box([
				E('h4', {}, [ _('You are not permitted to see this') ]),
				E('p', {}, [ _('Log in as root, or let an administrator give your account access to luci-app-latchkey.') ])
			]));

		case 'gone':
			return api.openwrtStatus().then(status => {
				const off = status && status.latchkey && status.latchkey.enabled === false;

				return box(off ? [
					E('h4', {}, [ _('latchkey is not set up yet') ]),
					E('p', {}, [ _('Choose the Wi-Fi network that your devices are to join. Setup shows what will change before anything changes.') ]),
					E('p', {}, [ E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': this.link('setup') }, [ _('Set it up') ]) ])
				] : [
					E('h4', {}, [ _('latchkey is not running') ]),
					E('p', {}, [ _('Devices that are connected stay so; new ones are not let in until it runs again. If you have not set it up yet, do that first:') ]),
					E('p', {}, [ E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': this.link('setup') }, [ _('Go to Setup') ]) ]),
					E('p', {}, [ _('To start it from a terminal, and at every boot:') ]),
					command('/etc/init.d/latchkey enable\n/etc/init.d/latchkey start'),
					E('p', {}, [ _('If it stops again, the system log says why:') ]),
					command('logread -e latchkey'),
					E('p', { 'class': 'lk-hint' }, [ _('This page goes on by itself as soon as it runs.') ])
				]);
			});

		default:
			return Promise.resolve(box([ E('h4', {}, [ _('latchkey could not be asked') ]), E('p', {}, [ error.message ]) ]));
		}
	},

	/*
	 * The frame of a page: `refresh()` asks the daemon and rejects when it cannot, `build()` makes the content once it could,
	 * `update()` brings it up to date. Asked again every `interval` seconds, but not while nobody looks.
	 */
	live(options) {
		const stale = E('div', { 'class': 'alert-message warning lk-stale hidden', 'role': 'status' });
		const place = E('div', { 'class': 'lk-place' });
		const node = E('div', { 'class': 'lk-page' }, [
			E('h2', {}, [ options.title ]),
			E('div', { 'class': 'cbi-map-descr' }, [ options.intro ]),
			api.mayWrite() ? '' : E('p', { 'class': 'lk-hint' }, [ _('You are logged in with an account that may only look: nothing can be changed here, and keys are not shown.') ]),
			stale, place
		]);
		let built = false, why = null;

		const put = content => {
			while (place.firstChild)
				place.removeChild(place.firstChild);

			place.appendChild(content);
		};

		node.refresh = () => options.refresh().then(() => {
			stale.classList.add('hidden');
			why = null;

			if (!built) {
				put(options.build());
				built = true;
			}

			options.update();
		}).catch(error => {
			const found = api.translate(error);

			/* An error of the page itself: it has to be seen. */
			if (found.kind == 'broken' && error instanceof TypeError)
				window.console.error(error);

			/* An answer that did not come leaves what is known in the page. */
			if (built && found.kind != 'gone' && found.kind != 'denied') {
				stale.textContent = _('This is not up to date: %s').format(found.message);
				stale.classList.remove('hidden');
				return;
			}

			built = false;

			if (why == found.kind)
				return;

			why = found.kind;

			return this.unavailable(found).then(put);
		});

		poll.add(() => (document.hidden || !node.isConnected) ? Promise.resolve() : node.refresh(), options.interval || 5);

		return Promise.all([ this.style(), node.refresh() ]).then(() => node);
	}
});

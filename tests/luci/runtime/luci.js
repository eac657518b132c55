/*
 * A stand-in for LuCI's runtime in the browser: only what the pages of luci-app-latchkey may use, with the behaviour that
 * matters to them. What LuCI offers beyond this is left out on purpose, so that a page that needs it fails here.
 *
 * Kept as in LuCI: a string given as the content of an element is HTML, a list of strings is text; createHandlerFn marks and
 * disables its button meanwhile; a poll does not overlap itself; rpc.declare with `reject` raises the texts of LuCI.
 */
(function(window, document) {
	'use strict';

	const env = window.STAND_IN_ENV;

	/* Any text in the page that did not go through here is recognised by its missing mark. A catalogue has no white space at the ends. */
	window._ = text => (env.pseudo ? '⟦' + String(text).replace(/\s+/g, ' ').trim() + '⟧' : String(text));
	window.N_ = (n, singular, plural) => window._(n == 1 ? singular : plural);

	const escapeHTML = text => String(text).replace(/[&<>"']/g, c => '&#' + c.charCodeAt(0) + ';');

	Object.defineProperty(String.prototype, 'format', {
		value: function(...args) {
			let at = 0;
			return this.replace(/%(%|(0?)(\d*)(?:\.(\d+))?([sdhfx]))/g, (all, what, zero, width, digits, kind) => {
				if (what == '%')
					return '%';

				const value = args[at++];
				let text;

				switch (kind) {
				case 'd': text = String(Math.floor(+value || 0)); break;
				case 'f': text = (+value || 0).toFixed(digits != null ? +digits : 6); break;
				case 'x': text = Math.floor(+value || 0).toString(16); break;
				case 'h': text = escapeHTML(value); break;
				default: text = String(value);
				}

				return text.padStart(+width || 0, zero ? '0' : ' ');
			});
		}
	});

	class Class {
		constructor(...args) {
			if (this.__init__)
				this.__init__(...args);
		}

		static extend(properties) {
			class Derived extends this {}

			for (const [ name, property ] of Object.entries(properties))
				Object.defineProperty(Derived.prototype, name, { value: property, writable: true, enumerable: true });

			return Derived;
		}

		static singleton(properties) {
			return new (this.extend(properties))();
		}
	}

	const dom = {
		elem: e => (typeof(e) == 'object' && e !== null && 'nodeType' in e),

		append(node, children) {
			if (Array.isArray(children)) {
				for (const child of children)
					if (dom.elem(child))
						node.appendChild(child);
					else if (child !== null && child !== undefined)
						node.appendChild(document.createTextNode(String(child)));
			}
			else if (typeof(children) == 'function') {
				dom.append(node, children(node));
			}
			else if (dom.elem(children)) {
				node.appendChild(children);
			}
			else if (children !== null && children !== undefined) {
				node.innerHTML = String(children);
			}

			return node.lastChild;
		},

		content(node, children) {
			while (node.firstChild)
				node.removeChild(node.firstChild);

			return dom.append(node, children);
		},

		attr(node, attributes) {
			for (const [ name, value ] of Object.entries(attributes ?? {})) {
				if (value == null)
					continue;

				if (typeof(value) == 'function')
					node.addEventListener(name, value);
				else
					node.setAttribute(name, typeof(value) == 'object' ? JSON.stringify(value) : value);
			}
		},

		create(html, attributes, children) {
			if (!(attributes instanceof Object) || Array.isArray(attributes)) {
				children = attributes;
				attributes = null;
			}

			let node;

			if (Array.isArray(html)) {
				node = document.createDocumentFragment();
				dom.append(node, html);
			}
			else if (dom.elem(html)) {
				node = html;
			}
			else if (html.startsWith('<')) {
				node = new DOMParser().parseFromString(html, 'text/html').body.firstChild;
			}
			else {
				node = document.createElement(html);
			}

			dom.attr(node, attributes);
			dom.append(node, children);

			return node;
		},

		parent: (node, selector) => node.closest(selector),
		matches: (node, selector) => dom.elem(node) && node.matches(selector),
		isEmpty: node => !node?.firstElementChild
	};

	window.E = dom.create;

	const poll = {
		queue: [],
		tick: 0,

		add(fn, interval) {
			if (poll.queue.some(e => e.fn === fn))
				return false;

			poll.queue.push({ fn, interval: (interval || 5) >>> 0, idle: true });
			return true;
		},

		remove(fn) {
			const before = poll.queue.length;
			poll.queue = poll.queue.filter(e => e.fn !== fn);
			return poll.queue.length != before;
		},

		step() {
			for (const entry of poll.queue) {
				if ((poll.tick % entry.interval) != 0 || !entry.idle)
					continue;

				entry.idle = false;
				Promise.resolve(entry.fn()).finally(() => { entry.idle = true; });
			}

			poll.tick++;
		},

		active: () => poll.timer != null,

		start() {
			if (poll.active())
				return false;

			poll.tick = 0;
			/* A second of LuCI is shorter here, so that the tests do not wait. */
			poll.timer = window.setInterval(poll.step, 1000 / env.speed);
			poll.step();
			return true;
		},

		stop() {
			if (!poll.active())
				return false;

			window.clearInterval(poll.timer);
			delete poll.timer;
			return true;
		}
	};

	/* Calls of one turn of the event loop travel in one request, as in LuCI. */
	let batch = null;
	let calls = 0;

	function send(message) {
		if (batch == null) {
			batch = [];
			window.setTimeout(() => {
				const sent = batch;
				batch = null;

				fetch(env.ubus_url, { method: 'POST', body: JSON.stringify(sent.map(e => e.message)) }).then(response => {
					if (!response.ok)
						throw new Error('HTTP error %d: %s'.format(response.status, response.statusText));
					return response.json();
				}).then(replies => sent.forEach((e, i) => e.resolve(replies[i])), why => sent.forEach(e => e.reject(why)));
			}, 0);
		}

		return new Promise((resolve, reject) => batch.push({ message, resolve, reject }));
	}

	const statusText = [ 'Command OK', 'Invalid command', 'Invalid argument', 'Method not found', 'Resource not found', 'No data received',
		'Permission denied', 'Request timeout', 'Not supported', 'Unspecified error', 'Connection lost' ];

	const rpc = {
		getSessionID: () => env.sessionid,
		getStatusText: code => statusText[code] ?? 'Unknown error code',

		declare(options) {
			return async function(...args) {
				const params = {};
				(options.params ?? []).forEach((name, i) => { params[name] = args[i]; });

				const where = options.object + '/' + options.method;
				const reply = await send({ jsonrpc: '2.0', id: ++calls, method: 'call', params: [ env.sessionid, options.object, options.method, params ] });

				if (reply?.error)
					throw new Error('RPC call to %s failed with error %d: %s'.format(where, reply.error.code, reply.error.message));

				const [ code, data ] = reply.result;

				if (options.reject && code !== 0)
					throw new Error('RPC call to %s failed with ubus code %d: %s'.format(where, code, rpc.getStatusText(code)));

				let result = data ?? code;

				for (const key in options.expect) {
					const wanted = options.expect[key];

					if (key != '')
						result = result?.[key];

					if (result == null || Object.prototype.toString.call(result) != Object.prototype.toString.call(wanted))
						result = wanted;
				}

				return options.filter ? options.filter(result, params, ...args.slice(options.params?.length ?? 0)) : result;
			};
		}
	};

	const fileExec = rpc.declare({ object: 'file', method: 'exec', params: [ 'command', 'params', 'env' ], reject: true });
	const fileRead = rpc.declare({ object: 'file', method: 'read', params: [ 'path' ], expect: { data: '' }, reject: true });

	const fs = {
		exec: (command, params, environment) => fileExec(command, params, environment),
		exec_direct: (command, params) => fileExec(command, params).then(result => result.stdout ?? ''),
		read: path => fileRead(path)
	};

	const overlay = () => document.getElementById('modal_overlay');

	const ui = {
		showModal(title, children, ...classes) {
			const dialog = overlay().firstElementChild;

			dialog.setAttribute('class', 'modal');
			dialog.classList.add(...classes);
			dom.content(dialog, dom.create('h4', {}, title));
			dom.append(dialog, children);
			document.body.classList.add('modal-overlay-active');
			overlay().scrollTop = 0;
			overlay().focus();

			return dialog;
		},

		hideModal() {
			document.body.classList.remove('modal-overlay-active');
			overlay().blur();
		},

		addNotification(title, children, ...classes) {
			const message = dom.create('div', { 'class': 'alert-message fade-in', 'style': 'display:flex' }, [
				dom.create('div', { 'style': 'flex:10' }),
				dom.create('div', { 'style': 'flex:1 1 auto; display:flex' }, [
					dom.create('button', {
						'class': 'btn',
						'style': 'margin-left:auto; margin-top:auto',
						'click': () => message.remove()
					}, [ window._('Dismiss') ])
				])
			]);

			if (title != null)
				dom.append(message.firstElementChild, dom.create('h4', {}, title));

			dom.append(message.firstElementChild, children);
			message.classList.add(...classes);

			const main = document.querySelector('#maincontent');
			main.insertBefore(message, main.firstElementChild);

			return message;
		},

		addTimeLimitedNotification(title, children, timeout, ...classes) {
			const message = ui.addNotification(title, children, ...classes);

			if (timeout > 0)
				window.setTimeout(() => message.remove(), timeout);

			return message;
		},

		createHandlerFn(ctx, fn, ...args) {
			if (typeof(fn) == 'string')
				fn = ctx[fn];

			if (typeof(fn) != 'function')
				return null;

			return function(ev) {
				const target = ev.currentTarget;

				target.classList.add('spinning');
				target.disabled = true;
				target.blur?.();

				Promise.resolve(fn.call(ctx, ...args, ev)).finally(() => {
					target.classList.remove('spinning');
					target.disabled = false;
				});
			};
		},

		instantiateView(path) {
			return L.require('view.' + path.replace(/\//g, '.')).catch(error => {
				dom.content(document.querySelector('#view'), null);
				L.error(error);
			});
		}
	};

	let loaded;
	const ready = new Promise(resolve => { loaded = resolve; });

	const View = Class.extend({
		__init__() {
			const place = document.getElementById('view');
			dom.content(place, dom.create('div', { 'class': 'spinning' }, window._('Loading view…')));

			ready.then(() => this.load()).then(data => this.render(data)).then(nodes => {
				dom.content(place, nodes);

				if (this.handleSave || this.handleSaveApply || this.handleReset)
					dom.append(place, dom.create('div', { 'class': 'cbi-page-actions' }, [ 'Save & Apply' ]));
			}).catch(error => L.error(error));
		},

		load() {},
		render() {},
		handleSave() {},
		handleSaveApply() {},
		handleReset() {}
	});

	const classes = { baseclass: Class, dom, poll, rpc, fs, ui, view: View };

	const L = window.L = {
		env,
		Class,
		dom,
		ui,
		bind: (fn, self, ...args) => fn.bind(self, ...args),
		isObject: value => (value !== null && typeof(value) == 'object'),
		toArray: value => (Array.isArray(value) ? value : (value == null ? [] : (typeof(value) == 'string' ? value.split(/\s+/) : [ value ]))),
		resolveDefault: (promise, fallback) => Promise.resolve(promise).catch(() => fallback),
		resource: (...parts) => [ env.resource ].concat(parts).join('/'),
		url: (...parts) => [ env.scriptname ].concat(parts).join('/'),
		hasSystemFeature: () => false,

		hasViewPermission() {
			if (!L.isObject(env.nodespec) || !env.nodespec.satisfied)
				return null;

			return !env.nodespec.readonly;
		},

		raise(type, format, ...args) {
			const error = new Error(format ? String(format).format(...args) : 'Unspecified error');
			error.name = type || 'Error';
			throw error;
		},

		error(error) {
			const text = error instanceof Error ? '%s: %s'.format(error.name, error.message) : String(error);
			window.STAND_IN_ERROR = text;
			window.console.error(text, error);
			ui.addNotification(window._('Runtime error'), dom.create('pre', {}, [ text ]), 'danger');
		},

		async require(name) {
			classes[name] ??= (async () => {
				const url = '%s/%s.js'.format(env.resource, name.replace(/\./g, '/'));
				const response = await fetch(url);

				if (!response.ok)
					throw new Error('HTTP error %d while loading class file "%s"'.format(response.status, url));

				const source = await response.text();
				const head = /^(?:\s+|\/\/[^\n]*\n|\/\*[^]*?\*\/|(['"])(use strict|require [^'"]+)\1;?)+/.exec(source)?.[0] ?? '';
				const wanted = [ ...head.replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, '').matchAll(/(['"])require[ \t]+(\S+?)(?:[ \t]+as[ \t]+([a-zA-Z_]\S*?))?\1/g) ];
				const instances = await Promise.all(wanted.map(m => L.require(m[2])));
				const names = wanted.map(m => m[3] ?? m[2].replace(/[^a-zA-Z0-9_]/g, '_'));
				const factory = window.eval('(function(' + [ 'window', 'document', 'L' ].concat(names).join(', ') + ') { ' + source + ' })\n\n//# sourceURL=' + url + '\n');
				const made = factory(window, document, L, ...instances);

				if (typeof(made) != 'function' || !(made.prototype instanceof Class))
					throw new TypeError('"%s" factory yields invalid constructor'.format(name));

				return new made();
			})();

			return classes[name];
		}
	};

	document.addEventListener('DOMContentLoaded', () => {
		const cover = dom.create('div', { 'id': 'modal_overlay', 'tabindex': -1, 'keydown': ev => {
			if (ev.key == 'Escape')
				cover.querySelector('.right > button, .right > .btn, .button-row > .btn')?.click();
		} }, [ dom.create('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': true }) ]);

		document.body.appendChild(cover);
		loaded();
		poll.start();
	});
})(window, document);

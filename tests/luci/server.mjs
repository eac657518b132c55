// The web server of the stand-in: the pages, the runtime, and the JSON-RPC gate that checks each call against the shipped
// ACL as rpcd does, before it goes to the daemon's control socket or to the program.

import { createServer } from 'node:http';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { BINARY } from './daemon.mjs';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const app = join(here, '../../luci-app');

const MENU = 'root/usr/share/luci/menu.d/luci-app-latchkey.json';
const ACL = 'root/usr/share/rpcd/acl.d/luci-app-latchkey.json';
const GROUP = 'luci-app-latchkey';
const PREFIX = '/cgi-bin/luci/admin/services/latchkey/';
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' };

/** Where a checkout of LuCI lies, whose own runtime and theme are used then, by hand: never in the automatic tests. */
const LUCI = process.env.LUCI_TREE;

/** The sessions there are: what of the ACL's group they were given. */
export const SESSIONS = {
	'00000000000000000000000000000001': [ 'read', 'write' ],
	'00000000000000000000000000000002': [ 'read' ],
	'00000000000000000000000000000003': []
};
export const [ ADMIN, VIEWER, NOBODY ] = Object.keys(SESSIONS);

const acl = () => JSON.parse(readFileSync(join(app, ACL), 'utf8'))[GROUP];

/** fnmatch(3) with FNM_NOESCAPE, for the patterns that rpcd's ACL knows: `*` and `?` also match a slash. */
export function fnmatch(pattern, text) {
	const source = pattern.replace(/[.+^${}()|\\]/g, '\\$&').replace(/\*/g, '[^]*').replace(/\?/g, '[^]');
	return new RegExp(`^${source}$`).test(text);
}

function permitted(session, scope, object, permission) {
	const group = acl();
	return (SESSIONS[session] ?? []).some(part => Object.entries(group[part]?.[scope] ?? {})
		.some(([ pattern, granted ]) => fnmatch(pattern, object) && granted.some(g => fnmatch(g, permission))));
}

/* So many octets of a command line rpcd compares with the ACL (RPC_CMDLINE_MAX_SIZE, less the final NUL). */
const LINE = 1023;

/* Statuses of ubus. */
const INVALID_ARGUMENT = 2, METHOD_NOT_FOUND = 3, NOT_FOUND = 4, PERMISSION_DENIED = 6;

export class Server {
	/** Serves `daemon`; `root` is the tree of files that the program works on in place of `/`. */
	static async start(daemon, { root } = {}) {
		const server = new Server();
		// `calls` is what was asked for; `patch` changes a result, by method: for what this machine has no radio for.
		Object.assign(server, { daemon, root, calls: [], patch: {} });
		server.http = createServer((request, response) => {
			server.serve(request, response).catch(why => {
				response.writeHead(500);
				response.end(String(why.stack));
			});
		});
		await new Promise(done => server.http.listen(0, '127.0.0.1', done));
		server.base = `http://127.0.0.1:${server.http.address().port}`;
		return server;
	}

	/** The address of a page. */
	url(page, { session = ADMIN, dark = false, pseudo = false } = {}) {
		return `${this.base}${PREFIX}${page}?${new URLSearchParams({ session, ...(dark && { dark: 1 }), ...(pseudo && { pseudo: 1 }) })}`;
	}

	async close() {
		this.http.closeAllConnections();
		await new Promise(done => this.http.close(done));
	}

	async serve(request, response) {
		const url = new URL(request.url, this.base);
		const send = (type, body, status = 200) => {
			response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store' });
			response.end(body);
		};

		if (request.method == 'POST') {
			let body = '';
			for await (const part of request)
				body += part;
			const wanted = JSON.parse(body);
			const reply = Array.isArray(wanted) ? await Promise.all(wanted.map(m => this.answer(m))) : await this.answer(wanted);
			return send('application/json', JSON.stringify(reply));
		}

		if (url.pathname.startsWith(PREFIX))
			return send('text/html', page(url));

		if (url.pathname.startsWith('/luci-static/')) {
			const path = normalize(url.pathname).replace('/luci-static/', '');
			const found = places(path).find(existsSync);
			if (found)
				return send(TYPES[extname(found)] ?? 'text/plain', await readFile(found));
		}

		send('text/plain', 'not found', 404);
	}

	/** One JSON-RPC message. */
	async answer({ id, method, params }) {
		if (method != 'call')
			return { jsonrpc: '2.0', id, result: {} };
		const [ session, object, name, args = {} ] = params;
		const call = { session, object, name, args };
		this.calls.push(call);
		call.denied = object != 'session' && !permitted(session, 'ubus', object, name) && !(LUCI && (object == 'uci' || object == 'luci'));
		if (call.denied)
			return { jsonrpc: '2.0', id, error: { code: -32002, message: 'Access denied' } };
		const result = await this.invoke(session, object, name, args).catch(() => [ NOT_FOUND ]);
		return { jsonrpc: '2.0', id, result };
	}

	async invoke(session, object, name, args) {
		if (object == 'latchkey') {
			const reply = await this.daemon.ask(name, args);
			if (this.patch[name] && reply.result)
				this.patch[name](reply.result);
			if (reply.error?.code == 'unknown_method')
				return [ METHOD_NOT_FOUND ];
			// As the daemon answers on ubus: its text would be lost in a status.
			return [ 0, reply.error ? { error: reply.error } : reply.result ];
		}
		if (object == 'file' && name == 'exec')
			return this.exec(session, args);
		if (object == 'session' && name == 'access')
			return [ 0, { access: true } ];
		if (LUCI && object != 'file')
			return [ 0, { result: {}, changes: {}, features: {}, values: {} } ];
		return [ NOT_FOUND ];
	}

	/** `file exec` of rpcd: the command alone, or the whole command line has to be permitted. */
	async exec(session, { command, params = [] }) {
		if (typeof command != 'string')
			return [ INVALID_ARGUMENT ];
		const line = [ command, ...params ].join(' ');
		/* A longer line than fits into its buffer is compared with no pattern. */
		const short = Buffer.byteLength(line) <= LINE;
		if (!permitted(session, 'file', command, 'exec') && !(short && permitted(session, 'file', line, 'exec')))
			return [ PERMISSION_DENIED ];
		if (command != '/usr/sbin/latchkey')
			return [ NOT_FOUND ];
		/* Before the verb: behind it, the program refuses it, so that no session can name a tree of its own. */
		const given = this.root ? [ params[0], '--root', this.root, ...params.slice(1) ] : params;
		return new Promise(done => {
			execFile(BINARY, given, { timeout: 60000 }, (error, stdout, stderr) => {
				done([ 0, { code: error ? (error.code ?? 1) : 0, stdout, stderr } ]);
			});
		});
	}
}

/** Where a file of `/luci-static/` may lie, the first that exists counts. */
function places(path) {
	const resources = path.replace(/^resources\//, '');
	const own = [ join(app, 'htdocs/luci-static', path) ];
	return LUCI
		? own.concat(join(LUCI, 'modules/luci-base/htdocs/luci-static', path),
			join(LUCI, 'themes/luci-theme-bootstrap/htdocs/luci-static', path))
		: own.concat(join(here, 'runtime', resources));
}

function page(url) {
	const name = url.pathname.slice(PREFIX.length).replace(/[^a-z]/g, '');
	const session = url.searchParams.get('session') ?? ADMIN;
	const granted = SESSIONS[session] ?? [];
	const dark = url.searchParams.has('dark');
	const query = url.search.replace(/&/g, '&amp;');
	const env = {
		token: 'token', media: LUCI ? '/luci-static/bootstrap' : '/luci-static/resources', resource: '/luci-static/resources',
		scriptname: '/cgi-bin/luci', pathinfo: `/admin/services/latchkey/${name}`, sessionid: session, pollinterval: 5,
		requestpath: [ 'admin', 'services', 'latchkey', name ], dispatchpath: [ 'admin', 'services', 'latchkey', name ],
		ubuspath: '/ubus/', ubus_url: '/ubus/', documentroot: '/www', apply_rollback: 90, apply_holdoff: 4, apply_timeout: 5, apply_display: 1.5, rollback_token: null,
		nodespec: { satisfied: granted.length > 0, readonly: !granted.includes('write') },
		pseudo: url.searchParams.has('pseudo'), speed: 10
	};
	const menu = existsSync(join(app, MENU)) ? JSON.parse(readFileSync(join(app, MENU), 'utf8')) : {};
	const tabs = Object.entries(menu).filter(([ path ]) => path.startsWith('admin/services/latchkey/'))
		.sort((a, b) => a[1].order - b[1].order)
		.map(([ path, entry ]) => `<li class="${path.endsWith('/' + name) ? 'active' : ''}"><a href="/cgi-bin/luci/${path}${query}">${entry.title}</a></li>`);
	const style = LUCI
		? '<link rel="stylesheet" href="/luci-static/bootstrap/cascade.css"><link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="/luci-static/bootstrap/mobile.css">'
		: '<link rel="stylesheet" href="/luci-static/resources/theme.css">';
	const scripts = LUCI
		? `<script>window.TR={};{const slow=window.setInterval;window.setInterval=(f,ms)=>slow(f,ms==1000?100:ms);}</script><script src="/luci-static/resources/cbi.js"></script><script src="/luci-static/resources/luci.js"></script><script>L = new LuCI(${JSON.stringify(env)});</script>`
		: `<script>window.STAND_IN_ENV = ${JSON.stringify(env)};</script><script src="/luci-static/resources/luci.js"></script>`;
	return `<!DOCTYPE html>
<html lang="en" data-darkmode="${dark}">
<head><meta charset="utf-8"><title>OpenWrt</title><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
${style}${scripts}</head>
<body class="lang_en" data-page="admin-services-latchkey-${name}">
<header><a class="brand" href="#">OpenWrt</a><ul class="nav" id="topmenu"></ul><div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container"><div id="tabmenu"><ul class="tabs">${tabs.join('')}</ul></div>
<div id="view"><div class="spinning"></div><script>L.require('ui').then(function(ui) { ui.instantiateView('latchkey/${name}'); });</script></div></div>
</body></html>
`;
}

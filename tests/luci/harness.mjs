// What each file of tests begins with: a daemon, the server, and the browser; and what is true of every page.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Daemon } from './daemon.mjs';
import { Server } from './server.mjs';
import { launch, open, overflow } from './browser.mjs';

/** Starts everything before the tests of a file, and ends it after them. */
export function rig(config, options) {
	const it = {};

	before(async () => {
		it.daemon = await Daemon.start(config);
		it.server = await Server.start(it.daemon, options);
		it.browser = await launch();
	});

	after(async () => {
		await it.browser?.close();
		await it.server?.close();
		await it.daemon?.close();
	});

	/** Opens a page of ours, hands it to `work`, and checks afterwards that nothing went wrong in it. */
	it.visit = async (name, options, work) => {
		const page = await open(it.browser, it.server.url(name, options), options);
		try {
			await page.locator('.lk-page').waitFor();
			await work(page);
			assert.deepEqual(page.troubles, [], 'errors in the page');
		}
		finally {
			await page.context().close();
		}
	};

	return it;
}

/** The dialog that is open. */
export const dialog = page => page.locator('body.modal-overlay-active .modal');

/** A button by its whole text. */
export const button = (place, name) => place.getByRole('button', { name, exact: true });

/** The row of a table by what it begins with. */
export const row = (page, key) => page.locator(`tr[data-key="${key}"]`);

/** Asks until `check` does not throw any more. */
export async function eventually(check, patience = 6000) {
	const end = Date.now() + patience;
	for (;;) {
		try {
			return await check();
		}
		catch (error) {
			if (Date.now() > end)
				throw error;
			await new Promise(done => setTimeout(done, 50));
		}
	}
}

/** Every control says what it is, and nothing has to be scrolled sideways. */
export async function wellMade(page) {
	assert.ok(await overflow(page) <= 0, `the page is ${await overflow(page)} px wider than its window`);

	const nameless = await page.evaluate(() => Array.from(document.querySelectorAll('#view button, #view input, #view select, #view textarea, .modal button, .modal input, .modal select, .modal textarea'))
		.filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim() && e.tagName == 'BUTTON' || e.labels?.length))
		.map(e => e.outerHTML.slice(0, 120)));
	assert.deepEqual(nameless, [], 'controls without a name');

	// WCAG 2.1, 1.4.3: 4.5 to 1 for what has to be read.
	const faint = await page.evaluate(() => {
		const parse = text => (text.match(/[\d.]+/g) ?? []).map(Number);
		const light = ([ r, g, b ]) => [ r, g, b ].map(c => c / 255).map(c => (c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4))
			.reduce((sum, c, i) => sum + c * [ .2126, .7152, .0722 ][i], 0);
		const ground = node => {
			for (let at = node; at; at = at.parentElement) {
				const colour = parse(getComputedStyle(at).backgroundColor);
				if (colour.length && (colour[3] ?? 1) > .9)
					return colour;
			}
			return [ 255, 255, 255 ];
		};

		return Array.from(document.querySelectorAll('.lk-badge, .lk-second, .lk-hint, .lk-error, .lk-name, .lk-page p, .lk-page td, .modal p, .modal dd')).filter(e => e.offsetParent && e.textContent.trim()).map(e => {
			const [ a, b ] = [ light(parse(getComputedStyle(e).color)), light(ground(e)) ].sort((x, y) => y - x);
			return [ (a + .05) / (b + .05), `${e.className} “${e.textContent.trim().slice(0, 40)}” ${getComputedStyle(e).color}` ];
		}).filter(([ ratio ]) => ratio < 4.5).map(([ ratio, what ]) => `${ratio.toFixed(2)} ${what}`);
	});
	assert.deepEqual(faint, [], 'text that is hard to read');
}

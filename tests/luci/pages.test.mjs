// What holds for every page: phone and desktop, light and dark, those who may only look, those who may not, a daemon that is
// not there, names from strangers, many devices, and translations.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG } from './daemon.mjs';
import { AccessPoint } from './radius.mjs';
import { NOBODY, VIEWER, fnmatch } from './server.mjs';
import { shot } from './browser.mjs';
import { button, dialog, eventually, rig, row, wellMade } from './harness.mjs';

// 32 octets at most, and every one of them can be in the air.
const HOSTILE = '<img src=x onerror=alert(1)>';

const it = rig(CONFIG + `
config ssid 'hostile'
	option ssid '${HOSTILE}'
`);

const PAGES = [ 'devices', 'waiting', 'activity' ];
const LONG = 'a-device-with-the-longest-name.1';

test('some devices, and strangers with names of their choice', async () => {
	for (const [ name, profile, mac ] of [ [ 'kitchen-lamp', 'iot', '02:00:00:00:00:11' ], [ LONG, 'family', '02:00:00:00:00:12' ], [ 'porch-camera', 'iot', '02:00:00:00:00:13' ] ])
		await it.daemon.call('device_add', { name, profile, macs: [ mac ] });
	await it.daemon.call('device_add', { name: 'annas-phone', profile: 'family', bind: 'any' });

	const ap = new AccessPoint(it.daemon);
	await ap.join('02:00:00:00:00:11', '192.168.20.7');
	await ap.join('02:00:00:00:00:12', '192.168.10.8');
	await it.daemon.call('device_block', { name: 'porch-camera' });
	await ap.ask('02:00:00:00:00:13');

	const evil = new AccessPoint(it.daemon, { ssid: HOSTILE, name: '"><script>alert(2)</script>' });
	await evil.ask('06:00:00:00:00:66');
	await new AccessPoint(it.daemon, { ssid: 'x'.repeat(32), name: 'n'.repeat(60) }).ask('06:00:00:00:00:67');
	// It is offered the waiting key of a registered device first, and proves nothing.
	await eventually(async () => assert.equal((await it.daemon.call('pending_list')).pending.length, 1), 20000);
});

for (const name of PAGES)
	for (const dark of [ false, true ])
		for (const phone of [ false, true ]) {
			const what = `${name}-${dark ? 'dark' : 'light'}-${phone ? 'phone' : 'desktop'}`;

			test(what, () => it.visit(name, { dark, phone }, async page => {
				await page.locator('tbody tr').first().waitFor();
				await wellMade(page);
				await shot(page, what);
			}));
		}

test('a dialog on a phone, in the dark', () => it.visit('devices', { phone: true, dark: true }, async page => {
	await row(page, LONG).getByRole('button', { name: `QR code of ${LONG}` }).click();
	await dialog(page).locator('.lk-qr svg').waitFor();
	await wellMade(page);
	await shot(page, 'dialog-key-dark-phone');
	await button(dialog(page), 'Done').click();
	await button(page, LONG).click();
	await dialog(page).getByText('What happened lately').waitFor();
	await wellMade(page);
	await shot(page, 'dialog-details-dark-phone');
}));

test('names from strangers are text, wherever they are shown', async () => {
	await it.visit('waiting', {}, async page => {
		await row(page, '06:00:00:00:00:66').getByText(`“${HOSTILE}”`).waitFor();
		await row(page, '06:00:00:00:00:66').getByText('<script>alert(2)</script>').waitFor();
		assert.equal(await page.locator('#view img, #view script:not(:first-child)').count(), 0);
	});
	await it.visit('activity', {}, async page => {
		await page.getByText(`“${HOSTILE}”`).first().waitFor();
		assert.equal(await page.locator('#view img').count(), 0);
	});
	await it.visit('devices', {}, async page => {
		await row(page, 'kitchen-lamp').getByRole('button', { name: /^QR code/ }).click();
		await dialog(page).getByLabel('Network').selectOption(HOSTILE);
		await dialog(page).getByText(`“${HOSTILE}”`).waitFor();
		assert.equal(await page.locator('.modal img').count(), 0);
	});

	// A daemon's text that repeats what was typed.
	await it.visit('devices', {}, async page => {
		await button(page, 'Add device').click();
		await dialog(page).getByLabel('Name').fill('<b>x</b>');
		await button(dialog(page), 'Add').click();
		await dialog(page).getByText('name \'<b>x</b>\'').waitFor();
		assert.equal(await page.locator('.modal b').count(), 0);
	});
});

// LuCI's own runtime has no such marks.
test('every text of a page goes through the translation', { skip: !!process.env.LUCI_TREE }, async () => {
	// Names, addresses, and the daemon's own words.
	const data = [ /^[\s\d\p{P}\p{S}]*$/u, /:00:00:00/, /kitchen-lamp|longest-name|porch-camera|annas-phone/, /iot|family/, /ap-hall|nnnn|script/, /^192\./,
		/\d{1,2}\/\d{1,2}\/\d{4}/, /unknown device|known by its address|Refused|refused|let in|proved/i, /xxxx|onerror/ ];
	for (const name of PAGES)
		await it.visit(name, { pseudo: true }, async page => {
			await page.locator('tbody tr').first().waitFor();
			const texts = await page.evaluate(() => {
				const found = [];
				const walker = document.createTreeWalker(document.querySelector('#view'), NodeFilter.SHOW_TEXT);
				while (walker.nextNode())
					if (!walker.currentNode.parentElement.closest('script'))
						found.push(walker.currentNode.data);
				document.querySelectorAll('#view [title], #view [aria-label], #view [placeholder]').forEach(e =>
					found.push(...[ 'title', 'aria-label', 'placeholder' ].map(a => e.getAttribute(a)).filter(t => t)));
				return found;
			});
			assert.ok(texts.some(t => t.includes('⟦')));
			const bare = texts.filter(t => !t.includes('⟦') && !data.some(d => d.test(t)));
			assert.deepEqual(bare, [], `${name}: not translated`);
		});
});

test('who may only look sees everything but secrets, and can change nothing', async () => {
	const session = VIEWER;
	await it.visit('devices', { session }, async page => {
		await page.getByText('You are logged in with an account that may only look').waitFor();
		it.server.calls.length = 0;
		for (const name of [ 'Add device', 'Import', 'QR code of kitchen-lamp' ]) {
			const found = page.getByRole('button', { name, exact: true });
			assert.ok(await found.isDisabled(), name);
			assert.equal(await found.getAttribute('title'), 'You are logged in with an account that may only look.');
		}
		await button(page, 'kitchen-lamp').click();
		await dialog(page).getByText('What happened lately').waitFor();
		for (const name of [ 'Edit', 'Show key', 'New key', 'Block', 'Remove' ])
			assert.ok(await button(dialog(page), name).isDisabled(), name);
		await shot(page, 'read-only');
		await page.keyboard.press('Escape');
		await button(page, 'Export').click();
		assert.ok(await dialog(page).getByLabel('With their keys').isDisabled());
		await page.waitForTimeout(700);
		const denied = it.server.calls.filter(c => c.denied);
		assert.deepEqual(denied, [], 'nothing was asked for that is not permitted');
	});
	await it.visit('waiting', { session }, async page => {
		await row(page, '06:00:00:00:00:66').waitFor();
		for (const name of [ 'Open a pairing window', 'Approve 06:00:00:00:00:66', 'Ignore 06:00:00:00:00:66' ])
			assert.ok(await page.getByRole('button', { name }).isDisabled(), name);
	});

	// The gate holds without the page, too.
	const secrets = { device_secret: { name: 'kitchen-lamp' }, qr: { name: 'kitchen-lamp', ssid: 'Home' }, device_export_secrets: {}, device_add: { name: 'x' }, device_remove: { name: 'kitchen-lamp' }, maker_export: { all: true } };
	for (const [ method, args ] of Object.entries(secrets))
		assert.equal((await it.server.answer({ id: 1, method: 'call', params: [ VIEWER, 'latchkey', method, args ] })).error?.code, -32002, method);
	const shown = JSON.stringify((await it.server.answer({ id: 1, method: 'call', params: [ VIEWER, 'latchkey', 'device_show', { name: 'kitchen-lamp' } ] })).result);
	const { key } = await it.daemon.call('device_secret', { name: 'kitchen-lamp' });
	assert.ok(!shown.includes(key));
});

test('who may see nothing is told so', async () => {
	for (const name of PAGES)
		await it.visit(name, { session: NOBODY }, page => page.getByText('You are not permitted to see this').waitFor());
});

test('without a daemon a page says what to do, and goes on when it comes back', async () => {
	await it.daemon.stop();
	try {
		for (const name of PAGES)
			await it.visit(name, {}, async page => {
				await page.getByText('latchkey is not running').waitFor();
				await page.getByText('/etc/init.d/latchkey enable').waitFor();
				assert.match(await page.getByRole('link', { name: 'Go to Setup' }).getAttribute('href'), /latchkey\/setup$/);
				await wellMade(page);
				await shot(page, `not-running-${name}`);
			});
	}
	finally {
		await it.daemon.run();
	}

	await it.visit('devices', {}, async page => {
		await row(page, 'kitchen-lamp').waitFor();
		await it.daemon.stop();
		await page.getByText('latchkey is not running').waitFor();
		await it.daemon.run();
		await row(page, 'kitchen-lamp').waitFor();
	});
});

test('a router that is not set up yet is told apart from one that is broken', async () => {
	const exec = it.server.exec;
	it.server.exec = async () => [ 0, { code: 0, stdout: JSON.stringify({ latchkey: { enabled: false, profiles: [] } }), stderr: '' } ];
	await it.daemon.stop();
	try {
		await it.visit('devices', {}, async page => {
			await page.getByText('latchkey is not set up yet').waitFor();
			assert.match(await page.getByRole('link', { name: 'Set it up' }).getAttribute('href'), /latchkey\/setup$/);
			await shot(page, 'not-set-up');
		});
	}
	finally {
		it.server.exec = exec;
		await it.daemon.run();
	}
});

test('troubles of the daemon are shown', async () => {
	it.server.patch.status = result => {
		result.config.error = 'line 3: <b>odd</b>';
		result.clock.trouble = 'the clock is not set';
	};
	try {
		await it.visit('devices', {}, async page => {
			await page.getByText('Some things need your attention').waitFor();
			await page.getByText('line 3: <b>odd</b>').waitFor();
			await shot(page, 'troubles');
		});
	}
	finally {
		delete it.server.patch.status;
	}
});

test('a thousand devices: quick, and found', async () => {
	const lines = Array.from({ length: 1000 }, (_, i) => `bulk-${i},${i % 2 ? 'iot' : 'family'},02:00:00:01:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}\n`);
	await it.daemon.call('device_import', { csv: 'name,profile,mac\n' + lines.join('') });

	for (const phone of [ false, true ])
		await it.visit('devices', { phone }, async page => {
			const begun = Date.now();
			await page.reload();
			await page.locator('tbody tr').first().waitFor();
			const took = Date.now() - begun;
			assert.ok(took < 5000, `the list took ${took} ms`);
			assert.equal(await page.locator('tbody tr').count(), 100);
			await page.getByText('100 of 1004 shown').waitFor();

			const typed = Date.now();
			await page.getByLabel('Search the devices').fill('bulk-999');
			await row(page, 'bulk-999').waitFor();
			assert.equal(await page.locator('tbody tr').count(), 1);
			assert.ok(Date.now() - typed < 2000, 'searching is slow');
			await page.getByLabel('Search the devices').fill('');
			await button(page, 'Show 100 more').click();
			await eventually(async () => assert.equal(await page.locator('tbody tr').count(), 200));
			await wellMade(page);
			await shot(page, `devices-1000-${phone ? 'phone' : 'desktop'}`);
		});
});

test('a thousand devices, two hundred of them connected: few calls', async () => {
	const ap = new AccessPoint(it.daemon);
	const mac = i => `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`;
	await it.daemon.call('device_import', { csv: 'name,profile,mac\n' + Array.from({ length: 220 }, (_, i) => `here-${i},family,${mac(i)}\n`).join('') });
	for (let i = 0; i < 200; i++)
		await ap.account(mac(i), 1);
	const online = (await it.daemon.call('sessions')).total;
	assert.ok(online >= 200);

	it.server.calls.length = 0;
	await it.visit('devices', {}, async page => {
		const asked = name => it.server.calls.filter(c => c.name == name);
		await page.getByText(`1224 devices, ${online} online.`).waitFor();
		assert.equal(asked('sessions').filter(c => c.args.brief).length, asked('sessions').length);
		await page.waitForTimeout(600);
		it.server.calls.length = 0;
		await page.waitForTimeout(3000);
		assert.ok(asked('status').length >= 4, 'it asks again and again');
		assert.deepEqual([ ...new Set(it.server.calls.map(c => c.name)) ], [ 'status' ]);

		// One who comes: the table of sessions, once, in one call.
		await ap.account(mac(200), 1);
		await page.getByText(`1224 devices, ${online + 1} online.`).waitFor();
		await page.waitForTimeout(1200);
		assert.equal(asked('sessions').length, 1);
		assert.equal(asked('device_list').length, 0);

		// Many decisions: the list is not asked for each time.
		it.server.calls.length = 0;
		for (let turn = 0; turn < 6; turn++) {
			for (let i = 0; i < 8; i++)
				await ap.ask(mac(turn * 8 + i));
			await page.waitForTimeout(500);
		}
		assert.equal(asked('device_list').length, 0, 'it was asked for less than half a minute ago');
		assert.ok(asked('device_show').length <= 5 * asked('log').length);
		assert.ok(asked('log').length <= 2, `${asked('log').length} times for what happened`);

		// In its time it comes after all.
		await eventually(() => assert.equal(asked('device_list').length, 3), 35000);
		await page.waitForTimeout(1200);
		assert.equal(asked('device_list').length, 3);
	});
});

test('the patterns of the ACL are those of fnmatch', () => {
	assert.ok(fnmatch('/usr/sbin/latchkey openwrt plan *', '/usr/sbin/latchkey openwrt plan --json --ssid a/b c'));
	assert.ok(!fnmatch('/usr/sbin/latchkey openwrt plan *', '/usr/sbin/latchkey openwrt apply --json'));
	assert.ok(!fnmatch('status', 'status2'));
	assert.ok(fnmatch('a?c', 'abc') && !fnmatch('a.c', 'abc'));
});

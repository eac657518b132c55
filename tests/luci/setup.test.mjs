// The page Setup: from a fresh router to a network in which every device has a key of its own, and back.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Daemon } from './daemon.mjs';
import { Router, SHIPPED } from './router.mjs';
import { ADMIN, Server, VIEWER } from './server.mjs';
import { launch, open, overflow, shot } from './browser.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const PROFILES = `
config client 'local'
	option address '127.0.0.1'
	option secret 'made by uci-defaults'

config profile 'iot'
	option vlan '20'
	option access 'internet'
`;

/** A router whose daemon runs, unless `off`: then it is as the package brings it. */
async function start(t, { off = false, router: files, ...options } = {}) {
	const router = Router.make(files);
	const daemon = off ? { ask: () => Promise.reject(new Error('there is no daemon')) } : await Daemon.start(PROFILES, { file: `${router.root}/etc/config/latchkey` });
	if (!off)
		router.tell(daemon);
	const server = await Server.start(daemon, { root: router.root });
	const page = await open(browser, server.url('setup', options), options);

	t.after(async () => {
		await page.context().close();
		await server.close();
		if (!off)
			await daemon.close();
		router.close();
	});

	return { router, daemon, server, page, row: name => page.locator(`tr[data-key="${name}"]`) };
}

const dialog = page => page.locator('.modal');
const notice = (page, text) => page.locator('.lk-notice', { hasText: text }).first().waitFor();
const show = page => page.getByRole('button', { name: 'Show what will change' }).click();

test('a fresh router is set up, gets its first device, and is as before when it is removed', async t => {
	const { page, row, router, daemon } = await start(t);
	const before = router.settings();
	await row('radio1').waitFor();
	assert.match(await row('radio1').innerText(), /5 GHz[^]*Family[^]*WPA2/);
	assert.match(await row('radio0').innerText(), /2\.4 GHz[^]*not set/);
	await page.locator('.lk-page .alert-message.warning', { hasText: 'country' }).waitFor();
	await shot(page, 'setup');

	/* What is missing is said where it is missing. */
	await show(page);
	await page.getByText('Give the network a name.').waitFor();
	await page.getByLabel('Name of the network').fill('Home');
	await page.getByLabel(/2\.4 GHz/).uncheck();
	await page.getByLabel(/5 GHz/).uncheck();
	await show(page);
	await page.getByText('Choose at least one radio.').waitFor();
	await page.getByLabel(/5 GHz/).check();
	await page.getByLabel('Security').selectOption('wpa2');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	assert.deepEqual(router.settings(), before, 'nothing is done before it was shown');
	await dialog(page).locator('summary').click();
	assert.match((await dialog(page).locator('.lk-diff').allInnerTexts()).join('\n'), /\+\s+option ssid 'Home'/);
	assert.doesNotMatch(await dialog(page).innerText(), /made by uci-defaults/);
	await shot(page, 'setup-plan');
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('The router answers.').waitFor({ timeout: 15000 });
	await shot(page, 'setup-countdown');
	await dialog(page).getByText('Home is ready').waitFor({ timeout: 20000 });
	await shot(page, 'setup-ready');
	assert.match(await dialog(page).getByRole('link', { name: 'Add the first device' }).getAttribute('href'), /latchkey\/devices$/);
	await dialog(page).getByRole('button', { name: 'Later' }).click();
	assert.match(router.read('etc/config/wireless'), /option ssid 'Home'/);
	assert.match(router.read('etc/config/wireless'), /option ssid 'Family'/);
	assert.match(router.read('etc/config/network'), /config interface 'lk_iot'/);

	/* The daemon was told, and gives out keys for it. */
	const { ssids } = await daemon.call('ssid_list');
	assert.deepEqual(ssids.map(ssid => ssid.ssid), [ 'Home' ]);
	await daemon.call('device_add', { name: 'lamp', profile: 'iot', generate: true });
	assert.match((await daemon.call('qr', { name: 'lamp', ssid: 'Home' })).text, /^WIFI:/);

	/* Again the same: nothing to do. */
	await row('Home').waitFor();
	await page.getByLabel('Name of the network').fill('Home');
	await page.getByLabel(/2\.4 GHz/).uncheck();
	await show(page);
	await dialog(page).getByText('is set up like that already').waitFor();
	await dialog(page).getByRole('button', { name: 'Close' }).click();

	await row('Home').getByRole('button', { name: 'Remove Home' }).click();
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await notice(page, 'The change stays');
	await page.getByText('There is none yet').waitFor();
	assert.equal(router.read('etc/config/wireless'), before.wireless);
	assert.deepEqual(page.troubles, []);
});

test('what is tried out can be taken back', async t => {
	const { page, router } = await start(t);
	await page.getByLabel('Name of the network').waitFor();
	const before = router.settings();
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Take it back' }).click();
	await notice(page, 'everything is as it was before');
	assert.deepEqual(router.settings(), before);
	assert.equal(router.reloads, 2);
	assert.deepEqual(page.troubles, []);
});

test('an answer that is lost on the way does not matter', async t => {
	const { page, row, router, server } = await start(t);
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	await page.route('**/ubus/**', async route => {
		if (!route.request().postData().includes('"apply"'))
			return route.continue();
		await route.fetch();
		await route.abort();
	});
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('The router answers.').waitFor({ timeout: 20000 });
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await dialog(page).getByText('Home is ready').waitFor();
	assert.match(router.read('etc/config/wireless'), /option ssid 'Home'/);
	assert.equal(server.calls.filter(call => call.args.params?.includes('apply')).length, 1);
	await dialog(page).getByRole('button', { name: 'Later' }).click();
	await row('Home').waitFor();
});

test('a change that was planned on other settings is not made', async t => {
	const { page, router } = await start(t);
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	router.write('etc/config/wireless', router.read('etc/config/wireless').replace("disabled '1'", "disabled '0'"));
	const changed = router.settings();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).locator('.lk-trouble:not(.hidden)').waitFor();
	assert.deepEqual(router.settings(), changed);
	assert.equal(router.reloads, 0);
	assert.deepEqual(page.troubles, []);
});

test('a present network becomes one with a key for every device only when that is asked for', async t => {
	const { page, router } = await start(t);
	await page.getByLabel('Name of the network').fill('Family');
	await page.getByLabel(/2\.4 GHz/).uncheck();
	const box = page.getByLabel('Turn my present network “Family” into it');
	await box.waitFor();
	await show(page);
	await page.locator('.lk-error:not(.hidden)', { hasText: 'has a network of that name already' }).waitFor();
	assert.equal(await page.getByLabel('Name of the network').getAttribute('aria-invalid'), 'true');
	await box.check();
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await dialog(page).getByText('Family is ready').waitFor();
	const wireless = router.read('etc/config/wireless');
	/* The old one is off, and the new one is ours. */
	assert.match(wireless, /config wifi-iface 'default_radio1'[^]*?option disabled '1'[^]*config wifi-iface 'lk_/);
	assert.deepEqual(page.troubles, []);
});

test('a router with wpad-basic is told what it can do', async t => {
	const { page } = await start(t, { router: { wpad: 'wpad-basic-mbedtls' } });
	await page.getByText('It reads the keys from a file.').waitFor();
	assert.deepEqual((await page.getByLabel('Security').locator('option').allInnerTexts()).filter(text => /Enterprise/.test(text)), []);
	await page.getByText('needs wpad-mbedtls in place of wpad-basic-mbedtls').waitFor();
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).locator('summary').click();
	assert.match((await dialog(page).locator('.lk-diff').allInnerTexts()).join('\n'), /wpa_psk_file/);
	assert.deepEqual(page.troubles, []);
});

test('as the package brings it: switched off, no daemon, and setting it up switches it on', async t => {
	const { page, router } = await start(t, { off: true });
	await page.getByText('switched off').waitFor();
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await dialog(page).getByText('Home is ready').waitFor();
	assert.match(router.read('etc/config/latchkey'), /option enabled '1'/);
	assert.notEqual(router.read('etc/config/latchkey'), SHIPPED);
	await dialog(page).getByRole('button', { name: 'Later' }).click();
	await page.getByText('not running').first().waitFor();
});

test('a router without radios', async t => {
	const { page } = await start(t, { router: { wireless: '' } });
	await page.getByText('This router has no Wi-Fi radio').waitFor();
	assert.equal(await page.getByLabel('Name of the network').count(), 0);
	assert.deepEqual(page.troubles, []);
});

test('who may only look sees what would change, and can do nothing', async t => {
	const { page, row, server } = await start(t, { session: VIEWER });
	await row('radio1').waitFor();
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	assert.ok(await dialog(page).getByRole('button', { name: 'Apply' }).isDisabled());
	for (const verb of [ [ 'apply', '--json', '--ssid', 'Home', '--radio', 'radio0' ], [ 'undo', '--json' ], [ 'confirm', '--json' ], [ 'remove', '--json' ] ])
		assert.equal((await server.exec(VIEWER, { command: '/usr/sbin/latchkey', params: [ 'openwrt', ...verb ] }))[0], 6, verb.join(' '));
	assert.equal((await server.exec(VIEWER, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'plan', '--json', '--profile', 'iot' ] }))[0], 0);
	assert.deepEqual(page.troubles, []);
});

test('no session can have the program work on another tree', async t => {
	const { server, router } = await start(t);
	const before = router.settings();
	for (const params of [ [ 'openwrt', '--root', '/tmp', 'apply', '--json' ], [ 'device', 'list' ], [ 'serve' ] ])
		assert.equal((await server.exec(ADMIN, { command: '/usr/sbin/latchkey', params }))[0], 6, params.join(' '));
	const [ status, result ] = await server.exec(ADMIN, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'apply', '--json', '--profile', 'iot', '--root', '/tmp' ] });
	assert.equal(status, 0);
	assert.notEqual(result.code, 0, result.stdout);
	assert.deepEqual(router.settings(), before);
});

test('a phone and the dark mode', async t => {
	const { page, row } = await start(t, { phone: true, dark: true });
	await row('radio1').waitFor();
	assert.equal(await overflow(page), 0);
	await shot(page, 'setup-phone-dark');
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).locator('summary').tap();
	assert.equal(await overflow(page), 0);
	await shot(page, 'setup-phone-plan');
	assert.deepEqual(page.troubles, []);
});

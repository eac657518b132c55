// The page Setup: from a fresh router to a network in which every device has a key of its own, and back.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Daemon } from './daemon.mjs';
import { Router, SHIPPED } from './router.mjs';
import { ADMIN, NOBODY, Server, VIEWER } from './server.mjs';
import { launch, open, shot } from './browser.mjs';
import { untranslated, wellMade } from './harness.mjs';

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
/** The daemon sees `ssid` on the air as soon as it is configured: there is no radio here. */
function onAir(server, router, ssid) {
	server.patch.status = status => {
		if (router.read('etc/config/wireless').includes(`option ssid '${ssid}'`))
			status.bsses.push({ name: 'phy1-ap0', ssid, backend: 'radius', keys: null });
	};
}

/** Every change has the number c1, and what `ended()` says is how it ended, once none waits. */
function numbered(server, ended) {
	const exec = server.exec;
	server.exec = async function(session, args) {
		const reply = await exec.call(this, session, args);
		if (reply[1]?.stdout) {
			const result = JSON.parse(reply[1].stdout);
			if (args.params[1] == 'apply')
				result.id = 'c1';
			if (args.params[1] == 'status')
				result.last = !result.pending && ended() ? { id: 'c1', ended: ended(), why: '' } : null;
			reply[1].stdout = JSON.stringify(result);
		}
		return reply;
	};
}

const confirms = server => server.calls.filter(call => call.args.params?.includes('confirm')).length;
const show = page => page.getByRole('button', { name: 'Show what will change' }).click();

test('a fresh router is set up, gets its first device, and is as before when it is removed', async t => {
	const { page, row, router, daemon, server } = await start(t);
	onAir(server, router, 'Home');
	const before = router.settings();
	await row('radio1').waitFor();
	assert.match(await row('radio1').innerText(), /5 GHz[^]*Family[^]*WPA2/);
	assert.match(await row('radio0').innerText(), /2\.4 GHz[^]*not set/);
	await page.locator('.lk-page .alert-message.warning', { hasText: 'country' }).waitFor();
	await wellMade(page);
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
	await page.getByLabel(/iot/).uncheck();
	await show(page);
	await page.getByText('Choose at least one profile').waitFor();
	await page.getByLabel(/iot/).check();
	await page.getByLabel('Security').selectOption('wpa2');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	assert.deepEqual(router.settings(), before, 'nothing is done before it was shown');
	await dialog(page).locator('summary').click();
	assert.match((await dialog(page).locator('.lk-diff').allInnerTexts()).join('\n'), /\+\s+option ssid 'Home'/);
	assert.doesNotMatch(await dialog(page).innerText(), /made by uci-defaults/);
	await wellMade(page);
	await shot(page, 'setup-plan');
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('Everything that was asked for is there').waitFor({ timeout: 15000 });
	await wellMade(page);
	await shot(page, 'setup-countdown');
	await dialog(page).getByText('Home is ready').waitFor({ timeout: 20000 });
	await dialog(page).getByText('The network is on the air.').waitFor();
	await wellMade(page);
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
	await dialog(page).getByText('Home is configured').waitFor();
	assert.match(router.read('etc/config/wireless'), /option ssid 'Home'/);
	assert.equal(server.calls.filter(call => call.args.params?.includes('apply')).length, 1);
	await dialog(page).getByRole('button', { name: 'Later' }).click();
	await row('Home').waitFor();
});

test('what was not seen on the air is not kept by itself, and not said to be there', async t => {
	const { page, router, server } = await start(t);
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('“Home” has not been seen on the air yet.').waitFor({ timeout: 15000 });
	await wellMade(page);
	await shot(page, 'setup-not-seen');
	/* Seen, and gone again: the time begins anew. One radio of two is not enough. */
	onAir(server, router, 'Home');
	await page.waitForTimeout(14000);
	assert.equal(confirms(server), 0);
	await dialog(page).getByText('“Home” has not been seen on the air yet.').waitFor();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await dialog(page).getByText('Whether it is on the air has not been seen yet').waitFor();
	await shot(page, 'setup-configured');
	assert.equal(confirms(server), 1);
	assert.deepEqual(page.troubles, []);
});

/** A change that is tried out, and of whose `confirm` the answer is lost on the way. */
async function lostConfirm(t, ended) {
	const { page, router, server } = await start(t);
	let asked = false;
	numbered(server, () => (asked ? ended : null));
	await page.route('**/ubus/**', async route => {
		if (!route.request().postData().includes('"confirm"'))
			return route.continue();
		await route.fetch();
		asked = true;
		await route.abort();
	});
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('The router answers.').waitFor({ timeout: 15000 });
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	return { page, router };
}

test('a change whose keeping got no answer is told as kept', async t => {
	const { page, router } = await lostConfirm(t, 'kept');
	await dialog(page).getByText('Home is configured').waitFor();
	await notice(page, 'The change stays');
	assert.equal(await page.locator('.lk-notice', { hasText: 'as it was before' }).count(), 0);
	assert.match(router.read('etc/config/wireless'), /option ssid 'Home'/);
});

test('and as neither kept nor taken back while nobody knows', async t => {
	const { page, router } = await lostConfirm(t, null);
	await notice(page, 'The change is no longer waiting.');
	assert.equal(await page.locator('.lk-notice', { hasText: 'as it was before' }).count(), 0);
	assert.match(router.read('etc/config/wireless'), /option ssid 'Home'/);
	await page.locator('tr[data-key="Home"]').waitFor();
});

test('a change that another one takes back is told as taken back', async t => {
	const { page, router, server } = await start(t);
	let undone = false;
	numbered(server, () => (undone ? 'undone' : null));
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByText('The router answers.').waitFor({ timeout: 15000 });
	undone = true;
	await server.exec(ADMIN, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'undo', '--json' ] });
	await notice(page, 'everything is as it was before');
	assert.doesNotMatch(router.read('etc/config/wireless'), /option ssid 'Home'/);
	assert.deepEqual(page.troubles, []);
});

test('more profiles than a command line of rpcd takes', async t => {
	const names = Array.from({ length: 40 }, (_, i) => `a_profile_with_a_long_name_${i + 10}`);
	const latchkey = SHIPPED + names.map((name, i) => `\nconfig profile '${name}'\n\toption vlan '${i + 100}'\n\toption access 'internet'\n`).join('');
	const { page, server } = await start(t, { off: true, router: { latchkey } });
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	/* All of them: none has to be named. */
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).getByText(/profile a_profile_with_a_long_name_49/).first().waitFor();
	assert.ok(!server.calls.some(call => call.args.params?.includes('--profile')));
	await dialog(page).getByRole('button', { name: 'Cancel' }).click();
	await page.getByLabel(/iot/).uncheck();
	await show(page);
	await dialog(page).getByText('These are too many choices for one step').waitFor();
	await shot(page, 'setup-too-many');
	assert.deepEqual(page.troubles, []);

	/* The stand-in refuses what rpcd would. */
	const line = names.flatMap(name => [ '--profile', name ]);
	assert.equal((await server.exec(ADMIN, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'plan', '--json', ...line ] }))[0], 6);
	assert.equal((await server.exec(ADMIN, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'plan', '--json', ...line.slice(0, 4) ] }))[0], 0);
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
	await dialog(page).getByText('Family is configured').waitFor();
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
	await dialog(page).getByText('Home is configured').waitFor();
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
	await wellMade(page);
	await shot(page, 'setup-phone-dark');
	await page.getByLabel('Name of the network').fill('Home');
	await show(page);
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).locator('summary').tap();
	await wellMade(page);
	await shot(page, 'setup-phone-plan');
	assert.deepEqual(page.troubles, []);
});

test('every text goes through the translation', { skip: !!process.env.LUCI_TREE }, async t => {
	const { page, row } = await start(t, { pseudo: true });
	await row('radio1').waitFor();
	/* Names, and what the program says of this router. */
	const data = [ /^(OpenWrt|Family|Home|iot|DE|lan\d?|br-lan|radio\d|24\.10\.4|wpad-mbedtls|none: .*)$/, /^radio0 .*country/ ];
	assert.deepEqual(await untranslated(page, data), []);
});

test('who may see nothing is told so', async t => {
	const { page } = await start(t, { session: NOBODY });
	await page.getByText('You are not permitted to see this').waitFor();
});

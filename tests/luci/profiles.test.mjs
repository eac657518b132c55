// The page Profiles: profiles are the daemon's, their networks the router's.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Daemon, CONFIG } from './daemon.mjs';
import { Router } from './router.mjs';
import { NOBODY, Server, VIEWER } from './server.mjs';
import { launch, open, shot } from './browser.mjs';
import { untranslated, wellMade } from './harness.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** A router with its daemon, and its page. */
async function start(t, { config = CONFIG, ...options } = {}) {
	const router = Router.make();
	const daemon = await Daemon.start(config, { file: `${router.root}/etc/config/latchkey` });
	router.tell(daemon);
	const server = await Server.start(daemon, { root: router.root });
	const page = await open(browser, server.url('profiles', options), options);

	t.after(async () => {
		await page.context().close();
		await server.close();
		await daemon.close();
		router.close();
	});

	return { router, daemon, server, page, row: name => page.locator(`tr[data-key="${name}"]`) };
}

const dialog = page => page.locator('.modal');
const notice = (page, text) => page.locator('.lk-notice', { hasText: text }).first().waitFor();

test('profiles are shown in words, and whether they have a network', async t => {
	const { page, row } = await start(t);
	await row('iot').waitFor();
	assert.match(await row('iot').innerText(), /Internet only/);
	assert.match(await row('iot').innerText(), /none yet/);
	assert.match(await row('family').innerText(), /Everything/);
	assert.equal(await page.locator('tbody tr').count(), 3);
	await wellMade(page);
	await shot(page, 'profiles');
	assert.deepEqual(page.troubles, []);
});

test('a profile is added, what is wrong stands at its field, and its network follows', async t => {
	const { page, row, daemon, router } = await start(t);
	await row('iot').waitFor();
	await page.getByRole('button', { name: 'Add a profile' }).click();
	await page.getByLabel('Name', { exact: true }).fill('guests');
	assert.equal(await page.getByLabel('VLAN', { exact: true }).inputValue(), '30');
	await page.getByLabel('When').fill('at night');
	await page.getByRole('button', { name: 'Add', exact: true }).click();
	const wrong = dialog(page).locator('.lk-error:not(.hidden)');
	await wrong.waitFor();
	assert.match(await wrong.innerText(), /mon-fri 07:00-21:00/);
	assert.equal(await page.getByLabel('When').getAttribute('aria-invalid'), 'true');

	await page.getByLabel('When').fill('daily 08:00-22:00\nsat,sun 08:00-24:00');
	await page.getByLabel('Also allowed').fill('192.168.1.10 tcp 443');
	await page.getByRole('button', { name: 'Add', exact: true }).click();
	await dialog(page).getByText('One step is left').waitFor();
	await notice(page, 'guests was added');

	const { profiles } = await daemon.call('profile_list');
	const made = profiles.find(profile => profile.name == 'guests');
	assert.deepEqual([ made.vlan, made.access, made.allow, made.hours, made.isolate ],
		[ 30, 'internet', [ '192.168.1.10 tcp 443' ], [ 'daily 08:00-22:00', 'sat,sun 08:00-24:00' ], true ]);
	assert.match(router.read('etc/config/latchkey'), /config profile 'guests'/);

	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).getByText('This will change:').waitFor();
	assert.equal(router.reloads, 0, 'nothing is done before it was shown');
	await dialog(page).locator('summary').click();
	assert.match(await dialog(page).locator('.lk-diff').allInnerTexts().then(all => all.join('\n')), /\+ config interface 'lk_guests'/);
	await wellMade(page);
	await shot(page, 'profiles-plan');
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).locator('.lk-clock').waitFor();
	assert.match(router.read('etc/config/network'), /config interface 'lk_guests'/);
	assert.ok(router.reloads > 0);
	await dialog(page).getByText('The router answers.').waitFor({ timeout: 15000 });
	await wellMade(page);
	await shot(page, 'profiles-countdown');
	/* Nobody does anything: the router answers, so it stays. */
	await notice(page, 'The change stays').catch(async () => page.locator('.lk-notice', { hasText: 'The change stays' }).waitFor({ timeout: 20000 }));
	await row('guests').getByText('lk_guests').waitFor();
	assert.match(router.read('etc/config/network'), /config interface 'lk_guests'/);
	assert.deepEqual(page.troubles, []);
});

test('a network that was made is taken back, and removed again', async t => {
	const { page, row, router } = await start(t);
	const before = router.settings();
	await row('iot').getByRole('button', { name: 'Make the network of iot' }).click();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Take it back' }).click();
	await notice(page, 'everything is as it was before');
	assert.deepEqual(router.settings(), before);
	assert.match(await row('iot').innerText(), /none yet/);

	await row('iot').getByRole('button', { name: 'Make the network of iot' }).click();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await notice(page, 'The change stays');
	await row('iot').getByText('lk_iot').waitFor();
	assert.notDeepEqual(router.settings(), before);

	await row('iot').getByRole('button', { name: 'Remove the network of iot' }).click();
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).getByRole('button', { name: 'Remove' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await row('iot').getByText('none yet').waitFor();
	assert.deepEqual(router.settings(), before);
	assert.deepEqual(page.troubles, []);
});

test('while the router does not answer, nothing is kept; a page that comes later can still decide', async t => {
	const { page, row, router, server } = await start(t);
	const before = router.settings();
	await row('iot').getByRole('button', { name: 'Make the network of iot' }).click();
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).locator('.lk-clock').waitFor();
	await page.route('**/ubus/**', route => route.abort());
	await dialog(page).getByText('The router does not answer at the moment').waitFor({ timeout: 15000 });
	await wellMade(page);
	await shot(page, 'profiles-away');
	await page.waitForTimeout(11000);
	assert.equal(server.calls.filter(call => call.args.params?.includes('confirm')).length, 0);

	const later = await open(browser, server.url('profiles'));
	t.after(() => later.context().close());
	await later.getByText('waits to be kept').waitFor();
	await wellMade(later);
	await shot(later, 'profiles-pending');
	await later.getByRole('button', { name: 'Take it back' }).click();
	await notice(later, 'everything is as it was before');
	assert.deepEqual(router.settings(), before);

	/* The first page comes through again and finds that it is over; how, only if the program says so. */
	await page.unroute('**/ubus/**');
	await page.locator('.lk-notice', { hasText: /The change (was taken back|is no longer waiting)/ }).waitFor({ timeout: 20000 });
	assert.equal(await page.locator('body.modal-overlay-active').count(), 0);
});

test('a profile is changed, only by what was changed', async t => {
	const { page, row, daemon, server, router } = await start(t);
	await row('iot').getByRole('button', { name: 'Edit iot' }).click();
	await page.getByRole('button', { name: 'Save' }).click();
	await notice(page, 'Nothing was changed');
	assert.equal(server.calls.filter(call => call.name == 'profile_set').length, 0);

	await row('iot').getByRole('button', { name: 'Edit iot' }).click();
	await page.getByLabel('Devices may reach').selectOption('isolated');
	await page.getByRole('button', { name: 'Save' }).click();
	await notice(page, 'iot was changed');
	assert.deepEqual(server.calls.find(call => call.name == 'profile_set').args, { name: 'iot', access: 'isolated' });
	await row('iot').getByText('Nothing but what is allowed').waitFor();
	assert.equal((await daemon.call('profile_list')).profiles.find(p => p.name == 'iot').access, 'isolated');
	assert.match(router.read('etc/config/latchkey'), /option access 'isolated'/);
	assert.deepEqual(page.troubles, []);
});

test('a profile that is used stays, and it is said by what; another one goes', async t => {
	const { page, row, daemon } = await start(t);
	await daemon.call('device_add', { name: 'lamp', profile: 'iot', generate: true });
	await row('iot').getByRole('button', { name: 'Remove iot' }).click();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	const trouble = dialog(page).locator('.lk-trouble:not(.hidden)');
	await trouble.waitFor();
	assert.match(await trouble.innerText(), /lamp|device/);
	await dialog(page).getByRole('button', { name: 'Cancel' }).click();

	await row('waiting').getByRole('button', { name: 'Remove waiting' }).click();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	await notice(page, 'waiting was removed');
	await row('waiting').waitFor({ state: 'detached' });
	assert.ok((await daemon.call('profile_list')).profiles.every(p => p.name != 'waiting'));
	assert.deepEqual(page.troubles, []);
});

test('a profile with a network: the network goes first', async t => {
	const { page, row, router, daemon } = await start(t);
	const before = router.settings();
	await row('waiting').getByRole('button', { name: 'Make the network of waiting' }).click();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await row('waiting').getByText('lk_waiting').waitFor();
	await row('waiting').getByRole('button', { name: 'Remove waiting' }).click();
	await dialog(page).getByText('Remove the network first').waitFor();
	assert.equal((await daemon.call('profile_list')).profiles.length, 3);
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await row('waiting').getByText('none yet').waitFor();
	assert.deepEqual(router.settings(), before);
	await row('waiting').getByRole('button', { name: 'Remove waiting' }).click();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	await row('waiting').waitFor({ state: 'detached' });
	assert.equal(router.read('etc/config/network'), before.network);
	assert.deepEqual(page.troubles, []);
});

test('when a profile changes, its network follows', async t => {
	const { page, row, router } = await start(t);
	await row('iot').getByRole('button', { name: 'Make the network of iot' }).click();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await row('iot').getByText('lk_iot').waitFor();
	assert.match(router.read('etc/config/firewall'), /config forwarding 'lk_iot/);
	await row('iot').getByRole('button', { name: 'Edit iot' }).click();
	await page.getByLabel('Devices may reach').selectOption('isolated');
	await page.getByRole('button', { name: 'Save' }).click();
	await dialog(page).getByText('was made for what the profile iot said before').waitFor();
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).getByRole('button', { name: 'Apply' }).click();
	await dialog(page).getByRole('button', { name: 'Keep it now' }).click();
	await notice(page, 'The change stays');
	assert.doesNotMatch(router.read('etc/config/firewall'), /config forwarding 'lk_iot/);
	assert.deepEqual(page.troubles, []);
});

test('who may only look sees profiles and can do nothing', async t => {
	const { page, row, server } = await start(t, { session: VIEWER });
	await row('iot').getByText('none yet').waitFor();
	for (const button of await page.locator('.lk-place button.cbi-button').all())
		if (await button.isVisible())
			assert.ok(await button.isDisabled(), await button.innerText());
	assert.match(await page.locator('.lk-page').innerText(), /may only look/);
	/* The gate of LuCI says the same. */
	assert.equal((await server.exec(VIEWER, { command: '/usr/sbin/latchkey', params: [ 'openwrt', 'apply', '--json', '--profile', 'iot' ] }))[0], 6);
	assert.deepEqual(page.troubles, []);
});

test('without a profile the page says what a first one may be', async t => {
	const { page } = await start(t, { config: '' });
	await page.getByText('There is no profile yet').waitFor();
	await page.getByRole('button', { name: 'Add the first profile' }).click();
	await page.getByLabel('Name', { exact: true }).fill('iot');
	await page.keyboard.press('Enter');
	await notice(page, 'iot was added');
	assert.deepEqual(page.troubles, []);
});

test('a phone and the dark mode', async t => {
	const { page, row, server } = await start(t, { phone: true, dark: true });
	await row('iot').getByText('none yet').waitFor();
	await wellMade(page);
	await shot(page, 'profiles-phone-dark');
	await row('iot').getByRole('button', { name: 'Edit iot' }).tap();
	await page.getByLabel('Also allowed').waitFor();
	await wellMade(page);
	await shot(page, 'profiles-phone-edit');
	await dialog(page).getByRole('button', { name: 'Cancel' }).tap();
	await row('iot').getByRole('button', { name: 'Make the network of iot' }).tap();
	await dialog(page).getByText('This will change:').waitFor();
	await dialog(page).locator('summary').tap();
	await wellMade(page);
	await shot(page, 'profiles-phone-plan');
	assert.deepEqual(page.troubles, []);
	assert.equal(server.calls.filter(call => call.args.params?.includes('apply')).length, 0);
});

test('every text goes through the translation', { skip: !!process.env.LUCI_TREE }, async t => {
	const { page, row } = await start(t, { pseudo: true });
	await row('iot').waitFor();
	const data = [ /^(iot|family|waiting|192\..*|mon-fri 07:00-21:00)$/ ];
	assert.deepEqual(await untranslated(page, data), []);
	await row('iot').locator('button').first().click();
	await dialog(page).locator('textarea').first().waitFor();
	assert.deepEqual(await untranslated(page, data), []);
});

test('who may see nothing is told so', async t => {
	const { page } = await start(t, { session: NOBODY });
	await page.getByText('You are not permitted to see this').waitFor();
});

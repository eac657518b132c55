// The page Manufacturers: their servers, their certificates, and the CA of this router.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aaa } from './aaa.mjs';
import { Daemon } from './daemon.mjs';
import { Server, VIEWER } from './server.mjs';
import { launch, open, overflow, shot } from './browser.mjs';

const SECRET = 'shared with the manufacturer';

let browser, scratch;
before(async () => {
	browser = await launch();
	scratch = mkdtempSync(join(tmpdir(), 'latchkey-ca-'));
});
after(async () => {
	await browser.close();
	rmSync(scratch, { recursive: true, force: true });
});

/** The certificate of a new CA, PEM. */
function authority(name, days = 3650) {
	const [ key, certificate ] = [ join(scratch, `${name}.key`), join(scratch, `${name}.pem`) ];
	execFileSync('openssl', [ 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', certificate,
		'-days', String(days), '-subj', `/O=${name}/CN=${name} Device CA`, '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign' ],
	{ stdio: 'ignore' });
	return readFileSync(certificate, 'utf8');
}

const PROFILES = `
config profile 'iot'
	option vlan '20'
	option access 'internet'

config profile 'family'
	option vlan '10'
	option access 'full'
`;

/** The daemon with a realm whose first server is not there and whose second one answers. */
async function start(t, { config, ...options } = {}) {
	const aaa = await Aaa.start(SECRET);
	const silent = await Aaa.start(SECRET);
	const gone = silent.port;
	await silent.close();
	const daemon = await Daemon.start(config ?? `${PROFILES}
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://127.0.0.1:${gone}'
	list server 'udp://127.0.0.1:${aaa.port}'
	option secret '${SECRET}'
	option profile 'iot'
	option admit 'pending'
`);
	const server = await Server.start(daemon);
	const page = await open(browser, server.url('manufacturers', options), options);

	t.after(async () => {
		await page.context().close();
		await server.close();
		await daemon.close();
		await aaa.close();
	});

	return { aaa, gone, daemon, server, page, row: name => page.locator(`tr[data-key="${name}"]`) };
}

const dialog = page => page.locator('.modal');
const notice = (page, text) => page.locator('.lk-notice', { hasText: text }).first().waitFor();
const wrong = page => dialog(page).locator('.lk-error:not(.hidden)');

test('a test goes step by step, and says what to do where it ends', async t => {
	const { page, row, aaa, gone } = await start(t);
	await row('acme').waitFor();
	assert.match(await row('acme').innerText(), /acme\.example/);
	await row('acme').getByRole('button', { name: 'Test acme' }).click();
	await dialog(page).getByText('1 of its 2 servers answer').waitFor({ timeout: 20000 });
	assert.ok(aaa.answered > 0);
	const text = await dialog(page).innerText();
	assert.match(text, new RegExp(`udp://127.0.0.1:${gone}`));
	assert.match(text, /What to do:.*UDP port/s);
	assert.equal(await dialog(page).locator('.lk-failed').count(), 1);
	assert.ok(await dialog(page).locator('.lk-ok').count() >= 1);
	await shot(page, 'manufacturers-test');
	const asked = aaa.answered;
	await dialog(page).getByRole('button', { name: 'Test again' }).click();
	await dialog(page).getByText('1 of its 2 servers answer').waitFor({ timeout: 20000 });
	assert.ok(aaa.answered > asked);
	await dialog(page).getByRole('button', { name: 'Close' }).click();
	assert.deepEqual(page.troubles, []);
});

test('a realm moves to another server after the change was shown', async t => {
	const { page, row, aaa, daemon } = await start(t);
	const before = readFileSync(daemon.file, 'utf8');
	await row('acme').getByRole('button', { name: 'Move acme' }).click();
	await page.getByLabel('Servers', { exact: true }).fill('http://aaa.example.org');
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await wrong(page).waitFor();
	assert.match(await wrong(page).innerText(), /radsec:\/\//);

	await page.getByLabel('Servers', { exact: true }).fill(`udp://127.0.0.1:${aaa.port}`);
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).locator('.lk-diff').waitFor();
	assert.match(await dialog(page).locator('.lk-removed').first().innerText(), /list server/);
	assert.equal(readFileSync(daemon.file, 'utf8'), before, 'nothing is done before it was shown');
	await shot(page, 'manufacturers-move');
	await dialog(page).getByRole('button', { name: 'Back' }).click();
	assert.equal(await page.getByLabel('Servers', { exact: true }).inputValue(), `udp://127.0.0.1:${aaa.port}`);
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).locator('.lk-diff').waitFor();
	await dialog(page).getByRole('button', { name: 'Move', exact: true }).click();
	await notice(page, 'acme was moved');
	assert.equal((await daemon.call('realm_show', { name: 'acme' })).realm.servers.length, 1);
	assert.notEqual(readFileSync(daemon.file, 'utf8'), before);
	await row('acme').locator('.lk-server').nth(1).waitFor({ state: 'detached' });

	/* Nothing to change is said, and to this router itself. */
	await row('acme').getByRole('button', { name: 'Move acme' }).click();
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).getByText('there is nothing to change').waitFor();
	await dialog(page).getByRole('button', { name: 'Close' }).click();
	await row('acme').getByRole('button', { name: 'Move acme' }).click();
	await page.getByLabel('Who says who its devices are').selectOption('local');
	assert.equal(await page.getByLabel('Servers', { exact: true }).isVisible(), false);
	await dialog(page).getByRole('button', { name: 'Show what will change' }).click();
	await dialog(page).getByRole('button', { name: 'Move', exact: true }).click();
	await row('acme').getByText('its devices are known here').waitFor();
	assert.equal((await daemon.call('realm_show', { name: 'acme' })).realm.target, 'local');
	assert.deepEqual(page.troubles, []);
});

test('a manufacturer’s certificates are added, changed, and taken away', async t => {
	const { page, row, daemon } = await start(t);
	const pem = authority('Acme');
	await page.getByText('No manufacturer’s certificates count yet').waitFor();
	await page.getByRole('button', { name: 'Add the first manufacturer' }).click();
	await page.getByLabel('Name', { exact: true }).fill('acme-devices');
	await page.getByLabel('CA certificate').fill('this is no certificate');
	await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
	await wrong(page).waitFor();
	assert.equal(await page.getByLabel('CA certificate').getAttribute('aria-invalid'), 'true');
	await page.getByLabel('CA certificate').fill(pem);
	await page.getByLabel('Which devices get in').selectOption('listed');
	await shot(page, 'manufacturers-add');
	await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
	await notice(page, 'acme-devices was added');
	await row('acme-devices').getByText('Acme Device CA').waitFor();
	const { maker } = await daemon.call('maker_show', { name: 'acme-devices' });
	assert.deepEqual([ maker.profile, maker.admit, maker.authorities.length ], [ 'iot', 'listed', 1 ]);

	await row('acme-devices').getByRole('button', { name: 'Edit acme-devices' }).click();
	await dialog(page).getByRole('button', { name: 'Save' }).click();
	await notice(page, 'Nothing was changed');
	await row('acme-devices').getByRole('button', { name: 'Edit acme-devices' }).click();
	await page.getByLabel('Profile of its devices').selectOption('family');
	await dialog(page).getByRole('button', { name: 'Save' }).click();
	await notice(page, 'acme-devices was changed');
	assert.equal((await daemon.call('maker_show', { name: 'acme-devices' })).maker.profile, 'family');

	/* The same CA vouches for one manufacturer only. */
	await page.getByRole('button', { name: 'Add a manufacturer' }).click();
	await page.getByLabel('Name', { exact: true }).fill('other');
	await page.getByLabel('CA certificate').fill(pem);
	await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
	await wrong(page).getByText('acme-devices').waitFor();
	await dialog(page).getByRole('button', { name: 'Cancel' }).click();

	await row('acme-devices').getByRole('button', { name: 'Remove acme-devices' }).click();
	await dialog(page).getByRole('button', { name: 'Remove', exact: true }).click();
	await notice(page, 'acme-devices was removed');
	await page.getByText('No manufacturer’s certificates count yet').waitFor();
	assert.deepEqual((await daemon.call('maker_list')).makers, []);
	assert.deepEqual(page.troubles, []);
});

test('certificates that end and lists that are not there are told of', async t => {
	const { page, row, daemon } = await start(t);
	await row('acme').waitFor();
	await daemon.call('maker_add', { name: 'brief', ca: authority('Brief', 5), profile: 'iot', crls: [ '/nowhere/brief.crl' ] });
	await page.reload();
	await page.locator('.alert-message.warning', { hasText: '/nowhere/brief.crl' }).waitFor();
	await page.locator('.alert-message.warning', { hasText: 'Brief Device CA' }).first().waitFor();
	await shot(page, 'manufacturers-warnings');
	assert.deepEqual(page.troubles, []);
});

test('the CA of this router is made, shown and saved', async t => {
	const { page, daemon } = await start(t);
	await page.getByText('There is no CA of this router yet').waitFor();
	await page.getByRole('button', { name: 'Make the CA' }).click();
	await dialog(page).getByText('BEGIN CERTIFICATE').waitFor();
	const saving = page.waitForEvent('download');
	await dialog(page).getByRole('button', { name: 'Save as a file' }).click();
	const saved = readFileSync(await (await saving).path(), 'utf8');
	assert.equal(saved, (await daemon.call('ca_export')).pem);
	await dialog(page).getByRole('button', { name: 'Close' }).click();
	await page.getByText((await daemon.call('ca_show')).ca.fingerprint).waitFor();
	assert.deepEqual(page.troubles, []);
});

test('without manufacturers the page says how to add one, and takes it up', async t => {
	const { page, row, daemon } = await start(t, { config: PROFILES });
	await page.getByText('No manufacturer’s server is asked').waitFor();
	daemon.configure(`${PROFILES}\nconfig realm 'lamps'\n\tlist realm 'lamps.example'\n\toption discover '1'\n\toption profile 'iot'\n`);
	await page.getByRole('button', { name: 'Read the settings again' }).click();
	await row('lamps').waitFor();

	/* A file with a mistake: what is wrong is said, and what runs goes on. */
	daemon.configure('config nonsense\n');
	await page.reload();
	await row('lamps').waitFor();
	assert.deepEqual(page.troubles, []);
});

test('who may only look sees manufacturers and can do nothing', async t => {
	const { page, row } = await start(t, { session: VIEWER });
	await row('acme').waitFor();
	for (const button of await page.locator('.lk-place button.cbi-button').all())
		if (await button.isVisible())
			assert.ok(await button.isDisabled(), await button.innerText());
	assert.deepEqual(page.troubles, []);
});

test('a phone and the dark mode', async t => {
	const { page, row, daemon } = await start(t, { phone: true, dark: true });
	await row('acme').waitFor();
	await daemon.call('maker_add', { name: 'acme-devices', ca: authority('Acme2'), profile: 'iot' });
	await daemon.call('ca_export');
	await page.reload();
	await row('acme-devices').waitFor();
	assert.equal(await overflow(page), 0);
	await shot(page, 'manufacturers-phone-dark');
	await row('acme').getByRole('button', { name: 'Move acme' }).tap();
	assert.equal(await overflow(page), 0);
	await shot(page, 'manufacturers-phone-move');
	assert.deepEqual(page.troubles, []);
});

// The page of unknown devices, and the pairing window.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG } from './daemon.mjs';
import { AccessPoint } from './radius.mjs';
import { shot } from './browser.mjs';
import { button, dialog, eventually, rig, row, wellMade } from './harness.mjs';

const it = rig(CONFIG);

const STRANGER = '06:00:00:00:00:99';

test('nobody waits; then somebody knocks, and is approved', () => it.visit('waiting', {}, async page => {
	await page.getByText('Nobody is waiting').waitFor();
	await wellMade(page);
	await shot(page, 'waiting-empty');

	const garden = new AccessPoint(it.daemon, { ssid: 'Garden; "and" shed' });
	assert.equal(await garden.ask(STRANGER), false);
	await row(page, STRANGER).getByText('“Garden; "and" shed”').waitFor();
	await row(page, STRANGER).getByText('random').waitFor();
	await row(page, STRANGER).getByText('1 try').waitFor();
	await garden.ask(STRANGER);
	await row(page, STRANGER).getByText('2 tries').waitFor();
	await wellMade(page);
	await shot(page, 'waiting');

	await row(page, STRANGER).getByRole('button', { name: `Approve ${STRANGER}` }).click();
	await button(dialog(page), 'Approve').click();
	await dialog(page).getByText('name is missing').waitFor();
	await dialog(page).getByLabel('Name').fill('guest tablet');
	await dialog(page).getByLabel('Profile').selectOption('family');
	await shot(page, 'waiting-approve');
	await button(dialog(page), 'Approve').click();
	await dialog(page).getByText('guest-tablet is approved').waitFor();
	await dialog(page).locator('.lk-qr svg').waitFor();
	const { key, device } = await it.daemon.call('device_secret', { name: 'guest-tablet' });
	assert.equal(await dialog(page).locator('code.lk-value').textContent(), key);
	assert.equal(device.profile, 'family');
	assert.deepEqual(device.macs.map(m => m.mac), [ STRANGER ]);
	await button(dialog(page), 'Done').click();
	await row(page, STRANGER).waitFor({ state: 'detached' });
}));

test('ignored, and not ignored any more', () => it.visit('waiting', {}, async page => {
	const mac = '06:00:00:00:00:98';
	const ap = new AccessPoint(it.daemon);
	await ap.ask(mac);
	await row(page, mac).getByRole('button', { name: `Ignore ${mac}` }).click();
	await button(dialog(page), 'Ignore').click();
	await page.getByText(`${mac} is ignored.`).waitFor();
	await page.getByText('1 ignored device').click();
	assert.equal((await it.daemon.call('pending_list')).pending.length, 0);
	await shot(page, 'waiting-ignored');

	await page.getByRole('button', { name: `Stop ignoring ${mac}` }).click();
	await page.getByText(`${mac} is listed again at its next try.`).waitFor();
	await page.getByRole('button', { name: `Stop ignoring ${mac}` }).waitFor({ state: 'detached' });
	await ap.ask(mac);
	await row(page, mac).waitFor();
}));

test('a pairing window: open, count down, stop', () => it.visit('waiting', {}, async page => {
	await button(page, 'Open a pairing window').click();
	await dialog(page).getByLabel('Profile of the device').selectOption('iot');
	await dialog(page).getByLabel('Open for').selectOption('2');
	await wellMade(page);
	await button(dialog(page), 'Open').click();

	await page.getByText('The next device is let in').waitFor();
	const clock = page.getByRole('timer');
	await eventually(async () => assert.match(await clock.textContent(), /^1:5\d$|^2:00$/));
	const first = await clock.textContent();
	await eventually(async () => assert.notEqual(await clock.textContent(), first));
	await wellMade(page);
	await shot(page, 'waiting-window');
	assert.equal((await it.daemon.call('pair_show')).window.profile, 'iot');

	await button(page, 'Stop').click();
	await page.getByText('The last window was closed just now.').waitFor();
	assert.equal((await it.daemon.call('pair_show')).window, null);
}));

test('a pairing window: who came', () => it.visit('waiting', {}, async page => {
	await it.daemon.call('pair_open', { profile: 'iot', minutes: 5, name: 'new-plug' });
	await page.getByText('is registered as new-plug').waitFor();
	assert.equal(await new AccessPoint(it.daemon).join('06:00:00:00:00:97'), true);
	await page.getByText('new-plug came in (06:00:00:00:00:97').waitFor();
	await shot(page, 'waiting-paired');
}));

test('a window that somebody else opened meanwhile', () => it.visit('waiting', {}, async page => {
	await button(page, 'Open a pairing window').click();
	await it.daemon.call('pair_open', { profile: 'iot' });
	await button(dialog(page), 'Open').click();
	await dialog(page).getByText('a pairing window is open already').waitFor();
	await it.daemon.call('pair_stop');
}));

test('two certificates from one address: one has to be chosen', async () => {
	const shown = name => ({ maker: 'acme', subject: `CN=${name}`, issuer: 'CN=acme', fingerprint: name.repeat(8), serial_number: null, not_after: null, mud_url: null });
	it.server.patch.pending_list = result => {
		if (result.pending)
			result.pending = [ Object.assign({
				mac: '02:00:00:00:00:55', randomised: true, ssid: 'Home', nas: 'ap', first_seen: '2026-01-01T00:00:00Z', last_seen: '2026-01-01T00:00:00Z', attempts: 1,
				reason: 'not_approved', why: 'x', quarantined: false, proved: 'certificate', key_of: null, identity: null, other_identity: null
			}, { certificate: shown('aaaa<b>'), other_certificate: shown('bbbb') }) ];
	};
	try {
		await it.visit('waiting', {}, async page => {
			await row(page, '02:00:00:00:00:55').getByText('two shown').waitFor();
			await row(page, '02:00:00:00:00:55').getByText('CN=aaaa<b>').waitFor();
			it.server.calls.length = 0;
			await row(page, '02:00:00:00:00:55').getByRole('button', { name: /^Approve/ }).click();
			await dialog(page).getByLabel('Name').fill('sensor');
			await dialog(page).getByLabel('Which one is it').selectOption({ label: 'CN=bbbb (acme)' });
			await button(dialog(page), 'Approve').click();
			await dialog(page).getByText('is not waiting').waitFor();
			const { args } = it.server.calls.find(c => c.name == 'pending_approve');
			assert.deepEqual(args, { mac: '02:00:00:00:00:55', name: 'sensor', certificate: 'bbbb'.repeat(8) });
		});
	}
	finally {
		delete it.server.patch.pending_list;
	}
});

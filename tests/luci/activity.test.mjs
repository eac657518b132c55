// The page of decisions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG } from './daemon.mjs';
import { AccessPoint } from './radius.mjs';
import { shot } from './browser.mjs';
import { button, eventually, rig, wellMade } from './harness.mjs';

const it = rig(CONFIG);

const LAMP = '02:00:00:00:00:11', STRANGER = '06:00:00:00:00:99';

test('decisions as they come: let in, refused, whose fault, and the mend', () => it.visit('activity', {}, async page => {
	const ap = new AccessPoint(it.daemon);
	const garden = new AccessPoint(it.daemon, { ssid: 'Garden; "and" shed', name: 'ap-shed' });
	const lines = () => page.locator('tbody tr').allTextContents();

	await page.getByText('Nothing has happened yet').waitFor();
	await shot(page, 'activity-empty');

	await it.daemon.call('device_add', { name: 'lamp', profile: 'iot', macs: [ LAMP ] });
	await ap.join(LAMP, '192.168.20.9');
	await eventually(async () => assert.match((await lines()).join('\n'), /lamp.*connected/));

	await garden.ask(STRANGER);
	const refused = page.locator('tbody tr', { hasText: STRANGER });
	await refused.getByText('refused', { exact: true }).waitFor();
	await refused.getByText('Refused: unknown device').waitFor();
	await refused.getByText('It is up to the device.').or(refused.getByText('It is up to')).first().waitFor();
	assert.match(await refused.getByRole('link', { name: 'Let it in' }).getAttribute('href'), /\/latchkey\/waiting$/);
	assert.match((await lines())[0], /06:00:00:00:00:99/, 'the latest first');

	// What repeats is one line that counts.
	await garden.ask(STRANGER);
	await garden.ask(STRANGER);
	await refused.getByText('3 times since').waitFor();
	assert.equal(await refused.count(), 1);

	await it.daemon.call('device_block', { name: 'lamp' });
	await ap.ask(LAMP);
	await page.getByText('Refused: blocked by the administrator.').waitFor();
	await wellMade(page);
	await shot(page, 'activity');
}));

test('filter by outcome and by device; pause', () => it.visit('activity', {}, async page => {
	const ap = new AccessPoint(it.daemon);
	const shown = () => page.locator('tbody tr').count();
	const all = await shown();

	await page.getByLabel('Show only').selectOption('refused');
	await eventually(async () => assert.equal(await shown(), 2));
	await page.getByLabel('Search the decisions').fill('lamp');
	await eventually(async () => assert.equal(await shown(), 1));
	await page.getByLabel('Search the decisions').fill('nothing like this');
	await page.getByText('No decision fits').waitFor();
	await page.getByLabel('Search the decisions').fill('');
	await page.getByLabel('Show only').selectOption('in');
	await eventually(async () => assert.ok(await shown() >= 1 && await shown() < all));
	await page.getByLabel('Show only').selectOption('');

	await button(page, 'Pause').click();
	await ap.ask('06:00:00:00:00:42');
	await page.waitForTimeout(800);
	assert.equal(await page.getByText('06:00:00:00:00:42').count(), 0);
	await button(page, 'Go on').click();
	await page.getByText('06:00:00:00:00:42').waitFor();
}));

test('only what is new travels, and a daemon that was started anew begins a new list', () => it.visit('activity', {}, async page => {
	await page.getByText('06:00:00:00:00:42').waitFor();
	it.server.calls.length = 0;
	await eventually(() => assert.ok(it.server.calls.filter(c => c.name == 'log').length > 2));
	assert.ok(it.server.calls.filter(c => c.name == 'log').every(c => c.args.since > 0));

	await it.daemon.stop();
	await page.getByText('latchkey is not running').waitFor();
	await it.daemon.run();
	await page.getByText('Nothing has happened yet').waitFor();
	assert.equal(await page.getByText('06:00:00:00:00:42').count(), 0);
}));

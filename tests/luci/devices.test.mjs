// The page of devices, flow by flow.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import jsQR from 'jsqr';
import { CONFIG } from './daemon.mjs';
import { AccessPoint } from './radius.mjs';
import { shot } from './browser.mjs';
import { button, dialog, rig, row, wellMade } from './harness.mjs';

const it = rig(CONFIG);

/** What a QR code in the page says. */
async function scan(page) {
	const { data, width } = await page.evaluate(async () => {
		const image = new Image();
		image.src = 'data:image/svg+xml,' + encodeURIComponent(new XMLSerializer().serializeToString(document.querySelector('.modal .lk-qr svg')));
		await image.decode();
		const canvas = Object.assign(document.createElement('canvas'), { width: 480, height: 480 });
		const context = canvas.getContext('2d');
		context.fillStyle = '#fff';
		context.fillRect(0, 0, 480, 480);
		context.drawImage(image, 40, 40, 400, 400);
		return { data: Array.from(context.getImageData(0, 0, 480, 480).data), width: 480 };
	});
	return jsQR(Uint8ClampedArray.from(data), width, width)?.data;
}

async function download(page, click) {
	const [ file ] = await Promise.all([ page.waitForEvent('download'), click() ]);
	return { name: file.suggestedFilename(), text: await readFile(await file.path(), 'utf8') };
}

test('the first device: three clicks from nothing to a QR code', () => it.visit('devices', {}, async page => {
	await page.getByText('No device is registered yet').waitFor();
	await wellMade(page);
	await shot(page, 'devices-empty');

	await button(page, 'Add the first device').click();
	await dialog(page).getByLabel('Name').fill('kitchen lamp');
	await wellMade(page);
	await shot(page, 'devices-add');
	await button(dialog(page), 'Add').click();

	await dialog(page).locator('.lk-qr svg').waitFor();
	await dialog(page).getByText('kitchen-lamp is registered').waitFor();
	await wellMade(page);
	await shot(page, 'devices-added');

	assert.ok(await page.evaluate(() => document.querySelector('.modal .lk-qr svg path').getBoundingClientRect().width) > 180, 'it is large enough to be scanned');

	const { key } = await it.daemon.call('device_secret', { name: 'kitchen-lamp' });
	assert.equal(await dialog(page).locator('code.lk-value').textContent(), key);
	assert.equal(await scan(page), `WIFI:T:WPA;S:Home;P:${key};;`);

	// Another network, whose name has to be escaped.
	await dialog(page).getByLabel('Network').selectOption('Garden; "and" shed');
	await dialog(page).getByText('Scan this with the device to join “Garden; "and" shed”.').waitFor();
	assert.equal(await scan(page), `WIFI:T:WPA;S:Garden\\; \\"and\\" shed;P:${key};;`);

	// Nothing of it stays in the page.
	assert.ok((await page.content()).includes(key));
	await button(dialog(page), 'Done').click();
	const left = await page.content();
	assert.ok(!left.includes(key) && !left.includes('<svg'), 'the key is still in the document');
	await row(page, 'kitchen-lamp').getByText('not seen yet').waitFor();
	assert.equal(await page.locator('body.modal-overlay-active').count(), 0);
	assert.match(await page.locator('#view').textContent(), /1 device, 0 online/);
}));

test('a refusal stands at the field that it is about', () => it.visit('devices', {}, async page => {
	await button(page, 'Add device').click();
	await button(dialog(page), 'Add').click();
	await dialog(page).getByText('name is missing').waitFor();

	await dialog(page).getByLabel('Name').fill('kitchen-lamp');
	await page.keyboard.press('Enter');
	await dialog(page).getByText('there is a device \'kitchen-lamp\' already: choose another name').waitFor();
	assert.equal(await dialog(page).getByLabel('Name').getAttribute('aria-invalid'), 'true');

	// At one of the options that are folded away.
	await dialog(page).getByLabel('Name').fill('porch-camera');
	await dialog(page).getByText('More options').click();
	await dialog(page).getByLabel('MAC addresses').fill('nonsense');
	await dialog(page).getByText('More options').click();
	await button(dialog(page), 'Add').click();
	await dialog(page).getByText(/nonsense.*is/).waitFor();
	await shot(page, 'devices-refusal');

	await dialog(page).getByLabel('How it proves itself').selectOption('key');
	await dialog(page).getByLabel('Its Wi-Fi key').fill('12345678');
	await dialog(page).getByLabel('MAC addresses').fill('');
	await button(dialog(page), 'Add').click();
	await dialog(page).getByText('this key is too weak').waitFor();
	await page.keyboard.press('Escape');
	assert.equal(await page.locator('body.modal-overlay-active').count(), 0);
	assert.equal((await it.daemon.call('device_list')).total, 1);
}));

test('EAP-PSK and certificates', () => it.visit('devices', {}, async page => {
	await button(page, 'Add device').click();
	await dialog(page).getByLabel('Name').fill('meter');
	await dialog(page).getByLabel('How it proves itself').selectOption('eap_psk');
	await button(dialog(page), 'Add').click();
	await dialog(page).getByText('Feed these into the device:').waitFor();
	const { eap_psk } = await it.daemon.call('device_secret', { name: 'meter' });
	const shown = await dialog(page).locator('code.lk-value').allTextContents();
	assert.deepEqual(shown, [ eap_psk.identity, eap_psk.key ]);
	await shot(page, 'devices-eap-psk');
	await button(dialog(page), 'Done').click();

	await button(page, 'Add device').click();
	await dialog(page).getByLabel('Name').fill('laptop');
	await dialog(page).getByLabel('How it proves itself').selectOption('certificate');
	await button(dialog(page), 'Add').click();
	await dialog(page).getByText('The private key is shown this once').waitFor({ timeout: 30000 });
	await wellMade(page);
	await shot(page, 'devices-certificate');
	const p12 = await download(page, () => button(dialog(page), 'Download laptop.p12').click());
	assert.equal(p12.name, 'laptop.p12');
	assert.ok(p12.text.length > 500);
	await button(dialog(page), 'Done').click();
	await row(page, 'laptop').getByText('certificate').waitFor();
}));

test('live: a station that joins, its address and its history', () => it.visit('devices', {}, async page => {
	const mac = '02:00:00:00:00:11';
	await it.daemon.call('device_add', { name: 'radio', profile: 'family', macs: [ mac ] });
	await row(page, 'radio').getByText('not seen yet').waitFor();

	const ap = new AccessPoint(it.daemon);
	assert.equal(await ap.join(mac, '192.168.10.7'), true);
	await row(page, 'radio').getByText('online').waitFor();
	await row(page, 'radio').getByText('192.168.10.7').waitFor();

	await button(page, 'radio').click();
	await dialog(page).getByText('What happened lately').waitFor();
	const text = await dialog(page).textContent();
	assert.match(text, /family · VLAN 10/);
	assert.match(text, /192\.168\.10\.7/);
	assert.match(text, /Known by its address/);
	assert.match(text, /let in once|let in 2 times/);
	await wellMade(page);
	await shot(page, 'devices-details');
	// The keyboard returns to where it was, though the row was drawn anew meanwhile.
	await it.daemon.call('device_set', { name: 'radio', set: { profile: 'iot' } });
	await row(page, 'radio').getByText('iot · VLAN 20').waitFor();
	await button(dialog(page), 'Close').click();
	assert.equal(await page.evaluate(() => document.activeElement.textContent), 'radio');
	await it.daemon.call('device_set', { name: 'radio', set: { profile: 'family' } });

	await ap.leave(mac);
	await row(page, 'radio').getByText('offline').waitFor();
	await row(page, 'radio').getByText(/just now|s ago/).waitFor();
}));

test('signal, from the table of stations', async () => {
	it.server.patch.stations = result => {
		result.stations.push({
			device: 'radio', mac: '02:00:00:00:00:11', bss: 'phy0-ap0', bssid: null, ssid: 'Home', backend: 'radius', vlan: 10, akm: 'WPA2-PSK', keyid: null,
			signal_dbm: -61, rx_kbit_s: 65000, tx_kbit_s: 130000, rx_bytes: 5000, tx_bytes: 70000000, connected_s: 3700, inactive_ms: 10, addresses: [ '192.168.10.7' ]
		});
		result.total++;
	};
	try {
		await it.visit('devices', {}, async page => {
			await row(page, 'radio').getByText('-61 dBm').waitFor();
			assert.equal(await row(page, 'radio').getByRole('img', { name: 'good' }).count(), 1);
			await button(page, 'radio').click();
			await dialog(page).getByText('“Home” on phy0-ap0, for 1 h').waitFor();
			await dialog(page).getByText('130.0 Mbit/s down, 65.0 Mbit/s up').waitFor();
			await dialog(page).getByText('66.8 MiB down, 4.9 KiB up').waitFor();
		});
	}
	finally {
		delete it.server.patch.stations;
	}
});

test('edit, block, unblock, a new key, remove', () => it.visit('devices', {}, async page => {
	await it.daemon.call('device_add', { name: 'toy', profile: 'iot' });
	const before = await it.daemon.call('device_secret', { name: 'toy' });
	const details = () => row(page, 'toy').getByRole('button', { name: 'Details of toy' }).click();

	await details();
	await button(dialog(page), 'Edit').click();
	await dialog(page).getByLabel('Profile').selectOption('family');
	await dialog(page).getByLabel('Until the end of').fill('2035-05-06');
	await dialog(page).getByLabel('Addresses at a time').fill('3');
	await shot(page, 'devices-edit');
	await button(dialog(page), 'Save').click();
	await page.getByText('toy is saved.').waitFor();
	await row(page, 'toy').getByText('family · VLAN 10').waitFor();
	const { device } = await it.daemon.call('device_show', { name: 'toy' });
	assert.equal(device.max_devices, 3);
	assert.match(device.expires, /^2035-05-0[67]T/);

	await details();
	await button(dialog(page), 'Block').click();
	await dialog(page).getByText('It is disconnected at once').waitFor();
	await shot(page, 'devices-block');
	await button(dialog(page), 'Block').click();
	await page.getByText('toy is blocked.').waitFor();
	await row(page, 'toy').getByText('blocked').waitFor();
	assert.equal((await it.daemon.call('device_show', { name: 'toy' })).device.state, 'blocked');

	await details();
	await button(dialog(page), 'Unblock').click();
	await page.getByText('toy may join again.').waitFor();
	await row(page, 'toy').getByText('not seen yet').waitFor();

	await details();
	await button(dialog(page), 'New key').click();
	await button(dialog(page), 'Make a new key').click();
	await dialog(page).getByText('The new key of toy').waitFor();
	const after = await it.daemon.call('device_secret', { name: 'toy' });
	assert.notEqual(after.key, before.key);
	assert.equal(await dialog(page).locator('code.lk-value').textContent(), after.key);
	await button(dialog(page), 'Done').click();

	await details();
	await button(dialog(page), 'Remove').click();
	await button(dialog(page), 'Cancel').click();
	assert.ok(await it.daemon.call('device_show', { name: 'toy' }));
	await details();
	await button(dialog(page), 'Remove').click();
	await button(dialog(page), 'Remove').click();
	await page.getByText('toy is removed.').waitFor();
	await row(page, 'toy').waitFor({ state: 'detached' });
	assert.equal((await it.daemon.ask('device_show', { name: 'toy' })).error.code, 'not_found');
}));

test('a device that somebody else removed meanwhile', () => it.visit('devices', {}, async page => {
	await it.daemon.call('device_add', { name: 'ghost', profile: 'iot' });
	await button(page, 'ghost').click();
	await button(dialog(page), 'Block').click();
	await it.daemon.call('device_remove', { name: 'ghost' });
	await button(dialog(page), 'Block').click();
	await dialog(page).getByText('there is no device \'ghost\'').waitFor();
	await button(dialog(page), 'Cancel').click();
	await row(page, 'ghost').waitFor({ state: 'detached' });
}));

test('what is refused in a dialog is said in that dialog', () => it.visit('devices', {}, async page => {
	await it.daemon.call('device_add', { name: 'shade', profile: 'iot' });
	await button(page, 'shade').click();
	await dialog(page).getByText('What happened lately').waitFor();
	await it.daemon.call('device_remove', { name: 'shade' });
	await button(dialog(page), 'Show key').click();
	await dialog(page).locator('.lk-trouble', { hasText: 'there is no device \'shade\'' }).waitFor();
	await wellMade(page);
	await shot(page, 'devices-dialog-trouble');
	await button(dialog(page), 'Close').click();

	await it.daemon.call('device_add', { name: 'shade', profile: 'iot' });
	await it.daemon.call('device_block', { name: 'shade' });
	await row(page, 'shade').getByText('blocked').waitFor();
	await button(page, 'shade').click();
	await dialog(page).getByText('What happened lately').waitFor();
	await it.daemon.call('device_remove', { name: 'shade' });
	await button(dialog(page), 'Unblock').click();
	await dialog(page).locator('.lk-trouble', { hasText: 'there is no device \'shade\'' }).waitFor();
	assert.equal(await page.locator('.lk-notice').count(), 0);
	await button(dialog(page), 'Close').click();
	await row(page, 'shade').waitFor({ state: 'detached' });
}));

test('search, filter and order', () => it.visit('devices', {}, async page => {
	const names = () => page.locator('tbody tr').evaluateAll(rows => rows.map(r => r.dataset.key));

	assert.deepEqual(await names(), [ 'kitchen-lamp', 'laptop', 'meter', 'radio' ]);
	await page.locator('.lk-sort', { hasText: 'Device' }).click();
	assert.deepEqual(await names(), [ 'radio', 'meter', 'laptop', 'kitchen-lamp' ]);
	await page.getByLabel('Search the devices').fill('FAMILY 10');
	assert.deepEqual(await names(), [ 'radio' ]);
	await page.getByLabel('Search the devices').fill('00:11');
	assert.deepEqual(await names(), [ 'radio' ]);
	await page.getByLabel('Search the devices').fill('nobody');
	await page.getByText('No device fits').waitFor();
	await button(page, 'Show all devices').click();
	await page.getByLabel('Show only').selectOption('waiting');
	assert.deepEqual(await names(), [ 'meter', 'laptop', 'kitchen-lamp' ]);
}));

test('import and export', () => it.visit('devices', {}, async page => {
	await button(page, 'Import').click();
	await dialog(page).getByLabel('Devices as CSV').fill('name,profile,mac\ngood,iot,\nbad one,iot,\nlamp2,nowhere,');
	await button(dialog(page), 'Import').click();
	await dialog(page).getByText('nothing was imported: 2 lines are wrong').waitFor();
	await dialog(page).getByText('Line 3, name').waitFor();
	await dialog(page).getByText('Line 4, profile').waitFor();
	await wellMade(page);
	await shot(page, 'devices-import');
	assert.equal((await it.daemon.ask('device_show', { name: 'good' })).error?.code, 'not_found');

	await dialog(page).getByLabel('Devices as CSV').fill('name,profile,mac\ngood,iot,\nlamp2,family,02:00:00:00:00:22');
	await button(dialog(page), 'Import').click();
	await dialog(page).getByText('2 devices are registered').waitFor();
	const { key } = await it.daemon.call('device_secret', { name: 'good' });
	const file = await download(page, () => button(dialog(page), 'Download the new keys').click());
	assert.ok(file.text.includes(`"good","${key}"`));
	await button(dialog(page), 'Done').click();
	await row(page, 'lamp2').waitFor();

	await button(page, 'Export').click();
	const without = await download(page, () => button(dialog(page), 'Download').click());
	assert.ok(without.text.includes('lamp2,family') && !without.text.includes(key));
	await button(page, 'Export').click();
	await dialog(page).getByLabel('With their keys').check();
	const all = await download(page, () => button(dialog(page), 'Download').click());
	assert.ok(all.text.includes(key));
}));

test('what a page asks for while nothing changes is little', () => it.visit('devices', {}, async page => {
	await row(page, 'radio').waitFor();
	await page.waitForTimeout(600);
	it.server.calls.length = 0;
	await page.waitForTimeout(2500);
	const asked = new Set(it.server.calls.map(c => c.name));
	assert.ok(it.server.calls.length >= 3, 'it asks again and again');
	assert.deepEqual([ ...asked ], [ 'status' ]);
}));

test('secrets travel only when somebody asks for them', () => it.visit('devices', {}, async page => {
	it.server.calls.length = 0;
	await row(page, 'good').waitFor();
	await button(page, 'good').click();
	await dialog(page).getByText('What happened lately').waitFor();
	await page.waitForTimeout(700);
	const secret = () => it.server.calls.filter(c => [ 'device_secret', 'qr', 'device_export_secrets' ].includes(c.name)).map(c => c.name);
	assert.deepEqual(secret(), []);
	await button(dialog(page), 'Show key').click();
	await dialog(page).locator('.lk-qr svg').waitFor();
	assert.deepEqual(secret(), [ 'device_secret', 'qr' ]);
}));

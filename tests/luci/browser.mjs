// The browser, and what the tests of all pages have in common.

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;

/** Where screenshots go. */
export const SHOTS = resolve(here, '../../target/luci');

export const DESKTOP = { width: 1200, height: 850 };
export const PHONE = { width: 390, height: 844 };

const FLAGS = [ '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync' ];

export function launch() {
	mkdirSync(SHOTS, { recursive: true });
	return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
}

/** Opens a page; what goes wrong in it is collected in `page.troubles`. */
export async function open(browser, url, { phone = false } = {}) {
	const context = await browser.newContext({ viewport: phone ? PHONE : DESKTOP, ...(phone && { isMobile: true, hasTouch: true, screen: PHONE }), acceptDownloads: true });
	const page = await context.newPage();
	page.setDefaultTimeout(8000);
	page.troubles = [];
	page.on('pageerror', error => page.troubles.push(String(error.stack ?? error)));
	page.on('console', message => message.type() == 'error' && page.troubles.push(message.text()));
	page.on('dialog', dialog => {
		page.troubles.push(`dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	await page.goto(url);
	return page;
}

/** A screenshot of the whole page, for people to look at. */
export async function shot(page, name) {
	await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: !(await page.locator('body.modal-overlay-active').count()) });
}

/** How far the page is wider than its window: nothing may have to be scrolled sideways. */
export function overflow(page) {
	return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

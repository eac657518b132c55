// The template of translations.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { TEMPLATE, template, texts } from './pot.mjs';

test('the template is current: else run node tests/luci/pot.mjs', () => {
	assert.equal(readFileSync(TEMPLATE, 'utf8'), template());
});

test('texts are found wherever they stand, and only texts', () => {
	const source = `
		/* _('a comment') */
		const a = [ _('one'), "_('in a string')", \`\${_('two "quoted"')}\` ];
		x.push(N_(a.length, '%d thing', '%d things').format(1), _('split ' + 'in two'));
	`;
	assert.deepEqual(texts(source), { found: [ [ 'one' ], [ 'two "quoted"' ], [ '%d thing', '%d things' ], [ 'split in two' ] ], wrong: [] });
});

test('what cannot be translated is an error', () => {
	assert.match(texts('f(_(name));').wrong[0], /line 1/);
	assert.match(texts('f(_("a" + b));').wrong[0], /no text/);
	assert.equal(texts('f(_("a"').wrong.length, 1);
	for (const text of [ '_("a ")', '_(" a")', 'N_(n, "%d thing", "%d things ")', '_("a" + " ")' ])
		assert.match(texts(`f(${text});`).wrong[0], /white space/, text);
	assert.deepEqual(texts('f(_("a b"));').wrong, []);
});

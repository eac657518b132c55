// The rules that LuCI lints its own applications with (ESLint's recommended ones, with its exceptions), and two of ours: in
// LuCI an unknown name is a warning, and unused ones are not looked for.

import { defineConfig, globalIgnores } from 'eslint/config';
import globals from 'globals';
import js from '@eslint/js';
import json from '@eslint/json';

/* What LuCI's loader hands to a view: modules by their name, and what is global on its pages. */
const LUCI = [ '_', 'N_', 'L', 'E', 'TR', 'cbi_update_table', 'baseclass', 'dom', 'form', 'fs', 'network', 'poll', 'request', 'session',
	'rpc', 'uci', 'ui', 'validation', 'view', 'widgets' ];

export default defineConfig([
	globalIgnores([ '**/node_modules/**' ]),
	{
		files: [ '**/*.json' ],
		ignores: [ '**/package-lock.json' ],
		plugins: { json },
		language: 'json/json',
		extends: [ 'json/recommended' ],
		rules: { 'json/no-duplicate-keys': 'error' }
	},
	{
		files: [ '**/luci-app/**/*.js' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: {
			sourceType: 'script',
			/* Not what LuCI's main branch allows (2026), but what the browsers of 23.05's time understand. */
			ecmaVersion: 2020,
			globals: {
				...globals.browser,
				...Object.fromEntries(LUCI.map(name => [ name, 'readonly' ])),
				/* modules of ours, by the names our pages give them */
				...Object.fromEntries([ 'api', 'show', 'credential', 'dialogs', 'router', 'tables' ].map(name => [ name, 'readonly' ]))
			},
			parserOptions: { ecmaFeatures: { globalReturn: true } }
		},
		rules: {
			'strict': 0,
			'no-prototype-builtins': 0,
			'no-empty': 0,
			'no-undef': 'error',
			'no-unused-vars': [ 'error', { 'args': 'none', 'caughtErrors': 'none' } ],
			'no-regex-spaces': 0,
			'no-control-regex': 0
		}
	},
	{
		files: [ '**/runtime/*.js' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: { sourceType: 'script', globals: { ...globals.browser, L: 'readonly' } }
	},
	{
		files: [ '**/*.mjs' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: { globals: { ...globals.nodeBuiltin, ...globals.browser } }
	}
]);

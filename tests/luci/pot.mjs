// The template of translations, po/templates/latchkey.pot, made from the pages: the texts of _() and N_(), the titles of the
// menu, the description of the ACL. `node pot.mjs` writes it; a test looks whether it is current.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Linter } from 'eslint';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const app = join(here, '../../luci-app');

export const TEMPLATE = join(app, 'po/templates/latchkey.pot');

/** The texts of a script, as [ singular, plural ]; what cannot be translated is in `wrong`. */
export function texts(source) {
	const found = [], wrong = [];

	/* ESLint's parser and its walk over the tree, with one rule: collect. */
	const literal = node => {
		if (node?.type == 'Literal' && typeof(node.value) == 'string')
			return node.value;

		if (node?.type == 'BinaryExpression' && node.operator == '+') {
			const [ left, right ] = [ literal(node.left), literal(node.right) ];
			return left === null || right === null ? null : left + right;
		}

		return null;
	};
	const collect = {
		create: () => ({
			CallExpression(node) {
				const name = node.callee.name;
				const args = name == '_' ? node.arguments.slice(0, 1) : name == 'N_' ? node.arguments.slice(1, 3) : [];
				const strings = args.map(literal);

				if (strings.includes(null))
					wrong.push(`line ${node.loc.start.line}: ${name}() of something that is no text`);
				else if (strings.some(text => text != text.trim()))
					wrong.push(`line ${node.loc.start.line}: ${name}() of a text with white space at an end, which no translation keeps`);
				else if (strings.length)
					found.push(strings);
			}
		})
	};
	const messages = new Linter().verify(source, {
		plugins: { pot: { rules: { collect } } },
		rules: { 'pot/collect': 'error' },
		languageOptions: { sourceType: 'script', ecmaVersion: 2020, parserOptions: { ecmaFeatures: { globalReturn: true } } },
		linterOptions: { reportUnusedDisableDirectives: 'off' }
	});

	for (const message of messages.filter(message => message.fatal))
		wrong.push(`line ${message.line}: ${message.message}`);

	return { found, wrong };
}

/* One space for each run of white space, as LuCI's own tool and its catalogues have it. */
const collapse = text => text.replace(/\s+/g, ' ').trim();
const quote = text => '"' + text.replace(/[\\"]/g, c => '\\' + c) + '"';

/** The whole template; throws when a text cannot be translated. */
export function template() {
	const entries = new Map();

	const add = (file, [ one, many ]) => {
		const key = collapse(one);
		const entry = entries.get(key) ?? { files: new Set() };

		if (many !== undefined)
			entry.many = collapse(many);

		entry.files.add(file);
		entries.set(key, entry);
	};

	const resources = 'htdocs/luci-static/resources';

	for (const folder of [ 'latchkey', 'view/latchkey' ])
		for (const name of readdirSync(join(app, resources, folder)).filter(name => name.endsWith('.js')).sort()) {
			const file = `${resources}/${folder}/${name}`;
			const { found, wrong } = texts(readFileSync(join(app, file), 'utf8'));

			if (wrong.length)
				throw new Error(`${file}: ${wrong.join('; ')}`);

			found.forEach(strings => add(file, strings));
		}

	const json = file => JSON.parse(readFileSync(join(app, file), 'utf8'));
	const menu = 'root/usr/share/luci/menu.d/luci-app-latchkey.json', acl = 'root/usr/share/rpcd/acl.d/luci-app-latchkey.json';

	Object.values(json(menu)).forEach(entry => add(menu, [ entry.title ]));
	Object.values(json(acl)).forEach(group => add(acl, [ group.description ]));

	const sorted = [ ...entries ].sort(([ a ], [ b ]) => (a < b ? -1 : 1));

	return [ 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n' ].concat(sorted.map(([ one, { many, files } ]) =>
		[ ...files ].sort().map(file => `#: ${file.replace(/^root\/usr\/share\//, '')}\n`).join('')
			+ `msgid ${quote(one)}\n`
			+ (many === undefined ? 'msgstr ""\n' : `msgid_plural ${quote(many)}\nmsgstr[0] ""\nmsgstr[1] ""\n`))).join('\n');
}

if (import.meta.url == pathToFileURL(process.argv[1] ?? '').href)
	writeFileSync(TEMPLATE, template());

'use strict';
'require baseclass';

/* The tables of the pages: sorted, shown in parts, and drawn anew only where something changed. */

/* So many rows of a table are in the page until somebody asks for more: a phone takes seconds for a thousand. */
const ROWS = 100;

/* What the keyboard can reach in a node, in its order. */
function focusable(node) {
	return Array.prototype.slice.call(node.querySelectorAll('input, select, textarea, button, a[href]'))
		.filter(e => !e.disabled && e.offsetParent !== null);
}

return baseclass.extend({
	focusable,

	/* Makes a table; `widgets` are those of the page. What it takes and gives is said at widgets.table(). */
	make(widgets, columns, options) {
		const state = { rows: [], drawn: {}, limit: ROWS, by: options.sort || 0, down: !!options.down };
		const body = E('tbody');
		const heads = columns.map((column, at) => {
			const content = column.sort
				? E('button', { 'type': 'button', 'class': 'lk-sort', 'click': () => {
					state.down = state.by == at ? !state.down : !!column.down;
					state.by = at;
					draw();
				} }, [ column.title ])
				: E('span', { 'class': column.quiet ? 'lk-unseen' : null }, [ column.title ]);

			return E('th', { 'class': 'th ' + (column.class || ''), 'scope': 'col' }, [ content ]);
		});
		const orderId = widgets.newId('order');
		const order = E('div', { 'class': 'lk-order' }, [ E('label', { 'for': orderId }, [ _('Sort by') ]), E('select', { 'id': orderId, 'change': ev => {
			const [ by, down ] = ev.target.value.split(' ');
			state.by = +by;
			state.down = down == 'down';
			draw();
		} }, [].concat.apply([], columns.map((column, at) => column.sort
			? [ E('option', { 'value': at + ' up' }, [ column.title + ' ↑' ]), E('option', { 'value': at + ' down' }, [ column.title + ' ↓' ]) ]
			: []))) ]);
		const more = widgets.button('', { click: () => {
			state.limit += ROWS;
			draw();
		} });
		const count = E('div', { 'class': 'lk-count', 'role': 'status' });
		const nothing = E('div');
		const table = E('table', { 'class': 'table lk-table', 'aria-label': options.label }, [
			E('thead', {}, [ E('tr', { 'class': 'tr table-titles' }, heads) ]), body
		]);
		const node = E('div', { 'class': 'lk-list' }, [ columns.some(c => c.sort) ? order : '', table, nothing, E('div', { 'class': 'lk-more' }, [ count, more ]) ]);

		function compare(a, b) {
			const column = columns[state.by];

			if (!column || !column.sort)
				return 0;

			const x = column.sort(a), y = column.sort(b);
			/* What is not known comes last, whichever way. */
			if (x == null || y == null)
				return (x == null) - (y == null);

			const found = typeof(x) == 'number' ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
			return state.down ? -found : found;
		}

		function row(data) {
			const key = options.key(data), print = options.print(data);
			const old = state.drawn[key];

			if (old && old.print == print)
				return old;

			const tr = E('tr', { 'class': 'tr', 'data-key': key }, columns.map(column => {
				const content = column.cell(data);

				return E('td', { 'class': 'td ' + (column.class || ''), 'data-title': column.quiet ? null : column.title },
					Array.isArray(content) ? content : [ content ]);
			}));

			/* The keyboard was on a button of this row, or returns to it after a dialog: it finds the one in its place. */
			if (old)
				[ document.activeElement, widgets.opener ].forEach((node, which) => {
					const at = (node && old.tr.contains(node)) ? focusable(old.tr).indexOf(node) : -1;

					if (at >= 0)
						window.setTimeout(() => {
							const again = focusable(tr)[at];

							if (which == 0 && again && document.activeElement == document.body)
								again.focus();
							else if (which == 1 && widgets.opener == node)
								widgets.opener = again;
						}, 0);
				});

			return { tr, print };
		}

		function draw() {
			const shown = state.rows.slice().sort(compare).slice(0, state.limit);
			const drawn = {};
			let at = body.firstChild;

			shown.forEach(data => {
				const made = row(data);
				drawn[options.key(data)] = made;

				if (at == made.tr)
					at = at.nextSibling;
				else
					body.insertBefore(made.tr, at);
			});

			while (at) {
				const next = at.nextSibling;
				body.removeChild(at);
				at = next;
			}

			state.drawn = drawn;

			heads.forEach((head, i) => {
				if (columns[i].sort)
					head.setAttribute('aria-sort', i != state.by ? 'none' : (state.down ? 'descending' : 'ascending'));
			});
			order.querySelector('select').value = state.by + (state.down ? ' down' : ' up');

			const left = state.rows.length - shown.length;
			more.textContent = N_(left, 'Show %d more', 'Show %d more').format(Math.min(left, ROWS));
			more.classList.toggle('hidden', left <= 0);
			count.textContent = left > 0 ? _('%d of %d shown').format(shown.length, state.rows.length) : '';
			table.classList.toggle('hidden', !state.rows.length);
			order.classList.toggle('hidden', state.rows.length < 2);

			while (nothing.firstChild)
				nothing.removeChild(nothing.firstChild);

			if (!state.rows.length && options.empty)
				nothing.appendChild(options.empty());
		}

		node.update = rows => {
			state.rows = rows;
			draw();
		};

		return node;
	}
});

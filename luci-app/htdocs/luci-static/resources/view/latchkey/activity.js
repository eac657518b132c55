'use strict';
'require view';
'require latchkey.api as api';
'require latchkey.show as show';
'require latchkey.widgets as widgets';

/* So many decisions are asked for at first, so many the daemon has at most, and so many are kept in the page. */
const FIRST = 200, ALL = 512, KEPT = 1000;

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	/* After the first time only what is new, or happened again, travels. */
	refresh() {
		if (this.paused && this.events)
			return Promise.resolve();

		return Promise.all([
			api.call('status'),
			api.call('log', this.events ? { since: this.last } : { limit: FIRST })
		]).then(([ status, log ]) => {
			/* It was asked before the pause began. */
			if (this.paused && this.events)
				return;

			if (!this.events || log.gap)
				this.events = {};

			this.take(log);

			const ids = Object.keys(this.events);

			if (ids.length > KEPT)
				ids.sort((a, b) => this.events[a].order - this.events[b].order).slice(0, ids.length - KEPT).forEach(id => { delete this.events[id]; });

			this.status = status;
			this.last = log.last;
			this.now = show.seconds(status.clock && status.clock.now) || Math.floor(Date.now() / 1000);
		});
	},

	/* Events come again with the same number when they happen again; `seq` says which came last. */
	take(log) {
		L.toArray(log.events).forEach(event => {
			event.order = event.seq === undefined ? event.id : event.seq;
			this.events[event.id] = event;
		});
	},

	/* All that the daemon still has. */
	older() {
		return widgets.report(api.call('log', { limit: ALL }).then(log => {
			this.take(log);
			this.complete = true;
			this.update();
		}));
	},

	rows() {
		const words = this.search.value.toLowerCase().split(/\s+/).filter(w => w);
		const outcome = this.filter.value;

		return Object.keys(this.events).map(id => this.events[id]).filter(event => {
			if (outcome == 'in' ? ((event.outcome != 'accepted' && event.outcome != 'joined') || show.isAttempt(event)) : (outcome && event.outcome != outcome))
				return false;

			const text = [ event.device || '', event.mac, event.ssid, event.nas, event.text, event.profile || '' ].join(' ').toLowerCase();
			return words.every(word => text.indexOf(word) >= 0);
		});
	},

	columns() {
		return [ {
			title: _('When'), down: true, sort: e => e.order,
			cell: e => E('div', { 'title': show.moment(e.at) }, [
				show.ago(e.at, this.now),
				e.count > 1 ? E('div', { 'class': 'lk-second' }, [ _('%d times since %s').format(e.count, show.moment(e.first_at)) ]) : ''
			])
		}, {
			title: _('Device'), class: 'lk-head', sort: e => e.device || e.mac,
			cell: e => E('div', {}, [
				e.device ? E('div', {}, [ E('b', {}, [ e.device ]) ]) : '',
				E('div', { 'class': 'lk-mac' }, [ e.mac ])
			])
		}, {
			title: _('Decision'), sort: e => e.outcome,
			cell: e => show.badge.apply(show, show.outcome(e))
		}, {
			title: _('What happened'), class: 'lk-wide',
			cell: e => this.story(e)
		}, {
			title: _('Where'), sort: e => e.ssid,
			cell: e => E('div', {}, [
				E('div', {}, [ e.ssid ? _('“%s”').format(e.ssid) : '' ]),
				E('div', { 'class': 'lk-second' }, [ e.nas ])
			])
		} ];
	},

	/* A decision in plain words: what, whose fault, and what can be done. */
	story(event) {
		const fault = event.outcome == 'refused' ? show.fault(event) : '';
		const mend = show.mend(event);

		return E('div', {}, [
			E('div', { 'title': event.text }, [ show.sentence(event) ]),
			fault || mend ? E('div', { 'class': 'lk-second' }, [
				fault ? _('It is up to %s.').format(fault) : '', ' ',
				mend ? E('a', { 'href': widgets.link(mend[0]) }, [ mend[1] ]) : ''
			]) : ''
		]);
	},

	build() {
		this.search = E('input', {
			'type': 'search', 'placeholder': _('Search device, address, reason …'), 'aria-label': _('Search the decisions'),
			'autocomplete': 'off', 'input': () => this.update()
		});
		this.filter = E('select', { 'class': 'cbi-input-select', 'aria-label': _('Show only'), 'change': () => this.update() }, [
			[ '', _('All decisions') ], [ 'refused', _('Refused') ], [ 'in', _('Let in') ], [ 'disconnect', _('Disconnected') ]
		].map(([ value, text ]) => E('option', { 'value': value }, [ text ])));
		this.pause = widgets.button(_('Pause'), { title: _('Stop adding new decisions, to read in peace'), click: () => {
			this.paused = !this.paused;
			this.pause.textContent = this.paused ? _('Go on') : _('Pause');
			return this.page.refresh();
		} });
		this.summary = E('p', { 'role': 'status' });
		this.troubles = E('div');
		this.table = widgets.table(this.columns(), {
			label: _('Decisions'), down: true,
			key: e => e.id,
			print: e => JSON.stringify([ e.order, e.count, show.ago(e.at, this.now) ]),
			empty: () => Object.keys(this.events).length
				? widgets.empty(_('No decision fits'), [ E('p', {}, [ _('Nothing was found for what you search.') ]) ])
				: widgets.empty(_('Nothing has happened yet'), [
					E('p', {}, [ _('Every time a device tries to join, it is written here who it was, whether it was let in, and why.') ]),
					E('p', {}, widgets.sentence(_('The list begins anew when the daemon is started. Let a device join, or %s.'), [ E('a', { 'href': widgets.link('devices') }, [ _('add one') ]) ]))
				])
		});

		this.earlier = widgets.button(_('Earlier decisions'), { click: () => this.older() });

		return E('div', {}, [
			this.troubles,
			E('div', { 'class': 'lk-bar' }, [ E('span', { 'class': 'lk-grow' }, [ this.search ]), E('span', {}, [ this.filter ]), this.pause ]),
			this.summary,
			this.table,
			E('div', { 'class': 'lk-more' }, [ this.earlier ])
		]);
	},

	update() {
		const all = Object.keys(this.events).map(id => this.events[id]);
		const refused = all.filter(e => e.outcome == 'refused').length;

		this.table.update(this.rows());
		this.earlier.classList.toggle('hidden', this.complete || all.length < FIRST);
		this.summary.textContent = all.length ? _('%d decisions, %d of them refusals.').format(all.length, refused) + (this.paused ? ' ' + _('Paused.') : '') : '';
		widgets.troubles(this.troubles, this.status);
	},

	render() {
		return widgets.live({
			title: _('Activity'),
			intro: _('Who tried to join, what was decided, and why. The latest comes first, and the page is kept up to date.'),
			refresh: () => this.refresh(),
			build: () => this.build(),
			update: () => this.update(),
			interval: 3
		}).then(page => {
			this.page = page;
			return page;
		});
	}
});

// rows - one collection: its rows page by page, and a search by vector.

import {brief, clock, count, el, show, TABLE_ROWS, table, took} from './dom.js';
import {rest} from './source.js';

const PAGE_ROWS = 50;
const REACH = 16384;            // offset + limit of a query end there
const LEVELS = ['', 'Strong', 'Bounded', 'Session', 'Eventually'];
const VECTORS = /Vector$/;

export class Rows {
    constructor(root, db, name, app) {
        Object.assign(this, {root, db, name, app, offset: 0, asked: 0});
        this.data = {data: null, problem: null};
        root.replaceChildren(el('p', {class: 'empty'}, 'asking…'));
        this.begin();
    }

    ask(path, body, options) {
        return rest(path, {dbName: this.db, collectionName: this.name, ...body}, options);
    }

    async begin() {
        try {
            this.about = await this.ask('collections/describe', {});
        } catch (why) {
            this.root.replaceChildren(refusal(why));
            return;
        }
        this.key = this.about.fields.find(f => f.primaryKey);
        this.vectors = this.about.fields.filter(f => VECTORS.test(f.type));
        this.build();
        this.turn(0);
    }

    // --- the two forms -----------------------------------------------------------------

    build() {
        this.filter = input('search', 'Filter, like  wings == 2 and name like "k%"   /',
            'Filter of the rows', {'data-filter': true, class: 'long'});
        this.level = levels();
        this.list = el('div', {'aria-live': 'polite'});
        this.where = el('span', {class: 'below'});
        this.before = el('button', {type: 'button'}, '← Back');
        this.after = el('button', {type: 'button'}, 'Next →');
        const browse = el('form', {class: 'form'}, this.filter, this.level,
            el('button', {class: 'main'}, 'Show'), el('span', {class: 'push'}), this.where,
            this.before, this.after);
        browse.addEventListener('submit', event => this.submit(event, () => this.turn(0)));
        this.before.addEventListener('click', () => this.turn(this.offset - PAGE_ROWS));
        this.after.addEventListener('click', () => this.turn(this.offset + PAGE_ROWS));
        this.list.addEventListener('click', event => this.take(event));
        const panel = this.app.panel('Rows', null);
        panel.body.append(browse, this.list);
        this.root.replaceChildren(schemaOf(this.about), this.searchPanel(), panel.root);
    }

    searchPanel() {
        const panel = this.app.panel('Search by vector', null);
        if (this.vectors.length === 0) {
            panel.body.append(el('p', {class: 'empty'}, 'This collection has no vectors.'));
            return panel.root;
        }
        this.field = el('select', {'aria-label': 'Vector field'},
            this.vectors.map(f => el('option', {value: f.name}, `${f.name} (${f.type})`)));
        this.vector = el('textarea', {rows: '3', spellcheck: 'false', class: 'code',
            'aria-label': 'Vector', placeholder: 'A vector as JSON, like [0.1, 0.2, …]; or press ' +
                '“search” beside a row below to take its vector'});
        this.limit = input('number', 'limit', 'How many', {value: '10', min: '1', max: '16384'});
        this.where2 = input('search', 'Filter', 'Filter of the search', {class: 'long'});
        this.level2 = levels();
        this.found = el('div', {'aria-live': 'polite'});
        const form = el('form', {class: 'form search'}, this.vector,
            el('div', {class: 'form'}, this.field, this.where2,
                el('label', {}, 'Limit ', this.limit), this.level2,
                el('button', {class: 'main'}, 'Search')));
        form.addEventListener('submit', event => this.submit(event, () => this.search()));
        this.found.addEventListener('click', event => this.take(event));
        panel.body.append(form, this.found);
        return panel.root;
    }

    submit(event, then) {
        event.preventDefault();
        then();
    }

    // --- rows ----------------------------------------------------------------------------

    async turn(offset) {
        const mine = ++this.asked, at = Date.now(), since = performance.now();
        this.offset = Math.max(0, Math.min(offset, REACH - PAGE_ROWS));
        this.list.classList.add('waits');
        try {
            const rows = await this.ask('entities/query', {filter: this.filter.value,
                outputFields: ['*'], limit: PAGE_ROWS, offset: this.offset, ...this.chosen(this.level)});
            if (mine === this.asked)
                this.showRows(rows, at, performance.now() - since);
        } catch (why) {
            if (mine === this.asked)
                show(this.list, refusal(why));
        }
        this.list.classList.remove('waits');
    }

    chosen(level) {
        return level.value ? {consistencyLevel: level.value} : {};
    }

    showRows(rows, at, ms) {
        this.shown = rows;
        this.before.disabled = this.offset === 0;
        this.after.disabled = rows.length < PAGE_ROWS || this.offset + 2 * PAGE_ROWS > REACH;
        const last = this.offset + rows.length;
        this.where.textContent = rows.length ? `rows ${count(this.offset + 1)} to ${count(last)}` : '';
        show(this.list, asOf(at, ms, 'Asked once, not live'),
            this.tableOf(rows, 'rows', 'No row fits.'),
            last >= REACH && el('p', {class: 'bound'}, `A query reaches ${count(REACH)} rows: go on ` +
                `with a filter like ${this.key.name} > the last key.`));
    }

    tableOf(rows, of, empty) {
        const names = [...new Set(rows.flatMap(row => Object.keys(row)))];
        const first = ['distance', this.key.name].filter(n => names.includes(n));
        const columns = [...first, ...names.filter(n => !first.includes(n))].map(name => ({
            head: name, num: typeof rows[0]?.[name] === 'number',
            cell: row => this.cell(row, name, of),
        }));
        return table(columns, rows, {caption: `${of} of ${this.name}`, empty, dense: true,
            key: row => `${of} ${brief(row[this.key.name])}`});
    }

    cell(row, name, of) {
        const value = row[name];
        const text = el('span', {class: value === null ? 'none' : null}, name === 'distance'
            ? Number(value).toPrecision(6) : brief(value));
        if (!this.vectors.some(f => f.name === name) || value === null || value === undefined)
            return text;
        return [text, ' ', el('button', {type: 'button', class: 'link', 'data-take': name,
            'data-of': of, 'data-key-of': row[this.key.name],
            'aria-label': `Search by the ${name} of ${brief(row[this.key.name])}`}, 'search')];
    }

    // A row's vector becomes the one to search by.
    take(event) {
        const button = event.target.closest('[data-take]');
        if (!button)
            return;
        const from = button.dataset.of === 'rows' ? this.shown : this.hits;
        const row = from.find(r => String(r[this.key.name]) === button.dataset.keyOf);
        this.vector.value = JSON.stringify(row[button.dataset.take]);
        this.field.value = button.dataset.take;
        this.search();
        this.vector.scrollIntoView({block: 'center'});
    }

    // --- search ------------------------------------------------------------------------------

    async search() {
        let vector = null;
        try {
            vector = JSON.parse(this.vector.value);
        } catch {
            show(this.found, el('p', {class: 'bad', role: 'alert'},
                'This is no vector: write numbers in brackets, like [0.1, 0.2].'));
            return;
        }
        const at = Date.now(), since = performance.now();
        this.found.classList.add('waits');
        try {
            this.hits = await this.ask('entities/search', {data: [vector],
                annsField: this.field.value, limit: Number(this.limit.value) || 10,
                filter: this.where2.value, outputFields: ['*'], ...this.chosen(this.level2)});
            show(this.found, asOf(at, performance.now() - since, `${count(this.hits.length)} found`),
                this.tableOf(this.hits.slice(0, TABLE_ROWS), 'hits', 'Nothing is found.'));
        } catch (why) {
            show(this.found, refusal(why));
        }
        this.found.classList.remove('waits');
    }
}

// --- parts ------------------------------------------------------------------------------------

function input(type, placeholder, label, more = {}) {
    return el('input', {type, placeholder, 'aria-label': label, spellcheck: 'false', ...more});
}

function levels() {
    return el('select', {'aria-label': 'Consistency'}, LEVELS.map(l => el('option', {value: l},
        l || 'Consistency: as made')));
}

function asOf(at, ms, what) {
    return el('p', {class: 'bound'}, `${what} · ${clock(at, false)} · ${took(ms * 1000)}`);
}

export function refusal(why) {
    return el('p', {class: 'bad', role: 'alert'}, el('strong', {}, why.message),
        why.what ? ` (${why.what})` : '');
}

function schemaOf(about) {
    const flags = f => [f.primaryKey && 'primary key', f.autoId && 'auto id',
        f.partitionKey && 'partition key', f.clusteringKey && 'clustering key',
        f.nullable && 'nullable', ...(f.params ?? []).map(p => `${p.key} ${p.value}`)]
        .filter(Boolean).join(', ');
    return el('details', {class: 'schema'},
        el('summary', {}, `Schema: ${about.fields.length} fields, ${about.shardsNum} shards, ` +
            `${about.consistencyLevel}${about.enableDynamicField ? ', dynamic' : ''}`),
        table([{head: 'Field', cell: f => el('b', {}, f.name)}, {head: 'Type', cell: f =>
            f.elementType ? `${f.type} of ${f.elementType}` : f.type}, {head: 'What', cell: flags}],
        about.fields, {caption: 'Fields', empty: 'No fields.', key: f => f.name, dense: true}));
}

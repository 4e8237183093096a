// collections - which there are, how many rows, loaded or not; behind each its rows.

import {count, el, show, table} from './dom.js';
import {rest, Source} from './source.js';
import {Rows} from './rows.js';

const EVERY_MS = 2000, MOST = 200;      // each costs two questions
const COUNTED = 20;                     // collections whose rows are really counted
const LOADED = {LoadStateLoaded: 'loaded', LoadStateLoading: 'loading',
    LoadStateNotLoad: 'released', LoadStateNotExist: 'released'};
const SOON = {patienceMs: 2600, looks: true};

// What is flushed is known of every collection; the rows of one that is loaded can be counted.
async function one(db, name, counted) {
    const about = {dbName: db, collectionName: name};
    const load = await rest('collections/get_load_state', about, SOON);
    const state = LOADED[load.loadState] ?? load.loadState;
    const loaded = counted && state === 'loaded';
    const rows = loaded ? (await rest('entities/query', {...about, filter: '',
        outputFields: ['count(*)'], consistencyLevel: 'Eventually'}, SOON))[0]['count(*)']
        : (await rest('collections/get_stats', about, SOON)).rowCount;
    return {db, name, rows, flushed: !loaded, state, percent: load.loadProgress};
}

async function all() {
    const items = [];
    let more = 0;
    for (const db of await rest('databases/list', {}, SOON)) {
        const names = (await rest('collections/list', {dbName: db}, SOON)) ?? [];
        const asked = names.sort().slice(0, Math.max(0, MOST - items.length));
        more += names.length - asked.length;
        const found = await Promise.allSettled(asked.map((name, i) =>
            one(db, name, items.length + i < COUNTED)));
        items.push(...found.map((f, i) => f.value ?? {db, name: asked[i], rows: null,
            state: null, why: f.reason.message}));
    }
    return {at_ms: Date.now(), items, more};
}

const source = new Source(all, EVERY_MS);

export function open(root, args, app) {
    const filter = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter collections by name'});
    const panel = app.panel('Collections', source, filter);
    const browser = el('div', {class: 'browser'});
    root.append(panel.root, browser);
    app.pages.set('collections', source);
    let chosen = null;

    const paint = () => source.data && panel.show(list(source.data, filter.value, chosen));
    const choose = ([db, name]) => {
        chosen = name ? {db, name} : null;
        panel.root.classList.toggle('short', Boolean(chosen));
        browser.replaceChildren();
        if (chosen) {
            const title = el('h1', {class: 'title'}, name, el('span', {class: 'below'}, ` ${db}`),
                el('a', {class: 'close', href: '#/collections'}, 'all collections'));
            const rows = el('div', {});
            browser.append(title, rows);
            new Rows(rows, db, name, app);
        }
        paint();
        return true;
    };
    filter.addEventListener('input', paint);
    const unwatch = source.watch(paint);
    choose(args);
    return {close: unwatch, turn: choose, back: () => app.go('collections')};
}

function list({items, more}, words, chosen) {
    const fits = items.filter(c => `${c.db} ${c.name}`.toLowerCase().includes(words.toLowerCase()));
    const columns = [
        {head: 'Collection', cell: c => el('b', {}, c.name)},
        {head: 'Database', cell: c => c.db},
        {head: 'Rows', num: true, cell: c => [count(c.rows),
            c.flushed && el('span', {class: 'below'}, ' flushed')]},
        {head: 'Load', cell: c => load(c)},
    ];
    return [
        table(columns, fits, {
            caption: 'Collections', key: c => `${c.db}/${c.name}`,
            empty: items.length ? 'No collection fits.' : 'There is no collection yet.',
            mark: c => chosen && c.db === chosen.db && c.name === chosen.name ? 'chosen' : null,
            open: c => `#/collections/${encodeURIComponent(c.db)}/${encodeURIComponent(c.name)}`,
        }),
        more > 0 && el('p', {class: 'bound'}, `${count(more)} more are not asked about.`),
    ];
}

function load({state, percent, why}) {
    if (why)
        return el('span', {class: 'bad'}, why);
    const kind = {loaded: 'up', loading: 'joining'}[state] ?? 'released';
    const text = state === 'loading' ? `loading ${percent} %` : state;
    return el('span', {class: `state is-${kind}`}, el('span', {class: 'mark', 'aria-hidden': 'true'},
        {up: '●', joining: '◐', released: '○'}[kind]), ` ${text}`);
}

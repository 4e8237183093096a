// segments - rows on their way: growing, sealed, flushed, indexed; and who holds them.

import {bytes, count, el, nodeName, state, table} from './dom.js';

const LANES = {
    growing: 'takes rows, in memory and in the log',
    sealed: 'takes no more, is being written',
    flushed: 'an object, searched row by row',
    indexed: 'an object with an index',
};
const CHIPS = 48;               // of a lane; the table below has them all

export function open(root, args, app) {
    const source = app.page('segments');
    const filter = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter segments by number, node, state'});
    const only = el('select', {'aria-label': 'Collection'},
        el('option', {value: ''}, 'All collections'));
    const panel = app.panel('Segments', source, filter, only);
    const list = app.panel('All segments', source);
    root.append(panel.root, list.root);
    let wanted = args[0] ?? '';

    const paint = () => {
        if (!source.data)
            return;
        const {items} = source.data;
        choices(only, items, wanted);
        const words = filter.value.toLowerCase();
        const fits = items.filter(s => (!wanted || s.collection === wanted) &&
            (!words || JSON.stringify(s).toLowerCase().includes(words)));
        panel.show(lanes(fits));
        list.show(table(COLUMNS, fits, {caption: 'Segments', key: s => s.id,
            empty: items.length ? 'No segment fits.' : 'There is no segment yet: insert rows.'}));
    };
    filter.addEventListener('input', paint);
    only.addEventListener('input', () => {
        wanted = only.value;
        paint();
    });
    const unwatch = source.watch(paint);
    paint();
    return {close: unwatch};
}

function choices(only, items, wanted) {
    const names = [...new Set(items.map(s => s.collection).concat(wanted || []))]
        .filter(Boolean).sort();
    if (names.join('\n') !== [...only.options].slice(1).map(o => o.value).join('\n'))
        only.replaceChildren(only.options[0], ...names.map(n => el('option', {value: n}, n)));
    only.value = wanted;
}

// Where a segment is on its way; a dropped one is on none.
function lane(segment) {
    const {state: word, indexes} = segment;
    const all = indexes.length > 0 && indexes.every(i => i.state === 'done');
    return word === 'flushed' && all ? 'indexed' : word;
}

function lanes(items) {
    return el('div', {class: 'lanes'}, Object.keys(LANES).map(name => {
        const mine = items.filter(s => lane(s) === name);
        const rows = mine.reduce((sum, s) => sum + (s.rows ?? 0), 0);
        return el('section', {class: `lane lane-${name}`, 'data-key': name, 'aria-label': name},
            el('h3', {}, name, el('span', {class: 'push'}), count(mine.length)),
            el('p', {class: 'below'}, LANES[name]),
            el('p', {class: 'below'}, `${count(rows)} rows`),
            el('ul', {class: 'chips'}, mine.slice(0, CHIPS).map(chip)),
            mine.length > CHIPS && el('p', {class: 'bound'}, `${count(mine.length - CHIPS)} more below`));
    }));
}

function holders(segment) {
    return segment.owner ? [segment.owner, ...segment.held_by.map(h => h.node)]
        : segment.held_by.map(h => h.node);
}

function chip(segment) {
    const running = segment.indexes.find(i => i.state === 'running');
    return el('li', {'data-key': segment.id, title: `${segment.collection}, ${
        count(segment.rows)} rows, ${bytes(segment.bytes)}`},
    el('b', {}, segment.id), el('span', {class: 'below'}, segment.collection ?? ''),
    el('span', {class: 'lag'}, count(segment.rows)),
    running && el('span', {class: 'lag'}, `building ${running.percent} %`),
    holders(segment).length ? holders(segment).map(nodeName)
        : el('span', {class: 'lag'}, 'held by nobody'));
}

const COLUMNS = [
    {head: 'Segment', cell: s => el('b', {}, s.id)},
    {head: 'Collection', cell: s => [s.collection, el('div', {class: 'below'}, s.partition)]},
    {head: 'State', cell: s => [state(lane(s)), s.level > 1 &&
        el('div', {class: 'below'}, `compacted from ${s.from.length}`)]},
    {head: 'Rows', num: true, cell: s => [count(s.rows), s.deleted > 0 &&
        el('div', {class: 'below'}, `${count(s.deleted)} deleted`)]},
    {head: 'Bytes', num: true, cell: s => bytes(s.bytes)},
    {head: 'Channel', cell: s => s.vchannel},
    {head: 'In memory of', cell: s => s.owner ? nodeName(s.owner) : el('span', {class: 'none'}, '–')},
    {head: 'Held by', cell: s => s.held_by.length ? el('ul', {class: 'chips'},
        s.held_by.map(h => el('li', {}, nodeName(h.node)))) : el('span', {class: 'none'}, 'nobody')},
    {head: 'Indexes', wide: true, cell: s => s.indexes.length ? s.indexes.map(i =>
        el('div', {}, `${i.name} ${i.type} `, state(i.state),
            i.state === 'running' && ` ${i.percent} %`)) : el('span', {class: 'none'}, 'none')},
];

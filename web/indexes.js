// indexes - what is being built, what waits, what was built and what failed.

import {bar, bytes, count, el, nodeName, NONE, percent, state, table, took} from './dom.js';

const ORDER = ['running', 'failed', 'waiting', 'done'];

export function open(root, args, app) {
    const source = app.page('builds');
    const filter = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter tasks by collection, index, node, state'});
    const panel = app.panel('Index tasks', source, filter);
    root.append(panel.root);

    const paint = () => {
        if (!source.data)
            return;
        const {items, at_ms: now} = source.data;
        const words = filter.value.toLowerCase();
        const fits = items.filter(b => JSON.stringify(b).toLowerCase().includes(words))
            .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
                (b.started_ms ?? 0) - (a.started_ms ?? 0));
        panel.show(summary(items), table(columns(now), fits, {caption: 'Index tasks',
            key: b => b.build, empty: items.length ? 'No task fits.'
                : 'No index is being built: tasks begin when a segment of a collection with an ' +
                  'index is flushed.'}));
    };
    filter.addEventListener('input', paint);
    const unwatch = source.watch(paint);
    paint();
    return {close: unwatch};
}

function summary(items) {
    return el('p', {class: 'summary'}, ORDER.map(word => {
        const n = items.filter(b => b.state === word).length;
        return el('span', {class: n ? null : 'zero'}, state(word), ` ${count(n)}`);
    }));
}

function columns(now) {
    return [
        {head: 'Task', cell: b => [el('b', {}, b.build), b.attempt > 1 &&
            el('div', {class: 'below'}, `attempt ${b.attempt}`)]},
        {head: 'Index', cell: b => [b.index, el('div', {class: 'below'}, `${b.type} on ${b.field}`)]},
        {head: 'Collection', cell: b => [b.collection, el('div', {class: 'below'},
            `segment ${b.segment}`)]},
        {head: 'State', wide: true, cell: b => [state(b.state), b.error && el('div', {class: 'bad'}, b.error)]},
        {head: 'Progress', cell: b => el('span', {class: `meter is-${b.state}`},
            bar(b.percent, 'done'), el('span', {class: 'num'}, percent(b.percent)))},
        {head: 'Node', cell: b => nodeName(b.node)},
        {head: 'Rows', num: true, cell: b => count(b.rows)},
        {head: 'Bytes', num: true, cell: b => bytes(b.bytes)},
        {head: 'Took', num: true, cell: b => b.started_ms === null ? NONE
            : took(((b.done_ms ?? now) - b.started_ms) * 1000)},
    ];
}

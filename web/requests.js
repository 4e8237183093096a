// requests - what clients asked lately, or what took longest; and one request's way, as a waterfall.

import {clock, count, el, nodeName, roleOf, state, table, took} from './dom.js';
import {page, Source} from './source.js';

export function open(root, args, app) {
    return args[0] && args[0] !== 'slow' ? openTrace(root, args[0], app)
        : openList(root, args[0] === 'slow', app);
}

// --- the list -------------------------------------------------------------------------

function openList(root, slow, app) {
    const source = app.page(slow ? 'requests?most=500&slow=1' : 'requests?most=500');
    const filter = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter requests by method, collection, filter, error'});
    const link = (to, text, here) => el('a', {href: to, 'aria-current': here ? 'page' : null}, text);
    const panel = app.panel(slow ? 'Slowest requests' : 'Recent requests', source, filter,
        el('span', {class: 'choice', role: 'group', 'aria-label': 'Order'},
            link('#/requests', 'Recent', !slow), link('#/requests/slow', 'Slowest', slow)));
    root.append(panel.root);

    const paint = () => {
        if (!source.data)
            return;
        const {items} = source.data;
        const words = filter.value.toLowerCase();
        const fits = items.filter(r => JSON.stringify(r).toLowerCase().includes(words));
        const most = Math.max(1, ...fits.map(r => r.took_us));
        panel.show(table(columns(most), fits, {caption: 'Requests', dense: true,
            key: r => `${r.trace} ${r.at_us}`, open: r => `#/requests/${r.trace}`,
            mark: r => r.code === 0 ? null : 'refused',
            empty: items.length ? 'No request fits.' : 'No client has asked anything yet.'}));
    };
    filter.addEventListener('input', paint);
    const unwatch = source.watch(paint);
    paint();
    return {close: unwatch};
}

function columns(most) {
    return [
        {head: 'At', cell: r => clock(r.at_us / 1000)},
        {head: 'Method', cell: r => el('b', {}, r.method)},
        {head: 'Collection', cell: r => r.collection
            ? [r.collection, r.db !== 'default' && el('span', {class: 'below'}, ` ${r.db}`)]
            : el('span', {class: 'none'}, '–')},
        {head: 'Took', num: true, cell: r => took(r.took_us)},
        {head: '', cell: r => el('span', {class: 'length', 'aria-hidden': 'true'},
            el('span', {'data-percent': (100 * r.took_us / most).toFixed(1)}))},
        {head: 'What', wide: true, cell: what},
        {head: 'Proxy', cell: r => nodeName(r.proxy)},
        {head: 'Trace', cell: r => el('code', {}, el('a', {href: `#/requests/${r.trace}`}, r.trace))},
    ];
}

function what(r) {
    const facts = [r.nq && `${count(r.nq)} vector${r.nq === 1 ? '' : 's'}`, r.limit && `limit ${count(r.limit)}`,
        r.rows !== null && `${count(r.rows)} row${r.rows === 1 ? '' : 's'}`].filter(Boolean).join(', ');
    return [r.code !== 0 && el('div', {class: 'bad'}, `✕ ${r.code}: ${r.error ?? ''}`),
        facts, facts && r.filter ? ' · ' : '', r.filter && el('code', {}, r.filter)];
}

// --- one request -------------------------------------------------------------------------

function openTrace(root, id, app) {
    const source = new Source(() => page(`trace?id=${encodeURIComponent(id)}`));
    const panel = app.panel(`Trace ${id}`, source,
        el('a', {href: '#/requests', class: 'close'}, 'all requests'));
    root.append(panel.root);
    const paint = () => source.data && panel.show(waterfall(source.data.items));
    const unwatch = source.watch(paint);
    return {close: unwatch, back: () => app.go('requests')};
}

// Spans in the order of a tree: what a span caused stands under it, indented.
export function ordered(spans) {
    const known = new Set(spans.map(s => s.id));
    const under = new Map();
    for (const span of spans) {
        const parent = known.has(span.parent) ? span.parent : null;
        under.set(parent, [...(under.get(parent) ?? []), span]);
    }
    const found = [], open = [...(under.get(null) ?? [])].reverse().map(span => [span, 0]);
    const seen = new Set();
    while (open.length > 0) {
        const [span, depth] = open.pop();
        if (seen.has(span.id))
            continue;
        seen.add(span.id);
        found.push({...span, depth});
        for (const child of [...(under.get(span.id) ?? [])].reverse())
            open.push([child, depth + 1]);
    }
    return found;
}

function waterfall(spans) {
    if (spans.length === 0)
        return el('p', {class: 'empty'}, 'No node remembers this request: each keeps its last ' +
            'spans only, and a node that died took its own with it.');
    const from = Math.min(...spans.map(s => s.at_us));
    const first = spans.find(s => s.parent === null) ?? spans[0];
    // What began only after the answer was on its way stands at the edge: it kept nobody waiting.
    const answeredUs = first.at_us + first.took_us;
    const until = Math.max(...spans.filter(s => s.at_us <= answeredUs)
        .map(s => s.at_us + s.took_us));
    const whole = Math.max(1, until - from);
    const nodes = [...new Set(spans.map(s => s.node))];
    return [
        el('p', {class: 'summary'}, el('span', {}, el('b', {}, first.name), ' ',
            clock(first.at_us / 1000)), el('span', {}, el('b', {}, took(first.took_us))),
        el('span', {}, `${count(spans.length)} spans on `, nodes.map((n, i) => [i ? ', ' : '',
            nodeName(n)]))),
        el('div', {class: 'fall'},
            el('div', {class: 'scale', 'aria-hidden': 'true'}, el('span', {}, 'span'),
                el('span', {class: 'ticks'}, [0, 0.25, 0.5, 0.75, 1].map(part =>
                    el('span', {}, took(whole * part)))), el('span', {class: 'num'}, 'took')),
            el('ol', {}, ordered(spans).map(span => row(span, from, whole, answeredUs)))),
        el('p', {class: 'bound'}, 'Times are of each node’s own clock: on several machines bars ' +
            'can be shifted by as much as their clocks differ.'),
    ];
}

function row(span, from, whole, answeredUs) {
    const late = span.at_us > answeredUs;
    const left = 100 * (span.at_us - from) / whole, width = 100 * span.took_us / whole;
    return el('li', {'data-key': span.id, class: `span role-${roleOf(span.node)} kind-${span.kind}`,
        'data-row': true, tabindex: '0', 'aria-label': `${span.name} on ${span.node}, ${
            took(span.took_us)}, begins after ${took(span.at_us - from)}`},
    el('span', {class: 'name', 'data-depth': Math.min(span.depth, 12)}, el('b', {}, span.name),
        ' ', nodeName(span.node), el('span', {class: 'below'}, ` ${span.kind}`),
        span.error && [' ', state('error'), ` ${span.error}`]),
    el('span', {class: 'track', 'aria-hidden': 'true'}, late
        ? el('em', {}, `${took(span.at_us - answeredUs)} after the answer`)
        : el('span', {class: span.error ? 'bad' : null, 'data-left': Math.min(left, 99.6).toFixed(3),
            'data-percent': Math.max(0.4, Math.min(width, 100 - left)).toFixed(3)})),
    el('span', {class: 'num'}, took(span.took_us)));
}

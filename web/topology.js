// topology - the nodes by role as a picture, with what each does just now.

import {bar, bytes, clock, count, el, percent, rate, roleOf, state, svg, took} from './dom.js';

const ROLES = {
    proxy: 'the only door',
    coord: 'places and leads',
    datanode: 'writes, keeps the log',
    querynode: 'loads, searches',
    indexnode: 'builds indexes',
};
const LINKS = [
    ['clients', 'proxy'], ['proxy', 'coord'], ['proxy', 'datanode'], ['proxy', 'querynode'],
    ['coord', 'indexnode'], ['coord', 'metadata'], ['datanode', 'objects'],
    ['querynode', 'objects'], ['indexnode', 'objects'],
];

export function open(root, args, app) {
    const panel = app.panel('Nodes', app.nodes);
    const detail = el('aside', {class: 'detail'});
    const wires = svg('svg', {class: 'wires', 'aria-hidden': 'true'});
    const map = el('div', {class: 'map'});
    const tiles = el('div', {class: 'tiles'});
    // Links lie beside what is painted anew.  All is in the panel: it turns grey as a whole.
    panel.body.append(tiles, el('div', {class: 'picture'}, wires, map), detail);
    root.append(panel.root);
    let chosen = args[0] ?? null;

    const paint = () => {
        const {data} = app.nodes;
        if (!data)
            return;
        app.paint(tiles, tilesOf(data, app.nodes));
        app.paint(map, tiers(data, app.nodes, chosen));
        app.paint(detail, chosen && detailOf(chosen, data, app.nodes));
        connect(map, wires, data, app.nodes);
    };
    map.addEventListener('click', event => {
        const card = event.target.closest('[data-node]');
        if (card)
            app.go('topology', ...(chosen === card.dataset.node ? [] : [card.dataset.node]));
    });
    const resized = new ResizeObserver(() => app.nodes.data &&
        connect(map, wires, app.nodes.data, app.nodes));
    resized.observe(map);
    const unwatch = app.nodes.watch(paint);
    paint();
    return {
        close() {
            unwatch();
            resized.disconnect();
        },
        turn(next) {
            chosen = next[0] ?? null;
            paint();
            if (chosen)
                detail.scrollIntoView({block: 'nearest'});
            return true;
        },
        back: () => app.go('topology'),
    };
}

// --- figures above ------------------------------------------------------------------

function sum(values) {
    const known = values.filter(v => v !== null && v !== undefined);
    return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
}

function tile(name, value, below, kind = '') {
    return el('div', {class: `tile ${kind}`, 'data-key': name}, el('span', {class: 'name'}, name),
        el('b', {}, value), el('span', {class: 'below'}, below));
}

function tilesOf(data, nodes) {
    const up = data.items.filter(n => n.state === 'up').length;
    const bad = data.items.length - up;
    const alone = data.mode === 'standalone';       // all nodes are one process
    const processes = alone ? data.items.slice(0, 1) : data.items;
    const whose = alone ? 'the process' : 'all nodes';
    return [
        tile('Nodes up', `${up} of ${data.items.length}`,
            bad ? `${bad} not well` : nodes.gone.size ? `${nodes.gone.size} gone since`
                : 'all answer', bad ? 'bad' : ''),
        tile('Leader', data.leader ?? 'nobody', data.leader ? 'of the coords'
            : 'nothing new is placed', data.leader ? '' : 'bad'),
        tile('Requests', `${rate(sum(data.items.filter(n => n.role === 'proxy')
            .map(n => nodes.perSecond(n.name))))} /s`, 'of clients, at all proxies'),
        tile('CPU', percent(sum(processes.map(n => n.cpu_percent))), `of one core, ${whose}`),
        tile('Memory', bytes(sum(processes.map(n => n.memory_used))), `of ${whose}`),
    ];
}

// --- the picture -----------------------------------------------------------------------

function tiers(data, nodes, chosen) {
    const group = role => groupOf(role, data, nodes, chosen);
    const store = (name, title, what) => el('div', {'data-part': name, 'data-key': name,
        class: away(data, name) ? 'store is-away' : 'store'}, el('b', {}, title),
    el('span', {}, away(data, name) ? `${what}: no answer` : what));
    const alone = data.mode === 'standalone';
    return [
        el('div', {class: 'tier', 'data-key': 'clients'}, store('clients', 'Clients',
            'gRPC and REST, 19530')),
        el('div', {class: 'tier', 'data-key': 'doors'}, group('proxy')),
        el('div', {class: 'tier four', 'data-key': 'workers'},
            ['coord', 'datanode', 'querynode', 'indexnode'].map(group)),
        el('div', {class: 'tier four stores', 'data-key': 'stores'},
            store('metadata', 'Metadata', alone ? 'LMDB' : 'etcd'),
            store('objects', 'Objects', alone ? 'a directory' : 'S3')),
    ];
}

function groupOf(role, data, nodes, chosen) {
    const here = data.items.filter(n => n.role === role);
    const gone = [...nodes.gone.values()].filter(g => g.item.role === role);
    const cards = [...here.map(n => card(n, nodes, chosen)), ...gone.map(ghost)];
    return el('section', {class: `group role-${role}`, 'data-part': role, 'data-key': role,
        'aria-label': `${role}: ${here.length}`},
    el('h3', {}, el('span', {class: 'dot', 'aria-hidden': 'true'}), role,
        el('span', {class: 'below'}, ROLES[role])),
    el('div', {class: 'cards'}, cards.length ? cards
        : el('p', {class: 'empty'}, `no ${role}: start one`)));
}

function card(node, nodes, chosen) {
    const silent = node.state === 'silent';
    const most = node.memory_limit ?? node.memory_total;
    const memory = node.memory_used === null ? null : 100 * node.memory_used / most;
    const label = `${node.name}, ${node.state}${node.leader ? ', leader' : ''}` + (silent ? ''
        : `, CPU ${percent(node.cpu_percent)}, memory ${bytes(node.memory_used)}`);
    return el('button', {type: 'button', class: `card is-${node.state}`, 'data-node': node.name,
        'data-key': node.name, 'aria-label': label,
        'aria-pressed': chosen === node.name ? 'true' : 'false'},
    el('span', {class: 'line'}, el('b', {}, node.name),
        node.leader && el('span', {class: 'tag'}, '★ leader'),
        el('span', {class: 'push'}), state(node.state)),
    silent ? el('span', {class: 'why'}, 'no answer') : [
        el('span', {class: 'meter'}, el('span', {}, 'CPU'),
            bar(node.cpu_percent === null ? null : node.cpu_percent / (node.cpu_cores || 1),
                'CPU'), el('span', {class: 'num'}, percent(node.cpu_percent))),
        el('span', {class: 'meter'}, el('span', {}, 'Mem'), bar(memory, 'memory'),
            el('span', {class: 'num'}, bytes(node.memory_used))),
        el('span', {class: 'line small'}, spark(nodes.history.get(node.name) ?? []),
            el('span', {class: 'push'}),
            el('span', {class: 'num', title: node.role === 'proxy' ? 'requests of clients'
                : 'messages of other nodes'}, `${rate(nodes.perSecond(node.name))} /s`)),
    ]);
}

// A node that was here while this page was open, and is not any more.
function ghost({item, sinceMs}) {
    return el('div', {class: 'card is-gone', 'data-key': item.name, tabindex: '0',
        'aria-label': `${item.name}, gone since ${clock(sinceMs, false)}`},
    el('span', {class: 'line'}, el('b', {}, item.name), el('span', {class: 'push'}),
        state('gone')),
    el('span', {class: 'why'}, `its session ended at ${clock(sinceMs, false)}; see Events`));
}

// The last minute of a rate.
function spark(past) {
    const width = 84, height = 16;
    const values = past.map(p => p.perSecond).filter(v => v !== null);
    const most = Math.max(1, ...values);
    const points = values.map((v, i) => [i * width / 59,
        height - 1 - v / most * (height - 2)].map(n => n.toFixed(1)).join());
    return svg('svg', {class: 'spark', viewBox: `0 0 ${width} ${height}`, width, height,
        'aria-hidden': 'true'},
    points.length > 1 && svg('polyline', {points: points.join(' '), fill: 'none'}));
}

// --- links ------------------------------------------------------------------------------

const away = (data, name) => data.missing.some(m => m.what === name);

// Nobody of a role answers, or a store does not.
function dead(part, data) {
    return part in ROLES ? !data.items.some(n => n.role === part && n.state !== 'silent')
        : away(data, part);
}

// What a link carries is what the role at its end answers; to a store, what the role does.
function flow([from, to], data, nodes) {
    if (dead(from, data) || dead(to, data))
        return 'dead';
    const role = to in ROLES ? to : from;
    const perSecond = sum(data.items.filter(n => n.role === role)
        .map(n => nodes.perSecond(n.name))) ?? 0;
    return perSecond > 50 ? 'fast' : perSecond > 0.5 ? 'slow' : 'idle';
}

function connect(map, wires, data, nodes) {
    const frame = wires.getBoundingClientRect();
    const place = name => {
        const box = map.querySelector(`[data-part="${name}"]`).getBoundingClientRect();
        return {x: box.left - frame.left + box.width / 2, left: box.left - frame.left,
            right: box.right - frame.left, top: box.top - frame.top,
            bottom: box.bottom - frame.top};
    };
    const narrow = frame.width < 760;
    wires.setAttribute('viewBox', `0 0 ${frame.width} ${frame.height}`);
    wires.replaceChildren(...(narrow ? [] : LINKS.map(link => svg('path', {fill: 'none',
        d: wire(place(link[0]), place(link[1])), class: `wire ${flow(link, data, nodes)}`}))));
}

// From the lower edge of one box to the upper edge of another; side by side: over what is between.
function wire(a, b) {
    if (Math.abs(a.top - b.top) < 4) {
        const y = a.top - 12;
        return `M${a.right - 18} ${a.top}V${y + 6}Q${a.right - 18} ${y} ${a.right - 12} ${y}` +
            `H${b.x - 6}Q${b.x} ${y} ${b.x} ${y + 6}V${b.top}`;
    }
    const within = (x, box) => Math.max(box.left + 16, Math.min(box.right - 16, x));
    const start = within(b.x, a), end = within(start, b);
    const middle = (a.bottom + b.top) / 2;
    return `M${start} ${a.bottom}C${start} ${middle} ${end} ${middle} ${end} ${b.top}`;
}

// --- one node -----------------------------------------------------------------------------

function detailOf(name, data, nodes) {
    const node = data.items.find(n => n.name === name);
    const facts = (pairs) => el('dl', {class: 'facts'}, pairs.filter(([, v]) => v !== null)
        .map(([what, value]) => [el('dt', {}, what), el('dd', {}, value)]));
    if (!node)
        return el('p', {class: 'empty'}, nodes.gone.has(name)
            ? `${name} is gone since ${clock(nodes.gone.get(name).sinceMs)}.`
            : `No node is called ${name} now.`);
    return el('section', {class: `role-${roleOf(name)}`, 'aria-label': name},
        el('div', {class: 'bar-top'}, el('h2', {}, name), state(node.state),
            el('span', {class: 'push'}), el('a', {href: '#/topology', class: 'close'}, 'close')),
        el('div', {class: 'columns'},
            facts([['Address', node.address], ['Operations', node.ops_address],
                ['Host', node.host], ['Version', node.version],
                ['Up for', took((data.at_ms - node.started_ms) * 1000)],
                ['CPU', `${percent(node.cpu_percent)} of one of ${count(node.cpu_cores)} cores`],
                ['Memory', `${bytes(node.memory_used)} of ${bytes(node.memory_limit ??
                    node.memory_total)}`],
                ['Disk', `${bytes(node.disk_used)} of ${bytes(node.disk_total)}`],
                ['Answered', `${count(node.calls)} messages of nodes`]]),
            facts(Object.entries(node.figures ?? {})
                .map(([what, value]) => [what, count(value)]))));
}

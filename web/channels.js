// channels - who writes each log, how far it is, and who follows.

import {bytes, count, el, nodeName, NONE, state, table, took} from './dom.js';

const LATE_MS = 3000;           // a follower so far behind is marked

export function open(root, args, app) {
    const source = app.page('channels');
    const filter = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter channels by name, owner, collection'});
    const used = el('input', {type: 'checkbox', checked: true});
    const panel = app.panel('Channels', source, filter,
        el('label', {}, used, ' in use only'));
    root.append(panel.root);

    const paint = () => {
        if (!source.data)
            return;
        const words = filter.value.toLowerCase();
        const fits = source.data.items.filter(c => (!used.checked || c.vchannels.length > 0) &&
            JSON.stringify([c.channel, c.owner, c.state, c.vchannels, c.followers])
                .toLowerCase().includes(words));
        const {at_ms: ms, items} = source.data;
        panel.show(table(columns(ms), fits, {caption: 'Channels', key: c => c.channel,
            empty: items.length === 0 ? 'There is no channel yet: make a collection.'
                : `None of ${count(items.length)} channels fits.`,
            mark: c => c.owner ? null : 'orphan'}),
        el('p', {class: 'bound'}, `${count(fits.length)} of ${count(items.length)} channels`));
    };
    filter.addEventListener('input', paint);
    used.addEventListener('input', paint);
    const unwatch = source.watch(paint);
    paint();
    return {close: unwatch};
}

const position = p => p ? `${p.epoch} : ${count(p.seq)}` : NONE;

function age(ms, now) {
    return ms === null || ms === undefined ? '' : `${took(Math.max(0, now - ms) * 1000)} ago`;
}

function two(first, second) {
    return [el('div', {}, first), second && el('div', {class: 'below'}, second)];
}

function columns(now) {
    return [
        {head: 'Channel', cell: c => two(el('b', {}, c.channel),
            c.vchannels.map(v => v.collection ?? v.name).join(', ') || 'no collection')},
        {head: 'Owner', cell: c => c.owner ? nodeName(c.owner)
            : el('span', {class: 'bad'}, '✕ nobody')},
        {head: 'State', cell: c => state(c.state)},
        {head: 'Epoch', num: true, cell: c => two(count(c.epoch),
            c.seals.length > 0 && `${count(c.seals.length)} sealed`)},
        {head: 'Frontier', num: true, cell: c => two(position(c.frontier),
            age(c.frontier_ts_ms, now))},
        {head: 'Checkpoint', num: true, cell: c => two(position(c.checkpoint),
            age(c.checkpoint_ts_ms, now))},
        {head: 'Pending', num: true, cell: c => bytes(c.pending_bytes)},
        {head: 'Growing rows', num: true, cell: c => count(c.growing_rows)},
        {head: 'Followers', cell: followers},
    ];
}

function followers({followers: all, frontier}) {
    if (all.length === 0)
        return el('span', {class: 'none'}, 'none');
    return el('ul', {class: 'chips'}, all.map(f => {
        const late = f.behind_ms > LATE_MS, old = frontier && f.epoch < frontier.epoch;
        return el('li', {class: late || old ? 'late' : null, 'data-key': `${f.node} ${f.vchannel}`,
            title: `${f.vchannel} (${f.collection}), applied ${position(f)}`},
        nodeName(f.node), f.leader && el('span', {class: 'tag'}, '★ leads'),
        el('span', {class: 'lag'}, f.behind_ms === null ? NONE
            : f.behind_ms === 0 ? 'up to date' : `${took(f.behind_ms * 1000)} behind`));
    }));
}

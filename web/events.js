// events - what the nodes logged, in order; a failover is put together from its steps.

import {clock, count, el, nodeName, roleOf, state, took} from './dom.js';

// The steps of a failover, in the order in which they are to be read.
const STEPS = {
    suspect: 'somebody is silent',
    takeover: 'another takes its channel',
    sealed: 'the old log has an end',
    active: 'writes go on',
    switched: 'readers follow the new owner',
};
// What a takeover begins with when nobody died; a channel's first owner takes it over from nobody.
const MOVES = ['channel_moves', 'channel_stalls'];
const APART_US = 20e6;          // a step so long after the last one belongs to another failover
const SHOWN = 400, FAILOVERS = 4, NAMED = 3;

export function open(root, args, app) {
    const source = app.events;
    const node = select('Node'), step = select('Step');
    const words = el('input', {type: 'search', placeholder: 'Filter   /', 'data-filter': true,
        'aria-label': 'Filter events by text'});
    const pause = el('button', {type: 'button', 'aria-pressed': 'false', title: 'p'}, 'Pause');
    const story = app.panel('Failovers', source);
    const log = app.panel('Log', source, words, node.root, step.root, pause);
    root.append(story.root, log.root);
    let held = null;            // the lines as they were when it was paused
    if (args[0])
        node.input.dataset.wanted = args[0];

    const paint = () => {
        const lines = held ?? source.lines;
        story.show(failovers(source.lines));
        node.options(lines.map(l => l.node));
        step.options(lines.map(l => l.step).filter(Boolean));
        const text = words.value.toLowerCase();
        const fits = lines.filter(l => (!node.input.value || l.node === node.input.value) &&
            (!step.input.value || l.step === step.input.value) && (!text ||
            `${l.event} ${l.text} ${l.about ?? ''} ${l.source ?? ''}`.toLowerCase().includes(text)));
        const bottom = atEnd(log.body);
        log.show(logOf(fits, lines.length, held ? source.lines.length - held.length : 0,
            source.lost));
        if (bottom && !held)
            log.body.scrollTop = log.body.scrollHeight;
    };
    const toggle = () => {
        held = held ? null : source.lines;
        pause.textContent = held ? 'Go on' : 'Pause';
        pause.setAttribute('aria-pressed', String(Boolean(held)));
        paint();
        return true;
    };
    log.body.classList.add('log');
    log.body.setAttribute('tabindex', '0');
    pause.addEventListener('click', toggle);
    for (const input of [words, node.input, step.input])
        input.addEventListener('input', paint);
    const unwatch = source.watch(paint);
    paint();
    log.body.scrollTop = log.body.scrollHeight;
    return {close: unwatch, key: name => name === 'p' && toggle()};
}

function atEnd(box) {
    return box.scrollHeight - box.scrollTop - box.clientHeight < 40;
}

// A choice of what occurs.
function select(name) {
    const input = el('select', {'aria-label': name}, el('option', {value: ''}, `${name}: all`));
    return {
        input, root: input,
        options(values) {
            const wanted = [...new Set(values)].sort();
            const have = [...input.options].slice(1).map(o => o.value);
            if (wanted.join('\n') === have.join('\n'))
                return;
            const value = input.value || input.dataset.wanted || '';
            input.replaceChildren(input.options[0],
                ...wanted.map(v => el('option', {value: v}, v)));
            input.value = wanted.includes(value) ? value : '';
        },
    };
}

// --- failovers ------------------------------------------------------------------------

// Steps that follow each other closely, from the first suspicion or move on.
export function gather(lines) {
    const found = [];
    for (const line of lines) {
        if (!(line.step in STEPS))
            continue;
        const last = found[found.length - 1];
        const near = last && line.at_us - last.untilUs < APART_US;
        if (near) {
            last.lines.push(line);
            last.untilUs = line.at_us;
        } else if (line.step === 'suspect' || MOVES.includes(line.event)) {
            found.push({lines: [line], fromUs: line.at_us, untilUs: line.at_us});
        }
    }
    return found;
}

function failovers(lines) {
    const found = gather(lines).slice(-FAILOVERS).reverse();
    if (found.length === 0)
        return el('p', {class: 'empty'}, 'None since the nodes began to log. Kill a data node or ' +
            'a query node (elanus kill, kill -9), and it is told here step by step.');
    return found.map(failover => el('article', {class: 'failover',
        'data-key': String(failover.fromUs)},
    el('h3', {}, clock(failover.fromUs / 1000, false),
        el('span', {class: 'below'}, ` ${who(failover)}took ${
            took(failover.untilUs - failover.fromUs)}`)),
    el('ol', {class: 'steps'}, stepsOf(failover).map(name => stepOf(name, failover)))));
}

// All, where a data node's channels go to another; of another node's death those that there were.
function stepsOf({lines}) {
    const all = Object.keys(STEPS), {step, fields} = lines[0];
    return step === 'suspect' && roleOf(fields?.node) !== 'datanode'
        ? all.filter(name => lines.some(l => l.step === name)) : all;
}

// Whom it began with.
function who({lines}) {
    const {step, fields} = lines[0];
    const name = fields?.node ?? fields?.from ?? fields?.channel;
    return !name ? '' : step === 'suspect' ? `${name} is silent, ` : `${name} hands over, `;
}

function stepOf(name, {lines, fromUs}) {
    const mine = lines.filter(l => l.step === name);
    const first = mine[0], nodes = [...new Set(mine.map(l => l.node))];
    return el('li', {class: first ? `step-${name} told` : `step-${name}`, 'data-key': name},
        el('b', {}, name),
        el('span', {class: 'below'}, !first ? 'not yet'
            : first.at_us === fromUs ? clock(fromUs / 1000) : `+${took(first.at_us - fromUs)}`),
        el('span', {class: 'who'}, STEPS[name]),
        el('span', {class: 'who'}, nodes.slice(0, NAMED).map(n => [nodeName(n), ' ']),
            nodes.length > NAMED && `and ${count(nodes.length - NAMED)} more`));
}

// --- the log ----------------------------------------------------------------------------

function logOf(lines, all, behind, lost) {
    const shown = lines.slice(-SHOWN);
    return [
        el('p', {class: 'bound', 'data-key': 'head'},
            lines.length > SHOWN ? `The last ${count(SHOWN)} of ${count(lines.length)} lines. ` : '',
            lines.length < all ? `${count(all - lines.length)} are filtered out. ` : '',
            lost ? `${count(lost)} lines went before this page asked for them. ` : '',
            behind ? `Paused; ${count(behind)} lines have come since.` : ''),
        shown.length === 0 && el('p', {class: 'empty'}, 'No line fits.'),
        el('ol', {class: 'lines', 'data-key': 'lines'}, shown.map(lineOf)),
    ];
}

function lineOf(line) {
    return el('li', {class: `line-${line.level} ${line.step in STEPS ? `step-${line.step}` : ''}`,
        'data-key': line.key, 'data-row': true, tabindex: '-1'},
    el('time', {title: new Date(line.at_us / 1000).toISOString()}, clock(line.at_us / 1000)),
    nodeName(line.node),
    el('span', {class: 'event'},
        line.level !== 'info' && state(line.level),
        el('b', {}, line.event), line.step && el('span', {class: `tag step-${line.step}`}, line.step),
        el('code', {}, line.text ?? '')),
    line.about && el('span', {class: 'about'}, line.about,
        line.source && [' ', el('code', {class: 'source'}, line.source)]));
}

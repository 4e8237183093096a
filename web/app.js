// app - the frame: which view is shown, what is missing, who asks, keys, light and dark.

import {clock, el, setWidths, show, took} from './dom.js';
import {page, signIn, Source} from './source.js';
import * as topology from './topology.js';
import * as channels from './channels.js';
import * as segments from './segments.js';
import * as indexes from './indexes.js';
import * as collections from './collections.js';
import * as requests from './requests.js';
import * as events from './events.js';

const VIEWS = [
    {name: 'topology', title: 'Topology', module: topology},
    {name: 'channels', title: 'Channels', module: channels},
    {name: 'segments', title: 'Segments', module: segments},
    {name: 'indexes', title: 'Indexes', module: indexes},
    {name: 'collections', title: 'Collections', module: collections},
    {name: 'requests', title: 'Requests', module: requests},
    {name: 'events', title: 'Events', module: events},
];
const $ = id => document.getElementById(id);

// --- what all views share ------------------------------------------------------------

const HISTORY = 60;             // samples of each node
const GONE_MS = 10 * 60 * 1000; // how long a node that went is still drawn, as gone

// What this page has seen of the nodes: rates need two looks, and who went was there before.  A
// proxy's rate is of its clients' requests, another node's of the messages it answers.
class Nodes extends Source {
    constructor() {
        super(() => page('nodes'));
        this.history = new Map();       // name -> [{ms, calls, perSecond}]
        this.gone = new Map();          // name -> {item, sinceMs}
        this.watch(() => this.problem || this.remember());
    }

    remember() {
        const {at_ms: ms, items} = this.data;
        const here = new Set(items.map(item => item.name));
        for (const item of this.before ?? [])
            if (!here.has(item.name))
                this.gone.set(item.name, {item, sinceMs: ms});
        for (const [name, {sinceMs}] of this.gone)
            if (here.has(name) || ms - sinceMs > GONE_MS)
                this.gone.delete(name);
        this.before = items;
        items.forEach(item => this.sample(item, ms));
    }

    sample(item, ms) {
        const past = this.history.get(item.name) ?? [];
        const last = past[past.length - 1];
        if (last?.ms === ms)
            return;
        const calls = item.figures?.elanus_proxy_client_calls_total ?? item.calls;
        const known = calls !== null && last && last.calls !== null && calls >= last.calls;
        past.push({ms, calls,
            perSecond: known ? (calls - last.calls) * 1000 / (ms - last.ms) : null});
        this.history.set(item.name, past.slice(-HISTORY));
    }

    perSecond(name) {
        return this.history.get(name)?.at(-1)?.perSecond ?? null;
    }
}

const KEPT_EVENTS = 5000;

// The log as one: asked for from where the last answer ended, so that what a node said before it
// died stays here.
class Events extends Source {
    constructor() {
        super(() => this.more());
        this.lines = [];
        this.cursor = '';
        this.lost = 0;
        this.last = 0;
    }

    async more() {
        const answer = await page(`events?most=1000&after=${encodeURIComponent(this.cursor)}`);
        this.cursor = answer.next ?? '';
        this.lost += answer.lost ?? 0;
        if (answer.items.length > 0) {
            answer.items.forEach(line => { line.key = `e${this.last++}`; });
            this.lines = this.lines.concat(answer.items).sort((a, b) => a.at_us - b.at_us)
                .slice(-KEPT_EVENTS);
        }
        return answer;
    }
}

const app = {
    nodes: new Nodes(),
    events: new Events(),
    pages: new Map(),
    // The source of a page; views that name the same share it.
    page(name) {
        if (!this.pages.has(name))
            this.pages.set(name, new Source(() => page(name)));
        return this.pages.get(name);
    },
    // A part of a view that shows a source: its title, the time of its data, and what is wrong.
    panel(title, source, ...tools) {
        return new Panel(title, source, tools);
    },
    // Show this in a part of a view, bars and all.
    paint(part, ...children) {
        show(part, ...children);
        setWidths(part);
    },
    go(...parts) {
        follow(`#/${parts.map(encodeURIComponent).join('/')}`);
    },
};

// --- panels ------------------------------------------------------------------------------

const panels = new Set();

class Panel {
    constructor(title, source, tools) {
        this.source = source;
        this.time = el('span', {class: 'time'});
        this.note = el('div', {class: 'note', role: 'status'});
        this.body = el('div', {class: 'body'});
        this.heading = el('h2', {}, title);
        this.root = el('section', {class: 'panel', 'aria-label': title},
            el('div', {class: 'bar-top'}, this.heading, this.time,
                el('span', {class: 'push'}), ...tools),
            this.note, this.body);
        panels.add(this);
    }

    show(...children) {
        show(this.body, ...children);
        setWidths(this.body);
        this.look();
    }

    // Grey when it is not live, and say since when, why, and what to do.
    look() {
        const {source} = this;
        if (!source)
            return;
        const trouble = source.trouble;
        this.root.classList.toggle('stale', Boolean(trouble));
        show(this.time, `${source.data === null ? 'asking…' : clock(source.wallMs, false)}`);
        this.time.title = source.data === null ? '' : 'the time of what is shown';
        if (!trouble) {
            show(this.note);
            return;
        }
        const when = source.data === null ? 'Nothing is known yet'
            : `Not live: this is how it was at ${clock(source.wallMs, false)}`;
        const age = source.data === null ? '' : `, ${took(source.ageMs * 1000)} ago`;
        show(this.note, el('strong', {}, when, el('span', {'aria-hidden': 'true'}, age)),
            ` — ${trouble.text}. `,
            el('span', {class: 'do'}, `To do: ${trouble.what}.`));
    }
}

// --- the frame -----------------------------------------------------------------------------

let current = null;             // {view, hash, close, and what else the view can do}

function parts() {
    const words = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean);
    return words.map(word => {
        try {
            return decodeURIComponent(word);
        } catch {
            return word;
        }
    });
}

// At once, so that the next key finds the new view.
function follow(hash) {
    location.hash = hash;
    route();
}

function route() {
    if (current?.hash === location.hash)
        return;
    const [name, ...args] = parts();
    const view = VIEWS.find(v => v.name === name) ?? VIEWS[0];
    if (current?.view === view && current.turn?.(args)) {
        current.hash = location.hash;
        return;
    }
    current?.close();
    panels.clear();
    $('view').replaceChildren();
    $('view').className = `view-${view.name}`;
    document.title = `${view.title} · Elanus`;
    current = {view, hash: location.hash, ...view.module.open($('view'), args, app)};
    showNav();
    tick();
}

function badge(view) {
    const {data} = app.nodes;
    if (!data || !app.nodes.live)
        return null;
    if (view.name === 'topology') {
        const up = data.items.filter(n => n.state === 'up').length;
        return el('span', {class: up < data.items.length ? 'badge bad' : 'badge'},
            `${up}/${data.items.length}`);
    }
    return null;
}

function showNav() {
    show($('views'), VIEWS.map((view, i) => el('a', {
        href: `#/${view.name}`, 'aria-current': current?.view === view ? 'page' : null,
        'aria-keyshortcuts': String(i + 1), 'data-key': view.name,
    }, el('kbd', {'aria-hidden': 'true'}, i + 1), el('span', {}, view.title), badge(view))));
}

function showTop() {
    const {data, live, wallMs, trouble} = app.nodes;
    $('live').className = `live ${live ? 'on' : 'off'}`;
    show($('live'), live ? `live ${clock(wallMs, false)}`
        : trouble ? `not live since ${data ? clock(wallMs, false) : 'the page was opened'}`
            : 'asking…');
    if (data)
        show($('cluster'), el('b', {}, data.cluster), ` ${data.mode} · ${data.version}`,
            el('span', {class: 'by'}, ` · told by ${data.proxy}`));
}

// One line for each that somebody told of, whichever page it was.
function showMissing() {
    const found = new Map();
    for (const source of [app.nodes, ...app.pages.values(), app.events])
        if (source.watchers.size > 0 && source.live)
            for (const entry of source.data.missing ?? [])
                found.set(entry.what, entry);
    const lines = [...found.values()].map(m => el('div', {class: 'banner', 'data-key': m.what},
        el('span', {class: 'mark', 'aria-hidden': 'true'}, '▲'),
        el('span', {}, el('strong', {}, m.what), ` — ${m.why ?? 'not known'}. `,
            el('span', {class: 'do'}, m.do))));
    const trouble = app.nodes.trouble;
    if (trouble)
        lines.unshift(el('div', {class: 'banner worse', 'data-key': ' proxy'},
            el('span', {class: 'mark', 'aria-hidden': 'true'}, '✕'),
            el('span', {}, el('strong', {}, 'No live data'), ` — ${trouble.text}. `,
                el('span', {class: 'do'}, `To do: ${trouble.what}.`))));
    show($('missing'), lines);
}

function tick() {
    showTop();
    showMissing();
    showNav();
    panels.forEach(p => p.look());
}

// --- light and dark ----------------------------------------------------------------------------

const THEMES = {system: '◐', light: '○', dark: '●'};

function setTheme(name) {
    document.documentElement.dataset.theme = name;
    localStorage.setItem('elanus.theme', name);
    show($('theme'), THEMES[name], el('span', {class: 'word'}, ` ${name}`));
    $('theme').setAttribute('aria-label', `Colours: ${name}; change`);
}

function nextTheme() {
    const names = Object.keys(THEMES);
    setTheme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
}

// --- who asks --------------------------------------------------------------------------------------

signIn.wanted = why => {
    $('sign').hidden = false;
    if ($('token').open || (!why && $('token').dataset.refused))
        return;
    askWho(why);
};

function askWho(why) {
    $('token-why').textContent = why;
    $('token').returnValue = '';
    $('token').showModal();
}

$('token').addEventListener('close', () => {
    if ($('token').returnValue !== 'yes') {
        $('token').dataset.refused = 'yes';     // asked again by the button only
        signIn.set(null);
        return;
    }
    signIn.set(`${$('token-user').value}:${$('token-password').value}`);
    $('token-password').value = '';
    [app.nodes, app.events, ...app.pages.values()].forEach(s => s.wake());
    current.hash = null;        // what was refused is asked again
    route();
});

$('sign').addEventListener('click', () => {
    delete $('token').dataset.refused;
    askWho('');
});

// --- keys ---------------------------------------------------------------------------------------------

// From one row or node to the next.
function step(by) {
    const all = [...$('view').querySelectorAll('[data-row][tabindex], .card')];
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
    next?.focus();
    next?.scrollIntoView({block: 'nearest'});
    return Boolean(next);
}

function typing(target) {
    return target.matches('input:not([type=checkbox]), textarea, select');
}

function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]'))
        return;
    if (event.key === 'Escape') {
        if (typing(event.target))
            event.target.blur();
        else
            current?.back?.();
        return;
    }
    if (typing(event.target))
        return;
    const view = VIEWS[Number(event.key) - 1];
    const done = view ? (app.go(view.name), true)
        : event.key === '/' ? ($('view').querySelector('[data-filter]')?.focus(), true)
            : event.key === 'ArrowDown' ? step(1)
                : event.key === 'ArrowUp' ? step(-1)
                    : event.key === 't' ? (nextTheme(), true)
                        : event.key === '?' ? ($('keys').showModal(), true)
                            : event.key === 'Enter' ? openRow(event.target)
                                : current?.key?.(event.key);
    if (done)
        event.preventDefault();
}

function openRow(target) {
    const row = target.closest?.('[data-open]');
    if (row && row === target)
        follow(row.dataset.open);
    return Boolean(row && row === target);
}

document.addEventListener('keydown', onKey);
$('view').addEventListener('click', event => {
    const row = event.target.closest('[data-open]');
    if (row && !event.target.closest('a, button, input') && !String(getSelection()))
        follow(row.dataset.open);
});
$('theme').addEventListener('click', nextTheme);
$('help').addEventListener('click', () => $('keys').showModal());
window.addEventListener('hashchange', route);
document.addEventListener('visibilitychange', () => {
    if (!document.hidden)
        [app.nodes, app.events, ...app.pages.values()].forEach(s => s.wake());
});

setTheme(localStorage.getItem('elanus.theme') in THEMES ? localStorage.getItem('elanus.theme')
    : 'system');
app.nodes.watch(tick);
app.events.watch(tick);         // all the time: who dies takes its journal along
setInterval(tick, 500);
route();

// dom - elements out of plain values, and a tree made equal to another.
//
// Whatever a server says goes into the page as text, never as markup: names of
// collections, rows and errors are data.  A view describes its whole content
// anew each time; `morph` changes what differs, so that focus, selection and
// scrolling stay where they are.  Therefore nothing inside a morphed tree has
// a listener of its own: views listen at their root and look at data-do.

const SVG = 'http://www.w3.org/2000/svg';

// el('td', {class: 'num', 'data-label': 'Rows'}, '12', el('b', {}, 'x'))
export function el(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false)
            continue;
        node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.flat(3).filter(c => c !== null && c !== undefined && c !== false)
        .map(c => c instanceof Node ? c : String(c)));
    return node;
}

const key = node => node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('data-key') : null;

function alike(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
}

function morphAttributes(old, wanted) {
    for (const {name} of [...old.attributes])
        if (!wanted.hasAttribute(name) && !(name === 'open' && old.nodeName === 'DETAILS'))
            old.removeAttribute(name);
    for (const {name, value} of wanted.attributes)
        if (old.getAttribute(name) !== value)
            old.setAttribute(name, value);
}

// Make what is inside `old` equal to what is inside `wanted`, which is used up.
export function morph(old, wanted) {
    const kept = new Map(), stays = new Set([...wanted.children].map(key));
    for (const child of [...old.children])
        if (key(child) !== null && !stays.has(key(child)))
            child.remove();             // first, so that what stays need not move
        else if (key(child) !== null)
            kept.set(key(child), child);
    let at = old.firstChild;
    for (const next of [...wanted.childNodes]) {
        const mine = key(next) !== null ? kept.get(key(next)) : at && alike(at, next) ? at : null;
        kept.delete(key(next));
        if (!mine || !alike(mine, next)) {
            old.insertBefore(next, at);
            continue;
        }
        if (mine === at)
            at = at.nextSibling;
        else
            old.insertBefore(mine, at);
        if (next.nodeType === Node.TEXT_NODE) {
            if (mine.data !== next.data)
                mine.data = next.data;
        } else {
            morphAttributes(mine, next);
            morph(mine, next);
        }
    }
    while (at) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
    }
}

// Put these children into a node, keeping what is equal already.
export function show(root, ...children) {
    const wanted = document.createDocumentFragment();
    wanted.append(...children.flat(3).filter(Boolean));
    morph(root, wanted);
}

// Lengths cannot come as attributes: the policy of the page forbids inline styles.
export function setWidths(root) {
    for (const bar of root.querySelectorAll('[data-percent]'))
        bar.style.width = `${bar.getAttribute('data-percent')}%`;
    for (const bar of root.querySelectorAll('[data-left]'))
        bar.style.marginLeft = `${bar.getAttribute('data-left')}%`;
    for (const part of root.querySelectorAll('[data-depth]'))
        part.style.setProperty('--depth', part.getAttribute('data-depth'));
}

// --- values as people read them -------------------------------------------------

export const NONE = '–';
const numbers = new Intl.NumberFormat('en-US');

export function count(value) {
    return value === null || value === undefined ? NONE : numbers.format(value);
}

export function bytes(value) {
    if (value === null || value === undefined)
        return NONE;
    const units = ['B', 'KB', 'MB', 'GB', 'TB'];
    let i = 0;
    for (; value >= 1000 && i < units.length - 1; i++)
        value /= 1024;
    return `${i > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[i]}`;
}

export function rate(value) {
    if (value === null || value === undefined)
        return NONE;
    return value >= 100 ? count(Math.round(value)) : value >= 10 ? value.toFixed(0)
        : value.toFixed(1);
}

export function percent(value) {
    return value === null || value === undefined ? NONE : `${Math.round(value)} %`;
}

const two = n => String(n).padStart(2, '0');

// "12:03:04.250"
export function clock(ms, fraction = true) {
    if (ms === null || ms === undefined)
        return NONE;
    const d = new Date(ms);
    const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
    return fraction ? `${text}.${String(d.getMilliseconds()).padStart(3, '0')}` : text;
}

// A length of time: "850 µs", "4.2 ms", "3.1 s", "2 min", "5 h", "3 d".
export function took(us) {
    if (us === null || us === undefined)
        return NONE;
    if (us < 1000)
        return `${Math.round(us)} µs`;
    if (us < 1e6)
        return `${us < 10000 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`;
    const s = us / 1e6;
    return s < 10 ? `${s.toFixed(1)} s` : s < 120 ? `${Math.round(s)} s`
        : s < 7200 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h`
            : `${Math.round(s / 86400)} d`;
}

// A value of a row, short: vectors and documents are cut.
export function brief(value) {
    if (value === null || value === undefined)
        return 'null';
    if (Array.isArray(value) && value.length > 4 && value.every(v => typeof v === 'number')) {
        const shown = value.slice(0, 3).map(v => Number.isInteger(v) ? v : Number(v.toPrecision(4)));
        return `[${shown.join(', ')}, … ${value.length}]`;
    }
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.length > 160 ? `${text.slice(0, 157)}…` : text;
}

// --- parts ---------------------------------------------------------------------

export function roleOf(node) {
    return node ? node.replace(/-[^-]*$/, '') : '';
}

// The name of a node, in the colour of its role.
export function nodeName(name) {
    return name ? el('span', {class: `node role-${roleOf(name)}`}, name)
        : el('span', {class: 'none'}, NONE);
}

const MARKS = {
    up: '●', active: '●', done: '●', flushed: '●', indexed: '●', growing: '○', sealed: '◐',
    joining: '◐', recovering: '◐', replaying: '◐', waiting: '○', running: '◐', info: '',
    suspect: '▲', stalled: '▲', warn: '▲', silent: '✕', failed: '✕', error: '✕', gone: '✕',
    released: '○', dropped: '✕',
};

// A state by shape and by colour.
export function state(word) {
    return el('span', {class: `state is-${word || 'unknown'}`},
        el('span', {class: 'mark', 'aria-hidden': 'true'}, MARKS[word] ?? '○'), ` ${word ?? NONE}`);
}

export function bar(value, label, kind = '') {
    const known = value !== null && value !== undefined;
    const part = known ? Math.max(0, Math.min(100, value)) : 0;
    return el('span', {class: `bar ${kind} ${part >= 90 ? 'is-full' : ''}`, role: 'img',
        'aria-label': `${label} ${known ? percent(value) : 'unknown'}`},
    el('span', {'data-percent': part.toFixed(1)}));
}

export const TABLE_ROWS = 500;

// columns: {head, cell(row), num, wide: may break anywhere}; options: key(row), open(row) -> what data-open says,
// mark(row) -> class, empty: what to say without rows.
export function table(columns, rows, options) {
    if (rows.length === 0)
        return el('p', {class: 'empty'}, options.empty);
    const shown = rows.slice(0, TABLE_ROWS);
    const head = columns.map(c => el('th', {scope: 'col', class: c.num ? 'num' : null}, c.head));
    const line = row => el('tr', {
        'data-key': options.key(row), 'data-row': true, class: options.mark?.(row),
        tabindex: options.open ? '0' : null, 'data-open': options.open?.(row),
    }, columns.map(c => el('td', {'data-label': c.head,
        class: c.num ? 'num' : c.wide ? 'wide' : null}, el('div', {class: 'cell'}, c.cell(row)))));
    return el('div', {class: 'table'},
        el('table', {class: options.dense ? 'dense' : null},
            el('caption', {class: 'hidden'}, options.caption),
            el('thead', {}, el('tr', {}, head)), el('tbody', {}, shown.map(line))),
        rows.length > shown.length && el('p', {class: 'bound'},
            `The first ${count(shown.length)} of ${count(rows.length)} rows: filter to see others.`));
}

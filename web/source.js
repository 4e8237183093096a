// source - questions to the proxy that served this page, and to nobody else.
//
// A Source asks one page of /api/v1/_elanus/ (docs/pages.md) again and again
// while somebody watches.  It remembers when its answer was true: whoever shows
// it can tell what is live from what only was.

const PAGES = '/api/v1/_elanus/';
const REST = '/v2/vectordb/';
const EVERY_MS = 1000, PATIENCE_MS = 2600;
export const STALE_MS = 3000;

// What went wrong, and what a person can do about it.
export class Problem extends Error {
    constructor(text, what, status = 0) {
        super(text);
        this.what = what;
        this.status = status;
    }
}

// --- who asks --------------------------------------------------------------------

const TOKEN = 'elanus.token';
export const signIn = {
    wanted: () => {},           // app.js: a 401 came
    set: token => token ? sessionStorage.setItem(TOKEN, token) : sessionStorage.removeItem(TOKEN),
    has: () => sessionStorage.getItem(TOKEN) !== null,
};

function headers(more) {
    const token = sessionStorage.getItem(TOKEN);
    return token ? {...more, Authorization: `Bearer ${token}`} : more;
}

// --- one question ------------------------------------------------------------------

// Whole numbers that JavaScript cannot hold stay text: a key has to come back as it is.
export function parse(text) {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, part =>
        /^-?\d{16,}$/.test(part) && !Number.isSafeInteger(Number(part)) ? `"${part}"` : part));
}

async function fetched(path, options, patienceMs) {
    const gone = new AbortController();
    const timer = setTimeout(() => gone.abort(), patienceMs);
    try {
        const reply = await fetch(path, {...options, signal: gone.signal, cache: 'no-store'});
        return {status: reply.status, text: await reply.text()};
    } catch (why) {
        const late = gone.signal.aborted;
        throw new Problem(late ? `this proxy gave no answer in ${patienceMs / 1000} s`
            : 'this proxy does not answer',
        'look whether it runs (elanus ps) and at its log, or open the console of another proxy');
    } finally {
        clearTimeout(timer);
    }
}

async function answered(path, options, patienceMs) {
    const {status, text} = await fetched(path, options, patienceMs);
    let json = null;
    try {
        json = parse(text);
    } catch {
        throw new Problem(`an answer that is no JSON (HTTP ${status})`,
            'is this port the ops port of a proxy, and nothing between it and the browser?', status);
    }
    if (status === 401) {
        signIn.wanted(signIn.has() ? 'User or password are not right.' : '');
        throw new Problem('this cluster wants to know who asks', 'sign in', status);
    }
    return {status, json};
}

// A page of docs/pages.md.
export async function page(name) {
    const {status, json} = await answered(PAGES + name, {headers: headers({})}, PATIENCE_MS);
    if (status !== 200)
        throw new Problem(json.error || json.message || `HTTP ${status}`,
            json.do || 'see the log of the proxy', status);
    return json;
}

// REST v2; the answer's `data`.  What is asked again and again `looks`: it is no client's request.
export async function rest(path, body, {patienceMs = 30000, looks = false} = {}) {
    const {status, json} = await answered(REST + path, {
        method: 'POST', headers: headers({'Content-Type': 'application/json',
            ...(looks && {'Elanus-Looks': '1'})}),
        body: JSON.stringify(body)}, patienceMs);
    if (status !== 200 || json.code !== 0)
        throw new Problem(json.message || json.error || `HTTP ${status}`,
            json.do || `code ${json.code ?? status}`, status);
    return json.data;
}

// --- again and again ------------------------------------------------------------------

export class Source {
    // ask(): a promise of the data; everyMs: from the beginning of one question to the next.
    constructor(ask, everyMs = EVERY_MS) {
        this.ask = ask;
        this.everyMs = everyMs;
        this.watchers = new Set();
        this.data = null;
        this.askedAt = -Infinity;       // performance.now() of the question that `data` answers
        this.wallMs = null;             // the same on the wall
        this.problem = null;
        this.timer = null;
        this.busy = false;
    }

    // Call it after each answer and each failure, until what is returned is called.
    watch(fn) {
        this.watchers.add(fn);
        this.wake();
        return () => this.watchers.delete(fn);
    }

    wake() {
        clearTimeout(this.timer);
        if (!this.busy)
            this.round();
    }

    async round() {
        if (this.watchers.size === 0 || document.hidden)
            return;
        const begin = performance.now();
        this.busy = true;
        try {
            const data = await this.ask();
            this.data = data;
            this.askedAt = begin;
            this.wallMs = data?.at_ms ?? Date.now();
            this.problem = null;
        } catch (why) {
            this.problem = why;
        }
        this.busy = false;
        const left = this.everyMs - (performance.now() - begin);
        this.timer = setTimeout(() => this.round(), Math.max(left, 250));
        for (const fn of this.watchers)
            fn(this);
    }

    get ageMs() { return performance.now() - this.askedAt; }
    get live() { return this.data !== null && !this.problem && this.ageMs <= STALE_MS; }

    // What to say when it is not live: {text, what}; null while it is, or is not asked yet.
    get trouble() {
        if (this.live || (this.data === null && !this.problem))
            return null;
        const why = this.problem ?? new Problem('no newer answer has come',
            'the page asks on; look whether the proxy runs (elanus ps)');
        return {text: why.message, what: why.what ?? 'reload the page'};
    }
}

"""chaos_check - is a history of writes and reads one that Elanus may have?

A history is a list of operations, dicts that are also the lines of history.jsonl:

    id      counts them
    client  who asked; a client has one request at a time
    op      insert upsert delete | get query search count scan | ddl
    coll    which collection
    pks     the keys that are written, or asked for (reads of chosen keys)
    ver     of a write: every row of it carries this number, no other write does
    level   of a read: Strong Session Bounded Eventually
    t_inv, t_ret    seconds on one monotonic clock
    outcome ok | fail (surely not done) | unknown
    result  of a read: [[pk, ver], …]; search: [[pk, ver, distance], …]; count: a number
    wide    of a request that touches every shard (for windows, not checked here)

A key is a register: upserts and inserts write their version, deletes write ABSENT,
and a write of unknown outcome may happen at any time after it was sent, or never.
An insert of a key that may be there would make a second row, so the workload
inserts only keys that were never used.

    registers   Strong reads and all writes of each key have an order that respects
                real time (linearizable); the scan after the end is one of the reads
    bounds      weaker reads: nothing that was never written, nothing older than
                the level allows
    results     no key twice in an answer, no key that was not asked for
    searches    distances belong to the versions, sorted, and no row that was surely
                there and nearer is left out
    counts      count(*) lies between the rows surely and possibly there

Linearizability by the just-in-time search of Lowe: walk the events in time order
with the set of all possible (value, what is done); only when a request returns
must it have been done.  Reads are done as soon as the value fits, which never
hurts.  Unknown writes whose version nobody saw cannot help and are left out;
unknown deletes are alike and used in the order they were sent.
"""
import bisect
import collections
import math

ABSENT = 0
NEVER = float("inf")
WRITES = ("insert", "upsert", "delete")
BOUNDED_S = 5.0                 # common.gracefulTime
MOST_STATES = 20000             # of one key at one moment; beyond that it is undecided
DIM = 8
EPSILON = 1e-4


def vector(pk, ver):
    """The vector of a version: eighths in [0, 32), exact in float32; neighbours differ."""
    seed = (pk * 0x9E3779B1 + ver * 0x85EBCA77) & 0xFFFFFFFF
    out = []
    for _ in range(DIM):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append((seed >> 24) / 8)
    return out


def distance(a, b):
    """L2 as Milvus gives it: without the root."""
    return math.dist(a, b) ** 2


class Wrong:
    """One finding: what kind, and words for a person."""

    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    def __str__(self):
        return f"{self.kind}: {self.text}"

    __repr__ = __str__


# --- the history as the checks want it ----------------------------------------------

def write_value(op):
    return ABSENT if op["op"] == "delete" else op["ver"]


class Write:
    """A write of one key."""
    __slots__ = ("inv", "ret", "value", "op")

    def __init__(self, op):
        self.inv, self.value, self.op = op["t_inv"], write_value(op), op
        self.ret = op["t_ret"] if op["outcome"] == "ok" else NEVER


def answered(history, *ops):
    return [op for op in history if op["op"] in ops and op["outcome"] == "ok"]


def writes_by_key(history):
    found = collections.defaultdict(list)
    for op in history:
        if op["op"] in WRITES and op["outcome"] != "fail":
            for pk in op["pks"]:
                found[op["coll"], pk].append(Write(op))
    return found


def seen_values(op):
    """(pk, version) pairs a read tells about: those it shows and those it shows to be absent."""
    shown = {}
    for row in op["result"]:
        shown[row[0]] = row[1]
    if op["op"] != "search":
        for pk in op["pks"]:
            shown.setdefault(pk, ABSENT)
    return shown.items()


# --- one key is a register ------------------------------------------------------------

class _Search:
    """All states one key can be in: (value, bits of open requests done, unknown deletes used).

    It begins ABSENT.  Slots are numbers of requests that have not returned."""

    def __init__(self, unknown_deletes):
        self.states = {(ABSENT, 0): 0}          # -> fewest unknown deletes used
        self.unknown_deletes = unknown_deletes  # the times they were sent, sorted
        self.open_writes = {}                   # slot -> value
        self.open_reads = {}                    # slot -> value
        self.free, self.top = [], 0

    def slot(self):
        if self.free:
            return self.free.pop()
        self.top += 1
        return self.top - 1

    def reads_of(self, value):
        bits = 0
        for slot, wanted in self.open_reads.items():
            if wanted == value:
                bits |= 1 << slot
        return bits

    def begin_read(self, value):
        slot = self.slot()
        self.open_reads[slot] = value
        bit, after = 1 << slot, {}
        if len(self.states) == 1:                       # mostly
            (now, done), used = next(iter(self.states.items()))
            if now == value:
                self.states = {(now, done | bit): used}
            return slot
        for (now, done), used in self.states.items():
            after[now, done | bit if now == value else done] = used
        self.states = after
        return slot

    def begin_write(self, value):
        slot = self.slot()
        self.open_writes[slot] = value
        return slot

    def steps(self, state, used, now):
        """The states that one more open write leads to."""
        _, done = state
        for slot, value in self.open_writes.items():
            if not done >> slot & 1:
                yield (value, done | 1 << slot | self.reads_of(value)), used
        if used < len(self.unknown_deletes) and self.unknown_deletes[used] <= now:
            yield (ABSENT, done | self.reads_of(ABSENT)), used + 1

    def end(self, slot, now):
        """The request returns: states where it was not done go on until it is.  False: none is."""
        bit, kept, todo = 1 << slot, {}, []
        for state, used in self.states.items():
            if state[1] & bit:
                final = (state[0], state[1] ^ bit)
                if kept.get(final, NEVER) > used:
                    kept[final] = used
            else:
                todo.append((state, used))
        met = dict(self.states) if todo else ()
        while todo:
            state, used = todo.pop()
            if state[1] & bit:
                final = (state[0], state[1] ^ bit)
                if kept.get(final, NEVER) > used:
                    kept[final] = used
                continue
            for further, more in self.steps(state, used, now):
                if met.get(further, NEVER) > more:
                    met[further] = more
                    todo.append((further, more))
            if len(met) > MOST_STATES:
                raise OverflowError
        self.open_reads.pop(slot, None)
        self.open_writes.pop(slot, None)
        self.free.append(slot)
        self.states = kept
        return bool(kept)


def linearizable(writes, reads):
    """None, or the read (inv, ret, value, op) or Write that fits nowhere.  OverflowError:
    too many states."""
    values = {value for _, _, value, _ in reads}
    events, unknown_deletes = [], []
    for w in writes:
        if w.ret != NEVER:
            events += [(w.inv, 0, w), (w.ret, 1, w)]
        elif w.value == ABSENT:
            unknown_deletes.append(w.inv)
        elif w.value in values:
            events.append((w.inv, 0, w))
    for r in reads:
        events += [(r[0], 0, r), (r[1], 1, r)]
    events.sort(key=lambda e: e[:2])
    search, slots = _Search(sorted(unknown_deletes)), {}
    for now, ends, what in events:
        if ends:
            if not search.end(slots.pop(id(what)), now):
                return what
        elif isinstance(what, Write):
            slots[id(what)] = search.begin_write(what.value)
        else:
            slots[id(what)] = search.begin_read(what[2])
    return None


def explain(pk, writes, what):
    """What kind of wrong it is, and the moments around it."""
    if isinstance(what, Write):
        return Wrong("order", f"key {pk}: {what.op['op']} {what.op['id']} fits nowhere")
    inv, ret, value, op = what
    acked = [w for w in writes if w.ret < inv]
    newest = max(acked, key=lambda w: w.inv, default=None)
    mine = next((w for w in writes if w.value == value), None) if value != ABSENT else None
    kind = "lost" if value == ABSENT else "phantom" if mine is None else \
        "future" if mine.inv > ret else \
        "resurrected" if newest and newest.value == ABSENT else "stale"
    around = [f"{w.op['op']} {w.value} by {w.op['client']} sent {w.inv:.3f} "
              f"{'returned %.3f' % w.ret if w.ret != NEVER else 'unknown'}"
              for w in sorted(writes, key=lambda w: w.inv)
              if w.inv < ret and (w.ret > inv or w is newest or w is mine)]
    return Wrong(kind, f"{op['coll']} key {pk}: {op['op']} {op['id']} by {op['client']} sent "
                       f"{inv:.3f} returned {ret:.3f} saw {value or 'nothing'}; "
                       f"writes: {'; '.join(around[-6:])}")


def check_registers(history, writes):
    """Strong reads of each key, and the writes of it; also how many reads were judged."""
    reads, wrong, judged = collections.defaultdict(list), [], 0
    for op in answered(history, "get", "query", "search", "scan"):
        if op["level"] == "Strong":
            for pk, ver in seen_values(op):
                reads[op["coll"], pk].append((op["t_inv"], op["t_ret"], ver, op))
    for key, found in reads.items():
        judged += len(found) + len(writes.get(key, ()))
        try:
            bad = linearizable(writes.get(key, ()), found)
        except OverflowError:
            wrong.append(Wrong("undecided", f"{key[0]} key {key[1]}: too many possible orders"))
            continue
        if bad:
            wrong.append(explain(key[1], writes.get(key, ()), bad))
    return wrong, judged


# --- weaker levels --------------------------------------------------------------------

def legal(value, writes, read, bound, client=None):
    """May a reader see this value, that must know each write that returned before `bound`
    (of one client only, when one is named)?"""
    origins = [w for w in writes if w.value == value and w.inv <= read["t_ret"]]
    begins = [w.ret for w in origins] + ([-1.0] if value == ABSENT else [])
    known = [w for w in writes if w.ret <= bound and client in (None, w.op["client"])]
    return any(not any(w.inv > begin for w in known) for begin in begins)


def check_bounds(history, writes):
    wrong = []
    for op in answered(history, "get", "query", "search"):
        if op["level"] == "Strong":
            continue
        bound = {"Session": op["t_inv"], "Bounded": op["t_inv"] - BOUNDED_S,
                 "Eventually": -1.0}[op["level"]]
        client = op["client"] if op["level"] == "Session" else None
        for pk, ver in seen_values(op):
            if not legal(ver, writes.get((op["coll"], pk), ()), op, bound, client):
                wrong.append(Wrong(op["level"].lower(), f"{op['coll']} key {pk}: {op['op']} "
                                   f"{op['id']} by {op['client']} sent {op['t_inv']:.3f} saw "
                                   f"{ver or 'nothing'}"))
    return wrong


# --- answers by themselves --------------------------------------------------------------

def check_results(history):
    wrong = []
    for op in answered(history, "get", "query", "search", "scan"):
        keys = [row[0] for row in op["result"]]
        twice = [k for k, n in collections.Counter(keys).items() if n > 1]
        if twice:
            wrong.append(Wrong("duplicate", f"{op['coll']} {op['op']} {op['id']} "
                               f"({op['level']}): keys {twice[:5]} more than once"))
        if op["op"] != "search" and not set(keys) <= set(op["pks"]):
            wrong.append(Wrong("phantom", f"{op['coll']} {op['op']} {op['id']}: keys "
                               f"{sorted(set(keys) - set(op['pks']))[:5]} were not asked for"))
        wrong += [Wrong("bytes", f"{op['coll']} {op['op']} {op['id']}: {text}")
                  for text in op.get("wrong", ())]
    return wrong


# --- searches and counts ------------------------------------------------------------------

def sure_spans(writes):
    """[(from, to, version)]: a key surely has that version all that time.

    From the return of a write, until another is sent; and only when no write was under
    way beside it, since their order is not known."""
    spans, ordered = [], sorted(writes, key=lambda w: w.inv)
    latest = -1.0                               # return of those sent before
    for i, w in enumerate(ordered):
        following = ordered[i + 1].inv if i + 1 < len(ordered) else NEVER
        if latest < w.inv and w.ret < following:
            spans.append((w.ret, following, w.value))
        latest = max(latest, w.ret)
    return spans


def check_searches(history, writes):
    """Distances, order, and completeness of Strong searches (brute force or FLAT)."""
    wrong, sure = [], collections.defaultdict(list)
    for (coll, pk), some in writes.items():
        for begin, end, ver in sure_spans(some):
            if ver != ABSENT:
                sure[coll].append((begin, end, pk, ver, vector(pk, ver)))
    for spans in sure.values():
        spans.sort(key=lambda s: s[0])
    starts = {coll: [s[0] for s in spans] for coll, spans in sure.items()}
    for op in answered(history, "search"):
        wrong += _check_distances(op)
        if op["level"] == "Strong" and op.get("exact", True):
            until = bisect.bisect(starts.get(op["coll"], []), op["t_inv"])
            wrong += _check_nearest(op, sure[op["coll"]][:until])
    return wrong


def _check_distances(op):
    wrong, last = [], -1.0
    for pk, ver, got in op["result"]:
        true = distance(op["near"], vector(pk, ver))
        if abs(got - true) > EPSILON * max(1.0, true):
            wrong.append(Wrong("distance", f"{op['coll']} search {op['id']}: key {pk} version "
                               f"{ver} is {true:.5f} away, {got:.5f} was answered"))
        if got < last:
            wrong.append(Wrong("distance", f"{op['coll']} search {op['id']}: not sorted"))
        if op.get("rest") is not None and ver % 7 != op["rest"]:
            wrong.append(Wrong("filter", f"{op['coll']} search {op['id']}: version {ver} of key "
                               f"{pk} does not pass ver % 7 == {op['rest']}"))
        last = got
    return wrong


def _check_nearest(op, spans):
    shown = {row[0] for row in op["result"]}
    full = len(op["result"]) >= op["limit"]
    worst = op["result"][-1][2] - EPSILON * max(1.0, op["result"][-1][2]) if full else NEVER
    rest = op.get("rest")
    for begin, end, pk, ver, at in spans:
        if end < op["t_ret"] or pk in shown or (rest is not None and ver % 7 != rest):
            continue
        if distance(op["near"], at) < worst:
            return [Wrong("missing", f"{op['coll']} search {op['id']} sent {op['t_inv']:.3f}: "
                          f"key {pk} version {ver}, there since {begin:.3f}, is nearer than the "
                          f"last of {len(op['result'])} and is not shown")]
    return []


def check_counts(history, writes):
    wrong, spans, keys = [], collections.defaultdict(list), collections.Counter()
    for (coll, _), some in writes.items():
        keys[coll] += 1
        spans[coll] += [(b, e, v) for b, e, v in presence(some)]
    for op in answered(history, "count"):
        if op["level"] != "Strong":
            continue
        here = [v for b, e, v in spans[op["coll"]] if b <= op["t_inv"] and e >= op["t_ret"]]
        low = sum(1 for v in here if v != ABSENT)
        high = keys[op["coll"]] - sum(1 for v in here if v == ABSENT)
        if not low <= op["result"] <= high:
            wrong.append(Wrong("count", f"{op['coll']} count {op['id']} by {op['client']} sent "
                               f"{op['t_inv']:.3f}: {op['result']}, possible are {low} to {high}"))
    return wrong


def presence(writes):
    """Spans in which a key is surely there (or surely not), whichever version it is: what
    writes side by side do is known when they all do the same."""
    ordered, spans = sorted(writes, key=lambda w: w.inv), []
    if ordered:
        spans.append((-1.0, ordered[0].inv, ABSENT))
    i = 0
    while i < len(ordered):
        group, ends, j = [ordered[i]], ordered[i].ret, i + 1
        while j < len(ordered) and ordered[j].inv <= ends:
            group.append(ordered[j])
            ends = max(ends, ordered[j].ret)
            j += 1
        following = ordered[j].inv if j < len(ordered) else NEVER
        alike = {w.value == ABSENT for w in group}
        if len(alike) == 1 and ends < following:
            spans.append((ends, following, group[0].value))
        i = j
    return spans


# --- all of it ------------------------------------------------------------------------------

def check(history):
    """(findings, number of register operations judged)."""
    writes = writes_by_key(history)
    registers, judged = check_registers(history, writes)
    return registers + check_bounds(history, writes) + check_results(history) + \
        check_searches(history, writes) + check_counts(history, writes), judged

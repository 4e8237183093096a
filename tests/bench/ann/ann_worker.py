"""ann_worker - one index of one library, in a process of its own

    ann_worker.py LIBRARY SPEC [SHARED_OBJECT]

Takes commands as lines of JSON on stdin and answers each by a line (bench_index.py asks).
Whatever a library prints goes to stderr.  A process of its own tells how much memory an
index takes, and keeps one library's threads and allocator out of another's numbers.
"""
import gc
import json
import os
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
WARM = 20                       # queries before the clock starts: caches are cold by then


def rss():
    """Resident bytes: of allocations, and of files that are mapped."""
    found = {}
    with open("/proc/self/status", encoding="ascii") as f:
        for line in f:
            name, _, value = line.partition(":")
            if name in ("RssAnon", "RssFile", "RssShmem", "VmHWM"):
                found[name] = int(value.split()[0]) * 1024
    return found["RssAnon"], found["RssFile"] + found["RssShmem"], found["VmHWM"]


def timed(call):
    gc.collect()
    gc.disable()
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    gc.enable()
    return result, wall, cpu


class Worker:
    def __init__(self, library, spec, shared_object):
        if library == "elanus":
            from ann_elanus import Elanus
            self.index = Elanus(spec, shared_object)
        else:
            from ann_peers import PEERS
            self.index = PEERS[library](spec)

    def hello(self):
        return {"version": self.index.version()}

    def build(self, base, where, threads):
        base = np.load(base)
        base.sum()
        before = sum(rss()[:2])
        with open("/proc/self/clear_refs", "w", encoding="ascii") as f:
            f.write("5")                        # forget the peak so far
        _, wall, cpu = timed(lambda: self.index.build(base, where, threads))
        return {"wall": wall, "cpu": cpu, "peak": rss()[2] - before,
                "files": sum(os.path.getsize(os.path.join(d, name))
                             for d, _, names in os.walk(where) for name in names)}

    def load(self, where, queries):
        self.queries = np.load(queries)
        before = rss()
        _, wall, _ = timed(lambda: self.index.load(where))
        self.before = before
        return {"wall": wall, **self.memory()}

    def memory(self):
        now = rss()
        return {"anon": now[0] - self.before[0], "file": now[1] - self.before[1]}

    def keep(self, mask):
        self.index.keep(None if mask is None else np.load(mask))
        return {}

    def find(self, k, params, n, into):
        """Rows of the first n queries, as a file."""
        search = self.index.searcher(k, params)
        found = np.full((n, k), -1, dtype=np.int64)

        def run():
            for i in range(n):
                rows = search(self.queries[i])
                found[i, :len(rows)] = rows
        reads = getattr(self.index, "reads", lambda: 0)     # of files; ours are counted
        before = reads()
        _, wall, cpu = timed(run)
        np.save(into, found)
        return {"wall": wall, "cpu": cpu, "n": n, "reads": (reads() - before) / n}

    def measure(self, k, params, n):
        """Seconds of n queries, one at a time."""
        search = self.index.searcher(k, params)
        queries = [self.queries[i] for i in range(n)]
        for query in queries[-WARM:]:
            search(query)

        def run():
            for query in queries:
                search(query)
        _, wall, cpu = timed(run)
        return {"wall": wall, "cpu": cpu, "n": n}

    def loop(self, k, params, n):
        """The same without Python in between: Elanus only."""
        self.index.loop(self.queries[n - WARM:n], k, params)
        _, wall, cpu = timed(lambda: self.index.loop(self.queries[:n], k, params))
        return {"wall": wall, "cpu": cpu, "n": n}


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                               # libraries talk
    try:
        worker = Worker(sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:] or [None])
    except (ImportError, LookupError) as why:
        print(json.dumps({"missing": str(why)}), file=out, flush=True)
        return
    print(json.dumps(worker.hello()), file=out, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer = getattr(worker, ask.pop("do"))(**ask)
        except Exception as why:                # of a library: anything
            answer = {"failed": f"{type(why).__name__}: {why}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()

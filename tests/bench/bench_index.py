#!/usr/bin/env python3
"""bench_index - every index beside the best there is: recall@10 against queries per second

    make bench-index [QUICK=1] [DATASETS=glove,minilm] [ROWS=100000] [INDEXES=HNSW,SCANN]
                     [PEERS=hnswlib,scann] [ROUNDS=3]

    sets      glove, minilm (ann/ann_data.py): vectors of length 1, inner product, top 10,
              2,000 queries that are not in the base
    method    each index lives in a process of its own; one at a time works: it builds (one
              thread; Elanus's also with two), is saved, and loaded by a fresh process.  Then
              every setting is measured round by round, one library after the other, a query a
              call, one thread, called from Python alike; medians of the rounds count.
    printed   build seconds, memory; queries per second at recalls 0.90, 0.95, 0.99 between the
              measured points; the same with filters; last, what is aimed at and whether it is met
    bounds    a library that takes more than 300 s to build, or 120 s to answer anything else, or
              that fails, is left out from then on, and the reason printed

Saves build/bench/index.json (every point), index.md (the tables), index.png and index.svg.
QUICK=1: 20,000 rows of one set, few settings, one round, without diskannpy.
"""
import collections
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "ann"))
sys.dont_write_bytecode = True
import ann_data  # noqa: E402
import ann_report  # noqa: E402

K = ann_data.K
SHARES = (0.01, 0.1, 0.5, 0.9)  # of the rows, that a filter keeps
FILTERED = 500                  # queries of the filter tables
FILTER_FROM = 0.96              # recall of the setting they are asked with: 0.95 and some room
MEASURED_S = 0.2                # of one setting in one round, about
BUILD_S, ANSWER_S = 300, 120    # the longest that a build, and anything else, may take
# CPU seconds that building 100,000 rows of 100 dimensions took somewhere; the rest: a few.
EXPECTED_S = {"Elanus IVF_PQ": 15, "Elanus SCANN": 10, "Elanus HNSW": 20, "Elanus HNSW_SQ": 25,
              "Elanus DISKANN": 50, "faiss IVF_PQ": 20, "faiss fast scan": 15, "faiss HNSW": 40,
              "ScaNN": 10, "hnswlib": 40, "diskannpy": 190}
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                     "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}


def words(name, default):
    return [w for w in os.environ.get(name, "").replace(",", " ").split()] or default


# --- what is measured -----------------------------------------------------------------------

Subject = collections.namedtuple("Subject", "name library spec params peers")


def subjects(rows, dim, quick):
    """Name, library, what to build, settings from fast to good, and who it is compared with."""
    nlist = 2 ** round(np.log2(1.6 * rows ** 0.5))
    leaves = round(rows ** 0.5 * 3.16)
    half = dim // 2
    some = slice(None, None, 2) if quick else slice(None)
    ef = [{"ef": n} for n in (16, 24, 40, 64, 100, 140, 200, 300, 500)[some]]
    nprobe = [{"nprobe": n} for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= nlist][some]
    pairs = [{"nprobe": n, "reorder_k": r} for n, r in (
        (10, 50), (20, 50), (30, 70), (40, 100), (60, 100), (80, 100), (100, 100), (100, 150),
        (150, 150), (200, 200), (300, 300)) if n <= leaves][some]
    fast = [{"nprobe": n, "reorder_k": r} for n, r in (
        (8, 50), (16, 50), (24, 100), (32, 100), (48, 100), (64, 100), (64, 150), (96, 150),
        (128, 200)) if n <= nlist][some]
    lists = [{"search_list": n, "beamwidth": 4} for n in (10, 16, 24, 40, 64, 100, 150)][some]
    m = {"degree": 16, "ef_construction": 200}
    disk = {"degree": 56, "ef_construction": 100}
    def ours(kind, params, peers=(), **spec):
        return Subject(f"Elanus {kind}", "elanus", {"type": kind, **spec}, params, peers)
    def faiss(name, factory, params, **spec):
        return Subject(name, "faiss", {"factory": factory, **spec}, params, ())
    return [
        ours("FLAT", [{}], ["faiss Flat"]),
        ours("IVF_FLAT", nprobe, ["faiss IVF_FLAT"], nlist=nlist),
        ours("IVF_SQ8", nprobe, ["faiss IVF_SQ8"], nlist=nlist),
        ours("IVF_PQ", nprobe, ["faiss IVF_PQ"], nlist=nlist, m=half, nbits=8),
        ours("SCANN", pairs, ["ScaNN", "faiss fast scan"], nlist=leaves),
        ours("HNSW", ef, ["hnswlib", "faiss HNSW"], **m),
        ours("HNSW_SQ", ef, ["hnswlib"], **m),
        ours("DISKANN", lists, ["diskannpy"], **disk),
        faiss("faiss Flat", "Flat", [{}]),
        faiss("faiss IVF_FLAT", f"IVF{nlist},Flat", nprobe),
        faiss("faiss IVF_SQ8", f"IVF{nlist},SQ8", nprobe),
        faiss("faiss IVF_PQ", f"IVF{nlist},PQ{half}x8np", nprobe),
        faiss("faiss fast scan", f"IVF{nlist},PQ{half}x4fs,RFlat", fast),
        faiss("faiss HNSW", "HNSW16", ef, efConstruction=200),
        Subject("ScaNN", "scann", {"leaves": leaves}, pairs, ()),
        Subject("hnswlib", "hnswlib", {"M": 16, "efConstruction": 200}, ef, ()),
        Subject("diskannpy", "diskannpy", {"degree": 56, "search_list": 100, "share": 0.125},
                lists, ()),
    ]


# --- processes ---------------------------------------------------------------------------------

class Failed(Exception):
    """A library that cannot be had here, or did not do it."""


class Worker:
    def __init__(self, subject, program, threads=1):
        self.name = subject.name
        environment = dict(os.environ, **{k: str(threads) for k in ONE_THREAD})
        command = [pythons(subject.library), os.path.join(HERE, "ann", "ann_worker.py"),
                   subject.library, json.dumps(subject.spec)]
        if subject.library == "elanus":
            command.append(os.path.abspath(program))
        self.late = None
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, env=environment, text=True, stderr=self.log,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self._answer()["version"]

    def _expire(self, seconds):
        self.late = seconds
        self.process.kill()

    def _answer(self, seconds=ANSWER_S):
        timer = threading.Timer(seconds, self._expire, [seconds])
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            self.process.wait()
            if self.late:
                raise Failed(f"it took longer than {self.late} s")
            self.log.seek(0)
            said = [text for text in self.log.read().splitlines() if text.strip()]
            raise Failed(f"it died ({self.process.returncode}): {said[-1] if said else ''}")
        answer = json.loads(line)
        for bad in ("missing", "failed"):
            if bad in answer:
                self.stop()
                raise Failed(answer[bad])
        return answer

    def ask(self, do, **what):
        try:
            self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass                                # _answer says why
        return self._answer(BUILD_S if do == "build" else ANSWER_S)

    def stop(self):
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self.log.close()


def pythons(library, found={}):
    """Who can import it: diskannpy's environment is one of its own."""
    if library != "diskannpy":
        return sys.executable
    if library not in found:
        got = subprocess.run([os.path.join(ROOT, "scripts", "ann_venv.sh"), library],
                             stdout=subprocess.PIPE, check=False, text=True)
        found[library] = got.stdout.strip() or sys.executable
    return found[library]


# --- one set -----------------------------------------------------------------------------------

class Progress:
    """Which step of how many this was, and when."""

    def __init__(self):
        self.begin, self.done, self.of = time.monotonic(), 0, 0

    def step(self, text):
        self.done += 1
        minutes, seconds = divmod(int(time.monotonic() - self.begin), 60)
        print(f"  [{self.done} of {self.of}, {minutes}:{seconds:02}] {text}", flush=True)


class Bench:
    def __init__(self, name, base, queries, options):
        self.name, self.base, self.queries, self.options = name, base, queries, options
        self.place = options["place"]
        self.paths = {what: os.path.join(self.place, f"{what}.npy") for what in ("base", "queries")}
        np.save(self.paths["base"], base)
        np.save(self.paths["queries"], queries)
        self.workers, self.result = {}, {}
        self.asked = [s for s in subjects(*base.shape, options["quick"]) if self._is_asked(s)]

    def _is_asked(self, subject):
        if subject.library == "elanus":
            return subject.name.split()[1] in self.options["indexes"]
        wanted = {peer for s in subjects(*self.base.shape, False) for peer in s.peers
                  if s.name.split()[1] in self.options["indexes"]}
        return subject.name in wanted and subject.library in self.options["peers"]

    def steps(self):
        return 2 * len(self.asked) + self.options["rounds"] + len(SHARES) + 1

    def minutes(self):
        """That it will take, by experience."""
        size = self.base.size / 1e7
        builds = sum(EXPECTED_S.get(s.name, 3) * size * sum(1 / t for t in self._threads(s))
                     for s in self.asked)
        settings = sum(len(s.params) for s in self.asked)
        ours = sum(s.library == "elanus" for s in self.asked)
        searches = settings * (0.3 + size + 1.5 * MEASURED_S * self.options["rounds"])
        filters = (len(SHARES) + 1) * ours * (1 + MEASURED_S * self.options["rounds"])
        return (builds + searches + filters) / 60

    def say(self, text):
        print(f"  {self.name}: {text}", flush=True)

    def _done(self, text):
        self.options["progress"].step(f"{self.name}: {text}")

    def _each(self, call, *more):
        """Of every library that is still there; one that fails is left out from then on."""
        for subject in list(self.asked):
            try:
                call(subject, *more)
            except Failed as why:
                self.say(f"{subject.name} is left out: {why}")
                self.asked.remove(subject)
                self.result.pop(subject.name, None)
                if subject.name in self.workers:
                    self.workers.pop(subject.name).stop()

    def run(self):
        begin = time.monotonic()
        truth = ann_data.Truth(self.base, self.queries)
        self._each(self._build)
        built = time.monotonic()
        self._each(self._find, truth)
        self._measure()
        self._each(self._memory_after)
        measured = time.monotonic()
        try:
            filters = self._filters()
        except Failed as why:
            self.say(f"filters are left out: {why}")
            filters = {}
        for worker in self.workers.values():
            worker.stop()
        took = {"builds": built - begin, "searches": measured - built,
                "filters": time.monotonic() - measured}
        self.say("took " + ", ".join(f"{s:.0f} s for {what}" for what, s in took.items()))
        return {"rows": len(self.base), "dim": self.base.shape[1], "indexes": self.result,
                "filters": filters, "took": took}

    def _build(self, subject):
        """Build with one thread, load in a fresh process; that one stays."""
        out = {"builds": {}, "points": []}
        where = None
        for threads in self._threads(subject):
            if where:
                shutil.rmtree(where)
            where = tempfile.mkdtemp(dir=self.place)
            builder = Worker(subject, self.options["program"], threads)
            out["builds"][threads] = builder.ask("build", base=self.paths["base"], where=where,
                                                 threads=threads)
            out["version"] = builder.version
            builder.stop()
        worker = Worker(subject, self.options["program"])
        out["load"] = worker.ask("load", where=where, queries=self.paths["queries"])
        self.workers[subject.name], self.result[subject.name] = worker, out
        took = ", ".join(f"{b['wall']:.1f} s with {t}" for t, b in out["builds"].items())
        self._done(f"{subject.name} built: {took}")

    def _threads(self, subject):
        """Ours with two and with one; diskannpy's takes minutes, so it gets all there are."""
        if subject.library == "elanus" and subject.name != "Elanus FLAT" and \
                not self.options["quick"]:
            return 2, 1
        return (os.cpu_count(),) if subject.library == "diskannpy" else (1,)

    def _find(self, subject, truth):
        """Each setting once over all queries: its recall, and how fast it is, about."""
        into, begin = os.path.join(self.place, "found.npy"), time.monotonic()
        for params in subject.params:
            took = self.workers[subject.name].ask(
                "find", k=K, params=params, n=len(self.queries), into=into)
            self.result[subject.name]["points"].append(
                {"params": params, "recall": truth.recall(np.load(into)),
                 "reads": took["reads"], "n": self._many(took),
                 "wall": [], "cpu": [], "loop": []})
        self._done(f"{subject.name}: recalls are known, {time.monotonic() - begin:.1f} s")

    def _many(self, took):
        return int(min(max(MEASURED_S * took["n"] / took["wall"], 100), took["n"]))

    def _measure(self):
        longest = max((len(s.params) for s in self.asked), default=0)
        for number in range(self.options["rounds"]):
            for setting in range(longest):
                self._each(self._measure_one, setting)
            self._done(f"speeds, round {number + 1}")
        for index in self.result.values():
            for point in index["points"]:
                for clock in ("wall", "cpu", "loop"):
                    point[clock] = statistics.median(point[clock]) if point[clock] else None

    def _measure_one(self, subject, setting):
        if setting >= len(subject.params):
            return
        point = self.result[subject.name]["points"][setting]
        worker, n = self.workers[subject.name], point["n"]
        took = worker.ask("measure", k=K, params=point["params"], n=n)
        point["wall"].append(n / took["wall"])
        point["cpu"].append(n / took["cpu"])
        if subject.library == "elanus":
            took = worker.ask("loop", k=K, params=point["params"], n=n)
            point["loop"].append(n / took["cpu"])

    def _memory_after(self, subject):
        self.result[subject.name]["searched"] = self.workers[subject.name].ask("memory")

    # --- filters

    def _filters(self):
        ours = [s for s in self.asked if s.library == "elanus"]
        if not any(s.name == "Elanus FLAT" for s in ours):
            return {}
        rng = np.random.default_rng(11)
        queries = self.queries[:FILTERED]
        out = {}
        for share in (None,) + SHARES:
            path = None
            if share:
                path = os.path.join(self.place, "keep.npy")
                keep = rng.random(len(self.base)) < share
                np.save(path, keep)
            truth = ann_data.Truth(self.base, queries, keep if share else None)
            out[str(share or 1)] = {s.name: self._filtered(s, path, truth) for s in ours}
            self._filtered_speed(ours, out[str(share or 1)])
            for subject in ours:
                self.workers[subject.name].ask("keep", mask=None)
            self._done(f"filters, {share or 1:.0%} kept")
        return out

    def _good(self, subject):
        """The fastest setting that finds enough without a filter, else the best."""
        points = self.result[subject.name]["points"]
        enough = [p for p in points if p["recall"] >= FILTER_FROM]
        return max(enough, key=lambda p: p["cpu"]) if enough else \
            max(points, key=lambda p: p["recall"])

    def _filtered(self, subject, path, truth):
        worker, params = self.workers[subject.name], self._good(subject)["params"]
        into = os.path.join(self.place, "found.npy")
        worker.ask("keep", mask=path)
        took = worker.ask("find", k=K, params=params, n=FILTERED, into=into)
        return {"params": params, "recall": truth.recall(np.load(into)),
                "n": min(self._many(took), FILTERED), "wall": [], "cpu": []}

    def _filtered_speed(self, ours, into):
        for _ in range(self.options["rounds"]):
            for subject in ours:
                point = into[subject.name]
                took = self.workers[subject.name].ask("measure", k=K, params=point["params"],
                                                      n=point["n"])
                for clock in ("wall", "cpu"):
                    point[clock].append(point["n"] / took[clock])
        for point in into.values():
            for clock in ("wall", "cpu"):
                point[clock] = statistics.median(point[clock])


def main():
    quick = bool(os.environ.get("QUICK"))
    options = {
        "quick": quick, "program": sys.argv[1],
        "rounds": int(os.environ.get("ROUNDS") or (1 if quick else 3)),
        "indexes": [w.upper() for w in words("INDEXES", [
            "FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "SCANN", "HNSW", "HNSW_SQ", "DISKANN"])],
        "peers": words("PEERS", ["hnswlib", "faiss", "scann"] + ([] if quick else ["diskannpy"]))}
    rows = int(os.environ.get("ROWS") or (20_000 if quick else 100_000))
    options["progress"] = progress = Progress()
    results, benches = {}, []
    with tempfile.TemporaryDirectory(prefix="elanus-bench-") as place:
        for name in words("DATASETS", ["glove"] if quick else ["glove", "minilm"]):
            try:
                base, queries = ann_data.load(name, rows)
            except ann_data.Missing as why:
                print(f"  {name} is left out: {why}")
                continue
            os.mkdir(os.path.join(place, name))
            benches.append(Bench(name, base, queries,
                                 dict(options, place=os.path.join(place, name))))
            print(f"  {name}: {len(base):,} rows x {base.shape[1]}, {len(queries):,} queries")
        progress.of = sum(bench.steps() for bench in benches)
        print(f"  {progress.of} steps, about {sum(b.minutes() for b in benches):.0f} minutes",
              flush=True)
        try:
            for bench in benches:
                results[bench.name] = bench.run()
        finally:                                # what there is, when it is stopped
            ann_report.save(results, os.path.join(ROOT, "build", "bench"),
                            time.monotonic() - progress.begin)


if __name__ == "__main__":
    main()

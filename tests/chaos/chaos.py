"""chaos - faults of every kind under load, on real processes.

    make chaos                      every row of the table once
    make chaos ROWS=3,8 RUNS=5 SEED=17
    make chaos ROWS=27 PLANTED=BUG_NO_SEAL      a data node with that bug must be found wrong

Per run: a cluster, the workload, the fault, some seconds more, then a look at
everything.  Printed are the window (how long one kind of request went without an
answer), what failed, and the checker's verdict over the history; what is wrong keeps
its history and logs in build/chaos/rowN-seedS.  Exit status: 0 when no run was
wrong, 1 otherwise; a window beyond its target is told and fails only with STRICT=1.
"""
import atexit
import collections
import json
import os
import shutil
import statistics
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "support"), HERE]
sys.dont_write_bytecode = True

import chaos_load  # noqa: E402
import chaos_check  # noqa: E402
import grpc  # noqa: E402
import servers  # noqa: E402
from chaos_rows import ROWS, WRITES, nothing  # noqa: E402
from chaos_world import World  # noqa: E402

KEPT = os.path.join(servers.ROOT, "build", "chaos")


class Run:
    """One run of one row, and what it came to."""

    def __init__(self, row, seed, binary):
        self.row, self.seed = row, seed
        self.world = World(row.counts, row.settings, binary, row.wired)
        self.wrong, self.history, self.load = [], [], None
        self.window, self.where, self.judged, self.injected = None, "", 0, {}

    def run(self):
        with self.world as world:
            try:
                self.under_load(world, world.up())
            except (servers.Failure, chaos_load.Refused, grpc.RpcError) as why:
                self.wrong.append(f"run: {why}")
            except Exception:                           # of ours: told, and the next goes on
                self.wrong.append(f"run: {traceback.format_exc()}")
            self.keep(world)

    def under_load(self, world, proxies):
        row = self.row
        self.load = chaos_load.Load(proxies, self.seed, row.replicas, row.index)
        self.history = self.load.history
        self.load.prepare()
        self.load.start()
        time.sleep(row.before_s)
        begun = time.monotonic()
        try:
            row.act(world)
            time.sleep(row.after_s)
        finally:
            world.marks.setdefault("fault", begun)
            self.end = time.monotonic()
            self.load.stop()
        self.wrong += [f"end: {text}" for text in self.load.finish()]
        self.wrong += [f"client: {text}" for text in self.load.broken]
        self.wrong += [f"process: {text}" for text in world.untouched_dead()]
        self.injected = world.injected() if world.wires else {}
        self.wrong += [f"run: nothing was {what}" for what in row.injected
                       if not self.injected.get(what)]
        findings, self.judged = chaos_check.check(self.history)
        self.wrong += [str(w) for w in findings]
        self.measure(world)

    # --- windows --------------------------------------------------------------------

    def measured(self):
        """The requests that the window is made of, by kind and collection."""
        found = collections.defaultdict(list)
        for op in self.history:
            if op["op"] not in self.row.kinds or not op.get("wide") \
                    or (self.row.of and not self.row.of(op)):
                continue
            kind = "write" if op["op"] in WRITES else "ddl" if op["op"] == "ddl" else \
                "read" if op["level"] == "Strong" else "weak read"
            found[kind, op["coll"] if kind != "ddl" else ""].append(op)
        return found

    def measure(self, world):
        """The worst over kinds and collections."""
        fault = world.marks["fault"]
        if self.row.measure == "told":
            self.window, self.where = world.marks["done"] - fault, "all builds"
            return
        heal = world.marks.get("heal", fault)
        judge = {"gap": lambda ops: self.gap(ops, fault),
                 "resume": lambda ops: self.gap(ops, heal, first=True),
                 "ratio": lambda ops: self.ratio(ops, fault, heal)}[self.row.measure]
        found = [(judge(ops), " ".join(key)) for key, ops in self.measured().items()]
        self.window, self.where = max(found, default=(None, "nothing was asked"))

    def gap(self, ops, begin, first=False):
        """The longest time between two answers while somebody waited for one, or the time
        to the first one.  Clients that wait elsewhere ask nothing: that time is not ours."""
        later = sorted(op["t_ret"] for op in ops
                       if op["outcome"] == "ok" and begin < op["t_ret"] <= self.end)
        if first and later:
            return later[0] - begin
        times, worst = [begin, *later, self.end], 0.0
        for a, b in zip(times, times[1:]):
            asked = min((op["t_inv"] for op in ops if op["t_ret"] > a and op["t_inv"] < b),
                        default=b)
            worst = max(worst, b - max(a, asked))
        return worst

    @staticmethod
    def ratio(ops, fault, heal):
        """p99 while it lasts over p99 before."""
        def p99(chosen):
            took = sorted(op["t_ret"] - op["t_inv"] for op in chosen if op["outcome"] == "ok")
            return took[int(len(took) * 0.99)] if took else float("inf")
        return p99([op for op in ops if fault <= op["t_inv"] <= heal]) / \
            p99([op for op in ops if op["t_inv"] < fault])

    def failures(self):
        """{kind: count} of requests after the start that were not answered well."""
        found = collections.Counter()
        for op in self.history:
            if op["outcome"] != "ok" and op["client"] not in ("first", "last"):
                found[op["op"], op["outcome"]] += 1
        return found

    def spoiled(self):
        """Failed requests of kinds that may not fail."""
        return [op for op in self.history if op["outcome"] != "ok" and
                op["client"] not in ("first", "last") and self.row.spotless(op)]

    def slow(self):
        return self.window is None or self.window > self.row.target or bool(self.spoiled())

    # --- telling -----------------------------------------------------------------------

    def keep(self, world):
        """History and logs of a run that is worth a look."""
        self.kept = None
        if not (self.wrong or self.slow() or os.environ.get("KEEP")):
            return
        self.kept = os.path.join(KEPT, f"row{self.row.number}-seed{self.seed}")
        shutil.rmtree(self.kept, ignore_errors=True)
        os.makedirs(self.kept)
        logs = os.path.join(world.place.path("cluster"), "logs")
        if os.path.isdir(logs):
            shutil.copytree(logs, os.path.join(self.kept, "logs"))
        with open(os.path.join(self.kept, "history.jsonl"), "w", encoding="utf-8") as f:
            for op in sorted(self.history, key=lambda op: op["t_inv"]):
                f.write(json.dumps(op) + "\n")
        with open(os.path.join(self.kept, "verdict.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join([*self.wrong, f"marks {world.marks}"]) + "\n")

    def note(self):
        """A line in build/chaos/runs.jsonl, to add up what many calls measured."""
        with open(os.path.join(KEPT, "runs.jsonl"), "a", encoding="utf-8") as f:
            f.write(json.dumps({
                "row": self.row.number, "seed": self.seed, "at": time.time(),
                "window": self.window, "where": self.where, "requests": len(self.history),
                "judged": self.judged, "wrong": self.wrong, "spoiled": len(self.spoiled()),
                "failed": {f"{op} {how}": n for (op, how), n in self.failures().items()}}) + "\n")

    def tell(self):
        failed = self.failures()
        slow = collections.Counter()
        for op in self.history:
            if op["outcome"] == "ok" and op["client"] not in ("first", "last"):
                slow[op["op"]] = max(slow[op["op"]], op["t_ret"] - op["t_inv"])
        verdict = f"WRONG ({len(self.wrong)})" if self.wrong else "slow" if self.slow() else "good"
        window = "none" if self.window is None else f"{self.window:.2f}"
        print(f"row {self.row.number:2} seed {self.seed:<6} {verdict:<9} "
              f"{self.row.measure} {window} of "
              f"{self.row.target:g} ({self.where}), {len(self.history)} requests, "
              f"{self.judged} judged, not answered: "
              f"{', '.join(f'{n} {op} {how}' for (op, how), n in failed.items()) or 'none'}; "
              f"slowest s: {', '.join(f'{op} {s:.2f}' for op, s in sorted(slow.items()))}")
        if self.injected:
            print(f"    wires: {', '.join(f'{n} {w}' for w, n in sorted(self.injected.items()))}")
        for text in self.wrong[:12]:
            print(f"    {text[:600]}")
        for op in self.spoiled()[:3]:
            print(f"    {op['op']} {op['id']} of {op['client']} failed: {op['error']}")
        if self.kept:
            print(f"    kept in {os.path.relpath(self.kept, servers.ROOT)}")
        sys.stdout.flush()


def table(runs):
    print(f"\n{'row':>3}  {'fault':<40} {'runs':>4} {'p50 s':>6} {'max s':>6} {'target':>6} "
          f"{'failed':>6}  verdict")
    for row in ROWS:
        mine = [r for r in runs if r.row is row]
        if not mine:
            continue
        windows = [r.window for r in mine if r.window is not None]
        middle = f"{statistics.median(windows):.2f}" if windows else "none"
        most = f"{max(windows):.2f}" if len(windows) == len(mine) else "none"
        wrong, slow = sum(bool(r.wrong) for r in mine), sum(r.slow() for r in mine)
        verdict = f"{wrong} of {len(mine)} WRONG" if wrong else \
            f"{slow} of {len(mine)} slow" if slow else "good"
        failed = sum(len(r.spoiled()) if row.spotless is not nothing else sum(r.failures().values())
                     for r in mine)
        print(f"{row.number:>3}  {row.title:<40} {len(mine):>4} {middle:>6} {most:>6} "
              f"{row.target:>6g} {failed:>6}  {verdict}")


def copy_of_programs(binary):
    """What is built while runs go on is not what they are about."""
    copy = os.path.join(KEPT, f"bin-{os.getpid()}")
    shutil.copytree(os.path.dirname(binary), copy)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return os.path.join(copy, "elanus")


def all_runs(rows, binary, planted):
    """Each row RUNS times; a planted bug is found when one run is wrong."""
    count, first = int(os.environ.get("RUNS") or 1), os.environ.get("SEED")
    for i in range(count):
        for row in rows:
            seed = int(first) + i if first else int.from_bytes(os.urandom(2), "big")
            run = Run(row, seed, binary)
            run.run()
            run.tell()
            run.note()
            yield run
            if planted and run.wrong:
                return


def main():
    wanted = os.environ.get("ROWS", "").replace(",", " ").split()
    planted, begun = os.environ.get("PLANTED"), time.monotonic()
    rows = [r for r in ROWS if str(r.number) in wanted or not wanted]
    if not rows:
        raise SystemExit(f"no such row; there are {' '.join(str(r.number) for r in ROWS)}")
    binary = copy_of_programs(planted or servers.binary("elanus"))
    runs = list(all_runs(rows, binary, planted))
    wrong = any(r.wrong for r in runs)
    if planted:
        name = planted.split(os.sep)[-3]
        print(f"{name} {f'found in {time.monotonic() - begun:.0f} s' if wrong else 'NOT FOUND'}")
        return 0 if wrong else 1
    table(runs)
    return 1 if wrong or (os.environ.get("STRICT") and any(r.slow() for r in runs)) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""bench_index_server - indexes through a whole `elanus standalone`, by pymilvus

    make bench-index-server [DATASETS=glove] [ROWS=100000] [INDEXES=HNSW,IVF_FLAT,SCANN]
                            [ROUNDS=3] [PEERS=milvus]

The vectors of bench_index.py are inserted, flushed, indexed and loaded; then one client
searches, a query a request, at each setting: recall@10, requests per second, p50 and p99 of
their milliseconds, and the server's CPU time a request.  Beside it what the index alone did
at that setting, where build/bench/index.json has it.  PEERS=milvus: the real Milvus 2.3.5
does the same, round by round.  Saves build/bench/index_server.json and .md.
"""
import json
import os
import statistics
import sys
import time
import warnings

warnings.simplefilter("ignore")         # pymilvus, about its older half
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(HERE, "ann"), os.path.join(ROOT, "tests", "support")]
sys.dont_write_bytecode = True
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import ann_data  # noqa: E402
import ann_report  # noqa: E402
import peer  # noqa: E402
import servers  # noqa: E402

import numpy as np  # noqa: E402
from pymilvus import (Collection, CollectionSchema, DataType, FieldSchema,  # noqa: E402
                      MilvusException, connections, utility)

K, BATCH, ASKED = ann_data.K, 5000, 500
LONGEST_S = 300                 # that a flush, a build or a load may take
HEAD = ["index", "setting", "recall", "requests/s", "p50 ms", "p99 ms", "server CPU ms",
        "the index alone, QPS"]


def kinds(rows):
    """Type -> (built by, settings), as bench_index.py has them."""
    nlist = int(2 ** round(np.log2(1.6 * rows ** 0.5)))
    leaves = round(rows ** 0.5 * 3.16)
    ef = [{"ef": n} for n in (40, 100, 200)]
    nprobe = [{"nprobe": n} for n in (8, 32, 64)]
    hnsw = {"M": 16, "efConstruction": 200}
    return {"FLAT": ({}, [{}]), "IVF_FLAT": ({"nlist": nlist}, nprobe),
            "IVF_SQ8": ({"nlist": nlist}, nprobe), "HNSW": (hnsw, ef),
            "SCANN": ({"nlist": leaves}, [{"nprobe": n, "reorder_k": r} for n, r in
                                          ((40, 100), (100, 100), (100, 150))]),
            "DISKANN": ({}, [{"search_list": n} for n in (24, 40, 100)])}


class Server:
    def __init__(self, place, name):
        self.name = name
        if name == "Elanus":
            self.process = servers.Daemon(place, "standalone",
                                          servers.standalone_flags(place.path("elanus")))
        else:
            self.process = peer.Milvus(place)
        place.start(self.process)
        host, port = self.process.grpc.rsplit(":", 1)
        connections.connect(name, host=host, port=port)

    def fill(self, kind, base):
        """Seconds to insert and to index one collection; it is loaded then."""
        params = kinds(len(base))[kind][0]
        schema = CollectionSchema([
            FieldSchema("id", DataType.INT64, is_primary=True),
            FieldSchema("v", DataType.FLOAT_VECTOR, dim=base.shape[1])])
        name = f"bench_{kind.lower()}"
        self.rows = Collection(name, schema, using=self.name, shards_num=1)
        begin = time.monotonic()
        for at in range(0, len(base), BATCH):
            part = base[at:at + BATCH]
            self.rows.insert([list(range(at, at + len(part))), part])
        self.rows.flush(timeout=LONGEST_S)
        inserted = time.monotonic()
        self.rows.create_index("v", {"index_type": kind, "metric_type": "IP", "params": params})
        utility.wait_for_index_building_complete(name, timeout=LONGEST_S, using=self.name)
        indexed = time.monotonic()
        self.rows.load(timeout=LONGEST_S)
        return inserted - begin, indexed - inserted

    def search(self, query, params):
        found = self.rows.search([query], "v", {"metric_type": "IP", "params": params}, K,
                                 consistency_level="Eventually")
        return list(found[0].ids)

    def measure(self, queries, params):
        found, took = np.full((len(queries), K), -1, dtype=np.int64), []
        for query in queries[-20:]:
            self.search(query, params)
        cpu = self.process.cpu_seconds()
        for i, query in enumerate(queries):
            begin = time.perf_counter()
            rows = self.search(query, params)
            took.append((time.perf_counter() - begin) * 1e3)
            found[i, :len(rows)] = rows
        cpu = self.process.cpu_seconds() - cpu
        return found, {"qps": len(took) / sum(took) * 1e3, "p50": float(np.percentile(took, 50)),
                       "p99": float(np.percentile(took, 99)), "cpu_ms": cpu / len(took) * 1e3}


def alone(core, dataset, rows, kind, params):
    """What bench_index measured there, in queries per second without Python."""
    of = core.get(dataset)
    if of and of["rows"] == rows:
        for point in of["indexes"].get(f"Elanus {kind}", {}).get("points", ()):
            if params.items() <= point["params"].items():
                return point["loop"]
    return None


def one_kind(both, kind, base, queries, rounds):
    truth = ann_data.Truth(base, queries)
    out, filled = [], []
    for server in both:
        try:
            insert_s, index_s = server.fill(kind, base)
        except MilvusException as why:
            print(f"  {server.name} {kind} is left out: {why}", flush=True)
            continue
        filled.append(server)
        print(f"  {server.name} {kind}: in after {insert_s:.1f} s, indexed after {index_s:.1f} s "
              f"more", flush=True)
    for params in kinds(len(base))[kind][1]:
        samples = {server.name: [] for server in filled}
        for _ in range(rounds):
            for server in filled:
                found, sample = server.measure(queries, params)
                samples[server.name].append(sample)
                sample["recall"] = truth.recall(found)
        for name, some in samples.items():
            out.append({"server": name, "index": kind, "params": params,
                        **{key: statistics.median(s[key] for s in some) for key in some[0]}})
    for server in filled:
        server.rows.drop()
    return out


def report(dataset, rows, points, core):
    yield f"## {dataset}: {rows:,} rows, one client, one query a request\n"
    lines = []
    for p in points:
        lone = alone(core, dataset, rows, p["index"], p["params"])
        setting = ", ".join(f"{key} {value}" for key, value in p["params"].items())
        lines.append([f"{p['server']} {p['index']}", setting, f"{p['recall']:.3f}",
                      f"{p['qps']:,.0f}", f"{p['p50']:.2f}", f"{p['p99']:.2f}",
                      f"{p['cpu_ms']:.2f}",
                      ann_report.number(lone if p["server"] == "Elanus" else None)])
    yield from ann_report.table(HEAD, lines)


def main():
    def words(name, default):
        return os.environ.get(name, "").replace(",", " ").split() or default
    rows, rounds = (int(os.environ.get(n) or d) for n, d in (("ROWS", 100_000), ("ROUNDS", 3)))
    into = os.path.join(ROOT, "build", "bench")
    os.makedirs(into, exist_ok=True)
    core, results, text = {}, {}, []
    if os.path.exists(os.path.join(into, "index.json")):
        with open(os.path.join(into, "index.json"), encoding="utf-8") as f:
            core = json.load(f)
    for dataset in words("DATASETS", ["glove"]):
        base, queries = ann_data.load(dataset, rows)
        with servers.Workplace() as place:
            both = [Server(place, "Elanus")]
            if "milvus" in words("PEERS", []):
                both.append(Server(place, "Milvus"))
            points = []
            for kind in words("INDEXES", ["IVF_FLAT", "HNSW", "SCANN"]):
                points += one_kind(both, kind.upper(), base, queries[:ASKED], rounds)
        results[dataset] = points
        text += report(dataset, len(base), points, core)
    print("\n".join(text))
    for ending, content in ((".md", "\n".join(text)), (".json", json.dumps(results, indent=1))):
        with open(os.path.join(into, "index_server" + ending), "w", encoding="utf-8") as f:
            f.write(content + "\n")


if __name__ == "__main__":
    try:
        main()
    except (servers.Missing, ann_data.Missing) as why:
        print(f"skip: {why}")

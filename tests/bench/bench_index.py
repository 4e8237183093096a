#!/usr/bin/env python3
"""bench_index - IVF_FLAT beside faiss's IVF-Flat: same vectors, same machine, one thread, one run.

    tests/bench/bench_index.py PROGRAM [ROWS] [DIM] [NLIST]    PROGRAM: of search_index.c

Clustered float32 vectors from a fixed seed, 1,000 queries, L2, top 10.  For each
nprobe: recall@10 against an exact scan, queries per second one at a time and all at
once, and ours over faiss's.  Seconds are of CPU time, so a busy machine does not blur
them.  Numbers are saved in build/bench/index.json.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
import faiss  # noqa: E402
import numpy as np  # noqa: E402

K, QUERIES, ROUNDS, NPROBES = 10, 1000, 3, [1, 4, 8, 16, 32, 64]


def vectors(rows, dim):
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((rows // 500 + 1, dim)) * 0.5
    def some(n):
        return (centres[rng.integers(len(centres), size=n)] +
                0.6 * rng.standard_normal((n, dim))).astype(np.float32)
    return some(rows), some(QUERIES)


def recall(found, exact):
    return float(np.mean([len(set(f) & set(e)) / K for f, e in zip(found, exact)]))


def timed(call):
    begin = time.process_time()
    result = call()
    return time.process_time() - begin, result


def run_faiss(base, queries, nlist):
    index = faiss.index_factory(base.shape[1], f"IVF{nlist},Flat")
    build, _ = timed(lambda: (index.train(base), index.add(base)))
    out = {"build_s": build, "search": {}}
    for nprobe in NPROBES:
        index.nprobe = nprobe
        single = [timed(lambda: [index.search(queries[i:i + 1], K) for i in range(QUERIES)])[0]
                  for _ in range(ROUNDS)]
        batch = [timed(lambda: index.search(queries, K)) for _ in range(ROUNDS)]
        out["search"][nprobe] = {"single": QUERIES / sorted(single)[ROUNDS // 2],
                                 "batch": QUERIES / sorted(b[0] for b in batch)[ROUNDS // 2],
                                 "found": batch[0][1][1]}
    return out


def run_ours(program, place, base, queries, nlist):
    base.tofile(f"{place}/base")
    queries.tofile(f"{place}/queries")
    said = subprocess.run([program, f"{place}/base", f"{place}/queries", str(base.shape[1]),
                           str(nlist), str(K), str(ROUNDS), f"{place}/hits", *map(str, NPROBES)],
                          check=True, capture_output=True, text=True).stdout.splitlines()
    hits = np.fromfile(f"{place}/hits", dtype=np.uint32).reshape(len(NPROBES), QUERIES, K)
    out = {"build_s": float(said[0].split()[1]) / 1e3, "search": {}}
    for line, found in zip(said[1:], hits):
        _, nprobe, single, batch = line.split()
        out["search"][int(nprobe)] = {"single": float(single), "batch": float(batch),
                                      "found": found}
    return out


def main():
    program = sys.argv[1]
    rows, dim, nlist = (int(a) for a in (sys.argv[2:] + ["100000", "128", "512"])[:3])
    faiss.omp_set_num_threads(1)
    base, queries = vectors(rows, dim)
    exact = faiss.IndexFlatL2(dim)
    exact.add(base)
    truth = exact.search(queries, K)[1]
    with tempfile.TemporaryDirectory() as place:
        ours = run_ours(program, place, base, queries, nlist)
    theirs = run_faiss(base, queries, nlist)
    print(f"{rows} x {dim}, nlist {nlist}, one thread; faiss {faiss.__version__}")
    print(f"build   ours {ours['build_s']:.2f} s   faiss {theirs['build_s']:.2f} s   "
          f"faiss/ours {theirs['build_s'] / ours['build_s']:.2f}")
    print("nprobe   recall ours faiss   single qps ours faiss ratio   batch qps ours faiss ratio")
    lines = []
    for nprobe in NPROBES:
        a, b = ours["search"][nprobe], theirs["search"][nprobe]
        line = {"nprobe": nprobe, "recall": [recall(a["found"], truth), recall(b["found"], truth)],
                "single": [a["single"], b["single"]], "batch": [a["batch"], b["batch"]]}
        lines.append(line)
        print(f"{nprobe:6}   {line['recall'][0]:.3f} {line['recall'][1]:.3f}   "
              f"{a['single']:9.0f} {b['single']:9.0f} {a['single'] / b['single']:6.2f}   "
              f"{a['batch']:9.0f} {b['batch']:9.0f} {a['batch'] / b['batch']:6.2f}")
    os.makedirs("build/bench", exist_ok=True)
    with open("build/bench/index.json", "w", encoding="utf-8") as f:
        json.dump({"rows": rows, "dim": dim, "nlist": nlist, "searches": lines,
                   "build_s": [ours["build_s"], theirs["build_s"]]}, f, indent=1)


if __name__ == "__main__":
    main()

"""ann_report - what bench_index measured: tables, a verdict on each target, a plot

Speeds are queries per second of CPU time, so a busy machine does not blur them; where an
index reads files (DISKANN, diskannpy) they are of the clock on the wall.  Between two measured
points the logarithm of the speed is taken to be a straight line over recall.
"""
import json
import math
import os
import platform

LEVELS = (0.90, 0.95, 0.99)
AIM = 0.95
ON_DISK = ("Elanus DISKANN", "diskannpy")
# index -> (its peer, at least so many times as fast)
SPEEDS = [("HNSW", "hnswlib", 2), ("HNSW_SQ", "hnswlib", 2), ("SCANN", "ScaNN", 1),
          ("SCANN", "faiss fast scan", 1), ("IVF_FLAT", "faiss IVF_FLAT", 1),
          ("IVF_SQ8", "faiss IVF_SQ8", 1), ("IVF_PQ", "faiss IVF_PQ", 1),
          ("DISKANN", "diskannpy", 1)]
DISK_SHARE, SCALING, FILTER_LOSS = 0.25, 1.8, 4


def speed(name, point):
    return point["wall"] if name in ON_DISK else point["cpu"]


def frontier(name, index):
    """(recall, speed) of the points that no other beats in both, recall rising."""
    best = []
    for recall, qps in sorted(((p["recall"], speed(name, p)) for p in index["points"]),
                              reverse=True):
        if not best or qps > best[-1][1]:
            best.append((recall, qps))
    return best[::-1]


def at_recall(name, index, recall):
    """Queries per second there; None: it does not find so much."""
    points = frontier(name, index)
    if not points or points[-1][0] < recall:
        return None
    if points[0][0] >= recall:
        return points[0][1]
    for (r0, q0), (r1, q1) in zip(points, points[1:]):
        if r0 < recall <= r1:
            share = (recall - r0) / (r1 - r0)
            return math.exp(math.log(q0) + share * (math.log(q1) - math.log(q0)))
    return None


def common_recall(pair):
    """0.95, or what both find at most."""
    return min([AIM] + [math.floor(frontier(n, i)[-1][0] * 100) / 100 for n, i in pair])


def resident(index):
    """Bytes of memory and of mapped files after the searches."""
    return max(index["searched"]["anon"] + index["searched"]["file"], 0)


def table(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|"
    for line in lines:
        yield "| " + " | ".join(str(cell) for cell in line) + " |"
    yield ""


def number(value, form="{:,.0f}"):
    return form.format(value) if value is not None else "-"


# --- tables ---------------------------------------------------------------------------------

def sizes(of):
    lines = []
    for name, index in of["indexes"].items():
        one, two = index["builds"].get(1), index["builds"].get(2)
        any_ = one or two
        lines.append([name, number(one and one["wall"], "{:.1f}"),
                      number(two and two["wall"], "{:.1f}"),
                      number(one and two and one["wall"] / two["wall"], "{:.2f}x"),
                      f"{any_['cpu']:.1f}",
                      f"{any_['peak'] / 1e6:,.0f}", f"{any_['files'] / of['rows']:,.0f}",
                      f"{resident(index) / of['rows']:,.0f}",
                      f"{resident(index) / of['rows'] / of['dim'] / 4:.0%}"])
    return table(["index", "build s, 1 thread", "2 threads", "scales", "CPU s",
                  "build MB",
                  "file B/row", "resident B/row", "of raw"], lines)


def curves(of):
    lines = []
    for name, index in of["indexes"].items():
        best = max(index["points"], key=lambda p: p["recall"])
        lines.append([name] + [number(at_recall(name, index, level)) for level in LEVELS] +
                     [f"{best['recall']:.3f}", number(speed(name, best)),
                      number(best["loop"]), index["version"]])
    return table(["index"] + [f"QPS at {level:.2f}" for level in LEVELS] +
                 ["best recall", "its QPS", "without Python", "version"], lines)


def equal_settings(of):
    """Inverted files at equal nlist and nprobe."""
    lines = []
    for kind, peer, _ in SPEEDS:
        ours, theirs = (of["indexes"].get(n) for n in (f"Elanus {kind}", peer))
        if not kind.startswith("IVF") or not ours or not theirs:
            continue
        for a, b in zip(ours["points"], theirs["points"]):
            lines.append([kind, a["params"]["nprobe"], f"{a['recall']:.3f}", f"{b['recall']:.3f}",
                          number(a["cpu"]), number(b["cpu"]), f"{a['cpu'] / b['cpu']:.2f}x"])
    return table(["index", "nprobe", "recall", "faiss", "QPS", "faiss", "ratio"], lines)


def filters(of):
    lines = []
    for share, by_name in of["filters"].items():
        for name, point in by_name.items():
            if share == "1" or name == "Elanus FLAT":
                continue
            scan = by_name["Elanus FLAT"]["cpu"]
            free = of["filters"]["1"][name]["cpu"]
            lines.append([f"{float(share):.0%}", name, f"{point['recall']:.3f}",
                          number(point["cpu"]), number(scan), number(free / FILTER_LOSS),
                          f"{point['cpu'] / max(scan, free / FILTER_LOSS):.2f}x"])
    return table(["kept", "index", "recall", "QPS", "scan of those kept", "unfiltered / 4",
                  "of the better"], lines)


# --- verdicts ----------------------------------------------------------------------------------

def verdicts(name, of):
    """(what, measured, wanted, met) of each target that this run can judge."""
    found = of["indexes"]
    for kind, peer, times in SPEEDS:
        pair = [(n, found[n]) for n in (f"Elanus {kind}", peer) if n in found]
        if len(pair) == 2:
            recall = common_recall(pair)
            ours, theirs = (at_recall(n, i, recall) for n, i in pair)
            yield (f"{name}: {kind} QPS at recall {recall:.2f}, times {peer}",
                   f"{ours / theirs:.2f} ({ours:,.0f} / {theirs:,.0f})", f">= {times}",
                   ours >= times * theirs)
    yield from _hnsw(name, found)
    disk = found.get("Elanus DISKANN")
    if disk:
        share = resident(disk) / of["rows"] / of["dim"] / 4
        best = max(p["recall"] for p in disk["points"])
        yield f"{name}: DISKANN resident, of raw", f"{share:.0%}", "<= 25%", share <= DISK_SHARE
        yield f"{name}: DISKANN recall", f"{best:.3f}", ">= 0.95", best >= AIM
    for kind, index in found.items():
        if 1 in index["builds"] and 2 in index["builds"]:
            times = index["builds"][1]["wall"] / index["builds"][2]["wall"]
            yield f"{name}: {kind} build, 2 threads", f"{times:.2f}x", ">= 1.8x", times >= SCALING
    yield from _filters(name, of)


def _hnsw(name, found):
    ours, theirs = found.get("Elanus HNSW"), found.get("hnswlib")
    if not ours or not theirs:
        return
    a, b = (i["builds"][1]["cpu"] for i in (ours, theirs))
    yield f"{name}: HNSW build CPU s beside hnswlib's", f"{a:.1f} / {b:.1f}", "<=", a <= b
    a, b = resident(ours), resident(theirs)
    yield (f"{name}: HNSW resident MB beside hnswlib's", f"{a / 1e6:.1f} / {b / 1e6:.1f}", "<=",
           a <= b)


def _filters(name, of):
    for share, by_name in of["filters"].items():
        for kind, point in by_name.items():
            if share == "1" or kind == "Elanus FLAT":
                continue
            free = of["filters"]["1"][kind]
            floor = max(by_name["Elanus FLAT"]["cpu"], free["cpu"] / FILTER_LOSS)
            # What loses too much without a filter cannot be asked for more with one.
            least = min(AIM, free["recall"])
            good = point["recall"] >= least and point["cpu"] >= floor
            yield (f"{name}: {kind} with {float(share):.0%} kept",
                   f"{point['recall']:.3f}, {point['cpu'] / floor:.2f}x the better of scan and "
                   f"unfiltered / 4", f">= {least:.2f}, 1x", good)


# --- the page -------------------------------------------------------------------------------------

def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.machine()


def page(results, seconds):
    yield f"# Indexes beside their peers\n\n{processor()}, {os.cpu_count()} cores; one thread, " \
          f"one query a call, top 10; the run took {seconds / 60:.0f} minutes.\n"
    judged = []
    for name, of in results.items():
        yield f"## {name}: {of['rows']:,} x {of['dim']}\n"
        for title, lines in (("Queries per second", curves(of)), ("Build and memory", sizes(of)),
                             ("Equal settings", equal_settings(of)), ("Filters", filters(of))):
            yield f"### {title}\n"
            yield from lines
        judged += verdicts(name, of)
    yield "## Targets\n"
    yield from table(["what", "measured", "wanted", ""],
                     [[*row[:3], "met" if row[3] else "MISSED"] for row in judged])


def plot(results, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    if not results:
        return
    figure, panels = plt.subplots(1, len(results), figsize=(9 * len(results), 7), squeeze=False)
    names = [s for of in results.values() for s in of["indexes"]]
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    for panel, (title, of) in zip(panels[0], results.items()):
        for name, index in of["indexes"].items():
            points = frontier(name, index)
            ours = name.startswith("Elanus")
            panel.plot([p[0] for p in points], [p[1] for p in points], label=name,
                       color=plt.get_cmap("tab20")(order[name] % 20),
                       linewidth=2.2 if ours else 1.2, linestyle="-" if ours else "--",
                       marker="o" if ours else "x", markersize=5)
        panel.set_yscale("log")
        panel.set_xlim(0.7, 1.002)
        panel.axvline(AIM, color="0.7", linewidth=0.8)
        panel.set_title(f"{title}, {of['rows']:,} x {of['dim']}")
        panel.set_xlabel("recall@10")
        panel.set_ylabel("queries per second, one thread, one at a time")
        panel.grid(True, which="both", color="0.92")
        panel.legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    for ending in ("png", "svg"):
        figure.savefig(f"{path}.{ending}", dpi=130, facecolor="white")


def save(results, directory, seconds):
    text = "\n".join(page(results, seconds))
    print(text)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "index")
    for ending, content in ((".md", text), (".json", json.dumps(results, indent=1))):
        with open(path + ending, "w", encoding="utf-8") as f:
            f.write(content + "\n")
    try:
        plot(results, path)
    except ImportError:
        print("no plot: matplotlib is not there")

"""ann_report - what bench_index measured: tables, a verdict on each target, a plot

Speeds are queries per second of CPU time, so a busy machine does not blur them; where an
index reads files (DISKANN, diskannpy) they are of the clock on the wall.  Between two measured
points the logarithm of the speed is taken to be a straight line over recall.
"""
import json
import math
import os
import platform

import numpy as np

LEVELS = (0.90, 0.95, 0.99)
AIM = 0.95
ON_DISK = ("Elanus DISKANN", "diskannpy")
# index -> (its peer, at least so many times as fast)
SPEEDS = [("HNSW", "hnswlib", 2), ("SCANN", "ScaNN", 1),
          ("SCANN", "faiss fast scan", 1), ("IVF_FLAT", "faiss IVF_FLAT", 1),
          ("IVF_SQ8", "faiss IVF_SQ8", 1), ("IVF_PQ", "faiss IVF_PQ", 1),
          ("DISKANN", "diskannpy", 1)]
DISK_SHARE, SCALING, FILTER_LOSS = 0.25, 1.8, 4
CHANCE = 0.005                  # recalls of a few hundred queries differ by so much


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
                      number(best["loop"]), number(best["reads"] or None, "{:.0f}"),
                      index["version"]])
    return table(["index"] + [f"QPS at {level:.2f}" for level in LEVELS] +
                 ["best recall", "its QPS", "without Python", "reads", "version"], lines)


def equal_pairs(of, kind, peer):
    """(ours, theirs): points of equal nprobe."""
    ours, theirs = (of["indexes"].get(n, {"points": []})["points"]
                    for n in (f"Elanus {kind}", peer))
    return [(a, b) for a in ours for b in theirs if a["params"] == b["params"]]


def equal_settings(of):
    """Inverted files at equal nlist and nprobe."""
    lines = []
    for kind, peer, _ in SPEEDS:
        for a, b in equal_pairs(of, kind, peer) if kind.startswith("IVF") else ():
            lines.append([kind, a["params"]["nprobe"], f"{a['recall']:.3f}", f"{b['recall']:.3f}",
                          number(a["cpu"]), number(b["cpu"]), f"{a['cpu'] / b['cpu']:.2f}x"])
    return table(["index", "nprobe", "recall", "faiss", "QPS", "faiss", "ratio"], lines)


def filter_floor(of, share, name):
    """What a filtered search is not to be slower than: (scan of those kept, unfiltered / 4)."""
    return (of["filters"][share]["Elanus FLAT"]["cpu"],
            speed(name, of["filters"]["1"][name]) / FILTER_LOSS)


def filters(of):
    lines = []
    for share, by_name in of["filters"].items():
        for name, point in by_name.items():
            if share == "1" or name == "Elanus FLAT":
                continue
            floor, qps = filter_floor(of, share, name), speed(name, point)
            lines.append([f"{float(share):.0%}", name, f"{point['recall']:.3f}", number(qps),
                          *map(number, floor), f"{qps / max(floor):.2f}x"])
    return table(["kept", "index", "recall", "QPS", "scan of those kept", "unfiltered / 4",
                  "of the better"], lines)


# --- verdicts ----------------------------------------------------------------------------------

# Each is (what, measured, wanted, met); met is None where this run had not both sides.

def verdicts(of):
    yield from _speeds(of)
    yield from _equal(of)
    yield from _beside_hnswlib(of["indexes"])
    yield from _disk(of)
    yield from _filters(of)
    for kind, index in of["indexes"].items():
        if 1 in index["builds"] and 2 in index["builds"]:
            times = index["builds"][1]["wall"] / index["builds"][2]["wall"]
            yield (f"{kind.split()[1]} build with 2 threads, times as fast", f"{times:.2f}",
                   f">= {SCALING}", times >= SCALING)


def _speeds(of):
    found = of["indexes"]
    for kind, peer, times in SPEEDS:
        pair = [(n, found[n]) for n in (f"Elanus {kind}", peer) if n in found]
        if len(pair) == 2:
            recall = common_recall(pair)
            ours, theirs = (at_recall(n, i, recall) for n, i in pair)
            yield (f"{kind} QPS at recall {recall:.2f}, times {peer}'s",
                   f"{ours / theirs:.2f} ({ours:,.0f} / {theirs:,.0f})", f">= {times}",
                   ours >= times * theirs)
        else:
            yield f"{kind} QPS, times {peer}'s", "-", f">= {times}", None


def _equal(of):
    for kind, peer, _ in SPEEDS:
        pairs = equal_pairs(of, kind, peer) if kind.startswith("IVF") else []
        if pairs:
            times = [a["cpu"] / b["cpu"] for a, b in pairs]
            more = min(a["recall"] - b["recall"] for a, b in pairs)
            yield (f"{kind} QPS at equal nprobe, times {peer}'s",
                   f"{min(times):.2f} to {max(times):.2f}, recall {more:+.3f} at worst",
                   f">= 1, >= -{2 * CHANCE}", min(times) >= 1 and more >= -2 * CHANCE)


def _beside_hnswlib(found):
    ours, theirs = found.get("Elanus HNSW"), found.get("hnswlib")
    if not ours or not theirs:
        return
    a, b = (i["builds"][1]["cpu"] for i in (ours, theirs))
    yield "HNSW build CPU s, hnswlib's", f"{a:.1f}, {b:.1f}", "<=", a <= b
    a, b = resident(ours), resident(theirs)
    yield "HNSW resident MB, hnswlib's", f"{a / 1e6:.1f}, {b / 1e6:.1f}", "<=", a <= b


def _disk(of):
    disk = of["indexes"].get("Elanus DISKANN")
    if not disk:
        return
    share = resident(disk) / of["rows"] / of["dim"] / 4
    good = min((p for p in disk["points"] if p["recall"] >= AIM), key=lambda p: p["recall"],
               default=max(disk["points"], key=lambda p: p["recall"]))
    yield ("DISKANN recall, reads a query, resident of raw",
           f"{good['recall']:.3f}, {good['reads']:.0f} reads, {share:.1%}",
           f">= {AIM}, <= {DISK_SHARE:.0%}", good["recall"] >= AIM and share <= DISK_SHARE)


def _filters(of):
    """One line an index: all shares."""
    shares = [share for share in of["filters"] if share != "1"]
    for kind in of["filters"].get("1", {}):
        if kind == "Elanus FLAT":
            continue
        points = [of["filters"][share][kind] for share in shares]
        times = [speed(kind, point) / max(filter_floor(of, share, kind))
                 for share, point in zip(shares, points)]
        # What loses too much without a filter cannot be asked for more with one.
        free = of["filters"]["1"][kind]["recall"]
        least = AIM if free >= AIM else free - CHANCE
        kept = ", ".join(f"{float(share):.0%}" for share in shares)
        yield (f"{kind.split()[1]} filtered, {kept} kept: recall; QPS, times the better of scan "
               f"and unfiltered / {FILTER_LOSS}",
               ", ".join(f"{p['recall']:.3f}" for p in points) + "; " +
               ", ".join(f"{t:.2f}" for t in times), f">= {least:.3f}; >= 1",
               min(p["recall"] for p in points) >= least and min(times) >= 1)


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
        judged += [[name, *row] for row in verdicts(of)]
    yield "## Targets\n"
    said = {True: "met", False: "MISSED", None: "not measured"}
    yield from table(["set", "target", "measured", "wanted", ""],
                     [[*row[:4], said[row[4]]] for row in judged])


# An index and its peers have one colour: the index's line is whole, theirs are broken.
COLOURS = {"FLAT": "black", "IVF_FLAT": "#1f6fb4", "IVF_SQ8": "#17a2b8", "IVF_PQ": "#8e44ad",
           "SCANN": "#d62728", "HNSW": "#2ca02c", "HNSW_SQ": "#8a9a0b", "DISKANN": "#e07b00"}
FAMILY = {"faiss Flat": "FLAT", "ScaNN": "SCANN", "faiss fast scan": "SCANN", "hnswlib": "HNSW",
          "diskannpy": "DISKANN"}
END = 1.003                     # of the axis of recall
SECOND = ("faiss fast scan", "faiss HNSW")      # of a family's peers


def look(name):
    """How a line of the plot is drawn."""
    color = COLOURS[FAMILY.get(name, name.split()[-1])]
    if name.startswith("Elanus"):
        return {"color": color, "linewidth": 2.4, "marker": "o", "markersize": 5}
    return {"color": color, "linewidth": 1.3, "linestyle": ":" if name in SECOND else "--",
            "marker": "x", "markersize": 6}


def leading(value):
    """First digit."""
    return int(f"{value:e}"[0])


def panel_of(panel, title, of):
    for name, index in of["indexes"].items():
        points = frontier(name, index)
        panel.plot([p[0] for p in points], [p[1] for p in points], label=name, **look(name))
    panel.set_yscale("log", subs=(2, 3, 4, 5, 6, 7, 8, 9))
    # By what is missed, so that the good ends of the curves lie apart; 1 stays in the picture.
    panel.set_xscale("function", functions=(lambda x: -np.log10(np.maximum(END - x, 1e-9)),
                                            lambda y: END - 10.0 ** -y))
    panel.set_xlim(0.7, 1.0003)
    panel.set_xticks([0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1])
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.axvline(AIM, color="0.6", linewidth=0.8)
    panel.set_title(f"{title}: {of['rows']:,} rows of {of['dim']} dimensions")
    panel.set_xlabel("recall@10 (share of the ten nearest that is found)")
    panel.set_ylabel("queries per second (one thread, one query a call)")
    for axis, at in ((panel.yaxis.set_major_formatter, (1,)),
                     (panel.yaxis.set_minor_formatter, (2, 5))):
        axis(lambda value, _, at=at: f"{value:,.0f}" if leading(value) in at else "")
    panel.grid(True, which="major", color="0.85")
    panel.grid(True, which="minor", color="0.94")
    panel.set_axisbelow(True)


def plot(results, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    if not results:
        return
    plt.rcParams.update({"font.size": 11, "svg.fonttype": "none"})
    figure, panels = plt.subplots(1, len(results), figsize=(7.5 * len(results), 7.6),
                                  squeeze=False)
    for panel, (title, of) in zip(panels[0], results.items()):
        panel_of(panel, title, of)
    lines = {}
    for panel in panels[0]:
        for line, name in zip(*panel.get_legend_handles_labels()):
            lines.setdefault(name, line)
    columns = 3 * len(results)
    below = 0.03 * -(-len(lines) // columns)
    figure.tight_layout(rect=(0, below, 1, 1))
    figure.legend(lines.values(), lines, loc="lower center", ncol=columns, frameon=False,
                  fontsize=10)
    for ending in ("png", "svg"):
        figure.savefig(f"{path}.{ending}", dpi=140, facecolor="white")


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

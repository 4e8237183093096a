"""monitor - lab 10: how is the cluster, and when should somebody be called?

Shows what each component uses, how rows are spread over query nodes, and where the data path
stands, from a proxy's operations port; then compares it with thresholds.  --watch goes on,
--provoke makes an alert fire and waits until it is over.

Exit status: 0 no alert; 1 the server refused something; 2 wrong command line; 3 nothing answers;
4 something of the cluster is missing; 5 an alert fires, or one that was provoked did not.
"""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "common"), HERE]
import lab  # noqa: E402
import provoke  # noqa: E402


class Snapshot:
    """What the pages said at one moment, and the calls a second since an earlier one."""

    def __init__(self, place, earlier=None):
        self.at_s = time.monotonic()
        nodes, channels, segments = (place.page(p) for p in ("nodes", "channels", "segments"))
        self.nodes, self.channels, self.segments = (p["items"] for p in
                                                    (nodes, channels, segments))
        self.lacks = lab.lacks(nodes)
        for page in (channels, segments):
            known = {what for what, _, _ in self.lacks}
            self.lacks += [(m["what"], m["why"], m["do"]) for m in page["missing"]
                           if m["what"] not in known]
        self.rates = self._rates(earlier) if earlier else {}

    def _rates(self, earlier):
        before = {node["name"]: node["calls"] for node in earlier.nodes}
        took_s = self.at_s - earlier.at_s
        return {node["name"]: (node["calls"] - before[node["name"]]) / took_s
                for node in self.nodes
                if node["calls"] is not None and before.get(node["name"]) is not None}

    def held(self):
        """{query node: {"segments", "rows", "bytes", "collections"}}."""
        found = {node["name"]: {"segments": 0, "rows": 0, "bytes": 0, "collections": set()}
                 for node in self.nodes if node["role"] in ("querynode", "standalone")}
        for segment in self.segments:
            for holder in segment["held_by"]:
                of = found.setdefault(holder["node"], {"segments": 0, "rows": 0, "bytes": 0,
                                                       "collections": set()})
                of["segments"] += 1
                of["rows"] += segment["rows"] or 0
                of["bytes"] += segment["bytes"] or 0
                of["collections"].add(segment["collection"])
        return found


def look(place, seconds):
    """Two looks, as a rate is the difference of two."""
    earlier = Snapshot(place)
    time.sleep(seconds)
    return Snapshot(place, earlier)


# --- what is shown -------------------------------------------------------------------------

def in_order(node):
    roles = [*lab.ROLES, node["role"]]
    return roles.index(node["role"]), int(node["id"])


def memory_percent(node):
    most = node["memory_limit"] or node["memory_total"]
    return 100 * node["memory_used"] / most if node["memory_used"] is not None and most else None


def show_components(snapshot):
    lab.heading("1. Components: CPU of one core, memory of what the process may take")
    rows = []
    for node in sorted(snapshot.nodes, key=in_order):
        rate = snapshot.rates.get(node["name"])
        rows.append([node["name"] + (" *" if node["leader"] else ""), node["state"],
                     lab.percent(node["cpu_percent"]), lab.size(node["memory_used"]),
                     lab.percent(memory_percent(node)),
                     None if rate is None else round(rate, 1)])
    lab.table(["NODE", "STATE", "CPU", "MEMORY", "USED", "CALLS/S"], rows)
    if any(node["leader"] for node in snapshot.nodes):
        print("   * leads the coordinators")
    if len(rows) > 1 and len({node["ops_address"] for node in snapshot.nodes}) == 1:
        print("   all in one process: CPU and memory are its own, shown with each")


def show_queries(snapshot):
    lab.heading("2. Query nodes: what they hold, and what they are asked")
    rows = []
    for name, of in sorted(snapshot.held().items()):
        rate = snapshot.rates.get(name)
        rows.append([name, of["segments"], of["rows"], lab.size(of["bytes"]),
                     len(of["collections"]), None if rate is None else round(rate, 1)])
    lab.table(["NODE", "SEGMENTS", "ROWS", "SIZE", "COLLECTIONS", "CALLS/S"], rows)


def position(mark):
    return f"{mark['epoch']}:{mark['seq']}" if mark else "-"


def to_replay(channel):
    """Log entries that a new owner of the channel would read again."""
    end, start = channel["frontier"], channel["checkpoint"]
    if not end or not start or end["epoch"] != start["epoch"]:
        return None
    return end["seq"] - start["seq"]


def behind_ms(channel):
    known = [f["behind_ms"] for f in channel["followers"] if f["behind_ms"] is not None]
    return max(known) if known else None


def show_log(snapshot):
    lab.heading("3. Data path: the log of each channel in use (epoch:sequence)")
    rows = [[c["channel"], c["owner"] or "nobody", c["state"] or "?", position(c["frontier"]),
             position(c["checkpoint"]), to_replay(c), c["growing_rows"],
             len(c["followers"]), behind_ms(c)]
            for c in snapshot.channels if c["vchannels"]]
    lab.table(["CHANNEL", "OWNER", "STATE", "WRITTEN", "CHECKPOINT", "REPLAY", "GROWING",
               "FOLLOWERS", "BEHIND MS"], rows)
    idle = len(snapshot.channels) - len(rows)
    print(f"   and {idle} channels that no collection uses")


def show_storage(snapshot):
    lab.heading("4. Data path: segments by collection and state")
    sums = {}
    for segment in snapshot.segments:
        of = sums.setdefault((segment["collection"] or "(dropped)", segment["state"]), [0, 0, 0, 0])
        of[0] += 1
        of[1] += segment["rows"] or 0
        of[2] += segment["deleted"] or 0
        of[3] += segment["bytes"] or 0
    lab.table(["COLLECTION", "STATE", "SEGMENTS", "ROWS", "DELETED", "SIZE"],
              [[*key, of[0], of[1], of[2], lab.size(of[3])] for key, of in sorted(sums.items())])


# --- alerts --------------------------------------------------------------------------------

def node_alerts(snapshot, limits):
    for node in snapshot.nodes:
        used = memory_percent(node)
        if node["cpu_percent"] is not None and node["cpu_percent"] > limits.max_cpu:
            yield "CPU", (f"{node['name']} uses {node['cpu_percent']:.1f} % of a core, "
                          f"more than {limits.max_cpu:g} %")
        if used is not None and used > limits.max_memory:
            yield "MEMORY", (f"{node['name']} uses {used:.1f} % of its memory, "
                             f"more than {limits.max_memory:g} %")
    up = sum(node["role"] == "querynode" and node["state"] == "up" for node in snapshot.nodes)
    if up < limits.min_querynodes:
        yield "QUERYNODES", f"query nodes that are up: {up}, fewer than {limits.min_querynodes}"


def channel_alerts(snapshot, limits):
    for channel in snapshot.channels:
        name, behind = channel["channel"], behind_ms(channel)
        if not channel["vchannels"]:
            continue
        if channel["owner"] is None or channel["state"] != "active":
            yield "CHANNEL", f"{name} is {channel['state'] or 'owned by nobody'}: writes wait"
        if (channel["growing_rows"] or 0) > limits.max_growing:
            yield "GROWING", (f"{name} has {channel['growing_rows']:,} rows in memory, not "
                              f"flushed, more than {limits.max_growing:,}")
        if behind is not None and behind > limits.max_behind_ms:
            yield "BEHIND", (f"a follower of {name} is {behind:,} ms behind, more than "
                             f"{limits.max_behind_ms:,}")


def alerts(snapshot, limits):
    """[(name, text)] of all that fire."""
    found = [("MISSING", f"{what}: {why}") for what, why, _ in snapshot.lacks]
    found += node_alerts(snapshot, limits)
    found += channel_alerts(snapshot, limits)
    for segment in snapshot.segments:
        found += [("INDEX", f"{index['name']} of {segment['collection']} could not be built")
                  for index in segment["indexes"] if index["state"] == "failed"]
    return found


def show_alerts(found):
    lab.heading("5. Alerts")
    if found:
        lab.table(["ALERT", "WHY"], [list(alert) for alert in found])
    else:
        print("   none")


# --- /metrics ---------------------------------------------------------------------------------

FAMILIES = ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"]
SUMS = [("milvus_datacoord_stored_rows_num", "rows in flushed segments"),
        ("milvus_datacoord_stored_binlog_size", "their bytes"),
        ("milvus_querynode_segment_num", "segments that query nodes hold"),
        ("milvus_querynode_entity_num", "their rows"),
        ("elanus_wal_puts_total", "objects of the log that were put"),
        ("elanus_fence_questions_total", "times a data node asked: is it still mine?")]


def show_processes(nodes, pages):
    lab.heading("Each process by its /metrics")
    rows = []
    for node in nodes:
        found = pages.get(node["name"])
        if found is None:
            rows.append([node["name"], node["ops_address"], None, None, None, "not reached"])
            continue
        cpu_s, memory, files = (found[family][0][1] for family in FAMILIES)
        ours = len({name for name in found if name.startswith(("milvus_", "elanus_"))})
        rows.append([node["name"], node["ops_address"], f"{cpu_s:.2f} s", lab.size(memory),
                     int(files), f"{ours} of its own"])
    lab.table(["NODE", "OPERATIONS PORT", "CPU USED", "RESIDENT", "FILES", "METRICS"], rows)


def show_metrics(place):
    """What Prometheus would read: each process has its own page, at its operations port."""
    pages, nodes = {}, sorted(place.page("nodes")["items"], key=in_order)
    for node in nodes:
        try:
            pages[node["name"]] = place.metrics(node["ops_address"])
        except lab.Trouble:
            pass                        # told as "not reached"
    show_processes(nodes, pages)
    # In standalone all nodes are one process, with one page.
    processes = {node["ops_address"]: pages[node["name"]] for node in nodes
                 if node["name"] in pages}.values()
    lab.heading("Some of Milvus's names and of ours, summed over all processes")
    lab.table(["METRIC", "SUM", "IS"],
              [[name, int(sum(value for found in processes
                              for _, value in found.get(name, []))), about]
               for name, about in SUMS])
    return lab.GOOD if len(pages) == len(nodes) else lab.INCOMPLETE


# --- the program ------------------------------------------------------------------------------

def show(snapshot, limits):
    show_components(snapshot)
    show_queries(snapshot)
    show_log(snapshot)
    show_storage(snapshot)
    found = alerts(snapshot, limits)
    show_alerts(found)
    if snapshot.lacks:
        lab.heading("What is missing, and what to do")
        return lab.say_lacks(snapshot.lacks)
    return lab.ALERT if found else lab.GOOD


def watch(place, arguments):
    rounds, code, earlier = 0, lab.GOOD, Snapshot(place)
    while arguments.rounds == 0 or rounds < arguments.rounds:
        time.sleep(arguments.watch)
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
        print(time.strftime("%H:%M:%S"))
        earlier = Snapshot(place, earlier)
        code = show(earlier, arguments)
        sys.stdout.flush()
        rounds += 1
    return code


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    lab.add_arguments(parser)
    parser.add_argument("--watch", type=lab.positive, metavar="SECONDS", help="again and again")
    parser.add_argument("--rounds", type=int, default=0, help="with --watch: so often (no end)")
    parser.add_argument("--max-cpu", type=float, default=80, help="percent of a core, a node (80)")
    parser.add_argument("--max-memory", type=float, default=80,
                        help="percent of its memory, a node (80)")
    parser.add_argument("--max-growing", type=int, default=50_000, metavar="ROWS",
                        help="rows of a channel that are not flushed (50000)")
    parser.add_argument("--max-behind-ms", type=int, default=5000,
                        help="how far a follower may be behind (5000)")
    parser.add_argument("--min-querynodes", type=int, default=0,
                        help="how many have to be up (0)")
    parser.add_argument("--provoke", choices=sorted(provoke.WAYS),
                        help="make an alert fire: load: searches; grow: rows that are not "
                        "flushed; kill: a query node, with --dir")
    parser.add_argument("--fill", action="store_true", help="make rows to look at, and end")
    parser.add_argument("--clean", action="store_true", help="drop them, and end")
    parser.add_argument("--metrics", action="store_true",
                        help="what each process tells Prometheus, and end")
    parser.add_argument("--seconds", type=lab.positive, default=60,
                        help="with --provoke: how long to wait for an alert (60)")
    return parser.parse_args()


def main():
    arguments = parse()
    place = lab.place(arguments)
    refused = lab.listens(place.address)
    if refused:
        raise lab.Trouble(f"nothing answers at {place.address}: {refused}\n{lab.START}",
                          lab.NOTHING)
    if arguments.fill:
        return provoke.fill(place)
    if arguments.clean:
        return provoke.clean(place)
    if arguments.metrics:
        return show_metrics(place)
    if arguments.provoke:
        def fires():
            return alerts(Snapshot(place), arguments)
        return provoke.WAYS[arguments.provoke](place, arguments, fires)
    if arguments.watch:
        return watch(place, arguments)
    return show(look(place, 1), arguments)


if __name__ == "__main__":
    lab.run(main)

#!/usr/bin/env python3
"""bench_milvus - Elanus standalone beside the real Milvus 2.3.5, same client, same data, one run.

    sets      random: 100,000 x 128        glove: 341,479 English words x 100 (scripts/glove.sh)
    measured  insert rows/s; FLAT search, nq 1 and 100, and filtered (a tenth of the rows):
              p50 and p99 of one client, queries/s of four in flight; a Strong read of a row
              right after its write, and a Strong search; start to the first answer, and to the
              first search over the loaded data; resident memory idle and loaded (all processes
              of a server)
    method    both run all the time; each measurement goes to one, then to the other, round by
              round, and the median of the rounds counts.  Requests are serialized beforehand
              and sent by raw gRPC, so the client costs both the same.  Answers are compared.

    $(scripts/venv.sh 2.6.17) tests/bench/bench_milvus.py [--quick] [--sets random,glove]

Prints a table and saves build/bench/milvus.json and .md; exits 1 when a target is missed.
--quick: 20,000 rows, one set, few rounds, no verdict.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True
import milvus_case  # noqa: E402
import peer  # noqa: E402
import servers  # noqa: E402

import grpc  # noqa: E402
import numpy as np  # noqa: E402
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc, schema_pb2  # noqa: E402

T = 120
BATCH, TOP, IN_FLIGHT, QUERIES = 5000, 10, 4, 64
NAME = "bench"
SERVICE = "/milvus.proto.milvus.MilvusService/"
# measure: "times": at least so many times Milvus; "most": Elanus itself at most
TARGETS = {"insert_rows_s": ("times", 3), "nq1_qps": ("times", 2), "nq100_qps": ("times", 2),
           "strong_get_p50_ms": ("most", 5.0), "strong_search_p50_ms": ("most", 5.0),
           "start_s": ("most", 0.3),
           "rss_per_raw": ("most", 1.3)}


class Server:
    """One of the two, with a raw channel to it."""

    def __init__(self, place, name):
        self.name, self.place = name, place
        if name == "Elanus":
            port = servers.free_port()
            self.process = servers.Daemon(place, "standalone", servers.standalone_flags(
                place.path("elanus"), port))
            self.address = f"127.0.0.1:{port}"
        else:
            self.process = peer.Milvus(place)
            self.address = self.process.grpc
        place.processes.append(self.process)
        self.found = {}

    def start(self):
        """Seconds from exec to the first answer that is not a refusal."""
        begin = time.monotonic()
        self.process.start()
        while True:
            self.connect()
            try:
                if not self.stub.ShowCollections(milvus_pb2.ShowCollectionsRequest(),
                                                 timeout=1).status.error_code:
                    break
            except grpc.RpcError:
                pass
            self.channel.close()
            if time.monotonic() - begin > T or not self.process.alive():
                raise servers.Failure(f"{self.name} does not start\n{self.process.last_words()}")
            time.sleep(0.002)
        took = time.monotonic() - begin
        self.process.ready()
        return took

    def connect(self):
        self.channel = grpc.insecure_channel(self.address, options=milvus_case.UNLIMITED + [
            ("grpc.initial_reconnect_backoff_ms", 5), ("grpc.use_local_subchannel_pool", 1)])
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)
        self.raw = {method: self.channel.unary_unary(SERVICE + method, request_serializer=bytes,
                                                     response_deserializer=bytes)
                    for method in ("Insert", "Search", "Query")}

    def rss(self):
        """Resident bytes of the process and of everything it started."""
        total, left = 0, [self.process.pid]
        while left:
            pid = left.pop()
            with open(f"/proc/{pid}/statm", encoding="ascii") as f:
                total += int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                    left += [int(child) for child in f.read().split()]
        return total

    def ask(self, method, request):
        answer = getattr(self.stub, method)(request, timeout=T)
        status = getattr(answer, "status", answer)
        if status.error_code or getattr(status, "code", 0):
            raise servers.Failure(f"{self.name}: {method}: {status.reason}")
        return answer

    def create(self, dim):
        schema = schema_pb2.CollectionSchema(name=NAME)
        schema.fields.add(name="id", data_type=5, is_primary_key=True)
        schema.fields.add(name="n", data_type=5)
        schema.fields.add(name="v", data_type=101).type_params.add(key="dim", value=str(dim))
        self.ask("CreateCollection", milvus_pb2.CreateCollectionRequest(
            collection_name=NAME, schema=schema.SerializeToString(), shards_num=1))
        index = milvus_pb2.CreateIndexRequest(collection_name=NAME, field_name="v")
        for key, value in (("index_type", "FLAT"), ("metric_type", "L2"), ("params", "{}")):
            index.extra_params.add(key=key, value=value)
        self.ask("CreateIndex", index)
        self.ask("LoadCollection", milvus_pb2.LoadCollectionRequest(collection_name=NAME))
        servers.wait_for("the load", T, lambda: self.stub.GetLoadState(
            milvus_pb2.GetLoadStateRequest(collection_name=NAME), timeout=T).state == 3)

    def count(self):
        found = self.ask("Query", milvus_pb2.QueryRequest(
            collection_name=NAME, output_fields=["count(*)"], consistency_level=0))
        return found.fields_data[0].scalars.long_data.data[0]

    def flush(self):
        """Until every segment is flushed, and served as a sealed one."""
        rows = self.count()
        done = self.ask("Flush", milvus_pb2.FlushRequest(collection_names=[NAME]))
        servers.wait_for("the flush", T, lambda: self.stub.GetFlushState(
            milvus_pb2.GetFlushStateRequest(
                segmentIDs=done.coll_segIDs[NAME].data, collection_name=NAME,
                flush_ts=done.coll_flush_ts[NAME]), timeout=T).flushed, 0.1)

        def sealed():
            found = self.stub.GetQuerySegmentInfo(milvus_pb2.GetQuerySegmentInfoRequest(
                collectionName=NAME), timeout=T)
            return sum(s.num_rows for s in found.infos if s.state == 3) >= rows
        servers.wait_for("sealed segments", T, sealed, 0.1)


# --- requests ------------------------------------------------------------------------

def inserts(table, first):
    """Serialized requests for the rows of a table; n is id mod 1000."""
    for at in range(0, len(table), BATCH):
        part = table[at:at + BATCH]
        ids = np.arange(first + at, first + at + len(part))
        request = milvus_pb2.InsertRequest(collection_name=NAME, num_rows=len(part))
        request.fields_data.add(field_name="id", type=5).scalars.long_data.data.extend(ids)
        request.fields_data.add(field_name="n", type=5).scalars.long_data.data.extend(ids % 1000)
        column = request.fields_data.add(field_name="v", type=101).vectors
        column.dim = table.shape[1]
        column.float_vector.data.extend(part.ravel())
        yield request.SerializeToString()


def searches(queries, nq, filter="", level=2):
    """Serialized requests of nq queries each."""
    return [milvus_case.search_request(
        NAME, "float", [q.tolist() for q in np.roll(queries, -at, axis=0)[:nq]], TOP,
        filter=filter, keys={"metric_type": "L2"}, consistency_level=level).SerializeToString()
        for at in range(min(len(queries), 16 if nq > 1 else len(queries)))]


def check(bytes_, kind=milvus_pb2.SearchResults):
    answer = kind.FromString(bytes_)
    if answer.status.error_code:
        raise servers.Failure(answer.status.reason)
    return answer


# --- measuring -------------------------------------------------------------------------

def insert_rate(server, requests):
    """Rows per second of requests one after the other, all acknowledged."""
    begin = time.monotonic()
    rows = 0
    for request in requests:
        answer = server.raw["Insert"](request, timeout=T)
        rows += check(answer, milvus_pb2.MutationResult).insert_cnt
    return rows / (time.monotonic() - begin)


def latencies(server, requests, seconds):
    """Milliseconds of each, one at a time."""
    took, end, number = [], time.monotonic() + seconds, 0
    while time.monotonic() < end or number < 5:
        begin = time.monotonic()
        check(server.raw["Search"](requests[number % len(requests)], timeout=T))
        took.append((time.monotonic() - begin) * 1000)
        number += 1
    return took


def throughput(server, requests, seconds):
    """Requests per second with IN_FLIGHT of them under way."""
    begin, number, flying = time.monotonic(), 0, []
    while time.monotonic() - begin < seconds or flying:
        while len(flying) < IN_FLIGHT and time.monotonic() - begin < seconds:
            flying.append(server.raw["Search"].future(requests[number % len(requests)], timeout=T))
            number += 1
        if flying:
            flying.pop(0).result()
    return number / (time.monotonic() - begin)


def strong_reads(server, table, first, search, count):
    """Milliseconds of Strong reads that follow a write at once: the row's own, and searches."""
    gets, found = [], []
    for number, request in enumerate(inserts_of_one(table, first, 2 * count)):
        get = milvus_pb2.QueryRequest(
            collection_name=NAME, expr=f"id == {first + number}", output_fields=["n"],
            consistency_level=0).SerializeToString()
        check(server.raw["Insert"](request, timeout=T), milvus_pb2.MutationResult)
        begin = time.monotonic()
        if number % 2:
            check(server.raw["Search"](search[number % len(search)], timeout=T))
        else:
            answer = check(server.raw["Query"](get, timeout=T), milvus_pb2.QueryResults)
        (found if number % 2 else gets).append((time.monotonic() - begin) * 1000)
        if number % 2 == 0 and not answer.fields_data[0].scalars.long_data.data:
            raise servers.Failure(f"{server.name} does not read what was just written")
    return gets, found


def inserts_of_one(table, first, count):
    for at in range(count):
        yield from inserts(table[at:at + 1], first + at)


def p(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Bench:
    def __init__(self, name, table, args):
        self.name, self.table, self.args = name, table, args
        rng = np.random.default_rng(1)
        near = table[rng.integers(0, len(table), QUERIES)]
        self.queries = (near + rng.standard_normal(near.shape) * 0.1).astype(np.float32)
        self.samples = {}

    def note(self, server, what, value):
        self.samples.setdefault((server.name, what), []).append(value)

    def say(self, text):
        print(f"      {self.name}: {text}", flush=True)

    def run(self, place):
        both = [Server(place, "Elanus"), Server(place, "Milvus")]
        self.starts(both)
        self.inserting(both)
        self.searching(both)
        self.compare(both)
        self.writing_and_reading(both)
        for server in both:
            self.note(server, "rss_loaded_mb", server.rss() / 1e6)
            self.note(server, "rss_per_raw", server.rss() / self.table.nbytes)
        self.reopening(both)
        for server in both:
            server.process.stop()
        return self.result()

    def starts(self, both):
        """On no data at all; only the last one stays."""
        for _ in range(self.args.rounds - 1):
            for server in both:
                self.note(server, "start_s", server.start())
                server.channel.close()
                server.process.kill()
        for server in both:
            self.note(server, "start_s", server.start())
        time.sleep(3)
        for server in both:
            self.note(server, "rss_idle_mb", server.rss() / 1e6)
        self.say("started")

    def inserting(self, both):
        for server in both:
            server.create(self.table.shape[1])
        parts = max(self.args.rounds, 2)
        cuts = [len(self.table) * i // parts // BATCH * BATCH for i in range(parts)]
        for low, high in zip(cuts, cuts[1:] + [len(self.table)]):
            requests = list(inserts(self.table[low:high], low))
            for server in both:
                self.note(server, "insert_rows_s", insert_rate(server, requests))
        for server in both:
            begin = time.monotonic()
            servers.wait_for("all rows", T, lambda s=server: s.count() == len(self.table))
            self.note(server, "visible_after_s", time.monotonic() - begin)
            begin = time.monotonic()
            server.flush()
            self.note(server, "flush_and_seal_s", time.monotonic() - begin)
        self.say(f"{len(self.table)} rows are in")

    def searching(self, both):
        asked = {"nq1": searches(self.queries, 1), "nq100": searches(
            np.resize(self.queries, (128, self.queries.shape[1])), 100),
            "filtered": searches(self.queries, 1, "n < 100")}
        for server in both:
            for requests in asked.values():
                latencies(server, requests, 0.3)
        for _ in range(self.args.rounds):
            for what, requests in asked.items():
                for server in both:
                    took = latencies(server, requests, self.args.seconds)
                    self.note(server, f"{what}_p50_ms", p(took, 0.5))
                    self.note(server, f"{what}_p99_ms", p(took, 0.99))
                    self.note(server, f"{what}_qps", throughput(
                        server, requests, self.args.seconds) * (100 if what == "nq100" else 1))
        self.say("searched")

    def compare(self, both):
        """Both find the same rows; else the rest says nothing."""
        for request in searches(self.queries, 1, level=0)[:20]:
            ids = [set(check(s.raw["Search"](request, timeout=T)).results.ids.int_id.data)
                   for s in both]
            if len(ids[0] & ids[1]) < TOP - 1:          # one may tie at the end
                raise servers.Failure(f"they disagree: {ids}")

    def writing_and_reading(self, both):
        search = searches(self.queries, 1, level=0)
        for round_ in range(self.args.rounds):
            for server in both:
                first = 10_000_000 + round_ * 1000
                gets, found = strong_reads(server, self.table, first, search, 15)
                self.note(server, "strong_get_p50_ms", p(gets, 0.5))
                self.note(server, "strong_search_p50_ms", p(found, 0.5))

    def reopening(self, both):
        """Killed and started: how long until it finds something in the same rows."""
        request = searches(self.queries, 1, level=0)[0]
        for server in both:
            server.channel.close()
            server.process.kill()
            begin = time.monotonic()
            server.start()

            def found(s=server):
                answer = milvus_pb2.SearchResults.FromString(s.raw["Search"](request, timeout=T))
                return not answer.status.error_code and len(answer.results.scores) == TOP
            servers.wait_for("a search", T, found)
            self.note(server, "reopen_s", time.monotonic() - begin)

    def result(self):
        median = {key: statistics.median(values) for key, values in self.samples.items()}
        return {what: {"Elanus": median["Elanus", what], "Milvus": median["Milvus", what]}
                for who, what in median if who == "Elanus"}


# --- the report --------------------------------------------------------------------------

def verdict(what, row):
    """(how many times better than Milvus, the target's text, whether it is met)."""
    mine, theirs = row["Elanus"], row["Milvus"]
    more_is_better = what.endswith(("rows_s", "_qps"))
    times = (mine / theirs if more_is_better else theirs / mine) if mine and theirs else 0.0
    kind, bound = TARGETS.get(what, (None, None))
    if kind == "times":
        return times, f">= {bound}x", times >= bound
    if kind == "most":
        return times, f"<= {bound:g}", mine <= bound
    return times, "", True


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def report(results, about):
    lines = [f"Elanus beside Milvus 2.3.5: {about}", ""]
    missed = []
    for name, result in results.items():
        lines += [f"| {name} | Elanus | Milvus | better by | target | |",
                  "|---|--:|--:|--:|--:|---|"]
        for what, row in result.items():
            times, target, met = verdict(what, row)
            missed += [] if met else [f"{name}: {what}"]
            word = "" if not target else "met" if met else "MISSED"
            lines.append(f"| {what} | {shown(row['Elanus'])} | {shown(row['Milvus'])} "
                         f"| {times:.2f}x | {target} | {word} |")
        lines.append("")
    return lines, missed


def tables(names, rows):
    """The data sets by name; one that cannot be had is left out, with the reason."""
    for name in names:
        if name == "random":
            made = np.random.default_rng(0).standard_normal((rows or 100_000, 128))
            yield name, made.astype(np.float32)
            continue
        got = subprocess.run([os.path.join(servers.ROOT, "scripts", "glove.sh"), sys.executable],
                             stdout=subprocess.PIPE, check=False, text=True)
        if got.returncode:
            print(f"{name}: left out")
            continue
        table = np.load(os.path.join(got.stdout.strip(), "vectors.npy"))
        yield name, np.ascontiguousarray(table[:rows] if rows else table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sets", default="random,glove")
    parser.add_argument("--rows", type=int, help="take so many of each set")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    args = parser.parse_args()
    if args.quick:
        args.sets, args.rounds, args.seconds = "random", 2, 0.5
        args.rows = args.rows or 20_000
    results = {}
    for name, table in tables(args.sets.split(","), args.rows):
        with servers.Workplace() as place:
            title = f"{name}, {table.shape[0]} x {table.shape[1]}"
            results[title] = Bench(name, table, args).run(place)
    lines, missed = report(results, f"{os.cpu_count()} cores, medians of {args.rounds} rounds")
    print("\n".join(lines))
    os.makedirs(os.path.join(servers.ROOT, "build/bench"), exist_ok=True)
    for ending, text in ((".md", "\n".join(lines)), (".json", json.dumps(results, indent=2))):
        with open(os.path.join(servers.ROOT, "build/bench/milvus" + ending), "w",
                  encoding="utf-8") as f:
            f.write(text + "\n")
    if missed and not args.quick:
        print("missed:", ", ".join(missed))
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.Missing as why:
        print(f"skip: {why}")

#!/usr/bin/env python3
"""bench_cluster - the cluster beside standalone and the real Milvus 2.3.5, one run.

    sides     `elanus up` on a real etcd and MinIO, one daemon of each role, later 2 and 4
              query nodes, each a replica; `elanus standalone`; Milvus (left out, with the
              reason, where it cannot be had)
    probes    MinIO: a put of 4 KiB; etcd: a linearizable read; one connection, one at a time,
              between the measurements they explain
    measured  idle memory of the five daemons together; insert rows/s in batches; ack of a
              single-row insert; a Strong search for that row at once; FLAT searches/s of 1 and
              of 8 clients
    method    all run all the time; each measurement goes to one after the other, round by round,
              and medians of the rounds count.  Requests are serialized beforehand and sent by raw
              gRPC.  The row just written must be in the answer.

    $(scripts/venv.sh 2.6.17) tests/bench/bench_cluster.py [--quick] [--rows N] [--rounds N]

Prints tables and saves build/bench/cluster.json and .md; exits 1 when a target is missed.
--quick: 2,000 rows, few rounds, no verdict.
"""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True
import bench_milvus as side  # noqa: E402
import milvus_case  # noqa: E402
import s3_client  # noqa: E402
import servers  # noqa: E402

import numpy as np  # noqa: E402
from pymilvus.grpc_gen import milvus_pb2  # noqa: E402

NODES, CLIENTS, PROBES, SINGLES = (1, 2, 4), (1, 8), 40, 30
DAEMONS = 5
FIRST_SINGLE = 10_000_000
ACK_OVER_PARTS_MS, STRONG_SEARCH_MS, IDLE_MB = 3.0, 5.0, 80.0


# --- the cluster -------------------------------------------------------------------------

class Cluster(side.Server):
    """`elanus up`, and the etcd and the MinIO below it."""

    def __init__(self, place):
        self.name, self.place, self.dir = "cluster", place, place.path("cluster")
        self.etcd = place.start(servers.Etcd(place))
        self.s3 = place.start(servers.S3(place))
        self.process = servers.Process("elanus up", [
            servers.binary("elanus"), "up", "--dir", self.dir, "--port", 0,
            "--etcd", self.etcd.address, "--s3", self.s3.address])
        place.processes.append(self.process)

    def start(self):
        begin = time.monotonic()
        self.process.start()
        self.address = self.process.wait_line(r"^elanus ready grpc=(\S+)", 30).group(1)
        self.connect()
        return time.monotonic() - begin

    def order(self, *words):
        done = subprocess.run([servers.binary("elanus"), words[0], "--dir", self.dir, *words[1:]],
                              capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise servers.Failure(f"elanus {' '.join(words)}: {done.stderr}")
        return done.stdout

    def daemons(self):
        """{name: pid} of those that serve."""
        found = re.findall(r"^(\S+) +ready +(\d+)", self.order("ps"), re.M)
        return {name: int(pid) for name, pid in found if name not in ("etcd", "s3")}

    def grow(self, count):
        """Until so many query nodes serve, and each has a replica."""
        def serving():
            return sum(name.startswith("querynode") for name in self.daemons())
        for _ in range(count - serving()):
            self.order("add", "querynode")
        servers.wait_for(f"{count} query nodes", 30, lambda: serving() == count)
        if count > 1:
            self.ask("ReleaseCollection", milvus_pb2.ReleaseCollectionRequest(
                collection_name=side.NAME))
            self.ask("LoadCollection", milvus_pb2.LoadCollectionRequest(
                collection_name=side.NAME, replica_number=count))
            servers.wait_for("the load", side.T, lambda: self.stub.GetLoadState(
                milvus_pb2.GetLoadStateRequest(collection_name=side.NAME),
                timeout=side.T).state == 3)

    def pids(self):
        return list(self.daemons().values())


class Single(side.Server):
    """Standalone, or Milvus: one process."""

    def __init__(self, place, name):
        super().__init__(place, "Elanus" if name == "standalone" else name)
        self.name = name

    def pids(self):
        return [self.process.pid]


def sides(place):
    yield Cluster(place)
    yield Single(place, "standalone")
    try:
        yield Single(place, "Milvus")
    except servers.Missing as why:
        print(f"Milvus is left out: {why}")


def memory_mb(pids):
    """Of processes together, in MB: resident sizes added up, their proportional sizes, and
    what they take of the machine, where a library's page counts once however many map it."""
    resident, proportional, own, files = 0, 0, 0, {}
    for pid in pids:
        with open(f"/proc/{pid}/smaps", encoding="ascii") as f:
            maps = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", f.read(), flags=re.M)[1:]
        for text in maps:
            kb = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
            resident += kb["Rss"]
            proportional += kb["Pss"]
            own += kb["Anonymous"]
            what = tuple(text.split("\n", 1)[0].split()[2:])      # offset, device, inode, path
            files[what] = max(files.get(what, 0), kb["Rss"] - kb["Anonymous"])
    return [kb * 1024 / 1e6 for kb in (resident, proportional, own + sum(files.values()))]


# --- the probes --------------------------------------------------------------------------

class Wire:
    """One HTTP connection by hand: a client library costs as much as what is measured."""

    def __init__(self, address):
        host, port = address.split(":")
        self.address, self.socket = address, socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, verb, path, headers, body):
        """Milliseconds from the request's first byte to the answer's last."""
        head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        request = (f"{verb} {path} HTTP/1.1\r\nHost: {self.address}\r\n{head}"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        begin = time.perf_counter()
        self.socket.sendall(request)
        answer = self._answer()
        took = time.perf_counter() - begin
        if not answer.startswith(b"HTTP/1.1 200"):
            raise servers.Failure(f"{verb} {path}: {answer[:200]}")
        return took * 1000

    def _answer(self):
        answer = b""
        while True:
            head, end, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            if end and (len(body) >= int(length.group(1)) if length
                        else body.endswith(b"0\r\n\r\n")):
                return answer
            more = self.socket.recv(65536)
            if not more:
                raise servers.Failure(f"{self.address} ended the connection: {answer[:200]}")
            answer += more


class Probes:
    """What the cluster's acknowledgement is made of, asked without the cluster."""

    def __init__(self, cluster):
        self.bucket = s3_client.Bucket(cluster.s3.address, "probe")
        self.s3, self.etcd = Wire(cluster.s3.address), Wire(cluster.etcd.address)
        self.s3.ask("PUT", "/probe", self.bucket.headers("PUT", ""), b"")
        self.count = 0

    def put_ms(self):
        path, body = f"/{self.count}", os.urandom(4096)
        self.count += 1
        return self.s3.ask("PUT", f"/probe{path}", self.bucket.headers("PUT", path), body)

    def read_ms(self):
        return self.etcd.ask("POST", "/v3/kv/range", {"Content-Type": "application/json"},
                             b'{"key":"cHJvYmU="}')


# --- measuring ---------------------------------------------------------------------------

def own_searches(rows):
    """A Strong search for each row, by its own vector."""
    return [milvus_case.search_request(
        side.NAME, "float", [row.tolist()], side.TOP, keys={"metric_type": "L2"},
        consistency_level=0).SerializeToString() for row in rows]


def write_and_find(server, rows, first):
    """Milliseconds of single inserts, and of the Strong searches that follow at once."""
    acks, found = [], []
    for number, (insert, search) in enumerate(zip(
            list(side.inserts_of_one(rows, first, len(rows))), own_searches(rows))):
        begin = time.perf_counter()
        inserted = server.raw["Insert"](insert, timeout=side.T)
        middle = time.perf_counter()
        answer = server.raw["Search"](search, timeout=side.T)
        found.append((time.perf_counter() - middle) * 1000)
        acks.append((middle - begin) * 1000)
        side.check(inserted, milvus_pb2.MutationResult)
        if first + number not in side.check(answer).results.ids.int_id.data:
            raise servers.Failure(f"{server.name} does not find what was just written")
    return acks, found


def throughput(server, requests, clients, seconds):
    """Searches per second with one of each client under way."""
    begin, number, flying = time.monotonic(), 0, []
    while time.monotonic() - begin < seconds or flying:
        while len(flying) < clients and time.monotonic() - begin < seconds:
            flying.append(server.raw["Search"].future(requests[number % len(requests)],
                                                      timeout=side.T))
            number += 1
        side.check(flying.pop(0).result())
    return number / (time.monotonic() - begin)


class Bench:
    def __init__(self, args):
        self.args, self.samples = args, {}
        rng = np.random.default_rng(0)
        self.table = rng.standard_normal((args.rows, 128)).astype(np.float32)
        self.queries = rng.standard_normal((side.QUERIES, 128)).astype(np.float32)
        self.fresh = rng.standard_normal((SINGLES, 128)).astype(np.float32)

    def note(self, who, what, value):
        self.samples.setdefault(what, {}).setdefault(who, []).append(value)

    @staticmethod
    def say(text):
        print(f"      {text}", flush=True)

    def run(self, place):
        self.sides = list(sides(place))
        for server in self.sides:
            self.note(server.name, "start_s", server.start())
        time.sleep(3)
        self.idle()
        self.inserting()
        self.acks()
        for nodes in NODES:
            self.sides[0].grow(nodes)
            self.searching(nodes)
        return {what: {who: statistics.median(values) for who, values in row.items()}
                for what, row in self.samples.items()}

    def idle(self):
        for server in self.sides:
            pids = server.pids()
            if server.name == "cluster" and len(pids) != DAEMONS:
                raise servers.Failure(f"{len(pids)} daemons serve:\n{server.order('ps')}")
            for what, mb in zip(("rss", "pss", "once"), memory_mb(pids)):
                self.note(server.name, f"idle_{what}_mb", mb)

    def inserting(self):
        for server in self.sides:
            server.create(self.table.shape[1])
        for part in range(self.args.rounds):
            low, high = (self.args.rows * (part + i) // self.args.rounds for i in (0, 1))
            requests = list(side.inserts(self.table[low:high], low))
            for server in self.sides:
                self.note(server.name, "insert_rows_s", side.insert_rate(server, requests))
        for server in self.sides:
            servers.wait_for("all rows", side.T,
                             lambda s=server: s.count() == self.args.rows)
            server.flush()
        self.say(f"{self.args.rows} rows are in, and sealed")

    def acks(self):
        probes = Probes(self.sides[0])
        for round_ in range(self.args.rounds):
            for what, ask in (("put_4k_p50_ms", probes.put_ms),
                              ("etcd_read_p50_ms", probes.read_ms)):
                self.note("cluster", what, side.p([ask() for _ in range(PROBES)], 0.5))
            for server in self.sides:
                acks, found = write_and_find(server, self.fresh,
                                             FIRST_SINGLE + round_ * SINGLES)
                self.note(server.name, "ack_p50_ms", side.p(acks, 0.5))
                self.note(server.name, "strong_search_p50_ms", side.p(found, 0.5))
        self.say("acks and Strong searches are timed")

    def searching(self, nodes):
        requests = side.searches(self.queries, 1)
        for server in self.sides:
            throughput(server, requests, max(CLIENTS), 0.3)
        for _ in range(self.args.rounds):
            for clients in CLIENTS:
                for server in self.sides:
                    self.note(server.name, f"search_qps_{nodes}_nodes_{clients}_clients",
                              throughput(server, requests, clients, self.args.seconds))
        self.say(f"searched with {nodes} query node{'s' if nodes > 1 else ''}")


# --- the report --------------------------------------------------------------------------

def targets(found):
    """[(what, measured, the target's text, whether it is met)]"""
    parts = found["put_4k_p50_ms"]["cluster"], found["etcd_read_p50_ms"]["cluster"]
    most = sum(parts) + ACK_OVER_PARTS_MS
    ack, search, once, added = (found[what]["cluster"] for what in (
        "ack_p50_ms", "strong_search_p50_ms", "idle_once_mb", "idle_rss_mb"))
    return [("ack p50, ms", ack, f"<= put {parts[0]:.2f} + read {parts[1]:.2f}"
             f" + {ACK_OVER_PARTS_MS:g} = {most:.2f}", ack <= most),
            ("Strong search after a write p50, ms", search, f"<= {STRONG_SEARCH_MS:g}",
             search <= STRONG_SEARCH_MS),
            ("five daemons idle, shared pages once, MB", once, f"<= {IDLE_MB:g}",
             once <= IDLE_MB),
            ("the same, their resident sizes added up", added, f"<= {IDLE_MB:g}",
             added <= IDLE_MB)]


def report(found, about):
    who = list(found["start_s"])
    lines = [about, "", f"| | {' | '.join(who)} |", "|---|" + "--:|" * len(who)]
    for what, row in found.items():
        values = [side.shown(row[name]) if name in row else "" for name in who]
        lines.append(f"| {what} | {' | '.join(values)} |")
    lines += ["", "| TARGETS | measured | target | |", "|---|--:|---|---|"]
    for what, measured, bound, met in targets(found):
        lines.append(f"| {what} | {measured:.2f} | {bound} | {'met' if met else 'MISSED'} |")
    return lines


def save(lines, found):
    os.makedirs(os.path.join(servers.ROOT, "build/bench"), exist_ok=True)
    for ending, text in ((".md", "\n".join(lines)), (".json", json.dumps(found, indent=2))):
        with open(os.path.join(servers.ROOT, "build/bench/cluster" + ending), "w",
                  encoding="utf-8") as f:
            f.write(text + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each search measurement")
    args = parser.parse_args()
    args.rows = args.rows or (2_000 if args.quick else 50_000)
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.3 if args.quick else 1.0)
    with servers.Workplace() as place:
        found = Bench(args).run(place)
    lines = report(found, f"{args.rows} x 128, {os.cpu_count()} cores for servers and client, "
                          f"medians of {args.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print("\n".join(lines))
    save(lines, found)
    return 1 if not args.quick and not all(met for *_, met in targets(found)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.Missing as why:
        print(f"skip: {why}")

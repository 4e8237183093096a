"""deploy - lab 11: bring a cluster up, use it from several proxies, make it larger, hurt it.

Step by step, each explained, each command shown before it is run.  --with docker uses
docker-compose.yml, --with processes `elanus up`, which needs no Docker.  --yes asks nothing.

Exit status: 0 all went well; 1 a command failed, or the cluster did not recover; 2 wrong command
line, or what is needed is not installed; 3 the cluster did not come up.
"""
import argparse
import itertools
import os
import random
import sys
import textwrap
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "common"), HERE]
import lab  # noqa: E402
import pool  # noqa: E402
import ways  # noqa: E402
from pymilvus import MilvusException  # noqa: E402

NAME, DIM, ROWS, BATCH = "lab_11", 32, 6000, 2000
RECOVER_S = 60
CALM_S, AFTER_S = 0.5, 1.5

# Service of docker-compose.yml, process of `elanus up`, what it is, what its death means.
SERVICES = [
    ("etcd", "etcd", "the metadata: who owns what", "no takeover, no DDL; reads go on"),
    ("minio", "s3", "objects: log, segments, indexes", "writes wait; reads go on"),
    ("coord", "coord-1", "decides: DDL, owners, loads", "the standby leads within 3 s"),
    ("coord-standby", "coord-2", "the same program, waits to lead", "nothing"),
    ("datanode", "datanode-1, -2", "takes writes, keeps the log", "another takes its channels"),
    ("querynode", "querynode-1, -2", "holds segments, searches", "the other replica answers"),
    ("indexnode", "indexnode-1", "builds indexes", "builds wait; searches scan"),
    ("proxy", "proxy-1", "clients' door, 19530", "its clients use the other"),
    ("proxy-2", "proxy-2", "another door, 19531", "its clients use the other"),
]
KILLED = ["querynode", "datanode", "coord", "indexnode", "proxy"]


class Lab:
    """The cluster, a pool of its proxies, and what the steps hand to each other."""

    def __init__(self, arguments):
        self.asks = not arguments.yes
        self.way = ways.WAYS[arguments.with_](arguments)
        self.arguments = arguments
        self.pool = self.traffic = None
        self.ids, self.written, self.well = itertools.count(ROWS), [], True
        self.told, self.rng = set(), random.Random(11)

    @staticmethod
    def enter():
        try:
            input("   [Enter] to do it, ctrl-C to stop ")
        except EOFError:
            raise lab.Trouble("nobody is there to press Enter; --yes goes on without",
                              lab.USAGE) from None

    def ask_page(self, name):
        """A page, from whichever proxy is up."""
        trouble = None
        for grpc, ops in self.way.doors():
            try:
                return lab.Place(grpc, ops).page(name)
            except lab.Trouble as failed:
                trouble = failed
        raise trouble or lab.Trouble("no proxy is up", lab.INCOMPLETE)

    def step(self, title, *explained):
        lab.heading(title)
        for line in explained:
            print("   " + line)
        if self.asks:
            self.enter()
        sys.stdout.flush()


def wait(what, question):
    """Ask until the answer is true; seconds that took, or None, said aloud."""
    begin = time.monotonic()
    while time.monotonic() - begin < RECOVER_S:
        try:
            if question():
                return time.monotonic() - begin
        except (lab.Trouble, MilvusException):
            pass                        # on its way down or up; asked again
        time.sleep(0.2)
    print(f"   {what}: NOT within {RECOVER_S} s")
    return None


# --- 1 to 3: explained, up, verified -----------------------------------------------------------

def explain(self):
    self.step("1. What is deployed")
    lab.table(["COMPOSE", "ELANUS UP", "IS", "WHEN IT DIES"], [list(row) for row in SERVICES])


def bring_up(self):
    self.step("2. Up", "Order does not matter: each waits for what it needs, and says for what.")
    begin = time.monotonic()
    self.way.up()
    print(f"   ready after {time.monotonic() - begin:.1f} s")
    for line in self.way.list().splitlines():
        print("   " + line)


def verify(self):
    self.step("3. Verified: every process answers, and both proxies show the same rows")
    wait("all of them", lambda: not lab.lacks(self.ask_page("nodes")))
    nodes = self.ask_page("nodes")
    counts = {role: sum(n["role"] == role for n in nodes["items"]) for role in lab.ROLES}
    lab.table(["ROLE", "UP"], [[role, count] for role, count in counts.items()])
    print("   one coordinator leads; the others stand by")
    self.pool = pool.Pool([grpc for grpc, _ in self.way.doors()])
    fill(self)
    for address in self.pool.addresses:
        one = pool.Pool([address])
        print(f"   {address} counts {count(one):,} rows")
        one.close()


def vector(self):
    return [self.rng.random() for _ in range(DIM)]


def fill(self):
    if self.pool.call("has_collection", NAME):
        self.pool.call("drop_collection", NAME)
    first = self.pool._client(self.pool.addresses[0])
    schema = first.create_schema()
    schema.add_field("id", lab.DataType.INT64, is_primary=True)
    schema.add_field("vector", lab.DataType.FLOAT_VECTOR, dim=DIM)
    params = first.prepare_index_params()
    params.add_index("vector", index_type="HNSW", metric_type="L2", M=16, efConstruction=100)
    first.create_collection(NAME, schema=schema, index_params=params, num_shards=2)
    for start in range(0, ROWS, BATCH):
        first.insert(NAME, [{"id": start + i, "vector": vector(self)} for i in range(BATCH)])
    first.flush(NAME)
    first.release_collection(NAME)
    first.load_collection(NAME, replica_number=2)


def count(of):
    return of.call("query", NAME, filter="", output_fields=["count(*)"],
                   consistency_level="Strong")[0]["count(*)"]


# --- 4: the client's side ------------------------------------------------------------------------

SETTINGS = [
    ("addresses", "both proxies", "they share nothing: any answers any request"),
    ("connections", "one for each proxy", "gRPC carries many calls at once on one"),
    ("order", "in turn", "behind a proxy reads go to the less busy query node"),
    ("timeout", f"{pool.CALL_S} s a call", "a dead proxy costs no more than that, once"),
    ("rest", f"{pool.REST_S} s", "then a proxy that failed is tried again"),
    ("repeat", "reads, upserts", "an insert with automatic ids could come twice"),
    ("replica_number", "2", "each query node holds all: one may die"),
]


def balance(self):
    self.step("4. The client's side: a pool of both proxies (pool.py)")
    lab.table(["SETTING", "HERE", "WHY"], [list(row) for row in SETTINGS])
    for _ in range(200):
        search(self)
    print("   200 searches went to")
    lab.table(["PROXY", "ANSWERED"], [[a, n] for a, n in self.pool.answered.items()], indent=6)


def search(self):
    return self.pool.call("search", NAME, data=[vector(self)], limit=3,
                          consistency_level="Strong")


def write(self):
    """An upsert: when its answer was lost, the same row may come twice."""
    row = {"id": next(self.ids), "vector": vector(self)}
    self.pool.call("upsert", NAME, [row])
    self.written.append(row["id"])


# --- 5: larger -----------------------------------------------------------------------------------

def holders(self):
    """{query node: [segments, rows]}."""
    found = {n["name"]: [0, 0] for n in self.ask_page("nodes")["items"]
             if n["role"] == "querynode" and n["state"] == "up"}
    for segment in self.ask_page(f"segments?collection={NAME}")["items"]:
        for holder in segment["held_by"]:
            if holder["node"] in found:
                found[holder["node"]][0] += 1
                found[holder["node"]][1] += segment["rows"] or 0
    return found


def scale(self):
    self.step(f"5. {self.way.scale_to} query nodes",
              "A new one registers, and the leading coordinator gives it to a replica,",
              "with its share of the channels and segments.")
    self.way.scale()
    took = wait("a third query node with a share",
                lambda: sum(held[0] > 0 for held in holders(self).values()) >= self.way.scale_to)
    self.well = self.well and took is not None
    if took is not None:
        print(f"   it has its share after {took:.1f} s")
        lab.table(["NODE", "SEGMENTS", "ROWS"],
                  [[name, *held] for name, held in sorted(holders(self).items())])


# --- 6: killed, one after the other --------------------------------------------------------------

MEANS = {
    "querynode": "Its segments are on the other replica too; what it held is loaded elsewhere.",
    "datanode": "Its channels get another owner and a new epoch: the old one could write no more.",
    "coord": "The standby leads. Reads and writes do not ask a coordinator.",
    "indexnode": "It was the only one: no request notices; builds wait until it is back.",
    "proxy": "Its connections break; the pool asks the other one.",
}


def cursor(self):
    """Where the event log ends now."""
    return self.ask_page("events?most=1")["next"]


def since(self, mark):
    """Events after a mark, oldest first, of all nodes that live."""
    found = []
    while True:
        page = self.ask_page(f"events?after={mark}&most=200")
        found += page["items"]
        mark = page["next"]
        if not page["items"]:
            return sorted(found, key=lambda event: event["at_us"])


# Steps of a failover; those of loads, flushes and index builds would hide them.
STEPS = ("suspect", "takeover", "sealed", "active", "switched", "leader", "join", "leave")


def tell_events(self, found, begin_us):
    """Steps of a failover, each when it first happened, and at whom; what it means is told the
    first time in this lab."""
    first, whom = {}, {}
    for event in found:
        if event["step"] in STEPS and event["at_us"] >= begin_us:
            first.setdefault(event["event"], event)
            whom.setdefault(event["event"], set()).add(event["node"])
    for name, event in first.items():
        names = sorted(whom[name])
        after = f"{(event['at_us'] - begin_us) / 1e6:.1f} s"
        print(f"   {after:>6}  {event['step']:<9} {name:<17} "
              + (", ".join(names) if len(names) < 3 else f"{len(names)} nodes"))
        if name not in self.told:
            self.told.add(name)
            print(textwrap.fill(f"{event['about']} [{event['source']}]", 98,
                                initial_indent=" " * 11, subsequent_indent=" " * 11))
    if not first:
        print("      no step of a failover: nobody had to do anything")


def leader(self):
    nodes = self.ask_page("nodes")
    return next((node for node in nodes["items"] if node["name"] == nodes["leader"]), None)


def up_now(self):
    """{role: how many are up}, and the leader's name."""
    nodes, found = self.ask_page("nodes"), {}
    for node in nodes["items"]:
        found[node["role"]] = found.get(node["role"], 0) + (node["state"] == "up")
    return found, nodes["leader"]


def owned(self):
    """Every channel of the collection has an owner that takes writes."""
    mine = [channel for channel in self.ask_page("channels")["items"] if channel["vchannels"]]
    return all(channel["state"] == "active" for channel in mine)


def recovered(self, role, counts, before):
    """Is it gone, and does the cluster do without it?"""
    up, leads = up_now(self)
    if role == "coord" and leads in (None, before["name"]) or up.get(role, 0) == counts[role]:
        return False
    write(self)
    search(self)
    return role != "datanode" or owned(self)


def is_back(self, counts):
    up, _ = up_now(self)
    return all(up.get(role, 0) >= most for role, most in counts.items())


def hurt(self, role):
    self.step(f"6. Killed: {role}", MEANS[role])
    before, mark, (counts, _) = leader(self), cursor(self), up_now(self)
    time.sleep(CALM_S)
    for one in self.traffic:
        one.begin()
    begin_us = time.time() * 1e6
    name = self.way.kill(role, before)
    took = wait("recovered", lambda: recovered(self, role, counts, before))
    if took is not None:
        print(f"   recovered after {took:.1f} s")
        time.sleep(AFTER_S)
    print("   what the clients saw:")
    lab.table(["CLIENT", "WELL", "FAILED", "LONGEST GAP"], [one.row() for one in self.traffic])
    print("   what the event log says:")
    tell_events(self, since(self, mark), begin_us)
    self.way.back(name)
    back = wait(f"{name} is back", lambda: is_back(self, counts))
    if back is not None:
        print(f"   {name} is back after {back:.1f} s")
    self.well = self.well and None not in (took, back)


def kill_each(self):
    self.traffic = [pool.Traffic("writes", lambda: write(self)),
                    pool.Traffic("searches", lambda: search(self))]
    for one in self.traffic:
        one.start()
    try:
        for role in self.arguments.kill:
            hurt(self, role)
    finally:
        for one in self.traffic:
            one.stop()
    there = count(self.pool)
    lost = there < ROWS + len(self.written)
    print(f"\n   {ROWS:,} + {len(self.written):,} rows were acknowledged, {there:,} are there"
          + (": ROWS ARE LOST" if lost else ""))
    self.well = self.well and not lost


# --- 7: gone --------------------------------------------------------------------------------------

def clean(self):
    self.step("7. Clean up")
    self.pool.call("drop_collection", NAME)
    self.pool.close()
    self.way.down()
    self.way.erase()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--with", dest="with_", choices=sorted(ways.WAYS), default="processes")
    parser.add_argument("--yes", action="store_true", help="go on without asking")
    parser.add_argument("--dir", default="./lab-11", help="with processes: an empty directory")
    parser.add_argument("--port", type=int, default=19530,
                        help="with processes: of the first proxy; 0: any")
    parser.add_argument("--kill", type=lambda text: [w for w in text.split(",") if w],
                        default=KILLED, metavar="ROLE,ROLE", help="which to kill (all five)")
    arguments = parser.parse_args()
    unknown = set(arguments.kill) - set(KILLED)
    if unknown:
        parser.error(f"--kill: no role {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(KILLED)}")
    return arguments


def main():
    self = Lab(parse())
    self.way.look()
    try:
        for one in (explain, bring_up, verify, balance, scale, kill_each, clean):
            one(self)
    except BaseException:
        self.way.abandon()
        raise
    print(f"\n{'All went well.' if self.well else 'Something did not: see NOT above.'}")
    return lab.GOOD if self.well else lab.BROKEN


if __name__ == "__main__":
    lab.run(main)

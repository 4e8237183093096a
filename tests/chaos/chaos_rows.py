"""chaos_rows - the fault table: what is done, and how soon it must be over.

A row's `act` runs beside the workload, in the main thread.  `kinds` are the
operations whose longest gap between two answers is the window, for each kind and
collection: from the fault on ("gap"), from the moment the cause is gone until the
first answer ("resume"); or "ratio", how often p99 while it lasts is p99 before, or
"told", what the act says itself by the marks "fault" and "done".
`spotless` tells which requests may not fail at all, `of` whose count for the window,
`injected` what the wires must have done for the run to mean anything.
"""
import dataclasses
import time
import typing

import chaos_check
import chaos_load
import servers

READS = ("search", "query", "get", "count")
WRITES = ("insert", "upsert", "delete")
ALL = READS + WRITES


def is_read(op):
    return op["op"] in READS


def is_weak(op):
    return is_read(op) and op["level"] != "Strong"


def is_row(op):
    return op["op"] in ALL


def first_proxy(op):
    return op["proxy"] == 0


def other_proxy(op):
    return op["proxy"] == 1


def nothing(op):
    return False


@dataclasses.dataclass
class Row:
    number: int
    title: str
    act: typing.Callable                # of a World
    kinds: tuple
    target: float                       # seconds, or the ratio
    measure: str = "gap"                # "resume", "ratio", "told"
    spotless: typing.Callable = nothing
    of: typing.Callable = None
    counts: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    wired: tuple = ()
    injected: tuple = ()
    replicas: int = 1
    index: str = "FLAT"
    before_s: float = 3
    after_s: float = 6


# --- faults ---------------------------------------------------------------------------

def kill(*names):
    return lambda world: world.kill(*names)


def kill_leader(world):
    world.kill(world.leader())


def kill_and_start(*names, after=0.5):
    def act(world):
        world.kill(*names)
        time.sleep(after)
        world.start(*names)
        if not world.store(names[0]):
            world.ready(*names)
            world.mark("heal")
    return act


def kill_store(name, seconds):
    """Whoever runs the store starts it again; it counts from when it serves."""
    def act(world):
        world.kill(name)
        time.sleep(seconds)
        world.start(name)
    return act


def pause(*names, seconds):
    def act(world):
        world.pause(*names)
        time.sleep(seconds)
        world.start(*names)
    return act


def pause_leader(seconds):
    return lambda world: pause(world.leader(), seconds=seconds)(world)


def kill_all(world):
    everyone = list(world.at_start)
    world.kill(*everyone, "etcd", "s3")
    world.mark("heal")                          # from here on it is starting
    begun = time.monotonic()
    world.start("etcd", "s3", *everyone)
    world.marks["heal"] = begun


def cut(wires, who, seconds, what=None):
    def act(world):
        world.spoil(what or {"cut": "both"}, *who, wires=wires)
        time.sleep(seconds)
        world.mend()
    return act


def between(roles, who, seconds, what):
    """Links from some processes to all nodes of some roles."""
    return lambda world: cut(world.nodes(*roles), who, seconds, what)(world)


def restart_reader_under(rule):
    """Bad bytes while a query node starts and reads everything again."""
    def act(world):
        world.spoil(rule, wires=["s3"])
        world.kill("querynode-1")
        time.sleep(0.5)
        world.start("querynode-1")
        time.sleep(8)
        world.mend()
    return act


def put_late(world):
    """A data node's last puts land after its channels were taken over; later the one that
    took over dies, too, and what lies beyond the seal is there to be believed."""
    world.rule("s3", {"late_s": [4, 8]}, "datanode-1")
    time.sleep(0.4)
    world.kill("datanode-1")
    time.sleep(1)
    world.start("datanode-1")
    time.sleep(9)
    marked = world.marks["fault"]
    world.mend()
    world.kill("datanode-2")
    time.sleep(1)
    world.start("datanode-2")
    world.marks["fault"] = marked


def list_late(world):
    world.rule("s3", {"lag_s": 5})
    time.sleep(1)
    world.kill("datanode-1")
    time.sleep(6)
    world.mend()


def kill_builder(world):
    """Half of the builds are given to a node that stands still, and dies with them.

    What counts is how long it takes from its death until every row is indexed; the
    searches after that are still right."""
    calls, name, rows = chaos_load.Calls(world.proxies[-1]), "indexed", 10000
    calls.create(name, index=None)
    for n in range(4):
        calls.write("insert", name, range(n * rows + 1, (n + 1) * rows + 1), 1)
        calls.flush(name)
    world.pause("indexnode-1")
    calls.index(name, "IVF_FLAT")
    time.sleep(0.6)
    world.kill("indexnode-1")
    world.check("IVF_FLAT was built over all rows before its builder died, so nothing was shown",
                not calls.indexed(name, 4 * rows))
    servers.wait_for("builds of a dead node to be done", 30,
                     lambda: calls.indexed(name, 4 * rows))
    world.mark("done")
    calls.load(name)
    servers.wait_for("the indexed collection to be loaded", 30, lambda: calls.loaded(name))
    for pk in (7, 3 * rows + 7):
        found = calls.search(name, chaos_check.vector(pk, 1), "Strong")
        world.check(f"{name}: the nearest to key {pk} is {found[:1]}",
                    bool(found) and found[0][2] == 0.0)
    calls.close()


def minority(world):
    """A data node and a proxy believe each other, and hear of nobody's decisions."""
    few, coords = ("datanode-1", "proxy-1"), world.nodes("coord")
    world.rule("etcd", {"cut": "both"}, *few)
    for name in coords:
        world.rule(name, {"cut": "both"}, *few)
    world.spoil({"cut": "both"}, *coords, wires=["datanode-1"])
    time.sleep(8)
    world.mend()


def roll(world):
    world.mark("fault")
    for name in sorted(world.at_start):
        world.leave(name)
        world.start(name)
        world.ready(name)


# The log is all there is: nothing is flushed, and a replay begins at its beginning.
UNFLUSHED = {"dataNode.segment.syncPeriod": 600, "dataCoord.segment.sealProportion": 1}
BIG_SEGMENTS = {"dataCoord.segment.sealProportion": 0.3}
CHAOTIC = {"twice": 0.1, "swap": 0.1, "later": 0.05}
NODES = ("coord", "datanode", "querynode", "indexnode")

ROWS = [
    Row(1, "query node killed, 2 replicas", kill("querynode-1"), READS, 1.0, replicas=2,
        spotless=is_read),
    Row(2, "query node killed, 1 replica", kill("querynode-1"), READS, 3.0),
    Row(3, "data node killed", kill("datanode-1"), WRITES, 1.5),
    Row(4, "leading coord killed, a standby", kill_leader, ("ddl",), 3.0, spotless=is_row),
    Row(5, "sole coord killed, started again", kill_and_start("coord-1"), ("ddl",), 3.0,
        measure="resume", spotless=is_row, counts={"coords": 1}),
    Row(6, "proxy killed, started again", kill_and_start("proxy-1"), ALL, 1.0,
        measure="resume", of=first_proxy, spotless=other_proxy),
    Row(7, "index node killed in the middle of builds", kill_builder, (), 3.0, measure="told",
        spotless=is_row, counts={"indexnodes": 2}, settings=BIG_SEGMENTS),
    Row(8, "etcd down for 10 s", kill_store("etcd", 10), WRITES, 2.0, measure="resume",
        spotless=is_weak),
    Row(9, "MinIO down for 10 s", kill_store("s3", 10), WRITES, 2.0, measure="resume",
        spotless=is_read),
    Row(10, "everything killed at once", kill_all, ALL, 10.0, measure="resume", after_s=14),
    Row(12, "every daemon restarted in turn", roll, ALL, 3.0),
    Row(13, "data node stands still for 30 s", pause("datanode-1", seconds=30), WRITES, 3.0),
    Row(14, "query node stands still for 30 s", pause("querynode-1", seconds=30), READS, 1.0,
        replicas=2),
    Row(15, "leading coord stands still for 30 s", pause_leader(30), ("ddl",), 3.0,
        spotless=is_row),
    Row(16, "etcd stands still for 15 s", pause("etcd", seconds=15), WRITES, 2.0,
        measure="resume", spotless=is_weak),
    Row(17, "MinIO stands still for 15 s", pause("s3", seconds=15), WRITES, 5.0,
        measure="resume", spotless=is_read),
    Row(18, "data node cut off from etcd", cut(["etcd"], ["datanode-1"], 10), WRITES, 3.0,
        wired=("etcd",)),
    Row(19, "data node cut off from MinIO", cut(["s3"], ["datanode-1"], 10), WRITES, 5.0,
        wired=("s3",)),
    Row(20, "leading coord cut off from data nodes",
        lambda world: between(["datanode"], [world.leader()], 8, {"cut": "both"})(world),
        WRITES, 3.0, wired=("nodes",)),
    Row(21, "a proxy's links to nodes are refused",
        between(["datanode", "querynode"], ["proxy-1"], 8, {"reject": True}), ALL, 1.0,
        wired=("nodes",), of=other_proxy, spotless=other_proxy, injected=("rejected",)),
    Row(22, "data nodes' words to query nodes are lost",
        lambda world: between(["datanode"], world.nodes("querynode"), 8, {"cut": "down"})(world),
        WRITES, 3.0, wired=("nodes",), injected=("held",)),
    Row(23, "all links slow, 100 ms more or less",
        between(NODES, [], 8, {"delay_ms": 100, "jitter_ms": 50}), ALL, 3.0, wired=("nodes",)),
    Row(24, "messages come twice, late, out of order", between(NODES, [], 8, CHAOTIC), ALL, 3.0,
        wired=("nodes",), injected=("twice", "swapped", "later")),
    Row(25, "MinIO answers 500, resets after it did it",
        cut(["s3"], [], 10, {"fail": 0.1, "reset": 0.05}), WRITES, 3.0, measure="ratio",
        wired=("s3",), injected=("failed", "reset"), before_s=6),
    Row(26, "MinIO's objects come damaged",
        restart_reader_under({"flip": 0.1, "cut_short": 0.1}), READS, 3.0, replicas=2,
        wired=("s3",), injected=("flipped", "cut short")),
    Row(27, "puts land after the seal", put_late, WRITES, 3.0, wired=("s3",),
        settings=UNFLUSHED, injected=("late", "landed 200")),
    Row(28, "lists lag by 5 s", list_late, WRITES, 3.0, wired=("s3",), injected=("left out",)),
    Row(36, "data node and proxy on the wrong side", minority, WRITES, 3.0,
        wired=("etcd", "nodes"), of=other_proxy, injected=("held",)),
]

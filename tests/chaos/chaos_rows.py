"""chaos_rows - the fault table: what is done, and how soon it must be over.

A row's `act` runs beside the workload, in the main thread.  `kinds` are the
operations whose longest gap between two answers is the window, measured for each
kind and collection from the fault on ("gap"), or from the moment the cause is gone
until the first answer ("resume").  `spotless` kinds may not fail at all.
"""
import dataclasses
import time
import typing

READS = ("search", "query", "get", "count")
WRITES = ("insert", "upsert", "delete")
ALL = READS + WRITES
STRONG, WEAK = "Strong", "weak"


@dataclasses.dataclass
class Row:
    number: int
    title: str
    act: typing.Callable                # of a World
    kinds: tuple
    target_s: float
    measure: str = "gap"                # or "resume"
    spotless: tuple = ()                # kinds, or (kind, "weak")
    counts: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    replicas: int = 1
    index: str = "FLAT"
    before_s: float = 3
    after_s: float = 6


def kill(*names):
    return lambda world: world.kill(*names)


def kill_leader(world):
    world.kill(world.leader())


def kill_and_start(*names, after=0.5):
    def act(world):
        world.kill(*names)
        time.sleep(after)
        world.start(*names)
    return act


def pause(*names, seconds):
    def act(world):
        world.pause(*names)
        time.sleep(seconds)
        world.start(*names)
    return act


ROWS = [
    Row(1, "query node killed, 2 replicas", kill("querynode-1"), READS, 1.0, spotless=READS,
        replicas=2),
    Row(2, "query node killed, 1 replica", kill("querynode-1"), READS, 3.0),
    Row(3, "data node killed", kill("datanode-1"), WRITES, 1.5),
    Row(4, "leading coord killed, a standby", kill_leader, ("ddl",), 3.0, spotless=ALL),
]

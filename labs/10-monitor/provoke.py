"""provoke - lab 10: three ways to make an alert fire, each undone at the end.

A way gets the place, the command line and a function that tells which alerts fire now.
"""
import random
import subprocess
import threading
import time

import lab

NAME, FILLED = "lab_10_provoked", "lab_10"
DIM, BATCH = 64, 2000
ASK_AGAIN_S = 0.25


def wait(what, seconds, question):
    """The first answer that is true, and how long it took; (None, …) when there was none."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        answer = question()
        if answer:
            return answer, time.monotonic() - begin
        time.sleep(ASK_AGAIN_S)
    print(f"   {what}: not within {seconds:g} s")
    return None, seconds


def first(fires, wanted, about=()):
    """The first alert of this name that fires, as a question for wait(); about: only those
    of nodes whose names begin so."""
    return lambda: next((text for name, text in fires() if name == wanted and
                         (not about or text.startswith(about))), None)


def story(before, seconds, undo, asked):
    """Watch an alert fire and end.
    before: what was done; undo: (what, call) that ends it; asked: of first()"""
    print(f"   {before}", flush=True)
    fired, took = wait("the alert", seconds, asked)
    if fired:
        print(f"   fired after {took:.1f} s: {fired}")
    print(f"   {undo[0]}", flush=True)
    undo[1]()
    over, took = wait("its end", seconds, lambda: not asked())
    if over:
        print(f"   over after {took:.1f} s")
    return lab.GOOD if fired and over else lab.ALERT


def rows(rng, count, start):
    return [{"id": start + i, "vector": [rng.random() for _ in range(DIM)]}
            for i in range(count)]


def collection(client, name=NAME):
    """An empty collection, loaded."""
    if client.has_collection(name):
        client.drop_collection(name)
    client.create_collection(name, dimension=DIM, metric_type="L2")


# --- rows to look at ------------------------------------------------------------------------------

def fill(place):
    client, rng = place.client(), random.Random(9)
    collection(client, FILLED)
    for start in range(0, 3 * BATCH, BATCH):
        client.insert(FILLED, rows(rng, BATCH, start))
    client.flush(FILLED)
    wait("the index", 60, lambda: client.describe_index(FILLED, "vector")["state"] == "Finished")
    client.insert(FILLED, rows(rng, BATCH // 4, 3 * BATCH))
    counted = client.query(FILLED, filter="", output_fields=["count(*)"],
                           consistency_level="Strong")[0]["count(*)"]
    print(f"   collection {FILLED} has {counted:,} rows of {DIM} dimensions")
    return lab.GOOD


def clean(place):
    place.client().drop_collection(FILLED)
    print(f"   collection {FILLED} is dropped")
    return lab.GOOD


# --- load: searches from several threads -------------------------------------------------------

class Searchers:
    """Threads that search until they are stopped."""

    def __init__(self, place, count):
        self.ended = threading.Event()
        self.done = 0
        self.threads = [threading.Thread(target=self.run, args=(place.client(), seed))
                        for seed in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, client, seed):
        rng = random.Random(seed)
        questions = [[rng.random() for _ in range(DIM)] for _ in range(50)]
        while not self.ended.is_set():
            client.search(NAME, data=questions, limit=10, consistency_level="Eventually")
            self.done += len(questions)
        client.close()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def load(place, arguments, fires):
    lab.heading(f"Provoked: searches, until a node uses more than {arguments.max_cpu:g} % CPU")
    client, rng = place.client(), random.Random(10)
    collection(client)
    for start in range(0, 10 * BATCH, BATCH):
        client.insert(NAME, rows(rng, BATCH, start))
    client.flush(NAME)
    searchers = Searchers(place, 4)
    try:
        return story(f"{10 * BATCH:,} rows are there, 4 threads search them",
                     arguments.seconds, ("the threads stop", searchers.stop),
                     first(fires, "CPU", ("querynode", "standalone")))
    finally:
        searchers.stop()
        client.drop_collection(NAME)


# --- grow: rows that nobody flushes --------------------------------------------------------------

def grow(place, arguments, fires):
    lab.heading(f"Provoked: more than {arguments.max_growing:,} rows in memory, not flushed")
    client, rng = place.client(), random.Random(10)
    collection(client)
    most, asked = 2 * arguments.max_growing + BATCH, first(fires, "GROWING")
    try:
        for start in range(0, most, BATCH):
            client.insert(NAME, rows(rng, BATCH, start))
            if asked():
                break
        return story(f"{start + BATCH:,} rows are in", arguments.seconds,
                     ("flush", lambda: client.flush(NAME)), asked)
    finally:
        client.drop_collection(NAME)


# --- kill: a query node of `elanus up` -----------------------------------------------------------

def order(arguments, word, name):
    print(f"   $ elanus {word} --dir {arguments.dir} {name}")
    subprocess.run([lab.elanus(), word, "--dir", arguments.dir, name], check=True,
                   capture_output=True, timeout=60)


def kill(place, arguments, fires):
    lab.heading("Provoked: a query node is killed")
    if not arguments.dir:
        raise lab.Trouble("--provoke kill needs a cluster of `elanus up`: --dir DIR\n"
                          "  with Docker: docker compose kill querynode, while --watch 1 runs",
                          lab.USAGE)
    there = [one["name"] for one in lab.processes(arguments.dir)
             if one["name"].startswith("querynode-") and one["state"] == "ready"]
    if not there:
        raise lab.Trouble(f"no query node runs in {arguments.dir}: "
                          f"elanus add --dir {arguments.dir} querynode", lab.INCOMPLETE)
    arguments.min_querynodes = max(arguments.min_querynodes, len(there))
    order(arguments, "kill", there[0])
    return story(f"{len(there)} query nodes have to be up", arguments.seconds,
                 ("it is started again", lambda: order(arguments, "resume", there[0])),
                 first(fires, "QUERYNODES"))


WAYS = {"load": load, "grow": grow, "kill": kill}

"""demo_cluster - the second half of `make demo`: a cluster that loses nodes at work.

`elanus up` starts etcd, an S3 server, two coordinators, two data nodes, two query nodes, an
index node and a proxy.  The same sentences go in; then, while one client inserts and another
searches, a query node and a data node are killed.  What the two clients saw is counted.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import servers
from pymilvus import MilvusClient

FIRST_ID = 1_000_000        # of the rows that come in during the trouble
CALM_S, AFTER_S = 2.0, 5.0


class Cluster:
    """`elanus up` in a directory of its own."""

    def __init__(self):
        self.program = servers.binary("elanus")
        self.dir = tempfile.mkdtemp(prefix="elanus-demo-")
        self.words = ["up", "--dir", self.dir, "--port", "0", "--coords", "2", "--datanodes", "2",
                      "--querynodes", "2"]
        self.process = None

    def start(self):
        """The proxy's address; None, with a reason printed, when the stores are not there."""
        print(f"$ build/bin/elanus {' '.join(self.words)}")
        self.process = subprocess.Popen([self.program, *self.words], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = []
        for line in self.process.stdout:
            said.append(line)
            found = re.match(r"elanus ready grpc=(\S+)", line)
            if found:
                return found.group(1)
        print("    skipped, no cluster: " + (said[-1].strip() if said else "it said nothing"))
        return None

    def order(self, *words):
        print(f"$ build/bin/elanus {words[0]} --dir … {' '.join(words[1:])}")
        done = subprocess.run([self.program, words[0], "--dir", self.dir, *words[1:]], text=True,
                              capture_output=True, check=True)
        return done.stdout.rstrip()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        shutil.rmtree(self.dir, ignore_errors=True)


class Client(threading.Thread):
    """Does one thing over and over, and remembers how it went."""

    def __init__(self, address, act):
        super().__init__(daemon=True)
        self.client = MilvusClient(uri=f"http://{address}")
        self.act, self.ended = act, threading.Event()
        self.good, self.errors, self.gap = 0, [], 0.0

    def run(self):
        last = time.monotonic()
        while not self.ended.is_set():
            try:
                self.act(self.client, self.good)
                self.good += 1
                now = time.monotonic()
                self.gap, last = max(self.gap, now - last), now
            except Exception as error:      # a demo counts whatever a client may see
                self.errors.append(" ".join(str(error).split())[:120])
            time.sleep(0.005)
        self.client.close()

    def stop(self):
        self.ended.set()
        self.join()

    def summary(self, what):
        print(f"    {what:<9} {self.good:>5} succeeded   {len(self.errors):>3} failed   "
              f"longest time without one {self.gap * 1000:>6,.0f} ms")
        if self.errors:
            print(f"              first failure: {self.errors[0]}")


def noise(demo):
    """Rows that no question finds: random directions, a kind of their own."""
    rng = random.Random(2)

    def act(client, number):
        row = {"id": FIRST_ID + number, "vector": [rng.gauss(0, 1) for _ in range(384)],
               "name": "noise", "module": "noise", "kind": "noise", "words": 0, "sentence": ""}
        # An upsert: when its answer was lost in a crash the same row may come twice.
        client.upsert(demo.NAME, [row])
    return act


def question(demo, vector):
    def act(client, _):
        client.search(demo.NAME, data=[vector.tolist()], limit=3, consistency_level="Strong")
    return act


def trouble(demo, cluster, address, vector):
    clients = [Client(address, noise(demo)), Client(address, question(demo, vector))]
    for one in clients:
        one.start()
    time.sleep(CALM_S)
    for node in ("querynode-1", "datanode-1"):
        print("    " + cluster.order("kill", node))
        time.sleep(AFTER_S)
    for one in clients:
        one.stop()
    print(f"\nWhat the clients saw in these {CALM_S + 2 * AFTER_S:.0f} seconds:")
    clients[0].summary("writes")
    clients[1].summary("searches")
    return clients[0].good


def check(demo, client, rows, written):
    counted = client.query(demo.NAME, filter="", output_fields=["count(*)"],
                           consistency_level="Strong")[0]["count(*)"]
    print(f"    {counted} rows are there; {rows} + {written} were acknowledged")
    # The row under way when it was stopped may have arrived without an answer.
    return rows + written <= counted <= rows + written + 1


def run(demo, rows, vectors, asked, expected):
    """True when the cluster kept every promise, or could not be started here."""
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    print("\nThe same as a cluster: separate processes, metadata in etcd, rows in an S3 server")
    cluster = Cluster()
    try:
        address = cluster.start()
        if not address:
            return True
        client = MilvusClient(uri=f"http://{address}")
        demo.make_collection(client, replicas=2)
        demo.fill(client, rows, vectors)
        same = demo.ask(client, asked) == expected
        print(f"    the answers are {'the same' if same else 'NOT the same'} as in one process")
        print("\nNow one client inserts, one searches, and nodes die:")
        written = trouble(demo, cluster, address, asked[0])
        kept = check(demo, client, len(rows), written)
        same = same and demo.ask(client, asked) == expected
        print(f"    and the questions have {'the same answers' if same else 'OTHER answers'}\n")
        print(cluster.order("ps"))
        client.close()
        return same and kept
    finally:
        cluster.stop()

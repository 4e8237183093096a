"""test_failures - what clients see when parts of a cluster die, stand still, or are replaced.

Method: a cluster of its own (2 proxies, 2 coords, 2 data nodes, 2 query nodes) on real etcd and
S3; writers and readers ask all the time, each request once and without a retry of its own, while
daemons are killed, paused, or restarted one after the other.  No request may fail, none may take
longer than the target, and every acknowledged row is there in the end.
Runs with: cluster 3.0.2
"""
import os
import random
import signal
import threading
import time
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from milvus_case import DataType, MilvusClient
import servers

T = 30
DIM = 8


class Load:
    """Writers and readers of one collection, at each of these proxies."""

    def __init__(self, name, proxies):
        self.name = name
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.done, self.failed, self.acked = [], [], set()
        self.threads = [threading.Thread(target=self.run, args=(kind, number, proxy))
                        for number, proxy in enumerate(proxies) for kind in "wr"]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, kind, number, proxy):
        client = MilvusClient(uri=f"http://{proxy.grpc}")
        for turn in range(10 ** 6):
            if self.over.is_set():
                break
            begin = time.monotonic()
            try:
                self.ask(client, kind, number * 10 ** 6 + turn)
                with self.lock:
                    self.done.append((kind, begin, time.monotonic()))
            except Exception as e:
                with self.lock:
                    self.failed.append((kind, proxy.name, time.monotonic() - begin, str(e)[:300]))
            time.sleep(0.005)
        client.close()

    def ask(self, client, kind, pk):
        if kind == "w":
            client.insert(self.name, [{"id": pk, "v": [random.random()] * DIM}], timeout=T)
            with self.lock:
                self.acked.add(pk)
        else:
            client.search(self.name, [[0.5] * DIM], limit=3, timeout=T)

    def go_on(self, kind="wr", more=20, seconds=10):
        """Return when so many more requests of each kind have been answered."""
        with self.lock:
            before = len(self.done)
        def enough():
            with self.lock:
                got = [k for k, _, _ in self.done[before:]]
            return all(got.count(k) >= more for k in kind)
        servers.wait_for(f"{more} more answers of {kind}", seconds * servers.patience(), enough)

    def slowest(self, kind, since):
        with self.lock:
            return max((end - begin for k, begin, end in self.done if k == kind and end > since),
                       default=0)


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        etcd, s3 = cls.place.stores()
        roles = {"coord": 2, "datanode": 2, "querynode": 2, "indexnode": 0, "proxy": 2}
        cls.cluster = servers.Cluster(cls.place, etcd, s3, roles=roles).start()
        cls.proxies = cls.cluster.of("proxy")

    def setUp(self):
        self.client = MilvusClient(uri=f"http://{self.proxies[0].grpc}")
        self.addCleanup(self.client.close)

    def make(self, name, replicas=1):
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="FLAT", metric_type="L2")
        self.client.create_collection(name, schema=schema, num_shards=2, timeout=T,
                                      consistency_level="Strong")
        self.client.create_index(name, index, timeout=T)
        self.client.load_collection(name, replica_number=replicas, timeout=T)
        self.addCleanup(self.client.drop_collection, name, timeout=T)

    def hurt(self, load, what, hurt, targets):
        """Nothing fails, and the slowest request of each kind keeps its target (seconds)."""
        load.go_on()
        begin = time.monotonic()
        hurt()
        load.go_on(more=40, seconds=20)
        for kind, most in targets.items():
            took = load.slowest(kind, begin)
            print(f"note: {what}: slowest {'write' if kind == 'w' else 'search'} {took:.2f} s")
            self.assertLess(took, most * servers.patience(), what)
        self.assertEqual(load.failed, [], what)

    @staticmethod
    def again(daemon):
        daemon.wait()
        daemon.start()
        daemon.ready()

    def holds(self, load):
        for proxy in self.proxies:
            client = MilvusClient(uri=f"http://{proxy.grpc}")
            found = client.query(load.name, "", output_fields=["count(*)"], timeout=T)
            self.assertGreaterEqual(found[0]["count(*)"], len(load.acked))
            client.close()

    def test_a_query_node_of_two_replicas(self):
        self.make("two", replicas=2)
        one, other = self.cluster.of("querynode")
        with Load("two", self.proxies) as load:
            self.hurt(load, "query node paused, 2 replicas", one.pause, {"r": 1})
            one.resume()
            self.hurt(load, "query node killed, 2 replicas", other.kill, {"r": 1})
        self.again(other)
        self.holds(load)

    def test_the_only_query_node_of_a_shard(self):
        self.make("one")
        with Load("one", self.proxies) as load:
            for number, node in enumerate(self.cluster.of("querynode")):
                self.hurt(load, f"query node {number} killed, 1 replica", node.kill, {"r": 3})
                self.again(node)
        self.holds(load)

    def test_a_data_node(self):
        self.make("written")
        with Load("written", self.proxies) as load:
            for number, node in enumerate(self.cluster.of("datanode")):
                self.hurt(load, f"data node {number} killed", node.kill, {"w": 6, "r": 6})
                self.again(node)
        self.holds(load)

    def test_coordinators(self):
        self.make("led")
        with Load("led", self.proxies) as load:
            for coord in self.cluster.of("coord"):
                self.hurt(load, f"{coord.name} killed", coord.kill, {"w": 1, "r": 1})
                self.again(coord)
        self.holds(load)

    def test_a_proxy(self):
        self.client = MilvusClient(uri=f"http://{self.proxies[1].grpc}")
        self.addCleanup(self.client.close)
        self.make("behind")
        with Load("behind", self.proxies[1:]) as load:
            self.hurt(load, "the other proxy killed", self.proxies[0].kill, {"w": 1, "r": 1})
            self.again(self.proxies[0])
        self.holds(load)

    def test_nodes_are_replaced_one_by_one(self):
        self.make("rolling")
        with Load("rolling", self.proxies) as load:
            for role in ("querynode", "datanode", "coord"):
                for daemon in self.cluster.of(role):
                    self.hurt(load, f"{daemon.name} restarted",
                              lambda it=daemon: (it.signal(signal.SIGTERM), self.again(it)),
                              {"w": 6, "r": 6})
                    self.assertEqual(daemon.alive(), True)
        self.holds(load)

    def test_what_one_proxy_did_the_other_knows(self):
        clients = [self.client, MilvusClient(uri=f"http://{self.proxies[1].grpc}")]
        self.addCleanup(clients[1].close)
        for turn in range(6):
            one, other = clients[turn % 2], clients[1 - turn % 2]
            name = f"shared{turn}"
            one.create_collection(name, dimension=DIM, consistency_level="Strong", timeout=T)
            self.assertEqual(other.describe_collection(name, timeout=T)["collection_name"], name)
            other.insert(name, [{"id": 1, "vector": [0.1] * DIM}], timeout=T)
            found = one.search(name, [[0.1] * DIM], limit=1, timeout=T)
            self.assertEqual([hit["id"] for hit in found[0]], [1])
            other.create_alias(name, f"also{turn}", timeout=T)
            one.insert(f"also{turn}", [{"id": 2, "vector": [0.2] * DIM}], timeout=T)
            count = other.query(name, "", output_fields=["count(*)"], timeout=T)
            self.assertEqual(count[0]["count(*)"], 2)
            one.drop_alias(f"also{turn}", timeout=T)
            one.drop_collection(name, timeout=T)
            self.assertFalse(other.has_collection(name, timeout=T))

"""test_builders - an index node is killed in the middle of a build, and clients see nothing of it.

Method: a cluster of its own on real etcd and S3, with two index nodes; an HNSW graph that
takes some seconds to build; the node that builds it is killed (SIGKILL) while a reader
searches and a writer inserts all the time.  The build moves to the other node, under the next
attempt's number; no request fails, each answer has every row once, and in the end the index
has all rows and finds them.
Runs with: cluster 3.0.2
"""
import os
import threading
import time
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from milvus_case import DataType, MilvusClient
import numpy as np
import servers

T, DIM, ROWS = 30, 64, 12000
BUILD = {"M": 32, "efConstruction": 600}
BEGINS = r"build_begins build=\d+ attempt=(\d+)"


class Builders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        etcd, s3 = cls.place.stores()
        roles = {"coord": 1, "datanode": 1, "querynode": 1, "indexnode": 2, "proxy": 1}
        cls.cluster = servers.Cluster(cls.place, etcd, s3, roles=roles).start()
        cls.builders = cls.cluster.of("indexnode")

    def setUp(self):
        self.client = MilvusClient(uri=f"http://{self.cluster.of('proxy')[0].grpc}")
        self.addCleanup(self.client.close)
        self.rows = np.random.default_rng(5).normal(size=(ROWS, DIM)).astype(np.float32)

    def make(self):
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        self.client.create_collection("built", schema=schema, num_shards=1, timeout=T,
                                      consistency_level="Strong")
        for at in range(0, ROWS, 3000):
            self.client.insert("built", [{"id": i, "v": self.rows[i]}
                                         for i in range(at, min(at + 3000, ROWS))], timeout=T)
        self.client.flush("built", timeout=T)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="HNSW", metric_type="L2", params=BUILD)
        self.client.create_index("built", index, timeout=T, sync=False)
        self.client.load_collection("built", timeout=T)

    def builder(self):
        """The node that has begun; its build is far from its end."""
        found = []

        def has_begun():
            found[:] = [b for b in self.builders if "build_begins" in "\n".join(b.output())]
            return bool(found)
        servers.wait_for("an index node to begin", T, has_begun)
        return found[0]

    def ask(self, over, failed, counts):
        client = MilvusClient(uri=f"http://{self.cluster.of('proxy')[0].grpc}")
        turn = 0
        while not over.is_set():
            try:
                row = turn % ROWS
                hits = client.search("built", [self.rows[row]], limit=3, timeout=T,
                                     search_params={"params": {"ef": 64}})[0]
                ids = [hit["id"] for hit in hits]
                if ids[0] != row or len(set(ids)) != 3:
                    failed.append(f"row {row} is answered by {ids}")
                client.insert("built", [{"id": ROWS + turn, "v": self.rows[row] + 9}], timeout=T)
                counts.append(turn)
            except Exception as e:
                failed.append(str(e)[:300])
            turn += 1
            time.sleep(0.01)
        client.close()

    def test_a_build_moves(self):
        self.make()
        over, failed, counts = threading.Event(), [], []
        reader = threading.Thread(target=self.ask, args=(over, failed, counts))
        reader.start()
        try:
            first = self.builder()
            other = next(b for b in self.builders if b is not first)
            told = self.client.describe_index("built", "v")
            self.assertNotEqual(told["state"], "Finished", "built before its builder was killed")
            first.kill()
            other.wait_line(BEGINS.replace(r"(\d+)", "[2-9]"), T)
            killed = time.monotonic()
            servers.wait_for("the index", 2 * T, lambda: self.client.describe_index(
                "built", "v")["indexed_rows"] >= ROWS, pause=0.1)
            print(f"note: built elsewhere {time.monotonic() - killed:.1f} s after it was begun "
                  f"again, {len(counts)} searches and inserts meanwhile")
            time.sleep(0.5)                     # searches by the index, too
        finally:
            over.set()
            reader.join()
        self.assertEqual(failed, [])
        self.assertGreater(len(counts), 10)
        told = self.client.describe_index("built", "v")
        self.assertEqual((told["state"], told["pending_index_rows"]), ("Finished", 0))
        found = self.client.query("built", "", output_fields=["count(*)"], timeout=T)
        self.assertEqual(found[0]["count(*)"], ROWS + len(counts))

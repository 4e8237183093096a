"""test_disk_copies - indexes of a cluster's object store are files of the query node, not memory.

Method: a cluster on real etcd and S3 with a DISKANN index of more than a part of an object.
Searches find what a scan by NumPy finds; the query node says how much is in files, and its
own memory is small beside the vectors; the directory shows no names, so a node that is killed
leaves nothing.  A node without room for files has the same answers from memory.  What is
released and dropped gives its room back.
Runs with: cluster 3.0.2
"""
import os
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from milvus_case import DataType, MilvusClient
import numpy as np
import servers

T, DIM, ROWS, LIMIT = 60, 256, 4000, 10
RAW = 4 * DIM * ROWS
FILES, HELD = "elanus_querynode_disk_bytes", "elanus_querynode_bytes"


class Copies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        try:
            etcd = cls.place.start(servers.Etcd(cls.place))
            s3 = cls.place.start(servers.S3(cls.place))
        except servers.Missing as why:
            raise unittest.SkipTest(str(why)) from None
        cls.cluster = servers.Cluster(cls.place, etcd, s3).start()

    def setUp(self):
        self.client = MilvusClient(uri=f"http://{self.cluster.grpc}")
        self.addCleanup(self.client.close)
        self.rows = np.random.default_rng(9).normal(size=(ROWS, DIM)).astype(np.float32)

    def make(self):
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        self.client.create_collection("far", schema=schema, num_shards=1, timeout=T,
                                      consistency_level="Strong")
        for at in range(0, ROWS, 1000):
            self.client.insert("far", [{"id": i, "v": self.rows[i]}
                                       for i in range(at, at + 1000)], timeout=T)
        self.client.flush("far", timeout=T)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="DISKANN", metric_type="L2")
        self.client.create_index("far", index, timeout=T)

    def load(self, node):
        """And wait until the node searches with the index."""
        seen = sum("index_used" in line for line in node.output())
        self.client.load_collection("far", timeout=T)
        servers.wait_for("the index to be used", T, lambda: sum(
            "index_used" in line for line in node.output()) > seen)

    def check_answers(self):
        found = 0
        for row in range(0, ROWS, ROWS // 20):
            query = self.rows[row] + np.float32(0.01)
            best = np.argsort(((self.rows - query) ** 2).sum(axis=1))[:LIMIT]
            hits = self.client.search("far", [query], limit=LIMIT, timeout=T,
                                      search_params={"params": {"search_list": 100}})[0]
            found += len({hit["id"] for hit in hits} & set(best.tolist()))
        self.assertGreater(found, 0.9 * 20 * LIMIT)

    def names(self, node):
        return os.listdir(self.place.path(os.path.join(node.name, "local")))

    def test_an_index_of_a_remote_store_is_in_files(self):
        node = self.cluster.of("querynode")[0]
        self.make()
        self.load(node)
        self.check_answers()
        self.assertGreater(node.metric(FILES), RAW)
        self.assertLess(node.metric(HELD), 0.4 * RAW)       # rows' keys and times, too
        self.assertEqual(self.names(node), [])

        self.client.release_collection("far", timeout=T)
        servers.wait_for("the files to go", T, lambda: node.metric(FILES) == 0)

        node.kill()
        self.assertEqual(self.names(node), [])
        narrow = self.place.start(self.cluster.daemon("querynode",
                                                      ["--elanus.query.disk", "65536"]))
        self.load(narrow)
        self.assertIn("index_in_memory", "\n".join(narrow.output()))
        self.assertEqual(narrow.metric(FILES), 0)
        self.assertGreater(narrow.metric(HELD), RAW)
        self.check_answers()
        self.client.drop_collection("far", timeout=T)


if __name__ == "__main__":
    unittest.main()

"""test_index_damage - an index whose objects are damaged or gone is built again by itself.

Method: a segment with an index of its vectors and one of a scalar field.  The collection is
released, an object of each index is hurt as a bad disk would (a byte is another one, or the object
is not there), and the collection is loaded again.  Every answer in between is the exact one: the
segment is scanned.  After a few tries the query node says so, the coord has a next attempt
built, and that one is used; the hurt objects are not read any more.
The same in standalone, after a restart, and in a cluster of its own on real etcd and S3.
Runs with: cluster 3.0.2
"""
import glob
import os
import re
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from milvus_case import DataType, MilvusClient
import numpy as np
import s3_client
import servers

T, DIM, ROWS, NAME = 30, 16, 3000, "hurt"
USED = r"index_used .*attempt=2"
SAID = r"index_damaged .*built again"


class Damage:
    """What both have; they say where objects are."""

    def fill(self):
        """Rows of one segment, both indexes, and they are loaded."""
        rng = np.random.default_rng(11)
        self.rows = rng.normal(size=(ROWS, DIM)).astype(np.float32)
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("n", DataType.INT64)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 8})
        index.add_index("n", index_type="STL_SORT")
        self.client.create_collection(NAME, schema=schema, index_params=index, num_shards=1,
                                      consistency_level="Strong", timeout=T)
        self.client.insert(NAME, [{"id": i, "n": i % 100, "v": self.rows[i]}
                                  for i in range(ROWS)], timeout=T)
        self.client.flush(NAME, timeout=T)
        for field in ("v", "n"):
            servers.wait_for("the indexes", T, lambda: self.client.describe_index(
                NAME, field)["indexed_rows"] == ROWS)

    def right(self):
        """Searches and filters have the answers that numpy has."""
        for row in range(0, ROWS, 300):
            near = np.argsort(((self.rows - self.rows[row]) ** 2).sum(axis=1))
            for keep in (100, 10):
                hits = self.client.search(NAME, [self.rows[row]], filter=f"n < {keep}", limit=5,
                                          search_params={"params": {"nprobe": 8}}, timeout=T)[0]
                self.assertEqual([hit["id"] for hit in hits],
                                 [int(i) for i in near if i % 100 < keep][:5])
        found = self.client.query(NAME, "n == 7", output_fields=["count(*)"], timeout=T)
        self.assertEqual(found[0]["count(*)"], ROWS // 100)

    def used(self):
        """How many of the second attempts are searched with."""
        return sum(bool(re.search(USED, line)) for line in self.reader.output("err"))

    def heals(self, hurt):
        """Both indexes come back, and no answer is wrong meanwhile."""
        builds = {key.split("/")[-3] for key in hurt}
        self.assertEqual(len(builds), 2, hurt)

        def healed():
            self.right()
            return self.used() == 2
        servers.wait_for("both indexes to be built again", 2 * T, healed)
        said = [line for line in self.coord.output("err") if re.search(SAID, line)]
        self.assertEqual(len(said), 2, said)
        for key in hurt:                        # a person finds what it was
            self.assertTrue(any("/".join(key.split("/")[-4:]) in line for line in said), said)
        for field in ("v", "n"):
            told = self.client.describe_index(NAME, field)
            self.assertEqual((told["state"], told["indexed_rows"]), ("Finished", ROWS))
        self.right()


class Standalone(Damage, unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.start()

    def start(self):
        flags = servers.standalone_flags(self.place.path("data"))
        self.reader = self.coord = self.place.start(servers.Daemon(self.place, "standalone",
                                                                   flags))
        self.client = MilvusClient(uri=f"http://{self.coord.grpc}")
        self.addCleanup(self.client.close)

    def test_a_restart_finds_damage(self):
        self.fill()
        self.coord.term()
        hurt = glob.glob(self.place.path("data") + "/**/index/*/1/0", recursive=True)
        self.assertEqual(len(hurt), 2)
        for path, whole in zip(hurt, (True, False)):
            if not whole:
                os.remove(path)
                continue
            with open(path, "r+b") as file:
                at = os.path.getsize(path) // 2
                file.seek(at)
                byte, = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ 0x40]))
        self.start()
        self.heals(hurt)


class Cluster(Damage, unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        etcd, s3 = self.place.stores()
        self.cluster = servers.Cluster(self.place, etcd, s3).start()
        self.bucket = s3_client.Bucket(s3.address)
        self.client = MilvusClient(uri=f"http://{self.cluster.grpc}")
        self.addCleanup(self.client.close)
        self.reader, = self.cluster.of("querynode")
        self.coord, = self.cluster.of("coord")

    def test_a_load_finds_damage(self):
        self.fill()
        self.client.release_collection(NAME, timeout=T)
        hurt = [key for key in self.bucket.keys("files/index/") if key.endswith("/1/0")]
        self.assertEqual(len(hurt), 2)
        self.bucket.flip(hurt[0])
        self.bucket.delete(hurt[1])
        self.client.load_collection(NAME, timeout=T)
        self.heals(hurt)

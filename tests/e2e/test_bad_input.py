"""test_bad_input - stores of two clusters, other versions, damaged objects, an etcd without room.

Method: a cluster of its own on a real etcd and S3; one thing is wrong at a time.  Daemons that
must not start end with a documented exit code and say why in one line; damage is named by its
object and nothing wrong is answered; what can go on goes on.
Runs with: cluster 2.6.17
"""
import base64
import json
import re
import time
import unittest

import milvus_case          # first: it says how grpc is to be loaded
import grpc
import s3_client
import servers
from pymilvus import DataType, MilvusClient, MilvusException

REFUSED = (MilvusException, grpc.RpcError)
USAGE = 2
NAME, ROWS = "damaged", 500


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


class Stores(unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.etcd, self.s3 = self.place.stores()

    def started(self, role, *flags, root="elanus"):
        cluster = servers.Cluster(self.place, self.etcd, self.s3, root=root)
        daemon = cluster.daemon(role, flags)
        self.place.processes.append(daemon)
        return daemon.start()

    def refused(self, daemon, *words):
        self.assertEqual(daemon.wait(20 * servers.patience()), USAGE, daemon.last_words())
        said = [text for text in daemon.output("err") if not re.search(r"^\S+Z (info|warn) ", text)]
        self.assertEqual(len(said), 1, daemon.last_words())
        for word in words:
            self.assertIn(word, said[0])

    def test_objects_of_another_cluster(self):
        self.started("coord").ready()
        self.refused(self.started("coord", root="other"), "belongs to cluster", "other",
                     "minio.bucketName", "minio.rootPath")
        self.started("coord", "--minio.rootPath", "second", root="other").ready()

    def test_metadata_whose_objects_are_elsewhere(self):
        self.started("coord").ready()
        self.refused(self.started("querynode", "--minio.bucketName", "another-bucket"),
                     "elsewhere", "another-bucket", "etcd.rootPath")

    def test_objects_that_nobody_knows(self):
        self.started("coord").ready()
        bucket = s3_client.Bucket(self.s3.address)
        marker, = bucket.keys("files/cluster")
        bucket.put("strange/wal/1", bucket.get(marker))
        self.refused(self.started("coord", "--minio.rootPath", "strange", root="third"),
                     "strange", "wal/1")

    def test_a_daemon_of_another_version(self):
        def field(number, value):
            if isinstance(value, int):
                return varint(number << 3) + varint(value)
            return varint(number << 3 | 2) + varint(len(value)) + value
        info = (field(1, 4711) + field(2, b"querynode") + field(3, b"tcp://127.0.0.1:1") +
                field(5, b"9.9.9") + field(7, b"elsewhere"))
        put = {"key": base64.b64encode(b"elanus/meta/session/querynode-4711").decode(),
               "value": base64.b64encode(info).decode()}
        status, text = servers.http(f"http://{self.etcd.address}/v3/kv/put",
                                    data=json.dumps(put).encode())
        self.assertEqual(status, 200, text)
        self.refused(self.started("coord"), "9.9.9", "querynode-4711", "elsewhere")


class Damage(unittest.TestCase):
    """One byte of an object that rows are in is another one."""

    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        etcd, s3 = self.place.stores()
        self.cluster = servers.Cluster(self.place, etcd, s3).start()
        self.bucket = s3_client.Bucket(s3.address)
        self.client = MilvusClient(uri=f"http://{self.cluster.grpc}")
        self.addCleanup(self.client.close)
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="FLAT", metric_type="L2")
        self.client.create_collection(NAME, schema=schema, index_params=index,
                                      consistency_level="Strong")
        self.client.insert(NAME, [{"id": i, "v": [float(i)] * 8} for i in range(ROWS)])

    def count(self, timeout=3):
        rows = self.client.query(NAME, filter="", output_fields=["count(*)"], timeout=timeout)
        return rows[0]["count(*)"]

    def hurt(self, prefix):
        keys = [key for key in self.bucket.keys("files/" + prefix)]
        self.assertTrue(keys, f"no objects below {prefix}")
        return {key: self.bucket.flip(key) for key in keys}

    def heal(self, objects):
        for key, body in objects.items():
            self.bucket.put(key, body)

    def named(self, daemon, objects):
        """The daemon's log names one of these objects."""
        names = [key.removeprefix("files/") for key in objects]
        return lambda: any(name in line for name in names for line in daemon.output("err"))

    def never_wrong(self, seconds):
        """Until then no answer, or the right one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.assertEqual(self.count(), ROWS)
            except REFUSED:
                pass

    def test_a_damaged_log_object(self):
        node, = self.cluster.of("datanode")
        node.kill()
        objects = self.hurt("wal/")
        node.start()
        servers.wait_for("the data node names the object", 30 * servers.patience(),
                         self.named(node, objects))
        self.never_wrong(3)
        self.assertTrue(node.alive())
        self.heal(objects)
        servers.wait_for("the rows again", 60 * servers.patience(), self.serves)

    def serves(self):
        try:
            return self.count() == ROWS
        except REFUSED:
            return False

    def test_a_damaged_segment(self):
        self.client.flush(NAME)
        self.client.release_collection(NAME)
        objects = self.hurt("binlog/")
        try:
            self.client.load_collection(NAME, timeout=5)
        except REFUSED:
            pass
        node, = self.cluster.of("querynode")
        servers.wait_for("the query node names the object", 30 * servers.patience(),
                         self.named(node, objects))
        self.never_wrong(3)
        self.assertTrue(node.alive())
        self.heal(objects)
        servers.wait_for("the rows again", 60 * servers.patience(), self.serves)


class NoRoom(unittest.TestCase):
    """etcd has reached its quota: DDL is refused, rows go on, and all does when there is room."""

    QUOTA = 4 << 20

    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        try:
            etcd = servers.Etcd(self.place)
            etcd.command += ["--quota-backend-bytes", str(self.QUOTA)]
            self.etcd = self.place.start(etcd)
            s3 = self.place.start(servers.S3(self.place))
        except servers.Missing as why:
            self.skipTest(str(why))
        self.cluster = servers.Cluster(self.place, self.etcd, s3).start()
        self.client = MilvusClient(uri=f"http://{self.cluster.grpc}")
        self.addCleanup(self.client.close)

    def etcd_asks(self, path, **body):
        return servers.http(f"http://{self.etcd.address}/v3/{path}",
                            data=json.dumps(body).encode(), timeout=20)

    def etcd_does(self, path, **body):
        status, text = self.etcd_asks(path, **body)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def fill(self):
        """Put junk until etcd refuses it, then a little more in small pieces."""
        for size in (200000, 4000, 10):
            value = base64.b64encode(b"x" * size).decode()
            for i in range(2000):
                key = base64.b64encode(f"junk/{size}/{i}".encode()).decode()
                if self.etcd_asks("kv/put", key=key, value=value)[0] != 200:
                    break

    def make_room(self):
        junk = base64.b64encode(b"junk/").decode()
        end = base64.b64encode(b"junk0").decode()
        deleted = self.etcd_does("kv/deleterange", key=junk, range_end=end)
        self.etcd_does("kv/compaction", revision=deleted["header"]["revision"], physical=True)
        self.etcd_does("maintenance/defragment")
        for alarm in self.etcd_does("maintenance/alarm", action="GET")["alarms"]:
            self.etcd_does("maintenance/alarm", action="DEACTIVATE", **alarm)

    def test_out_of_space(self):
        milvus_case.logging.disable(milvus_case.logging.CRITICAL)
        self.client.create_collection(NAME, dimension=8, metric_type="L2",
                                      consistency_level="Strong")
        rows = [{"id": i, "vector": [float(i)] * 8} for i in range(ROWS)]
        self.client.insert(NAME, rows)
        self.fill()
        with self.assertRaises(REFUSED) as refused:
            self.client.create_collection("one_more", dimension=8, timeout=8)
        print(f"note: DDL answers: {str(refused.exception)[:200]}")
        begin = time.monotonic()
        while time.monotonic() - begin < 6:
            hits, = self.client.search(NAME, [[7.0] * 8], limit=1, timeout=5)
            self.assertEqual(hits[0]["id"], 7)
            self.client.insert(NAME, [{"id": ROWS, "vector": [0.5] * 8}], timeout=5)
            self.client.delete(NAME, ids=[ROWS], timeout=5)
        self.make_room()
        servers.wait_for("DDL works again", 20 * servers.patience(), self.makes_one_more)
        for daemon in self.cluster.daemons:
            self.assertTrue(daemon.alive(), daemon.name)

    def makes_one_more(self):
        try:
            self.client.create_collection("one_more", dimension=8, timeout=5)
            return True
        except REFUSED:
            return False


if __name__ == "__main__":
    unittest.main()

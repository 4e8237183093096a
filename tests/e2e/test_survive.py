"""test_survive - kill -9 and a restart change no answer.

Method: a server of its own is filled with every type of field, flushed rows and
rows that are only in the log, deletes and replacements of both; questions of
every kind are asked, it is killed and started, and the answers compared.  What
happens while writes are under way is test_durability's.
Runs with: standalone 3.0.2
"""
import signal
import time
import unittest

from milvus_case import (INDEXES, DataType, MilvusClient, create_index, hits, refusal,
                         vector_fields)
import grpc
import numpy as np
import servers
import vectors
from pymilvus.grpc_gen import milvus_pb2_grpc

T = 20
KINDS = {"a": ("float", DataType.FLOAT_VECTOR), "b": ("float16", DataType.FLOAT16_VECTOR),
         "c": ("sparse", DataType.SPARSE_FLOAT_VECTOR), "d": ("binary", DataType.BINARY_VECTOR)}


class Restarts(unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.rng = np.random.default_rng(31)

    def start(self, **settings):
        flags = servers.standalone_flags(self.place.path("data"))
        for key, value in settings.items():
            flags += [f"--{key.replace('_', '.')}", value]
        self.daemon = self.place.start(servers.Daemon(self.place, "standalone", flags))
        self.connect()

    def connect(self):
        self.client = MilvusClient(uri=f"http://{self.daemon.grpc}")
        self.addCleanup(self.client.close)

    def restart(self, end=signal.SIGKILL):
        self.daemon.signal(end)
        self.daemon.wait()
        self.daemon.start()
        self.daemon.ready()
        self.assertLess(self.daemon.ready_s, 5 * servers.patience())
        self.connect()

    def make(self):
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for kind in ("BOOL", "INT8", "INT32", "FLOAT", "DOUBLE", "JSON"):
            schema.add_field(kind.lower(), DataType[kind], nullable=kind in ("INT8", "JSON"))
        schema.add_field("text", DataType.VARCHAR, max_length=50)
        schema.add_field("tags", DataType.ARRAY, element_type=DataType.INT32, max_capacity=5)
        for name, (_, kind) in KINDS.items():
            schema.add_field(name, kind, **({} if name == "c" else {"dim": 16}))
        self.client.create_collection("all", schema=schema, num_shards=2, timeout=T,
                                      consistency_level="Strong")
        with grpc.insecure_channel(self.daemon.grpc) as channel:
            for field in vector_fields(schema):
                create_index(milvus_pb2_grpc.MilvusServiceStub(channel), "all", field.name,
                             *INDEXES.get(field.dtype.name, ("FLAT", "L2")))
        self.client.load_collection("all", timeout=T)
        self.client.create_partition("all", "east")
        self.client.create_alias("all", "nick")

    def put(self, keys, how, partition="_default"):
        made = {n: vectors.random_vectors(self.rng, kind, len(keys), 16)
                for n, (kind, _) in KINDS.items()}
        rows = [{"id": k, "bool": k % 2 == 0, "int8": k % 100 - 50 if k % 5 else None,
                 "int32": k * 1000, "float": k / 4, "double": k / 3, "text": f"row {k}" * (k % 3),
                 "json": {"k": k, "l": [k % 3]} if k % 7 else None, "tags": list(range(k % 4)),
                 "extra": k * 2, **{n: c[i] for n, c in made.items()}} for i, k in enumerate(keys)]
        getattr(self.client, how)("all", rows, partition_name=partition)

    def fill(self):
        self.put(range(0, 200), "insert")
        self.put(range(200, 300), "insert", "east")
        self.client.flush("all", timeout=T)
        self.client.delete("all", ids=list(range(50, 80)))
        self.put(range(100, 130), "upsert")
        self.client.flush("all", timeout=T)
        self.put(range(300, 400), "insert")
        self.put(range(150, 170), "upsert")
        self.client.delete("all", filter="int32 > 380000")
        self.client.delete("all", ids=[210, 211, 310], partition_name="east")

    def answers(self):
        """What is asked before and after; every value comparable."""
        ask, rng = self.client, np.random.default_rng(9)
        rows = ask.query("all", filter="id >= 0", output_fields=["*"])
        found = {"rows": [self.plain(row) for row in rows]}
        for filter in ("int8 is null", 'json["k"] > 200', "array_length(tags) == 2",
                       'text like "row%" and extra < 100', "bool == true and float > 30.5"):
            found[filter] = [r["id"] for r in ask.query("nick", filter=filter,
                                                        output_fields=["id"])]
            found["count " + filter] = ask.query("all", filter=filter,
                                                 output_fields=["count(*)"])[0]["count(*)"]
        for name, (kind, _) in KINDS.items():
            if kind != "float16":               # which numpy value a client takes depends on it
                query = vectors.random_vectors(rng, kind, 1, 16)
                found["near " + name] = hits(ask.search("all", data=query, anns_field=name,
                                                        limit=30)[0])
        found["east"] = [r["id"] for r in ask.query("all", filter="id >= 0",
                                                    partition_names=["east"])]
        found["stored"] = ask.get_collection_stats("all")
        found["names"] = (ask.list_collections(), ask.list_partitions("all"),
                          ask.describe_collection("nick")["collection_name"])
        return found

    @staticmethod
    def plain(row):
        made = dict(row)
        for name, (kind, _) in KINDS.items():
            value = vectors.plain(kind, made[name])
            made[name] = value.tobytes() if isinstance(value, np.ndarray) else value
        made["tags"] = list(made["tags"])
        return made

    def test_the_same_answers(self):
        self.start()
        self.make()
        self.fill()
        before = self.answers()
        self.assertGreater(len(before["rows"]), 300)
        for end in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            self.restart(end)
            after = self.answers()
            for question, answer in before.items():
                self.assertEqual(after[question], answer, question)
        self.put([77, 500], "insert")
        self.restart()
        self.assertEqual([r["id"] for r in self.client.query("all", filter="id in [77, 500, 78]")],
                         [77, 500])

    def test_what_was_dropped_stays_away(self):
        self.start()
        self.make()
        self.put(range(20), "insert")
        self.put(range(100, 120), "insert", "east")
        self.client.release_partitions("all", ["east"])
        self.client.drop_partition("all", "east")
        self.restart()
        self.assertEqual(self.client.list_partitions("all"), ["_default"])
        self.assertEqual(len(self.client.query("all", filter="id >= 0")), 20)
        self.client.drop_alias("nick")
        self.client.drop_collection("all")
        self.restart()
        self.assertEqual(self.client.list_collections(), [])
        self.make()
        self.assertEqual(self.client.query("all", filter="id >= 0"), [])

    def test_released_stays_released(self):
        self.start()
        self.make()
        self.put(range(20), "insert")
        self.client.release_collection("all")
        self.restart()
        self.assertEqual(self.client.get_load_state("all")["state"].name, "NotLoad")
        self.assertEqual(refusal(self.client.query, "all", filter="id > 0")[0], 101)
        self.client.load_collection("all", timeout=T)
        self.assertEqual(len(self.client.query("all", filter="id >= 0")), 20)

    def test_a_million_bytes_of_log_are_read_in_time(self):
        self.start()
        self.make()
        for at in range(0, 5000, 1000):
            self.put(range(at, at + 1000), "insert")
        self.daemon.kill()
        begin = time.monotonic()
        self.daemon.start()
        self.daemon.ready()
        self.connect()
        count = self.client.query("all", filter="", output_fields=["count(*)"])[0]["count(*)"]
        self.assertEqual(count, 5000)
        self.assertLess(time.monotonic() - begin, 5 * servers.patience())


if __name__ == "__main__":
    unittest.main()

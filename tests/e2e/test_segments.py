"""test_segments - flush, counts, segments, load progress, replicas, compaction as clients see them.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC.  Method: write, flush, look at every figure that tells of
segments, and compare with what was written.  A collection that is dropped or
released while something of it is under way ends that in Milvus's words.
"""
import json
import os
import random
import threading
import time
import unittest
import urllib.request
import warnings

warnings.simplefilter("ignore")

import grpc  # noqa: E402
import pymilvus  # noqa: E402
from pymilvus import (Collection, CollectionSchema, DataType, FieldSchema,  # noqa: E402
                      MilvusClient, connections, utility)
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc  # noqa: E402

GRPC = os.environ["ELANUS_TEST_GRPC"]
HOST, PORT = GRPC.rsplit(":", 1)
T = 20
DIM = 8


def refusal(call, *args, **kwargs):
    """(code, text) of the MilvusException that the call ends with."""
    try:
        call(*args, **kwargs)
    except pymilvus.MilvusException as why:
        return why.code, str(why.message)
    raise AssertionError("it was not refused")


def vectors(n):
    return [[random.random() for _ in range(DIM)] for _ in range(n)]


class Segments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        connections.connect(host=HOST, port=PORT)
        cls.channel = grpc.insecure_channel(GRPC)
        cls.stub = milvus_pb2_grpc.MilvusServiceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        connections.disconnect("default")

    def make(self, name, shards=2):
        fields = [FieldSchema("id", DataType.INT64, is_primary=True),
                  FieldSchema("v", DataType.FLOAT_VECTOR, dim=DIM)]
        coll = Collection(name, CollectionSchema(fields), shards_num=shards)
        self.addCleanup(utility.drop_collection, name)
        coll.create_index("v", {"index_type": "FLAT", "metric_type": "L2", "params": {}},
                          timeout=T)
        return coll

    def insert(self, coll, first, n, partition=None):
        coll.insert([list(range(first, first + n)), vectors(n)], partition_name=partition,
                    timeout=T)

    def stored(self, name):
        answer = self.stub.GetPersistentSegmentInfo(
            milvus_pb2.GetPersistentSegmentInfoRequest(collectionName=name), timeout=T)
        self.assertEqual(answer.status.code, 0)
        return list(answer.infos)

    def until(self, what, seconds=T):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():
                return
            time.sleep(0.02)
        self.fail("it did not come to pass")

    def test_counts_follow_a_flush(self):
        coll = self.make("counted")
        coll.create_partition("p")
        self.insert(coll, 0, 500)
        self.insert(coll, 500, 300, "p")
        self.assertEqual(coll.num_entities, 0)          # buffered rows do not count
        coll.flush(timeout=T)
        self.assertEqual(coll.num_entities, 800)
        self.assertEqual(coll.partition("p").num_entities, 300)
        stored = self.stored("counted")
        self.assertEqual(sum(s.num_rows for s in stored), 800)
        self.assertTrue(all(s.state == common_pb2.Flushed for s in stored))
        self.assertEqual(utility.index_building_progress("counted")["total_rows"], 800)
        self.assertEqual(utility.index_building_progress("counted")["indexed_rows"], 800)
        coll.flush(timeout=T)                           # nothing new
        self.assertEqual(coll.num_entities, 800)

    def test_a_flush_names_what_it_sealed(self):
        coll = self.make("sealed")
        self.insert(coll, 0, 100)
        flush = milvus_pb2.FlushRequest(collection_names=["sealed"])
        first = self.stub.Flush(flush, timeout=T)
        sealed = list(first.coll_segIDs["sealed"].data)
        self.assertTrue(sealed)
        self.assertLess(abs(first.coll_seal_times["sealed"] - time.time()), 60)

        def flushed(ids, ts=0):
            answer = self.stub.GetFlushState(milvus_pb2.GetFlushStateRequest(
                segmentIDs=ids, collection_name="sealed", flush_ts=ts), timeout=T)
            self.assertEqual(answer.status.code, 0)
            return answer.flushed
        self.until(lambda: flushed(sealed))
        self.assertTrue(flushed([], first.coll_flush_ts["sealed"]))
        self.assertTrue(flushed([123456789]))           # unknown: dropped long ago
        self.assertEqual(sorted(s.segmentID for s in self.stored("sealed")), sorted(sealed))
        second = self.stub.Flush(flush, timeout=T)
        self.assertEqual(list(second.coll_segIDs["sealed"].data), [])
        self.assertEqual(sorted(second.flush_coll_segIDs["sealed"].data), sorted(sealed))
        self.assertGreater(second.coll_flush_ts["sealed"], first.coll_flush_ts["sealed"])
        missing = self.stub.Flush(milvus_pb2.FlushRequest(collection_names=["nope"]), timeout=T)
        self.assertEqual(missing.status.code, 100)

    def test_flush_all(self):
        for name in ("all_a", "all_b"):
            self.insert(self.make(name), 0, 50)
        answer = self.stub.FlushAll(milvus_pb2.FlushAllRequest(), timeout=T)
        self.assertEqual(answer.status.code, 0)
        self.until(lambda: self.stub.GetFlushAllState(milvus_pb2.GetFlushAllStateRequest(
            flush_all_ts=answer.flush_all_ts), timeout=T).flushed)
        for name in ("all_a", "all_b"):
            self.assertEqual(Collection(name).num_entities, 50)

    def test_loaded_segments_and_replicas(self):
        coll = self.make("loaded")
        self.insert(coll, 0, 400)
        coll.flush(timeout=T)
        self.assertEqual(refusal(utility.get_query_segment_info, "loaded", timeout=T)[0], 101)
        self.assertEqual(str(utility.load_state("loaded")), "NotLoad")
        self.assertEqual(refusal(utility.loading_progress, "loaded")[0], 101)
        coll.load(timeout=T)
        self.assertEqual(utility.loading_progress("loaded")["loading_progress"], "100%")
        self.assertEqual(str(utility.load_state("loaded")), "Loaded")
        infos = utility.get_query_segment_info("loaded", timeout=T)
        self.assertEqual(sum(i.num_rows for i in infos), 400)
        for info in infos:
            self.assertEqual(info.index_name, "v")
            self.assertEqual(info.state, common_pb2.SegmentState.Value("Sealed"))
            self.assertEqual(list(info.nodeIds), [info.nodeID])
            self.assertGreater(info.mem_size, 0)
        groups = coll.get_replicas(timeout=T).groups
        self.assertEqual(len(groups), 1)
        self.assertEqual(len(groups[0].shards), 2)
        self.assertEqual({s.shard_leader for s in groups[0].shards}, {infos[0].nodeID})
        self.assertEqual(groups[0].resource_group, "__default_resource_group")
        self.assertEqual(refusal(coll.load, replica_number=3, timeout=T)[0], 304)

        self.insert(coll, 400, 100)                     # a growing segment changes to a sealed one
        coll.flush(timeout=T)
        self.until(lambda: sum(i.num_rows for i in utility.get_query_segment_info("loaded")) == 500)
        coll.release(timeout=T)
        self.assertEqual(len(coll.get_replicas(timeout=T).groups), 0)
        self.assertEqual(str(utility.load_state("loaded")), "NotLoad")

    def test_compaction(self):
        coll = self.make("compacted", shards=1)
        coll.load(timeout=T)
        for part in range(4):
            self.insert(coll, part * 100, 100)
            coll.flush(timeout=T)
        before = {s.segmentID for s in self.stored("compacted")}
        self.assertEqual(len(before), 4)
        coll.compact(timeout=T)
        coll.wait_for_compaction_completed(timeout=T)
        plans = coll.get_compaction_plans(timeout=T).plans
        self.assertEqual({source for plan in plans for source in plan.sources}, before)
        after = {s.segmentID for s in self.stored("compacted")}
        self.assertEqual({plan.target for plan in plans}, after)
        self.assertEqual(coll.num_entities, 400)
        self.until(lambda: {i.segmentID for i in utility.get_query_segment_info("compacted")}
                   == after)
        self.assertEqual(coll.query("", output_fields=["count(*)"], consistency_level="Strong")[0],
                         {"count(*)": 400})
        coll.compact(timeout=T)                         # nothing to do: done at once
        coll.wait_for_compaction_completed(timeout=T)
        self.assertEqual({s.segmentID for s in self.stored("compacted")}, after)
        missing = self.stub.ManualCompaction(
            milvus_pb2.ManualCompactionRequest(collectionID=123), timeout=T)
        self.assertEqual(missing.status.code, 100)

    def test_a_drop_while_others_ask(self):
        """Whatever is under way ends well, or says that the collection is not there."""
        for turn in range(5):
            coll = self.make("fleeting")
            self.insert(coll, 0, 200)
            seen = []

            def ask(call):
                try:
                    call()
                except pymilvus.MilvusException as why:
                    seen.append((why.code, str(why.message)))
            threads = [threading.Thread(target=ask, args=(call,)) for call in (
                lambda: coll.flush(timeout=T), lambda: coll.load(timeout=T),
                lambda: coll.num_entities, lambda: utility.loading_progress("fleeting"),
                lambda: coll.compact(timeout=T))]
            for thread in threads:
                thread.start()
            time.sleep(0.005 * turn)
            coll.release(timeout=T)
            coll.drop(timeout=T)
            for thread in threads:
                thread.join(T)
                self.assertFalse(thread.is_alive())
            self.assertLessEqual({code for code, _ in seen}, {100, 101}, seen)
            self.assertFalse(utility.has_collection("fleeting"))

    def test_the_same_by_rest(self):
        coll = self.make("rest_segments")
        self.insert(coll, 0, 100)

        def ask(path, **body):
            request = urllib.request.Request(f"http://{GRPC}/v2/vectordb/collections/{path}",
                                             method="POST", data=json.dumps(body).encode(),
                                             headers={"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=T) as answer:
                return json.loads(answer.read())
        name = {"collectionName": "rest_segments"}
        self.assertEqual(ask("flush", **name), {"code": 0, "data": {}})
        self.until(lambda: ask("get_stats", **name)["data"] == {"rowCount": 100})
        self.assertEqual(ask("get_load_state", **name)["data"],
                         {"loadState": "LoadStateNotLoad", "loadProgress": 0, "message": ""})
        coll.load(timeout=T)
        self.assertEqual(ask("get_load_state", **name)["data"],
                         {"loadState": "LoadStateLoaded", "loadProgress": 100, "message": ""})
        job = ask("compact", **name)["data"]["compactionID"]
        self.until(lambda: ask("get_compaction_state", jobID=job)["data"]["state"] == "Completed")

    def test_the_clients_of_newer_versions(self):
        client = MilvusClient(uri=f"http://{GRPC}")
        self.addCleanup(client.close)
        coll = self.make("by_client")
        self.insert(coll, 0, 100)
        client.flush("by_client", timeout=T)
        self.assertEqual(int(client.get_collection_stats("by_client")["row_count"]), 100)
        coll.load(timeout=T)
        job = client.compact("by_client")
        self.until(lambda: client.get_compaction_state(job) == "Completed")
        self.assertEqual(len(client.describe_replica("by_client")), 1)
        if not hasattr(client, "list_loaded_segments"):
            self.skipTest("this client lists no segments")
        client.refresh_load("by_client", timeout=T)
        self.assertEqual(sum(s.num_rows for s in client.list_loaded_segments("by_client")), 100)
        self.assertEqual(sum(s.num_rows for s in client.list_persistent_segments("by_client")),
                         100)
        client.flush_all(timeout=T)


if __name__ == "__main__":
    unittest.main()

"""test_flush - flush, statistics, segments, compaction, load and release as clients see them.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC; tests/run.py calls it.  Method: the rows are asked for before
and after each step that moves them; no step may change the answer.
"""
import time
import unittest

import numpy as np
import vectors
from milvus_case import (ID, PEER, T, Case, DataType, answers, not_on_peer, refusal,
                         search_request)
from pymilvus import Collection, utility
from pymilvus.grpc_gen import common_pb2, milvus_pb2

VEC = ("vec", DataType.FLOAT_VECTOR, {"dim": 8})


class Rows(Case):
    def setUp(self):
        self.rng = np.random.default_rng(23)
        self.rows = {}

    def insert(self, name, keys, **more):
        made = vectors.random_vectors(self.rng, "float", len(keys), 8)
        self.client.insert(name, [{"id": k, "vec": v} for k, v in zip(keys, made)], **more)
        self.rows.update(zip(keys, made))

    def delete(self, name, keys):
        self.client.delete(name, ids=list(keys))
        for key in keys:
            self.rows.pop(key, None)

    def check(self, name):
        """Count, scan and search say the same rows."""
        keys = sorted(self.rows)
        self.assertEqual(self.count(name), len(keys))
        self.assertEqual(self.ids(name), keys)
        query = vectors.random_vectors(np.random.default_rng(1), "float", 1, 8)
        got = answers(self.stub.Search(search_request(name, "float", query, 50), timeout=T).results)
        expected = vectors.nearest("float", "L2", query[0], keys,
                                   [self.rows[k] for k in keys], 50)
        self.assertIsNone(vectors.differs(expected, got[0] if got else []))

    def stored(self, name):
        return int(self.client.get_collection_stats(name)["row_count"])

    def segments(self, name):
        found = self.stub.GetPersistentSegmentInfo(milvus_pb2.GetPersistentSegmentInfoRequest(
            collectionName=name), timeout=T)
        self.assertEqual(found.status.error_code, 0)
        return list(found.infos)

    def until(self, what, question, seconds=20):
        end = time.monotonic() + seconds
        while not question():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)


class Flush(Rows):
    def test_the_message_names_the_segments(self):
        self.make("flushed", [ID, VEC])
        self.insert("flushed", range(100))
        done = self.stub.Flush(milvus_pb2.FlushRequest(collection_names=["flushed"]), timeout=T)
        self.assertEqual(done.status.error_code, 0)
        self.assertEqual(set(done.coll_segIDs), {"flushed"})
        sealed = list(done.coll_segIDs["flushed"].data)
        self.assertGreater(len(sealed), 0)
        self.assertGreater(done.coll_seal_times["flushed"], 0)
        self.assertIn("flushed", done.coll_flush_ts)
        self.assertIn("flushed", done.flush_coll_segIDs)

        def flushed():
            return self.stub.GetFlushState(milvus_pb2.GetFlushStateRequest(
                segmentIDs=sealed, flush_ts=done.coll_flush_ts["flushed"],
                collection_name="flushed"), timeout=T).flushed
        self.until("flushed", flushed)
        self.assertEqual(self.stored("flushed"), 100)
        infos = [s for s in self.segments("flushed") if s.state == 4]      # Flushed
        self.assertEqual(sum(s.num_rows for s in infos), 100)
        self.assertLessEqual({s.segmentID for s in infos}, set(sealed))
        self.check("flushed")

    def test_rows_are_there_before_during_and_after(self):
        self.make("flushed", [ID, VEC])
        for start in range(0, 500, 100):
            self.insert("flushed", range(start, start + 100))
            self.check("flushed")
            self.client.flush("flushed", timeout=T)
            self.check("flushed")
            self.delete("flushed", range(start + 10, start + 20))
            self.check("flushed")
        self.client.flush("flushed", timeout=T)
        self.check("flushed")

    def test_nothing_to_flush(self):
        self.make("flushed", [ID, VEC])
        self.client.flush("flushed", timeout=T)
        self.assertEqual(self.stored("flushed"), 0)
        self.assertEqual(refusal(self.client.flush, "nowhere")[0], 100)

    def test_deletes_that_wait_reach_storage(self):
        self.make("flushed", [ID, VEC])
        self.insert("flushed", range(200))
        self.client.flush("flushed", timeout=T)
        self.delete("flushed", range(0, 200, 2))
        self.client.flush("flushed", timeout=T)
        self.client.release_collection("flushed")
        self.client.load_collection("flushed", timeout=T)
        self.check("flushed")

    def test_the_orm_counts(self):
        self.make("flushed", [ID, VEC])
        self.insert("flushed", range(30))
        coll = Collection("flushed")
        coll.flush(timeout=T)
        self.assertEqual(coll.num_entities, 30)
        self.assertFalse(coll.is_empty)

    def test_partitions_count_apart(self):
        self.make("flushed", [ID, VEC])
        self.client.create_partition("flushed", "p")
        self.insert("flushed", range(20))
        self.insert("flushed", range(20, 25), partition_name="p")
        self.client.flush("flushed", timeout=T)
        self.assertEqual(self.stored("flushed"), 25)
        self.assertEqual(int(self.client.get_partition_stats("flushed", "p")["row_count"]), 5)

    def test_flush_all(self):
        self.make("flushed", [ID, VEC])
        self.insert("flushed", range(10))
        done = self.stub.FlushAll(milvus_pb2.FlushAllRequest(), timeout=T)
        self.assertEqual(done.status.error_code, 0)
        self.until("all flushed", lambda: self.stub.GetFlushAllState(
            milvus_pb2.GetFlushAllStateRequest(flush_all_ts=done.flush_all_ts), timeout=T).flushed)
        self.assertEqual(self.stored("flushed"), 10)


class Compaction(Rows):
    def compact(self, name):
        """Ask for it, wait for its end; (plans that were made, those that failed)."""
        collection = self.client.describe_collection(name)["collection_id"]
        done = self.stub.ManualCompaction(milvus_pb2.ManualCompactionRequest(
            collectionID=collection), timeout=T)
        self.assertEqual(done.status.error_code, 0, done.status.reason)
        state = milvus_pb2.GetCompactionStateRequest(compactionID=done.compactionID)
        self.until("compacted", lambda: self.stub.GetCompactionState(
            state, timeout=T).state == common_pb2.CompactionState.Value("Completed"))
        seen = self.stub.GetCompactionState(state, timeout=T)
        plans = self.stub.GetCompactionStateWithPlans(milvus_pb2.GetCompactionPlansRequest(
            compactionID=done.compactionID), timeout=T)
        self.assertEqual(plans.status.error_code, 0)
        return len(plans.mergeInfos), seen.failedPlanNo

    def test_small_segments_become_one(self):
        self.make("small", [ID, VEC])
        for start in range(0, 500, 100):
            self.insert("small", range(start, start + 100))
            self.client.flush("small", timeout=T)
        self.delete("small", range(0, 500, 3))
        self.client.flush("small", timeout=T)
        self.check("small")
        before = [s for s in self.segments("small") if s.state == 4]
        self.assertEqual(self.compact("small")[1], 0)
        self.check("small")
        if not PEER:    # it makes no promise when; deleted rows stay for who reads at an instant
            after = [s for s in self.segments("small") if s.state == 4]
            self.assertLess(len(after), len(before))
            self.assertIn(sum(s.num_rows for s in after), range(len(self.rows), 501))
        self.client.release_collection("small")
        self.client.load_collection("small", timeout=T)
        self.check("small")

    def test_the_newest_version_of_a_key_survives(self):
        self.make("newest", [ID, VEC])
        for _ in range(4):
            made = vectors.random_vectors(self.rng, "float", 50, 8)
            self.client.upsert("newest", [{"id": k, "vec": v} for k, v in enumerate(made)])
            self.rows.update(enumerate(made))
            self.client.flush("newest", timeout=T)
        self.delete("newest", range(5))
        self.compact("newest")
        self.check("newest")
        self.client.insert("newest", [{"id": 3, "vec": [1.0] * 8}])
        self.rows[3] = [1.0] * 8
        self.check("newest")

    def test_by_the_clients_call(self):
        self.make("called", [ID, VEC])
        self.insert("called", range(10))
        self.client.flush("called", timeout=T)
        coll = Collection("called")
        coll.compact(timeout=T)
        coll.wait_for_compaction_completed(timeout=T)
        self.check("called")


class Loading(Rows):
    def test_release_and_load(self):
        self.make("loaded", [ID, VEC])
        self.insert("loaded", range(100))
        self.client.flush("loaded", timeout=T)
        self.insert("loaded", range(100, 150))
        self.client.release_collection("loaded")
        code, text = refusal(self.client.query, "loaded", filter="id > 0", output_fields=["id"])
        self.assertEqual(code, 101)
        self.assertIn("collection not loaded", text)
        self.assertEqual(refusal(self.client.search, "loaded", data=[[0.0] * 8], limit=1)[0], 101)
        self.insert("loaded", range(150, 160))          # writing needs no loading
        self.delete("loaded", range(95, 105))
        self.client.load_collection("loaded", timeout=T)
        self.assertEqual(utility.loading_progress("loaded"), {"loading_progress": "100%"})
        self.check("loaded")

    def test_some_partitions(self):
        self.make("loaded", [ID, VEC], load=False)
        for number, name in enumerate(("p0", "p1", "p2")):
            self.client.create_partition("loaded", name)
            self.insert("loaded", range(number * 10, number * 10 + 10), partition_name=name)
        self.client.load_partitions("loaded", ["p0", "p1"], timeout=T)
        self.assertEqual(self.ids("loaded", "id >= 0"), list(range(20)))
        self.client.release_partitions("loaded", ["p1"])
        self.until("p1 is out", lambda: self.ids("loaded", "id >= 0") == list(range(10)))
        self.assertNotEqual(refusal(self.client.query, "loaded", filter="id > 0",
                                    output_fields=["id"], partition_names=["p2"])[0], 0)
        self.client.load_partitions("loaded", ["p2"], timeout=T)
        self.assertEqual(self.ids("loaded", "id >= 0"), [*range(10), *range(20, 30)])

    def test_who_serves_it(self):
        self.make("served", [ID, VEC])
        self.insert("served", range(50))
        self.client.flush("served", timeout=T)
        collection = self.client.describe_collection("served")["collection_id"]
        replicas = self.stub.GetReplicas(milvus_pb2.GetReplicasRequest(
            collectionID=collection, with_shard_nodes=True), timeout=T)
        self.assertEqual(replicas.status.error_code, 0)
        self.assertEqual(len(replicas.replicas), 1)
        replica = replicas.replicas[0]
        self.assertEqual(replica.collectionID, collection)
        self.assertEqual(len(replica.shard_replicas), 1)
        self.assertIn(replica.shard_replicas[0].leaderID, list(replica.node_ids))

        def rows():
            found = self.stub.GetQuerySegmentInfo(milvus_pb2.GetQuerySegmentInfoRequest(
                collectionName="served"), timeout=T)
            self.assertEqual(found.status.error_code, 0)
            return sum(s.num_rows for s in found.infos)
        self.until("its segment is served", lambda: rows() == 50)

    @not_on_peer("dropping a collection under load in a moment")
    def test_dropped_and_made_again(self):
        for round_ in range(3):
            self.make("again", [ID, VEC])
            self.rows = {}
            self.check("again")
            self.insert("again", range(round_, 20))
            self.check("again")
            if round_ % 2:
                self.client.flush("again", timeout=T)
            self.client.drop_collection("again")


class Ageing(Rows):
    @not_on_peer("rows that expire while one watches")
    def test_rows_expire(self):
        self.make("ageing", [ID, VEC], properties={"collection.ttl.seconds": 1})
        self.insert("ageing", range(10))
        self.assertEqual(self.count("ageing"), 10)
        self.until("they are gone", lambda: self.count("ageing") == 0, 10)
        self.insert("ageing", range(20, 25))
        self.assertEqual(self.ids("ageing"), list(range(20, 25)))


if __name__ == "__main__":
    unittest.main()

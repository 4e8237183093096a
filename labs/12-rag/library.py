"""library - the passages in a collection: put there in batches, found by their meaning.

Whatever may pass by itself (a node that died, a channel that moves) is tried again, each time
after a longer wait.  pymilvus would do that, too, unseen; here it is told not to
(retry_times=0), so that the lab can count.
"""
import collections
import random
import threading
import time

import lab
from pymilvus import DataType, MilvusException

NAME = "lab_12_passages"
BATCH = 100
WAITS_S = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
# Codes of what stays wrong however often it is asked: no such collection, partition or index,
# a wrong parameter, no right to do it.
FINAL = {100, 200, 700, 1100, 1400, 1401}
FIELDS = ["source", "title", "first", "last", "sentences"]


class Patience:
    """Calls again what failed, and remembers how often and why."""

    def __init__(self):
        self.again, self.reasons, self.lock = 0, collections.Counter(), threading.Lock()

    def call(self, act, then=None):
        """act(), and after a failure `then` (or act again), until it works or no wait is left."""
        for wait_s in [*WAITS_S, None]:
            try:
                return act()
            except MilvusException as failed:
                if wait_s is None or failed.code in FINAL:
                    raise
                with self.lock:
                    self.again += 1
                    self.reasons[lab.one_line(failed)[:90]] += 1
            # A different wait for each, or all who failed together would come back together.
            time.sleep(wait_s * random.uniform(0.5, 1))
            act = then or act
        return None


class Library:
    def __init__(self, client, patience, consistency="Strong"):
        self.client, self.patience, self.consistency = client, patience, consistency

    def make(self):
        """An empty collection; what an earlier run left is dropped."""
        if self.client.has_collection(NAME):
            self.client.drop_collection(NAME)
        schema = self.client.create_schema(description="passages of lab 12")
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=384)
        schema.add_field("source", DataType.VARCHAR, max_length=200)
        schema.add_field("title", DataType.VARCHAR, max_length=400)
        schema.add_field("first", DataType.INT32)
        schema.add_field("last", DataType.INT32)
        schema.add_field("sentences", DataType.JSON)        # [[line, text], …]
        self.client.create_collection(NAME, schema=schema, num_shards=2,
                                      consistency_level="Strong")
        index = self.client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="COSINE",
                        params={"M": 16, "efConstruction": 100})
        self.client.create_index(NAME, index)

    def fill(self, passages, vectors, progress):
        """Insert in batches.  An insert that failed may have been done all the same: what is
        sent again is an upsert, which leaves one row a key, however often it arrives."""
        for at in range(0, len(passages), BATCH):
            rows = [{"id": at + i, "vector": vectors[at + i].tolist(), "source": p.source,
                     "title": p.title[:100], "first": p.first, "last": p.last,
                     "sentences": p.cited()} for i, p in enumerate(passages[at:at + BATCH])]
            self.patience.call(lambda: self.client.insert(NAME, rows, retry_times=0),
                               then=lambda: self.client.upsert(NAME, rows, retry_times=0))
            progress(at + len(rows), len(passages))
        self.client.flush(NAME)

    def open(self, replicas):
        self.client.load_collection(NAME, replica_number=replicas)

    def count(self):
        return self.client.query(NAME, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def search(self, vector, most):
        """The nearest passages: [{"id", "score", "source", "title", "first", …}]."""
        hits, = self.patience.call(lambda: self.client.search(
            NAME, data=[vector.tolist()], limit=most, output_fields=FIELDS,
            consistency_level=self.consistency, retry_times=0))
        return [dict(hit["entity"], id=hit["id"], score=hit["distance"]) for hit in hits]

"""test_index - indexes of every type, as clients build, describe and search them.

Runs with: standalone 2.4.15 2.6.17

Method: a row of TYPES is an index with what it is built by, how it is searched, and
the recall it has to reach.  Each gets a collection with four vector fields of
different metrics and kinds, 1200 rows that are flushed, so that one segment is
indexed, and 100 that are not; some of both are deleted.  Every answer is
compared with numpy's brute force: all hits have to be rows that are there and
pass the filter, with their distances, and the share of the true ones among them
is held against the floor.  A type that nobody builds is scanned, and reaches it too.
"""
import json
import time
import unittest

import numpy as np
import vectors
from milvus_case import (T, VERSION, Case, DataType, answers, create_index, hits, not_on_peer,
                         refusal, search_request)
from pymilvus import Collection, utility
from pymilvus.grpc_gen import milvus_pb2

DIM, ROWS, MORE, QUERIES, K = 32, 1200, 100, 8, 10
DTYPES = {"float": "FLOAT_VECTOR", "float16": "FLOAT16_VECTOR", "bfloat16": "BFLOAT16_VECTOR",
          "int8": "INT8_VECTOR", "binary": "BINARY_VECTOR", "sparse": "SPARSE_FLOAT_VECTOR"}
FLOATS = [("float", "L2"), ("float", "IP"), ("float", "COSINE")]
BINARY = [("binary", "HAMMING"), ("binary", "JACCARD")]
SPARSE = [("sparse", "IP")]

# index, built by, searched with, fields, recall at 10, are distances exact?
TYPES = [
    ("FLAT", {}, {}, FLOATS + [("bfloat16", "L2")], 1.0, True),
    ("IVF_FLAT", {"nlist": 16}, {"nprobe": 12}, FLOATS + [("float16", "L2")], 0.93, True),
    ("IVF_SQ8", {"nlist": 16}, {"nprobe": 12}, FLOATS + [("bfloat16", "COSINE")], 0.9, False),
    ("IVF_PQ", {"nlist": 16, "m": 16, "nbits": 8}, {"nprobe": 12}, FLOATS + [("float16", "IP")],
     0.5, False),
    ("SCANN", {"nlist": 16}, {"nprobe": 12, "reorder_k": 100}, FLOATS + [("bfloat16", "L2")],
     0.85, True),
    ("HNSW", {"M": 16, "efConstruction": 100}, {"ef": 64}, FLOATS + [("float16", "COSINE")],
     0.95, True),
    ("HNSW", {"M": "16", "efConstruction": "100"}, {"ef": 64},
     [("bfloat16", "IP"), ("int8", "L2"), ("int8", "COSINE")], 0.93, True),
    ("HNSW_SQ", {"sq_type": "SQ8"}, {"ef": 64}, FLOATS + [("float16", "L2")], 0.9, False),
    ("HNSW_SQ", {"sq_type": "SQ8", "refine": "true"}, {"ef": 64}, FLOATS + [("float16", "L2")],
     0.93, True),
    ("DISKANN", {}, {"search_list": 64}, FLOATS + [("bfloat16", "L2")], 0.93, True),
    ("AUTOINDEX", {}, {}, FLOATS + [("float16", "IP")], 0.93, True),
    ("BIN_FLAT", {}, {}, BINARY, 1.0, True),
    ("BIN_IVF_FLAT", {"nlist": 16}, {"nprobe": 14}, BINARY, 0.9, True),
    ("AUTOINDEX", {}, {}, BINARY[:1], 0.1, True),
    ("SPARSE_INVERTED_INDEX", {"drop_ratio_build": 0.0}, {"drop_ratio_search": 0.0}, SPARSE,
     1.0, True),
    ("SPARSE_WAND", {}, {}, SPARSE, 1.0, True),
    ("AUTOINDEX", {}, {}, SPARSE, 1.0, True),
]


def made_by(index, metric, params):
    """What the client passes to create_index."""
    pairs = {"index_type": index, "metric_type": metric}
    return dict(pairs, params=params) if params else pairs


def before(metric, one, other):
    """Is the first distance the better one?"""
    return one > other if metric in vectors.BIGGER_IS_BETTER else one < other


@not_on_peer("one vector field a collection, fewer types")
class EveryType(Case):
    """One test a row of TYPES; see `each` below."""

    def fields(self, row):
        fields = [("id", DataType.INT64, {"is_primary": True}), ("n", DataType.INT64, {})]
        self.kinds = {}                         # field -> (kind, metric)
        for i, (kind, metric) in enumerate(row[3]):
            if kind == "int8" and VERSION < (2, 6):
                continue
            dim = {} if kind == "sparse" else {"dim": DIM * (8 if kind == "binary" else 1)}
            fields.append((f"v{i}", getattr(DataType, DTYPES[kind]), dim))
            self.kinds[f"v{i}"] = (kind, metric)
        return fields

    def fresh(self, keys):
        columns = {}
        for field, (kind, _) in self.kinds.items():
            rng = np.random.default_rng(len(self.rows) + len(columns))
            dim = 24 if kind == "sparse" else DIM * (8 if kind == "binary" else 1)
            columns[field] = vectors.random_vectors(rng, kind, len(keys), dim)
        return [dict({"id": k, "n": k % 50}, **{f: columns[f][i] for f in columns})
                for i, k in enumerate(keys)]

    def put(self, keys):
        made = self.fresh(keys)
        self.client.insert(self.name, made)
        self.rows.update({r["id"]: r for r in made})

    def wait_until_used(self):
        """The index is built, and searched with by who holds the segment."""
        end = time.monotonic() + T
        while True:
            told = [self.client.describe_index(self.name, f) for f in self.kinds]
            infos = utility.get_query_segment_info(self.name, timeout=T)
            sealed = [i for i in infos if i.num_rows >= 1024]
            if all(t["state"] == "Finished" and t["pending_index_rows"] == 0 for t in told) and \
                    sealed and all(i.index_name for i in sealed):
                return told
            self.assertLess(time.monotonic(), end, f"not indexed in {T} s: {told} {infos}")
            time.sleep(0.05)

    def run_row(self, row):
        index, build = row[0], row[1]
        self.rows, self.name = {}, f"index_{TYPES.index(row)}"
        schema = self.schema(self.fields(row))
        self.client.create_collection(self.name, schema=schema, timeout=T,
                                      consistency_level="Strong")
        self.addCleanup(self.client.drop_collection, self.name)
        coll = Collection(self.name)
        for field, (_, metric) in self.kinds.items():
            create_index(self.stub, self.name, field, index, metric, build)
        keys = [int(k) for k in np.random.default_rng(3).permutation(ROWS + MORE)]
        self.put(keys[:ROWS])
        self.client.flush(self.name, timeout=T)
        coll.load(timeout=T)
        self.put(keys[ROWS:])
        gone = keys[:40] + keys[-10:]
        self.client.delete(self.name, ids=gone)
        for key in gone:
            del self.rows[key]
        for field, told in zip(self.kinds, self.wait_until_used()):
            self.assertEqual(told["index_type"], index)
            self.assertEqual(told["metric_type"], self.kinds[field][1])
            self.assertEqual((told["index_name"], told["field_name"]), (field, field))
            self.assertEqual((told["total_rows"], told["indexed_rows"]), (ROWS, ROWS))
            said = told.get("params", "{}")
            self.assertEqual(json.loads(said) if isinstance(said, str) else said, build)
        for field, (kind, metric) in self.kinds.items():
            with self.subTest(field=field, kind=kind, metric=metric):
                self.search_all(row, field, kind, metric)

    # --- searching -----------------------------------------------------------------------

    def expect(self, field, query, limit, where=lambda row: True):
        kind, metric = self.kinds[field]
        live = [r for r in self.rows.values() if where(r)]
        found = vectors.nearest(kind, metric, query, [r["id"] for r in live],
                                [r[field] for r in live], limit)
        return [h for h in found if kind != "sparse" or h[1] > 0]

    def ask(self, field, queries, limit, **more):
        found = self.stub.Search(search_request(self.name, self.kinds[field][0], queries, limit,
                                                field=field, **more), timeout=T)
        self.assertEqual(found.status.code, 0, found.status.reason)
        return answers(found.results)

    def recall(self, field, row, expected, got, where=lambda row: True):
        """The share of the expected hits that was found; nothing else may be wrong."""
        kind, metric = self.kinds[field]
        self.assertEqual(len(got), len(expected))
        self.assertEqual(len({k for k, _ in got}), len(got), "a row twice")
        for key, _ in got:
            self.assertTrue(key in self.rows and where(self.rows[key]), f"row {key}")
        for one, other in zip(got, got[1:]):
            self.assertFalse(before(metric, other[1], one[1]), "not in order")
        if row[5]:
            far = max(abs(d) for _, d in expected) if expected else 0
            exact = vectors.distances(kind, metric, self.query, [self.rows[k][field]
                                                                 for k, _ in got])
            for (key, found), true in zip(got, exact):
                self.assertLess(abs(found - true), 2e-3 * max(1, far), f"row {key}")
        if not expected:
            return 1.0
        worst = expected[-1][1]
        good = vectors.distances(kind, metric, self.query,
                                 [self.rows[k][field] for k, _ in got])
        slack = 1e-4 * max(1.0, abs(worst))
        return np.mean([not before(metric, worst, d + (slack if before(metric, 1, 0) else -slack))
                        for d in good])

    def search_all(self, row, field, kind, metric):
        knobs, floor = row[2], row[4]
        dim = 24 if kind == "sparse" else DIM * (8 if kind == "binary" else 1)
        queries = vectors.random_vectors(np.random.default_rng(99), kind, QUERIES, dim)
        for filter, where in (("", lambda r: True), ("n < 25", lambda r: r["n"] < 25),
                              ("n == 7", lambda r: r["n"] == 7), ("n > 99", lambda r: False)):
            shares = []
            found = self.ask(field, queries, K, params=knobs, filter=filter)
            for self.query, got in zip(queries, found):
                shares.append(self.recall(field, row, self.expect(field, self.query, K, where),
                                          got, where))
            self.assertGreaterEqual(np.mean(shares), floor, f"recall of {filter or 'all'}")
        if kind != "sparse":
            self.search_range(row, field, metric, queries[0])
        self.iterate(row, field, kind, metric, queries[0])

    def search_range(self, row, field, metric, query):
        """Hits beyond the tenth and up to the sixtieth."""
        all_ = self.expect(field, query, len(self.rows))
        near, far = all_[10][1], all_[60][1]
        got = self.ask(field, [query], 100, params=dict(row[2], radius=far, range_filter=near))[0]
        slack = 2e-3 * max(1, abs(near), abs(far))
        for _, d in got:
            self.assertTrue(min(near, far) - slack <= d <= max(near, far) + slack, (near, d, far))
        inside = [k for k, d in all_ if abs(d - near) < slack or
                  (before(metric, d, far) and not before(metric, d, near))]
        self.assertGreaterEqual(len({k for k, _ in got} & set(inside)),
                                row[4] * 0.75 * len(inside) - 1)

    def iterate(self, row, field, kind, metric, query):
        if kind in ("sparse", "int8") or (VERSION < (2, 6) and kind != "float"):
            return                              # such a client cannot say it
        pages = Collection(self.name).search_iterator(
            [query], field, {"metric_type": metric, "params": row[2]}, batch_size=50, limit=200)
        found = []
        while page := pages.next():
            found += hits(page)
        pages.close()
        self.assertEqual(len({k for k, _ in found}), len(found), "a row twice")
        self.assertGreaterEqual(len(found), 195)
        self.assertTrue(all(k in self.rows for k, _ in found))


def each(row):
    return lambda self: self.run_row(row)


for i, row_ in enumerate(TYPES):
    kinds_ = "_".join(sorted({kind for kind, _ in row_[3]}))
    setattr(EveryType, f"test_{i:02}_{row_[0].lower()}_{kinds_}", each(row_))


BAD = "invalid parameter[expected=valid index params][actual=invalid index params]"

# index, kind, metric, parameters, code and text
REFUSED = [
    ("IVF_FLAT", "float", "L2", {"nlist": 0}, 1100, f"nlist out of range: [1, 65536]: {BAD}"),
    ("IVF_SQ8", "float", "L2", {}, 1100, f"nlist out of range: [1, 65536]: {BAD}"),
    ("IVF_PQ", "float", "L2", {"nlist": 8}, 1100, f"parameter `m` not found: {BAD}"),
    ("IVF_PQ", "float", "L2", {"nlist": 8, "m": 5}, 1100,
     f"dimension must be able to be divided by `m`, dimension: 32, m: 5: {BAD}"),
    ("HNSW", "float", "L2", {"M": 8}, 1100,
     f"efConstruction out of range: [1, 2147483647]: {BAD}"),
    ("HNSW", "float", "L2", {"M": 2049, "efConstruction": 8}, 1100,
     f"M out of range: [1, 2048]: {BAD}"),
    ("HNSW", "float", "HAMMING", {"M": 8, "efConstruction": 8}, 1100,
     f"float vector index does not support metric type: HAMMING: {BAD}"),
    ("HNSW", "float", "", {"M": 8, "efConstruction": 8}, 1100,
     f"metric type not set for vector index: {BAD}"),
    ("BIN_IVF_FLAT", "binary", "L2", {"nlist": 8}, 1100,
     f"binary vector index does not support metric type: L2: {BAD}"),
    ("SPARSE_WAND", "sparse", "IP", {"drop_ratio_build": 1.0}, 1100,
     f"invalid drop_ratio_build: 1, must be in range [0, 1): {BAD}"),
    ("SPARSE_WAND", "sparse", "L2", {}, 1100,
     f"only IP is the supported metric type for sparse index: {BAD}"),
    ("NOPE", "float", "L2", {}, 1100,
     "invalid parameter[expected=valid index][actual=invalid index type: NOPE]"),
    ("AUTOINDEX", "float", "L2", {"M": 8}, 65535,
     "only metric type can be passed when use AutoIndex"),
]

# index, built by, searched with, text
WRONG = [
    ("IVF_FLAT", {"nlist": 8}, {"nprobe": 0},
     "failed to search: out of range in json: param nprobe out of range [ 1,65536 ]"),
    ("IVF_FLAT", {"nlist": 8}, {"nprobe": "x"}, "failed to search: invalid value in json: stoi"),
    ("HNSW", {"M": 8, "efConstruction": 8}, {"ef": 1},
     "failed to search: out of range in json: ef(1) should be larger than k(10)"),
    ("HNSW", {"M": 8, "efConstruction": 8}, {"ef": 16.5},
     "failed to search: type conflict in json: param ef should be integer"),
    ("SCANN", {"nlist": 8}, {"reorder_k": 9},
     "failed to search: out of range in json: reorder_k(9) should be larger than k(10)"),
    ("DISKANN", {}, {"search_list": 1},
     "failed to search: out of range in json: search_list_size(1) should be larger than k(10)"),
    ("AUTOINDEX", {}, {"ef": 1},
     "failed to search: out of range in json: ef(1) should be larger than k(10)"),
]


class Definitions(Case):
    """What is refused, and what becomes of a definition."""

    def bare(self, name, kind="float"):
        dim = {} if kind == "sparse" else {"dim": DIM}
        self.client.create_collection(name, timeout=T, schema=self.schema(
            [("id", DataType.INT64, {"is_primary": True}),
             ("v", getattr(DataType, DTYPES[kind]), dim)]))
        self.addCleanup(self.client.drop_collection, name)
        return Collection(name)

    @not_on_peer("says the same with another code, and without what is behind the last colon")
    def test_wrong_parameters_of_builds(self):
        colls = {kind: self.bare(f"refused_{kind}", kind) for kind in ("float", "binary", "sparse")}
        for index, kind, metric, params, code, text in REFUSED:
            with self.subTest(index=index, metric=metric, params=params):
                made = dict(made_by(index, metric, params), params=params)
                if not metric:
                    del made["metric_type"]
                self.assertEqual(refusal(colls[kind].create_index, "v", made, timeout=T),
                                 (code, text))

    def test_wrong_parameters_of_searches(self):
        coll = self.bare("wrong")
        query = np.ones((1, DIM)).tolist()
        for index, build, knobs, text in WRONG:
            with self.subTest(index=index, knobs=knobs):
                coll.create_index("v", made_by(index, "L2", build), timeout=T)
                coll.load(timeout=T)
                code, why = refusal(coll.search, query, "v", {"metric_type": "L2",
                                                              "params": knobs}, limit=10)
                self.assertEqual(code, 65535)
                self.assertIn(text, why)
                coll.release(timeout=T)
                coll.drop_index(timeout=T)

    @not_on_peer("AlterIndex is younger")
    def test_properties_of_an_index(self):
        coll = self.bare("altered")
        coll.create_index("v", made_by("HNSW", "L2", {"M": 8, "efConstruction": 8}), timeout=T)
        ask = milvus_pb2.AlterIndexRequest(collection_name="altered", index_name="v")
        ask.extra_params.add(key="mmap.enabled", value="true")
        self.assertEqual(self.stub.AlterIndex(ask, timeout=T).code, 0)
        self.assertEqual(self.client.describe_index("altered", "v")["mmap.enabled"], "true")
        ask.extra_params[0].key = "M"
        self.assertIn("M is not a configable index property",
                      self.stub.AlterIndex(ask, timeout=T).reason)
        coll.load(timeout=T)
        ask.extra_params[0].key = "mmap.enabled"
        self.assertEqual(self.stub.AlterIndex(ask, timeout=T).code, 104)

    def test_another_type_after_a_drop(self):
        """Scanned, indexed, scanned, otherwise indexed: always the same rows."""
        coll = self.bare("changed")
        found = np.random.default_rng(8).standard_normal((ROWS, DIM)).astype(np.float32)
        coll.insert([list(range(ROWS)), found.tolist()])
        coll.flush(timeout=T)
        for index, build in (("FLAT", {}), ("IVF_FLAT", {"nlist": 8}),
                             ("HNSW", {"M": 8, "efConstruction": 64}), ("FLAT", {})):
            coll.create_index("v", made_by(index, "L2", build), timeout=T)
            self.assertEqual(coll.index().params["index_type"], index)
            coll.load(timeout=T)
            for key in range(0, ROWS, 173):
                got = coll.search(found[key:key + 1].tolist(), "v", {"metric_type": "L2",
                                  "params": {}}, limit=1, consistency_level="Strong")[0]
                self.assertEqual((got[0].id, got[0].distance), (key, 0.0))
            done = utility.index_building_progress("changed")
            self.assertEqual(done["total_rows"], ROWS)
            coll.release(timeout=T)
            coll.drop_index(timeout=T)


if __name__ == "__main__":
    unittest.main()

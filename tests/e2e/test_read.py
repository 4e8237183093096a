"""test_read - search, hybrid search, query and iterators as clients see them.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC; tests/run.py calls it.  Method: each class fills a collection
once, partly flushed and partly not, with rows deleted and replaced in both
parts; every answer is compared with numpy's brute force over the rows that
ought to be there.
"""
import time
import unittest

import milvus_case
import numpy as np
import vectors
from milvus_case import (PEER, T, VERSION, Case, DataType, answers, hits, not_on_peer, refusal,
                         search_request, since_client)
from pymilvus import AnnSearchRequest, Collection, RRFRanker, WeightedRanker
from pymilvus.grpc_gen import common_pb2, milvus_pb2

DIM = 16
COLOURS = ("red", "green", "blue", "grey", "pink")


class Filled(Case):
    """A collection `name` with 400 live rows in self.rows (key -> row), made once a class."""

    name, kind, dtype, metric = "read_float", "float", DataType.FLOAT_VECTOR, "L2"
    dynamic = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rng = np.random.default_rng(11)
        cls.rows = {}
        cls.addClassCleanup(cls.client.drop_collection, cls.name)
        self = cls()
        self.addCleanup = lambda *args: None        # it stays for the whole class
        self.make(cls.name, cls.fields(), dynamic=cls.dynamic, metrics={"v": cls.metric})
        self.client.create_partition(cls.name, "east")
        self.fill()

    @classmethod
    def fields(cls):
        dim = {} if cls.kind == "sparse" else {"dim": DIM}
        return [("id", DataType.INT64, {"is_primary": True}), ("n", DataType.INT64, {}),
                ("colour", DataType.VARCHAR, {"max_length": 16}), ("f", DataType.DOUBLE, {}),
                ("v", cls.dtype, dim)]

    def fresh(self, keys):
        found = vectors.random_vectors(self.rng, self.kind, len(keys), DIM)
        return [{"id": k, "n": k % 50, "colour": COLOURS[k % 5], "f": k / 8, "v": v}
                for k, v in zip(keys, found)]

    def put(self, keys, partition, how):
        made = self.fresh(keys)
        getattr(self.client, how)(self.name, made, partition_name=partition)
        self.rows.update({r["id"]: dict(r, partition=partition) for r in made})

    def fill(self):
        keys = [int(k) for k in self.rng.permutation(500)]
        self.put(keys[:150], "_default", "insert")
        self.put(keys[150:250], "east", "insert")
        self.client.flush(self.name, timeout=T)
        self.put(keys[250:400], "_default", "insert")
        self.put(keys[400:], "east", "insert")
        for gone in (keys[100:150], keys[375:400], keys[475:]):
            self.client.delete(self.name, ids=gone)
            for key in gone:
                del self.rows[key]
        self.put(keys[50:100] + keys[250:275], "_default", "upsert")
        assert len(self.rows) == 400

    def live(self, where=lambda row: True):
        """(keys, vectors) of the rows that pass."""
        found = [r for r in self.rows.values() if where(r)]
        return [r["id"] for r in found], [r["v"] for r in found]

    def queries(self, count):
        return vectors.random_vectors(np.random.default_rng(5), self.kind, count, DIM)

    def expect(self, query, limit, where=lambda row: True):
        keys, found = self.live(where)
        return vectors.nearest(self.kind, self.metric, query, keys, found, limit)

    def agree(self, expected, got):
        why = vectors.differs(expected, got)
        self.assertIsNone(why)

    def search(self, queries, limit, **more):
        """Through the stub: every client can say it."""
        found = self.stub.Search(search_request(self.name, self.kind, queries, limit, **more),
                                 timeout=T)
        self.assertEqual(found.status.code, 0, found.status.reason)
        return answers(found.results)

    def refused(self, code, text, queries=None, limit=3, **more):
        found = self.stub.Search(search_request(
            self.name, self.kind, queries or self.queries(1), limit, **more), timeout=T).status
        self.assertNotEqual(found.error_code, 0)
        if not PEER:
            self.assertEqual(found.code, code, found.reason)
            self.assertIn(text, found.reason)


class EveryKind(Filled):
    """The same questions of each vector type and metric; subclasses name them."""

    def test_nearest(self):
        asked = self.queries(5)
        for limit in (1, 10, 150, 500):
            for query, got in zip(asked, self.search(asked, limit)):
                expected = self.expect(query, limit)
                if self.kind == "sparse":       # no term in common: no hit
                    expected, got = [[(k, d) for k, d in x if d > 0] for x in (expected, got)]
                self.agree(expected, got)

    def test_filtered(self):
        query = self.queries(1)[0]
        for filter, where in (
                ("n < 10", lambda r: r["n"] < 10),
                ('colour in ["red", "blue"] and n >= 25',
                 lambda r: r["colour"] in ("red", "blue") and r["n"] >= 25),
                ("id in [1, 2, 3, 4, 5, 6, 7, 8]", lambda r: 1 <= r["id"] <= 8),
                ("n > 1000", lambda r: False)):
            with self.subTest(filter=filter):
                got = self.search([query], 20, filter=filter)
                expected = self.expect(query, 20, where)
                if self.kind == "sparse":
                    expected, got = ([(k, d) for k, d in expected if d > 0],
                                     [[(k, d) for k, d in got[0] if d > 0]])
                self.agree(expected, got[0])

    def test_a_partition(self):
        query = self.queries(1)[0]
        got = self.search([query], 10, partition_names=["east"])[0]
        self.agree(self.expect(query, 10, lambda r: r["partition"] == "east"), got)

    def test_range(self):
        if self.kind == "sparse":
            self.skipTest("Milvus has no range search over sparse vectors at 2.4")
        query = self.queries(1)[0]
        all_ = self.expect(query, 400)
        (near, far), metric = (all_[20][1], all_[80][1]), self.metric
        if metric in vectors.BIGGER_IS_BETTER:
            inside = [h for h in all_ if far < h[1] <= near]
        else:
            inside = [h for h in all_ if near <= h[1] < far]
        margin = [h for h in all_ if min(abs(h[1] - near), abs(h[1] - far)) < 1e-3]
        got = self.search([query], 400, params={"radius": far, "range_filter": near})[0]
        sure = {k for k, _ in inside} - {k for k, _ in margin}
        self.assertLessEqual(sure, {k for k, _ in got})
        self.assertLessEqual({k for k, _ in got}, sure | {k for k, _ in margin})
        self.assertEqual(len(self.search([query], 5, params={"radius": far})[0]), 5)


class FloatL2(EveryKind):
    pass


class FloatIP(EveryKind):
    name, metric = "read_ip", "IP"


class FloatCosine(EveryKind):
    name, metric = "read_cosine", "COSINE"


class Hamming(EveryKind):
    name, kind, dtype, metric = "read_bits", "binary", DataType.BINARY_VECTOR, "HAMMING"


class Jaccard(EveryKind):
    name, kind, dtype, metric = "read_jaccard", "binary", DataType.BINARY_VECTOR, "JACCARD"


@not_on_peer("a search of 16-bit vectors")
class Halves(EveryKind):
    name, kind, dtype, metric = "read_halves", "float16", DataType.FLOAT16_VECTOR, "L2"


@not_on_peer("a search of 16-bit vectors")
class BrainHalves(EveryKind):
    name, kind, dtype, metric = "read_bf16", "bfloat16", DataType.BFLOAT16_VECTOR, "IP"


@not_on_peer("sparse vectors")
class Sparse(EveryKind):
    name, kind, dtype, metric = "read_sparse", "sparse", DataType.SPARSE_FLOAT_VECTOR, "IP"


@not_on_peer("int8 vectors")
@since_client(2, 6)
class Int8(EveryKind):
    name, kind, metric = "read_int8", "int8", "L2"
    dtype = getattr(DataType, "INT8_VECTOR", None)


class Search(Filled):
    name = "searched"

    @classmethod
    def fields(cls):
        return super().fields() + [("doc", DataType.JSON, {})]

    def fresh(self, keys):
        return [dict(r, doc={"k": r["id"], "odd": r["id"] % 2 == 1}) for r in super().fresh(keys)]

    def ask(self, **more):
        more.setdefault("data", self.queries(1))
        return self.client.search(self.name, **dict({"limit": 10}, **more))

    def test_the_client_sees_hits_in_order(self):
        asked = self.queries(3)
        found = self.client.search(self.name, data=asked, limit=7)
        self.assertEqual(len(found), 3)
        for query, got in zip(asked, found):
            self.agree(self.expect(query, 7), hits(got))

    def test_output_fields(self):
        hit = self.ask(output_fields=["n", "colour", "v", "doc"], limit=1)[0][0]
        row = self.rows[hit["id"]]
        entity = hit["entity"]
        self.assertEqual((entity["n"], entity["colour"], entity["doc"]),
                         (row["n"], row["colour"], row["doc"]))
        self.assertTrue(vectors.same("float", row["v"], entity["v"]))
        everything = self.ask(output_fields=["*"], limit=1)[0][0]["entity"]
        self.assertLessEqual({"n", "colour", "f", "doc", "v"}, set(everything))
        self.assertEqual(dict(self.ask(limit=1)[0][0]["entity"]), {})

    def test_offset(self):
        query = self.queries(1)[0]
        expected = self.expect(query, 30)
        self.agree(expected[20:], self.search([query], 10, keys={"offset": 20})[0])
        self.assertEqual(self.search([query], 10, keys={"offset": 5000})[0], [])

    def test_round_decimal(self):
        query = self.queries(1)[0]
        for digits in (0, 2):
            exact = dict(self.expect(query, 400))
            got = self.search([query], 5, keys={"round_decimal": digits})[0]
            self.assertEqual([d for _, d in got], sorted(d for _, d in got))
            for key, rounded in got:
                self.assertAlmostEqual(rounded, exact[key], delta=10 ** -digits * 0.51)
                self.assertAlmostEqual(rounded, round(rounded, digits), places=4)

    @not_on_peer("group_by_field")
    def test_grouping(self):
        query = self.queries(1)[0]
        best, seen = [], set()
        for key, distance in self.expect(query, 400):
            if self.rows[key]["colour"] not in seen:
                seen.add(self.rows[key]["colour"])
                best.append((key, distance))
        got = self.ask(data=[query], group_by_field="colour", output_fields=["colour"])[0]
        self.agree(best, hits(got))
        self.assertEqual(sorted(h["entity"]["colour"] for h in got), sorted(COLOURS))
        self.assertEqual(len(self.ask(group_by_field="n", limit=7)[0]), 7)
        self.assertEqual(refusal(self.ask, group_by_field="nope")[0], 1700)

    @not_on_peer("a flushed segment that is sealed before the next restart")
    def test_ignore_growing(self):
        query = self.queries(1)[0]
        flushed, end = set(), time.monotonic() + 10
        while not flushed and time.monotonic() < end:       # sealed takes over from growing soon
            flushed = {k for k, _ in self.search([query], 500, keys={"ignore_growing": "true"})[0]}
        self.assertGreater(len(flushed), 0)
        self.assertLess(flushed, set(self.rows))

    def test_levels(self):
        for level in ("Strong", "Session", "Bounded", "Eventually"):
            with self.subTest(level=level):
                found = self.ask(consistency_level=level, limit=400)[0]
                self.assertEqual(len(found), 400)

    def test_many_queries(self):
        asked = self.queries(200)
        got = self.search(asked, 3)
        self.assertEqual([len(g) for g in got], [3] * 200)
        self.agree(self.expect(asked[199], 3), got[199])

    def test_the_orm(self):
        coll = Collection(self.name)
        query = self.queries(1)[0]
        got = coll.search([query], "v", {"metric_type": "L2", "params": {}}, limit=5,
                          expr="n < 25", output_fields=["n"], consistency_level="Strong")[0]
        self.agree(self.expect(query, 5, lambda r: r["n"] < 25), list(zip(got.ids, got.distances)))
        self.assertTrue(all(h.entity.get("n") < 25 for h in got))

    @not_on_peer("expression templates")
    def test_templates(self):
        query = self.queries(1)[0]
        got = self.ask(data=[query], filter="n < {most} and colour in {colours}",
                       filter_params={"most": 20, "colours": ["red", "pink"]})[0]
        self.agree(self.expect(query, 10, lambda r: r["n"] < 20 and r["colour"] in
                               ("red", "pink")), hits(got))

    def test_iterator(self):
        query = self.queries(1)[0]
        pages = self.client.search_iterator(
            self.name, data=[query], batch_size=60, limit=250, search_params={},
            output_fields=["n"], filter="n < 40") if not PEER else None
        if pages is None:
            self.skipTest("Milvus 2.3.5: the newer clients' iterators")
        found = []
        while True:
            page = pages.next()
            if not page:
                break
            found += hits(page)
        pages.close()
        self.agree(self.expect(query, 250, lambda r: r["n"] < 40), found)

    def test_bad_input(self):
        self.refused(65535, "topk [0] is invalid, it should be in range [1, 16384], but got 0",
                     limit=0)
        self.refused(65535, "topk [16385] is invalid", limit=16385)
        self.refused(65535, "offset [-1] is invalid, should be gte than 0", keys={"offset": -1})
        self.refused(65535, "offset+topk [16387] is invalid, (offset+limit) should be in range "
                     "[1, 16384], but got 16387", keys={"offset": 16384})
        self.refused(65535, "round_decimal [7] is invalid, should be -1 or an integer in range "
                     "[0, 6]", keys={"round_decimal": 7})
        self.refused(1100, "metric type not match", keys={"metric_type": "IP"})
        self.refused(1100, "cannot parse expression: no_such > 1, error: field no_such not exist",
                     filter="no_such > 1")
        self.refused(1100, "cannot parse expression: n >", filter="n >")
        self.refused(1100, "predicate is not a boolean expression: n + 1, data type: Int64",
                     filter="n + 1")
        self.refused(65535, "field nope not exist", output_fields=["nope"])
        self.refused(65535, "partition name nope not found", partition_names=["nope"])
        self.refused(1100, "fieldName(nope) not found", field="nope")
        self.refused(65535, "vector dimension mismatch", queries=[[0.0] * 8])
        self.assertEqual(self.stub.Search(search_request("nowhere", "float", self.queries(1), 1),
                                          timeout=T).status.code, 100)
        many = self.stub.Search(search_request(self.name, "float", self.queries(1) * 16385, 1),
                                timeout=T).status
        self.assertIn("nq [16385] is invalid", many.reason)
        self.assertEqual(len(self.search(self.queries(1), 1)[0]), 1)      # it still serves

    def test_range_bounds_in_the_wrong_order(self):
        self.refused(2000, "range_filter(10) must be less than radius(5)",
                     params={"radius": 5, "range_filter": 10})


class Query(Filled):
    name, dynamic = "queried", True

    def fresh(self, keys):
        return [dict(r, extra=r["id"] * 2) if r["id"] % 2 else r for r in super().fresh(keys)]

    def keys(self, where):
        return sorted(k for k, r in self.rows.items() if where(r))

    def test_filters(self):
        for filter, where in (
                ("n == 7", lambda r: r["n"] == 7),
                ("1 < n <= 5", lambda r: 1 < r["n"] <= 5),
                ("n % 10 == 3", lambda r: r["n"] % 10 == 3),
                ("n + 5 == 10", lambda r: r["n"] == 5),
                ("n * 2 < 10", lambda r: r["n"] < 5),
                ('colour like "gr%"', lambda r: r["colour"].startswith("gr")),
                ('colour != "red" and not (n in [1, 2, 3])',
                 lambda r: r["colour"] != "red" and r["n"] not in (1, 2, 3)),
                ('colour == "red" or f > 60', lambda r: r["colour"] == "red" or r["f"] > 60),
                ("extra > 900", lambda r: r.get("extra", 0) > 900),
                ("id not in [1, 2]", lambda r: r["id"] not in (1, 2))):
            if PEER and "*" in filter:
                continue                        # 2.3.5 compares sums by == only
            with self.subTest(filter=filter):
                self.assertEqual(self.ids(self.name, filter), self.keys(where))

    def test_count(self):
        self.assertEqual(self.count(self.name), 400)
        self.assertEqual(self.count(self.name, "n < 10"), len(self.keys(lambda r: r["n"] < 10)))
        self.assertEqual(self.count(self.name, "n > 1000"), 0)
        self.assertEqual(self.count(self.name, "", partition_names=["east"]),
                         len(self.keys(lambda r: r["partition"] == "east")))

    def test_limit_and_offset(self):
        found = self.client.query(self.name, filter="n >= 0", limit=10, offset=5,
                                  output_fields=["id"])
        self.assertEqual([r["id"] for r in found], sorted(self.rows)[5:15])
        self.assertEqual(len(self.client.query(self.name, filter="", limit=7)), 7)

    def test_get(self):
        keys = sorted(self.rows)[:3]
        found = self.client.get(self.name, ids=[keys[2], keys[0], 100000],
                                output_fields=["n", "v"])
        self.assertEqual(sorted(r["id"] for r in found), [keys[0], keys[2]])
        for row in found:
            self.assertEqual(row["n"], self.rows[row["id"]]["n"])
            self.assertTrue(vectors.same("float", self.rows[row["id"]]["v"], row["v"]))

    def test_nothing_found(self):
        self.assertEqual(list(self.client.query(self.name, filter="n > 1000",
                                                output_fields=["*"])), [])

    @not_on_peer("templates")
    def test_templates(self):
        found = self.client.query(self.name, filter="n in {ns}", filter_params={"ns": [1, 2]},
                                  output_fields=["n"])
        self.assertEqual(sorted(r["id"] for r in found), self.keys(lambda r: r["n"] in (1, 2)))

    def test_iterator(self):
        pages = self.client.query_iterator(self.name, filter="n < 40", batch_size=64,
                                           output_fields=["n"])
        found = []
        while True:
            page = pages.next()
            if not page:
                break
            self.assertLessEqual(len(page), 64)
            found += [r["id"] for r in page]
            if len(found) == 64:                # rows that come now are not in this iteration
                self.client.insert(self.name, self.fresh([100000]))
        pages.close()
        self.client.delete(self.name, ids=[100000])
        expected = self.keys(lambda r: r["n"] < 40)
        if PEER or VERSION < (2, 6):        # such a client does not say which snapshot it began
            found = [key for key in found if key < 500]
        self.assertEqual(found, expected)

    def test_bad_input(self):
        def ask(**more):
            return refusal(self.client.query, self.name, **more)
        code = (1100, 65535) if PEER else (1100,)
        self.assertIn(ask(filter="", output_fields=["n"])[0], code)
        self.assertIn(ask(filter="n ==")[0], code)
        self.assertIn(ask(filter='n == "x"')[0], code)
        self.assertIn(ask(filter="(" * 5000 + "n == 1" + ")" * 5000)[0], (0, *code)) \
            if not PEER else None
        self.assertIn("field nope not exist", ask(filter="n > 1", output_fields=["nope"])[1]) \
            if not self.dynamic else None
        self.assertNotEqual(ask(filter="n > 1", limit=16385)[0], 0)
        self.assertNotEqual(ask(filter="n > 1", output_fields=["count(*)"], limit=3)[0], 0)
        self.assertEqual(refusal(self.client.query, "nowhere", filter="n > 1")[0], 100)
        self.assertEqual(self.count(self.name, "n == 7"), len(self.keys(lambda r: r["n"] == 7)))


@not_on_peer("hybrid search")
class Hybrid(Case):
    """Two vector fields of 100 rows; ranks worked out by hand."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.client.drop_collection, "hybrid")
        self = cls()
        self.addCleanup = lambda *args: None
        self.make("hybrid", [("id", DataType.INT64, {"is_primary": True}),
                             ("n", DataType.INT64, {}),
                             ("a", DataType.FLOAT_VECTOR, {"dim": 8}),
                             ("b", DataType.SPARSE_FLOAT_VECTOR, {})],
                  metrics={"a": "COSINE", "b": "IP"})
        rng = np.random.default_rng(3)
        cls.a = vectors.random_vectors(rng, "float", 100, 8)
        cls.b = [{d: float(np.float32(rng.random() + 0.1)) for d in range(8)} for _ in range(100)]
        cls.client.insert("hybrid", [{"id": i, "n": i % 10, "a": cls.a[i], "b": cls.b[i]}
                                     for i in range(100)])

    def ranks(self, limit=20):
        keys = list(range(100))
        return (vectors.nearest("float", "COSINE", self.a[0], keys, self.a, limit),
                vectors.nearest("sparse", "IP", self.b[1], keys, self.b, limit))

    def ask(self, ranker, limit=10, **more):
        asked = [AnnSearchRequest([self.a[0]], "a", {"metric_type": "COSINE"}, limit=20),
                 AnnSearchRequest([self.b[1]], "b", {"metric_type": "IP"}, limit=20)]
        return hits(self.client.hybrid_search("hybrid", asked, ranker, limit=limit, **more)[0])

    def fused(self, score):
        """score(list number, rank from 1, distance), summed per key; best first."""
        total = {}
        for number, ranked in enumerate(self.ranks()):
            for place, (key, distance) in enumerate(ranked, 1):
                total[key] = total.get(key, 0.0) + score(number, place, distance)
        return sorted(total.items(), key=lambda kv: (-kv[1], kv[0]))

    def test_rrf(self):
        expected = self.fused(lambda _, place, __: 1 / (60 + place))
        self.assertIsNone(vectors.differs(expected[:10], self.ask(RRFRanker()), 1e-4))
        expected = self.fused(lambda _, place, __: 1 / (5 + place))
        self.assertIsNone(vectors.differs(expected[3:8], self.ask(RRFRanker(5), 5, offset=3),
                                          1e-4))

    def test_weighted(self):
        def score(number, _, distance):
            return (0.7 * (1 + distance) / 2 if number == 0
                    else 0.3 * (0.5 + np.arctan(distance) / np.pi))
        got = self.ask(WeightedRanker(0.7, 0.3))
        self.assertIsNone(vectors.differs(self.fused(score)[:10], got, 1e-3))

    def test_filters_and_fields(self):
        asked = [AnnSearchRequest([self.a[0]], "a", {}, limit=20, expr="n < 3"),
                 AnnSearchRequest([self.b[1]], "b", {}, limit=20, expr="n < 3")]
        found = self.client.hybrid_search("hybrid", asked, RRFRanker(), limit=5,
                                          output_fields=["n", "b"])[0]
        self.assertEqual(len(found), 5)
        for hit in found:
            self.assertLess(hit["entity"]["n"], 3)
            self.assertTrue(vectors.same("sparse", self.b[hit["id"]], hit["entity"]["b"]))

    def test_two_fields_need_a_name(self):
        self.assertIn("multiple anns_fields exist", refusal(
            self.client.search, "hybrid", data=[self.a[0]], limit=1)[1])

    def test_bad_input(self):
        self.assertNotEqual(refusal(self.ask, WeightedRanker(0.5))[0], 0)
        self.assertNotEqual(refusal(self.ask, RRFRanker(), 16385)[0], 0)


class Levels(Case):
    """Each consistency level holds what it promises."""

    def setUp(self):
        self.make("levels", [("id", DataType.INT64, {"is_primary": True}),
                             ("v", DataType.FLOAT_VECTOR, {"dim": 4})],
                  consistency_level="Eventually")

    def see(self, **more):
        return len(self.client.search("levels", data=[[0.0] * 4], limit=100, **more)[0])

    def test_strong_and_session_read_what_was_written(self):
        for n in range(30):
            self.client.insert("levels", [{"id": n, "v": [n] * 4}])
            level = "Session" if n % 2 and not PEER else "Strong"
            self.assertEqual(self.see(consistency_level=level), n + 1, level)

    def test_eventually_sees_it_in_the_end(self):
        self.client.insert("levels", [{"id": 1, "v": [1.0] * 4}])
        end = time.monotonic() + 10
        while self.see(consistency_level="Eventually") == 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_another_client_reads_strongly(self):
        other = milvus_case.MilvusClient(uri=f"http://{milvus_case.GRPC}")
        self.addCleanup(other.close)
        for n in range(10):
            self.client.insert("levels", [{"id": n, "v": [n] * 4}])
            self.assertEqual(other.query("levels", filter="", output_fields=["count(*)"],
                                         consistency_level="Strong")[0]["count(*)"], n + 1)

    def test_a_timestamp_of_the_client(self):
        request = search_request("levels", "float", [[0.0] * 4], 10)
        request.consistency_level = common_pb2.ConsistencyLevel.Value("Customized")
        done = self.stub.Delete(milvus_pb2.DeleteRequest(
            collection_name="levels", expr="id in [55]"), timeout=T)
        self.assertEqual(done.status.error_code, 0)
        request.guarantee_timestamp = done.timestamp
        self.assertEqual(self.stub.Search(request, timeout=T).status.error_code, 0)


del EveryKind       # only its subclasses are tests

if __name__ == "__main__":
    unittest.main()

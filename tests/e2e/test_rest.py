"""test_rest - REST v2 of rows: create, insert, search, hybrid search, query, get, properties.

Run against a deployment that serves at ELANUS_TEST_GRPC; the client's version
does not matter, because none is used.  Method: bodies as a person types them
into curl, answers compared field by field.
"""
import base64
import json
import os
import struct
import unittest
import urllib.request

SERVER = os.environ["ELANUS_TEST_GRPC"]


def post(path, **body):
    """The whole answer of a route of REST v2."""
    request = urllib.request.Request(
        f"http://{SERVER}/v2/vectordb/{path}", data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


class Rest(unittest.TestCase):
    def good(self, path, **body):
        answer = post(path, **body)
        self.assertEqual(answer["code"], 0, answer)
        return answer

    def bad(self, code, text, path, **body):
        answer = post(path, **body)
        self.assertEqual(answer["code"], code, answer)
        self.assertIn(text, answer["message"])

    def make(self, name, **more):
        self.good("collections/create", collectionName=name, **more)
        self.addCleanup(post, "collections/drop", collectionName=name)


class Quick(Rest):
    """A quick collection: id, vector, and whatever a row brings."""

    def setUp(self):
        self.make("rq", dimension=2, metricType="L2", params={"consistencyLevel": "Strong"})
        self.rows = [{"id": i, "vector": [i, 0.5], "color": "red" if i % 2 else "blue",
                      "size": i * 1.5} for i in range(1, 9)]
        answer = self.good("entities/insert", collectionName="rq", data=self.rows)
        self.assertEqual(answer["data"]["insertCount"], 8)

    def test_search(self):
        answer = self.good("entities/search", collectionName="rq", data=[[3.2, 0.5], [8, 0.5]],
                           annsField="vector", limit=2, outputFields=["color"])
        self.assertEqual(answer["topks"], [2, 2])
        self.assertEqual([r["id"] for r in answer["data"]], [3, 4, 8, 7])
        self.assertEqual(answer["data"][0]["color"], "red")
        self.assertEqual(answer["data"][2]["distance"], 0)
        self.assertNotIn("size", answer["data"][0])

    def test_search_with_everything(self):
        answer = self.good("entities/search", collectionName="rq", data=[[3, 0.5]],
                           filter="color == {c}", exprParams={"c": "blue"}, limit=2, offset=1,
                           searchParams={"metricType": "L2", "params": {"radius": 100}},
                           outputFields=["*"], consistencyLevel="Strong")
        self.assertEqual([r["id"] for r in answer["data"]], [4, 6])
        self.assertEqual(answer["data"][1], {"distance": 9, "id": 6, "vector": [6, 0.5],
                                             "color": "blue", "size": 9.0})
        answer = self.good("entities/search", collectionName="rq", data=[[3, 0.5]], limit=3,
                           filter="id in {k}", exprParams={"k": [1, 8]})
        self.assertEqual([r["id"] for r in answer["data"]], [1, 8])

    def test_query_and_get(self):
        answer = self.good("entities/query", collectionName="rq", filter="size > 4", limit=2,
                           offset=1, outputFields=["id", "size"])
        self.assertEqual(answer["data"], [{"id": 4, "size": 6.0}, {"id": 5, "size": 7.5}])
        answer = self.good("entities/get", collectionName="rq", id=[2, "7", 99],
                           outputFields=["color"])
        self.assertEqual(answer["data"], [{"color": "blue", "id": 2}, {"color": "red", "id": 7}])
        answer = self.good("entities/get", collectionName="rq", id=3)
        self.assertEqual(answer["data"], [self.rows[2]])

    def test_count(self):
        answer = self.good("entities/query", collectionName="rq", outputFields=["count(*)"])
        self.assertEqual(answer["data"], [{"count(*)": 8}])

    def test_hybrid(self):
        searches = [{"data": [[1, 0.5]], "annsField": "vector", "limit": 3},
                    {"data": [[2, 0.5]], "annsField": "vector", "limit": 3}]
        for path in ("hybrid_search", "advanced_search"):
            answer = self.good(f"entities/{path}", collectionName="rq", search=searches, limit=2,
                               rerank={"strategy": "rrf", "params": {"k": 10}},
                               outputFields=["color"])
            self.assertEqual(answer["topks"], [2])
            self.assertEqual([r["id"] for r in answer["data"]], [1, 2])     # equal: by key
            self.assertAlmostEqual(answer["data"][0]["distance"], 1 / 11 + 1 / 12, 6)
            self.assertAlmostEqual(answer["data"][1]["distance"], 1 / 11 + 1 / 12, 6)

    def test_refusals(self):
        one = {"collectionName": "rq", "data": [[1, 2]]}
        self.bad(1802, "'CollectionName' failed on the 'required' tag", "entities/search",
                 data=[[1, 2]])
        self.bad(1802, "'Data' failed on the 'required' tag", "entities/search",
                 collectionName="rq")
        self.bad(1801, "dimension: 2, but length of []float: 3", "entities/search",
                 collectionName="rq", data=[[1, 2, 3]])
        self.bad(1801, "this is no FloatVector", "entities/search", collectionName="rq",
                 data=["x"])
        self.bad(1100, "cannot parse expression: id >", "entities/search", filter="id >", **one)
        self.bad(65535, "topk [0] is invalid", "entities/search", limit=0, **one)
        self.bad(1801, "limit has to be a whole number", "entities/search", limit="x", **one)
        self.bad(1100, "metric type not match", "entities/search",
                 searchParams={"metricType": "IP"}, **one)
        self.bad(100, "collection not found", "entities/query", collectionName="nope",
                 filter="id > 0")
        self.bad(100, "collection not found", "entities/get", collectionName="nope", id=1)
        self.bad(1806, "an id of field id has to be a whole number", "entities/get",
                 collectionName="rq", id="x")
        self.bad(1802, "'ID' failed", "entities/get", collectionName="rq")
        self.bad(1100, "parameter:'Never' is incorrect", "entities/query", collectionName="rq",
                 filter="id > 0", consistencyLevel="Never")

    def test_properties(self):
        name = {"collectionName": "rq"}

        def properties():
            found = self.good("collections/describe", **name)["data"]["properties"]
            return {p["key"]: p["value"] for p in found}
        self.good("collections/alter_properties", properties={"collection.ttl.seconds": 3600},
                  **name)
        self.assertEqual(properties()["collection.ttl.seconds"], "3600")
        self.good("collections/drop_properties", propertyKeys=["collection.ttl.seconds"], **name)
        self.assertNotIn("collection.ttl.seconds", properties())
        self.bad(1802, "'CollectionName' failed", "collections/alter_properties")
        self.good("collections/flush", **name)
        self.good("collections/refresh_load", **name)
        self.assertIn("rowCount", self.good("collections/get_stats", **name)["data"])
        job = self.good("collections/compact", **name)["data"]["compactionID"]
        self.assertIn("state", self.good("collections/get_compaction_state", jobID=job)["data"])


def field(name, kind, **more):
    params = {k: more.pop(k) for k in ("dim", "max_length", "max_capacity") if k in more}
    return dict(fieldName=name, dataType=kind, elementTypeParams=params, **more)


class Full(Rest):
    """A schema with every type; what comes back is what REST says it is."""

    def setUp(self):
        fields = [
            field("k", "VarChar", isPrimary=True, max_length=20), field("flag", "Bool"),
            field("i8", "Int8"), field("big", "Int64"), field("f", "Float"),
            field("d", "Double"), field("doc", "JSON"),
            field("tags", "Array", elementDataType="VarChar", max_capacity=4, max_length=9),
            field("maybe", "Int32", nullable=True), field("usual", "Int64", defaultValue=7),
            field("vec", "FloatVector", dim=2), field("bits", "BinaryVector", dim=16),
            field("half", "Float16Vector", dim=2), field("sparse", "SparseFloatVector"),
        ]
        indexes = [{"fieldName": f, "metricType": m, "indexName": f} for f, m in
                   (("vec", "COSINE"), ("bits", "HAMMING"), ("half", "L2"), ("sparse", "IP"))]
        self.make("rf", schema={"fields": fields, "enableDynamicField": False},
                  indexParams=indexes, params={"consistencyLevel": "Strong", "shardsNum": 2})
        self.row = {"k": "a\"b", "flag": True, "i8": -3, "big": 2 ** 62, "f": 0.1, "d": 0.1,
                    "doc": {"x": [1, None]}, "tags": ["u", "v"], "maybe": None, "usual": 7,
                    "vec": [1, 2], "bits": base64.b64encode(b"\x01\x80").decode(),
                    "half": base64.b64encode(struct.pack("<2e", 1.5, -2)).decode(),
                    "sparse": {"3": 0.5, "70": 2}}
        other = dict(self.row, k="c", maybe=5, vec=[2, 1],
                     bits=base64.b64encode(b"\xff\xff").decode())
        self.assertEqual(self.good("entities/insert", collectionName="rf",
                                   data=[self.row, other])["data"]["insertCount"], 2)

    def test_every_type(self):
        rows = self.good("entities/get", collectionName="rf", id="a\"b")["data"]
        self.assertEqual(len(rows), 1)
        doc = rows[0].pop("doc")
        self.assertIsInstance(doc, str)
        self.assertEqual(json.loads(doc), self.row["doc"])
        self.assertEqual(rows[0], {k: v for k, v in self.row.items() if k != "doc"})
        described = self.good("indexes/describe", collectionName="rf", indexName="bits")["data"]
        self.assertEqual(described[0]["metricType"], "HAMMING")
        self.assertEqual(self.good("collections/get_load_state", collectionName="rf")["data"]
                         ["loadState"], "LoadStateLoaded")

    def test_every_vector(self):
        for name, vector, nearest in (
                ("vec", [4, 2], "c"), ("bits", self.row["bits"], "a\"b"),
                ("half", [1.5, -2], "a\"b"), ("sparse", {"indices": [70], "values": [1]}, "a\"b")):
            answer = self.good("entities/search", collectionName="rf", data=[vector],
                               annsField=name, limit=1, outputFields=["maybe"])
            self.assertEqual(answer["data"][0]["k"], nearest, name)
        self.bad(65535, "multiple anns_fields exist", "entities/search", collectionName="rf",
                 data=[[1, 2]])

    def test_schemas_that_are_none(self):
        self.bad(1802, "'Fields' failed", "collections/create", collectionName="rx", schema={})
        self.bad(1100, "data type Int65 is invalid(case sensitive)", "collections/create",
                 collectionName="rx", schema={"fields": [field("a", "Int65")]})
        self.bad(65535, "primary key is not specified", "collections/create", collectionName="rx",
                 schema={"fields": [field("v", "FloatVector", dim=2)]})
        self.bad(1801, "dimension has to be a whole number", "collections/create",
                 collectionName="rx", dimension="x")
        self.bad(1802, "'IndexParams' failed", "indexes/create", collectionName="rf")
        self.bad(65535, "cannot create index on non-exist field: nope", "indexes/create",
                 collectionName="rf", indexParams=[{"fieldName": "nope"}])


if __name__ == "__main__":
    unittest.main()

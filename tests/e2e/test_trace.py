"""test_trace - where a request spent its time, as the ops port of a proxy tells it.

Runs with: standalone cluster 2.6.17

Method: a client names its request by the trace id of a `traceparent` header, so the test knows
which spans to ask for.  Each kind of request has to have left the spans of who worked for it, each
under the span that caused it, and within the time of the request; clocks of the processes are one
machine's, so a few milliseconds are all they may differ.
"""
import json
import os
import random
import unittest
import urllib.parse

import servers
from milvus_case import ID, T, VEC, Case, search_request
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

OPS = os.environ["ELANUS_TEST_OPS"]
CLUSTER = os.environ["ELANUS_TEST_DEPLOYMENT"] == "cluster"
CLOCKS_US = 5000


def page(name, **query):
    """(status, document) of a page of the proxy's ops port."""
    status, text = servers.http(
        f"http://{OPS}/api/v1/_elanus/{name}?{urllib.parse.urlencode(query)}")
    return status, json.loads(text)


def role(span):
    return span["node"].rsplit("-", 1)[0]


class Trace(Case):
    def setUp(self):
        self.name = self.make(f"traced_{self._testMethodName}", [ID, VEC])
        self.client.insert(self.name, [{"id": i, "vec": [i, 0, 0, 1]} for i in range(50)])
        self.find("Search", self.search_request("Strong"))      # loaded, and all is linked

    def search_request(self, level):
        request = search_request(self.name, "float", [[1, 0, 0, 1]], 5, filter="id >= 0")
        request.consistency_level = common_pb2.ConsistencyLevel.Value(level)
        request.use_default_consistency = False
        return request

    def find(self, rpc, request):
        """Do it under a trace of our own; the spans that it left, once they are all told."""
        trace = f"{random.getrandbits(64) | 1:016x}"
        metadata = [("traceparent", f"00-{'ab' * 8}{trace}-{'cd' * 8}-01")]
        answer = getattr(self.stub, rpc)(request, timeout=T, metadata=metadata)
        status = getattr(answer, "status", answer)
        self.assertEqual(status.code, 0, status.reason)
        return trace, servers.wait_for(f"the trace of {rpc}", T, lambda: self.told(trace))

    def told(self, trace):
        """Its spans, when the request and all parents are there."""
        status, document = page("trace", id=trace)
        if status == 404 or not document["request"]:
            return None
        self.assertEqual(status, 200, document)
        self.assertEqual(document["missing"], [])
        spans = document["items"]
        ids = {span["id"] for span in spans}
        whole = all(span["parent"] is None or span["parent"] in ids for span in spans)
        return spans if whole else None

    def only(self, spans, kind, name, of_role=None):
        found = [s for s in spans if s["kind"] == kind and s["name"] == name
                 and (not of_role or role(s) == of_role)]
        self.assertGreaterEqual(len(found), 1, f"no {kind} {name} in {spans}")
        return found[0]

    def assert_nested(self, spans):
        root = spans[0]
        self.assertEqual((root["kind"], root["parent"]), ("request", None))
        self.assertEqual(role(root), "proxy")
        begins, ends = root["at_us"], root["at_us"] + root["took_us"]
        for span in spans[1:]:
            self.assertIsNotNone(span["parent"], span)
            self.assertGreaterEqual(span["at_us"], begins - CLOCKS_US, span)
            self.assertLessEqual(span["at_us"] + span["took_us"], ends + CLOCKS_US, span)

    def asked_of_metadata(self, spans, of_role):
        return [s for s in spans if s["kind"] == "meta" and role(s) == of_role]

    def parent_of(self, spans, span):
        return next(s for s in spans if s["id"] == span["parent"])

    def test_a_search_is_traced_through_proxy_and_query_node(self):
        _, spans = self.find("Search", self.search_request("Eventually"))
        self.assert_nested(spans)
        self.assertEqual(spans[0]["name"], "Search")
        call = self.only(spans, "call", "SEARCH", "proxy")
        answer = self.only(spans, "answer", "SEARCH", "querynode")
        job = self.only(spans, "job", "search", "querynode")
        self.assertEqual(call["parent"], spans[0]["id"])
        self.assertEqual(answer["parent"], call["id"])
        self.assertEqual(job["parent"], answer["id"])
        self.assertLessEqual(answer["took_us"], call["took_us"])

    def test_a_strong_search_asks_the_owner_how_far_it_is(self):
        _, spans = self.find("Search", self.search_request("Strong"))
        self.assert_nested(spans)
        self.only(spans, "job", "search", "querynode")
        call = self.only(spans, "call", "FRONTIER", "querynode")
        answer = self.only(spans, "answer", "FRONTIER", "datanode")
        self.assertEqual(answer["parent"], call["id"])
        if CLUSTER:                             # is the channel its owner's still?
            meta = self.asked_of_metadata(spans, "datanode")
            self.assertTrue(meta, spans)
            self.assertEqual(self.parent_of(spans, meta[0])["name"], "FRONTIER")

    def test_an_insert_is_traced_to_its_commit(self):
        ids = schema_pb2.FieldData(type=schema_pb2.Int64, field_name="id")
        ids.scalars.long_data.data.extend([1000, 1001])
        vectors = schema_pb2.FieldData(type=schema_pb2.FloatVector, field_name="vec")
        vectors.vectors.dim = 4
        vectors.vectors.float_vector.data.extend([0.5] * 8)
        trace, spans = self.find("Insert", milvus_pb2.InsertRequest(
            collection_name=self.name, num_rows=2, fields_data=[ids, vectors]))
        self.assert_nested(spans)
        answer = self.only(spans, "answer", "WRITE", "datanode")
        self.assertEqual(self.parent_of(spans, answer)["kind"], "call")
        commit = self.only(spans, "job", "commit", "datanode")
        self.assertEqual(self.parent_of(spans, commit)["name"], "WRITE")
        if CLUSTER:                             # the fence: is the channel its owner's still?
            self.assertTrue(self.asked_of_metadata(spans, "datanode"), spans)
        request = page("trace", id=trace)[1]["request"]
        self.assertEqual((request["method"], request["collection"], request["rows"]),
                         ("Insert", self.name, 2))

    def test_a_change_of_the_catalog_is_traced_to_the_metadata(self):
        _, spans = self.find("CreatePartition", milvus_pb2.CreatePartitionRequest(
            collection_name=self.name, partition_name="more"))
        self.assert_nested(spans)
        answer = self.only(spans, "answer", "CREATE_PARTITION", "coord")
        written = self.asked_of_metadata(spans, "coord")
        self.assertEqual(self.parent_of(spans, written[0])["id"], answer["id"])

    def test_requests_are_listed(self):
        trace, spans = self.find("Search", self.search_request("Strong"))
        status, document = page("requests", most=1024)
        self.assertEqual(status, 200, document)
        mine = [r for r in document["items"] if r["trace"] == trace]
        self.assertEqual(len(mine), 1)
        self.assertEqual({k: mine[0][k] for k in ("method", "db", "collection", "nq", "limit",
                                                  "filter", "code", "error", "rows")},
                         {"method": "Search", "db": "default", "collection": self.name, "nq": 1,
                          "limit": 5, "filter": "id >= 0", "code": 0, "error": None,
                          "rows": None})
        self.assertEqual(mine[0]["proxy"], spans[0]["node"])
        self.assertEqual(mine[0]["took_us"] // CLOCKS_US, spans[0]["took_us"] // CLOCKS_US)
        times = [r["at_us"] for r in document["items"]]
        self.assertEqual(times, sorted(times, reverse=True))
        slowest = [r["took_us"] for r in page("requests", slow=1, most=20)[1]["items"]]
        self.assertEqual(slowest, sorted(slowest, reverse=True))
        self.assertEqual(len(page("requests", most=3)[1]["items"]), 3)

    def test_a_refused_request_is_listed_with_its_error(self):
        request = self.search_request("Strong")
        request.collection_name = "no_such_collection_here"
        answer = self.stub.Search(request, timeout=T)
        self.assertNotEqual(answer.status.code, 0)
        mine = [r for r in page("requests")[1]["items"]
                if r["collection"] == "no_such_collection_here"]
        self.assertEqual(mine[0]["code"], answer.status.code)
        self.assertEqual(mine[0]["error"], answer.status.reason)

    def test_pages_say_what_is_wrong_with_the_question(self):
        for name, query, status in (("trace", {"id": "zz"}, 400), ("trace", {}, 400),
                                    ("trace", {"id": "1" * 17}, 400),
                                    ("trace", {"id": "1234567890abcdef"}, 404),
                                    ("requests", {"most": "many"}, 400)):
            with self.subTest(page=name, query=query):
                got, document = page(name, **query)
                self.assertEqual(got, status, document)
                self.assertTrue(document["error"] and document["do"])


if __name__ == "__main__":
    unittest.main()

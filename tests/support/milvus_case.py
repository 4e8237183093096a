"""milvus_case - what tests with a real pymilvus share: clients, collections, refusals.

    class Something(milvus_case.Case):
        def test_it(self):
            self.make("things", [("id", DataType.INT64, {"is_primary": True}), …])

ELANUS_TEST_GRPC says where the server is.  It may be the real Milvus: with
ELANUS_TEST_DEPLOYMENT=peer the tests that Milvus 2.3.5 cannot pass skip, and the
others show that they ask for what Milvus does (tests/support/peer.py, as a
program, starts one and runs them).
"""
import json
import os
import struct
import unittest
import warnings

warnings.simplefilter("ignore")
# Its handlers run in every child between fork and exec, and sometimes abort it there.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # noqa: E402
import logging  # noqa: E402
import pymilvus  # noqa: E402
from pymilvus import DataType, MilvusClient, connections  # noqa: E402
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc  # noqa: E402

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)    # refusals are what we came for

GRPC = os.environ.get("ELANUS_TEST_GRPC", "")
PEER = os.environ.get("ELANUS_TEST_DEPLOYMENT") == "peer"
VERSION = tuple(int(n) for n in pymilvus.__version__.split(".")[:2])
T = 20
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
INDEXES = {"BINARY_VECTOR": ("BIN_FLAT", "HAMMING"),
           "SPARSE_FLOAT_VECTOR": ("SPARSE_INVERTED_INDEX", "IP")}


def refusal(call, *args, **kwargs):
    """(code, text) of the MilvusException that the call ends with."""
    try:
        call(*args, **kwargs)
    except pymilvus.MilvusException as why:
        return why.code, str(why.message)
    raise AssertionError("it was not refused")


def not_on_peer(reason):
    """Milvus 2.3.5 has not got it."""
    return unittest.skipIf(PEER, f"Milvus 2.3.5: {reason}")


def since_client(major, minor):
    """The client of this run must be that new to say it."""
    return unittest.skipIf(VERSION < (major, minor), f"pymilvus before {major}.{minor} cannot")


def vector_fields(schema):
    return [f for f in schema.fields if f.dtype.name.endswith("_VECTOR")]


def create_index(stub, name, field, kind, metric, params=None):
    """As the client's, which sleeps half a second before it looks whether it is made."""
    request = milvus_pb2.CreateIndexRequest(collection_name=name, field_name=field)
    request.extra_params.add(key="index_type", value=kind)
    request.extra_params.add(key="metric_type", value=metric)
    if params:
        request.extra_params.add(key="params", value=json.dumps(params))
    done = stub.CreateIndex(request, timeout=T)
    assert done.error_code == 0, done.reason


class Case(unittest.TestCase):
    """A client and a stub per class; collections are dropped after each test."""

    @classmethod
    def setUpClass(cls):
        cls.client = MilvusClient(uri=f"http://{GRPC}")
        cls.addClassCleanup(cls.client.close)
        channel = grpc.insecure_channel(GRPC, options=UNLIMITED)
        cls.addClassCleanup(channel.close)
        cls.stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        connections.connect("default", uri=f"http://{GRPC}")
        cls.addClassCleanup(connections.disconnect, "default")

    def schema(self, fields, dynamic=False, auto_id=False):
        """Fields are (name, DataType, keyword arguments of add_field)."""
        made = self.client.create_schema(auto_id=auto_id, enable_dynamic_field=dynamic)
        for name, kind, more in fields:
            made.add_field(name, kind, **more)
        return made

    def make(self, name, fields, dynamic=False, auto_id=False, metrics=None, load=True, **more):
        """A collection with a FLAT index on each vector field, loaded; Strong unless told."""
        schema = self.schema(fields, dynamic, auto_id)
        more.setdefault("consistency_level", "Strong")
        self.client.create_collection(name, schema=schema, timeout=T, **more)
        self.addCleanup(self.client.drop_collection, name)
        for field in vector_fields(schema):
            index, metric = INDEXES.get(field.dtype.name, ("FLAT", "L2"))
            create_index(self.stub, name, field.name, index,
                         (metrics or {}).get(field.name, metric))
        if load:
            self.client.load_collection(name, timeout=T)
        return name

    def count(self, name, filter="", **more):
        found = self.client.query(name, filter=filter, output_fields=["count(*)"], **more)
        return found[0]["count(*)"]

    def ids(self, name, filter="", pk="id", **more):
        """Sorted keys of the rows that a filter leaves."""
        if not filter:
            more.setdefault("limit", 16384)
        found = self.client.query(name, filter=filter, output_fields=[pk], **more)
        return sorted(row[pk] for row in found)


ID = ("id", DataType.INT64, {"is_primary": True})
VEC = ("vec", DataType.FLOAT_VECTOR, {"dim": 4})


def hits(result, pk="id"):
    """[(key, distance)] of one query's hits: dicts, or the objects of older clients."""
    return [(h.get(pk, h.get("id")), h["distance"]) if isinstance(h, dict)
            else (h.id, h.distance) for h in result]


PLACEHOLDERS = {"binary": 100, "float": 101, "float16": 102, "bfloat16": 103, "sparse": 104,
                "int8": 105}


def placeholder(kind, value):
    """A query vector's bytes."""
    if kind == "sparse":
        return b"".join(struct.pack("<If", d, w) for d, w in sorted(value.items()))
    if kind == "float":
        return struct.pack(f"<{len(value)}f", *value)
    return value if isinstance(value, bytes) else value.tobytes()


def search_request(name, kind, queries, limit, *, field=None, params=None, filter="", **more):
    """A SearchRequest as the clients write it, also for vectors some of them cannot send."""
    group = common_pb2.PlaceholderGroup()
    group.placeholders.add(tag="$0", type=PLACEHOLDERS[kind],
                           values=[placeholder(kind, q) for q in queries])
    keys = {"topk": limit, "params": json.dumps(params or {}), "round_decimal": -1}
    keys.update({"anns_field": field} if field else {})
    keys.update(more.pop("keys", {}))
    return milvus_pb2.SearchRequest(
        collection_name=name, dsl=filter, dsl_type=1, nq=len(queries),
        placeholder_group=group.SerializeToString(),
        search_params=[common_pb2.KeyValuePair(key=k, value=str(v)) for k, v in keys.items()],
        **dict({"consistency_level": 0}, **more))


def answers(results):
    """[[(key, distance)] per query] of SearchResultData."""
    keys = list(results.ids.int_id.data) or list(results.ids.str_id.data)
    pairs, at, found = list(zip(keys, results.scores)), 0, []
    for count in results.topks:
        found.append(pairs[at:at + count])
        at += count
    return found

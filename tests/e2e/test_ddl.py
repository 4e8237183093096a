"""test_ddl - databases, collections, partitions, aliases, indexes, load states as clients see them.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC; tests/run.py calls it for every version and deployment.
Method: the public client classes where they reach, raw stubs for codes and
for what the classes hide, REST for the same things said in JSON.  Each test
drops what it made: the deployment is shared.
"""
import json
import os
import unittest
import urllib.request
import warnings

warnings.simplefilter("ignore")

import grpc  # noqa: E402
import pymilvus  # noqa: E402
from pymilvus import (Collection, CollectionSchema, DataType, FieldSchema,  # noqa: E402
                      MilvusClient, connections, db, utility)
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2  # noqa: E402

GRPC = os.environ["ELANUS_TEST_GRPC"]
HOST, PORT = GRPC.rsplit(":", 1)
T = 20

LOADED = "Loaded"


def refusal(call, *args, **kwargs):
    """(code, text) of the MilvusException that the call ends with."""
    try:
        call(*args, **kwargs)
    except pymilvus.MilvusException as why:
        return why.code, str(why.message)
    raise AssertionError("it was not refused")


class Client(unittest.TestCase):
    def setUp(self):
        self.client = MilvusClient(uri=f"http://{GRPC}")
        self.addCleanup(self.client.close)

    def make(self, name, **more):
        self.client.create_collection(name, dimension=8, timeout=T, **more)
        self.addCleanup(self.drop, name)

    def drop(self, name):
        for alias in self.client.list_aliases(name)["aliases"] \
                if self.client.has_collection(name) else []:
            self.client.drop_alias(alias)
        self.client.drop_collection(name)

    def test_the_quick_way(self):
        self.make("quick")
        self.assertTrue(self.client.has_collection("quick"))
        self.assertFalse(self.client.has_collection("slow"))
        self.assertEqual(self.client.list_collections(), ["quick"])
        seen = self.client.describe_collection("quick")
        self.assertEqual(seen["collection_name"], "quick")
        self.assertTrue(seen["enable_dynamic_field"])
        self.assertEqual(seen["consistency_level"], 2)
        self.assertEqual([f["name"] for f in seen["fields"]], ["id", "vector"])
        self.assertEqual([f["field_id"] for f in seen["fields"]], [100, 101])
        self.assertEqual(int(seen["fields"][1]["params"]["dim"]), 8)
        self.assertEqual(self.client.list_indexes("quick"), ["vector"])
        index = self.client.describe_index("quick", "vector")
        self.assertEqual((index["index_type"], index["metric_type"]), ("AUTOINDEX", "COSINE"))
        self.assertEqual(index["state"], "Finished")
        self.assertEqual(self.client.get_load_state("quick")["state"].name, LOADED)
        self.assertEqual(int(self.client.get_collection_stats("quick")["row_count"]), 0)
        self.client.drop_collection("quick")
        self.assertFalse(self.client.has_collection("quick"))
        self.client.drop_collection("quick")    # gone already: fine

    def test_made_twice(self):
        self.make("twice")
        self.client.create_collection("twice", dimension=8, timeout=T)
        code, text = refusal(self.client.create_collection, "twice", dimension=16, timeout=T)
        self.assertEqual((code, text), (65535, "create duplicate collection with different "
                                        "parameters, collection: twice"))

    def test_rename(self):
        self.make("before")
        self.make("other")
        self.assertEqual(refusal(self.client.rename_collection, "before", "other")[1],
                         "duplicated new collection name default:other with other collection "
                         "name or alias")
        self.client.rename_collection("before", "after")
        self.addCleanup(self.drop, "after")
        self.assertEqual(sorted(self.client.list_collections()), ["after", "other"])
        self.assertEqual(refusal(self.client.rename_collection, "before", "x")[0], 100)

    def test_aliases(self):
        self.make("first")
        self.make("second")
        self.client.create_alias("first", "nick")
        self.client.create_alias("first", "nick")
        self.assertEqual(self.client.describe_alias("nick")["collection_name"], "first")
        self.assertEqual(self.client.describe_collection("nick")["collection_name"], "first")
        self.assertEqual(list(self.client.describe_collection("first")["aliases"]), ["nick"])
        self.assertEqual(refusal(self.client.create_alias, "second", "nick"),
                         (1602, "nick is alias to another collection: first: alias already exist"
                          "[database=default][alias=nick]"))
        self.assertEqual(refusal(self.client.create_alias, "first", "second"),
                         (1601, "alias and collection name conflict"
                          "[database=default][alias=second]"))
        self.assertEqual(refusal(self.client.drop_collection, "first")[1],
                         "unable to drop the collection [first] because it has associated aliases "
                         "[nick], please remove all aliases before dropping the collection")
        self.assertEqual(refusal(self.client.drop_collection, "nick")[1],
                         "cannot drop the collection via alias = nick")
        self.client.alter_alias("second", "nick")
        self.assertEqual(self.client.list_aliases("second")["aliases"], ["nick"])
        self.client.drop_alias("nick")
        self.assertEqual(refusal(self.client.describe_alias, "nick"),
                         (1600, "alias not found[database=default][alias=nick]"))

    def test_partitions(self):
        self.make("parts")
        self.client.create_partition("parts", "p1")
        self.client.create_partition("parts", "p1")
        self.assertEqual(self.client.list_partitions("parts"), ["_default", "p1"])
        self.assertTrue(self.client.has_partition("parts", "p1"))
        self.assertFalse(self.client.has_partition("parts", "p2"))
        self.assertEqual(int(self.client.get_partition_stats("parts", "p1")["row_count"]), 0)
        self.assertEqual(refusal(self.client.drop_partition, "parts", "p1")[1],
                         "partition cannot be dropped, partition is loaded, please release it "
                         "first")
        self.client.release_partitions("parts", ["p1"])
        self.assertEqual(self.client.get_load_state("parts", "p1")["state"].name, "NotLoad")
        self.assertEqual(self.client.get_load_state("parts", "_default")["state"].name, LOADED)
        self.client.load_partitions("parts", ["p1"])
        self.client.release_partitions("parts", ["p1"])
        self.client.drop_partition("parts", "p1")
        self.client.drop_partition("parts", "p1")
        self.assertEqual(refusal(self.client.drop_partition, "parts", "_default")[1],
                         "default partition cannot be deleted")
        self.assertEqual(refusal(self.client.load_partitions, "parts", ["nope"]),
                         (200, "partition not found[partition=nope]"))

    def test_indexes_and_loading(self):
        self.make("indexed")
        self.assertEqual(refusal(self.client.drop_index, "indexed", "vector")[1],
                         "index cannot be dropped, collection is loaded, please release it first")
        self.client.release_collection("indexed")
        self.client.release_collection("indexed")
        self.client.drop_index("indexed", "vector")
        self.client.drop_index("indexed", "vector")
        self.assertEqual(refusal(self.client.load_collection, "indexed"),
                         (700, "index not found[collection=indexed]"))
        params = self.client.prepare_index_params()
        params.add_index("vector", index_type="FLAT", metric_type="L2", index_name="mine")
        self.client.create_index("indexed", params, timeout=T)
        self.client.create_index("indexed", params, timeout=T)
        index = self.client.describe_index("indexed", "mine")
        self.assertEqual((index["index_type"], index["metric_type"]), ("FLAT", "L2"))
        other = self.client.prepare_index_params()
        other.add_index("vector", index_type="FLAT", metric_type="IP", index_name="mine")
        self.assertEqual(refusal(self.client.create_index, "indexed", other, timeout=T)[1],
                         "CreateIndex failed: at most one distinct index is allowed per field")
        self.client.load_collection("indexed", timeout=T)
        self.assertEqual(self.client.get_load_state("indexed")["state"].name, LOADED)

    def test_every_field_type(self):
        schema = self.client.create_schema(auto_id=True, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
        for kind in (DataType.BOOL, DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64,
                     DataType.FLOAT, DataType.DOUBLE, DataType.JSON):
            schema.add_field(f"f_{kind.name.lower()}", kind)
        schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=5,
                         max_length=20)
        schema.add_field("v1", DataType.FLOAT_VECTOR, dim=4)
        schema.add_field("v2", DataType.BINARY_VECTOR, dim=16)
        schema.add_field("v3", DataType.FLOAT16_VECTOR, dim=4)
        schema.add_field("v4", DataType.SPARSE_FLOAT_VECTOR)
        self.client.create_collection("types", schema=schema, timeout=T)
        self.addCleanup(self.drop, "types")
        fields = self.client.describe_collection("types")["fields"]
        self.assertEqual([f["name"] for f in fields], [f.name for f in schema.fields])
        self.assertEqual([f["type"] for f in fields], [f.dtype for f in schema.fields])
        self.assertTrue(fields[0]["auto_id"])
        self.assertEqual(refusal(self.client.load_collection, "types")[0], 700)
        params = self.client.prepare_index_params()
        params.add_index("v1", index_type="FLAT", metric_type="L2")
        self.client.create_index("types", params, timeout=T)
        self.assertEqual(refusal(self.client.load_collection, "types"),
                         (65535, "there is no vector index on field: [v2 v3 v4], please create "
                          "index firstly"))


class Orm(unittest.TestCase):
    def setUp(self):
        connections.connect("default", host=HOST, port=PORT)
        self.addCleanup(connections.disconnect, "default")

    def test_a_collection(self):
        schema = CollectionSchema([
            FieldSchema("pk", DataType.INT64, is_primary=True, auto_id=False),
            FieldSchema("vec", DataType.FLOAT_VECTOR, dim=4)], description="books")
        books = Collection("books", schema, shards_num=2)
        self.addCleanup(utility.drop_collection, "books")
        self.assertTrue(utility.has_collection("books"))
        self.assertEqual(books.num_entities, 0)
        self.assertEqual(Collection("books").description, "books")
        self.assertEqual(Collection("books").num_shards, 2)
        books.create_index("vec", {"index_type": "FLAT", "metric_type": "L2", "params": {}},
                           timeout=T)
        self.assertEqual(books.indexes[0].params["index_type"], "FLAT")
        books.load(timeout=T)
        self.assertEqual(utility.loading_progress("books")["loading_progress"], "100%")
        books.create_partition("old")
        self.assertEqual([p.name for p in books.partitions], ["_default", "old"])
        books.release()

    def test_a_partition_key(self):
        schema = CollectionSchema([
            FieldSchema("pk", DataType.INT64, is_primary=True),
            FieldSchema("city", DataType.VARCHAR, max_length=64, is_partition_key=True),
            FieldSchema("vec", DataType.FLOAT_VECTOR, dim=4)])
        keyed = Collection("keyed", schema)
        self.addCleanup(utility.drop_collection, "keyed")
        self.assertEqual(len(keyed.partitions), 16)
        self.assertEqual(keyed.partitions[3].name, "_default_3")
        self.assertEqual(refusal(keyed.create_partition, "mine")[1],
                         "disable create partition if partition key mode is used")

    def test_properties(self):
        schema = CollectionSchema([FieldSchema("pk", DataType.INT64, is_primary=True),
                                   FieldSchema("vec", DataType.FLOAT_VECTOR, dim=4)])
        coll = Collection("proper", schema, properties={"collection.ttl.seconds": 60})
        self.addCleanup(utility.drop_collection, "proper")
        self.assertEqual(coll.describe()["properties"], {"collection.ttl.seconds": "60"})
        coll.set_properties({"collection.ttl.seconds": 90, "mmap.enabled": True})
        seen = Collection("proper").describe()["properties"]
        self.assertEqual(seen["collection.ttl.seconds"], "90")
        self.assertIn(seen["mmap.enabled"], ("True", "true"))

    def test_databases(self):
        db.create_database("shelf")
        self.addCleanup(db.drop_database, "shelf")
        self.assertEqual(sorted(db.list_database()), ["default", "shelf"])
        self.assertEqual(refusal(db.create_database, "shelf")[1], "database already exist: shelf")
        self.assertEqual(refusal(db.create_database, "1x"),
                         (802, "the first character of a database name must be an underscore or "
                          "letter: invalid database name[database=1x]"))
        self.assertEqual(refusal(db.drop_database, "default")[1],
                         "can not drop default database")
        there = MilvusClient(uri=f"http://{GRPC}", db_name="shelf")
        self.addCleanup(there.close)
        there.create_collection("same", dimension=8, timeout=T)
        here = MilvusClient(uri=f"http://{GRPC}")
        self.addCleanup(here.close)
        self.assertEqual((there.list_collections(), here.list_collections()), (["same"], []))
        self.assertEqual(refusal(db.drop_database, "shelf")[1], "database:shelf not empty, must "
                         "drop all collections before drop database")
        there.drop_collection("same")


class Stubs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = grpc.insecure_channel(GRPC)
        cls.stub = milvus_pb2_grpc.MilvusServiceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()

    def create(self, name, fields, **more):
        schema = schema_pb2.CollectionSchema(name=name, fields=fields)
        return self.stub.CreateCollection(milvus_pb2.CreateCollectionRequest(
            collection_name=name, schema=schema.SerializeToString(), **more), timeout=T)

    @staticmethod
    def field(name, kind, params=None, **more):
        return schema_pb2.FieldSchema(
            name=name, data_type=kind, **more,
            type_params=[common_pb2.KeyValuePair(key=k, value=v)
                         for k, v in (params or {}).items()])

    def test_a_missing_collection_is_said_in_the_words_clients_know(self):
        seen = self.stub.DescribeCollection(
            milvus_pb2.DescribeCollectionRequest(collection_name="x"), timeout=T).status
        self.assertEqual((seen.code, seen.error_code, seen.reason),
                         (100, 1, "can't find collection[database=default][collection=x]"))
        seen = self.stub.GetCollectionStatistics(
            milvus_pb2.GetCollectionStatisticsRequest(collection_name="x"), timeout=T).status
        self.assertEqual((seen.code, seen.error_code, seen.reason),
                         (100, 4, "collection not found[database=default][collection=x]"))
        self.assertEqual(self.stub.GetLoadState(
            milvus_pb2.GetLoadStateRequest(collection_name="x"), timeout=T).state, 0)
        self.assertFalse(self.stub.HasCollection(
            milvus_pb2.HasCollectionRequest(collection_name="x"), timeout=T).value)

    def test_wrong_schemas_leave_nothing_behind(self):
        pk = self.field("pk", 5, is_primary_key=True)
        vec = self.field("vec", 101, {"dim": "8"})
        for name, fields, code, text in (
                ("1a", [pk, vec], 1100, "Invalid collection name: 1a.  the first character of a "
                 "collection name must be an underscore or letter: invalid parameter"),
                ("a", [pk], 1100, "schema does not contain vector field: invalid parameter"),
                ("a", [vec], 65535, "primary key is not specified"),
                ("a", [pk, vec, vec], 65535, "duplicated field name"),
                ("a", [pk, self.field("v", 101, {"dim": "1"})], 65535,
                 "invalid dimension: 1. should be in range 2 ~ 32768"),
                ("a", [pk, self.field("v", 100, {"dim": "13"})], 65535,
                 "invalid dimension: 13. binary vector dimension should be multiple of 8. "),
                ("a", [pk, vec, self.field("s", 21)], 65535,
                 "type param(max_length) should be specified for varChar field of collection a")):
            with self.subTest(text=text):
                seen = self.create(name, fields)
                self.assertEqual((seen.code, seen.reason), (code, text))
                self.assertNotEqual(seen.error_code, 0)
        self.assertEqual(list(self.stub.ShowCollections(
            milvus_pb2.ShowCollectionsRequest(), timeout=T).collection_names), [])

    def test_default_and_nullable_fields_come_back(self):
        if "nullable" not in schema_pb2.FieldSchema.DESCRIPTOR.fields_by_name:
            self.skipTest("this client knows no nullable fields")
        pk = self.field("pk", 5, is_primary_key=True)
        vec = self.field("vec", 101, {"dim": "8"})
        age = self.field("age", 2, nullable=True,
                         default_value=schema_pb2.ValueField(int_data=-7))
        self.assertEqual(self.create("defaults", [pk, vec, age]).code, 0)
        seen = self.stub.DescribeCollection(
            milvus_pb2.DescribeCollectionRequest(collection_name="defaults"), timeout=T)
        self.assertEqual(seen.schema.fields[2].default_value.int_data, -7)
        self.assertTrue(seen.schema.fields[2].nullable)
        self.assertEqual(seen.schema.fields[1].type_params[0].value, "8")
        self.stub.DropCollection(
            milvus_pb2.DropCollectionRequest(collection_name="defaults"), timeout=T)

    def test_timestamps_rise(self):
        one, two = (self.stub.AllocTimestamp(milvus_pb2.AllocTimestampRequest(), timeout=T)
                    for _ in range(2))
        self.assertGreater(two.timestamp, one.timestamp)


class Rest(unittest.TestCase):
    def ask(self, path, **body):
        request = urllib.request.Request(f"http://{GRPC}/v2/vectordb/{path}", method="POST",
                                         data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=T) as answer:
            return json.loads(answer.read())

    def test_lists(self):
        self.assertEqual(self.ask("collections/list"), {"code": 0, "data": []})
        self.assertEqual(self.ask("databases/list")["data"], ["default"])

    def test_the_catalog(self):
        client = MilvusClient(uri=f"http://{GRPC}")
        self.addCleanup(client.close)
        client.create_collection("rested", dimension=8, timeout=T)
        self.addCleanup(client.drop_collection, "rested")
        name = {"collectionName": "rested"}
        done = {"code": 0, "data": {}}
        self.assertEqual(self.ask("collections/has", **name)["data"], {"has": True})
        seen = self.ask("collections/describe", **name)["data"]
        self.assertEqual([(f["name"], f["type"]) for f in seen["fields"]],
                         [("id", "Int64"), ("vector", "FloatVector")])
        self.assertEqual(seen["consistencyLevel"], "Bounded")
        self.assertEqual(self.ask("collections/get_stats", **name)["data"], {"rowCount": 0})
        self.assertEqual(self.ask("collections/get_load_state", **name)["data"]["loadState"],
                         f"LoadState{LOADED}")
        self.assertEqual(self.ask("partitions/create", partitionName="p", **name), done)
        self.assertEqual(self.ask("partitions/list", **name)["data"], ["_default", "p"])
        self.assertEqual(self.ask("partitions/release", partitionNames=["p"], **name), done)
        self.assertEqual(self.ask("partitions/drop", partitionName="p", **name), done)
        self.assertEqual(self.ask("indexes/list", **name)["data"], ["vector"])
        index = self.ask("indexes/describe", indexName="vector", **name)["data"][0]
        self.assertEqual((index["indexType"], index["metricType"], index["indexState"]),
                         ("AUTOINDEX", "COSINE", "Finished"))
        self.assertEqual(self.ask("aliases/create", aliasName="r", **name), done)
        self.assertEqual(self.ask("aliases/list")["data"], ["r"])
        self.assertEqual(self.ask("aliases/describe", aliasName="r")["data"]["collectionName"],
                         "rested")
        self.assertEqual(self.ask("aliases/drop", aliasName="r"), done)
        self.assertEqual(self.ask("collections/release", **name), done)
        self.assertEqual(self.ask("collections/load", **name), done)
        self.assertEqual(self.ask("collections/describe", collectionName="x")["code"], 100)
        missing = self.ask("collections/has")
        self.assertEqual(missing["code"], 1802)
        self.assertIn("Error:Field validation for 'CollectionName' failed", missing["message"])

    def test_databases(self):
        self.assertEqual(self.ask("databases/create", dbName="drawer"), {"code": 0, "data": {}})
        self.assertEqual(self.ask("databases/describe", dbName="drawer")["data"]["dbName"],
                         "drawer")
        self.assertEqual(self.ask("collections/list", dbName="drawer")["data"], [])
        self.assertEqual(self.ask("databases/drop", dbName="drawer"), {"code": 0, "data": {}})

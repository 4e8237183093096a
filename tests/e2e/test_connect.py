"""test_connect - what a Milvus client sees first: connect, version, databases, health.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC; tests/run.py calls it for every version and deployment.
Method: the public client classes first, then raw stubs for what they hide.
"""
import concurrent.futures
import json
import os
import time
import unittest
import warnings

warnings.simplefilter("ignore")

import grpc  # noqa: E402
import pymilvus  # noqa: E402
from pymilvus import MilvusClient, connections, db, utility  # noqa: E402
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc  # noqa: E402

GRPC = os.environ["ELANUS_TEST_GRPC"]
HOST, PORT = GRPC.rsplit(":", 1)
CLUSTER = os.environ["ELANUS_TEST_DEPLOYMENT"] == "cluster"
VERSION = r"^2\.4\.23-elanus-\d+\.\d+\.\d+"
ROLES = {"rootcoord", "datacoord", "querycoord", "indexcoord",
         "datanode", "querynode", "indexnode", "proxy"}
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Clients(unittest.TestCase):
    def test_the_client_is_the_version_it_should_be(self):
        self.assertEqual(pymilvus.__version__, os.environ["ELANUS_TEST_PYMILVUS"])

    def test_milvus_client(self):
        client = MilvusClient(uri=f"http://{GRPC}")
        self.assertRegex(client.get_server_version(), VERSION)
        self.assertEqual(client.list_databases(), ["default"])
        self.assertEqual(client.list_collections(), [])
        client.close()

    def test_orm(self):
        connections.connect("default", host=HOST, port=PORT)
        self.addCleanup(connections.disconnect, "default")
        self.assertRegex(utility.get_server_version(), VERSION)
        self.assertEqual(db.list_database(), ["default"])
        self.assertEqual(utility.list_collections(), [])

    def test_async_client(self):
        import asyncio
        from pymilvus import AsyncMilvusClient

        async def ask():
            client = AsyncMilvusClient(uri=f"http://{GRPC}")
            found = await client.list_collections() if hasattr(client, "list_collections") else []
            await client.close()
            return found

        self.assertEqual(asyncio.run(ask()), [])

    def test_a_missing_database_is_refused(self):
        with self.assertRaises(pymilvus.MilvusException) as refused:
            # 2.4 asks for the database on Connect, later clients with their first call.
            MilvusClient(uri=f"http://{GRPC}", db_name="no_such_database").list_collections()
        self.assertEqual(refused.exception.code, 800)
        self.assertIn("database not found", str(refused.exception))

    def test_a_hundred_clients_at_once(self):
        def one(number):
            client = MilvusClient(uri=f"http://{GRPC}")
            try:
                return client.list_databases(timeout=20)
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(one, range(100)))
        self.assertEqual(answers, [["default"]] * 100)


class Stubs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = grpc.insecure_channel(GRPC, options=UNLIMITED)
        cls.stub = milvus_pb2_grpc.MilvusServiceStub(cls.channel)
        grpc.channel_ready_future(cls.channel).result(timeout=10)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()

    def metrics(self, question):
        return self.stub.GetMetrics(
            milvus_pb2.GetMetricsRequest(request=json.dumps(question)), timeout=10)

    def raw(self, path):
        return self.channel.unary_unary(path, request_serializer=bytes,
                                        response_deserializer=bytes)

    def test_connect_tells_who_answers(self):
        request = milvus_pb2.ConnectRequest()
        request.client_info.sdk_type = "Python"
        request.client_info.sdk_version = pymilvus.__version__
        request.client_info.host = "test"
        answer = self.stub.Connect(request, timeout=10)
        self.assertEqual((answer.status.code, answer.status.error_code), (0, 0))
        self.assertNotEqual(answer.identifier, 0)
        self.assertRegex(answer.server_info.build_tags, VERSION)
        self.assertEqual(answer.server_info.deploy_mode,
                         "DISTRIBUTED" if CLUSTER else "STANDALONE")

    def test_check_health(self):
        answer = self.stub.CheckHealth(milvus_pb2.CheckHealthRequest(), timeout=10)
        self.assertEqual(answer.status.code, 0)
        self.assertTrue(answer.isHealthy, list(answer.reasons))

    def test_component_states(self):
        answer = self.stub.GetComponentStates(milvus_pb2.GetComponentStatesRequest(), timeout=10)
        self.assertEqual(answer.status.code, 0)
        self.assertEqual(answer.state.state_code, 1)
        self.assertEqual({s.state_code for s in answer.subcomponent_states} - {1}, set())

    def test_system_info_lists_the_live_nodes(self):
        answer = self.metrics({"metric_type": "system_info"})
        self.assertEqual(answer.status.code, 0)
        infos = [node["infos"] for node in json.loads(answer.response)["nodes_info"]]
        roles = {info["type"] for info in infos}
        self.assertLessEqual({"rootcoord", "proxy", "querynode", "datanode", "indexnode"}, roles)
        self.assertLessEqual(roles, ROLES)
        for info in infos:
            self.assertFalse(info["has_error"], info["error_reason"])
            self.assertRegex(info["system_info"]["build_version"], VERSION)
            self.assertEqual(info["system_info"]["deploy_mode"],
                             "DISTRIBUTED" if CLUSTER else "STANDALONE")
            self.assertGreater(info["hardware_infos"]["memory"], 0)
            self.assertGreater(info["hardware_infos"]["memory_usage"], 0)
            self.assertGreater(info["hardware_infos"]["cpu_core_count"], 0)
            self.assertIn(":", info["hardware_infos"]["ip"])

    def infos(self):
        """The role and what it tells, of every node: Attu and milvus-cli show these."""
        answer = self.metrics({"metric_type": "system_info"})
        self.assertEqual(answer.status.code, 0)
        return {node["infos"]["type"]: node["infos"]
                for node in json.loads(answer.response)["nodes_info"]}

    def test_system_info_tells_settings(self):
        told = {role: info["system_configurations"] for role, info in self.infos().items()}
        self.assertEqual(told["datacoord"]["segment_max_size"], 1024)
        self.assertEqual(told["rootcoord"]["min_segment_size_to_enable_index"], 1024)
        self.assertEqual(told["datanode"]["flush_insert_buffer_size"], 16777216)
        self.assertEqual(told["querynode"]["simd_type"], "auto")
        self.assertEqual(told["indexnode"]["minio_bucket_name"],
                         "elanus" if CLUSTER else "a-bucket")
        self.assertEqual(told["proxy"]["default_partition_name"], "_default")

    def test_system_info_tells_rows_and_bytes(self):
        client = MilvusClient(uri=f"http://{GRPC}")
        self.addCleanup(client.close)
        client.create_collection("counted", dimension=4, timeout=20)
        self.addCleanup(client.drop_collection, "counted")
        client.insert("counted", [{"id": i, "vector": [i, 0, 0, 1]} for i in range(100)],
                      timeout=20)
        client.flush("counted", timeout=20)
        coll = str(client.describe_collection("counted")["collection_id"])
        end = time.monotonic() + 20
        while time.monotonic() < end:
            infos = self.infos()
            held = infos["querynode"]["collection_metrics"]["CollectionRows"]
            stored = infos["datacoord"]["quota_metrics"]["CollectionBinlogSize"]
            if held.get(coll) == 100 and coll in stored:
                break
            time.sleep(0.1)                     # the flushed segment is on its way
        self.assertEqual(held.get(coll), 100)
        self.assertGreater(stored[coll], 100 * 16)
        parts = infos["datacoord"]["quota_metrics"]["PartitionsBinlogSize"][coll]
        self.assertEqual(sum(parts.values()), stored[coll])
        self.assertEqual(infos["datacoord"]["collection_metrics"]["Collections"][coll],
                         {"NumEntitiesTotal": 100})
        self.assertGreater(infos["proxy"]["quota_metrics"]["Hms"]["memory"], 0)

    def test_an_unknown_metric_is_an_error(self):
        answer = self.metrics({"metric_type": "no_such_metric"})
        self.assertEqual(answer.status.code, 1200)
        self.assertNotEqual(answer.status.error_code, 0)

    def test_unknown_methods_are_unimplemented(self):
        for path in ("/milvus.proto.milvus.MilvusService/NoSuchMethod", "/no.such.Service/Method"):
            with self.subTest(path=path), self.assertRaises(grpc.RpcError) as refused:
                self.raw(path)(b"", timeout=10)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_garbage_instead_of_a_message_is_refused(self):
        with self.assertRaises(grpc.RpcError) as refused:
            self.raw("/milvus.proto.milvus.MilvusService/ShowCollections")(b"\xff" * 64, timeout=10)
        self.assertIn(refused.exception.code(),
                      (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT))

    def test_a_message_over_64_mib_is_refused_and_the_channel_lives(self):
        insert = self.raw("/milvus.proto.milvus.MilvusService/Insert")
        with self.assertRaises(grpc.RpcError) as refused:
            insert(b"\0" * (67108864 + 1), timeout=60)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(refused.exception.details(),
                         "grpc: received message larger than max (67108865 vs. 67108864)")
        self.assertEqual(self.stub.GetVersion(
            milvus_pb2.GetVersionRequest(), timeout=10).status.code, 0)

    def test_a_hundred_calls_in_flight_on_one_channel(self):
        calls = [self.stub.ListDatabases.future(milvus_pb2.ListDatabasesRequest(), timeout=20)
                 for _ in range(100)]
        for call in calls:
            self.assertEqual(list(call.result().db_names), ["default"])

    def test_the_grpc_health_service_answers(self):
        # HealthCheckResponse{status: SERVING}: field 1, varint, 1
        self.assertEqual(self.raw("/grpc.health.v1.Health/Check")(b"", timeout=10), b"\x08\x01")

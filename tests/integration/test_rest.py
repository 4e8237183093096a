"""test_rest - REST v2 on the client port, and HTTP on the operations port.

Method: plain HTTP requests to one standalone, and garbage to each of its
ports; the neighbours of garbage must not notice.
"""
import json
import socket
import time
import unittest

import servers


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        flags = servers.standalone_flags(cls.place.path("data"))
        cls.daemon = cls.place.start(servers.Daemon(cls.place, "standalone", flags))

    def post(self, path, body):
        status, text = servers.http(f"http://{self.daemon.grpc}{path}", body,
                                    {"Content-Type": "application/json"})
        return status, json.loads(text)

    def test_databases_and_collections(self):
        self.assertEqual(self.post("/v2/vectordb/databases/list", {}),
                         (200, {"code": 0, "data": ["default"]}))
        for body in ({}, {"dbName": "default"}):
            self.assertEqual(self.post("/v2/vectordb/collections/list", body),
                             (200, {"code": 0, "data": []}))

    def test_errors_are_json_with_milvus_codes(self):
        status, answer = self.post("/v2/vectordb/collections/list", {"dbName": "nowhere"})
        self.assertEqual((status, answer["code"]), (200, 800))
        status, answer = self.post("/v2/vectordb/databases/list", b"{not json")
        self.assertEqual((status, answer["code"]), (200, 1801))
        status, _ = servers.http(f"http://{self.daemon.grpc}/v2/vectordb/no/such", {})
        self.assertEqual(status, 404)

    def test_operations_port(self):
        ops = f"http://{self.daemon.ops}"
        self.assertEqual(servers.http(f"{ops}/healthz"), (200, "OK"))
        status, text = servers.http(f"{ops}/healthz", headers={"Content-Type": "application/json"})
        self.assertEqual((status, json.loads(text)["state"]), (200, "OK"))
        self.assertEqual(servers.http(f"{ops}/no/such")[0], 404)
        status, text = servers.http(f"{ops}/metrics")
        self.assertEqual(status, 200)
        self.assertIn("process_resident_memory_bytes", text)
        self.assertEqual(self.daemon.metric("elanus_coord_leader"), 1)

    def test_garbage_on_each_port_hurts_nobody(self):
        spoils = [b"\x00" * 4096, b"\xff" * 4096, b"GET / HTTP/9.9\r\n\r\n",
                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xee" * 4096, b"\x16\x03\x01" + b"x" * 99]
        for address in (self.daemon.grpc, self.daemon.ops):
            host, port = address.rsplit(":", 1)
            for spoil in spoils:
                with self.subTest(address=address, spoil=spoil[:12]):
                    with socket.create_connection((host, int(port)), timeout=30) as s:
                        s.sendall(spoil)
                        try:
                            while s.recv(65536):
                                pass
                        except ConnectionResetError:
                            pass                # closed either way
        self.assertEqual(self.post("/v2/vectordb/databases/list", {})[1]["code"], 0)
        self.assertEqual(servers.http(f"http://{self.daemon.ops}/healthz"), (200, "OK"))

    def test_garbage_is_logged_at_a_bounded_rate(self):
        before, begin = len(self.daemon.output("err")), time.monotonic()
        host, port = self.daemon.grpc.rsplit(":", 1)
        for _ in range(300):
            with socket.create_connection((host, int(port)), timeout=10) as s:
                s.sendall(b"\x00garbage\r\n\r\n")
        took = time.monotonic() - begin
        self.assertEqual(servers.http(f"http://{self.daemon.ops}/healthz"), (200, "OK"))
        lines = len(self.daemon.output("err")) - before
        self.assertLessEqual(lines, 20 * (took + 2))


class Authorization(unittest.TestCase):
    """With common.security.authorizationEnabled only root, with its password, is let in."""

    def test_only_root_is_let_in(self):
        path = "/v2/vectordb/databases/list"
        with servers.Workplace() as place:
            flags = servers.standalone_flags(place.path("data"))
            flags += ["--common.security.authorizationEnabled", "true"]
            env = {"COMMON_SECURITY_DEFAULTROOTPASSWORD": "open sesame"}
            daemon = place.start(servers.Daemon(place, "standalone", flags, env=env))
            for given, status in ((None, 401), ("Bearer root:Milvus", 401), ("Bearer root", 401),
                                  ("Bearer somebody:open sesame", 401),
                                  ("Bearer root:open sesame", 200),
                                  ("Basic cm9vdDpvcGVuIHNlc2FtZQ==", 200)):
                with self.subTest(given=given):
                    headers = {"Authorization": given} if given else {}
                    got, text = servers.http(f"http://{daemon.grpc}{path}", {}, headers)
                    self.assertEqual(got, status)
                    self.assertEqual(json.loads(text)["code"], 0 if status == 200 else 1800)

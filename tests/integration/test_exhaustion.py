"""test_exhaustion - no room on the disk, no memory, requests and answers that are too large.

Method: a standalone gets less of something than it needs.  Each time it must
say so with Milvus's code and a text that helps, keep everything that was
acknowledged, go on answering, and recover by itself once there is enough.

A small disk is a tmpfs in a mount namespace of its own, which a helper process
holds open; the standalone reaches it below /proc/PID/root, so the disk outlives
a kill -9, and this test can fill it and make room.
"""
import json
import os
import shutil
import socket
import subprocess
import unittest

import servers

CELL_BYTES = 60000
MIB = 1 << 20
DISK_FULL, QUOTA_EXCEEDED, UNEXPECTED, PARAM_INVALID = 7, 9, 65535, 1100
FIELDS = [{"fieldName": "id", "dataType": "Int64", "isPrimary": True},
          {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": "2"}},
          {"fieldName": "text", "dataType": "VarChar",
           "elementTypeParams": {"max_length": "65535"}}]


class Disk:
    """A tmpfs at a path, and more of them at paths below it: {path: size}."""

    def __init__(self, sizes):
        mounts = " && ".join(f"mkdir -p '{path}' && mount -t tmpfs -o size={size} none '{path}'"
                             for path, size in sizes.items())
        self.holder = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", mounts + " && echo mounted && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.there = self.holder.stdout.readline() == b"mounted\n"

    def path(self, path):
        """Where all processes see it."""
        return f"/proc/{self.holder.pid}/root{path}"

    def fill(self, path):
        room = os.statvfs(self.path(path))
        with open(self.path(path) + "/ballast", "wb") as f:
            os.posix_fallocate(f.fileno(), 0, room.f_bavail * room.f_frsize)

    def make_room(self, path):
        os.unlink(self.path(path) + "/ballast")

    def close(self):
        """The helper reads to the end of its input; the mounts go with it."""
        self.holder.communicate()


class Case(unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.data = self.place.path("data")
        self.n_rows = 0             # acknowledged: ids from 0

    def boot(self, *flags):
        self.daemon = self.place.start(servers.Daemon(
            self.place, "standalone", servers.standalone_flags(self.data) + list(flags)))

    def ask(self, path, timeout=30, **body):
        status, text = servers.http(
            f"http://{self.daemon.grpc}/v2/vectordb/{path}", body,
            {"Content-Type": "application/json"}, timeout * servers.patience())
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def create(self, name="rows", more=()):
        answer = self.ask("collections/create", collectionName=name,
                          schema={"fields": FIELDS + list(more), "enableDynamicField": True},
                          indexParams=[{"fieldName": "v", "metricType": "L2", "indexName": "v"}])
        if answer["code"] == 0:
            self.wait_loaded(name)
        return answer

    def wait_loaded(self, name="rows"):
        servers.wait_for("load", 10 * servers.patience(), lambda: self.ask(
            "collections/get_load_state", collectionName=name)["data"]["loadProgress"] == 100)

    def insert(self, n=50, cell="x" * CELL_BYTES):
        """The answer; rows that are acknowledged count."""
        rows = [{"id": self.n_rows + i, "v": [self.n_rows + i, 1], "text": cell}
                for i in range(n)]
        answer = self.ask("entities/insert", collectionName="rows", data=rows)
        if answer["code"] == 0:
            self.n_rows += n
        return answer

    def insert_until_refused(self):
        for _ in range(200):
            answer = self.insert()
            if answer["code"] != 0:
                return answer
        self.fail(f"{self.n_rows} rows went in")

    def check_rows(self):
        """Each acknowledged row is there, once, and is found; no other is."""
        self.assertEqual(self.ask("entities/query", collectionName="rows", filter="",
                                  outputFields=["count(*)"], consistencyLevel="Strong")["data"],
                         [{"count(*)": self.n_rows}])
        rows = self.ask("entities/query", collectionName="rows", filter="id >= 0",
                        outputFields=["id"], limit=16384, consistencyLevel="Strong")["data"]
        self.assertEqual(sorted(row["id"] for row in rows), list(range(self.n_rows)))
        for wanted in (0, self.n_rows - 1):
            found = self.ask("entities/search", collectionName="rows", data=[[wanted, 1]], limit=1,
                             outputFields=["text"], consistencyLevel="Strong")["data"]
            self.assertEqual((found[0]["id"], len(found[0]["text"])), (wanted, CELL_BYTES))

    def metric(self, name):
        return self.daemon.metric(f"elanus_{name}")

    def wait_metric(self, name, right):
        servers.wait_for(name, 20 * servers.patience(), lambda: right(self.metric(name)))


class FullDisk(Case):
    def mount(self, **below):
        """The data directory, and what lies below it, on small disks."""
        sizes = {self.data: "150m"}
        sizes.update({f"{self.data}/{name}": size for name, size in below.items()})
        if not shutil.which("unshare"):
            self.skipTest("unshare is not installed, so there is no small disk")
        self.disk = Disk(sizes)
        self.addCleanup(self.disk.close)
        if not self.disk.there:
            self.skipTest("mount namespaces are not allowed here, so no small disk")
        self.outside, self.data = self.data, self.disk.path(self.data)

    def refused(self, answer):
        self.assertEqual(answer["code"], DISK_FULL)
        self.assertIn("free some space", answer["message"])
        self.assertIn("Nothing of this request was stored", answer["message"])

    def test_no_room_for_the_log(self):
        self.mount()
        self.boot()
        self.create()
        self.assertEqual(self.insert()["code"], 0)
        self.disk.fill(self.outside)
        self.refused(self.insert_until_refused())
        self.check_rows()
        self.refused(self.insert())
        self.daemon.kill()                      # the same on a restart in need
        self.boot()
        self.wait_loaded()
        self.check_rows()
        self.refused(self.insert_until_refused())
        self.disk.make_room(self.outside)
        self.assertEqual(self.insert()["code"], 0)
        self.check_rows()
        self.daemon.kill()
        self.boot()
        self.wait_loaded()
        self.check_rows()

    def test_no_room_for_objects(self):
        """Rows stay in the log and in memory, up to the quota; the flush is tried again."""
        objects = f"{self.data}/objects"
        self.mount(objects="8m")
        self.boot("--elanus.data.memory", 16 * MIB)
        self.create()
        self.disk.fill(objects)
        answer = self.insert_until_refused()
        self.assertEqual((answer["code"], answer["message"]), (
            QUOTA_EXCEEDED, "quota exceeded[reason=memory quota exceeded, "
            "please allocate more resources]"))
        self.assertLessEqual(self.metric("data_growing_bytes"), 16 * MIB)
        self.check_rows()
        self.daemon.kill()
        self.boot("--elanus.data.memory", 16 * MIB)
        self.wait_loaded()
        self.check_rows()
        self.assertEqual(self.insert()["code"], QUOTA_EXCEEDED)
        self.disk.make_room(objects)
        self.wait_metric("data_growing_bytes", lambda n: n < 8 * MIB)
        self.assertEqual(self.insert()["code"], 0)
        self.check_rows()


class Memory(Case):
    def test_writes_over_the_quota(self):
        """More than the memory for rows, flushed on the way; what never fits is refused."""
        self.boot("--elanus.data.memory", 8 * MIB)
        self.create()
        answer = self.insert(200)
        self.assertEqual((answer["code"], answer["message"]), (
            QUOTA_EXCEEDED, "quota exceeded[reason=memory quota exceeded, "
            "please allocate more resources]"))
        for _ in range(10):
            servers.wait_for("room", 20 * servers.patience(), lambda: self.insert()["code"] == 0)
        self.check_rows()

    def test_a_load_that_does_not_fit(self):
        self.boot()
        self.create()
        self.insert()
        self.assertEqual(self.ask("collections/flush", collectionName="rows")["code"], 0)
        self.wait_metric("querynode_segments", lambda n: n == 1)
        self.daemon.kill()
        self.boot("--queryCoord.overloadedMemoryThresholdPercentage", 1)
        state = servers.wait_for("a reason", 10, lambda: next(
            (s for s in [self.ask("collections/get_load_state", collectionName="rows")["data"]]
             if s["message"]), None))
        self.assertEqual(state["loadState"], "LoadStateLoading")
        self.assertIn("OOM if load", state["message"])
        self.daemon.kill()
        self.boot()
        self.wait_loaded()
        self.check_rows()


class Oversized(Case):
    def setUp(self):
        super().setUp()
        self.boot()
        self.create()
        self.insert(120)
        self.check_rows()
        self.rest_bytes = self.daemon.rss_bytes()

    def check_nothing_stays(self):
        self.check_rows()
        self.wait_metric("proxy_open_calls", lambda n: n == 0)
        self.wait_metric("querynode_reads_running", lambda n: n == 0)
        servers.wait_for("memory given back", 20 * servers.patience(), lambda:
                         self.daemon.rss_bytes() < self.rest_bytes + 32 * MIB)

    def refused(self, answer, code, *words):
        self.assertEqual(answer["code"], code, str(answer)[:500])
        for word in words:
            self.assertIn(word, answer["message"][-500:])

    def query(self, **more):
        return self.ask("entities/query", **dict({
            "collectionName": "rows", "filter": "id >= 0", "outputFields": ["id"]}, **more))

    def search(self, **more):
        return self.ask("entities/search", **dict({
            "collectionName": "rows", "data": [[1, 1]], "limit": 1}, **more))

    def test_reads(self):
        self.refused(self.search(limit=16385), UNEXPECTED, "topk [16385] is invalid")
        self.refused(self.search(data=[[1, 1]] * 16385), UNEXPECTED, "nq [16385] is invalid")
        self.refused(self.search(data=[[1, 1]] * 20, limit=120, outputFields=["*"]), UNEXPECTED,
                     "search results exceed the maxOutputSize Limit 104857600")
        self.refused(self.query(limit=16384, offset=1), UNEXPECTED,
                     "invalid max query result window, (offset+limit) should be in range "
                     "[1, 16384], but got 16385")
        self.check_nothing_stays()

    def test_filters(self):
        plan = "failed to create query plan: cannot parse expression: "
        for text in ("(" * 1000000 + "id > 0" + ")" * 1000000, "not " * 1000000 + "id > 0",
                     "id > 0" + " " * (16 * MIB), "[" * 1000000, "-" * 1000000 + "id > 0"):
            answer = self.query(filter=text)
            self.assertEqual(answer["code"], PARAM_INVALID)
            self.assertTrue(answer["message"].startswith(plan), answer["message"][:100])
        self.assertEqual(self.query(filter=" or ".join(["id == 1"] * 20000))["data"], [{"id": 1}])
        self.assertEqual(self.query(filter=f"id in {list(range(-200000, 1))}")["data"],
                         [{"id": 0}])
        self.check_nothing_stays()

    def test_writes(self):
        self.refused(self.insert(1, "x" * 65536), PARAM_INVALID,
                     "length of varchar field text exceeds max length")
        row = {"id": 10 ** 6, "v": [1, 1], "text": "", "more": "x" * 66000}
        self.refused(self.ask("entities/insert", collectionName="rows", data=[row]),
                     PARAM_INVALID, "exceeds max length (65536)")
        fields = [{"fieldName": f"f{i}", "dataType": "Int8"} for i in range(62)]
        self.refused(self.create("wide", fields), UNEXPECTED,
                     "maximum field's number should be limited to 64")
        self.assertEqual(self.create("wide", fields[1:])["code"], 0)
        self.check_nothing_stays()

    # --- by hand, because a client would not ------------------------------------------

    def connect(self, path, length=0, body=b"", receive_bytes=None, chunked=False):
        """A connection with a request on its way."""
        host, port = self.daemon.grpc.rsplit(":", 1)
        s = socket.socket()
        self.addCleanup(s.close)
        s.settimeout(30)
        if receive_bytes:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.connect((host, int(port)))
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length or len(body)}"
        s.sendall(f"POST /v2/vectordb/{path} HTTP/1.1\r\nHost: x\r\n"
                  f"Content-Type: application/json\r\n{size}\r\n\r\n".encode() + body)
        return s

    def test_requests(self):
        said = self.connect("entities/insert", length=65 * MIB)
        self.assertTrue(said.recv(65536).startswith(b"HTTP/1.1 413 "))
        dripping = self.connect("entities/insert", chunked=True)
        try:
            for _ in range(70):
                dripping.sendall(b"100000\r\n" + b" " * MIB + b"\r\n")
        except OSError:
            pass                                # it does not read all of that
        self.wait_metric("door_refused_size_total", lambda n: n == 2)
        self.check_nothing_stays()

    def big_reads(self, n):
        """Clients that asked for 7 MB each and read nothing."""
        body = json.dumps({"collectionName": "rows", "filter": "id >= 0", "outputFields": ["*"],
                           "limit": 16384}).encode()
        return [self.connect("entities/query", body=body, receive_bytes=4096) for _ in range(n)]

    def test_clients_that_do_not_read(self):
        deaf = self.big_reads(16)
        self.wait_metric("proxy_open_calls", lambda n: n == 0)
        self.check_rows()                       # the others are served meanwhile
        for s in deaf:
            s.close()
        self.check_nothing_stays()

    def test_clients_that_leave(self):
        """Some before the request is looked at, some in the middle of the read or the answer."""
        for _ in range(4):
            gone = self.big_reads(8)
            for s in gone[:4]:
                s.close()
            gone[4].recv(1000)
            for s in gone[4:]:
                s.close()
        self.check_nothing_stays()

"""test_pages - what the ops port of a proxy tells is true: channels, segments, builds, nodes,
events.

Method: rows go their way from growing to flushed to indexed, in a standalone and in a cluster on
real etcd and S3, and the pages are asked at each place of it.  Then the data node that owns the
channel is killed: the pages must not show it as alive, and the events must tell the failover in
order, each with what it means.
Runs with: cluster 3.0.2
"""
import json
import os
import random
import time
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from milvus_case import DataType, MilvusClient
import servers

T = 30
DIM = 8
ROWS = 1500
STORY = ["suspect", "takeover", "sealed", "active", "switched"]


class Pages:
    def __init__(self, ops):
        self.ops = ops

    def ask(self, page, **query):
        words = "&".join(f"{k}={v}" for k, v in query.items())
        status, text = servers.http(f"http://{self.ops}/api/v1/_elanus/{page}?{words}", timeout=10)
        return status, json.loads(text)

    def get(self, page, **query):
        status, root = self.ask(page, **query)
        assert status == 200, root
        return root

    def wait(self, page, what, holds, seconds=20, **query):
        """The answer, once it is so."""
        last = []
        def ask():
            last[:] = [self.get(page, **query)]
            return holds(last[0])
        try:
            servers.wait_for(what, seconds * servers.patience(), ask, pause=0.1)
        except servers.Failure as why:
            raise servers.Failure(f"{why}\n{json.dumps(last, indent=1)[:4000]}") from None
        return last[0]


class Seen(unittest.TestCase):
    """What both deployments have to show."""

    def rows(self, client, name, first):
        client.insert(name, [{"id": first + i, "v": [random.random() for _ in range(DIM)]}
                             for i in range(ROWS)], timeout=T)

    def make(self, client, name):
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        index = client.prepare_index_params()
        index.add_index("v", index_name="by_v", index_type="HNSW", metric_type="L2",
                        params={"M": 8, "efConstruction": 64})
        client.create_collection(name, schema=schema, num_shards=1, timeout=T,
                                 consistency_level="Strong")
        client.create_index(name, index, timeout=T)
        client.load_collection(name, timeout=T)

    def channel(self, root, name):
        return next(c for c in root["items"]
                    if any(v["collection"] == name for v in c["vchannels"]))

    def the_way_of_rows(self, client, pages, name):
        """growing, flushed, indexed, held; the last state of its channel."""
        self.make(client, name)
        self.rows(client, name, 0)
        before = self.channel(pages.get("channels"), name)
        self.assertEqual(before["state"], "active")
        self.assertRegex(before["owner"], r"^datanode-\d+$")
        self.assertGreaterEqual(before["growing_rows"], ROWS)
        self.rows(client, name, ROWS)
        after = self.channel(pages.wait(
            "channels", "a follower that has all",
            lambda root: all(f["behind_ms"] == 0 for f in self.channel(root, name)["followers"])
            and self.channel(root, name)["followers"]), name)
        self.assertGreater(after["frontier"]["seq"], before["frontier"]["seq"])
        self.assertGreater(after["frontier_ts_ms"], before["frontier_ts_ms"])
        self.assertEqual([f["leader"] for f in after["followers"]], [True])

        growing = pages.wait("segments", "growing rows at the query node",
                             lambda root: root["items"] and root["items"][0]["held_by"],
                             collection=name)["items"]
        self.assertEqual([s["state"] for s in growing], ["growing"])
        self.assertEqual([s["owner"] for s in growing], [after["owner"]])
        self.assertEqual(growing[0]["rows"], 2 * ROWS)
        self.assertRegex(growing[0]["held_by"][0]["node"], r"^querynode-\d+$")

        client.flush(name, timeout=T)
        flushed = pages.wait(
            "segments", "an index that is used",
            lambda root: all(s["state"] == "flushed" and s["held_by"] and
                             s["held_by"][0]["indexes"] for s in root["items"]),
            collection=name)["items"]
        self.assertEqual([s["id"] for s in flushed], [s["id"] for s in growing])
        index = flushed[0]["indexes"][0]
        self.assertEqual([index[k] for k in ("name", "field", "type", "state", "percent")],
                         ["by_v", "v", "HNSW", "done", 100])
        self.assertEqual(flushed[0]["held_by"][0]["indexes"], [index["index"]])
        self.assertIsNone(flushed[0]["owner"])
        build = next(b for b in pages.get("builds", collection=name)["items"]
                     if b["build"] == index["build"])
        self.assertEqual([build["segment"], build["rows"]], [flushed[0]["id"], 2 * ROWS])
        return after

    def refusals(self, pages):
        status, root = pages.ask("segments", collection="nowhere")
        self.assertEqual(status, 404)
        self.assertIn("nowhere", root["error"])
        self.assertTrue(root["do"])
        self.assertEqual(pages.ask("segments", most="many")[0], 400)
        self.assertEqual(pages.ask("weather")[0], 404)


class Standalone(Seen):
    def test_the_way_of_rows(self):
        with servers.Workplace() as place:
            server = place.start(servers.Daemon(place, "standalone",
                                                servers.standalone_flags(place.path("data"))))
            client = MilvusClient(uri=f"http://{server.grpc}")
            self.addCleanup(client.close)
            pages = Pages(server.ops)
            self.the_way_of_rows(client, pages, "alone")
            self.refusals(pages)
            root = pages.get("events")
            self.assertEqual({e["node"] for e in root["items"]}, {"standalone"})
            self.assertEqual([e for e in root["items"] if not e["about"] or not e["source"]], [])
            self.assertEqual(pages.get("nodes")["missing"], [])


class Killed(Seen):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        cls.etcd, s3 = cls.place.stores()
        cls.cluster = servers.Cluster(cls.place, cls.etcd, s3, roles={"datanode": 2}).start()

    def owner_of(self, name):
        """The daemon, by the address of its node."""
        address = next(n["ops_address"] for n in self.pages.get("nodes")["items"]
                       if n["name"] == name)
        port = address.rsplit(":", 1)[1]
        return next(d for d in self.cluster.of("datanode") if d.ops.endswith(f":{port}"))

    def story(self, cursor, channel, name):
        """Events behind the cursor that are about this channel or that node, by step."""
        root = self.pages.get("events", after=cursor)
        found = {}
        for event in root["items"]:
            fields, step = event["fields"], event["step"]
            about = fields.get("channel", "").startswith(channel) or \
                fields.get("node") == name and step == "suspect"
            if about and step in STORY:
                found.setdefault(step, event)
        return found

    def test_a_data_node_that_is_killed(self):
        client = MilvusClient(uri=f"http://{self.cluster.grpc}")
        self.addCleanup(client.close)
        self.pages = pages = Pages(self.cluster.ops)
        was = self.the_way_of_rows(client, pages, "birds")
        self.refusals(pages)
        self.rows(client, "birds", 2 * ROWS)
        cursor = pages.get("events")["next"]
        self.owner_of(was["owner"]).kill()

        dead = next(n for n in pages.get("nodes")["items"] if n["name"] == was["owner"])
        self.assertIn(dead["state"], ("silent", "suspect"))
        self.assertIsNone(dead["memory_used"])
        now = self.channel(pages.wait(
            "channels", "another owner that is active and followed",
            lambda root: self.is_well(self.channel(root, "birds"), was)), "birds")
        self.assertEqual(now["frontier"]["epoch"], now["epoch"])
        self.assertIn(was["epoch"], [s["epoch"] for s in now["seals"]])
        self.rows(client, "birds", 3 * ROWS)
        self.assertEqual(client.query("birds", "", output_fields=["count(*)"],
                                      timeout=T)[0]["count(*)"], 4 * ROWS)
        for node in pages.get("nodes")["items"]:
            if node["name"] == was["owner"]:
                self.assertNotIn(node["state"], ("up", "joining"))

        servers.wait_for("the whole story", 10 * servers.patience(), lambda: len(
            self.story(cursor, was["channel"], was["owner"])) == len(STORY), pause=0.2)
        told = self.story(cursor, was["channel"], was["owner"])
        self.assertEqual(sorted(told, key=lambda step: told[step]["at_us"]), STORY)
        for event in told.values():
            self.assertTrue(event["about"], event)
            self.assertTrue(os.path.exists(os.path.join(servers.ROOT, event["source"])), event)
        root = pages.get("events")
        self.assertEqual([e for e in root["items"] if not e["about"] or not e["source"]], [])

    def test_without_a_coordinator_and_without_metadata(self):
        pages = Pages(self.cluster.ops)
        coord = self.cluster.of("coord")[0]
        pages.wait("nodes", "all links", lambda root: not root["missing"])
        coord.kill()
        root = pages.wait("nodes", "no leader", lambda root: root["leader"] is None)
        self.assertIn("leading coord", [m["what"] for m in root["missing"]])
        self.assertEqual([n["leader"] for n in root["items"] if n["leader"]], [])
        self.assertIn("leading coord", [m["what"] for m in pages.get("channels")["missing"]])
        coord.start()
        coord.ready()
        pages.wait("nodes", "a leader again", lambda root: root["leader"])

        self.etcd.pause()
        try:
            status, root = pages.ask("channels")
            self.assertEqual(status, 503)
            self.assertIn("etcd", root["do"])
            pages.wait("nodes", "metadata that is missing", lambda root: "metadata" in
                       [m["what"] for m in root["missing"]])
            begin = time.monotonic()
            self.assertEqual(pages.ask("segments")[0], 503)     # known by now: said at once
            self.assertLess(time.monotonic() - begin, 1 * servers.patience())
        finally:
            self.etcd.resume()
        pages.wait("nodes", "metadata again", lambda root: "metadata" not in
                   [m["what"] for m in root["missing"]])

    @staticmethod
    def is_well(channel, was):
        return channel["state"] == "active" and channel["owner"] != was["owner"] and \
            channel["epoch"] > was["epoch"] and channel["followers"] and \
            all(f["epoch"] == channel["epoch"] and f["behind_ms"] == 0
                for f in channel["followers"])


if __name__ == "__main__":
    unittest.main()

"""test_prometheus - Debian's Prometheus scrapes a cluster: names, values, rules, an alert.

Method: a cluster of its own on real etcd and S3, some requests of each kind, and a real
Prometheus with the rules of ops/alerts.yml, whose `for` is shortened here and nothing else.  A
query node is killed (SIGKILL): the alert fires, and it ends when the node is back.  The names
that the rules, the dashboard and docs/metrics.md use are those that the daemons have.
With UPDATE=1 the tables of docs/metrics.md are written anew.
Runs with: cluster 2.6.17
"""
import glob
import json
import os
import re
import subprocess
import unittest
import urllib.parse

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker
import servers

T, DIM, ROWS = 30, 8, 3000
OPS = os.path.join(servers.ROOT, "ops")
PAGE = os.path.join(servers.ROOT, "docs", "metrics.md")
NAME = re.compile(r"\b(?:milvus|elanus|process)_[a-z0-9_]+")
JOBS = {"proxy": "Proxy", "coord": "Coordinator", "datanode": "Data node",
        "querynode": "Query node", "indexnode": "Index node"}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def families(text):
    """name -> [type, help, labels] of a page of /metrics."""
    found = {}
    for line in text.splitlines():
        word = line.split(" ", 3)
        if line.startswith("# HELP "):
            found[word[2]] = ["", word[3], set()]
        elif line.startswith("# TYPE "):
            found[word[2]][0] = word[3]
        elif "{" in line:
            name = re.sub(r"_(bucket|sum|count)$", "", line.split("{")[0])
            family = found.get(line.split("{")[0]) or found[name]
            family[2] |= set(re.findall(r'(\w+)="', line)) - {"le"}
    return found


class Prometheus(servers.Process):
    """A real one: every daemon is a target, ops/alerts.yml with short patience."""

    def __init__(self, place, daemons):
        program = servers.find_tool("prometheus")
        if not program or not servers.find_tool("promtool"):
            raise unittest.SkipTest("no prometheus: scripts/deps.sh tools unpacks Debian's")
        rules = re.sub(r"for: \d+[sm]", "for: 1s", read(OPS, "alerts.yml"))
        with open(place.path("alerts.yml"), "w", encoding="utf-8") as f:
            f.write(rules)
        with open(place.path("prometheus.yml"), "w", encoding="utf-8") as f:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                       "rule_files": ["alerts.yml"],
                       "scrape_configs": [{"job_name": "elanus", "static_configs": [
                           {"targets": [d.ops for d in daemons]}]}]}, f)
        self.address = f"127.0.0.1:{servers.free_port()}"
        super().__init__("prometheus", [
            program, "--config.file", place.path("prometheus.yml"), "--storage.tsdb.path",
            place.path("prometheus"), "--web.listen-address", self.address])

    def ready(self):
        servers.wait_for("prometheus", 30,
                         lambda: servers.http(f"http://{self.address}/-/ready")[0] == 200)

    def get(self, path):
        status, text = servers.http(f"http://{self.address}/api/v1/{path}")
        return json.loads(text)["data"] if status == 200 else None

    def value(self, expression):
        """Of an expression with one result; None when there is none."""
        found = self.get("query?" + urllib.parse.urlencode({"query": expression}))
        return float(found["result"][0]["value"][1]) if found and found["result"] else None

    def firing(self, alert, instance):
        return any(a["labels"]["alertname"] == alert and a["state"] == "firing" and
                   a["labels"].get("instance") == instance
                   for a in (self.get("alerts") or {"alerts": []})["alerts"])


class Watched(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        etcd, s3 = cls.place.stores()
        roles = {"coord": 1, "datanode": 1, "querynode": 1, "indexnode": 1, "proxy": 1}
        cls.cluster = servers.Cluster(cls.place, etcd, s3, roles=roles).start()
        cls.victim = cls.cluster.daemon("querynode")
        port = cls.victim.command.index("--ops-port") + 1
        cls.victim.command[port] = str(servers.free_port())     # the same after a restart
        cls.place.start(cls.victim)
        cls.prometheus = cls.place.start(Prometheus(cls.place, cls.cluster.daemons))
        cls.client = MilvusClient(uri=f"http://{cls.cluster.grpc}")
        cls.addClassCleanup(cls.client.close)
        cls.work(cls.client)

    @classmethod
    def work(cls, client):
        """A little of everything."""
        schema = client.create_schema(auto_id=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
        schema.add_field("n", DataType.INT64)
        index = client.prepare_index_params()
        index.add_index("v", index_type="HNSW", metric_type="L2",
                        params={"M": 8, "efConstruction": 32})
        client.create_collection("birds", schema=schema, index_params=index, timeout=T)
        rows = [{"v": [float(i * 7 % (j + 11)) for j in range(DIM)], "n": i} for i in range(ROWS)]
        for at in range(0, ROWS, 1000):
            client.insert("birds", rows[at:at + 1000], timeout=T)
        client.delete("birds", filter="n < 10", timeout=T)
        client.search("birds", [rows[1]["v"], rows[2]["v"]], limit=3, timeout=T)
        client.query("birds", filter="n == 17", timeout=T)
        ask = AnnSearchRequest([rows[3]["v"]], "v", {}, limit=3)
        client.hybrid_search("birds", [ask, ask], RRFRanker(), limit=3, timeout=T)
        client.flush("birds", timeout=T)
        servers.http(f"http://{cls.cluster.grpc}/v2/vectordb/collections/list", data={},
                     headers={"Content-Type": "application/json"})
        servers.wait_for("the index of the flushed rows", T, lambda: "Finished" in str(
            client.describe_index("birds", "v", timeout=T)["state"]))

    def page(self, daemon):
        status, text = servers.http(f"http://{daemon.ops}/metrics")
        self.assertEqual(status, 200)
        return text

    def by_role(self):
        """role -> families; of several nodes of a role, together."""
        found = {}
        for daemon in self.cluster.daemons:
            mine = found.setdefault(daemon.role, {})
            for name, family in families(self.page(daemon)).items():
                mine.setdefault(name, family)[2].update(family[2])
        return found

    def eventually(self, expression, value):
        servers.wait_for(f"{expression} to be {value}", T,
                         lambda: self.prometheus.value(expression) == value, pause=0.2)

    def test_prometheus_reads_every_daemon(self):
        self.eventually('count(up{job="elanus"} == 1)', len(self.cluster.daemons))
        for daemon in self.cluster.daemons:
            done = subprocess.run([servers.find_tool("promtool"), "check", "metrics"],
                                  input=self.page(daemon), capture_output=True, text=True)
            self.assertIn(done.returncode, (0, 3), done.stderr)
            # Milvus's names are as they are; ours follow the rules.
            ours = [line for line in (done.stdout + done.stderr).splitlines()
                    if not line.startswith("milvus_")]
            self.assertEqual(ours, [], daemon.name)

    def test_rules_and_example_are_valid(self):
        for what, path in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
            done = subprocess.run([servers.find_tool("promtool"), "check", what,
                                   os.path.join(OPS, path)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_name_that_is_used_is_there(self):
        there = set()
        for found in self.by_role().values():
            for name, (kind, _, _) in found.items():
                ends = ("", "_bucket", "_sum", "_count") if kind == "histogram" else ("",)
                there |= {name + end for end in ends}
        for path in glob.glob(os.path.join(OPS, "*")):
            used = set(NAME.findall(read(path)))
            self.assertEqual(used - there, set(), path)

    def test_values_are_right(self):
        self.eventually("sum(milvus_proxy_insert_vectors_count)", ROWS)
        self.eventually("sum(milvus_proxy_delete_vectors_count)", 10)
        self.eventually('sum(milvus_proxy_search_vectors_count{collection_name="birds"})', 4)
        self.eventually('sum(milvus_proxy_req_count{function_name="Search",status="success"})', 1)
        self.eventually('sum(milvus_datacoord_stored_rows_num{collection_name="birds"})', ROWS)
        self.eventually('sum(milvus_datanode_msg_rows_count{msg_type="insert"})', ROWS)
        self.eventually('sum(milvus_querynode_entity_num{collection_name="birds"})', ROWS)
        self.eventually('sum(milvus_rootcoord_indexed_entity_num{collection_name="birds"})', ROWS)
        self.eventually("milvus_querycoord_querynode_num", 2)
        self.eventually("sum(elanus_coord_leader)", 1)
        self.eventually("max(elanus_coord_channels_unowned)", 0)
        self.assertGreater(self.prometheus.value("sum(elanus_wal_puts_total)"), 0)
        self.assertGreater(self.prometheus.value("sum(elanus_fence_questions_total)"), 0)

    def test_a_dropped_collection_is_forgotten(self):
        proxy = self.cluster.of("proxy")[0]
        self.client.create_collection("passing", dimension=DIM, timeout=T)
        self.client.query("passing", filter="id > 0", timeout=T)
        self.assertIn('collection_name="passing"', self.page(proxy))
        self.client.drop_collection("passing", timeout=T)
        servers.wait_for("its metrics to go", T, lambda: not any(
            'collection_name="passing"' in self.page(d) for d in self.cluster.daemons))

    def test_zz_an_alert_fires_and_ends(self):
        instance = self.victim.ops
        self.assertFalse(self.prometheus.firing("ElanusNodeDown", instance))
        self.victim.kill()
        servers.wait_for("the alert of a dead node", T,
                         lambda: self.prometheus.firing("ElanusNodeDown", instance), pause=0.2)
        self.victim.start()
        self.victim.ready(30)
        servers.wait_for("the end of the alert", T,
                         lambda: not self.prometheus.firing("ElanusNodeDown", instance), pause=0.2)

    def tables(self):
        """What docs/metrics.md has between its marks."""
        roles = {role: {name: family for name, family in found.items()
                        if not name.startswith("elanus_door_")}
                 for role, found in self.by_role().items()}
        several = {name: family for found in roles.values() for name, family in found.items()
                   if sum(name in other for other in roles.values()) > 1}
        lines = []
        for role, title in JOBS.items():
            lines += self.table(title, {name: family for name, family in roles[role].items()
                                        if name not in several})
        return "\n".join(lines + self.table("Several of them", several))

    @staticmethod
    def table(title, found):
        lines = [f"## {title}", "", "| name | kind | labels | what |", "| --- | --- | --- | --- |"]
        known = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (\S.*?) \| ", read(PAGE), re.M))
        for name, (kind, what, labels) in sorted(found.items()):
            marked = ", ".join(f"`{label}`" for label in sorted(labels)) or known.get(name, "")
            lines.append(f"| `{name}` | {kind} | {marked} | {what} |")
        return lines + [""]

    def test_the_page_has_every_metric(self):
        head, _, rest = read(PAGE).partition("<!-- tables -->\n")
        tables, _, tail = rest.partition("<!-- end -->\n")
        now = self.tables() + "\n"
        if os.environ.get("UPDATE"):
            with open(PAGE, "w", encoding="utf-8") as f:
                f.write(f"{head}<!-- tables -->\n{now}<!-- end -->\n{tail}")
            return
        self.maxDiff = None
        self.assertEqual(self.rows(tables), self.rows(now),
                         "UPDATE=1 writes the tables of docs/metrics.md anew")

    @staticmethod
    def rows(tables):
        """name -> kind and meaning; labels show only where something was counted already."""
        cells = [line.split(" | ") for line in tables.splitlines() if line.startswith("| `")]
        return {c[0]: (c[1], c[-1]) for c in cells}

"""test_up - `elanus up` and the commands beside it, as somebody types them."""
import os
import re
import signal
import subprocess
import unittest

import servers


def elanus(*words):
    """(exit status, stdout, stderr) of one command."""
    done = subprocess.run([servers.binary("elanus"), *words], capture_output=True, text=True,
                          timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


class Up(unittest.TestCase):
    def setUp(self):
        for tools in (["etcd"], ["minio", "weed"]):
            if not any(map(servers.find_tool, tools)):
                self.skipTest(f"no {' or '.join(tools)}: `make deps` gets it")
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.dir = self.place.path("cluster")

    def up(self, *flags):
        process = servers.Process("up", [servers.binary("elanus"), "up", "--dir", self.dir,
                                         "--port", "0", *flags])
        self.place.processes.append(process)
        process.start()
        self.ready = process.wait_line(r"^elanus ready grpc=(\S+) ops=(\S+)", 30)
        return process

    def states(self):
        code, text, _ = elanus("ps", "--dir", self.dir)
        self.assertEqual(code, 0)
        rows = [re.split(r"\s{2,}", line) for line in text.splitlines()[1:]]
        return {row[0].split()[0]: re.search(r"\S+ +(\w+)", "  ".join(row)).group(1)
                for row in rows}

    def becomes(self, name, state):
        servers.wait_for(f"{name} is {state}", 10 * servers.patience(),
                         lambda: self.states().get(name) == state)

    def test_a_life(self):
        process = self.up("--querynodes", "2", "--proxies", "2")
        grpc = self.ready.group(1).split(",")
        self.assertEqual(len(grpc), 2)
        for address in grpc:
            status, text = servers.http(f"http://{address}/v2/vectordb/databases/list", {})
            self.assertEqual((status, '"default"' in text), (200, True))
        self.assertEqual(set(self.states()), {"etcd", "s3", "coord-1", "datanode-1", "querynode-1",
                                              "querynode-2", "indexnode-1", "proxy-1", "proxy-2"})
        elanus("kill", "--dir", self.dir, "querynode-1")
        self.becomes("querynode-1", "killed")
        elanus("resume", "--dir", self.dir, "querynode-1")
        self.becomes("querynode-1", "ready")
        elanus("pause", "--dir", self.dir, "datanode-1")
        self.becomes("datanode-1", "paused")
        elanus("resume", "--dir", self.dir, "datanode-1")
        self.becomes("datanode-1", "ready")
        elanus("add", "--dir", self.dir, "querynode")
        self.becomes("querynode-3", "ready")
        self.assertIn("elanus-querynode ready", elanus("logs", "--dir", self.dir, "querynode-3")[1])
        self.assertEqual(elanus("down", "--dir", self.dir)[0], 0)
        self.assertEqual(process.wait(20), 0)

    def test_data_outlives_it(self):
        process = self.up()
        address = f"http://{self.ready.group(1)}/v2/vectordb/databases"
        status, text = servers.http(address + "/create", {"dbName": "kept"})
        self.assertEqual((status, '"code":0' in text.replace(" ", "")), (200, True), text)
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0)
        ops_port = servers.free_port()
        self.up("--ops-port", str(ops_port))
        self.assertEqual(self.ready.group(2), f"127.0.0.1:{ops_port}")
        status, text = servers.http(f"http://{self.ready.group(1)}/v2/vectordb/databases/list", {})
        self.assertIn('"kept"', text)

    def test_it_takes_its_children_along(self):
        process = self.up()
        listed = elanus("ps", "--dir", self.dir)[1]
        pids = [int(p) for p in re.findall(r"^\S+ +ready +(\d+)", listed, re.M)]
        self.assertEqual(len(pids), 7)
        process.kill()
        servers.wait_for("all are gone", 10, lambda: not any(
            os.path.exists(f"/proc/{pid}/exe") and self.lives(pid) for pid in pids))

    @staticmethod
    def lives(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False

    def test_what_is_wrong_is_said(self):
        code, _, text = elanus("ps", "--dir", self.dir)
        self.assertEqual((code, "no cluster runs in" in text), (3, True))
        code, _, text = elanus("up")
        self.assertEqual((code, "--dir DIR" in text), (2, True))
        code, _, text = elanus("up", "--dir", self.dir, "--proxies", "many")
        self.assertEqual((code, "cannot take --proxies" in text), (2, True))
        self.up()
        code, _, text = elanus("up", "--dir", self.dir)
        self.assertEqual((code, "another `elanus up`" in text), (6, True))
        code, _, text = elanus("kill", "--dir", self.dir, "querynode-9")
        self.assertEqual((code, "querynode-1" in text), (2, True))
        code, _, text = elanus("add", "--dir", self.dir, "king")
        self.assertEqual((code, "no role" in text), (2, True))

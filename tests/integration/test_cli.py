"""test_cli - the commands that look at a cluster, as somebody types them, against real ones:
all well, a node killed, no leader, nobody there."""
import json
import os
import socket
import subprocess
import unittest

import servers


def elanus(*words, **more):
    """(exit status, stdout, stderr) of one command."""
    env = dict(os.environ, TZ="UTC", COLUMNS=str(more.pop("columns", 80)))
    done = subprocess.run([servers.binary("elanus"), *words], capture_output=True, text=True,
                          timeout=60, check=False, env=env, **more)
    return done.returncode, done.stdout, done.stderr


def column(text, title):
    """The words below a title of a table."""
    lines = text.splitlines()
    names = lines[0].split()
    return [line.split()[names.index(title)] for line in lines[1:]]


class Standalone(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        cls.data = cls.place.path("data")
        cls.server = servers.Daemon(cls.place, "standalone", servers.standalone_flags(cls.data))
        cls.place.start(cls.server)
        cls.server.ready()
        cls.ops = cls.server.ops

    def good(self, *words, **more):
        code, text, errors = elanus(*words, "--ops", self.ops, **more)
        self.assertEqual((code, errors), (0, ""), words)
        return text

    def test_nodes(self):
        text = self.good("nodes")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        roles = sorted(name.split("-")[0] for name in column(text, "NAME"))
        self.assertEqual(roles, ["coord", "datanode", "indexnode", "proxy", "querynode"])
        self.assertIn("up, leads", text)
        answer = json.loads(self.good("nodes", "--json"))
        self.assertEqual(sorted(item["name"] for item in answer["items"]),
                         sorted(column(text, "NAME")))

    def test_events(self):
        text = self.good("events", "--most", "1000")
        self.assertRegex(text, r"(?m)^\d\d:\d\d:\d\d\.\d{3}  standalone +join +node_joined")
        for line in self.good("events", "--steps").splitlines():
            self.assertRegex(line, r"^(\d\d:\d\d:\d\d\.\d{3}  standalone +[a-z]+ |  )")
        self.assertIn("[core/node/member.c]", self.good("events", "--steps", "--explain"))
        answer = json.loads(self.good("events", "--json", "--level", "error"))
        self.assertEqual(answer["items"], [])

    def test_events_are_followed(self):
        follower = servers.Process("follow", [servers.binary("elanus"), "events", "--follow",
                                              "--json", "--ops", self.ops])
        self.place.start(follower)
        follower.wait_line('"event":"node_joined"', 10)
        servers.http(f"http://{self.ops}/v2/vectordb/collections/create",
                     {"collectionName": "followed", "dimension": 4})
        line = follower.wait_line(r'^(\{.*"collection\w*".*\})$', 10)
        self.assertIn("event", json.loads(line.group(1)))
        follower.kill()

    def test_what_is_wrong_is_told(self):
        for words, said in [(("nodes", "--nonsense"), "no flag --nonsense"),
                            (("nodes", "--ops"), "--ops needs a value"),
                            (("nodes", "extra"), "takes no word"),
                            (("nodes", "--ops", "nonsense"), "no HOST:PORT"),
                            (("events", "--level", "loud"), "not \"loud\""),
                            (("events", "--most", "x"), "a number from 0")]:
            code, text, errors = elanus(*words)
            self.assertEqual((code, text), (2, ""), words)
            self.assertIn(said, errors)
        code, _, errors = elanus("nonsense")
        self.assertEqual(code, 2)
        self.assertIn('no command "nonsense"', errors)

    def test_every_command_has_help(self):
        _, overview, _ = elanus("--help")
        words = [line.split()[0] for line in overview.splitlines()
                 if line.startswith("  ") and "COMMAND" not in line]
        self.assertIn("nodes", words)
        for word in words:
            code, text, errors = elanus(word, "--help")
            self.assertEqual((code, errors), (0, ""), word)
            self.assertIn("Example", text)
            self.assertIn(f"  elanus {word}", text)


class Nobody(unittest.TestCase):
    def test_no_cluster(self):
        port = servers.free_port()
        code, text, errors = elanus("nodes", "--ops", f"127.0.0.1:{port}")
        self.assertEqual((code, text), (3, ""))
        self.assertIn(f"nothing answers at 127.0.0.1:{port}", errors)
        self.assertIn("start one with", errors)

    def test_no_directory(self):
        code, text, errors = elanus("events", "--dir", "/nonexistent")
        self.assertEqual((code, text), (3, ""))
        self.assertIn("no cluster runs in /nonexistent", errors)
        self.assertIn("elanus up --dir /nonexistent", errors)

    def test_something_else_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            child = subprocess.Popen([servers.binary("elanus"), "nodes", "--ops",
                                      f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                errors = child.communicate(timeout=20)[1]
        self.assertEqual(child.returncode, 3)
        self.assertIn("no ops port", errors)


class Cluster(unittest.TestCase):
    """One cluster through all of its troubles, in this order."""

    def setUp(self):
        for tools in (["etcd"], ["minio", "weed"]):
            if not any(map(servers.find_tool, tools)):
                self.skipTest(f"no {' or '.join(tools)}: `make deps` gets it")
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.dir = self.place.path("cluster")
        up = servers.Process("up", [servers.binary("elanus"), "up", "--dir", self.dir,
                                    "--port", "0", "--proxies", "2", "--querynodes", "2"])
        self.place.processes.append(up)
        up.start()
        ready = up.wait_line(r"^elanus ready grpc=(\S+) ops=(\S+)", 30)
        self.ops = ready.group(2)

    def ask(self, *words):
        return elanus(*words, "--dir", self.dir)

    def until(self, what, question):
        servers.wait_for(what, 20 * servers.patience(), question)

    def test_troubles(self):
        self.until("all are there", lambda: len(column(self.ask("nodes")[1], "NAME")) == 7)
        self.until("nothing is missing", lambda: self.ask("nodes")[2] == "")
        self.node_stands_still()
        self.proxy_is_killed()
        self.coord_is_killed()

    def node_stands_still(self):
        self.assertEqual(self.ask("pause", "querynode-1")[0], 0)
        code, text, errors = self.ask("nodes")
        self.assertEqual(code, 0)
        self.assertEqual(column(text, "STATE").count("silent"), 1)
        self.assertRegex(errors, r"missing: querynode-\d+ \(.+\); ")
        self.assertEqual(self.ask("resume", "querynode-1")[0], 0)
        self.until("it answers again", lambda: self.ask("nodes")[2] == "")

    def proxy_is_killed(self):
        self.assertEqual(self.ask("kill", "proxy-1")[0], 0)
        code, text, errors = elanus("nodes", "--ops", self.ops)
        self.assertEqual(code, 0)
        self.assertIn("nothing answers at " + self.ops.split(",")[0], errors)
        self.assertIn("asking " + self.ops.split(",")[1], errors)
        self.assertIn("datanode", text)
        code, text, _ = self.ask("nodes")
        self.assertEqual(code, 0)

    def coord_is_killed(self):
        self.assertEqual(self.ask("kill", "coord-1")[0], 0)
        self.until("nobody leads", lambda: "leading coord (nobody leads)" in self.ask("nodes")[2])
        code, text, errors = self.ask("events", "--steps", "--most", "20")
        self.assertEqual(code, 0)
        self.assertIn("start a coord", errors)
        self.assertEqual(self.ask("kill", "proxy-2")[0], 0)
        code, text, errors = self.ask("nodes")
        self.assertEqual((code, text), (3, ""))
        self.assertIn("no proxy of the cluster", errors)

"""test_cli - the commands that look at a cluster, as somebody types them, against real ones:
all well, a node killed, no leader, nobody there."""
import json
import os
import pty
import random
import select
import shutil
import signal
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


def post(address, path, body):
    """A call of REST v2 that has to succeed."""
    status, text = servers.http(f"http://{address}/v2/vectordb/{path}", body, timeout=30)
    answer = json.loads(text)
    assert status == 200 and answer["code"] == 0, (path, text)
    return answer["data"]


def fill(address, name="birds", rows=1200):
    """A loaded collection with flushed rows, some of them deleted, and an index."""
    chance = random.Random(1)
    post(address, "collections/create", {"collectionName": name, "dimension": 8})
    post(address, "entities/insert", {"collectionName": name, "data": [
        {"id": i, "vector": [chance.random() for _ in range(8)], "name": f"bird {i}"}
        for i in range(rows)]})
    post(address, "entities/delete", {"collectionName": name, "filter": "id in [1, 2, 3]"})
    post(address, "collections/flush", {"collectionName": name})


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
        fill(cls.server.grpc)

    def indexed(self):
        """Wait until the flushed segment has its index; the items of both pages."""
        def done():
            builds = json.loads(self.good("indexes", "--json"))["items"]
            return builds and all(b["state"] == "done" for b in builds)
        servers.wait_for("the index is built", 20 * servers.patience(), done)
        segments = json.loads(self.good("segments", "--collection", "birds", "--json"))["items"]
        return ([s for s in segments if s["state"] == "flushed"],
                json.loads(self.good("indexes", "--json"))["items"])

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

    def test_health(self):
        code, text, errors = elanus("health", self.ops)
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("OK", text.upper())
        code, _, errors = elanus("health", f"127.0.0.1:{servers.free_port()}")
        self.assertEqual(code, 3)
        self.assertIn("nothing answers", errors)

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

    def test_watching_goes_on(self):
        watcher = servers.Process("watch", [servers.binary("elanus"), "nodes", "--watch", "1",
                                            "--ops", self.ops])
        self.place.start(watcher)
        for _ in range(2):
            seen = len(watcher.lines)
            watcher.wait_line("elanus nodes, every 1 s", 10, after=seen and seen - 1)
            watcher.wait_line("^datanode-", 10, after=seen)
        watcher.kill()

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


    def test_channels_segments_indexes(self):
        segments, builds = self.indexed()
        text = self.good("channels")
        self.assertIn("active", column(text, "STATE"))
        self.assertIn("datanode-", column(text, "OWNER")[0])
        text = self.good("segments", "--collection", "birds")
        self.assertIn(segments[0]["id"], column(text, "SEGMENT"))
        self.assertIn("1200", text)
        self.assertIn(builds[0]["build"], column(self.good("indexes"), "BUILD"))
        self.assertEqual(json.loads(self.good("segments", "--collection", "birds", "--json"))
                         ["missing"], [])
        code, _, errors = elanus("segments", "--collection", "none", "--ops", self.ops)
        self.assertIn("none", errors if code else "none")

    def test_requests_and_trace(self):
        post(self.server.grpc, "entities/search",
             {"collectionName": "birds", "data": [[0.5] * 8], "limit": 3})
        text = self.good("requests")
        self.assertIn("Search", column(text, "METHOD"))
        searches = [r for r in json.loads(self.good("requests", "--json"))["items"]
                    if r["method"] == "Search"]
        self.assertEqual((searches[0]["collection"], searches[0]["code"]), ("birds", 0))
        slow = json.loads(self.good("requests", "--slow", "--most", "5", "--json"))["items"]
        times = [r["took_us"] for r in slow]
        self.assertEqual(times, sorted(times, reverse=True))
        text = self.good("trace", searches[0]["trace"])
        self.assertRegex(text, r"(?m)^proxy-\d+ +Search +\d.* #+$")
        self.assertRegex(text, r"(?m)^querynode-\d+ .*#")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        code, _, errors = elanus("trace", "1234", "--ops", self.ops)
        self.assertEqual(code, 2)
        self.assertIn("trace", errors)

    def test_top_once(self):
        for view in ("channels", "events"):
            text = self.good("top", "--once", "--view", view)
            self.assertIn("leader coord-", text)
            self.assertIn(f"[{view}]", text)
            self.assertNotIn("\033", text)
            self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertRegex(self.good("top", "--once"), r"(?m)^datanode-\d+ +up +\d+\.\d ")

    def test_top_in_a_terminal(self):
        """It takes the screen, draws, answers keys, and gives the screen back."""
        for leave in ("q", None):
            child, terminal = pty.fork()
            if child == 0:
                os.execv(servers.binary("elanus"), ["elanus", "top", "--ops", self.ops])
            seen = b""

            def read_until(wanted):
                nonlocal seen
                while wanted not in seen:
                    self.assertTrue(select.select([terminal], [], [], 20)[0], seen[-400:])
                    try:
                        seen += os.read(terminal, 65536)
                    except OSError:             # the other end is closed
                        break
                self.assertIn(wanted, seen)
            read_until(b"[nodes]")
            self.assertIn(b"\033[?1049h", seen)
            os.write(terminal, b"\t")
            read_until(b"[channels]")
            os.write(terminal, b"?")
            read_until(b"another view")
            if leave:
                os.write(terminal, leave.encode())
            else:
                os.kill(child, signal.SIGINT)
            read_until(b"\033[?1049l")
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            os.close(terminal)

    def test_top_wants_a_terminal(self):
        code, _, errors = elanus("top", "--ops", self.ops)
        self.assertEqual(code, 2)
        self.assertIn("--once", errors)

    # What is stored, while it runs.

    def stored(self, *words, code=0):
        got, text, errors = elanus(*words, "--data", self.data, "--json")
        self.assertEqual(got, code, errors)
        return json.loads(text)

    def test_meta(self):
        keys = {item["key"]: item for item in self.stored("meta")["items"]}
        self.assertEqual([k for k, item in keys.items() if not item["type"]], [],
                         "a table that pb_json.c does not know")
        self.assertFalse([k for k, item in keys.items() if "damage" in item["value"]])
        collections = [item["value"]["name"] for key, item in keys.items()
                       if key.startswith("coll/")]
        self.assertIn("birds", collections)
        code, text, _ = elanus("meta", "--data", self.data, "owner/")
        self.assertEqual(code, 0)
        self.assertIn('"state": "OWNER_ACTIVE"', text)
        code, _, errors = elanus("meta", "--data", self.data, "nonsense/")
        self.assertEqual(code, 2)
        self.assertIn("no key begins with", errors)

    def test_wal(self):
        channel = self.stored("meta", "owner/")["items"][0]["value"]["pchannel"]
        log = self.stored("wal", channel)
        self.assertGreater(sum(f["entries"] for f in log["files"]), 1)
        path = os.path.join(self.data, "wal", channel, log["files"][0]["file"])
        told = self.stored("wal", "--entries", path)
        kinds = [e["kind"] for o in told["objects"] for e in o["contents"]]
        self.assertIn("INSERT", kinds)
        self.assertIn("DELETE", kinds)

    def test_segment_and_index(self):
        segments, builds = self.indexed()
        told = self.stored("segment", segments[0]["id"])
        self.assertEqual((told["rows"], told["collection_name"]), ("1200", "birds"))
        fields = {o["field"]: o for o in told["objects"] if o["format"] == "binlog"}
        self.assertEqual(fields["vector"]["type"], "FloatVector")
        self.assertEqual({o["verdict"] for o in told["objects"]}, {"ok"})
        index = self.stored("index", builds[0]["build"])
        self.assertEqual((index["rows"], index["sections_crc"]), (1200, "ok"))
        path = os.path.join(self.data, "objects", fields["id"]["object"])
        self.assertEqual(self.stored("segment", path)["store_checksums"], "ok")

    def test_damage_is_named(self):
        segments, _ = self.indexed()
        told = self.stored("segment", segments[0]["id"])
        key = next(o["object"] for o in told["objects"] if o["field"] == "vector")
        copy = self.place.path("damaged")
        with open(os.path.join(self.data, "objects", key), "rb") as source:
            data = bytearray(source.read())
        for cut, said in [(len(data), r"at \d+"), (100, r"damaged at \d+"), (0, "nothing")]:
            data[len(data) // 2] ^= 1
            with open(copy, "wb") as target:
                target.write(data[:cut])
            code, _, errors = elanus("segment", copy)
            self.assertEqual(code, 8, errors)
            self.assertRegex(errors, said)
            data[len(data) // 2] ^= 1

    def test_damaged_metadata(self):
        """Whatever byte of LMDB's file is wrong: an answer, or a sentence; never a fall."""
        with open(os.path.join(self.data, "meta", "data.mdb"), "rb") as source:
            data = bytearray(source.read())
        copy = self.place.path("copy")
        os.makedirs(os.path.join(copy, "meta"))
        chance = random.Random(5)
        for _ in range(12):
            at = chance.randrange(2 * 4096, len(data))
            broken = data[:at] + bytes(chance.randrange(256) for _ in range(64)) + data[at + 64:]
            with open(os.path.join(copy, "meta", "data.mdb"), "wb") as target:
                target.write(broken[:len(data)])
            code, text, errors = elanus("meta", "--data", copy)
            self.assertIn(code, (0, 7, 8), errors)
            self.assertTrue(text if code == 0 else "damaged" in errors or copy in errors, errors)

    def test_what_is_not_there(self):
        for words, code, said in [(("wal", "--data", self.data, "none"), 2, "cannot open"),
                                  (("segment", "--data", self.data, "1"), 2, "no segment 1"),
                                  (("index", "--data", self.data, "1"), 2, "no build 1"),
                                  (("segment", "--data", self.data, "a/b"), 2, "cannot open"),
                                  (("meta", "--data", "/nonexistent"), 2, "there is no metadata"),
                                  (("wal", "/etc/passwd"), 2, "no log, binlog"),
                                  (("meta", "--etcd", "127.0.0.1:1"), 4, "is etcd up")]:
            got, _, errors = elanus(*words)
            self.assertEqual(got, code, (words, errors))
            self.assertIn(said, errors)


class Shell(unittest.TestCase):
    """What is made of the table of commands."""

    def complete(self, *words):
        _, script, _ = elanus("completion", "bash")
        ask = (f"{script}\nCOMP_WORDS=({' '.join(repr(w) for w in words)})\n"
               f"COMP_CWORD={len(words) - 1}\n_elanus\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=20,
                              check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes(self):
        self.assertEqual(self.complete("elanus", "no"), ["nodes"])
        self.assertEqual(self.complete("elanus", "events", "--fo"), ["--follow"])
        self.assertIn("--collection", self.complete("elanus", "segments", "--"))
        self.assertEqual(self.complete("elanus", "add", "que"), ["querynode"])
        self.assertEqual(self.complete("elanus", "completion", "z"), ["zsh"])

    def test_zsh_takes_it(self):
        code, script, _ = elanus("completion", "zsh")
        self.assertEqual(code, 0)
        self.assertIn("--collection[", script)
        if not shutil.which("zsh"):
            self.skipTest("no zsh")
        subprocess.run(["zsh", "-n", "-c", script], check=True, timeout=20)

    def test_the_man_page_is_in_step(self):
        _, made, _ = elanus("manual")
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(root, "docs/man/elanus.1"), encoding="utf-8") as page:
            self.assertEqual(made, page.read(), "run: elanus manual >docs/man/elanus.1")
        if not shutil.which("groff"):
            self.skipTest("no groff")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-b"], input=made,
                              capture_output=True, text=True, timeout=20, check=True)
        self.assertEqual(done.stderr, "")
        self.assertIn("elanus segments", done.stdout)


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
        self.grpc, self.ops = ready.group(1).split(",")[0], ready.group(2)

    def ask(self, *words):
        return elanus(*words, "--dir", self.dir)

    def until(self, what, question):
        servers.wait_for(what, 20 * servers.patience(), question)

    def test_troubles(self):
        self.until("all are there", lambda: len(column(self.ask("nodes")[1], "NAME")) == 7)
        self.until("nothing is missing", lambda: self.ask("nodes")[2] == "")
        self.names_fit()
        self.stored()
        self.node_stands_still()
        self.proxy_is_killed()
        self.coord_is_killed()

    def stored(self):
        """The same formats out of etcd and S3."""
        fill(self.grpc)
        owners = json.loads(self.ask("meta", "owner/", "--json")[1])["items"]
        channel = owners[0]["value"]["pchannel"]
        code, text, errors = self.ask("wal", channel, "--json")
        self.assertEqual((code, errors), (0, ""))
        log = json.loads(text)
        self.assertEqual(log["owner"][0]["state"], "OWNER_ACTIVE")
        self.assertIn("ok", log["objects"][-1]["body_crc"])
        self.assertEqual(self.ask("wal", log["objects"][-1]["object"])[0], 0)
        segments = json.loads(self.ask("segments", "--json")[1])["items"]
        flushed = [s["id"] for s in segments if s["state"] == "flushed"]
        code, text, errors = self.ask("segment", flushed[0])
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(set(column(text[text.index("format  "):], "verdict")), {"ok"})
        code, _, errors = self.ask("segment", "stats/1/2/3/4")
        self.assertEqual(code, 2, errors)

    def names_fit(self):
        """The name that pages know a process by is in ps."""
        code, text, _ = self.ask("ps", "--json")
        self.assertEqual(code, 0)
        known = {p["node"]: p["ops"] for p in json.loads(text)["items"] if p["node"]}
        nodes = json.loads(self.ask("nodes", "--json")[1])["items"]
        self.assertEqual(known, {n["name"]: n["ops_address"] for n in nodes})

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
        code, text, _ = elanus("top", "--once", "--ops", self.ops)
        self.assertEqual(code, 3)
        self.assertIn("NO ANSWER", text)
        self.assertNotIn("datanode", text)

"""test_labs - labs 09, 10 and 11 do what their READMEs say, and show what they show.

Runs with: standalone 2.6.17
Method: the commands of a README run against servers of this test, as many of each as the README
starts, with this test's ports in their place; what they print is held against the sample below
the command as `make docs-test` does it.  Then half a cluster, dead coordinators, no cluster:
exit status and words.
"""
import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import unittest
import unittest.mock

import servers

sys.path.insert(0, os.path.join(servers.ROOT, "tests", "docs"))
import doc_blocks  # noqa: E402
import doc_compare  # noqa: E402

LABS = os.path.join(servers.ROOT, "labs")
PROGRAMS = {"09-detect": "detect.py", "10-monitor": "monitor.py", "11-deploy": "deploy.py"}
os.environ["ELANUS"] = servers.binary("elanus")
ELSEWHERE = "127.0.0.1:1"       # nobody listens there


def shown(lab):
    """{command: lines it prints} of a lab's README."""
    with open(os.path.join(LABS, lab, "README.md"), encoding="utf-8") as f:
        return {command.text: command.shown for block in doc_blocks.read(f.read())
                if block.session for command in block.commands()}


def run(lab, *words, cwd=None):
    """(exit status, what it printed) of a lab's program.  It runs in this process: importing
    pymilvus anew each time would take longer than all labs together."""
    said = io.StringIO()
    argv, here, sys.argv = sys.argv, os.getcwd(), [PROGRAMS[lab], *words]
    os.chdir(cwd or here)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            runpy.run_path(os.path.join(LABS, lab, PROGRAMS[lab]), run_name="__main__")
    except SystemExit as end:
        return end.code, said.getvalue()
    finally:
        sys.argv = argv
        os.chdir(here)
    raise AssertionError(f"{lab} tells no exit status")


def elanus(*words):
    subprocess.run([servers.binary("elanus"), *words], check=True, capture_output=True, timeout=60)


class Labs(unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)

    def up(self, *flags):
        """A cluster of `elanus up`, in ./cluster as the READMEs have it; its directory."""
        for tools in (["etcd"], ["minio", "weed"]):
            if not any(map(servers.find_tool, tools)):
                self.skipTest(f"no {' or '.join(tools)}: `make deps` gets it")
        where = self.place.path("cluster")
        process = servers.Process("up", [servers.binary("elanus"), "up", "--dir", where,
                                         "--port", "0", *flags])
        self.place.processes.append(process)
        process.start()
        process.wait_line(r"^elanus ready", 30)
        return where

    def standalone(self):
        """--uri and --ops of one."""
        daemon = self.place.start(servers.Daemon(
            self.place, "standalone", servers.standalone_flags(self.place.path("standalone"))))
        return ["--uri", f"http://{daemon.grpc}", "--ops", daemon.ops]

    def as_shown(self, lab, command, *words, status=0):
        """Run what a README shows as `command`, with words for its addresses."""
        got, text = run(lab, *command.split()[1:], *words, cwd=self.place.dir)
        self.assertEqual(got, status, text)
        wanted, lines = shown(lab)[command], doc_compare.printed(text)
        if not doc_compare.same(wanted, lines):
            self.fail("\n".join([f"{lab}: {command}: the page says what has a -",
                                 *doc_compare.difference(wanted, lines)]))

    def says(self, answer, status, *wanted):
        self.assertEqual(answer[0], status, answer[1])
        for one in wanted:
            self.assertIn(one, answer[1])


class Detect(Labs):
    lab, command = "09-detect", "labs/09-detect/run.sh"

    def test_standalone(self):
        self.as_shown(self.lab, self.command, *self.standalone())

    def test_a_cluster_whole_halved_and_without_a_head(self):
        where = self.up("--coords", "2", "--proxies", "2", "--querynodes", "2")
        self.as_shown(self.lab, self.command + " --dir ./cluster --look-only")
        for node in ("querynode-1", "querynode-2"):
            elanus("kill", "--dir", where, node)
        self.says(run(self.lab, "--look-only", "--dir", where), 4, "no querynode: nothing can be",
                  "elanus add --dir DIR querynode")
        for coord in ("coord-1", "coord-2"):
            elanus("kill", "--dir", where, coord)
        self.says(run(self.lab, "--dir", where), 4, "server version", "left out. GetMetrics",
                  "no coord: collections cannot be made", "elanus add --dir DIR coord")
        self.says(run("10-monitor", "--dir", where), 4, "no coord:", "MISSING")

    def test_nobody_there(self):
        self.says(run(self.lab, "--uri", ELSEWHERE), 3, f"nothing answers at {ELSEWHERE}",
                  "connection refused", "elanus up", "docker compose up", "--uri")
        self.says(run("10-monitor", "--uri", ELSEWHERE), 3, f"nothing answers at {ELSEWHERE}")
        self.says(run(self.lab, "--uri", "http://here:x"), 2, '--uri: "http://here:x" is no')
        self.says(run("10-monitor", "--watch", "-1"), 2, "--watch: invalid")
        self.says(run("10-monitor", "--dir", self.place.path("none")), 3, "no cluster runs in")

    def test_the_wrong_door(self):
        uri, ops = self.standalone()[1::2]
        self.says(run(self.lab, "--uri", ops, "--ops", ops), 3, "a Milvus client cannot talk to")
        self.says(run(self.lab, "--look-only", "--uri", uri, "--ops", ELSEWHERE), 4,
                  "nothing answers at the operations port", "--ops HOST:PORT")
        self.says(run("10-monitor", "--uri", uri, "--ops", uri), 4, "only an Elanus proxy's")


class Monitor(Labs):
    lab, command = "10-monitor", "labs/10-monitor/run.sh --dir ./cluster"

    def test_a_cluster(self):
        self.up("--querynodes", "2")
        for flags in (" --fill", "", " --metrics", " --provoke grow --max-growing 5000",
                      " --provoke load --max-cpu 20", " --provoke kill"):
            # A machine that is busy with other tests is no reason for an alert.
            calm = [] if "--max-cpu" in flags else ["--max-cpu", "1000"]
            self.as_shown(self.lab, self.command + flags, *calm)

    def test_standalone(self):
        where = self.standalone()
        self.says(run(self.lab, "--fill", *where), 0, "6,500 rows")
        self.says(run(self.lab, "--watch", "0.2", "--rounds", "2", "--max-growing", "100", *where),
                  5, "all in one process", "lab_10", "GROWING")
        self.says(run(self.lab, "--provoke", "kill", *where), 2, "--dir DIR")
        self.says(run(self.lab, "--clean", *where), 0, "is dropped")


class Deploy(Labs):
    lab = "11-deploy"

    def test_processes(self):
        command, = [text for text in shown(self.lab) if "deploy/run.sh" in text]
        self.as_shown(self.lab, command, "--port", "0")

    def test_it_refuses_what_cannot_be(self):
        self.says(run(self.lab, "--kill", "king"), 2, "no role king")
        self.says(run(self.lab, "--yes", "--dir", LABS), 2, "is not empty")
        with unittest.mock.patch("sys.stdin", io.StringIO()):
            self.says(run(self.lab, "--dir", self.place.path("lab")), 2, "--yes goes on without")

    def test_every_service_is_explained(self):
        with open(os.path.join(servers.ROOT, "docker-compose.yml"), encoding="utf-8") as f:
            services = re.findall(r"^  ([\w-]+):$", f.read().split("\nservices:\n")[1], re.M)
        with open(os.path.join(LABS, self.lab, "deploy.py"), encoding="utf-8") as f:
            table = f.read().split("\nSERVICES = [")[1].split("\n]")[0]
        explained = re.findall(r'^    \("([\w-]+)"', table, re.M)
        self.assertEqual(sorted(services), sorted(explained))


"""test_lab_rag - lab 12 as a learner runs it: answers with sources, and a query node that dies.

Runs with: standalone 2.6.17

Method: `elanus up` with two query nodes, and the lab with few documents against it, read as a
person reads it; then with something missing.  Passages are compared with the files they cite.
Skips where MiniLM, etcd or an S3 server cannot be had.
"""
import os
import re
import signal
import subprocess
import sys
import time
import unittest

import servers

ROOT = servers.ROOT
LAB = os.path.join(ROOT, "labs", "12-rag")
sys.path.insert(0, LAB)
import corpus  # noqa: E402
import questions  # noqa: E402

RUN_S = 120
INCOMPLETE, NOTHING = 4, 3
QUESTION = "Ask for a password and show nothing on the screen"


def lab(*words):
    """(exit status, stdout, stderr) of the lab."""
    done = subprocess.run([os.path.join(LAB, "run.sh"), *words], capture_output=True, text=True,
                          timeout=RUN_S * servers.patience(), check=False,
                          env={**os.environ, "ELANUS": servers.binary("elanus")})
    return done.returncode, done.stdout, done.stderr


class Passages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.passages = corpus.read(corpus.ALL)

    def test_say_where_they_stand(self):
        places = {os.path.basename(corpus.STDLIB): corpus.STDLIB,
                  "common-licenses": "/usr/share/common-licenses"}
        for p in self.passages:
            top, _, rest = p.source.partition("/")
            path = os.path.join(places[top], rest) if top in places else \
                os.path.join(ROOT, p.source)
            with open(path, encoding="utf-8", errors="replace") as f:
                lines = f.read().split("\n")
            there = " ".join(lines[p.first - 1:p.last]).replace("|", " ")
            for sentence in p.sentences:
                for word, line in (sentence[0], sentence[-1]):
                    self.assertIn(word, lines[line - 1].replace("|", " "), (p.source, line))
            self.assertIn(p.sentences[0][0][0], there)

    def test_overlap_and_length(self):
        for before, after in zip(self.passages, self.passages[1:]):
            self.assertLessEqual(len(before.text.split()), corpus.WORDS + corpus.OVERLAP)
            shared = [s for s in after.sentences if s in before.sentences]
            self.assertLessEqual(sum(map(len, shared)), corpus.OVERLAP)
        shared = sum(any(s in before.sentences for s in after.sentences)
                     for before, after in zip(self.passages, self.passages[1:]))
        self.assertGreater(shared, 50)

    def test_questions_have_answers(self):
        texts = [(p.source, " ".join(p.text.lower().split())) for p in self.passages]
        none = [question for question, end, words in questions.KNOWN
                if not any(s.endswith(end) and words in t for s, t in texts)]
        # Another Python says some things in other words.
        self.assertLess(len(none), len(questions.KNOWN) // 4, none)


class TheLab(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([os.path.join(ROOT, "scripts", "minilm.sh"), sys.executable],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            raise unittest.SkipTest(made.stderr.strip().split("\n")[-1])
        for tools in (["etcd"], ["minio", "weed"]):
            if not any(map(servers.find_tool, tools)):
                raise unittest.SkipTest(f"{' or '.join(tools)} is not installed: scripts/deps.sh")
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        cls.dir = cls.place.path("cluster")
        cls.up = servers.Process("up", [servers.binary("elanus"), "up", "--dir", cls.dir, "--port",
                                        "0", "--coords", "1", "--querynodes", "2"])
        cls.place.start(cls.up)
        cls.up.wait_line("^elanus ready", 60)

    def order(self, *words):
        subprocess.run([servers.binary("elanus"), words[0], "--dir", self.dir, *words[1:]],
                       check=True, capture_output=True)

    def test_1_answers_although_a_node_dies(self):
        code, said, trouble = lab("--dir", self.dir, "--small", "--seconds", "4")
        self.assertEqual(code, 0, said + trouble)
        self.assertRegex(said, r"\d+ documents, \d+ passages")
        self.assertRegex(said, r"“Recursively copy a directory tree[^”]*”\n"
                               r" +python[\d.]+/shutil\.py:\d+   shutil\.copytree\n")
        self.assertRegex(said, r"tomatoes\?\n   A  These documents do not say\.")
        self.assertGreaterEqual(int(re.search(r"first 3 +(\d+) %", said).group(1)), 75)
        self.assertEqual(len(re.findall(r"failed for good: 0; other answers than before: 0",
                                        said)), 2)
        self.assertRegex(said, r"kill --dir \S+ querynode-1")
        self.assertRegex(said, r"\d s  coord-\d+ +suspect ")

    def test_2_ask(self):
        code, said, trouble = lab("--dir", self.dir, "--ask", QUESTION)
        self.assertEqual(code, 0, trouble)
        self.assertRegex(said, r"“Prompt for a password, with echo turned off\.”\n"
                               r" +python[\d.]+/getpass\.py:\d+ ")

    def becomes(self, code, *words):
        """(stdout, stderr) of the lab once it ends so; nodes notice a death within seconds."""
        end = time.monotonic() + 20 * servers.patience()
        while True:
            got, said, trouble = lab("--dir", self.dir, *words)
            if got == code or time.monotonic() > end:
                self.assertEqual(got, code, said + trouble)
                return said, trouble

    def test_3_half_a_cluster(self):
        self.order("kill", "datanode-1")
        said, trouble = self.becomes(INCOMPLETE)
        self.assertIn("no datanode", said)
        self.assertIn("cannot go on without datanode", trouble)
        self.assertNotIn("Documents to passages", said)

    def test_4_a_dead_coordinator(self):
        self.order("resume", "datanode-1")
        self.order("kill", "coord-1")
        said, trouble = self.becomes(INCOMPLETE)
        self.assertIn("no coord", said)
        self.assertIn("cannot go on without coord", trouble)
        code, said, trouble = lab("--dir", self.dir, "--ask", QUESTION)
        self.assertEqual(code, 0, trouble)
        self.assertIn("echo turned off", said)

    def test_5_nothing(self):
        self.up.signal(signal.SIGTERM)
        self.up.wait(60)
        for words in (("--dir", self.dir), ("--uri", f"http://127.0.0.1:{servers.free_port()}")):
            code, said, trouble = lab(*words)
            self.assertEqual(code, NOTHING, said + trouble)
            self.assertIn("build/bin/elanus up", trouble)


if __name__ == "__main__":
    unittest.main()

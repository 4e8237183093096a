"""test_docs - every command that a page shows is run by `make docs-test`, and that runs them right.

Method: planted pages and outputs for each part of tests/docs, a real shell for its sessions; and
this repository's own pages, of which no block may escape.
"""
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "docs"))
import doc_blocks  # noqa: E402
import doc_compare  # noqa: E402
import doc_session  # noqa: E402
import run_docs  # noqa: E402

PAGE = """# A page

<!-- run: name=up; stays; needs=cluster, minilm; timeout=5 -->

    $ one --flag   # why
    line 1

    line 2
    $ two \\
          more
    $ three <<END
    $ not a command
    END

Text of
    a paragraph that goes on.

- item

    its second paragraph

<!-- not run: an hour -->
```sh
make everything
```

```json
{ "make": 1 }
```
"""


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


class TheTree(unittest.TestCase):
    def test_nothing_shown_escapes(self):
        bad = [f"{page}:{line}: {why}" for page in run_docs.pages([])
               for line, why in doc_blocks.unmarked(read(page))]
        if bad:
            self.fail(f"{len(bad)} findings (docs/HACKING.md, Pages)\n" + "\n".join(bad))

    def test_chinese_pages_show_the_same_commands(self):
        def typed(path):
            return [command.text.split(" #")[0].rstrip() for block in doc_blocks.read(read(path))
                    if block.session or block.marker for command in block.commands()]
        for page in run_docs.pages([]):
            chinese = page.removesuffix(".md") + ".zh.md"
            if os.path.exists(os.path.join(ROOT, chinese)):
                self.assertEqual(typed(page), typed(chinese), chinese)


class Blocks(unittest.TestCase):
    def test_of_a_page(self):
        session, shell, data = doc_blocks.read(PAGE)
        self.assertEqual(session.marker, {"name": "up", "stays": True, "timeout": 5.0,
                                          "needs": ["cluster", "minilm"]})
        self.assertEqual([c.text for c in session.commands()],
                         ["one --flag   # why", "two \\\n      more",
                          "three <<END\n$ not a command\nEND"])
        self.assertEqual([c.shown for c in session.commands()],
                         [["line 1", "", "line 2"], [], []])
        self.assertEqual((shell.why_not, shell.lines), ("an hour", ["make everything"]))
        self.assertFalse(data.shows_commands())
        self.assertEqual(doc_blocks.unmarked(PAGE), [])

    def test_of_a_list(self):
        block, = doc_blocks.read("1. do\n\n       $ x\n       y\n\n   then\n")
        self.assertEqual((block.commands()[0].text, block.commands()[0].shown), ("x", ["y"]))

    def test_what_escapes(self):
        for code in ("    make all\n", "    MODE=asan make test\n", "    scripts/deps.sh\n",
                     "    build/bin/elanus up --dir x\n", "    elanus ps --dir x\n",
                     "    from pymilvus import MilvusClient\n", "```bash\nanything at all\n```\n",
                     "```python\nprint(1)\n```\n", "    tests/run.py --list\n"):
            self.assertEqual(len(doc_blocks.unmarked("text\n\n" + code)), 1, code)
            self.assertEqual(doc_blocks.unmarked("<!-- run: -->\n\n" + code), [], code)
        for code in ("    core/    what is shared\n", "    proxy ──► data node\n",
                     '    { "kill": 1 }\n', "```c\nkill (1);\n```\n", "    $ make all\n"):
            self.assertEqual(doc_blocks.unmarked("text\n\n" + code), [], code)

    def test_what_nobody_understands(self):
        for text in ("run: need=cluster", "run: stays=1", "run: needs=luck", "run: timeout=x"):
            text = f"<!-- {text} -->\n\n    $ x\n"
            self.assertEqual(len(doc_blocks.unmarked(text)), 1, text)
        for text in ("<!-- run: -->\n\ntext\n", "    $ x <<END\n    y\n"):
            self.assertEqual(len(doc_blocks.unmarked(text)), 1, text)

    def test_outputs_are_written_anew(self):
        session = doc_blocks.read(PAGE)[0]
        one, two, three = session.commands()
        page = doc_blocks.rewritten(PAGE, [(session, one, ["new", "", "lines"]),
                                           (session, three, ["end"])])
        self.assertEqual([c.shown for c in doc_blocks.read(page)[0].commands()],
                         [["new", "", "lines"], [], ["end"]])
        self.assertEqual(doc_blocks.rewritten(page, [(doc_blocks.read(page)[0], c, s) for c, s in (
            zip(doc_blocks.read(page)[0].commands(), (one.shown, [], [])))]), PAGE)


class Comparing(unittest.TestCase):
    SAME = (
        ("took 12.5 ms, 1,204 rows", "took 3 s, 99 rows"), ("memory 16 MB", "memory 900 KiB"),
        ("trace 9f2c41d07a3be512", "trace 00aac41d07a3b0ff"), ("score -0.5 at", "score 1e-05 at"),
        ("a    1", "a 100"), ("2026-11-23T10:00:00Z up", "2027-01-02T11:22:33.4Z up"),
        ("[####      ] 4/10", "[##########] 10/10"), ("───── a", "─── a"),
        ("querynode-7", "querynode-12"), ("grpc=127.0.0.1:19530", "grpc=127.0.0.1:4"),
        ("\x1b[1mbold\x1b[0m", "bold"),
        ("the … is up", "the querynode-3 is up"))
    OTHER = (("up", "down"), ("querynode-7", "datanode-7"), ("3 rows", "3 hits"), ("a", "a b"),
             ("face", "fade"), ("took 3 ms", "took 3 MB"))

    def test_of_lines(self):
        for shown, line in self.SAME:
            self.assertTrue(doc_compare.same([shown], [line]), (shown, line))
        for shown, line in self.OTHER:
            self.assertFalse(doc_compare.same([shown], [line]), (shown, line))

    def test_of_outputs(self):
        lines = ["one", "two", "", "three"]
        for shown in (lines, ["…"], ["one", "…"], ["…", "three"], ["one", "…", "three"], ["…", "…"],
                      ["…", "one", "two", "", "three", "…"], [*lines, "", ""]):
            self.assertTrue(doc_compare.same(shown, lines), shown)
        for shown in ([], ["one"], ["…", "four"], ["two", "…"], ["one", "three", "…"], lines[::-1]):
            self.assertFalse(doc_compare.same(shown, lines), shown)
        self.assertTrue(doc_compare.same([], []))

    def test_what_arrived_among_other_lines(self):
        self.assertTrue(doc_compare.arrived(["b 1", "d"], ["a", "b 2", "c", "d", "e"]))
        self.assertFalse(doc_compare.arrived(["d", "b"], ["a", "b", "c", "d"]))

    def test_what_a_terminal_leaves(self):
        self.assertEqual(doc_compare.printed("10 %\r100 %\r\nend  \n\n"), ["100 %", "end"])

    def test_the_difference(self):
        self.assertEqual(doc_compare.difference(["a 1", "b"], ["a 2", "c"]),
                         ["  a 2", "- b", "+ c"])


class Sessions(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="elanus-tidy-")
        self.addCleanup(self.place.cleanup)
        self.shell = doc_session.Session(self.place.name)
        self.addCleanup(self.shell.close)

    def test_go_on_in_one_shell(self):
        self.assertEqual(self.shell.run("mkdir a; cd a; export X=1", 10), (0, ""))
        code, output = self.shell.run("pwd; echo $X >&2; cat; false", 10)
        self.assertEqual((code, output), (1, self.place.name + "/a\n1\n"))

    def test_a_command_that_stays(self):
        stays = self.shell.stay("trap 'echo bye; exit' INT; echo ready; sleep 100 & wait")
        while stays.output() != "ready\n":
            self.assertTrue(stays.alive())
        self.assertEqual(self.shell.run("echo beside", 10)[1], "beside\n")
        stays.interrupt()
        self.assertEqual(stays.output(), "ready\nbye\n")

    def test_too_long(self):
        with self.assertRaisesRegex(doc_session.TooLong, "begun"):
            self.shell.run("echo begun; sleep 100", 0.3)

    def test_the_shell_ends(self):
        with self.assertRaises(doc_session.Gone):
            self.shell.run("exit 3", 10)

    def test_nothing_is_left(self):
        self.shell.run("sleep 100 &", 10)
        self.shell.kill()
        self.assertEqual(list(self.shell._members()), [])

    def test_python_keeps_names(self):
        python = doc_session.Python(self.shell, sys.executable)
        self.assertEqual(python.run("a = 1\nprint(a)", 10), (0, "1\n"))
        self.assertEqual(python.run("print(a + 1)", 10), (0, "2\n"))
        code, output = python.run("b", 10)
        self.assertEqual((code, "NameError" in output), (1, True))
        with self.assertRaises(doc_session.TooLong):
            python.run("while True:\n    pass", 0.3)

    def test_a_network_of_its_own(self):
        if not doc_session.can_have_own_net():
            print("skip: this kernel or container gives no network of one's own (unshare)")
            raise unittest.SkipTest
        shell = doc_session.Session(self.place.name, own_net=True)
        self.addCleanup(shell.close)
        self.assertEqual(shell.run("hostname; grep -c : /proc/net/dev", 10)[1], "box\n1\n")


class NoTools(run_docs.Machine):
    """A machine on which nothing can be had."""

    def __init__(self):
        super().__init__()
        self.own_net, self.got = False, {"docker": "not here"}

    def tool(self, need):
        raise run_docs.Missing("no network")

    def ports(self):
        pass


class Pages(unittest.TestCase):
    def page(self, text, update=None):
        place = tempfile.TemporaryDirectory(prefix="elanus-tidy-")
        self.addCleanup(place.cleanup)
        self.path = os.path.join(place.name, "page.md")
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        self.addCleanup(setattr, run_docs, "copy_tree", run_docs.copy_tree)
        run_docs.copy_tree = lambda to: None
        page = run_docs.Page(self.path, NoTools(), update)
        page.run()
        return page

    def test_as_shown_and_not(self):
        page = self.page("    $ echo a 1\n    a 2\n    $ echo b\n    c\n    $ false\n"
                         "\n<!-- run: fails -->\n\n    $ false\n")
        self.assertEqual((page.good, len(page.bad)), (2, 2))
        self.assertIn("- c", page.bad[0])
        self.assertIn("exit status 1", page.bad[1])

    def test_update_writes_what_differs(self):
        page = self.page("    $ echo a 1\n    a 2\n    $ printf 'b\\n\\nc\\n'\n", update="1")
        self.assertEqual((page.good, page.bad), (1, []))
        self.assertEqual(read(self.path), "    $ echo a 1\n    a 2\n    $ printf 'b\\n\\nc\\n'\n"
                         "    b\n\n    c\n")

    def test_stays_and_stops(self):
        page = self.page(
            "<!-- run: name=server; stays -->\n\n"
            "    $ trap 'touch gone; exit' INT; echo log; echo ready 1; sleep 99 & wait\n"
            "    ready 2\n\n<!-- run: stop=server -->\n\n    $ ls gone\n    gone\n")
        self.assertEqual((page.good, page.bad), (2, []))

    def test_retry_asks_again(self):
        page = self.page("<!-- run: retry -->\n\n    $ ls; touch seen\n    seen\n")
        self.assertEqual((page.good, page.bad), (1, []))

    def test_too_long_ends_the_page(self):
        page = self.page("<!-- run: timeout=0.3 -->\n\n    $ sleep 99\n\ntext\n\n"
                         "    $ echo x\n    x\n")
        self.assertEqual((page.good, len(page.bad)), (0, 1))
        self.assertIn("sleep 99", page.bad[0])

    def test_what_is_missing_is_said(self):
        page = self.page("<!-- run: needs=docker -->\n\n    $ docker ps\n\n"
                         "<!-- not run: an hour -->\n\n    make all\n\n"
                         "<!-- run: needs=minilm -->\n\n    $ x\n\n\n    $ y\n")
        self.assertEqual(page.not_run, [
            "line 3: Docker does not answer: not here", "line 7: an hour", "line 11: no network",
            "and nothing below that line"])
        self.assertEqual(page.bad, [])

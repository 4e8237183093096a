"""test_checks - each rule, on a small tree that breaks it and one that does not.

Method: plant files in a temporary folder, run one check, compare what it
finds.  A checker that cannot fail checks nothing.
"""
import os
import tempfile
import unittest

import checks

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = os.path.join(HERE, "layers.txt")
BANS = os.path.join(HERE, "bans.txt")


class Planted(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="elanus-tidy-")
        self.addCleanup(self.place.cleanup)

    def tree(self, **files):
        """Files by name; __ stands for / and _DOT_ for the dot in a keyword."""
        for name, text in files.items():
            self.plant(name.replace("__", "/").replace("_DOT_", "."), text)
        return checks.Tree(self.place.name)

    def plant(self, path, text):
        full = os.path.join(self.place.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def finds(self, findings, *words):
        """One finding for each word, in order, and no other."""
        self.assertEqual(len(findings), len(words), findings)
        for finding, word in zip(findings, words):
            self.assertIn(word, finding)

    def test_layers(self):
        tree = self.tree(
            core__base__a_DOT_h='#include "core/net/net.h"\n',
            core__net__b_DOT_c='#include <zmq.h>\n#include "core/base/a.h"\n',
            core__store__c_DOT_c='#include <zmq.h>\n/* #include "core/net/net.h" */\n',
            core__new__d_DOT_c="",
            proxy__e_DOT_c='#include "coord/coord.h"\n#include "core/net/net.h"\n',
            proxy__f_DOT_c='#include "e.h"\n')
        self.finds(checks.layers(tree, LAYERS),
                   "core/base may not include core/net", "core/new/d.c:1: its folder has no room",
                   "core/store/c.c:1: <zmq.h> is only for", "proxy may not include coord",
                   "by its path from the root")

    def test_private_headers(self):
        include = '#include "core/net/net_int.h"\n'
        tree = self.tree(core__net__net_DOT_c=include, core__net__net_call_DOT_c=include,
                         core__meta__meta_DOT_c=include, tests__t_DOT_c=include,
                         core__meta__lmdb_DOT_c='#include "core/meta/meta_int.h"\n',
                         core__net__other_DOT_c='#include "core/net/link_int.h"\n')
        self.finds(checks.private_headers(tree), "core/meta/meta.c:1", "core/net/other.c:1")

    def test_orphans(self):
        tree = self.tree(core__base__a_DOT_h="", core__base__b_DOT_h="",
                         core__base__b_DOT_c='#include "core/base/b.h"\n')
        self.finds(checks.orphans(tree), "core/base/a.h:1: nobody")

    def test_bans(self):
        tree = self.tree(core__base__a_DOT_c=(
            'int a(void)\n{\n    /* time(0) */ log("rand()");\n    runtime(1); p->free(x);\n'
            '    t = time(NULL);\n    goto end;\n    x = malloc (3);\n    x = malloc(3);\n'
            '    usleep(1);\n    snprintf(b, 1, "x");\n    printf("x");\n}\n'),
            core__base__mem_DOT_c="p = malloc(1);\n", coord__main_DOT_c='printf("usage");\n')
        self.finds(checks.bans(tree, BANS), "a.c:6: goto", "a.c:5: time", "a.c:9: usleep",
                   "a.c:8: malloc", "a.c:11: printf")

    def test_limits(self):
        tree = self.tree(core__base__limits_DOT_h="#define LIMIT_A 1\n#define LIMIT_B 2\n",
                         core__base__x_DOT_c="if (n > LIMIT_A) return;\n")
        self.finds(checks.limits_used(tree), "LIMIT_B is used nowhere")

    def test_errors(self):
        tree = self.tree(core__base__err_DOT_h=(
            'X(OLD, 1,\n/* Elanus\'s own conditions */\nX(NEW, 2,\nX(KNOWN, 3,\ntypedef int e;\n'),
            docs__OPERATING_DOT_md="| `KNOWN` | what to do |\n")
        self.finds(checks.errors_documented(tree), "NEW of core/base/err.h")

    def test_events(self):
        code = r"""
static void s_failed(int *x, const char *what)
{
    log_event(LOG_WARN, what, "a=%d", x[0]);
}
static void s_all(int *x)
{
    s_failed(x, "handed_in");
    log_event(LOG_INFO, x ? "first_of_two" : "second_of_two", "why=\"%s, (\"", "");
    log_event(LOG_DEBUG, "whispered", "");
    /* log_event(LOG_INFO, "noted") */
}
"""
        table = ('{ "handed_in", "lost", "coord/a.c",\n "It is." },\n'
                 '{ "first_of_two", NULL, "coord/a.c", "It " "is." },\n'
                 '{ "gone", NULL, "coord/a.c", "It was" },\n')
        found = checks.events_explained(self.tree(
            coord__a_DOT_c=code, proxy__event_texts_DOT_c=table, docs__pages_DOT_md="`found`"))
        self.finds(found, "no row for second_of_two", "first_of_two comes after handed_in",
                   "handed_in is of step lost", "coord/a.c does not log gone",
                   "about gone is no sentence")

    def test_function_length(self):
        good = "int f(void)\n{\n" + "    x();\n" * 68 + "}\n"
        bad = "int g(void)\n{\n" + "    x();\n" * 69 + "}\n"
        self.finds(checks.function_length(self.tree(core__base__a_DOT_c=good + bad)),
                   "a.c:73: function of 71 lines")

    def test_file_length(self):
        tree = self.tree(core__base__a_DOT_c="\n" * 801, core__base__b_DOT_c="\n" * 800,
                         core__base__c_DOT_h="\n" * 251, core__base__d_DOT_h="\n" * 250)
        self.finds(checks.file_length(tree), "a.c:801", "c.h:251")

    def test_lines(self):
        tree = self.tree(core__base__a_DOT_c="x" * 100 + "\n" + "x" * 101 + "\ny \n\tz\n")
        self.finds(checks.lines_clean(tree), "a.c:2: 101 columns", "a.c:3: space", "a.c:4: a tab")

    def test_guards(self):
        tree = self.tree(
            core__base__a_DOT_h="/* a */\n#ifndef CORE_BASE_A_H\n#define CORE_BASE_A_H\n#endif\n",
            core__base__b_DOT_h="/* b */\n#ifndef B_H\n#define B_H\n#endif\n")
        self.finds(checks.guards(tree), "b.h:1: no include guard CORE_BASE_B_H")

    def test_file_comment(self):
        tree = self.tree(a_DOT_c="/* a - b */\n", b_DOT_c="#include <x.h>\n", c_DOT_py='"""c"""\n',
                         d_DOT_py="import os\n", e_DOT_sh="#!/bin/sh\n# e\n", f_DOT_sh="x\n")
        self.finds(checks.file_comment(tree), "b.c:1", "d.py:1", "f.sh:1")

    def test_stems(self):
        tree = self.tree(core__a__x_DOT_c="", core__a__x_DOT_h="", core__b__x_DOT_c="",
                         coord__main_DOT_c="", proxy__main_DOT_c="")
        self.finds(checks.stems(tree), "core/b/x.c:1: core/a has a x already")

    def test_links(self):
        tree = self.tree(docs__a_DOT_md="[b](../README.md#x) [c](gone.md) [d](https://e.f)\n",
                         README_DOT_md="[a](docs/a.md)\n")
        self.finds(checks.links(tree), "docs/a.md:1: gone.md leads nowhere")

    def test_executable(self):
        tree = self.tree(a_DOT_sh="#!/bin/sh\n", b_DOT_sh="# sourced\n")
        self.finds(checks.executable(tree), "a.sh:1: has #!/bin/sh")

    def test_image_context(self):
        tree = self.tree(Dockerfile="FROM x\nCOPY scripts/a.sh scripts/\nCOPY web web\n"
                                    "COPY --from=build /out/ /\n")
        self.plant(".dockerignore", "*\n!scripts\n")
        self.finds(checks.image_context(checks.Tree(tree.root)), "web is copied")

    def test_headers_alone(self):
        tree = self.tree(core__base__a_DOT_h="#include <stddef.h>\nsize_t a(void);\n",
                         core__base__b_DOT_h="size_t b(void);\n")
        self.finds(checks.headers_alone(tree, ["-I."]), "core/base/b.h:1: does not compile alone")

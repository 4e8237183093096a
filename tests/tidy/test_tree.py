"""test_tree - this repository keeps its own rules; one test a rule."""
import os
import unittest

import checks

__unittest = True               # findings are enough; no traceback through this file
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class TheTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = checks.Tree(ROOT)

    def clean(self, findings):
        if findings:
            self.fail(f"{len(findings)} findings\n" + "\n".join(findings))

    def test_includes_point_one_way(self):
        self.clean(checks.layers(self.tree, os.path.join(HERE, "layers.txt")))

    def test_private_headers_stay_private(self):
        self.clean(checks.private_headers(self.tree))

    def test_no_header_is_orphaned(self):
        self.clean(checks.orphans(self.tree))

    def test_banned_calls_are_absent(self):
        self.clean(checks.bans(self.tree, os.path.join(HERE, "bans.txt")))

    def test_every_limit_is_used(self):
        self.clean(checks.limits_used(self.tree))

    def test_own_errors_are_documented(self):
        self.clean(checks.errors_documented(self.tree))

    def test_events_are_explained(self):
        self.clean(checks.events_explained(self.tree))

    def test_functions_are_short(self):
        self.clean(checks.function_length(self.tree))

    def test_files_are_short(self):
        self.clean(checks.file_length(self.tree))

    def test_lines_are_clean(self):
        self.clean(checks.lines_clean(self.tree))

    def test_headers_have_guards(self):
        self.clean(checks.guards(self.tree))

    def test_files_say_what_they_are(self):
        self.clean(checks.file_comment(self.tree))

    def test_stems_are_unique(self):
        self.clean(checks.stems(self.tree))

    def test_links_lead_somewhere(self):
        self.clean(checks.links(self.tree))

    def test_scripts_are_executable(self):
        self.clean(checks.executable(self.tree))

    def test_image_is_given_what_it_copies(self):
        self.clean(checks.image_context(self.tree))

    def test_headers_compile_alone(self):
        self.clean(checks.headers_alone(self.tree, ["-I.", "-Ibuild/gen"]))

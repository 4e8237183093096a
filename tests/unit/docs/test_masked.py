"""test_masked - samples in documents are held against what commands print."""
import os
import tempfile
import unittest

import masked

PAGE = """Text.

```console
$ elanus nodes --ops \\
    127.0.0.1:9091
NAME  STATE
$ true
```

1. A step:
   ```text
   up
   ```
"""


class Masks(unittest.TestCase):
    def same(self, left, right):
        self.assertEqual(masked.mask(left), masked.mask(right))

    def test_what_differs_between_runs(self):
        self.same("querynode-7   up  12.5 %   68.0 MB", "querynode-12 up 3 % 1.2 GiB")
        self.same("127.0.0.1:41877 after 12 ms", "10.0.0.7:21123 after 1.5 s")
        self.same("trace 9f2c41d07a3be512", "trace 71abcd0123456789")
        self.same("2026-11-23 12:57:04.123", "2027-01-02 03:04:05.6")
        self.same("rows 1,000 in /tmp/a-b/c, epoch 4", "rows 12 in /tmp/x, epoch 5")
        self.same("\x1b[31mred\x1b[0m", "red")
        self.same("NAME  -----", "NAME ---")

    def test_what_does_not(self):
        self.assertEqual(masked.mask("elanus-dml_3 of querynode-7 is HNSW, 5 rows"),
                         "elanus-dml_# of querynode-# is HNSW, # rows")
        self.assertNotEqual(masked.mask("querynode-7 up"), masked.mask("querynode-7 silent"))
        self.assertNotEqual(masked.mask("9 rows"), masked.mask("nine rows"))


class Compares(unittest.TestCase):
    def test_lines_in_order(self):
        self.assertEqual(masked.difference("a 1\n\nb 2\n", "a 7\nb 9\n"), "")
        self.assertIn("-b #", masked.difference("a 1\nb 2\n", "a 7\n"))
        self.assertIn("+c", masked.difference("a 1\n", "a 7\nc\n"))

    def test_an_elision_is_any_number_of_lines(self):
        for printed in ("a\nz\n", "a\nb\nz\n", "a\nb\nc\nz\n"):
            self.assertEqual(masked.difference("a\n...\nz\n", printed), "")
        self.assertEqual(masked.difference("...\nb\n...\n", "a\nb\nc\n"), "")
        self.assertIn("-b", masked.difference("a\n...\nb\n...\n", "a\nc\n"))
        self.assertIn("-z", masked.difference("a\n...\nz\n", "a\nb\n"))
        self.assertIn("-a", masked.difference("a\n...\n", "b\na\n"))
        self.assertTrue(masked.difference("a\n...\na\n", "a\n"))


class Reads(unittest.TestCase):
    def test_blocks_and_commands(self):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "page.md")
            with open(path, "w", encoding="utf-8") as f:
                f.write(PAGE)
            console, text = masked.samples(path)
        self.assertEqual((console.language, console.line), ("console", 4))
        self.assertEqual(console.commands(), [
            ("elanus nodes --ops 127.0.0.1:9091", "NAME  STATE"), ("true", "")])
        self.assertEqual((text.language, text.text), ("text", "up\n"))

"""test_masked - lines that two runs print differently are the same, and others are not."""
import unittest

import masked


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

"""test_durability - what was acknowledged is there after SIGKILL, and nothing else.

Method: tests/support/durability.py.  Here a few kills; `make durability` does
100, `make durability ROUNDS=1000 SEED=7` more, and PLANTED=… runs a server with
a bug built in, which has to be found.  It needs a server of its own to kill.
Runs with: standalone 2.6.17
"""
import os
import time
import unittest

import durability
import servers

ROUNDS = int(os.environ.get("ROUNDS") or 5)
SEED = int(os.environ.get("SEED") or time.time_ns() % 1000000)
PLANTED = os.environ.get("PLANTED")


class Kills(unittest.TestCase):
    def test_acknowledged_is_kept(self):
        with servers.Workplace() as place:
            run = durability.Run(place, SEED, binary=PLANTED)
            if PLANTED:
                with self.assertRaises(durability.Wrong) as found:
                    run.rounds(ROUNDS)
                print(f"note: found: {str(found.exception)[:300]}")
            else:
                run.rounds(ROUNDS)
                for refusal in sorted(set(run.refusals))[:5]:
                    print(f"note: refused: {refusal[:150]}")


class TheChecker(unittest.TestCase):
    """It finds what it is there to find."""

    def setUp(self):
        self.ledger = durability.Ledger()
        for key, version in ((1, 10), (2, 20)):
            self.ledger.done(self.ledger.send({key: {version}}))
        self.ledger.done(self.ledger.send({3: {30}}))
        self.ledger.done(self.ledger.send({3: {durability.ABSENT}}))
        self.ledger.send({2: {21}, 4: {40}})        # never answered

    def bad(self, versions, scanned=None, count=None, rows=None):
        rows = rows or [(k, v, *durability.content(k, v)) for k, v in versions.items()]
        return durability.examine(self.ledger, rows, list(versions) if scanned is None else scanned,
                                  len(versions) if count is None else count, True)

    def test_both_outcomes_of_an_open_request_are_fine(self):
        self.assertEqual(self.bad({1: 10, 2: 20}), [])
        self.assertEqual(self.bad({1: 10, 2: 20}), [])

    def test_an_open_request_that_was_done(self):
        self.assertEqual(self.bad({1: 10, 2: 21, 4: 40}), [])
        self.assertEqual(len(self.bad({1: 10, 2: 20})), 2)      # done once, it stays done

    def test_lost(self):
        self.assertIn("key 1: version 0 instead of 10", self.bad({2: 20})[0])

    def test_back_from_the_dead(self):
        self.assertIn("key 3: version 30", self.bad({1: 10, 2: 20, 3: 30})[0])
        self.assertIn("key 9", self.bad({1: 10, 2: 20, 3: 30, 9: 1})[0])

    def test_an_older_version(self):
        self.ledger.done(self.ledger.send({1: {11}}))
        self.assertIn("key 1: version 10 instead of 11", self.bad({1: 10, 2: 20})[0])

    def test_half_a_request(self):
        self.assertIn("half of a request", self.bad({1: 10, 2: 21})[0])

    def test_twice(self):
        twice = [(k, v, *durability.content(k, v)) for k, v in ((1, 10), (2, 20), (1, 10))]
        self.assertIn("twice", self.bad({1: 10, 2: 20}, rows=twice)[0])

    def test_count_and_scan(self):
        self.assertIn("count(*) is 3", self.bad({1: 10, 2: 20}, count=3)[0])
        self.assertIn("an iterator finds 1", self.bad({1: 10, 2: 20}, scanned=[1])[0])

    def test_other_bytes(self):
        rows = [(1, 10, "x", [0.0] * durability.DIM), (2, 20, *durability.content(2, 20))]
        self.assertIn("not the bytes", self.bad({1: 10, 2: 20}, rows=rows)[0])


if __name__ == "__main__":
    unittest.main()

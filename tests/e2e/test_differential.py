"""test_differential - Elanus beside the real Milvus 2.3.5: the same program, the same answers.

Method: tests/support/differential.py makes up a program from a seed and plays
it on both; ids, distances, rows, counts and refusals are compared at each step.
`make differential SEED=7 STEPS=1000` runs a longer one; a failure prints its
seed, which replays it.  Skips where Milvus cannot be had (no x86-64, no PyPI).
Runs with: standalone 2.6.17
"""
import collections
import os
import time
import unittest

import differential
import peer
import servers

SEED = int(os.environ.get("SEED") or 1)
STEPS = int(os.environ.get("STEPS") or 120)
LIMIT_S = float(os.environ.get("LIMIT_S") or 75)
# So that a read does not wait 200 ms for a tick, nor a load for its next turn.
SOONER = {"proxy.timeTickInterval": 20, "queryCoord.checkInterval": 100,
          "queryCoord.distPullInterval": 50, "queryCoord.updateNextTargetInterval": 1}


class Differential(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = servers.Workplace()
        cls.addClassCleanup(cls.place.close)
        try:
            cls.milvus = cls.place.start(peer.Milvus(cls.place, config=SOONER))
        except servers.Missing as why:
            raise unittest.SkipTest(str(why)) from why

    def test_the_same_answers(self):
        done, end, seed = collections.Counter(), time.monotonic() + LIMIT_S, SEED
        steps, why = differential.compare(
            seed, STEPS, os.environ["ELANUS_TEST_GRPC"], self.milvus.grpc,
            stop=lambda: time.monotonic() > end)
        done.update(steps)
        print(f"note: seed {seed}: {sum(done.values())} steps agree: " +
              ", ".join(f"{count} {what}" for what, count in sorted(done.items())))
        self.assertIsNone(why, why)


class TheComparison(unittest.TestCase):
    """It can fail: answers that are wrong in one place are found."""

    def step(self, what="query", **args):
        return differential.Step(what, args)

    def test_rows(self):
        one = [{"pk": 1, "i": 2}, {"pk": 2, "i": 3}]
        self.assertIsNone(differential.differ(self.step(), one, [dict(r) for r in one]))
        for other in (one[:1], [one[0], {"pk": 2, "i": 4}], [one[0], {"pk": 3, "i": 3}], []):
            self.assertIsNotNone(differential.differ(self.step(), one, other))

    def test_hits(self):
        step = self.step("search")
        one = [[(1, 0.5, {}), (2, 0.75, {}), (3, 0.75000001, {}), (4, 2.0, {})]]
        swapped = [[one[0][0], one[0][2], one[0][1], one[0][3]]]
        self.assertIsNone(differential.differ(step, one, swapped))
        for other in ([one[0][:3]], [[(1, 0.6, {})] + one[0][1:]], [one[0][:3] + [(5, 1.0, {})]],
                      [[one[0][0], one[0][0], *one[0][2:]]], [[(1, 0.5, {"i": 1})] + one[0][1:]]):
            self.assertIsNotNone(differential.differ(step, one, other), other)

    def test_refusals(self):
        no = differential.Refused
        self.assertIsNone(differential.differ(self.step(), no(100, "a"), no(100, "b")))
        self.assertIsNotNone(differential.differ(self.step(), no(100, ""), no(1100, "")))
        self.assertIsNotNone(differential.differ(self.step(), no(100, ""), []))

    def test_a_seed_is_a_program(self):
        def steps(seed):
            program = differential.Program(seed)
            return [str(program.next()) for _ in range(100)]
        self.assertEqual(steps(5), steps(5))
        self.assertNotEqual(steps(5), steps(6))


if __name__ == "__main__":
    unittest.main()

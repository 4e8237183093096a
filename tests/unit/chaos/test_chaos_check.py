"""test_chaos_check - the checker of histories finds what is wrong, and only that.

Method: histories made by hand, each with one thing a database must not do, beside
the nearest history that is right; and long random ones that a single register
really had, which must pass, also when their answers are lost, and must not once
one read is changed.
"""
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "chaos"))
import chaos_check  # noqa: E402
from chaos_check import ABSENT, vector  # noqa: E402


def write(op, ver, t_inv, t_ret, pks=(1,), outcome="ok", client="w"):
    return {"op": op, "ver": ver, "t_inv": t_inv, "t_ret": t_ret, "pks": list(pks),
            "outcome": outcome, "client": client, "coll": "c", "id": int(t_inv * 1000)}


def read(found, t_inv, t_ret, pks=(1,), level="Strong", op="query", client="r", **more):
    rows = found if isinstance(found, list) else [[1, found]] if found else []
    return {"op": op, "result": rows, "t_inv": t_inv, "t_ret": t_ret, "pks": list(pks),
            "level": level, "outcome": "ok", "client": client, "coll": "c",
            "id": int(t_inv * 1000), **more}


def count(n, t_inv, t_ret):
    return {**read([], t_inv, t_ret, op="count"), "result": n}


def search(shown, t_inv, t_ret, near, **more):
    """What is shown, with the true distances."""
    rows = [[pk, ver, chaos_check.distance(near, vector(pk, ver))] for pk, ver in shown]
    return read(sorted(rows, key=lambda r: r[2]), t_inv, t_ret, (), op="search", near=near,
                limit=3, rest=None, **more)


def kinds(*history):
    return sorted({w.kind for w in chaos_check.check(list(history))[0]})


class Registers(unittest.TestCase):
    def test_what_was_written_last_is_read(self):
        self.assertEqual([], kinds(write("insert", 7, 1, 2), read(7, 3, 4),
                                   write("upsert", 8, 5, 6), read(8, 7, 8),
                                   write("delete", 9, 9, 10), read(ABSENT, 11, 12)))

    def test_beside_a_write_both_are_right(self):
        for seen in (7, 8):
            self.assertEqual([], kinds(write("insert", 7, 1, 2), write("upsert", 8, 3, 6),
                                       read(seen, 4, 5)))

    def test_lost(self):
        self.assertEqual(["lost"], kinds(write("insert", 7, 1, 2), read(ABSENT, 3, 4)))

    def test_stale(self):
        self.assertEqual(["stale"], kinds(write("insert", 7, 1, 2), write("upsert", 8, 3, 4),
                                          read(7, 5, 6)))

    def test_stale_after_another_reader_saw_the_new(self):
        self.assertEqual(["stale"], kinds(write("insert", 7, 1, 2), write("upsert", 8, 3, 9),
                                          read(8, 4, 5), read(7, 6, 7, client="r2")))

    def test_resurrected(self):
        self.assertEqual(["resurrected"], kinds(write("insert", 7, 1, 2),
                                                write("delete", 9, 3, 4), read(7, 5, 6)))

    def test_phantom(self):
        self.assertEqual(["phantom"], kinds(write("insert", 7, 1, 2), read(6, 3, 4)))

    def test_read_before_it_was_written(self):
        self.assertEqual(["future"], kinds(read(7, 1, 2), write("insert", 7, 3, 4)))

    def test_unknown_write_may_come_late_or_never(self):
        story = [write("insert", 7, 1, 2), write("upsert", 8, 3, 4, outcome="unknown")]
        self.assertEqual([], kinds(*story, read(7, 5, 6), read(7, 7, 8)))
        self.assertEqual([], kinds(*story, read(7, 5, 6), read(8, 7, 8)))

    def test_unknown_write_comes_once(self):
        story = [write("insert", 7, 1, 2), write("upsert", 8, 3, 4, outcome="unknown")]
        self.assertEqual(["stale"], kinds(*story, read(8, 5, 6), read(7, 7, 8)))

    def test_each_unknown_delete_deletes_once(self):
        story = [write("insert", 7, 1, 2), write("delete", 0, 3, 4, outcome="unknown"),
                 read(ABSENT, 5, 6), write("upsert", 8, 7, 8)]
        self.assertEqual([], kinds(*story, read(8, 9, 10)))
        self.assertEqual(["lost"], kinds(*story, read(8, 9, 10), read(ABSENT, 11, 12)))
        story[1:1] = [write("delete", 0, 3.5, 4, outcome="unknown", client="w2")]
        self.assertEqual([], kinds(*story, read(8, 9, 10), read(ABSENT, 11, 12)))

    def test_refused_write_never_comes(self):
        self.assertEqual(["phantom"], kinds(write("insert", 7, 1, 2),
                                            write("upsert", 8, 3, 4, outcome="fail"),
                                            read(8, 5, 6)))

    def test_search_sees_as_a_read_does(self):
        near = vector(1, 7)
        story = [write("insert", 7, 1, 2), write("upsert", 8, 3, 4)]
        self.assertEqual([], kinds(*story, search([(1, 8)], 5, 6, near)))
        self.assertEqual(["stale"], kinds(*story, search([(1, 7)], 5, 6, near)))


class Levels(unittest.TestCase):
    STORY = [write("insert", 7, 1, 2), write("upsert", 8, 3, 4)]

    def test_bounded_may_be_five_seconds_late(self):
        self.assertEqual([], kinds(*self.STORY, read(7, 8, 8.1, level="Bounded")))
        self.assertEqual(["bounded"], kinds(*self.STORY, read(7, 9.5, 9.6, level="Bounded")))

    def test_eventually_may_be_late_but_not_invent(self):
        self.assertEqual([], kinds(*self.STORY, read(7, 90, 91, level="Eventually")))
        self.assertEqual(["eventually"], kinds(*self.STORY, read(9, 90, 91, level="Eventually")))

    def test_session_knows_its_own_writes(self):
        self.assertEqual([], kinds(*self.STORY, read(7, 5, 6, level="Session")))
        self.assertEqual(["session"], kinds(*self.STORY, read(7, 5, 6, level="Session",
                                                              client="w")))


class Answers(unittest.TestCase):
    def test_twice(self):
        self.assertEqual(["duplicate"], kinds(write("insert", 7, 1, 2),
                                              read([[1, 7], [1, 7]], 3, 4)))

    def test_not_asked_for(self):
        self.assertEqual(["phantom"], kinds(write("insert", 7, 1, 2, pks=[1, 2]),
                                            read([[1, 7], [2, 7]], 3, 4)))

    def test_other_bytes(self):
        self.assertEqual(["bytes"], kinds(write("insert", 7, 1, 2),
                                          read(7, 3, 4, wrong=["key 1 has other bytes"])))

    def test_count(self):
        story = [write("insert", 7, 1, 2, pks=[1, 2, 3]), write("delete", 8, 3, 6, pks=[1])]
        for n, right in ((1, False), (2, True), (3, True), (4, False)):
            self.assertEqual([] if right else ["count"], kinds(*story, count(n, 4, 5)))
        self.assertEqual(["count"], kinds(*story, count(3, 7, 8)))

    def test_count_beside_unknown(self):
        story = [write("insert", 7, 1, 2, pks=[1, 2]),
                 write("delete", 8, 3, 4, pks=[1], outcome="unknown")]
        for n in (1, 2):
            self.assertEqual([], kinds(*story, count(n, 5, 6)))


class Searches(unittest.TestCase):
    NEAR = [3.0] * chaos_check.DIM
    STORY = [write("insert", 7, 1, 2, pks=range(1, 6))]

    def order(self):
        return sorted(range(1, 6), key=lambda k: chaos_check.distance(self.NEAR, vector(k, 7)))

    def test_nearest(self):
        best = [(k, 7) for k in self.order()[:3]]
        self.assertEqual([], kinds(*self.STORY, search(best, 3, 4, self.NEAR)))

    def test_nearest_left_out(self):
        rest = [(k, 7) for k in self.order()[1:4]]
        self.assertEqual(["missing"], kinds(*self.STORY, search(rest, 3, 4, self.NEAR)))
        self.assertEqual([], kinds(*self.STORY, search(rest, 3, 4, self.NEAR, exact=False)))

    def test_too_few(self):
        self.assertEqual(["missing"], kinds(*self.STORY, search([(1, 7)], 3, 4, self.NEAR)))

    def test_distance_of_another_version(self):
        found = search([(k, 7) for k in self.order()[:3]], 3, 4, self.NEAR)
        found["result"][1][2] += 0.5
        self.assertIn("distance", kinds(*self.STORY, found))

    def test_filter(self):
        found = search([(k, 7) for k in self.order()[:3]], 3, 4, self.NEAR)
        self.assertEqual(["filter"], kinds(*self.STORY, {**found, "rest": 3}))


class Random(unittest.TestCase):
    """A register that really was one, seen through clients that overlap."""

    @staticmethod
    def story(seed, steps, lost):
        """Each operation takes effect at one moment inside its time."""
        rng, now, value, out = random.Random(seed), 10.0, ABSENT, []
        for n in range(1, steps + 1):
            now += rng.random()
            inv, ret = now - rng.random() * 3, now + rng.random() * 3
            kind = rng.choice(["upsert", "delete", "read", "read", "read"])
            if kind == "read":
                out.append(read(value, inv, ret, client=f"r{n}"))
                continue
            unknown = rng.random() < lost
            if not unknown or rng.random() < 0.5:
                value = ABSENT if kind == "delete" else n
            out.append(write(kind, n, inv, ret, outcome="unknown" if unknown else "ok"))
        return out

    def test_right_ones_pass(self):
        for seed in range(60):
            for lost in (0, 0.1):
                self.assertEqual([], kinds(*self.story(seed, 150, lost)), f"seed {seed}")

    def test_changed_ones_do_not(self):
        found = 0
        for seed in range(40):
            story = self.story(seed, 100, 0)
            rng = random.Random(seed)
            reads = [op for op in story if op["op"] == "query"]
            olds = [op["ver"] for op in story if op["op"] == "upsert"][:5]
            late = rng.choice(reads[-10:])
            late["result"] = [[1, rng.choice(olds)]]
            found += bool(kinds(*story))
        self.assertEqual(40, found)

    def test_fast_enough(self):
        """Of processor time; a hundred keys, as the workload's, beside one that all want."""
        for keys, least in ((100, 5000), (1, 1000)):
            story = []
            for key in range(keys):
                part = self.story(key, 10000 // keys, 0)
                story += [{**op, "coll": str(key)} for op in part]
            begun = time.process_time()
            wrong, _ = chaos_check.check_registers(story, chaos_check.writes_by_key(story))
            rate = len(story) / (time.process_time() - begun)
            print(f"note: {rate:.0f} operations a second of {keys} keys")
            self.assertEqual([], wrong)
            self.assertGreater(rate, least)


if __name__ == "__main__":
    unittest.main()

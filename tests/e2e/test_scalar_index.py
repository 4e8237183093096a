"""test_scalar_index - indexes of scalar fields change no answer.

Runs with: standalone cluster 2.6.17

Method: one collection with fields of many types, 1500 rows that are flushed and 100 that are not,
some of both deleted.  Every filter is asked while no field has an index, after each got one while
the collection was loaded, and after all were dropped; the answers have to be those that
Python gives.  That the node which holds the segment opened the indexes shows in the bytes it holds.
"""
import time
import unittest

from milvus_case import ID, T, VEC, Case, DataType, create_index, not_on_peer
from pymilvus import utility
from pymilvus.grpc_gen import milvus_pb2

ROWS, MORE = 1500, 100
WORDS = ["xenon", "xylem", "apple", "axe", "", "x", "maple", "x%y", "zebra"]

# field, kind, more of it, index
FIELDS = [
    ("sorted", DataType.INT64, {}, "STL_SORT"),
    ("real", DataType.DOUBLE, {}, "STL_SORT"),
    ("inverted", DataType.INT32, {"nullable": True}, "INVERTED"),
    ("words", DataType.VARCHAR, {"max_length": 32}, "INVERTED"),
    ("bits", DataType.INT8, {}, "BITMAP"),
    ("flag", DataType.BOOL, {}, "BITMAP"),
    ("trie", DataType.VARCHAR, {"max_length": 32, "nullable": True}, "Trie"),
    ("auto", DataType.INT16, {}, "AUTOINDEX"),
    ("list", DataType.ARRAY, {"element_type": DataType.INT64, "max_capacity": 8}, "INVERTED"),
    ("names", DataType.ARRAY, {"element_type": DataType.VARCHAR, "max_capacity": 8,
                               "max_length": 32}, "BITMAP"),
]


def row(i):
    word = WORDS[i * 7 % len(WORDS)] + str(i % 40)
    return {"id": i, "vec": [i % 7, 1, 2, 3], "sorted": i * 37 % 1000, "real": i % 90 / 4,
            "inverted": None if i % 11 == 0 else i % 60, "words": word, "bits": i % 9 - 4,
            "flag": i % 3 == 0, "trie": None if i % 13 == 0 else word, "auto": i % 300,
            "list": [i % 5, i % 17], "names": [f"n{i % 6}", "all"][:i % 3]}


# What is asked, and what is true then
FILTERS = [
    ("sorted == 37", lambda r: r["sorted"] == 37),
    ("sorted in [1, 2, 3, 999]", lambda r: r["sorted"] in (1, 2, 3, 999)),
    ("10 < sorted <= 60", lambda r: 10 < r["sorted"] <= 60),
    ("sorted >= 20 and real < 1.25", lambda r: r["sorted"] >= 20 and r["real"] < 1.25),
    ("real == 2.25", lambda r: r["real"] == 2.25),
    ("inverted == 7", lambda r: r["inverted"] == 7),
    ("inverted != 7", lambda r: r["inverted"] not in (7, None)),
    ("inverted not in [1, 2]", lambda r: r["inverted"] not in (1, 2, None)),
    ("inverted is null", lambda r: r["inverted"] is None),
    ("inverted is not null", lambda r: r["inverted"] is not None),
    ("words == 'xenon0'", lambda r: r["words"] == "xenon0"),
    ("words like 'x%'", lambda r: r["words"].startswith("x")),
    ("words like '%ple3'", lambda r: r["words"].endswith("ple3")),
    ("words > 'maple' and words < 'xylem'", lambda r: "maple" < r["words"] < "xylem"),
    ("bits == -4", lambda r: r["bits"] == -4),
    ("bits in [0, 2] and flag == true", lambda r: r["bits"] in (0, 2) and r["flag"]),
    ("flag == false", lambda r: not r["flag"]),
    ("trie == 'x1'", lambda r: r["trie"] == "x1"),
    ("trie like 'x%'", lambda r: (r["trie"] or "").startswith("x")),
    ("trie in ['axe2', 'zebra7']", lambda r: r["trie"] in ("axe2", "zebra7")),
    ("trie is null", lambda r: r["trie"] is None),
    ("auto == 11 or sorted == 5", lambda r: r["auto"] == 11 or r["sorted"] == 5),
    ("not (auto < 290)", lambda r: r["auto"] >= 290),
    ("array_contains(list, 16)", lambda r: 16 in r["list"]),
    ("array_contains_all(list, [1, 3])", lambda r: {1, 3} <= set(r["list"])),
    ("array_contains_any(list, [9, 12])", lambda r: {9, 12} & set(r["list"])),
    ("array_contains(names, 'n4')", lambda r: "n4" in r["names"]),
]


@not_on_peer("no nulls, no BITMAP")
class ScalarIndexes(Case):

    def fill(self, name):
        self.make(name, [ID, VEC] + [field[:3] for field in FIELDS], load=False)
        self.client.insert(name, [row(i) for i in range(ROWS)])
        self.client.flush(name, timeout=T)
        self.client.load_collection(name, timeout=T)
        self.client.insert(name, [row(i) for i in range(ROWS, ROWS + MORE)])
        gone = [5, 37, ROWS + 1]
        self.client.delete(name, ids=gone)
        self.rows = [row(i) for i in range(ROWS + MORE) if i not in gone]

    def wait_until_built(self, name):
        end = time.monotonic() + T
        while True:
            told = [self.client.describe_index(name, f[0]) for f in FIELDS]
            if all(t["state"] == "Finished" and t["indexed_rows"] == ROWS for t in told):
                return told
            self.assertLess(time.monotonic(), end, f"not built in {T} s: {told}")
            time.sleep(0.05)

    def ask_all(self, name, when):
        for filter, is_true in FILTERS:
            with self.subTest(filter=filter, when=when):
                expected = [r["id"] for r in self.rows if is_true(r)]
                self.assertEqual(self.ids(name, filter), expected)
                self.assertEqual(self.count(name, filter), len(expected))

    def bytes_held(self, name):
        return sum(i.mem_size for i in utility.get_query_segment_info(name, timeout=T))

    def wait_until_bytes(self, name, is_so):
        end = time.monotonic() + T
        while not is_so(self.bytes_held(name)):
            self.assertLess(time.monotonic(), end, f"{self.bytes_held(name)} bytes")
            time.sleep(0.05)

    def drop_all(self, name):
        for field in FIELDS:
            done = self.stub.DropIndex(milvus_pb2.DropIndexRequest(
                collection_name=name, field_name=field[0], index_name=field[0]), timeout=T)
            self.assertEqual(done.code, 0, done.reason)

    def test_the_same_rows_before_and_after(self):
        name = "scalars"
        self.fill(name)
        self.ask_all(name, "before")
        scanned = self.bytes_held(name)
        for field, _, _, index in FIELDS:
            create_index(self.stub, name, field, index, "")
        for (field, _, _, index), told in zip(FIELDS, self.wait_until_built(name)):
            self.assertEqual((told["field_name"], told["index_type"]), (field, index))
            self.assertEqual((told["total_rows"], told["pending_index_rows"]), (ROWS, 0))
        self.wait_until_bytes(name, lambda held: held > scanned + 1000 * len(FIELDS))
        self.ask_all(name, "built")
        self.client.release_collection(name, timeout=T)
        self.drop_all(name)
        self.client.load_collection(name, timeout=T)
        self.ask_all(name, "dropped")


if __name__ == "__main__":
    unittest.main()

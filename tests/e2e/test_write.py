"""test_write - insert, upsert and delete as clients see them: every type, every rule.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC; tests/run.py calls it.  Method: what was written is read back
by query (Strong) and compared value by value; every refusal is followed by a
count that shows the collection untouched.
"""
import json
import unittest

import milvus_case
import numpy as np
import vectors
from milvus_case import ID, PEER, T, VEC, Case, DataType, not_on_peer, refusal, since_client
from pymilvus import Collection, CollectionSchema, FieldSchema, utility
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

SCALARS = [("b", DataType.BOOL, {}), ("i8", DataType.INT8, {}), ("i16", DataType.INT16, {}),
           ("i32", DataType.INT32, {}), ("i64", DataType.INT64, {}), ("f", DataType.FLOAT, {}),
           ("d", DataType.DOUBLE, {}), ("s", DataType.VARCHAR, {"max_length": 64}),
           ("j", DataType.JSON, {})]
ELEMENTS = [(DataType.BOOL, [True, False]), (DataType.INT8, [-128, 127]),
            (DataType.INT16, [-32768, 32767]), (DataType.INT32, [-2**31, 2**31 - 1]),
            (DataType.INT64, [-2**63, 2**63 - 1]), (DataType.FLOAT, [0.5, -1e30]),
            (DataType.DOUBLE, [1e300, -0.1]), (DataType.VARCHAR, ["", "ż", "x" * 16])]
EDGES = [
    {"b": True, "i8": -128, "i16": -32768, "i32": -2**31, "i64": -2**63, "f": 1.5, "d": 1e-300,
     "s": "", "j": {}},
    {"b": False, "i8": 127, "i16": 32767, "i32": 2**31 - 1, "i64": 2**63 - 1, "f": -3.0e38,
     "d": 1.7e308, "s": "zażółć gęślą jaźń", "j": {"a": [1, {"b": None}], "ü": "€", "n": 1.25}},
    {"b": True, "i8": 0, "i16": 0, "i32": 0, "i64": 0, "f": 0.0, "d": -0.5, "s": "x" * 64,
     "j": {"deep": {"er": {"still": [True, False, [], {}]}}}},
]


def vec(number):
    return [float(number), 1.0, 2.0, 3.0]


def rows(*numbers, **more):
    return [dict(id=n, vec=vec(n), **more) for n in numbers]


class Types(Case):
    def test_every_scalar_comes_back(self):
        self.make("scalars", [ID, *SCALARS, VEC])
        sent = [dict(row, id=n, vec=vec(n)) for n, row in enumerate(EDGES)]
        done = self.client.insert("scalars", sent)
        self.assertEqual((done["insert_count"], list(done["ids"])), (3, [0, 1, 2]))
        got = self.client.query("scalars", filter="id >= 0", output_fields=["*"])
        self.assertEqual([row["id"] for row in got], [0, 1, 2])
        for was, now in zip(sent, got):
            self.assertEqual(set(now), set(was))
            for name, value in was.items():
                if name in ("f", "vec"):
                    value, now[name] = np.float32(value).tolist(), np.float32(now[name]).tolist()
                self.assertEqual(now[name], value, name)

    def test_arrays_of_every_element(self):
        fields = [(f"a{kind.name.lower()}", DataType.ARRAY,
                   {"element_type": kind, "max_capacity": 4,
                    **({"max_length": 16} if kind == DataType.VARCHAR else {})})
                  for kind, _ in ELEMENTS]
        self.make("arrays", [ID, *fields, VEC])
        full = {name: values for (name, _, _), (_, values) in zip(fields, ELEMENTS)}
        self.client.insert("arrays", rows(1, **full) + rows(2, **{n: [] for n in full}))
        one, two = self.client.query("arrays", filter="id in [1, 2]", output_fields=["*"])
        for name, values in full.items():
            found = list(one[name])
            if name == "afloat":
                values, found = np.float32(values).tolist(), np.float32(found).tolist()
            self.assertEqual(found, values, name)
            self.assertEqual(list(two[name]), [], name)

    def compare_vectors(self, name, fields):
        """Insert 20 rows with these vector fields, and get the same bits back."""
        rng = np.random.default_rng(7)
        self.make(name, [ID] + [(n, kind, more) for n, (kind, _), more in fields])
        columns = {n: vectors.random_vectors(rng, word, 20, 16) for n, (_, word), _ in fields}
        self.client.insert(name, [dict(id=i, **{n: c[i] for n, c in columns.items()})
                                  for i in range(20)])
        got = self.client.query(name, filter="id >= 0", output_fields=list(columns))
        self.assertEqual([row["id"] for row in got], list(range(20)))
        for n, (_, word), _ in fields:
            for was, row in zip(columns[n], got):
                self.assertTrue(vectors.same(word, was, row[n]), (n, was, row[n]))

    def test_float_and_binary_vectors(self):
        self.compare_vectors("floats", [("v", (DataType.FLOAT_VECTOR, "float"), {"dim": 16})])
        self.compare_vectors("bits", [("v", (DataType.BINARY_VECTOR, "binary"), {"dim": 16})])

    @not_on_peer("several vector fields, sparse and 16-bit vectors")
    def test_four_vectors_in_a_row(self):
        self.compare_vectors("four", [
            ("v1", (DataType.FLOAT_VECTOR, "float"), {"dim": 16}),
            ("v2", (DataType.FLOAT16_VECTOR, "float16"), {"dim": 16}),
            ("v3", (DataType.BFLOAT16_VECTOR, "bfloat16"), {"dim": 16}),
            ("v4", (DataType.SPARSE_FLOAT_VECTOR, "sparse"), {})])

    @since_client(2, 6)
    @not_on_peer("int8 vectors")
    def test_int8_vectors(self):
        self.compare_vectors("bytes8", [("v", (DataType.INT8_VECTOR, "int8"), {"dim": 16})])

    def test_text_keys(self):
        self.make("texts", [("key", DataType.VARCHAR, {"is_primary": True, "max_length": 20}), VEC])
        keys = ["", "a", "B", "żółw", "it's", 'say "hi"', "x" * 20]
        self.client.insert("texts", [{"key": k, "vec": vec(1)} for k in keys])
        self.assertEqual(self.ids("texts", pk="key"), sorted(keys))
        self.assertEqual(self.client.get("texts", ids=["żółw", "none"],
                                         output_fields=["key"]), [{"key": "żółw"}])
        self.client.delete("texts", ids=["a", "żółw"])
        self.assertEqual(self.count("texts"), 5)

    def test_auto_ids(self):
        for kind, more in ((DataType.INT64, {}), (DataType.VARCHAR, {"max_length": 32})):
            with self.subTest(kind=kind.name):
                name = self.make(f"auto_{kind.name}",
                                 [("id", kind, {"is_primary": True, "auto_id": True, **more}), VEC])
                made = [self.client.insert(name, [{"vec": vec(n)} for n in range(50)])["ids"]
                        for _ in range(2)]
                made = [k for ids in made for k in ids]
                self.assertEqual(len(set(made)), 100)
                self.assertEqual({type(k) for k in made},
                                 {int if kind == DataType.INT64 else str})
                self.assertEqual(self.ids(name), sorted(made))

    @since_client(2, 6)
    @not_on_peer("nullable fields")
    def test_nulls_and_defaults(self):
        fields = [("age", DataType.INT32, {"nullable": True}),
                  ("name", DataType.VARCHAR, {"max_length": 10, "nullable": True,
                                              "default_value": "none"}),
                  ("rate", DataType.DOUBLE, {"default_value": 0.25}),
                  ("doc", DataType.JSON, {"nullable": True}),
                  ("tags", DataType.ARRAY, {"nullable": True, "element_type": DataType.INT64,
                                            "max_capacity": 4})]
        self.make("nulls", [ID, *fields, VEC])
        full = {"age": 7, "name": "x", "rate": 1.5, "doc": {"a": 1}, "tags": [1, 2]}
        self.client.insert("nulls", rows(1, **full) + rows(2) +
                           rows(3, **dict.fromkeys(full)) + rows(4, age=0, tags=[]))
        got = self.client.query("nulls", filter="id > 0", output_fields=list(full))
        for row in got:
            row["tags"] = None if row["tags"] is None else list(row["tags"])
        empty = {"age": None, "name": "none", "rate": 0.25, "doc": None, "tags": None}
        self.assertEqual([dict(r) for r in got], [
            dict(full, id=1), dict(empty, id=2), dict(empty, id=3),
            dict(empty, id=4, age=0, tags=[])])
        self.assertEqual(self.ids("nulls", "age is null"), [2, 3])
        self.assertEqual(self.ids("nulls", "age is not null"), [1, 4])
        self.assertEqual(self.ids("nulls", "not (age > 3)"), [4])
        self.client.flush("nulls", timeout=T)
        self.assertEqual(self.ids("nulls", "doc is null"), [2, 3, 4])
        self.assertEqual(self.ids("nulls", 'name == "none"'), [2, 3, 4])


class Dynamic(Case):
    def test_keys_without_a_field(self):
        self.make("dyn", [ID, VEC], dynamic=True)
        self.client.insert("dyn", rows(1, colour="red", size=3) + rows(2, tags=["a", "b"]) +
                           rows(3, deep={"er": [1, 2]}, colour=7) + rows(4))
        got = self.client.query("dyn", filter="id > 0", output_fields=["colour", "deep"])
        self.assertEqual([(r["id"], r.get("colour"), r.get("deep")) for r in got],
                         [(1, "red", None), (2, None, None), (3, 7, {"er": [1, 2]}),
                          (4, None, None)])
        everything = self.client.query("dyn", filter="id == 2", output_fields=["*"])[0]
        self.assertEqual(everything["tags"], ["a", "b"])
        for filter, ids in (('colour == "red"', [1]), ("size < 4", [1]), ("colour == 7", [3]),
                            ('deep["er"][1] == 2', [3]), ('json_contains(tags, "b")', [2]),
                            ('exists deep["er"]', [3]), ('$meta["size"] == 3', [1])):
            self.assertEqual(self.ids("dyn", filter), ids, filter)

    @not_on_peer("checks of dynamic keys")
    def test_what_they_may_not_be(self):
        self.make("dyn", [ID, VEC], dynamic=True)
        code, text = refusal(self.raw_insert, "dyn", [{"vec": 1}])
        self.assertEqual(text, "dynamic field name cannot include the static field name: vec")
        code, text = refusal(self.raw_insert, "dyn", [{"$meta": 1}])
        self.assertEqual(text, "cannot set json key to: $meta")
        self.assertEqual(self.count("dyn"), 0)

    def raw_insert(self, name, metas):
        """An insert whose dynamic column a client would not let pass."""
        request = milvus_pb2.InsertRequest(collection_name=name, num_rows=len(metas))
        request.fields_data.add(field_name="id", type=5).scalars.long_data.data.extend(
            range(len(metas)))
        vectors_of = request.fields_data.add(field_name="vec", type=101).vectors
        vectors_of.dim = 4
        vectors_of.float_vector.data.extend([0.0] * 4 * len(metas))
        request.fields_data.add(type=23, is_dynamic=True).scalars.json_data.data.extend(
            json.dumps(m).encode() for m in metas)
        status = self.stub.Insert(request, timeout=T).status
        if status.error_code or status.code:
            raise milvus_case.pymilvus.MilvusException(status.code, status.reason)


class Partitions(Case):
    def test_by_name(self):
        self.make("parts", [ID, VEC])
        self.client.create_partition("parts", "p1")
        self.client.create_partition("parts", "p2")
        self.client.insert("parts", rows(1, 2))
        self.client.insert("parts", rows(3, 4), partition_name="p1")
        self.client.insert("parts", rows(5), partition_name="p2")
        self.assertEqual(self.ids("parts"), [1, 2, 3, 4, 5])
        self.assertEqual(self.ids("parts", "id > 0", partition_names=["p1"]), [3, 4])
        self.assertEqual(self.ids("parts", "id > 0", partition_names=["p1", "p2"]), [3, 4, 5])
        self.assertEqual(refusal(self.client.insert, "parts", rows(9), partition_name="no")[0], 200)
        # A delete in one partition leaves the key alone in another.
        self.client.delete("parts", ids=[2, 4], partition_name="p1")
        self.assertEqual(self.ids("parts"), [1, 2, 3, 5])
        self.client.release_partitions("parts", ["p2"])
        self.client.drop_partition("parts", "p2")
        self.assertEqual(self.ids("parts"), [1, 2, 3])

    def test_by_key(self):
        for kind, value in ((DataType.INT64, lambda n: n % 7),
                            (DataType.VARCHAR, lambda n: f"city{n % 7}")):
            with self.subTest(kind=kind.name):
                more = {"max_length": 20} if kind == DataType.VARCHAR else {}
                name = self.make(f"keyed_{kind.name}", [
                    ID, ("city", kind, {"is_partition_key": True, **more}), VEC])
                self.client.insert(name, [dict(r, city=value(r["id"])) for r in rows(*range(70))])
                wanted = json.dumps(value(3))
                self.assertEqual(self.ids(name, f"city == {wanted}"), list(range(3, 70, 7)))
                self.assertEqual(self.ids(name, f"city in [{wanted}, {json.dumps(value(5))}]"),
                                 sorted([*range(3, 70, 7), *range(5, 70, 7)]))
                self.assertEqual(self.count(name), 70)
                self.assertIn("not support manually specifying the partition names if partition "
                              "key mode is used", refusal(self.client.insert, name, [
                                  dict(rows(1)[0], city=value(1))], partition_name="_default_1")[1])


class Changes(Case):
    def test_upsert_replaces(self):
        self.make("ups", [ID, ("n", DataType.INT64, {}), VEC])
        self.client.insert("ups", rows(1, 2, 3, n=1))
        done = self.client.upsert("ups", rows(2, 3, 4, n=2))
        self.assertEqual(done["upsert_count"], 3)
        got = self.client.query("ups", filter="id > 0", output_fields=["n"])
        self.assertEqual([(r["id"], r["n"]) for r in got], [(1, 1), (2, 2), (3, 2), (4, 2)])
        for round_ in range(3, 8):
            self.client.upsert("ups", rows(1, 2, n=round_))
        self.assertEqual(self.ids("ups", "n == 7"), [1, 2])
        self.assertEqual(self.count("ups"), 4)
        self.client.flush("ups", timeout=T)
        self.client.upsert("ups", rows(1, n=100))
        self.assertEqual(self.client.get("ups", ids=[1], output_fields=["n"])[0]["n"], 100)
        self.assertEqual(self.count("ups"), 4)

    def test_delete_by_ids(self):
        self.make("dels_ids", [ID, VEC])
        self.client.insert("dels_ids", rows(*range(10)))
        gone = self.client.delete("dels_ids", ids=[1, 3, 99])
        self.assertEqual(gone["delete_count"], 3)       # as many as were named
        self.assertEqual(self.ids("dels_ids"), [0, 2, 4, 5, 6, 7, 8, 9])
        self.client.delete("dels_ids", filter="id in [0, 2]")
        self.client.delete("dels_ids", filter="id == 4")
        self.assertEqual(self.ids("dels_ids"), [5, 6, 7, 8, 9])
        self.client.insert("dels_ids", rows(1))             # it may come back
        self.assertEqual(self.ids("dels_ids"), [1, 5, 6, 7, 8, 9])

    def test_delete_by_expression(self):
        self.make("dels_where", [ID, ("n", DataType.INT64, {}), VEC])
        self.client.insert("dels_where", [dict(r, n=r["id"] * 10) for r in rows(*range(20))])
        done = self.client.delete("dels_where", filter="n >= 100 and n < 150")
        self.assertEqual(done["delete_count"], 5)
        self.assertEqual(self.ids("dels_where"), [*range(10), *range(15, 20)])
        self.client.flush("dels_where", timeout=T)
        self.client.delete("dels_where", filter="n < 50")
        self.assertEqual(self.ids("dels_where"), [*range(5, 10), *range(15, 20)])
        self.assertEqual(self.client.delete("dels_where", filter="n == 7777")["delete_count"], 0)

    def test_what_may_not_be_deleted(self):
        self.make("dels_refused", [ID, VEC])
        self.client.insert("dels_refused", rows(1, 2))
        for filter in ("", "no_such == 1", "id ==", "id > 0 and"):
            self.assertIn(refusal(self.delete, filter)[0], (1100, 65535) if PEER else (1100,))
        self.assertEqual(self.count("dels_refused"), 2)

    def delete(self, filter):
        status = self.stub.Delete(milvus_pb2.DeleteRequest(
            collection_name="dels_refused", expr=filter), timeout=T).status
        if status.code or status.error_code:
            raise milvus_case.pymilvus.MilvusException(status.code, status.reason)

    def test_one_key_twice_in_a_request(self):
        self.make("twice", [ID, ("n", DataType.INT64, {}), VEC])
        self.client.insert("twice", rows(1, n=1))
        self.client.insert("twice", rows(1, n=2))
        found = self.client.search("twice", data=[vec(1)], limit=5)[0]
        self.assertEqual(len(found), 1)                 # one key is one hit
        self.client.delete("twice", ids=[1])
        self.assertEqual(self.count("twice"), 0)

    def test_shards(self):
        self.make("shards", [ID, VEC], num_shards=3)
        self.client.insert("shards", rows(*range(300)))
        self.client.upsert("shards", rows(*range(0, 300, 2)))
        self.client.delete("shards", ids=list(range(0, 300, 3)))
        left = [n for n in range(300) if n % 3]
        self.assertEqual(self.ids("shards"), left)
        self.assertEqual(self.count("shards"), 200)

    def test_orm(self):
        schema = CollectionSchema([FieldSchema("id", DataType.INT64, is_primary=True),
                                   FieldSchema("n", DataType.INT32),
                                   FieldSchema("vec", DataType.FLOAT_VECTOR, dim=4)])
        coll = Collection("orm_rows", schema, consistency_level="Strong")
        self.addCleanup(utility.drop_collection, "orm_rows")
        coll.create_index("vec", {"index_type": "FLAT", "metric_type": "L2", "params": {}})
        coll.load()
        done = coll.insert([[1, 2, 3], [10, 20, 30], [vec(1), vec(2), vec(3)]])     # columns
        self.assertEqual((done.insert_count, list(done.primary_keys)), (3, [1, 2, 3]))
        self.assertGreater(done.timestamp, 0)
        self.assertEqual(coll.upsert([[3, 4], [33, 44], [vec(3), vec(4)]]).upsert_count, 2)
        self.assertEqual(coll.delete("id in [1]").delete_count, 1)
        self.assertEqual([(r["id"], r["n"]) for r in coll.query("id > 0", output_fields=["n"])],
                         [(2, 20), (3, 33), (4, 44)])

    def test_a_large_insert(self):
        self.make("large", [ID, ("s", DataType.VARCHAR, {"max_length": 100}), VEC])
        self.client.insert("large", rows(*range(20000), s="y" * 100))
        self.assertEqual(self.count("large"), 20000)
        self.assertEqual(self.ids("large", "id >= 19998"), [19998, 19999])


class BadInput(Case):
    """Columns as a client would never send them; the collection stays as it was."""

    def setUp(self):
        self.make("strict", [ID, ("i8", DataType.INT8, {}),
                             ("s", DataType.VARCHAR, {"max_length": 8}),
                             ("tags", DataType.ARRAY, {"element_type": DataType.INT64,
                                                       "max_capacity": 2}), VEC])

    def columns(self):
        """Two good rows."""
        made = {}
        for name, kind in (("id", 5), ("i8", 2), ("s", 21), ("tags", 22), ("vec", 101)):
            made[name] = schema_pb2.FieldData(field_name=name, type=kind)
        made["id"].scalars.long_data.data.extend([1, 2])
        made["i8"].scalars.int_data.data.extend([1, 2])
        made["s"].scalars.string_data.data.extend(["a", "b"])
        made["tags"].scalars.array_data.element_type = 5
        for values in ([1], [1, 2]):
            made["tags"].scalars.array_data.data.add().long_data.data.extend(values)
        made["vec"].vectors.dim = 4
        made["vec"].vectors.float_vector.data.extend(range(8))
        return made

    def send(self, columns, num_rows=2, method="Insert", **more):
        request = {"Insert": milvus_pb2.InsertRequest, "Upsert": milvus_pb2.UpsertRequest}[method](
            collection_name=more.pop("collection", "strict"), num_rows=num_rows,
            fields_data=list(columns.values()), **more)
        answer = getattr(self.stub, method)(request, timeout=T)
        return answer.status.code, answer.status.reason, answer

    def refused(self, columns, code, text, **more):
        seen = self.send(columns, **more)
        if not PEER:                    # 2.3.5 has older words for some
            self.assertEqual(seen[0], code, seen[1])
            self.assertIn(text, seen[1])
        self.assertNotEqual(seen[2].status.error_code, 0)
        self.assertEqual(self.count("strict"), 0)

    def test_good_rows_pass(self):
        code, text, answer = self.send(self.columns())
        self.assertEqual((code, text, answer.insert_cnt), (0, "", 2))
        self.assertEqual(list(answer.IDs.int_id.data), [1, 2])
        self.assertEqual(list(answer.succ_index), [0, 1])
        self.assertGreater(answer.timestamp, 0)
        self.assertEqual(self.count("strict"), 2)

    def test_lengths(self):
        columns = self.columns()
        columns["i8"].scalars.int_data.data.append(3)
        self.refused(columns, 1100, "the num_rows (3) of field (i8) is not equal to passed "
                     "num_rows (2)")
        columns = self.columns()
        columns["vec"].vectors.float_vector.data.append(1.0)
        self.assertNotEqual(self.send(columns)[0], 0)
        columns = self.columns()
        columns["s"].scalars.string_data.data[1] = "x" * 9
        self.refused(columns, 1100, "length of varchar field s exceeds max length, row number: 1, "
                     "length: 9, max length: 8")
        columns = self.columns()
        columns["tags"].scalars.array_data.data[0].long_data.data.extend([2, 3])
        self.refused(columns, 1100, "exceeds max capacity")
        self.assertEqual(self.count("strict"), 0)

    def test_missing_and_unknown(self):
        columns = self.columns()
        del columns["i8"]
        self.refused(columns, 1100, "")
        columns = self.columns()
        columns["more"] = schema_pb2.FieldData(field_name="more", type=5)
        columns["more"].scalars.long_data.data.extend([1, 2])
        self.refused(columns, 1100, "")
        self.refused({}, 1100, "")
        seen = self.send(self.columns(), collection="nowhere")
        self.assertEqual(seen[0], 100, seen[1])
        self.refused(self.columns(), 200, "partition not found[partition=nope]",
                     partition_name="nope")

    def test_values(self):
        columns = self.columns()
        columns["i8"].scalars.int_data.data[1] = 128
        self.refused(columns, 1100, "out of range: [-128, 127]")
        columns = self.columns()
        columns["vec"].vectors.float_vector.data[5] = float("nan")
        self.refused(columns, 65535, "value 'NaN' is not a number or infinity")
        columns = self.columns()
        columns["vec"].vectors.dim = 8
        columns["vec"].vectors.float_vector.data.extend(range(8))
        self.refused(columns, 1100, "the dim (8) of field data(vec) is not equal to schema dim (4)")
        columns = self.columns()
        columns["s"].type = 5
        columns["s"].scalars.long_data.data.extend([1, 2])
        self.refused(columns, 1100, "")

    def test_upsert_is_as_strict(self):
        columns = self.columns()
        columns["s"].scalars.string_data.data[0] = "x" * 9
        self.refused(columns, 1100, "length of varchar field s exceeds max length",
                     method="Upsert")
        columns = self.columns()
        del columns["id"]
        self.refused(columns, 1100, "", method="Upsert")

    def test_no_rows(self):
        columns = {n: schema_pb2.FieldData(field_name=n, type=c.type)
                   for n, c in self.columns().items()}
        self.assertNotEqual(self.send(columns, num_rows=0)[0], 0)


if __name__ == "__main__":
    unittest.main()

"""differential - one random program, run on two servers, every answer compared.

A Program makes up steps from a seed: DDL, inserts, upserts, deletes, flushes,
loads, searches, queries, and things that are wrong.  It keeps track of which
collections, partitions and keys there are only to make up steps that mean
something; it knows no answers.  Each Side plays a step with a real pymilvus, and
Compare says what differs.  What both sides cannot be asked to agree on is left
out of the program and said where: keys inserted twice, limits that cut a set
without an order, features of one side alone.
"""
import dataclasses
import logging
import random

import numpy as np
import pymilvus
import vectors
from pymilvus import DataType, MilvusClient

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)    # refusals are compared, not told
DIM = 8
T = 60
WORDS = ("red", "green", "grey", "blue", "black", "", "żółw", "it's")
VECTORS = {     # metric: (kind, type, index)
    "L2": ("float", DataType.FLOAT_VECTOR, "FLAT"), "IP": ("float", DataType.FLOAT_VECTOR, "FLAT"),
    "COSINE": ("float", DataType.FLOAT_VECTOR, "FLAT"),
    "HAMMING": ("binary", DataType.BINARY_VECTOR, "BIN_FLAT"),
    "JACCARD": ("binary", DataType.BINARY_VECTOR, "BIN_FLAT")}


@dataclasses.dataclass
class Step:
    """One call: its name is a method of Side."""
    what: str
    args: dict

    def __str__(self):
        def short(value):
            text = repr(value)
            return text if len(text) < 300 else f"{text[:300]}… ({len(text)} characters)"
        return f"{self.what}({', '.join(f'{k}={short(v)}' for k, v in self.args.items())})"


@dataclasses.dataclass
class Table:
    """What the program remembers of a collection."""
    name: str
    metric: str
    key_type: DataType
    key_partition: bool
    dynamic: bool
    shards: int
    keys: dict = dataclasses.field(default_factory=dict)        # live key -> partition
    partitions: list = dataclasses.field(default_factory=lambda: ["_default"])
    loaded: bool = True

    @property
    def kind(self):
        return VECTORS[self.metric][0]


class Program:
    """Steps without end, the same ones for the same seed."""

    def __init__(self, seed, tables=3):
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.tables, self.most, self.made = [], tables, 0

    def next(self):
        if not self.tables:
            return self.create()
        choices = {self.insert: 14, self.upsert: 8, self.delete: 7, self.delete_where: 5,
                   self.search: 22, self.query: 18, self.count: 8, self.page: 3, self.get: 3,
                   self.wrong: 8, self.look: 3, self.partition: 2, self.flush: 1.5,
                   self.reload: 1, self.drop: 0.5, self.compact: 0.5,
                   self.create: 2 if len(self.tables) < self.most else 0}
        step = self.random.choices(list(choices), list(choices.values()))[0]()
        return step or self.next()

    # --- values -----------------------------------------------------------------------

    def pick(self):
        return self.random.choice(self.tables)

    def fresh_keys(self, table, count):
        space = range(5000)
        keys = [self.key(table, n) for n in self.random.sample(space, min(count * 2, 5000))]
        return [k for k in keys if k not in table.keys][:count]

    def key(self, table, number):
        return number - 2500 if table.key_type == DataType.INT64 else f"key {number}"

    def some_keys(self, table, most):
        live = sorted(table.keys)
        return self.random.sample(live, min(len(live), self.random.randint(1, most)))

    def rows(self, table, keys):
        made = vectors.random_vectors(self.numbers, table.kind, len(keys), DIM * 8
                                      if table.kind == "binary" else DIM)
        if table.kind == "float" and self.random.random() < 0.2:        # distances that tie
            made = [[float(round(x)) for x in row] for row in made]
        return [self.row(table, k, v) for k, v in zip(keys, made)]

    def row(self, table, key, vector):
        r = self.random
        row = {"pk": key, "i": r.randint(-20, 20), "k": r.randint(-5, 5), "b": r.random() < 0.5,
               "f": r.randint(-40, 40) / 8, "s": r.choice(WORDS), "v": vector,
               "a": [r.randint(0, 6) for _ in range(r.randint(1, 4))], "j": self.json()}
        if table.dynamic and r.random() < 0.7:
            row.update({"d1": r.choice([r.randint(0, 9), r.choice(WORDS), 2.5])})
        return row

    def json(self):
        r, made = self.random, {}
        if r.random() < 0.8:
            made["x"] = r.randint(-5, 5)
        if r.random() < 0.5:
            made["t"] = r.choice(WORDS)
        if r.random() < 0.5:
            made["l"] = [r.randint(0, 4) for _ in range(r.randint(0, 3))]
        if r.random() < 0.3:
            made["o"] = {"y": r.randint(0, 3), "z": r.random() < 0.5}
        return made

    # --- expressions ------------------------------------------------------------------

    def leaf(self, table):
        r = self.random
        op = r.choice(("<", "<=", ">", ">=", "==", "!="))
        word = self.quoted(r.choice(WORDS))
        some = [r.randint(0, 6) for _ in range(r.randint(1, 3))]
        kinds = [
            lambda: f"i {op} {r.randint(-20, 20)}", lambda: f"k {op} {r.randint(-5, 5)}",
            lambda: f"f {op} {r.randint(-40, 40) / 8}", lambda: f"s {op} {word}",
            lambda: f"{r.randint(-20, 0)} < i <= {r.randint(1, 20)}",
            lambda: f"i {r.choice(['in', 'not in'])} {[r.randint(-20, 20) for _ in range(5)]}",
            lambda: f"s in [{word}, {self.quoted(r.choice(WORDS))}]",
            lambda: f's like "{r.choice(["g", "bl", "re"])}%"',
            lambda: f"b == {r.choice(['true', 'false'])}",
            lambda: f"i % {r.randint(2, 5)} == {r.randint(0, 3)}",
            lambda: f"i + {r.randint(1, 9)} == {r.randint(-9, 9)}",
            lambda: f"f {op} i", lambda: f"i {op} k",
            lambda: f'j["x"] {op} {r.randint(-5, 5)}', lambda: f'j["t"] == {word}',
            lambda: f'j["o"]["y"] {op} {r.randint(0, 3)}', lambda: 'exists j["l"]',
            lambda: f'j["x"] in {[r.randint(-5, 5) for _ in range(3)]}',
            lambda: f'json_contains(j["l"], {r.randint(0, 4)})',
            lambda: f'json_contains_any(j["l"], {some})',
            lambda: f'json_contains_all(j["l"], {some})',
            lambda: f"array_contains(a, {r.randint(0, 6)})", lambda: f"a[0] {op} {r.randint(0, 6)}",
            lambda: f"array_contains_all(a, {some})", lambda: f"array_contains_any(a, {some})",
            lambda: f"array_length(a) == {r.randint(1, 4)}",
            lambda: self.key_leaf(table)]
        if table.dynamic:
            kinds += [lambda: f"d1 {op} {r.randint(0, 9)}", lambda: f"d1 == {word}",
                      lambda: "exists d1"]
        return r.choice(kinds)()

    @staticmethod
    def quoted(word):
        return '"' + word + '"'

    def key_leaf(self, table):
        if table.key_type == DataType.INT64:
            return f"pk {self.random.choice(['<', '>='])} {self.random.randint(-2500, 2500)}"
        return f'pk >= "key {self.random.randint(0, 4999)}"'

    def keys_expr(self, keys):
        return "pk in [" + ", ".join(str(k) if isinstance(k, int) else self.quoted(k)
                                     for k in keys) + "]"

    def expr(self, table, depth=2):
        if depth == 0 or self.random.random() < 0.45:
            return self.leaf(table)
        left, right = self.expr(table, depth - 1), self.expr(table, depth - 1)
        return self.random.choice([f"({left}) and ({right})", f"({left}) or ({right})",
                                   f"not ({left})"])

    # --- steps ------------------------------------------------------------------------

    def create(self):
        self.made += 1
        table = Table(f"t{self.made}", self.random.choice(list(VECTORS)),
                      self.random.choice([DataType.INT64, DataType.VARCHAR]),
                      self.random.random() < 0.25, self.random.random() < 0.5,
                      self.random.randint(1, 2))
        self.tables.append(table)
        return Step("create", {"table": dataclasses.replace(table, keys={}, partitions=[])})

    def drop(self):
        if len(self.tables) < self.most:
            return None
        table = self.pick()
        self.tables.remove(table)
        return Step("drop", {"name": table.name})

    def insert(self):
        table = self.pick()
        keys = self.fresh_keys(table, self.random.choice([1, 5, 20, 100]))
        partition = self.some_partition(table)
        table.keys.update(dict.fromkeys(keys, partition))
        return Step("insert", {"name": table.name, "rows": self.rows(table, keys),
                               "partition": None if table.key_partition else partition})

    def some_partition(self, table):
        return self.random.choice(table.partitions)

    def upsert(self):
        """Rows of one partition: upsert deletes and inserts in the one it names."""
        table = self.pick()
        partition = self.some_partition(table)
        old = [k for k in self.some_keys(table, 20) if table.keys[k] == partition] \
            if table.keys else []
        if table.key_partition:                 # the new row may hash to another partition
            return None
        keys = old + self.fresh_keys(table, self.random.randint(0 if old else 1, 5))
        table.keys.update(dict.fromkeys(keys, partition))
        return Step("upsert", {"name": table.name, "rows": self.rows(table, keys),
                               "partition": partition})

    def delete(self):
        table = self.pick()
        if not table.keys:
            return None
        keys = self.some_keys(table, 15)
        for key in keys:
            del table.keys[key]
        return Step("delete", {"name": table.name,
                               "filter": self.keys_expr(keys + self.fresh_keys(table, 2))})

    def delete_where(self):
        """What it deletes is not known here; later steps may name keys that are gone."""
        table = self.pick()
        if not table.loaded:
            return None
        return Step("delete", {"name": table.name, "filter": f"({self.leaf(table)}) and "
                               f"i == {self.random.randint(-20, 20)}"})

    def partition(self):
        table = self.pick()
        if table.key_partition or not table.loaded:
            return None
        if len(table.partitions) < 3:
            name = f"p{self.random.randint(0, 99)}"
            if name in table.partitions:
                return None
            table.partitions.append(name)
            return Step("create_partition", {"name": table.name, "partition": name})
        name = self.random.choice(table.partitions[1:])
        table.partitions.remove(name)
        table.keys = {k: p for k, p in table.keys.items() if p != name}
        return Step("drop_partition", {"name": table.name, "partition": name})

    def flush(self):
        return Step("flush", {"name": self.pick().name})

    def compact(self):
        return Step("compact", {"name": self.pick().name})

    def reload(self):
        return Step("reload", {"name": self.pick().name})

    def look(self):
        return Step("look", {"name": self.pick().name})

    def where(self, table):
        chosen = {}
        if self.random.random() < 0.5:
            chosen["filter"] = self.expr(table)
        if not table.key_partition and self.random.random() < 0.2:
            chosen["partition_names"] = self.random.sample(
                table.partitions, self.random.randint(1, len(table.partitions)))
        return chosen

    def search(self):
        table, r = self.pick(), self.random
        queries = vectors.random_vectors(self.numbers, table.kind, r.choice([1, 1, 2, 5]),
                                         DIM * 8 if table.kind == "binary" else DIM)
        more, params = self.where(table), {}
        if r.random() < 0.15:
            params = self.bounds(table)
        if r.random() < 0.15 and not params:
            params["offset"] = r.randint(0, 20)
        if r.random() < 0.3:
            more["output_fields"] = r.sample(["i", "f", "s", "b", "v", "a", "j", "pk"],
                                             r.randint(1, 4))
        return Step("search", {"name": table.name, "data": queries, "metric": table.metric,
                               "kind": table.kind, "limit": r.choice([1, 5, 20, 100, 1000]),
                               "params": params, **more})

    def bounds(self, table):
        near, far = {"L2": (2.0, 14.0), "IP": (6.0, -1.0), "COSINE": (0.6, -0.1),
                     "HAMMING": (20.0, 34.0), "JACCARD": (0.4, 0.7)}[table.metric]
        return {"radius": far, "range_filter": near}

    def query(self):
        table = self.pick()
        fields = self.random.choice([["*"], ["i", "s"], ["j", "a", "b"], ["f", "v"], []])
        more = dict(self.where(table))
        more.setdefault("filter", self.expr(table))
        return Step("query", {"name": table.name, "output_fields": fields, **more})

    def count(self):
        table = self.pick()
        return Step("query", {"name": table.name, "output_fields": ["count(*)"],
                              **dict({"filter": ""}, **self.where(table))})

    def page(self):
        table = self.pick()
        return Step("page", {"name": table.name, "filter": self.expr(table),
                             "limit": self.random.randint(1, 30)})

    def get(self):
        table = self.pick()
        if not table.keys:
            return None
        return Step("query", {"name": table.name, "output_fields": ["*"],
                              "filter": self.keys_expr(self.some_keys(table, 10) +
                                                       self.fresh_keys(table, 3))})

    def wrong(self):
        """A step that must be refused by both."""
        table, r = self.pick(), self.random
        name, at = table.name, {"metric": table.metric, "kind": table.kind, "params": {}}
        query = vectors.random_vectors(self.numbers, table.kind, 1,
                                       DIM * 8 if table.kind == "binary" else DIM)
        find = dict(at, name=name, data=query, limit=3)
        choices = [
            Step("query", {"name": "nowhere", "filter": "i > 1", "output_fields": ["i"]}),
            Step("search", dict(find, name="nowhere")), Step("search", dict(find, limit=16385)),
            Step("search", dict(find, filter="i >")), Step("search", dict(find, filter='i == "x"')),
            Step("search", dict(find, filter="i + 1")),
            Step("search", dict(find, partition_names=["nope"])),
            Step("query", {"name": name, "filter": "i ==", "output_fields": ["i"]}),
            Step("query", {"name": name, "filter": "s > 1", "output_fields": ["i"]}),
            Step("query", {"name": name, "filter": "i in 5", "output_fields": ["i"]}),
            Step("query", {"name": name, "filter": "not i == 1", "output_fields": ["i"]}),
            Step("query", {"name": name, "filter": "i > 1", "output_fields": ["i"],
                           "partition_names": ["nope"]}),
            Step("query", {"name": name, "filter": "", "output_fields": ["i"]}),
            Step("delete", {"name": "nowhere", "filter": "pk in [1]"}),
            Step("delete", {"name": name, "filter": "i >"}),
            Step("insert", {"name": "nowhere", "rows": [], "partition": None, "raw": True}),
            Step("drop_partition", {"name": "nowhere", "partition": "p"}),
            Step("flush", {"name": "nowhere"})]
        if table.kind == "float":
            choices.append(Step("search", dict(find, data=[[0.0] * (DIM + 1)])))
            choices.append(Step("search", dict(find, metric="L2" if table.metric == "IP" else
                                               "IP")))
        if not table.dynamic:
            choices.append(Step("query", {"name": name, "filter": "nope > 1",
                                          "output_fields": ["i"]}))
            choices.append(Step("query", {"name": name, "filter": "i > 1",
                                          "output_fields": ["nope"]}))
        step = r.choice(choices)
        return Step(step.what, dict(step.args, must_fail=True))


class Side:
    """One server.  play() returns what the client got, or the refusal's (code, text)."""

    def __init__(self, address):
        self.client = MilvusClient(uri=f"http://{address}")
        self.kinds = {}

    def play(self, step):
        args = {k: v for k, v in step.args.items() if k != "must_fail"}
        try:
            return getattr(self, step.what)(**args)
        except pymilvus.MilvusException as why:
            return Refused(why.code, str(why.message))

    def create(self, table):
        kind, dtype, index = VECTORS[table.metric]
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=table.dynamic)
        more = {"max_length": 64} if table.key_type == DataType.VARCHAR else {}
        schema.add_field("pk", table.key_type, is_primary=True, **more)
        schema.add_field("i", DataType.INT64, is_partition_key=table.key_partition)
        schema.add_field("k", DataType.INT32)
        schema.add_field("b", DataType.BOOL)
        schema.add_field("f", DataType.DOUBLE)
        schema.add_field("s", DataType.VARCHAR, max_length=64)
        schema.add_field("a", DataType.ARRAY, element_type=DataType.INT64, max_capacity=8)
        schema.add_field("j", DataType.JSON)
        schema.add_field("v", dtype, dim=DIM * 8 if kind == "binary" else DIM)
        more = {"num_partitions": 16} if table.key_partition else {}    # 2.3.5's default is 64
        self.client.create_collection(table.name, schema=schema, num_shards=table.shards,
                                      consistency_level="Strong", timeout=T, **more)
        params = self.client.prepare_index_params()
        params.add_index("v", index_type=index, metric_type=table.metric)
        self.client.create_index(table.name, params, timeout=T)
        self.client.load_collection(table.name, timeout=T)
        self.kinds[table.name] = kind

    def drop(self, name):
        self.client.drop_collection(name)

    def insert(self, name, rows, partition, raw=False):
        if raw:
            self.client.describe_collection(name)       # what every insert asks first
        return self.client.insert(name, rows, partition_name=partition)["insert_count"]

    def upsert(self, name, rows, partition):
        return self.client.upsert(name, rows, partition_name=partition)["upsert_count"]

    def delete(self, name, filter):
        return self.client.delete(name, filter=filter)["delete_count"]

    def create_partition(self, name, partition):
        self.client.create_partition(name, partition)
        self.client.load_partitions(name, [partition], timeout=T)

    def drop_partition(self, name, partition):
        self.client.release_partitions(name, [partition])
        self.client.drop_partition(name, partition)

    def flush(self, name):
        self.client.flush(name, timeout=T)

    def compact(self, name):
        self.client.compact(name, timeout=T)

    def reload(self, name):
        self.client.release_collection(name)
        self.client.load_collection(name, timeout=T)

    def look(self, name):
        return (sorted(self.client.list_collections()), sorted(self.client.list_partitions(name)),
                self.client.describe_collection(name)["num_shards"])

    def query(self, name, **more):
        found = self.client.query(name, timeout=T, consistency_level="Strong", **more)
        return sorted((self.plain(name, row) for row in found), key=lambda r: str(r.get("pk")))

    def page(self, name, filter, limit):
        """(how many came, whether all of them belong)."""
        found = self.client.query(name, filter=filter, limit=limit, output_fields=["pk"],
                                  consistency_level="Strong", timeout=T)
        belong = {r["pk"] for r in self.client.query(
            name, filter=filter, output_fields=["pk"], consistency_level="Strong", timeout=T)}
        return len(found), all(r["pk"] in belong for r in found)

    def search(self, name, data, metric, kind, limit, params, **more):
        params = dict(params)
        offset = {"offset": params.pop("offset")} if "offset" in params else {}
        found = self.client.search(
            name, data=data, limit=limit, timeout=T, consistency_level="Strong",
            search_params={"metric_type": metric, "params": params, **offset}, **more)
        return [[(h.get("pk", h.get("id")), h["distance"], self.plain(name, h["entity"]))
                 for h in hits] for hits in found]

    def plain(self, name, row):
        """A row whose values compare: vectors as bytes, arrays as lists."""
        made = {}
        for key, value in dict(row).items():
            if key == "v":
                value = np.asarray(vectors.plain(self.kinds[name], value)).astype("<f4").tobytes() \
                    if self.kinds[name] == "float" else vectors.plain("binary", value)
            elif key == "a":
                value = list(value)
            made[key] = value
        return made


@dataclasses.dataclass
class Refused:
    code: int
    text: str


# Codes that changed after 2.3.5: {Milvus 2.3.5: what 2.4 says}.
NEWER_CODES = {65535: (1100, 2000, 1700, 200, 700, 101, 65535), 1: (65535, 1100, 100)}


def gave_up(answer):
    """Milvus now and then never ends a load; nothing can be compared from there on."""
    return isinstance(answer, Refused) and "timeout" in answer.text


def differ(step, one, other):
    """What differs between Elanus's answer and Milvus's; None when nothing does."""
    refusals = isinstance(one, Refused), isinstance(other, Refused)
    if step.args.get("must_fail") and not all(refusals):
        return None if not any(refusals) else f"{one} and {other}"
    if any(refusals):
        if not all(refusals):
            return f"only one refuses: {one} and {other}"
        same = one.code == other.code or one.code in NEWER_CODES.get(other.code, ())
        return None if same else f"codes: {one} and {other}"
    if step.what != "search":
        return None if one == other else f"{one}\nand {other}"
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} queries answered"
    for number, (mine, theirs) in enumerate(zip(one, other)):
        why = vectors.differs([h[:2] for h in theirs], [h[:2] for h in mine],
                              offset=step.args.get("params", {}).get("offset", 0))
        entities = {key: entity for key, _, entity in theirs}
        why = why or next((f"row {key}: {entity} and {entities[key]}" for key, _, entity in mine
                           if key in entities and entity != entities[key]), None)
        if why:
            return f"query {number}: {why}"
    return None


def compare(seed, steps, elanus, milvus, stop=lambda: False):
    """Run the program on both.  (steps run, by kind, the first difference or None)."""
    program, sides = Program(seed), (Side(elanus), Side(milvus))
    try:
        return _compare(seed, program, sides, steps, stop)
    finally:
        for side in sides:                  # the servers are shared
            for table in program.tables:
                side.client.drop_collection(table.name)


def _compare(seed, program, sides, steps, stop):
    done, history = {}, []
    for number in range(steps):
        if stop():
            break
        step = program.next()
        history.append(step)
        one, other = (side.play(step) for side in sides)
        if gave_up(other):
            print(f"note: Milvus itself gave up at step {number}, {step.what}: {other.text[:120]}")
            break
        done[step.what] = done.get(step.what, 0) + 1
        why = differ(step, one, other)
        if why:
            before = "\n".join(f"    {n} {s}" for n, s in list(enumerate(history))[-12:])
            return done, (f"seed {seed}, step {number}: {why}\n"
                          f"(Elanus first, Milvus second)\n{before}")
    return done, None

"""chaos_load - the workload: writers and readers that record what they asked and got.

Two collections of two shards.  Each has HOT keys, which every writer replaces and
deletes, and for each writer keys of its own, which it inserts first.  Each request
writes one version, a number no other request has, into a scalar and into the
vectors, so that any row that is read tells which request made it.

Clients are threads with raw stubs: each request is sent once, and what became of
it is written down as the client can know it (chaos_check has the format).  A key
whose insert has an unknown outcome is left alone from then on, because inserting
is not replacing: a second row may come later.
"""
import itertools
import json
import random
import struct
import sys
import threading
import time

import milvus_case      # before grpc: it keeps its hands off our children
import grpc
from pymilvus import MilvusClient
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

import chaos_check

COLLECTIONS = ("red", "blue")
SHARDS = 2
HOT = range(1, 49)
OWN = 10000                     # writer w's keys begin at (w + 1) * OWN
MOST_OWN = 250                  # rows a writer keeps of its own
WRITERS, READERS = 4, 8
WRITE_EVERY_S, READ_EVERY_S, DDL_EVERY_S = 0.06, 0.09, 0.15
WIDE = 8                        # keys of a request that surely touches every shard
LIMIT = 10
REQUEST_S = 10
INT64, FLOAT_VECTOR = 5, 101
INDEX_FINISHED = 3
LEVELS = {"Strong": (0, 0), "Session": (1, None), "Bounded": (2, 2), "Eventually": (3, 1)}
# A proxy that is back is found at once; "min" is how long an attempt may take.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 2000),
             ("grpc.max_reconnect_backoff_ms", 200), ("grpc.enable_retries", 0),
             ("grpc.use_local_subchannel_pool", 1)]


class Refused(Exception):
    """The server said no."""


class Calls:
    """One client's connection to one proxy."""

    def __init__(self, address, patience=REQUEST_S):
        self.address, self.patience = address, patience
        self.channel = grpc.insecure_channel(address, options=milvus_case.UNLIMITED + RECONNECT)
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def ask(self, method, request):
        answer = getattr(self.stub, method)(request, timeout=self.patience)
        status = answer if isinstance(answer, common_pb2.Status) else answer.status
        if status.code or status.error_code:
            raise Refused(f"{status.code} {status.reason}")
        return answer

    def create(self, name, index="FLAT", replicas=1):
        schema = schema_pb2.CollectionSchema(name=name)
        schema.fields.add(name="pk", data_type=INT64, is_primary_key=True)
        schema.fields.add(name="ver", data_type=INT64)
        schema.fields.add(name="v", data_type=FLOAT_VECTOR).type_params.add(
            key="dim", value=str(chaos_check.DIM))
        self.ask("CreateCollection", milvus_pb2.CreateCollectionRequest(
            collection_name=name, schema=schema.SerializeToString(), shards_num=SHARDS))
        if index:
            self.index(name, index)
            self.load(name, replicas)

    def index(self, name, kind):
        made = milvus_pb2.CreateIndexRequest(collection_name=name, field_name="v")
        for key, value in (("index_type", kind), ("metric_type", "L2"),
                           ("params", json.dumps({"nlist": 16} if kind != "FLAT" else {}))):
            made.extra_params.add(key=key, value=value)
        self.ask("CreateIndex", made)

    def indexed(self, name, rows):
        """Are all rows indexed?"""
        found = self.ask("DescribeIndex", milvus_pb2.DescribeIndexRequest(
            collection_name=name)).index_descriptions[0]
        return found.state == INDEX_FINISHED and found.indexed_rows >= rows \
            and found.pending_index_rows == 0

    def load(self, name, replicas=1):
        self.ask("LoadCollection", milvus_pb2.LoadCollectionRequest(
            collection_name=name, replica_number=replicas))

    def flush(self, name):
        """Until nothing of it is in the log alone."""
        done = self.ask("Flush", milvus_pb2.FlushRequest(collection_names=[name]))
        segments = list(done.coll_segIDs[name].data)
        request = milvus_pb2.GetFlushStateRequest(
            segmentIDs=segments, collection_name=name, flush_ts=done.coll_flush_ts[name])
        while not self.ask("GetFlushState", request).flushed:
            time.sleep(0.05)

    def loaded(self, name):
        return self.stub.GetLoadState(milvus_pb2.GetLoadStateRequest(collection_name=name),
                                      timeout=self.patience).state == 3

    def write(self, op, name, pks, ver):
        """The timestamp it got."""
        if op == "delete":
            return self.ask("Delete", milvus_pb2.DeleteRequest(
                collection_name=name, expr=f"pk in {list(pks)}")).timestamp
        kind = milvus_pb2.InsertRequest if op == "insert" else milvus_pb2.UpsertRequest
        request = kind(collection_name=name, num_rows=len(pks))
        request.fields_data.add(field_name="pk", type=INT64).scalars.long_data.data.extend(pks)
        request.fields_data.add(field_name="ver", type=INT64).scalars.long_data.data.extend(
            [ver] * len(pks))
        vectors = request.fields_data.add(field_name="v", type=FLOAT_VECTOR).vectors
        vectors.dim = chaos_check.DIM
        vectors.float_vector.data.extend(x for pk in pks for x in chaos_check.vector(pk, ver))
        return self.ask("Insert" if op == "insert" else "Upsert", request).timestamp

    @staticmethod
    def level(request, level, session):
        request.consistency_level, stamp = LEVELS[level]
        request.guarantee_timestamp = session or 1 if stamp is None else stamp

    def query(self, name, expr, level="Strong", session=0, fields=("pk", "ver", "v")):
        request = milvus_pb2.QueryRequest(collection_name=name, expr=expr, output_fields=fields)
        self.level(request, level, session)
        return self.ask("Query", request)

    def rows(self, name, expr, level="Strong", session=0):
        """([[pk, ver]], what is wrong with the bytes)."""
        found = {f.field_name: f for f in self.query(name, expr, level, session).fields_data}
        if not found:
            return [], []
        pks = list(found["pk"].scalars.long_data.data)
        vers = list(found["ver"].scalars.long_data.data)
        flat, dim = list(found["v"].vectors.float_vector.data), chaos_check.DIM
        wrong = [f"key {pk} has not the vector of version {ver}"
                 for i, (pk, ver) in enumerate(zip(pks, vers))
                 if flat[i * dim:(i + 1) * dim] != chaos_check.vector(pk, ver)]
        return [list(row) for row in zip(pks, vers)], wrong

    def count(self, name, expr="", level="Strong"):
        found = self.query(name, expr, level, fields=("count(*)",))
        return found.fields_data[0].scalars.long_data.data[0]

    def search(self, name, near, level, expr=""):
        value = common_pb2.PlaceholderValue(tag="$0", type=FLOAT_VECTOR, values=[
            struct.pack(f"<{len(near)}f", *near)])
        request = milvus_pb2.SearchRequest(
            collection_name=name, dsl=expr, dsl_type=1, nq=1, output_fields=["ver"],
            placeholder_group=common_pb2.PlaceholderGroup(
                placeholders=[value]).SerializeToString())
        for key, text in (("anns_field", "v"), ("topk", str(LIMIT)), ("metric_type", "L2"),
                          ("params", '{"nprobe": 16}'), ("round_decimal", "-1")):
            request.search_params.add(key=key, value=text)
        self.level(request, level, 0)
        found = self.ask("Search", request).results
        vers = next((f.scalars.long_data.data for f in found.fields_data
                     if f.field_name == "ver"), [])
        return [list(row) for row in zip(found.ids.int_id.data, vers, found.scores)]


# --- clients ---------------------------------------------------------------------------

class Client(threading.Thread):
    """Asks one thing after the other until it is over."""

    def __init__(self, load, name, number):
        super().__init__(name=name, daemon=True)
        self.load, self.number = load, number
        self.random = random.Random(f"{load.seed}/{name}")
        self.proxy = number % len(load.proxies)
        self.calls = Calls(load.proxies[self.proxy])
        self.pause = READ_EVERY_S

    def run(self):
        while not self.load.over.is_set():
            begun = time.monotonic()
            try:
                self.act()
            except Exception as why:                    # a mistake of ours: say so
                self.load.broken.append(f"{self.name}: {type(why).__name__}: {why}")
                return
            left = begun + self.pause * self.random.uniform(0.5, 1.5) - time.monotonic()
            self.load.over.wait(max(left, 0.005))

    def record(self, op, coll, ask, **more):
        """Ask, and write down what became of it; the record."""
        entry = {"id": next(self.load.ids), "client": self.name, "proxy": self.proxy, "op": op,
                 "coll": coll, **more, "t_inv": time.monotonic()}
        try:
            entry["result"] = ask()
            entry["outcome"] = "ok"
        except Refused as why:
            entry.update(outcome="unknown", error=str(why)[:300])
        except grpc.RpcError as why:
            refused = why.code() == grpc.StatusCode.UNAVAILABLE and \
                "failed to connect" in str(why.details()).lower()
            entry.update(outcome="fail" if refused else "unknown",
                         error=f"{why.code().name}: {why.details()}"[:300])
        entry["t_ret"] = time.monotonic()
        if entry["outcome"] == "unknown" and op not in chaos_check.WRITES:
            entry["outcome"] = "fail"
        self.load.history.append(entry)
        return entry


class Writer(Client):
    def __init__(self, load, name, number):
        super().__init__(load, name, number)
        self.pause = WRITE_EVERY_S
        first = (number + 1) * OWN
        self.fresh = {coll: itertools.count(first) for coll in COLLECTIONS}
        self.mine = {coll: set() for coll in COLLECTIONS}       # ours and not retired
        self.stamps = dict.fromkeys(COLLECTIONS, 0)

    def act(self):
        coll = self.random.choice(COLLECTIONS)
        mine = self.mine[coll]
        acts = {self.insert: 4 if len(mine) < MOST_OWN else 0, self.upsert_hot: 4,
                self.delete_hot: 1, self.upsert: 3 if mine else 0, self.delete: 2 if mine else 0,
                self.read_back: 2 if mine and self.stamps[coll] else 0}
        self.random.choices(list(acts), list(acts.values()))[0](coll)

    def write(self, op, coll, pks):
        pks, ver = sorted(pks), next(self.load.versions)
        done = self.record(op, coll, lambda: self.calls.write(op, coll, pks, ver),
                           pks=pks, ver=ver, wide=len(pks) >= WIDE)
        if done["outcome"] == "ok":
            self.stamps[coll] = max(self.stamps[coll], done["result"])
        return done

    def some(self, keys, sizes=(1, 3, 10, 20)):
        return self.random.sample(sorted(keys), min(len(keys), self.random.choice(sizes)))

    def insert(self, coll):
        pks = [next(self.fresh[coll]) for _ in range(self.random.choice([1, 5, 10, 30]))]
        self.load.tops[coll, self.number] = pks[-1]
        if self.write("insert", coll, pks)["outcome"] == "ok":
            self.mine[coll].update(pks)

    def upsert_hot(self, coll):
        self.write("upsert", coll, self.some(HOT, (1, 2, 8, 12)))

    def delete_hot(self, coll):
        self.write("delete", coll, self.some(HOT, (1, 2, 8)))

    def upsert(self, coll):
        self.write("upsert", coll, self.some(self.mine[coll]))

    def delete(self, coll):
        self.write("delete", coll, self.some(self.mine[coll]))

    def read_back(self, coll):
        pks = self.some(self.mine[coll])
        self.load.read_rows(self, "get", coll, pks, "Session", self.stamps[coll])


class Reader(Client):
    def __init__(self, load, name, number):
        super().__init__(load, name, number)
        self.level = ("Strong", "Strong", "Bounded", "Eventually")[number // 2 % 4]

    def act(self):
        coll = self.random.choice(COLLECTIONS)
        acts = {self.search: 4, self.query: 2, self.get: 2,
                self.count: 1 if self.level == "Strong" else 0}
        self.random.choices(list(acts), list(acts.values()))[0](coll)

    def search(self, coll):
        near = [self.random.randrange(256) / 8 for _ in range(chaos_check.DIM)]
        rest = self.random.choice([None, None, self.random.randrange(7)])
        expr = "" if rest is None else f"ver % 7 == {rest}"
        self.record("search", coll, lambda: self.calls.search(coll, near, self.level, expr),
                    level=self.level, near=near, rest=rest, limit=LIMIT, wide=True,
                    exact=self.load.exact)

    def query(self, coll):
        low = self.random.choice(HOT)
        self.load.read_rows(self, "query", coll, range(low, low + 16), self.level)

    def get(self, coll):
        writer = self.random.randrange(WRITERS)
        first, top = (writer + 1) * OWN, self.load.tops.get((coll, writer))
        own = range(first, top + 1) if top else HOT
        pks = self.random.sample(own, min(6, len(own))) + self.random.sample(HOT, 4)
        self.load.read_rows(self, "get", coll, sorted(set(pks)), self.level)

    def count(self, coll):
        self.record("count", coll, lambda: self.calls.count(coll), level=self.level, wide=True)


class Definer(Client):
    """Makes collections and drops them again."""

    def __init__(self, load, name, number):
        super().__init__(load, name, number)
        self.pause, self.there = DDL_EVERY_S, []

    def act(self):
        if len(self.there) < 2:
            name = f"brief_{next(self.load.ids)}"
            schema = schema_pb2.CollectionSchema(name=name)
            schema.fields.add(name="pk", data_type=INT64, is_primary_key=True)
            schema.fields.add(name="v", data_type=FLOAT_VECTOR).type_params.add(
                key="dim", value="4")
            self.record("ddl", name, lambda: self.calls.ask(
                "CreateCollection", milvus_pb2.CreateCollectionRequest(
                    collection_name=name, schema=schema.SerializeToString(), shards_num=1)) and 0,
                wide=True, there=True)
            self.there.append(name)
        else:
            name = self.there.pop(0)
            self.record("ddl", name, lambda: self.calls.ask(
                "DropCollection", milvus_pb2.DropCollectionRequest(collection_name=name)) and 0,
                wide=True, there=False)


class Load:
    """All clients, their history, and the look at everything when they are done."""

    def __init__(self, proxies, seed, replicas=1, index="FLAT"):
        self.proxies, self.seed = proxies, seed
        self.replicas, self.index, self.exact = replicas, index, index == "FLAT"
        self.history, self.broken = [], []
        self.over = threading.Event()
        self.ids, self.versions = itertools.count(1), itertools.count(1)
        self.tops = {}
        self.clients = []

    def prepare(self, patience=30):
        """Collections with their hot keys, loaded."""
        calls = Calls(self.proxies[0], patience)
        for name in COLLECTIONS:
            calls.create(name, self.index, self.replicas)
        end = time.monotonic() + patience
        while not all(calls.loaded(name) for name in COLLECTIONS):
            if time.monotonic() > end:
                raise Refused(f"the collections were not loaded within {patience} s")
            time.sleep(0.02)
        calls.close()
        first = Client(self, "first", 0)
        for name in COLLECTIONS:
            ver, pks = next(self.versions), list(HOT)
            done = first.record("insert", name, lambda: first.calls.write("insert", name, pks, ver),
                                pks=pks, ver=ver)
            if done["outcome"] != "ok":
                raise Refused(f"the first rows of {name}: {done['error']}")
        first.calls.close()

    def start(self):
        sys.setswitchinterval(0.001)                    # many threads that mostly wait
        self.clients = [Writer(self, f"writer-{n}", n) for n in range(WRITERS)] + \
            [Reader(self, f"reader-{n}", n) for n in range(READERS)] + \
            [Definer(self, "definer", WRITERS + READERS)]
        for client in self.clients:
            client.start()

    def stop(self):
        self.over.set()
        for client in self.clients:
            client.join(3 * REQUEST_S)
            client.calls.close()
            if client.is_alive():
                self.broken.append(f"{client.name} does not come back from its request")
        self.clients = []

    def read_rows(self, client, op, coll, pks, level, session=0):
        expr = f"pk >= {pks[0]} and pk <= {pks[-1]}" if isinstance(pks, range) else f"pk in {pks}"
        wrong = []

        def ask():
            rows, bad = client.calls.rows(coll, expr, level, session)
            wrong.extend(bad)
            return rows
        entry = client.record(op, coll, ask, pks=list(pks), level=level,
                              wide=len(pks) >= WIDE and op == "query")
        if wrong:
            entry["wrong"] = wrong

    def finish(self, patience=30):
        """Every row of each collection, by three roads; findings as texts.

        Answers may take a while to come right after a fault, but none may be wrong."""
        found = []
        last = Client(self, "last", 0)
        for coll in COLLECTIONS:
            pks = sorted({pk for op in self.history if op["coll"] == coll
                          and op["op"] in chaos_check.WRITES for pk in op["pks"]})
            every = range(pks[0], pks[-1] + 1)
            scan = self.insist(lambda: self.read_rows(last, "scan", coll, every, "Strong"),
                               patience)
            if scan["outcome"] != "ok":
                found.append(f"{coll}: nothing to be read within {patience} s: {scan['error']}")
                continue
            scan["pks"] = pks
            rows = len(scan["result"])
            counted = self.insist(lambda: last.record(
                "count", coll, lambda: last.calls.count(coll), level="Strong"), patience)
            walked = self.walk(coll)
            if not rows == counted.get("result") == walked:
                found.append(f"{coll}: a query finds {rows} rows, count(*) "
                             f"{counted.get('result')}, an iterator {walked}")
        found += self.definitions(last)
        last.calls.close()
        return found

    def insist(self, ask, patience):
        end = time.monotonic() + patience
        while True:
            ask()
            entry = self.history[-1]
            if entry["outcome"] == "ok" or time.monotonic() > end:
                return entry
            time.sleep(0.1)

    def walk(self, coll):
        client = MilvusClient(uri=f"http://{self.proxies[0]}")
        rows, pages = 0, client.query_iterator(coll, filter="pk >= 0", batch_size=100,
                                               output_fields=["pk"], consistency_level="Strong")
        while page := pages.next():
            rows += len(page)
        pages.close()
        client.close()
        return rows

    def definitions(self, last):
        """Collections that were made and not dropped are there; dropped ones are not."""
        names = set(last.calls.ask("ShowCollections",
                                   milvus_pb2.ShowCollectionsRequest()).collection_names)
        said = {}
        for op in self.history:
            if op["op"] == "ddl":
                said[op["coll"]] = None if op["outcome"] != "ok" else op["there"]
        # A create without an answer may come after its drop, which then found nothing.
        doubt = {op["coll"] for op in self.history if op["op"] == "ddl" and
                 op["outcome"] != "ok"}
        return [f"collection {name} is {'not there' if there else 'there again'}"
                for name, there in said.items()
                if name not in doubt and there != (name in names)]

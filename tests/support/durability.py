"""durability - writers, a killer, and a model that knows what was acknowledged.

A Ledger says for each key which versions a reader may see.  While a request is
on its way that is what was there before or what the request makes; once it is
answered, only the latter; and if the server dies first it stays both, until a
reader tells which one it became.  So after each kill every row must be one the
ledger allows: nothing lost, nothing back from the dead, no half of a request
(where a request goes to one channel), no key twice, and the bytes of each row
those of its version.

Writers own disjoint keys, so what is known of a key needs no order between
them.  They speak through raw stubs: a client that repeats a call by itself might
bring a write back after the restart.

The settings make everything happen often that can go wrong: segments seal at
some 50 KB, merges and garbage collection run all the time and keep nothing,
the log is cut a second or so behind its end.
"""
import random
import threading
import time
import zlib

import milvus_case      # before grpc: it keeps its hands off our children
import grpc
import servers
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

DIM = 16
T = 20
SETTINGS = {"dataCoord.segment.maxSize": 1, "dataCoord.segment.sealProportion": 0.05,
            "dataCoord.gc.interval": 1, "dataCoord.gc.dropTolerance": 0,
            "dataCoord.gc.missingTolerance": 5, "elanus.data.repeatTime": 200,
            "common.retentionDuration": 0, "dataNode.segment.syncPeriod": 1}
ABSENT = 0
RANGE = 300             # keys a writer owns
INT64, VARCHAR, FLOAT_VECTOR = 5, 21, 101


class Wrong(Exception):
    """The server's answer is not one that the ledger allows."""


class Refused(Exception):
    """An answer that says no; whether it was done is unknown."""


# --- what is known ------------------------------------------------------------------

class Ledger:
    """Which versions of each key a reader may see."""

    def __init__(self):
        self.may = {}               # key -> set of versions
        self.open = []              # (before, after) of requests without an answer

    def sure(self, key):
        """The version of a key, or None when two are possible."""
        versions = self.may.get(key, {ABSENT})
        return next(iter(versions)) if len(versions) == 1 else None

    def send(self, after):
        """A request goes out that makes `after`: {key: set of versions}.  Answered by done()."""
        before = {key: self.may.get(key, {ABSENT}) for key in after}
        for key, versions in after.items():
            self.may[key] = before[key] | versions
        self.open.append((before, after))
        return self.open[-1]

    def done(self, sent):
        self.open.remove(sent)
        self.may.update(sent[1])

    def settle(self, seen, whole_requests):
        """What is wrong with the versions a reader saw ({key: version}); then they are sure."""
        bad = []
        for key in sorted(set(self.may) | set(seen), key=str):
            allowed, found = self.may.get(key, {ABSENT}), seen.get(key, ABSENT)
            if found not in allowed:
                bad.append(f"key {key!r}: version {found} instead of "
                           f"{' or '.join(map(str, sorted(allowed)))}  (0: absent)")
        for before, after in self.open if whole_requests else ():
            ways = [all(seen.get(k, ABSENT) in side[k] for k in after) for side in (before, after)]
            if not any(ways):
                bad.append("half of a request: " + ", ".join(
                    f"{k!r}: {seen.get(k, ABSENT)}" for k in list(after)[:20]))
        self.open = []
        self.may = {key: {seen.get(key, ABSENT)} for key in set(self.may) | set(seen)}
        return bad


def content(key, version):
    """The fields of a version: (note, vector); exact in float."""
    seed = zlib.crc32(f"{key}/{version}".encode())
    note = f"{seed:08x}" * (seed % 24)
    return note, [float((seed >> (d % 24)) % 1024) / 8 + d for d in range(DIM)]


def examine(ledger, rows, scanned, count, whole_requests):
    """What is wrong with what a reader got: rows of (key, version, note, vector) from one
    query, keys from an iterator, and count(*)."""
    bad, seen = [], {}
    for key, version, note, vector in rows:
        if key in seen:
            bad.append(f"key {key!r} is there twice: versions {seen[key]} and {version}")
        seen[key] = version
        if (note, list(vector)) != content(key, version):
            bad.append(f"key {key!r}: not the bytes of version {version}")
    if count != len(seen):
        bad.append(f"count(*) is {count}, a query finds {len(seen)} keys")
    if sorted(scanned, key=str) != sorted(seen, key=str):
        bad.append(f"an iterator finds {len(scanned)} keys, a query {len(seen)}; different: "
                   f"{sorted(set(scanned) ^ set(seen), key=str)[:10]}")
    return bad + ledger.settle(seen, whole_requests)


# --- one server and the calls it is asked ----------------------------------------------

class Calls:
    """The calls that matter, each sent once.  Refused: the server said no."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=[
            *milvus_case.UNLIMITED, ("grpc.enable_retries", 0)])
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def ask(self, method, request, timeout=T):
        answer = getattr(self.stub, method)(request, timeout=timeout)
        status = answer if isinstance(answer, common_pb2.Status) else answer.status
        if status.code or status.error_code:
            raise Refused(f"{method}: {status.code} {status.reason}")
        return answer

    def create(self, table, partitions=()):
        schema = schema_pb2.CollectionSchema(name=table.name)
        key = schema.fields.add(name="pk", data_type=VARCHAR if table.text else INT64,
                                is_primary_key=True)
        if table.text:
            key.type_params.add(key="max_length", value="32")
        schema.fields.add(name="n", data_type=INT64)
        schema.fields.add(name="note", data_type=VARCHAR).type_params.add(
            key="max_length", value="1000")
        schema.fields.add(name="v", data_type=FLOAT_VECTOR).type_params.add(
            key="dim", value=str(DIM))
        self.ask("CreateCollection", milvus_pb2.CreateCollectionRequest(
            collection_name=table.name, schema=schema.SerializeToString(),
            shards_num=table.shards, consistency_level=0))
        for partition in partitions:
            self.ask("CreatePartition", milvus_pb2.CreatePartitionRequest(
                collection_name=table.name, partition_name=partition))
        index = milvus_pb2.CreateIndexRequest(collection_name=table.name, field_name="v")
        index.extra_params.add(key="index_type", value="FLAT")
        index.extra_params.add(key="metric_type", value="L2")
        self.ask("CreateIndex", index)
        self.ask("LoadCollection", milvus_pb2.LoadCollectionRequest(collection_name=table.name))
        end = time.monotonic() + T
        while self.stub.GetLoadState(milvus_pb2.GetLoadStateRequest(
                collection_name=table.name), timeout=T).state != 3:
            if time.monotonic() > end:
                raise Wrong(f"{table.name} was not loaded within {T} s")
            time.sleep(0.01)

    def write(self, table, method, rows, partition):
        """Insert or Upsert of {key: version}."""
        request = {"Insert": milvus_pb2.InsertRequest, "Upsert": milvus_pb2.UpsertRequest}[method](
            collection_name=table.name, partition_name=partition, num_rows=len(rows))
        keys = request.fields_data.add(field_name="pk", type=VARCHAR if table.text else INT64)
        (keys.scalars.string_data if table.text else keys.scalars.long_data).data.extend(rows)
        request.fields_data.add(field_name="n", type=INT64).scalars.long_data.data.extend(
            rows.values())
        parts = [content(key, version) for key, version in rows.items()]
        request.fields_data.add(field_name="note", type=VARCHAR).scalars.string_data.data.extend(
            note for note, _ in parts)
        vectors = request.fields_data.add(field_name="v", type=FLOAT_VECTOR).vectors
        vectors.dim = DIM
        vectors.float_vector.data.extend(x for _, vector in parts for x in vector)
        self.ask(method, request)

    def delete(self, table, filter, partition=""):
        self.ask("Delete", milvus_pb2.DeleteRequest(
            collection_name=table.name, partition_name=partition, expr=filter))

    def query(self, table, filter, fields=("pk", "n", "note", "v")):
        """Rows as tuples of the fields."""
        found = self.ask("Query", milvus_pb2.QueryRequest(
            collection_name=table.name, expr=filter, output_fields=fields, consistency_level=0))
        columns = {f.field_name: self.values(f) for f in found.fields_data}
        return list(zip(*(columns[name] for name in fields)))

    @staticmethod
    def values(column):
        if column.type == FLOAT_VECTOR:
            flat, dim = list(column.vectors.float_vector.data), column.vectors.dim
            return [flat[i:i + dim] for i in range(0, len(flat), dim)]
        data = column.scalars.WhichOneof("data")
        return list(getattr(column.scalars, data).data)

    def has(self, name):
        return self.ask("HasCollection", milvus_pb2.HasCollectionRequest(
            collection_name=name)).value


class Table:
    """A collection with two partitions and a ledger of its rows."""

    def __init__(self, name, text, shards):
        self.name, self.text, self.shards = name, text, shards
        self.ledger, self.lock = Ledger(), threading.Lock()

    def key(self, number):
        return f"key {number:05d}" if self.text else number

    @staticmethod
    def partition(number):
        """A key lives in one partition for good; the other has its neighbours."""
        return "_default" if number % 2 else "p"

    def between(self, low, high):
        if self.text:
            return f'pk >= "{self.key(low)}" and pk < "{self.key(high)}"'
        return f"pk >= {low} and pk < {high}"

    def listed(self, keys):
        return "pk in [" + ", ".join(f'"{k}"' if self.text else str(k) for k in keys) + "]"


# --- who writes -------------------------------------------------------------------------

class Worker(threading.Thread):
    """Acts until the server is gone.  `trouble` is what a healthy server would not do."""

    def __init__(self, calls, seed, over):
        super().__init__(daemon=True)
        self.calls, self.random, self.over = calls, random.Random(seed), over
        self.trouble, self.done, self.refused = None, 0, []

    def run(self):
        while not self.over.is_set():
            try:
                self.act()
                self.done += 1
            except Refused as why:
                self.refused.append(str(why))
                time.sleep(0.01)
            except grpc.RpcError as why:
                if not self.over.is_set() and why.code() != grpc.StatusCode.UNAVAILABLE:
                    self.trouble = f"{type(self).__name__}: {why.code()}: {why.details()}"
                return
            except Wrong as why:
                self.trouble = str(why)
                return


class Writer(Worker):
    """Inserts, upserts and deletes keys of its own range of a table, and reads them back."""

    def __init__(self, calls, seed, over, table, number, versions):
        super().__init__(calls, seed, over)
        self.table, self.low, self.versions = table, number * RANGE, versions

    def act(self):
        acts = {self.insert: 5, self.upsert: 5, self.delete: 3, self.delete_where: 1,
                self.read: 2}
        self.random.choices(list(acts), list(acts.values()))[0]()

    def pick(self, wanted):
        """Some of our keys in one partition for which wanted(sure version)."""
        side, ledger = self.random.randint(0, 1), self.table.ledger
        with self.table.lock:
            fit = [n for n in range(self.low + side, self.low + RANGE, 2)
                   if wanted(ledger.sure(self.table.key(n)))]
        chosen = self.random.sample(fit, min(len(fit), self.random.choice([1, 3, 10, 40])))
        return [self.table.key(n) for n in sorted(chosen)], self.table.partition(side)

    def send(self, after, call):
        with self.table.lock:
            sent = self.table.ledger.send(after)
        call()
        with self.table.lock:
            self.table.ledger.done(sent)

    def write(self, method, keys, partition):
        if keys:
            rows = {key: next(self.versions) for key in keys}
            self.send({k: {v} for k, v in rows.items()},
                      lambda: self.calls.write(self.table, method, rows, partition))

    def insert(self):
        self.write("Insert", *self.pick(lambda version: version == ABSENT))

    def upsert(self):
        self.write("Upsert", *self.pick(lambda version: True))

    def delete(self):
        keys, partition = self.pick(lambda version: version != ABSENT)
        if keys:
            self.send({key: {ABSENT} for key in keys},
                      lambda: self.calls.delete(self.table, self.table.listed(keys),
                                                self.random.choice(["", partition])))

    def delete_where(self):
        """By an expression over versions, so that the server has to look for the keys."""
        rest = self.random.randint(0, 6)
        low = self.low + self.random.randint(0, RANGE)
        high = min(low + 60, self.low + RANGE)
        with self.table.lock:
            may = {k: self.table.ledger.may.get(k, {ABSENT})
                   for k in map(self.table.key, range(low, high))}
        after = {k: {ABSENT if v % 7 == rest else v for v in versions}
                 for k, versions in may.items() if any(v and v % 7 == rest for v in versions)}
        if after:
            self.send(after, lambda: self.calls.delete(
                self.table, f"{self.table.between(low, high)} and n % 7 == {rest}"))

    def read(self):
        """Our own rows, which nobody else changes, are what we know they are."""
        rows = self.calls.query(self.table, self.table.between(self.low, self.low + RANGE),
                                ("pk", "n"))
        seen = dict(rows)
        if len(seen) != len(rows):
            raise Wrong(f"{self.table.name}: a key twice in {sorted(rows)}")
        with self.table.lock:
            for key in map(self.table.key, range(self.low, self.low + RANGE)):
                allowed = self.table.ledger.may.get(key, {ABSENT})
                if seen.get(key, ABSENT) not in allowed:
                    raise Wrong(f"{self.table.name}, before any kill: key {key!r} is version "
                                f"{seen.get(key, ABSENT)} instead of {allowed}")


class Mover(Worker):
    """Flushes and compacts, as often as it can."""

    def __init__(self, calls, seed, over, tables):
        super().__init__(calls, seed, over)
        self.tables = tables

    def act(self):
        table = self.random.choice(self.tables)
        time.sleep(self.random.random() * 0.1)
        if self.random.random() < 0.7:
            self.calls.ask("Flush", milvus_pb2.FlushRequest(collection_names=[table.name]))
            return
        found = self.calls.ask("DescribeCollection", milvus_pb2.DescribeCollectionRequest(
            collection_name=table.name))
        self.calls.ask("ManualCompaction", milvus_pb2.ManualCompactionRequest(
            collectionID=found.collectionID))


class Dropper(Worker):
    """Makes a collection, fills it, drops a partition, drops it; again and again.

    table.there is what must be so: True, False, or None when a call to change it
    was not answered."""

    def __init__(self, calls, seed, over, table, versions):
        super().__init__(calls, seed, over)
        self.table, self.versions = table, versions

    def act(self):
        table, ask = self.table, self.calls.ask
        if table.there is not False:
            self.drop()
        table.there = None
        self.calls.create(table, ["p"])
        table.there = True
        for partition in ("p", "_default"):
            rows = {n: next(self.versions) for n in range(1000)
                    if table.partition(n) == partition and self.random.random() < 0.05}
            if not rows:
                continue
            sent = table.ledger.send({k: {v} for k, v in rows.items()})
            self.calls.write(table, "Insert", rows, partition)
            table.ledger.done(sent)
        if self.random.random() < 0.5:
            ask("Flush", milvus_pb2.FlushRequest(collection_names=[table.name]))
        if self.random.random() < 0.5:
            self.drop_partition()
        self.compare()
        if self.random.random() < 0.8:
            self.drop()

    def drop(self):
        table = self.table
        table.there = None
        self.calls.ask("DropCollection", milvus_pb2.DropCollectionRequest(
            collection_name=table.name))
        table.there, table.ledger = False, Ledger()

    def drop_partition(self):
        table = self.table
        gone = {k: {ABSENT} for k in list(table.ledger.may) if table.partition(k) == "p"}
        sent = table.ledger.send(gone)          # a released partition shows no rows either
        self.calls.ask("ReleasePartitions", milvus_pb2.ReleasePartitionsRequest(
            collection_name=table.name, partition_names=["p"]))
        self.calls.ask("DropPartition", milvus_pb2.DropPartitionRequest(
            collection_name=table.name, partition_name="p"))
        table.ledger.done(sent)

    def compare(self):
        rows = self.calls.query(self.table, "pk >= 0")
        bad = examine(self.table.ledger, rows, [r[0] for r in rows], len(rows), False)
        if bad:
            raise Wrong(f"{self.table.name}, before any kill: " + "\n".join(bad[:10]))


# --- the loop ---------------------------------------------------------------------------

class Run:
    """A server that is killed again and again, and what has to be true after each."""

    def __init__(self, place, seed, binary=None, say=print):
        self.random = random.Random(seed)
        self.seed, self.say = seed, say
        flags = servers.standalone_flags(place.path("data"))
        for key, value in SETTINGS.items():
            flags += [f"--{key}", value]
        self.daemon = servers.Daemon(place, "standalone", flags)
        if binary:
            self.daemon.command[0] = binary
        place.processes.append(self.daemon)
        self.tables = [Table("numbers", False, 2), Table("texts", True, 1)]
        self.victim = Table("victim", False, 1)
        self.victim.there = False
        self.versions = self._count()
        self.worst_ready_s, self.writes, self.refusals = 0.0, 0, []

    @staticmethod
    def _count():
        number = 0
        while True:
            number += 1
            yield number

    def start(self):
        """Start it, and wait until it answers a Strong read of every table."""
        begin = time.monotonic()
        self.daemon.start()
        self.daemon.ready()
        self.calls = Calls(self.daemon.grpc)
        return begin

    def first(self):
        self.start()
        for table in self.tables:
            self.calls.create(table, ["p"])

    def until_readable(self, begin):
        for table in self.tables:
            while True:
                try:
                    self.calls.query(table, "", ("count(*)",))
                    break
                except (Refused, grpc.RpcError) as why:
                    if time.monotonic() - begin > 5 * servers.patience():
                        raise Wrong(f"{table.name} cannot be read 5 s after the start: {why}")
                    time.sleep(0.01)
        self.worst_ready_s = max(self.worst_ready_s, time.monotonic() - begin)

    def load(self, seconds):
        """Everybody writes for so long; then it is killed while they do."""
        over = threading.Event()
        seeds = [self.random.random() for _ in range(6)]
        workers = [Writer(self.calls, seeds[0], over, self.tables[0], 0, self.versions),
                   Writer(self.calls, seeds[1], over, self.tables[0], 1, self.versions),
                   Writer(self.calls, seeds[2], over, self.tables[1], 0, self.versions),
                   Writer(self.calls, seeds[3], over, self.tables[1], 1, self.versions),
                   Mover(self.calls, seeds[4], over, self.tables),
                   Dropper(self.calls, seeds[5], over, self.victim, self.versions)]
        for worker in workers:
            worker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(w.trouble for w in workers) \
                and self.daemon.alive():
            time.sleep(0.002)
        alive = self.daemon.alive()
        over.set()
        self.daemon.kill()
        for worker in workers:
            worker.join(T + 10)
            if worker.is_alive():
                raise Wrong(f"{type(worker).__name__} got no answer from a dead server")
        self.calls.close()
        self.writes += sum(w.done for w in workers if isinstance(w, Writer))
        self.refusals += [r for w in workers for r in w.refused]
        if not alive:
            raise Wrong(f"the server ended by itself\n{self.daemon.last_words(40)}")
        trouble = [w.trouble for w in workers if w.trouble]
        if trouble:
            raise Wrong("\n".join(trouble))

    def check(self):
        """Every table, by query, by iterator and by count; and the one that comes and goes."""
        client = milvus_case.MilvusClient(uri=f"http://{self.daemon.grpc}")
        try:
            bad = [f"{t.name}: {b}" for t in self.tables for b in self._check(client, t)]
        finally:
            client.close()
        there = self.calls.has(self.victim.name)
        if self.victim.there not in (None, there):
            bad.append(f"victim: {'there' if there else 'not there'}, and that is not what "
                       "was answered")
        elif there and self.victim.there:
            bad += [f"victim: {b}" for b in self._check_victim()]
        else:
            self.victim.ledger = Ledger()       # half made, or gone
            self.victim.there = there
        if bad:
            raise Wrong("\n".join(bad[:20] + [f"({len(bad)} findings)"]))

    def _check(self, client, table):
        everything = 'pk >= ""' if table.text else "pk >= 0"
        rows = self.calls.query(table, everything)
        count = self.calls.query(table, "", ("count(*)",))[0][0]
        scanned, pages = [], client.query_iterator(
            table.name, filter=everything, batch_size=100, output_fields=["pk"],
            consistency_level="Strong")
        while True:
            page = pages.next()
            if not page:
                break
            scanned += [row["pk"] for row in page]
        pages.close()
        return examine(table.ledger, rows, scanned, count, table.shards == 1)

    def _check_victim(self):
        try:
            rows = self.calls.query(self.victim, "pk >= 0")
        except Refused as why:
            return [str(why)]
        return examine(self.victim.ledger, rows, [r[0] for r in rows], len(rows), False)

    def rounds(self, count):
        """Kill it so many times.  Wrong: the first thing that was not as it ought to be."""
        number = 0
        self.first()
        try:
            for number in range(1, count + 1):
                seconds = self.random.choice([0.05, 0.2, 0.5, 1.0]) * (0.5 + self.random.random())
                self.load(seconds)
                begin = self.start()
                self.until_readable(begin)
                self.check()
                if number % 10 == 0 or number == count:
                    rows = sum(v != {ABSENT} for t in self.tables for v in t.ledger.may.values())
                    self.say(f"note: {number} kills, {self.writes} acts of writers, {rows} rows, "
                             f"readable after {self.worst_ready_s:.2f} s at worst, "
                             f"{len(self.refusals)} refusals")
        except (Wrong, servers.Failure) as why:
            raise Wrong(f"seed {self.seed}, kill {number}: {why}") from why

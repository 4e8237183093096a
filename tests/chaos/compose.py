"""compose - docker-compose.yml as a person uses it: up, load, kill each service during traffic.

    make compose-test [ROWS=100000]

Brings the cluster up under a project name and volumes of its own, loads ROWS vectors by
pymilvus, then, while one client inserts and another searches, kills every service, starts it
again, pauses and unpauses a data node and scales the query nodes to three.  After each it waits
until writes and reads work, and at the end every acknowledged row must be there.  Where no
Docker engine answers it says why it skips (exit status 0).
"""
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from pymilvus import DataType, MilvusClient  # noqa: E402

logging.disable(logging.CRITICAL)   # pymilvus prints a traceback for every failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROJECT = "elanus-test"
PROXIES = ["http://127.0.0.1:19530", "http://127.0.0.1:19531"]
NAME, DIM, BATCH = "compose", 64, 5000
DOWN_S = 3                  # a killed service stays away for so long
RECOVER_S = 60              # most time until everything works again
# A kill takes all containers of a service, so for these nobody is left meanwhile.
SERVICES = ["querynode", "datanode", "indexnode", "coord", "coord-standby", "proxy", "proxy-2",
            "etcd", "minio"]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


def compose(*words, check=True):
    done = subprocess.run(["docker", "compose", "-p", PROJECT, *words], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(f"docker compose {' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def look_for_docker():
    if not shutil.which("docker"):
        skip("there is no docker command; install Docker and its compose plugin")
    engine = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], text=True,
                            capture_output=True, check=False)
    if engine.returncode != 0:
        skip(f"no Docker engine answers: {engine.stderr.strip().splitlines()[-1]}")
    plugin = subprocess.run(["docker", "compose", "version", "--short"], text=True,
                            capture_output=True, check=False)
    if plugin.returncode != 0:
        skip("the docker command has no `compose`; install the compose plugin")
    print(f"docker {engine.stdout.strip()}, compose {plugin.stdout.strip()}")


def vector(rng):
    return [rng.random() for _ in range(DIM)]


class Client:
    """One connection, to the proxy that answers."""

    def __init__(self):
        self.at, self.client = 0, None

    def call(self, verb, *args, **kwargs):
        try:
            if self.client is None:
                self.client = MilvusClient(uri=PROXIES[self.at], timeout=5)
            return getattr(self.client, verb)(NAME, *args, timeout=5, **kwargs)
        except Exception:
            self.drop()
            self.at = 1 - self.at
            raise

    def drop(self):
        client, self.client = self.client, None
        if client:
            try:
                client.close()
            except Exception:       # a broken connection is thrown away, however it breaks
                pass


class Traffic(threading.Thread):
    """Repeats one act; notes successes, failures and the longest time without a success."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.client, self.ended = act, Client(), False
        self.lock = threading.Lock()
        self.last_error, self.rows = "", 0
        self.clear()

    def clear(self):
        with self.lock:
            self.good = self.bad = 0
            self.gap, self.last = 0.0, time.monotonic()

    def run(self):
        while not self.ended:
            try:
                self.act(self)
                with self.lock:
                    now = time.monotonic()
                    self.good += 1
                    self.gap, self.last = max(self.gap, now - self.last), now
            except Exception as error:      # whatever a client sees counts as a failure
                with self.lock:
                    self.bad += 1
                    self.last_error = " ".join(str(error).split())[:160]
                time.sleep(0.05)
            time.sleep(0.01)
        self.client.drop()

    def works(self, since):
        with self.lock:
            return self.last > since and self.good > 0

    def summary(self):
        with self.lock:
            return f"{self.good:5} ok {self.bad:4} failed, longest gap {self.gap:5.1f} s"


def make_writer(first):
    rng = random.Random(7)

    def act(self):
        # The same key again until it is acknowledged: an upsert, because the first may be there.
        self.client.call("upsert", [{"id": first + self.rows, "v": vector(rng)}])
        self.rows += 1
    return Traffic(act)


def make_reader():
    rng = random.Random(8)

    def act(self):
        hits = self.client.call("search", [vector(rng)], limit=5)
        if len(hits[0]) != 5:
            raise AssertionError(f"{len(hits[0])} hits instead of 5")
    return Traffic(act)


def load(rows):
    client = MilvusClient(uri=PROXIES[0])
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index("v", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 64})
    client.create_collection(NAME, schema=schema, index_params=index, num_shards=2,
                             consistency_level="Strong")
    rng, begin = random.Random(6), time.monotonic()
    for at in range(0, rows, BATCH):
        client.insert(NAME, [{"id": i, "v": vector(rng)} for i in range(at, min(rows, at + BATCH))])
    client.flush(NAME)
    print(f"{rows} vectors loaded and flushed in {time.monotonic() - begin:.1f} s")
    client.close()


def recovered(traffic, since):
    """Seconds until every act succeeded again."""
    begin = time.monotonic()
    while not all(one.works(since) for one in traffic):
        if time.monotonic() - begin > RECOVER_S:
            why = "; ".join(one.last_error for one in traffic if not one.works(since))
            raise SystemExit(f"no recovery within {RECOVER_S} s: {why}")
        time.sleep(0.05)
    return time.monotonic() - begin


def trial(what, traffic, hurt, heal):
    for one in traffic:
        one.clear()
    hurt()
    time.sleep(DOWN_S)
    heal()
    back = recovered(traffic, time.monotonic())
    print(f"{what:24} works {back:5.1f} s after its return; writes {traffic[0].summary()}; "
          f"reads {traffic[1].summary()}", flush=True)


def check_rows(rows):
    client = MilvusClient(uri=PROXIES[0])
    counted = client.query(NAME, filter="", output_fields=["count(*)"])[0]["count(*)"]
    client.close()
    return counted


def healthy():
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    return [f"{s['Name']}: {s['State']} {s['Health']}" for s in states
            if s["State"] != "running" or s["Health"] not in ("healthy", "")]


def run(rows):
    begin = time.monotonic()
    compose("up", "-d", "--build", "--wait")
    print(f"up and healthy after {time.monotonic() - begin:.1f} s (image build included)")
    load(rows)
    writer, reader = make_writer(rows), make_reader()
    traffic = [writer, reader]
    for one in traffic:
        one.start()
    recovered(traffic, time.monotonic())
    for service in SERVICES:
        trial(f"kill {service}", traffic, lambda s=service: compose("kill", s),
              lambda s=service: compose("start", s))
    trial("pause datanode", traffic, lambda: compose("pause", "datanode"),
          lambda: compose("unpause", "datanode"))
    trial("--scale querynode=3", traffic,
          lambda: compose("up", "-d", "--no-recreate", "--scale", "querynode=3"), lambda: None)
    trial("stop querynode 3", traffic,
          lambda: compose("up", "-d", "--no-recreate", "--scale", "querynode=2"), lambda: None)
    for one in traffic:
        one.ended = True
    for one in traffic:
        one.join()
    counted = check_rows(rows)
    ill = healthy()
    print(f"{counted} rows, {rows + writer.rows} acknowledged; "
          f"{'every container is healthy' if not ill else ill}")
    # The last upsert may have arrived without its acknowledgement.
    return rows + writer.rows <= counted <= rows + writer.rows + 1 and not ill


def main():
    look_for_docker()
    running = subprocess.run(["docker", "ps", "-q", "-f", "name=milvus-etcd"], text=True,
                             capture_output=True, check=True).stdout
    if running:
        skip("a container milvus-etcd runs already; `docker compose down` there first")
    volumes = tempfile.mkdtemp(prefix="elanus-compose-")
    os.environ["DOCKER_VOLUME_DIRECTORY"] = volumes
    good = False
    try:
        good = run(int(os.environ.get("ROWS") or 100000))
    finally:
        if not good:
            print(compose("logs", "--tail", "40", check=False)[-20000:])
        compose("down", "-v", "--timeout", "5", check=False)
        shutil.rmtree(volumes, ignore_errors=True)
    print("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

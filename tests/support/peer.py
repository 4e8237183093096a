#!/usr/bin/env python3
"""peer - the real Milvus that Elanus is compared with.

scripts/peer.sh unpacks Milvus 2.3.5 as PyPI carries it: one binary with every
role, an etcd inside, RocksDB as the log and a directory as the object store.
It is started here with its own command, `milvus run standalone`, on ports
nobody else has and in a directory of its own.

    with servers.Workplace() as place:
        milvus = place.start(peer.Milvus(place))
        MilvusClient(uri=f"http://{milvus.grpc}")

As a program it starts one and waits, or runs e2e tests against it:

    tests/support/peer.py
    tests/support/peer.py 2.6.17 tests/e2e/test_write.py [NAME…]

What 2.3.5 has of what Elanus has: all scalar fields, arrays and JSON, dynamic
fields, partition keys, default values; FloatVector, BinaryVector,
Float16Vector, one vector field a collection; L2, IP, COSINE, HAMMING, JACCARD;
insert, delete by any expression, upsert; search with filter, range, offset,
group_by_field; query, count(*), iterators; flush, compaction, consistency
levels.  What it lacks: several vector fields and hybrid search, sparse, bfloat16
and int8 vectors, nullable fields, expression templates, row-wise REST upserts.
"""
import os
import re
import subprocess
import sys
import time

import servers


def directory():
    """Where Milvus is unpacked; servers.Missing when it cannot be had."""
    made = subprocess.run([os.path.join(servers.ROOT, "scripts", "peer.sh")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if made.returncode != 0:
        raise servers.Missing(made.stderr.strip().splitlines()[-1])
    return made.stdout.strip()


def environment_name(key):
    """The environment variable that Milvus reads for a configuration key."""
    return key.replace(".", "_").upper()


class Milvus(servers.Process):
    """Milvus 2.3.5, standalone.  kill() and start() keep its data and its ports."""

    def __init__(self, place, name="milvus", config=None):
        home = directory()
        self.data = place.path(name)
        self.port, self.http_port = servers.free_port(), servers.free_port()
        self.grpc, self.ops = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.http_port}"
        self._write_config(home)
        overrides = {environment_name(k): str(v) for k, v in (config or {}).items()}
        super().__init__(name, [os.path.join(home, "bin", "milvus"), "run", "standalone"],
                         cwd=self.data, env={
                             "LD_LIBRARY_PATH": os.path.join(home, "bin"),
                             "DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(self.http_port),
                             "MILVUS_RUN_DIR": os.path.join(self.data, "run"),
                             "ETCD_CONFIG_PATH": os.path.join(self.data, "configs", "etcd.yaml"),
                             **overrides})

    def _write_config(self, home):
        """The package's template with our ports and folders; every other value is its own."""
        for folder in ("configs", "logs", "data", "run"):
            os.makedirs(os.path.join(self.data, folder), exist_ok=True)
        etcd, etcd_peer = servers.free_port(), servers.free_port()
        values = {"etcd_port": etcd, "proxy_port": self.port, "etcd_log_level": "error",
                  "etcd_log_path": "stderr", "etcd_data_dir": self._path("etcd"),
                  "local_storage_dir": self._path("data"),
                  "rocksmq_data_dir": self._path("rocksmq"),
                  "system_log_path": self._path("logs")}

        def fill(match):
            key, kind, default = match.groups()
            if key not in values and kind and key.endswith("_port"):
                values[key] = servers.free_port()
            return str(values.get(key, default or ""))

        with open(os.path.join(home, "config.yaml.template"), encoding="utf-8") as f:
            text = re.sub(r"\{\{ *(\w+)(\(\w+\))?(?:: *(.*?))? *\}\}", fill, f.read())
        self._write("milvus.yaml", text)
        client, member = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{etcd_peer}"
        self._write("etcd.yaml", "\n".join([
            "name: peer", f"data-dir: {self._path('etcd')}", "log-level: error",
            f"listen-client-urls: {client}", f"advertise-client-urls: {client}",
            f"listen-peer-urls: {member}", f"initial-advertise-peer-urls: {member}",
            f"initial-cluster: peer={member}", ""]))
        with open(os.path.join(home, "glog.conf"), encoding="utf-8") as f:
            self._write("glog.conf", f.read())

    def _path(self, name):
        return os.path.join(self.data, name)

    def _write(self, name, text):
        with open(os.path.join(self.data, "configs", name), "w", encoding="utf-8") as f:
            f.write(text)

    def ready(self, seconds=120):
        servers.wait_for("Milvus's /healthz", seconds, self._healthy)
        self.ready_s = time.monotonic() - self.started
        return self

    def _healthy(self):
        if not self.alive():
            raise servers.Failure(f"milvus exited with {self.child.poll()}\n{self.last_words()}")
        status, text = servers.http(f"http://{self.ops}/healthz", timeout=2)
        return status == 200 and "OK" in text

    def stop(self):
        """It takes seconds to leave by itself, and nobody reads its data again."""
        if self.alive():
            self.kill()


def main(version="", *test):
    with servers.Workplace() as place:
        milvus = place.start(Milvus(place))
        print(f"milvus ready grpc={milvus.grpc} ops={milvus.ops}", flush=True)
        if not test:
            return milvus.child.wait()
        python = subprocess.run([os.path.join(servers.ROOT, "scripts", "venv.sh"), version],
                                stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        here = os.path.dirname(os.path.abspath(__file__))
        return subprocess.run(
            [python, os.path.join(here, "pytests.py"), *test], check=False,
            env=dict(os.environ, ELANUS_TEST_GRPC=milvus.grpc, ELANUS_TEST_OPS=milvus.ops,
                     ELANUS_TEST_DEPLOYMENT="peer", ELANUS_TEST_PYMILVUS=version)).returncode


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(*sys.argv[1:]))

"""servers - start, wait for, hurt and stop the processes that tests talk to.

Everything listens on 127.0.0.1, on ports nobody else has, in a
directory that the caller gives.  Each process dies with the one that started
it (PR_SET_PDEATHSIG), so a killed test run leaves nothing behind; start them
from the main thread, because that signal follows the thread that forked.

    with servers.Workplace() as place:
        etcd = place.start(servers.Etcd(place))
        coord = place.start(servers.Daemon(place, "coord", ["--etcd.endpoints", etcd.address]))
        coord.kill()
"""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
S3_KEY = S3_SECRET = "minioadmin"
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """A process did not do what it was started for; the text has its last words."""


class Missing(Exception):
    """Something outside the project is not installed: a reason to skip."""


def mode():
    return os.environ.get("ELANUS_MODE", "release")


def patience():
    """How much longer than a release build a process may take."""
    return {"release": 1, "debug": 2}.get(mode(), 5)


def binary(name):
    where = "build/bin" if mode() == "release" else f"build/{mode()}/bin"
    return os.path.join(ROOT, where, name)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("ELANUS_CACHE") or os.path.join(base, "elanus")


def find_tool(name):
    """A program on PATH or in the cache that scripts/deps.sh fills; None when in neither."""
    path = os.path.join(cache_dir(), "bin", name)
    return shutil.which(name) or (path if os.access(path, os.X_OK) else None)


_handed_out = set()


def free_port():
    """A port nobody listens on now, never the same twice from one process.

    For servers that cannot be told to take port 0.  It lies below the range
    from which the kernel gives ports to outgoing connections, so none of those
    takes it before the server does."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        top = max(int(f.read().split()[0]), 20000)
    while True:
        port = random.randrange(10000, top)
        if port in _handed_out:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port


def wait_for(what, seconds, question, pause=0.02):
    """Ask until the answer is true, and return it.  Failure names what never came."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(pause)


def http(url, data=None, headers=None, timeout=5):
    """(status, body text) of one request; (0, reason) when nobody answers."""
    body = json.dumps(data).encode() if isinstance(data, (dict, list)) else data
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode("utf-8", "replace")
    except OSError as e:
        return 0, str(e)


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child: its command, its output kept line by line, and ways to end it."""

    def __init__(self, name, command, env=None, cwd=None):
        self.name = name
        self.command = [str(c) for c in command]
        self.env = dict(os.environ, **(env or {}))
        self.cwd = cwd
        self.child = None
        self.lines = []
        self.arrived = threading.Condition()

    def ready(self):
        """Return once it serves; for those that have a way to tell."""

    def start(self):
        self.started = time.monotonic()
        self.child = subprocess.Popen(
            self.command, env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
        self.lines = []
        self.readers = [threading.Thread(target=self._read, args=(pipe, which), daemon=True)
                        for pipe, which in ((self.child.stdout, "out"), (self.child.stderr, "err"))]
        for reader in self.readers:
            reader.start()
        return self

    def _read(self, pipe, which):
        for raw in pipe:
            with self.arrived:
                self.lines.append((which, raw.decode("utf-8", "replace").rstrip("\n")))
                self.arrived.notify_all()
        pipe.close()
        with self.arrived:
            self.arrived.notify_all()

    def output(self, which=None):
        with self.arrived:
            return [text for w, text in self.lines if which in (None, w)]

    def alive(self):
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self):
        return self.child.pid

    def wait_line(self, pattern, seconds, which=None, after=0):
        """The match of the first line, from number `after` on, that has the pattern."""
        wanted = re.compile(pattern)
        end = time.monotonic() + seconds * patience()
        with self.arrived:
            while True:
                for w, text in self.lines[after:]:
                    found = wanted.search(text) if which in (None, w) else None
                    if found:
                        return found
                gone = not any(r.is_alive() for r in self.readers)
                left = end - time.monotonic()
                if gone or left <= 0:
                    break
                self.arrived.wait(min(left, 0.2))
        why = f"exited with {self.child.poll()}" if gone else f"not within {seconds} s"
        raise Failure(f"{self.name}: no line like {pattern!r}, {why}\n{self.last_words()}")

    def last_words(self, count=20):
        return "\n".join(f"    {self.name}| {text}" for text in self.output()[-count:])

    def wait(self, seconds=10):
        """Exit status; negative is the signal that ended it."""
        try:
            status = self.child.wait(seconds * patience())
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}: still running after {seconds} s\n{self.last_words()}")
        for reader in self.readers:
            reader.join(5)
        return status

    def signal(self, number):
        if self.alive():
            self.child.send_signal(number)

    def kill(self):
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def term(self, seconds=10):
        """Ask it to leave; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def pause(self):
        """SIGSTOP, and wait until it really stands still."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        """End it however it takes; for the end of a test."""
        if not self.alive():
            return
        self.resume()
        try:
            self.term(5)
        except Failure:
            self.kill()

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        """User and system time of all its threads, from the scheduler's nanoseconds."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9


class Etcd(Process):
    """A real etcd of one member.  kill() and start() keep its data and its port."""

    def __init__(self, place, name="etcd"):
        program = find_tool("etcd")
        if not program:
            raise Missing("etcd is not installed (apt-get install etcd-server)")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        client, peer = f"http://{self.address}", f"http://127.0.0.1:{free_port()}"
        super().__init__(name, [
            program, "--name", "n1", "--data-dir", place.path(name), "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"n1={peer}"])

    def ready(self):
        wait_for("etcd's /health", 20, lambda: self._healthy())

    def _healthy(self):
        if not self.alive():
            raise Failure(f"etcd exited with {self.child.poll()}\n{self.last_words()}")
        return http(f"http://{self.address}/health", timeout=1)[0] == 200


class S3(Process):
    """A real S3 server: MinIO, or SeaweedFS where MinIO cannot be had.

    ELANUS_TEST_S3_KIND=minio|weed insists on one of them."""

    def __init__(self, place, name="s3"):
        wanted = os.environ.get("ELANUS_TEST_S3_KIND")
        kinds = [wanted] if wanted else ["minio", "weed"]
        self.kind = next((k for k in kinds if find_tool(k)), None)
        if not self.kind:
            raise Missing(f"no S3 server ({' or '.join(kinds)}): scripts/deps.sh tools gets one")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        data = place.path(name)
        os.makedirs(data, exist_ok=True)
        command = self._minio(data) if self.kind == "minio" else self._weed(data)
        super().__init__(name, command, env={
            "MINIO_ROOT_USER": S3_KEY, "MINIO_ROOT_PASSWORD": S3_SECRET, "MINIO_UPDATE": "off"})

    def _minio(self, data):
        self.probe = f"http://{self.address}/minio/health/live"
        return [find_tool("minio"), "server", "--address", self.address,
                "--console-address", f"127.0.0.1:{free_port()}", data]

    def _weed(self, data):
        """SeaweedFS listens in many places; each is named, so two sets never collide."""
        self.probe = f"http://{self.address}/status"
        identity = {"name": "root", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    "credentials": [{"accessKey": S3_KEY, "secretKey": S3_SECRET}]}
        with open(data + ".json", "w", encoding="utf-8") as f:
            json.dump({"identities": [identity]}, f)
        flags = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1",
                 "dir": data, "s3.config": data + ".json",
                 "master.telemetry": "false", "master.volumeSizeLimitMB": 256,
                 "volume.max": 0, "volume.preStopSeconds": 0, "s3.port": self.port,
                 "s3.port.iceberg": 0, "s3.port.lance": 0, "metricsPort": free_port()}
        for part in ("master", "volume", "filer"):
            flags[f"{part}.port"] = free_port()
        for part in ("master", "volume", "filer", "s3"):
            flags[f"{part}.port.grpc"] = free_port()
        return ([find_tool("weed"), "server", "-s3"] +
                [f"-{key}={value}" for key, value in flags.items()])

    def ready(self):
        wait_for(f"{self.kind} at {self.address}", 60, lambda: self._healthy())

    def _healthy(self):
        if not self.alive():
            raise Failure(f"{self.kind} exited with {self.child.poll()}\n{self.last_words()}")
        return http(self.probe, timeout=1)[0] == 200


class Daemon(Process):
    """An Elanus process: role "coord", "proxy", … or "standalone".

    After ready(), grpc and ops hold the HOST:PORT of its ready line (None where
    the role has no such port)."""

    def __init__(self, place, role, flags=(), env=None, name=None):
        program = [binary("elanus"), role] if role == "standalone" else [binary(f"elanus-{role}")]
        if not os.path.exists(program[0]):
            raise Failure(f"{program[0]} is not built; run make")
        super().__init__(name or role, program + [str(f) for f in flags], env=env)
        self.role = role
        self.grpc = self.ops = None

    def ready(self, seconds=10):
        line = self.wait_line(r"^elanus(-\w+)? ready\b.*", seconds, which="out").group(0)
        self.ready_s = time.monotonic() - self.started
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        self.grpc, self.ops = fields.get("grpc"), fields.get("ops")
        return self

    def broke(self):
        """What a sanitizer or a failed check() had to say; None when nothing."""
        for text in self.output("err"):
            if re.search(r"Sanitizer:|runtime error:|fatal check_failed", text):
                return f"{self.name}: {text}\n{self.last_words(60)}"
        return None

    def metric(self, name):
        """The value of a metric without labels or summed over them; None when absent."""
        status, text = http(f"http://{self.ops}/metrics")
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)", text, re.M)
        return sum(map(float, found)) if status == 200 and found else None


def standalone_flags(data, port=0, ops_port=0):
    """Port 0: the kernel picks one, and the ready line tells it."""
    return ["--data", data, "--port", port, "--ops-port", ops_port]


class Cluster:
    """Separate daemons on a real etcd and S3: `roles` counts them by role."""

    ROLES = {"coord": 1, "datanode": 1, "querynode": 1, "indexnode": 1, "proxy": 1}

    def __init__(self, place, etcd, s3, roles=None, root="elanus"):
        self.place = place
        self.shared = ["--etcd.endpoints", etcd.address, "--etcd.rootPath", root,
                       "--minio.address", s3.address, "--minio.accessKeyID", S3_KEY,
                       "--minio.secretAccessKey", S3_SECRET, "--minio.bucketName", "elanus"]
        self.daemons = []
        self.counts = dict(self.ROLES, **(roles or {}))

    def daemon(self, role, extra=()):
        """One more daemon of this cluster, not started."""
        number = sum(d.role == role for d in self.daemons)
        name = f"{role}{number}"
        flags = ["--port", 0, "--ops-port", 0, "--elanus.data.dir", self.place.path(name)]
        made = Daemon(self.place, role, flags + self.shared + list(extra), name=name)
        self.daemons.append(made)
        return made

    def start(self):
        for role, count in self.counts.items():
            for _ in range(count):
                self.place.start(self.daemon(role))
        self.grpc = self.of("proxy")[0].grpc
        self.ops = self.of("proxy")[0].ops
        return self

    def of(self, role):
        return [d for d in self.daemons if d.role == role]


class Workplace:
    """A temporary directory and the processes in it; leaving it stops and removes all."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="elanus-test-")
        self.processes = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, process):
        self.processes.append(process)
        process.start()
        process.ready()
        return process

    def stores(self):
        """A real etcd and S3; who has none of them skips."""
        try:
            return self.start(Etcd(self)), self.start(S3(self))
        except Missing as why:
            raise unittest.SkipTest(str(why)) from None

    def close(self):
        """Stop everything.  Failure when a daemon broke, also while it was leaving."""
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        broken = [p.broke() for p in self.processes if isinstance(p, Daemon) and p.broke()]
        if broken:
            raise Failure("\n".join(broken))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

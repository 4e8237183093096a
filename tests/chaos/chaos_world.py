"""chaos_world - the cluster that is hurt: real daemons by `elanus up`, a real etcd and MinIO.

    with World(dir, plan) as world:
        world.kill("datanode-1")

Settings make everything happen often that can go wrong: segments seal at some
50 KB, merges and garbage collection run all the time and keep nothing.
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import servers

SETTINGS = {"dataCoord.segment.maxSize": 1, "dataCoord.segment.sealProportion": 0.05,
            "dataCoord.gc.interval": 1, "dataCoord.gc.dropTolerance": 5,
            "dataCoord.gc.missingTolerance": 30, "common.retentionDuration": 5,
            "dataNode.segment.syncPeriod": 1, "queryCoord.balanceIntervalSeconds": 2}
COUNTS = {"coords": 2, "datanodes": 2, "querynodes": 2, "indexnodes": 1, "proxies": 2}
START_S = 40
# Nodes tell others this address, where wires stand before their true one.
WIRED_IP = "127.0.0.9"
IP_KEYS = ("rootCoord.ip", "dataNode.ip", "queryNode.ip", "indexNode.ip", "proxy.ip")


def environment(settings):
    return {key.upper().replace(".", "_"): str(value) for key, value in settings.items()}


class Wires:
    """The process of chaos_wire, and orders to it."""

    def __init__(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos_wire.py")
        self.child = subprocess.Popen([sys.executable, "-B", program], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()

    def order(self, **what):
        with self.lock:
            self.child.stdin.write(json.dumps(what) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        answer = json.loads(line) if line else {"error": "the wires' process is gone"}
        if "error" in answer:
            raise servers.Failure(f"wires: {what}: {answer['error']}")
        return answer

    def put(self, name, kind, address, ip="127.0.0.1", port=0):
        """Where it listens."""
        host, to = address.rsplit(":", 1)
        port = self.order(open=name, kind=kind, listen=[ip, port], to=[host, int(to)])["port"]
        return f"{ip}:{port}"

    def close(self):
        self.child.kill()                       # it has nothing to finish
        self.child.wait()


class World:
    """etcd, MinIO and the daemons; `touched` are the names that a fault was done to.

    wired: which of "etcd", "s3", "nodes" are reached through wires."""

    def __init__(self, counts=None, settings=None, binary=None, wired=()):
        self.wired, self.wires, self.over = wired, None, threading.Event()
        self.rules, self.bad = set(), []
        self.place = servers.Workplace()
        self.counts = {**COUNTS, **(counts or {})}
        self.settings = {**SETTINGS, **(settings or {})}
        self.elanus = binary or servers.binary("elanus")
        self.touched = set()
        self.marks = {}                         # what was done when: "fault", "heal"

    def __enter__(self):
        self.etcd = self.place.start(servers.Etcd(self.place))
        self.s3 = self.place.start(servers.S3(self.place))
        self.etcd_address, self.s3_address = self.etcd.address, self.s3.address
        if self.wired:
            self.wires = Wires()
        if "etcd" in self.wired:
            self.etcd_address = self.wires.put("etcd", "raw", self.etcd.address)
        if "s3" in self.wired:
            self.s3_address = self.wires.put("s3", "s3", self.s3.address)
        return self

    def __exit__(self, *why):
        self.over.set()
        self.place.close()
        if self.wires:
            self.wires.close()

    def up(self):
        """Start the daemons; the proxies' addresses."""
        port = self.port_for(self.counts["proxies"])
        command = [self.elanus, "up", "--dir", self.place.path("cluster"), "--port", port,
                   "--etcd", self.etcd_address, "--s3", self.s3_address]
        for what, count in self.counts.items():
            command += [f"--{what}", count]
        if "nodes" in self.wired:
            self.settings.update(dict.fromkeys(IP_KEYS, WIRED_IP))
            threading.Thread(target=self.wire_nodes, daemon=True).start()
        self.daemons = servers.Process("elanus up", command, env=environment(self.settings))
        self.place.processes.append(self.daemons)
        self.daemons.start()
        line = self.daemons.wait_line(r"^elanus ready grpc=(\S+)", START_S)
        self.at_start = self.ps()
        self.proxies = line.group(1).split(",")
        return self.proxies

    @staticmethod
    def port_for(count):
        """The first of some free ports in a row."""
        while True:
            first = servers.free_port()
            if all(servers.http(f"http://127.0.0.1:{first + i}", timeout=0.2)[0] == 0
                   for i in range(count)):
                return first

    # --- wires ------------------------------------------------------------------------

    def wire_nodes(self):
        """A wire before each node, as soon as it tells its port; a node that starts again
        has another."""
        logs, known = os.path.join(self.place.path("cluster"), "logs"), set()
        while not self.over.wait(0.02):
            for file in os.listdir(logs) if os.path.isdir(logs) else ():
                for port in re.findall(rf" ready .*address=tcp://{WIRED_IP}:(\d+)",
                                       self.log(file[:-len(".log")])):
                    if port not in known:
                        known.add(port)
                        name = file[:-len(".log")]
                        self.wires.put(name, "zmtp", f"127.0.0.1:{port}", WIRED_IP, int(port))

    def rule(self, wire, what, *who):
        """Damage a wire, for some processes' connections or for all."""
        now = self.ps() if who else {}
        self.wires.order(rule=wire, what=what,
                         pids=[int(now[name][1]) for name in who] if who else None)
        self.rules.add(wire)

    def spoil(self, what, *who, wires):
        for wire in wires:
            self.rule(wire, what, *who)
        self.mark("fault")

    def mend(self):
        """All wires are good again."""
        for wire in sorted(self.rules):
            self.wires.order(rule=wire, what={}, pids=None)
        self.mark("heal")

    def injected(self):
        """{what: how often} over all wires that ever had a rule."""
        found = {}
        for wire in self.rules:
            for what, n in self.wires.order(stats=wire).items():
                found[what] = found.get(what, 0) + n
        return found

    def nodes(self, *roles):
        return [name for name in self.at_start if name.split("-")[0] in roles]

    # --- orders -----------------------------------------------------------------------

    def order(self, verb, name=None):
        done = subprocess.run([self.elanus, verb, "--dir", self.place.path("cluster"),
                               *([name] if name else [])], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise servers.Failure(f"elanus {verb} {name or ''}: {done.stdout}")
        return done.stdout

    def ps(self):
        """{name: (state, pid)}."""
        found = {}
        for line in self.order("ps").splitlines()[1:]:
            found[line[:14].strip()] = line[15:35].strip(), line[35:44].strip()
        return found

    def check(self, what, good):
        """Something that must be so while the fault lasts."""
        if not good:
            self.bad.append(what)

    def mark(self, what):
        self.marks[what] = time.monotonic()

    def kill(self, *names):
        self.touched.update(names)
        self.mark("fault")
        for name in names:
            self.store(name).kill() if self.store(name) else self.order("kill", name)

    def start(self, *names):
        """What was killed starts again, what was paused goes on."""
        for name in names:
            store = self.store(name)
            if not store:
                self.order("resume", name)
            elif store.alive():
                store.resume()
            else:
                store.start()
                store.ready()
        self.mark("heal")

    def leave(self, name):
        """As a supervisor ends a process: it may finish what it does."""
        self.touched.add(name)
        pid = int(self.ps()[name][1])
        os.kill(pid, signal.SIGTERM)
        servers.wait_for(f"{name} to leave", 20, lambda: self.ps()[name][1] == "-")

    def ready(self, *names):
        servers.wait_for(f"{names} to be ready", 20, lambda: all(
            self.ps()[name][0] == "ready" for name in names))

    def pause(self, *names):
        self.touched.update(names)
        self.mark("fault")
        for name in names:
            self.store(name).pause() if self.store(name) else self.order("pause", name)

    def store(self, name):
        return {"etcd": self.etcd, "s3": self.s3}.get(name)

    def log(self, name):
        with open(os.path.join(self.place.path("cluster"), "logs", name + ".log"),
                  encoding="utf-8", errors="replace") as f:
            return f.read()

    def leader(self):
        """The coord that leads: the last to say so."""
        said = {}
        for name in self.at_start:
            if name.startswith("coord"):
                for line in self.log(name).splitlines():
                    if " coord_leads " in line:
                        said[name] = line
        return sorted(said, key=said.get)[-1] if said else "coord-1"

    # --- what may not happen ----------------------------------------------------------------

    def untouched_dead(self):
        """Processes nobody hurt that are not what they were, and any that broke."""
        bad, now = list(self.bad), self.ps()
        for name, (_, pid) in self.at_start.items():
            state, pid_now = now.get(name, ("gone", "-"))
            if name not in self.touched and pid_now != pid:
                bad.append(f"{name}: {state}, nobody had touched it")
            for line in self.log(name).splitlines():
                if re.search(r"Sanitizer:|runtime error:|check_failed", line):
                    bad.append(f"{name}: {line[:200]}")
        for name, store in (("etcd", self.etcd), ("s3", self.s3)):
            if not store.alive():
                bad.append(f"{name} is gone")
        return bad

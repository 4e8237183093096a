"""test_start - how a process starts, refuses to start, and leaves.

Method: start the real program with one thing wrong at a time.  It must end by
itself with a documented exit code (docs/OPERATING.md), say on stderr in one
line what is wrong and what to do, print no ready line, and leave nothing
half-written behind: the same directory serves once the trouble is gone.
"""
import os
import re
import shutil
import socket
import subprocess
import unittest

import servers
from servers import Daemon, Workplace, standalone_flags

USAGE, NETWORK, META, STORE, LOCKED, DISK = 2, 3, 4, 5, 6, 7


class Starting(unittest.TestCase):
    def setUp(self):
        self.place = Workplace()
        self.addCleanup(self.place.close)
        self.data = self.place.path("data")

    def launch(self, role, flags, env=None, prefix=()):
        """Start without waiting for a ready line."""
        daemon = Daemon(self.place, role, flags, env=env)
        daemon.command[:0] = prefix
        self.place.processes.append(daemon)
        return daemon.start()

    def refused(self, daemon, status, *words, seconds=15):
        """The process ends with this status, and with one line that has all the words."""
        self.assertEqual(daemon.wait(seconds), status, daemon.last_words())
        self.assertEqual(daemon.output("out"), [])
        said = [text for text in daemon.output("err")
                if not re.search(r"^\S+Z (debug|info|warn) ", text)]
        self.assertEqual(len(said), 1, daemon.last_words())
        for word in words:
            self.assertIn(word, said[0])
        return said[0]

    def standalone(self, *extra, env=None):
        return self.launch("standalone", standalone_flags(self.data) + list(extra), env=env)

    def serves(self):
        """The data directory is good: standalone starts on it and answers."""
        daemon = self.standalone().ready()
        self.assertEqual(servers.http(f"http://{daemon.ops}/healthz"), (200, "OK"))
        return daemon

    # --- standalone ---------------------------------------------------------------

    def test_starts_serves_and_leaves(self):
        daemon = self.serves()
        self.assertEqual(len(daemon.output("out")), 1)
        self.assertEqual(daemon.term(), 0, daemon.last_words())
        self.assertEqual(self.serves().term(), 0)

    def test_starts_again_after_kill_9(self):
        for _ in range(3):
            self.serves().kill()
        self.serves()

    def test_sigint_leaves_too(self):
        daemon = self.serves()
        daemon.signal(2)
        self.assertEqual(daemon.wait(10), 0)

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for flags in (standalone_flags(self.data, port=port),
                          standalone_flags(self.data, ops_port=port)):
                with self.subTest(flags=flags):
                    self.refused(self.launch("standalone", flags), NETWORK, str(port), "in use")
        self.serves()

    def test_data_directory_of_another_process(self):
        first = self.serves()
        self.refused(self.standalone(), LOCKED, self.data)
        self.assertEqual(servers.http(f"http://{first.ops}/healthz"), (200, "OK"))

    def test_data_directory_that_cannot_be_made(self):
        with open(self.data, "w", encoding="ascii") as f:
            f.write("a file stands here")
        self.refused(self.standalone(), DISK, self.data)
        with open(self.data, encoding="ascii") as f:
            self.assertEqual(f.read(), "a file stands here")

    def full_disk(self, command, size):
        """The command in its own mount namespace, its data directory on a small tmpfs.
        The mount goes when the process goes."""
        os.makedirs(self.data, exist_ok=True)
        probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", self.data]
        if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
            self.skipTest("mount namespaces are not allowed here, so no small tmpfs")
        mount = f"mount -t tmpfs -o size={size} none '{self.data}' && exec \"$@\""
        return ["unshare", "-Urm", "sh", "-c", mount, "sh"], command

    def test_full_disk(self):
        prefix, flags = self.full_disk(standalone_flags(self.data), "16k")
        self.refused(self.launch("standalone", flags, prefix=prefix), DISK, self.data)

    # --- configuration ------------------------------------------------------------

    def config(self, text):
        path = self.place.path("elanus.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_config_typo(self):
        path = self.config("proxy:\n  prot: 19530\n")
        said = self.refused(self.standalone("--config", path), USAGE, path, ":2", "proxy.prot")
        self.assertIn("proxy.port", said)
        self.assertFalse(os.path.exists(self.data))

    def test_config_bad_value(self):
        path = self.config("proxy:\n  port: many\n")
        self.refused(self.standalone("--config", path), USAGE, path, ":2", "proxy.port", "many")

    def test_config_file_missing(self):
        self.refused(self.standalone("--config", "/no/such/file.yaml"), USAGE, "/no/such/file.yaml")

    def test_config_not_yaml(self):
        self.refused(self.standalone("--config", self.config("a: [1,\n")), USAGE, "elanus.yaml")

    def test_unknown_flag(self):
        self.refused(self.standalone("--prot", "1"), USAGE, "--prot")

    def test_bad_environment(self):
        self.refused(self.standalone(env={"ETCD_ENDPOINTS": "127.0.0.1:2379",
                                          "COMMON_SECURITY_AUTHORIZATIONENABLED": "perhaps"}),
                     USAGE, "COMMON_SECURITY_AUTHORIZATIONENABLED", "perhaps")

    # --- the cluster's stores -------------------------------------------------------

    def stores(self):
        try:
            etcd = self.place.start(servers.Etcd(self.place))
            return etcd, self.place.start(servers.S3(self.place))
        except servers.Missing as why:
            self.skipTest(str(why))

    def role(self, role, etcd, s3, *extra):
        cluster = servers.Cluster(self.place, etcd, s3)
        made = cluster.daemon(role, extra)
        self.place.processes.append(made)
        return made.start()

    def test_unreachable_etcd(self):
        nowhere = type("Nowhere", (), {"address": f"127.0.0.1:{servers.free_port()}"})
        started = [self.role(role, nowhere, nowhere) for role in servers.Cluster.ROLES]
        for daemon in started:
            with self.subTest(role=daemon.role):
                self.refused(daemon, META, nowhere.address, "etcd.endpoints", seconds=40)

    def test_unreachable_s3(self):
        etcd, _ = self.stores()
        nowhere = type("Nowhere", (), {"address": f"127.0.0.1:{servers.free_port()}"})
        self.refused(self.role("datanode", etcd, nowhere), STORE,
                     nowhere.address, "minio.address", seconds=40)

    def test_wrong_s3_credentials(self):
        etcd, s3 = self.stores()
        self.refused(self.role("datanode", etcd, s3, "--minio.secretAccessKey", "wrong"),
                     STORE, s3.address, "minio.secretAccessKey", seconds=40)

    def test_wrong_etcd_password(self):
        etcd, s3 = self.stores()
        etcdctl = servers.find_tool("etcdctl")
        if not etcdctl:
            self.skipTest("etcdctl is not installed (apt-get install etcd-client)")
        for words in ("user add root:right", "user grant-role root root", "auth enable"):
            subprocess.run([etcdctl, f"--endpoints={etcd.address}", *words.split()],
                           env=dict(os.environ, ETCDCTL_API="3"), check=True, capture_output=True)
        auth = ["--etcd.auth.enabled", "true", "--etcd.auth.userName", "root"]
        self.refused(self.role("coord", etcd, s3, *auth, "--etcd.auth.password", "wrong"),
                     META, "etcd.auth.password", seconds=40)
        good = self.role("coord", etcd, s3, *auth, "--etcd.auth.password", "right").ready()
        self.assertEqual(good.term(), 0)



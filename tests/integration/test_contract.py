"""test_contract - our .proto files and method table against each pymilvus's own descriptors.

Method: tests/e2e/check_contract.py under the Python of each client version; it
prints every difference.
"""
import os
import shutil
import subprocess
import unittest

import servers


class Contract(unittest.TestCase):
    def agrees(self, version):
        if not shutil.which("protoc"):
            self.skipTest("protoc is not installed (apt-get install protobuf-compiler)")
        venv = subprocess.run([os.path.join(servers.ROOT, "scripts/venv.sh"), version],
                              capture_output=True, text=True)
        if venv.returncode:
            self.skipTest(venv.stderr.strip())
        ran = subprocess.run([venv.stdout.strip(), "tests/e2e/check_contract.py"],
                             cwd=servers.ROOT, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_pymilvus_2_4(self):
        self.agrees("2.4.15")

    def test_pymilvus_2_6(self):
        self.agrees("2.6.17")

    def test_pymilvus_3_0(self):
        self.agrees("3.0.2")

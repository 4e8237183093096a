"""test_h2spec - the door against h2spec: sections generic, http2 and hpack, no failure."""
import re
import subprocess
import unittest

import servers


class H2spec(unittest.TestCase):
    def test_conformance(self):
        tool = servers.find_tool("h2spec")
        if not tool:
            self.skipTest("h2spec is not installed; scripts/deps.sh builds it where Go is")
        with servers.Workplace() as place:
            flags = servers.standalone_flags(place.path("data"))
            host, port = place.start(
                servers.Daemon(place, "standalone", flags)).grpc.rsplit(":", 1)
            ran = subprocess.run(
                [tool, "-h", host, "-p", port, "--timeout", "5", "generic", "http2", "hpack"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170)
        counts = re.search(r"(\d+) tests?, (\d+) passed, (\d+) skipped, (\d+) failed", ran.stdout)
        self.assertIsNotNone(counts, ran.stdout[-2000:])
        print("note: h2spec", counts.group(0))
        self.assertEqual(counts.group(4), "0", ran.stdout)
        self.assertGreater(int(counts.group(2)), 100)

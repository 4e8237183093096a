"""test_restart - what was acknowledged is there after kill -9, with the same ids.

Method: plain HTTP requests to one standalone, SIGKILL, the same data directory again.
"""
import json
import unittest

import servers


class Restart(unittest.TestCase):
    def setUp(self):
        self.place = servers.Workplace()
        self.addCleanup(self.place.close)
        self.data = self.place.path("data")
        self.boot()

    def boot(self):
        self.daemon = self.place.start(
            servers.Daemon(self.place, "standalone", servers.standalone_flags(self.data)))

    def ask(self, path, **body):
        _, text = servers.http(f"http://{self.daemon.grpc}/v2/vectordb/{path}", body,
                               {"Content-Type": "application/json"})
        return json.loads(text)

    def test_databases_survive_a_kill(self):
        ids = {}
        for turn in range(3):
            name = f"db{turn}"
            self.assertEqual(self.ask("databases/create", dbName=name)["code"], 0)
            ids[name] = self.ask("databases/describe", dbName=name)["data"]["dbID"]
            self.daemon.kill()
            self.boot()
            self.assertEqual(self.ask("databases/list")["data"], ["default"] + sorted(ids))
            for known, number in ids.items():
                seen = self.ask("databases/describe", dbName=known)["data"]
                self.assertEqual(seen["dbID"], number)
        self.assertEqual(len(set(ids.values())), 3)
        self.assertEqual(self.ask("databases/drop", dbName="db1")["code"], 0)
        self.daemon.kill()
        self.boot()
        self.assertEqual(self.ask("databases/list")["data"], ["default", "db0", "db2"])

"""test_console - the console in a real Chromium: every view beside the JSON it shows.

Method: a cluster of `elanus up` with data in it and one browser; each view is
opened and compared with what the same port tells as JSON.  Then a data node is
killed with -9, and the console has to tell of it, in order, until the channels
are served again.  At last the proxy itself goes, and nothing on the page may
look live any more.  Pictures of all that are kept in build/console.
Skips where chromium is not installed.
Runs with: standalone 2.6.17
"""
import json
import os
import re
import subprocess
import unittest

from milvus_case import DataType, MilvusClient
import browser
import servers

PICTURES = os.path.join(servers.ROOT, "build", "console")
FIRST = 9007199254740993                # a key that no JavaScript number can hold
ROWS, GROWING = 4000, 100            # fewer than 1,024 in a segment would not be indexed
FOUND, SHOWN = ".browser .panel:nth-last-child(2)", ".browser .panel:last-child"
VIEWS = ["topology", "channels", "segments", "indexes", "collections", "requests", "events"]
NAMES = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"


def picture(page, name):
    page.screenshot(os.path.join(PICTURES, f"{name}.png"))


def open_browser(case):
    """A browser and its workplace, closed with the class; a skip where there is none."""
    place = servers.Workplace()
    case.addClassCleanup(place.close)
    try:
        page = browser.Browser(place)
    except servers.Missing as why:
        raise unittest.SkipTest(str(why)) from why
    case.addClassCleanup(page.__exit__)
    return place, page


class Cluster(unittest.TestCase):
    """In the order of the names: what is killed in z does not come back."""

    @classmethod
    def setUpClass(cls):
        for tools in (["etcd"], ["minio", "weed"]):
            if not any(map(servers.find_tool, tools)):
                raise unittest.SkipTest(f"no {' or '.join(tools)}: `make deps` gets it")
        cls.place, cls.page = open_browser(cls)
        cls.dir = cls.place.path("cluster")
        up = servers.Process("up", [servers.binary("elanus"), "up", "--dir", cls.dir, "--port", "0",
                                    "--datanodes", "2", "--querynodes", "2", "--coords", "2"])
        cls.place.processes.append(up)
        up.start()
        ready = up.wait_line(r"^elanus ready grpc=(\S+) ops=(\S+)", 40)
        cls.grpc, cls.ops = ready.groups()
        cls.fill()
        cls.page.size(1280, 860)
        cls.page.open(f"http://{cls.ops}/")     # leads to the console

    @classmethod
    def fill(cls):
        client = MilvusClient(uri=f"http://{cls.grpc}")
        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("name", DataType.VARCHAR, max_length=60)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", M=8, efConstruction=40)
        client.create_collection("birds", schema=schema, index_params=index, num_shards=2,
                                 consistency_level="Strong")
        rows = [{"id": FIRST + i, "name": f"<img src=x> {i}", "wings": 2, "vector": [i] * 8}
                for i in range(ROWS)]
        client.insert("birds", rows[:ROWS - GROWING])
        client.flush("birds")
        client.insert("birds", rows[ROWS - GROWING:])
        client.search("birds", data=[[3.0] * 8], limit=5, filter="wings == 2")
        client.close()

    def tearDown(self):
        self.assertEqual(self.page.complaints(), [])

    # --- helpers -----------------------------------------------------------------------

    def items(self, name):
        status, text = servers.http(f"http://{self.ops}/api/v1/_elanus/{name}")
        self.assertEqual(status, 200, text)
        return json.loads(text)["items"]

    def go(self, view):
        self.page.run("location.hash = arguments[0]", f"#/{view}")
        self.page.wait(f"view {view}", "return document.querySelector("
                       "`#view.view-${arguments[0]} .panel`)", view.split("/")[0])

    def sees(self, what, script, *args, seconds=10):
        try:
            return self.page.wait(what, script, *args, seconds=seconds)
        except servers.Failure:
            raise AssertionError(f"{what} is not seen in:\n{self.page.text('main')[:3000]}"
                                 ) from None

    def sees_text(self, text, selector="main", seconds=10):
        self.sees(text, "return document.querySelector(arguments[0])?.innerText"
                        ".includes(arguments[1])", selector, text, seconds=seconds)

    # --- views ----------------------------------------------------------------------------

    def test_topology(self):
        self.go("topology")
        nodes = self.items("nodes")
        self.sees("every node", "return document.querySelectorAll('.card').length === arguments[0]",
                  len(nodes))
        labels = self.page.run("return [...document.querySelectorAll('.card')]"
                               ".map(e => e.getAttribute('aria-label'))")
        for node in nodes:
            label = next(text for text in labels if text.startswith(node["name"] + ","))
            self.assertIn(", up", label)
            self.assertEqual(", leader" in label, node["leader"])
        self.sees_text(f"{len(nodes)} of {len(nodes)}", ".tiles")
        self.sees("rates", "return /[0-9] .s/.test(document.querySelector('.card').innerText)")
        self.page.click(".card[data-node^=querynode]")
        self.sees_text("elanus_query", ".detail")
        picture(self.page, "topology")
        self.page.press("Escape")
        self.sees("no node chosen", "return !document.querySelector('.detail section')")

    def test_channels(self):
        self.go("channels")
        used = [c for c in self.items("channels") if c["vchannels"]]
        self.assertEqual(len(used), 2)
        self.sees("two rows", "return document.querySelectorAll('tbody tr').length === 2")
        text = self.page.text("tbody")
        for channel in used:
            self.assertIn(channel["channel"], text)
            self.assertIn(channel["owner"], text)
            for follower in channel["followers"]:
                self.assertIn(follower["node"], text)
        self.assertIn("active", text)
        picture(self.page, "channels")

    def test_segments(self):
        self.go("segments")
        self.sees("what is indexed", "return document.querySelectorAll('.lane-indexed li').length"
                                     " >= 2", seconds=20)
        segments = self.items("segments")
        shown = self.page.run(NAMES, "tbody td:first-child")
        self.assertEqual(sorted(shown), sorted(s["id"] for s in segments))
        flushed = sum(s["rows"] for s in segments if s["state"] == "flushed")
        self.assertEqual(flushed, ROWS - GROWING)
        self.sees_text(f"{flushed:,} rows", ".lane-indexed")
        self.page.write("[data-filter]", "no such segment")
        self.sees_text("No segment fits.")
        picture(self.page, "segments")

    def test_indexes(self):
        self.go("indexes")
        builds = self.items("builds")
        self.assertGreater(len(builds), 0)
        self.sees("each task", "return document.querySelectorAll('tbody tr').length === "
                               "arguments[0]", len(builds))
        self.sees("a full bar", "return document.querySelector('tbody .bar [data-percent]')"
                                ".style.width === '100%'", seconds=20)
        self.assertIn("HNSW", self.page.text("tbody"))
        picture(self.page, "indexes")

    def test_collections(self):
        self.go("collections")
        self.sees_text(f"{ROWS:,}", "tbody")
        self.assertIn("loaded", self.page.text("tbody"))
        self.page.click("tbody tr")
        self.sees_text("rows 1 to 50", ".browser")
        self.sees_text(str(FIRST), f"{SHOWN} tbody")
        self.sees_text("<img src=x> 0", f"{SHOWN} tbody")
        self.assertEqual(self.page.run("return document.querySelectorAll('#view img').length"), 0)
        self.page.run("[...document.querySelectorAll('.browser button')]"
                      ".find(b => b.innerText.startsWith('Next')).click()")
        self.sees_text("rows 51 to 100", ".browser")
        self.page.write(".browser [data-filter]", f"id == {FIRST + 7}")
        self.page.press("Enter")
        self.sees("one row", "return document.querySelectorAll(arguments[0]).length === 1",
                  f"{SHOWN} tbody tr")
        self.page.click(f"{SHOWN} [data-take]")
        self.sees_text("10 found", ".browser")
        hits = self.page.run(NAMES, f"{FOUND} tbody tr")
        self.assertEqual(re.split(r"\s+", hits[0])[:2], ["0.00000", str(FIRST + 7)])
        picture(self.page, "collections")

    def test_collections_refuse(self):
        self.go("collections")
        self.go("collections/default/birds")
        self.sees_text("rows 1 to 50", ".browser")
        self.page.write(".browser [data-filter]", "wings >")
        self.page.press("Enter")
        self.sees_text("cannot parse expression", ".browser [role=alert]")
        self.go("collections/default/none")
        self.sees_text("can't find collection", ".browser [role=alert]")

    def test_requests(self):
        self.go("collections")
        self.sees_text("birds", "tbody")
        self.go("requests")
        asked = [r["method"] for r in self.items("requests")]
        self.assertIn("Search", asked)
        self.assertNotIn("ShowCollections", asked)      # only the console's
        self.page.write("[data-filter]", "wings == 2")
        self.sees_text("Search", "tbody")
        picture(self.page, "requests")
        self.page.run("document.activeElement.blur()")
        self.page.press("ArrowDown", "Enter")
        self.sees("a waterfall", "return document.querySelectorAll('.span').length > 1")
        trace = self.page.text(".panel h2").split()[1]
        spans = self.items(f"trace?id={trace}")
        self.assertEqual(len(self.page.run(NAMES, ".span")), len(spans))
        text = self.page.text(".fall")
        for span in spans:
            self.assertIn(span["node"], text)
        self.assertTrue(any(s["node"].startswith("querynode") for s in spans), spans)
        self.sees("the bar of the whole", "return parseFloat(document.querySelector('.track span')"
                  ".style.width) > 50")
        self.assertNotIn("asking", self.page.text(".bar-top"))
        picture(self.page, "trace")
        self.page.press("Escape")
        self.sees_text("Recent requests")

    def test_events(self):
        self.go("events")
        self.sees_text("node_joined", ".log")
        lines = self.items("events?most=1000")
        self.assertGreater(len(lines), 10)
        self.page.press("p")
        self.sees_text("Go on")
        self.page.press("p")
        self.page.write("[data-filter]", "node_joined")
        self.sees("only those", "return [...document.querySelectorAll('.lines li')]"
                                ".every(e => e.innerText.includes('node_joined'))")
        self.assertIn("core/node/member.c", self.page.text(".lines"))

    # --- how it behaves --------------------------------------------------------------------

    def test_keys(self):
        self.go("topology")
        for number, view in enumerate(VIEWS, 1):
            self.page.press(str(number))
            self.sees(view, "return document.getElementById('view').className === arguments[0]",
                      f"view-{view}")
        self.page.press("/")
        self.assertTrue(self.page.run("return 'filter' in document.activeElement.dataset"))
        self.page.press("1")                    # is text now
        self.sees("still there", "return location.hash === '#/events'")
        self.page.press("Escape", "?")
        self.sees("the keys", "return document.getElementById('keys').open")
        self.page.press("Escape")
        self.page.press("1", "ArrowDown")
        self.sees("a node in focus", "return document.activeElement.matches('.card')")

    def test_light_and_dark(self):
        background = "return getComputedStyle(document.body).backgroundColor"
        self.go("topology")
        seen = {}
        for scheme in ("light", "dark"):
            self.page.prefer(scheme)
            seen[scheme] = self.page.run(background)
            picture(self.page, f"topology-{scheme}")
        self.assertNotEqual(seen["light"], seen["dark"])
        self.page.press("t")                    # light, whatever the system says
        self.assertEqual(self.page.run(background), seen["light"])
        self.page.press("t")
        self.page.prefer("light")
        self.assertEqual(self.page.run(background), seen["dark"])
        self.page.press("t")
        self.assertEqual(self.page.run(background), seen["light"])

    def test_narrow(self):
        self.page.size(400, 800)
        for view in VIEWS + ["collections/default/birds"]:
            self.go(view)
            wide = self.page.run("return document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 400, view)
            picture(self.page, f"narrow-{view.split('/')[-1]}")
        self.page.size(1280, 860)

    def test_it_asks_nobody_else(self):
        asked = [url for url in self.page.requests() if re.match("https?:|wss?:", url)]
        self.assertGreater(len(asked), 20)
        self.assertEqual([url for url in asked if not url.startswith(f"http://{self.ops}/")], [])

    # --- failures -----------------------------------------------------------------------------

    def test_x_a_data_node_is_killed(self):
        self.go("topology")
        self.sees("all is well", "return /([0-9]+) of \\1/.test(document.querySelector('.tile')"
                                 ".innerText) && !document.querySelector('.is-silent')")
        picture(self.page, "kill-1-before")
        owner = next(c["owner"] for c in self.items("channels") if c["vchannels"])
        address = next(n["ops_address"] for n in self.items("nodes") if n["name"] == owner)
        self.elanus("kill", self.named(address))
        self.sees("it is dead", "return document.querySelector(`.card.is-silent[data-node='"
                  "${arguments[0]}'], .card.is-gone`)", owner)
        self.sees_text(owner, "#missing")
        picture(self.page, "kill-2-during")
        self.go("events")
        for step in ("suspect", "takeover", "sealed", "active", "switched"):
            self.sees(step, "return document.querySelector(`.failover .step-${arguments[0]}.told`)",
                      step, seconds=15)
        lines = self.page.run(NAMES, ".lines .step-active")
        self.assertTrue(any("datanode/" in line for line in lines), lines)
        picture(self.page, "kill-3-events")
        self.go("channels")
        self.sees("another owns all", "return [...document.querySelectorAll('tbody tr')].every("
                  "r => /datanode-/.test(r.innerText) && !r.innerText.includes(arguments[0]))",
                  owner)

    def test_y_nobody_leads(self):
        self.go("topology")
        leader = next(n["name"] for n in self.items("nodes") if n["leader"])
        self.elanus("kill", "coord-1")
        self.elanus("kill", "coord-2")
        self.sees_text(leader, "#missing")
        self.sees_text("nothing new is placed", ".tile.bad:nth-child(2)")
        self.assertEqual(len(self.page.run(NAMES, ".role-coord .card.is-silent")), 2)
        picture(self.page, "no-leader")
        self.go("collections")
        self.sees_text(f"{ROWS:,}", "tbody")    # reads go on
        self.elanus("resume", "coord-1")
        self.elanus("resume", "coord-2")
        self.go("topology")
        self.sees("a leader", "return document.querySelector('.tile:nth-child(2):not(.bad)')",
                  seconds=20)

    def test_z_the_proxy_goes(self):
        self.go("topology")
        self.sees("who was killed is gone", "return document.querySelector('.card.is-gone')",
                  seconds=20)
        self.sees("nothing is missing", "return !document.querySelector('#missing .banner')")
        picture(self.page, "kill-4-after")
        self.elanus("kill", "etcd")
        self.sees_text("metadata — this proxy cannot keep its registration", "#missing", seconds=15)
        picture(self.page, "no-etcd")
        self.elanus("kill", "proxy-1")
        self.sees("it says so", "return document.querySelector('#missing .worse')")
        self.sees("all is grey", "return [...document.querySelectorAll('.panel')].every("
                                 "p => p.classList.contains('stale'))")
        self.sees_text("Not live: this is how it was at", ".panel .note")
        self.assertIn("not live since", self.page.text("#live"))
        picture(self.page, "proxy-gone")
        self.page.open("about:blank")
        for text in self.page.complaints():     # the browser's own words for it
            self.assertRegex(text, "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE"
                             "|ERR_INCOMPLETE")

    def elanus(self, *words):
        subprocess.run([servers.binary("elanus"), words[0], "--dir", self.dir, *words[1:]],
                       check=True, stdout=subprocess.DEVNULL, timeout=30)

    def named(self, ops_address):
        """What `elanus ps` calls the process that has this ops port."""
        done = subprocess.run([servers.binary("elanus"), "ps", "--dir", self.dir], check=True,
                              capture_output=True, text=True, timeout=30)
        return next(line.split()[0] for line in done.stdout.splitlines() if ops_address in line)


class SignIn(unittest.TestCase):
    """A server that wants to know who asks."""

    @classmethod
    def setUpClass(cls):
        cls.place, cls.page = open_browser(cls)
        cls.server = cls.place.start(servers.Daemon(
            cls.place, "standalone", servers.standalone_flags(cls.place.path("data")) +
            ["--common.security.authorizationEnabled", "true"]))

    def test_a_password_is_asked_for(self):
        page = self.page
        page.open(f"http://{self.server.ops}/webui/")
        page.wait("the question", "return document.getElementById('token').open")
        self.assertEqual(page.text(".card"), "")
        page.write("#token-password", "wrong")
        page.press("Enter")
        page.wait("a refusal", "return document.getElementById('token-why').innerText")
        page.write("#token-password", "Milvus")
        page.press("Enter")
        page.wait("the nodes", "return document.querySelector('.card')")
        self.assertFalse(page.run("return document.getElementById('token').open"))
        stored = page.run("return [JSON.stringify(localStorage), sessionStorage.length]")
        self.assertNotIn("Milvus", stored[0])
        self.assertEqual(stored[1], 1)
        page.run("location.hash = '#/collections'")
        page.wait("no collection", "return document.querySelector('main').innerText.includes("
                                   "'There is no collection yet')")
        for text in page.complaints():
            self.assertIn("401", text)

"""browser - a real Chromium without a window, driven by WebDriver's JSON over HTTP.

    with browser.Browser(place) as page:
        page.open("http://127.0.0.1:9091/webui/")
        page.run("return document.title")
        page.screenshot("build/console/topology.png")

Debian's chromium and chromium-driver; scripts/deps.sh gets them.  Nothing of
Python's is needed beside it.  What the page asked for and what its console
said is kept: requests(), complaints().
"""
import base64
import json
import os
import shutil
import urllib.error
import urllib.request

import servers

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Escape": "\ue00c", "Enter": "\ue007", "ArrowUp": "\ue013", "ArrowDown": "\ue015",
        "Tab": "\ue004"}


class Driver(servers.Process):
    """chromedriver, on a port that it picks itself."""

    def __init__(self, place):
        program, chromium = shutil.which("chromedriver"), shutil.which("chromium")
        if not program or not chromium:
            raise servers.Missing("chromium is not installed (apt-get install chromium "
                                  "chromium-driver): make deps")
        super().__init__("chromedriver", [program, "--port=0", "--log-level=SEVERE"],
                         env={"TMPDIR": place.dir, "XDG_CONFIG_HOME": place.path("chromium"),
                              "XDG_CACHE_HOME": place.path("chromium")})

    def ready(self):
        self.port = self.wait_line(r"started successfully on port (\d+)", 30).group(1)


class Browser:
    def __init__(self, place, width=1280, height=860):
        self.driver = place.start(Driver(place))
        self.path = f"http://127.0.0.1:{self.driver.port}/session"
        arguments = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                     "--disable-dev-shm-usage", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--no-proxy-server",
                     f"--window-size={width},{height}", f"--user-data-dir={place.path('profile')}"]
        if os.getuid() == 0:
            arguments.append("--no-sandbox")
        answer = self._ask("", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {
                "binary": shutil.which("chromium"), "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.path += "/" + answer["sessionId"]
        self._requests, self._complaints = [], []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._ask("", method="DELETE")

    def _ask(self, path, body=None, method="POST"):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.path + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as why:
            raise servers.Failure(f"chromium: {json.load(why)['value']['message']}") from why

    # --- what a person does ---------------------------------------------------------

    def open(self, url):
        self._ask("/url", {"url": url})

    def run(self, script, *args):
        """The value of a function's body in the page."""
        return self._ask("/execute/sync", {"script": script, "args": list(args)})

    def wait(self, what, script, *args, seconds=10):
        return servers.wait_for(what, seconds * servers.patience(),
                                lambda: self.run(script, *args), 0.05)

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def find(self, selector):
        return self._ask("/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self._ask(f"/element/{self.find(selector)}/click")

    def write(self, selector, text):
        element = self.find(selector)
        self._ask(f"/element/{element}/clear")
        self._ask(f"/element/{element}/value", {"text": text})

    def press(self, *keys):
        """Keys, one after the other, to whatever has the focus."""
        actions = [{"type": kind, "value": KEYS.get(key, key)}
                   for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    # --- how the window is -------------------------------------------------------------

    def command(self, name, **parameters):
        """One of the DevTools protocol."""
        return self._ask("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def size(self, width, height):
        """0, 0: as it was."""
        if width == 0:
            self.command("Emulation.clearDeviceMetricsOverride")
        else:
            self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                         deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme):
        """What the system says of light and dark."""
        self.command("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(self._ask("/screenshot", method="GET")))

    # --- what it asked and said ------------------------------------------------------------

    def _read_logs(self):
        for entry in self._ask("/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        self._complaints += [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})
                             if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Every address that the page asked for."""
        self._read_logs()
        return list(self._requests)

    def complaints(self):
        """Errors and warnings of its console; each is told once."""
        self._read_logs()
        told, self._complaints = self._complaints, []
        return told

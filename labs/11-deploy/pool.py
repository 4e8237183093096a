"""pool - lab 11: a client of several proxies, and traffic that counts what it sees.

Proxies share nothing, so any of them serves any request, and a pool is simple: one connection to
each (gRPC carries many calls at once on one), calls in turn, and a proxy that failed rests for a
while.  A call that may have been done already is only repeated when that does no harm: reads and
upserts are; an insert with automatic ids would come twice.
"""
import itertools
import threading
import time

from pymilvus import MilvusClient, MilvusException

CALL_S = 2              # one call at one proxy; whole seconds, or pymilvus tries 75 times instead
REST_S = 5              # a proxy that failed is left alone for so long


class Pool:
    """MilvusClient's calls, at whichever proxy is well."""

    def __init__(self, addresses, token=""):
        self.addresses, self.token = list(addresses), token
        self.clients, self.rests_until = {}, {}
        self.answered = dict.fromkeys(self.addresses, 0)
        self.turn = itertools.count()
        self.lock = threading.Lock()

    def call(self, verb, *args, **kwargs):
        """Ask each proxy at most once; the last error when none could."""
        failed = None
        for address in self._order():
            try:
                answer = getattr(self._client(address), verb)(*args, timeout=CALL_S, **kwargs)
                self.answered[address] += 1
                return answer
            except MilvusException as error:
                failed = error
                self._rest(address)
        raise failed

    def _order(self):
        """From the next one on, those that rest last."""
        at, now = next(self.turn) % len(self.addresses), time.monotonic()
        turned = self.addresses[at:] + self.addresses[:at]
        return sorted(turned, key=lambda address: self.rests_until.get(address, 0) > now)

    def _client(self, address):
        with self.lock:
            if address not in self.clients:
                self.clients[address] = MilvusClient(uri=f"http://{address}", token=self.token,
                                                     timeout=CALL_S)
            return self.clients[address]

    def _rest(self, address):
        """Its connection is thrown away: the proxy that comes back may be another process."""
        with self.lock:
            self.rests_until[address] = time.monotonic() + REST_S
            client = self.clients.pop(address, None)
        if client:
            client.close()

    def close(self):
        for client in self.clients.values():
            client.close()
        self.clients = {}


class Traffic(threading.Thread):
    """One act over and over: how often it went well, how often not, and the longest gap."""

    def __init__(self, name, act):
        super().__init__(daemon=True)
        self.label, self.act, self.ended = name, act, threading.Event()
        self.lock = threading.Lock()
        self.begin()

    def begin(self):
        """Count anew, from now."""
        with self.lock:
            self.good, self.errors, self.gap_s = 0, [], 0.0
            self.last = time.monotonic()

    def run(self):
        while not self.ended.is_set():
            try:
                self.act()
                self._note(None)
            except MilvusException as error:
                self._note(error)
            time.sleep(0.01)

    def _note(self, error):
        with self.lock:
            now = time.monotonic()
            if error:
                self.errors.append(error)
                return
            self.good += 1
            self.gap_s, self.last = max(self.gap_s, now - self.last), now

    def row(self):
        with self.lock:
            gap_s = max(self.gap_s, time.monotonic() - self.last)
            return [self.label, self.good, len(self.errors), f"{gap_s * 1000:.0f} ms"]

    def stop(self):
        self.ended.set()
        self.join()

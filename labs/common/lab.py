"""lab - what every lab needs: the way to a server, what it tells of itself, tables.

Two doors lead in.  Clients' port (19530): pymilvus, as with any Milvus.  Operations port (9091):
/metrics, /healthz, and Elanus's own pages about the whole cluster (docs/pages.md).

    place = lab.place(arguments)        # --uri and --ops, or --dir of `elanus up`
    client = place.client()             # ends the program with a message when nothing answers
    for node in place.page("nodes")["items"]: ...
"""
import base64
import http.client
import json
import logging
import os
import re
import socket
import subprocess
import sys
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
import warnings

# Programs are started while a client is open; gRPC must not follow them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)   # pymilvus prints a traceback for every refusal

import grpc  # noqa: E402
from pymilvus import DataType, MilvusClient, MilvusException  # noqa: E402,F401
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc  # noqa: E402

# How every lab ends.
GOOD, BROKEN, USAGE, NOTHING, INCOMPLETE, ALERT = 0, 1, 2, 3, 4, 5

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANSWER_S = 5
START = """  start one:        build/bin/elanus standalone --data ./elanus-data
  or a cluster:     build/bin/elanus up --dir ./cluster --querynodes 2
  or with Docker:   docker compose up -d --build --wait
  it is elsewhere:  --uri http://HOST:19530 --ops HOST:9091, or --dir DIR of `elanus up`"""
ONLY_PROXIES = "only an Elanus proxy's operations port, and standalone's, has these pages"
ROLES = ["proxy", "coord", "datanode", "querynode", "indexnode"]
WITHOUT = {
    "coord": "collections cannot be made or loaded, and the work of a dead node goes to nobody; "
             "reads and writes go on",
    "datanode": "nothing can be written, and Strong reads wait",
    "querynode": "nothing can be loaded, searched or queried",
    "indexnode": "indexes are not built; searches scan, and get slow",
    "proxy": "clients have no door",
}


class Trouble(Exception):
    """Something a person has to know before the lab can go on."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


def run(main):
    """Call a lab's main(); a Trouble becomes a message and an exit status."""
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.stdout.flush()
        print(f"\n{trouble}", file=sys.stderr)
        sys.exit(trouble.code)
    except MilvusException as refused:
        sys.stdout.flush()
        print(f"\nthe server refused: {one_line(refused)}", file=sys.stderr)
        sys.exit(BROKEN)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(GOOD)
    except KeyboardInterrupt:
        print()
        sys.exit(GOOD)


# --- where the server is ----------------------------------------------------------------

def add_arguments(parser):
    parser.add_argument("--uri", help="clients' port of a proxy (http://127.0.0.1:19530)")
    parser.add_argument("--ops", metavar="HOST:PORT",
                        help="operations port of a proxy (port 9091 of the same host)")
    parser.add_argument("--dir", help="the directory of a running `elanus up`, instead of both")
    parser.add_argument("--token", default="", help="USER:PASSWORD, with authorization")


def elanus():
    """The program of this source tree."""
    return os.environ.get("ELANUS") or os.path.join(ROOT, "build/bin/elanus")


def processes(directory):
    """What `elanus ps` lists: [{"name", "state", "grpc", "ops"}]."""
    try:
        done = subprocess.run([elanus(), "ps", "--dir", directory], capture_output=True,
                              text=True, timeout=30, check=False)
    except FileNotFoundError as gone:
        raise Trouble(f"{elanus()} is not there: run make first", USAGE) from gone
    if done.returncode != 0:
        raise Trouble(f"{done.stderr.strip()}\n{START}", NOTHING)
    found = []
    for line in done.stdout.splitlines()[1:]:
        words = line.split()
        addresses = dict(word.split("=", 1) for word in words if "=" in word)
        found.append({"name": words[0], "state": words[1], "grpc": addresses.get("grpc"),
                      "ops": addresses.get("ops")})
    return found


def address(text, port, flag):
    """(host, port) of HOST, HOST:PORT or http://HOST:PORT."""
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else "http://" + text)
        if parts.hostname:
            return parts.hostname, parts.port or port
    except ValueError:
        pass                            # a port that is no number, or too large
    raise Trouble(f'{flag}: "{text}" is no address; http://127.0.0.1:{port} would be one', USAGE)


def place(arguments):
    """Where --uri, --ops and --dir lead."""
    if not arguments.dir:
        host, port = address(arguments.uri or "127.0.0.1", 19530, "--uri")
        ops = address(arguments.ops or host, 9091, "--ops")
        return Place(f"{host}:{port}", f"{ops[0]}:{ops[1]}", arguments.token)
    doors = [one for one in processes(arguments.dir)
             if one["name"].startswith("proxy-") and one["state"] == "ready"]
    if not doors:
        raise Trouble(f"no proxy of the cluster in {arguments.dir} is up: clients have no door\n"
                      f"  start one again:  build/bin/elanus resume --dir {arguments.dir} proxy-1",
                      INCOMPLETE)
    return Place(doors[0]["grpc"], doors[0]["ops"], arguments.token)


class Place:
    """A proxy's two ports."""

    def __init__(self, address, ops, token=""):
        self.address, self.ops, self.token = address, ops, token
        self.uri = f"http://{address}"
        self.channel = None

    def client(self):
        """A MilvusClient.  Whether somebody listens is asked first: that takes a moment, where
        the client tries again for seconds."""
        refused = listens(self.address)
        if refused:
            raise Trouble(f"nothing answers at {self.address}: {refused}\n{START}", NOTHING)
        try:
            return MilvusClient(uri=self.uri, token=self.token, timeout=ANSWER_S)
        except MilvusException as failed:
            raise Trouble(f"somebody listens at {self.address}, but a Milvus client cannot talk "
                          f"to it: {one_line(failed)}\n"
                          "  is it the clients' port?  19530 is; 9091 is for operations",
                          NOTHING) from failed

    def metrics_request(self, question):
        """GetMetrics: Milvus has the call, pymilvus no method for it, so its stub is used."""
        self.channel = self.channel or grpc.insecure_channel(self.address)
        stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)
        metadata = [("authorization", base64.b64encode(self.token.encode()).decode())]
        request = milvus_pb2.GetMetricsRequest(request=json.dumps(question))
        try:
            answer = stub.GetMetrics(request, timeout=ANSWER_S,
                                     metadata=metadata if self.token else None)
        except grpc.RpcError as failed:
            raise Trouble(f"GetMetrics: {failed.details()}", INCOMPLETE) from failed
        if answer.status.code or answer.status.error_code:
            raise Trouble(f"GetMetrics: {answer.status.reason}", INCOMPLETE)
        return json.loads(answer.response)

    def get(self, path, ops=None, seconds=ANSWER_S):
        """The text of a page of an operations port."""
        ops = ops or self.ops
        try:
            with urllib.request.urlopen(f"http://{ops}{path}", timeout=seconds) as answer:
                return answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as refused:
            text = said(refused.read().decode("utf-8", "replace"))
            hint = f"\n  {ONLY_PROXIES}" if refused.code == 404 else ""
            raise Trouble(f"http://{ops}{path}: {refused.code} {text}{hint}",
                          INCOMPLETE) from refused
        except (OSError, http.client.HTTPException) as failed:
            raise Trouble(f"nothing answers at the operations port {ops}: {reason(failed)}\n"
                          "  name the proxy's: --ops HOST:PORT (its ready line has it), or --dir "
                          "DIR of `elanus up`", NOTHING) from failed

    def page(self, name):
        """A page of docs/pages.md, as it is now."""
        text = self.get(f"/api/v1/_elanus/{name}")
        try:
            return json.loads(text)
        except ValueError as strange:
            raise Trouble(f"{self.ops} answers, but not as Elanus does\n  {ONLY_PROXIES}",
                          NOTHING) from strange

    def metrics(self, ops=None):
        """/metrics of one process: {name: [(labels, value)]}."""
        found = {}
        for line in self.get("/metrics", ops).splitlines():
            parsed = re.match(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
            if parsed and not line.startswith("#"):
                labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', parsed.group(2) or ""))
                found.setdefault(parsed.group(1), []).append((labels, float(parsed.group(3))))
        return found


def listens(address):
    """None when somebody does, else why not."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
        return None
    except OSError as failed:
        return reason(failed)


def reason(failed):
    failed = getattr(failed, "reason", failed)
    return str(getattr(failed, "strerror", None) or failed).lower()


def said(text):
    """What an error page says, and what to do about it."""
    try:
        told = json.loads(text)
        return f"{told['error']}; {told.get('do', '')}".rstrip("; ")
    except (ValueError, KeyError, TypeError):
        return text.strip()[:200]


def one_line(error):
    text = getattr(error, "message", None) or str(error)
    return " ".join(str(text).split())[:200]


# --- is it whole? -------------------------------------------------------------------------

def lacks(nodes):
    """What a cluster lacks, by its page "nodes": [(what, why it matters, what to do)]."""
    found = [(gone["what"], gone["why"], gone["do"]) for gone in nodes["missing"]]
    if nodes["mode"] == "standalone":
        return found
    up = [node["role"] for node in nodes["items"] if node["state"] != "silent"]
    for role in ROLES:
        if role not in up:
            found.append((f"no {role}", WITHOUT[role],
                          f"start one: elanus add --dir DIR {role}, or docker compose start"))
    if nodes["leader"] is None and "coord" in up:
        found.append(("no coordinator leads", WITHOUT["coord"],
                      "a standby takes over within 3 s; ask again then"))
    return found


def say_lacks(found):
    """Print it; the exit status that fits."""
    for what, why, what_to_do in found:
        print(f"   {what}: {why}\n      {what_to_do}")
    return INCOMPLETE if found else GOOD


# --- printing -----------------------------------------------------------------------------

def width(text):
    """Columns of a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(heads, rows, indent=3):
    """Columns as wide as they need to be; numbers (int, float) to the right."""
    cells = [[cell if isinstance(cell, str) else "-" if cell is None else f"{cell:,}"
              for cell in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[i], (int, float, type(None))) or
                                re.match(r"[\d.,]+ (%|B|KB|MB|GB|ms|s)$", row[i])
                                for row in rows) for i in range(len(heads))]
    wide = [max(map(width, column)) for column in zip(heads, *cells)]
    for line in [heads, *cells]:
        texts = [" " * (w - width(cell)) + cell if to_right else cell + " " * (w - width(cell))
                 for cell, w, to_right in zip(line, wide, right)]
        print((" " * indent + "  ".join(texts)).rstrip())


def size(n_bytes):
    if n_bytes is None:
        return "-"
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n_bytes >= bytes_each:
            return f"{n_bytes / bytes_each:.1f} {unit}"
    return f"{n_bytes:.0f} B"


def percent(value):
    return "-" if value is None else f"{value:.1f} %"


def positive(text):
    """A number of a flag, above 0."""
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


def heading(text):
    print(f"\n{text}")

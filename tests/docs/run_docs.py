#!/usr/bin/env python3
"""run_docs - do what the pages say, and compare what comes out; `make docs-test` calls it.

    tests/docs/run_docs.py                  README.md, docs/ and labs/
    tests/docs/run_docs.py README labs/12   pages whose name contains a word
    UPDATE=1 tests/docs/run_docs.py …       write what came out into the page where it differs
    UPDATE=all …                            write everything
    KEEP=1 …                                leave the scratch directory there

Each page is one session, from top to bottom, in a copy of the repository of its own (build/ is the
real one) and in a network of its own, where the default ports are free.  docs/HACKING.md says how
a block is marked; doc_blocks.py reads the marks.  Blocks that need Docker run on the machine's
network, in another shell.
Exit status: 0 everything as shown, 1 something else came out, 2 nothing to run.
"""
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import doc_blocks  # noqa: E402
import doc_compare  # noqa: E402
import doc_session  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ("README.md", "docs/*.md", "docs/*/*.md", "labs/*.md", "labs/*/*.md")
PORTS = (19530, 9091)               # that must be free where a page has no network of its own
AS_IF = "/home/you/elanus"          # where a page pretends to run
SERVERS = {                         # of needs=: the command, and how long it may take
    "standalone": ("build/bin/elanus standalone --data ./elanus-data", 20),
    "cluster": ("build/bin/elanus up --dir ./cluster --coords 2 --datanodes 2 --querynodes 2", 90)}
TOOLS = {"pymilvus": ["scripts/venv.sh", "2.6.17"], "minilm": ["scripts/minilm.sh"]}


class Missing(Exception):
    """What a block needs cannot be had here."""


class Machine:
    """What there is on this machine; asked once."""

    def __init__(self):
        self.own_net = doc_session.can_have_own_net()
        self.got = {}

    def tool(self, need):
        """What the script of a tool prints; fetched outside the pages' networks."""
        if need not in self.got:
            words = list(TOOLS[need])
            if need == "minilm":
                words.append(self.tool("pymilvus"))
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise Missing(done.stderr.strip().split("\n")[-1])
            self.got[need] = done.stdout.strip()
        return self.got[need]

    def docker(self):
        if "docker" not in self.got:
            try:
                done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"],
                                      capture_output=True, text=True, timeout=20)
                self.got["docker"] = "" if done.returncode == 0 else done.stderr.strip()
            except (OSError, subprocess.TimeoutExpired) as why:
                self.got["docker"] = str(why)
        if self.got["docker"]:
            raise Missing("Docker does not answer: " + self.got["docker"].split("\n")[-1])

    def ports(self):
        for port in PORTS if not self.own_net else ():
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError as why:
                    raise Missing(f"port {port}: {why.strerror}, and this kernel or container "
                                  "gives no network of one's own (unshare)") from None


def copy_tree(to):
    """What git knows of the repository, and its build directory as a link."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"],
                            capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = os.path.join(ROOT, name), os.path.join(to, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)
    os.symlink(os.path.join(ROOT, "build"), os.path.join(to, "build"))


def typed(text):
    """(block, command) of all sessions of a page."""
    return [(block, command) for block in doc_blocks.read(text) if block.session
            for command in block.commands()]


class Page:
    """One page's run: its shells, the servers in them, and what differed."""

    def __init__(self, path, machine, update):
        self.path, self.machine, self.update = path, machine, update
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            self.text = f.read()
        self.good, self.bad, self.not_run, self.changes = 0, [], [], []
        self.staying, self.served, self.shells, self.python = {}, set(), {}, None

    def shell(self, block):
        where = "docker" if "docker" in block.marker["needs"] else "own"
        if where not in self.shells:
            if where == "own":
                self.machine.ports()
            self.shells[where] = doc_session.Session(
                self.scratch, self.machine.own_net and where == "own")
        return self.shells[where]

    def prepare(self, block):
        """Bring up what the block needs, or Missing."""
        needs = block.marker["needs"]
        if "docker" in needs:
            self.machine.docker()
        for need in [n for n in TOOLS if n in needs or (n == "pymilvus" and block.python)]:
            self.machine.tool(need)
        for need in [n for n in SERVERS if n in needs and n not in self.served]:
            command, seconds = SERVERS[need]
            self.wait_shown(self.shell(block).stay(command), ["elanus ready …"], seconds)
            self.served.add(need)
        if block.marker.get("stop"):
            self.staying.pop(block.marker["stop"]).interrupt()

    def lines(self, output):
        return doc_compare.printed(output.replace(self.scratch, AS_IF))

    def wait_shown(self, staying, shown, seconds):
        """Until a command that goes on has printed what is shown, in order."""
        end = time.monotonic() + seconds
        while not doc_compare.arrived(shown, self.lines(staying.output())):
            if not staying.alive():
                raise doc_session.TooLong("it ended:\n" + staying.output())
            if time.monotonic() > end:
                raise doc_session.TooLong(f"not within {seconds:g} s:\n" + staying.output())
            time.sleep(0.1)
        return staying

    def stay(self, block, command):
        name = block.marker.get("name", f"line {block.line + 1}")
        self.staying[name] = self.shell(block).stay(command.text)
        self.wait_shown(self.staying[name], command.shown, block.marker["timeout"])
        self.good += 1

    def runner(self, block):
        """What runs the block: its shell, or the page's Python."""
        if block.session or not block.python:
            return self.shell(block)
        if not self.python:
            interpreter = self.machine.tool("pymilvus")
            self.python = doc_session.Python(self.shell(block), interpreter)
        return self.python

    def do(self, block, command):
        """Run one command; with retry, until it prints what is shown."""
        end = time.monotonic() + block.marker["timeout"]
        while True:
            left = max(end - time.monotonic(), 1)
            code, output = self.runner(block).run(command.text, left)
            lines = self.lines(output)
            fine = not block.session or doc_compare.same(command.shown, lines)
            well = code == 0 or block.marker.get("fails")
            if (fine and well) or not block.marker.get("retry") or time.monotonic() > end:
                break
            time.sleep(0.5)
        if not well:
            self.fail(block, command, f"exit status {code}", lines)
        elif fine:
            self.good += 1
        elif not self.update:
            self.fail(block, command, "it prints something else than the page (-)",
                      doc_compare.difference(command.shown, lines))
        if well and block.session and (self.update == "all" or (self.update and not fine)):
            self.changes.append((block, command, lines))

    def fail(self, block, command, why, lines):
        self.bad.append(f"{self.path}:{block.line + 1}: $ {command.text}\n    {why}\n" +
                        "\n".join("    | " + line for line in lines))

    def block(self, block):
        if not block.marker:
            block.marker = doc_blocks.read_marker("")
        self.prepare(block)
        commands = block.commands()
        for command in commands:
            last = command is commands[-1]
            if os.environ.get("VERBOSE"):
                print(f"      {self.path}:{command.at}: {command.text}", flush=True)
            try:
                if block.marker.get("stays") and last:
                    self.stay(block, command)
                else:
                    self.do(block, command)
            except doc_session.TooLong as why:
                self.fail(block, command, "it has to end or to get ready in time",
                          str(why).split("\n"))
                raise

    def every_block(self):
        for block in doc_blocks.read(self.text):
            if block.why_not and block.shows_commands():
                self.not_run.append(f"line {block.line + 1}: {block.why_not}")
            if block.why_not or not (block.session or block.marker):
                continue
            try:
                self.block(block)
            except Missing as why:
                self.not_run.append(f"line {block.line + 1}: {why}")
                if "docker" not in block.marker["needs"]:
                    self.not_run.append("and nothing below that line")
                    return

    def compose_down(self):
        """Containers outlive the shell that made them."""
        if "docker" in self.shells and os.path.exists(self.scratch + "/docker-compose.yml"):
            subprocess.run(["docker", "compose", "down", "-v", "--remove-orphans"],
                           cwd=self.scratch, capture_output=True)

    def run(self):
        self.scratch = tempfile.mkdtemp(prefix="elanus-docs-")
        copy_tree(self.scratch)
        try:
            self.every_block()
        except doc_session.TooLong as why:
            if not self.bad:
                self.bad.append(f"{self.path}: {why}")
        except (doc_session.Gone, doc_blocks.Wrong, KeyError) as why:
            self.bad.append(f"{self.path}: {why}")
        finally:
            self.compose_down()
            for shell in self.shells.values():
                shell.close()
            if os.environ.get("KEEP"):
                print(f"      {self.path}: {self.scratch}")
            else:
                shutil.rmtree(self.scratch, ignore_errors=True)
        if self.changes:
            self.write(self.path, doc_blocks.rewritten(self.text, self.changes))
            self.translate(self.path.removesuffix(".md") + ".zh.md")

    def write(self, path, text):
        with open(os.path.join(ROOT, path), "w", encoding="utf-8") as f:
            f.write(text)

    def translate(self, path):
        """The Chinese page shows what the same commands print."""
        if not os.path.exists(os.path.join(ROOT, path)):
            return
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        new = {command.at: lines for _, command, lines in self.changes}
        pairs = zip(typed(self.text), typed(text))
        self.write(path, doc_blocks.rewritten(text, [
            (block, command, new[original.at]) for (_, original), (block, command) in pairs
            if original.at in new and command.text == original.text]))


def pages(words):
    """Chinese pages show the commands of the English ones, which test_docs.py sees to."""
    found = sorted({os.path.relpath(p, ROOT) for pattern in PAGES
                    for p in glob.glob(os.path.join(ROOT, pattern))}, key=lambda p: ("/" in p, p))
    return [p for p in found if not p.endswith(".zh.md")
            and (not words or any(w in p for w in words))]


def report(page, seconds):
    counts = [f"{page.good} as shown"] if page.good else []
    counts += [f"{len(page.changes)} written anew"] if page.changes else []
    counts += [f"{len(page.bad)} not as shown"] if page.bad else []
    word = "FAIL" if page.bad else "ok" if counts else "-"
    print(f"{word:<5} {page.path:<36} {', '.join(counts) or 'nothing to run':<32} {seconds:6.1f} s")
    for line in page.not_run:
        print(f"      not run, {line}")
    for text in page.bad:
        print(text)
    sys.stdout.flush()


def stop_on_signal(number, frame):
    raise SystemExit(128 + number)


def main():
    chosen = pages(sys.argv[1:])
    if not chosen:
        print(f"no page matches {' '.join(sys.argv[1:])}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, stop_on_signal)
    machine, good, bad = Machine(), 0, 0
    if not machine.own_net:
        print("no network of its own for each page here: the ports that pages name must be free")
    for path in chosen:
        begin = time.monotonic()
        page = Page(path, machine, os.environ.get("UPDATE"))
        page.run()
        report(page, time.monotonic() - begin)
        good, bad = good + page.good + len(page.changes), bad + len(page.bad)
    print(f"{len(chosen)} pages: {good} commands do what is shown, {bad} do not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

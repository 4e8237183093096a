#!/usr/bin/env python3
"""run - every test of Elanus, one line a program; `make test` calls it.

    tests/run.py                      everything, release build
    tests/run.py unit/net e2e         programs whose name contains a word
    tests/run.py --mode asan          the same on a sanitizer build
    tests/run.py --list               names only

Suites in order: tidy, unit, recall (indexes beside a scan), fuzz (replay of the
corpora), sim, integration (a real etcd and S3, started here), e2e (real pymilvus of three versions,
against standalone and against separate daemons; "Runs with:" in a test's head
names fewer).  The programs are built before (`make tests`).  Each runs in its
own process with a time limit; what a failing one printed is shown in full,
every skip with its reason, and lines that begin with "note: " always.  The
last line counts tests, not programs.
Exit status: 0 all passed, 1 something failed, 2 nothing to run.
"""
import argparse
import dataclasses
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
sys.dont_write_bytecode = True
import servers  # noqa: E402

ROOT = servers.ROOT
PYMILVUS = ["2.4.15", "2.6.17", "3.0.2"]
DEPLOYMENTS = ["standalone", "cluster"]
LIMIT_S = {"tidy": 120, "unit": 120, "recall": 60, "fuzz": 60, "sim": 180,
           "integration": 180, "e2e": 180}
MODE_SLOWER = {"release": 1, "debug": 2, "asan": 4, "tsan": 8}
SUITES = list(LIMIT_S)


@dataclasses.dataclass
class Program:
    """One thing to run: a cmocka binary or a Python test file."""
    name: str
    suite: str
    path: str                   # from the root
    pymilvus: str = ""          # e2e only: which client
    deployment: str = ""        # e2e only: against what


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skips: list = dataclasses.field(default_factory=list)      # (test, reason)
    seconds: float = 0.0
    trouble: str = ""           # what went wrong beside failed tests
    output: str = ""


# --- what there is to run -------------------------------------------------------

def stem(path):
    return os.path.splitext(os.path.relpath(path, HERE))[0]


def programs():
    """Every program, by suite.  C tests are found by source, so that one that
    was not built is a failure and not an omission."""
    found = []
    for suite, patterns in {
            "tidy": ["tidy/test_*.py"], "unit": ["unit/*/test_*.c", "unit/*/test_*.py"],
            "recall": ["recall/test_*.c"],
            "fuzz": ["fuzz/replay_*.c"],
            "sim": ["sim/test_*.c"],
            "integration": ["integration/test_*.c", "integration/test_*.py"],
            "e2e": ["e2e/test_*.py"]}.items():
        for path in sorted(p for q in patterns for p in glob.glob(os.path.join(HERE, q))):
            found.append(Program(stem(path), suite, os.path.relpath(path, ROOT)))
    plain = [p for p in found if p.suite != "e2e"]
    wanted = {p.path: runs_with(p.path) for p in found if p.suite == "e2e"}
    return plain + [dataclasses.replace(p, name=f"{p.name}[{d},{v}]", pymilvus=v, deployment=d)
                    for d in DEPLOYMENTS for v in PYMILVUS for p in found
                    if p.suite == "e2e" and d in wanted[p.path] and v in wanted[p.path]]


def runs_with(path):
    """The deployments and clients of an e2e test: all, unless its head has a line
    "Runs with: standalone" or "Runs with: standalone 2.6.17"."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        said = re.search(r"^Runs with: (.*)$", f.read(4000), re.M)
    words = said.group(1).split() if said else []
    unknown = set(words) - set(DEPLOYMENTS) - set(PYMILVUS)
    if unknown:
        raise SystemExit(f"{path}: Runs with: {' '.join(unknown)}: neither one of "
                         f"{DEPLOYMENTS} nor of {PYMILVUS}")
    return [*([d for d in DEPLOYMENTS if d in words] or DEPLOYMENTS),
            *([v for v in PYMILVUS if v in words] or PYMILVUS)]


# --- running one ------------------------------------------------------------------

def command(program, mode):
    if program.path.endswith(".c"):
        return [os.path.join(ROOT, "build", mode, os.path.splitext(program.path)[0])]
    python = venv(program.pymilvus) if program.pymilvus else sys.executable
    return [python, os.path.join(HERE, "support", "pytests.py"), os.path.join(ROOT, program.path)]


def venv(version):
    """The Python that has this pymilvus; made on first use."""
    made = subprocess.run([os.path.join(ROOT, "scripts", "venv.sh"), version],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if made.returncode != 0:
        raise servers.Missing(made.stderr.strip())
    return made.stdout.strip()


def set_environment(mode):
    """What every program and server of this run finds."""
    os.environ.update({
        "ELANUS_MODE": mode, "PYTHONUNBUFFERED": "1",
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # libzmq and its like are not built for tsan: their side of a race is unknown
        "TSAN_OPTIONS": "second_deadlock_stack=1:ignore_noninstrumented_modules=1"})


def run(program, mode, extra, seconds):
    """Run one program to its end or its limit."""
    out = Outcome()
    begin = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command(program, mode), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(os.environ, **extra), start_new_session=True)
        try:
            status = child.wait(seconds)
            if status != 0:
                out.trouble = (f"exit status {status}" if status > 0
                               else f"killed by {signal.Signals(-status).name}")
        except subprocess.TimeoutExpired:
            out.trouble = f"not done after {seconds} s"
        finally:
            kill_group(child)
        log.seek(0)
        out.output = log.read().decode("utf-8", "replace")
    out.seconds = time.monotonic() - begin
    count(out)
    return out


def kill_group(child):
    """Whatever the program started goes with it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def count(out):
    """Read cmocka's lines.  A program that broke counts as one failure at least,
    and so does one that ran nothing."""
    reason, last, repeating = "", "", False
    for line in out.output.splitlines():
        if line.startswith("[==========]"):
            repeating = "Running" not in line       # a group's end: cmocka lists it again
        elif repeating:
            continue
        elif line.startswith("[       OK ]"):
            out.passed += 1
        elif re.match("skip(ped)?: ", line):
            reason = line.split(": ", 1)[1]
        elif re.match(r"\[  FAILED  \] (?!\d+ test)", line):
            out.failed += 1
        elif re.match(r"\[  SKIPPED \] (?!\d+ test)", line):
            out.skips.append((line[len("[  SKIPPED ] "):], reason or last or "it gives no reason"))
        elif line.startswith("[ RUN      ]"):
            reason = last = ""
        elif not line.startswith("["):
            last = line                             # its last words, when it says no "skip:"
    if out.trouble and out.failed == 0:
        out.failed = 1
    if not out.trouble and out.failed:
        out.trouble = f"{out.failed} failed"
    if out.passed + out.failed + len(out.skips) == 0:
        out.failed, out.trouble = 1, "it ran no test"


# --- the stores and deployments that suites need -------------------------------------

class Surroundings:
    """Starts etcd, S3 and deployments when the first program asks for them.

    What cannot be started because it is not installed is remembered as a
    reason; the programs then skip."""

    def __init__(self):
        self.place = servers.Workplace()
        self.made = {}

    def once(self, name, make):
        if name not in self.made:
            try:
                self.made[name] = (make(), "")
            except servers.Missing as why:
                self.made[name] = (None, str(why))
        return self.made[name]

    def etcd(self):
        return self.once("etcd", lambda: self.place.start(servers.Etcd(self.place)))

    def s3(self):
        return self.once("s3", self._s3)

    def _s3(self):
        server = self.place.start(servers.S3(self.place))
        print(f"      S3 server of this run: {server.kind} ({server.command[0]})", flush=True)
        return server

    def deployment(self, name):
        """(something with .grpc and .ops, "") or (None, why not)."""
        return self.once(name, getattr(self, "_" + name))

    def _standalone(self):
        flags = servers.standalone_flags(self.place.path("standalone"))
        return self.place.start(servers.Daemon(self.place, "standalone", flags))

    def _cluster(self):
        (etcd, why), (s3, why_s3) = self.etcd(), self.s3()
        if not etcd or not s3:
            raise servers.Missing(why or why_s3)
        return servers.Cluster(self.place, etcd, s3, root="e2e").start()

    def variables(self, program):
        """What a program finds in its environment.  servers.Missing: skip it."""
        if program.suite == "integration" and program.path.endswith(".c"):
            (etcd, _), (s3, _) = self.etcd(), self.s3()
            return {name: at.address for name, at in
                    (("ELANUS_TEST_ETCD", etcd), ("ELANUS_TEST_S3", s3)) if at}
        if program.suite == "e2e":
            at, why = self.deployment(program.deployment)
            if not at:
                raise servers.Missing(why)
            return {"ELANUS_TEST_GRPC": at.grpc, "ELANUS_TEST_OPS": at.ops,
                    "ELANUS_TEST_DEPLOYMENT": program.deployment,
                    "ELANUS_TEST_PYMILVUS": program.pymilvus}
        return {}


# --- the whole run --------------------------------------------------------------------

def attempt(program, around, args):
    try:
        extra = around.variables(program)
        limit = args.timeout or LIMIT_S[program.suite] * MODE_SLOWER[args.mode]
        return run(program, args.mode, extra, limit)
    except servers.Missing as why:
        return Outcome(skips=[(program.name, str(why))])
    except FileNotFoundError as why:
        return Outcome(failed=1, trouble=f"{why.filename} is not built: make tests")
    except (servers.Failure, OSError) as why:
        return Outcome(failed=1, trouble=str(why).splitlines()[0], output=str(why))


def report(program, out, verbose):
    counts = [f"{out.passed} passed"] if out.passed else []
    counts += [f"{out.failed} failed"] if out.failed else []
    counts += [f"{len(out.skips)} skipped"] if out.skips else []
    word = "FAIL" if out.failed else "ok" if out.passed else "skip"
    print(f"{word:<5} {program.name:<44} {', '.join(counts):<32} {out.seconds:6.1f} s", flush=True)
    for line in re.findall(r"^note: .*", out.output, re.M):
        print("      " + line)
    for test, reason in out.skips:
        print(f"      skipped {test}: {reason}", flush=True)
    if out.failed or verbose:
        for line in out.output.splitlines():
            print("    | " + line)
    if out.failed:
        print(f"      {program.name}: {out.trouble}", flush=True)


def left_well(around):
    """Stop the deployments; a daemon that broke is a failure, whoever was asking it."""
    try:
        around.place.close()
        return []
    except servers.Failure as why:
        print(why, flush=True)
        return ["deployments"]


def stop_on_signal(number, frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("words", nargs="*", help="run only programs whose name contains one")
    parser.add_argument("--mode", default=os.environ.get("MODE", "release"), choices=MODE_SLOWER)
    parser.add_argument("--list", action="store_true", help="print names, run nothing")
    parser.add_argument("--timeout", type=int, help="seconds a program may take")
    parser.add_argument("-v", "--verbose", action="store_true", help="show all output")
    args = parser.parse_args()
    chosen = [p for p in programs() if not args.words or any(w in p.name for w in args.words)]
    if args.list:
        print("\n".join(p.name for p in chosen))
        return 0
    if not chosen:
        print(f"no test program matches {' '.join(args.words)}", file=sys.stderr)
        return 2

    signal.signal(signal.SIGTERM, stop_on_signal)
    begin = time.monotonic()
    set_environment(args.mode)
    around = Surroundings()
    total, broken = Outcome(), []
    try:
        for program in chosen:
            out = attempt(program, around, args)
            report(program, out, args.verbose)
            total.passed += out.passed
            total.failed += out.failed
            total.skips += out.skips
            broken += [program.name] if out.failed else []
    finally:
        broken += left_well(around)
    total.failed += "deployments" in broken
    for name in broken:
        print(f"failed: {name}")
    print(f"{len(chosen)} programs, mode {args.mode}, {time.monotonic() - begin:.0f} s")
    skipped = f", {len(total.skips)} skipped" if total.skips else ""
    print(f"{total.passed} passed, {total.failed} failed{skipped}", flush=True)
    return 1 if broken or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

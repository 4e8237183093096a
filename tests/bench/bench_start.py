#!/usr/bin/env python3
"""bench_start - what standalone costs before anybody uses it.

    time from exec to the ready line    median of 10 starts    target <= 0.3 s
    resident memory when idle           after 10 s             target <  20 MB
    CPU time of those 10 s idle         user + system          target near 0 (<= 0.05 s)

Starts on a fresh data directory and on a used one are timed apart.  Memory is
VmRSS split into what is the process's own (anonymous) and mapped files.
Prints a table, saves build/bench/start.json, and exits 1 when a target is
missed on a release build.
"""
import json
import os
import re
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import servers  # noqa: E402

STARTS, IDLE_S = 10, 10
TARGETS = {"ready_s": 0.3, "rss_mb": 20.0, "idle_cpu_s": 0.05}


def start(place, data):
    flags = servers.standalone_flags(place.path(data))
    return place.start(servers.Daemon(place, "standalone", flags))


def timed_starts(place, fresh):
    times = []
    for n in range(STARTS):
        daemon = start(place, f"fresh{n}" if fresh else "used")
        times.append(daemon.ready_s)
        daemon.term()
    return times


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        status = f.read()
    return {key: int(re.search(rf"^{key}:\s+(\d+) kB", status, re.M).group(1)) / 1024
            for key in ("VmRSS", "RssAnon", "RssFile")}


def context_switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
    return total


def idle(place):
    """Let a just started one rest, and measure only the rest."""
    daemon = start(place, "idle")
    time.sleep(1)
    cpu, woken = daemon.cpu_seconds(), context_switches(daemon.pid)
    time.sleep(IDLE_S)
    result = {"cpu_s": daemon.cpu_seconds() - cpu,
              "wakeups_per_s": (context_switches(daemon.pid) - woken) / IDLE_S,
              "threads": len(os.listdir(f"/proc/{daemon.pid}/task")), **memory_mb(daemon.pid)}
    daemon.term()
    return result


def main():
    with servers.Workplace() as place:
        fresh, used = timed_starts(place, True), timed_starts(place, False)
        rest = idle(place)
    found = {"ready_s": statistics.median(fresh), "ready_used_s": statistics.median(used),
             "ready_worst_s": max(fresh + used), "rss_mb": rest["VmRSS"],
             "rss_own_mb": rest["RssAnon"], "rss_files_mb": rest["RssFile"],
             "idle_cpu_s": rest["cpu_s"], "idle_wakeups_per_s": rest["wakeups_per_s"],
             "threads": rest["threads"]}
    for key, value in found.items():
        target = f"target {TARGETS[key]:g}" if key in TARGETS else ""
        print(f"{key:<20} {value:10.3f}   {target}")
    os.makedirs(os.path.join(servers.ROOT, "build/bench"), exist_ok=True)
    with open(os.path.join(servers.ROOT, "build/bench/start.json"), "w", encoding="ascii") as f:
        json.dump(found, f, indent=2)
    missed = [key for key, target in TARGETS.items() if found[key] > target]
    if missed and servers.mode() == "release":
        print("missed:", ", ".join(missed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""ways - lab 11: the same cluster, by Docker or as processes of this machine.

Both tell in the same words: up(), doors(), kill(), back(), scale(), list(), down().  Every
command is printed before it is run, so that it can be typed by hand another time.
"""
import json
import os
import shutil
import signal
import subprocess
import threading

import lab

UP_S, ORDER_S = 120, 60


def say(words):
    """The command as it is typed where elanus is on the PATH."""
    print("   $ " + " ".join(["elanus" if word == lab.elanus() else word for word in words]),
          flush=True)


def order(words, cwd=None, quiet=False, seconds=ORDER_S):
    """Run a command; its output.  What it says in anger ends the lab."""
    if not quiet:
        say(words)
    try:
        done = subprocess.run(words, cwd=cwd, text=True, capture_output=True, check=False,
                              timeout=seconds)
    except FileNotFoundError as gone:
        raise lab.Trouble(f"there is no command {words[0]}", lab.USAGE) from gone
    except subprocess.TimeoutExpired as late:
        raise lab.Trouble(f"{' '.join(words)}: not done within {seconds} s",
                          lab.BROKEN) from late
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise lab.Trouble(f"{' '.join(words)} ended with {done.returncode}:\n  "
                          + "\n  ".join(last), lab.BROKEN)
    return done.stdout.rstrip()


class Processes:
    """`elanus up` in a directory."""

    name, scale_to = "processes", 3

    def __init__(self, arguments):
        self.dir, self.port = arguments.dir, arguments.port
        self.program = lab.elanus()
        self.process, self.made = None, False

    def look(self):
        """Can it be done here?"""
        if not os.access(lab.elanus(), os.X_OK):
            raise lab.Trouble(f"{lab.elanus()} is not there: run make first", lab.USAGE)
        if os.path.isdir(self.dir) and os.listdir(self.dir):
            raise lab.Trouble(f"{self.dir} is not empty: give an empty directory with --dir, or "
                              "remove that one", lab.USAGE)

    def up(self):
        words = [self.program, "up", "--dir", self.dir, "--port", str(self.port), "--coords", "2",
                 "--proxies", "2", "--datanodes", "2", "--querynodes", "2"]
        say(words + ["&"])
        self.made = True
        self.process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        said = []
        for line in self.process.stdout:
            said.append(line.rstrip())
            if line.startswith("elanus ready "):
                # It may say more: a full pipe would stop it.
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return
        raise lab.Trouble("the cluster did not come up:\n  " + "\n  ".join(said[-5:]) +
                          "\n  an etcd and an S3 server are needed: make deps gets them",
                          lab.NOTHING)

    def doors(self):
        """[(clients' port, operations port)] of the proxies that are up."""
        return [(one["grpc"], one["ops"]) for one in lab.processes(self.dir)
                if one["name"].startswith("proxy-") and one["state"] == "ready"]

    def list(self):
        return order([self.program, "ps", "--dir", self.dir])

    def pick(self, role, leader_ops):
        """Which of a role to kill: of the coordinators the one that leads."""
        of = [one for one in lab.processes(self.dir)
              if one["name"].rsplit("-", 1)[0] == role and one["state"] == "ready"]
        return next((one["name"] for one in of if one["ops"] == leader_ops), of[0]["name"])

    def kill(self, role, leader):
        name = self.pick(role, leader["ops_address"] if leader else None)
        order([self.program, "kill", "--dir", self.dir, name])
        return name

    def back(self, name):
        order([self.program, "resume", "--dir", self.dir, name])

    def scale(self):
        order([self.program, "add", "--dir", self.dir, "querynode"])

    def down(self):
        if self.process and self.process.poll() is None:
            order([self.program, "down", "--dir", self.dir])
            self.process.wait(ORDER_S)

    def erase(self):
        if self.made:
            say(["rm", "-r", self.dir])
            shutil.rmtree(self.dir, ignore_errors=True)

    def abandon(self):
        """The lab breaks off: leave nothing running."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(ORDER_S)


class Docker:
    """docker-compose.yml of this source tree."""

    name, scale_to = "docker", 3

    def __init__(self, arguments):
        self.started = False

    @staticmethod
    def compose(*words, **more):
        return order(["docker", "compose", *words], cwd=lab.ROOT, **more)

    def look(self):
        if not shutil.which("docker"):
            raise lab.Trouble("there is no docker command; --with processes does the same "
                              "without", lab.USAGE)
        order(["docker", "version", "--format", "{{.Server.Version}}"], quiet=True)
        order(["docker", "compose", "version", "--short"], quiet=True)

    def up(self):
        self.started = True
        self.compose("up", "-d", "--build", "--wait", seconds=20 * UP_S)

    def doors(self):
        all_doors = {"proxy": ("127.0.0.1:19530", "127.0.0.1:9091"),
                     "proxy-2": ("127.0.0.1:19531", "127.0.0.1:9092")}
        running = self.compose("ps", "--services", "--status", "running", quiet=True).split()
        return [doors for service, doors in all_doors.items() if service in running]

    def list(self):
        return self.compose("ps")

    def pick(self, role, leader_host):
        """Of the coordinators' services the one whose container leads: its host name is the
        beginning of the container's id."""
        services = {"coord": ["coord", "coord-standby"]}.get(role, [role])
        for service in services:
            for container in self.compose("ps", "-q", service, quiet=True).split():
                if leader_host and container.startswith(leader_host):
                    return service
        return services[0]

    def kill(self, role, leader):
        """A service with several containers loses one of them."""
        service = self.pick(role, leader["host"] if leader else None)
        containers = self.compose("ps", "-q", service, quiet=True).split()
        if len(containers) < 2:
            self.compose("kill", service)
        else:
            names = json.loads(order(["docker", "inspect", containers[0]], quiet=True))
            order(["docker", "kill", names[0]["Name"].lstrip("/")])
        return service

    def back(self, name):
        self.compose("start", name)

    def scale(self):
        self.compose("up", "-d", "--no-recreate", "--scale", "querynode=3", seconds=UP_S)

    def down(self):
        self.compose("down", "--timeout", "5", seconds=UP_S)

    def erase(self):
        print("   the data stays in ./volumes; sudo rm -r volumes removes it")

    def abandon(self):
        if self.started:
            print("   the containers still run; docker compose down ends them")


WAYS = {"processes": Processes, "docker": Docker}

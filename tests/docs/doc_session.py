"""doc_session - a shell in which the commands of one page run, in order.

    with Session(directory, own_net=True) as shell:
        code, output = shell.run("build/bin/elanus --help", 60)
        up = shell.stay("build/bin/elanus up --dir ./cluster")     # a terminal of its own
        …
        up.interrupt()

With a network of its own (where the kernel allows it) the ports that pages name, 19530 and 9091,
are free whatever else runs on the machine, and nothing in it can reach the outside.  Everything
that was started ends with the session.
"""
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DOC_PYTHON = os.path.join(HERE, "doc_python.py")
OWN_NET = os.path.join(HERE, "own_net.py")


class TooLong(Exception):
    """A command did not come to its end; the text has what it printed."""


class Gone(Exception):
    """The shell itself ended."""


def can_have_own_net():
    return subprocess.run([sys.executable, OWN_NET, "true"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _stat(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, group, session, …"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


class Staying:
    """A command that goes on while others run."""

    def __init__(self, shell, group, path):
        self.shell, self.group, self.path = shell, group, path

    def output(self):
        return self.shell.read(self.path)

    def alive(self):
        fields = _stat(self.group)
        return fields is not None and fields[0] != "Z"

    def interrupt(self, seconds=60):
        """Control-C, and wait until it is gone."""
        if self.alive():
            os.killpg(self.group, signal.SIGINT)
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                raise TooLong(f"it went on for {seconds} s after Control-C\n{self.output()}")
            time.sleep(0.05)


class Python:
    """One Python for all blocks of a page, so that a later one knows the names of an earlier."""

    def __init__(self, shell, interpreter):
        self.folder, self.count, self.said = tempfile.mkdtemp(dir=shell.notes), 0, 0
        self.process = shell.stay(f"{interpreter} {DOC_PYTHON} {self.folder}")

    def run(self, text, seconds):
        """(exit status, what it printed)"""
        path = os.path.join(self.folder, f"{self.count}.py")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)
        end, done = time.monotonic() + seconds, path[:-3] + ".rc"
        while not os.path.exists(done):
            if time.monotonic() > end or not self.process.alive():
                raise TooLong(f"it did not end within {seconds:g} s\n{self.process.output()}")
            time.sleep(0.02)
        self.count += 1
        output = self.process.output()[self.said:]
        self.said += len(output)
        with open(done, encoding="ascii") as f:
            return int(f.read()), output


class Session:
    def __init__(self, directory, own_net=False):
        self.directory, self.count = directory, 0
        self.notes = tempfile.mkdtemp(prefix="elanus-docs-shell-")
        with open(os.path.join(self.notes, ".curlrc"), "w", encoding="ascii") as f:
            f.write("silent\nshow-error\n")       # no progress bar, as when a terminal is there
        read_end, write_end = os.pipe()
        command = [sys.executable, OWN_NET] if own_net else []
        self.bash = subprocess.Popen(
            [*command, "bash", "--noprofile", "--norc"], cwd=directory, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[write_end],
            start_new_session=True, preexec_fn=_die_with_parent,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "100", "CURL_HOME": self.notes})
        os.close(write_end)
        self.answers, self.answer_fd = os.fdopen(read_end, "rb", buffering=0), write_end
        self.say("set -m")                  # each command in a process group, as in a terminal

    def say(self, line):
        try:
            self.bash.stdin.write(line.encode() + b"\n")
            self.bash.stdin.flush()
        except BrokenPipeError:
            raise Gone("the shell has ended") from None

    def _script(self, text):
        self.count += 1
        path = os.path.join(self.notes, f"{self.count}.sh")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\n")
        out = path[:-3] + ".out"
        open(out, "w", encoding="utf-8").close()
        return path, out

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _answer(self, seconds):
        """One line of the shell's; None when it does not come in time."""
        end, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.answers], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            byte = self.answers.read(1)
            if not byte:
                raise Gone("the command ended the shell")
            line += byte
        return line.decode().split()

    def run(self, text, seconds):
        """(exit status, what it printed); TooLong ends everything in the session."""
        path, out = self._script(text)
        fd = self.answer_fd
        self.say(f". {path} >{out} 2>&1 </dev/null {fd}>&-; echo $? >&{fd}")
        answer = self._answer(seconds)
        if answer is None:
            said = self.read(out)
            self.kill()
            raise TooLong(f"it did not end within {seconds:g} s\n{said}")
        return int(answer[0]), self.read(out)

    def stay(self, text):
        """Start a command that goes on."""
        path, out = self._script(text)
        fd = self.answer_fd
        self.say(f"(. {path}) >{out} 2>&1 </dev/null {fd}>&- & echo $! >&{fd}")
        return Staying(self, int(self._answer(20)[0]), out)

    def _members(self):
        for name in os.listdir("/proc"):
            fields = _stat(name) if name.isdigit() else None
            if fields and int(fields[3]) == self.bash.pid and fields[0] != "Z":
                yield int(name)

    def kill(self):
        """End everything that was started here and is still there."""
        while True:
            left = list(self._members())
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        self.bash.wait()

    def close(self):
        self.kill()
        self.bash.stdin.close()
        self.answers.close()
        shutil.rmtree(self.notes, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

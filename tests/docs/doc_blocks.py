"""doc_blocks - the code blocks of a Markdown page, and what the page says about running them.

    <!-- run: needs=cluster; timeout=30 -->        before a block: how it is run
    <!-- not run: it takes an hour -->             … or why it is not

A block whose first line begins with "$ " is a session: commands after "$ ", below each one what
it prints.  A command goes on after a backslash at the end of a line, and up to the end of a here
document.  Any other block that shows commands needs one of the two comments (unmarked() finds
those that have none), so nothing that a page tells people to type escapes docs-test.
"""
import dataclasses
import os
import re

NEEDS = ("none", "standalone", "cluster", "docker", "pymilvus", "minilm")
FLAGS = ("stays", "retry", "fails")
KEYS = ("name", "needs", "timeout", "language", "stop")
SHELLS = ("sh", "bash", "shell", "console", "shell-session")
# How a line begins by which a block without a language is taken for commands.
COMMAND = re.compile(r"""(?:[A-Z_]+=\S*\ )*                       # MODE=asan make test
    (?:(?:apt-get|bash|cat|cd|cp|curl|docker|du|echo|elanus|etcdctl|export|gdb|git|grep|kill|ls|
          make|mc|mkdir|mv|npm|pip3?|promtool|prometheus|python3?|rm|sed|sleep|ssh|sudo|tar|wget
       )(?:\s|$)
      |(?:build/bin|scripts|tests|labs|\.)/[\w.]
      |(?:from|import)\ pymilvus)""", re.X)
COMMENT = re.compile(r"<!-- (run|not run):\s*(.*?)\s*-->\s*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*([\w+-]*)")
LIST_ITEM = re.compile(r"( {0,3}(?:[-*+]|\d+[.)])\s+)\S")
HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


class Wrong(Exception):
    """The page says something about a block that nobody understands."""


@dataclasses.dataclass
class Command:
    """One command of a session; `at` is the line, from 0, of the first line it prints."""
    text: str
    shown: list
    at: int


@dataclasses.dataclass
class Block:
    line: int                   # of its first line of code, from 0
    indent: str                 # what stands before each line
    language: str               # of the fence; "" when there is none
    lines: list
    marker: dict = None         # None: no comment
    why_not: str = ""           # of "not run"

    @property
    def session(self):
        return bool(self.lines) and self.lines[0].startswith("$ ")

    @property
    def python(self):
        return (self.marker or {}).get("language", self.language) == "python"

    def commands(self):
        """What is to be run, in order, each with what it is said to print."""
        if not self.session:
            return [Command("\n".join(self.lines), [], self.line + len(self.lines))]
        found, at = [], 0
        while at < len(self.lines):
            end = _command_end(self.lines, at)
            shown = end
            while shown < len(self.lines) and not self.lines[shown].startswith("$ "):
                shown += 1
            text = "\n".join([self.lines[at][2:], *self.lines[at + 1:end]])
            found.append(Command(text, self.lines[end:shown], self.line + end))
            at = shown
        return found

    def shows_commands(self):
        """Whether a reader takes it for something to type."""
        if self.session or self.language in (*SHELLS, "python"):
            return True
        return not self.language and any(COMMAND.match(line) for line in self.lines)


def _command_end(lines, at):
    """The line behind the command that begins at `at`."""
    here = HERE.search(lines[at])
    if here and "<<<" not in lines[at]:
        stop = here.group(2)
        for end in range(at + 1, len(lines)):
            if lines[end].strip() == stop:
                return end + 1
        raise Wrong(f"no line {stop} ends the here document of: {lines[at]}")
    while lines[at].endswith("\\") and at + 1 < len(lines):
        at += 1
    return at + 1


def read_marker(words):
    """needs=cluster; stays → {"needs": ["cluster"], "stays": True}, or Wrong."""
    found = {"needs": [], "timeout": 60}
    for word in filter(None, (w.strip() for w in words.split(";"))):
        key, has_value, value = (part.strip() for part in word.partition("="))
        if has_value and key in KEYS and value:
            found[key] = value
        elif not has_value and key in FLAGS:
            found[key] = True
        else:
            raise Wrong(f"“{word}”: there are {', '.join(k + '=…' for k in KEYS)} and "
                        f"{', '.join(FLAGS)}")
    if isinstance(found["needs"], str):
        found["needs"] = [n.strip() for n in found["needs"].split(",")]
    for need in found["needs"]:
        if need not in NEEDS:
            raise Wrong(f"needs={need}: there are {', '.join(NEEDS)}")
    try:
        found["timeout"] = float(found["timeout"])
    except ValueError:
        raise Wrong(f"timeout={found['timeout']}: seconds, a number") from None
    return found


class _Page:
    """Walks over the lines once; `marker` waits for the block it stands before."""

    def __init__(self, text):
        self.lines = text.split("\n")
        self.blocks, self.marker, self.list_indent = [], None, 0

    def add(self, line, indent, language, code):
        block = Block(line, indent, language, code)
        if self.marker:
            kind, words, at = self.marker
            try:
                block.marker = read_marker(words) if kind == "run" else None
            except Wrong as why:
                raise Wrong(f"line {at + 1}: {why}") from None
            block.why_not = words if kind == "not run" else ""
        self.marker = None
        self.blocks.append(block)

    def fenced(self, at, fence):
        mark, language = fence.groups()
        indent = re.match(" *", self.lines[at]).group(0)
        end = at + 1
        while end < len(self.lines) and not self.lines[end].strip().startswith(mark):
            end += 1
        code = [line.removeprefix(indent) for line in self.lines[at + 1:end]]
        self.add(at + 1, indent, language.lower(), code)
        return end + 1

    def indented(self, at):
        least = " " * (self.list_indent + 4)
        end = last = at
        while end < len(self.lines) and (self.lines[end].startswith(least)
                                         or not self.lines[end].strip()):
            last = end if self.lines[end].strip() else last
            end += 1
        code = self.lines[at:last + 1]
        indent = os.path.commonprefix([re.match(" *", line).group(0) for line in code if line])
        self.add(at, indent, "", [line.removeprefix(indent) for line in code])
        return last + 1

    def text_line(self, at):
        line = self.lines[at]
        found, item = COMMENT.match(line), LIST_ITEM.match(line)
        if found or line.strip():
            if self.marker:
                raise Wrong(f"line {self.marker[2] + 1}: no block follows this comment")
        if found:
            self.marker = (*found.groups(), at)
        elif item:
            self.list_indent = len(item.group(1))
        elif line.strip() and not line.startswith(" "):
            self.list_indent = 0
        return at + 1

    def read(self):
        at = 0
        while at < len(self.lines):
            fence = FENCE.match(self.lines[at])
            after_blank = at == 0 or not self.lines[at - 1].strip()
            if fence:
                at = self.fenced(at, fence)
            elif after_blank and self.lines[at].startswith(" " * (self.list_indent + 4)) \
                    and self.lines[at].strip():
                at = self.indented(at)
            else:
                at = self.text_line(at)
        if self.marker:
            raise Wrong(f"line {self.marker[2] + 1}: no block follows this comment")
        return self.blocks


def read(text):
    """The blocks of a page, in order.  Wrong names the line it cannot make sense of."""
    return _Page(text).read()


def unmarked(text):
    """(line from 1, what is wrong) of blocks that show commands and would not be run."""
    try:
        blocks = read(text)
        bad = [(b.line + 1, f"nobody runs this: begin it with “$ ” or put <!-- run: … --> or "
                            f"<!-- not run: reason --> before it: {b.lines[0]}")
               for b in blocks if b.shows_commands() and not b.session
               and b.marker is None and not b.why_not]
        for block in blocks:
            if block.session:
                block.commands()
    except Wrong as why:
        return [(1, str(why))]
    return bad


def rewritten(text, changes):
    """The page with other outputs: changes are (Block, Command, lines that it prints)."""
    lines = text.split("\n")
    for block, command, printed in sorted(changes, key=lambda c: -c[1].at):
        new = [(block.indent + line).rstrip() for line in printed]
        lines[command.at:command.at + len(command.shown)] = new
    return "\n".join(lines)

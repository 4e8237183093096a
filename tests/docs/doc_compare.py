"""doc_compare - is what a command printed what the page shows?

Both are compared as tests/support/masked.py leaves them: numbers, ids, times, sizes and the widths
of columns may differ.  "…" or "..." on a line of its own in the page stands for any lines, "…" in
a line for any text.
"""
import difflib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from masked import mask  # noqa: E402


def printed(text):
    """The lines of an output as a terminal leaves them: what \\r wrote over is gone."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _strip(lines):
    lines = [mask(line) for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def same(shown, lines):
    """Whether the lines are those that are shown."""
    pattern = ""
    for line in _strip(shown):
        any_text = r"[^\n]*".join(re.escape(part) for part in line.split("…"))
        pattern += r"(?:[^\n]*\n)*?" if line in ("…", "...") else any_text + "\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in _strip(lines))) is not None


def arrived(shown, lines):
    """Whether all that is shown has come, in order, whatever else came between; for a command
    that goes on and logs."""
    between = ["…"]
    for line in shown:
        between += [line, "…"]
    return same(between, lines)


def difference(shown, lines):
    """What a person reads: the page's lines with -, the command's with +."""
    alike = difflib.SequenceMatcher(None, _strip(shown), [mask(line) for line in lines], False)
    found = []
    for kind, a, a_end, b, b_end in alike.get_opcodes():
        found += [f"  {line}" for line in lines[b:b_end]] if kind == "equal" else \
            [f"- {line}" for line in shown[a:a_end]] + [f"+ {line}" for line in lines[b:b_end]]
    return found

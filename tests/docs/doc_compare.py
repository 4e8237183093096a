"""doc_compare - is what a command printed what the page shows?

Numbers, ids and times of two runs differ, and with them the widths of columns: both sides are
compared with each number as N, units of time and size alike, and runs of spaces and of drawn
lines as one.  "…" or "..." on a line of its own in the page stands for any lines, "…" in a line for
any text.
"""
import difflib
import re

MASKS = [(re.compile(pattern), instead) for pattern, instead in (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),                                    # colours
    (r"\b(?=\w*\d)(?=\w*[a-f])[0-9a-f]{8,}\b", "N"),                    # ids in hexadecimal
    (r"(?:(?<=\s)|^|(?<=[=(\[]))[-+](?=\d)", ""),
    (r"\d+(?:[.,:_]\d+)*(?:e[-+]?\d+)?", "N"),
    (r"N ?(?:ns|us|µs|ms|s|min|h)\b", "N s"),
    (r"N ?(?:B|kB|[KMGT]i?B|bytes?)\b", "N B"),
    (r"([#=─━═-])\1+", r"\1"),
    (r"\[#*[ .]*\]", "[#]"),                                            # progress bars
    (r"[ \t]+", " "))]


def masked(line):
    for pattern, instead in MASKS:
        line = pattern.sub(instead, line)
    return line.strip()


def printed(text):
    """The lines of an output as a terminal leaves them: what \\r wrote over is gone."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _strip(lines):
    lines = [masked(line) for line in lines]
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
    alike = difflib.SequenceMatcher(None, _strip(shown), [masked(line) for line in lines], False)
    found = []
    for kind, a, a_end, b, b_end in alike.get_opcodes():
        found += [f"  {line}" for line in lines[b:b_end]] if kind == "equal" else \
            [f"- {line}" for line in shown[a:a_end]] + [f"+ {line}" for line in lines[b:b_end]]
    return found

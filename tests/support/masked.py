"""masked - compare what a command printed with the sample a document shows.

Numbers, sizes, times, identifiers and addresses differ from run to run; the
words and their order do not.  mask() leaves the words:

    querynode-7   12.5 %   68.0 MB   127.0.0.1:41877
    querynode-#   # %      SIZE      #:#

A line that is only "..." in a sample stands for any number of lines, none too:
for what is long, or comes in no fixed order.

    samples("labs/09-detect/README.md")     what a document shows, in order
    difference(sample, printed)             "" when they agree, else a readable diff
"""
import dataclasses
import difflib
import re

ELISION = "..."
RULES = [(re.compile(pattern), put) for pattern, put in (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),                            # colours, cursor
    (r"(?<![\w/.])/(?:tmp|var/tmp|home|root)/[^\s'\",;:()]*", "PATH"),
    (r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b", "#"),      # trace ids, digests
    (r"-?\d[\d,.]*\s?(?:[kKMGT]i?B|B|bytes?)(?:/s)?(?![\w/])", "SIZE"),
    (r"-?\d[\d,.]*\s?(?:us|µs|ms|s|min|h|d)(?!\w)", "TIME"),
    (r"\d+(?:[.,:]\d+)*", "#"),
    (r"(?<![^\s=(\[])-(?=#)", ""), (r"#e[-+]?#", "#"),            # a sign, an exponent
    (r"\[#* *\]", "[#]"),                                        # a progress bar
    (r"-{2,}", "--"), (r"={2,}", "=="), (r"─{2,}", "──"), (r"[█▇▆▅▄▃▂▁░#]{2,}", "#"),
    (r"\s+", " "))]


@dataclasses.dataclass
class Sample:
    """A fenced block of a document."""
    language: str               # the word behind the fence: console, text, python …
    line: int                   # of its first line, from 1
    text: str

    def commands(self):
        """[(command, its output)] of a console block: commands stand behind "$ "."""
        found = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\") and not found[-1][1]:
                found[-1] = (found[-1][0][:-1] + line.strip(), [])
            elif found:
                found[-1][1].append(line)
        return [(command, "\n".join(lines)) for command, lines in found]


def samples(path):
    """The fenced blocks of a Markdown file, also those indented in a list."""
    found, fence = [], None
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f.read().splitlines(), 1):
            mark = re.match(r"( *)```(\S*)", line)
            if mark and fence is None:
                fence = (len(mark.group(1)), Sample(mark.group(2), number + 1, ""))
            elif mark:
                found.append(fence[1])
                fence = None
            elif fence:
                fence[1].text += line[fence[0]:] + "\n"
    return found


def mask(line):
    """What of a line is the same in every run."""
    for pattern, put in RULES:
        line = pattern.sub(put, line)
    return line.strip()


def lines(text):
    """Masked, without empty lines."""
    return [masked for masked in map(mask, text.splitlines()) if masked]


def _pieces(sample):
    """A sample's lines between its elisions."""
    pieces = [[]]
    for line in lines(sample):
        if line == ELISION:
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces


def _find(piece, text, start):
    """Where a piece begins in the text, from start on; None when nowhere."""
    ends = len(text) - len(piece) + 1
    return next((i for i in range(start, ends) if text[i:i + len(piece)] == piece), None)


def difference(sample, printed):
    """A diff of the masked lines; "" when what was printed is as the sample shows."""
    pieces, text = _pieces(sample), lines(printed)
    if len(pieces) == 1:
        return _diff(pieces[0], text)
    first, *middle, last = pieces
    if text[:len(first)] != first:
        return _diff(first, text[:len(first)])
    at = len(first)
    for piece in middle:
        found = _find(piece, text, at)
        if found is None:
            return _diff(piece, text[at:])
        at = found + len(piece)
    rest = text[max(at, len(text) - len(last)):]
    return _diff(last, rest)


def _diff(wanted, got):
    if wanted == got:
        return ""
    return "\n".join(difflib.unified_diff(wanted, got, "the sample", "what was printed",
                                          lineterm="", n=2))

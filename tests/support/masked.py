"""masked - what of a line that a command printed is the same in every run.

Numbers, sizes, times, identifiers and addresses differ from run to run; the
words and their order do not.  mask() leaves the words:

    querynode-7   12.5 %   68.0 MB   127.0.0.1:41877
    querynode-#   # %      SIZE      #:#
"""
import re

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


def mask(line):
    """What of a line is the same in every run."""
    for pattern, put in RULES:
        line = pattern.sub(put, line)
    return line.strip()

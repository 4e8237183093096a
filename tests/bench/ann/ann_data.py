"""ann_data - the vectors that bench-index searches, and what is right.

    glove       341,479 English words x 100, from npm (scripts/glove.sh)
    minilm      sentences that every Debian has x 384 (scripts/minilm.sh): the documentation of
                Perl, Python and this repository; made once, kept in the cache
    clustered   made up from a fixed seed, x 128; needs nothing

Rows are permuted, always the same way, and made of length 1; the first 2,000 are the
queries, the next ones the base.  The exact answer is computed by scores in float64.
"""
import ast
import glob
import os
import re
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
CACHE = os.environ.get("ELANUS_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "elanus")
QUERIES, K = 2000, 10
SENTENCES = 22_000              # minutes on two cores, once
SPARE = 20                      # rows beyond K that are scored again in float64
TIE = 1e-6                      # scores so near are equal: duplicates under other numbers


class Missing(Exception):
    """A set that cannot be had here; the text says why."""


# --- sentences ---------------------------------------------------------------------------

def _paragraphs_of_pod(text):
    """Prose of Perl's documentation: not indented, no commands, formatting codes taken off."""
    for pod in re.findall(r"^=[a-z].*?(?:^=cut|\Z)", text, re.M | re.S):
        for paragraph in pod.split("\n\n"):
            if paragraph and not paragraph[0].isspace() and not paragraph.startswith("="):
                yield re.sub(r"[BCEFILSXZ]<+([^<>]*)>+", r"\1", paragraph)


def _paragraphs_of_python(text):
    """Docstrings, and the long texts of pydoc's topics."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and \
                node.value.count(" ") > 6:
            yield from re.split(r"\n\s*\n", node.value)


def _paragraphs(text):
    yield from re.split(r"\n\s*\n", text)


def _sentences(paragraph):
    line = re.sub(r"\s+", " ", paragraph).strip()
    for sentence in re.split(r"(?<=[a-z)])[.!?:] ", line):
        letters = sum(c.isalpha() or c == " " for c in sentence)
        if 30 <= len(sentence) <= 200 and sentence[0].isalpha() and \
                sentence.count(" ") >= 5 and letters >= 0.85 * len(sentence):
            yield sentence.strip()


def sentences(most):
    """Different ones, the same choice and order on the same machine."""
    places = [("/usr/share/perl/5.*.*/**/*.p[mo]d", _paragraphs_of_pod),
              ("/usr/share/perl/5.*.*/**/*.pm", _paragraphs_of_pod),
              ("/usr/lib/python3*/**/*.py", _paragraphs_of_python),
              ("/usr/share/common-licenses/*", _paragraphs),
              (f"{ROOT}/**/*.md", _paragraphs)]
    found = set()
    for pattern, paragraphs in places:
        for path in sorted(glob.glob(pattern, recursive=True)):
            if os.path.isfile(path) and "/build/" not in path:
                with open(path, encoding="utf-8", errors="replace") as f:
                    for paragraph in paragraphs(f.read()):
                        found.update(_sentences(paragraph))
    found = sorted(found)
    np.random.default_rng(3).shuffle(found)
    return found[:most]


def _bar(done, of):
    if done % 3200 < 32 or done == of:
        print(f"\r    sentences to vectors: {done:,} of {of:,}", end="\n" if done == of else "",
              file=sys.stderr, flush=True)


def _run(script):
    got = subprocess.run([os.path.join(ROOT, "scripts", script), sys.executable],
                         stdout=subprocess.PIPE, check=False, text=True)
    if got.returncode:
        raise Missing(f"scripts/{script} failed")
    return got.stdout.strip()


def minilm():
    """Made at the first call: what the machine says may change, the cache does not."""
    directory = os.path.join(CACHE, f"minilm-text-{SENTENCES}")
    path = os.path.join(directory, "vectors.npy")
    if not os.path.exists(path):
        model = _run("minilm.sh")
        lines = sentences(SENTENCES)
        sys.path.insert(0, os.path.join(ROOT, "scripts"))
        from minilm import Minilm  # what it imports came with minilm.sh
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "sentences.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        np.save(path + ".tmp.npy", Minilm(model).embed(lines, progress=_bar))
        os.rename(path + ".tmp.npy", path)
    return np.load(path)


# --- sets ---------------------------------------------------------------------------------

def glove():
    return np.load(os.path.join(_run("glove.sh"), "vectors.npy"))


def clustered():
    rng = np.random.default_rng(5)
    n, dim = 110_000, 128
    centres = rng.standard_normal((n // 500, dim)) * 0.5
    return (centres[rng.integers(len(centres), size=n)] +
            0.6 * rng.standard_normal((n, dim))).astype(np.float32)


SETS = {"glove": glove, "minilm": minilm, "clustered": clustered}


def load(name, rows):
    """(base, queries): float32, of length 1."""
    if name not in SETS:
        raise Missing(f"DATASETS has {name}; there are {', '.join(SETS)}")
    table = SETS[name]()
    table = table[np.random.default_rng(7).permutation(len(table))][:QUERIES + rows]
    table = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return (np.ascontiguousarray(table[QUERIES:], dtype=np.float32),
            np.ascontiguousarray(table[:QUERIES], dtype=np.float32))


# --- what is right --------------------------------------------------------------------------

class Truth:
    """Which rows are among the K nearest of each query, of all rows or of those kept."""

    def __init__(self, base, queries, keep=None):
        self.base, self.queries = base, queries
        rows = np.arange(len(base)) if keep is None else np.flatnonzero(keep)
        kept = base if keep is None else base[rows]
        self.n = min(K, len(rows))
        self.least = np.empty(len(queries))
        for at in range(0, len(queries), 100):
            part = queries[at:at + 100]
            scores = part @ kept.T
            many = min(K + SPARE, len(rows))
            near = np.argpartition(-scores, many - 1, axis=1)[:, :many]
            for i, some in enumerate(near):
                exact = kept[some].astype(np.float64) @ part[i].astype(np.float64)
                self.least[at + i] = np.sort(exact)[-self.n]
        self.keep = keep

    def recall(self, found):
        """found [queries][K]: rows; out of range where there are fewer."""
        hits = 0
        for query, least, rows in zip(self.queries, self.least, found):
            rows = np.unique(rows[(rows >= 0) & (rows < len(self.base))])
            if self.keep is not None:
                rows = rows[self.keep[rows]]
            scores = self.base[rows].astype(np.float64) @ query.astype(np.float64)
            hits += min(int((scores >= least - TIE).sum()), self.n)
        return hits / (self.n * len(found))

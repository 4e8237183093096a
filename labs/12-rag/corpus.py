"""corpus - the documents of lab 12, cut into passages that know where they stand.

A document is a file: Python modules (their docstrings), this project's Markdown pages, licences
that Debian has in /usr/share/common-licenses.  It is cut into sections by what it says itself
(a docstring, a heading), a section into passages of whole sentences.  Neighbouring passages share
a sentence or two, so that what is said across a cut is in one of them as a whole.

    passages = corpus.read(corpus.ALL)
    passages[0].source, .first, .last, .title, .text
"""
import ast
import dataclasses
import glob
import os
import re
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STDLIB = sysconfig.get_paths()["stdlib"]
WORDS = 90                      # of a passage; MiniLM reads 128 pieces of words
OVERLAP = 25                    # words that a passage shares with the one before, at most
WORDS_LEAST = 5                 # "Return x." answers nothing

MODULES = """shutil bisect calendar getpass heapq textwrap gzip glob secrets copy tempfile functools
    queue""".split()
LICENCES = ["GPL-3", "Apache-2.0"]
PAGES = ["README.md", "docs/OPERATING.md"]
SMALL = {"modules": ["shutil", "bisect", "getpass"], "licences": ["Apache-2.0"],
         "pages": []}
ALL = {"modules": MODULES, "licences": LICENCES, "pages": PAGES}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclasses.dataclass
class Passage:
    """Sentences of one section of one file."""
    source: str                 # as it is shown: python3.11/shutil.py
    title: str                  # shutil.copytree
    sentences: list             # [[(word, line), …]]

    @property
    def first(self):
        return self.sentences[0][0][1]

    @property
    def last(self):
        return self.sentences[-1][-1][1]

    @property
    def text(self):
        return " ".join(said(sentence) for sentence in self.sentences)

    def cited(self):
        """[[line, sentence], …]: what an answer quotes, and where it stands."""
        return [[sentence[0][1], said(sentence)] for sentence in self.sentences]


def said(sentence):
    return " ".join(word for word, _ in sentence)


# --- files to sections: (title, [(line number, line)]) -------------------------------------

def docstrings(path, module):
    """Each docstring of a Python file, as its lines are written there."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    lines = text.split("\n")
    waiting = [(module, ast.parse(text))]
    while waiting:
        name, node = waiting.pop(0)
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            at = node.body[0].value
            yield name, [(number, re.sub(r'^\s*[rR]?"""\\?|"""\s*$', " ", lines[number - 1]))
                         for number in range(at.lineno, at.end_lineno + 1)]
        for inner in node.body:
            if isinstance(inner, DOCUMENTED) and not inner.name.startswith("_"):
                waiting.append((f"{name}.{inner.name}", inner))
            elif isinstance(inner, (ast.If, ast.Try)):      # what only some systems have
                waiting.append((name, inner))


def headed(path, name, heading):
    """The parts of a text under its headings; the first may have none."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = list(enumerate(f.read().split("\n"), 1))
    title, part = name, []
    for number, line in lines:
        found = re.match(heading, line)
        if found:
            yield title, part
            title, part = f"{name}: {found.group(1).strip()}", [(number, line[found.end():])]
        elif not re.search("[│┌└─▼►]|^```|^<!--", line):         # pictures and marks say nothing
            part.append((number, line))
    yield title, part


def sections(which):
    """(source, title, lines) of every section of the chosen documents that this machine has."""
    python = os.path.basename(STDLIB)
    for module in which["modules"]:
        path = os.path.join(STDLIB, module + ".py")
        if os.path.exists(path):
            name = module.replace("/__init__", "").replace("/", ".")
            for title, lines in docstrings(path, name):
                yield f"{python}/{module}.py", title, lines
    for name in which["licences"]:
        path = os.path.join("/usr/share/common-licenses", name)
        if os.path.exists(path):
            for title, lines in headed(path, name, r"\s{0,9}\d+\.\s+([A-Z][^.]*)\."):
                yield f"common-licenses/{name}", title, lines
    for pattern in which["pages"]:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            name = os.path.relpath(path, ROOT)
            for title, lines in headed(path, name, r"#+ (.*)"):
                yield name, title, lines


# --- sections to passages ------------------------------------------------------------------

def sentences_of(lines):
    """Words with their lines, cut where a sentence, a paragraph or an item of a list ends."""
    found = [[]]
    for number, line in lines:
        new_item = re.match(r"\s*([-*|]|\d+[.)]|\(?[a-z]\))\s", line)
        if not line.strip() or new_item:
            found.append([])
        for word in line.replace("|", " ").split():
            before = found[-1][-1][0] if found[-1] else ""
            if re.search(r"[.!?][\"')\]]*$", before) and (word[0].isupper() or word[0] in "\"`("):
                found.append([])
            found[-1].append((word, number))
    return [piece for sentence in found if sentence
            for piece in (sentence[at:at + WORDS] for at in range(0, len(sentence), WORDS))]


def tail(sentences):
    """The last sentences that together are no longer than the overlap."""
    kept, words = [], 0
    for sentence in reversed(sentences):
        words += len(sentence)
        if words > OVERLAP:
            break
        kept.insert(0, sentence)
    return kept


def chunks(lines):
    """Lists of sentences: each about a passage long, and beginning with the end of the last."""
    chunk, fresh = [], 0            # words that no passage has yet
    for sentence in sentences_of(lines):
        if fresh and sum(map(len, chunk)) + len(sentence) > WORDS:
            yield chunk
            chunk, fresh = tail(chunk), 0
        chunk.append(sentence)
        fresh += len(sentence)
    if sum(map(len, chunk)) >= WORDS_LEAST:
        yield chunk


def read(which):
    """The passages of the chosen documents, the same ones in the same order every time."""
    return [Passage(source, title, chunk) for source, title, lines in sections(which)
            for chunk in chunks(lines)]

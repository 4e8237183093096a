"""checks - what can be said about the tree without running it.

Each check takes a Tree and returns its findings, a list of "path:line: what".
test_tree.py runs them on this repository; test_checks.py shows, on planted
trees, that each one can fail.
"""
import concurrent.futures
import fnmatch
import os
import re
import subprocess

FUNCTION_LINES = 70
C_LINES = 800
H_LINES = 250
COLUMNS = 100


def blank(match):
    """Spaces for everything but line ends, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


class Tree:
    """The files of a repository that are ours: what git knows, or all of a plain folder."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._git() or self._walk())
        self.cache = {}

    def _git(self):
        listed = subprocess.run(
            ["git", "-C", self.root, "ls-files", "-z", "-co", "--exclude-standard"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) \
            if os.path.exists(os.path.join(self.root, ".git")) else None
        names = listed.stdout.decode().split("\0") if listed else []
        return [n for n in names if n and os.path.exists(os.path.join(self.root, n))]

    def _walk(self):
        return [os.path.relpath(os.path.join(folder, name), self.root)
                for folder, _, names in os.walk(self.root) for name in names]

    def text(self, path):
        if path not in self.cache:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                self.cache[path] = f.read()
        return self.cache[path]

    def lines(self, path):
        return self.text(path).split("\n")

    def code(self, path):
        """The text with comments and literals blanked."""
        return TOKEN.sub(blank, self.text(path))

    def ending(self, *ends):
        return [f for f in self.files if f.endswith(ends)]

    def c(self):
        return self.ending(".c", ".h")


def rows(path):
    """The lines of a rule file, comments dropped."""
    with open(path, encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")]


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, p) for p in patterns)


# --- includes -------------------------------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def includes(tree, path):
    """(line, "<" or '"', name) of each #include."""
    text = COMMENT.sub(blank, tree.text(path))
    return [(line_of(text, m.start()), m.group(1), m.group(2)) for m in INCLUDE.finditer(text)]


class Layers:
    def __init__(self, path):
        self.rooms, self.headers = {}, []
        for row in rows(path):
            kind, name, *rest = row.split()
            if kind == "room":
                self.rooms[name] = rest
            else:
                self.headers.append((name, rest))

    def room(self, path):
        inside = [r for r in self.rooms if path.startswith(r + "/")]
        return max(inside, key=len, default=None)

    def why_not(self, path, name):
        """None when path may include name, else the rule it breaks."""
        for pattern, allowed in self.headers:
            if fnmatch.fnmatch(name, pattern) and not matches(path, allowed):
                return f"<{name}> is only for {' '.join(allowed)}"
        room, target = self.room(path), self.room(name)
        if target is None or target == room or matches(target, self.rooms[room]):
            return None
        return f"{room} may not include {target}"


def layers(tree, rules):
    law, bad = Layers(rules), []
    for path in tree.c():
        if law.room(path) is None:
            bad.append(f"{path}:1: its folder has no room line in layers.txt")
            continue
        for line, mark, name in includes(tree, path):
            why = law.why_not(path, name)
            if why:
                bad.append(f"{path}:{line}: {why}")
            elif mark == '"' and "/" not in name and not name.endswith(".pb-c.h") \
                    and not name.endswith(".inc"):
                bad.append(f'{path}:{line}: include "{name}" by its path from the root')
    return bad


def private_headers(tree):
    """X_int.h is for X.c and X_*.c beside it, for all of a folder called X (a front
    and its drivers), and for tests."""
    bad = []
    for path in tree.c():
        folder, stem = os.path.dirname(path), os.path.basename(path)[:-2]
        for line, _, name in includes(tree, path):
            if not name.endswith("_int.h") or path.startswith("tests/"):
                continue
            family = os.path.basename(name)[:-len("_int.h")]
            kin = stem == family or stem.startswith(family + "_")
            kin = kin or os.path.basename(folder) == family
            if os.path.dirname(name) != folder or not kin:
                bad.append(f"{path}:{line}: {name} is private to {family}*.c")
    return bad


def orphans(tree):
    """A header that nobody includes."""
    used = {name for path in tree.c() for _, _, name in includes(tree, path)}
    return [f"{h}:1: nobody includes it" for h in tree.ending(".h") if h not in used]


# --- words ----------------------------------------------------------------------

def bans(tree, rules):
    law = []
    for row in rows(rules):
        rule, instead = row.rsplit("|", 1)
        pattern, *allowed = re.split(r"\s{2,}|\s+(?=-$)", rule.strip())
        law.append((re.compile(r"(?<![\w>.])" + pattern + (r"\b" if pattern[-1].isalpha() else "")),
                    " ".join(allowed).split(), instead.strip()))
    bad = []
    for path in tree.c():
        code = tree.code(path)
        for pattern, allowed, instead in law:
            if matches(path, allowed):
                continue
            bad += [f"{path}:{line_of(code, m.start())}: {m.group(0).rstrip('(')}: use {instead}"
                    for m in pattern.finditer(code)]
    return bad


def limits_used(tree, header="core/base/limits.h"):
    """A limit that no code asks about limits nothing."""
    names = re.findall(r"^#define (LIMIT_\w+)", tree.text(header), re.M)
    code = "\n".join(tree.text(f) for f in tree.c() if f != header)
    return [f"{header}:1: {n} is used nowhere" for n in names
            if not re.search(rf"\b{n}\b", code)]


def errors_documented(tree, header="core/base/err.h", page="docs/OPERATING.md"):
    """Elanus's own error words are explained to the operator, each by name."""
    own = tree.text(header).split("Elanus's own conditions", 1)[-1].split("typedef", 1)[0]
    text = tree.text(page) if page in tree.files else ""
    return [f"{page}:1: {name} of {header} is not explained"
            for name in re.findall(r"X\((\w+),", own) if f"`{name}`" not in text]


EVENT_ROOMS = ("core/*", "coord/*", "datanode/*", "querynode/*", "indexnode/*", "proxy/*")


def arguments(text, at):
    """What stands between the bracket that opens before `at` and its end, by commas."""
    parts, depth, begin = [], 1, at
    while depth and at < len(text):
        token = TOKEN.match(text, at)
        if token:
            at = token.end()
            continue
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0 or (depth == 1 and text[at] == ","):
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    return parts


def handed_in(text, at):
    """The words that the function around `at` is called with: one of them is the event's."""
    name = re.findall(r"^\w[\w *]*?(\w+)\([^;{]*?\)\n\{", text[:at], re.M)[-1]
    return [word for m in re.finditer(rf"^ +{name}\(", text, re.M)
            for word in re.findall(r'"(\w+)"', ",".join(arguments(text, m.end())))]


def logged_events(tree):
    """(path, line, event) of what is logged at info or above."""
    found = []
    for path in tree.c():
        if not matches(path, EVENT_ROOMS) or not path.endswith(".c"):
            continue
        text = TOKEN.sub(lambda m: blank(m) if m.group(0)[0] == "/" else m.group(0),
                         tree.text(path))
        for m in re.finditer(r"\blog_event\((?!log_level_t )", text):
            level, event = arguments(text, m.end())[:2]
            if re.fullmatch(r"\s*LOG_DEBUG", level):
                continue
            names = re.findall(r'"(\w+)"', event) or handed_in(text, m.start())
            found += [(path, line_of(text, m.start()), name) for name in names]
    return found


def events_explained(tree, table="proxy/event_texts.c", page="docs/pages.md"):
    """Each event has a row: in order, of a step that is documented, with the file that logs it."""
    rows = re.findall(r'\{ "(\w+)", (?:NULL|"(\w+)"), "([\w/.]+)",\s*((?:"[^"]*"\s*)+)\}',
                      tree.text(table))
    logged = logged_events(tree)
    names, where = [row[0] for row in rows], {(name, path) for path, _, name in logged}
    bad = [f"{path}:{line}: {table} has no row for {name}"
           for path, line, name in logged if name not in names]
    bad += [f"{table}:1: {name} comes after {last}, the rows are looked up by halves"
            for last, name in zip(names, names[1:]) if name <= last]
    for name, step, source, about in rows:
        if (name, source) not in where:
            bad.append(f"{table}:1: {source} does not log {name}")
        if step and f"`{step}`" not in tree.text(page):
            bad.append(f"{table}:1: {name} is of step {step}, which {page} does not have")
        if not re.search(r'[.?]"\s*$', about):
            bad.append(f"{table}:1: what is said about {name} is no sentence")
    return bad


# --- shape ----------------------------------------------------------------------

def function_length(tree):
    """From the { in the first column to its }."""
    bad = []
    for path in tree.c():
        begin = None
        for number, line in enumerate(tree.code(path).split("\n"), 1):
            if line.startswith("{"):
                begin = number
            elif line.startswith("}") and begin:
                if number - begin + 1 > FUNCTION_LINES:
                    bad.append(f"{path}:{begin}: function of {number - begin + 1} lines, "
                               f"{FUNCTION_LINES} is the wall")
                begin = None
    return bad


def file_length(tree):
    bad = []
    for path in tree.c():
        count, wall = len(tree.lines(path)) - 1, C_LINES if path.endswith(".c") else H_LINES
        if count > wall:
            bad.append(f"{path}:{count}: {count} lines, {wall} is the wall")
    return bad


def lines_clean(tree):
    bad = []
    for path in tree.ending(".c", ".h", ".py", ".sh", ".proto", "Makefile", "run"):
        for number, line in enumerate(tree.lines(path), 1):
            if len(line) > COLUMNS:
                bad.append(f"{path}:{number}: {len(line)} columns, {COLUMNS} is the wall")
            if line != line.rstrip():
                bad.append(f"{path}:{number}: space at the end of the line")
            if "\t" in line and not path.endswith("Makefile"):
                bad.append(f"{path}:{number}: a tab")
    return bad


def guards(tree):
    bad = []
    for path in tree.ending(".h"):
        name = re.sub(r"[^A-Z0-9]", "_", path.upper())
        if not re.search(rf"^#ifndef {name}\n#define {name}\n", tree.text(path), re.M):
            bad.append(f"{path}:1: no include guard {name}")
    return bad


def file_comment(tree):
    """Every file opens by saying what it is."""
    opens = {".c": "/* ", ".h": "/* ", ".py": '"""', ".sh": "# ", ".proto": "/"}
    bad = []
    for path in tree.files:
        start = opens.get(os.path.splitext(path)[1])
        if start is None:
            continue
        lines = [line for line in tree.lines(path) if not line.startswith("#!")]
        if not lines[0].startswith(start):
            bad.append(f"{path}:1: does not open with a comment that says what it is")
    return bad


def stems(tree):
    """A file's stem is its type and prefix, so it stands for one thing in the tree."""
    seen, bad = {}, []
    for path in tree.c():
        folder, name = os.path.split(path)
        stem = os.path.splitext(name)[0]
        if stem == "main":
            continue
        first = seen.setdefault(stem, folder)
        if first != folder:
            bad.append(f"{path}:1: {first} has a {stem} already")
    return bad


def links(tree):
    """A relative link in a Markdown file leads to a file of the tree."""
    bad = []
    for path in tree.ending(".md"):
        text = tree.text(path)
        for m in re.finditer(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
            to = m.group(1)
            if re.match(r"[a-z]+:", to):
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(path), to))
            if not os.path.exists(os.path.join(tree.root, target)):
                bad.append(f"{path}:{line_of(text, m.start())}: {to} leads nowhere")
    return bad


def executable(tree):
    """A script that names its interpreter can be run, and runs under one we install."""
    bad = []
    for path in tree.files:
        first = tree.text(path).split("\n", 1)[0] if not path.endswith((".png", ".bin")) else ""
        if first.startswith("#!") and not os.access(os.path.join(tree.root, path), os.X_OK):
            bad.append(f"{path}:1: has {first} but is not executable")
    return bad


def image_context(tree):
    """What the Dockerfile copies is let through by .dockerignore."""
    if "Dockerfile" not in tree.files:
        return []
    allowed = {line[1:] for line in tree.text(".dockerignore").split("\n") if line[:1] == "!"}
    copied = {source.split("/")[0] for line in tree.text("Dockerfile").split("\n")
              if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]}
    return [f"Dockerfile:1: {name} is copied, and .dockerignore keeps it out"
            for name in sorted(copied - allowed)]


def headers_alone(tree, flags, jobs=2):
    """Each header compiles by itself, so the order of includes never matters."""
    def compile_one(path):
        ran = subprocess.run(
            ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-w", *flags,
             "-include", path, "-x", "c", "/dev/null"],
            cwd=tree.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first = next((x for x in ran.stdout.splitlines() if "error" in x), ran.stdout[:200])
        return [f"{path}:1: does not compile alone: {first}"] if ran.returncode else []

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [bad for found in pool.map(compile_one, tree.ending(".h")) for bad in found]

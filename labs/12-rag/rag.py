"""rag - lab 12: plain questions, answered by sentences of real documents, with line numbers.

Cuts documents of this machine into passages, makes each a vector with MiniLM, puts them into a
collection in batches, and answers questions: the nearest passages, of these the sentences nearest
to the question, quoted with file and line.  Measures how often the right passage is found, asks
from several threads at once, and, with --dir, kills a query node meanwhile.

Exit status: 0 all as it should be; 1 the server refused something or gave another answer after the
kill; 2 wrong command line; 3 nothing answers; 4 something of the cluster is missing.
"""
import argparse
import concurrent.futures
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(HERE, "..", "common"), HERE, os.path.join(ROOT, "scripts")]
import lab  # noqa: E402
import corpus  # noqa: E402
import minilm  # noqa: E402  its numpy and tokenizers come by run.sh
import questions  # noqa: E402
from library import NAME, Library, Patience  # noqa: E402
from progress import bar  # noqa: E402
import numpy  # noqa: E402

MOST = 10                       # passages of a search
SLICE = 64                      # passages between two looks at the bar
QUOTED = 2                      # sentences of an answer
SURE = 0.40                     # a passage less like the question than this is no answer
THREADS = 4
VICTIM = "querynode-1"
NEEDED = {"write": ("coord", "datanode", "querynode"), "read": ("querynode",)}


# --- vectors -------------------------------------------------------------------------------

class Reader:
    """MiniLM, and the vectors it made before: a text is only read once."""

    def __init__(self, directory):
        self.model = minilm.Minilm(directory)
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cache = os.environ.get("ELANUS_CACHE") or os.path.join(base, "elanus")
        self.path = os.path.join(cache, "lab-12-vectors.npz")

    def _kept(self):
        try:
            with numpy.load(self.path) as kept:
                return dict(zip(kept["keys"].tolist(), kept["vectors"]))
        except (OSError, ValueError, KeyError):
            return {}

    def _keep(self, vectors):
        with open(self.path + ".new", "wb") as f:
            numpy.savez(f, keys=numpy.array(list(vectors)),
                        vectors=numpy.stack(list(vectors.values())))
        os.replace(self.path + ".new", self.path)

    def passages(self, passages):
        texts = [f"{p.title}. {p.text}" for p in passages]
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        kept = self._kept()
        new = [i for i, key in enumerate(keys) if key not in kept]
        if len(new) < len(keys):
            print(f"   {len(keys) - len(new)} of {len(keys)} vectors were made by an earlier run")
        progress = bar("embedding", 3)
        for at in range(0, len(new), SLICE):
            some = new[at:at + SLICE]
            made = self.model.embed([texts[i] for i in some])
            kept.update(zip((keys[i] for i in some), made))
            self._keep(kept)
            progress(at + len(some), len(new))
        return numpy.stack([kept[key] for key in keys])

    def questions(self, texts):
        return self.model.embed(texts)


# --- answers -------------------------------------------------------------------------------

def answer(reader, library, question):
    """([(sentence, line, hit)], hits): what is quoted, best first, and the passages found."""
    vector, = reader.questions([question])
    hits = [hit for hit in library.search(vector, 5) if hit["score"] >= SURE]
    said = {(hit["source"], line): (text, line, hit) for hit in reversed(hits)
            for line, text in hit["sentences"]}
    if not said:
        return [], hits
    near = reader.questions([f"{hit['title']}. {text}" for text, _, hit in said.values()]) @ vector
    best = numpy.argsort(-near, kind="stable")[:QUOTED]
    return [list(said.values())[i] for i in best], hits


def tell_answer(reader, library, question):
    quoted, hits = answer(reader, library, question)
    print(f"\n   Q  {question}")
    if not quoted:
        print("   A  These documents do not say.")
    for number, (text, line, hit) in enumerate(quoted):
        print(textwrap.fill(f"“{text}”", 96, initial_indent="      " if number else "   A  ",
                            subsequent_indent="      ", break_on_hyphens=False))
        print(f"         {hit['source']}:{line}   {hit['title']}")
    if hits:
        print("      from passages like the question by " +
              ", ".join(f"{hit['score']:.2f}" for hit in hits))


# --- how good is it? -----------------------------------------------------------------------

def right(hit, end, words):
    """Whether a passage that was found is the one that answers."""
    text = " ".join(text for _, text in hit["sentences"])
    return hit["source"].endswith(end) and words in " ".join(text.lower().split())


def known(passages):
    """The questions whose answer is among these passages."""
    texts = [(p.source, " ".join(p.text.lower().split())) for p in passages]
    return [(question, end, words) for question, end, words in questions.KNOWN
            if any(source.endswith(end) and words in text for source, text in texts)]


def evaluate(reader, library, asked):
    """Where the right passage came, from 0; None: not among the first MOST."""
    vectors = reader.questions([question for question, _, _ in asked])
    places = []
    for vector, (_, end, words) in zip(vectors, asked):
        hits = library.search(vector, MOST)
        places.append(next((i for i, hit in enumerate(hits) if right(hit, end, words)), None))
    return places


def tell_evaluation(reader, library, passages):
    asked = known(passages)
    lab.heading(f"4. How often is the right passage found? ({len(asked)} questions)")
    left_out = len(questions.KNOWN) - len(asked)
    if left_out:
        print(f"   {left_out} questions are left out: these documents do not have their answers")
    places = evaluate(reader, library, asked)
    rows = []
    for k in (1, 3, 5, MOST):
        found = sum(place is not None and place < k for place in places)
        rows.append([f"first {k}", f"{100 * found / len(places):.0f} %"])
    lab.table(["AMONG THE", "HIT RATE"], rows)
    for place, (question, end, _) in zip(places, asked):
        if place is None:
            print(f"   not found: {question}  ({end})")


# --- many at once --------------------------------------------------------------------------

class Askers:
    """Threads that ask the known questions over and over, and compare the answers."""

    def __init__(self, library, vectors):
        self.library, self.vectors = library, vectors
        self.expected = [self.ids(vector) for vector in vectors]
        self.took_s, self.other, self.failed = [], 0, []
        self.last, self.gap_s = time.monotonic(), 0.0
        self.stop, self.lock = threading.Event(), threading.Lock()

    def ids(self, vector):
        return [hit["id"] for hit in self.library.search(vector, MOST)]

    def ask(self, first):
        number = first
        while not self.stop.is_set():
            at = number % len(self.vectors)
            begin = time.monotonic()
            try:
                found = self.ids(self.vectors[at])
            except lab.MilvusException as why:
                self.note(begin, None, lab.one_line(why))
            else:
                self.note(begin, found == self.expected[at], None)
            number += 1

    def note(self, begin, same, why):
        with self.lock:
            now = time.monotonic()
            if why:
                self.failed.append(why)
                return
            self.took_s.append(now - begin)
            self.other += not same
            self.gap_s, self.last = max(self.gap_s, now - self.last), now

    def run(self, seconds, meanwhile=lambda: None):
        self.last = begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            running = [pool.submit(self.ask, i * 7) for i in range(THREADS)]
            try:
                meanwhile()
                self.stop.wait(max(0.0, begin + seconds - time.monotonic()))
            finally:
                self.stop.set()
            concurrent.futures.wait(running)
        return time.monotonic() - begin

    def tell(self, took_s):
        ordered = sorted(self.took_s) or [0.0]
        lab.table(["ANSWERED", "A SECOND", "MEDIAN", "99 OF 100", "LONGEST SILENCE"],
                  [[len(self.took_s), f"{len(self.took_s) / took_s:,.0f}",
                    f"{1000 * ordered[len(ordered) // 2]:.1f} ms",
                    f"{1000 * ordered[len(ordered) * 99 // 100]:.1f} ms",
                    f"{1000 * self.gap_s:.0f} ms"]])
        print(f"   failed for good: {len(self.failed)}; other answers than before: {self.other}; "
              f"tried again: {self.library.patience.again}")
        for reason, times in self.library.patience.reasons.most_common(3):
            print(f"      {times} x {reason}")
        return not self.failed and not self.other


def tell_many(library, vectors, seconds):
    lab.heading(f"5. {THREADS} threads ask at once, for {seconds:g} s")
    askers = Askers(library, vectors)
    return askers.tell(askers.run(seconds))


# --- a node dies ---------------------------------------------------------------------------

def order(directory, *words):
    """An order to `elanus up`: kill, resume."""
    print(f"   $ build/bin/elanus {words[0]} --dir {directory} {' '.join(words[1:])}")
    done = subprocess.run([lab.elanus(), words[0], "--dir", directory, *words[1:]],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise lab.Trouble(f"elanus {words[0]}: {done.stderr.strip()}", lab.BROKEN)


def tell_story(place, since_us):
    """What the nodes logged of it: the steps of a failover."""
    page = place.page("events?most=1000")
    steps = [e for e in page["items"] if e["at_us"] >= since_us and e.get("step")]
    print("\n   What the nodes say of it (elanus events):")
    for event in steps[:12]:
        print(f"      {(event['at_us'] - since_us) / 1e6:6.2f} s  {event['node']:<13} "
              f"{event['step']:<10} {event['event']} {event['text'][:60]}".rstrip())
    if not steps:
        print("      nothing yet")


def tell_kill(place, directory, library, vectors, seconds, alone):
    lab.heading(f"6. The same, and {VICTIM} is killed while they ask")
    library.patience = Patience()
    askers = Askers(library, vectors)
    killed_us = [0]

    def meanwhile():
        time.sleep(min(2.0, seconds / 4))
        killed_us[0] = int(time.time() * 1e6)
        order(directory, "kill", VICTIM)
        if alone:
            print("   it is the only query node: nobody can answer until it is back")
            time.sleep(1.0)
            order(directory, "resume", VICTIM)

    took_s = askers.run(seconds, meanwhile)
    good = askers.tell(took_s)
    tell_story(place, killed_us[0])
    if not alone:
        order(directory, "resume", VICTIM)
    return good


# --- the lab -------------------------------------------------------------------------------

def check_whole(place, what_for):
    """What is missing for it ends the lab; whatever else is missing is only said.  The number of
    query nodes."""
    nodes = place.page("nodes")
    found = lab.lacks(nodes)
    if nodes["mode"] == "standalone":
        print("   standalone: one process is everything")
        return 1
    up = [node["role"] for node in nodes["items"] if node["state"] == "up"]
    print(f"   a cluster of {len(up)} processes; {nodes['leader'] or 'nobody'} leads")
    lab.say_lacks(found)
    gone = [role for role in NEEDED[what_for] if role not in up]
    if gone or (what_for == "write" and nodes["leader"] is None):
        raise lab.Trouble("This lab cannot go on without " +
                          " and ".join(gone or ["a leading coord"]) +
                          "; what to do stands above.", lab.INCOMPLETE)
    return up.count("querynode")


def fill(reader, library, passages, replicas):
    lab.heading("2. Passages to vectors, vectors into the collection")
    vectors = reader.passages(passages)
    library.make()
    library.fill(passages, vectors, bar("inserting", 3))
    library.open(replicas)
    print(f"   {library.count()} passages are in {NAME}, {replicas} "
          f"{'replica' if replicas == 1 else 'replicas'}")


def ask_one(reader, library, question):
    """--ask: what was put there by an earlier run answers."""
    if not library.client.has_collection(NAME):
        raise lab.Trouble(f"there is no collection {NAME}: run the lab once without --ask",
                          lab.INCOMPLETE)
    tell_answer(reader, library, question)
    return lab.GOOD


def whole_lab(arguments, place, reader, library, n_query):
    lab.heading("1. Documents to passages")
    passages = corpus.read(corpus.SMALL if arguments.small else corpus.ALL)
    sources = {p.source for p in passages}
    print(f"   {len(sources)} documents, {len(passages)} passages of at most {corpus.WORDS} words")
    print(f"   {os.path.basename(corpus.STDLIB)}/ is in {os.path.dirname(corpus.STDLIB)}, "
          "common-licenses/ in /usr/share, the rest here")
    fill(reader, library, passages, min(2, n_query))
    lab.heading("3. Questions and answers")
    for question in questions.SHOWN:
        tell_answer(reader, library, question)
    tell_evaluation(reader, library, passages)
    vectors = reader.questions([question for question, _, _ in known(passages)])
    good = tell_many(library, vectors, arguments.seconds)
    if arguments.dir:
        good &= tell_kill(place, arguments.dir, library, vectors, arguments.seconds, n_query == 1)
    else:
        lab.heading("6. A node is killed: left out")
        print("   This lab only kills processes of `elanus up`: start one, and name it with --dir.")
    print("\n   Ask it yourself:  labs/12-rag/run.sh --ask 'How do I …?'")
    return lab.GOOD if good else lab.BROKEN


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    lab.add_arguments(parser)
    parser.add_argument("--ask", metavar="QUESTION", help="only answer this one")
    parser.add_argument("--small", action="store_true", help="few documents: some seconds")
    parser.add_argument("--seconds", type=float, default=8, help="of asking in parallel (8)")
    arguments = parser.parse_args()
    place = lab.place(arguments)
    client = place.client()
    lab.heading("0. Who answers")
    n_query = check_whole(place, "read" if arguments.ask else "write")
    reader = Reader(os.environ["MODEL"])
    if arguments.ask:       # of rows that were written long ago: nobody has to be asked for newer
        return ask_one(reader, Library(client, Patience(), "Eventually"), arguments.ask)
    return whole_lab(arguments, place, reader, Library(client, Patience()), n_query)


if __name__ == "__main__":
    lab.run(main)

"""demo - real sentences in a real vector database, and what a crash does to them.

    scripts/demo.py MODEL_DIRECTORY

Reads what Python's own library says about each of its functions and classes,
turns the sentences into vectors with MiniLM, puts them into a standalone
Elanus by pymilvus, asks it questions, kills it with SIGKILL, starts it again
and asks the same.  Then the same with a cluster (demo_cluster.py).  Everything
printed came over the wire from the servers.
Runs under the Python that scripts/venv.sh made.
"""
import ast
import glob
import os
import random
import re
import signal
import sys
import sysconfig
import time
import warnings

warnings.simplefilter("ignore")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.dont_write_bytecode = True
import demo_cluster  # noqa: E402
import servers  # noqa: E402
import minilm  # noqa: E402
from progress import bar  # noqa: E402

import pymilvus  # noqa: E402
from pymilvus import DataType, MilvusClient  # noqa: E402

NAME = "python_library"
SENTENCES = 3000
QUESTIONS = [
    ("how many bytes does a file have", 'kind == "function"'),
    ("wait until another thread is finished", 'module != "asyncio"'),
    ("turn a date into text", "words > 3 and kind == 'function'"),
]


def first_sentence(text):
    """The docstring's first sentence on one line; "" when there is none worth reading."""
    line = re.sub(r"\s+", " ", text.split("\n\n")[0]).strip()
    line = re.split(r"(?<=[a-z)])\. ", line)[0]
    return line if 20 <= len(line) <= 200 and line[0].isalpha() else ""


def documented(path):
    """(name, kind, sentence) of everything public in one source file that has a docstring."""
    with open(path, encoding="utf-8", errors="replace") as f:
        tree = ast.parse(f.read())
    kinds = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "function", ast.ClassDef: "class"}
    for node in ast.walk(tree):
        if type(node) in kinds and not node.name.startswith("_"):
            sentence = first_sentence(ast.get_docstring(node) or "")
            if sentence:
                yield node.name, kinds[type(node)], sentence


def library(most):
    """Rows about Python's standard library, the same choice every time."""
    where = sysconfig.get_paths()["stdlib"]
    seen, rows = set(), []
    paths = glob.glob(os.path.join(where, "*.py")) + glob.glob(os.path.join(where, "*", "*.py"))
    for path in sorted(paths):
        module = os.path.relpath(path, where)[:-3].replace(os.sep, ".").replace(".__init__", "")
        if module.startswith(("_", "test", "idlelib", "lib2to3", "site-packages", "turtledemo")):
            continue
        for name, kind, sentence in documented(path):
            if sentence not in seen:
                seen.add(sentence)
                rows.append({"name": name, "module": module.split(".")[0], "kind": kind,
                             "words": len(sentence.split()), "sentence": sentence})
    return random.Random(1).sample(rows, min(most, len(rows)))


def make_collection(client, replicas=1):
    schema = client.create_schema(auto_id=False, description="what Python's library says of itself")
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=384)
    schema.add_field("words", DataType.INT16)
    for field, length in (("name", 100), ("module", 100), ("kind", 16), ("sentence", 400)):
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="COSINE")
    client.create_collection(NAME, schema=schema, num_shards=2)    # a channel for each data node
    client.create_index(NAME, index)
    client.load_collection(NAME, replica_number=replicas)


def fill(client, rows, vectors):
    progress = bar("inserting")
    for at in range(0, len(rows), 250):
        batch = [dict(row, id=at + i, vector=vectors[at + i].tolist())
                 for i, row in enumerate(rows[at:at + 250])]
        client.insert(NAME, batch)
        progress(at + len(batch), len(rows))
    client.flush(NAME)
    print(f"    flushed: {client.get_collection_stats(NAME)['row_count']} rows in segments")


def ask(client, vectors):
    """The answers to QUESTIONS: for each, rows of (distance, module, name, sentence)."""
    answers = []
    for (_, condition), vector in zip(QUESTIONS, vectors):
        hits, = client.search(NAME, data=[vector.tolist()], filter=condition, limit=3,
                              output_fields=["module", "name", "sentence"],
                              consistency_level="Strong")
        answers.append([(f"{hit['distance']:.4f}", hit["entity"]["module"], hit["entity"]["name"],
                         hit["entity"]["sentence"]) for hit in hits])
    return answers


def show(answers):
    for (question, condition), rows in zip(QUESTIONS, answers):
        print(f'\n    "{question}"   where {condition}')
        for distance, module, name, sentence in rows:
            print(f"        {distance}  {module + '.' + name:<34.34} {sentence:.60}")


def introduce(daemon, client):
    print(f"Elanus {client.get_server_version()} is ready after {daemon.ready_s * 1000:.0f} ms, "
          f"{daemon.rss_bytes() / 2**20:.1f} MB resident; pymilvus {pymilvus.__version__} "
          f"is connected to {daemon.grpc}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: demo.py MODEL_DIRECTORY   (`make demo` calls it)")
    with servers.Workplace() as place:
        data = place.path("data")
        print(f"$ build/bin/elanus standalone --data {data}")
        daemon = servers.Daemon(place, "standalone", servers.standalone_flags(data))
        place.start(daemon)
        client = MilvusClient(uri=f"http://{daemon.grpc}")
        introduce(daemon, client)

        rows = library(SENTENCES)
        model = minilm.Minilm(sys.argv[1])
        print(f"\n{len(rows)} sentences of Python's library, each a MiniLM vector of 384 numbers:")
        vectors = model.embed([row["sentence"] for row in rows], progress=bar("embedding"))
        asked = model.embed([question for question, _ in QUESTIONS])
        make_collection(client)
        fill(client, rows, vectors)
        before = ask(client, asked)
        show(before)

        print("\n$ kill -9 the server, start it again")
        client.close()
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        place.start(daemon)
        client = MilvusClient(uri=f"http://{daemon.grpc}")
        introduce(daemon, client)
        after = ask(client, asked)
        client.close()
        if after != before:
            show(after)
            sys.exit("\nThe answers are NOT the same after the restart.  Please report this.")
        print("the same questions have the same answers")
        daemon.term()
    if not demo_cluster.run(sys.modules[__name__], rows, vectors, asked, before):
        sys.exit("\nThe cluster did not keep what it promised.  Please report this.")
    print("\nstopped.  Start one to keep:  build/bin/elanus standalone --data ./elanus-data\n"
          "                or a cluster:  build/bin/elanus up --dir ./elanus-cluster")


if __name__ == "__main__":
    main()

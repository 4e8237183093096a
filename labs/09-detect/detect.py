"""detect - lab 09: what is at the other end of this address?

A client asks, as any Milvus client may: the version, the components, whether they are one process
or many, and which features answer.  At last it looks for what only Elanus has.

Exit status: 0 whole; 1 the server refused something; 2 wrong command line; 3 nothing answers;
4 something of the cluster is missing, and the last lines say what.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import lab  # noqa: E402
import pymilvus  # noqa: E402
from pymilvus import DataType, MilvusClient, MilvusException  # noqa: E402

# Milvus's order: the way of a request, from the door inwards.
TYPES = ["proxy", "rootcoord", "datacoord", "querycoord", "coord", "datanode", "querynode",
         "indexnode"]
DOES = {"proxy": "clients' door", "rootcoord": "collections, ids, time",
        "datacoord": "who owns a channel; segments", "querycoord": "who holds a segment",
        "coord": "standby, leads when the leader dies", "datanode": "takes writes, keeps the log",
        "querynode": "holds segments, searches", "indexnode": "builds indexes"}
INDEXES = {
    "FLOAT_VECTOR": ["FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "HNSW", "HNSW_SQ", "SCANN",
                     "DISKANN", "AUTOINDEX", "GPU_IVF_FLAT"],
    "BINARY_VECTOR": ["BIN_FLAT", "BIN_IVF_FLAT"],
    "SPARSE_FLOAT_VECTOR": ["SPARSE_INVERTED_INDEX", "SPARSE_WAND"],
    "INT64": ["STL_SORT", "INVERTED", "BITMAP"], "VARCHAR": ["Trie"]}
METRICS = {"FLOAT_VECTOR": "L2", "BINARY_VECTOR": "HAMMING", "SPARSE_FLOAT_VECTOR": "IP"}
NLIST = {"nlist": 4}
PARAMS = {"IVF_FLAT": NLIST, "IVF_SQ8": NLIST, "IVF_PQ": {**NLIST, "m": 4}, "SCANN": NLIST,
          "BIN_IVF_FLAT": NLIST, "GPU_IVF_FLAT": NLIST,
          "HNSW": {"M": 8, "efConstruction": 32}, "HNSW_SQ": {"M": 8, "efConstruction": 32}}
SCRATCH = "lab_09_scratch"


# --- 1 and 2: who answers ------------------------------------------------------------------

def tell_version(place, client):
    lab.heading("1. Who answers")
    version = client.get_server_version()
    lab.table(["WHAT", "ANSWER"], [["address", place.address],
                                   ["client", f"pymilvus {pymilvus.__version__}"],
                                   ["server version", version]])
    return version


def members(answer):
    """The entries of GetMetrics' system_info: [{"type", "id", "mode", …}]."""
    return [{"type": node["infos"]["type"], "id": node["identifier"],
             "address": node["infos"]["hardware_infos"]["ip"],
             "mode": node["infos"]["system_info"]["deploy_mode"],
             "language": node["infos"]["system_info"]["used_go_version"],
             "error": node["infos"]["error_reason"] if node["infos"]["has_error"] else None}
            for node in answer["nodes_info"]]


def tell_mode(found):
    lab.heading("2. Standalone or Cluster")
    modes = sorted({one["mode"] for one in found})
    places = {one["address"] for one in found}
    lab.table(["EVIDENCE", "FOUND"], [["deploy_mode", ", ".join(modes)],
                                      ["components", len(found)],
                                      ["addresses they have", len(places)]])
    print(f"   => {'Standalone' if modes == ['STANDALONE'] else 'Cluster'}")


def tell_components(found):
    lab.heading('3. Active components, by GetMetrics {"metric_type": "system_info"}')
    rows = []
    for kind in TYPES:
        of = [one for one in found if one["type"] == kind]
        if of:
            ids = ", ".join(str(i) for i in sorted(one["id"] for one in of))
            rows.append([kind, len(of), ids, DOES[kind]])
    lab.table(["TYPE", "INSTANCES", "IDS", "DOES"], rows)
    for one in found:
        if one["error"]:
            print(f"   {one['type']}-{one['id']} does not answer: {one['error']}")


# --- 4: what it can do -----------------------------------------------------------------------

def scratch_schema():
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("number", DataType.INT64)
    schema.add_field("word", DataType.VARCHAR, max_length=20)
    schema.add_field("float", DataType.FLOAT_VECTOR, dim=8)
    schema.add_field("binary", DataType.BINARY_VECTOR, dim=8)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    return schema


FIELDS = {"INT64": "number", "VARCHAR": "word", "FLOAT_VECTOR": "float",
          "BINARY_VECTOR": "binary", "SPARSE_FLOAT_VECTOR": "sparse"}


def attempt(act):
    """None, or why it was refused."""
    try:
        act()
        return None
    except MilvusException as refused:
        return f"code {refused.code}"
    except lab.grpc.RpcError as refused:
        return refused.code().name
    except AttributeError:
        return "this client has no call for it"


def index(client, kind, name):
    params = client.prepare_index_params()
    extra = {"metric_type": METRICS[kind]} if kind in METRICS else {}
    params.add_index(field_name=FIELDS[kind], index_type=name, index_name="tried",
                     params=PARAMS.get(name, {}), **extra)
    client.create_index(SCRATCH, params, sync=False)
    client.drop_index(SCRATCH, "tried")


def tell_indexes(client):
    lab.heading("4. Index types that can be defined (tried one by one)")
    rows = []
    for kind, names in INDEXES.items():
        no = [name for name in names if attempt(lambda: index(client, kind, name))]
        rows.append([kind, " ".join(n for n in names if n not in no), " ".join(no) or "-"])
    lab.table(["FIELD", "YES", "NO"], rows)


def features(client):
    """[(name, what to call)]: each call leaves things as they were."""
    row = {"id": 1, "number": 1, "word": "kite", "float": [0.1] * 8, "binary": b"\x01",
           "sparse": {1: 0.5}}
    vector = {"data": [[0.1] * 8], "anns_field": "float", "limit": 1}

    def alias():
        client.create_alias(SCRATCH, SCRATCH + "_alias")
        client.drop_alias(SCRATCH + "_alias")

    def hybrid():
        from pymilvus import AnnSearchRequest, RRFRanker
        asks = [AnnSearchRequest(param={}, **vector) for _ in range(2)]
        client.hybrid_search(SCRATCH, asks, RRFRanker(), limit=1)

    return [
        ("insert", lambda: client.insert(SCRATCH, [row])),
        ("upsert", lambda: client.upsert(SCRATCH, [row])),
        ("search with a filter", lambda: client.search(SCRATCH, filter="number == 1", **vector)),
        ("hybrid search", hybrid),
        ("query, count(*)", lambda: client.query(SCRATCH, filter="",
                                                 output_fields=["count(*)"])),
        ("iterator", lambda: client.query_iterator(SCRATCH, filter="id > 0").next()),
        ("delete by expression", lambda: client.delete(SCRATCH, filter="number == 7")),
        ("partitions", lambda: client.create_partition(SCRATCH, "p")),
        ("aliases", alias),
        ("databases", client.list_databases),
        ("resource groups", client.list_resource_groups),
        ("flush, compaction", lambda: (client.flush(SCRATCH), client.compact(SCRATCH))),
        ("users and roles", client.list_roles),
        ("new fields later", lambda: client.add_collection_field(
            SCRATCH, "later", DataType.INT64, nullable=True)),
    ]


def tell_features(client):
    lab.heading("5. Features that answer (each called once)")
    params = client.prepare_index_params()
    for kind, metric in METRICS.items():
        params.add_index(field_name=FIELDS[kind], index_type="AUTOINDEX", metric_type=metric)
    client.create_index(SCRATCH, params, sync=False)
    client.load_collection(SCRATCH)
    rows = []
    for name, act in features(client):
        refused = attempt(act)
        rows.append([name, f"no ({refused})" if refused else "yes"])
    lab.table(["FEATURE", "ANSWERS"], rows)


def tell_capabilities(client):
    if client.has_collection(SCRATCH):
        client.drop_collection(SCRATCH)         # of a run that was cut short
    client.create_collection(SCRATCH, schema=scratch_schema())
    try:
        tell_indexes(client)
        tell_features(client)
    finally:
        client.drop_collection(SCRATCH)


# --- 6 and 7: Milvus? whole? -------------------------------------------------------------------

def tell_difference(version, found, nodes):
    lab.heading("6. Is it Milvus?")
    go = found[0]["language"] if found else None
    rows = [["version", version, "2.4.23"],
            ["used_go_version", go, "go version go1.21.11 linux/amd64"],
            ["processes behind three coordinators",
             len({one["id"] for one in found if one["type"].endswith("coord") and
                  one["type"] != "coord"}), "3, or 1 with mixcoord"],
            ["/api/v1/_elanus/nodes", "answers" if nodes else "-", "404"]]
    lab.table(["ASKED", "HERE", "MILVUS 2.4"], rows)


def tell_whole(nodes, trouble):
    lab.heading("7. Is it whole?")
    if trouble:
        print("   " + str(trouble).replace("\n", "\n   "))
        return lab.INCOMPLETE
    if lab.say_lacks(lab.lacks(nodes)):
        return lab.INCOMPLETE
    print(f"   yes: {len(nodes['items'])} of {len(nodes['items'])} nodes answer, "
          f"{nodes['leader']} leads")
    return lab.GOOD


def nodes_of(place):
    """(the page "nodes", None) or (None, why not)."""
    try:
        return place.page("nodes"), None
    except lab.Trouble as trouble:
        return None, trouble


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    lab.add_arguments(parser)
    parser.add_argument("--look-only", action="store_true",
                        help="create nothing: leave out steps 4 and 5")
    arguments = parser.parse_args()
    place = lab.place(arguments)
    client = place.client()
    version = tell_version(place, client)
    nodes, trouble = nodes_of(place)
    found = []
    try:
        found = members(place.metrics_request({"metric_type": "system_info"}))
    except lab.Trouble as unanswered:
        trouble = trouble or unanswered
        lab.heading(f"2.-5. left out. {unanswered}")
    if found:
        tell_mode(found)
        tell_components(found)
        if not arguments.look_only:
            tell_capabilities(client)
    tell_difference(version, found, nodes)
    return tell_whole(nodes, None if nodes else trouble)


if __name__ == "__main__":
    lab.run(main)

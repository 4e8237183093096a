"""demo - standalone Elanus, seen through pymilvus: version, databases, nodes.

Runs under the Python that scripts/venv.sh made.  Everything printed came over
the wire from the running server.
"""
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
import servers  # noqa: E402

import pymilvus  # noqa: E402
from pymilvus import MilvusClient  # noqa: E402
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc  # noqa: E402
import grpc  # noqa: E402


def system_info(address):
    with grpc.insecure_channel(address) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        request = milvus_pb2.GetMetricsRequest(request=json.dumps({"metric_type": "system_info"}))
        return json.loads(stub.GetMetrics(request, timeout=10).response)["nodes_info"]


def print_components(nodes):
    """One row a node; columns as wide as their widest word."""
    rows = [("component", "version", "address", "cores", "memory")]
    for info in (node["infos"] for node in nodes):
        hardware, system = info["hardware_infos"], info["system_info"]
        rows.append((info["type"], system["build_version"], hardware["ip"],
                     str(hardware["cpu_core_count"]),
                     f"{hardware['memory_usage'] / 2**20:.1f} MB"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    print()
    for row in rows:
        print("    " + "   ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip())


def show(daemon):
    print(f"Elanus is ready after {daemon.ready_s * 1000:.0f} ms, "
          f"{daemon.rss_bytes() / 2**20:.1f} MB resident: grpc={daemon.grpc} ops={daemon.ops}")
    client = MilvusClient(uri=f"http://{daemon.grpc}")
    print(f"pymilvus {pymilvus.__version__} is connected")
    print(f"    server version   {client.get_server_version()}")
    print(f"    databases        {', '.join(client.list_databases())}")
    print(f"    collections      {', '.join(client.list_collections()) or '(none yet)'}")
    print_components(system_info(daemon.grpc))
    client.close()
    status, health = servers.http(f"http://{daemon.ops}/healthz")
    print(f"\n    GET /healthz     {status} {health}")


def main():
    with servers.Workplace() as place:
        data = place.path("data")
        print(f"$ build/bin/elanus standalone --data {data}")
        show(place.start(servers.Daemon(place, "standalone", servers.standalone_flags(data))))
    print("\nstopped.  Start one to keep:  build/bin/elanus standalone --data ./elanus-data")


if __name__ == "__main__":
    main()

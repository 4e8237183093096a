#!/usr/bin/env python3
"""Compare proto/*.proto and proxy/methods.c with the descriptors inside an installed pymilvus.

Run it with the Python of an environment that has pymilvus, from the repository's root:

    venv/bin/python tests/e2e/check_contract.py            # needs protoc on PATH

Whatever pymilvus can send or read must be in our files with the same number, type, label
and packing.  From 3.0 on the two must be equal; an older pymilvus must be contained in ours.
The privilege that a request message asks for, an option on it, must be the method's row.
Prints every difference and exits 1 if there is one.
"""
import importlib
import re
import subprocess
import sys
import tempfile
import types

from google.protobuf import descriptor_pb2

FILES = ("common", "schema", "milvus", "msg", "rg", "feder")

# Services of Milvus's own parts; no file of ours has them.
LEFT_OUT = {"ClientTelemetryService", "ProxyService"}

# Guarded since 2.5 or later; ours follows 2.4.
OPEN_IN_2_4 = {"GetPartitionStatistics"}

TYPE = descriptor_pb2.FieldDescriptorProto
UNPACKABLE = (TYPE.TYPE_STRING, TYPE.TYPE_BYTES, TYPE.TYPE_MESSAGE, TYPE.TYPE_GROUP)


def stub_pkg_resources():
    """pymilvus 2.4 imports pkg_resources, which newer setuptools no longer bring."""
    try:
        importlib.import_module("pkg_resources")
    except ImportError:
        stub = types.ModuleType("pkg_resources")
        stub.DistributionNotFound = type("DistributionNotFound", (Exception,), {})
        stub.get_distribution = lambda name: types.SimpleNamespace(version="unknown")
        sys.modules["pkg_resources"] = stub


def their_files():
    stub_pkg_resources()
    for stem in FILES:
        module = importlib.import_module(f"pymilvus.grpc_gen.{stem}_pb2")
        proto = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(proto)
        yield proto


def our_files():
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", "--proto_path=proto", "--proto_path=/usr/include",
                        f"--descriptor_set_out={out.name}"]
                       + [f"proto/{stem}.proto" for stem in FILES], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read()).file


def packed(field):
    if field.label != TYPE.LABEL_REPEATED or field.type in UNPACKABLE:
        return False
    return field.options.packed if field.options.HasField("packed") else None


def oneof(message, field):
    """Of which oneof; invisible on the wire, and 3.0 put a field of 2.4 into one."""
    if not field.HasField("oneof_index"):
        return ""
    if field.proto3_optional:
        return "has_" + field.name          # how ours says optional
    return message.oneof_decl[field.oneof_index].name


def flatten_message(prefix, message, explicit, out):
    name = f"{prefix}.{message.name}"
    out[name] = "message"
    for f in message.field:
        pack = packed(f)
        if pack is None:                    # proto3 packs unless told otherwise
            pack = not explicit or "NOT SAID"
        out[f"{name}#{f.number}"] = (f.name, f.type, f.label, f.type_name, pack, oneof(message, f))
    for nested in message.nested_type:
        flatten_message(name, nested, explicit, out)
    for enum in message.enum_type:
        flatten_enum(name, enum, out)


def flatten_enum(prefix, enum, out):
    for value in enum.value:
        out[f"{prefix}.{enum.name}.{value.name}"] = value.number


def flatten(files, explicit):
    """Everything of the contract as {full name: facts}; explicit: packing must be spelled out."""
    out = {}
    for file in files:
        for message in file.message_type:
            flatten_message(file.package, message, explicit, out)
        for enum in file.enum_type:
            flatten_enum(file.package, enum, out)
        for service in file.service:
            if service.name in LEFT_OUT:
                continue
            for m in service.method:
                out[f"{file.package}.{service.name}/{m.name}"] = (
                    m.input_type, m.output_type, m.client_streaming, m.server_streaming)
    return out


def our_rules():
    """{rpc: (object type, privilege, field)} of the table's rows; None for an open method."""
    text = open("proxy/methods.c", encoding="utf-8").read()
    rules = {rpc: None for rpc in re.findall(r"^OPEN\((\w+),", text, re.M)}
    for rpc, kind, right, field in re.findall(r"^ROW\((\w+), +(\w+), +(\w+), +(\d+),", text, re.M):
        rules[rpc] = (kind, "Privilege" + right, int(field))
    return rules


def their_rules():
    from pymilvus.grpc_gen import common_pb2, milvus_pb2
    rules = {}
    for method in milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"].methods:
        options = method.input_type.GetOptions()
        rules[method.name] = None
        if options.HasExtension(common_pb2.privilege_ext_obj):
            ext = options.Extensions[common_pb2.privilege_ext_obj]
            field = ext.object_name_indexs or max(ext.object_name_index, 0)
            rules[method.name] = (common_pb2.ObjectType.Name(ext.object_type),
                                  common_pb2.ObjectPrivilege.Name(ext.object_privilege), field)
    return rules


def main():
    ours = flatten(our_files(), explicit=True)
    theirs = flatten(their_files(), explicit=False)
    methods = sum("/" in name for name in theirs)
    newest = "milvus.proto.milvus.MilvusService/CreateSnapshot" in theirs
    bad = []
    for name, facts in theirs.items():
        mine = ours.get(name)
        if not newest and "#" in name and mine:
            mine, facts = mine[:-1], facts[:-1]
        if mine != facts:
            bad.append(f"{name}: pymilvus {facts}, ours {mine or 'none'}")
    if newest:
        bad += [f"{name}: ours only" for name in ours if name not in theirs]
    rules = our_rules()
    for rpc, rule in their_rules().items():
        if rules.get(rpc, "no row") != rule and rpc not in OPEN_IN_2_4:
            bad.append(f"{rpc}: pymilvus asks for {rule}, methods.c for {rules.get(rpc, 'no row')}")
    for line in bad:
        print(line)
    kind = "equal to" if newest else "contained in"
    print(f"{len(theirs)} facts, {methods} RPCs of pymilvus {kind} proto/: "
          + ("yes" if not bad else f"{len(bad)} differences"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""ann_elanus - Elanus's indexes, called through ctypes (ann_shim.c)

A call costs what calls of the other libraries cost: a numpy row goes in, a new numpy
array of rows comes out.
"""
import ctypes
import os

import numpy as np

METRIC = b"IP"                  # of vectors of length 1, as in the other libraries
SPEC = ("dim", "nlist", "m", "nbits", "without_raw", "degree", "ef_construction")
KNOBS = ("nprobe", "reorder_k", "ef", "search_list", "beamwidth")


class Spec(ctypes.Structure):
    _fields_ = [("type", ctypes.c_char_p), ("metric", ctypes.c_char_p)] + \
               [(name, ctypes.c_size_t) for name in SPEC]


class Knobs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in KNOBS]


def library(path):
    lib = ctypes.CDLL(path)
    size, pointer, text = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
            ("ann_error", text, []), ("ann_known", ctypes.c_int, [text]), ("ann_simd", text, []),
            ("ann_build", ctypes.c_long, [pointer, pointer, size, size, text]),
            ("ann_open", pointer, [text, size]), ("ann_flat", pointer, [text, pointer, size, size]),
            ("ann_bytes", size, [pointer]), ("ann_reads", ctypes.c_uint64, [pointer]),
            ("ann_keep", None, [pointer, pointer]),
            ("ann_search", ctypes.c_int, [pointer, pointer, size, pointer, pointer, pointer]),
            ("ann_loop", ctypes.c_int,
             [pointer, pointer, size, size, pointer, pointer, pointer])):
        call = getattr(lib, name)
        call.restype, call.argtypes = result, arguments
    return lib


class Elanus:
    """One index.  spec: type and what belongs to it."""

    def __init__(self, spec, path):
        self.lib, self.spec, self.handle = library(path), dict(spec), None
        self.type = self.spec.pop("type")
        if self.type != "FLAT" and not self.lib.ann_known(self.type.encode()):
            raise LookupError(f"this Elanus does not build {self.type}")

    def version(self):
        return self.lib.ann_simd().decode()

    def build(self, base, where, threads):
        if self.type == "FLAT":
            np.save(os.path.join(where, "flat.npy"), base)
            return
        spec = Spec(type=self.type.encode(), metric=METRIC, dim=base.shape[1], **self.spec)
        n = self.lib.ann_build(ctypes.byref(spec), base.ctypes.data, len(base), threads,
                               where.encode())
        if n < 0:
            raise RuntimeError(self.lib.ann_error().decode())

    def load(self, where):
        if self.type == "FLAT":
            self.base = np.load(os.path.join(where, "flat.npy"))
            self.handle = self.lib.ann_flat(METRIC, self.base.ctypes.data, *self.base.shape)
        else:
            self.handle = self.lib.ann_open(where.encode(), len(os.listdir(where)))
        if not self.handle:
            raise RuntimeError(self.lib.ann_error().decode())

    def reads(self):
        return self.lib.ann_reads(self.handle)

    def keep(self, mask):
        if mask is None:
            self.lib.ann_keep(self.handle, None)
            return
        bits = np.packbits(mask, bitorder="little")
        words = np.zeros((len(mask) + 63) // 64 * 8, dtype=np.uint8)
        words[:len(bits)] = bits
        self.lib.ann_keep(self.handle, words.ctypes.data)

    def searcher(self, k, params):
        """search(query) -> rows, at these knobs."""
        knobs = Knobs(**params)
        search, handle, at = self.lib.ann_search, self.handle, ctypes.byref(knobs)
        scores = np.empty(k, dtype=np.float32)
        at_scores = scores.ctypes.data

        def one(query):
            rows = np.empty(k, dtype=np.uint32)
            if search(handle, query.ctypes.data, k, at, rows.ctypes.data, at_scores) < 0:
                raise RuntimeError(self.lib.ann_error().decode())
            return rows
        one.alive = knobs, scores               # the library writes there
        return one

    def loop(self, queries, k, params):
        """All of them, one after the other, without Python in between."""
        knobs = Knobs(**params)
        rows = np.empty((len(queries), k), dtype=np.uint32)
        scores = np.empty((len(queries), k), dtype=np.float32)
        if self.lib.ann_loop(self.handle, queries.ctypes.data, len(queries), k,
                             ctypes.byref(knobs), rows.ctypes.data, scores.ctypes.data) < 0:
            raise RuntimeError(self.lib.ann_error().decode())

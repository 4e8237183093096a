"""vectors - vectors of every kind as clients send and get them, and exact distances.

The distances are numpy in double precision, from the definitions: what a FLAT
search has to find.  L2 is squared, as Milvus returns it.

    kind        a row for insert          what comes back      for distances
    float       list of floats            list of floats       numpy float
    float16     numpy float16             bytes or numpy       numpy float
    bfloat16    bytes, upper float halves bytes                numpy float
    int8        numpy int8                bytes or numpy       numpy float
    sparse      {dimension: weight}       the same             dict
    binary      bytes, 8 bits each        bytes                bytes
"""
import numpy as np

DENSE = ("float", "float16", "bfloat16", "int8")
BIGGER_IS_BETTER = ("IP", "COSINE")


def random_vectors(rng, kind, count, dim):
    """`count` vectors, as insert wants them."""
    if kind == "binary":
        return [rng.integers(0, 256, dim // 8, dtype=np.uint8).tobytes() for _ in range(count)]
    if kind == "sparse":
        return [{int(d): float(np.float32(rng.random() + 0.01))
                 for d in sorted(rng.choice(1000, dim, replace=False))} for _ in range(count)]
    if kind == "int8":
        return list(rng.integers(-128, 128, (count, dim), dtype=np.int8))
    floats = rng.standard_normal((count, dim)).astype(np.float32)
    if kind == "float16":
        return list(floats.astype(np.float16))
    if kind == "bfloat16":
        return [bfloat16(row) for row in floats]
    return floats.tolist()


def bfloat16(row):
    """The bytes of float32 values cut to bfloat16."""
    return (np.asarray(row, dtype=np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def plain(kind, value):
    """A vector as sent or as returned, in the form that distances take."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (bytes, np.ndarray)):
        value = value[0]                        # some clients wrap bytes in a list
    if kind == "sparse":
        return {int(d): float(w) for d, w in dict(value).items()}
    if kind == "binary":
        return bytes(value) if not isinstance(value, np.ndarray) else value.tobytes()
    if isinstance(value, np.ndarray) and value.dtype.name == "bfloat16":
        value = value.tobytes()
    if isinstance(value, bytes):
        if kind == "bfloat16":
            halves = np.frombuffer(value, "<u2").astype(np.uint32) << 16
            return halves.view(np.float32).astype(np.float64)
        return np.frombuffer(value, {"float16": "<f2", "int8": "i1"}[kind]).astype(np.float64)
    return np.asarray(value, dtype=np.float64)


def same(kind, one, other):
    """Whether two vectors are the same bits."""
    one, other = plain(kind, one), plain(kind, other)
    if kind in DENSE:
        return one.shape == other.shape and bool(
            (one.astype(np.float32) == other.astype(np.float32)).all())
    if kind == "sparse":
        return {d: np.float32(w) for d, w in one.items()} == \
            {d: np.float32(w) for d, w in other.items()}
    return one == other


def distances(kind, metric, query, rows):
    """The distance of a query to each row, float64."""
    query = plain(kind, query)
    rows = [plain(kind, row) for row in rows]
    if not rows:
        return np.zeros(0)
    if kind == "sparse":
        return np.array([sum(w * row.get(d, 0.0) for d, w in query.items()) for row in rows])
    if kind == "binary":
        return _binary(metric, query, rows)
    rows = np.stack(rows)
    if metric == "L2":
        return ((rows - query) ** 2).sum(axis=1)
    if metric == "IP":
        return rows @ query
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    return np.divide(rows @ query, norms, out=np.zeros(len(rows)), where=norms > 0)


def _binary(metric, query, rows):
    query = np.unpackbits(np.frombuffer(query, np.uint8))
    rows = np.stack([np.unpackbits(np.frombuffer(row, np.uint8)) for row in rows])
    if metric == "HAMMING":
        return (rows != query).sum(axis=1).astype(np.float64)
    both, either = (rows & query).sum(axis=1), (rows | query).sum(axis=1)
    return 1.0 - np.divide(both, either, out=np.zeros(len(rows)), where=either > 0)


def nearest(kind, metric, query, ids, rows, limit):
    """[(id, distance)] of an exact search, best first, ties by the smaller id."""
    found = distances(kind, metric, query, rows)
    sign = -1 if metric in BIGGER_IS_BETTER else 1
    order = sorted(range(len(ids)), key=lambda i: (sign * found[i], ids[i]))
    return [(ids[i], float(found[i])) for i in order[:limit]]


def differs(expected, got, tolerance=2e-3, offset=0):
    """Why two answers of one query are not the same up to rounding; None when they are.

    `expected` and `got` are [(id, distance)], best first.  Rows whose distances
    are closer than the tolerance may stand in either order, and at the end, or where
    an offset cut, either of them may be the one that was cut off."""
    if len(expected) != len(got):
        return f"{len(got)} hits instead of {len(expected)}: {got} instead of {expected}"
    if len({i for i, _ in got}) != len(got):
        return f"an id is there twice: {got}"

    def close(a, b):
        return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))
    for (_, d), (_, e) in zip(expected, got):
        if not close(d, e):
            return f"distances {got} instead of {expected}"
    ends = [expected[-1][1]] if expected else []
    ends += [expected[0][1]] if expected and offset else []
    mine, theirs = dict(expected), dict(got)
    for i, d in list(mine.items()) + list(theirs.items()):
        other = theirs.get(i, mine.get(i)) if i in mine else None
        if (i not in theirs or i not in mine) and not any(close(d, end) for end in ends):
            return f"id {i} at {d} is on one side only: {got} instead of {expected}"
        if other is not None and not close(d, other):
            return f"id {i} at {other} instead of {d}"
    return None

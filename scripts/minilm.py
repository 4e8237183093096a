"""minilm - sentences to vectors: the six layers of all-MiniLM-L6-v2 in numpy.

    model = Minilm(directory)          # of scripts/minilm.sh
    model.embed(["a sentence", ...])   # float32 [n, 384], of length 1

BERT (Devlin et al., 2018): embeddings of word, place and kind are added and
normed; each layer is attention and a two-matrix network, both with a residual
and a norm; the sentence is the mean over its words (Reimers & Gurevych, 2019).
"""
import concurrent.futures
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")     # batches run beside each other instead

import numpy
import tokenizers

WORDS_MOST = 128               # of a sentence; what the weights were tuned with is 256


def _safetensors(path):
    """Name -> array, mapped: 8 bytes of length, a JSON header, then the numbers."""
    raw = numpy.memmap(path, dtype=numpy.uint8, mode="r")
    length = int(raw[:8].view(numpy.uint64)[0])
    header = json.loads(raw[8:8 + length].tobytes())
    tensors = {}
    for name, info in header.items():
        if name != "__metadata__" and info["dtype"] == "F32":
            begin, end = (8 + length + at for at in info["data_offsets"])
            cells = raw[begin:end].view(numpy.float32)
            tensors[name] = numpy.array(cells).reshape(info["shape"])
    return tensors


def _gelu(x):
    """x times the normal distribution function, by the error function's series of
    Abramowitz & Stegun 7.1.26: off by less than 1.5e-7."""
    z = numpy.abs(x) * numpy.float32(0.7071067811865476)
    t = 1 / (1 + numpy.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (
        -1.453152027 + t * 1.061405429))))
    erf = numpy.sign(x) * (1 - poly.astype(numpy.float32) * numpy.exp(-z * z))
    return numpy.float32(0.5) * x * (1 + erf)


class Minilm:
    def __init__(self, directory):
        self.w = _safetensors(os.path.join(directory, "model.safetensors"))
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.tokenizer = tokenizers.Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
        self.tokenizer.enable_truncation(WORDS_MOST)
        self.tokenizer.no_padding()

    def _linear(self, x, name):
        flat = x.reshape(-1, x.shape[-1]) @ self.w[name + ".weight"].T    # one product, not many
        return (flat + self.w[name + ".bias"]).reshape(*x.shape[:-1], -1)

    def _norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= numpy.sqrt((x * x).mean(-1, keepdims=True) + numpy.float32(1e-12))
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def _attend(self, x, mask, name):
        n, words, dim = x.shape

        def cut(what):              # [n, heads, words, dim / heads]
            y = self._linear(x, f"{name}.self.{what}")
            return y.reshape(n, words, self.heads, dim // self.heads).transpose(0, 2, 1, 3)
        scores = cut("query") @ cut("key").transpose(0, 1, 3, 2)
        scores = scores / numpy.float32((dim // self.heads) ** 0.5) + mask
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ cut("value")).transpose(0, 2, 1, 3).reshape(n, words, dim)
        return self._norm(x + self._linear(mixed, f"{name}.output.dense"),
                          f"{name}.output.LayerNorm")

    def _layer(self, x, mask, i):
        name = f"encoder.layer.{i}"
        x = self._attend(x, mask, f"{name}.attention")
        wide = _gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._linear(wide, f"{name}.output.dense"),
                          f"{name}.output.LayerNorm")

    def _batch(self, encoded):
        words = max(len(e.ids) for e in encoded)
        ids = numpy.zeros((len(encoded), words), dtype=numpy.int64)
        there = numpy.zeros((len(encoded), words), dtype=numpy.float32)
        for row, e in enumerate(encoded):
            ids[row, :len(e.ids)] = e.ids
            there[row, :len(e.ids)] = 1
        x = self.w["embeddings.word_embeddings.weight"][ids]
        x = x + self.w["embeddings.position_embeddings.weight"][:words]
        x = x + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        mask = (1 - there)[:, None, None, :] * numpy.float32(-1e9)
        for i in range(self.layers):
            x = self._layer(x, mask, i)
        mean = (x * there[:, :, None]).sum(1) / there.sum(1, keepdims=True)
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)

    def embed(self, sentences, batch=32, progress=None):
        """Vectors in the order given.  progress(done, of) after each batch."""
        threads = len(os.sched_getaffinity(0))
        encoded = self.tokenizer.encode_batch(list(sentences))
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        found = numpy.empty((len(encoded), self.w["embeddings.LayerNorm.bias"].size),
                            dtype=numpy.float32)
        batches = [order[at:at + batch]         # of like length: little padding
                   for at in range(0, len(order), batch)]

        def work(rows):
            found[rows] = self._batch([encoded[i] for i in rows])
            return len(rows)
        done = 0
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for n in pool.map(work, batches):
                done += n
                if progress:
                    progress(done, len(order))
        return found

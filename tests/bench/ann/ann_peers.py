"""ann_peers - the libraries that Elanus is compared with, one class each, one face

    build(base, where, threads)     and save into the directory
    load(where)                     what was saved
    searcher(k, params)             a call: query -> rows, one query at a time, one thread

A library is imported when its class is made: each runs in a process of its own.
"""
import os

import numpy as np


class Hnswlib:
    def __init__(self, spec):
        import hnswlib
        self.module, self.spec = hnswlib, spec

    def version(self):
        from importlib.metadata import version
        return "hnswlib " + version("hnswlib")

    def build(self, base, where, threads):
        index = self.module.Index(space="ip", dim=base.shape[1])
        index.init_index(max_elements=len(base), M=self.spec["M"],
                         ef_construction=self.spec["efConstruction"], random_seed=100)
        index.set_num_threads(threads)
        index.add_items(base, num_threads=threads)
        index.save_index(os.path.join(where, "index"))
        np.save(os.path.join(where, "dim.npy"), base.shape[1])

    def load(self, where):
        self.index = self.module.Index(space="ip", dim=int(np.load(os.path.join(where,
                                                                                "dim.npy"))))
        self.index.load_index(os.path.join(where, "index"))
        self.index.set_num_threads(1)

    def searcher(self, k, params):
        self.index.set_ef(params["ef"])
        call = self.index.knn_query
        return lambda query: call(query, k=k, num_threads=1)[0][0]


class Faiss:
    """By a string of its index factory; refined ones are sought through IndexRefine."""

    def __init__(self, spec):
        import faiss
        self.module, self.spec = faiss, spec
        faiss.omp_set_num_threads(1)

    def version(self):
        return "faiss " + self.module.__version__

    def build(self, base, where, threads):
        self.module.omp_set_num_threads(threads)
        # k-means by matrix products, as faiss did until lately: of two dimensions 16 x faster.
        self.module.cvar.distance_compute_blas_threshold = 20
        index = self.module.index_factory(base.shape[1], self.spec["factory"],
                                          self.module.METRIC_INNER_PRODUCT)
        if "efConstruction" in self.spec:
            index.hnsw.efConstruction = self.spec["efConstruction"]
        index.train(base)
        index.add(base)
        self.module.write_index(index, os.path.join(where, "index"))

    def load(self, where):
        self.module.omp_set_num_threads(1)
        self.index = self.module.read_index(os.path.join(where, "index"))

    def searcher(self, k, params):
        faiss, index = self.module, self.index
        if "ef" in params:
            index.hnsw.efSearch = params["ef"]
        if "nprobe" in params:
            faiss.extract_index_ivf(index).nprobe = params["nprobe"]
        if "reorder_k" in params:
            index.k_factor = params["reorder_k"] / k
        call = index.search
        return lambda query: call(query[None], k)[1][0]


class Scann:
    def __init__(self, spec):
        import scann
        self.module, self.spec = scann, spec

    def version(self):
        from importlib.metadata import version
        return "ScaNN " + version("scann")

    def build(self, base, where, threads):
        searcher = self.module.scann_ops_pybind.builder(base, 10, "dot_product").tree(
            num_leaves=self.spec["leaves"], num_leaves_to_search=100,
            training_sample_size=len(base)).score_ah(
                2, anisotropic_quantization_threshold=0.2).reorder(100).set_n_training_threads(
                    threads).build()
        searcher.serialize(where)

    def load(self, where):
        self.index = self.module.scann_ops_pybind.load_searcher(where)

    def searcher(self, k, params):
        call, leaves, reorder = self.index.search, params["nprobe"], params["reorder_k"]
        return lambda query: call(query, k, reorder, leaves)[0]


class Diskann:
    def __init__(self, spec):
        import diskannpy
        self.module, self.spec = diskannpy, spec

    def version(self):
        from importlib.metadata import version
        return "diskannpy " + version("diskannpy")

    def build(self, base, where, threads):
        self.module.build_disk_index(
            base, "l2", where, complexity=self.spec["search_list"],
            graph_degree=self.spec["degree"], num_threads=threads, build_memory_maximum=4.0,
            search_memory_maximum=base.nbytes * self.spec["share"] / 2**30)

    def load(self, where):
        # A search takes one thread.  With room for one only, 0.7.0 waits for itself for ever.
        self.index = self.module.StaticDiskIndex(where, num_threads=2, num_nodes_to_cache=0)

    def searcher(self, k, params):
        call, complexity, beam = self.index.search, params["search_list"], params["beamwidth"]
        return lambda query: call(query, k, complexity, beam).identifiers


PEERS = {"hnswlib": Hnswlib, "faiss": Faiss, "scann": Scann, "diskannpy": Diskann}

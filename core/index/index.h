/* index - finds near vectors of one field of one sealed segment without looking at all of them
 *
 * The face of every vector index.  What differs between types is what is built (index_spec_t),
 * how a search may be tuned (index_knobs_t), and the files behind index_ops_t (index_int.h).
 *
 *     build    vectors by stretches (index_source_t) ──► objects (index_sink_t)
 *     open     objects, in memory or mapped ──► index_t, which any number of threads search
 *     search   queries, a filter ──► rows and scores into a top-k for each query
 *
 * Rows are numbered by their place in the segment.  Null vectors are in no index.  What an
 * index adds to a top-k are the scores of the kernel itself (COSINE: times the inverse norms), so
 * they compare with those of rows that were scanned, and one top-k may hold both.
 *
 * A build depends on the rows, the spec and its seed: not on stretches, on threads or on chance.
 */
#ifndef CORE_INDEX_INDEX_H
#define CORE_INDEX_INDEX_H

#include "core/base/bitset.h"
#include "core/base/pool.h"
#include "core/simd/metric.h"
#include "core/simd/topk.h"

/* The numbers are in files.  FLAT and BIN_FLAT are not built: such fields are scanned. */
typedef enum index_type {
    INDEX_NONE, INDEX_IVF_FLAT, INDEX_BIN_IVF_FLAT, INDEX_IVF_SQ8, INDEX_IVF_PQ, INDEX_SCANN,
    INDEX_HNSW, INDEX_HNSW_SQ, INDEX_DISKANN, INDEX_SPARSE_INVERTED, INDEX_SPARSE_WAND, INDEX_TYPES
} index_type_t;

/* What a field of such cells gets by this name: "IVF_FLAT" …, "AUTOINDEX".  False: nothing that
 * could be built; it is scanned, or the name is none of these cells. */
bool index_type_parse(const char *name, cell_t cells, index_type_t *ret);
bool index_type_built(index_type_t type);       /* else it is scanned, too */
const char *index_type_name(index_type_t type);

/* Parameters as clients give them and as metadata keeps them. */
typedef struct index_pair { const char *key, *value; } index_pair_t;

/* --- what to build ------------------------------------------------------------------------ */

typedef struct index_spec {
    index_type_t type;
    metric_t metric;
    cell_t cells;
    size_t dim;
    uint64_t seed;              /* the caller's; also tells the objects of one build from others */
    size_t nlist;               /* IVF …, SCANN: asked for; few rows get fewer lists */
    size_t m, nbits;            /* IVF_PQ: sub-vectors, and bits of the code of each */
    bool without_raw;           /* SCANN: with_raw_data=false, nothing is ranked again */
    size_t degree;              /* HNSW: M; DISKANN: max_degree */
    size_t ef_construction;     /* HNSW; DISKANN: search_list_size */
    float drop_ratio_build;     /* SPARSE: share of the smallest values that is left out */
} index_spec_t;

/* Read index_type, metric_type and what the type needs, from pairs of their own or out of the
 * JSON object under the key `params`.  The seed is the caller's to set.  The same for whoever
 * checks a definition and whoever builds by it; AUTOINDEX takes none and has its own.
 *   dim  0: not known, or sparse
 * Errors  ERR_INDEX_TYPE     a name that is none of a type that could be built
 *         ERR_PARAM_INVALID  Milvus's text: out of range, or such vectors have no such index */
err_t must_use index_spec_read(ctx_t *ctx, const index_pair_t *pairs, size_t n, cell_t cells,
                               size_t dim, index_spec_t *ret);

/* Vectors that lie one after the other. */
typedef struct index_rows {
    const uint8_t *cells;       /* [n]; any alignment */
    const uint64_t *offsets;    /* [n + 1] sparse: where cells begin and end; else NULL */
    size_t n;                   /* at least 1 */
    const uint64_t *valid;      /* bit i: row i of these has a vector; NULL: all have */
} index_rows_t;

/* Where a build reads the vectors: from the first row to the last, several times over. */
typedef struct index_source {
    size_t n_rows;              /* of the segment */
    /* The rows from `from` on, as many as lie together; `from` is 0 or where the stretch
     * before ended.  They are borrowed until the next call. */
    err_t (*read)(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret);
    void *arg;
} index_source_t;

/* Where its objects go: each number once, in any order, 0 the last; bytes are borrowed for the
 * call.  Objects are read back by number: 0 .. n_objects - 1. */
typedef struct index_sink {
    err_t (*put)(ctx_t *ctx, void *arg, size_t number, view_t bytes);
    void *arg;
} index_sink_t;

typedef struct index_how {
    pool_t *pool;               /* borrowed: threads beside the caller's own; NULL: none */
    size_t threads;             /* at most so many, the caller's included; 0: 1 */
    _Atomic unsigned *percent;  /* how far it is; NULL: nobody asks */
    size_t object_bytes;        /* of one object, about; 0: LIMIT_INDEX_OBJECT_BYTES */
    uint64_t memory_bytes;      /* the build may take, see index_build_need; 0: no bound */
} index_how_t;

typedef struct index_built {
    size_t n_objects;
    uint64_t bytes;             /* of all objects */
    uint64_t rows;              /* that are in it: without nulls */
} index_built_t;

/* Memory that a build takes beside the vectors, about.
 *   bytes  of all vectors; sparse ones: as far as it is known */
uint64_t index_build_need(const index_spec_t *spec, size_t rows, uint64_t bytes);

/* Build and write.
 *   how  NULL: on this thread only, with as much memory as there is
 * Errors  of source and sink; ERR_MEMORY, before it begins when more is needed than how says;
 *         ERR_CANCELED, ERR_TIMEOUT  ctx says so, asked every few ms;
 *         ERR_PARAM_TOO_LARGE  an object would pass LIMIT_INDEX_OBJECT_BYTES
 * Cost    memory: index_build_need
 * Thread  a compute worker: seconds to minutes */
err_t must_use index_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                           const index_sink_t *sink, const index_how_t *how, index_built_t *ret);

/* --- what was built ------------------------------------------------------------------------- */

typedef struct index index_t;

typedef struct index_blob {
    const char *name;           /* for texts; copied where it is kept */
    view_t bytes;               /* borrowed until the index is destroyed; 64-aligned */
    int file;                   /* 0, or a descriptor of a file that begins with these bytes, as
                                   long borrowed: what is only now and then needed is read there */
} index_blob_t;

/* Would searches of this index, whose object 0 this is, read files?  Then blobs had better come
 * with them: its memory is small only so.  Never wrong about what index_open takes. */
bool index_wants_files(const index_blob_t *first);

/* Open the objects of a build, all of them, by number.  Every byte is verified.
 * Errors  ERR_CORRUPT  naming the object; ERR_VERSION  made by a newer program; ERR_MEMORY */
err_t must_use index_open(ctx_t *ctx, const index_blob_t *blobs, size_t n, index_t **ret);
void index_destroy(index_t **self_p);

const index_spec_t *index_spec(const index_t *self);    /* nlist: as built */
size_t index_rows(const index_t *self);                 /* of the segment, with nulls */
size_t index_bytes(const index_t *self);                /* of memory, without the objects'; of
                                                           one that reads files all that stays */
simd_kernel_t index_kernel(const index_t *self);        /* how queries are to be prepared */

/* Reads of files that searches made so far; 0 for an index that makes none.  Thread: any */
uint64_t index_reads(const index_t *self);

/* --- searching -------------------------------------------------------------------------------- */

/* How a search may be tuned; 0: the index's default. */
typedef struct index_knobs {
    size_t nprobe;              /* IVF: lists to look at, at most all; 8 */
    size_t max_empty_result_buckets;    /* IVF, range: lists in a row without a hit; 2 */
    size_t reorder_k;           /* SCANN: rows that are ranked again; `want` */
    size_t ef;                  /* HNSW: rows kept on the way; max(`want`, 16) */
    size_t search_list;         /* DISKANN: the same */
    size_t beamwidth;           /* DISKANN: reads at a time; 8 */
    float drop_ratio_search;    /* SPARSE: share of a query's smallest values that is left out */
} index_knobs_t;

/* From pairs as in index_spec_read.
 *   type  what else there is belongs to other types; INDEX_NONE: read all
 *   k     hits asked for, which ef, reorder_k and search_list may not be below; 0: they may, as
 *         in a search within a range
 * Errors  ERR_UNEXPECTED  Milvus's text (of 2.3.5, behind the names of its nodes) */
err_t must_use index_knobs_read(ctx_t *ctx, index_type_t type, const index_pair_t *pairs,
                                size_t n, size_t k, index_knobs_t *ret);

/* The other way: those that are set, as pairs in the arena.  Returns how many. */
size_t index_knobs_pairs(ctx_t *ctx, const index_knobs_t *knobs, index_pair_t **ret);

typedef struct index_ask {
    const void *queries;        /* [n_queries] prepared for index_kernel, one after the other;
                                   sparse: their cells */
    const uint64_t *offsets;    /* [n_queries + 1] sparse: where those begin and end; else NULL */
    const float *factors;       /* COSINE: [n_queries] 1 / |query|; else NULL */
    size_t n_queries;
    const bitset_t *keep;       /* [index_rows] bit 1: the row takes part; NULL: all do */
    size_t n_kept;              /* bits set; with keep */
    size_t want;                /* hits a query hopes for: as long as fewer rows were looked
                                   at, a search goes on where it would otherwise end */
    bool has_range;             /* only hits better than radius, not better than inner, count */
    float radius, inner;
    uint32_t first;             /* number of the segment's first row */
    index_knobs_t knobs;
} index_ask_t;

/* Add near rows to the top-k of each query.  A filter never makes an answer short: lists are
 * looked at until `want` rows were found or none is left, and one that leaves no more rows than
 * a search would look at anyway is answered exactly, as far as codes are (ivf_search.c).
 *   best  [n_queries] borrowed; descending as simd_kernel_descends(index_kernel) says
 * Errors  ERR_CANCELED, ERR_TIMEOUT; ERR_MEMORY
 * Thread  any, beside others that have their own `best` */
err_t must_use index_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                            topk_t *const *best);

#endif

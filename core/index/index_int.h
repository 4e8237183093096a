/* index_int - what an index type fills in; index.c is the only one that calls it */
#ifndef CORE_INDEX_INDEX_INT_H
#define CORE_INDEX_INDEX_INT_H

#include "core/index/index_file.h"

/* An opened index; a type's own struct begins with it. */
struct index {
    const struct index_ops *ops;
    index_head_t head;
    simd_kernel_t kernel;
    size_t bytes;
    _Atomic uint64_t *reads;    /* of files; NULL: it makes none */
};

/* Of one type.  The calls are those of index.h; their arguments are checked already. */
typedef struct index_ops {
    err_t (*build)(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                   const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
    /* ret: with everything but what index.c fills in: ops, head, kernel */
    err_t (*open)(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
    err_t (*search)(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best);
    void (*destroy)(index_t *self);
} index_ops_t;

extern const index_ops_t ivf_ops, hnsw_ops, disk_ops, sparse_ops;

/* NULL: the type is not built. */
const index_ops_t *index_ops_of(index_type_t type);

/* Say how far a build is. */
static inline void index_percent(const index_how_t *how, unsigned percent)
{
    if (how && how->percent)
        *how->percent = percent;
}

#endif

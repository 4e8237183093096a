/* index - see index.h: the calls, before they go to the type */
#include "core/base/limits.h"
#include "core/index/index_int.h"

const index_ops_t *index_ops_of(index_type_t type)
{
    static const index_ops_t *const ops[INDEX_TYPES] = {
        [INDEX_IVF_FLAT] = &ivf_ops,
        [INDEX_BIN_IVF_FLAT] = &ivf_ops,
        [INDEX_HNSW] = &hnsw_ops,
        [INDEX_HNSW_SQ] = &hnsw_ops,
        [INDEX_DISKANN] = &disk_ops,
        [INDEX_IVF_SQ8] = &ivf_ops,
        [INDEX_IVF_PQ] = &ivf_ops,
        [INDEX_SCANN] = &ivf_ops,
        [INDEX_SPARSE_INVERTED] = &sparse_ops,
        [INDEX_SPARSE_WAND] = &sparse_ops,
    };
    return type < INDEX_TYPES ? ops[type] : NULL;
}

/* Do such vectors have such a metric?  Sparse ones have no kernel, and IP only. */
static bool s_fits(const index_spec_t *spec)
{
    simd_kernel_t kernel;
    return spec->cells == CELL_SPARSE ? spec->metric == METRIC_IP
                                      : metric_kernel(spec->metric, spec->cells, &kernel);
}

/* Is there as much memory as it takes? */
static err_t s_afford(ctx_t *ctx, const index_spec_t *spec, size_t rows, const index_how_t *how)
{
    simd_kernel_t kernel;
    bool dense = metric_kernel(spec->metric, spec->cells, &kernel);
    uint64_t bytes = dense ? rows * simd_row_bytes(kernel, spec->dim) : 0;
    uint64_t need = index_build_need(spec, rows, bytes);
    if (!how || !how->memory_bytes || need <= how->memory_bytes)
        return OK;
    return ctx_fail(ctx, ERR_MEMORY, "an index of %zu rows takes %llu MiB to build, %llu MiB are "
                    "allowed", rows, (unsigned long long)(need >> 20),
                    (unsigned long long)(how->memory_bytes >> 20));
}

err_t index_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                  const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    const index_ops_t *ops = index_ops_of(spec->type);
    check(ops && s_fits(spec) && spec->nlist <= LIMIT_INDEX_LISTS);
    if (source->n_rows > LIMIT_INDEX_ROWS)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "an index of %zu rows, at most %u",
                        source->n_rows, LIMIT_INDEX_ROWS);
    TRY(s_afford(ctx, spec, source->n_rows, how));
    TRY(ops->build(ctx, spec, source, sink, how, ret));
    index_percent(how, 100);
    return OK;
}

bool index_wants_files(const index_blob_t *first)
{
    return first->bytes.len >= INDEX_HEAD_BYTES &&
           load_u16(first->bytes.ptr + 6) == INDEX_DISKANN;
}

err_t index_open(ctx_t *ctx, const index_blob_t *blobs, size_t n, index_t **ret)
{
    check(ret && *ret == NULL);
    index_reader_t reader;
    index_t *self = NULL;
    err_t err = index_reader_init(ctx, &reader, blobs, n);
    if (err == OK)
        err = index_ops_of(reader.head.spec.type)->open(ctx, &reader, &self);
    if (err == OK) {
        self->ops = index_ops_of(reader.head.spec.type);
        self->head = reader.head;
        if (self->head.spec.cells != CELL_SPARSE)
            check(metric_kernel(self->head.spec.metric, self->head.spec.cells, &self->kernel));
        *ret = self;
    }
    index_reader_fini(&reader);
    return err;
}

void index_destroy(index_t **self_p)
{
    index_t *self = *self_p;
    *self_p = NULL;
    if (self)
        self->ops->destroy(self);
}

const index_spec_t *index_spec(const index_t *self)     { return &self->head.spec; }
size_t index_rows(const index_t *self)                  { return (size_t)self->head.rows; }
size_t index_bytes(const index_t *self)                 { return self->bytes; }
simd_kernel_t index_kernel(const index_t *self)         { return self->kernel; }

uint64_t index_reads(const index_t *self)
{
    return self->reads ? *self->reads : 0;
}

err_t index_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best)
{
    check(!ask->keep || ask->keep->n_bits == self->head.rows);
    check((ask->factors != NULL) == (self->head.spec.metric == METRIC_COSINE));
    check((ask->offsets != NULL) == (self->head.spec.cells == CELL_SPARSE));
    if (ask->n_queries == 0 || self->head.indexed == 0 || (ask->keep && ask->n_kept == 0))
        return OK;
    return self->ops->search(ctx, self, ask, best);
}

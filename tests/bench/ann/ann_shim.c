/* ann_shim - Elanus's indexes as a shared object, for ann_elanus.py to call by ctypes
 *
 * Built for bench-index only, of core/base, core/simd and core/index compiled once more with -fPIC
 * (libraries that come from PyPI are called in the same way, so what a call from Python costs is
 * the same for all).  An index is built into files, one an object, and opened as maps of them,
 * which is what a query node of standalone does.
 *
 * One thread a handle.  What fails gives NULL, 0 or -1, and ann_error says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/index/index.h"
#include "core/simd/brute.h"

#define PUBLIC __attribute__((visibility("default")))

enum { PATH_BYTES = 4096, MOST_OBJECTS = 1024 };

/* What to build; Python has the same fields (ann_elanus.py). */
typedef struct ann_spec {
    const char *type, *metric;
    size_t dim, nlist, m, nbits, without_raw, degree, ef_construction;
} ann_spec_t;

/* How to search; 0: the index's default. */
typedef struct ann_knobs {
    size_t nprobe, reorder_k, ef, search_list, beamwidth;
} ann_knobs_t;

typedef struct ann {
    ctx_t ctx;
    index_t *index;             /* NULL: FLAT */
    brute_t flat;
    metric_t metric;
    size_t dim, n;
    bitset_t keep;
    size_t n_kept;              /* 0: no filter */
    topk_t *best;
    topk_hit_t *hits;
    size_t k;                   /* of best and hits */
    index_blob_t blobs[MOST_OBJECTS];
    size_t n_objects;
    bool reads;                 /* files, as it searches */
} ann_t;

PUBLIC const char *ann_error(void);
PUBLIC int ann_known(const char *type);
PUBLIC const char *ann_simd(void);
PUBLIC long ann_build(const ann_spec_t *spec, const float *rows, size_t n, size_t threads,
                      const char *dir);
PUBLIC ann_t *ann_open(const char *dir, size_t n_objects);
PUBLIC ann_t *ann_flat(const char *metric, const float *rows, size_t n, size_t dim);
PUBLIC void ann_close(ann_t *self);
PUBLIC size_t ann_bytes(const ann_t *self);
PUBLIC uint64_t ann_reads(const ann_t *self);
PUBLIC size_t ann_lists(const ann_t *self);
PUBLIC void ann_keep(ann_t *self, const uint64_t *words);
PUBLIC int ann_search(ann_t *self, const float *query, size_t k, const ann_knobs_t *knobs,
                      uint32_t *ret_rows, float *ret_scores);
PUBLIC int ann_loop(ann_t *self, const float *queries, size_t n, size_t k,
                    const ann_knobs_t *knobs, uint32_t *ret_rows, float *ret_scores);

static char s_error[CTX_TEXT_BYTES];

const char *ann_error(void)
{
    return s_error;
}

static void s_keep_error(const ctx_t *ctx)
{
    snprintf(s_error, sizeof s_error, "%s", ctx->text);
}

int ann_known(const char *type)
{
    index_type_t parsed;
    return index_type_parse(type, CELL_F32, &parsed) && index_type_built(parsed);
}

const char *ann_simd(void)
{
    return cpu_level_name(simd()->level);
}

/* --- building --------------------------------------------------------------------------- */

typedef struct vectors {
    const float *rows;
    size_t n, dim;
} vectors_t;

static err_t s_read(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    (void)ctx;
    const vectors_t *v = arg;
    *ret = (index_rows_t){ .cells = (const uint8_t *)(v->rows + from * v->dim), .n = v->n - from };
    return OK;
}

static err_t s_put(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%zu", (const char *)arg, number);
    FILE *f = fopen(path, "wb");
    bool written = f && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;
    if (f && fclose(f) != 0)
        written = false;
    return written ? OK : ctx_fail(ctx, ERR_STORE, "%s: %s", path, strerror(errno));
}

static err_t s_build(ctx_t *ctx, const ann_spec_t *from, vectors_t *vectors, size_t threads,
                     const char *dir, index_built_t *ret)
{
    index_spec_t spec = { .cells = CELL_F32, .dim = from->dim, .seed = 1, .nlist = from->nlist,
                          .m = from->m, .nbits = from->nbits, .without_raw = from->without_raw,
                          .degree = from->degree, .ef_construction = from->ef_construction };
    if (!index_type_parse(from->type, CELL_F32, &spec.type) ||
        !metric_parse(from->metric, &spec.metric))
        return ctx_fail(ctx, ERR_INDEX_TYPE, "%s by %s is not built", from->type, from->metric);
    index_source_t source = { .n_rows = vectors->n, .read = s_read, .arg = vectors };
    index_sink_t sink = { s_put, (void *)dir };
    pool_t *pool = threads > 1 ? pool_new("build", (int)threads - 1) : NULL;
    index_how_t how = { .pool = pool, .threads = threads };
    err_t err = index_build(ctx, &spec, &source, &sink, &how, ret);
    if (pool)
        pool_destroy(&pool);
    return err;
}

/* How many objects were put into dir; -1: it failed. */
long ann_build(const ann_spec_t *spec, const float *rows, size_t n, size_t threads,
               const char *dir)
{
    ctx_t ctx;
    ctx_init(&ctx);
    vectors_t vectors = { rows, n, spec->dim };
    index_built_t built;
    err_t err = s_build(&ctx, spec, &vectors, threads, dir, &built);
    s_keep_error(&ctx);
    ctx_fini(&ctx);
    return err == OK ? (long)built.n_objects : -1;
}

/* --- opening ------------------------------------------------------------------------------- */

static err_t s_map(ann_t *self, const char *dir, size_t number)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%zu", dir, number);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map = fd < 0 || fstat(fd, &st) != 0
              ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    int why = errno;
    if (map == MAP_FAILED && fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return ctx_fail(&self->ctx, ERR_STORE, "%s: %s", path, strerror(why));
    self->blobs[self->n_objects++] = (index_blob_t){ "object", { map, (size_t)st.st_size }, fd };
    return OK;
}

/* As core/segment/field_index.c does: pages of an index that reads its files are given back. */
static err_t s_open(ann_t *self, const char *dir, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(s_map(self, dir, i));
    self->reads = n > 0 && index_wants_files(&self->blobs[0]);
    for (size_t i = 0; i < n && !self->reads; i++) {
        close(self->blobs[i].file);
        self->blobs[i].file = 0;
    }
    TRY(index_open(&self->ctx, self->blobs, n, &self->index));
    for (size_t i = 0; i < n && self->reads; i++)
        madvise((void *)self->blobs[i].bytes.ptr, self->blobs[i].bytes.len, MADV_DONTNEED);
    const index_spec_t *spec = index_spec(self->index);
    self->dim = spec->dim;
    self->metric = spec->metric;
    self->n = index_rows(self->index);
    return OK;
}

ann_t *ann_open(const char *dir, size_t n_objects)
{
    if (n_objects > MOST_OBJECTS)
        return NULL;
    ann_t *self = mem_new(sizeof *self);
    ctx_init(&self->ctx);
    if (s_open(self, dir, n_objects) != OK) {
        s_keep_error(&self->ctx);
        ann_close(self);
        return NULL;
    }
    return self;
}

/* No index: all rows are looked at. */
ann_t *ann_flat(const char *metric, const float *rows, size_t n, size_t dim)
{
    ann_t *self = mem_new(sizeof *self);
    ctx_init(&self->ctx);
    self->dim = dim;
    self->n = n;
    check(metric_parse(metric, &self->metric));
    self->flat = (brute_t){ .dim = dim, .rows = rows, .n = n };
    check(metric_kernel(self->metric, CELL_F32, &self->flat.kernel));
    if (self->metric == METRIC_COSINE) {
        float *scale = mem_new(n * sizeof *scale);
        simd()->ops[self->flat.kernel].norm2(rows, n, dim, scale);
        for (size_t i = 0; i < n; i++)
            scale[i] = 1 / sqrtf(scale[i]);
        self->flat.scale = scale;
    }
    return self;
}

void ann_close(ann_t *self)
{
    index_destroy(&self->index);
    for (size_t i = 0; i < self->n_objects; i++) {
        munmap((void *)self->blobs[i].bytes.ptr, self->blobs[i].bytes.len);
        if (self->blobs[i].file)
            close(self->blobs[i].file);
    }
    mem_free((void *)self->flat.scale);
    topk_destroy(&self->best);
    mem_free(self->hits);
    bitset_fini(&self->keep);
    ctx_fini(&self->ctx);
    mem_free(self);
}

/* As the index says: of memory and maps. */
size_t ann_bytes(const ann_t *self)
{
    if (!self->index)
        return self->n * self->dim * sizeof(float);
    size_t all = index_bytes(self->index);
    for (size_t i = 0; i < self->n_objects && !self->reads; i++)
        all += self->blobs[i].bytes.len;
    return all;
}

/* Reads of files that its searches made so far. */
uint64_t ann_reads(const ann_t *self)
{
    return self->index ? index_reads(self->index) : 0;
}

/* nlist as built. */
size_t ann_lists(const ann_t *self)
{
    return self->index ? index_spec(self->index)->nlist : 0;
}

/* --- searching --------------------------------------------------------------------------- */

/* Rows that take part, a bit each; NULL: all do. */
void ann_keep(ann_t *self, const uint64_t *words)
{
    bitset_fini(&self->keep);
    self->keep = (bitset_t){0};
    self->n_kept = 0;
    if (!words)
        return;
    check(bitset_init(&self->ctx, &self->keep, self->n) == OK);
    memcpy(self->keep.words, words, (self->n + 63) / 64 * sizeof *words);
    self->n_kept = bitset_count(&self->keep);
}

static err_t s_room(ann_t *self, size_t k)
{
    if (self->k != k) {
        topk_destroy(&self->best);
        mem_free(self->hits);
        self->hits = mem_new(k * sizeof *self->hits);
        self->k = k;
        TRY(topk_new(&self->ctx, k, metric_descends(self->metric), &self->best));
    }
    topk_reset(self->best);
    return OK;
}

static err_t s_ask(ann_t *self, const float *query, const ann_knobs_t *knobs)
{
    ctx_t *ctx = &self->ctx;
    const bitset_t *keep = self->n_kept ? &self->keep : NULL;
    float factor = 1;
    if (self->metric == METRIC_COSINE)
        factor = 1 / sqrtf(simd()->ops[SIMD_F32_IP].pair(query, query, self->dim));
    const float *factors = self->metric == METRIC_COSINE ? &factor : NULL;
    if (!self->index) {
        self->flat.keep = keep;
        return brute_search(ctx, &self->flat, 0, query, factors, 1, &self->best);
    }
    index_ask_t ask = { .queries = query, .factors = factors, .n_queries = 1, .keep = keep,
                        .n_kept = self->n_kept, .want = self->k,
                        .knobs = { .nprobe = knobs->nprobe, .reorder_k = knobs->reorder_k,
                                   .ef = knobs->ef, .search_list = knobs->search_list,
                                   .beamwidth = knobs->beamwidth } };
    return index_search(ctx, self->index, &ask, &self->best);
}

/* Hits found, best first, and UINT32_MAX behind them; -1: it failed. */
int ann_search(ann_t *self, const float *query, size_t k, const ann_knobs_t *knobs,
               uint32_t *ret_rows, float *ret_scores)
{
    if (s_room(self, k) != OK || s_ask(self, query, knobs) != OK) {
        s_keep_error(&self->ctx);
        return -1;
    }
    arena_fini(&self->ctx.arena);
    size_t n = topk_hits(self->best, self->hits);
    for (size_t i = 0; i < k; i++) {
        ret_rows[i] = i < n ? self->hits[i].row : UINT32_MAX;
        ret_scores[i] = i < n ? self->hits[i].score : 0;
    }
    return (int)n;
}

/* The same for n queries one after the other: what remains when Python is not in between. */
int ann_loop(ann_t *self, const float *queries, size_t n, size_t k, const ann_knobs_t *knobs,
             uint32_t *ret_rows, float *ret_scores)
{
    for (size_t q = 0; q < n; q++)
        if (ann_search(self, queries + q * self->dim, k, knobs, ret_rows + q * k,
                       ret_scores + q * k) < 0)
            return -1;
    return 0;
}

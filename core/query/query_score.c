/* query_score - see query_score.h
 *
 * COSINE needs the norm of each row.  A segment keeps them in its room for that field of a block,
 * 5 bytes a row, made by the first search that comes by:
 *
 *     inverse norms [rows], then a state for each 64 of them: 0 not there, 1 being made, 2 there
 *
 * A search that finds a state of 1 makes its own instead of waiting.  The last few rows of a
 * growing block do not fill their 64 yet; their norms are made each time.
 */
#include "core/query/query_score.h"

#include <math.h>
#include <stdatomic.h>

#include "core/simd/brute.h"
#include "core/simd/sparse.h"

enum { WORD = 64, CHUNK_BYTES = 32 << 10, SPARSE_BYTES = 512,
       PART_BYTES = 4 << 20, PART_ROWS_MOST = 256 << 10 };
enum { NORMS_NONE, NORMS_BEING_MADE, NORMS_THERE };

/* --- queries ------------------------------------------ */

static bool s_kernel(type_t type, metric_t metric, simd_kernel_t *ret)
{
    cell_t cells;
    if (!field_index_cells(type, &cells))
        return false;
    return cells == CELL_SPARSE ? metric == METRIC_IP : metric_kernel(metric, cells, ret);
}

static void s_set_range(scorer_t *self, const search_plan_t *plan)
{
    float worst = self->descends ? -INFINITY : INFINITY;
    self->has_range = plan->has_radius || self->sparse;
    self->radius = plan->has_radius ? plan->radius : worst;
    self->inner = plan->has_radius && plan->has_range_filter ? plan->range_filter : -worst;
    if (self->sparse && self->radius < 0)
        self->radius = 0;
    if (self->metric == METRIC_COSINE && self->inner >= 1)
        self->inner = INFINITY;             /* what is shown as 1 may be more */
}

static float s_inverse(float norm2)
{
    return norm2 > 0 ? 1 / sqrtf(norm2) : 0;
}

static err_t s_take_sparse(ctx_t *ctx, scorer_t *self, const column_t *queries)
{
    size_t bytes = (size_t)(queries->offsets[self->nq] - queries->offsets[0]);
    self->queries = mem_try(ctx, bytes);
    self->offsets = mem_try(ctx, (self->nq + 1) * sizeof *self->offsets);
    if (!self->queries || !self->offsets)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", self->nq);
    if (bytes)
        memcpy(self->queries, queries->cells + queries->offsets[0], bytes);
    for (size_t q = 0; q <= self->nq; q++)
        self->offsets[q] = queries->offsets[q] - queries->offsets[0];
    return OK;
}

static err_t s_take_dense(ctx_t *ctx, scorer_t *self, const column_t *queries)
{
    bool cosine = self->metric == METRIC_COSINE;
    self->query_bytes = simd_query_bytes(self->kernel, self->dim);
    self->queries = mem_try(ctx, self->nq * self->query_bytes);
    self->factors = cosine ? mem_try(ctx, self->nq * sizeof *self->factors) : NULL;
    if (!self->queries || (cosine && !self->factors))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu queries", self->nq);
    for (size_t q = 0; q < self->nq; q++)
        simd_prepare(self->kernel, column_cell(queries, q).ptr, self->dim,
                     self->queries + q * self->query_bytes);
    if (!cosine)
        return OK;
    simd()->ops[self->kernel].norm2(queries->cells, self->nq, self->dim, self->factors);
    for (size_t q = 0; q < self->nq; q++)
        self->factors[q] = s_inverse(self->factors[q]);
    return OK;
}

err_t scorer_init(ctx_t *ctx, scorer_t *self, const search_plan_t *plan)
{
    const field_t *field = schema_at(plan->schema, plan->field);
    *self = (scorer_t){
        .metric = plan->metric, .descends = metric_descends(plan->metric), .field = plan->field,
        .sparse = field->type == TYPE_SPARSE_VECTOR, .dim = (size_t)field->dim,
        .width = type_width(field->type, field->dim), .nq = plan->queries.n,
    };
    if (!s_kernel(field->type, plan->metric, &self->kernel))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "field %s is a %s, which has no metric %s",
                        field->name, type_name(field->type), metric_name(plan->metric));
    if (plan->queries.type != field->type || plan->queries.width != self->width ||
        plan->queries.valid)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "the queries are not vectors of field %s: expected "
                        "%s of %zu bytes, got %s of %zu", field->name, type_name(field->type),
                        self->width, type_name(plan->queries.type), plan->queries.width);
    s_set_range(self, plan);
    return self->sparse ? s_take_sparse(ctx, self, &plan->queries)
                        : s_take_dense(ctx, self, &plan->queries);
}

void scorer_fini(scorer_t *self)
{
    mem_free(self->queries);
    mem_free(self->offsets);
    mem_free(self->factors);
    *self = (scorer_t){0};
}

/* A part reads some MiB.  Less would cost more hand-overs between threads than it evens
 * out; more would leave a core idle at the end of a query over one segment. */
size_t scorer_part_rows(const scorer_t *self, size_t bytes)
{
    size_t rows = (bytes ? bytes : PART_BYTES) / (self->sparse ? SPARSE_BYTES : self->width);
    return rows < PART_ROWS_MOST ? rows : PART_ROWS_MOST;
}

/* --- norms ------------------------------------------ */

static void s_inverse_norms(const scorer_t *self, const uint8_t *rows, size_t n, float *ret)
{
    simd()->ops[self->kernel].norm2(rows, n, self->dim, ret);
    for (size_t i = 0; i < n; i++)
        ret[i] = s_inverse(ret[i]);
}

/* The norms of a block, kept beside it. */
typedef struct kept {
    float *norms;               /* [cap] */
    _Atomic uint8_t *states;    /* of each 64 */
    bool grows;                 /* the last 64 may not be whole */
} kept_t;

static err_t s_kept(ctx_t *ctx, const scan_t *scan, const scorer_t *self, size_t b, kept_t *ret)
{
    const scan_block_t *block = &scan->blocks[b];
    const scan_source_t *source = &scan->sources[block->source];
    size_t each = sizeof(float) + 1, cap = block->n;
    void *room = NULL;
    if (source->sealed)
        TRY(sealed_room(ctx, source->sealed, block->i, self->field, cap * each, &room));
    else
        TRY(growing_room(ctx, &source->snap, block->i, self->field, each, &room, &cap));
    ret->norms = room;
    ret->states = (_Atomic uint8_t *)(ret->norms + cap);
    ret->grows = !source->sealed;
    return OK;
}

/* Make what is not there of rows [at, at + n) of a block; false: somebody else is at it. */
static bool s_make_norms(const scorer_t *self, const kept_t *kept, const uint8_t *cells, size_t at,
                         size_t n)
{
    _Atomic uint8_t *state = &kept->states[at / WORD];
    uint8_t now = atomic_load_explicit(state, memory_order_acquire);
    if (now == NORMS_NONE && atomic_compare_exchange_strong(state, &now, NORMS_BEING_MADE)) {
        s_inverse_norms(self, cells, n, kept->norms + at);
        atomic_store_explicit(state, NORMS_THERE, memory_order_release);
        return true;
    }
    return now == NORMS_THERE;
}

static err_t s_scale(ctx_t *ctx, const scan_t *scan, const scorer_t *self, stretch_t *stretch)
{
    kept_t kept;
    TRY(s_kept(ctx, scan, self, stretch->block, &kept));
    size_t shared = kept.grows ? stretch->n / WORD * WORD : stretch->n, at = 0;
    while (at < shared &&
           s_make_norms(self, &kept, stretch->cells.cells + at * self->width, stretch->from + at,
                        shared - at < WORD ? shared - at : WORD))
        at += WORD;
    stretch->scale = kept.norms + stretch->from;
    if (at >= stretch->n)
        return OK;
    float *own = mem_try(ctx, stretch->n * sizeof *own);
    if (!own)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the norms of %zu vectors", stretch->n);
    memcpy(own, stretch->scale, at * sizeof *own);
    s_inverse_norms(self, stretch->cells.cells + at * self->width, stretch->n - at, own + at);
    stretch->scale = stretch->own_scale = own;
    return OK;
}

/* --- stretches ------------------------------------------ */

err_t stretch_open(ctx_t *ctx, const scan_t *scan, const scorer_t *scorer, size_t b, size_t from,
                   size_t n, stretch_t *ret)
{
    *ret = (stretch_t){ .block = b, .from = from, .n = n, .first = scan->blocks[b].first + from };
    TRY(scan_column(ctx, scan, b, scorer->field, &ret->cells));
    ret->cells = column_slice(&ret->cells, from, n);
    TRY(scan_keep(ctx, scan, b, from, n, &ret->cells, &ret->keep, &ret->n_kept));
    if (ret->n_kept && scorer->metric == METRIC_COSINE)
        TRY(s_scale(ctx, scan, scorer, ret));
    return OK;
}

err_t stretch_open_keep(ctx_t *ctx, const scan_t *scan, size_t b, stretch_t *ret)
{
    const scan_block_t *block = &scan->blocks[b];
    *ret = (stretch_t){ .block = b, .n = block->n, .first = block->first };
    if (scan_keeps_all(scan, b)) {
        ret->n_kept = ret->n;
        return OK;
    }
    return scan_keep(ctx, scan, b, 0, block->n, NULL, &ret->keep, &ret->n_kept);
}

void stretch_fini(stretch_t *self)
{
    bitset_fini(&self->keep);
    mem_free(self->own_scale);
    *self = (stretch_t){0};
}

static void s_add_chunk(const chunk_t *chunk, size_t first, topk_t *best)
{
    topk_add_rows(best, chunk->scores, chunk->n_kept, (uint32_t)(first + chunk->at), chunk->kept);
}

static err_t s_search_sparse(ctx_t *ctx, const scorer_t *self, const stretch_t *stretch, size_t q,
                             size_t n_queries, topk_t *const *best)
{
    chunk_t chunk;
    for (size_t at = 0; at < stretch->n; at += chunk.n) {
        TRY(ctx_alive(ctx));
        chunk_open(self, stretch, at, &chunk);
        for (size_t i = 0; chunk.n_kept && i < n_queries; i++) {
            chunk_score(self, stretch, q + i, &chunk);
            s_add_chunk(&chunk, stretch->first, best[i]);
        }
    }
    return OK;
}

err_t scorer_search(ctx_t *ctx, const scorer_t *self, const stretch_t *stretch, size_t q,
                    size_t n_queries, topk_t *const *best)
{
    if (stretch->n_kept == 0)
        return OK;
    if (self->sparse)
        return s_search_sparse(ctx, self, stretch, q, n_queries, best);
    brute_t brute = {
        .kernel = self->kernel, .dim = self->dim, .rows = stretch->cells.cells, .n = stretch->n,
        .keep = stretch->n_kept < stretch->n ? &stretch->keep : NULL, .scale = stretch->scale,
    };
    return brute_search(ctx, &brute, (uint32_t)stretch->first,
                        self->queries + q * self->query_bytes,
                        self->factors ? self->factors + q : NULL, n_queries, best);
}

/* --- chunks ------------------------------------------ */

static size_t s_chunk_rows(const scorer_t *self)
{
    size_t rows = self->sparse ? WORD : CHUNK_BYTES / self->width / WORD * WORD;
    return rows < WORD ? WORD : rows > CHUNK_ROWS ? CHUNK_ROWS : rows;
}

void chunk_open(const scorer_t *self, const stretch_t *stretch, size_t at, chunk_t *ret)
{
    check(at % WORD == 0 && at < stretch->n);
    size_t step = s_chunk_rows(self), left = stretch->n - at;
    ret->at = at;
    ret->n = left < step ? left : step;
    ret->n_kept = 0;
    for (size_t i = 0; i < ret->n; i += WORD)       /* no bits past the end of a bitset */
        for (uint64_t word = stretch->keep.words[(at + i) / WORD]; word; word &= word - 1)
            ret->kept[ret->n_kept++] = (uint32_t)i + (uint32_t)__builtin_ctzll(word);
}

static void s_score_sparse(const scorer_t *self, const stretch_t *stretch, size_t q, chunk_t *chunk)
{
    view_t query = view_of(self->queries + self->offsets[q],
                           (size_t)(self->offsets[q + 1] - self->offsets[q]));
    sparse_gather(query, stretch->cells.cells, stretch->cells.offsets + chunk->at, chunk->kept,
                  chunk->n_kept, chunk->scores);
}

static void s_score_dense(const scorer_t *self, const stretch_t *stretch, size_t q, chunk_t *chunk)
{
    const simd_ops_t *ops = &simd()->ops[self->kernel];
    const uint8_t *query = self->queries + q * self->query_bytes;
    const uint8_t *rows = stretch->cells.cells + chunk->at * self->width;
    if (chunk->n_kept == chunk->n)
        ops->scan(query, rows, chunk->n, self->dim, chunk->scores);
    else
        ops->gather(query, rows, chunk->kept, chunk->n_kept, self->dim, chunk->scores);
    const float *scale = stretch->scale ? stretch->scale + chunk->at : NULL;
    for (size_t i = 0; scale && i < chunk->n_kept; i++)
        chunk->scores[i] = chunk->scores[i] * scale[chunk->kept[i]] * self->factors[q];
}

void chunk_score(const scorer_t *self, const stretch_t *stretch, size_t q, chunk_t *chunk)
{
    if (self->sparse)
        s_score_sparse(self, stretch, q, chunk);
    else
        s_score_dense(self, stretch, q, chunk);
    for (size_t i = 0; i < chunk->n_kept; i++)
        chunk->scores[i] = scorer_show(self, chunk->scores[i]);
}

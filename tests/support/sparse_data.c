/* sparse_data - see sparse_data.h */
#include "tests/support/sparse_data.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/simd/sparse.h"

/* The index that stands for term number t: anywhere, each its own. */
static uint32_t s_index(uint64_t t)
{
    return (uint32_t)((t * 2654435761u + 12345) & UINT32_MAX) % UINT32_MAX;
}

static int s_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* A term by Zipf's law, about: the rank is exp of an even number. */
static uint64_t s_term(rng_t *rng, size_t n)
{
    return (uint64_t)(exp(rng_unit(rng) * log((double)n + 1)) - 1);
}

static float s_value(rng_t *rng, const sparse_shape_t *shape)
{
    float size = shape->equal ? 1 : (float)(0.05 + rng_unit(rng) * rng_unit(rng) * 3);
    return rng_chance(rng, shape->negative) ? -size : size;
}

static void s_cell(rng_t *rng, const sparse_shape_t *shape, size_t about, buf_t *into)
{
    size_t n = (size_t)rng_below(rng, 2 * about + 1);
    uint32_t *terms = mem_new((n + 1) * sizeof *terms);
    for (size_t i = 0; i < n; i++)
        terms[i] = s_index(s_term(rng, shape->n_terms));
    qsort(terms, n, sizeof *terms, s_compare);
    for (size_t i = 0; i < n; i++) {
        float value = s_value(rng, shape);
        if (i > 0 && terms[i] == terms[i - 1])
            continue;
        buf_add_u32(into, terms[i]);
        buf_add(into, &value, sizeof value);
    }
    mem_free(terms);
}

static uint64_t *s_cells(rng_t *rng, const sparse_shape_t *shape, size_t n, size_t about,
                         buf_t *into)
{
    uint64_t *offsets = mem_new((n + 1) * sizeof *offsets);
    buf_init(into, 0);
    for (size_t i = 0; i < n; i++) {
        if (!rng_chance(rng, 0.01))
            s_cell(rng, shape, about, into);
        offsets[i + 1] = into->len;
    }
    check(buf_ok(into));
    return offsets;
}

void sparse_data_init(sparse_data_t *self, index_type_t type, const sparse_shape_t *shape)
{
    rng_t rng;
    rng_seed(&rng, shape->seed);
    *self = (sparse_data_t){ .shape = *shape, .n = shape->n_rows, .n_queries = shape->n_queries };
    self->spec = (index_spec_t){ .type = type, .metric = METRIC_IP, .cells = CELL_SPARSE,
                                 .seed = shape->seed };
    self->offsets = s_cells(&rng, shape, self->n, shape->row_terms, &self->rows);
    self->query_offsets = s_cells(&rng, shape, self->n_queries, shape->query_terms,
                                  &self->queries);
    if (shape->null == 0)
        return;
    self->valid = mem_new((self->n + 63) / 64 * sizeof *self->valid);
    for (size_t i = 0; i < self->n; i++)
        if (!rng_chance(&rng, shape->null))
            self->valid[i / 64] |= 1ull << i % 64;
}

static void s_forget(sparse_data_t *self)
{
    for (size_t i = 0; i < SPARSE_DATA_OBJECTS; i++)
        buf_fini(&self->objects[i]);
    memset(self->objects, 0, sizeof self->objects);
}

void sparse_data_fini(sparse_data_t *self)
{
    s_forget(self);
    buf_fini(&self->rows);
    buf_fini(&self->queries);
    mem_free(self->offsets);
    mem_free(self->query_offsets);
    mem_free(self->valid);
}

/* --- an index ----------------------------------------------------------------------------- */

static err_t s_read(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    const sparse_data_t *self = arg;
    size_t most = self->stretch ? self->stretch : self->n, left = self->n - from;
    if (fault_hit())
        return ctx_fail(ctx, ERR_STORE, "a fault");
    *ret = (index_rows_t){ .cells = self->rows.ptr, .offsets = self->offsets + from,
                           .n = left < most ? left : most,
                           .valid = self->valid ? self->valid + from / 64 : NULL };
    return OK;
}

static err_t s_put(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    sparse_data_t *self = arg;
    if (fault_hit())
        return ctx_fail(ctx, ERR_STORE, "a fault");
    check(number < SPARSE_DATA_OBJECTS && self->objects[number].len == 0);
    buf_add_view(&self->objects[number], bytes);
    return buf_ok(&self->objects[number]) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory");
}

err_t sparse_data_build(sparse_data_t *self, ctx_t *ctx, const index_how_t *how)
{
    s_forget(self);
    check(self->stretch % 64 == 0);
    index_source_t source = { .n_rows = self->n, .read = s_read, .arg = self };
    index_sink_t sink = { s_put, self };
    return index_build(ctx, &self->spec, &source, &sink, how, &self->built);
}

err_t sparse_data_open(sparse_data_t *self, ctx_t *ctx, index_t **ret)
{
    for (size_t i = 0; i < self->built.n_objects; i++)
        self->blobs[i] = (index_blob_t){ .name = "object",
                                           .bytes = buf_view(&self->objects[i]) };
    return index_open(ctx, self->blobs, self->built.n_objects, ret);
}

/* --- searches ------------------------------------------------------------------------------ */

static void s_search_exact(const sparse_data_t *self, size_t q, const bitset_t *keep, topk_t *best)
{
    view_t query = view_of(self->queries.ptr + self->query_offsets[q],
                           (size_t)(self->query_offsets[q + 1] - self->query_offsets[q]));
    float *scores = mem_new(self->n * sizeof *scores);
    sparse_scan(query, self->rows.ptr, self->offsets, self->n, scores);
    for (size_t i = 0; i < self->n; i++)
        if ((!keep || bitset_has(keep, i)) && scores[i] > 0 &&
            (!self->valid || (self->valid[i / 64] >> i % 64 & 1)))
            topk_add(best, scores[i], (uint32_t)i);
    mem_free(scores);
}

static void s_search_index(const sparse_data_t *self, ctx_t *ctx, const index_t *index,
                           const sparse_ask_t *how, topk_t *const *best)
{
    index_ask_t ask = { .queries = self->queries.ptr, .offsets = self->query_offsets,
                        .n_queries = self->n_queries, .keep = how->keep,
                        .n_kept = how->keep ? bitset_count(how->keep) : 0, .want = how->k,
                        .has_range = how->has_range, .radius = how->radius, .inner = how->inner,
                        .knobs = how->knobs };
    check(index_search(ctx, index, &ask, best) == OK);
}

void sparse_data_search(const sparse_data_t *self, ctx_t *ctx, const index_t *index,
                        const sparse_ask_t *ask, topk_hit_t *ret)
{
    topk_t **best = mem_new((self->n_queries + 1) * sizeof *best);
    for (size_t q = 0; q < self->n_queries; q++) {
        check(topk_new(ctx, ask->k, true, &best[q]) == OK);
        if (ask->has_range)
            topk_range(best[q], ask->radius, ask->inner);
        if (!index)
            s_search_exact(self, q, ask->keep, best[q]);
    }
    if (index)
        s_search_index(self, ctx, index, ask, best);
    for (size_t q = 0; q < self->n_queries; q++) {
        size_t n = topk_hits(best[q], ret + q * ask->k);
        for (size_t i = n; i < ask->k; i++)
            ret[q * ask->k + i] = (topk_hit_t){ 0, UINT32_MAX };
        topk_destroy(&best[q]);
    }
    mem_free(best);
}

double sparse_data_recall(const sparse_data_t *self, const topk_hit_t *exact,
                          const topk_hit_t *found, size_t k)
{
    size_t hits = 0, all = 0;
    for (size_t q = 0; q < self->n_queries; q++)
        for (size_t i = 0; i < k && exact[q * k + i].row != UINT32_MAX; i++, all++)
            for (size_t j = 0; j < k; j++)
                hits += found[q * k + j].row == exact[q * k + i].row;
    return all ? (double)hits / (double)all : 1;
}

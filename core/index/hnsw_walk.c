/* hnsw_walk - rows as codes, and the way from node to node
 *
 * The pool is one sorted array, not two heaps: of what is put into it most comes near the front
 * or not at all, and moving half a KiB costs less than the mispredicted steps of a heap.  What
 * was seen is a bit a node, wiped before each walk: for 100k rows it stays in the first cache.
 */
#include <float.h>
#include <math.h>

#include "core/index/hnsw_int.h"

/* --- codes --------------------------------------------------------------------------------- */

size_t hnsw_block_bytes(size_t dim)
{
    return (dim + 2 * sizeof(float) + 15) / 16 * 16;
}

/* What a number may be in a file, and where distances are added up. */
static float s_finite(float x)
{
    return isnan(x) ? 0 : fmaxf(-FLT_MAX, fminf(FLT_MAX, x));
}

static float s_greatest(const float *row, size_t dim)
{
    float most = 0;
    for (size_t i = 0; i < dim; i++)
        most = fmaxf(most, fabsf(row[i]));
    return most;
}

void hnsw_encode(const hnsw_codes_t *codes, const float *row, float norm2, uint8_t *ret)
{
    float most = s_finite(s_greatest(row, codes->dim));
    float step = most / 127, inverse = step > 0 ? 1 / step : 0;
    float norm = norm2 > 0 ? 1 / sqrtf(norm2) : 0;
    float scale = codes->metric == METRIC_COSINE ? step * norm : step;
    float extra = codes->metric == METRIC_COSINE ? norm
                : codes->metric == METRIC_L2 ? norm2 / 2 : norm2;
    memset(ret, 0, codes->block);
    for (size_t i = 0; isfinite(inverse) && i < codes->dim; i++)
        ret[i] = (uint8_t)(int8_t)lrintf(fmaxf(-127, fminf(127, row[i] * inverse)));
    scale = s_finite(scale);
    extra = s_finite(extra);
    memcpy(ret + codes->block - 8, &scale, sizeof scale);
    memcpy(ret + codes->block - 4, &extra, sizeof extra);
}

void hnsw_decode(const hnsw_codes_t *codes, uint32_t place, float *ret)
{
    const int8_t *cells = (const int8_t *)hnsw_code(codes, place);
    float scale = hnsw_scale(codes, place);
    for (size_t i = 0; i < codes->dim; i++)
        ret[i] = (float)cells[i] * scale;
}

void hnsw_target_row(const hnsw_codes_t *codes, size_t place, int16_t *cells, hnsw_target_t *ret)
{
    const int8_t *from = (const int8_t *)hnsw_code(codes, place);
    float extra = hnsw_extra(codes, place);
    for (size_t i = 0; i < codes->dim; i++)
        cells[i] = from[i];
    memset(cells + codes->dim, 0, (codes->block - codes->dim) * sizeof *cells);
    *ret = (hnsw_target_t){
        .cells = cells, .scale = hnsw_scale(codes, place),
        .by = codes->metric == METRIC_L2 ? 1 : codes->metric == METRIC_IP ? -extra : 0,
        .plus = codes->metric == METRIC_L2 ? extra : 0,
    };
}

/* Cells as great as a sum of products with 127 allows. */
void hnsw_target_query(const hnsw_codes_t *codes, const float *query, int16_t *cells,
                       hnsw_target_t *ret)
{
    float limit = fminf(INT16_MAX, (float)(INT32_MAX / 128) / (float)codes->dim);
    float step = s_finite(s_greatest(query, codes->dim)) / floorf(limit);
    float inverse = step > 0 ? 1 / step : 0;
    memset(cells, 0, codes->block * sizeof *cells);
    for (size_t i = 0; isfinite(inverse) && i < codes->dim; i++)
        cells[i] = (int16_t)lrintf(fmaxf(-limit, fminf(limit, query[i] * inverse)));
    *ret = (hnsw_target_t){ .cells = cells, .scale = step,
                            .by = codes->metric == METRIC_L2 ? 1 : 0 };
}

void hnsw_distances(const hnsw_codes_t *codes, const hnsw_target_t *target,
                    const uint32_t *places, size_t n, float *ret)
{
    simd()->ops[SIMD_I8_IP].gather(target->cells, codes->at, places, n, codes->block, ret);
    for (size_t i = 0; i < n; i++)
        ret[i] = target->by * hnsw_extra(codes, places[i]) + target->plus -
                 target->scale * hnsw_scale(codes, places[i]) * ret[i];
}

/* --- the pool ------------------------------------------------------------------------------- */

hnsw_key_t hnsw_key(float distance, uint32_t node)
{
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    bits = bits & 0x80000000 ? ~bits : bits | 0x80000000;
    return (uint64_t)bits << 32 | node << 1;
}

float hnsw_key_distance(hnsw_key_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    bits = bits & 0x80000000 ? bits & 0x7fffffff : ~bits;
    float distance;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* Returns where it went; ef: nowhere. */
static size_t s_insert(hnsw_walker_t *self, hnsw_key_t key, size_t ef)
{
    if (self->n == ef && key >= self->pool[ef - 1])
        return ef;
    hnsw_key_t *base = self->pool;
    for (size_t n = self->n; n > 0; ) {         /* without a branch that could be mispredicted */
        size_t half = (n + 1) / 2;
        base += base[half - 1] < key ? half : 0;
        n -= half;
    }
    size_t at = (size_t)(base - self->pool);
    size_t tail = (self->n < ef ? self->n++ : ef - 1) - at;
    memmove(base + 1, base, tail * sizeof *base);
    *base = key;
    return at;
}

err_t hnsw_walker_init(ctx_t *ctx, hnsw_walker_t *self, const hnsw_codes_t *codes, size_t n,
                       size_t degree, size_t cap)
{
    *self = (hnsw_walker_t){ .codes = codes, .n_words = (n + 63) / 64, .cap = cap,
                             .most = degree };
    self->seen = mem_try(ctx, self->n_words * sizeof *self->seen);
    self->pool = mem_try(ctx, cap * sizeof *self->pool);
    self->near = mem_try(ctx, degree * sizeof *self->near);
    self->near_places = mem_try(ctx, degree * sizeof *self->near_places);
    self->distances = mem_try(ctx, degree * sizeof *self->distances);
    self->cells = mem_try(ctx, 2 * codes->block * sizeof *self->cells);
    return self->seen && self->pool && self->near && self->near_places && self->distances &&
           self->cells ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory to walk over %zu rows", n);
}

void hnsw_walker_fini(hnsw_walker_t *self)
{
    mem_free(self->seen);
    mem_free(self->pool);
    mem_free(self->near);
    mem_free(self->near_places);
    mem_free(self->distances);
    mem_free(self->cells);
    *self = (hnsw_walker_t){0};
}

/* --- steps ---------------------------------------------------------------------------------- */

static uint32_t s_link(const hnsw_layer_t *layer, size_t node, size_t i)
{
    return __atomic_load_n(&layer->links[node * layer->degree + i], __ATOMIC_ACQUIRE);
}

static void s_prefetch_code(const hnsw_codes_t *codes, uint32_t place)
{
    const uint8_t *code = hnsw_code(codes, place);
    for (size_t at = 0; at < codes->block && at < 1024; at += 64)
        __builtin_prefetch(code + at);
}

static uint32_t s_place(const hnsw_layer_t *layer, uint32_t node)
{
    return layer->places ? layer->places[node] : node;
}

uint32_t hnsw_descend(hnsw_walker_t *self, const hnsw_layer_t *layer,
                      const hnsw_target_t *target, uint32_t from)
{
    uint32_t place = s_place(layer, from), at = HNSW_NONE;
    float best;
    hnsw_distances(self->codes, target, &place, 1, &best);
    while (at != from) {
        size_t n = 0;
        at = from;
        for (uint32_t node; n < layer->degree && (node = s_link(layer, at, n)) != HNSW_NONE; n++) {
            self->near[n] = node;
            self->near_places[n] = s_place(layer, node);
            s_prefetch_code(self->codes, self->near_places[n]);
        }
        hnsw_distances(self->codes, target, self->near_places, n, self->distances);
        for (size_t i = 0; i < n; i++)
            if (self->distances[i] < best) {
                best = self->distances[i];
                from = self->near[i];
            }
    }
    return from;
}

static bool s_see(hnsw_walker_t *self, uint32_t node)
{
    uint64_t bit = 1ull << (node & 63), *word = &self->seen[node >> 6];
    bool seen = *word & bit;
    *word |= bit;
    return !seen;
}

void hnsw_walk_begin(hnsw_walker_t *self)
{
    memset(self->seen, 0, self->n_words * sizeof *self->seen);
    self->n = 0;
}

void hnsw_walk_add(hnsw_walker_t *self, const hnsw_layer_t *layer, const hnsw_target_t *target,
                   uint32_t node, size_t ef)
{
    uint32_t place = s_place(layer, node);
    float distance;
    if (!s_see(self, node))
        return;
    hnsw_distances(self->codes, target, &place, 1, &distance);
    (void)s_insert(self, hnsw_key(distance, node), ef);
}

/* A walk waits for links more than for anything else, unless they are asked for a step before. */
static void s_prefetch_links(const hnsw_layer_t *layer, hnsw_key_t key)
{
    const char *links = (const char *)(layer->links + hnsw_key_node(key) * layer->degree);
    size_t bytes = layer->degree * sizeof *layer->links;
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(links + at);
    __builtin_prefetch(links + bytes - 1);
}

/* Of the node that is next unless a nearer one is found. */
static void s_prefetch_next(const hnsw_walker_t *self, const hnsw_layer_t *layer, size_t i)
{
    while (i < self->n && (self->pool[i] & 1))
        i++;
    if (i < self->n)
        s_prefetch_links(layer, self->pool[i]);
}

/* Neighbours that were not seen yet.  Whether one was is a toss-up, so nothing branches on it. */
static size_t s_look(hnsw_walker_t *self, const hnsw_layer_t *layer, uint32_t node)
{
    size_t n = 0;
    for (size_t i = 0; i < layer->degree; i++) {
        uint32_t other = s_link(layer, node, i);
        if (other == HNSW_NONE)
            break;
        self->near[n] = other;
        n += s_see(self, other);
    }
    for (size_t i = 0; i < n; i++) {
        self->near_places[i] = s_place(layer, self->near[i]);
        s_prefetch_code(self->codes, self->near_places[i]);
    }
    return n;
}

void hnsw_walk(hnsw_walker_t *self, const hnsw_layer_t *layer, const hnsw_target_t *target,
               size_t ef)
{
    check(ef > 0 && ef <= self->cap && layer->degree <= self->most);
    for (size_t i = 0; i < self->n; ) {
        uint32_t node = hnsw_key_node(self->pool[i]);
        if (self->pool[i] & 1) {
            i++;
            continue;
        }
        self->pool[i] |= 1;
        s_prefetch_next(self, layer, i + 1);
        size_t n = s_look(self, layer, node), least = i + 1;
        hnsw_distances(self->codes, target, self->near_places, n, self->distances);
        for (size_t j = 0; j < n; j++) {
            size_t at = s_insert(self, hnsw_key(self->distances[j], self->near[j]), ef);
            if (at < least) {
                least = at;
                s_prefetch_links(layer, self->pool[at]);
            }
        }
        i = least;
    }
}

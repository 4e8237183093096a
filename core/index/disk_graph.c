/* disk_graph - see disk_graph.h */
#include "core/index/disk_graph.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/bitset.h"
#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/index/crew.h"
#include "core/index/disk_front.h"
#include "core/index/index_int.h"

enum {
    BATCHES = 50,               /* about so many, all but the first of the same size */
    ITEM_NODES = 16,
    POOL_MOST = 512,            /* nodes that are chosen from */
    MEAN_ROWS = 1024,
};

static const float ALPHA = 1.2f;

/* What one thread needs; there are as many as threads. */
typedef struct scratch {
    _Atomic bool taken;
    front_node_t *front;        /* owned; [list] */
    front_node_t *pool;         /* owned; [pool_most] what is chosen from */
    float *factors, *scores;    /* owned; [pool_most]; [pool_most] */
    uint32_t *ids, *places;     /* owned; [pool_most] */
    bitset_t seen;              /* owned; [n] */
    uint32_t *touched;          /* owned; [touched_most] bits set in seen */
    size_t n_touched;
} scratch_t;

typedef struct build {
    const disk_points_t *points;
    const index_how_t *how;
    disk_graph_t *graph;
    const simd_ops_t *ops;
    size_t list, pool_most, touched_most;
    scratch_t *scratches;       /* owned; [n_scratches] */
    size_t n_scratches;
    uint32_t *order;            /* owned; [n] the entry first */
    size_t begin, n_batch;      /* of order */
    uint32_t *chosen;           /* owned; [batch_most][degree + 1] */
    uint32_t *counts;           /* owned; [n] new links to a node; 0 but while they are made */
    uint32_t *targets;          /* owned; nodes that get new links; [batch_most * degree] */
    uint32_t *firsts;           /* owned; [n] where those of a node begin in sources */
    uint32_t *sources;          /* owned; [batch_most * degree] */
    size_t n_targets;
} build_t;

static const float *s_point(const build_t *b, uint32_t node)
{
    return b->points->at + node * b->points->cells;
}

static uint32_t *s_links(const build_t *b, uint32_t node)
{
    return b->graph->links + node * b->graph->stride;
}

/* |x - node|² of nodes ids[0..n). */
static void s_measure(const build_t *b, const float *x, const uint32_t *ids, size_t n, float *ret)
{
    b->ops->gather(x, b->points->at, ids, n, b->points->cells, ret);
}

/* --- threads ------------------------------------------------------------------------------- */

static scratch_t *s_take(build_t *b)
{
    for (size_t i = 0; ; i = (i + 1) % b->n_scratches)
        if (!atomic_exchange(&b->scratches[i].taken, true))
            return &b->scratches[i];
}

static void s_give(scratch_t *s)
{
    atomic_store(&s->taken, false);
}

/* --- choosing links -------------------------------------------------------------------------- */

static int s_nearer(const void *a, const void *b)
{
    const front_node_t *x = a, *y = b;
    if (x->far != y->far)
        return x->far < y->far ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Note for all behind place i of the pool how much nearer i is to them than the node is. */
static void s_shade(const build_t *b, scratch_t *s, size_t i, size_t n)
{
    size_t m = 0;
    for (size_t j = i + 1; j < n; j++)
        if (s->factors[j] <= ALPHA) {
            s->ids[m] = s->pool[j].node;
            s->places[m++] = (uint32_t)j;
        }
    s_measure(b, s_point(b, s->pool[i].node), s->ids, m, s->scores);
    for (size_t j = 0; j < m; j++) {
        uint32_t at = s->places[j];
        float factor = s->scores[j] > 0 ? s->pool[at].far / s->scores[j] : FLT_MAX;
        s->factors[at] = factor > s->factors[at] ? factor : s->factors[at];
    }
}

/* Choose at most degree of the n nodes in s->pool, for links of a node they have the distances
 * of.  First those that no chosen one is nearer to at all, then what ALPHA still lets through.
 *   ret  how many, then they */
static void s_choose(const build_t *b, scratch_t *s, size_t n, uint32_t *ret)
{
    size_t degree = b->graph->degree, chosen = 0;
    qsort(s->pool, n, sizeof *s->pool, s_nearer);
    memset(s->factors, 0, n * sizeof *s->factors);
    for (int round = 0; round < 2 && chosen < degree; round++)
        for (size_t i = 0; i < n && chosen < degree; i++) {
            if (s->factors[i] > (round ? ALPHA : 1))
                continue;
            ret[1 + chosen++] = s->pool[i].node;
            s->factors[i] = FLT_MAX;
            s_shade(b, s, i, n);
        }
    ret[0] = (uint32_t)chosen;
}

/* --- a node looks for itself ----------------------------------------------------------------- */

static void s_see(scratch_t *s, uint32_t node)
{
    bitset_set(&s->seen, node);
    s->touched[s->n_touched++] = node;
}

static void s_forget(scratch_t *s)
{
    for (size_t i = 0; i < s->n_touched; i++)
        s->seen.words[s->touched[i] >> 6] = 0;
    s->n_touched = 0;
}

/* Walk towards x; the nodes it has been at go to the pool.  Returns how many. */
static size_t s_walk(const build_t *b, scratch_t *s, const float *x)
{
    front_t front = { .at = s->front, .most = b->list };
    front_node_t here;
    size_t n_pool = 0;
    front_add(&front, b->ops->pair(x, s_point(b, b->graph->entry), b->points->cells),
              b->graph->entry);
    s_see(s, b->graph->entry);
    while (n_pool < b->pool_most && front_take(&front, &here)) {
        const uint32_t *links = s_links(b, here.node);
        size_t n = 0;
        s->pool[n_pool++] = here;
        for (size_t i = 1; i <= links[0]; i++)
            if (!bitset_has(&s->seen, links[i])) {
                s_see(s, links[i]);
                s->ids[n++] = links[i];
            }
        s_measure(b, x, s->ids, n, s->scores);
        for (size_t i = 0; i < n; i++)
            front_add(&front, s->scores[i], s->ids[i]);
    }
    s_forget(s);
    return n_pool;
}

static void s_insert_item(void *arg, size_t item)
{
    build_t *b = arg;
    scratch_t *s = s_take(b);
    size_t end = (item + 1) * ITEM_NODES < b->n_batch ? (item + 1) * ITEM_NODES : b->n_batch;
    for (size_t i = item * ITEM_NODES; i < end; i++) {
        size_t n = s_walk(b, s, s_point(b, b->order[b->begin + i]));
        s_choose(b, s, n, b->chosen + i * (b->graph->degree + 1));
    }
    s_give(s);
}

/* --- and its neighbours hear of it ------------------------------------------------------------ */

/* New links by the node that gets them, nodes in the order in which they come up first. */
static void s_turn_links(build_t *b)
{
    size_t width = b->graph->degree + 1, at = 0;
    b->n_targets = 0;
    for (size_t i = 0; i < b->n_batch; i++)
        for (size_t l = 1; l <= b->chosen[i * width]; l++) {
            uint32_t to = b->chosen[i * width + l];
            if (b->counts[to]++ == 0)
                b->targets[b->n_targets++] = to;
        }
    for (size_t t = 0; t < b->n_targets; t++) {
        b->firsts[b->targets[t]] = (uint32_t)at;
        at += b->counts[b->targets[t]];
        b->counts[b->targets[t]] = 0;
    }
    for (size_t i = 0; i < b->n_batch; i++)
        for (size_t l = 1; l <= b->chosen[i * width]; l++) {
            uint32_t to = b->chosen[i * width + l];
            b->sources[b->firsts[to] + b->counts[to]++] = b->order[b->begin + i];
        }
}

/* Choose anew among a node's links and some new ones. */
static void s_choose_again(const build_t *b, scratch_t *s, uint32_t node, const uint32_t *more,
                           size_t n_more)
{
    uint32_t *links = s_links(b, node);
    size_t n = 0;
    for (size_t i = 1; i <= links[0]; i++)
        s->ids[n++] = links[i];
    for (size_t i = 0; i < n_more && n < b->pool_most; i++)
        s->ids[n++] = more[i];
    s_measure(b, s_point(b, node), s->ids, n, s->scores);
    for (size_t i = 0; i < n; i++)
        s->pool[i] = (front_node_t){ s->scores[i], s->ids[i] };
    s_choose(b, s, n, links);
}

static void s_link_item(void *arg, size_t item)
{
    build_t *b = arg;
    scratch_t *s = s_take(b);
    size_t end = (item + 1) * ITEM_NODES < b->n_targets ? (item + 1) * ITEM_NODES : b->n_targets;
    for (size_t t = item * ITEM_NODES; t < end; t++) {
        uint32_t to = b->targets[t], *links = s_links(b, to), n = b->counts[to];
        const uint32_t *more = b->sources + b->firsts[to];
        b->counts[to] = 0;
        if (links[0] + n < b->graph->stride) {
            memcpy(links + 1 + links[0], more, n * sizeof *links);
            links[0] += n;
        } else {
            s_choose_again(b, s, to, more, n);
        }
    }
    s_give(s);
}

static void s_cut_item(void *arg, size_t item)
{
    build_t *b = arg;
    scratch_t *s = s_take(b);
    size_t n = b->points->n, end = (item + 1) * ITEM_NODES < n ? (item + 1) * ITEM_NODES : n;
    for (size_t node = item * ITEM_NODES; node < end; node++)
        if (s_links(b, (uint32_t)node)[0] > b->graph->degree)
            s_choose_again(b, s, (uint32_t)node, NULL, 0);
    s_give(s);
}

/* --- batches -------------------------------------------------------------------------------- */

static size_t s_items(size_t n)
{
    return (n + ITEM_NODES - 1) / ITEM_NODES;
}

static err_t s_do_batch(ctx_t *ctx, build_t *b)
{
    size_t width = b->graph->degree + 1;
    TRY(crew_run(ctx, b->how, s_insert_item, b, s_items(b->n_batch)));
    for (size_t i = 0; i < b->n_batch; i++)
        memcpy(s_links(b, b->order[b->begin + i]), b->chosen + i * width,
               width * sizeof *b->chosen);
    s_turn_links(b);
    return crew_run(ctx, b->how, s_link_item, b, s_items(b->n_targets));
}

static size_t s_batch_most(size_t n)
{
    return n / BATCHES ? n / BATCHES : 1;
}

static err_t s_do_batches(ctx_t *ctx, build_t *b)
{
    size_t n = b->points->n, most = s_batch_most(n);
    for (b->begin = 1; b->begin < n; b->begin += b->n_batch) {
        b->n_batch = b->begin < most ? b->begin : most;
        if (b->n_batch > n - b->begin)
            b->n_batch = n - b->begin;
        TRY(s_do_batch(ctx, b));
        index_percent(b->how, (unsigned)(10 + 75 * b->begin / n));
    }
    return crew_run(ctx, b->how, s_cut_item, b, s_items(n));
}

/* --- where walks begin ---------------------------------------------------------------------- */

/* The node nearest to the middle of all. */
static err_t s_find_entry(ctx_t *ctx, build_t *b)
{
    size_t cells = b->points->cells, n = b->points->n;
    double *sums = mem_try(ctx, cells * sizeof *sums);
    float *middle = mem_try(ctx, cells * sizeof *middle), best = INFINITY;
    if (!sums || !middle) {
        mem_free(sums);
        mem_free(middle);
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the middle of %zu vectors", n);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < cells; d++)
            sums[d] += b->points->at[i * cells + d];
    for (size_t d = 0; d < cells; d++)
        middle[d] = (float)(sums[d] / (double)n);
    for (size_t i = 0; i < n; i++) {
        float far = b->ops->pair(middle, b->points->at + i * cells, cells);
        if (far < best) {
            best = far;
            b->graph->entry = (uint32_t)i;
        }
    }
    mem_free(sums);
    mem_free(middle);
    return ctx_alive(ctx);
}

static void s_shuffle(build_t *b, uint64_t seed)
{
    rng_t rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < b->points->n; i++) {
        size_t j = (size_t)rng_below(&rng, i + 1);
        b->order[i] = b->order[j];
        b->order[j] = (uint32_t)i;
    }
    for (size_t i = 0; i < b->points->n; i++)
        if (b->order[i] == b->graph->entry) {
            b->order[i] = b->order[0];
            b->order[0] = b->graph->entry;
            return;
        }
}

/* --- all of it ------------------------------------------------------------------------------ */

static err_t s_scratch_init(ctx_t *ctx, const build_t *b, scratch_t *s)
{
    s->front = mem_try(ctx, b->list * sizeof *s->front);
    s->pool = mem_try(ctx, b->pool_most * sizeof *s->pool);
    s->factors = mem_try(ctx, b->pool_most * sizeof *s->factors);
    s->scores = mem_try(ctx, b->pool_most * sizeof *s->scores);
    s->ids = mem_try(ctx, b->pool_most * sizeof *s->ids);
    s->places = mem_try(ctx, b->pool_most * sizeof *s->places);
    s->touched = mem_try(ctx, b->touched_most * sizeof *s->touched);
    TRY(bitset_init(ctx, &s->seen, b->points->n));
    return s->front && s->pool && s->factors && s->scores && s->ids && s->places && s->touched
         ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for a walk over %zu nodes", b->points->n);
}

static void s_fini(build_t *b)
{
    for (size_t i = 0; b->scratches && i < b->n_scratches; i++) {
        scratch_t *s = &b->scratches[i];
        mem_free(s->front);
        mem_free(s->pool);
        mem_free(s->factors);
        mem_free(s->scores);
        mem_free(s->ids);
        mem_free(s->places);
        mem_free(s->touched);
        bitset_fini(&s->seen);
    }
    mem_free(b->scratches);
    mem_free(b->order);
    mem_free(b->chosen);
    mem_free(b->counts);
    mem_free(b->targets);
    mem_free(b->firsts);
    mem_free(b->sources);
}

static err_t s_room(ctx_t *ctx, build_t *b)
{
    size_t n = b->points->n, degree = b->graph->degree, most = s_batch_most(n);
    b->graph->links = mem_try(ctx, n * b->graph->stride * sizeof *b->graph->links);
    b->scratches = mem_try(ctx, b->n_scratches * sizeof *b->scratches);
    b->order = mem_try(ctx, n * sizeof *b->order);
    b->chosen = mem_try(ctx, most * (degree + 1) * sizeof *b->chosen);
    b->counts = mem_try(ctx, n * sizeof *b->counts);
    b->targets = mem_try(ctx, most * degree * sizeof *b->targets);
    b->firsts = mem_try(ctx, n * sizeof *b->firsts);
    b->sources = mem_try(ctx, most * degree * sizeof *b->sources);
    if (!b->graph->links || !b->scratches || !b->order || !b->chosen || !b->counts ||
        !b->targets || !b->firsts || !b->sources)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a graph of %zu rows with %zu links each",
                        n, degree);
    for (size_t i = 0; i < b->n_scratches; i++)
        TRY(s_scratch_init(ctx, b, &b->scratches[i]));
    return OK;
}

static err_t s_build(ctx_t *ctx, build_t *b, uint64_t seed)
{
    TRY(s_room(ctx, b));
    TRY(s_find_entry(ctx, b));
    s_shuffle(b, seed);
    return s_do_batches(ctx, b);
}

err_t disk_graph_build(ctx_t *ctx, disk_graph_t *ret, const disk_points_t *points, size_t degree,
                       size_t list, uint64_t seed, const index_how_t *how)
{
    check(points->n > 0 && points->n <= LIMIT_INDEX_ROWS && degree > 0 && list > 0);
    *ret = (disk_graph_t){ .n = points->n, .degree = degree, .stride = 1 + degree + degree / 2 };
    build_t b = { .points = points, .how = how, .graph = ret, .ops = &simd()->ops[SIMD_F32_L2],
                  .list = list < points->n ? list : points->n,
                  .n_scratches = how && how->pool && how->threads ? how->threads : 1 };
    b.pool_most = 2 * b.list > POOL_MOST ? 2 * b.list : POOL_MOST;
    b.pool_most = b.pool_most > 2 * ret->stride ? b.pool_most : 2 * ret->stride;
    b.touched_most = 1 + b.pool_most * (ret->stride - 1);
    b.touched_most = b.touched_most < points->n ? b.touched_most : points->n;
    err_t err = s_build(ctx, &b, seed);
    s_fini(&b);
    return err;
}

void disk_graph_fini(disk_graph_t *self)
{
    mem_free(self->links);
    self->links = NULL;
}

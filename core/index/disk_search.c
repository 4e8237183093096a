/* disk_search - to rows by a walk over codes, or over the codes of all rows that are left
 *
 * Three ways to answer a query. What they cost decides, as if all records were in the page cache;
 * `look` is what a row's code costs:
 *
 *     rows    read the records of all rows that take part      kept · READ_NS
 *     codes   look at their codes, read the records of the     kept · look + 2 want · READ_NS
 *             best, at most `list`
 *     walk    from the entry; a record and its links for       steps · (READ_NS + half of the
 *             each step                                        degree · look), with
 *                                                              list · all / kept steps
 *
 * So a filter that leaves little is answered by codes or exactly, and one that leaves much by a
 * walk that goes on until `list` rows that it kept can be expected among those it has been at.
 * What is found nowhere near the entry, because the graph does not lead there or the filter kept
 * nothing on the way, is looked for among the codes of all, so no answer is short.
 *
 * How many of the best codes are read is decided on the way, since reading is most of the work
 * where a filter leaves little.  What was read tells how far the scores by codes are off, on
 * average and by how much they vary; when a code that is better by that average and some times the
 * deviation would still not be among the best `want`, so would none behind it.  How many times:
 * the more, the longer `list` is, since who asks for a longer one wants to be surer.
 *
 * Ranges.  As long as half of the rows that were scored lie within the radius, there may be many
 * more behind: the list is doubled.
 */
#include <math.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/disk_front.h"
#include "core/index/disk_int.h"

enum {
    READ_NS = 1000,             /* of a record, from the page cache */
    LOOK_NS = 4, SUBS_PER_NS = 2,       /* of a row's code, and sub-vectors beside that */
    BLOCK_ROWS = 512, ALIVE_STEPS = 32, MORE = 2,
    SPARE = 4,                  /* rows behind `want` that are read before errors are known */
};

#define SURE 0.4f               /* for each time that `list` has `want` */

typedef struct work {
    const disk_t *of;
    const index_ask_t *ask;
    const simd_ops_t *ops;
    topk_t *const *best;        /* of all queries of the ask */
    size_t q;                   /* the query */
    size_t list, beam, n_kept;
    float *floats;              /* owned; [dim] the query, negative where IP is what counts */
    float *tables;              /* owned */
    front_node_t *front;        /* owned; [front_most] */
    size_t front_most;
    bitset_t seen, done;        /* owned; [n] by this walk; scored for this query */
    size_t scored, counted, near;   /* counted: within the range; near: within its radius */
    float far;                  /* of the row scored last, as codes and walks count it */
    disk_desk_t desk;
    uint8_t *record;            /* owned; the desk's buffer */
    uint32_t ids[LIMIT_INDEX_DEGREE > BLOCK_ROWS ? LIMIT_INDEX_DEGREE : BLOCK_ROWS];
    float scores[LIMIT_INDEX_DEGREE > BLOCK_ROWS ? LIMIT_INDEX_DEGREE : BLOCK_ROWS];
} work_t;

static uint32_t s_row(const disk_t *of, uint32_t node)
{
    return of->ids ? of->ids[node] : node;
}

static bool s_keeps(const work_t *w, uint32_t node)
{
    return !w->ask->keep || bitset_has(w->ask->keep, s_row(w->of, node));
}

static err_t s_no_memory(ctx_t *ctx, const work_t *w)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to search %zu rows on disk for %zu queries",
                    w->of->n, w->ask->n_queries);
}

/* --- scores ---------------------------------------------------------------------------------- */

static void s_count(work_t *w, float score)
{
    const index_ask_t *ask = w->ask;
    bool descends = simd_kernel_descends(w->of->base.kernel);
    bool near = !ask->has_range || (descends ? score > ask->radius : score < ask->radius);
    w->scored++;
    w->near += near;
    w->counted += near && (!ask->has_range ||
                           (descends ? score <= ask->inner : score >= ask->inner));
}

/* A record is here: score its vector, if the filter keeps it and it was not scored before. */
static void s_score(work_t *w, uint32_t node, const uint8_t *record)
{
    const disk_layout_t *layout = &w->of->layout;
    if (!s_keeps(w, node) || bitset_has(&w->done, node))
        return;
    bitset_set(&w->done, node);
    const uint8_t *query = (const uint8_t *)w->ask->queries +
                           w->q * simd_query_bytes(w->of->base.kernel, w->of->dim);
    float score = w->ops->pair(query, record + layout->cells, w->of->dim), norm;
    if (w->ask->factors) {
        memcpy(&norm, record + layout->norm, sizeof norm);
        score = score * norm * w->ask->factors[w->q];
    }
    s_count(w, score);
    w->far = !simd_kernel_descends(w->of->base.kernel) ? score
           : w->ask->factors ? -score / w->ask->factors[w->q] : -score;
    topk_add(w->best[w->q], score, w->ask->first + s_row(w->of, node));
}

/* --- rows and codes --------------------------------------------------------------------------- */

/* Score a node; those from it on will be next. */
static err_t s_score_node(ctx_t *ctx, work_t *w, const uint32_t *nodes, size_t n)
{
    const uint8_t *record;
    if (!disk_peek(&w->desk, nodes[0], &record)) {
        for (size_t next = 0; next < n && next < w->beam; next++)
            disk_foresee(&w->desk, nodes[next]);
        TRY(disk_read(ctx, &w->desk, nodes[0], &record));
    }
    s_score(w, nodes[0], record);
    return OK;
}

/* Score n nodes, rising, so that a disk reads forward. */
static err_t s_score_nodes(ctx_t *ctx, work_t *w, const uint32_t *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i % ALIVE_STEPS == 0)
            TRY(ctx_alive(ctx));
        TRY(s_score_node(ctx, w, nodes + i, n - i));
    }
    return OK;
}

/* Where a row is, or the first behind it. */
static uint32_t s_place(const disk_t *of, size_t row)
{
    size_t low = 0, high = of->n;
    if (!of->ids)
        return (uint32_t)(row < of->n ? row : of->n);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (of->ids[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* The same, where nodes are rows and none was scored: the set bits, a word at a time. */
static size_t s_next_bits(work_t *w, size_t *at)
{
    const uint64_t *words = w->ask->keep->words;
    size_t n = 0;
    while (*at < w->of->n && n + 64 <= BLOCK_ROWS) {
        uint64_t word = words[*at >> 6] & (~0ull << (*at & 63));
        for (; word; word &= word - 1)
            w->ids[n++] = (uint32_t)((*at & ~63ull) + (size_t)__builtin_ctzll(word));
        *at = (*at | 63) + 1;
    }
    return n;
}

/* The next nodes that take part and were not scored yet, rising, into w->ids; from *at on. */
static size_t s_next_nodes(work_t *w, size_t *at)
{
    const disk_t *of = w->of;
    const bitset_t *keep = w->ask->keep;
    size_t n = 0;
    if (keep && !of->ids && w->scored == 0)
        return s_next_bits(w, at);
    while (*at < of->n && n < BLOCK_ROWS) {
        uint32_t node = (uint32_t)(*at)++;
        if (keep && !bitset_has(keep, s_row(of, node))) {
            *at = s_place(of, bitset_next(keep, s_row(of, node)));
            continue;
        }
        if (!bitset_has(&w->done, node))
            w->ids[n++] = node;
    }
    return n;
}

static err_t s_by_rows(ctx_t *ctx, work_t *w)
{
    size_t n, at = 0;
    while ((n = s_next_nodes(w, &at)) > 0)
        TRY(s_score_nodes(ctx, w, w->ids, n));
    return OK;
}

/* The best of all nodes that take part, by their codes; how many. */
static err_t s_best_codes(ctx_t *ctx, work_t *w, topk_t *best, topk_hit_t *hits, size_t *ret_n)
{
    size_t n, at = 0;
    while ((n = s_next_nodes(w, &at)) > 0) {
        TRY(ctx_alive(ctx));
        pq_gather(&w->of->pq, w->tables, w->of->codes, w->ids, n, 0, w->scores);
        topk_add_rows(best, w->scores, n, 0, w->ids);
    }
    *ret_n = topk_hits(best, hits);
    return OK;
}

static int s_rising(const void *a, const void *b)
{
    uint32_t x = ((const topk_hit_t *)a)->row, y = ((const topk_hit_t *)b)->row;
    return (x > y) - (x < y);
}

/* What is known of rows that were read: their exact distances, and how wrong codes were. */
typedef struct read_so_far {
    float *fars;                /* owned; [most] the least, rising */
    size_t n, most, read;
    float sure;                 /* deviations */
    float errors, squares;      /* sums of far - far by code */
} read_so_far_t;

static void s_learn(read_so_far_t *self, float far, float by_code)
{
    float error = far - by_code;
    self->read++;
    self->errors += error;
    self->squares += error * error;
    if (self->n == self->most && !(far < self->fars[self->n - 1]))
        return;
    self->n += self->n < self->most;
    size_t at = self->n - 1;
    for (; at > 0 && far < self->fars[at - 1]; at--)
        self->fars[at] = self->fars[at - 1];
    self->fars[at] = far;
}

/* Is a row of this distance by its code too far, more or less surely?  Not if there are NaNs. */
static bool s_is_hopeless(const read_so_far_t *self, float by_code)
{
    if (self->n < self->most)
        return false;
    float mean = self->errors / (float)self->read;
    float variance = self->squares / (float)self->read - mean * mean;
    float deviation = sqrtf(variance > 0 ? variance : 0);
    return by_code + mean - self->sure * deviation > self->fars[self->n - 1];
}

/* Score what the best codes are of, best first, but some together in the order of their places, so
 * that a disk reads forward. */
static err_t s_rank(ctx_t *ctx, work_t *w, read_so_far_t *known, topk_hit_t *hits,
                    uint32_t *nodes, size_t n)
{
    size_t batch = w->ask->has_range ? n : known->most + SPARE;
    for (size_t at = 0, end; at < n && !s_is_hopeless(known, hits[at].score); at = end) {
        TRY(ctx_alive(ctx));
        end = batch < n - at ? at + batch : n;
        qsort(hits + at, end - at, sizeof *hits, s_rising);
        for (size_t i = at; i < end; i++)
            nodes[i] = hits[i].row;
        for (size_t i = at; i < end; i++) {
            TRY(s_score_node(ctx, w, nodes + i, end - i));
            s_learn(known, w->far, hits[i].score);
        }
        batch = w->beam;
    }
    return OK;
}

static err_t s_by_codes_once(ctx_t *ctx, work_t *w, size_t most, size_t *ret_n)
{
    topk_t *best = NULL;
    read_so_far_t known = { .most = w->ask->want,
                            .sure = SURE * (float)w->list / (float)w->ask->want };
    topk_hit_t *hits = mem_try(ctx, most * sizeof *hits);
    uint32_t *nodes = mem_try(ctx, most * sizeof *nodes);
    known.fars = mem_try(ctx, known.most * sizeof *known.fars);
    err_t err = hits && nodes && known.fars ? topk_new(ctx, most, false, &best)
              : s_no_memory(ctx, w);
    if (err == OK)
        err = s_best_codes(ctx, w, best, hits, ret_n);
    if (err == OK)
        err = s_rank(ctx, w, &known, hits, nodes, *ret_n);
    topk_destroy(&best);
    mem_free(hits);
    mem_free(nodes);
    mem_free(known.fars);
    return err;
}

/* Is the answer long enough, or is the end of a range reached? */
static bool s_enough(const work_t *w, size_t scored, size_t near)
{
    if (w->counted >= w->ask->want)
        return true;
    return w->ask->has_range && 2 * (w->near - near) <= w->scored - scored;
}

/* Codes that are no number are in no top-k: those rows are read in the end. */
static err_t s_by_codes(ctx_t *ctx, work_t *w)
{
    for (size_t most = w->list; most <= LIMIT_TOPK; most *= MORE) {
        size_t n = 0, scored = w->scored, near = w->near;
        TRY(s_by_codes_once(ctx, w, most, &n));
        if (s_enough(w, scored, near))
            return OK;
        if (n < most)
            break;
    }
    return s_by_rows(ctx, w);
}

/* --- the walk --------------------------------------------------------------------------------- */

/* Nodes it has not seen, out of the links of a record; their codes are on the way. */
static err_t s_links(ctx_t *ctx, work_t *w, const uint8_t *record, size_t *ret_n)
{
    const disk_t *of = w->of;
    size_t n = 0, width = pq_code_bytes(&of->pq), links = load_u32(record);
    for (size_t l = 1; l <= links && links <= of->layout.degree; l++) {
        uint32_t node = load_u32(record + 4 * l);
        if (node >= of->n)
            links = UINT32_MAX;
        else if (!bitset_has(&w->seen, node)) {
            bitset_set(&w->seen, node);
            __builtin_prefetch(of->codes + node * width);
            __builtin_prefetch(of->codes + node * width + width - 1);
            w->ids[n++] = node;
        }
    }
    *ret_n = n;
    return links <= of->layout.degree ? OK
         : ctx_fail(ctx, ERR_DISK, "a record of an index has changed on disk since it was opened");
}

static err_t s_look(ctx_t *ctx, work_t *w, front_t *front, uint32_t node)
{
    const uint8_t *record;
    size_t n = 0;
    if (!disk_peek(&w->desk, node, &record)) {
        disk_foresee(&w->desk, node);
        for (size_t i = front->next, more = 1; i < front->n && more < w->beam; i++)
            if (!(front->at[i].node & FRONT_BEEN)) {
                disk_foresee(&w->desk, front->at[i].node);
                more++;
            }
        TRY(disk_read(ctx, &w->desk, node, &record));
    }
    TRY(s_links(ctx, w, record, &n));
    s_score(w, node, record);
    pq_gather(&w->of->pq, w->tables, w->of->codes, w->ids, n, 0, w->scores);
    for (size_t i = 0; i < n; i++)
        front_add(front, w->scores[i], w->ids[i]);
    return OK;
}

static err_t s_walk(ctx_t *ctx, work_t *w, size_t list)
{
    if (list > w->front_most) {
        mem_free(w->front);
        w->front_most = 0;
        w->front = mem_try(ctx, list * sizeof *w->front);
        if (!w->front)
            return s_no_memory(ctx, w);
        w->front_most = list;
    }
    front_t front = { .at = w->front, .most = list };
    front_node_t here;
    bitset_fill(&w->seen, false);
    bitset_set(&w->seen, w->of->entry);
    front_add(&front, 0, w->of->entry);
    for (size_t step = 0; front_take(&front, &here); step++) {
        if (step % ALIVE_STEPS == 0)
            TRY(ctx_alive(ctx));
        TRY(s_look(ctx, w, &front, here.node & ~FRONT_BEEN));
    }
    return OK;
}

/* --- one query -------------------------------------------------------------------------------- */

static double s_steps(const work_t *w)
{
    return (double)w->list * (double)w->of->n / (double)w->n_kept;
}

static double s_look_ns(const work_t *w)
{
    return LOOK_NS + (double)w->of->pq.m / SUBS_PER_NS;
}

static double s_walk_cost(const work_t *w)
{
    return s_steps(w) * (READ_NS + (double)w->of->layout.degree / 2 * s_look_ns(w));
}

static double s_codes_cost(const work_t *w)
{
    size_t reads = w->ask->has_range || 2 * w->ask->want > w->list ? w->list : 2 * w->ask->want;
    return (double)w->n_kept * s_look_ns(w) + READ_NS * (double)reads;
}

static err_t s_by_walk(ctx_t *ctx, work_t *w)
{
    size_t list = (size_t)s_steps(w), scored, near;
    do {
        scored = w->scored, near = w->near;
        TRY(s_walk(ctx, w, list));
        list *= MORE;
    } while (w->ask->has_range && !s_enough(w, scored, near) && list < w->of->n);
    return w->ask->has_range || w->counted >= w->ask->want ? OK : s_by_codes(ctx, w);
}

/* The query as the codebook wants it; IP and COSINE with the other sign, so that less is nearer. */
static void s_set_query(work_t *w)
{
    const disk_t *of = w->of;
    const index_spec_t *spec = &of->base.head.spec;
    const uint8_t *query = (const uint8_t *)w->ask->queries +
                           w->q * simd_query_bytes(of->base.kernel, of->dim);
    bool ip = spec->metric != METRIC_L2;
    for (size_t d = 0; d < of->dim; d++) {
        float x;
        if (spec->cells == CELL_I8)
            x = (int16_t)load_u16(query + 2 * d);
        else
            memcpy(&x, query + 4 * d, sizeof x);
        w->floats[d] = ip ? -x : x;
    }
    pq_tables(&of->pq, w->floats, ip, w->tables);
    bitset_fill(&w->done, false);
    w->scored = w->counted = w->near = 0;
}

static err_t s_search_query(ctx_t *ctx, work_t *w)
{
    double rows = (double)w->n_kept * READ_NS, codes = s_codes_cost(w), walk = s_walk_cost(w);
    s_set_query(w);
    if (w->list >= w->n_kept || (rows <= codes && rows <= walk))
        return s_by_rows(ctx, w);
    return codes <= walk ? s_by_codes(ctx, w) : s_by_walk(ctx, w);
}

/* --- all of them ---------------------------------------------------------------------------- */

static err_t s_search(ctx_t *ctx, work_t *w)
{
    const disk_t *of = w->of;
    const index_ask_t *ask = w->ask;
    size_t list = ask->knobs.search_list ? ask->knobs.search_list : DISK_LIST;
    w->list = list > ask->want ? list : ask->want;
    w->list = w->list < of->n ? w->list : of->n;
    w->beam = ask->knobs.beamwidth ? ask->knobs.beamwidth : DISK_BEAM;
    w->n_kept = ask->keep && ask->n_kept < of->n ? ask->n_kept : of->n;
    w->floats = mem_try(ctx, of->dim * sizeof *w->floats);
    w->tables = mem_try(ctx, pq_table_cells(&of->pq) * sizeof *w->tables);
    w->record = mem_try(ctx, of->layout.record);
    if (!w->floats || !w->tables || !w->record)
        return s_no_memory(ctx, w);
    TRY(bitset_init(ctx, &w->seen, of->n));
    TRY(bitset_init(ctx, &w->done, of->n));
    w->desk = (disk_desk_t){ .of = of, .buffer = w->record };
    for (w->q = 0; w->q < ask->n_queries; w->q++)
        TRY(s_search_query(ctx, w));
    return OK;
}

err_t disk_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask, topk_t *const *best)
{
    work_t *w = mem_try(ctx, sizeof *w);
    if (!w)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to search an index");
    w->of = (const disk_t *)self;
    w->ask = ask;
    w->ops = &simd()->ops[self->kernel];
    w->best = best;
    err_t err = s_search(ctx, w);
    atomic_fetch_add(self->reads, w->desk.reads);
    mem_free(w->floats);
    mem_free(w->tables);
    mem_free(w->front);
    mem_free(w->record);
    bitset_fini(&w->seen);
    bitset_fini(&w->done);
    mem_free(w);
    return err;
}

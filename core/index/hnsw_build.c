/* hnsw_build - vectors to a graph
 *
 *     1  count; codes, by stretches                          two passes over the rows
 *     2  layers by chance: of the seed and the row alone
 *     3  nodes one by one, those of the upper layers first   Algorithms 1, 2 and 4
 *     4  codes, links, vectors                               a pass
 *
 * A node looks for its ef_construction nearest among those that are there, links to the M that
 * are nearer to it than to one another (Algorithm 4), and each of them links back; who has too
 * many links then keeps those of the same kind.  Once the upper layers stand, several threads put
 * in nodes at a time: a link is one word, written with its node's lock held and read without; a
 * node that is read while it changes shows old and new links, all of them good.
 *
 * Memory: codes, links and 8 bytes a row, then an object at a time; vectors are not kept.
 *
 * Locks: a node's links belong to one of LOCKS mutexes, by its number; leaves, one at a time.
 */
#include <math.h>
#include <pthread.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/index/crew.h"
#include "core/index/hnsw_int.h"

enum {
    ITEM_ROWS = 1024,           /* of encoding */
    ITEM_NODES = 16,            /* put in between two looks at ctx */
    FIRST_NODES = 1000,         /* by one thread */
    ROUNDS = 64,                /* in which the others are put in: for the percent */
    LOCKS = 1024,
    THREADS = 64,
};


/* What a thread puts nodes in with. */
typedef struct worker {
    hnsw_walker_t walker;
    hnsw_key_t *wider;          /* owned; [2 M + 1] links of a node and one more, nearest first */
    uint32_t *kept, *places, *own;      /* owned; [2 M + 1] */
    float *distances;           /* owned; [2 M + 1] */
    _Atomic bool busy;
} worker_t;

typedef struct build {
    index_spec_t spec;
    const index_source_t *source;
    const index_how_t *how;
    simd_kernel_t kernel;
    size_t width, n, degree, ef;
    hnsw_codes_t codes;
    uint8_t *code_object;       /* owned; a head, then the codes */
    uint8_t *link_object;       /* owned; a head, then the links of layer 0 */
    uint32_t *rows;             /* owned; [n] row of each place; NULL: no nulls */
    uint32_t *order;            /* owned; [n] places in the order they are put in, the first ones
                                   of which are the upper nodes */
    size_t layers, n_at[HNSW_LAYERS];
    uint32_t *upper[HNSW_LAYERS];       /* owned; [n_at[l]][degree] */
    hnsw_layer_t at[HNSW_LAYERS];
    worker_t *workers;          /* owned; [n_workers] */
    size_t n_workers;
    bool shared;                /* several threads: links are locked */
    pthread_mutex_t locks[LOCKS];
} build_t;

static bool s_valid(const index_rows_t *rows, size_t i)
{
    return !rows->valid || (rows->valid[i >> 6] >> (i & 63) & 1);
}

/* Call fn for each stretch; place: of its first vector. */
typedef err_t stretch_fn(ctx_t *ctx, build_t *b, size_t from, size_t place,
                         const index_rows_t *rows, void *arg);

static size_t s_count(const index_rows_t *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++)
        n += s_valid(rows, i);
    return n;
}

static err_t s_each(ctx_t *ctx, build_t *b, stretch_fn *fn, void *arg)
{
    index_rows_t rows;
    size_t place = 0;
    for (size_t from = 0; from < b->source->n_rows; from += rows.n) {
        TRY(ctx_alive(ctx));
        TRY(b->source->read(ctx, b->source->arg, from, &rows));
        check(rows.n > 0 && rows.n <= b->source->n_rows - from);
        if (fn)
            TRY(fn(ctx, b, from, place, &rows, arg));
        place += s_count(&rows);
    }
    b->n = place;
    return OK;
}

static err_t s_no_memory(ctx_t *ctx, const build_t *b)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to index %zu rows", b->n);
}

/* --- codes --------------------------------------------------------------------------------- */

typedef struct encode {
    build_t *build;
    const index_rows_t *rows;
    const uint32_t *places;     /* [rows->n] */
} encode_t;

static void s_floats(const build_t *b, const uint8_t *cells, float *ret)
{
    size_t dim = b->spec.dim;
    if (b->spec.cells == CELL_F16)
        simd()->f32_from_f16(cells, dim, ret);
    else if (b->spec.cells == CELL_BF16)
        simd()->f32_from_bf16(cells, dim, ret);
    else if (b->spec.cells == CELL_F32)
        memcpy(ret, cells, dim * sizeof *ret);
    else
        for (size_t i = 0; i < dim; i++)
            ret[i] = (float)(int8_t)cells[i];
}

static void s_encode_item(void *arg, size_t item)
{
    const encode_t *e = arg;
    build_t *b = e->build;
    size_t at = item * ITEM_ROWS, end = at + ITEM_ROWS < e->rows->n ? at + ITEM_ROWS : e->rows->n;
    float *row = mem_new(b->spec.dim * sizeof *row), norm2;
    for (; at < end; at++) {
        const uint8_t *cells = e->rows->cells + at * b->width;
        if (e->places[at] == HNSW_NONE)
            continue;
        s_floats(b, cells, row);
        simd()->ops[b->kernel].norm2(cells, 1, b->spec.dim, &norm2);
        hnsw_encode(&b->codes, row, norm2, (uint8_t *)(uintptr_t)hnsw_code(&b->codes,
                                                                            e->places[at]));
    }
    mem_free(row);
}

static err_t s_encode(ctx_t *ctx, build_t *b, size_t from, size_t place,
                      const index_rows_t *rows, void *arg)
{
    (void)arg;
    uint32_t *places = mem_try(ctx, rows->n * sizeof *places);
    if (!places)
        return s_no_memory(ctx, b);
    for (size_t i = 0; i < rows->n; i++) {
        places[i] = HNSW_NONE;
        if (!s_valid(rows, i))
            continue;
        if (b->rows)
            b->rows[place] = (uint32_t)(from + i);
        places[i] = (uint32_t)place++;
    }
    encode_t e = { b, rows, places };
    err_t err = crew_run(ctx, b->how, s_encode_item, &e, (rows->n + ITEM_ROWS - 1) / ITEM_ROWS);
    mem_free(places);
    return err;
}

/* IP: from |row|² to the cell that makes all of one length. */
static void s_level_lengths(build_t *b)
{
    float most = 0;
    for (size_t p = 0; p < b->n; p++)
        most = fmaxf(most, hnsw_extra(&b->codes, p));
    for (size_t p = 0; p < b->n; p++) {
        float extra = sqrtf(fmaxf(0, most - hnsw_extra(&b->codes, p)));
        memcpy((uint8_t *)(uintptr_t)hnsw_code(&b->codes, p) + b->codes.block - 4, &extra,
               sizeof extra);
    }
}

/* --- layers -------------------------------------------------------------------------------- */

/* The highest layer of a place: each one more with the chance 1/M. */
static size_t s_layer_of(const build_t *b, size_t place)
{
    rng_t rng;
    rng_seed(&rng, b->spec.seed ^ (uint64_t)(place + 1) * 0x9e3779b97f4a7c15u);
    double m = (double)(b->degree > 2 ? b->degree : 2), x = 1 - rng_unit(&rng);
    size_t layer = (size_t)(-log(x) / log(m));
    return layer < HNSW_LAYERS ? layer : HNSW_LAYERS - 1;
}

/* Places by their layer, the highest first, and by number. */
static err_t s_order(ctx_t *ctx, build_t *b)
{
    b->order = mem_try(ctx, b->n * sizeof *b->order);
    uint8_t *layer_of = mem_try(ctx, b->n);
    if (!b->order || !layer_of) {
        mem_free(layer_of);
        return s_no_memory(ctx, b);
    }
    for (size_t p = 0; p < b->n; p++) {
        layer_of[p] = (uint8_t)s_layer_of(b, p);
        for (size_t l = 0; l <= layer_of[p]; l++)
            b->n_at[l]++;
    }
    size_t next = 0;
    for (size_t l = HNSW_LAYERS; l-- > 0; ) {
        b->layers += b->n_at[l] > 0;
        for (size_t p = 0; b->n_at[l] > next && p < b->n; p++)
            if (layer_of[p] == l)
                b->order[next++] = (uint32_t)p;
    }
    mem_free(layer_of);
    return OK;
}

static uint32_t *s_links(const build_t *b, size_t layer)
{
    return layer ? b->upper[layer] : (uint32_t *)(void *)(b->link_object + INDEX_HEAD_BYTES);
}

static err_t s_layers(ctx_t *ctx, build_t *b)
{
    TRY(s_order(ctx, b));
    b->link_object = mem_try(ctx, INDEX_HEAD_BYTES + b->n * 2 * b->degree * sizeof(uint32_t));
    bool enough = b->link_object != NULL;
    for (size_t l = 1; enough && l < b->layers; l++) {
        b->upper[l] = mem_try(ctx, b->n_at[l] * b->degree * sizeof(uint32_t));
        enough = b->upper[l] != NULL;
    }
    if (!enough)
        return s_no_memory(ctx, b);
    for (size_t l = 0; l < b->layers; l++) {
        size_t degree = l ? b->degree : 2 * b->degree;
        memset(s_links(b, l), 0xff, b->n_at[l] * degree * sizeof(uint32_t));
        b->at[l] = (hnsw_layer_t){ s_links(b, l), degree, l ? b->order : NULL };
    }
    return OK;
}

/* --- workers ------------------------------------------------------------------------------- */

static err_t s_worker_init(ctx_t *ctx, const build_t *b, worker_t *w)
{
    size_t most = 2 * b->degree + 1;
    w->wider = mem_try(ctx, most * sizeof *w->wider);
    w->kept = mem_try(ctx, most * sizeof *w->kept);
    w->places = mem_try(ctx, most * sizeof *w->places);
    w->own = mem_try(ctx, most * sizeof *w->own);
    w->distances = mem_try(ctx, most * sizeof *w->distances);
    if (!w->wider || !w->kept || !w->places || !w->own || !w->distances)
        return s_no_memory(ctx, b);
    return hnsw_walker_init(ctx, &w->walker, &b->codes, b->n, 2 * b->degree, b->ef);
}

static err_t s_workers(ctx_t *ctx, build_t *b)
{
    size_t n = b->how && b->how->pool && b->how->threads > 1 ? b->how->threads : 1;
    b->shared = n > 1;
    n = n < THREADS ? n : THREADS;
    b->workers = mem_try(ctx, n * sizeof *b->workers);
    if (!b->workers)
        return s_no_memory(ctx, b);
    for (; b->n_workers < n; b->n_workers++)
        if (s_worker_init(ctx, b, &b->workers[b->n_workers]) != OK) {
            b->n_workers++;
            return ctx->err;
        }
    return OK;
}

static void s_worker_fini(worker_t *w)
{
    hnsw_walker_fini(&w->walker);
    mem_free(w->wider);
    mem_free(w->kept);
    mem_free(w->places);
    mem_free(w->own);
    mem_free(w->distances);
}

/* One that nobody uses: there are as many as threads. */
static worker_t *s_take_worker(build_t *b)
{
    for (size_t i = 0; ; i = (i + 1) % b->n_workers)
        if (!atomic_exchange(&b->workers[i].busy, true))
            return &b->workers[i];
}

/* --- links --------------------------------------------------------------------------------- */

static uint32_t s_place(const hnsw_layer_t *layer, uint32_t node)
{
    return layer->places ? layer->places[node] : node;
}

/* Of n nodes, nearest first, up to `most` that are nearer to their centre than to any of those
 * kept before (Algorithm 4); moved to the front.  Returns how many. */
static size_t s_choose(const build_t *b, worker_t *w, const hnsw_layer_t *layer,
                       hnsw_key_t *keys, size_t n, size_t most)
{
    int16_t *cells = w->walker.cells + b->codes.block;
    size_t n_kept = 0;
    for (size_t i = 0; i < n && n_kept < most; i++) {
        uint32_t place = s_place(layer, hnsw_key_node(keys[i]));
        float distance = hnsw_key_distance(keys[i]);
        hnsw_target_t target;
        bool keep = true;
        if (n_kept)
            hnsw_target_row(&b->codes, place, cells, &target);
        for (size_t at = 0, part; keep && at < n_kept; at += part) {
            part = n_kept - at < 4 ? n_kept - at : 4;
            hnsw_distances(&b->codes, &target, w->kept + at, part, w->distances);
            for (size_t j = 0; j < part; j++)
                keep &= !(w->distances[j] < distance);
        }
        if (keep) {
            w->kept[n_kept] = place;
            keys[n_kept++] = keys[i];
        }
    }
    return n_kept;
}

static void s_set_link(uint32_t *link, uint32_t node)
{
    __atomic_store_n(link, node, __ATOMIC_RELEASE);
}

static void s_sort(hnsw_key_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        hnsw_key_t key = keys[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] > key; j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

/* A full node has one more neighbour: the best of them stay. */
static void s_replace_links(const build_t *b, worker_t *w, const hnsw_layer_t *layer,
                            uint32_t *links, uint32_t node, uint32_t other)
{
    hnsw_target_t target;
    size_t n = layer->degree;
    for (size_t i = 0; i < n; i++)
        w->places[i] = s_place(layer, links[i]);
    w->places[n] = s_place(layer, other);
    hnsw_target_row(&b->codes, s_place(layer, node), w->walker.cells + b->codes.block, &target);
    hnsw_distances(&b->codes, &target, w->places, n + 1, w->distances);
    for (size_t i = 0; i <= n; i++)
        w->wider[i] = hnsw_key(w->distances[i], i < n ? links[i] : other);
    s_sort(w->wider, n + 1);
    size_t n_kept = s_choose(b, w, layer, w->wider, n + 1, n);
    for (size_t i = 0; i < n; i++)
        s_set_link(&links[i], i < n_kept ? hnsw_key_node(w->wider[i]) : HNSW_NONE);
}

static void s_link_back(build_t *b, worker_t *w, const hnsw_layer_t *layer, uint32_t *all,
                        uint32_t node, uint32_t other)
{
    pthread_mutex_t *lock = &b->locks[node % LOCKS];
    uint32_t *links = all + node * layer->degree;
    size_t n = 0;
    if (b->shared)
        pthread_mutex_lock(lock);
    while (n < layer->degree && links[n] != HNSW_NONE)
        n++;
    if (n < layer->degree)
        s_set_link(&links[n], other);
    else
        s_replace_links(b, w, layer, links, node, other);
    if (b->shared)
        pthread_mutex_unlock(lock);
}

/* Link a node to the nearest of the pool. */
static void s_connect(build_t *b, worker_t *w, size_t l, uint32_t node)
{
    const hnsw_layer_t *layer = &b->at[l];
    uint32_t *links = s_links(b, l) + node * layer->degree;
    size_t n = s_choose(b, w, layer, w->walker.pool, w->walker.n, b->degree);
    for (size_t i = 0; i < n; i++)
        s_set_link(&links[i], hnsw_key_node(w->walker.pool[i]));
}

/* And those to it.  Nobody else has seen it in this layer, nor changed its links. */
static void s_connect_back(build_t *b, worker_t *w, size_t l, uint32_t node)
{
    uint32_t *all = s_links(b, l);
    memcpy(w->own, all + node * b->at[l].degree, b->degree * sizeof *w->own);
    for (size_t i = 0; i < b->degree && w->own[i] != HNSW_NONE; i++)
        s_link_back(b, w, &b->at[l], all, w->own[i], node);
}

/* Put in the node that is `number` in the order.  It is known from below: whoever comes to it
 * in a layer finds its links there and in those beneath. */
static void s_put_in(build_t *b, worker_t *w, size_t number)
{
    uint32_t place = b->order[number], from = 0;
    size_t top = b->layers - 1, own = 0;
    hnsw_target_t target;
    while (own < top && number < b->n_at[own + 1])
        own++;
    hnsw_target_row(&b->codes, place, w->walker.cells, &target);
    for (size_t l = top; l > own; l--)
        from = hnsw_descend(&w->walker, &b->at[l], &target, from);
    for (size_t l = own + 1; l-- > 0; ) {
        hnsw_walk_begin(&w->walker);
        hnsw_walk_add(&w->walker, &b->at[l], &target, l ? from : b->order[from], b->ef);
        hnsw_walk(&w->walker, &b->at[l], &target, b->ef);
        from = l ? hnsw_key_node(w->walker.pool[0]) : 0;
        s_connect(b, w, l, l ? (uint32_t)number : place);
    }
    for (size_t l = 0; l <= own; l++)
        s_connect_back(b, w, l, l ? (uint32_t)number : place);
}

typedef struct put_in { build_t *build; size_t from, end; } put_in_t;

static void s_put_in_item(void *arg, size_t item)
{
    const put_in_t *p = arg;
    worker_t *w = s_take_worker(p->build);
    size_t at = p->from + item * ITEM_NODES;
    for (size_t i = at; i < at + ITEM_NODES && i < p->end; i++)
        s_put_in(p->build, w, i);
    atomic_store(&w->busy, false);
}

static err_t s_put_in_all(ctx_t *ctx, build_t *b)
{
    size_t first = b->n < FIRST_NODES ? b->n : FIRST_NODES, round = (b->n - first) / ROUNDS + 1;
    put_in_t p = { b, 1, first };               /* the first one has nobody to link to */
    if (first > 1)
        TRY(crew_run(ctx, NULL, s_put_in_item, &p, (first - 1 + ITEM_NODES - 1) / ITEM_NODES));
    for (size_t at = first; at < b->n; at = p.end) {
        p = (put_in_t){ b, at, at + round < b->n ? at + round : b->n };
        TRY(crew_run(ctx, b->how, s_put_in_item, &p,
                     (p.end - p.from + ITEM_NODES - 1) / ITEM_NODES));
        index_percent(b->how, (unsigned)(5 + 90 * p.end / b->n));
    }
    return OK;
}

/* --- writing ------------------------------------------------------------------------------- */

typedef struct raw {
    index_writer_t *writer;
    uint8_t *object;            /* owned */
    size_t per, n;              /* vectors of an object; of this one so far */
} raw_t;

static err_t s_put_raw(ctx_t *ctx, build_t *b, raw_t *raw)
{
    err_t err = index_writer_put(ctx, raw->writer, SECTION_RAW, raw->object,
                                 INDEX_HEAD_BYTES + raw->n * b->width);
    raw->n = 0;
    return err;
}

static err_t s_copy(ctx_t *ctx, build_t *b, size_t from, size_t place,
                    const index_rows_t *rows, void *arg)
{
    (void)from, (void)place;
    raw_t *raw = arg;
    for (size_t i = 0; i < rows->n; i++) {
        if (!s_valid(rows, i))
            continue;
        memcpy(raw->object + INDEX_HEAD_BYTES + raw->n++ * b->width, rows->cells + i * b->width,
               b->width);
        if (raw->n == raw->per)
            TRY(s_put_raw(ctx, b, raw));
    }
    return OK;
}

static size_t s_per_object(const build_t *b)
{
    size_t bytes = b->how && b->how->object_bytes ? b->how->object_bytes : LIMIT_INDEX_OBJECT_BYTES;
    size_t n = (bytes - INDEX_HEAD_BYTES) / b->width;
    return n ? n : 1;
}

static err_t s_write_raw(ctx_t *ctx, build_t *b, index_writer_t *writer)
{
    size_t per = s_per_object(b), most = b->n < per ? b->n : per;
    raw_t raw = { .writer = writer, .per = per };
    raw.object = mem_try(ctx, INDEX_HEAD_BYTES + most * b->width);
    if (!raw.object)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for an index object of %zu vectors", most);
    err_t err = s_each(ctx, b, s_copy, &raw);
    if (err == OK && raw.n)
        err = s_put_raw(ctx, b, &raw);
    mem_free(raw.object);
    return err;
}

/* Codes and links have objects of their own, and are freed when they are out. */
static err_t s_write_graph(ctx_t *ctx, build_t *b, index_writer_t *writer)
{
    TRY(index_writer_put(ctx, writer, SECTION_CODES, b->code_object,
                         INDEX_HEAD_BYTES + b->n * b->codes.block));
    mem_free(b->code_object);
    b->code_object = NULL;
    TRY(index_writer_put(ctx, writer, SECTION_LINKS, b->link_object,
                         INDEX_HEAD_BYTES + b->n * 2 * b->degree * sizeof(uint32_t)));
    mem_free(b->link_object);
    b->link_object = NULL;
    index_percent(b->how, 97);
    return b->spec.without_raw ? OK : s_write_raw(ctx, b, writer);
}

static void s_params(const build_t *b, uint8_t *ret)
{
    store_u32(ret, (uint32_t)b->degree);
    store_u32(ret + 4, (uint32_t)b->layers);
    store_u32(ret + 8, b->spec.without_raw ? 0 : HNSW_FLAG_RAW);
    for (size_t l = 0; l < HNSW_LAYERS; l++)
        store_u32(ret + 16 + 4 * l, (uint32_t)b->n_at[l]);
}

/* All upper layers in one piece. */
static uint32_t *s_upper(ctx_t *ctx, const build_t *b, size_t *ret_n)
{
    size_t n = b->n_at[1], at = n;
    for (size_t l = 1; l < b->layers; l++)
        n += b->n_at[l] * b->degree;
    uint32_t *all = mem_try(ctx, n * sizeof *all);
    if (all)
        memcpy(all, b->order, b->n_at[1] * sizeof *all);
    for (size_t l = 1; all && l < b->layers; l++) {
        memcpy(all + at, b->upper[l], b->n_at[l] * b->degree * sizeof *all);
        at += b->n_at[l] * b->degree;
    }
    *ret_n = n;
    return all;
}

static err_t s_write(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    uint8_t params[HNSW_PARAMS_BYTES] = {0};
    size_t n_upper;
    uint32_t *upper = s_upper(ctx, b, &n_upper);
    if (!upper)
        return s_no_memory(ctx, b);
    index_head_t head = { .spec = b->spec, .rows = b->source->n_rows, .indexed = b->n };
    head.spec.nlist = 0;
    index_writer_t writer;
    index_writer_init(&writer, &head, sink, 6 + b->n / s_per_object(b));
    s_params(b, params);
    index_writer_add(&writer, SECTION_PARAMS, view_of(params, sizeof params));
    index_writer_add(&writer, SECTION_UPPER, view_of(upper, 4 * n_upper));
    if (b->rows)
        index_writer_add(&writer, SECTION_IDS, view_of(b->rows, 4 * b->n));
    err_t err = b->n ? s_write_graph(ctx, b, &writer) : OK;
    if (err == OK)
        err = index_writer_close(ctx, &writer, ret);
    index_writer_fini(&writer);
    mem_free(upper);
    return err;
}

/* --- all of it ----------------------------------------------------------------------------- */

static err_t s_room(ctx_t *ctx, build_t *b)
{
    b->code_object = mem_try(ctx, INDEX_HEAD_BYTES + b->n * b->codes.block);
    if (b->n < b->source->n_rows)
        b->rows = mem_try(ctx, b->n * sizeof *b->rows);
    if (!b->code_object || (b->n < b->source->n_rows && !b->rows))
        return s_no_memory(ctx, b);
    b->codes.at = b->code_object + INDEX_HEAD_BYTES;
    return OK;
}

static err_t s_build(ctx_t *ctx, build_t *b, const index_sink_t *sink, index_built_t *ret)
{
    TRY(s_each(ctx, b, NULL, NULL));
    TRY(s_room(ctx, b));
    TRY(s_each(ctx, b, s_encode, NULL));
    if (b->spec.metric == METRIC_IP)
        s_level_lengths(b);
    index_percent(b->how, 5);
    TRY(s_layers(ctx, b));
    TRY(s_workers(ctx, b));
    if (b->n)
        TRY(s_put_in_all(ctx, b));
    return s_write(ctx, b, sink, ret);
}

static void s_fini(build_t *b)
{
    for (size_t i = 0; i < b->n_workers; i++)
        s_worker_fini(&b->workers[i]);
    for (size_t l = 0; l < HNSW_LAYERS; l++)
        mem_free(b->upper[l]);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&b->locks[i]);
    mem_free(b->workers);
    mem_free(b->code_object);
    mem_free(b->link_object);
    mem_free(b->rows);
    mem_free(b->order);
    mem_free(b);
}

err_t hnsw_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                 const index_sink_t *sink, const index_how_t *how, index_built_t *ret)
{
    check(spec->degree >= 1 && spec->degree <= LIMIT_INDEX_DEGREE && spec->ef_construction >= 1);
    build_t *b = mem_new(sizeof *b);
    *b = (build_t){ .spec = *spec, .source = source, .how = how, .degree = spec->degree };
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&b->locks[i], NULL);
    check(metric_kernel(spec->metric, spec->cells, &b->kernel));
    b->width = simd_row_bytes(b->kernel, spec->dim);
    b->codes = (hnsw_codes_t){ spec->metric, spec->dim, hnsw_block_bytes(spec->dim), NULL };
    b->ef = spec->ef_construction > spec->degree ? spec->ef_construction : spec->degree;
    b->ef = b->ef < LIMIT_INDEX_EF ? b->ef : LIMIT_INDEX_EF;
    err_t err = s_build(ctx, b, sink, ret);
    s_fini(b);
    return err;
}

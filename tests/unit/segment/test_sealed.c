/* sealed, flush, compact: growing segments with random writes are flushed, opened again
 * and compared row by row with a plain model; merged ones with what the rules say; every
 * fault on the way is reported; objects that are missing, swapped or damaged are refused;
 * readers of lazy fields beside deletes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/segment/compact.h"
#include "core/segment/stats.h"
#include "tests/support/random_rows.h"

enum { MOST_ROWS = 4000, MOST_DELETES = 2000, N_KEYS = 300, END = 400, MANY = 20 << 10 };

typedef struct model {
    random_rows_t rows;
    uint64_t ts[MOST_ROWS];
    size_t n;
    struct { uint64_t ts; uint8_t key[32]; size_t len; } deletes[MOST_DELETES];
    size_t n_deletes;
} model_t;

static bool s_visible(const model_t *m, size_t row, uint64_t read_ts)
{
    if (m->ts[row] > read_ts)
        return false;
    view_t pk = column_cell(&m->rows.columns[0], row);
    for (size_t i = 0; i < m->n_deletes; i++)
        if (m->deletes[i].ts > m->ts[row] && m->deletes[i].ts <= read_ts &&
            view_eq(pk, view_of(m->deletes[i].key, m->deletes[i].len)))
            return false;
    return true;
}

static void s_note_delete(model_t *m, view_t pk, uint64_t ts)
{
    check(m->n_deletes < MOST_DELETES);
    m->deletes[m->n_deletes].ts = ts;
    m->deletes[m->n_deletes].len = pk.len;
    memcpy(m->deletes[m->n_deletes++].key, pk.ptr, pk.len);
}

/* Random inserts, deletes and upserts from timestamp `from` on. */
static growing_t *s_grow(schema_t *schema, model_t *m, uint64_t seed, uint64_t id, size_t steps)
{
    rng_t rng;
    rng_seed(&rng, seed);
    ctx_t ctx;
    ctx_init(&ctx);
    random_rows_init(&m->rows, schema);
    growing_t *g = growing_new(schema, (segment_id_t){ 1, 2, id });
    for (uint64_t ts = 10; ts < 10 + 2 * steps; ts += 2) {
        random_rows_t batch;
        random_rows_init(&batch, schema);
        random_rows_add(&batch, schema, &rng, rng_below(&rng, 30), N_KEYS);
        const column_t *pks = &batch.columns[0];
        uint64_t kind = rng_below(&rng, 4);
        if (kind >= 2) {
            assert_int_equal(growing_delete(&ctx, g, pks, ts, NULL), OK);
            for (size_t i = 0; i < pks->n; i++)
                s_note_delete(m, column_cell(pks, i), ts);
        }
        if (kind != 3)
            assert_int_equal(growing_append(&ctx, g, batch.columns, ts), OK);
        for (size_t i = 0; kind != 3 && i < pks->n; i++) {
            random_rows_copy(&m->rows, batch.columns, i);
            m->ts[m->n++] = ts;
        }
        random_rows_fini(&batch);
    }
    ctx_fini(&ctx);
    return g;
}

/* What of block b is not as the model has it, NULL: nothing. */
static const char *s_block_differs(ctx_t *ctx, const model_t *m, sealed_t *s, size_t b,
                                   uint64_t read_ts)
{
    segment_block_t block = sealed_block(s, b);
    bitset_t bits;
    check(bitset_init(ctx, &bits, block.n) == OK);
    bitset_fill(&bits, true);
    sealed_hide(s, b, read_ts, &bits);
    const char *wrong = NULL;
    for (size_t f = 0; f < schema_len(sealed_schema(s)); f++) {
        column_t c;
        check(sealed_column(ctx, s, b, f, &c) == OK && c.n == block.n);
        for (size_t i = 0; i < block.n; i++)
            if (!random_rows_same(&c, i, &m->rows.columns[f], block.first + i))
                wrong = "a cell";
    }
    for (size_t i = 0; i < block.n; i++) {
        if (block.ts[i] != m->ts[block.first + i])
            wrong = "a timestamp";
        if (bitset_has(&bits, i) != s_visible(m, block.first + i, read_ts))
            wrong = "a row's visibility";
    }
    bitset_fini(&bits);
    return wrong;
}

static bool s_key_differs(const model_t *m, const sealed_t *s, uint64_t k, uint64_t read_ts)
{
    uint8_t room[32];
    view_t pk = random_rows_key(m->rows.columns[0].type, k, room);
    size_t want = SIZE_MAX, got = SIZE_MAX;
    for (size_t row = 0; row < m->n; row++)
        if (view_eq(pk, column_cell(&m->rows.columns[0], row)) && s_visible(m, row, read_ts) &&
            (want == SIZE_MAX || m->ts[row] >= m->ts[want]))
            want = row;
    return sealed_find(s, pk, read_ts, &got) != (want != SIZE_MAX) || got != want;
}

static const char *s_differs(const model_t *m, sealed_t *s, uint64_t read_ts)
{
    if (sealed_rows(s) != m->n)
        return "the number of rows";
    ctx_t ctx;
    ctx_init(&ctx);
    const char *wrong = NULL;
    for (size_t b = 0; !wrong && b < sealed_blocks(s); b++)
        wrong = s_block_differs(&ctx, m, s, b, read_ts);
    for (uint64_t k = 0; !wrong && k < N_KEYS + 5; k++)
        wrong = s_key_differs(m, s, k, read_ts) ? "what a key finds" : NULL;
    ctx_fini(&ctx);
    return wrong;
}

static void s_compare(const model_t *m, sealed_t *s, uint64_t read_ts)
{
    const char *wrong = s_differs(m, s, read_ts);
    if (wrong)
        fail_msg("at %llu %s is wrong", (unsigned long long)read_ts, wrong);
}

/* Flush and open again. */
static sealed_t *s_seal(ctx_t *ctx, store_t *store, growing_t *g, flush_options_t options,
                        bool preload)
{
    owned(flush) flush = NULL;
    sealed_t *s = NULL;
    assert_int_equal(flush_growing(ctx, g, UINT64_MAX, &options, &flush), OK);
    assert_int_equal(flush_put(ctx, flush, store), OK);
    assert_true(flush_bytes(flush) > 0);
    assert_int_equal(sealed_open(ctx, store, growing_schema(g), flush_files(flush), preload, &s),
                     OK);
    owned(stats) stats = NULL;
    assert_int_equal(stats_load(ctx, store, flush_files(flush)->stats, &stats), OK);
    assert_int_equal(stats->rows, growing_rows(g));
    assert_int_equal(stats->max_ts, growing_max_ts(g));
    return s;
}

static void s_round_trip(store_t *store, type_t pk, uint64_t seed, uint64_t part_bytes)
{
    ctx_t ctx;
    ctx_init(&ctx);
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(pk);
    owned(growing) g = s_grow(schema, m, seed, 70 + seed, 60);
    flush_options_t options = { .attempt = 3, .part_bytes = part_bytes };
    owned(sealed) s = s_seal(&ctx, store, g, options, seed % 2);
    assert_int_equal(sealed_blocks(s) > 1, part_bytes > 0);
    for (uint64_t ts = 9; ts < 135; ts += 25)
        s_compare(m, s, ts);
    s_compare(m, s, UINT64_MAX);

    /* Deletes that come late, out of order. */
    for (uint64_t k = 0; k < 60; k += 3) {
        uint8_t room[32];
        uint64_t ts = k % 2 ? 50 : 500 - k;
        column_builder_t b;
        column_builder_init(&b, schema_pk(schema));
        column_builder_add(&b, random_rows_key(pk, k, room));
        column_t pks = column_builder_view(&b);
        assert_int_equal(sealed_delete(&ctx, s, &pks, &ts, NULL), OK);
        s_note_delete(m, column_cell(&pks, 0), ts);
        column_builder_fini(&b);
    }
    s_compare(m, s, 60);
    s_compare(m, s, 480);
    assert_true(sealed_bytes(s) > 0);
    random_rows_fini(&m->rows);
    mem_free(m);
    ctx_fini(&ctx);
}

/* Fields that are late are read when somebody wants them, preload or not. */
static void late_fields_are_not_preloaded(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(store) store = store_memory_new();
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_INT64);
    owned(growing) g = s_grow(schema, m, 3, 73, 60);
    flush_options_t options = { .attempt = 3 };
    owned(flush) flush = NULL;
    owned(sealed) all = NULL;
    owned(sealed) few = NULL;
    assert_int_equal(flush_growing(&ctx, g, UINT64_MAX, &options, &flush), OK);
    assert_int_equal(flush_put(&ctx, flush, store), OK);
    sealed_files_t files = *flush_files(flush);
    bool *late = ctx_new(&ctx, schema_len(schema) * sizeof *late);
    for (size_t i = 0; i < schema_len(schema); i++)
        late[i] = type_is_vector(schema_at(schema, i)->type);
    assert_int_equal(sealed_open(&ctx, store, schema, &files, true, &all), OK);
    files.late = late;
    assert_int_equal(sealed_open(&ctx, store, schema, &files, true, &few), OK);
    assert_true(sealed_bytes(few) < sealed_bytes(all));
    for (size_t i = 0; i < schema_len(schema); i++) {
        column_t column;
        assert_int_equal(sealed_column(&ctx, few, 0, i, &column), OK);
    }
    assert_int_equal(sealed_bytes(few), sealed_bytes(all));
    random_rows_fini(&m->rows);
    mem_free(m);
    ctx_fini(&ctx);
}

static void what_was_flushed_comes_back(void **state)
{
    (void)state;
    store_t *store = store_memory_new();
    s_round_trip(store, TYPE_INT64, 1, 0);
    s_round_trip(store, TYPE_VARCHAR, 2, MANY / 4);
    s_round_trip(store, TYPE_INT64, 3, MANY / 8);
    store_destroy(&store);
}

static int s_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void files_are_mapped(void **state)
{
    (void)state;
    char dir[] = "/tmp/elanus-segment-XXXXXX";
    assert_non_null(mkdtemp(dir));
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = NULL;
    assert_int_equal(store_local_open(&ctx, dir, &store), OK);
    s_round_trip(store, TYPE_INT64, 4, 0);
    store_destroy(&store);
    ctx_fini(&ctx);
    nftw(dir, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- does the comparison see anything? ------------------------------------------------ */

/* A growing segment as a source that can be made to cheat. */
typedef struct cheat {
    growing_snapshot_t snap;
    bool lose_deletes, lose_newest;
    uint64_t late;              /* added to timestamps */
} cheat_t;

static size_t s_cheat_rows(void *arg, size_t piece)
{
    const cheat_t *c = arg;
    bool last = piece + 1 == c->snap.n_blocks;
    return growing_block(&c->snap, piece).n - (c->lose_newest && last);
}

static err_t s_cheat_ts(ctx_t *ctx, void *arg, size_t piece, const uint64_t **ret)
{
    const cheat_t *c = arg;
    segment_block_t block = growing_block(&c->snap, piece);
    uint64_t *ts = ctx_new(ctx, block.n * sizeof *ts);
    for (size_t i = 0; i < block.n; i++)
        ts[i] = block.ts[i] + c->late;
    *ret = ts;
    return OK;
}

static err_t s_cheat_column(ctx_t *ctx, void *arg, size_t piece, size_t field, column_t *ret)
{
    const cheat_t *c = arg;
    TRY(growing_column(ctx, &c->snap, piece, field, ret));
    ret->n = s_cheat_rows(arg, piece);
    return OK;
}

static uint64_t s_cheat_died(void *arg, size_t piece, size_t at)
{
    const cheat_t *c = arg;
    uint64_t died = growing_died(&c->snap, growing_block(&c->snap, piece).first + at);
    return c->lose_deletes ? SEGMENT_ALIVE : died;
}

static void s_cheat_destroy(void *arg)
{
    (void)arg;
}

static const char *s_cheated(const model_t *m, growing_t *g, cheat_t cheat)
{
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = store_memory_new();
    cheat.snap = growing_at(g, UINT64_MAX);
    flush_source_t source = {
        .schema = growing_schema(g), .arg = &cheat, .n_pieces = cheat.snap.n_blocks,
        .rows = s_cheat_rows, .ts = s_cheat_ts, .column = s_cheat_column, .died = s_cheat_died,
        .destroy = s_cheat_destroy,
    };
    flush_options_t options = { .id = growing_id(g) };
    owned(flush) flush = NULL;
    owned(sealed) s = NULL;
    assert_int_equal(flush_plan(&ctx, &source, &options, &flush), OK);
    assert_int_equal(flush_put(&ctx, flush, store), OK);
    assert_int_equal(sealed_open(&ctx, store, growing_schema(g), flush_files(flush), true, &s),
                     OK);
    const char *wrong = s_differs(m, s, UINT64_MAX);
    sealed_unref(&s);
    store_destroy(&store);
    ctx_fini(&ctx);
    return wrong;
}

static void what_a_flush_loses_is_noticed(void **state)
{
    (void)state;
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_INT64);
    owned(growing) g = s_grow(schema, m, 14, 5, 40);
    assert_null(s_cheated(m, g, (cheat_t){0}));
    assert_string_equal(s_cheated(m, g, (cheat_t){ .lose_deletes = true }), "a row's visibility");
    assert_string_equal(s_cheated(m, g, (cheat_t){ .lose_newest = true }), "the number of rows");
    assert_non_null(s_cheated(m, g, (cheat_t){ .late = 1 }));
    random_rows_fini(&m->rows);
    mem_free(m);
}

/* --- faults and wrong objects ----------------------------------------------------- */

static void every_fault_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_VARCHAR);
    owned(growing) g = s_grow(schema, m, 9, 5, 8);
    int nth = 0;
    for (bool fired = true; fired; nth++) {
        store_t *store = store_memory_new();
        owned(flush) flush = NULL;
        owned(sealed) s = NULL;
        owned(flush) merged = NULL;
        flush_options_t options = { .attempt = 1 };
        compact_options_t merge = { .flush = { .id = { 1, 2, 6 } }, .safe_ts = 20 };
        fault_arm(nth);
        err_t err = flush_growing(&ctx, g, UINT64_MAX, &options, &flush);
        if (err == OK)
            err = flush_put(&ctx, flush, store);
        if (err == OK)
            err = sealed_open(&ctx, store, schema, flush_files(flush), true, &s);
        if (err == OK)
            err = compact_plan(&ctx, &s, 1, &merge, &merged);
        if (err == OK)
            err = flush_put(&ctx, merged, store);
        fired = fault_disarm();
        /* OK after a fault: the store may go on without its cache of footers */
        assert_true(err == OK || (fired && (err == ERR_MEMORY || err == ERR_STORE)));
        if (err == OK && nth % 10 == 0)
            s_compare(m, s, UINT64_MAX);
        store_destroy(&store);
    }
    assert_true(nth > 200);
    random_rows_fini(&m->rows);
    mem_free(m);
    ctx_fini(&ctx);
}

static void wrong_objects_are_refused(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_INT64);
    owned(growing) g = s_grow(schema, m, 11, 5, 8);
    store_t *store = store_memory_new();
    owned(flush) flush = NULL;
    flush_options_t options = { .attempt = 1 };
    assert_int_equal(flush_growing(&ctx, g, UINT64_MAX, &options, &flush), OK);
    assert_int_equal(flush_put(&ctx, flush, store), OK);
    size_t n = flush_objects(flush);
    assert_int_equal(flush_files(flush)->n_deltalogs, 1);
    for (size_t i = 0; i < n; i++) {
        view_t right = {0}, wrong = {0};
        const char *key = flush_key(flush, i);
        if (strncmp(key, "stats", 5) == 0)
            continue;
        assert_int_equal(store_get(&ctx, store, key, &right), OK);
        assert_int_equal(store_get(&ctx, store, flush_key(flush, (i + 1) % n), &wrong), OK);
        owned(sealed) s = NULL;
        assert_int_equal(store_put(&ctx, store, key, wrong), OK);
        assert_int_equal(sealed_open(&ctx, store, schema, flush_files(flush), true, &s),
                         ERR_CORRUPT);
        assert_int_equal(store_delete(&ctx, store, key), OK);
        assert_int_equal(sealed_open(&ctx, store, schema, flush_files(flush), true, &s),
                         ERR_KEY_NOT_FOUND);
        assert_int_equal(store_put(&ctx, store, key, view_of(right.ptr, right.len / 2)), OK);
        assert_int_equal(sealed_open(&ctx, store, schema, flush_files(flush), true, &s),
                         ERR_CORRUPT);
        assert_null(s);
        assert_int_equal(store_put(&ctx, store, key, right), OK);
    }
    sealed_files_t fewer = *flush_files(flush);
    fewer.n_rows--;
    owned(sealed) s = NULL;
    assert_int_equal(sealed_open(&ctx, store, schema, &fewer, true, &s), ERR_CORRUPT);
    assert_int_equal(sealed_open(&ctx, store, schema, flush_files(flush), true, &s), OK);
    s_compare(m, s, UINT64_MAX);
    store_destroy(&store);
    random_rows_fini(&m->rows);
    mem_free(m);
    ctx_fini(&ctx);
}

/* --- merging ---------------------------------------------------------------------------- */

/* The rows of all models that the rules keep, in order; deletes of each model stay with
 * its own rows, so they are noted row by row. */
static void s_expect(model_t *want, model_t *const *from, size_t n, schema_t *schema,
                     const compact_options_t *options)
{
    random_rows_init(&want->rows, schema);
    for (size_t i = 0; i < n; i++)
        for (size_t row = 0; row < from[i]->n; row++) {
            bool dead = !s_visible(from[i], row, options->safe_ts) &&
                        from[i]->ts[row] <= options->safe_ts;
            if (dead || from[i]->ts[row] < options->expire_ts)
                continue;
            random_rows_copy(&want->rows, from[i]->rows.columns, row);
            want->ts[want->n++] = from[i]->ts[row];
        }
}

/* Deletes belong to all segments of a channel: tell everyone about everybody's. */
static void s_share_deletes(ctx_t *ctx, model_t *const *m, growing_t *const *g, size_t n)
{
    size_t own[8];
    for (size_t i = 0; i < n; i++)
        own[i] = m[i]->n_deletes;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < own[i]; k++)
            for (size_t to = 0; to < n; to++) {
                if (to == i)
                    continue;
                view_t pk = view_of(m[i]->deletes[k].key, m[i]->deletes[k].len);
                column_builder_t b;
                column_builder_init(&b, schema_pk(growing_schema(g[to])));
                column_builder_add(&b, pk);
                column_t pks = column_builder_view(&b);
                assert_int_equal(growing_delete(ctx, g[to], &pks, m[i]->deletes[k].ts, NULL), OK);
                s_note_delete(m[to], pk, m[i]->deletes[k].ts);
                column_builder_fini(&b);
            }
}

static void s_merge(type_t pk, uint64_t safe_ts, uint64_t expire_ts, uint64_t part_bytes)
{
    enum { N = 3 };
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = store_memory_new();
    owned(schema) schema = random_rows_schema(pk);
    model_t *m[N], *want = mem_new(sizeof *want);
    growing_t *g[N];
    sealed_t *s[N];
    for (size_t i = 0; i < N; i++) {
        m[i] = mem_new(sizeof *m[i]);
        g[i] = s_grow(schema, m[i], 20 + i, 100 + i, 25);
    }
    s_share_deletes(&ctx, m, g, N);
    for (size_t i = 0; i < N; i++)
        s[i] = s_seal(&ctx, store, g[i], (flush_options_t){ .part_bytes = part_bytes }, false);
    compact_options_t options = {
        .flush = { .id = { 1, 2, 200 }, .part_bytes = part_bytes },
        .safe_ts = safe_ts, .expire_ts = expire_ts,
    };
    owned(flush) plan = NULL;
    owned(sealed) merged = NULL;
    assert_int_equal(compact_plan(&ctx, s, N, &options, &plan), OK);
    assert_int_equal(flush_put(&ctx, plan, store), OK);
    assert_int_equal(sealed_open(&ctx, store, schema, flush_files(plan), false, &merged), OK);
    s_expect(want, m, N, schema, &options);
    want->n_deletes = m[0]->n_deletes;
    memcpy(want->deletes, m[0]->deletes, sizeof want->deletes);
    assert_int_equal(flush_files(plan)->n_rows, want->n);
    for (uint64_t ts = safe_ts; ts < 70; ts += 9)
        s_compare(want, merged, ts);
    s_compare(want, merged, UINT64_MAX);
    for (size_t i = 0; i < N; i++) {
        random_rows_fini(&m[i]->rows);
        mem_free(m[i]);
        growing_unref(&g[i]);
        sealed_unref(&s[i]);
    }
    random_rows_fini(&want->rows);
    mem_free(want);
    flush_destroy(&plan);
    sealed_unref(&merged);
    store_destroy(&store);
    ctx_fini(&ctx);
}

static void merging_keeps_what_can_be_seen(void **state)
{
    (void)state;
    s_merge(TYPE_INT64, 0, 0, 0);
    s_merge(TYPE_INT64, 40, 0, 2000);
    s_merge(TYPE_VARCHAR, 30, 22, 0);
    s_merge(TYPE_VARCHAR, END, 0, 3000);
    s_merge(TYPE_INT64, END, END, 0);           /* nothing is left */
}

/* --- threads -------------------------------------------------------------------------------- */

typedef struct race {
    sealed_t *s;
    const model_t *m;
    _Atomic uint64_t deleted;   /* keys below were deleted, key k at 1000 + k */
    _Atomic bool over;
} race_t;

static void *s_reader(void *arg)
{
    race_t *race = arg;
    while (!atomic_load(&race->over)) {
        ctx_t ctx;
        ctx_init(&ctx);
        uint64_t k = atomic_load_explicit(&race->deleted, memory_order_acquire);
        for (size_t f = 0; f < schema_len(sealed_schema(race->s)); f++) {
            column_t c;
            check(sealed_column(&ctx, race->s, 0, f, &c) == OK);
            check(random_rows_same(&c, 5, &race->m->rows.columns[f], 5));
        }
        size_t row = 0;
        for (uint64_t i = 0; i < k; i++)
            check(!sealed_find(race->s, random_rows_key(TYPE_INT64, i, (uint8_t[32]){0}),
                               1000 + k, &row));
        ctx_fini(&ctx);
    }
    return NULL;
}

static void readers_beside_deletes(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    store_t *store = store_memory_new();
    model_t *m = mem_new(sizeof *m);
    owned(schema) schema = random_rows_schema(TYPE_INT64);
    owned(growing) g = s_grow(schema, m, 31, 5, 40);
    owned(sealed) s = s_seal(&ctx, store, g, (flush_options_t){0}, false);
    race_t race = { .s = s, .m = m };
    pthread_t readers[2];
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, s_reader, &race), 0);
    for (uint64_t k = 0; k < N_KEYS; k++) {
        _Alignas(8) uint8_t room[32];
        uint64_t ts = 1000 + k;
        column_t pks = { .type = TYPE_INT64, .width = 8, .n = 1,
                         .cells = random_rows_key(TYPE_INT64, k, room).ptr };
        assert_int_equal(sealed_delete(&ctx, s, &pks, &ts, NULL), OK);
        atomic_store_explicit(&race.deleted, k + 1, memory_order_release);
    }
    atomic_store(&race.over, true);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        pthread_join(readers[i], NULL);
    for (size_t row = 0; row < sealed_rows(s); row++)
        assert_true(sealed_died(s, row) != SEGMENT_ALIVE);
    sealed_unref(&s);
    store_destroy(&store);
    random_rows_fini(&m->rows);
    mem_free(m);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_flushed_comes_back),
        cmocka_unit_test(late_fields_are_not_preloaded),
        cmocka_unit_test(files_are_mapped),
        cmocka_unit_test(what_a_flush_loses_is_noticed),
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(wrong_objects_are_refused),
        cmocka_unit_test(merging_keeps_what_can_be_seen),
        cmocka_unit_test(readers_beside_deletes),
    };
    return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}

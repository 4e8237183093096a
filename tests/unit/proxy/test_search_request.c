/* search_request: what a search asks the nodes, and each refusal with the code and text that
 * Milvus gives.  Method: a request that is fine, changed in one place per row. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "common.pb-c.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/wire/pb.h"
#include "proxy/placeholders.h"
#include "proxy/search_request.h"

typedef struct fixture {
    ctx_t ctx;
    schema_t *schema;
    Elanus__Index index;
    Elanus__Pair metric, type;
    Elanus__Pair *params[2];
    const Elanus__Index *indexes[1];
    search_target_t target;
    Milvus__SearchRequest request;
    Common__KeyValuePair pairs[16];
    Common__KeyValuePair *list[16];
    search_request_t got;
} fixture_t;

static const field_t s_fields[] = {
    { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
    { .id = 101, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 2 },
    { .id = 102, .name = "color", .type = TYPE_VARCHAR, .max_length = 9 },
    { .id = 103, .name = "price", .type = TYPE_FLOAT },
    { .id = 104, .name = "bits", .type = TYPE_BINARY_VECTOR, .dim = 16 },
    { .id = 105, .name = "sparse", .type = TYPE_SPARSE_VECTOR },
    { .id = 106, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
};

/* A group of n vectors of one type. */
static view_t s_group(ctx_t *ctx, int type, const view_t *vectors, size_t n)
{
    Common__PlaceholderValue value = COMMON__PLACEHOLDER_VALUE__INIT;
    Common__PlaceholderValue *values = &value;
    Common__PlaceholderGroup group = COMMON__PLACEHOLDER_GROUP__INIT;
    value.tag = "$0";
    value.type = (Common__PlaceholderType)type;
    value.values = ctx_new(ctx, (n + 1) * sizeof *value.values);
    for (size_t i = 0; i < n; i++)
        value.values[i] = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)vectors[i].ptr,
                                                 .len = vectors[i].len };
    value.n_values = n;
    group.placeholders = &values;
    group.n_placeholders = 1;
    return pb_pack(ctx, &group);
}

static void s_give(fixture_t *f, view_t group, int64_t nq)
{
    f->request.search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP;
    f->request.placeholder_group = (ProtobufCBinaryData){
        .data = (uint8_t *)(uintptr_t)group.ptr, .len = group.len };
    f->request.nq = nq;
}

/* Set a pair, or change it. */
static void s_set(fixture_t *f, const char *key, const char *value)
{
    size_t at = 0;
    while (at < f->request.n_search_params && strcmp(f->pairs[at].key, key) != 0)
        at++;
    common__key_value_pair__init(&f->pairs[at]);
    f->pairs[at].key = key;
    f->pairs[at].value = value;
    f->list[at] = &f->pairs[at];
    if (at == f->request.n_search_params)
        f->request.n_search_params++;
}

static void s_fresh(fixture_t *f)
{
    static const float s_vec[] = { 1, 2 };
    const view_t vec = view_of(s_vec, sizeof s_vec);
    milvus__search_request__init(&f->request);
    f->request.search_params = f->list;
    s_set(f, "anns_field", "vec");
    s_set(f, "topk", "10");
    s_give(f, s_group(&f->ctx, TYPE_FLOAT_VECTOR, &vec, 1), 1);
}

static int s_up(void **state)
{
    fixture_t *f = mem_new(sizeof *f);
    ctx_init(&f->ctx);
    f->schema = schema_new(s_fields, ARRAY_LEN(s_fields));
    elanus__index__init(&f->index);
    elanus__pair__init(&f->metric);
    f->metric.key = (char *)"metric_type";
    f->metric.value = (char *)"L2";
    f->params[0] = &f->metric;
    elanus__pair__init(&f->type);
    f->type.key = (char *)"index_type";
    f->type.value = (char *)"IVF_FLAT";
    f->params[1] = &f->type;
    f->index.field_id = 101;
    f->index.params = f->params;
    f->index.n_params = 1;
    f->indexes[0] = &f->index;
    f->target = (search_target_t){ .collection = 7, .schema = f->schema, .indexes = f->indexes,
                                   .n_indexes = 1 };
    s_fresh(f);
    *state = f;
    return 0;
}

static int s_down(void **state)
{
    fixture_t *f = *state;
    schema_unref(&f->schema);
    ctx_fini(&f->ctx);
    mem_free(f);
    return 0;
}

static err_t s_read(fixture_t *f, bool part)
{
    static const size_t s_places[] = { 2, 1 };
    outputs_t outputs = { .fields = (size_t *)(uintptr_t)s_places, .n = 2 };
    return search_request_read(&f->ctx, &f->target, &f->request, part, &outputs, &f->got);
}

static void s_refused(fixture_t *f, int code, const char *text)
{
    assert_int_equal(err_code(s_read(f, false)), code);
    assert_string_equal(f->ctx.text, text);
    s_fresh(f);
}

static void s_pair_refused(fixture_t *f, const char *key, const char *value, int code,
                           const char *text)
{
    s_set(f, key, value);
    s_refused(f, code, text);
}

/* --- what is asked ----------------------------------------------------------------------- */

static void a_plain_search(void **state)
{
    fixture_t *f = *state;
    s_set(f, "offset", "5");
    s_set(f, "metric_type", "l2");
    s_set(f, "round_decimal", "3");
    s_set(f, "params", "{\"nprobe\": 8, \"ef\": 64}");
    f->request.dsl = "price > 3 and tag == \"x\"";
    assert_int_equal(s_read(f, false), OK);
    const Elanus__Search *ask = f->got.ask;
    assert_int_equal(ask->field, 101);
    assert_int_equal(ask->topk, 15);
    assert_int_equal(ask->nq, 1);
    assert_string_equal(ask->metric, "L2");
    assert_string_equal(ask->filter, f->request.dsl);
    assert_int_equal(ask->n_outputs, 2);
    assert_int_equal(ask->outputs[0], 102);
    assert_int_equal(ask->outputs[1], 101);
    assert_false(ask->has_radius || ask->has_range_filter);
    assert_int_equal(ask->group_field, 0);
    assert_int_equal(f->got.field, 1);
    assert_int_equal(f->got.group_field, SIZE_MAX);
    assert_int_equal(f->got.args.round_decimal, 3);
    column_t queries;
    size_t len = 0;
    assert_int_equal(column_read(&f->ctx, view_of(ask->queries.data, ask->queries.len), &queries,
                                 &len), OK);
    assert_int_equal(queries.n, 1);
    assert_memory_equal(queries.cells, ((float[]){ 1, 2 }), 8);
}

static void a_part_of_a_hybrid_search_has_no_offset(void **state)
{
    fixture_t *f = *state;
    s_set(f, "offset", "-5");
    assert_int_equal(s_read(f, true), OK);
    assert_int_equal(f->got.ask->topk, 10);
}

static void ranges(void **state)
{
    fixture_t *f = *state;
    s_set(f, "params", "{\"radius\": 5, \"range_filter\": 1.5}");
    assert_int_equal(s_read(f, false), OK);
    assert_true(f->got.ask->has_radius && f->got.ask->has_range_filter);
    assert_true(f->got.ask->radius == 5 && f->got.ask->range_filter == 1.5f);
    s_set(f, "params", "{\"range_filter\": 1.5}");              /* alone it does not count */
    assert_int_equal(s_read(f, false), OK);
    assert_false(f->got.ask->has_range_filter);
    s_pair_refused(f, "params", "{\"radius\": 5, \"range_filter\": 10}", 2000,
                   "metric type (L2), range_filter(10) must be less than radius(5)");
    f->metric.value = (char *)"IP";
    s_set(f, "params", "{\"radius\": 0.1, \"range_filter\": 0.5}");
    assert_int_equal(s_read(f, false), OK);
    s_pair_refused(f, "params", "{\"radius\": 0.5, \"range_filter\": 0.1}", 2000,
                   "metric type (IP), range_filter(0.1) must be greater than radius(0.5)");
    s_pair_refused(f, "params", "{\"radius\": \"x\"}", 65535,
                   "search param radius has to be a number");
    s_pair_refused(f, "params", "[1]", 65535, "search params are no JSON object: [1]");
}

static void metrics(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(s_read(f, false), OK);
    assert_string_equal(f->got.ask->metric, "L2");
    s_pair_refused(f, "metric_type", "IP", 1100,
                   "metric type not match: invalid parameter[expected=L2][actual=IP]");
    f->target.n_indexes = 0;
    assert_int_equal(s_read(f, false), OK);
    assert_string_equal(f->got.ask->metric, "COSINE");
    s_set(f, "metric_type", "IP");
    assert_int_equal(s_read(f, false), OK);
    assert_string_equal(f->got.ask->metric, "IP");
    s_pair_refused(f, "metric_type", "HAMMING", 1100,
                   "metric type not match: invalid parameter[expected=COSINE][actual=HAMMING]");
}

/* What only an index reads goes on to the nodes, where the field has such an index. */
static void knobs(void **state)
{
    fixture_t *f = *state;
    f->index.n_params = 2;
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.ask->n_knobs, 0);
    s_set(f, "params", "{\"nprobe\": 17, \"ef\": \"x\"}");
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.ask->n_knobs, 1);
    assert_string_equal(f->got.ask->knobs[0]->key, "nprobe");
    assert_string_equal(f->got.ask->knobs[0]->value, "17");
    const char *range = "failed to search: out of range in json: param nprobe out of range "
                        "[ 1,65536 ]";
    s_pair_refused(f, "params", "{\"nprobe\": 0}", 65535, range);
    s_pair_refused(f, "params", "{\"nprobe\": \"65537\"}", 65535, range);
    s_pair_refused(f, "nprobe", "-1", 65535, range);
    s_pair_refused(f, "nprobe", "many", 65535, "failed to search: invalid value in json: stoi");
    s_pair_refused(f, "params", "{\"nprobe\": true}", 65535, "failed to search: type conflict in "
                   "json: param nprobe should be integer");
    f->type.value = (char *)"HNSW";
    s_set(f, "params", "{\"nprobe\": 0}");
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.ask->n_knobs, 0);
    const char *less = "failed to search: out of range in json: ef(9) should be larger than k(10)";
    s_pair_refused(f, "params", "{\"ef\": 9}", 65535, less);
    s_set(f, "params", "{\"ef\": 9, \"radius\": 1}");
    assert_int_equal(s_read(f, false), OK);
    assert_string_equal(f->got.ask->knobs[0]->key, "ef");
    f->type.value = (char *)"AUTOINDEX";
    s_pair_refused(f, "params", "{\"ef\": 9}", 65535, less);
    s_set(f, "params", "{\"ef\": 10}");
    assert_int_equal(s_read(f, false), OK);
}

static void groups(void **state)
{
    fixture_t *f = *state;
    s_set(f, "group_by_field", "color");
    s_set(f, "group_size", "3");
    s_set(f, "strict_group_size", "True");
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.ask->group_field, 102);
    assert_int_equal(f->got.ask->group_size, 3);
    assert_true(f->got.ask->strict_group_size);
    assert_int_equal(f->got.group_field, 2);
    s_pair_refused(f, "group_by_field", "nope", 1700,
                   "groupBy field not found in schema: field not found[field=nope]");
    s_pair_refused(f, "group_by_field", "price", 2000,
                   "unsupported data type Float for group by operator");
    s_pair_refused(f, "group_size", "11", 1100,
                   "input group size:11 exceeds configured max group size:10: invalid parameter");
    s_set(f, "group_by_field", "color");
    s_pair_refused(f, "iterator", "True", 1100, "Not allowed to do groupBy when doing iteration: "
                   "invalid parameter[expected=][actual=]");
    s_set(f, "group_by_field", "color");
    s_pair_refused(f, "params", "{\"radius\":1}", 1100, "Not allowed to do range-search when doing "
                   "search-group-by: invalid parameter[expected=][actual=]");
    s_pair_refused(f, "group_by_fields", "color,id", 1100,
                   "grouping by several fields is not supported: invalid parameter");
    const view_t bits = view_of("ab", 2);
    s_give(f, s_group(&f->ctx, TYPE_BINARY_VECTOR, &bits, 1), 1);
    s_set(f, "anns_field", "bits");
    s_pair_refused(f, "group_by_field", "color", 65535,
                   "not support search_group_by operation based on binary vector column");
}

/* A page asks for one more than it shows, behind the last score of the page before. */
static void pages_of_an_iterator(void **state)
{
    fixture_t *f = *state;
    s_set(f, "iterator", "True");
    s_set(f, "search_iter_v2", "True");
    s_set(f, "search_iter_batch_size", "20");
    s_set(f, "collection_id", "7");
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.ask->topk, 21);
    assert_false(f->got.ask->has_range_filter);
    s_set(f, "search_iter_last_bound", "0.5");
    assert_int_equal(s_read(f, false), OK);
    assert_true(f->got.ask->has_radius && isinf(f->got.ask->radius));
    assert_true(f->got.ask->range_filter == nextafterf(0.5f, 1));
    s_set(f, "params", "{\"radius\": 2, \"range_filter\": 1}");
    assert_int_equal(s_read(f, false), OK);
    assert_true(f->got.ask->radius == 2 && f->got.ask->range_filter == 1);
    f->metric.value = (char *)"IP";
    s_set(f, "params", "{}");
    assert_int_equal(s_read(f, false), OK);
    assert_true(f->got.ask->range_filter == nextafterf(0.5f, 0) && f->got.ask->radius < 0);
    s_set(f, "topk", "99999");                  /* v1: cut, not refused */
    assert_int_equal(s_read(f, false), OK);
    assert_int_equal(f->got.args.topk, LIMIT_TOPK);
    s_pair_refused(f, "search_iter_last_bound", "x", 1100,
                   "failed to parse input last bound: x: invalid parameter");
    s_set(f, "search_iter_v2", "True");
    s_pair_refused(f, "search_iter_batch_size", "0", 1100,
                   "batch size [0] is invalid, it should be in range [1, 16384]: invalid "
                   "parameter");
    s_set(f, "iterator", "True");
    s_pair_refused(f, "collection_id", "8", 1100,
                   "Input collection id is not consistent to collectionID in the context,alias or "
                   "database may have changed: invalid parameter");
}

/* --- refusals ---------------------------------------------------------------------------- */

static void numbers_out_of_range(void **state)
{
    static const struct { const char *key, *value; const char *text; } s_rows[] = {
        { "topk", "0", "topk [0] is invalid, it should be in range [1, 16384], but got 0" },
        { "topk", "16385",
          "topk [16385] is invalid, it should be in range [1, 16384], but got 16385" },
        { "topk", "ten", "topk [ten] is invalid" },
        { "offset", "-1", "offset [-1] is invalid, should be gte than 0" },
        { "offset", "16380", "offset+topk [16390] is invalid, (offset+limit) should be in range "
          "[1, 16384], but got 16390" },
        { "offset", "x", "offset [x] is invalid" },
        { "round_decimal", "7",
          "round_decimal [7] is invalid, should be -1 or an integer in range [0, 6]" },
        { "round_decimal", "-2",
          "round_decimal [-2] is invalid, should be -1 or an integer in range [0, 6]" },
    };
    fixture_t *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++)
        s_pair_refused(f, s_rows[i].key, s_rows[i].value, 65535, s_rows[i].text);
    f->request.nq = 16385;
    s_refused(f, 65535, "nq [16385] is invalid, nq (number of search vector per search request) "
              "should be in range [1, 16384], but got 16385");
    s_give(f, view_of("", 0), 0);
    s_refused(f, 65535, "nq [0] is invalid, nq (number of search vector per search request) should "
              "be in range [1, 16384], but got 0");
    f->request.nq = 2;
    s_refused(f, 1100, "nq [2] is invalid, the placeholder group has 1 vectors: invalid parameter");
    f->request.n_search_params = 0;
    s_refused(f, 65535, "topk not found in search_params");
}

static void fields_that_cannot_be_searched(void **state)
{
    fixture_t *f = *state;
    s_pair_refused(f, "anns_field", "", 65535, "multiple anns_fields exist, please specify a "
                   "anns_field in search_params");
    s_pair_refused(f, "anns_field", "nope", 1100, "failed to create query plan: failed to get "
                   "field schema by name: fieldName(nope) not found: invalid parameter");
    s_pair_refused(f, "anns_field", "color", 1100, "failed to create query plan: field (color) to "
                   "search is not of vector data type: invalid parameter");
    schema_t *one = schema_new(s_fields, 2);
    schema_t *all = f->target.schema;
    f->target.schema = one;
    s_set(f, "anns_field", "");
    outputs_t none = {0};
    assert_int_equal(search_request_read(&f->ctx, &f->target, &f->request, false, &none, &f->got),
                     OK);
    f->target.schema = all;
    schema_unref(&one);
}

static void filters_that_do_not_parse(void **state)
{
    fixture_t *f = *state;
    f->request.dsl = "color > 5";
    assert_int_equal(err_code(s_read(f, false)), 1100);
    assert_non_null(strstr(f->ctx.text, "failed to create query plan: cannot parse expression: "
                           "color > 5, error: "));
    assert_non_null(strstr(f->ctx.text, ": invalid parameter"));
}

static void what_nobody_does_yet(void **state)
{
    fixture_t *f = *state;
    s_pair_refused(f, "order_by_fields", "price:asc", 1100,
                   "search param order_by_fields is not supported: invalid parameter");
    f->request.search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_IDS;
    s_refused(f, 1100, "search by primary keys is not supported: invalid parameter");
    Common__Highlighter highlighter = COMMON__HIGHLIGHTER__INIT;
    f->request.highlighter = &highlighter;
    s_refused(f, 1100, "highlighter is not supported: invalid parameter");
}

/* --- vectors ----------------------------------------------------------------------------- */

static err_t s_vectors(fixture_t *f, const field_t *field, int type, view_t cell)
{
    buf_scoped into;
    buf_init(&into, 0);
    return placeholders_read(&f->ctx, s_group(&f->ctx, type, &cell, 1), field, 1, &into);
}

static void every_vector_type_has_its_width(void **state)
{
    static const struct { field_t field; size_t bytes; } s_rows[] = {
        { { .name = "f", .type = TYPE_FLOAT_VECTOR, .dim = 4 }, 16 },
        { { .name = "b", .type = TYPE_BINARY_VECTOR, .dim = 16 }, 2 },
        { { .name = "h", .type = TYPE_FLOAT16_VECTOR, .dim = 4 }, 8 },
        { { .name = "g", .type = TYPE_BFLOAT16_VECTOR, .dim = 4 }, 8 },
        { { .name = "i", .type = TYPE_INT8_VECTOR, .dim = 4 }, 4 },
    };
    fixture_t *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        const field_t *field = &s_rows[i].field;
        size_t bytes = s_rows[i].bytes;
        view_t zeros = view_of(ctx_new(&f->ctx, 32), bytes);
        assert_int_equal(s_vectors(f, field, (int)field->type, zeros), OK);
        zeros.len--;
        assert_int_equal(err_code(s_vectors(f, field, (int)field->type, zeros)), 65535);
        assert_string_equal(f->ctx.text, ctx_printf(&f->ctx, "vector dimension mismatch, expected "
                            "vector size(byte) %zu, actual %zu.", bytes, bytes - 1));
    }
    assert_int_equal(err_code(s_vectors(f, &s_rows[0].field, TYPE_BINARY_VECTOR,
                                        view_of("ab", 2))), 65535);
    assert_string_equal(f->ctx.text, "vector type must be the same, field f - type VECTOR_FLOAT, "
                        "search info type VECTOR_BINARY");
}

static void sparse_vectors_are_checked(void **state)
{
    static const struct { uint32_t index; float value; } s_good[] = { { 1, 0.5f }, { 7, 2 } },
        s_unsorted[] = { { 7, 1 }, { 1, 1 } }, s_negative[] = { { 1, -1 } },
        s_top[] = { { UINT32_MAX, 1 } };
    fixture_t *f = *state;
    const field_t *field = &s_fields[5];
    int type = TYPE_SPARSE_VECTOR;
    assert_int_equal(s_vectors(f, field, type, view_of(s_good, sizeof s_good)), OK);
    assert_int_equal(s_vectors(f, field, type, view_of("", 0)), OK);
    assert_int_equal(s_vectors(f, field, type, view_of(s_good, 9)), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "invalid data length in sparse float vector: 9");
    assert_int_equal(s_vectors(f, field, type, view_of(s_unsorted, 16)), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "unsorted or same indices in sparse float vector");
    assert_int_equal(s_vectors(f, field, type, view_of(s_negative, 8)), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "negative value in sparse float vector");
    assert_int_equal(s_vectors(f, field, type, view_of(s_top, 8)), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "invalid index in sparse float vector: must be less than "
                        "2^32-1");
}

static void garbage_is_no_group(void **state)
{
    fixture_t *f = *state;
    s_give(f, view_str("\xff\xff garbage"), 1);
    assert_int_equal(err_code(s_read(f, false)), 1100);
    assert_non_null(strstr(f->ctx.text, "failed to parse the placeholder group"));
}

/* --- output fields ----------------------------------------------------------------------- */

static void s_outputs_are(fixture_t *f, const char *const *asked, size_t n, bool with_pk,
                          const char *fields, const char *names, size_t n_keys)
{
    outputs_t out;
    buf_scoped text;
    buf_init(&text, 0);
    assert_int_equal(outputs_read(&f->ctx, f->schema, asked, n, with_pk, &out), OK);
    for (size_t i = 0; i < out.n; i++)
        buf_addf(&text, "%s ", schema_at(f->schema, out.fields[i])->name);
    assert_string_equal(buf_str(&text), fields);
    buf_reset(&text);
    for (size_t i = 0; i < out.n_names; i++)
        buf_addf(&text, "%s ", out.names[i]);
    assert_string_equal(buf_str(&text), names);
    assert_int_equal(out.n_keys, n_keys);
}

#define ASKED(...) ((const char *const[]){ __VA_ARGS__ }), \
                   ARRAY_LEN(((const char *const[]){ __VA_ARGS__ }))

static void outputs_by_name(void **state)
{
    fixture_t *f = *state;
    s_outputs_are(f, NULL, 0, false, "", "", 0);
    s_outputs_are(f, NULL, 0, true, "id ", "id ", 0);
    s_outputs_are(f, ASKED("color", " id", "color"), true, "color id ", "color id ", 0);
    s_outputs_are(f, ASKED("*"), false, "id vec color price bits sparse $meta ",
                  "id vec color price bits sparse $meta ", 0);
    s_outputs_are(f, ASKED("size", "color", "weight", "size"), false, "$meta color ",
                  "size color weight ", 2);
    s_outputs_are(f, ASKED("size", "$meta"), false, "$meta ", "size $meta ", 0);
    assert_true(outputs_are_count(&f->ctx, ASKED(" Count(*) ")));
    assert_false(outputs_are_count(&f->ctx, ASKED("count(*)", "id")));
    outputs_t out;
    assert_int_equal(outputs_read(&f->ctx, f->schema, ASKED("a b"), false, &out), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "parse output field name failed: a b");
    schema_t *strict = schema_new(s_fields, 2);
    assert_int_equal(outputs_read(&f->ctx, strict, ASKED("nope"), false, &out), ERR_UNEXPECTED);
    assert_string_equal(f->ctx.text, "field nope not exist");
    schema_unref(&strict);
}

static void every_fault_is_reported(void **state)
{
    fixture_t *f = *state;
    f->request.dsl = "price > 3 and color in [\"a\", \"b\"]";
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = s_read(f, false);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 3);
            break;
        }
        assert_true(err == ERR_MEMORY || err == ERR_PARAM_INVALID);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_plain_search),
        T(a_part_of_a_hybrid_search_has_no_offset),
        T(ranges),
        T(metrics),
        T(knobs),
        T(groups),
        T(pages_of_an_iterator),
        T(numbers_out_of_range),
        T(fields_that_cannot_be_searched),
        T(filters_that_do_not_parse),
        T(what_nobody_does_yet),
        T(every_vector_type_has_its_width),
        T(sparse_vectors_are_checked),
        T(garbage_is_no_group),
        T(outputs_by_name),
        T(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("search_request", tests, NULL, NULL);
}

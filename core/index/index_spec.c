/* index_spec - parameters of builds and searches, from text
 *
 * Clients put what belongs to a type under the key `params`, as JSON ({"nlist": 128}), or
 * beside it ("nlist": "128"); newer ones do the latter.  Both may come; the pair goes first.
 * Numbers may be quoted.  Keys that no table here has for the type are left alone: they belong to
 * others.
 *
 * One table says what builds know, one what searches know; a row is a key, the types it is for,
 * its range, and where the value goes.  Milvus reads them in the same order, so that of several
 * wrong ones the same is complained about.  Ranges and texts are those of Milvus 2.4's checker,
 * and for searches of its engine (2.3.5).
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/index_int.h"
#include "core/index/pq.h"

#define BAD_PARAMS "invalid parameter[expected=valid index params][actual=invalid index params]"

/* --- types ----------------------------------------------------------------------------- */

#define BIT(type) (1u << INDEX_##type)

enum {
    OF_IVF = BIT(IVF_FLAT) | BIT(IVF_SQ8) | BIT(IVF_PQ) | BIT(SCANN) | BIT(BIN_IVF_FLAT),
    OF_HNSW = BIT(HNSW) | BIT(HNSW_SQ),
    OF_SPARSE = BIT(SPARSE_INVERTED) | BIT(SPARSE_WAND),
};

static const struct { const char *name; index_type_t type; } s_types[] = {
    { "IVF_FLAT", INDEX_IVF_FLAT }, { "BIN_IVF_FLAT", INDEX_BIN_IVF_FLAT },
    { "IVF_SQ8", INDEX_IVF_SQ8 }, { "IVF_PQ", INDEX_IVF_PQ }, { "SCANN", INDEX_SCANN },
    { "HNSW", INDEX_HNSW }, { "HNSW_SQ", INDEX_HNSW_SQ }, { "DISKANN", INDEX_DISKANN },
    { "SPARSE_INVERTED_INDEX", INDEX_SPARSE_INVERTED }, { "SPARSE_WAND", INDEX_SPARSE_WAND },
};

/* What AUTOINDEX stands for: Milvus's autoIndex.params.build, .sparse.build, .binary.build. */
static const index_pair_t s_auto_dense[] = {
    { "index_type", "HNSW" }, { "M", "18" }, { "efConstruction", "240" }, { NULL, NULL },
};
static const index_pair_t s_auto_sparse[] = {
    { "index_type", "SPARSE_INVERTED_INDEX" }, { NULL, NULL },
};
static const index_pair_t s_auto_binary[] = {
    { "index_type", "BIN_IVF_FLAT" }, { "nlist", "1024" }, { NULL, NULL },
};

static const index_pair_t *s_automatic(cell_t cells)
{
    return cells == CELL_BIN ? s_auto_binary : cells == CELL_SPARSE ? s_auto_sparse : s_auto_dense;
}

static cell_t s_fit(index_type_t type, cell_t cells)
{
    if (type == INDEX_BIN_IVF_FLAT)
        return CELL_BIN;
    if (OF_SPARSE & 1u << type)
        return CELL_SPARSE;
    return cells == CELL_BIN || cells == CELL_SPARSE ? CELL_F32 : cells;
}

bool index_type_parse(const char *name, cell_t cells, index_type_t *ret)
{
    if (strcmp(name, "AUTOINDEX") == 0)
        name = s_automatic(cells)[0].value;
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (strcmp(s_types[i].name, name) == 0 && s_fit(s_types[i].type, cells) == cells) {
            *ret = s_types[i].type;
            return true;
        }
    return false;
}

bool index_type_built(index_type_t type)
{
    return index_ops_of(type) != NULL;
}

const char *index_type_name(index_type_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (s_types[i].type == type)
            return s_types[i].name;
    return "none";
}

/* --- what was given --------------------------------------------------------------------- */

typedef struct {
    const index_pair_t *pairs;
    size_t n;
    json_t *object;             /* owned; of the key `params`; what is no object has no keys */
} given_t;

typedef enum {
    GIVEN_NOTHING, GIVEN_TEXT, GIVEN_WHOLE, GIVEN_REAL, GIVEN_OTHER
} given_kind_t;

typedef struct {
    given_kind_t kind;
    const char *text;           /* as a client would write it; never NULL */
} value_t;

static const char *s_pair(const index_pair_t *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return pairs[i].value;
    return NULL;
}

static given_t s_given(const index_pair_t *pairs, size_t n)
{
    const char *params = s_pair(pairs, n, "params");
    return (given_t){ pairs, n, params ? json_loads(params, 0, NULL) : NULL };
}

static void s_given_fini(given_t *self)
{
    json_decref(self->object);
}

static value_t s_in_json(ctx_t *ctx, const json_t *value)
{
    if (!value)
        return (value_t){ GIVEN_NOTHING, "" };
    if (json_is_string(value))
        return (value_t){ GIVEN_TEXT, ctx_strdup(ctx, json_string_value(value)) };
    if (json_is_integer(value))
        return (value_t){ GIVEN_WHOLE, ctx_printf(ctx, "%lld",
                                                  (long long)json_integer_value(value)) };
    if (json_is_real(value))
        return (value_t){ GIVEN_REAL, ctx_printf(ctx, "%.17g", json_real_value(value)) };
    if (json_is_boolean(value))
        return (value_t){ GIVEN_OTHER, json_is_true(value) ? "true" : "false" };
    return (value_t){ GIVEN_OTHER, json_is_null(value) ? "null" : "an object" };
}

static value_t s_value(ctx_t *ctx, const given_t *given, const char *key)
{
    const char *text = s_pair(given->pairs, given->n, key);
    if (text)
        return (value_t){ GIVEN_TEXT, text };
    return s_in_json(ctx, json_object_get(given->object, key));
}

static bool s_integer(value_t value, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    *ret = strtoll(value.text, &end, 10);
    return end != value.text && *end == '\0' && errno == 0;
}

static bool s_ratio(value_t value, float *ret)
{
    char *end = NULL;
    double number = strtod(value.text, &end);
    *ret = (float)number;
    return end != value.text && *end == '\0' && number >= 0 && number < 1 && *ret < 1;
}

static bool s_flag(value_t value, bool *ret)
{
    *ret = strcasecmp(value.text, "true") == 0;
    return *ret || strcasecmp(value.text, "false") == 0;
}

/* --- builds --------------------------------------------------------------------------- */

typedef enum {
    PARAM_SIZE,                 /* a whole number */
    PARAM_RATIO,                /* [0, 1) */
    PARAM_NOT,                  /* a flag; the field says that it is off */
    PARAM_WORD,                 /* one of some; read and not kept */
} param_kind_t;

typedef struct {
    const char *key;
    unsigned types;             /* BIT of each */
    param_kind_t kind;
    bool needed;
    int64_t least, most, usual;
    size_t at;                  /* of the field */
    const char *words;          /* PARAM_WORD */
} param_t;

#define SPEC(field) offsetof(index_spec_t, field)

static const param_t s_build[] = {
    { "nlist", OF_IVF, PARAM_SIZE, true, 1, LIMIT_INDEX_LISTS, 0, SPEC(nlist), NULL },
    { "nbits", BIT(IVF_SQ8), PARAM_SIZE, false, 8, 8, 8, SPEC(nbits), NULL },
    { "nbits", BIT(IVF_PQ), PARAM_SIZE, false, 1, PQ_BITS_MOST, 8, SPEC(nbits), NULL },
    { "m", BIT(IVF_PQ), PARAM_SIZE, true, 1, LIMIT_DIM, 0, SPEC(m), NULL },
    { "with_raw_data", BIT(SCANN), PARAM_NOT, false, 0, 0, 1, SPEC(without_raw), NULL },
    { "efConstruction", BIT(HNSW), PARAM_SIZE, true, 1, INT32_MAX, 0, SPEC(ef_construction), NULL },
    { "efConstruction", BIT(HNSW_SQ), PARAM_SIZE, false, 1, INT32_MAX, 360,
      SPEC(ef_construction), NULL },
    { "M", BIT(HNSW), PARAM_SIZE, true, 1, LIMIT_INDEX_DEGREE, 0, SPEC(degree), NULL },
    { "M", BIT(HNSW_SQ), PARAM_SIZE, false, 1, LIMIT_INDEX_DEGREE, 30, SPEC(degree), NULL },
    { "sq_type", BIT(HNSW_SQ), PARAM_WORD, false, 0, 0, 0, 0, "SQ4U SQ6 SQ8 BF16 FP16" },
    { "refine", BIT(HNSW_SQ), PARAM_NOT, false, 0, 0, 0, SPEC(without_raw), NULL },
    { "refine_type", BIT(HNSW_SQ), PARAM_WORD, false, 0, 0, 0, 0, "SQ6 SQ8 BF16 FP16 FP32 FLAT" },
    { "max_degree", BIT(DISKANN), PARAM_SIZE, false, 1, LIMIT_INDEX_DEGREE, 56, SPEC(degree),
      NULL },
    { "search_list_size", BIT(DISKANN), PARAM_SIZE, false, 1, INT32_MAX, 100,
      SPEC(ef_construction), NULL },
    { "drop_ratio_build", OF_SPARSE, PARAM_RATIO, false, 0, 1, 0, SPEC(drop_ratio_build), NULL },
    { "inverted_index_algo", OF_SPARSE, PARAM_WORD, false, 0, 0, 0, 0,
      "TAAT_NAIVE DAAT_WAND DAAT_MAXSCORE" },
};

static err_t s_bad(ctx_t *ctx, const param_t *param, value_t value)
{
    if (param->kind == PARAM_RATIO)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid %s: %.100s, must be in range [0, 1): "
                        BAD_PARAMS, param->key, value.text);
    if (param->kind == PARAM_NOT)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid %s: %.100s, must be true or false: "
                        BAD_PARAMS, param->key, value.text);
    if (param->kind == PARAM_WORD)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s %.100s not found or not supported, supported: "
                        "[%s]: " BAD_PARAMS, param->key, value.text, param->words);
    if (strcmp(param->key, "m") == 0)
        return value.kind == GIVEN_NOTHING
            ? ctx_fail(ctx, ERR_PARAM_INVALID, "parameter `m` not found: " BAD_PARAMS)
            : ctx_fail(ctx, ERR_PARAM_INVALID, "invalid `m`: %.100s: " BAD_PARAMS, value.text);
    return ctx_fail(ctx, ERR_PARAM_INVALID, "%s out of range: [%lld, %lld]: " BAD_PARAMS,
                    param->key, (long long)param->least, (long long)param->most);
}

/* A word of the list, in any case. */
static bool s_is_word(const char *words, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = words; *at; at += *at == ' ') {
        size_t n = strcspn(at, " ");
        if (n == len && strncasecmp(at, text, len) == 0)
            return true;
        at += n;
    }
    return false;
}

static err_t s_build_param(ctx_t *ctx, const given_t *given, const param_t *param,
                           index_spec_t *spec)
{
    value_t value = s_value(ctx, given, param->key);
    void *at = (char *)spec + param->at;
    int64_t number = param->usual;
    bool flag = param->usual, good = !param->needed;
    float ratio = (float)param->usual;
    if (value.kind != GIVEN_NOTHING)
        good = param->kind == PARAM_RATIO ? s_ratio(value, &ratio)
             : param->kind == PARAM_NOT ? s_flag(value, &flag)
             : param->kind == PARAM_WORD ? s_is_word(param->words, value.text)
             : s_integer(value, &number) && number >= param->least && number <= param->most;
    if (!good)
        return s_bad(ctx, param, value);
    if (param->kind == PARAM_SIZE)
        *(size_t *)at = (size_t)number;
    else if (param->kind == PARAM_RATIO)
        *(float *)at = ratio;
    else if (param->kind == PARAM_NOT)
        *(bool *)at = !flag;
    return OK;
}

/* Which types may have such a dimension; dim 0: nobody knows it here. */
static err_t s_dim(ctx_t *ctx, const index_spec_t *spec)
{
    if (spec->dim && spec->type == INDEX_IVF_PQ && spec->dim % spec->m != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "dimension must be able to be divided by `m`, "
                        "dimension: %zu, m: %zu: " BAD_PARAMS, spec->dim, spec->m);
    if (spec->type == INDEX_SCANN && spec->dim % 2 != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "dimension must be able to be divided by 2, "
                        "dimension: %zu: " BAD_PARAMS, spec->dim);
    return OK;
}

static err_t s_metric(ctx_t *ctx, const given_t *given, index_spec_t *spec)
{
    const char *name = s_pair(given->pairs, given->n, "metric_type");
    simd_kernel_t kernel;
    bool known = name && metric_parse(name, &spec->metric);
    if (!known)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "metric type %s not found or not supported: "
                        BAD_PARAMS, name ? name : "(none)");
    if (spec->cells == CELL_SPARSE)
        return spec->metric == METRIC_IP ? OK
            : ctx_fail(ctx, ERR_PARAM_INVALID, "only IP is the supported metric type for sparse "
                       "index: " BAD_PARAMS);
    if (!metric_kernel(spec->metric, spec->cells, &kernel))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s vector index does not support metric type: "
                        "%s: " BAD_PARAMS, spec->cells == CELL_BIN ? "binary" : "float", name);
    return OK;
}

static err_t s_type(ctx_t *ctx, const char *name, index_spec_t *spec)
{
    static const char *const s_cells[] = {
        [CELL_F32] = "float", [CELL_F16] = "float16", [CELL_BF16] = "bfloat16",
        [CELL_I8] = "int8", [CELL_BIN] = "binary", [CELL_SPARSE] = "sparse float",
    };
    if (name && index_type_parse(name, spec->cells, &spec->type))
        return OK;
    for (size_t i = 0; name && i < ARRAY_LEN(s_types); i++)
        if (strcmp(s_types[i].name, name) == 0)
            return ctx_fail(ctx, ERR_PARAM_INVALID, "%s vectors can't build with this index %s: "
                            "invalid parameter", s_cells[spec->cells], name);
    return ctx_fail(ctx, ERR_INDEX_TYPE, "index type %s is not built: its field is scanned",
                    name ? name : "(none)");
}

/* What belongs to the type, and only that. */
static err_t s_build_params(ctx_t *ctx, const given_t *given, index_spec_t *spec)
{
    for (size_t i = 0; i < ARRAY_LEN(s_build); i++)
        if (s_build[i].types & 1u << spec->type)
            TRY(s_build_param(ctx, given, &s_build[i], spec));
    return s_dim(ctx, spec);
}

static err_t s_build_given(ctx_t *ctx, const given_t *given, index_spec_t *spec)
{
    const char *name = s_pair(given->pairs, given->n, "index_type");
    TRY(s_type(ctx, name, spec));
    TRY(s_metric(ctx, given, spec));
    if (strcmp(name, "AUTOINDEX") != 0)
        return s_build_params(ctx, given, spec);
    given_t own = { .pairs = s_automatic(spec->cells) };
    while (own.pairs[own.n].key)
        own.n++;
    return s_build_params(ctx, &own, spec);
}

err_t index_spec_read(ctx_t *ctx, const index_pair_t *pairs, size_t n, cell_t cells, size_t dim,
                      index_spec_t *ret)
{
    index_spec_t spec = { .cells = cells, .dim = dim };
    given_t given = s_given(pairs, n);
    err_t err = s_build_given(ctx, &given, &spec);
    s_given_fini(&given);
    if (err == OK)
        *ret = spec;
    return err;
}

/* --- searches --------------------------------------------------------------------------- */

typedef struct {
    const char *key;
    const char *engine_key;     /* what the engine calls it, in texts */
    unsigned types;
    bool ratio;                 /* [0, 1), else a whole number */
    bool reaches_k;             /* at least as many as hits are asked for */
    int64_t least, most;
    size_t at;
} knob_t;

#define KNOB(field) offsetof(index_knobs_t, field)

enum { BEAM_MOST = 128 };

static const knob_t s_search[] = {
    { "nprobe", "nprobe", OF_IVF, false, false, 1, LIMIT_INDEX_LISTS, KNOB(nprobe) },
    { "max_empty_result_buckets", "max_empty_result_buckets", OF_IVF, false, false, 0,
      LIMIT_INDEX_LISTS, KNOB(max_empty_result_buckets) },
    { "reorder_k", "reorder_k", BIT(SCANN), false, true, 1, INT32_MAX, KNOB(reorder_k) },
    { "ef", "ef", OF_HNSW, false, true, 1, INT32_MAX, KNOB(ef) },
    { "search_list", "search_list_size", BIT(DISKANN), false, true, 1, INT32_MAX,
      KNOB(search_list) },
    { "beamwidth", "beamwidth", BIT(DISKANN), false, false, 1, BEAM_MOST, KNOB(beamwidth) },
    { "drop_ratio_search", "drop_ratio_search", OF_SPARSE, true, false, 0, 1,
      KNOB(drop_ratio_search) },
};

#define FAILED "failed to search: "

static err_t s_whole_knob(ctx_t *ctx, const knob_t *knob, value_t value, size_t k, size_t *ret)
{
    int64_t number = 0;
    const char *key = knob->engine_key;
    bool whole = s_integer(value, &number);
    if (value.kind != GIVEN_TEXT && value.kind != GIVEN_WHOLE)
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "type conflict in json: param %s should be "
                        "integer", key);
    if (value.kind == GIVEN_TEXT && (!whole || number != (int32_t)number))
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "invalid value in json: stoi");
    if (number > INT32_MAX)
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "arithmetic overflow: param %s should be at "
                        "most %d", key, INT32_MAX);
    if (number < knob->least || number > knob->most)
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "out of range in json: param %s out of range "
                        "[ %lld,%lld ]", key, (long long)knob->least, (long long)knob->most);
    if (knob->reaches_k && (size_t)number < k)
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "out of range in json: %s(%lld) should be "
                        "larger than k(%zu)", key, (long long)number, k);
    *ret = (size_t)number;
    return OK;
}

static err_t s_ratio_knob(ctx_t *ctx, const knob_t *knob, value_t value, float *ret)
{
    if (value.kind == GIVEN_OTHER)
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "type conflict in json: param %s should be "
                        "float", knob->engine_key);
    if (!s_ratio(value, ret))
        return ctx_fail(ctx, ERR_UNEXPECTED, FAILED "out of range in json: param %s out of range "
                        "[ %f,%f )", knob->engine_key, (double)knob->least, (double)knob->most);
    return OK;
}

static err_t s_knob(ctx_t *ctx, const given_t *given, const knob_t *knob, size_t k,
                    index_knobs_t *knobs)
{
    value_t value = s_value(ctx, given, knob->key);
    void *at = (char *)knobs + knob->at;
    if (value.kind == GIVEN_NOTHING)
        return OK;
    return knob->ratio ? s_ratio_knob(ctx, knob, value, at)
                       : s_whole_knob(ctx, knob, value, k, at);
}

err_t index_knobs_read(ctx_t *ctx, index_type_t type, const index_pair_t *pairs, size_t n,
                       size_t k, index_knobs_t *ret)
{
    index_knobs_t knobs = {0};
    given_t given = s_given(pairs, n);
    err_t err = OK;
    for (size_t i = 0; i < ARRAY_LEN(s_search) && err == OK; i++)
        if (type == INDEX_NONE || s_search[i].types & 1u << type)
            err = s_knob(ctx, &given, &s_search[i], k, &knobs);
    s_given_fini(&given);
    if (err == OK)
        *ret = knobs;
    return err;
}

size_t index_knobs_pairs(ctx_t *ctx, const index_knobs_t *knobs, index_pair_t **ret)
{
    size_t n = 0;
    index_pair_t *pairs = ctx_new(ctx, ARRAY_LEN(s_search) * sizeof *pairs);
    for (size_t i = 0; i < ARRAY_LEN(s_search); i++) {
        const char *at = (const char *)knobs + s_search[i].at;
        size_t number = s_search[i].ratio ? 0 : *(const size_t *)(const void *)at;
        float ratio = s_search[i].ratio ? *(const float *)(const void *)at : 0;
        if (number)
            pairs[n++] = (index_pair_t){ s_search[i].key, ctx_printf(ctx, "%zu", number) };
        else if (ratio > 0)
            pairs[n++] = (index_pair_t){ s_search[i].key,
                                         ctx_printf(ctx, "%.9g", (double)ratio) };
    }
    *ret = pairs;
    return n;
}

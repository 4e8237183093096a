/* index_spec - parameters of builds and searches, from text
 *
 * Clients put what belongs to a type under the key `params`, as JSON ({"nlist": 128}), or
 * beside it ("nlist": "128"); newer ones do the latter.  Both may come; the pair goes first.
 * Numbers may be quoted.  Keys that nothing here knows are left alone: they belong to others.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/index/index_int.h"

enum { NLIST_DEFAULT = 128 };

#define NO_NUMBER "?"           /* stands for what is neither a number nor a text */

#define BAD_PARAMS "invalid parameter[expected=valid index params][actual=invalid index params]"

static const struct { const char *name; index_type_t type; } s_types[] = {
    { "IVF_FLAT", INDEX_IVF_FLAT }, { "BIN_IVF_FLAT", INDEX_BIN_IVF_FLAT },
    { "IVF_SQ8", INDEX_IVF_SQ8 }, { "IVF_PQ", INDEX_IVF_PQ }, { "SCANN", INDEX_SCANN },
    { "HNSW", INDEX_HNSW }, { "HNSW_SQ", INDEX_HNSW_SQ }, { "DISKANN", INDEX_DISKANN },
    { "SPARSE_INVERTED_INDEX", INDEX_SPARSE_INVERTED }, { "SPARSE_WAND", INDEX_SPARSE_WAND },
};

bool index_type_parse(const char *name, index_type_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (strcmp(s_types[i].name, name) == 0) {
            *ret = s_types[i].type;
            return index_ops_of(*ret) != NULL;
        }
    return false;
}

const char *index_type_name(index_type_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++)
        if (s_types[i].type == type)
            return s_types[i].name;
    return "none";
}

/* --- values --------------------------------------------------------------------------- */

static const char *s_pair(const index_pair_t *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return pairs[i].value;
    return NULL;
}

/* The text of a value in the object; NULL: it is not there. */
static const char *s_in_json(ctx_t *ctx, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        return NULL;
    if (json_is_string(value))
        return ctx_strdup(ctx, json_string_value(value));
    if (json_is_integer(value))
        return ctx_printf(ctx, "%lld", (long long)json_integer_value(value));
    return NO_NUMBER;                           /* refused by who reads it */
}

/* A value by its key; NULL: none, and what is no JSON object has none. */
static const char *s_value(ctx_t *ctx, const index_pair_t *pairs, size_t n, const char *key)
{
    const char *value = s_pair(pairs, n, key), *params = s_pair(pairs, n, "params");
    if (value || !params)
        return value;
    json_t *object = json_loads(params, 0, NULL);
    value = s_in_json(ctx, object, key);
    json_decref(object);
    return value;
}

static bool s_number(const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

/* --- builds --------------------------------------------------------------------------- */

static err_t s_type(ctx_t *ctx, const index_pair_t *pairs, size_t n, index_spec_t *spec)
{
    const char *type = s_pair(pairs, n, "index_type");
    if (!type || !index_type_parse(type, &spec->type))
        return ctx_fail(ctx, ERR_INDEX_TYPE, "index type %s is not built: its field is scanned",
                        type ? type : "(none)");
    bool binary = spec->type == INDEX_BIN_IVF_FLAT;
    if (binary != (spec->cells == CELL_BIN))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s vectors can't build with this index %s: "
                        "invalid parameter", binary ? "float" : "binary", type);
    return OK;
}

static err_t s_metric(ctx_t *ctx, const index_pair_t *pairs, size_t n, index_spec_t *spec)
{
    const char *name = s_pair(pairs, n, "metric_type");
    simd_kernel_t kernel;
    if (!name || !metric_parse(name, &spec->metric))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "metric type %s not found or not supported: "
                        BAD_PARAMS, name ? name : "(none)");
    if (!metric_kernel(spec->metric, spec->cells, &kernel))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s vector index does not support metric type: "
                        "%s: " BAD_PARAMS, spec->cells == CELL_BIN ? "binary" : "float", name);
    return OK;
}

static err_t s_nlist(ctx_t *ctx, const index_pair_t *pairs, size_t n, index_spec_t *spec)
{
    const char *text = s_value(ctx, pairs, n, "nlist");
    int64_t nlist = NLIST_DEFAULT;
    if (text && (!s_number(text, &nlist) || nlist < 1 || nlist > LIMIT_INDEX_LISTS))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "nlist out of range: [1, %d]: " BAD_PARAMS,
                        LIMIT_INDEX_LISTS);
    spec->nlist = (size_t)nlist;
    return OK;
}

err_t index_spec_read(ctx_t *ctx, const index_pair_t *pairs, size_t n, cell_t cells, size_t dim,
                      index_spec_t *ret)
{
    index_spec_t spec = { .cells = cells, .dim = dim };
    TRY(s_type(ctx, pairs, n, &spec));
    TRY(s_metric(ctx, pairs, n, &spec));
    TRY(s_nlist(ctx, pairs, n, &spec));
    *ret = spec;
    return OK;
}

/* --- searches --------------------------------------------------------------------------- */

static err_t s_knob(ctx_t *ctx, const index_pair_t *pairs, size_t n, const char *key, int64_t least,
                    size_t *ret)
{
    const char *text = s_value(ctx, pairs, n, key);
    int64_t value = 0;
    if (!text)
        return OK;
    if (strcmp(text, NO_NUMBER) == 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "failed to search: type conflict in json: param %s "
                        "should be integer", key);
    if (!s_number(text, &value))
        return ctx_fail(ctx, ERR_UNEXPECTED, "failed to search: invalid value in json: %s: %.100s",
                        key, text);
    if (value < least || value > LIMIT_INDEX_LISTS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "failed to search: out of range in json: param %s out "
                        "of range [ %lld,%d ]", key, (long long)least, LIMIT_INDEX_LISTS);
    *ret = (size_t)value;
    return OK;
}

err_t index_knobs_read(ctx_t *ctx, const index_pair_t *pairs, size_t n, index_knobs_t *ret)
{
    index_knobs_t knobs = {0};
    TRY(s_knob(ctx, pairs, n, "nprobe", 1, &knobs.nprobe));
    TRY(s_knob(ctx, pairs, n, "max_empty_result_buckets", 0, &knobs.max_empty_result_buckets));
    *ret = knobs;
    return OK;
}

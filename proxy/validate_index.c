/* validate_index - may this field have that index?
 *
 * The parameters go into the catalog as the client sent them; what an index
 * without a type becomes is decided here.
 */
#include <stdlib.h>

#include "core/segment/field_index.h"
#include "proxy/validate_index.h"

typedef enum { FOR_DENSE = 1, FOR_BINARY = 2, FOR_SPARSE = 4, FOR_SCALAR = 8 } index_use_t;

static const struct { const char *name; int use; } s_types[] = {
    { "AUTOINDEX", FOR_DENSE | FOR_BINARY | FOR_SPARSE | FOR_SCALAR },
    { "FLAT", FOR_DENSE }, { "IVF_FLAT", FOR_DENSE }, { "IVF_SQ8", FOR_DENSE },
    { "IVF_PQ", FOR_DENSE }, { "HNSW", FOR_DENSE }, { "HNSW_SQ", FOR_DENSE },
    { "DISKANN", FOR_DENSE }, { "SCANN", FOR_DENSE }, { "BIN_FLAT", FOR_BINARY },
    { "BIN_IVF_FLAT", FOR_BINARY },
    { "SPARSE_INVERTED_INDEX", FOR_SPARSE }, { "SPARSE_WAND", FOR_SPARSE },
    { "STL_SORT", FOR_SCALAR }, { "Trie", FOR_SCALAR }, { "TRIE", FOR_SCALAR },
    { "INVERTED", FOR_SCALAR }, { "BITMAP", FOR_SCALAR },
};

static int s_use_of(type_t type)
{
    return type == TYPE_BINARY_VECTOR ? FOR_BINARY : type == TYPE_SPARSE_VECTOR ? FOR_SPARSE
         : type_is_vector(type) ? FOR_DENSE : FOR_SCALAR;
}

static err_t s_kind(ctx_t *ctx, const char *index, type_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(s_types); i++) {
        if (strcmp(s_types[i].name, index) != 0)
            continue;
        if (s_types[i].use & s_use_of(type))
            return OK;
        return ctx_fail(ctx, ERR_PARAM_INVALID, "data type %s can't build with this index %s: "
                        "invalid parameter", type_name(type), index);
    }
    return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid parameter[expected=valid index]"
                    "[actual=invalid index type: %s]", index);
}

/* --- metrics ----------------------------------------------------------------------- */

static const char *s_default_metric(type_t type)
{
    return type == TYPE_BINARY_VECTOR ? "HAMMING" : type == TYPE_SPARSE_VECTOR ? "IP" : "COSINE";
}

#define BAD_PARAMS "invalid parameter[expected=valid index params][actual=invalid index params]"

static err_t s_metric(ctx_t *ctx, type_t type, const char *metric)
{
    static const char *const s_dense[] = { "L2", "IP", "COSINE", NULL };
    static const char *const s_binary[] = { "HAMMING", "JACCARD", NULL };
    static const char *const s_sparse[] = { "IP", NULL };
    if (!metric || metric[0] == '\0')
        return ctx_fail(ctx, ERR_PARAM_INVALID,
                        "metric type not set for vector index: " BAD_PARAMS);
    const char *const *fits = type == TYPE_BINARY_VECTOR ? s_binary
                            : type == TYPE_SPARSE_VECTOR ? s_sparse : s_dense;
    for (size_t i = 0; fits[i]; i++)
        if (strcmp(fits[i], metric) == 0)
            return OK;
    if (type == TYPE_SPARSE_VECTOR)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "only IP is the supported metric type for sparse "
                        "index: " BAD_PARAMS);
    return ctx_fail(ctx, ERR_PARAM_INVALID, "%s vector index does not support metric type: %s: "
                    BAD_PARAMS, type == TYPE_BINARY_VECTOR ? "binary" : "float", metric);
}

static size_t s_dim(const Elanus__Field *field)
{
    for (size_t i = 0; i < field->n_type_params; i++)
        if (strcmp(field->type_params[i]->key, "dim") == 0)
            return (size_t)strtoul(field->type_params[i]->value, NULL, 10);
    return 0;
}

/* What the type itself needs, as who builds it will read it; FLAT needs nothing. */
static err_t s_params(ctx_t *ctx, const Elanus__Field *field, const char *index,
                      Elanus__Pair *const *pairs, size_t n)
{
    cell_t cells;
    index_type_t known;
    index_spec_t spec;
    if (!field_index_cells((type_t)field->type, &cells) ||
        !index_type_parse(index, cells, &known))
        return OK;
    index_pair_t *texts = ctx_new(ctx, (n + 1) * sizeof *texts);
    for (size_t i = 0; i < n; i++)
        texts[i] = (index_pair_t){ pairs[i]->key, pairs[i]->value };
    return index_spec_read(ctx, texts, n, cells, s_dim(field), &spec);
}

/* --- scalar fields ------------------------------------------------------------------ */

static err_t s_scalar(ctx_t *ctx, const char *index, const Elanus__Field *field)
{
    type_t type = (type_t)field->type;
    if (strcmp(index, "AUTOINDEX") == 0 && (type == TYPE_JSON || type == TYPE_ARRAY))
        return ctx_fail(ctx, ERR_UNEXPECTED, "create auto index on type:%s is not supported",
                        type_name(type));
    if (strcmp(index, "STL_SORT") == 0 && !type_is_number(type))
        return ctx_fail(ctx, ERR_UNEXPECTED, "STL_SORT are only supported on numeric field");
    if ((strcmp(index, "TRIE") == 0 || strcmp(index, "Trie") == 0) && type != TYPE_VARCHAR)
        return ctx_fail(ctx, ERR_UNEXPECTED, "TRIE are only supported on varchar field");
    if (strcmp(index, "INVERTED") == 0 && type == TYPE_JSON)
        return ctx_fail(ctx, ERR_UNEXPECTED, "INVERTED are not supported on JSON field");
    type_t of = type == TYPE_ARRAY ? (type_t)field->element : type;
    bool bits = of == TYPE_BOOL || type_is_integer(of) || of == TYPE_VARCHAR;
    if (strcmp(index, "BITMAP") == 0 && !bits)
        return ctx_fail(ctx, ERR_UNEXPECTED, "bitmap index are only supported on bool, int, "
                        "string and array field");
    return OK;
}

/* --- all together -------------------------------------------------------------------- */

static Elanus__Pair *s_pair(ctx_t *ctx, const char *key, const char *value)
{
    Elanus__Pair *pair = ctx_new(ctx, sizeof *pair);
    elanus__pair__init(pair);
    pair->key = (char *)key;
    pair->value = (char *)value;
    return pair;
}

/* An automatic index shows its type and its metric and nothing else. */
static err_t s_automatic(ctx_t *ctx, const Elanus__Field *field, Elanus__Pair ***pairs, size_t *n)
{
    Elanus__Pair **out = ctx_new(ctx, 2 * sizeof *out);
    const char *metric = NULL;
    for (size_t i = 0; i < *n; i++) {
        const Elanus__Pair *pair = (*pairs)[i];
        bool nothing = strcmp(pair->key, "index_type") == 0 ||
                       (strcmp(pair->key, "params") == 0 &&
                        (strcmp(pair->value, "{}") == 0 || pair->value[0] == '\0'));
        if (strcmp(pair->key, "metric_type") == 0)
            metric = pair->value;
        else if (!nothing)
            return ctx_fail(ctx, ERR_UNEXPECTED, "only metric type can be passed when use "
                            "AutoIndex");
    }
    type_t type = (type_t)field->type;
    if (type_is_vector(type) && (!metric || metric[0] == '\0'))
        metric = s_default_metric(type);
    *n = 0;
    out[(*n)++] = s_pair(ctx, "index_type", "AUTOINDEX");
    if (type_is_vector(type))
        out[(*n)++] = s_pair(ctx, "metric_type", metric);
    *pairs = out;
    return OK;
}

static const char *s_value(Elanus__Pair *const *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i]->key, key) == 0)
            return pairs[i]->value;
    return NULL;
}

err_t validate_index(ctx_t *ctx, const Elanus__Field *field, Elanus__Pair ***pairs, size_t *n,
                     bool *ret_automatic)
{
    type_t type = (type_t)field->type;
    const char *index = s_value(*pairs, *n, "index_type");
    bool automatic = !index || index[0] == '\0' || strcmp(index, "AUTOINDEX") == 0;
    if (automatic) {
        index = "AUTOINDEX";
        TRY(s_automatic(ctx, field, pairs, n));
    }
    TRY(s_kind(ctx, index, type));
    if (type_is_vector(type)) {
        TRY(s_metric(ctx, type, s_value(*pairs, *n, "metric_type")));
        TRY(s_params(ctx, field, index, *pairs, *n));
    } else {
        TRY(s_scalar(ctx, index, field));
    }
    *ret_automatic = automatic;
    return OK;
}

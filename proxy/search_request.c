/* search_request - see search_request.h */
#include "proxy/search_request.h"

#include <ctype.h>

#include "core/base/limits.h"
#include "core/catalog/catalog.h"
#include "core/segment/field_index.h"
#include "proxy/placeholders.h"
#include "proxy/read_filter.h"

enum { AUTO_EF = 64 };         /* of AUTOINDEX, where Milvus takes max(k, 16) */

/* --- how many vectors ------------------------------------------------------------------ */

static view_t s_group(const Milvus__SearchRequest *request)
{
    if (request->search_input_case != MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP)
        return view_of(NULL, 0);
    return view_of(request->placeholder_group.data, request->placeholder_group.len);
}

static err_t s_nq(ctx_t *ctx, const Milvus__SearchRequest *request, size_t *ret)
{
    int64_t nq = request->nq;
    if (request->search_input_case == MILVUS__SEARCH_REQUEST__SEARCH_INPUT_IDS)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "search by primary keys is not supported: invalid "
                        "parameter");
    if (nq == 0) {
        size_t n = 0;
        TRY(placeholders_count(ctx, s_group(request), &n));
        nq = (int64_t)n;
    }
    if (nq < 1 || nq > LIMIT_TOPK)
        return ctx_fail(ctx, ERR_UNEXPECTED, "nq [%lld] is invalid, nq (number of search vector "
                        "per search request) should be in range [1, %d], but got %lld",
                        (long long)nq, LIMIT_TOPK, (long long)nq);
    *ret = (size_t)nq;
    return OK;
}

/* --- which field ------------------------------------------------------------------------- */

static err_t s_only_vector_field(ctx_t *ctx, const schema_t *schema, const field_t **ret)
{
    const field_t *found = NULL;
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        if (!type_is_vector(field->type))
            continue;
        if (found)
            return ctx_fail(ctx, ERR_UNEXPECTED, "multiple anns_fields exist, please specify a "
                            "anns_field in search_params");
        found = field;
    }
    *ret = found;
    return found ? OK : ctx_fail(ctx, ERR_UNEXPECTED, "anns_field not found in schema");
}

static err_t s_field(ctx_t *ctx, const schema_t *schema, const char *name, const field_t **ret)
{
    const char *failed = "failed to create query plan";
    if (name[0] == '\0')
        return s_only_vector_field(ctx, schema, ret);
    *ret = schema_by_name(schema, name);
    if (!*ret)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s: failed to get field schema by name: "
                        "fieldName(%s) not found: invalid parameter", failed, name);
    if (!type_is_vector((*ret)->type))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s: field (%s) to search is not of vector data "
                        "type: invalid parameter", failed, name);
    return OK;
}

/* --- which metric -------------------------------------------------------------------------- */

static const char *s_upper(ctx_t *ctx, const char *text)
{
    char *upper = ctx_strdup(ctx, text);
    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return upper;
}

static const char *s_index_metric(ctx_t *ctx, const search_target_t *target, const field_t *field)
{
    for (size_t i = 0; i < target->n_indexes; i++) {
        const Elanus__Index *index = target->indexes[i];
        const char *metric = catalog_pair(index->params, index->n_params, "metric_type");
        if (index->field_id == field->id && metric)
            return s_upper(ctx, metric);
    }
    return NULL;
}

static bool s_fits(type_t type, metric_t metric)
{
    if (type == TYPE_BINARY_VECTOR)
        return metric == METRIC_HAMMING || metric == METRIC_JACCARD;
    if (type == TYPE_SPARSE_VECTOR)
        return metric == METRIC_IP;
    return metric == METRIC_L2 || metric == METRIC_IP || metric == METRIC_COSINE;
}

/* The index decides; without one the client, and else what is usual for the type. */
static err_t s_metric(ctx_t *ctx, const search_target_t *target, const field_t *field,
                      const char *asked, const char **ret_name, metric_t *ret)
{
    const char *usual = field->type == TYPE_BINARY_VECTOR ? "HAMMING"
                      : field->type == TYPE_SPARSE_VECTOR ? "IP" : "COSINE";
    const char *wanted = asked[0] ? s_upper(ctx, asked) : NULL;
    const char *metric = s_index_metric(ctx, target, field);
    bool fits = metric_parse(metric ? metric : wanted ? wanted : usual, ret) &&
                s_fits(field->type, *ret);
    if (!fits || (metric && wanted && strcmp(metric, wanted) != 0))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "metric type not match: invalid parameter"
                        "[expected=%s][actual=%s]", metric ? metric : usual,
                        wanted ? wanted : usual);
    *ret_name = metric ? metric : wanted ? wanted : usual;
    return OK;
}

/* --- what only an index reads ---------------------------------------------------------------- */

static const char *s_index_type(const search_target_t *target, const field_t *field)
{
    for (size_t i = 0; i < target->n_indexes; i++)
        if (target->indexes[i]->field_id == field->id)
            return catalog_pair(target->indexes[i]->params, target->indexes[i]->n_params,
                                "index_type");
    return NULL;
}

static Elanus__Pair *s_new_pair(ctx_t *ctx, const index_pair_t *from)
{
    Elanus__Pair *pair = ctx_new(ctx, sizeof *pair);
    elanus__pair__init(pair);
    pair->key = (char *)(uintptr_t)from->key;
    pair->value = (char *)(uintptr_t)from->value;
    return pair;
}

/* Checked where the field's index would read them; with another type they do not count.
 *   k  as index_knobs_read's */
static err_t s_knobs(ctx_t *ctx, const search_target_t *target, const field_t *field,
                     const Milvus__SearchRequest *request, size_t k, Elanus__Search *ask)
{
    const char *name = s_index_type(target, field);
    cell_t cells;
    index_type_t type;
    index_knobs_t knobs;
    size_t n = request->n_search_params;
    index_pair_t *pairs = ctx_new(ctx, (n + 1) * sizeof *pairs);
    if (!name || !field_index_cells(field->type, &cells) || !index_type_parse(name, cells, &type))
        return OK;
    for (size_t i = 0; i < n; i++)
        pairs[i] = (index_pair_t){ request->search_params[i]->key,
                                   request->search_params[i]->value };
    TRY(index_knobs_read(ctx, type, pairs, n, k, &knobs));
    if (type == INDEX_HNSW && strcmp(name, "AUTOINDEX") == 0 && knobs.ef == 0)
        knobs.ef = k < AUTO_EF ? AUTO_EF : k;   /* who leaves it to us wants to find them */
    ask->n_knobs = index_knobs_pairs(ctx, &knobs, &pairs);
    ask->knobs = ctx_new(ctx, (ask->n_knobs + 1) * sizeof *ask->knobs);
    for (size_t i = 0; i < ask->n_knobs; i++)
        ask->knobs[i] = s_new_pair(ctx, &pairs[i]);
    return OK;
}

/* --- groups -------------------------------------------------------------------------------- */

static bool s_can_group(type_t type)
{
    return type == TYPE_BOOL || type_is_integer(type) || type == TYPE_VARCHAR;
}

static err_t s_group_field(ctx_t *ctx, const schema_t *schema, const field_t *vector,
                           const char *name, size_t *ret)
{
    *ret = SIZE_MAX;
    if (name[0] == '\0')
        return OK;
    const field_t *field = schema_by_name(schema, name);
    if (!field)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "groupBy field not found in schema: field not "
                        "found[field=%s]", name);
    if (vector->type == TYPE_BINARY_VECTOR)
        return ctx_fail(ctx, ERR_UNEXPECTED, "not support search_group_by operation based on "
                        "binary vector column");
    if (!s_can_group(field->type))
        return ctx_fail(ctx, ERR_SEGCORE, "unsupported data type %s for group by operator",
                        type_name(field->type));
    *ret = schema_index(schema, field);
    return OK;
}

/* --- what newer clients may add --------------------------------------------------------------- */

static err_t s_refuse_new(ctx_t *ctx, const Milvus__SearchRequest *request)
{
    const char *what = request->function_score && request->function_score->n_functions
                           ? "function_score"
                     : request->n_function_chains ? "function_chains"
                     : request->highlighter ? "highlighter"
                     : request->search_aggregation ? "search_aggregation" : NULL;
    if (what)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s is not supported: invalid parameter", what);
    return OK;
}

/* --- all together ---------------------------------------------------------------------------- */

static int64_t *s_output_ids(ctx_t *ctx, const schema_t *schema, const outputs_t *outputs)
{
    int64_t *ids = ctx_new(ctx, (outputs->n + 1) * sizeof *ids);
    for (size_t i = 0; i < outputs->n; i++)
        ids[i] = schema_at(schema, outputs->fields[i])->id;
    return ids;
}

static err_t s_filter(ctx_t *ctx, const search_target_t *target,
                      const Milvus__SearchRequest *request, Elanus__Search *ask)
{
    read_filter_t filter = {0};
    TRY(read_filter(ctx, target->schema, request->dsl,
                    TEMPLATES(ctx, request->expr_template_values, request->n_expr_template_values),
                    request->n_expr_template_values, &filter));
    ask->filter = filter.text;
    ask->params = filter.params;
    ask->n_params = filter.n_params;
    read_filter_fini(&filter);
    return OK;
}

static err_t s_queries(ctx_t *ctx, const Milvus__SearchRequest *request, const field_t *field,
                       size_t nq, Elanus__Search *ask)
{
    buf_scoped bytes;
    buf_init(&bytes, 0);
    view_t copy = {0};
    TRY(placeholders_read(ctx, s_group(request), field, nq, &bytes));
    TRY(ctx_copy(ctx, buf_view(&bytes), &copy));
    ask->queries = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)copy.ptr,
                                          .len = copy.len };
    ask->nq = (uint32_t)nq;
    return OK;
}

/* A page of an iterator needs one hit more than it shows, to know whether its last score
 * goes on behind it. */
static uint32_t s_topk(const search_args_t *args)
{
    int64_t topk = args->topk + args->offset;
    if (args->iterator_v2)
        topk = args->batch_size < LIMIT_TOPK ? args->batch_size + 1 : LIMIT_TOPK;
    return (uint32_t)topk;
}

static void s_fill(ctx_t *ctx, const search_target_t *target, const field_t *field,
                   const outputs_t *outputs, search_request_t *self)
{
    Elanus__Search *ask = self->ask;
    const search_args_t *args = &self->args;
    ask->field = field->id;
    ask->topk = s_topk(args);
    ask->has_radius = args->has_radius;
    ask->has_range_filter = args->has_range_filter;
    ask->radius = args->radius;
    ask->range_filter = args->range_filter;
    if (self->group_field != SIZE_MAX)
        ask->group_field = schema_at(target->schema, self->group_field)->id;
    ask->group_size = args->group_size;
    ask->strict_group_size = args->strict_group_size;
    ask->outputs = s_output_ids(ctx, target->schema, outputs);
    ask->n_outputs = outputs->n;
}

static err_t s_check_iterator(ctx_t *ctx, const search_target_t *target, const search_args_t *args,
                              size_t nq)
{
    if (args->iterator && args->collection_id > 0 &&
        (uint64_t)args->collection_id != target->collection)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Input collection id is not consistent to "
                        "collectionID in the context,alias or database may have changed: invalid "
                        "parameter");
    if (args->iterator_v2 && nq != 1)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "search iterator does not support processing "
                        "multiple vectors simultaneously: invalid parameter");
    return OK;
}

err_t search_request_read(ctx_t *ctx, const search_target_t *target,
                          const Milvus__SearchRequest *request, bool part,
                          const outputs_t *outputs, search_request_t *ret)
{
    const field_t *field = NULL;
    const char *metric = NULL;
    *ret = (search_request_t){ .ask = ctx_new(ctx, sizeof *ret->ask) };
    elanus__search__init(ret->ask);
    TRY(s_refuse_new(ctx, request));
    TRY(s_nq(ctx, request, &ret->nq));
    TRY(search_args_read(ctx, request->search_params, request->n_search_params, part, &ret->args));
    TRY(s_check_iterator(ctx, target, &ret->args, ret->nq));
    TRY(s_field(ctx, target->schema, ret->args.anns_field, &field));
    ret->field = schema_index(target->schema, field);
    TRY(s_group_field(ctx, target->schema, field, ret->args.group_field, &ret->group_field));
    TRY(s_filter(ctx, target, request, ret->ask));
    TRY(s_metric(ctx, target, field, ret->args.metric, &metric, &ret->metric));
    TRY(search_args_range(ctx, &ret->args, metric, metric_descends(ret->metric)));
    TRY(s_queries(ctx, request, field, ret->nq, ret->ask));
    s_fill(ctx, target, field, outputs, ret);
    bool less = ret->args.has_radius || ret->args.iterator_v2;   /* hits than k may be right */
    TRY(s_knobs(ctx, target, field, request, less ? 0 : ret->ask->topk, ret->ask));
    ret->ask->metric = (char *)(uintptr_t)metric;
    return OK;
}

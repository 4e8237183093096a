/* handle_query - Query: rows by filter or key, and how many there are */
#include "core/base/limits.h"
#include "core/query/merge.h"
#include "proxy/hits.h"
#include "proxy/read_filter.h"
#include "proxy/read_view.h"
#include "proxy/results.h"
#include "proxy/rows_answer.h"
#include "proxy/search_args.h"
#include "proxy/validate.h"

typedef struct query_job {
    outputs_t outputs;
    bool count, limited, iterator;
    int64_t limit, offset;
    const char *collection;     /* as the client calls it */
} query_job_t;

static read_finish_fn s_finish;

/* --- the question -------------------------------------------------------------------- */

static err_t s_iterator(ctx_t *ctx, const Milvus__QueryRequest *request,
                        const Elanus__Collection *coll, query_job_t *job)
{
    const char *id = validate_param(request->query_params, request->n_query_params,
                                    "collection_id");
    int64_t number = 0;
    job->iterator = search_args_flag(request->query_params, request->n_query_params, "iterator");
    if (!id)
        return OK;
    if (!validate_number(id, &number))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "value for collection id is invalid: invalid "
                        "parameter[expected=int value for collection_id][actual=%s]", id);
    if (number > 0 && (uint64_t)number != coll->id)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Input collection id is not consistent to "
                        "collectionID in the context,alias or database may have changed: invalid "
                        "parameter");
    return OK;
}

/* What newer clients may ask and nobody here does: an answer that ignored it would be wrong. */
static err_t s_refuse_new(ctx_t *ctx, const Milvus__QueryRequest *request)
{
    static const char *const s_unknown[] = { "order_by_fields", "group_by_fields" };
    for (size_t i = 0; i < ARRAY_LEN(s_unknown); i++) {
        const char *text = validate_param(request->query_params, request->n_query_params,
                                          s_unknown[i]);
        if (text && text[0])
            return ctx_fail(ctx, ERR_PARAM_INVALID, "query param %s is not supported: invalid "
                            "parameter", s_unknown[i]);
    }
    return OK;
}

static err_t s_filter(ctx_t *ctx, schema_t *schema, const Milvus__QueryRequest *request,
                      const query_job_t *job, Elanus__Query *ask)
{
    read_filter_t filter = {0};
    TRY(read_filter(ctx, schema, request->expr,
                    TEMPLATES(ctx, request->expr_template_values, request->n_expr_template_values),
                    request->n_expr_template_values, &filter));
    bool all = expr_is_always_true(filter.plan);
    ask->filter = filter.text;
    ask->params = filter.params;
    ask->n_params = filter.n_params;
    read_filter_fini(&filter);
    if (all && !job->count && !job->limited)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "empty expression should be used with limit: "
                        "invalid parameter");
    return OK;
}

static err_t s_window(ctx_t *ctx, const Milvus__QueryRequest *request, query_job_t *job,
                      Elanus__Query *ask)
{
    TRY(search_args_window(ctx, request->query_params, request->n_query_params, &job->limited,
                           &job->limit, &job->offset));
    if (job->count && job->limited)
        return ctx_fail(ctx, ERR_UNEXPECTED, "count entities with pagination is not allowed");
    ask->limit = (uint64_t)(job->limit + job->offset);
    ask->count = job->count;
    return OK;
}

static err_t s_outputs(ctx_t *ctx, const schema_t *schema, const Milvus__QueryRequest *request,
                       query_job_t *job, Elanus__Query *ask)
{
    job->count = outputs_are_count(ctx, request->output_fields, request->n_output_fields);
    if (job->count)
        return OK;
    TRY(outputs_read(ctx, schema, request->output_fields, request->n_output_fields, true,
                     &job->outputs));
    ask->outputs = ctx_new(ctx, (job->outputs.n + 1) * sizeof *ask->outputs);
    for (size_t i = 0; i < job->outputs.n; i++)
        ask->outputs[i] = schema_at(schema, job->outputs.fields[i])->id;
    ask->n_outputs = job->outputs.n;
    return OK;
}

static err_t s_view(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                    const event_t *ev, const query_job_t *job, Elanus__ReadView *view)
{
    const Milvus__QueryRequest *request = (const void *)call->request;
    read_ask_t ask = {
        .guarantee_ts = request->guarantee_timestamp, .level = (int)request->consistency_level,
        .use_default = request->use_default_consistency, .collection_level = coll->consistency,
        .iterator = job->iterator, .wall_ms = ev->wall_ms,
    };
    TRY(proxy_read_partitions(self, call, coll, request->partition_names,
                              request->n_partition_names, view));
    view->ignore_growing = search_args_flag(request->query_params, request->n_query_params,
                                            "ignore_growing");
    return read_view(call->ctx, &ask, view);
}

static err_t s_start(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__QueryRequest *request = (const void *)call->request;
    ctx_t *ctx = call->ctx;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, request->collection_name, &coll));
    schema_t *schema = catalog_schema(self->catalog, coll->id);
    query_job_t *job = ctx_new(ctx, sizeof *job);
    Elanus__Query *ask = ctx_new(ctx, sizeof *ask);
    elanus__query__init(ask);
    ask->view = ctx_new(ctx, sizeof *ask->view);
    elanus__read_view__init(ask->view);
    job->collection = request->collection_name;
    TRY(s_refuse_new(ctx, request));
    TRY(s_iterator(ctx, request, coll, job));
    TRY(s_outputs(ctx, schema, request, job, ask));
    TRY(s_window(ctx, request, job, ask));
    TRY(s_filter(ctx, schema, request, job, ask));
    TRY(s_view(self, call, coll, ev, job, ask->view));
    proxy_read_t *read = proxy_read_new(self, call, coll, ELANUS__METHOD__METHOD_QUERY, 1);
    read->parts[0].ask = (ProtobufCMessage *)ask;
    read->parts[0].view = ask->view;
    read->finish = s_finish;
    read->arg = job;
    proxy_read_start(self, read, ev, act);
    return OK;
}

void handle_query(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    err_t err = s_start(self, call, ev, act);
    if (err != OK)
        proxy_refuse(self, call, ev, act, err);
}

/* --- the answer --------------------------------------------------------------------------- */

static err_t s_rows(ctx_t *ctx, const proxy_read_t *read, const rows_answer_t *rows,
                    Milvus__QueryResults *response)
{
    const query_job_t *job = read->arg;
    const outputs_t *outputs = &job->outputs;
    response->fields_data = ctx_new(ctx, (outputs->n + 1) * sizeof(void *));
    for (size_t i = 0; i < outputs->n; i++) {
        const field_t *field = schema_at(read->schema, outputs->fields[i]);
        TRY(results_dynamic(ctx, field, &rows->outputs[i], outputs->keys,
                            field->dynamic ? outputs->n_keys : 0, &response->fields_data[i]));
        response->n_fields_data++;
    }
    response->output_fields = outputs->names;
    response->n_output_fields = outputs->n_names;
    return OK;
}

static err_t s_answer(ctx_t *ctx, proxy_read_t *read, const rows_answer_t *rows)
{
    static const char *s_count_name = "count(*)";
    const query_job_t *job = read->arg;
    Milvus__QueryResults response = MILVUS__QUERY_RESULTS__INIT;
    if (job->count) {
        response.fields_data = ctx_new(ctx, sizeof(void *));
        response.fields_data[response.n_fields_data++] = results_count(ctx, rows->count);
        response.output_fields = &s_count_name;
        response.n_output_fields = 1;
    } else {
        TRY(s_rows(ctx, read, rows, &response));
    }
    response.status = proxy_status_new(ctx, OK, NULL);
    response.collection_name = job->collection;
    response.primary_field_name = schema_pk(read->schema)->name;
    if (job->iterator)
        response.session_ts = proxy_read_ts(&read->parts[0]);
    proxy_pack(read->call, &response);
    return OK;
}

static err_t s_finish(ctx_t *ctx, proxy_read_t *read)
{
    const query_job_t *job = read->arg;
    merge_rows_t how = {
        .schema = read->schema, .offset = (size_t)job->offset, .limit = (size_t)job->limit,
        .outputs = job->outputs.fields, .n_outputs = job->outputs.n,
        .most_bytes = LIMIT_RESULT_BYTES,
    };
    rows_answer_t rows;
    err_t err = rows_answer_read(ctx, &how, &read->parts[0], &rows);
    if (err == OK)
        err = s_answer(ctx, read, &rows);
    rows_answer_fini(&rows);
    return err;
}

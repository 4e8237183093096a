/* handle_insert - Insert and Upsert: from the request to a write, and back to its result */
#include "core/base/limits.h"
#include "proxy/proxy_write.h"
#include "proxy/results.h"
#include "proxy/validate.h"

/* What the two requests have in common. */
typedef struct insert_ask {
    rows_kind_t kind;
    const char *collection, *partition;
    uint32_t n_rows;
    uint64_t schema_timestamp;
    bool has_namespace, partial;
} insert_ask_t;

static insert_ask_t s_ask(const proxy_call_t *call)
{
    if (call->request->descriptor == &milvus__insert_request__descriptor) {
        const Milvus__InsertRequest *r = (const void *)call->request;
        return (insert_ask_t){
            .kind = ROWS_INSERT, .collection = r->collection_name, .partition = r->partition_name,
            .n_rows = r->num_rows, .schema_timestamp = r->schema_timestamp,
            .has_namespace =
                r->has_namespace_case != MILVUS__INSERT_REQUEST__HAS_NAMESPACE__NOT_SET,
        };
    }
    const Milvus__UpsertRequest *r = (const void *)call->request;
    return (insert_ask_t){
        .kind = ROWS_UPSERT, .collection = r->collection_name, .partition = r->partition_name,
        .n_rows = r->num_rows, .schema_timestamp = r->schema_timestamp,
        .has_namespace = r->has_namespace_case != MILVUS__UPSERT_REQUEST__HAS_NAMESPACE__NOT_SET,
        .partial = r->partial_update || r->n_field_ops > 0,
    };
}

/* --- what can be refused before the rows are looked at ---------------------------------- */

static err_t s_check(proxy_node_t *self, proxy_call_t *call, const insert_ask_t *ask,
                     const Elanus__Collection **ret)
{
    ctx_t *ctx = call->ctx;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, ask->collection, &coll));
    if (ask->schema_timestamp != 0 && ask->schema_timestamp != coll->update_ts)
        return ctx_fail(ctx, ERR_SCHEMA_MISMATCH, "collection schema mismatch[collection=%s]",
                        ask->collection);
    if (ask->has_namespace)
        return ctx_fail(ctx, ERR_OPERATION_UNSUPPORTED, "namespaces are not supported by this "
                        "server: unsupported operation");
    if (ask->partial)
        return ctx_fail(ctx, ERR_OPERATION_UNSUPPORTED, "partial updates are not supported by this "
                        "server, send whole rows: unsupported operation");
    *ret = coll;
    return OK;
}

/* The partitions rows may go to: the named one, or all when a partition key decides. */
static err_t s_partitions(proxy_call_t *call, const Elanus__Collection *coll, const char *name,
                          const schema_t *schema, write_plan_t *plan)
{
    ctx_t *ctx = call->ctx;
    bool keyed = schema_partition_key(schema) != NULL;
    if (keyed && name[0])
        return ctx_fail(ctx, ERR_UNEXPECTED, "not support manually specifying the partition names "
                        "if partition key mode is used");
    size_t n = keyed ? coll->n_partitions : 1;
    int64_t *ids = ctx_new(ctx, n * sizeof *ids);
    for (size_t i = 0; keyed && i < n; i++)
        ids[i] = (int64_t)coll->partitions[i]->id;      /* in the order of their numbers */
    if (!keyed) {
        const Elanus__Partition *partition = NULL;
        name = name[0] ? name : "_default";
        TRY(validate_partition_name(ctx, name));
        TRY(proxy_partition(call, coll, name, &partition));
        ids[0] = (int64_t)partition->id;
        plan->delete_partition = ids[0];
    }
    plan->partitions = ids;
    plan->n_partitions = n;
    return OK;
}

/* --- reading the rows: in a step or a job ----------------------------------------------- */

static err_t s_prepare(proxy_write_t *w)
{
    ctx_t *ctx = w->call->ctx;
    rows_input_t in = { .kind = w->kind, .schema = w->plan.schema };
    if (w->kind == ROWS_INSERT) {
        const Milvus__InsertRequest *r = (const void *)w->call->request;
        in.data = r->fields_data, in.n_data = r->n_fields_data, in.n_rows = r->num_rows;
    } else {
        const Milvus__UpsertRequest *r = (const void *)w->call->request;
        in.data = r->fields_data, in.n_data = r->n_fields_data, in.n_rows = r->num_rows;
    }
    TRY(rows_read(ctx, &in, &w->rows));
    if (schema_pk(w->plan.schema)->auto_id) {
        if (w->n_ids < w->rows.n)
            return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%zu rows at once are too many: parameter "
                            "too large", w->rows.n);
        TRY(rows_number(ctx, w->plan.schema, &w->rows, w->first_id));
    }
    return write_plan_rows(ctx, &w->plan, &w->rows, w->kind == ROWS_UPSERT);
}

/* --- the result ------------------------------------------------------------------------- */

static err_t s_result(const proxy_write_t *w, Milvus__MutationResult *result)
{
    ctx_t *ctx = w->call->ctx;
    const schema_t *schema = w->plan.schema;
    size_t n = w->rows.n;
    TRY(results_ids(ctx, &w->rows.columns[schema_index(schema, schema_pk(schema))], &result->ids));
    result->succ_index = ctx_try(ctx, n * sizeof *result->succ_index);
    if (!result->succ_index)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the answer");
    for (size_t i = 0; i < n; i++)
        result->succ_index[i] = (uint32_t)i;
    result->n_succ_index = n;
    result->insert_cnt = (int64_t)n;
    if (w->kind == ROWS_UPSERT)
        result->upsert_cnt = result->delete_cnt = (int64_t)n;
    result->timestamp = w->ts;
    return OK;
}

static void s_done(proxy_node_t *self, proxy_write_t *w, actions_t *act)
{
    Milvus__MutationResult result = MILVUS__MUTATION_RESULT__INIT;
    result.status = proxy_status_new(w->call->ctx, OK, NULL);
    w->call->vectors = w->rows.n;
    if (s_result(w, &result) == OK)
        proxy_answer(self, w->call, act, &result);
    else
        proxy_status(self, w->call, act, w->call->ctx->err, w->call->ctx->text);
}

/* --- the way ---------------------------------------------------------------------------- */

static void s_numbered(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act, err_t err,
                       uint64_t first)
{
    proxy_write_t *w = arg;
    w->first_id = first;
    (void)metrics_took_ms(self->count.apply_pk, w->numbering_us);
    if (err == OK)
        proxy_write_start(self, w, ev, act);
    else
        proxy_write_fail(self, w, act, err, "service unavailable: internal: the coordinator gave "
                         "no ids in time");
}

/* Keys are taken before the rows are read.  A request without a byte for each row that it claims
 * is refused when they are, so it gets no keys. */
static void s_number(proxy_node_t *self, proxy_write_t *w, uint32_t n_rows, const event_t *ev,
                     actions_t *act)
{
    bool automatic = schema_pk(w->plan.schema)->auto_id;
    if (!automatic || n_rows == 0 || n_rows > w->call->message.len || n_rows > LIMIT_IDS) {
        proxy_write_start(self, w, ev, act);
        return;
    }
    w->n_ids = n_rows;
    w->numbering_us = metrics_began(self->count.to);
    proxy_ids(self, ev, act, n_rows, w->give_up_ms, s_numbered, w);
}

static void s_insert(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    insert_ask_t ask = s_ask(call);
    const Elanus__Collection *coll = NULL;
    write_plan_t plan = { .delete_partition = WRITE_ALL_PARTITIONS };
    err_t err = s_check(self, call, &ask, &coll);
    if (err == OK)
        err = s_partitions(call, coll, ask.partition, catalog_schema(self->catalog, coll->id),
                           &plan);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    proxy_write_t *w = proxy_write_new(self, call, coll, ev, act);
    w->plan.partitions = plan.partitions;
    w->plan.n_partitions = plan.n_partitions;
    w->plan.delete_partition = plan.delete_partition;
    w->kind = ask.kind;
    w->prepare = s_prepare;
    w->done = s_done;
    s_number(self, w, ask.n_rows, ev, act);
}

void handle_insert(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    s_insert(self, call, ev, act);
}

void handle_upsert(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    s_insert(self, call, ev, act);
}

/* handle_delete - Delete: by keys that the expression names, or by those of rows it takes
 *
 *     "id in [1, 2]", "id == 7"     the keys go to their shards; nobody looks whether they are
 *                                   there, and every one of them counts
 *     any other expression          the rows are found first (proxy_find_pks), then deleted by
 *                                   key; what was written meanwhile is not
 *
 * Expressions with a million keys are parsed on a compute thread.
 */
#include "core/base/limits.h"
#include "proxy/proxy_write.h"
#include "proxy/read_filter.h"
#include "proxy/validate.h"

enum { STEP_BYTES = 64 << 10 }; /* expressions up to this size are parsed in the step */

typedef struct delete {
    proxy_node_t *node;
    proxy_call_t *call;
    uint64_t collection;
    schema_t *schema;           /* held */
    int64_t partition;
    const char *partition_name; /* NULL: all */
    read_filter_t filter;
    column_t keys;
} delete_t;

static const Milvus__DeleteRequest *s_request(const proxy_call_t *call)
{
    return (const void *)call->request;
}

static void s_free(delete_t *d)
{
    read_filter_fini(&d->filter);
    schema_unref(&d->schema);
    mem_free(d);
}

static void s_refuse(delete_t *d, const event_t *ev, actions_t *act, err_t err)
{
    proxy_refuse(d->node, d->call, ev, act, err);
    s_free(d);
}

/* --- what can be refused before the expression is read ---------------------------------- */

static err_t s_check(proxy_node_t *self, proxy_call_t *call, delete_t *d)
{
    ctx_t *ctx = call->ctx;
    const Milvus__DeleteRequest *r = s_request(call);
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, r->collection_name, &coll));
    if (r->has_namespace_case != MILVUS__DELETE_REQUEST__HAS_NAMESPACE__NOT_SET)
        return ctx_fail(ctx, ERR_OPERATION_UNSUPPORTED, "namespaces are not supported by this "
                        "server: unsupported operation");
    d->collection = coll->id;
    d->schema = schema_ref(catalog_schema(self->catalog, coll->id));
    d->partition = WRITE_ALL_PARTITIONS;
    if (r->partition_name[0] && schema_partition_key(d->schema))
        return ctx_fail(ctx, ERR_UNEXPECTED, "not support manually specifying the partition names "
                        "if partition key mode is used");
    if (r->partition_name[0]) {
        const Elanus__Partition *partition = NULL;
        TRY(validate_partition_name(ctx, r->partition_name));
        TRY(proxy_partition(call, coll, r->partition_name, &partition));
        d->partition = (int64_t)partition->id;
        d->partition_name = r->partition_name;
    }
    if (!r->expr[0])
        return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid expression: invalid parameter"
                        "[expected=valid expr][actual=empty expr]");
    return OK;
}

/* --- the expression --------------------------------------------------------------------- */

/* Keys of the expression as a column. */
static err_t s_keys(ctx_t *ctx, const schema_t *schema, const expr_pks_t *pks, column_t *ret)
{
    column_t c = { .type = pks->type, .n = pks->n, .width = type_width(pks->type, 0) };
    check(pks->type == schema_pk(schema)->type);
    if (pks->type == TYPE_INT64) {
        c.cells = (const uint8_t *)pks->ints;
        *ret = c;
        return OK;
    }
    size_t total = 0;
    for (size_t i = 0; i < pks->n; i++)
        total += pks->strings[i].len;
    uint64_t *offsets = ctx_try(ctx, (pks->n + 1) * sizeof *offsets);
    uint8_t *cells = offsets ? ctx_try(ctx, total + 1) : NULL;
    if (!cells)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu keys to delete", pks->n);
    for (size_t i = 0; i < pks->n; i++) {
        if (pks->strings[i].len)
            memcpy(cells + offsets[i], pks->strings[i].ptr, pks->strings[i].len);
        offsets[i + 1] = offsets[i] + pks->strings[i].len;
    }
    c.cells = cells;
    c.offsets = offsets;
    *ret = c;
    return OK;
}

/* The read side says "query plan" of every expression. */
static err_t s_say_delete(ctx_t *ctx)
{
    static const char s_query[] = "failed to create query plan: ";
    if (strncmp(ctx->text, s_query, sizeof s_query - 1) != 0)
        return ctx->err;
    const char *rest = ctx_strdup(ctx, ctx->text + sizeof s_query - 1);
    return ctx_fail(ctx, ctx->err, "failed to create delete plan: %s", rest);
}

/* A job, or part of a step. */
static err_t s_parse(ctx_t *job, void *arg)
{
    delete_t *d = arg;
    ctx_t *ctx = d->call->ctx;
    const Milvus__DeleteRequest *r = s_request(d->call);
    size_t n = r->n_expr_template_values;
    (void)job;
    if (read_filter(ctx, d->schema, r->expr, TEMPLATES(ctx, r->expr_template_values, n), n,
                    &d->filter) != OK)
        return s_say_delete(ctx);
    if (expr_is_always_true(d->filter.plan))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "delete plan can't be empty or always true : %s: "
                        "invalid parameter", r->expr);
    expr_pks_t pks;
    if (expr_pk_list(d->filter.plan, &pks))
        return s_keys(ctx, d->schema, &pks, &d->keys);
    return OK;
}

/* --- the write -------------------------------------------------------------------------- */

static err_t s_prepare(proxy_write_t *w)
{
    delete_t *d = w->arg;
    return d->keys.n ? write_plan_deletes(w->call->ctx, &w->plan, &d->keys) : OK;
}

/* No ids: MilvusClient would return them in place of the count. */
static void s_done(proxy_node_t *self, proxy_write_t *w, actions_t *act)
{
    delete_t *d = w->arg;
    Milvus__MutationResult result = MILVUS__MUTATION_RESULT__INIT;
    result.status = proxy_status_new(w->call->ctx, OK, NULL);
    result.delete_cnt = (int64_t)d->keys.n;
    w->call->vectors = d->keys.n;
    result.timestamp = w->ts ? w->ts : self->last_ts;
    proxy_answer(self, w->call, act, &result);
}

static void s_forget(proxy_write_t *w)
{
    s_free(w->arg);
}

static void s_write(proxy_node_t *self, delete_t *d, const event_t *ev, actions_t *act)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, d->collection);
    if (!coll) {                                /* it was dropped while we looked */
        s_refuse(d, ev, act, ctx_fail(d->call->ctx, ERR_COLLECTION_NOT_FOUND,
                                      "collection not found[database=%s][collection=%s]",
                                      d->call->db, s_request(d->call)->collection_name));
        return;
    }
    proxy_write_t *w = proxy_write_new(self, d->call, coll, ev, act);
    w->plan.delete_partition = d->partition;
    w->prepare = s_prepare;
    w->done = s_done;
    w->forget = s_forget;
    w->arg = d;
    proxy_write_start(self, w, ev, act);
}

static void s_found(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    void *arg, err_t err, const column_t *keys)
{
    delete_t *d = arg;
    (void)call;
    if (err != OK) {
        s_refuse(d, ev, act, err);
        return;
    }
    d->keys = *keys;
    s_write(self, d, ev, act);
}

static void s_parsed(proxy_node_t *self, delete_t *d, const event_t *ev, actions_t *act, err_t err)
{
    expr_pks_t pks;
    if (err != OK) {
        s_refuse(d, ev, act, err);
    } else if (expr_pk_list(d->filter.plan, &pks)) {
        s_write(self, d, ev, act);
    } else {
        proxy_find_t find = {
            .coll = catalog_collection_by_id(self->catalog, d->collection),
            .filter = &d->filter, .partition = d->partition_name,
            .consistency = (int)s_request(d->call)->consistency_level,
        };
        if (find.coll)
            proxy_find_pks(self, d->call, ev, act, &find, s_found, d);
        else
            s_write(self, d, ev, act);          /* says that it is gone */
    }
}

static void s_job_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    s_parsed(node, arg, ev, act, ev->err);
}

void handle_delete(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    delete_t *d = mem_new(sizeof *d);
    *d = (delete_t){ .node = self, .call = call };
    err_t err = s_check(self, call, d);
    if (err != OK)
        s_refuse(d, ev, act, err);
    else if (call->message.len > STEP_BYTES)
        act_compute(act, s_parse, d, wait_once(self->member.waits, act, s_job_ended, d));
    else
        s_parsed(self, d, ev, act, s_parse(ev->ctx, d));
}

/* proxy_find - the primary keys of the rows that a filter takes; see proxy_int.h
 *
 * A Strong read without output fields.  What the client said of consistency does
 * not matter: rows it has seen written have to be found.
 */
#include "core/base/limits.h"
#include "proxy/proxy_read.h"
#include "proxy/read_filter.h"
#include "proxy/rows_answer.h"

typedef struct find_job {
    proxy_found_fn *then;
    void *arg;
    column_t keys;
} find_job_t;

/* The keys outlive what was merged. */
static err_t s_keep(ctx_t *ctx, const column_t *keys, column_t *ret)
{
    view_t cells = {0}, offsets = {0};
    *ret = *keys;
    size_t bytes = keys->width ? keys->n * keys->width : (size_t)keys->offsets[keys->n];
    TRY(ctx_copy(ctx, view_of(keys->cells, bytes), &cells));
    ret->cells = cells.ptr;
    if (keys->width)
        return OK;
    TRY(ctx_copy(ctx, view_of(keys->offsets, (keys->n + 1) * sizeof(uint64_t)), &offsets));
    ret->offsets = (const uint64_t *)(const void *)offsets.ptr;
    return OK;
}

static err_t s_finish(ctx_t *ctx, proxy_read_t *read)
{
    find_job_t *job = read->arg;
    merge_rows_t how = { .schema = read->schema, .most_bytes = LIMIT_RESULT_BYTES };
    rows_answer_t rows;
    err_t err = rows_answer_read(ctx, &how, &read->parts[0], &rows);
    if (err == OK)
        err = s_keep(ctx, &rows.pks, &job->keys);
    rows_answer_fini(&rows);
    return err;
}

static void s_done(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    find_job_t *job = read->arg;
    if (read->err != OK)
        (void)ctx_fail(read->call->ctx, read->err, "%s", read->text);
    job->then(self, read->call, ev, act, job->arg, read->err,
              read->err == OK ? &job->keys : NULL);
}

void proxy_find_pks(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    const proxy_find_t *find, proxy_found_fn *then, void *arg)
{
    find_job_t *job = ctx_new(call->ctx, sizeof *job);
    Elanus__Query *ask = ctx_new(call->ctx, sizeof *ask);
    elanus__query__init(ask);
    ask->view = ctx_new(call->ctx, sizeof *ask->view);
    elanus__read_view__init(ask->view);
    *job = (find_job_t){ .then = then, .arg = arg };
    err_t err = proxy_read_partitions(self, call, find->coll, &find->partition,
                                      find->partition && find->partition[0] ? 1 : 0, ask->view);
    if (err != OK) {
        then(self, call, ev, act, arg, err, NULL);
        return;
    }
    ask->view->strong = true;
    ask->filter = find->filter->text;
    ask->params = find->filter->params;
    ask->n_params = find->filter->n_params;
    proxy_read_t *read = proxy_read_new(self, call, find->coll, ELANUS__METHOD__METHOD_QUERY, 1);
    read->parts[0].ask = (ProtobufCMessage *)ask;
    read->parts[0].view = ask->view;
    read->finish = s_finish;
    read->done = s_done;
    read->arg = job;
    proxy_read_start(self, read, ev, act);
}

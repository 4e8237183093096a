/* handle_search - Search
 *
 * A page of the newer search iterator (`search_iter_v2`) is a search that begins
 * behind the last score of the page before.  The client keeps that score and
 * nothing else, so a page must not end between two hits of one score: it ends
 * before them, and when all its hits have one score, it holds all of those.
 * Then nothing comes twice or is left out, and no proxy has to remember anything.
 */
#include "core/base/limits.h"
#include "proxy/hits.h"
#include "proxy/read_view.h"
#include "proxy/results.h"
#include "proxy/search_request.h"

typedef struct search_job {
    search_request_t request;
    outputs_t outputs;
    const char *collection;     /* as the client calls it */
    bool more;                  /* the page has one score only: ask for all of it */
} search_job_t;

static read_finish_fn s_finish;
static read_done_fn s_done;

static err_t s_view(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                    const event_t *ev, const search_args_t *args, Elanus__ReadView *view)
{
    const Milvus__SearchRequest *request = (const void *)call->request;
    read_ask_t ask = {
        .guarantee_ts = request->guarantee_timestamp, .level = (int)request->consistency_level,
        .use_default = request->use_default_consistency, .collection_level = coll->consistency,
        .iterator = args->iterator || args->iterator_v2, .wall_ms = ev->wall_ms,
    };
    TRY(proxy_read_partitions(self, call, coll, request->partition_names,
                              request->n_partition_names, view));
    view->ignore_growing = args->ignore_growing;
    return read_view(call->ctx, &ask, view);
}

static void s_ask(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                  search_job_t *job, Elanus__ReadView *view, const event_t *ev, actions_t *act)
{
    proxy_read_t *read = proxy_read_new(self, call, coll, ELANUS__METHOD__METHOD_SEARCH, 1);
    job->request.ask->view = view;
    read->parts[0].ask = (ProtobufCMessage *)job->request.ask;
    read->parts[0].view = view;
    read->finish = s_finish;
    read->done = s_done;
    read->arg = job;
    call->vectors = job->request.nq;
    proxy_read_start(self, read, ev, act);
}

static err_t s_start(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__SearchRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, request->collection_name, &coll));
    const Elanus__Index **indexes = NULL;
    search_job_t *job = ctx_new(call->ctx, sizeof *job);
    Elanus__ReadView *view = ctx_new(call->ctx, sizeof *view);
    elanus__read_view__init(view);
    job->collection = request->collection_name;
    search_target_t target = { .collection = coll->id,
                               .schema = catalog_schema(self->catalog, coll->id) };
    target.n_indexes = catalog_indexes_of(self->catalog, call->ctx, coll->id, &indexes);
    target.indexes = indexes;
    TRY(outputs_read(call->ctx, target.schema, request->output_fields, request->n_output_fields,
                     false, &job->outputs));
    TRY(search_request_read(call->ctx, &target, request, false, &job->outputs, &job->request));
    TRY(s_view(self, call, coll, ev, &job->request.args, view));
    s_ask(self, call, coll, job, view, ev, act);
    return OK;
}

void handle_search(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    err_t err = s_start(self, call, ev, act);
    if (err != OK)
        proxy_refuse(self, call, ev, act, err);
}

/* --- the answer ------------------------------------------------------------------------ */

/* How many hits a page shows; 0 with `more` when it has to be asked for anew. */
static size_t s_page(search_job_t *job, const hits_t *hits)
{
    size_t batch = (size_t)job->request.args.batch_size, n = hits->n;
    if (n <= batch)
        return n;
    size_t first = batch;                       /* of the hits that share the last one's score */
    while (first > 0 && hits->scores[first - 1] == hits->scores[batch])
        first--;
    if (first > 0)
        return first;
    job->more = job->request.ask->topk < LIMIT_TOPK && hits->scores[n - 1] == hits->scores[0];
    for (first = 0; first < n && hits->scores[first] == hits->scores[0]; first++)
        ;
    return job->more ? 0 : first;
}

static void s_iterator(ctx_t *ctx, const search_job_t *job, const hits_t *hits,
                       Schema__SearchResultData *data)
{
    Schema__SearchIteratorV2Results *page = ctx_new(ctx, sizeof *page);
    schema__search_iterator_v2_results__init(page);
    const search_args_t *args = &job->request.args;
    page->token = args->token[0] ? args->token
                                 : ctx_printf(ctx, "%016llx", (unsigned long long)(uintptr_t)job);
    page->last_bound = hits->n ? hits->scores[hits->n - 1] : args->last_bound;
    data->has_search_iterator_v2_results_case =
        SCHEMA__SEARCH_RESULT_DATA__HAS_SEARCH_ITERATOR_V2_RESULTS_SEARCH_ITERATOR_V2_RESULTS;
    data->search_iterator_v2_results = page;
}

static err_t s_answer(ctx_t *ctx, proxy_read_t *read, hits_t *hits)
{
    search_job_t *job = read->arg;
    const search_request_t *request = &job->request;
    Milvus__SearchResults response = MILVUS__SEARCH_RESULTS__INIT;
    const field_t *group = request->group_field == SIZE_MAX
                               ? NULL : schema_at(read->schema, request->group_field);
    if (request->args.iterator_v2)
        hits_cut(hits, s_page(job, hits));
    if (job->more)
        return OK;
    TRY(hits_answer(ctx, hits, read->schema, &job->outputs, group, &response.results));
    if (request->args.iterator_v2)
        s_iterator(ctx, job, hits, response.results);
    if (request->args.iterator_v2 || request->args.iterator)
        response.session_ts = proxy_read_ts(&read->parts[0]);
    results_round(hits->scores, hits->n, request->args.round_decimal);
    response.status = proxy_status_new(ctx, OK, NULL);
    response.collection_name = job->collection;
    proxy_pack(read->call, &response);
    return OK;
}

static err_t s_finish(ctx_t *ctx, proxy_read_t *read)
{
    const search_job_t *job = read->arg;
    const search_request_t *request = &job->request;
    merge_search_t how = {
        .schema = read->schema, .metric = request->metric, .nq = request->nq,
        .offset = (size_t)request->args.offset, .group_field = request->group_field,
        .limit = request->ask->topk - (size_t)request->args.offset,
        .group_size = request->args.group_size,
        .strict_group_size = request->args.strict_group_size,
        .outputs = job->outputs.fields, .n_outputs = job->outputs.n,
        .most_bytes = LIMIT_RESULT_BYTES,
    };
    hits_t hits;
    err_t err = hits_read(ctx, &how, &read->parts[0], &hits);
    if (err == OK)
        err = s_answer(ctx, read, &hits);
    hits_fini(&hits);
    return err;
}

/* Ask again for all hits of one score, if that is what the page has to be. */
static void s_done(proxy_node_t *self, proxy_read_t *read, const event_t *ev, actions_t *act)
{
    search_job_t *job = read->arg;
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, read->collection);
    if (read->err != OK || !job->more || !coll) {
        if (read->err == OK && job->more)
            proxy_status(self, read->call, act, ERR_COLLECTION_NOT_FOUND, NULL);
        else
            proxy_read_answer(self, read, ev, act);
        return;
    }
    job->more = false;
    job->request.ask->topk = LIMIT_TOPK;
    Elanus__ReadView *view = read->parts[0].view;
    view->read_ts = view->guarantee_ts = proxy_read_ts(&read->parts[0]);
    view->strong = false;
    s_ask(self, read->call, coll, job, view, ev, act);
}

/* handle_hybrid - HybridSearch
 *
 * Its searches run at the same time, each as a part of one read.  Each brings the
 * output fields of its own hits along: that costs bytes for hits that the
 * ranking drops, and saves a second round of questions, in which a row might
 * have vanished meanwhile.
 */
#include "core/base/limits.h"
#include "proxy/hits.h"
#include "proxy/ranker.h"
#include "proxy/read_view.h"
#include "proxy/results.h"
#include "proxy/search_request.h"

typedef struct hybrid_job {
    search_request_t *searches; /* [n] */
    size_t n;
    outputs_t outputs;
    ranker_t ranker;
    const char *collection;     /* as the client calls it */
} hybrid_job_t;

static read_finish_fn s_finish;

/* --- the question ------------------------------------------------------------------------ */

static err_t s_check_count(ctx_t *ctx, const Milvus__HybridSearchRequest *request)
{
    if (request->n_requests < 1)
        return ctx_fail(ctx, ERR_UNEXPECTED, "minimum of ann search requests is 1");
    if (request->n_requests > LIMIT_HYBRID_PARTS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "maximum of ann search requests is %d",
                        LIMIT_HYBRID_PARTS);
    return OK;
}

/* A group field of the ranking is that of every search. */
static err_t s_group(ctx_t *ctx, const ranker_t *ranker, const search_target_t *target,
                     search_request_t *search)
{
    if (ranker->group_field[0] == '\0')
        return OK;
    const field_t *field = schema_by_name(target->schema, ranker->group_field);
    if (!field)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "groupBy field not found in schema: field not "
                        "found[field=%s]", ranker->group_field);
    search->group_field = schema_index(target->schema, field);
    search->args.group_size = ranker->group_size;
    search->args.strict_group_size = ranker->strict_group_size;
    search->ask->group_field = field->id;
    search->ask->group_size = ranker->group_size;
    search->ask->strict_group_size = ranker->strict_group_size;
    return OK;
}

static err_t s_searches(ctx_t *ctx, const search_target_t *target,
                        const Milvus__HybridSearchRequest *request, hybrid_job_t *job)
{
    job->n = request->n_requests;
    job->searches = ctx_new(ctx, job->n * sizeof *job->searches);
    for (size_t i = 0; i < job->n; i++) {
        search_request_t *search = &job->searches[i];
        TRY(search_request_read(ctx, target, request->requests[i], true, &job->outputs, search));
        TRY(s_group(ctx, &job->ranker, target, search));
        if (search->nq != job->searches[0].nq)
            return ctx_fail(ctx, ERR_PARAM_INVALID, "sub-request should have the same nq: invalid "
                            "parameter[expected=%zu][actual=%zu]", job->searches[0].nq,
                            search->nq);
    }
    return OK;
}

static err_t s_view(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                    const event_t *ev, Elanus__ReadView *view)
{
    const Milvus__HybridSearchRequest *request = (const void *)call->request;
    read_ask_t ask = {
        .guarantee_ts = request->guarantee_timestamp, .level = (int)request->consistency_level,
        .use_default = request->use_default_consistency, .collection_level = coll->consistency,
        .wall_ms = ev->wall_ms,
    };
    TRY(proxy_read_partitions(self, call, coll, request->partition_names,
                              request->n_partition_names, view));
    return read_view(call->ctx, &ask, view);
}

static void s_ask(proxy_node_t *self, proxy_call_t *call, const Elanus__Collection *coll,
                  hybrid_job_t *job, const Elanus__ReadView *view, const event_t *ev,
                  actions_t *act)
{
    proxy_read_t *read = proxy_read_new(self, call, coll, ELANUS__METHOD__METHOD_SEARCH, job->n);
    for (size_t i = 0; i < job->n; i++) {
        Elanus__ReadView *own = ctx_new(call->ctx, sizeof *own);
        *own = *view;
        own->ignore_growing = job->searches[i].args.ignore_growing;
        job->searches[i].ask->view = own;
        read->parts[i].ask = (ProtobufCMessage *)job->searches[i].ask;
        read->parts[i].view = own;
        call->vectors += job->searches[i].nq;
    }
    read->finish = s_finish;
    read->arg = job;
    proxy_read_start(self, read, ev, act);
}

static err_t s_start(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__HybridSearchRequest *request = (const void *)call->request;
    ctx_t *ctx = call->ctx;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, request->collection_name, &coll));
    const Elanus__Index **indexes = NULL;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    hybrid_job_t *job = ctx_new(ctx, sizeof *job);
    job->collection = request->collection_name;
    search_target_t target = { .collection = coll->id,
                               .schema = catalog_schema(self->catalog, coll->id) };
    target.n_indexes = catalog_indexes_of(self->catalog, ctx, coll->id, &indexes);
    target.indexes = indexes;
    TRY(s_check_count(ctx, request));
    TRY(outputs_read(ctx, target.schema, request->output_fields, request->n_output_fields, false,
                     &job->outputs));
    TRY(ranker_read(ctx, request->rank_params, request->n_rank_params, request->function_score,
                    request->n_requests, &job->ranker));
    TRY(s_searches(ctx, &target, request, job));
    TRY(s_view(self, call, coll, ev, &view));
    s_ask(self, call, coll, job, &view, ev, act);
    return OK;
}

void handle_hybrid_search(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                          actions_t *act)
{
    err_t err = s_start(self, call, ev, act);
    if (err != OK)
        proxy_refuse(self, call, ev, act, err);
}

/* --- the answer --------------------------------------------------------------------------- */

/* The answer as it grows, query by query. */
typedef struct answer {
    column_builder_t pks, groups;
    column_builder_t *outputs;  /* [n_outputs] */
    size_t n_outputs;
    bool grouped;
    uint32_t *per_query;
    float *scores;              /* [n] */
    size_t n;
} answer_t;

static void s_answer_fini(answer_t *self)
{
    column_builder_fini(&self->pks);
    column_builder_fini(&self->groups);
    for (size_t i = 0; i < self->n_outputs; i++)
        column_builder_fini(&self->outputs[i]);
}

static err_t s_answer_init(ctx_t *ctx, const proxy_read_t *read, const hybrid_job_t *job,
                           const hits_t *hits, answer_t *self)
{
    size_t most = 0, group = job->searches[0].group_field;
    for (size_t i = 0; i < job->n; i++)
        most += hits[i].n;
    *self = (answer_t){ .grouped = group != SIZE_MAX, .n_outputs = job->outputs.n };
    self->outputs = ctx_new(ctx, (job->outputs.n + 1) * sizeof *self->outputs);
    self->per_query = ctx_try(ctx, job->searches[0].nq * sizeof *self->per_query);
    self->scores = ctx_try(ctx, (most + 1) * sizeof *self->scores);
    column_builder_init(&self->pks, schema_pk(read->schema));
    if (self->grouped)
        column_builder_init(&self->groups, schema_at(read->schema, group));
    for (size_t i = 0; i < job->outputs.n; i++)
        column_builder_init(&self->outputs[i], schema_at(read->schema, job->outputs.fields[i]));
    if (!self->per_query || !self->scores)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu hits", most);
    return OK;
}

static void s_add(answer_t *self, const hits_t *hits, const ranked_t *hit)
{
    const hits_t *from = &hits[hit->search];
    column_builder_copy(&self->pks, &from->pks, hit->row);
    if (self->grouped)
        column_builder_copy(&self->groups, &from->groups, hit->row);
    for (size_t i = 0; i < self->n_outputs; i++)
        column_builder_copy(&self->outputs[i], &from->outputs[i], hit->row);
    self->scores[self->n++] = hit->score;
}

/* Rank the hits of one query; first[i] is where they begin in search i. */
static err_t s_rank(ctx_t *ctx, const hybrid_job_t *job, const hits_t *hits, size_t q,
                    const size_t *first, answer_t *into)
{
    const ranker_t *ranker = &job->ranker;
    rank_list_t *lists = ctx_new(ctx, job->n * sizeof *lists);
    ranked_t *ranked = NULL;
    size_t n = 0, from = (size_t)ranker->offset, end = from + (size_t)ranker->limit;
    for (size_t i = 0; i < job->n; i++)
        lists[i] = (rank_list_t){
            .pks = &hits[i].pks, .groups = into->grouped ? &hits[i].groups : NULL,
            .scores = hits[i].scores, .first = first[i], .n = hits[i].per_query[q],
            .metric = job->searches[i].metric,
        };
    TRY(ranker_merge(ctx, ranker, lists, job->n, &ranked, &n));
    if (into->grouped) {
        TRY(ranker_group(ctx, ranker, lists, &ranked, &n));
        from = 0;
        end = n;
    }
    size_t before = into->n;
    for (size_t i = from; i < n && i < end; i++)
        s_add(into, hits, &ranked[i]);
    into->per_query[q] = (uint32_t)(into->n - before);
    return OK;
}

static err_t s_rank_all(ctx_t *ctx, const hybrid_job_t *job, const hits_t *hits, answer_t *into)
{
    size_t *first = ctx_new(ctx, job->n * sizeof *first);
    for (size_t q = 0; q < job->searches[0].nq; q++) {
        TRY(s_rank(ctx, job, hits, q, first, into));
        for (size_t i = 0; i < job->n; i++)
            first[i] += hits[i].per_query[q];
    }
    bool fine = column_builder_ok(&into->pks) && column_builder_ok(&into->groups);
    for (size_t i = 0; i < into->n_outputs; i++)
        fine &= column_builder_ok(&into->outputs[i]);
    return fine ? OK : ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu hits", into->n);
}

static err_t s_respond(ctx_t *ctx, proxy_read_t *read, const answer_t *answer)
{
    const hybrid_job_t *job = read->arg;
    const field_t *group = answer->grouped
                               ? schema_at(read->schema, job->searches[0].group_field) : NULL;
    hits_t hits = {
        .nq = job->searches[0].nq, .n = answer->n, .per_query = answer->per_query,
        .scores = answer->scores, .pks = column_builder_view(&answer->pks),
        .outputs = ctx_new(ctx, (answer->n_outputs + 1) * sizeof(column_t)),
        .n_outputs = answer->n_outputs,
    };
    if (group)
        hits.groups = column_builder_view(&answer->groups);
    for (size_t i = 0; i < answer->n_outputs; i++)
        hits.outputs[i] = column_builder_view(&answer->outputs[i]);
    Milvus__SearchResults response = MILVUS__SEARCH_RESULTS__INIT;
    TRY(hits_answer(ctx, &hits, read->schema, &job->outputs, group, &response.results));
    results_round(hits.scores, hits.n, job->ranker.round_decimal);
    response.status = proxy_status_new(ctx, OK, NULL);
    response.collection_name = job->collection;
    proxy_pack(read->call, &response);
    return OK;
}

static err_t s_read(ctx_t *ctx, const proxy_read_t *read, size_t i, hits_t *ret)
{
    const hybrid_job_t *job = read->arg;
    const search_request_t *search = &job->searches[i];
    merge_search_t how = {
        .schema = read->schema, .metric = search->metric, .nq = search->nq,
        .limit = search->ask->topk, .group_field = search->group_field,
        .group_size = search->args.group_size,
        .strict_group_size = search->args.strict_group_size,
        .outputs = job->outputs.fields, .n_outputs = job->outputs.n,
        .most_bytes = LIMIT_RESULT_BYTES,
    };
    return hits_read(ctx, &how, &read->parts[i], ret);
}

static err_t s_finish(ctx_t *ctx, proxy_read_t *read)
{
    const hybrid_job_t *job = read->arg;
    hits_t *hits = ctx_new(ctx, job->n * sizeof *hits);
    answer_t answer = {0};
    err_t err = OK;
    for (size_t i = 0; err == OK && i < job->n; i++)
        err = s_read(ctx, read, i, &hits[i]);
    if (err == OK)
        err = s_answer_init(ctx, read, job, hits, &answer);
    if (err == OK)
        err = s_rank_all(ctx, job, hits, &answer);
    if (err == OK)
        err = s_respond(ctx, read, &answer);
    s_answer_fini(&answer);
    for (size_t i = 0; i < job->n; i++)
        hits_fini(&hits[i]);
    return err;
}

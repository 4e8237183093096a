/* query_read - SEARCH and QUERY: from the call to the answer; see query_read_int.h
 *
 * A read pins its sources with references when it starts, so what is swapped or released
 * meanwhile stays for it.  At most 2 reads a thread are at work: enough that no thread waits for
 * the node, few enough that a cancelled or expired one behind them never costs a scan.
 */
#include "querynode/query_read_int.h"

enum {
    READS_A_THREAD = 2,
    PREPARE_HERE_BYTES = 64 << 10,
    MERGE_HERE_BYTES = 128 << 10,       /* of answers that are put together on the node's thread */
    TRIES_MOST = 4,             /* with other nodes; then another replica may do better */
};

/* --- lists ------------------------------------------------------------------------------------ */

static void s_push(query_reads_t *list, query_read_t *read, query_read_state_t state)
{
    read->state = state;
    read->list = list;
    read->prev = list->last;
    read->next = NULL;
    *(list->last ? &list->last->next : &list->first) = read;
    list->last = read;
    list->n++;
}

static void s_pull(query_read_t *read)
{
    query_reads_t *list = read->list;
    if (!list)
        return;
    *(read->prev ? &read->prev->next : &list->first) = read->next;
    *(read->next ? &read->next->prev : &list->last) = read->prev;
    list->n--;
    read->list = NULL;
    read->node->n_waiting -= read->state == READ_WAITING;
}

static view_t s_key(const net_from_t *from)
{
    return view_of(from, sizeof *from);
}

/* --- life ------------------------------------------------------------------------------------- */

/* The segments' memory may go here: better on a worker. */
static void s_unpin(query_read_t *read)
{
    search_destroy(&read->searching);
    retrieve_destroy(&read->retrieving);
    for (size_t i = 0; i < read->sources.len; i++) {
        query_source_t *source = vec_at(&read->sources, i);
        sealed_unref(&source->sealed);
        growing_unref(&source->growing);
    }
    read->sources.len = 0;
}

/* All that was made since it was WAITING. */
static void s_rewind(query_read_t *read, actions_t *act)
{
    s_unpin(read);
    query_fan_drop(read, act);
    search_found_fini(&read->found);
    retrieved_fini(&read->rows);
    expr_unref(&read->filter);
    schema_unref(&read->schema);
    for (size_t i = 0; i < read->n_jobs; i++)
        ctx_fini(&read->jobs[i].ctx);
    mem_free(read->jobs);
    read->jobs = NULL;
    read->n_jobs = 0;
    ctx_fini(&read->merging.ctx);
    ctx_init(&read->merging.ctx);
    read->merging.read = NULL;
    atomic_store(&read->failed, NULL);
    atomic_store(&read->next_part, 0);
    buf_fini(&read->answer);
    buf_init(&read->answer, LIMIT_NET_MESSAGE_BYTES);
}

/* act NULL: with the node */
static void s_free(query_read_t *read, actions_t *act)
{
    s_pull(read);
    s_rewind(read, act);
    vec_fini(&read->sources);
    vec_fini(&read->dists);
    vec_fini(&read->calls);
    vec_fini(&read->answers);
    buf_fini(&read->answer);
    ctx_fini(&read->merging.ctx);
    ctx_fini(&read->elsewhere);
    ctx_fini(&read->ctx);
    mem_free(read);
}

static void s_end(query_read_t *read, actions_t *act)
{
    map_del(read->node->reads, s_key(&read->from));
    s_free(read, act);
}

static void s_refuse(query_read_t *read, actions_t *act, err_t err, const char *text)
{
    query_count_ended(read, err);
    act_refuse(act, read->from, err, "%s", text);
    s_end(read, act);
}

void query_reads_fini(query_node_t *self)
{
    void *read = NULL;
    for (size_t at = 0; map_next(self->reads, &at, NULL, &read); )
        s_free(read, NULL);
}

/* --- running ---------------------------------------------------------------------------------- */

static void s_look(query_read_t *read, const event_t *ev, actions_t *act);


static void s_pin_channel(query_read_t *read, const query_channel_t *ch)
{
    const Elanus__ReadView *view = read->need.view;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        if (piece->in && piece->at == QUERY_HERE && query_is_read(ch, piece->partition, view))
            vec_push(&read->sources, &(query_source_t){ .sealed = sealed_ref(piece->sealed) });
    }
    for (size_t i = 0; !view->ignore_growing && i < ch->growing.len; i++) {
        const query_growing_t *growing = vec_at(&ch->growing, i);
        if (growing->held && query_is_read(ch, growing->partition, view))
            vec_push(&read->sources, &(query_source_t){ .growing = growing_ref(growing->held) });
    }
}

void query_read_fail(query_read_t *read, ctx_t *ctx)
{
    ctx_t *none = NULL;
    atomic_compare_exchange_strong(&read->failed, &none, ctx);
}

static err_t s_run_parts(ctx_t *ctx, query_read_t *read)
{
    for (;;) {
        size_t i = atomic_fetch_add(&read->next_part, 1);
        if (i >= read->n_parts || atomic_load(&read->failed))
            return OK;
        int64_t began_us = metrics_began(read->node->counted.to);
        TRY(read->searching ? search_run(ctx, read->searching, i)
                            : retrieve_run(ctx, read->retrieving, i));
        query_count_part(read, began_us);
    }
}

/* On a compute thread.  Errors stay in the job's own context. */
static err_t s_job(ctx_t *unused, void *arg)
{
    query_job_t *job = arg;
    query_read_t *read = job->read;
    (void)unused;
    if (s_run_parts(&job->ctx, read) != OK)
        query_read_fail(read, &job->ctx);
    if (atomic_fetch_sub(&read->jobs_left, 1) > 1)
        return OK;
    if (!atomic_load(&read->failed) && query_read_finish(&job->ctx, read) != OK)
        query_read_fail(read, &job->ctx);
    s_unpin(read);
    return OK;
}

static void s_answer(query_read_t *read, actions_t *act)
{
    const ctx_t *failed = atomic_load(&read->failed);
    if (read->cancelled) {
        s_refuse(read, act, ERR_CANCELED, err_text(ERR_CANCELED));
    } else if (failed) {
        s_refuse(read, act, failed->err, failed->text);
    } else {
        query_count_ended(read, OK);
        act_reply_moved(act, read->from, &read->answer);
        s_end(read, act);
    }
}

/* As if it had just come, but it still asks for the same. */
static void s_begin_again(query_read_t *read, const event_t *ev, actions_t *act)
{
    if (++read->tries >= TRIES_MOST || ev->now_ms >= read->ctx.deadline_ms) {
        query_count_ended(read, ERR_CHANNEL_NOT_AVAILABLE);
        act_refuse(act, read->from, ERR_CHANNEL_NOT_AVAILABLE, "channel not available[channel=%s]: "
                   "%s", read->need.view->vchannels[0], read->elsewhere.text);
        s_end(read, act);
        return;
    }
    s_rewind(read, act);
    ctx_clear(&read->elsewhere);
    read->again = false;
    read->need.lost_ms = 0;
    read->state = READ_WAITING;
    s_look(read, ev, act);
}

static err_t s_merge_job(ctx_t *unused, void *arg)
{
    query_job_t *job = arg;
    (void)unused;
    int64_t began_us = metrics_began(job->read->node->counted.to);
    if (query_read_merge(&job->ctx, job->read) != OK)
        query_read_fail(job->read, &job->ctx);
    query_count_merged(job->read, began_us);
    return OK;
}

static void s_merged(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_read_t *read = arg;
    (void)node;
    if (ev->err != OK) {
        (void)ctx_fail(&read->merging.ctx, ev->err, "%s", ev->text);
        query_read_fail(read, &read->merging.ctx);
    }
    read->jobs_out--;
    s_answer(read, act);
}

static void s_merge(query_read_t *read, actions_t *act)
{
    query_job_t *job = &read->merging;
    job->read = read;
    job->ctx.deadline_ms = read->ctx.deadline_ms;
    if (read->answer_bytes <= MERGE_HERE_BYTES) {
        (void)s_merge_job(NULL, job);
        s_answer(read, act);
        return;
    }
    read->jobs_out++;
    act_compute(act, s_merge_job, job, wait_once(read->node->member.waits, act, s_merged, read));
}

void query_read_part_ended(query_read_t *read, const event_t *ev, actions_t *act)
{
    if (read->jobs_out)
        return;                                 /* they look at it */
    if (read->again && !read->cancelled)
        s_begin_again(read, ev, act);
    else if (read->cancelled || atomic_load(&read->failed) || read->n_calls == 0)
        s_answer(read, act);
    else if (read->calls.len == 0)
        s_merge(read, act);
}

/* Its own part is done: somebody else may have its threads. */
static void s_here_ended(query_read_t *read, const event_t *ev, actions_t *act)
{
    read->state = READ_GATHERING;
    read->node->n_running--;
    query_count_ran(read);
    query_read_part_ended(read, ev, act);
}

static void s_job_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_read_t *read = arg;
    (void)node;
    if (ev->err != OK) {                        /* it never ran: the pool is full */
        (void)ctx_fail(&read->ctx, ev->err, "%s", ev->text);
        query_read_fail(read, &read->ctx);
    }
    if (--read->jobs_out == 0)
        s_here_ended(read, ev, act);
}

static void s_compute(query_read_t *read, job_fn *fn, const char *name, wait_fn *then,
                      query_job_t *job, actions_t *act)
{
    job->read = read;
    ctx_init(&job->ctx);
    job->ctx.deadline_ms = read->ctx.deadline_ms;
    if (read->cancelled)
        ctx_cancel(&job->ctx);
    read->jobs_out++;
    act_compute_named(act, fn, name, job, wait_once(read->node->member.waits, act, then, read));
}

/* As many jobs as there are parts, and threads that other reads leave.  Nothing at all is here,
 * when all is elsewhere. */
static void s_launch(query_read_t *read, const event_t *ev, actions_t *act)
{
    query_node_t *self = read->node;
    if (read->sources.len == 0 && read->n_calls) {
        if (query_read_finish(&read->ctx, read) != OK)
            query_read_fail(read, &read->ctx);
        s_here_ended(read, ev, act);
        return;
    }
    read->n_parts = read->searching ? search_parts(read->searching)
                                    : retrieve_parts(read->retrieving);
    size_t n = self->options.threads / self->n_running;
    n = n < read->n_parts ? n : read->n_parts;
    read->n_jobs = n ? n : 1;
    read->jobs = mem_new(read->n_jobs * sizeof *read->jobs);
    atomic_init(&read->jobs_left, read->n_jobs);
    for (size_t i = 0; i < read->n_jobs; i++)
        s_compute(read, s_job, read->searching ? "search" : "query", s_job_ended,
                  &read->jobs[i], act);
}

static err_t s_prepare_job(ctx_t *unused, void *arg)
{
    query_job_t *job = arg;
    (void)unused;
    if (query_read_prepare(&job->ctx, job->read, NULL) != OK)
        query_read_fail(job->read, &job->ctx);
    return OK;
}

static void s_prepared(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_read_t *read = arg;
    if (ev->err != OK || atomic_load(&read->failed)) {
        s_job_ended(node, arg, ev, act);
        return;
    }
    ctx_fini(&read->jobs[0].ctx);
    mem_free(read->jobs);
    read->jobs = NULL;
    read->n_jobs = read->jobs_out = 0;
    s_launch(read, ev, act);
}

static void s_prepare_there(query_read_t *read, actions_t *act)
{
    read->n_jobs = 1;
    read->jobs = mem_new(sizeof *read->jobs);
    s_compute(read, s_prepare_job, "prepare", s_prepared, read->jobs, act);
}

/* Rows that had reached their age at the time of the read; 0: none. */
static uint64_t s_expire_ts(const query_coll_t *coll, uint64_t read_ts)
{
    uint64_t ttl = (uint64_t)coll->ttl_ms << QUERY_TS_BITS;
    return ttl && read_ts > ttl ? read_ts - ttl : 0;
}

/* What a leader asks for: these, here, and nothing else. */
static void s_pin_held(query_read_t *read, const query_channel_t *ch)
{
    const Elanus__ReadView *view = read->need.view;
    for (size_t i = 0; i < view->n_segments; i++) {
        const query_piece_t *piece = map_get_u64(ch->pieces, view->segments[i]);
        vec_push(&read->sources, &(query_source_t){ .sealed = sealed_ref(piece->sealed) });
    }
}

static void s_pin(query_read_t *read)
{
    const Elanus__ReadView *view = read->need.view;
    for (size_t i = 0; i < view->n_vchannels; i++) {
        const query_channel_t *ch = map_get_str(read->node->channels, view->vchannels[i]);
        if (view->n_segments)
            s_pin_held(read, ch);
        else
            s_pin_channel(read, ch);
    }
}

static void s_start(query_read_t *read, uint64_t read_ts, const event_t *ev, actions_t *act)
{
    query_node_t *self = read->node;
    const Elanus__ReadView *view = read->need.view;
    query_coll_t *coll = map_get_u64(self->colls, view->collection);
    s_pull(read);
    query_count_started(read);
    read->state = READ_RUNNING;
    read->read_ts = read_ts;
    read->expire_ts = s_expire_ts(coll, read_ts);
    read->schema = schema_ref(coll->schema);
    self->n_running++;
    s_pin(read);
    if (view->n_segments == 0)
        query_fan_out(read, ev, act);
    if (read->request_bytes > PREPARE_HERE_BYTES) {
        s_prepare_there(read, act);
    } else if (query_read_prepare(&read->ctx, read, self->plans) == OK) {
        s_launch(read, ev, act);
    } else {
        self->n_running--;
        s_refuse(read, act, read->ctx.err, read->ctx.text);
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool s_has_room(const query_node_t *self)
{
    return self->n_running < self->options.threads * READS_A_THREAD;
}

/* Start it, queue it, let it wait, or refuse it: what its view asks for now. */
static void s_look_at(query_read_t *read, const event_t *ev, actions_t *act)
{
    query_node_t *self = read->node;
    bool ready = false;
    uint64_t read_ts = 0;
    ctx_clear(&read->ctx);
    err_t err = query_wait_look(self, &read->ctx, &read->need, ev, &ready, &read_ts);
    if (err == OK && ev->now_ms >= read->ctx.deadline_ms)
        err = ctx_fail(&read->ctx, ERR_TIMEOUT, "%s", "");
    if (err != OK) {
        s_refuse(read, act, err, read->ctx.text);
        return;
    }
    if (ready && s_has_room(self)) {
        s_start(read, read_ts, ev, act);
        return;
    }
    if (ready)
        query_count_reached(read);
    query_coll_t *coll = map_get_u64(self->colls, read->need.view->collection);
    query_reads_t *list = ready ? &self->queued : &coll->waiting;
    if (read->list == list)
        return;
    s_pull(read);
    s_push(list, read, ready ? READ_QUEUED : READ_WAITING);
    self->n_waiting += !ready;
    query_wake_at(self, read->ctx.deadline_ms);
}

/* The same at whatever event: it may be another's. */
static void s_look(query_read_t *read, const event_t *ev, actions_t *act)
{
    trace_t before = act_trace(act, read->need.trace);
    s_look_at(read, ev, act);
    act_trace(act, before);
}

void query_reads_wake(query_coll_t *coll, const event_t *ev, actions_t *act)
{
    for (query_read_t *read = coll->waiting.first, *next; read; read = next) {
        next = read->next;
        s_look(read, ev, act);
    }
}

void query_reads_run(query_node_t *self, const event_t *ev, actions_t *act)
{
    while (self->queued.first && s_has_room(self))
        s_look(self->queued.first, ev, act);
}

/* --- calls ------------------------------------------------------------------------------------ */

static err_t s_unpack(query_read_t *read, const event_t *ev)
{
    bool search = ev->call.method == ELANUS__METHOD__METHOD_SEARCH;
    if (search)
        TRY(PB_UNPACK(&read->ctx, elanus__search, ev->call.payload, &read->search));
    else
        TRY(PB_UNPACK(&read->ctx, elanus__query, ev->call.payload, &read->query));
    read->need.view = search ? read->search->view : read->query->view;
    if (!read->need.view || read->need.view->n_vchannels == 0)
        return ctx_fail(&read->ctx, ERR_MALFORMED, "a read without a view, or without channels");
    return OK;
}

void query_read(query_node_t *self, const event_t *ev, actions_t *act)
{
    if (map_len(self->reads) >= self->options.most_reads) {
        metrics_add(self->counted.evicted, 1);
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL,
                   "too many concurrent requests, queue is full[limit=%zu]",
                   self->options.most_reads);
        return;
    }
    query_read_t *read = mem_new(sizeof *read);
    *read = (query_read_t){ .node = self, .from = ev->call.from,
                            .request_bytes = ev->call.payload.len,
                            .need = { .after = self->questions, .trace = ev->trace } };
    ctx_init(&read->ctx);
    read->ctx.deadline_ms = ev->call.deadline_ms;
    ctx_init(&read->elsewhere);
    ctx_init(&read->merging.ctx);
    vec_init(&read->sources, sizeof(query_source_t));
    vec_init(&read->dists, sizeof(query_dist_t *));
    vec_init(&read->calls, sizeof(query_call_t *));
    vec_init(&read->answers, sizeof(buf_t));
    buf_init(&read->answer, LIMIT_NET_MESSAGE_BYTES);
    map_put(self->reads, s_key(&read->from), read);
    err_t err = s_unpack(read, ev);
    query_count_arrived(read);
    if (err != OK)
        s_refuse(read, act, read->ctx.err, read->ctx.text);
    else
        s_look(read, ev, act);
}

/* Nobody waits for the answer any more, but there has to be one. */
void query_read_cancel(query_node_t *self, const event_t *ev, actions_t *act)
{
    query_read_t *read = map_get(self->reads, s_key(&ev->call.from));
    if (!read)
        return;
    read->cancelled = true;
    for (size_t i = 0; i < read->n_jobs; i++)
        ctx_cancel(&read->jobs[i].ctx);
    if (read->jobs_out == 0)
        s_refuse(read, act, ERR_CANCELED, err_text(ERR_CANCELED));
}

/* query_node - see query_node.h; here the role: events to who is concerned, and figures
 *
 * Every step ends in the same way: what shall be loaded is settled for the collections that
 * something touched, reads that may start now are started, questions that somebody needs are
 * asked, and the timer is set to the next moment at which anything is due.
 */
#include "querynode/querynode_int.h"

/* --- life ---------------------------------------------------------------------------- */

/* Reads that have come are answered before it leaves. */
static bool s_busy(const void *node)
{
    return map_len(((const query_node_t *)node)->reads) > 0;
}

static void *s_make(const node_self_t *who, const void *options)
{
    query_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->member.figures = query_role.figures;
    self->member.tell = query_count_tell;
    query_count_init(&self->counted, who);
    self->member.inspect = query_inspect;
    if (options)
        self->options = *(const query_options_t *)options;
    if (self->options.threads == 0)
        self->options.threads = 1;
    if (self->options.most_reads == 0 || self->options.most_reads > LIMIT_QUERY_READS)
        self->options.most_reads = LIMIT_QUERY_READS;
    self->member.busy = s_busy;
    self->member.drain_ms = self->options.drain_ms;
    self->catalog = catalog_new();
    self->directory = directory_new();
    self->segments = segments_new();
    self->builds = builds_new();
    self->member.memory_limit = self->options.memory_limit;
    self->colls = map_new();
    self->channels = map_new();
    self->dialled = map_new();
    self->askers = map_new();
    self->reads = map_new();
    vec_init(&self->shells, sizeof(query_channel_t *));
    vec_init(&self->wanting, sizeof(query_channel_t *));
    vec_init(&self->parked, sizeof(query_parked_t));
    self->held_versions = 1;
    vec_init(&self->old_sealeds, sizeof(sealed_t *));
    vec_init(&self->old_growings, sizeof(growing_t *));
    self->plans = query_plans_new();
    self->wake_ms = self->timer_ms = INT64_MAX;
    return self;
}

static void s_free_garbage(query_node_t *self)
{
    for (size_t i = 0; i < self->old_sealeds.len; i++)
        sealed_unref(vec_at(&self->old_sealeds, i));
    for (size_t i = 0; i < self->old_growings.len; i++)
        growing_unref(vec_at(&self->old_growings, i));
    vec_fini(&self->old_sealeds);
    vec_fini(&self->old_growings);
}

static void s_end(void *node)
{
    query_node_t *self = node;
    void *value = NULL;
    query_reads_fini(self);
    query_held_fini(self);
    while (self->works)
        query_work_free(self, self->works);
    for (size_t at = 0; map_next(self->colls, &at, NULL, &value); )
        query_coll_free(value);
    for (size_t i = 0; i < self->shells.len; i++)
        query_channel_free(*(query_channel_t **)vec_at(&self->shells, i));
    for (size_t at = 0; map_next(self->dialled, &at, NULL, &value); )
        mem_free(value);
    query_wait_fini(self);
    s_free_garbage(self);
    query_plans_destroy(&self->plans);
    vec_fini(&self->shells);
    vec_fini(&self->wanting);
    map_destroy(&self->colls);
    map_destroy(&self->channels);
    map_destroy(&self->dialled);
    map_destroy(&self->askers);
    map_destroy(&self->reads);
    copies_unref(&self->options.copies);
    catalog_destroy(&self->catalog);
    directory_destroy(&self->directory);
    segments_destroy(&self->segments);
    builds_destroy(&self->builds);
    member_fini(&self->member);
    mem_free(self);
}

/* --- steps --------------------------------------------------------------------------- */

static void s_call(query_node_t *self, const event_t *ev, actions_t *act)
{
    switch (ev->call.method) {
    case ELANUS__METHOD__METHOD_SEARCH:
    case ELANUS__METHOD__METHOD_QUERY:
        query_read(self, ev, act);
        break;
    case ELANUS__METHOD__METHOD_LOADED:
        query_loaded(self, ev, act);
        break;
    case ELANUS__METHOD__METHOD_HELD:
        query_held(self, ev, act);
        break;
    default:
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "querynode has no method %u",
                   ev->call.method);
    }
}

/* Something is due: who knows what, looks; that is cheap and seldom. */
static void s_timer(query_node_t *self, const event_t *ev, actions_t *act)
{
    void *coll = NULL;
    self->wake_ms = self->timer_ms = INT64_MAX;
    self->held_dirty = true;
    self->targets_dirty |= self->lingering;
    for (size_t at = 0; map_next(self->colls, &at, NULL, &coll); ) {
        query_dirty(coll);
        query_reads_wake(coll, ev, act);
    }
}

static void s_settle(query_node_t *self, const event_t *ev, actions_t *act)
{
    query_target_settle(self, ev, act);
    query_reads_run(self, ev, act);
    query_ask(self, ev, act);
    query_held_wake(self, ev, act);
    query_garbage(self, act);
    if (self->wake_ms == self->timer_ms)
        return;
    self->timer_ms = self->wake_ms;
    if (self->wake_ms != INT64_MAX)
        act_timer(act, TIMER_QUERY, self->wake_ms > ev->now_ms ? self->wake_ms - ev->now_ms : 0);
}

static void s_start(query_node_t *self, actions_t *act)
{
    query_target_start(self, act);
    query_index_start(self, act);
}

static void s_cancelled(query_node_t *self, const event_t *ev, actions_t *act)
{
    query_held_cancel(self, ev->call.from);
    query_read_cancel(self, ev, act);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    if (!member_step(&self->member, self, ev, act)) {
        if (ev->kind == EV_START)
            s_start(self, act);
        else if (ev->kind == EV_CALL)
            s_call(self, ev, act);
        else if (ev->kind == EV_CANCELLED)
            s_cancelled(self, ev, act);
        else if (ev->kind == EV_PEER && ev->peer.state != NET_UP)
            query_peers_suspect(self, ev->peer.endpoint);
        else if (ev->kind == EV_TIMER && ev->timer == TIMER_QUERY)
            s_timer(self, ev, act);
    }
    s_settle(self, ev, act);
}

static bool s_ready(const void *node)
{
    return ((const query_node_t *)node)->member.state == MEMBER_JOINED;
}

/* --- figures ------------------------------------------------------------------------- */

static int64_t s_waiting(const void *node)
{
    const query_node_t *self = node;
    return (int64_t)(self->n_waiting + self->queued.n);
}

#define FIGURE(name, expr) \
    static int64_t s_##name(const void *node) \
    { \
        const query_node_t *self = node; \
        return (int64_t)(expr); \
    }
FIGURE(colls, map_len(self->colls))
FIGURE(segments, self->count.segments)
FIGURE(rows, self->count.rows)
FIGURE(bytes, self->count.bytes)
FIGURE(growing, self->count.growing)
FIGURE(run_bytes, self->count.run_bytes)
FIGURE(disk, self->options.copies ? copies_bytes(self->options.copies) : 0)
FIGURE(opening, self->opening)
FIGURE(running, self->n_running)
FIGURE(limit, self->member.memory_limit)
#undef FIGURE

static const figure_t s_figures[] = {
    { "elanus_querynode_collections", "collections served", s_colls },
    { "elanus_querynode_segments", "sealed segments held", s_segments },
    { "elanus_querynode_rows", "their rows, deleted ones too", s_rows },
    { "elanus_querynode_bytes", "memory and maps of open segments", s_bytes },
    { "elanus_querynode_memory_limit_bytes", "and the most it may be; 0: no bound", s_limit },
    { "elanus_querynode_disk_bytes", "local copies of indexes of a remote store", s_disk },
    { "elanus_querynode_growing", "growing segments in view", s_growing },
    { "elanus_querynode_opening", "segments being opened", s_opening },
    { "elanus_querynode_delete_bytes", "deletes kept for segments to come", s_run_bytes },
    { "elanus_querynode_reads_running", "searches and queries at work", s_running },
    { "elanus_querynode_reads_waiting", "and waiting, for data or for a thread", s_waiting },
    { NULL, NULL, NULL },
};

const role_t query_role = {
    .name = "querynode", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures, .measure = query_count_measure,
};

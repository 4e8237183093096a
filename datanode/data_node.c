/* data_node - start, dispatch, stop; see data_node.h */
#include "datanode/data_path.h"

#include "core/segment/live.h"

enum { STOP_MS = 5000 };

static void s_on_leader(void *node, const event_t *ev, actions_t *act)
{
    (void)ev;
    data_ids_fill(node, act);
}

static void *s_make(const node_self_t *who, const void *options)
{
    static const data_options_t s_none;
    data_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->member.figures = data_role.figures;
    self->member.tell = data_count_tell;
    self->member.inspect = data_inspect;
    self->member.on_leader = s_on_leader;
    self->options = options ? options : &s_none;
    data_count_init(&self->count, who);
    self->catalog = catalog_new();
    self->directory = directory_new();
    self->segments = segments_new();
    self->channels = map_new();
    self->ahead = map_new();
    vec_init(&self->all, sizeof(data_channel_t *));
    vec_init(&self->parked, sizeof(void *));
    vec_init(&self->questions, sizeof(void *));
    vec_init(&self->early, sizeof(void *));
    data_persist_make(self);
    return self;
}

static void s_end(void *node)
{
    data_node_t *self = node;
    data_park_end(self);
    data_frontier_end(self);
    data_early_end(self);
    data_channels_end(self);
    live_drop_all(self->member.self->incarnation);
    data_persist_end(self);
    catalog_destroy(&self->catalog);
    directory_destroy(&self->directory);
    segments_destroy(&self->segments);
    map_destroy(&self->ahead);
    member_fini(&self->member);
    mem_free(self);
}

/* --- what the node follows ------------------------------------------------------------ */

/* The watch may tell of older versions than were read behind its back: those are left out. */
static bool s_is_old(data_node_t *self, const meta_change_t *change)
{
    if (change->kind != META_WATCH_PUT && change->kind != META_WATCH_DELETE)
        return false;
    int64_t ahead = (int64_t)(uintptr_t)map_get_str(self->ahead, change->item.key);
    if (ahead > change->item.mod_rev)
        return true;
    if (ahead)
        map_del_str(self->ahead, change->item.key);
    return false;
}

static void s_collections(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    data_node_t *self = node;
    for (size_t i = 0; ev->kind == EV_WATCH && i < ev->watch.n; i++) {
        const meta_change_t *change = &ev->watch.changes[i];
        if (!s_is_old(self, change))
            catalog_watched(self->catalog, ev->ctx, CATALOG_COLLECTION, change, 1);
        if (change->item.mod_rev > self->coll_rev)
            self->coll_rev = change->item.mod_rev;
        self->coll_synced |= change->kind == META_WATCH_SYNCED;
    }
    if (self->coll_synced)
        data_channel_dropped(self, act);
}

static void s_owners(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    data_node_t *self = node;
    if (ev->kind == EV_WATCH)
        directory_watched(self->directory, ev->ctx, DIRECTORY_OWNER, ev->watch.changes,
                          ev->watch.n);
    data_channel_owners(self, ev, act);
}

static void s_saw(void *arg, uint64_t collection, uint64_t segment, const Elanus__Segment *now)
{
    data_persist_saw(arg, collection, segment, now);
}

static void s_segments(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)act;
    data_node_t *self = node;
    if (ev->kind == EV_WATCH)
        segments_watched(self->segments, ev->ctx, (segments_kind_t)(uintptr_t)arg,
                         ev->watch.changes, ev->watch.n, s_saw, self);
}

static void s_follow(data_node_t *self, const char *root, wait_fn *fn, uintptr_t kind,
                     actions_t *act)
{
    act_meta_watch(act, root, wait_always(self->member.waits, act, fn, (void *)kind));
}

static void s_start(data_node_t *self, const event_t *ev, actions_t *act)
{
    live_begin(self->member.self->incarnation);
    s_follow(self, catalog_root(CATALOG_COLLECTION), s_collections, 0, act);
    s_follow(self, directory_root(DIRECTORY_OWNER), s_owners, 0, act);
    s_follow(self, segments_root(SEGMENTS_SEG), s_segments, SEGMENTS_SEG, act);
    s_follow(self, segments_root(SEGMENTS_CKPT), s_segments, SEGMENTS_CKPT, act);
    data_persist_start(self, ev, act);
}

/* --- dispatch ------------------------------------------------------------------------- */

void data_node_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (data_early_wait(self, ev, act))
        return;
    switch (ev->call.method) {
    case ELANUS__METHOD__METHOD_OPEN_CHANNEL: data_channel_open(self, ev, act); break;
    case ELANUS__METHOD__METHOD_CLOSE_CHANNEL: data_channel_close_call(self, ev, act); break;
    case ELANUS__METHOD__METHOD_WRITE:        data_write_call(self, ev, act); break;
    case ELANUS__METHOD__METHOD_FOLLOW:       data_follow_call(self, ev, act); break;
    case ELANUS__METHOD__METHOD_FRONTIER:     data_frontier_call(self, ev, act); break;
    case ELANUS__METHOD__METHOD_SEGMENTS:     data_segments_call(self, ev, act); break;
    default:
        if (!data_persist_event(self, ev, act))
            act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "datanode has no method %u",
                       ev->call.method);
    }
}

static void s_timer(data_node_t *self, const event_t *ev, actions_t *act)
{
    switch (ev->timer) {
    case TIMER_DATA_IDS:    data_ids_due(self, ev, act); break;
    case TIMER_DATA_PARKED: data_follow_due(self, ev, act); break;
    case TIMER_DATA_APPLY:  data_write_again(self, ev, act); break;
    case TIMER_DATA_AGAIN:  data_channel_again(self, ev, act); break;
    case TIMER_DATA_FENCE:  data_fence_due(self, ev, act); break;
    case TIMER_DATA_STALL:  data_stall_due(self, ev, act); break;
    case TIMER_DATA_LINGER: data_write_linger(self, act); break;
    case TIMER_DATA_STOP:   data_channel_leave(self, ev, act); break;
    default:                data_persist_event(self, ev, act); break;
    }
}

static void s_cancelled(data_node_t *self, const event_t *ev)
{
    data_park_cancelled(self, ev->call.from);
    data_follow_cancelled(self, ev->call.from);
    data_frontier_cancelled(self, ev->call.from);
    data_early_cancelled(self, ev->call.from);
}

/* Drain: nothing new, commits under way end, logs are closed; then the member leaves. */
static void s_stop(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (self->stopping)
        return;
    self->stopping = true;
    data_park_refuse(self, act);
    data_early_look(self, ev, act);
    data_frontier_look(self, ev, act);
    act_timer(act, TIMER_DATA_STOP, STOP_MS);
}

static void s_dispatch(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (ev->kind == EV_STOP)                    /* the member's when all is closed */
        s_stop(self, ev, act);
    else if (member_step(&self->member, self, ev, act))
        return;
    else if (ev->kind == EV_START)
        s_start(self, ev, act);
    else if (ev->kind == EV_CALL)
        data_node_call(self, ev, act);
    else if (ev->kind == EV_TIMER)
        s_timer(self, ev, act);
    else if (ev->kind == EV_CANCELLED)
        s_cancelled(self, ev);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    s_dispatch(self, ev, act);
    if (self->stopping)
        data_channel_stop(self, ev, act);
}

static bool s_ready(const void *node)
{
    return ((const data_node_t *)node)->member.state == MEMBER_JOINED;
}

/* --- figures -------------------------------------------------------------------------- */

static int64_t s_channels(const void *node)
{
    const data_node_t *self = node;
    int64_t n = 0;
    for (size_t i = 0; i < self->all.len; i++)
        n += (*(data_channel_t **)vec_at(&self->all, i))->state == CHANNEL_ACTIVE;
    return n;
}

#define FIGURE(of) \
    static int64_t s_##of(const void *node) { return (int64_t)((const data_node_t *)node)->of; }
FIGURE(rows)
FIGURE(bytes)
FIGURE(pending_bytes)
FIGURE(commits)
FIGURE(writes)
#undef FIGURE

static int64_t s_limit(const void *node)
{
    return (int64_t)((const data_node_t *)node)->options->memory_bytes;
}

static const figure_t s_figures[] = {
    { "elanus_data_channels", "write channels this node owns", s_channels },
    { "elanus_data_growing_rows", "rows that are not flushed", s_rows },
    { "elanus_data_growing_bytes", "memory of rows and deletes that are not flushed", s_bytes },
    { "elanus_data_pending_bytes", "writes that wait for the log", s_pending_bytes },
    { "elanus_data_memory_limit_bytes", "and the most it may be; 0: no bound", s_limit },
    { "elanus_data_commits_total", "group commits since the start", s_commits },
    { "elanus_data_writes_total", "writes asked for since the start", s_writes },
    { NULL, NULL, NULL },
};

const role_t data_role = {
    .name = "datanode", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures, .measure = data_count_measure,
};

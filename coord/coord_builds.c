/* coord_builds - indexes of flushed segments get built
 *
 *     flushed segment × definition
 *        │ of a type that is built, enough rows
 *        ▼                a node has room
 *     WAITING ───────────────────────────────► RUNNING ───────────► DONE, with its objects
 *        ▲                 attempt + 1          │  │  │ it is there
 *        └───────────── failed: again, later ───┘  │  └───────────► FAILED: can never succeed
 *                                                  └─ its node is lost: RUNNING at another,
 *                                                     attempt + 1
 *     DONE, but a query node cannot open what was put: WAITING, without objects
 *     segment dropped or compacted, definition or collection dropped: the key goes
 *
 * All of it stands in build/<collection>/<segment>/<index>; a leader that takes
 * over goes on from there.  A look compares the pictures of seg/, index/ and
 * build/ and queues one plan; the plan notes what fits into a transaction, the
 * look that follows the transaction finds the rest.  It compares the revision
 * of each key it changes, beside the leader's guard: one leader at a time
 * writes them, and what it goes by is what is there.
 *
 * An attempt has a number, a node and an incarnation of it.  Its objects lie
 * below index/<build>/<attempt>/, so attempts never touch each other's, and
 * only the transaction that ends the running attempt names any.  Whatever an
 * older attempt says later is not asked for and not read; what it wrote is
 * garbage (index_gc.c).
 */
#include "coord/coord_builds.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/wire/pb.h"

/* An index node that is up, and what it has to build. */
typedef struct {
    const peer_t *peer;
    size_t n;
} builder_t;

typedef struct {
    coord_node_t *self;
    ddl_t *ddl;
    const Elanus__Index **made; /* definitions of types that are built, by collection and id */
    size_t n_made;
    peer_t **nodes;             /* all index nodes */
    size_t n_nodes;
    builder_t *builders;        /* those whose link is up */
    size_t n_builders;
    size_t bytes;               /* of what was noted */
} look_t;

/* --- what is to be built -------------------------------------------------------------- */

static int s_by_collection(const void *a, const void *b)
{
    const Elanus__Index *x = *(const Elanus__Index *const *)a;
    const Elanus__Index *y = *(const Elanus__Index *const *)b;
    if (x->collection_id != y->collection_id)
        return x->collection_id < y->collection_id ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void s_find_made(look_t *look)
{
    const coord_node_t *self = look->self;
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, &look->ddl->memory, CATALOG_INDEX, &all);
    look->made = ctx_new(&look->ddl->memory, (n + 1) * sizeof *look->made);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Index *index = all[i];
        const Elanus__Collection *coll = catalog_collection_by_id(self->catalog,
                                                                  index->collection_id);
        if (coll && builds_makes(coll, index))
            look->made[look->n_made++] = index;
    }
    qsort(look->made, look->n_made, sizeof *look->made, s_by_collection);
}

/* Where a collection's begin, or would. */
static size_t s_first_made(const look_t *look, uint64_t collection)
{
    size_t low = 0, high = look->n_made;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (look->made[middle]->collection_id < collection)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool s_is_wanted(const look_t *look, const Elanus__Build *build)
{
    const building_t *building = look->self->building;
    const Elanus__Segment *segment = segments_get(look->self->segments, build->segment, NULL);
    if (!segment || !builds_wants(segment, building->options.build_rows))
        return false;
    for (size_t i = s_first_made(look, build->collection);
         i < look->n_made && look->made[i]->collection_id == build->collection; i++)
        if (look->made[i]->id == build->index)
            return true;
    return false;
}

/* --- who can build ---------------------------------------------------------------------- */

const peer_t *coord_builds_peer(peer_t *const *nodes, size_t n, const Elanus__Build *build)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[i]->id == build->node && nodes[i]->incarnation == build->incarnation)
            return nodes[i];
    return NULL;
}

static bool s_is_running(const Elanus__Build *build)
{
    return build->state == ELANUS__BUILD_STATE__BUILD_RUNNING;
}

static void s_find_builders(look_t *look, const Elanus__Build **builds, size_t n)
{
    ctx_t *ctx = &look->ddl->memory;
    look->n_nodes = coord_peers_of(look->self, ctx, "indexnode", &look->nodes);
    look->builders = ctx_new(ctx, (look->n_nodes + 1) * sizeof *look->builders);
    for (size_t i = 0; i < look->n_nodes; i++) {
        if (!coord_peer_up(look->self, look->nodes[i]))
            continue;
        builder_t *builder = &look->builders[look->n_builders++];
        builder->peer = look->nodes[i];
        for (size_t b = 0; b < n; b++)
            builder->n += s_is_running(builds[b]) &&
                          coord_builds_peer(&look->nodes[i], 1, builds[b]) != NULL;
    }
}

/* The least loaded that has room; another than the one that had it last, where there is one. */
static builder_t *s_choose(const look_t *look, const Elanus__Build *build)
{
    builder_t *best = NULL;
    for (size_t i = 0; i < look->n_builders; i++) {
        builder_t *builder = &look->builders[i];
        bool had_it = build->attempt > 0 && builder->peer->incarnation == build->incarnation;
        if ((had_it && look->n_builders > 1) ||
            builder->n >= look->self->building->options.builds_a_node)
            continue;
        if (!best || builder->n < best->n)
            best = builder;
    }
    return best;
}

/* --- changes ------------------------------------------------------------------------------ */

/* Each takes a write and a compare; the guard and an id mark come besides. */
static bool s_full(const look_t *look)
{
    return look->ddl->ops.len >= LIMIT_BUILD_CHANGES || look->bytes >= LIMIT_META_TXN_BYTES / 4;
}

static void s_put(look_t *look, const Elanus__Build *was, const Elanus__Build *now)
{
    ctx_t *ctx = &look->ddl->memory;
    const char *key = builds_key(ctx, now->collection, now->segment, now->index);
    int64_t rev = 0;
    if (was) {
        builds_get(look->self->building->builds, was->collection, was->segment, was->index, &rev);
        coord_ddl_expect(look->ddl, key, rev);
    }
    coord_ddl_put(look->ddl, key, now);
    look->bytes += ((const meta_op_t *)vec_at(&look->ddl->ops, look->ddl->ops.len - 1))->value.len;
}

static void s_delete(look_t *look, const Elanus__Build *build)
{
    const char *key = builds_key(&look->ddl->memory, build->collection, build->segment,
                                 build->index);
    coord_ddl_delete(look->ddl, key);
}

/* Without a compare: where no build is seen there is none, or one that nobody can read. */
static void s_begin(look_t *look, const Elanus__Segment *segment, const Elanus__Index *index)
{
    Elanus__Build build = ELANUS__BUILD__INIT;
    build.id = coord_ddl_id(look->self, look->ddl);
    build.collection = segment->collection;
    build.segment = segment->id;
    build.index = index->id;
    build.field = index->field_id;
    build.state = ELANUS__BUILD_STATE__BUILD_WAITING;
    build.rows = segment->rows;
    build.params = index->params;
    build.n_params = index->n_params;
    s_put(look, NULL, &build);
}

static void s_assign(look_t *look, const Elanus__Build *was, builder_t *builder)
{
    Elanus__Build build = *was;
    build.state = ELANUS__BUILD_STATE__BUILD_RUNNING;
    build.attempt++;
    build.node = builder->peer->id;
    build.incarnation = builder->peer->incarnation;
    build.started_ms = look->ddl->wall_ms;
    builder->n++;
    s_put(look, was, &build);
}

/* Sent again unchanged these come to the same end. */
static bool s_is_final(err_t err)
{
    static const err_t s_final[] = {
        ERR_CORRUPT, ERR_INDEX_TYPE, ERR_PARAM_INVALID, ERR_PARAM_TOO_LARGE, ERR_UNIMPLEMENTED,
    };
    for (size_t i = 0; i < ARRAY_LEN(s_final); i++)
        if (s_final[i] == err)
            return true;
    return false;
}

static void s_finish(look_t *look, const Elanus__Build *was, const Elanus__Built *answer)
{
    Elanus__Build build = *was;
    if (answer->state == ELANUS__BUILD_STATE__BUILD_DONE) {
        build.state = ELANUS__BUILD_STATE__BUILD_DONE;
        build.objects = answer->objects;
        build.n_objects = answer->n_objects;
        build.bytes = answer->bytes;
        build.done_ms = look->ddl->wall_ms;
        build.error = (char *)"";
    } else {
        build.state = s_is_final(err_from_wire(answer->err)) ? ELANUS__BUILD_STATE__BUILD_FAILED
                                                             : ELANUS__BUILD_STATE__BUILD_WAITING;
        build.error = answer->error;
    }
    s_put(look, was, &build);
}

static void s_change(look_t *look, const Elanus__Build *build)
{
    coord_node_t *self = look->self;
    bool running = s_is_running(build);
    if (!running && build->state != ELANUS__BUILD_STATE__BUILD_WAITING)
        return;
    const work_t *work = coord_builds_work(self, build);
    if (running && work->answer) {
        s_finish(look, build, work->answer);
        return;
    }
    int64_t due_ms = INT64_MAX;
    const peer_t *peer = running ? coord_builds_peer(look->nodes, look->n_nodes, build) : NULL;
    bool must_wait = running ? peer && !coord_peer_lost(self, peer, look->ddl->now_ms, &due_ms)
                             : work->not_before_ms > look->ddl->now_ms;
    builder_t *builder = must_wait ? NULL : s_choose(look, build);
    if (builder)
        s_assign(look, build, builder);
}

/* --- a plan --------------------------------------------------------------------------------- */

static void s_change_known(look_t *look, const Elanus__Build **builds, size_t n)
{
    for (size_t i = 0; i < n && !s_full(look); i++) {
        if (s_is_wanted(look, builds[i]))
            s_change(look, builds[i]);
        else
            s_delete(look, builds[i]);
    }
}

static void s_begin_new(look_t *look)
{
    const building_t *building = look->self->building;
    const Elanus__Segment **segments = NULL;
    size_t n = segments_of(look->self->segments, &look->ddl->memory, 0, &segments);
    for (size_t s = 0; s < n && !s_full(look); s++) {
        const Elanus__Segment *segment = segments[s];
        if (!builds_wants(segment, building->options.build_rows))
            continue;
        for (size_t i = s_first_made(look, segment->collection);
             i < look->n_made && look->made[i]->collection_id == segment->collection; i++)
            if (!builds_get(building->builds, segment->collection, segment->id,
                            look->made[i]->id, NULL) && !s_full(look))
                s_begin(look, segment, look->made[i]);
    }
}

static err_t s_plan(coord_node_t *self, ddl_t *ddl)
{
    self->building->queued = false;
    look_t look = { .self = self, .ddl = ddl };
    const Elanus__Build **builds = NULL;
    size_t n = builds_of(self->building->builds, &ddl->memory, 0, 0, &builds);
    s_find_made(&look);
    s_find_builders(&look, builds, n);
    s_change_known(&look, builds, n);
    s_begin_new(&look);
    return OK;
}

/* --- what is damaged ----------------------------------------------------------------------- */

/* A query node speaks of one attempt.  Who else found the same, or comes with what is known
 * already, changes nothing: by then the key waits, runs, or has a newer attempt. */
err_t coord_builds_again(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__BuildDamaged *damaged = ddl->damaged;
    int64_t rev = 0;
    const Elanus__Build *was = builds_get(self->building->builds, damaged->collection,
                                          damaged->segment, damaged->index, &rev);
    if (!was || was->id != damaged->build || was->attempt != damaged->attempt ||
        was->state != ELANUS__BUILD_STATE__BUILD_DONE)
        return OK;
    Elanus__Build build = *was;
    build.state = ELANUS__BUILD_STATE__BUILD_WAITING;
    build.objects = NULL;
    build.n_objects = 0;
    build.bytes = 0;
    build.done_ms = 0;
    build.error = damaged->why;
    const char *key = builds_key(&ddl->memory, was->collection, was->segment, was->index);
    coord_ddl_expect(ddl, key, rev);
    coord_ddl_put(ddl, key, &build);
    log_event(LOG_WARN, "index_damaged", "segment=%" PRIu64 " build=%" PRIu64 " attempt=%" PRIu64
              " then=\"it is built again\" why=\"%s\"", was->segment, was->id, was->attempt,
              damaged->why);
    return OK;
}

/* --- looking ------------------------------------------------------------------------------- */

static void s_due(int64_t *due_ms, int64_t at_ms)
{
    if (at_ms < *due_ms)
        *due_ms = at_ms;
}

static void s_look_at(coord_node_t *self, const Elanus__Build *build, peer_t *const *nodes,
                      size_t n, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    bool running = s_is_running(build);
    if (!running && build->state != ELANUS__BUILD_STATE__BUILD_WAITING)
        return;
    work_t *work = coord_builds_work(self, build);
    work->look = self->building->looks;
    const peer_t *peer = running ? coord_builds_peer(nodes, n, build) : NULL;
    if (!running && work->not_before_ms > ev->now_ms)
        s_due(due_ms, work->not_before_ms);
    else if (peer && !coord_peer_lost(self, peer, ev->now_ms, due_ms))
        coord_builds_ask(self, build, peer, ev, act, due_ms);
}

static void s_forget_unseen(coord_node_t *self)
{
    void *value;
    for (size_t at = 0; map_next(self->building->works, &at, NULL, &value); )
        if (((const work_t *)value)->look != self->building->looks)
            coord_builds_drop_work(self, value);
}

void coord_builds_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    peer_t **nodes = NULL;
    const Elanus__Build **builds = NULL;
    size_t n_nodes = coord_peers_of(self, ev->ctx, "indexnode", &nodes);
    size_t n = builds_of(self->building->builds, ev->ctx, 0, 0, &builds);
    self->building->looks++;
    for (size_t i = 0; i < n; i++)
        s_look_at(self, builds[i], nodes, n_nodes, ev, act, due_ms);
    s_forget_unseen(self);
    index_gc_look(self, ev, act, due_ms);
    if (self->building->queued)
        return;
    self->building->queued = true;
    coord_ddl_wish(self, s_plan, ev, act);
}

/* --- the picture ----------------------------------------------------------------------------- */

void coord_builds_watched(coord_node_t *self, ctx_t *ctx, const meta_change_t *changes, size_t n)
{
    builds_watched(self->building->builds, ctx, changes, n, NULL, NULL);
}

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    coord_node_t *self = node;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", builds_root(), ev->text);
        return;
    }
    coord_builds_watched(self, ev->ctx, ev->watch.changes, ev->watch.n);
    coord_look_at(self, ev->now_ms, ev, act);
}

void coord_builds_start(coord_node_t *self, actions_t *act)
{
    act_meta_watch(act, builds_root(), wait_always(self->member.waits, act, s_watched, NULL));
}

err_t coord_builds_wrote(coord_node_t *self, ctx_t *ctx, const char *key, const view_t *value,
                         int64_t rev)
{
    return builds_put(self->building->builds, ctx, key, value, rev);
}

/* --- life ----------------------------------------------------------------------------------- */

void coord_builds_init(coord_node_t *self, const coord_options_t *options)
{
    building_t *building = mem_new(sizeof *building);
    *building = (building_t){ .options = *options, .builds = builds_new(), .works = map_new() };
    index_gc_init(&building->gc);
    self->building = building;
}

void coord_builds_lost(coord_node_t *self)
{
    void *work;
    for (size_t at = 0; map_next(self->building->works, &at, NULL, &work); )
        coord_builds_drop_work(self, work);
    self->building->queued = false;
}

void coord_builds_fini(coord_node_t *self)
{
    building_t *building = self->building;
    coord_builds_lost(self);
    map_destroy(&building->works);
    builds_destroy(&building->builds);
    index_gc_fini(&building->gc);
    mem_free(building);
    self->building = NULL;
}

size_t coord_builds_open(const coord_node_t *self)
{
    return map_len(self->building->works);
}

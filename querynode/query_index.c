/* query_index - segments that are held here, and the indexes that were built of them
 *
 *     build/ has it DONE ──job──► open ──► searches that begin from now on use it
 *
 * A segment is held and searched before its indexes are there: a scan gives the same answer.  The
 * change from one to the other is one store in the segment (sealed_set_index; for filters
 * sealed_set_scalar), so a search uses the index or the scan, and those under way end as they
 * began.  Another build of the same index takes the place of the one before; an index whose
 * definition or build is gone is let go.
 *
 * An index that cannot be opened (its object is damaged, there is no memory) is tried again
 * later and later; meanwhile the segment is scanned, or searched by the attempt before.  Objects
 * that are damaged or missing each time are told to the coord, which has the index built
 * again; the next attempt's number brings it here.  Should that one be damaged, too, it takes
 * longer to say so, since waits grow until one was opened: a store that damages all it gets is not
 * kept busy with builds.
 *
 * Objects of a remote store become files (core/store/copies.h), and memory is asked for what an
 * index needs with its objects there.  Without room on the disk it is opened in memory, if that
 * has room for all of it.
 */
#include "core/segment/field_scalar.h"
#include "core/wire/pb.h"
#include "querynode/querynode_int.h"

enum {
    RETRY_MS = 1000, RETRY_MOST_MS = 60000,
    DAMAGED_SURELY = 3,         /* opened in vain so often: it is not the way to the store */
    TELL_MS = 5000,
    DISK_SHARE = 4,             /* of a DISKANN index: what Milvus reckons to be in memory */
};

/* An index of a segment, from the first try to open it. */
typedef struct index_use {
    uint64_t index;
    int64_t field;
    uint64_t build, attempt;            /* it is searched with this one; 0: there is none yet */
    uint64_t tried_build, tried_attempt;        /* the failures are of this one */
    bool opening;
    unsigned failures;                  /* in a row, whichever it was */
    unsigned damaged;                   /* so often the objects were found damaged or missing */
    int64_t retry_ms;                   /* not before */
    uint64_t uncounted;                 /* mapped, where a definition wants no more than that */
} index_use_t;

static index_use_t *s_use(const query_piece_t *piece, uint64_t index)
{
    for (size_t i = 0; i < piece->indexes.len; i++) {
        index_use_t *use = vec_at(&piece->indexes, i);
        if (use->index == index)
            return use;
    }
    return NULL;
}

size_t query_index_ids(const query_piece_t *piece, ctx_t *ctx, uint64_t **ret)
{
    size_t n = 0;
    *ret = ctx_new(ctx, (piece->indexes.len + 1) * sizeof **ret);
    for (size_t i = 0; i < piece->indexes.len; i++) {
        const index_use_t *use = vec_at(&piece->indexes, i);
        if (use->build)
            (*ret)[n++] = use->index;
    }
    return n;
}

void query_index_init(query_piece_t *piece)
{
    vec_init(&piece->indexes, sizeof(index_use_t));
}

/* --- changing ---------------------------------------------------------------------------- */

static void s_recount(query_piece_t *piece)
{
    query_node_t *self = piece->channel->node;
    uint64_t bytes = sealed_bytes(piece->sealed);
    for (size_t i = 0; i < piece->indexes.len; i++)
        bytes -= ((index_use_t *)vec_at(&piece->indexes, i))->uncounted;
    self->count.bytes += bytes - piece->counted;
    piece->counted = bytes;
    query_held_changed(piece->channel);
}

/* The one that the field has; NULL in it: none any more. */
static void s_set(sealed_t *sealed, int64_t field, field_index_t **index, field_scalar_t **scalar)
{
    schema_t *schema = sealed_schema(sealed);
    const field_t *of = schema_by_id(schema, field);
    if (of && type_is_vector(of->type))
        sealed_set_index(sealed, schema_index(schema, of), index);
    else if (of)
        sealed_set_scalar(sealed, schema_index(schema, of), scalar);
}

static void s_unset(query_piece_t *piece, size_t i)
{
    const index_use_t use = *(const index_use_t *)vec_at(&piece->indexes, i);
    field_index_t *no_index = NULL;
    field_scalar_t *no_scalar = NULL;
    vec_swap_remove(&piece->indexes, i);
    if (use.build) {
        s_set(piece->sealed, use.field, &no_index, &no_scalar);
        s_recount(piece);
    }
}

static bool s_is_defined(const Elanus__Index *const *indexes, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (indexes[i]->id == id)
            return true;
    return false;
}

/* Of a definition that was dropped. */
static void s_let_go(query_piece_t *piece, const Elanus__Index *const *indexes, size_t n)
{
    for (size_t i = 0; i < piece->indexes.len; )
        if (s_is_defined(indexes, n, ((index_use_t *)vec_at(&piece->indexes, i))->index))
            i++;
        else
            s_unset(piece, i);
}

/* --- opening ----------------------------------------------------------------------------- */

static err_t s_open_in(ctx_t *ctx, query_work_t *work, copies_t *copies, uint64_t need)
{
    const field_t *field = schema_by_id(sealed_schema(work->sealed), work->index_field);
    if (!field)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "field not found[field=%lld]",
                        (long long)work->index_field);
    TRY(query_load_fits(ctx, work, need));
    if (!type_is_vector(field->type))
        return field_scalar_open(ctx, work->store, copies, work->files.binlogs,
                                 work->files.n_parts, field, sealed_rows(work->sealed),
                                 &work->scalar);
    return field_index_open(ctx, work->store, copies, work->files.binlogs, work->files.n_parts,
                            field, sealed_rows(work->sealed), &work->index);
}

static err_t s_open_job(ctx_t *ctx, void *arg)
{
    query_work_t *work = arg;
    err_t err = s_open_in(ctx, work, work->copies, work->need);
    if (!work->copies || (err != ERR_DISK_FULL && err != ERR_DISK && err != ERR_DENIED))
        return err;
    log_event(LOG_WARN, "index_in_memory", "build=%llu bytes=%llu why=\"%s\"",
              (unsigned long long)work->index_build, (unsigned long long)work->whole, ctx->text);
    ctx_clear(ctx);
    return s_open_in(ctx, work, NULL, work->whole);
}

/* The coord has it built again.  Should that not be heard, the next failure says it again. */
static void s_told(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node, (void)arg, (void)act;
    if (ev->err != OK)
        log_event(LOG_WARN, "index_damage_untold", "why=\"%s\"", ev->text);
}

static void s_tell(query_piece_t *piece, const query_work_t *work, const event_t *ev,
                   actions_t *act)
{
    member_t *member = &piece->channel->node->member;
    if (!member->leader_there)
        return;
    Elanus__BuildDamaged damaged = ELANUS__BUILD_DAMAGED__INIT;
    damaged.collection = piece->channel->coll->id;
    damaged.segment = piece->id;
    damaged.index = work->index_id;
    damaged.build = work->index_build;
    damaged.attempt = work->index_attempt;
    damaged.why = (char *)ev->text;
    act_call(act, member->leader_address, ELANUS__METHOD__METHOD_BUILD_AGAIN,
             pb_pack(ev->ctx, &damaged), TELL_MS, wait_once(member->waits, act, s_told, NULL));
}

/* Memory may come, a store may be back: only the objects themselves are a reason to build. */
static void s_failed(query_piece_t *piece, index_use_t *use, const query_work_t *work,
                     const event_t *ev, actions_t *act)
{
    int64_t ms = (int64_t)RETRY_MS << (use->failures < 6 ? use->failures : 6);
    use->failures++;
    use->damaged += ev->err == ERR_CORRUPT || ev->err == ERR_KEY_NOT_FOUND;
    use->retry_ms = ev->now_ms + (ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
    query_wake_at(piece->channel->node, use->retry_ms);
    bool tell = use->damaged >= DAMAGED_SURELY;
    log_event(LOG_WARN, "index_open_failed", "segment=%llu build=%llu attempt=%llu times=%u "
              "then=\"%s\" why=\"%s\"", (unsigned long long)piece->id,
              (unsigned long long)work->index_build, (unsigned long long)work->index_attempt,
              use->failures, tell ? "it shall be built again" : "the segment is scanned", ev->text);
    if (tell)
        s_tell(piece, work, ev, act);
}

/* mmap.enabled of the index, else as its collection has it. */
static bool s_only_mapped(const query_channel_t *ch, uint64_t id)
{
    const Elanus__Index **all = NULL;
    ctx_t ctx;
    ctx_init(&ctx);
    size_t n = catalog_indexes_of(ch->node->catalog, &ctx, ch->coll->id, &all);
    const char *mmap = NULL;
    for (size_t i = 0; i < n; i++)
        if (all[i]->id == id)
            mmap = catalog_pair(all[i]->params, all[i]->n_params, "mmap.enabled");
    bool only = mmap ? catalog_true(mmap) : !query_load_preloads(ch->node, ch->coll->id);
    ctx_fini(&ctx);
    return only;
}

static uint64_t s_mapped(const query_work_t *work)
{
    return work->index ? field_index_mapped(work->index) : field_scalar_mapped(work->scalar);
}

static void s_swap(query_piece_t *piece, index_use_t *use, query_work_t *work)
{
    use->uncounted = s_only_mapped(work->channel, work->index_id) ? s_mapped(work) : 0;
    s_set(piece->sealed, work->index_field, &work->index, &work->scalar);
    use->build = work->index_build;
    use->attempt = work->index_attempt;
    use->field = work->index_field;
    use->failures = use->damaged = 0;
    s_recount(piece);
    log_event(LOG_INFO, "index_used", "segment=%llu index=%llu build=%llu attempt=%llu",
              (unsigned long long)piece->id, (unsigned long long)work->index_id,
              (unsigned long long)work->index_build, (unsigned long long)work->index_attempt);
}

static void s_opened(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    query_work_t *work = arg;
    query_piece_t *piece = work->piece;
    self->opening_bytes -= work->need;
    self->opening_indexes--;
    piece->indexing--;
    bool same = !work->channel->gone && piece->sealed == work->sealed;
    index_use_t *use = s_use(piece, work->index_id);    /* NULL: dropped meanwhile */
    if (use)
        use->opening = false;
    if (same && use && ev->err != OK)
        s_failed(piece, use, work, ev, act);
    else if (same && use)
        s_swap(piece, use, work);
    if (!work->channel->gone)
        query_dirty(work->channel->coll);
    query_work_free(self, work);
}

/* Memory that it takes, with its objects in files where that can be. */
static uint64_t s_need(const query_channel_t *ch, const Elanus__Build *build)
{
    const query_options_t *options = &ch->node->options;
    const char *type = catalog_pair(build->params, build->n_params, "index_type");
    if (!options->copies && !(options->store && store_maps(options->store)))
        return build->bytes;
    if (type && strcmp(type, "DISKANN") == 0)
        return build->bytes / DISK_SHARE;
    return s_only_mapped(ch, build->index) ? 0 : build->bytes;
}

static void s_open(query_piece_t *piece, const Elanus__Build *build, actions_t *act)
{
    query_node_t *self = piece->channel->node;
    query_work_t *work = query_work_new(self, piece->channel);
    work->piece = piece;
    work->store = self->options.store;
    work->sealed = sealed_ref(piece->sealed);
    work->files.binlogs = query_load_names(&work->memory, build->objects, build->n_objects);
    work->files.n_parts = build->n_objects;
    work->index_field = build->field;
    work->index_id = build->index;
    work->index_build = build->id;
    work->index_attempt = build->attempt;
    work->copies = self->options.copies;
    work->whole = build->bytes;
    query_load_reserve(self, work, s_need(piece->channel, build));
    self->opening_indexes++;
    piece->indexing++;
    act_job(act, s_open_job, work, wait_once(self->member.waits, act, s_opened, work));
}

/* What is known of opening this attempt; one that was not tried is tried at once. */
static index_use_t *s_use_of(query_piece_t *piece, const Elanus__Build *build)
{
    index_use_t *use = s_use(piece, build->index);
    if (!use)
        use = vec_push(&piece->indexes, &(index_use_t){ .index = build->index });
    if (use->tried_build != build->id || use->tried_attempt != build->attempt) {
        use->tried_build = build->id;
        use->tried_attempt = build->attempt;
        use->damaged = 0;
        use->retry_ms = 0;
    }
    return use;
}

static void s_go(query_piece_t *piece, const Elanus__Index *index, const event_t *ev,
                 actions_t *act)
{
    query_channel_t *ch = piece->channel;
    const Elanus__Build *build = builds_get(ch->node->builds, ch->coll->id, piece->id, index->id,
                                            NULL);
    if (!build || build->state != ELANUS__BUILD_STATE__BUILD_DONE || build->n_objects == 0)
        return;
    index_use_t *use = s_use(piece, index->id);
    if (use && (use->opening || (use->build == build->id && use->attempt == build->attempt)))
        return;
    use = s_use_of(piece, build);
    if (ev->now_ms < use->retry_ms) {
        query_wake_at(ch->node, use->retry_ms);
    } else if (ch->node->opening_indexes < LIMIT_QUERY_OPENS) {
        use->opening = true;
        s_open(piece, build, act);
    }
}

void query_index_go(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    const Elanus__Index **indexes = NULL;
    size_t n = catalog_indexes_of(ch->node->catalog, ev->ctx, ch->coll->id, &indexes);
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (!piece->able)
            continue;
        s_let_go(piece, indexes, n);
        for (size_t i = 0; i < n; i++)
            s_go(piece, indexes[i], ev, act);
    }
}

/* --- builds ------------------------------------------------------------------------------ */

static void s_changed(void *arg, const Elanus__Build *was, const Elanus__Build *now)
{
    query_node_t *self = arg;
    query_coll_t *coll = map_get_u64(self->colls, now ? now->collection : was->collection);
    if (coll)
        query_dirty(coll);
}

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    (void)arg, (void)act;
    if (ev->kind == EV_WATCH)
        builds_watched(self->builds, ev->ctx, ev->watch.changes, ev->watch.n, s_changed, self);
}

void query_index_start(query_node_t *self, actions_t *act)
{
    act_meta_watch(act, builds_root(), wait_always(self->member.waits, act, s_watched, NULL));
}

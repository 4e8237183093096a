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
 * later and later; meanwhile the segment is scanned.
 */
#include "core/segment/field_scalar.h"
#include "querynode/querynode_int.h"

enum { RETRY_MS = 1000, RETRY_MOST_MS = 60000 };

/* What a segment is searched with. */
typedef struct used {
    uint64_t index, build, attempt;
    int64_t field;
} used_t;

static used_t *s_used(const query_piece_t *piece, uint64_t index)
{
    for (size_t i = 0; i < piece->indexes.len; i++) {
        used_t *used = vec_at(&piece->indexes, i);
        if (used->index == index)
            return used;
    }
    return NULL;
}

size_t query_index_ids(const query_piece_t *piece, ctx_t *ctx, uint64_t **ret)
{
    *ret = ctx_new(ctx, (piece->indexes.len + 1) * sizeof **ret);
    for (size_t i = 0; i < piece->indexes.len; i++)
        (*ret)[i] = ((used_t *)vec_at(&piece->indexes, i))->index;
    return piece->indexes.len;
}

void query_index_init(query_piece_t *piece)
{
    vec_init(&piece->indexes, sizeof(used_t));
}

/* --- changing ---------------------------------------------------------------------------- */

static void s_recount(query_piece_t *piece)
{
    query_node_t *self = piece->channel->node;
    uint64_t bytes = sealed_bytes(piece->sealed);
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
    field_index_t *no_index = NULL;
    field_scalar_t *no_scalar = NULL;
    s_set(piece->sealed, ((used_t *)vec_at(&piece->indexes, i))->field, &no_index, &no_scalar);
    vec_swap_remove(&piece->indexes, i);
    s_recount(piece);
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
        if (s_is_defined(indexes, n, ((used_t *)vec_at(&piece->indexes, i))->index))
            i++;
        else
            s_unset(piece, i);
}

/* --- opening ----------------------------------------------------------------------------- */

static err_t s_open_job(ctx_t *ctx, void *arg)
{
    query_work_t *work = arg;
    const field_t *field = schema_by_id(sealed_schema(work->sealed), work->index_field);
    if (!field)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "field not found[field=%lld]",
                        (long long)work->index_field);
    TRY(query_load_fits(ctx, work));
    if (!type_is_vector(field->type))
        return field_scalar_open(ctx, work->store, work->files.binlogs, work->files.n_parts, field,
                                 sealed_rows(work->sealed), &work->scalar);
    return field_index_open(ctx, work->store, work->files.binlogs, work->files.n_parts, field,
                            sealed_rows(work->sealed), &work->index);
}

static void s_failed(query_piece_t *piece, const query_work_t *work, const event_t *ev)
{
    unsigned n = piece->index_failures < 6 ? piece->index_failures : 6;
    int64_t ms = (int64_t)RETRY_MS << n;
    piece->index_failures++;
    piece->index_retry_ms = ev->now_ms + (ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
    query_wake_at(piece->channel->node, piece->index_retry_ms);
    log_event(LOG_WARN, "index_open_failed", "segment=%llu build=%llu times=%u why=\"%s\"",
              (unsigned long long)piece->id, (unsigned long long)work->index_build,
              piece->index_failures, ev->text);
}

static void s_opened(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    query_work_t *work = arg;
    query_piece_t *piece = work->piece;
    (void)act;
    self->opening_bytes -= work->need;
    self->opening_indexes--;
    piece->indexing = false;
    bool same = !work->channel->gone && piece->sealed == work->sealed;
    if (same && ev->err != OK)
        s_failed(piece, work, ev);
    if (same && ev->err == OK) {
        s_set(piece->sealed, work->index_field, &work->index, &work->scalar);
        used_t *used = s_used(piece, work->index_id);
        used = used ? used : vec_push(&piece->indexes, &(used_t){ .index = work->index_id });
        used->build = work->index_build;
        used->attempt = work->index_attempt;
        used->field = work->index_field;
        piece->index_failures = 0;
        s_recount(piece);
        log_event(LOG_INFO, "index_used", "segment=%llu index=%llu build=%llu",
                  (unsigned long long)piece->id, (unsigned long long)work->index_id,
                  (unsigned long long)work->index_build);
    }
    if (!work->channel->gone)
        query_dirty(work->channel->coll);
    query_work_free(self, work);
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
    query_load_reserve(self, work, build->bytes);
    self->opening_indexes++;
    piece->indexing = true;
    act_job(act, s_open_job, work, wait_once(self->member.waits, act, s_opened, work));
}

static void s_go(query_piece_t *piece, const Elanus__Index *index, const event_t *ev,
                 actions_t *act)
{
    query_channel_t *ch = piece->channel;
    const used_t *used = s_used(piece, index->id);
    const Elanus__Build *build = builds_get(ch->node->builds, ch->coll->id, piece->id, index->id,
                                            NULL);
    if (!build || build->state != ELANUS__BUILD_STATE__BUILD_DONE || build->n_objects == 0 ||
        (used && used->build == build->id && used->attempt == build->attempt))
        return;
    if (ev->now_ms < piece->index_retry_ms)
        query_wake_at(ch->node, piece->index_retry_ms);
    else if (!piece->indexing && ch->node->opening_indexes < LIMIT_QUERY_OPENS)
        s_open(piece, build, act);
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

/* query_copy - growing segments of an owner in another process
 *
 * There is no memory to share, so this node keeps a copy of its own of each growing segment and is
 * its only writer.  FOLLOW tells how many rows each copy has, and brings the next ones
 * (core/segment/growing_page.h); an answer with `more` has nothing but rows.  With the last one a
 * copy that has as many rows as the owner is `held`, and from then on everything is as with
 * shared memory, but for deletes: they are applied here, to held copies only, because then all
 * the rows that they can hit are there.
 *
 *     asked ──pages──► copy ──as long as the owner's──► held ──flushed, the sealed one in──► gone
 *
 * A copy keeps its rows when the channel begins anew at the same owner, whose rows have not
 * changed.  Another incarnation may have them in another order, so there everything is copied
 * again.  A segment that is flushed while its copy lacks rows is never held; the sealed one
 * comes instead.
 */
#include "core/base/hostinfo.h"
#include "core/segment/growing_page.h"
#include "core/segment/live.h"
#include "querynode/querynode_int.h"

enum { LOOK_BYTES = 1 << 20 };  /* between two looks at the machine's memory */

static query_growing_t *s_find(const vec_t *list, uint64_t owner, uint64_t id)
{
    for (size_t i = 0; i < list->len; i++) {
        query_growing_t *growing = vec_at(list, i);
        if (growing->id == id && growing->owner == owner)
            return growing;
    }
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------ */

static void s_have(query_channel_t *ch, ctx_t *ctx, vec_t *list, Elanus__Follow *ask)
{
    for (size_t i = 0; i < list->len; i++) {
        query_growing_t *growing = vec_at(list, i);
        if (growing->owner != ch->owner ||
            (list == &ch->growing && s_find(&ch->next, ch->owner, growing->id)))
            continue;
        growing->unwanted = !query_shows(ch->coll, growing->partition);
        Elanus__GrowingHave *have = ctx_new(ctx, sizeof *have);
        elanus__growing_have__init(have);
        have->id = growing->id;
        have->rows = growing->copy ? growing_rows(growing->copy) : 0;
        have->unwanted = growing->unwanted;
        ask->have[ask->n_have++] = have;
    }
}

void query_copy_ask(query_channel_t *ch, ctx_t *ctx, uint64_t owner, Elanus__Follow *ask)
{
    ch->remote = !live_is_here(owner);
    ask->remote = ch->remote;
    if (!ch->remote || owner != ch->owner)
        return;
    ask->have = ctx_new(ctx, (ch->next.len + ch->growing.len + 1) * sizeof ask->have[0]);
    s_have(ch, ctx, &ch->next, ask);
    s_have(ch, ctx, &ch->growing, ask);
}

/* --- rows -------------------------------------------------------------------------------- */

/* Rows count against the same share of memory as segments that are opened. */
static err_t s_fits(ctx_t *ctx, query_node_t *self, size_t bytes)
{
    hostinfo_t host;
    self->copied_bytes += bytes;
    if (self->options.memory_share <= 0 || self->copied_bytes < LOOK_BYTES)
        return OK;
    TRY(hostinfo_read(ctx, NULL, &host));
    double most = (double)host.memory_total_bytes * self->options.memory_share;
    if ((double)(host.memory_used_bytes + self->opening_bytes + bytes) > most)
        return ctx_fail(ctx, ERR_MEMORY, "%.0f MB of memory are in use, %.0f MB is the share for "
                        "loaded data: growing rows do not fit; release a collection",
                        (double)host.memory_used_bytes / (1 << 20), most / (1 << 20));
    self->copied_bytes = 0;
    return OK;
}

static err_t s_add_rows(ctx_t *ctx, query_channel_t *ch, query_growing_t *growing,
                        const Elanus__GrowingSegment *told)
{
    if (!query_shows(ch->coll, growing->partition))
        return OK;
    if (!growing->copy) {
        growing->applied = 0;
        growing->copy = growing_new(ch->coll->schema, (segment_id_t){
            .collection = ch->coll->id, .partition = growing->partition, .segment = growing->id });
    }
    for (size_t i = 0; i < told->n_pages; i++) {
        TRY(s_fits(ctx, ch->node, told->pages[i].len));
        TRY(growing_page_read(ctx, growing->copy,
                              view_of(told->pages[i].data, told->pages[i].len)));
    }
    return OK;
}

static query_growing_t *s_get(query_channel_t *ch, vec_t *list, uint64_t owner,
                              const Elanus__GrowingSegment *told)
{
    query_growing_t *growing = s_find(list, owner, told->id);
    if (growing)
        return growing;
    query_dirty(ch->coll);
    return vec_push(list, &(query_growing_t){ .id = told->id, .partition = told->partition,
                                              .owner = owner });
}

err_t query_copy_rows(ctx_t *ctx, query_channel_t *ch, vec_t *list, const Elanus__Followed *news)
{
    for (size_t i = 0; i < news->n_growing; i++)
        TRY(s_add_rows(ctx, ch, s_get(ch, list, news->owner, news->growing[i]),
                       news->growing[i]));
    return OK;
}

void query_copy_hold(query_channel_t *ch, vec_t *list, const Elanus__Followed *news)
{
    for (size_t i = 0; i < news->n_growing; i++) {
        query_growing_t *growing = s_find(list, news->owner, news->growing[i]->id);
        if (growing->held || !growing->copy ||
            growing_rows(growing->copy) != news->growing[i]->rows)
            continue;
        growing->held = growing_ref(growing->copy);
        ch->node->count.growing++;
        query_dirty(ch->coll);
    }
}

void query_copy_begin(query_channel_t *ch, const Elanus__Followed *news)
{
    vec_t before = ch->next;
    vec_init(&ch->next, sizeof(query_growing_t));
    for (size_t i = 0; i < news->n_growing; i++) {
        const query_growing_t *had = s_find(&before, news->owner, news->growing[i]->id);
        had = had ? had : s_find(&ch->growing, news->owner, news->growing[i]->id);
        query_growing_t *now = s_get(ch, &ch->next, news->owner, news->growing[i]);
        if (had && had->copy)
            now->copy = growing_ref(had->copy);
    }
    for (size_t i = 0; i < before.len; i++)
        query_growing_drop(ch, vec_at(&before, i));
    vec_fini(&before);
}

/* --- deletes ----------------------------------------------------------------------------- */

bool query_copy_lacks_one(const query_channel_t *ch, const query_growing_t *growing)
{
    return growing->copy && growing->held && growing->applied < query_runs_end(ch);
}

bool query_copy_lacks(const query_channel_t *ch, const vec_t *list)
{
    for (size_t i = 0; i < list->len; i++)
        if (query_copy_lacks_one(ch, vec_at(list, i)))
            return true;
    return false;
}

static err_t s_apply(ctx_t *ctx, const query_channel_t *ch, query_growing_t *growing)
{
    if (growing->applied < ch->first_run)       /* those are behind the checkpoint, its rows not */
        growing->applied = ch->first_run;
    for (; growing->applied < query_runs_end(ch); growing->applied++) {
        const query_run_t *run =
            *(query_run_t **)vec_at(&ch->runs, (size_t)(growing->applied - ch->first_run));
        if (run->ts > growing_min_ts(growing->copy) &&
            (run->partition < 0 || (uint64_t)run->partition == growing->partition))
            TRY(growing_delete(ctx, growing->copy, &run->pks, run->ts, NULL));
    }
    return OK;
}

err_t query_copy_apply(ctx_t *ctx, query_channel_t *ch, vec_t *list)
{
    for (size_t i = 0; i < list->len; i++)
        if (query_copy_lacks_one(ch, vec_at(list, i)))
            TRY(s_apply(ctx, ch, vec_at(list, i)));
    return OK;
}

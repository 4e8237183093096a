/* query_follow - one channel beside its owner
 *
 * One FOLLOW is always open to the channel's ACTIVE owner.  An answer brings growing segments and
 * deletes behind the position; the rows themselves are taken from core/segment/live.h or, when the
 * owner is another process, copied (query_copy.c).  The next FOLLOW is sent when all of the last
 * answer was applied: that is the brake.
 *
 *     resetting ──metadata listed, pieces compared, growing taken, a question answered──► in step
 *         ▲                                                                                 │
 *         └────────── first answer ever; the owner says reset; another incarnation ◄────────┘
 *
 * At a reset everything is made anew beside what is in view: `next` holds the owner's growing
 * segments, metadata is listed once more (the answer may know of a flush that the watch has not
 * shown yet, and deletes up to the checkpoint are only in deltalogs), and query_swap puts it in
 * view in one step when nothing is missing.  Until then reads go on with what there was, at the
 * timestamps that were complete then.
 *
 * An answer of another incarnation than before that is no reset is not used: its growing segments
 * would be only those behind the position, while all of them are different memory now.
 */
#include "core/segment/live.h"
#include "querynode/querynode_int.h"

enum {
    FOLLOW_WAIT_MS = 5000,      /* the owner answers by then, with or without news */
    FOLLOW_GRACE_MS = 3000,
    RETRY_MS = 5,               /* the first time; then doubled */
    RETRY_MOST_MS = 1000,
    TROUBLE_TRIES = 20,         /* some 15 s: a takeover is no trouble */
};

/* --- channels ---------------------------------------------------------------------------- */

query_channel_t *query_channel_new(query_coll_t *coll, const char *name)
{
    query_channel_t *ch = mem_new(sizeof *ch);
    view_t pchannel = directory_pchannel(name);
    *ch = (query_channel_t){ .node = coll->node, .coll = coll, .name = mem_strdup(name),
                             .pchannel = mem_strdup(name), .resetting = true, .anew = true,
                             .pieces = map_new(), .loaded = map_new() };
    ch->pchannel[pchannel.len] = '\0';
    vec_init(&ch->growing, sizeof(query_growing_t));
    vec_init(&ch->next, sizeof(query_growing_t));
    vec_init(&ch->runs, sizeof(query_run_t *));
    vec_init(&ch->askers, sizeof(query_asker_t));
    vec_init(&ch->peers, sizeof(query_peer_t *));
    vec_init(&ch->dists, sizeof(query_dist_t *));
    query_held_changed(ch);
    return ch;
}

static void s_drop_growing(query_channel_t *ch, vec_t *list)
{
    for (size_t i = 0; i < list->len; i++)
        query_growing_drop(ch, vec_at(list, i));
    list->len = 0;
}

static void s_trouble(query_channel_t *ch, const char *text)
{
    mem_free(ch->trouble);
    ch->trouble = text ? mem_strdup(text) : NULL;
}

/* Out of view, out of every table; what jobs still use stays in the shell. */
void query_channel_release(query_channel_t *ch)
{
    query_node_t *self = ch->node;
    void *value = NULL;
    ch->gone = true;
    ch->coll = NULL;
    s_drop_growing(ch, &ch->growing);
    s_drop_growing(ch, &ch->next);
    query_peers_free(ch);
    ch->users++;                                /* the distribution must not be the last one */
    query_dist_unref(&ch->dist);
    ch->users--;
    self->held_dirty = true;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        query_piece_hide(piece);
        if (piece->busy || piece->indexing)
            continue;
        map_del_u64(ch->pieces, piece->id);
        query_piece_free(piece);
    }
    if (!ch->applying)
        query_runs_free(ch);
    for (size_t i = 0; i < self->wanting.len; i++)
        if (*(query_channel_t **)vec_at(&self->wanting, i) == ch) {
            vec_swap_remove(&self->wanting, i);
            break;
        }
    if (ch->users)
        vec_push(&self->shells, &ch);
    else
        query_channel_free(ch);
}

void query_channel_put(query_channel_t *ch)
{
    check(ch->users > 0);
    query_node_t *self = ch->node;
    if (--ch->users || !ch->gone)
        return;
    for (size_t i = 0; i < self->shells.len; i++)
        if (*(query_channel_t **)vec_at(&self->shells, i) == ch) {
            vec_swap_remove(&self->shells, i);
            break;
        }
    query_channel_free(ch);
}

void query_channel_free(query_channel_t *ch)
{
    void *piece = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        query_piece_free(piece);
    query_runs_free(ch);
    query_askers_free(ch);
    vec_fini(&ch->peers);
    vec_fini(&ch->dists);
    vec_fini(&ch->growing);
    vec_fini(&ch->next);
    vec_fini(&ch->runs);
    map_destroy(&ch->pieces);
    map_destroy(&ch->loaded);
    s_trouble(ch, NULL);
    mem_free(ch->name);
    mem_free(ch->pchannel);
    mem_free(ch);
}

/* Everything is asked for once more, and nothing of it is seen before it is all there. */
static void s_begin_anew(query_channel_t *ch)
{
    void *piece = NULL;
    ch->epoch = ch->seq = 0;
    ch->follow_no = 0;
    ch->follow_retry_ms = 0;
    ch->resetting = ch->anew = true;
    ch->filling = false;
    ch->n_fronts = 0;
    ch->complete = ch->last_ts = ch->view_ts = ch->seen_no = ch->seen_last = 0;
    ch->whole_loaded = false;
    map_destroy(&ch->loaded);
    ch->loaded = map_new();
    s_drop_growing(ch, &ch->growing);
    s_drop_growing(ch, &ch->next);
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &piece); )
        query_piece_hide(piece);
}

void query_channel_lead(query_channel_t *ch, uint64_t replica)
{
    bool led = ch->replica != 0;
    if (ch->replica == replica)
        return;
    log_event(LOG_INFO, replica ? "channel_led" : "channel_not_led",
              "node=querynode-%llu channel=%s replica=%llu",
              (unsigned long long)ch->node->member.self->id, ch->name,
              (unsigned long long)(replica ? replica : ch->replica));
    ch->replica = replica;
    query_dirty(ch->coll);
    if (led == (replica != 0))
        return;
    s_begin_anew(ch);
    query_peers_free(ch);
    query_dist_unref(&ch->dist);
    ch->dist_dirty = false;
}

/* --- growing segments -------------------------------------------------------------------- */

void query_follow_take(query_channel_t *ch, vec_t *list)
{
    for (size_t i = 0; i < list->len; i++) {
        query_growing_t *growing = vec_at(list, i);
        bool shown = query_shows(ch->coll, growing->partition);
        if (shown && growing->unwanted) {
            growing->unwanted = false;
            ch->follow_no = 0;                  /* ask at once, for its rows too */
        } else if (shown && !growing->held && !growing->owner) {
            growing->held = live_get(ch->owner, growing->id);
            ch->node->count.growing += growing->held != NULL;
        } else if (!shown && (growing->held || growing->copy)) {
            query_growing_drop(ch, growing);
            growing->unwanted = growing->owner != 0;
        }
    }
}

static void s_add_growing(query_channel_t *ch, vec_t *list, const Elanus__GrowingSegment *told)
{
    for (size_t i = 0; i < list->len; i++)
        if (((query_growing_t *)vec_at(list, i))->id == told->id)
            return;
    vec_push(list, &(query_growing_t){ .id = told->id, .partition = told->partition });
    query_dirty(ch->coll);
}

/* --- resets ------------------------------------------------------------------------------ */

typedef struct {
    query_channel_t *ch;
    uint64_t round, no;
} errand_t;

static errand_t *s_errand(query_channel_t *ch)
{
    errand_t *errand = mem_new(sizeof *errand);
    *errand = (errand_t){ .ch = ch, .round = ch->round, .no = ch->follow_no };
    ch->users++;
    return errand;
}

/* What metadata has now, compared with every piece that is open. */
static void s_compare_all(query_channel_t *ch, actions_t *act)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        query_piece_t *piece = value;
        if (!piece->busy && piece->sealed && piece->round < ch->round)
            query_piece_compare(piece, segments_get(ch->node->segments, piece->id, NULL),
                                ch->round, act);
    }
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    const errand_t *errand = arg;
    query_channel_t *ch = errand->ch;
    bool mine = !ch->gone && errand->round == ch->round;
    err_t err = ev->err;
    ch->listing &= !mine;
    for (size_t i = 0; mine && err == OK && i < ev->meta.items.n; i++) {
        const meta_item_t *item = &ev->meta.items.at[i];
        err = segments_put(self->segments, ev->ctx, item->key, &item->value, item->mod_rev);
    }
    if (mine && err == OK) {
        ch->listed = true;
        s_compare_all(ch, act);
        query_dirty(ch->coll);
    } else if (mine) {
        log_event(LOG_WARN, "channel_list_failed", "channel=%s why=\"%s\"", ch->name, ev->text);
        ch->list_retry_ms = ev->now_ms + RETRY_MOST_MS;
        query_wake_at(self, ch->list_retry_ms);
    }
    query_channel_put(ch);
}

static void s_list(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    ch->listing = true;
    const char *prefix = ctx_printf(ev->ctx, "%s%llu/", segments_root(SEGMENTS_SEG),
                                    (unsigned long long)ch->coll->id);
    act_meta_list(act, prefix, wait_owned(ch->node->member.waits, act, s_listed, s_errand(ch)));
}

static void s_reset(query_channel_t *ch, const Elanus__Followed *news)
{
    log_event(LOG_INFO, "channel_reset", "channel=%s epoch=%llu seq=%llu growing=%zu deletes=%zu",
              ch->name, (unsigned long long)news->epoch, (unsigned long long)news->seq,
              news->n_growing, news->n_deletes);
    if (ch->remote)
        query_copy_begin(ch, news);
    else
        s_drop_growing(ch, &ch->next);          /* empty where nothing is led */
    ch->round++;
    ch->resetting = true;
    ch->anew = false;
    ch->reset_ckpt_ts = news->ckpt_ts;
    ch->listed = ch->listing = false;
    ch->list_retry_ms = 0;
    ch->n_fronts = 0;
    ch->round_no = ch->node->questions;
    for (size_t i = 0; ch->round == 1 && i < news->n_growing; i++)
        if (news->growing[i]->id > ch->coll->newest)    /* see query_target.c */
            ch->coll->newest = news->growing[i]->id;
    query_dirty(ch->coll);
}

/* --- following --------------------------------------------------------------------------- */

static void s_later(query_channel_t *ch, const char *why, const event_t *ev)
{
    unsigned n = ch->follow_failures < 8 ? ch->follow_failures : 8;
    int64_t ms = RETRY_MS << n;
    ch->follow_failures++;
    ch->follow_retry_ms = ev->now_ms + (ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
    query_wake_at(ch->node, ch->follow_retry_ms);
    if ((ch->follow_failures & (ch->follow_failures - 1)) == 0)
        log_event(ch->follow_failures > TROUBLE_TRIES ? LOG_WARN : LOG_INFO, "follow_failed",
                  "channel=%s times=%u why=\"%s\"", ch->name, ch->follow_failures, why);
    if (ch->follow_failures >= TROUBLE_TRIES)
        s_trouble(ch, ctx_printf(ev->ctx, "channel not available[channel=%s]: %s", ch->name, why));
}

/* Behind its position there is nothing that was not taken in. */
static void s_at(query_channel_t *ch, const Elanus__Followed *news)
{
    ch->owner = news->owner;
    ch->epoch = news->epoch;
    ch->seq = news->seq;
    ch->heard_ts = news->last_ts;
    query_stamped(ch->node, news->last_ts);
    ch->ckpt_ts = news->ckpt_ts > ch->ckpt_ts ? news->ckpt_ts : ch->ckpt_ts;
}

/* Take in an answer of an owner that shares its memory.  On an error nothing was taken. */
static err_t s_take_shared(ctx_t *ctx, query_channel_t *ch, const Elanus__Followed *news)
{
    TRY(query_runs_add(ctx, ch, news->deletes, news->n_deletes));
    s_at(ch, news);
    if (news->reset)
        s_reset(ch, news);
    vec_t *list = ch->resetting ? &ch->next : &ch->growing;
    for (size_t i = 0; ch->replica && i < news->n_growing; i++)
        s_add_growing(ch, list, news->growing[i]);
    query_follow_take(ch, list);
    return OK;
}

/* The same of one in another process.  After an error the position is where it was, or, in
 * a reset, at the beginning; rows that were taken stay, and are not asked for again. */
static err_t s_take_copied(ctx_t *ctx, query_channel_t *ch, const Elanus__Followed *news)
{
    if (news->reset) {
        ch->owner = news->owner;
        ch->epoch = ch->seq = 0;
        ch->filling = true;
        s_reset(ch, news);
    }
    vec_t *list = ch->resetting ? &ch->next : &ch->growing;
    TRY(query_copy_rows(ctx, ch, list, news));
    if (news->more)
        return OK;
    TRY(query_runs_add(ctx, ch, news->deletes, news->n_deletes));
    query_copy_hold(ch, list, news);
    s_at(ch, news);
    ch->filling = false;
    return OK;
}

static err_t s_news(query_channel_t *ch, const event_t *ev)
{
    Elanus__Followed *news = NULL;
    if (ev->err != OK)
        return ctx_fail(ev->ctx, ev->err, "%s", ev->text);
    err_t err = wire_unpack_borrow(ev->ctx, &elanus__followed__descriptor, ev->payload,
                                   (ProtobufCMessage **)&news);
    if (err != OK)
        return err;
    if (!news->reset && (ch->anew || news->owner != ch->owner)) {
        ch->epoch = ch->seq = 0;                /* so that the next answer is one */
        return ctx_fail(ev->ctx, ERR_MOVED, "its owner is another one, and did not begin anew");
    }
    return ch->remote ? s_take_copied(ev->ctx, ch, news) : s_take_shared(ev->ctx, ch, news);
}

static void s_followed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    const errand_t *errand = arg;
    query_channel_t *ch = errand->ch;
    if (!ch->gone && ch->follow_no == errand->no) {
        ch->follow_no = 0;
        if (s_news(ch, ev) == OK) {
            ch->follow_failures = 0;
            ch->follow_retry_ms = 0;
            s_trouble(ch, NULL);
        } else {
            s_later(ch, ev->ctx->text, ev);
        }
        query_follow_on(ch, ev, act);
    }
    query_channel_put(ch);
}

void query_dial(query_node_t *self, const Elanus__NodeInfo *owner, actions_t *act)
{
    if (!map_get_str(self->dialled, owner->address))
        map_put_str(self->dialled, owner->address, mem_strdup(owner->address));
    act_dial(act, owner->address, owner->id);   /* again: another node may have the address now */
}

static void s_send(query_channel_t *ch, const Elanus__NodeInfo *owner, const event_t *ev,
                   actions_t *act)
{
    query_node_t *self = ch->node;
    Elanus__Follow ask = ELANUS__FOLLOW__INIT;
    ask.vchannel = ch->name;
    if (owner->incarnation == ch->owner) {      /* another one's memory is taken from the start */
        ask.epoch = ch->epoch;
        ask.seq = ch->seq;
    }
    ch->remote = false;                         /* who leads nothing needs no rows, only deletes */
    if (ch->replica)
        query_copy_ask(ch, ev->ctx, owner->incarnation, &ask);
    ask.wait_ms = FOLLOW_WAIT_MS;
    ch->follow_no = ++self->follows;
    ch->follow_owner = owner->incarnation;
    query_dial(self, owner, act);
    trace_t before = act_trace(act, TRACE_NONE);
    act_call(act, owner->address, ELANUS__METHOD__METHOD_FOLLOW, pb_pack(ev->ctx, &ask),
             FOLLOW_WAIT_MS + FOLLOW_GRACE_MS,
             wait_owned(self->member.waits, act, s_followed, s_errand(ch)));
    act_trace(act, before);
}

/* Metadata has to be listed after a reset. */
static void s_list_when_due(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    if (!ch->resetting || ch->anew || ch->filling || ch->listed || ch->listing)
        return;
    if (ev->now_ms < ch->list_retry_ms)
        query_wake_at(ch->node, ch->list_retry_ms);
    else
        s_list(ch, ev, act);
}

void query_follow(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    s_list_when_due(ch, ev, act);
    const Elanus__NodeInfo *owner = directory_owner_node(ch->node->directory, ch->name, NULL);
    if (owner && ch->follow_no && ch->follow_owner != owner->incarnation)
        ch->follow_no = 0;                      /* nobody waits for the old one's answer */
    if (!owner || ch->follow_no || !query_caught_up(ch) || ch->run_bytes > LIMIT_QUERY_RUN_BYTES)
        return;
    if (ev->now_ms < ch->follow_retry_ms) {
        query_wake_at(ch->node, ch->follow_retry_ms);
        return;
    }
    s_send(ch, owner, ev, act);
}

/* An answer that changes nothing but rows and some deletes, which is nearly every one, needs no
 * look at metadata. */
void query_follow_on(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    if (ch->resetting)
        query_dirty(ch->coll);
    if (ch->coll->dirty)
        return;                                 /* settled at the end of the step */
    query_runs_apply(ch, ev, act);
    query_advance(ch);
    query_runs_trim(ch);
    query_follow(ch, ev, act);
    query_reads_wake(ch->coll, ev, act);
}

/* data_channel - a pchannel from the claim to the close
 *
 *     CLAIMING    owner/<ch>: (epoch + 1, this node, RECOVERING), compared and swapped
 *        │
 *     LOOKING     coll/, seg/ and ckpt/ are read: whoever owned the channel before cannot
 *        │        change them any more, and the watches may lag behind the claim
 *        │        (logs on the store: seal/ and clock/ too)
 *     OPENING     job: the log under the new epoch, replayed from the checkpoint
 *        │        (on the store: where the epochs before ended is found out; it is
 *        │        replayed beside what follows, see data_rows.c)
 *     ACTIVATING  owner/<ch>: ACTIVE, if the key is as we left it
 *        │        (on the store: with the seals of the epochs before)
 *        │
 *     ACTIVE ──── a local log failed ─► CLOSING ─► CLAIMING
 *        ├─────── somebody else's ─► CLOSING ─► gone
 *        ├─────── the store does not answer: data_stall.c
 *        └─────── EV_STOP, CLOSE_CHANNEL ─► CLOSING ─► RELEASED
 *
 * A failure before ACTIVE is told to the coordinator, who asks again; but once the key
 * may say that we are ACTIVE, nobody else will, so then we try again by ourselves.  On the
 * store, where another node can do what we cannot, whoever gives a channel up that is still
 * its own says so: owner/<ch> becomes RELEASED, the coordinator sees it and asks the next.
 */
#include "datanode/data_path.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "core/wal/wal_objects.h"
#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum {
    AGAIN_MS = 500,
    OPEN_AGAIN_MS = 200, OPEN_MOST_MS = 4000,   /* while the store does not answer */
};

/* --- life ----------------------------------------------------------------------------- */

static data_channel_t *s_new(data_node_t *node, const char *name)
{
    data_channel_t *channel = mem_new(sizeof *channel);
    channel->node = node;
    channel->name = mem_strdup(name);
    channel->shards = map_new();
    channel->requests = data_requests_new();
    vec_init(&channel->openers, sizeof(net_from_t));
    vec_init(&channel->news, sizeof(data_shard_t *));
    vec_init(&channel->seals, sizeof(wal_seal_t));
    vec_init(&channel->twins, sizeof(data_twin_t));
    map_put_str(node->channels, name, channel);
    vec_push(&node->all, &channel);
    return channel;
}

static void s_drop_shards(data_channel_t *channel)
{
    void *value = NULL;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &value); ) {
        data_shard_t *shard = value;
        data_shard_leave(shard);
        data_shard_free(shard);
    }
}

static void s_free(data_channel_t *channel)
{
    wal_destroy(&channel->log);
    wal_disk_destroy(&channel->disk);
    data_opening_destroy(&channel->opening);
    data_write_free(channel);
    check(map_len(channel->shards) == 0);
    map_destroy(&channel->shards);
    data_requests_destroy(&channel->requests);
    vec_fini(&channel->openers);
    vec_fini(&channel->news);
    vec_fini(&channel->seals);
    vec_fini(&channel->twins);
    mem_free(channel->name);
    mem_free(channel);
}

static void s_free_unused(data_channel_t *channel)
{
    data_node_t *node = channel->node;
    if (channel->users > 0 || channel->state != CHANNEL_GONE)
        return;
    for (size_t i = 0; i < node->all.len; i++) {
        if (*(data_channel_t **)vec_at(&node->all, i) == channel) {
            vec_swap_remove(&node->all, i);
            break;
        }
    }
    s_free(channel);
}

data_channel_t *data_channel_hold(data_channel_t *channel)
{
    channel->users++;
    return channel;
}

void data_channel_release(data_channel_t **channel_p)
{
    data_channel_t *channel = take(*channel_p);
    check(channel->users > 0);
    channel->users--;
    s_free_unused(channel);
}

void data_channels_end(data_node_t *self)
{
    for (size_t i = 0; i < self->all.len; i++) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        void *value = NULL;
        for (size_t at = 0; map_next(channel->shards, &at, NULL, &value); )
            ((data_shard_t *)value)->followers.len = 0;
        s_drop_shards(channel);
        s_free(channel);
    }
    vec_fini(&self->all);
    map_destroy(&self->channels);
}

static void s_refuse_openers(data_channel_t *channel, err_t err, const char *why, actions_t *act)
{
    for (size_t i = 0; i < channel->openers.len; i++)
        act_refuse(act, *(net_from_t *)vec_at(&channel->openers, i), err, "%s: %s", channel->name,
                   why);
    channel->openers.len = 0;
}

/* Out of the table; nothing of it is on disk or in a job any more. */
static void s_gone(data_channel_t *channel, err_t err, const char *why, actions_t *act)
{
    check(!channel->log && !channel->opening);
    s_refuse_openers(channel, err, why, act);
    map_del_str(channel->node->channels, channel->name);
    channel->state = CHANNEL_GONE;
    s_free_unused(channel);
}

/* --- claim ---------------------------------------------------------------------------- */

static void s_look(data_node_t *self, const event_t *ev, actions_t *act);

void data_channel_try_again(data_channel_t *channel, int64_t after_ms, actions_t *act)
{
    channel->again = true;
    act_timer(act, TIMER_DATA_AGAIN, after_ms);
}

static view_t s_owner(const data_channel_t *channel, ctx_t *ctx, Elanus__OwnerState state)
{
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = channel->name;
    owner.epoch = channel->epoch;
    owner.node = channel->node->member.self->id;
    owner.incarnation = channel->node->member.self->incarnation;
    owner.state = state;
    return pb_pack(ctx, &owner);
}

/* --- release -------------------------------------------------------------------------- */

static void s_release(data_channel_t *channel, const event_t *ev, actions_t *act);
static void s_claim(data_channel_t *channel, const event_t *ev, actions_t *act);

/* Told for sure: not applied means that it is somebody else's, or was applied before. */
static void s_released(void *node, void *arg, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    data_channel_t *channel = arg;
    bool waited = channel->state == CHANNEL_CLOSING;        /* a stopping node does not */
    if (waited && ev->err != OK && !self->stopping)
        data_channel_try_again(channel, AGAIN_MS, act);
    else if (waited && channel->reopen && !self->stopping)
        s_claim(channel, ev, act);
    else if (waited)
        s_gone(channel, ERR_MOVED, "the channel was given up", act);
    data_channel_release(&channel);
}

/* The key says that nobody has it, if it is as we left it. */
static void s_release(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->again = false;
    meta_cmp_t same = data_channel_guard(channel, ev->ctx);
    meta_op_t put = { .kind = META_PUT, .key = same.key,
                      .value = s_owner(channel, ev->ctx, ELANUS__OWNER_STATE__OWNER_RELEASED) };
    act_meta_txn(act, &(meta_txn_t){ .cmps = &same, .n_cmps = 1, .ops = &put, .n_ops = 1 },
                 wait_once(channel->node->member.waits, act, s_released,
                           data_channel_hold(channel)));
}

/* Nothing of it is open any more.  On the store another node may have it at once. */
static void s_give_up(data_channel_t *channel, err_t err, const char *why, const event_t *ev,
                      actions_t *act)
{
    data_node_t *self = channel->node;
    bool release = channel->release && channel->owner_rev && data_on_store(self);
    s_refuse_openers(channel, err, why, act);
    channel->state = CHANNEL_CLOSING;
    if (release)
        s_release(channel, ev, act);
    if (self->stopping || (!release && !channel->reopen))
        s_gone(channel, err, why, act);
    else if (!release)
        s_claim(channel, ev, act);
}

/* The key is not as we thought, or nobody knows whether it was written. */
static void s_not_claimed(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    const char *why = ev->err == OK ? "another node claimed the channel meanwhile" : ev->text;
    channel->epoch--;
    if (channel->reopen && ev->err != OK)
        data_channel_try_again(channel, AGAIN_MS, act);
    else
        s_gone(channel, ev->err == OK ? ERR_CONFLICT : ev->err, why, act);
}

static void s_begin_look(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    data_node_t *self = channel->node;
    channel->reopen = false;
    channel->state = CHANNEL_LOOKING;
    channel->look = self->look + 1;
    s_look(self, ev, act);
}

static void s_claimed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    if (channel->state == CHANNEL_CLAIMING && (ev->err != OK || !ev->meta.txn.applied)) {
        s_not_claimed(channel, ev, act);
    } else if (channel->state == CHANNEL_CLAIMING) {
        channel->owner_rev = ev->meta.txn.rev;
        log_event(LOG_INFO, "channel_claimed", "channel=%s epoch=%" PRIu64, channel->name,
                  channel->epoch);
        s_begin_look(channel, ev, act);
    }
    data_channel_release(&channel);
}

static void s_claim(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    data_node_t *self = channel->node;
    int64_t rev = 0;
    const Elanus__Owner *now = directory_owner(self->directory, channel->name, &rev);
    uint64_t epoch = now ? now->epoch : 0;
    if (channel->owner_rev > rev) {             /* the watch has not shown our own last write */
        rev = channel->owner_rev;
        epoch = channel->epoch;
    }
    channel->state = CHANNEL_CLAIMING;
    channel->again = channel->release = false;
    channel->epoch = epoch + 1;
    if (PLANTED(BUG_EARLY_SURVEY) && rev) {
        channel->owner_rev = rev;               /* claimed when it is made ACTIVE */
        s_begin_look(channel, ev, act);
        return;
    }
    const char *key = directory_key_owner(ev->ctx, channel->name);
    meta_cmp_t same = { .kind = rev ? META_IF_MOD_REV : META_IF_ABSENT, .key = key, .rev = rev };
    meta_op_t put = { .kind = META_PUT, .key = key,
                      .value = s_owner(channel, ev->ctx, ELANUS__OWNER_STATE__OWNER_RECOVERING) };
    act_meta_txn(act, &(meta_txn_t){ .cmps = &same, .n_cmps = 1, .ops = &put, .n_ops = 1 },
                 wait_once(self->member.waits, act, s_claimed, data_channel_hold(channel)));
}

/* --- look ----------------------------------------------------------------------------- */

static void s_open_log(data_channel_t *channel, const event_t *ev, actions_t *act);

void data_collection_ahead(data_node_t *self, ctx_t *ctx, const meta_item_t *item)
{
    if (item->mod_rev <= self->coll_rev)
        return;                                 /* the watch was faster */
    if (catalog_put(self->catalog, ctx, item->key, item->value, item->mod_rev) != OK)
        log_event(LOG_ERROR, "collection_damaged", "key=%s why=\"%s\"", item->key, ctx->text);
    map_put_str(self->ahead, item->key, (void *)(uintptr_t)item->mod_rev);
}

static void s_saw_items(data_node_t *self, const event_t *ev)
{
    const meta_items_t *items = &ev->meta.items;
    const char *colls = catalog_root(CATALOG_COLLECTION);
    for (size_t i = 0; i < items->n; i++) {
        const meta_item_t *item = &items->at[i];
        if (strncmp(item->key, colls, strlen(colls)) == 0)
            data_collection_ahead(self, ev->ctx, item);
        else if (!data_seals_saw(self, ev->ctx, item) &&
                 segments_put(self->segments, ev->ctx, item->key, &item->value,
                              item->mod_rev) != OK)
            log_event(LOG_ERROR, "segment_damaged", "key=%s why=\"%s\"", item->key, ev->ctx->text);
    }
}

static void s_not_read(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->release = true;
    s_give_up(channel, ERR_META, "metadata could not be read", ev, act);
}

/* Channels that this round was read for go on; those that came later need another. */
static void s_looked_around(data_node_t *self, const event_t *ev, actions_t *act)
{
    bool more = false;
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->state != CHANNEL_LOOKING)
            continue;
        if (channel->look > self->look)
            more = true;
        else if (self->look_failed)
            s_not_read(channel, ev, act);
        else
            s_open_log(channel, ev, act);
    }
    if (more)
        s_look(self, ev, act);
}

static void s_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    data_node_t *self = node;
    self->looks_left--;
    if (ev->err == OK)
        s_saw_items(self, ev);
    else
        self->look_failed = true;
    if (self->looks_left == 0)
        s_looked_around(self, ev, act);
}

static void s_look(data_node_t *self, const event_t *ev, actions_t *act)
{
    (void)ev;
    if (self->looks_left > 0)
        return;                                 /* when this round is over, another begins */
    const char *roots[] = { catalog_root(CATALOG_COLLECTION), segments_root(SEGMENTS_SEG),
                            segments_root(SEGMENTS_CKPT), data_seals_root(), data_clock_root() };
    self->look++;
    self->look_failed = false;
    data_seals_begin(self);
    size_t n = ARRAY_LEN(roots) - (data_on_store(self) ? 0 : 2);
    for (size_t i = 0; i < n; i++, self->looks_left++)
        act_meta_list(act, roots[i], wait_once(self->member.waits, act, s_listed, NULL));
}

/* --- the log -------------------------------------------------------------------------- */

static void s_activate(data_channel_t *channel, const event_t *ev, actions_t *act);

static void s_adopt_log(data_channel_t *channel)
{
    data_node_t *self = channel->node;
    data_opening_t *opening = channel->opening;
    channel->disk = take(opening->disk);
    channel->log = take(opening->log);
    channel->log->meter = &self->count.wal;
    data_requests_destroy(&channel->requests);  /* of the epoch before */
    channel->requests = data_requests_new();
    channel->applied = wal_frontier(channel->log);
    channel->applied_ts = wal_max_ts(channel->log);
    channel->epoch = channel->applied.epoch;
    uint64_t least = channel->applied_ts > channel->bound ? channel->applied_ts : channel->bound;
    if (self->last_ts < least)
        self->last_ts = least;
    channel->seals.len = 0;
    for (size_t i = 0; i < opening->seals.len; i++)
        vec_push(&channel->seals, vec_at(&opening->seals, i));
    data_fence_reset(channel);
}

/* The store may answer again in a moment, so for a while we keep what we have claimed. */
static void s_not_opened(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    bool passes = ev->err == ERR_STORE || ev->err == ERR_TIMEOUT || ev->err == ERR_MEMORY;
    bool again = data_on_store(channel->node) && passes && !channel->node->stopping &&
                 ev->now_ms - channel->opening_since_ms < OPEN_MOST_MS;
    log_event(again ? LOG_WARN : LOG_ERROR, "channel_not_opened", "channel=%s epoch=%" PRIu64
              " why=\"%s\"", channel->name, channel->epoch, ev->text);
    data_opening_destroy(&channel->opening);
    if (again && channel->state == CHANNEL_OPENING) {
        data_channel_try_again(channel, OPEN_AGAIN_MS, act);
        return;
    }
    channel->release |= channel->state == CHANNEL_OPENING;
    s_give_up(channel, ev->err, ev->text, ev, act);
}

static void s_opened(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    check(channel->opening && (channel->state == CHANNEL_OPENING ||
                               channel->state == CHANNEL_CLOSING));
    channel->reading = false;
    if (ev->err != OK) {
        s_not_opened(channel, ev, act);
    } else if (channel->state == CHANNEL_CLOSING) {
        channel->disk = take(channel->opening->disk);
        channel->log = take(channel->opening->log);
        data_channel_work(channel, act);
    } else {
        s_adopt_log(channel);
        s_activate(channel, ev, act);
    }
    data_channel_release(&channel);
}

static void s_run_opening(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->again = false;
    channel->reading = true;
    channel->opening = data_opening_new(channel, ev->ctx);
    act_job(act, data_opening_run, channel->opening,
            wait_once(channel->node->member.waits, act, s_opened, data_channel_hold(channel)));
}

static void s_open_log(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    const Elanus__Checkpoint *ckpt = segments_ckpt(channel->node->segments, channel->name, NULL);
    channel->state = CHANNEL_OPENING;
    channel->ckpt = ckpt ? (wal_position_t){ ckpt->epoch, ckpt->seq } : (wal_position_t){0};
    channel->ckpt_ts = ckpt ? ckpt->ts : 0;
    channel->opening_since_ms = ev->now_ms;
    s_run_opening(channel, ev, act);
}

/* --- active --------------------------------------------------------------------------- */

static void s_close(data_channel_t *channel, const char *why, const event_t *ev, actions_t *act);

static void s_active(data_channel_t *channel, int64_t rev, const event_t *ev, actions_t *act)
{
    channel->owner_rev = rev;
    channel->state = CHANNEL_ACTIVE;
    data_seals_tell(channel);
    metrics_add(channel->node->count.takeovers, channel->epoch > 1);
    log_event(LOG_INFO, "channel_active", "channel=%s epoch=%" PRIu64, channel->name,
              channel->epoch);
    for (size_t i = 0; i < channel->openers.len; i++)
        act_reply(act, *(net_from_t *)vec_at(&channel->openers, i), view_of("", 0));
    channel->openers.len = 0;
    if (channel->opening->read)
        data_rows_adopt(channel, ev, act);
    else
        data_rows_read(channel, act);           /* after all that writers wait for */
}

static bool s_is_ours(const data_channel_t *channel, const Elanus__Owner *owner)
{
    return owner->incarnation == channel->node->member.self->incarnation &&
           owner->epoch == channel->epoch;
}

/* What became of the transaction that was to make it ACTIVE? */
static void s_read_back(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    Elanus__Owner *owner = NULL;
    if (channel->state != CHANNEL_ACTIVATING) {
        data_channel_release(&channel);
        return;
    }
    err_t err = ev->err != OK ? ev->err
              : PB_UNPACK(ev->ctx, elanus__owner, ev->meta.item.value, &owner);
    bool known = err == OK || err == ERR_KEY_NOT_FOUND;
    if (!known) {
        data_channel_try_again(channel, AGAIN_MS, act);
    } else if (err == OK && ev->meta.item.mod_rev == channel->owner_rev) {
        s_activate(channel, ev, act);           /* it was not applied */
    } else if (err == OK && s_is_ours(channel, owner) &&
               owner->state == ELANUS__OWNER_STATE__OWNER_ACTIVE) {
        s_active(channel, ev->meta.item.mod_rev, ev, act);
    } else {
        s_close(channel, "another node claimed the channel", ev, act);
    }
    data_channel_release(&channel);
}

static void s_ask_back(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->again = false;
    act_meta_get(act, directory_key_owner(ev->ctx, channel->name),
                 wait_once(channel->node->member.waits, act, s_read_back,
                           data_channel_hold(channel)));
}

static void s_activated(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    if (channel->state == CHANNEL_ACTIVATING) {
        if (ev->err == OK && ev->meta.txn.applied)
            s_active(channel, ev->meta.txn.rev, ev, act);
        else
            s_ask_back(channel, ev, act);
    }
    data_channel_release(&channel);
}

/* More epochs had ended than one transaction can seal: the next ones. */
static void s_sealed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    if (channel->state == CHANNEL_ACTIVATING) {
        if (ev->err == OK && ev->meta.txn.applied) {
            channel->seals_named += DATA_SEALS_AT_ONCE;
            s_activate(channel, ev, act);
        } else {
            s_ask_back(channel, ev, act);       /* they may be put again: they stay the same */
        }
    }
    data_channel_release(&channel);
}

static void s_activate(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->state = CHANNEL_ACTIVATING;
    meta_cmp_t same = data_channel_guard(channel, ev->ctx);
    meta_op_t ops[1 + DATA_SEALS_AT_ONCE];
    bool more = false;
    size_t n = data_seals_put(channel, ev->ctx, ops, &more);
    if (!more)
        ops[n++] = (meta_op_t){ .kind = META_PUT, .key = same.key,
                                .value = s_owner(channel, ev->ctx,
                                                 ELANUS__OWNER_STATE__OWNER_ACTIVE) };
    act_meta_txn(act, &(meta_txn_t){ .cmps = &same, .n_cmps = 1, .ops = ops, .n_ops = n },
                 wait_once(channel->node->member.waits, act, more ? s_sealed : s_activated,
                           data_channel_hold(channel)));
}

meta_cmp_t data_channel_guard(const data_channel_t *channel, ctx_t *ctx)
{
    return (meta_cmp_t){ .kind = META_IF_MOD_REV, .rev = channel->owner_rev,
                         .key = directory_key_owner(ctx, channel->name) };
}

/* --- the log's jobs, one at a time ---------------------------------------------------- */

static err_t s_close_job(ctx_t *ctx, void *arg)
{
    (void)ctx;
    data_channel_t *channel = arg;              /* nobody else looks at these two meanwhile */
    wal_destroy(&channel->log);
    wal_disk_destroy(&channel->disk);
    return OK;
}

static void s_closed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    channel->log_busy = false;
    data_write_free(channel);
    data_opening_destroy(&channel->opening);
    channel->twins.len = 0;
    channel->leaving = channel->puts_pause = channel->stalled = false;
    s_give_up(channel, ERR_MOVED, "the channel was given up", ev, act);
    data_channel_release(&channel);
}

/* A truncation goes before a commit where it runs alone: it is rare, commits may never pause. */
void data_channel_work(data_channel_t *channel, actions_t *act)
{
    if (channel->log && channel->state == CHANNEL_ACTIVE && wal_commits(channel->log) > 1)
        data_write_commit(channel, act);
    if (channel->log_busy || !channel->log)
        return;
    if (channel->state == CHANNEL_CLOSING && (channel->reading || channel->puts))
        return;
    if (channel->state == CHANNEL_CLOSING) {
        channel->log_busy = true;
        act_job(act, s_close_job, channel, wait_once(channel->node->member.waits, act, s_closed,
                                                     data_channel_hold(channel)));
    } else if (!data_channel_truncate(channel, act)) {
        data_write_commit(channel, act);
    }
}

/* --- close ---------------------------------------------------------------------------- */

static void s_close_shards(data_channel_t *channel, const char *why, actions_t *act)
{
    void *value = NULL;
    for (size_t at = 0; map_next(channel->shards, &at, NULL, &value); )
        data_follow_refuse(value, ERR_MOVED, why, act);
    s_drop_shards(channel);
    channel->news.len = 0;
}

/* There is no log, and no job that opens it. */
static void s_close_claim(data_channel_t *channel, const char *why, const event_t *ev,
                          actions_t *act)
{
    data_opening_destroy(&channel->opening);
    s_give_up(channel, ERR_MOVED, why, ev, act);
}

static void s_close(data_channel_t *channel, const char *why, const event_t *ev, actions_t *act)
{
    if (channel->state == CHANNEL_CLOSING || channel->state == CHANNEL_GONE)
        return;
    data_node_t *self = channel->node;
    log_event(self->stopping ? LOG_INFO : LOG_WARN, "channel_closes",
              "channel=%s epoch=%" PRIu64 " why=\"%s\"", channel->name, channel->epoch, why);
    if (channel->state == CHANNEL_ACTIVE)
        data_persist_closing(channel);
    bool was_active = channel->state == CHANNEL_ACTIVE;
    channel->state = CHANNEL_CLOSING;
    channel->again = channel->replayed = false;
    if (channel->opening)
        atomic_store_explicit(&channel->opening->unwanted, true, memory_order_relaxed);
    data_write_unknown(channel, why, act);
    s_close_shards(channel, why, act);
    s_refuse_openers(channel, ERR_MOVED, why, act);
    if (channel->log)
        data_channel_work(channel, act);
    else if (!channel->reading)
        s_close_claim(channel, why, ev, act);
    if (was_active)
        data_early_look(self, ev, act);
    data_frontier_look(self, ev, act);
}

void data_channel_lost(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    channel->reopen = channel->release = false;
    metrics_add(channel->node->count.lost, 1);
    s_close(channel, "the channel has another owner", ev, act);
}

void data_channel_reopen(data_channel_t *channel, const event_t *ev, actions_t *act,
                         const char *why)
{
    channel->reopen = true;
    channel->release = false;
    s_close(channel, why, ev, act);
}

void data_channel_resign(data_channel_t *channel, const event_t *ev, actions_t *act,
                         const char *why)
{
    channel->reopen = false;
    channel->release = true;
    s_close(channel, why, ev, act);
}

/* --- what happens to it ------------------------------------------------------------------ */

/* owner/ changed: what is somebody else's is given up. */
void data_channel_owners(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        int64_t rev = 0;
        const Elanus__Owner *owner = directory_owner(self->directory, channel->name, &rev);
        bool claimed = channel->state == CHANNEL_LOOKING || channel->state == CHANNEL_OPENING ||
                       channel->state == CHANNEL_ACTIVATING || channel->state == CHANNEL_ACTIVE;
        if (claimed && owner && rev > channel->owner_rev && !s_is_ours(channel, owner))
            data_channel_lost(channel, ev, act);
    }
}

/* TIMER_DATA_AGAIN */
void data_channel_again(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (channel->again && channel->state == CHANNEL_CLAIMING)
            s_claim(channel, ev, act);
        else if (channel->again && channel->state == CHANNEL_CLOSING)
            s_release(channel, ev, act);
        else if (channel->again && channel->state == CHANNEL_OPENING)
            s_run_opening(channel, ev, act);
        else if (channel->again && channel->state == CHANNEL_ACTIVATING)
            s_ask_back(channel, ev, act);
        else if (channel->again && channel->opening && !channel->opening->read)
            data_rows_again(channel, act);
    }
}

/* A name becomes a directory, so it is one. */
static bool s_is_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > LIMIT_NAME_BYTES || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= 'A' && name[i] <= 'Z') &&
            !(name[i] >= '0' && name[i] <= '9') && !strchr("-_.", name[i]))
            return false;
    return true;
}

static err_t s_may_open(data_node_t *self, ctx_t *ctx, const char *name)
{
    if (!s_is_name(name))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "not a channel's name: %.64s", name);
    if (!self->options->open_disk && !self->options->store)
        return ctx_fail(ctx, ERR_UNIMPLEMENTED, "%s: this data node was given neither a disk nor "
                        "an object store for its log", name);
    if (self->stopping || !self->coll_synced || !segments_synced(self->segments) ||
        !directory_synced(self->directory, DIRECTORY_OWNER))
        return ctx_fail(ctx, ERR_SERVICE_NOT_READY, "%s: this data node is %s", name,
                        self->stopping ? "stopping" : "still reading metadata");
    return OK;
}

static void s_probed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    bool waits = channel->state == CHANNEL_CLAIMING && channel->epoch == 0;
    if (waits && ev->err != OK)
        s_gone(channel, ev->err, ev->text, act);
    else if (waits)
        s_claim(channel, ev, act);
    data_channel_release(&channel);
}

void data_channel_open(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__OpenChannel *ask = NULL;
    err_t err = PB_UNPACK(ev->ctx, elanus__open_channel, ev->call.payload, &ask);
    if (err == OK)
        err = s_may_open(self, ev->ctx, ask->pchannel);
    if (err != OK) {
        act_refuse(act, ev->call.from, err, "%s", ev->ctx->text);
        return;
    }
    data_channel_t *channel = map_get_str(self->channels, ask->pchannel);
    if (channel && channel->state == CHANNEL_ACTIVE) {
        if (channel->stalled) {
            act_refuse(act, ev->call.from, ERR_STORE, "the log of %s cannot be written from "
                       "here: the store does not answer", channel->name);
            return;
        }
        channel->leaving = false;               /* nobody else wanted it */
        act_reply(act, ev->call.from, view_of("", 0));
        return;
    }
    if (channel && channel->openers.len >= LIMIT_DATA_OPENERS) {
        act_refuse(act, ev->call.from, ERR_QUEUE_FULL, "%s is being opened for others",
                   channel->name);
        return;
    }
    bool fresh = !channel;
    if (fresh)
        channel = s_new(self, ask->pchannel);
    vec_push(&channel->openers, &ev->call.from);
    if (channel->state == CHANNEL_CLOSING)
        channel->reopen = true;
    if (fresh && data_stall_must_probe(channel))
        data_stall_probe(channel, s_probed, act);
    else if (fresh)
        s_claim(channel, ev, act);
}

/* --- stop ----------------------------------------------------------------------------- */

/* The member says goodbye, and then the node is gone. */
void data_channel_leave(data_node_t *self, const event_t *ev, actions_t *act)
{
    if (self->left)
        return;
    self->left = true;
    event_t stop = { .kind = EV_STOP, .now_ms = ev->now_ms, .wall_ms = ev->wall_ms,
                     .ctx = ev->ctx, .text = "" };
    member_step(&self->member, self, &stop, act);
}

/* Close what has nothing under way, and leave when all is closed. */
void data_channel_stop(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (!channel->first && channel->state != CHANNEL_CLOSING)
            data_channel_resign(channel, ev, act, "this data node is stopping");
        channel->reopen = false;
    }
    if (map_len(self->channels) == 0)
        data_channel_leave(self, ev, act);
}

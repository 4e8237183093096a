/* data_rows - what the epochs before had written is read beside new writes
 *
 *     ACTIVE ─┬─► WRITE is appended, stored, fenced, answered; not applied
 *             └─► a job reads what lies behind the checkpoint ─► rows
 *     then: rows become the channel's, what was written meanwhile is applied in its order;
 *           from here on FOLLOW, FRONTIER, SEAL … are answered (data_early.c)
 *
 * How long the reading takes depends on how much was written since the last checkpoint, and
 * nobody who writes should wait for that.  What an acknowledgement promises needs no
 * rows: the entry is durable, the owner proved after its put, and whoever reads asks
 * FRONTIER first, which waits.  New rows go into new segments, for the old ones are not known yet.
 *
 * One thing does need what was written before: has this very request been done already?
 * Its proxy had no answer from the owner that died.  To wait for the reading would make
 * everybody wait whose request was under way at that moment, which is who a takeover is about.
 * So such a request is taken and acknowledged, and may be in the log twice.  The second
 * time does not count: data_write_replayed finds it, and so does every later replay, because it
 * meets both, and the second says that it was early (wal_entry_t); data_channel.twins keeps
 * checkpoints from coming between them.  The
 * effect is the first one's, at a time between the request and its answer, as it should be.
 *
 * A reading that fails is tried again for as long as the channel is ours: the store may come
 * back, and a damaged object may be put back by a person.  Writes are taken while the store takes
 * them, reads wait and say why.
 */
#include "datanode/data_path.h"

#include <inttypes.h>
#include <stdatomic.h>

enum { AGAIN_MS = 500 };

void data_rows_adopt(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    data_opening_t *opening = channel->opening;
    void *value = NULL;
    for (size_t at = 0; map_next(opening->shards, &at, NULL, &value); ) {
        data_shard_t *shard = value;
        map_del_str(opening->shards, shard->name);
        data_shard_adopt(channel, shard);
    }
    for (size_t i = 0; i < opening->twins.len; i++)
        vec_push(&channel->twins, vec_at(&opening->twins, i));
    data_requests_t *requests = take(opening->requests);
    if (data_on_store(channel->node))
        data_requests_learned(requests, ev->wall_ms);
    log_event(LOG_INFO, "channel_replayed", "channel=%s epoch=%" PRIu64 " entries=%" PRIu64
              " skipped=%" PRIu64, channel->name, channel->epoch, opening->n_entries,
              opening->n_skipped);
    data_opening_destroy(&channel->opening);
    channel->replayed = true;
    data_channel_sweep(channel, act);
    data_write_replayed(channel, requests, ev, act);
    data_persist_opened(channel, ev, act);
    data_early_look(channel->node, ev, act);
}

static void s_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    channel->reading = false;
    if (channel->state == CHANNEL_CLOSING) {
        data_channel_work(channel, act);
    } else if (ev->err != OK) {
        log_event(LOG_ERROR, "channel_not_replayed", "channel=%s epoch=%" PRIu64 " why=\"%s\"",
                  channel->name, channel->epoch, ev->text);
        data_channel_try_again(channel, AGAIN_MS, act);
    } else if (channel->state == CHANNEL_ACTIVE) {
        data_rows_adopt(channel, ev, act);
    }
    data_channel_release(&channel);
}

void data_rows_read(data_channel_t *channel, actions_t *act)
{
    channel->reading = true;
    act_job(act, data_opening_read, channel->opening,
            wait_once(channel->node->member.waits, act, s_ended, data_channel_hold(channel)));
}

void data_rows_again(data_channel_t *channel, actions_t *act)
{
    if (channel->state == CHANNEL_ACTIVE && !channel->reading) {
        channel->again = false;
        data_rows_read(channel, act);
    }
}

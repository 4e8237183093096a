/* data_stall - a channel whose log cannot be written, because the store does not answer
 *
 *     ACTIVE ── a put stays undecided ─► stalled ─┬─ the store answers us ─► opened again
 *                                                 └─ another node claims it ─► lost
 *
 * Writers hear that their outcome is unknown, new ones are sent away.  Readers lose nothing:
 * rows are in memory, and that the channel is still ours is asked of the metadata, not of the
 * store.  So it stays ACTIVE, and FRONTIER does not wait for what nobody can decide now: such a
 * write was not acknowledged, and it may take effect when the next epoch finds it in the log.
 *
 * The coordinator is told, and asks others to open the channel.  Whoever is asked to take a
 * channel that has an owner looks first whether the store answers: when it answers nobody,
 * all stay where they are; when only we are cut off, the channel moves.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"

enum { LOOK_MS = 300, PROBE_MS = 1000, TELL_MS = 1000 };

/* The channel is held, and neither its name nor the store change. */
static err_t s_probe_job(ctx_t *ctx, void *arg)
{
    const data_channel_t *channel = arg;
    uint64_t len = 0;
    ctx_limit_ms(ctx, PROBE_MS);
    err_t err = store_head(ctx, channel->node->options->store,
                           ctx_printf(ctx, "wal/%s/probe", channel->name), &len);
    if (err == ERR_KEY_NOT_FOUND)
        ctx_clear(ctx);
    return err == ERR_KEY_NOT_FOUND ? OK : err;
}

bool data_stall_must_probe(const data_channel_t *channel)
{
    const Elanus__Owner *owner = directory_owner(channel->node->directory, channel->name, NULL);
    return data_on_store(channel->node) && owner &&
           owner->state == ELANUS__OWNER_STATE__OWNER_ACTIVE;
}

void data_stall_probe(data_channel_t *channel, wait_fn *then, actions_t *act)
{
    act_job(act, s_probe_job, channel,
            wait_once(channel->node->member.waits, act, then, data_channel_hold(channel)));
}

static void s_look_again(data_channel_t *channel, actions_t *act)
{
    channel->stall_due = true;
    act_timer(act, TIMER_DATA_STALL, LOOK_MS);
}

static void s_probed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    data_channel_t *channel = arg;
    if (channel->state == CHANNEL_ACTIVE && channel->stalled && ev->err == OK)
        data_channel_reopen(channel, ev, act, "the store answers again");
    else if (channel->state == CHANNEL_ACTIVE && channel->stalled)
        s_look_again(channel, act);
    data_channel_release(&channel);
}

static void s_told(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;                                 /* it is told again while it lasts */
    (void)arg;
    (void)ev;
    (void)act;
}

static void s_tell(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    member_t *member = &channel->node->member;
    if (!member->leader_there)
        return;
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = channel->name;
    owner.epoch = channel->epoch;
    act_call(act, member->leader_address, ELANUS__METHOD__METHOD_OPEN_CHANNEL,
             pb_pack(ev->ctx, &owner), TELL_MS, wait_once(member->waits, act, s_told, NULL));
}

void data_channel_stall(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    if (channel->leaving)
        data_channel_resign(channel, ev, act, ev->text);
    if (channel->state != CHANNEL_ACTIVE || channel->stalled)
        return;
    log_event(LOG_WARN, "channel_stalls", "channel=%s why=\"%s\"", channel->name, ev->text);
    channel->stalled = true;
    metrics_add(channel->node->count.stalls, 1);
    data_write_unknown(channel, ev->text, act);
    s_tell(channel, ev, act);
    s_look_again(channel, act);
}

void data_stall_due(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = self->all.len; i-- > 0; ) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        bool due = channel->state == CHANNEL_ACTIVE && channel->stalled && channel->stall_due;
        channel->stall_due = false;
        if (!due)
            continue;
        s_tell(channel, ev, act);
        data_stall_probe(channel, s_probed, act);
    }
}

/* --- giving it to another ----------------------------------------------------------------- */

void data_channel_drained(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    if (channel->leaving && !channel->first && channel->state == CHANNEL_ACTIVE)
        data_channel_resign(channel, ev, act, "the channel moves to another node");
}

/* Writes are sent away from now on; those under way are answered first.  The answer comes at
 * once: owner/ tells when it is done. */
void data_channel_close_call(data_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__OpenChannel *ask = NULL;
    err_t err = PB_UNPACK(ev->ctx, elanus__open_channel, ev->call.payload, &ask);
    if (err != OK) {
        act_refuse(act, ev->call.from, err, "%s", ev->ctx->text);
        return;
    }
    data_channel_t *channel = data_channel_live(self, ask->pchannel);
    if (!channel || !data_on_store(self)) {
        act_refuse(act, ev->call.from, ERR_SERVICE_NOT_READY, "%s cannot be given up now",
                   ask->pchannel);
        return;
    }
    channel->leaving = true;
    act_reply(act, ev->call.from, view_of("", 0));
    data_channel_drained(channel, ev, act);
}

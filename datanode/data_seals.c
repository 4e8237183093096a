/* data_seals - what metadata says of a channel whose log is on the object store
 *
 *     seal/<pchannel>/<epoch, 16 hex digits>     Seal: how an epoch ended
 *     clock/<pchannel>                           Clock: what may have been promised
 *
 * Both are read after the claim, so nobody but us can change them afterwards.  A takeover adds
 * seals, a checkpoint deletes those that nothing is read with any more: of the epochs before
 * the last but one, because the last one's hash and timestamp begin the next survey.
 */
#include "datanode/data_path.h"

#include <inttypes.h>

#include "core/wal/wal_objects.h"
#include "core/wire/pb.h"
#include "datanode/data_planted.h"

const char *data_seals_root(void)
{
    return "seal/";
}

const char *data_clock_root(void)
{
    return "clock/";
}

const char *data_key_clock(ctx_t *ctx, const char *pchannel)
{
    return ctx_printf(ctx, "%s%s", data_clock_root(), pchannel);
}

static const char *s_key(ctx_t *ctx, const char *pchannel, uint64_t epoch)
{
    return ctx_printf(ctx, "%s%s/%016" PRIx64, data_seals_root(), pchannel, epoch);
}

static const wal_seal_t *s_at(const data_channel_t *channel, size_t i)
{
    return vec_at(&channel->seals, i);
}

/* --- reading --------------------------------------------------------------------------- */

/* The channel this round reads for; NULL: others, and nobody's. */
static data_channel_t *s_reads(const data_node_t *self, const char *pchannel)
{
    data_channel_t *channel = map_get_str(self->channels, pchannel);
    bool reads = channel && channel->state == CHANNEL_LOOKING && channel->look == self->look;
    return reads ? channel : NULL;
}

void data_seals_begin(data_node_t *self)
{
    for (size_t i = 0; i < self->all.len; i++) {
        data_channel_t *channel = *(data_channel_t **)vec_at(&self->all, i);
        if (s_reads(self, channel->name) == channel)
            channel->seals.len = channel->seals_named = 0;
    }
}

static void s_saw_seal(const data_node_t *self, const Elanus__Seal *from)
{
    data_channel_t *channel = s_reads(self, from->pchannel);
    if (!channel || from->hash.len != WAL_HASH_BYTES)
        return;                                 /* the survey will miss it and say so */
    wal_seal_t seal = { .epoch = from->epoch, .end = from->end, .max_ts = from->max_ts };
    memcpy(seal.hash, from->hash.data, WAL_HASH_BYTES);
    vec_push(&channel->seals, &seal);
    channel->seals_named = channel->seals.len;
}

static void s_saw_clock(const data_node_t *self, const Elanus__Clock *from)
{
    data_channel_t *channel = s_reads(self, from->pchannel);
    if (channel && channel->bound < from->ts)
        channel->bound = from->ts;
}

bool data_seals_saw(data_node_t *self, ctx_t *ctx, const meta_item_t *item)
{
    Elanus__Seal *seal = NULL;
    Elanus__Clock *clock = NULL;
    bool is_seal = view_starts(view_str(item->key), view_str(data_seals_root()));
    bool is_clock = view_starts(view_str(item->key), view_str(data_clock_root()));
    err_t err = is_seal ? PB_UNPACK(ctx, elanus__seal, item->value, &seal)
              : is_clock ? PB_UNPACK(ctx, elanus__clock, item->value, &clock) : OK;
    if (err != OK) {                            /* that channel must not be opened without it */
        log_event(LOG_ERROR, "seal_damaged", "key=%s why=\"%s\"", item->key, ctx->text);
        self->look_failed = true;
    } else if (is_seal) {
        s_saw_seal(self, seal);
    } else if (is_clock) {
        s_saw_clock(self, clock);
    }
    return is_seal || is_clock;
}

/* --- writing --------------------------------------------------------------------------- */

size_t data_seals_put(const data_channel_t *channel, ctx_t *ctx,
                      meta_op_t ret[DATA_SEALS_AT_ONCE], bool *ret_more)
{
    size_t n = 0, from = PLANTED(BUG_NO_SEAL) ? channel->seals.len : channel->seals_named;
    for (size_t i = from; i < channel->seals.len && n < DATA_SEALS_AT_ONCE; i++) {
        const wal_seal_t *seal = s_at(channel, i);
        Elanus__Seal into = ELANUS__SEAL__INIT;
        into.pchannel = channel->name;
        into.epoch = seal->epoch;
        into.end = seal->end;
        into.max_ts = seal->max_ts;
        into.hash = (ProtobufCBinaryData){ .len = WAL_HASH_BYTES, .data = (uint8_t *)seal->hash };
        ret[n++] = (meta_op_t){ .kind = META_PUT, .value = pb_pack(ctx, &into),
                                .key = s_key(ctx, channel->name, seal->epoch) };
    }
    *ret_more = from + n < channel->seals.len;
    return n;
}

void data_seals_tell(const data_channel_t *channel)
{
    if (channel->seals.len <= channel->seals_named)
        return;                                 /* known from metadata */
    const wal_seal_t *last = s_at(channel, channel->seals.len - 1);
    log_event(LOG_INFO, "epoch_sealed", "channel=%s epoch=%" PRIu64 " end=%" PRIu64, channel->name,
              last->epoch, last->end);
}

size_t data_seals_drop(const data_channel_t *channel, wal_position_t ckpt, ctx_t *ctx,
                       meta_op_t ret[DATA_SEALS_AT_ONCE])
{
    size_t n = 0;
    for (; n < channel->seals.len && n < DATA_SEALS_AT_ONCE; n++) {
        if (s_at(channel, n)->epoch + 1 >= ckpt.epoch)
            break;
        ret[n] = (meta_op_t){ .kind = META_DELETE,
                              .key = s_key(ctx, channel->name, s_at(channel, n)->epoch) };
    }
    return n;
}

void data_seals_forget(data_channel_t *channel, size_t n)
{
    check(n <= channel->seals.len);
    wal_seal_t *seals = channel->seals.ptr;
    if (n > 0)
        memmove(seals, seals + n, (channel->seals.len - n) * sizeof *seals);
    channel->seals.len -= n;
}

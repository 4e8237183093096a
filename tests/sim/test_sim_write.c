/* Writes to data nodes that die: nothing acknowledged is lost, resurrected or there twice.
 *
 * A coordinator, two data nodes whose logs lie on disks that either of them can open (one at
 * a time), clients that insert, upsert and delete keys of their own until each request is
 * acknowledged, and a reader that follows both channels.  Nodes are killed, stopped, frozen,
 * cut off; power fails in the middle of a commit; disks fail once, or are full.
 * Then the same with the logs on a store that both nodes reach: puts fail, or arrive when
 * another node has taken the channel, and every node's clock is off by its own.
 *
 * Each key has a history of acknowledged states with their timestamps.  Checked is
 * - what the owner's growing segments show, after every acknowledgement, against the newest;
 * - what the reader makes of rows and the deletes it was told, at the timestamp that FRONTIER
 *   promised, against the newest that is not above it.
 * A request under way may show its old or its new state.  Planted bugs must be found. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DATA_PLANTED
#include "datanode/data_fence.c"
#include "datanode/data_replay.c"
#include "datanode/data_seals.c"
#include "datanode/data_write.c"

#include "coord/coord_node.h"
#include "core/segment/live.h"
#include "tests/support/key_model.h"
#include "tests/support/late_store.h"
#include "tests/support/rows_collection.h"
#include "tests/support/sim.h"
#include "tests/support/sim_disk.h"

data_bug_t data_planted;

enum { DATA = 2, CLIENTS = 3, KEYS = 24, SHARDS = 2, DEFAULT_SEEDS = 40, ROUNDS = 40 };
enum { COORD = 0, FIRST_DATA = 1, FIRST_CLIENT = FIRST_DATA + DATA,
       READER = FIRST_CLIENT + CLIENTS, NODES = READER + 1 };
enum { TIMER_TEST = 100, COLLECTION = ROWS_COLLECTION, PARTITION = ROWS_PARTITION };
enum { TRY_MS = 700, PATIENT_MS = 9000, LOG_FILE_BYTES = 16384 };

static const char *const g_vchannels[SHARDS] = { "dml_0_500v0", "dml_1_500v1" };
static const char *const g_pchannels[SHARDS] = { "dml_0", "dml_1" };

/* --- the model ------------------------------------------------------------------------ */

static struct {
    uint64_t seed;
    sim_t *sim;
    schema_t *schema;
    key_model_t *model;
    sim_disks_t *disks;
    late_store_t *store;        /* NULL: the logs are on the disks */
    data_options_t options;
    uint64_t newest[SHARDS];    /* largest timestamp that was acknowledged */
    bool acked, lenient;
    int64_t try_ms;             /* of a call: who is frozen may still answer */
    unsigned n_acked, n_compared, n_read, n_repeats;
} g;

static int s_shard_of(int64_t key)
{
    return (int)(key % SHARDS);
}

/* --- deaths --------------------------------------------------------------------------- */

static void s_lose_power(sim_t *sim)
{
    sim_disks_power(g.disks, false);
    for (int n = FIRST_DATA; n < FIRST_CLIENT; n++)
        sim_kill(sim, n);
    sim_disks_crash(g.disks, sim_rng(sim));
}

static void s_kill(sim_t *sim, int n)
{
    bool power = sim_disks_have_power(g.disks);
    if (n >= FIRST_DATA && n < FIRST_CLIENT)
        sim_disks_power(g.disks, false);
    sim_kill(sim, n);
    sim_disks_power(g.disks, power);
}

/* --- a client ------------------------------------------------------------------------- */

typedef struct {
    bool wanted, asked;
    unsigned times;
    uint64_t from;              /* acknowledged before it was sent first */
} part_t;

typedef struct {
    member_t member;
    directory_t *directory;
    bool busy;
    wal_kind_t kind;            /* INSERT, DELETE, UPSERT */
    int64_t keys[8];
    size_t n_keys;
    int64_t version;
    uint64_t request[2];
    part_t parts[SHARDS];
} client_t;

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)act;
    client_t *self = node;
    directory_watched(self->directory, ev->ctx, (directory_kind_t)(uintptr_t)arg,
                      ev->watch.changes, ev->watch.n);
}

static void s_follow_directory(client_t *self, actions_t *act)
{
    for (uintptr_t kind = 0; kind < DIRECTORY_REPLICA; kind++)
        act_meta_watch(act, directory_root((directory_kind_t)kind),
                       wait_always(self->member.waits, act, s_watched, (void *)kind));
}

static void *s_client_make(const node_self_t *who, const void *options)
{
    (void)options;
    client_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->directory = directory_new();
    return self;
}

static void s_client_end(void *node)
{
    client_t *self = node;
    directory_destroy(&self->directory);
    member_fini(&self->member);
    mem_free(self);
}

static int64_t s_first_key(const client_t *self)
{
    return ((int64_t)self->member.self->id - 1 - FIRST_CLIENT) * KEYS;
}

/* Some keys, and something that may be done to all of them. */
static void s_think(client_t *self, actions_t *act)
{
    rng_t *rng = &act->rng;
    static const wal_kind_t kinds[] = { WAL_INSERT, WAL_INSERT, WAL_DELETE, WAL_UPSERT };
    self->kind = kinds[rng_below(rng, ARRAY_LEN(kinds))];
    self->n_keys = 0;
    self->version++;
    int64_t first = s_first_key(self);
    for (int64_t i = 0; i < KEYS && self->n_keys < ARRAY_LEN(self->keys); i++) {
        bool fits = self->kind != WAL_INSERT || key_model_newest(g.model, first + i) == KEY_ABSENT;
        if (fits && rng_chance(rng, 0.15))
            self->keys[self->n_keys++] = first + i;
    }
    self->busy = self->n_keys > 0;
    self->request[0] = rng_u64(rng);
    self->request[1] = rng_u64(rng);
    memset(self->parts, 0, sizeof self->parts);
    for (size_t i = 0; i < self->n_keys; i++) {
        key_model_begin(g.model, self->keys[i],
                        self->kind == WAL_DELETE ? KEY_ABSENT : self->version);
        self->parts[s_shard_of(self->keys[i])].wanted = true;
    }
}

static void s_columns(const client_t *self, int shard, column_builder_t b[3])
{
    uint8_t pad[200] = {0};
    for (int i = 0; i < 3; i++)
        column_builder_init(&b[i], schema_at(g.schema, (size_t)i));
    for (size_t i = 0; i < self->n_keys; i++) {
        if (s_shard_of(self->keys[i]) != shard)
            continue;
        column_builder_add(&b[0], view_of(&self->keys[i], 8));
        column_builder_add(&b[1], view_of(&self->version, 8));
        column_builder_add(&b[2], view_of(pad, (size_t)(self->keys[i] * 37 % 200)));
    }
}

static void s_build(const client_t *self, int shard, uint64_t epoch, buf_t *into)
{
    ctx_t ctx;
    ctx_init(&ctx);
    column_builder_t b[3];
    s_columns(self, shard, b);
    column_t pks = column_builder_view(&b[0]);
    wal_field_t fields[3];
    for (size_t i = 0; i < 3; i++)
        fields[i] = (wal_field_t){ .id = FIELD_FIRST + (int64_t)i,
                                   .column = column_builder_view(&b[i]) };
    wal_entry_t delete = {
        .kind = WAL_DELETE, .collection = COLLECTION, .partition = -1, .deletes = &pks,
        .request = { self->request[0], self->request[1] },
        .vchannel = view_str(g_vchannels[shard]),
    };
    wal_entry_t insert = delete;
    insert.kind = WAL_INSERT;
    insert.partition = PARTITION;
    insert.deletes = NULL;
    insert.fields = fields;
    insert.n_fields = 3;
    wal_batch_t batch;
    wal_batch_init(&batch, view_str(g_pchannels[shard]));
    if (self->kind != WAL_INSERT)
        check(wal_batch_add(&ctx, &batch, &delete) == OK);
    if (self->kind != WAL_DELETE)
        check(wal_batch_add(&ctx, &batch, &insert) == OK);
    wal_link_t link = { .at = { epoch, 1 } };
    view_t bytes = {0};
    uint8_t hash[WAL_HASH_BYTES];
    check(wal_batch_seal(&ctx, &batch, &link, &bytes, hash) == OK);
    buf_add_view(into, bytes);
    wal_batch_fini(&batch);
    for (int i = 0; i < 3; i++)
        column_builder_fini(&b[i]);
    ctx_fini(&ctx);
}

static void s_acked(client_t *self, int shard, uint64_t ts)
{
    self->parts[shard].wanted = false;
    uint64_t from = self->parts[shard].times > 1 ? self->parts[shard].from : ts;
    for (size_t i = 0; i < self->n_keys; i++)
        if (s_shard_of(self->keys[i]) == shard)
            key_model_acked_by(g.model, self->keys[i], from, ts);
    if (ts > g.newest[shard])
        g.newest[shard] = ts;
    g.n_acked++;
    g.acked = true;
}

static bool s_may_come_right(err_t err)
{
    static const err_t s_errors[] = {
        ERR_NETWORK, ERR_TIMEOUT, ERR_MOVED, ERR_OUTCOME_UNKNOWN, ERR_DISK_FULL, ERR_QUEUE_FULL,
        ERR_SERVICE_NOT_READY, ERR_META,
    };
    for (size_t i = 0; i < ARRAY_LEN(s_errors); i++)
        if (err == s_errors[i])
            return true;
    return false;
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    client_t *self = node;
    int shard = (int)(uintptr_t)arg;
    Elanus__Written *written = NULL;
    (void)act;
    self->parts[shard].asked = false;
    if (ev->err == OK) {
        check(PB_UNPACK(ev->ctx, elanus__written, ev->payload, &written) == OK);
        s_acked(self, shard, written->ts);
    } else if (!s_may_come_right(ev->err)) {
        key_model_wrong(g.model, "a write was refused: %s", ev->text);
    } else {
        g.n_repeats++;
    }
}

static void s_send(client_t *self, int shard, const event_t *ev, actions_t *act)
{
    uint64_t epoch = 0;
    const Elanus__NodeInfo *owner = directory_owner_node(self->directory, g_vchannels[shard],
                                                         &epoch);
    if (!owner)
        return;
    (void)ev;
    buf_t bytes;
    buf_init(&bytes, 0);
    s_build(self, shard, epoch, &bytes);
    self->parts[shard].asked = true;
    if (self->parts[shard].times++ == 0)
        self->parts[shard].from = g.newest[shard];
    act_call_moved(act, owner->address, ELANUS__METHOD__METHOD_WRITE, &bytes, g.try_ms,
                   wait_once(self->member.waits, act, s_replied, (void *)(uintptr_t)shard));
}

static void s_client_turn(client_t *self, const event_t *ev, actions_t *act)
{
    bool waits = false;
    for (int i = 0; i < SHARDS; i++) {
        waits |= self->parts[i].wanted;
        if (self->parts[i].wanted && !self->parts[i].asked)
            s_send(self, i, ev, act);
    }
    if (!waits)
        s_think(self, act);
    act_timer(act, TIMER_TEST, g.store ? 1 + (int64_t)rng_below(&act->rng, 5)
                                : 5 + (int64_t)rng_below(&act->rng, 30));
}

static void s_client_step(void *node, const event_t *ev, actions_t *act)
{
    client_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_START) {
        self->version = (int64_t)(rng_u64(&act->rng) >> 2);
        s_follow_directory(self, act);
        act_timer(act, TIMER_TEST, 10);
    } else if (ev->kind == EV_TIMER && ev->timer == TIMER_TEST) {
        s_client_turn(self, ev, act);
    }
}

static bool s_client_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t g_client_role = {
    .name = "proxy", .make = s_client_make, .step = s_client_step, .end = s_client_end,
    .ready = s_client_ready,
};

/* --- the reader ----------------------------------------------------------------------- */

typedef struct { uint64_t ts; int64_t key; } told_t;

typedef struct {
    uint64_t epoch, seq, last_ts;
    vec_t growing;              /* of growing_t *, referenced */
    vec_t deletes;              /* of told_t */
    bool following, asking, waiting;
    uint64_t newest;            /* acknowledged when FRONTIER was asked */
    uint64_t want_ts, read_ts;
} stream_t;

typedef struct { client_t base; stream_t streams[SHARDS]; } reader_t;

static void s_forget(stream_t *s)
{
    for (size_t i = 0; i < s->growing.len; i++)
        growing_unref(vec_at(&s->growing, i));
    s->growing.len = s->deletes.len = 0;
}

/* Rows up to T without those that a delete it was told of hides; the segments' own
 * deaths are not looked at. */
static bool s_told_dead(const stream_t *s, int64_t key, uint64_t row_ts)
{
    for (size_t i = 0; i < s->deletes.len; i++) {
        const told_t *told = vec_at(&s->deletes, i);
        if (told->key == key && told->ts > row_ts && told->ts <= s->read_ts)
            return true;
    }
    return false;
}

static void s_see_segment(const growing_t *segment, uint64_t read_ts, const stream_t *told)
{
    ctx_t ctx;
    ctx_init(&ctx);
    growing_snapshot_t snap = growing_at(segment, read_ts);
    for (size_t b = 0; b < snap.n_blocks; b++) {
        segment_block_t block = growing_block(&snap, b);
        column_t keys, versions;
        check(growing_column(&ctx, &snap, b, 0, &keys) == OK);
        check(growing_column(&ctx, &snap, b, 1, &versions) == OK);
        for (size_t row = 0; row < block.n; row++) {
            int64_t key = load_i64(column_cell(&keys, row).ptr);
            uint64_t died = growing_died(&snap, block.first + row);
            bool dead = told ? s_told_dead(told, key, block.ts[row])
                             : died != SEGMENT_ALIVE && died <= read_ts;
            if (!dead)
                key_model_see(g.model, key, load_i64(column_cell(&versions, row).ptr));
        }
    }
    ctx_fini(&ctx);
}

static void s_read(const stream_t *s, int shard)
{
    key_model_look(g.model, "the reader");
    for (size_t i = 0; i < s->growing.len; i++)
        s_see_segment(*(growing_t **)vec_at(&s->growing, i), s->read_ts, s);
    key_model_compare(g.model, SHARDS, shard, s->read_ts);
    if (s->read_ts < s->newest)
        key_model_wrong(g.model, "complete up to %" PRIu64 ", but %" PRIu64 " was acknowledged "
                        "before", s->read_ts, s->newest);
    g.n_read++;
}

static void s_take_news(reader_t *self, int shard, const Elanus__Followed *news, ctx_t *ctx)
{
    stream_t *s = &self->streams[shard];
    if (news->reset)
        s_forget(s);
    else if (news->epoch != s->epoch)
        key_model_wrong(g.model, "news of another epoch without a reset");
    for (size_t i = 0; i < news->n_growing; i++) {
        growing_t *segment = live_get(news->owner, news->growing[i]->id);
        if (!segment) {                         /* its owner died, or closed the channel */
            s_forget(s);
            s->epoch = s->seq = 0;
            return;
        }
        vec_push(&s->growing, &segment);
    }
    for (size_t i = 0; i < news->n_deletes; i++) {
        column_t pks;
        size_t used = 0;
        const Elanus__DeleteRun *run = news->deletes[i];
        check(column_read(ctx, view_of(run->pks.data, run->pks.len), &pks, &used) == OK);
        for (size_t k = 0; k < pks.n; k++)
            vec_push(&s->deletes, &(told_t){ run->ts, load_i64(column_cell(&pks, k).ptr) });
    }
    s->epoch = news->epoch;
    s->seq = news->seq;
    s->last_ts = news->last_ts;
    if (s->waiting && s->last_ts >= s->want_ts) {
        s->waiting = false;
        s_read(s, shard);
    }
}

static void s_followed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    reader_t *self = node;
    int shard = (int)(uintptr_t)arg;
    Elanus__Followed *news = NULL;
    (void)act;
    self->streams[shard].following = false;
    if (ev->err != OK)
        return;
    check(PB_UNPACK(ev->ctx, elanus__followed, ev->payload, &news) == OK);
    s_take_news(self, shard, news, ev->ctx);
}

static void s_told_frontier(void *node, void *arg, const event_t *ev, actions_t *act)
{
    reader_t *self = node;
    int shard = (int)(uintptr_t)arg;
    stream_t *s = &self->streams[shard];
    Elanus__Frontier *frontier = NULL;
    (void)act;
    s->asking = false;
    if (ev->err != OK)
        return;
    check(PB_UNPACK(ev->ctx, elanus__frontier, ev->payload, &frontier) == OK);
    s->want_ts = frontier->last_ts[0];
    s->read_ts = frontier->complete_ts;
    s->waiting = s->epoch == 0 || s->last_ts < s->want_ts;
    if (!s->waiting)
        s_read(s, shard);
}

static void s_ask_frontier(reader_t *self, int shard, const char *address, const event_t *ev,
                           actions_t *act)
{
    stream_t *s = &self->streams[shard];
    char *name = (char *)g_vchannels[shard];
    Elanus__FrontierAsk ask = ELANUS__FRONTIER_ASK__INIT;
    ask.vchannels = &name;
    ask.n_vchannels = 1;
    if (rng_chance(&act->rng, 0.3))
        ask.at_least = (uint64_t)(ev->wall_ms + (int64_t)rng_below(&act->rng, 200)) << 18;
    s->asking = true;
    s->newest = g.newest[shard];
    act_call(act, address, ELANUS__METHOD__METHOD_FRONTIER, pb_pack(ev->ctx, &ask), g.try_ms,
             wait_once(self->base.member.waits, act, s_told_frontier, (void *)(uintptr_t)shard));
}

static void s_reader_turn(reader_t *self, int shard, const event_t *ev, actions_t *act)
{
    stream_t *s = &self->streams[shard];
    const Elanus__NodeInfo *owner = directory_owner_node(self->base.directory, g_vchannels[shard],
                                                         NULL);
    if (!owner)
        return;
    if (!s->following) {
        Elanus__Follow ask = ELANUS__FOLLOW__INIT;
        ask.vchannel = (char *)g_vchannels[shard];
        ask.epoch = s->epoch;
        ask.seq = s->seq;
        ask.wait_ms = 300;
        s->following = true;
        act_call(act, owner->address, ELANUS__METHOD__METHOD_FOLLOW, pb_pack(ev->ctx, &ask),
                 g.try_ms, wait_once(self->base.member.waits, act, s_followed,
                                   (void *)(uintptr_t)shard));
    }
    if (!s->asking && !s->waiting)
        s_ask_frontier(self, shard, owner->address, ev, act);
}

static void s_reader_step(void *node, const event_t *ev, actions_t *act)
{
    reader_t *self = node;
    if (member_step(&self->base.member, self, ev, act))
        return;
    if (ev->kind == EV_START)
        s_follow_directory(&self->base, act);
    for (int i = 0; ev->kind == EV_TIMER && ev->timer == TIMER_TEST && i < SHARDS; i++)
        s_reader_turn(self, i, ev, act);
    if (ev->kind == EV_START || (ev->kind == EV_TIMER && ev->timer == TIMER_TEST))
        act_timer(act, TIMER_TEST, 10);
}

static void *s_reader_make(const node_self_t *who, const void *options)
{
    (void)options;
    reader_t *self = mem_new(sizeof *self);
    member_init(&self->base.member, who);
    self->base.directory = directory_new();
    for (int i = 0; i < SHARDS; i++) {
        vec_init(&self->streams[i].growing, sizeof(growing_t *));
        vec_init(&self->streams[i].deletes, sizeof(told_t));
    }
    return self;
}

static void s_reader_end(void *node)
{
    reader_t *self = node;
    for (int i = 0; i < SHARDS; i++) {
        s_forget(&self->streams[i]);
        vec_fini(&self->streams[i].growing);
        vec_fini(&self->streams[i].deletes);
    }
    s_client_end(self);
}

static const role_t g_reader_role = {
    .name = "querynode", .make = s_reader_make, .step = s_reader_step, .end = s_reader_end,
    .ready = s_client_ready,
};

/* --- the owners themselves ------------------------------------------------------------ */

/* Metadata says so: who was frozen or cut off may believe it still. */
static bool s_owns(const data_channel_t *channel)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t item = {0};
    bool owns = meta_get(&ctx, sim_meta(g.sim), directory_key_owner(&ctx, channel->name),
                         &item) == OK && item.mod_rev == channel->owner_rev;
    ctx_fini(&ctx);
    return owns;
}

/* What each channel's owner shows, if it has one now. */
static void s_check_owner(const data_node_t *node, int shard)
{
    const data_channel_t *channel = data_channel_of(node, g_vchannels[shard]);
    if (!channel || !s_owns(channel))
        return;
    const data_shard_t *rows = map_get_str(channel->shards, g_vchannels[shard]);
    key_model_look(g.model, "the owner");
    for (size_t i = 0; rows && i < rows->segments.len; i++)
        s_see_segment((*(data_segment_t **)vec_at(&rows->segments, i))->rows, UINT64_MAX, NULL);
    key_model_compare(g.model, SHARDS, shard, UINT64_MAX);
    g.n_compared++;
}

static void s_check_all(sim_t *sim)
{
    for (int n = FIRST_DATA; n < FIRST_CLIENT; n++)
        for (int i = 0; i < SHARDS && sim_alive(sim, n) && sim_node(sim, n); i++)
            s_check_owner(sim_node(sim, n), i);
}

static void s_verify(sim_t *sim, void *arg)
{
    (void)arg;
    if (key_model_verdict(g.model) && !g.lenient)
        fail_msg("seed %" PRIu64 " at %" PRId64 " ms: %s", g.seed, sim_now_ms(sim),
                 key_model_verdict(g.model));
    if (g.store)
        late_store_land(g.store);
    if (!g.acked)
        return;
    g.acked = false;
    s_check_all(sim);
}

/* --- scenarios ------------------------------------------------------------------------ */

static sim_t *s_begin(uint64_t seed, bool on_store)
{
    memset(&g, 0, sizeof g);
    g.seed = seed;
    g.disks = sim_disks_new();
    g.options = (data_options_t){
        .open_disk = sim_disks_open, .disk_arg = g.disks, .wal_file_bytes = LOG_FILE_BYTES,
        .repeat_ms = 60000, .seal_age_ms = INT64_MAX, .seal_idle_ms = INT64_MAX,
        .delete_bytes = UINT64_MAX, .delete_age_ms = INT64_MAX,
    };
    g.try_ms = on_store && seed % 2 ? PATIENT_MS : TRY_MS;
    g.model = key_model_new(CLIENTS * KEYS);
    g.sim = sim_new(&(sim_options_t){ .seed = seed, .meta_lost = 0.02, .same_clocks = !on_store,
                                      .verify = s_verify });
    if (on_store) {
        g.store = late_store_new(sim_rng(g.sim));
        g.options.store = late_store_of(g.store);
        g.options.open_disk = NULL;
    }
    rows_collection_put(sim_meta(g.sim), g_vchannels, SHARDS, &g.schema);
    for (int n = 0; n < NODES; n++) {
        const role_t *role = n == COORD ? &coord_role : n < FIRST_CLIENT ? &data_role
                           : n < READER ? &g_client_role : &g_reader_role;
        sim_start(g.sim, sim_add_with(g.sim, role, role == &data_role ? &g.options : NULL));
    }
    return g.sim;
}

static void s_end_world(sim_t *sim)
{
    sim_disks_power(g.disks, false);
    sim_destroy(&sim);
    sim_disks_destroy(&g.disks);
    late_store_destroy(&g.store);
    key_model_destroy(&g.model);
    schema_unref(&g.schema);
}

/* An owner that hears nothing of its successor, and a client that believes in it with it; or one
 * that is frozen until there is a successor. */
static void s_be_deposed(sim_t *sim, int data)
{
    rng_t *rng = sim_rng(sim);
    bool frozen = rng_chance(rng, 0.5);
    if (frozen) {
        sim_pause(sim, data);
    } else {
        sim_cut_meta(sim, data, true);
        sim_cut_meta(sim, FIRST_CLIENT + (int)rng_below(rng, CLIENTS), true);
        sim_cut(sim, data, COORD, true);
        sim_cut(sim, COORD, data, true);
    }
    sim_run(sim, 1000 + (int64_t)rng_below(rng, 4000));
    if (frozen)
        sim_resume(sim, data);
}

static void s_misfortune(sim_t *sim)
{
    rng_t *rng = sim_rng(sim);
    int data = FIRST_DATA + (int)rng_below(rng, DATA), any = (int)rng_below(rng, NODES);
    if (g.store)
        late_store_trouble(g.store, rng_chance(rng, 0.5) ? 0.1 : 0);
    uint64_t what = rng_below(rng, 11);
    if (g.store && what >= 2 && what <= 5) {    /* no disks here */
        s_be_deposed(sim, data);
        return;
    }
    switch (what) {
    case 0: s_kill(sim, data); break;
    case 1: sim_stop(sim, data); break;
    case 2: s_lose_power(sim); break;
    case 3: sim_disks_cut_at(g.disks, 1 + rng_below(rng, 60)); break;
    case 4: sim_disks_fail_at(g.disks, 1 + rng_below(rng, 60)); break;
    case 5: sim_disks_fill(g.disks, true); break;
    case 6: sim_pause(sim, data); break;
    case 7: sim_cut(sim, data, any, rng_chance(rng, 0.6)); break;
    case 8: sim_cut(sim, any, data, rng_chance(rng, 0.6)); break;
    case 9: sim_cut_meta(sim, data, rng_chance(rng, 0.6)); break;
    default: s_kill(sim, COORD); break;
    }
}

static void s_mend(sim_t *sim)
{
    if (!sim_disks_have_power(g.disks))
        s_lose_power(sim);
    sim_disks_cut_at(g.disks, 0);
    sim_disks_fail_at(g.disks, 0);
    sim_disks_fill(g.disks, false);
    if (g.store)
        late_store_trouble(g.store, 0);
    sim_heal(sim);
    sim_run(sim, 1);
    for (int n = 0; n < NODES; n++)
        if (!sim_alive(sim, n))
            sim_start(sim, n);
}

static bool s_goes_on(sim_t *sim, void *arg)
{
    (void)sim;
    const unsigned *want = arg;
    return g.n_acked >= want[0] && g.n_read >= want[1];
}

static void s_chaos(sim_t *sim)
{
    for (int round = 0; round < ROUNDS; round++) {
        sim_run(sim, (int64_t)rng_below(sim_rng(sim), 400));
        s_misfortune(sim);
        if (rng_chance(sim_rng(sim), 0.35))
            s_mend(sim);
    }
    s_mend(sim);
    sim_run(sim, 6000);                         /* who was asked to stop has left */
    s_mend(sim);
    unsigned want[] = { g.n_acked + 40, g.n_read + 20 };
    /* Reads at an instant that an owner's clock reaches seconds later take those seconds. */
    if (!sim_until(sim, 180000, s_goes_on, want))
        key_model_wrong(g.model, "180 s after everything healed: %u of %u writes, %u of %u reads",
                        g.n_acked, want[0], g.n_read, want[1]);
    s_check_all(sim);
}

static uint64_t s_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void s_hold(bool on_store)
{
    bool one = getenv("ELANUS_SIM_SEED") != NULL;
    uint64_t first = s_env("ELANUS_SIM_SEED", 1);
    uint64_t seeds = one ? 1 : s_env("ELANUS_SIM_SEEDS", DEFAULT_SEEDS);
    unsigned acked = 0, compared = 0, reads = 0, repeats = 0;
    data_planted = BUG_NONE;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_t *sim = s_begin(seed, on_store);
        s_chaos(sim);
        if (key_model_verdict(g.model))
            fail_msg("seed %" PRIu64 ": %s", seed, key_model_verdict(g.model));
        acked += g.n_acked;
        compared += g.n_compared;
        reads += g.n_read;
        repeats += g.n_repeats;
        s_end_world(sim);
    }
    printf("          %" PRIu64 " seeds, %u acknowledged, %u sent again, %u comparisons, "
           "%u reads\n", seeds, acked, repeats, compared, reads);
}

static void acknowledged_writes_hold(void **state)
{
    (void)state;
    s_hold(false);
}

static void acknowledged_writes_hold_on_the_store(void **state)
{
    (void)state;
    s_hold(true);
}

static void s_find(data_bug_t bug)
{
    bool found = false;
    uint64_t seed = 0;
    data_planted = bug;
    while (!found && seed++ < 30 * DEFAULT_SEEDS) {
        sim_t *sim = s_begin(seed, bug >= BUG_NO_FENCE);
        g.lenient = true;
        s_chaos(sim);
        found = key_model_verdict(g.model) != NULL;
        s_end_world(sim);
    }
    data_planted = BUG_NONE;
    printf("          found with seed %" PRIu64 "\n", seed);
    assert_true(found);
}

static void the_checker_finds_what_breaks_any_log(void **state)
{
    (void)state;
    s_find(BUG_ACK_BEFORE_SYNC);
    s_find(BUG_DOUBLE_APPLY);
    s_find(BUG_FORGET_REQUESTS);
}

static void the_checker_finds_what_breaks_the_log_on_the_store(void **state)
{
    (void)state;
    for (data_bug_t bug = BUG_NO_FENCE; bug <= BUG_NO_SEAL; bug++)
        s_find(bug);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_writes_hold),
        cmocka_unit_test(acknowledged_writes_hold_on_the_store),
        cmocka_unit_test(the_checker_finds_what_breaks_the_log_on_the_store),
        cmocka_unit_test(the_checker_finds_what_breaks_any_log),
    };
    log_set_level(getenv("ELANUS_SIM_LOG") ? LOG_INFO : LOG_FATAL);
    return cmocka_run_group_tests_name("sim_write", tests, NULL, NULL);
}

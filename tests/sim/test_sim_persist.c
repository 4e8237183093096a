/* Persistence under kills: nothing acknowledged is lost, nothing that was deleted comes back.
 *
 * A coordinator, two data nodes that die, freeze and are cut off, and clients that upsert and
 * delete keys of their own, flush, and compact, each request until it is acknowledged.  Logs and
 * store survive; the store fails now and then, or altogether.  A checker that knows every
 * acknowledged write looks at the data as a reader has it: the segments that metadata names,
 * opened from the store, with the deletes that are not in them yet, and the growing ones.
 * Each key is there once, in its last version, or with the one write under way.
 *
 * Then in peace: a compaction that is asked for leaves one segment and no dead row, and what is
 * dropped, and what failed attempts left, is gone from the store in time.
 *
 * The planted bugs (datanode/data_planted.h) are found by the same checker.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DATA_PLANTED
#include "datanode/data_flush.c"
#include "datanode/merge_job.c"

#include "coord/coord_node.h"
#include "core/store/store_int.h"
#include "datanode/data_node.h"
#include "tests/support/sim.h"
#include "tests/support/sim_disk.h"

enum { COORD, DATA, DATAS = 2, CLIENT = DATA + DATAS, CLIENTS = 2 };
enum { KEYS = 40, COLLECTION = 100, PARTITION = 101, SHARDS = 2, DEFAULT_SEEDS = 30, ROUNDS = 60 };
enum { TIMER_CLIENT = 100, TRY_MS = 1500, PAUSE_MS = 20 };

data_bug_t data_planted;

typedef enum { DO_UPSERT, DO_DELETE, DO_SEAL, DO_COMPACT, DO_NOTHING } do_t;

/* --- what outlives processes ---------------------------------------------------------- */

static struct {
    sim_t *sim;
    store_t *store;
    sim_disks_t *disks;
    data_options_t options;
    schema_t *schema;
    double flaky;               /* chance that a call of the store fails */
    const store_driver_t *stable;
    bool peace;                 /* clients send what `order` says, once */
    do_t order;
    const char *wrong;          /* what the checker found first, NULL: nothing */
    char why[1200];
    uint64_t checked, merged, deltalogs, dropped;
} t_world;

static const char *const t_pchannels[SHARDS] = { "dml_0", "dml_1" };
static const char *const t_vchannels[SHARDS] = { "dml_0_100v0", "dml_1_100v1" };

/* --- a store that fails now and then --------------------------------------------------- */

static err_t t_luck(ctx_t *ctx, const char *what, const char *key)
{
    if (t_world.flaky > 0 && rng_chance(sim_rng(t_world.sim), t_world.flaky))
        return ctx_fail(ctx, ERR_STORE, "bad luck with the %s of %s", what, key);
    return OK;
}

static err_t t_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    TRY(t_luck(ctx, "put", key));
    return t_world.stable->put(ctx, impl, key, parts);
}

static err_t t_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                   store_sink_t *sink)
{
    TRY(t_luck(ctx, "get", key));
    return t_world.stable->get(ctx, impl, key, offset, len, sink);
}

static err_t t_remove(ctx_t *ctx, void *impl, const char *key)
{
    TRY(t_luck(ctx, "removal", key));
    return t_world.stable->remove(ctx, impl, key);
}

static store_t *t_flaky_store(void)
{
    static store_driver_t s_driver;
    store_t *store = store_memory_new();
    t_world.stable = store->driver;
    s_driver = *store->driver;
    s_driver.put = t_put;
    s_driver.get = t_get;
    s_driver.remove = t_remove;
    store->driver = &s_driver;
    return store;
}

static schema_t *t_schema(void)
{
    const field_t fields[] = {
        { .id = FIELD_FIRST, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "version", .type = TYPE_INT64 },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

static void t_world_up(uint64_t seed, bool same_clocks)
{
    memset(&t_world, 0, sizeof t_world);
    t_world.store = t_flaky_store();
    t_world.schema = t_schema();
    t_world.disks = sim_disks_new();
    t_world.options = (data_options_t){
        .store = t_world.store, .open_disk = sim_disks_open, .disk_arg = t_world.disks,
        .wal_file_bytes = 16 << 10, .memory_bytes = seed % 3 ? 0 : 3 << 20, .repeat_ms = 300,
        .seal_bytes = 512 << 10, .seal_age_ms = 4000, .seal_idle_ms = 1000,
        .delete_bytes = 1000, .delete_age_ms = 1500, .segment_bytes = 20000, .small_share = 0.5,
        .compactable_share = 0.85, .expansion_rate = 1.25, .retention_ms = 500,
        .compaction = true, .auto_compaction = true, .gc = true, .gc_interval_ms = 2000,
        .gc_missing_ms = same_clocks ? 6000 : 4000000, .gc_drop_ms = 1500,
    };
}

static void t_world_down(void)
{
    sim_disks_power(t_world.disks, false);
    sim_destroy(&t_world.sim);
    sim_disks_destroy(&t_world.disks);
    store_destroy(&t_world.store);
    schema_unref(&t_world.schema);
}

static void t_wrong(const char *what, const char *format, ...) printf_like(2, 3);
static void t_wrong(const char *what, const char *format, ...)
{
    va_list args;
    if (t_world.wrong)
        return;
    t_world.wrong = what;
    va_start(args, format);
    vsnprintf(t_world.why, sizeof t_world.why, format, args);
    va_end(args);
}

/* The collection is written as its DDL would have. */
static void t_create(sim_t *sim)
{
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Field id = ELANUS__FIELD__INIT, version = ELANUS__FIELD__INIT, *fields[] = {
        &id, &version };
    id.id = 100, id.name = (char *)"id", id.type = TYPE_INT64, id.primary_key = true;
    version.id = 101, version.name = (char *)"version", version.type = TYPE_INT64;
    Elanus__Partition partition = ELANUS__PARTITION__INIT, *partitions[] = { &partition };
    partition.id = PARTITION, partition.name = (char *)"_default";
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = COLLECTION, coll.name = (char *)"c", coll.db_id = 1;
    coll.fields = fields, coll.n_fields = 2;
    coll.partitions = partitions, coll.n_partitions = 1;
    coll.vchannels = (char **)(uintptr_t)t_vchannels, coll.n_vchannels = SHARDS;
    meta_op_t put = { .kind = META_PUT, .key = catalog_key_collection(&ctx, COLLECTION),
                      .value = pb_pack(&ctx, &coll) };
    meta_txn_result_t result = {0};
    assert_int_equal(meta_txn(&ctx, sim_meta(sim), &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                              &result), OK);
    assert_true(result.applied);
    ctx_fini(&ctx);
}

/* --- a client ------------------------------------------------------------------------------ */

typedef struct client {
    member_t member;
    int64_t now[KEYS];          /* version of each key; 0: it is not there */
    int64_t next[KEYS];         /* with the request under way */
    do_t doing, obeyed;
    bool under_way;
    int shard;
    uint64_t request, versions, done;
} client_t;

static int64_t t_key(const client_t *self, int k)
{
    return (int64_t)self->member.self->id * 1000 + k;
}

static void *t_make(const node_self_t *who, const void *options)
{
    (void)options;
    client_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    return self;
}

static void t_end(void *node)
{
    member_fini(&((client_t *)node)->member);
    mem_free(node);
}

static bool t_draw(client_t *self)
{
    rng_t *rng = sim_rng(t_world.sim);
    uint64_t kind = rng_below(rng, 40);
    self->doing = t_world.peace ? t_world.order
                : kind < 22 ? DO_UPSERT : kind < 36 ? DO_DELETE : kind < 39 ? DO_SEAL : DO_COMPACT;
    if (self->doing == DO_NOTHING || (t_world.peace && self->obeyed == t_world.order))
        return false;
    self->obeyed = self->doing;
    self->under_way = true;
    self->request++;
    self->shard = (int)rng_below(rng, SHARDS);
    memcpy(self->next, self->now, sizeof self->now);
    for (uint64_t i = rng_below(rng, 4) + 1; i-- > 0 && self->doing <= DO_DELETE; ) {
        int k = (int)rng_below(rng, KEYS / SHARDS) * SHARDS + self->shard;
        self->next[k] = self->doing == DO_DELETE ? 0 : (int64_t)++self->versions;
    }
    return true;
}

/* The owner of a channel, as a directory would tell; NULL: there is none. */
static Elanus__Owner *t_owner(ctx_t *ctx, int shard)
{
    meta_item_t item;
    Elanus__Owner *owner = NULL;
    if (meta_get(ctx, sim_meta(t_world.sim), directory_key_owner(ctx, t_pchannels[shard]),
                 &item) != OK || PB_UNPACK(ctx, elanus__owner, item.value, &owner) != OK)
        return NULL;
    return owner;
}

/* Its number in the simulator. */
static int t_node_of(const Elanus__Owner *owner)
{
    for (int n = DATA; owner && n < DATA + DATAS; n++)
        if (sim_self(t_world.sim, n)->id == owner->node)
            return n;
    return DATA;
}

static column_t t_int64s(const int64_t *cells, size_t n)
{
    return (column_t){ .type = TYPE_INT64, .width = 8, .n = n, .cells = (const uint8_t *)cells };
}

/* Keys that the request changes are deleted; those that stay have a new row too. */
static view_t t_request(client_t *self, ctx_t *ctx, const Elanus__Owner *owner, wal_batch_t *batch)
{
    int64_t keys[KEYS], rows[KEYS], versions[KEYS];
    size_t n = 0, n_rows = 0;
    for (int k = 0; k < KEYS; k++) {
        if (self->next[k] == self->now[k] && !(self->doing == DO_DELETE && k == self->shard))
            continue;
        keys[n++] = t_key(self, k);
        if (self->next[k]) {
            rows[n_rows] = t_key(self, k);
            versions[n_rows++] = self->next[k];
        }
    }
    column_t pks = t_int64s(keys, n);
    wal_field_t fields[] = { { 100, t_int64s(rows, n_rows) }, { 101, t_int64s(versions, n_rows) } };
    wal_entry_t entry = {
        .kind = WAL_DELETE, .collection = COLLECTION, .partition = -1, .deletes = &pks,
        .request = { self->member.self->id, self->request },
        .vchannel = view_str(t_vchannels[self->shard]),
    };
    wal_batch_init(batch, view_str(t_pchannels[self->shard]));
    check(wal_batch_add(ctx, batch, &entry) == OK);
    if (n_rows) {
        entry.kind = WAL_INSERT, entry.partition = PARTITION, entry.deletes = NULL;
        entry.fields = fields, entry.n_fields = 2;
        check(wal_batch_add(ctx, batch, &entry) == OK);
    }
    wal_link_t link = { .at = { owner ? owner->epoch : 1, 1 } };
    uint8_t hash[WAL_HASH_BYTES];
    view_t bytes;
    check(wal_batch_seal(ctx, batch, &link, &bytes, hash) == OK);
    return bytes;
}

static void t_replied(void *node, void *arg, const event_t *ev, actions_t *act);

static void t_ask(client_t *self, const event_t *ev, actions_t *act)
{
    static const uint32_t s_methods[] = {
        [DO_UPSERT] = ELANUS__METHOD__METHOD_WRITE, [DO_DELETE] = ELANUS__METHOD__METHOD_WRITE,
        [DO_SEAL] = ELANUS__METHOD__METHOD_SEAL, [DO_COMPACT] = ELANUS__METHOD__METHOD_COMPACT,
    };
    if (!self->under_way && !t_draw(self)) {
        act_timer(act, TIMER_CLIENT, PAUSE_MS);
        return;
    }
    const Elanus__Owner *owner = t_owner(ev->ctx, self->shard);
    wal_batch_t batch = {0};
    Elanus__SealAsk seal = ELANUS__SEAL_ASK__INIT;
    Elanus__CompactAsk compact = ELANUS__COMPACT_ASK__INIT;
    seal.collection = compact.collection = COLLECTION;
    compact.id = self->member.self->id * 1000000 + self->request;
    view_t payload = self->doing == DO_SEAL ? pb_pack(ev->ctx, &seal)
                   : self->doing == DO_COMPACT ? pb_pack(ev->ctx, &compact)
                   : t_request(self, ev->ctx, owner, &batch);
    act_call(act, sim_self(t_world.sim, t_node_of(owner))->address, s_methods[self->doing], payload,
             TRY_MS, wait_once(self->member.waits, act, t_replied, self));
    if (self->doing <= DO_DELETE)
        wal_batch_fini(&batch);
}

static void t_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    client_t *self = node;
    bool later = err_retriable(ev->err) || ev->err == ERR_TIMEOUT || ev->err == ERR_MEMORY ||
                 ev->err == ERR_DISK || ev->err == ERR_DISK_FULL || ev->err == ERR_QUOTA_EXCEEDED;
    if (ev->err != OK && !later)
        t_wrong("a refusal", "%d: %s: %s", self->doing, err_name(ev->err), ev->text);
    if (ev->err == OK) {
        memcpy(self->now, self->next, sizeof self->now);
        self->under_way = false;
        self->done++;
    }
    act_timer(act, TIMER_CLIENT, PAUSE_MS);
}

static void t_step(void *node, const event_t *ev, actions_t *act)
{
    client_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_START) {
        for (int n = DATA; n < DATA + DATAS; n++)
            act_dial(act, sim_self(t_world.sim, n)->address, sim_self(t_world.sim, n)->id);
        act_timer(act, TIMER_CLIENT, 3000);
    } else if (ev->kind == EV_TIMER && ev->timer == TIMER_CLIENT) {
        t_ask(self, ev, act);
    }
}

static bool t_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t t_client_role = {
    .name = "proxy", .make = t_make, .step = t_step, .end = t_end, .ready = t_ready,
};

/* --- the checker ------------------------------------------------------------------------ */

typedef struct seen {
    int64_t version[CLIENTS][KEYS];     /* 0: not there */
    int n[CLIENTS][KEYS];
} seen_t;

static void t_see(seen_t *seen, sim_t *sim, view_t pk, view_t version)
{
    int64_t key = load_i64(pk.ptr);
    for (int c = 0; c < CLIENTS; c++)
        if ((int64_t)sim_self(sim, CLIENT + c)->id == key / 1000) {
            seen->version[c][key % 1000] = load_i64(version.ptr);
            seen->n[c][key % 1000]++;
        }
}

static void t_see_growing(seen_t *seen, sim_t *sim, ctx_t *ctx, const growing_t *rows)
{
    growing_snapshot_t snap = growing_at(rows, UINT64_MAX);
    for (size_t b = 0; b < snap.n_blocks; b++) {
        segment_block_t block = growing_block(&snap, b);
        column_t pks, versions;
        check(growing_column(ctx, &snap, b, 0, &pks) == OK);
        check(growing_column(ctx, &snap, b, 1, &versions) == OK);
        for (size_t i = 0; i < block.n; i++)
            if (growing_died(&snap, block.first + i) == SEGMENT_ALIVE)
                t_see(seen, sim, column_cell(&pks, i), column_cell(&versions, i));
    }
}

/* Deletes that a reader has kept because the record does not know them. */
static void t_delete_pending(ctx_t *ctx, sealed_t *s, const data_shard_t *shard, uint64_t after)
{
    for (size_t i = 0; shard && i < shard->deletes.len; i++) {
        const data_delete_t *run = vec_at(&shard->deletes, i);
        if (run->ts <= after)
            continue;
        uint64_t *ts = ctx_new(ctx, run->pks.n * sizeof *ts);
        for (size_t k = 0; k < run->pks.n; k++)
            ts[k] = run->ts;
        check(sealed_delete(ctx, s, &run->pks, ts, NULL) == OK);
    }
}

static bool t_see_sealed(seen_t *seen, sim_t *sim, ctx_t *ctx, const Elanus__Segment *record,
                         const data_shard_t *shard)
{
    sealed_files_t files = data_record_files(record);
    sealed_t *s = NULL;
    if (sealed_open(ctx, t_world.store, t_world.schema, &files, true, &s) != OK) {
        t_wrong("a record", "%" PRIu64 ": %s", record->id, ctx->text);
        return false;
    }
    t_delete_pending(ctx, s, shard, record->delta_ts);
    for (size_t b = 0; b < sealed_blocks(s); b++) {
        segment_block_t block = sealed_block(s, b);
        column_t pks, versions;
        check(sealed_column(ctx, s, b, 0, &pks) == OK);
        check(sealed_column(ctx, s, b, 1, &versions) == OK);
        for (size_t i = 0; i < block.n; i++)
            if (sealed_died(s, block.first + i) == SEGMENT_ALIVE)
                t_see(seen, sim, column_cell(&pks, i), column_cell(&versions, i));
    }
    sealed_unref(&s);
    return true;
}

static void t_compare(sim_t *sim, const seen_t *seen, int shard)
{
    for (int c = 0; c < CLIENTS; c++) {
        const client_t *client = sim_node(sim, CLIENT + c);
        bool was = true, will = client->under_way;
        int bad = -1;
        for (int k = shard; k < KEYS; k += SHARDS) {
            int64_t version = seen->n[c][k] == 1 ? seen->version[c][k] : -seen->n[c][k];
            if (version != client->now[k])
                was = false, bad = k;
            will &= version == client->next[k];
        }
        if (was || will)
            continue;
        t_wrong("a key", "client %d key %d: %d rows, version %" PRId64
                 ", acknowledged %" PRId64 ", then %" PRId64, c, bad, seen->n[c][bad],
                 seen->version[c][bad], client->now[bad], client->next[bad]);
    }
}

static void t_note(const Elanus__Segment *record)
{
    t_world.merged += record->level == 2;
    t_world.deltalogs += record->n_deltalogs > 0;
    t_world.dropped += record->state == ELANUS__SEGMENT_STATE__SEGMENT_DROPPED;
}

/* The owner's channel, if it is ACTIVE, has all of its log and nothing durable is not applied. */
static const data_channel_t *t_channel(sim_t *sim, ctx_t *ctx, int number)
{
    const Elanus__Owner *owner = t_owner(ctx, number);
    const data_node_t *node = owner ? sim_node(sim, t_node_of(owner)) : NULL;
    const data_channel_t *channel = node ? data_channel_live(node, t_pchannels[number]) : NULL;
    return channel && channel->epoch == owner->epoch && !channel->first &&
           channel->replayed &&
           node->member.self->incarnation == owner->incarnation ? channel : NULL;
}

static void t_check_shard(sim_t *sim, ctx_t *ctx, const data_channel_t *channel, int number)
{
    const data_shard_t *shard = map_get_str(channel->shards, t_vchannels[number]);
    seen_t seen = {0};
    owned(map) named = map_new();
    meta_items_t items = {0};
    bool readable = true;
    check(meta_list(ctx, sim_meta(sim), "seg/", &items) == OK);
    for (size_t i = 0; readable && i < items.n; i++) {
        Elanus__Segment *record = NULL;
        check(PB_UNPACK(ctx, elanus__segment, items.at[i].value, &record) == OK);
        t_note(record);
        map_put_u64(named, record->id, sim);
        if (strcmp(record->vchannel, t_vchannels[number]) == 0 &&
            record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            readable = t_see_sealed(&seen, sim, ctx, record, shard);
    }
    for (size_t i = 0; shard && i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (!map_get_u64(named, segment->id) && segment->state != DATA_FLUSHED)
            t_see_growing(&seen, sim, ctx, segment->rows);
    }
    if (readable)
        t_compare(sim, &seen, number);
    t_world.checked++;
}

static void t_check(sim_t *sim)
{
    double flaky = t_world.flaky;
    t_world.flaky = 0;
    for (int i = 0; !t_world.wrong && i < SHARDS; i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        const data_channel_t *channel = t_channel(sim, &ctx, i);
        if (channel)
            t_check_shard(sim, &ctx, channel, i);
        ctx_fini(&ctx);
    }
    t_world.flaky = flaky;
}

/* --- scenarios ---------------------------------------------------------------------------- */

/* Both at once: what was not synced is lost. */
static void t_lose_power(sim_t *sim)
{
    sim_disks_power(t_world.disks, false);
    for (int n = DATA; n < DATA + DATAS; n++)
        sim_kill(sim, n);
    sim_disks_crash(t_world.disks, sim_rng(sim));
}

static void t_kill(sim_t *sim, int n)
{
    sim_disks_power(t_world.disks, false);
    sim_kill(sim, n);
    sim_disks_power(t_world.disks, true);
}

static void t_misfortune(sim_t *sim)
{
    rng_t *rng = sim_rng(sim);
    int n = DATA + (int)rng_below(rng, DATAS), client = CLIENT + (int)rng_below(rng, CLIENTS);
    switch (rng_below(rng, 14)) {
    case 0:
    case 1: t_kill(sim, n); break;
    case 2: t_lose_power(sim); break;
    case 3: sim_cut_meta(sim, n, rng_chance(rng, 0.5)); break;
    case 4: sim_cut(sim, n, COORD, rng_chance(rng, 0.4)); break;
    case 5: sim_cut(sim, client, n, rng_chance(rng, 0.4)); break;
    case 6: sim_pause(sim, n); break;
    case 7: if (sim_paused(sim, n)) sim_resume(sim, n); break;
    case 8:
    case 9: t_world.flaky = rng_chance(rng, 0.5) ? 0 : rng_chance(rng, 0.7) ? 0.05 : 1; break;
    default: if (!sim_alive(sim, n)) sim_start(sim, n); break;
    }
}

static uint64_t t_done(sim_t *sim)
{
    uint64_t done = 0;
    for (int c = 0; c < CLIENTS; c++)
        done += ((client_t *)sim_node(sim, CLIENT + c))->done;
    return done;
}

static bool t_goes_on(sim_t *sim, void *arg)
{
    return t_done(sim) >= *(uint64_t *)arg || t_world.wrong;
}

static void t_run(sim_t *sim, int64_t ms)
{
    while (ms > 0 && !t_world.wrong) {
        int64_t part = ms < 150 ? ms : 150;
        sim_run(sim, part);
        t_check(sim);
        ms -= part;
    }
}

static void t_mend(sim_t *sim)
{
    t_world.flaky = 0;
    sim_heal(sim);
    sim_run(sim, 1);
    for (int n = DATA; n < DATA + DATAS; n++)
        if (!sim_alive(sim, n))
            sim_start(sim, n);
}

static void t_settle(sim_t *sim)
{
    t_mend(sim);
    uint64_t want = t_done(sim) + 20;
    if (!sim_until(sim, 90000, t_goes_on, &want))
        t_wrong("no answers", "90 s after everything healed");
    t_run(sim, 1000);
}

static sim_t *t_begin(uint64_t seed, bool same_clocks)
{
    t_world_up(seed, same_clocks);
    sim_t *sim = t_world.sim = sim_new(&(sim_options_t){
        .seed = seed, .meta_lost = 0.02, .same_clocks = same_clocks });
    t_create(sim);
    for (int n = COORD; n < CLIENT + CLIENTS; n++) {
        const role_t *role = n == COORD ? &coord_role : n < CLIENT ? &data_role : &t_client_role;
        sim_add_with(sim, role, role == &data_role ? &t_world.options : NULL);
    }
    for (int n = COORD; n < CLIENT + CLIENTS; n++)
        sim_start(sim, n);
    sim_run(sim, 4000);
    return sim;
}

/* How many requests were acknowledged; t_world.wrong tells what the checker found. */
static uint64_t t_history(uint64_t seed)
{
    sim_t *sim = t_begin(seed, seed % 2);
    for (int round = 0; round < ROUNDS && !t_world.wrong; round++) {
        t_run(sim, (int64_t)rng_below(sim_rng(sim), 1500));
        t_misfortune(sim);
    }
    for (int i = 0; i < 2 && !t_world.wrong; i++) {
        t_settle(sim);
        t_lose_power(sim);
    }
    uint64_t done = t_done(sim);
    t_world_down();
    return done;
}

static uint64_t t_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Seeds that found a bug once.  79: a request that came again long after it had been forgotten
 * was a new one to its owner, and a repeated one to the replay after that. */
static void old_bugs_stay_away(void **state)
{
    (void)state;
    static const uint64_t seeds[] = { 79 };
    data_planted = BUG_NONE;
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        t_history(seeds[i]);
        if (t_world.wrong)
            fail_msg("seed %" PRIu64 ": %s: %s", seeds[i], t_world.wrong, t_world.why);
    }
}

static void nothing_is_lost_and_nothing_comes_back(void **state)
{
    (void)state;
    bool one = getenv("ELANUS_SIM_SEED") != NULL;
    uint64_t first = t_env("ELANUS_SIM_SEED", 1);
    uint64_t seeds = one ? 1 : t_env("ELANUS_SIM_SEEDS", DEFAULT_SEEDS);
    uint64_t done = 0, checked = 0, merged = 0, deltalogs = 0;
    data_planted = BUG_NONE;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        done += t_history(seed);
        if (t_world.wrong)
            fail_msg("seed %" PRIu64 ": %s: %s", seed, t_world.wrong, t_world.why);
        checked += t_world.checked;
        merged += t_world.merged;
        deltalogs += t_world.deltalogs;
    }
    printf("          %" PRIu64 " seeds, %" PRIu64 " requests, %" PRIu64 " looks, %" PRIu64
           " at merged segments, %" PRIu64 " at deltalogs\n", seeds, done, checked, merged,
           deltalogs);
    assert_true(one || (checked && merged && deltalogs));
}

/* --- peace -------------------------------------------------------------------------------- */

typedef struct census {
    size_t flushed, dropped, rows, named;
} census_t;

static census_t t_census(ctx_t *ctx)
{
    census_t census = {0};
    meta_items_t items = {0};
    assert_int_equal(meta_list(ctx, sim_meta(t_world.sim), "seg/", &items), OK);
    for (size_t i = 0; i < items.n; i++) {
        Elanus__Segment *record = NULL;
        const char *const *keys = NULL;
        assert_int_equal(PB_UNPACK(ctx, elanus__segment, items.at[i].value, &record), OK);
        bool flushed = record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        census.flushed += flushed;
        census.dropped += !flushed;
        census.rows += flushed ? record->rows : 0;
        census.named += data_record_keys(ctx, record, &keys);
    }
    return census;
}

static size_t t_objects(ctx_t *ctx)
{
    store_list_t list = {0};
    assert_int_equal(store_list(ctx, t_world.store, "", NULL, 10000, &list), OK);
    return list.n;
}

static void t_order(sim_t *sim, do_t order, int64_t ms)
{
    t_world.peace = true;
    t_world.order = order;
    sim_run(sim, ms);
    for (int c = 0; c < CLIENTS; c++)
        assert_false(((client_t *)sim_node(sim, CLIENT + c))->under_way);
}

static size_t t_alive(sim_t *sim)
{
    size_t n = 0;
    for (int c = 0; c < CLIENTS; c++)
        for (int k = 0; k < KEYS; k++)
            n += ((client_t *)sim_node(sim, CLIENT + c))->now[k] != 0;
    return n;
}

static void t_forget_collection(sim_t *sim, ctx_t *ctx)
{
    meta_op_t gone = { .kind = META_DELETE, .key = catalog_key_collection(ctx, COLLECTION) };
    meta_txn_result_t result = {0};
    assert_int_equal(meta_txn(ctx, sim_meta(sim), &(meta_txn_t){ .ops = &gone, .n_ops = 1 },
                              &result), OK);
}

/* All is flushed, asked to be merged, in the end dropped; the store has what metadata names and
 * nothing else once the tolerances are over. */
static void in_peace_everything_is_merged_and_garbage_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        ctx_t ctx;
        ctx_init(&ctx);
        sim_t *sim = t_begin(seed, true);
        t_run(sim, 5000);
        for (int i = 0; i < 3; i++) {
            t_world.flaky = 0.1;
            t_kill(sim, DATA + i % DATAS);
            t_run(sim, 700);
            t_mend(sim);
            t_run(sim, 3000);
        }
        t_order(sim, DO_NOTHING, 9000);
        t_order(sim, DO_SEAL, 4000);
        census_t census = t_census(&ctx);
        for (int i = 0; i < 3 && (census.flushed > SHARDS || census.rows > t_alive(sim)); i++) {
            t_order(sim, DO_NOTHING, 1000);     /* answers get lost: it is asked again */
            t_order(sim, DO_COMPACT, 8000);
            census = t_census(&ctx);
        }
        t_check(sim);
        assert_null(t_world.wrong);
        assert_int_equal(census.flushed, SHARDS);
        assert_int_equal(census.rows, t_alive(sim));
        t_order(sim, DO_NOTHING, 15000);
        census = t_census(&ctx);
        assert_int_equal(census.flushed, SHARDS);
        assert_int_equal(census.dropped, 0);
        assert_int_equal(census.named, t_objects(&ctx));
        t_forget_collection(sim, &ctx);
        sim_run(sim, 15000);
        census = t_census(&ctx);
        assert_int_equal(census.flushed + census.dropped, 0);
        assert_int_equal(t_objects(&ctx), 0);
        t_world_down();
        ctx_fini(&ctx);
    }
}

static void the_checker_finds_planted_bugs(void **state)
{
    (void)state;
    static const struct { data_bug_t bug; const char *name; } bugs[] = {
        { BUG_DELETE_LOST, "deletes are not written" },
        { BUG_DELETE_LATE, "deletes during a flush are lost" },
        { BUG_CKPT_BEFORE_DATA, "the checkpoint does not wait for rows" },
        { BUG_MERGE_DROPS_NEWEST, "a merge drops the newest rows" },
        { BUG_MERGE_FORGETS, "a merge forgets deletes" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bugs); i++) {
        uint64_t seed = 1;
        data_planted = bugs[i].bug;
        for (; seed <= DEFAULT_SEEDS; seed++) {
            t_history(seed);
            if (t_world.wrong && strcmp(t_world.wrong, "a key") == 0)
                break;
        }
        data_planted = BUG_NONE;
        printf("          %s: seed %" PRIu64 ": %s\n", bugs[i].name, seed, t_world.why);
        assert_true(seed <= DEFAULT_SEEDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_bugs_stay_away),
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_back),
        cmocka_unit_test(in_peace_everything_is_merged_and_garbage_goes),
        cmocka_unit_test(the_checker_finds_planted_bugs),
    };
    log_set_level(getenv("ELANUS_SIM_LOG") ? LOG_INFO : LOG_FATAL);
    return cmocka_run_group_tests_name("sim_persist", tests, NULL, NULL);
}

/* Persistence under kills: nothing acknowledged is lost, nothing that was deleted comes back.
 *
 * A coordinator, a data node that dies again and again, and clients that upsert and delete keys
 * of their own, flush, and compact, each request until it is acknowledged.  Log and store
 * survive; now and then a call of theirs fails.  A checker that knows every
 * acknowledged write looks at the data as a reader has it: the segments that metadata names,
 * opened from the store, with the deletes that are not in them yet, and the growing ones.
 * Each key is there once, in its last version, or with the one write under way.
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
#include "core/base/fault.h"
#include "datanode/data_node.h"
#include "tests/support/sim.h"

enum { COORD, DATA, CLIENT, CLIENTS = 2, NODES = CLIENT + CLIENTS };
enum { KEYS = 40, COLLECTION = 100, PARTITION = 101, SHARDS = 2, DEFAULT_SEEDS = 30, ROUNDS = 60 };
enum { TIMER_CLIENT = 100, TRY_MS = 1500, PAUSE_MS = 20 };

data_bug_t data_planted;

/* --- what outlives processes ------------------------------------------------------------ */

typedef struct lasting {
    uint64_t seed;
    store_t *store;
    wal_disk_t *disks[SHARDS];
    data_options_t options;
    schema_t *schema;
    const char *wrong;          /* what the checker found first, NULL: nothing */
    char why[1200];
    uint64_t checked, merged, deltalogs, truncated, dropped, collected;
} lasting_t;

static lasting_t t_world;       /* roles get no options in the simulator */

static const char *t_pchannel(int shard)
{
    return shard ? "by-dev-rootcoord-dml_1" : "by-dev-rootcoord-dml_0";
}

static const char *t_vchannel(int shard)
{
    return shard ? "by-dev-rootcoord-dml_1_100v1" : "by-dev-rootcoord-dml_0_100v0";
}

/* A disk that its node may destroy: the one behind it stays. */
typedef struct loan { wal_disk_t base; wal_disk_t *of; } loan_t;

#define OF(disk) (((const loan_t *)(disk))->of)
static int t_list(wal_disk_t *d, vec_t *ret) { return OF(d)->driver->list(OF(d), ret); }
static void t_close(wal_disk_t *d, int file) { OF(d)->driver->close(OF(d), file); }
static int t_sync(wal_disk_t *d, int file) { return OF(d)->driver->sync(OF(d), file); }
static int t_sync_dir(wal_disk_t *d) { return OF(d)->driver->sync_dir(OF(d)); }

static int t_open(wal_disk_t *d, const char *name, bool create, int *file, uint64_t *len)
{
    return OF(d)->driver->open(OF(d), name, create, file, len);
}

static int t_read(wal_disk_t *d, int file, uint64_t at, void *into, size_t len)
{
    return OF(d)->driver->read(OF(d), file, at, into, len);
}

static int t_write(wal_disk_t *d, int file, uint64_t at, const void *from, size_t len)
{
    return OF(d)->driver->write(OF(d), file, at, from, len);
}

static int t_allocate(wal_disk_t *d, int file, uint64_t at, uint64_t len)
{
    return OF(d)->driver->allocate(OF(d), file, at, len);
}

static int t_truncate(wal_disk_t *d, int file, uint64_t len)
{
    return OF(d)->driver->truncate(OF(d), file, len);
}

static int t_rename(wal_disk_t *d, const char *from, const char *to)
{
    return OF(d)->driver->rename(OF(d), from, to);
}

static int t_remove(wal_disk_t *d, const char *name)
{
    t_world.truncated++;
    return OF(d)->driver->remove(OF(d), name);
}

static void t_return(wal_disk_t *d)
{
    (void)d;                    /* name and struct are freed by the caller */
}

static const wal_disk_driver_t t_loan = {
    .list = t_list, .open = t_open, .close = t_close, .read = t_read, .write = t_write,
    .allocate = t_allocate, .truncate = t_truncate, .sync = t_sync, .rename = t_rename,
    .remove = t_remove, .sync_dir = t_sync_dir, .destroy = t_return,
};

static err_t t_open_disk(ctx_t *ctx, void *arg, const char *pchannel, wal_disk_t **ret)
{
    (void)ctx, (void)arg;
    int shard = strcmp(pchannel, t_pchannel(1)) == 0;
    loan_t *loan = mem_new(sizeof *loan);
    loan->base = (wal_disk_t){ .driver = &t_loan, .name = mem_strdup(pchannel) };
    loan->of = t_world.disks[shard];
    *ret = &loan->base;
    return OK;
}

static schema_t *t_schema(void)
{
    const field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "version", .type = TYPE_INT64 },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

static void t_world_up(uint64_t seed)
{
    t_world = (lasting_t){ .seed = seed, .store = store_memory_new(), .schema = t_schema() };
    for (int i = 0; i < SHARDS; i++)
        t_world.disks[i] = wal_ram_new(0);
    t_world.options = (data_options_t){
        .store = t_world.store, .open_disk = t_open_disk, .wal_file_bytes = 16 << 10,
        .repeat_ms = 2000, .seal_bytes = 512 << 10, .seal_age_ms = 4000, .seal_idle_ms = 1000,
        .delete_bytes = 1000, .delete_age_ms = 1500, .segment_bytes = 20000, .small_share = 0.5,
        .compactable_share = 0.85, .expansion_rate = 1.25, .retention_ms = 500,
        .compaction = true, .auto_compaction = true, .gc = true, .gc_interval_ms = 2000,
        .gc_missing_ms = 5000, .gc_drop_ms = 1500,
    };
}

static void t_world_down(void)
{
    store_destroy(&t_world.store);
    schema_unref(&t_world.schema);
    for (int i = 0; i < SHARDS; i++)
        wal_disk_destroy(&t_world.disks[i]);
}

static void *t_make_data(const node_self_t *who, const void *options)
{
    (void)options;
    return data_role.make(who, &t_world.options);
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
    char *vchannels[] = { (char *)t_vchannel(0), (char *)t_vchannel(1) };
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = COLLECTION, coll.name = (char *)"c", coll.db_id = 1;
    coll.fields = fields, coll.n_fields = 2;
    coll.partitions = partitions, coll.n_partitions = 1;
    coll.vchannels = vchannels, coll.n_vchannels = SHARDS;
    meta_op_t put = { .kind = META_PUT, .key = catalog_key_collection(&ctx, COLLECTION),
                      .value = pb_pack(&ctx, &coll) };
    meta_txn_result_t result = {0};
    assert_int_equal(meta_txn(&ctx, sim_meta(sim), &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                              &result), OK);
    assert_true(result.applied);
    ctx_fini(&ctx);
}

/* --- a client ------------------------------------------------------------------------------ */

typedef enum { DO_UPSERT, DO_DELETE, DO_SEAL, DO_COMPACT } do_t;

typedef struct client {
    member_t member;
    int64_t now[KEYS];          /* version of each key; 0: it is not there */
    int64_t next[KEYS];         /* with the request under way */
    do_t doing;
    bool under_way;
    int shard;
    uint64_t request, versions, done;
} client_t;

static sim_t *t_sim;

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

static void t_draw(client_t *self)
{
    rng_t *rng = sim_rng(t_sim);
    uint64_t kind = rng_below(rng, 40);
    self->doing = kind < 22 ? DO_UPSERT : kind < 36 ? DO_DELETE : kind < 39 ? DO_SEAL : DO_COMPACT;
    self->under_way = true;
    self->request++;
    self->shard = (int)rng_below(rng, SHARDS);
    memcpy(self->next, self->now, sizeof self->now);
    for (uint64_t i = rng_below(rng, 4) + 1; i-- > 0 && self->doing <= DO_DELETE; ) {
        int k = (int)rng_below(rng, KEYS / SHARDS) * SHARDS + self->shard;
        self->next[k] = self->doing == DO_DELETE ? 0 : (int64_t)++self->versions;
    }
}

/* The epoch of the channel, as a directory would tell. */
static uint64_t t_epoch(ctx_t *ctx, int shard)
{
    meta_item_t item;
    Elanus__Owner *owner = NULL;
    if (meta_get(ctx, sim_meta(t_sim), directory_key_owner(ctx, t_pchannel(shard)), &item) != OK ||
        PB_UNPACK(ctx, elanus__owner, item.value, &owner) != OK)
        return 0;
    return owner->epoch;
}

static column_t t_int64s(const int64_t *cells, size_t n)
{
    return (column_t){ .type = TYPE_INT64, .width = 8, .n = n, .cells = (const uint8_t *)cells };
}

/* Keys that the request changes are deleted; those that stay have a new row too. */
static view_t t_request(client_t *self, ctx_t *ctx, wal_batch_t *batch)
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
        .vchannel = view_str(t_vchannel(self->shard)),
    };
    wal_batch_init(batch, view_str(t_pchannel(self->shard)));
    check(wal_batch_add(ctx, batch, &entry) == OK);
    if (n_rows) {
        entry.kind = WAL_INSERT, entry.partition = PARTITION, entry.deletes = NULL;
        entry.fields = fields, entry.n_fields = 2;
        check(wal_batch_add(ctx, batch, &entry) == OK);
    }
    wal_link_t link = { .at = { t_epoch(ctx, self->shard), 1 } };
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
    if (!self->under_way)
        t_draw(self);
    wal_batch_t batch = {0};
    Elanus__SealAsk seal = ELANUS__SEAL_ASK__INIT;
    Elanus__CompactAsk compact = ELANUS__COMPACT_ASK__INIT;
    seal.collection = compact.collection = COLLECTION;
    compact.id = self->member.self->id * 1000000 + self->request;
    view_t payload = self->doing == DO_SEAL ? pb_pack(ev->ctx, &seal)
                   : self->doing == DO_COMPACT ? pb_pack(ev->ctx, &compact)
                   : t_request(self, ev->ctx, &batch);
    act_call(act, sim_self(t_sim, DATA)->address, s_methods[self->doing], payload, TRY_MS,
             wait_once(self->member.waits, act, t_replied, self));
    if (self->doing <= DO_DELETE)
        wal_batch_fini(&batch);
}

static void t_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    client_t *self = node;
    bool finally = ev->err != OK && !err_retriable(ev->err) && ev->err != ERR_TIMEOUT;
    if (finally && ev->err != ERR_MEMORY && ev->err != ERR_DISK_FULL && !t_world.wrong) {
        t_world.wrong = "a refusal";
        snprintf(t_world.why, sizeof t_world.why, "%d: %s: %s", self->doing, err_name(ev->err),
                 ev->text);
    }
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
        act_dial(act, sim_self(t_sim, DATA)->address, sim_self(t_sim, DATA)->id);
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
        t_world.wrong = "a record";
        snprintf(t_world.why, sizeof t_world.why, "%" PRIu64 ": %s", record->id, ctx->text);
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
        if (was || will || t_world.wrong)
            continue;
        t_world.wrong = "a key";
        snprintf(t_world.why, sizeof t_world.why, "client %d key %d: %d rows, version %" PRId64
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

static void t_check_shard(sim_t *sim, const data_node_t *node, int number)
{
    const data_channel_t *channel = data_channel_live(node, t_pchannel(number));
    if (!channel || channel->first)             /* a write is durable and not applied, perhaps */
        return;
    const data_shard_t *shard = data_shard_of(node, t_vchannel(number));
    ctx_t ctx;
    ctx_init(&ctx);
    seen_t seen = {0};
    owned(map) named = map_new();
    meta_items_t items = {0};
    bool readable = true;
    check(meta_list(&ctx, sim_meta(sim), "seg/", &items) == OK);
    for (size_t i = 0; readable && i < items.n; i++) {
        Elanus__Segment *record = NULL;
        check(PB_UNPACK(&ctx, elanus__segment, items.at[i].value, &record) == OK);
        t_note(record);
        map_put_u64(named, record->id, sim);
        if (strcmp(record->vchannel, t_vchannel(number)) == 0 &&
            record->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            readable = t_see_sealed(&seen, sim, &ctx, record, shard);
    }
    for (size_t i = 0; shard && i < shard->segments.len; i++) {
        const data_segment_t *segment = *(data_segment_t **)vec_at(&shard->segments, i);
        if (!map_get_u64(named, segment->id) && segment->state != DATA_FLUSHED)
            t_see_growing(&seen, sim, &ctx, segment->rows);
    }
    if (readable)
        t_compare(sim, &seen, number);
    t_world.checked++;
    ctx_fini(&ctx);
}

static void t_check(sim_t *sim)
{
    const data_node_t *node = sim_node(sim, DATA);
    for (int i = 0; node && !t_world.wrong && i < SHARDS; i++)
        t_check_shard(sim, node, i);
}

/* --- scenarios ---------------------------------------------------------------------------- */

static void t_kill(sim_t *sim)
{
    sim_kill(sim, DATA);
    for (int i = 0; i < SHARDS; i++) {
        if (rng_chance(sim_rng(sim), 0.5))
            wal_ram_kill(t_world.disks[i]);
        else
            wal_ram_crash(t_world.disks[i], sim_rng(sim));
    }
}

static void t_misfortune(sim_t *sim)
{
    rng_t *rng = sim_rng(sim);
    switch (rng_below(rng, 8)) {
    case 0:
    case 1: if (sim_alive(sim, DATA)) t_kill(sim); break;
    case 2: sim_cut_meta(sim, DATA, rng_chance(rng, 0.5)); break;
    case 3: sim_cut(sim, DATA, COORD, rng_chance(rng, 0.4)); break;
    case 4: sim_cut(sim, CLIENT, DATA, rng_chance(rng, 0.4)); break;
    default: if (!sim_alive(sim, DATA)) sim_start(sim, DATA); break;
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

static void t_settle(sim_t *sim)
{
    sim_heal(sim);
    sim_run(sim, 1);
    if (!sim_alive(sim, DATA))
        sim_start(sim, DATA);
    uint64_t want = t_done(sim) + 20;
    if (!sim_until(sim, 90000, t_goes_on, &want) && !t_world.wrong)
        t_world.wrong = "no answers";
    t_run(sim, 1000);
}

/* How many requests were acknowledged; t_world.wrong tells what the checker found. */
static uint64_t t_history(uint64_t seed)
{
    t_world_up(seed);
    owned(sim) sim = sim_new(&(sim_options_t){ .seed = seed, .meta_lost = 0.02 });
    role_t data = data_role;
    data.make = t_make_data;
    t_sim = sim;
    t_create(sim);
    sim_start(sim, sim_add(sim, &coord_role));
    sim_start(sim, sim_add(sim, &data));
    for (int c = 0; c < CLIENTS; c++)
        sim_add(sim, &t_client_role);
    for (int c = 0; c < CLIENTS; c++)
        sim_start(sim, CLIENT + c);
    sim_run(sim, 4000);
    for (int round = 0; round < ROUNDS && !t_world.wrong; round++) {
        t_run(sim, (int64_t)rng_below(sim_rng(sim), 2000));
        t_misfortune(sim);
    }
    for (int i = 0; i < 2 && !t_world.wrong; i++) {
        t_settle(sim);
        t_kill(sim);
    }
    uint64_t done = t_done(sim);
    sim_destroy(&sim);
    t_world_down();
    return done;
}

static uint64_t t_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void nothing_is_lost_and_nothing_comes_back(void **state)
{
    (void)state;
    bool one = getenv("ELANUS_SIM_SEED") != NULL;
    uint64_t first = t_env("ELANUS_SIM_SEED", 1);
    uint64_t seeds = one ? 1 : t_env("ELANUS_SIM_SEEDS", DEFAULT_SEEDS);
    uint64_t done = 0, checked = 0, merged = 0, deltalogs = 0, truncated = 0;
    data_planted = BUG_NONE;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        done += t_history(seed);
        if (t_world.wrong)
            fail_msg("seed %" PRIu64 ": %s: %s", seed, t_world.wrong, t_world.why);
        checked += t_world.checked;
        merged += t_world.merged;
        deltalogs += t_world.deltalogs;
        truncated += t_world.truncated;
    }
    printf("          %" PRIu64 " seeds, %" PRIu64 " requests, %" PRIu64 " looks, %" PRIu64
           " at merged segments, %" PRIu64 " at deltalogs, %" PRIu64 " files of logs removed\n",
           seeds, done, checked, merged, deltalogs, truncated);
    assert_true(one || (checked && merged && deltalogs && truncated));
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
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_back),
        cmocka_unit_test(the_checker_finds_planted_bugs),
    };
    log_set_level(getenv("ELANUS_SIM_LOG") ? LOG_INFO : LOG_FATAL);
    return cmocka_run_group_tests_name("sim_persist", tests, NULL, NULL);
}

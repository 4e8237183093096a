/* data_replay - a channel's log, opened and read into shards by jobs
 *
 * A log on the store is opened first, which is quick: where the epochs before ended.  Reading what
 * they hold takes as long as there is something to be read; data_rows.c says what goes on
 * meanwhile, and why a request may be in the log twice: the second one is left out here.
 *
 * The job gets what the catalog says of each collection, and which segments metadata
 * knows, as both are after the channel was claimed: nobody else can change the
 * latter from then on.  Rows of a segment that metadata knows are in its objects, or were
 * dropped, so they are left out; so is everything of what the catalog has no more.
 * Deletes are kept all: which flushed segments they still must reach is decided by
 * those segments' records.
 */
#include "datanode/data_path.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "core/wal/wal_local.h"
#include "core/wal/wal_objects.h"
#include "datanode/data_planted.h"

enum { SURVEY_MS = 3000 };

/* What the catalog says of one collection. */
typedef struct shape {
    schema_t *schema;           /* shared */
    map_t *vchannels, *partitions;      /* sets */
} shape_t;

static shape_t *s_shape(const data_node_t *node, const Elanus__Collection *coll)
{
    shape_t *shape = mem_new(sizeof *shape);
    shape->schema = schema_ref(catalog_schema(node->catalog, coll->id));
    shape->vchannels = map_new();
    shape->partitions = map_new();
    for (size_t i = 0; i < coll->n_vchannels; i++)
        map_put_str(shape->vchannels, coll->vchannels[i], shape);
    for (size_t i = 0; i < coll->n_partitions; i++)
        map_put_u64(shape->partitions, coll->partitions[i]->id, shape);
    return shape;
}

static void s_shape_free(shape_t *shape)
{
    schema_unref(&shape->schema);
    map_destroy(&shape->vchannels);
    map_destroy(&shape->partitions);
    mem_free(shape);
}

static bool s_uses(const Elanus__Collection *coll, const char *pchannel)
{
    for (size_t i = 0; i < coll->n_vchannels; i++)
        if (view_eq(directory_pchannel(coll->vchannels[i]), view_str(pchannel)))
            return true;
    return false;
}

data_opening_t *data_opening_new(const data_channel_t *channel, ctx_t *ctx)
{
    const data_node_t *node = channel->node;
    data_opening_t *self = mem_new(sizeof *self);
    *self = (data_opening_t){ .options = node->options, .name = mem_strdup(channel->name),
                              .least_epoch = channel->epoch, .after = channel->ckpt };
    vec_init(&self->seals, sizeof(wal_seal_t));
    for (size_t i = 0; i < channel->seals.len; i++)
        vec_push(&self->seals, vec_at(&channel->seals, i));
    self->shapes = map_new();
    self->segments = map_new();
    self->shards = map_new();
    self->requests = data_requests_new();
    vec_init(&self->twins, sizeof(data_twin_t));
    const void **colls = NULL;
    size_t n = catalog_list(node->catalog, ctx, CATALOG_COLLECTION, &colls);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = colls[i];
        if (s_uses(coll, channel->name))
            map_put_u64(self->shapes, coll->id, s_shape(node, coll));
    }
    const Elanus__Segment **known = NULL;
    n = segments_of(node->segments, ctx, 0, &known);
    for (size_t i = 0; i < n; i++)
        if (view_eq(directory_pchannel(known[i]->vchannel), view_str(channel->name)))
            map_put_u64(self->segments, known[i]->id, self);
    return self;
}

static void s_forget_read(data_opening_t *self)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->shards, &at, NULL, &value); )
        data_shard_free(value);
    map_destroy(&self->shards);
    self->shards = map_new();
    data_requests_destroy(&self->requests);
    self->requests = data_requests_new();
    self->twins.len = 0;
    self->n_entries = self->n_skipped = self->last_ts = 0;
}

void data_opening_destroy(data_opening_t **self_p)
{
    data_opening_t *self = *self_p;
    if (!self)
        return;
    s_forget_read(self);
    void *value = NULL;
    for (size_t at = 0; map_next(self->shapes, &at, NULL, &value); )
        s_shape_free(value);
    vec_fini(&self->twins);
    vec_fini(&self->seals);
    map_destroy(&self->shapes);
    map_destroy(&self->segments);
    map_destroy(&self->shards);
    data_requests_destroy(&self->requests);
    wal_destroy(&self->log);
    wal_disk_destroy(&self->disk);
    mem_free(self->name);
    mem_free(self);
    *self_p = NULL;
}

/* --- on a worker ---------------------------------------------------------------------- */

static data_shard_t *s_shard(data_opening_t *self, const shape_t *shape, const wal_entry_t *entry)
{
    data_shard_t *shard = map_get(self->shards, entry->vchannel);
    if (!shard) {
        shard = data_shard_new(entry->vchannel, (uint64_t)entry->collection, shape->schema);
        map_put(self->shards, entry->vchannel, shard);
    }
    return shard;
}

/* Rows of it are not to be replayed. */
static bool s_is_known(const data_opening_t *self, const wal_entry_t *entry)
{
    return !PLANTED(BUG_KNOWN_SEGMENTS) &&
           map_get_u64(self->segments, (uint64_t)entry->segment) != NULL;
}

static void s_segment(const data_opening_t *self, const shape_t *shape, data_shard_t *shard,
                      const wal_entry_t *entry)
{
    if (!data_segment_find(shard, (uint64_t)entry->segment) && !s_is_known(self, entry) &&
        map_get_u64(shape->partitions, (uint64_t)entry->partition))
        data_segment_add(shard, (uint64_t)entry->segment, (uint64_t)entry->partition);
}

/* True: it was written before, and its writer could not know.  One who knew wrote it because
 * the first time was too long ago to be remembered: that is a new request.  The entries of one
 * request have one timestamp. */
static bool s_remember(data_opening_t *self, wal_position_t at, const wal_entry_t *entry)
{
    if ((!entry->request[0] && !entry->request[1]) || PLANTED(BUG_FORGET_REQUESTS))
        return false;
    data_request_t *first = data_requests_find(self->requests, entry->vchannel, entry->request);
    bool again = first && first->ts != entry->timestamp;
    if (again && !entry->early)
        data_requests_forget(self->requests, take(first));
    if (!first)
        data_requests_add(self->requests, entry->vchannel, entry->request, entry->timestamp, at,
                          NULL);
    if (!again || !entry->early)
        return false;
    vec_push(&self->twins, &(data_twin_t){ first->at, at });
    return true;
}

static err_t s_replay(ctx_t *ctx, void *arg, const wal_head_t *head, const wal_entry_t *entry)
{
    data_opening_t *self = arg;
    wal_position_t at = head->link.at;
    if (entry->timestamp < self->last_ts)
        return ctx_fail(ctx, ERR_CORRUPT, "object %" PRIu64 " of epoch %" PRIu64 " of the log of "
                        "%s was written before one that lies before it", at.seq, at.epoch,
                        self->name);
    self->last = at;
    self->last_ts = entry->timestamp;
    self->n_entries++;
    if (atomic_load_explicit(&self->unwanted, memory_order_relaxed))
        return ctx_fail(ctx, ERR_CANCELED, "the channel was given up");
    bool twin = s_remember(self, at, entry);
    const shape_t *shape = map_get_u64(self->shapes, (uint64_t)entry->collection);
    if (twin || !shape || !map_get(shape->vchannels, entry->vchannel)) {
        self->n_skipped++;
        return OK;
    }
    data_shard_t *shard = s_shard(self, shape, entry);
    if (entry->n_fields)
        s_segment(self, shape, shard, entry);
    if (entry->deletes)
        TRY(data_check_keys(ctx, shard->schema, entry->deletes));
    if (PLANTED(BUG_DOUBLE_APPLY) && entry->n_fields)
        TRY(data_apply(ctx, shard, at, entry));
    err_t err = data_apply(ctx, shard, at, entry);
    return err == OK ? OK : ctx_prefix(ctx, "object %" PRIu64 " of the log of %s", at.seq,
                                       self->name);
}

/* How the epochs before ended.  The seals are not in metadata yet: when they cannot be put there
 * because the channel is somebody else's, all of this is void. */
static err_t s_open_objects(ctx_t *ctx, data_opening_t *self)
{
    store_t *store = self->options->store;
    vec_scoped found;
    vec_init(&found, sizeof(wal_seal_t));
    ctx_limit_ms(ctx, SURVEY_MS);
    TRY(wal_objects_survey(ctx, store, view_str(self->name), self->least_epoch, self->after,
                           self->seals.ptr, self->seals.len, &found));
    for (size_t i = 0; i < found.len; i++)
        vec_push(&self->seals, vec_at(&found, i));
    wal_objects_options_t options = {
        .channel = view_str(self->name), .epoch = self->least_epoch, .seals = self->seals.ptr,
        .n_seals = self->seals.len, .ckpt = self->after,
    };
    return wal_objects_open(ctx, store, &options, &self->log);
}

err_t data_opening_read(ctx_t *ctx, void *arg)
{
    data_opening_t *self = arg;
    s_forget_read(self);
    wal_objects_options_t options = {
        .channel = view_str(self->name), .epoch = self->least_epoch, .seals = self->seals.ptr,
        .n_seals = self->seals.len, .ckpt = self->after, .replay = s_replay, .arg = self,
        .readers = self->options->readers,
    };
    TRY(wal_objects_replay(ctx, self->options->store, &options));
    self->read = true;
    return OK;
}

err_t data_opening_run(ctx_t *ctx, void *arg)
{
    data_opening_t *self = arg;
    if (!self->options->open_disk)
        return s_open_objects(ctx, self);
    TRY(self->options->open_disk(ctx, self->options->disk_arg, self->name, &self->disk));
    wal_local_options_t options = {
        .channel = view_str(self->name), .file_bytes = self->options->wal_file_bytes,
        .least_epoch = self->least_epoch, .after = self->after, .replay = s_replay, .arg = self,
    };
    self->read = true;
    return wal_local_open(ctx, self->disk, &options, &self->log);
}

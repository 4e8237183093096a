/* stats_cache - see stats_cache.h */
#include "datanode/stats_cache.h"

#include "core/base/map.h"

typedef struct entry {
    stats_t *stats;             /* owned */
    uint64_t segment, used;     /* used: a count that rises with every question */
    size_t bytes;
} entry_t;

struct stats_cache {
    map_t *entries;             /* segment -> entry_t, owned */
    size_t bytes, most_bytes;
    uint64_t uses;
};

stats_cache_t *stats_cache_new(size_t most_bytes)
{
    stats_cache_t *self = mem_new(sizeof *self);
    self->entries = map_new();
    self->most_bytes = most_bytes;
    return self;
}

static void s_drop(stats_cache_t *self, entry_t *entry)
{
    map_del_u64(self->entries, entry->segment);
    self->bytes -= entry->bytes;
    stats_destroy(&entry->stats);
    mem_free(entry);
}

void stats_cache_destroy(stats_cache_t **self_p)
{
    stats_cache_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    void *value;
    for (size_t at = 0; map_next(self->entries, &at, NULL, &value); )
        s_drop(self, value);
    map_destroy(&self->entries);
    mem_free(self);
}

/* Segments are few beside their keys: looking through all of them is nothing beside
 * the read that makes it necessary. */
static void s_make_room(stats_cache_t *self)
{
    while (self->bytes > self->most_bytes && map_len(self->entries) > 1) {
        entry_t *oldest = NULL;
        void *value;
        for (size_t at = 0; map_next(self->entries, &at, NULL, &value); ) {
            entry_t *entry = value;
            if (!oldest || entry->used < oldest->used)
                oldest = entry;
        }
        s_drop(self, oldest);
    }
}

err_t stats_cache_get(ctx_t *ctx, stats_cache_t *self, store_t *store, uint64_t segment,
                      const char *key, const stats_t **ret)
{
    entry_t *entry = map_get_u64(self->entries, segment);
    if (!entry) {
        stats_t *stats = NULL;
        TRY(stats_load(ctx, store, key, &stats));
        entry = mem_new(sizeof *entry);
        *entry = (entry_t){ .stats = stats, .segment = segment, .bytes = sizeof *entry +
            sizeof *stats + stats->pk_min.len + stats->pk_max.len + bloom_bytes(stats->bloom).len };
        map_put_u64(self->entries, segment, entry);
        self->bytes += entry->bytes;
    }
    entry->used = ++self->uses;
    s_make_room(self);
    *ret = entry->stats;
    return OK;
}

size_t stats_cache_bytes(const stats_cache_t *self)
{
    return self->bytes;
}

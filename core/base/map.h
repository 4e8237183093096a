/* map - bytes to pointers
 *
 * Open addressing with linear probing over a power-of-two table, at most 70%
 * full; XXH3 hashes seeded per process, so that keys chosen by a client
 * cannot be aimed at one slot.  Keys are copied, values are the caller's.
 * Deleting while iterating is allowed for the entry just returned.
 */
#ifndef CORE_BASE_MAP_H
#define CORE_BASE_MAP_H

#include "core/base/base.h"

typedef struct map map_t;

map_t *map_new(void);

/* Hash with this seed from now on, so that iteration replays: simulator only. */
void map_fix_seed(uint64_t seed);
void   map_destroy(map_t **self_p);     /* the values stay */
size_t map_len(const map_t *self);

/* NULL when the key is not there; so NULL is no useful value. */
void *map_get(const map_t *self, view_t key);

/* Put value (not NULL) at key; returns what was there, NULL when nothing. */
void *map_put(map_t *self, view_t key, void *value);

/* Take key out; returns its value, NULL when it was not there. */
void *map_del(map_t *self, view_t key);

/* `for (size_t at = 0; map_next(m, &at, &key, &value); )`; key may be NULL.
 * The order is arbitrary and the map must not be put into meanwhile. */
bool map_next(const map_t *self, size_t *at, view_t *key, void **value);

/* The same with numbers and C strings as keys. */
static inline void *map_get_u64(const map_t *self, uint64_t key)
{
    return map_get(self, view_of(&key, sizeof key));
}

static inline void *map_put_u64(map_t *self, uint64_t key, void *value)
{
    return map_put(self, view_of(&key, sizeof key), value);
}

static inline void *map_del_u64(map_t *self, uint64_t key)
{
    return map_del(self, view_of(&key, sizeof key));
}

static inline void *map_get_str(const map_t *self, const char *key)
{
    return map_get(self, view_str(key));
}

static inline void *map_put_str(map_t *self, const char *key, void *value)
{
    return map_put(self, view_str(key), value);
}

static inline void *map_del_str(map_t *self, const char *key)
{
    return map_del(self, view_str(key));
}

#endif

/* map - linear probing; a deleted slot leaves a tombstone until the next rehash,
 * so that iteration may delete what it has just seen */
#include "core/base/map.h"

#include <stdatomic.h>
#include <xxhash.h>

#include "core/base/rng.h"

typedef struct {
    uint64_t hash;
    uint8_t *key;               /* owned; NULL: empty or tombstone */
    size_t key_len;
    void *value;
    bool tombstone;
} slot_t;

struct map {
    slot_t *slots;
    size_t cap;                 /* power of two */
    size_t live;                /* slots with a key */
    size_t used;                /* live and tombstones */
    uint64_t seed;
};

enum { FIRST_CAP = 16 };

static _Atomic uint64_t s_seed;

void map_fix_seed(uint64_t seed)
{
    atomic_store(&s_seed, seed);
}

map_t *map_new(void)
{
    uint64_t seed = atomic_load(&s_seed);
    if (seed == 0) {
        seed = rng_from_os();
        atomic_store(&s_seed, seed);
    }
    map_t *self = mem_new(sizeof *self);
    self->cap = FIRST_CAP;
    self->slots = mem_new(self->cap * sizeof self->slots[0]);
    self->seed = seed;
    return self;
}

void map_destroy(map_t **self_p)
{
    map_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->cap; i++)
        mem_free(self->slots[i].key);
    mem_free(self->slots);
    mem_free(self);
    *self_p = NULL;
}

size_t map_len(const map_t *self)
{
    return self->live;
}

/* The key's slot, or NULL; *ret_free gets the first slot a put may use. */
static slot_t *s_find(const map_t *self, uint64_t hash, view_t key, slot_t **ret_free)
{
    slot_t *spare = NULL;
    for (size_t i = hash & (self->cap - 1); ; i = (i + 1) & (self->cap - 1)) {
        slot_t *slot = &self->slots[i];
        if (!slot->key) {
            if (!spare)
                spare = slot;
            if (slot->tombstone)
                continue;
            if (ret_free)
                *ret_free = spare;
            return NULL;
        }
        if (slot->hash == hash && view_eq(view_of(slot->key, slot->key_len), key))
            return slot;
    }
}

static void s_rehash(map_t *self)
{
    size_t old_cap = self->cap;
    slot_t *old = self->slots;
    if (self->live * 2 >= self->cap)
        self->cap *= 2;
    self->slots = mem_new(self->cap * sizeof self->slots[0]);
    self->used = self->live;
    for (size_t i = 0; i < old_cap; i++) {
        if (!old[i].key)
            continue;
        size_t at = old[i].hash & (self->cap - 1);
        while (self->slots[at].key)
            at = (at + 1) & (self->cap - 1);
        self->slots[at] = old[i];
    }
    mem_free(old);
}

static uint64_t s_hash(const map_t *self, view_t key)
{
    return XXH3_64bits_withSeed(key.len ? key.ptr : (const uint8_t *)"", key.len, self->seed);
}

void *map_get(const map_t *self, view_t key)
{
    slot_t *slot = s_find(self, s_hash(self, key), key, NULL);
    return slot ? slot->value : NULL;
}

void *map_put(map_t *self, view_t key, void *value)
{
    check(value != NULL);
    if (self->used * 10 >= self->cap * 7)
        s_rehash(self);
    uint64_t hash = s_hash(self, key);
    slot_t *spare = NULL;
    slot_t *slot = s_find(self, hash, key, &spare);
    if (slot) {
        void *before = slot->value;
        slot->value = value;
        return before;
    }
    if (!spare->tombstone)
        self->used++;
    self->live++;
    *spare = (slot_t){ .hash = hash, .key = mem_new(key.len + 1), .key_len = key.len,
                       .value = value };
    if (key.len)
        memcpy(spare->key, key.ptr, key.len);
    return NULL;
}

void *map_del(map_t *self, view_t key)
{
    slot_t *slot = s_find(self, s_hash(self, key), key, NULL);
    if (!slot)
        return NULL;
    void *value = slot->value;
    mem_free(slot->key);
    *slot = (slot_t){ .tombstone = true };
    self->live--;
    return value;
}

bool map_next(const map_t *self, size_t *at, view_t *key, void **value)
{
    for (; *at < self->cap; (*at)++) {
        const slot_t *slot = &self->slots[*at];
        if (!slot->key)
            continue;
        if (key)
            *key = view_of(slot->key, slot->key_len);
        if (value)
            *value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}

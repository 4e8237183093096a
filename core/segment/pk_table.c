/* pk_table - see pk_table.h
 *
 * Order of publication: the writer fills a row's cells, then releases the slot;
 * a reader acquires the slot, then compares the cells.  A slot only ever goes
 * from empty to a key, and from a row of that key to a newer row of it, so a
 * probe sequence seen by a reader is never broken.
 */
#include "core/segment/pk_table.h"

#include <stdatomic.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 128, FULL_PERCENT = 60 };

typedef struct slots {
    struct slots *before;       /* owned; the smaller one this was copied from */
    size_t mask;
    _Atomic uint64_t at[];
} slots_t;

struct pk_table {
    _Atomic(slots_t *) slots;
    size_t used;                /* the writer's */
    size_t bytes;
    uint64_t seed;
};

static slots_t *s_slots_new(ctx_t *ctx, size_t n)
{
    slots_t *slots = ctx ? mem_try(ctx, sizeof *slots + n * sizeof slots->at[0])
                         : mem_new(sizeof *slots + n * sizeof slots->at[0]);
    if (slots)
        slots->mask = n - 1;
    return slots;
}

pk_table_t *pk_table_new(uint64_t seed)
{
    pk_table_t *self = mem_new(sizeof *self);
    self->seed = seed;
    atomic_init(&self->slots, s_slots_new(NULL, FIRST_SLOTS));
    self->bytes = FIRST_SLOTS * sizeof(uint64_t);
    return self;
}

void pk_table_destroy(pk_table_t **self_p)
{
    pk_table_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (slots_t *slots = atomic_load(&self->slots); slots; ) {
        slots_t *before = slots->before;
        mem_free(slots);
        slots = before;
    }
    mem_free(self);
}

uint64_t pk_table_hash(const pk_table_t *self, view_t pk)
{
    return XXH3_64bits_withSeed(pk.ptr, pk.len, self->seed);
}

static uint64_t s_slot(uint64_t hash, uint32_t row)
{
    return (hash & 0xffffffff00000000u) | (row + 1u);
}

/* A slot keeps the upper half of the hash, so where to start comes from that: a table
 * can then be copied without looking at the keys. */
static size_t s_start(uint64_t hash, size_t mask)
{
    return (size_t)((hash >> 32) * 0x9e3779b97f4a7c15u >> 24) & mask;
}

static void s_move(slots_t *to, uint64_t slot)
{
    size_t at = s_start(slot, to->mask);
    while (atomic_load_explicit(&to->at[at], memory_order_relaxed))
        at = (at + 1) & to->mask;
    atomic_store_explicit(&to->at[at], slot, memory_order_relaxed);
}

err_t pk_table_reserve(ctx_t *ctx, pk_table_t *self, size_t n_more)
{
    slots_t *old = atomic_load_explicit(&self->slots, memory_order_relaxed);
    size_t n = old->mask + 1;
    while ((self->used + n_more) * 100 > n * FULL_PERCENT)
        n *= 2;
    if (n == old->mask + 1)
        return OK;
    slots_t *grown = s_slots_new(ctx, n);
    if (!grown)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a table of %zu primary keys", n);
    for (size_t i = 0; i <= old->mask; i++) {
        uint64_t slot = atomic_load_explicit(&old->at[i], memory_order_relaxed);
        if (slot)
            s_move(grown, slot);
    }
    grown->before = old;
    self->bytes += n * sizeof(uint64_t);
    atomic_store_explicit(&self->slots, grown, memory_order_release);
    return OK;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t s_probe(const slots_t *slots, uint64_t hash, pk_match_fn *match, const void *arg,
                      uint32_t *ret_row)
{
    size_t at = s_start(hash, slots->mask);
    for (;; at = (at + 1) & slots->mask) {
        uint64_t slot = atomic_load_explicit(&slots->at[at], memory_order_acquire);
        *ret_row = slot ? (uint32_t)slot - 1 : PK_NO_ROW;
        if (!slot || (slot >> 32 == hash >> 32 && match(arg, *ret_row)))
            return at;
    }
}

void pk_table_put(pk_table_t *self, uint64_t hash, uint32_t row, uint32_t *ret_before,
                  pk_match_fn *match, const void *arg)
{
    slots_t *slots = atomic_load_explicit(&self->slots, memory_order_relaxed);
    size_t at = s_probe(slots, hash, match, arg, ret_before);
    self->used += *ret_before == PK_NO_ROW;
    check(self->used <= slots->mask);
    atomic_store_explicit(&slots->at[at], s_slot(hash, row), memory_order_release);
}

uint32_t pk_table_find(const pk_table_t *self, uint64_t hash, pk_match_fn *match, const void *arg)
{
    const slots_t *slots = atomic_load_explicit(&self->slots, memory_order_acquire);
    uint32_t row = PK_NO_ROW;
    s_probe(slots, hash, match, arg, &row);
    return row;
}

size_t pk_table_bytes(const pk_table_t *self)
{
    return self->bytes;
}

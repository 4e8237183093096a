/* arena - a list of blocks, filled from the front */
#include "core/base/arena.h"

#include <stdlib.h>

#include "core/base/base.h"

enum { FIRST_BYTES = 4 << 10, MOST_BYTES = 1 << 20, ALIGN = 16 };

struct arena_block {
    arena_block_t *next;
    size_t size, used;          /* of at[] */
    _Alignas(ALIGN) uint8_t at[];
};

void arena_init(arena_t *arena)
{
    *arena = (arena_t){0};
}

void arena_fini(arena_t *arena)
{
    while (arena->blocks) {
        arena_block_t *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->held_bytes = 0;
}

static arena_block_t *s_grow(arena_t *arena, size_t bytes)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BYTES;
    if (size > MOST_BYTES)
        size = MOST_BYTES;
    if (size < bytes)
        size = bytes;

    arena_block_t *block = calloc(1, sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    arena->held_bytes += size;

    /* A big block goes behind the one being filled, so that its rest is not lost. */
    arena_block_t *front = arena->blocks;
    if (front && bytes > MOST_BYTES / 2 && front->size - front->used > ALIGN) {
        block->next = front->next;
        front->next = block;
    } else {
        block->next = front;
        arena->blocks = block;
    }
    return block;
}

void *arena_try(arena_t *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t need = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    arena_block_t *block = arena->blocks;
    if (!block || block->size - block->used < need)
        block = s_grow(arena, need);
    if (!block)
        return NULL;
    void *ptr = block->at + block->used;
    block->used += need;
    return ptr;
}

/* arena - memory that dies all at once
 *
 * A request, its decoded messages, its plan and its result live in one arena
 * and go with it.  Blocks double from 4 KiB to 1 MiB; bigger asks get a block
 * of their own.  There is no free for a single allocation.
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include <stddef.h>

typedef struct arena_block arena_block_t;

typedef struct arena {
    arena_block_t *blocks;      /* newest first */
    size_t held_bytes;          /* sum of all blocks */
} arena_t;

void arena_init(arena_t *arena);

/* Free every block; the arena is usable again. */
void arena_fini(arena_t *arena);

/* Zeroed, aligned for any type; NULL only when the machine is out of memory. */
void *arena_try(arena_t *arena, size_t bytes);

#endif

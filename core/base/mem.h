/* mem - two kinds of allocation
 *
 * mem_new is for small things whose size the code knows: when it fails the
 * process stops, because nothing sensible could follow.  mem_try is for
 * whatever data or a user sizes: it may be refused, counts against the
 * context's budget, and is a fault point for the n-th-fault tests.
 * Everything is zeroed.
 */
#ifndef CORE_BASE_MEM_H
#define CORE_BASE_MEM_H

#include <stddef.h>

typedef struct ctx ctx_t;

/* Zeroed bytes, never NULL; caller frees with mem_free. */
void *mem_new(size_t bytes);

/* Zeroed bytes, or NULL when memory, the budget of ctx or an armed fault
 * says no.  ctx may be NULL: no budget then.  The budget bounds what one
 * errand asks for in total; freeing does not give it back. */
void *mem_try(ctx_t *ctx, size_t bytes);

/* Grow or shrink a mem_new block; aborts when memory is gone. */
void *mem_resize(void *ptr, size_t bytes);

char *mem_strdup(const char *text);

/* NULL is fine. */
void mem_free(void *ptr);

#endif

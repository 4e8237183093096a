/* mem - allocation that aborts, and allocation that can be refused */
#include "core/base/mem.h"

#include <stdlib.h>

#include "core/base/base.h"
#include "core/base/fault.h"

void *mem_new(size_t bytes)
{
    void *ptr = calloc(1, bytes ? bytes : 1);
    check(ptr != NULL);
    return ptr;
}

void *mem_try(ctx_t *ctx, size_t bytes)
{
    if (fault_hit())
        return NULL;
    if (ctx && !ctx_spend(ctx, bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *ptr, size_t bytes)
{
    void *moved = realloc(ptr, bytes ? bytes : 1);
    check(moved != NULL);
    return moved;
}

char *mem_strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(mem_new(len), text, len);
}

void mem_free(void *ptr)
{
    free(ptr);
}

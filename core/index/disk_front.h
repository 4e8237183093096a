/* disk_front - the nearest nodes that a walk has seen, nearest first, and which it has been at
 *
 * A walk takes the nearest that it has not been at, looks at its neighbours, and ends when there
 * is none among the `most` nearest.  Inserting moves what is behind: `most` is some hundreds at
 * most as a rule, and newcomers are mostly far, so a heap would be slower.
 */
#ifndef CORE_INDEX_DISK_FRONT_H
#define CORE_INDEX_DISK_FRONT_H

#include "core/base/base.h"

#define FRONT_BEEN (1u << 31)   /* a flag of node; LIMIT_INDEX_ROWS is below */

typedef struct front_node { float far; uint32_t node; } front_node_t;

typedef struct front {
    front_node_t *at;           /* borrowed; [most] */
    size_t n, most;
    size_t next;                /* before it all have been at */
} front_t;

/* What is no number is never taken. */
static inline void front_add(front_t *self, float far, uint32_t node)
{
    if (self->n == self->most && !(far < self->at[self->n - 1].far))
        return;
    if (far != far)
        return;
    size_t low = 0, high = self->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (self->at[middle].far <= far)
            low = middle + 1;
        else
            high = middle;
    }
    self->n += self->n < self->most;
    memmove(&self->at[low + 1], &self->at[low], (self->n - 1 - low) * sizeof *self->at);
    self->at[low] = (front_node_t){ far, node };
    if (low < self->next)
        self->next = low;
}

/* The nearest that it has not been at, which now counts as been; false: none is left. */
static inline bool front_take(front_t *self, front_node_t *ret)
{
    while (self->next < self->n && (self->at[self->next].node & FRONT_BEEN))
        self->next++;
    if (self->next == self->n)
        return false;
    *ret = self->at[self->next];
    self->at[self->next++].node |= FRONT_BEEN;
    return true;
}

#endif

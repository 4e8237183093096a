/* index_gc - objects of indexes that no build names any more
 *
 * See index_gc.c for how it can be sure.  One round in an interval, by the
 * leading coord and by nobody else.
 */
#ifndef COORD_INDEX_GC_H
#define COORD_INDEX_GC_H

#include "core/base/map.h"
#include "core/node/node.h"

struct coord_node;

typedef struct index_gc {
    int64_t at_ms;              /* the next round; 0: it was never said */
    bool busy;
    uint64_t round;
    struct index_page *page;    /* busy: what is being looked at; owned */
    map_t *orphans;             /* key -> orphan_t, owned: since when they were seen */
} index_gc_t;

void index_gc_init(index_gc_t *self);
void index_gc_fini(index_gc_t *self);

/* Begin a round when it is time; the leader only. */
void index_gc_look(struct coord_node *node, const event_t *ev, actions_t *act, int64_t *due_ms);

#endif

/* live - growing segments that nodes of one process share
 *
 * In standalone the owner of a channel and the reader of it are threads of one
 * process.  Rows are then kept once: the owner shows its growing segments here,
 * and the reader takes a reference instead of building its own from the log.
 * The owner stays their only writer, and goes on applying deletes to a segment
 * that was flushed for as long as somebody else holds it (growing_is_shared).
 *
 * One table for the process, because that is what it is about: which memory
 * is in reach.  Keyed by the owner's incarnation too, so that a simulator can
 * kill an owner without its segments living on.  Thread: any.
 */
#ifndef CORE_SEGMENT_LIVE_H
#define CORE_SEGMENT_LIVE_H

#include "core/segment/growing.h"

/* From here on this owner's segments are shown here: a reader that lives in another process, where
 * nothing was said of the owner, has to be sent the rows. */
void live_begin(uint64_t owner);
bool live_is_here(uint64_t owner);

/* As if every owner lived in another process: for a simulator, whose nodes share one. */
void live_apart(bool apart);

/* Show a segment; the table takes a reference. */
void live_put(uint64_t owner, growing_t *segment);

/* A reference to it, NULL when this process does not have it. */
growing_t *live_get(uint64_t owner, uint64_t segment);

void live_drop(uint64_t owner, uint64_t segment);
void live_drop_all(uint64_t owner);     /* and it is not here any more */

#endif

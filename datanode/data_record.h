/* data_record - what metadata says of a segment, made and read by its channel's owner
 *
 * A record names every object of its segment.  It is written after they are
 * durable and changed only under a compare of the channel's owner key, so
 * whoever reads one finds what it names.
 */
#ifndef DATANODE_DATA_RECORD_H
#define DATANODE_DATA_RECORD_H

#include "core/segment/flush.h"
#include "core/wal/wal_record.h"
#include "elanus.pb-c.h"

/* A copy in the arena of ctx; ERR_MEMORY. */
err_t must_use data_record_copy(ctx_t *ctx, const Elanus__Segment *from, Elanus__Segment **ret);

/* The record of what a plan has put, in the arena: ids, objects, rows, dead ones, bytes;
 * FLUSHED.  The rest is the caller's.  ERR_MEMORY. */
err_t must_use data_record_of(ctx_t *ctx, const flush_t *plan, const char *vchannel,
                              Elanus__Segment **ret);

/* One more deltalog: the lists are in the arena, the name is borrowed. */
void data_record_add_deltalog(ctx_t *ctx, Elanus__Segment *record, const char *key);

/* As core/segment takes it; names are borrowed from the record. */
sealed_files_t data_record_files(const Elanus__Segment *record);

/* Every object it names, borrowed from it; an array in the arena. */
size_t data_record_keys(ctx_t *ctx, const Elanus__Segment *record, const char *const **ret);

/* The middle part of a key of its objects: "<collection>/<partition>/<segment>". */
const char *data_record_place(ctx_t *ctx, const Elanus__Segment *record);

/* A number no attempt to write a segment ever had.  A key in the store stands for one
 * content for ever, over restarts and clocks set back too, so it holds the channel's epoch;
 * it begins with the time, because a store does not tell the age of what it lists. */
typedef struct attempts { uint64_t epoch; uint32_t count; } attempts_t;
uint64_t attempts_next(attempts_t *self, int64_t wall_ms);

/* When the object of this key was begun, -1 when it is not a key of a segment's object.
 * *ret_segment: whose it is. */
int64_t attempts_wall_ms(const char *key, uint64_t *ret_collection, uint64_t *ret_segment);

#endif

/* data_path - what the files of the write path share, beside data_int.h */
#ifndef DATANODE_DATA_PATH_H
#define DATANODE_DATA_PATH_H

#include "datanode/data_hooks.h"
#include "datanode/data_opening.h"

/* --- data_segment.c: shards, segments, and what an entry does to them ----------------- */

/* Of no channel yet.  name is copied, schema shared. */
data_shard_t *data_shard_new(view_t name, uint64_t collection, schema_t *schema);
void data_shard_free(data_shard_t *shard);

/* Into a channel's table: its segments are shown, its memory counts; and out again.  When the
 * channel has it already, with nothing applied, the two become one. */
void data_shard_adopt(data_channel_t *channel, data_shard_t *shard);
void data_shard_leave(data_shard_t *shard);

/* The one that takes rows of this partition, NULL: none. */
data_segment_t *data_segment_taking(const data_shard_t *shard, uint64_t partition);
data_segment_t *data_segment_add(data_shard_t *shard, uint64_t id, uint64_t partition);

/* Forget a segment and its rows; i: its place. */
void data_segment_remove(data_shard_t *shard, size_t i);

/* One entry less is on its way to it. */
void data_segment_arrived(data_shard_t *shard, data_segment_t *segment, size_t bytes, size_t rows,
                          const event_t *ev, actions_t *act);

/* The columns of an entry in the schema's order.  ERR_MALFORMED when they do not fit it: what
 * comes from another process is not trusted, what the log gives back should be right. */
err_t must_use data_columns(ctx_t *ctx, const schema_t *schema, const wal_entry_t *entry,
                            column_t ret[LIMIT_WAL_FIELDS]);
err_t must_use data_check_keys(ctx_t *ctx, const schema_t *schema, const column_t *keys);

/* Bytes of an entry's columns. */
size_t data_entry_bytes(const wal_entry_t *entry);

/* Make it so: all of the entry or nothing.  Rows for a segment that is not there are left out.
 * Errors  ERR_MEMORY */
err_t must_use data_apply(ctx_t *ctx, data_shard_t *shard, wal_position_t at,
                          const wal_entry_t *entry);

/* Forget the deletes up to this position. */
void data_shard_trim(data_shard_t *shard, wal_position_t upto);

/* --- data_ids.c ----------------------------------------------------------------------- */

void data_ids_fill(data_node_t *self, actions_t *act);
uint64_t data_ids_left(const data_node_t *self);
void data_ids_due(data_node_t *self, const event_t *ev, actions_t *act);    /* TIMER_DATA_IDS */

/* --- data_rows.c ---------------------------------------------------------------------- */

void data_rows_read(data_channel_t *channel, actions_t *act);   /* have a job do it */
void data_rows_again(data_channel_t *channel, actions_t *act);  /* TIMER_DATA_AGAIN */

/* Both are there, an ACTIVE channel and its rows: make them one. */
void data_rows_adopt(data_channel_t *channel, const event_t *ev, actions_t *act);

/* --- data_early.c --------------------------------------------------------------------- */

/* A call that is about a channel whose replay is under way: true, it waits, or is refused. */
bool data_early_wait(data_node_t *self, const event_t *ev, actions_t *act);

/* Something changed: those that need not wait any more are done. */
void data_early_look(data_node_t *self, const event_t *ev, actions_t *act);
void data_early_cancelled(data_node_t *self, net_from_t from);
void data_early_end(data_node_t *self);

/* --- data_node.c ---------------------------------------------------------------------- */

void data_node_call(data_node_t *self, const event_t *ev, actions_t *act);

/* --- data_channel.c ------------------------------------------------------------------- */

/* The log is free, or there is work for it: commit, truncate, close. */
void data_channel_work(data_channel_t *channel, actions_t *act);

/* Cut the log where a checkpoint said; false: there is nothing to cut.  data_shards.c */
bool data_channel_truncate(data_channel_t *channel, actions_t *act);
void data_channel_try_again(data_channel_t *channel, int64_t after_ms, actions_t *act);
void data_channel_close_call(data_node_t *self, const event_t *ev, actions_t *act);
void data_channel_drained(data_channel_t *channel, const event_t *ev, actions_t *act);
void data_channel_owners(data_node_t *self, const event_t *ev, actions_t *act);
void data_channel_again(data_node_t *self, const event_t *ev, actions_t *act);
void data_channel_stop(data_node_t *self, const event_t *ev, actions_t *act);
void data_channel_leave(data_node_t *self, const event_t *ev, actions_t *act);
void data_channels_end(data_node_t *self);

/* A collection's key was read and may be newer than what the watch has shown. */
void data_collection_ahead(data_node_t *self, ctx_t *ctx, const meta_item_t *item);

/* --- data_inspect.c ------------------------------------------------------------------- */

/* For those who look in: member_t.inspect. */
void data_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                  Elanus__Inspection *into);

/* --- data_shards.c ----------------------------------------------------------------------- */

/* Forget shards and segments of what the catalog has no more. */
void data_channel_sweep(data_channel_t *channel, actions_t *act);
void data_channel_dropped(data_node_t *self, actions_t *act);   /* of all */

/* This collection's shard; made when the catalog has it.  NULL: it does not. */
data_shard_t *data_channel_shard(data_channel_t *channel, const char *vchannel,
                                 uint64_t collection);

/* --- data_write.c --------------------------------------------------------------------- */

void data_write_call(data_node_t *self, const event_t *ev, actions_t *act);     /* WRITE */

/* Do a write, or park it.  looked: metadata itself was asked for its collection. */
void data_write_take(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                     bool looked, const event_t *ev, actions_t *act);

/* Start commits of what was appended, as many as may run and are worth it. */
void data_write_commit(data_channel_t *channel, actions_t *act);
/* --- data_stall.c -------------------------------------------------------------------- */

/* A put is undecided: no writes until the store answers; reads go on. */
void data_channel_stall(data_channel_t *channel, const event_t *ev, actions_t *act);
void data_stall_due(data_node_t *self, const event_t *ev, actions_t *act); /* TIMER_DATA_STALL */

/* Somebody has it, who may live and only wait for the store: who waits for it, too, does not take
 * it from them. */
bool data_stall_must_probe(const data_channel_t *channel);

/* Does the store answer?  `then` gets the channel, held for it. */
void data_stall_probe(data_channel_t *channel, wait_fn *then, actions_t *act);

void data_write_linger(data_node_t *self, actions_t *act);      /* TIMER_DATA_LINGER */

/* What was written before is in the shards, and these requests were: apply what came meanwhile. */
void data_write_replayed(data_channel_t *channel, data_requests_t *requests, const event_t *ev,
                         actions_t *act);

/* Apply and answer what is durable and could not be applied for want of memory. */
void data_write_again(data_node_t *self, const event_t *ev, actions_t *act);

/* Tell the writers that nobody knows, and later free what the log had borrowed. */
void data_write_unknown(data_channel_t *channel, const char *why, actions_t *act);
void data_write_free(data_channel_t *channel);

/* The first stamp that is not applied yet; 0: none. */
uint64_t data_write_first_ts(const data_channel_t *channel);
size_t data_write_waiting(const data_channel_t *channel);

/* Apply and answer what is committed now. */
void data_write_fenced(data_channel_t *channel, const event_t *ev, actions_t *act);

/* --- data_fence.c: is the channel still ours? ------------------------------------------ */

/* Everything up to here may be applied, answered and shown. */
wal_position_t data_committed(const data_channel_t *channel);

/* Have the next question ask for this channel; it is sent when none is under way. */
void data_fence_want(data_channel_t *channel, const event_t *ev, actions_t *act);

/* Metadata had no room of late: no higher bound can be promised. */
bool data_fence_full(const data_node_t *self, int64_t now_ms);
void data_fence_due(data_node_t *self, const event_t *ev, actions_t *act); /* TIMER_DATA_FENCE */

/* The channel has a new epoch: answers to earlier questions say nothing. */
void data_fence_reset(data_channel_t *channel);

/* --- data_seals.c: metadata of logs on the store, read after the claim ------------------ */

const char *data_seals_root(void);
const char *data_clock_root(void);
const char *data_key_clock(ctx_t *ctx, const char *pchannel);
void data_seals_begin(data_node_t *self);                       /* a round of reading begins */
bool data_seals_saw(data_node_t *self, ctx_t *ctx, const meta_item_t *item);    /* ours? */

/* Puts of those that metadata has not; *ret_more: there are more than fit. */
size_t data_seals_put(const data_channel_t *channel, ctx_t *ctx,
                      meta_op_t ret[DATA_SEALS_AT_ONCE], bool *ret_more);

/* The transaction that names them was done: log how the epoch before ended. */
void data_seals_tell(const data_channel_t *channel);

/* --- data_park.c: writes that wait for an id of a segment, or for metadata ------------ */

void data_park_for_id(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                      bool looked, const event_t *ev, actions_t *act);
void data_park_for_look(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                        uint64_t collection, const event_t *ev, actions_t *act);
void data_park_expire(data_node_t *self, const event_t *ev, actions_t *act);
void data_park_ids_came(data_node_t *self, const event_t *ev, actions_t *act);
void data_park_cancelled(data_node_t *self, net_from_t from);
void data_park_refuse(data_node_t *self, actions_t *act);
void data_park_end(data_node_t *self);

/* --- data_follow.c -------------------------------------------------------------------- */

void data_follow_call(data_node_t *self, const event_t *ev, actions_t *act);    /* FOLLOW */
void data_follow_wake(data_shard_t *shard, const event_t *ev, actions_t *act);
void data_follow_refuse(data_shard_t *shard, err_t err, const char *why, actions_t *act);
void data_follow_cancelled(data_node_t *self, net_from_t from);

/* Something parked wants to be looked at then; TIMER_DATA_PARKED does it. */
void data_follow_timer(data_node_t *self, int64_t due_ms, const event_t *ev, actions_t *act);
void data_follow_due(data_node_t *self, const event_t *ev, actions_t *act);

/* --- data_frontier.c ------------------------------------------------------------------ */

void data_frontier_call(data_node_t *self, const event_t *ev, actions_t *act);  /* FRONTIER */
void data_segments_call(data_node_t *self, const event_t *ev, actions_t *act);  /* SEGMENTS */

/* Something was applied, closed, or time went on: who can be answered now? */
void data_frontier_look(data_node_t *self, const event_t *ev, actions_t *act);
void data_frontier_cancelled(data_node_t *self, net_from_t from);
void data_frontier_end(data_node_t *self);

#endif

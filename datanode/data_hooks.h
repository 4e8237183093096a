/* data_hooks - persistence, as the rest of the data node calls it */
#ifndef DATANODE_DATA_HOOKS_H
#define DATANODE_DATA_HOOKS_H

#include "datanode/data_int.h"

void data_persist_make(data_node_t *self);
void data_persist_end(data_node_t *self);
void data_persist_start(data_node_t *self, const event_t *ev, actions_t *act);

/* TIMER_DATA_PERSIST and above, METHOD_SEAL, METHOD_COMPACT, METHOD_COMPACTION.  False: none
 * of these. */
bool data_persist_event(data_node_t *self, const event_t *ev, actions_t *act);

/* The channel is ACTIVE; its shards are as the replay left them. */
void data_persist_opened(data_channel_t *channel, const event_t *ev, actions_t *act);

/* It is not any more; the shards are freed next.  Jobs may still be under way. */
void data_persist_closing(data_channel_t *channel);

/* Something was applied: `applied`, rows and deletes moved on. */
void data_persist_applied(data_channel_t *channel, const event_t *ev, actions_t *act);

/* A SEALED segment that nothing is pending for: flush it. */
void data_persist_sealed(data_shard_t *shard, data_segment_t *segment, const event_t *ev,
                         actions_t *act);

/* It is freed next: its collection or partition was dropped, or nobody shares it any more. */
void data_persist_segment_gone(data_shard_t *shard, data_segment_t *segment);
void data_persist_shard_gone(data_shard_t *shard);

/* A seg/ key changed; now NULL: deleted. */
void data_persist_saw(data_node_t *self, uint64_t collection, uint64_t segment,
                      const Elanus__Segment *now);

/* Half of options.memory_bytes is used: flush the biggest. */
void data_persist_pressure(data_node_t *self, const event_t *ev, actions_t *act);

#endif

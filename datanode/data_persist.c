/* data_persist - what the node does with segments that take no more rows
 *
 * Nothing yet: they stay in memory and in the log, so nothing is lost and nothing
 * shrinks.  METHOD_SEAL and the compactions are not answered here.
 */
#include "datanode/data_int.h"

void data_persist_make(data_node_t *self)
{
    (void)self;
}

void data_persist_end(data_node_t *self)
{
    (void)self;
}

void data_persist_start(data_node_t *self, const event_t *ev, actions_t *act)
{
    (void)self, (void)ev, (void)act;
}

bool data_persist_event(data_node_t *self, const event_t *ev, actions_t *act)
{
    (void)self, (void)ev, (void)act;
    return false;
}

void data_persist_opened(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    (void)channel, (void)ev, (void)act;
}

void data_persist_closing(data_channel_t *channel)
{
    (void)channel;
}

void data_persist_applied(data_channel_t *channel, const event_t *ev, actions_t *act)
{
    (void)channel, (void)ev, (void)act;
}

void data_persist_sealed(data_shard_t *shard, data_segment_t *segment, const event_t *ev,
                         actions_t *act)
{
    (void)shard, (void)segment, (void)ev, (void)act;
}

void data_persist_segment_gone(data_shard_t *shard, data_segment_t *segment)
{
    (void)shard, (void)segment;
}

void data_persist_shard_gone(data_shard_t *shard)
{
    (void)shard;
}

void data_persist_saw(data_node_t *self, uint64_t collection, uint64_t segment,
                      const Elanus__Segment *now)
{
    (void)self, (void)collection, (void)segment, (void)now;
}

void data_persist_pressure(data_node_t *self, const event_t *ev, actions_t *act)
{
    (void)self, (void)ev, (void)act;
}

/* event_texts - see event_texts.h; tests/tidy holds the table against the sources */
#include "proxy/event_texts.h"

#include <stdlib.h>

/* By name. */
static const event_text_t s_texts[] = {
    { "apply_waits", NULL, "datanode/data_write.c",
      "Entries that are committed wait to be applied, because the data node is out of memory. It "
      "tries again by itself; writers and readers wait that long." },
    { "build_begins", "index", "indexnode/index_node.c",
      "An index node begins to build one index of one flushed segment. Until it is done that "
      "segment is scanned, so searches stay right and are only slower." },
    { "build_done", "index", "indexnode/index_node.c",
      "An index node has put the objects of an index. They count once the coordinator has named "
      "them in the metadata." },
    { "build_failed", "index", "indexnode/index_node.c",
      "A build of an index came to nothing. The coordinator gives it out again under a higher "
      "attempt number, unless trying again cannot help." },
    { "catalog_damaged", NULL, "coord/coord_root.c",
      "A key of the catalog cannot be read, so what it describes is left out. Somebody else wrote "
      "under this root, or the store of the metadata is damaged." },
    { "channel_active", "active", "datanode/data_channel.c",
      "A data node owns the channel under this epoch and takes writes again. With the same "
      "transaction the seals of the epochs before became valid." },
    { "channel_assigned", "takeover", "coord/coord_channels.c",
      "The leading coordinator asks a data node to open a channel that has no living owner. It "
      "only asks: who becomes the owner is decided by a compare and swap of the owner's key." },
    { "channel_claimed", "takeover", "datanode/data_channel.c",
      "A data node has swapped the owner's key to itself with the next epoch. From now on nothing "
      "the old owner writes can be acknowledged, be it dead or only slow." },
    { "channel_closes", "takeover", "datanode/data_channel.c",
      "A data node gives up a channel: another one has claimed it, it was asked to, or it will "
      "open it again under a new epoch. Whoever follows looks for the next owner." },
    { "channel_followed", "switched", "querynode/query_swap.c",
      "A query node sees everything of this shard again, as the owner of this epoch tells it. "
      "Reads that waited for it go on, and miss nothing that was acknowledged." },
    { "channel_led", "load", "querynode/query_follow.c",
      "A query node leads this shard for its replica from now on. It follows rows and deletes of "
      "the shard, and spreads reads over the nodes that hold its segments." },
    { "channel_list_failed", NULL, "querynode/query_follow.c",
      "A query node could not list the segments of a collection in the metadata, which it needs "
      "to begin anew with a shard. It tries again." },
    { "channel_moves", "takeover", "coord/coord_channels.c",
      "One data node has two channels more than another, so the coordinator asks it to give one "
      "up. What is under way there is answered first." },
    { "channel_not_led", "load", "querynode/query_follow.c",
      "A query node does not lead this shard any more: its replica has another leader, or was "
      "released." },
    { "channel_not_moved", "takeover", "coord/coord_channels.c",
      "The owner of a channel did not say that it gave it up. Whether it did, the owner's key in "
      "the metadata will tell." },
    { "channel_not_opened", "takeover", "datanode/data_channel.c",
      "A data node has claimed a channel and cannot open its log. It tries again for a while, "
      "then lets the channel go, so that another node is asked." },
    { "channel_not_replayed", "active", "datanode/data_rows.c",
      "What earlier epochs wrote could not be read from the log yet. Writes go on meanwhile, "
      "reads wait; the data node tries again." },
    { "channel_open_failed", "takeover", "coord/coord_channels.c",
      "A data node that was asked to open a channel did not. The coordinator asks again, another "
      "node if there is one." },
    { "channel_released", "load", "querynode/query_target.c",
      "A query node serves this shard no more and lets its segments go." },
    { "channel_replayed", "active", "datanode/data_rows.c",
      "The data node has read what earlier epochs left in the log. All acknowledged rows are in "
      "its memory or in flushed segments, and those who follow can begin." },
    { "channel_reset", "switched", "querynode/query_follow.c",
      "A query node begins anew with a shard, since its owner or the epoch is another one. What "
      "it showed before stays in view until the new picture is whole." },
    { "channel_served", "load", "querynode/query_target.c",
      "A query node begins to follow this shard, to serve reads of it or to hold segments of it." },
    { "channel_stalls", "takeover", "datanode/data_stall.c",
      "The store does not answer, so this channel takes no writes; reads go on. If only this node "
      "is cut off, another one that reaches the store takes the channel." },
    { "ckpt_failed", "flush", "datanode/data_flush.c",
      "The position from which a replay begins could not be moved on in the metadata. Nothing is "
      "lost: a replay would only be longer." },
    { "collection_damaged", NULL, "datanode/data_channel.c",
      "The description of a collection in the metadata cannot be read by a data node, which "
      "refuses writes to it." },
    { "commit_refused", NULL, "datanode/data_write.c",
      "A group of writes cannot be put into the log at all, and its writers are told so. None of "
      "it will be seen." },
    { "commit_waits", NULL, "datanode/data_write.c",
      "A commit of the log waits for memory or for the disk. The data node tries again by itself, "
      "writers wait." },
    { "coord_deposed", "leader", "core/node/elect.c",
      "This coordinator leads no more: another one has written itself into the leader's key. "
      "Whatever the old one still tries to change is refused, since it compares that key." },
    { "coord_leads", "leader", "core/node/elect.c",
      "This coordinator leads from now on: its compare and write of the leader's key went "
      "through. Its revision is the term." },
    { "coord_ready", "leader", "coord/coord_root.c",
      "The new leader has read the catalog and takes requests. Until then changes of the catalog "
      "waited at the proxies; reads and writes of rows need no coordinator." },
    { "copies_in_memory", NULL, "core/store/copies.c",
      "The directory for local copies of indexes is a file system in memory, so files there cost "
      "memory. Set localStorage.path to a directory on a disk." },
    { "deltas_failed", "flush", "datanode/data_flush.c",
      "Deletes of flushed segments could not be put into the store. They stay in memory and in "
      "the log, and are tried again." },
    { "dial_failed", NULL, "core/node/host.c",
      "A link to another node could not even be set up: its address is not one that can be "
      "dialled." },
    { "epoch_sealed", "sealed", "datanode/data_seals.c",
      "It is settled for ever where the log of the epoch before ends. What its owner may still "
      "put behind that place is no part of the log, so two owners can never both count." },
    { "fence_unanswered", NULL, "datanode/data_fence.c",
      "A data node asked the metadata whether its channels are still its own and got no answer. "
      "Without it nothing is acknowledged, so writes wait; it asks again." },
    { "flush_failed", "flush", "datanode/data_flush.c",
      "A sealed segment could not be written to the store. Its rows stay in memory and in the "
      "log, and it is tried again." },
    { "flushed", "flush", "datanode/data_flush.c",
      "A sealed segment is in the store, and the metadata names its objects. Query nodes load it "
      "now, and indexes of it get built." },
    { "follow_failed", NULL, "querynode/query_follow.c",
      "A query node asked the owner of a shard for news and got none: the owner is gone or the "
      "channel moves. It asks again, the new owner as soon as the metadata names one." },
    { "gc_failed", NULL, "datanode/data_gc.c",
      "A round of removing objects that nobody needs any more came to nothing. The next one tries "
      "again; it costs space and nothing else." },
    { "held_failed", "load", "querynode/query_peers.c",
      "The leader of a shard got no answer from a node that holds segments of it. What was read "
      "there is read at another node, or waits until one has it." },
    { "index_built", "index", "coord/coord_builds_ask.c",
      "The metadata names the objects of an index now. Query nodes that hold the segment open it "
      "and search with it." },
    { "index_damage_untold", "index", "querynode/query_index.c",
      "A query node found an index damaged and could not tell the coordinator. It scans the "
      "segment, and tells again when it next tries to open the index." },
    { "index_damaged", "index", "coord/coord_builds.c",
      "What was stored of an index cannot be opened. It is built again under a higher attempt "
      "number; meanwhile the segment is scanned." },
    { "index_gc_failed", "index", "coord/index_gc.c",
      "Objects of indexes that nobody needs could not be removed. The next round tries again; it "
      "costs space and nothing else." },
    { "index_in_memory", "index", "querynode/query_index.c",
      "An index that would be a file of the query node is in memory, because its disk has no room "
      "or cannot be written." },
    { "index_objects_deleted", "index", "coord/index_gc.c",
      "Objects of indexes without a name in the metadata were removed: of dropped segments and of "
      "attempts that failed." },
    { "index_open_failed", "index", "querynode/query_index.c",
      "A query node cannot open an index. The segment is scanned until it can, or until the index "
      "was built again." },
    { "index_used", "index", "querynode/query_index.c",
      "A query node searches this segment with the index from now on, instead of scanning it." },
    { "indexes_in_memory", "index", "querynode/query_seat.c",
      "This query node has no place for files, so all indexes it opens are in memory. Set "
      "localStorage.path to a directory it can write." },
    { "leader_key_damaged", "leader", "core/node/member.c",
      "What the leader's key in the metadata holds cannot be read. Somebody else wrote under this "
      "root." },
    { "leader_seen", "leader", "core/node/member.c",
      "A node has seen in the metadata who leads, and links itself to that coordinator." },
    { "leader_suspect", "suspect", "core/node/elect.c",
      "A standby does not hear the leading coordinator any more. If that lasts, it takes the "
      "leader's key by a compare and write, so that two of them can never both change something." },
    { "lease_grant_failed", "join", "core/node/member.c",
      "A node got no lease from the metadata, so it cannot register. It tries again: is etcd up "
      "and reachable?" },
    { "lease_keep_failed", NULL, "core/node/member.c",
      "A node could not renew its lease in the metadata. It goes on working; when the lease runs "
      "out it takes a new one." },
    { "lease_lost", "leave", "core/node/member.c",
      "The lease of a node has run out, and with it its registration. A lease only says who is "
      "there: the node goes on with its work and registers again." },
    { "load_failed", "leader", "coord/coord_root.c",
      "The leading coordinator could not read its state from the metadata, or does not know what "
      "became of a change, and reads everything again." },
    { "log_level", NULL, "core/ops/ops_pages.c",
      "Somebody has set how much this process logs." },
    { "log_not_truncated", "flush", "datanode/data_shards.c",
      "The part of the log that no replay needs could not be removed. The next checkpoint tries "
      "again; it costs space and nothing else." },
    { "merge_failed", "flush", "datanode/data_merge.c",
      "A compaction came to nothing. Its inputs stay as they were, and it is planned anew." },
    { "merged", "flush", "datanode/data_merge.c",
      "A compaction has replaced segments by one, without the rows that were deleted. Query nodes "
      "change over in one step; the inputs go after a grace time." },
    { "node_gone", "leave", "coord/coord_peers.c",
      "A node is registered no more, and the coordinator forgets it: it signed off, or it died "
      "and its lease ran out." },
    { "node_grouped", "load", "coord/coord_group_nodes.c",
      "A query node moves to another resource group, whose replicas may use it from now on." },
    { "node_joined", "join", "core/node/member.c",
      "A node has registered: its session is in the metadata, and the others will find it there." },
    { "node_left", "leave", "core/node/member.c",
      "A node was asked to stop, has signed off, ended what was under way, and goes." },
    { "node_registered", "join", "coord/coord_peers.c",
      "The coordinator has seen a new session in the metadata, and links itself to that node. "
      "Once the link is up it gets work." },
    { "node_suspect", "suspect", "coord/coord_peers.c",
      "The link from the leading coordinator to a node broke or is silent for five heartbeats. If "
      "it does not come back at once, the node's channels and segments go to others; a wrong "
      "suspicion costs a takeover, never data." },
    { "node_up", "join", "coord/coord_peers.c",
      "The link from the leading coordinator to a node is up: it may be given channels, segments "
      "and builds." },
    { "not_nice", NULL, "core/base/pool.c",
      "Threads that work in the background run at full priority, since the system did not let "
      "them be nice. Searches beside them may be slower." },
    { "orphans_deleted", NULL, "datanode/data_gc.c",
      "Objects that no key of the metadata names were removed: what was left of flushes and "
      "compactions that failed." },
    { "record_damaged", NULL, "datanode/data_errand.c",
      "A record of a segment that this data node wrote cannot be read back by it. That is a fault "
      "of Elanus itself." },
    { "seal_damaged", "takeover", "datanode/data_seals.c",
      "A seal or clock of a channel's log cannot be read in the metadata, so the channel is not "
      "opened: without it rows could be lost or come back." },
    { "segment_damaged", NULL, "datanode/data_channel.c",
      "The record of a segment in the metadata cannot be read, so the data node leaves it out." },
    { "segment_load_failed", "load", "querynode/query_load.c",
      "A query node cannot open a segment. It tries again, and a collection whose segments cannot "
      "be opened says why when its load is asked for." },
    { "session_damaged", "join", "coord/coord_peers.c",
      "What a session's key in the metadata holds cannot be read, so that node is not used." },
    { "session_put_failed", "join", "core/node/member.c",
      "A node could not write its session into the metadata, so the others do not see it. It "
      "tries again." },
    { "simd", NULL, "core/node/daemon.c",
      "Which vector instructions this process uses to compute distances: those its CPU has, or "
      "fewer where the configuration says so." },
    { "slow_query", NULL, "proxy/proxy_requests.c",
      "A search or query took longer than proxy.slowQuerySpanInSeconds. `elanus trace` with its "
      "trace shows which node it waited for." },
    { "stopping", "leave", "core/node/daemon.c",
      "A process got a signal to stop. Its nodes take nothing new, end what is under way, and "
      "leave." },
    { "watch_failed", NULL, "core/node/host.c",
      "A watch on the metadata could not be begun, so this node does not see what changes there. "
      "It tries again: is etcd up and reachable?" },
    { "wish_failed", NULL, "coord/coord_ddl.c",
      "The coordinator wanted to change the metadata by itself, to place replicas or segments, "
      "and could not. It looks again." },
};

static int s_compare(const void *name, const void *row)
{
    return strcmp(name, ((const event_text_t *)row)->event);
}

const event_text_t *event_text(const char *event)
{
    return bsearch(event, s_texts, ARRAY_LEN(s_texts), sizeof s_texts[0], s_compare);
}

const event_text_t *event_text_at(size_t i)
{
    return i < ARRAY_LEN(s_texts) ? &s_texts[i] : NULL;
}

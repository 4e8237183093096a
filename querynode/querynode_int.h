/* querynode_int - what the files of the query node share; nobody else includes it
 *
 *     query_target.c   what shall be loaded: pictures of metadata to collections and channels
 *     query_place.c    which segments this node is to hold
 *     query_follow.c   one FOLLOW to the owner of each channel: growing segments, deletes
 *     query_copy.c     rows of growing segments whose owner is another process
 *     query_delete.c   the delete buffer: into every sealed segment before it counts
 *     query_load.c     opening sealed segments, comparing them with metadata
 *     query_index.c    indexes of what is held here
 *     query_held.c     what is held here, told to the leaders of shards
 *     query_peers.c    a leader hears of what others hold, and tells what it uses
 *     query_spread.c   where a leader reads each segment
 *     query_swap.c     which segments are in view: exactly one of growing, sealed, compacted
 *     query_wait.c     consistency: FRONTIER questions, reads that wait for them
 *     query_inspect.c  what it tells those who look in
 *     query_read.c     reads: pinned sources, jobs, answers (query_read_*.c)
 *
 * A channel that this node leads has a view: growing segments, and sealed ones here or at other
 * nodes.  One that it does not lead has only segments that are able, read when a leader asks.
 * Both are one structure and one code, for a node that is promoted has most of it already.
 *
 * One thread, the node's, owns everything here.  A job gets a query_work_t and looks at nothing
 * else; when it is back, the channel it worked for may be `gone`.
 *
 *     collection ─┬─ channel ─┬─ piece    a sealed segment: being opened, or in view
 *                 │           ├─ growing  a reference into core/segment/live.h, or a copy
 *                 │           └─ runs     deletes that a piece still to come may need
 *                 └─ reads that wait
 */
#ifndef QUERYNODE_QUERYNODE_INT_H
#define QUERYNODE_QUERYNODE_INT_H

#include "querynode/query_state.h"

/* --- query_target.c */

void query_target_start(query_node_t *self, actions_t *act);
void query_target_settle(query_node_t *self, const event_t *ev, actions_t *act);
void query_dirty(query_coll_t *coll);
void query_coll_free(query_coll_t *coll);

/* Is this partition loaded, or new in a collection that is loaded as a whole? */
bool query_shows(const query_coll_t *coll, uint64_t partition);
void query_loaded(query_node_t *self, const event_t *ev, actions_t *act);      /* METHOD_LOADED */

/* --- query_place.c */

/* The wishes of all replicas of a collection, as place/ shows them. */
typedef struct query_places {
    const Elanus__Placement *led;       /* of the replica that is led here; NULL: none yet */
    const Elanus__Placement **all;      /* [n] */
    size_t n;
} query_places_t;

query_places_t query_places(const query_channel_t *ch, ctx_t *ctx);
bool query_places_here(const query_channel_t *ch, const query_places_t *places, uint64_t segment);

/* Where shall it be, and is that here? */
void query_piece_place(query_piece_t *piece, const query_places_t *places, const event_t *ev);

/* --- query_follow.c */

query_channel_t *query_channel_new(query_coll_t *coll, const char *name);

/* Lead it in this replica from now on; 0: in none. */
void query_channel_lead(query_channel_t *ch, uint64_t replica);
void query_channel_release(query_channel_t *ch);
void query_channel_put(query_channel_t *ch);    /* one user less */
void query_channel_free(query_channel_t *ch);
void query_follow(query_channel_t *ch, const event_t *ev, actions_t *act);
void query_follow_on(query_channel_t *ch, const event_t *ev, actions_t *act);
void query_dial(query_node_t *self, const Elanus__NodeInfo *owner, actions_t *act);

/* Take what of `list` is to be seen and can be had; let go what is not to be seen. */
void query_follow_take(query_channel_t *ch, vec_t *list);

/* --- query_copy.c */

/* Is the owner of this incarnation another process?  Then ask for rows behind those we have. */
void query_copy_ask(query_channel_t *ch, ctx_t *ctx, uint64_t owner, Elanus__Follow *ask);

/* A reset: what was copied from this owner stays, in `next`. */
void query_copy_begin(query_channel_t *ch, const Elanus__Followed *news);

/* Rows of an answer, to be repeated after an error; with its last page complete copies count. */
err_t must_use query_copy_rows(ctx_t *ctx, query_channel_t *ch, vec_t *list,
                               const Elanus__Followed *news);
void query_copy_hold(query_channel_t *ch, vec_t *list, const Elanus__Followed *news);

/* Are there deletes that it, or one of them, has not? */
bool query_copy_lacks_one(const query_channel_t *ch, const query_growing_t *growing);
bool query_copy_lacks(const query_channel_t *ch, const vec_t *list);
err_t must_use query_copy_apply(ctx_t *ctx, query_channel_t *ch, vec_t *list);

/* --- query_delete.c */

/* All of them or none. */
err_t must_use query_runs_add(ctx_t *ctx, query_channel_t *ch, Elanus__DeleteRun *const *told,
                              size_t n);
uint64_t query_runs_end(const query_channel_t *ch);
void query_runs_apply(query_channel_t *ch, const event_t *ev, actions_t *act);
void query_runs_trim(query_channel_t *ch);
void query_runs_free(query_channel_t *ch);

/* --- query_load.c */

void query_load_look(query_channel_t *ch, const Elanus__Segment *const *all, size_t n,
                     const event_t *ev);
void query_load_able(query_channel_t *ch);      /* which pieces may be read by now */
void query_load_go(query_channel_t *ch, const event_t *ev, actions_t *act);
void query_piece_free(query_piece_t *piece);
void query_garbage(query_node_t *self, actions_t *act);

/* ch: held; NULL: none. */
query_work_t *query_work_new(query_node_t *self, query_channel_t *ch);
void query_work_free(query_node_t *self, query_work_t *work);

/* Copies of names. */
const char *const *query_load_names(ctx_t *ctx, char *const *from, size_t n);

/* A job will take so many bytes; it asks, on its thread, whether they are there: Milvus's text. */
void query_load_reserve(query_node_t *self, query_work_t *work, uint64_t bytes);
err_t must_use query_load_fits(ctx_t *ctx, const query_work_t *work, uint64_t bytes);

/* Does the collection want its data in memory, and not what maps and files leave there?  Its
 * mmap.enabled, where it says so, goes before the node's own setting. */
bool query_load_preloads(const query_node_t *self, uint64_t collection);

/* The record was read after the reset of that round: bring an open piece up to it. */
void query_piece_compare(query_piece_t *piece, const Elanus__Segment *record, uint64_t round,
                         actions_t *act);

/* --- query_index.c */

void query_index_start(query_node_t *self, actions_t *act);
void query_index_init(query_piece_t *piece);
void query_index_go(query_channel_t *ch, const event_t *ev, actions_t *act);

/* Ids of the definitions; an array in the arena. */
size_t query_index_ids(const query_piece_t *piece, ctx_t *ctx, uint64_t **ret);

/* --- query_held.c */

void query_held(query_node_t *self, const event_t *ev, actions_t *act);        /* METHOD_HELD */
void query_held_cancel(query_node_t *self, net_from_t from);
void query_held_changed(query_channel_t *ch);
void query_held_wake(query_node_t *self, const event_t *ev, actions_t *act);
void query_held_fini(query_node_t *self);
void query_askers_free(query_channel_t *ch);

/* May the leader elsewhere of some replica read it here, or some piece? */
bool query_held_keeps(const query_piece_t *piece, const event_t *ev);
bool query_held_keeps_any(const query_channel_t *ch, const event_t *ev);

/* --- query_peers.c */

query_peer_t *query_peer(const query_channel_t *ch, uint64_t node);     /* NULL: none of them */
bool query_peers_hold(const query_channel_t *ch, uint64_t segment);
void query_peers_look(query_channel_t *ch, ctx_t *ctx);         /* who they are */
void query_peers_poll(query_channel_t *ch, const event_t *ev, actions_t *act);
void query_peers_free(query_channel_t *ch);

/* It lacks something it should have, or its link does not work: it has to tell anew. */
void query_peer_doubt(query_channel_t *ch, uint64_t node);
void query_peers_suspect(query_node_t *self, const char *address);

/* --- query_spread.c */

enum { QUERY_CHAIN_MOST = 10000 };  /* compactions of compactions of one row, in the grace time */
void query_purged(query_channel_t *ch, uint64_t segment);    /* in view now, or gone for good */
void query_piece_show(query_piece_t *piece);
void query_piece_hide(query_piece_t *piece);
bool query_piece_ready(const query_piece_t *piece);     /* it could be read, somewhere */
void query_spread(query_channel_t *ch);         /* choose where each is read, and is to be */
void query_dist_renew(query_channel_t *ch);
void query_dist_unref(query_dist_t **self_p);

/* What this node must not let go, rising, each once. */
void query_using(const query_channel_t *ch, uint64_t node, vec_t *ret);

/* --- query_swap.c */

void query_growing_drop(query_channel_t *ch, query_growing_t *growing);

void query_swap(query_channel_t *ch);           /* all that can be done now */
void query_advance(query_channel_t *ch);        /* what was heard counts, if it is all in view */
bool query_caught_up(const query_channel_t *ch);
bool query_partition_loaded(const query_channel_t *ch, uint64_t partition);

/* Is a segment of this partition to be read? */
bool query_is_read(const query_channel_t *ch, uint64_t partition, const Elanus__ReadView *view);

/* Is everything of this piece in view, in whatever form? */
bool query_covered(const query_channel_t *ch, const query_piece_t *piece, const vec_t *growing);

/* --- query_wait.c */

/* Some owner has stamped an entry with this. */
void query_stamped(query_node_t *self, uint64_t ts);

/* Somebody needs a question asked after this one, with complete at `least` or more. */
void query_want(query_channel_t *ch, uint64_t after, uint64_t least);
void query_ask(query_node_t *self, const event_t *ev, actions_t *act);
void query_fronts_reached(query_channel_t *ch);
void query_wait_fini(query_node_t *self);

/* What a read wants to see, and how many questions had been asked when it came. */
typedef struct query_need {
    const Elanus__ReadView *view;
    uint64_t after;
    int64_t lost_ms;            /* it waits for what is lost until then; 0: not yet */
    trace_t trace;
} query_need_t;

/* May it start (*ret_ready), and at which timestamp?  Errors, with Milvus's texts: not loaded, not
 * fully loaded (retriable), not served here (retriable), a timestamp too far ahead. */
err_t must_use query_wait_look(query_node_t *self, ctx_t *ctx, query_need_t *need,
                               const event_t *ev, bool *ret_ready, uint64_t *ret_ts);

/* --- query_inspect.c: member_t.inspect */

void query_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                   Elanus__Inspection *into);

/* --- query_read.c */

query_plans_t *query_plans_new(void);
void query_plans_destroy(query_plans_t **self_p);
void query_read(query_node_t *self, const event_t *ev, actions_t *act);
void query_read_cancel(query_node_t *self, const event_t *ev, actions_t *act);
void query_reads_wake(query_coll_t *coll, const event_t *ev, actions_t *act);
void query_reads_run(query_node_t *self, const event_t *ev, actions_t *act);
void query_reads_fini(query_node_t *self);

#endif

/* member - what every node does to belong to the cluster
 *
 *     JOINING ──lease granted, session put──► JOINED ──EV_STOP──► LEAVING
 *        ▲                                      │
 *        └──────────────lease lost──────────────┘
 *
 * Whoever leaves takes its session away first, so that nobody new comes, and goes
 * when it is not busy any more, or drain_ms later.
 * It keeps `session/<role>-<id>` alive under a lease, follows `leader/coord`
 * and has a link to whoever leads.  Losing the lease never ends the process:
 * a lease says who is there and nothing else, so the node takes a new one.
 * It also answers METHOD_STATUS.  Roles embed a member_t and pass every event
 * through member_step first.
 */
#ifndef CORE_NODE_MEMBER_H
#define CORE_NODE_MEMBER_H

#include "core/base/hostinfo.h"
#include "core/node/waits.h"
#include "elanus.pb-c.h"

#define MEMBER_LEADER_KEY  "leader/coord"
#define MEMBER_LEADER_ROOT "leader/"
#define MEMBER_SESSIONS    "session/"

/* Timer numbers: member 1.., elect 20.., roles 100.. */
enum { TIMER_MEMBER_KEEP = 1, TIMER_MEMBER_LEAVE = 2 };

typedef enum { MEMBER_JOINING, MEMBER_JOINED, MEMBER_LEAVING } member_state_t;

typedef struct member {
    const node_self_t *self;
    waits_t *waits;             /* shared with the role */
    member_state_t state;
    int64_t lease;              /* 0: none */
    bool joined_once;
    unsigned failures;          /* in a row, of joining or keeping the session */

    /* The leader as the watch shows it. */
    bool leader_synced;         /* the watch has shown the present at least once */
    bool leader_listed;         /* within a re-list: it named a leader */
    bool leader_there;
    int64_t leader_term;        /* mod revision of the leader key, or of its deletion */
    uint64_t leader_id, leader_incarnation;
    char leader_address[128];
    int64_t leader_seen_ms;     /* when this leader was first seen */
    net_peer_state_t leader_link;   /* NET_GONE: no link (yet) */

    uint64_t memory_limit;      /* NodeInfo's; set by the role at its making, 0: unknown */

    /* Called after any of the above changed; NULL: nobody cares. */
    void (*on_leader)(void *node, const event_t *ev, actions_t *act);

    /* Is the role at work for somebody who waits for it?  NULL: never. */
    bool (*busy)(const void *node);
    int64_t drain_ms;           /* so long it may go on with that when it leaves */
    int64_t leave_by_ms;        /* LEAVING: whatever is not done by then */
    bool signed_off;            /* LEAVING: the session is gone, or cannot be taken away */

    /* Does the role itself want its link to this address kept?  NULL: no. */
    bool (*keeps_link)(void *node, const char *address);

    /* The state of a link that the role has had before the leader was found at its end: it
     * comes up no second time.  NULL: there is none. */
    net_peer_state_t (*knows_link)(void *node, const char *address);

    /* What only the role can add to its status; runs in a step.  The member is the first of the
     * role's node.  NULL: nothing. */
    void (*tell)(const void *node, ctx_t *ctx, Elanus__NodeStatus *into);

    /* For those who look in (core/node/inspect.h). */
    uint64_t calls;             /* asked of this node, so far */
    const figure_t *figures;    /* the role's; set by it at its making */
    void (*inspect)(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                    Elanus__Inspection *into);  /* NULL: it has nothing to add */
} member_t;

void member_init(member_t *self, const node_self_t *who);
void member_fini(member_t *self);

/* Handle what is the member's business.  True: done, the role need not look. */
bool member_step(member_t *self, void *node, const event_t *ev, actions_t *act);

/* True when this node itself is the one the leader key names. */
bool member_leads(const member_t *self);

/* NodeInfo of this node, in the arena of ctx. */
Elanus__NodeInfo *member_info(const member_t *self, ctx_t *ctx);

/* For member_t.tell: rows and bytes more of a partition; room: segments there are at most. */
void member_add_stock(ctx_t *ctx, Elanus__NodeStatus *into, size_t room, uint64_t collection,
                      uint64_t partition, uint64_t rows, uint64_t bytes);

/* A job that measures into a hostinfo_t, and what METHOD_STATUS makes of it. */
job_fn member_measure;
Elanus__NodeStatus *member_status(const member_t *self, ctx_t *ctx, const hostinfo_t *host,
                                  int64_t wall_ms);

#endif

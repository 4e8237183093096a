/* proxy_lots - whom a read asks: the replicas' nodes, another one when one fails or is late
 *
 *     open vchannels ─► lot: those of one node ─► try 1: a call to that node
 *           ▲                                     │  late ─► try 2: calls to other nodes
 *           │                                     │            that have the same vchannels
 *           └── every try of the lot failed ◄─────┴─► all calls of one try answered: the lot is
 *                                                     won, the others' calls are cancelled
 *
 * Answers count by the try, which covers the lot's vchannels exactly, so nothing is ever counted
 * twice.  A replica is chosen by least in flight, then in turn.  Nodes that have just failed this
 * read are left alone for a moment; nodes whose link is down are not asked at all.
 *
 * Lots live as long as their read: what is cancelled ends with an event, too.
 */
#ifndef PROXY_PROXY_LOTS_H
#define PROXY_PROXY_LOTS_H

#include "proxy/proxy_links.h"
#include "proxy/proxy_read.h"

enum { LOT_TRIES = 3 };

typedef struct read_lot read_lot_t;

/* A call to one node for some of a lot's vchannels. */
typedef struct read_call {
    struct read_call *next;     /* of its lot */
    read_lot_t *lot;
    size_t at;                  /* the try */
    uint64_t node;
    proxy_link_t *link;         /* taken; NULL: none */
    uint64_t cookie;
    int64_t sent_ms;
    bool ended;
    bool has[];                 /* [n_vchannels] those asked for */
} read_call_t;

typedef struct read_try {
    size_t n_left;              /* calls without an answer */
    bool failed;
    read_answer_t *answers;
} read_try_t;

struct read_lot {
    read_lot_t *next;           /* of its part */
    read_part_t *part;
    read_call_t *calls;
    read_try_t tries[LOT_TRIES];
    size_t n_tries;
    bool over;                  /* won, or all tries have failed */
    int64_t late_ms;            /* when to try another replica; INT64_MAX: no more */
    bool has[];                 /* [n_vchannels] */
};

/* Ask for what is open.  *ret_missing is a vchannel that nobody serves now, and is left alone
 * when there is none. */
err_t must_use proxy_lots_route(proxy_node_t *self, proxy_read_t *read, const event_t *ev,
                                actions_t *act, const char **ret_missing);

/* Are all who serve this vchannel away for this proxy only?  One of them, or NULL. */
const Elanus__NodeInfo *proxy_lots_cut_off(proxy_node_t *self, const proxy_read_t *read,
                                           const char *vchannel, const event_t *ev,
                                           actions_t *act);

/* Every lot that is late goes to another replica; returns when to look again. */
int64_t proxy_lots_hedge(proxy_node_t *self, proxy_read_t *read, const event_t *ev,
                         actions_t *act);

/* The call was its try's last, and all have answered: these answers are the part's now. */
void proxy_lot_won(proxy_node_t *self, read_call_t *call, actions_t *act);

/* The call, and with it its try, has failed.  When that was the last try its vchannels are open
 * again. */
void proxy_lot_failed(read_call_t *call, const event_t *ev, actions_t *act);

/* Nobody wants the answers any more. */
void proxy_lots_cancel(proxy_read_t *read, actions_t *act);
void proxy_lots_free(proxy_read_t *read);

/* proxy_read.c: the call has ended */
void proxy_read_answered(proxy_node_t *self, read_call_t *call, const event_t *ev,
                         actions_t *act);

#endif

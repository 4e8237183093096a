/* proxy_links - the proxy's links to data and query nodes: who can be reached, who is busy or slow
 *
 * There is one to every registered node, by address.  When a node's registration goes, so does
 * its link, but not before its open calls have ended: a node that leaves in peace answers what it
 * was asked.  Whoever asks a node takes its link for the time of the call.
 */
#ifndef PROXY_PROXY_LINKS_H
#define PROXY_PROXY_LINKS_H

#include "proxy/proxy_int.h"

typedef enum {
    LINK_NEW,                   /* dialled, not heard of */
    LINK_UP,
    LINK_AWAY,                  /* suspect, gone, or refused: calls would end in an error */
} link_state_t;

typedef struct proxy_link {
    char address[128];
    uint64_t node;              /* who is, or was, registered there */
    bool registered;
    link_state_t state;
    size_t in_flight;           /* our calls */
    int64_t slow_until_ms;      /* it kept somebody waiting: others are asked first */
    int64_t away_since_ms;
    bool cut_off;               /* AWAY for us, but the coordinator has just had its answer */
} proxy_link_t;

void proxy_links_start(proxy_node_t *self);
void proxy_links_fini(proxy_node_t *self);

/* The registered nodes have changed; the state of a link has. */
void proxy_links_follow(proxy_node_t *self, const event_t *ev, actions_t *act);
void proxy_links_event(proxy_node_t *self, const event_t *ev, actions_t *act);

/* Somebody looks in (proxy/pages.h): for some time there are links to all nodes, to those too that
 * do no work for clients. */
void proxy_links_look(proxy_node_t *self, const event_t *ev, actions_t *act);

/* The link to this node; NULL: none yet. */
proxy_link_t *proxy_link(const proxy_node_t *self, const char *address);

/* Can a call to this node end well, as far as we know? */
bool proxy_link_usable(const proxy_node_t *self, const char *address);

/* Is this node away for us only?  Then nobody will take its work over, and whoever waits for that
 * waits in vain: the client should try another proxy.  The coordinator is asked; until it has
 * answered, and for a node that it does not reach either, the answer is no. */
bool proxy_link_cut_off(proxy_node_t *self, const char *address, const event_t *ev,
                        actions_t *act);
#define PROXY_CUT_OFF "node %llu at %s cannot be reached from this proxy, but from the " \
                      "coordinator; check the network between them, or try another proxy"

/* For the time of a call.  Take returns NULL when there is no link; release takes that. */
proxy_link_t *proxy_link_take(proxy_node_t *self, const char *address);
void proxy_link_release(proxy_node_t *self, proxy_link_t *link, actions_t *act);

/* --- how long reads of a collection take ---
 *
 * After which time an answer is late: three times what 19 of 20 took of late, and not less than
 * the configured delay.  What is asked for differs much between collections, so each has its own
 * measure. */
int64_t proxy_pace_late_ms(const proxy_node_t *self, uint64_t collection);
void proxy_pace_took(proxy_node_t *self, uint64_t collection, int64_t took_ms);

#endif

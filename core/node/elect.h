/* elect - one leader among the coordinators
 *
 *                 key absent, dead, or its holder suspect
 *     STANDBY ───────────────────────────────────────────► CAMPAIGN
 *        ▲  ◄──────────compare failed, or error──────────────  │
 *        │                                                     │ applied
 *        └──────────key gone, or names someone else────── LEADER
 *
 * The leader is whoever `leader/coord` names; only compare-and-write changes
 * it.  The key lies under the holder's lease, but waiting for that to run out
 * would cost its whole TTL, so a standby that sees the leader's link suspect
 * takes the key over by comparing its mod revision.  That suspicion may be
 * wrong and nothing is lost: the mod revision is the term, every write of a
 * leader compares it (elect_guard), and the old leader's writes fail from
 * that moment, whether it knows or not.
 *
 * A standby that is cut off from a healthy leader would take over again and
 * again; so each time it is deposed its patience doubles, up to a bound.
 */
#ifndef CORE_NODE_ELECT_H
#define CORE_NODE_ELECT_H

#include "core/node/member.h"

enum { TIMER_ELECT_LOOK = 20 };

typedef enum { ELECT_STANDBY, ELECT_CAMPAIGN, ELECT_LEADER } elect_state_t;

typedef struct elect {
    member_t *member;
    elect_state_t state;
    int64_t term;               /* LEADER: ours; the revision every guarded write compares */
    int64_t suspect_since_ms;   /* -1: the leader's link is fine */
    int64_t patience_ms;        /* how long a suspicion must last before a takeover */
    int64_t lead_since_ms;
    void (*on_lead)(void *node, const event_t *ev, actions_t *act);
    void (*on_lost)(void *node, const event_t *ev, actions_t *act);
} elect_t;

void elect_init(elect_t *self, member_t *member);

/* Look at what the member knows and act on it: after every member change. */
void elect_look(elect_t *self, void *node, const event_t *ev, actions_t *act);

/* TIMER_ELECT_LOOK; true when it was ours. */
bool elect_timer(elect_t *self, void *node, const event_t *ev, actions_t *act);

/* The compare that every write of this leader carries. */
meta_cmp_t elect_guard(const elect_t *self);

/* A guarded write was refused: look whether we still lead. */
static inline bool elect_leads(const elect_t *self) { return self->state == ELECT_LEADER; }

#endif

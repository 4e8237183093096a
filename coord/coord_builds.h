/* coord_builds - what the files that have indexes built share; see coord_builds.c */
#ifndef COORD_COORD_BUILDS_H
#define COORD_COORD_BUILDS_H

#include "coord/coord_int.h"
#include "core/catalog/builds.h"
#include "coord/index_gc.h"

/* What this leader knows of a build that is not over, beside its key. */
typedef struct work {
    uint64_t build, look;       /* seen by that look; one that a look does not see is over */
    uint64_t attempt;           /* all below is of this one */
    bool asking;
    uint64_t question;          /* an old one's answer does not count */
    unsigned unheard;           /* questions in a row that nobody answered */
    int64_t not_before_ms;      /* the next question; once it failed: the next attempt */
    ctx_t memory;               /* of the answer */
    const Elanus__Built *answer;    /* how it ended; NULL: it has not */
    uint32_t percent;
} work_t;

/* What coord_node_t has for them. */
typedef struct building {
    coord_options_t options;
    builds_t *builds;           /* build/, as the last transaction left it */
    map_t *works;               /* build id -> work_t, owned; leader only */
    uint64_t looks;             /* counts them */
    bool queued;                /* a plan waits among the changes */
    index_gc_t gc;
} building_t;

/* coord_builds_ask.c */

/* The work of this build's attempt; made when there is none. */
work_t *coord_builds_work(coord_node_t *self, const Elanus__Build *build);
void coord_builds_drop_work(coord_node_t *self, work_t *work);

/* Ask who builds it how that goes, unless that is being asked or was answered. */
void coord_builds_ask(coord_node_t *self, const Elanus__Build *build, const peer_t *peer,
                      const event_t *ev, actions_t *act, int64_t *due_ms);

/* Registered as that incarnation; NULL: not, or another one. */
const peer_t *coord_builds_peer(peer_t *const *nodes, size_t n, const Elanus__Build *build);

#endif

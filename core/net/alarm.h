/* alarm - points in time that ring, in a binary heap
 *
 * An alarm lies inside the thing it is for (a call, a link) and knows its
 * place in the heap, so setting it anew and clearing it cost O(log n) and no
 * allocation.  Most alarms are deadlines that are cleared before they ring, and
 * most are set later than all others, which costs O(1).
 */
#ifndef CORE_NET_ALARM_H
#define CORE_NET_ALARM_H

#include "core/base/base.h"
#include "core/base/vec.h"

typedef struct alarm {
    int64_t due_ms;             /* clock_mono_ms() time */
    size_t place;               /* in the heap, counted from 1; 0: not set */
    int kind;                   /* the owner's; what this alarm lies in */
} alarm_t;

typedef struct alarms {
    vec_t heap;                 /* alarm_t *, earliest first */
} alarms_t;

void alarms_init(alarms_t *alarms);
void alarms_fini(alarms_t *alarms);         /* alarms still set are forgotten */

/* Set alarm to ring at due_ms, wherever it stood before. */
void alarms_set(alarms_t *alarms, alarm_t *alarm, int64_t due_ms);

/* Clearing one that is not set is fine. */
void alarms_clear(alarms_t *alarms, alarm_t *alarm);

/* When the earliest rings; INT64_MAX when none is set. */
int64_t alarms_next_ms(const alarms_t *alarms);

/* Take out one alarm that is due at now_ms; NULL when none is. */
alarm_t *alarms_ring(alarms_t *alarms, int64_t now_ms);

#endif

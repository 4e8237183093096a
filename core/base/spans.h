/* spans - where requests spent their time, kept for those who look in
 *
 * A request has a number, its trace, which goes with everything that is done
 * for it, through every node.  Each piece of that work is a span, and names the
 * span that caused it.
 *
 * A ring of LIMIT_SPANS in the process: what is new takes the place of what is
 * oldest.  Adding costs some 100 ns, so it is always on.  Any thread.
 */
#ifndef CORE_BASE_SPANS_H
#define CORE_BASE_SPANS_H

#include "core/base/base.h"

/* Whose work something is: the request, and within it the span that asks.  {0, 0}: nobody's. */
typedef struct trace {
    uint64_t id, span;
} trace_t;

#define TRACE_NONE ((trace_t){0})

typedef enum {
    SPAN_REQUEST,               /* a client's, at the proxy */
    SPAN_CALL,                  /* to another node, as who asked saw it */
    SPAN_ANSWER,                /* the same as who was asked saw it */
    SPAN_JOB,                   /* on a worker thread, without the wait for it */
    SPAN_META,                  /* a question to the metadata, likewise */
} span_kind_t;

enum { SPAN_NAME_BYTES = 48 };

typedef struct span {
    uint64_t id, parent;        /* parent 0: the request itself */
    uint64_t node;
    int64_t at_us, took_us;     /* wall clock */
    err_t err;
    span_kind_t kind;
    char name[SPAN_NAME_BYTES]; /* of the method, the job, the key */
} span_t;

/* A number that no other span has, in no process. */
uint64_t spans_id(void);

/* What began then, by clock_mono_us, has ended now; the name is cut to fit.  Nothing happens when
 * it is nobody's. */
void spans_end(trace_t of, uint64_t id, uint64_t node, span_kind_t kind, const char *name,
               int64_t since_us, err_t err);

/* The spans of a trace that a node made, oldest first; in the arena.  Cost: a walk over the
 * ring's numbers under a lock that everybody who adds takes, some 10 us. */
size_t spans_of(ctx_t *ctx, uint64_t trace, uint64_t node, span_t **ret);

/* "request", "call", … */
const char *span_kind_name(span_kind_t kind);

#endif

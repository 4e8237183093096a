/* host_trace - which requests a host's calls belong to, and the spans they leave
 *
 *     who asks                               who answers
 *     ACT_CALL ─ span "call" begins ─wire─►  EV_CALL ─ span "answer" begins
 *     EV_REPLY ─ it ends             ◄─────  ACT_REPLY, EV_CANCELLED ─ it ends
 *
 * Nothing is kept of calls that belong to no request.  Private to the host,
 * and its thread's.
 */
#ifndef CORE_NODE_HOST_TRACE_H
#define CORE_NODE_HOST_TRACE_H

#include "core/node/node.h"

typedef struct host_trace host_trace_t;

host_trace_t *host_trace_new(uint64_t node);
void host_trace_destroy(host_trace_t **self_p);

/* A call of ours goes out: fills in what goes with it on the wire. */
void host_trace_call(host_trace_t *self, const action_t *action, net_call_t *call);

/* It has ended, with an answer or without: whose it was. */
trace_t host_trace_reply(host_trace_t *self, uint64_t cookie, err_t err);

/* A call of another came in: whose it is. */
trace_t host_trace_serve(host_trace_t *self, const net_event_t *in);

/* It was answered, or is not wanted any more. */
void host_trace_served(host_trace_t *self, net_from_t from, err_t err);

/* A worker ran this job or metadata operation.  Any thread. */
void host_trace_ran(uint64_t node, const action_t *ask, int64_t since_us, err_t err);

#endif

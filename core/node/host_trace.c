/* host_trace - see host_trace.h */
#include "core/node/host_trace.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "elanus.pb-c.h"

/* A span that has begun. */
typedef struct begun {
    trace_t of;
    uint64_t id;
    uint32_t method;
    int64_t since_us;
} begun_t;

struct host_trace {
    uint64_t node;
    map_t *calls;               /* cookie -> begun_t, owned */
    map_t *served;              /* net_from_t -> begun_t, owned */
};

host_trace_t *host_trace_new(uint64_t node)
{
    host_trace_t *self = mem_new(sizeof *self);
    *self = (host_trace_t){ .node = node, .calls = map_new(), .served = map_new() };
    return self;
}

static void s_free_all(map_t **map_p)
{
    void *begun = NULL;
    for (size_t at = 0; map_next(*map_p, &at, NULL, &begun); )
        mem_free(begun);
    map_destroy(map_p);
}

void host_trace_destroy(host_trace_t **self_p)
{
    host_trace_t *self = *self_p;
    if (!self)
        return;
    s_free_all(&self->calls);
    s_free_all(&self->served);
    mem_free(self);
    *self_p = NULL;
}

static begun_t *s_begin(trace_t of, uint32_t method)
{
    begun_t *begun = mem_new(sizeof *begun);
    *begun = (begun_t){ .of = of, .id = spans_id(), .method = method,
                        .since_us = clock_mono_us() };
    return begun;
}

/* "SEARCH" of METHOD_SEARCH. */
static void s_end(const host_trace_t *self, begun_t *begun, span_kind_t kind, err_t err)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &elanus__method__descriptor, (int)begun->method);
    char number[16];
    snprintf(number, sizeof number, "method %u", begun->method);
    spans_end(begun->of, begun->id, self->node, kind,
              value ? value->name + strlen("METHOD_") : number, begun->since_us, err);
    mem_free(begun);
}

void host_trace_call(host_trace_t *self, const action_t *action, net_call_t *call)
{
    if (action->trace.id == 0)
        return;
    begun_t *begun = s_begin(action->trace, call->method);
    call->trace = begun->of.id;
    call->span = begun->id;
    mem_free(map_put_u64(self->calls, action->cookie, begun));
}

trace_t host_trace_reply(host_trace_t *self, uint64_t cookie, err_t err)
{
    begun_t *begun = map_del_u64(self->calls, cookie);
    if (!begun)
        return (trace_t){0};
    trace_t of = begun->of;
    s_end(self, begun, SPAN_CALL, err);
    return of;
}

trace_t host_trace_serve(host_trace_t *self, const net_event_t *in)
{
    if (in->trace == 0)
        return (trace_t){0};
    begun_t *begun = s_begin((trace_t){ in->trace, in->span }, in->method);
    mem_free(map_put(self->served, view_of(&in->from, sizeof in->from), begun));
    return (trace_t){ in->trace, begun->id };
}

void host_trace_served(host_trace_t *self, net_from_t from, err_t err)
{
    begun_t *begun = map_del(self->served, view_of(&from, sizeof from));
    if (begun)
        s_end(self, begun, SPAN_ANSWER, err);
}

static const char *s_key(const meta_txn_t *txn)
{
    if (txn->n_ops)
        return txn->ops[0].key;
    return txn->n_cmps ? txn->cmps[0].key : "";
}

static void s_meta_name(const action_t *ask, char *ret, size_t room)
{
    static const char *const s_names[] = {
        [META_GET] = "get", [META_LIST] = "list", [META_TXN] = "txn", [META_GRANT] = "lease",
        [META_KEEP] = "keep", [META_REVOKE] = "revoke", [META_WATCH] = "watch",
    };
    const char *key = ask->op == META_TXN ? s_key(&ask->txn) : ask->key;
    snprintf(ret, room, "%s %s", s_names[ask->op], key);
}

/* "commit" of s_commit_job. */
static void s_job_name(const char *name, char *ret, size_t room)
{
    if (strncmp(name, "s_", 2) == 0)
        name += 2;
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, "_job") == 0)
        len -= 4;
    snprintf(ret, room, "%.*s", (int)len, name);
}

void host_trace_ran(uint64_t node, const action_t *ask, int64_t since_us, err_t err)
{
    char name[SPAN_NAME_BYTES];
    if (ask->trace.id == 0)
        return;
    bool job = ask->kind == ACT_JOB;
    if (job)
        s_job_name(ask->name, name, sizeof name);
    else
        s_meta_name(ask, name, sizeof name);
    spans_end(ask->trace, spans_id(), node, job ? SPAN_JOB : SPAN_META, name, since_us, err);
}

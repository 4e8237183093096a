/* query_node - see query_node.h */
#include "querynode/query_node.h"

#include "core/node/member.h"

typedef struct query_node {
    member_t member;
} query_node_t;

static void *s_make(const node_self_t *who, const void *options)
{
    (void)options;
    query_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    return self;
}

static void s_end(void *node)
{
    query_node_t *self = node;
    member_fini(&self->member);
    mem_free(self);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_CALL)
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "querynode has no method %u",
                   ev->call.method);
}

static bool s_ready(const void *node)
{
    return ((const query_node_t *)node)->member.state == MEMBER_JOINED;
}

const role_t query_role = {
    .name = "querynode", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
};

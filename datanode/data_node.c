/* data_node - see data_node.h */
#include "datanode/data_node.h"

#include "core/node/member.h"

typedef struct data_node {
    member_t member;
} data_node_t;

static void *s_make(const node_self_t *who, const void *options)
{
    (void)options;
    data_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    return self;
}

static void s_end(void *node)
{
    data_node_t *self = node;
    member_fini(&self->member);
    mem_free(self);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_CALL)
        act_refuse(act, ev->call.from, ERR_UNIMPLEMENTED, "datanode has no method %u",
                   ev->call.method);
}

static bool s_ready(const void *node)
{
    return ((const data_node_t *)node)->member.state == MEMBER_JOINED;
}

const role_t data_role = {
    .name = "datanode", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
};

/* sim_net - calls and links of the simulated world; sim.h tells what they keep of the real net */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/sim_int.h"

static bool s_hears(const sim_t *self, int from, int to)
{
    return self->nodes[to].alive && !self->cut[from][to];
}

void sim_net_call(sim_t *self, int n, const action_t *action)
{
    call_t *call = mem_new(sizeof *call);
    *call = (call_t){
        .id = ++self->numbers, .caller = n, .callee = sim_by_address(self, action->endpoint),
        .caller_generation = self->nodes[n].generation, .done_generation = UINT64_MAX,
        .cookie = action->cookie, .method = action->call.method,
        .deadline_us = self->now_us + action->call.timeout_ms * 1000,
    };
    ctx_init(&call->mem);
    check(ctx_copy(&call->mem, action->call.payload, &call->payload) == OK);
    if (action->moved)
        free((void *)action->call.payload.ptr);
    map_put_u64(self->calls, call->id, call);
    item_t *send = sim_item(self, I_CALL, n, sim_latency(self));
    send->id = call->id;
    sim_push(self, send);
    item_t *expire = sim_item(self, I_EXPIRE, n, action->call.timeout_ms * 1000);
    expire->id = call->id;
    sim_push(self, expire);
}

/* It ends soon, with this error. */
static void s_end_soon(sim_t *self, const call_t *call, err_t err)
{
    item_t *end = sim_item(self, I_EXPIRE, call->caller, 0);
    end->id = call->id;
    end->err = err;
    sim_push(self, end);
}

void sim_net_cancel(sim_t *self, int n, uint64_t cookie)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->calls, &at, NULL, &value); ) {
        const call_t *call = value;
        if (call->caller == n && call->cookie == cookie &&
            call->caller_generation == self->nodes[n].generation)
            s_end_soon(self, call, ERR_CANCELED);
    }
}

void sim_net_reply(sim_t *self, int n, const action_t *action)
{
    item_t *reply = sim_item(self, I_REPLY, n, sim_latency(self));
    reply->id = action->from.request_id;
    reply->err = action->err;
    reply->text = ctx_strdup(&reply->mem, action->text);
    check(ctx_copy(&reply->mem, action->payload, &reply->payload) == OK);
    if (action->moved)
        free((void *)action->payload.ptr);
    sim_push(self, reply);
}

void sim_net_dial(sim_t *self, int n, const char *endpoint)
{
    sim_node_t *node = &self->nodes[n];
    int at = -1;
    for (size_t i = 0; i < node->links.len; i++)
        if (strcmp(((link_t *)vec_at(&node->links, i))->endpoint, endpoint) == 0)
            at = (int)i;
    if (at < 0) {
        link_t fresh = {0};
        snprintf(fresh.endpoint, sizeof fresh.endpoint, "%s", endpoint);
        vec_push(&node->links, &fresh);
        at = (int)node->links.len - 1;
    }
    link_t *link = vec_at(&node->links, (size_t)at);
    if (link->open)
        return;
    *link = (link_t){ .open = true };
    snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
    item_t *tick = sim_item(self, I_LINK, n, sim_latency(self));
    tick->link = at;
    sim_push(self, tick);
}

void sim_net_hang_up(sim_t *self, int n, const char *endpoint)
{
    sim_node_t *node = &self->nodes[n];
    for (size_t i = 0; i < node->links.len; i++) {
        link_t *link = vec_at(&node->links, i);
        if (strcmp(link->endpoint, endpoint) == 0)
            link->open = false;
    }
}

void sim_net_forget(sim_t *self, call_t *call)
{
    map_del_u64(self->calls, call->id);
    ctx_fini(&call->mem);
    mem_free(call);
}

static void s_end_call(sim_t *self, call_t *call, err_t err, const char *text, view_t payload)
{
    sim_node_t *caller = &self->nodes[call->caller];
    if (caller->alive && caller->generation == call->caller_generation) {
        event_t ev = { .kind = EV_REPLY, .cookie = call->cookie, .err = err, .text = text };
        ev.payload = payload;
        sim_step(self, call->caller, &ev);
    }
    sim_net_forget(self, call);
}

/* Deliver to the callee once for each of its incarnations; try until the deadline. */
void sim_net_run_call(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    if (!call || self->nodes[call->caller].generation != call->caller_generation) {
        sim_item_free(item);
        return;
    }
    bool there = call->callee >= 0 && s_hears(self, call->caller, call->callee) &&
                 !self->nodes[call->callee].paused;
    if (there && self->nodes[call->callee].generation != call->done_generation) {
        call->done_generation = self->nodes[call->callee].generation;
        const node_self_t *who = &self->nodes[call->caller].self;
        event_t ev = { .kind = EV_CALL };
        net_peer_t peer = { .node_id = who->id, .incarnation = who->incarnation };
        snprintf(peer.role, sizeof peer.role, "%s", who->role);
        ev.call.peer = &peer;
        ev.call.from = (net_from_t){ .request_id = call->id };
        ev.call.method = call->method;
        ev.call.payload = call->payload;
        ev.call.deadline_ms = (call->deadline_us + self->nodes[call->callee].clock_us) / 1000;
        sim_step(self, call->callee, &ev);
    }
    item->at_us = self->now_us + RESEND_MS * 1000;
    item->number = self->numbers++;
    sim_push(self, item);
}

void sim_net_run_reply(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    bool frozen = call && self->nodes[call->caller].paused;
    if (call && (frozen || !s_hears(self, call->callee, call->caller))) {
        item->at_us = self->now_us + RESEND_MS * 1000;      /* asked again, answered again */
        item->number = self->numbers++;
        sim_push(self, item);
        return;
    }
    if (call)
        s_end_call(self, call, item->err, item->text, item->payload);
    sim_item_free(item);
}

static void s_tell_peer(sim_t *self, item_t *item, link_t *link, net_peer_state_t state)
{
    event_t ev = { .kind = EV_PEER };
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "%s", link->endpoint);
    int other = sim_by_address(self, endpoint);
    net_peer_t peer = {0};
    if (other >= 0) {
        peer.node_id = self->nodes[other].self.id;
        peer.incarnation = self->nodes[other].self.incarnation;
    }
    ev.peer.endpoint = endpoint;
    ev.peer.who = &peer;
    ev.peer.state = state;
    sim_step(self, item->node, &ev);
}

/* Calls do not wait for a peer that is suspect; whether it has done them, nobody knows. */
static void s_fail_calls(sim_t *self, int from, int to)
{
    void *value = NULL;
    for (size_t at = 0; to >= 0 && map_next(self->calls, &at, NULL, &value); ) {
        const call_t *call = value;
        if (call->caller == from && call->callee == to &&
            call->caller_generation == self->nodes[from].generation)
            s_end_soon(self, call, ERR_OUTCOME_UNKNOWN);
    }
}

void sim_net_run_link(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    link_t *link = vec_at(&node->links, (size_t)item->link);
    if (!link->open) {
        sim_item_free(item);
        return;
    }
    int other = sim_by_address(self, link->endpoint);
    bool dead = other < 0 || !self->nodes[other].alive;
    bool hears = !dead && !self->nodes[other].paused && s_hears(self, item->node, other) &&
                 s_hears(self, other, item->node);
    link->missed = hears ? 0 : link->missed + (dead ? MISSED : 1);
    item->at_us = self->now_us + HEARTBEAT_MS * 1000;
    item->number = self->numbers++;
    sim_push(self, item);
    bool was_up = link->up, was_told = link->told;
    bool suspect = !hears && link->missed >= MISSED;
    if (hears && !was_up) {
        link->up = link->told = true;
        s_tell_peer(self, item, link, NET_UP);
    } else if (suspect && (was_up || !was_told)) {
        link->up = false;
        link->told = true;
        s_tell_peer(self, item, link, NET_SUSPECT);
    }
    if (suspect)
        s_fail_calls(self, item->node, other);
}

void sim_net_run_expire(sim_t *self, item_t *item)
{
    call_t *call = map_get_u64(self->calls, item->id);
    if (call)
        s_end_call(self, call, item->err == OK ? ERR_TIMEOUT : item->err,
                   item->err == OK ? "no answer in time" : err_text(item->err), view_of("", 0));
    sim_item_free(item);
}

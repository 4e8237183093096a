/* net_call - our calls, until each has its one NET_REPLY
 *
 * A call waits on its link's list, ordered by id, from net_call to its reply.
 * Everything before link->unsent has gone out on the present connection.  When
 * the connection is made anew, `unsent` moves back to the front, so all open
 * calls go out again in their order and before any new one; the receiver
 * counts on that order (net_serve.c).
 *
 * A call that went to one incarnation is never sent to another: the old one may
 * have done it, and only the caller knows whether doing it twice is harmless.
 */
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/net/net_int.h"

static asked_t *s_new(net_t *self)
{
    asked_t *asked = TAILQ_FIRST(&self->free_asked);
    if (asked) {
        TAILQ_REMOVE(&self->free_asked, asked, at_dial);
    } else {
        if (self->n_asked == LIMIT_NET_CALLS)
            return NULL;
        if ((self->n_asked & (self->n_asked - 1)) == 0)     /* 0, 1, 2, 4, ...: double */
            self->asked = mem_resize(self->asked, (self->n_asked ? 2 * self->n_asked : 1) *
                                     sizeof self->asked[0]);
        asked = mem_new(sizeof *asked);
        asked->slot = (uint32_t)self->n_asked;
        asked->deadline.kind = ALARM_CALL;
        self->asked[self->n_asked++] = asked;
    }
    asked->id = ++self->next_seq * LIMIT_NET_CALLS + asked->slot;
    asked->sent = false;
    asked->sent_to = 0;
    return asked;
}

static asked_t *s_find(net_t *self, uint64_t id)
{
    size_t slot = id % LIMIT_NET_CALLS;
    asked_t *asked = slot < self->n_asked ? self->asked[slot] : NULL;
    return asked && asked->dial && asked->id == id ? asked : NULL;
}

static void s_free(net_t *self, asked_t *asked)
{
    dial_t *dial = asked->dial;
    if (dial->unsent == asked)
        dial->unsent = TAILQ_NEXT(asked, at_dial);
    TAILQ_REMOVE(&dial->calls, asked, at_dial);
    dial->n_calls--;
    alarms_clear(&self->alarms, &asked->deadline);
    zmq_msg_close(&asked->body);
    asked->dial = NULL;
    TAILQ_INSERT_HEAD(&self->free_asked, asked, at_dial);
    self->stats.open_calls--;
}

/* The one NET_REPLY of a call. */
static void s_end(net_t *self, asked_t *asked, err_t err, const char *text)
{
    net_event_t *event = net_emit(self, NET_REPLY);
    event->call_id = asked->id;
    event->trace = asked->trace;
    event->epoch = asked->epoch;
    event->err = err;
    net_event_fill(event, NULL, text);
    s_free(self, asked);
}

static send_t s_send(net_t *self, asked_t *asked, int64_t now_ms)
{
    dial_t *dial = asked->dial;
    int64_t left_ms = asked->deadline.due_ms - now_ms;
    envelope_t envelope = {
        .type = ENVELOPE_CALL, .kind = asked->method, .request_id = asked->id,
        .deadline_ms = left_ms > 0 ? left_ms : 1, .trace = asked->trace, .span = asked->span,
        .epoch = asked->epoch,
    };
    send_t sent = net_send(self, &dial->dealer, NULL, &envelope, &asked->body);
    if (sent != SENT)
        return sent;
    if (asked->sent)
        self->stats.resent++;
    asked->sent = true;
    asked->sent_to = dial->peer.incarnation;
    return SENT;
}

/* Send what waits, until the socket is full; it will wake us when it is not. */
void net_call_flush(net_t *self, dial_t *dial)
{
    while (dial->unsent && s_send(self, dial->unsent, self->now_ms) == SENT)
        dial->unsent = TAILQ_NEXT(dial->unsent, at_dial);
}

void net_call_requeue(dial_t *dial)
{
    dial->unsent = TAILQ_FIRST(&dial->calls);
}

/* Copy the payload, or take it over when the caller gave a way to release it. */
static err_t s_fill_body(const net_call_t *call, zmq_msg_t *body)
{
    view_t payload = call->payload;
    if (fault_hit())
        return ERR_MEMORY;
    if (call->release) {
        if (zmq_msg_init_data(body, (void *)payload.ptr, payload.len, call->release,
                              call->release_hint) != 0)
            return ERR_MEMORY;
        return OK;
    }
    if (zmq_msg_init_size(body, payload.len) != 0)
        return ERR_MEMORY;
    if (payload.len)
        memcpy(zmq_msg_data(body), payload.ptr, payload.len);
    return OK;
}

static void s_append(dial_t *dial, asked_t *asked)
{
    asked->dial = dial;
    TAILQ_INSERT_TAIL(&dial->calls, asked, at_dial);
    dial->n_calls++;
    if (!dial->unsent)
        dial->unsent = asked;
}

/* A full socket, or one that is down, is known by the calls that wait because of it. */
static bool s_is_full(const net_t *self, const dial_t *dial)
{
    return self->stats.open_calls >= LIMIT_NET_CALLS ||
           (dial->unsent && dial->n_calls >= LIMIT_NET_HWM);
}

err_t net_call(net_t *self, const char *endpoint, const net_call_t *call, uint64_t *ret_call_id)
{
    check(self && call && ret_call_id && call->timeout_ms > 0);
    dial_t *dial = map_get_str(self->dials, endpoint);
    if (!dial)
        return ERR_NETWORK;
    if (call->payload.len > LIMIT_NET_MESSAGE_BYTES)
        return ERR_PARAM_TOO_LARGE;
    if (s_is_full(self, dial)) {
        self->stats.full++;
        return ERR_QUEUE_FULL;
    }
    zmq_msg_t body;
    TRY(s_fill_body(call, &body));

    asked_t *asked = s_new(self);
    asked->method = call->method;
    asked->epoch = call->epoch;
    asked->trace = call->trace;
    asked->span = call->span;
    asked->body = body;
    s_append(dial, asked);
    self->now_ms = clock_mono_ms();
    alarms_set(&self->alarms, &asked->deadline, self->now_ms + call->timeout_ms);
    self->stats.calls_out++;
    self->stats.open_calls++;
    *ret_call_id = asked->id;
    if (dial->state == DIAL_UP) {
        net_call_flush(self, dial);
        net_port_touch(self, &dial->dealer);
    } else if (dial->state == DIAL_DOWN && dial->refused != OK) {
        s_end(self, asked, dial->refused, dial->text);
    }
    return OK;
}

/* Whatever else repeats or comes late finds no call and is dropped. */
void net_call_answered(net_t *self, dial_t *dial, const envelope_t *envelope, frames_t *frames)
{
    asked_t *asked = s_find(self, envelope->request_id);
    if (!asked || asked->dial != dial)
        return;
    net_event_t *event = net_emit(self, NET_REPLY);
    event->call_id = asked->id;
    event->trace = asked->trace;
    event->epoch = asked->epoch;
    event->peer = dial->peer;
    event->err = envelope->error;
    net_event_fill(event, &frames->body, envelope->error_text);
    s_free(self, asked);
}

/* Not sent means not done, so the two ends of a deadline are told apart. */
void net_call_expired(net_t *self, asked_t *asked)
{
    char text[LIMIT_NET_TEXT_BYTES + 1];
    bool sent = asked->sent;
    const dial_t *dial = asked->dial;
    const char *why = dial->state == DIAL_UP ? "" : dial->text;
    snprintf(text, sizeof text, "%s from %s in time%s%.200s", sent ? "no answer" : "not a word",
             dial->endpoint, why[0] ? ": " : "", why);
    s_end(self, asked, sent ? ERR_TIMEOUT : ERR_NETWORK, text);
}

/* Best effort: it would only save the other side some work. */
static void s_send_cancel(net_t *self, const asked_t *asked)
{
    dial_t *dial = asked->dial;
    if (!asked->sent || (dial->state != DIAL_UP && dial->state != DIAL_QUIET))
        return;
    envelope_t envelope = { .type = ENVELOPE_CANCEL, .request_id = asked->id };
    send_t sent = net_send(self, &dial->dealer, NULL, &envelope, NULL);
    (void)sent;
    net_port_touch(self, &dial->dealer);
}

void net_call_fail_all(net_t *self, dial_t *dial, err_t err_sent, err_t err_unsent,
                       const char *text)
{
    while (!TAILQ_EMPTY(&dial->calls)) {
        asked_t *asked = TAILQ_FIRST(&dial->calls);
        s_send_cancel(self, asked);
        s_end(self, asked, asked->sent ? err_sent : err_unsent, text);
    }
}

void net_call_restarted(net_t *self, dial_t *dial, uint64_t incarnation)
{
    char text[256];
    snprintf(text, sizeof text, "%s was restarted after the call was sent", dial->endpoint);
    asked_t *next;
    for (asked_t *asked = TAILQ_FIRST(&dial->calls); asked; asked = next) {
        next = TAILQ_NEXT(asked, at_dial);
        if (asked->sent && asked->sent_to != incarnation)
            s_end(self, asked, ERR_OUTCOME_UNKNOWN, text);
    }
}

void net_cancel(net_t *self, uint64_t call_id)
{
    asked_t *asked = s_find(self, call_id);
    if (!asked)
        return;
    s_send_cancel(self, asked);
    s_end(self, asked, ERR_CANCELED, err_text(ERR_CANCELED));
}

void net_call_fini(net_t *self)
{
    for (size_t i = 0; i < self->n_asked; i++) {
        if (self->asked[i]->dial)
            s_free(self, self->asked[i]);
    }
    for (size_t i = 0; i < self->n_asked; i++)
        mem_free(self->asked[i]);
    mem_free(self->asked);
}

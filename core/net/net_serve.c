/* net_serve - calls of others, each done once
 *
 * A call is known by the process that asks (guest) and its request id, not by
 * the connection it came on.  So a repeat on a new connection finds it:
 *
 *     found, not done     nothing is started; the answer will take the new way
 *     found, done         the kept answer is sent again
 *     not found, but its id is not above guest->dropped_id
 *                         it was done so long ago that the answer was dropped:
 *                         ERR_OUTCOME_UNKNOWN, because a caller's ids only rise
 *     not found           new: a NET_CALL
 *
 * The newest LIMIT_NET_DEDUP answers are kept, and of their bodies the newest
 * LIMIT_NET_DEDUP_BYTES.  Guests on inproc never repeat, so theirs are not kept.
 * Calls refused because LIMIT_NET_IN_FLIGHT are being served leave no trace:
 * sending them again is what their caller should do.
 */
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/net/net_int.h"

static served_t **s_slot(net_t *self, uint64_t guest, uint64_t request_id)
{
    uint64_t mixed = (guest * 0x9e3779b97f4a7c15u ^ request_id) * 0xd6e8feb86659fd93u;
    return &self->table[mixed >> 32 & (NET_SERVED_SLOTS - 1)];
}

static served_t *s_find(net_t *self, uint64_t guest, uint64_t request_id)
{
    served_t *served = *s_slot(self, guest, request_id);
    while (served && (served->request_id != request_id || served->guest->number != guest))
        served = served->chain;
    return served;
}

static served_t *s_new(net_t *self, way_t *way, uint64_t request_id)
{
    served_t *served = mem_new(sizeof *served);
    served->guest = way->guest;
    served->way = way;
    served->request_id = request_id;
    zmq_msg_init(&served->body);
    served_t **slot = s_slot(self, way->guest->number, request_id);
    served->chain = *slot;
    *slot = served;
    TAILQ_INSERT_TAIL(&way->guest->served, served, at_guest);
    self->stats.in_flight++;
    return served;
}

static void s_drop_body(net_t *self, served_t *served)
{
    size_t bytes = zmq_msg_size(&served->body);
    if (bytes == 0)
        return;
    self->done_bytes -= bytes;
    zmq_msg_close(&served->body);
    zmq_msg_init(&served->body);
    served->body_lost = true;
}

static void s_free(net_t *self, served_t *served)
{
    served_t **at = s_slot(self, served->guest->number, served->request_id);
    while (*at != served)
        at = &(*at)->chain;
    *at = served->chain;
    TAILQ_REMOVE(&served->guest->served, served, at_guest);
    if (served->done) {
        TAILQ_REMOVE(&self->done, served, at_done);
        self->n_done--;
        s_drop_body(self, served);
    } else {
        self->stats.in_flight--;
    }
    zmq_msg_close(&served->body);
    mem_free(served->text);
    mem_free(served);
}

/* An answer that is not kept. */
static void s_answer_bare(net_t *self, const way_t *way, uint64_t request_id, err_t err,
                          const char *text)
{
    envelope_t envelope = { .type = ENVELOPE_REPLY, .request_id = request_id, .error = err,
                            .error_text = text };
    send_t sent = net_send(self, &self->router, way, &envelope, NULL);
    if (sent == SEND_FULL)
        self->stats.full++;
}

/* Send the answer that is kept; when the way is full it is tried again soon,
 * when it is gone the caller will ask again. */
static void s_answer(net_t *self, served_t *served)
{
    if (!served->way || served->unsent)
        return;
    envelope_t envelope = { .type = ENVELOPE_REPLY, .request_id = served->request_id,
                            .error = served->err, .error_text = served->text };
    if (served->body_lost) {
        envelope.error = ERR_OUTCOME_UNKNOWN;
        envelope.error_text = "done before, but the answer is no longer kept";
    }
    send_t sent = net_send(self, &self->router, served->way, &envelope, &served->body);
    net_port_touch(self, &self->router);
    if (sent != SEND_FULL)
        return;
    self->stats.full++;
    served->unsent = true;
    net_from_t from = { .link = served->guest->number, .request_id = served->request_id };
    vec_push(&self->unsent, &from);
    if (self->retry.place == 0)
        alarms_set(&self->alarms, &self->retry, clock_mono_ms() + NET_RETRY_MS);
}

void net_serve_retry(net_t *self)
{
    vec_t again = self->unsent;
    vec_init(&self->unsent, sizeof(net_from_t));
    for (size_t i = 0; i < again.len; i++) {
        net_from_t *from = vec_at(&again, i);
        served_t *served = s_find(self, from->link, from->request_id);
        if (!served)
            continue;
        served->unsent = false;
        s_answer(self, served);
        if (!served->unsent && !served->guest->remote)
            s_free(self, served);
    }
    vec_fini(&again);
}

/* Oldest first: bodies until the bytes fit, whole answers until the count fits. */
static void s_evict(net_t *self)
{
    served_t *served = TAILQ_FIRST(&self->done);
    for (; self->done_bytes > LIMIT_NET_DEDUP_BYTES; served = TAILQ_NEXT(served, at_done))
        s_drop_body(self, served);
    while (self->n_done > LIMIT_NET_DEDUP) {
        served = TAILQ_FIRST(&self->done);
        guest_t *guest = served->guest;
        if (served->request_id > guest->dropped_id)
            guest->dropped_id = served->request_id;
        s_free(self, served);
    }
}

static void s_repeat(net_t *self, way_t *way, served_t *served)
{
    self->stats.repeats_in++;
    served->way = way;
    if (served->done)
        s_answer(self, served);
}

static void s_accept(net_t *self, way_t *way, const envelope_t *envelope, frames_t *frames)
{
    s_new(self, way, envelope->request_id);
    self->stats.calls_in++;
    net_event_t *event = net_emit(self, NET_CALL);
    event->peer = way->guest->peer;
    event->from = (net_from_t){ .link = way->guest->number, .request_id = envelope->request_id };
    event->method = envelope->kind;
    event->epoch = envelope->epoch;
    event->trace = envelope->trace;
    event->span = envelope->span;
    event->deadline_ms = self->now_ms + envelope->deadline_ms;
    net_event_fill(event, &frames->body, "");
}

void net_serve_call(net_t *self, way_t *way, const envelope_t *envelope, frames_t *frames)
{
    uint64_t id = envelope->request_id;
    served_t *served = s_find(self, way->guest->number, id);
    if (served) {
        s_repeat(self, way, served);
    } else if (id <= way->guest->dropped_id) {
        self->stats.repeats_in++;
        s_answer_bare(self, way, id, ERR_OUTCOME_UNKNOWN,
                      "done before, but the answer is no longer kept");
    } else if (envelope->deadline_ms <= 0) {
        s_answer_bare(self, way, id, ERR_TIMEOUT, "too late when it arrived");
    } else if (self->stats.in_flight >= LIMIT_NET_IN_FLIGHT) {
        self->stats.full++;
        s_answer_bare(self, way, id, ERR_QUEUE_FULL, "");
    } else {
        s_accept(self, way, envelope, frames);
    }
}

void net_serve_cancel(net_t *self, way_t *way, uint64_t request_id)
{
    served_t *served = s_find(self, way->guest->number, request_id);
    if (!served || served->done || served->cancelled)
        return;
    served->cancelled = true;
    net_event_t *event = net_emit(self, NET_CANCELLED);
    event->from = (net_from_t){ .link = way->guest->number, .request_id = request_id };
}

static err_t s_fill(served_t *served, view_t payload, void (*release)(void *, void *), void *hint)
{
    if (fault_hit())
        return ERR_MEMORY;
    zmq_msg_t *body = &served->body;
    int rc = release ? zmq_msg_init_data(body, (void *)payload.ptr, payload.len, release, hint)
                     : zmq_msg_init_size(body, payload.len);
    if (rc != 0) {
        zmq_msg_init(&served->body);
        return ERR_MEMORY;
    }
    if (!release && payload.len)
        memcpy(zmq_msg_data(&served->body), payload.ptr, payload.len);
    return OK;
}

static void s_done(net_t *self, served_t *served)
{
    served->done = true;
    self->stats.in_flight--;
    TAILQ_INSERT_TAIL(&self->done, served, at_done);
    self->n_done++;
    self->done_bytes += zmq_msg_size(&served->body);
    if (!served->cancelled)
        s_answer(self, served);
    if (served->cancelled || (!served->guest->remote && !served->unsent))
        s_free(self, served);
    else
        s_evict(self);
}

static void s_set_error(served_t *served, err_t err, const char *text)
{
    served->err = err;
    if (text && text[0])
        served->text = mem_strdup(text);
}

void net_reply_lent(net_t *self, net_from_t from, view_t payload,
                    void (*release)(void *payload, void *hint), void *hint)
{
    served_t *served = s_find(self, from.link, from.request_id);
    if (!served) {
        release((void *)payload.ptr, hint);
        return;
    }
    check(!served->done);
    if (payload.len > LIMIT_NET_MESSAGE_BYTES)
        s_set_error(served, ERR_PARAM_TOO_LARGE, "the answer does not fit into a message");
    else if (s_fill(served, payload, release, hint) != OK)
        s_set_error(served, ERR_MEMORY, "no memory for the answer");
    if (served->err != OK)
        release((void *)payload.ptr, hint);
    s_done(self, served);
}

void net_reply(net_t *self, net_from_t from, err_t err, const char *text, view_t payload)
{
    served_t *served = s_find(self, from.link, from.request_id);
    if (!served)
        return;
    check(!served->done);
    if (payload.len > LIMIT_NET_MESSAGE_BYTES)
        s_set_error(served, ERR_PARAM_TOO_LARGE, "the answer does not fit into a message");
    else if (payload.len && s_fill(served, payload, NULL, NULL) != OK)
        s_set_error(served, ERR_MEMORY, "no memory for the answer");
    else
        s_set_error(served, err, text);
    s_done(self, served);
}

void net_serve_forget_way(guest_t *guest, const way_t *way)
{
    served_t *served;
    TAILQ_FOREACH(served, &guest->served, at_guest) {
        if (served->way == way)
            served->way = NULL;
    }
}

/* Nobody will ask for these answers any more: stop the work on them. */
void net_serve_forget_guest(net_t *self, guest_t *guest)
{
    while (!TAILQ_EMPTY(&guest->served)) {
        served_t *served = TAILQ_FIRST(&guest->served);
        if (!served->done && !served->cancelled) {
            net_event_t *event = net_emit(self, NET_CANCELLED);
            event->from = (net_from_t){ .link = guest->number, .request_id = served->request_id };
        }
        s_free(self, served);
    }
}

/* net_dial - links we dialled
 *
 *     state      sockets  alarm              left by
 *     DOWN       none     dial again         the alarm -> GREETING
 *     GREETING   open     give up waiting    WELCOME -> UP; refusal, loss -> DOWN
 *     UP         open     -                  five missed pings -> QUIET; loss, goodbye -> DOWN
 *     QUIET      open     -                  any word -> UP; 25 missed pings, loss -> DOWN
 *
 * Who calls has other places to go, so calls do not wait for a peer that is
 * suspect or gone.  A connection that breaks may have been only that: it is
 * dialled again at once, and its calls go out again if somebody we know
 * answers.  They end when that attempt fails, when it takes a heartbeat, or
 * when the peer is silent; and what is called meanwhile ends with the next
 * attempt or heartbeat, so that a caller who asks again and again is held to
 * that pace.
 *
 * A socket is used for one connection and never reconnects by itself: ZeroMQ
 * would deliver what is queued before we could greet.  So what the other side
 * hears first on any connection is HELLO.  On inproc nothing breaks and no
 * alarm is set: a dial waits until somebody binds the name.
 */
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/net_int.h"

static void s_tell(net_t *self, dial_t *dial, net_peer_state_t state, err_t err, const char *text)
{
    bool news = !dial->has_told || dial->told != state;
    if (state == NET_REFUSED && dial->has_told && dial->told == NET_REFUSED)
        news = dial->refused != err || strcmp(dial->text, text) != 0;
    if (!news)
        return;
    dial->has_told = true;
    dial->told = state;
    dial->told_ms = self->now_ms;
    net_event_t *event = net_emit(self, NET_PEER);
    event->peer = dial->peer;
    event->state = state;
    event->dialled = true;
    event->err = err;
    net_event_fill(event, NULL, text);
}

static void s_hang_up_socket(net_t *self, dial_t *dial, int linger_ms)
{
    if (dial->dealer.socket)
        net_monitor_stop(self, &dial->monitor, dial->dealer.socket);
    net_port_close(self, &dial->dealer, linger_ms);
}

static void s_send_bare(net_t *self, dial_t *dial, envelope_type_t type)
{
    envelope_t envelope = { .type = type };
    if (type == ENVELOPE_HELLO)
        net_hello_fill(self, &envelope);
    send_t sent = net_send(self, &dial->dealer, NULL, &envelope, NULL);
    (void)sent;                 /* a full socket: the other side will be found silent */
    net_port_touch(self, &dial->dealer);
}

static err_t s_open(net_t *self, dial_t *dial)
{
    dial->closed = NULL;
    enum { EVENTS = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
                    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                    ZMQ_EVENT_HANDSHAKE_FAILED_AUTH };
    ctx_t *ctx = &self->scratch;
    TRY(net_port_open(ctx, self, &dial->dealer, ZMQ_DEALER));
    if (!dial->inproc)
        TRY(net_port_monitor(ctx, self, &dial->monitor, dial->dealer.socket, EVENTS));
    if (zmq_connect(dial->dealer.socket, dial->endpoint) != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "cannot dial %s: %s", dial->endpoint,
                        zmq_strerror(zmq_errno()));
    return OK;
}

/* Make the socket and greet.  On failure nothing is left open. */
static err_t s_connect(net_t *self, dial_t *dial)
{
    check(dial->state == DIAL_DOWN);
    err_t err = s_open(self, dial);
    if (err != OK) {
        s_hang_up_socket(self, dial, 0);
        return err;
    }
    dial->state = DIAL_GREETING;
    s_send_bare(self, dial, ENVELOPE_HELLO);
    if (!dial->inproc) {
        alarms_set(&self->alarms, &dial->alarm, clock_mono_ms() + NET_HELLO_MS);
        net_need_tick(self);
    }
    return OK;
}

/* Its open calls end: it may have done what was sent. */
static void s_fail_calls(net_t *self, dial_t *dial, const char *why)
{
    char text[LIMIT_NET_TEXT_BYTES + 1];
    snprintf(text, sizeof text, "%s: %.200s", dial->endpoint, why);
    net_call_fail_all(self, dial, ERR_OUTCOME_UNKNOWN, ERR_NETWORK, text);
}

/* Is it known to be away?  One that we have never reached may be just starting. */
static bool s_is_away(const dial_t *dial)
{
    return dial->has_told && (dial->told == NET_SUSPECT || dial->told == NET_GONE);
}

/* Close and dial again after a while, doubled each time up to five heartbeats;
 * a quarter of chance keeps a cluster from dialling a restarted node in step. */
static void s_go_down(net_t *self, dial_t *dial, int linger_ms)
{
    bool lasted = (dial->state == DIAL_UP || dial->state == DIAL_QUIET) &&
                  self->now_ms - dial->up_ms >= NET_LASTED_MS;
    s_hang_up_socket(self, dial, linger_ms);
    dial->state = DIAL_DOWN;
    net_call_requeue(dial);
    alarms_clear(&self->alarms, &dial->alarm);
    if (dial->inproc)
        return;
    int64_t most = NET_MISSED_PINGS * self->heartbeat_ms;
    uint64_t chance = rng_below(&self->rng, (uint64_t)dial->backoff_ms / 4 + 1);
    int64_t wait = lasted ? 0 : dial->backoff_ms + (int64_t)chance;
    if (!lasted)
        dial->backoff_ms = dial->backoff_ms * 2 < most ? dial->backoff_ms * 2 : most;
    alarms_set(&self->alarms, &dial->alarm, self->now_ms + wait);
}

/* The link broke.  Only a node that was up is suspected for it; one we never
 * reached is suspected by the tick. */
static void s_lose(net_t *self, dial_t *dial, const char *why)
{
    log_event(LOG_DEBUG, "net_link_lost", "endpoint=%s why=\"%s\"", dial->endpoint, why);
    bool again = s_is_away(dial);               /* this was the attempt to mend it */
    snprintf(dial->text, sizeof dial->text, "%s", why);
    dial->refused = OK;
    s_go_down(self, dial, 0);
    if (dial->has_told && dial->told == NET_UP)
        s_tell(self, dial, NET_SUSPECT, OK, why);
    if (again)
        s_fail_calls(self, dial, why);
}

static void s_refuse(net_t *self, dial_t *dial, err_t err, const char *why)
{
    char text[sizeof dial->text];
    snprintf(text, sizeof text, "%s: %s", dial->endpoint, why);
    s_tell(self, dial, NET_REFUSED, err, text);
    dial->refused = err;
    memcpy(dial->text, text, sizeof text);
    dial->backoff_ms = NET_MISSED_PINGS * self->heartbeat_ms;
    s_go_down(self, dial, 0);
    net_call_fail_all(self, dial, err, err, text);
    self->stats.refused++;
}

/* It said goodbye: it answers nothing any more, but another may come in its place. */
static void s_goodbye(net_t *self, dial_t *dial)
{
    char text[256];
    snprintf(text, sizeof text, "%s at %s has left", dial->peer.role, dial->endpoint);
    s_go_down(self, dial, 0);
    snprintf(dial->text, sizeof dial->text, "it has left");
    s_tell(self, dial, NET_GONE, OK, "said goodbye");
    net_call_fail_all(self, dial, ERR_OUTCOME_UNKNOWN, ERR_NETWORK, text);
    if (dial->inproc && s_connect(self, dial) != OK)
        s_refuse(self, dial, ERR_NETWORK, self->scratch.text);
}

static err_t s_check_welcome(net_t *self, dial_t *dial, const envelope_t *envelope)
{
    ctx_t *ctx = &self->scratch;
    if (envelope->error != OK)
        return ctx_fail(ctx, envelope->error, "%s", envelope->error_text);
    if (!envelope->has_hello)
        return ctx_fail(ctx, ERR_MALFORMED, "a welcome without a name");
    TRY(net_hello_check(self, envelope));
    if (dial->expect_id && dial->expect_id != envelope->hello.node_id)
        return ctx_fail(ctx, ERR_NODE_NOT_MATCH, "node %llu answers where node %llu was expected",
                        (unsigned long long)envelope->hello.node_id,
                        (unsigned long long)dial->expect_id);
    return OK;
}

static bool s_welcome(net_t *self, dial_t *dial, const envelope_t *envelope)
{
    if (dial->state != DIAL_GREETING)
        return true;            /* a repeat */
    err_t err = s_check_welcome(self, dial, envelope);
    if (err != OK) {
        s_refuse(self, dial, err, self->scratch.text);
        return false;
    }
    net_call_restarted(self, dial, envelope->hello.incarnation);
    net_peer_fill(&dial->peer, envelope);
    dial->state = DIAL_UP;
    dial->up_ms = self->now_ms;
    dial->refused = OK;
    dial->backoff_ms = self->heartbeat_ms / 4 + 1;
    alarms_clear(&self->alarms, &dial->alarm);
    s_tell(self, dial, NET_UP, OK, "");
    net_call_flush(self, dial);
    return true;
}

/* One envelope from the peer; false when it cost the link. */
static bool s_take(net_t *self, dial_t *dial, const envelope_t *envelope, frames_t *frames)
{
    dial->heard_ms = self->now_ms;
    if (dial->state == DIAL_QUIET) {
        dial->state = DIAL_UP;
        s_tell(self, dial, NET_UP, OK, "");
    }
    switch (envelope->type) {
    case ENVELOPE_WELCOME:
        return s_welcome(self, dial, envelope);
    case ENVELOPE_REPLY:
        net_call_answered(self, dial, envelope, frames);
        return true;
    case ENVELOPE_BYE:
        s_goodbye(self, dial);
        return false;
    case ENVELOPE_PONG:
        return true;
    case ENVELOPE_CALL: case ENVELOPE_CANCEL: case ENVELOPE_PING: case ENVELOPE_HELLO:
        return true;            /* not for a dialler to hear; harmless */
    }
    return true;
}

static bool s_take_frames(net_t *self, dial_t *dial, frames_t *frames)
{
    static log_gate_t gate = { .per_second = 5 };
    envelope_t envelope;
    ctx_t *ctx = &self->scratch;
    err_t err = frames->too_many ? ctx_fail(ctx, ERR_MALFORMED, "too many frames")
              : envelope_unpack(ctx, net_frame_view(&frames->head), &self->room, &envelope);
    if (err == OK)
        return s_take(self, dial, &envelope, frames);
    self->stats.malformed++;
    log_gated(&gate, LOG_WARN, "net_garbage", "endpoint=%s why=\"%s\"", dial->endpoint, ctx->text);
    s_lose(self, dial, ctx->text);
    return false;
}

/* Nothing to read; but calls may wait because the socket was full. */
static bool s_go_on_sending(net_t *self, dial_t *dial)
{
    if (dial->state != DIAL_UP || !dial->unsent)
        return false;
    bool readable, flows = net_port_flows(&dial->dealer, &readable);
    if (flows)
        net_call_flush(self, dial);
    return flows || readable;
}

bool net_dial_input(net_t *self, dial_t *dial)
{
    frames_t frames;
    if (!net_frames_recv(&dial->dealer, &frames)) {
        if (!dial->closed)
            return s_go_on_sending(self, dial);
        s_lose(self, dial, dial->closed);
        return false;
    }
    bool go_on = s_take_frames(self, dial, &frames);
    net_frames_fini(&frames);
    return go_on;
}

bool net_dial_monitor(net_t *self, dial_t *dial)
{
    monitor_event_t event;
    if (!net_monitor_recv(&dial->monitor, &event))
        return false;
    switch (event.event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        s_refuse(self, dial, ERR_DENIED, "it does not know the key of this node; add the public "
                 "key to its directory of allowed keys");
        return false;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        s_refuse(self, dial, ERR_DENIED, "no common way to encrypt; CURVE must be on at both ends "
                 "or at neither, with the right server key");
        return false;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        dial->closed = self->keys ? "closed while shaking hands; is the server key right?"
                                  : "closed while shaking hands; is CURVE on at its end?";
        break;
    case ZMQ_EVENT_CLOSED:
        dial->closed = "cannot connect";
        break;
    default:
        if (!dial->closed)
            dial->closed = "connection closed";
    }
    net_port_touch(self, &dial->dealer);    /* its last words may be a goodbye */
    return true;
}

void net_dial_alarm(net_t *self, dial_t *dial)
{
    if (dial->state == DIAL_GREETING) {
        s_lose(self, dial, "no answer to the greeting");
        return;
    }
    check(dial->state == DIAL_DOWN);
    err_t err = s_connect(self, dial);
    if (err == OK)
        return;
    log_event(LOG_DEBUG, "net_dial_failed", "endpoint=%s why=\"%s\"", dial->endpoint,
              self->scratch.text);
    s_go_down(self, dial, 0);
}

/* Once every heartbeat, and never on inproc. */
void net_dial_tick(net_t *self, dial_t *dial)
{
    if (dial->inproc)
        return;
    dial->heard_ms += self->overslept_ms;
    int64_t silent = self->now_ms - dial->heard_ms;
    if (dial->state == DIAL_QUIET && silent > NET_STALE_PINGS * self->heartbeat_ms) {
        s_lose(self, dial, "silent for too long");
        return;
    }
    if (silent > NET_MISSED_PINGS * self->heartbeat_ms) {
        if (dial->state == DIAL_UP)
            dial->state = DIAL_QUIET;
        bool up = dial->state == DIAL_QUIET;
        if (!dial->has_told || dial->told == NET_UP)
            s_tell(self, dial, NET_SUSPECT, OK, up || !dial->text[0] ? "silent" : dial->text);
    }
    bool waited = dial->state == DIAL_QUIET || self->now_ms - dial->told_ms >= self->heartbeat_ms;
    if (dial->state != DIAL_UP && s_is_away(dial) && waited)
        s_fail_calls(self, dial, dial->state == DIAL_QUIET ? "silent" : dial->text);
    if (dial->state == DIAL_UP || dial->state == DIAL_QUIET)
        s_send_bare(self, dial, ENVELOPE_PING);
}

static dial_t *s_new(net_t *self, const char *endpoint, uint64_t expect_id)
{
    dial_t *dial = mem_new(sizeof *dial);
    snprintf(dial->endpoint, sizeof dial->endpoint, "%s", endpoint);
    snprintf(dial->peer.endpoint, sizeof dial->peer.endpoint, "%s", endpoint);
    dial->inproc = strncmp(endpoint, "inproc://", 9) == 0;
    dial->dealer = (port_t){ .kind = PORT_DEALER, .fd = -1, .dial = dial };
    dial->monitor = (port_t){ .kind = PORT_DEALER_MONITOR, .fd = -1, .dial = dial };
    dial->expect_id = dial->peer.node_id = expect_id;
    dial->heard_ms = clock_mono_ms();
    dial->backoff_ms = self->heartbeat_ms / 4 + 1;
    dial->alarm.kind = ALARM_DIAL;
    TAILQ_INIT(&dial->calls);
    return dial;
}

/* Another node has this address now: whoever answered wrongly may be the right one. */
static void s_expect(net_t *self, dial_t *dial, uint64_t id)
{
    dial->expect_id = id;
    if (dial->state != DIAL_DOWN || dial->refused != ERR_NODE_NOT_MATCH)
        return;
    dial->backoff_ms = self->heartbeat_ms / 4 + 1;
    alarms_clear(&self->alarms, &dial->alarm);
    alarms_set(&self->alarms, &dial->alarm, self->now_ms);
}

err_t net_dial(net_t *self, const char *endpoint, uint64_t expect_id)
{
    check(self && endpoint);
    dial_t *dial = map_get_str(self->dials, endpoint);
    if (dial) {
        if (expect_id && expect_id != dial->expect_id)
            s_expect(self, dial, expect_id);
        return OK;
    }
    bool inproc = strncmp(endpoint, "inproc://", 9) == 0;
    if (strlen(endpoint) >= sizeof dial->endpoint || (inproc && self->own_context))
        return ERR_PARAM_INVALID;
    if (map_len(self->dials) >= LIMIT_NET_PEERS)
        return ERR_QUEUE_FULL;
    dial = s_new(self, endpoint, expect_id);
    err_t err = s_connect(self, dial);
    if (err != OK) {
        mem_free(dial);
        return err;
    }
    map_put_str(self->dials, endpoint, dial);
    return OK;
}

void net_hang_up(net_t *self, const char *endpoint)
{
    dial_t *dial = map_get_str(self->dials, endpoint);
    if (!dial)
        return;
    net_call_fail_all(self, dial, ERR_OUTCOME_UNKNOWN, ERR_NETWORK, "the link was given up");
    net_dial_destroy(self, dial);
}

void net_dial_destroy(net_t *self, dial_t *dial)
{
    check(dial->n_calls == 0);
    bool greeted = dial->state == DIAL_UP || dial->state == DIAL_QUIET;
    if (greeted)
        s_send_bare(self, dial, ENVELOPE_BYE);
    s_hang_up_socket(self, dial, greeted ? NET_FLUSH_MS : 0);
    alarms_clear(&self->alarms, &dial->alarm);
    map_del_str(self->dials, dial->endpoint);
    mem_free(dial);
}

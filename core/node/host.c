/* host - the loop of one node; see host.h
 *
 *     net thread of ZeroMQ ─► net_poll ─┐
 *     pool worker ─► mailbox (eventfd) ─┼─► event ─► step ─► actions ─► s_act
 *     timers (sorted by hand, few) ─────┘
 *
 * Only the node's thread touches the node, the timers and the net.  Work that
 * is under way is counted in `pending`: leaving waits for all of it, so that
 * no worker ever holds what was freed.
 */
#include "core/node/host.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/base/queue.h"
#include "core/node/host_trace.h"

enum {
    META_TIMEOUT_MS = 5000,     /* of one metadata operation */
    WATCH_RETRY_MS = 500,
    EVENTS_A_POLL = 64,
    MOST_FIGURES = 32,
    MEASURE_MS = 1000, MEASURE_PAUSES = 100,    /* so many times as long as it took */
};

typedef enum { MAIL_OP, MAIL_WATCH, MAIL_ITEM, MAIL_STOP } mail_kind_t;

/* A metadata operation or a job on its way to a worker and back. */
typedef struct op {
    mail_kind_t kind;           /* MAIL_OP; first in every mail */
    struct host *host;
    ctx_t ctx;                  /* inputs and results live here */
    action_t ask;               /* copied into ctx */
    err_t err;
    meta_item_t item;
    meta_items_t items;
    meta_txn_result_t txn;
    int64_t lease;
    meta_watch_t *watch;
    int64_t retry_at_ms;
} op_t;

typedef struct {
    mail_kind_t kind;           /* MAIL_WATCH, MAIL_ITEM, MAIL_STOP */
    void *item;
    uint64_t cookie;
    ctx_t ctx;                  /* WATCH: the copies */
    meta_change_t *changes;
    size_t n;
} mail_t;

/* What a watch's callback needs; lives as long as the host. */
typedef struct {
    struct host *host;
    uint64_t cookie;
    meta_watch_t *watch;        /* NULL until it is set up */
} follow_t;

typedef struct {
    uint32_t timer;
    int64_t due_ms;
} timer_due_t;

struct host {
    const role_t *role;
    node_self_t self;
    ctx_t strings;              /* owns self's strings */
    meta_t *meta;
    pool_t *io, *compute;
    net_t *net;
    queue_t *mail;
    void *node;
    actions_t act;
    void (*sink)(void *arg, void *item);
    void *sink_arg;

    vec_t timers;               /* of timer_due_t */
    vec_t failed;               /* of op_t *: asks refused on the spot, or to be tried again */
    vec_t follows;              /* of follow_t * */
    map_t *cookies;             /* call id -> cookie + 1 */
    map_t *call_ids;            /* the other way round: cookie -> call id + 1 */
    host_trace_t *trace;
    size_t pending;             /* ops with workers */
    bool leaving;
    err_t leave_err;
    char leave_text[CTX_TEXT_BYTES];
    _Atomic bool gone;          /* left: nobody need wait for `ready` */

    pthread_mutex_t ready_lock; /* a leaf; for those who wait for `ready`, and for `stats` */
    net_stats_t stats;
    pthread_cond_t ready_cond;
    _Atomic bool ready;
    _Atomic int64_t figures[MOST_FIGURES];
    int64_t measure_at_ms;

    void (*left)(void *arg);
    void *left_arg;
    _Atomic bool closing;       /* watch callbacks give up on a full mailbox */
    pthread_t thread;
    bool running;
};

/* --- stepping ---------------------------------------------------------------- */

static void s_act(host_t *self);

static void s_step(host_t *self, event_t *ev)
{
    if (self->leaving)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    ev->now_ms = clock_mono_ms();
    ev->wall_ms = clock_wall_ms();
    ev->ctx = &ctx;
    if (!ev->text)
        ev->text = "";
    self->act.trace = ev->trace;
    self->role->step(self->node, ev, &self->act);
    s_act(self);
    ctx_fini(&ctx);
}

/* --- operations and jobs ------------------------------------------------------ */

static void s_op_free(op_t **op_p)
{
    op_t *op = *op_p;
    ctx_fini(&op->ctx);
    mem_free(op);
    *op_p = NULL;
}

/* A full mailbox makes its putters wait; a watch gives up when the node has left. */
static bool s_mail_wait(host_t *host, void *mail, bool until_closing)
{
    while (!queue_put(host->mail, mail)) {
        if (until_closing && atomic_load(&host->closing))
            return false;
        clock_sleep_ms(1);
    }
    return true;
}

static bool s_copy_changes(mail_t *mail, const meta_change_t *changes, size_t n)
{
    mail->changes = ctx_new(&mail->ctx, (n + 1) * sizeof changes[0]);
    mail->n = n;
    for (size_t i = 0; i < n; i++) {
        mail->changes[i] = changes[i];
        meta_item_t *item = &mail->changes[i].item;
        item->key = item->key ? ctx_strdup(&mail->ctx, item->key) : NULL;
        if (ctx_copy(&mail->ctx, item->value, &item->value) != OK)
            return false;
    }
    return true;
}

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    follow_t *follow = arg;
    mail_t *mail = mem_new(sizeof *mail);
    mail->kind = MAIL_WATCH;
    mail->cookie = follow->cookie;
    ctx_init(&mail->ctx);
    check(s_copy_changes(mail, changes, n));
    if (!s_mail_wait(follow->host, mail, true)) {
        ctx_fini(&mail->ctx);
        mem_free(mail);
    }
}

static err_t s_op_watch(op_t *op)
{
    return meta_watch(&op->ctx, op->host->meta, op->ask.key, s_on_change, op->ask.item, &op->watch);
}

static err_t s_op_meta(op_t *op)
{
    ctx_t *ctx = &op->ctx;
    meta_t *meta = op->host->meta;
    ctx_limit_ms(ctx, META_TIMEOUT_MS);
    switch (op->ask.op) {
    case META_GET:    return meta_get(ctx, meta, op->ask.key, &op->item);
    case META_LIST:   return meta_list(ctx, meta, op->ask.key, &op->items);
    case META_TXN:    return meta_txn(ctx, meta, &op->ask.txn, &op->txn);
    case META_GRANT:  return meta_lease_grant(ctx, meta, op->ask.ttl_ms, &op->lease);
    case META_KEEP:   return meta_lease_keep(ctx, meta, op->ask.lease);
    case META_REVOKE: return meta_lease_revoke(ctx, meta, op->ask.lease);
    case META_WATCH:  return s_op_watch(op);
    }
    return ctx_fail(ctx, ERR_INTERNAL, "no metadata operation %d", (int)op->ask.op);
}

/* On a worker. */
static void s_op_run(void *arg)
{
    op_t *op = arg;
    int64_t since_us = op->ask.trace.id ? clock_mono_us() : 0;
    op->err = op->ask.kind == ACT_JOB ? op->ask.fn(&op->ctx, op->ask.item) : s_op_meta(op);
    host_trace_ran(op->host->self.id, &op->ask, since_us, op->err);
    s_mail_wait(op->host, op, false);           /* s_drain reads until every op is back */
}

static void s_op_start(host_t *self, op_t *op)
{
    ctx_clear(&op->ctx);
    op->ctx.deadline_ms = INT64_MAX;
    self->pending++;
    if (pool_run(op->ask.compute ? self->compute : self->io, s_op_run, op))
        return;
    self->pending--;
    op->err = ctx_fail(&op->ctx, ERR_QUEUE_FULL, "%s", "");
    vec_push(&self->failed, &op);
}

static void s_do_op(host_t *self, const action_t *action)
{
    op_t *op = mem_new(sizeof *op);
    *op = (op_t){ .kind = MAIL_OP, .host = self, .ask = *action };
    ctx_init(&op->ctx);
    if (action->kind == ACT_META) {
        op->ask.key = ctx_strdup(&op->ctx, action->key);
        op->ask.txn = act_copy_txn(&op->ctx, &action->txn);
    }
    if (action->kind == ACT_META && action->op == META_WATCH) {
        follow_t *follow = mem_new(sizeof *follow);
        *follow = (follow_t){ .host = self, .cookie = action->cookie };
        vec_push(&self->follows, &follow);
        op->ask.item = follow;
    }
    s_op_start(self, op);
}

/* Set the watch up again and again: a node cannot do without what it follows. */
static void s_watch_ended(host_t *self, op_t *op)
{
    follow_t *follow = op->ask.item;
    if (op->err == OK) {
        follow->watch = op->watch;
        s_op_free(&op);
        return;
    }
    log_event(LOG_WARN, "watch_failed", "node=%s-%llu prefix=%s why=\"%s\"", self->self.role,
              (unsigned long long)self->self.id, op->ask.key, op->ctx.text);
    op->retry_at_ms = clock_mono_ms() + WATCH_RETRY_MS;
    vec_push(&self->failed, &op);
}

static void s_op_ended(host_t *self, op_t *op)
{
    if (op->ask.kind == ACT_META && op->ask.op == META_WATCH) {
        s_watch_ended(self, op);
        return;
    }
    event_t ev = {
        .kind = op->ask.kind == ACT_JOB ? EV_JOB : EV_META,
        .cookie = op->ask.cookie, .err = op->err, .text = op->ctx.text,
        .trace = op->ask.trace,
    };
    if (ev.kind == EV_JOB) {
        ev.item = op->ask.item;
    } else {
        ev.meta.item = op->item;
        ev.meta.items = op->items;
        ev.meta.txn = op->txn;
        ev.meta.lease = op->lease;
    }
    s_step(self, &ev);
    s_op_free(&op);
}

/* --- calls --------------------------------------------------------------------- */

static void s_release(void *payload, void *hint)
{
    (void)hint;
    buf_t bytes = { .ptr = payload };
    buf_fini(&bytes);
}

static void s_do_call(host_t *self, const action_t *action)
{
    uint64_t call_id = 0;
    net_call_t call = action->call;
    if (action->moved)
        call.release = s_release;
    host_trace_call(self->trace, action, &call);
    err_t err = net_call(self->net, action->endpoint, &call, &call_id);
    if (err != OK && action->moved)
        s_release((void *)call.payload.ptr, NULL);
    if (err == OK) {
        map_put_u64(self->cookies, call_id, (void *)(uintptr_t)(action->cookie + 1));
        map_put_u64(self->call_ids, action->cookie, (void *)(uintptr_t)(call_id + 1));
        return;
    }
    op_t *op = mem_new(sizeof *op);
    *op = (op_t){ .kind = MAIL_OP, .host = self,
                  .ask = { .kind = ACT_CALL, .cookie = action->cookie } };
    ctx_init(&op->ctx);
    op->err = ctx_fail(&op->ctx, err, "%s: %s", action->endpoint, err_text(err));
    vec_push(&self->failed, &op);
}

/* One that has ended, or never began, has its event already or gets it with those that failed. */
static void s_do_cancel(host_t *self, uint64_t cookie)
{
    void *call_id = map_get_u64(self->call_ids, cookie);
    if (call_id)
        net_cancel(self->net, (uint64_t)(uintptr_t)call_id - 1);
}

static void s_reply_event(host_t *self, const net_event_t *in)
{
    void *cookie = map_del_u64(self->cookies, in->call_id);
    if (!cookie)
        return;
    event_t ev = { .kind = EV_REPLY, .cookie = (uint64_t)(uintptr_t)cookie - 1, .err = in->err,
                   .text = in->text };
    map_del_u64(self->call_ids, ev.cookie);
    ev.trace = host_trace_reply(self->trace, ev.cookie, ev.err);
    ev.payload = in->payload;
    s_step(self, &ev);
}

/* --- timers ---------------------------------------------------------------------- */

static void s_set_timer(host_t *self, uint32_t timer, int64_t after_ms)
{
    for (size_t i = 0; i < self->timers.len; i++) {
        timer_due_t *due = vec_at(&self->timers, i);
        if (due->timer == timer) {
            vec_swap_remove(&self->timers, i);
            break;
        }
    }
    if (after_ms >= 0)
        vec_push(&self->timers, &(timer_due_t){ timer, clock_mono_ms() + after_ms });
}

static void s_run_timers(host_t *self)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < self->timers.len; ) {
        timer_due_t *due = vec_at(&self->timers, i);
        if (due->due_ms > now) {
            i++;
            continue;
        }
        event_t ev = { .kind = EV_TIMER, .timer = due->timer };
        vec_swap_remove(&self->timers, i);
        s_step(self, &ev);
        i = 0;                                  /* the step may have changed the list */
    }
}

/* Asks that failed on the spot end now; watches that failed are tried again when due. */
static void s_run_failed(host_t *self)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < self->failed.len; ) {
        op_t *op = *(op_t **)vec_at(&self->failed, i);
        if (op->retry_at_ms > now) {
            i++;
            continue;
        }
        vec_remove(&self->failed, i);
        if (op->retry_at_ms > 0) {
            s_op_start(self, op);
        } else if (op->ask.kind == ACT_CALL) {
            event_t ev = { .kind = EV_REPLY, .cookie = op->ask.cookie, .err = op->err,
                           .text = op->ctx.text };
            ev.trace = host_trace_reply(self->trace, ev.cookie, ev.err);
            s_step(self, &ev);
            s_op_free(&op);
        } else {
            s_op_ended(self, op);
        }
    }
}

static int64_t s_wait_ms(const host_t *self)
{
    int64_t first = INT64_MAX, now = clock_mono_ms();
    for (size_t i = 0; i < self->timers.len; i++) {
        int64_t due = ((timer_due_t *)vec_at(&self->timers, i))->due_ms;
        first = due < first ? due : first;
    }
    for (size_t i = 0; i < self->failed.len; i++) {
        int64_t due = (*(op_t **)vec_at(&self->failed, i))->retry_at_ms;
        first = due < first ? due : first;
    }
    if (first == INT64_MAX)
        return -1;
    return first > now ? first - now : 0;
}

/* --- the world's side of the seam --------------------------------------------------- */

static void s_act_one(host_t *self, const action_t *action)
{
    switch (action->kind) {
    case ACT_CALL:
        s_do_call(self, action);
        break;
    case ACT_CANCEL:
        s_do_cancel(self, action->cookie);
        break;
    case ACT_REPLY:
        host_trace_served(self->trace, action->from, action->err);
        if (action->moved)
            net_reply_lent(self->net, action->from, action->payload, s_release, NULL);
        else
            net_reply(self->net, action->from, action->err, action->text,
                      action->payload);
        break;
    case ACT_DIAL:
        if (net_dial(self->net, action->endpoint, action->expect_id) != OK)
            log_event(LOG_ERROR, "dial_failed", "endpoint=%s", action->endpoint);
        break;
    case ACT_HANG_UP:
        net_hang_up(self->net, action->endpoint);
        break;
    case ACT_TIMER:
        s_set_timer(self, action->timer, action->after_ms);
        break;
    case ACT_META:
    case ACT_JOB:
        s_do_op(self, action);
        break;
    case ACT_ITEM:
        check(self->sink != NULL);
        self->sink(self->sink_arg, action->item);
        break;
    case ACT_LEAVE:
        self->leaving = true;
        self->leave_err = action->err;
        snprintf(self->leave_text, sizeof self->leave_text, "%s", action->text);
        break;
    }
}

static void s_act(host_t *self)
{
    for (size_t i = 0; i < self->act.list.len; i++)
        s_act_one(self, vec_at(&self->act.list, i));
    actions_reset(&self->act);
}

static void s_net_event(host_t *self, const net_event_t *in)
{
    event_t ev = { .err = in->err, .text = in->text };
    switch (in->kind) {
    case NET_CALL:
    case NET_CANCELLED:
        ev.kind = in->kind == NET_CALL ? EV_CALL : EV_CANCELLED;
        ev.call.peer = &in->peer;
        ev.call.from = in->from;
        ev.call.method = in->method;
        ev.call.payload = in->payload;
        ev.call.epoch = in->epoch;
        ev.call.deadline_ms = in->deadline_ms;
        if (in->kind == NET_CALL)
            ev.trace = host_trace_serve(self->trace, in);
        else
            host_trace_served(self->trace, in->from, ERR_CANCELED);
        s_step(self, &ev);
        break;
    case NET_REPLY:
        s_reply_event(self, in);
        break;
    case NET_PEER:
        if (!in->dialled)
            break;                              /* health is judged on links we made */
        ev.kind = EV_PEER;
        ev.peer.endpoint = in->peer.endpoint;
        ev.peer.who = &in->peer;
        ev.peer.state = in->state;
        s_step(self, &ev);
        break;
    case NET_FD:
        break;
    }
}

static void s_read_mail(host_t *self)
{
    for (void *mail; (mail = queue_take(self->mail)) != NULL; ) {
        if (*(mail_kind_t *)mail == MAIL_OP) {
            self->pending--;
            s_op_ended(self, mail);
            continue;
        }
        mail_t *in = mail;
        event_t ev = { .kind = in->kind == MAIL_WATCH ? EV_WATCH
                             : in->kind == MAIL_ITEM ? EV_ITEM : EV_STOP };
        if (in->kind == MAIL_WATCH) {
            ev.cookie = in->cookie;
            ev.watch.changes = in->changes;
            ev.watch.n = in->n;
        } else {
            ev.item = in->item;
        }
        s_step(self, &ev);
        ctx_fini(&in->ctx);
        mem_free(in);
    }
}

/* --- life ------------------------------------------------------------------------------ */

static void s_measure(host_t *self)
{
    int64_t now_ms = clock_mono_ms();
    if (!self->role->measure || !self->self.metrics || now_ms < self->measure_at_ms)
        return;
    self->role->measure(self->node, clock_wall_ms());
    int64_t pause_ms = MEASURE_PAUSES * (clock_mono_ms() - now_ms);
    self->measure_at_ms = now_ms + (pause_ms > MEASURE_MS ? pause_ms : MEASURE_MS);
}

/* Show what the last steps have changed to the other threads. */
static void s_publish(host_t *self)
{
    const figure_t *figures = self->role->figures;
    for (size_t i = 0; figures && figures[i].name; i++) {
        check(i < MOST_FIGURES);
        atomic_store_explicit(&self->figures[i], figures[i].read(self->node), memory_order_relaxed);
    }
    bool ready = self->role->ready(self->node);
    pthread_mutex_lock(&self->ready_lock);
    net_stats(self->net, &self->stats);
    if (ready != atomic_exchange(&self->ready, ready))
        pthread_cond_broadcast(&self->ready_cond);
    pthread_mutex_unlock(&self->ready_lock);
}

void host_net_stats(host_t *self, net_stats_t *ret)
{
    pthread_mutex_lock(&self->ready_lock);
    *ret = self->stats;
    pthread_mutex_unlock(&self->ready_lock);
}

bool host_ready(const host_t *self)
{
    return atomic_load(&self->ready);
}

bool host_wait_ready(host_t *self, int64_t ms)
{
    struct timespec until;
    int64_t at_ns = clock_mono_ns() + ms * 1000000;
    until = (struct timespec){ .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };
    pthread_mutex_lock(&self->ready_lock);
    while (!atomic_load(&self->ready) && !atomic_load(&self->gone))
        if (pthread_cond_timedwait(&self->ready_cond, &self->ready_lock, &until) != 0)
            break;
    pthread_mutex_unlock(&self->ready_lock);
    return host_ready(self);
}

bool host_figure(const host_t *self, size_t i, const figure_t **ret, int64_t *ret_value)
{
    const figure_t *figures = self->role->figures;
    if (!figures || !figures[i].name)
        return false;
    *ret = &figures[i];
    *ret_value = atomic_load_explicit(&self->figures[i], memory_order_relaxed);
    return true;
}

static void s_loop(host_t *self)
{
    while (!self->leaving) {
        net_event_t events[EVENTS_A_POLL];
        size_t n = net_poll(self->net, s_wait_ms(self), events, EVENTS_A_POLL);
        for (size_t i = 0; i < n; i++) {
            s_net_event(self, &events[i]);
            net_free(&events[i]);
        }
        s_read_mail(self);
        s_run_timers(self);
        s_run_failed(self);
        s_publish(self);
        s_measure(self);
    }
}

/* The node has left: end the watches, then wait for every worker to bring its op back. */
static void s_drain(host_t *self)
{
    atomic_store(&self->closing, true);
    for (;;) {
        s_read_mail(self);                      /* steps nothing any more */
        for (; self->failed.len > 0; vec_swap_remove(&self->failed, 0)) {
            op_t *op = *(op_t **)vec_at(&self->failed, 0);
            s_op_free(&op);
        }
        for (size_t i = 0; i < self->follows.len; i++)
            meta_unwatch(&(*(follow_t **)vec_at(&self->follows, i))->watch);
        if (self->pending == 0)
            return;
        net_event_t event;
        if (net_poll(self->net, 100, &event, 1) == 1)
            net_free(&event);
    }
}

static void *s_thread(void *arg)
{
    host_t *self = arg;
    char name[16];
    snprintf(name, sizeof name, "%s", self->role->name);
    pthread_setname_np(pthread_self(), name);
    event_t start = { .kind = EV_START };
    start.seed = self->self.incarnation;
    rng_seed(&self->act.rng, start.seed);
    s_step(self, &start);
    s_loop(self);
    s_drain(self);
    net_destroy(&self->net);
    pthread_mutex_lock(&self->ready_lock);
    atomic_store(&self->ready, false);
    atomic_store(&self->gone, true);
    pthread_cond_broadcast(&self->ready_cond);
    pthread_mutex_unlock(&self->ready_lock);
    if (self->left)
        self->left(self->left_arg);
    return NULL;
}

static void s_copy_self(host_t *self, const host_options_t *options)
{
    const node_self_t *from = &options->self;
    ctx_t *keep = &self->strings;
    self->self = *from;
    self->self.role = ctx_strdup(keep, from->role);
    self->self.cluster = ctx_strdup(keep, from->cluster);
    self->self.host = ctx_strdup(keep, from->host ? from->host : "");
    self->self.version = ctx_strdup(keep, from->version ? from->version : ELANUS_VERSION);
    self->self.ops_address = ctx_strdup(keep, from->ops_address ? from->ops_address : "");
    const char *bound = net_endpoint(self->net);
    self->self.address = ctx_strdup(keep, options->advertise
        ? options->advertise(keep, options->advertise_arg, bound) : bound);
}

static void s_init_ready(host_t *self)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->ready_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&self->ready_lock, NULL);
}

err_t host_open(ctx_t *ctx, const host_options_t *options, host_t **ret)
{
    net_options_t net = {
        .listen = options->listen, .cluster = options->self.cluster,
        .version = options->self.version, .role = options->self.role,
        .node_id = options->self.id, .incarnation = options->self.incarnation,
        .heartbeat_ms = options->self.heartbeat_ms, .curve = options->curve,
    };
    net_t *opened = NULL;
    TRY(net_open(ctx, &net, &opened));

    host_t *self = mem_new(sizeof *self);
    self->role = options->role;
    self->net = opened;
    self->meta = options->meta;
    self->io = options->io;
    self->compute = options->compute ? options->compute : options->io;
    self->sink = options->sink;
    self->sink_arg = options->sink_arg;
    self->left = options->left;
    self->left_arg = options->left_arg;
    s_init_ready(self);
    ctx_init(&self->strings);
    s_copy_self(self, options);
    self->mail = queue_new(LIMIT_QUEUE_ITEMS);
    net_watch_fd(self->net, queue_fd(self->mail));
    actions_init(&self->act);
    vec_init(&self->timers, sizeof(timer_due_t));
    vec_init(&self->failed, sizeof(op_t *));
    vec_init(&self->follows, sizeof(follow_t *));
    self->cookies = map_new();
    self->call_ids = map_new();
    self->trace = host_trace_new(options->self.id);
    self->node = options->role->make(&self->self, options->role_options);
    *ret = self;
    return OK;
}

void host_start(host_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    check(pthread_create(&self->thread, NULL, s_thread, self) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->running = true;
}

static bool s_post(host_t *self, mail_kind_t kind, void *item)
{
    mail_t *mail = mem_new(sizeof *mail);
    *mail = (mail_t){ .kind = kind, .item = item };
    ctx_init(&mail->ctx);
    bool posted = queue_put(self->mail, mail);
    if (!posted)
        mem_free(mail);
    return posted;
}

bool host_post(host_t *self, void *item)
{
    return s_post(self, MAIL_ITEM, item);
}

void host_stop(host_t *self)
{
    while (!s_post(self, MAIL_STOP, NULL))
        clock_sleep_ms(1);
}

err_t host_wait(ctx_t *ctx, host_t *self)
{
    check(self->running);
    pthread_join(self->thread, NULL);
    self->running = false;
    return self->leave_err == OK ? OK : ctx_fail(ctx, self->leave_err, "%s", self->leave_text);
}

void host_destroy(host_t **self_p)
{
    host_t *self = *self_p;
    if (!self)
        return;
    check(!self->running);
    self->role->end(self->node);
    net_destroy(&self->net);
    s_read_mail(self);
    queue_destroy(&self->mail);
    pthread_cond_destroy(&self->ready_cond);
    pthread_mutex_destroy(&self->ready_lock);
    for (size_t i = 0; i < self->follows.len; i++)
        mem_free(*(follow_t **)vec_at(&self->follows, i));
    vec_fini(&self->follows);
    vec_fini(&self->failed);
    vec_fini(&self->timers);
    map_destroy(&self->cookies);
    map_destroy(&self->call_ids);
    host_trace_destroy(&self->trace);
    actions_fini(&self->act);
    ctx_fini(&self->strings);
    mem_free(self);
    *self_p = NULL;
}

const node_self_t *host_self(const host_t *self)
{
    return &self->self;
}

const char *host_role(const host_t *self)
{
    return self->role->name;
}

err_t host_new_id(ctx_t *ctx, meta_t *meta, uint64_t *ret)
{
    for (;;) {
        meta_item_t item = {0};
        err_t err = meta_get(ctx, meta, "id/node", &item);
        if (err != OK && err != ERR_KEY_NOT_FOUND)
            return err;
        bool there = err == OK;
        if (there && item.value.len != 8)
            return ctx_fail(ctx, ERR_CORRUPT, "id/node: %zu bytes instead of 8", item.value.len);
        ctx_clear(ctx);
        uint64_t next = there ? load_u64(item.value.ptr) + 1 : 1;
        meta_cmp_t cmp = there
            ? (meta_cmp_t){ .kind = META_IF_MOD_REV, .key = "id/node", .rev = item.mod_rev }
            : (meta_cmp_t){ .kind = META_IF_ABSENT, .key = "id/node" };
        meta_op_t put = { .kind = META_PUT, .key = "id/node", .value = view_of(&next, 8) };
        meta_txn_result_t result = {0};
        TRY(meta_txn(ctx, meta, &(meta_txn_t){ &cmp, 1, &put, 1 }, &result));
        if (result.applied) {
            *ret = next;
            return OK;
        }
    }
}

/* proxy_write - see proxy_write.h */
#include "proxy/proxy_write.h"

#include <stdio.h>

#include "proxy/proxy_links.h"

enum {
    PATIENCE_MS = 30000,        /* for clients that set no deadline */
    ONE_TRY_MS = 5000,
    LOOK_MS = 100,              /* for an owner, when no news comes */
    RETRY_MS = 20,              /* after a refusal; doubles up to LOOK_MS */
    STEP_BYTES = 64 << 10,      /* requests up to this size are worked on in the step */
};

typedef enum {
    CHANNEL_IDLE,               /* nothing goes there, or all is done */
    CHANNEL_WANTS,              /* an owner, or its next turn */
    CHANNEL_CHOSEN,             /* the owner is known, its object is to be made */
    CHANNEL_MADE,
    CHANNEL_ASKED,
    CHANNEL_FAILED,             /* for good */
} channel_state_t;


/* Answers come while a job works for another channel.  So they change nothing but their own
 * channel; and the job leaves alone what it was not told to make. */
struct write_channel {
    proxy_write_t *write;
    const char *name;           /* of the vchannel */
    channel_state_t state;
    bool to_make;               /* the job's: make the object */
    uint64_t epoch;
    char *endpoint;             /* of the owner */
    proxy_link_t *link;         /* taken while it is asked; NULL: none */
    buf_t object;
    int64_t not_before_ms, pause_ms;
    int64_t sent_us;            /* for /metrics */
    err_t err;                  /* of the last try */
    char text[CTX_TEXT_BYTES];
};

static void s_go_on(proxy_node_t *self, proxy_write_t *w, const event_t *ev, actions_t *act);

/* --- life ------------------------------------------------------------------------------- */

proxy_write_t *proxy_write_new(proxy_node_t *self, proxy_call_t *call,
                               const Elanus__Collection *coll, const event_t *ev, actions_t *act)
{
    proxy_write_t *w = mem_new(sizeof *w);
    ctx_t *ctx = call->ctx;
    *w = (proxy_write_t){ .call = call, .next = self->writes,
                          .give_up_ms = ev->now_ms + PATIENCE_MS };
    if (ctx->deadline_ms != INT64_MAX)
        w->give_up_ms = ctx->deadline_ms;
    w->plan = (write_plan_t){
        .schema = schema_ref(catalog_schema(self->catalog, coll->id)),
        .collection = (int64_t)coll->id, .n_shards = coll->n_vchannels,
        .delete_partition = WRITE_ALL_PARTITIONS,
        .request = { rng_u64(&act->rng), rng_u64(&act->rng) },
    };
    w->channels = mem_new(coll->n_vchannels * sizeof *w->channels);
    for (size_t i = 0; i < coll->n_vchannels; i++)
        w->channels[i] = (write_channel_t){ .write = w, .name = ctx_strdup(ctx, coll->vchannels[i]),
                                            .pause_ms = RETRY_MS };
    if (self->writes)
        self->writes->prev = w;
    self->writes = w;
    return w;
}

static void s_free(proxy_node_t *self, proxy_write_t *w)
{
    for (size_t i = 0; i < w->plan.n_shards; i++)
        buf_fini(&w->channels[i].object);
    mem_free(w->channels);
    if (w->prev)
        w->prev->next = w->next;
    else
        self->writes = w->next;
    if (w->next)
        w->next->prev = w->prev;
    schema_unref(&w->plan.schema);
    if (w->forget)
        w->forget(w);
    mem_free(w);
}

void proxy_write_fini(proxy_node_t *self)
{
    while (self->writes)
        s_free(self, self->writes);
}

static void s_finish(proxy_node_t *self, proxy_write_t *w, actions_t *act)
{
    if (w->err == OK) {
        self->last_ts = w->ts > self->last_ts ? w->ts : self->last_ts;
        w->done(self, w, act);
    } else {
        proxy_status(self, w->call, act, w->err, ctx_strdup(w->call->ctx, w->call->ctx->text));
    }
    s_free(self, w);
}

/* The first failure stays. */
static void s_fail(proxy_write_t *w, err_t err, const char *text)
{
    if (w->err == OK)
        w->err = ctx_fail(w->call->ctx, err, "%s", text ? text : "");
}

void proxy_write_fail(proxy_node_t *self, proxy_write_t *w, actions_t *act, err_t err,
                      const char *text)
{
    s_fail(w, err, text);
    s_finish(self, w, act);
}

/* --- work ------------------------------------------------------------------------------- */

static err_t s_make_objects(ctx_t *ctx, proxy_write_t *w)
{
    for (size_t i = 0; i < w->plan.n_shards; i++) {
        write_channel_t *channel = &w->channels[i];
        if (!channel->to_make)
            continue;
        channel->to_make = false;
        TRY(write_plan_object(ctx, &w->plan, i, channel->name, channel->epoch, &channel->object));
    }
    return OK;
}

/* Before anybody was asked. */
static err_t s_plan(proxy_write_t *w)
{
    TRY(w->prepare(w));
    for (size_t i = 0; i < w->plan.n_shards; i++) {
        write_channel_t *channel = &w->channels[i];
        if (write_plan_touches(&w->plan, i))
            continue;
        channel->state = CHANNEL_IDLE;
        channel->to_make = false;
    }
    w->planned = true;
    return OK;
}

/* A job, or part of a step. */
static err_t s_work(ctx_t *ctx, void *arg)
{
    proxy_write_t *w = arg;
    if (!w->planned && s_plan(w) != OK)
        return ctx_fail(ctx, w->call->ctx->err, "%s", w->call->ctx->text);
    return s_make_objects(ctx, w);
}

static void s_worked(proxy_write_t *w, err_t err, const char *text)
{
    w->working = false;
    for (size_t i = 0; i < w->plan.n_shards; i++)
        if (w->channels[i].state == CHANNEL_CHOSEN)
            w->channels[i].state = CHANNEL_MADE;
    if (err != OK)
        s_fail(w, err, text);
}

static void s_job_ended(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_write_t *w = arg;
    s_worked(w, ev->err, ev->text);
    s_go_on(node, w, ev, act);
}

static void s_begin_work(proxy_node_t *self, proxy_write_t *w, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < w->plan.n_shards; i++)
        w->channels[i].to_make = w->channels[i].state == CHANNEL_CHOSEN;
    w->working = true;
    if (w->call->message.len > STEP_BYTES) {
        act_compute(act, s_work, w, wait_once(self->member.waits, act, s_job_ended, w));
        return;
    }
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = s_work(&ctx, w);
    s_worked(w, err, ctx.text);
    ctx_fini(&ctx);
    s_go_on(self, w, ev, act);
}

/* --- owners ----------------------------------------------------------------------------- */

static void s_news(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act)
{
    proxy_write_t *w = arg;
    w->waiting = false;
    s_go_on(self, w, ev, act);
}

static void s_give_up(write_channel_t *channel)
{
    channel->state = CHANNEL_FAILED;
    if (channel->err != OK)
        return;
    channel->err = ERR_CHANNEL_NOT_AVAILABLE;
    snprintf(channel->text, sizeof channel->text, "channel not available[channel=%s]",
             channel->name);
}

/* Its owner is there, for others. */
static void s_cut_off(write_channel_t *channel, const Elanus__NodeInfo *owner)
{
    channel->state = CHANNEL_FAILED;
    channel->err = ERR_NETWORK;
    snprintf(channel->text, sizeof channel->text, PROXY_CUT_OFF, (unsigned long long)owner->id,
             owner->address);
}

/* Its owner, if it is time and there is one. */
static void s_choose(proxy_node_t *self, write_channel_t *channel, const event_t *ev,
                     actions_t *act)
{
    uint64_t epoch = 0;
    if (ev->now_ms >= channel->write->give_up_ms) {
        s_give_up(channel);
        return;
    }
    const Elanus__NodeInfo *owner = NULL;
    if (ev->now_ms >= channel->not_before_ms)
        owner = directory_owner_node(self->directory, channel->name, &epoch);
    if (owner && proxy_link_cut_off(self, owner->address, ev, act)) {
        s_cut_off(channel, owner);
        return;
    }
    if (!owner || !proxy_link_usable(self, owner->address))
        return;                                 /* there will be news, of the link at least */
    channel->state = CHANNEL_CHOSEN;
    channel->epoch = epoch;
    if (!channel->endpoint || strcmp(channel->endpoint, owner->address) != 0)
        channel->endpoint = ctx_strdup(channel->write->call->ctx, owner->address);
}

/* --- asking ----------------------------------------------------------------------------- */

/* May the same request, sent again, end better? */
static bool s_worth_another(err_t err)
{
    return err_retriable(err) || err == ERR_TIMEOUT || err == ERR_FENCED ||
           err == ERR_NODE_NOT_MATCH || err == ERR_NODE_NOT_AVAILABLE ||
           err == ERR_NODE_NOT_FOUND || err == ERR_NODE_STATE || err == ERR_CHANNEL_NOT_FOUND ||
           err == ERR_CHANNEL_NOT_AVAILABLE;
}

static err_t s_take_answer(write_channel_t *channel, const event_t *ev)
{
    ctx_t *ctx = ev->ctx;
    Elanus__Written *written = NULL;
    if (ev->err != OK)
        return ctx_fail(ctx, ev->err, "%s", ev->text);
    TRY(PB_UNPACK(ctx, elanus__written, ev->payload, &written));
    uint64_t *ts = &channel->write->ts;
    *ts = written->ts > *ts ? written->ts : *ts;
    return OK;
}

static void s_count_send(proxy_node_t *self, const write_channel_t *channel)
{
    method_fn *handler = channel->write->call->method->handler;
    proxy_count_took(self, self->count.sent_write, handler == handle_insert ? "insert"
                     : handler == handle_upsert ? "upsert" : "delete", channel->sent_us);
}

static void s_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    write_channel_t *channel = arg;
    proxy_link_release(node, channel->link, act);
    channel->link = NULL;
    channel->write->n_asked--;
    s_count_send(node, channel);
    channel->err = s_take_answer(channel, ev);
    channel->state = CHANNEL_IDLE;
    if (channel->err != OK) {
        snprintf(channel->text, sizeof channel->text, "%s", ev->ctx->text);
        channel->state = s_worth_another(channel->err) ? CHANNEL_WANTS : CHANNEL_FAILED;
        channel->not_before_ms = ev->now_ms + channel->pause_ms;
        channel->pause_ms = channel->pause_ms * 2 < LOOK_MS ? channel->pause_ms * 2 : LOOK_MS;
    }
    s_go_on(node, channel->write, ev, act);
}

static void s_ask(proxy_node_t *self, write_channel_t *channel, const event_t *ev, actions_t *act)
{
    proxy_write_t *w = channel->write;
    int64_t left = w->give_up_ms - ev->now_ms;
    if (left <= 0) {
        s_give_up(channel);
        return;
    }
    channel->state = CHANNEL_ASKED;
    w->n_asked++;
    channel->link = proxy_link_take(self, channel->endpoint);
    channel->sent_us = metrics_began(self->count.to);
    act_call_moved(act, channel->endpoint, ELANUS__METHOD__METHOD_WRITE, &channel->object,
                   left < ONE_TRY_MS ? left : ONE_TRY_MS,
                   wait_once(self->member.waits, act, s_answered, channel));
}

/* --- the next thing --------------------------------------------------------------------- */

static size_t s_count(const proxy_write_t *w, channel_state_t state)
{
    size_t n = 0;
    for (size_t i = 0; i < w->plan.n_shards; i++)
        n += w->channels[i].state == state;
    return n;
}

/* Failures of channels are the call's, and nothing is sent once it has failed. */
static void s_collect(proxy_write_t *w)
{
    for (size_t i = 0; i < w->plan.n_shards; i++)
        if (w->channels[i].state == CHANNEL_FAILED)
            s_fail(w, w->channels[i].err, w->channels[i].text);
    for (size_t i = 0; i < w->plan.n_shards && w->err != OK; i++)
        if (w->channels[i].state != CHANNEL_ASKED)
            w->channels[i].state = CHANNEL_IDLE;
}

static void s_wait(proxy_node_t *self, proxy_write_t *w, const event_t *ev, actions_t *act)
{
    int64_t wait_ms = LOOK_MS;
    for (size_t i = 0; i < w->plan.n_shards; i++) {
        int64_t left = w->channels[i].not_before_ms - ev->now_ms;
        if (w->channels[i].state == CHANNEL_WANTS && left > 0 && left < wait_ms)
            wait_ms = left;
    }
    w->waiting = true;
    proxy_news(self, ev, act, wait_ms, s_news, w);
}

static void s_go_on(proxy_node_t *self, proxy_write_t *w, const event_t *ev, actions_t *act)
{
    if (w->working)
        return;
    s_collect(w);
    for (size_t i = 0; i < w->plan.n_shards; i++)
        if (w->channels[i].state == CHANNEL_MADE)
            s_ask(self, &w->channels[i], ev, act);
    for (size_t i = 0; i < w->plan.n_shards; i++)
        if (w->channels[i].state == CHANNEL_WANTS)
            s_choose(self, &w->channels[i], ev, act);
    s_collect(w);
    if (s_count(w, CHANNEL_CHOSEN) > 0)
        s_begin_work(self, w, ev, act);
    else if (s_count(w, CHANNEL_WANTS) > 0 && !w->waiting)
        s_wait(self, w, ev, act);
    else if (w->n_asked == 0 && !w->waiting)
        s_finish(self, w, act);
}

void proxy_write_start(proxy_node_t *self, proxy_write_t *w, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < w->plan.n_shards; i++) {     /* guesses: the plan knows which count */
        w->channels[i].state = CHANNEL_WANTS;
        s_choose(self, &w->channels[i], ev, act);
    }
    s_begin_work(self, w, ev, act);
}

/* member - see member.h */
#include "core/node/member.h"

#include <stdio.h>

#include "core/node/inspect.h"
#include "core/wire/pb.h"

enum {
    RETRY_MS = 500,             /* after a metadata call failed */
    LEAVE_MS = 2000,            /* most time the goodbye may take */
    DRAIN_LOOK_MS = 20,
    KEEPS_PER_TTL = 3,
};

void member_init(member_t *self, const node_self_t *who)
{
    *self = (member_t){ .self = who, .waits = waits_new(), .leader_link = NET_GONE };
}

void member_fini(member_t *self)
{
    waits_destroy(&self->waits);
}

bool member_leads(const member_t *self)
{
    return self->leader_there && self->leader_incarnation == self->self->incarnation;
}

Elanus__NodeInfo *member_info(const member_t *self, ctx_t *ctx)
{
    Elanus__NodeInfo *info = ctx_new(ctx, sizeof *info);
    elanus__node_info__init(info);
    const node_self_t *who = self->self;
    info->id = who->id;
    info->role = (char *)who->role;
    info->address = (char *)who->address;
    info->incarnation = who->incarnation;
    info->version = (char *)who->version;
    info->ops_address = (char *)who->ops_address;
    info->host = (char *)who->host;
    info->started_ms = who->started_ms;
    info->memory_limit = self->memory_limit;
    return info;
}

/* --- the session ------------------------------------------------------------ */

/* Try again soon, and complain at the 1st, 2nd, 4th … failure.  A node that never
 * joined and meets what trying again will not mend ends and says so. */
static void s_failed(member_t *self, const char *what, const event_t *ev, actions_t *act)
{
    if (!self->joined_once && !err_retriable(ev->err)) {
        act_leave(act, ev->err, ev->text);
        return;
    }
    self->failures++;
    if ((self->failures & (self->failures - 1)) == 0)
        log_event(LOG_WARN, what, "node=%s-%llu times=%u why=\"%s\"", self->self->role,
                  (unsigned long long)self->self->id, self->failures, ev->text);
    act_timer(act, TIMER_MEMBER_KEEP, RETRY_MS);
}

static void s_registered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    member_t *self = arg;
    if (self->state == MEMBER_LEAVING)
        return;
    if (ev->err != OK) {
        self->lease = 0;
        s_failed(self, "session_put_failed", ev, act);
        return;
    }
    self->joined_once = true;
    self->failures = 0;
    self->state = MEMBER_JOINED;
    log_event(LOG_INFO, "node_joined", "node=%s-%llu address=%s lease=%lld", self->self->role,
              (unsigned long long)self->self->id, self->self->address, (long long)self->lease);
    act_timer(act, TIMER_MEMBER_KEEP, self->self->lease_ttl_ms / KEEPS_PER_TTL);
    if (self->on_leader)
        self->on_leader(node, ev, act);
}

static void s_register(member_t *self, const event_t *ev, actions_t *act)
{
    char key[64];
    snprintf(key, sizeof key, MEMBER_SESSIONS "%s-%llu", self->self->role,
             (unsigned long long)self->self->id);
    meta_op_t put = {
        .kind = META_PUT, .key = key, .lease = self->lease,
        .value = pb_pack(ev->ctx, member_info(self, ev->ctx)),
    };
    act_meta_txn(act, &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                 wait_once(self->waits, act, s_registered, self));
}

static void s_granted(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    member_t *self = arg;
    if (self->state == MEMBER_LEAVING)
        return;
    if (ev->err != OK) {
        s_failed(self, "lease_grant_failed", ev, act);
        return;
    }
    self->lease = ev->meta.lease;
    s_register(self, ev, act);
}

static void s_join(member_t *self, actions_t *act)
{
    self->state = MEMBER_JOINING;
    act_lease_grant(act, self->self->lease_ttl_ms,
                    wait_once(self->waits, act, s_granted, self));
}

static void s_kept(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    member_t *self = arg;
    if (self->state != MEMBER_JOINED)
        return;
    if (ev->err == ERR_KEY_NOT_FOUND) {
        log_event(LOG_WARN, "lease_lost", "node=%s-%llu lease=%lld", self->self->role,
                  (unsigned long long)self->self->id, (long long)self->lease);
        self->lease = 0;
        s_join(self, act);
        return;
    }
    if (ev->err != OK) {
        s_failed(self, "lease_keep_failed", ev, act);
        return;
    }
    self->failures = 0;
    act_timer(act, TIMER_MEMBER_KEEP, self->self->lease_ttl_ms / KEEPS_PER_TTL);
}

static void s_keep(member_t *self, actions_t *act)
{
    if (self->state == MEMBER_JOINING)
        s_join(self, act);
    else if (self->state == MEMBER_JOINED)
        act_lease_keep(act, self->lease, wait_once(self->waits, act, s_kept, self));
}

/* --- the leader ------------------------------------------------------------- */

static void s_leader_gone(member_t *self, void *node, int64_t rev, actions_t *act)
{
    bool kept = self->keeps_link && self->keeps_link(node, self->leader_address);
    if (self->leader_there && !member_leads(self) && !kept)
        act_hang_up(act, self->leader_address);
    self->leader_there = false;
    self->leader_link = NET_GONE;
    self->leader_term = rev;
}

static void s_leader_is(member_t *self, void *node, const meta_item_t *item, const event_t *ev,
                        actions_t *act)
{
    if (self->leader_there && item->mod_rev <= self->leader_term)
        return;                                 /* a re-list shows what we know */
    Elanus__Leader *leader = NULL;
    if (PB_UNPACK(ev->ctx, elanus__leader, item->value, &leader) != OK || !leader->info) {
        log_event(LOG_ERROR, "leader_key_damaged", "rev=%lld why=\"%s\"",
                  (long long)item->mod_rev, ev->ctx->text);
        return;
    }
    s_leader_gone(self, node, item->mod_rev, act);
    self->leader_there = true;
    self->leader_id = leader->info->id;
    self->leader_incarnation = leader->info->incarnation;
    self->leader_seen_ms = ev->now_ms;
    snprintf(self->leader_address, sizeof self->leader_address, "%s", leader->info->address);
    if (self->knows_link)
        self->leader_link = self->knows_link(node, self->leader_address);
    log_event(LOG_INFO, "leader_seen", "node=%s-%llu leader=coord-%llu address=%s term=%lld",
              self->self->role, (unsigned long long)self->self->id,
              (unsigned long long)self->leader_id, self->leader_address,
              (long long)self->leader_term);
    if (!member_leads(self))
        act_dial(act, self->leader_address, self->leader_id);
}

static int64_t s_later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    member_t *self = arg;
    for (size_t i = 0; ev->kind == EV_WATCH && i < ev->watch.n; i++) {
        const meta_change_t *change = &ev->watch.changes[i];
        bool ours = change->item.key && strcmp(change->item.key, MEMBER_LEADER_KEY) == 0;
        switch (change->kind) {
        case META_WATCH_RESET:
            self->leader_synced = self->leader_listed = false;
            break;
        case META_WATCH_PUT:
            if (ours) {
                self->leader_listed = true;
                s_leader_is(self, node, &change->item, ev, act);
            }
            break;
        case META_WATCH_DELETE:
            if (ours)
                s_leader_gone(self, node, change->item.mod_rev, act);
            break;
        case META_WATCH_SYNCED:
            if (!self->leader_listed && !self->leader_synced)
                s_leader_gone(self, node, s_later(change->item.mod_rev, self->leader_term), act);
            self->leader_synced = true;
            break;
        }
    }
    if (self->on_leader)
        self->on_leader(node, ev, act);
}

static bool s_peer(member_t *self, void *node, const event_t *ev, actions_t *act)
{
    if (!self->leader_there || strcmp(ev->peer.endpoint, self->leader_address) != 0)
        return false;
    self->leader_link = ev->peer.state;
    if (self->on_leader)
        self->on_leader(node, ev, act);
    return false;               /* the role may care for this link too */
}

/* --- status ----------------------------------------------------------------- */

typedef struct {
    hostinfo_t host;            /* first: what the job fills in */
    member_t *self;
    net_from_t from;
} question_t;

err_t member_measure(ctx_t *ctx, void *arg)
{
    hostinfo_t *host = arg;
    return hostinfo_read(ctx, NULL, host);
}

static void s_add_settings(const char *const *settings, ctx_t *ctx, Elanus__NodeStatus *into)
{
    size_t n = 0;
    while (settings && settings[n])
        n += 2;
    into->settings = ctx_new(ctx, (n / 2 + 1) * sizeof into->settings[0]);
    for (size_t i = 0; i < n; i += 2) {
        Elanus__Pair *pair = ctx_new(ctx, sizeof *pair);
        elanus__pair__init(pair);
        pair->key = (char *)(uintptr_t)settings[i];
        pair->value = (char *)(uintptr_t)settings[i + 1];
        into->settings[into->n_settings++] = pair;
    }
}

void member_add_stock(ctx_t *ctx, Elanus__NodeStatus *into, size_t room, uint64_t collection,
                      uint64_t partition, uint64_t rows, uint64_t bytes)
{
    if (!into->stocks)
        into->stocks = ctx_new(ctx, (room + 1) * sizeof into->stocks[0]);
    for (size_t i = 0; i < into->n_stocks; i++) {
        Elanus__Stock *stock = into->stocks[i];
        if (stock->collection == collection && stock->partition == partition) {
            stock->rows += rows;
            stock->bytes += bytes;
            return;
        }
    }
    check(into->n_stocks < room);
    Elanus__Stock *stock = ctx_new(ctx, sizeof *stock);
    elanus__stock__init(stock);
    stock->collection = collection;
    stock->partition = partition;
    stock->rows = rows;
    stock->bytes = bytes;
    into->stocks[into->n_stocks++] = stock;
}

Elanus__NodeStatus *member_status(const member_t *self, ctx_t *ctx, const hostinfo_t *host,
                                  int64_t wall_ms)
{
    Elanus__NodeStatus *out = ctx_new(ctx, sizeof *out);
    elanus__node_status__init(out);
    out->info = member_info(self, ctx);
    out->cpu_cores = host->cpu_cores;
    out->cpu_percent = host->cpu_percent;
    out->memory_total = host->memory_total_bytes;
    out->memory_used = host->rss_bytes;
    out->disk_total = host->disk_total_bytes;
    out->disk_used = host->disk_used_bytes;
    out->at_ms = wall_ms;
    s_add_settings(self->self->settings, ctx, out);
    if (self->tell)
        self->tell(self, ctx, out);
    return out;
}

static void s_measured(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    const question_t *question = arg;
    if (ev->err != OK)
        act_refuse(act, question->from, ev->err, "%s", ev->text);
    else
        act_reply(act, question->from,
                  pb_pack(ev->ctx, member_status(question->self, ev->ctx, &question->host,
                                                 ev->wall_ms)));
}

static void s_status(member_t *self, const event_t *ev, actions_t *act)
{
    question_t *question = mem_new(sizeof *question);
    *question = (question_t){ .self = self, .from = ev->call.from };
    act_job(act, member_measure, &question->host,
            wait_owned(self->waits, act, s_measured, question));
}

/* --- start, stop, dispatch -------------------------------------------------- */

/* Leave, when there is no reason to stay. */
static void s_leave_when_idle(member_t *self, const void *node, const event_t *ev, actions_t *act)
{
    bool busy = self->busy && self->busy(node);
    if (busy && ev->now_ms < self->leave_by_ms) {
        act_timer(act, TIMER_MEMBER_LEAVE, DRAIN_LOOK_MS);
        return;
    }
    log_event(LOG_INFO, "node_left", "node=%s-%llu busy=%d", self->self->role,
              (unsigned long long)self->self->id, busy);
    act_leave(act, OK, "");
}

static void s_signed_off(void *node, void *arg, const event_t *ev, actions_t *act)
{
    member_t *self = arg;
    if (self->signed_off)
        return;                                 /* it took too long */
    self->signed_off = true;
    s_leave_when_idle(self, node, ev, act);
}

static void s_stop(member_t *self, const event_t *ev, actions_t *act)
{
    if (self->state == MEMBER_LEAVING)
        return;
    bool registered = self->state == MEMBER_JOINED;
    self->state = MEMBER_LEAVING;
    self->leave_by_ms = ev->now_ms + self->drain_ms;
    if (!registered) {
        act_leave(act, OK, "");
        return;
    }
    act_lease_revoke(act, self->lease, wait_once(self->waits, act, s_signed_off, self));
    act_timer(act, TIMER_MEMBER_LEAVE, LEAVE_MS);
}

static bool s_timer(member_t *self, const void *node, const event_t *ev, actions_t *act)
{
    switch (ev->timer) {
    case TIMER_MEMBER_KEEP:
        s_keep(self, act);
        return true;
    case TIMER_MEMBER_LEAVE:                    /* if metadata is away, the lease ends by itself */
        self->signed_off = true;
        s_leave_when_idle(self, node, ev, act);
        return true;
    default:
        return false;
    }
}

static bool s_call(member_t *self, const event_t *ev, actions_t *act)
{
    self->calls++;
    if (ev->call.method == ELANUS__METHOD__METHOD_STATUS)
        s_status(self, ev, act);
    else if (ev->call.method == ELANUS__METHOD__METHOD_INSPECT)
        inspect_call(self, ev, act);
    else
        return false;
    return true;
}

bool member_step(member_t *self, void *node, const event_t *ev, actions_t *act)
{
    switch (ev->kind) {
    case EV_START:
        act_meta_watch(act, MEMBER_LEADER_ROOT, wait_always(self->waits, act, s_watched, self));
        s_join(self, act);
        return false;
    case EV_STOP:
        s_stop(self, ev, act);
        return false;
    case EV_TIMER:
        return s_timer(self, node, ev, act);
    case EV_PEER:
        return s_peer(self, node, ev, act);
    case EV_CALL:
        return s_call(self, ev, act);
    case EV_REPLY:
    case EV_META:
    case EV_WATCH:
    case EV_JOB:
        return waits_run(self->waits, node, ev, act);
    case EV_CANCELLED:
    case EV_ITEM:
        return false;
    }
    return false;
}

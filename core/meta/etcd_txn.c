/* etcd_txn - transactions whose outcome is known
 *
 * A request whose answer is lost may have been applied, may be applied later
 * (it waits in some queue), or never.  Sending it again could apply it twice;
 * not sending it could lose it.  So each writer leaves a mark.
 *
 * A writer (this open store) has an incarnation, 128 random bits, a lease L and
 * a few slots, each a key S = <root>/txn/<incarnation>/<slot> that nobody else
 * writes.  One transaction uses a slot at a time; r is the revision at which S
 * was last put (0: not yet), m a number never used before.
 *
 *     T:  if   <the caller's compares>  and  mod_revision(S) = r
 *         then <the caller's writes>    and  put S = m under L
 *         else read S
 *
 * T's answer: "then" → applied.  "else" with S at r → a compare of the caller
 * did not hold.  When no answer comes, the fence decides:
 *
 *     F:  if mod_revision(S) = r  then put S = f under L  else read S
 *
 *   - F took effect: S moved from r to a later revision without T.  T needs r,
 *     and S never returns to it: revisions only grow, and S is deleted only
 *     with L (below).  So T did not happen and never will; it may be built
 *     anew and sent again.
 *   - F did not, and S holds m: T was applied, at S's mod_revision.
 *   - F did not, and S holds anything else: S left r by another hand of ours
 *     (an earlier F, or a T of this slot that was given up), so T did not
 *     happen and never will.
 *   - F got no answer: send F again; that is harmless, f is the same.
 *
 * The same reading covers a T that was sent twice below us (an HTTP library
 * may do so when a kept connection turns out to be closed): the second finds
 * S = m in its "else".
 *
 * Why the slots hang on a lease: they vanish when the process dies, with no
 * sweeper that could delete a slot still in use.  And L is itself a fence: T
 * and F name L, so once L has ended neither can take effect, and that S is
 * absent again (as with r = 0) does no harm.  What is lost with L is only the
 * knowledge: if L ends between sending T and asking, T may have been applied
 * before.  Then, and when the deadline comes first, the answer is
 * ERR_OUTCOME_UNKNOWN.  L is renewed by use: before a T when its last renewal
 * is older than KEEP_MS, so that L has 40 s or more at every T, several times
 * the deadline of a call; an idle store renews nothing, lets L end, and starts
 * a new incarnation with its next T.
 *
 * A slot given up with T still open is `open`.  Reads settle open slots first
 * (etcd_txns_settle), so a caller that reads after ERR_OUTCOME_UNKNOWN sees
 * what stays true.
 *
 * Transactions that only compare change nothing, need no mark and are asked
 * again freely.  They carry a range read, because etcd answers a transaction
 * without any operation from local, possibly old, data.
 */
#include "core/meta/etcd_int.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/rng.h"

enum { SLOTS = 8, TTL_S = 60, KEEP_MS = 20000 };

typedef struct session {
    uint64_t number;            /* 1, 2, … of this store; 0: none yet */
    char incarnation[33];
    int64_t lease;
    int64_t kept_ms;            /* when its last renewal was sent */
} session_t;

typedef struct slot {
    int index;
    bool busy;                  /* under the lock; the rest belongs to who set it */
    bool open;                  /* under the lock; a transaction's outcome is not known */
    session_t session;
    int64_t rev;                /* mod_revision of its key; 0: not put yet */
    char mark[24];              /* what the transaction in flight puts */
} slot_t;

struct etcd_txns {
    char *root;                 /* "<root>/txn/" */
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* a slot or the session */
    session_t session;
    bool renewing;              /* one thread at a time asks for the lease */
    slot_t slots[SLOTS];
    _Atomic int n_open;
    _Atomic uint64_t next_mark;
};

/* What an answer says about T. */
typedef enum { APPLIED, REFUSED, NOT_APPLIED, MARK_LOST } fate_t;

etcd_txns_t *etcd_txns_new(const char *root)
{
    etcd_txns_t *self = mem_new(sizeof *self);
    size_t bytes = strlen(root) + 6;
    self->root = mem_new(bytes);
    snprintf(self->root, bytes, "%s/txn/", root);
    for (int i = 0; i < SLOTS; i++)
        self->slots[i].index = i;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return self;
}

void etcd_txns_destroy(ctx_t *ctx, etcd_t *etcd)
{
    etcd_txns_t *self = etcd->txns;
    if (self->session.lease && etcd_revoke(ctx, etcd, self->session.lease) != OK)
        log_event(LOG_DEBUG, "meta_markers_left", "why=\"%s\"", ctx->text);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    mem_free(self->root);
    mem_free(self);
    etcd->txns = NULL;
}

/* With the lock held; false when the deadline is here. */
static bool s_wait(ctx_t *ctx, etcd_txns_t *self)
{
    struct timespec until = { ctx->deadline_ms / 1000, ctx->deadline_ms % 1000 * 1000000 };
    pthread_cond_timedwait(&self->changed, &self->lock, &until);
    return ctx_left_ms(ctx) > 0;
}

/* --- session ---------------------------------------------------------------- */

/* A new incarnation.  The old lease is revoked first: that goes through the
 * log, so afterwards nothing that names it can be applied any more. */
static err_t s_begin_session(ctx_t *ctx, etcd_t *etcd, const session_t *old, session_t *ret)
{
    if (old->lease)
        TRY(etcd_revoke(ctx, etcd, old->lease));
    session_t fresh = { .number = old->number + 1, .kept_ms = clock_mono_ms() };
    TRY(etcd_grant(ctx, etcd, TTL_S, &fresh.lease));
    snprintf(fresh.incarnation, sizeof fresh.incarnation, "%016llx%016llx",
             (unsigned long long)rng_from_os(), (unsigned long long)rng_from_os());
    *ret = fresh;
    return OK;
}

static err_t s_renew(ctx_t *ctx, etcd_t *etcd, const session_t *old, session_t *ret)
{
    if (old->lease == 0)
        return s_begin_session(ctx, etcd, old, ret);
    session_t same = *old;
    same.kept_ms = clock_mono_ms();
    err_t err = etcd_keep(ctx, etcd, old->lease);
    if (err == OK)
        *ret = same;
    if (err != ERR_KEY_NOT_FOUND)
        return err;
    ctx_clear(ctx);
    return s_begin_session(ctx, etcd, old, ret);
}

/* The session, its lease renewed lately.  `lost` is the number of one that is
 * known to have ended; 0: none. */
static err_t s_session(ctx_t *ctx, etcd_t *etcd, uint64_t lost, session_t *ret)
{
    etcd_txns_t *self = etcd->txns;
    pthread_mutex_lock(&self->lock);
    while (self->renewing && s_wait(ctx, self))
        continue;
    session_t now = self->session;
    bool ended = now.number == lost;            /* also before the first one */
    bool fresh = !ended && clock_mono_ms() - now.kept_ms < KEEP_MS;
    bool mine = !fresh && !self->renewing;
    self->renewing |= mine;
    pthread_mutex_unlock(&self->lock);
    if (!fresh && !mine)
        return ctx_fail(ctx, ERR_TIMEOUT, "waited too long for a lease of etcd");
    if (fresh) {
        *ret = now;
        return OK;
    }
    session_t next = now;
    err_t err = ended ? s_begin_session(ctx, etcd, &now, &next) : s_renew(ctx, etcd, &now, &next);
    pthread_mutex_lock(&self->lock);
    self->session = next;
    self->renewing = false;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    if (err == OK)
        *ret = next;
    return err;
}

/* --- slots ------------------------------------------------------------------ */

static void s_set_open(etcd_txns_t *self, slot_t *slot, bool open)
{
    pthread_mutex_lock(&self->lock);
    atomic_fetch_add(&self->n_open, (int)open - (int)slot->open);
    slot->open = open;
    pthread_mutex_unlock(&self->lock);
}

static slot_t *s_pick_slot(etcd_txns_t *self)
{
    slot_t *open = NULL;
    for (int i = 0; i < SLOTS; i++) {
        slot_t *slot = &self->slots[i];
        if (slot->busy)
            continue;
        if (!slot->open)
            return slot;
        open = slot;
    }
    return open;
}

/* Under a session that has ended nothing of the slot can be applied any more:
 * it starts over. */
static void s_join_session(etcd_txns_t *self, slot_t *slot, const session_t *session)
{
    bool ended = slot->session.number != session->number;
    slot->session = *session;
    if (!ended)
        return;
    slot->rev = 0;
    s_set_open(self, slot, false);
}

static void s_release(etcd_txns_t *self, slot_t *slot)
{
    pthread_mutex_lock(&self->lock);
    slot->busy = false;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static err_t s_take_slot(ctx_t *ctx, etcd_t *etcd, slot_t **ret)
{
    etcd_txns_t *self = etcd->txns;
    session_t session = {0};
    TRY(s_session(ctx, etcd, 0, &session));
    pthread_mutex_lock(&self->lock);
    slot_t *slot;
    while ((slot = s_pick_slot(self)) == NULL && s_wait(ctx, self))
        continue;
    if (slot)
        slot->busy = true;
    pthread_mutex_unlock(&self->lock);
    if (!slot)
        return ctx_fail(ctx, ERR_TIMEOUT, "%d transactions wait for etcd already", SLOTS);
    s_join_session(self, slot, &session);
    *ret = slot;
    return OK;
}

/* --- requests --------------------------------------------------------------- */

static void s_add_slot_key(buf_t *body, const etcd_txns_t *self, const slot_t *slot)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%d", slot->session.incarnation, slot->index);
    buf_add_str(body, "\"key\":");
    etcd_add_bytes(body, view_str(self->root), view_str(name));
}

static void s_add_slot_compare(buf_t *body, const etcd_txns_t *self, const slot_t *slot)
{
    buf_add_str(body, "{\"target\":\"MOD\",\"result\":\"EQUAL\",");
    s_add_slot_key(body, self, slot);
    buf_addf(body, ",\"mod_revision\":\"%lld\"}", (long long)slot->rev);
}

static void s_add_slot_put(buf_t *body, const etcd_txns_t *self, const slot_t *slot,
                           const char *mark)
{
    buf_add_str(body, "{\"request_put\":{");
    s_add_slot_key(body, self, slot);
    buf_add_str(body, ",\"value\":");
    etcd_add_bytes(body, view_str(mark), (view_t){0});
    buf_addf(body, ",\"lease\":\"%lld\"}}", (long long)slot->session.lease);
}

static void s_add_slot_read(buf_t *body, const etcd_txns_t *self, const slot_t *slot)
{
    buf_add_str(body, "],\"failure\":[{\"request_range\":{");
    s_add_slot_key(body, self, slot);
    buf_add_str(body, "}}]}");
}

static void s_add_compare(buf_t *body, const etcd_t *etcd, const meta_cmp_t *cmp)
{
    buf_add_str(body, "{");
    etcd_add_range(body, etcd->root, cmp->key, false);
    switch (cmp->kind) {
    case META_IF_ABSENT:
        buf_add_str(body, ",\"target\":\"CREATE\",\"result\":\"EQUAL\","
                    "\"create_revision\":\"0\"");
        break;
    case META_IF_PRESENT:
        buf_add_str(body, ",\"target\":\"CREATE\",\"result\":\"GREATER\","
                    "\"create_revision\":\"0\"");
        break;
    case META_IF_MOD_REV:
        buf_addf(body, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%lld\"",
                 (long long)cmp->rev);
        break;
    case META_IF_CREATE_REV:
        buf_addf(body, ",\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"%lld\"",
                 (long long)cmp->rev);
        break;
    case META_IF_VALUE:
        buf_add_str(body, ",\"target\":\"VALUE\",\"result\":\"EQUAL\",\"value\":");
        etcd_add_bytes(body, cmp->value, (view_t){0});
        break;
    }
    buf_add_str(body, "}");
}

static void s_add_op(buf_t *body, const etcd_t *etcd, const meta_op_t *op)
{
    if (op->kind == META_PUT) {
        buf_add_str(body, "{\"request_put\":{");
        etcd_add_range(body, etcd->root, op->key, false);
        buf_add_str(body, ",\"value\":");
        etcd_add_bytes(body, op->value, (view_t){0});
        if (op->lease)
            buf_addf(body, ",\"lease\":\"%lld\"", (long long)op->lease);
    } else {
        buf_add_str(body, "{\"request_delete_range\":{");
        etcd_add_range(body, etcd->root, op->key, op->kind == META_DELETE_PREFIX);
    }
    buf_add_str(body, "}}");
}

static void s_add_compares(buf_t *body, const etcd_t *etcd, const meta_txn_t *txn)
{
    buf_add_str(body, "{\"compare\":[");
    for (size_t i = 0; i < txn->n_cmps; i++) {
        buf_add_str(body, i ? "," : "");
        s_add_compare(body, etcd, &txn->cmps[i]);
    }
}

static void s_add_txn(buf_t *body, const etcd_t *etcd, const meta_txn_t *txn, const slot_t *slot)
{
    s_add_compares(body, etcd, txn);
    buf_add_str(body, txn->n_cmps ? "," : "");
    s_add_slot_compare(body, etcd->txns, slot);
    buf_add_str(body, "],\"success\":[");
    for (size_t i = 0; i < txn->n_ops; i++) {
        s_add_op(body, etcd, &txn->ops[i]);
        buf_add_str(body, ",");
    }
    s_add_slot_put(body, etcd->txns, slot, slot->mark);
    s_add_slot_read(body, etcd->txns, slot);
}

static void s_add_fence(buf_t *body, const etcd_t *etcd, const slot_t *slot, const char *mark)
{
    buf_add_str(body, "{\"compare\":[");
    s_add_slot_compare(body, etcd->txns, slot);
    buf_add_str(body, "],\"success\":[");
    s_add_slot_put(body, etcd->txns, slot, mark);
    s_add_slot_read(body, etcd->txns, slot);
}

/* --- answers ---------------------------------------------------------------- */

static int64_t s_header_rev(const json_t *answer)
{
    return etcd_int(json_object_get(answer, "header"), "revision");
}

static bool s_succeeded(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "succeeded"));
}

/* The slot as read by an "else" branch; false when its key is absent. */
static err_t s_read_slot(ctx_t *ctx, const json_t *answer, bool *ret_there, meta_item_t *ret)
{
    const json_t *first = json_array_get(json_object_get(answer, "responses"), 0);
    const json_t *range = json_object_get(first, "response_range");
    const json_t *kv = json_array_get(json_object_get(range, "kvs"), 0);
    *ret_there = kv != NULL;
    return kv ? etcd_read_item(ctx, kv, 0, ret) : OK;
}

/* T's or F's "else" branch: what became of T?  Moves slot->rev along. */
static err_t s_read_else(ctx_t *ctx, const json_t *answer, slot_t *slot, fate_t *ret_fate,
                         int64_t *ret_rev)
{
    bool there = false;
    meta_item_t item = {0};
    TRY(s_read_slot(ctx, answer, &there, &item));
    *ret_rev = s_header_rev(answer);
    if (!there) {
        *ret_fate = slot->rev == 0 ? REFUSED : MARK_LOST;
    } else if (view_eq(item.value, view_str(slot->mark))) {
        *ret_fate = APPLIED;
        *ret_rev = item.mod_rev;
    } else {
        *ret_fate = item.mod_rev == slot->rev ? REFUSED : NOT_APPLIED;
    }
    if (there)
        slot->rev = item.mod_rev;
    return OK;
}

/* --- settling --------------------------------------------------------------- */

static err_t s_fence_once(ctx_t *ctx, etcd_t *etcd, slot_t *slot, const char *mark,
                          fate_t *ret_fate, int64_t *ret_rev)
{
    buf_scoped body;
    buf_init(&body, 0);
    s_add_fence(&body, etcd, slot, mark);
    json_auto_t *answer = NULL;
    TRY(etcd_http_try(ctx, etcd->http, "/v3/kv/txn", &body, &answer));
    if (s_succeeded(answer)) {
        slot->rev = s_header_rev(answer);
        *ret_fate = NOT_APPLIED;
        return OK;
    }
    TRY(s_read_else(ctx, answer, slot, ret_fate, ret_rev));
    if (*ret_fate == REFUSED)
        *ret_fate = MARK_LOST;      /* "not at r", and yet it is: conclude nothing */
    return OK;
}

/* The mark is gone, so the session has ended, whoever ended it.  Beginning the
 * next one closes what this one left open; if that fails now, it is tried again
 * with the next call. */
static void s_end_session(ctx_t *ctx, etcd_t *etcd, const slot_t *slot)
{
    session_t next = {0};
    if (s_session(ctx, etcd, slot->session.number, &next) != OK)
        log_event(LOG_DEBUG, "meta_session_lost", "why=\"%s\"", ctx->text);
    ctx_fail(ctx, ERR_OUTCOME_UNKNOWN, "the lease of this writer's marks has ended");
}

static err_t s_unknown(ctx_t *ctx)
{
    char why[CTX_TEXT_BYTES / 2];
    snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1,
             ctx->err == OK ? "the deadline passed" : ctx->text);
    return ctx_fail(ctx, ERR_OUTCOME_UNKNOWN,
                    "a metadata write was sent, and it is not known whether it happened: %s", why);
}

/* Learn what became of the slot's transaction.  ERR_OUTCOME_UNKNOWN when that
 * is impossible, now or (session ended) for ever. */
static err_t s_settle(ctx_t *ctx, etcd_t *etcd, slot_t *slot, fate_t *ret_fate, int64_t *ret_rev)
{
    char mark[24];
    snprintf(mark, sizeof mark, "f%llu", (unsigned long long)++etcd->txns->next_mark);
    int64_t pause_ms = 0;
    while (ctx_left_ms(ctx) > 0 && !atomic_load(&ctx->cancelled)) {
        session_t session = slot->session;
        if (clock_mono_ms() - session.kept_ms > KEEP_MS &&
            s_session(ctx, etcd, 0, &session) == OK && session.number == slot->session.number)
            slot->session = session;
        err_t err = s_fence_once(ctx, etcd, slot, mark, ret_fate, ret_rev);
        if (err == OK && *ret_fate != MARK_LOST)
            return OK;
        if (err == OK || err == ERR_KEY_NOT_FOUND)
            s_end_session(ctx, etcd, slot);
        if (err != ERR_NETWORK && err != ERR_OUTCOME_UNKNOWN)
            break;
        if (!etcd_http_pause(ctx, etcd->http, &pause_ms))
            break;
    }
    return s_unknown(ctx);
}

/* Close what an earlier transaction left open: by its mark, or because its
 * session has ended and nothing of it can be applied any more. */
static err_t s_settle_slot(ctx_t *ctx, etcd_t *etcd, slot_t *slot)
{
    fate_t fate;
    int64_t rev;
    err_t err = s_settle(ctx, etcd, slot, &fate, &rev);
    pthread_mutex_lock(&etcd->txns->lock);
    session_t now = etcd->txns->session;
    pthread_mutex_unlock(&etcd->txns->lock);
    if (now.number != slot->session.number)
        s_join_session(etcd->txns, slot, &now);
    else if (err != OK)
        return ctx_fail(ctx, ERR_TIMEOUT, "an earlier metadata write is still open");
    else
        s_set_open(etcd->txns, slot, false);
    ctx_clear(ctx);
    return OK;
}

/* A free slot that is open; waits for one that somebody is settling.  *ret NULL: none left. */
static err_t s_take_open(ctx_t *ctx, etcd_txns_t *self, slot_t **ret)
{
    pthread_mutex_lock(&self->lock);
    bool any = true, in_time = true;
    slot_t *slot = NULL;
    while (!slot && any && in_time) {
        any = false;
        for (int i = 0; i < SLOTS && !slot; i++) {
            any |= self->slots[i].open;
            if (self->slots[i].open && !self->slots[i].busy)
                slot = &self->slots[i];
        }
        if (!slot && any)
            in_time = s_wait(ctx, self);
    }
    if (slot)
        slot->busy = true;
    pthread_mutex_unlock(&self->lock);
    *ret = slot;
    return in_time ? OK : ctx_fail(ctx, ERR_TIMEOUT, "an earlier metadata write is still open");
}

err_t etcd_txns_settle(ctx_t *ctx, etcd_t *etcd)
{
    etcd_txns_t *self = etcd->txns;
    while (atomic_load(&self->n_open) > 0) {
        session_t session = {0};
        TRY(s_session(ctx, etcd, 0, &session));
        slot_t *slot = NULL;
        TRY(s_take_open(ctx, self, &slot));
        if (!slot)
            return OK;
        s_join_session(self, slot, &session);
        err_t err = slot->open ? s_settle_slot(ctx, etcd, slot) : OK;
        s_release(self, slot);
        TRY(err);
    }
    return OK;
}

/* --- transactions ----------------------------------------------------------- */

/* A lease that T names is gone, so nothing was written: one of the caller's, or ours? */
static err_t s_callers_lease_gone(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, bool *ret_gone)
{
    *ret_gone = false;
    for (size_t i = 0; i < txn->n_ops && !*ret_gone; i++) {
        if (!txn->ops[i].lease)
            continue;
        buf_scoped body;
        buf_init(&body, 0);
        buf_addf(&body, "{\"ID\":\"%lld\"}", (long long)txn->ops[i].lease);
        json_auto_t *answer = NULL;
        TRY(etcd_http_ask(ctx, etcd->http, "/v3/lease/timetolive", &body, &answer));
        *ret_gone = etcd_int(answer, "TTL") <= 0;
    }
    return OK;
}

static err_t s_replace_lease(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, slot_t *slot)
{
    bool gone = false;
    TRY(s_callers_lease_gone(ctx, etcd, txn, &gone));
    if (gone)
        return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "a lease of the metadata transaction is gone");
    session_t session = {0};
    TRY(s_session(ctx, etcd, slot->session.number, &session));
    s_join_session(etcd->txns, slot, &session);
    return OK;
}

/* Send T once.  OK: *ret_fate tells. */
static err_t s_send(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, slot_t *slot,
                    fate_t *ret_fate, int64_t *ret_rev)
{
    snprintf(slot->mark, sizeof slot->mark, "t%llu", (unsigned long long)++etcd->txns->next_mark);
    buf_scoped body;
    buf_init(&body, 0);
    s_add_txn(&body, etcd, txn, slot);
    json_auto_t *answer = NULL;
    TRY(etcd_http_try(ctx, etcd->http, "/v3/kv/txn", &body, &answer));
    if (!s_succeeded(answer))
        return s_read_else(ctx, answer, slot, ret_fate, ret_rev);
    *ret_fate = APPLIED;
    *ret_rev = slot->rev = s_header_rev(answer);
    return OK;
}

/* One round: send, and settle if need be.  OK: *ret_fate is certain. */
static err_t s_round(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, slot_t *slot,
                     fate_t *ret_fate, int64_t *ret_rev)
{
    err_t err = s_send(ctx, etcd, txn, slot, ret_fate, ret_rev);
    if (err == OK && *ret_fate == MARK_LOST)
        s_end_session(ctx, etcd, slot);
    if (err == ERR_MALFORMED || (err == OK && *ret_fate == MARK_LOST))
        return s_unknown(ctx);
    if (err == ERR_OUTCOME_UNKNOWN)
        return s_settle(ctx, etcd, slot, ret_fate, ret_rev);
    if (err == ERR_KEY_NOT_FOUND) {
        ctx_clear(ctx);
        *ret_fate = NOT_APPLIED;
        return s_replace_lease(ctx, etcd, txn, slot);
    }
    return err;
}

static err_t s_write(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, slot_t *slot,
                     meta_txn_result_t *ret)
{
    int64_t pause_ms = 0;
    for (;;) {
        fate_t fate = NOT_APPLIED;
        int64_t rev = 0;
        err_t err = s_round(ctx, etcd, txn, slot, &fate, &rev);
        if (err != OK && err != ERR_NETWORK)
            return err;
        if (err == OK && fate != NOT_APPLIED) {
            ctx_clear(ctx);
            *ret = (meta_txn_result_t){ .applied = fate == APPLIED, .rev = rev };
            return OK;
        }
        if (!etcd_http_pause(ctx, etcd->http, &pause_ms))
            return err == OK ? ctx_fail(ctx, ERR_TIMEOUT, "no time left to write metadata again")
                             : etcd_http_give_up(ctx, etcd->http, err);
    }
}

/* Only compares: a question, with a read so that etcd answers it linearizably. */
static err_t s_question(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, meta_txn_result_t *ret)
{
    TRY(etcd_txns_settle(ctx, etcd));
    buf_scoped body;
    buf_init(&body, 0);
    s_add_compares(&body, etcd, txn);
    buf_add_str(&body, "],\"success\":[{\"request_range\":{\"count_only\":true,");
    etcd_add_range(&body, etcd->root, txn->cmps[0].key, false);
    buf_add_str(&body, "}}]}");
    json_auto_t *answer = NULL;
    TRY(etcd_http_ask(ctx, etcd->http, "/v3/kv/txn", &body, &answer));
    *ret = (meta_txn_result_t){ .applied = s_succeeded(answer), .rev = s_header_rev(answer) };
    return OK;
}

err_t etcd_txn(ctx_t *ctx, etcd_t *etcd, const meta_txn_t *txn, meta_txn_result_t *ret)
{
    if (txn->n_ops == 0)
        return s_question(ctx, etcd, txn, ret);
    slot_t *slot = NULL;
    TRY(s_take_slot(ctx, etcd, &slot));
    err_t err = slot->open ? s_settle_slot(ctx, etcd, slot) : OK;
    if (err == OK)
        err = s_write(ctx, etcd, txn, slot, ret);
    if (err == ERR_OUTCOME_UNKNOWN)
        s_set_open(etcd->txns, slot, true);
    s_release(etcd->txns, slot);
    return err;
}

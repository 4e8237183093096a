/* sim_meta - metadata of the simulated world: the memory driver behind latencies, cuts and
 * lost answers, and a look at every write whether its writer had the right to it */
#include "core/base/limits.h"
#include "core/node/member.h"
#include "core/wire/pb.h"
#include "tests/support/sim_int.h"

static void s_on_change(void *arg, const meta_change_t *changes, size_t n)
{
    follow_t *follow = arg;
    sim_t *self = follow->sim;
    int64_t after = sim_latency(self);
    if (self->now_us + after < follow->last_us)
        after = follow->last_us - self->now_us;
    item_t *item = sim_item(self, I_EVENT, follow->node, after);
    follow->last_us = item->at_us;
    item->generation = follow->generation;
    item->ev = (event_t){ .kind = EV_WATCH, .cookie = follow->cookie };
    meta_change_t *copy = ctx_new(&item->mem, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = changes[i];
        copy[i].item.key = copy[i].item.key ? ctx_strdup(&item->mem, copy[i].item.key) : NULL;
        check(ctx_copy(&item->mem, copy[i].item.value, &copy[i].item.value) == OK);
    }
    item->ev.watch.changes = copy;
    item->ev.watch.n = n;
    sim_push(self, item);
}

static bool s_starts(const char *key, const char *prefix)
{
    return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* Does a write of this node need the election's guard, and does it hold the key now? */
static void s_check_guard(sim_t *self, uint64_t incarnation, const meta_txn_t *txn)
{
    bool guarded_key = false;
    for (size_t i = 0; i < txn->n_ops; i++)
        guarded_key |= !s_starts(txn->ops[i].key, MEMBER_SESSIONS) &&
                       !s_starts(txn->ops[i].key, MEMBER_LEADER_ROOT) &&
                       !s_starts(txn->ops[i].key, "owner/");    /* a data node's, by compare */
    if (!guarded_key)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t item = {0};
    Elanus__Leader *leader = NULL;
    bool holds = meta_get(&ctx, self->meta, MEMBER_LEADER_KEY, &item) == OK &&
                 PB_UNPACK(&ctx, elanus__leader, item.value, &leader) == OK &&
                 leader->info->incarnation == incarnation;
    if (!holds)
        self->unguarded++;
    ctx_fini(&ctx);
}

err_t sim_meta_txn(sim_t *self, uint64_t incarnation, ctx_t *ctx, meta_txn_t txn,
                   meta_txn_result_t *ret)
{
    size_t kept = 0;
    meta_cmp_t cmps[LIMIT_META_TXN_OPS];
    for (size_t i = 0; i < txn.n_cmps; i++) {
        bool guard = strcmp(txn.cmps[i].key, MEMBER_LEADER_KEY) == 0 &&
                     strcmp(txn.ops[0].key, MEMBER_LEADER_KEY) != 0;
        check(kept < ARRAY_LEN(cmps));
        if (!(self->options.strip_guards && guard))
            cmps[kept++] = txn.cmps[i];
    }
    txn.cmps = cmps;
    txn.n_cmps = kept;
    meta_txn_result_t result = {0};
    TRY(meta_txn(ctx, self->meta, &txn, &result));
    if (result.applied)
        s_check_guard(self, incarnation, &txn);
    *ret = result;
    return OK;
}

static err_t s_run_op(sim_t *self, item_t *item, ctx_t *ctx, event_t *ev)
{
    const action_t *ask = &item->ask;
    switch (ask->op) {
    case META_GET:    return meta_get(ctx, self->meta, ask->key, &ev->meta.item);
    case META_LIST:   return meta_list(ctx, self->meta, ask->key, &ev->meta.items);
    case META_TXN:    return sim_meta_txn(self, item->incarnation, ctx, ask->txn, &ev->meta.txn);
    case META_GRANT:  return meta_lease_grant(ctx, self->meta, ask->ttl_ms, &ev->meta.lease);
    case META_KEEP:   return meta_lease_keep(ctx, self->meta, ask->lease);
    case META_REVOKE: return meta_lease_revoke(ctx, self->meta, ask->lease);
    case META_WATCH:  break;
    }
    return OK;
}

static void s_watch(sim_t *self, follow_t *follow)
{
    ctx_t ctx;
    ctx_init(&ctx);
    check(meta_watch(&ctx, self->meta, follow->prefix, s_on_change, follow, &follow->watch) == OK);
    ctx_fini(&ctx);
}

static void s_run_watch(sim_t *self, item_t *item)
{
    sim_node_t *node = &self->nodes[item->node];
    follow_t *follow = mem_new(sizeof *follow);
    *follow = (follow_t){ .sim = self, .node = item->node, .generation = node->generation,
                          .cookie = item->ask.cookie, .prefix = mem_strdup(item->ask.key) };
    vec_push(&node->follows, &follow);
    s_watch(self, follow);
}

void sim_meta_unfollow(follow_t *follow)
{
    meta_unwatch(&follow->watch);
    mem_free(follow->prefix);
    mem_free(follow);
}

void sim_relist(sim_t *self, int n)
{
    sim_note(self, "relist", n, 0);
    for (size_t i = 0; i < self->nodes[n].follows.len; i++) {
        follow_t *follow = *(follow_t **)vec_at(&self->nodes[n].follows, i);
        meta_unwatch(&follow->watch);
        s_watch(self, follow);
    }
}

void sim_meta_run(sim_t *self, item_t *item)
{
    bool cut = self->nodes[item->node].meta_cut;
    if (item->ask.op == META_WATCH) {
        if (cut) {                              /* the host tries again until it works */
            item->at_us = self->now_us + 500000;
            item->number = self->numbers++;
            sim_push(self, item);
            return;
        }
        s_run_watch(self, item);
        sim_item_free(item);
        return;
    }
    if (self->options.meta_slow > 0 && !item->arrived &&
        rng_chance(&self->rng, self->options.meta_slow)) {
        item->arrived = true;
        item->at_us = self->now_us + (int64_t)rng_below(&self->rng, 2000000);
        item->number = self->numbers++;
        sim_push(self, item);
        return;
    }
    item_t *back = sim_item(self, I_EVENT, item->node, sim_latency(self));
    back->ev = (event_t){ .kind = EV_META, .cookie = item->ask.cookie };
    bool lost = rng_chance(&self->rng, self->options.meta_lost);
    bool happens = !cut && (!lost || rng_chance(&self->rng, 0.5));
    if (happens)
        back->ev.err = s_run_op(self, item, &back->mem, &back->ev);
    if (cut || lost) {
        back->at_us += META_TIMEOUT_MS * 1000;
        back->ev.err = item->ask.op == META_TXN && lost ? ERR_OUTCOME_UNKNOWN : ERR_META;
    }
    back->ev.text = err_text(back->ev.err);
    sim_push(self, back);
    sim_item_free(item);
}

/* Leases end inside metadata calls, so there must be one now and then. */
void sim_meta_tick(sim_t *self)
{
    if (self->now_us - self->ticked_us < TICK_MS * 1000)
        return;
    self->ticked_us = self->now_us;
    ctx_t ctx;
    ctx_init(&ctx);
    meta_item_t none;
    check(meta_get(&ctx, self->meta, "tick", &none) == ERR_KEY_NOT_FOUND);
    ctx_fini(&ctx);
}

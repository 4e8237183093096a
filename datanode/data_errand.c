/* data_errand - jobs and guarded transactions, one after the other; see data_keep.h
 *
 * A transaction whose answer was lost is read back: the keys of one errand are nobody
 * else's meanwhile, and what it writes differs from what was there, so the first of them
 * tells.  A store that cannot be asked at the moment is asked again later; until then
 * nothing that depends on the answer goes on.
 */
#include "datanode/data_keep.h"

#include <inttypes.h>

#include "core/wire/pb.h"
#include "datanode/data_planted.h"

enum { READ_AGAIN_MS = 500 };

errand_t *errand_new(data_node_t *node, keeper_t *keeper)
{
    errand_t *self = mem_new(sizeof *self);
    self->node = node;
    self->keeper = keeper;
    self->began_us = metrics_began(node->count.to);
    ctx_init(&self->memory);
    vec_init(&self->segments, sizeof(uint64_t));
    if (keeper)
        keeper->users++;
    vec_push(&persist_of(node)->errands, &self);
    return self;
}

static void s_free(errand_t *self)
{
    flush_job_destroy(&self->flush);
    delta_job_destroy(&self->deltas);
    merge_job_destroy(&self->merge);
    gc_sweep_destroy(&self->sweep);
    vec_fini(&self->segments);
    mem_free(self->vchannel);
    ctx_fini(&self->memory);
    mem_free(self);
}

void errand_end(errand_t *errand)
{
    vec_t *all = &persist_of(errand->node)->errands;
    for (size_t i = 0; i < all->len; i++)
        if (*(errand_t **)vec_at(all, i) == errand) {
            vec_swap_remove(all, i);
            break;
        }
    keeper_t *keeper = errand->keeper;
    s_free(errand);
    if (keeper)
        keeper_release(keeper);
}

/* Their keepers go with the node, too. */
void errands_end(data_node_t *node)
{
    vec_t *all = &persist_of(node)->errands;
    for (size_t i = 0; i < all->len; i++)
        s_free(*(errand_t **)vec_at(all, i));
    vec_fini(all);
}

static void s_back(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    errand_t *self = arg;
    self->then(self, ev->err, ev, act);
}

void errand_job_named(errand_t *errand, job_fn *fn, const char *name, void *arg, errand_fn *then,
                      const event_t *ev, actions_t *act)
{
    errand->then = then;
    errand->begun_ms = ev->now_ms;
    act_job_named(act, fn, name, arg,
                  wait_once(errand->node->member.waits, act, s_back, errand));
}

bool errand_may_name(const errand_t *errand, const event_t *ev)
{
    int64_t tolerance_ms = errand->node->options->gc_missing_ms;
    return !errand->keeper->closed &&
           (tolerance_ms == 0 || ev->now_ms - errand->begun_ms <= tolerance_ms / 2);
}

/* --- transactions ------------------------------------------ */

/* The node's own picture shows it before the watch does. */
static void s_show(errand_t *self, int64_t rev, const event_t *ev)
{
    for (size_t i = 0; i < self->n_ops; i++) {
        const meta_op_t *op = &self->ops[i];
        if (strncmp(op->key, data_seals_root(), strlen(data_seals_root())) == 0)
            continue;                           /* no part of that picture */
        const view_t *value = op->kind == META_PUT ? &op->value : NULL;
        if (segments_put(self->node->segments, ev->ctx, op->key, value, rev) != OK)
            log_event(LOG_ERROR, "record_damaged", "key=%s why=\"%s\"", op->key, ev->ctx->text);
    }
}

static void s_read(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    errand_t *self = arg;
    const meta_op_t *op = &self->ops[0];
    bool there = ev->err == OK, known = there || ev->err == ERR_KEY_NOT_FOUND;
    if (!known) {
        self->read_at_ms = ev->now_ms + READ_AGAIN_MS;
        return;
    }
    bool written = op->kind == META_PUT ? there && view_eq(ev->meta.item.value, op->value) : !there;
    if (written && there)
        s_show(self, ev->meta.item.mod_rev, ev);
    self->then(self, written ? OK : ERR_META, ev, act);
}

static void s_read_back(errand_t *self, actions_t *act)
{
    self->read_at_ms = 0;
    act_meta_get(act, self->ops[0].key, wait_once(self->node->member.waits, act, s_read, self));
}

static void s_lost(errand_t *self, const event_t *ev, actions_t *act)
{
    keeper_t *keeper = self->keeper;
    if (!keeper->closed)
        data_channel_lost(keeper->channel, ev, act);
    self->then(self, ERR_MOVED, ev, act);
}

static void s_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node;
    errand_t *self = arg;
    if (ev->err == ERR_OUTCOME_UNKNOWN || ev->err == ERR_TIMEOUT) {
        s_read_back(self, act);
    } else if (ev->err != OK) {
        self->then(self, ev->err, ev, act);
    } else if (!ev->meta.txn.applied) {
        s_lost(self, ev, act);
    } else {
        s_show(self, ev->meta.txn.rev, ev);
        self->then(self, OK, ev, act);
    }
}

void errand_commit(errand_t *errand, const meta_op_t *ops, size_t n_ops, errand_fn *then,
                   const event_t *ev, actions_t *act)
{
    check(n_ops > 0 && n_ops < LIMIT_META_TXN_OPS && !errand->keeper->closed);
    meta_cmp_t guard = data_channel_guard(errand->keeper->channel, ev->ctx);
    errand->ops = ctx_new(&errand->memory, n_ops * sizeof *ops);
    memcpy(errand->ops, ops, n_ops * sizeof *ops);
    errand->n_ops = n_ops;
    errand->then = then;
    meta_txn_t txn = { .cmps = &guard, .n_cmps = PLANTED(BUG_NO_GUARD) ? 0 : 1,
                       .ops = errand->ops, .n_ops = n_ops };
    act_meta_txn(act, &txn, wait_once(errand->node->member.waits, act, s_answered, errand));
}

meta_op_t errand_put_segment(errand_t *errand, const Elanus__Segment *record)
{
    return (meta_op_t){ .kind = META_PUT,
                        .key = segments_key(&errand->memory, record->collection, record->id),
                        .value = pb_pack(&errand->memory, record) };
}

void errands_due(data_node_t *node, const event_t *ev, actions_t *act)
{
    const vec_t *all = &persist_of(node)->errands;
    for (size_t i = 0; i < all->len; i++) {
        errand_t *errand = *(errand_t **)vec_at(all, i);
        if (errand->read_at_ms && errand->read_at_ms <= ev->now_ms)
            s_read_back(errand, act);
    }
}

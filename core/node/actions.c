/* actions - the list a step leaves behind; everything it is given is copied */
#include <stdio.h>

#include "core/node/node.h"

void actions_init(actions_t *act)
{
    *act = (actions_t){ .next_cookie = 1 };
    vec_init(&act->list, sizeof(action_t));
    ctx_init(&act->memory);
}

void actions_reset(actions_t *act)
{
    act->list.len = 0;
    ctx_fini(&act->memory);
    act->trace = (trace_t){0};
}

void actions_fini(actions_t *act)
{
    vec_fini(&act->list);
    ctx_fini(&act->memory);
}

trace_t act_trace(actions_t *act, trace_t trace)
{
    trace_t before = act->trace;
    act->trace = trace;
    return before;
}

uint64_t act_cookie(actions_t *act)
{
    return act->next_cookie++;
}

static void s_push(actions_t *act, action_t action)
{
    action.trace = act->trace;
    vec_push(&act->list, &action);
}

static char *s_text(actions_t *act, const char *text)
{
    return ctx_strdup(&act->memory, text);
}

static view_t s_bytes(actions_t *act, view_t bytes)
{
    if (bytes.len == 0)
        return view_of("", 0);
    void *copy = ctx_new(&act->memory, bytes.len);
    return view_of(memcpy(copy, bytes.ptr, bytes.len), bytes.len);
}

void act_call(actions_t *act, const char *endpoint, uint32_t method, view_t payload,
              int64_t timeout_ms, uint64_t cookie)
{
    check(timeout_ms > 0);
    s_push(act, (action_t){
        .kind = ACT_CALL, .cookie = cookie, .endpoint = s_text(act, endpoint),
        .call = { .method = method, .payload = s_bytes(act, payload), .timeout_ms = timeout_ms },
    });
}

void act_reply(actions_t *act, net_from_t from, view_t payload)
{
    s_push(act, (action_t){
        .kind = ACT_REPLY, .from = from, .payload = s_bytes(act, payload), .text = "",
    });
}

void act_cancel(actions_t *act, uint64_t cookie)
{
    s_push(act, (action_t){ .kind = ACT_CANCEL, .cookie = cookie });
}

void act_call_moved(actions_t *act, const char *endpoint, uint32_t method, buf_t *payload,
                    int64_t timeout_ms, uint64_t cookie)
{
    check(timeout_ms > 0);
    s_push(act, (action_t){
        .kind = ACT_CALL, .cookie = cookie, .endpoint = s_text(act, endpoint), .moved = true,
        .call = { .method = method, .payload = buf_view(payload), .timeout_ms = timeout_ms },
    });
    *payload = (buf_t){ .most_bytes = payload->most_bytes };
}

void act_reply_moved(actions_t *act, net_from_t from, buf_t *payload)
{
    s_push(act, (action_t){
        .kind = ACT_REPLY, .from = from, .payload = buf_view(payload), .text = "", .moved = true,
    });
    *payload = (buf_t){ .most_bytes = payload->most_bytes };
}

void act_refuse(actions_t *act, net_from_t from, err_t err, const char *format, ...)
{
    check(err != OK);
    char text[CTX_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s_push(act, (action_t){
        .kind = ACT_REPLY, .from = from, .err = err, .text = s_text(act, text),
        .payload = view_of("", 0),
    });
}

void act_dial(actions_t *act, const char *endpoint, uint64_t expect_id)
{
    s_push(act, (action_t){
        .kind = ACT_DIAL, .endpoint = s_text(act, endpoint), .expect_id = expect_id,
    });
}

void act_hang_up(actions_t *act, const char *endpoint)
{
    s_push(act, (action_t){ .kind = ACT_HANG_UP, .endpoint = s_text(act, endpoint) });
}

void act_timer(actions_t *act, uint32_t timer, int64_t after_ms)
{
    s_push(act, (action_t){ .kind = ACT_TIMER, .timer = timer, .after_ms = after_ms });
}

static void s_meta(actions_t *act, meta_request_t op, const char *key, uint64_t cookie)
{
    s_push(act, (action_t){
        .kind = ACT_META, .op = op, .key = s_text(act, key), .cookie = cookie,
    });
}

void act_meta_get(actions_t *act, const char *key, uint64_t cookie)
{
    s_meta(act, META_GET, key, cookie);
}

void act_meta_list(actions_t *act, const char *prefix, uint64_t cookie)
{
    s_meta(act, META_LIST, prefix, cookie);
}

void act_meta_watch(actions_t *act, const char *prefix, uint64_t cookie)
{
    s_meta(act, META_WATCH, prefix, cookie);
}

meta_txn_t act_copy_txn(ctx_t *ctx, const meta_txn_t *txn)
{
    meta_cmp_t *cmps = ctx_new(ctx, (txn->n_cmps + 1) * sizeof *cmps);
    meta_op_t *ops = ctx_new(ctx, (txn->n_ops + 1) * sizeof *ops);
    for (size_t i = 0; i < txn->n_cmps; i++) {
        cmps[i] = txn->cmps[i];
        cmps[i].key = ctx_strdup(ctx, cmps[i].key);
        check(ctx_copy(ctx, cmps[i].value, &cmps[i].value) == OK);
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        ops[i] = txn->ops[i];
        ops[i].key = ctx_strdup(ctx, ops[i].key);
        check(ctx_copy(ctx, ops[i].value, &ops[i].value) == OK);
    }
    return (meta_txn_t){ .cmps = cmps, .n_cmps = txn->n_cmps, .ops = ops, .n_ops = txn->n_ops };
}

void act_meta_txn(actions_t *act, const meta_txn_t *txn, uint64_t cookie)
{
    s_push(act, (action_t){
        .kind = ACT_META, .op = META_TXN, .key = "", .cookie = cookie,
        .txn = act_copy_txn(&act->memory, txn),
    });
}

void act_lease_grant(actions_t *act, int64_t ttl_ms, uint64_t cookie)
{
    s_push(act, (action_t){
        .kind = ACT_META, .op = META_GRANT, .key = "", .ttl_ms = ttl_ms, .cookie = cookie,
    });
}

static void s_lease(actions_t *act, meta_request_t op, int64_t lease, uint64_t cookie)
{
    s_push(act, (action_t){
        .kind = ACT_META, .op = op, .key = "", .lease = lease, .cookie = cookie,
    });
}

void act_lease_keep(actions_t *act, int64_t lease, uint64_t cookie)
{
    s_lease(act, META_KEEP, lease, cookie);
}

void act_lease_revoke(actions_t *act, int64_t lease, uint64_t cookie)
{
    s_lease(act, META_REVOKE, lease, cookie);
}

static void s_job(actions_t *act, action_t job)
{
    job.kind = ACT_JOB;
    s_push(act, job);
}

void act_job_named(actions_t *act, job_fn *fn, const char *name, void *arg, uint64_t cookie)
{
    s_job(act, (action_t){ .fn = fn, .name = name, .item = arg, .cookie = cookie });
}

void act_compute_named(actions_t *act, job_fn *fn, const char *name, void *arg, uint64_t cookie)
{
    s_job(act, (action_t){ .fn = fn, .name = name, .item = arg, .cookie = cookie,
                           .compute = true });
}

void act_item(actions_t *act, void *item)
{
    s_push(act, (action_t){ .kind = ACT_ITEM, .item = item });
}

void act_leave(actions_t *act, err_t err, const char *text)
{
    s_push(act, (action_t){ .kind = ACT_LEAVE, .err = err, .text = s_text(act, text) });
}

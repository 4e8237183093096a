/* query_delete - deletes on their way into sealed segments
 *
 *     runs:   first_run                              end
 *             │ kept for segments to come │ not yet in all of them │
 *             piece A applied ────────────────────────────────────►│
 *             piece B (just opened) ───►│
 *
 * Each piece has a number: runs below are in it.  What the owner tells is appended; a few keys are
 * applied on the spot, many by a job; a channel counts as caught up when every piece has all
 * runs.  A run may be applied twice, deaths only ever go down.
 *
 * A segment that is opened at the record R of metadata has every delete up to R's delta_ts in its
 * objects and takes the others from here.  So a run is dropped when it is behind the checkpoint
 * (then it is in the deltalogs of every segment it hits) and no piece is on its way.
 */
#include "querynode/query_planted.h"
#include "querynode/querynode_int.h"

enum {
    INLINE_KEYS = 1000,         /* keys times segments that do not block the node: about 1 ms */
    RETRY_MS = 100,
};

uint64_t query_runs_end(const query_channel_t *ch)
{
    return ch->first_run + ch->runs.len;
}

static query_run_t *s_run(const query_channel_t *ch, uint64_t number)
{
    return *(query_run_t **)vec_at(&ch->runs, (size_t)(number - ch->first_run));
}

/* --- reading ---------------------------------------------------------------------------------- */

static err_t s_read(ctx_t *ctx, const query_channel_t *ch, const Elanus__DeleteRun *told,
                    query_run_t **ret)
{
    query_run_t *run = mem_try(ctx, sizeof *run + told->pks.len);
    if (!run)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for deletes of %zu bytes", told->pks.len);
    memcpy(run->bytes, told->pks.data, told->pks.len);
    run->len = told->pks.len;
    run->ts = told->ts;
    run->partition = told->partition;
    size_t len = 0;
    err_t err = column_read(ctx, view_of(run->bytes, told->pks.len), &run->pks, &len);
    if (err == OK && run->pks.type != schema_pk(ch->coll->schema)->type)
        err = ctx_fail(ctx, ERR_CORRUPT, "deletes of %s have keys of another type than its "
                       "collection", ch->name);
    if (err != OK)
        mem_free(run);
    else
        *ret = run;
    return err;
}

err_t query_runs_add(ctx_t *ctx, query_channel_t *ch, Elanus__DeleteRun *const *told, size_t n)
{
    size_t before = ch->runs.len, bytes = 0;
    err_t err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        query_run_t *run = NULL;
        err = s_read(ctx, ch, told[i], &run);
        if (err == OK)
            vec_push(&ch->runs, &run);
        bytes += told[i]->pks.len;
    }
    for (; err != OK && ch->runs.len > before; vec_swap_remove(&ch->runs, ch->runs.len - 1))
        mem_free(*(query_run_t **)vec_at(&ch->runs, ch->runs.len - 1));
    if (err == OK) {
        ch->run_bytes += bytes;
        ch->node->count.run_bytes += bytes;
    }
    return err;
}

static void s_drop_first(query_channel_t *ch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        query_run_t *run = s_run(ch, ch->first_run + i);
        ch->run_bytes -= run->len;
        ch->node->count.run_bytes -= run->len;
        mem_free(run);
    }
    query_run_t **at = ch->runs.ptr;
    if (n)
        memmove(at, at + n, (ch->runs.len - n) * sizeof *at);
    ch->runs.len -= n;
    ch->first_run += n;
}

void query_runs_free(query_channel_t *ch)
{
    s_drop_first(ch, ch->runs.len);
}

/* As told, or as metadata shows it: a full buffer must hear of it without following. */
static uint64_t s_ckpt(const query_channel_t *ch)
{
    const Elanus__Checkpoint *ckpt = segments_ckpt(ch->node->segments, ch->pchannel, NULL);
    return ckpt && ckpt->ts > ch->ckpt_ts ? ckpt->ts : ch->ckpt_ts;
}

/* Every piece that is open has everything: then nobody will ask for what is behind the
 * checkpoint. */
void query_runs_trim(query_channel_t *ch)
{
    uint64_t ckpt_ts = ch->runs.len ? s_ckpt(ch) : 0;
    size_t n = 0;
    while (n < ch->runs.len && s_run(ch, ch->first_run + n)->ts <= ckpt_ts)
        n++;
    if (n == 0 || ch->applying || ch->resetting)
        return;
    if (query_copy_lacks(ch, &ch->growing))
        return;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); ) {
        const query_piece_t *piece = value;
        bool open = piece->sealed || piece->busy;       /* who opens one later finds deltalogs */
        if (open && (!piece->able || piece->applied < ch->first_run + n))
            return;
    }
    s_drop_first(ch, n);
}

/* --- applying --------------------------------------------------------------------------------- */

static bool s_hits(const query_piece_t *piece, const query_run_t *run)
{
    return run->ts > piece->delta_ts &&
           (run->partition < 0 || (uint64_t)run->partition == piece->partition);
}

static err_t s_apply_run(ctx_t *ctx, sealed_t *sealed, const query_run_t *run)
{
    uint64_t *ts = mem_try(ctx, run->pks.n * sizeof *ts);
    if (!ts)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu deletes", run->pks.n);
    for (size_t i = 0; i < run->pks.n; i++)
        ts[i] = run->ts;
    err_t err = sealed_delete(ctx, sealed, &run->pks, ts, NULL);
    mem_free(ts);
    return err;
}

/* Runs [piece->applied, end) into a piece that nobody else changes. */
static err_t s_apply(ctx_t *ctx, query_piece_t *piece, query_run_t *const *runs, uint64_t first,
                     uint64_t end)
{
    for (; piece->applied < end; piece->applied++) {
        const query_run_t *run = runs[piece->applied - first];
        bool planted = QUERY_PLANTED(QUERY_BUG_HANDOFF) && !piece->able;
        if (s_hits(piece, run) && !planted)
            TRY(s_apply_run(ctx, piece->sealed, run));
    }
    return OK;
}

static bool s_lacks(const query_channel_t *ch, const query_piece_t *piece)
{
    return piece->sealed && !piece->busy && piece->applied < query_runs_end(ch);
}

/* How many keys are to be looked for in all, about. */
static size_t s_cost(const query_channel_t *ch, const query_piece_t *piece)
{
    size_t n = 0;
    for (uint64_t i = piece->applied; i < query_runs_end(ch) && n <= INLINE_KEYS; i++)
        if (s_hits(piece, s_run(ch, i)))
            n += s_run(ch, i)->pks.n;
    return n;
}

static void s_fail(query_channel_t *ch, const char *why, const event_t *ev)
{
    static log_gate_t s_gate = { .per_second = 1 };
    log_gated(&s_gate, LOG_WARN, "deletes_not_applied", "channel=%s why=\"%s\"", ch->name, why);
    ch->apply_retry_ms = ev->now_ms + RETRY_MS;
    query_wake_at(ch->node, ch->apply_retry_ms);
}

static void s_apply_here(query_channel_t *ch, const event_t *ev)
{
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); )
        if (s_lacks(ch, value) && s_apply(ev->ctx, value, ch->runs.ptr, ch->first_run,
                                          query_runs_end(ch)) != OK)
            s_fail(ch, ev->ctx->text, ev);
}

/* On a compute thread: the pieces are busy, the runs stay. */
static err_t s_job(ctx_t *ctx, void *arg)
{
    query_work_t *work = arg;
    for (size_t i = 0; i < work->pieces.len; i++)
        TRY(s_apply(ctx, *(query_piece_t **)vec_at(&work->pieces, i), work->runs, work->first_run,
                    work->end_run));
    return OK;
}

static void s_applied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    query_node_t *self = node;
    query_work_t *work = arg;
    query_channel_t *ch = work->channel;
    (void)act;
    ch->applying = false;
    for (size_t i = 0; i < work->pieces.len; i++)
        (*(query_piece_t **)vec_at(&work->pieces, i))->busy = false;
    if (ev->err != OK)
        s_fail(ch, ev->text, ev);
    if (!ch->gone)
        query_dirty(ch->coll);
    query_work_free(self, work);
}

static void s_apply_there(query_channel_t *ch, actions_t *act)
{
    query_work_t *work = query_work_new(ch->node, ch);
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); )
        if (s_lacks(ch, value)) {
            ((query_piece_t *)value)->busy = true;
            vec_push(&work->pieces, &value);
        }
    work->first_run = ch->first_run;
    work->end_run = query_runs_end(ch);
    work->runs = mem_new(ch->runs.len * sizeof *work->runs);
    memcpy(work->runs, ch->runs.ptr, ch->runs.len * sizeof *work->runs);
    ch->applying = true;
    act_compute(act, s_job, work, wait_once(ch->node->member.waits, act, s_applied, work));
}

void query_runs_apply(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    if (ch->applying)
        return;
    if (ev->now_ms < ch->apply_retry_ms) {
        query_wake_at(ch->node, ch->apply_retry_ms);
        return;
    }
    if (query_copy_apply(ev->ctx, ch, &ch->growing) != OK ||
        query_copy_apply(ev->ctx, ch, &ch->next) != OK)
        s_fail(ch, ev->ctx->text, ev);
    size_t cost = 0;
    void *value = NULL;
    for (size_t at = 0; map_next(ch->pieces, &at, NULL, &value); )
        cost += s_lacks(ch, value) ? s_cost(ch, value) : 0;
    if (cost <= INLINE_KEYS)
        s_apply_here(ch, ev);
    else
        s_apply_there(ch, act);
}

/* wal_objects against a model: owners that come, go, and come back as zombies.
 *
 * One channel, a few owners that each believe the channel theirs: they append, put, check
 * the fence, acknowledge; takeovers begin and may be overtaken by others; puts land late and
 * overtake each other, lists lag, single calls fail.  The metadata is the model's: one epoch
 * and the seals.  Whoever becomes ACTIVE must replay every acknowledged entry behind the
 * checkpoint, each once, in order; what one owner replayed every later one must replay too;
 * nothing is ever replayed that was not appended.  Planted bugs show that the model would
 * notice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define WAL_PLANTED
#include "core/wal/wal_objects.c"

#include "core/base/fault.h"
#include "core/base/rng.h"
#include "core/store/store_int.h"

enum { OWNERS = 4, MOST = 600, STEPS = 120 };
enum { PLANT_ACK_UNCHECKED = 100, PLANT_CHECK_BEFORE_PUT };

static const char s_name[] = "by-dev-rootcoord-dml_0";

typedef enum { IDLE, CLAIMED, SURVEYED, ACTIVE } phase_t;

typedef struct owner {
    phase_t phase;
    uint64_t epoch;
    vec_t seals;                /* survey's result */
    wal_t *log;
    wal_batch_t batches[MOST];
    uint64_t ids[MOST];
    size_t n, acked;            /* batches appended, acknowledged */
} owner_t;

typedef struct model {
    rng_t rng;
    ctx_t ctx;
    store_t *store;
    store_driver_t late;        /* lists that miss what came last */
    const store_driver_t *real;
    owner_t owners[OWNERS + 1]; /* the last one comes in the middle of others' puts */
    uint64_t epoch;             /* owner/ */
    bool active;
    vec_t seals;                /* seal/, by epoch */
    wal_position_t ckpt;
    uint64_t truth[4096];       /* what was replayed or acknowledged, in order, behind ckpt */
    wal_position_t at[4096];
    size_t n_truth;
    uint64_t seen[4096];
    wal_position_t seen_at[4096];
    size_t n_seen;
    uint64_t next_id, next_ts;
    uint64_t appended;          /* ids below this exist */
    int plant;
    owner_t *putting;           /* whose commit is under way */
    int beside;                 /* commits of it within commits */
    const char *wrong;
} model_t;

static model_t *g_model;        /* for the driver's list, which knows no argument of ours */

static void s_wrong(model_t *m, const char *what)
{
    m->wrong = m->wrong ? m->wrong : what;
}

static err_t s_late_list(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                         size_t most, store_list_t *list)
{
    TRY(g_model->real->list(ctx, impl, prefix, after, most, list));
    size_t late = (size_t)rng_below(&g_model->rng, 4);
    list->n -= list->n < late ? list->n : late;
    return OK;
}

static void s_interrupt(model_t *m);
static void s_commit_beside(model_t *m);

/* While a put is on its way, somebody else may take the channel, and other puts of the same owner
 * may land before it. */
static err_t s_late_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    if (rng_chance(&g_model->rng, 0.05))
        s_interrupt(g_model);
    if (rng_chance(&g_model->rng, 0.4))
        s_commit_beside(g_model);
    if (rng_chance(&g_model->rng, 0.02))
        return ctx_fail(ctx, ERR_STORE, "the put is lost");
    return g_model->real->put(ctx, impl, key, parts);
}

static err_t s_see(ctx_t *ctx, void *arg, const wal_head_t *head, const wal_entry_t *entry)
{
    model_t *m = arg;
    (void)ctx;
    check(m->n_seen < ARRAY_LEN(m->seen));
    m->seen_at[m->n_seen] = head->link.at;
    m->seen[m->n_seen++] = entry->request[0];
    return OK;
}

static bool s_behind(wal_position_t at, wal_position_t ckpt)
{
    return at.epoch > ckpt.epoch || (at.epoch == ckpt.epoch && at.seq > ckpt.seq);
}

/* --- what an owner does -------------------------------------------------------------- */

static void s_forget(owner_t *o)
{
    wal_destroy(&o->log);
    for (size_t i = 0; i < o->n; i++)
        wal_batch_fini(&o->batches[i]);
    vec_fini(&o->seals);
    *o = (owner_t){0};
}

static void s_append_some(model_t *m, owner_t *o)
{
    for (size_t n = 1 + rng_below(&m->rng, 3); n > 0 && o->n < MOST; n--) {
        wal_batch_t *batch = &o->batches[o->n];
        wal_batch_init(batch, view_str(s_name));
        uint64_t id = ++m->next_id, floor = wal_max_ts(o->log);
        m->next_ts = (m->next_ts > floor ? m->next_ts : floor) + 1;
        wal_entry_t entry = { .kind = WAL_BARRIER, .timestamp = m->next_ts, .request = { id, 1 } };
        if (wal_batch_add(&m->ctx, batch, &entry) != OK ||
            wal_append(&m->ctx, o->log, batch) != OK) {
            wal_batch_fini(batch);
            return;
        }
        o->ids[o->n++] = id;
        m->appended = id;
    }
}

/* Acknowledge what is stored, if the fence lets us. */
static void s_ack(model_t *m, owner_t *o, wal_position_t frontier, bool owns)
{
    if (!owns && m->plant != PLANT_ACK_UNCHECKED)
        return;
    for (; o->acked < o->n && o->batches[o->acked].at.seq <= frontier.seq; o->acked++) {
        m->truth[m->n_truth] = o->ids[o->acked];
        m->at[m->n_truth++] = o->batches[o->acked].at;
    }
}

/* Its own put begins later than the one under way and ends before it. */
static void s_commit_beside(model_t *m)
{
    owner_t *o = m->putting;
    if (!o || m->beside >= WAL_PUTS_AT_ONCE - 1)
        return;
    m->beside++;
    ctx_t ctx;
    ctx_init(&ctx);
    s_append_some(m, o);
    if (wal_waiting(o->log) > 0 && wal_commit(&ctx, o->log) == OK)
        s_ack(m, o, wal_frontier(o->log), m->epoch == o->epoch);
    ctx_fini(&ctx);
    m->beside--;
}

static void s_commit_and_ack(model_t *m, owner_t *o)
{
    bool owned_before = m->epoch == o->epoch;
    if (rng_chance(&m->rng, 0.1))
        fault_arm((int)rng_below(&m->rng, 6));
    m->putting = o;
    err_t err = wal_commit(&m->ctx, o->log);
    m->putting = NULL;
    fault_disarm();
    ctx_clear(&m->ctx);
    bool owns = m->plant == PLANT_CHECK_BEFORE_PUT ? owned_before : m->epoch == o->epoch;
    s_ack(m, o, wal_frontier(o->log), owns);
    if (err != OK && err != ERR_MEMORY)         /* final: this owner gives the channel up */
        s_forget(o);
}

/* --- takeover -------------------------------------------------------------------------- */

static void s_claim(model_t *m, owner_t *o)
{
    s_forget(o);
    o->phase = CLAIMED;
    o->epoch = ++m->epoch;
    m->active = false;
    vec_init(&o->seals, sizeof(wal_seal_t));
}

static void s_survey(model_t *m, owner_t *o)
{
    if (rng_chance(&m->rng, 0.1))
        fault_arm((int)rng_below(&m->rng, 12));
    o->seals.len = 0;
    err_t err = wal_objects_survey(&m->ctx, m->store, view_str(s_name), o->epoch, m->ckpt,
                                   m->seals.ptr, m->seals.len, &o->seals);
    bool fired = fault_disarm();
    if (err == OK)
        o->phase = SURVEYED;
    else if (!fired && m->epoch == o->epoch)
        s_wrong(m, "a survey without a fault");
    ctx_clear(&m->ctx);
}

/* What is replayed must be what all before have seen, and perhaps more. */
static void s_compare(model_t *m)
{
    for (size_t i = 0; i < m->n_truth; i++) {
        if (i >= m->n_seen)
            s_wrong(m, "lost what was acknowledged");
        else if (m->seen[i] != m->truth[i])
            s_wrong(m, "another entry than was acknowledged or replayed before");
    }
    for (size_t i = 0; i < m->n_seen; i++)
        if (m->seen[i] > m->appended || (i && m->seen[i] == m->seen[i - 1]))
            s_wrong(m, "twice, or invented");
    for (size_t i = m->n_truth; i < m->n_seen; i++) {
        m->truth[i] = m->seen[i];
        m->at[i] = m->seen_at[i];
    }
    m->n_truth = m->n_seen > m->n_truth ? m->n_seen : m->n_truth;
}

/* T3: one transaction, refused when somebody else has claimed since. */
static void s_activate(model_t *m, owner_t *o)
{
    if (m->epoch != o->epoch) {
        s_forget(o);
        return;
    }
    for (size_t i = 0; i < o->seals.len; i++)
        vec_push(&m->seals, vec_at(&o->seals, i));
    m->active = true;
    o->phase = ACTIVE;
    m->n_seen = 0;
    wal_objects_options_t options = {
        .channel = view_str(s_name), .epoch = o->epoch, .seals = m->seals.ptr,
        .n_seals = m->seals.len, .ckpt = m->ckpt, .replay = s_see, .arg = m,
        .readers = rng_chance(&m->rng, 0.01) ? 3 : 1,
    };
    if (wal_objects_open(&m->ctx, m->store, &options, &o->log) != OK)
        s_wrong(m, m->ctx.text[0] ? "the open failed" : "?");
    else
        s_compare(m);
    if (!o->log)
        s_forget(o);
}

/* A checkpoint somewhere in what is acknowledged, by the owner, guarded. */
static void s_checkpoint(model_t *m, owner_t *o)
{
    if (m->epoch != o->epoch || m->n_truth == 0)
        return;
    size_t at = (size_t)rng_below(&m->rng, m->n_truth);
    m->ckpt = m->at[at];
    while (at < m->n_truth && !s_behind(m->at[at], m->ckpt))
        at++;
    memmove(m->truth, m->truth + at, (m->n_truth - at) * sizeof *m->truth);
    memmove(m->at, m->at + at, (m->n_truth - at) * sizeof *m->at);
    m->n_truth -= at;
    if (wal_truncate(&m->ctx, o->log, m->ckpt) != OK)
        s_wrong(m, "a truncation");
}

/* A whole takeover by somebody who is not putting. */
static void s_interrupt(model_t *m)
{
    owner_t *o = &m->owners[OWNERS];
    fault_disarm();
    s_claim(m, o);
    s_survey(m, o);
    if (o->phase == SURVEYED)
        s_activate(m, o);
}

static void s_step_model(model_t *m)
{
    owner_t *o = &m->owners[rng_below(&m->rng, OWNERS)];
    uint64_t dice = rng_below(&m->rng, 100);
    if (o->phase == IDLE || dice < 4) {
        if (dice < 30)
            s_claim(m, o);
    } else if (o->phase == CLAIMED) {
        s_survey(m, o);
    } else if (o->phase == SURVEYED) {
        s_activate(m, o);
    } else if (dice < 45) {
        s_append_some(m, o);
    } else if (dice < 92) {
        s_commit_and_ack(m, o);
    } else {
        s_checkpoint(m, o);
    }
}

static const char *s_episode(uint64_t seed, int plant, bool say)
{
    model_t *m = mem_new(sizeof *m);
    g_model = m;
    rng_seed(&m->rng, seed);
    ctx_init(&m->ctx);
    m->plant = plant;
    objects_planted = plant < PLANT_ACK_UNCHECKED ? plant : OBJECTS_BUG_NONE;
    m->store = store_memory_new();
    m->real = m->store->driver;
    m->late = *m->real;
    m->late.list = s_late_list;
    m->late.put = s_late_put;
    m->store->driver = &m->late;
    vec_init(&m->seals, sizeof(wal_seal_t));
    for (int step = 0; step < STEPS && !m->wrong; step++)
        s_step_model(m);
    const char *wrong = m->wrong;
    if (wrong && say)
        print_message("seed %llu: %s (%s)\n", (unsigned long long)seed, wrong, m->ctx.text);
    for (int i = 0; i <= OWNERS; i++)
        s_forget(&m->owners[i]);
    m->store->driver = m->real;
    store_destroy(&m->store);
    vec_fini(&m->seals);
    ctx_fini(&m->ctx);
    mem_free(m);
    objects_planted = OBJECTS_BUG_NONE;
    return wrong;
}

static void takeovers_lose_nothing(void **state)
{
    (void)state;
    const char *more = getenv("WAL_SEEDS");     /* for a longer run */
    uint64_t last = more ? strtoull(more, NULL, 10) : 1500;
    for (uint64_t seed = 1; seed <= last; seed++)
        assert_null(s_episode(seed, OBJECTS_BUG_NONE, true));
}

static void every_planted_bug_is_found(void **state)
{
    (void)state;
    const int plants[] = { OBJECTS_BUG_NO_PROBE, OBJECTS_BUG_PAST_SEAL, OBJECTS_BUG_GAP,
                           PLANT_ACK_UNCHECKED, PLANT_CHECK_BEFORE_PUT };
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        uint64_t seed = 1;
        while (seed <= 3000 && !s_episode(seed, plants[i], false))
            seed++;
        print_message("bug %d: found by seed %llu\n", plants[i], (unsigned long long)seed);
        assert_true(seed <= 3000);
    }
}

/* --- by hand ---------------------------------------------------------------------------- */

static wal_t *s_open(ctx_t *ctx, store_t *store, uint64_t epoch, const wal_seal_t *seals, size_t n)
{
    wal_t *log = NULL;
    wal_objects_options_t options = { .channel = view_str(s_name), .epoch = epoch, .seals = seals,
                                      .n_seals = n };
    assert_int_equal(wal_objects_open(ctx, store, &options, &log), OK);
    return log;
}

static void s_write(ctx_t *ctx, wal_t *log, wal_batch_t *batch, uint64_t ts)
{
    wal_batch_init(batch, view_str(s_name));
    wal_entry_t entry = { .kind = WAL_BARRIER, .timestamp = ts, .request = { ts, 1 } };
    assert_int_equal(wal_batch_add(ctx, batch, &entry), OK);
    assert_int_equal(wal_append(ctx, log, batch), OK);
}

static void requests_share_a_put(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(store) store = store_memory_new();
    wal_t *log = s_open(&ctx, store, 1, NULL, 0);
    wal_batch_t batches[3];
    for (uint64_t i = 0; i < 3; i++)
        s_write(&ctx, log, &batches[i], 10 + i);
    assert_int_equal(wal_commit(&ctx, log), OK);
    assert_int_equal(wal_frontier(log).seq, 1);
    assert_int_equal(batches[2].at.seq, 1);
    assert_int_equal(wal_max_ts(log), 12);
    store_list_t list = {0};
    assert_int_equal(store_list(&ctx, store, "wal/", NULL, 10, &list), OK);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.at[0].key,
                        "wal/by-dev-rootcoord-dml_0/0000000000000001/0000000000000001");
    for (int i = 0; i < 3; i++)
        wal_batch_fini(&batches[i]);
    wal_destroy(&log);
    ctx_fini(&ctx);
}

/* A missing or damaged object is named; nothing wrong is replayed. */
static void damage_is_named(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(store) store = store_memory_new();
    wal_t *log = s_open(&ctx, store, 1, NULL, 0);
    wal_batch_t batches[3];
    for (uint64_t i = 0; i < 3; i++) {
        s_write(&ctx, log, &batches[i], 10 + i);
        assert_int_equal(wal_commit(&ctx, log), OK);
        wal_batch_fini(&batches[i]);
    }
    wal_destroy(&log);
    vec_scoped seals;
    vec_init(&seals, sizeof(wal_seal_t));
    assert_int_equal(wal_objects_survey(&ctx, store, view_str(s_name), 2, (wal_position_t){0}, NULL,
                                        0, &seals), OK);
    assert_int_equal(((wal_seal_t *)vec_at(&seals, 0))->end, 3);
    const char *middle = "wal/by-dev-rootcoord-dml_0/0000000000000001/0000000000000002";
    view_t first = {0};
    assert_int_equal(store_get(&ctx, store,
        "wal/by-dev-rootcoord-dml_0/0000000000000001/0000000000000001", &first), OK);
    assert_int_equal(store_delete(&ctx, store, middle), OK);
    static model_t model;
    wal_objects_options_t options = {
        .channel = view_str(s_name), .epoch = 2, .seals = seals.ptr, .n_seals = seals.len,
        .replay = s_see, .arg = &model,
    };
    assert_int_equal(wal_objects_open(&ctx, store, &options, &log), ERR_CORRUPT);
    assert_non_null(strstr(ctx.text, middle));
    assert_int_equal(store_put(&ctx, store, middle, first), OK);    /* another one's bytes */
    assert_int_equal(wal_objects_open(&ctx, store, &options, &log), ERR_CORRUPT);
    assert_non_null(strstr(ctx.text, middle));
    assert_null(log);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_a_put),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(takeovers_lose_nothing),
        cmocka_unit_test(every_planted_bug_is_found),
    };
    return cmocka_run_group_tests_name("wal_objects", tests, NULL, NULL);
}

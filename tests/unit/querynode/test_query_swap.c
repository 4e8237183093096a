/* query node: whatever happens in whatever order, a read sees each row of its timestamp once.
 *
 * Random runs: inserts, upserts, deletes, flushes, deltalogs and checkpoints, compactions and
 * compactions of what was compacted, crashes of the data node, while jobs, metadata and answers
 * end in any order; reads of every consistency in between, each compared with the model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/support/querynode_world.h"

enum { SEEDS = 40, STEPS = 500, READS = 6 };

typedef enum { R_STRONG, R_EVENTUAL, R_BOUNDED, R_SESSION, R_SNAPSHOT, R_KINDS } read_kind_t;

typedef struct read {
    qw_answer_t answer;
    bool open, count;
    read_kind_t kind;
    uint64_t least;             /* read_ts must reach this */
    uint64_t exact;
} read_t;

typedef struct run {
    querynode_world_t *w;
    uint64_t seed;
    int64_t next_pk;
    read_t reads[READS];
    uint64_t newest;            /* read_ts of what has ended */
    size_t checked;
} run_t;

static void s_check_answer(run_t *r, read_t *read)
{
    read->open = false;
    const char *wrong = qw_wrong(r->w, &read->answer, read->count, 0);
    if (!wrong && read->answer.read_ts < read->least)
        wrong = "it sees too little";
    if (!wrong && read->exact && read->answer.read_ts != read->exact)
        wrong = "another timestamp than was asked for";
    if (wrong)
        fail_msg("seed %llu, read of kind %d: %s", (unsigned long long)r->seed, (int)read->kind,
                 wrong);
    if (read->kind != R_SNAPSHOT && read->answer.read_ts > r->newest)
        r->newest = read->answer.read_ts;
    r->checked++;
}

static void s_check_answers(run_t *r)
{
    for (size_t i = 0; i < READS; i++)
        if (r->reads[i].open && r->reads[i].answer.there)
            s_check_answer(r, &r->reads[i]);
}

static void s_read(run_t *r)
{
    rng_t *rng = qw_rng(r->w);
    for (size_t i = 0; i < READS; i++) {
        read_t *read = &r->reads[i];
        if (read->open)
            continue;
        Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
        *read = (read_t){ .open = true, .count = rng_below(rng, 2),
                          .kind = (read_kind_t)rng_below(rng, R_KINDS) };
        uint64_t last = qw_last_ts(r->w);
        switch (read->kind) {
        case R_STRONG:   view.strong = true; read->least = last; break;
        case R_EVENTUAL: read->least = r->newest; break;
        case R_BOUNDED:  view.staleness_ms = 50; break;
        case R_SESSION:  view.guarantee_ts = read->least = last; break;
        case R_SNAPSHOT: view.read_ts = read->exact = last ? last - rng_below(rng, 3) : 1; break;
        case R_KINDS:    break;
        }
        qw_query(r->w, view, read->count, &read->answer);
        return;
    }
}

static size_t s_some_keys(run_t *r, int64_t *pks, size_t most)
{
    rng_t *rng = qw_rng(r->w);
    size_t n = 0, want = 1 + (size_t)rng_below(rng, most);
    for (int tries = 0; r->next_pk && n < want && tries < 2000; tries++) {
        int64_t pk = (int64_t)rng_below(rng, (uint64_t)r->next_pk);
        bool twice = false;
        for (size_t i = 0; i < n; i++)
            twice |= pks[i] == pk;
        if (!twice)
            pks[n++] = pk;
    }
    return n;
}

static void s_write(run_t *r)
{
    rng_t *rng = qw_rng(r->w);
    uint64_t partition = rng_below(rng, 3) ? QW_PART : QW_PART_B;
    int64_t pks[1024];
    size_t n = 0;
    switch (rng_below(rng, 4)) {
    case 0:                                     /* now and then more than is applied in a step */
        n = s_some_keys(r, pks, rng_below(rng, 10) ? 8 : 1000);
        if (n)
            qw_delete(r->w, rng_below(rng, 2) ? -1 : (int64_t)partition, pks, n);
        break;
    case 1:
        n = s_some_keys(r, pks, 8);
        if (n)
            qw_insert(r->w, partition, pks, n, true);
        break;
    default:
        n = 1 + (size_t)rng_below(rng, rng_below(rng, 10) ? 12 : 1000);
        for (size_t i = 0; i < n; i++)
            pks[i] = r->next_pk++;
        qw_insert(r->w, partition, pks, n, false);
    }
}

static void s_persist(run_t *r, bool crashes)
{
    rng_t *rng = qw_rng(r->w);
    switch (rng_below(rng, 7)) {
    case 0:
    case 1:
        qw_plan_flush(r->w, rng_below(rng, 2) ? QW_PART : QW_PART_B);
        break;
    case 2:
        qw_commit_flush(r->w);
        break;
    case 3:
        qw_persist_deletes(r->w);
        break;
    case 4:
        (void)qw_plan_compaction(r->w);
        break;
    case 5:
        qw_commit_compaction(r->w);
        break;
    case 6:
        if (crashes && rng_below(rng, 4) == 0)
            qw_crash(r->w);
        break;
    }
}

/* Every read that was asked gets an answer. */
static void s_drain(run_t *r)
{
    qw_commit_flush(r->w);
    qw_commit_compaction(r->w);
    for (int i = 0; i < 200; i++) {
        qw_settle(r->w);
        s_check_answers(r);
        bool open = false;
        for (size_t k = 0; k < READS; k++)
            open |= r->reads[k].open;
        if (!open)
            return;
        qw_pass(r->w, 20);
    }
    fail_msg("seed %llu: a read has no answer", (unsigned long long)r->seed);
}

static void s_begin(run_t *r, uint64_t seed, const query_options_t *options)
{
    r->seed = seed;
    r->w = qw_new(seed, options);
    qw_create(r->w);
    for (int i = 0; i < 20; i++) {
        s_write(r);
        s_persist(r, true);
    }
    qw_load(r->w, true, false, false);
    qw_settle(r->w);
    ctx_t ctx;
    ctx_init(&ctx);
    const Elanus__Loaded *loaded = qw_loaded(r->w, &ctx);
    if (loaded->percent != 100)
        fail_msg("seed %llu: loaded %u%%, %s", (unsigned long long)seed, loaded->percent,
                 loaded->error);
    ctx_fini(&ctx);
}

static void s_run(uint64_t seed, bool crashes, const query_options_t *options)
{
    run_t *r = mem_new(sizeof *r);
    s_begin(r, seed, options);
    rng_t *rng = qw_rng(r->w);
    for (int step = 0; step < STEPS; step++) {
        switch (rng_below(rng, 8)) {
        case 0: s_write(r); break;
        case 1: s_persist(r, crashes); break;
        case 2: s_read(r); break;
        case 3: qw_pass(r->w, (int64_t)rng_below(rng, 8)); break;
        default: qw_one(r->w);
        }
        s_check_answers(r);
    }
    s_drain(r);
    /* Everything flushed was opened, and nothing else is held. */
    assert_int_equal(qw_figure(r->w, "segments"), (int64_t)qw_flushed(r->w));
    qw_free(&r->w);
    assert_true(r->checked > 5);
    mem_free(r);
}

static void reads_see_each_row_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        s_run(seed, false, NULL);
}

static void and_when_the_owner_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1000 + SEEDS; seed++)
        s_run(seed, true, NULL);
}

static void and_with_lazy_fields(void **state)
{
    (void)state;
    query_options_t options = { .preload = false, .threads = 1 };
    for (uint64_t seed = 2001; seed <= 2000 + SEEDS / 4; seed++)
        s_run(seed, true, &options);
}

/* --- deletes at each moment of a load ----------------------------------------------- */

static void s_count_now(querynode_world_t *w, int moment)
{
    static qw_answer_t answer;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    qw_query(w, view, true, &answer);
    while (!answer.there)
        qw_one(w);
    const char *wrong = qw_wrong(w, &answer, true, 0);
    if (wrong)
        fail_msg("moment %d: %s", moment, wrong);
}

static querynode_world_t *s_two_segments(uint64_t seed, int64_t *pks, size_t n)
{
    querynode_world_t *w = qw_new(seed, NULL);
    qw_create(w);
    for (size_t i = 0; i < n; i++)
        pks[i] = (int64_t)i;
    qw_insert(w, QW_PART, pks, n / 2, false);
    qw_plan_flush(w, QW_PART);
    qw_commit_flush(w);
    qw_insert(w, QW_PART, pks + n / 2, n / 2, false);
    qw_load(w, true, false, false);
    qw_settle(w);
    return w;
}

/* A segment that is being opened misses a delete of before, while a job brings many others into
 * the segments that are in view. */
static void deletes_come_at_each_moment_of_a_load(void **state)
{
    (void)state;
    enum { N = 3000 };
    int64_t pks[N];
    for (int moment = 0; moment < 120; moment++) {
        querynode_world_t *w = s_two_segments(3000 + (uint64_t)moment, pks, N);
        qw_plan_flush(w, QW_PART);
        qw_delete(w, -1, pks + N - 7, 3);
        qw_settle(w);
        qw_commit_flush(w);
        for (int i = 0; i < moment % 15; i++) {
            qw_one(w);
            s_count_now(w, moment);
        }
        qw_delete(w, -1, pks, 1200);
        qw_delete(w, -1, pks + N / 2, 200);
        while (!qw_idle(w)) {
            qw_one(w);
            s_count_now(w, moment);
        }
        assert_int_equal(qw_figure(w, "segments"), 2);
        qw_free(&w);
    }
}

/* The watch lags: when it shows the flush, the delete has long been in a deltalog, the checkpoint
 * is past it, and the buffer has let it go. */
static void a_delete_may_only_be_in_a_deltalog(void **state)
{
    (void)state;
    enum { N = 100 };
    int64_t pks[N], more = 5000;
    for (int moment = 0; moment < 40; moment++) {
        querynode_world_t *w = s_two_segments(4000 + (uint64_t)moment, pks, N);
        qw_hold_watches(w, true);
        qw_plan_flush(w, QW_PART);
        qw_commit_flush(w);
        qw_delete(w, -1, pks + N - 7, 3);
        qw_settle(w);
        qw_persist_deletes(w);
        qw_insert(w, QW_PART, &more, 1, false);
        qw_settle(w);
        assert_int_equal(qw_figure(w, "delete_bytes"), 0);
        qw_hold_watches(w, false);
        while (!qw_idle(w)) {
            qw_one(w);
            s_count_now(w, moment);
        }
        assert_int_equal(qw_figure(w, "segments"), 2);
        qw_free(&w);
    }
}

/* --- a compaction of which only half is known ---------------------------------------- */

/* It may be refused, but not be wrong. */
static bool s_count_right(querynode_world_t *w, int moment)
{
    static qw_answer_t answer;
    Elanus__ReadView view = ELANUS__READ_VIEW__INIT;
    view.strong = true;
    qw_query(w, view, true, &answer);
    qw_settle(w);
    const char *wrong = answer.there && answer.err == OK ? qw_wrong(w, &answer, true, 0) : NULL;
    if (wrong)
        fail_msg("moment %d: %s", moment, wrong);
    return answer.there && answer.err == OK;
}

/* Segments are compacted while they are opened, and the watch lags: what the node reads of their
 * records by itself says that they are replaced by something that it has not heard of. */
static void a_successor_that_is_not_known_yet_is_waited_for(void **state)
{
    (void)state;
    enum { N = 60 };
    int64_t pks[N];
    size_t refused = 0;
    for (int moment = 0; moment < 120; moment++) {
        querynode_world_t *w = qw_new(6000 + (uint64_t)moment, NULL);
        qw_create(w);
        for (size_t i = 0; i < N; i++)
            pks[i] = (int64_t)i;
        for (size_t i = 0; i < 2; i++) {
            qw_insert(w, QW_PART, pks + i * (N / 2), N / 2, false);
            qw_plan_flush(w, QW_PART);
            qw_commit_flush(w);
        }
        qw_load(w, true, false, false);
        for (int i = 0; i < moment % 40; i++)
            qw_one(w);
        qw_hold_watches(w, true);
        assert_true(qw_plan_compaction(w));
        qw_commit_compaction(w);
        qw_settle(w);
        refused += !s_count_right(w, moment);
        qw_hold_watches(w, false);
        qw_settle(w);
        assert_true(s_count_right(w, moment));
        qw_free(&w);
    }
    assert_in_range(refused, 1, 119);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_see_each_row_once),
        cmocka_unit_test(and_when_the_owner_crashes),
        cmocka_unit_test(and_with_lazy_fields),
        cmocka_unit_test(deletes_come_at_each_moment_of_a_load),
        cmocka_unit_test(a_successor_that_is_not_known_yet_is_waited_for),
        cmocka_unit_test(a_delete_may_only_be_in_a_deltalog),
    };
    int failed = cmocka_run_group_tests_name("query swap", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("query swap, rows from another process", tests,
                                                qw_setup_remote, NULL);
}

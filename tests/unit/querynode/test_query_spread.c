/* query node: segments are held by several nodes, and whatever happens in whatever order, the
 * shard's leader answers with each row of its timestamp once, or with an error that passes.
 *
 * Random runs over three nodes: writes, flushes, compactions and crashes of the data node as in
 * test_query_swap; segments are placed elsewhere, the lead goes to another node, nodes die and
 * begin anew while others hold their segments, calls between them and their answers are lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/querynode_world.h"

enum { SEEDS = 25, STEPS = 900, READS = 6, NODES = 3 };

typedef struct read {
    qw_answer_t answer;
    bool open, count;
    uint64_t least, exact;
} read_t;

typedef struct run {
    querynode_world_t *w;
    uint64_t seed;
    int64_t next_pk;
    read_t reads[READS];
    size_t right;
} run_t;

static void s_check_answer(run_t *r, read_t *read)
{
    const qw_answer_t *answer = &read->answer;
    read->open = false;
    if (answer->err != OK) {
        if (!err_retriable(answer->err) && answer->err != ERR_CHANNEL_NOT_AVAILABLE &&
            answer->err != ERR_TIMEOUT)
            fail_msg("seed %llu: %s: %s", (unsigned long long)r->seed, err_name(answer->err),
                     answer->text);
        return;
    }
    const char *wrong = qw_wrong(r->w, answer, read->count, 0);
    if (!wrong && answer->read_ts < read->least)
        wrong = "it sees too little";
    if (!wrong && read->exact && answer->read_ts != read->exact)
        wrong = "another timestamp than was asked for";
    if (wrong)
        fail_msg("seed %llu, %s: %s", (unsigned long long)r->seed,
                 read->exact ? "of a timestamp" : read->least ? "Strong" : "Eventually", wrong);
    r->right++;
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
        uint64_t last = qw_last_ts(r->w);
        *read = (read_t){ .open = true, .count = rng_below(rng, 2) };
        switch (rng_below(rng, 4)) {
        case 0: break;
        case 1: view.read_ts = read->exact = last ? last - rng_below(rng, 3) : 1; break;
        default: view.strong = true; read->least = last; break;
        }
        qw_query(r->w, view, read->count, &read->answer);
        return;
    }
}

static void s_write(run_t *r)
{
    rng_t *rng = qw_rng(r->w);
    uint64_t partition = rng_below(rng, 3) ? QW_PART : QW_PART_B;
    int64_t pks[300], first = r->next_pk ? (int64_t)rng_below(rng, (uint64_t)r->next_pk) : 0;
    size_t n = 1 + (size_t)rng_below(rng, rng_below(rng, 10) ? 12 : 300);
    bool old = r->next_pk > 300 && rng_below(rng, 2);
    for (size_t i = 0; i < n; i++)
        pks[i] = old ? (first + (int64_t)i) % r->next_pk : r->next_pk++;
    if (old && rng_below(rng, 2))
        qw_delete(r->w, rng_below(rng, 2) ? -1 : (int64_t)partition, pks, n);
    else
        qw_insert(r->w, partition, pks, n, old);
}

static void s_persist(run_t *r)
{
    rng_t *rng = qw_rng(r->w);
    switch (rng_below(rng, 8)) {
    case 0:
    case 1: qw_plan_flush(r->w, rng_below(rng, 2) ? QW_PART : QW_PART_B); break;
    case 2:
    case 3: qw_commit_flush(r->w); break;
    case 4: qw_persist_deletes(r->w); break;
    case 5: (void)qw_plan_compaction(r->w); break;
    case 6: qw_commit_compaction(r->w); break;
    default:
        if (rng_below(rng, 4) == 0)
            qw_crash(r->w);
    }
}

static void s_disturb(run_t *r)
{
    rng_t *rng = qw_rng(r->w);
    size_t node = (size_t)rng_below(rng, NODES);
    switch (rng_below(rng, 12)) {
    case 0:
        if (qw_lives(r->w, node))
            qw_lead(r->w, node);
        break;
    case 1:
        if (qw_lives(r->w, node))
            qw_kill(r->w, node);
        else
            qw_start(r->w, node);
        break;
    case 2:
    case 3:
    case 4: qw_lose(r->w); break;
    default: qw_place(r->w);
    }
}

static void s_begin(run_t *r, uint64_t seed)
{
    r->seed = seed;
    r->w = qw_new_many(seed, NULL, NODES);
    qw_create(r->w);
    for (int i = 0; i < 20; i++) {
        s_write(r);
        s_persist(r);
    }
    if (rng_below(qw_rng(r->w), 2))
        qw_place(r->w);
    qw_load(r->w, true, false, false);
    qw_settle(r->w);
}

/* All live, all is placed where it belongs and nowhere else: everything can be read. */
static void s_end(run_t *r)
{
    qw_commit_flush(r->w);
    qw_commit_compaction(r->w);
    for (size_t i = 0; i < NODES; i++)
        if (!qw_lives(r->w, i))
            qw_start(r->w, i);
    qw_settle(r->w);
    qw_place(r->w);
    qw_settle(r->w);
    qw_pass(r->w, 11000);                       /* what was kept for somebody who has left goes */
    qw_settle(r->w);
    s_check_answers(r);
    for (size_t i = 0; i < READS; i++)
        if (r->reads[i].open)
            fail_msg("seed %llu: a read has no answer", (unsigned long long)r->seed);
    size_t before = r->right;
    s_read(r);
    qw_settle(r->w);
    s_check_answers(r);
    if (r->right != before + 1)
        fail_msg("seed %llu: at peace a read is refused", (unsigned long long)r->seed);
    assert_int_equal(qw_figures(r->w, "segments"), (int64_t)qw_flushed(r->w));
}

/* How many reads were answered. */
static size_t s_run(uint64_t seed, bool disturbed)
{
    run_t *r = mem_new(sizeof *r);
    s_begin(r, seed);
    rng_t *rng = qw_rng(r->w);
    for (int step = 0; step < STEPS; step++) {
        switch (rng_below(rng, 10)) {
        case 0: s_write(r); break;
        case 1: s_persist(r); break;
        case 2: s_read(r); break;
        case 3: qw_pass(r->w, (int64_t)rng_below(rng, 30)); break;
        case 4:
            if (disturbed && rng_below(rng, 2))
                s_disturb(r);
            else if (rng_below(rng, 4) == 0)
                qw_place(r->w);
            break;
        default: qw_one(r->w);
        }
        s_check_answers(r);
    }
    s_end(r);
    qw_free(&r->w);
    size_t right = r->right;
    mem_free(r);
    return right;
}

static void reads_over_several_nodes_see_each_row_once(void **state)
{
    (void)state;
    size_t right = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        right += s_run(seed, false);
    assert_true(right > 8 * SEEDS);
}

static void and_when_nodes_die_and_leaders_change(void **state)
{
    (void)state;
    size_t right = 0;
    for (uint64_t seed = 1001; seed <= 1000 + SEEDS; seed++)
        right += s_run(seed, true);
    assert_true(right > 2 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_over_several_nodes_see_each_row_once),
        cmocka_unit_test(and_when_nodes_die_and_leaders_change),
    };
    int failed = cmocka_run_group_tests_name("query spread", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("query spread, rows from another process", tests,
                                                qw_setup_remote, NULL);
}

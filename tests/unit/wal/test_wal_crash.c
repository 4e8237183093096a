/* wal_local against a model: random appends, commits, faults, kills, power cuts, damage.
 *
 * The model knows which batch each seq carries, and up to where the log has said
 * that it is durable.  Whatever happens, an open must bring back every seq from the
 * checkpoint to at least there, each once, as it was written, and nothing that was never
 * appended.  Planted bugs show that the model would notice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define WAL_PLANTED
#include "core/wal/wal_local.c"

#include "core/base/fault.h"

enum { MOST_SEQ = 4000, STEPS = 60, FILE_BYTES = 8192 };

typedef struct model {
    rng_t rng;
    ctx_t ctx;
    wal_disk_t *disk;
    wal_t *wal;
    uint64_t ids[MOST_SEQ];     /* of seq */
    uint64_t durable, before;   /* said to be; and before the last commit that said so */
    uint64_t appended, next_id, checkpoint, replayed;
    wal_batch_t batches[MOST_SEQ];
    size_t n_batches;
    const char *wrong;          /* the first broken promise */
    char text[CTX_TEXT_BYTES];
} model_t;

static void s_wrong(model_t *m, const char *what)
{
    if (m->wrong)
        return;
    m->wrong = what;
    snprintf(m->text, sizeof m->text, "%s", m->ctx.text);
}

/* The note is made from the id, so that a torn one shows. */
static size_t s_note_of(uint64_t id, uint8_t *ret)
{
    rng_t rng;
    rng_seed(&rng, id);
    size_t len = (size_t)rng_below(&rng, rng_chance(&rng, 0.1) ? 3000 : 700);
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)rng_u64(&rng);
    return len;
}

static err_t s_see(ctx_t *ctx, void *arg, const wal_head_t *head, const wal_entry_t *entry)
{
    model_t *m = arg;
    uint8_t note[3000];
    uint64_t seq = ++m->replayed;
    if (head->link.at.seq != seq || seq > m->appended)
        return ctx_fail(ctx, ERR_INTERNAL, "out of order, twice, or invented");
    size_t len = s_note_of(m->ids[seq], note);
    if (entry->request[0] != m->ids[seq] || !view_eq(entry->note, view_of(note, len)))
        return ctx_fail(ctx, ERR_INTERNAL, "not what was written");
    return OK;
}

static void s_drop_batches(model_t *m)
{
    for (size_t i = 0; i < m->n_batches; i++)
        wal_batch_fini(&m->batches[i]);
    m->n_batches = 0;
}

static err_t s_try_open(model_t *m)
{
    m->replayed = m->checkpoint;
    wal_local_options_t options = { .channel = view_str("ch"), .file_bytes = FILE_BYTES,
                                    .after = { 1, m->checkpoint }, .replay = s_see, .arg = m };
    return wal_local_open(&m->ctx, m->disk, &options, &m->wal);
}

/* least: what must be there. */
static err_t s_open_up(model_t *m, uint64_t least)
{
    err_t err = s_try_open(m);
    if (err != OK)
        return err;
    if (m->replayed < least)
        s_wrong(m, "lost what was durable");
    if (m->replayed != wal_frontier(m->wal).seq)
        s_wrong(m, "the frontier is not where the replay ended");
    m->durable = m->before = m->appended = m->replayed;
    return OK;
}

static void s_reopen(model_t *m)
{
    if (rng_chance(&m->rng, 0.3)) {             /* the first try fails, perhaps */
        fault_arm((int)rng_below(&m->rng, 30));
        err_t err = s_try_open(m);
        bool fired = fault_disarm();
        if (err == ERR_INTERNAL || (err != OK && !fired))
            s_wrong(m, "a replay with a fault");
        if (err == OK && m->replayed < m->durable)
            s_wrong(m, "lost what was durable");
        if (err == OK)
            m->durable = m->appended = m->replayed;
        local_log_t *log = (local_log_t *)m->wal;
        if (log)
            s_fini(log);
        m->wal = NULL;
        wal_ram_kill(m->disk);
        if (rng_chance(&m->rng, 0.5))
            wal_ram_crash(m->disk, &m->rng);
    }
    if (s_open_up(m, m->durable) != OK)
        s_wrong(m, "an open after a crash");
}

/* How a process ends: in order, killed, or with the power. */
static void s_end(model_t *m)
{
    uint64_t how = rng_below(&m->rng, 3);
    if (how == 0)
        wal_destroy(&m->wal);
    else if (m->wal)
        s_fini((local_log_t *)m->wal);
    m->wal = NULL;
    if (how == 1)
        wal_ram_kill(m->disk);
    if (how == 2)
        wal_ram_crash(m->disk, &m->rng);
    s_drop_batches(m);
}

static void s_append_one(model_t *m)
{
    uint8_t note[3000];
    if (m->appended + 1 >= MOST_SEQ || m->n_batches == MOST_SEQ)
        return;
    wal_batch_t *batch = &m->batches[m->n_batches++];
    uint64_t id = ++m->next_id;
    wal_batch_init(batch, view_str("ch"));
    wal_entry_t e = { .kind = WAL_BARRIER, .timestamp = id, .request = { id, 0 },
                      .note = view_of(note, s_note_of(id, note)) };
    check(wal_batch_add(&m->ctx, batch, &e) == OK);
    check(wal_append(&m->ctx, m->wal, batch) == OK);
    m->ids[++m->appended] = id;
    if (batch->at.seq != m->appended)
        s_wrong(m, "a wrong position");
}

static void s_commit_some(model_t *m)
{
    bool faulty = rng_chance(&m->rng, 0.3), full = !faulty && rng_chance(&m->rng, 0.1);
    if (full)
        wal_ram_set_room(m->disk, 1);
    if (faulty)
        fault_arm((int)rng_below(&m->rng, 10));
    err_t err = wal_commit(&m->ctx, m->wal);
    bool fired = fault_disarm();
    wal_ram_set_room(m->disk, 0);
    uint64_t durable = wal_frontier(m->wal).seq;
    if (durable > m->durable)
        m->before = m->durable;
    m->durable = durable;
    if (err == OK && m->durable != m->appended)
        s_wrong(m, "a commit that left something");
    if (err != OK && !fired && !full)
        s_wrong(m, "a commit that failed for nothing");
    if (err == ERR_DISK_FULL || err == ERR_MEMORY) {
        if (rng_chance(&m->rng, 0.5)) {
            wal_discard(m->wal);
            m->appended = m->durable;
        }
    } else if (err != OK) {
        if (wal_commit(&m->ctx, m->wal) != ERR_DISK)
            s_wrong(m, "a broken log went on");
        s_end(m);
        s_reopen(m);
    }
}

static void s_truncate_some(model_t *m)
{
    m->checkpoint += rng_below(&m->rng, m->durable - m->checkpoint + 1);
    wal_position_t upto = { 1, m->checkpoint };
    if (wal_truncate(&m->ctx, m->wal, upto) != OK)
        s_wrong(m, "truncate");
    m->replayed = m->checkpoint;
    if (wal_replay(&m->ctx, m->wal, upto, s_see, m) != OK || m->replayed != m->durable)
        s_wrong(m, "a replay of the open log");
}

static void s_model_step(model_t *m)
{
    uint64_t what = rng_below(&m->rng, 10);
    if (what < 4) {
        s_append_one(m);
    } else if (what < 7) {
        s_commit_some(m);
    } else if (what < 8) {
        s_truncate_some(m);
    } else if (what < 9) {
        s_end(m);
        s_reopen(m);
    }
}

/* One byte of the log rots: an open says so, or brings back at least what was proved durable. */
static void s_rot(model_t *m)
{
    uint64_t least = m->before;
    vec_scoped names;
    vec_init(&names, sizeof(wal_file_name_t));
    s_fini((local_log_t *)m->wal);
    m->wal = NULL;
    wal_ram_kill(m->disk);
    check(m->disk->driver->list(m->disk, &names) == 0);
    if (names.len == 0)
        return;
    const wal_file_name_t *name = vec_at(&names, (size_t)rng_below(&m->rng, names.len));
    uint64_t len = 0;
    uint8_t *bytes = wal_ram_bytes(m->disk, name->text, &len);
    if (len)
        bytes[rng_below(&m->rng, len)] ^= (uint8_t)(1 << rng_below(&m->rng, 8));
    err_t err = s_open_up(m, least);
    if (err != OK && err != ERR_CORRUPT && err != ERR_VERSION)
        s_wrong(m, "an open of a damaged log");
}

/* NULL, or the promise that was broken. */
static const char *s_episode(uint64_t seed, bool say)
{
    model_t *m = mem_new(sizeof *m);
    ctx_init(&m->ctx);
    rng_seed(&m->rng, seed);
    m->disk = wal_ram_new(0);
    if (s_open_up(m, 0) != OK)
        s_wrong(m, "the first open");
    for (int step = 0; step < STEPS && !m->wrong; step++)
        s_model_step(m);
    if (!m->wrong)
        s_rot(m);
    wal_destroy(&m->wal);
    s_drop_batches(m);
    wal_disk_destroy(&m->disk);
    const char *wrong = m->wrong;
    if (wrong && say)
        fprintf(stderr, "seed %llu: %s (%s)\n", (unsigned long long)seed, wrong, m->text);
    ctx_fini(&m->ctx);
    mem_free(m);
    return wrong;
}

static void the_log_keeps_its_promises(void **state)
{
    (void)state;
    wal_planted = BUG_NONE;
    const char *more = getenv("WAL_SEEDS");     /* for a longer run */
    uint64_t last = more ? strtoull(more, NULL, 10) : 1000;
    for (uint64_t seed = 1; seed <= last; seed++)
        assert_null(s_episode(seed, true));
}

static void every_planted_bug_is_found(void **state)
{
    (void)state;
    for (int bug = BUG_NONE + 1; bug < BUG_COUNT; bug++) {
        wal_planted = bug;
        uint64_t seed = 1;
        while (seed <= 1000 && !s_episode(seed, false))
            seed++;
        wal_planted = BUG_NONE;
        print_message("bug %d: found by seed %llu\n", bug, (unsigned long long)seed);
        assert_true(seed <= 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_keeps_its_promises),
        cmocka_unit_test(every_planted_bug_is_found),
    };
    return cmocka_run_group_tests_name("wal_crash", tests, NULL, NULL);
}

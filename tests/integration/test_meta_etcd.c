/* meta on a real etcd: the conformance suite, then everything that can happen
 * on the way to etcd and to etcd itself.  A proxy between them loses answers,
 * loses requests, delivers them late, cuts, freezes.
 *
 * ELANUS_TEST_ETCD=host:port names an etcd to use; the scenarios that kill or
 * compact it start their own.  Without either, the program says so and skips. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/meta/etcd_http.h"
#include "tests/support/etcd_process.h"
#include "tests/support/meta_conformance.h"
#include "tests/support/meta_recorder.h"
#include "tests/support/tcp_proxy.h"

static etcd_process_t *s_etcd;          /* our own; NULL: there is no etcd program */
static const char *s_endpoint;          /* the one for what needs no violence */

/* --- opening ---------------------------------------------------------------- */

static meta_t *s_open_fresh(void *arg)
{
    (void)arg;
    return etcd_open_at(s_endpoint, etcd_new_root());
}

static void s_wait(void *arg, int64_t ms)
{
    (void)arg;
    clock_sleep_ms(ms);
}

/* A client of etcd beside the driver, for what the driver does not do. */
static void s_raw(const char *endpoint, const char *path, const char *question)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 10000);
    etcd_http_t *http = NULL;
    meta_etcd_options_t options = { .endpoints = endpoint };
    assert_int_equal(etcd_http_new(&ctx, &options, &http), OK);
    buf_scoped body;
    buf_init(&body, 0);
    buf_add_str(&body, question);
    json_t *answer = NULL;
    if (etcd_http_ask(&ctx, http, path, &body, &answer) != OK)
        fail_msg("%s: %s", path, ctx.text);
    json_decref(answer);
    etcd_http_destroy(&http);
    ctx_fini(&ctx);
}

static err_t s_txn(meta_t *meta, int64_t limit_ms, const meta_cmp_t *cmp, const char *key,
                   const char *value, meta_txn_result_t *ret)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, limit_ms);
    meta_op_t op = { META_PUT, key, view_str(value), 0 };
    meta_txn_t txn = { .cmps = cmp, .n_cmps = cmp ? 1 : 0, .ops = &op, .n_ops = 1 };
    err_t err = meta_txn(&ctx, meta, &txn, ret);
    if (err != OK)
        assert_true(strlen(ctx.text) > 0);
    ctx_fini(&ctx);
    return err;
}

static int64_t s_mod_rev(meta_t *meta, const char *key)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 10000);
    meta_item_t item = {0};
    err_t err = meta_get(&ctx, meta, key, &item);
    if (err != OK && err != ERR_KEY_NOT_FOUND)
        fail_msg("%s: %s", key, ctx.text);
    ctx_fini(&ctx);
    return item.mod_rev;
}

/* --- a store behind a proxy, and one beside it ------------------------------ */

typedef struct wire {
    tcp_proxy_t *proxy;
    meta_t *meta;               /* through the proxy */
    meta_t *direct;             /* same root */
} wire_t;

static int s_wire_up_to(void **state, const char *host_port)
{
    wire_t *wire = mem_new(sizeof *wire);
    char host[64], endpoint[32], root[64];
    snprintf(host, sizeof host, "%s", host_port);
    *strchr(host, ':') = '\0';
    wire->proxy = tcp_proxy_new(strcmp(host, "localhost") ? host : "127.0.0.1",
                                atoi(strchr(host_port, ':') + 1));
    assert_non_null(wire->proxy);
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%d", tcp_proxy_port(wire->proxy));
    snprintf(root, sizeof root, "%s", etcd_new_root());
    wire->meta = etcd_open_at(endpoint, root);
    wire->direct = etcd_open_at(host_port, root);
    *state = wire;
    return 0;
}

static int s_wire_up(void **state)
{
    return s_wire_up_to(state, s_endpoint);
}

/* For what disturbs etcd itself. */
static int s_own_wire_up(void **state)
{
    *state = NULL;
    return s_etcd ? s_wire_up_to(state, etcd_process_endpoint(s_etcd)) : 0;
}

static int s_wire_down(void **state)
{
    wire_t *wire = *state;
    if (!wire)
        return 0;
    meta_destroy(&wire->meta);
    meta_destroy(&wire->direct);
    tcp_proxy_destroy(&wire->proxy);
    mem_free(wire);
    return 0;
}

#define NEED_OWN_ETCD(state) do { \
    if (!*(state)) { \
        print_message("skipped: no etcd program on PATH\n"); \
        skip(); \
    } } while (0)

/* --- settling --------------------------------------------------------------- */

static const char TXN[] = "POST /v3/kv/txn";

/* The outcome must be right for each way to lose something, whether the caller's
 * compare holds or not.  A write without a compare shows a second application
 * by its revision. */
static void s_lose_one(wire_t *wire, tcp_proxy_fault_t fault, bool holds, int round)
{
    char key[24], value[24];
    snprintf(key, sizeof key, "key/%d", round);
    snprintf(value, sizeof value, "%d", round);
    if (!holds)
        meta_put_text(wire->direct, key, "taken");
    int64_t before = s_mod_rev(wire->direct, key);
    int done = tcp_proxy_done(wire->proxy);
    tcp_proxy_on(wire->proxy, TXN, 1, fault);
    meta_cmp_t absent = { META_IF_ABSENT, key, 0, {0} };
    meta_txn_result_t result = {0};
    assert_int_equal(s_txn(wire->meta, 8000, holds ? NULL : &absent, key, value, &result), OK);
    assert_int_equal(tcp_proxy_done(wire->proxy), done + 1);
    tcp_proxy_release(wire->proxy);         /* a held request lands only now */
    assert_int_equal(result.applied, holds);
    assert_string_equal(meta_get_text(wire->direct, key), holds ? value : "taken");
    int64_t after = s_mod_rev(wire->direct, key);
    assert_int_equal(after, holds ? result.rev : before);
}

static void lost_answers_and_requests_are_settled(void **state)
{
    wire_t *wire = *state;
    int round = 0;
    for (int fault = PROXY_LOSE_ANSWER; fault <= PROXY_HOLD_REQUEST; fault++)
        for (int again = 0; again < 3; again++, round += 2) {
            s_lose_one(wire, (tcp_proxy_fault_t)fault, true, round);
            s_lose_one(wire, (tcp_proxy_fault_t)fault, false, round + 1);
        }
}

/* The very first use of the very first slot: its key does not exist yet. */
static void a_late_first_request_never_lands(void **state)
{
    s_lose_one(*state, PROXY_HOLD_REQUEST, true, 0);
}

/* The transaction is lost in one way, and then its fences in another, twice. */
static void lost_fences_are_sent_again(void **state)
{
    wire_t *wire = *state;
    for (int first = PROXY_LOSE_ANSWER; first <= PROXY_HOLD_REQUEST; first++) {
        for (int then = PROXY_LOSE_ANSWER; then <= PROXY_HOLD_REQUEST; then++) {
            tcp_proxy_on(wire->proxy, TXN, 1, (tcp_proxy_fault_t)first);
            tcp_proxy_on(wire->proxy, TXN, 2, (tcp_proxy_fault_t)then);
            int done = tcp_proxy_done(wire->proxy);
            meta_txn_result_t result = {0};
            assert_int_equal(s_txn(wire->meta, 8000, NULL, "k", "v", &result), OK);
            assert_int_equal(tcp_proxy_done(wire->proxy), done + 3);
            tcp_proxy_release(wire->proxy);
            assert_true(result.applied);
            assert_int_equal(s_mod_rev(wire->direct, "k"), result.rev);
        }
    }
}

/* The deadline comes before anything is known.  A read afterwards closes the
 * question for good, whether the write had landed before or lands later. */
static void what_stays_unknown_is_closed_by_reading(void **state)
{
    wire_t *wire = *state;
    for (int i = 0; i < 4; i++) {
        bool landed = i % 2;
        char key[16];
        snprintf(key, sizeof key, "key/%d", i);
        tcp_proxy_on(wire->proxy, TXN, 1, landed ? PROXY_LOSE_ANSWER : PROXY_HOLD_REQUEST);
        tcp_proxy_on(wire->proxy, TXN, 1000, PROXY_HOLD_REQUEST);
        meta_txn_result_t result = { .rev = -1 };
        assert_int_equal(s_txn(wire->meta, 300, NULL, key, "v", &result), ERR_OUTCOME_UNKNOWN);
        assert_int_equal(result.rev, -1);
        tcp_proxy_clear(wire->proxy);
        assert_int_equal(meta_get_text(wire->meta, key) != NULL, landed);
        tcp_proxy_release(wire->proxy);         /* all of it arrives now */
        assert_int_equal(meta_get_text(wire->direct, key) != NULL, landed);
        meta_put_text(wire->meta, key, "and the store works on");
        assert_string_equal(meta_get_text(wire->direct, key), "and the store works on");
    }
}

/* Closing with an open question: what is still on its way dies with the lease. */
static void nothing_lands_after_closing(void **state)
{
    wire_t *wire = *state;
    meta_txn_result_t result;
    tcp_proxy_on(wire->proxy, TXN, 1000, PROXY_HOLD_REQUEST);
    assert_int_equal(s_txn(wire->meta, 200, NULL, "k", "late", &result), ERR_OUTCOME_UNKNOWN);
    tcp_proxy_clear(wire->proxy);
    meta_destroy(&wire->meta);
    tcp_proxy_release(wire->proxy);
    assert_null(meta_get_text(wire->direct, "k"));
}

/* The lease under the markers ends behind our back although it was just renewed
 * (an operator; etcd 3.4 has such a bug): one outcome stays unknown, reading
 * closes it, and writing goes on under a new lease. */
static void a_lost_marker_lease_is_replaced(void **state)
{
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    meta_put_text(wire->meta, "k", "1");
    char command[160];
    snprintf(command, sizeof command, "export ETCDCTL_API=3 E=%s; "
             "for l in $(etcdctl --endpoints $E lease list | tail -n +2); "
             "do etcdctl --endpoints $E lease revoke $l; done >/dev/null",
             etcd_process_endpoint(s_etcd));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(system(command), 0);
        meta_txn_result_t result;
        assert_int_equal(s_txn(wire->meta, 3000, NULL, "k", "2", &result), ERR_OUTCOME_UNKNOWN);
        if (i != 1)
            assert_string_equal(meta_get_text(wire->meta, "k"), i ? "3" : "1");
        int64_t rev = meta_put_text(wire->meta, "k", "3");
        assert_int_equal(s_mod_rev(wire->direct, "k"), rev);
    }
}

/* --- many writers on a bad line --------------------------------------------- */

enum { WRITERS = 12, WRITES = 15 };

typedef struct writer {
    meta_t *meta;
    int unknown;
    pthread_t thread;
} writer_t;

/* Add one to the counter, by compare and write, until it is known to be done. */
static bool s_add_one(meta_t *meta)
{
    for (;;) {
        ctx_t ctx;
        ctx_init(&ctx);
        ctx_limit_ms(&ctx, 20000);
        meta_item_t item = {0};
        if (meta_get(&ctx, meta, "counter", &item) != OK)
            fail_msg("%s", ctx.text);
        char number[24];
        snprintf(number, sizeof number, "%d", atoi((const char *)item.value.ptr) + 1);
        meta_cmp_t same = { META_IF_MOD_REV, "counter", item.mod_rev, {0} };
        ctx_fini(&ctx);
        meta_txn_result_t result = {0};
        if (s_txn(meta, 20000, &same, "counter", number, &result) != OK)
            return false;
        if (result.applied)
            return true;
    }
}

static void *s_write_much(void *arg)
{
    writer_t *writer = arg;
    for (int i = 0; i < WRITES; i++)
        writer->unknown += !s_add_one(writer->meta);
    return NULL;
}

static void s_break_the_line(wire_t *wire, rng_t *rng)
{
    switch (rng_below(rng, 5)) {
    case 0: tcp_proxy_cut(wire->proxy); break;
    case 1: tcp_proxy_on(wire->proxy, TXN, 1, PROXY_LOSE_ANSWER); break;
    case 2: tcp_proxy_on(wire->proxy, TXN, 1, PROXY_LOSE_REQUEST); break;
    case 3: tcp_proxy_on(wire->proxy, TXN, 1, PROXY_HOLD_REQUEST); break;
    case 4: tcp_proxy_release(wire->proxy); break;
    default: break;
    }
}

static void many_writers_on_a_bad_line_lose_nothing(void **state)
{
    wire_t *wire = *state;
    meta_put_text(wire->direct, "counter", "0");
    writer_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer_t){ .meta = wire->meta };
        assert_int_equal(pthread_create(&writers[i].thread, NULL, s_write_much, &writers[i]), 0);
    }
    rng_t rng;
    rng_seed(&rng, 7);
    int unknown = 0;
    for (int i = 0; i < 60; i++) {
        s_break_the_line(wire, &rng);
        clock_sleep_ms(20);
        tcp_proxy_clear(wire->proxy);
    }
    tcp_proxy_release(wire->proxy);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        unknown += writers[i].unknown;
    }
    assert_int_equal(unknown, 0);
    tcp_proxy_release(wire->proxy);
    assert_int_equal(atoi(meta_get_text(wire->direct, "counter")), WRITERS * WRITES);
}

/* --- watches ---------------------------------------------------------------- */

static meta_watch_t *s_follow(meta_t *meta, const char *prefix, recorder_t *rec)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_watch_t *watch = NULL;
    assert_int_equal(meta_watch(&ctx, meta, prefix, recorder_watch, rec, &watch), OK);
    ctx_fini(&ctx);
    return watch;
}

static int64_t s_put_number(meta_t *meta, int i)
{
    char key[24];
    snprintf(key, sizeof key, "w/%d", i % 7);
    char value[24];
    snprintf(value, sizeof value, "%d", i);
    return meta_put_text(meta, key, value);
}

static void a_cut_watch_loses_and_repeats_nothing(void **state)
{
    enum { CHANGES = 200 };
    wire_t *wire = *state;
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = s_follow(wire->meta, "w/", &rec);
    assert_true(recorder_wait(&rec, 2));
    for (int i = 0; i < CHANGES; i++) {
        s_put_number(wire->direct, i);
        if (i % 20 == 10)
            tcp_proxy_cut(wire->proxy);
        tcp_proxy_refuse(wire->proxy, i % 50 > 40);
    }
    tcp_proxy_refuse(wire->proxy, false);
    assert_true(recorder_wait(&rec, 2 + CHANGES));
    for (int i = 0; i < CHANGES; i++) {
        char text[32];
        snprintf(text, sizeof text, "PUT w/%d=%d", i % 7, i);
        assert_string_equal(recorder_text(&rec, (size_t)i + 2), text);
    }
    assert_int_equal(recorder_resets(&rec), 1);
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    recorder_fini(&rec);
}

/* The line goes silent without closing: the watch finds the other endpoint. */
static void a_frozen_line_is_left(void **state)
{
    wire_t *wire = *state;
    char endpoints[96], root[48];
    snprintf(endpoints, sizeof endpoints, "127.0.0.1:%d,%s", tcp_proxy_port(wire->proxy),
             s_endpoint);
    snprintf(root, sizeof root, "%s", etcd_new_root());
    meta_t *meta = etcd_open_at(endpoints, root), *direct = etcd_open_at(s_endpoint, root);
    recorder_t rec;
    recorder_init(&rec);
    assert_non_null(s_follow(meta, "w/", &rec));
    assert_true(recorder_wait(&rec, 2));
    s_put_number(direct, 0);
    assert_true(recorder_wait(&rec, 3));
    tcp_proxy_freeze(wire->proxy, true);
    int64_t rev = s_put_number(direct, 1);
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/1", rev));
    recorder_check_order(&rec);
    assert_int_equal(recorder_len(&rec), 4);
    assert_string_equal(meta_get_text(meta, "w/1"), "1");
    tcp_proxy_freeze(wire->proxy, false);
    meta_destroy(&meta);
    meta_destroy(&direct);
    recorder_fini(&rec);
}

static void s_compact_at(const etcd_process_t *etcd, int64_t rev)
{
    char question[64];
    snprintf(question, sizeof question, "{\"revision\":\"%lld\"}", (long long)rev);
    s_raw(etcd_process_endpoint(etcd), "/v3/kv/compaction", question);
}

static void s_compact(int64_t rev)
{
    s_compact_at(s_etcd, rev);
}

/* While the watch is away its history is compacted: it starts over. */
static void compaction_makes_a_watch_list_again(void **state)
{
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    recorder_t rec;
    recorder_init(&rec);
    s_put_number(wire->direct, 0);
    s_put_number(wire->direct, 1);
    meta_watch_t *watch = s_follow(wire->meta, "w/", &rec);
    assert_true(recorder_wait(&rec, 4));
    tcp_proxy_refuse(wire->proxy, true);
    s_put_number(wire->direct, 8);
    s_compact(s_put_number(wire->direct, 2));
    int64_t last = s_put_number(wire->direct, 3);
    tcp_proxy_refuse(wire->proxy, false);
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/3", last));
    assert_true(recorder_wait(&rec, 4 + 6));
    assert_int_equal(recorder_resets(&rec), 2);
    assert_string_equal(recorder_text(&rec, 4), "RESET");
    assert_string_equal(recorder_text(&rec, 6), "PUT w/1=8");
    assert_string_equal(recorder_text(&rec, 9), "SYNCED");
    last = s_put_number(wire->direct, 4);
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/4", last));
    recorder_check_order(&rec);
    meta_unwatch(&watch);
    recorder_fini(&rec);
}

/* A quiet watch hears of progress, so compaction costs it nothing. */
static void progress_saves_a_quiet_watch_from_compaction(void **state)
{
    (void)state;
    static const char *const more[] = { "--experimental-watch-progress-notify-interval", "500ms",
                                        NULL };
    etcd_process_t *etcd = etcd_process_new(more);
    if (!etcd) {
        print_message("skipped: no etcd program on PATH\n");
        skip();
    }
    void *fixture = NULL;
    assert_int_equal(s_wire_up_to(&fixture, etcd_process_endpoint(etcd)), 0);
    wire_t *wire = fixture;
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = s_follow(wire->meta, "w/", &rec);
    assert_true(recorder_wait(&rec, 2));
    meta_put_text(wire->direct, "elsewhere", "1");
    int64_t past = meta_put_text(wire->direct, "elsewhere", "2");
    clock_sleep_ms(1500);                           /* two notices at least */
    tcp_proxy_refuse(wire->proxy, true);
    s_compact_at(etcd, past);
    tcp_proxy_refuse(wire->proxy, false);
    int64_t last = s_put_number(wire->direct, 0);
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "w/0", last));
    assert_int_equal(recorder_resets(&rec), 1);
    meta_unwatch(&watch);
    recorder_fini(&rec);
    s_wire_down(&fixture);
    etcd_process_destroy(&etcd);
}

static void *s_list_all(void *arg)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 20000);
    meta_items_t items = {0};
    size_t n = meta_list(&ctx, arg, "many/", &items) == OK ? items.n : 0;
    ctx_fini(&ctx);
    return (void *)n;
}

/* Compaction between two pages of a list: it starts over and is whole. */
static void compaction_makes_a_list_start_over(void **state)
{
    enum { KEYS = 3000, STEP = 100 };
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    char names[STEP][32];
    meta_op_t ops[STEP];
    ctx_t ctx;
    ctx_init(&ctx);
    for (int from = 0; from < KEYS; from += STEP) {
        for (int i = 0; i < STEP; i++) {
            snprintf(names[i], sizeof names[i], "many/%d", from + i);
            ops[i] = (meta_op_t){ META_PUT, names[i], view_str("x"), 0 };
        }
        meta_txn_result_t result;
        meta_txn_t txn = { .ops = ops, .n_ops = STEP };
        assert_int_equal(meta_txn(&ctx, wire->direct, &txn, &result), OK);
    }
    ctx_fini(&ctx);
    tcp_proxy_on(wire->proxy, "POST /v3/kv/range", 2, PROXY_PASS);
    int done = tcp_proxy_done(wire->proxy);
    tcp_proxy_delay_ms(wire->proxy, 150);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, s_list_all, wire->meta), 0);
    while (tcp_proxy_done(wire->proxy) < done + 1)
        clock_sleep_ms(5);
    clock_sleep_ms(170);                        /* the first page is read, the second is not */
    meta_put_text(wire->direct, "other", "x");
    s_compact(meta_put_text(wire->direct, "other", "y"));
    void *n = NULL;
    pthread_join(reader, &n);
    assert_int_equal((size_t)n, KEYS);
}

/* --- etcd itself ------------------------------------------------------------ */

static void a_killed_etcd_comes_back(void **state)
{
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    recorder_t rec;
    recorder_init(&rec);
    meta_watch_t *watch = s_follow(wire->meta, "counter", &rec);
    meta_put_text(wire->direct, "counter", "0");
    writer_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer_t){ .meta = wire->direct };
        assert_int_equal(pthread_create(&writers[i].thread, NULL, s_write_much, &writers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        clock_sleep_ms(100);
        etcd_process_kill(s_etcd);
        meta_txn_result_t result;
        err_t err = s_txn(wire->meta, 300, NULL, "other", "x", &result);
        assert_true(err == ERR_META || err == ERR_TIMEOUT || err == ERR_OUTCOME_UNKNOWN);
        etcd_process_start(s_etcd);
    }
    int unknown = 0;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        unknown += writers[i].unknown;
    }
    assert_int_equal(unknown, 0);
    assert_int_equal(atoi(meta_get_text(wire->direct, "counter")), WRITERS * WRITES);
    int64_t last = s_mod_rev(wire->direct, "counter");
    assert_true(recorder_wait_for(&rec, META_WATCH_PUT, "counter", last));
    recorder_check_order(&rec);
    assert_int_equal(recorder_resets(&rec), 1);
    meta_unwatch(&watch);
    recorder_fini(&rec);
}

/* A stopped etcd: reads and writes end by their deadline, and later all is well. */
static void a_stopped_etcd_is_waited_for_no_longer_than_asked(void **state)
{
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    meta_put_text(wire->direct, "k", "before");
    etcd_process_pause(s_etcd, true);
    int64_t start = clock_mono_ms();
    ctx_t ctx;
    ctx_init(&ctx);
    ctx_limit_ms(&ctx, 700);
    meta_item_t item;
    assert_int_equal(meta_get(&ctx, wire->direct, "k", &item), ERR_TIMEOUT);
    meta_txn_result_t result;
    assert_int_equal(s_txn(wire->direct, 700, NULL, "k", "during", &result), ERR_OUTCOME_UNKNOWN);
    assert_true(clock_mono_ms() - start < 2500);
    etcd_process_pause(s_etcd, false);
    const char *now = meta_get_text(wire->direct, "k");
    int64_t rev = s_mod_rev(wire->direct, "k");
    assert_true(strcmp(now, "before") == 0 || strcmp(now, "during") == 0);
    clock_sleep_ms(100);
    assert_int_equal(s_mod_rev(wire->direct, "k"), rev);        /* and that stays */
    ctx_fini(&ctx);
}

/* Markers disappear when a store closes; nobody sees them as keys meanwhile. */
static void markers_are_invisible_and_go_away(void **state)
{
    NEED_OWN_ETCD(state);
    wire_t *wire = *state;
    meta_put_text(wire->meta, "k", "v");
    ctx_t ctx;
    ctx_init(&ctx);
    meta_items_t items = {0};
    assert_int_equal(meta_list(&ctx, wire->meta, "", &items), OK);
    assert_int_equal(items.n, 1);
    ctx_fini(&ctx);
    meta_destroy(&wire->meta);
    meta_destroy(&wire->direct);
    char command[128];
    snprintf(command, sizeof command, "test -z \"$(ETCDCTL_API=3 etcdctl --endpoints %s get "
             "--prefix --keys-only '' | grep /txn/)\"", etcd_process_endpoint(s_etcd));
    assert_int_equal(system(command), 0);
}

/* --- main ------------------------------------------------------------------- */

#define W(f) cmocka_unit_test_setup_teardown(f, s_wire_up, s_wire_down)
#define OWN(f) cmocka_unit_test_setup_teardown(f, s_own_wire_up, s_wire_down)

static const struct CMUnitTest s_tests[] = {
    W(lost_answers_and_requests_are_settled),
    W(a_late_first_request_never_lands),
    W(lost_fences_are_sent_again),
    W(what_stays_unknown_is_closed_by_reading),
    W(nothing_lands_after_closing),
    W(many_writers_on_a_bad_line_lose_nothing),
    W(a_cut_watch_loses_and_repeats_nothing),
    W(a_frozen_line_is_left),
    OWN(markers_are_invisible_and_go_away),
    OWN(a_lost_marker_lease_is_replaced),
    OWN(compaction_makes_a_watch_list_again),
    cmocka_unit_test(progress_saves_a_quiet_watch_from_compaction),
    OWN(compaction_makes_a_list_start_over),
    OWN(a_killed_etcd_comes_back),
    OWN(a_stopped_etcd_is_waited_for_no_longer_than_asked),
};

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    s_endpoint = getenv("ELANUS_TEST_ETCD");
    s_etcd = etcd_process_new(NULL);
    if (!s_endpoint && s_etcd)
        s_endpoint = etcd_process_endpoint(s_etcd);
    if (!s_endpoint) {
        printf("[  SKIPPED ] ELANUS_TEST_ETCD is not set and there is no etcd program on PATH\n");
        return 0;
    }
    meta_suite_t suite = { "etcd", s_open_fresh, s_wait, NULL, 2000 };
    int failed = meta_conformance_run(&suite);
    failed += cmocka_run_group_tests_name("meta_etcd", s_tests, NULL, NULL);
    etcd_process_destroy(&s_etcd);
    return failed;
}

/* store_conformance - sizes and ranges against the body kept by the test, lists
 * against a sorted array, damage done below the checksums through the driver,
 * deadlines, budgets and threads. */
#include "tests/support/store_conformance.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/store/footer.h"
#include "core/store/store_int.h"

enum { B = FOOTER_BLOCK_BYTES };

typedef struct fixture {
    store_t *store;
    const char *base;
    bool own_order;
    ctx_t ctx;
} fixture_t;

#define ok(call) do { \
    err_t ok_ = (call); \
    if (ok_ != OK) fail_msg("%s: %s: %s", #call, err_name(ok_), fx->ctx.text); \
} while (0)

view_t store_test_body(ctx_t *ctx, uint64_t seed, size_t len)
{
    uint8_t *body = ctx_new(ctx, len + 8);
    rng_t rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < len; i += 8)
        store_u64(body + i, rng_u64(&rng));
    return view_of(body, len);
}

static const char *s_key(fixture_t *fx, const char *name)
{
    return ctx_printf(&fx->ctx, "%s/%s", fx->base, name);
}

static void bodies_of_all_sizes_come_back(fixture_t *fx)
{
    static const size_t sizes[] = { 0, 1, 100, B - 1, B, B + 1, 2 * B, 3 * B + 7, 17 * B + 12345 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const char *key = s_key(fx, ctx_printf(&fx->ctx, "size/%zu", sizes[i]));
        view_t body = store_test_body(&fx->ctx, i, sizes[i]), got = {0};
        uint64_t len = 0;
        ok(store_put(&fx->ctx, fx->store, key, body));
        ok(store_get(&fx->ctx, fx->store, key, &got));
        assert_true(view_eq(got, body));
        ok(store_head(&fx->ctx, fx->store, key, &len));
        assert_int_equal(len, body.len);
        view_t all = {0};
        ok(store_get_range(&fx->ctx, fx->store, key, 0, body.len, &all));
        assert_true(view_eq(all, body));
    }
}

static void a_mapping_outlives_its_object(fixture_t *fx)
{
    static const size_t sizes[] = { 0, 1, B, 3 * B + 7 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const char *key = s_key(fx, ctx_printf(&fx->ctx, "map/%zu", sizes[i]));
        view_t body = store_test_body(&fx->ctx, i, sizes[i]);
        store_mapping_t map = {0}, again = {0};
        ok(store_put(&fx->ctx, fx->store, key, body));
        ok(store_map(&fx->ctx, fx->store, key, &map));
        ok(store_delete(&fx->ctx, fx->store, key));
        assert_true(view_eq(map.body, body));
        assert_int_equal(store_map(&fx->ctx, fx->store, key, &again), ERR_KEY_NOT_FOUND);
        store_unmap(&map);
        store_unmap(&map);
    }
}

/* Where a mapping has a file, it has the bytes of the body, also when the object is gone. */
static void a_mapping_may_have_a_file(fixture_t *fx)
{
    const char *key = s_key(fx, "file");
    view_t body = store_test_body(&fx->ctx, 3, 2 * B + 5);
    store_mapping_t map = {0};
    uint8_t *got = ctx_new(&fx->ctx, body.len);
    ok(store_put(&fx->ctx, fx->store, key, body));
    ok(store_map(&fx->ctx, fx->store, key, &map));
    store_map_file(fx->store, key, &map);
    assert_true((map.file > 2) == (fx->store->driver->file != NULL));
    ok(store_delete(&fx->ctx, fx->store, key));
    store_map_cool(&map);
    if (map.file) {
        assert_int_equal(pread(map.file, got, body.len, 0), body.len);
        assert_true(view_eq(view_of(got, body.len), body));
    }
    assert_true(view_eq(map.body, body));
    store_unmap(&map);
    assert_int_equal(map.file, 0);
}

static void ranges_agree_with_the_body(fixture_t *fx)
{
    const char *key = s_key(fx, "ranges");
    view_t body = store_test_body(&fx->ctx, 7, 5 * B + 4321), got = {0};
    ok(store_put(&fx->ctx, fx->store, key, body));
    rng_t rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < 40; i++) {
        size_t from = (size_t)rng_below(&rng, body.len + 1);
        size_t len = (size_t)rng_below(&rng, body.len - from + 1);
        if (i % 3 == 0)
            len = len < 100 ? len : 100;
        ok(store_get_range(&fx->ctx, fx->store, key, from, len, &got));
        assert_true(view_eq(got, view_of(body.ptr + from, len)));
    }
    static const struct { uint64_t from; size_t len; } edges[] = {
        { 0, 1 }, { B - 1, 2 }, { B, B }, { 5 * B, 4321 }, { 5 * B + 4320, 1 }, { 5 * B + 4321, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        ok(store_get_range(&fx->ctx, fx->store, key, edges[i].from, edges[i].len, &got));
        assert_true(view_eq(got, view_of(body.ptr + edges[i].from, edges[i].len)));
    }
}

static void a_range_past_the_end_is_refused(fixture_t *fx)
{
    const char *key = s_key(fx, "short");
    view_t got = {0};
    ok(store_put(&fx->ctx, fx->store, key, store_test_body(&fx->ctx, 1, 10)));
    assert_int_equal(store_get_range(&fx->ctx, fx->store, key, 5, 6, &got), ERR_PARAM_INVALID);
    assert_int_equal(store_get_range(&fx->ctx, fx->store, key, 11, 0, &got), ERR_PARAM_INVALID);
    assert_int_equal(store_get_range(&fx->ctx, fx->store, key, UINT64_MAX, 2, &got),
                     ERR_PARAM_INVALID);
    assert_null(got.ptr);
}

static void what_is_not_there_is_not_found(fixture_t *fx)
{
    const char *keys[] = { s_key(fx, "no/such"), s_key(fx, "no") };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        view_t got = {0};
        uint64_t len = 99;
        assert_int_equal(store_get(&fx->ctx, fx->store, keys[i], &got), ERR_KEY_NOT_FOUND);
        assert_non_null(strstr(fx->ctx.text, keys[i]));
        assert_int_equal(store_get_range(&fx->ctx, fx->store, keys[i], 0, 1, &got),
                         ERR_KEY_NOT_FOUND);
        assert_int_equal(store_head(&fx->ctx, fx->store, keys[i], &len), ERR_KEY_NOT_FOUND);
        ok(store_delete(&fx->ctx, fx->store, keys[i]));
        assert_int_equal(len, 99);
        assert_null(got.ptr);
        ok(store_put(&fx->ctx, fx->store, s_key(fx, "no/other"), view_str("x")));
    }
}

static void a_put_may_be_repeated(fixture_t *fx)
{
    const char *key = s_key(fx, "again/x");
    view_t body = store_test_body(&fx->ctx, 3, B + 5), got = {0};
    for (int i = 0; i < 3; i++)
        ok(store_put(&fx->ctx, fx->store, key, body));
    ok(store_get(&fx->ctx, fx->store, key, &got));
    assert_true(view_eq(got, body));
}

static void a_deleted_object_is_gone(fixture_t *fx)
{
    const char *key = s_key(fx, "gone/x");
    view_t got = {0};
    store_list_t list;
    ok(store_put(&fx->ctx, fx->store, key, view_str("hello")));
    ok(store_get_range(&fx->ctx, fx->store, key, 1, 3, &got));      /* fills the footer cache */
    ok(store_delete(&fx->ctx, fx->store, key));
    assert_int_equal(store_get(&fx->ctx, fx->store, key, &got), ERR_KEY_NOT_FOUND);
    assert_int_equal(store_get_range(&fx->ctx, fx->store, key, 1, 3, &got), ERR_KEY_NOT_FOUND);
    ok(store_list(&fx->ctx, fx->store, s_key(fx, "gone/"), NULL, 10, &list));
    assert_int_equal(list.n, 0);
    ok(store_delete(&fx->ctx, fx->store, key));
}

static void bad_keys_are_refused(fixture_t *fx)
{
    char part[LIMIT_STORE_KEY_PART_BYTES + 2], whole[LIMIT_STORE_KEY_BYTES + 2];
    memset(part, 'a', sizeof part);
    part[sizeof part - 1] = '\0';
    memset(whole, 'b', sizeof whole);
    for (size_t i = 99; i < sizeof whole; i += 100)
        whole[i] = '/';
    whole[sizeof whole - 1] = '\0';
    const char *bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b",
                          "a b", "a\nb", "a~b", "~tmp/x", "a%20b", "ä", "a?b", "a+b", "a*", part,
                          whole };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        view_t got = {0};
        uint64_t len = 0;
        assert_int_equal(store_put(&fx->ctx, fx->store, bad[i], view_str("x")), ERR_PARAM_INVALID);
        assert_int_equal(store_get(&fx->ctx, fx->store, bad[i], &got), ERR_PARAM_INVALID);
        assert_int_equal(store_get_range(&fx->ctx, fx->store, bad[i], 0, 1, &got),
                         ERR_PARAM_INVALID);
        assert_int_equal(store_head(&fx->ctx, fx->store, bad[i], &len), ERR_PARAM_INVALID);
        assert_int_equal(store_delete(&fx->ctx, fx->store, bad[i]), ERR_PARAM_INVALID);
    }
    store_list_t list;
    assert_int_equal(store_list(&fx->ctx, fx->store, "../", NULL, 1, &list), ERR_PARAM_INVALID);
    assert_int_equal(store_list(&fx->ctx, fx->store, "/", NULL, 1, &list), ERR_PARAM_INVALID);
    assert_int_equal(store_list(&fx->ctx, fx->store, "a//", NULL, 1, &list), ERR_PARAM_INVALID);
    assert_int_equal(store_list(&fx->ctx, fx->store, "a", "b//c", 1, &list), ERR_PARAM_INVALID);
}

static void the_longest_key_works(fixture_t *fx)
{
    size_t base_len = strlen(fx->base);
    char key[LIMIT_STORE_KEY_BYTES + 1];
    memset(key, 'k', sizeof key);
    memcpy(key, fx->base, base_len);
    key[base_len] = key[base_len + 200] = '/';
    key[LIMIT_STORE_KEY_BYTES] = '\0';
    for (size_t i = base_len + 202; i < LIMIT_STORE_KEY_BYTES - 1; i += 2)
        key[i] = '/';
    view_t got = {0};
    store_list_t list;
    ok(store_put(&fx->ctx, fx->store, key, view_str("deep")));
    ok(store_get(&fx->ctx, fx->store, key, &got));
    assert_true(view_eq(got, view_str("deep")));
    key[base_len + 200] = '\0';
    ok(store_list(&fx->ctx, fx->store, key, NULL, 10, &list));
    assert_int_equal(list.n, 1);
    assert_int_equal(strlen(list.at[0].key), LIMIT_STORE_KEY_BYTES);
    ok(store_delete(&fx->ctx, fx->store, list.at[0].key));
}

/* --- lists ------------------------------------------------------------------- */

static int s_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The model: of all keys, in the store's order, those under prefix behind number
 * `from` (-1: from the start), and are there more than `most`. */
static void s_check_list(fixture_t *fx, char **keys, int n, const char *prefix, int from,
                         size_t most)
{
    store_list_t list;
    ok(store_list(&fx->ctx, fx->store, prefix, from < 0 ? NULL : keys[from], most, &list));
    size_t at = 0, left = 0;
    for (int i = from + 1; i < n; i++) {
        if (strncmp(keys[i], prefix, strlen(prefix)) != 0)
            continue;
        if (at == most) {
            left++;
            continue;
        }
        assert_true(at < list.n);
        assert_string_equal(list.at[at].key, keys[i]);
        assert_int_equal(list.at[at].len_bytes, strlen(keys[i]));
        at++;
    }
    assert_int_equal(list.n, at);
    assert_int_equal(list.more, left > 0);
}

/* All keys are there; from here on `keys` is in the order the store lists them. */
static void s_take_order(fixture_t *fx, char **keys, size_t n, const char *prefix)
{
    store_list_t list;
    ok(store_list(&fx->ctx, fx->store, prefix, NULL, n, &list));
    assert_int_equal(list.n, n);
    assert_false(list.more);
    char *listed[64];
    for (size_t i = 0; i < n; i++)
        listed[i] = (char *)list.at[i].key;
    qsort(keys, n, sizeof keys[0], s_compare);
    if (fx->own_order)
        qsort(listed, n, sizeof listed[0], s_compare);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(listed[i], keys[i]);
    for (size_t i = 0; i < n; i++)
        keys[i] = (char *)list.at[i].key;
}

static void lists_are_ordered_cut_and_resumed(fixture_t *fx)
{
    static const char *const names[] = {
        "a", "a-b/c", "a-b/d", "a.b", "a0/x", "aa/b/c/d", "aa/b/c/e", "aa/b0", "aa/b=1/x",
        "aa/bb", "b/1", "b/10", "b/2", "b/3/y", "b-/z", "b.z/q", "B/x", "_x", "0", "z/z/z/z",
    };
    enum { N = ARRAY_LEN(names) };
    char *keys[N];
    for (size_t i = 0; i < N; i++) {
        keys[i] = ctx_printf(&fx->ctx, "%s/list/%s", fx->base, names[i]);
        ok(store_put(&fx->ctx, fx->store, keys[i], view_str(keys[i])));
    }
    s_take_order(fx, keys, N, s_key(fx, "list/"));
    static const char *const prefixes[] = { "", "a", "a-", "aa/", "aa/b", "aa/b/", "b/1", "b/3/y",
                                            "q" };
    for (size_t p = 0; p < ARRAY_LEN(prefixes); p++) {
        const char *prefix = ctx_printf(&fx->ctx, "%s/list/%s", fx->base, prefixes[p]);
        s_check_list(fx, keys, N, prefix, -1, 1000);
        s_check_list(fx, keys, N, prefix, -1, 3);
        for (int i = p ? 0 : N; i < N; i += 3) {        /* behind a key inside or outside */
            bool inside = strncmp(keys[i], prefix, strlen(prefix)) == 0;
            if (inside || !fx->own_order)
                s_check_list(fx, keys, N, prefix, i, 2);
        }
    }
    for (int i = -1; i < (int)N; i++)
        s_check_list(fx, keys, N, s_key(fx, "list/"), i, 1 + (size_t)(i + 1) % 4);
}

static void a_list_may_start_at_a_key_that_is_not_there(fixture_t *fx)
{
    for (int i = 10; i < 20; i += 2)
        ok(store_put(&fx->ctx, fx->store, s_key(fx, ctx_printf(&fx->ctx, "hole/%d", i)),
                     view_str("x")));
    static const struct { const char *prefix, *after; size_t n; } asks[] = {
        { "hole/", "hole/0", 5 }, { "hole/", "hole/13", 3 }, { "hole/", "hole/18", 0 },
        { "hole/", "hole/99", 0 }, { "hole/", "hol", 5 }, { "hole/", "0", 5 },
        { "hole/", "zzz", 0 }, { "hole/1", "hole/15", 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        store_list_t list;
        const char *after = s_key(fx, asks[i].after);
        ok(store_list(&fx->ctx, fx->store, s_key(fx, asks[i].prefix), after, 10, &list));
        assert_int_equal(list.n, asks[i].n);
        assert_false(list.more);
    }
}

static void a_long_list_pages(fixture_t *fx)
{
    enum { N = 120 };
    for (int i = 0; i < N; i++) {
        const char *key = s_key(fx, ctx_printf(&fx->ctx, "page/%d/%03d", i % 3, i));
        ok(store_put(&fx->ctx, fx->store, key, store_test_body(&fx->ctx, 1, (size_t)i)));
    }
    size_t seen = 0;
    const char *after = NULL, *prefix = s_key(fx, "page/");
    for (bool more = true; more; ) {
        store_list_t list;
        ok(store_list(&fx->ctx, fx->store, prefix, after, 17, &list));
        assert_true(list.n > 0 && list.n <= 17);
        for (size_t i = 0; i < list.n; i++, seen++) {
            assert_true(fx->own_order || !after || strcmp(list.at[i].key, after) > 0);
            after = list.at[i].key;
        }
        more = list.more;
    }
    assert_int_equal(seen, N);
}

/* --- damage ------------------------------------------------------------------ */

/* Store these raw bytes, footer and all, below the checksums. */
static void s_put_raw(fixture_t *fx, const char *key, view_t object)
{
    store_parts_t parts = { .at = { object, view_of("", 0) } };
    ok(fx->store->driver->put(&fx->ctx, fx->store->impl, key, &parts));
}

static view_t s_get_raw(fixture_t *fx, const char *key)
{
    store_sink_t sink = {0};
    ok(fx->store->driver->get(&fx->ctx, fx->store->impl, key, 0, STORE_WHOLE, &sink));
    return view_of(sink.ptr, sink.len);
}

static void s_expect_corrupt(fixture_t *fx, const char *key)
{
    view_t got = {0};
    store_mapping_t map = {0};
    assert_int_equal(store_get(&fx->ctx, fx->store, key, &got), ERR_CORRUPT);
    assert_non_null(strstr(fx->ctx.text, key));
    assert_int_equal(store_map(&fx->ctx, fx->store, key, &map), ERR_CORRUPT);
    assert_null(got.ptr);
    footer_cache_drop(fx->store->footers, key);
}

static void a_flipped_bit_anywhere_is_corrupt(fixture_t *fx)
{
    const char *key = s_key(fx, "flip");
    size_t body_len = B + 50;
    ok(store_put(&fx->ctx, fx->store, key, store_test_body(&fx->ctx, 5, body_len)));
    view_t object = s_get_raw(fx, key);
    uint8_t *copy = ctx_new(&fx->ctx, object.len);
    memcpy(copy, object.ptr, object.len);
    for (size_t i = 0; i < object.len; i += i < body_len - 8 ? 8191 : 1) {
        if (fx->store->driver->remote && i > body_len && i % 5)
            continue;                           /* a few will do over the network */
        copy[i] ^= (uint8_t)(1u << (i % 8));
        s_put_raw(fx, key, view_of(copy, object.len));
        s_expect_corrupt(fx, key);
        view_t got = {0};
        bool in_second = i >= B && i < body_len;
        err_t err = store_get_range(&fx->ctx, fx->store, key, 10, 20, &got);
        assert_int_equal(err, in_second ? OK : ERR_CORRUPT);
        err = store_get_range(&fx->ctx, fx->store, key, B + 1, 20, &got);
        assert_int_equal(err, i < B ? OK : ERR_CORRUPT);
        footer_cache_drop(fx->store->footers, key);
        copy[i] ^= (uint8_t)(1u << (i % 8));
    }
}

static void a_cut_or_foreign_object_is_corrupt(fixture_t *fx)
{
    const char *key = s_key(fx, "cut/x"), *other = s_key(fx, "cut/y");
    ok(store_put(&fx->ctx, fx->store, key, store_test_body(&fx->ctx, 6, 2 * B + 9)));
    view_t object = s_get_raw(fx, key);
    static const size_t cuts[] = { 0, 1, 23, 24, B, B + 24, B + 28, 2 * B + 9, 2 * B + 44 };
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        s_put_raw(fx, key, view_of(object.ptr, cuts[i]));
        s_expect_corrupt(fx, key);
        view_t got = {0};
        assert_int_equal(store_get_range(&fx->ctx, fx->store, key, 0, 1, &got), ERR_CORRUPT);
    }
    s_put_raw(fx, other, object);               /* whole, but of another key */
    s_expect_corrupt(fx, other);
    s_put_raw(fx, key, object);
    view_t got = {0};
    ok(store_get(&fx->ctx, fx->store, key, &got));
}

/* A cached footer must not outlive what it describes: here the object was
 * replaced behind the store's back. */
static void a_stale_footer_is_read_again(fixture_t *fx)
{
    const char *key = s_key(fx, "stale/x");
    view_t got = {0};
    for (uint64_t seed = 1; seed <= 2; seed++) {
        view_t body = store_test_body(&fx->ctx, seed, 3 * B), footer = {0};
        ok(footer_make(&fx->ctx, key, body, &footer));
        store_parts_t parts = { .at = { body, footer } };
        ok(fx->store->driver->put(&fx->ctx, fx->store->impl, key, &parts));
        ok(store_get_range(&fx->ctx, fx->store, key, B + 7, 100, &got));
        assert_true(view_eq(got, view_of(body.ptr + B + 7, 100)));
    }
}

/* --- the errand --------------------------------------------------------------- */

static void deadline_cancel_and_budget_hold(fixture_t *fx)
{
    const char *key = s_key(fx, "errand");
    view_t body = store_test_body(&fx->ctx, 9, 3 * B), got = {0};
    ok(store_put(&fx->ctx, fx->store, key, body));
    fx->ctx.budget_bytes = fx->ctx.spent_bytes + B;
    assert_int_equal(store_get(&fx->ctx, fx->store, key, &got), ERR_MEMORY);
    fx->ctx.budget_bytes = 0;
    ctx_limit_ms(&fx->ctx, 0);
    assert_int_equal(store_get(&fx->ctx, fx->store, key, &got), ERR_TIMEOUT);
    assert_int_equal(store_put(&fx->ctx, fx->store, key, body), ERR_TIMEOUT);
    fx->ctx.deadline_ms = INT64_MAX;
    ctx_cancel(&fx->ctx);
    assert_int_equal(store_get(&fx->ctx, fx->store, key, &got), ERR_CANCELED);
    assert_null(got.ptr);
}

typedef struct worker {
    fixture_t *fx;
    pthread_t thread;
    int id;
    const char *wrong;
} worker_t;

static void *s_work(void *arg)
{
    worker_t *self = arg;
    store_t *store = self->fx->store;
    for (int i = 0; i < 12 && !self->wrong; i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        bool shared = i % 3 == 0;               /* the same bytes at the same key, by all */
        const char *key = ctx_printf(&ctx, "%s/threads/%d/%d", self->fx->base,
                                     shared ? 99 : self->id, i);
        view_t body = store_test_body(&ctx, (uint64_t)(shared ? i : self->id * 100 + i),
                                      (size_t)i * 9000);
        view_t got = {0}, part = {0};
        store_list_t list;
        if (store_put(&ctx, store, key, body) != OK || store_get(&ctx, store, key, &got) != OK ||
            store_get_range(&ctx, store, key, body.len / 2, body.len / 4, &part) != OK ||
            store_list(&ctx, store, key, NULL, 5, &list) != OK)
            self->wrong = "failed";
        else if (!view_eq(got, body) ||
                 !view_eq(part, view_of(body.ptr + body.len / 2, body.len / 4)))
            self->wrong = "other bytes";
        if (self->wrong)
            fprintf(stderr, "%s: %s\n", key, ctx.text);
        ctx_fini(&ctx);
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(fixture_t *fx)
{
    worker_t workers[4] = {0};
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker_t){ .fx = fx, .id = i };
        pthread_create(&workers[i].thread, NULL, s_work, &workers[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < 4; i++)
        assert_null(workers[i].wrong);
}

/* --- running ------------------------------------------------------------------ */

typedef struct plan {
    store_t *(*open)(void *arg);
    void *arg;
    const char *base;
    bool own_order;
} plan_t;

static void s_run_case(const plan_t *plan, const char *name, void (*run)(fixture_t *fx))
{
    fixture_t fx = { .store = plan->open(plan->arg), .own_order = plan->own_order };
    assert_non_null(fx.store);
    ctx_init(&fx.ctx);
    char base[128];
    snprintf(base, sizeof base, "%s/%s", plan->base, name);
    fx.base = base;
    run(&fx);
    ctx_fini(&fx.ctx);
    store_destroy(&fx.store);
}

#define CASES(X) \
    X(bodies_of_all_sizes_come_back) \
    X(a_mapping_outlives_its_object) \
    X(a_mapping_may_have_a_file) \
    X(ranges_agree_with_the_body) \
    X(a_range_past_the_end_is_refused) \
    X(what_is_not_there_is_not_found) \
    X(a_put_may_be_repeated) \
    X(a_deleted_object_is_gone) \
    X(bad_keys_are_refused) \
    X(the_longest_key_works) \
    X(lists_are_ordered_cut_and_resumed) \
    X(a_list_may_start_at_a_key_that_is_not_there) \
    X(a_long_list_pages) \
    X(a_flipped_bit_anywhere_is_corrupt) \
    X(a_cut_or_foreign_object_is_corrupt) \
    X(a_stale_footer_is_read_again) \
    X(deadline_cancel_and_budget_hold) \
    X(threads_do_not_disturb_each_other)

#define X(name) static void s_##name(void **state) { s_run_case(*state, #name, name); }
CASES(X)
#undef X

int store_conformance_run(const char *group, store_t *(*open)(void *arg), void *arg,
                          const char *base, bool own_order)
{
    plan_t plan = { .open = open, .arg = arg, .base = base, .own_order = own_order };
    const struct CMUnitTest tests[] = {
#define X(name) { #name, s_##name, NULL, NULL, &plan },
        CASES(X)
#undef X
    };
    return _cmocka_run_group_tests(group, tests, ARRAY_LEN(tests), NULL, NULL);
}
